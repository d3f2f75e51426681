//! Where the scalars of a YAML text stand, in bytes.

use marked_yaml::types::MarkedScalarNode;

/// A secret in a text: where it is, what it is, and the path to it, in which entries of lists go by their names.
pub(super) struct Secret {
    /// Path to it.
    pub path: String,
    /// Its text.
    pub value: String,
    /// What in it is secret.
    pub known: Vec<String>,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
}

/// Where a scalar begins and ends, in bytes; `None` for block scalars and others of several lines.
pub(super) fn locate(text: &str, offsets: &[usize], path: &str, scalar: &MarkedScalarNode) -> Option<Secret> {
    let marker = scalar.span().start()?;
    let start = *offsets.get(marker.character())?;
    let (before, rest) = text.split_at_checked(start)?;
    let value = scalar.as_str();
    let is_alone = before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
    if is_alone && !rest.starts_with(['"', '\'']) {
        return None;
    }
    let length = match rest.chars().next()? {
        '"' => quoted_length(rest, '"', |_, character| character == '\\')?,
        '\'' => quoted_length(rest, '\'', |next, character| character == '\'' && next == Some('\''))?,
        _ => rest.starts_with(value).then_some(value.len())?,
    };
    Some(Secret {
        path: path.to_owned(),
        value: value.to_owned(),
        known: Vec::new(),
        start,
        end: start + length,
        line: marker.line(),
        column: marker.column(),
    })
}

/// The length of a quoted text, quotes included; `escapes` says whether a character belongs together with the next.
fn quoted_length(text: &str, quote: char, escapes: impl Fn(Option<char>, char) -> bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escapes(characters.peek().map(|(_, next)| *next), character) {
            characters.next();
        } else if character == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}
