use serde::Deserialize;
use spec::Preset;
use tch::{Device, Kind, nn};

use super::*;
use crate::Blocks;

const CFG: StackConfig = StackConfig { width: 12, depth: 5, heads: 3 };

fn tokens(n: i64) -> Tensor {
    tch::manual_seed(5);
    Tensor::randn([2, n, 12], (Kind::Float, Device::Cpu))
}

#[test]
fn a_hidden_key_changes_nothing_bit_for_bit() {
    let vs = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(vs.root(), &CFG, Recompute::None, 0.0).unwrap();
    // Token i sees tokens 0..=i.
    let reach = BlockCausal::new(Blocks { count: 6, queries: 1, keys: 1 }, Device::Cpu).unwrap();
    let x = tokens(6);
    let changed = x.copy();
    drop(changed.narrow(1, 4, 2).fill_(9.0));
    let run = |x: &Tensor| stack.forward(x.shallow_clone(), Some(&reach), Mode::Train).unwrap();
    let (a, b) = (run(&x), run(&changed));
    assert!(a.narrow(1, 0, 4).equal(&b.narrow(1, 0, 4)));
    assert!(!a.narrow(1, 4, 2).equal(&b.narrow(1, 4, 2)));
}

/// Gradients of every variable by name, then of the input.
fn grads(vs: &nn::VarStore, stack: &Stack, input: &Tensor) -> Vec<Tensor> {
    let x = input.copy().set_requires_grad(true);
    stack.forward(x.shallow_clone(), None, Mode::Train).unwrap().square().sum(Kind::Float).f_backward().unwrap();
    let mut named: Vec<_> = vs.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, t)| t.grad()).chain([x.grad()]).collect()
}

#[test]
fn recomputing_blocks_gives_bit_equal_gradients() {
    let build = |recompute| {
        let vs = nn::VarStore::new(Device::Cpu);
        let stack = Stack::new(vs.root(), &CFG, recompute, 0.0).unwrap();
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
        assert!(Stack::new(nn::VarStore::new(Device::Cpu).root(), &CFG, Recompute::Every(n), 0.0).is_err());
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

/// Two stacks with the same weights and other rates of drop path.
fn twins(rates: [f64; 2]) -> [(nn::VarStore, Stack); 2] {
    let mut twins = rates.map(|rate| {
        let vs = nn::VarStore::new(Device::Cpu);
        let stack = Stack::new(vs.root(), &CFG, Recompute::None, rate).unwrap();
        (vs, stack)
    });
    let [first, second] = &mut twins;
    second.0.copy(&first.0).unwrap();
    twins
}

#[test]
fn without_a_rate_training_is_evaluation_and_with_one_evaluation_is_without() {
    let [(_, plain), (_, dropping)] = twins([0.0, 0.9]);
    let x = tokens(6);
    let run = |stack: &Stack, mode| stack.forward(x.shallow_clone(), None, mode).unwrap();
    let want = plain.blocks.iter().fold(x.shallow_clone(), |x, (block, _)| block.forward(&x, None, DropPath::OFF));
    assert!(run(&plain, Mode::Train).equal(&want) && run(&plain, Mode::Eval).equal(&want));
    assert!(run(&dropping, Mode::Eval).equal(&want));
    // Whatever is drawn: what is not dropped is scaled.
    assert!(!run(&dropping, Mode::Train).equal(&want));
}

#[test]
fn a_block_that_is_dropped_for_all_samples_gives_and_learns_nothing() {
    let (vs, x) = (nn::VarStore::new(Device::Cpu), tokens(6));
    // Kept with a probability of 1e-12.
    let stack = Stack::new(vs.root(), &CFG, Recompute::None, 1.0 - 1e-12).unwrap();
    let (last, drop) = &stack.blocks[4];
    assert!(last.forward(&x, None, *drop).equal(&x));
    let got = grads(&vs, &stack, &x);
    let mut names: Vec<_> = vs.variables().into_keys().collect();
    names.sort();
    for (name, grad) in names.iter().zip(&got) {
        let sum = grad.abs().sum(Kind::Float).double_value(&[]);
        // Those between are dropped by chance.
        match &name[..2] {
            "0." => assert!(sum > 0.0, "{name}"),
            "4." => assert_eq!(sum, 0.0, "{name}"),
            _ => {}
        }
    }
}
