//! Tokenizers trained against a discriminator, and with perceptual weights that do not fit, through the program.

use std::collections::BTreeSet;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{folder_with, tokenizer_train};
use crate::folder::Folder;

/// A small discriminator with everything that has a state of its own.
pub(crate) const GAN: &str = r#"--set tokenizer.loss.adversarial={kind="gan",loss="hinge",weight=0.1,adaptive={kind="last_layer",max=10.0},start_step=2,penalty={kind="lecam",weight=0.1,decay=0.9},base_channels=2,channel_mult=[2,2],downsample="blur",learning_rate_scale=0.5,clip_grad_norm=1.0}"#;

/// One that is there from the first step, with a penalty that is differentiated twice.
pub(crate) const GAN_R1: &str = r#"--set tokenizer.loss.adversarial={kind="gan",loss="non_saturating",weight=0.4,adaptive={kind="none"},start_step=1,penalty={kind="r1",weight=0.1,every=2},base_channels=2,channel_mult=[2,2],downsample="average",learning_rate_scale=1.0,clip_grad_norm=0.0}"#;

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

fn names(folder: &Folder, file: &str) -> BTreeSet<String> {
    let bytes = folder.read(file);
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    file.names().into_iter().map(str::to_owned).collect()
}

#[test]
fn the_discriminator_is_in_checkpoints_but_neither_averaged_nor_in_the_tokenizer() {
    let folder = folder_with(&["train.h5"]);
    let settings = r#"--set train.steps=3 --set train.log_every=1 --set train.ema={kind="decay",decay=0.9}"#;
    folder.ok(&tokenizer_train(&format!("--out run {settings} {GAN}")));
    folder.ok(&tokenizer_train(&format!("--out plain {settings}")));
    assert_eq!(names(&folder, "run/tokenizer.safetensors"), names(&folder, "plain/tokenizer.safetensors"));

    let last = "checkpoints/step_000000003.safetensors";
    let [with, without] = ["run", "plain"].map(|run| names(&folder, &format!("{run}/{last}")));
    let added: BTreeSet<&str> = with.difference(&without).map(String::as_str).collect();
    for name in
        ["weights.discriminator.stem.weight", "exp_avg.discriminator.head.bias", "weights.discriminator.mean_real"]
    {
        assert!(added.contains(name), "{name} is not among {added:?}");
    }
    assert!(added.iter().all(|name| name.contains(".discriminator.") && !name.starts_with("ema.")), "{added:?}");
    assert!(!added.contains("exp_avg.discriminator.mean_real"));

    let text = String::from_utf8(folder.read("run/metrics.jsonl")).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines[0]["d_loss"].is_null(), "it has not begun: {}", lines[0]);
    assert_eq!(lines[0]["grad_norm_discriminator"], 0.0);
    for key in ["d_loss", "g_loss", "logit_real", "logit_fake", "lecam", "adaptive_weight"] {
        assert!(lines[1][key].is_f64(), "{key} in {}", lines[1]);
    }
    assert!(lines[1]["grad_norm_discriminator"].as_f64() > Some(0.0), "{}", lines[1]);
    // The weight of a step follows from the gradients of the step before.
    assert_eq!(lines[1]["adaptive_weight"], 0.0);
    assert!(lines[2]["adaptive_weight"].as_f64() > Some(0.0), "{}", lines[2]);

    folder.ok("tokenizer reconstruct --tokenizer run/tokenizer.safetensors --clips train.h5 --out drawn --count 1");
}

#[test]
fn a_step_with_a_discriminator_that_is_not_finite_is_told_in_one_line() {
    let folder = folder_with(&["train.h5"]);
    let hot = format!("--out run --set train.steps=6 --set train.learning_rate=1e30 {GAN_R1}");
    let ran = folder.run(&tokenizer_train(&hot));
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.tell());
    assert!(ran.stderr.contains("is NaN at step 2"), "{}", ran.tell());
    assert!(folder.path("run/trouble/step_000000002_rank_0/batch.safetensors").exists());
}

#[test]
fn perceptual_weights_that_do_not_fit_are_refused_by_name_and_their_absence_is_on_record() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    assert_eq!(json(&folder, "tokenizer/run.json")["data"]["perceptual"], "none: no weights given");
    let with = |file: &str| {
        let config = format!(r#"{{kind="vgg16",weights="{file}",weight=0.1,frames=4}}"#);
        tokenizer_train(&format!("--out run --set tokenizer.loss.perceptual={config}"))
    };
    folder.refused(
        &with("none.safetensors"),
        &["tokenizer.loss.perceptual.weights", "none.safetensors", "docs/formats.md"],
    );
    folder.write("broken.safetensors", b"no weights");
    folder.refused(&with("broken.safetensors"), &["tokenizer.loss.perceptual.weights", "broken.safetensors"]);
    let other = "tokenizer/tokenizer.safetensors";
    folder.refused(&with(other), &[other, "lack features.0.weight", "docs/formats.md"]);
}
