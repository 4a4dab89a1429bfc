//! `pretrain --probe-every`: a probe on a schedule, beside training and without a trace in it.

use std::path::PathBuf;

use eval::{Pool, ResultRow, Run};
use nn::Vit;
use spec::ClipGeometry;
use video::Views;

use super::probe::{Encoder, Probe, Read, open_sides};
use super::seen::How;
use crate::cli::{ProbingArgs, ScheduledProbe};
use crate::exit::Interrupted;
use crate::labelled::Labelled;
use crate::session::Session;

/// Spans of time that are pooled apart where the clip has so many: what `eval knn` does by itself.
const TIME_PARTS: i64 = 8;

/// When an encoder is probed, and how.
pub(crate) struct Probing {
    every: u64,
    last_step: u64,
    probe: Probe,
    key: &'static str,
    sides: [Labelled; 2],
    how: How,
    read: Read,
    seed: u64,
    session: Session,
}

impl Probing {
    /// What was asked for; `None` where nothing was.
    ///
    /// * `geometry` - of the whole clip
    ///
    /// # Errors
    /// As `eval knn`: clip stores that do not go together.
    pub(crate) fn of(
        args: &ProbingArgs,
        geometry: ClipGeometry,
        (last_step, seed): (u64, u64),
        session: &Session,
    ) -> anyhow::Result<Option<Self>> {
        let ProbingArgs {
            probe_every: Some(every), probe_train_clips: Some(train), probe_test_clips: Some(test), ..
        } = args
        else {
            return Ok(None);
        };
        let (train, test): (&PathBuf, &PathBuf) = (train, test);
        let (probe, key) = match args.probe {
            ScheduledProbe::Knn => (Probe::Knn, "knn_accuracy"),
            ScheduledProbe::Linear => (Probe::Ridge, "linear_accuracy"),
        };
        let pool = match geometry.grid().t % TIME_PARTS {
            0 => Pool::TimeParts { parts: TIME_PARTS },
            _ => Pool::Mean {},
        };
        Ok(Some(Probing {
            every: every.get(),
            last_step,
            probe,
            key,
            sides: open_sides((train, test), args.probe_labels.as_deref())?,
            how: How { geometry, views: Views::SINGLE },
            read: Read::Pooled(pool),
            seed,
            session: session.clone(),
        }))
    }

    /// Whether the encoder is probed after `step`.
    pub(crate) fn is_at(&self, step: u64) -> bool {
        step == self.last_step || step.is_multiple_of(self.every)
    }

    /// The accuracy on the test clips, under its key; nothing where ctrl-C came first, so that training can keep its
    /// checkpoint.
    pub(crate) fn measure(&self, vit: &Vit) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let encoder = Encoder { vit, how: self.how, read: self.read };
        let samples = match encoder.samples([&self.sides[0], &self.sides[1]], ("probing", &self.session)) {
            Err(err) if err.is::<Interrupted>() => return Ok(Vec::new()),
            samples => samples?,
        };
        let (scores, settings) = self.probe.scores(&samples, self.seed)?;
        let run = Run { encoder: String::new(), probe: settings, seed: self.seed, num_failed: samples.num_failed };
        Ok(vec![(self.key, ResultRow::of(run, &samples.tested(&scores)).accuracy)])
    }
}
