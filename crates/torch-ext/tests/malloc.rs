//! In a process of its own: malloc's settings hold for the whole process.

use torch_ext::{malloc, memory};

const BYTES: usize = 256 << 20;

#[test]
fn freed_memory_stays_with_the_process() {
    if !malloc::keep_freed_memory() {
        // Not glibc: there is nothing to set.
        return;
    }
    let resident = || memory::resident_bytes().expect("/proc on Linux").0;
    let before = resident();
    drop(vec![1u8; BYTES]);
    // By default glibc maps a block of this size by itself and gives it back at once.
    assert!(resident() - before > BYTES as i64 * 9 / 10);
}
