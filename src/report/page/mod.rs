//! One HTML page that holds everything it shows: no network, no script.

mod blocks;

use std::fmt::Write as _;

use super::theme::{CHART_CSS, escape, variables};
pub(crate) use blocks::{Align, Block, Figure, Table};

/// A page; [`Page::html`] writes it. All text is plain text and is escaped on the way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// Heading and window title.
    pub(crate) title: String,
    /// What the reader should know first, as (name, value): date, machine, total time.
    pub(crate) facts: Vec<(String, String)>,
    /// What went wrong or is about to, one sentence each: stands above everything else.
    pub(crate) alarms: Vec<String>,
    /// The content, in order.
    pub(crate) sections: Vec<Section>,
    /// Small print, as (name, value): versions and the commands that were used.
    pub(crate) footer: Vec<(String, String)>,
}

/// A part of the page with its own entry in the table of contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// Heading.
    pub(crate) title: String,
    /// One sentence on what is to be seen here.
    pub(crate) intro: String,
    /// What is shown.
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    /// A section that has nothing in it yet.
    pub(crate) fn new(title: &str, intro: &str) -> Self {
        Section { title: title.to_owned(), intro: intro.to_owned(), blocks: Vec::new() }
    }

    /// The section with one more block.
    #[must_use]
    pub(crate) fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

impl Page {
    /// The page as one HTML document.
    pub(crate) fn html(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{}{}{CHART_CSS}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n",
            variables(),
            include_str!("page.css"),
        );
        push_pairs(&mut html, "facts", &self.facts);
        blocks::push_notes(&mut html, &self.alarms);
        html.push_str("</header>\n");
        self.push_contents(&mut html);
        html.push_str("<main>\n");
        for (number, section) in self.sections.iter().enumerate() {
            let (title, intro) = (escape(&section.title), escape(&section.intro));
            push(
                &mut html,
                format_args!("<section id=\"s{number}\">\n<h2>{title}</h2>\n<p class=\"intro\">{intro}</p>\n"),
            );
            for block in &section.blocks {
                block.push_html(&mut html);
            }
            html.push_str("</section>\n");
        }
        html.push_str("</main>\n<footer>\n");
        push_pairs(&mut html, "versions", &self.footer);
        html.push_str("</footer>\n</body>\n</html>\n");
        html
    }

    fn push_contents(&self, html: &mut String) {
        if self.sections.len() < 2 {
            return;
        }
        html.push_str("<nav aria-label=\"Contents\"><ol>");
        for (number, section) in self.sections.iter().enumerate() {
            push(html, format_args!("<li><a href=\"#s{number}\">{}</a></li>", escape(&section.title)));
        }
        html.push_str("</ol></nav>\n");
    }
}

fn push(html: &mut String, element: std::fmt::Arguments<'_>) {
    html.write_fmt(element).expect("writing to a String cannot fail");
}

fn push_pairs(html: &mut String, class: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    push(html, format_args!("<dl class=\"{class}\">"));
    for (name, value) in pairs {
        push(html, format_args!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value)));
    }
    html.push_str("</dl>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::picture::Picture;

    const EVIL: &str = "<img src=x onerror=\"alert('1')\"> & co";

    #[test]
    fn text_from_a_run_cannot_become_markup() {
        let text = || EVIL.to_owned();
        let mut table = Table::new(&[(EVIL, Align::Left)]);
        table.push(vec![text()]);
        let picture = Picture::new(1, 1, vec![0; 3]).unwrap();
        let section = Section::new(EVIL, EVIL)
            .with(Block::Heading(text()))
            .with(Block::Text(text()))
            .with(Block::Notes(vec![text()]))
            .with(Block::Table(table))
            .with(Block::Pictures(vec![Figure::from_png(picture.png(), EVIL).unwrap()]))
            .with(Block::FoldedPictures {
                summary: text(),
                figures: vec![Figure::from_png(picture.png(), EVIL).unwrap()],
            })
            .with(Block::Fold { summary: text(), text: text() });
        let (facts, footer) = (vec![(text(), text())], vec![(text(), text())]);
        let alarms = vec![text()];
        let page = Page { title: text(), facts, alarms, sections: vec![section.clone(), section], footer };
        let html = page.html();
        assert!(!html.contains("<img src=x") && !html.contains("onerror=\"alert"), "{html}");
        let escaped = "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; co";
        // Title (2), facts (2), alarm, footer (2); then per section: contents, heading, intro and the blocks' twelve.
        assert_eq!(html.matches(escaped).count(), 2 + 2 + 1 + 2 + 2 * (3 + 12));
    }

    #[test]
    fn a_page_asks_for_nothing_from_outside() {
        let picture = Picture::new(1, 1, vec![0; 3]).unwrap();
        let section = Section::new("a", "b").with(Block::Pictures(vec![Figure::from_png(picture.png(), "c").unwrap()]));
        let html = Page { sections: vec![section], ..Page::default() }.html();
        assert!(html.contains("src=\"data:image/png;base64,iVBORw0KGgo"), "{html}");
        for outside in ["src=\"http", "href=\"http", "url(", "@import", "<script", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
