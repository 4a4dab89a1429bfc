//! Without a harness: malloc's settings hold for the whole process, and the heap that they speak of is the main thread's.

use torch_ext::{malloc, memory};

const BYTES: usize = 256 << 20;

fn main() {
    if !malloc::keep_freed_memory() {
        // Not glibc: there is nothing to set.
        return;
    }
    let resident = || memory::resident_bytes().expect("/proc on Linux").0;
    let before = resident();
    drop(std::hint::black_box(vec![1u8; BYTES]));
    // By default glibc maps a block of this size by itself and gives it back at once.
    let kept = resident() - before;
    assert!(kept > BYTES as i64 * 9 / 10, "only {kept} of {BYTES} freed bytes stay");
}
