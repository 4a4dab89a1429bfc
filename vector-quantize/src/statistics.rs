use tch::{Device, Kind, TchError, Tensor};

use crate::VqError;
use crate::codes::during;

/// Standard deviation of the noise that tells copies of a vector apart, times sqrt(D); as in MQ-VAE's code.
const TILE_NOISE: f64 = 0.01;

/// Which one of the batches whose [`Statistics`] are summed before an update: micro-batch m of M on rank r of R is
/// `{ index: r * M + m, of: R * M }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: i64,
    /// How many there are.
    pub of: i64,
}

impl Share {
    /// The only batch of its update.
    pub const WHOLE: Share = Share { index: 0, of: 1 };
}

/// What an update of learned codebooks needs to know of a batch. Everything in it adds up: sum the tensors over
/// micro-batches ([`Statistics::add`]) and over ranks ([`Statistics::tensors`]), and every rank that applies the sum makes
/// the same update.
///
/// That holds for the candidates for dead codes, too. There is one slot per code, and share i of n fills only the slots
/// i, i + n, i + 2n, ... with vectors drawn from its own batch; the others are 0. So the sum holds one vector in every slot,
/// a dead code takes the vector in its own slot, and nothing is drawn at the update.
#[derive(Debug)]
pub struct Statistics {
    pub(crate) stages: Vec<StageStatistics>,
}

/// Those of one codebook.
#[derive(Debug)]
pub(crate) struct StageStatistics {
    /// Vectors per code, `[K]` f32.
    pub(crate) counts: Tensor,
    /// Sum of each code's vectors, `[K, D]` f32.
    pub(crate) sums: Tensor,
    /// A vector for each slot of this share, `[K, D]` f32; 0 in the others'.
    pub(crate) candidates: Tensor,
    /// How often each slot was filled, `[K]` f32: once in the sum over all shares, 0 where a batch was empty.
    pub(crate) filled: Tensor,
}

impl Statistics {
    /// Adds those of another micro-batch.
    ///
    /// # Errors
    /// [`VqError::OtherStatistics`] when they are of other codebooks; [`VqError::Torch`].
    pub fn add(&mut self, other: &Statistics) -> Result<(), VqError> {
        let sizes = |statistics: &Statistics| statistics.tensors().map(Tensor::size).collect::<Vec<_>>();
        if sizes(self) != sizes(other) {
            return Err(VqError::OtherStatistics { got: sizes(other), want: sizes(self) });
        }
        for (to, from) in self.tensors().zip(other.tensors()) {
            _ = to.shallow_clone().f_add_(from).map_err(during("adding statistics"))?;
        }
        Ok(())
    }

    /// Every tensor, f32, four per codebook, in the same order and sizes on all ranks: sum each in place over the ranks.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.stages.iter().flat_map(|stage| [&stage.counts, &stage.sums, &stage.candidates, &stage.filled])
    }

    /// How many vectors were given each code, `[K]` f32 for each codebook.
    pub fn counts(&self) -> Vec<&Tensor> {
        self.stages.iter().map(|stage| &stage.counts).collect()
    }
}

impl StageStatistics {
    /// The vector in each slot, `[K, D]`, and whether there is one, `[K, 1]` bool.
    pub(crate) fn candidates(&self) -> Result<(Tensor, Tensor), TchError> {
        let filled = self.filled.f_unsqueeze(-1)?;
        // More than once only when two batches named the same share: then their mean.
        Ok((self.candidates.f_div(&filled.f_clamp_min(1.0)?)?, filled.f_gt(0.0)?))
    }
}

impl Share {
    pub(crate) fn check(self) -> Result<(), VqError> {
        let Share { index, of } = self;
        if (0..of).contains(&index) { Ok(()) } else { Err(VqError::Share { index, of }) }
    }
}

/// Number and sum of the vectors of each code, `[K]` and `[K, D]` f32.
///
/// * `z_nd` - `[N, D]` f32 without gradient
/// * `codes_n` - `[N]` int64 in `0..num_codes`
pub(crate) fn totals(z_nd: &Tensor, codes_n: &Tensor, num_codes: i64) -> Result<(Tensor, Tensor), TchError> {
    let (num_vectors, width) = z_nd.size2()?;
    let options = (Kind::Float, z_nd.device());
    let ones = Tensor::f_ones([num_vectors], options)?;
    let counts = Tensor::f_zeros([num_codes], options)?.f_index_add_(0, codes_n, &ones)?;
    let sums = Tensor::f_zeros([num_codes, width], options)?.f_index_add_(0, codes_n, z_nd)?;
    Ok((counts, sums))
}

/// Vectors drawn from `z_nd` for the slots of one share, `[K, D]`, and which slots these are, `[K]` f32, 1 or 0.
pub(crate) fn slots(z_nd: &Tensor, num_codes: i64, share: Share) -> Result<(Tensor, Tensor), TchError> {
    let (num_vectors, width) = z_nd.size2()?;
    let options = (Kind::Float, z_nd.device());
    let mut drawn = Tensor::f_zeros([num_codes, width], options)?;
    let mut filled = Tensor::f_zeros([num_codes], options)?;
    if num_vectors > 0 && share.index < num_codes {
        let places = Tensor::f_arange_start_step(share.index, num_codes, share.of, (Kind::Int64, z_nd.device()))?;
        _ = drawn.f_index_copy_(0, &places, &draw(z_nd, places.numel() as i64)?)?;
        _ = filled.f_index_fill_(0, &places, 1.0)?;
    }
    Ok((drawn, filled))
}

/// Draws `count` of the rows of `z_nd` (N > 0) from libtorch's generator: without replacement when there are enough; else
/// all rows, over and over, copies told apart by a little noise.
fn draw(z_nd: &Tensor, count: i64) -> Result<Tensor, TchError> {
    let (num_vectors, width) = z_nd.size2()?;
    // Drawn on the CPU, so that one seed makes one choice on every kind of device.
    let order = Tensor::f_randperm(num_vectors, (Kind::Int64, Device::Cpu))?;
    let turn = Tensor::f_arange(count, (Kind::Int64, Device::Cpu))?;
    let rows = order.f_index_select(0, &turn.f_remainder(num_vectors)?)?.f_to(z_nd.device())?;
    let drawn = z_nd.f_index_select(0, &rows)?;
    if count <= num_vectors {
        return Ok(drawn);
    }
    let noise = Tensor::f_randn([count, width], (Kind::Float, Device::Cpu))?.f_to(z_nd.device())?;
    let is_copy = turn.f_ge(num_vectors)?.f_to(z_nd.device())?.f_unsqueeze(-1)?;
    drawn.f_add(&noise.f_mul_scalar(TILE_NOISE / (width as f64).sqrt())?.f_mul(&is_copy)?)
}
