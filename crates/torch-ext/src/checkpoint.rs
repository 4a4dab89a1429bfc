use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use tch::Tensor;

use crate::Error;
use crate::shim::{self, C_tensor};

type Segment = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// Runs `segment(inputs)` without keeping its activations: the backward pass runs it again, with the same random numbers
/// and in the same precision ([`crate::autocast`]), so that gradients are bit-equal to a plain call. Parameters that the
/// closure captures get their gradients too.
///
/// At least one input must require a gradient, else the result does not (as with any function of constants). Not for
/// double backward.
///
/// # Errors
/// What the segment failed with, a panic of a tch operator included: [`Error::OutOfMemory`] or [`Error::Torch`]. A
/// failure in the second run surfaces from `backward`.
pub fn checkpoint(inputs: &[&Tensor], segment: impl Fn(&[Tensor]) -> Tensor + 'static) -> Result<Tensor, Error> {
    let closure: Box<Segment> = Box::new(Box::new(segment));
    let handles: Vec<*mut C_tensor> = inputs.iter().map(|t| t.as_ptr().cast_mut()).collect();
    let mut output = ptr::null_mut();
    // SAFETY: `closure` is a leaked Box that `free` gets back exactly once, from the shim's destructor; `handles` are
    // borrowed for the call; `output` is written on success.
    let status = unsafe {
        shim::lv_checkpoint(
            run,
            free,
            Box::into_raw(closure).cast(),
            handles.as_ptr(),
            handles.len() as c_int,
            &mut output,
        )
    };
    shim::take(status, output, "a checkpointed part")
}

extern "C" fn run(closure: *mut c_void, inputs: *const *mut C_tensor, n: c_int, output: *mut *mut C_tensor) -> c_int {
    // SAFETY: `closure` is the Box that `checkpoint` leaked and the shim has not freed yet.
    let segment = unsafe { &*closure.cast::<Segment>() };
    // SAFETY: the shim hands over `n` new handles, which from_ptr takes over.
    let inputs: Vec<Tensor> = (0..n as usize).map(|i| unsafe { Tensor::from_ptr(*inputs.add(i)) }).collect();
    match catch_unwind(AssertUnwindSafe(|| segment(&inputs))) {
        Ok(result) => {
            // SAFETY: `output` is the shim's own variable; the handle's ownership passes to it.
            unsafe { *output = result.as_ptr().cast_mut() };
            std::mem::forget(result);
            0
        }
        Err(payload) => {
            // A panic must not cross C++: its message goes on as an exception there.
            let text = payload.downcast_ref::<String>().map(String::as_str);
            shim::set_last_error(
                text.or_else(|| payload.downcast_ref().copied()).unwrap_or("a panic without a message"),
            );
            1
        }
    }
}

extern "C" fn free(closure: *mut c_void) {
    // SAFETY: the pointer of Box::into_raw in `checkpoint`; the shim calls this once, when the segment dies.
    drop(unsafe { Box::from_raw(closure.cast::<Segment>()) });
}

#[cfg(test)]
pub(crate) mod tests {
    use std::rc::Rc;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use tch::{Device, Kind, Tensor};

    use super::*;

    /// Held by every test that draws or checkpoints: all share libtorch's generator, which a checkpoint winds back.
    pub(crate) fn generator() -> MutexGuard<'static, ()> {
        static GENERATOR: Mutex<()> = Mutex::new(());
        GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Two matrices with dropout between them, on fixed numbers.
    fn net() -> (Tensor, Tensor, Tensor) {
        let made = |rows: i64, cols: i64| {
            (Tensor::arange(rows * cols, (Kind::Float, Device::Cpu)).view([rows, cols]) / 50.0 - 0.3).detach()
        };
        (made(7, 5), made(5, 6).set_requires_grad(true), made(6, 3).set_requires_grad(true))
    }

    fn part(x: &Tensor, w1: &Tensor, w2: &Tensor) -> Tensor {
        x.matmul(w1).gelu("none").dropout(0.5, true).matmul(w2)
    }

    /// Gradients of x, w1, w2, and one number drawn afterwards.
    fn grads(checkpointed: bool) -> (Vec<Tensor>, f64) {
        let (x, w1, w2) = net();
        let x = x.set_requires_grad(true);
        tch::manual_seed(3);
        let y = if checkpointed {
            let (w1, w2) = (w1.shallow_clone(), w2.shallow_clone());
            checkpoint(&[&x], move |inputs| part(&inputs[0], &w1, &w2)).unwrap()
        } else {
            part(&x, &w1, &w2)
        };
        y.square().sum(Kind::Float).f_backward().unwrap();
        let drawn = Tensor::rand([1], (Kind::Float, Device::Cpu)).double_value(&[0]);
        (vec![x.grad(), w1.grad(), w2.grad()], drawn)
    }

    #[test]
    fn gradients_are_bit_equal_with_dropout_inside() {
        let _alone = generator();
        let ((plain, drawn_plain), (saved, drawn_saved)) = (grads(false), grads(true));
        for (a, b) in plain.iter().zip(&saved) {
            assert!(a.abs().sum(Kind::Float).double_value(&[]) > 0.0);
            assert!(a.equal(b));
        }
        assert_eq!(drawn_plain, drawn_saved, "the random stream afterwards");
    }

    #[test]
    fn the_closure_is_freed_after_backward() {
        let _alone = generator();
        let (x, w1, w2) = net();
        let x = x.set_requires_grad(true);
        let alive = Rc::new(());
        let held = alive.clone();
        let y = checkpoint(&[&x], move |inputs| {
            let _ = &held;
            part(&inputs[0], &w1, &w2)
        })
        .unwrap();
        assert_eq!(Rc::strong_count(&alive), 2);
        y.sum(Kind::Float).f_backward().unwrap();
        drop(y);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn a_panic_inside_comes_back_as_an_error() {
        let (x, w1, _) = net();
        let x = x.set_requires_grad(true);
        // 7x5 times 7x5 does not multiply: tch panics with libtorch's message.
        let err = checkpoint(&[&x, &w1], |inputs| inputs[0].matmul(&inputs[0])).unwrap_err();
        assert!(err.to_string().contains("cannot be multiplied"), "{err}");
    }
}
