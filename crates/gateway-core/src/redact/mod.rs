//! What is a secret, by its name, its looks, or because it is known to be one; and texts without secrets, for all that is kept
//! or shown: rows, log lines, views of the configuration.

mod coded;
mod decode;
mod entities;
mod escape;
mod length;
pub mod masking;
mod names;
mod needles;
mod pieces;
mod secrets;
mod shapes;

use std::borrow::Cow;
use std::ops::Range;

pub use names::is_secret_name;
pub use needles::Needles;
pub use secrets::Secrets;
pub use shapes::looks_like_secret;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// The text without these secrets, whatever form they have in it, and without what looks like one. `is_cut` says that the
/// text goes on where it ends: then it may end in the middle of a secret.
pub fn text<'t>(text: &'t str, needles: &[&Needles], is_cut: bool) -> Cow<'t, str> {
    let found = places(text, needles, is_cut);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut masked, mut from) = (String::with_capacity(text.len()), 0);
    for at in found {
        if at.start >= from {
            masked.push_str(&text[from..at.start]);
            masked.push_str(MASK);
        }
        from = from.max(at.end);
    }
    masked.push_str(&text[from..]);
    Cow::Owned(masked)
}

/// Where in a text [`text`] masks something: in order, from one character to another.
pub fn places(text: &str, needles: &[&Needles], is_cut: bool) -> Vec<Range<usize>> {
    let between = |at: Range<usize>| {
        let start = (0..=at.start).rev().find(|&start| text.is_char_boundary(start)).unwrap_or_default();
        let end = (at.end..=text.len()).find(|&end| text.is_char_boundary(end)).unwrap_or(text.len());
        start..end
    };
    needles::find(text.as_bytes(), needles, is_cut).into_iter().map(between).collect()
}

/// The text without what looks like a secret.
pub fn shapes(text: &str) -> Cow<'_, str> {
    self::text(text, &[], false)
}

/// A target, as it may be kept: the values of a query may be keys.
pub fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        // What every client of the API sends.
        Some(("beta", "true")) => pair.to_owned(),
        Some(("limit", number)) if number.len() < 8 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            pair.to_owned()
        }
        Some((name, _)) => format!("{name}={MASK}"),
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    Cow::Owned(format!("{path}?{}", masked.collect::<Vec<_>>().join("&")))
}

#[cfg(test)]
mod tests;
