use proptest::prelude::*;

use super::super::epic100::{ClassList, Known};
use super::*;

/// Every parser on the same bytes; whatever they hold, each answers.
fn parse_all(bytes: &[u8]) {
    drop(table::rows(path(), bytes));
    drop(diving48::entries(path(), bytes, None));
    drop(diving48::vocabulary(path(), bytes));
    let names = strings(&["a", "b", "c"]);
    let videos = epic100::video_info(path(), VIDEO_INFO.as_bytes()).unwrap();
    for videos in [None, Some(&videos)] {
        drop(epic100::segments(path(), bytes, &Known { verbs: &names, nouns: &names, videos }));
    }
    drop(epic100::classes(path(), bytes));
    drop(epic100::video_info(path(), bytes));
    drop(epic100::tail(path(), bytes, ClassList::Verbs, 97));
    drop(epic100::participants(path(), bytes));
}

/// A text that a table may hold: no line breaks, no null, and no space at its ends, where it would be trimmed.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9é,\"'_.:-][a-zA-Z0-9é,\"' _.:-]{0,6}[a-zA-Z0-9é,\"'_.:-]"
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// A Python list of these texts.
fn python_list(texts: &[String]) -> String {
    let items: Vec<String> = texts.iter().map(|text| format!("'{}'", text.replace('\'', "\\'"))).collect();
    format!("[{}]", items.join(", "))
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse_all(&bytes);
    }

    #[test]
    fn damaged_files_are_answered(
        file in 0usize..6,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let epic = epic_file();
        let mut bytes = [TABLE, ENTRIES, VOCABULARY, VIDEO_INFO, CLASSES, &epic][file].as_bytes().to_vec();
        for (at, byte, how) in changes.into_iter() {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => _ = bytes.remove(at),
                _ => {}
            }
        }
        parse_all(&bytes);
    }

    #[test]
    fn a_written_table_reads_back(
        rows in proptest::collection::vec((proptest::option::of(text()), text(), text(), 0u32..90_000, 1u32..9000), 0..8),
        order in Just([0usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        ending in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let line = |fields: [String; 6]| order.map(|column| fields[column].clone()).join(",") + ending;
        let mut file = line(["path", "label", "group", "subject", "start_secs", "stop_secs"].map(str::to_owned));
        for (k, (label, group, subject, start, length)) in rows.iter().enumerate() {
            let label = quoted(label.as_deref().unwrap_or_default());
            // Start as a clock, stop as a number, hundredths of a second.
            let (secs, stop) = (start / 100, f64::from(start + length) / 100.0);
            let clock = format!("{:02}:{:02}:{:02}.{:02}", secs / 3600, secs / 60 % 60, secs % 60, start % 100);
            file += &line([format!("{k}.mp4"), label, quoted(group), quoted(subject), clock, stop.to_string()]);
        }
        let read = table::rows(path(), file.as_bytes()).unwrap();
        prop_assert_eq!(read.rows.len(), rows.len());
        for (k, ((label, group, subject, start, length), row)) in rows.iter().zip(&read.rows).enumerate() {
            prop_assert_eq!(&row.video, &format!("{k}.mp4"));
            prop_assert_eq!((&row.group, &row.subject), (group, subject));
            let stop = f64::from(start + length) / 100.0;
            prop_assert_eq!(row.span, Span::Secs(f64::from(*start) / 100.0, stop));
            let read = row.labels.first().copied().flatten().map(|k| read.label_spaces[0].classes[k].clone());
            prop_assert_eq!(&read, label);
        }
    }

    #[test]
    fn written_entries_read_back(
        rows in proptest::collection::vec(("[a-zA-Z0-9_-]{1,11}", 0usize..48, 0u32..2000, 1u32..900), 0..8),
    ) {
        let name = |k: usize, source: &str| format!("{source}_{k:05}");
        let entries: Vec<_> = rows.iter().enumerate().map(|(k, (source, label, start, length))| serde_json::json!({
            "vid_name": name(k, source), "label": label, "start_frame": start, "end_frame": start + length,
        })).collect();
        let file = serde_json::to_string_pretty(&entries).unwrap();
        let read = diving48::entries(path(), file.as_bytes(), None).unwrap().rows;
        let expected: Vec<Row> = rows.iter().enumerate().map(|(k, (source, label, start, length))| Row {
            id: name(k, source), video: name(k, source), labels: vec![Some(*label)], group: source.clone(),
            subject: String::new(), span: Span::Frames(*start, start + length),
        }).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn written_epic_rows_read_back(
        rows in proptest::collection::vec(
            (1u32..40, 1u32..200, 0usize..5, proptest::collection::vec((text(), 0usize..7), 1..4), 0u32..90_000, 1u32..9000),
            0..8,
        ),
    ) {
        let clock = |at: u32| {
            let secs = at / 100;
            format!("{:02}:{:02}:{:02}.{:02}", secs / 3600, secs / 60 % 60, secs % 60, at % 100)
        };
        let mut file = format!("{EPIC_HEADER},{EPIC_LABELS}\n");
        let mut expected = Vec::new();
        for (k, (person, video, verb, nouns, start, length)) in rows.iter().enumerate() {
            let (person, stop) = (format!("P{person:02}"), start + length);
            let video = format!("{person}_{video:02}");
            let (names, ids): (Vec<String>, Vec<usize>) = nouns.iter().cloned().unzip();
            file += &format!(
                "{video}_{k},{person},{video},,{},{},{start},{stop},n,v,{verb},{},{},{},{}\n",
                clock(*start), clock(stop), quoted(&names[0]), ids[0], quoted(&python_list(&names)), quoted(&format!("{ids:?}")),
            );
            let secs = |at: u32| f64::from(at) / 100.0;
            expected.push(Row {
                id: format!("{video}_{k}"), video: video.clone(), labels: vec![Some(*verb), Some(ids[0])],
                group: video, subject: person, span: Span::Secs(secs(*start), secs(stop)),
            });
        }
        let (verbs, nouns) = (strings(&["a"; 5]), strings(&["a"; 7]));
        let known = Known { verbs: &verbs, nouns: &nouns, videos: None };
        prop_assert_eq!(epic100::segments(path(), file.as_bytes(), &known).unwrap().rows, expected);
    }

    #[test]
    fn written_class_lists_read_back(
        keys in proptest::collection::btree_set(text(), 0..8),
        instances in proptest::collection::vec(text(), 0..4),
    ) {
        let mut file = "id,key,instances,category\n".to_owned();
        for (k, key) in keys.iter().enumerate() {
            file += &format!("{k},{},{},x\n", quoted(key), quoted(&python_list(&instances)));
        }
        prop_assert_eq!(epic100::classes(path(), file.as_bytes()).unwrap(), keys.into_iter().collect::<Vec<_>>());
    }
}
