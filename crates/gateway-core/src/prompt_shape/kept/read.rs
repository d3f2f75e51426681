//! Reading what was kept.

use super::{BEGIN, IS_TEXT, KINDS, KeptShape, MARKS, ROLES, SAID};
use crate::prompt_shape::{Block, Field, Kind, Message, PromptShape};
use std::sync::Arc;

impl KeptShape {
    /// Reads what [`super::kept`] wrote; `None` if it is something else, or of a later version.
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut kept = Self::default();
        if lines.next()? != BEGIN {
            return None;
        }
        for line in lines {
            let (what, rest) = line.split_at_checked(1)?;
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            let shape = &mut kept.shape;
            match what {
                "H" => {
                    kept.head.push_str(rest);
                    kept.head.push('\n');
                }
                "F" => shape.fields.push(field(rest)?),
                "S" => {
                    shape.is_system_text = rest.starts_with(IS_TEXT);
                    shape.system = blocks(&mut rest.trim_start_matches(IS_TEXT))?;
                }
                "T" => {
                    let (code, name) = rest.split_once(' ')?;
                    Arc::make_mut(&mut shape.tools).extend(blocks(&mut &*code)?);
                    let names = Arc::make_mut(&mut shape.tool_names);
                    names.push_str(name);
                    names.push('\n');
                }
                "X" => [kept.left_out.tools, kept.left_out.tool_bytes] = numbers(rest)?,
                "M" | "N" => messages(rest, shape)?,
                "L" => {
                    let [messages, _, bytes] = numbers(rest)?;
                    (kept.left_out.messages, kept.left_out.message_bytes) = (messages, bytes);
                    kept.left_out.after = shape.messages.len();
                }
                "C" => kept.left_out.is_more = true,
                _ => return None,
            }
        }
        Some(kept)
    }
}

fn field(line: &str) -> Option<Field> {
    let (bytes, rest) = line.split_once(' ')?;
    let (name, sketch) = rest.split_once(' ')?;
    Some(Field { name: name.into(), json: None, sketch: sketch.into(), bytes: bytes.parse().ok()? })
}

fn numbers<const N: usize>(line: &str) -> Option<[usize; N]> {
    let numbers: Vec<usize> = line.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn messages(mut codes: &str, shape: &mut PromptShape) -> Option<()> {
    while let Some(letter) = codes.chars().next() {
        let (role, _) = ROLES.into_iter().find(|(_, of)| *of == letter)?;
        codes = &codes[1..];
        let is_text = codes.starts_with(IS_TEXT);
        codes = codes.strip_prefix(IS_TEXT).unwrap_or(codes);
        let found = blocks(&mut codes)?;
        Arc::make_mut(&mut shape.messages).push(Message { role, is_text, blocks: u32::try_from(found.len()).ok()? });
        Arc::make_mut(&mut shape.blocks).extend(found);
    }
    Some(())
}

/// The blocks at the beginning of `codes`, which goes on behind them.
fn blocks(codes: &mut &str) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    while let Some(at) = codes.chars().next().and_then(|letter| KINDS.iter().position(|kind| *kind == letter)) {
        let rest = &codes[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut block = Block { kind: Kind::ALL[at], bytes: rest[..digits].parse().ok()?, ..Block::default() };
        *codes = &rest[digits..];
        let sign = |codes: &mut &str| codes.chars().next();
        if let Some((mark, _)) = MARKS.into_iter().find(|(_, of)| sign(codes) == Some(*of)) {
            block.mark = Some(mark);
            *codes = &codes[1..];
        }
        if let Some((said, _)) = SAID.into_iter().find(|(_, of)| sign(codes) == Some(*of)) {
            block.said = Some(said);
            *codes = &codes[1..];
        }
        blocks.push(block);
    }
    Some(blocks)
}
