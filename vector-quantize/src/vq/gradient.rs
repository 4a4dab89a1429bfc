use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::codes::pass_gradient;

/// Keeps a division by a length of 0 finite.
const LEAST_LENGTH: f64 = 1e-6;

/// How the gradient of the chosen entry e becomes that of the vector z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gradient {
    /// Unchanged, as if e were z.
    StraightThrough,
    /// As if e were z rotated and stretched by constants that make it e (Fifty et al., ICLR 2025, arXiv:2410.06424): the
    /// angle between gradient and entry is kept.
    Rotation,
}

impl Gradient {
    /// The entries, with the gradient that the choice of the nearest passes on to the vectors.
    ///
    /// * `z_nd`, `entries_nd` - `[N, D]` f32
    pub(super) fn pass(self, z_nd: &Tensor, entries_nd: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Gradient::StraightThrough => pass_gradient(entries_nd, z_nd),
            Gradient::Rotation => pass_gradient(entries_nd, &rotated(z_nd, entries_nd)?),
        }
    }
}

/// `|e| / |z| (z - 2 r r'z + 2 q u'z)` with `u = z / |z|`, `q = e / |e|`, `r = (u + q) / |u + q|` held constant: equation 4
/// of section 4.2. Sums of products, which autocast leaves in f32, instead of matrix products.
fn rotated(z_nd: &Tensor, entries_nd: &Tensor) -> Result<Tensor, TchError> {
    let constant = z_nd.f_detach()?;
    let (u, q) = (unit(&constant)?, unit(entries_nd)?);
    let r = unit(&u.f_add(&q)?)?;
    let along = |axis: &Tensor| z_nd.f_mul(axis)?.f_sum_dim_intlist(-1, true, Kind::Float)?.f_mul_scalar(2.0);
    let turned = z_nd.f_sub(&r.f_mul(&along(&r)?)?)?.f_add(&q.f_mul(&along(&u)?)?)?;
    turned.f_mul(&length(entries_nd)?.f_div(&length(&constant)?.f_clamp_min(LEAST_LENGTH)?)?)
}

fn length(rows: &Tensor) -> Result<Tensor, TchError> {
    rows.f_square()?.f_sum_dim_intlist(-1, true, Kind::Float)?.f_sqrt()
}

fn unit(rows: &Tensor) -> Result<Tensor, TchError> {
    rows.f_div(&length(rows)?.f_clamp_min(LEAST_LENGTH)?)
}
