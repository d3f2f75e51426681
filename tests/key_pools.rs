//! Several keys of one upstream: which one a request goes out with, and what becomes of one that is used up or refused.

use std::collections::{HashMap, HashSet};

use harness::{
    Client, Gateway, GatewayBuilder, Pool, Received, Reply, Request, Response, Upstream, anthropic, ask, failing,
    metrics, within,
};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KEYS: &str = "api_keys: [{key: sk-first-key-1, name: first}, {key: sk-second-key-2, name: second}, \
                    {key: sk-third-key-3, name: third}]";
const ROUTE: &str = "routes: [{keys: sk-client, upstreams: [relay]}]";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// What the admin API says.
async fn look(gateway: &Gateway, target: &str) -> Value {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    let response = gateway.request(&gateway.as_admin(request)).await;
    assert_eq!(response.status(), 200, "{target}: {}", response.text());
    assert!(!response.text().contains("-key-"), "{target} shows a key: {}", response.text());
    response.json()
}

/// What it says to a change.
async fn change(gateway: &Gateway, target: &str, body: &str) -> Response {
    let request = Request::post(&format!("/api/admin/{target}"), body).header("Host", "127.0.0.1");
    gateway.request(&gateway.as_admin(request.header("Content-Type", "application/json"))).await
}

/// The sums of the request log by the upstream's key, once it has so many requests: name and number.
async fn sums_by_key(gateway: &Gateway, requests: u64) -> Vec<(Option<String>, u64)> {
    within("the rows", async {
        loop {
            let sums = look(gateway, "stats/groups?by=upstream_key").await;
            let groups = sums["groups"].as_array().expect("groups").iter();
            let groups: Vec<_> = groups
                .map(|group| (group["name"].as_str().map(str::to_owned), group["requests"].as_u64().expect("a number")))
                .collect();
            if groups.iter().map(|(_, requests)| requests).sum::<u64>() >= requests {
                return groups;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn key(request: &Received) -> String {
    request.headers.all("x-api-key").concat()
}

/// A relay that answers by the key that it gets, and tells whose request it was.
async fn relay(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request| answer(&key(request))).await
}

fn good(key: &str) -> Reply {
    Reply::json(format!("{{\"from\":\"{key}\"}}"))
}

fn limited(seconds: Option<u32>) -> Reply {
    let reply = failing(429, "relay");
    match seconds {
        Some(seconds) => reply.header("Retry-After", seconds.to_string()),
        None => reply,
    }
}

/// The keys that the requests of each session went out with and got an answer, in order; those without one are left out.
fn keys_of_sessions(relay: &Upstream, is_good: impl Fn(&str) -> bool) -> HashMap<String, Vec<String>> {
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    for request in relay.received() {
        let session = request.headers.all("x-claude-code-session-id").concat();
        let key = key(&request);
        if is_good(&key) {
            keys.entry(session).or_default().push(key);
        }
    }
    keys
}

#[tokio::test]
async fn of_three_keys_one_is_used_up_and_one_disabled_and_no_client_notices() {
    let relay = relay(|key| match key {
        "sk-first-key-1" => limited(Some(600)),
        "sk-second-key-2" => failing(401, "relay"),
        key => good(key),
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let pool = Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE);
    let database = folder.path().join("log.db").display().to_string();
    let gateway = gateway().yaml(&pool.yaml()).env("GATEWAY_DB", &database).start().await;
    let mut client = gateway.connect().await;
    for turn in 0..3 {
        for session in 0..200 {
            assert_eq!(client.request(&ask(session)).await.status(), 200, "session {session}, turn {turn}");
        }
    }
    let keys = keys_of_sessions(&relay, |key| key == "sk-third-key-3");
    assert!(keys.len() == 200 && keys.values().all(|keys| keys.len() == 3));
    assert_eq!(relay.received().len(), 602, "each bad key is asked once");
    // The same by the request log.
    assert_eq!(sums_by_key(&gateway, 600).await, [(Some("third".to_owned()), 600)]);
    let sums = look(&gateway, "stats?upstream_key=third").await;
    assert_eq!(
        (&sums["requests"], &sums["outcomes"]["completed"], &sums["attempts"]),
        (&600.into(), &600.into(), &602.into())
    );
    let moved = look(&gateway, "requests?limit=500&upstream_key=third").await;
    let moved = moved["requests"].as_array().expect("rows").iter().filter(|row| row["attempts"] != 1).count();
    assert!(moved <= 2, "{moved} requests met a bad key");
    assert_eq!(look(&gateway, "requests?upstream_key=first").await["requests"], Value::from(Vec::<Value>::new()));
}

#[tokio::test]
async fn the_panel_sees_the_keys_gives_one_a_rest_and_wakes_it() {
    let relay = Upstream::start(anthropic::handler()).await;
    let two = "api_keys: [{key: sk-first-key-1, name: first, weight: 3}, {key: sk-second-key-2, max_in_flight: 7}, \
               {key: sk-third-key-3, enabled: false}]";
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), two).setting(ROUTE).yaml()).start().await;
    let keys = look(&gateway, "upstreams").await["upstreams"][0]["keys"].clone();
    let state = |keys: &Value, at: usize| keys[at]["state"].as_str().expect("a state").to_owned();
    assert_eq!([0, 1, 2].map(|at| state(&keys, at)), ["ready", "ready", "off"]);
    assert_eq!((&keys[0]["name"], &keys[0]["weight"], &keys[1]["name"]), (&"first".into(), &3.into(), &Value::Null));
    let second = keys[1]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    assert!(second.len() == 16 && keys[1]["max_in_flight"] == 7, "{keys}");

    for (target, body, status, code) in [
        ("upstreams/relay/keys/none/rest", r#"{"for": "10m"}"#, 404, "no_key"),
        ("upstreams/none/keys/first/rest", r#"{"for": "10m"}"#, 404, "no_upstream"),
        ("upstreams/relay/keys/first/rest", r#"{"for": "soon"}"#, 400, "not_a_rest"),
        ("upstreams/relay/keys/first/rest", r#"{"for": "0s"}"#, 400, "not_a_rest"),
        ("upstreams/relay/keys/first/rest", "{}", 400, "body_unread"),
        ("upstreams/relay/keys/none/wake", "{}", 404, "no_key"),
    ] {
        let response = change(&gateway, target, body).await;
        assert_eq!((response.status(), &response.json()["error"]["code"]), (status, &code.into()), "{target} {body}");
    }

    let rested = change(&gateway, "upstreams/relay/keys/first/rest", r#"{"for": "10m"}"#).await.json();
    assert_eq!((&rested["state"], &rested["reason"]), (&"resting".into(), &"operator".into()));
    let span = rested["until_ms"].as_u64().zip(rested["since_ms"].as_u64()).map(|(until, since)| until - since);
    assert!(span.is_some_and(|span| (595_000..=605_000).contains(&span)), "{rested}");
    let message = r#"{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let message = |session: usize| {
        let request = Request::post("/v1/messages", message).header("Content-Type", "application/json");
        let request = request.header("anthropic-version", "2023-06-01").header("x-api-key", "sk-client");
        request.header("X-Claude-Code-Session-Id", session.to_string())
    };
    for session in 0..10 {
        assert_eq!(gateway.request(&message(session)).await.status(), 200);
    }
    assert!(relay.received().iter().all(|request| key(request) == "sk-second-key-2"));
    let keys = look(&gateway, "upstreams").await["upstreams"][0]["keys"].clone();
    assert_eq!((&keys[0]["requests"], &keys[1]["requests"]), (&0.into(), &10.into()));
    assert!(keys[1]["tokens"].as_u64() > Some(0) && keys[1]["cost"].as_f64() > Some(0.0), "{keys}");
    let told = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let sum = |name: &str, labels: &[(&str, &str)]| metrics::sum(&told, name, labels);
    let of = |key: &str| sum("gateway_upstream_key_requests_total", &[("upstream", "relay"), ("key", key)]);
    assert!((of("first"), of(&second)) == (0.0, 10.0) && !told.contains("-key-"), "{told}");
    assert!(sum("gateway_upstream_key_state", &[("key", "first"), ("state", "resting")]) == 1.0, "{told}");

    assert_eq!(change(&gateway, "upstreams/relay/keys/first/wake", "{}").await.json()["state"], "ready");
    for session in 10..40 {
        assert_eq!(gateway.request(&message(session)).await.status(), 200);
    }
    assert!(relay.received().iter().any(|request| key(request) == "sk-first-key-1"));
    assert!(change(&gateway, &format!("upstreams/relay/keys/{second}/rest"), r#"{"for": "1h"}"#).await.status() == 200);
    assert!(!gateway.stderr().contains("-key-"), "{}", gateway.stderr());
}

#[tokio::test]
async fn a_session_keeps_its_key_and_moves_once_when_that_is_gone() {
    let is_used_up = Arc::new(AtomicBool::new(false));
    let relay = relay({
        let is_used_up = Arc::clone(&is_used_up);
        move |key| match key {
            "sk-first-key-1" if is_used_up.load(Ordering::Relaxed) => limited(Some(600)),
            key => good(key),
        }
    })
    .await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    let mut client = gateway.connect().await;
    let mut turn = async || {
        for session in 0..60 {
            assert_eq!(client.request(&ask(session)).await.status(), 200);
        }
    };
    turn().await;
    turn().await;
    is_used_up.store(true, Ordering::Relaxed);
    turn().await;
    // It is back, and the sessions that left it stay where they are.
    assert_eq!(change(&gateway, "upstreams/relay/keys/first/wake", "{}").await.status(), 200);
    is_used_up.store(false, Ordering::Relaxed);
    turn().await;
    let mut used = HashSet::new();
    for (session, keys) in keys_of_sessions(&relay, |_| true) {
        let mut runs = keys.clone();
        runs.dedup();
        let before = runs[0].clone();
        used.insert(before.clone());
        let most = if before == "sk-first-key-1" { 2 } else { 1 };
        assert!(runs.len() <= most, "session {session}: {keys:?}");
    }
    assert_eq!(used.len(), 3, "all keys are used");
}

#[tokio::test]
async fn a_session_whose_upstream_is_gone_is_remembered_at_the_next_one() {
    let (gone, relay) = (relay(good).await, relay(good).await);
    let both = "api_keys: [{key: sk-fourth-key-4}, {key: sk-fifth-key-5}]";
    let last = |pool: Pool, upstreams: &str| {
        pool.add_with("relay", relay.url(), KEYS)
            .setting(&format!("routes: [{{keys: sk-client, upstreams: [{upstreams}]}}]"))
            .yaml()
    };
    let before = last(Pool::new().add_with("gone", gone.url(), both), "gone, relay");
    let gateway = gateway().yaml(&before).start().await;
    assert_eq!(gateway.request(&ask(1)).await.status(), 200);
    assert_eq!((gone.received().len(), relay.received().len()), (1, 0));
    std::fs::write(gateway.dir().join("gateway.yaml"), last(Pool::new(), "relay")).expect("written");
    assert_eq!(change(&gateway, "reload", "{}").await.status(), 200);
    let from = async || gateway.request(&ask(1)).await.json()["from"].as_str().expect("a key").to_owned();
    let first = from().await;
    let name = ["first", "second", "third"].into_iter().find(|name| first.contains(name)).expect("one of them");
    let target = |what: &str| format!("upstreams/relay/keys/{name}/{what}");
    assert_eq!(change(&gateway, &target("rest"), r#"{"for": "10m"}"#).await.status(), 200);
    let next = from().await;
    assert_ne!(next, first);
    assert_eq!(change(&gateway, &target("wake"), "{}").await.status(), 200);
    assert_eq!(from().await, next, "it stays with the key that it had to go to");
}

#[tokio::test]
async fn when_all_keys_rest_nothing_is_sent_and_the_answer_says_when_the_first_is_back() {
    let relay = relay(|key| limited(Some(if key == "sk-second-key-2" { 40 } else { 90 }))).await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    let wait = |response: &Response| response.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    let passed = gateway.request(&ask(1)).await;
    assert_eq!((passed.status(), relay.received().len()), (429, 3));
    assert!(wait(&passed).is_some_and(|seconds| (35..=40).contains(&seconds)), "{:?}", passed.header("retry-after"));
    let own = gateway.request(&ask(2)).await;
    assert_eq!((own.status(), relay.received().len()), (429, 3), "nobody is asked");
    assert!(wait(&own).is_some_and(|seconds| (35..=40).contains(&seconds)), "{:?}", own.header("retry-after"));
    assert_eq!(own.json()["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_last_key_that_is_refused_is_no_reason_to_log_in_while_another_one_only_rests() {
    let relay = relay(|key| if key == "sk-third-key-3" { limited(Some(50)) } else { failing(401, "relay") }).await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    for session in 0..6 {
        let response = gateway.request(&ask(session)).await;
        assert_eq!((response.status(), response.header("retry-after").is_some()), (429, true), "{}", response.text());
    }
    assert_eq!(relay.received().len(), 3);
}

#[tokio::test]
async fn keys_that_are_all_refused_are_not_asked_again() {
    let relay = relay(|_| failing(401, "relay")).await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    assert_eq!(gateway.request(&ask(1)).await.status(), 401, "as the relay says it");
    let own = gateway.request(&ask(1)).await;
    assert_eq!((own.status(), own.header("x-should-retry").as_deref()), (503, Some("false")));
    assert_eq!(relay.received().len(), 3);
}

#[tokio::test]
async fn the_page_of_a_firewall_says_nothing_of_the_key() {
    let page = |_: &str| Reply::status(403).header("Content-Type", "text/html; charset=utf-8").body("<html>no</html>");
    let (relay, spare) = (relay(page).await, relay(good).await);
    let pool = Pool::new()
        .add_with("relay", relay.url(), KEYS)
        .add_with("spare", spare.url(), "api_key: sk-spare-key-4")
        .setting("routes: [{keys: sk-client, upstreams: [relay, spare]}]");
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    assert_eq!(gateway.request(&ask(1)).await.status(), 200);
    assert_eq!((relay.received().len(), spare.received().len()), (1, 1));
    let keys = look(&gateway, "upstreams").await["upstreams"][0]["keys"].clone();
    assert!((0..3).all(|at| keys[at]["state"] == "ready"), "{keys}");
}

#[tokio::test]
async fn what_every_key_is_forbidden_takes_none_of_them_from_other_clients() {
    let relay = Upstream::start(|request| match String::from_utf8_lossy(&request.body).contains("forbidden-model") {
        true => failing(403, "relay"),
        false if key(request) == "sk-first-key-1" => failing(403, "relay"),
        false => good(&key(request)),
    })
    .await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    let states = async || {
        let keys = look(&gateway, "upstreams").await["upstreams"][0]["keys"].clone();
        [0, 1, 2].map(|at| keys[at]["state"].as_str().expect("a state").to_owned())
    };
    let forbidden = r#"{"model":"forbidden-model","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    for asked in 1..4 {
        let request = Request::post("/v1/messages", forbidden).header("x-api-key", "sk-client");
        assert_eq!(gateway.request(&request).await.status(), 403);
        assert_eq!(
            (relay.received().len(), states().await),
            (3 * asked, ["ready", "ready", "ready"].map(str::to_owned))
        );
    }
    // A key is the one to blame where another one serves the same.
    for session in 0..20 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    assert_eq!(states().await, ["resting", "ready", "ready"].map(str::to_owned));
    assert_eq!(relay.received().len(), 9 + 21, "it is asked once");
}

#[tokio::test]
async fn other_keys_come_before_other_upstreams_and_cost_no_attempt() {
    let (relay, spare) = (relay(|_| limited(None)).await, relay(good).await);
    let spare_key = "api_key: sk-spare-key-4";
    let pool = Pool::new()
        .add_with("relay", relay.url(), KEYS)
        .add_with("spare", spare.url(), spare_key)
        .setting("routes: [{keys: sk-client, upstreams: [relay, spare]}]")
        .failover("max_attempts: 2, retry_budget: 0%, retry_budget_min: 1");
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    assert_eq!(gateway.request(&ask(1)).await.text(), r#"{"from":"sk-spare-key-4"}"#);
    assert_eq!((relay.received().len(), spare.received().len()), (3, 1));
    // None of them is asked while they rest, and the session stays at the other upstream.
    assert_eq!(gateway.request(&ask(2)).await.status(), 200);
    assert_eq!((relay.received().len(), spare.received().len()), (3, 2));
}

#[tokio::test]
async fn an_error_in_the_stream_of_one_key_is_made_good_with_another() {
    let relay = relay(|key| match key {
        "sk-third-key-3" => {
            let message = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}"#;
            Reply::sse().body(format!(
                "event: message_start\ndata: {message}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
            ))
        }
        _ => {
            let error = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#;
            Reply::sse().body(format!("event: error\ndata: {error}\n\n"))
        }
    })
    .await;
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), KEYS).setting(ROUTE).yaml()).start().await;
    for session in 0..20 {
        let body = r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let request = Request::post("/v1/messages", body).header("x-api-key", "sk-client");
        let response = gateway.request(&request.header("X-Claude-Code-Session-Id", session.to_string())).await;
        assert!(response.text().contains("message_stop"), "{}", response.text());
    }
    assert_eq!(relay.received().len(), 22);
}

#[tokio::test]
async fn an_upstream_with_one_key_goes_on_as_ever() {
    let relay = relay(|_| limited(Some(30))).await;
    let only = "api_keys: [{key: sk-first-key-1}, {key: sk-second-key-2, enabled: false}]";
    let gateway = gateway().yaml(&Pool::new().add_with("relay", relay.url(), only).setting(ROUTE).yaml()).start().await;
    for asked in 1..4 {
        assert_eq!(gateway.request(&ask(1)).await.header("retry-after").as_deref(), Some("30"));
        assert_eq!(relay.received().len(), asked, "it is the relay that says no");
    }
    assert!(relay.received().iter().all(|request| key(request) == "sk-first-key-1"));
}

#[tokio::test]
async fn mistakes_in_a_pool_are_told_with_their_places() {
    for (keys, wanted) in [
        ("api_keys: []", "api_keys: the list is empty"),
        ("api_keys: [{name: a}]", "api_keys[0]: the entry has no key"),
        ("api_keys: [{key: sk-1, name: a}, {key: sk-2, name: a}]", "api_keys[1]: \"a\" is there twice"),
        ("api_keys: [{key: sk-1}, {key: sk-1}]", "api_keys[1]: this key is there already"),
        ("api_key: sk-0, api_keys: [{key: sk-1}]", "api_key and api_keys are both set"),
        ("api_keys: [{key: sk-1, wieght: 2}]", "did you mean \"weight\""),
        ("api_keys: [{key: sk-1, weight: 0}]", "api_keys[0].weight"),
        ("api_keys: [{key: \"${env.NO_SUCH_KEY}\"}]", "NO_SUCH_KEY"),
        ("api_keys: sk-1", "list"),
    ] {
        let pool = Pool::new().add_with("relay", "http://127.0.0.1:9", keys);
        let output = gateway().yaml(&pool.yaml()).arg("check").run().await;
        let said = format!("{}{}", output.stderr, output.stdout);
        assert!(said.contains(wanted) && !said.contains("sk-1"), "{keys}: {said}");
    }
}
