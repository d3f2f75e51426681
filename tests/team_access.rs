//! Who may use what of the admin API, path by path; logins with client tokens; and that holders see their own and nothing of
//! others.

use harness::{Client, Gateway, GatewayBuilder, Received, Reply, Request, Response, Upstream, within};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

const OPENAPI: &str = include_str!("../docs/openapi.yaml");
const UNKNOWN: &str = "agw_00000000000000000000000000000000000000000003wpEYm";

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Anybody.
    All,
    /// Whoever has a client token, or the panel's key.
    Holders,
    /// The same, but there is nothing of the panel's key's own.
    Tokens,
    /// The panel's key, and client tokens of admins.
    Admins,
}
use For::{Admins, All, Holders, Tokens};

/// All there are. One that is new has to be entered: the test fails without it.
const OPERATIONS: [(&str, &str, For); 68] = [
    ("GET", "session", All),
    ("POST", "session", All),
    ("DELETE", "session", All),
    ("GET", "me", Holders),
    ("GET", "me/usage", Tokens),
    ("GET", "me/stats", Tokens),
    ("GET", "me/stats/series", Tokens),
    ("GET", "me/sessions", Tokens),
    ("GET", "me/waste", Tokens),
    ("POST", "me/tokens/{id}/rotate", Tokens),
    ("GET", "openapi.yaml", Admins),
    ("GET", "health", Admins),
    ("GET", "stats", Admins),
    ("GET", "stats/series", Admins),
    ("GET", "stats/groups", Admins),
    ("GET", "key-names", Admins),
    ("GET", "requests", Admins),
    ("GET", "requests/{id}", Admins),
    ("GET", "sessions", Admins),
    ("GET", "sessions/{id}", Admins),
    ("POST", "sessions/{id}/capture", Admins),
    ("DELETE", "sessions/{id}/capture", Admins),
    ("GET", "export", Admins),
    ("GET", "waste", Admins),
    ("GET", "errors", Admins),
    ("GET", "running", Admins),
    ("GET", "live", Admins),
    ("GET", "upstreams", Admins),
    ("POST", "upstreams/{name}/test", Admins),
    ("POST", "upstreams/{name}/drain", Admins),
    ("POST", "upstreams/{name}/enable", Admins),
    ("POST", "upstreams/{name}/keys/{key}/rest", Admins),
    ("POST", "upstreams/{name}/keys/{key}/wake", Admins),
    ("POST", "upstreams/{name}/keys/{key}/balance", Admins),
    ("GET", "rules", Admins),
    ("GET", "config", Admins),
    ("PUT", "config", Admins),
    ("POST", "config/check", Admins),
    ("POST", "config/explain", Admins),
    ("GET", "config/history", Admins),
    ("GET", "config/schema", Admins),
    ("POST", "reload", Admins),
    ("GET", "recost", Admins),
    ("POST", "recost", Admins),
    ("DELETE", "recost", Admins),
    ("POST", "explain", Admins),
    ("GET", "users", Admins),
    ("POST", "users", Admins),
    ("PATCH", "users/{id}", Admins),
    ("GET", "groups", Admins),
    ("POST", "groups", Admins),
    ("GET", "tokens", Admins),
    ("POST", "tokens", Admins),
    ("GET", "tokens/{id}", Admins),
    ("PATCH", "tokens/{id}", Admins),
    ("DELETE", "tokens/{id}", Admins),
    ("POST", "tokens/{id}/rotate", Admins),
    ("GET", "limits", Admins),
    ("PUT", "limits", Admins),
    ("DELETE", "limits", Admins),
    ("GET", "usage", Admins),
    ("GET", "audit", Admins),
    ("GET", "notify", Admins),
    ("POST", "notify/test", Admins),
    // HEAD reads what GET does.
    ("HEAD", "users", Admins),
    ("HEAD", "me", Holders),
    ("HEAD", "me/stats", Tokens),
    // What is not there looks the same to who may not look.
    ("GET", "no-such-path", Admins),
];

/// What a request shows.
#[derive(Clone, Debug)]
enum Shows {
    Nothing,
    Bearer(String),
    Cookie(String),
}

impl Shows {
    fn with(&self, request: Request) -> Request {
        match self {
            Self::Nothing => request,
            Self::Bearer(key) => request.header("authorization", format!("Bearer {key}")),
            Self::Cookie(cookie) => request.header("cookie", cookie),
        }
    }
}

/// So many tokens of each kind as a request asks for at most.
fn answer(request: &Received) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let size = &body["max_tokens"];
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
        "usage": {"input_tokens": size, "output_tokens": size}, "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn", "stop_sequence": null});
    Reply::json(message.to_string())
}

fn builder(upstream: &Upstream) -> GatewayBuilder {
    let url = upstream.url();
    let yaml = format!(
        "gateway:\n  upstreams: [{{name: relay, base_url: \"{url}\", api_key: sk-relay-0123456789}}]\n  prices: \
         [{{models: model-x, input: 1, output: 1, cache_write: 1, cache_read: 1}}]\n"
    );
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("GATEWAY_DB", "requests.db").yaml(&yaml)
}

fn api(method: &str, path: &str, body: &Value) -> Request {
    let request = Request::new(method, &format!("/api/admin/{path}")).header("content-type", "application/json");
    if body.is_null() { request } else { request.body(body.to_string()) }
}

async fn send(address: SocketAddr, shows: &Shows, method: &str, path: &str, body: Value) -> Response {
    // Who is refused before the body was read has the connection closed.
    Client::connect(address).await.request(&shows.with(api(method, path, &body))).await
}

/// What who has the panel's key is told, where that works.
async fn ask(gateway: &Gateway, method: &str, path: &str, body: Value) -> Value {
    let answer = send(gateway.addr(), &Shows::Bearer(gateway.panel_key()), method, path, body).await;
    assert_eq!(answer.status(), 200, "{method} {path}: {}", answer.text());
    answer.json()
}

/// The same of a holder.
async fn own(gateway: &Gateway, shows: &Shows, path: &str) -> Value {
    let answer = send(gateway.addr(), shows, "GET", path, Value::Null).await;
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    answer.json()
}

fn code(answer: &Response) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The id and the text of a new token.
async fn issue(gateway: &Gateway, new: Value) -> (String, String) {
    let issued = ask(gateway, "POST", "tokens", new).await;
    let text = |name: &str| issued[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

/// The same of a new user.
async fn join(gateway: &Gateway, user: &str, role: &str) -> (String, String) {
    ask(gateway, "POST", "users", json!({"name": user, "role": role})).await;
    issue(gateway, json!({"user": user})).await
}

async fn login(address: SocketAddr, key: &str) -> Response {
    send(address, &Shows::Nothing, "POST", "session", json!({"key": key})).await
}

/// What a login with this token gives.
async fn logged_in(address: SocketAddr, key: &str) -> Shows {
    let answer = login(address, key).await;
    assert_eq!(answer.status(), 204, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(!cookie.contains(key) && cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    Shows::Cookie(cookie.split(';').next().expect("a pair").to_owned())
}

/// The status and the code of an answer, of whose body no more is read: some have no end.
async fn outcome(address: SocketAddr, shows: &Shows, method: &str, path: &str) -> (u16, String) {
    let body = if matches!(method, "GET" | "HEAD") { Value::Null } else { json!({}) };
    if path == "live" {
        let mut client = Client::connect(address).await;
        client.send(shows.with(api(method, path, &body)).bytes()).await;
        return (client.head(method).await.status, String::new());
    }
    let answer = send(address, shows, method, path, body).await;
    let is_refusal = answer.status() >= 400 && method != "HEAD";
    (answer.status(), if is_refusal { code(&answer) } else { String::new() })
}

#[tokio::test]
async fn each_path_is_for_those_whom_it_is_for() {
    let described: serde_yaml::Value = serde_yaml::from_str(OPENAPI).expect("YAML");
    let mut in_file = BTreeSet::new();
    for (path, item) in described["paths"].as_mapping().expect("paths") {
        let Some(path) = path.as_str().expect("a path").strip_prefix("/api/admin/") else { continue };
        for method in item.as_mapping().expect("methods").keys().filter_map(serde_yaml::Value::as_str) {
            in_file.insert((method.to_uppercase(), path.to_owned()));
        }
    }
    let others = [("HEAD", ""), ("GET", "no-such-path")];
    let is_other = |method: &str, path: &str| others.iter().any(|(m, p)| *m == method && (p.is_empty() || *p == path));
    let entered = OPERATIONS.iter().filter(|(method, path, _)| !is_other(method, path));
    assert_eq!(
        entered.map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect::<BTreeSet<_>>(),
        in_file
    );

    let upstream = Upstream::start(answer).await;
    let gateway = builder(&upstream).start().await;
    let (_, member) = join(&gateway, "alice", "member").await;
    let (_, admin) = join(&gateway, "root", "admin").await;
    for address in [gateway.addr(), gateway.admin_addr()] {
        let key = Shows::Bearer(gateway.panel_key());
        let members = [Shows::Bearer(member.clone()), logged_in(address, &member).await];
        let admins = [Shows::Bearer(admin.clone()), logged_in(address, &admin).await];
        for (method, path, whom) in OPERATIONS {
            let named = path.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
            let named = named.collect::<Vec<_>>().join("/");
            let told = async |shows: &Shows| outcome(address, shows, method, &named).await;
            let what = format!("{method} {path}");
            // Nobody: what needs anything is refused, whatever it is.
            let (status, _) = told(&Shows::Nothing).await;
            assert_eq!(status == 401, whom != All, "{what}, of nobody: {status}");
            if what == "DELETE session" {
                continue;
            }
            for shows in &members {
                let (status, code) = told(shows).await;
                // Of some no body is read.
                let is_refused = status == 403 && matches!(&*code, "" | "admin_needed");
                assert_eq!(is_refused, whom == Admins, "{what}, of a member: {status} {code}");
            }
            for shows in admins.iter().chain([&key]) {
                let (status, code) = told(shows).await;
                let is_own = status == 403 && code == "not_yours";
                assert!(![401, 403].contains(&status) || is_own, "{what}, of an admin: {status} {code}");
                if whom == Tokens && matches!(shows, Shows::Bearer(shown) if *shown == gateway.panel_key()) {
                    assert!(matches!(status, 404 | 403), "{what}, with the panel's key: {status}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_session_of_a_token_may_what_the_token_may_and_ends_with_it() {
    let upstream = Upstream::start(answer).await;
    let gateway = builder(&upstream).start().await;
    let address = gateway.addr();
    let (of_alice, alice) = join(&gateway, "alice", "member").await;
    let (of_root, root) = join(&gateway, "root", "admin").await;
    let member = logged_in(address, &alice).await;
    let admin = logged_in(address, &root).await;
    let panel = logged_in(address, &gateway.panel_key()).await;
    for (shows, role, user, may) in [
        (&member, json!("member"), json!("alice"), false),
        (&admin, json!("admin"), json!("root"), true),
        (&panel, json!("operator"), Value::Null, true),
        (&Shows::Bearer(alice.clone()), json!("member"), json!("alice"), false),
        (&Shows::Nothing, Value::Null, Value::Null, false),
    ] {
        let who = own(&gateway, shows, "session").await;
        let told = (&who["role"], &who["user"], &who["may_read"], &who["may_write"]);
        assert_eq!(told, (&role, &user, &json!(may), &json!(may)), "{who}");
    }
    // An admin's name is in the audit.
    let made = send(address, &admin, "POST", "users", json!({"name": "bob"})).await;
    assert_eq!(made.status(), 200, "{}", made.text());
    let audit = own(&gateway, &admin, "audit").await;
    assert_eq!(audit["changes"][0]["actor"], format!("root ({of_root})"));

    // What ends a token ends its sessions, and what they listen to; what brings it back brings them back.
    let mut live = gateway.connect().await;
    live.send(admin.with(Request::get("/api/admin/live")).bytes()).await;
    assert_eq!(live.head("GET").await.status, 200);
    let token = format!("tokens/{of_root}");
    ask(&gateway, "PATCH", &token, json!({"state": "suspended"})).await;
    assert_eq!(outcome(address, &admin, "GET", "users").await, (401, "key_needed".to_owned()));
    within("the live feed ends", async { while live.try_piece().await.unwrap_or(None).is_some() {} }).await;
    let refused = login(address, &root).await;
    assert_eq!((refused.status(), code(&refused)), (401, "token_refused".to_owned()));
    let said = refused.json()["error"]["message"].clone();
    assert_eq!(said, "This token, or its user, is suspended: ask whoever runs the gateway.");
    ask(&gateway, "PATCH", &token, json!({"state": "active"})).await;
    assert_eq!(outcome(address, &admin, "GET", "users").await.0, 200);
    ask(&gateway, "PATCH", &token, json!({"addresses": ["192.0.2.0/24"]})).await;
    assert_eq!(outcome(address, &admin, "GET", "users").await.0, 401, "not from here");
    ask(&gateway, "PATCH", &token, json!({"addresses": []})).await;
    ask(&gateway, "PATCH", "users/root", json!({"role": "member"})).await;
    assert_eq!(outcome(address, &admin, "GET", "users").await, (403, "admin_needed".to_owned()));
    let soon = "expires_at_ms";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() as u64;
    ask(&gateway, "PATCH", &token, json!({soon: now + 1_500})).await;
    assert_eq!(outcome(address, &admin, "GET", "me").await.0, 200);
    within("it expires", async {
        while outcome(address, &admin, "GET", "me").await.0 == 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;

    // A rotation ends the sessions of the text that ends with it.
    let rotate = format!("me/tokens/{of_alice}/rotate");
    let second = send(address, &member, "POST", &rotate, json!({})).await.json();
    assert_eq!(outcome(address, &member, "GET", "me").await.0, 200, "for a day");
    // Whoever else has the former text cannot take the token over, nor use its rotations up.
    for old in [&member, &Shows::Bearer(alice.clone())] {
        let refused = send(address, old, "POST", &rotate, json!({"overlap_ms": 0})).await;
        assert_eq!((refused.status(), code(&refused)), (403, "text_replaced".to_owned()));
    }
    let second = second["token"].as_str().expect("a token").to_owned();
    let third = send(address, &Shows::Bearer(second.clone()), "POST", &rotate, json!({"overlap_ms": 0})).await.json();
    assert_eq!(outcome(address, &member, "GET", "me").await.0, 401);
    let third = third["token"].as_str().expect("a token").to_owned();
    let member = logged_in(address, &third).await;
    // A logout ends one session for ever, a revocation all.
    let other = logged_in(address, &third).await;
    assert_eq!(send(address, &member, "DELETE", "session", Value::Null).await.status(), 204);
    assert_eq!(outcome(address, &member, "GET", "me").await.0, 401);
    assert_eq!(outcome(address, &other, "GET", "me").await.0, 200);
    ask(&gateway, "DELETE", &format!("tokens/{of_alice}"), Value::Null).await;
    assert_eq!(outcome(address, &other, "GET", "me").await.0, 401);
    let log = gateway.stderr();
    assert!([&alice, &root, &second, &third].iter().all(|token| !log.contains(*token)), "{log}");
}

#[tokio::test]
async fn logins_with_unknown_tokens_are_slowed_down_as_those_with_wrong_keys_are() {
    let upstream = Upstream::start(answer).await;
    let gateway = builder(&upstream).start().await;
    let (of_alice, alice) = join(&gateway, "alice", "member").await;
    let address = gateway.addr();
    let told = async |key: &str| {
        let answer = login(address, key).await;
        (answer.status(), if answer.status() == 204 { String::new() } else { code(&answer) })
    };
    for key in [UNKNOWN, "agw_short", "no-key", UNKNOWN, UNKNOWN] {
        assert_eq!(told(key).await, (401, "wrong_key".to_owned()), "{key}");
    }
    assert_eq!(told(UNKNOWN).await, (429, "too_many_wrong_keys".to_owned()));
    // Good ones are taken at any time, and those that were good once are no guesses.
    assert_eq!(told(&alice).await.0, 204);
    ask(&gateway, "DELETE", &format!("tokens/{of_alice}"), Value::Null).await;
    for _ in 0..10 {
        assert_eq!(told(&alice).await, (401, "token_refused".to_owned()));
    }
    // A page of another site logs nobody in.
    let request = api("POST", "session", &json!({"key": alice})).header("sec-fetch-site", "cross-site");
    assert_eq!(Client::connect(address).await.request(&request).await.status(), 403);
}

async fn message(gateway: &Gateway, token: &str, session: &str, size: u64) {
    let body = json!({"model": "model-x", "max_tokens": size, "messages": [{"role": "user", "content": "hello"}]});
    let request = Request::post("/v1/messages", body.to_string())
        .header("authorization", format!("Bearer {token}"))
        .header("x-claude-code-session-id", session);
    let answer = gateway.request(&request).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

fn names(list: &Value, name: &str) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|one| one[name].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn holders_see_their_own_and_nothing_of_others() {
    let upstream = Upstream::start(answer).await;
    let gateway = builder(&upstream).start().await;
    ask(&gateway, "POST", "groups", json!({"name": "dev"})).await;
    let (of_alice, alice) = join(&gateway, "alice", "member").await;
    let (of_bob, bob) = join(&gateway, "bob", "member").await;
    for user in ["alice", "bob"] {
        ask(&gateway, "PATCH", &format!("users/{user}"), json!({"group": "dev"})).await;
    }
    let (second_of_alice, second) = issue(&gateway, json!({"user": "alice", "name": "ci"})).await;
    let (_, second_of_bob) = issue(&gateway, json!({"user": "bob", "name": "ci"})).await;
    let limit = |subject: &str, id: &str, amount: f64| json!({"subject": subject, "id": id, "measure": "usd", "window": "day", "amount": amount});
    for (subject, id, amount) in [("token", &*of_alice, 5.0), ("user", "bob", 7.0), ("group", "dev", 0.5)] {
        ask(&gateway, "PUT", "limits", limit(subject, id, amount)).await;
    }
    message(&gateway, &alice, "mine", 1_000).await;
    message(&gateway, &alice, "both", 2_000).await;
    message(&gateway, &second, "ci", 10_000).await;
    message(&gateway, &bob, "bobs", 200_000).await;
    // What one with a new token is likely to use is not known yet: it goes beyond the group's limit.
    message(&gateway, &second_of_bob, "both", 100_000).await;
    recorded(&gateway, 5).await;
    let sessions = [Shows::Bearer(alice.clone()), logged_in(gateway.addr(), &alice).await];
    for shows in &sessions {
        // Whatever else a query names.
        let queries = [
            "",
            "user=bob",
            "key=",
            "session=bobs",
            "client=127.0.0.1",
            "upstream=relay",
            "group=dev",
            "by=model",
            "token=",
            "sort=cost",
            "q=",
            "model=model-x",
        ];
        for query in queries {
            let stats = own(&gateway, shows, &format!("me/stats?{query}")).await;
            assert_eq!((&stats["requests"], &stats["tokens"]["input"]), (&json!(3), &json!(13_000)), "{query}");
            let series = own(&gateway, shows, &format!("me/stats/series?{query}")).await;
            let points = series["points"].as_array().expect("points");
            assert_eq!(points.iter().filter_map(|point| point["requests"].as_u64()).sum::<u64>(), 3, "{query}");
            let found = own(&gateway, shows, &format!("me/sessions?{query}")).await;
            let mut told = names(&found["sessions"], "session");
            told.sort();
            assert_eq!(told, ["both", "ci", "mine"], "{query}");
            // Of a session that another one has too only the own requests count.
            assert_eq!((&found["sum"]["requests"], &found["sum"]["tokens"]["input"]), (&json!(3), &json!(13_000)));
            let waste = own(&gateway, shows, &format!("me/waste?{query}")).await;
            assert_eq!(waste["total"]["requests"], 0);
            let all = format!("{stats}{series}{found}{waste}");
            for others in ["bob", &of_bob, "relay"] {
                assert!(!all.contains(others), "{others} in {all}");
            }
        }
        let one = own(&gateway, shows, &format!("me/stats?token={second_of_alice}")).await;
        assert_eq!((&one["requests"], &one["tokens"]["input"]), (&json!(1), &json!(10_000)));
        let one = own(&gateway, shows, &format!("me/sessions?token={second_of_alice}")).await;
        assert_eq!(names(&one["sessions"], "session"), ["ci"]);
        for other in [of_bob.as_str(), "tok_0", "bob/default", "alice/ci"] {
            for path in ["stats", "stats/series", "sessions", "waste"] {
                let told = outcome(gateway.addr(), shows, "GET", &format!("me/{path}?token={other}")).await;
                assert_eq!(told, (403, "not_yours".to_owned()), "{path} {other}");
            }
        }
        for by in ["upstream", "upstream_key", "key", "client", "session"] {
            let told = outcome(gateway.addr(), shows, "GET", &format!("me/stats/series?by={by}")).await;
            assert_eq!(told, (400, "not_a_choice".to_owned()), "{by}");
        }
        let me = own(&gateway, shows, "me").await;
        assert_eq!(
            (&me["role"], &me["user"], &me["token"]["id"]),
            (&json!("member"), &json!("alice"), &json!(of_alice))
        );
        assert_eq!(names(&me["tokens"], "name"), ["ci", "default"]);
        assert_eq!(me["usage"], own(&gateway, shows, "me/usage").await["usage"]);
        assert!(!me.to_string().contains("bob") && !me.to_string().contains(&of_bob), "{me}");
        assert_eq!(names(&me["usage"], "subject"), ["token", "group"]);
    }
    // The ledger is a second behind. What the group has left would tell what others spent; that it has nothing left, does not.
    within("the limits are told", async {
        loop {
            let usage = own(&gateway, &sessions[1], "me/usage").await["usage"].clone();
            if usage[0]["used"] == json!(0.006) && usage[1]["is_used_up"] == json!(true) {
                let group = &usage[1];
                assert_eq!(
                    (&group["used"], &group["held"], &group["left"]),
                    (&Value::Null, &Value::Null, &Value::Null)
                );
                assert!(usage[0]["resets_at_ms"].as_i64() > usage[0]["opens_at_ms"].as_i64(), "{usage}");
                assert!((usage[0]["left"].as_f64().expect("left") - 4.994).abs() < 1e-9, "{usage}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let all = ask(&gateway, "GET", &format!("usage?token={of_alice}"), Value::Null).await;
    assert_eq!(names(&all["usage"], "subject"), ["token", "group"]);
    assert!(all["usage"][1]["used"].as_f64() > Some(0.6), "{all}");
    // The id of a token is no secret: whoever sends it as a key is not its holder.
    gateway.request(&Request::post("/v1/messages", "{}").header("x-api-key", of_alice.clone())).await;
    recorded(&gateway, 6).await;
    assert_eq!(own(&gateway, &sessions[1], "me/stats").await["requests"], 3);
}

/// Waits for as many rows.
async fn recorded(gateway: &Gateway, rows: u64) {
    within("the rows are written", async {
        while ask(gateway, "GET", "stats", Value::Null).await["requests"] != rows {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn figures_lists_and_downloads_are_asked_for_by_token_user_and_group() {
    let upstream = Upstream::start(answer).await;
    let gateway = builder(&upstream).start().await;
    ask(&gateway, "POST", "groups", json!({"name": "dev"})).await;
    let (of_alice, alice) = join(&gateway, "alice", "member").await;
    let (_, bob) = join(&gateway, "bob", "member").await;
    let (_, carol) = join(&gateway, "carol", "member").await;
    for user in ["alice", "bob"] {
        ask(&gateway, "PATCH", &format!("users/{user}"), json!({"group": "dev"})).await;
    }
    let (_, second) = issue(&gateway, json!({"user": "alice", "name": "ci"})).await;
    for (token, session, size) in [
        (&alice, "one", 1),
        (&alice, "two", 10),
        (&second, "two", 100),
        (&bob, "three", 1_000),
        (&carol, "two", 10_000),
    ] {
        message(&gateway, token, session, size).await;
    }
    recorded(&gateway, 5).await;
    // What was used with a token that has ended counts too.
    ask(&gateway, "DELETE", &format!("tokens/{of_alice}"), Value::Null).await;
    for (query, requests, input, sessions) in [
        ("", 5, 11_111, vec!["one", "three", "two"]),
        (&*format!("token={of_alice}"), 2, 11, vec!["one", "two"]),
        ("user=alice", 3, 111, vec!["one", "two"]),
        ("user=alice,carol", 4, 10_111, vec!["one", "two"]),
        ("group=dev", 4, 1_111, vec!["one", "three", "two"]),
        ("group=dev&user=bob", 1, 1_000, vec!["three"]),
        (&*format!("user=bob&token={of_alice}"), 0, 0, vec![]),
        ("user=nobody", 0, 0, vec![]),
        ("token=tok_0", 0, 0, vec![]),
    ] {
        let get = |path: &str| {
            let mark = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{mark}{query}");
            let gateway = &gateway;
            async move { ask(gateway, "GET", &path, Value::Null).await }
        };
        // Of sums, and of rows.
        for path in ["stats", "stats?client=127.0.0.1"] {
            let stats = get(path).await;
            assert_eq!(
                (&stats["requests"], &stats["tokens"]["input"]),
                (&json!(requests), &json!(input)),
                "{path} {query}"
            );
        }
        let sum = |list: &Value| {
            list.as_array().expect("a list").iter().filter_map(|one| one["requests"].as_u64()).sum::<u64>()
        };
        assert_eq!(sum(&get("stats/series").await["points"]), requests, "{query}");
        assert_eq!(sum(&get("stats/groups?by=model").await["groups"]), requests, "{query}");
        assert_eq!(sum(&get("stats/groups?by=session").await["groups"]), requests, "{query}");
        let found = get("sessions").await;
        let mut told = names(&found["sessions"], "session");
        told.sort();
        assert_eq!(told, sessions, "{query}");
        assert_eq!(found["sum"]["tokens"]["input"], input, "{query}");
        assert_eq!(get("requests").await["requests"].as_array().expect("rows").len() as u64, requests, "{query}");
        assert_eq!(get("waste").await["total"]["requests"], 0);
        let path = format!("export?{query}");
        let rows = send(gateway.addr(), &Shows::Bearer(gateway.panel_key()), "GET", &path, Value::Null).await;
        assert_eq!(rows.text().lines().count() as u64, requests + 1, "{query}");
    }
    let many = format!("stats?user={}", "a,".repeat(101));
    let told = outcome(gateway.addr(), &Shows::Bearer(gateway.panel_key()), "GET", &many).await;
    assert_eq!(told, (400, "too_many_values".to_owned()));
}
