use super::scale::{Axis, Ends};
use super::{Anchor, Drawing, WIDTH, fitted, text_width};
use crate::report::theme::{NUM_SERIES_COLOURS, escape};

/// Horizontal bars from zero, each under its name and value.
#[derive(Clone, Debug)]
pub(crate) struct BarChart {
    /// Heading of the chart.
    pub(crate) title: String,
    /// The axis along which bars grow.
    pub(crate) axis: Axis,
    /// The bars, from the top.
    pub(crate) bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bar {
    /// Name above the bar.
    pub(crate) name: String,
    /// Length.
    pub(crate) value: f64,
    /// `(low, high)` of the whisker: the spread or interval of the value.
    pub(crate) spread: Option<(f64, f64)>,
    /// What guessing would give: a dashed line across the bar.
    pub(crate) chance: Option<f64>,
    /// Number of the colour.
    pub(crate) colour: usize,
}

const ROW_HEIGHT: f64 = 44.0;
const BAR_HEIGHT: f64 = 14.0;
const SIDE: f64 = 14.0;

impl BarChart {
    /// Lays the chart out.
    pub(crate) fn draw(&self) -> Drawing {
        let mut drawing = Drawing::new(&self.title);
        let ends = |b: &Bar| [b.value, b.spread.map_or(0.0, |s| s.1), b.chance.unwrap_or(0.0)];
        let range = self.axis.fit(self.bars.iter().flat_map(ends), Ends::AtTicks);
        let x_at = |value: f64| SIDE + range.place(value) * (WIDTH - 2.0 * SIDE);
        let (top, bottom) = (30.0, 30.0 + self.bars.len() as f64 * ROW_HEIGHT + 4.0);
        for (value, text) in &range.ticks {
            let x = x_at(*value);
            drawing.text((x, bottom + 16.0), "small", Anchor::Middle, text);
            drawing.line((x, bottom), (x, bottom + 4.0), "axis");
        }
        drawing.line((SIDE, bottom), (WIDTH - SIDE, bottom), "axis");
        for (row, bar) in self.bars.iter().enumerate() {
            let y = top + row as f64 * ROW_HEIGHT;
            let place = |value: f64| if value.is_finite() { x_at(value.max(0.0)) } else { SIDE };
            self.draw_bar(&mut drawing, bar, y, &place);
        }
        drawing.text((WIDTH / 2.0, bottom + 34.0), "small", Anchor::Middle, &fitted(&self.axis.label, 12.0, WIDTH));
        drawing.height = bottom + 40.0;
        drawing
    }

    fn draw_bar(&self, drawing: &mut Drawing, bar: &Bar, top: f64, x_at: &dyn Fn(f64) -> f64) {
        let value = self.axis.unit.text(bar.value);
        let room = WIDTH - 2.0 * SIDE - text_width(&value, 13.0) - 16.0;
        drawing.text((SIDE, top + 15.0), "", Anchor::Start, &fitted(&bar.name, 13.0, room));
        drawing.text((WIDTH - SIDE, top + 15.0), "value", Anchor::End, &value);
        let (y, middle) = (top + 22.0, top + 22.0 + BAR_HEIGHT / 2.0);
        drawing.push(format_args!(
            "<rect x=\"{SIDE:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\" class=\"f{}\">\
             <title>{}</title></rect>",
            x_at(bar.value) - SIDE,
            bar.colour % NUM_SERIES_COLOURS,
            escape(&format!("{}: {value}", bar.name))
        ));
        if let Some((low, high)) = bar.spread {
            let (low, high) = (x_at(low), x_at(high));
            drawing.line((low, middle), (high, middle), "whisker");
            drawing.line((low, middle - 4.0), (low, middle + 4.0), "whisker");
            drawing.line((high, middle - 4.0), (high, middle + 4.0), "whisker");
        }
        if let Some(chance) = bar.chance {
            let x = x_at(chance);
            drawing.line((x, y - 3.0), (x, y + BAR_HEIGHT + 3.0), "chance");
        }
    }
}
