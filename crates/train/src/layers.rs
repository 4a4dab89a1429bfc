use std::collections::BTreeMap;

/// How fast each parameter learns, as a factor of the learning rate, under layer-wise decay (ELECTRA, Clark et al. 2020;
/// BEiT and VideoMAE fine-tune with it): a layer learns `decay` times as fast as the layer above it.
///
/// Layers from below: everything of the encoder that stands before its blocks; each of `encoder.blocks.0`, `.1`, ...; and on
/// top, with factor 1, all the rest (the encoder's last norm, decoders, heads). A model without `encoder.blocks` has the top
/// layer only.
///
/// * `decay` - above 0, at most 1
pub fn layer_scales<'a>(names: impl Iterator<Item = &'a str> + Clone, decay: f64) -> BTreeMap<String, f64> {
    let num_blocks = names.clone().filter_map(block).max().map_or(0, |last| last + 1);
    let scale = |name: &str| {
        let layers_above = match block(name) {
            Some(block) => num_blocks - block,
            None if num_blocks > 0 && is_below_the_blocks(name) => num_blocks + 1,
            None => 0,
        };
        decay.powi(layers_above as i32)
    };
    names.map(|name| (name.to_owned(), scale(name))).collect()
}

/// The number in `encoder.blocks.NUMBER.rest`.
fn block(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.blocks.")?.split('.').next()?.parse().ok()
}

fn is_below_the_blocks(name: &str) -> bool {
    name.strip_prefix("encoder.").is_some_and(|rest| !rest.starts_with("norm."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_learns_half_as_fast_as_the_one_above() {
        let names = [
            "encoder.embed.weight",
            "encoder.pos",
            "encoder.blocks.0.attn.qkv.weight",
            "encoder.blocks.2.norm1.bias",
            "encoder.norm.weight",
            "decoder.0.norm1.weight",
            "head.bias",
        ];
        let scales = layer_scales(names.into_iter(), 0.5);
        let got: Vec<f64> = names.iter().map(|name| scales[*name]).collect();
        assert_eq!(got, [0.0625, 0.0625, 0.125, 0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn without_blocks_or_decay_everything_learns_at_full_rate() {
        let convolutions = ["encoder.stem.weight", "decoder.head.bias"];
        assert!(layer_scales(convolutions.into_iter(), 0.5).values().all(|scale| *scale == 1.0));
        let blocks = ["encoder.embed.weight", "encoder.blocks.0.norm1.bias"];
        assert!(layer_scales(blocks.into_iter(), 1.0).values().all(|scale| *scale == 1.0));
    }
}
