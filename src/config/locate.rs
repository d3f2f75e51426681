//! Where the gateway that runs is found.

use super::files::{self, Arguments};
use super::section::startup::{RUNTIME_DIR, read_listen};
use super::source::environment::Lookup;
use super::source::settings_reader::Reader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The runtime folder of `conf/anyrouter-gateway.service`.
const SERVICE_RUNTIME_DIR: &str = "/run/anyrouter-gateway";

/// Where a gateway with this configuration is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its runtime folder.
    pub runtime_dir: PathBuf,
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
    let mut runtime_dir = PathBuf::from(reader.get(&RUNTIME_DIR));
    // The systemd unit gives its own folder to the gateway, which a shell knows nothing of.
    if !runtime_dir.exists() && Path::new(SERVICE_RUNTIME_DIR).exists() {
        runtime_dir = PathBuf::from(SERVICE_RUNTIME_DIR);
    }
    Located { runtime_dir, listen: read_listen(&mut reader) }
}
