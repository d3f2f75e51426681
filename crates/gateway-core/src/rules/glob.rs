//! Patterns with two wildcards.

use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern for a whole text: `*` stands for any characters, `?` for one. Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Glob {
    pattern: String,
    /// How many bytes stand before its first wildcard.
    literal: usize,
    /// Whether all of its wildcards are stars.
    is_starred: bool,
}

/// As it is stored.
impl From<String> for Glob {
    fn from(pattern: String) -> Self {
        Self::new(&pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.pattern
    }
}

impl Glob {
    /// Every text is a glob.
    pub fn new(pattern: &str) -> Self {
        let literal = pattern.find(['*', '?']).unwrap_or(pattern.len());
        Self { pattern: pattern.to_owned(), literal, is_starred: !pattern.contains('?') }
    }

    /// What its only star stands for in `text`, which it describes. `None` if it has none, or several.
    pub fn starred<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (before, after) = self.pattern.split_once('*').filter(|(_, after)| !after.contains('*'))?;
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let start = ends.clone().nth(before.chars().count())?;
        let end = ends.rev().nth(after.chars().count())?;
        text.get(start..end)
    }

    /// Whether it has one star, and no more.
    pub fn has_one_star(&self) -> bool {
        self.pattern.matches('*').count() == 1
    }

    /// Whether it describes the whole of `text`. At most as many steps as the product of both lengths.
    pub fn matches<'t>(&self, text: &'t str) -> bool {
        // Most patterns of a list are for others, and differ here.
        let (literal, pattern) = self.pattern.split_at(self.literal);
        let Some(text) = text.strip_prefix(literal) else { return false };
        if let Some(parts) = pattern.strip_prefix('*').filter(|_| self.is_starred) {
            let (middle, end) = parts.rsplit_once('*').unwrap_or(("", parts));
            let before = text.strip_suffix(end);
            // Each part where it stands first: that leaves the most for those behind it. For texts as short as names `memmem`
            // is ready at once, where `str::find` prepares itself.
            let left = |text: &'t str, part: &str| {
                memmem::find(text.as_bytes(), part.as_bytes()).map(|at| &text[at + part.len()..])
            };
            return before.and_then(|before| middle.split('*').try_fold(before, left)).is_some();
        }
        let (mut pattern, mut text) = (pattern, text);
        // Where to go on when the text after the last star did not fit: that star takes one character more.
        let mut retry: Option<(&str, &str)> = None;
        loop {
            let mut rest = text.chars();
            let next = rest.next();
            let mut rest_of_pattern = pattern.chars();
            match (rest_of_pattern.next(), next) {
                (Some('*'), _) => {
                    pattern = rest_of_pattern.as_str();
                    retry = Some((pattern, text));
                    continue;
                }
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                    (pattern, text) = (rest_of_pattern.as_str(), rest.as_str());
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_star, from)) = retry else { return false };
            let mut rest = from.chars();
            if rest.next().is_none() {
                return false;
            }
            (pattern, text) = (after_star, rest.as_str());
            retry = Some((pattern, text));
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The meaning of a pattern, as slow as it is plain.
    fn describes(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| describes(rest, &text[taken..])),
            (Some((wanted, rest)), Some((found, after))) => {
                (*wanted == b'?' || wanted == found) && describes(rest, after)
            }
            (Some(_), None) => false,
        }
    }

    /// All texts of these characters up to a length.
    fn all(characters: &[char], longest: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..longest {
            let to = all.len();
            for at in from..to {
                all.extend(characters.iter().map(|character| format!("{}{character}", all[at])).collect::<Vec<_>>());
            }
            from = to;
        }
        all
    }

    #[test]
    fn it_matches_what_it_describes_and_nothing_else() {
        let texts = all(&['a', 'b'], 6);
        for pattern in all(&['a', 'b', '*', '?'], 5) {
            let glob = Glob::new(&pattern);
            for text in &texts {
                assert_eq!(glob.matches(text), describes(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
        let chinese = |pattern: &str| Glob::new(pattern).matches("模型-中文");
        assert_eq!(["模*文", "*中?", "模?-*", "*", "?", "模型"].map(chinese), [true, true, true, true, false, false]);
    }
}
