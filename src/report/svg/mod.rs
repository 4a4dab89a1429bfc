//! Charts as SVG text: no script, no font, no fixed width.
//!
//! All charts share a drawing 400 units wide, so that their 13-unit text still reads when the page squeezes them onto
//! a telephone of 360 pixels.

mod bars;
mod confusion;
mod line;
mod scale;

use std::fmt::Write as _;

use super::theme::{escape, light_chart_css};
pub(crate) use bars::{Bar, BarChart};
pub(crate) use confusion::ConfusionChart;
pub(crate) use line::{LineChart, Marks, Series};
pub(crate) use scale::{Axis, Scale};

/// Width of every drawing, in its own units.
const WIDTH: f64 = 400.0;

/// Pixels per unit in a standalone file.
const STANDALONE_ZOOM: f64 = 1.5;

/// Width of an average character, as a share of the font size, over the common sans-serif fonts.
const CHAR_WIDTH: f64 = 0.57;

/// A finished chart.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    title: String,
    height: f64,
    body: String,
}

/// Which end of a text its position names.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    /// Starts a drawing with its title; what follows may begin at `y = 30`.
    fn new(title: &str) -> Self {
        let mut drawing = Drawing { title: title.to_owned(), height: 0.0, body: String::new() };
        drawing.text((0.0, 17.0), "title", Anchor::Start, &fitted(title, 15.0, WIDTH));
        drawing
    }

    /// An element for the inside of a page, which supplies the style and the width.
    pub(crate) fn inline(&self) -> String {
        self.element("", "")
    }

    /// A whole `.svg` file on white, with its own style.
    pub(crate) fn standalone(&self) -> String {
        let (width, height) = ((WIDTH + 40.0) * STANDALONE_ZOOM, (self.height + 30.0) * STANDALONE_ZOOM);
        let size = format!(" width=\"{width:.0}\" height=\"{height:.0}\" style=\"background:#ffffff\"");
        let style = format!(
            "<style>{}</style><rect x=\"-20\" y=\"-15\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            light_chart_css()
        );
        self.element(&size, &style) + "\n"
    }

    /// `head` is only given by standalone files, which also get a margin of 20 by 15 units.
    fn element(&self, attributes: &str, head: &str) -> String {
        let (x, y) = if head.is_empty() { (0.0, 0.0) } else { (20.0, 15.0) };
        let view = format!("{} {} {} {:.0}", -x, -y, WIDTH + 2.0 * x, self.height + 2.0 * y);
        let title = escape(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"{view}\" role=\"img\" \
             aria-label=\"{title}\"{attributes}>{head}{}</svg>",
            self.body
        )
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        ));
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.push(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("writing to a String cannot fail");
        self.body.push('\n');
    }
}

/// Estimated width of a text, in units.
fn text_width(text: &str, font_size: f64) -> f64 {
    text.chars().count() as f64 * font_size * CHAR_WIDTH
}

/// The text, cut with an ellipsis where it would be wider than `width`.
fn fitted(text: &str, font_size: f64, width: f64) -> String {
    let max_chars = (width / (font_size * CHAR_WIDTH)).floor().max(1.0) as usize;
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max_chars - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests;
