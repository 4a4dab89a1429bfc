use std::cell::Cell;

use tch::{Kind, Tensor};

/// How blocks mix tokens. No setting: everything trains and evaluates with [`Attention::Fused`]. The other is what published
/// codes of this family do, for `longvid bench` to measure beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// libtorch's fused kernel: memory linear in the tokens.
    Fused,
    /// Logits and weights of all pairs of tokens as tensors, `[B, H, Q, M]` each, as VideoMAE's code has them: quadratic.
    Eager,
}

thread_local! {
    static NOW: Cell<Attention> = const { Cell::new(Attention::Fused) };
}

impl Attention {
    /// Runs `run` with blocks of this thread mixing tokens in this way. Blocks that are recomputed mix them as holds when
    /// they run again, so that the backward pass belongs inside.
    pub fn within<T>(self, run: impl FnOnce() -> T) -> T {
        let _back = Back(NOW.replace(self));
        run()
    }

    pub(crate) fn now() -> Self {
        NOW.get()
    }
}

/// Puts back what held before, on unwinding too.
struct Back(Attention);

impl Drop for Back {
    fn drop(&mut self) {
        NOW.set(self.0);
    }
}

/// `softmax(q k' / sqrt(d) + mask) v` product by product: `[B, H, Q, d]` with `[B, H, M, d]` twice gives `[B, H, Q, d]`.
pub(crate) fn eager(q_bhqd: &Tensor, k_bhmd: &Tensor, v_bhmd: &Tensor, mask_qm: Option<&Tensor>) -> Tensor {
    let scale = (*q_bhqd.size().last().expect("queries have four axes") as f64).powf(-0.5);
    let mut logits = (q_bhqd * scale).matmul(&k_bhmd.transpose(-2, -1));
    if let Some(mask_qm) = mask_qm {
        logits += mask_qm;
    }
    logits.softmax(-1, None::<Kind>).matmul(v_bhmd)
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::{Block, BlockCausal, Blocks, DropPath, StackConfig};

    #[test]
    fn eager_attention_says_what_fused_says_and_ends_with_its_scope() {
        tch::manual_seed(2);
        let vs = VarStore::new(Device::Cpu);
        let block = Block::new(vs.root(), &StackConfig { width: 12, depth: 1, heads: 3 });
        let x_bnd = Tensor::randn([2, 7, 12], (Kind::Float, Device::Cpu));
        let reach = BlockCausal::new(Blocks { count: 7, queries: 1, keys: 1 }, Device::Cpu).unwrap();
        for reach in [None, Some(&reach)] {
            let forward = || block.forward(&x_bnd, reach, DropPath::OFF);
            let worst = (forward() - Attention::Eager.within(forward)).abs().max().double_value(&[]);
            assert!(worst < 1e-5, "{worst:e}");
        }
        let panics = || Attention::Eager.within(|| panic!("inside"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(Attention::now(), Attention::Fused);
    }

    #[test]
    fn who_reads_one_key_gets_its_value() {
        let x = Tensor::randn([1, 2, 5, 4], (Kind::Float, Device::Cpu));
        let one_key = x.narrow(2, 3, 1);
        let mixed = eager(&x, &one_key, &one_key, None);
        assert!(mixed.allclose(&one_key.expand([1, 2, 5, 4], false), 1e-6, 1e-6, false));
    }
}
