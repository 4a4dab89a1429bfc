//! `longvid bench`: memory and time of training steps, and how fast clips are loaded.

mod gemm;
mod lesson;
pub(crate) mod loader;
pub(crate) mod memory;
pub(crate) mod point;
mod settings;
pub(crate) mod step;

/// The middle one, or the mean of both in the middle. Not a number without any.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (n, at) = (values.len(), values.len() / 2);
    match n % 2 {
        _ if n == 0 => f64::NAN,
        0 => (values[at - 1] + values[at]) / 2.0,
        _ => values[at],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 9.0, 1.0, 2.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }
}
