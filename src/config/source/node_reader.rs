//! NodeReader of nested YAML: every mistake is noted with its place, and reading goes on.

use super::bounds::{self, Left};
use super::environment::Lookup;
use super::layers::Places;
use super::node::scalar_text;
use super::problem::{Problem, suggestion};
use marked_yaml::{Node, Span};

/// A YAML text that is being read.
pub struct NodeReader<'p, 'e> {
    places: &'p Places,
    env: Lookup<'e>,
    problems: &'p mut Vec<Problem>,
    /// What there may still be of tests and regular expressions.
    pub left: Left,
}

impl<'p, 'e> NodeReader<'p, 'e> {
    /// Reads nodes of the texts of `places`; notes what is wrong in `problems`.
    pub fn new(places: &'p Places, env: Lookup<'e>, problems: &'p mut Vec<Problem>) -> Self {
        Self { places, env, problems, left: Left::default() }
    }

    /// The environment.
    pub fn env(&self) -> Lookup<'e> {
        self.env
    }

    /// How many mistakes were noted so far.
    pub fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Notes a mistake at a node. A mapping begins with its first key.
    pub fn wrong(&mut self, node: &Node, message: impl Into<String>) {
        let first = node.as_mapping().and_then(|entries| entries.keys().next()).map_or(node.span(), |key| key.span());
        let first = *first;
        self.wrong_at(&first, message);
    }

    fn wrong_at(&mut self, span: &Span, message: impl Into<String>) {
        self.problems.push(Problem { at: self.places.of(span), message: message.into() });
    }

    /// The entries of a mapping, of which only `known` ones are handed out.
    pub fn entries<'n>(&mut self, node: &'n Node, at: &str, known: &[&str]) -> Vec<(String, &'n Node)> {
        let Some(mapping) = node.as_mapping() else {
            self.wrong(node, format!("{at}: a mapping with {} is expected here", known.join(", ")));
            return Vec::new();
        };
        if mapping.is_empty() {
            self.wrong(node, format!("{at}: this is empty; {} is expected here", known.join(", ")));
        }
        let mut entries = Vec::new();
        for (key, value) in mapping.iter() {
            if known.contains(&key.as_str()) {
                entries.push((key.as_str().to_owned(), value));
            } else {
                let hint = suggestion(key.as_str(), known.iter().copied());
                self.wrong_at(key.span(), format!("unknown key \"{at}.{}\"{hint}", key.as_str()));
            }
        }
        entries
    }

    /// The entries of a mapping whose keys are names of the operator's.
    pub fn any_entries<'n>(&mut self, node: &'n Node, at: &str) -> Vec<(String, &'n Node)> {
        match node.as_mapping() {
            Some(mapping) if !mapping.is_empty() => {
                mapping.iter().map(|(key, value)| (key.as_str().to_owned(), value)).collect()
            }
            _ => {
                self.wrong(node, format!("{at}: a mapping of names and values is expected here"));
                Vec::new()
            }
        }
    }

    /// Notes a mistake at a key of a mapping.
    pub fn wrong_key(&mut self, node: &Node, key: &str, message: impl Into<String>) {
        let found = node.as_mapping().and_then(|mapping| mapping.keys().find(|known| known.as_str() == key));
        let span = found.map_or(*node.span(), |key| *key.span());
        self.wrong_at(&span, message);
    }

    /// The items of a list; nothing is an empty one.
    pub fn list<'n>(&mut self, node: &'n Node, at: &str) -> Vec<&'n Node> {
        match (node.as_sequence(), node.as_scalar()) {
            (Some(list), _) => list.iter().collect(),
            (None, Some(scalar)) if scalar_text(scalar).is_empty() => Vec::new(),
            _ => {
                self.wrong(node, format!("{at}: a list is expected here"));
                Vec::new()
            }
        }
    }

    /// As [`NodeReader::list`], of at most so many items.
    pub fn bounded_list<'n>(&mut self, node: &'n Node, at: &str, most: usize) -> Vec<&'n Node> {
        let items = self.list(node, at);
        match bounds::count(at, items.len(), most) {
            Ok(()) => items,
            Err(message) => {
                self.wrong(node, message);
                Vec::new()
            }
        }
    }

    /// One value, not empty.
    pub fn parse<T>(&mut self, node: &Node, at: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.parse_empty(node, at)?;
        if text.is_empty() {
            self.wrong(node, format!("{at}: the value is missing"));
            return None;
        }
        parse(&text).map_err(|message| self.wrong(node, format!("{at}: {message}"))).ok()
    }

    /// One text, which may be empty.
    pub fn parse_empty(&mut self, node: &Node, at: &str) -> Option<String> {
        match node.as_scalar() {
            Some(scalar) => Some(scalar_text(scalar).to_owned()),
            None => {
                self.wrong(node, format!("{at}: one value is expected here"));
                None
            }
        }
    }

    /// One value or a list of them.
    pub fn parse_each<T>(&mut self, node: &Node, at: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let nodes: Vec<&Node> = node.as_sequence().map_or_else(|| vec![node], |list| list.iter().collect());
        if nodes.is_empty() {
            self.wrong(node, format!("{at}: the list is empty"));
        }
        nodes.into_iter().filter_map(|node| self.parse(node, at, &parse)).collect()
    }

    /// One text or a list of them.
    pub fn texts(&mut self, node: &Node, at: &str) -> Vec<String> {
        self.parse_each(node, at, super::value::text)
    }

    /// The node as a JSON text, members in their order. Plain values are what YAML's core schema says they are; in
    /// quotes they are texts.
    pub fn json(&self, node: &Node) -> String {
        super::node::json(node)
    }
}
