use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{EncodedSegment, TokenHeader, TokenStore, TokenWriter};
use crate::{Shard, VideoError};

/// What a merge of token stores made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedTokens {
    /// Id of the new store.
    pub store_id: String,
    /// Segments in it.
    pub num_segments: usize,
    /// Tokens in it.
    pub num_tokens: u64,
}

/// Puts the shards of one encoding together, all of them and in any order: the very store that the undivided encoding
/// gives. Every segment's tokens are compared with their checksum on the way. `on_segment` is told how many segments are
/// done, of how many.
///
/// An interrupted merge goes on where it stopped.
///
/// # Errors
/// [`VideoError::CannotMerge`] when stores are no shards, differ in what they were made from, or some are missing;
/// [`VideoError::Damaged`]; [`VideoError::Interrupted`]; what reading and writing a store may meet.
pub fn merge_tokens(
    inputs: &[TokenStore],
    out: &Path,
    on_segment: &mut dyn FnMut(usize, usize),
    interrupt: &AtomicBool,
) -> Result<MergedTokens, VideoError> {
    let inputs = in_order(inputs)?;
    let Some(first) = inputs.first() else {
        return Err(VideoError::Option { option: "stores to merge", value: "0".to_owned(), rule: "at least 1" });
    };
    let header = TokenHeader { shard: Shard::WHOLE, ..first.header().clone() };
    let (mut writer, _) = TokenWriter::begin(out, &header)?;
    let segments = || inputs.iter().flat_map(|store| (0..store.num_segments()).map(move |segment| (*store, segment)));
    let same = |(hash, (store, segment)): &(&String, (&TokenStore, usize))| **hash == store.segment_hashes()[*segment];
    let num_kept = writer.segment_hashes().iter().zip(segments()).take_while(same).count();
    writer.keep(num_kept)?;
    let num_segments = segments().count();
    for (num_done, (store, segment)) in segments().enumerate().skip(num_kept) {
        if interrupt.load(Ordering::Relaxed) {
            return Err(VideoError::Interrupted { num_done });
        }
        copy(store, segment, &mut writer)?;
        on_segment(num_done + 1, num_segments);
    }
    let num_tokens = inputs.iter().map(|store| store.num_tokens()).sum();
    let store_id = writer.finish(first.codebook())?;
    Ok(MergedTokens { store_id, num_segments, num_tokens })
}

impl TokenStore {
    /// Writes the tokens of a segment into another store, after comparing them with their checksum.
    ///
    /// * `segment` - counted here; in `writer` it is the next
    ///
    /// # Errors
    /// [`VideoError::Damaged`], and what reading and writing may meet.
    pub fn copy_segment(&self, segment: usize, writer: &mut TokenWriter, id: String) -> Result<(), VideoError> {
        for tokens in self.pieces(segment)? {
            writer.push(&tokens?)?;
        }
        if writer.pushed_hash() != self.segment_hashes()[segment] {
            return Err(VideoError::Damaged { path: self.path().to_owned(), part: id, again: super::KIND.again });
        }
        writer.commit(EncodedSegment { id, source_hash: self.source_hashes()[segment].clone() })
    }
}

fn copy(store: &TokenStore, segment: usize, writer: &mut TokenWriter) -> Result<(), VideoError> {
    store.copy_segment(segment, writer, store.segment_ids()[segment].clone())
}

/// The shards in their order; they must be all of one encoding.
fn in_order(inputs: &[TokenStore]) -> Result<Vec<&TokenStore>, VideoError> {
    let mut inputs: Vec<&TokenStore> = inputs.iter().collect();
    inputs.sort_by_key(|store| store.header().shard);
    let Some(first) = inputs.first().copied() else { return Ok(inputs) };
    let refuse = |store: &TokenStore, problem| Err(VideoError::CannotMerge { path: store.path().to_owned(), problem });
    let count = first.header().shard.count();
    if count == 1 {
        let problem =
            "its tokens are no shard but a whole; merge clip stores and encode the result with --from".to_owned();
        return refuse(first, problem);
    }
    for store in &inputs {
        let (own, other) = (store.header().fields(), first.header().fields());
        let differs = own.iter().zip(&other).find(|(own, other)| own != other && own.0 != "shard");
        if let Some(((field, own), (_, other))) = differs {
            return refuse(store, format!("it has {field} = {own}, {:?} has {other}", first.path()));
        }
    }
    let have: Vec<Shard> = inputs.iter().map(|store| store.header().shard).collect();
    let alike = have.iter().all(|shard| shard.count() == count);
    match (0..count).find(|index| have.iter().filter(|shard| shard.index() == *index).count() != 1) {
        None if alike => Ok(inputs),
        Some(index) if alike => refuse(first, format!("shard {}/{count} must be there once", index + 1)),
        _ => refuse(first, format!("shards of several divisions: {}", list(&have))),
    }
}

fn list(shards: &[Shard]) -> String {
    shards.iter().map(Shard::to_string).collect::<Vec<_>>().join(", ")
}
