//! The file of headers that override those of each request (`env/.env.headers.json`).

use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::problem::{Problem, Source};
use crate::config::source::secret::Secret;
use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::value;
use gateway_core::http1::{is_field_value, is_token};

settings! {
    HEADERS_FILE: String = Setting::one(
        "gateway.headers_file",
        "env/.env.headers.json",
        value::text,
        "JSON file of headers that override those of each request.",
        "请求头 JSON 文件，其中的请求头会覆盖每个请求的同名项。",
    )
    .panel(Panel::Never);
}

/// Fields that say how a message is delimited or that belong to one connection: nobody may set them from outside.
const REFUSED: [&str; 12] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
];

/// One header to set on every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CustomHeader {
    /// Field name, in the case that HTTP/1.1 upstreams are to see.
    pub name: String,
    /// Field value; it may be a key.
    pub value: Secret,
}

/// The text of the file at `path`; no file means no text.
///
/// # Errors
/// When it is there, but cannot be read.
pub(crate) fn read(path: &str) -> Result<String, Message> {
    match crate::config::source::text_file::read(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Message::CannotBeRead { said: error.to_string() }),
    }
}

/// The headers of a text that stands at `path`; an empty one has none. What is valid, but hardly meant, goes to
/// `warnings`.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn parse(path: &str, text: &str, warnings: &mut Vec<Problem>) -> Result<Vec<CustomHeader>, Vec<Problem>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if text.len() > bounds::TEXT_BYTES {
        let what = Message::TextTooLong { bytes: text.len() as u64, most: bounds::TEXT_BYTES as u64 };
        return Err(vec![Problem::of_file(path, what)]);
    }
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        let at = Source::File { path: path.to_owned(), line: error.line(), column: error.column() };
        let what = Message::HeadersExpected { said: error.to_string() };
        vec![Problem { at, key: String::new(), what }]
    })?;
    if let Err(what) = bounds::count(members.len(), bounds::HEADERS) {
        return Err(vec![Problem { key: "headers".to_owned(), ..Problem::of_file(path, what) }]);
    }
    let mut headers: Vec<CustomHeader> = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in members {
        if name.starts_with("__") {
            continue;
        }
        match check(&name, &value, &headers) {
            Ok((value, was_cut)) => {
                if was_cut {
                    let what = Message::HeaderBlanksCut { name: name.clone() };
                    warnings.push(Problem { at: place_of(path, text, &name), key: String::new(), what });
                }
                headers.push(CustomHeader { name, value: Secret::new(value) });
            }
            Err(what) => problems.push(Problem { at: place_of(path, text, &name), key: String::new(), what }),
        }
    }
    if problems.is_empty() { Ok(headers) } else { Err(problems) }
}

/// Whether a header of this name may be set from outside.
///
/// # Errors
/// For the names that say how a message is delimited, or that belong to one connection.
pub(crate) fn refuse_name(name: &str) -> Result<(), Message> {
    match REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
        true => Err(Message::HeaderRefused { name: name.to_owned() }),
        false => Ok(()),
    }
}

/// The value of a header, and whether something around it was cut off.
fn check(name: &str, value: &serde_json::Value, before: &[CustomHeader]) -> Result<(String, bool), Message> {
    let own = || name.to_owned();
    if !is_token(name.as_bytes()) {
        return Err(Message::NotAHeaderName { name: own() });
    }
    refuse_name(name)?;
    if before.iter().any(|header| header.name.eq_ignore_ascii_case(name)) {
        return Err(Message::HeaderTwice { name: own() });
    }
    let written = value.as_str().ok_or_else(|| Message::HeaderNotText { name: own() })?;
    let value = value::bare(written);
    if !is_field_value(value.as_bytes()) {
        return Err(Message::HeaderControls { name: own() });
    }
    if name.eq_ignore_ascii_case("host") && !gateway_core::http1::is_host(value.as_bytes()) {
        return Err(Message::HeaderHost);
    }
    Ok((value.to_owned(), value.len() < written.len()))
}

/// Where a member's name stands in the file, as far as a search can tell.
fn place_of(path: &str, text: &str, name: &str) -> Source {
    let quoted = serde_json::Value::from(name).to_string();
    match text.find(&quoted) {
        Some(at) => {
            let before = &text[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            Source::File { path: path.to_owned(), line, column }
        }
        None => Source::WholeFile(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_skipped_and_case_is_kept() {
        let mut warnings = Vec::new();
        let text = r#"{"__note": 1, "X-App": "cli\n", "User-Agent": "中"}"#;
        let headers = parse("h", text, &mut warnings).expect("valid");
        let shown: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
        assert_eq!(shown, [("User-Agent", "中"), ("X-App", "cli")]);
        let warned: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(matches!(&warned[..], [one] if one.starts_with("h:1:15: ") && one.contains("\"X-App\"")), "{warned:?}");
        assert_eq!(parse("h", " ", &mut warnings).expect("empty"), []);
    }

    #[test]
    fn every_bad_header_is_named_with_its_place() {
        let text = "{\n  \"content-LENGTH\": \"1\",\n  \"a b\": \"x\",\n  \"X\": 1,\n  \"Y\": \"a\\nb\",\n \"Host\": \"a b\", \"A\":\"1\", \"a\":\"2\"}";
        let problems = parse("h.json", text, &mut Vec::new()).expect_err("bad");
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 6, "{shown:#?}");
        assert!(shown.iter().any(|p| p.starts_with("h.json:2:3: \"content-LENGTH\" may not be set")), "{shown:#?}");
        assert!(parse("h.json", "[1]", &mut Vec::new()).expect_err("bad")[0].to_string().starts_with("h.json:1:"));
    }
}
