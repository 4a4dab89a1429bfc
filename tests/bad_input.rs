//! What a user gets wrong: one line that names it and says what to do, exit code 2, and no file touched.

use std::fs;

use crate::fixture::{folder_with, pretrain, tokenizer_train};
use crate::folder::Folder;

/// LVMAE from the fixture's stores into the folder `run`; `rest` may change what is named here.
fn lvmae(rest: &str) -> String {
    let clips = if rest.contains("--clips") { "" } else { "--clips train.h5" };
    let tokens = if rest.contains("--tokens") { "" } else { "--tokens train.tokens.h5" };
    let out = if rest.contains("--out") { "" } else { "--out run" };
    pretrain("lvmae", &format!("--set train.steps=3 {clips} {tokens} {out} {rest}"))
}

fn stores() -> Folder {
    folder_with(&["train.h5", "train.tokens.h5"])
}

const KNN: &str = "eval knn --train-clips train.h5 --test-clips test.h5";

#[test]
fn a_folder_of_videos_that_is_not_there_is_refused() {
    Folder::empty().refused("data import folder videos --out train.h5", &["\"videos\"", "No such file"]);
}

#[test]
fn an_empty_folder_of_videos_is_refused() {
    let folder = Folder::empty();
    fs::create_dir(folder.path("videos")).unwrap();
    folder.refused("data import folder videos --out train.h5", &["nothing to import", "\"videos\"", "no files"]);
}

#[test]
fn a_text_file_among_the_videos_is_left_out_with_its_reason() {
    let folder = folder_with(&["dives"]);
    folder.write("dives/rgb/notes.mp4", b"not a video\n");
    let stdout = folder.ok("data import folder dives/rgb --short-side 32 --out train.h5");
    assert!(stdout.contains("notes.mp4: not a media file"), "{stdout}");
    let info = folder.ok("data info train.h5");
    assert!(info.contains("videos     12,") && info.contains("notes.mp4: not a media file"), "{info}");
}

#[test]
fn a_folder_without_a_usable_video_makes_no_store() {
    let folder = Folder::empty();
    folder.write("videos/notes.mp4", b"not a video\n");
    let says = ["\"videos\"", "none of its 1 files is a usable video (notes.mp4: not a media file"];
    folder.refused("data import folder videos --out train.h5", &says);
}

#[test]
fn annotations_that_are_not_there_are_refused() {
    let folder = folder_with(&["dives"]);
    folder.refused("data import csv labels.csv --videos dives/rgb --out train.h5", &["\"labels.csv\"", "No such file"]);
}

#[test]
fn a_store_that_exists_is_not_written_over() {
    let folder = folder_with(&["dives", "train.h5", "tokenizer", "train.tokens.h5"]);
    folder.refused("data import folder dives/rgb --out train.h5", &["\"train.h5\" already exists", "another name"]);
    folder.refused(
        "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out train.tokens.h5",
        &["\"train.tokens.h5\" already exists", "another name"],
    );
}

#[test]
fn a_tokenizer_whose_first_frame_stands_alone_trains_and_draws_but_encodes_nothing() {
    let folder = folder_with(&["train.h5"]);
    let layout = "--set tokenizer.time=\"first_frame\"";
    folder.refused(
        &tokenizer_train(&format!("--out run {layout} --set clip.num_frames=16")),
        &["clip.num_frames = 16", "a window of 17 frames", "32 or more"],
    );
    folder.ok(&tokenizer_train(&format!("--out run {layout} --set train.steps=2")));
    folder.ok("tokenizer reconstruct --tokenizer run/tokenizer.safetensors --clips train.h5 --out drawn --count 1");
    folder.refused(
        "tokenizer encode --tokenizer run/tokenizer.safetensors --clips train.h5 --out train.tokens.h5",
        &["run/tokenizer.safetensors", "tokenizer.time = \"first_frame\"", "tokenizer.time = \"pairs\""],
    );
}

#[test]
fn an_unknown_preset_is_refused_with_the_nearest_one() {
    let command = "pretrain --preset lvmae-tyny-128f --clips train.h5 --out run";
    Folder::empty().refused(command, &["\"lvmae-tyny-128f\"", "did you mean \"lvmae-tiny-128f\"?"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    stores().refused(&lvmae("--set train.stps=5"), &["\"train.stps\"", "did you mean \"train.steps\"?"]);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_by_its_key() {
    stores().refused(&lvmae("--set train.steps=many"), &["`train.steps`", "\"many\""]);
}

#[test]
fn an_unknown_key_in_a_preset_file_is_refused_with_the_nearest_one() {
    let folder = stores();
    let preset = include_str!("../presets/lvmae-tiny-128f.toml").replace("\nsteps = ", "\nstepps = ");
    folder.write("mine.toml", preset.as_bytes());
    let command = "pretrain --preset mine.toml --clips train.h5 --tokens train.tokens.h5 --out run";
    folder.refused(command, &["mine.toml", "`stepps`", "did you mean \"steps\"?"]);
}

#[test]
fn a_preset_file_that_is_not_toml_is_refused_by_its_line() {
    let folder = stores();
    folder.write("mine.toml", b"[clip]\nnum_frames = 128 frames\n");
    let command = "pretrain --preset mine.toml --clips train.h5 --tokens train.tokens.h5 --out run";
    folder.refused(command, &["mine.toml", "line 2"]);
}

#[test]
fn a_frame_count_that_does_not_divide_is_refused_with_those_that_do() {
    stores().refused(&lvmae("--set clip.num_frames=31"), &["clip.num_frames = 31", "nearest that are: 30 and 32"]);
}

#[test]
fn codes_as_targets_without_a_token_store_are_refused() {
    let command = pretrain("lvmae", "--clips train.h5 --out run");
    stores().refused(&command, &["codes as targets", "tokenizer encode", "--tokens"]);
}

#[test]
fn a_token_store_of_other_clips_is_refused() {
    let folder = folder_with(&["test.h5", "train.tokens.h5"]);
    folder.refused(&lvmae("--clips test.h5"), &["clip_store_id", "encode this clip store"]);
}

#[test]
fn a_token_store_of_another_geometry_is_refused() {
    let folder = stores();
    for (set, field) in [
        ("clip.patch=[2,16,16]", "patch = [2, 8, 8], but [2, 16, 16] is needed"),
        ("clip.size_px=64", "size_px = 32, but 64 is needed"),
        ("clip.num_frames=16", "num_frames = 32, but 16 is needed"),
    ] {
        folder.refused(&lvmae(&format!("--set {set}")), &[field, "encode the clip store again"]);
    }
}

#[test]
fn augmentation_that_moves_pixels_off_stored_codes_is_refused() {
    let folder = stores();
    for (set, remedy) in [
        (r#"augment.flip={kind="horizontal",probability=0.5}"#, "set it to none"),
        (r#"augment.crop={kind="multi_scale",scales=[1.0,0.75]}"#, "\"centre\" or \"random\""),
        ("augment.instants=random", "\"middle\""),
    ] {
        let setting = set.split('=').next().unwrap();
        folder.refused(&lvmae(&format!("--set {set}")), &[setting, "out of register with stored tokens", remedy]);
    }
    folder.refused(&lvmae("--set augment.repeats=3"), &["train.batch = 2", "augment.repeats = 3"]);
    folder.refused(
        &lvmae(r#"--set augment.flip={kind="horizontal",probability=2.0}"#),
        &["augment.flip.probability = 2"],
    );
}

#[test]
fn clip_stores_and_token_stores_are_told_apart() {
    let folder = stores();
    folder.refused(&lvmae("--tokens train.h5"), &["\"train.h5\" is a clip store", "a token store is wanted"]);
    folder.refused(
        &lvmae("--clips train.tokens.h5"),
        &["\"train.tokens.h5\" is a token store", "a clip store is wanted"],
    );
}

#[test]
fn a_store_cut_short_anywhere_is_refused() {
    let folder = stores();
    let num_bytes = folder.read("train.h5").len();
    for kept in [0, 100, num_bytes / 2, num_bytes - 1] {
        folder.damaged("train.h5", "cut.h5", |bytes| bytes.truncate(kept));
        folder.refused(&lvmae("--clips cut.h5"), &["\"cut.h5\"", "clip store", "make it again"]);
    }
    folder.damaged("train.tokens.h5", "cut.tokens.h5", |bytes| bytes.truncate(bytes.len() / 2));
    folder.refused(&lvmae("--tokens cut.tokens.h5"), &["\"cut.tokens.h5\"", "token store", "make it again"]);
}

#[test]
fn a_damaged_encoder_is_refused() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae"]);
    let whole = "lvmae/encoder.safetensors";
    folder.damaged(whole, "cut.safetensors", |bytes| bytes.truncate(bytes.len() / 2));
    folder.refused(&format!("{KNN} --encoder cut.safetensors"), &["\"cut.safetensors\" is truncated"]);
    folder.damaged(whole, "flipped.safetensors", |bytes| {
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
    });
    folder.refused(&format!("{KNN} --encoder flipped.safetensors"), &["\"flipped.safetensors\" is damaged", "restore"]);
    folder.refused(&format!("{KNN} --encoder none.safetensors"), &["\"none.safetensors\"", "No such file"]);
}

#[test]
fn tokenizers_and_encoders_are_told_apart() {
    let folder = folder_with(&["train.h5", "test.h5", "lvmae", "tokenizer"]);
    folder.refused(
        &format!("{KNN} --encoder tokenizer/tokenizer.safetensors"),
        &["tokenizer.safetensors", "kind \"tokenizer\", not \"encoder\""],
    );
    folder.refused(
        "tokenizer encode --tokenizer lvmae/encoder.safetensors --clips train.h5 --out new.h5",
        &["encoder.safetensors", "kind \"encoder\", not \"tokenizer\""],
    );
}

#[test]
fn a_resume_of_no_run_is_refused() {
    stores().refused(&lvmae("--resume"), &["\"run\" holds no run", "without --resume"]);
}

#[test]
fn a_second_start_in_a_run_folder_is_refused() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "lvmae"]);
    folder.refused(&lvmae("--out lvmae"), &["\"lvmae\" already holds a run", "--resume"]);
}

#[test]
fn a_resume_with_other_settings_is_refused_with_the_keys_that_differ() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "lvmae"]);
    folder.refused(
        &lvmae("--out lvmae --resume --set train.steps=7"),
        &["\"lvmae\"", "train.steps: 3 there, 7 here", "another --out"],
    );
}

#[test]
fn training_and_test_clips_of_one_group_are_refused() {
    let folder = folder_with(&["train.h5", "lvmae"]);
    folder.refused(
        "eval linear --encoder lvmae/encoder.safetensors --train-clips train.h5 --test-clips train.h5",
        &["stand in both training and test", "pool0000", "split by group"],
    );
}

#[test]
fn clips_without_labels_cannot_be_probed() {
    let folder = folder_with(&["dives", "test.h5", "lvmae"]);
    folder.ok("data import folder dives/rgb --short-side 32 --out train.h5");
    folder.refused(&format!("{KNN} --encoder lvmae/encoder.safetensors"), &["\"train.h5\"", "classes"]);
}

#[test]
fn an_unknown_device_is_refused() {
    Folder::empty().refused("doctor --device tpu", &["--device \"tpu\"", "auto, cpu, cuda"]);
}

#[test]
fn a_report_of_a_folder_without_a_run_is_refused() {
    let folder = Folder::empty();
    fs::create_dir(folder.path("photos")).unwrap();
    for path in ["photos", "none"] {
        folder.refused(
            &format!("report {path} -o r.html"),
            &[&format!("\"{path}\" is not a run folder"), "give the folder"],
        );
    }
}
