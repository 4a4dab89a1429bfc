use super::Notes;

/// Warnings that tell of ffmpeg's own inner workings, not of the file.
const NOT_ABOUT_THE_FILE: [&str; 1] = ["deprecated pixel format used"];

/// What ffmpeg said under `-v level+warning`, by level.
#[derive(Debug, PartialEq)]
pub(super) struct Messages {
    /// Messages of level error, fatal or panic.
    pub(super) num_errors: usize,
    pub(super) first_error: Option<String>,
    /// Warnings.
    pub(super) notes: Option<Notes>,
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Error,
    Warning,
    Other,
}

impl Messages {
    /// Sorts `[h264 @ 0x55d0] [error] text` and the like. A line without a level belongs to the message before it; at
    /// the start it is an error, whoever wrote it.
    pub(super) fn read(said: &str) -> Self {
        let mut messages = Messages { num_errors: 0, first_error: None, notes: None };
        let mut before = None;
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let (level, text) = split(line);
            let continues = level.is_none() && before.is_some();
            before = level.or(before);
            match level.unwrap_or(Level::Error) {
                _ if continues => {}
                Level::Error => {
                    messages.num_errors += 1;
                    messages.first_error.get_or_insert_with(|| text.to_owned());
                }
                Level::Warning if !NOT_ABOUT_THE_FILE.iter().any(|known| text.contains(known)) => {
                    messages.notes.get_or_insert_with(|| Notes { num: 0, first: text.to_owned() }).num += 1;
                }
                Level::Warning | Level::Other => {}
            }
        }
        messages
    }
}

/// The level and the text without the parts that name the speaker and its address in memory.
fn split(line: &str) -> (Option<Level>, &str) {
    let mut rest = line.trim();
    while let Some((word, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once("] ")) {
        let level = match word {
            "panic" | "fatal" | "error" => Level::Error,
            "warning" => Level::Warning,
            "info" | "verbose" | "debug" | "trace" => Level::Other,
            speaker if speaker.contains(" @ 0x") => {
                rest = after;
                continue;
            }
            _ => break,
        };
        return (Some(level), after);
    }
    (None, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_warnings_are_told_apart_by_their_level() {
        let said = "[mov,mp4 @ 0x1f] [warning] Could not find codec parameters for stream 0 (Video: h264): no size\n\
                    Consider increasing the value for the 'analyzeduration' (0) option\n\
                    [swscaler @ 0x2] [warning] deprecated pixel format used, make sure you did set range correctly\n\
                    [vist#0:0/h264 @ 0x3] [dec:h264 @ 0x4] [error] Error submitting packet\n    Last message repeated 2 times\n\
                    [fatal] [error] is part of this text\n[warning] Packet corrupt (stream = 0).\n";
        let messages = Messages::read(said);
        assert_eq!(messages.num_errors, 2);
        assert_eq!(messages.first_error.as_deref(), Some("Error submitting packet"));
        let notes = messages.notes.unwrap();
        assert_eq!(notes.num, 2);
        assert_eq!(notes.first, "Could not find codec parameters for stream 0 (Video: h264): no size");
    }

    #[test]
    fn what_has_no_level_is_an_error() {
        let messages = Messages::read("\nmalloc(): corrupted top size\n");
        assert_eq!((messages.num_errors, messages.first_error.as_deref()), (1, Some("malloc(): corrupted top size")));
        assert_eq!(Messages::read(""), Messages { num_errors: 0, first_error: None, notes: None });
    }
}
