//! Secrets outside of the values of a YAML text: in comments, and in texts that go over several lines.
//!
//! What stands there is masked within its line, and put in again by the line: the masked line, or its comment, leads back to what
//! it was.

use super::marks::MASK;
use super::texts;
use gateway_core::redact::{self, Needles};

/// Secrets that stand elsewhere in a text.
pub(super) struct Elsewhere {
    /// In its values: to be masked in comments.
    pub in_values: Needles,
    /// In texts over several lines: to be masked in all lines.
    pub in_long_texts: Needles,
}

/// A line that is shown with masks, and the same line as it is.
pub(super) struct Masked<'t> {
    pub shown: String,
    pub line: &'t str,
}

/// The lines of `text` in which something is masked, with their numbers from 0.
pub(super) fn masked<'t>(text: &'t str, known: &Elsewhere) -> Vec<(usize, Masked<'t>)> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(number, line)| Some((number, Masked { shown: mask_line(line, known)?, line }))).collect()
}

/// The comment of a line, from its `#` on. One within quotes is taken for a comment too, which does no harm here.
pub(super) fn comment(line: &str) -> Option<usize> {
    let is_one = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
    line.match_indices('#').map(|(at, _)| at).find(is_one)
}

fn mask_line(line: &str, known: &Elsewhere) -> Option<String> {
    // What is a value was masked as one already: its other places here are those of texts.
    let at = comment(line).unwrap_or(line.len());
    let (content, comment) = line.split_at(at);
    let content = redact::text(content, &[&known.in_long_texts], false);
    let mut comment = redact::text(comment, &[&known.in_values, &known.in_long_texts], false).into_owned();
    for at in texts::settings(&comment).into_iter().rev() {
        comment.replace_range(at, MASK);
    }
    let shown = format!("{content}{comment}");
    (shown != line).then_some(shown)
}

/// The text with all lines as they were that come back masked as in `known` texts.
pub(super) fn restore(text: &str, known: &[Masked<'_>]) -> String {
    let mut used = vec![false; known.len()];
    let mut restored = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (bare, end) = match line.trim_end_matches(['\n', '\r']) {
            bare if bare.contains(MASK) => (bare, &line[bare.len()..]),
            _ => {
                restored.push_str(line);
                continue;
            }
        };
        let mut find = |is_it: &dyn Fn(&Masked<'_>) -> bool| {
            let matching = || known.iter().enumerate().filter(|(_, masked)| is_it(masked));
            // The same masked line may stand for several: each is used once, as far as they reach.
            let at = matching().find(|(at, _)| !used[*at]).or_else(|| matching().next()).map(|(at, _)| at)?;
            used[at] = true;
            Some(known[at].line)
        };
        let indented = bare.len() - bare.trim_start().len();
        if let Some(line) = find(&|masked| masked.shown.trim() == bare.trim()) {
            restored.push_str(&bare[..indented]);
            restored.push_str(line.trim());
        } else if let Some(at) = comment(bare)
            && let Some(line) =
                find(&|masked| comment(&masked.shown).is_some_and(|own| masked.shown[own..] == bare[at..]))
            && let Some(own) = comment(line)
        {
            restored.push_str(&bare[..at]);
            restored.push_str(&line[own..]);
        } else {
            restored.push_str(bare);
        }
        restored.push_str(end);
    }
    restored
}
