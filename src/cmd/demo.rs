//! `longvid demo`: the whole path, as the very commands that a user would type. A stage whose product is there is not
//! done again, so an interrupted demo goes on where it stopped.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::stage::Stage;
use super::training::say;
use crate::cli::DemoArgs;
use crate::exit::BadInput;
use crate::report::memory::{Point, memory_section};
use crate::report::page::{Align, Block, Section, Table};
use crate::report::units::Unit;
use crate::report::{RunFolder, build_page};
use crate::session::Session;
use crate::whole;

/// Frames are stored at the size that the tiny presets use.
const SHORT_SIDE: &str = "64";
/// A class needs so many videos for both a training and a test part.
const MIN_VIDEOS_PER_CLASS: usize = 4;
/// Every so-manieth video of a class is tested on.
const TEST_EVERY: usize = 4;

pub(crate) fn run(args: &DemoArgs, session: &Session) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let at = |name: &str| args.out.join(name);
    let (mut stages, probes) = match &args.videos {
        None => (synthetic(&args.out), true),
        Some(folder) => own_videos(folder, &args.out)?,
    };
    stages.extend(training(&args.out));
    if probes {
        stages.extend(probing(&args.out));
    }
    let memory = at("memory");
    let sweep = "bench memory --preset lvmae-tiny-128f --frames 16,32,64,128 --out {}";
    stages.push(Stage::new(sweep, &[&memory], &memory.join("memory.json")));

    let mut table = Table::new(&[("stage", Align::Left), ("time", Align::Right)]);
    for stage in &stages {
        let secs = stage.run(session)?;
        let took = secs.map_or_else(|| "done before".to_owned(), |secs| Unit::Secs.text(secs));
        table.push(vec![stage.command(), took]);
    }
    let page = at("report.html");
    whole::write(&page, html(args, table)?)?;
    Ok(say(&format!("\nopen {}", page.display()))?)
}

/// Dives, rendered and imported: a training and a test store of different sources.
fn synthetic(out: &Path) -> Vec<Stage> {
    let (dives, vocabulary) = (out.join("dives"), out.join("dives/Diving48_vocab.json"));
    let videos = dives.join("rgb");
    let import = |part: &str| {
        let annotations = dives.join(format!("Diving48_V2_{part}.json"));
        let store = out.join(format!("{part}.h5"));
        let command = format!("data import diving48 {{}} --videos {{}} --short-side {SHORT_SIDE} --out {{}}");
        Stage::new(&command, &[&annotations, &videos, &store], &store)
    };
    vec![Stage::new("data synth dives --out {}", &[&dives], &vocabulary), import("train"), import("test")]
}

/// A user's folder, imported; also whether it has classes to probe.
fn own_videos(folder: &Path, out: &Path) -> anyhow::Result<(Vec<Stage>, bool)> {
    let import = |part: &str, groups: Option<&[String]>| {
        let store = out.join(format!("{part}.h5"));
        let mut made = Stage::new(
            &format!("data import folder {{}} --short-side {SHORT_SIDE} --out {{}}"),
            &[folder, &store],
            &store,
        );
        if let Some(groups) = groups {
            made = made.with(["--groups".to_owned(), groups.join(",")]);
        }
        made
    };
    Ok(match split(folder)? {
        Some([train, test]) => (vec![import("train", Some(&train)), import("test", Some(&test))], true),
        None => (vec![import("train", None)], false),
    })
}

/// With one sub-folder per class: the files to train on and those to test on. `None` when there are no classes, or a
/// class has too few files, or a file's name has a comma.
fn split(folder: &Path) -> anyhow::Result<Option<[Vec<String>; 2]>> {
    let list = |folder: &Path| -> anyhow::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).map_err(|err| BadInput(format!("cannot read {folder:?}: {err}")))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    let classes: Vec<PathBuf> = list(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    let [mut train, mut test] = [Vec::new(), Vec::new()];
    for class in &classes {
        let files: Vec<PathBuf> = list(class)?.into_iter().filter(|path| path.is_file()).collect();
        if files.len() < MIN_VIDEOS_PER_CLASS {
            return Ok(None);
        }
        for (i, file) in files.iter().enumerate() {
            let name = file.strip_prefix(folder).unwrap_or(file).display().to_string();
            if i % TEST_EVERY == TEST_EVERY - 1 { test.push(name) } else { train.push(name) }
        }
    }
    let usable = classes.len() > 1 && !train.iter().chain(&test).any(|name| name.contains(','));
    Ok(usable.then_some([train, test]))
}

/// Tokenizer, token store, LVMAE, ARVideo.
fn training(out: &Path) -> Vec<Stage> {
    let (clips, tokens) = (out.join("train.h5"), out.join("train.tokens.h5"));
    let weights = out.join("tokenizer/tokenizer.safetensors");
    let pretrain = |method: &str| {
        let run = out.join(method);
        let command = format!("pretrain --preset {method}-tiny-128f --clips {{}} --tokens {{}} --out {{}}");
        Stage::new(&command, &[&clips, &tokens, &run], &run.join("encoder.safetensors"))
    };
    vec![
        Stage::new(
            "tokenizer train --preset tokenizer-tiny --clips {} --out {}",
            &[&clips, &out.join("tokenizer")],
            &weights,
        ),
        Stage::new("tokenizer encode --tokenizer {} --clips {} --out {}", &[&weights, &clips, &tokens], &tokens),
        pretrain("lvmae"),
        pretrain("arvideo"),
    ]
}

fn probing(out: &Path) -> Vec<Stage> {
    let (train, test) = (out.join("train.h5"), out.join("test.h5"));
    let probe = |method: &str, probe: &str| {
        let run = out.join(method);
        let command = format!("eval {probe} --encoder {{}} --train-clips {{}} --test-clips {{}}");
        Stage::new(
            &command,
            &[&run.join("encoder.safetensors"), &train, &test],
            &run.join(format!("eval_{probe}.json")),
        )
    };
    vec![probe("lvmae", "linear"), probe("arvideo", "linear")]
}

fn html(args: &DemoArgs, stages: Table) -> anyhow::Result<String> {
    let runs: Vec<RunFolder> = ["tokenizer", "lvmae", "arvideo"]
        .iter()
        .map(|run| RunFolder::read(&args.out.join(run)))
        .collect::<Result<_, _>>()?;
    let path = args.out.join("memory/memory.json");
    let points = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    let points: Vec<Point> = serde_json::from_str(&points).with_context(|| format!("cannot read {path:?}"))?;
    let intro = "Every stage is a command that you can type by itself; the sections above show what each one made.";
    let stages = Section::new("Stages", intro).with(Block::Table(stages));
    let title = match &args.videos {
        None => "longvid on synthetic dives".to_owned(),
        Some(folder) => format!("longvid on {}", folder.display()),
    };
    let mut page = build_page(&title, &runs);
    // After the overview and the pictures, before the curves.
    page.sections.insert(2.min(page.sections.len()), memory_section(&points));
    page.sections.push(stages);
    Ok(page.html())
}
