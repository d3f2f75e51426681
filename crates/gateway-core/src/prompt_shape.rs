//! What a Messages request looks like, without its texts: kinds, lengths, marks for caching and digests of its parts.
//!
//! One pass over the body. What says something about the prompt is not kept: of texts there is a length and a digest, of
//! ids nothing, and no names but those of tools. [`kept`] is what of it goes to the request log, without digests. Two blocks
//! have one digest exactly if the API would find one in the cache for the other: where the mark for caching stands makes no
//! difference, nor whether a single text is written as a list.

mod block;
pub mod kept;
mod scanned;
mod sketch;

pub use block::{Block, Kind, MOST_BLOCKS, Mark, Role};

use crate::rules::document::scan::{self, Bad, Scan};
use crate::rules::document::{Ends, Layout};
use block::chained;
use scanned::{Blocks, elements, members};
use sketch::sketch;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Most members of the body that are kept.
pub const MOST_FIELDS: usize = 32;
/// Longest value of one that is kept, in bytes.
const LONGEST_VALUE: usize = 200;
/// Longest name of one, in bytes.
const LONGEST_NAME: usize = 40;

/// Members whose values are no texts of anybody's.
const PLAIN: [&str; 12] = [
    "model",
    "max_tokens",
    "stream",
    "thinking",
    "temperature",
    "top_p",
    "top_k",
    "tool_choice",
    "service_tier",
    "speed",
    "context_management",
    "output_config",
];
/// Those of them that the API keeps caches of messages apart by.
const OF_CACHE: [&str; 2] = ["thinking", "tool_choice"];

/// A message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Whether its content is a text, rather than a list of blocks.
    pub is_text: bool,
    /// How many blocks it has.
    pub blocks: u32,
}

/// A member of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its value as it is written, if that is no text of anybody's.
    pub json: Option<Box<str>>,
    /// Its value without texts, as [`kept`] writes it; empty if the blocks tell it.
    pub sketch: Box<str>,
    /// How many bytes that has.
    pub bytes: u32,
}

/// What a Messages request looks like. Long conversations have thousands of blocks: the shapes of a body before and after a
/// change of `system` share them, because both are kept as long as the response takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptShape {
    /// Members of the body, in their order.
    pub fields: Vec<Field>,
    /// The blocks of `system`.
    pub system: Vec<Block>,
    /// Whether `system` is a text, rather than a list of blocks.
    pub is_system_text: bool,
    /// The tools.
    pub tools: Arc<Vec<Block>>,
    /// Their names, a line each; an empty one for what has none that is as the API wants it.
    pub tool_names: Arc<String>,
    /// The messages.
    pub messages: Arc<Vec<Message>>,
    /// The blocks of all messages, in their order.
    pub blocks: Arc<Vec<Block>>,
    /// The mark for caching of the whole prompt, where the client leaves its place to the API.
    pub mark: Option<Mark>,
    /// Whether the conversation begins with a summary of an earlier one, which Claude Code had it compacted to.
    pub is_continued: bool,
    /// Whether there is more than is told here.
    pub is_cut: bool,
    /// Where the value of `system` stands in the body, if it stands there once.
    system_at: Option<Range<usize>>,
}

impl PromptShape {
    /// That of a body; `None` if it is no JSON object.
    pub fn of(body: &[u8]) -> Option<Self> {
        Self::with_layout(body).map(|(shape, _)| shape)
    }

    /// The same, and where the members of the body stand in it.
    pub fn with_layout(body: &[u8]) -> Option<(Self, Layout)> {
        let mut layout = Layout::default();
        Self::read(body, &mut layout).ok().map(|shape| (shape, layout))
    }

    /// That of a body which was made of the one `before`, whose shape this is, and is as it was at these `ends`, if not
    /// farther. Most rules change `system` and nothing else: then nothing else is looked at.
    pub fn of_changed(&self, before: &[u8], body: &[u8], ends: Ends) -> Option<Self> {
        self.with_system_of(before, body, ends).or_else(|| Self::of(body))
    }

    fn with_system_of(&self, before: &[u8], body: &[u8], ends: Ends) -> Option<Self> {
        let Range { start, end } = self.system_at.clone().filter(|_| !self.is_cut)?;
        let end_now = body.len().checked_sub(before.len() - end).filter(|end| *end >= start)?;
        let is_known = ends.front >= start && ends.back >= before.len() - end;
        if !is_known && (before[..start] != body[..start] || before[end..] != body[end_now..]) {
            return None;
        }
        let mut shape = Self { system: Vec::new(), ..self.clone() };
        let (read, is_text) =
            Blocks::of_system(&mut shape.system, &mut shape.is_cut).content(&Scan::new(body, start), start).ok()?;
        shape.is_system_text = is_text;
        shape.system_at = Some(start..read);
        let field = shape.fields.iter_mut().find(|field| &*field.name == "system")?;
        *field = part(b"system", &body[start..read], is_text);
        (read == end_now).then_some(shape)
    }

    fn read(body: &[u8], layout: &mut Layout) -> Result<Self, Bad> {
        let (mut shape, mut has_system) = (Self::default(), false);
        let start = scan::blanks(body, 0);
        if body.get(start) != Some(&b'{') {
            return Err(Bad::At(start));
        }
        let scan = Scan::new(body, start);
        let end = members(&scan, start, |name, at| {
            let end = shape.read_member(&scan, (name, at), &mut has_system)?;
            layout.push(at..end);
            Ok(end)
        })?;
        match scan.blanks(end) == body.len() {
            true => Ok(shape),
            false => Err(Bad::At(end)),
        }
    }

    /// Reads a member with this name, whose value stands there; where it ends.
    fn read_member(
        &mut self,
        scan: &Scan<'_>,
        (name, at): (&[u8], usize),
        has_system: &mut bool,
    ) -> Result<usize, Bad> {
        let (end, is_told) = match name {
            b"system" => {
                let mut blocks = Blocks::of_system(&mut self.system, &mut self.is_cut);
                let (end, is_text) = blocks.content(scan, at)?;
                self.is_system_text = is_text;
                self.system_at = (!std::mem::replace(has_system, true)).then_some(at..end);
                (end, true)
            }
            b"tools" => {
                let (tools, names) = (Arc::make_mut(&mut self.tools), Arc::make_mut(&mut self.tool_names));
                let mut blocks = Blocks::of_tools(tools, &mut self.is_cut, names);
                (blocks.tools(scan, at)?, true)
            }
            b"messages" => (self.read_messages(scan, at)?, true),
            _ => (scan.value(at)?, false),
        };
        match is_told {
            true => self.add_part(name, &scan.text()[at..end]),
            false => self.add_field(name, &scan.text()[at..end]),
        }
        Ok(end)
    }

    fn read_messages(&mut self, scan: &Scan<'_>, at: usize) -> Result<usize, Bad> {
        if scan.byte(at) != Some(b'[') {
            return scan.value(at);
        }
        elements(scan, at, |at| {
            if scan.byte(at) != Some(b'{') {
                return scan.value(at);
            }
            let mut message = Message::default();
            let (is_first, before) = (self.messages.is_empty(), self.blocks.len());
            let end = members(scan, at, |name, at| match name {
                b"content" => {
                    let mut blocks = Blocks::new(Arc::make_mut(&mut self.blocks), &mut self.is_cut);
                    let (end, is_text) = blocks.content(scan, at)?;
                    self.is_continued |= is_first && blocks.is_summary;
                    message.is_text = is_text;
                    Ok(end)
                }
                _ => {
                    let end = scan.value(at)?;
                    if name == b"role" {
                        message.role = role(&scan.text()[at..end]);
                    }
                    Ok(end)
                }
            })?;
            message.blocks = u32::try_from(self.blocks.len() - before).unwrap_or(u32::MAX);
            match self.messages.len() < MOST_BLOCKS {
                true => Arc::make_mut(&mut self.messages).push(message),
                false => self.is_cut = true,
            }
            Ok(end)
        })
    }

    fn add_field(&mut self, name: &[u8], value: &[u8]) {
        if name == b"cache_control" {
            self.mark = scanned::mark(value);
        }
        let plain = std::str::from_utf8(name).ok().filter(|name| PLAIN.contains(name));
        let json: Option<Box<str>> =
            plain.filter(|_| value.len() <= LONGEST_VALUE).map(|_| String::from_utf8_lossy(value).into());
        let is_plain = plain.is_some() || name == b"cache_control";
        let sketch = match &json {
            // A model may be called as it likes; of all others only words are kept.
            Some(json) if name == b"model" && json.starts_with('"') && !json.contains('~') => Box::clone(json),
            _ => sketch(value, is_plain),
        };
        self.push(field(name, value, json, sketch));
    }

    /// Notes where one of the three members stands that blocks tell of, or what is in its place.
    fn add_part(&mut self, name: &[u8], value: &[u8]) {
        self.push(part(name, value, self.is_system_text && name == b"system"));
    }

    fn push(&mut self, field: Field) {
        match self.fields.len() < MOST_FIELDS {
            true => self.fields.push(field),
            false => self.is_cut = true,
        }
    }

    /// Stands for `tools`; 0 without any.
    pub fn tools_digest(&self) -> u64 {
        self.tools.iter().fold(0, |digest, tool| chained(digest, tool.digest))
    }

    /// Stands for `system`; 0 without any. Who asks is not part of it.
    pub fn system_digest(&self) -> u64 {
        let blocks = self.system.iter().filter(|block| block.kind != Kind::Attribution);
        blocks.fold(0, |digest, block| chained(digest, block.digest))
    }

    /// Stands for the settings that the API keeps caches of messages apart by.
    pub fn settings_digest(&self) -> u64 {
        let fields = self.fields.iter().filter(|field| OF_CACHE.contains(&&*field.name));
        let values = fields.flat_map(|field| [&*field.name, field.json.as_deref().unwrap_or_default()]);
        values.fold(0, |digest, value| chained(digest, xxh3_64(value.as_bytes())))
    }

    /// The blocks of all messages with who says them.
    pub fn history(&self) -> impl Iterator<Item = (Role, &Block)> {
        let roles = self.messages.iter().flat_map(|message| (0..message.blocks).map(|_| message.role));
        roles.zip(self.blocks.iter())
    }

    /// What stands for the messages up to each of their blocks, that one included. Where a message ends makes no difference
    /// if the next one is by the same side.
    pub fn history_digests(&self) -> impl Iterator<Item = u64> {
        let said = self.history().map(|(role, block)| chained(role as u64 + 1, block.digest));
        said.scan(0, |digest, said| {
            *digest = chained(*digest, said);
            Some(*digest)
        })
    }

    /// The longest time that `tools` and `system` are to be kept in the cache, if they have a mark.
    pub fn head_mark(&self) -> Option<Mark> {
        self.system.iter().chain(self.tools.iter()).filter_map(|block| block.mark).max()
    }

    /// The same of messages: that of the last mark.
    pub fn history_mark(&self) -> Option<Mark> {
        self.mark.or_else(|| self.blocks.iter().rev().find_map(|block| block.mark))
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.capacity() + self.system.capacity() + self.tools.capacity();
        let fields: usize = self
            .fields
            .iter()
            .map(|field| field.json.as_ref().map_or(0, |json| json.len()) + field.sketch.len() + 80)
            .sum();
        size_of::<Self>()
            + self.tool_names.capacity()
            + blocks * size_of::<Block>()
            + self.messages.capacity() * size_of::<Message>()
            + fields
    }
}

/// One of the three members that blocks tell of, or what is in its place.
fn part(name: &[u8], value: &[u8], is_text: bool) -> Field {
    let is_told = value.first() == Some(&b'[') || is_text;
    field(name, value, None, if is_told { Box::default() } else { sketch(value, false) })
}

fn field(name: &[u8], value: &[u8], json: Option<Box<str>>, sketch: Box<str>) -> Field {
    // A part of a long one may be the beginning of a secret, which nobody would find.
    let name = match name.len() <= LONGEST_NAME {
        true => String::from_utf8_lossy(name).into(),
        false => "x".repeat(LONGEST_NAME).into(),
    };
    Field { name, json, sketch, bytes: u32::try_from(value.len()).unwrap_or(u32::MAX) }
}

fn role(value: &[u8]) -> Role {
    match value {
        b"\"assistant\"" => Role::Assistant,
        b"\"system\"" => Role::System,
        _ => Role::User,
    }
}

#[cfg(test)]
mod tests;
