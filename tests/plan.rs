//! What `longvid plan` says against what a step takes, and the sweep that shows both.

use serde_json::Value;

use crate::fixture::{SMALL, folder_with};
use crate::folder::Folder;

/// What the plan may be off by.
const TOLERANCE: f64 = 0.05;

const ALL_KEPT: &str = "--mask none";
const ADAPTIVE: &str = "--mask adaptive";
const AGAIN: &str = "--set model.encoder.recompute=\"every_block\"";

/// One step of a process of its own, beside its plan: both peaks, and both above their base.
#[track_caller]
fn check(folder: &Folder, rest: &str) {
    let point: Value = serde_json::from_str(&folder.ok(&format!("bench memory-point {rest}"))).expect("a point");
    let bytes = |key: &str| point[key].as_f64().unwrap_or_else(|| panic!("{key} of {point}"));
    let (peak, planned) = (bytes("peak_bytes"), bytes("planned_bytes"));
    let (step, planned_step) = (peak - bytes("base_bytes"), planned - bytes("planned_base_bytes"));
    for (what, measured, planned) in [("peak", peak, planned), ("step", step, planned_step)] {
        let off = planned / measured - 1.0;
        assert!(
            off.abs() <= TOLERANCE,
            "{rest}: {what} of {measured} bytes planned as {planned}, {:+.1} %",
            100.0 * off
        );
    }
}

#[test]
fn the_plan_of_a_masked_autoencoder_is_within_five_percent() {
    let folder = Folder::empty();
    let tiny = "--preset lvmae-tiny-128f";
    for frames in [16, 64, 128] {
        for mask in [ALL_KEPT, ADAPTIVE] {
            check(&folder, &format!("{tiny} --frames {frames} {mask}"));
        }
    }
    for mask in [ALL_KEPT, ADAPTIVE] {
        check(&folder, &format!("{tiny} --frames 64 {mask} {AGAIN}"));
        check(&folder, &format!("{tiny} --frames 64 {mask} --set model.encoder.recompute={{every=3}}"));
        check(&folder, &format!("{tiny} --frames 32 {mask} --batch 3 --set model.target=\"pixels\""));
        check(&folder, &format!("{tiny} --frames 32 {mask} {AGAIN} --batch 2 --set model.target=\"pixels\""));
    }
    check(&folder, &format!("{tiny} --frames 32 {ALL_KEPT} --attention eager"));
    check(&folder, &format!("{tiny} --frames 16 {ADAPTIVE} --force-bf16"));
}

#[test]
fn the_plan_of_next_cluster_prediction_is_within_five_percent() {
    let folder = Folder::empty();
    let tiny = "--preset arvideo-tiny-128f --mask preset";
    for rest in ["--frames 16", "--frames 64", "--frames 32 --batch 2", "--frames 32 --set model.target=\"pixels\""] {
        check(&folder, &format!("{tiny} {rest}"));
        check(&folder, &format!("{tiny} {rest} {AGAIN}"));
    }
    check(&folder, &format!("{tiny} --frames 16 --force-bf16"));
    for rest in [
        "--set model.decoder_attention=\"self_and_cross\"",
        "--set model.predicted={kind=\"weighted\"}",
        "--set model.predicted={kind=\"top\",share=0.25}",
        "--set model.target=\"full\" --set clip.size_px=32",
    ] {
        check(&folder, &format!("{tiny} --frames 32 {rest}"));
        check(&folder, &format!("{tiny} --frames 32 {rest} {AGAIN}"));
    }
}

/// The second step of a fine-tuning, when AdamW's moments are there, beside its plan.
#[track_caller]
fn check_finetuning(folder: &Folder, number: usize, rest: &str) {
    let settings = format!(
        "--preset finetune-tiny-128f --set clip.num_frames=32 --set train.batch=2 --set train.steps=2 \
         --set train.warmup_steps=1 --set train.log_every=1 --set labels.rare_classes=\"keep\" {rest}"
    );
    let clips = "--from-scratch --train-clips train.h5 --test-clips test.h5";
    folder.ok(&format!("eval finetune {settings} {clips} --out run{number}"));
    let log = String::from_utf8(folder.read(&format!("run{number}/metrics.jsonl"))).expect("text");
    let second: Value = serde_json::from_str(log.lines().nth(1).expect("two steps")).expect("JSON");
    let plan: Value = serde_json::from_str(&folder.ok(&format!("plan {settings} --classes 4 --json"))).expect("JSON");
    let [measured, planned] = [&second, &plan].map(|of| of["peak_bytes"].as_f64().expect("bytes"));
    let off = planned / measured - 1.0;
    assert!(off.abs() <= TOLERANCE, "{rest}: {measured} bytes planned as {planned}, {:+.1} %", 100.0 * off);
}

#[test]
fn the_plan_of_a_fine_tuning_is_within_five_percent() {
    let folder = folder_with(&["train.h5", "test.h5"]);
    for (number, rest) in [
        "",
        "--set clip.num_frames=64 --set train.ema={kind=\"decay\",decay=0.9}",
        "--set model.token_drop={kind=\"none\"} --set train.batch=4 --set train.accumulate=2",
        "--set model.encoder.recompute=\"every_block\"",
        "--set model.encoder.final_norm=\"tokens\" --set model.encoder.drop_path=0.0",
        "--set model.pool={kind=\"class_attention\",heads=2}",
        "--set mix.mixup_alpha=0.8",
    ]
    .iter()
    .enumerate()
    {
        check_finetuning(&folder, number, rest);
    }
}

#[test]
fn a_plan_of_fine_tuning_counts_its_classifiers_and_keeps_mixed_clips_together() {
    let folder = Folder::empty();
    let plan = |rest: &str| -> Value {
        serde_json::from_str(&folder.ok(&format!("plan --memory-gib 24 --json {rest}"))).expect("JSON")
    };
    let verbs_and_nouns = plan("--preset epic100-finetune-b --classes 97,300");
    // ViT-B without its last norm: 12 blocks, the map of 2 x 16 x 16 x 3 values; the norm of the mean, two classifiers.
    let encoder = 12 * (12 * 768 * 768 + 13 * 768) + 1537 * 768;
    assert_eq!(verbs_and_nouns["num_parameters"], encoder + 2 * 768 + 769 * 397);
    let dives = "--preset diving48-finetune-b --classes 48";
    let clips = plan(dives)["largest_clips_at_once"].as_i64().expect("a number of clips");
    assert!(clips > 0 && clips % 2 == 0, "{clips} clips, of which two and two are mixed");
    for (clips, fit) in [(clips, true), (clips + 2, false)] {
        assert_eq!(plan(&format!("{dives} --batch {clips}"))["fits"], fit, "{clips} clips");
    }
    let advice = plan(dives)["advice"].as_array().expect("advice").clone();
    let sets: Vec<&str> = advice.iter().filter_map(|change| change["sets"][0].as_str()).collect();
    assert!(sets.len() == 2 && sets[0].contains("every_block") && sets[1].starts_with("train.accumulate="), "{sets:?}");
    folder.refused("plan --preset epic100-finetune-b --classes 97", &["1 given, for 2 classifiers of verb and noun"]);
    folder.refused("plan --preset lvmae-b-128f --classes 97", &["--classes: lvmae-b-128f has no classifier"]);
}

#[test]
fn memory_of_next_cluster_prediction_grows_with_its_tokens_and_not_with_their_pairs() {
    let folder = Folder::empty();
    let peak = |frames: i64| -> f64 {
        let rest = format!("--preset arvideo-tiny-128f {SMALL} --frames {frames} --mask preset");
        let point: Value = serde_json::from_str(&folder.ok(&format!("bench memory-point {rest}"))).expect("a point");
        point["peak_bytes"].as_f64().expect("bytes")
    };
    let [short, long, longest] = [128, 256, 512].map(peak);
    // Twice as many tokens more: twice as many bytes more, where a table of pairs would add four times as many.
    let growth = (longest - long) / (long - short);
    assert!((1.9..2.1).contains(&growth), "{short}, {long}, {longest}");
}

#[test]
fn a_plan_names_what_fits_and_what_would_save_most() {
    let folder = Folder::empty();
    let plan = |rest: &str| -> Value {
        let stdout = folder.ok(&format!("plan --preset lvmae-b-128f --memory-gib 24 --json {rest}"));
        serde_json::from_str(&stdout).expect("JSON")
    };
    let whole = plan("--batch 1");
    // 12 bytes for each of the 93.6 M parameters; their gradients come with the step.
    let base = |key: &str| whole["base"][key].as_i64().expect("bytes");
    assert_eq!(["weights", "moments"].map(base).iter().sum::<i64>(), 1_123_591_752);
    assert_eq!(whole["fits"], true);
    let frames = whole["largest_num_frames"].as_i64().expect("a frame count");
    let clips = whole["largest_clips_at_once"].as_i64().expect("a number of clips");
    // It is the largest: two more frames, or one more clip, do not fit.
    let fits = |rest: String| plan(&rest)["fits"] == true;
    for (frames, fit) in [(frames, true), (frames + 2, false)] {
        assert_eq!(fits(format!("--batch 1 --set clip.num_frames={frames}")), fit, "{frames} frames");
    }
    for (clips, fit) in [(clips, true), (clips + 1, false)] {
        assert_eq!(fits(format!("--batch {clips}")), fit, "{clips} clips");
    }

    let stdout = folder
        .ok("plan --preset lvmae-b-128f --batch 8 --memory-gib 4 --json --set model.decoder_mask={kind=\"none\"}");
    let much: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(much["fits"], false);
    let advice = much["advice"].as_array().expect("advice");
    let first = |i: usize| advice[i]["sets"][0].as_str().expect("a setting");
    assert!(first(0).starts_with("model.decoder_mask=") && first(1).contains("every_block"));
    assert!(first(2).starts_with("train.accumulate="));
    let peaks: Vec<i64> = advice.iter().map(|change| change["peak_bytes"].as_i64().expect("bytes")).collect();
    assert!(peaks.is_sorted_by(|a, b| a > b), "{peaks:?}");
}

#[test]
fn a_preset_of_another_kind_is_refused_by_what_it_is_for() {
    for (command, preset, what) in
        [("plan", "tokenizer-tiny", "training a tokenizer"), ("bench step", "finetune-tiny-16f", "fine-tuning")]
    {
        let ran = Folder::empty().run(&format!("{command} --preset {preset}"));
        assert_eq!(ran.code, Some(2));
        let said = format!("{preset} is a preset for {what}; this command takes one for pre-training");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
}

#[test]
fn a_sweep_goes_on_where_it_was_stopped() {
    let folder = Folder::empty();
    let sweep = |rest: &str| {
        folder.ok(&format!("bench memory --preset lvmae-tiny-128f {SMALL} --masks none --out bench {rest}"))
    };
    sweep("--frames 16");
    let mut points: Value = serde_json::from_slice(&folder.read("bench/memory.json")).expect("points");
    // What no measurement comes to: if it is there afterwards, the point was not measured again.
    points[0]["step_secs"] = Value::from(1234.5);
    folder.write("bench/memory.json", points.to_string().as_bytes());
    sweep("--frames 16,32 --attention fused,eager --recompute none,every_block --sizes s");
    let other: Value = serde_json::from_slice(&folder.read("bench/memory.json")).expect("points");
    assert!(
        other.as_array().is_some_and(|points| points.len() == 8 && points.iter().all(|p| p["step_secs"] != 1234.5))
    );
    folder.write("bench/memory.json", points.to_string().as_bytes());
    sweep("--frames 16,32");
    let more: Value = serde_json::from_slice(&folder.read("bench/memory.json")).expect("points");
    assert_eq!((&more[0]["step_secs"], &more[1]["num_frames"]), (&Value::from(1234.5), &Value::from(32)));
    assert!(more[1]["step_secs"].as_f64().is_some_and(|secs| secs < 1000.0));
}

#[test]
fn a_step_is_measured_against_the_machines_own_products() {
    let folder = Folder::empty();
    let stdout = folder.ok(&format!("bench step --preset lvmae-tiny-128f {SMALL} --frames 16 --steps 2 --json"));
    let rows: Value = serde_json::from_str(&stdout).expect("JSON");
    let number = |key: &str| rows[0][key].as_f64().unwrap_or_else(|| panic!("{key}: {rows}"));
    let rate = number("flops") / number("step_secs");
    assert!((number("flops_per_sec") / rate - 1.0).abs() < 1e-9);
    assert!((number("share_of_gemm") / (rate / number("gemm_flops_per_sec")) - 1.0).abs() < 1e-9);
    assert!(number("lowest_secs") <= number("step_secs") && number("step_secs") <= number("highest_secs"));
}

#[test]
fn a_plan_with_a_rate_says_how_long_the_training_takes() {
    let folder = Folder::empty();
    let plan =
        "plan --preset lvmae-tiny-128f --set train.steps=720 --set train.batch=4 --set train.accumulate=2 --json";
    let read = |rest: &str| -> Value { serde_json::from_str(&folder.ok(&format!("{plan} {rest}"))).expect("a plan") };
    let (plain, timed) = (read(""), read("--rate 0.5"));
    assert!(plain["training_secs"].is_null());
    let once: Value = read("--set train.steps=1 --set train.warmup_steps=0 --batch 1");
    let clip_flops = once["step_flops"].as_f64().expect("operations");
    // Two micro-batches of two clips are four times one clip, and 720 steps of them at half a teraflop per second:
    let secs = 720.0 * 4.0 * clip_flops / 0.5e12;
    let said = timed["training_secs"].as_f64().expect("seconds");
    assert!((said / secs - 1.0).abs() < 1e-9, "{said} s, expected {secs}");
    assert!(folder.ok("plan --preset lvmae-tiny-128f --rate 0.5").contains(" hours at that rate"));
    folder.refused("plan --preset lvmae-tiny-128f --rate 0", &["--rate 0 must be above 0"]);
}
