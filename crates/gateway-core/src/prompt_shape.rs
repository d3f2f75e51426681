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

use crate::rules::document::scan::{self, Bad};
use block::chained;
use scanned::{Blocks, elements, members};
use sketch::sketch;
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

/// What a Messages request looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptShape {
    /// Members of the body, in their order.
    pub fields: Vec<Field>,
    /// The blocks of `system`.
    pub system: Vec<Block>,
    /// Whether `system` is a text, rather than a list of blocks.
    pub is_system_text: bool,
    /// The tools.
    pub tools: Vec<Block>,
    /// Their names, a line each; an empty one for what has none that is as the API wants it.
    pub tool_names: String,
    /// The messages.
    pub messages: Vec<Message>,
    /// The blocks of all messages, in their order.
    pub blocks: Vec<Block>,
    /// The mark for caching of the whole prompt, where the client leaves its place to the API.
    pub mark: Option<Mark>,
    /// Whether the conversation begins with a summary of an earlier one, which Claude Code had it compacted to.
    pub is_continued: bool,
    /// Whether there is more than is told here.
    pub is_cut: bool,
}

impl PromptShape {
    /// That of a body; `None` if it is no JSON object.
    pub fn of(body: &[u8]) -> Option<Self> {
        Self::read(body).ok()
    }

    fn read(body: &[u8]) -> Result<Self, Bad> {
        let mut shape = Self::default();
        let start = scan::blanks(body, 0);
        if body.get(start) != Some(&b'{') {
            return Err(Bad::At(start));
        }
        let end = members(body, start, |name, at| match name {
            b"system" => {
                let mut blocks = Blocks::of_system(&mut shape.system, &mut shape.is_cut);
                let (end, is_text) = blocks.content(body, at)?;
                shape.is_system_text = is_text;
                shape.add_part(name, &body[at..end]);
                Ok(end)
            }
            b"tools" => {
                let mut blocks = Blocks::of_tools(&mut shape.tools, &mut shape.is_cut, &mut shape.tool_names);
                let end = blocks.tools(body, at)?;
                shape.add_part(name, &body[at..end]);
                Ok(end)
            }
            b"messages" => {
                let end = shape.read_messages(body, at)?;
                shape.add_part(name, &body[at..end]);
                Ok(end)
            }
            _ => {
                let end = scan::value(body, at)?;
                shape.add_field(name, &body[at..end]);
                Ok(end)
            }
        })?;
        match scan::blanks(body, end) == body.len() {
            true => Ok(shape),
            false => Err(Bad::At(end)),
        }
    }

    fn read_messages(&mut self, body: &[u8], at: usize) -> Result<usize, Bad> {
        if body.get(at) != Some(&b'[') {
            return scan::value(body, at);
        }
        elements(body, at, |at| {
            if body.get(at) != Some(&b'{') {
                return scan::value(body, at);
            }
            let mut message = Message::default();
            let (is_first, before) = (self.messages.is_empty(), self.blocks.len());
            let end = members(body, at, |name, at| match name {
                b"content" => {
                    let mut blocks = Blocks::new(&mut self.blocks, &mut self.is_cut);
                    let (end, is_text) = blocks.content(body, at)?;
                    self.is_continued |= is_first && blocks.is_summary;
                    message.is_text = is_text;
                    Ok(end)
                }
                _ => {
                    let end = scan::value(body, at)?;
                    if name == b"role" {
                        message.role = role(&body[at..end]);
                    }
                    Ok(end)
                }
            })?;
            message.blocks = u32::try_from(self.blocks.len() - before).unwrap_or(u32::MAX);
            match self.messages.len() < MOST_BLOCKS {
                true => self.messages.push(message),
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
            // A model may be called as it likes.
            Some(json) if json.starts_with('"') && !json.contains('~') => Box::clone(json),
            _ => sketch(value, is_plain),
        };
        self.push_field(name, value, json, sketch);
    }

    /// Notes where one of the three members stands that blocks tell of, or what is in its place.
    fn add_part(&mut self, name: &[u8], value: &[u8]) {
        let is_told = value.first() == Some(&b'[') || self.is_system_text && name == b"system";
        let sketch = if is_told { Box::default() } else { sketch(value, false) };
        self.push_field(name, value, None, sketch);
    }

    fn push_field(&mut self, name: &[u8], value: &[u8], json: Option<Box<str>>, sketch: Box<str>) {
        if self.fields.len() == MOST_FIELDS {
            self.is_cut = true;
            return;
        }
        let name = String::from_utf8_lossy(name);
        let name = name[..name.floor_char_boundary(LONGEST_NAME)].into();
        self.fields.push(Field { name, json, sketch, bytes: u32::try_from(value.len()).unwrap_or(u32::MAX) });
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
        roles.zip(&self.blocks)
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
        self.system.iter().chain(&self.tools).filter_map(|block| block.mark).max()
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

fn role(value: &[u8]) -> Role {
    match value {
        b"\"assistant\"" => Role::Assistant,
        b"\"system\"" => Role::System,
        _ => Role::User,
    }
}

#[cfg(test)]
mod tests;
