use std::ops::Range;

use tch::{Device, Kind, Tensor};
use torch_ext::Precision;

use crate::{During, NnError};

/// Queries of a span, as far as whole blocks allow. Fewer would skip more of what no query reads, but take smaller products.
const SPAN_QUERIES: i64 = 512;

/// CUDA's kernels read a mask from places that are multiples of so many values.
const ALIGNED_VALUES: i64 = 8;

/// Tokens in blocks of equal size: those of block i ask those of blocks `0..=i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// How many blocks ask, and are read.
    pub count: i64,
    /// Queries of a block.
    pub queries: i64,
    /// Keys of a block.
    pub keys: i64,
}

impl Blocks {
    /// Queries of all blocks.
    pub fn num_queries(self) -> i64 {
        self.count * self.queries
    }

    /// Keys of all blocks.
    pub fn num_keys(self) -> i64 {
        self.count * self.keys
    }

    /// Neighbouring blocks whose queries are answered together. All are full but the first.
    pub(crate) fn spans(self) -> impl Iterator<Item = Range<i64>> {
        self.spans_of(SPAN_QUERIES)
    }

    fn spans_of(self, span_queries: i64) -> impl Iterator<Item = Range<i64>> {
        let full = self.blocks_per_span(span_queries);
        let (count, num) = (self.count, (self.count as u64).div_ceil(full as u64) as i64);
        (0..num).rev().map(move |behind| (count - (behind + 1) * full).max(0)..count - behind * full)
    }

    /// At most `span_queries` queries, at least one block, and where there are several spans an aligned number of keys.
    fn blocks_per_span(self, span_queries: i64) -> i64 {
        let wanted = (span_queries / self.queries).max(1);
        let unit = ALIGNED_VALUES / (1 << self.keys.trailing_zeros()).min(ALIGNED_VALUES);
        let full = (wanted as u64).div_ceil(unit as u64) as i64 * unit;
        full.min(self.count)
    }

    /// Pairs of a query and a key that attention computes.
    pub(crate) fn num_pairs(self) -> i64 {
        self.spans().map(|span| (span.end - span.start) * self.queries * span.end * self.keys).sum()
    }

    /// Values of the mask that [`BlockCausal`] holds.
    pub fn mask_values(self) -> i64 {
        self.blocks_per_span(SPAN_QUERIES) * self.queries * aligned(self.num_keys())
    }
}

/// Who reads whom where tokens stand in [`Blocks`].
///
/// Queries are answered in spans of about 512. A span reads the keys up to its own last block; which of its own blocks one of
/// its queries may read is the same for every span, and all before it are read. So the mask of each span is the right part
/// of the last one's, which alone is held: memory stays linear in the tokens, forward and backward, and most of what no query
/// reads is never computed.
#[derive(Debug)]
pub struct BlockCausal {
    blocks: Blocks,
    /// Blocks of each span.
    spans: Vec<Range<i64>>,
    /// The mask of the last span over all keys, `[S, M]`, 0 or minus infinity; rows begin at aligned places.
    mask_sm: Tensor,
}

/// What the queries of a span read.
pub(crate) struct SpanOf {
    pub(crate) q_bhsd: Tensor,
    pub(crate) k_bhmd: Tensor,
    pub(crate) v_bhmd: Tensor,
    pub(crate) mask_sm: Tensor,
}

impl BlockCausal {
    /// * `blocks` - at least one, of at least one token each
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`], [`NnError::Torch`].
    pub fn new(blocks: Blocks, device: Device) -> Result<Self, NnError> {
        Self::with_spans(blocks, SPAN_QUERIES, device)
    }

    fn with_spans(blocks: Blocks, span_queries: i64, device: Device) -> Result<Self, NnError> {
        let spans: Vec<Range<i64>> = blocks.spans_of(span_queries).collect();
        let number = |blocks: Range<i64>, size: i64| {
            Tensor::f_arange_start(blocks.start, blocks.end, (Kind::Int64, device))
                .and_then(|numbers| numbers.f_repeat_interleave_self_int(size, None, None))
        };
        let mask = || {
            let last = blocks.count - blocks.blocks_per_span(span_queries)..blocks.count;
            let (asking, key) = (number(last, blocks.queries)?, number(0..blocks.count, blocks.keys)?);
            let num_keys = blocks.num_keys();
            let rows = Tensor::f_zeros([asking.size()[0], aligned(num_keys)], (Kind::Float, device))?;
            let mask_sm = rows.f_narrow(1, 0, num_keys)?;
            let hidden = key.f_unsqueeze(0)?.f_gt_tensor(&asking.f_unsqueeze(1)?)?;
            drop(mask_sm.shallow_clone().f_masked_fill_(&hidden, f64::NEG_INFINITY)?);
            Ok(mask_sm)
        };
        Ok(BlockCausal { blocks, spans, mask_sm: mask().during("the attention mask")? })
    }

    /// The blocks.
    pub fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// With the mask in the kind that attention computes in now, to be cast once for all layers: a copy would stay alive for
    /// the backward pass of each. 0 and minus infinity are the same in every kind.
    pub(crate) fn in_precision(&self) -> Self {
        let mask_sm = match torch_ext::precision(self.mask_sm.device()) {
            Precision::F32 => self.mask_sm.shallow_clone(),
            Precision::Bf16 => self.mask_sm.to_kind(Kind::BFloat16),
        };
        BlockCausal { blocks: self.blocks, spans: self.spans.clone(), mask_sm }
    }

    /// Queries, keys and values `[B, H, Q or M, d]` span by span; no value is copied.
    pub(crate) fn split(&self, [q_bhqd, k_bhmd, v_bhmd]: [&Tensor; 3]) -> Vec<SpanOf> {
        let Blocks { queries, keys, .. } = self.blocks;
        let [num_rows, num_keys] = [self.mask_sm.size()[0], self.blocks.num_keys()];
        let lengths: Vec<i64> = self.spans.iter().map(|span| (span.end - span.start) * queries).collect();
        let of_span = |(span, q_bhsd): (&Range<i64>, Tensor)| {
            let (num_asking, num_read) = (q_bhsd.size()[2], span.end * keys);
            let read = |all: &Tensor| all.narrow(2, 0, num_read);
            let rows = self.mask_sm.narrow(0, num_rows - num_asking, num_asking);
            let mask_sm = rows.narrow(1, num_keys - num_read, num_read);
            SpanOf { q_bhsd, k_bhmd: read(k_bhmd), v_bhmd: read(v_bhmd), mask_sm }
        };
        // Split, not narrowed: what comes back is joined, where every cut would bring zeros for all the others.
        self.spans.iter().zip(q_bhqd.split_with_sizes(&lengths, 2)).map(of_span).collect()
    }
}

fn aligned(num_values: i64) -> i64 {
    (num_values as u64).next_multiple_of(ALIGNED_VALUES as u64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: Blocks = Blocks { count: 11, queries: 3, keys: 2 };

    #[test]
    fn spans_are_full_but_the_first_and_hold_every_block_once() {
        // Keys of 2 are aligned in fours of blocks.
        assert_eq!(BLOCKS.spans_of(12).collect::<Vec<_>>(), [0..3, 3..7, 7..11]);
        assert_eq!(BLOCKS.spans_of(13).collect::<Vec<_>>(), [0..3, 3..7, 7..11]);
        assert_eq!(BLOCKS.spans_of(1).collect::<Vec<_>>(), [0..3, 3..7, 7..11]);
        assert_eq!(BLOCKS.spans_of(15).collect::<Vec<_>>(), [0..3, 3..11]);
        assert!(BLOCKS.spans_of(1000).eq(std::iter::once(0..11)));
        // One block is no less than one.
        let large = Blocks { count: 3, queries: 1000, keys: 200 };
        assert_eq!(large.spans().collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
        // ViT-B's encoder over 128 frames: 19 of 98 tokens in each of 127 blocks, aligned in eights of blocks.
        let vit_b = Blocks { count: 127, queries: 19, keys: 19 };
        assert_eq!(vit_b.spans().collect::<Vec<_>>(), [0..31, 31..63, 63..95, 95..127]);
        assert_eq!(vit_b.num_pairs(), 19 * 19 * (31 * 31 + 32 * (63 + 95 + 127)));
        assert_eq!(vit_b.mask_values(), 32 * 19 * 2416);
    }

    #[test]
    fn each_span_sees_its_blocks_and_those_before_from_an_aligned_place() {
        let reach = BlockCausal::with_spans(BLOCKS, 12, Device::Cpu).unwrap();
        let q = Tensor::arange(33, (Kind::Float, Device::Cpu)).view([1, 1, 33, 1]);
        let k = Tensor::arange(22, (Kind::Float, Device::Cpu)).view([1, 1, 22, 1]);
        let mut num_seen = 0;
        for SpanOf { q_bhsd, k_bhmd, v_bhmd, mask_sm } in reach.split([&q, &k, &k]) {
            assert!(k_bhmd.equal(&v_bhmd));
            assert_eq!(mask_sm.size(), [q_bhsd.size()[2], k_bhmd.size()[2]]);
            assert_eq!((mask_sm.data_ptr() as usize / 4 % 8, mask_sm.stride()), (reach.offset() % 8, vec![24, 1]));
            for i in 0..mask_sm.size()[0] {
                let query = q_bhsd.double_value(&[0, 0, i, 0]) as i64;
                let seen: Vec<i64> = (0..mask_sm.size()[1])
                    .filter(|j| mask_sm.double_value(&[i, *j]) == 0.0)
                    .map(|j| k_bhmd.double_value(&[0, 0, j, 0]) as i64)
                    .collect();
                assert_eq!(seen, (0..(query / 3 + 1) * 2).collect::<Vec<i64>>(), "query {query}");
                num_seen += 1;
            }
        }
        assert_eq!(num_seen, 33);
    }

    impl BlockCausal {
        /// Where the allocator put the table, values.
        fn offset(&self) -> usize {
            self.mask_sm.data_ptr() as usize / 4
        }
    }
}
