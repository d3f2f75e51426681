//! The pass over the body: members, elements and blocks, each looked at once.

use super::block::{Block, Kind, MOST_BLOCKS, Mark, chained};
use crate::rules::body::{ATTRIBUTION, said};
use crate::rules::document::scan::{Bad, Scan};
use xxhash_rust::xxh3::xxh3_64;

/// How the text begins that Claude Code puts in place of a conversation that it has compacted.
const SUMMARY: &[u8] = b"\"This session is being continued from a previous conversation";
/// Longest value of a mark, in bytes.
const LONGEST_MARK: usize = 128;

/// Hands each member of the object at `at` to `each`, by its name and the place of its value; `each` tells where that ends.
pub(super) fn members<'t>(
    scan: &Scan<'t>,
    at: usize,
    mut each: impl FnMut(&'t [u8], usize) -> Result<usize, Bad>,
) -> Result<usize, Bad> {
    let mut at = scan.blanks(at + 1);
    if scan.byte(at) == Some(b'}') {
        return Ok(at + 1);
    }
    loop {
        let (name, value) = scan.name(at)?;
        at = scan.blanks(each(name, value)?);
        match scan.byte(at) {
            Some(b',') => at = scan.blanks(at + 1),
            Some(b'}') => return Ok(at + 1),
            _ => return Err(Bad::At(at)),
        }
    }
}

/// The same for the elements of a list.
pub(super) fn elements(
    scan: &Scan<'_>,
    at: usize,
    mut each: impl FnMut(usize) -> Result<usize, Bad>,
) -> Result<usize, Bad> {
    let mut at = scan.blanks(at + 1);
    if scan.byte(at) == Some(b']') {
        return Ok(at + 1);
    }
    loop {
        at = scan.blanks(each(at)?);
        match scan.byte(at) {
            Some(b',') => at = scan.blanks(at + 1),
            Some(b']') => return Ok(at + 1),
            _ => return Err(Bad::At(at)),
        }
    }
}

/// The mark that a `cache_control` of this value is.
pub(super) fn mark(value: &[u8]) -> Option<Mark> {
    let is_mark = value.first() == Some(&b'{') && value.len() <= LONGEST_MARK;
    let has = |word: &[u8]| memchr::memmem::find(value, word).is_some();
    (is_mark && has(b"\"ephemeral\"")).then(|| if has(b"\"1h\"") { Mark::Hour } else { Mark::FiveMinutes })
}

/// Longest name of a tool, in bytes.
const LONGEST_TOOL: usize = 64;

/// Collects blocks.
pub(super) struct Blocks<'s> {
    found: &'s mut Vec<Block>,
    is_cut: &'s mut bool,
    /// Where the names of tools go, each with a line break behind it.
    tool_names: Option<&'s mut String>,
    /// Whether what the texts say is told as far as built-in rules ask for it.
    is_system: bool,
    /// Whether one of them is the summary of a conversation that was compacted.
    pub is_summary: bool,
}

impl<'s> Blocks<'s> {
    pub(super) fn new(found: &'s mut Vec<Block>, is_cut: &'s mut bool) -> Self {
        Self { found, is_cut, tool_names: None, is_system: false, is_summary: false }
    }

    /// Those of `system`.
    pub(super) fn of_system(found: &'s mut Vec<Block>, is_cut: &'s mut bool) -> Self {
        Self { is_system: true, ..Self::new(found, is_cut) }
    }

    /// Those of `tools`, and their names.
    pub(super) fn of_tools(found: &'s mut Vec<Block>, is_cut: &'s mut bool, names: &'s mut String) -> Self {
        Self { tool_names: Some(names), ..Self::new(found, is_cut) }
    }

    /// Content of a message, or `system`: a text or a list of blocks; where it ends, and whether it was a text.
    pub(super) fn content(&mut self, scan: &Scan<'_>, at: usize) -> Result<(usize, bool), Bad> {
        match scan.byte(at) {
            Some(b'"') => {
                let end = scan.value(at)?;
                let value = &scan.text()[at..end];
                self.add(Kind::Text, value, (None, value), chained(chained(0, member(b"text", value)), TEXT));
                Ok((end, true))
            }
            Some(b'[') => Ok((elements(scan, at, |at| self.block(scan, at, Kind::Other))?, false)),
            _ => Ok((scan.value(at)?, false)),
        }
    }

    /// The list `tools`; where it ends.
    pub(super) fn tools(&mut self, scan: &Scan<'_>, at: usize) -> Result<usize, Bad> {
        match scan.byte(at) {
            Some(b'[') => elements(scan, at, |at| self.block(scan, at, Kind::Tool)),
            _ => scan.value(at),
        }
    }

    fn block(&mut self, scan: &Scan<'_>, start: usize, otherwise: Kind) -> Result<usize, Bad> {
        let text = scan.text();
        if scan.byte(start) != Some(b'{') {
            let end = scan.value(start)?;
            self.add_name(b"");
            self.add(Kind::Other, &text[start..end], (None, b""), xxh3_64(&text[start..end]));
            return Ok(end);
        }
        let (mut kind, mut type_digest, mut marked, mut digest) = (otherwise, 0, None, 0);
        let (mut said, mut tool): (&[u8], &[u8]) = (b"", b"");
        let end = members(scan, start, |name, at| {
            let end = scan.value(at)?;
            let value = &text[at..end];
            match name {
                b"cache_control" => marked = mark(value),
                b"type" => {
                    type_digest = xxh3_64(value);
                    if otherwise != Kind::Tool {
                        kind = named(value);
                    }
                }
                _ => {
                    match name {
                        b"text" => said = value,
                        b"name" => tool = value,
                        _ => {}
                    }
                    digest = chained(digest, member(name, value));
                }
            }
            Ok(end)
        })?;
        if kind == Kind::Text {
            // Only the beginning of `system` is told so.
            let begins = said.get(1..).is_some_and(|said| said.starts_with(ATTRIBUTION.as_bytes()));
            if self.found.is_empty() && begins {
                kind = Kind::Attribution;
            }
            self.is_summary |= said.starts_with(SUMMARY);
            type_digest = TEXT;
        }
        self.add_name(tool);
        self.add(kind, &text[start..end], (marked, said), chained(digest, type_digest));
        Ok(end)
    }

    /// Notes a block of this kind, which is written so; with its mark, and what it says if that is a text.
    fn add(&mut self, kind: Kind, text: &[u8], (mark, says): (Option<Mark>, &[u8]), digest: u64) {
        self.is_summary |= text.starts_with(SUMMARY);
        if self.found.len() == MOST_BLOCKS {
            *self.is_cut = true;
            return;
        }
        let says = Some(says).filter(|says| self.is_system && says.first() == Some(&b'"'));
        let said = says.and_then(|says| said(simdutf8::basic::from_utf8(says).ok()?, self.found.is_empty()));
        self.found.push(Block { kind, mark, said, bytes: u32::try_from(text.len()).unwrap_or(u32::MAX), digest });
    }

    /// Notes the name of the tool that is added next: as it is written, if it is one that the API takes.
    fn add_name(&mut self, quoted: &[u8]) {
        let Some(names) = self.tool_names.as_deref_mut().filter(|_| self.found.len() < MOST_BLOCKS) else { return };
        let name = quoted.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or_default();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        if name.len() <= LONGEST_TOOL && name.iter().all(is_plain) {
            names.push_str(&String::from_utf8_lossy(name));
        }
        names.push('\n');
    }
}

/// What the kind of a text is in a digest.
const TEXT: u64 = 1;

fn member(name: &[u8], value: &[u8]) -> u64 {
    chained(xxh3_64(name), xxh3_64(value))
}

/// The kind that a `type` of this value is.
fn named(value: &[u8]) -> Kind {
    let name = value.get(1..value.len() - 1).unwrap_or_default();
    Kind::ALL
        .into_iter()
        .find(|kind| !matches!(kind, Kind::Attribution | Kind::Tool) && kind.name().as_bytes() == name)
        .unwrap_or_default()
}
