//! Weights to another program and back, and on other clips than they were learned on.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{SMALL, folder_with, pretrain};
use crate::folder::Folder;

/// VideoMAE at toy size: clips of 32 frames of 32 x 32 pixels.
fn videomae(rest: &str) -> String {
    format!(
        "pretrain --preset videomae-tiny-16f {SMALL} --clips train.h5 --set train.batch=2 --set train.warmup_steps=1 {rest}"
    )
}

/// The bytes of a tensor.
fn bytes(folder: &Folder, file: &str, name: &str) -> Vec<u8> {
    let contents = folder.read(file);
    let tensors = SafeTensors::deserialize(&contents).expect("a safetensors file");
    tensors.tensor(name).unwrap_or_else(|err| panic!("{file}: {name}: {err}")).data().to_vec()
}

#[test]
fn a_run_goes_to_transformers_names_and_back_as_the_same_weights() {
    let folder = folder_with(&["train.h5"]);
    folder.ok(&videomae("--out run --set train.steps=2"));
    folder.ok("weights export --from run --to whole");
    folder.ok("weights export --from run/encoder.safetensors --to encoder");
    let config: Value = serde_json::from_slice(&folder.read("whole/config.json")).expect("JSON");
    assert_eq!(config["architectures"][0], "VideoMAEForPreTraining");
    assert_eq!((&config["num_frames"], &config["tubelet_size"]), (&Value::from(32), &Value::from(2)));
    folder.ok("weights import --from whole --out back.safetensors");
    folder.ok("weights import --from encoder --out alone.safetensors");
    for name in ["encoder.embed.weight", "encoder.blocks.1.attn.qkv.weight", "encoder.norm.bias"] {
        let trained = bytes(&folder, "run/encoder.safetensors", name);
        assert_eq!(bytes(&folder, "back.safetensors", name), trained, "{name}");
        assert_eq!(bytes(&folder, "alone.safetensors", name), trained, "{name}");
    }
    folder.refused("weights export --from run --to whole", &["exists already"]);
    folder.refused(
        "weights import --from encoder --out x.safetensors --part model",
        &["without a decoder", "--part encoder"],
    );
}

#[test]
fn an_encoder_of_next_cluster_prediction_is_an_ordinary_vit_in_evaluation_and_export() {
    let folder = folder_with(&["train.h5", "test.h5"]);
    let flat = "--set model.encoder.position=flat --set model.target=pixels --set train.steps=2 --out run";
    folder.ok(&pretrain("arvideo", &format!("--clips train.h5 {flat}")));
    folder.ok("weights export --from run/encoder.safetensors --to encoder --sample");
    let config: Value = serde_json::from_slice(&folder.read("encoder/config.json")).expect("JSON");
    assert_eq!(config["architectures"][0], "VideoMAEModel");
    folder.ok("weights import --from encoder --out back.safetensors");
    for name in ["encoder.embed.weight", "encoder.blocks.1.attn.qkv.weight", "encoder.norm.bias"] {
        let trained = bytes(&folder, "run/encoder.safetensors", name);
        assert_eq!(bytes(&folder, "back.safetensors", name), trained, "{name}");
    }
    // The same answers, whichever file the encoder is read from: nothing of clusters is left in it.
    let eval = |probe: &str, encoder: &str| -> Value {
        let clips = "--train-clips train.h5 --test-clips test.h5 --set clip.num_frames=32 --set clip.size_px=32";
        folder.ok(&format!("eval {probe} --encoder {encoder} {clips} --out {probe}.json"));
        let mut results: Value = serde_json::from_slice(&folder.read(&format!("{probe}.json"))).expect("JSON");
        results["rows"].take()
    };
    for probe in ["knn", "linear"] {
        assert_eq!(
            eval(probe, "run/encoder.safetensors")[0]["accuracy"],
            eval(probe, "back.safetensors")[0]["accuracy"]
        );
    }
    folder.refused("weights export --from run --to whole", &["arvideo", "encoder.safetensors"]);
}

#[test]
fn pre_training_begins_with_the_weights_of_shorter_clips() {
    let folder = folder_with(&["train.h5"]);
    folder.ok(&videomae("--out run --set train.steps=2"));
    // A learning rate of nearly 0 leaves the weights where they began.
    let still = "--set train.steps=1 --set train.learning_rate=1e-12 --set train.min_learning_rate=1e-12";
    let longer = videomae(&format!("--init run/encoder.safetensors --out longer --set clip.num_frames=64 {still}"));
    let ran = folder.run(&longer);
    assert!(
        ran.stderr.contains("position codes of 16 x 4 x 4 tokens are resampled to 32 x 4 x 4 tokens"),
        "{}",
        ran.stderr
    );
    let name = "encoder.blocks.0.mlp.fc1.weight";
    let values = |file: &str| -> Vec<f32> {
        let bytes = bytes(&folder, file, name);
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let (begun, ended) = (values("run/encoder.safetensors"), values("longer/encoder.safetensors"));
    assert!(begun.iter().zip(&ended).all(|(a, b)| (a - b).abs() < 1e-6));
    let resolved = String::from_utf8(folder.read("longer/resolved.toml")).expect("text");
    assert!(resolved.contains("flat_of"), "{resolved}");
}

#[test]
fn an_encoder_is_measured_on_longer_clips_than_it_learned_from() {
    let folder = folder_with(&["train.h5", "test.h5"]);
    folder.ok(&videomae("--out run --set train.steps=2"));
    let eval = "eval knn --encoder run/encoder.safetensors --train-clips train.h5 --test-clips test.h5";
    let ran = folder.run(&format!("{eval} --set clip.num_frames=64 --out longer.json"));
    assert!(ran.stderr.contains("are resampled to 32 x 4 x 4 tokens"), "{}", ran.stderr);
    let ran = folder.run(&format!("{eval} --out same.json"));
    assert!(!ran.stderr.contains("resampled"), "{}", ran.stderr);
    folder.refused(&format!("{eval} --set clip.patch=[2,16,16]"), &["clip.patch is part of the encoder"]);
}
