//! Bounds on what a configuration may hold: whoever may edit it must not be able to use up the memory or the time of the gateway.
//! They hold at the start, at a reload and for the panel alike, and lie far beyond what anybody needs.

use super::message::Message;
use regex::bytes;
use std::cell::Cell;
use yaml_rust2::parser::{Event, Parser};

/// Bytes of one text: the operator's file, the overlay, the headers file, the key mappings.
pub(crate) const TEXT_BYTES: usize = 1024 * 1024;
/// Values of one text: scalars, lists and mappings.
const VALUES: usize = 50_000;
/// How deep lists and mappings may stand in one another.
const DEPTH: usize = 64;
/// Rules.
pub(crate) const RULES: usize = 1_000;
/// Tests in all conditions of all rules.
pub(crate) const TESTS: usize = 10_000;
/// Rules for errors.
pub(crate) const ERROR_RULES: usize = 200;
/// Upstreams.
pub(crate) const UPSTREAMS: usize = 200;
/// Lines of one upstream besides its `base_url`.
pub(crate) const LINES: usize = 15;
/// Keys of one upstream.
pub(crate) const API_KEYS: usize = 100;
/// Routes, and mappings of keys.
pub(crate) const ROUTES: usize = 1_000;
/// Keys of one route.
pub(crate) const ROUTE_KEYS: usize = 10_000;
/// Bytes of a published price list: several times those of LiteLLM and models.dev (about 2 MB in November 2026).
pub(crate) const PRICE_LIST_BYTES: usize = 16 * 1024 * 1024;
/// Models that are told.
pub(crate) const MODELS: usize = 1_000;
/// Names of clients' keys.
pub(crate) const KEY_NAMES: usize = 1_000;
/// Targets of notifications.
pub(crate) const NOTIFY_TARGETS: usize = 20;
/// Prices.
pub(crate) const PRICES: usize = 1_000;
/// Names of models in all prices.
pub(crate) const OFFERS: usize = 5_000;
/// Headers of the headers file.
pub(crate) const HEADERS: usize = 250;
/// Bytes of the text of one regular expression.
const REGEX_TEXT_BYTES: usize = 1024;
/// Sizes of a compiled regular expression that are tried, in bytes.
const REGEX_BYTES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Bytes of all compiled regular expressions.
const ALL_REGEX_BYTES: usize = 8 << 20;
/// Bytes of what one of them remembers while it searches, per thread.
const REGEX_CACHE_BYTES: usize = 256 << 10;

/// Whether a list has too many entries.
///
/// # Errors
/// That it has.
pub(crate) fn count(found: usize, most: usize) -> Result<(), Message> {
    if found > most { Err(Message::TooMany { found: found as u64, most: most as u64 }) } else { Ok(()) }
}

/// Whether a YAML text is too large, too deep, or has too much in it. One that is no YAML is told by who reads it.
///
/// # Errors
/// Line and column, and what is too much.
pub(crate) fn yaml(text: &str) -> Result<(), (usize, usize, Message)> {
    if text.len() > TEXT_BYTES {
        return Err((1, 1, Message::TextTooLong { bytes: text.len() as u64, most: TEXT_BYTES as u64 }));
    }
    let mut parser = Parser::new_from_str(text);
    let (mut depth, mut values) = (0_usize, 0_usize);
    loop {
        let Ok((event, mark)) = parser.next_token() else { return Ok(()) };
        let wrong = |message: Message| Err((mark.line(), mark.col() + 1, message));
        match event {
            Event::StreamEnd => return Ok(()),
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::Alias(_) => return wrong(Message::AliasesUnsupported),
            _ => {}
        }
        values += 1;
        if depth > DEPTH {
            return wrong(Message::NestedTooDeep { most: DEPTH as u64 });
        }
        if values > VALUES {
            return wrong(Message::TooManyValues { most: VALUES as u64 });
        }
    }
}

/// What is left for regular expressions and tests of a list of rules.
#[derive(Debug)]
pub(crate) struct Left {
    regex_bytes: Cell<usize>,
    tests: Cell<usize>,
}

impl Default for Left {
    fn default() -> Self {
        Self { regex_bytes: Cell::new(ALL_REGEX_BYTES), tests: Cell::new(TESTS) }
    }
}

impl Left {
    /// Whether there may be so many more tests.
    ///
    /// # Errors
    /// That there are too many.
    pub(crate) fn take_tests(&self, count: usize) -> Result<(), Message> {
        let left = self.tests.get().checked_sub(count);
        left.map(|left| self.tests.set(left)).ok_or(Message::TooManyTests { most: TESTS as u64 })
    }

    /// Compiles a regular expression for bytes.
    ///
    /// # Errors
    /// What is wrong with it, or that it is too large.
    pub(crate) fn bytes_regex(&self, pattern: &str) -> Result<bytes::Regex, Message> {
        self.compile(pattern, |size| {
            bytes::RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(REGEX_CACHE_BYTES).build()
        })
    }

    /// Compiles a regular expression for texts.
    ///
    /// # Errors
    /// What is wrong with it, or that it is too large.
    pub(crate) fn text_regex(&self, pattern: &str) -> Result<regex::Regex, Message> {
        self.compile(pattern, |size| {
            regex::RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(REGEX_CACHE_BYTES).build()
        })
    }

    /// The crate does not tell how large one became: it is at most the first size with which it could be made.
    fn compile<R>(&self, pattern: &str, build: impl Fn(usize) -> Result<R, regex::Error>) -> Result<R, Message> {
        if pattern.len() > REGEX_TEXT_BYTES {
            return Err(Message::RegexTooLong { bytes: pattern.len() as u64, most: REGEX_TEXT_BYTES as u64 });
        }
        let left = self.regex_bytes.get();
        for size in REGEX_BYTES.into_iter().filter(|size| *size <= left) {
            match build(size) {
                Ok(regex) => {
                    self.regex_bytes.set(left - size);
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => return Err(Message::NotARegex { said: one_line(&error) }),
            }
        }
        // The work was done all the same: it counts.
        let largest = REGEX_BYTES[REGEX_BYTES.len() - 1];
        self.regex_bytes.set(left.saturating_sub(largest));
        Err(match left < largest {
            true => Message::RegexesTooLarge { mib: (ALL_REGEX_BYTES >> 20) as u64 },
            false => Message::RegexTooLarge { mib: (largest >> 20) as u64 },
        })
    }
}

/// The regex crate draws its errors over several lines; the last one says what is wrong.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_in_size_depth_and_number() {
        assert_eq!(yaml("a: [1, {b: c}]\n"), Ok(()));
        assert_eq!(yaml("a: [\n"), Ok(()), "told by who reads it");
        for (text, what) in [
            (format!("a: {}", "x".repeat(TEXT_BYTES)), "bytes"),
            ("[".repeat(100), "nested"),
            (format!("{}x", "- ".repeat(100)), "nested"),
            (format!("a: [{}]", "1,".repeat(VALUES + 1)), "values"),
            ("a: &x [1, 2]\nb: [*x, *x]\n".to_owned(), "aliases"),
        ] {
            let message = yaml(&text).expect_err(what).2.to_string();
            assert!(message.contains(what), "{message}");
        }
        // A bracket in a text is no list.
        assert_eq!(yaml(&format!("a: |\n  {}\n", "[".repeat(1000))), Ok(()));
    }

    #[test]
    fn regular_expressions_are_bounded_alone_and_together() {
        let left = Left::default();
        assert!(left.bytes_regex("^claude-(opus|sonnet)-[0-9.-]+$").expect("small").is_match(b"claude-opus-4"));
        assert!(left.text_regex(r"\w+@\w+").is_ok());
        let error = left.bytes_regex(r"\w{100}N").expect_err("too large").to_string();
        assert!(error.contains("more than 1 MiB"), "{error}");
        assert!(left.text_regex(&"x".repeat(REGEX_TEXT_BYTES + 1)).is_err());
        assert!(left.text_regex("(").expect_err("none").to_string().contains("not a regular expression"));
        let many: Result<Vec<_>, _> = (0..1000).map(|_| left.bytes_regex(r"\w{5}N")).collect();
        assert!(many.expect_err("too many").to_string().contains("together"));
    }
}
