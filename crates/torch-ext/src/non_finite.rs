use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use tch::Tensor;

use crate::Error;
use crate::shim::{self, Watching};

/// The first NaN or infinity of a computation, and where it came from.
#[derive(Clone, Debug)]
pub struct NonFinite {
    /// What brought it in.
    pub cause: Cause,
    /// libtorch's operator that made it, or that was about to read it: `aten::addmm`.
    pub operator: String,
    /// The variable used last, in this operator or before it; in the backward pass, before the operator whose derivative
    /// is taken. `None` when none was used yet.
    pub near: Option<String>,
    /// In which part of the computation.
    pub pass: Pass,
    /// NaN, or an infinity.
    pub value: f64,
}

/// What brought the first value that is not finite into a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator made it out of better values.
    Operator,
    /// It stood in the variable [`NonFinite::near`] already.
    Variable,
    /// It stood in a tensor without a name that was there before the computation.
    Input,
}

/// Part of a computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward.
    Forward,
    /// A [`crate::checkpoint`]ed part that runs again for its gradient.
    Recomputation,
    /// Backward.
    Backward {
        /// libtorch's name for the derivative: `SqrtBackward0`.
        node: String,
    },
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NonFinite { cause, operator, near, pass, value } = self;
        match (cause, near) {
            (Cause::Variable, Some(name)) => write!(f, "{name} is itself not finite: it holds {value}")?,
            (Cause::Variable | Cause::Input, _) => {
                write!(f, "a tensor made before the computation holds {value}: an input of {operator}")?;
            }
            (Cause::Operator, _) => write!(f, "first not finite in {operator}, which gives {value}")?,
        }
        if let (Cause::Operator | Cause::Input, Some(name)) = (cause, near) {
            write!(f, ", at {name}")?;
        }
        match pass {
            Pass::Forward => Ok(()),
            Pass::Recomputation => write!(f, ", when recomputed for the backward pass"),
            Pass::Backward { node } => write!(f, ", in the backward pass ({node})"),
        }
    }
}

/// Runs `run` and watches every operator of libtorch in it, those of a backward pass and of recomputed parts included,
/// for the first result that is not finite. Several times slower than `run` alone: each operand is read once more, and
/// a device is waited for.
///
/// * `named` - variables, and whatever else deserves a name in the answer (the batch); told by their memory, so that
///   views and transposes count
///
/// An operator is the origin when its result is worse than all that it read: an infinity out of finite numbers, or NaN
/// out of numbers without NaN. Numbers handed to it count as read. So a mask of minus infinity is no finding, however
/// it was made (`full`, `masked_fill`, `where`), nor is what follows from it (masked logits); `ln(0)` is one, and the
/// NaN of a softmax over a row that is masked throughout. The price: an overflow in an operator that also reads an
/// infinite mask is found only when it turns into NaN. Also no finding is minus infinity in a tensor without a name that
/// was made before: a mask kept by the model.
///
/// The backward pass runs in the calling thread on the CPU. On a device it runs in another thread, into which libtorch
/// carries the watch along; that has not been tried on one.
///
/// Operators in threads that `run` starts itself are not seen. May be nested; the innermost sees.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::Torch`] when the watch itself fails.
pub fn first_non_finite<T>(
    named: &[(String, Tensor)],
    run: impl FnOnce() -> T,
) -> Result<(T, Option<NonFinite>), Error> {
    let watch = Watch::begin(named)?;
    let result = run();
    Ok((result, watch.finding()?))
}

const DURING: &str = "the watch for values that are not finite";

/// The shim's watch over this thread; ends when dropped, on unwinding too.
struct Watch {
    watching: *mut Watching,
    // Stays in the thread that began it.
    _not_send: PhantomData<*const ()>,
}

impl Watch {
    fn begin(named: &[(String, Tensor)]) -> Result<Self, Error> {
        let names: Vec<CString> =
            named.iter().map(|(name, _)| CString::new(name.replace('\0', " ")).unwrap_or_default()).collect();
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let variables: Vec<_> = named.iter().map(|(_, tensor)| tensor.as_ptr().cast_mut()).collect();
        let mut watching = ptr::null_mut();
        // SAFETY: both lists have `n` valid elements, which the shim copies from; `watching` is written on success.
        let status =
            unsafe { shim::lv_watch_begin(variables.as_ptr(), names.as_ptr(), names.len() as c_int, &mut watching) };
        shim::check(status, DURING)?;
        Ok(Watch { watching, _not_send: PhantomData })
    }

    fn finding(&self) -> Result<Option<NonFinite>, Error> {
        let (mut is_found, mut codes, mut value) = (0, [0; 2], 0.0);
        let mut texts = [ptr::null(); 3];
        // SAFETY: `watching` is alive; the other places are as large as what the shim writes.
        let status = unsafe {
            shim::lv_watch_finding(self.watching, &mut is_found, codes.as_mut_ptr(), &mut value, texts.as_mut_ptr())
        };
        shim::check(status, DURING)?;
        if is_found == 0 {
            return Ok(None);
        }
        // SAFETY: with a finding the shim has written strings that live as long as the watch.
        let [operator, node, near] = texts.map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned());
        let cause = match codes[0] {
            0 => Cause::Operator,
            1 => Cause::Variable,
            _ => Cause::Input,
        };
        let pass = match codes[1] {
            0 => Pass::Forward,
            1 => Pass::Recomputation,
            _ => Pass::Backward { node },
        };
        Ok(Some(NonFinite { cause, operator, near: Some(near).filter(|name| !name.is_empty()), pass, value }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: `lv_watch_begin` made it, and nobody else ends it.
        unsafe { shim::lv_watch_end(self.watching) };
    }
}

#[cfg(test)]
mod tests;
