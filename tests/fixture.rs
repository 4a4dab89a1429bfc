//! Stores and runs at toy size that the tests start from, made once by the program itself.

use std::fs::{self, File};
use std::path::Path;
use std::sync::OnceLock;

use crate::folder::Folder;

/// Twelve synthetic dives of four classes: eight to train on, four of other groups to test on.
pub(crate) const DIVES: &str = "data synth dives --out dives --num-train 8 --num-test 4 --num-classes 4 \
                                --num-sources-train 2 --num-sources-test 2 --size-px 32";

/// The import of the dives to train on.
pub(crate) const IMPORT: &str = "data import diving48 dives/Diving48_V2_train.json --videos dives/rgb --short-side 32";

/// The tokenizer at toy size: windows of 16 frames of 32 x 32 pixels, cubes of 2 x 8 x 8.
pub(crate) fn tokenizer_train(rest: &str) -> String {
    format!(
        "tokenizer train --preset tokenizer-tiny --clips train.h5 --set clip.num_frames=32 --set clip.size_px=32 \
         --set tokenizer.base_channels=8 --set tokenizer.channel_mult=[1,1] --set tokenizer.stem_patch=[2,4,4] \
         --set tokenizer.strides=[[1,2,2]] --set train.batch=1 --set train.warmup_steps=1 {rest}"
    )
}

/// A pre-training method at toy size: clips of 32 frames of 32 x 32 pixels.
pub(crate) fn pretrain(method: &str, rest: &str) -> String {
    format!("pretrain --preset {method}-tiny-128f {SMALL} --set train.batch=2 --set train.warmup_steps=1 {rest}")
}

/// What makes a pre-training preset small.
pub(crate) const SMALL: &str = "--set clip.num_frames=32 --set clip.size_px=32 \
                                --set model.encoder.width=48 --set model.encoder.depth=2 \
                                --set model.decoder.width=48 --set model.decoder.depth=1";

/// A folder with copies of parts of the fixture:
///
/// ```text
/// dives/  train.h5  test.h5  tokenizer/  train.tokens.h5  lvmae/  arvideo/
/// ```
pub(crate) fn folder_with(parts: &[&str]) -> Folder {
    let folder = Folder::empty();
    parts.iter().for_each(|part| folder.copy_from(fixture(), part));
    folder
}

fn fixture() -> &'static Folder {
    static FIXTURE: OnceLock<(Folder, File)> = OnceLock::new();
    &FIXTURE.get_or_init(make).0
}

/// Makes the fixture anew in a folder that one test process at a time holds by its lock.
fn make() -> (Folder, File) {
    let temp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::create(temp.join("fixture.lock")).expect("the target folder can be written");
    lock.lock().expect("a file can be locked");
    let root = temp.join("fixture");
    // It is there when tests ran before.
    fs::remove_dir_all(&root).ok();
    fs::create_dir_all(&root).expect("the target folder can be written");

    let folder = Folder::kept(&root);
    folder.ok(DIVES);
    folder.ok(&format!("{IMPORT} --out train.h5"));
    folder.ok(&format!("{} --out test.h5", IMPORT.replace("_train", "_test")));
    folder.ok(&tokenizer_train("--out tokenizer --set train.steps=3"));
    folder.ok("tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out train.tokens.h5");
    for method in ["lvmae", "arvideo"] {
        let rest = format!("--clips train.h5 --tokens train.tokens.h5 --out {method} --set train.steps=3");
        folder.ok(&pretrain(method, &rest));
    }
    (folder, lock)
}
