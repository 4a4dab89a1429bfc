use nn::{Blocks, DecoderAttention, Recompute, StackConfig, Target, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{Grid, Patch, Purpose, rng_for};

use crate::cluster::tokens_of;
use crate::{ArvideoError, ClusterPlan, Clusters, Order, Predicted};

/// Next-cluster prediction: the `[model]` section of a preset with `kind = "arvideo"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArvideoConfig {
    /// The ViT that is kept.
    pub encoder: VitConfig,
    /// The decoder, discarded after pre-training. 512 wide and 4 deep in the paper; heads not published, 8 is our default.
    pub decoder: StackConfig,
    /// What the decoder's queries read. The encoder alone in the paper, whose ablation with self-attention is 0.2 points below.
    pub decoder_attention: DecoderAttention,
    /// Tokens of a cluster: `[latent frames, rows, columns]`, `[2, 7, 7]` in the paper. Each divides the grid.
    pub cluster: [i64; 3],
    /// Share of each cluster's tokens that enter the encoder, 0.2 in the paper. Rounded down, but at least one token;
    /// the rounding is not published.
    pub keep_share: f64,
    /// In which order the clusters are predicted.
    pub order: Order,
    /// Which tokens of a cluster are predicted, and how much each counts. All alike in the paper.
    pub predicted: Predicted,
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
    num_predicted: usize,
}

impl ArvideoConfig {
    /// Checks the networks, the division into clusters and the shares that are kept and predicted.
    ///
    /// # Errors
    /// [`ArvideoError::Cluster`], [`ArvideoError::OneCluster`], [`ArvideoError::Share`], [`ArvideoError::Nn`].
    pub fn check(&self, grid: Grid, patch: Patch) -> Result<CheckedArvideo, ArvideoError> {
        self.encoder.check()?;
        self.decoder.check()?;
        let clusters = Clusters::new(grid, self.cluster)?;
        for (key, value) in [("keep_share", self.keep_share), ("predicted.share", self.predicted.share())] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(ArvideoError::Share { key, value });
            }
        }
        let num_kept = tokens_of(self.keep_share, clusters.size());
        let num_predicted = tokens_of(self.predicted.share(), clusters.size());
        Ok(CheckedArvideo { cfg: self.clone(), grid, patch, clusters, num_kept, num_predicted })
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

    /// Tokens of each cluster but the first that are predicted.
    pub fn num_predicted(&self) -> usize {
        self.num_predicted
    }

    /// Why priorities are needed, in the preset's words; `None` where they are not.
    pub fn needs_priorities(&self) -> Option<&'static str> {
        match (self.cfg.order, self.cfg.predicted) {
            (Order::Priority, _) => Some("priorities for its order"),
            (_, predicted) if predicted.needs_priorities() => Some("priorities for its choice of predicted tokens"),
            _ => None,
        }
    }

    /// Who reads whom in the encoder.
    pub(crate) fn encoder_blocks(&self) -> Blocks {
        let kept = self.num_kept as i64;
        Blocks { count: self.clusters.count() as i64 - 1, queries: kept, keys: kept }
    }

    /// What the decoder's queries read of the encoder's tokens.
    pub(crate) fn decoder_blocks(&self) -> Blocks {
        Blocks { queries: self.num_predicted as i64, ..self.encoder_blocks() }
    }

    /// The decoder recomputes as the encoder does.
    pub(crate) fn recompute(&self) -> Recompute {
        self.cfg.encoder.recompute
    }

    /// The plan of one clip: a pure function of its arguments. Which tokens of a cluster are read does not depend on the order.
    ///
    /// * `priorities_n` - of every token, at least 0; empty unless [`CheckedArvideo::needs_priorities`]
    /// * `seed`, `epoch`, `item` - run seed, epoch and clip number
    ///
    /// # Errors
    /// [`ArvideoError::Priorities`] when they are needed and not one per token.
    pub fn plan(
        &self,
        priorities_n: &[f32],
        (seed, epoch, item): (u64, u64, u64),
    ) -> Result<ClusterPlan, ArvideoError> {
        let (want, got) = (self.grid.num_tokens() as usize, priorities_n.len());
        if let Some(what) = self.needs_priorities().filter(|_| got != want) {
            return Err(ArvideoError::Priorities { what, want, got });
        }
        let rng = |purpose| rng_for(seed, epoch, item, purpose);
        let order = self.clusters.order(self.cfg.order, priorities_n, &mut rng(Purpose::ClusterOrder));
        let kept = self.clusters.draw(self.num_kept, &mut rng(Purpose::ClusterDrop));
        let drawn;
        let asked = match self.cfg.predicted {
            Predicted::All {} | Predicted::Weighted {} => self.clusters.all(),
            Predicted::Top { .. } => {
                drawn = self.clusters.top(self.num_predicted, priorities_n);
                &drawn
            }
            Predicted::Random { .. } => {
                drawn = self.clusters.draw(self.num_predicted, &mut rng(Purpose::ClusterPredicted));
                &drawn
            }
        };
        let plan = ClusterPlan::new(order, &kept, asked);
        Ok(match self.cfg.predicted {
            Predicted::Weighted {} => plan.weighted(priorities_n),
            _ => plan,
        })
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
        ArvideoConfig {
            encoder,
            decoder,
            decoder_attention: DecoderAttention::Cross,
            cluster,
            keep_share,
            order: Order::Random,
            predicted: Predicted::All {},
            target: Target::Pixels,
        }
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

    #[test]
    fn priorities_change_what_they_are_asked_to_and_are_refused_when_missing() {
        let patch = Patch { t: 2, h: 16, w: 16 };
        let plan = |order, predicted, priorities: &[f32]| {
            let cfg = ArvideoConfig { order, predicted, ..config([2, 7, 7], 0.2) };
            cfg.check(PAPER, patch).unwrap().plan(priorities, (1, 2, 3))
        };
        let priorities: Vec<f32> = (0..1568).map(|n| (n * 37 % 1009) as f32).collect();
        let plain = plan(Order::Random, Predicted::All {}, &[]).unwrap();
        assert_eq!((plain.inputs.len(), plain.predicted.len(), plain.weights.len()), (285, 1470, 0));
        let weighted = plan(Order::Random, Predicted::Weighted {}, &priorities).unwrap();
        assert_eq!(ClusterPlan { weights: Vec::new(), ..weighted.clone() }, plain);
        let sum: f64 = weighted.weights.iter().map(|w| f64::from(*w)).sum();
        assert!((sum / 1470.0 - 1.0).abs() < 1e-6);
        // 0.1 * 98 = 9.8: nine of each of 15 clusters, with the same order and inputs.
        let top = plan(Order::Random, Predicted::Top { share: 0.1 }, &priorities).unwrap();
        let random = plan(Order::Random, Predicted::Random { share: 0.1 }, &[]).unwrap();
        for fewer in [&top, &random] {
            assert_eq!((&fewer.order, &fewer.inputs, fewer.predicted.len()), (&plain.order, &plain.inputs, 135));
        }
        let mean = |plan: &ClusterPlan| plan.predicted.iter().map(|n| f64::from(priorities[*n as usize])).sum::<f64>();
        assert!(mean(&top) > 1.5 * mean(&random));

        let refused = |order, predicted, given: &[f32]| plan(order, predicted, given).unwrap_err().to_string();
        let said = refused(Order::Priority, Predicted::All {}, &[]);
        assert!(
            said.starts_with("this preset needs priorities for its order, one for each of the clip's 1568"),
            "{said}"
        );
        assert!(refused(Order::Random, Predicted::Weighted {}, &priorities[1..]).contains("and got 1567"));
        let share = ArvideoConfig { predicted: Predicted::Top { share: 0.0 }, ..config([2, 7, 7], 0.2) };
        let said = share.check(PAPER, patch).unwrap_err().to_string();
        assert_eq!(said, "predicted.share = 0 is impossible: it must be above 0 and at most 1");
    }
}
