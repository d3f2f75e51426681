//! The system prompt of a Messages request: which of its blocks is meant, and what becomes of it.

use super::outcome::{Change, Outcome, Unchanged};
use crate::rules::document::{Container, Document, Json, NoChange, Node, unquoted};
use crate::rules::stored;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// How the block begins that says who asks: Claude Code, or the Agent SDK (`claude -p`).
pub(super) const IDENTITIES: [&str; 2] = [
    "You are Claude Code, Anthropic's official CLI for Claude.",
    "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
];

/// How the block begins that Claude Code 2.1 puts before the identity. The API takes it out of the prompt where it stands
/// first and alone; anything before it or in it defeats that, and the prompt cache with it.
pub(crate) const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// A first block that holds this, in any case, already says that it comes from Claude Code.
const CLAUDE_CODE: &[u8] = b"claude code";

/// What is to become of the system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The target's text gives way to ours.
    Replace,
    /// Our text and an empty line come before the target's text.
    Prepend,
    /// An empty line and our text come after the target's text.
    Append,
    /// A block with our text is inserted if there is no such block as the target; for [`Target::First`]: if the
    /// first block does not name Claude Code. It never comes before the attribution.
    InsertIfMissing,
    /// The same; the text of a block that is there gives way to ours.
    InsertOrReplace,
    /// `system` becomes a list: a string its one block, and where there is nothing, or nothing but blanks in it, our text.
    EnsureList,
    /// The target is removed.
    Remove,
}

/// Which block of `system` is meant. [`Mode::EnsureList`] asks for none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    /// The first, whatever it is.
    First,
    /// The first that begins with one of the [`IDENTITIES`]; never the attribution.
    Identity,
    /// The last.
    Last,
    /// The one with this index.
    Index(usize),
    /// The first in whose text the expression is found.
    Matching(#[serde(with = "stored::text")] Regex),
}

/// A change of the system prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct System {
    mode: Mode,
    target: Target,
    /// Our text as a JSON string.
    text: Json<'static>,
    /// The block to insert.
    block: Json<'static>,
    /// A list with our text as its only block; empty without a text.
    list: Json<'static>,
}

impl System {
    /// A change with this text. [`Mode::Remove`] needs none, [`Mode::EnsureList`] can do without.
    pub fn new(mode: Mode, target: Target, text: &str) -> Self {
        let quoted = Json::string(text);
        let block = format!(r#"{{"type":"text","text":{},"cache_control":{{"type":"ephemeral"}}}}"#, quoted.as_str());
        let list = match text.is_empty() {
            true => "[]".to_owned(),
            false => format!(r#"[{{"type":"text","text":{}}}]"#, quoted.as_str()),
        };
        Self { mode, target, text: quoted, block: Json::trusted(block), list: Json::trusted(list) }
    }

    /// The same with an inserted block that carries no `cache_control`: the API takes four marks in a request.
    pub fn unmarked(mut self) -> Self {
        self.block = Json::trusted(format!(r#"{{"type":"text","text":{}}}"#, self.text.as_str()));
        self
    }

    /// Whether its target is found by what texts say.
    pub(super) fn looks_at_texts(&self) -> bool {
        self.mode != Mode::EnsureList && matches!(self.target, Target::Matching(_))
    }

    /// Whether it replaces or removes the first block, whatever that is.
    pub(in crate::rules) fn replaces_first(&self) -> bool {
        matches!(self.mode, Mode::Replace | Mode::Remove) && matches!(self.target, Target::First | Target::Index(0))
    }

    pub(super) fn apply<'a>(&'a self, document: &mut Document<'a>) -> Outcome {
        let root = document.root_mut().object_or(Unchanged::NotAnObject)?;
        let place = root.find("system");
        if self.mode == Mode::EnsureList {
            return self.ensure_list(root, place);
        }
        let blocks = root.at(place.ok_or(Unchanged::NoSystem)?).list_or(Unchanged::NotAList)?;
        match self.mode {
            Mode::InsertIfMissing | Mode::InsertOrReplace => match self.place_for(blocks)? {
                Place::Free(index) => {
                    blocks.insert(index, self.block.borrowed());
                    Ok(Change::Inserted)
                }
                Place::Taken(index) if self.mode == Mode::InsertOrReplace => self.change_text(blocks.at(index)),
                Place::Taken(_) => Err(NoChange::Present.into()),
            },
            Mode::Remove => {
                let index = self.target.find(blocks)?;
                blocks.remove(index);
                Ok(Change::Removed)
            }
            _ => {
                let index = self.target.find(blocks)?;
                self.change_text(blocks.at(index))
            }
        }
    }

    fn change_text<'a>(&'a self, block: &mut Node<'a>) -> Outcome {
        let place = text_of(block).ok_or(Unchanged::NoText)?;
        let is_attribution = begins_with(quoted(place)?, ATTRIBUTION);
        let (text, change) = match self.mode {
            Mode::Prepend | Mode::Append if is_attribution => return Err(Unchanged::Attribution),
            Mode::Prepend => (joined(self.text.as_str(), quoted(place)?), Change::Prepended),
            Mode::Append => (joined(quoted(place)?, self.text.as_str()), Change::Appended),
            _ if is_attribution => (self.text.borrowed(), Change::AttributionReplaced),
            _ => (self.text.borrowed(), Change::Replaced),
        };
        place.replace(text)?;
        Ok(change)
    }

    /// Where our block goes, or the block that makes it needless.
    fn place_for(&self, blocks: &mut Container<'_>) -> Result<Place, Unchanged> {
        let Target::First = self.target else {
            let is_first = first_text(blocks).is_ok_and(|text| begins_with(text, ATTRIBUTION));
            return Ok(self.target.find(blocks).map_or(Place::Free(usize::from(is_first)), Place::Taken));
        };
        let first = first_text(blocks)?;
        if !begins_with(first, ATTRIBUTION) {
            return Ok(if names_claude_code(first) { Place::Taken(0) } else { Place::Free(0) });
        }
        // Another gateway on the way may have inserted the same.
        let is_there =
            blocks.len() > 1 && text_of(blocks.at(1)).and_then(|text| text.quoted()) == Some(self.text.as_str());
        Ok(if is_there { Place::Taken(1) } else { Place::Free(1) })
    }

    fn ensure_list<'a>(&'a self, root: &mut Container<'a>, place: Option<usize>) -> Outcome {
        let Some(place) = place else {
            if self.has_text() {
                root.add("system", self.list.borrowed());
                return Ok(Change::Listed);
            }
            return Err(Unchanged::NoSystem);
        };
        let system = root.at(place);
        match system.scalar() {
            Some("null") => system.replace(self.list.borrowed())?,
            // The API takes no block whose text says nothing.
            Some(text) if is_blank(text) => system.replace(self.list.borrowed())?,
            Some(text) if text.starts_with('"') => {
                let list = Json::trusted(format!(r#"[{{"type":"text","text":{text}}}]"#));
                system.replace(list)?;
            }
            _ => {
                let blocks = system.list_or(Unchanged::NotAList)?;
                if blocks.len() > 0 || !self.has_text() {
                    return Err(NoChange::Present.into());
                }
                system.replace(self.list.borrowed())?;
            }
        }
        Ok(Change::Listed)
    }

    fn has_text(&self) -> bool {
        self.text.as_str() != "\"\""
    }
}

/// A place in `system`.
enum Place {
    /// A block is to be inserted here.
    Free(usize),
    /// There is such a block already.
    Taken(usize),
}

impl Target {
    fn find(&self, blocks: &mut Container<'_>) -> Result<usize, Unchanged> {
        let length = blocks.len();
        if length == 0 {
            return Err(Unchanged::Empty);
        }
        let found = match self {
            Self::First => Some(0),
            Self::Last => Some(length - 1),
            Self::Index(index) => Some(*index).filter(|index| *index < length),
            Self::Identity => find_text(blocks, |text| IDENTITIES.iter().any(|identity| begins_with(text, identity))),
            Self::Matching(regex) => find_text(blocks, |text| unquoted(text).is_some_and(|text| regex.is_match(&text))),
        };
        found.ok_or(Unchanged::NoBlock)
    }
}

/// The first block whose text, a JSON string, passes.
fn find_text(blocks: &mut Container<'_>, passes: impl Fn(&str) -> bool) -> Option<usize> {
    (0..blocks.len()).find(|index| text_of(blocks.at(*index)).and_then(|text| text.quoted()).is_some_and(&passes))
}

/// The text of a block, if it is a string.
fn text_of<'n, 'a>(block: &'n mut Node<'a>) -> Option<&'n mut Node<'a>> {
    let block = block.object()?;
    let index = block.find("text")?;
    Some(block.at(index)).filter(|text| text.quoted().is_some())
}

fn quoted<'n>(text: &'n Node<'_>) -> Result<&'n str, Unchanged> {
    text.quoted().ok_or(Unchanged::NoText)
}

/// The text of the first block, a JSON string.
fn first_text<'n>(blocks: &'n mut Container<'_>) -> Result<&'n str, Unchanged> {
    if blocks.len() == 0 {
        return Err(Unchanged::Empty);
    }
    quoted(text_of(blocks.at(0)).ok_or(Unchanged::NoText)?)
}

/// What rules may ask of the text of a block of `system`, a JSON string, without a look at the rest of it.
pub(crate) fn said(quoted: &str, is_first: bool) -> Option<Said> {
    if let Some(at) = IDENTITIES.iter().position(|identity| begins_with(quoted, identity)) {
        return u8::try_from(at).ok().map(Said::Identity);
    }
    match is_blank(quoted) {
        true => Some(Said::Nothing),
        false => (is_first && names_claude_code(quoted)).then_some(Said::ClaudeCode),
    }
}

/// What the text of a block of `system` says, as far as built-in rules ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing but blanks.
    Nothing,
    /// It begins with the identity of this number.
    Identity(u8),
    /// It names Claude Code.
    ClaudeCode,
}

impl Said {
    /// How a text begins that says so; a blank for a blank one.
    pub fn beginning(self) -> &'static str {
        match self {
            Self::Nothing => " ",
            Self::Identity(at) => IDENTITIES.get(usize::from(at)).copied().unwrap_or_default(),
            Self::ClaudeCode => "Claude Code ",
        }
    }
}

/// Two JSON strings as one, with an empty line between. The bytes of both stay as they are.
fn joined(first: &str, second: &str) -> Json<'static> {
    let text = match (first, second) {
        ("\"\"", only) | (only, "\"\"") => only.to_owned(),
        _ => [&first[..first.len() - 1], "\\n\\n", &second[1..]].concat(),
    };
    Json::trusted(text)
}

/// Whether the content of a JSON string begins with `prefix`, which needs no escapes. Long texts are not unescaped.
fn begins_with(quoted: &str, prefix: &str) -> bool {
    let head = &quoted.as_bytes()[1..quoted.len() - 1];
    let head = &head[..head.len().min(prefix.len())];
    match memchr::memchr(b'\\', head) {
        None => head == prefix.as_bytes(),
        // Most texts differ before their first escape.
        Some(at) if head[..at] != prefix.as_bytes()[..at] => false,
        Some(_) => unquoted(quoted).is_some_and(|text| text.starts_with(prefix)),
    }
}

/// Whether a JSON string has nothing but blanks in it.
fn is_blank(quoted: &str) -> bool {
    // Most texts begin with something else, and are not unescaped.
    let may_be = |first: char| first == '"' || first == '\\' || first.is_whitespace();
    quoted.strip_prefix('"').is_some_and(|rest| rest.starts_with(may_be))
        && unquoted(quoted).is_some_and(|text| text.trim().is_empty())
}

/// Whether the content of a JSON string holds "Claude Code" in any case. No letter outside of ASCII has one of its
/// letters as the lower case.
fn names_claude_code(quoted: &str) -> bool {
    let is_in = |text: &[u8]| {
        memchr::memchr2_iter(b'c', b'C', text)
            .any(|at| text[at..].get(..CLAUDE_CODE.len()).is_some_and(|part| part.eq_ignore_ascii_case(CLAUDE_CODE)))
    };
    // Its letters stand for themselves, unless some are written, or taken up, by such an escape.
    match memchr::memmem::find(quoted.as_bytes(), b"\\u") {
        None => is_in(quoted.as_bytes()),
        Some(_) => unquoted(quoted).is_some_and(|text| is_in(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_with, names_claude_code};

    #[test]
    fn a_text_is_asked_for_names_as_if_it_were_unescaped() {
        for (quoted, names) in [
            (r#""You are Claude Code.""#, true),
            (r#""line\nCLAUDE code""#, true),
            (r#""\u0043laude Code""#, true),
            (r#""\u4f60 claude code""#, true),
            // The escape takes up the first letter.
            (r#""\u000claude code""#, false),
            (r#""Claude\nCode""#, false),
            (r#""Claude Cod""#, false),
        ] {
            assert_eq!(names_claude_code(quoted), names, "{quoted}");
        }
    }

    #[test]
    fn a_text_begins_as_if_it_were_unescaped() {
        for (quoted, begins) in [
            (r#""You are""#, true),
            (r#""You are\nhere""#, true),
            (r#""You\u0020are""#, true),
            (r#""Yo\u0075 are""#, true),
            (r#""You\nare""#, false),
            (r#""He\u0020is""#, false),
            (r#""You""#, false),
        ] {
            assert_eq!(begins_with(quoted, "You are"), begins, "{quoted}");
        }
    }
}
