use std::path::PathBuf;

/// What can be wrong with a preset or with the geometry it asks for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// An axis of the clip is not a whole number of cubes.
    #[error("{axis} = {size} is not a multiple of the patch's {step}; nearest that are: {lower} and {upper}")]
    NotDivisible {
        /// Which setting, in the preset's own words (`clip.num_frames`, `clip.size_px`).
        axis: &'static str,
        /// The size asked for (frames or pixels).
        size: i64,
        /// The patch's extent on that axis.
        step: i64,
        /// The largest multiple of `step` below `size` (at least `step`).
        lower: i64,
        /// The smallest multiple of `step` above `size`.
        upper: i64,
    },
    /// A number lies outside what makes sense.
    #[error("{key} = {value} is out of range: it must be {rule}")]
    OutOfRange {
        /// The setting, in the preset's own words.
        key: &'static str,
        /// What was given.
        value: String,
        /// The condition that failed, readable after "it must be".
        rule: &'static str,
    },
    /// No preset of that name, and no file either.
    #[error("no preset and no file is called {name:?}{hint}; presets: {known}")]
    NoSuchPreset {
        /// What the user asked for.
        name: String,
        /// `; did you mean ...?` or empty.
        hint: String,
        /// The names that exist, comma separated.
        known: String,
    },
    /// The preset file cannot be read.
    #[error("cannot read preset {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The preset is not TOML, or a key or value does not fit.
    #[error("preset {origin}: {message}{hint}")]
    Parse {
        /// Preset name or file.
        origin: String,
        /// The parser's own message with line and column where it has them.
        message: String,
        /// `; did you mean ...?` or empty.
        hint: String,
    },
    /// `--set` was not of the form `key=value`.
    #[error("--set {given:?} is not of the form section.key=value")]
    SetForm {
        /// The argument as given.
        given: String,
    },
    /// `--set` names a key that the preset does not have.
    #[error("--set names an unknown key {key:?}{hint}")]
    SetKey {
        /// The dotted key as given.
        key: String,
        /// `; did you mean ...?` or empty.
        hint: String,
    },
}
