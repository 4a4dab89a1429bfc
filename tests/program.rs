//! The commands that a user types, one after the other, at toy size.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{SMALL, folder_with, pretrain};
use crate::folder::Folder;

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

#[test]
fn a_clip_store_tells_what_was_imported() {
    let folder = folder_with(&["train.h5"]);
    let info: Value = serde_json::from_str(&folder.ok("data info train.h5 --json")).expect("JSON");
    assert_eq!(info["kind"], "clip store");
    assert_eq!(info["videos"].as_array().map(Vec::len), Some(8));
    assert_eq!(info["label_spaces"][0]["name"], "class");
    let classes = info["label_spaces"][0]["segments_per_class"].as_object().expect("counts by class");
    assert!(classes.len() == 4 && classes.values().all(|count| count == 2), "{classes:?}");
    let groups = info["segments_per_group"].as_object().expect("counts by group");
    assert!(groups.len() == 2 && groups.values().all(|count| count == 4), "{groups:?}");
}

#[test]
fn encoding_again_gives_the_same_token_store() {
    let folder = folder_with(&["train.h5", "tokenizer", "train.tokens.h5"]);
    folder.ok("tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out again.h5");
    assert!(folder.read("train.tokens.h5") == folder.read("again.h5"), "the token stores differ");
    folder.ok("tokenizer encode --tokenizer tokenizer --clips train.h5 --out of-run.h5");
    assert!(folder.read("train.tokens.h5") == folder.read("of-run.h5"), "a run folder is not its weights");
    let info: Value = serde_json::from_str(&folder.ok("data info again.h5 --json")).expect("JSON");
    // 8 segments of 32 / 2 x 32 / 8 x 32 / 8 tokens.
    assert_eq!((&info["num_segments"], &info["num_tokens"]), (&8.into(), &(8 * 16 * 4 * 4).into()));
}

#[test]
fn a_tokenizer_draws_as_many_segments_as_asked() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    folder.ok(
        "tokenizer reconstruct --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out pictures --count 3",
    );
    let captions = json(&folder, "pictures/captions.json");
    let captions = captions.as_object().expect("a caption for each picture");
    assert_eq!(captions.len(), 3);
    for name in captions.keys() {
        assert!(folder.read(&format!("pictures/{name}")).starts_with(b"\x89PNG"), "{name}");
    }
}

#[test]
fn pretraining_leaves_an_encoder_and_nothing_else_of_the_model() {
    let folder = folder_with(&["lvmae", "arvideo"]);
    for method in ["lvmae", "arvideo"] {
        let bytes = folder.read(&format!("{method}/encoder.safetensors"));
        let weights = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert!(weights.names().iter().all(|name| name.starts_with("encoder.")), "{:?}", weights.names());
        for (name, tensor) in weights.tensors() {
            let values =
                tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            assert!(values.clone().count() > 0 && values.into_iter().all(f32::is_finite), "{method}: {name}");
        }
        let metrics = String::from_utf8(folder.read(&format!("{method}/metrics.jsonl"))).expect("text");
        let lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let steps: Vec<&Value> = lines.iter().map(|line| &line["step"]).collect();
        assert_eq!(steps, [1, 3], "the first and the last step are logged");
        assert!(lines.iter().all(|line| line["loss"].is_f64() && line["peak_bytes"].is_u64()), "{metrics}");
    }
}

#[test]
fn a_probe_tells_of_the_trained_and_of_the_random_encoder() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    for probe in ["knn", "linear"] {
        folder.ok(&format!(
            "eval {probe} --encoder lvmae/encoder.safetensors --train-clips train.h5 --test-clips test.h5"
        ));
        let results = json(&folder, &format!("lvmae/eval_{probe}.json"));
        assert_eq!(results["probe"], probe);
        let rows = results["rows"].as_array().expect("rows");
        let encoders: Vec<&Value> = rows.iter().map(|row| &row["encoder"]).collect();
        assert_eq!(encoders, ["lvmae", "random weights"]);
        for row in rows {
            assert_eq!((&row["num_train"], &row["num_test"], &row["num_failed"]), (&8.into(), &4.into(), &0.into()));
            let [low, accuracy, high] = ["low", "accuracy", "high"].map(|key| row[key].as_f64().expect("a number"));
            assert!(0.0 <= low && low <= accuracy && accuracy <= high && high <= 1.0, "{row}");
            // Four test clips: the accuracy is a whole number of quarters.
            assert_eq!((4.0 * accuracy).fract(), 0.0, "{row}");
        }
    }
}

#[test]
fn views_are_named_in_the_results_and_change_them() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let knn = "eval knn --encoder lvmae/encoder.safetensors --train-clips train.h5 --test-clips test.h5";
    let stdout = folder.ok(&format!("{knn} --views 2x3 --out views.json"));
    assert!(stdout.contains("2x3 views of each"), "{stdout}");
    let results = json(&folder, "views.json");
    assert_eq!(results["views"], "2x3");
    assert_eq!(results["rows"][0]["num_test"], 4);
}

#[test]
fn clips_are_cut_from_a_larger_square_that_was_encoded() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    folder.ok(
        "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out large.h5 --size-px 48",
    );
    let info: Value = serde_json::from_str(&folder.ok("data info large.h5 --json")).expect("JSON");
    assert_eq!(info["num_tokens"], 8 * 16 * 6 * 6);
    let rest = "--clips train.h5 --tokens large.h5 --set train.steps=2 --set augment.repeats=2 --out";
    for (out, crop) in [("centre", "centre"), ("random", "random"), ("again", "random")] {
        folder.ok(&pretrain("lvmae", &format!(r#"--set augment.crop={{kind="{crop}"}} {rest} {out}"#)));
    }
    let weights = |out: &str| folder.read(&format!("{out}/encoder.safetensors"));
    assert!(weights("random") == weights("again"), "the same seed gives the same crops");
    assert!(weights("random") != weights("centre"), "random crops are not the centre");
}

#[test]
fn a_report_is_one_file_that_needs_no_other() {
    let folder = folder_with(&["tokenizer", "lvmae", "arvideo"]);
    std::fs::rename(folder.path("lvmae"), folder.path("first-try")).expect("a folder can be renamed");
    std::fs::rename(folder.path("arvideo"), folder.path("second-try")).expect("a folder can be renamed");
    folder.ok("report tokenizer first-try second-try -o report.html");
    let html = String::from_utf8(folder.read("report.html")).expect("text");
    for name in ["tokenizer-tiny", "first-try", "second-try"] {
        assert!(html.contains(name), "the report does not name {name}");
    }
    // What a browser would fetch: everything must be inside the page.
    for (attribute, inside) in [("src=\"", "data:"), ("href=\"", "#"), ("url(", "#")] {
        let foreign = html.split(attribute).skip(1).find(|rest| !rest.starts_with(inside));
        let foreign: Option<String> = foreign.map(|rest| rest.chars().take(60).collect());
        assert_eq!(foreign, None, "after {attribute}");
    }
    let namespace = "http://www.w3.org/2000/svg";
    assert!(!html.replace(namespace, "").contains("://"), "the report has an address other than {namespace}");
    assert!(!html.contains("<link") && !html.contains("@import"));
}

#[test]
fn two_runs_are_told_apart_by_what_differs() {
    let folder = folder_with(&["lvmae", "arvideo"]);
    let same = folder.ok("report --diff lvmae lvmae");
    assert!(same.contains("\n\nnothing differs; the same: settings, "), "{same}");
    let other = folder.ok("report --diff lvmae arvideo");
    assert!(other.contains("\n  model.kind\n    A  \"lvmae\"\n    B  \"arvideo\"\n"), "{other}");
    assert!(other.contains("\nresults at step 3") && !other.contains("nothing differs"), "{other}");
}

#[test]
fn more_frames_take_more_memory_and_a_small_decoder_mask_less() {
    let folder = Folder::empty();
    let stdout = folder
        .ok(&format!("bench memory --preset lvmae-tiny-128f {SMALL} --frames 32,64 --masks none,adaptive --out bench"));
    assert_eq!(String::from_utf8(folder.read("bench/memory.md")).expect("text").trim_end(), stdout.trim_end());
    let points = json(&folder, "bench/memory.json");
    let points = points.as_array().expect("points");
    let step_bytes = |frames: u64, mask: &str| {
        let point = points.iter().find(|point| point["num_frames"] == frames && point["mask"] == mask);
        let point = point.unwrap_or_else(|| panic!("no point of {frames} frames, {mask}: {points:?}"));
        assert_eq!(point["outcome"], "ok");
        let bytes = |key: &str| point[key].as_u64().expect("bytes");
        bytes("peak_bytes") - bytes("base_bytes")
    };
    assert_eq!(points.len(), 4);
    for mask in ["none", "adaptive"] {
        // Attention is fused: twice the tokens, about twice the memory, and never four times.
        let ratio = step_bytes(64, mask) as f64 / step_bytes(32, mask) as f64;
        assert!((1.5..3.0).contains(&ratio), "{mask}: {ratio}");
    }
    for frames in [32, 64] {
        assert!(step_bytes(frames, "adaptive") < step_bytes(frames, "none"), "{frames} frames");
    }
}

#[test]
fn running_out_of_memory_is_a_row_of_the_sweep() {
    let folder = Folder::empty();
    // Clips of 491 GB: the allocation is refused before a page is touched.
    let stdout = folder.ok(&format!(
        "bench memory --preset lvmae-tiny-128f {SMALL} --batch 10000000 --frames 16 --masks none --out bench"
    ));
    assert!(stdout.contains("| out of memory |"), "{stdout}");
    let points = json(&folder, "bench/memory.json");
    assert_eq!((&points[0]["outcome"], &points[0]["peak_bytes"]), (&"out_of_memory".into(), &Value::Null));
}
