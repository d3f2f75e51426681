//! What a request is for, as Claude Code says in `x-claude-code-request-class`.

/// A sub-agent's.
pub const SUBAGENT: &str = "subagent";

/// The classes that are counted by name: those of Claude Code 2.1.330, read on 2026-11-27.
pub const KNOWN: [&str; 6] = ["main", SUBAGENT, "workflow", "compaction", "auxiliary", "side_reply"];

/// What all others are counted as: clients may send anything.
pub const OTHER: &str = "other";

/// The name under which a request of this class is counted; empty if it says none.
pub fn label(class: Option<&str>) -> &'static str {
    match class {
        None | Some("") => "",
        Some(class) => KNOWN.into_iter().find(|known| *known == class).unwrap_or(OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_counted_whatever_clients_send() {
        let labels = [None, Some(""), Some("main"), Some("side_reply"), Some("Main"), Some("a'b")].map(label);
        assert_eq!(labels, ["", "", "main", "side_reply", "other", "other"]);
    }
}
