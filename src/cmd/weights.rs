//! `longvid weights`: encoders and pre-training models from and to other programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nn::{Cubes, Mode, Vit};
use spec::ClipGeometry;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use train::NamedTensors;

use super::training::say;
use crate::cli::{PartArg, WeightsExportArgs, WeightsImportArgs};
use crate::exit::BadInput;
use crate::method::{Method, Model};
use crate::presets::PretrainPreset;
use crate::targets::TargetShape;
use crate::weights::{Foreign, Part, config_json, preset_of, to_transformers};

/// Seed of the sample's noise and of what it hides.
const SAMPLE_SEED: i64 = 0;

pub(crate) fn import(args: &WeightsImportArgs) -> anyhow::Result<()> {
    let file = if args.from.is_dir() { args.from.join("model.safetensors") } else { args.from.clone() };
    let config = file.with_file_name("config.json");
    // The published code has none.
    let config = (args.from.is_dir() || config.is_file()).then(|| read(&config)).transpose()?;
    let foreign = Foreign::new(&file.display().to_string(), train::weights::load_foreign(&file)?)?;
    let part = match args.part {
        PartArg::Encoder => Part::Encoder,
        PartArg::Model => Part::Model,
    };
    if part == Part::Model && foreign.part() == Part::Encoder {
        return Err(
            BadInput(format!("{file:?} holds an encoder without a decoder; import it with --part encoder")).into()
        );
    }
    let resolved = preset_of(&foreign, config.as_deref(), &args.sets)?;
    let preset: PretrainPreset = resolved.parse()?;
    let clip = preset.clip.check()?;
    let (vs, _) = build(&preset, &clip, part)?;
    let mut variables = NamedTensors::new();
    for (name, variable) in train::named(&vs) {
        let tensor = foreign.variable(&name, &variable.size(), clip.patch())?;
        variables.insert(name, tensor);
    }
    foreign.expect_used(part)?;
    train::weights::save(&args.out, kind_of(part), &resolved.to_toml(), &variables)?;
    let (vit, grid) = (preset.model.encoder(), clip.grid());
    say(&format!(
        "ViT of {} blocks of width {}, {} heads; clips of {} frames of {} pixels, {} tokens",
        vit.depth,
        vit.width,
        vit.heads,
        clip.num_frames(),
        clip.size_px(),
        grid.num_tokens()
    ))?;
    Ok(say(&format!("wrote {}", args.out.display()))?)
}

pub(crate) fn export(args: &WeightsExportArgs) -> anyhow::Result<()> {
    let Opened { preset, variables, part } = open(&args.from)?;
    let clip = preset.clip.check()?;
    let config = config_json(&preset, &clip, part)?;
    if args.to.exists() {
        return Err(BadInput(format!("{:?} exists already; give a new folder", args.to)).into());
    }
    fs::create_dir_all(&args.to).with_context(|| format!("cannot create {:?}", args.to))?;
    train::weights::save_foreign(&args.to.join("model.safetensors"), &to_transformers(&variables, part, clip.patch()))?;
    let path = args.to.join("config.json");
    fs::write(&path, config).with_context(|| format!("cannot write {path:?}"))?;
    if args.sample {
        train::weights::save_foreign(&args.to.join("sample.safetensors"), &sample(&preset, &clip, &variables, part)?)?;
    }
    Ok(say(&format!("wrote {}", args.to.display()))?)
}

fn kind_of(part: Part) -> &'static str {
    match part {
        Part::Encoder => "encoder",
        Part::Model => "pretraining",
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    Ok(fs::read_to_string(path).map_err(|err| BadInput(format!("cannot read {path:?}: {err}")))?)
}

/// Weights of ours, from whichever file.
struct Opened {
    preset: PretrainPreset,
    variables: NamedTensors,
    part: Part,
}

fn open(from: &Path) -> anyhow::Result<Opened> {
    let path = if from.is_dir() { last_checkpoint(from)? } else { from.to_owned() };
    let kind = train::weights::kind(&path);
    let kind = kind.as_deref().filter(|kind| ["checkpoint", "pretraining"].contains(kind)).unwrap_or("encoder");
    let weights = train::weights::load(&path, kind)?;
    let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?.parse()?;
    let tensors = weights.tensors().iter();
    let (variables, part) = match kind {
        "checkpoint" => {
            // The average is what a finished run hands on.
            let has_average = weights.tensors().keys().any(|name| name.starts_with("ema."));
            let state = if has_average { "ema." } else { "weights." };
            let of_state = |(name, tensor): (&String, &Tensor)| {
                Some((name.strip_prefix(state)?.to_owned(), tensor.shallow_clone()))
            };
            (tensors.filter_map(of_state).collect(), Part::Model)
        }
        "pretraining" => (tensors.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect(), Part::Model),
        _ => (tensors.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect(), Part::Encoder),
    };
    Ok(Opened { preset, variables, part })
}

/// The checkpoint of a run folder with the most steps; their names sort by steps.
fn last_checkpoint(run: &Path) -> anyhow::Result<PathBuf> {
    let folder = run.join("checkpoints");
    let entries = fs::read_dir(&folder)
        .map_err(|err| BadInput(format!("{run:?} is no run folder: cannot read {folder:?}: {err}")))?;
    let is_step = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("step_") && name.ends_with(".safetensors")
    };
    let last = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_step).max();
    Ok(last.ok_or_else(|| BadInput(format!("{folder:?} holds no checkpoint yet; export encoder.safetensors")))?)
}

/// A model of a preset with fresh weights: its variables, and the network.
fn build(preset: &PretrainPreset, clip: &ClipGeometry, part: Part) -> anyhow::Result<(VarStore, Network)> {
    let vs = VarStore::new(Device::Cpu);
    let network = match part {
        Part::Encoder => {
            let vit = Vit::new(vs.root() / "encoder", preset.model.encoder(), clip.patch())?;
            Network::Encoder(Box::new(vit))
        }
        Part::Model => Network::Model(Box::new(Method::check(preset, clip)?.build(&vs.root(), &TargetShape::Pixels)?)),
    };
    Ok((vs, network))
}

enum Network {
    Encoder(Box<Vit>),
    Model(Box<Model>),
}

/// A clip of noise, and what a model makes of it: the encoder's tokens, and of a whole model the predictions at the tokens
/// that a mask hides.
fn sample(
    preset: &PretrainPreset,
    clip: &ClipGeometry,
    variables: &NamedTensors,
    part: Part,
) -> anyhow::Result<NamedTensors> {
    let (vs, network) = build(preset, clip, part)?;
    let named = train::named(&vs);
    tch::manual_seed(SAMPLE_SEED);
    let size = [1, clip.num_frames(), clip.size_px(), clip.size_px(), 3];
    let clip_bthwc = Tensor::randint(256, size, (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
    tch::no_grad(|| {
        for (name, variable) in &named {
            let from = variables.get(name).with_context(|| format!("the weights lack {name}"))?;
            variable.shallow_clone().f_copy_(from)?;
        }
        let cubes = Cubes::new(&clip_bthwc, clip.grid(), clip.patch())?;
        let mut sample = NamedTensors::new();
        let model = match &network {
            Network::Encoder(vit) => {
                sample.insert("features_bnd".to_owned(), vit.encode_all(&cubes, Mode::Eval)?);
                None
            }
            Network::Model(model) => Some(&**model),
        };
        match model {
            None => {}
            Some(Model::Lvmae(model, _)) => {
                // A tenth is seen and all others are predicted, whatever the preset's masks: transformers has no choice.
                let n = clip.grid().num_tokens();
                let order = Tensor::randperm(n, (Kind::Int64, Device::Cpu)).unsqueeze(0);
                let num_seen = (n / 10).max(1);
                let some = |from, count| order.narrow(1, from, count).sort(1, false).0;
                let (visible, decoded) = (some(0, num_seen), some(num_seen, n - num_seen));
                let said = model.forward(&cubes, &visible, &decoded, Mode::Eval)?;
                let hidden = Tensor::ones([1, n], (Kind::Uint8, Device::Cpu));
                sample.insert("hidden_bn".to_owned(), hidden.scatter_value(1, &visible, 0));
                sample.insert("logits_bqc".to_owned(), said.values_bqc);
                sample.insert("features_bnd".to_owned(), model.encoder().encode_all(&cubes, Mode::Eval)?);
            }
            Some(Model::Arvideo(..)) => anyhow::bail!("ARVideo has no counterpart in transformers"),
        }
        sample.insert("clip_bthwc".to_owned(), clip_bthwc.shallow_clone());
        Ok(sample)
    })
}
