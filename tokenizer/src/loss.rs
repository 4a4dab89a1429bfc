use nn::{Codes, During, Losses, NnError};
use tch::{Kind, TchError, Tensor};
use vector_quantize::Quantized;

use crate::TokenizerError;
use crate::watch::Seen;

mod adversarial;
mod config;
mod critics;
mod discriminator;
mod perceptual;

pub use config::{
    AdaptiveConfig, AdversarialConfig, Downsample, GanConfig, GanLoss, LossConfig, PenaltyConfig, PerceptualConfig,
    Recon,
};
pub use critics::Critics;

/// What one training forward pass leaves behind.
pub(crate) struct Forward {
    /// The input, `[B, F, H, W, 3]` f32 in `[-1, 1]`.
    pub(crate) frames: Tensor,
    /// Before quantization, `[B, T, H, W, D]`.
    pub(crate) latents: Tensor,
    /// The reconstruction, of the frames' shape.
    pub(crate) output: Tensor,
    /// Values and codes of all tokens, those set to 0 behind it included, and the quantizer's own loss.
    pub(crate) quantized: Quantized,
    /// How far the levels of an FSQ are from evenly used; where that has a weight.
    pub(crate) spread: Option<Tensor>,
    /// Scores, `[B, T, H, W]`.
    pub(crate) scores: Tensor,
    /// The mask, `[B, T, H, W]`.
    pub(crate) mask: Tensor,
    /// Weights of the decoder's last layer, which an adaptive weight of the adversarial term looks at.
    pub(crate) last_layer: Tensor,
}

/// A part of the loss.
struct Part {
    /// With its weights.
    total: Tensor,
    /// For the log, as in [`Losses`].
    terms: Vec<(&'static str, Tensor)>,
}

impl Forward {
    /// What the watch over training looks at.
    pub(crate) fn seen(&self) -> Result<Seen, NnError> {
        let detach = |x: &Tensor| x.f_detach().during("watching training");
        Ok(Seen {
            frames: detach(&self.frames)?,
            latents: detach(&self.latents)?,
            codes: detach(&self.quantized.codes)?,
            scores: detach(&self.scores)?,
        })
    }
}

/// The reconstruction's loss and what critics and quantizer add to it.
///
/// * `step` - of the run, from 1
pub(crate) fn losses(
    forward: &Forward,
    (config, num_codes): (&LossConfig, i64),
    critics: &mut Critics,
    step: u64,
) -> Result<Losses, TokenizerError> {
    let codes = Codes { codes: forward.quantized.codes.shallow_clone(), codebook_size: num_codes };
    let build = || {
        let Part { mut total, mut terms } = pixels(forward, config)?;
        if let Some(perceptual) = &critics.perceptual {
            let distance = perceptual.distance(&forward.output, &forward.frames, step)?;
            terms.push(("perceptual", distance.f_detach()?));
            total = total.f_add(&distance.f_mul_scalar(perceptual.weight)?)?;
        }
        if let Some(adversary) = &mut critics.adversary
            && let Some(part) = adversary.judge(forward, &total, step)?
        {
            terms.extend(part.terms);
            total = total.f_add(&part.total)?;
        }
        if let Some(spread) = &forward.spread {
            terms.push(("spread", spread.f_detach()?));
            total = total.f_add(&spread.f_mul_scalar(config.spread_weight)?)?;
        }
        // Behind the discriminator's terms, whose adaptive weight follows from the reconstruction's gradient.
        if let Some(loss) = &forward.quantized.loss {
            total = total.f_add(loss)?;
        }
        terms.extend(forward.quantized.terms.iter().map(|(name, value)| (*name, value.shallow_clone())));
        terms.push(("kept_share", forward.mask.f_detach()?.f_mean(Kind::Float)?));
        terms.push(("score_mean", forward.scores.f_detach()?.f_mean(Kind::Float)?));
        terms.push(("score_std", forward.scores.f_detach()?.f_std(false)?));
        Ok(Losses { total, terms, features: None, codes: Some(codes) })
    };
    Ok(build().during("the tokenizer's loss")?)
}

/// Reconstruction error, plus the same error between differences of adjacent frames where it has a weight.
fn pixels(forward: &Forward, config: &LossConfig) -> Result<Part, TchError> {
    let error = forward.output.f_sub(&forward.frames)?;
    let recon = distance(&error, config.recon)?;
    let mut terms = vec![("recon", recon.f_detach()?), ("psnr_db", psnr_db(&forward.output, &forward.frames)?)];
    let mut total = recon;
    if config.frame_diff_weight > 0.0 {
        // The difference of two errors is the error of the difference.
        let diff = distance(&error.f_diff(1, 1, None::<Tensor>, None::<Tensor>)?, config.recon)?;
        terms.push(("frame_diff", diff.f_detach()?));
        total = total.f_add(&diff.f_mul_scalar(config.frame_diff_weight)?)?;
    }
    Ok(Part { total, terms })
}

fn distance(error: &Tensor, recon: Recon) -> Result<Tensor, TchError> {
    match recon {
        Recon::L1 => error.f_abs()?.f_mean(Kind::Float),
        Recon::L2 => error.f_square()?.f_mean(Kind::Float),
    }
}

/// Peak signal-to-noise ratio of the whole batch in dB, the output clamped to the range of frames: `10 log10(2^2 / mse)`.
fn psnr_db(output: &Tensor, frames: &Tensor) -> Result<Tensor, TchError> {
    let mse = output.f_detach()?.f_clamp(-1.0, 1.0)?.f_sub(frames)?.f_square()?.f_mean(Kind::Float)?;
    mse.f_div_scalar(4.0)?.f_log10()?.f_mul_scalar(-10.0)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::tests::without_critics;

    fn forward(output: [f32; 4], quantizer_loss: Option<f32>) -> Forward {
        // One colour value at four frames.
        let clip = |values: &[f32]| Tensor::from_slice(values).view([1, 4, 1, 1, 1]);
        let ones = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        Forward {
            frames: clip(&[-1.0, 0.0, 0.5, 1.0]),
            output: clip(&output),
            latents: ones.shallow_clone(),
            quantized: Quantized {
                values: ones.shallow_clone(),
                codes: Tensor::from_slice(&[0i64, 3]).view([1, 2, 1, 1]),
                loss: quantizer_loss.map(Tensor::from),
                terms: Vec::new(),
            },
            spread: None,
            scores: Tensor::from_slice(&[1.0f32, 3.0]).view([1, 2, 1, 1]),
            last_layer: ones.shallow_clone(),
            mask: ones,
        }
    }

    fn judged(output: [f32; 4], config: &LossConfig) -> Losses {
        losses(&forward(output, None), (config, 8), &mut Critics::none(), 1).unwrap()
    }

    fn term(losses: &Losses, name: &str) -> f64 {
        losses.terms.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[])
    }

    #[track_caller]
    fn assert_near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-5, "{got} is not {want}");
    }

    #[test]
    fn the_terms_of_four_values_worked_by_hand() {
        // Errors (-0.5, 0, 0.5, 0); their differences (0.5, 0.5, -0.5).
        let got = judged([-1.5, 0.0, 1.0, 1.0], &without_critics(Recon::L1, 0.1));
        assert_near(term(&got, "recon"), 0.25);
        assert_near(term(&got, "frame_diff"), 0.5);
        assert_near(got.total.double_value(&[]), 0.3);
        // Clamped, the first error is 0: mse = 0.25 / 4, PSNR = 10 log10(4 * 16) = 18.0618.
        assert_near(term(&got, "psnr_db"), 10.0 * 64.0_f64.log10());
        let codes = got.codes.as_ref().unwrap();
        assert_eq!(Vec::<i64>::try_from(codes.codes.flatten(0, -1)).unwrap(), [0, 3]);
        assert_eq!(codes.codebook_size, 8);
        assert_near(term(&got, "kept_share"), 1.0);
        assert_near(term(&got, "score_mean"), 2.0);
        assert_near(term(&got, "score_std"), 1.0);
    }

    #[test]
    fn squared_error_without_frame_differences() {
        let got = judged([-1.5, 0.0, 1.0, 1.0], &without_critics(Recon::L2, 0.0));
        assert_near(got.total.double_value(&[]), 0.125);
        assert!(got.terms.iter().all(|(name, _)| *name != "frame_diff"));
    }

    #[test]
    fn the_spread_of_the_codes_is_added_with_its_weight() {
        let config = LossConfig { spread_weight: 0.5, ..without_critics(Recon::L1, 0.0) };
        let forward = Forward { spread: Some(Tensor::from(0.25f32)), ..forward([-1.5, 0.0, 1.0, 1.0], None) };
        let got = losses(&forward, (&config, 8), &mut Critics::none(), 1).unwrap();
        assert_near(term(&got, "spread"), 0.25);
        assert_near(got.total.double_value(&[]), 0.375);
    }

    #[test]
    fn the_quantizers_loss_is_added_as_it_is() {
        let config = without_critics(Recon::L1, 0.0);
        let forward = forward([-1.5, 0.0, 1.0, 1.0], Some(0.125));
        let got = losses(&forward, (&config, 8), &mut Critics::none(), 1).unwrap();
        assert_near(got.total.double_value(&[]), 0.375);
    }
}
