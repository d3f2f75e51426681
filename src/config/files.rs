//! The files that the configuration is read from: the YAML file, `env/.env`, and Pingora's part of the former.

use super::Arguments;
use super::problem::{Problem, Source};
use super::reader::{Lookup, Reader};
use pingora::server::configuration::ServerConf;
use serde_yaml::Mapping;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The file that is used when none is named, if it exists.
pub const DEFAULT_FILE: &str = "conf/gateway.yaml";
/// The same file as it was shipped.
pub const BUILT_IN: &str = include_str!("../../conf/gateway.yaml");
/// Variables that count where the environment has none.
pub const DOTENV_FILE: &str = "env/.env";
/// What is read besides the three texts of [`Texts`].
pub const OTHER_FILES: [&str; 2] = [DOTENV_FILE, super::routes::KEY_MAPPINGS_FILE];

/// The variables of `env/.env`.
pub fn read_dotenv(problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if !Path::new(DOTENV_FILE).exists() {
        return variables;
    }
    let text = std::fs::read_to_string(DOTENV_FILE).unwrap_or_default();
    let at = |line: Option<usize>| match line {
        Some(line) => Source::File { path: DOTENV_FILE.to_owned(), line: line + 1, column: 1 },
        None => Source::WholeFile(DOTENV_FILE.to_owned()),
    };
    let mut wrong = |at: Source, message: String| problems.push(Problem { at, message });
    match dotenvy::from_path_iter(DOTENV_FILE) {
        Ok(lines) => {
            for line in lines {
                match line {
                    Ok((name, value)) => drop(variables.insert(name, value)),
                    // The line itself is not shown: it may hold a key.
                    Err(dotenvy::Error::LineParse(wrong_text, _)) => {
                        // It may go over several lines: a quote that is not closed takes all that follow.
                        let first = wrong_text.lines().next().unwrap_or_default();
                        let number = text.lines().position(|line| line == first);
                        let message = "this is not NAME=value, or a quote is not closed; quote values with blanks";
                        wrong(at(number), message.to_owned());
                    }
                    Err(error) => wrong(at(None), format!("cannot be read: {error}")),
                }
            }
        }
        Err(error) => wrong(at(None), format!("cannot be read: {error}")),
    }
    variables
}

/// The path and text of the YAML file: the one named, or the default one, or the one built in.
pub fn read_file(arguments: &Arguments, env: Lookup<'_>, problems: &mut Vec<Problem>) -> (String, String) {
    let named = arguments.file.clone().or_else(|| env("GATEWAY_CONFIG").filter(|path| !path.is_empty()));
    let path = match named {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).exists() => DEFAULT_FILE.to_owned(),
        None => return ("built-in defaults".to_owned(), BUILT_IN.to_owned()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => (path, text),
        Err(error) => {
            problems.push(Problem {
                at: Source::WholeFile(path.clone()),
                message: format!("the configuration cannot be read: {error}"),
            });
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
pub fn read_overlay(state_dir: &Path, problems: &mut Vec<Problem>) -> (String, String) {
    let path = state_dir.join(OVERLAY_FILE).display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => (path, text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (path, String::new()),
        Err(error) => {
            let message = format!("the panel's overlay cannot be read: {error}");
            problems.push(Problem { at: Source::WholeFile(path.clone()), message });
            (path, String::new())
        }
    }
}

/// Settings of Pingora's that would not do what they say.
pub const NOT_OURS: [(&str, &str); 3] = [
    ("daemon", "the gateway does not go into the background by itself: use systemd, or nohup ... >>log 2>&1 &"),
    ("pid_file", "gateway.runtime_dir says where gateway.pid is"),
    ("upgrade_sock", "gateway.runtime_dir says where control.sock is; a new process gets the sockets there"),
];

/// Pingora's own settings from the top level of a text.
fn parse_server_conf(reader: &mut Reader<'_>, text: &str, place: fn(&Reader<'_>, usize, usize) -> Source) -> Mapping {
    // Only to find mistakes, with their places.
    if let Err(error) = serde_yaml::from_str::<ServerConf>(text) {
        let at = error.location().map_or_else(|| place(reader, 1, 1), |at| place(reader, at.line(), at.column()));
        reader.problem(at, error.to_string());
        return Mapping::new();
    }
    serde_yaml::from_str(text).unwrap_or_default()
}

/// Pingora's own settings from the top level of the texts, with the gateway's defaults for some.
pub fn read_server_conf(reader: &mut Reader<'_>, yaml: &str, overlay: &str) -> ServerConf {
    let known = match serde_yaml::to_value(ServerConf::default()) {
        Ok(serde_yaml::Value::Mapping(mapping)) => {
            mapping.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    reader.refuse_unknown_keys(&known);

    let mut conf = ServerConf::default();
    if reader.problems.is_empty() {
        let mut merged = Mapping::new();
        if !yaml.trim().is_empty() {
            merged = parse_server_conf(reader, yaml, |reader, line, column| reader.places().in_file(line, column));
        }
        if !overlay.trim().is_empty() {
            let overlay =
                parse_server_conf(reader, overlay, |reader, line, column| reader.places().in_overlay(line, column));
            merged.extend(overlay.into_iter().filter(|(_, value)| !value.is_null()));
        }
        if let Ok(read) = serde_yaml::from_value(serde_yaml::Value::Mapping(merged)) {
            conf = read;
        }
    }
    for (key, why) in NOT_OURS {
        if let Some(place) = reader.node(key).map(|node| reader.place(node.span())) {
            reader.problem(place, format!("{key}: {why}"));
        }
    }
    // Without work stealing the same work takes 10 to 20 % less CPU.
    if reader.node("work_stealing").is_none() {
        conf.work_stealing = false;
    }
    if reader.node("upstream_keepalive_pool_size").is_none() {
        conf.upstream_keepalive_pool_size = 256;
    }
    conf.graceful_shutdown_timeout_seconds = conf.graceful_shutdown_timeout_seconds.or(Some(5));
    conf
}
