//! What the audit has of changes by the API that are none of the team: that keeper notes its own.

use super::call::Call;
use super::parts::Parts;
use crate::team::{Actor, Noted};
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// What the audit calls what names nothing: costs made anew.
const COSTS: &str = "costs";

/// Most of a target, and of what was asked, that is noted.
const MOST_BYTES: usize = 200;

/// How the audit calls what a method does to a path of this template; `None` for what changes nothing, and for what is noted
/// with more than that.
pub(super) fn action(method: &Method, template: &str) -> Option<&'static str> {
    Some(match (method.as_str(), template) {
        ("POST", "upstreams/{name}/drain") => "upstream.drain",
        ("POST", "upstreams/{name}/enable") => "upstream.enable",
        ("POST", "upstreams/{name}/test") => "upstream.test",
        ("POST", "upstreams/{name}/keys/{key}/rest") => "key.rest",
        ("POST", "upstreams/{name}/keys/{key}/wake") => "key.wake",
        ("POST", "sessions/{id}/capture") => "capture.begin",
        ("DELETE", "sessions/{id}/capture") => "capture.end",
        ("POST", "recost") => "recost.begin",
        ("DELETE", "recost") => "recost.stop",
        ("POST", "notify/test") => "notify.test",
        _ => return None,
    })
}

/// Notes that somebody did this to what the path names.
pub(super) async fn done(parts: &Parts, call: &Call, action: &'static str) {
    let names = [&call.named, &call.within].map(String::as_str);
    let named = names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/");
    // What these are asked with has no secrets, and says what was wanted.
    let asked = || serde_json::from_slice::<Value>(&call.body).ok();
    let (target, after) = match action {
        "notify.test" => {
            (asked().and_then(|asked| Some(asked["target"].as_str()?.to_owned())).unwrap_or_default(), None)
        }
        "key.rest" | "recost.begin" if call.body.len() <= MOST_BYTES => (named, asked()),
        _ => (named, None),
    };
    let target = if target.is_empty() && action != "notify.test" { COSTS.to_owned() } else { target };
    note(parts, call, Noted { action, target: cut(target), before: None, after }).await;
}

/// A target as it is noted: whoever may change something chooses how long it is.
fn cut(mut target: String) -> String {
    target.truncate(target.floor_char_boundary(MOST_BYTES));
    target
}

/// Notes a change of the configuration, if it is one.
pub(super) async fn configuration(
    parts: &Parts,
    call: &Call,
    action: &'static str,
    (before, after): (String, String),
    changed: Vec<String>,
) {
    if before == after && changed.is_empty() {
        return;
    }
    let version =
        |version: String| Some(Value::from(serde_json::Map::from_iter([("version".to_owned(), version.into())])));
    let mut now = version(after);
    if let Some(Value::Object(now)) = &mut now {
        now.insert("changed".to_owned(), changed.into());
    }
    note(parts, call, Noted { action, target: "config".to_owned(), before: version(before), after: now }).await;
}

async fn note(parts: &Parts, call: &Call, noted: Noted) {
    let (keeper, actor) = (Arc::clone(&parts.team), Actor { name: call.caller.name.clone(), address: call.client });
    // It writes a file.
    let noted = tokio::task::spawn_blocking(move || keeper.note(&actor, &noted)).await;
    if let Err(error) = noted {
        log::warn!("a row of the audit was not written: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_noted_up_to_200_bytes_and_to_a_whole_character() {
        for (target, bytes) in [("x".repeat(200), 200), ("x".repeat(201), 200), ("é".repeat(150), 200)] {
            assert_eq!(cut(target.clone()).len(), bytes, "{target}");
        }
        assert_eq!(cut(format!("x{}", "é".repeat(150))), format!("x{}", "é".repeat(99)));
        assert_eq!(cut(String::new()), "");
    }
}
