//! What a rank is about to do, in a form that ranks can compare.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tch::{Device, Tensor};

/// What all ranks are about to do, told before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Sum,
    Mean,
    Max,
    Broadcast,
    Barrier,
}

/// A call and its list in four numbers: call, tensors, values, hash of the types and shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intent([i64; Intent::WIDTH]);

impl Intent {
    pub(super) const WIDTH: usize = 4;

    pub(super) fn of(call: Call, tensors: &[Tensor]) -> Self {
        let mut hasher = DefaultHasher::new();
        for tensor in tensors {
            (tensor.kind(), tensor.device() == Device::Cpu, tensor.size()).hash(&mut hasher);
        }
        let num_values: usize = tensors.iter().map(Tensor::numel).sum();
        Intent([call as i64, tensors.len() as i64, num_values as i64, hasher.finish().cast_signed()])
    }

    pub(super) fn row(self) -> [i64; Intent::WIDTH] {
        self.0
    }

    pub(super) fn from_row(row: [i64; Intent::WIDTH]) -> Self {
        Intent(row)
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [call, num_tensors, num_values, hash] = self.0;
        let calls = [Call::Sum, Call::Mean, Call::Max, Call::Broadcast, Call::Barrier];
        let verb = match calls.into_iter().find(|known| *known as i64 == call) {
            Some(Call::Sum) => "sums",
            Some(Call::Mean) => "averages",
            Some(Call::Max) => "takes the maximum of",
            Some(Call::Broadcast) => "broadcasts",
            Some(Call::Barrier) => return write!(f, "waits for the others"),
            None => return write!(f, "speaks another language"),
        };
        write!(f, "{verb} {num_tensors} tensors of {num_values} values (shapes {hash:x})")
    }
}
