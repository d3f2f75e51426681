//! Text from outside, made fit to be shown: without keys, in one line, and short.

use crate::config::secret::Secret;
use gateway_core::redact::{self, Needles, Secrets};

/// Most characters of one text.
const MOST_CHARACTERS: usize = 300;

/// Knows the secrets of this run.
#[derive(Debug)]
pub(crate) struct Cleaner {
    secrets: Vec<Needles>,
}

impl Cleaner {
    /// Hides these secrets wherever they turn up: upstreams like to repeat a bad key in their message.
    pub(crate) fn new(keys: Vec<Secret>) -> Self {
        let mut secrets = Secrets::default();
        keys.iter().for_each(|key| secrets.add(key.expose().as_bytes()));
        Self { secrets: vec![Needles::new(&secrets)] }
    }

    /// Hides these too.
    pub(crate) fn and(mut self, secrets: Needles) -> Self {
        self.secrets.push(secrets);
        self
    }

    /// The text as it may be shown.
    pub(crate) fn line(&self, text: &str) -> String {
        let text = redact::text(text, &self.secrets.iter().collect::<Vec<_>>(), true);
        // Control characters could move the cursor of a terminal.
        let mut line =
            text.split(|c: char| c.is_whitespace() || c.is_control()).fold(String::new(), |mut line, word| {
                if !line.is_empty() && !word.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
                line
            });
        if let Some((end, _)) = line.char_indices().nth(MOST_CHARACTERS) {
            line.truncate(end);
            line.push_str("...");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_line_ends_and_length_are_cleaned() {
        let cleaner = Cleaner::new(vec![Secret::new("my key"), Secret::new("")]);
        assert_eq!(cleaner.line("bad my key:\r\n \x1b[2J sk-abcd1234-x!"), "bad ********: [2J ********!");
        let long = cleaner.line(&"长".repeat(1000));
        assert_eq!(long.chars().count(), MOST_CHARACTERS + 3);
    }
}
