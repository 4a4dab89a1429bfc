//! Panics out of tch's operators, caught at the one spot where [`crate::fit`] computes a step.
//!
//! `a + b`, `Module::forward` and their like have no other way to report a C++ exception, and running out of memory
//! arrives as one.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use nn::NnError;
use tch::TchError;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the last caught panic of this thread was raised.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a panic said.
#[derive(Debug)]
pub(crate) enum Caught {
    /// A C++ exception of libtorch, as the error that tch unwrapped.
    Torch(NnError),
    /// Anything else: message and place.
    Bug(String),
}

/// Runs `compute`; a panic in it is silent and comes back as a value. Other threads panic as ever.
pub(crate) fn catch<T>(during: &'static str, compute: impl FnOnce() -> T) -> Result<T, Caught> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                return usual(info);
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            PLACE.with_borrow_mut(|last| *last = place);
        }));
    });
    let outer = CATCHING.replace(true);
    // Unwind safe: the caller gives up the run on an error, so that nothing half-done inside `compute` is used again.
    let result = panic::catch_unwind(AssertUnwindSafe(compute));
    CATCHING.set(outer);
    result.map_err(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        match torch_message(said) {
            Some(message) if torch_ext::is_out_of_memory(&message) => {
                Caught::Torch(NnError::OutOfMemory { during, source: TchError::Torch(message) })
            }
            Some(message) => Caught::Torch(NnError::Torch { during, source: TchError::Torch(message) }),
            None => Caught::Bug(format!("{said}, at {}", PLACE.with_borrow(String::clone))),
        }
    })
}

/// The first line of libtorch's message within the panic of an unwrapped `TchError::Torch`; the rest is a C++ stack.
fn torch_message(panic: &str) -> Option<String> {
    let (_, debug) = panic.split_once("Torch(\"")?;
    let line = debug.split("\\n").next().unwrap_or(debug);
    Some(line.trim_end_matches("\")").replace("\\\"", "\"").replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn an_operators_panic_comes_back_with_the_first_line_of_libtorchs_message() {
        let caught = catch("forward", || Tensor::zeros([2, 3], FLOAT).matmul(&Tensor::zeros([2, 3], FLOAT)));
        let Err(Caught::Torch(NnError::Torch { during: "forward", source: TchError::Torch(said) })) = caught else {
            panic!("{caught:?}");
        };
        assert_eq!(said, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
    }

    #[test]
    fn running_out_of_memory_is_told_apart() {
        // 2^52 bytes are more than the address space.
        let caught = catch("forward", || Tensor::zeros([1 << 50], FLOAT));
        assert!(matches!(caught, Err(Caught::Torch(NnError::OutOfMemory { .. }))), "{caught:?}");
    }

    #[test]
    fn a_panic_of_our_own_keeps_its_message_and_place() {
        let caught = catch("forward", || panic!("the codebook is empty"));
        let Err(Caught::Bug(said)) = caught else { panic!("{caught:?}") };
        assert!(said.starts_with("the codebook is empty, at ") && said.contains("caught.rs:"), "{said}");
    }

    #[test]
    fn what_does_not_panic_passes_through() {
        assert_eq!(catch("forward", || 5).unwrap(), 5);
    }
}
