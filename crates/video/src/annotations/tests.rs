mod properties;

use std::path::Path;

use super::epic100::{ClassList, Known};
use super::*;

const FILE: &str = "rows.csv";

fn path() -> &'static Path {
    Path::new(FILE)
}

#[track_caller]
fn refused<T>(result: Result<T, VideoError>, expected: &str) {
    let Err(err) = result else { panic!("not refused: {expected}") };
    let said = err.to_string();
    assert!(said.contains(FILE) && said.contains(expected), "{said}\nexpected: {expected}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const TABLE: &str = "path,label,group,note,start,end\n\
    a/b.mp4,wave,s1,x,,\n./c.mp4,,,x,0.5,00:01:02.25\n";

#[test]
fn a_table_has_labels_groups_and_times_in_either_form() {
    let rows = table::rows(path(), TABLE.as_bytes()).unwrap();
    assert_eq!(rows.label_spaces, [LabelSpace { name: "class".to_owned(), classes: strings(&["wave"]) }]);
    assert_eq!(rows.ignored_columns, ["note"]);
    let [first, second] = &rows.rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*first.id, &*first.video, &*first.group), ("a/b.mp4", "a/b.mp4", "s1"));
    assert_eq!((&first.labels[..], first.span), (&[Some(0)][..], Span::Whole));
    assert_eq!((&*second.id, &*second.video, &*second.group), ("c.mp4@0.5-62.25", "c.mp4", "c.mp4"));
    assert_eq!((&second.labels[..], second.span), (&[None][..], Span::Secs(0.5, 62.25)));
}

#[test]
fn a_wrong_row_of_a_table_is_named_by_line_and_field() {
    for (text, expected) in [
        ("", "line 1, field \"header\": found \"\", expected a column \"path\""),
        ("path,group\na.mp4,g\n", "found \"path,group\", expected a column \"label\""),
        ("path,label,path\n", "found \"path\", expected each column once"),
        ("path,label,start_secs\n", "expected a column \"stop_secs\""),
        ("path,label,start,end,start_secs,stop_secs\n", "expected start_secs and stop_secs, or start and end"),
        ("path,label\na.mp4,x\n/b.mp4,x\n", "line 3, field \"path\": found \"/b.mp4\", expected a path below"),
        // Lines are counted as editors count them, whatever ends them.
        ("path,label\r\na.mp4,x\r\n\r\n,x\r\n", "line 4, field \"path\": found \"\", expected a path below"),
        ("path,label\ra.mp4,x\r\r,x", "line 4, field \"path\": found \"\""),
        (
            "path,label\na.mp4,x\n./a.mp4,y\n",
            "line 3, field \"path\": found \"./a.mp4\", expected a segment that does not stand on line 2 already",
        ),
        ("path,label\na.mp4,x\na.mp4\n", "line 3, field \"row\": found \"1 fields\", expected 2, as in the header"),
        (
            "path,label\na.mp4,\"x\nb.mp4,y\n",
            "line 2, field \"label\": found \"x\\nb.mp4,y\", expected a field on one line",
        ),
        ("path,label\na.mp4,x\0\n", "line 2, field \"row\": found \"\\0\""),
        ("path,label,start,end\na.mp4,x,1,soon\n", "line 2, field \"end\": found \"soon\", expected seconds"),
        ("path,label,start,end\na.mp4,x,,2\n", "line 2, field \"start\": found \"\", expected seconds"),
        (
            "path,label,start,end\na.mp4,x,2,00:00:02\n",
            "field \"end\": found \"00:00:02\", expected a time after \"2\"",
        ),
    ] {
        refused(table::rows(path(), text.as_bytes()), expected);
    }
    refused(
        table::rows(path(), b"path,label\na.mp4,\xff\n"),
        "line 2, field \"row\": found \"bytes that are not UTF-8\"",
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_column() {
    assert_eq!(table::rows(path(), b"\xef\xbb\xbfpath,label\na.mp4,x\n").unwrap().rows.len(), 1);
}

const ENTRIES: &str = r#"[
  {
    "vid_name": "-mmq0PT_u8k_00155",
    "label": 1,
    "start_frame": 0,
    "end_frame": 48
  },
  {"vid_name": "x_1", "label": 0, "start_frame": 2, "end_frame": 9}
]"#;
const VOCABULARY: &str = r#"[["Back", "15som", "05Twis", "FREE"], ["Inward", "Dive", "NoTwis", "PIKE"]]"#;

fn vocabulary() -> Vec<String> {
    diving48::vocabulary(path(), VOCABULARY.as_bytes()).unwrap()
}

#[test]
fn diving48_entries_have_a_class_a_competition_and_frames() {
    assert_eq!(vocabulary(), ["Back 15som 05Twis FREE", "Inward Dive NoTwis PIKE"]);
    let rows = diving48::entries(path(), ENTRIES.as_bytes(), Some(&vocabulary())).unwrap();
    assert_eq!(rows.label_spaces, [LabelSpace { name: "class".to_owned(), classes: vocabulary() }]);
    let of = |row: &Row| (row.id.clone(), row.group.clone(), row.labels.clone(), row.span);
    assert_eq!(
        of(&rows.rows[0]),
        ("-mmq0PT_u8k_00155".into(), "-mmq0PT_u8k".into(), vec![Some(1)], Span::Frames(0, 48))
    );
    assert_eq!(of(&rows.rows[1]), ("x_1".into(), "x".into(), vec![Some(0)], Span::Frames(2, 9)));
    // Without a vocabulary there are the 48 classes of the data set.
    let rows = diving48::entries(path(), ENTRIES.as_bytes(), None).unwrap();
    assert_eq!((rows.label_spaces[0].classes.len(), &*rows.label_spaces[0].classes[30]), (48, "30"));
}

#[test]
fn a_wrong_entry_is_named_by_line_and_field() {
    let with = |from: &str, to: &str| ENTRIES.replacen(from, to, 1);
    for (text, expected) in [
        (with("1,", "2,"), "line 4, field \"label\": found \"2\", expected one below 2"),
        (with("1,", "-1,"), "line 4, field \"label\": found \"-1\", expected a whole number"),
        (with("1,", "1e3,"), "line 4, field \"label\": found \"1e3\", expected a whole number"),
        (with("48", "0"), "line 6, field \"end_frame\": found \"0\", expected a frame after start_frame 0"),
        (with("\"start_frame\": 0,", ""), "line 2, field \"entry\""),
        (with("\"-mmq0PT_u8k_00155\"", "17"), "line 3, field \"vid_name\": found \"17\""),
        (with("-mmq0PT_u8k_00155", "../x"), "line 3, field \"vid_name\": found \"\\\"../x\\\"\""),
        (with("x_1", "-mmq0PT_u8k_00155"), "line 8, field \"vid_name\""),
        (with("\"x_1\"", "\"x_1"), "line 8, field \"JSON\""),
        (r#"{"vid_name": 1}"#.to_owned(), "line 1, field \"JSON\""),
    ] {
        refused(diving48::entries(path(), text.as_bytes(), Some(&vocabulary())), expected);
    }
    refused(
        diving48::entries(path(), ENTRIES.replace("\"label\": 0", "\"label\": 48").as_bytes(), None),
        "one below 48",
    );
    refused(diving48::entries(path(), b"[\n\xff]", None), "line 2, field \"JSON\": found \"bytes that are not UTF-8\"");
    for words in [r#"["a","b","c"]"#, r#"["a","b","c","d","e"]"#, r#"["a","b","c",""]"#, r#"["a b","c","d","e"]"#, "1"]
    {
        refused(diving48::vocabulary(path(), format!("[\n{words}]").as_bytes()), "line 2, field \"class\"");
    }
    let twice =
        VOCABULARY.replace("\"Inward\", \"Dive\", \"NoTwis\", \"PIKE\"", "\"Back\", \"15som\", \"05Twis\", \"FREE\"");
    refused(diving48::vocabulary(path(), twice.as_bytes()), "a class that does not stand in the list already");
}

const EPIC_HEADER: &str =
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame";
const EPIC_LABELS: &str = "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes";
const EPIC_ROW: &str = "P01_11_3,P01,P01_11,00:00:01.700,00:00:01.56,01:00:02.5,93,147,\
    \"take tap, spoon\",take,1,tap,0,\"['tap', 'cook\\'s spoon']\",\"[0, 2]\"";

/// The official form: CRLF, and no end of line after the last row.
fn epic_file() -> String {
    format!("{EPIC_HEADER},{EPIC_LABELS}\r\n{EPIC_ROW}\r\n{}", EPIC_ROW.replace("P01_11_3", "P01_11_4"))
}

fn epic_rows(text: &str) -> Result<Rows, VideoError> {
    let (verbs, nouns) = (strings(&["put", "take"]), strings(&["tap", "knife", "spoon"]));
    let videos = epic100::video_info(path(), VIDEO_INFO.as_bytes()).unwrap();
    epic100::segments(path(), text.as_bytes(), &Known { verbs: &verbs, nouns: &nouns, videos: Some(&videos) })
}

const VIDEO_INFO: &str = "video_id,duration,fps,resolution\nP01_11,3700.5,59.9400599400599,1920x1080\n";
const CLASSES: &str = "\"id\",\"key\",\"instances\",\"category\"\r\n\
    0,\"put\",\"['put', 'put-down']\",\"leave\"\r\n1,take,\"['take', 'cook\\'s']\",\"spices, herbs\"";

#[test]
fn epic_rows_have_two_labels_times_a_video_and_a_participant() {
    let rows = epic_rows(&epic_file()).unwrap();
    let spaces: Vec<_> = rows.label_spaces.iter().map(|space| (&*space.name, space.classes.len())).collect();
    assert_eq!(spaces, [("verb", 2), ("noun", 3)]);
    assert_eq!((rows.rows.len(), rows.ignored_columns.len()), (2, 0));
    let expected = Row {
        id: "P01_11_3".to_owned(),
        video: "P01_11".to_owned(),
        labels: vec![Some(1), Some(0)],
        group: "P01_11".to_owned(),
        subject: "P01".to_owned(),
        span: Span::Secs(1.56, 3602.5),
    };
    assert_eq!(rows.rows[0], expected);
    let test = format!("{EPIC_HEADER}\n{}\n", EPIC_ROW.split(",\"take").next().unwrap());
    let rows = epic_rows(&test).unwrap();
    assert_eq!(rows.rows, [Row { labels: vec![None, None], ..expected }]);
}

#[test]
fn a_wrong_epic_row_is_named_by_line_and_field() {
    for (from, to, expected) in [
        ("P01_11_3,P01,", "P01_11_3,P02,", "line 2, field \"video_id\": found \"P01_11\", expected P02_ and a number"),
        ("P01_11_3,P01,", "P01_11_3,P/1,", "line 2, field \"participant_id\": found \"P/1\""),
        ("P01_11_3,", "P01_12_3,", "line 2, field \"narration_id\": found \"P01_12_3\", expected P01_11_ and a number"),
        (
            "P01_11_4,",
            "P01_11_3,",
            "line 3, field \"narration_id\": found \"P01_11_3\", expected a narration_id that does not stand on line 2",
        ),
        ("00:00:01.700", "1.7", "field \"narration_timestamp\": found \"1.7\", expected HH:MM:SS.ss, or nothing"),
        ("00:00:01.56", "", "field \"start_timestamp\": found \"\", expected HH:MM:SS.ss"),
        (
            "01:00:02.5",
            "00:00:01.56",
            "field \"stop_timestamp\": found \"00:00:01.56\", expected a time after 00:00:01.56",
        ),
        ("00:00:01.56", "01:01:40.5", "field \"stop_timestamp\": found \"01:00:02.5\", expected a time after"),
        (
            "00:00:01.56,01:00:02.5",
            "01:01:40.5,02:00:00.0",
            "field \"start_timestamp\": found \"01:01:40.5\", expected a time before the video's end, 3700.50 s",
        ),
        (",93,", ",9.3,", "field \"start_frame\": found \"9.3\""),
        (
            "P01_11_3,P01,P01_11,",
            "P01_12_3,P01,P01_12,",
            "field \"video_id\": found \"P01_12\", expected a video of the list",
        ),
        (",take,1,", ",take,2,", "field \"verb_class\": found \"2\", expected a whole number below 2"),
        (",take,1,", ",take,1.0,", "field \"verb_class\": found \"1.0\""),
        (",take,1,", ",,1,", "field \"verb\": found \"\", expected a text"),
        (",tap,0,", ",tap,3,", "field \"noun_class\": found \"3\", expected a whole number below 3"),
        (
            ",tap,0,",
            ",tap,1,",
            "field \"all_noun_classes\": found \"[0, 2]\", expected a list that begins with the noun_class 1",
        ),
        (
            ",tap,0,",
            ",cup,0,",
            "field \"all_nouns\": found \"['tap', 'cook\\\\'s spoon']\", expected a list that begins with the noun \"cup\"",
        ),
        ("[0, 2]", "[0]", "field \"all_noun_classes\": found \"[0]\", expected 2 classes below 3"),
        ("[0, 2]", "[0, 3]", "field \"all_noun_classes\": found \"[0, 3]\""),
        ("['tap', ", "['tap'; ", "field \"all_nouns\": found"),
        ("all_nouns,", "allnouns,", "line 1, field \"header\""),
    ] {
        refused(epic_rows(&epic_file().replacen(from, to, 1)), expected);
    }
}

#[test]
fn epic_class_lists_count_up_from_zero() {
    assert_eq!(epic100::classes(path(), CLASSES.as_bytes()).unwrap(), ["put", "take"]);
    for (from, to, expected) in [
        ("\n1,", "\n2,", "line 3, field \"id\": found \"2\", expected 1: ids count up from 0"),
        (",take,", ",put,", "line 3, field \"key\": found \"put\", expected a key that no other class has"),
        (",take,", ",,", "line 3, field \"key\": found \"\""),
        ("['take', ", "[take, ", "line 3, field \"instances\""),
    ] {
        refused(epic100::classes(path(), CLASSES.replacen(from, to, 1).as_bytes()), expected);
    }
}

#[test]
fn epic_lists_hold_each_entry_once() {
    assert_eq!(epic100::tail(path(), b"verb\r\n3\r\n1", ClassList::Verbs, 4).unwrap(), [1, 3].into());
    assert_eq!(epic100::tail(path(), b"noun\n0\n", ClassList::Nouns, 1).unwrap(), [0].into());
    refused(epic100::tail(path(), b"verb\n3\n", ClassList::Nouns, 4), "expected a column \"noun\"");
    refused(epic100::tail(path(), b"verb\n3\n4\n", ClassList::Verbs, 4), "line 3, field \"verb\": found \"4\"");
    refused(epic100::tail(path(), b"verb\n3\n3\n", ClassList::Verbs, 4), "line 3, field \"verb\": found \"3\"");
    assert_eq!(epic100::participants(path(), b"participant_id\nP18\n").unwrap(), ["P18".to_owned()].into());
    refused(epic100::participants(path(), b"participant_id\nP18\nP18\n"), "line 3, field \"participant_id\"");
    let videos = epic100::video_info(path(), VIDEO_INFO.as_bytes()).unwrap();
    let info = videos["P01_11"];
    assert_eq!((info.duration_secs, info.frames_per_sec), (3700.5, 59.9400599400599));
    assert_eq!((info.width_px, info.height_px), (1920, 1080));
    for (from, to) in
        [("3700.5", "0"), ("3700.5", "inf"), ("59.9400599400599", "x"), ("1920x1080", "1920x"), ("x1080", "x0")]
    {
        refused(epic100::video_info(path(), VIDEO_INFO.replace(from, to).as_bytes()), "line 2, field");
    }
}
