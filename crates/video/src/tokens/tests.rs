use spec::ClipSpec;
use tempfile::TempDir;

use super::*;
use crate::Begin;

fn header() -> TokenHeader {
    TokenHeader {
        tokenizer_id: "t".to_owned(),
        clip_store_id: "c".to_owned(),
        patch: [2, 8, 8],
        levels: vec![8, 5, 5],
        size_px: 16,
        sampling: Sampling::Rate { frames_per_sec: 15.0 },
        num_frames: 16,
        short: Short::Hold,
    }
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
    let (mut writer, _) = TokenWriter::begin(&path, &header()).unwrap();
    writer.append(&tokens(0, 8)).unwrap();
    writer.append(&tokens(1000, 16)).unwrap();
    writer.finish().unwrap();
    let store = TokenStore::open(&path).unwrap();
    assert_eq!(store.header(), &header());
    assert_eq!((store.num_segments(), store.num_tokens()), (2, 96));
    assert_eq!(store.read(0, 0, 8).unwrap(), tokens(0, 8));
    // Latent frame 3 of segment 1 begins 3 * 4 tokens into it.
    assert_eq!(store.read(1, 3, 2).unwrap(), tokens(1012, 2));
    assert!(matches!(store.read(1, 15, 2), Err(VideoError::OutOfRange { index: 16, len: 16, .. })));
    assert!(matches!(store.read(2, 0, 1), Err(VideoError::OutOfRange { index: 2, len: 2, .. })));
}

#[test]
fn an_interrupted_store_goes_on_after_its_last_whole_segment() {
    let (dir, path) = path();
    let (mut writer, _) = TokenWriter::begin(&path, &header()).unwrap();
    writer.append(&tokens(0, 8)).unwrap();
    writer.append(&tokens(50, 8)).unwrap();
    drop(writer);
    // As if the process had ended before all of the second segment's tokens were written.
    let part = std::fs::OpenOptions::new().write(true).open(dir.path().join("tokens.h5.part")).unwrap();
    part.set_len(40 * 8).unwrap();
    let (mut writer, begin) = TokenWriter::begin(&path, &header()).unwrap();
    assert_eq!((begin, writer.num_segments()), (Begin::Resumed, 1));
    writer.append(&tokens(50, 8)).unwrap();
    writer.finish().unwrap();
    assert_eq!(TokenStore::open(&path).unwrap().read(1, 0, 8).unwrap(), tokens(50, 8));
}

#[test]
fn going_on_with_another_tokenizer_is_refused_by_name() {
    let (_dir, path) = path();
    drop(TokenWriter::begin(&path, &header()).unwrap());
    let other = TokenHeader { levels: vec![8, 8], ..header() };
    let said = TokenWriter::begin(&path, &other).unwrap_err().to_string();
    assert!(said.contains("levels = [8, 5, 5], now it is [8, 8]"), "{said}");
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
        assert!(matches!(writer.append(&bad), Err(VideoError::TokenCount { step: 4, .. })), "{bad:?}");
    }
    assert_eq!(writer.num_segments(), 0);
}

#[test]
fn a_store_of_other_clips_or_another_geometry_is_told_apart() {
    let spec = |num_frames, sampling| {
        ClipSpec { num_frames, size_px: 16, patch: [2, 8, 8], sampling, short: Short::Hold }.check().unwrap()
    };
    let geometry = spec(16, header().sampling);
    header().expect_matches("c", &geometry).unwrap();
    let said = header().expect_matches("other", &geometry).unwrap_err().to_string();
    assert!(said.contains("clip_store_id = \"c\", but \"other\" is needed; encode this clip store"), "{said}");
    let said = header().expect_matches("c", &spec(32, header().sampling)).unwrap_err().to_string();
    assert!(said.contains("num_frames = 16, but 32 is needed"), "{said}");
    let said = header().expect_matches("c", &spec(16, Sampling::Segment)).unwrap_err().to_string();
    assert!(said.contains("sampling = Rate { frames_per_sec: 15.0 }, but Segment"), "{said}");
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
    let (mut writer, _) = TokenWriter::begin(&path, &header()).unwrap();
    (0..3).for_each(|k| writer.append(&tokens(100 * k, 8)).unwrap());
    writer.finish().unwrap();
    let damaged = || TokenStore::open(&path).unwrap().verify(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(damaged(), []);
    let file = File::open_rw(&path).unwrap();
    file.dataset("priorities").unwrap().write_slice(&[7.5_f32], 40..41).unwrap();
    file.close().unwrap();
    assert_eq!(damaged().iter().map(|damaged| damaged.part.as_str()).collect::<Vec<_>>(), ["segment 1"]);
}

#[test]
fn the_filling_of_short_segments_is_recorded() {
    let (_dir, path) = path();
    let looped = TokenHeader { short: Short::Loop, ..header() };
    let (mut writer, _) = TokenWriter::begin(&path, &looped).unwrap();
    writer.append(&tokens(0, 8)).unwrap();
    writer.finish().unwrap();
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
