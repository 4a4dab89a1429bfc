use std::io::Write as _;

use nn::Position;
use spec::{ClipGeometry, Grid};

/// Position codes for weights that are used on other clips than they learned from, with a line on stderr that says so.
///
/// * `learned` - the clips that the weights come from
/// * `now` - those that they are used on
pub(crate) fn on_clip(position: Position, learned: &ClipGeometry, now: &ClipGeometry) -> Position {
    let (from, to) = (learned.grid(), now.grid());
    if from == to {
        return position;
    }
    let resampled = position.learned_on(from);
    let show = |grid: Grid| format!("{} x {} x {} tokens", grid.t, grid.h, grid.w);
    writeln!(std::io::stderr(), "position codes of {} are resampled to {}", show(from), show(to)).ok();
    resampled
}
