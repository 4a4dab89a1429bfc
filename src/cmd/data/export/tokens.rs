//! A token store as one file that numpy reads.

use std::path::Path;

use tch::{Device, Tensor};
use vector_quantize::Quantizer;
use video::{ClipStore, Codebook, LabelSpace, TokenStore};

use crate::cli::ExportArgs;
use crate::exit::{BadInput, Interrupted};
use crate::npz::NpzWriter;
use crate::progress::Progress;
use crate::quantizer;
use crate::session::Session;

/// Tokens whose values are computed at once.
const VALUES_AT_ONCE: usize = 1 << 16;

pub(super) fn export(args: &ExportArgs, path: &Path, session: &Session) -> anyhow::Result<()> {
    let store = TokenStore::open(&args.store)?;
    let clips = args.clips.as_deref().map(ClipStore::open).transpose()?;
    let labels = clips.as_ref().map(|clips| labels(&store, clips)).transpose()?;
    let quantizer = if args.values { Some(quantizer::of_tokens(&store, Device::Cpu)?) } else { None };
    let num_passes = if args.values { 3 } else { 2 };
    let (npz, progress) = (NpzWriter::create(path)?, Progress::new("export", num_passes * store.num_segments() as u64));
    let mut export = Export { store: &store, npz, progress, session, num_done: 0 };
    export.tables()?;
    export.labels(labels.unwrap_or_default())?;
    export.tokens(quantizer.as_ref())?;
    export.npz.finish()?;
    export.progress.finish(&format!("{} tokens in {path:?}", store.num_tokens()));
    Ok(())
}

/// A label space and the label of each segment of the token store.
type Labels<'a> = Vec<(&'a LabelSpace, Vec<i32>)>;

fn labels<'a>(store: &TokenStore, clips: &'a ClipStore) -> anyhow::Result<Labels<'a>> {
    let range = store.header().shard.range(clips.segments().len());
    if store.header().clip_store_id != clips.id() || range.len() != store.num_segments() {
        let (tokens, path) = (store.path(), clips.path());
        let text =
            format!("{tokens:?} was not made from {path:?}: give --clips the store that was encoded, or leave it out");
        return Err(BadInput(text).into());
    }
    let segments = &clips.segments()[range];
    let of_space = |i: usize| segments.iter().map(|segment| segment.labels[i]).collect();
    Ok(clips.label_spaces().iter().enumerate().map(|(i, space)| (space, of_space(i))).collect())
}

struct Export<'a> {
    store: &'a TokenStore,
    npz: NpzWriter,
    progress: Progress,
    session: &'a Session,
    num_done: u64,
}

impl Export<'_> {
    /// Everything that is not counted in tokens.
    fn tables(&mut self) -> anyhow::Result<()> {
        let Export { store, npz, .. } = self;
        let header = store.header();
        npz.text("header", &serde_json::to_string(header)?)?;
        npz.text("store_id", store.id())?;
        npz.text("quantizer", &header.quantizer)?;
        npz.array("codebook_size", &[], &[header.codebook_size])?;
        if let Some(Codebook { shape_skd, values }) = store.codebook() {
            npz.array("codebook", shape_skd, values)?;
        }
        npz.array("patch", &[3], &header.patch)?;
        npz.array("grid", &[2], &header.grid().map(|len| len as i64))?;
        npz.array("offset", &[store.num_segments() + 1], store.offset())?;
        npz.texts("segment_id", store.segment_ids().iter().map(String::as_str))
    }

    fn labels(&mut self, labels: Labels<'_>) -> anyhow::Result<()> {
        for (LabelSpace { name, classes }, labels) in labels {
            self.npz.array(&format!("labels_{name}"), &[labels.len()], &labels)?;
            self.npz.texts(&format!("classes_{name}"), classes.iter().map(String::as_str))?;
        }
        Ok(())
    }

    /// The store is read once for each array: a ZIP file takes one after the other.
    fn tokens(&mut self, quantizer: Option<&Quantizer>) -> anyhow::Result<()> {
        let num_tokens = self.store.num_tokens() as usize;
        self.npz.begin::<u32>("codes", &[num_tokens])?;
        self.each_piece(|npz, tokens| npz.write(&tokens.codes))?;
        self.npz.begin::<f32>("priorities", &[num_tokens])?;
        self.each_piece(|npz, tokens| npz.write(&tokens.priorities))?;
        let Some(quantizer) = quantizer else { return Ok(()) };
        self.npz.begin::<f32>("values", &[num_tokens, quantizer.num_channels() as usize])?;
        self.each_piece(|npz, tokens| {
            tokens.codes.chunks(VALUES_AT_ONCE).try_for_each(|codes| {
                let codes: Vec<i64> = codes.iter().map(|code| i64::from(*code)).collect();
                let values = quantizer.values_from_codes(&Tensor::from_slice(&codes))?;
                npz.write(&Vec::<f32>::try_from(values.flatten(0, -1))?)
            })
        })
    }

    fn each_piece(
        &mut self,
        mut write: impl FnMut(&mut NpzWriter, video::Tokens) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for segment in 0..self.store.num_segments() {
            if self.session.interrupted() {
                return Err(Interrupted("the export is not complete: run it again".to_owned()).into());
            }
            for tokens in self.store.pieces(segment)? {
                write(&mut self.npz, tokens?)?;
            }
            self.num_done += 1;
            self.progress.set(self.num_done, &self.store.segment_ids()[segment]);
        }
        Ok(())
    }
}
