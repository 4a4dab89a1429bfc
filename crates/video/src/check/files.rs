use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::fingerprint::Sampler;
use super::manifest::{ManifestRow, Outcome, RowKind, Shape};
use super::{Checked, Context, Place};
use crate::import::{Source, hash_file};
use crate::{Decoded, Frame, Reject, Verdict, VideoError, decode, jpeg};

/// Decodes one file as an import would; `None` when it was interrupted.
pub(super) fn check_file(context: &Context<'_>, source: &str, file: &Source) -> Result<Option<Checked>, VideoError> {
    let place = Place { source: source.to_owned(), name: file.name.clone() };
    let mut row = ManifestRow {
        kind: RowKind::File,
        source: source.to_owned(),
        name: file.name.clone(),
        content_hash: String::new(),
        bytes: std::fs::metadata(&file.path).ok().map(|meta| meta.len()),
        shape: None,
        verdict: Outcome::Ok,
        reason: String::new(),
        detail: String::new(),
    };
    match hash_file(&file.path) {
        Ok(hash) => row.content_hash = hash,
        Err(err) => return Ok(Some(rejected((place, row), "cannot be read", err.to_string()))),
    }
    if file.path.to_str().is_none() {
        return Ok(Some(rejected((place, row), Reject::NameNotUtf8.kind(), Reject::NameNotUtf8.to_string())));
    }
    let (mut sampler, mut failed) = (Sampler::default(), None);
    let mut on_frame = |frame: Frame<'_>| {
        if context.interrupt.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        match jpeg::decode(frame.jpeg) {
            Ok(picture) => {
                sampler.push(&picture, frame.start_secs);
                ControlFlow::Continue(())
            }
            Err(err) => {
                failed = Some(err);
                ControlFlow::Break(())
            }
        }
    };
    let verdict = decode(context.ffmpeg, &file.path, &context.options.decode, &mut on_frame)?;
    if let Some(err) = failed {
        return Err(err);
    }
    Ok(match verdict {
        Verdict::Stopped => None,
        Verdict::Rejected(reject) => Some(rejected((place, row), reject.kind(), reject.to_string())),
        Verdict::Whole(decoded, notes) => {
            let shape = shape(&decoded);
            let fingerprint = Some(sampler.finish(shape.duration_secs));
            row.shape = Some(shape);
            if let Some(notes) = notes {
                (row.verdict, row.detail) = (Outcome::OkWithNotes, notes.to_string());
            }
            let content_hash = Some(row.content_hash.clone());
            Some(Checked { place, content_hash, groups: BTreeSet::new(), rows: vec![row], fingerprint })
        }
    })
}

fn rejected((place, mut row): (Place, ManifestRow), reason: &str, detail: String) -> Checked {
    (row.verdict, row.reason, row.detail) = (Outcome::Rejected, reason.to_owned(), detail);
    Checked { place, content_hash: None, groups: BTreeSet::new(), rows: vec![row], fingerprint: None }
}

fn shape(decoded: &Decoded) -> Shape {
    Shape {
        num_frames: decoded.num_frames,
        frames_per_sec: decoded.frames_per_sec,
        width_px: decoded.width_px,
        height_px: decoded.height_px,
        duration_secs: f64::from(decoded.num_frames) / decoded.frames_per_sec,
    }
}
