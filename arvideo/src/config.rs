use nn::{Recompute, StackConfig, Target, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{Grid, Patch, Purpose, rng_for, share_of};

use crate::{ArvideoError, ClusterPlan, Clusters, Order};

/// Next-cluster prediction: the `[model]` section of a preset with `kind = "arvideo"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArvideoConfig {
    /// The ViT that is kept.
    pub encoder: VitConfig,
    /// The decoder, discarded after pre-training: cross-attention only. 512 wide and 4 deep in the paper.
    pub decoder: StackConfig,
    /// Tokens of a cluster: `[latent frames, rows, columns]`, `[2, 7, 7]` in the paper. Each divides the grid.
    pub cluster: [i64; 3],
    /// Share of each cluster's tokens that enter the encoder, 0.2 in the paper. Rounded down, but at least one token;
    /// the rounding is not published.
    pub keep_share: f64,
    /// In which order the clusters are predicted.
    pub order: Order,
    /// What is predicted. Pixels in the paper, which names VideoMAE's protocol; codes are ours, to compare with LVMAE.
    pub target: Target,
}

/// A checked [`ArvideoConfig`] on a grid: the clusters tile it and every count is known.
#[derive(Clone, Debug)]
pub struct CheckedArvideo {
    cfg: ArvideoConfig,
    grid: Grid,
    patch: Patch,
    clusters: Clusters,
    num_kept: usize,
}

impl ArvideoConfig {
    /// Checks the networks, the division into clusters and the share that is kept.
    ///
    /// # Errors
    /// [`ArvideoError::Cluster`], [`ArvideoError::OneCluster`], [`ArvideoError::KeepShare`], [`ArvideoError::Nn`].
    pub fn check(&self, grid: Grid, patch: Patch) -> Result<CheckedArvideo, ArvideoError> {
        self.encoder.check()?;
        self.decoder.check()?;
        let clusters = Clusters::new(grid, self.cluster)?;
        if !(self.keep_share > 0.0 && self.keep_share <= 1.0) {
            return Err(ArvideoError::KeepShare { value: self.keep_share });
        }
        let num_kept = (share_of(self.keep_share, clusters.size() as i64) as usize).max(1);
        Ok(CheckedArvideo { cfg: self.clone(), grid, patch, clusters, num_kept })
    }
}

impl CheckedArvideo {
    /// The settings as written.
    pub fn config(&self) -> &ArvideoConfig {
        &self.cfg
    }

    /// Tokens on each axis.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The cube under one token.
    pub fn patch(&self) -> Patch {
        self.patch
    }

    /// Which tokens belong together.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Tokens of each cluster that enter the encoder.
    pub fn num_kept(&self) -> usize {
        self.num_kept
    }

    /// The decoder recomputes if the encoder does, each part of it as a whole.
    pub(crate) fn recompute(&self) -> Recompute {
        self.cfg.encoder.recompute
    }

    /// The plan of one clip: a pure function of its arguments.
    ///
    /// * `seed`, `epoch`, `item` - run seed, epoch and clip number
    pub fn plan(&self, (seed, epoch, item): (u64, u64, u64)) -> ClusterPlan {
        let order = self.clusters.order(self.cfg.order, &mut rng_for(seed, epoch, item, Purpose::ClusterOrder));
        self.clusters.plan(order, self.num_kept, &mut rng_for(seed, epoch, item, Purpose::ClusterDrop))
    }
}

#[cfg(test)]
mod tests {
    use nn::{FinalNorm, Position};

    use super::*;

    const PAPER: Grid = Grid { t: 8, h: 14, w: 14 };

    fn config(cluster: [i64; 3], keep_share: f64) -> ArvideoConfig {
        let encoder = VitConfig {
            width: 768,
            depth: 12,
            heads: 12,
            position: Position::Flat,
            recompute: Recompute::None,
            drop_path: 0.0,
            final_norm: FinalNorm::Tokens,
        };
        let decoder = StackConfig { width: 512, depth: 4, heads: 8 };
        ArvideoConfig { encoder, decoder, cluster, keep_share, order: Order::Random, target: Target::Pixels }
    }

    fn check(cluster: [i64; 3], keep_share: f64) -> Result<CheckedArvideo, String> {
        config(cluster, keep_share).check(PAPER, Patch { t: 2, h: 16, w: 16 }).map_err(|e| e.to_string())
    }

    #[test]
    fn the_papers_settings_give_16_clusters_of_98_tokens() {
        let paper = check([2, 7, 7], 0.2).unwrap();
        assert_eq!((paper.clusters().count(), paper.clusters().size()), (16, 98));
        // 0.2 * 98 = 19.6.
        assert_eq!(paper.num_kept(), 19);
        assert_eq!(check([2, 7, 7], 0.001).unwrap().num_kept(), 1);
        assert_eq!(check([2, 7, 7], 1.0).unwrap().num_kept(), 98);
    }

    #[test]
    fn a_cluster_that_does_not_divide_names_axis_and_divisors() {
        let said = check([2, 5, 7], 0.2).unwrap_err();
        let want = "cluster[1] = 5 does not divide the grid's 14 tokens along rows; nearest that do: [2, 7]";
        assert_eq!(said, want);
        assert!(check([2, 7, 15], 0.2).unwrap_err().ends_with("along columns; nearest that do: [14]"));
        assert!(check([0, 7, 7], 0.2).unwrap_err().ends_with("along time; nearest that do: [1]"));
        assert!(check([-2, 7, 7], 0.2).unwrap_err().ends_with("nearest that do: [1]"));
    }

    #[test]
    fn settings_that_leave_nothing_are_refused() {
        assert!(check([8, 14, 14], 0.2).unwrap_err().contains("the whole grid"));
        for share in [0.0, -0.2, 1.01, f64::NAN] {
            assert!(check([2, 7, 7], share).unwrap_err().starts_with("keep_share = "), "{share}");
        }
    }
}
