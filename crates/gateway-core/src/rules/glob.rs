//! Patterns with two wildcards.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern for a whole text: `*` stands for any characters, `?` for one. Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Glob {
    pattern: String,
    /// Whether it has no wildcard: then it is compared as a whole.
    is_literal: bool,
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
        Self { pattern: pattern.to_owned(), is_literal: !pattern.contains(['*', '?']) }
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
    pub fn matches(&self, text: &str) -> bool {
        if self.is_literal {
            return self.pattern == text;
        }
        let (mut pattern, mut text) = (self.pattern.as_str(), text);
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
