use nn::{FinalNorm, Position};
use serde::Deserialize;
use serde_json::json;
use spec::{ClipGeometry, Preset};

use super::names::{Foreign, Part};
use crate::exit::BadInput;
use crate::presets::{self, ModelConfig, PretrainPreset};

/// What `config.json` says beyond the shapes of the weights. What it leaves out is as in transformers, and in the published
/// code, which has no such file.
#[derive(Debug, Deserialize)]
pub(crate) struct TransformersConfig {
    #[serde(default = "side")]
    image_size: i64,
    #[serde(default = "frames")]
    num_frames: i64,
    num_attention_heads: Option<i64>,
    decoder_num_attention_heads: Option<i64>,
    #[serde(default = "gelu")]
    hidden_act: String,
    /// Added to the variance in every norm. The published code has 1e-6, as ours; transformers' default is 1e-12, which
    /// tells only where tokens hardly vary.
    #[serde(default)]
    layer_norm_eps: f64,
}

/// Largest epsilon of the norms for which ours, 1e-6, stands.
const MOST_EPS: f64 = 1e-5;

fn side() -> i64 {
    224
}

fn frames() -> i64 {
    16
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// The preset of foreign weights: VideoMAE's with the shapes of the weights, and on top what the user sets. How clips are
/// sampled and all of training is the preset's own: neither weights nor `config.json` tell.
///
/// * `config` - text of `config.json`; `None` where there is none
///
/// # Errors
/// [`BadInput`] for a `config.json` of another model; [`spec::SpecError`] for a setting that is none.
pub(crate) fn preset_of(weights: &Foreign, config: Option<&str>, sets: &[String]) -> anyhow::Result<Preset> {
    let config: TransformersConfig = serde_json::from_str(config.unwrap_or("{}"))
        .map_err(|err| BadInput(format!("config.json is not that of a VideoMAE of square frames: {err}")))?;
    if config.hidden_act != "gelu" {
        let act = config.hidden_act;
        return Err(BadInput(format!("config.json has hidden_act {act:?}; longvid's blocks compute \"gelu\"")).into());
    }
    if config.layer_norm_eps > MOST_EPS {
        let eps = config.layer_norm_eps;
        return Err(BadInput(format!("config.json has layer_norm_eps {eps:e}; longvid's norms have 1e-6")).into());
    }
    let Some([width, _, t, h, w]) =
        weights.size_of("encoder.embed.weight").and_then(|size| <[i64; 5]>::try_from(size).ok())
    else {
        return Err(BadInput(
            "the cubes' projection is no convolution over frames: these are weights of images".to_owned(),
        )
        .into());
    };
    let norm = if weights.size_of("encoder.norm.weight").is_some() { "tokens" } else { "none" };
    let mut shape = vec![
        format!("clip.num_frames={}", config.num_frames),
        format!("clip.size_px={}", config.image_size),
        format!("clip.patch=[{t}, {h}, {w}]"),
        format!("model.encoder.width={width}"),
        format!("model.encoder.depth={}", weights.depth("encoder.blocks")),
        format!("model.encoder.heads={}", heads("encoder", config.num_attention_heads, width, sets)?),
        format!("model.encoder.final_norm={norm}"),
    ];
    if let Some([width, ..]) = weights.size_of("to_decoder.weight").as_deref() {
        let heads = heads("decoder", config.decoder_num_attention_heads, *width, sets)?;
        shape.push(format!("model.decoder.width={width}"));
        shape.push(format!("model.decoder.depth={}", weights.depth("decoder")));
        shape.push(format!("model.decoder.heads={heads}"));
    }
    shape.extend_from_slice(sets);
    presets::load("videomae-b-16f", &shape)
}

/// Attention heads of a network, which no weight's shape tells: as `config.json` says, else those of the published model of
/// this width, else as the user sets.
fn heads(network: &str, said: Option<i64>, width: i64, sets: &[String]) -> Result<i64, BadInput> {
    let key = format!("model.{network}.heads");
    let published = match width {
        192 => Some(3),
        384 => Some(6),
        512 | 640 => Some(8),
        768 => Some(12),
        1024 | 1280 | 1408 => Some(16),
        _ => None,
    };
    // What the user sets replaces it.
    let set = sets.iter().any(|set| set.split('=').next().is_some_and(|name| name.trim() == key)).then_some(1);
    said.or(published).or(set).ok_or_else(|| {
        BadInput(format!(
            "how many heads the {network} of width {width} has is in no weight, there is no config.json that says it, and no \
             published VideoMAE has this width: give --set {key}=N"
        ))
    })
}

/// `config.json` of transformers' VideoMAE for an encoder or a whole model of ours.
///
/// # Errors
/// [`BadInput`] when transformers' VideoMAE cannot compute what this model does.
pub(crate) fn config_json(preset: &PretrainPreset, clip: &ClipGeometry, part: Part) -> Result<String, BadInput> {
    let (vit, patch, grid) = (preset.model.encoder(), clip.patch(), clip.grid());
    match vit.position {
        Position::Flat => {}
        Position::FlatOf(learned) if learned == [grid.t, grid.h, grid.w] => {}
        other => {
            return Err(BadInput(format!(
                "this encoder has position codes {other:?}, transformers' VideoMAE flat ones of its own grid; pre-train with \
                 --set model.encoder.position=flat to export"
            )));
        }
    }
    if patch.h != patch.w {
        return Err(BadInput(format!(
            "cubes of {} x {} pixels; transformers' VideoMAE has square ones",
            patch.h, patch.w
        )));
    }
    let architecture = match part {
        Part::Encoder => "VideoMAEModel",
        Part::Model => "VideoMAEForPreTraining",
    };
    let mut config = json!({
        "model_type": "videomae", "architectures": [architecture],
        "image_size": clip.size_px(), "patch_size": patch.h, "num_channels": 3,
        "num_frames": clip.num_frames(), "tubelet_size": patch.t,
        "hidden_size": vit.width, "num_hidden_layers": vit.depth, "num_attention_heads": vit.heads,
        "intermediate_size": 4 * vit.width, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.02,
        "layer_norm_eps": 1e-6, "qkv_bias": true, "norm_pix_loss": true,
        // transformers' name for "no norm after the blocks".
        "use_mean_pooling": vit.final_norm == FinalNorm::None,
        "torch_dtype": "float32",
    });
    if part == Part::Model {
        let decoder = match &preset.model {
            ModelConfig::Lvmae(cfg) if cfg.target == nn::Target::Pixels => &cfg.decoder,
            other => {
                return Err(BadInput(format!(
                    "transformers' VideoMAEForPreTraining predicts pixels from masks, this model ({}) something else; export \
                     its encoder.safetensors",
                    other.kind()
                )));
            }
        };
        config["decoder_hidden_size"] = json!(decoder.width);
        config["decoder_num_hidden_layers"] = json!(decoder.depth);
        config["decoder_num_attention_heads"] = json!(decoder.heads);
        config["decoder_intermediate_size"] = json!(4 * decoder.width);
    }
    Ok(format!("{config:#}\n"))
}
