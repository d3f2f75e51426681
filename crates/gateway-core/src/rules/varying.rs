//! What can differ between the turns of a conversation: rules that change `system` or `tools` must not depend on it, or
//! thinking that comes back is invalid.

use super::body::BodyAction;
use super::matcher::{Condition, Matcher};

/// Fields that stay the same as long as a conversation goes on, as far as Claude Code and the SDKs send them. That of the
/// agent tells conversations apart.
const STABLE: [&str; 21] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "authorization",
    "content-type",
    "host",
    "user-agent",
    "x-api-key",
    "x-app",
    "x-claude-code-agent-id",
    "x-claude-code-agent-type",
    "x-claude-code-parent-agent-id",
    "x-claude-code-session-id",
    "x-stainless-arch",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
];

impl Matcher {
    /// The conditions that can hold in one turn of a conversation and not in the next, as they are called: `header x`,
    /// `client`, `query x`. Without values, which may be secrets. The model is none of them: thinking does not go from one
    /// to another anyway.
    pub fn varying(&self) -> Vec<String> {
        let mut found = Vec::new();
        for condition in &self.0 {
            match condition {
                Condition::Header(name, _) if !STABLE.contains(&name.as_str()) => found.push(format!("header {name}")),
                Condition::Query(name, _) if name != "beta" => found.push(format!("query {name}")),
                Condition::Client(_) => found.push("client".to_owned()),
                Condition::Not(inner) => found.extend(inner.varying()),
                _ => {}
            }
        }
        found.dedup();
        found
    }
}

impl BodyAction {
    /// Whether it takes the place of the first block of `system`, where Claude Code has its attribution, or changes it.
    pub fn disturbs_attribution(&self) -> bool {
        match self {
            Self::System(system) => system.replaces_first(),
            Self::Set(pointer, _) | Self::Remove(pointer) => {
                let text = pointer.to_string();
                text == "/system/0" || text == "/system/0/text"
            }
            Self::Default(..) | Self::Model(_) | Self::Compact => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::{Mode, System, Target};
    use super::super::document::Json;
    use super::super::matcher::TextTest;
    use super::*;
    use http::HeaderName;

    #[test]
    fn what_can_differ_between_turns_is_named_without_its_value() {
        let header = |name| Condition::Header(HeaderName::from_static(name), vec![TextTest::Equals("secret".into())]);
        let matcher = Matcher(vec![
            Condition::Method(vec!["POST".into()]),
            header("user-agent"),
            header("x-claude-code-request-class"),
            Condition::Not(Matcher(vec![header("anthropic-beta")])),
            Condition::Query("beta".into(), vec![TextTest::Present]),
            Condition::Query("x".into(), vec![TextTest::Present]),
            Condition::Client(Vec::new()),
            Condition::Model(Vec::new()),
        ]);
        assert_eq!(
            matcher.varying(),
            ["header x-claude-code-request-class", "header anthropic-beta", "query x", "client"]
        );
    }

    #[test]
    fn the_first_block_is_the_attribution() {
        let system = |mode, target| BodyAction::System(System::new(mode, target, "x"));
        let set = |text: &str| BodyAction::Set(text.parse().expect("a pointer"), Json::string("x"));
        for disturbs in [
            system(Mode::Replace, Target::First),
            system(Mode::Remove, Target::Index(0)),
            set("/system/0"),
            set("/system/0/text"),
        ] {
            assert!(disturbs.disturbs_attribution(), "{disturbs:?}");
        }
        for leaves in [
            system(Mode::Replace, Target::Identity),
            system(Mode::InsertIfMissing, Target::First),
            system(Mode::Append, Target::Last),
            set("/system/1"),
            set("/tools/0"),
            BodyAction::Compact,
        ] {
            assert!(!leaves.disturbs_attribution(), "{leaves:?}");
        }
    }
}
