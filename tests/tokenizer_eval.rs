//! `longvid tokenizer eval`: what it says agrees with what other commands say, and what it refuses.

use serde_json::Value;

use crate::fixture::{DIVES, folder_with};
use crate::folder::Folder;

const EVAL: &str = "tokenizer eval --tokenizer tokenizer/tokenizer.safetensors --clips train.h5";

fn results(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).expect("JSON")
}

fn rows<'a>(results: &'a Value, selection: &str) -> Vec<&'a Value> {
    let rows = results["rows"].as_array().expect("rows");
    rows.iter().filter(|row| row["selection"] == selection).collect()
}

#[test]
fn all_tokens_give_the_numbers_that_reconstruct_prints() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let printed = folder.ok(
        "tokenizer reconstruct --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out pictures --count 8",
    );
    let psnrs: Vec<f64> = printed
        .lines()
        .filter(|line| line.starts_with("pool"))
        .map(|line| line.split_whitespace().nth(1).expect("a number").parse().expect("a number"))
        .collect();
    assert_eq!(psnrs.len(), 8);
    let stdout = folder.ok(&format!("{EVAL} --kept 0.25,1.0 --seeds 2 --out measured"));
    assert!(
        stdout.contains("adaptive over random") && stdout.contains("8 clips of 32 frames at 32 pixels"),
        "{stdout}"
    );

    let results = results(&folder, "measured/tokenizer_eval.json");
    let all = rows(&results, "all");
    let mean = psnrs.iter().sum::<f64>() / 8.0;
    assert!((all[0]["psnr_db"].as_f64().expect("dB") - mean).abs() < 0.01, "{all:?}, printed {psnrs:?}");
    assert_eq!(results["num_clips"], 8);
    // 8 latent frames of 16 tokens a window: the first, and a quarter of the 112 others.
    for selection in ["adaptive", "random", "uniform", "motion"] {
        let rows = rows(&results, selection);
        assert_eq!(rows.len(), 1, "{selection}");
        assert_eq!(rows[0]["kept_of_all"].as_f64(), Some((16.0 + 28.0) / 128.0), "{selection}");
    }
    // 8 clips of 2 windows of 128 tokens.
    let codes = &results["codes"];
    assert_eq!(codes["num_tokens"], 8 * 2 * 128);
    assert_eq!(
        codes["used"].as_i64().unwrap() + codes["dead"].as_i64().unwrap(),
        codes["codebook_size"].as_i64().unwrap()
    );
    assert!(folder.read("measured/tokenizer_eval.svg").starts_with(b"<svg"));
}

#[test]
fn results_beside_the_tokenizer_are_in_its_report() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let of_run = EVAL.replace("tokenizer/tokenizer.safetensors", "tokenizer");
    let printed = folder.ok(&format!("{of_run} --kept 0.2 --seeds 1 --limit 2 --json"));
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, results(&folder, "tokenizer/tokenizer_eval.json"));
    assert_eq!(printed["num_clips"], 2);
    folder.ok("report tokenizer -o report.html");
    let html = String::from_utf8(folder.read("report.html")).expect("text");
    assert!(html.contains("<h2>Tokens kept</h2>") && html.contains("2 clips of 32 frames"), "no section");
}

#[test]
fn masks_tell_whether_priorities_find_the_diver() {
    let folder = folder_with(&["dives", "train.h5", "tokenizer"]);
    folder.ok(&format!("{DIVES} --masks"));
    folder.ok(&format!("{EVAL} --kept 0.5 --seeds 1 --masks dives/masks --out measured"));
    let mask = &results(&folder, "measured/tokenizer_eval.json")["mask"];
    assert_eq!(mask["num_clips"].as_u64().unwrap() + mask["num_left_out"].as_u64().unwrap(), 8);
    for kind in ["priorities", "pixel_motion"] {
        let auc = |part: &str| mask[kind][part].as_f64().expect("a share");
        assert!(auc("low") <= auc("mean") && auc("mean") <= auc("high") && auc("high") <= 1.0, "{kind}: {mask}");
    }
    // The camera pans after the diver, who moves more in the picture than what lies behind.
    assert!(mask["pixel_motion"]["mean"].as_f64().unwrap() > 0.6, "{mask}");

    let half = String::from_utf8_lossy(&folder.read("dives/masks/pool0000_00001.pbm")[..9]).into_owned();
    assert_eq!(half, "P4\n32 32\n");
    let whole = folder.read("dives/masks/pool0000_00001.pbm");
    folder.replace("dives/masks/pool0000_00001.pbm", &whole[..(9 + 128) * 40]);
    let ran = folder.run(&format!("{EVAL} --kept 0.5 --seeds 1 --masks dives/masks --out other"));
    assert_eq!(ran.code, Some(2), "{}", ran.tell());
    assert!(ran.stderr.contains("pool0000_00001.pbm") && ran.stderr.contains("it has 40 frames"), "{}", ran.tell());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = folder_with(&["train.h5", "tokenizer", "lvmae"]);
    folder.refused(&format!("{EVAL} --masks lvmae"), &["lvmae/pool0000_0000", ".pbm\" is not there", "--masks"]);
    folder.refused(&format!("{EVAL} --kept 0.1,1.5"), &["--kept 1.5", "above 0 and at most 1"]);
    folder.refused(&format!("{EVAL} --mask-from 0.1 --mask-below 0.2"), &["--mask-below 0.2", "rising"]);
    folder.refused(&format!("{EVAL} --i3d tokenizer/resolved.toml"), &["resolved.toml", "is no TorchScript module"]);
    let other = EVAL.replace("tokenizer/tokenizer", "lvmae/encoder");
    folder.refused(&other, &["lvmae/encoder.safetensors", "tokenizer"]);
    folder.refused(&EVAL.replace("train.h5", "absent.h5"), &["absent.h5"]);
}

#[test]
fn a_store_without_segments_is_refused() {
    let folder = folder_with(&["dives", "tokenizer"]);
    folder.write("late.csv", b"path,label,start_secs,stop_secs\npool0000_00001.mp4,a,90,95\n");
    folder.ok("data import csv late.csv --videos dives/rgb --short-side 32 --out empty.h5");
    folder.refused(&EVAL.replace("train.h5", "empty.h5"), &["\"empty.h5\"", "no segment to measure"]);
}

#[test]
fn a_clip_that_cannot_be_read_is_counted_and_named() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    // The first few frames of the first video are no JPEGs any more; a clip shows the third.
    folder.damaged("train.h5", "damaged.h5", |bytes| {
        let at = bytes.windows(3).position(|three| three == [0xff, 0xd8, 0xff]).expect("a JPEG");
        bytes[at..at + 8192].fill(0);
    });
    let eval = EVAL.replace("train.h5", "damaged.h5");
    folder.ok(&format!("{eval} --kept 0.5 --seeds 1 --out measured"));
    let results = results(&folder, "measured/tokenizer_eval.json");
    assert_eq!((&results["num_clips"], results["failed"].as_array().map(Vec::len)), (&7.into(), Some(1)));
    assert!(results["failed"][0]["segment"].as_str().is_some_and(|name| name.starts_with("pool")), "{results}");
}

#[test]
fn fewer_clips_than_two_have_no_frechet_distance() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let stub = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/tests/golden/i3d_stub.pt");
    folder.write("i3d.pt", &std::fs::read(stub).expect("it is in the tree"));
    folder.refused(&format!("{EVAL} --i3d i3d.pt --limit 1"), &["--i3d needs at least 2 clips"]);
    folder.ok(&format!("{EVAL} --i3d i3d.pt --kept 0.5 --seeds 1 --limit 3 --out measured"));
    let results = results(&folder, "measured/tokenizer_eval.json");
    let rfvds: Vec<f64> =
        results["rows"].as_array().expect("rows").iter().map(|row| row["rfvd"].as_f64().expect("a distance")).collect();
    assert!(rfvds.len() == 5 && rfvds.iter().all(|rfvd| *rfvd > 0.0), "{rfvds:?}");
}
