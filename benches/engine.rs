//! What the training loop costs beside what it trains: `cargo bench --bench engine`, or `-- overhead` or `-- checkpoint` for
//! one half.

mod checkpoint;
mod fit;
mod lesson;
mod overhead;
mod recipe;

fn main() -> std::io::Result<()> {
    // As the program does, before any tensor exists.
    torch_ext::malloc::keep_freed_memory();
    torch_ext::memory::install().expect("tensor bytes can be counted");
    // Cargo adds options of its own.
    let halves: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = |half: &str| halves.is_empty() || halves.iter().any(|word| word == half);
    if asked("overhead") {
        overhead::bench()?;
    }
    if asked("checkpoint") {
        checkpoint::bench()?;
    }
    Ok(())
}
