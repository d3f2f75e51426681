//! The language in which this process talks to who started it: commands, and errors at start. Log lines are English.

use gateway_core::language::{Language, Words};
use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const ENGLISH: u8 = 1;
const CHINESE: u8 = 2;

static SPOKEN: AtomicU8 = AtomicU8::new(UNKNOWN);

/// From now on this language is spoken; `None` if neither the configuration nor the locale names one.
pub(crate) fn speak(language: Option<Language>) {
    let code = match language {
        None => UNKNOWN,
        Some(Language::English) => ENGLISH,
        Some(Language::Chinese) => CHINESE,
    };
    SPOKEN.store(code, Ordering::Relaxed);
}

/// The language that is spoken, if it is known which one is understood.
pub(crate) fn known() -> Option<Language> {
    match SPOKEN.load(Ordering::Relaxed) {
        ENGLISH => Some(Language::English),
        CHINESE => Some(Language::Chinese),
        _ => None,
    }
}

/// The language that is spoken.
pub(crate) fn here() -> Language {
    known().unwrap_or(Language::English)
}

/// Words as who started this process reads them.
pub(crate) fn told(words: &Words) -> String {
    words.text(here()).to_owned()
}

/// The same for several, with this text between them.
pub(crate) fn joined(words: &[Words], between: &str) -> String {
    words.iter().map(told).collect::<Vec<_>>().join(between)
}

/// How many columns of a terminal a text takes: Chinese characters take two.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|char| if ('\u{2e80}'..='\u{ffef}').contains(&char) { 2 } else { 1 }).sum()
}

/// A text with blanks behind it up to this width.
pub(crate) fn padded(text: &str, to: usize) -> String {
    format!("{text}{:1$}", "", to.saturating_sub(width(text)))
}

/// A text in the language that is spoken: `say!("no room for {name}", "{name} 没有空间")`, with the rules of
/// [`both!`](gateway_core::both). For what is printed; what may be logged too, or goes to a client, is `both!`.
macro_rules! say {
    ($($words:tt)+) => { $crate::language::told(&gateway_core::both!($($words)+)) };
}
pub(crate) use say;
