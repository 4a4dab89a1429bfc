use tch::TchError;

/// What can go wrong inside a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// A tensor does not have the shape that its reader was promised.
    #[error("{name} has shape {got:?}, expected {want:?} (-1: any size)")]
    Shape {
        /// Which tensor.
        name: &'static str,
        /// Its shape.
        got: Vec<i64>,
        /// The shape that was promised.
        want: Vec<i64>,
    },
    /// A tensor's element type is not the one its reader was promised.
    #[error("{name} holds {got:?}, expected {want:?}")]
    Kind {
        /// Which tensor.
        name: &'static str,
        /// Its element type.
        got: tch::Kind,
        /// The type that was promised.
        want: tch::Kind,
    },
    /// A preset asks for one kind of target and the loss was given another.
    #[error("the preset's target is {preset}, but the loss was given {given}")]
    Target {
        /// What the preset says.
        preset: &'static str,
        /// What came.
        given: &'static str,
    },
    /// A setting of a network is impossible.
    #[error("{key} = {value} is impossible: {rule}")]
    Config {
        /// The setting, in the preset's words.
        key: &'static str,
        /// What was given.
        value: String,
        /// The condition that failed.
        rule: &'static str,
    },
    /// The allocator of the device (or the host) refused.
    #[error("out of memory during {during}")]
    OutOfMemory {
        /// What was being computed.
        during: &'static str,
        /// libtorch's words.
        source: TchError,
    },
    /// Any other C++ exception.
    #[error("libtorch failed during {during}")]
    Torch {
        /// What was being computed.
        during: &'static str,
        /// libtorch's words.
        source: TchError,
    },
    /// A function of torch-ext failed.
    #[error(transparent)]
    Ext(#[from] torch_ext::Error),
}

/// Attaches what was going on to a tch error and tells running out of memory apart.
pub trait During<T> {
    /// `what` completes "failed during ...".
    ///
    /// # Errors
    /// The same failure as [`NnError::OutOfMemory`] or [`NnError::Torch`].
    fn during(self, what: &'static str) -> Result<T, NnError>;
}

impl<T> During<T> for Result<T, TchError> {
    fn during(self, during: &'static str) -> Result<T, NnError> {
        self.map_err(|source| match torch_ext::is_out_of_memory(&source.to_string()) {
            true => NnError::OutOfMemory { during, source },
            false => NnError::Torch { during, source },
        })
    }
}
