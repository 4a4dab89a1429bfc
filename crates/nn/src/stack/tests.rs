use serde::Deserialize;
use spec::Preset;
use tch::{Device, Kind, nn};

use super::*;
use crate::additive_mask;

const CFG: StackConfig = StackConfig { width: 12, depth: 5, heads: 3 };

fn tokens(n: i64) -> Tensor {
    tch::manual_seed(5);
    Tensor::randn([2, n, 12], (Kind::Float, Device::Cpu))
}

#[test]
fn a_hidden_key_changes_nothing_bit_for_bit() {
    let vs = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(vs.root(), &CFG, Recompute::None).unwrap();
    // Token i sees tokens 0..=i.
    let mask = additive_mask(&Tensor::ones([6, 6], (Kind::Bool, Device::Cpu)).tril(0)).unwrap();
    let x = tokens(6);
    let changed = x.copy();
    drop(changed.narrow(1, 4, 2).fill_(9.0));
    let run = |x: &Tensor| stack.forward(x.shallow_clone(), Some(&mask)).unwrap();
    let (a, b) = (run(&x), run(&changed));
    assert!(a.narrow(1, 0, 4).equal(&b.narrow(1, 0, 4)));
    assert!(!a.narrow(1, 4, 2).equal(&b.narrow(1, 4, 2)));
}

/// Gradients of every variable by name, then of the input.
fn grads(vs: &nn::VarStore, stack: &Stack, input: &Tensor) -> Vec<Tensor> {
    let x = input.copy().set_requires_grad(true);
    stack.forward(x.shallow_clone(), None).unwrap().square().sum(Kind::Float).f_backward().unwrap();
    let mut named: Vec<_> = vs.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, t)| t.grad()).chain([x.grad()]).collect()
}

#[test]
fn recomputing_blocks_gives_bit_equal_gradients() {
    let build = |recompute| {
        let vs = nn::VarStore::new(Device::Cpu);
        let stack = Stack::new(vs.root(), &CFG, recompute).unwrap();
        (vs, stack)
    };
    let (input, plain) = (tokens(6), build(Recompute::None));
    let want = grads(&plain.0, &plain.1, &input);
    assert_eq!(want.len(), 5 * 12 + 1);
    assert!(want.iter().all(|grad| grad.abs().sum(Kind::Float).double_value(&[]) > 0.0));
    let ways =
        [Recompute::EveryBlock, Recompute::Every(1), Recompute::Every(2), Recompute::Every(3), Recompute::Every(9)];
    for recompute in ways {
        let (mut vs, stack) = build(recompute);
        // Copied, not drawn again: all tests of a process share libtorch's generator, so a seed does not fix what is
        // drawn.
        vs.copy(&plain.0).unwrap();
        let got = grads(&vs, &stack, &input);
        assert!(got.iter().zip(&want).all(|(got, want)| got.equal(want)), "{recompute:?}");
    }
}

#[test]
fn parts_of_less_than_a_block_are_refused() {
    for n in [0, -1] {
        let said = Recompute::Every(n).check().unwrap_err().to_string();
        assert_eq!(said, format!("recompute.every = {n} is impossible: must be at least 1 block"));
        assert!(Stack::new(nn::VarStore::new(Device::Cpu).root(), &CFG, Recompute::Every(n)).is_err());
    }
    Recompute::Every(1000).check().unwrap();
}

#[test]
fn a_preset_names_recomputation_by_a_word_or_a_number_of_blocks() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        recompute: Recompute,
    }
    let read =
        |text: &str| Preset::from_text("preset", text).unwrap().parse::<Section>().map(|section| section.recompute);
    assert_eq!(read("recompute = \"none\"").unwrap(), Recompute::None);
    assert_eq!(read("recompute = \"every_block\"").unwrap(), Recompute::EveryBlock);
    assert_eq!(read("recompute = { every = 3 }").unwrap(), Recompute::Every(3));
    assert!(read("recompute = { each = 3 }").is_err() && read("recompute = 3").is_err());
    let set = Preset::from_text("preset", "recompute = \"none\"").unwrap().set(&["recompute={ every = 2 }".to_owned()]);
    assert_eq!(set.unwrap().parse::<Section>().unwrap().recompute, Recompute::Every(2));
}
