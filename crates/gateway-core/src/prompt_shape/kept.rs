//! What the request log keeps of a Messages request: its head without keys, and what its prompt looks like. One short text,
//! from which a request of the same shape is made for a dry run. It holds no text of the prompt, and no digest of one.
//!
//! A line each: `H` of the head; `F` a member of the body (bytes, name, sketch); `S` the blocks of `system`; `T` a tool and its
//! name; `X` how many more tools there were, and their bytes; `M` the messages; `L` how many were left out behind those, and
//! their blocks and bytes; `N` the last messages; `C` that more was left out. Blocks are a letter for the kind, bytes, and signs.

mod filler;
mod head;
mod read;

pub use head::{KeptHead, head_text};

use super::{Block, Field, Kind, Mark, Message, PromptShape, Role};
use crate::redact::MASK;
use crate::rules::body::Said;
use std::fmt::Write as _;
use std::ops::Range;

/// Most bytes that are kept of a request.
pub const MOST_BYTES: usize = 4_096;
/// Most of them that are for the head, for members of the body, for the blocks of `system`, and for tools. What is left is
/// for messages.
const OF_HEAD: usize = 1_800;
/// The part of it for the names of fields whose values do not fit.
const OF_NAMES: usize = 300;
const OF_FIELDS: usize = 1_000;
const OF_SYSTEM: usize = 150;
const OF_TOOLS: usize = 600;
/// Room for the line that says what was left out, and the last sign.
const OF_REST: usize = 80;

/// The first line: what the text is, and how it is written.
const BEGIN: &str = "shape 1";
/// The letters of kinds, in the order of [`Kind::ALL`].
const KINDS: [char; 10] = ['t', 'a', 'i', 'd', 'u', 'r', 'k', 'c', 'l', 'o'];
/// The letters of roles.
const ROLES: [(Role, char); 3] = [(Role::User, 'U'), (Role::Assistant, 'A'), (Role::System, 'S')];
/// The signs of marks.
const MARKS: [(Mark, char); 2] = [(Mark::FiveMinutes, '+'), (Mark::Hour, '!')];
/// The signs of what blocks of `system` say.
const SAID: [(Said, char); 4] =
    [(Said::Nothing, '_'), (Said::Identity(0), '<'), (Said::Identity(1), '>'), (Said::ClaudeCode, '*')];
/// What stands before content that is a single text.
const IS_TEXT: char = '=';

/// What was kept of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptShape {
    /// Request line and fields, as a dry run reads them.
    pub head: String,
    /// What the prompt looks like; without digests.
    shape: PromptShape,
    /// What of it is not told one by one.
    left_out: LeftOut,
}

/// What of a prompt is not told one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Tools, the last ones.
    pub tools: usize,
    /// Their bytes.
    tool_bytes: usize,
    /// Messages in the middle.
    pub messages: usize,
    /// The bytes of their blocks.
    message_bytes: usize,
    /// Behind which message they were.
    after: usize,
    /// Whether there is more that nobody counted.
    pub is_more: bool,
}

impl KeptShape {
    /// What was left out.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

/// What is kept of a request with this head and this prompt; `None` if its first line is too long.
pub fn kept(head: &str, shape: &PromptShape) -> Option<String> {
    let mut text = format!("{BEGIN}\n");
    let mut is_cut = shape.is_cut;
    let mut lines = head.lines();
    if !add_line(&mut text, OF_HEAD / 2, format_args!("H {}", lines.next().unwrap_or_default())) {
        return None;
    }
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        is_cut |= !add_line(&mut text, OF_HEAD - OF_NAMES, format_args!("H {line}"))
            && !add_line(&mut text, OF_HEAD, format_args!("H {name}: {MASK}"));
    }
    let begin = text.len();
    for field in &shape.fields {
        is_cut |= !add_line(&mut text, begin + OF_FIELDS, format_args!("{}", FieldLine(field)));
    }
    if !shape.system.is_empty() {
        let blocks = codes(&shape.system);
        let most = text.len() + OF_SYSTEM;
        let is_text = if shape.is_system_text { String::from(IS_TEXT) } else { String::new() };
        is_cut |= !add_line(&mut text, most, format_args!("S {is_text}{blocks}"));
    }
    add_tools(&mut text, shape);
    add_messages(&mut text, shape);
    if is_cut {
        text.push_str("C\n");
    }
    Some(text)
}

/// Adds a line, if the text gets no longer than `most` by it; whether it did.
fn add_line(text: &mut String, most: usize, line: std::fmt::Arguments<'_>) -> bool {
    let before = text.len();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
    let fits = text.len() <= most;
    if !fits {
        text.truncate(before);
    }
    fits
}

/// The line of a member.
struct FieldLine<'f>(&'f Field);

impl std::fmt::Display for FieldLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Field { name, sketch, bytes, .. } = self.0;
        match super::sketch::is_word(name.as_bytes()) {
            true => write!(f, "F {bytes} {name} {sketch}"),
            // What is no name of the API's may be anything.
            false => write!(f, "F {bytes} {} {sketch}", "x".repeat(name.len())),
        }
    }
}

fn add_tools(text: &mut String, shape: &PromptShape) {
    let most = text.len() + OF_TOOLS;
    let mut names = shape.tool_names.lines();
    for (at, tool) in shape.tools.iter().enumerate() {
        let (code, name) = (codes(std::slice::from_ref(tool)), names.next().unwrap_or_default());
        if !add_line(text, most, format_args!("T {code} {name}")) {
            let left = &shape.tools[at..];
            add_line(text, usize::MAX, format_args!("X {} {}", left.len(), bytes_of(left)));
            return;
        }
    }
}

/// Adds the messages: the first and the last of them, if there is no room for all.
fn add_messages(text: &mut String, shape: &PromptShape) {
    let room = MOST_BYTES.saturating_sub(text.len() + OF_REST);
    let mut at = 0;
    let messages: Vec<(String, Range<usize>)> = shape
        .messages
        .iter()
        .map(|message| {
            let blocks = at..at + message.blocks as usize;
            at = blocks.end;
            (message_code(message, &shape.blocks[blocks.clone()]), blocks)
        })
        .collect();
    let length = |messages: &[(String, Range<usize>)]| messages.iter().map(|(code, _)| code.len()).sum::<usize>();
    let (mut first, mut last) = (messages.len(), 0);
    if length(&messages) > room {
        let within = |codes: &mut dyn Iterator<Item = &(String, Range<usize>)>| {
            let lengths = codes.scan(0, |sum, (code, _)| {
                *sum += code.len();
                Some(*sum)
            });
            lengths.take_while(|sum| *sum <= room / 2).count()
        };
        first = within(&mut messages.iter());
        last = within(&mut messages.iter().rev()).min(messages.len() - first);
    }
    let joined =
        |messages: &[(String, Range<usize>)]| messages.iter().map(|(code, _)| code.as_str()).collect::<String>();
    let rest = messages.len() - last;
    add_line(text, usize::MAX, format_args!("M {}", joined(&messages[..first])));
    if first < rest {
        let left = &messages[first..rest];
        let blocks = left[0].1.start..left[left.len() - 1].1.end;
        let (count, bytes) = (blocks.len(), bytes_of(&shape.blocks[blocks]));
        add_line(text, usize::MAX, format_args!("L {} {count} {bytes}", left.len()));
        add_line(text, usize::MAX, format_args!("N {}", joined(&messages[rest..])));
    }
}

fn message_code(message: &Message, blocks: &[Block]) -> String {
    let role = ROLES.iter().find(|(role, _)| *role == message.role).map_or('U', |(_, letter)| *letter);
    let is_text = if message.is_text { String::from(IS_TEXT) } else { String::new() };
    format!("{role}{is_text}{}", codes(blocks))
}

fn codes(blocks: &[Block]) -> String {
    blocks.iter().fold(String::new(), |mut codes, block| {
        let sign = |found: Option<char>| found.map(String::from).unwrap_or_default();
        let mark = sign(MARKS.iter().find(|(mark, _)| Some(*mark) == block.mark).map(|(_, sign)| *sign));
        let said = sign(SAID.iter().find(|(said, _)| Some(*said) == block.said).map(|(_, sign)| *sign));
        let kind = Kind::ALL.iter().position(|kind| *kind == block.kind).map_or('o', |at| KINDS[at]);
        // Writing to a string cannot fail.
        let _ = write!(codes, "{kind}{}{mark}{said}", block.bytes);
        codes
    })
}

fn bytes_of(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| u64::from(block.bytes)).sum()
}

#[cfg(test)]
mod tests;
