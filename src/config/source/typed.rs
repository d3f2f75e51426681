//! Characters that an input method for Chinese, or a word processor, types where a program expects ASCII: found where they
//! are hardly meant, with what to type instead.

use super::dotenv::{self, Says};
use super::message::Message;

/// Such a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slip {
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What it is, and what to do.
    pub what: Message,
}

/// How many of one text are told.
const MOST: usize = 10;

/// What a character stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    /// A quotation mark.
    Quote(char),
    /// Another ASCII character.
    Ascii(char),
    /// A blank.
    Blank,
    /// Nothing: nobody sees it.
    Nothing,
}

fn meant(character: char) -> Option<Meant> {
    Some(match character {
        '“' | '”' | '„' | '‟' | '＂' | '「' | '」' => Meant::Quote('"'),
        '‘' | '’' | '‚' | '‛' | '＇' => Meant::Quote('\''),
        '、' => Meant::Ascii(','),
        '【' => Meant::Ascii('['),
        '】' => Meant::Ascii(']'),
        '\u{ff01}'..='\u{ff5e}' => Meant::Ascii(char::from_u32(u32::from(character) - 0xfee0)?),
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Meant::Blank,
        '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' => Meant::Nothing,
        _ => return None,
    })
}

fn slip(line: usize, column: usize, character: char, meant: Meant) -> Slip {
    let code = format!("U+{:04X}", u32::from(character));
    let what = match meant {
        Meant::Quote(right) | Meant::Ascii(right) => {
            Message::TypedWide { found: character.to_string(), code, right: right.to_string() }
        }
        Meant::Blank => Message::TypedBlank { code },
        Meant::Nothing => Message::TypedUnseen { code },
    };
    Slip { line, column, what }
}

/// Whether a message is of this kind.
pub(crate) fn is_slip(what: &Message) -> bool {
    matches!(what, Message::TypedWide { .. } | Message::TypedBlank { .. } | Message::TypedUnseen { .. })
}

/// Whether it is of a script that needs such characters: a text in it may hold them.
fn is_east_asian(character: char) -> bool {
    matches!(u32::from(character), 0x3005..=0x3007 | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff
        | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Those of a YAML text, outside of its quotes, comments and long texts.
pub(crate) fn in_yaml(text: &str) -> Vec<Slip> {
    let mut slips = Vec::new();
    // The quote that is open, and how far the line is indented whose long text (`|`, `>`) follows.
    let (mut open, mut block) = (None, None);
    for (index, line) in text.lines().enumerate() {
        let indent = line.chars().take_while(|&c| c == ' ').count();
        match block {
            Some(of) if line.trim().is_empty() || indent > of => continue,
            _ => block = None,
        }
        let bare = without_quotes(line, &mut open, true);
        let end = bare.iter().rposition(|c| !c.is_whitespace()).map_or(0, |at| at + 1);
        let is_block = |c: &char| matches!(c, '|' | '>' | '+' | '-' | '0'..='9');
        let mark = bare[..end].iter().rposition(|c| !is_block(c)).map_or(0, |at| at + 1);
        if matches!(bare[..end].get(mark), Some('|' | '>')) && mark > 0 && bare[mark - 1] == ' ' {
            block = Some(indent);
        }
        in_line(&bare, index + 1, &mut slips);
    }
    slips.truncate(MOST);
    slips
}

/// Those of a JSON text, outside of its quotes.
pub(crate) fn in_json(text: &str) -> Vec<Slip> {
    let (mut slips, mut open) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate() {
        for (column, character) in without_quotes(line, &mut open, false).into_iter().enumerate() {
            slips.extend(meant(character).map(|meant| slip(index + 1, column + 1, character, meant)));
        }
    }
    slips.truncate(MOST);
    slips
}

/// Those of a file of variables. `true` for those that keep a line from being a variable that anybody meant.
pub(crate) fn in_dotenv(text: &str) -> Vec<(Slip, bool)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut slips = Vec::new();
    for statement in dotenv::parse(text) {
        let row = statement.name_at.0;
        let Some(line) = lines.get(row - 1) else { continue };
        let characters: Vec<char> = line.chars().collect();
        let is_equal = |c: &char| *c == '=' || meant(*c) == Some(Meant::Ascii('='));
        let name_end = match statement.says {
            Says::Value { .. } => characters.iter().position(|c| *c == '='),
            // The first of these was to be the `=`.
            _ => characters.iter().position(|c| is_equal(c) || meant(*c) == Some(Meant::Ascii(':'))).map(|at| at + 1),
        };
        let name_end = name_end.unwrap_or(characters.len());
        for (at, character) in characters[..name_end].iter().enumerate() {
            match meant(*character) {
                // Blanks around a name are no part of it, whichever they are.
                None | Some(Meant::Blank) => {}
                Some(Meant::Ascii(':')) if !matches!(statement.says, Says::Value { .. }) => {
                    slips.push((slip(row, at + 1, *character, Meant::Ascii('=')), true));
                }
                Some(meant) => slips.push((slip(row, at + 1, *character, meant), true)),
            }
        }
        if let Says::Value { .. } = statement.says {
            let mut open = None;
            let rest: String = characters[name_end + 1..].iter().collect();
            let bare = without_quotes(&rest, &mut open, true);
            let mut found = Vec::new();
            in_line(&bare, row, &mut found);
            found.iter_mut().for_each(|slip| slip.column += name_end + 1);
            slips.extend(found.into_iter().map(|slip| (slip, false)));
        }
    }
    slips.truncate(MOST);
    slips
}

/// The characters of a line with `x` in the place of what stands in ASCII quotes, without its comment if there may be one.
/// `open` is the quote that a line before left open.
fn without_quotes(line: &str, open: &mut Option<char>, has_comments: bool) -> Vec<char> {
    let mut bare: Vec<char> = Vec::new();
    let mut is_escaped = false;
    for character in line.chars() {
        let last = bare.iter().rev().find(|c| !c.is_whitespace()).copied();
        let may_open = !has_comments || matches!(last, None | Some(':' | '-' | ',' | '[' | '{' | '='));
        match *open {
            Some(quote) => {
                if character == quote && !is_escaped {
                    *open = None;
                }
                is_escaped = character == '\\' && quote == '"' && !is_escaped;
                bare.push('x');
            }
            None if (character == '"' || character == '\'' && has_comments) && may_open => {
                *open = Some(character);
                bare.push('x');
            }
            None if character == '#' && has_comments && bare.last().is_none_or(|c| c.is_whitespace()) => break,
            None => bare.push(character),
        }
    }
    bare
}

/// Those of a line without its quotes.
fn in_line(bare: &[char], line: usize, slips: &mut Vec<Slip>) {
    let is_blank = |c: &char| c.is_whitespace() || matches!(meant(*c), Some(Meant::Blank | Meant::Nothing));
    let (first, last) = (bare.iter().position(|c| !is_blank(c)), bare.iter().rposition(|c| !is_blank(c)));
    let is_prose = bare.iter().any(|c| is_east_asian(*c));
    // What a full-width colon stands behind if it was to be YAML's: a key, perhaps after the dash of a list.
    let key: usize =
        bare.iter().take_while(|c| is_blank(c) || c.is_ascii_alphanumeric() || "-_.".contains(**c)).count();
    for (at, character) in bare.iter().enumerate() {
        let Some(meant) = meant(*character) else { continue };
        let before = bare[..at].iter().rev().find(|c| !is_blank(c)).map(|c| ascii(*c));
        let after = bare[at + 1..].iter().find(|c| !is_blank(c)).map(|c| ascii(*c));
        let begins = matches!(before, None | Some(':' | '-' | ',' | '[' | '{' | '='));
        let ends = matches!(after, None | Some(':' | ',' | ']' | '}' | '#'));
        let is_around = first.is_none_or(|first| at < first) || last.is_some_and(|last| at > last);
        let is_slip = match meant {
            Meant::Nothing => true,
            // In front of a line it is a part of the indentation, and YAML counts it as text.
            Meant::Blank => is_around || !is_prose,
            Meant::Quote(_) => !is_prose && (begins || ends),
            Meant::Ascii('#') => bare[..at].last().is_none_or(is_blank),
            Meant::Ascii(':') => !is_prose || at == key,
            Meant::Ascii(_) => !is_prose,
        };
        if is_slip {
            slips.push(slip(line, at + 1, *character, meant));
        }
        if is_slip && meant == Meant::Ascii('#') {
            // A comment follows.
            return;
        }
    }
}

/// The ASCII character that is meant.
fn ascii(character: char) -> char {
    match meant(character) {
        Some(Meant::Quote(meant) | Meant::Ascii(meant)) => meant,
        _ => character,
    }
}

#[cfg(test)]
#[path = "typed_tests.rs"]
mod tests;
