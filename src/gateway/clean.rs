//! What is kept of requests, without secrets: those that the request brought, those of the configuration, and what
//! looks like one. An upstream may repeat each of them, in any form.

use gateway_core::record::{Capture, ClientNames, path_text};
use gateway_core::redact::{self, Needles, Secrets};
use gateway_core::usage::error_body::ErrorText;
use gateway_core::usage::summary::{LONGEST_WORD, Summary};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use std::cell::OnceCell;

/// Longest name of a model, a session or an agent that is kept, in characters.
pub(super) const LONGEST_NAME: usize = 100;
/// Paths that hold no secret, for sure.
const USUAL_PATHS: [&[u8]; 3] = [b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/models"];
/// Methods that hold none either.
const USUAL_METHODS: [&str; 7] = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Why an answer ended, as the API has it: most answers say one of these.
const USUAL_REASONS: [&str; 6] = ["end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal"];
/// Tiers, places and speeds, as the API has them.
const USUAL_DETAILS: [&str; 7] = ["standard", "priority", "batch", "fast", "global", "us", "not_available"];
/// Tools of Claude Code, and of the API itself.
const USUAL_TOOLS: [&str; 32] = [
    "Agent",
    "AskUserQuestion",
    "Bash",
    "BashOutput",
    "Edit",
    "EnterPlanMode",
    "ExitPlanMode",
    "Glob",
    "Grep",
    "KillShell",
    "LSP",
    "MultiEdit",
    "NotebookEdit",
    "Read",
    "SendMessage",
    "Skill",
    "SlashCommand",
    "StructuredOutput",
    "Task",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskOutput",
    "TaskStop",
    "TaskUpdate",
    "TodoWrite",
    "ToolSearch",
    "WebFetch",
    "WebSearch",
    "Write",
    "web_fetch",
    "web_search",
];

/// Cleans the texts of one request.
pub(super) struct Cleaner<'r> {
    secrets: Secrets<'r>,
    /// Made when there is something to look through: most requests leave nothing but usual words.
    needles: OnceCell<Needles>,
    of_config: &'r Needles,
}

impl<'r> Cleaner<'r> {
    /// For the texts of this request.
    pub(super) fn new(request: &'r RequestHeader, of_config: &'r Needles) -> Self {
        let secrets = Secrets::of_request(&request.headers, request.raw_path());
        Self { secrets, needles: OnceCell::new(), of_config }
    }

    /// A text of any origin; `is_cut` says that it may be only the beginning of one.
    pub(super) fn text(&self, text: &str, is_cut: bool) -> String {
        let needles = self.needles.get_or_init(|| Needles::of_request(&self.secrets));
        redact::text(text, &[self.of_config, needles], is_cut).into_owned()
    }

    /// The client's own word for something: it repeats its secrets as they are, if at all.
    fn own_word(&self, text: String) -> String {
        let is_suspect = text.contains(['%', '\\']) || self.secrets.are_in(text.as_bytes());
        if is_suspect || redact::looks_like_secret(text.as_bytes()) { self.text(&text, true) } else { text }
    }

    fn word(&self, text: &mut Option<String>) {
        if let Some(text) = text.as_mut().filter(|text| !is_usual_word(text)) {
            *text = self.text(text, text.len() >= LONGEST_WORD);
        }
    }

    /// What an answer says; `model_asked` is clean.
    pub(super) fn answer(&self, answer: &mut Summary) {
        self.word(&mut answer.model);
        self.word(&mut answer.stop_reason);
        self.word(&mut answer.error);
        self.word(&mut answer.error_code);
        answer.tools = answer.tools.renamed(|name, is_cut| self.text(name, is_cut));
        answer.details.names_mut().into_iter().for_each(|name| self.word(name));
        if let Some(message) = &mut answer.error_message {
            *message = self.text(message, true);
        }
    }

    /// An error, as far as it is to be kept.
    pub(super) fn error(&self, error: ErrorText, with_body: bool) -> ErrorText {
        let body = if with_body { self.text(&error.body, true) } else { String::new() };
        let message = error.message.map(|message| self.text(&message, true));
        let (mut kind, mut code) = (error.kind, error.code);
        self.word(&mut kind);
        self.word(&mut code);
        ErrorText { body, message, kind, code, ..error }
    }

    /// The request itself.
    pub(super) fn capture(&self, capture: &mut Capture) {
        capture.head = self.text(&capture.head, false);
        capture.body = self.text(&capture.body, capture.is_cut);
    }
}

/// Whether nothing that an answer says needs a closer look.
pub(super) fn is_usual(answer: &Summary, model_asked: Option<&str>) -> bool {
    let is_model_usual = answer.model.as_deref().is_none_or(|model| is_model(model, model_asked));
    let is_reason_usual = answer.stop_reason.as_deref().is_none_or(is_usual_word);
    let are_details_usual = answer.details.names().into_iter().flatten().all(|name| is_usual_word(name));
    let are_tools_usual = answer.tools.iter().all(|(name, _)| USUAL_TOOLS.contains(&name));
    let are_words_usual = is_model_usual && is_reason_usual && are_details_usual && are_tools_usual;
    are_words_usual && answer.error.is_none() && answer.error_message.is_none()
}

/// Whether it is one of the API's own words for how a response ended and how it was made.
fn is_usual_word(word: &str) -> bool {
    USUAL_REASONS.contains(&word) || USUAL_DETAILS.contains(&word)
}

/// Whether a response's model is the one that was asked for, or that one of a certain day: `claude-haiku-4-5-20251001`.
fn is_model(model: &str, asked: Option<&str>) -> bool {
    asked.and_then(|asked| model.strip_prefix(asked)).is_some_and(|behind| match behind.as_bytes() {
        [] => true,
        // Other digits may be somebody's password.
        [b'-', b'2', b'0', b'2' | b'3', year, month @ .., d, day] => {
            let is_month = matches!(month, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']);
            let is_day = matches!([d, day], [b'0'..=b'2', b'0'..=b'9'] | [b'3', b'0' | b'1']);
            year.is_ascii_digit() && is_month && is_day
        }
        _ => false,
    })
}

/// The texts of a request that are kept of every one: few, short, and clean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// What the client calls things.
    pub client: ClientNames,
    /// The model that is asked for.
    pub model: Option<String>,
}

impl Names {
    /// Those of a request; `model` is what its body says.
    pub(crate) fn of(request: &RequestHeader, model: Option<String>, of_config: &Needles) -> Self {
        let (path, _) = gateway_core::http1::split_query(request.raw_path());
        let client = ClientNames::read(|header| named(&request.headers, header)).with_class();
        let names = Self { method: request.method.to_string(), path: path_text(path), client, model };
        let is_method_usual = USUAL_METHODS.contains(&names.method.as_str());
        let is_path_usual = USUAL_PATHS.contains(&path);
        if is_method_usual && is_path_usual && names.model.is_none() && names.client.iter().next().is_none() {
            return names;
        }
        let cleaner = Cleaner::new(request, of_config);
        let clean = |name| cleaner.own_word(name);
        let method = if is_method_usual { names.method } else { clean(names.method) };
        Self { method, path: clean(names.path), client: names.client.map(clean), model: names.model.map(clean) }
    }
}

/// A client's name for something, cut to a length that logs can bear.
fn named(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(LONGEST_NAME).collect();
    headers.get(name).map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_a_certain_day_is_the_one_that_was_asked_for() {
        let asked = Some("claude-haiku-4-5");
        assert!(is_model("claude-haiku-4-5", asked) && is_model("claude-haiku-4-5-20251001", asked));
        for other in
            ["claude-haiku-4-5-2025100", "claude-haiku-4-520251001", "claude-haiku-4-5-20251399", "claude-haiku"]
        {
            assert!(!is_model(other, asked), "{other}");
        }
        assert!(!is_model("claude-haiku-4-5", None));
    }

    #[test]
    fn a_secret_is_kept_neither_as_a_method_nor_as_a_path() {
        const KEY: &str = "sk-ant-api03-METHODSECRET0123456789";
        let names = |method: &str, path: &str| {
            let mut request = RequestHeader::build(method, path.as_bytes(), None).expect("a head");
            request.insert_header("authorization", format!("Bearer {KEY}")).expect("a field");
            let names = Names::of(&request, None, &Needles::default());
            (names.method, names.path)
        };
        let of = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        assert_eq!(names("POST", "/v1/messages"), of("POST", "/v1/messages"));
        assert_eq!(names("PROPFIND", "/x"), of("PROPFIND", "/x"));
        assert_eq!(names(KEY, "/v1/messages"), of("********", "/v1/messages"));
        assert_eq!(names("GET", &format!("/{KEY}")), of("GET", "/********"));
    }
}
