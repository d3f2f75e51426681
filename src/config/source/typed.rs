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
        in_line(&bare, index + 1, key_end(&bare), &mut slips);
        if slips.len() >= MOST {
            break;
        }
    }
    slips
}

/// Those of a JSON text, outside of its quotes.
pub(crate) fn in_json(text: &str) -> Vec<Slip> {
    let mut open = None;
    let lines = text.lines().enumerate().map(|(index, line)| (index, without_quotes(line, &mut open, false)));
    let characters = lines.flat_map(|(index, bare)| {
        bare.into_iter().enumerate().map(move |(column, character)| (index + 1, column + 1, character))
    });
    let found = characters
        .filter_map(|(line, column, character)| meant(character).map(|meant| slip(line, column, character, meant)));
    found.take(MOST).collect()
}

/// Those of a file of variables. `true` for those that keep a line from being a variable that anybody meant.
pub(crate) fn in_dotenv(text: &str) -> Vec<(Slip, bool)> {
    let text = dotenv::with_usual_line_ends(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let mut slips = Vec::new();
    for statement in dotenv::parse(&text) {
        if slips.len() >= MOST {
            break;
        }
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
        let (name, value) = characters.split_at(name_end);
        let first = name.iter().position(|c| !c.is_whitespace());
        if let Some(at) = first.filter(|at| meant(name[*at]) == Some(Meant::Ascii('#'))) {
            // A line that was put out of use: it sets nothing that anybody asks for. One that cannot be read is refused.
            let is_wrong = statement.says == Says::Wrong;
            slips.push((slip(row, at + 1, name[at], Meant::Ascii('#')), is_wrong));
            continue;
        }
        if name.iter().any(|c| is_east_asian(*c)) {
            // A sentence, which was to be a comment; the parser says so.
            continue;
        }
        for (at, character) in name.iter().enumerate() {
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
            let rest: String = value.iter().skip(1).collect();
            let bare = without_quotes(&rest, &mut None, true);
            let mut found = Vec::new();
            in_line(&bare, row, None, &mut found);
            found.iter_mut().for_each(|slip| slip.column += name_end + 1);
            slips.extend(found.into_iter().map(|slip| (slip, false)));
        }
    }
    slips.truncate(MOST);
    slips
}

/// What was typed into a value that stands alone.
pub(crate) fn in_value(text: &str) -> Vec<Slip> {
    let mut slips = Vec::new();
    in_line(&text.chars().collect::<Vec<_>>(), 1, None, &mut slips);
    slips
}

/// The characters of a line with `x` in the place of what stands in ASCII quotes, without its comment if there may be one.
/// `open` is the quote that a line before left open.
fn without_quotes(line: &str, open: &mut Option<char>, has_comments: bool) -> Vec<char> {
    let mut bare: Vec<char> = Vec::new();
    let (mut is_escaped, mut is_closed) = (false, false);
    // The last character that is no blank.
    let mut last = None;
    for character in line.chars() {
        last = bare.last().copied().filter(|c| !c.is_whitespace()).or(last);
        // In YAML two single quotes are one within a text.
        let is_doubled = std::mem::take(&mut is_closed) && character == '\'';
        let may_open = !has_comments || is_doubled || matches!(last, None | Some(':' | '-' | ',' | '[' | '{' | '='));
        match *open {
            Some(quote) => {
                if character == quote && !is_escaped {
                    *open = None;
                    is_closed = quote == '\'';
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

/// Where a full-width colon stands if it was to be YAML's: behind a key as the settings have them, perhaps after the dash of
/// a list. `Claude：` begins a sentence.
fn key_end(bare: &[char]) -> Option<usize> {
    let indent = bare.iter().take_while(|c| is_blank(**c) || **c == '-').count();
    let is_of_key = |c: &&char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(**c);
    let length = bare[indent..].iter().take_while(is_of_key).count();
    (length > 0).then_some(indent + length)
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(meant(character), Some(Meant::Blank | Meant::Nothing))
}

/// Those of a line without its quotes. `key` is where a colon of YAML would stand.
fn in_line(bare: &[char], line: usize, key: Option<usize>, slips: &mut Vec<Slip>) {
    let (first, last) = (bare.iter().position(|c| !is_blank(*c)), bare.iter().rposition(|c| !is_blank(*c)));
    let is_prose = bare.iter().any(|c| is_east_asian(*c));
    let mut is_quoted = false;
    for (at, character) in bare.iter().enumerate() {
        let Some(meant) = meant(*character) else { continue };
        let begins = || {
            let before = bare[..at].iter().rev().find(|c| !is_blank(**c));
            matches!(before.map(|c| ascii(*c)), None | Some(':' | '-' | ',' | '[' | '{' | '='))
        };
        let ends = || {
            let after = bare[at + 1..].iter().find(|c| !is_blank(**c));
            matches!(after.map(|c| ascii(*c)), None | Some(':' | ',' | ']' | '}' | '#'))
        };
        let is_around = first.is_none_or(|first| at < first) || last.is_some_and(|last| at > last);
        let is_slip = match meant {
            Meant::Nothing => !is_joiner(&bare[..at], *character),
            // In front of a line it is a part of the indentation, and YAML counts it as text.
            Meant::Blank => is_around || !is_prose,
            // One that only ends is an apostrophe, or closes a word of a sentence.
            Meant::Quote(_) => !is_prose && (begins() || is_quoted && ends()),
            Meant::Ascii('#') => bare[..at].last().is_none_or(|c| is_blank(*c)),
            Meant::Ascii(':') => !is_prose || Some(at) == key,
            Meant::Ascii(_) => !is_prose,
        };
        if is_slip {
            slips.push(slip(line, at + 1, *character, meant));
            is_quoted |= matches!(meant, Meant::Quote(_));
        }
        // A comment follows, or enough is told.
        if is_slip && meant == Meant::Ascii('#') || slips.len() >= MOST {
            return;
        }
    }
}

/// Whether it joins characters of a script, or of a picture, that is written so.
fn is_joiner(before: &[char], character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}') && before.last().is_some_and(|c| !c.is_ascii() && meant(*c).is_none())
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
