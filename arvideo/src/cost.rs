use nn::Recompute;
use nn::cost::{Computing, Part, Reading, StepCost, Tokens, bridge, cross_blocks, loss};
use torch_ext::Precision;

use crate::CheckedArvideo;
use crate::model::parts;

impl CheckedArvideo {
    /// What a training step of this model costs, without building it.
    ///
    /// * `num_clips` - clips that go through at once
    /// * `target_width` - see [`crate::Arvideo::new`]
    pub fn cost(&self, num_clips: i64, target_width: i64, computing: Computing) -> StepCost {
        let cfg = self.config();
        let (encoder, decoder) = (&cfg.encoder, &cfg.decoder);
        let cube_values = self.patch().num_pixels() * 3;
        let tokens = |per_clip| Tokens { clips: num_clips, per_clip };
        let num_blocks = self.clusters().count() as i64 - 1;
        let [read, asked] = [self.num_kept(), self.clusters().size()].map(|size| tokens(num_blocks * size as i64));
        let target_bytes = match cfg.target.pixel_norm() {
            // Pixels, the same less their mean, and over their deviation.
            Some(_) => 3 * 4 * asked.rows() * cube_values,
            None => 4 * asked.rows() * target_width,
        };

        let mask_values = read.per_clip * read.per_clip;
        let mut stages = encoder.parts(read, cube_values, computing);
        let mut to_decoder =
            bridge(encoder.position, [read.rows(), asked.rows()], [encoder.width, decoder.width], computing);
        if computing.precision == Precision::Bf16 {
            // The encoder's mask, cast.
            to_decoder.kept_bytes += 2 * mask_values;
        }
        if self.keeps_memory(num_clips, computing) {
            to_decoder.kept_bytes += 4 * read.rows() * decoder.width;
        }
        stages.push(to_decoder);
        stages.extend(self.decoder_parts(read, asked, computing));
        stages.push(loss([asked.rows(); 2], [decoder.width, target_width], target_bytes, computing));
        // Map between the widths, query, norm, head.
        let ends = (encoder.width + 3 + target_width) * decoder.width + target_width;
        let num_parameters = encoder.num_parameters(cube_values) + decoder.num_parameters() + ends;
        StepCost { num_parameters, constant_bytes: 4 * mask_values, parts: stages }
    }

    /// Whether the memory itself outlives the forward pass, not only copies of it.
    fn keeps_memory(&self, num_clips: i64, computing: Computing) -> bool {
        let no_copies = num_clips == 1 && computing.precision == Precision::F32;
        no_copies || self.recompute() != Recompute::None
    }

    fn decoder_parts(&self, read: Tokens, asked: Tokens, computing: Computing) -> Vec<Part> {
        let decoder = &self.config().decoder;
        let num_blocks = self.clusters().count() as i64 - 1;
        let answers_bytes = 4 * asked.rows() * decoder.width;
        let part = |blocks: std::ops::Range<i64>| {
            let of_blocks = |all: Tokens, num: i64| Tokens { per_clip: all.per_clip / num_blocks * num, ..all };
            let reading = Reading {
                queries: of_blocks(asked, blocks.end - blocks.start),
                memory: of_blocks(read, blocks.end),
                recompute: self.recompute(),
            };
            // The last part goes back first, before any gradient of the memory or of a weight is there. Weights' gradients wait
            // until all parts are through, or are added to part by part where these run again.
            let weights = 4 * decoder.num_parameters();
            let last = blocks.end == num_blocks;
            let shared_bytes = if last { 0 } else { 4 * read.rows() * decoder.width + weights };
            // The first part goes back last, and only then all that uses the weights is through.
            let gradient_bytes = if blocks.start == 0 { 4 * decoder.num_parameters() } else { 0 };
            let part = cross_blocks(decoder, reading, answers_bytes + shared_bytes, computing);
            Part { gradient_bytes, ..part }
        };
        parts(num_blocks).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use nn::{Attention, Target};

    use super::*;
    use crate::model::tests::Case;

    #[test]
    fn parameters_are_counted_as_they_are_built() {
        let case = Case::new(Target::Codes, Recompute::None);
        let built: i64 = case.named().iter().map(|(_, value)| value.numel() as i64).sum();
        let computing = Computing { precision: Precision::F32, attention: Attention::Fused };
        let cost = case.model.checked.cost(2, 5, computing);
        assert_eq!(cost.num_parameters, built);
        // Each of them gets a gradient somewhere.
        let gradient_bytes: i64 = cost.parts.iter().map(|part| part.count * part.gradient_bytes).sum();
        assert_eq!(gradient_bytes, 4 * built);
    }

    #[test]
    fn the_decoders_parts_read_every_query_once() {
        let case = Case::new(Target::Codes, Recompute::None);
        let checked = &case.model.checked;
        let num_blocks = checked.clusters().count() as i64 - 1;
        let asked: i64 = parts(num_blocks).map(|blocks| blocks.end - blocks.start).sum();
        assert_eq!(asked, num_blocks);
        let computing = Computing { precision: Precision::F32, attention: Attention::Fused };
        let cost = checked.cost(2, 5, computing);
        let decoder = cost.parts.iter().filter(|part| part.name == "decoder part");
        assert_eq!(decoder.count(), parts(num_blocks).count());
    }
}
