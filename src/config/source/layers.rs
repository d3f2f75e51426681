//! The YAML texts that settings are read from: the panel's overlay before the operator's file.

use super::message::Message;
use super::place::place_in;
use super::problem::{Problem, Source};
use super::{blank_missing, bounds, tab};
use marked_yaml::{Node, Span};

/// What the YAML reader calls the operator's file, and the overlay, in its marks.
const FILE: usize = 0;
const OVERLAY: usize = 1;

/// Where the texts came from, for messages.
#[derive(Clone, Debug)]
pub struct Places {
    file: String,
    overlay: String,
}

impl Places {
    /// One file, and no overlay.
    pub fn file(path: &str) -> Self {
        Self { file: path.to_owned(), overlay: String::new() }
    }

    /// Where a node stands.
    pub fn of(&self, span: &Span) -> Source {
        match span.start() {
            Some(marker) => self.at(marker),
            None => Source::WholeFile(self.file.clone()),
        }
    }

    /// A place in the operator's file.
    pub fn in_file(&self, line: usize, column: usize) -> Source {
        Source::File { path: self.file.clone(), line, column }
    }

    /// A place in the overlay.
    pub fn in_overlay(&self, line: usize, column: usize) -> Source {
        Source::Overlay { path: self.overlay.clone(), line, column }
    }

    fn at(&self, marker: &marked_yaml::Marker) -> Source {
        match marker.source() {
            OVERLAY => self.in_overlay(marker.line(), marker.column()),
            _ => self.in_file(marker.line(), marker.column()),
        }
    }
}

/// The texts, taken apart.
#[derive(Debug)]
pub(crate) struct Layers {
    /// Where they came from.
    pub places: Places,
    file: Option<Node>,
    overlay: Option<Node>,
}

impl Layers {
    /// The operator's file alone; a text that is no YAML is noted in `problems`.
    pub(crate) fn new(path: &str, yaml: &str, problems: &mut Vec<Problem>) -> Self {
        let places = Places::file(path);
        let file = parse(&places, FILE, yaml, problems);
        Self { places, file, overlay: None }
    }

    /// Puts the panel's overlay before it.
    pub(crate) fn set_overlay(&mut self, path: &str, yaml: &str, problems: &mut Vec<Problem>) {
        self.places.overlay = path.to_owned();
        self.overlay = parse(&self.places, OVERLAY, yaml, problems);
    }

    /// The overlay.
    pub(crate) fn overlay(&self) -> Option<&Node> {
        self.overlay.as_ref()
    }

    /// The overlay's node at a dotted path.
    pub(crate) fn in_overlay(&self, key: &str) -> Option<&Node> {
        find(self.overlay.as_ref()?, key)
    }

    /// The node at a dotted path: the overlay's, unless it is empty, else the file's.
    pub(crate) fn node(&self, key: &str) -> Option<&Node> {
        self.in_overlay(key).filter(|node| !is_empty(node)).or_else(|| self.in_file(key))
    }

    /// The file's node at a dotted path.
    pub(crate) fn in_file(&self, key: &str) -> Option<&Node> {
        find(self.file.as_ref()?, key)
    }

    /// All texts.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Node> {
        self.overlay.iter().chain(&self.file)
    }
}

/// Whether a node is an empty value, which counts as not set.
fn is_empty(node: &Node) -> bool {
    node.as_scalar().is_some_and(|scalar| super::node::scalar_text(scalar).is_empty())
}

fn find<'n>(root: &'n Node, key: &str) -> Option<&'n Node> {
    key.split('.').try_fold(root, |node, part| node.as_mapping()?.get_node(part))
}

/// The node of a text alone, if it can be taken apart.
pub(crate) fn parsed(yaml: &str) -> Option<Node> {
    parse(&Places::file(""), FILE, yaml, &mut Vec::new())
}

fn parse(places: &Places, source: usize, yaml: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    // A text of comments alone is an empty one.
    let has_content = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#'));
    if !yaml.lines().any(has_content) {
        return None;
    }
    // First of all: the reader would take the memory that is needed, and go as deep as the text does.
    if let Err((line, column, what)) = bounds::yaml(yaml) {
        let at = places.at(&marked_yaml::Marker::new(source, 0, line, column));
        problems.push(Problem { at, key: String::new(), what });
        return None;
    }
    let options = marked_yaml::LoaderOptions::default().error_on_duplicate_keys(true).prevent_coercion(true);
    match marked_yaml::parse_yaml_with_options(source, yaml, options) {
        Ok(root) => Some(root),
        Err(marked_yaml::LoadError::DuplicateKey(twice)) => {
            let line = |key: &marked_yaml::types::MarkedScalarNode| key.span().start().map_or(0, |start| start.line());
            let (name, first) = (twice.key.as_str().to_owned(), line(&twice.prev_key) as u64);
            let is_ours = name == "gateway" && twice.key.span().start().is_some_and(|start| start.column() == 1);
            let what = if is_ours { Message::GatewayTwice { first } } else { Message::KeyTwice { name, first } };
            problems.push(Problem { at: places.of(twice.key.span()), key: String::new(), what });
            None
        }
        Err(error) => {
            let line = marker(&error).map_or(0, |marker| marker.line());
            if let Some((line, column)) = tab::near(yaml, line, error.to_string().contains("tab")) {
                let at = places.at(&marked_yaml::Marker::new(source, 0, line, column));
                problems.push(Problem { at, key: String::new(), what: Message::TabInIndentation });
                return None;
            }
            if let Some((line, column, what)) = blank_missing::before(yaml, line) {
                let at = places.at(&marked_yaml::Marker::new(source, 0, line, column));
                problems.push(Problem { at, key: String::new(), what });
                return None;
            }
            // It begins with the place, which is told already.
            let text = error.to_string();
            let said = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ').to_owned();
            let at = error_place(places, source, yaml, &error);
            problems.push(Problem { at, key: String::new(), what: Message::NotYaml { said } });
            None
        }
    }
}

/// Where the reader found an error.
fn marker(error: &marked_yaml::LoadError) -> Option<marked_yaml::Marker> {
    use marked_yaml::LoadError as E;
    match error {
        E::TopLevelMustBeMapping(m)
        | E::TopLevelMustBeSequence(m)
        | E::UnexpectedAnchor(m)
        | E::MappingKeyMustBeScalar(m)
        | E::UnexpectedTag(m)
        | E::ScanError(m, _) => Some(*m),
        E::DuplicateKey(inner) => inner.key.span().start().copied(),
    }
}

fn error_place(places: &Places, source: usize, yaml: &str, error: &marked_yaml::LoadError) -> Source {
    match marker(error) {
        Some(marker) => {
            // Something is missing where the text ends: no editor goes to a line behind its last one.
            let (line, column) = match marker.line() > yaml.lines().count() {
                true => place_in(yaml.trim_end(), yaml.len()),
                false => (marker.line(), marker.column()),
            };
            places.at(&marked_yaml::Marker::new(source, marker.character(), line, column))
        }
        None if source == OVERLAY => Source::WholeFile(places.overlay.clone()),
        None => Source::WholeFile(places.file.clone()),
    }
}
