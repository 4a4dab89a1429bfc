use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::loss::adversarial::tests::gan;

fn floats(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.to_kind(Kind::Double).reshape([-1])).unwrap()
}

#[test]
fn its_layers_are_magvits() {
    let vs = VarStore::new(Device::Cpu);
    let config = GanConfig { base_channels: 4, channel_mult: vec![2, 3], ..gan() };
    let discriminator = Discriminator::new(&vs.root(), &config, 12).unwrap();
    let shapes: std::collections::BTreeMap<String, Vec<i64>> =
        vs.variables().into_iter().filter(|(name, _)| name.ends_with("weight")).map(|(n, w)| (n, w.size())).collect();
    // 16 x 12 x 12 places become 8 x 6 x 6 and 4 x 3 x 3.
    let want: [(&str, [i64; 5]); 10] = [
        ("blocks.0.coarse.weight", [8, 4, 3, 3, 3]),
        ("blocks.0.fine.weight", [4, 4, 3, 3, 3]),
        ("blocks.0.skip.weight", [8, 4, 1, 1, 1]),
        ("blocks.1.coarse.weight", [12, 8, 3, 3, 3]),
        ("blocks.1.fine.weight", [8, 8, 3, 3, 3]),
        ("blocks.1.skip.weight", [12, 8, 1, 1, 1]),
        ("dense.weight", [12, 12 * 36, 1, 1, 1]),
        ("head.weight", [1, 12, 1, 1, 1]),
        ("stem.weight", [4, 3, 3, 3, 3]),
        ("tail.weight", [12, 12, 3, 3, 3]),
    ];
    assert_eq!(shapes, want.into_iter().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect());
    assert!(!vs.variables().contains_key("blocks.0.skip.bias"));
    let clip = Tensor::rand([2, 16, 12, 12, 3], (Kind::Float, Device::Cpu));
    assert_eq!(discriminator.logits(&clip).unwrap().size(), [2]);
}

#[test]
fn no_clip_hears_of_another() {
    let vs = VarStore::new(Device::Cpu);
    let discriminator = Discriminator::new(&vs.root(), &gan(), 16).unwrap();
    let clips = Tensor::rand([3, 16, 16, 16, 3], (Kind::Float, Device::Cpu)) * 2 - 1;
    let together = floats(&discriminator.logits(&clips).unwrap());
    for (i, together) in together.iter().enumerate() {
        let alone = discriminator.logits(&clips.narrow(0, i as i64, 1)).unwrap().double_value(&[0]);
        assert!((alone - together).abs() < 1e-4 * together.abs().max(0.1), "{alone} is not {together}");
    }
}

#[test]
fn halving_by_the_mean_and_by_the_blur_worked_by_hand() {
    let row = |values: &[f32]| Tensor::from_slice(values).view([1, 1, 1, 1, -1]);
    let by = |by, values: &[f32]| floats(&halved(&row(values), by).unwrap());
    assert_eq!(by(Downsample::Average, &[1.0, 3.0, 8.0, 0.0]), [2.0, 4.0]);
    // What is left over at an odd end is its own mean.
    assert_eq!(by(Downsample::Average, &[1.0, 3.0, 8.0]), [2.0, 8.0]);
    assert_eq!(by(Downsample::Average, &[7.0]), [7.0]);
    // (1 + 3 1 + 3 3 + 8) / 8 and (3 + 3 8 + 3 0 + 0) / 8, the ends repeated.
    assert_eq!(by(Downsample::Blur, &[1.0, 3.0, 8.0, 0.0]), [21.0 / 8.0, 27.0 / 8.0]);
    assert_eq!(by(Downsample::Blur, &[7.0]), [7.0]);
    let flat = Tensor::full([2, 3, 4, 6, 1], 0.5, (Kind::Float, Device::Cpu));
    assert_eq!(floats(&halved(&flat, Downsample::Blur).unwrap()), [0.5; 2 * 3 * 2 * 3]);
}
