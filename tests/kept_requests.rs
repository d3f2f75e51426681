//! What the request log keeps of single requests: which tools a response used.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Step, Upstream, gzip, within};
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
    assert!(csv.lines().next().is_some_and(|head| head.ends_with(",tools,started_at")), "{csv}");
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
