//! Quantizers as token stores hold them: settings as JSON, learned codebooks as a table. The only place that knows both.

use tch::{Device, Tensor};
use vector_quantize::{CheckedQuantizer, Quantizer, QuantizerConfig};
use video::{Codebook, TokenHeader, TokenStore};

use crate::exit::BadInput;

/// The settings of a quantizer, as [`TokenHeader::quantizer`] has them.
pub(crate) fn to_json(config: &QuantizerConfig) -> anyhow::Result<String> {
    Ok(serde_json::to_string(config)?)
}

/// What codes need beside the settings; `None` where nothing is learned.
pub(crate) fn codebook(quantizer: &Quantizer) -> anyhow::Result<Option<Codebook>> {
    let tables = quantizer.codebook_tables()?.to_device(Device::Cpu);
    let size: Vec<usize> = tables.size().into_iter().map(|len| len as usize).collect();
    match size[..] {
        [0, ..] => Ok(None),
        [s, k, d] => Ok(Some(Codebook { shape_skd: [s, k, d], values: Vec::<f32>::try_from(tables.flatten(0, -1))? })),
        _ => anyhow::bail!("codebook tables have shape {size:?}"),
    }
}

/// The quantizer that made the codes of a store.
///
/// # Errors
/// [`BadInput`] for settings that this program does not know, or that do not fit the store's codebook.
pub(crate) fn of_tokens(tokens: &TokenStore, device: Device) -> anyhow::Result<Quantizer> {
    let checked = check(tokens.header())?;
    let tables = match tokens.codebook() {
        Some(Codebook { shape_skd: [s, k, d], values }) => {
            Tensor::from_slice(values).view([*s as i64, *k as i64, *d as i64])
        }
        None => Tensor::zeros([0, 0, checked.num_channels()], (tch::Kind::Float, Device::Cpu)),
    };
    let misfit = |err| refuse(format!("its codebook does not fit its quantizer ({err})"));
    Quantizer::frozen(&checked, &tables.to_device(device)).map_err(misfit)
}

/// Kind, settings that shape the codes, and number of codes: `fsq [8, 8, 8, 8, 8, 8], 262,144 codes`.
pub(crate) fn in_words(header: &TokenHeader) -> anyhow::Result<String> {
    let checked = check(header)?;
    Ok(format!("{}, {} codes", kind(checked.config()), grouped(header.codebook_size)))
}

fn kind(config: &QuantizerConfig) -> String {
    match config {
        QuantizerConfig::Fsq { levels, .. } => format!("fsq {levels:?}"),
        QuantizerConfig::Lfq(lfq) => format!("lfq of {} bits", lfq.bits),
        QuantizerConfig::Vq(vq) => format!("learned codebook of {} values per code", vq.width),
        QuantizerConfig::Residual { stages, of } => format!("residual of {stages} stages, each {}", kind(of)),
    }
}

fn check(header: &TokenHeader) -> anyhow::Result<CheckedQuantizer> {
    let config: QuantizerConfig = serde_json::from_str(&header.quantizer)
        .map_err(|err| refuse(format!("its quantizer is not known here ({err})")))?;
    let checked = config.check().map_err(|err| refuse(format!("its quantizer is impossible ({err})")))?;
    if u64::try_from(checked.codebook_size()) != Ok(header.codebook_size) {
        let (own, stored) = (checked.codebook_size(), header.codebook_size);
        return Err(refuse(format!("its quantizer has {own} codes, its codebook_size is {stored}")));
    }
    Ok(checked)
}

fn refuse(problem: String) -> anyhow::Error {
    BadInput(format!("the token store cannot be used: {problem}; encode the clip store again")).into()
}

/// A count with commas between thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let comma = |(i, digit): (usize, char)| {
        let comma = (i > 0 && (digits.len() - i).is_multiple_of(3)).then_some(',');
        comma.into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use video::{EncodedCrop, EncodedLayout, EncodedSegment, LongVideos, TokenWriter, Tokens};

    use super::*;

    /// Codes made by a quantizer, stored, and turned into values by the one that the store tells of.
    #[track_caller]
    fn check_store(config: &str, words: &str) {
        let config: QuantizerConfig = serde_json::from_str(config).unwrap();
        let checked = config.check().unwrap();
        tch::manual_seed(3);
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).unwrap();
        let z = Tensor::randn([64, checked.num_channels()], (tch::Kind::Float, Device::Cpu));
        quantizer.start(&z).unwrap();
        let quantized = quantizer.quantize(&z).unwrap();
        let codes: Vec<i64> = Vec::try_from(&quantized.codes).unwrap();

        let header = TokenHeader {
            tokenizer_id: "t".to_owned(),
            tokenizer_toml: String::new(),
            clip_store_id: "c".to_owned(),
            shard: video::Shard::WHOLE,
            patch: [2, 8, 8],
            quantizer: to_json(&config).unwrap(),
            codebook_size: checked.codebook_size() as u64,
            size_px: 32,
            crop: EncodedCrop::CentreSquare,
            sampling: spec::Sampling::Segment,
            num_frames: 16,
            short: spec::Short::Hold,
            time_layout: EncodedLayout::Pairs,
            long_videos: LongVideos::Windows,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.h5");
        let (mut writer, _) = TokenWriter::begin(&path, &header).unwrap();
        let stored: Vec<u32> = codes.iter().map(|code| *code as u32).collect();
        writer.push(&Tokens { priorities: vec![0.0; stored.len()], codes: stored }).unwrap();
        writer.commit(EncodedSegment { id: "s".to_owned(), source_hash: "h".to_owned() }).unwrap();
        writer.finish(codebook(&quantizer).unwrap().as_ref()).unwrap();

        let tokens = TokenStore::open(&path).unwrap();
        let back = of_tokens(&tokens, Device::Cpu).unwrap();
        let read: Vec<i64> = tokens.read(0, 0, 4).unwrap().codes.into_iter().map(i64::from).collect();
        assert_eq!(back.values_from_codes(&Tensor::from_slice(&read)).unwrap(), quantized.values.detach());
        assert_eq!(in_words(&header).unwrap(), words);
    }

    #[test]
    fn codes_of_every_quantizer_become_the_values_that_they_were_made_from() {
        check_store(r#"{"kind":"fsq","levels":[8,5,5],"bound":"official"}"#, "fsq [8, 5, 5], 200 codes");
        check_store(
            r#"{"kind":"lfq","bits":10,"entropy_weight":0.1,"diversity":1.0,"inv_temperature":100.0,"group_bits":1,
                "commitment_weight":0.25}"#,
            "lfq of 10 bits, 1,024 codes",
        );
        let vq = r#"{"kind":"vq","codes":16,"width":4,"decay":0.9,"commitment_weight":1.0,"dead_below":0.0,
                     "gradient":"straight_through","kmeans_iterations":3}"#;
        check_store(vq, "learned codebook of 4 values per code, 16 codes");
        check_store(
            &format!(r#"{{"kind":"residual","stages":3,"of":{vq}}}"#),
            "residual of 3 stages, each learned codebook of 4 values per code, 4,096 codes",
        );
    }

    #[test]
    fn long_counts_are_told_in_thousands() {
        let counts = [0, 12, 999, 1000, 262_144, 1_234_567_890];
        assert_eq!(counts.map(grouped), ["0", "12", "999", "1,000", "262,144", "1,234,567,890"]);
    }
}
