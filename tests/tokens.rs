//! Token stores as a data set: encoded in parts, continued when clips are added, looked into, handed to Python.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use hdf5::File;
use serde_json::Value;

use crate::fixture::{folder_with, pretrain, tokenizer_train};

const ENCODE: &str = "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors";

fn lvmae(clips: &str, tokens: &str) -> String {
    pretrain("lvmae", &format!("--clips {clips} --tokens {tokens} --out run --set train.steps=1"))
}

/// Changes a token store in place.
fn change(path: &Path, change: impl FnOnce(&File) -> hdf5::Result<()>) {
    let file = File::open_rw(path).expect("a store");
    change(&file).expect("a part that every store has");
    file.close().expect("room on the disk");
}

#[test]
fn shards_of_an_encoding_are_merged_to_the_undivided_store() {
    let folder = folder_with(&["train.h5", "tokenizer", "train.tokens.h5"]);
    for part in 1..=3 {
        folder.ok(&format!("{ENCODE} --clips train.h5 --out {part}.h5 --shard {part}/3"));
    }
    // 8 segments: 2, 3 and 3.
    let info: Value = serde_json::from_str(&folder.ok("data info 2.h5 --json")).expect("JSON");
    assert_eq!((&info["num_segments"], &info["header"]["shard"]["index"]), (&3.into(), &1.into()));
    folder.refused(&lvmae("train.h5", "2.h5"), &["shard = 2/3, but 1/1 is needed", "`longvid data merge` makes"]);
    folder.refused("data merge 1.h5 3.h5 --out merged.h5", &["shard 2/3 must be there once"]);
    folder.refused("data merge 1.h5 2.h5 2.h5 --out merged.h5", &["shard 2/3 must be there once"]);
    folder.refused("data merge 1.h5 train.h5 --out merged.h5", &["\"train.h5\" is a clip store"]);
    folder.refused("data merge train.tokens.h5 --out merged.h5", &["no shard but a whole", "--from"]);
    folder.ok("data merge 3.h5 1.h5 2.h5 --out merged.h5");
    assert!(folder.read("merged.h5") == folder.read("train.tokens.h5"), "the token stores differ");
    folder.ok("data verify merged.h5 1.h5 2.h5 3.h5");
}

#[test]
fn a_shard_is_no_continuation_of_another() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let mut running = folder.start(&format!("{ENCODE} --clips train.h5 --out part.h5 --shard 1/2"));
    running.wait_until(|| folder.path("part.h5.journal").exists());
    running.kill();
    // Nothing to go on with where it was killed before the first line was whole.
    if !folder.path("part.h5").exists() && folder.read("part.h5.journal").contains(&b'\n') {
        let ran = folder.run(&format!("{ENCODE} --clips train.h5 --out part.h5 --shard 2/2"));
        assert_eq!(ran.code, Some(2), "{}", ran.tell());
        assert!(ran.stderr.contains("was begun with shard = 1/2, now it is 2/2"), "{}", ran.tell());
    }
    let ran = folder.run(&format!("{ENCODE} --clips train.h5 --out new.h5 --shard 3/2"));
    assert_eq!(ran.code, Some(2), "{}", ran.tell());
    assert!(ran.stderr.contains("must be part/parts, such as 1/8 to 8/8"), "{}", ran.tell());
}

#[test]
fn tokens_of_a_clip_store_that_grew_are_refused_and_continued() {
    let folder = folder_with(&["train.h5", "test.h5", "tokenizer", "train.tokens.h5"]);
    folder.write("grown.h5", &folder.read("train.h5"));
    folder.ok("data append grown.h5 test.h5");
    let says = ["earlier version of this clip store", "tokens of 8 of its 12 segments", "tokenizer encode --from"];
    folder.refused(&lvmae("grown.h5", "train.tokens.h5"), &says);

    folder.ok(&format!("{ENCODE} --clips grown.h5 --out whole.h5"));
    let said = folder.ok(&format!("{ENCODE} --clips grown.h5 --out grown.tokens.h5 --from train.tokens.h5 --json"));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["num_segments"], &said["num_copied"]), (&12.into(), &8.into()));
    assert_eq!((&said["num_frames"], &said["num_tokens"]), (&(4 * 32).into(), &(4 * 16 * 16).into()));
    assert!(folder.read("grown.tokens.h5") == folder.read("whole.h5"), "copied and new tokens differ from new ones");
    folder.ok(&lvmae("grown.h5", "grown.tokens.h5"));

    let other = "--size-px 48 --from train.tokens.h5";
    folder.refused(&format!("{ENCODE} --clips grown.h5 --out other.h5 {other}"), &["size_px = 32, but 48 is needed"]);
}

#[test]
fn stores_that_this_program_cannot_use_are_refused() {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    let bytes = folder.read("train.tokens.h5");
    let damaged = |name: &str, damage: &dyn Fn(&File) -> hdf5::Result<()>| {
        folder.write(name, &bytes);
        change(&folder.path(name), damage);
    };
    damaged("old.h5", &|file| file.attr("format_version")?.write_scalar(&2_u32));
    folder.refused(&lvmae("train.h5", "old.h5"), &["format version 2, version 3 is needed: encode it again"]);
    damaged("new.h5", &|file| file.attr("format_version")?.write_scalar(&4_u32));
    folder.refused(&lvmae("train.h5", "new.h5"), &["format version 4, this program reads up to 3"]);
    damaged("size.h5", &|file| file.attr("codebook_size")?.write_scalar(&1000_u64));
    folder.refused(&lvmae("train.h5", "size.h5"), &["quantizer has 262144 codes, its codebook_size is 1000"]);

    damaged("codes.h5", &|file| file.dataset("codes")?.write_slice(&[262_144_u32], 300..301));
    damaged("all_codes.h5", &|file| file.dataset("codes")?.write_raw(&[262_144_u32; 2048]));
    let says = "has the code 262144, and the codebook 262144 codes";
    for command in ["data info codes.h5", "data export codes.h5 --npz codes.npz", &lvmae("train.h5", "all_codes.h5")] {
        let ran = folder.run(command);
        assert_eq!(ran.code, Some(2), "{}", ran.tell());
        assert!(ran.stderr.contains(says) && ran.stderr.contains("encode it again"), "{}", ran.tell());
    }
    let ran = folder.run("data verify codes.h5");
    // 256 tokens each: the second segment.
    assert_eq!(ran.code, Some(1), "{}", ran.tell());
    assert!(ran.stdout.contains("1 damaged") && ran.stdout.contains("segment 1: "), "{}", ran.tell());
}

#[test]
fn a_run_does_not_go_on_with_the_tokens_of_another_tokenizer() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "lvmae"]);
    folder.ok(&tokenizer_train("--out tokenizer --set train.steps=1 --set train.seed=1"));
    folder.ok(&format!("{ENCODE} --clips train.h5 --out other.h5"));
    let resume = |tokens: &str| {
        pretrain("lvmae", &format!("--clips train.h5 --tokens {tokens} --out lvmae --set train.steps=3 --resume"))
    };
    folder.refused(&resume("other.h5"), &["\"lvmae\" was begun with other tokenizer", "another --out"]);
    folder.ok(&resume("train.tokens.h5"));
}

/// An array of an `.npz` file: element type, shape, bytes of its items.
#[derive(Debug)]
struct Array {
    descr: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn numbers<T>(&self, descr: &str, parse: impl Fn([u8; 4]) -> T) -> Vec<T> {
        assert_eq!(self.descr, descr);
        self.bytes.chunks_exact(4).map(|four| parse([four[0], four[1], four[2], four[3]])).collect()
    }

    fn longs(&self) -> Vec<u64> {
        assert!(["<u8", "<i8"].contains(&self.descr.as_str()), "{}", self.descr);
        self.bytes.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().expect("eight bytes"))).collect()
    }

    fn texts(&self) -> Vec<String> {
        let width: usize = self.descr.strip_prefix("<U").and_then(|width| width.parse().ok()).expect("texts");
        let text = |bytes: &[u8]| {
            let chars = bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
            chars.take_while(|c| *c != 0).map(|c| char::from_u32(c).expect("a character")).collect()
        };
        self.bytes.chunks_exact(4 * width).map(text).collect()
    }
}

/// Reads `.npz` by the words of NEP 1: magic, version, length of the header, a Python dictionary, items.
fn read_npz(path: &Path) -> BTreeMap<String, Array> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).expect("the export")).expect("a ZIP file");
    let mut arrays = BTreeMap::new();
    for i in 0..zip.len() {
        let mut file = zip.by_index(i).expect("an array");
        let name = file.name().expect("a name").strip_suffix(".npy").expect("an array").to_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("its bytes");
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let items = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert!(items.is_multiple_of(64));
        let header = std::str::from_utf8(&bytes[10..items]).expect("text");
        let between = |start: &str, end: char| {
            let rest = header.split_once(start).expect("a key").1;
            rest.split_once(end).expect("an end").0.to_owned()
        };
        assert!(header.contains("'fortran_order': False") && header.ends_with('\n'));
        let axes = between("'shape': (", ')');
        let shape = axes.split(',').filter_map(|len| len.trim().parse().ok()).collect();
        arrays.insert(name, Array { descr: between("'descr': '", '\''), shape, bytes: bytes.split_off(items) });
    }
    arrays
}

#[test]
fn an_exported_store_holds_the_arrays_of_the_store() {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    folder.ok("data export train.tokens.h5 --npz tokens.npz --values --clips train.h5");
    let arrays = read_npz(&folder.path("tokens.npz"));
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "classes_class",
            "codebook_size",
            "codes",
            "grid",
            "header",
            "labels_class",
            "offset",
            "patch",
            "priorities",
            "quantizer",
            "segment_id",
            "store_id",
            "values",
        ]
    );

    let (tokens, clips) =
        (File::open(folder.path("train.tokens.h5")).unwrap(), File::open(folder.path("train.h5")).unwrap());
    let column = |name: &str| tokens.dataset(name).unwrap();
    let codes = arrays["codes"].numbers("<u4", u32::from_le_bytes);
    assert_eq!(codes, column("codes").read_raw::<u32>().unwrap());
    assert_eq!(arrays["codes"].shape, [2048]);
    assert_eq!(
        arrays["priorities"].numbers("<f4", f32::from_le_bytes),
        column("priorities").read_raw::<f32>().unwrap()
    );
    assert_eq!(arrays["offset"].longs(), column("offset").read_raw::<u64>().unwrap());
    assert_eq!((arrays["grid"].longs(), arrays["patch"].longs()), (vec![4, 4], vec![2, 8, 8]));
    assert_eq!((arrays["codebook_size"].longs(), &arrays["codebook_size"].shape), (vec![262_144], &Vec::new()));
    let ids = clips.dataset("segments/id").unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
    assert_eq!(arrays["segment_id"].texts(), ids.iter().map(|id| id.as_str()).collect::<Vec<_>>());
    let labels = clips.dataset("labels/class").unwrap().read_raw::<i32>().unwrap();
    assert_eq!(arrays["labels_class"].numbers("<i4", i32::from_le_bytes), labels);
    assert_eq!(arrays["classes_class"].texts().len(), 4);
    let quantizer: Value = serde_json::from_str(&arrays["quantizer"].texts()[0]).expect("JSON");
    assert_eq!((&quantizer["kind"], &quantizer["levels"]), (&"fsq".into(), &vec![8; 6].into()));
    let header: Value = serde_json::from_str(&arrays["header"].texts()[0]).expect("JSON");
    assert_eq!((&header["num_frames"], &header["long_videos"]), (&32.into(), &"windows".into()));

    // FSQ with 8 levels: digit d in base 8, lowest first, stands for (d - 4) / 4.
    assert_eq!(arrays["values"].shape, [2048, 6]);
    let value = |(code, i): (u32, u32)| ((code / 8_u32.pow(i)) % 8) as f32 / 4.0 - 1.0;
    let values: Vec<f32> = codes.iter().flat_map(|code| (0..6).map(|i| value((*code, i)))).collect();
    assert_eq!(arrays["values"].numbers("<f4", f32::from_le_bytes), values);
}

#[test]
fn an_export_that_makes_no_sense_is_refused() {
    let folder = folder_with(&["train.h5", "test.h5", "train.tokens.h5"]);
    folder.refused("data export train.h5 --npz out.npz", &["\"train.h5\" is a clip store, but a token store"]);
    folder.refused("data export train.tokens.h5 --to out", &["\"train.tokens.h5\" is a token store, but a clip store"]);
    folder.refused(
        "data export train.tokens.h5 --npz out.npz --clips test.h5",
        &["was not made from \"test.h5\"", "leave it out"],
    );
    folder.write("out.npz", b"");
    folder.refused("data export train.tokens.h5 --npz out.npz", &["\"out.npz\" already exists"]);
    // Every write to /dev/full fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", folder.path("full.npz.tmp")).unwrap();
    let ran = folder.run("data export train.tokens.h5 --npz full.npz");
    assert_eq!(ran.code, Some(1), "{}", ran.tell());
    assert!(ran.stderr.contains("full.npz") && ran.stderr.contains("No space left"), "{}", ran.tell());
    assert!(!folder.path("full.npz").exists());
}

#[test]
fn a_token_store_tells_what_its_tokens_are_like() {
    let folder = folder_with(&["train.tokens.h5"]);
    let text = folder.ok("data info train.tokens.h5");
    assert!(text.contains("quantizer   fsq [8, 8, 8, 8, 8, 8], 262,144 codes"), "{text}");
    let info: Value = serde_json::from_str(&folder.ok("data info train.tokens.h5 --json")).expect("JSON");
    let file = File::open(folder.path("train.tokens.h5")).unwrap();
    let codes = file.dataset("codes").unwrap().read_raw::<u32>().unwrap();
    let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
    codes.iter().for_each(|code| *counts.entry(*code).or_default() += 1.0);
    let entropy: f64 = counts.values().map(|count| count / 2048.0).map(|share| -share * share.ln()).sum();
    let stats = &info["stats"]["codes"];
    assert_eq!((&stats["num_used"], &stats["num_dead"]), (&counts.len().into(), &(262_144 - counts.len()).into()));
    let perplexity = stats["perplexity"].as_f64().expect("a number");
    assert!((perplexity - entropy.exp()).abs() < 1e-6 * perplexity, "{perplexity} instead of {}", entropy.exp());
    let priorities = file.dataset("priorities").unwrap().read_raw::<f32>().unwrap();
    let mean = priorities.iter().map(|priority| f64::from(*priority)).sum::<f64>() / 2048.0;
    let told = info["stats"]["priorities"]["mean"].as_f64().expect("a number");
    assert!((told - mean).abs() < 1e-9 * mean.max(1.0), "{told} instead of {mean}");
}

#[test]
fn encoding_tells_how_fast_it_was() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let said = folder.ok(&format!("{ENCODE} --clips train.h5 --out tokens.h5 --json"));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let number = |key: &str| said[key].as_f64().unwrap_or_else(|| panic!("{key} of {said}"));
    assert_eq!((number("num_frames"), number("num_tokens")), (256.0, 2048.0));
    assert!((number("frames_per_sec") * number("secs") - 256.0).abs() < 1e-3);
    assert!((0.0..=1.0).contains(&number("wait_share")));
    let info: Value = serde_json::from_str(&folder.ok("data info tokens.h5 --json")).expect("JSON");
    assert_eq!(info["id"], said["store_id"]);
}

#[test]
fn any_quantizer_goes_from_training_to_pretraining() {
    let vq = "{kind=\"vq\",codes=16,width=4,decay=0.9,commitment_weight=0.25,dead_below=0.5,gradient=\"rotation\",kmeans_iterations=3}";
    let lfq = "{kind=\"lfq\",bits=5,entropy_weight=0.1,diversity=1.0,inv_temperature=100.0,group_bits=1,commitment_weight=0.25}";
    let residual = format!("{{kind=\"residual\",stages=2,of={vq}}}");
    let folder = folder_with(&["train.h5"]);
    for (name, quantizer, num_codes) in [("vq", vq, 16), ("lfq", lfq, 32), ("residual", residual.as_str(), 256)] {
        let set = format!("--set tokenizer.quantizer={quantizer}");
        folder.ok(&tokenizer_train(&format!("--out {name} --set train.steps=2 {set}")));
        let metrics = String::from_utf8(folder.read(&format!("{name}/metrics.jsonl"))).expect("text");
        let last: Value = serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
        assert!(last["commitment"].as_f64().is_some_and(|loss| loss > 0.0), "{last}");
        let encode =
            format!("tokenizer encode --tokenizer {name}/tokenizer.safetensors --clips train.h5 --out {name}.h5");
        folder.ok(&encode);
        let info: Value = serde_json::from_str(&folder.ok(&format!("data info {name}.h5 --json"))).expect("JSON");
        assert_eq!(info["header"]["codebook_size"], num_codes, "{info}");
        let out = format!("--clips train.h5 --tokens {name}.h5 --out lvmae_{name} --set train.steps=1");
        folder.ok(&pretrain("lvmae", &out));
    }
}
