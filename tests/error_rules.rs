//! `failover.errors` and the built-in rules: what follows an upstream's error, by what it says.

use harness::{Gateway, GatewayBuilder, Pool, Received, Reply, Request, Step, Upstream, ask, gzip, named, within};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const KEYS: &str = "api_keys: [{key: sk-first-key-1, name: first}, {key: sk-second-key-2, name: second}]";
const ROUTE: &str = "routes: [{keys: sk-client, upstreams: [relay, spare]}]";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("GATEWAY_DB", "log.db")
}

/// An error as relays built on New API have it.
fn new_api(status: u16, message: &str) -> Reply {
    error(status, &json!({"error": {"type": "new_api_error", "message": message}, "type": "error"}))
}

fn error(status: u16, body: &Value) -> Reply {
    Reply::status(status).header("Content-Type", "application/json").body(body.to_string())
}

/// A relay that answers so, a spare one behind it, and a gateway with these rules.
async fn pair(
    rules: &str,
    reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (Upstream, Upstream, Gateway) {
    let (relay, spare) = (Upstream::start(reply).await, named("spare").await);
    let pool = Pool::new().add("relay", relay.url()).add_with("spare", spare.url(), "priority: 1").forgetful();
    let gateway = gateway().yaml(&pool.failover(rules).yaml()).start().await;
    (relay, spare, gateway)
}

/// What the admin API says.
async fn look(gateway: &Gateway, target: &str) -> Value {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    let response = gateway.request(&gateway.as_admin(request)).await;
    assert_eq!(response.status(), 200, "{target}: {}", response.text());
    response.json()
}

/// The newest row, once there are so many.
async fn newest_row(gateway: &Gateway, rows: usize) -> Value {
    within("the rows", async {
        loop {
            let found = look(gateway, "requests").await["requests"].clone();
            if found.as_array().is_some_and(|found| found.len() >= rows) {
                return found[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn key(request: &Received) -> String {
    request.headers.all("x-api-key").concat()
}

#[tokio::test]
async fn rules_decide_by_status_type_code_and_words_and_the_first_one_does() {
    let rules = "errors: [\
        {name: shut, match: {status: [400, 503], type: new_api_error, message: [闭店, /closed until \\d+/]}, then: next},\
        {name: told, match: {code: no_channel}, then: pass, answer: {status: 404, message: ask for another model}},\
        {name: all-else, match: {status: 418, upstream: relay}, then: next}]";
    let (relay, spare, gateway) = pair(rules, |request| {
        let told: Value = serde_json::from_slice(&request.body).expect("JSON");
        match told["case"].as_str() {
            Some("shut") => new_api(400, "今日闭店"),
            Some("regex") => new_api(503, "Closed until 18"),
            Some("told") => error(500, &json!({"error": {"code": "no_channel", "type": "x", "message": "no"}})),
            Some("teapot") => error(418, &json!({"detail": "short and stout"})),
            _ => new_api(400, "open"),
        }
    })
    .await;
    let asks = |case: &str| {
        let body = json!({"case": case, "model": "m", "max_tokens": 1, "messages": []}).to_string();
        let request = Request::post("/v1/messages", body).header("x-api-key", "sk-client");
        request.header("X-Claude-Code-Session-Id", case)
    };
    for (case, status, text) in [
        ("shut", 200, "spare"),
        ("regex", 200, "spare"),
        ("teapot", 200, "spare"),
        ("told", 404, "ask for another model"),
        ("other", 400, "open"),
    ] {
        let response = gateway.request(&asks(case)).await;
        assert_eq!(response.status(), status, "{case}: {}", response.text());
        assert!(response.text().contains(text), "{case}: {}", response.text());
    }
    assert_eq!((relay.received().len(), spare.received().len()), (5, 3));
    let replaced = gateway.request(&asks("told")).await;
    assert_eq!(replaced.json()["error"]["type"], "not_found_error", "in the API's shape");
    assert_eq!(replaced.json()["type"], "error");
    let row = newest_row(&gateway, 6).await;
    assert_eq!(
        [&row["error_rule"], &row["error_code"], &row["error_type"], &row["error_message"]],
        [&Value::from("told"), &"no_channel".into(), &"x".into(), &"no".into()]
    );
    assert_eq!((&row["status"], &row["outcome"]), (&404.into(), &"upstream_error".into()));
    let of_rule = look(&gateway, "requests?error_rule=shut").await["requests"].clone();
    assert_eq!(of_rule.as_array().expect("rows").len(), 2, "{of_rule}");
    assert_eq!(of_rule[0]["attempts"], 2);
}

#[tokio::test]
async fn the_whole_body_of_an_error_is_read_before_anything_follows_however_it_comes() {
    let word = "the shop is closed";
    let long = |at: usize| json!({"error": {"message": format!("{}{word}", " ".repeat(at))}}).to_string();
    for (what, at, is_followed, reply) in [
        ("whole", 0, true, (|body| Reply::status(400).body(body)) as fn(Vec<u8>) -> Reply),
        ("chunked", 9_000, true, |body| {
            let (first, rest) = body.split_at(4_000);
            Reply::status(400).chunked().bytes(first).step(Step::Sleep(Duration::from_millis(30))).bytes(rest)
        }),
        ("gzip", 60_000, true, |body| Reply::status(400).header("Content-Encoding", "gzip").body(gzip(&body))),
        ("60 KB", 60_000, true, |body| Reply::status(400).body(body)),
        ("more than 64 KiB", 70_000, false, |body| Reply::status(400).body(body)),
        ("much more", 1_000_000, false, |body| Reply::status(400).chunked().body(body)),
        ("until it closes", 0, true, |body| Reply::status(400).close_delimited().body(body)),
    ] {
        let body = long(at).into_bytes();
        let sent = body.clone();
        let rules = "errors: [{name: shut, match: {message: the shop is closed}, then: next}]";
        let (_relay, spare, gateway) = pair(rules, move |_| reply(sent.clone())).await;
        let response = gateway.request(&ask(1)).await;
        match is_followed {
            true => assert_eq!((response.status(), spare.received().len()), (200, 1), "{what}"),
            false => {
                assert_eq!((response.status(), spare.received().len()), (400, 0), "{what}");
                assert!(response.body == body, "{what}: {} of {} bytes", response.body.len(), body.len());
            }
        }
        // The same over HTTP/2.
        let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
        let answer = gateway.connect_h2().await.send(request, &[br#"{"model":"m","messages":[]}"#]).await;
        assert_eq!(answer.status, response.status(), "{what}");
        assert!(is_followed || answer.body == body, "{what}: over HTTP/2");
    }
}

#[tokio::test]
async fn an_error_whose_body_hangs_or_breaks_off_or_is_empty_is_decided_by_what_came() {
    let hangs = || Reply::status(503).length(500).bytes(r#"{"error":"#).step(Step::Stall);
    let (relay, spare, gateway) = pair("max_attempts: 3", move |_| hangs()).await;
    let began = Instant::now();
    assert_eq!(gateway.request(&ask(1)).await.status(), 200);
    assert!(began.elapsed() > Duration::from_secs(4), "it was waited for");
    assert_eq!((relay.received().len(), spare.received().len()), (1, 1));
    for (what, reply) in [
        ("cut", (|| Reply::status(503).length(500).bytes("{").step(Step::Close)) as fn() -> Reply),
        ("reset", || Reply::status(503).length(500).bytes("{").step(Step::Reset)),
        ("empty", || Reply::status(503)),
        ("empty chunks", || Reply::status(503).chunked()),
        ("unreadable", || Reply::status(503).header("Content-Encoding", "gzip").body("no gzip")),
    ] {
        let (relay, spare, gateway) = pair("max_attempts: 3", move |_| reply()).await;
        assert_eq!(gateway.request(&ask(1)).await.status(), 200, "{what}");
        assert_eq!((relay.received().len(), spare.received().len()), (1, 1), "{what}");
    }
    // With nobody to take over, the client is told by what status that was.
    let relay = Upstream::start(move |_| hangs()).await;
    let gateway = self::gateway().upstream(relay.url()).start().await;
    let response = gateway.request(&ask(1)).await;
    assert_eq!((response.status(), response.json()["type"].as_str()), (503, Some("error")), "{}", response.text());
}

#[tokio::test]
async fn errors_of_an_http_2_upstream_are_read_too() {
    for (what, reply) in [
        ("full", (|_: &Received| new_api(503, "当前分组上游负载已饱和")) as fn(&Received) -> Reply),
        ("empty", |_| Reply::status(503)),
    ] {
        let relay = Upstream::builder().http2().start(reply).await;
        let spare = named("spare").await;
        let pool = Pool::new().add_with("relay", relay.url(), "http: 2").add_with("spare", spare.url(), "priority: 1");
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        assert_eq!(gateway.request(&ask(1)).await.status(), 200, "{what}");
        assert_eq!((relay.received().len(), spare.received().len()), (1, 1), "{what}");
        let rule = if what == "full" { "builtin:saturated".into() } else { Value::Null };
        assert_eq!(newest_row(&gateway, 1).await["error_rule"], rule, "{what}");
    }
}

#[tokio::test]
async fn an_http_2_error_with_nothing_in_it_is_followed_by_what_a_rule_says_of_its_status() {
    for (rule, status, asked_spare) in [
        ("then: next", 200, 1),
        ("then: pass, answer: {status: 404, message: not here}", 404, 0),
        ("then: pass", 418, 0),
    ] {
        let relay = Upstream::builder().http2().start(|_| Reply::status(418)).await;
        let spare = named("spare").await;
        let pool = Pool::new().add_with("relay", relay.url(), "http: 2").add_with("spare", spare.url(), "priority: 1");
        let pool = pool.failover(&format!("errors: [{{name: tea, match: {{status: 418}}, {rule}}}]"));
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        let response = gateway.request(&ask(1)).await;
        assert_eq!(response.status(), status, "{rule}");
        assert_eq!(response.header("x-should-retry").as_deref(), (status == 404).then_some("false"), "{rule}");
        assert_eq!((relay.received().len(), spare.received().len()), (1, asked_spare), "{rule}");
    }
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_pause_has_it_though_a_rule_decides() {
    let (relay, spare, gateway) =
        pair("max_attempts: 3", |_| new_api(503, "当前分组上游负载已饱和").header("Retry-After", "60")).await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    assert_eq!((relay.received().len(), spare.received().len()), (1, 3));
}

#[tokio::test]
async fn errors_at_the_beginning_of_a_stream_and_under_status_200_are_matched_too() {
    let rules = "errors: [{name: shown, match: {status: 200, message: for the client}, then: pass}]";
    let (relay, spare, gateway) = pair(rules, |request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let message = if text.contains("client") { "this is for the client" } else { "用户额度不足" };
        let body = json!({"type": "error", "error": {"type": "new_api_error", "message": message}});
        match text.contains("stream") {
            true => Reply::sse().body(format!("event: error\ndata: {body}\n\n")),
            false => Reply::json(body.to_string()),
        }
    })
    .await;
    for (body, is_passed, rule) in [
        (r#"{"model":"client","stream":true,"messages":[]}"#, true, "shown"),
        (r#"{"model":"client","messages":[]}"#, true, "shown"),
        (r#"{"model":"m","stream":true,"messages":[]}"#, false, "builtin:quota"),
        (r#"{"model":"m","messages":[]}"#, false, "builtin:quota"),
    ] {
        let (asked, served) = (relay.received().len(), spare.received().len());
        let request = Request::post("/v1/messages", body).header("X-Claude-Code-Session-Id", body);
        let response = gateway.request(&request).await;
        assert_eq!(response.status(), 200, "{body}");
        assert_eq!(response.text().contains("for the client"), is_passed, "{body}: {}", response.text());
        // Who has sent with the client's key and was told that nothing is left goes elsewhere for a while.
        assert!(relay.received().len() <= asked + 1, "{body}");
        assert_eq!(spare.received().len(), served + usize::from(!is_passed), "{body}");
        let row = newest_row(&gateway, 1).await;
        assert!(row["error_rule"] == rule || row["attempts"] == 1, "{body}: {row}");
    }
}

#[tokio::test]
async fn what_is_no_error_of_the_key_leaves_it_alone_and_what_is_one_gives_it_a_rest_or_takes_it_out() {
    for (status, message, state, reason, asked) in [
        (429, "当前分组上游负载已饱和，请稍后再试", "ready", Value::Null, 1),
        (429, "请求体不符合要求", "ready", Value::Null, 1),
        (403, "Claude is not available in your country", "ready", Value::Null, 1),
        (429, "Extra usage is required for long context requests.", "ready", Value::Null, 1),
        (401, "bad response status code 401", "ready", Value::Null, 1),
        (403, "该令牌无权访问模型 claude-x", "ready", Value::Null, 2),
        (403, "用户额度不足, 剩余额度: ＄0.00", "resting", "quota_used_up".into(), 2),
        (401, "该令牌状态不可用", "resting", "refused".into(), 2),
        (401, "无效的令牌", "disabled", "refused".into(), 2),
    ] {
        let text = message.to_owned();
        let relay = Upstream::start(move |_| new_api(status, &text)).await;
        let spare = named("spare").await;
        let pool = Pool::new()
            .add_with("relay", relay.url(), KEYS)
            .add_with("spare", spare.url(), "api_key: sk-spare-key-3, priority: 1")
            .setting(ROUTE);
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        assert_eq!(gateway.request(&ask(1)).await.status(), 200, "{message}");
        assert_eq!((relay.received().len(), spare.received().len()), (asked, 1), "{message}");
        let keys = look(&gateway, "upstreams").await["upstreams"][0]["keys"].clone();
        assert_eq!([&keys[0]["state"], &keys[1]["state"]], [state, state], "{message}: {keys}");
        assert_eq!(keys[0]["reason"], reason, "{message}");
    }
}

#[tokio::test]
async fn a_rule_rests_a_key_or_the_upstream_and_takes_a_key_out() {
    for (rule, state, reason, open) in [
        ("then: next_key, rest: 7m", "resting", "rule", false),
        ("then: next_key, rest: 7m, of: upstream", "ready", "", true),
        ("then: next_key, disable_key: true", "disabled", "rule", false),
    ] {
        let relay = Upstream::start(|request| match key(request).as_str() {
            "sk-second-key-2" => Reply::json(r#"{"from":"second"}"#),
            _ => new_api(400, "come back later"),
        })
        .await;
        let rules = format!("errors: [{{name: later, match: {{message: come back}}, {rule}}}]");
        let keys = "api_keys: [{key: sk-first-key-1, name: first, weight: 1000}, {key: sk-second-key-2, name: second}]";
        let spare = named("spare").await;
        let pool = Pool::new()
            .add_with("relay", relay.url(), keys)
            .add_with("spare", spare.url(), "api_key: sk-spare-key-3, priority: 1")
            .setting(ROUTE)
            .failover(&rules);
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        // Almost all sessions have the first key.
        let mut session = 0;
        while !relay.received().iter().any(|request| key(request) == "sk-first-key-1") {
            assert_eq!(gateway.request(&ask(session)).await.status(), 200, "{rule}");
            session += 1;
        }
        let upstream = look(&gateway, "upstreams").await["upstreams"][0].clone();
        let first = &upstream["keys"][0];
        assert_eq!((first["state"].as_str(), first["reason"].as_str().unwrap_or_default()), (Some(state), reason));
        assert_eq!(upstream["circuit"] == "open", open, "{rule}: {upstream}");
        if reason == "rule" {
            assert_eq!(first["detail"], "later", "{first}");
        }
        assert_eq!(newest_row(&gateway, session).await["error_rule"], "later");
    }
}

#[tokio::test]
async fn a_model_that_the_relay_does_not_have_is_no_failure_of_the_relay() {
    let (relay, spare) = (
        Upstream::start(|_| new_api(503, "分组 default 下模型 m 无可用渠道（distributor）")).await,
        named("spare").await,
    );
    let pool = Pool::new()
        .add("relay", relay.url())
        .add_with("spare", spare.url(), "priority: 1")
        .setting("health: { failures: 2, open: 1h, open_max: 1h }");
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    for session in 0..6 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    assert_eq!(relay.received().len(), 6, "its circuit stays closed: other models may be there");
}

#[tokio::test]
async fn built_in_rules_can_be_switched_off_and_mistakes_are_told() {
    let too_long = |_: &Received| new_api(500, "prompt is too long: 208000 tokens > 200000 maximum");
    let (_relay, spare, gateway) = pair("max_attempts: 3", too_long).await;
    assert_eq!((gateway.request(&ask(1)).await.status(), spare.received().len()), (500, 0), "no other has more room");
    let (_relay, spare, gateway) = pair("errors_off: [prompt_too_long]", too_long).await;
    assert_eq!((gateway.request(&ask(1)).await.status(), spare.received().len()), (200, 1));
    for (setting, wanted) in [
        ("errors_off: saturatd", "did you mean \"saturated\"?"),
        ("errors: [{match: {status: 400}, then: pass}]", "the rule needs a name"),
        ("errors: [{name: a, then: pass}]", "the rule needs match"),
        ("errors: [{name: a, match: {status: 400}}]", "the rule needs then"),
        ("errors: [{name: a, match: {status: 400}, then: nxt}]", "did you mean \"next\"?"),
        ("errors: [{name: a, match: {state: 400}, then: next}]", "unknown key"),
        ("errors: [{name: a, match: {message: /(/}, then: next}]", "not a regular expression"),
        ("errors: [{name: a, match: {upstream: rely}, then: next}]", "did you mean \"relay\"?"),
        ("errors: [{name: a, match: {status: 400}, then: next, of: key}]", "the rule needs rest"),
        ("errors: [{name: a, match: {status: 400}, then: pass, answer: {status: 404}}]", "answer.message"),
    ] {
        let pool = Pool::new().add("relay", "http://127.0.0.1:9").failover(setting);
        let output = gateway_with(&pool).arg("check").run().await;
        assert!(output.stderr.contains(wanted), "{setting}: {}", output.stderr);
    }
}

fn gateway_with(pool: &Pool) -> GatewayBuilder {
    gateway().yaml(&pool.yaml())
}

#[tokio::test]
async fn a_dry_run_says_which_rule_decides() {
    let rules = "errors: [{name: shut, match: {status: 503, message: closed}, then: next, rest: 10m, \
                 answer: {message: later}}, {name: never, match: {status: 404}, then: pass}]";
    let pool = Pool::new().add("relay", "http://127.0.0.1:9").failover(rules);
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\r\n\
                {\"error\":{\"type\":\"new_api_error\",\"code\":\"x\",\"message\":\"closed for today\"}}";
    let run = async |file: &str, arguments: &[&str]| {
        let builder = gateway_with(&pool).file("answer", file).arg("explain").arg("--response").arg("answer");
        arguments.iter().fold(builder, |builder, argument| builder.arg(argument)).run().await
    };
    let told = run(head, &["--json"]).await;
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(
        [&told["status"], &told["type"], &told["code"], &told["rule"], &told["then"], &told["rest_ms"], &told["of"]],
        [
            &Value::from(503),
            &"new_api_error".into(),
            &"x".into(),
            &"shut".into(),
            &"next".into(),
            &600_000.into(),
            &"upstream".into()
        ]
    );
    assert_eq!(told["answer"], json!({"status": 503, "message": "later"}));
    let body = r#"{"error":{"message":"prompt is too long: 2 > 1"}}"#;
    let told = run(body, &["--status", "400"]).await.stdout;
    for line in ["- shut: does not hold: status", "+ builtin:prompt_too_long", "then pass"] {
        assert!(told.contains(line), "{line} is not in:\n{told}");
    }
    let quota = r#"{"error":{"message":"用户额度不足"}}"#;
    let quota = run(quota, &["--status", "429"]).await.stdout;
    assert!(quota.contains("who sent the request goes elsewhere for 10m"), "no key of several rests: {quota}");
    let odd = run(r#"{"error":"a\u001b[31mb"}"#, &["--status", "502"]).await.stdout;
    assert!(odd.contains("message: a [31mb"), "{odd:?}");
    let none = run(r#"{"error":"odd"}"#, &["--status", "502"]).await.stdout;
    assert!(none.contains("none decides") && none.contains("then next"), "{none}");
    let output = run(body, &[]).await;
    assert!(!output.status.success() && output.stderr.contains("--status"), "{}", output.stderr);
}
