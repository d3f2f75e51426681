//! Client tokens: who is served with one, who is not, and that none of them reaches anybody else.

#[path = "tokens/codings.rs"]
mod codings;
#[path = "tokens/ended.rs"]
mod ended;
#[path = "tokens/relay_key.rs"]
mod relay_key;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use harness::{
    Client, Gateway, GatewayBuilder, Output, Reply, Request, Response, Upstream, anthropic, fixtures, within,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const RELAY_KEY: &str = "sk-relay-0123456789abcdef";
/// A token in form that nobody issued: that of 32 bytes of zero.
const UNKNOWN: &str = "agw_00000000000000000000000000000000000000000003wpEYm";

fn gateway() -> GatewayBuilder {
    Gateway::builder(BINARY)
}

/// A configuration with one upstream, and more of its own.
fn yaml(upstream: &Upstream, more: &str) -> String {
    let url = upstream.url();
    format!(
        "grace_period_seconds: 1\ngateway:\n  upstreams:\n    - {{name: relay, base_url: \"{url}\", api_key: {RELAY_KEY}}}\n{more}"
    )
}

async fn relay() -> Upstream {
    Upstream::start(|_| Reply::json("{}")).await
}

/// What a command that works prints.
#[track_caller]
fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}

/// What a command prints as JSON.
#[track_caller]
fn told(output: Output) -> Value {
    let text = said(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn command(gateway: &Gateway, line: &str) -> Output {
    gateway.command(&line.split(' ').collect::<Vec<_>>()).await
}

/// Id and text of a new token of alice, who is made if need be.
async fn issue(gateway: &Gateway, options: &str) -> (String, String) {
    let _ = command(gateway, "user create --name alice").await;
    let issued = told(command(gateway, format!("token create --user alice --json {options}").trim_end()).await);
    let text = |name: &str| issued[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

fn message(model: &str) -> String {
    json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

fn post(token: &str) -> Request {
    Request::post("/v1/messages", message("claude-haiku-5-5")).header("authorization", format!("Bearer {token}"))
}

/// Status, type and message of an error of the gateway's, which no client is to repeat.
#[track_caller]
fn refused(answer: &Response) -> (u16, String) {
    let error = answer.json();
    assert_eq!(error["type"], "error", "{error}");
    assert!(error["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{error}");
    assert_eq!(answer.header("x-should-retry").as_deref(), Some("false"), "{error}");
    (answer.status(), error["error"]["type"].as_str().unwrap_or_default().to_owned())
}

async fn has_reason(gateway: &Gateway, from: usize, reason: &str) {
    let wanted = format!(" reason={reason} ");
    gateway.stderr_line(from, &wanted, |line| line.contains(&wanted)).await;
}

/// The newest rows of the log with this filter, as soon as there are so many.
async fn rows(gateway: &Gateway, filter: &str, least: usize) -> Vec<Value> {
    within("the rows", async {
        loop {
            let list = gateway.as_admin(Request::get(&format!("/api/admin/requests?limit=100&{filter}")));
            let rows = gateway.request(&list).await.json()["requests"].as_array().cloned().unwrap_or_default();
            if rows.len() >= least {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// A text in the forms in which it can be repeated.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let inner = |offset: usize| {
        let coded = STANDARD_NO_PAD.encode(format!("{}{text}", "x".repeat(offset)));
        coded[(offset * 8).div_ceil(6)..(offset + text.len()) * 8 / 6].to_owned()
    };
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let all = [text.to_owned(), percent.clone(), percent.replace('%', "%25"), inner(0), inner(1), inner(2)];
    all.map(String::into_bytes).to_vec()
}

/// Where one of these texts stands in some bytes.
fn assert_absent(tokens: &[String], place: &str, bytes: &[u8]) {
    for token in tokens {
        for form in forms(token) {
            let found = bytes.windows(form.len()).any(|part| part == form);
            assert!(!found, "{place} holds {}", String::from_utf8_lossy(&form));
        }
    }
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn a_token_works_in_both_fields_and_reaches_nobody() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let rules = "  rules:
    - name: who
      match: {user: alice, group: dev}
      headers: {set: {x-who: \"${user}/${group}/${token}\", x-copy: \"${header.authorization}${header.x-api-key}\"}}
    - name: others
      match: {not: {user: alice}}
      headers: {set: {x-who: nobody}}
  log: {capture: all}
  thinking: {on_move: keep}
  debug: true
";
    let gateway = gateway().yaml(&yaml(&upstream, rules)).env("GATEWAY_DB", "data/log.db").start().await;
    said(command(&gateway, "group create --name dev --time-zone Asia/Shanghai").await);
    said(command(&gateway, "user create --name alice --email alice@example.com --group dev").await);
    let (id, token) = issue(&gateway, "--model claude-*").await;
    let tokens = vec![token.clone()];
    let mut count = 0;
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.target().starts_with("/v1/messages?")) {
        for (field, value) in [("authorization", format!("Bearer {token}")), ("X-Api-Key", token.clone())] {
            let keys = ["authorization", "x-api-key", "host", "content-length", "connection"];
            let fields = fixture.fields().into_iter().filter(|(name, _)| !keys.contains(&&*name.to_lowercase()));
            let request = Request::post(&fixture.target(), fixture.body.clone()).header(field, value);
            let request = fields.fold(request, |request, (name, value)| request.header(&name, value));
            let answer = gateway.request(&request).await;
            assert_eq!(answer.status(), 200, "{}: {}", fixture.name, answer.text());
            assert_absent(&tokens, "the response", answer.text().as_bytes());
            let last = upstream.last();
            let (key, other) =
                if field == "X-Api-Key" { ("x-api-key", "authorization") } else { ("authorization", "x-api-key") };
            let expected = if key == "x-api-key" { RELAY_KEY.to_owned() } else { format!("Bearer {RELAY_KEY}") };
            assert_eq!((last.headers.all(key), last.headers.all(other)), (vec![expected], vec![]));
            assert_eq!(last.headers.all("x-who"), [format!("alice/dev/{id}")]);
            assert!(last.headers.all("x-copy")[0].contains("********"), "{:?}", last.headers.all("x-copy"));
            assert_eq!(last.body, fixture.body, "{}", fixture.name);
            count += 1;
        }
    }
    assert!(count > 4, "{count} requests");
    // Without a body, and over HTTP/2.
    let models = Request::get("/v1/models?limit=1000").header("x-api-key", &token);
    assert_ne!(gateway.request(&models).await.status(), 401);
    let client = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages").header("x-api-key", &token);
    let body = message("claude-haiku-5-5");
    let answer = client.send(request.body(()).expect("a request"), &[body.as_bytes()]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().headers.all("x-api-key"), [RELAY_KEY]);

    // The rows know whose requests these were.
    let rows = rows(&gateway, "user=alice", count + 1).await;
    for row in &rows {
        assert_eq!((&row["user"], &row["group"], &row["token"]), (&json!("alice"), &json!("dev"), &json!(id)), "{row}");
    }
    let other = gateway.as_admin(Request::get("/api/admin/requests?user=bob"));
    assert_eq!(gateway.request(&other).await.json()["requests"], json!([]));

    for one in upstream.received() {
        assert_absent(&tokens, "the upstream's request", &[&one.raw_head[..], &one.body].concat());
        assert!(!format!("{:?}", one.headers).contains("agw_"), "{:?}", one.headers);
    }
    for path in ["/api/admin/requests?limit=100", "/api/admin/live", "/api/admin/config", "/api/admin/running"] {
        let mut client = gateway.connect().await;
        client.send(gateway.as_admin(Request::get(path)).bytes()).await;
        let mut got = client.head("GET").await.status.to_string().into_bytes();
        if let Ok(Ok(Some(piece))) = tokio::time::timeout(Duration::from_secs(1), client.try_piece()).await {
            got.extend(piece);
        }
        assert_absent(&tokens, path, &got);
    }
    for row in &rows {
        let one =
            gateway.as_admin(Request::get(&format!("/api/admin/requests/{}", row["id"].as_str().expect("an id"))));
        assert_absent(&tokens, "a request's page", gateway.request(&one).await.text().as_bytes());
    }
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    assert_absent(&tokens, "the metrics", metrics.as_bytes());
    assert_absent(&tokens, "the log", gateway.stderr().as_bytes());
    let show = said(command(&gateway, &format!("token show {id}")).await);
    let list = said(command(&gateway, "token list --json").await);
    assert_absent(&tokens, "the command line", format!("{show}{list}").as_bytes());
    assert!(show.contains("claude-*") && show.contains("alice"), "{show}");
    let mut found = Vec::new();
    files(gateway.dir(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("team.db")) && found.iter().any(|path| path.ends_with("log.db")));
    for path in found {
        assert_absent(&tokens, &path.display().to_string(), &std::fs::read(&path).expect("a file"));
    }
}

#[tokio::test]
async fn each_refusal_is_told_and_nothing_of_it_goes_upstream() {
    let upstream = relay().await;
    let more = "  trusted_proxies: 127.0.0.1
  log: {capture: all}
  debug: true
  rules: [{name: answers, match: {path: /v1/messages}, respond: {status: 200, body: \"by a rule\"}}]
";
    let gateway = gateway().yaml(&yaml(&upstream, more)).env("GATEWAY_DB", "data/log.db").start().await;
    let (_, token) = issue(&gateway, "").await;
    let answer = gateway.request(&post(&token)).await;
    assert_eq!((answer.status(), answer.text()), (200, "by a rule".to_owned()));
    let (_, near) = issue(&gateway, "--name near --address 192.0.2.0/24").await;
    let (_, haiku) = issue(&gateway, "--name haiku --model claude-haiku-*").await;
    let (revoked_id, revoked) = issue(&gateway, "--name revoked").await;
    said(command(&gateway, &format!("token revoke {revoked_id}")).await);
    let (_, brief) = issue(&gateway, "--name brief --expires 1s").await;
    said(command(&gateway, "user create --name bob").await);
    let of_bob = said(command(&gateway, "token create --user bob").await);
    said(command(&gateway, "user suspend bob").await);
    let typo = format!("{}{}", &token[..token.len() - 1], if token.ends_with('x') { 'y' } else { 'x' });
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let body = |text: &str| {
        format!("{{\"model\":\"claude-haiku-5-5\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}")
    };
    let with = |body: String| Request::post("/v1/messages", body).header("authorization", format!("Bearer {haiku}"));
    let twice = r#"{"model":"claude-haiku-5-5","max_tokens":9,"Model":"claude-opus-5-5"}"#.to_owned();
    let cases = [
        (401, "authentication_error", "token_unknown", post(UNKNOWN)),
        (401, "authentication_error", "token_unknown", post(&typo)),
        (401, "authentication_error", "token_unknown", Request::get("/v1/models").header("x-api-key", "agw_")),
        (401, "authentication_error", "token_revoked", post(&revoked)),
        (401, "authentication_error", "token_expired", post(&brief)),
        (403, "permission_error", "token_suspended", post(&of_bob)),
        (403, "permission_error", "token_address", post(&near)),
        (403, "permission_error", "token_address", post(&near).header("X-Forwarded-For", "192.0.2.7, 198.51.100.1")),
        (404, "not_found_error", "token_model", with(message("claude-opus-5-5"))),
        (404, "not_found_error", "token_model", with(twice)),
        (404, "not_found_error", "token_model", with("{}".to_owned())),
        (404, "not_found_error", "token_model", with(message("claude-haiku-5-5")).header("Content-Encoding", "br")),
        (403, "permission_error", "token_exposed", with(body(&format!("my token is {token}")))),
        (403, "permission_error", "token_exposed", Request::get(&format!("/v1/models?key={token}"))),
        (403, "permission_error", "token_exposed", post(&token).header("cookie", format!("a=b; key={token}"))),
    ];
    for (status, kind, reason, request) in cases {
        let from = gateway.stderr_lines();
        let answer = gateway.request(&request).await;
        assert_eq!(refused(&answer), (status, kind.to_owned()), "{reason}: {}", answer.text());
        has_reason(&gateway, from, reason).await;
        let chinese = gateway.request(&request.clone().header("Accept-Language", "zh-CN")).await;
        assert!(chinese.text().contains("令牌"), "{}", chinese.text());
    }
    // What the same tokens may.
    let own = async |request: Request| gateway.request(&request).await.text();
    assert_eq!(own(post(&near).header("X-Forwarded-For", "192.0.2.7")).await, "by a rule");
    assert_eq!(own(with(message("claude-haiku-5-5"))).await, "by a rule");
    // A token that is good no more is a text like others.
    assert_eq!(own(with(body(&revoked))).await, "by a rule");
    said(command(&gateway, "user resume bob").await);
    assert_eq!(own(post(&of_bob)).await, "by a rule");
    assert_eq!(upstream.received().len(), 0);
    // Beside tokens, everybody else is served as before.
    assert_eq!(own(post("sk-of-a-relay")).await, "by a rule");
    // Nothing that was refused left a token behind; the rows were written.
    let rows = rows(&gateway, "", 36).await;
    let all = [token, typo, near, haiku, revoked, brief, of_bob];
    assert_absent(&all, "the rows", rows.iter().map(ToString::to_string).collect::<String>().as_bytes());
    assert_absent(&all, "the log", gateway.stderr().as_bytes());
    let mut found = Vec::new();
    files(gateway.dir(), &mut found);
    for path in found {
        assert_absent(&all, &path.display().to_string(), &std::fs::read(&path).expect("a file"));
    }
}

#[tokio::test]
async fn a_token_goes_to_its_upstreams_only() {
    let (a, b) = (Upstream::start(anthropic::handler()).await, Upstream::start(anthropic::handler()).await);
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: a, base_url: \"{}\", api_key: sk-a}}\n    \
         - {{name: b, base_url: \"{}\", api_key: sk-b, priority: 1}}\n",
        a.url(),
        b.url()
    );
    let gateway = gateway().yaml(&yaml).start().await;
    let (_, all) = issue(&gateway, "").await;
    let (_, second) = issue(&gateway, "--name second --upstream b").await;
    assert_eq!(gateway.request(&post(&all)).await.status(), 200);
    assert_eq!((a.received().len(), b.received().len()), (1, 0));
    assert_eq!(gateway.request(&post(&second)).await.status(), 200);
    assert_eq!((a.received().len(), b.received().len()), (1, 1));
    assert_eq!(b.last().headers.all("authorization"), ["Bearer sk-b"]);
    let none = command(&gateway, "token create --user alice --name third --upstream c").await;
    assert!(!none.status.success() && none.stderr.contains("there are: a, b"), "{none:?}");
    // Its upstream goes: it is not sent elsewhere.
    let left = yaml.lines().filter(|line| !line.contains("name: b")).collect::<Vec<_>>().join("\n");
    std::fs::write(gateway.dir().join("gateway.yaml"), left).expect("written");
    said(command(&gateway, "reload").await);
    let from = gateway.stderr_lines();
    assert_eq!(refused(&gateway.request(&post(&second)).await), (403, "permission_error".to_owned()));
    has_reason(&gateway, from, "token_upstream").await;
    assert_eq!(gateway.request(&post(&all)).await.status(), 200, "a reload keeps tokens");
}

#[tokio::test]
async fn who_needs_a_token_and_has_none_is_refused_before_any_rule() {
    let upstream = relay().await;
    let more = "  team: {require_token: true}
  rules: [{name: answers, match: {path: /x}, respond: {status: 200, body: \"by a rule\"}}]
";
    let gateway = gateway().yaml(&yaml(&upstream, more)).start().await;
    let large = Request::post("/v1/messages", "x".repeat(300_000)).header("x-api-key", "sk-of-a-relay");
    for request in [Request::get("/x"), Request::new("HEAD", "/"), post("sk-of-a-relay"), large] {
        let from = gateway.stderr_lines();
        let answer = gateway.request(&request).await;
        assert_eq!(answer.status(), 401);
        if request.method() != "HEAD" {
            assert_eq!(refused(&answer), (401, "authentication_error".to_owned()));
        }
        has_reason(&gateway, from, "token_missing").await;
    }
    assert_eq!(upstream.received().len(), 0);
    let (_, token) = issue(&gateway, "").await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    let beside = post(&token).header("x-api-key", "sk-of-a-relay");
    assert_eq!(gateway.request(&beside).await.status(), 200);
    let last = upstream.last();
    assert_eq!(
        (last.headers.all("authorization"), last.headers.all("x-api-key")),
        (vec![format!("Bearer {RELAY_KEY}")], vec![RELAY_KEY.to_owned()])
    );
    // The gateway's own pages need none.
    assert_eq!(gateway.request(&Request::get("/health")).await.status(), 200);
}

#[tokio::test]
async fn a_rule_that_answers_reads_no_body_of_who_is_refused() {
    let upstream = relay().await;
    let more = "  team: {require_token: true}
  rules: [{name: answers, match: {path: /x}, respond: {status: 200, body: \"by a rule\"}}]
";
    let gateway = gateway().yaml(&yaml(&upstream, more)).start().await;
    let (id, token) = issue(&gateway, "").await;
    said(command(&gateway, &format!("token revoke {id}")).await);
    for key in ["sk-of-a-relay", &token] {
        let mut client = gateway.connect().await;
        // The body never comes.
        let head = format!("POST /x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 300000\r\n\r\n");
        client.send(head).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), client.response("POST")).await;
        assert_eq!(answer.expect("it is not waited for").status(), 401);
    }
}

#[tokio::test]
async fn where_everybody_needs_a_token_each_upstream_needs_a_key() {
    let upstream = relay().await;
    let keyless = yaml(&upstream, "").replace(&format!(", api_key: {RELAY_KEY}"), "");
    let required = format!("{keyless}  team: {{require_token: true}}\n");
    let died = gateway().yaml(&required).try_start().await.err().expect("it does not start");
    assert!(died.stderr.contains("\"relay\" has no api_key of its own"), "{}", died.stderr);
    // Without a team all is as before, but no token can be issued.
    let open = gateway().yaml(&keyless).start().await;
    said(command(&open, "user create --name alice").await);
    let none = command(&open, "token create --user alice").await;
    assert!(!none.status.success() && none.stderr.contains("api_key") && none.stderr.contains("relay"), "{none:?}");
    // A token is no key for the relay, whatever else it may be.
    assert_eq!(refused(&open.request(&post(UNKNOWN)).await).0, 401);
    assert_eq!(upstream.received().len(), 0);
    assert_eq!(open.request(&post("sk-own")).await.status(), 200);
    // With a token the last key cannot be taken away, by a reload or by a start.
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    std::fs::write(gateway.dir().join("gateway.yaml"), keyless).expect("written");
    let reload = command(&gateway, "reload").await;
    assert!(!reload.status.success() && reload.stderr.contains("relay"), "{reload:?}");
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
}

#[tokio::test]
async fn beside_tokens_everybody_else_is_served_as_before() {
    let (keyed, open) = (Upstream::start(anthropic::handler()).await, Upstream::start(anthropic::handler()).await);
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: open, base_url: \"{}\"}}\n    \
         - {{name: keyed, base_url: \"{}\", api_key: {RELAY_KEY}, priority: 1}}\n  \
         routes: [{{keys: sk-of-the-team, upstream: keyed}}]\n",
        open.url(),
        keyed.url()
    );
    let gateway = gateway().yaml(&yaml).start().await;
    let (_, token) = issue(&gateway, "").await;
    // Who has a key of the relay's own goes on with it, to where there is none of the gateway's.
    assert_eq!(gateway.request(&post("sk-own")).await.status(), 200);
    assert_eq!(open.last().headers.all("authorization"), ["Bearer sk-own"]);
    assert_eq!(gateway.request(&Request::get("/v1/models").header("x-api-key", "sk-own")).await.status(), 200);
    // A token goes where there is one only, though another upstream comes first.
    for _ in 0..3 {
        assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    }
    assert_eq!(gateway.request(&post("sk-of-the-team")).await.status(), 200);
    assert_eq!((open.received().len(), keyed.received().len()), (2, 4));
    for one in keyed.received() {
        assert_eq!(one.headers.all("authorization"), [format!("Bearer {RELAY_KEY}")]);
    }
    let none = command(&gateway, "token create --user alice --name open --upstream open").await;
    assert!(!none.status.success() && none.stderr.contains("no key of its own"), "{none:?}");
    // Where the one with a key fails, it is not sent to the other.
    drop(keyed);
    assert!(gateway.request(&post(&token)).await.status() >= 500);
    assert_eq!(open.received().len(), 2);
}

#[tokio::test]
async fn a_dry_run_knows_whose_request_it_is() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let rules = "  rules:\n    - {name: of-alice, match: {user: alice}, headers: {set: {x-who: \"${user}\"}}}\n  \
                 log: {capture: all}\n  team: {require_token: true}\n";
    let gateway = gateway().yaml(&yaml(&upstream, rules)).env("GATEWAY_DB", "data/log.db").start().await;
    let (_, token) = issue(&gateway, "--model claude-haiku-*").await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    let explain = async |question: Value| {
        let request = gateway.as_admin(Request::post("/api/admin/explain", question.to_string()));
        gateway.request(&request.header("content-type", "application/json")).await.json()
    };
    let head = |token: &str| format!("POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {token}\r\n\r\n");
    let told = explain(json!({"head": head(&token), "body": message("claude-haiku-5-5")})).await;
    assert_eq!((&told["upstream"], &told["rules"][0]["matches"]), (&json!("relay"), &json!(true)), "{told}");
    assert!(told["head_diff"].as_str().is_some_and(|diff| diff.contains("x-who: alice")), "{told}");
    assert!(!told.to_string().contains("agw_"), "{told}");
    let other = explain(json!({"head": head(&token), "body": message("claude-opus-5-5")})).await;
    assert_eq!(other["answered"], 404, "{other}");
    for (token, status) in [(UNKNOWN, 401), ("sk-own", 401)] {
        let told = explain(json!({"head": head(token), "body": message("claude-haiku-5-5")})).await;
        assert_eq!((&told["answered"], &told["rules"][0]["matches"]), (&json!(status), &json!(false)), "{told}");
    }
    let rows = rows(&gateway, "user=alice", 1).await;
    let past = explain(json!({ "request_id": rows[0]["id"] })).await;
    assert_eq!((&past["upstream"], &past["rules"][0]["matches"]), (&json!("relay"), &json!(true)), "{past}");
}

#[tokio::test]
async fn a_token_that_is_rotated_works_beside_its_successor_for_a_while() {
    let upstream = relay().await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (id, first) = issue(&gateway, "").await;
    let rotated = told(command(&gateway, &format!("token rotate {id} --json")).await);
    let second = rotated["token"].as_str().expect("a token").to_owned();
    assert!(rotated["old_until_ms"].as_i64().is_some() && rotated["id"] == json!(id), "{rotated}");
    for token in [&first, &second] {
        assert_eq!(gateway.request(&post(token)).await.status(), 200);
    }
    // By its name, and without overlap: all that came before ends.
    let third = said(command(&gateway, "token rotate alice/default --overlap 0s").await);
    assert_eq!(gateway.request(&post(&third)).await.status(), 200);
    for token in [&first, &second] {
        let from = gateway.stderr_lines();
        assert_eq!(refused(&gateway.request(&post(token)).await), (401, "authentication_error".to_owned()));
        has_reason(&gateway, from, "token_expired").await;
    }
    said(command(&gateway, &format!("token revoke {id}")).await);
    assert_eq!(gateway.request(&post(&third)).await.status(), 401);
    let none = command(&gateway, &format!("token rotate {id}")).await;
    assert!(!none.status.success() && none.stderr.contains("revoked"), "{none:?}");
    // Each change is in the audit, without any text.
    let file = std::fs::read(gateway.dir().join("data/team.db")).expect("the file");
    let has = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(
        ["user.create", "token.create", "token.rotate", "token.revoke", "command line, user "].iter().all(|it| has(it))
    );
}

#[tokio::test]
async fn commands_work_with_and_without_a_gateway_that_runs() {
    let upstream = relay().await;
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().join("state");
    let place = folder.display().to_string();
    let builder = || gateway().yaml(&yaml(&upstream, "")).env("GATEWAY_STATE_DIR", &place);
    let run = |line: &str| line.split(' ').fold(builder(), GatewayBuilder::arg).run();
    assert_eq!(told(run("user list --json").await), json!([]));
    let group = told(run("group create --name dev --json").await);
    assert_eq!((&group["name"], &group["time_zone"]), (&json!("dev"), &json!("UTC")));
    assert_eq!(told(run("user create --name alice --group dev --json").await)["group"], "dev");
    let issued = told(run("token create --user alice --json").await);
    let (id, token) = (issued["id"].as_str().expect("an id"), issued["token"].as_str().expect("a token"));
    for (line, wanted) in [
        ("user create --name alice", "a user \"alice\" already"),
        ("user create --name bob --group ops", "no group \"ops\""),
        ("token create --user bob", "no user \"bob\""),
        ("token create --user alice", "another name"),
        ("token show tok_0", "no such token"),
        ("group create --name x --time-zone Mars", "no time zone"),
        ("token create --user alice --name x --expires 2020-01-01", "over already"),
        ("token create --user alice --name x --address here", "no address"),
    ] {
        let output = run(line).await;
        assert!(!output.status.success() && output.stderr.contains(wanted), "{line}: {output:?}");
    }
    let list = said(run("token list").await);
    assert!(list.contains(id) && list.contains("alice/default") && !list.contains(token), "{list}");
    let gateway = builder().start().await;
    assert_eq!(gateway.request(&post(token)).await.status(), 200);
    // Now the gateway does it, and requests see it at once.
    let listed = told(command(&gateway, "token list --user alice --json").await);
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&json!(id), &json!("active")));
    said(command(&gateway, &format!("token revoke {id}")).await);
    assert_eq!(gateway.request(&post(token)).await.status(), 401);
    assert_eq!(told(command(&gateway, &format!("token show {id} --json")).await)["state"], "revoked");
    let none = command(&gateway, "token show tok_0").await;
    assert!(!none.status.success() && none.stderr.contains("no such token"), "{none:?}");
}

/// Waits until a gateway answers a request with this token so.
async fn becomes(gateway: &Gateway, token: &str, status: u16) {
    within(&format!("a response with {status}"), async {
        while gateway.request(&post(token)).await.status() != status {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn two_processes_with_one_file_see_the_same_tokens() {
    let upstream = relay().await;
    let state = tempfile::tempdir().expect("a folder");
    let place = state.path().join("state").display().to_string();
    let builder = || gateway().yaml(&yaml(&upstream, "")).env("GATEWAY_STATE_DIR", &place);
    let (one, other) = (builder().start().await, builder().start().await);
    let (id, token) = issue(&one, "").await;
    assert_eq!(one.request(&post(&token)).await.status(), 200, "at once");
    becomes(&other, &token, 200).await;
    said(command(&other, &format!("token revoke {id}")).await);
    assert_eq!(other.request(&post(&token)).await.status(), 401, "at once");
    becomes(&one, &token, 401).await;
}

#[tokio::test]
async fn an_upgrade_keeps_tokens_and_takes_commands() {
    let upstream = relay().await;
    let mut gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (id, token) = issue(&gateway, "").await;
    said(command(&gateway, "upgrade").await);
    gateway.wait_processes(1).await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    let (_, second) = issue(&gateway, "--name second").await;
    assert_eq!(gateway.request(&post(&second)).await.status(), 200);
    said(command(&gateway, &format!("token revoke {id}")).await);
    assert_eq!(gateway.request(&post(&token)).await.status(), 401);
}

#[tokio::test]
async fn a_file_that_somebody_deletes_comes_back() {
    let upstream = relay().await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    let path = gateway.dir().join("data/team.db");
    std::fs::remove_file(&path).expect("removed");
    within("the file is there again", async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    assert_eq!(told(command(&gateway, "token list --json").await).as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn unknown_tokens_are_slowed_down_and_fill_nothing() {
    let upstream = relay().await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).env("GATEWAY_DB", "data/log.db").start().await;
    let (_, token) = issue(&gateway, "").await;
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(gateway.request(&post(UNKNOWN)).await.status(), 401);
    }
    // From now on one at a time is answered, after a second, and the others are told to wait.
    let (unknown, right) = (post(UNKNOWN), post(&token));
    let tries = (0..30).map(|_| gateway.request(&unknown));
    let (answers, served) = tokio::join!(futures::future::join_all(tries), async {
        let answer = gateway.request(&right).await;
        (answer.status(), began.elapsed())
    });
    assert_eq!(served.0, 200, "who has a token is not held up");
    let count = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert!(count(401) >= 1 && count(429) >= 20 && count(401) + count(429) == 30, "{}", count(429));
    let late = answers.iter().find(|answer| answer.status() == 429).expect("one");
    assert_eq!(late.header("retry-after").as_deref(), Some("60"));
    assert_eq!(late.json()["error"]["type"], "rate_limit_error");
    assert!(began.elapsed() >= Duration::from_secs(1));
    gateway.stderr_line(0, "a warning", |line| line.contains("tries wrong client tokens")).await;
    // None of these has a row.
    let rows = rows(&gateway, "", 6 + count(401)).await;
    assert!(rows.iter().all(|row| row["reason"] != "token_guesses"), "{rows:?}");
    assert_eq!(upstream.received().len(), 1);
    // They share a line of each second, which says how many it stands for.
    let log = gateway.stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("reason=token_guesses")).collect();
    assert!((1..=1 + began.elapsed().as_secs() as usize).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" guesses=")), "{lines:?}");
}
