use std::path::{Path, PathBuf};

use lvmae::{ClipMask, Lvmae};
use nn::{Cubes, Losses, Mode, Targets};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use train::NamedTensors;

use super::*;
use crate::presets::{ModelConfig, PretrainPreset};

/// The golden models' numbers that no shape tells.
const CLIP: &str =
    r#"{ "num_frames": 8, "image_size": 16, "num_attention_heads": 3, "decoder_num_attention_heads": 2 }"#;
const IMAGE: &str =
    r#"{ "num_frames": 1, "image_size": 16, "num_attention_heads": 3, "decoder_num_attention_heads": 2 }"#;

/// What golden/gen_videomae.py wrote: weights by transformers' names, and the rest.
struct Golden {
    weights: NamedTensors,
    rest: NamedTensors,
}

fn golden(name: &str) -> Golden {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/weights/golden/{name}.safetensors"));
    let is_rest = |name: &str| ["grad.", "input.", "output."].iter().any(|begin| name.starts_with(begin));
    let (rest, weights) = train::weights::load_foreign(&path).unwrap().into_iter().partition(|(name, _)| is_rest(name));
    Golden { weights, rest }
}

fn copies(tensors: &NamedTensors) -> NamedTensors {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect()
}

/// A model of ours with foreign weights in it.
struct Imported {
    preset: PretrainPreset,
    model: Lvmae,
    vs: VarStore,
}

fn import(weights: NamedTensors, config: &str) -> Result<Imported, anyhow::Error> {
    let foreign = Foreign::new("golden", weights)?;
    let preset: PretrainPreset = preset_of(&foreign, Some(config), &[])?.parse()?;
    let clip = preset.clip.check()?;
    let ModelConfig::Lvmae(cfg) = &preset.model else { panic!("videomae is masked autoencoding") };
    let vs = VarStore::new(Device::Cpu);
    let model = Lvmae::new(vs.root(), &cfg.check(clip.grid(), clip.patch())?, clip.patch().num_pixels() * 3)?;
    for (name, variable) in train::named(&vs) {
        let tensor = foreign.variable(&name, &variable.size(), clip.patch())?;
        tch::no_grad(|| variable.shallow_clone().copy_(&tensor));
    }
    foreign.expect_used(Part::Model)?;
    Ok(Imported { preset, model, vs })
}

/// Largest difference as a share of the largest value.
fn apart(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.size(), want.size());
    (got - want).abs().max().double_value(&[]) / want.abs().max().double_value(&[])
}

fn is_as_transformers(name: &str, config: &str) {
    let Golden { weights, rest } = golden(name);
    let Imported { preset, model, vs } = import(weights, config).unwrap();
    let clip = preset.clip.check().unwrap();
    let hidden = &rest["input.hidden_bn"];
    let masks: Vec<ClipMask> = (0..2)
        .map(|b| {
            let those = |value| Vec::<i64>::try_from(hidden.get(b).eq(value).nonzero().flatten(0, -1)).unwrap();
            ClipMask { visible: those(0), decoded: those(1), unscored: Vec::new() }
        })
        .collect();
    let cubes = Cubes::new(&rest["input.clip_bthwc"], clip.grid(), clip.patch()).unwrap();
    let (visible, decoded) = model.indices(&cubes, &masks).unwrap();
    let said = model.forward(&cubes, &visible, &decoded, Mode::Eval).unwrap();
    assert!(apart(&said.features_bvd, &rest["output.features_bvd"]) < 1e-5);
    assert!(apart(&said.values_bqc, &rest["output.logits_bqc"]) < 1e-5);

    let Losses { total, .. } = model.loss(&rest["input.clip_bthwc"], &masks, &Targets::Pixels).unwrap();
    assert!(apart(&total.view(1), &rest["output.loss"]) < 1e-5);
    total.f_backward().unwrap();
    let gradients: NamedTensors = train::named(&vs).into_iter().map(|(name, v)| (name, v.grad())).collect();
    let theirs = to_transformers(&gradients, Part::Model, clip.patch());
    let mut compared = 0;
    for (name, want) in rest.iter().filter_map(|(name, want)| Some((name.strip_prefix("grad.")?, want))) {
        let got = theirs[name].narrow(0, 0, want.size()[0]);
        assert!(apart(&got, want) < 1e-5, "gradient of {name}: {:e}", apart(&got, want));
        compared += 1;
    }
    assert!(compared > 30, "{compared} gradients");
    // The bias of k, which theirs do not have, is felt by nothing.
    for (name, gradient) in gradients.iter().filter(|(name, _)| name.ends_with("qkv.bias")) {
        let width = gradient.size()[0] / 3;
        let (q, k) = (gradient.narrow(0, 0, width), gradient.narrow(0, width, width));
        assert!(k.abs().max().double_value(&[]) < 1e-5 * q.abs().max().double_value(&[]), "{name}");
    }
}

#[test]
fn forward_loss_and_gradients_are_those_of_transformers_videomae() {
    is_as_transformers("clip", CLIP);
}

#[test]
fn a_single_frame_is_a_clip_whose_cubes_are_patches() {
    is_as_transformers("image", IMAGE);
}

#[test]
fn weights_go_out_and_come_back_bit_for_bit() {
    let Imported { preset, vs, .. } = import(golden("clip").weights, CLIP).unwrap();
    let patch = preset.clip.check().unwrap().patch();
    let out = to_transformers(&train::named(&vs), Part::Model, patch);
    assert_eq!(out, golden("clip").weights);
    let back = import(copies(&out), CLIP).unwrap();
    assert_eq!(train::named(&back.vs), train::named(&vs));

    let encoder = |vs: &VarStore| -> NamedTensors {
        train::named(vs).into_iter().filter(|(name, _)| name.starts_with("encoder.")).collect()
    };
    let alone = Foreign::new("encoder", to_transformers(&encoder(&vs), Part::Encoder, patch)).unwrap();
    assert_eq!(alone.part(), Part::Encoder);
    for (name, variable) in encoder(&vs) {
        assert_eq!(alone.variable(&name, &variable.size(), patch).unwrap(), variable, "{name}");
    }
    alone.expect_used(Part::Encoder).unwrap();
}

/// The published code's name of a tensor of transformers'.
fn published(name: &str) -> String {
    let name = name.replace("videomae.embeddings.patch_embeddings.projection", "encoder.patch_embed.proj");
    let name = name.replace("videomae.encoder.layer", "encoder.blocks").replace("videomae.layernorm", "encoder.norm");
    let name = name.replace("decoder.decoder_layers", "decoder.blocks").replace("attention.output.dense", "attn.proj");
    let name = name.replace("attention.attention", "attn").replace("intermediate.dense", "mlp.fc1");
    let name = name.replace("output.dense", "mlp.fc2").replace("layernorm_before", "norm1");
    name.replace("layernorm_after", "norm2")
}

#[test]
fn the_published_codes_names_give_the_same_model() {
    let weights = golden("clip").weights;
    let mut theirs = NamedTensors::new();
    for (name, tensor) in &weights {
        let Some(attn) = name.strip_suffix("query.weight") else {
            if !name.ends_with("key.weight") && !name.ends_with("value.weight") {
                theirs.insert(published(name), tensor.copy());
            }
            continue;
        };
        let of = |part: &str| &weights[&format!("{attn}{part}.weight")];
        theirs.insert(published(&format!("{attn}qkv.weight")), Tensor::cat(&[of("query"), of("key"), of("value")], 0));
    }
    assert!(
        theirs.contains_key("encoder.blocks.1.attn.qkv.weight") && theirs.contains_key("decoder.blocks.0.attn.q_bias")
    );
    let ours = import(weights, CLIP).unwrap();
    assert_eq!(train::named(&import(theirs, CLIP).unwrap().vs), train::named(&ours.vs));
}

#[test]
fn a_classifiers_backbone_has_no_final_norm() {
    let mut weights = golden("clip").weights;
    weights.retain(|name, _| name.starts_with("videomae.") && !name.starts_with("videomae.layernorm"));
    for name in ["fc_norm.weight", "classifier.weight"] {
        weights.insert(name.to_owned(), Tensor::zeros([24], (Kind::Float, Device::Cpu)));
    }
    let foreign = Foreign::new("golden", weights).unwrap();
    let preset: PretrainPreset = preset_of(&foreign, Some(CLIP), &[]).unwrap().parse().unwrap();
    assert_eq!(preset.model.encoder().final_norm, nn::FinalNorm::None);
    let vs = VarStore::new(Device::Cpu);
    let patch = preset.clip.check().unwrap().patch();
    nn::Vit::new(vs.root() / "encoder", preset.model.encoder(), patch).unwrap();
    for (name, variable) in train::named(&vs) {
        assert_eq!(foreign.variable(&name, &variable.size(), patch).unwrap().size(), variable.size());
    }
    foreign.expect_used(Part::Encoder).unwrap();
}

#[test]
fn released_files_of_the_published_code_need_no_config() {
    let mut weights = NamedTensors::new();
    let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
    weights.insert("patch_embed.proj.weight".to_owned(), zeros(&[768, 3, 2, 16, 16]));
    weights.insert("blocks.0.norm1.weight".to_owned(), zeros(&[768]));
    let foreign = Foreign::new("vit_b.safetensors", weights).unwrap();
    let sets = ["clip.num_frames=32".to_owned()];
    let preset: PretrainPreset = preset_of(&foreign, None, &sets).unwrap().parse().unwrap();
    let vit = preset.model.encoder();
    assert_eq!((vit.width, vit.depth, vit.heads), (768, 1, 12));
    assert_eq!((preset.clip.num_frames, preset.clip.size_px, preset.clip.patch), (32, 224, [2, 16, 16]));
}

#[test]
fn heads_that_nobody_tells_are_asked_for_and_other_norms_refused() {
    let foreign = || {
        let mut weights = NamedTensors::new();
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        weights.insert("patch_embed.proj.weight".to_owned(), zeros(&[320, 3, 2, 16, 16]));
        weights.insert("blocks.0.norm1.weight".to_owned(), zeros(&[320]));
        Foreign::new("own.safetensors", weights).unwrap()
    };
    let said = preset_of(&foreign(), None, &[]).unwrap_err().to_string();
    assert!(said.contains("width 320") && said.contains("--set model.encoder.heads=N"), "{said}");
    let sets = ["model.encoder.heads=4".to_owned()];
    let preset: PretrainPreset = preset_of(&foreign(), None, &sets).unwrap().parse().unwrap();
    assert_eq!(preset.model.encoder().heads, 4);
    let config = |eps: &str| format!(r#"{{ "num_attention_heads": 5, "layer_norm_eps": {eps} }}"#);
    let said = preset_of(&foreign(), Some(&config("1e-3")), &[]).unwrap_err().to_string();
    assert!(said.contains("layer_norm_eps 1e-3"), "{said}");
    let preset: PretrainPreset = preset_of(&foreign(), Some(&config("1e-12")), &[]).unwrap().parse().unwrap();
    assert_eq!(preset.model.encoder().heads, 5);
}

#[test]
fn weights_that_do_not_fit_are_refused_by_key_and_shape() {
    let said = |change: &dyn Fn(&mut NamedTensors)| {
        let mut weights = golden("clip").weights;
        change(&mut weights);
        import(weights, CLIP).err().expect("a refusal").to_string()
    };
    let missing = said(&|weights| drop(weights.remove("decoder.head.bias")));
    assert!(missing.contains("golden lacks decoder.head.bias, of shape [96]"), "{missing}");
    let wider = said(&|weights| {
        let name = "videomae.encoder.layer.1.intermediate.dense.bias";
        weights.insert(name.to_owned(), Tensor::zeros([100], (Kind::Float, Device::Cpu)));
    });
    assert!(wider.contains("layer.1.intermediate.dense.bias has shape [100] in golden, [96] in the model"), "{wider}");
    let more = said(&|weights| {
        let name = "videomae.encoder.layer.0.gamma_1";
        weights.insert(name.to_owned(), Tensor::zeros([24], (Kind::Float, Device::Cpu)));
    });
    assert!(more.contains("gamma_1") && more.contains("no place for"), "{more}");
    let other = Foreign::new("resnet.safetensors", NamedTensors::new()).unwrap_err().to_string();
    assert!(other.contains("holds no VideoMAE"), "{other}");
}

#[test]
fn what_transformers_cannot_compute_is_not_exported() {
    let Imported { mut preset, .. } = import(golden("clip").weights, CLIP).unwrap();
    let clip = preset.clip.check().unwrap();
    let json: serde_json::Value = serde_json::from_str(&config_json(&preset, &clip, Part::Model).unwrap()).unwrap();
    assert_eq!(
        (&json["hidden_size"], &json["decoder_hidden_size"], &json["num_frames"]),
        (&24.into(), &12.into(), &8.into())
    );
    let ModelConfig::Lvmae(cfg) = &mut preset.model else { panic!("videomae is masked autoencoding") };
    cfg.encoder.position = nn::Position::Separable;
    let said = config_json(&preset, &clip, Part::Model).unwrap_err().to_string();
    assert!(said.contains("Separable") && said.contains("position=flat"), "{said}");
}
