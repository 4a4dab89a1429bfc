use std::path::PathBuf;

/// What can go wrong between a folder of videos and a batch of clips.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// No usable ffmpeg: not installed, not executable, or another program under that name.
    #[error("cannot run ffmpeg ({program:?}); run `make setup`, or set LONGVID_FFMPEG to the program")]
    NoFfmpeg {
        /// What was tried last.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {path:?}")]
    Io {
        /// What was attempted: "read", "write", "create" ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// HDF5 refused an operation on a store.
    #[error("cannot {action} store {path:?}")]
    Hdf5 {
        /// What was attempted.
        action: &'static str,
        /// The store.
        path: PathBuf,
        /// What HDF5 said.
        source: hdf5::Error,
    },
    /// The disk has too little room for the next video; everything before it is kept.
    #[error(
        "the disk of {path:?} is full: {free_bytes} bytes free, {needed_bytes} needed; make room and run the same command again to go on"
    )]
    DiskFull {
        /// The file being written.
        path: PathBuf,
        /// Bytes free for this user.
        free_bytes: u64,
        /// Bytes that the next write asks for, a margin included.
        needed_bytes: u64,
    },
    /// The file is not HDF5, is cut short, or lacks a part that every store has.
    #[error("{path:?} is not a readable {wanted} ({problem}); make it again")]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// The kind that was wanted: "clip store" or "token store".
        wanted: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A store of another kind was given.
    #[error("{path:?} is a {found}, but a {wanted} is wanted here")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// Its `format` attribute.
        found: String,
        /// The kind that was wanted.
        wanted: &'static str,
    },
    /// The store was written by a later version of this program.
    #[error(
        "{path:?} has format version {found}, this program reads up to {known}: update the program or make the store again"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its `format_version`.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The store was written by an earlier version of this program, whose tables were others.
    #[error("{path:?} has format version {found}, version {needed} is needed: {remedy}")]
    OlderFormat {
        /// The file.
        path: PathBuf,
        /// Its `format_version`.
        found: u32,
        /// The version read here.
        needed: u32,
        /// What to do: "import it again" or "encode it again".
        remedy: &'static str,
    },
    /// A label space was asked for that the store does not have.
    #[error("{path:?} has no labels {name:?}; it has: {known}")]
    UnknownLabelSpace {
        /// The store.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// The names of its label spaces, separated by commas.
        known: String,
    },
    /// A segment to be stored has not one label of each label space.
    #[error("segment {segment:?} has labels {labels:?}, which are not one of each of: {spaces}")]
    Labels {
        /// Id of the segment.
        segment: String,
        /// Its labels.
        labels: Vec<i32>,
        /// The names of the label spaces, separated by commas.
        spaces: String,
    },
    /// There is no store yet, but the command that makes it was interrupted.
    #[error("{path:?} is not finished: what makes it was interrupted; run the same command again to go on")]
    Unfinished {
        /// The store as it will be called.
        path: PathBuf,
    },
    /// A finished store of that name is already there.
    #[error("{path:?} already exists; remove it or choose another name")]
    Exists {
        /// The store.
        path: PathBuf,
    },
    /// Another process is writing the same store.
    #[error("{path:?} is being written by another process")]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// What an unfinished store was begun with differs from what is asked for now.
    #[error("{path:?} was begun with {field} = {found}, now it is {wanted}; remove that file to start again")]
    CannotResume {
        /// The unfinished file.
        path: PathBuf,
        /// The setting that differs.
        field: &'static str,
        /// Its value in the file.
        found: String,
        /// Its value now.
        wanted: String,
    },
    /// Stores that do not go together.
    #[error("{path:?} cannot be merged: {problem}")]
    CannotMerge {
        /// The store that does not fit.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The bytes of a store are not those that were written.
    #[error("{path:?} is damaged: {part:?} does not have its checksum; `longvid data verify` tells what else; {again}")]
    Damaged {
        /// The store.
        path: PathBuf,
        /// A video's name, or a segment's id.
        part: String,
        /// What to do: "import it again" or "encode it again".
        again: &'static str,
    },
    /// A token store does not belong to the clips it is used with.
    #[error("the token store has {field} = {found}, but {wanted} is needed; {remedy}")]
    TokenMismatch {
        /// The setting that differs.
        field: &'static str,
        /// Its value in the token store.
        found: String,
        /// The value of the clip store or the preset.
        wanted: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A token store was made from an earlier version of the clip store that it is used with: before videos were added, or
    /// under other labels.
    #[error(
        "{path:?} was made from an earlier version of this clip store and has tokens of {num_encoded} of its {num_segments} segments; `longvid tokenizer encode --from` that store copies them into a new one and encodes the rest"
    )]
    StaleTokens {
        /// The token store.
        path: PathBuf,
        /// Segments of the clip store whose very frames were encoded.
        num_encoded: usize,
        /// Segments of the clip store.
        num_segments: usize,
    },
    /// A stored code does not stand for anything.
    #[error(
        "{path:?}: segment {segment:?} has the code {code}, and the codebook {codebook_size} codes; `longvid data verify` tells what else is damaged; encode it again"
    )]
    UnknownCode {
        /// The token store.
        path: PathBuf,
        /// Id of the segment.
        segment: String,
        /// The first code that is too large.
        code: u32,
        /// The store's own.
        codebook_size: u64,
    },
    /// Stored tokens are used, and a setting would move pixels off the codes that were made from them.
    #[error(
        "{setting} would bring pixels out of register with stored tokens; {remedy}, or give --tokenizer instead of --tokens, so \
         that tokens are made of the clip as it is varied"
    )]
    OutOfRegister {
        /// The setting, in the preset's words.
        setting: &'static str,
        /// What may be used instead.
        remedy: &'static str,
    },
    /// A video, segment, frame or token outside what the store holds, or tokens of the wrong count.
    #[error("{what} {index} is out of range: it must be below {len}")]
    OutOfRange {
        /// What is counted: "video", "segment", "frame of video 3" ...
        what: String,
        /// What was asked for.
        index: u64,
        /// How many there are.
        len: u64,
    },
    /// A clip beside tokens cannot start or end there: tokens and pixels would not cover the same frames.
    #[error("a clip cannot be {num_frames} frames from {start_frame} on: both must be multiples of the patch's {step}")]
    ClipStart {
        /// The start asked for, frames of the timeline.
        start_frame: usize,
        /// The length asked for, frames.
        num_frames: usize,
        /// The patch's extent in time.
        step: usize,
    },
    /// Codes and priorities of one segment that differ in number or do not fill whole latent frames.
    #[error(
        "segment {segment}: {codes} codes and {priorities} priorities; both must be one positive multiple of {step}"
    )]
    TokenCount {
        /// The segment.
        segment: usize,
        /// Codes given.
        codes: usize,
        /// Priorities given.
        priorities: usize,
        /// Tokens of one latent frame.
        step: usize,
    },
    /// A stored picture cannot be decoded: the file was damaged after it was written.
    #[error("frame cannot be decoded as JPEG: {problem}")]
    Jpeg {
        /// What the decoder said.
        problem: String,
    },
    /// A picture cannot be made into JPEG or brought to another size.
    #[error("a picture of {width_px}x{height_px} pixels cannot be converted: {problem}")]
    Picture {
        /// Width.
        width_px: u32,
        /// Height.
        height_px: u32,
        /// What the codec said.
        problem: String,
    },
    /// A file of masks is not what `data synth dives --masks` writes, or is not of the video it is used with.
    #[error("{path:?} is no mask of that video: {problem}")]
    Mask {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The folder to import holds no file, or the filters leave none.
    #[error("nothing to import from {path:?}: {problem}")]
    NothingToImport {
        /// The folder.
        path: PathBuf,
        /// Why: "the folder is empty" ...
        problem: &'static str,
    },
    /// None of the files is a video that can be used.
    #[error("nothing to import from {path:?}: none of its {num_files} files is a usable video ({name}: {reason})")]
    AllRejected {
        /// The folder.
        path: PathBuf,
        /// Files in it.
        num_files: usize,
        /// The first of them.
        name: String,
        /// Why that one is not.
        reason: String,
    },
    /// A row of an annotation file is wrong.
    #[error("{path:?}, line {line}, field {field:?}: found {found}, expected {expected}")]
    Annotation {
        /// The annotation file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The field.
        field: String,
        /// What stands there.
        found: String,
        /// What should, readable after "expected".
        expected: String,
    },
    /// An import that must leave nothing out would leave something out.
    #[error("{what}: {count} ({first}); without --strict they are left out and listed")]
    Strict {
        /// What is wrong: "annotated videos missing" ...
        what: &'static str,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A manifest of an earlier check is not as it was written.
    #[error("manifest {path:?}, line {line}, field {field:?}: {problem}; make it again with `longvid data check`")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The column, or what else is wrong.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An option has a value that makes no sense.
    #[error("{option} = {value} is out of range: it must be {rule}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// The condition, readable after "it must be".
        rule: &'static str,
    },
    /// The user interrupted an import or a merge; what was done is kept.
    #[error("interrupted: {num_done} parts are kept, run the same command again to go on")]
    Interrupted {
        /// Files with a verdict, videos or segments so far.
        num_done: usize,
    },
    /// A loading or decoding thread ended by a panic: a bug of this program.
    #[error("a worker thread failed at {at}; this is a bug, please report it")]
    WorkerPanicked {
        /// Which work it was doing.
        at: String,
    },
    /// ffmpeg did not write a video to its end.
    #[error("ffmpeg cannot write {path:?}: {problem}")]
    Encode {
        /// The video.
        path: PathBuf,
        /// The last line that ffmpeg printed, or how it ended.
        problem: String,
    },
}
