use super::*;

fn parse(json: &str) -> Result<QuantizerConfig, serde_json::Error> {
    serde_json::from_str(json)
}

const VQ: &str = r#"{"kind": "vq", "codes": 512, "width": 8, "decay": 0.99, "commitment_weight": 0.25,
    "dead_below": 1, "gradient": "rotation", "kmeans_iterations": 10}"#;
const LFQ: &str = r#"{"kind": "lfq", "bits": 18, "entropy_weight": 0.1, "diversity": 1, "inv_temperature": 100,
    "group_bits": 1, "commitment_weight": 0.25}"#;

#[test]
fn every_kind_is_written_by_its_name_and_knows_its_size() {
    let sizes = |json: &str| {
        let checked = parse(json).unwrap().check().unwrap();
        (checked.num_channels(), checked.codebook_size(), checked.tables_shape())
    };
    assert_eq!(sizes(r#"{"kind": "fsq", "levels": [8, 5], "bound": "official"}"#), (2, 40, [0, 0, 2]));
    assert_eq!(sizes(LFQ), (18, 1 << 18, [0, 0, 18]));
    assert_eq!(sizes(VQ), (8, 512, [1, 512, 8]));
    let residual = format!(r#"{{"kind": "residual", "stages": 3, "of": {VQ}}}"#);
    assert_eq!(sizes(&residual), (8, 1 << 27, [3, 512, 8]));
    let written = serde_json::to_string(&parse(&residual).unwrap()).unwrap();
    assert_eq!(parse(&written).unwrap(), parse(&residual).unwrap());
}

#[test]
fn a_misspelled_or_missing_key_is_refused() {
    for (json, key) in [
        (VQ.replace("decay", "decoy"), "decoy"),
        (LFQ.replace(r#""bits": 18,"#, ""), "bits"),
        (r#"{"kind": "fsq", "levels": [8], "bound": "official", "bits": 3}"#.to_owned(), "bits"),
        (r#"{"kind": "pq"}"#.to_owned(), "pq"),
    ] {
        assert!(parse(&json).unwrap_err().to_string().contains(key), "{json}");
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for (json, from, to, refused) in [
        (VQ, "0.99", "1.0", "decay"),
        (VQ, "512", "1", "codes"),
        (VQ, r#""width": 8"#, r#""width": 0"#, "width"),
        (VQ, r#""dead_below": 1"#, r#""dead_below": -1"#, "dead_below"),
        (VQ, "10", "0", "kmeans_iterations"),
        (LFQ, "18", "33", "bits"),
        (LFQ, "100", "0", "inv_temperature"),
        (LFQ, r#""group_bits": 1"#, r#""group_bits": 13"#, "group_bits"),
        (LFQ, "0.25", "-0.25", "commitment_weight"),
    ] {
        match parse(&json.replace(from, to)).unwrap().check() {
            Err(VqError::Setting { key, .. }) => assert_eq!(key, refused),
            other => panic!("{refused}: {other:?}"),
        }
    }
}
