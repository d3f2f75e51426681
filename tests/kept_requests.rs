//! What the request log keeps of single requests: which tools a response used, and the next request of a session, whole.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Response, Step, Upstream, anthropic, gzip, within};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};
use std::path::Path;
use std::time::Duration;

fn started(folder: &Path) -> GatewayBuilder {
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key");
    gateway.env("GATEWAY_DB", &folder.join("log.db").display().to_string())
}

/// A request to the API.
fn api(method: &str, target: &str) -> Request {
    let request = Request::new(method, &format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    let request = request.header("Content-Type", "application/json").header("Authorization", "Bearer the-key");
    if method == "POST" { request.body("{}") } else { request }
}

/// What the API says.
async fn get(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.request(&api("GET", target)).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

/// A message of a session; of its agent, if that has a name.
fn message(session: &str, agent: &str, text: &str) -> Request {
    message_to("/v1/messages", session, agent, text)
}

fn message_to(target: &str, session: &str, agent: &str, text: &str) -> Request {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}).to_string();
    let request = Request::post(target, body).header("Content-Type", "application/json");
    let names = [("X-Claude-Code-Session-Id", session), ("X-Claude-Code-Agent-Id", agent)];
    let names = names.into_iter().filter(|(_, name)| !name.is_empty());
    names.fold(request.header("x-api-key", "sk-secret-key"), |request, (field, name)| request.header(field, name))
}

/// Waits until the log has so many rows; the newest first.
async fn rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    within("the rows", async {
        loop {
            let page = gateway.request(&api("GET", "requests?limit=500")).await.json();
            match page["requests"].as_array() {
                Some(rows) if rows.len() >= count => return rows.clone(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

/// The bodies of those that were kept, by the oldest.
async fn kept(gateway: &Gateway, count: usize) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for row in rows(gateway, count).await.iter().rev() {
        let id = row["id"].as_str().expect("an id");
        let detail = get(gateway, &format!("requests/{id}")).await;
        if let Some(body) = detail["capture"]["body"].as_str() {
            kept.push((id.to_owned(), body.to_owned()));
        }
    }
    kept
}

/// A stream that uses these tools, in gzip.
fn using(tools: &[&str]) -> Reply {
    let event = |event: Value| {
        let name = event["type"].as_str().expect("a type").to_owned();
        format!("event: {name}\ndata: {event}\n\n")
    };
    let usage = json!({"input_tokens": 5, "output_tokens": 1});
    let begin = event(json!({"type": "message_start", "message": {"model": "m", "usage": usage}}));
    let block = |name: &&str| {
        let block = json!({"type": "tool_use", "id": "t", "name": name, "input": {}});
        event(json!({"type": "content_block_start", "index": 0, "content_block": block}))
    };
    let end =
        event(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}));
    let stop = event(json!({"type": "message_stop"}));
    let text = format!("{begin}{}{end}{stop}", tools.iter().map(block).collect::<String>());
    // A few bytes at a time.
    let reply = Reply::sse().header("Content-Encoding", "gzip");
    gzip(text.as_bytes()).chunks(11).fold(reply, |reply, bytes| reply.step(Step::Bytes(bytes.to_vec())))
}

#[tokio::test]
async fn the_tools_of_a_response_are_in_its_row_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/v1/messages?whole" => Reply::json(
            r#"{"type":"message","model":"m","content":[{"type":"tool_use","name":"Read","input":{}}],"usage":{"input_tokens":5,"output_tokens":9}}"#,
        ),
        "/v1/messages?many" => {
            let names: Vec<String> = (0..40).map(|number| format!("mcp__{number:02}__{}", "x".repeat(90))).collect();
            using(&names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        "/v1/messages?none" => using(&[]),
        _ => using(&["Bash", "mcp__private__tool", "Bash", "sk-secret-key", "Bash"]),
    })
    .await;
    let gateway = started(folder.path()).upstream(upstream.url()).start().await;
    for query in ["stream", "whole", "many", "none"] {
        let request = message_to(&format!("/v1/messages?{query}"), "s-1", "", "hi");
        assert_eq!(gateway.request(&request).await.status(), 200, "{query}");
    }
    let rows = rows(&gateway, 4).await;
    let [none, many, whole, stream] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(stream["tools"], json!({"Bash": 3, "mcp__private__tool": 1, "********": 1}));
    assert_eq!((&whole["tools"], &none["tools"]), (&json!({"Read": 1}), &Value::Null));
    let names: Vec<&String> = many["tools"].as_object().expect("counts").keys().collect();
    assert!(names.len() == 16 && names.iter().all(|name| name.len() == 64), "{names:?}");
    assert_eq!((&many["tool_uses"], &stream["tool_uses"]), (&json!(40), &json!(5)));
    let detail = get(&gateway, &format!("requests/{}", stream["id"].as_str().expect("an id"))).await;
    assert_eq!(detail["tools"], stream["tools"]);
    let csv = gateway.request(&api("GET", "export?format=csv")).await.text();
    assert!(csv.lines().next().is_some_and(|head| head.ends_with(",tools,user,group,token,started_at")), "{csv}");
    assert!(csv.contains(",\"Bash x3, ********, mcp__private__tool\","), "{csv}");

    let mut log = SqliteConnectOptions::new().filename(folder.path().join("log.db")).connect().await.expect("the log");
    let sql = "SELECT key, SUM(value) AS uses FROM requests, json_each(tools) WHERE tool_uses < 40 GROUP BY key ORDER BY 2 DESC, 1";
    let sums = sqlx::query(sql).fetch_all(&mut log).await.expect("sums");
    let sums: Vec<(String, i64)> = sums.iter().map(|row| (row.get(0), row.get(1))).collect();
    let wanted = [("Bash", 3), ("********", 1), ("Read", 1), ("mcp__private__tool", 1)];
    assert_eq!(sums, wanted.map(|(name, uses)| (name.to_owned(), uses)));

    let mut admin = Client::connect(gateway.admin_addr()).await;
    let metrics = admin.request(&Request::get("/metrics")).await.text();
    assert!(
        metrics.contains("gateway_") && !metrics.contains("mcp__") && !gateway.stderr().contains("mcp__"),
        "{metrics}"
    );
}

/// Asks for the next request of a session, or takes that back.
async fn wish(gateway: &Gateway, method: &str, session: &str) -> Response {
    gateway.request(&api(method, &format!("sessions/{session}/capture"))).await
}

#[tokio::test]
async fn the_next_request_of_a_session_is_kept_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let yaml = "gateway:\n  log: { capture_body: 100 }\n";
    let gateway = started(folder.path()).upstream(upstream.url()).yaml(yaml).start().await;
    for session in ["s-1", "s-2"] {
        assert_eq!(gateway.request(&message(session, "", "before")).await.status(), 200);
    }
    rows(&gateway, 2).await;
    assert_eq!(get(&gateway, "sessions/s-1").await["capture"], Value::Null);
    let unknown = wish(&gateway, "POST", "nobody").await;
    assert_eq!((unknown.status(), unknown.json()["error"]["code"].as_str()), (404, Some("no_session")));

    let asked = wish(&gateway, "POST", "s-1").await;
    assert_eq!(asked.status(), 200, "{}", asked.text());
    let told = asked.json()["capture"].clone();
    let time = |name: &str| told[name].as_u64().expect("a time");
    assert_eq!(time("ends_at_ms") - time("asked_at_ms"), 3_600_000);
    assert_eq!((&told["request_id"], &told["body_bytes"]), (&Value::Null, &json!(100)));
    assert_eq!(get(&gateway, "sessions/s-1").await["capture"], told);
    assert_eq!(get(&gateway, "sessions/s-2").await["capture"], Value::Null);

    // Of another session, of none, and no message: none of these is it.
    let text = format!("this one, with sk-secret-key and more: {}", "x".repeat(200));
    assert_eq!(gateway.request(&message("s-2", "", "other")).await.status(), 200);
    assert_eq!(gateway.request(&message("", "", "no session")).await.status(), 200);
    let count = message_to("/v1/messages/count_tokens", "s-1", "", "count");
    assert_eq!(gateway.request(&count).await.status(), 200);
    // A sub-agent's is one of the session, and the only one.
    assert_eq!(gateway.request(&message("s-1", "agent-1", &text)).await.status(), 200);
    assert_eq!(gateway.request(&message("s-1", "", "after")).await.status(), 200);
    let found = kept(&gateway, 7).await;
    let [(id, body)] = &found[..] else { panic!("{found:?}") };
    assert!(body.contains("this one, with ********"), "{body}");
    let detail = get(&gateway, &format!("requests/{id}")).await;
    assert_eq!((&detail["agent"], &detail["capture"]["is_cut"]), (&json!("agent-1"), &json!(true)));
    let head = detail["capture"]["head"].as_str().expect("a head");
    assert!(head.contains("/v1/messages") && head.contains("x-api-key: ********"), "{head}");
    assert_eq!(get(&gateway, "sessions/s-1").await["capture"]["request_id"], json!(id));

    // It can be asked for again, and that can be forgotten, but the request stays.
    assert_eq!(wish(&gateway, "POST", "s-1").await.json()["capture"]["request_id"], Value::Null);
    for _ in 0..2 {
        let ended = wish(&gateway, "DELETE", "s-1").await;
        assert_eq!((ended.status(), &ended.json()["capture"]), (200, &Value::Null));
    }
    assert_eq!(gateway.request(&message("s-1", "", "not this one")).await.status(), 200);
    assert_eq!(kept(&gateway, 8).await, found);
}

#[tokio::test]
async fn a_request_that_succeeds_is_kept_where_only_failures_are_and_a_restart_ends_all_wishes() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let yaml = "gateway:\n  log: { capture: errors }\n";
    let start = || started(folder.path()).upstream(upstream.url()).yaml(yaml).start();
    {
        let gateway = start().await;
        assert_eq!(gateway.request(&message("s-1", "", "before")).await.status(), 200);
        rows(&gateway, 1).await;
        wish(&gateway, "POST", "s-1").await;
        assert_eq!(gateway.request(&message("s-1", "", "this one")).await.status(), 200);
        let found = kept(&gateway, 2).await;
        assert!(found.len() == 1 && found[0].1.contains("this one"), "{found:?}");
        assert_eq!(wish(&gateway, "POST", "s-1").await.status(), 200);
    }
    let gateway = start().await;
    rows(&gateway, 2).await;
    assert_eq!(get(&gateway, "sessions/s-1").await["capture"], Value::Null);
    assert_eq!(gateway.request(&message("s-1", "", "after")).await.status(), 200);
    assert_eq!(kept(&gateway, 3).await.len(), 1);
}

#[tokio::test]
async fn there_are_as_many_wishes_as_it_says_and_only_who_may_change_things_has_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = started(folder.path()).upstream(upstream.url()).start().await;
    for number in 0..34 {
        assert_eq!(gateway.request(&message(&format!("s-{number}"), "", "hi")).await.status(), 200);
    }
    rows(&gateway, 34).await;
    for number in 0..32 {
        assert_eq!(wish(&gateway, "POST", &format!("s-{number}")).await.status(), 200, "{number}");
    }
    let refused = wish(&gateway, "POST", "s-32").await;
    assert_eq!((refused.status(), refused.json()["error"]["code"].as_str()), (409, Some("too_many_wishes")));
    assert_eq!(wish(&gateway, "DELETE", "s-7").await.status(), 200);
    assert_eq!(wish(&gateway, "POST", "s-32").await.status(), 200);
    // One whose request came makes room.
    assert_eq!(gateway.request(&message("s-9", "", "hi")).await.status(), 200);
    assert_eq!(wish(&gateway, "POST", "s-33").await.status(), 200);
    assert_eq!(wish(&gateway, "POST", "s-7").await.status(), 409);

    let keyless = Request::post("/api/admin/sessions/s-1/capture", "{}").header("Host", "127.0.0.1");
    assert_eq!(gateway.request(&keyless.header("Content-Type", "application/json")).await.status(), 401);
    for (field, value, status) in [("Content-Type", "text/plain", 415), ("Sec-Fetch-Site", "cross-site", 403)] {
        let request = Request::post("/api/admin/sessions/s-1/capture", "{}").header("Host", "127.0.0.1");
        let request = request.header("Authorization", "Bearer the-key").header(field, value);
        let request = if status == 403 { request.header("Content-Type", "application/json") } else { request };
        assert_eq!(gateway.request(&request).await.status(), status, "{field}");
    }
    let without_log = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key");
    let without_log = without_log.env("GATEWAY_DB", "off").upstream(upstream.url()).start().await;
    assert_eq!(wish(&without_log, "POST", "s-1").await.json()["error"]["code"].as_str(), Some("no_log"));
}
