use nn::cost::{Computing, StepCost, Tokens, block, bridge, loss, stack};

use crate::CheckedLvmae;

impl CheckedLvmae {
    /// What a training step of this model costs, without building it.
    ///
    /// * `num_clips` - clips that go through at once
    /// * `target_width` - see [`crate::Lvmae::new`]
    pub fn cost(&self, num_clips: i64, target_width: i64, computing: Computing) -> StepCost {
        let cfg = self.config();
        let (encoder, decoder) = (&cfg.encoder, &cfg.decoder);
        let cube_values = self.patch().num_pixels() * 3;
        let tokens = |per_clip| Tokens { clips: num_clips, per_clip, reach: None };
        let (visible, asked) = (tokens(self.num_visible()).rows(), tokens(self.num_asked()).rows());
        let both = tokens(self.num_visible() + self.num_asked());
        let comparing = cfg.target.comparing([asked, cube_values], target_width);

        let mut parts = encoder.parts(tokens(self.num_visible()), cube_values, computing);
        parts.push(bridge(encoder.position, [visible, asked], [encoder.width, decoder.width], computing));
        let one = block("decoder block", decoder, both, computing);
        parts.extend(stack(one, decoder.depth, self.recompute(), 4 * both.rows() * decoder.width));
        parts.push(loss([both.rows(), asked], [decoder.width, target_width], comparing, computing));
        // Map between the widths, query, norm, head.
        let ends = (encoder.width + 3 + target_width) * decoder.width + target_width;
        let num_parameters = encoder.num_parameters(cube_values) + decoder.num_parameters() + ends;
        StepCost { num_parameters, constant_bytes: 0, parts }
    }
}

#[cfg(test)]
mod tests {
    use nn::{Attention, Position, Recompute, StackConfig, VitConfig};
    use spec::{Grid, Patch};
    use tch::{Device, nn::VarStore};
    use torch_ext::Precision;

    use super::*;
    use crate::{DecoderMask, EncoderMask, Lvmae, LvmaeConfig};

    const F32: Computing = Computing { precision: Precision::F32, attention: Attention::Fused };

    fn config([width, depth, heads]: [i64; 3], decoder: [i64; 3]) -> LvmaeConfig {
        let (position, recompute) = (Position::Flat, Recompute::None);
        LvmaeConfig {
            encoder: VitConfig {
                width,
                depth,
                heads,
                position,
                recompute,
                drop_path: 0.0,
                final_norm: nn::FinalNorm::Tokens,
            },
            decoder: StackConfig { width: decoder[0], depth: decoder[1], heads: decoder[2] },
            encoder_mask: EncoderMask::Tube { hidden_share: 0.9 },
            decoder_mask: DecoderMask::None {},
            target: nn::Target::Pixels,
        }
    }

    #[test]
    fn parameters_are_counted_as_they_are_built() {
        let (grid, patch) = (Grid { t: 2, h: 4, w: 4 }, Patch { t: 2, h: 4, w: 4 });
        let checked = config([24, 3, 2], [12, 2, 2]).check(grid, patch).unwrap();
        let vs = VarStore::new(Device::Cpu);
        Lvmae::new(vs.root(), &checked, 7).unwrap();
        let built: i64 = vs.trainable_variables().iter().map(|value| value.numel() as i64).sum();
        let cost = checked.cost(1, 7, F32);
        assert_eq!(cost.num_parameters, built);
        // Each of them gets a gradient somewhere.
        let gradient_bytes: i64 = cost.parts.iter().map(|part| part.count * part.gradient_bytes).sum();
        assert_eq!(gradient_bytes, 4 * built);
    }

    #[test]
    fn videomae_b_has_as_many_parameters_and_tokens_as_published() {
        let (grid, patch) = (Grid { t: 8, h: 14, w: 14 }, Patch { t: 2, h: 16, w: 16 });
        let checked = config([768, 12, 12], [384, 4, 6]).check(grid, patch).unwrap();
        assert_eq!((checked.num_visible(), checked.num_asked()), (160, 1408));
        // 94.2 M, as the Hugging Face hub counts MCG-NJU/videomae-base.
        assert_eq!(checked.cost(1, 1536, F32).num_parameters, 94_221_696);
    }
}
