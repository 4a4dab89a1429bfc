use nn::{During, NnError, expect_kind, expect_shape};
use tch::{Kind, Tensor};

use super::ssim::ssim;
use crate::EvalError;

/// How close one reconstructed clip is to the clip it is of, frames being bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// Mean squared error over all values.
    pub mse: f64,
    /// Mean squared error of the differences between adjacent frames: what flickers or stands still counts here.
    pub diff_mse: f64,
    /// Mean structural similarity over frames and colours, [`ssim`].
    pub ssim: f64,
}

impl Fidelity {
    /// Compares a clip with its reconstruction, a frame at a time.
    ///
    /// * `clip_fhwc`, `drawn_fhwc` - `[F, H, W, 3]` u8, two frames or more
    ///
    /// # Errors
    /// [`EvalError::Nn`] for other shapes or element types; [`EvalError::OutOfRange`] for frames smaller than SSIM's
    /// window.
    pub fn of(clip_fhwc: &Tensor, drawn_fhwc: &Tensor) -> Result<Self, EvalError> {
        expect_shape("clip", clip_fhwc, &[-1, -1, -1, 3])?;
        expect_shape("reconstruction", drawn_fhwc, &clip_fhwc.size())?;
        for (name, clip) in [("clip", clip_fhwc), ("reconstruction", drawn_fhwc)] {
            expect_kind(name, clip, Kind::Uint8)?;
        }
        let num_frames = clip_fhwc.size()[0];
        if num_frames < 2 {
            let rule = "at least 2, to have a difference";
            return Err(EvalError::OutOfRange { key: "frames of a clip", value: num_frames as f64, rule });
        }
        let (mut error2, mut diff_error2, mut similarity) = (0.0, 0.0, 0.0);
        let mut before: Option<Tensor> = None;
        for frame in 0..num_frames {
            let frame_of = |clip: &Tensor| clip.f_select(0, frame).during("reading a frame");
            let (real, drawn) = (frame_of(clip_fhwc)?, frame_of(drawn_fhwc)?);
            let error = difference(&drawn, &real)?;
            error2 += mean_square(&error)?;
            if let Some(before) = &before {
                // The error of the difference is the difference of the errors.
                diff_error2 += mean_square(&difference(&error, before)?)?;
            }
            before = Some(error);
            similarity += ssim(&real, &drawn)?;
        }
        let num_frames = num_frames as f64;
        Ok(Fidelity {
            mse: error2 / num_frames,
            diff_mse: diff_error2 / (num_frames - 1.0),
            ssim: similarity / num_frames,
        })
    }

    /// [`psnr_db`] of the frames.
    pub fn psnr_db(&self) -> f64 {
        psnr_db(self.mse)
    }

    /// [`psnr_db`] of the differences between adjacent frames. Its peak is that of frames, 255, although differences
    /// reach from -255 to 255.
    pub fn diff_psnr_db(&self) -> f64 {
        psnr_db(self.diff_mse)
    }
}

/// Peak signal-to-noise ratio of bytes, dB: `10 log10(255^2 / mse)`. Without any error it would be infinite; below an
/// `mse` of 1e-12 it stays at 168.1 dB.
pub fn psnr_db(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse.max(1e-12)).log10()
}

fn difference(a: &Tensor, b: &Tensor) -> Result<Tensor, NnError> {
    // Differences of bytes are whole numbers, which 16 bits hold.
    let kind = Kind::Int16;
    a.f_to_kind(kind).and_then(|a| a.f_sub(&b.f_to_kind(kind)?)).during("comparing frames")
}

fn mean_square(error: &Tensor) -> Result<f64, NnError> {
    let mean = || f64::try_from(error.f_to_kind(Kind::Double)?.f_square()?.f_mean(Kind::Double)?);
    mean().during("comparing frames")
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Three frames of 12 x 12 pixels, each of one grey.
    fn greys(values: [f64; 3]) -> Tensor {
        let frame = |value: f64| Tensor::full([12, 12, 3], value, (Kind::Uint8, Device::Cpu));
        Tensor::stack(&values.map(frame), 0)
    }

    #[test]
    fn errors_of_grey_frames_worked_by_hand() {
        // Errors 10, -10, 0 and differences of them -20, 10.
        let got = Fidelity::of(&greys([0.0, 100.0, 200.0]), &greys([10.0, 90.0, 200.0])).unwrap();
        assert!((got.mse - 200.0 / 3.0).abs() < 1e-9, "{got:?}");
        assert!((got.diff_mse - 250.0).abs() < 1e-9, "{got:?}");
        // 10 log10(65025 / 250) = 24.1514.
        assert!((got.diff_psnr_db() - 24.1514).abs() < 1e-4);
        // Grey frames have no variance: SSIM is (2 a b + C1) / (a^2 + b^2 + C1) with C1 = 6.5025.
        let wanted = (6.5025 / 106.5025 + 18006.5025 / 18106.5025 + 1.0) / 3.0;
        assert!((got.ssim - wanted).abs() < 1e-6, "{} is not {wanted}", got.ssim);
    }

    #[test]
    fn equal_clips_are_as_close_as_can_be() {
        let clip = Tensor::randint(256, [2, 16, 16, 3], (Kind::Uint8, Device::Cpu));
        let got = Fidelity::of(&clip, &clip).unwrap();
        assert_eq!((got.mse, got.diff_mse), (0.0, 0.0));
        assert!((got.ssim - 1.0).abs() < 1e-6 && (got.psnr_db() - 168.13).abs() < 0.01);
    }

    #[test]
    fn clips_that_cannot_be_compared_are_refused() {
        let clip = |size: [i64; 4]| Tensor::zeros(size, (Kind::Uint8, Device::Cpu));
        let refused = |a: &Tensor, b: &Tensor| Fidelity::of(a, b).unwrap_err().to_string();
        let one = clip([1, 16, 16, 3]);
        assert!(refused(&one, &one).starts_with("frames of a clip = 1"));
        let small = clip([2, 10, 16, 3]);
        assert!(refused(&small, &small).contains("at least 11"));
        assert!(refused(&clip([2, 16, 16, 3]), &small).contains("reconstruction"));
    }
}
