//! The files that the configuration is read from: the YAML file, `env/.env`, and Pingora's part of the former.

use super::source::dotenv::{self, Says, Statement, Variable};
use super::source::environment::Lookup;
use super::source::environment_file::EnvironmentFile;
use super::source::message::Message;
use super::source::problem::{BUILT_IN_PATH, Problem, Source};
use super::source::text_file;
use super::source::typed::{self, Slip};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The file that is used when none is named, if it exists.
pub(crate) const DEFAULT_FILE: &str = "conf/gateway.yaml";
/// The same file as it was shipped.
pub(crate) const BUILT_IN: &str = include_str!("../../conf/gateway.yaml");
/// Variables that count where the environment has none.
pub(crate) const DOTENV_FILE: &str = "env/.env";
/// What is read besides the three texts of [`Texts`].
pub(super) const OTHER_FILES: [&str; 2] = [DOTENV_FILE, super::section::routes::KEY_MAPPINGS_FILE];

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The YAML file.
    pub file: Option<String>,
    /// Settings given as flags: key and text.
    pub overrides: Vec<(&'static str, String)>,
    /// The names of the process's own variables, of which one may be misspelt.
    pub(crate) variable_names: Vec<String>,
    /// What the file has from which systemd took the variables, if it did, to say where they stand.
    pub(crate) environment_file: Option<EnvironmentFile>,
}

impl Arguments {
    /// This YAML file, and nothing else.
    pub fn of_file(path: String) -> Self {
        Self { file: Some(path), ..Self::default() }
    }
}

/// The variables of `env/.env`, whatever else is wrong with that.
pub(crate) fn dotenv_variables() -> BTreeMap<String, String> {
    let read = read_dotenv(&mut Vec::new(), &mut Vec::new());
    read.into_iter().map(|(name, variable)| (name, variable.value)).collect()
}

/// The variables of `env/.env`.
pub(super) fn read_dotenv(problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    if !Path::new(DOTENV_FILE).exists() {
        return variables;
    }
    let text = text_file::read(DOTENV_FILE).unwrap_or_else(|error| {
        let what = Message::CannotBeRead { said: error.to_string() };
        problems.push(Problem::unreadable(DOTENV_FILE, &error, what));
        String::new()
    });
    let slips = typed::in_dotenv(&text);
    let is_slip = |line: usize| slips.iter().any(|(slip, is_of_name)| *is_of_name && slip.line == line);
    for Statement { name_at, line, column, says } in dotenv::parse(&text) {
        if is_slip(name_at.0) {
            // The line itself is not shown: it may hold a key.
            continue;
        }
        let at = Source::File { path: DOTENV_FILE.to_owned(), line, column };
        let told = |what: Message| Problem { at, key: String::new(), what };
        match says {
            Says::Value { name, value, has_reference } => {
                if has_reference {
                    warnings.push(told(Message::NothingSubstituted { name: name.clone() }));
                }
                variables.insert(name, Variable { value, name_at, line, column });
            }
            Says::Name(name) => {
                warnings.push(told(Message::NameAlone { name: name.clone() }));
                variables.remove(&name);
            }
            Says::Wrong => problems.push(told(Message::NotAVariable)),
        }
    }
    for (slip, is_of_name) in slips {
        let told = if is_of_name { &mut *problems } else { &mut *warnings };
        told.push(problem_of(DOTENV_FILE, slip));
    }
    variables
}

/// A character that hardly anybody meant, as a problem.
pub(super) fn problem_of(path: &str, slip: Slip) -> Problem {
    let at = Source::File { path: path.to_owned(), line: slip.line, column: slip.column };
    Problem { at, key: String::new(), what: slip.what }
}

/// The path of the YAML file: the one named, or the default one; `None` for the one built in.
pub(super) fn path(arguments: &Arguments, env: Lookup<'_>) -> Option<String> {
    let named = arguments.file.clone().or_else(|| env("GATEWAY_CONFIG").filter(|path| !path.is_empty()));
    named.or_else(|| Path::new(DEFAULT_FILE).exists().then(|| DEFAULT_FILE.to_owned()))
}

/// The path and text of the YAML file.
pub(super) fn read_file(arguments: &Arguments, env: Lookup<'_>, problems: &mut Vec<Problem>) -> (String, String) {
    let Some(path) = path(arguments, env) else { return (BUILT_IN_PATH.to_owned(), BUILT_IN.to_owned()) };
    match text_file::read(&path) {
        Ok(text) => (path, text),
        Err(error) => {
            let what = Message::ConfigurationUnreadable { said: error.to_string() };
            problems.push(Problem::unreadable(&path, &error, what));
            (path, String::new())
        }
    }
}

/// The name of the panel's overlay in the state folder.
const OVERLAY_FILE: &str = "overlay.yaml";

/// The texts that the panel shows, and by which one version of the configuration is told from another.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// Path of the operator's file.
    pub path: String,
    /// The operator's file.
    pub yaml: String,
    /// Path of the panel's overlay.
    pub overlay_path: String,
    /// The panel's overlay; empty if there is none.
    pub overlay: String,
    /// Path of the headers file.
    pub headers_path: String,
    /// The headers file; empty if there is none.
    pub headers: String,
    /// Path of the price list; empty if there is none. Nobody edits that here, so its text is not kept.
    pub price_list_path: String,
}

impl Texts {
    /// The hexadecimal SHA-256 of the three texts.
    pub fn version(&self) -> String {
        let mut digest = Sha256::new();
        for text in [&self.yaml, &self.overlay, &self.headers] {
            // The length keeps apart what stands at the end of one text and at the beginning of the next.
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the texts: they may hold keys.
        f.debug_struct("Texts").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The path and text of the panel's overlay in this folder; no file is an empty text.
pub(super) fn read_overlay(state_dir: &Path, problems: &mut Vec<Problem>) -> (String, String) {
    let path = state_dir.join(OVERLAY_FILE).display().to_string();
    match text_file::read(&path) {
        Ok(text) => (path, text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (path, String::new()),
        Err(error) => {
            let what = Message::OverlayUnreadable { said: error.to_string() };
            problems.push(Problem::unreadable(&path, &error, what));
            (path, String::new())
        }
    }
}
