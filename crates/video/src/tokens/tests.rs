use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use hdf5::File;
use spec::{ClipGeometry, ClipSpec, Sampling, Short};
use tempfile::TempDir;

use super::*;
use crate::{Begin, Shard, VideoError};

/// What clips of a geometry are encoded with, 1000 codes.
pub(crate) fn made_from(clip_store_id: &str, geometry: &ClipGeometry) -> TokenHeader {
    let patch = geometry.patch();
    TokenHeader {
        tokenizer_id: "t".to_owned(),
        tokenizer_toml: "[tokenizer]".to_owned(),
        clip_store_id: clip_store_id.to_owned(),
        shard: Shard::WHOLE,
        patch: [patch.t, patch.h, patch.w],
        quantizer: "{}".to_owned(),
        codebook_size: 1000,
        size_px: geometry.size_px(),
        crop: EncodedCrop::CentreSquare,
        sampling: geometry.sampling(),
        num_frames: geometry.num_frames(),
        short: geometry.short(),
        time_layout: EncodedLayout::Pairs,
        long_videos: LongVideos::Windows,
    }
}

/// A finished store of segments `s0`, `s1` and so on.
pub(crate) fn write(path: &Path, header: &TokenHeader, segments: &[Tokens]) {
    let (mut writer, _) = TokenWriter::begin(path, header).unwrap();
    for (k, tokens) in segments.iter().enumerate() {
        append(&mut writer, k, tokens);
    }
    writer.finish(None).unwrap();
}

fn append(writer: &mut TokenWriter, segment: usize, tokens: &Tokens) {
    writer.push(tokens).unwrap();
    writer.commit(EncodedSegment { id: format!("s{segment}"), source_hash: format!("frames {segment}") }).unwrap();
}

fn geometry(num_frames: i64, sampling: Sampling) -> ClipGeometry {
    ClipSpec { num_frames, size_px: 16, patch: [2, 8, 8], sampling, short: Short::Hold }.check().unwrap()
}

fn header() -> TokenHeader {
    made_from("c", &geometry(16, Sampling::Rate { frames_per_sec: 15.0 }))
}

/// `latent_frames` times the 2 x 2 tokens of a frame; codes count up from `first`.
fn tokens(first: u32, latent_frames: u32) -> Tokens {
    let codes: Vec<u32> = (first..first + 4 * latent_frames).collect();
    let priorities = codes.iter().map(|code| *code as f32 / 2.0).collect();
    Tokens { codes, priorities }
}

fn path() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.h5");
    (dir, path)
}

#[test]
fn tokens_come_back_by_segment_and_latent_frame() {
    let (_dir, path) = path();
    write(&path, &header(), &[tokens(0, 8), tokens(500, 16)]);
    let store = TokenStore::open(&path).unwrap();
    assert_eq!(store.header(), &header());
    assert_eq!((store.num_segments(), store.num_tokens(), store.segment_ids()[1].as_str()), (2, 96, "s1"));
    assert_eq!(store.read(0, 0, 8).unwrap(), tokens(0, 8));
    // Latent frame 3 of segment 1 begins 3 * 4 tokens into it.
    assert_eq!(store.read(1, 3, 2).unwrap(), tokens(512, 2));
    assert!(matches!(store.read(1, 15, 2), Err(VideoError::OutOfRange { index: 16, len: 16, .. })));
    assert!(matches!(store.read(2, 0, 1), Err(VideoError::OutOfRange { index: 2, len: 2, .. })));
}

#[test]
fn an_interrupted_store_goes_on_after_its_last_whole_segment() {
    let (dir, path) = path();
    let (mut writer, _) = TokenWriter::begin(&path, &header()).unwrap();
    append(&mut writer, 0, &tokens(0, 8));
    append(&mut writer, 1, &tokens(50, 8));
    drop(writer);
    // As if the process had ended before all of the second segment's tokens were written.
    let part = std::fs::OpenOptions::new().write(true).open(dir.path().join("tokens.h5.part")).unwrap();
    part.set_len(40 * 8).unwrap();
    let (mut writer, begin) = TokenWriter::begin(&path, &header()).unwrap();
    assert_eq!((begin, writer.num_segments()), (Begin::Resumed, 1));
    // The pieces in which tokens come leave no trace.
    [tokens(50, 3), tokens(62, 5)].iter().for_each(|piece| writer.push(piece).unwrap());
    writer.commit(EncodedSegment { id: "s1".to_owned(), source_hash: "frames 1".to_owned() }).unwrap();
    let id = writer.finish(None).unwrap();
    let whole = dir.path().join("whole.h5");
    write(&whole, &header(), &[tokens(0, 8), tokens(50, 8)]);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&whole).unwrap());
    assert_eq!(TokenStore::open(&path).unwrap().id(), id);
    assert_eq!(TokenStore::open(&path).unwrap().read(1, 0, 8).unwrap(), tokens(50, 8));
}

#[test]
fn going_on_with_another_tokenizer_is_refused_by_name() {
    let (_dir, path) = path();
    drop(TokenWriter::begin(&path, &header()).unwrap());
    let other = TokenHeader { codebook_size: 64, ..header() };
    let said = TokenWriter::begin(&path, &other).unwrap_err().to_string();
    assert!(said.contains("codebook_size = 1000, now it is 64"), "{said}");
}

#[test]
fn tokens_that_fill_no_whole_frame_are_refused() {
    let (_dir, path) = path();
    let (mut writer, _) = TokenWriter::begin(&path, &header()).unwrap();
    for bad in [
        Tokens { codes: vec![0; 6], priorities: vec![0.0; 6] },
        Tokens { codes: vec![0; 4], priorities: vec![0.0; 8] },
        Tokens { codes: vec![], priorities: vec![] },
    ] {
        assert!(matches!(writer.push(&bad), Err(VideoError::TokenCount { step: 4, .. })), "{bad:?}");
    }
    let empty = EncodedSegment { id: String::new(), source_hash: String::new() };
    assert!(matches!(writer.commit(empty), Err(VideoError::TokenCount { codes: 0, .. })));
    assert_eq!(writer.num_segments(), 0);
}

#[test]
fn a_store_of_other_clips_or_another_geometry_is_told_apart() {
    let spec = geometry;
    let geometry = spec(16, header().sampling);
    header().expect_matches("c", &geometry).unwrap();
    let said = header().expect_matches("other", &geometry).unwrap_err().to_string();
    assert!(said.contains("clip_store_id = \"c\", but \"other\" is needed; encode this clip store"), "{said}");
    let said = header().expect_matches("c", &spec(32, header().sampling)).unwrap_err().to_string();
    assert!(said.contains("num_frames = 16, but 32 is needed"), "{said}");
    let said = header().expect_matches("c", &spec(16, Sampling::Segment)).unwrap_err().to_string();
    assert!(said.contains("sampling = Rate { frames_per_sec: 15.0 }, but Segment"), "{said}");
    let shard = TokenHeader { shard: "2/3".parse().unwrap(), ..header() };
    let said = shard.expect_matches("c", &geometry).unwrap_err().to_string();
    assert!(said.contains("shard = 2/3, but 1/1 is needed; give the whole that `longvid data merge` makes"), "{said}");
    let other = TokenHeader { time_layout: EncodedLayout::FirstFrame, ..header() };
    let said = other.expect_matches("c", &geometry).unwrap_err().to_string();
    assert!(said.contains("time_layout = FirstFrame, but Pairs is needed"), "{said}");
}

#[test]
fn a_clip_store_is_not_a_token_store() {
    let (_dir, path) = path();
    let options = crate::StoreOptions { short_side_px: 16, max_frames_per_sec: None };
    crate::ClipStoreWriter::begin(&path, options).unwrap().0.finish(&[], &[]).unwrap();
    let said = TokenStore::open(&path).unwrap_err().to_string();
    assert!(said.ends_with("is a clip store, but a token store is wanted here"), "{said}");
}

#[test]
fn a_changed_token_is_found_in_its_segment() {
    let (_dir, path) = path();
    write(&path, &header(), &[0, 1, 2].map(|k| tokens(100 * k, 8)));
    let damaged = || TokenStore::open(&path).unwrap().verify(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(damaged(), []);
    let file = File::open_rw(&path).unwrap();
    file.dataset("priorities").unwrap().write_slice(&[7.5_f32], 40..41).unwrap();
    file.close().unwrap();
    assert_eq!(damaged().iter().map(|damaged| damaged.part.as_str()).collect::<Vec<_>>(), ["segment 1"]);
    let file = File::open_rw(&path).unwrap();
    file.attr("size_px").unwrap().write_scalar(&8_i64).unwrap();
    file.close().unwrap();
    let parts: Vec<String> = damaged().into_iter().map(|damaged| damaged.part).collect();
    assert_eq!(parts, ["tables", "segment 1"]);
}

#[test]
fn a_code_outside_the_codebook_is_refused_and_found() {
    let (_dir, path) = path();
    write(&path, &header(), &[tokens(0, 8), tokens(980, 8)]);
    let store = TokenStore::open(&path).unwrap();
    // Code 1000 is the first of the sixth latent frame.
    assert_eq!(store.read(1, 0, 5).unwrap(), tokens(980, 5));
    let said = store.read(1, 3, 4).unwrap_err().to_string();
    assert!(said.contains("segment \"s1\" has the code 1000, and the codebook 1000 codes"), "{said}");
    let damaged = store.verify(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].problem, "it has the code 1000, and the codebook 1000 codes");
}

#[test]
fn a_store_of_another_version_is_refused() {
    let (_dir, path) = path();
    write(&path, &header(), &[tokens(0, 8)]);
    let refusal = |version: u32| {
        let file = File::open_rw(&path).unwrap();
        file.attr("format_version").unwrap().write_scalar(&version).unwrap();
        file.close().unwrap();
        TokenStore::open(&path).unwrap_err().to_string()
    };
    let said = refusal(2);
    assert!(said.ends_with("has format version 2, version 3 is needed: encode it again"), "{said}");
    let said = refusal(4);
    assert!(said.contains("has format version 4, this program reads up to 3"), "{said}");
}

#[test]
fn a_codebook_comes_back_and_counts_for_the_id() {
    let (dir, path) = path();
    let finish = |path: &Path, codebook: Option<&Codebook>| {
        let (mut writer, _) = TokenWriter::begin(path, &header()).unwrap();
        append(&mut writer, 0, &tokens(0, 8));
        writer.finish(codebook).unwrap()
    };
    let values: Vec<f32> = (0..12).map(|k| k as f32 / 7.0).collect();
    let codebook = Codebook { shape_skd: [2, 3, 2], values };
    let id = finish(&path, Some(&codebook));
    assert_eq!(TokenStore::open(&path).unwrap().codebook(), Some(&codebook));
    assert_ne!(finish(&dir.path().join("without.h5"), None), id);
}

#[test]
fn shards_in_any_order_are_merged_to_the_undivided_store() {
    let (dir, path) = path();
    let segments: Vec<Tokens> = (0..7).map(|k| tokens(50 * k, 2 + k)).collect();
    write(&path, &header(), &segments);
    let shard = |number: u32| {
        let shard: Shard = format!("{number}/3").parse().unwrap();
        let path = dir.path().join(format!("{number}.h5"));
        let (mut writer, _) = TokenWriter::begin(&path, &TokenHeader { shard, ..header() }).unwrap();
        shard.range(7).for_each(|k| append(&mut writer, k, &segments[k]));
        writer.finish(None).unwrap();
        path
    };
    let shards = [3, 1, 2].map(shard);
    let merge = |shards: &[PathBuf], out: &str, on_segment: &mut dyn FnMut(usize, usize), stop: &AtomicBool| {
        let inputs: Vec<TokenStore> = shards.iter().map(|path| TokenStore::open(path).unwrap()).collect();
        merge_tokens(&inputs, &dir.path().join(out), on_segment, stop)
    };
    let go = AtomicBool::new(false);
    let merged = merge(&shards, "merged.h5", &mut |_, _| (), &go).unwrap();
    assert_eq!((merged.num_segments, merged.num_tokens), (7, 4 * (2 + 3 + 4 + 5 + 6 + 7 + 8)));
    assert_eq!(std::fs::read(dir.path().join("merged.h5")).unwrap(), std::fs::read(&path).unwrap());

    let stop = AtomicBool::new(false);
    let mut on_segment = |done, _| stop.store(done == 4, std::sync::atomic::Ordering::Relaxed);
    let halted = merge(&shards, "halted.h5", &mut on_segment, &stop);
    assert!(matches!(halted, Err(VideoError::Interrupted { num_done: 4 })));
    merge(&shards, "halted.h5", &mut |_, _| (), &go).unwrap();
    assert_eq!(std::fs::read(dir.path().join("halted.h5")).unwrap(), std::fs::read(&path).unwrap());

    let refusal = |shards: &[PathBuf]| merge(shards, "no.h5", &mut |_, _| (), &go).unwrap_err().to_string();
    assert!(refusal(&shards[..2]).contains("shard 2/3 must be there once"));
    assert!(refusal(std::slice::from_ref(&path)).contains("its tokens are no shard but a whole"));
    let other = TokenHeader { tokenizer_id: "u".to_owned(), shard: "2/3".parse().unwrap(), ..header() };
    let foreign = dir.path().join("foreign.h5");
    write(&foreign, &other, &segments[2..4]);
    let said = refusal(&[shards[0].clone(), shards[1].clone(), foreign]);
    assert!(said.contains("it has tokenizer_id = \"u\"") && said.contains("1.h5\" has \"t\""), "{said}");
}

#[test]
fn code_use_is_counted_over_all_segments() {
    let (_dir, path) = path();
    write(&path, &header(), &[tokens(0, 8), tokens(16, 8)]);
    let stats = TokenStore::open(&path).unwrap().stats(&mut |_| ControlFlow::Continue(())).unwrap();
    // Codes 0..16 and 32..48 once, 16..32 twice, of 64 tokens: 32 of 1/64 and 16 of 2/64.
    let entropy = 0.5 * 64_f64.ln() + 0.5 * 32_f64.ln();
    assert_eq!((stats.codes.num_used, stats.codes.num_dead), (48, 952));
    assert!((stats.codes.perplexity - entropy.exp()).abs() < 1e-9, "{stats:?}");
    let priorities = stats.priorities.unwrap();
    assert_eq!((priorities.min, priorities.max), (0.0, 23.5));
}

#[test]
fn the_filling_of_short_segments_is_recorded() {
    let (_dir, path) = path();
    let looped = TokenHeader { short: Short::Loop, ..header() };
    write(&path, &looped, &[tokens(0, 8)]);
    assert_eq!(TokenStore::open(&path).unwrap().header(), &looped);
}

#[test]
fn a_part_of_every_latent_frame_is_cut_out() {
    // Two latent frames of 3 x 4 tokens, numbered; rows 1 and 2, columns 2 and 3.
    let codes: Vec<u32> = (0..24).collect();
    let whole = Tokens { priorities: codes.iter().map(|code| *code as f32).collect(), codes };
    let part = whole.cut([3, 4], ([1, 2], [2, 2]));
    assert_eq!(part.codes, [6, 7, 10, 11, 18, 19, 22, 23]);
    assert_eq!(part.priorities, [6.0, 7.0, 10.0, 11.0, 18.0, 19.0, 22.0, 23.0]);
}
