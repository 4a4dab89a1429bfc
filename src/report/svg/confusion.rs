use eval::SpaceAnswers;

use super::{Anchor, Drawing, WIDTH, fitted};
use crate::report::theme::escape;

/// Which classes are taken for which: a row for each right class, a column for each answer.
#[derive(Clone, Debug)]
pub(crate) struct ConfusionChart {
    title: String,
    /// Names of the classes that clips have or that were answered.
    classes: Vec<String>,
    /// Row, column, clips, and their share of the row.
    cells: Vec<(usize, usize, usize, f64)>,
    /// Lines below: what makes the evaluation partial.
    notes: Vec<String>,
}

/// Up to so many classes are named at the rows.
const MAX_NAMED: usize = 24;
const NAMES_WIDTH: f64 = 130.0;
const TOP: f64 = 30.0;
const NOTE_HEIGHT: f64 = 18.0;

impl ConfusionChart {
    /// * `of` - what the scores are called
    /// * `partial` - what makes the evaluation partial, if it is
    pub(crate) fn of(space: &SpaceAnswers, of: &str, partial: Option<&str>) -> Self {
        let labels = space.seen();
        let place = |label: &usize| labels.binary_search(label).unwrap_or(0);
        let in_row = |row: usize| space.confusion.iter().filter(|(label, ..)| *label == row).map(|(.., n)| n).sum();
        let cell = |(label, answered, num_clips): &(usize, usize, usize)| {
            let all: usize = in_row(*label);
            (place(label), place(answered), *num_clips, *num_clips as f64 / all as f64)
        };
        let name = |label: &usize| space.classes.get(*label).cloned().unwrap_or_else(|| label.to_string());
        ConfusionChart {
            title: format!("{of}: {} in rows, answers in columns", space.name),
            classes: labels.iter().map(name).collect(),
            cells: space.confusion.iter().map(cell).collect(),
            // A whole sentence is wider than the drawing.
            notes: partial.iter().flat_map(|partial| partial.split("; ")).map(str::to_owned).collect(),
        }
    }

    /// Lays the chart out: the darker a cell, the larger its share of the row.
    pub(crate) fn draw(&self) -> Drawing {
        let mut drawing = Drawing::new(&self.title);
        let is_named = self.classes.len() <= MAX_NAMED;
        let left = if is_named { NAMES_WIDTH } else { 0.0 };
        let side = (WIDTH - left) / self.classes.len().max(1) as f64;
        let size = side * self.classes.len() as f64;
        if is_named {
            for (row, name) in self.classes.iter().enumerate() {
                let y = TOP + (row as f64 + 0.5) * side + 4.0;
                drawing.text((left - 6.0, y), "small", Anchor::End, &fitted(name, 12.0, left - 8.0));
            }
        }
        for (row, column, num_clips, share) in &self.cells {
            let (x, y) = (left + *column as f64 * side, TOP + *row as f64 * side);
            let title = format!("{} answered as {}: {num_clips}", self.classes[*row], self.classes[*column]);
            let colour = if row == column { "f0" } else { "f1" };
            drawing.push(format_args!(
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{side:.2}\" height=\"{side:.2}\" class=\"{colour}\" \
                 fill-opacity=\"{:.3}\"><title>{}</title></rect>",
                0.1 + 0.9 * share,
                escape(&title)
            ));
        }
        let corners = [(left, TOP), (left + size, TOP), (left + size, TOP + size), (left, TOP + size), (left, TOP)];
        corners.windows(2).for_each(|ends| drawing.line(ends[0], ends[1], "axis"));
        let bottom = TOP + size;
        for (line, note) in self.notes.iter().enumerate() {
            let y = bottom + (line + 1) as f64 * NOTE_HEIGHT;
            drawing.text((0.0, y), "small", Anchor::Start, &fitted(note, 12.0, WIDTH));
        }
        drawing.height = bottom + self.notes.len() as f64 * NOTE_HEIGHT + 4.0;
        drawing
    }
}
