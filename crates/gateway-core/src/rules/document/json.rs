//! JSON as text: checked, compared and compacted without building its values.

use super::scan;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;

/// JSON's blanks.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Why a text is not taken for JSON. Says where, and quotes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// It is not valid JSON, or not valid UTF-8.
    #[error("not a JSON text: {0}")]
    Invalid(String),
    /// Its lists and objects stand too deep in one another to be looked through.
    #[error("nested more than {} deep", scan::MAX_DEPTH)]
    TooDeep,
}

impl From<scan::Bad> for NotJson {
    fn from(bad: scan::Bad) -> Self {
        match bad {
            scan::Bad::At(at) => Self::Invalid(format!("byte {at}")),
            scan::Bad::TooDeep => Self::TooDeep,
        }
    }
}

/// A valid JSON text without blanks between its tokens, to be put into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<'a>(pub(super) Cow<'a, str>);

impl Json<'_> {
    /// The same text, borrowed.
    pub fn borrowed(&self) -> Json<'_> {
        Json(Cow::Borrowed(&self.0))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that is known to be valid and compact JSON.
    pub(in crate::rules) fn trusted(text: String) -> Json<'static> {
        Json(Cow::Owned(text))
    }
}

impl Json<'static> {
    /// Checks `text` and drops the blanks between its tokens; all else stays as it is written.
    ///
    /// # Errors
    /// When it is not valid JSON.
    pub fn parse(text: &str) -> Result<Self, NotJson> {
        check(text)?;
        Ok(Self(Cow::Owned(compacted(text))))
    }

    /// A JSON string with this content.
    pub fn string(content: &str) -> Self {
        Self(Cow::Owned(Value::from(content).to_string()))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Json<'static> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.is_empty() {
            // Where there is none, as in a change that has no text.
            true => Ok(Self::trusted(text)),
            false => Self::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

impl From<&Value> for Json<'static> {
    fn from(value: &Value) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

/// Calls `run` for each stretch of `json`, whole tokens, that has no blanks between its tokens.
pub(super) fn without_blanks(json: &str, mut run: impl FnMut(Range<usize>)) {
    let mut start = 0;
    while let Some(blank) = next_blank(json.as_bytes(), start) {
        run(start..blank);
        start = blank + 1;
    }
    run(start..json.len());
}

pub(super) fn has_blanks(json: &str) -> bool {
    next_blank(json.as_bytes(), 0).is_some()
}

/// The first blank outside of strings. At `at` no string is open.
fn next_blank(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match json.get(at)? {
            b'"' => {
                at += 1;
                loop {
                    at += memchr::memchr2(b'"', b'\\', json.get(at..)?)? + 1;
                    if json[at - 1] == b'"' {
                        break;
                    }
                    at += 1;
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => return Some(at),
            _ => at += 1,
        }
    }
}

/// A JSON text without the blanks between its tokens.
pub(in crate::rules) fn compacted(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    without_blanks(json, |run| text.push_str(&json[run]));
    text
}

/// The content of a JSON string, if it is text: half a surrogate pair is none.
pub(in crate::rules) fn unquoted(quoted: &str) -> Option<Cow<'_, str>> {
    match memchr::memchr(b'\\', quoted.as_bytes()) {
        None => Some(Cow::Borrowed(&quoted[1..quoted.len() - 1])),
        Some(_) => serde_json::from_str(quoted).ok().map(Cow::Owned),
    }
}

/// Whether `text` is valid JSON.
pub(super) fn check(text: &str) -> Result<(), NotJson> {
    let bytes = text.as_bytes();
    let end = scan::value(bytes, scan::blanks(bytes, 0))?;
    if scan::blanks(bytes, end) == bytes.len() { Ok(()) } else { Err(scan::Bad::At(end).into()) }
}
