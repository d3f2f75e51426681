//! NodeReader of nested YAML: every mistake is noted with its place, and reading goes on.

use super::blank_missing;
use super::bounds::{self, Left};
use super::environment::Lookup;
use super::layers::Places;
use super::message::Message;
use super::node::scalar_text;
use super::problem::{Problem, near};
use marked_yaml::{Node, Span};

/// A YAML text that is being read.
pub(crate) struct NodeReader<'p, 'e> {
    places: &'p Places,
    env: Lookup<'e>,
    problems: &'p mut Vec<Problem>,
    /// What is valid, but hardly what was meant.
    pub warnings: Vec<Problem>,
    /// What there may still be of tests and regular expressions.
    pub left: Left,
}

impl<'p, 'e> NodeReader<'p, 'e> {
    /// Reads nodes of the texts of `places`; notes what is wrong in `problems`.
    pub(crate) fn new(places: &'p Places, env: Lookup<'e>, problems: &'p mut Vec<Problem>) -> Self {
        Self { places, env, problems, warnings: Vec::new(), left: Left::default() }
    }

    /// The environment.
    pub(crate) fn env(&self) -> Lookup<'e> {
        self.env
    }

    /// How many mistakes were noted so far.
    pub(crate) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Notes a mistake at a node, which is the setting `key`. A mapping begins with its first key.
    pub(crate) fn wrong(&mut self, node: &Node, key: &str, what: Message) {
        let first = node.as_mapping().and_then(|entries| entries.keys().next()).map_or(node.span(), |key| key.span());
        let first = *first;
        self.wrong_at(&first, key, what);
    }

    fn wrong_at(&mut self, span: &Span, key: &str, what: Message) {
        self.problems.push(Problem { at: self.places.of(span), key: key.to_owned(), what });
    }

    /// The entries of a mapping, of which only `known` ones are handed out.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, at: &str, known: &[&str]) -> Vec<(String, &'n Node)> {
        let Some(mapping) = node.as_mapping() else {
            let text = node.as_scalar().and_then(|scalar| blank_missing::in_text(scalar.as_str()));
            self.wrong(node, at, text.unwrap_or_else(|| Message::MappingExpected { keys: known.join(", ") }));
            return Vec::new();
        };
        if mapping.is_empty() {
            self.wrong(node, at, Message::MappingEmpty { keys: known.join(", ") });
        }
        let mut entries = Vec::new();
        for (key, value) in mapping.iter() {
            if known.contains(&key.as_str()) {
                entries.push((key.as_str().to_owned(), value));
            } else {
                let unknown = || Message::UnknownKey {
                    near: near(key.as_str(), known.iter().copied()),
                    name: format!("{at}.{}", key.as_str()),
                };
                let what = blank_missing::in_text(key.as_str()).unwrap_or_else(unknown);
                self.wrong_at(key.span(), "", what);
            }
        }
        entries
    }

    /// The entries of a mapping whose keys are names of the operator's.
    pub(crate) fn any_entries<'n>(&mut self, node: &'n Node, at: &str) -> Vec<(String, &'n Node)> {
        match node.as_mapping() {
            Some(mapping) if !mapping.is_empty() => {
                mapping.iter().map(|(key, value)| (key.as_str().to_owned(), value)).collect()
            }
            _ => {
                self.wrong(node, at, Message::NamesExpected);
                Vec::new()
            }
        }
    }

    /// Notes a mistake at the name of a member of the mapping `key`.
    pub(crate) fn wrong_name(&mut self, node: &Node, key: &str, name: &str, what: Message) {
        let found = node.as_mapping().and_then(|mapping| mapping.keys().find(|known| known.as_str() == name));
        let span = found.map_or(*node.span(), |name| *name.span());
        self.wrong_at(&span, key, what);
    }

    /// The items of a list; nothing is an empty one.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, at: &str) -> Vec<&'n Node> {
        match (node.as_sequence(), node.as_scalar()) {
            (Some(list), _) => list.iter().collect(),
            (None, Some(scalar)) if scalar_text(scalar).is_empty() => Vec::new(),
            _ => {
                self.wrong(node, at, Message::ListExpected);
                Vec::new()
            }
        }
    }

    /// As [`NodeReader::list`], of at most so many items.
    pub(crate) fn bounded_list<'n>(&mut self, node: &'n Node, at: &str, most: usize) -> Vec<&'n Node> {
        let items = self.list(node, at);
        match bounds::count(items.len(), most) {
            Ok(()) => items,
            Err(what) => {
                self.wrong(node, at, what);
                Vec::new()
            }
        }
    }

    /// One value, not empty.
    pub(crate) fn parse<T>(&mut self, node: &Node, at: &str, parse: impl Fn(&str) -> Result<T, Message>) -> Option<T> {
        let text = self.parse_empty(node, at)?;
        if text.is_empty() {
            self.wrong(node, at, Message::ValueMissing);
            return None;
        }
        parse(&text).map_err(|what| self.wrong(node, at, what)).ok()
    }

    /// One text, which may be empty.
    pub(crate) fn parse_empty(&mut self, node: &Node, at: &str) -> Option<String> {
        match node.as_scalar() {
            Some(scalar) => Some(scalar_text(scalar).to_owned()),
            None => {
                self.wrong(node, at, Message::OneValue);
                None
            }
        }
    }

    /// One value or a list of them.
    pub(crate) fn parse_each<T>(
        &mut self,
        node: &Node,
        at: &str,
        parse: impl Fn(&str) -> Result<T, Message>,
    ) -> Vec<T> {
        self.each(node, at).into_iter().filter_map(|node| self.parse(node, at, &parse)).collect()
    }

    /// The node itself, or those of a list, which is not to be empty.
    fn each<'n>(&mut self, node: &'n Node, at: &str) -> Vec<&'n Node> {
        let nodes: Vec<&Node> = node.as_sequence().map_or_else(|| vec![node], |list| list.iter().collect());
        if nodes.is_empty() {
            self.wrong(node, at, Message::ListEmpty);
        }
        nodes
    }

    /// One key; `parse` says too whether something around it was cut off.
    pub(crate) fn parse_key<T>(
        &mut self,
        node: &Node,
        at: &str,
        parse: impl Fn(&str) -> Result<(T, bool), Message>,
    ) -> Option<T> {
        let (key, was_cut) = self.parse(node, at, parse)?;
        if was_cut {
            let place = self.places.of(node.span());
            self.warnings.push(Problem { at: place, key: at.to_owned(), what: Message::BlanksCut });
        }
        Some(key)
    }

    /// One key or a list of them.
    pub(crate) fn parse_keys<T>(
        &mut self,
        node: &Node,
        at: &str,
        parse: impl Fn(&str) -> Result<(T, bool), Message>,
    ) -> Vec<T> {
        self.each(node, at).into_iter().filter_map(|node| self.parse_key(node, at, &parse)).collect()
    }

    /// One text or a list of them.
    pub(crate) fn texts(&mut self, node: &Node, at: &str) -> Vec<String> {
        self.parse_each(node, at, super::value::text)
    }

    /// The node as a JSON text, members in their order. Plain values are what YAML's core schema says they are; in
    /// quotes they are texts.
    pub(crate) fn json(&self, node: &Node) -> String {
        super::node::json(node)
    }
}
