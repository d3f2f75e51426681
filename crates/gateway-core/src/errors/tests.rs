use super::*;
use crate::usage::error_body::ErrorText;
use regex::bytes::Regex;
use serde_json::Value;

/// Errors as public reports and sources have them.
const PUBLIC: &str = include_str!("public.json");

/// An upstream with several keys of the operator's.
const OWN_KEYS: Where = Where { wants_retries: true, retries_status: false, has_own_key: true, has_several_keys: true };

fn told<'a>(status: u16, text: &'a ErrorText) -> Told<'a> {
    let (kind, code) = (text.kind.as_deref(), text.code.as_deref());
    Told { upstream: "relay", status, kind: kind.or(code), code: code.or(kind), message: text.message.as_deref() }
}

fn text(body: &Value) -> ErrorText {
    let bytes = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    ErrorText::whole(bytes.as_bytes())
}

#[test]
fn errors_of_the_public_have_the_rule_that_they_should() {
    let rules = built_in::rules(&[]);
    let errors: Vec<Value> = serde_json::from_str(PUBLIC).expect("JSON");
    let mut met = Vec::new();
    for error in &errors {
        let from = error["from"].as_str().expect("where it comes from");
        let status = u16::try_from(error["status"].as_u64().expect("a status")).expect("a status");
        let text = text(&error["body"]);
        let rule =
            deciding(&rules, &told(status, &text), OWN_KEYS).and_then(|rule| rule.built_in()).map(|known| known.name);
        assert_eq!(rule, error["rule"].as_str(), "{from}: {text:?}");
        met.extend(rule);
    }
    for known in &built_in::ALL {
        assert!(met.contains(&known.name) && known.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    }
}

#[test]
fn what_a_client_wrote_and_an_error_repeats_gives_no_key_a_rest() {
    let rules = built_in::rules(&[]);
    let echo = "insufficient balance, this organization has been disabled, too many requests from this ip, 请求数限制";
    for (status, message) in [
        (400, format!("tool_choice.tool.name: Tool '{echo}' not found in provided tools")),
        (400, format!("Unexpected value(s) `{echo}` for the `anthropic-beta` header")),
        (404, format!("model: {echo}")),
        (404, format!("The model `{echo}` does not exist")),
        (413, format!("Request exceeds the maximum size: {echo}")),
        (422, format!("Field required: {echo}")),
        (500, format!("cannot read the request: {}{echo}, 无效的令牌, 令牌状态不可用", "messages ".repeat(200))),
        (403, format!("{{\"detail\": [{{\"input\": \"{}{echo} invalid token", "messages ".repeat(200))),
    ] {
        let error = text(&serde_json::json!({"error": {"type": "invalid_request_error", "message": message}}));
        let decides = deciding(&rules, &told(status, &error), OWN_KEYS);
        assert!(decides.is_none_or(|rule| rule.rest.is_none() && !rule.disable_key), "{status} {message}: {decides:?}");
    }
}

#[test]
fn what_the_built_in_rules_do_stays_as_it_is() {
    let told = built_in::rules(&[]).into_iter().map(|rule| {
        let rest = rule.rest.map(|rest| format!(" {}s {:?}", rest.as_secs(), rule.of.expect("of what")));
        let disable = if rule.disable_key { " disable" } else { "" };
        format!("{} {}{}{disable}", rule.name.trim_start_matches(BUILT_IN), rule.then.name(), rest.unwrap_or_default())
    });
    let pinned = [
        "prompt_too_long pass",
        "blocked_content pass",
        "shape_refused next",
        "long_context next",
        "model_missing next",
        "model_forbidden next_key",
        "country next",
        "address_limited next 60s Upstream",
        "concurrency next_key 5s Key",
        "relay_account next",
        "key_status next_key 600s Key",
        "organization_disabled next_key 600s Key",
        "quota next_key 600s Key",
        "key_disabled next_key disable",
        "request_limit next_key 60s Key",
        "saturated next",
        "pool_closed next",
    ];
    assert_eq!(told.collect::<Vec<_>>(), pinned);
}

#[test]
fn a_rule_that_is_off_leaves_its_errors_to_the_others() {
    let error = text(&serde_json::json!({"error": {"message": "上游负载压力太大", "type": "new_api_error"}}));
    let names = |off| deciding(&built_in::rules(off), &told(503, &error), OWN_KEYS).map(|rule| rule.name.to_string());
    assert_eq!(names(&[]).as_deref(), Some("builtin:saturated"));
    assert_eq!(names(&["saturated"]).as_deref(), Some("builtin:pool_closed"));
    assert_eq!(names(&["saturated", "pool_closed"]), None);
}

#[test]
fn all_that_a_rule_asks_has_to_hold() {
    let when = When {
        statuses: vec![400..=499, 503..=503],
        kinds: vec!["New_API_Error".to_owned()],
        codes: vec!["no_channel".to_owned()],
        messages: vec![Words::Text("闭店".to_owned()), Words::Regex(Regex::new("(?i)closed until \\d+").expect("one"))],
        upstreams: vec!["relay".to_owned()],
    };
    let good = Told {
        upstream: "relay",
        status: 503,
        kind: Some("new_api_error"),
        code: Some("NO_CHANNEL"),
        message: Some("Closed until 18"),
    };
    for (told, unmet) in [
        (good, None),
        (Told { status: 404, message: Some("今日闭店"), ..good }, None),
        (Told { upstream: "other", ..good }, Some(Unmet::Upstream)),
        (Told { status: 500, ..good }, Some(Unmet::Status)),
        (Told { kind: None, ..good }, Some(Unmet::Type)),
        (Told { code: Some("else"), ..good }, Some(Unmet::Code)),
        (Told { message: Some("closed"), ..good }, Some(Unmet::Message)),
        (Told { message: None, ..good }, Some(Unmet::Message)),
    ] {
        assert_eq!(when.first_unmet(&told), unmet, "{told:?}");
    }
    assert_eq!(When::default().first_unmet(&Told::default()), None, "who asks nothing takes all");
}

#[test]
fn what_is_said_of_the_clients_own_key_is_for_the_client_and_who_wants_no_retries_gets_none() {
    let is_wanted = |name: &str, status, there| {
        let known = built_in::ALL.iter().find(|known| known.name == name).expect("a rule");
        known.is_wanted(status, there)
    };
    let clients = Where { has_own_key: false, has_several_keys: false, ..OWN_KEYS };
    let one_key = Where { has_several_keys: false, ..OWN_KEYS };
    let no_retries = |there| Where { wants_retries: false, retries_status: false, ..there };
    for (name, status, there, wanted) in [
        ("quota", 403, OWN_KEYS, true),
        ("quota", 403, one_key, true),
        ("quota", 403, clients, false),
        ("quota", 429, Where { retries_status: true, ..clients }, true),
        ("quota", 200, clients, true),
        ("quota", 403, no_retries(OWN_KEYS), true),
        ("quota", 403, no_retries(one_key), false),
        ("saturated", 503, clients, true),
        ("saturated", 503, no_retries(OWN_KEYS), false),
        ("prompt_too_long", 500, no_retries(clients), true),
    ] {
        assert_eq!(is_wanted(name, status, there), wanted, "{name} {status} {there:?}");
    }
}
