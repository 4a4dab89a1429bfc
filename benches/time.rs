//! How long the parts take: `cargo bench`, or `cargo bench -- fsq` for one of them.
//!
//! Memory is measured by `longvid bench memory`: an allocator that keeps what it freed tells nothing in one process.

mod block;
mod lesson;
mod loading;
mod mask;
mod quantize;
mod recipe;
mod step;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    // As the program does, before any tensor exists.
    torch_ext::malloc::keep_freed_memory();
    let quick = Criterion::default().sample_size(10);
    let quick = quick.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let mut criterion = quick.configure_from_args();
    for bench in [quantize::bench, mask::bench, block::bench, loading::bench, step::bench] {
        bench(&mut criterion);
    }
    criterion.final_summary();
}
