/// What can go wrong in next-cluster pre-training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArvideoError {
    /// The clusters do not tile the grid.
    #[error(
        "cluster[{index}] = {size} does not divide the grid's {tokens} tokens along {axis}; nearest that do: {nearest:?}"
    )]
    Cluster {
        /// Place in the setting `cluster`.
        index: usize,
        /// What that place stands for: time, rows, columns.
        axis: &'static str,
        /// Tokens of a cluster on that axis.
        size: i64,
        /// Tokens of the grid on that axis.
        tokens: i64,
        /// The divisors next to `size`, below and above where there are both.
        nearest: Vec<i64>,
    },
    /// One cluster is the whole clip: there is no next one to predict.
    #[error("a cluster of {cluster:?} tokens is the whole grid; make it smaller on at least one axis")]
    OneCluster {
        /// The setting.
        cluster: [i64; 3],
    },
    /// The share of tokens that enter the encoder is none or more than all.
    #[error("keep_share = {value} is impossible: it must be above 0 and at most 1")]
    KeepShare {
        /// What was given.
        value: f64,
    },
    /// The network failed.
    #[error(transparent)]
    Nn(#[from] nn::NnError),
}
