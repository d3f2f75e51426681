//! `input_transformations`: what the API did to a request before its model read it.

use serde_json::Value;

/// Why blocks are dropped, as Anthropic's documentation has it on 2026-11-27; whatever else is said is `other`.
pub const REASONS: [&str; 5] = [
    "prefix_binding_mismatch",
    "model_binding_mismatch",
    "organization_binding_mismatch",
    "end_user_binding_mismatch",
    "other",
];

/// How many blocks of thinking the API dropped, for each of [`REASONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped([u32; REASONS.len()]);

impl Dropped {
    /// What a member `input_transformations` says; `None` if it is no list. Entries of other types are no drops.
    pub(super) fn read(member: &Value) -> Option<Self> {
        let mut dropped = Self::default();
        for entry in member.as_array()?.iter().filter(|entry| entry["type"] == "thinking_dropped") {
            let reason = REASONS.iter().position(|reason| entry["reason"] == *reason).unwrap_or(REASONS.len() - 1);
            dropped.0[reason] = dropped.0[reason].saturating_add(1);
        }
        Some(dropped)
    }

    /// How many, for each reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        REASONS.into_iter().zip(self.0)
    }

    /// How many in all.
    pub fn total(&self) -> u32 {
        self.0.into_iter().fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_that_were_dropped_are_counted_by_reason_and_all_else_is_left() {
        let entry =
            |kind: &str, reason: &str| json!({ "type": kind, "path": "messages.1.content.0", "reason": reason });
        let list = json!([
            entry("thinking_dropped", "prefix_binding_mismatch"),
            entry("thinking_dropped", "prefix_binding_mismatch"),
            entry("thinking_dropped", "organization_binding_mismatch"),
            entry("thinking_dropped", "one of tomorrow"),
            entry("thinking_mismatch_allowed", "prefix_binding_mismatch"),
            { "type": "thinking_dropped" },
            7,
        ]);
        let dropped = Dropped::read(&list).expect("a list");
        assert_eq!(dropped.by_reason().map(|(_, count)| count).collect::<Vec<_>>(), [2, 0, 1, 0, 2]);
        assert_eq!(dropped.total(), 5);
        assert_eq!(Dropped::read(&json!([])), Some(Dropped::default()));
        for none in [json!(null), json!({}), json!("no")] {
            assert_eq!(Dropped::read(&none), None);
        }
    }
}
