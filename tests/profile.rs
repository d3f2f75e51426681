//! `profile: anyrouter` makes a request one that AnyRouter takes; `profile: none` makes it nothing else than it was.

use harness::anthropic::{self, Demand, Options};
use harness::fixtures::{self, Fixture};
use harness::{Framing, Gateway, GatewayBuilder, Received, Reply, Request, Response, Upstream};
use serde_json::{Value, json};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A mock that refuses what AnyRouter refuses, and a gateway with the profile; `more` are lines of the upstream's entry.
async fn with_profile(more: &str) -> (Upstream, Gateway) {
    let options = Options { strict_anyrouter: true, ..Options::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let url = upstream.url();
    let more: String = more.lines().map(|line| format!("      {line}\n")).collect();
    let yaml =
        format!("gateway:\n  upstreams:\n    - name: mock\n      base_url: {url}\n      profile: anyrouter\n{more}");
    (upstream, gateway().yaml(&yaml).start().await)
}

/// The demands that the latest request does not meet.
fn unmet(upstream: &Upstream) -> Vec<Demand> {
    let got = upstream.last();
    anthropic::anyrouter_refusals(&got, &serde_json::from_slice(&got.body).unwrap_or_default())
}

/// A fixture with another body.
fn with_body(fixture: &Fixture, body: impl Into<Vec<u8>>) -> Fixture {
    let body = body.into();
    let old = format!("Content-Length: {}\r\n", fixture.body.len());
    let head = String::from_utf8(fixture.head.clone()).expect("a head in UTF-8");
    assert!(head.contains(&old), "{head}");
    let head = head.replace(&old, &format!("Content-Length: {}\r\n", body.len())).into_bytes();
    Fixture { name: fixture.name.clone(), head, body }
}

/// A fixture with another line in its head.
fn with_line(fixture: &Fixture, old: &str, new: &str) -> Fixture {
    let head = String::from_utf8(fixture.head.clone()).expect("a head in UTF-8");
    assert!(head.contains(old), "{old} is not in {head}");
    Fixture { head: head.replacen(old, new, 1).into_bytes(), ..fixture.clone() }
}

async fn send(gateway: &Gateway, fixture: &Fixture) -> Response {
    gateway.exchange(fixture.bytes(), "POST").await
}

async fn assert_taken(upstream: &Upstream, gateway: &Gateway, fixture: &Fixture) {
    let answer = send(gateway, fixture).await;
    assert_eq!(answer.status(), 200, "{}: {}", fixture.name, answer.text());
    assert_eq!(unmet(upstream), [], "{}", fixture.name);
    let got = upstream.last();
    assert_eq!(got.framing, Framing::Length(got.body.len() as u64), "{}", fixture.name);
}

async fn assert_refused(upstream: &Upstream, gateway: &Gateway, fixture: &Fixture, demands: &[Demand], why: &str) {
    let answer = send(gateway, fixture).await;
    let (status, kind, message) = demands[0].refusal();
    assert_eq!(answer.status(), status, "{why}: {}", answer.text());
    assert_eq!((&answer.json()["error"]["type"], &answer.json()["error"]["message"]), (&json!(kind), &json!(message)));
    assert_eq!(unmet(upstream), demands, "{why}");
}

/// The fixtures for `/v1/messages`.
fn messages() -> Vec<Fixture> {
    let fixtures: Vec<Fixture> =
        fixtures::all().into_iter().filter(|fixture| fixture.target().starts_with("/v1/messages?")).collect();
    assert!(fixtures.len() >= 7, "{} fixtures", fixtures.len());
    fixtures
}

/// The span of the value of `system` in a compact body.
fn system_span(body: &str) -> std::ops::Range<usize> {
    let start = body.find("\"system\":").expect("a system prompt") + "\"system\":".len();
    let mut values = serde_json::Deserializer::from_str(&body[start..]).into_iter::<Value>();
    values.next().expect("a value").expect("a value");
    start..start + values.byte_offset()
}

#[tokio::test]
async fn without_the_profile_most_fixtures_are_refused() {
    let options = Options { strict_anyrouter: true, ..Options::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    for fixture in messages() {
        assert_ne!(send(&gateway, &fixture).await.status(), 200, "{}", fixture.name);
        assert!(unmet(&upstream).contains(&Demand::NoForwardedFor), "{}", fixture.name);
    }
}

#[tokio::test]
async fn each_fixture_passes_with_its_own_body() {
    let (upstream, gateway) = with_profile("").await;
    for fixture in fixtures::all() {
        assert_taken(&upstream, &gateway, &fixture).await;
        assert!(upstream.last().body == fixture.body, "{}: the body needs no change", fixture.name);
        assert_eq!(upstream.last().headers.all("authorization"), ["Bearer sk-test-0000"], "{}", fixture.name);
    }
}

#[tokio::test]
async fn each_fixture_passes_with_a_system_of_every_kind() {
    const IDENTITY: &str = "You are Claude Code, Anthropic's official CLI for Claude.";
    let (upstream, gateway) = with_profile("").await;
    for fixture in messages() {
        let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
        let span = system_span(&body);
        let (before, after) = (&body[..span.start], &body[span.end..]);
        let key_at = before.len() - ",\"system\":".len();
        let ours = format!(r#"{{"type":"text","text":{}}}"#, json!(IDENTITY));
        let theirs = r#"{"type":"text","text":"Be \u00e9brief."}"#;
        // What stands for `system`, and what arrives in its place; `*` is the inserted block.
        let rows = [
            (r#""Be \u00e9brief.""#.to_owned(), format!("[*{theirs}]")),
            (format!(r#""{IDENTITY} More.""#), format!(r#"[{{"type":"text","text":"{IDENTITY} More."}}]"#)),
            (r#""""#.to_owned(), format!("[{ours}]")),
            ("null".to_owned(), format!("[{ours}]")),
            ("[]".to_owned(), format!("[{ours}]")),
            (format!("[{theirs}]"), format!("[*{theirs}]")),
            (
                format!(r#"[{{"type":"text","text":"x-anthropic-billing-header: a"}},{theirs}]"#),
                format!(r#"[{{"type":"text","text":"x-anthropic-billing-header: a"}},*{theirs}]"#),
            ),
        ];
        for (sent, wanted) in rows {
            assert_taken(&upstream, &gateway, &with_body(&fixture, format!("{before}{sent}{after}"))).await;
            let got = String::from_utf8(upstream.last().body.clone()).expect("UTF-8");
            let (head, tail) = wanted.split_once('*').unwrap_or((&wanted, ""));
            assert!(got.starts_with(&format!("{before}{head}")), "{sent}: {}", &got[before.len()..]);
            assert!(got.ends_with(&format!("{tail}{after}")), "{sent}");
            if wanted.contains('*') {
                let inserted = &got[before.len() + head.len()..got.len() - after.len() - tail.len()];
                let inserted: Value = serde_json::from_str(inserted.trim_end_matches(',')).expect("a block");
                assert_eq!((&inserted["type"], &inserted["text"]), (&json!("text"), &json!(IDENTITY)));
            }
        }
        // None at all.
        let absent = format!("{}{after}", &before[..key_at]);
        assert_taken(&upstream, &gateway, &with_body(&fixture, absent.clone())).await;
        let got: Value = serde_json::from_slice(&upstream.last().body).expect("JSON");
        assert_eq!(got["system"], json!([{"type": "text", "text": IDENTITY}]));
        assert!(upstream.last().body.starts_with(&absent.as_bytes()[..absent.len() - 1]));
    }
}

#[tokio::test]
async fn a_prompt_of_the_environment_does_not_take_the_identity_away() {
    let options = Options { strict_anyrouter: true, ..Options::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let yaml = format!("gateway:\n  upstreams: [{{name: mock, base_url: '{}', profile: anyrouter}}]\n", upstream.url());
    let gateway = gateway().yaml(&yaml).env("SYSTEM_PROMPT_REPLACEMENT", "Be brief.").start().await;
    for fixture in messages() {
        assert_taken(&upstream, &gateway, &fixture).await;
        let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
        let span = system_span(&body);
        for system in [r#""Theirs.""#, r#"[{"type":"text","text":"Theirs."}]"#, "[]", "null"] {
            let sent = format!("{}{system}{}", &body[..span.start], &body[span.end..]);
            assert_taken(&upstream, &gateway, &with_body(&fixture, sent)).await;
        }
    }
}

#[tokio::test]
async fn heads_of_every_kind_pass() {
    let (upstream, gateway) = with_profile("").await;
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    let key = "x-api-key: sk-test-0000\r\n";
    let beta = fixture.fields().into_iter().find(|(name, _)| name == "anthropic-beta").expect("flags").1;
    let beta_line = format!("anthropic-beta: {beta}\r\n");
    let rows = [
        (key, "Authorization: Bearer sk-test-0000\r\n".to_owned()),
        (key, "authorization: Bearer sk-test-0000\r\nX-Api-Key: sk-test-0000\r\n".to_owned()),
        (key, format!("{key}X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\n")),
        ("?beta=true", String::new()),
        ("?beta=true", "?".to_owned()),
        ("?beta=true", "?beta=false&a=b".to_owned()),
        ("?beta=true", "?beta=true&beta=true".to_owned()),
        ("?beta=true", "?a&beta".to_owned()),
        ("/v1/messages?beta=true", "/v1/messages/".to_owned()),
        (&beta_line, String::new()),
        (&beta_line, "anthropic-beta: \r\n".to_owned()),
        (&beta_line, "anthropic-beta: a\r\nAnthropic-Beta: b , claude-code-20250219\r\n".to_owned()),
        (&beta_line, "anthropic-beta: context-1m-2025-08-07,a\r\n".to_owned()),
    ];
    for (old, new) in rows {
        let changed = with_line(&fixture, old, &new);
        assert_taken(&upstream, &gateway, &changed).await;
        assert_eq!(upstream.last().headers.all("authorization"), ["Bearer sk-test-0000"], "{new}");
    }
    // Flags keep their order, and what was there stays in front.
    send(&gateway, &fixture).await;
    assert_eq!(upstream.last().headers.all("anthropic-beta"), [format!("{beta},context-1m-2025-08-07")]);
}

#[tokio::test]
async fn the_long_context_is_asked_of_the_models_of_the_list() {
    let (upstream, gateway) = with_profile("").await;
    for (name, has_it) in [("cli-2.0.76-subagent", false), ("sdk-cli-authtoken-sonnet", true)] {
        let fixture = fixtures::named(name);
        assert_taken(&upstream, &gateway, &fixture).await;
        let flags = upstream.last().headers.all("anthropic-beta").join(",");
        assert_eq!(flags.contains("context-1m-2025-08-07"), has_it, "{name}: {flags}");
    }
    let (upstream, gateway) = with_profile("profile_rules: {anyrouter.beta-1m: off}").await;
    let fixture = fixtures::named("cli-2.0.76-subagent");
    assert_taken(&upstream, &gateway, &fixture).await;
    // What a client asks for itself is its own affair.
    let (upstream, gateway) = with_profile("").await;
    let asking = with_line(&fixture, "anthropic-beta: ", "anthropic-beta: context-1m-2025-08-07,");
    assert_refused(&upstream, &gateway, &asking, &[Demand::NoLongContextFlag], "haiku").await;
    assert_eq!(send(&gateway, &asking).await.status(), 520);
}

/// The flags that a model's request goes out with, and its model.
async fn sent_as(upstream: &Upstream, gateway: &Gateway, model: &str, beta: &str) -> (String, String) {
    let body = format!("{{\"model\":\"{model}\",\"messages\":[]}}");
    let request = Request::post("/v1/messages/count_tokens", body).header("anthropic-beta", beta);
    gateway.request(&request).await;
    let sent: serde_json::Value = serde_json::from_slice(&upstream.last().body).expect("JSON");
    (upstream.last().headers.all("anthropic-beta").join(","), sent["model"].as_str().expect("a model").to_owned())
}

#[tokio::test]
async fn which_models_get_the_flag_is_said_per_upstream_and_shown_by_check() {
    const FLAG: &str = "context-1m-2025-08-07";
    let upstream = Upstream::start(|_| Reply::json("{\"input_tokens\":1}")).await;
    let yaml = |more: &str| {
        format!("gateway:\n  upstreams: [{{name: mock, base_url: '{}', profile: anyrouter{more}}}]\n", upstream.url())
    };
    for (more, shown, cases) in [
        (
            "",
            "long context at upstream mock for: *fable*, *mythos*, *opus*, *sonnet*",
            [("claude-opus-5-5", true), ("claude-fable-5-1", true), ("claude-haiku-5-5", false), ("gpt-6", false)],
        ),
        (
            ", long_context: [\"gpt-*\", \"*haiku-6*\"]",
            "long context at upstream mock for: gpt-*, *haiku-6*",
            [("claude-opus-5-5", false), ("claude-haiku-6", true), ("claude-haiku-5-5", false), ("gpt-6", true)],
        ),
        (
            ", long_context: \"*\"",
            "long context at upstream mock for: *",
            [("claude-opus-5-5", true), ("claude-haiku-6", true), ("claude-haiku-5-5", true), ("gpt-6", true)],
        ),
    ] {
        let gateway = gateway().yaml(&yaml(more)).start().await;
        for (model, has_it) in cases {
            let (flags, _) = sent_as(&upstream, &gateway, model, "a").await;
            let count = flags.split(',').filter(|flag| *flag == FLAG).count();
            assert_eq!(count, usize::from(has_it), "{more} {model}: {flags}");
            let (flags, _) = sent_as(&upstream, &gateway, model, FLAG).await;
            assert_eq!(flags.matches(FLAG).count(), 1, "never twice: {flags}");
        }
        let output = self::gateway().yaml(&yaml(more)).arg("check").run().await;
        assert!(output.stdout.lines().any(|line| line == shown), "{shown}: {}", output.stdout);
    }
    for (more, wanted) in [(", long_context: []", "empty"), (", profile: none, long_context: a", "profile: anyrouter")]
    {
        let yaml = yaml(more).replacen(", profile: anyrouter,", ",", usize::from(more.contains("none")));
        let output = gateway().yaml(&yaml).arg("check").run().await;
        assert!(output.status.code() != Some(0) && output.stderr.contains(wanted), "{more}: {}", output.stderr);
    }
}

#[tokio::test]
async fn a_suffix_for_the_long_context_becomes_the_flag() {
    let upstream = Upstream::start(|_| Reply::json("{\"input_tokens\":1}")).await;
    let yaml = format!("gateway:\n  upstreams: [{{name: mock, base_url: '{}', profile: anyrouter}}]\n", upstream.url());
    let gateway = gateway().yaml(&yaml).start().await;
    for (model, plain, has_it) in [
        ("claude-opus-5-5[1m]", "claude-opus-5-5", true),
        ("claude-haiku-5-5[1m]", "claude-haiku-5-5", true),
        ("claude-opus-5-5[1M]", "claude-opus-5-5", true),
        ("claude-haiku-5-5", "claude-haiku-5-5", false),
        ("claude-haiku-5-5[2m]", "claude-haiku-5-5[2m]", false),
    ] {
        let (flags, sent) = sent_as(&upstream, &gateway, model, "a").await;
        assert_eq!((sent.as_str(), flags.contains("context-1m-2025-08-07")), (plain, has_it), "{model}: {flags}");
        assert_eq!(flags.matches("context-1m-2025-08-07").count(), usize::from(has_it), "{flags}");
    }
    let (upstream, gateway) = with_profile("").await;
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
    let model =
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON")["model"].as_str().expect("one").to_owned();
    let suffixed = body.replacen(&format!("\"model\":\"{model}\""), &format!("\"model\":\"{model}[1m]\""), 1);
    assert_taken(&upstream, &gateway, &with_body(&fixture, suffixed)).await;
}

#[tokio::test]
async fn without_a_rule_exactly_its_demand_is_unmet() {
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
    let span = system_span(&body);
    let with_system =
        |system: &str| with_body(&fixture, format!("{}{system}{}", &body[..span.start], &body[span.end..]));
    let no_flag = with_line(&fixture, "anthropic-beta: claude-code-20250219,", "anthropic-beta: ");
    let identity = r#""You are Claude Code, Anthropic's official CLI for Claude.""#;
    let rows = [
        ("bearer", fixture.clone(), vec![Demand::Bearer, Demand::KeyOnce]),
        ("no-forwarded-for", fixture.clone(), vec![Demand::NoForwardedFor]),
        ("beta-query", with_line(&fixture, "?beta=true", ""), vec![Demand::BetaQuery]),
        ("beta-flags", no_flag, vec![Demand::ClaudeCodeFlag]),
        ("beta-1m", fixture.clone(), vec![Demand::LongContextFlag]),
        ("system-list", with_system(identity), vec![Demand::SystemList]),
        ("identity", with_system(r#"[{"type":"text","text":"Be brief."}]"#), vec![Demand::Identity]),
        ("identity", with_system(r#""Be brief.""#), vec![Demand::Identity]),
    ];
    for (rule, fixture, demands) in rows {
        let (upstream, gateway) = with_profile(&format!("profile_rules: {{anyrouter.{rule}: off}}")).await;
        assert_refused(&upstream, &gateway, &fixture, &demands, rule).await;
        // And with it, none.
        let (upstream, gateway) = with_profile("").await;
        assert_taken(&upstream, &gateway, &fixture).await;
    }
}

#[tokio::test]
async fn compact_is_off_unless_it_is_switched_on() {
    for fixture in messages() {
        let value: Value = serde_json::from_slice(&fixture.body).expect("JSON");
        let pretty = with_body(&fixture, serde_json::to_vec_pretty(&value).expect("JSON"));
        let (upstream, gateway) = with_profile("").await;
        assert_refused(&upstream, &gateway, &pretty, &[Demand::Compact], "off").await;
        assert!(upstream.last().body == pretty.body, "blanks stay");
        let (upstream, gateway) = with_profile("profile_rules: {anyrouter.compact: on}").await;
        assert_taken(&upstream, &gateway, &pretty).await;
        let got: Value = serde_json::from_slice(&upstream.last().body).expect("JSON");
        assert!(got == value, "{}: compacting keeps the value", fixture.name);
    }
}

#[tokio::test]
async fn a_user_id_is_never_invented() {
    let (upstream, gateway) = with_profile("profile_rules: {anyrouter.compact: on}").await;
    for fixture in messages() {
        let mut value: Value = serde_json::from_slice(&fixture.body).expect("JSON");
        for metadata in [None, Some(json!({})), Some(json!({"user_id": null}))] {
            match metadata {
                Some(metadata) => value["metadata"] = metadata,
                None => drop(value.as_object_mut().expect("an object").remove("metadata")),
            }
            let changed = with_body(&fixture, value.to_string());
            assert_refused(&upstream, &gateway, &changed, &[Demand::UserId], &fixture.name).await;
            assert!(upstream.last().body == changed.body, "{}: the body is the client's", fixture.name);
        }
    }
}

#[tokio::test]
async fn slashes_too_many_are_taken_out() {
    let (upstream, gateway) = with_profile("").await;
    for path in ["//v1/messages", "/v1//messages", "///v1///messages"] {
        for fixture in fixtures::all().iter().filter(|fixture| fixture.target().starts_with("/v1/messages?")) {
            let fixture = with_line(fixture, "POST /v1/messages?", &format!("POST {path}?"));
            assert_taken(&upstream, &gateway, &fixture).await;
            assert!(upstream.last().target.starts_with("/v1/messages?"), "{}", upstream.last().target);
        }
    }
}

#[tokio::test]
async fn http_2_clients_pass_too() {
    let (upstream, gateway) = with_profile("").await;
    let client = gateway.connect_h2().await;
    for fixture in messages() {
        let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
        let span = system_span(&body);
        for body in [body.clone(), format!("{}\"Be brief.\"{}", &body[..span.start], &body[span.end..])] {
            let mut request = http::Request::post(format!("http://gateway.test{}", fixture.target()));
            for (name, value) in fixture.fields() {
                if !["host", "connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                    request = request.header(name, value);
                }
            }
            let answer = client.send(request.body(()).expect("a request"), &[body.as_bytes()]).await;
            assert_eq!(answer.status, 200, "{}: {}", fixture.name, answer.text());
            assert_eq!(unmet(&upstream), [], "{}", fixture.name);
        }
    }
}

#[tokio::test]
async fn what_is_no_message_gets_the_key_and_nothing_else() {
    let (upstream, gateway) = with_profile("").await;
    let request = Request::get("/v1/models?limit=1000").header("x-api-key", "sk-1").header("anthropic-beta", "a");
    assert_eq!(gateway.request(&request).await.status(), 200);
    let got = upstream.last();
    assert_eq!(
        (got.target.as_str(), got.headers.all("anthropic-beta")),
        ("/v1/models?limit=1000", vec!["a".to_owned()])
    );
    assert_eq!(got.headers.all("authorization"), ["Bearer sk-1"]);
    assert!(!got.headers.has("x-api-key") && !got.headers.has("x-forwarded-for"));
    assert_eq!(gateway.request(&Request::new("HEAD", "/")).await.status(), 200);
    assert!(!upstream.last().headers.has("authorization"), "no key is made up");
}

/// The lines of a head but those that the gateway may set, in one order.
fn lines(raw_head: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw_head).into_owned();
    let is_ours = |line: &str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        ["host", "x-forwarded-for", "connection", "keep-alive"].contains(&name.as_str())
    };
    let mut lines: Vec<String> = text.split("\r\n").filter(|line| !is_ours(line)).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn assert_same_bytes(fixture: &Fixture, got: &Received) {
    assert_eq!(lines(&got.raw_head), lines(&fixture.head), "{}", fixture.name);
    assert!(got.body == fixture.body, "{}: the body differs", fixture.name);
}

#[tokio::test]
async fn profile_none_sends_the_very_bytes_that_came() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!("gateway:\n  upstreams:\n    - base_url: {}\n      profile: none\n", upstream.url());
    let gateway = gateway().yaml(&yaml).start().await;
    let odd = fixtures::named("count-tokens");
    let pretty: Value = serde_json::from_slice(&odd.body).expect("JSON");
    let mut all = fixtures::all();
    all.push(with_body(&odd, serde_json::to_vec_pretty(&pretty).expect("JSON")));
    all.push(with_body(&odd, b"{\"system\":\"a\", \"model\" : 1e5, \"bad\":\"\xff\"}".to_vec()));
    all.push(with_line(&odd, "x-app: cli\r\n", "x-App: cli\r\nx-app:  two  \r\nX-Empty:\r\nanthropic-BETA: a\r\n"));
    for fixture in &all {
        assert_eq!(send(&gateway, fixture).await.status(), 200, "{}", fixture.name);
        let got = upstream.last();
        if fixture.head.windows(5).any(|part| part == b"two  ") {
            // Blanks around a value are no part of it.
            assert_eq!(got.headers.all("x-app"), ["cli", "two"]);
            continue;
        }
        assert_same_bytes(fixture, &got);
        assert_eq!(got.headers.all("host"), [upstream.addr().to_string()]);
        assert_eq!(got.headers.all("x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test]
async fn rules_that_do_not_match_change_no_byte_either() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let rules: String = (0..50)
        .map(|n| {
            format!(
                "    - name: r{n}\n      match: {{model: other-{n}, path: /v1/*}}\n      headers: {{set: {{X-A: b}}}}\n      \
                body: {{compact: true}}\n"
            )
        })
        .collect();
    let gateway = gateway().upstream(upstream.url()).yaml(&format!("gateway:\n  rules:\n{rules}")).start().await;
    for fixture in fixtures::all() {
        assert_eq!(send(&gateway, &fixture).await.status(), 200, "{}", fixture.name);
        assert_same_bytes(&fixture, &upstream.last());
    }
}

// --- findings: not as it should be yet -----------------------------------------------------------------------------

#[tokio::test]
async fn an_inserted_identity_adds_no_fifth_cache_control() {
    let (upstream, gateway) = with_profile("").await;
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    let control = json!({"type": "ephemeral"});
    let text = |text: &str| json!({"type": "text", "text": text, "cache_control": control});
    let body = json!({
        "model": "claude-opus-5-5", "max_tokens": 1, "metadata": {"user_id": "u"},
        "messages": [{"role": "user", "content": [text("a")]}],
        "system": [text("Be brief."), text("Be kind.")],
        "tools": [{"name": "t", "input_schema": {"type": "object"}, "cache_control": control}],
    });
    assert_taken(&upstream, &gateway, &with_body(&fixture, body.to_string())).await;
}

#[tokio::test]

async fn doubled_keys_pass_too() {
    let mut wrong = Vec::new();
    let (upstream, gateway) = with_profile("").await;
    let fixture = fixtures::named("sdk-cli-2.1.330-turn1");
    let key = "x-api-key: sk-test-0000\r\n";
    for new in [
        "Authorization: Bearer sk-test-0000\r\nAuthorization: Bearer sk-test-0000\r\n",
        "Authorization: Basic abc\r\nx-api-key: sk-test-0000\r\n",
        "Authorization: sk-test-0000\r\n",
        "Authorization: bearer sk-test-0000\r\n",
        "x-api-key: sk-test-0000\r\nx-api-key: sk-test-0000\r\n",
    ] {
        send(&gateway, &with_line(&fixture, key, new)).await;
        if !unmet(&upstream).is_empty() {
            wrong.push(format!("{new:?}: {:?} {:?}", unmet(&upstream), upstream.last().headers.all("authorization")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
