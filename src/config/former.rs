//! What those bring along who come from anyrouter-transparent-proxy, and what has no effect here: told instead of dropped in
//! silence. docs/migrating.md has all of its settings.

use super::files::DOTENV_FILE;
use super::section::settings;
use super::source::dotenv::{self, Says};
use super::source::message::Message;
use super::source::problem::{Problem, Source};
use super::source::settings_reader::Reader;
use super::source::text_file;
use std::path::Path;

/// Its variables that are none here, and what stands for them.
const VARIABLES: [(&str, &str); 6] = [
    ("LOG_PERSISTENCE_ENABLED", "GATEWAY_DB"),
    ("LOG_STORAGE_PATH", "GATEWAY_DB"),
    ("LOG_RETENTION_DAYS", "gateway.log.keep"),
    ("LOG_DAILY_LIMIT", "gateway.log.keep_size"),
    ("ENABLE_RELOAD", "gateway.watch"),
    ("FALLBACK_PORT", "PORT"),
];
/// Where it looked for its variables first.
const FORMER_DOTENV: &str = ".env";

/// Whether this is a variable of its that is none here.
pub(super) fn is_one(name: &str) -> bool {
    VARIABLES.iter().any(|(former, _)| *former == name)
}

/// Each such variable, and the file that it read and the gateway does not.
pub(super) fn find(reader: &Reader<'_>) -> Vec<Problem> {
    let set = VARIABLES.iter().filter_map(|(name, instead)| {
        let (_, at) = reader.variable(name)?;
        let what = Message::FormerVariable { name: (*name).to_owned(), instead: (*instead).to_owned() };
        Some(Problem { at, key: String::new(), what })
    });
    set.chain(file_elsewhere()).collect()
}

/// The file that it read, with a setting in it, while there is none where the gateway looks.
fn file_elsewhere() -> Option<Problem> {
    if Path::new(DOTENV_FILE).exists() {
        return None;
    }
    let text = text_file::read_again(Path::new(FORMER_DOTENV))?;
    let known: Vec<&str> = settings::variables().collect();
    let is_ours = |says: &Says| matches!(says, Says::Value { name, .. } if known.contains(&name.as_str()));
    let found = dotenv::parse(&text).into_iter().find(|statement| is_ours(&statement.says))?;
    let (line, column) = found.name_at;
    let at = Source::File { path: FORMER_DOTENV.to_owned(), line, column };
    Some(Problem { at, key: String::new(), what: Message::FileElsewhere { path: DOTENV_FILE.to_owned() } })
}
