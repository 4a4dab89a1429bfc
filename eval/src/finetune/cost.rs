use nn::cost::{Computing, Part, Reading, StepCost, Tokens, classifiers, cross_block, features};
use nn::{Blocks, DecoderAttention};

use super::{ClassifierConfig, HeadPool};

impl ClassifierConfig {
    /// What a training step of this model costs, without building it.
    ///
    /// * `tokens` - those that the encoder sees, of the clips that go through at once
    /// * `cube_values` - pixels times colours of a cube
    /// * `outputs` - logits of each classifier ([`super::Heads::widths`])
    pub fn cost(&self, tokens: Tokens, cube_values: i64, outputs: &[i64], computing: Computing) -> StepCost {
        let (encoder, width) = (&self.encoder, self.encoder.width);
        let mut parts = encoder.parts(tokens, cube_values, computing);
        for part in &mut parts {
            // The encoder's tokens stay to the end of the step.
            part.backward_bytes += 4 * tokens.rows() * width;
        }
        parts.push(features(encoder.final_norm, tokens, width));
        if let HeadPool::ClassAttention { heads } = self.pool {
            parts.push(self.class_attention_part(heads, tokens, computing));
        }
        parts.push(classifiers(tokens.clips, width, outputs, computing));
        // Each value has a gradient.
        let gradient_bytes: i64 = parts.iter().map(|part| part.count * part.gradient_bytes).sum();
        StepCost { num_parameters: gradient_bytes / 4, constant_bytes: 0, parts }
    }

    fn class_attention_part(&self, heads: i64, tokens: Tokens, computing: Computing) -> Part {
        let memory = Blocks { count: 1, queries: 1, keys: tokens.per_clip + 1 };
        let reading = Reading { clips: tokens.clips, memory, attention: DecoderAttention::Cross };
        let one = cross_block(&self.class_attention(heads), reading, computing);
        // The query and the tokens in one, and what their norm makes of it.
        let width = self.encoder.width;
        let both = 2 * 4 * tokens.clips * memory.num_keys() * width;
        Part {
            name: "class attention",
            kept_bytes: one.kept_bytes + both,
            forward_bytes: one.forward_bytes + both,
            backward_bytes: one.backward_bytes.max(both),
            // The query, the norm.
            gradient_bytes: one.gradient_bytes + 4 * 3 * width,
            ..one
        }
    }
}

#[cfg(test)]
mod tests {
    use nn::{Attention, FinalNorm, Position, Recompute, VitConfig};
    use spec::{Grid, Patch};
    use tch::{Device, nn::VarStore};
    use torch_ext::Precision;

    use super::*;
    use crate::{Classifier, HeadKind, Heads, TokenDrop};

    #[test]
    fn parameters_are_counted_as_they_are_built() {
        let (grid, patch) = (Grid { t: 2, h: 2, w: 2 }, Patch { t: 2, h: 4, w: 4 });
        let computing = Computing { precision: Precision::F32, attention: Attention::Fused };
        for (pool, final_norm) in [
            (HeadPool::Mean {}, FinalNorm::None),
            (HeadPool::Mean {}, FinalNorm::Tokens),
            (HeadPool::ClassAttention { heads: 3 }, FinalNorm::None),
        ] {
            let encoder = VitConfig {
                width: 12,
                depth: 2,
                heads: 2,
                position: Position::Flat,
                recompute: Recompute::None,
                drop_path: 0.0,
                final_norm,
            };
            let (heads, token_drop) = (HeadKind::Each {}, TokenDrop::None {});
            let cfg = ClassifierConfig { encoder, pool, heads, init_scale: 1.0, token_drop };
            let vs = VarStore::new(Device::Cpu);
            let outputs = Heads::new(heads, &[3, 5], &[]).unwrap();
            Classifier::new(&vs.root(), &cfg, &outputs, (grid, patch)).unwrap();
            let built: i64 = vs.trainable_variables().iter().map(|value| value.numel() as i64).sum();
            let tokens = Tokens { clips: 1, per_clip: grid.num_tokens(), reach: None };
            let cost = cfg.cost(tokens, patch.num_pixels() * 3, &outputs.widths(), computing);
            assert_eq!(cost.num_parameters, built, "{pool:?}, {final_norm:?}");
        }
    }
}
