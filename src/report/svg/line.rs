use std::fmt::Write as _;

use super::scale::{Axis, Ends, Range};
use super::{Anchor, Drawing, WIDTH, fitted, text_width};
use crate::report::theme::{NUM_SERIES_COLOURS, escape};

/// Lines over a common x axis.
#[derive(Clone, Debug)]
pub(crate) struct LineChart {
    /// Heading of the chart.
    pub(crate) title: String,
    /// Horizontal axis.
    pub(crate) x: Axis,
    /// Vertical axis.
    pub(crate) y: Axis,
    /// The lines, first one drawn first.
    pub(crate) series: Vec<Series>,
    /// A value of y that cannot be passed, and its name: a line across the plot.
    pub(crate) limit: Option<(f64, String)>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// Name in the legend.
    pub(crate) name: String,
    /// `(x, y)` in order of x. A value that the axis cannot show (NaN, or not positive on a logarithm) breaks the line.
    pub(crate) points: Vec<(f64, f64)>,
    /// `(x, low, high)`: the spread that `points` summarise, drawn as a pale band; empty for none.
    pub(crate) band: Vec<(f64, f64, f64)>,
    /// `(x, y)` where points were planned to be: rings.
    pub(crate) planned: Vec<(f64, f64)>,
    /// Whether the points are shown as such.
    pub(crate) marks: Marks,
    /// Values of x at which memory ran out: crosses above the plot.
    pub(crate) out_of_memory: Vec<f64>,
    /// Number of the colour, so that one run keeps its colour over many charts. Dashed from the eighth on.
    pub(crate) colour: usize,
}

/// What stands for the points of a [`Series`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Only the line between them.
    #[default]
    Line,
    /// The line and a mark on each: each is a measurement.
    Points,
}

const PLOT_HEIGHT: f64 = 190.0;
const ROW_HEIGHT: f64 = 18.0;
/// Room on the right, for half of the last tick's text.
const RIGHT: f64 = 18.0;

/// Where the plot lies and how values map onto it.
struct Plot {
    left: f64,
    top: f64,
    x: Range,
    y: Range,
}

impl Plot {
    fn x_at(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (WIDTH - RIGHT - self.left)
    }

    fn y_at(&self, value: f64) -> f64 {
        self.top + (1.0 - self.y.place(value)) * PLOT_HEIGHT
    }
}

impl LineChart {
    /// Lays the chart out: title, legend (where there is more than one line), a strip for what ran out of memory, plot.
    pub(crate) fn draw(&self) -> Drawing {
        let mut drawing = Drawing::new(&self.title);
        let mut y = 32.0;
        if self.series.len() > 1 {
            y = self.draw_legend(&mut drawing, y + 4.0);
        }
        if !self.y.label.is_empty() {
            drawing.text((0.0, y + 8.0), "small", Anchor::Start, &fitted(&self.y.label, 12.0, WIDTH));
            y += 20.0;
        } else {
            y += 6.0;
        }
        let num_strips = self.series.iter().filter(|s| !s.out_of_memory.is_empty()).count();
        let strips_top = y;
        y += num_strips as f64 * ROW_HEIGHT + if num_strips > 0 { 8.0 } else { 0.0 };
        let plot = self.fit(y);
        self.draw_axes(&mut drawing, &plot);
        self.draw_out_of_memory(&mut drawing, &plot, strips_top);
        self.draw_limit(&mut drawing, &plot);
        for series in &self.series {
            self.draw_band(&mut drawing, &plot, series);
        }
        for series in &self.series {
            self.draw_series(&mut drawing, &plot, series);
        }
        if self.series.iter().all(|s| s.points.is_empty() && s.out_of_memory.is_empty()) {
            let middle = (plot.left + (WIDTH - RIGHT - plot.left) / 2.0, plot.top + PLOT_HEIGHT / 2.0);
            drawing.text(middle, "small", Anchor::Middle, "nothing logged");
        }
        drawing.height = plot.top + PLOT_HEIGHT + 42.0;
        drawing
    }

    fn fit(&self, top: f64) -> Plot {
        let points =
            || self.series.iter().flat_map(|s| s.points.iter().chain(&s.planned)).filter(|(x, y)| self.shows(*x, *y));
        let bands = || self.series.iter().flat_map(|s| &s.band);
        let crosses = self.series.iter().flat_map(|s| &s.out_of_memory);
        let x = self.x.fit(points().map(|p| p.0).chain(crosses.copied()), Ends::Tight);
        let spread = bands().flat_map(|(_, low, high)| [*low, *high]);
        let limit = self.limit.iter().map(|(value, _)| *value);
        let y = self.y.fit(points().map(|p| p.1).chain(spread).chain(limit), Ends::AtTicks);
        let widest = y.ticks.iter().map(|(_, text)| text_width(text, 12.0)).fold(0.0, f64::max);
        Plot { left: widest + 10.0, top, x, y }
    }

    fn shows(&self, x: f64, y: f64) -> bool {
        self.x.scale.shows(x) && self.y.scale.shows(y)
    }

    /// Names in rows of as many as fit; returns the y below them.
    fn draw_legend(&self, drawing: &mut Drawing, top: f64) -> f64 {
        let (mut x, mut y) = (0.0, top);
        for series in &self.series {
            let name = fitted(&series.name, 13.0, WIDTH - 30.0);
            let width = 26.0 + text_width(&name, 13.0) + 14.0;
            if x > 0.0 && x + width > WIDTH + 14.0 {
                (x, y) = (0.0, y + ROW_HEIGHT);
            }
            drawing.line((x, y), (x + 20.0, y), &line_class(series));
            if series.marks == Marks::Points {
                drawing.push(format_args!("{}", mark((x + 10.0, y), series.colour, "")));
            }
            drawing.text((x + 26.0, y + 4.5), "", Anchor::Start, &name);
            x += width;
        }
        if self.series.iter().any(|series| !series.planned.is_empty()) {
            y += ROW_HEIGHT;
            drawing.push(format_args!("{}", ring((10.0, y), None, "")));
            drawing.text((26.0, y + 4.5), "", Anchor::Start, "ring: planned");
        }
        y + ROW_HEIGHT
    }

    fn draw_axes(&self, drawing: &mut Drawing, plot: &Plot) {
        let (right, bottom) = (WIDTH - RIGHT, plot.top + PLOT_HEIGHT);
        for (value, text) in &plot.y.ticks {
            let y = plot.y_at(*value);
            drawing.line((plot.left, y), (right, y), "grid");
            drawing.text((plot.left - 6.0, y + 4.0), "small", Anchor::End, text);
        }
        drawing.line((plot.left, bottom), (right, bottom), "axis");
        let mut free_from = f64::NEG_INFINITY;
        for (value, text) in &plot.x.ticks {
            let x = plot.x_at(*value);
            drawing.line((x, bottom), (x, bottom + 4.0), "axis");
            let half = text_width(text, 12.0) / 2.0;
            if x - half >= free_from {
                drawing.text((x, bottom + 18.0), "small", Anchor::Middle, text);
                free_from = x + half + 6.0;
            }
        }
        let middle = plot.left + (right - plot.left) / 2.0;
        drawing.text((middle, bottom + 36.0), "small", Anchor::Middle, &self.x.label);
    }

    /// One row of crosses for each line that ran out of memory somewhere.
    fn draw_out_of_memory(&self, drawing: &mut Drawing, plot: &Plot, top: f64) {
        let mut y = top;
        for series in self.series.iter().filter(|s| !s.out_of_memory.is_empty()) {
            let width = WIDTH - RIGHT - plot.left;
            drawing.push(format_args!(
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" class=\"strip\"/>",
                plot.left,
                ROW_HEIGHT - 2.0
            ));
            if y == top {
                drawing.text((plot.left + 6.0, y + 12.0), "small", Anchor::Start, "out of memory");
            }
            for value in series.out_of_memory.iter().filter(|x| self.x.scale.shows(**x)) {
                let (x, y) = (plot.x_at(*value), y + 8.0);
                drawing.push(format_args!(
                    "<path d=\"M{:.1} {:.1}l9 9m0 -9l-9 9\" class=\"cross l{}\"><title>{}</title></path>",
                    x - 4.5,
                    y - 4.5,
                    series.colour % NUM_SERIES_COLOURS,
                    escape(&format!("{}: out of memory at {}", series.name, self.x.unit.text(*value)))
                ));
            }
            y += ROW_HEIGHT;
        }
    }

    fn draw_limit(&self, drawing: &mut Drawing, plot: &Plot) {
        let Some((value, name)) = self.limit.as_ref().filter(|(value, _)| self.y.scale.shows(*value)) else { return };
        let (y, right) = (plot.y_at(*value), WIDTH - RIGHT);
        drawing.line((plot.left, y), (right, y), "chance");
        drawing.text((plot.left + 6.0, y - 4.0), "small", Anchor::Start, name);
    }

    fn draw_band(&self, drawing: &mut Drawing, plot: &Plot, series: &Series) {
        let shown = |(x, low, high): &&(f64, f64, f64)| self.shows(*x, *low) && self.shows(*x, *high);
        let band: Vec<_> = series.band.iter().filter(shown).collect();
        let upper = band.iter().map(|(x, _, high)| (*x, *high));
        let lower = band.iter().rev().map(|(x, low, _)| (*x, *low));
        let mut path = String::new();
        for (x, y) in upper.chain(lower) {
            write!(path, "{:.1},{:.1} ", plot.x_at(x), plot.y_at(y)).expect("writing to a String cannot fail");
        }
        if !path.is_empty() {
            let colour = series.colour % NUM_SERIES_COLOURS;
            drawing.push(format_args!("<polygon points=\"{}\" class=\"band f{colour}\"/>", path.trim_end()));
        }
    }

    fn draw_series(&self, drawing: &mut Drawing, plot: &Plot, series: &Series) {
        let mut path = String::new();
        let mut pen_down = false;
        for (x, y) in &series.points {
            let shown = self.shows(*x, *y);
            if shown {
                let command = if pen_down { 'L' } else { 'M' };
                write!(path, "{command}{:.1} {:.1}", plot.x_at(*x), plot.y_at(*y))
                    .expect("writing to a String cannot fail");
            }
            pen_down = shown;
        }
        if !path.is_empty() {
            drawing.push(format_args!("<path d=\"{path}\" class=\"{}\"/>", line_class(series)));
        }
        let hint = |x: f64, y: f64| format!("{}: {} at {}", series.name, self.y.unit.text(y), self.x.unit.text(x));
        if series.marks == Marks::Points {
            for (x, y) in series.points.iter().filter(|(x, y)| self.shows(*x, *y)) {
                drawing.push(format_args!("{}", mark((plot.x_at(*x), plot.y_at(*y)), series.colour, &hint(*x, *y))));
            }
        }
        for (x, y) in series.planned.iter().filter(|(x, y)| self.shows(*x, *y)) {
            let hint = format!("{}, planned", hint(*x, *y));
            drawing.push(format_args!("{}", ring((plot.x_at(*x), plot.y_at(*y)), Some(series.colour), &hint)));
        }
    }
}

/// A ring around where a point was planned, wide enough to be seen around the point itself.
fn ring((x, y): (f64, f64), colour: Option<usize>, hint: &str) -> String {
    let colour = colour.map_or_else(|| "axis".to_owned(), |colour| format!("l{}", colour % NUM_SERIES_COLOURS));
    let hint = if hint.is_empty() { String::new() } else { format!("<title>{}</title>", escape(hint)) };
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\" class=\"ring {colour}\">{hint}</circle>")
}

fn line_class(series: &Series) -> String {
    let dashed = if series.colour >= NUM_SERIES_COLOURS { " dashed" } else { "" };
    format!("line l{}{dashed}", series.colour % NUM_SERIES_COLOURS)
}

/// A mark whose shape goes with its colour, so that colour is never the only difference.
fn mark((x, y): (f64, f64), colour: usize, hint: &str) -> String {
    let shape = match colour % 4 {
        0 => format!("M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", x - 4.5),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
        _ => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
    };
    let hint = if hint.is_empty() { String::new() } else { format!("<title>{}</title>", escape(hint)) };
    format!("<path d=\"{shape}\" class=\"mark f{}\">{hint}</path>", colour % NUM_SERIES_COLOURS)
}
