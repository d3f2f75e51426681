//! Whose fault it is when an upstream refuses a request: its own, the request's, or the key's; and what does not
//! matter for messages.

use harness::{
    Client, Gateway, GatewayBuilder, Pool, Port, Received, Reply, Request, Step, Upstream, anthropic, ask, failing,
    named,
};
use serde_json::Value;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn with(pool: Pool) -> Gateway {
    gateway().yaml(&pool.yaml()).start().await
}

/// Opens after three failures in a row; many retries are allowed, and every refusal is tried elsewhere.
fn sensitive() -> Pool {
    Pool::new()
        .setting("health: { failures: 3, window: 30s, min_requests: 1000, open: 1m }")
        .generous()
        .failover("retry_on: \"400, 404, 413, 422, 429, 500-504, 520-524, 529\"")
}

/// The state of an upstream as the admin API tells it.
async fn state_of(gateway: &Gateway, name: &str) -> Value {
    let request = gateway.as_admin(Request::get("/api/admin/upstreams"));
    let upstreams = Client::connect(gateway.admin_addr()).await.request(&request).await.json();
    let upstreams = upstreams["upstreams"].as_array().cloned().unwrap_or_default();
    upstreams.into_iter().find(|upstream| upstream["name"] == name).expect("an upstream of this name")
}

/// Circuit, failures in a row, and failures at all.
async fn health_of(gateway: &Gateway, name: &str) -> (String, u64, u64) {
    let state = state_of(gateway, name).await;
    let number = |name: &str| state[name].as_u64().expect("a number");
    (state["circuit"].as_str().unwrap_or_default().to_owned(), number("failures_in_a_row"), number("bad"))
}

fn closed(failures_in_a_row: u64, bad: u64) -> (String, u64, u64) {
    ("closed".to_owned(), failures_in_a_row, bad)
}

fn error(status: u16, kind: &str, message: &str) -> Reply {
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"{message}\"}}}}");
    Reply::status(status).header("Content-Type", "application/json").body(body)
}

fn message() -> Reply {
    Reply::json(r#"{"type":"message","content":[]}"#)
}

/// Refuses the sessions whose names begin with `odd`, and serves the others.
fn picky(status: u16, kind: &'static str, text: &'static str) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    move |request| {
        let session = request.headers.get("x-claude-code-session-id").unwrap_or_default();
        if session.starts_with("odd") { error(status, kind, text) } else { message() }
    }
}

const REFUSALS: [(u16, &str, &str); 8] = [
    (400, "invalid_request_error", "max_tokens: too large"),
    (404, "not_found_error", "no such thing"),
    (413, "request_too_large", "too large"),
    (422, "", "detail"),
    (429, "new_api_error", "invalid claude code request"),
    (500, "new_api_error", "x"),
    (500, "", "invalid claude code request"),
    (500, "api_error", "Cannot read properties of undefined (reading 'map')"),
];

#[tokio::test]
async fn what_all_upstreams_refuse_is_the_requests_own_fault() {
    for (status, kind, text) in REFUSALS {
        let what = format!("{status} {kind} {text}");
        let (a, b) =
            (Upstream::start(picky(status, kind, text)).await, Upstream::start(picky(status, kind, text)).await);
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        // Several clients with the same mistake are no reason either.
        for request in 0..8 {
            let outcome = gateway.request(&ask(format!("odd-{}", request % 2))).await.outcome();
            assert_eq!(outcome, format!("{status} b 2"), "{what}");
        }
        for name in ["a", "b"] {
            assert_eq!(health_of(&gateway, name).await, closed(0, 0), "{what}: {name}");
        }
        assert_eq!(gateway.request(&ask("another")).await.outcome(), "200 a 1", "{what}: others do not notice");
    }
}

#[tokio::test]
async fn upstreams_that_refuse_in_other_words_are_not_taken_from_other_sessions() {
    let a = Upstream::start(picky(500, "new_api_error", "x")).await;
    let b = Upstream::start(picky(400, "invalid_request_error", "no")).await;
    let pool = Pool::new().setting("health: { failures: 3, open: 1m }").generous();
    let gateway = with(pool.add("a", a.url()).add("b", b.url())).await;
    for _ in 0..6 {
        assert_eq!(gateway.request(&ask("odd")).await.outcome(), "400 b 2");
    }
    for name in ["a", "b"] {
        assert_eq!(health_of(&gateway, name).await.0, "closed", "{name}");
    }
    assert_eq!(gateway.request(&ask("another")).await.outcome(), "200 a 1");
}

#[tokio::test]
async fn what_one_refuses_and_another_serves_speaks_against_that_one() {
    for (status, kind, text) in REFUSALS.into_iter().filter(|(status, ..)| *status != 429) {
        let a = Upstream::start(picky(status, kind, text)).await;
        let b = named("b").await;
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        assert_eq!(gateway.request(&ask("odd")).await.outcome(), "200 b 2", "{status} {kind}");
        assert_eq!(health_of(&gateway, "a").await, closed(1, 1), "{status} {kind}");
        assert_eq!(gateway.request(&ask("odd")).await.outcome(), "200 b 1", "{status} {kind}: the session moved");
    }
}

#[tokio::test]
async fn outages_count_whoever_else_has_them() {
    for status in [502, 503, 504, 520, 521, 522, 523, 524, 529] {
        let down = move |_: &_| error(status, "new_api_error", "invalid claude code request");
        let (a, b) = (Upstream::start(down).await, Upstream::start(down).await);
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        for _ in 0..3 {
            assert_eq!(gateway.request(&ask("one")).await.outcome(), format!("{status} b 2"));
        }
        for name in ["a", "b"] {
            assert_eq!(health_of(&gateway, name).await.0, "open", "{status}: {name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_only_one_upstream_could_give_needs_a_second_session() {
    for (status, kind, text) in REFUSALS.into_iter().filter(|(status, ..)| *status != 429) {
        let what = format!("{status} {kind} {text}");
        let a = Upstream::start(picky(status, kind, text)).await;
        let b = named("b").await;
        let pool = sensitive().failover("max_attempts: 1").add("a", a.url()).add("b", b.url());
        let gateway = with(pool).await;
        for _ in 0..6 {
            assert_eq!(gateway.request(&ask("odd-1")).await.outcome(), format!("{status} a 1"), "{what}");
        }
        assert_eq!(health_of(&gateway, "a").await.0, "closed", "{what}: one session may be at fault itself");
        assert_eq!(gateway.request(&ask("odd-2")).await.outcome(), format!("{status} a 1"), "{what}");
        assert_eq!(health_of(&gateway, "a").await.0, "open", "{what}: two are no accident");
    }
}

#[tokio::test]
async fn a_refusal_that_there_was_no_budget_to_ask_another_about_counts_for_nothing() {
    let a = Upstream::start(picky(500, "new_api_error", "x")).await;
    let b = named("b").await;
    let pool =
        Pool::new().setting("health: { failures: 3, open: 1m }").failover("retry_budget: 0%, retry_budget_min: 0");
    let gateway = with(pool.add("a", a.url()).add("b", b.url())).await;
    for request in 0..8 {
        assert_eq!(gateway.request(&ask(format!("odd-{}", request % 2))).await.outcome(), "500 a 1");
    }
    assert_eq!(health_of(&gateway, "a").await, closed(0, 0));
}

#[tokio::test]
async fn a_500_that_is_none_of_these_counts_at_once() {
    for (kind, text) in [("api_error", "Internal server error"), ("new_api_error", "当前负载已经达到上限"), ("", "")]
    {
        let a = Upstream::start(move |_| error(500, kind, text)).await;
        let b = Upstream::start(move |_| error(500, kind, text)).await;
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        for _ in 0..3 {
            assert_eq!(gateway.request(&ask("one")).await.outcome(), "500 b 2", "{text}");
        }
        for name in ["a", "b"] {
            assert_eq!(health_of(&gateway, name).await.0, "open", "{text}: {name}");
        }
    }
}

/// What Claude Code can do without.
const OPTIONAL: [(&str, &str); 7] = [
    ("POST", "/v1/messages/count_tokens?beta=true"),
    ("GET", "/v1/models?limit=1000"),
    ("GET", "/v1/models/claude-opus-4-8"),
    ("HEAD", "/"),
    ("POST", "/api/event_logging/batch"),
    ("GET", "/api/hello"),
    ("POST", "/v1/messages/batches"),
];

fn optional(method: &str, target: &str) -> Request {
    let request = if method == "POST" { Request::post(target, "{}") } else { Request::new(method, target) };
    request.header("x-api-key", "sk-client").header("X-Claude-Code-Session-Id", "one")
}

#[tokio::test]
async fn statuses_of_what_is_no_model_call_change_nothing_for_messages() {
    for status in [401, 404, 405, 429, 500, 501, 503, 529] {
        let only_messages = move |request: &Received| match request.target.as_str() {
            "/v1/messages" => message(),
            _ => error(status, "new_api_error", "not implemented").header("Retry-After", "60"),
        };
        let a = Upstream::start(only_messages).await;
        let b = Upstream::start(only_messages).await;
        let c = named("c").await;
        let pool = Pool::new().setting("health: { failures: 3, open: 1m }").generous();
        let gateway = with(pool.add("a", a.url()).add("b", b.url()).add("c", c.url())).await;
        for (method, target) in OPTIONAL {
            for _ in 0..4 {
                gateway.request(&optional(method, target)).await;
            }
            assert_eq!(gateway.request(&ask("one")).await.outcome(), "200 a 1", "{status} for {method} {target}");
        }
        for name in ["a", "b", "c"] {
            assert_eq!(health_of(&gateway, name).await.0, "closed", "{status}: {name}");
        }
    }
}

#[tokio::test]
async fn connections_that_fail_count_whatever_was_asked() {
    let (port, good) = (Port::free(), named("good").await);
    let pool = Pool::new().setting("health: { failures: 3, open: 1m }").generous();
    let gateway = with(pool.add("dead", format!("http://{}", port.addr())).add("good", good.url())).await;
    for (method, target) in &OPTIONAL[..3] {
        assert_eq!(gateway.request(&optional(method, target)).await.outcome(), "200 good 2", "{method} {target}");
    }
    assert_eq!(health_of(&gateway, "dead").await.0, "open");
    assert_eq!(gateway.request(&ask("one")).await.outcome(), "200 good 1");
}

#[tokio::test]
async fn a_good_answer_to_something_else_is_no_success_of_messages() {
    let events = anthropic::events("claude-opus-4-8");
    let a = Upstream::start(move |request| match request.target.as_str() {
        "/v1/messages" => Reply::sse().bytes(events[0].as_str()).bytes(events[1].as_str()).step(Step::Close),
        _ => Reply::json(r#"{"input_tokens":9}"#),
    })
    .await;
    let good = named("good").await;
    let pool = Pool::new().setting("health: { failures: 3, open: 1m }").generous();
    let gateway = with(pool.add("a", a.url()).add("good", good.url())).await;
    for _ in 0..3 {
        let _ = gateway.connect().await.try_request(&ask("one")).await;
        let counted = gateway.request(&optional("POST", "/v1/messages/count_tokens")).await;
        assert_eq!(counted.status(), 200);
    }
    assert_eq!(health_of(&gateway, "a").await.0, "open");
    assert_eq!(gateway.request(&ask("one")).await.outcome(), "200 good 1");
}

#[tokio::test]
async fn an_upstream_that_refuses_the_operators_key_is_passed_over() {
    for status in [401, 402, 403] {
        let a = Upstream::start(move |_| failing(status, "a")).await;
        let b = named("b").await;
        let own = |pool: Pool| pool.add_with("a", a.url(), "api_key: sk-own-a");
        let gateway = with(own(sensitive()).add_with("b", b.url(), "api_key: sk-own-b").setting(
            "routes:\n  - { keys: [sk-client], upstreams: [a, b] }\n  - { keys: [sk-alone], upstreams: [a] }",
        ))
        .await;
        assert_eq!(gateway.request(&ask("one")).await.outcome(), "200 b 2", "{status}");
        assert_eq!(health_of(&gateway, "a").await, closed(1, 1), "{status}: it is refused to all");
        let none = own(Pool::new().generous().failover("retry_on: none")).add_with("b", b.url(), "api_key: sk-own-b");
        let none = with(none.setting("routes:\n  - { keys: [sk-client], upstreams: [a, b] }")).await;
        assert_eq!(none.request(&ask("one")).await.outcome(), format!("{status} a 1"), "retry_on: none");
        let alone = Request::post("/v1/messages", "{}").header("x-api-key", "sk-alone");
        assert_eq!(gateway.request(&alone).await.outcome(), format!("{status} a 1"), "there is no other");
    }
}

#[tokio::test]
async fn a_refusal_of_the_clients_own_key_goes_to_the_client_and_blames_nobody() {
    for status in [401, 402, 403] {
        let a = Upstream::start(move |_| failing(status, "a")).await;
        let b = named("b").await;
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        for _ in 0..4 {
            assert_eq!(gateway.request(&ask("one")).await.outcome(), format!("{status} a 1"));
        }
        assert_eq!(health_of(&gateway, "a").await, closed(0, 0), "{status}");
    }
}

#[tokio::test]
async fn an_error_that_a_stream_begins_with_is_blamed_as_its_status_would_be() {
    for (kind, is_blamed) in
        [("invalid_request_error", false), ("request_too_large", false), ("overloaded_error", true)]
    {
        let refuse = move |request: &Received| match request.headers.get("x-claude-code-session-id").as_deref() {
            Some("odd") => Reply::sse().bytes(format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"no\"}}}}\n\n"
            )),
            _ => message(),
        };
        let (a, b) = (Upstream::start(refuse).await, Upstream::start(refuse).await);
        let gateway = with(sensitive().add("a", a.url()).add("b", b.url())).await;
        for _ in 0..3 {
            assert_eq!(gateway.request(&ask("odd")).await.outcome(), "200 b 2", "{kind}");
        }
        for name in ["a", "b"] {
            let (circuit, in_a_row, bad) = health_of(&gateway, name).await;
            let wanted = if is_blamed { ("open", 3, 3) } else { ("closed", 0, 0) };
            assert_eq!((circuit.as_str(), in_a_row, bad), wanted, "{kind}: {name}");
        }
    }
}
