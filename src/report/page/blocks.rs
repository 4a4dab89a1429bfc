use std::io::Cursor;

use base64::Engine as _;

use super::push;
use crate::report::svg::Drawing;
use crate::report::theme::escape;

/// One piece of a section.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// Heading of what follows, within the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Warnings, one per line, set apart from the text.
    Notes(Vec<String>),
    /// Charts, two next to each other where the screen is wide enough.
    Charts(Vec<Drawing>),
    /// Pictures with captions.
    Pictures(Vec<Figure>),
    /// Pictures behind a line that unfolds them.
    FoldedPictures {
        /// The line.
        summary: String,
        /// What it unfolds.
        figures: Vec<Figure>,
    },
    /// A table.
    Table(Table),
    /// Fixed-width text behind a line that unfolds it.
    Fold {
        /// The line.
        summary: String,
        /// What it unfolds.
        text: String,
    },
}

/// A PNG picture with its caption, shown with whole pixels.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    png: Vec<u8>,
    width: u32,
    height: u32,
    caption: String,
}

/// How a column of a [`Table`] is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A table with one heading row.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Widest that a small picture is blown up to, CSS pixels.
const ZOOMED_WIDTH: u32 = 640;

impl Figure {
    /// A picture from a file's bytes; `None` when they do not start as a PNG.
    pub(crate) fn from_png(png: Vec<u8>, caption: &str) -> Option<Self> {
        let reader = png::Decoder::new(Cursor::new(&png)).read_info().ok()?;
        let (width, height) = reader.info().size();
        Some(Figure { png, width, height, caption: caption.to_owned() })
    }

    fn push_html(&self, html: &mut String) {
        let zoom = (ZOOMED_WIDTH / self.width).clamp(1, 4);
        let data = base64::engine::general_purpose::STANDARD.encode(&self.png);
        let caption = escape(&self.caption);
        push(
            html,
            format_args!(
                "<figure style=\"width:{}px\"><img width=\"{}\" height=\"{}\" alt=\"{caption}\" \
                 src=\"data:image/png;base64,{data}\"><figcaption>{caption}</figcaption></figure>\n",
                self.width * zoom,
                self.width,
                self.height,
            ),
        );
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        Table { columns: columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty, surplus ones are dropped.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        let mut cells = cells;
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    fn push_html(&self, html: &mut String) {
        let class = |align: Align| if align == Align::Right { " class=\"number\"" } else { "" };
        html.push_str("<div class=\"wide\"><table>\n<thead><tr>");
        for (name, align) in &self.columns {
            push(html, format_args!("<th{}>{}</th>", class(*align), escape(name)));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (cell, (_, align)) in row.iter().zip(&self.columns) {
                push(html, format_args!("<td{}>{}</td>", class(*align), escape(cell)));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
    }
}

impl Block {
    pub(super) fn push_html(&self, html: &mut String) {
        match self {
            Block::Heading(text) => push(html, format_args!("<h3>{}</h3>\n", escape(text))),
            Block::Text(text) => push(html, format_args!("<p>{}</p>\n", escape(text))),
            Block::Notes(notes) => push_notes(html, notes),
            Block::Charts(charts) => {
                html.push_str("<div class=\"charts\">\n");
                for chart in charts {
                    push(html, format_args!("<div>{}</div>\n", chart.inline()));
                }
                html.push_str("</div>\n");
            }
            Block::Pictures(figures) => push_figures(html, figures),
            Block::FoldedPictures { summary, figures } => {
                push(html, format_args!("<details><summary>{}</summary>\n", escape(summary)));
                push_figures(html, figures);
                html.push_str("</details>\n");
            }
            Block::Table(table) => table.push_html(html),
            Block::Fold { summary, text } => {
                let (summary, text) = (escape(summary), escape(text));
                push(html, format_args!("<details><summary>{summary}</summary><pre>{text}</pre></details>\n"));
            }
        }
    }
}

/// Warnings, one per line; nothing for none.
pub(super) fn push_notes(html: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    html.push_str("<ul class=\"notes\">");
    for note in notes {
        push(html, format_args!("<li>{}</li>", escape(note)));
    }
    html.push_str("</ul>\n");
}

fn push_figures(html: &mut String, figures: &[Figure]) {
    html.push_str("<div class=\"pictures\">\n");
    for figure in figures {
        figure.push_html(html);
    }
    html.push_str("</div>\n");
}
