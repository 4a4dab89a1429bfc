use nn::{During, NnError};
use tch::nn::Path;
use tch::{Kind, TchError, Tensor};
use torch_ext::Group;

use super::discriminator::Discriminator;
use super::{Forward, Part};
use crate::{AdaptiveConfig, GanConfig, GanLoss, PenaltyConfig, TokenizerError};

/// Keeps the adaptive weight finite where the discriminator's gradient vanishes (VQGAN).
const LENGTH_EPS: f64 = 1e-4;

/// The discriminator at work: the terms that it adds to the loss, and the state that follows from its logits.
///
/// Both sides' terms are in one sum. The tokenizer's is computed with detached weights of the discriminator, the
/// discriminator's on a detached reconstruction, so that neither side receives the other's gradient.
#[derive(Debug)]
pub(crate) struct Adversary {
    config: GanConfig,
    discriminator: Discriminator,
    state: State,
    /// What the next update of the state needs, sums over the clips of this step: `[clips, logits of frames, logits of
    /// reconstructions]` f64 and, where the weight is adaptive, the gradients of the reconstruction and of the adversarial
    /// term at the decoder's last layer. Empty in a step in which the discriminator takes no part.
    collected: Vec<Tensor>,
}

/// Scalars that no gradient moves: variables that are not trained, so that a checkpoint holds them.
#[derive(Debug)]
struct State {
    adaptive_weight: Tensor,
    mean_real: Tensor,
    mean_fake: Tensor,
}

impl Adversary {
    /// * `size_px` - side of the frames
    pub(crate) fn new(path: &Path, config: &GanConfig, size_px: i64) -> Result<Self, NnError> {
        let discriminator = Discriminator::new(path, config, size_px)?;
        let zero = |name| path.f_zeros_no_train(name, &[]).during("making the discriminator");
        let state = State {
            adaptive_weight: zero("adaptive_weight")?,
            mean_real: zero("mean_real")?,
            mean_fake: zero("mean_fake")?,
        };
        Ok(Adversary { config: config.clone(), discriminator, state, collected: Vec::new() })
    }

    /// Both sides' terms of a reconstruction; `None` before the first step of the discriminator.
    ///
    /// * `recon` - the loss of the reconstruction without the discriminator
    pub(super) fn judge(&mut self, forward: &Forward, recon: &Tensor, step: u64) -> Result<Option<Part>, TchError> {
        let Some(since_start) = step.checked_sub(self.config.start_step) else { return Ok(None) };
        let g_loss = self.config.loss.of_tokenizer(&self.discriminator.detached()?.logits(&forward.output)?)?;
        let both = Tensor::f_cat(&[&forward.frames, &forward.output.f_detach()?], 0)?;
        let logits = self.discriminator.logits(&both)?.f_view([2, -1])?;
        let (real, fake) = (logits.f_select(0, 0)?, logits.f_select(0, 1)?);
        let d_loss = self.config.loss.of_discriminator(&real, &fake)?;

        let mut terms = vec![("g_loss", g_loss.f_detach()?), ("d_loss", d_loss.f_detach()?)];
        for (name, logits) in [("logit_real", &real), ("logit_fake", &fake)] {
            terms.push((name, logits.f_detach()?.f_mean(Kind::Float)?));
        }
        let mut weighted = g_loss.f_mul_scalar(self.config.weight)?;
        if let AdaptiveConfig::LastLayer { .. } = self.config.adaptive {
            // A copy: the state moves on before the log is written.
            let weight = self.state.adaptive_weight.f_detach_copy()?;
            weighted = weighted.f_mul(&weight)?;
            terms.push(("adaptive_weight", weight));
        }
        let mut total = weighted.f_add(&d_loss)?;
        let penalty = match self.config.penalty {
            PenaltyConfig::R1 { weight, every } if since_start.is_multiple_of(every) => {
                let penalty = gradient_penalty(&forward.frames, |frames| self.discriminator.logits(frames))?;
                Some(("r1", penalty, weight * every as f64))
            }
            PenaltyConfig::Lecam { weight, .. } => Some(("lecam", self.state.distance(&real, &fake)?, weight)),
            PenaltyConfig::R1 { .. } | PenaltyConfig::None {} => None,
        };
        if let Some((name, penalty, weight)) = penalty {
            terms.push((name, penalty.f_detach()?));
            total = total.f_add(&penalty.f_mul_scalar(weight)?)?;
        }
        self.collect(forward, &logits, [recon, &g_loss])?;
        Ok(Some(Part { total, terms }))
    }

    /// Adds this micro-batch to what was collected.
    ///
    /// * `logits_2b` - of frames and of reconstructions
    /// * `losses` - means over clips of the reconstruction's loss and of the adversarial term
    fn collect(&mut self, forward: &Forward, logits_2b: &Tensor, losses: [&Tensor; 2]) -> Result<(), TchError> {
        let num_clips = logits_2b.size()[1] as f64;
        let logits = logits_2b.f_detach()?.f_sum_dim_intlist(1, false, Kind::Double)?;
        let mut sums = vec![Tensor::f_cat(&[&logits.f_narrow(0, 0, 1)?.f_full_like(num_clips)?, &logits], 0)?];
        if let AdaptiveConfig::LastLayer { .. } = self.config.adaptive {
            for loss in losses {
                let grads = Tensor::f_run_backward(&[loss], &[&forward.last_layer], true, false)?;
                sums.push(grads[0].f_mul_scalar(num_clips)?);
            }
        }
        if self.collected.is_empty() {
            self.collected = sums;
            return Ok(());
        }
        for (all, part) in self.collected.iter_mut().zip(sums) {
            *all = all.f_add_(&part)?;
        }
        Ok(())
    }

    /// Forgets a step that was not taken.
    pub(crate) fn drop_collected(&mut self) {
        self.collected.clear();
    }

    /// Moves the state by the clips of a whole step, those of all ranks.
    pub(crate) fn after_step(&mut self, ranks: &Group) -> Result<(), TokenizerError> {
        let sums = std::mem::take(&mut self.collected);
        if sums.is_empty() {
            return Ok(());
        }
        ranks.sum(&sums).map_err(TokenizerError::Ranks)?;
        Ok(tch::no_grad(|| self.update(&sums)).during("updating the discriminator's state")?)
    }

    fn update(&mut self, sums: &[Tensor]) -> Result<(), TchError> {
        let (num_clips, logits) = (sums[0].f_select(0, 0)?, sums[0].f_narrow(0, 1, 2)?);
        if let PenaltyConfig::Lecam { decay, .. } = self.config.penalty {
            let means = logits.f_div(&num_clips)?.f_to_kind(Kind::Float)?;
            for (i, running) in [&mut self.state.mean_real, &mut self.state.mean_fake].into_iter().enumerate() {
                *running = running.f_lerp_(&means.f_select(0, i as i64)?, 1.0 - decay)?;
            }
        }
        if let (AdaptiveConfig::LastLayer { max }, [_, recon, adversarial]) = (self.config.adaptive, sums) {
            let length = |sum: &Tensor| sum.f_div(&num_clips.f_to_kind(Kind::Float)?)?.f_norm();
            let ratio = length(recon)?.f_div(&length(adversarial)?.f_add_scalar(LENGTH_EPS)?)?;
            self.state.adaptive_weight.f_copy_(&ratio.f_clamp_max(max)?)?;
        }
        Ok(())
    }
}

/// R1 without its weight: the squared length of the gradient of each clip's logit at the clip, mean over clips,
/// differentiable.
///
/// * `logits` - a function of clips `[B, ..]` to `[B]`, in which no clip hears of another
fn gradient_penalty(clips: &Tensor, logits: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Tensor, TchError> {
    let clips = clips.f_detach()?.f_set_requires_grad(true)?;
    let grads = Tensor::f_run_backward(&[logits(&clips)?.f_sum(Kind::Float)?], &[&clips], true, true)?;
    grads[0].f_square()?.f_flatten(1, -1)?.f_sum_dim_intlist(1, false, None)?.f_mean(None)
}

impl State {
    /// LeCAM without its weight, mean over clips. MAGVIT squares the distance of the batch's mean; the authors of LeCAM, and
    /// this, that of each logit, which does not depend on how a step is split.
    fn distance(&self, real: &Tensor, fake: &Tensor) -> Result<Tensor, TchError> {
        let real = real.f_sub(&self.mean_fake)?.f_relu()?.f_square()?.f_mean(Kind::Float)?;
        let fake = self.mean_real.f_sub(fake)?.f_relu()?.f_square()?.f_mean(Kind::Float)?;
        real.f_add(&fake)
    }
}

impl GanLoss {
    fn of_tokenizer(self, fake: &Tensor) -> Result<Tensor, TchError> {
        match self {
            GanLoss::NonSaturating => fake.f_neg()?.f_softplus(),
            GanLoss::Hinge => fake.f_neg(),
        }?
        .f_mean(Kind::Float)
    }

    fn of_discriminator(self, real: &Tensor, fake: &Tensor) -> Result<Tensor, TchError> {
        let (real, fake) = match self {
            GanLoss::NonSaturating => (real.f_neg()?.f_softplus()?, fake.f_softplus()?),
            GanLoss::Hinge => {
                let one_minus = |logits: &Tensor| logits.f_neg()?.f_add_scalar(1.0)?.f_relu();
                (one_minus(real)?, one_minus(&fake.f_neg()?)?)
            }
        };
        real.f_mean(Kind::Float)?.f_add(&fake.f_mean(Kind::Float)?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
