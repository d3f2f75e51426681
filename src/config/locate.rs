//! Where the gateway that runs is found.

use super::files::{self, Arguments};
use super::section::startup::{RUNTIME_DIR, read_listen};
use super::source::environment::Lookup;
use super::source::problem::Source;
use super::source::settings_reader::Reader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a gateway with this configuration is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its runtime folder.
    pub runtime_dir: PathBuf,
    /// Whether the environment names that.
    pub is_folder_named: bool,
    /// Whether there is anything of a gateway in this folder, or its configuration was named.
    pub is_at_home: bool,
    /// The file of its configuration, if it was named.
    pub file: Option<PathBuf>,
    /// Its address; `None` if that is wrong.
    pub listen: Option<SocketAddr>,
}

/// Where a gateway with this configuration is found, whatever else may be wrong with it by now: the one that runs has
/// loaded a better one.
pub(crate) fn locate(arguments: &Arguments, env: Lookup<'_>) -> Located {
    let mut problems = Vec::new();
    let dotenv = files::read_dotenv(&mut problems, &mut Vec::new());
    let (path, yaml) = files::read_file(arguments, env, &mut problems);
    let mut reader = Reader::new(&path, &yaml, env, env, dotenv, arguments.overrides.clone());
    // Of a text that is no YAML any more, the line itself may still be readable.
    if !reader.problems.is_empty() {
        let line = yaml.lines().find_map(|line| line.trim_start().strip_prefix("runtime_dir:"));
        let value = line.and_then(|rest| rest.split(" #").next()).unwrap_or_default().trim().trim_matches(['"', '\'']);
        let text = format!("gateway: {{runtime_dir: {}}}", serde_json::Value::from(value));
        reader.set_file(&text);
    }
    let runtime_dir = PathBuf::from(reader.get(&RUNTIME_DIR));
    let is_folder_named = matches!(reader.source_of(&RUNTIME_DIR), Some(Source::Environment(_)));
    let listen = read_listen(&mut reader);
    let is_file_named = arguments.file.is_some() || env("GATEWAY_CONFIG").is_some_and(|path| !path.is_empty());
    let is_here = [files::DEFAULT_FILE, files::DOTENV_FILE].iter().any(|path| Path::new(path).exists());
    let is_at_home = is_file_named || is_here || runtime_dir.exists();
    Located { runtime_dir, is_folder_named, is_at_home, file: is_file_named.then(|| PathBuf::from(path)), listen }
}
