use eval::{EvalError, ScoreValues, StoredViews};

use super::*;

/// Two clips of one and of two views, in two label spaces.
fn table() -> ScoreTable {
    let header = ScoreHeader {
        values: ScoreValues::Logits,
        views: "2x1".to_owned(),
        stored_views: StoredViews::Kept,
        num_failed: 3,
        partial: true,
        source: "a \"model\"".to_owned(),
    };
    let mut table = ScoreTable::new(header, &[("verb", 2), ("noun", 3)]).unwrap();
    table.push("P01_01_0", &[&[1.0, -2.5], &[0.1, 0.2, 0.3]]).unwrap();
    table.push("é", &[&[3.0, 4.0, 5.0, 6.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).unwrap();
    table
}

#[test]
fn both_kinds_of_file_give_back_the_table() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.npz", "a.safetensors"] {
        let path = folder.path().join(name);
        write(&path, &table()).unwrap();
        assert_eq!(read(&path).unwrap(), table(), "{name}");
        let said = write(&path, &table()).unwrap_err().to_string();
        assert!(said.contains("already exists"), "{said}");
    }
    let said = write(&folder.path().join("a.csv"), &table()).unwrap_err().to_string();
    assert!(said.ends_with("scores are written as .npz or .safetensors"), "{said}");
}

#[test]
fn equal_tables_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        write(&path, &table()).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes("a.safetensors") == bytes("b.safetensors"));
}

#[test]
fn raw_scores_are_rows_in_the_order_of_the_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("x_narration_ids.txt"), "b\na\n").unwrap();
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(file("x_verb_f32le_2.bin"), bytes(&[1.0, 2.0, 3.0, 4.0])).unwrap();
    std::fs::write(file("x_noun_f32le_3.bin"), bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    std::fs::write(file("y_noun_f32le_3.bin"), b"of others").unwrap();
    let table = read(&file("x_narration_ids.txt")).unwrap();
    assert_eq!(table.ids(), ["b", "a"]);
    assert_eq!(table.spaces().collect::<Vec<_>>(), [("noun", 3), ("verb", 2)]);
    assert_eq!(table.rows(1), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(name(&file("x_narration_ids.txt")), "x");

    std::fs::write(file("x_noun_f32le_3.bin"), bytes(&[1.0; 5])).unwrap();
    let said = read(&file("x_narration_ids.txt")).unwrap_err().to_string();
    assert!(said.contains("x_noun_f32le_3.bin\": has 20 bytes: 2 names") && said.ends_with("12 each"), "{said}");
}

#[test]
fn a_bad_row_of_a_file_is_named_by_its_number_and_its_clip() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("x_ids.txt"), "a\nb\n").unwrap();
    let bytes: Vec<u8> = [1.0, 2.0, f32::NAN, 4.0].iter().flat_map(|value: &f32| value.to_le_bytes()).collect();
    std::fs::write(file("x_class_f32le_2.bin"), bytes).unwrap();
    let err = read(&file("x_ids.txt")).unwrap_err();
    let said = format!("{err:#}");
    assert!(said.contains("x_ids.txt\", clip 1: the class score of clip \"b\" for class 0 is NaN"), "{said}");
    assert!(matches!(err.downcast_ref(), Some(EvalError::ScoreValue { .. })));
}

#[test]
fn a_file_of_something_else_is_refused_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.npz");
    let mut npz = crate::npz::NpzWriter::create(&path).unwrap();
    npz.text("header", "{\"format\": \"longvid token store\"}").unwrap();
    npz.finish().unwrap();
    let said = read(&path).unwrap_err().to_string();
    assert!(said.contains("the header of scores is damaged"), "{said}");
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, b"not one").unwrap();
    let said = read(&path).unwrap_err().to_string();
    assert!(said.contains("is no safetensors file"), "{said}");
}
