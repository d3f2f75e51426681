//! Whether the `system` and the `tools` of a conversation stay the same: thinking that comes back is bound to them.

use crate::gateway::proxy::context::Context;
use crate::gateway::proxy::conversation::makes_same_prefix;
use crate::gateway::snapshot::Destination;
use pingora::http::RequestHeader;
use serde::Serialize;
use std::fmt;

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

/// For a terminal.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.varies.is_empty() { "the same in each turn" } else { "may differ from turn to turn" };
        writeln!(f, "system and tools of a conversation: {verdict}")?;
        for Varying { rule, conditions } in &self.varies {
            writeln!(f, "  {rule} depends on {}", conditions.join(", "))?;
        }
        for Elsewhere { upstream, rules } in &self.elsewhere {
            writeln!(f, "  they are others at the upstream \"{upstream}\": {}", rules.join(", "))?;
        }
        Ok(())
    }
}
