//! `longvid study`: a question of the papers at a size that two cores carry. Every training and every probe is a command that
//! a user could type; variants differ in the settings that their table names and in nothing else.

mod arvideo;
mod data;

use std::path::Path;

use anyhow::Context as _;
use eval::ResultRow;
use serde::Deserialize;

pub(crate) use self::arvideo::{clusters, orders};
use self::data::Clips;
use super::stage::Stage;
use super::training::say;
use crate::cli::StudyArgs;
use crate::exit::{BadInput, Interrupted};
use crate::frozen::TOKENIZER;
use crate::presets::{self, PretrainPreset, TokenizerPreset};
use crate::report::study::{StudyResults, StudyRow};
use crate::session::Session;
use crate::whole;

/// The masked family at tiny size.
const LVMAE: &str = "lvmae-tiny-128f";

/// What is compared.
struct Study {
    name: &'static str,
    question: &'static str,
    /// What the paper found, in its own order.
    paper: &'static str,
    /// Pre-training preset that the variants change, unless another is given.
    preset: &'static str,
    variants: Vec<Variant>,
}

impl Study {
    fn preset<'a>(&self, args: &'a StudyArgs) -> &'a str {
        args.preset.as_deref().unwrap_or(self.preset)
    }
}

/// One row of a study's table.
struct Variant {
    name: String,
    /// Changes to the `[clip]` of tokenizer and encoder alike.
    clip: Vec<String>,
    /// Changes to the pre-training preset.
    model: Vec<String>,
}

impl Variant {
    fn of_model(name: &str, settings: &[&str]) -> Self {
        let model = settings.iter().map(|&setting| setting.to_owned()).collect();
        Variant { name: name.to_owned(), clip: Vec::new(), model }
    }

    /// A name for files.
    fn folder(&self) -> String {
        self.name.replace(", ", "_").replace([' ', '%'], "")
    }
}

pub(crate) fn decoder_masks(args: &StudyArgs, session: &Session) -> anyhow::Result<()> {
    let by_value = |kind: &str| {
        let rest = r#"salient_share = 0.10, random_share = 0.05, choice = "top", pool = "hidden""#;
        format!(r#"model.decoder_mask={{ kind = "{kind}", {rest} }}"#)
    };
    let by_share = |kind: &str, share: f64| format!(r#"model.decoder_mask={{ kind = "{kind}", share = {share} }}"#);
    let masks = [
        ("adaptive", by_value("adaptive")),
        ("random", by_share("random", 0.15)),
        ("uniform", by_share("uniform", 0.15)),
        ("running cell, 25 %", by_share("running_cell", 0.25)),
        ("flow", by_value("flow")),
        ("motion", by_value("motion")),
        ("none", r#"model.decoder_mask={ kind = "none" }"#.to_owned()),
    ];
    let mut variants: Vec<Variant> = masks.iter().map(|(name, mask)| Variant::of_model(name, &[mask])).collect();
    for (name, mask) in masks.iter().filter(|(name, _)| ["adaptive", "random", "none"].contains(name)) {
        variants.push(Variant::of_model(&format!("{name}, pixels"), &[mask, r#"model.target="pixels""#]));
    }
    let study = Study {
        name: "decoder-masks",
        question: "which 15 % of the tokens should the decoder predict, and as codes or as pixels?",
        paper: "adaptive first, at least as good as no mask; uniform and random near it; flow and EVEREST's motion below \
                adaptive (LVMAE, table 1); codes 3.3 points above pixels without a mask (table 4b). VideoMAE V2's running \
                cells, which ask at no less than 25 %, are not in its tables",
        preset: LVMAE,
        variants,
    };
    run(study, args, session)
}

pub(crate) fn frames(args: &StudyArgs, session: &Session) -> anyhow::Result<()> {
    let variant = |num_frames: u32| Variant {
        name: format!("{num_frames} frames"),
        clip: vec![format!("clip.num_frames={num_frames}")],
        model: Vec::new(),
    };
    let study = Study {
        name: "frames",
        question: "in how many frames should a clip show the whole dive?",
        paper: "the more the better: large gains up to 64 frames, a small one from 64 to 128 (LVMAE, table 4c)",
        preset: LVMAE,
        variants: [16, 32, 64, 128].map(variant).into(),
    };
    run(study, args, session)
}

fn run(mut study: Study, args: &StudyArgs, session: &Session) -> anyhow::Result<()> {
    keep(&mut study, &args.variants)?;
    let size_px = check(&study, args)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let clips = data::clips(args, size_px, session)?;
    let mut rows: Vec<StudyRow> =
        study.variants.iter().map(|v| StudyRow::new(&v.name, &[&v.clip[..], &v.model].concat())).collect();
    // Seed by seed: a study that is stopped has whole rounds of its variants.
    for seed in 0..args.seeds {
        for (variant, row) in study.variants.iter().zip(&mut rows) {
            row.add(train_and_probe((study.preset(args), variant, seed), args, &clips, session)?);
        }
        let results = StudyResults {
            study: study.name.to_owned(),
            question: study.question.to_owned(),
            paper: study.paper.to_owned(),
            command: session.command.clone(),
            machine: session.device_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rows: rows.clone(),
        };
        write(&args.out, &results)?;
        say(&format!("\n{}", results.markdown().trim_end()))?;
    }
    Ok(())
}

/// Keeps the variants that were asked for, all when none were named.
fn keep(study: &mut Study, names: &[String]) -> anyhow::Result<()> {
    let known: Vec<String> = study.variants.iter().map(|variant| variant.name.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join("; ");
        return Err(BadInput(format!("--variants: there is no {unknown:?}; this study has: {known}")).into());
    }
    study.variants.retain(|variant| names.is_empty() || names.contains(&variant.name));
    Ok(())
}

/// Checks the settings of all variants before anything is trained; the side of their frames, pixels.
fn check(study: &Study, args: &StudyArgs) -> anyhow::Result<i64> {
    let mut size_px = 0;
    for variant in &study.variants {
        let sets = [&args.sets[..], &variant.clip, &variant.model].concat();
        let preset: PretrainPreset = presets::read(study.preset(args), &sets)?;
        crate::method::Method::check(&preset, &preset.clip.check()?)?;
        let sets = [&args.tokenizer_sets[..], &variant.clip].concat();
        let tokenizer: TokenizerPreset = presets::read(&args.tokenizer_preset, &sets)?;
        if tokenizer.clip != preset.clip {
            return Err(BadInput(format!(
                "{} and {} differ in [clip]: tokens and pixels would not be of the same frames",
                args.tokenizer_preset,
                study.preset(args)
            ))
            .into());
        }
        size_px = preset.clip.size_px;
    }
    Ok(size_px)
}

/// One variant from one seed: tokenizer and tokens (shared by the variants of the same `[clip]`), encoder, probe.
fn train_and_probe(
    (preset, variant, seed): (&str, &Variant, u64),
    args: &StudyArgs,
    clips: &Clips,
    session: &Session,
) -> anyhow::Result<Vec<ResultRow>> {
    let seeded = [format!("train.seed={seed}")];
    let place = variant.clip.iter().map(|setting| setting.replace("clip.num_frames=", "_")).collect::<String>();
    let tokenizer = args.out.join(format!("tokenizer{place}.seed{seed}"));
    let (weights, tokens) = (tokenizer.join(TOKENIZER), tokenizer.join("train.tokens.h5"));
    let command = "tokenizer train --preset {} --clips {} --out {}";
    let stage = Stage::new(command, &[Path::new(&args.tokenizer_preset), &clips.train, &tokenizer], &weights);
    run_stage(&stage.set(&args.tokenizer_sets).set(&variant.clip).set(&seeded), session)?;
    let command = "tokenizer encode --tokenizer {} --clips {} --out {}";
    run_stage(&Stage::new(command, &[&weights, &clips.train, &tokens], &tokens), session)?;

    let out = args.out.join(format!("{}.seed{seed}", variant.folder()));
    let (encoder, probe) = (out.join("encoder.safetensors"), out.join("eval_linear.json"));
    let command = "pretrain --preset {} --clips {} --tokens {} --out {}";
    let stage = Stage::new(command, &[Path::new(preset), &clips.train, &tokens, &out], &encoder);
    run_stage(&stage.set(&args.sets).set(&variant.clip).set(&variant.model).set(&seeded), session)?;
    let labels = clips.labels.map(|name| format!(" --labels {name}")).unwrap_or_default();
    let command = format!("eval linear --encoder {{}} --train-clips {{}} --test-clips {{}} --seed {seed}{labels}");
    run_stage(&Stage::new(&command, &[&encoder, &clips.train, &clips.test], &probe), session)?;
    read_rows(&probe)
}

fn run_stage(stage: &Stage, session: &Session) -> anyhow::Result<()> {
    if session.interrupted() {
        return Err(Interrupted("the same command goes on from here".to_owned()).into());
    }
    stage.run(session).map(drop)
}

/// The rows of a results file of `eval`: the encoder, and the same network with random weights.
fn read_rows(path: &Path) -> anyhow::Result<Vec<ResultRow>> {
    #[derive(Deserialize)]
    struct Results {
        rows: Vec<ResultRow>,
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))?;
    let results: Results = serde_json::from_str(&text).with_context(|| format!("{path:?} is no file of results"))?;
    Ok(results.rows)
}

fn write(out: &Path, results: &StudyResults) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(results)?;
    for (name, text) in
        [("study.json", json), ("study.md", results.markdown()), ("study.svg", results.chart().standalone())]
    {
        whole::write(&out.join(name), text)?;
    }
    Ok(())
}
