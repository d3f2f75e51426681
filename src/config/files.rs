//! The files that the configuration is read from: the YAML file, `env/.env`, and Pingora's part of the former.

use super::Arguments;
use super::problem::{Problem, Source};
use super::reader::{Lookup, Reader};
use pingora::server::configuration::ServerConf;
use std::collections::BTreeMap;
use std::path::Path;

/// The file that is used when none is named, if it exists.
pub const DEFAULT_FILE: &str = "conf/gateway.yaml";
/// The same file as it was shipped.
pub const BUILT_IN: &str = include_str!("../../conf/gateway.yaml");
const DOTENV_FILE: &str = "env/.env";

/// The variables of `env/.env`.
pub fn read_dotenv(problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if !Path::new(DOTENV_FILE).exists() {
        return variables;
    }
    let mut wrong = |message: String| problems.push(Problem { at: Source::WholeFile(DOTENV_FILE.to_owned()), message });
    match dotenvy::from_path_iter(DOTENV_FILE) {
        Ok(lines) => {
            for line in lines {
                match line {
                    Ok((name, value)) => drop(variables.insert(name, value)),
                    // The line itself is not shown: it may hold a key.
                    Err(dotenvy::Error::LineParse(_, at)) => {
                        wrong(format!("a line is not NAME=value (character {at} of it); quote values with blanks"));
                    }
                    Err(error) => wrong(format!("cannot be read: {error}")),
                }
            }
        }
        Err(error) => wrong(format!("cannot be read: {error}")),
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

/// Pingora's own settings from the top level of the file, with the gateway's defaults for some.
pub fn read_server_conf(reader: &mut Reader<'_>, yaml: &str) -> ServerConf {
    let known = match serde_yaml::to_value(ServerConf::default()) {
        Ok(serde_yaml::Value::Mapping(mapping)) => {
            mapping.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    reader.refuse_unknown_keys(&known);

    let mut conf = ServerConf::default();
    if reader.problems.is_empty() && !yaml.trim().is_empty() {
        match serde_yaml::from_str(yaml) {
            Ok(read) => conf = read,
            Err(error) => {
                let at = match error.location() {
                    Some(at) => Source::File { path: reader.path.clone(), line: at.line(), column: at.column() },
                    None => Source::WholeFile(reader.path.clone()),
                };
                reader.problem(at, error.to_string());
            }
        }
    }
    // Without work stealing the same work takes 10 to 20 % less CPU.
    if reader.node("work_stealing").is_none() {
        conf.work_stealing = false;
    }
    if reader.node("upstream_keepalive_pool_size").is_none() {
        conf.upstream_keepalive_pool_size = 256;
    }
    conf.grace_period_seconds = conf.grace_period_seconds.or(Some(10));
    conf.graceful_shutdown_timeout_seconds = conf.graceful_shutdown_timeout_seconds.or(Some(5));
    conf
}
