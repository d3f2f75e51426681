//! What a client calls things, in headers of its own. Each is declared once: the field, and the header that it is read from.

use super::request_class;
use http::HeaderName;

/// Declares the struct, and what has to look at each field.
macro_rules! client_names {
    ($($(#[$doc:meta])* $field:ident: $header:literal,)+) => {
        /// What a client calls things; `None` for what it does not name.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ClientNames {
            $($(#[$doc])* pub $field: Option<String>,)+
        }

        impl ClientNames {
            /// Reads each from its header.
            pub fn read(mut header: impl FnMut(HeaderName) -> Option<String>) -> Self {
                Self { $($field: header(const { HeaderName::from_static($header) }),)+ }
            }

            /// The same with each name changed.
            #[must_use]
            pub fn map(self, mut change: impl FnMut(String) -> String) -> Self {
                Self { $($field: self.$field.map(&mut change),)+ }
            }

            /// Those that there are.
            pub fn iter(&self) -> impl Iterator<Item = &str> {
                [$(self.$field.as_deref(),)+].into_iter().flatten()
            }
        }
    };
}

client_names! {
    /// The session.
    session: "x-claude-code-session-id",
    /// The sub-agent.
    agent: "x-claude-code-agent-id",
    /// The agent that started that one.
    parent_agent: "x-claude-code-parent-agent-id",
    /// What the request is for: `main`, `subagent`, `compaction`, ...
    request_class: "x-claude-code-request-class",
    /// What kind of agent makes it.
    agent_type: "x-claude-code-agent-type",
    /// What began the compaction that this request makes: `auto`, `manual`, `reactive`.
    compaction: "x-claude-code-compaction",
    /// The same of the compaction that was before this request, the first one after it.
    context_compacted: "x-claude-code-context-compacted",
    /// The prompt of the user that it works on: requests of all agents have it in common.
    prompt_id: "x-claude-code-prompt-id",
}

impl ClientNames {
    /// The same, with a class for what says only that it is a sub-agent's. Clients without hint headers
    /// (`CLAUDE_CODE_GATEWAY_HINT_HEADERS`) name the agent all the same.
    #[must_use]
    pub fn with_class(mut self) -> Self {
        if self.request_class.is_none() && self.agent.is_some() {
            self.request_class = Some(request_class::SUBAGENT.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_read_from_its_header() {
        let names = ClientNames::read(|header| {
            let name = header.as_str();
            matches!(name, "x-claude-code-session-id" | "x-claude-code-parent-agent-id").then(|| name.to_owned())
        });
        assert_eq!(names.session.as_deref(), Some("x-claude-code-session-id"));
        assert_eq!(names.agent, None);
        assert_eq!(names.iter().count(), 2);
        let short = names.map(|name| name[14..].to_owned());
        assert_eq!(short.iter().collect::<Vec<_>>(), ["session-id", "parent-agent-id"]);
        assert_eq!(ClientNames::default().iter().next(), None);
    }

    #[test]
    fn an_agent_without_a_class_is_a_sub_agent() {
        let class = |agent: Option<&str>, class: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let names = ClientNames { agent: owned(agent), request_class: owned(class), ..ClientNames::default() };
            names.with_class().request_class
        };
        assert_eq!(class(Some("a"), None).as_deref(), Some("subagent"));
        assert_eq!(class(Some("a"), Some("workflow")).as_deref(), Some("workflow"));
        assert_eq!(class(None, None), None);
    }
}
