//! Every labelled segment of a store, seen once from each of its views.

use std::sync::Arc;

use anyhow::Context as _;
use spec::ClipGeometry;
use tch::Tensor;
use video::{ClipRequest, Loader, VideoError, Views, timeline};

use crate::clips;
use crate::cmd::training::tell;
use crate::exit::Interrupted;
use crate::labelled::Labelled;
use crate::progress::Progress;
use crate::session::Session;

/// How segments are seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) geometry: ClipGeometry,
    pub(crate) views: Views,
}

/// What was made of the segments that could be read.
#[derive(Debug)]
pub(super) struct Seen<T> {
    /// Number of the segment in the store, with something of each view.
    pub(super) segments: Vec<(usize, Vec<T>)>,
    /// Segments that could not be read.
    pub(super) num_failed: usize,
}

impl How {
    /// Shows every labelled segment to `look`, without gradients. Segments that cannot be read are named on stderr, counted
    /// and left out.
    ///
    /// * `doing` - for the progress line
    /// * `look` - given one view, pixels `[1, T, S, S, 3]` u8
    ///
    /// # Errors
    /// An error for a store without labelled segments; the first failure when no segment can be read; [`Interrupted`].
    pub(super) fn see<T>(
        &self,
        clips: &Labelled,
        (doing, session): (&str, &Session),
        mut look: impl FnMut(&Tensor) -> anyhow::Result<T>,
    ) -> anyhow::Result<Seen<T>> {
        let store = &clips.store;
        clips.expect_any()?;
        let segments = self.requests(clips)?;
        let plan: Vec<ClipRequest> = segments.concat();
        let source = clips::unvaried(store.clone(), self.geometry);
        let steps = 0..plan.len() as u64;
        let mut loader =
            Loader::start(source, Arc::new(move |step| vec![plan[step as usize]]), steps, clips::loader_options())?;
        let mut progress = Progress::new(doing, segments.len() as u64);
        let mut seen = Seen { segments: Vec::with_capacity(segments.len()), num_failed: 0 };
        let mut first_failure = None;
        for (done, views) in segments.iter().enumerate() {
            let segment = views[0].segment;
            let id = &store.segments()[segment].id;
            match self.see_one(&mut loader, views.len(), session, &mut look)? {
                Ok(of_views) => seen.segments.push((segment, of_views)),
                Err(err) => {
                    tell(&format!("{id} cannot be read and is left out: {err}"));
                    seen.num_failed += 1;
                    first_failure = first_failure.or(Some(err));
                }
            }
            progress.set(done as u64 + 1, id);
        }
        match first_failure {
            Some(err) if seen.segments.is_empty() => Err(err).context("no segment can be read"),
            _ => {
                progress.finish(&format!("{} clips of {}", seen.segments.len(), store.path().display()));
                Ok(seen)
            }
        }
    }

    /// The next segment, from all of its views; the inner error says that one of them cannot be read.
    fn see_one<T>(
        &self,
        loader: &mut Loader,
        num_views: usize,
        session: &Session,
        look: &mut impl FnMut(&Tensor) -> anyhow::Result<T>,
    ) -> anyhow::Result<Result<Vec<T>, VideoError>> {
        let (mut of_views, mut failure) = (Vec::with_capacity(num_views), None);
        for _ in 0..num_views {
            if session.interrupted() {
                return Err(Interrupted("no result was written".to_owned()).into());
            }
            match loader.next().context("the loader ended before the store")? {
                Err(err @ VideoError::WorkerPanicked { .. }) => return Err(err.into()),
                Err(err) => failure = failure.or(Some(err)),
                // Its other views are of no use.
                Ok(_) if failure.is_some() => {}
                Ok(batch) => {
                    let pixels = clips::pixels(&batch.clips, self.geometry.size_px(), session.device);
                    of_views.push(tch::no_grad(|| look(&pixels))?);
                }
            }
        }
        Ok(failure.map_or(Ok(of_views), Err))
    }

    /// The views of every labelled segment; each has at least one.
    fn requests(&self, clips: &Labelled) -> Result<Vec<Vec<ClipRequest>>, VideoError> {
        let store = &clips.store;
        let views = |segment: usize| {
            let row = &store.segments()[segment];
            let timeline = timeline(&store.videos()[row.video as usize], row, &self.geometry);
            self.views.requests(segment, &timeline, &self.geometry)
        };
        clips.segments().map(views).collect()
    }
}
