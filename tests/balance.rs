//! The balance of keys: relays of each kind, after the members that their public sources write; what becomes of a key that
//! is near its end or used up; and relays that do not tell it.

use harness::{
    Client, Gateway, GatewayBuilder, Pool, Proxy, Received, Reply, Request, Step, Upstream, ask, metrics, within,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROUTE: &str = "routes: [{keys: sk-client, upstreams: [relay, other]}]";
const TWO: &str = "api_keys: [{key: sk-first-key-1, name: first}, {key: sk-second-key-2, name: second}]";
/// Quota units of a new-api for a dollar.
const PER_DOLLAR: f64 = 500_000.0;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// The key that a request brings, in whichever header.
fn key(request: &Received) -> String {
    let bearer = request.headers.all("authorization").concat().replace("Bearer ", "");
    if bearer.is_empty() { request.headers.all("x-api-key").concat() } else { bearer }
}

fn is_message(request: &Received) -> bool {
    request.target.starts_with("/v1/messages")
}

/// How a relay answers questions for balances, besides telling them.
type Broken = Arc<Mutex<Option<fn() -> Reply>>>;

/// A new-api: dollars by key, which a test changes; what has no entry has no limit of its own.
#[derive(Clone, Default)]
struct NewApi {
    dollars: Arc<Mutex<HashMap<String, f64>>>,
    broken: Broken,
}

impl NewApi {
    fn of(dollars: &[(&str, f64)]) -> Self {
        let relay = Self::default();
        dollars.iter().for_each(|(key, dollars)| relay.set(key, *dollars));
        relay
    }

    fn set(&self, key: &str, dollars: f64) {
        self.dollars.lock().expect("no panic").insert(key.to_owned(), dollars);
    }

    fn answers(&self, broken: Option<fn() -> Reply>) {
        *self.broken.lock().expect("no panic") = broken;
    }

    async fn start(&self) -> Upstream {
        let relay = self.clone();
        Upstream::start(move |request| relay.answer(request)).await
    }

    fn answer(&self, request: &Received) -> Reply {
        let key = key(request);
        if is_message(request) {
            return Reply::json(format!("{{\"from\":\"{key}\"}}"));
        }
        if let Some(broken) = *self.broken.lock().expect("no panic") {
            return broken();
        }
        let left = self.dollars.lock().expect("no panic").get(&key).copied();
        match request.target.as_str() {
            "/api/status" => Reply::json(
                json!({"success": true, "message": "", "data": {"quota_per_unit": PER_DOLLAR, "price": 7.3,
                    "display_in_currency": true, "quota_display_type": "USD", "usd_exchange_rate": 7.3}})
                .to_string(),
            ),
            "/api/usage/token/" => {
                let quota = (left.unwrap_or(-3.0) * PER_DOLLAR) as i64;
                Reply::json(
                    json!({"code": true, "message": "ok", "data": {"object": "token_usage", "name": "claude",
                        "total_granted": quota + 250_000, "total_used": 250_000, "total_available": quota,
                        "unlimited_quota": left.is_none(), "model_limits": {}, "model_limits_enabled": false,
                        "expires_at": 0}})
                    .to_string(),
                )
            }
            target => billing(target),
        }
    }
}

/// OpenAI's former billing endpoints, as new-api and one-api have them: 20 dollars, of which 12.34 were used.
fn billing(target: &str) -> Reply {
    match target.split('?').next().unwrap_or_default() {
        "/v1/dashboard/billing/subscription" => Reply::json(
            json!({"object": "billing_subscription", "has_payment_method": true, "soft_limit_usd": 20.0,
                "hard_limit_usd": 20.0, "system_hard_limit_usd": 20.0, "access_until": 0})
            .to_string(),
        ),
        "/v1/dashboard/billing/usage" => Reply::json(json!({"object": "list", "total_usage": 1234.0}).to_string()),
        _ => Reply::status(404).header("Content-Type", "text/html").body("<html></html>"),
    }
}

/// What the admin API says of the keys of an upstream.
async fn keys(gateway: &Gateway, upstream: usize) -> Vec<Value> {
    let request = Request::get("/api/admin/upstreams").header("Host", "127.0.0.1");
    let response = gateway.request(&gateway.as_admin(request)).await;
    assert!(response.status() == 200 && !response.text().contains("-key-"), "{}", response.text());
    response.json()["upstreams"][upstream]["keys"].as_array().expect("keys").clone()
}

/// The first key of an upstream once it is so.
async fn key_once(gateway: &Gateway, upstream: usize, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    within(what, async {
        loop {
            let first = keys(gateway, upstream).await.swap_remove(0);
            if is_so(&first) {
                return first;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Has the balance of a key read now.
async fn read_now(gateway: &Gateway, upstream: &str, key: &str) {
    let target = format!("/api/admin/upstreams/{upstream}/keys/{key}/balance");
    let request = Request::post(&target, "{}").header("Host", "127.0.0.1").header("Content-Type", "application/json");
    let response = gateway.request(&gateway.as_admin(request)).await;
    assert_eq!(response.status(), 200, "{}", response.text());
}

fn state(key: &Value) -> &str {
    key["state"].as_str().expect("a state")
}

/// Requests of many sessions at the same time, until it is told to end; each has to succeed.
struct Load {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn begin(gateway: &Gateway, clients: usize) -> Self {
        let (is_over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for number in 0..clients {
            let (mut client, is_over, sent) = (gateway.connect().await, Arc::clone(&is_over), Arc::clone(&sent));
            tasks.push(tokio::spawn(async move {
                for turn in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let session = format!("{number}-{}", turn % 5);
                    let response = client.request(&ask(session)).await;
                    assert_eq!(response.status(), 200, "{}", response.text());
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { is_over, sent, clients: tasks }
    }

    /// Waits until so many more were served.
    async fn more(&self, requests: usize) {
        let wanted = self.sent.load(Ordering::Relaxed) + requests;
        within("requests", async {
            while self.sent.load(Ordering::Relaxed) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("no request failed");
        }
    }
}

/// The sessions whose messages came to a relay with a key, of those that it got from the `from`th request on.
fn sessions(relay: &Upstream, from: usize, key_of: &str) -> Vec<String> {
    let received = relay.received();
    let of_key = received[from..].iter().filter(|request| is_message(request) && key(request) == key_of);
    of_key.map(|request| request.headers.all("x-claude-code-session-id").concat()).collect()
}

/// Makes an answer anew, each time that it is asked for.
type Answer = fn() -> Reply;

#[tokio::test]
async fn under_load_new_sessions_leave_a_key_before_its_end_and_all_of_them_at_it() {
    let new_api = NewApi::of(&[("sk-first-key-1", 5.0), ("sk-second-key-2", 900.0)]);
    let relay = new_api.start().await;
    let hook = Upstream::start(|_| Reply::json("{}")).await;
    let target = format!(
        "notify: {{ quiet: 1s, targets: [{{ kind: webhook, url: \"{}/hook\", events: [balance_low] }}] }}",
        hook.url()
    );
    let settings = format!("{TWO}, balance: {{ kind: new-api, rest_below: 1 }}");
    let pool = Pool::new().add_with("relay", relay.url(), &settings).add("other", "http://127.0.0.1:9");
    let gateway = gateway().yaml(&pool.setting(ROUTE).setting(&target).yaml()).start().await;
    let read = key_once(&gateway, 0, "a first reading", |key| key["balance"]["read_at"].is_string()).await;
    let balance = &read["balance"];
    assert_eq!(
        (&balance["remaining"], &balance["used"], &balance["unit"], &balance["rest_below"], &balance["error"]),
        (&json!(5.0), &json!(0.5), &json!("USD"), &json!(1.0), &Value::Null)
    );
    let load = Load::begin(&gateway, 8).await;
    load.more(200).await;
    let before = sessions(&relay, 0, "sk-first-key-1");
    assert!(!before.is_empty(), "both keys are used");

    // Near its end: those that have it stay, new ones go elsewhere.
    new_api.set("sk-first-key-1", 0.75);
    read_now(&gateway, "relay", "first").await;
    let low = key_once(&gateway, 0, "a low key", |key| state(key) == "low").await;
    assert_eq!((&low["reason"], &low["balance"]["remaining"]), (&json!("balance"), &json!(0.75)));
    let from = relay.received().len();
    let mut client = gateway.connect().await;
    for session in 0..40 {
        assert_eq!(client.request(&ask(format!("new-{session}"))).await.status(), 200);
    }
    load.more(100).await;
    let stayed = sessions(&relay, from, "sk-first-key-1");
    assert!(!stayed.is_empty() && stayed.iter().all(|session| before.contains(session)), "{stayed:?}");

    // Used up: nothing goes out with it from then on.
    new_api.set("sk-first-key-1", 0.0);
    read_now(&gateway, "relay", "first").await;
    let is_out = |key: &Value| state(key) == "resting" && key["in_flight"] == 0;
    let out = key_once(&gateway, 0, "a used up key", is_out).await;
    assert!(out["reason"] == "balance" && out["until_ms"].is_u64(), "{out}");
    let from = relay.received().len();
    load.more(300).await;
    assert_eq!(sessions(&relay, from, "sk-first-key-1"), Vec::<String>::new());

    let told = within("two notifications", async {
        loop {
            let told: Vec<Value> =
                hook.received().iter().filter_map(|request| serde_json::from_slice(&request.body).ok()).collect();
            let told: String = told.iter().map(Value::to_string).collect();
            if told.contains("is_used_up") {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(told.contains("balance_low") && told.contains("\"remaining\":0.75"), "{told}");

    // Filled up again.
    new_api.set("sk-first-key-1", 12.0);
    read_now(&gateway, "relay", "first").await;
    key_once(&gateway, 0, "a key that is used again", |key| state(key) == "ready").await;
    let from = relay.received().len();
    for session in 0..40 {
        assert_eq!(client.request(&ask(format!("later-{session}"))).await.status(), 200);
    }
    assert!(sessions(&relay, from, "sk-first-key-1").iter().any(|session| session.starts_with("later-")));
    load.end().await;

    let said = gateway.stderr();
    assert!(said.contains("is low") && said.contains("is used up") && !said.contains("-key-"), "{said}");
}

#[tokio::test]
async fn each_kind_is_read_where_its_relays_have_it() {
    let (unlimited, plain) =
        (NewApi::default().start().await, Upstream::start(|request| billing(&request.target)).await);
    let custom = Upstream::start(|request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/relay/left?of=key") => Reply::json(
            json!({"plan": {"left": "3.5", "spent": 2, "currency": "CNY", "renews": 1_795_867_200}}).to_string(),
        ),
        _ => Reply::status(404),
    })
    .await;
    let source = "api_key: sk-third-key-3, balance: { kind: custom, method: POST, path: \"/left?of=key\", \
                  headers: { X-Token: \"t=${key}\", New-Api-User: 12 }, remaining: /plan/left, used: /plan/spent, \
                  unit: /plan/currency, reset: /plan/renews }";
    let pool = Pool::new()
        .add_with("relay", unlimited.url(), "api_key: sk-first-key-1, balance: { kind: new-api }")
        .add_with("other", plain.url(), "api_key: sk-second-key-2, balance: { kind: openai-billing, rest_below: 7.67 }")
        .add_with("third", format!("{}/relay", custom.url()), source);
    let gateway = gateway().yaml(&pool.setting(ROUTE).yaml()).start().await;
    let mut read = Vec::new();
    for upstream in 0..3 {
        read.push(key_once(&gateway, upstream, "a reading", |key| key["balance"]["read_at"].is_string()).await);
    }
    let told = |at: usize| ["remaining", "used", "unit", "reset_at"].map(|member| read[at]["balance"][member].clone());
    // A token without a quota of its own: what the billing endpoints say of its account.
    assert_eq!(told(0), [json!(7.66), json!(12.34), json!("USD"), Value::Null]);
    assert_eq!(told(1), [json!(7.66), json!(12.34), json!("USD"), Value::Null]);
    assert_eq!(told(2), [json!(3.5), json!(2.0), json!("CNY"), json!("2026-11-28T12:00:00Z")]);
    assert_eq!([0, 1, 2].map(|at| state(&read[at]).to_owned()), ["ready", "low", "ready"]);
    assert!(read.iter().all(|key| key["name"].is_null()), "a key of its own is a pool of one");

    let usage = plain.received().into_iter().find(|request| request.target.starts_with("/v1/dashboard/billing/usage"));
    let usage = usage.expect("asked for").target.clone();
    assert!(usage.contains("?start_date=20") && usage.contains("-01&end_date=20"), "{usage}");
    assert!(plain.received().iter().all(|request| key(request) == "sk-second-key-2"));
    let asked = custom.last();
    assert_eq!(
        (asked.headers.all("x-token").concat(), asked.headers.all("new-api-user").concat()),
        ("t=sk-third-key-3".to_owned(), "12".to_owned())
    );
    assert!(asked.headers.get("authorization").is_none() && asked.headers.all("content-length").concat() == "0");
    let status = unlimited.received().into_iter().find(|request| request.target == "/api/status").expect("asked for");
    assert!(key(&status).is_empty(), "what everybody may know is asked for without the key");

    let told = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let sum = |name: &str, labels: &[(&str, &str)]| metrics::sum(&told, name, labels);
    assert_eq!(sum("gateway_upstream_balance", &[("upstream", "third"), ("unit", "CNY")]), 3.5);
    assert_eq!(sum("gateway_upstream_balance_used", &[("upstream", "other"), ("unit", "USD")]), 12.34);
    assert_eq!(sum("gateway_upstream_balance_readings_total", &[("upstream", "relay"), ("result", "good")]), 1.0);
    assert!(sum("gateway_upstream_balance_read_timestamp_seconds", &[("upstream", "relay")]) > 1.7e9);
    assert!(!told.contains("-key-") && !gateway.stderr().contains("-key-"), "{}", gateway.stderr());
}

#[tokio::test]
async fn a_relay_that_does_not_tell_it_changes_nothing() {
    let new_api = NewApi::of(&[("sk-first-key-1", 0.0), ("sk-second-key-2", 0.25)]);
    let relay = new_api.start().await;
    let settings = format!("{TWO}, balance: {{ kind: new-api, rest_below: 1 }}");
    let pool = Pool::new().add_with("relay", relay.url(), &settings).add("other", "http://127.0.0.1:9");
    let gateway = gateway().yaml(&pool.setting(ROUTE).yaml()).start().await;
    key_once(&gateway, 0, "a used up key", |key| state(key) == "resting").await;
    let answers: [(&str, Answer); 7] = [
        ("status", || Reply::status(404)),
        ("status", || Reply::status(302).header("Location", "/login")),
        ("not_json", || Reply::ok("<!doctype html><title>Just a moment</title>").header("Content-Type", "text/html")),
        ("too_large", || Reply::json(format!("{{\"data\":\"{}\"}}", "x".repeat(600_000)))),
        ("missing", || Reply::json("{\"success\":false,\"message\":\"no such token sk-first-key-1\"}")),
        ("no_response", Reply::reset),
        ("late", || Reply::json("").length(9).step(Step::Stall)),
    ];
    for (code, answer) in answers {
        new_api.answers(Some(answer));
        read_now(&gateway, "relay", "first").await;
        read_now(&gateway, "relay", "second").await;
        let told = |key: &Value| key["balance"]["error"]["code"] == code;
        key_once(&gateway, 0, code, told).await;
        within(code, async {
            while !told(&keys(&gateway, 0).await[1]) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let keys = keys(&gateway, 0).await;
        assert_eq!([0, 1].map(|at| state(&keys[at]).to_owned()), ["resting", "low"], "{code}");
        assert_eq!([0, 1].map(|at| keys[at]["balance"]["remaining"].clone()), [json!(0.0), json!(0.25)], "{code}");
        assert_eq!(gateway.request(&ask("a session")).await.json()["from"], "sk-second-key-2", "{code}");
        // The next one is told anew.
        new_api.answers(None);
        read_now(&gateway, "relay", "first").await;
        key_once(&gateway, 0, "a reading", |key| key["balance"]["error"].is_null()).await;
    }
    let said = gateway.stderr();
    assert!(said.contains("the balance of its key first is not known") && !said.contains("-key-"), "{said}");
}

#[tokio::test]
async fn a_balance_is_read_through_the_proxy_of_its_upstream() {
    let relay = NewApi::of(&[("sk-first-key-1", 2.0)]).start().await;
    let proxy = Proxy::http(false, &[]).await;
    let settings = format!("api_key: sk-first-key-1, proxy: \"http://{}\", balance: {{ kind: new-api }}", proxy.addr());
    let pool = Pool::new().add_with("relay", relay.url(), &settings).add("other", "http://127.0.0.1:9");
    let gateway = gateway().yaml(&pool.setting(ROUTE).yaml()).start().await;
    let read = key_once(&gateway, 0, "a reading", |key| key["balance"]["read_at"].is_string()).await;
    assert_eq!(read["balance"]["remaining"], 2.0);
    assert_eq!(proxy.wait_requests(2).await.len(), 2);
}

#[tokio::test]
async fn the_only_key_of_an_upstream_rests_too_and_clients_hear_for_how_long() {
    let relay = NewApi::of(&[("sk-first-key-1", -0.5)]).start().await;
    let pool = Pool::new().add_with("relay", relay.url(), "api_key: sk-first-key-1, balance: { kind: new-api }");
    let route = "routes: [{keys: sk-client, upstreams: [relay]}]";
    let gateway = gateway().yaml(&pool.setting(route).yaml()).start().await;
    key_once(&gateway, 0, "a used up key", |key| state(key) == "resting").await;
    let refused = gateway.request(&ask(1)).await;
    let wait = refused.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    assert!(refused.status() == 429 && wait.is_some_and(|seconds| seconds <= 660), "{} {wait:?}", refused.text());
    assert!(relay.received().iter().all(|request| !is_message(request)));
}

#[tokio::test]
async fn sessions_of_the_only_key_of_an_upstream_stay_with_it_to_its_end() {
    let new_api = NewApi::of(&[("sk-first-key-1", 5.0)]);
    let (relay, other) = (new_api.start().await, NewApi::default().start().await);
    let source = "priority: 0, api_key: sk-first-key-1, balance: { kind: new-api, rest_below: 1 }";
    let pool = Pool::new().add_with("relay", relay.url(), source).add_with(
        "other",
        other.url(),
        "priority: 1, api_key: sk-second-key-2",
    );
    let gateway = gateway().yaml(&pool.setting(ROUTE).yaml()).start().await;
    key_once(&gateway, 0, "a first reading", |key| key["balance"]["read_at"].is_string()).await;
    let fingerprint = keys(&gateway, 0).await[0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let from = async |session: &str| gateway.request(&ask(session)).await.json()["from"].clone();
    assert_eq!(from("old").await, "sk-first-key-1");
    new_api.set("sk-first-key-1", 0.75);
    read_now(&gateway, "relay", &fingerprint).await;
    key_once(&gateway, 0, "a low key", |key| state(key) == "low").await;
    assert_eq!((from("new").await, from("old").await), (json!("sk-second-key-2"), json!("sk-first-key-1")));
    new_api.set("sk-first-key-1", 0.0);
    read_now(&gateway, "relay", &fingerprint).await;
    key_once(&gateway, 0, "a used up key", |key| state(key) == "resting").await;
    assert_eq!(from("old").await, "sk-second-key-2");
}

#[tokio::test]
async fn a_balance_of_nobodys_key_is_refused() {
    let pool = Pool::new().add_with("relay", "https://relay.example", "balance: { kind: new-api }");
    let output = gateway().yaml(&pool.yaml()).arg("check").run().await;
    assert!(output.stderr.contains("the upstream needs an api_key or api_keys of its own"), "{}", output.stderr);
    let pool = Pool::new().add_with(
        "relay",
        "https://relay.example",
        "api_key: sk-first-key-1, balance: { kind: custom, path: /b, remaining: /left, headers: { Authorization: Bearer x-key-1 } }",
    );
    let output = gateway()
        .yaml(&pool.setting("routes: [{keys: sk-client, upstreams: [relay]}]").yaml())
        .arg("check")
        .run()
        .await;
    let told = format!("{}{}", output.stdout, output.stderr);
    assert!(told.contains("custom /b interval=10m") && !told.contains("-key-"), "{told}");
}
