//! Errors in the shapes in which APIs and relays send them: whether a JSON value says that something failed, and what
//! it says of it.

use super::summary::{LONGEST_WORD, text, word};
use serde_json::Value;

/// What an error says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Its type, or its code.
    pub kind: Option<String>,
    /// Its code.
    pub code: Option<String>,
    /// Its message: all of it, however long.
    pub message: Option<String>,
}

/// Longest message that is looked at.
const LONGEST_TEXT: usize = 64 * 1024;

/// Where relays put an error's text beside `error`: whether or not something failed, and never in a good reply alone.
const MESSAGES: [&str; 3] = ["message", "msg", "detail"];
/// The same, where the name itself says that something failed.
const ERROR_MESSAGES: [&str; 9] = [
    "error_description",
    "error_message",
    "errorMessage",
    "error_msg",
    "errmsg",
    "errMsg",
    "err_msg",
    "err",
    "exception",
];
/// Numbers that are not 0 when something failed.
const ERROR_CODES: [&str; 7] = ["error_code", "errorCode", "errcode", "err_code", "errno", "ret", "retcode"];
/// Members that hold a code or a word which tells success too.
const CODES: [&str; 4] = ["code", "status", "status_code", "statusCode"];
/// Envelopes in which some relays put what they say of themselves.
const ENVELOPES: [&str; 4] = ["base_resp", "response", "Response", "header"];

/// What an error says that is an error for sure, be it by its status.
pub(super) fn of_error(value: &Value) -> Said {
    let value = first(value);
    let error = match &value["error"] {
        Value::Null => ["errors", "Error"].into_iter().map(|name| first(&value[name])).find(|error| is_told(error)),
        error => Some(first(error)),
    };
    let error = error.unwrap_or(&Value::Null);
    let beside = MESSAGES.iter().chain(&ERROR_MESSAGES).find_map(|name| message(&value[*name]));
    let within = [&error["message"], &error["msg"], &error["detail"]].into_iter().find_map(message);
    let own_type = word(&value["type"]).filter(|kind| kind != "error" && !kind.is_empty());
    let kind = [&error["type"], &error["code"], &error["status"]].into_iter().find_map(code).or(own_type);
    // A word with a text beside it is the kind of the error: as OAuth has it.
    let (kind, within) = match (error.as_str(), &beside) {
        (Some(error), Some(_)) if is_word(error) => (kind.or_else(|| code(&value["error"])), None),
        // A title with a sentence beside it.
        (Some(title), Some(text)) if within.is_none() && !title.trim().is_empty() && title != text => {
            (kind, Some(format!("{title}: {text}")))
        }
        _ => (kind, within.or_else(|| message(error))),
    };
    let beside_code = || CODES.iter().chain(&ERROR_CODES).find_map(|name| code(&value[*name]));
    let own_code = [&error["code"], &error["status"]].into_iter().find_map(code).or_else(beside_code);
    let kind = kind.or_else(beside_code);
    let said = Said { kind, code: own_code, message: within.or(beside) };
    match ENVELOPES.iter().map(|name| &value[*name]).find(|inner| inner.is_object()) {
        Some(inner) if said == Said::default() => {
            let status_message = message(&inner["status_msg"]);
            let inner = of_error(inner);
            Said { message: inner.message.or(status_message), ..inner }
        }
        _ => said,
    }
}

/// What is wrong, if a value that came as a success says that something is.
pub(super) fn in_success(value: &Value) -> Option<Said> {
    says_failed(first(value)).then(|| of_error(value))
}

/// The same of an event that no API knows by this name: relays tell of queues, states and bills in such, so only what
/// is called an error is one. An event without a name may be an error as a reply is, but for a text alone.
pub(super) fn in_event(name: &[u8], value: &Value) -> Option<Said> {
    let value = first(value);
    let has_text = || MESSAGES.iter().chain(&ERROR_MESSAGES).any(|name| message(&value[*name]).is_some());
    let is_error = has_error(value) || name.is_empty() && has_text() && says_failed_otherwise(value);
    is_error.then(|| of_error(value))
}

fn has_error(value: &Value) -> bool {
    value["type"] == "error" || ["error", "errors", "Error"].iter().any(|name| is_told(&value[*name]))
}

fn says_failed(value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    if has_error(value) || says_failed_otherwise(value) {
        return true;
    }
    // A text that nothing calls a success, and that comes with nothing else of worth.
    let says_good = ["success", "ok", "code", "status"].iter().any(|name| is_told(&value[*name]) || value[*name] == 0);
    let has_text = MESSAGES.iter().any(|name| message(&value[*name]).is_some());
    has_text && !says_good && members.keys().all(|name| is_of_error(name))
}

/// Whether a flag, a code, or the name of a member says that something failed.
fn says_failed_otherwise(value: &Value) -> bool {
    if ["success", "ok", "Success"].iter().any(|name| is_no(&value[*name])) {
        return true;
    }
    if CODES.iter().any(|name| is_failure_code(&value[*name])) || ERROR_CODES.iter().any(|name| is_code(&value[*name]))
    {
        return true;
    }
    if ERROR_MESSAGES.iter().any(|name| message(&value[*name]).is_some()) {
        return true;
    }
    ENVELOPES.iter().any(|name| says_failed(&value[*name]))
}

/// Whether a member is one that errors have.
fn is_of_error(name: &str) -> bool {
    const OTHERS: [&str; 9] =
        ["data", "request_id", "requestId", "trace_id", "timestamp", "path", "type", "title", "instance"];
    MESSAGES.contains(&name) || OTHERS.contains(&name)
}

/// The first of a list; else the value itself.
fn first(value: &Value) -> &Value {
    value.as_array().and_then(|list| list.first()).unwrap_or(value)
}

/// Whether a member is there and says something.
fn is_told(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Object(_) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(is_yes) => !is_yes,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// Whether a code is there that is not 0.
fn is_code(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim(), "" | "0"),
        _ => false,
    }
}

/// Whether a code, a status, or a word for one, is no success.
fn is_failure_code(value: &Value) -> bool {
    let is_failure = |code: f64| code != 0.0 && !(200.0..300.0).contains(&code);
    match value {
        Value::Number(number) => number.as_f64().is_some_and(is_failure),
        Value::String(text) => {
            let word = text.trim().to_ascii_lowercase();
            let says_so = || ["error", "fail", "denied"].iter().any(|part| word.contains(part));
            word.parse().map_or_else(|_| says_so(), is_failure)
        }
        Value::Bool(is_good) => !is_good,
        _ => false,
    }
}

/// A text that is a name rather than a sentence.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_WORD
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// A type or a code: a word, or a number.
fn code(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        _ => word(value).filter(|word| !word.trim().is_empty()),
    }
}

/// A message: a text, or the first of a list of what is wrong, as FastAPI has it.
fn message(value: &Value) -> Option<String> {
    let value = first(value);
    let own = text(value, LONGEST_TEXT).filter(|text| !text.trim().is_empty());
    own.or_else(|| ["message", "msg", "reason"].into_iter().find_map(|name| text(&value[name], LONGEST_TEXT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (bool, Option<String>, Option<String>) {
        let value: Value = serde_json::from_str(json).expect("JSON");
        let said = of_error(&value);
        (in_success(&value).is_some(), said.kind, said.message)
    }

    #[test]
    fn errors_are_told_in_every_shape() {
        for (json, kind, message) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#, "overloaded_error", "later"),
            (
                r#"{"error":{"message":"no quota","type":"new_api_error","code":"insufficient_user_quota"}}"#,
                "new_api_error",
                "no quota",
            ),
            (
                r#"{"error":{"message":"no quota","type":"","code":"insufficient_user_quota"}}"#,
                "insufficient_user_quota",
                "no quota",
            ),
            (r#"{"error":{"message":"busy","code":503}}"#, "503", "busy"),
            (r#"{"error":{"code":429,"message":"out","status":"RESOURCE_EXHAUSTED"}}"#, "429", "out"),
            (r#"[{"error":{"code":429,"message":"out"}}]"#, "429", "out"),
            (r#"{"error":"rate limited"}"#, "", "rate limited"),
            (r#"{"error":"invalid_token","error_description":"expired"}"#, "invalid_token", "expired"),
            (r#"{"error":"unavailable"}"#, "", "unavailable"),
            (r#"{"error":{}}"#, "", ""),
            (r#"{"error":true,"message":"no"}"#, "", "no"),
            (r#"{"success":false,"message":"not logged in"}"#, "", "not logged in"),
            (r#"{"ok":false}"#, "", ""),
            (r#"{"code":500,"msg":"internal error","data":null}"#, "500", "internal error"),
            (r#"{"code":"1113","message":"余额不足"}"#, "1113", "余额不足"),
            (r#"{"status":"error","message":"no"}"#, "error", "no"),
            (r#"{"status":503,"title":"Unavailable","detail":"busy"}"#, "503", "busy"),
            (r#"{"errcode":40001,"errmsg":"bad"}"#, "40001", "bad"),
            (r#"{"errors":[{"message":"first"},{"message":"second"}]}"#, "", "first"),
            (r#"{"detail":"Decode server is overloaded"}"#, "", "Decode server is overloaded"),
            (r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#, "", "field required"),
            (r#"{"message":"please log in"}"#, "", "please log in"),
            (r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#, "1004", "login fail"),
            (r#"{"type":"rate_limit_error","message":"slow down"}"#, "rate_limit_error", "slow down"),
        ] {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            assert_eq!(read(json), (true, some(kind), some(message)), "{json}");
        }
    }

    #[test]
    fn what_does_not_say_that_it_failed_is_no_error() {
        for json in [
            r#"{"ok":true}"#,
            r#"{"from":"a"}"#,
            r#"{"success":true,"message":"fine"}"#,
            r#"{"code":0,"msg":"ok","data":{}}"#,
            r#"{"code":200,"message":"OK"}"#,
            r#"{"error":null,"id":"x"}"#,
            r#"{"error":false}"#,
            r#"{"error":""}"#,
            r#"{"errors":[]}"#,
            r#"{"status":"ok","message":"up"}"#,
            r#"{"input_tokens":9}"#,
            "null",
            "[]",
            "{}",
            "1",
            r#""text""#,
        ] {
            assert!(!read(json).0, "{json}");
        }
    }
}
