//! Whether the `system` and the `tools` of a conversation stay the same: thinking that comes back is bound to them.

use crate::gateway::proxy::context::Context;
use crate::gateway::proxy::conversation::makes_same_prefix;
use crate::gateway::snapshot::Destination;
use gateway_core::both;
use gateway_core::language::Language;
use pingora::http::RequestHeader;
use serde::Serialize;

/// What the rules mean for a conversation.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Prefix {
    /// Rules that change `system` or `tools` and depend on what can differ between turns.
    pub varies: Vec<Varying>,
    /// The other upstreams that the request may go to where the rules make another `system` or `tools` of it.
    pub elsewhere: Vec<Elsewhere>,
}

/// A rule that may apply to one turn and not to the next.
#[derive(Debug, Serialize)]
pub(crate) struct Varying {
    /// Its name.
    pub rule: String,
    /// What it depends on.
    pub conditions: Vec<String>,
}

/// An upstream where they would differ.
#[derive(Debug, Serialize)]
pub(crate) struct Elsewhere {
    /// Its name.
    pub upstream: String,
    /// The rules that differ.
    pub rules: Vec<String>,
}

impl Prefix {
    /// For this request, which goes to `here`.
    pub(super) fn of(client: &RequestHeader, here: &Destination, context: &Context) -> Self {
        let varying = here.prefix.conditions().filter_map(|(rule, matcher)| {
            let conditions = matcher.varying();
            (!conditions.is_empty()).then(|| Varying { rule: rule.to_string(), conditions })
        });
        let others = context.group().iter().filter_map(|&at| context.snapshot.destinations.get(at));
        let elsewhere = others.filter(|other| !makes_same_prefix(client, here, other, context)).map(|other| {
            let rules = here.prefix.differing(&other.prefix).iter().map(ToString::to_string).collect();
            Elsewhere { upstream: other.upstream.config.name.clone(), rules }
        });
        Self { varies: varying.collect(), elsewhere: elsewhere.collect() }
    }
}

impl Prefix {
    /// For a terminal.
    pub(super) fn text(&self, language: Language) -> String {
        let mut lines = vec![match self.varies.is_empty() {
            true => both!(
                "system and tools of a conversation: the same in each turn",
                "同一对话的 system 和 tools：每一轮都相同"
            ),
            false => both!(
                "system and tools of a conversation: may differ from turn to turn",
                "同一对话的 system 和 tools：各轮可能不同"
            ),
        }];
        lines.extend(self.varies.iter().map(|Varying { rule, conditions }| {
            both!("  {rule} depends on {on}", "  {rule} 取决于 {on}", on = conditions.join(", "))
        }));
        lines.extend(self.elsewhere.iter().map(|Elsewhere { upstream, rules }| {
            both!(
                "  they are others at the upstream \"{upstream}\": {rules}",
                "  在上游“{upstream}”处不同：{rules}",
                rules = rules.join(", ")
            )
        }));
        lines.iter().map(|words| format!("{}\n", words.text(language))).collect()
    }
}
