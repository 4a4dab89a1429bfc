//! What a run's numbers come from: code, libraries, machine, data.

use std::collections::BTreeMap;

use torch_ext::{Group, memory};
use train::Provenance;
use video::ClipSource;

use crate::session::{Session, cpu_model, num_cores};

/// * `source` - clips, and tokens where they are used
pub(crate) fn provenance(session: &Session, source: &ClipSource, ranks: &Group) -> Provenance {
    let mut data = BTreeMap::from([("clips".to_owned(), source.store.id().to_owned())]);
    // Codes and priorities follow from the clips and the tokenizer.
    data.extend(source.tokens.as_ref().map(|tokens| ("tokenizer".to_owned(), tokens.header().tokenizer_id.clone())));
    Provenance {
        commit: env!("LONGVID_COMMIT").to_owned(),
        libraries: libraries(),
        hardware: hardware(session),
        data,
        ranks: ranks.num_ranks(),
    }
}

fn libraries() -> BTreeMap<String, String> {
    let named = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    BTreeMap::from([
        named("libtorch", &torch_ext::libtorch().version),
        named("hdf5", &video::hdf5_version()),
        named("rustc", env!("LONGVID_RUSTC")),
    ])
}

fn hardware(session: &Session) -> BTreeMap<String, String> {
    let gib = |bytes: i64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut facts = BTreeMap::from([
        ("device".to_owned(), session.device_name()),
        ("processor".to_owned(), cpu_model()),
        ("cores".to_owned(), num_cores().to_string()),
        ("threads".to_owned(), tch::get_num_threads().to_string()),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, kernel.trim())),
    ]);
    facts.extend(memory::machine_bytes().map(|bytes| ("memory".to_owned(), gib(bytes))));
    facts
}
