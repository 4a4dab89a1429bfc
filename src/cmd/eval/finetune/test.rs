//! A classifier on clips that it has not learned from.

use eval::{
    Averaging, Classifier, Heads, ResultRow, Run, ScoreHeader, ScoreTable, ScoreValues, StoredViews, Tested as Answers,
};
use tch::Tensor;

use crate::cmd::eval::seen::{How, Seen};
use crate::labelled::Labelled;
use crate::session::Session;

/// What a classifier said of all clips, view by view.
pub(super) struct Tested {
    /// In each label space: logarithms of probabilities.
    pub(super) table: ScoreTable,
    /// Those of the combinations that a joint head tells apart.
    joint: Option<ScoreTable>,
    /// Labels of each clip, one per space.
    labels: Vec<Vec<i64>>,
}

impl Tested {
    /// * `id` - hash of the classifier's weights, for the scores to name
    pub(super) fn of(
        (classifier, heads, id): (&Classifier, &Heads, &str),
        (clips, how): (&Labelled, How),
        session: &Session,
    ) -> anyhow::Result<Self> {
        let Seen { segments, num_failed } = how.see(clips, ("testing", session), |clip_bthwc| {
            let logs = heads.log_probabilities(&classifier.logits(clip_bthwc)?)?;
            let values =
                |log: &Tensor| Ok(Vec::<f64>::try_from(log.flatten(0, -1))?.iter().map(|v| *v as f32).collect());
            logs.iter().map(values).collect::<anyhow::Result<Vec<Vec<f32>>>>()
        })?;
        let header = ScoreHeader {
            values: ScoreValues::Logits,
            views: how.views.to_string(),
            stored_views: StoredViews::Kept,
            num_failed: num_failed as u64,
            partial: false,
            source: format!("classifier {id}"),
        };
        let spaces: Vec<(&str, usize)> =
            clips.spaces().map(|space| (space.name.as_str(), space.classes.len())).collect();
        let mut table = ScoreTable::new(header.clone(), &spaces)?;
        let actions = heads.is_joint().then(|| ScoreTable::new(header, &[("action", heads.widths()[0] as usize)]));
        let mut joint = actions.transpose()?;
        let mut labels = Vec::with_capacity(segments.len());
        for (segment, views) in segments {
            let id = &clips.store.segments()[segment].id;
            let of = |output: usize| -> Vec<f32> { views.iter().flat_map(|view| &view[output]).copied().collect() };
            let rows: Vec<Vec<f32>> = (0..spaces.len()).map(of).collect();
            table.push(id, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            if let Some(joint) = &mut joint {
                joint.push(id, &[&of(spaces.len())])?;
            }
            labels.extend(clips.labels(segment));
        }
        Ok(Tested { table, joint, labels })
    }

    /// One row for each label space, and for several one for all labels together (`action`), by the mean of the views'
    /// probabilities; where there are several views by that of their logits as well.
    ///
    /// * `run` - `probe` is replaced
    pub(super) fn rows(&self, heads: &Heads, (run, num_train): (&Run, usize)) -> Vec<ResultRow> {
        let averagings: &[_] = match self.table.has_views() {
            true => &[(Averaging::Probabilities, ", mean of probabilities"), (Averaging::Logits, ", mean of logits")],
            false => &[(Averaging::Probabilities, "")],
        };
        let row = |what: &str, how: &str, (labels, ranks, num_classes): (&[i64], &[usize], usize)| {
            let run = Run { probe: format!("fine-tuned, {what}{how}"), ..run.clone() };
            ResultRow::of(run, &Answers { labels, ranks: ranks.to_vec(), num_classes, num_train })
        };
        let mut rows = Vec::new();
        for (averaging, how) in averagings {
            let mut ranks_of_spaces = Vec::new();
            for (space, (name, num_classes)) in self.table.spaces().enumerate() {
                let labels: Vec<i64> = self.labels.iter().map(|labels| labels[space]).collect();
                let ranks = self.table.averaged(space, *averaging).ranks(&labels);
                rows.push(row(name, how, (&labels, &ranks, num_classes)));
                ranks_of_spaces.push(ranks);
            }
            if ranks_of_spaces.len() > 1 {
                let (labels, num_classes) = self.actions();
                let ranks = self.action_ranks(heads, *averaging, &ranks_of_spaces);
                rows.push(row("action", how, (&labels, &ranks, num_classes)));
            }
        }
        rows
    }

    /// 0 where all labels together are right, else more: by the joint head where there is one, by each space's first answer
    /// otherwise.
    fn action_ranks(&self, heads: &Heads, averaging: Averaging, ranks_of_spaces: &[Vec<usize>]) -> Vec<usize> {
        let Some(joint) = &self.joint else {
            let worst = |clip: usize| ranks_of_spaces.iter().map(|ranks| ranks[clip]).max().unwrap_or(0);
            return (0..self.labels.len()).map(worst).collect();
        };
        let scores = joint.averaged(0, averaging);
        let rank = |(clip, labels): (usize, &Vec<i64>)| match heads.combination(labels) {
            Some(action) => scores.rank(clip, action),
            None => usize::MAX,
        };
        self.labels.iter().enumerate().map(rank).collect()
    }

    /// Each clip's labels together as one number, and how many different ones there are.
    fn actions(&self) -> (Vec<i64>, usize) {
        let mut known = self.labels.clone();
        known.sort();
        known.dedup();
        let number = |labels: &Vec<i64>| known.partition_point(|other| other < labels) as i64;
        (self.labels.iter().map(number).collect(), known.len())
    }
}
