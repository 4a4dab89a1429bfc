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
    /// A share of a cluster's tokens is none or more than all.
    #[error("{key} = {value} is impossible: it must be above 0 and at most 1")]
    Share {
        /// The setting, in the preset's words.
        key: &'static str,
        /// What was given.
        value: f64,
    },
    /// Priorities are needed and missing, or of another clip's size.
    #[error(
        "this preset needs {what}, one for each of the clip's {want} tokens, and got {got}: give a token store or a tokenizer"
    )]
    Priorities {
        /// What for.
        what: &'static str,
        /// Tokens of the clip.
        want: usize,
        /// Priorities that came.
        got: usize,
    },
    /// The network failed.
    #[error(transparent)]
    Nn(#[from] nn::NnError),
}
