use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn row(name: &str, verdict: Outcome) -> ManifestRow {
    let shape = Shape { num_frames: 30, frames_per_sec: 30.0, width_px: 64, height_px: 48, duration_secs: 1.0 };
    ManifestRow {
        kind: RowKind::File,
        source: "videos".to_owned(),
        name: name.to_owned(),
        content_hash: "0123456789abcdef".repeat(4),
        bytes: Some(1234),
        shape: Some(shape),
        verdict,
        reason: String::new(),
        detail: String::new(),
    }
}

fn parse(bytes: &[u8]) -> Result<Manifest, VideoError> {
    Manifest::parse(Path::new("m.csv"), bytes)
}

#[test]
fn the_table_is_plain_csv_below_its_version() {
    let mut cut = row("b, c.mp4", Outcome::Rejected);
    (cut.shape, cut.reason, cut.detail) = (None, "ends early".to_owned(), "ends at 1.00 s of \"2\"".to_owned());
    let manifest = Manifest { rows: vec![row("a.mp4", Outcome::Ok), cut] };
    let hash = "0123456789abcdef".repeat(4);
    let expected = format!(
        "# longvid manifest 1\n\
         kind,source,name,content_hash,bytes,frames,frames_per_sec,width_px,height_px,duration_secs,verdict,reason,detail\n\
         file,videos,a.mp4,{hash},1234,30,30,64,48,1,ok,,\n\
         file,videos,\"b, c.mp4\",{hash},1234,,,,,,rejected,ends early,\"ends at 1.00 s of \"\"2\"\"\"\n"
    );
    assert_eq!(manifest.to_csv(), expected);
    assert_eq!(parse(expected.as_bytes()).unwrap(), manifest);
    assert_eq!(parse(expected.replace('\n', "\r\n").as_bytes()).unwrap(), manifest, "as a spreadsheet saves it");
}

#[test]
fn what_is_wrong_is_told_with_line_and_field() {
    let good = Manifest { rows: vec![row("a.mp4", Outcome::Ok), row("b.mp4", Outcome::Ok)] }.to_csv();
    for (from, to, place) in [
        ("manifest 1", "manifest 2", "line 1, field \"version\""),
        ("kind,source", "source,kind", "line 2, field \"header\""),
        (",1234,30,30,64,48,1,ok", ",1234,30,30,64,48,1,fine", "line 3, field \"verdict\""),
        (",1234,30,30,64,48,1,ok", ",1234,30,30,64,48,inf,ok", "line 3, field \"duration_secs\""),
        (",1234,30,", ",1234,99999999999,", "line 3, field \"frames\""),
        (",1234,30,30,64,48,1,ok", ",1234,30,30,,48,1,ok", "line 3, field \"width_px\""),
        ("file,videos,a", "disk,videos,a", "line 3, field \"kind\""),
        ("0123456789abcdef", "0123456789ABCDEF", "line 3, field \"content_hash\""),
        ("file,videos,b", "file,videos,b,b", "line 4, field \"row\""),
        ("b.mp4", "a.mp4", "line 4, field \"name\""),
    ] {
        let said = parse(good.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(said.contains(place), "{from} -> {to}: {said}");
    }
    assert!(parse(b"").is_err() && parse(b"# longvid manifest 1\n").is_err());
    let mut bytes = good.into_bytes();
    let at = bytes.windows(5).position(|five| five == b"a.mp4").unwrap();
    bytes[at] = 0xFF;
    assert!(parse(&bytes).unwrap_err().to_string().contains("line 3, field \"name\""));
}

#[test]
fn a_comparison_tells_what_is_gone_new_or_other() {
    let old = ["gone", "same", "content", "verdict"].map(|name| row(name, Outcome::Ok));
    let mut new = ["new", "same", "content", "verdict"].map(|name| row(name, Outcome::Ok));
    new[2].content_hash = "f".repeat(64);
    new[3].verdict = Outcome::OkWithNotes;
    let changes = Manifest { rows: new.into() }.changes_since(&Manifest { rows: old.into() });
    let got: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.change)).collect();
    let verdict = ChangeKind::Verdict { from: Outcome::Ok, to: Outcome::OkWithNotes };
    let expected = [("new", ChangeKind::New), ("content", ChangeKind::Content), ("verdict", verdict)];
    assert_eq!(got, [&expected[..], &[("gone", ChangeKind::Gone)]].concat());
}

#[test]
fn a_manifest_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.csv");
    let manifest = Manifest { rows: vec![row("a.mp4", Outcome::Ok)] };
    manifest.write(&path).unwrap();
    assert_eq!(Manifest::read(&path).unwrap(), manifest);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(matches!(manifest.write(dir.path()), Err(VideoError::Io { .. })));
    assert!(!with_suffix(dir.path(), ".tmp").exists());
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let secs = || (0.0..1e300).prop_union(0.0..1e3);
    (any::<u32>(), secs(), any::<u32>(), any::<u32>(), secs()).prop_map(
        |(num_frames, frames_per_sec, width_px, height_px, duration_secs)| Shape {
            num_frames,
            frames_per_sec,
            width_px,
            height_px,
            duration_secs,
        },
    )
}

fn any_row() -> impl Strategy<Value = ManifestRow> {
    let kind = prop::sample::select(vec![RowKind::File, RowKind::Segment, RowKind::Store]);
    let outcomes = vec![Outcome::Ok, Outcome::OkWithNotes, Outcome::TooShort, Outcome::Damaged, Outcome::Rejected];
    // What a table must survive: separators, quotes, line ends, comments, letters of several bytes.
    let text = || "[a#,\"\r\n é\u{0}]{0,8}";
    let texts = (text(), text(), text(), text());
    (
        kind,
        texts,
        "([0-9a-f]{64})?",
        any::<Option<u64>>(),
        prop::option::of(any_shape()),
        prop::sample::select(outcomes),
    )
        .prop_map(|(kind, (source, name, reason, detail), content_hash, bytes, shape, verdict)| ManifestRow {
            kind,
            source,
            name,
            content_hash,
            bytes,
            shape,
            verdict,
            reason,
            detail,
        })
}

/// Rows of distinct names.
fn any_manifest() -> impl Strategy<Value = Manifest> {
    vec(any_row(), 0..8).prop_map(|mut rows| {
        rows.iter_mut().enumerate().for_each(|(k, row)| row.name.push_str(&k.to_string()));
        Manifest { rows }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(manifest in any_manifest()) {
        prop_assert_eq!(parse(manifest.to_csv().as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let head = if headed { Manifest::default().to_csv() } else { String::new() };
        parse(&[head.as_bytes(), &bytes].concat()).ok();
    }

    #[test]
    fn a_damaged_table_is_refused_or_reads_back_the_same(
        manifest in any_manifest(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut bytes = manifest.to_csv().into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(kept.index(bytes.len()) + 1);
        if let Ok(read) = parse(&bytes) {
            prop_assert_eq!(parse(read.to_csv().as_bytes()).unwrap(), read);
        }
    }
}
