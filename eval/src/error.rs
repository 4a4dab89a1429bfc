use std::path::PathBuf;

/// What can be wrong with features or with what is asked of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Features, labels and groups are not of one number of clips, or there are none.
    #[error("{values} feature values of width {width}, {labels} labels and {groups} groups do not make a set of clips")]
    Counts {
        /// Feature values in all.
        values: usize,
        /// Values per clip.
        width: usize,
        /// Labels, one per clip.
        labels: usize,
        /// Groups, one per clip.
        groups: usize,
    },
    /// A feature is NaN or infinite: the encoder diverged.
    #[error("feature {column} of clip {clip} is {value}; the encoder gives no usable features")]
    NotFinite {
        /// Number of the clip in its set.
        clip: usize,
        /// Number of the feature.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// A label names no class.
    #[error("clip {clip} has label {label}, but classes are numbered from 0 to below {num_classes}")]
    Label {
        /// Number of the clip in its set.
        clip: usize,
        /// Its label.
        label: i64,
        /// Number of classes.
        num_classes: usize,
    },
    /// Training and test features come from different encoders or poolings.
    #[error("training features have {train} values, test features {test}")]
    Widths {
        /// Values per training clip.
        train: usize,
        /// Values per test clip.
        test: usize,
    },
    /// A group stands in training and test: the test would measure memory.
    #[error("{} group(s) stand in both training and test: {}; split by group", groups.len(), first_few(groups))]
    SharedGroups {
        /// The groups, sorted.
        groups: Vec<String>,
    },
    /// The spans of time are not equal.
    #[error("{parts} spans of time do not divide {frames} latent frames")]
    TimeParts {
        /// Spans asked for.
        parts: i64,
        /// Latent frames of the clip.
        frames: i64,
    },
    /// A setting lies outside what makes sense.
    #[error("{key} = {value} is out of range: it must be {rule}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: f64,
        /// The condition that failed, readable after "it must be".
        rule: &'static str,
    },
    /// All training clips are of one group, so none can be held out to choose a setting.
    #[error("all training clips are of the group {group:?}: nothing can be held out to choose the penalty; fix it")]
    OneGroup {
        /// The group.
        group: String,
    },
    /// A joint head is asked to learn labels that it has no output for.
    #[error("no training clip has the labels {labels:?} together: a joint head has no output for them")]
    Combination {
        /// One for each label space.
        labels: Vec<i64>,
    },
    /// Scores are not of the label spaces that are needed.
    #[error("the scores are of [{}]: needed is {expected}", found.join(", "))]
    ScoreSpaces {
        /// Name and number of classes of each label space of the scores.
        found: Vec<String>,
        /// What is needed instead.
        expected: String,
    },
    /// A clip has scores already.
    #[error("clip {id:?} has scores twice")]
    ScoreTwice {
        /// Name of the clip.
        id: String,
    },
    /// A clip has more or fewer scores than its views and classes make.
    #[error(
        "clip {id:?} has {found} {space} scores: {num_views} view(s) of {num_classes} classes make {}",
        num_views * num_classes
    )]
    ScoreCount {
        /// Name of the clip.
        id: String,
        /// The label space.
        space: String,
        /// Scores that it has.
        found: usize,
        /// Its views; where they are kept, as the first label space has them.
        num_views: usize,
        /// Classes of the label space.
        num_classes: usize,
    },
    /// A score is NaN, infinite, or no probability where it should be one.
    #[error("the {space} score of clip {id:?} for class {class} is {value}: it must be {rule}")]
    ScoreValue {
        /// Name of the clip.
        id: String,
        /// The label space.
        space: String,
        /// Number of the class.
        class: usize,
        /// What stands there.
        value: f32,
        /// The condition that failed, readable after "it must be".
        rule: &'static str,
    },
    /// There are no scores at all.
    #[error("there are no scores: the table has no clip")]
    EmptyScores,
    /// Scores of a clip that the annotations do not have.
    #[error("row {row} of the scores is of clip {id:?}, which the annotations do not have: are they of another split?")]
    ScoreUnknown {
        /// Number of the clip among the scores, from 0.
        row: usize,
        /// Its name.
        id: String,
    },
    /// Annotated clips have no scores, and nothing was said of what they count as.
    #[error(
        "{} of {num_annotated} annotated clips have no scores: {}; say --missing wrong, or --missing left-out, for a partial evaluation",
        ids.len(), first_few(ids)
    )]
    ScoresMissing {
        /// Their names, in the order of the annotations.
        ids: Vec<String>,
        /// Clips of the annotations.
        num_annotated: usize,
    },
    /// A test set has no clip, or no label space.
    #[error("the test set is empty: it has no labelled clip")]
    EmptyTruth,
    /// A clip of a test set lacks a label, or has one that is no class.
    #[error("clip {id:?} has the labels {labels:?}: needed is one for each label space, below {num_classes:?}")]
    TruthLabel {
        /// Name of the clip.
        id: String,
        /// Its labels.
        labels: Vec<usize>,
        /// Classes of each label space.
        num_classes: Vec<usize>,
    },
    /// A test set has a clip twice.
    #[error("the annotations have clip {id:?} twice")]
    TruthTwice {
        /// Name of the clip.
        id: String,
    },
    /// No protocol has this name.
    #[error("no protocol is called {name:?}: there are diving48-v2, epic100, plain")]
    UnknownProtocol {
        /// What was given.
        name: String,
    },
    /// A network for the Frechet video distance is no TorchScript, or is not there.
    #[error("{path:?} is no TorchScript module: give a file that torch.jit.save wrote, such as i3d_torchscript.pt")]
    NoTorchScript {
        /// The file.
        path: PathBuf,
        /// What libtorch said.
        source: tch::TchError,
    },
    /// A network for the Frechet video distance cannot be called as [`crate::I3d`] does.
    #[error("{path:?} does not answer to forward(clip, rescale, resize, return_features), as StyleGAN-V's I3D does")]
    I3d {
        /// The file.
        path: PathBuf,
        /// What libtorch said.
        source: tch::TchError,
    },
    /// A network for the Frechet video distance gives something else than features.
    #[error("{path:?} gives {given} for one clip; features of the shape [1, D] with D up to 4096 are needed")]
    I3dShape {
        /// The file.
        path: PathBuf,
        /// What it gives.
        given: String,
    },
    /// libtorch failed.
    #[error(transparent)]
    Nn(#[from] nn::NnError),
}

/// The names, or the first five of them.
fn first_few(groups: &[String]) -> String {
    let shown = groups.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if groups.len() > 5 { shown + ", ..." } else { shown }
}
