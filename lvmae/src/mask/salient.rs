//! By value: most of the budget goes to the tokens of the highest values, a small part is drawn from the others.
//!
//! LVMAE (arXiv:2411.13683, section 3.4) takes the tokenizer's priorities as values, 10 % of all tokens by value and 5 % at
//! random; it says that the values, normalised to a distribution, may as well be sampled from. Whether visible tokens take
//! part of the budget is not published; by our default they do not, so that the budget is what is predicted.

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use spec::{Grid, Rng, draw, share_of};

use super::ranked;

/// A budget by value, with a part at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Salient {
    /// By value, as a share of all tokens; 0.10 in LVMAE.
    pub salient_share: f64,
    /// At random among the rest, as a share of all tokens; 0.05 in LVMAE.
    pub random_share: f64,
    /// How the first part follows from the values.
    pub choice: Choice,
    /// Which tokens both parts are chosen from.
    pub pool: Pool,
}

/// How tokens are chosen by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The highest values; equal ones go to the lower index.
    Top,
    /// One after the other without putting back, each time in proportion to the values of those that are left. A value that
    /// is 0, negative or not finite comes last.
    Sampled,
}

/// Which tokens the decoder may be asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Hidden ones: the budget is exactly what is predicted.
    Hidden,
    /// All: visible ones take their part of the budget, and their answers count for nothing.
    All,
}

impl Salient {
    /// Number of tokens by value and at random.
    pub(super) fn budget(&self, grid: Grid) -> (i64, i64) {
        let n = grid.num_tokens();
        (share_of(self.salient_share, n), share_of(self.random_share, n))
    }

    /// Whether visible tokens are among those asked.
    pub(super) fn asks_at_visible(&self) -> bool {
        self.pool == Pool::All
    }

    /// Asked tokens, ascending.
    ///
    /// * `values_n` - one per token
    pub(super) fn asked(&self, grid: Grid, hidden: Vec<i64>, values_n: &[f32], rng: &mut Rng) -> Vec<i64> {
        let pool = match self.pool {
            Pool::Hidden => hidden,
            Pool::All => (0..grid.num_tokens()).collect(),
        };
        let (by_value, at_random) = self.budget(grid);
        let mut chosen = match self.choice {
            Choice::Top => ranked(pool, values_n),
            Choice::Sampled => sampled(pool, values_n, rng),
        };
        let rest = chosen.split_off(by_value as usize);
        chosen.extend(draw(rest, at_random as usize, rng));
        chosen.sort_unstable();
        chosen
    }
}

/// A pool in the order in which its tokens would be drawn in proportion to their values, without putting back: that of
/// `e / value` with exponential variates `e` (Efraimidis and Spirakis, 2006; the Gumbel top-k trick before its logarithm).
fn sampled(pool: Vec<i64>, values_n: &[f32], rng: &mut Rng) -> Vec<i64> {
    let mut keyed: Vec<(f64, f64, i64)> = pool
        .into_iter()
        .map(|token| {
            let exponential = -(1.0 - rng.random::<f64>()).ln();
            let value = f64::from(values_n[token as usize]);
            let key = if value > 0.0 && value.is_finite() { exponential / value } else { f64::INFINITY };
            // The second key orders those without a value, at random.
            (key, exponential, token)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    keyed.into_iter().map(|(_, _, token)| token).collect()
}

#[cfg(test)]
mod tests {
    use spec::{Purpose, rng_for};

    use super::*;

    const HIDDEN: [i64; 10] = [1, 3, 4, 6, 8, 11, 13, 14, 16, 18];
    const GRID: Grid = Grid { t: 2, h: 2, w: 5 };

    fn asked(salient_share: f64, choice: Choice, pool: Pool, (values_n, seed): (&[f32], u64)) -> Vec<i64> {
        let salient = Salient { salient_share, random_share: 0.0, choice, pool };
        salient.asked(GRID, HIDDEN.to_vec(), values_n, &mut rng_for(seed, 0, 0, Purpose::DecoderMask))
    }

    #[test]
    fn the_highest_values_of_the_pool_are_asked() {
        let mut values = [0.0; 20];
        // Token 5 has the highest value of all, but is visible; 4 and 16 tie behind 13.
        for (token, value) in [(5, 9.0), (13, 8.0), (4, 7.0), (16, 7.0), (18, 1.0)] {
            values[token] = value;
        }
        assert_eq!(asked(0.10, Choice::Top, Pool::Hidden, (&values, 0)), [4, 13]);
        assert_eq!(asked(0.15, Choice::Top, Pool::Hidden, (&values, 0)), [4, 13, 16]);
        assert_eq!(asked(0.15, Choice::Top, Pool::All, (&values, 0)), [4, 5, 13]);
    }

    #[test]
    fn samples_come_in_proportion_to_the_values_that_are_left() {
        let mut values = [0.0; 20];
        // A first draw by p, then p / (1 - p of the first); those of value 0 never before them.
        for (token, value) in [(3, 2.0), (8, 4.0), (14, 14.0)] {
            values[token] = value;
        }
        let mut pairs = [0u32; 3];
        for seed in 0..10_000 {
            match asked(0.10, Choice::Sampled, Pool::Hidden, (&values, seed))[..] {
                [3, 8] => pairs[0] += 1,
                [3, 14] => pairs[1] += 1,
                [8, 14] => pairs[2] += 1,
                ref other => panic!("{other:?} has no value"),
            }
        }
        // p = 0.1, 0.2, 0.7: {3, 8} 0.1 * 2/9 + 0.2 * 1/8 = 0.0472; {3, 14} 0.1 * 7/9 + 0.7 * 1/3 = 0.3111; {8, 14}
        // 0.2 * 7/8 + 0.7 * 2/3 = 0.6417. Standard deviations are at most 48.
        for (got, want) in pairs.into_iter().zip([472, 3111, 6417]) {
            assert!(got.abs_diff(want) < 5 * 48, "{pairs:?}");
        }
    }

    #[test]
    fn tokens_without_a_value_are_drawn_once_the_others_are_gone() {
        let mut values = [0.0; 20];
        values[6] = 1.0;
        values[8] = f32::NAN;
        values[11] = -3.0;
        let mut second = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let asked = asked(0.10, Choice::Sampled, Pool::Hidden, (&values, seed));
            assert!(asked.contains(&6));
            second.extend(asked);
        }
        assert_eq!(second.into_iter().collect::<Vec<_>>(), HIDDEN);
    }
}
