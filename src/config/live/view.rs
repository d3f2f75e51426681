//! A configuration as people see it: each setting with its value and where that comes from, and what differs between
//! two of them. No secrets.

use super::super::files::{DOTENV_FILE, Texts};
use super::super::load::Loaded;
use super::super::mask::MASK;
use super::super::section::settings;
use super::super::section::upstream_keys::UPSTREAM_KEYS;
use super::super::source::problem::{Problem, Source};
use super::super::source::setting::{Help, LISTS, Panel};
use super::super::source::settings_reader::{Effective, List, Mark};
use super::difference::{self, Difference};
use gateway_core::language::{Language, Words};
use gateway_core::redact::shapes;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Texts of the API, whose readers go by codes.
pub(super) fn in_english<S: Serializer>(words: &[Words], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(words.iter().map(|words| words.text(Language::English)))
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Current {
    /// Names the three texts.
    pub version: String,
    /// Path of the operator's file.
    pub path: String,
    /// Path of the panel's overlay.
    pub overlay_path: String,
    /// All settings.
    pub settings: Vec<SettingView>,
    /// The operator's file; secrets are masked, here and in the next two.
    pub yaml: String,
    /// The overlay.
    pub overlay: String,
    /// Path of the headers file.
    pub headers_file: String,
    /// The headers file.
    pub headers: String,
    /// The keys that differ from what the process was started with, and need a restart.
    pub pending_restart: Vec<String>,
    /// What is valid, but hardly what was meant.
    pub warnings: Vec<ProblemView>,
    /// When it was loaded.
    pub loaded_at_ms: u64,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SettingView {
    /// Its path.
    pub key: String,
    /// Its value as text; masked if it is a secret, empty if it is not set.
    pub value: String,
    /// The value if nobody sets it.
    pub default: String,
    /// What it means.
    pub help: &'static str,
    /// The same in Chinese.
    pub help_zh: &'static str,
    /// The values that it may have, if they are few.
    pub choices: Vec<&'static str>,
    /// Who set it: `command_line`, `environment`, `dotenv`, `panel`, `file` or `default`.
    pub source: &'static str,
    /// The variable, or the place in a file.
    pub place: String,
    /// Whether the panel cannot change it, since what set it goes before the overlay.
    pub is_locked: bool,
    /// Whether a change needs a restart.
    pub needs_restart: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Its path.
    pub key: String,
    /// The value in force.
    pub before: String,
    /// The value that it would have.
    pub after: String,
}

/// A problem, for the panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemView {
    /// `overlay`, `headers`, or who else is to blame: a path, a variable.
    #[serde(rename = "where")]
    pub place: String,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// The path of the setting; `None` if it is no setting's.
    pub key: Option<String>,
    /// What is wrong and what to do, in English, with the key before it.
    pub message: String,
    /// The same in both languages.
    #[serde(skip)]
    pub words: Words,
    /// The same for programs.
    pub code: &'static str,
    /// What differs from case to case.
    pub parameters: Map<String, Value>,
}

impl ProblemView {
    /// A problem of a configuration with these texts.
    pub(crate) fn of(problem: &Problem, texts: &Texts) -> Self {
        let (place, line, column) = match &problem.at {
            Source::Overlay { line, column, .. } => ("overlay".to_owned(), Some(*line), Some(*column)),
            Source::File { path, line, column } if *path == texts.headers_path => {
                ("headers".to_owned(), Some(*line), Some(*column))
            }
            Source::WholeFile(path) if *path == texts.headers_path => ("headers".to_owned(), None, None),
            Source::File { path, line, column } => (path.clone(), Some(*line), Some(*column)),
            Source::EnvironmentFile { path, line, .. } => (path.clone(), Some(*line), None),
            Source::DotEnv { line, column, .. } => (DOTENV_FILE.to_owned(), Some(*line), Some(*column)),
            other => (other.to_string(), None, None),
        };
        let mut parameters = problem.what.parameters();
        for parameter in parameters.values_mut() {
            if let Value::String(text) = parameter {
                *text = shapes(text).into_owned();
            }
        }
        let key = (!problem.key.is_empty()).then(|| shapes(&problem.key).into_owned());
        let [english, chinese] = [Language::English, Language::Chinese].map(|language| problem.message_in(language));
        let words = Words::new(format_args!("{english}"), format_args!("{chinese}"));
        Self { place, line, column, key, message: english, words, code: problem.what.code(), parameters }
    }
}

/// The values of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    effective: Vec<Effective>,
    lists: Vec<List>,
    /// Pingora's own settings: key and value.
    server: Vec<(String, String)>,
    /// What stands for texts that are not shown.
    marks: Vec<(String, Mark)>,
}

impl Shown {
    /// Those of this one.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let server = super::super::section::server_conf::shown(&loaded.server_conf);
        let mut effective = loaded.effective.clone();
        for setting in &mut effective {
            setting.value = shapes(&setting.value).into_owned();
        }
        // PORT changes a part of another setting, and is no setting of its own.
        if let Some(at) = effective.iter().position(|setting| setting.key == "gateway.listen (port)") {
            let source = effective.remove(at).source;
            if let Some(listen) = effective.iter_mut().find(|setting| setting.key == "gateway.listen") {
                *listen = Effective { value: loaded.startup.listen.to_string(), source, ..listen.clone() };
            }
        }
        Self { effective, lists: loaded.lists.clone(), server, marks: loaded.marks.clone() }
    }

    /// All settings, with what is known of them.
    pub(super) fn settings(&self) -> Vec<SettingView> {
        let settings = self.effective.iter().filter(|setting| !setting.key.starts_with("header "));
        let settings = settings.map(|setting| {
            let known = settings::find(&setting.key);
            let of_upstream = setting.key.rsplit_once("].").filter(|_| known.is_none());
            let of_upstream = of_upstream.and_then(|(_, key)| UPSTREAM_KEYS.iter().find(|known| known.key == key));
            let view = view(&setting.key, &setting.value, &setting.source);
            match (known, of_upstream) {
                (Some(known), _) => SettingView {
                    is_locked: view.is_locked || known.about.panel != Panel::MaySet,
                    needs_restart: known.about.needs_restart,
                    is_secret: known.about.is_secret,
                    choices: (known.choices)(),
                    ..view.told(known.about.default, known.about.help)
                },
                (None, Some(known)) => {
                    SettingView { is_secret: known.key == "api_key", ..view.told(known.default, known.help) }
                }
                (None, None) => view,
            }
        });
        let lists = self.lists.iter().map(|list| {
            let help = LISTS.iter().find(|known| known.key == list.key).map(|known| known.help).unwrap_or_default();
            view(list.key, &entries(list), &list.source).told("", help)
        });
        settings.chain(lists).collect()
    }

    /// What differs in `after`, for the panel, which has lists before its eyes.
    pub(super) fn changes(&self, after: &Self) -> Vec<Change> {
        let list = |shown: &Self, key: &str| shown.lists.iter().find(|list| list.key == key).map(entries);
        let change = |difference: Difference| match difference {
            Difference::Value { key, before, after } => Change { key, before, after },
            Difference::Hidden { key } => Change { key, before: MASK.to_owned(), after: MASK.to_owned() },
            Difference::List { key, .. } => {
                let (before, after) = (list(self, &key), list(after, &key));
                Change { key, before: before.unwrap_or_default(), after: after.unwrap_or_default() }
            }
        };
        self.all_differences(after).into_iter().map(change).collect()
    }

    /// What differs in `after`. Of entries that both have in a list, the list tells, by their names.
    pub(super) fn differences(&self, after: &Self) -> Vec<Difference> {
        let is_told = |key: &str| {
            let in_list = |list: &List| key.starts_with(&format!("{}[", list.key)) && list.len > 0;
            self.lists.iter().any(in_list) && after.lists.iter().any(in_list)
        };
        self.all_differences(after).into_iter().filter(|found| !is_told(found.key())).collect()
    }

    /// What differs in `after`, with each key of an entry by its number.
    fn all_differences(&self, after: &Self) -> Vec<Difference> {
        let value = |shown: &Self, key: &str| {
            shown.effective.iter().find(|setting| setting.key == key).map(|setting| setting.value.clone())
        };
        let lists: Vec<Difference> =
            self.lists.iter().zip(&after.lists).filter_map(|(old, new)| difference::of_lists(old, new)).collect();
        let mut differences: Vec<Difference> = Vec::new();
        let keys = self.effective.iter().chain(&after.effective).map(|setting| setting.key.as_str());
        for key in keys {
            let (old, new) = (value(self, key), value(after, key));
            if old != new && !differences.iter().any(|known| known.key() == key) {
                let (before, after) = (old.unwrap_or_default(), new.unwrap_or_default());
                differences.push(Difference::Value { key: key.to_owned(), before, after });
            }
        }
        let mark = |shown: &Self, key: &str| shown.marks.iter().find(|(known, _)| known == key).map(|(_, mark)| *mark);
        for (key, _) in self.marks.iter().chain(&after.marks) {
            if mark(self, key) != mark(after, key) && !differences.iter().any(|known| known.key() == key) {
                differences.push(Difference::Hidden { key: key.clone() });
            }
        }
        differences.extend(lists);
        for (key, new) in &after.server {
            let old = self.server.iter().find(|(known, _)| known == key).map(|(_, old)| old);
            if let Some(old) = old.filter(|old| *old != new) {
                differences.push(Difference::Value { key: key.clone(), before: old.clone(), after: new.clone() });
            }
        }
        differences
    }

    /// The keys that differ from what the process was started with, and count only after a restart.
    pub(super) fn pending_restart(&self, started: &Self) -> Vec<String> {
        let needs_restart = |key: &str| match settings::find(key) {
            Some(known) => known.about.needs_restart,
            None => self.server.iter().any(|(known, _)| known == key),
        };
        started.differences(self).iter().map(|found| found.key().to_owned()).filter(|key| needs_restart(key)).collect()
    }
}

fn entries(list: &List) -> String {
    match list.len {
        1 => "1 entry".to_owned(),
        len => format!("{len} entries"),
    }
}

/// A setting of which only this is known.
fn view(key: &str, value: &str, source: &Source) -> SettingView {
    let (name, place, is_locked) = match source {
        Source::CommandLine => ("command_line", String::new(), true),
        Source::Environment(name) | Source::EnvironmentFile { name, .. } => ("environment", (*name).to_owned(), true),
        Source::DotEnv { name, .. } => ("dotenv", (*name).to_owned(), true),
        Source::Overlay { .. } => ("panel", source.to_string(), false),
        Source::File { .. } | Source::WholeFile(_) => ("file", source.to_string(), false),
        Source::Default => ("default", String::new(), false),
    };
    SettingView {
        key: key.to_owned(),
        value: value.to_owned(),
        default: String::new(),
        help: "",
        help_zh: "",
        choices: Vec::new(),
        source: name,
        place,
        is_locked,
        needs_restart: false,
        is_secret: false,
    }
}

impl SettingView {
    /// With its default and what it means.
    fn told(self, default: &str, help: Help) -> Self {
        Self { default: default.to_owned(), help: help.en, help_zh: help.zh, ..self }
    }
}
