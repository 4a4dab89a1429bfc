//! Fine-tuning, its tests, and probes as a user runs them: a run that stops and goes on ends at the same bits, another start
//! of the encoder is another run, and what does not fit is refused.

use serde_json::Value;

use crate::fixture::{folder_with, pretrain};
use crate::folder::Folder;

/// Fine-tuning at toy size; the fixture's encoder has 48 values per token and two blocks.
pub(crate) const FINETUNE: &str = "eval finetune --preset finetune-tiny-128f --train-clips train.h5 --test-clips test.h5 \
                        --set clip.num_frames=32 --set clip.size_px=32 --set train.batch=4 --set train.warmup_steps=1 \
                        --set train.log_every=1 --set labels.rare_classes=keep";

/// All that a resume has to bring back.
pub(crate) const ALL: &str = "--encoder lvmae --set train.steps=8 --set train.accumulate=2 --set train.checkpoint_every=3 \
                   --set train.ema={kind=\"decay\",decay=0.9} --set mix.mixup_alpha=0.8 --set mix.cutmix_alpha=1.0 \
                   --set augment.erasing={kind=\"box\",probability=0.5,min_share=0.02,max_share=0.3,fill=\"pixel\"}";

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).expect("JSON")
}

fn losses(folder: &Folder, run: &str) -> Vec<f64> {
    let text = String::from_utf8(folder.read(&format!("{run}/metrics.jsonl"))).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.map(|line| line["loss"].as_f64().expect("a number")).collect()
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_classifier_and_results() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    folder.ok(&format!("{FINETUNE} {ALL} --out whole"));
    let mut running = folder.start(&format!("{FINETUNE} {ALL} --out halted"));
    let logged = || std::fs::read_to_string(folder.path("halted/metrics.jsonl")).map_or(0, |text| text.lines().count());
    running.wait_until(|| logged() >= 2);
    let ran = running.signal("INT");
    assert_eq!(ran.code, Some(130), "{}", ran.tell());
    assert!(!folder.path("halted/classifier.safetensors").exists());
    folder.ok(&format!("{FINETUNE} {ALL} --out halted --resume"));
    for file in ["classifier.safetensors", "scores.npz", "checkpoints/step_000000008.safetensors"] {
        assert!(folder.read(&format!("halted/{file}")) == folder.read(&format!("whole/{file}")), "{file} differs");
    }
    assert_eq!(losses(&folder, "halted"), losses(&folder, "whole"));
    let rows = |run: &str| json(&folder, &format!("{run}/eval_finetune.json"))["rows"].clone();
    assert_eq!(rows("halted"), rows("whole"));

    let row = &rows("whole")[0];
    assert_eq!((&row["encoder"], &row["probe"]), (&"lvmae".into(), &"fine-tuned, class".into()));
    assert_eq!((&row["num_train"], &row["num_test"], &row["num_failed"]), (&8.into(), &4.into(), &0.into()));
    folder.ok("report whole -o report.html");
    let html = String::from_utf8(folder.read("report.html")).expect("text");
    for part in
        ["<h2>Training: finetuning</h2>", ">loss<", ">accuracy<", "<td>fine-tuned, class</td>", "<title>lvmae: "]
    {
        assert!(html.contains(part), "{part}");
    }

    folder.refused(
        &format!("{FINETUNE} {ALL} --out whole --resume --set model.heads={{kind=\"joint\"}}"),
        &["at least 2 for a joint head"],
    );
    folder.refused(
        &format!("{FINETUNE} {ALL} --out whole --resume --set model.pool={{kind=\"class_attention\",heads=2}}"),
        &["model.pool.kind: \"mean\" there, \"class_attention\" here"],
    );
}

#[test]
fn a_mixed_step_is_the_same_however_it_is_split() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let run = |accumulate: u32| {
        let rest = "--set train.steps=4 --set model.encoder.drop_path=0.0 --set mix.mixup_alpha=0.8 --set mix.cutmix_alpha=1.0";
        let out = format!("--set train.accumulate={accumulate} --out split{accumulate}");
        folder.ok(&format!("{FINETUNE} --encoder lvmae {rest} {out}"));
        losses(&folder, &format!("split{accumulate}"))
    };
    for (one, two) in run(1).iter().zip(run(2)) {
        assert!((one - two).abs() < 1e-5, "{one} in one micro-batch, {two} in two");
    }
    let odd = "--encoder lvmae --set mix.mixup_alpha=0.8 --set train.accumulate=4 --out odd";
    folder.refused(
        &format!("{FINETUNE} {odd}"),
        &["mixed in groups of 2", "4 micro-batches x 1 clip", "mix.probability=0"],
    );
}

#[test]
fn a_saved_classifier_tests_as_it_did_and_from_other_views() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let pool = "--set model.pool={kind=\"class_attention\",heads=2}";
    folder.ok(&format!("{FINETUNE} --encoder lvmae/encoder.safetensors {pool} --set train.steps=3 --out run"));
    folder.ok("eval test --classifier run --test-clips test.h5 --out again.json");
    let first = json(&folder, "run/eval_finetune.json");
    assert_eq!(json(&folder, "again.json")["rows"], first["rows"]);

    let said = folder.ok("eval test --classifier run --test-clips test.h5 --views 2x3 --out views.json");
    assert!(said.contains("2x3 views of each"), "{said}");
    let views = json(&folder, "views.json");
    let probes: Vec<&Value> = views["rows"].as_array().expect("rows").iter().map(|row| &row["probe"]).collect();
    assert_eq!(probes, ["fine-tuned, class, mean of probabilities", "fine-tuned, class, mean of logits"]);

    // Other classes: four of another list.
    folder.ok("data synth dives --out others --num-train 6 --num-test 6 --num-classes 3 --num-sources-train 2 \
               --num-sources-test 2 --size-px 32 --seed 5");
    folder.ok("data import diving48 others/Diving48_V2_test.json --videos others/rgb --short-side 32 --out other.h5");
    folder.refused(
        "eval test --classifier run --test-clips other.h5 --out other.json",
        &["the classifier's class head has 4 classes", "\"other.h5\" has 3"],
    );
    folder.refused(
        &format!("{FINETUNE} --from-scratch --out other --test-clips other.h5").replace("--test-clips test.h5 ", ""),
        &["\"train.h5\" has classes", "\"other.h5\" has class (3:"],
    );
}

#[test]
fn an_encoder_changes_the_first_steps_and_from_scratch_runs_the_same_way() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let shape = "--set model.encoder.width=48 --set model.encoder.depth=2";
    let steps = "--set train.steps=3 --set model.encoder.drop_path=0.0 --set model.init_scale=1.0";
    folder.ok(&format!("{FINETUNE} {steps} --encoder lvmae --out pretrained"));
    folder.ok(&format!("{FINETUNE} {steps} --from-scratch {shape} --out scratch"));
    assert_ne!(losses(&folder, "pretrained")[0], losses(&folder, "scratch")[0]);
    assert_eq!(json(&folder, "scratch/eval_finetune.json")["rows"][0]["encoder"], "from scratch");
    // The shape is the file's; more frames than it learned from are resampled.
    let longer = format!("{FINETUNE} {steps} --encoder lvmae --out longer").replace("num_frames=32", "num_frames=64");
    let ran = folder.run(&longer);
    assert_eq!(ran.code, Some(0), "{}", ran.tell());
    assert!(ran.stderr.contains("position codes of 16 x 4 x 4 tokens are resampled to 32 x 4 x 4"), "{}", ran.stderr);
    let config = String::from_utf8(folder.read("longer/resolved.toml")).expect("text");
    assert!(config.contains("width = 48") && config.contains("separable_of = [16, 4, 4]"), "{config}");

    for (rest, says) in [
        ("--encoder lvmae --set model.encoder.width=64", "--set model.encoder.width=64: with --encoder"),
        ("--encoder lvmae --set clip.patch=[2,16,16]", "clip.patch"),
        ("--from-scratch --set labels.spaces=[\"verb\"]", "no labels \"verb\"; it has: class"),
        ("--from-scratch --set model.token_drop={kind=\"tube\",share=1.0}", "model.token_drop.share = 1"),
    ] {
        folder.refused(&format!("{FINETUNE} {rest} --out refused"), &[says]);
    }
    assert!(!folder.path("refused").exists());
}

#[test]
fn a_class_with_one_clip_is_named_and_an_empty_split_refused() {
    let folder = folder_with(&["lvmae"]);
    folder.ok("data synth dives --out dives --num-train 5 --num-test 4 --num-classes 4 --num-sources-train 2 \
               --num-sources-test 2 --size-px 32");
    let import = "data import diving48 dives/Diving48_V2_train.json --videos dives/rgb --short-side 32";
    folder.ok(&format!("{import} --out train.h5"));
    folder.ok(&format!("{} --out test.h5", import.replace("_train", "_test")));
    let refusing = FINETUNE.replace("labels.rare_classes=keep", "labels.rare_classes=refuse");
    folder.refused(
        &format!("{refusing} --from-scratch --out run"),
        &["has one clip in \"train.h5\"", "--set labels.rare_classes=keep"],
    );
    let knn = "eval knn --encoder lvmae --train-clips train.h5 --test-clips test.h5";
    folder.refused(knn, &["has one clip in \"train.h5\"", "--rare-classes keep"]);
    folder.ok(&format!("{knn} --rare-classes keep"));

    folder.ok("data import folder dives/rgb --short-side 32 --out unlabelled.h5");
    folder.refused(
        &knn.replace("--test-clips test.h5", "--test-clips unlabelled.h5"),
        &["\"unlabelled.h5\" holds no labelled"],
    );
}

#[test]
fn probes_have_rows_of_both_encoders_and_each_seed_and_export_what_they_read() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let sides = "--encoder lvmae --train-clips train.h5 --test-clips test.h5";
    folder.ok(&format!("eval linear --fit sgd {sides} --seeds 2 --export features.npz"));
    let rows = json(&folder, "lvmae/eval_linear_sgd.json")["rows"].clone();
    let of = |key: &str| -> Vec<Value> { rows.as_array().expect("rows").iter().map(|row| row[key].clone()).collect() };
    assert_eq!(of("encoder"), ["lvmae", "lvmae", "random weights", "random weights"]);
    assert_eq!(of("seed"), [0, 1, 0, 1]);
    assert!(folder.read("features.npz").starts_with(b"PK"));
    for (depth, tokens) in [(1, "frames"), (2, "all")] {
        folder.ok(&format!(
            "eval attentive {sides} --depth {depth} --tokens {tokens} --epochs 2 --export {tokens}.safetensors"
        ));
        let results = json(&folder, "lvmae/eval_attentive.json");
        assert_eq!(
            (&results["probe"], &results["reads"]),
            (&"attentive".into(), &if depth == 1 { "frames" } else { "tokens" }.into())
        );
    }
    let bytes = folder.read("all.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(file.tensor("train_x").expect("an array").shape(), [8, 16 * 4 * 4, 48]);
    assert_eq!(file.tensor("test_labels").expect("an array").shape(), [4]);
    folder.refused(&format!("eval knn {sides} --export features.npz"), &["\"features.npz\" already exists"]);
    folder.refused(&format!("eval knn {sides} --export features.csv"), &[".npz or .safetensors"]);
}

#[test]
fn a_probe_on_a_schedule_leaves_no_trace_in_training() {
    let folder = folder_with(&["train.h5", "test.h5", "train.tokens.h5"]);
    let stores = "--clips train.h5 --tokens train.tokens.h5 --set train.steps=6 --set train.log_every=1";
    let drop = "--set model.encoder.drop_path=0.2 --set train.checkpoint_every=3";
    let probing = "--probe-train-clips train.h5 --probe-test-clips test.h5";
    folder.ok(&pretrain("lvmae", &format!("{stores} {drop} --out usual")));
    folder.ok(&pretrain("lvmae", &format!("{stores} {drop} --out probed --probe-every 4 {probing}")));
    for file in
        ["encoder.safetensors", "checkpoints/step_000000003.safetensors", "checkpoints/step_000000006.safetensors"]
    {
        assert!(folder.read(&format!("probed/{file}")) == folder.read(&format!("usual/{file}")), "{file} differs");
    }
    assert_eq!(losses(&folder, "probed"), losses(&folder, "usual"));
    let text = String::from_utf8(folder.read("probed/metrics.jsonl")).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let probed: Vec<&Value> = lines.iter().filter(|line| !line["knn_accuracy"].is_null()).map(|l| &l["step"]).collect();
    assert_eq!(probed, [4, 6], "each fourth step and the last");
    // The command of its own says the same of the finished encoder.
    folder.ok("eval knn --encoder probed --train-clips train.h5 --test-clips test.h5");
    assert_eq!(lines[5]["knn_accuracy"], json(&folder, "probed/eval_knn.json")["rows"][0]["accuracy"]);

    let ran = folder.run(&pretrain("lvmae", &format!("{stores} --out refused --probe-every 0 {probing}")));
    assert!(ran.code == Some(2) && ran.stderr.contains("invalid value '0' for '--probe-every"), "{}", ran.tell());
    let same = probing.replace("test.h5", "train.h5");
    folder.refused(
        &pretrain("lvmae", &format!("{stores} --out refused --probe-every 2 {same}")),
        &["stand in both training and test"],
    );
}
