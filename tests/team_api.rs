//! The admin API of the team: users, groups, client tokens, limits and the audit. `team_access.rs` has who may use what of it.

#[path = "team_api/audit.rs"]
mod audit;

use harness::{Client, Gateway, GatewayBuilder, Request, Response, Upstream, anthropic, within};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const UNKNOWN: &str = "agw_00000000000000000000000000000000000000000003wpEYm";

fn builder(upstream: &Upstream) -> GatewayBuilder {
    let url = upstream.url();
    let yaml = format!("gateway:\n  upstreams: [{{name: relay, base_url: \"{url}\", api_key: sk-relay-0123456789}}]\n");
    Gateway::builder(BINARY).yaml(&yaml)
}

fn api(method: &str, path: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, &format!("/api/admin/{path}")).header("content-type", "application/json");
    match body {
        Some(body) => request.body(body.to_string()),
        None => request,
    }
}

/// What the API answers to who has the panel's key.
async fn ask(gateway: &Gateway, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = Some(body).filter(|body| !body.is_null());
    let answer = gateway.request(&gateway.as_admin(api(method, path, body.as_ref()))).await;
    (answer.status(), answer.json())
}

/// The same, where it works.
#[track_caller]
fn fine((status, answer): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{answer}");
    answer
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

async fn message(gateway: &Gateway, token: &str, model: &str) -> u16 {
    let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]});
    let request = Request::post("/v1/messages", body.to_string()).header("authorization", format!("Bearer {token}"));
    gateway.request(&request).await.status()
}

/// The text of a new token of a new user.
async fn issue(gateway: &Gateway, user: &str, role: &str) -> (String, String) {
    fine(ask(gateway, "POST", "users", json!({"name": user, "role": role})).await);
    let issued = fine(ask(gateway, "POST", "tokens", json!({"user": user})).await);
    (text(&issued, "id"), text(&issued, "token"))
}

#[tokio::test]
async fn users_groups_and_tokens_are_made_and_changed() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    for (path, name) in [("users", "users"), ("groups", "groups"), ("tokens", "tokens"), ("audit", "changes")] {
        assert_eq!(fine(ask(&gateway, "GET", path, Value::Null).await)[name], json!([]));
    }
    let group = fine(ask(&gateway, "POST", "groups", json!({"name": "dev", "time_zone": "Asia/Shanghai"})).await);
    assert_eq!((&group["name"], &group["time_zone"]), (&json!("dev"), &json!("Asia/Shanghai")));
    let user = fine(ask(&gateway, "POST", "users", json!({"name": "王小明", "email": "a@b.c", "group": "dev"})).await);
    assert_eq!((&user["group"], &user["role"], &user["state"]), (&json!("dev"), &json!("member"), &json!("active")));
    let user = format!("users/{}", text(&user, "id"));
    let new = json!({"user": "王小明", "name": "laptop", "models": ["claude-haiku-*"], "addresses": ["127.0.0.1"]});
    let issued = fine(ask(&gateway, "POST", "tokens", new).await);
    let (id, token) = (text(&issued, "id"), text(&issued, "token"));
    assert_eq!(message(&gateway, &token, "claude-haiku-5-5").await, 200);
    assert_eq!(message(&gateway, &token, "claude-opus-5-5").await, 404);
    let path = format!("tokens/{id}");

    // What is given changes, the rest stays, and requests see it at once.
    let changed = fine(ask(&gateway, "PATCH", &path, json!({"models": []})).await);
    assert_eq!((&changed["models"], &changed["addresses"]), (&json!([]), &json!(["127.0.0.1/32"])));
    assert_eq!(message(&gateway, &token, "claude-opus-5-5").await, 200);
    fine(ask(&gateway, "PATCH", &path, json!({"addresses": ["192.0.2.0/24"]})).await);
    assert_eq!(message(&gateway, &token, "claude-opus-5-5").await, 403);
    fine(ask(&gateway, "PATCH", &path, json!({"addresses": [], "expires_at_ms": 4_000_000_000_000_i64})).await);
    let changed = fine(ask(&gateway, "PATCH", &path, json!({"expires_at_ms": null, "name": "desk"})).await);
    assert_eq!((&changed["expires_at_ms"], &changed["name"]), (&Value::Null, &json!("desk")));
    for place in [&path, &user] {
        for (state, status) in [("suspended", 403), ("active", 200)] {
            fine(ask(&gateway, "PATCH", place, json!({"state": state})).await);
            assert_eq!(message(&gateway, &token, "claude-opus-5-5").await, status, "{place} is {state}");
        }
    }
    let changed = fine(ask(&gateway, "PATCH", &user, json!({"email": null, "group": null})).await);
    assert_eq!((&changed["email"], &changed["group"], &changed["tokens"]), (&Value::Null, &Value::Null, &json!(1)));
    let rotated = fine(ask(&gateway, "POST", &format!("{path}/rotate"), json!({"overlap_ms": 0})).await);
    assert_eq!(message(&gateway, &token, "claude-opus-5-5").await, 401);
    let second = text(&rotated, "token");
    assert_eq!(message(&gateway, &second, "claude-opus-5-5").await, 200);
    let rotated = fine(ask(&gateway, "POST", &format!("{path}/rotate"), json!({})).await);
    assert_eq!(message(&gateway, &second, "claude-opus-5-5").await, 200, "for a day");
    assert!(rotated["old_until_ms"].as_i64().is_some());
    let listed = fine(ask(&gateway, "GET", "tokens?user=%E7%8E%8B%E5%B0%8F%E6%98%8E", Value::Null).await);
    assert_eq!(listed["tokens"].as_array().map(Vec::len), Some(1));
    assert_eq!(fine(ask(&gateway, "GET", &path, Value::Null).await), listed["tokens"][0]);
    assert_eq!(fine(ask(&gateway, "DELETE", &path, Value::Null).await)["state"], "revoked");
    assert_eq!(message(&gateway, &text(&rotated, "token"), "claude-opus-5-5").await, 401);

    // Each change is in the audit: who, from where, what it was and is; page by page, without any text.
    let all = fine(ask(&gateway, "GET", "audit", Value::Null).await);
    let changes = all["changes"].as_array().expect("changes");
    let actions: Vec<&str> = changes.iter().filter_map(|change| change["action"].as_str()).collect();
    assert_eq!(actions[0], "token.revoke");
    for action in
        ["group.create", "user.create", "token.create", "token.change", "user.suspend", "user.resume", "user.change"]
    {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    for change in changes {
        assert_eq!(
            (&change["actor"], &change["address"]),
            (&json!("the panel's key"), &json!("127.0.0.1")),
            "{change}"
        );
    }
    assert_eq!((&changes[0]["before"]["state"], &changes[0]["after"]["state"]), (&json!("active"), &json!("revoked")));
    assert!(![&token, &second].iter().any(|token| all.to_string().contains(*token)));
    let page = fine(ask(&gateway, "GET", "audit?limit=2", Value::Null).await);
    let rest = fine(ask(&gateway, "GET", &format!("audit?before={}", page["next"]), Value::Null).await);
    assert_eq!(rest["changes"][0], changes[2]);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    let (id, token) = issue(&gateway, "alice", "member").await;
    let cases = [
        ("POST", "users", json!({"name": "alice"}), 409, "name_taken"),
        ("POST", "users", json!({"name": "a/b"}), 400, "not_for_team"),
        ("POST", "users", json!({"name": "bob", "role": "king"}), 400, "not_for_team"),
        ("POST", "users", json!({"name": "bob", "group": "none"}), 400, "not_for_team"),
        ("POST", "users", json!({"nam": "bob"}), 400, "body_unread"),
        ("PATCH", "users/bob", json!({"state": "active"}), 404, "not_in_team"),
        ("PATCH", "users/alice", json!({"state": "revoked"}), 400, "not_for_team"),
        ("POST", "groups", json!({"name": "x", "time_zone": "../../etc/passwd"}), 400, "not_for_team"),
        ("GET", "tokens?user=bob", Value::Null, 404, "not_in_team"),
        ("GET", "tokens/tok_0", Value::Null, 404, "not_in_team"),
        ("POST", "tokens", json!({"user": "bob"}), 404, "not_in_team"),
        ("POST", "tokens", json!({"user": "alice"}), 409, "name_taken"),
        ("POST", "tokens", json!({"user": "alice", "name": "b", "upstreams": ["x"]}), 400, "not_for_team"),
        ("POST", "tokens", json!({"user": "alice", "name": "b", "expires_at_ms": 1}), 400, "not_for_team"),
        ("PATCH", &format!("tokens/{id}"), json!({"addresses": ["here"]}), 400, "not_for_team"),
        ("PATCH", &format!("tokens/{token}"), json!({}), 404, "not_in_team"),
        ("DELETE", "tokens/tok_0", Value::Null, 404, "not_in_team"),
        ("GET", "audit?limit=0", Value::Null, 400, "not_a_number"),
        ("PUT", "users", json!({}), 405, "no_method"),
    ];
    for (method, path, body, status, code) in cases {
        let (got, answer) = ask(&gateway, method, path, body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{method} {path}: {answer}");
        assert!(!answer.to_string().contains(&token), "{answer}");
    }
    // A form of another site's page changes nothing.
    let form = Request::post("/api/admin/users", r#"{"name": "eve"}"#).header("content-type", "text/plain");
    assert_eq!(gateway.request(&gateway.as_admin(form)).await.status(), 415);
    // Nor does one that is refused as a whole: nothing of it is there.
    let (status, _) = ask(&gateway, "PATCH", "users/alice", json!({"email": "a@b.c", "role": "king"})).await;
    let users = fine(ask(&gateway, "GET", "users", Value::Null).await);
    assert_eq!((status, &users["users"][0]["email"]), (400, &Value::Null));
    assert_eq!(users["users"].as_array().map(Vec::len), Some(1));
}

async fn with_token(address: SocketAddr, token: &str, method: &str, path: &str) -> Response {
    let body = if method == "GET" { None } else { Some(json!({})) };
    let request = api(method, path, body.as_ref()).header("authorization", format!("Bearer {token}"));
    // Who is refused before the body was read has the connection closed.
    Client::connect(address).await.request(&request).await
}

#[tokio::test]
async fn limits_are_set_told_and_removed() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    for path in ["limits", "usage", "usage?subject=group"] {
        let name = if path == "limits" { "limits" } else { "usage" };
        assert_eq!(fine(ask(&gateway, "GET", path, Value::Null).await)[name], json!([]), "{path}");
    }
    let group = fine(ask(&gateway, "POST", "groups", json!({"name": "dev"})).await);
    let (id, token) = issue(&gateway, "alice", "member").await;
    fine(ask(&gateway, "PATCH", "users/alice", json!({"group": "dev"})).await);
    let limit = |subject: &str, id: &str, what: &str, amount: Value| {
        let (measure, window) = what.split_once(' ').expect("two words");
        json!({"subject": subject, "id": id, "measure": measure, "window": window, "amount": amount})
    };
    let put = async |limit: Value| fine(ask(&gateway, "PUT", "limits", limit).await)["limits"].clone();
    let written = |limits: &Value| {
        let all = limits.as_array().expect("limits").iter();
        all.map(|limit| text(limit, "limit")).collect::<Vec<_>>()
    };
    put(limit("token", &id, "usd day", json!(5))).await;
    let set = put(limit("token", "alice/default", "usd day", json!(0.000_000_001))).await;
    assert_eq!(written(&set), ["usd:day:0.000000001"], "in place of the other");
    assert_eq!(
        (&set[0]["id"], &set[0]["name"], &set[0]["amount"]),
        (&json!(id), &json!("alice/default"), &json!(1e-9))
    );
    put(limit("user", "alice", "requests minute", json!(60))).await;
    let set = put(limit("user", "alice", "requests now", json!(2))).await;
    assert_eq!(written(&set), ["requests:minute:60", "requests:now:2"]);
    put(limit("group", &text(&group, "id"), "tokens month", json!(2_000_000))).await;

    // All of them, those of a kind, those of one; what one token is checked against.
    let listed = async |path: &str| {
        let told = fine(ask(&gateway, "GET", path, Value::Null).await);
        written(if told["limits"].is_null() { &told["usage"] } else { &told["limits"] })
    };
    assert_eq!(listed("limits").await.len(), 4);
    assert_eq!(listed("limits?subject=group").await, ["tokens:month:2000000"]);
    assert_eq!(listed("limits?subject=group&id=dev").await, ["tokens:month:2000000"]);
    assert_eq!(listed("usage?subject=user&id=alice").await, ["requests:minute:60", "requests:now:2"]);
    let (other, _) = issue(&gateway, "bob", "member").await;
    assert_eq!(listed(&format!("usage?token={id}")).await.len(), 4);
    assert_eq!(listed(&format!("usage?token={other}")).await, [""; 0]);

    // They hold, and are told: what has no price is refused to whom has a limit in dollars.
    assert_eq!(message(&gateway, &token, "nobody-sells-it").await, 404);
    let removed = async |query: &str| ask(&gateway, "DELETE", &format!("limits?{query}"), Value::Null).await;
    assert_eq!(fine(removed(&format!("subject=token&id={id}&measure=usd&window=day")).await)["limits"], json!([]));
    assert_eq!(message(&gateway, &token, "nobody-sells-it").await, 200);
    let usage = fine(ask(&gateway, "GET", &format!("usage?token={id}"), Value::Null).await)["usage"].clone();
    let of =
        |limit: &str| usage.as_array().expect("rows").iter().find(|row| row["limit"] == limit).expect("it").clone();
    let rate = of("requests:minute:60");
    assert_eq!((&rate["used"], &rate["left"], &rate["is_used_up"]), (&Value::Null, &Value::Null, &json!(false)));
    let month = of("tokens:month:2000000");
    assert!(month["opens_at_ms"].as_i64().zip(month["resets_at_ms"].as_i64()).is_some_and(|(from, to)| from < to));
    let now = of("requests:now:2");
    assert_eq!((&now["used"], &now["opens_at_ms"], &now["resets_at_ms"]), (&json!(0), &Value::Null, &Value::Null));

    let cases = [
        ("PUT", "limits", limit("token", &id, "usd day", json!(0)), 400, "not_for_team"),
        ("PUT", "limits", limit("token", &id, "usd day", json!("5")), 400, "body_unread"),
        ("PUT", "limits", limit("token", &id, "requests day", json!(1.5)), 400, "not_for_team"),
        ("PUT", "limits", limit("token", &id, "usd now", json!(1)), 400, "not_for_team"),
        ("PUT", "limits", limit("token", &id, "usd year", json!(1)), 400, "not_for_team"),
        ("PUT", "limits", limit("team", &id, "usd day", json!(1)), 400, "not_a_choice"),
        ("PUT", "limits", limit("token", "tok_0", "usd day", json!(1)), 404, "not_in_team"),
        ("PUT", "limits", limit("user", "nobody", "usd day", json!(1)), 404, "not_in_team"),
        ("GET", "limits?id=alice", Value::Null, 400, "not_a_choice"),
        ("GET", "limits?subject=user&id=nobody", Value::Null, 404, "not_in_team"),
        ("GET", "usage?token=tok_0", Value::Null, 404, "not_in_team"),
        ("DELETE", "limits?subject=user", Value::Null, 400, "not_a_choice"),
        ("DELETE", "limits?subject=user&id=alice", Value::Null, 400, "not_for_team"),
        ("DELETE", "limits?subject=user&id=alice&measure=usd&window=day", Value::Null, 404, "not_in_team"),
    ];
    for (method, path, body, status, code) in cases {
        let (got, answer) = ask(&gateway, method, path, body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{method} {path}: {answer}");
    }
    let audit = fine(ask(&gateway, "GET", "audit?limit=1000", Value::Null).await);
    let changes = audit["changes"].as_array().expect("changes");
    let removal = changes.iter().find(|change| change["action"] == "limit.remove").expect("a removal");
    assert_eq!((&removal["before"], &removal["target"]), (&json!("usd:day:0.000000001"), &json!(id)));
}

#[tokio::test]
async fn a_members_token_sees_its_own_and_nothing_else() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    let (id, token) = issue(&gateway, "alice", "member").await;
    let (of_bob, _) = issue(&gateway, "bob", "member").await;
    for address in [gateway.addr(), gateway.admin_addr()] {
        let me = with_token(address, &token, "GET", "me").await.json();
        assert_eq!((&me["role"], &me["user"], &me["token"]["id"]), (&json!("member"), &json!("alice"), &json!(id)));
        let who = with_token(address, &token, "GET", "session").await.json();
        assert_eq!((&who["may_read"], &who["may_write"]), (&json!(false), &json!(false)));
        // Another one's token is none.
        for other in [of_bob.as_str(), "tok_0", "bob%2Fdefault"] {
            let answer = with_token(address, &token, "POST", &format!("me/tokens/{other}/rotate")).await;
            assert_eq!((answer.status(), &answer.json()["error"]["code"]), (403, &json!("not_yours")), "{other}");
        }
        // In a field of its own it is no login, and as a cookie neither.
        let request = Request::get("/api/admin/me")
            .header("x-api-key", &token)
            .header("cookie", format!("gateway_session={token}"));
        assert_eq!(Client::connect(address).await.request(&request).await.status(), 401);
    }
    let address = gateway.addr();
    let rotated = with_token(address, &token, "POST", &format!("me/tokens/{id}/rotate")).await.json();
    let second = text(&rotated, "token");
    assert_eq!(with_token(address, &second, "GET", "me").await.status(), 200);
    let audit = fine(ask(&gateway, "GET", "audit", Value::Null).await);
    assert_eq!(audit["changes"][0]["actor"], format!("alice ({id})"));
    // Whose token works no more is nobody.
    fine(ask(&gateway, "PATCH", "users/alice", json!({"state": "suspended"})).await);
    assert_eq!(with_token(address, &second, "GET", "me").await.status(), 401);
    assert_eq!(with_token(address, UNKNOWN, "GET", "me").await.status(), 401);
    assert!(!gateway.stderr().contains(&token) && !gateway.stderr().contains(&second));
}

#[tokio::test]
async fn an_admins_token_may_everything_until_it_is_ended() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    let (id, token) = issue(&gateway, "root", "admin").await;
    for address in [gateway.addr(), gateway.admin_addr()] {
        let made = api("POST", "users", Some(&json!({"name": format!("by-{}", address.port())})));
        let made =
            Client::connect(address).await.request(&made.header("authorization", format!("Bearer {token}"))).await;
        assert_eq!(made.status(), 200, "{}", made.text());
    }
    let audit = fine(ask(&gateway, "GET", "audit", Value::Null).await);
    assert_eq!(audit["changes"][0]["actor"], format!("root ({id})"));
    // It goes on working as a token.
    assert_eq!(message(&gateway, &token, "claude-haiku-5-5").await, 200);
    // What it listens to ends with it.
    let mut live = gateway.connect().await;
    live.send(Request::get("/api/admin/live").header("authorization", format!("Bearer {token}")).bytes()).await;
    assert_eq!(live.head("GET").await.status, 200);
    fine(ask(&gateway, "PATCH", "users/root", json!({"role": "member"})).await);
    within("the live feed ends", async { while live.try_piece().await.unwrap_or(None).is_some() {} }).await;
    let address = gateway.addr();
    assert_eq!(with_token(address, &token, "GET", "users").await.status(), 403);
    assert_eq!(with_token(address, &token, "GET", "me").await.status(), 200);
}

#[tokio::test]
async fn wrong_tokens_at_the_api_are_slowed_down_and_right_ones_are_not() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = builder(&upstream).start().await;
    let (_, token) = issue(&gateway, "root", "admin").await;
    let address = gateway.addr();
    for _ in 0..5 {
        assert_eq!(with_token(address, UNKNOWN, "GET", "users").await.status(), 401);
    }
    assert_eq!(with_token(address, UNKNOWN, "GET", "users").await.status(), 429);
    let served = tokio::time::timeout(Duration::from_secs(5), with_token(address, &token, "GET", "users")).await;
    assert_eq!(served.expect("at once").status(), 200);
}
