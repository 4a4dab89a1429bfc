use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

use tch::Device;

use crate::shim::{self, AutocastScope};
use crate::{Error, memory};

/// In what matrix products, convolutions and attention compute. Parameters, their gradients and the optimizer's state
/// are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of mantissa everywhere.
    F32,
    /// 8 bits of mantissa with the exponent of f32, so that no loss needs scaling. Sums are kept in f32; softmax, norms
    /// and losses compute as libtorch's autocast lists say.
    Bf16,
}

/// Runs `run` in the given precision: libtorch's autocast for operators on this kind of device, in this thread. Meant
/// for forward and loss; the backward pass follows by itself and is to be called outside, and [`crate::checkpoint`]
/// recomputes in the precision of its forward. May be nested: f32 within bf16 computes in f32 again (of bf16 operands,
/// where such come in).
///
/// Weights are cast at each use, not once per step: bit-equal with and without checkpoints, safe beside `no_grad`, and
/// gradients of a weight used several times add up in f32.
///
/// # Errors
/// [`Error::Torch`] for a device without autocast (Vulkan); `run` was not called.
pub fn autocast<T>(device: Device, precision: Precision, run: impl FnOnce() -> T) -> Result<T, Error> {
    let _scope = Scope::begin(device, precision)?;
    Ok(run())
}

/// The precision in which this thread computes on a device now.
pub fn precision(device: Device) -> Precision {
    let mut is_bf16 = 0;
    // SAFETY: one place that the shim writes; on a device without autocast it stays.
    let status = unsafe { shim::lv_autocast_is_bf16(device_type(device), &mut is_bf16) };
    if status == 0 && is_bf16 != 0 { Precision::Bf16 } else { Precision::F32 }
}

fn device_type(device: Device) -> c_int {
    memory::device_code(device).map_or(0, |(device_type, _)| device_type)
}

/// Whether a device computes in bf16 faster than in f32. CPU: it has AVX512-BF16 or AMX-BF16; others convert to f32 and
/// back, two to three times slower. CUDA: compute capability 8.0 or more, as the CUDA runtime tells; false without a
/// GPU. Others: false.
pub fn has_bf16(device: Device) -> bool {
    match device {
        Device::Cpu => [c"avx512_bf16", c"amx_bf16"].into_iter().any(cpu_has),
        Device::Cuda(index) => cuda_major(index).is_some_and(|major| major >= 8),
        Device::Mps | Device::Vulkan => false,
    }
}

fn cpu_has(feature: &CStr) -> bool {
    let mut output = 0;
    // SAFETY: a terminated string, and one place that the shim writes.
    let status = unsafe { shim::lv_cpu_has(feature.as_ptr(), &mut output) };
    status == 0 && output != 0
}

/// First number of a GPU's compute capability, asked of the CUDA runtime that libtorch has loaded; its C interface is
/// stable. `None` without a runtime or such a GPU.
fn cuda_major(index: usize) -> Option<c_int> {
    type GetAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
    const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
    // SAFETY: dlsym only looks up.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"cudaDeviceGetAttribute".as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: the signature of cudaDeviceGetAttribute, since CUDA 5.0.
    let get_attribute = unsafe { std::mem::transmute::<*mut libc::c_void, GetAttribute>(symbol) };
    let mut major = 0;
    // SAFETY: `major` is the one place that is written.
    let status = unsafe { get_attribute(&mut major, COMPUTE_CAPABILITY_MAJOR, c_int::try_from(index).ok()?) };
    (status == 0).then_some(major)
}

/// The shim's scope; ends when dropped, on unwinding too.
struct Scope {
    scope: *mut AutocastScope,
    // Autocast is a state of the thread.
    _not_send: PhantomData<*const ()>,
}

impl Scope {
    fn begin(device: Device, precision: Precision) -> Result<Self, Error> {
        let is_bf16 = c_int::from(precision == Precision::Bf16);
        let mut scope = ptr::null_mut();
        // SAFETY: plain integers; `scope` is written on success.
        let status = unsafe { shim::lv_autocast_begin(device_type(device), is_bf16, &mut scope) };
        shim::check(status, "turning on autocast")?;
        Ok(Scope { scope, _not_send: PhantomData })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: `lv_autocast_begin` made it, and nobody else ends it.
        unsafe { shim::lv_autocast_end(self.scope) };
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use tch::{Kind, Tensor};

    use super::*;
    use crate::checkpoint;
    use crate::checkpoint::tests::generator;

    const CPU: Device = Device::Cpu;

    fn numbers(rows: i64, cols: i64) -> Tensor {
        (Tensor::arange(rows * cols, (Kind::Float, CPU)).view([rows, cols]) / 50.0 - 0.3).detach()
    }

    fn kind_of_a_product() -> Kind {
        numbers(3, 4).matmul(&numbers(4, 2)).kind()
    }

    #[test]
    fn products_are_bf16_inside_and_f32_outside_also_after_a_panic() {
        assert_eq!(autocast(CPU, Precision::Bf16, kind_of_a_product).unwrap(), Kind::BFloat16);
        assert_eq!(kind_of_a_product(), Kind::Float);
        let panics = || autocast::<()>(CPU, Precision::Bf16, || panic!("inside autocast"));
        assert!(catch_unwind(panics).is_err());
        assert_eq!(kind_of_a_product(), Kind::Float);
    }

    #[test]
    fn f32_inside_bf16_is_f32_and_bf16_again_behind_it() {
        let kinds = autocast(CPU, Precision::Bf16, || {
            assert_eq!(precision(CPU), Precision::Bf16);
            let inner = autocast(CPU, Precision::F32, || (precision(CPU), kind_of_a_product())).unwrap();
            (inner, kind_of_a_product())
        });
        assert_eq!(kinds.unwrap(), ((Precision::F32, Kind::Float), Kind::BFloat16));
        assert_eq!(precision(CPU), Precision::F32);
    }

    #[test]
    fn a_product_in_bf16_is_that_of_rounded_numbers() {
        // 1 + 2^-9 has nine bits behind the point, of which bf16 keeps seven: it rounds to 1.
        let x = Tensor::from_slice(&[1.0f32 + 2f32.powi(-9)]).view([1, 1]);
        let product = autocast(CPU, Precision::Bf16, || x.matmul(&x)).unwrap();
        assert_eq!(product.double_value(&[0, 0]), 1.0);
    }

    /// Output and gradients of x and of two weights, the first of which is used twice.
    fn step(checkpointed: bool) -> Vec<Tensor> {
        let (x, w1, w2) = (numbers(7, 5), numbers(5, 5), numbers(5, 3));
        let [x, w1, w2] = [x, w1, w2].map(|t| t.set_requires_grad(true));
        let part = |x: &Tensor, w1: &Tensor, w2: &Tensor| {
            let hidden =
                x.matmul(w1).gelu("none").matmul(w1).layer_norm([5], None::<Tensor>, None::<Tensor>, 1e-6, false);
            hidden.matmul(w2)
        };
        let loss = autocast(CPU, Precision::Bf16, || {
            let y = if checkpointed {
                let (w1, w2) = (w1.shallow_clone(), w2.shallow_clone());
                checkpoint(&[&x], move |inputs| part(&inputs[0], &w1, &w2)).unwrap()
            } else {
                part(&x, &w1, &w2)
            };
            // The same weight outside of the checkpoint.
            (y.matmul(&w2.transpose(0, 1)).square()).mean(Kind::Float)
        });
        let loss = loss.unwrap();
        loss.f_backward().unwrap();
        vec![loss, x.grad(), w1.grad(), w2.grad()]
    }

    #[test]
    fn a_checkpointed_part_recomputes_in_the_precision_of_its_forward() {
        let _alone = generator();
        let (plain, again) = (step(false), step(true));
        for (a, b) in plain.iter().zip(&again) {
            assert_eq!(a.kind(), Kind::Float);
            assert!(a.abs().sum(Kind::Float).double_value(&[]) > 0.0);
            assert!(a.equal(b), "{}", (a - b).abs().max());
        }
    }

    #[test]
    fn a_backward_pass_within_autocast_reaches_the_weights_of_a_checkpointed_part() {
        let _alone = generator();
        let (x, w) = (numbers(7, 5).set_requires_grad(true), numbers(5, 5).set_requires_grad(true));
        let kept = w.shallow_clone();
        autocast(CPU, Precision::Bf16, || {
            let y = checkpoint(&[&x], move |inputs| inputs[0].matmul(&kept)).unwrap();
            y.square().sum(Kind::Float).f_backward().unwrap();
        })
        .unwrap();
        assert!(w.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
    }

    #[test]
    fn the_cpu_has_bf16_exactly_where_the_kernel_says_so() {
        let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") else { return };
        let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let listed = flags.split_whitespace().any(|flag| flag == "avx512_bf16" || flag == "amx_bf16");
        assert_eq!(has_bf16(CPU), listed);
        assert!(tch::Cuda::is_available() || !has_bf16(Device::Cuda(0)));
    }
}
