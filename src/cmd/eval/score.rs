//! `longvid eval score`: what scores are worth by the protocol that a data set is published with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::eval::{Protocol, SpaceAnswers, evaluate};
use anyhow::Context as _;
use spec::{ClipGeometry, ClipSpec, Sampling, Short};
use video::{ClipRequest, ClipStore, View};

use crate::album::Album;
use crate::cli::ScoreArgs;
use crate::clips;
use crate::cmd::training::say;
use crate::exit::{BadInput, Interrupted};
use crate::pictures::Strip;
use crate::report::errors_folder;
use crate::report::picture::Picture;
use crate::report::scored::{Scored, class_table, markdown};
use crate::session::Session;
use crate::{scores, truth, whole};

/// Worst errors of a label space that are drawn.
const NUM_DRAWN: usize = 12;

/// A set of scores and what it is measured by.
struct Set<'a> {
    name: String,
    scores: &'a Path,
    annotations: &'a PathBuf,
    protocol: Protocol,
    clips: Option<&'a PathBuf>,
}

pub(crate) fn run(args: &ScoreArgs, session: &Session) -> anyhow::Result<()> {
    let sets = sets(args)?;
    let folder = args.out.clone().unwrap_or_else(|| args.scores[0].parent().map_or_else(PathBuf::new, Path::to_owned));
    let (mut scored, mut stores) = (Vec::new(), Vec::new());
    for set in &sets {
        stores.push(set.clips.map(|path| clips::open_clips(path)).transpose()?);
        let table = scores::read(set.scores)?;
        let of_set = || format!("{:?} against {:?}", set.scores, set.annotations);
        let truth = truth::read(set.protocol, set.annotations, &table)?;
        let evaluation = evaluate(set.protocol, &table, &truth, args.missing.missing()).with_context(of_set)?;
        let annotations = set.annotations.display().to_string();
        scored.push(Scored { name: set.name.clone(), annotations, evaluation });
    }
    std::fs::create_dir_all(if folder == Path::new("") { Path::new(".") } else { &folder })
        .with_context(|| format!("cannot create {folder:?}"))?;
    let table = markdown(&scored);
    whole::write(&folder.join("scores.md"), &table)?;
    for (store, results) in stores.iter().zip(&scored) {
        write(&folder, results)?;
        if let Some(store) = store {
            draw_errors(&folder, results, store, session)?;
        }
    }
    match args.json {
        true => say(&serde_json::to_string_pretty(&scored)?)?,
        false => say(table.trim_end())?,
    }
    Ok(())
}

/// What belongs together of what was typed.
fn sets(args: &ScoreArgs) -> anyhow::Result<Vec<Set<'_>>> {
    let num_sets = args.scores.len();
    let counts = [("--annotations", args.annotations.len()), ("--protocol", args.protocol.len())];
    for (option, count) in counts.into_iter().chain([("--clips", args.clips.len().max(1))]) {
        if count != 1 && count != num_sets {
            let what = format!("{option} is given {count} times for {num_sets} --scores: give it once, or for each");
            return Err(BadInput(what).into());
        }
    }
    let mut sets: Vec<Set<'_>> = Vec::new();
    for (i, scores) in args.scores.iter().enumerate() {
        let name = distinct(scores, &args.scores[..i]);
        sets.push(Set {
            name,
            scores,
            annotations: one_or_each(&args.annotations, i),
            protocol: *one_or_each(&args.protocol, i),
            clips: (!args.clips.is_empty()).then(|| one_or_each(&args.clips, i)),
        });
    }
    Ok(sets)
}

fn one_or_each<T>(given: &[T], i: usize) -> &T {
    &given[if given.len() == 1 { 0 } else { i }]
}

/// The name of the file, with its folder's where one before is called the same: `seed1-scores`.
fn distinct(path: &Path, before: &[PathBuf]) -> String {
    let name = scores::name(path);
    if !before.iter().any(|other| scores::name(other) == name) {
        return name;
    }
    let folder = path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy().into_owned());
    format!("{}-{name}", folder.unwrap_or_else(|| (before.len() + 1).to_string()))
}

/// `score_NAME.json`, and for each label space its confusions and classes as tables and picture.
fn write(folder: &Path, results: &Scored) -> anyhow::Result<()> {
    let path = results_file(folder, results);
    whole::write(&path, &serde_json::to_string_pretty(results)?)?;
    for space in &results.evaluation.spaces {
        let beside = |ending: &str| path.with_file_name(format!("score_{}_{}_{ending}", results.name, space.name));
        let partial = results.evaluation.partial.as_deref();
        whole::write(&beside("confusion.csv"), confusion_csv(space, partial))?;
        whole::write(&beside("confusion.svg"), results.confusion_chart(space).draw().standalone())?;
        let partial = partial.map(|partial| format!("{partial}\n")).unwrap_or_default();
        whole::write(&beside("classes.txt"), format!("{partial}{}", class_table(space)))?;
    }
    Ok(())
}

fn results_file(folder: &Path, results: &Scored) -> PathBuf {
    folder.join(format!("score_{}.json", results.name))
}

/// A row for each right class, a column for each answer; classes that have clips or were answered. The first column's name
/// says what makes the evaluation partial: another line would be no row of the table.
fn confusion_csv(space: &SpaceAnswers, partial: Option<&str>) -> String {
    let labels = space.seen();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let name = |label: &usize| quoted(space.classes.get(*label).map_or("", String::as_str));
    let corner = partial.map_or("right".to_owned(), |partial| quoted(&format!("right ({partial})")));
    let header: Vec<String> = std::iter::once(corner).chain(labels.iter().map(name)).collect();
    let cells: BTreeMap<(usize, usize), usize> =
        space.confusion.iter().map(|(label, answered, count)| ((*label, *answered), *count)).collect();
    let mut text = header.join(",") + "\n";
    for label in &labels {
        let count = |answered: &usize| cells.get(&(*label, *answered)).copied().unwrap_or(0).to_string();
        let row: Vec<String> = std::iter::once(name(label)).chain(labels.iter().map(count)).collect();
        text.push_str(&(row.join(",") + "\n"));
    }
    text
}

/// Frames of the worst errors, from the segment's start to its end.
fn draw_errors(folder: &Path, results: &Scored, store: &Arc<ClipStore>, session: &Session) -> anyhow::Result<()> {
    let geometry = shown()?;
    let pictures = errors_folder(&results_file(folder, results));
    std::fs::create_dir_all(&pictures).with_context(|| format!("cannot create {pictures:?}"))?;
    let mut album = Album::open(&pictures)?;
    let partial = if results.evaluation.partial.is_some() { "; of a partial evaluation" } else { "" };
    for space in &results.evaluation.spaces {
        for (place, worst) in space.worst.iter().take(NUM_DRAWN).enumerate() {
            if session.interrupted() {
                return Err(Interrupted("the results are written, not all errors are drawn".to_owned()).into());
            }
            let class = |label: usize| space.classes.get(label).map_or("", String::as_str);
            let caption = format!(
                "{}: {} answered as {}, which it took to be {:.1} times as likely{partial}",
                worst.id,
                class(worst.label),
                class(worst.answered),
                worst.margin.exp()
            );
            let picture = strip(store, &worst.id, geometry)?;
            album.add(&format!("{}_{:02}_{}", space.name, place + 1, worst.id), None, &caption, &picture)?;
        }
    }
    Ok(())
}

/// How a whole segment is shown in a row of eight frames.
fn shown() -> anyhow::Result<ClipGeometry> {
    let (patch, sampling) = ([2, 8, 8], Sampling::Segment);
    Ok(ClipSpec { num_frames: 16, size_px: 96, patch, sampling, short: Short::Hold }.check()?)
}

fn strip(store: &Arc<ClipStore>, id: &str, geometry: ClipGeometry) -> anyhow::Result<Picture> {
    let segment = store.segments().iter().position(|segment| segment.id == id);
    let segment = segment.ok_or_else(|| BadInput(format!("{:?} has no segment {id:?}", store.path())))?;
    let request =
        ClipRequest { segment, start_frame: 0, num_frames: geometry.num_frames() as usize, view: View::CENTRE };
    let clip = video::load_clip(&clips::unvaried(store.clone(), geometry), request)?;
    Strip::new(&clip.rgb, &geometry)?.plain().draw()
}
