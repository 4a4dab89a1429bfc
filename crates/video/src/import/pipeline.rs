//! Several files are decoded at a time, one thread writes them in order.
//!
//! Each file has its own bounded channel, so a file whose turn has not come holds a bounded number of frames, and the
//! one whose turn it is flows straight into the store, however long it lasts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::Source;
use super::resume::hash_file;
use crate::{
    ClipStoreWriter, DecodeOptions, Decoded, Ffmpeg, Frame, NewVideo, Reject, Rejected, Verdict, VideoError, decode,
};

/// Frames travel in parcels of at least this size.
const PARCEL_BYTES: usize = 1 << 20;
/// Parcels that a file may have waiting.
const NUM_PARCELS: usize = 32;

/// Takes a file's name and, where it was rejected, the reason. An error ends the import.
pub(super) type OnFile<'a> = dyn FnMut(&str, Option<&str>) -> Result<(), VideoError> + 'a;

/// What every worker needs to know.
pub(super) struct Job<'a> {
    pub(super) ffmpeg: &'a Ffmpeg,
    pub(super) files: &'a [Source],
    pub(super) decode: &'a DecodeOptions,
    pub(super) interrupt: &'a AtomicBool,
}

/// What comes out of one file, in order.
enum Message {
    /// JPEGs of the next frames.
    Frames(Vec<Vec<u8>>),
    /// The last message.
    End(Result<End, VideoError>),
}

enum End {
    Whole { decoded: Decoded, notes: String, content_hash: String },
    Rejected { reason: String, content_hash: String },
    Stopped,
}

/// Decodes all files into the store; `false` when it was interrupted.
pub(super) fn run(
    job: &Job<'_>,
    num_workers: usize,
    writer: &mut ClipStoreWriter,
    on_file: &mut OnFile<'_>,
) -> Result<bool, VideoError> {
    let next = AtomicUsize::new(0);
    // Two files per worker may be begun and not yet written: enough to keep workers busy, and a bound on memory.
    let num_begun = 2 * num_workers;
    let (permit, permits) = bounded(num_begun);
    let (announce, announced) = unbounded();
    thread::scope(|scope| {
        // Dropped when this closure ends, however it ends: that is what stops workers which wait.
        let (permit, announced) = (permit, announced);
        for _ in 0..num_workers {
            let (permits, announce, next) = (permits.clone(), announce.clone(), &next);
            scope.spawn(move || work(job, next, &permits, &announce));
        }
        drop((permits, announce));
        for _ in 0..num_begun {
            permit.send(()).ok();
        }
        let mut begun: BTreeMap<usize, Receiver<Message>> = BTreeMap::new();
        for (i, file) in job.files.iter().enumerate() {
            if job.interrupt.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let messages = loop {
                if let Some(messages) = begun.remove(&i) {
                    break messages;
                }
                match announced.recv() {
                    Ok((index, messages)) => begun.insert(index, messages),
                    // All workers have ended, which they do early only when interrupted.
                    Err(_) => return Ok(false),
                };
            };
            let written = write_file(writer, file, &messages)?;
            let Some(rejected) = written else { return Ok(false) };
            on_file(&file.name, rejected.as_deref())?;
            // Fails when no worker is left: then all files have been begun.
            permit.send(()).ok();
        }
        Ok(true)
    })
}

fn work(job: &Job<'_>, next: &AtomicUsize, permits: &Receiver<()>, announce: &Sender<(usize, Receiver<Message>)>) {
    while permits.recv().is_ok() && !job.interrupt.load(Ordering::Relaxed) {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = job.files.get(index) else { return };
        let (send, messages) = bounded(NUM_PARCELS);
        if announce.send((index, messages)).is_err() {
            return;
        }
        // The writer waits for this file's end, so even a bug must answer.
        let end = catch_unwind(AssertUnwindSafe(|| decode_file(job, file, &send)))
            .unwrap_or_else(|_panic| Err(VideoError::WorkerPanicked { at: format!("file {:?}", file.name) }));
        // Fails when the writer has given up: its error is the one that counts.
        send.send(Message::End(end)).ok();
    }
}

fn decode_file(job: &Job<'_>, file: &Source, send: &Sender<Message>) -> Result<End, VideoError> {
    let content_hash = match hash_file(&file.path) {
        Ok(hash) => hash,
        Err(err) => return Ok(End::Rejected { reason: format!("cannot be read: {err}"), content_hash: String::new() }),
    };
    if file.path.to_str().is_none() {
        return Ok(End::Rejected { reason: Reject::NameNotUtf8.to_string(), content_hash });
    }
    let (mut parcel, mut parcel_bytes) = (Vec::new(), 0);
    let mut on_frame = |frame: Frame<'_>| {
        if job.interrupt.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        parcel_bytes += frame.jpeg.len();
        parcel.push(frame.jpeg.to_vec());
        if parcel_bytes < PARCEL_BYTES {
            return ControlFlow::Continue(());
        }
        parcel_bytes = 0;
        match send.send(Message::Frames(std::mem::take(&mut parcel))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let verdict = decode(job.ffmpeg, &file.path, job.decode, &mut on_frame)?;
    Ok(match verdict {
        Verdict::Stopped => End::Stopped,
        Verdict::Rejected(reject) => End::Rejected { reason: reject.to_string(), content_hash },
        // The writer has given up when this fails, and does not look at the end either.
        Verdict::Whole(decoded, notes) => match send.send(Message::Frames(parcel)) {
            Ok(()) => End::Whole { decoded, notes: notes.map_or_else(String::new, |n| n.to_string()), content_hash },
            Err(_) => End::Stopped,
        },
    })
}

/// Writes one file as it comes. `None` when it was interrupted, else the reason for a rejection, if any.
fn write_file(
    writer: &mut ClipStoreWriter,
    file: &Source,
    messages: &Receiver<Message>,
) -> Result<Option<Option<String>>, VideoError> {
    for message in messages {
        match message {
            Message::Frames(jpegs) => jpegs.iter().try_for_each(|jpeg| writer.push_frame(jpeg))?,
            Message::End(end) => match end? {
                End::Whole { decoded, notes, content_hash } => {
                    writer.commit(NewVideo {
                        name: &file.name,
                        content_hash: &content_hash,
                        decoded,
                        notes: &notes,
                    })?;
                    return Ok(Some(None));
                }
                End::Rejected { reason, content_hash } => {
                    writer.reject(Rejected { name: file.name.clone(), reason: reason.clone(), content_hash })?;
                    return Ok(Some(Some(reason)));
                }
                End::Stopped => return Ok(None),
            },
        }
    }
    Ok(None)
}
