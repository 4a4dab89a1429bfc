//! What pre-training predicts and on how much: every target, tokens made on the fly, clips of any length, a curriculum of
//! lengths, another run's encoder to begin with.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{folder_with, pretrain, tokenizer_train};
use crate::folder::Folder;

const LIVE: &str = "--clips train.h5 --tokenizer tokenizer/tokenizer.safetensors";
const STORED: &str = "--clips train.h5 --tokens train.tokens.h5";

/// A change of the preset under which neither codes nor priorities are needed.
const RANDOM_MASK: &str = r#"--set model.decoder_mask={kind="random",share=0.15}"#;

fn metrics(folder: &Folder, run: &str) -> Vec<Value> {
    let text = String::from_utf8(folder.read(&format!("{run}/metrics.jsonl"))).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn series(folder: &Folder, run: &str, key: &str) -> Vec<f64> {
    let number = |line: &Value| line[key].as_f64().unwrap_or_else(|| panic!("{key} of {line}"));
    metrics(folder, run).iter().map(number).collect()
}

fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(bytes).expect("safetensors");
    let tensor = file.tensor(name).unwrap_or_else(|err| panic!("{name}: {err}"));
    tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
}

#[test]
fn tokens_made_on_the_fly_train_as_those_of_the_store() {
    // Clips are whole timelines here, so that windows lie alike in both.
    let folder = folder_with(&["train.h5", "train.tokens.h5", "tokenizer"]);
    let steps = "--set train.steps=4 --set train.log_every=1";
    for target in ["codes", "factored", "pixels"] {
        for (method, tokens) in [("lvmae", "stored"), ("lvmae", "live")] {
            let stores = if tokens == "live" { LIVE } else { STORED };
            let out = format!("{target}_{tokens}");
            folder.ok(&pretrain(method, &format!("{stores} {steps} --set model.target={target} --out {out}")));
        }
        let [stored, live] = ["stored", "live"].map(|tokens| series(&folder, &format!("{target}_{tokens}"), "loss"));
        for (stored, live) in stored.iter().zip(&live) {
            // One other code or priority of 256 would move a loss by more than a thousandth.
            assert!((stored - live).abs() < 1e-5 * stored, "{target}: {live} on the fly, {stored} of the store");
        }
    }
}

#[test]
fn every_target_trains_and_logs_how_well_it_is_predicted() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    for method in ["lvmae", "arvideo"] {
        for (target, keys) in [
            ("codes", &["mse", "explained"][..]),
            ("latents", &["mse", "explained"]),
            ("factored", &["ce", "explained", "dims_right", "codes_right"]),
            ("pixels", &["mse", "explained"]),
            ("pixels_joint", &["mse", "explained"]),
            ("pixels_raw", &["mse", "explained"]),
        ] {
            let out = format!("{method}_{target}");
            // ARVideo needs no tokenizer for pixels.
            let given = if method == "arvideo" && target.starts_with("pixels") { "--clips train.h5" } else { LIVE };
            let rest = format!("{given} --set model.target={target} --set train.steps=2 --set train.log_every=1");
            folder.ok(&pretrain(method, &format!("{rest} --out {out}")));
            let lines = metrics(&folder, &out);
            for line in &lines {
                let main = line[keys[0]].as_f64().unwrap_or_else(|| panic!("{out}: {line}"));
                assert_eq!(line["loss"].as_f64(), Some(main), "{out}");
                assert!(keys.iter().all(|key| line[*key].is_number()), "{out}: {line}");
                let first = if target == "factored" { "ce_first" } else { "mse_first" };
                assert_eq!(line[first].is_number(), method == "arvideo", "{out}: {line}");
            }
            if target == "factored" {
                // Six channels of eight levels, of which a fresh head knows nothing.
                let ce = lines[0]["ce"].as_f64().expect("a number");
                assert!((0.5..1.5).contains(&(ce / (6.0 * 8f64.ln()))), "{out}: {ce}");
                for key in ["dims_right", "codes_right"] {
                    assert!((0.0..=1.0).contains(&lines[0][key].as_f64().expect("a number")));
                }
            }
        }
    }
}

#[test]
fn a_codebook_is_classified_as_a_whole_up_to_its_limit() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let fsq = r#"{kind="fsq",levels=[8,5,5],bound="official"}"#;
    folder.ok(&tokenizer_train(&format!("--out small --set train.steps=1 --set tokenizer.quantizer={fsq}")));
    for method in ["lvmae", "arvideo"] {
        let full = |tokenizer: &str| {
            let live =
                format!("--clips train.h5 --tokenizer {tokenizer}/tokenizer.safetensors --set model.target=full");
            pretrain(method, &format!("{live} --set train.steps=2 --set train.log_every=1 --out {method}"))
        };
        folder.refused(&full("tokenizer"), &["at most 16,384 codes", "this tokenizer has 262,144", "\"factored\""]);
        folder.ok(&full("small"));
        // 200 codes, of which a fresh head knows nothing.
        let line = &metrics(&folder, method)[0];
        let ce = line["ce"].as_f64().expect("a number");
        assert!((0.5..1.5).contains(&(ce / 200f64.ln())), "{method}: {ce}");
        assert!(line["codes_right"].is_number() && line["dims_right"].is_null(), "{line}");
        assert_eq!(line["ce_first"].is_number(), method == "arvideo", "{line}");
    }
}

#[test]
fn priorities_order_weight_and_choose_what_next_cluster_prediction_predicts() {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    let steps = "--set train.steps=1 --set train.log_every=1 --set model.target=pixels";
    let train = |stores: &str, set: &str, out: &str| {
        pretrain("arvideo", &format!("--clips train.h5 {stores} {steps} --set {set} --out {out}"))
    };
    let mut losses = Vec::new();
    for (out, set, needs) in [
        ("plain", r#"model.predicted={kind="all"}"#, false),
        ("weighted", r#"model.predicted={kind="weighted"}"#, true),
        ("top", r#"model.predicted={kind="top",share=0.5}"#, true),
        ("half", r#"model.predicted={kind="random",share=0.5}"#, false),
        ("priority", r#"model.order="priority""#, true),
    ] {
        folder.ok(&train("--tokens train.tokens.h5", set, out));
        if needs {
            folder.refused(&train("", set, "none"), &["this preset needs priorities", "--tokens", "--tokenizer"]);
        }
        let line = &metrics(&folder, out)[0];
        // The mean error is logged as it is, whatever counts in the loss.
        assert_eq!(line["loss"] == line["mse"], out != "weighted", "{out}: {line}");
        losses.push(line["loss"].to_string());
    }
    losses.sort();
    losses.dedup();
    assert_eq!(losses.len(), 5, "each is another loss: {losses:?}");
}

#[test]
fn a_live_tokenizer_sees_the_clip_as_it_is_varied() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let flip = r#"--set augment.flip={kind="horizontal",probability=0.5} --set augment.crop={kind="multi_scale",scales=[1.0,0.75]}"#;
    folder.ok(&pretrain("lvmae", &format!("{LIVE} {flip} --set train.steps=2 --out run")));
    let record: Value = serde_json::from_slice(&folder.read("run/run.json")).expect("JSON");
    assert!(record["data"]["live tokenizer"].as_str().is_some_and(|id| id.len() == 64), "{record}");
    assert!(record["data"]["tokenizer"].is_null(), "{record}");
    assert!(folder.contents().keys().any(|path| path.to_string_lossy().contains("run/pictures/mask_")));

    folder.ok(&tokenizer_train("--out other --set train.steps=1 --set train.seed=1"));
    let resume = |tokenizer: &str| {
        let given = format!("--clips train.h5 --tokenizer {tokenizer}/tokenizer.safetensors");
        pretrain("lvmae", &format!("{given} {flip} --set train.steps=2 --out run --resume"))
    };
    folder.refused(&resume("other"), &["\"run\" was begun with other live tokenizer"]);
    folder.ok(&resume("tokenizer"));
}

#[test]
fn tokenizers_and_targets_that_do_not_fit_are_refused() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "tokenizer"]);
    let lvmae = |rest: &str| pretrain("lvmae", &format!("{rest} --out run"));
    let refused = |command: &str, said: &[&str]| folder.refused(command, said);
    let both = folder.run(&lvmae(&format!("{LIVE} --tokens train.tokens.h5")));
    assert_eq!(both.code, Some(2), "{}", both.tell());
    assert!(both.stderr.contains("cannot be used with '--tokens"), "{}", both.tell());
    refused(&lvmae("--clips train.h5 --set model.target=latents"), &["latents as targets", "--tokenizer"]);
    refused(
        &lvmae(&format!("{STORED} --set model.target=latents")),
        &["a token store holds codes alone", "give --tokenizer", "instead of --tokens"],
    );
    refused(
        &lvmae(&format!("{LIVE} {RANDOM_MASK} --set model.target=pixels")),
        &["neither codes nor priorities", "leave out --tokenizer"],
    );
    refused(
        &lvmae(&format!("{LIVE} --set clip.patch=[2,16,16]")),
        &["clip.patch = [2, 8, 8]", "this preset has [2, 16, 16]"],
    );
    refused(
        &lvmae(&format!("{STORED} --set model.target=pixel")),
        &["unknown variant `pixel`", "`codes`", "`pixels_joint`"],
    );

    let learned = r#"{kind="vq",codes=16,width=4,decay=0.9,commitment_weight=1.0,dead_below=0.0,gradient="straight_through",kmeans_iterations=2}"#;
    folder.ok(&tokenizer_train(&format!("--out learned --set train.steps=1 --set tokenizer.quantizer={learned}")));
    let live = "--clips train.h5 --tokenizer learned/tokenizer.safetensors --set train.steps=1";
    folder.refused(
        &pretrain("lvmae", &format!("{live} --set model.target=factored --out run")),
        &["target = \"factored\"", "fsq or lfq", "learned codebook"],
    );
    folder.ok(&pretrain("lvmae", &format!("{live} --set model.target=codes --out learned_run")));
}

#[test]
fn clips_of_any_length_train_from_one_preset() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    for num_frames in [8, 16, 64, 256, 1024] {
        let size = format!("--set clip.num_frames={num_frames} --set clip.size_px=16");
        let (steps, out) =
            ("--set train.steps=2 --set train.batch=1 --set train.log_every=1", format!("of_{num_frames}"));
        folder.ok(&pretrain("lvmae", &format!("{LIVE} {size} {steps} --out {out}")));
        assert_eq!(series(&folder, &out, "loss").len(), 2);

        let tokens = format!("of_{num_frames}.h5");
        let encode = "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --size-px 16";
        folder.ok(&format!("{encode} --num-frames {num_frames} --out {tokens}"));
        let stored = format!("--clips train.h5 --tokens {tokens}");
        folder.ok(&pretrain("lvmae", &format!("{stored} {size} {steps} --out {out}_stored")));
        let [live, stored] = [out.clone(), format!("{out}_stored")].map(|run| series(&folder, &run, "loss")[0]);
        assert!((live - stored).abs() < 1e-5 * stored, "{num_frames} frames: {live} on the fly, {stored} of the store");
    }
    let other = "--clips train.h5 --tokens of_64.h5 --set clip.num_frames=32 --set clip.size_px=16 --out run";
    let says = ["num_frames = 64, but 32 is needed", "tokenizer encode --num-frames", "pretrain --tokenizer"];
    folder.refused(&pretrain("lvmae", other), &says);
}

/// Six steps of 16, 24 and at last 32 frames.
const STAGES: &str = r#"--set curriculum={kind="frames",stages=[{from_step=1,num_frames=16},{from_step=3,num_frames=24},{from_step=5,num_frames=32}]}"#;

#[test]
fn a_curriculum_changes_the_frames_and_goes_on_from_any_step_at_the_same_bits() {
    for (method, stores) in [("lvmae", LIVE), ("lvmae", STORED), ("arvideo", STORED)] {
        let folder = folder_with(&["train.h5", "train.tokens.h5", "tokenizer"]);
        let settings =
            "--set train.steps=6 --set train.log_every=1 --set train.checkpoint_every=1 --set train.keep_checkpoints=9";
        // Clusters that tile 8, 12 and 16 latent frames.
        let clusters = if method == "arvideo" { "--set model.cluster=[2,2,2]" } else { "" };
        let run = |out: &str| pretrain(method, &format!("{stores} {settings} {STAGES} {clusters} --out {out}"));
        let ran = folder.run(&run("whole"));
        assert_eq!(ran.code, Some(0), "{}", ran.tell());
        let told: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("from step ")).collect();
        assert_eq!(told.len(), 3, "{}", ran.tell());
        assert!(told[1].starts_with("from step 3 on clips have 24 frames: 192 tokens"), "{}", told[1]);
        assert_eq!(series(&folder, "whole", "num_frames"), [16.0, 16.0, 24.0, 24.0, 32.0, 32.0]);

        // As if it had been killed after step 2 and after step 3: before a change and behind one.
        for last in [2, 3] {
            let killed = Folder::empty();
            ["train.h5", "train.tokens.h5", "tokenizer", "whole"]
                .iter()
                .for_each(|part| killed.copy_from(&folder, part));
            for lost in (last + 1..=6).map(|step| format!("whole/checkpoints/step_{step:09}.safetensors")) {
                std::fs::remove_file(killed.path(&lost)).expect("a checkpoint of each step");
            }
            let ran = killed.run(&format!("{} --resume", run("whole")));
            assert_eq!(ran.code, Some(0), "{}", ran.tell());
            assert!(ran.stderr.contains(&format!("from step {} on clips have 24 frames", last + 1)), "{}", ran.tell());
            let end = "whole/checkpoints/step_000000006.safetensors";
            assert!(killed.read(end) == folder.read(end), "{method}: after step {last} it went another way");
            for key in ["loss", "num_frames"] {
                assert_eq!(series(&killed, "whole", key), series(&folder, "whole", key), "{method}");
            }
        }
    }
}

#[test]
fn a_curriculum_that_makes_no_sense_is_refused() {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    let stages = |list: &str| format!(r#"--set curriculum={{kind="frames",stages=[{list}]}} --out run"#);
    let refused = |method: &str, list: &str, said: &[&str]| {
        folder.refused(&pretrain(method, &format!("{STORED} {}", stages(list))), said);
    };
    refused("lvmae", "{from_step=1,num_frames=64}", &["curriculum.stages[0]", "above clip.num_frames = 32"]);
    refused("lvmae", "{from_step=1,num_frames=16}", &["the last stage has clip.num_frames = 32"]);
    refused("lvmae", "{from_step=1,num_frame=16}", &["num_frame"]);
    // 16 frames are 8 latent frames, which clusters of 16 do not divide.
    let list = "{from_step=1,num_frames=16},{from_step=9,num_frames=32}";
    let cluster = format!("{STORED} --set model.cluster=[16,2,2] {}", stages(list));
    folder.refused(&pretrain("arvideo", &cluster), &["curriculum.stages[0] has clips of 16 frames", "cluster[0] = 16"]);
}

#[test]
fn a_run_begins_with_the_encoder_of_another() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "lvmae"]);
    let still = "--set train.steps=1 --set train.learning_rate=1e-12 --set train.min_learning_rate=1e-12";
    let arvideo = |rest: &str| pretrain("arvideo", &format!("{STORED} {still} {rest}"));
    folder.ok(&arvideo("--init lvmae/encoder.safetensors --out run"));
    let (from, to) = (folder.read("lvmae/encoder.safetensors"), folder.read("run/encoder.safetensors"));
    let file = SafeTensors::deserialize(&from).expect("safetensors");
    assert!(file.names().len() > 10);
    for name in file.names() {
        for (got, want) in floats(&to, name).iter().zip(floats(&from, name)) {
            assert!((got - want).abs() < 1e-6, "{name}: {got} instead of {want}");
        }
    }
    let record: Value = serde_json::from_slice(&folder.read("run/run.json")).expect("JSON");
    assert!(record["data"]["init"].as_str().is_some_and(|id| id.len() == 64), "{record}");

    folder.refused(&arvideo("--out run --resume"), &["\"run\" was begun with other init"]);
    let wider = "--set model.encoder.width=96 --init lvmae/encoder.safetensors --out wider";
    folder.refused(&arvideo(wider), &["--init lvmae/encoder.safetensors", "variable encoder.", "in the weights"]);
    folder.refused(&arvideo("--init train.h5 --out other"), &["train.h5"]);
}
