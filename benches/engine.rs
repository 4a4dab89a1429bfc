//! What the training loop costs beside what it trains: `cargo bench --bench engine`.

mod checkpoint;
mod fit;
mod lesson;
mod overhead;
mod recipe;

fn main() -> std::io::Result<()> {
    // As the program does, before any tensor exists.
    torch_ext::malloc::keep_freed_memory();
    torch_ext::memory::install().expect("tensor bytes can be counted");
    overhead::bench()?;
    checkpoint::bench()
}
