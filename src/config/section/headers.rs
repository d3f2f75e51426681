//! The file of headers that override those of each request (`env/.env.headers.json`).

use crate::config::source::bounds;
use crate::config::source::json_text::{self, JsonText, Member};
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
    /// Where that stands.
    pub at: Source,
}

/// The text of the file at `path`; no file means no text.
///
/// # Errors
/// When it is there, but cannot be read.
pub(crate) fn read(path: &str) -> Result<String, Box<Problem>> {
    match crate::config::source::text_file::read(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            let what = Message::CannotBeRead { said: error.to_string() };
            Err(Box::new(Problem::unreadable(path, &error, what)))
        }
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
    let json = JsonText::new(path, text);
    let at = |at: Source, what: Message| Problem { at, key: String::new(), what };
    if text.len() > bounds::TEXT_BYTES {
        let what = Message::TextTooLong { bytes: text.len() as u64, most: bounds::TEXT_BYTES as u64 };
        return Err(vec![at(json.place(json.whole()), what)]);
    }
    let members = json
        .members(json.whole())
        .map_err(|wrong| vec![at(wrong.at, Message::HeadersExpected { said: wrong.said })])?;
    if let Err(what) = bounds::count(members.len(), bounds::HEADERS) {
        return Err(vec![Problem { key: "headers".to_owned(), ..at(json.place(json.whole()), what) }]);
    }
    let mut headers: Vec<CustomHeader> = Vec::new();
    let mut problems = Vec::new();
    let members = members.into_iter().filter(|member| !member.name.starts_with("__"));
    for member in last_of_each(json, members, warnings) {
        if let Err(what) = check_name(&member.name, &headers) {
            problems.push(at(json.place_of_name(&member), what));
            continue;
        }
        let name = || member.name.clone().into_owned();
        match check_value(&member.name, member.value) {
            Ok((value, was_cut)) => {
                if was_cut {
                    warnings.push(at(json.place(member.value), Message::HeaderBlanksCut { name: name() }));
                }
                let at = json.place(member.value);
                headers.push(CustomHeader { name: name(), value: Secret::new(value), at });
            }
            Err(what) => problems.push(at(json.place(member.value), what)),
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

/// As JSON is read elsewhere, of members with the same name the last one counts; what it replaces is told.
fn last_of_each<'t>(
    json: JsonText<'t>,
    members: impl Iterator<Item = Member<'t>>,
    warnings: &mut Vec<Problem>,
) -> Vec<Member<'t>> {
    let mut kept: Vec<Member<'t>> = Vec::new();
    for member in members {
        let Some(former) = kept.iter_mut().find(|former| former.name == member.name) else {
            kept.push(member);
            continue;
        };
        let (name, first) = (member.name.clone().into_owned(), json.line_of(former.value) as u64);
        let what = Message::KeyTwice { name, first };
        warnings.push(Problem { at: json.place_of_name(&member), key: String::new(), what });
        *former = member;
    }
    kept
}

/// Whether there can be one more header of this name.
fn check_name(name: &str, before: &[CustomHeader]) -> Result<(), Message> {
    if !is_token(name.as_bytes()) {
        return Err(Message::NotAHeaderName { name: name.to_owned() });
    }
    refuse_name(name)?;
    match before.iter().any(|header| header.name.eq_ignore_ascii_case(name)) {
        true => Err(Message::HeaderTwice { name: name.to_owned() }),
        false => Ok(()),
    }
}

/// The value of a header, and whether something around it was cut off.
fn check_value(name: &str, value: &str) -> Result<(String, bool), Message> {
    let own = || name.to_owned();
    let written = json_text::string(value).ok_or_else(|| Message::HeaderNotText { name: own() })?;
    let value = value::bare(&written);
    if !is_field_value(value.as_bytes()) {
        return Err(Message::HeaderControls { name: own() });
    }
    if name.eq_ignore_ascii_case("host") && !gateway_core::http1::is_host(value.as_bytes()) {
        return Err(Message::HeaderHost);
    }
    Ok((value.to_owned(), value.len() < written.len()))
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
        assert_eq!(shown, [("X-App", "cli"), ("User-Agent", "中")]);
        let warned: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(matches!(&warned[..], [one] if one.starts_with("h:1:24: ") && one.contains("\"X-App\"")), "{warned:?}");
        assert_eq!(parse("h", " ", &mut warnings).expect("empty"), []);
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_one_counts() {
        let mut warnings = Vec::new();
        let headers = parse("h", "{\"X-App\": \"a\",\n \"X-App\": \"b\"}", &mut warnings).expect("valid");
        let shown: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
        assert_eq!(shown, [("X-App", "b")]);
        let warned: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let wanted = "h:2:2: \"X-App\" is there already, in line 1";
        assert!(matches!(&warned[..], [one] if one.starts_with(wanted)), "{warned:?}");
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
