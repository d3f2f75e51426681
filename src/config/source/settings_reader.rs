//! Finds the value of each setting in the order of precedence, and remembers what was found and what was wrong.

use super::dotenv::Variable;
use super::environment::Lookup;
use super::layers::{Layers, Places};
use super::message::Message;
use super::node::scalar_text;
use super::problem::{Problem, Source, near};
use super::setting::{About, LISTS, Setting};
use super::{blank_missing, value};
use marked_yaml::types::MarkedMappingNode;
use marked_yaml::{Node, Span};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

/// One line of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The setting's path.
    pub key: String,
    /// Its value as text, masked if it is a secret; empty if it is not set.
    pub value: String,
    /// Who set it.
    pub source: Source,
}

/// A list of the texts, such as the rules.
#[derive(Clone, PartialEq, Eq)]
pub struct List {
    /// Its path.
    pub key: &'static str,
    /// How many entries it has.
    pub len: usize,
    /// Its text as JSON, to see whether it changed; it may hold keys.
    pub json: String,
    /// Where it stands.
    pub source: Source,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} entries, {})", self.key, self.len, self.source)
    }
}

/// Stands for a text that is not shown: the same text has the same mark for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    /// That of a text.
    pub(crate) fn of(text: &str) -> Self {
        // With a key that nobody knows: nobody can try texts against a mark.
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(STATE.hash_one(text))
    }
}

/// Reads settings from all their sources.
pub struct Reader<'a> {
    /// Path of the YAML file, for messages.
    pub path: String,
    layers: Layers,
    env: Lookup<'a>,
    /// The environment and `env/.env`, for names inside of values.
    pub names: Lookup<'a>,
    dotenv: BTreeMap<String, Variable>,
    overrides: Vec<(&'static str, String)>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// What is valid so far, but hardly what was meant.
    pub warnings: Vec<Problem>,
    /// What was read so far.
    pub effective: Vec<Effective>,
    /// What stands for texts that are not shown as they are.
    pub(crate) marks: Vec<(String, Mark)>,
    has_stand_ins: bool,
}

impl<'a> Reader<'a> {
    /// A reader of the YAML text `yaml` at `path`, over `env`, `dotenv` and the command line's `overrides`;
    /// `names` looks into the first two.
    pub(crate) fn new(
        path: &str,
        yaml: &str,
        env: Lookup<'a>,
        names: Lookup<'a>,
        dotenv: BTreeMap<String, Variable>,
        overrides: Vec<(&'static str, String)>,
    ) -> Self {
        let mut problems = Vec::new();
        let layers = Layers::new(path, yaml, &mut problems);
        Self {
            path: path.to_owned(),
            layers,
            env,
            names,
            dotenv,
            overrides,
            problems,
            warnings: Vec::new(),
            effective: Vec::new(),
            marks: Vec::new(),
            has_stand_ins: false,
        }
    }

    /// Reads another text in the place of the file.
    pub fn set_file(&mut self, yaml: &str) {
        self.layers = Layers::new(&self.path, yaml, &mut self.problems);
    }

    /// Puts the panel's overlay before the file.
    pub fn set_overlay(&mut self, path: &str, yaml: &str) {
        self.layers.set_overlay(path, yaml, &mut self.problems);
    }

    /// What `read` finds in the overlay.
    pub fn in_overlay<T>(&self, read: impl Fn(&Node) -> Vec<T>) -> Vec<T> {
        self.layers.overlay().map(read).unwrap_or_default()
    }

    /// The overlay's node at a dotted path.
    pub fn overlay_node(&self, key: &str) -> Option<&Node> {
        self.layers.in_overlay(key)
    }

    /// The file's node at a dotted path.
    pub fn file_node(&self, key: &str) -> Option<&Node> {
        self.layers.in_file(key)
    }

    /// The entries at the top level of all texts, those that count last.
    pub fn top_level(&self) -> Vec<(String, Node)> {
        let mut roots: Vec<&Node> = self.layers.roots().collect();
        roots.reverse();
        let entries = roots.into_iter().filter_map(Node::as_mapping).flat_map(|mapping| mapping.iter());
        entries.map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect()
    }

    /// Where the texts came from.
    pub fn places(&self) -> Places {
        self.layers.places.clone()
    }

    /// Where a node of the file stands.
    pub fn place(&self, span: &Span) -> Source {
        self.layers.places.of(span)
    }

    /// The lists, each from the text that counts. Of upstreams that a variable gives, only that is said.
    pub fn lists(&self) -> Vec<List> {
        let variable = self.upstreams_variable().map(|(_, source)| source);
        let list = |key: &'static str| {
            let replaced = variable.clone().filter(|_| key == "gateway.upstreams");
            let node = self.node(key).filter(|_| replaced.is_none());
            let in_file = || node.map_or(Source::Default, |node| self.place(node.span()));
            List {
                key,
                len: node.map_or(0, |node| match node.as_mapping() {
                    Some(names) => names.len(),
                    None => node.as_sequence().map_or(0, |list| list.len()),
                }),
                json: node.map(super::node::json).unwrap_or_default(),
                source: replaced.unwrap_or_else(in_file),
            }
        };
        LISTS.iter().map(|known| list(known.key)).collect()
    }

    /// The lists of the overlay that stand before one of the file: key, and both places.
    pub fn hidden_lists(&self, is_missed: impl Fn(&Node) -> bool) -> Vec<(&'static str, Source, Source)> {
        let is_there = |node: &&Node| node.as_sequence().is_some_and(|list| !list.is_empty()) && is_missed(node);
        let both = |key: &'static str| {
            let (panel, file) = (self.layers.in_overlay(key)?, self.layers.in_file(key).filter(is_there)?);
            panel.as_sequence().map(|_| (key, self.place(panel.span()), self.place(file.span())))
        };
        LISTS.iter().map(|list| list.key).filter_map(both).collect()
    }

    /// Whether the lists name this variable, as `env:NAME` or `${env.NAME}`.
    pub fn mentions(&self, name: &str) -> bool {
        let forms = [format!("\"env:{name}\""), format!("${{env.{name}}}")];
        self.lists().iter().any(|list| forms.iter().any(|form| list.json.contains(form)))
    }

    /// The variables in `env/.env`.
    pub(crate) fn dotenv(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.dotenv.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Notes what stands for the variables of `env/.env` that are no settings: other texts name them.
    pub(crate) fn mark_variables(&mut self, file: &str, is_setting: impl Fn(&str) -> bool) {
        let is_shown = |name: &str| {
            self.effective.iter().any(|known| matches!(&known.source, Source::DotEnv { name: by, .. } if *by == name))
        };
        let others = self.dotenv.iter().filter(|(_, variable)| !variable.value.is_empty());
        let others = others.filter(|(name, _)| !is_setting(name) && !is_shown(name));
        let marks: Vec<_> =
            others.map(|(name, variable)| (format!("{file} {name}"), Mark::of(&variable.value))).collect();
        self.marks.extend(marks);
    }

    /// Notes something that is wrong with the setting `key`.
    pub fn problem(&mut self, at: Source, key: &str, what: Message) {
        self.problems.push(Problem { at, key: key.to_owned(), what });
    }

    /// Notes something that is valid, but hardly what was meant.
    pub fn warning(&mut self, at: Source, key: &str, what: Message) {
        self.warnings.push(Problem { at, key: key.to_owned(), what });
    }

    /// The node at a dotted path of the overlay, or else of the file.
    pub fn node(&self, key: &str) -> Option<&Node> {
        self.layers.node(key)
    }

    /// The value of a setting, from the highest source that has one. For a wrong one its default stands in: what is wrong is
    /// noted, and the rest can be read in the same go.
    pub fn get<T: Clone>(&mut self, setting: &Setting<T>) -> T {
        let value = self.get_if_set(setting);
        self.or_stand_in(value, setting)
    }

    /// The value, or the setting's default in the place of a wrong one.
    pub fn or_stand_in<T: Clone>(&mut self, value: Option<T>, setting: &Setting<T>) -> T {
        value.unwrap_or_else(|| {
            self.has_stand_ins = true;
            setting.default_value()
        })
    }

    /// The same for a setting without a default: `None` if it is not set or if it is wrong.
    pub fn get_if_set<T: Clone>(&mut self, setting: &Setting<T>) -> Option<T> {
        let About { key, default, .. } = setting.about;
        let (mut text, source) = self.find(&setting.about).unwrap_or_else(|| (default.to_owned(), Source::Default));
        if setting.about.is_key && value::cut(&mut text) {
            self.warning(source.clone(), key, Message::BlanksCut);
        }
        let value = if text.is_empty() { String::new() } else { setting.show(&text) };
        if value != text {
            self.marks.push((key.to_owned(), Mark::of(&text)));
        }
        self.effective.push(Effective { key: key.to_owned(), value, source: source.clone() });
        if text.is_empty() {
            return None;
        }
        setting.parse(&text).map_err(|what| self.problem(source, key, what)).ok()
    }

    /// The places of all that was found so far.
    pub fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        let problems = self.problems.iter_mut().chain(&mut self.warnings).map(|problem| &mut problem.at);
        problems.chain(self.effective.iter_mut().map(|setting| &mut setting.source))
    }

    /// The environment of the process.
    pub fn environment(&self) -> Lookup<'a> {
        self.env
    }

    /// Whether a default stands in for a wrong value.
    pub fn has_stand_ins(&self) -> bool {
        self.has_stand_ins
    }

    /// Who set a setting, if anybody did.
    pub fn source_of<T>(&mut self, setting: &Setting<T>) -> Option<Source> {
        let problems = self.problems.len();
        let found = self.find(&setting.about).map(|(_, source)| source);
        self.problems.truncate(problems);
        found
    }

    /// A variable that stands for no setting of its own.
    pub fn variable(&self, name: &'static str) -> Option<(String, Source)> {
        let text = (self.env)(name).filter(|text| !text.is_empty()).map(|text| (text, Source::Environment(name)));
        text.or_else(|| self.in_dotenv(name))
    }

    fn in_dotenv(&self, name: &'static str) -> Option<(String, Source)> {
        let Variable { value, line, column, .. } =
            self.dotenv.get(name).filter(|variable| !variable.value.is_empty())?;
        Some((value.clone(), Source::DotEnv { name, line: *line, column: *column }))
    }

    /// The variable that gives the upstreams, and replaces the list of the file.
    pub fn upstreams_variable(&self) -> Option<(String, Source)> {
        self.variable("API_BASE_URLS").or_else(|| self.variable("API_BASE_URL"))
    }

    fn find(&mut self, setting: &About) -> Option<(String, Source)> {
        let About { key, env: names, is_list, .. } = *setting;
        if let Some((_, text)) = self.overrides.iter().find(|(name, _)| *name == key) {
            return Some((text.clone(), Source::CommandLine));
        }
        let in_environment = names.iter().find_map(|name| {
            (self.env)(name).filter(|text| !text.is_empty()).map(|text| (text, Source::Environment(name)))
        });
        if in_environment.is_some() {
            return in_environment;
        }
        let in_dotenv = names.iter().find_map(|name| self.in_dotenv(name));
        if in_dotenv.is_some() {
            return in_dotenv;
        }
        let node = self.node(key)?;
        let place = self.place(node.span());
        match one_text(node).or_else(|| list_text(node).filter(|_| is_list)) {
            Some(text) if text.is_empty() => None,
            Some(text) => Some((text, place)),
            None => {
                self.problem(place, key, if is_list { Message::OneValueOrList } else { Message::OneValueAlone });
                None
            }
        }
    }

    /// Notes every key of the file that none of `settings` has. `server_keys` are Pingora's own, at the top level.
    pub fn refuse_unknown_keys(&mut self, server_keys: &[String], settings: &[&'static str]) {
        let roots: Vec<Node> = self.layers.roots().cloned().collect();
        for mapping in roots.iter().filter_map(Node::as_mapping) {
            for (key, value) in mapping.iter() {
                if key.as_str() == "gateway" {
                    self.check_level("gateway", value, settings);
                } else if !server_keys.iter().any(|known| known == key.as_str()) {
                    let known = server_keys.iter().map(String::as_str).chain(["gateway"]);
                    let name = key.as_str().to_owned();
                    // A setting of ours at the top level is a likely slip of indentation.
                    let what = match settings.iter().any(|known| known.split('.').nth(1) == Some(key.as_str())) {
                        true => Message::MisplacedKey { name },
                        false => Message::UnknownKey { near: near(&name, known), name },
                    };
                    let place = self.place(key.span());
                    self.problem(place, "", what);
                }
            }
        }
    }

    fn check_level(&mut self, prefix: &str, node: &Node, settings: &[&'static str]) {
        let Some(mapping) = node.as_mapping() else {
            let text = node.as_scalar().map(scalar_text);
            if text.as_ref().is_none_or(|text| !text.is_empty()) {
                let place = self.place(node.span());
                let what = text.and_then(blank_missing::in_text).unwrap_or(Message::SettingsExpected);
                self.problem(place, prefix, what);
            }
            return;
        };
        for (key, value) in mapping.iter() {
            let path = format!("{prefix}.{}", key.as_str());
            let is_level =
                settings.iter().any(|known| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
            if is_level {
                self.check_level(&path, value, settings);
            } else if !settings.contains(&path.as_str()) && !LISTS.iter().any(|list| list.key == path) {
                let level = format!("{prefix}.");
                let known: Vec<&str> = settings
                    .iter()
                    .copied()
                    .chain(LISTS.iter().map(|list| list.key))
                    .filter_map(|key| key.strip_prefix(&level)?.split('.').next())
                    .collect();
                let near = near(key.as_str(), known);
                let place = self.place(key.span());
                self.problem(place, "", Message::UnknownKey { name: path, near });
            }
        }
    }

    /// Notes every key of an entry that is not `known`.
    pub fn refuse_unknown_entry_keys(&mut self, at: &str, entry: &MarkedMappingNode, known: &[&str]) {
        for (key, _) in entry.iter() {
            if !known.contains(&key.as_str()) {
                let unknown = || Message::UnknownKey {
                    near: near(key.as_str(), known.iter().copied()),
                    name: format!("{at}.{}", key.as_str()),
                };
                let what = blank_missing::in_text(key.as_str()).unwrap_or_else(unknown);
                let place = self.place(key.span());
                self.problem(place, "", what);
            }
        }
    }
}

fn one_text(node: &Node) -> Option<String> {
    node.as_scalar().map(|scalar| scalar_text(scalar).to_owned())
}

/// The values of a list, with commas between.
fn list_text(node: &Node) -> Option<String> {
    let texts: Option<Vec<String>> = node.as_sequence()?.iter().map(one_text).collect();
    Some(texts?.join(", "))
}
