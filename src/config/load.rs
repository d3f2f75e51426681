//! Loads the configuration: the one place where precedence lives.

use super::files::{self, Arguments, Texts};
use super::lower::{Config, lower};
use super::section::headers::{self, CustomHeader};
use super::section::prices::PRICES_FILE;
use super::section::routes::KEY_MAPPINGS_FILE;
use super::section::server_conf;
use super::section::settings;
use super::section::startup::{self, Startup};
use super::source::environment::Lookup;
use super::source::environment_file::EnvironmentFile;
use super::source::message::Message;
use super::source::problem::{Problem, Problems, Source};
use super::source::settings_reader::{Effective, List, Mark, Reader};
use super::source::{bounds, text_file, typed};
use super::{panel, service_file, trial, warnings};
use pingora::server::configuration::ServerConf;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A whole, valid configuration.
#[derive(Debug)]
pub struct Loaded {
    /// What requests are handled with.
    pub config: Config,
    /// What only a restart can change.
    pub startup: Startup,
    /// Pingora's own settings; only a restart can change them either.
    pub server_conf: ServerConf,
    /// Each setting with its value and source.
    pub effective: Vec<Effective>,
    /// The lists that are no single settings.
    pub lists: Vec<List>,
    /// What is valid, but hardly what was meant.
    pub warnings: Vec<Problem>,
    /// What stands for texts that are not shown: secrets, variables that other texts name, further files.
    pub(super) marks: Vec<(String, Mark)>,
    /// The texts of the files.
    pub texts: Texts,
    /// The file that was read.
    pub path: String,
}

impl Loaded {
    /// What a start with it would fail at, as far as that can be tried beforehand. An address that is in use may be that of the
    /// gateway that runs.
    pub fn next_start(&self) -> Vec<Problem> {
        trial::problems(&self.startup, &self.effective, &[], &|_| true)
    }
}

/// Texts that count instead of what the files hold, before they are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edits<'a> {
    /// The panel's overlay.
    pub overlay: Option<&'a str>,
    /// The headers file.
    pub headers: Option<&'a str>,
}

/// Loads the configuration from its files, the environment `env` and `env/.env`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(arguments: &Arguments, env: Lookup<'_>) -> Result<Loaded, Problems> {
    load_edited(arguments, env, Edits::default())
}

/// As [`load`], with some texts in the place of files.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(super) fn load_edited(arguments: &Arguments, env: Lookup<'_>, edits: Edits<'_>) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut of_dotenv = Vec::new();
    let dotenv = files::read_dotenv(&mut problems, &mut of_dotenv);
    let (path, yaml) = files::read_file(arguments, env, &mut problems);
    let in_files = dotenv.clone();
    // What the panel's overlay was before an edit.
    let former = RefCell::new(None::<String>);
    let names = |name: &str| {
        let in_file = in_files.get(name).map(|variable| &variable.value).filter(|value| !value.is_empty());
        let may_tell = match &*former.borrow() {
            // An edit is not to find out which variables there are.
            Some(former) => in_file.is_some() || panel::is_named(name, &[&yaml, former]),
            None => true,
        };
        env(name).filter(|value| may_tell && !value.is_empty()).or_else(|| in_file.cloned())
    };
    let mut reader = Reader::new(&path, &yaml, env, &names, dotenv, arguments.overrides.clone());
    let state_dir = PathBuf::from(reader.get(&startup::STATE_DIR));
    let (overlay_path, mut overlay) = files::read_overlay(&state_dir, &mut problems);
    if let Some(edited) = edits.overlay {
        former.replace(Some(std::mem::replace(&mut overlay, edited.to_owned())));
    }
    reader.set_overlay(&overlay_path, &overlay);
    problems.append(&mut reader.problems);
    reader.problems = problems;
    let barred = panel::barred(&reader, former.borrow().as_deref());
    if !barred.problems.is_empty() {
        // Nothing else is looked at: what it says of files would tell which ones there are.
        return Err(Problems(barred.problems));
    }

    let server_conf = server_conf::read(&mut reader);
    let grace = server_conf.grace_period_seconds.map(Duration::from_secs);
    let (headers_path, headers_text, headers) = read_headers(&mut reader, edits.headers);
    let lowered = lower(&mut reader, state_dir, &headers, grace);
    let file = arguments.environment_file.as_ref();
    let astray = warnings::misspelt_addresses(&reader, arguments, env);
    reader.problems.extend(astray);
    if let Some((config, startup)) = &lowered {
        reader.problems.extend(warnings::loops(&reader.effective, config, startup));
        let keyless = warnings::without_keys(&reader, config);
        reader.problems.extend(keyless);
    }
    if former.borrow().is_some() {
        reader.problems.iter_mut().for_each(hint_at_variables);
    }
    // An edit is not told what the other files hold.
    let nothing = String::new();
    let of_operator = if former.borrow().is_some() { &nothing } else { &yaml };
    let slips = slips(&reader, [(&path, of_operator), (&overlay_path, &overlay), (&headers_path, &headers_text)]);
    let left_out = file.map(service_file::lines_left_out).unwrap_or_default();
    let mut of_variables = of_variables(&reader.problems, env);
    for at in reader.sources().chain(of_variables.iter_mut().map(|problem| &mut problem.at)) {
        place_variable(at, file, env);
    }
    let price_list = reader.effective.iter().find(|setting| setting.key == PRICES_FILE.about.key);
    let price_list_path = price_list.map(|setting| setting.value.clone()).unwrap_or_default();
    reader.mark_variables(files::DOTENV_FILE, |name| settings::all().any(|setting| setting.about.env.contains(&name)));
    mark_file(&mut reader, KEY_MAPPINGS_FILE);
    mark_file(&mut reader, &price_list_path);
    let files = [(&path, &yaml), (&overlay_path, &overlay), (&headers_path, &headers_text)];
    match lowered {
        Some((config, startup)) if reader.problems.is_empty() && left_out.errors.is_empty() => Ok(Loaded {
            warnings: [
                of_dotenv,
                barred.warnings,
                left_out.warnings,
                warnings::find(&reader, &config, file),
                warnings::open_files(&files),
                std::mem::take(&mut reader.warnings),
                slips.of_valid,
            ]
            .concat(),
            config,
            startup,
            server_conf,
            lists: reader.lists(),
            marks: reader.marks,
            effective: reader.effective,
            texts: Texts {
                path: path.clone(),
                yaml,
                overlay_path,
                overlay,
                headers_path,
                headers: headers_text,
                price_list_path,
            },
            path,
        }),
        // First what may be the reason of the rest.
        _ => {
            let of_dotenv = of_dotenv.into_iter().filter(|warning| typed::is_slip(&warning.what));
            let of_files =
                of_dotenv.chain(left_out.errors).chain(left_out.warnings).chain(slips.of_valid).chain(slips.of_json);
            Err(Problems(of_files.chain(of_variables).chain(reader.problems).collect()))
        }
    }
}

/// Says where a variable stands that systemd took from its file.
fn place_variable(at: &mut Source, file: Option<&EnvironmentFile>, env: Lookup<'_>) {
    let (Source::Environment(name), Some(file)) = (&*at, file) else { return };
    if let Some(line) = file.line_of(name, env(name).as_deref()) {
        *at = Source::EnvironmentFile { name, path: file.path.clone(), line };
    }
}

/// Notes what stands for a file whose text is shown nowhere.
fn mark_file(reader: &mut Reader<'_>, path: &str) {
    if let Some(text) = text_file::read_again_up_to(path.as_ref(), bounds::PRICE_LIST_BYTES) {
        reader.marks.push((path.to_owned(), Mark::of(&text)));
    }
}

/// What an input method typed into the files: of YAML, which may be valid all the same, and of JSON, which is not then.
struct Slips {
    of_valid: Vec<Problem>,
    of_json: Vec<Problem>,
}

fn slips(reader: &Reader<'_>, [yaml, overlay, headers]: [(&String, &String); 3]) -> Slips {
    let of_yaml = typed::in_yaml(yaml.1).into_iter().map(|slip| files::problem_of(yaml.0, slip));
    let of_overlay = typed::in_yaml(overlay.1).into_iter().map(|slip| Problem {
        at: reader.places().in_overlay(slip.line, slip.column),
        key: String::new(),
        what: slip.what,
    });
    let mappings = text_file::read_again(Path::new(KEY_MAPPINGS_FILE)).unwrap_or_default();
    let json = [(headers.0.as_str(), headers.1.as_str()), (KEY_MAPPINGS_FILE, mappings.as_str())];
    let of_json = json.into_iter().filter(|(_, text)| serde_json::from_str::<serde::de::IgnoredAny>(text).is_err());
    let of_json =
        of_json.flat_map(|(path, text)| typed::in_json(text).into_iter().map(|slip| files::problem_of(path, slip)));
    Slips { of_valid: of_yaml.chain(of_overlay).collect(), of_json: of_json.collect() }
}

/// The same of variables with which something is wrong.
fn of_variables(problems: &[Problem], env: Lookup<'_>) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for problem in problems {
        let Source::Environment(name) = &problem.at else { continue };
        let slips = typed::in_value(&env(name).unwrap_or_default());
        found.extend(slips.into_iter().map(|slip| Problem { what: slip.what, ..problem.clone() }));
    }
    found
}

/// Says which variables an edit from the panel may name.
fn hint_at_variables(problem: &mut Problem) {
    if let Message::VariableNotSet { name } = &problem.what {
        problem.what = Message::VariableNotForPanel { name: name.clone() };
    }
}

/// Path and text of the headers file, and the headers in it.
fn read_headers(reader: &mut Reader<'_>, edited: Option<&str>) -> (String, String, Vec<CustomHeader>) {
    let path = reader.get(&headers::HEADERS_FILE);
    let text = match edited {
        Some(text) => text.to_owned(),
        None => headers::read(&path).unwrap_or_else(|problem| {
            reader.problems.push(*problem);
            String::new()
        }),
    };
    let headers = headers::parse(&path, &text, &mut reader.warnings).unwrap_or_else(|mut problems| {
        reader.problems.append(&mut problems);
        Vec::new()
    });
    for header in &headers {
        let source = header.at.clone();
        let key = format!("header {}", header.name);
        reader.marks.push((key.clone(), Mark::of(header.value.expose())));
        reader.effective.push(Effective { key, value: header.value.to_string(), source });
    }
    (path, text, headers)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod place_tests;
#[cfg(test)]
#[path = "shipped_tests.rs"]
mod shipped_tests;
#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "varied_tests.rs"]
mod varied_tests;
