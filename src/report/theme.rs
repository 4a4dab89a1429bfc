//! Colours of pages and charts, once for light and once for dark.

/// Name of the CSS variable, value on white, value on dark.
///
/// The series colours are Okabe and Ito's, which readers with any of the common colour deficiencies can tell apart
/// ("Color Universal Design", 2008), darkened where they were too pale for a line on white and lightened for dark.
const COLOURS: [(&str, &str, &str); 15] = [
    ("paper", "#ffffff", "#14171c"),
    ("raised", "#f6f7f9", "#1d2128"),
    ("ink", "#1b1f24", "#e4e7eb"),
    ("muted", "#5b6470", "#9aa4b1"),
    ("rule", "#dde1e6", "#323842"),
    ("link", "#0b62a8", "#6bb6f2"),
    ("warn", "#8a4b00", "#f0b35a"),
    ("warn-paper", "#fff6e5", "#2b2416"),
    ("s0", "#0072b2", "#4aa8e8"),
    ("s1", "#d55e00", "#ff8a3d"),
    ("s2", "#00896a", "#2bc49c"),
    ("s3", "#b3558f", "#e08cc0"),
    ("s4", "#b58900", "#e8c14a"),
    ("s5", "#3f8fc4", "#8fd0f7"),
    ("s6", "#4d5560", "#c3cad3"),
];

/// How many series colours there are; charts begin again, dashed, behind the last.
pub(super) const NUM_SERIES_COLOURS: usize = 7;

/// What charts look like; the variables are the page's.
pub(super) const CHART_CSS: &str = include_str!("chart.css");

/// Defines the variables for a page, light unless the reader's system asks for dark.
pub(super) fn variables() -> String {
    let block = |pick: fn(&(&str, &str, &str)) -> String| COLOURS.iter().map(pick).collect::<String>();
    let light = block(|(name, light, _)| format!("--{name}:{light};"));
    let dark = block(|(name, _, dark)| format!("--{name}:{dark};"));
    format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

/// The chart's CSS with every variable replaced by its light value, for files that stand alone: not every program that
/// shows SVG knows CSS variables.
pub(super) fn light_chart_css() -> String {
    COLOURS.iter().fold(CHART_CSS.to_owned(), |css, (name, light, _)| css.replace(&format!("var(--{name})"), light))
}

/// Text made safe for HTML and SVG, in content and in quoted attributes. Characters that XML forbids become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
        assert_eq!(escape("bell\u{7} stays on\none line"), "bell\u{fffd} stays on\none line");
    }

    #[test]
    fn standalone_charts_use_no_variable() {
        assert!(CHART_CSS.contains("var(--ink)"));
        assert!(!light_chart_css().contains("var("));
    }
}
