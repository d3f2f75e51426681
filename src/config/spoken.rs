//! The language of a command, which must be known before the configuration is read, and whatever is wrong with it.

use super::files::{self, Arguments};
use super::section::language::LANGUAGE;
use super::section::startup::STATE_DIR;
use super::source::environment::Lookup;
use super::source::settings_reader::Reader;
use gateway_core::language::Language;
use std::collections::BTreeMap;
use std::path::Path;

/// The language that the configuration names, or else the locale; `None` if neither does.
pub(crate) fn spoken(arguments: &Arguments, env: Lookup<'_>) -> Option<Language> {
    // The one who reads the configuration in earnest says what is wrong with it.
    let mut problems = Vec::new();
    // What comes through a pipe can be read once.
    let can_be_read = |path: &str| Path::new(path).is_file();
    let dotenv = match can_be_read(files::DOTENV_FILE) {
        true => files::read_dotenv(&mut problems, &mut Vec::new()),
        false => BTreeMap::new(),
    };
    let (path, yaml) = match files::path(arguments, env).as_deref().is_none_or(can_be_read) {
        true => files::read_file(arguments, env, &mut problems),
        false => Default::default(),
    };
    let mut reader = Reader::new(&path, &yaml, env, env, dotenv, arguments.overrides.clone());
    // Of a text that is no YAML any more, the line itself may still be readable.
    if !reader.problems.is_empty() {
        let line = yaml.lines().find_map(|line| line.trim_start().strip_prefix("language:"));
        let value = line.and_then(|rest| rest.split(" #").next()).unwrap_or_default().trim().trim_matches(['"', '\'']);
        reader.set_file(&format!("gateway: {{language: {}}}", serde_json::Value::from(value)));
    }
    let state_dir = reader.get(&STATE_DIR);
    let (overlay_path, overlay) = files::read_overlay(Path::new(&state_dir), &mut problems);
    reader.set_overlay(&overlay_path, &overlay);
    reader.get(&LANGUAGE).or_else(|| Language::of_locale(env))
}
