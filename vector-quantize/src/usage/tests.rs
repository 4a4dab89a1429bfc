use super::*;

fn measured(codes: &[i64], codebook_size: i64) -> (f64, f64) {
    let usage = usage(&Tensor::from_slice(codes), codebook_size).unwrap();
    (usage.used_share.double_value(&[]), usage.perplexity.double_value(&[]))
}

#[track_caller]
fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-5, "{got} is not {want}");
}

#[test]
fn five_codes_used_evenly_have_perplexity_5() {
    let (share, perplexity) = measured(&[3, 1, 4, 9, 7, 7, 9, 4, 1, 3], 20);
    assert_near(share, 0.25);
    assert_near(perplexity, 5.0);
}

#[test]
fn uneven_use_lowers_the_perplexity() {
    // p = (1/2, 1/4, 1/4): entropy = 1/2 ln 2 + 2 * 1/4 ln 4 = 1.5 ln 2, perplexity = 2^1.5.
    assert_near(measured(&[0, 0, 1, 2], 3).1, 2.0_f64.powf(1.5));
    assert_near(measured(&[6, 6, 6], 8).1, 1.0);
}

#[test]
fn counts_of_two_batches_add_up_to_those_of_both() {
    let batches = [[0i64, 1, 1, 5], [5, 5, 2, 0]].map(|codes| Tensor::from_slice(&codes));
    let sum = counts(&batches[0], 8).unwrap() + counts(&batches[1], 8).unwrap();
    assert_eq!(Vec::<i64>::try_from(&sum).unwrap(), [2, 2, 1, 0, 0, 3, 0, 0]);
    let (of_sum, of_both) = (usage_of_counts(&sum).unwrap(), usage(&Tensor::cat(&batches, 0), 8).unwrap());
    assert_near(of_sum.perplexity.double_value(&[]), of_both.perplexity.double_value(&[]));
    assert_near(of_sum.used_share.double_value(&[]), 0.5);
    assert_eq!((of_sum.dead_codes.int64_value(&[]), of_both.dead_codes.int64_value(&[])), (4, 4));
}

#[test]
fn counts_of_a_huge_codebook_and_foreign_counts_are_refused() {
    let codes = Tensor::from_slice(&[0i64]);
    assert!(matches!(counts(&codes, 1 << 25), Err(VqError::TooManyToCount { .. })));
    let floats = Tensor::from_slice(&[1.0f32]);
    assert!(matches!(usage_of_counts(&floats), Err(VqError::Counts { got: Kind::Float, .. })));
    assert!(matches!(usage_of_counts(&Tensor::from(3i64)), Err(VqError::Counts { .. })));
}

#[test]
fn an_empty_batch_uses_nothing() {
    assert_eq!(measured(&[], 8), (0.0, 1.0));
}

#[test]
fn a_code_outside_the_codebook_is_refused() {
    let refused = usage(&Tensor::from_slice(&[0i64, 8]), 8);
    assert!(matches!(refused, Err(VqError::CodeRange { code: 8, codebook_size: 8 })));
}
