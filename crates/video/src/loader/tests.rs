use std::sync::Mutex;

use spec::{ClipSpec, Sampling, Short};
use tempfile::TempDir;

use super::*;
use crate::tokens::tests::{made_from, write};
use crate::{ClipStoreWriter, Decoded, NewVideo, Segment, StoreOptions, TokenHeader, Tokens, jpeg};

const NUM_SEGMENTS: u32 = 3;
const FRAMES: u32 = 48;

/// Grey of a stored frame.
fn grey(video: u32, frame: u32) -> u8 {
    (video * 60 + frame) as u8
}

fn geometry() -> ClipGeometry {
    let sampling = Sampling::Rate { frames_per_sec: 10.0 };
    ClipSpec { num_frames: 16, size_px: 16, patch: [2, 8, 8], sampling, short: Short::Hold }.check().unwrap()
}

/// Three videos of 48 uniformly grey frames with tokens whose codes tell segment, latent frame and place.
fn source(dir: &TempDir) -> ClipSource {
    let path = dir.path().join("clips.h5");
    let options = StoreOptions { short_side_px: 16, max_frames_per_sec: None };
    let (mut writer, _) = ClipStoreWriter::begin(&path, options).unwrap();
    let decoded =
        Decoded { num_frames: FRAMES, frames_per_sec: 10.0, source_frames_per_sec: 10.0, width_px: 24, height_px: 16 };
    for video in 0..NUM_SEGMENTS {
        for frame in 0..FRAMES {
            writer.push_frame(&jpeg::encode(24, 16, &[grey(video, frame); 24 * 16 * 3]).unwrap()).unwrap();
        }
        let name = format!("{video}");
        writer.commit(NewVideo { name: &name, content_hash: "0", decoded, notes: "" }).unwrap();
    }
    let segment = |video| Segment {
        id: format!("s{video}"),
        video,
        start_secs: 0.0,
        stop_secs: 4.8,
        labels: Vec::new(),
        group: String::new(),
        subject: String::new(),
    };
    writer.finish(&(0..NUM_SEGMENTS).map(segment).collect::<Vec<_>>(), &[]).unwrap();
    let store = Arc::new(ClipStore::open(&path).unwrap());
    let tokens = Some(Arc::new(token_store(dir, store.id())));
    ClipSource { store, tokens, geometry: geometry(), augment: Augment::default(), with_flow: false }
}

fn token_store(dir: &TempDir, clip_store_id: &str) -> TokenStore {
    let path = dir.path().join("tokens.h5");
    let header = TokenHeader { codebook_size: 4096, ..made_from(clip_store_id, &geometry()) };
    let tokens = |segment| {
        let codes: Vec<u32> = (0..FRAMES / 2 * 4).map(|token| segment * 1000 + token).collect();
        Tokens { priorities: vec![0.5; codes.len()], codes }
    };
    write(&path, &header, &(0..NUM_SEGMENTS).map(tokens).collect::<Vec<_>>());
    TokenStore::open(&path).unwrap()
}

/// Two clips per step, at places that depend on the step alone.
fn plan() -> Arc<Plan> {
    Arc::new(|step| {
        let request = |k: u64| ClipRequest {
            segment: (k % 3) as usize,
            start_frame: (k * 2 % 34) as usize,
            num_frames: 16,
            view: View::CENTRE,
        };
        vec![request(step * 2), request(step * 2 + 1)]
    })
}

fn options(num_workers: usize) -> LoaderOptions {
    LoaderOptions { num_workers, prefetch_steps: 3, max_bytes: 1 << 30 }
}

fn load_all(source: &ClipSource, num_workers: usize, steps: Range<u64>) -> Vec<(u64, Vec<LoadedClip>)> {
    let mut loader = Loader::start(source.clone(), plan(), steps, options(num_workers)).unwrap();
    std::iter::from_fn(|| loader.next()).map(|batch| batch.map(|batch| (batch.step, batch.clips)).unwrap()).collect()
}

#[test]
fn batches_are_those_of_the_plan_whatever_the_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(&dir);
    let one = load_all(&source, 1, 0..20);
    assert_eq!(one.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(one == load_all(&source, 4, 0..20));
    assert!(one[7..] == load_all(&source, 2, 7..20), "a run that goes on at step 7");
}

#[test]
fn pixels_and_tokens_are_of_the_same_frames() {
    let dir = tempfile::tempdir().unwrap();
    for (_, clips) in load_all(&source(&dir), 2, 0..17) {
        for clip in clips {
            let (segment, start) = (clip.request.segment as u32, clip.request.start_frame as u32);
            for (k, frame) in clip.rgb.chunks_exact(16 * 16 * 3).enumerate() {
                let expected = grey(segment, start + k as u32);
                assert!(frame.iter().all(|v| v.abs_diff(expected) <= 1), "segment {segment} from {start}, frame {k}");
            }
            assert_eq!(clip.rgb.len(), 16 * 16 * 16 * 3);
            let first = segment * 1000 + start / 2 * 4;
            assert_eq!(clip.tokens.unwrap().codes, (first..first + 32).collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_error_comes_out_at_its_step_and_the_next_step_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |segment, start_frame| vec![ClipRequest { segment, start_frame, num_frames: 16, view: View::CENTRE }];
    let plan: Arc<Plan> = Arc::new(move |step| match step {
        1 => at(9, 0),
        2 => at(0, 3),
        3 => at(0, 34),
        4 => panic!("a plan with a bug"),
        _ => at(0, 0),
    });
    let mut loader = Loader::start(source(&dir), plan, 0..6, options(2)).unwrap();
    let mut next = || loader.next().unwrap();
    assert!(next().is_ok());
    assert!(matches!(next(), Err(VideoError::OutOfRange { index: 9, len: 3, .. })));
    assert!(matches!(next(), Err(VideoError::ClipStart { start_frame: 3, step: 2, .. })));
    assert!(matches!(next(), Err(VideoError::OutOfRange { index: 49, len: 48, .. })));
    assert!(matches!(next(), Err(VideoError::WorkerPanicked { .. })));
    assert_eq!(next().unwrap().step, 5);
    assert!(loader.next().is_none());
}

#[test]
fn no_more_is_loaded_ahead_than_asked_for_and_dropping_stops() {
    let dir = tempfile::tempdir().unwrap();
    let planned = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&planned);
    let plan: Arc<Plan> = Arc::new(move |step| {
        seen.lock().unwrap().push(step);
        vec![ClipRequest { segment: 0, start_frame: 0, num_frames: 16, view: View::CENTRE }]
    });
    let mut loader = Loader::start(source(&dir), plan, 0..1000, options(2)).unwrap();
    for _ in 0..5 {
        loader.next().unwrap().unwrap();
    }
    drop(loader);
    // Five taken, three ahead of them.
    assert!(planned.lock().unwrap().iter().all(|step| *step < 8), "{planned:?}");
}

#[test]
fn a_bound_in_bytes_holds_back_all_but_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(&dir);
    // One clip of a step is allowed ahead; two would be over the bound.
    let clip_bytes = 16 * 16 * 16 * 3;
    let options = LoaderOptions { max_bytes: 3 * clip_bytes, ..options(2) };
    let queue = Queue::new(&(0..10), options, 16 * 16 * 3);
    let claim = || queue.claim(&*plan());
    let jobs = [claim().unwrap(), claim().unwrap(), claim().unwrap()];
    for job in jobs {
        queue.put(job, load(&source, job.request));
    }
    // Step 0 and half of step 1 are held; the rest of step 1 has to wait until step 0 is taken.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(claim);
        assert_eq!(queue.take(0).unwrap().len(), 2);
        let job = waiting.join().unwrap().unwrap();
        assert_eq!(job.request, plan()(1)[1]);
    });
    // A bound below one clip still lets every step through.
    let mut loader = Loader::start(source.clone(), plan(), 0..4, LoaderOptions { max_bytes: 1, ..options }).unwrap();
    assert_eq!(std::iter::from_fn(|| loader.next()).filter(|batch| batch.is_ok()).count(), 4);
}

#[test]
fn tokens_of_other_clips_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = source(&dir);
    let other = tempfile::tempdir().unwrap();
    source.tokens = Some(Arc::new(token_store(&other, "another")));
    assert!(matches!(
        Loader::start(source, plan(), 0..1, options(1)),
        Err(VideoError::TokenMismatch { field: "clip_store_id", .. })
    ));
}

#[test]
fn flow_is_estimated_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let with_flow = ClipSource { with_flow: true, ..source(&dir) };
    let request = ClipRequest { segment: 0, start_frame: 0, num_frames: 16, view: View::CENTRE };
    let flow = load_clip(&with_flow, request).unwrap().flow.unwrap();
    // Cells of a quarter of a patch; frames without texture have no flow, though each is brighter than the last.
    assert_eq!((flow.cell_px, flow.xy.len()), (2, 16 * 8 * 8 * 2));
    assert!(flow.xy.iter().all(|v| v.abs() < 0.5), "{:?}", flow.xy);
    assert_eq!(load_clip(&ClipSource { with_flow: false, ..with_flow }, request).unwrap().flow, None);
}
