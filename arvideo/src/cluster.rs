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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Cluster numbers, each once.
    pub order: Vec<usize>,
    /// Kept tokens of all clusters but the last, in this order; ascending within a cluster.
    pub inputs: Vec<i64>,
    /// All tokens of all clusters but the first, in this order; ascending within a cluster.
    pub predicted: Vec<i64>,
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
    pub fn order(&self, order: Order, rng: &mut Rng) -> Vec<usize> {
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
        }
    }

    /// What is read and what is predicted in the given order, `num_kept` tokens of each cluster drawn at random. Which
    /// tokens of a cluster are kept does not depend on the order.
    ///
    /// * `order` - a permutation of the cluster numbers, as [`Clusters::order`] gives it
    /// * `num_kept` - in `1..=size`
    pub fn plan(&self, order: Vec<usize>, num_kept: usize, rng: &mut Rng) -> ClusterPlan {
        let kept: Vec<Vec<i64>> = self.tokens.iter().map(|tokens| draw(tokens.clone(), num_kept, rng)).collect();
        let inputs = order[..self.count() - 1].iter().flat_map(|c| kept[*c].iter().copied()).collect();
        let predicted = order[1..].iter().flat_map(|c| self.tokens[*c].iter().copied()).collect();
        ClusterPlan { order, inputs, predicted }
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
