use crate::EvalError;

/// What a search over learning rates runs with, whatever it trains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateSearch<'a> {
    pub(crate) rates: &'a [f64],
    pub(crate) epochs: u64,
    pub(crate) batch: usize,
    pub(crate) num_folds: usize,
}

impl RateSearch<'_> {
    /// # Errors
    /// [`EvalError::OutOfRange`].
    pub(crate) fn check(self) -> Result<(), EvalError> {
        let refuse = |key, value, rule| Err(EvalError::OutOfRange { key, value, rule });
        if let Some(rate) = self.rates.iter().find(|rate| !(**rate > 0.0 && rate.is_finite())) {
            return refuse("rate", *rate, "above 0");
        }
        for (key, value, least, rule) in [
            ("rates", self.rates.len(), 1, "at least one learning rate"),
            ("epochs", self.epochs as usize, 1, "at least 1"),
            ("batch", self.batch, 1, "at least 1"),
            ("num_folds", self.num_folds, 2, "at least 2"),
        ] {
            if value < least {
                return refuse(key, value as f64, rule);
            }
        }
        Ok(())
    }

    /// The rate with the most hits, of equal ones the smallest.
    ///
    /// * `ranks` - for each rate the rank of every held-out clip's own class, 0 for the highest score
    pub(crate) fn best(self, ranks: &[Vec<usize>]) -> f64 {
        let hits = |ranks: &Vec<usize>| ranks.iter().filter(|rank| **rank == 0).count();
        let by_hits = ranks.iter().map(hits).zip(self.rates);
        let (_, rate) = by_hits
            .max_by(|(hits, rate), (others, other)| hits.cmp(others).then(other.total_cmp(rate)))
            .expect("`check` refuses a search without rates");
        *rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: RateSearch<'static> = RateSearch { rates: &[0.3, 0.1, 0.2], epochs: 1, batch: 1, num_folds: 2 };

    #[test]
    fn most_hits_win_and_of_equal_ones_the_smallest_rate() {
        assert_eq!(SEARCH.best(&[vec![0, 0, 5], vec![0, 1, 1], vec![1, 0, 0]]), 0.2);
        assert_eq!(SEARCH.best(&[vec![0, 0, 0], vec![1, 2, 3], vec![0, 0, 1]]), 0.3);
    }

    #[test]
    fn what_cannot_be_searched_is_refused_by_key() {
        let said = |search: RateSearch| search.check().unwrap_err().to_string();
        assert!(SEARCH.check().is_ok());
        assert!(said(RateSearch { rates: &[], ..SEARCH }).contains("at least one learning rate"));
        assert!(said(RateSearch { rates: &[0.1, f64::NAN], ..SEARCH }).contains("above 0"));
        assert!(said(RateSearch { epochs: 0, ..SEARCH }).contains("epochs"));
        assert!(said(RateSearch { batch: 0, ..SEARCH }).contains("batch"));
        assert!(said(RateSearch { num_folds: 1, ..SEARCH }).contains("num_folds"));
    }
}
