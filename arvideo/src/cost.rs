use nn::cost::{Computing, Reading, StepCost, Tokens, bridge, cross_block, loss, stack};
use nn::{DecoderAttention, Recompute};
use torch_ext::Precision;

use crate::CheckedArvideo;

impl CheckedArvideo {
    /// What a training step of this model costs, without building it.
    ///
    /// * `num_clips` - clips that go through at once
    /// * `target_width` - see [`crate::Arvideo::new`]
    pub fn cost(&self, num_clips: i64, target_width: i64, computing: Computing) -> StepCost {
        let cfg = self.config();
        let (encoder, decoder) = (&cfg.encoder, &cfg.decoder);
        let cube_values = self.patch().num_pixels() * 3;
        let memory = self.decoder_blocks();
        let reading = Reading { clips: num_clips, memory, attention: cfg.decoder_attention };
        let reach = Some(self.encoder_blocks());
        let read = Tokens { clips: num_clips, per_clip: memory.num_keys(), reach };
        let num_asked = num_clips * memory.num_queries();
        let masks = [Some(self.encoder_blocks()), Some(memory), reading.own()];
        let mask_values: i64 = masks.into_iter().flatten().map(nn::Blocks::mask_values).sum();

        let mut parts = encoder.parts(read, cube_values, computing);
        let mut to_decoder =
            bridge(encoder.position, [read.rows(), num_asked], [encoder.width, decoder.width], computing);
        if computing.precision == Precision::Bf16 {
            // The masks, cast.
            to_decoder.kept_bytes += 2 * mask_values;
        }
        if computing.precision == Precision::F32 || self.recompute() != Recompute::None {
            // The memory itself, not only copies of it.
            to_decoder.kept_bytes += 4 * read.rows() * decoder.width;
        }
        parts.push(to_decoder);
        let one = cross_block(decoder, reading, computing);
        parts.extend(stack(one, decoder.depth, self.recompute(), 4 * num_asked * decoder.width));
        let comparing = cfg.target.comparing([num_asked, cube_values], target_width);
        parts.push(loss([num_asked; 2], [decoder.width, target_width], comparing, computing));
        // Map between the widths, query, norm, head.
        let ends = (encoder.width + 3 + target_width) * decoder.width + target_width;
        let own = match cfg.decoder_attention {
            DecoderAttention::Cross => 0,
            DecoderAttention::SelfAndCross => decoder.num_own_parameters(),
        };
        let num_parameters = encoder.num_parameters(cube_values) + decoder.num_parameters() + own + ends;
        StepCost { num_parameters, constant_bytes: 4 * mask_values, parts }
    }
}

#[cfg(test)]
mod tests {
    use nn::{Attention, Target};

    use super::*;
    use crate::model::tests::Case;

    const F32: Computing = Computing { precision: Precision::F32, attention: Attention::Fused };

    #[test]
    fn parameters_are_counted_as_they_are_built() {
        for attention in [DecoderAttention::Cross, DecoderAttention::SelfAndCross] {
            let case = Case::with(Target::Codes, |cfg| cfg.decoder_attention = attention);
            let built: i64 = case.named().iter().map(|(_, value)| value.numel() as i64).sum();
            let cost = case.model.checked.cost(2, 5, F32);
            assert_eq!(cost.num_parameters, built, "{attention:?}");
            // Each of them gets a gradient somewhere.
            let gradient_bytes: i64 = cost.parts.iter().map(|part| part.count * part.gradient_bytes).sum();
            assert_eq!(gradient_bytes, 4 * built, "{attention:?}");
        }
    }
}
