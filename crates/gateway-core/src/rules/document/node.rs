//! The values of a document: texts that nobody looked into, and containers that were taken apart.

use super::json::{BLANKS, Json, NotJson, unquoted, without_blanks};
use super::no_change::{MAX_ENTRIES, NoChange};
use super::pointer::Token;
use super::scan::{self, Scan};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;

/// A part of a document.
#[derive(Clone, Debug)]
pub(in crate::rules) enum Text<'a> {
    /// A slice of the original text, and where it stands there.
    Kept { at: usize, text: &'a str },
    /// New text, compact.
    New(Cow<'a, str>),
}

impl<'a> Text<'a> {
    fn as_str(&self) -> &str {
        match self {
            Self::Kept { text, .. } => text,
            Self::New(text) => text,
        }
    }

    fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::Kept { at, text } => Self::Kept { at: at + range.start, text: &text[range] },
            Self::New(Cow::Borrowed(text)) => Self::New(Cow::Borrowed(&text[range])),
            Self::New(Cow::Owned(text)) => Self::New(Cow::Owned(text[range].to_owned())),
        }
    }
}

/// A value: a text that was not looked into, or a container taken apart.
#[derive(Clone, Debug)]
pub(in crate::rules) enum Node<'a> {
    /// Not looked into.
    Closed(Text<'a>),
    /// Not to be looked into: it has too many entries.
    Sealed(Text<'a>),
    /// Taken apart.
    Open(Box<Container<'a>>),
}

/// What becomes of a value that is already there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Replace,
    Keep,
}

impl<'a> Node<'a> {
    /// The object or list that this is, taken apart.
    pub(super) fn open(&mut self) -> Option<&mut Container<'a>> {
        if let Self::Closed(text) = self {
            if !text.as_str().starts_with(['{', '[']) {
                return None;
            }
            *self = match entries_of(text.as_str()) {
                Ok(Some(values)) => Self::Open(Box::new(Container::new(text, &values))),
                _ => Self::Sealed(text.clone()),
            };
        }
        match self {
            Self::Open(container) => Some(container),
            _ => None,
        }
    }

    /// The object or list that this is, taken apart.
    ///
    /// # Errors
    /// That it has too many entries; else `otherwise`.
    pub(super) fn open_or(&mut self, otherwise: NoChange) -> Result<&mut Container<'a>, NoChange> {
        self.open();
        match self {
            Self::Open(container) => Ok(container),
            Self::Sealed(_) => Err(NoChange::TooLarge),
            Self::Closed(_) => Err(otherwise),
        }
    }

    /// The list that this is, taken apart.
    ///
    /// # Errors
    /// That it is one with too many entries; else `otherwise`.
    pub(in crate::rules) fn list_or<E: From<NoChange>>(&mut self, otherwise: E) -> Result<&mut Container<'a>, E> {
        self.container_or('[', otherwise)
    }

    /// The object that this is, taken apart.
    ///
    /// # Errors
    /// As [`Node::list_or`].
    pub(in crate::rules) fn object_or<E: From<NoChange>>(&mut self, otherwise: E) -> Result<&mut Container<'a>, E> {
        self.container_or('{', otherwise)
    }

    fn container_or<E: From<NoChange>>(&mut self, bracket: char, otherwise: E) -> Result<&mut Container<'a>, E> {
        self.open();
        match self {
            Self::Open(container) if container.is_list() == (bracket == '[') => Ok(container),
            Self::Sealed(text) if text.as_str().starts_with(bracket) => Err(NoChange::TooLarge.into()),
            _ => Err(otherwise),
        }
    }

    /// The list that this is, taken apart.
    pub(in crate::rules) fn list(&mut self) -> Option<&mut Container<'a>> {
        self.list_or(NoChange::Absent).ok()
    }

    /// The object that this is, taken apart.
    pub(in crate::rules) fn object(&mut self) -> Option<&mut Container<'a>> {
        self.object_or(NoChange::Absent).ok()
    }

    /// The object that this is, if it was taken apart before, as the root is.
    pub(in crate::rules) fn as_open_object(&self) -> Option<&Container<'a>> {
        match self {
            Self::Open(container) if !container.is_list() => Some(container),
            _ => None,
        }
    }

    /// The text of a scalar, as it is written.
    pub(in crate::rules) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Closed(text) => Some(text.as_str()).filter(|text| !text.starts_with(['{', '['])),
            _ => None,
        }
    }

    /// The text of a JSON string as it is written, quotes included.
    pub(in crate::rules) fn quoted(&self) -> Option<&str> {
        self.scalar().filter(|text| text.starts_with('"'))
    }

    /// Puts `json` in the place of this value.
    pub(in crate::rules) fn replace(&mut self, json: Json<'a>) -> Result<(), NoChange> {
        if let Self::Closed(text) = self
            && text.as_str() == json.as_str()
        {
            return Err(NoChange::Same);
        }
        *self = Self::Closed(Text::New(json.0));
        Ok(())
    }

    /// The text of this value as it stands now.
    pub(in crate::rules) fn text(&self, source: &str) -> Cow<'_, str> {
        match self {
            Self::Closed(text) | Self::Sealed(text) => Cow::Borrowed(text.as_str()),
            Self::Open(_) => {
                let mut text = String::new();
                let mut writer = Writer::new(source, false);
                writer.node(self);
                writer.pieces.iter().for_each(|piece| text.push_str(piece.text));
                Cow::Owned(text)
            }
        }
    }

    pub(super) fn descend(&mut self, tokens: &[Token]) -> Result<&mut Self, NoChange> {
        let mut node = self;
        for token in tokens {
            let container = node.open_or(NoChange::Absent)?;
            let index = container.child(token).ok_or(NoChange::Absent)?;
            node = container.at(index);
        }
        Ok(node)
    }

    pub(super) fn place(&mut self, tokens: &[Token], json: Json<'a>, existing: Existing) -> Result<(), NoChange> {
        let mut node = self;
        for (depth, token) in tokens.iter().enumerate() {
            let container = node.open_or(NoChange::NoPlace)?;
            match container.child(token) {
                Some(index) => node = container.at(index),
                None if !container.is_list() => {
                    container.add(&token.key, wrapped(&tokens[depth + 1..], json));
                    return Ok(());
                }
                None if token.is_end() => {
                    container.insert(container.len(), wrapped(&tokens[depth + 1..], json));
                    return Ok(());
                }
                None => return Err(NoChange::NoPlace),
            }
        }
        match existing {
            Existing::Replace => node.replace(json),
            Existing::Keep => Err(NoChange::Present),
        }
    }
}

/// `json` inside of the containers that `tokens` ask for.
fn wrapped<'a>(tokens: &[Token], json: Json<'a>) -> Json<'a> {
    if tokens.is_empty() {
        return json;
    }
    let mut text = String::new();
    for token in tokens {
        match token.is_end() {
            true => text.push('['),
            false => text.push_str(&format!("{{{}:", Value::from(token.key.as_str()))),
        }
    }
    text.push_str(json.as_str());
    text.extend(tokens.iter().rev().map(|token| if token.is_end() { ']' } else { '}' }));
    Json::trusted(text)
}

/// An object or a list, taken apart.
#[derive(Clone, Debug)]
pub(in crate::rules) struct Container<'a> {
    /// The opening bracket.
    open: Text<'a>,
    entries: Vec<Entry<'a>>,
    /// The closing bracket and the blanks before it.
    close: Text<'a>,
}

/// A member or an element.
#[derive(Clone, Debug)]
struct Entry<'a> {
    /// From the end of the value before (or from the bracket) to this value: blanks, the comma, key and colon. What
    /// was the first entry in the text, or is new, has no comma here.
    lead: Text<'a>,
    value: Node<'a>,
}

impl Entry<'_> {
    /// Where the text after the comma begins, if there is a comma.
    fn after_comma(&self) -> Option<usize> {
        let lead = self.lead.as_str();
        let rest = lead.trim_start_matches(BLANKS).strip_prefix(',')?;
        Some(lead.len() - rest.len())
    }

    fn has_key(&self, key: &str) -> bool {
        let lead = self.lead.as_str();
        let (Some(start), Some(end)) = (lead.find('"'), lead.rfind('"')) else { return false };
        unquoted(&lead[start..=end]).is_some_and(|own| own == key)
    }
}

impl<'a> Container<'a> {
    /// `values` are the slices of `text` that are the entries' values.
    pub(super) fn new(text: &Text<'a>, values: &[&str]) -> Self {
        let whole = text.as_str();
        let mut cut = 1;
        let mut entries = Vec::with_capacity(values.len() + 2);
        for value in values {
            let start = value.as_ptr() as usize - whole.as_ptr() as usize;
            let end = start + value.len();
            entries.push(Entry { lead: text.slice(cut..start), value: Node::Closed(text.slice(start..end)) });
            cut = end;
        }
        Self { open: text.slice(0..1), entries, close: text.slice(cut..whole.len()) }
    }

    /// Whether this is a list.
    pub(in crate::rules) fn is_list(&self) -> bool {
        self.open.as_str() == "["
    }

    /// How many entries there are, repeated keys counted.
    pub(in crate::rules) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of an entry.
    pub(in crate::rules) fn at(&mut self, index: usize) -> &mut Node<'a> {
        &mut self.entries[index].value
    }

    /// Where the member that counts for `key` stands.
    pub(in crate::rules) fn find(&self, key: &str) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.has_key(key))
    }

    /// The member that counts for `key`.
    pub(in crate::rules) fn member(&self, key: &str) -> Option<&Node<'a>> {
        Some(&self.entries[self.find(key)?].value)
    }

    /// Inserts an element into a list, so that it gets this index.
    pub(in crate::rules) fn insert(&mut self, index: usize, json: Json<'a>) {
        let value = Node::Closed(Text::New(json.0));
        self.entries.insert(index, Entry { lead: Text::New(Cow::Borrowed("")), value });
    }

    /// Adds a member to an object, at its end.
    pub(in crate::rules) fn add(&mut self, key: &str, json: Json<'a>) {
        let lead = Text::New(Cow::Owned(format!("{}:", Value::from(key))));
        self.entries.push(Entry { lead, value: Node::Closed(Text::New(json.0)) });
    }

    /// Removes an entry.
    pub(in crate::rules) fn remove(&mut self, index: usize) {
        self.entries.remove(index);
        self.tidy();
    }

    /// Removes all repeats of a member. Says whether there was one.
    pub(super) fn remove_all(&mut self, key: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !entry.has_key(key));
        let found = self.entries.len() < before;
        if found {
            self.tidy();
        }
        found
    }

    /// The blanks go with the last entry.
    fn tidy(&mut self) {
        if self.entries.is_empty() {
            let length = self.close.as_str().len();
            self.close = self.close.slice(length - 1..length);
        }
    }

    pub(super) fn child(&self, token: &Token) -> Option<usize> {
        match self.is_list() {
            true => token.index.filter(|index| *index < self.len()),
            false => self.find(&token.key),
        }
    }
}

/// A run of bytes of the document as it stands now.
pub(super) struct Piece<'s> {
    /// Where it stands in the original text, if it comes from there.
    pub(super) at: Option<usize>,
    pub(super) text: &'s str,
}

/// Gathers a document's text, neighbours in the original joined.
pub(super) struct Writer<'s> {
    source: &'s str,
    compact: bool,
    pieces: Vec<Piece<'s>>,
}

impl<'s> Writer<'s> {
    pub(super) fn new(source: &'s str, compact: bool) -> Self {
        Self { source, compact, pieces: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<Piece<'s>> {
        self.pieces
    }

    pub(super) fn node(&mut self, node: &'s Node<'_>) {
        let container = match node {
            Node::Closed(text) | Node::Sealed(text) => return self.text(text),
            Node::Open(container) => container,
        };
        self.text(&container.open);
        for (index, entry) in container.entries.iter().enumerate() {
            match entry.after_comma() {
                Some(start) if index == 0 => self.part(&entry.lead, start),
                None if index > 0 => {
                    self.run(None, ",");
                    self.text(&entry.lead);
                }
                _ => self.text(&entry.lead),
            }
            self.node(&entry.value);
        }
        self.text(&container.close);
    }

    pub(super) fn text(&mut self, text: &'s Text<'_>) {
        self.part(text, 0);
    }

    /// `text` from `start` on.
    fn part(&mut self, text: &'s Text<'_>, start: usize) {
        let (at, text) = match text {
            Text::Kept { at, text } => (Some(at + start), &text[start..]),
            Text::New(text) => (None, &text[start..]),
        };
        match at {
            Some(at) if self.compact => without_blanks(text, |run| self.run(Some(at + run.start), &text[run])),
            _ => self.run(at, text),
        }
    }

    fn run(&mut self, at: Option<usize>, text: &'s str) {
        if text.is_empty() {
            return;
        }
        if let (Some(Piece { at: Some(start), text: last }), Some(at)) = (self.pieces.last_mut(), at)
            && *start + last.len() == at
        {
            *last = &self.source[*start..at + text.len()];
            return;
        }
        self.pieces.push(Piece { at, text });
    }
}

/// The texts of the values in the container `text`, which is checked on the way. `None` if there are too many.
pub(super) fn entries_of(text: &str) -> Result<Option<Vec<&str>>, NotJson> {
    let bytes = text.as_bytes();
    let is_object = bytes.first() == Some(&b'{');
    let closing = if is_object { b'}' } else { b']' };
    let mut values = Some(Vec::with_capacity(16));
    let scan = Scan::new(bytes, 0);
    let mut at = scan.blanks(1);
    let end = if bytes.get(at) == Some(&closing) {
        at + 1
    } else {
        loop {
            let start = if is_object { scan.name(at)?.1 } else { at };
            let end = scan.value(start)?;
            match &mut values {
                Some(kept) if kept.len() < MAX_ENTRIES => kept.push(&text[start..end]),
                _ => values = None,
            }
            at = scan.blanks(end);
            match bytes.get(at) {
                Some(b',') => at = scan.blanks(at + 1),
                Some(&byte) if byte == closing => break at + 1,
                _ => return Err(scan::Bad::At(at).into()),
            }
        }
    };
    match scan.blanks(end) == bytes.len() {
        true => Ok(values),
        false => Err(scan::Bad::At(end).into()),
    }
}
