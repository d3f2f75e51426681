//! A body of the shape that was kept, with filler in place of all texts.

use super::KeptShape;
use crate::prompt_shape::sketch::{MOST_BODY, drawn, filled};
use crate::prompt_shape::{Block, Kind, Mark, Role};
use crate::rules::body::{ATTRIBUTION, Said};

impl KeptShape {
    /// The body: always the same, with the same members, blocks and lengths. Of a request that was very long it is shorter.
    pub fn body(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        let mut told = Vec::new();
        for field in &self.shape.fields {
            let name = &*field.name;
            if field.sketch.is_empty() && told.contains(&name) {
                continue;
            }
            separate(&mut out, b'{');
            out.extend(format!("\"{name}\":").into_bytes());
            match name {
                _ if !field.sketch.is_empty() => drawn(&field.sketch, &mut out),
                "system" => self.add_system(&mut out),
                "tools" => self.add_tools(&mut out),
                "messages" => self.add_messages(&mut out),
                _ => out.extend(b"null"),
            }
            told.push(name);
        }
        out.push(b'}');
        out
    }

    fn add_system(&self, out: &mut Vec<u8>) {
        match self.shape.system.as_slice() {
            [text] if self.shape.is_system_text => add_text(out, text),
            blocks => add_list(out, blocks, |out, block| add_block(out, block, "")),
        }
    }

    fn add_tools(&self, out: &mut Vec<u8>) {
        let left = self.left_out;
        let names = self.shape.tool_names.lines().map(str::to_owned);
        let mut names = names.chain((0..).map(|number| format!("tool_{number}")));
        let bytes = u32::try_from(left.tool_bytes.checked_div(left.tools).unwrap_or_default()).unwrap_or_default();
        let more = Block { kind: Kind::Tool, bytes, ..Block::default() };
        let tools = self.shape.tools.iter().copied().chain(std::iter::repeat_n(more, within_bounds(left.tools)));
        add_list(out, &tools.collect::<Vec<_>>(), |out, tool| {
            add_block(out, tool, &names.next().unwrap_or_default());
        });
    }

    fn add_messages(&self, out: &mut Vec<u8>) {
        let (mut at, left) = (0, self.left_out);
        out.push(b'[');
        for (number, message) in self.shape.messages.iter().enumerate() {
            if number == left.after {
                self.add_left_out(out);
            }
            let blocks = &self.shape.blocks[at..at + message.blocks as usize];
            at += blocks.len();
            add_message(out, message.role, |out| match blocks {
                [text] if message.is_text => add_text(out, text),
                blocks => add_list(out, blocks, |out, block| add_block(out, block, "")),
            });
        }
        if left.after >= self.shape.messages.len() {
            self.add_left_out(out);
        }
        out.push(b']');
    }

    /// As many messages as were left out, by turns, with as many bytes together.
    fn add_left_out(&self, out: &mut Vec<u8>) {
        let left = self.left_out;
        let before = left.after.checked_sub(1).and_then(|at| self.shape.messages.get(at)).map(|message| message.role);
        let mut is_assistant = before == Some(Role::User);
        let bytes = left.message_bytes.checked_div(left.messages).unwrap_or_default();
        let text = Block { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), ..Block::default() };
        for _ in 0..within_bounds(left.messages) {
            let role = if is_assistant { Role::Assistant } else { Role::User };
            add_message(out, role, |out| add_text(out, &text));
            is_assistant = !is_assistant;
        }
    }
}

/// So many things, as far as a body can have them.
fn within_bounds(count: usize) -> usize {
    count.min(MOST_BODY / 256)
}

fn separate(out: &mut Vec<u8>, open: u8) {
    if out.last() != Some(&open) {
        out.push(b',');
    }
}

fn add_list(out: &mut Vec<u8>, blocks: &[Block], mut add: impl FnMut(&mut Vec<u8>, &Block)) {
    out.push(b'[');
    for block in blocks {
        separate(out, b'[');
        add(out, block);
    }
    out.push(b']');
}

fn add_message(out: &mut Vec<u8>, role: Role, content: impl FnOnce(&mut Vec<u8>)) {
    let role = match role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    };
    separate(out, b'[');
    out.extend(format!(r#"{{"role":"{role}","content":"#).into_bytes());
    content(out);
    out.push(b'}');
}

/// A single text.
fn add_text(out: &mut Vec<u8>, block: &Block) {
    match block.said {
        Some(Said::Nothing) => filled_with(out, b"\"", block.bytes, b"\"", b' '),
        said => {
            let beginning = said.map_or("", Said::beginning);
            filled_with(out, format!("\"{beginning}").as_bytes(), block.bytes, b"\"", b'x');
        }
    }
}

/// A block; `name` is that of a tool.
fn add_block(out: &mut Vec<u8>, block: &Block, name: &str) {
    let mark = match block.mark {
        Some(Mark::FiveMinutes) => r#","cache_control":{"type":"ephemeral"}"#,
        Some(Mark::Hour) => r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        None => "",
    };
    let text = |beginning: &str| (format!(r#"{{"type":"text","text":"{beginning}"#), r#"""#);
    let named = |kind: &str, member: &str| (format!(r#"{{"type":"{kind}","{member}":""#), r#"""#);
    let (before, behind) = match block.kind {
        Kind::Text if block.said == Some(Said::Nothing) => {
            let (before, behind) = text("");
            return filled_with(out, before.as_bytes(), block.bytes, format!("{behind}{mark}}}").as_bytes(), b' ');
        }
        Kind::Text => text(block.said.map_or("", Said::beginning)),
        Kind::Attribution => text(&format!("{ATTRIBUTION} ")),
        Kind::Image => {
            (r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":""#.into(), r#""}"#)
        }
        Kind::Document => {
            (r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":""#.into(), r#""}"#)
        }
        Kind::ToolUse => (r#"{"type":"tool_use","id":"toolu_x","name":"x","input":{"x":""#.into(), r#""}"#),
        Kind::ToolResult => (r#"{"type":"tool_result","tool_use_id":"toolu_x","content":""#.into(), r#"""#),
        Kind::Thinking => (r#"{"type":"thinking","thinking":"","signature":""#.into(), r#"""#),
        Kind::RedactedThinking => named("redacted_thinking", "data"),
        Kind::Tool => (format!(r#"{{"name":"{name}","description":""#), r#"","input_schema":{"type":"object"}"#),
        Kind::Other => named("other", "x"),
    };
    filled_with(out, before.as_bytes(), block.bytes, format!("{behind}{mark}}}").as_bytes(), b'x');
}

/// Adds so many bytes, as far as a body may have them: what stands before and behind, and `with` between.
fn filled_with(out: &mut Vec<u8>, before: &[u8], bytes: u32, behind: &[u8], with: u8) {
    let bytes = usize::try_from(bytes).unwrap_or_default().min(MOST_BODY.saturating_sub(out.len()));
    if with == b'x' {
        return filled(out, before, bytes, behind);
    }
    out.extend(before);
    out.resize(out.len() + bytes.saturating_sub(before.len() + behind.len()), with);
    out.extend(behind);
}
