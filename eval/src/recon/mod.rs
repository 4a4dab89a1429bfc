//! How close a reconstruction is to its clip: PSNR, PSNR of frame differences, SSIM, and the Frechet distance of
//! features.

mod fidelity;
mod frechet;
mod i3d;
mod ssim;

pub use fidelity::{Fidelity, psnr_db};
pub use frechet::{FeatureSet, frechet_distance};
pub use i3d::I3d;
pub use ssim::{SSIM_WINDOW_PX, ssim};
