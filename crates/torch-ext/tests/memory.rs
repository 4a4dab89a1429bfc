//! In a process of its own with one test: the allocator is installed before the first tensor, and nobody else allocates.

use tch::{Device, Kind, Tensor};
use torch_ext::{Error, memory};

const MIB: i64 = 1 << 20;

fn floats(mib: i64) -> Tensor {
    Tensor::zeros([mib * MIB / 4], (Kind::Float, Device::Cpu))
}

#[test]
fn tensor_bytes_are_counted_to_the_byte() {
    memory::install().unwrap();
    let held = || memory::stats(Device::Cpu).unwrap();
    let base = held().current_bytes;

    let a = floats(3);
    assert_eq!(held().current_bytes - base, 3 * MIB);
    memory::reset_peak(Device::Cpu).unwrap();
    drop(floats(5));
    assert_eq!(held().current_bytes - base, 3 * MIB);
    assert_eq!(held().peak_bytes - base, 8 * MIB);

    // y = exp(a) is kept for its own derivative; the sum's gradient is a view of one scalar.
    let a = a.set_requires_grad(true);
    memory::reset_peak(Device::Cpu).unwrap();
    let y = a.exp();
    assert_eq!(held().peak_bytes - base, 6 * MIB);
    y.sum(Kind::Float).f_backward().unwrap();
    assert_eq!(held().current_bytes - base, 9 * MIB, "a, y and a's gradient");

    memory::set_cpu_limit(Some(held().current_bytes + 10 * MIB));
    let refused = Tensor::f_zeros([20 * MIB / 4], (Kind::Float, Device::Cpu)).unwrap_err().to_string();
    memory::set_cpu_limit(None);
    assert!(torch_ext::is_out_of_memory(&refused), "{refused}");
    assert_eq!(held().current_bytes - base, 9 * MIB, "a refused allocation leaves no trace");

    // Inside a checkpointed part, running out of memory keeps its type across C++ and back.
    let x = floats(1).set_requires_grad(true);
    memory::set_cpu_limit(Some(held().current_bytes + 2 * MIB));
    let err = torch_ext::checkpoint(&[&x], |inputs| inputs[0].repeat([64])).unwrap_err();
    memory::set_cpu_limit(None);
    assert!(matches!(err, Error::OutOfMemory { .. }), "{err}");

    let gpu = memory::stats(Device::Cuda(0));
    if !tch::Cuda::is_available() {
        assert!(matches!(gpu, Err(Error::NotAvailable { .. })), "{gpu:?}");
    }
    assert!(memory::allocation_count().num_allocs > 0);
    let (resident, resident_peak) = memory::resident_bytes().expect("/proc on Linux");
    assert!(resident >= 9 * MIB && resident_peak >= resident);
}
