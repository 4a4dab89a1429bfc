use tch::Device;

use super::*;
use crate::golden::draws;
use crate::{Bound, Gradient, LfqConfig, VqConfig};

/// One of each, and residuals of each.
fn every_kind() -> Vec<CheckedQuantizer> {
    let lfq = LfqConfig {
        bits: 4,
        entropy_weight: 0.1,
        diversity: 1.0,
        inv_temperature: 1.0,
        group_bits: 2,
        commitment_weight: 0.25,
    };
    let vq = VqConfig {
        codes: 20,
        width: 4,
        decay: 0.9,
        commitment_weight: 0.25,
        dead_below: 0.1,
        gradient: Gradient::Rotation,
        kmeans_iterations: 3,
    };
    let fsq = |bound| QuantizerConfig::Fsq { levels: vec![8, 5, 4, 3], bound };
    let alone = [fsq(Bound::Official), fsq(Bound::Symmetric), QuantizerConfig::Lfq(lfq), QuantizerConfig::Vq(vq)];
    let residuals = alone[1..].iter().map(|of| QuantizerConfig::Residual { stages: 3, of: Box::new(of.clone()) });
    alone.iter().cloned().chain(residuals).map(|config| config.check().unwrap()).collect()
}

/// A quantizer of each kind that has learned from `z` once, if it learns.
fn trained(checked: &CheckedQuantizer, z: &Tensor) -> Quantizer {
    let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), checked).unwrap();
    quantizer.start(z).unwrap();
    let codes = quantizer.quantize(z).unwrap().codes;
    if let Some(statistics) = quantizer.statistics(z, &codes, Share::WHOLE).unwrap() {
        quantizer.update(&statistics).unwrap();
    }
    quantizer
}

fn batch() -> Tensor {
    draws(1, 140, 4).view([2, 70, 4])
}

#[test]
fn values_come_back_from_codes_bit_for_bit_also_when_frozen() {
    let z = batch();
    for checked in every_kind() {
        let quantizer = trained(&checked, &z);
        let quantized = quantizer.quantize(&z).unwrap();
        assert_eq!(quantizer.values_from_codes(&quantized.codes).unwrap(), quantized.values, "{checked:?}");
        let tables = quantizer.codebook_tables().unwrap();
        assert_eq!(tables.size(), checked.tables_shape());
        let frozen = Quantizer::frozen(&checked, &tables).unwrap();
        assert!(frozen.is_started().unwrap());
        assert_eq!(frozen.values_from_codes(&quantized.codes).unwrap(), quantized.values, "{checked:?}");
        assert_eq!(frozen.quantize(&z).unwrap().codes, quantized.codes, "{checked:?}");
    }
}

#[test]
fn tables_do_not_change_with_later_updates_and_others_are_refused() {
    let z = batch();
    let checked = &every_kind()[3];
    let quantizer = trained(checked, &z);
    let tables = quantizer.codebook_tables().unwrap();
    let before = tables.copy();
    let statistics = quantizer.statistics(&z, &Tensor::zeros([2, 70], (Kind::Int64, Device::Cpu)), Share::WHOLE);
    quantizer.update(&statistics.unwrap().unwrap()).unwrap();
    assert_eq!(tables, before);
    assert_ne!(quantizer.codebook_tables().unwrap(), before);
    let refused = Quantizer::frozen(checked, &tables.narrow(1, 0, 5));
    assert!(matches!(refused, Err(VqError::Tables { want: [1, 20, 4], .. })));
}

#[test]
fn half_precision_is_quantized_in_f32_and_gets_its_gradient_back_in_half() {
    let half = batch().to_kind(Kind::BFloat16);
    for checked in every_kind() {
        let quantizer = trained(&checked, &half);
        let leaf = half.copy().set_requires_grad(true);
        let quantized = quantizer.quantize(&leaf).unwrap();
        assert_eq!(quantized.values.kind(), Kind::Float);
        assert_eq!(quantized.codes, quantizer.quantize(&half.to_kind(Kind::Float)).unwrap().codes, "{checked:?}");
        let loss = quantized.loss.unwrap_or_else(|| Tensor::from(0.0f32));
        (loss + quantized.values.sum(Kind::Float)).f_backward().unwrap();
        assert_eq!(leaf.grad().kind(), Kind::BFloat16);
        assert!(leaf.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0, "{checked:?}");
    }
}

#[test]
fn an_empty_batch_has_no_codes_and_a_loss_of_0() {
    let empty = Tensor::zeros([0, 5, 4], (Kind::Float, Device::Cpu));
    for checked in every_kind() {
        let quantizer = trained(&checked, &batch());
        let quantized = quantizer.quantize(&empty).unwrap();
        assert_eq!((quantized.values.size(), quantized.codes.size()), (vec![0, 5, 4], vec![0, 5]));
        assert_eq!(quantizer.values_from_codes(&quantized.codes).unwrap().size(), [0, 5, 4]);
        assert!(quantized.loss.is_none_or(|loss| loss.double_value(&[]) == 0.0), "{checked:?}");
        let counts = quantizer.statistics(&empty, &quantized.codes, Share::WHOLE).unwrap();
        let counted = |statistics: Statistics| statistics.counts()[0].sum(Kind::Float).double_value(&[]);
        assert_eq!(counts.map_or(0.0, counted), 0.0);
    }
}

#[test]
fn a_wrong_width_and_foreign_codes_are_refused() {
    for checked in every_kind() {
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).unwrap();
        assert!(matches!(quantizer.quantize(&batch().narrow(2, 0, 3)), Err(VqError::Width { want: 4, .. })));
        let foreign = Tensor::from(checked.codebook_size());
        assert!(matches!(quantizer.values_from_codes(&foreign), Err(VqError::CodeRange { .. })));
        assert!(matches!(quantizer.values_from_codes(&batch()), Err(VqError::CodeKind { .. })));
    }
}

#[test]
fn codes_of_levels_are_taken_apart_and_others_refused() {
    let of = |config: &str| {
        let config: QuantizerConfig = serde_json::from_str(config).unwrap();
        Quantizer::new(&VarStore::new(Device::Cpu).root(), &config.check().unwrap()).unwrap()
    };
    let fsq = of(r#"{"kind":"fsq","levels":[3,5,2],"bound":"official"}"#);
    assert_eq!(fsq.levels(), Some(vec![3, 5, 2]));
    // The first channel is the fastest: 1 + 3 * 4 + 15 * 1 = 28, 2 + 3 * 0 + 15 * 0 = 2.
    let levels = fsq.levels_from_codes(&Tensor::from_slice(&[28i64, 2])).unwrap();
    assert_eq!(levels, Tensor::from_slice2(&[[1i64, 4, 1], [2, 0, 0]]));
    assert!(matches!(fsq.levels_from_codes(&Tensor::from(30i64)), Err(VqError::CodeRange { code: 30, .. })));

    let lfq =
        of(r#"{"kind":"lfq","bits":4,"entropy_weight":0.1,"diversity":1.0,"inv_temperature":100.0,"group_bits":1,
                     "commitment_weight":0.25}"#);
    assert_eq!(lfq.levels(), Some(vec![2; 4]));
    assert_eq!(lfq.levels_from_codes(&Tensor::from(6i64)).unwrap(), Tensor::from_slice(&[0i64, 1, 1, 0]));

    for checked in every_kind() {
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).unwrap();
        if matches!(quantizer, Quantizer::Vq(_) | Quantizer::Residual(_)) {
            assert_eq!(quantizer.levels(), None);
            assert!(matches!(quantizer.levels_from_codes(&Tensor::from(0i64)), Err(VqError::NoLevelsOfCodes)));
        }
    }
}
