//! A service's file of variables as far as the gateway's settings are concerned: which lines that systemd leaves out would
//! have set one.

use super::section::settings;
use super::source::environment_file::{EnvironmentFile, LeftOut};
use super::source::message::Message;
use super::source::problem::{Problem, Source};

/// Most lines that are told of such a file.
pub(super) const MOST_LINES: usize = 10;

/// What the text of such a file has.
pub(crate) fn environment_file(path: &str, text: &str) -> EnvironmentFile {
    EnvironmentFile::parse(path, text, &|name| settings::variables().any(|known| known == name))
}

/// The lines that systemd leaves out of it.
#[derive(Debug, Default)]
pub(crate) struct LinesLeftOut {
    /// Those that would have set something: without it the gateway would do something else than its operator believes, such as
    /// send keys to the default upstream.
    pub errors: Vec<Problem>,
    /// The others.
    pub warnings: Vec<Problem>,
}

/// What is to be said of them, a few of each.
pub(crate) fn lines_left_out(file: &EnvironmentFile) -> LinesLeftOut {
    let mut found = LinesLeftOut::default();
    for LeftOut { line, meant, is_export } in &file.left_out {
        let path = file.path.clone();
        let (list, what) = match meant.clone() {
            // The line itself may hold a key.
            None => (&mut found.warnings, Message::LineLeftOut),
            Some(name) if *is_export => (&mut found.errors, Message::ExportLeftOut { name, line: *line as u64, path }),
            Some(name) => (&mut found.errors, Message::SettingLeftOut { name, path }),
        };
        if list.len() < MOST_LINES {
            list.push(in_line(file, *line, what));
        }
    }
    found
}

/// Something about a line of it.
pub(super) fn in_line(file: &EnvironmentFile, line: usize, what: Message) -> Problem {
    Problem { at: Source::File { path: file.path.clone(), line, column: 1 }, key: String::new(), what }
}
