//! `longvid data export`: a clip store as plain files, a token store as arrays.

mod tokens;

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use video::{ClipStore, LabelSpace, Segment, Video};

use crate::cli::{ExportArgs, ExportTo};
use crate::exit::BadInput;
use crate::progress::Progress;
use crate::session::Session;

pub(crate) fn export(args: &ExportArgs, session: &Session) -> anyhow::Result<()> {
    match &args.to {
        ExportTo { to: Some(folder), .. } => export_clips(args, folder),
        ExportTo { npz: Some(path), .. } => tokens::export(args, path, session),
        // The command line takes exactly one of them.
        ExportTo { to: None, npz: None } => {
            Err(BadInput("name a folder by --to, or a file by --npz".to_owned()).into())
        }
    }
}

fn export_clips(args: &ExportArgs, to: &Path) -> anyhow::Result<()> {
    let store = ClipStore::open(&args.store)?;
    if to.exists() {
        return Err(BadInput(format!("{to:?} already exists; name a new folder")).into());
    }
    let chosen: Vec<usize> = match &args.videos {
        None => (0..store.videos().len()).collect(),
        Some(names) => names.iter().map(|name| find(&store, name)).collect::<anyhow::Result<_>>()?,
    };
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {to:?}"))?;
    let mut progress = Progress::new("export", chosen.len() as u64);
    for (done, &video) in chosen.iter().enumerate() {
        export_frames(&store, video, to)?;
        progress.set(done as u64 + 1, &store.videos()[video].name);
    }
    let videos = chosen.iter().map(|&video| video_row(&store.videos()[video]));
    let header = "name,num_frames,frames_per_sec,height_px,width_px,content_hash";
    write_table(&to.join("videos.csv"), header, videos)?;
    let segments = store.segments().iter().filter(|segment| chosen.contains(&(segment.video as usize)));
    let mut header = "id,path,group,subject,start_secs,stop_secs".to_owned();
    for space in store.label_spaces() {
        // The one space of most stores gets the name by which `data import csv` reads it.
        let column = if space.name == LabelSpace::CLASS { "label" } else { &space.name };
        header = format!("{header},{column}");
    }
    write_table(&to.join("segments.csv"), &header, segments.map(|segment| segment_row(&store, segment)))?;
    progress.finish(&format!("{} videos in {to:?}", chosen.len()));
    Ok(())
}

fn find(store: &ClipStore, name: &str) -> anyhow::Result<usize> {
    let names: Vec<&str> = store.videos().iter().map(|video| video.name.as_str()).collect();
    let near = spec::nearest(name, &names).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    let unknown = || BadInput(format!("{:?} has no video {name:?}{near}", store.path()));
    Ok(names.iter().position(|known| *known == name).ok_or_else(unknown)?)
}

/// Writes `TO/frames/NAME/000000.jpg` and so on, as stored: nothing is encoded again.
fn export_frames(store: &ClipStore, video: usize, to: &Path) -> anyhow::Result<()> {
    /// Frames in memory at a time.
    const PIECE: usize = 256;
    let row = &store.videos()[video];
    if !Path::new(&row.name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(BadInput(format!("the store names a video {:?}, which leads out of the folder", row.name)).into());
    }
    let dir: PathBuf = to.join("frames").join(&row.name);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {dir:?}"))?;
    let frames: Vec<u32> = (0..row.num_frames).collect();
    for piece in frames.chunks(PIECE) {
        for (frame, jpeg) in piece.iter().zip(store.read_jpegs(video, piece)?) {
            let path = dir.join(format!("{frame:06}.jpg"));
            std::fs::write(&path, jpeg).with_context(|| format!("cannot write {path:?}"))?;
        }
    }
    Ok(())
}

fn video_row(video: &Video) -> Vec<String> {
    let Video { name, num_frames, frames_per_sec, height_px, width_px, content_hash, .. } = video.clone();
    vec![
        name,
        num_frames.to_string(),
        frames_per_sec.to_string(),
        height_px.to_string(),
        width_px.to_string(),
        content_hash,
    ]
}

fn segment_row(store: &ClipStore, segment: &Segment) -> Vec<String> {
    let class = |(space, label): (&LabelSpace, &i32)| {
        let class = usize::try_from(*label).ok().and_then(|label| space.classes.get(label));
        class.cloned().unwrap_or_default()
    };
    let mut row = vec![
        segment.id.clone(),
        store.videos()[segment.video as usize].name.clone(),
        segment.group.clone(),
        segment.subject.clone(),
        segment.start_secs.to_string(),
        segment.stop_secs.to_string(),
    ];
    row.extend(store.label_spaces().iter().zip(&segment.labels).map(class));
    row
}

fn write_table(path: &Path, header: &str, rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut text = format!("{header}\n");
    for row in rows {
        text.push_str(&row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {path:?}"))
}

/// A CSV field, in quotes where it needs them (RFC 4180).
fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r']);
    if plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_a_reader_would_trip() {
        assert_eq!(quoted("a b.mp4"), "a b.mp4");
        assert_eq!(quoted("a,\"b\".mp4"), "\"a,\"\"b\"\".mp4\"");
    }
}
