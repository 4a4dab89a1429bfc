use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::SpecError;

/// A preset as written, after `--set`, before it is given a type.
#[derive(Clone, Debug)]
pub struct Preset {
    origin: String,
    table: Table,
}

impl Preset {
    /// Finds `name` among the built-in presets `(name, text)`, else reads it as a file.
    ///
    /// # Errors
    /// [`SpecError::NoSuchPreset`] with the nearest name, [`SpecError::Read`], [`SpecError::Parse`].
    pub fn load(name: &str, builtin: &[(&str, &str)]) -> Result<Self, SpecError> {
        let text = match builtin.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (*text).to_owned(),
            None => {
                let path = Path::new(name);
                if !path.is_file() {
                    let names: Vec<&str> = builtin.iter().map(|(known, _)| *known).collect();
                    return Err(SpecError::NoSuchPreset {
                        name: name.to_owned(),
                        hint: did_you_mean(name, &names),
                        known: names.join(", "),
                    });
                }
                std::fs::read_to_string(path).map_err(|source| SpecError::Read { path: path.to_owned(), source })?
            }
        };
        Self::from_text(name, &text)
    }

    /// Reads a preset from its text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`SpecError::Parse`] when the text is not TOML.
    pub fn from_text(origin: &str, text: &str) -> Result<Self, SpecError> {
        let table = text.parse::<Table>().map_err(|err| parse_error((origin, text), &err))?;
        Ok(Preset { origin: origin.to_owned(), table })
    }

    /// Applies `section.key=value` overrides in order. The value is read as TOML (`50`, `true`, `[2, 8, 8]`,
    /// `{ kind = "none" }`); what is not TOML is taken as a string. Only keys that the preset has can be set.
    ///
    /// # Errors
    /// [`SpecError::SetForm`], [`SpecError::SetKey`] with the nearest key.
    pub fn set(mut self, overrides: &[String]) -> Result<Self, SpecError> {
        for given in overrides {
            let (key, value) = given.split_once('=').ok_or_else(|| SpecError::SetForm { given: given.clone() })?;
            let mut known = Vec::new();
            dotted_keys("", &self.table, &mut known);
            let key = key.trim();
            if !known.iter().any(|k| k == key) {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                return Err(SpecError::SetKey { key: key.to_owned(), hint: did_you_mean(key, &known) });
            }
            let value = value.trim();
            let value = format!("v = {value}")
                .parse::<Table>()
                .ok()
                .and_then(|mut t| t.remove("v"))
                .unwrap_or_else(|| Value::String(value.to_owned()));
            replace(&mut self.table, key, value);
        }
        Ok(self)
    }

    /// Gives the preset its type; unknown keys are refused by name.
    ///
    /// # Errors
    /// [`SpecError::Parse`] with the nearest known key.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, SpecError> {
        // Not through text: its lines would not be those of the user's file.
        self.table.clone().try_into().map_err(|err| parse_error((&self.origin, ""), &err))
    }

    /// The resolved preset as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.table).unwrap_or_default()
    }
}

/// The candidate that `word` was most likely meant to be, if any is close enough to be worth saying.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A name cut short is what people type first.
    let distance = |k: &str| if !word.is_empty() && k.starts_with(word) { 0 } else { edit_distance(word, k) };
    let best = known.iter().map(|k| (distance(k), *k)).min()?;
    (best.0 <= 2.max(word.len() / 3)).then_some(best.1)
}

fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map(|k| format!("; did you mean {k:?}?")).unwrap_or_default()
}

/// Turns serde's "unknown field `a`, expected one of `b`, `c`" into the same with a suggestion.
///
/// * `text` - what was parsed, to tell the line; a table has none, and the error names its section instead
fn parse_error((origin, text): (&str, &str), err: &toml::de::Error) -> SpecError {
    let said = err.message();
    let message = match err.span() {
        Some(span) => format!("line {}: {said}", text[..span.start].matches('\n').count() + 1),
        None => err.to_string().trim_end().replace('\n', " "),
    };
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let hint = match quoted.split_first() {
        Some((word, known)) if said.starts_with("unknown") => did_you_mean(word, known),
        _ => String::new(),
    };
    SpecError::Parse { origin: origin.to_owned(), message, hint }
}

fn dotted_keys(prefix: &str, table: &Table, out: &mut Vec<String>) {
    for (key, value) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if let Value::Table(inner) = value {
            dotted_keys(&full, inner, out);
        }
        out.push(full);
    }
}

fn replace(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(head) {
                replace(inner, rest, value);
            }
        }
    }
}

/// Levenshtein distance over bytes; keys are ASCII.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        train: Train,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Train {
        steps: i64,
        mask: Mask,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Mask {
        None,
        Random { share: f64 },
    }

    const TEXT: &str = "[train]\nsteps = 5\nmask = { kind = \"random\", share = 0.5 }\n";

    fn preset(sets: &[&str]) -> Result<Whole, SpecError> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Preset::from_text("test", TEXT)?.set(&sets)?.parse()
    }

    #[test]
    fn set_replaces_numbers_and_whole_tables() {
        let got = preset(&["train.steps=50", "train.mask={ kind = \"none\" }"]).unwrap();
        assert_eq!(got, Whole { train: Train { steps: 50, mask: Mask::None } });
        assert_eq!(preset(&["train.mask.share=0.25"]).unwrap().train.mask, Mask::Random { share: 0.25 });
    }

    #[test]
    fn a_misspelled_set_key_is_refused_with_the_nearest() {
        let said = preset(&["train.stepz=50"]).unwrap_err().to_string();
        assert_eq!(said, "--set names an unknown key \"train.stepz\"; did you mean \"train.steps\"?");
        assert!(matches!(preset(&["train.steps"]), Err(SpecError::SetForm { .. })));
    }

    #[test]
    fn a_misspelled_key_in_a_preset_is_refused_with_section_and_nearest() {
        let text = TEXT.replace("steps", "stepps");
        let said = Preset::from_text("mine.toml", &text).unwrap().parse::<Whole>().unwrap_err().to_string();
        assert!(said.contains("mine.toml"), "{said}");
        assert!(said.contains("in `train`"), "{said}");
        assert!(said.contains("did you mean \"steps\"?"), "{said}");
    }

    #[test]
    fn a_text_that_is_not_toml_is_refused_with_its_line_on_one_line() {
        let said = Preset::from_text("mine.toml", "[train]\nsteps = 5 steps\n").unwrap_err().to_string();
        assert!(said.starts_with("preset mine.toml: line 2: ") && said.lines().count() == 1, "{said}");
    }

    #[test]
    fn an_unknown_preset_names_the_nearest() {
        let said =
            Preset::load("lvmae-tiny", &[("lvmae-tiny-128f", ""), ("lvmae-b-128f", "")]).unwrap_err().to_string();
        assert!(said.contains("did you mean"), "{said}");
        assert!(said.contains("presets: lvmae-tiny-128f, lvmae-b-128f"), "{said}");
    }

    #[test]
    fn edit_distance_counts_single_edits() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
