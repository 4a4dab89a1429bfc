mod predicted;

pub use predicted::Predicted;
pub(crate) use predicted::tokens_of;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{Grid, Rng, draw};

use crate::ArvideoError;

/// In which order the clusters of a clip are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Another permutation for each clip and epoch; the paper's choice.
    Random,
    /// Row by row, and then the next time.
    SpatialFirst,
    /// One place through all times, and then the next place.
    TemporalFirst,
    /// The cluster whose tokens have the highest mean priority first. Ours; its control is [`Order::Random`].
    Priority,
}

/// The tokens of a grid in boxes of equal size. Boxes are numbered as tokens are: time, then rows, then columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// Token indices of each box, ascending.
    tokens: Vec<Vec<i64>>,
    /// Boxes on each axis.
    boxes: Grid,
}

/// What one clip shows to the encoder and asks of the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterPlan {
    /// Cluster numbers, each once.
    pub order: Vec<usize>,
    /// Kept tokens of all clusters but the last, in this order; ascending within a cluster.
    pub inputs: Vec<i64>,
    /// Asked tokens of all clusters but the first, in this order; ascending within a cluster.
    pub predicted: Vec<i64>,
    /// How much each of these counts, 1 in the clip's mean; empty where all count the same.
    pub weights: Vec<f32>,
}

impl Clusters {
    /// * `size` - tokens of a cluster, `[latent frames, rows, columns]`
    ///
    /// # Errors
    /// [`ArvideoError::Cluster`] where the size does not divide the grid, [`ArvideoError::OneCluster`].
    pub fn new(grid: Grid, size: [i64; 3]) -> Result<Self, ArvideoError> {
        let axes = [("time", grid.t), ("rows", grid.h), ("columns", grid.w)];
        for (index, ((axis, tokens), size)) in axes.into_iter().zip(size).enumerate() {
            if size < 1 || tokens % size != 0 {
                return Err(ArvideoError::Cluster { index, axis, size, tokens, nearest: divisors_near(tokens, size) });
            }
        }
        let boxes = Grid { t: grid.t / size[0], h: grid.h / size[1], w: grid.w / size[2] };
        if boxes.num_tokens() == 1 {
            return Err(ArvideoError::OneCluster { cluster: size });
        }
        let mut tokens = vec![Vec::new(); boxes.num_tokens() as usize];
        for index in 0..grid.num_tokens() {
            let (t, h, w) = grid.place(index);
            tokens[boxes.index(t / size[0], h / size[1], w / size[2]) as usize].push(index);
        }
        Ok(Clusters { tokens, boxes })
    }

    /// Number of clusters.
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens of each cluster.
    pub fn size(&self) -> usize {
        self.tokens[0].len()
    }

    /// Token indices of a cluster, ascending.
    pub fn tokens(&self, cluster: usize) -> &[i64] {
        &self.tokens[cluster]
    }

    /// A permutation of the cluster numbers. Only [`Order::Random`] draws.
    ///
    /// * `priorities_n` - of every token, for [`Order::Priority`]; the other orders read none
    pub fn order(&self, order: Order, priorities_n: &[f32], rng: &mut Rng) -> Vec<usize> {
        let in_space = (0..self.count()).collect::<Vec<_>>();
        match order {
            Order::SpatialFirst => in_space,
            Order::TemporalFirst => {
                let places = self.boxes.tokens_per_frame() as usize;
                (0..places).flat_map(|place| in_space.iter().copied().skip(place).step_by(places)).collect()
            }
            Order::Random => {
                let mut shuffled = in_space;
                shuffled.shuffle(rng);
                shuffled
            }
            Order::Priority => {
                // All are of one size: the highest sum is the highest mean.
                let sum = |c: &usize| self.tokens[*c].iter().map(|n| f64::from(priorities_n[*n as usize])).sum::<f64>();
                let mut by_priority = in_space;
                by_priority.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
                by_priority
            }
        }
    }

    /// `num` tokens of each cluster at random, ascending.
    ///
    /// * `num` - in `1..=size`
    pub fn draw(&self, num: usize, rng: &mut Rng) -> Vec<Vec<i64>> {
        self.tokens.iter().map(|tokens| draw(tokens.clone(), num, rng)).collect()
    }

    /// The `num` tokens of highest priority of each cluster, ascending; of equal ones the first.
    ///
    /// * `num` - in `1..=size`
    /// * `priorities_n` - of every token
    pub fn top(&self, num: usize, priorities_n: &[f32]) -> Vec<Vec<i64>> {
        let priority = |token: &i64| priorities_n[*token as usize];
        let top = |tokens: &Vec<i64>| {
            let mut top = tokens.clone();
            top.sort_by(|a, b| priority(b).total_cmp(&priority(a)));
            top.truncate(num);
            top.sort_unstable();
            top
        };
        self.tokens.iter().map(top).collect()
    }

    /// Every token, cluster by cluster.
    pub fn all(&self) -> &[Vec<i64>] {
        &self.tokens
    }
}

impl ClusterPlan {
    /// What is read and what is predicted in the given order, all predicted tokens counting the same.
    ///
    /// * `order` - a permutation of the cluster numbers, as [`Clusters::order`] gives it
    /// * `kept`, `asked` - tokens of each cluster, in the clusters' own order
    pub fn new(order: Vec<usize>, kept: &[Vec<i64>], asked: &[Vec<i64>]) -> Self {
        let tokens = |order: &[usize], of: &[Vec<i64>]| order.iter().flat_map(|c| of[*c].iter().copied()).collect();
        let (inputs, predicted) = (tokens(&order[..order.len() - 1], kept), tokens(&order[1..], asked));
        ClusterPlan { order, inputs, predicted, weights: Vec::new() }
    }

    /// The same plan, in which a predicted token counts as much as its priority, 1 in the mean. Without any priority above 0
    /// all count the same.
    ///
    /// * `priorities_n` - of every token, at least 0
    #[must_use]
    pub fn weighted(mut self, priorities_n: &[f32]) -> Self {
        let of_token = |token: &i64| f64::from(priorities_n[*token as usize]);
        let mean = self.predicted.iter().map(of_token).sum::<f64>() / self.predicted.len() as f64;
        let weight = |token: &i64| if mean > 0.0 { (of_token(token) / mean) as f32 } else { 1.0 };
        self.weights = self.predicted.iter().map(weight).collect();
        self
    }
}

/// The largest divisor of `n` below `size` and the smallest above, where there are such.
fn divisors_near(n: i64, size: i64) -> Vec<i64> {
    let divides = |d: &i64| n % d == 0;
    let below = (1..size.min(n + 1)).rev().find(divides);
    let above = (size.max(0) + 1..=n).find(divides);
    below.into_iter().chain(above).collect()
}

#[cfg(test)]
mod tests;
