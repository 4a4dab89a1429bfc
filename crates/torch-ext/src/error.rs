/// A failure of a call into libtorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The allocator of the host or of a device refused.
    #[error("out of memory during {during}: {message}")]
    OutOfMemory {
        /// What was asked of libtorch.
        during: &'static str,
        /// The first line of libtorch's message.
        message: String,
    },
    /// The machine or this libtorch lacks what was asked for (a GPU, its statistics).
    #[error("{what} is not available: {message}")]
    NotAvailable {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        message: String,
    },
    /// Any other C++ exception.
    #[error("libtorch failed during {during}: {message}")]
    Torch {
        /// What was asked of libtorch.
        during: &'static str,
        /// The first line of libtorch's message; the rest is its C++ stack.
        message: String,
    },
}

/// Whether a message of libtorch says that memory ran out, on the host or on a device.
pub fn is_out_of_memory(message: &str) -> bool {
    ["out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc"]
        .iter()
        .any(|m| message.contains(m))
}

impl Error {
    pub(crate) fn torch(during: &'static str, message: &str) -> Self {
        let first = message.lines().next().unwrap_or_default().to_owned();
        match is_out_of_memory(message) {
            true => Error::OutOfMemory { during, message: first },
            false => Error::Torch { during, message: first },
        }
    }
}
