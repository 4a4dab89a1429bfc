use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use criterion::{BenchmarkId, Criterion, Throughput};
use spec::{ClipGeometry, ClipSpec, Sampling, Short};
use video::synth::{DiveOptions, synth_dives};
use video::{Augment, ClipRequest, ClipSource, ClipStore, DecodeLimits, ImportOptions, StoreOptions, View, load_clip};

/// One clip from a store on disk to pixels, on one thread: reading, JPEG decoding, scaling to 64 x 64.
pub(crate) fn bench(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(store(folder.path()));
    let mut group = criterion.benchmark_group("clip loading");
    for num_frames in [16, 128] {
        let (geometry, augment) = (geometry(num_frames), Augment::default());
        let source = ClipSource { store: store.clone(), tokens: None, geometry, augment, with_flow: false };
        let mut next = 0;
        group.throughput(Throughput::Elements(num_frames as u64));
        group.bench_function(BenchmarkId::new("frames", num_frames), |b| {
            b.iter(|| {
                next = (next + 1) % store.segments().len();
                let (segment, num_frames, view) = (next, num_frames as usize, View::CENTRE);
                load_clip(&source, ClipRequest { segment, start_frame: 0, num_frames, view })
                    .expect("a clip of a whole store")
            });
        });
    }
    group.finish();
}

fn geometry(num_frames: i64) -> ClipGeometry {
    let clip = ClipSpec { num_frames, size_px: 64, patch: [2, 8, 8], sampling: Sampling::Segment, short: Short::Hold };
    clip.check().expect("whole numbers of cubes")
}

/// Five synthetic dives at 96 x 96.
fn store(folder: &Path) -> ClipStore {
    let interrupt = AtomicBool::new(false);
    let videos = folder.join("dives");
    let dives = DiveOptions { num_train: 4, num_test: 1, num_classes: 4, ..DiveOptions::new(videos.clone()) };
    synth_dives(&dives, &|_, _| {}, &interrupt).expect("ffmpeg, which `make setup` fetches");
    let options = ImportOptions {
        shard: video::Shard::WHOLE,
        folder: videos.join("rgb"),
        store: folder.join("dives.h5"),
        annotations: None,
        groups: None,
        exclude_labels: BTreeSet::new(),
        frames: StoreOptions { short_side_px: 96, max_frames_per_sec: None },
        limits: DecodeLimits::default(),
        num_workers: 2,
        strict: false,
    };
    video::import(&options, &mut |_| {}, &interrupt).expect("videos that ffmpeg wrote");
    ClipStore::open(&options.store).expect("a store just written")
}
