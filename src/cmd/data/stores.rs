//! `longvid data verify`, `merge` and `append`: whole stores as they are.

use std::ops::ControlFlow;
use std::path::Path;

use video::{ClipStore, Merged, MergedTokens, TokenStore, VideoError};

use super::SHOWN;
use crate::cli::{AppendArgs, MergeArgs, VerifyArgs};
use crate::cmd::training::say;
use crate::exit::Interrupted;
use crate::progress::Progress;
use crate::session::Session;

pub(crate) fn verify(args: &VerifyArgs, session: &Session) -> anyhow::Result<()> {
    let mut num_damaged = 0;
    for path in &args.stores {
        let damaged = match ClipStore::open(path) {
            Ok(store) => verify_store(path, store.videos().len(), session, |step| store.verify(step))?,
            Err(VideoError::WrongKind { .. }) => {
                let store = TokenStore::open(path)?;
                verify_store(path, store.num_segments(), session, |step| store.verify(step))?
            }
            Err(err) => return Err(err.into()),
        };
        num_damaged += usize::from(damaged);
    }
    if num_damaged > 0 {
        anyhow::bail!("{num_damaged} of {} stores are damaged: make them again", args.stores.len());
    }
    Ok(())
}

type OnItem<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// Prints what one store is worth; whether it is damaged.
fn verify_store(
    path: &Path,
    num_items: usize,
    session: &Session,
    check: impl FnOnce(&mut OnItem<'_>) -> Result<Vec<video::Damaged>, VideoError>,
) -> anyhow::Result<bool> {
    let mut progress = Progress::new("verify", num_items as u64);
    let damaged = check(&mut |done| {
        progress.set(done as u64, "");
        if session.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if session.interrupted() {
        return Err(Interrupted("nothing was changed".to_owned()).into());
    }
    progress.finish(&path.display().to_string());
    let found =
        if damaged.is_empty() { "every checksum agrees".to_owned() } else { format!("{} damaged", damaged.len()) };
    say(&format!("{}: {num_items} parts, {found}", path.display()))?;
    for part in damaged.iter().take(SHOWN) {
        say(&format!("  {}: {}", part.part, part.problem))?;
    }
    if damaged.len() > SHOWN {
        say(&format!("  ... and {} more", damaged.len() - SHOWN))?;
    }
    Ok(!damaged.is_empty())
}

pub(crate) fn merge(args: &MergeArgs, session: &Session) -> anyhow::Result<()> {
    // The first store says what kind the others must be.
    if let Some(first) = args.stores.first()
        && matches!(ClipStore::open(first), Err(VideoError::WrongKind { .. }))
    {
        return merge_tokens(args, session);
    }
    let inputs = open_all(&args.stores)?;
    let mut progress = Progress::new("merge", inputs.iter().map(|store| store.videos().len() as u64).sum());
    let merged = video::merge(&inputs, &args.out, &mut |done, _| progress.set(done as u64, ""), &session.interrupt)?;
    progress.finish(&format!("{:?} written", args.out));
    print(&merged)
}

fn merge_tokens(args: &MergeArgs, session: &Session) -> anyhow::Result<()> {
    let inputs: Vec<TokenStore> = args.stores.iter().map(|path| TokenStore::open(path)).collect::<Result<_, _>>()?;
    let mut progress = Progress::new("merge", inputs.iter().map(|store| store.num_segments() as u64).sum());
    let on_segment = &mut |done: usize, _| progress.set(done as u64, "");
    let merged = video::merge_tokens(&inputs, &args.out, on_segment, &session.interrupt)?;
    progress.finish(&format!("{:?} written", args.out));
    let MergedTokens { store_id, num_segments, num_tokens } = merged;
    Ok(say(&format!("{num_segments} segments, {num_tokens} tokens, id {store_id}"))?)
}

pub(crate) fn append(args: &AppendArgs, session: &Session) -> anyhow::Result<()> {
    let more = open_all(&args.more)?;
    let num_videos =
        ClipStore::open(&args.store)?.videos().len() + more.iter().map(|m| m.videos().len()).sum::<usize>();
    let mut progress = Progress::new("append", num_videos as u64);
    let on_video = &mut |done: usize, _| progress.set(done as u64, "");
    match video::append(&args.store, more, on_video, &session.interrupt)? {
        Some(merged) => {
            progress.finish(&format!("{:?} replaced", args.store));
            print(&merged)
        }
        None => Ok(say(&format!("{} holds all of these videos already", args.store.display()))?),
    }
}

fn open_all(paths: &[std::path::PathBuf]) -> Result<Vec<ClipStore>, VideoError> {
    paths.iter().map(|path| ClipStore::open(path)).collect()
}

fn print(merged: &Merged) -> anyhow::Result<()> {
    let Merged { store_id, num_videos, num_frames, num_segments } = merged;
    Ok(say(&format!("{num_videos} videos, {num_frames} frames, {num_segments} segments, id {store_id}"))?)
}
