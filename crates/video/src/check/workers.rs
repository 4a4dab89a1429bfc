use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::VideoError;

/// Does `num_items` pieces of work on several threads, results in the order of the items; `on_done` runs on the calling
/// thread. `None` when a piece was stopped, that is when the work returned `None` or `interrupt` was set.
///
/// # Errors
/// The first error that comes; work that has begun is waited for.
pub(super) fn map<T: Send>(
    (num_items, num_workers): (usize, usize),
    interrupt: &AtomicBool,
    work: impl Fn(usize) -> Result<Option<T>, VideoError> + Sync,
    on_done: &mut dyn FnMut(usize),
) -> Result<Option<Vec<T>>, VideoError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, results) = mpsc::channel();
    let mut done: Vec<Option<T>> = (0..num_items).map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..num_workers.clamp(1, num_items.max(1)) {
            let (send, next, failed, work) = (send.clone(), &next, &failed, &work);
            scope.spawn(move || {
                while !interrupt.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= num_items {
                        return;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| work(item)))
                        .unwrap_or_else(|_panic| Err(VideoError::WorkerPanicked { at: format!("item {item}") }));
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    // Fails only when the caller has panicked.
                    send.send((item, result)).ok();
                }
            });
        }
        drop(send);
        let mut error = None;
        for (item, result) in results {
            match result {
                Ok(result) => {
                    done[item] = result;
                    on_done(item);
                }
                Err(err) => error = error.or(Some(err)),
            }
        }
        error.map_or(Ok(()), Err)
    })?;
    Ok(done.into_iter().collect())
}
