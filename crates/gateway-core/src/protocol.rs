//! Which API a request is for, and what of it: asked once, by method and target, when the request begins. A further API
//! is a further answer here, and a reader of its responses in [`crate::usage`].

use crate::http1::{collapsed, split_query};

/// An endpoint that requests are counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// A message.
    Messages,
    /// How many tokens a message would have.
    CountTokens,
    /// Messages in batches.
    Batches,
    /// The models that there are.
    Models,
    /// The text completions of old.
    Complete,
    /// Files.
    Files,
    /// What Claude Code asks to find out whether it has a connection.
    Hello,
    /// Any other.
    #[default]
    Other,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Messages,
        Self::CountTokens,
        Self::Batches,
        Self::Models,
        Self::Complete,
        Self::Files,
        Self::Hello,
        Self::Other,
    ];

    /// Its path, as metrics and sums name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Batches => "/v1/messages/batches",
            Self::Models => "/v1/models",
            Self::Complete => "/v1/complete",
            Self::Files => "/v1/files",
            Self::Hello => "/api/hello",
            Self::Other => "other",
        }
    }

    /// By a path without its query. Some relays, and so their clients, have a prefix before it.
    fn of(path: &[u8]) -> Self {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let known = Self::ALL.into_iter().filter(|endpoint| *endpoint != Self::Other);
        known.into_iter().find(|known| path.ends_with(known.name().as_bytes())).unwrap_or_default()
    }
}

/// What a request asks of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    endpoint: Endpoint,
    is_post: bool,
    is_head: bool,
    /// Whether the path stands where the API has it, with no prefix.
    is_at_root: bool,
    names_model: bool,
    is_model_call: bool,
}

/// How the paths end that a model is called by, whichever API it is of.
const MODEL_CALLS: [&[u8]; 11] = [
    b"/v1/messages",
    b"/complete",
    b"/completions",
    b"/responses",
    b"/embeddings",
    b"/invoke",
    b"/invoke-with-response-stream",
    b":rawPredict",
    b":streamRawPredict",
    b":generateContent",
    b":streamGenerateContent",
];

impl Protocol {
    /// Of a request with this method and this target.
    pub fn of(method: &str, target: &[u8]) -> Self {
        let path = &*collapsed(split_query(target).0);
        let is_post = method == "POST";
        Self {
            endpoint: Endpoint::of(path),
            is_post,
            is_head: method == "HEAD",
            is_at_root: path.starts_with(b"/v1/"),
            is_model_call: is_post && {
                let path = path.strip_suffix(b"/").unwrap_or(path);
                MODEL_CALLS.iter().any(|end| path.ends_with(end))
            },
            names_model: is_post && memchr::memmem::find(path, b"/v1/messages").is_some(),
        }
    }

    /// Which endpoint it is counted by.
    pub fn endpoint(self) -> Endpoint {
        self.endpoint
    }

    /// Whether its body may name a model.
    pub fn names_model(self) -> bool {
        self.names_model
    }

    /// Whether it is what an upstream is there for: how it answers anything else says nothing about that.
    pub fn is_model_call(self) -> bool {
        self.is_model_call
    }

    /// Whether a good response to it is a message, with events and tokens in it.
    pub fn asks_for_message(self) -> bool {
        self.is_post && self.endpoint == Endpoint::Messages
    }

    /// Whether its body is a prompt: that of a message, or of one whose tokens are to be counted.
    pub fn has_prompt(self) -> bool {
        self.is_post && matches!(self.endpoint, Endpoint::Messages | Endpoint::CountTokens)
    }

    /// Whether a good response to it has a body, and one of the API's: no web page.
    pub fn wants_api_response(self) -> bool {
        self.is_at_root && !self.is_head
    }
}

/// What nobody pays for, and no model is called by: counting tokens, files, and what Claude Code sends beside.
const FREE: [&[u8]; 5] = [
    b"/v1/messages/count_tokens",
    b"/v1/files",
    b"/api/hello",
    b"/api/event_logging/batch",
    b"/api/event_logging/v2/batch",
];
/// What stands in paths by which models are called.
const OF_CALLS: [&[u8]; 9] =
    [b"messages", b"complete", b"completions", b"chat", b"responses", b"embeddings", b"models", b"batches", b"invoke"];

/// Whether a request is one that no model is called by, whoever reads its path, and however: it only asks for something, or
/// its path is, letter by letter, one of those that are free. A relay may cut a path, decode it, or match its beginning: so
/// before that path there may be a prefix of plain names, of which none is one of the API's. It is not upgraded.
pub fn is_free(method: &str, target: &[u8], has_body: bool) -> bool {
    if !has_body && matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    let path = &*collapsed(split_query(target).0);
    FREE.iter().any(|free| path.strip_suffix(*free).is_some_and(is_plain_prefix))
}

fn is_plain_prefix(prefix: &[u8]) -> bool {
    let is_plain = |name: &[u8]| {
        let is_version = matches!(name, [b'v' | b'V', digit, ..] if digit.is_ascii_digit());
        let is_of_call = OF_CALLS.iter().any(|known| name.eq_ignore_ascii_case(known));
        name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !is_version
            && !is_of_call
    };
    prefix.is_empty() || prefix.strip_prefix(b"/").is_some_and(|names| names.split(|byte| *byte == b'/').all(is_plain))
}

/// Whether a status is none that a message comes with, whatever the body says: work that is not done yet, nothing, or a
/// redirect.
pub fn is_no_message(status: u16) -> bool {
    matches!(status, 202 | 204 | 205 | 300..=399)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_behind_a_prefix_and_before_a_slash() {
        for endpoint in Endpoint::ALL {
            for path in [endpoint.name().to_owned(), format!("/relay/{}//", endpoint.name())] {
                assert_eq!(Protocol::of("GET", path.as_bytes()).endpoint(), endpoint, "{path}");
            }
        }
        for path in ["", "/", "/v1/messages/x", "/v2/models", "/v1/MESSAGES"] {
            assert_eq!(Protocol::of("POST", path.as_bytes()).endpoint(), Endpoint::Other, "{path}");
        }
    }

    #[test]
    fn calls_of_models_are_told_from_what_clients_can_do_without() {
        for call in [
            "/v1/messages?beta=true",
            "/relay/v1/messages/",
            "/v1/complete",
            "/v1/chat/completions",
            "/v1/responses",
            "/v1beta/models/gemini:streamGenerateContent?alt=sse",
        ] {
            assert!(Protocol::of("POST", call.as_bytes()).is_model_call(), "{call}");
            assert!(!Protocol::of("GET", call.as_bytes()).is_model_call(), "GET {call}");
        }
        for other in [
            "/",
            "/v1/messages/count_tokens?beta=true",
            "/v1/messages/batches",
            "/v1/models",
            "/api/event_logging/batch",
        ] {
            assert!(!Protocol::of("POST", other.as_bytes()).is_model_call(), "{other}");
        }
    }

    #[test]
    fn what_is_free_is_so_however_its_path_is_read() {
        for free in [
            "/v1/messages/count_tokens?beta=true",
            "//v1/messages/count_tokens",
            "/relay/claude-2/v1/messages/count_tokens",
            "/v1/files",
            "/api/event_logging/batch",
        ] {
            assert!(is_free("POST", free.as_bytes(), true), "{free}");
        }
        for paid in [
            "/v1/messages",
            "/v1/messages/batches",
            "/V1/messages",
            "/v1/./messages",
            "/v1/messages;/v1/messages/count_tokens",
            "/v1/messages%3F/v1/messages/count_tokens",
            "/v1/messages/x/v1/messages/count_tokens",
            "/V1/x/v1/messages/count_tokens",
            "/Messages/v1/messages/count_tokens",
            "/x/../v1/messages/count_tokens",
            "/x\\..\\v1/messages/count_tokens",
            "/v1/messages#/v1/messages/count_tokens",
            "/v1/messages/count_tokens/../",
            "/v1/messages/count_token%73",
            "x/v1/messages/count_tokens",
            "/v1/messages?/v1/messages/count_tokens",
            "/v1/models",
            "/unknown",
        ] {
            assert!(!is_free("POST", paid.as_bytes(), true), "{paid}");
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(is_free(method, b"/v1/messages/batches/b_1", false), "{method}");
            assert!(!is_free(method, b"/v1/messages", true), "{method} with a body");
        }
        assert!(!is_free("DELETE", b"/v1/messages/batches/b_1", false) && !is_free("get", b"/v1/models", false));
    }

    #[test]
    fn what_is_asked_follows_from_method_and_path() {
        for (method, path, names_model, asks_for_message, wants_api_response) in [
            ("POST", "/v1/messages", true, true, true),
            ("POST", "/v1/messages/?beta=true", true, true, true),
            ("POST", "//v1//messages/", true, true, true),
            ("POST", "/relay/v1/messages", true, true, false),
            ("POST", "/v1/messages/count_tokens", true, false, true),
            ("POST", "/v1/messages/batches/b/cancel", true, false, true),
            ("POST", "/v1/complete", false, false, true),
            ("GET", "/v1/messages", false, false, true),
            ("HEAD", "/v1/models", false, false, false),
            ("GET", "/v1/models", false, false, true),
            ("post", "/v1/messages", false, false, true),
            ("GET", "/?/v1/messages", false, false, false),
        ] {
            let asked = Protocol::of(method, path.as_bytes());
            assert_eq!(
                (asked.names_model(), asked.asks_for_message(), asked.wants_api_response()),
                (names_model, asks_for_message, wants_api_response),
                "{method} {path}"
            );
        }
    }
}
