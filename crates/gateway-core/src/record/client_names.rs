//! What a client calls things, in headers of its own. Each is declared once: the field, and the header that it is read from.

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
}
