//! The request log: a row for each request, whatever happens to the process or the file.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Upstream, anthropic, within};
use serde_json::Value;
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn gateway(database: &Path) -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("GATEWAY_DB", &database.display().to_string())
}

async fn sum(path: &Path, what: &str) -> i64 {
    try_sum(path, what).await.expect("a sum")
}

/// Fails while the tables are not there.
async fn try_sum(path: &Path, what: &str) -> Result<i64, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
    let mut connection = options.connect().await.expect("the file opens");
    let sql = format!("SELECT COALESCE({what}, 0) FROM requests WHERE path LIKE '/v1/%'");
    Ok(sqlx::query(&sql).fetch_one(&mut connection).await?.get(0))
}

async fn wait_rows(path: &Path, count: i64) {
    within("the rows are written", async {
        while !path.exists() || try_sum(path, "COUNT(*)").await.unwrap_or_default() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(sum(path, "COUNT(*)").await, count);
}

fn place(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data/log.db")
}

async fn ask(gateway: &Gateway, times: usize) {
    let mut client = gateway.connect().await;
    for _ in 0..times {
        let body =
            r#"{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
        let request = Request::post("/v1/messages", body)
            .header("Content-Type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("X-Claude-Code-Session-Id", "session-1")
            .header("x-api-key", "sk-secret");
        assert_eq!(client.request(&request).await.status(), 200);
    }
}

#[tokio::test]
async fn each_request_is_a_row_that_survives_a_kill_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(anthropic::handler()).await;
    {
        let gateway = gateway(&path).upstream(upstream.url()).start().await;
        ask(&gateway, 5).await;
        wait_rows(&path, 5).await;
        // Dropping it kills it.
    }
    let gateway = gateway(&path).upstream(upstream.url()).start().await;
    ask(&gateway, 3).await;
    wait_rows(&path, 8).await;
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let output = 9 * 3;
    assert!(metrics.contains(&format!("gateway_tokens_total{{kind=\"output\"}} {output}\n")), "{metrics}");
    assert_eq!(sum(&path, "SUM(output_tokens)").await, 9 * 8, "the file and the metrics count the same");
    assert_eq!(sum(&path, "SUM(outcome = 'completed' AND session = 'session-1' AND status = 200)").await, 8);
    let bytes = std::fs::read(&path).expect("the file");
    assert!(!bytes.windows(9).any(|bytes| bytes == b"sk-secret"), "a key is in the file");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_nothing_and_is_written_once_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    // Where the folder should be, there is a file.
    let blocker = folder.path().join("data");
    std::fs::write(&blocker, "in the way").expect("written");
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway(&path).upstream(upstream.url()).start().await;
    ask(&gateway, 4).await;
    gateway.stderr_line(0, "a report", |line| line.contains("the request log") && line.contains("tried again")).await;
    ask(&gateway, 4).await;
    std::fs::remove_file(&blocker).expect("removed");
    wait_rows(&path, 8).await;
}

#[tokio::test]
async fn another_program_that_holds_the_file_only_delays_the_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway(&path).upstream(upstream.url()).start().await;
    ask(&gateway, 1).await;
    wait_rows(&path, 1).await;
    let mut holder = SqliteConnectOptions::new().filename(&path).connect().await.expect("the file opens");
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut holder).await.expect("held");
    ask(&gateway, 5).await;
    gateway.stderr_line(0, "a report", |line| line.contains("database is locked")).await;
    sqlx::query("COMMIT").execute(&mut holder).await.expect("let go");
    wait_rows(&path, 6).await;
}

#[tokio::test]
async fn what_is_refused_pushes_no_row_of_a_served_request_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(anthropic::handler()).await;
    let yaml = format!(
        "gateway:\n  log: {{keep_size: 1MiB}}\n  upstreams: [{{name: one, base_url: \"{}\"}}, {{name: two, base_url: \"{}\", \
         api_key: sk-own}}]\n  routes: [{{keys: sk-secret, upstream: one}}]\n  rules: [{{name: no, match: {{path: /v1/no}}, \
         respond: {{status: 403}}}}]\n",
        upstream.url(),
        upstream.url()
    );
    {
        let gateway = gateway(&path).yaml(&yaml).start().await;
        ask(&gateway, 5).await;
        let mut client = gateway.connect().await;
        let long = "x".repeat(900);
        for number in 0..2_000 {
            let refused = Request::get("/v1/no").header("x-api-key", format!("sk-{number}"));
            let refused = refused.header("X-Claude-Code-Session-Id", &long);
            assert_eq!(client.request(&refused).await.status(), 403);
        }
        wait_rows(&path, 2_005).await;
    }
    // What is too much goes with the first row after a start.
    let gateway = gateway(&path).yaml(&yaml).start().await;
    ask(&gateway, 1).await;
    within("the row is written", async {
        while try_sum(&path, "SUM(outcome = 'completed')").await.unwrap_or_default() < 6 {
            let now = sum(&path, "SUM(outcome = 'completed')").await;
            assert!(now >= 5, "{now} of 5 rows are left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut client = gateway.connect().await;
    assert_eq!(client.request(&Request::get("/v1/no")).await.status(), 403);
    within("one more batch", async {
        while sum(&path, "SUM(outcome = 'completed')").await != 6 || sum(&path, "COUNT(*)").await < 2_007 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_client_says_of_a_request_is_a_column_of_each_reading_and_can_be_filtered_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = gateway(&path).env("DASHBOARD_API_KEY", "the-key").upstream(upstream.url()).start().await;
    let body = r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
    let long = "x".repeat(300);
    for (class, kind) in [("main", ""), ("subagent", "Explore"), ("new,one", &long), ("auxiliary", "sk-secret")] {
        let mut request = Request::post("/v1/messages", body)
            .header("Content-Type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", "sk-secret")
            .header("X-Claude-Code-Request-Class", class);
        if !kind.is_empty() {
            request = request.header("X-Claude-Code-Agent-Type", kind);
        }
        assert_eq!(gateway.connect().await.request(&request).await.status(), 200);
    }
    ask(&gateway, 1).await;
    wait_rows(&path, 5).await;
    let mut admin = Client::connect(gateway.admin_addr()).await;
    let mut read = async |what: &str| {
        let request = Request::get(&format!("/api/admin/{what}")).header("Authorization", "Bearer the-key");
        let answer = admin.request(&request).await;
        assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
        answer.text()
    };
    let page: Value = serde_json::from_str(&read("requests").await).expect("JSON");
    let names: Vec<_> = page["requests"].as_array().expect("rows").iter().map(of_client).collect();
    let cut = "x".repeat(100);
    for wanted in [
        (Some("main"), None),
        (Some("subagent"), Some("Explore")),
        (Some("new,one"), Some(&*cut)),
        (Some("auxiliary"), Some("********")),
        (None, None),
    ] {
        assert!(names.contains(&wanted), "{wanted:?} is not in {names:?}");
    }
    for (query, count) in [
        ("request_class=main,subagent", 2),
        ("agent_type=Explore", 1),
        ("request_class=main&agent_type=Explore", 0),
        ("agent_type=explore", 0),
    ] {
        let page: Value = serde_json::from_str(&read(&format!("requests?{query}")).await).expect("JSON");
        assert_eq!(page["requests"].as_array().expect("rows").len(), count, "{query}");
    }
    let csv = read("export?format=csv&agent_type=Explore").await;
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert!(lines[0].ends_with(",skipped_events,request_class,agent_type"), "{csv}");
    assert!(lines[1].ends_with(",0,subagent,Explore") && lines.len() == 3, "{csv}");
    let json: Value =
        serde_json::from_str(read("export?format=json&agent_type=Explore").await.trim_end()).expect("JSON");
    assert_eq!(of_client(&json), (Some("subagent"), Some("Explore")));
    let id = json["id"].as_str().expect("an id");
    let detail: Value = serde_json::from_str(&read(&format!("requests/{id}")).await).expect("JSON");
    assert_eq!(of_client(&detail), (Some("subagent"), Some("Explore")));
    assert_eq!(detail["tried"], serde_json::json!([]));
}

/// What the client says of a row's request: its class, and the kind of agent.
fn of_client(row: &Value) -> (Option<&str>, Option<&str>) {
    (row["request_class"].as_str(), row["agent_type"].as_str())
}
