//! The request log: a row for each request, whatever happens to the process or the file.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::Value;
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use std::os::unix::fs::PermissionsExt as _;
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
    let gateway = gateway(&path).env("DASHBOARD_API_KEY", "the-key").upstream(upstream.url());
    // What is consumed is kept all the same.
    let gateway = gateway.yaml("gateway:\n  hint_headers: consume\n").start().await;
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
    // As clients without hint headers do.
    let agent =
        Request::post("/v1/messages", body).header("X-Claude-Code-Agent-Id", "a1").header("x-api-key", "sk-secret");
    assert_eq!(gateway.request(&agent).await.status(), 200);
    let compacting = Request::post("/v1/messages", body)
        .header("x-api-key", "sk-secret")
        .header("X-Claude-Code-Request-Class", "compaction")
        .header("X-Claude-Code-Compaction", "auto")
        .header("X-Claude-Code-Prompt-Id", "p-1");
    assert_eq!(gateway.request(&compacting).await.status(), 200);
    wait_rows(&path, 7).await;
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
        ("request_class=main,subagent", 3),
        ("compaction=auto,manual", 1),
        ("prompt_id=p-1", 1),
        ("context_compacted=auto", 0),
        ("agent_type=Explore", 1),
        ("request_class=main&agent_type=Explore", 0),
        ("agent_type=explore", 0),
    ] {
        let page: Value = serde_json::from_str(&read(&format!("requests?{query}")).await).expect("JSON");
        assert_eq!(page["requests"].as_array().expect("rows").len(), count, "{query}");
    }
    let groups: Value = serde_json::from_str(&read("stats/groups?by=request_class").await).expect("JSON");
    let groups: std::collections::BTreeMap<_, _> = groups["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| {
            (group["name"].as_str(), (group["requests"].as_u64(), group["tokens"]["output"].as_u64() > Some(0)))
        })
        .collect();
    let wanted = [(None, 1), (Some("auxiliary"), 1), (Some("compaction"), 1), (Some("main"), 1), (Some("other"), 1)];
    let wanted = wanted.into_iter().chain([(Some("subagent"), 2)]).map(|(name, count)| (name, (Some(count), true)));
    assert_eq!(groups, wanted.collect());
    let agents: Value = serde_json::from_str(&read("stats?request_class=subagent").await).expect("JSON");
    assert_eq!((&agents["requests"], &agents["duration_ms"]["p50"]), (&Value::from(2), &Value::Null));
    let csv = read("export?format=csv&agent_type=Explore").await;
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert!(lines[0].contains(",skipped_events,request_class,agent_type,"), "{csv}");
    assert!(lines[1].contains(",0,subagent,Explore,") && lines.len() == 3, "{csv}");
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

/// A stream that tells 100 tokens of input, and 1 of output, before so many pieces of 20 bytes.
fn pieces(count: usize) -> Reply {
    let start = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-opus-4-8\",\"usage\":",
        "{\"input_tokens\":100,\"cache_read_input_tokens\":300,\"output_tokens\":1,\"service_tier\":\"priority\",",
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":20,\"ephemeral_1h_input_tokens\":40}}}}\n\n",
    );
    let piece = |kind: &str, name: &str| {
        let delta = format!("{{\"type\":\"{kind}\",\"{name}\":\"{}\"}}", "\\u4f60 a".repeat(4));
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n"
        )
    };
    let kinds = [("thinking_delta", "thinking"), ("text_delta", "text"), ("input_json_delta", "partial_json")];
    let reply = (0..count).map(|at| piece(kinds[at % 3].0, kinds[at % 3].1));
    reply.fold(Reply::sse().bytes(start), |reply, piece| reply.bytes(piece))
}

#[tokio::test]
async fn the_output_of_a_stream_that_ends_early_is_estimated_and_said_to_be_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/v1/messages?cut" => pieces(300).step(Step::Close),
        "/v1/messages?ends" => pieces(30),
        "/v1/messages?error" => pieces(3).bytes("event: error\ndata: {\"error\":{\"type\":\"overloaded_error\"}}\n\n"),
        "/v1/messages?left" => pieces(400).step(Step::Stall),
        _ => pieces(300).bytes(
            "event: message_delta\ndata: {\"delta\":{},\"usage\":{\"input_tokens\":0,\"output_tokens\":1234,\
             \"output_tokens_details\":{\"thinking_tokens\":5}}}\n\nevent: message_stop\ndata: {}\n\n",
        ),
    })
    .await;
    let gateway = gateway(&path).env("DASHBOARD_API_KEY", "the-key").upstream(upstream.url()).start().await;
    let ask = |target: &str| {
        let body = r#"{"model":"claude-opus-4-8","max_tokens":9,"stream":true,"messages":[]}"#;
        Request::post(target, body).header("x-api-key", "sk-secret").header("X-Claude-Code-Session-Id", "s")
    };
    for target in ["/v1/messages?cut", "/v1/messages?ends", "/v1/messages?error", "/v1/messages"] {
        let _ = gateway.connect().await.try_request(&ask(target)).await;
    }
    let mut left = gateway.connect().await;
    left.send(ask("/v1/messages?left").bytes()).await;
    left.head("POST").await;
    let mut seen = 0;
    while seen < 400 {
        let piece = left.piece().await.expect("a piece");
        seen += String::from_utf8_lossy(&piece).matches("event: content_block_delta").count();
    }
    drop(left);
    wait_rows(&path, 5).await;
    let mut admin = Client::connect(gateway.admin_addr()).await;
    let mut read = async |what: &str| {
        let request = Request::get(&format!("/api/admin/{what}")).header("Authorization", "Bearer the-key");
        admin.request(&request).await.json()
    };
    let page = read("requests").await;
    let mut rows: Vec<_> = page["requests"].as_array().expect("rows").iter().collect();
    rows.sort_by_key(|row| row["tokens"]["output"].as_u64());
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let tokens = &row["tokens"];
            let counts = ["input", "cache_write", "cache_read", "output"].map(|kind| tokens[kind].as_u64());
            assert_eq!(counts[..3], [Some(100), Some(60), Some(300)], "{row}");
            let input = 100.0 * 5.0 + 20.0 * 6.25 + 40.0 * 10.0 + 300.0 * 0.5;
            let cost = (input + counts[3].expect("output") as f64 * 25.0) / 1e6;
            assert!((row["cost_usd"].as_f64().expect("a cost") - cost).abs() < 1e-12, "{row}");
            assert_eq!(
                (&row["usage"]["cache_write_1h"], &row["usage"]["service_tier"]),
                (&Value::from(40), &Value::from("priority"))
            );
            (row["outcome"].as_str().expect("an outcome"), counts[3], row["estimated"].as_bool())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("stream_error", Some(15), Some(true)),
            ("truncated", Some(150), Some(true)),
            ("completed", Some(1_234), Some(false)),
            ("truncated", Some(1_500), Some(true)),
            ("client_aborted", Some(2_000), Some(true)),
        ]
    );
    assert_eq!(rows[2]["usage"]["thinking"], 5);
    for sums in [
        read("stats").await,
        read("stats/groups?by=model").await["groups"][0].clone(),
        read("sessions/s").await["total"].clone(),
    ] {
        assert_eq!(
            (&sums["estimated_requests"], &sums["estimated_output_tokens"]),
            (&4.into(), &3_665.into()),
            "{sums}"
        );
        assert_eq!(sums["tokens"]["output"], 3_665 + 1_234, "{sums}");
    }
    assert_eq!(sum(&path, "SUM(output_tokens) FILTER (WHERE estimated)").await, 3_665);
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    assert!(metrics.contains("gateway_estimated_output_tokens_total 3665\n"), "{metrics}");
    let request =
        Request::get("/api/admin/export?format=csv&outcome=client_aborted").header("Authorization", "Bearer the-key");
    let csv = admin.request(&request).await.text();
    assert!(csv.contains(",estimated,cache_write_5m_tokens,cache_write_1h_tokens,"), "{csv}");
    assert!(csv.contains(",true,20,40,,,,priority,,"), "{csv}");
}

#[tokio::test]
async fn users_are_told_apart_by_the_key_that_authenticates_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let upstream = Upstream::start(|_| Reply::json("{}")).await;
    let gateway = gateway(&path).upstream(upstream.url()).start().await;
    for key in ["sk-one", "sk-two"] {
        let bearer = format!("Bearer {key}");
        for fields in [
            vec![("Authorization", &*bearer)],
            vec![("x-api-key", key)],
            vec![("x-api-key", ""), ("Authorization", &bearer)],
            vec![("x-api-key", " \t "), ("Authorization", &bearer)],
            vec![("x-api-key", "not-used-000"), ("Authorization", &bearer)],
            vec![("Authorization", "Bearer undefined"), ("x-api-key", key)],
            vec![("Authorization", "Bearer"), ("x-api-key", key)],
        ] {
            let request = Request::post("/v1/messages", "{}");
            let request = fields.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            assert_eq!(gateway.connect().await.request(&request).await.status(), 200);
        }
    }
    gateway.request(&Request::post("/v1/messages", "{}").header("x-api-key", "")).await;
    wait_rows(&path, 15).await;
    for (what, count) in [
        ("COUNT(DISTINCT key_fingerprint)", 2),
        ("SUM(key_fingerprint IS NULL)", 1),
        ("SUM(LENGTH(key_fingerprint) = 16)", 14),
        // What `printf sk-one | sha256sum` begins with.
        ("SUM(key_fingerprint = '456f1612bd25c6c8')", 7),
    ] {
        assert_eq!(sum(&path, what).await, count, "{what}");
    }
}

/// Deletes the folder. The gateway may put a file into it at that moment, with which `rm` did not reckon.
const ALL: &str = "rm -rf data || rm -rf data";

/// What deletes or moves files as people do it.
fn shell(folder: &Path, line: &str) {
    let done = std::process::Command::new("sh").args(["-ec", line]).current_dir(folder).status().expect("a shell");
    assert!(done.success(), "{line}");
}

#[tokio::test]
async fn a_log_that_was_deleted_under_the_gateway_is_there_again_with_all_its_rows() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let all_of_it = format!("{ALL}; mkdir -p data");
    for line in [ALL, "rm data/log.db", "rm -f data/*", &all_of_it, "rm data/log.db; touch x"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        let gateway = gateway(&path).env("DASHBOARD_API_KEY", "the-key").upstream(upstream.url()).start().await;
        ask(&gateway, 3).await;
        wait_rows(&path, 3).await;
        let mut admin = Client::connect(gateway.admin_addr()).await;
        let request = Request::get("/api/admin/requests").header("Authorization", "Bearer the-key");
        assert_eq!(admin.request(&request).await.status(), 200, "a reader has the old file");
        shell(folder.path(), line);
        ask(&gateway, 2).await;
        wait_rows(&path, 5).await;
        assert_eq!(sum(&path, "SUM(output_tokens)").await, 9 * 5, "{line}");
        let listed: Value = serde_json::from_str(&admin.request(&request).await.text()).expect("JSON");
        assert_eq!(listed["requests"].as_array().map(Vec::len), Some(5), "{line}: {listed}");
        gateway.stderr_line(0, "a report", |said| said.contains("was deleted") && said.contains("3 rows")).await;
        let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{line}");
        let mut file = SqliteConnectOptions::new().filename(&path).connect().await.expect("the file opens");
        let check = sqlx::query("PRAGMA integrity_check").fetch_one(&mut file).await;
        assert_eq!(check.expect("checked").get::<String, _>(0), "ok", "{line}");
    }
}

#[tokio::test]
async fn a_deleted_log_comes_back_without_a_request_and_a_moved_one_keeps_its_rows() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = place(&folder);
    let gateway = gateway(&path).upstream(upstream.url()).start().await;
    ask(&gateway, 3).await;
    wait_rows(&path, 3).await;
    shell(folder.path(), ALL);
    wait_rows(&path, 3).await;
    for (line, moved) in [("mv data old", "old/log.db"), ("mv data/log.db data/before.db", "data/before.db")] {
        let said = gateway.stderr_lines();
        shell(folder.path(), line);
        gateway.stderr_line(said, "a report", |said| said.contains("was moved to") && said.contains(moved)).await;
        ask(&gateway, 1).await;
        wait_rows(&path, 1).await;
        let rows = sum(&folder.path().join(moved), "COUNT(*)").await;
        assert_eq!(rows, if line == "mv data old" { 3 } else { 1 }, "{line}");
    }
}

#[tokio::test]
async fn what_else_was_in_the_folder_comes_back_too() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", "data/gateway.db")
        .yaml(&format!("gateway:\n  watch: true\n  upstreams: [{{base_url: \"{}\"}}]\n", upstream.url()))
        .start()
        .await;
    let key = gateway.panel_key();
    let request = |request: Request| request.header("Authorization", format!("Bearer {key}"));
    let mut admin = Client::connect(gateway.admin_addr()).await;
    let present: Value =
        serde_json::from_str(&admin.request(&request(Request::get("/api/admin/config"))).await.text()).expect("JSON");
    let edit = serde_json::json!({
        "base_version": present["version"], "overlay": "gateway:\n  limits: {header_timeout: 17s}\n"
    });
    let edited =
        Request::new("PUT", "/api/admin/config").body(edit.to_string()).header("Content-Type", "application/json");
    let edited = admin.request(&request(edited)).await;
    assert_eq!(edited.status(), 200, "{}", edited.text());
    for line in [ALL, "rm -rf data/*"] {
        shell(gateway.dir(), line);
        within("all is there again", async {
            let files = ["overlay.yaml", "config-history.json", "dashboard.key", "run/control.sock", "run/gateway.pid"];
            while !files.iter().all(|file| gateway.dir().join("data").join(file).exists()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let reloaded = gateway.command(&["reload"]).await;
        assert!(reloaded.status.success(), "{line}: {reloaded:?}");
        assert_eq!(gateway.panel_key(), key, "{line}: sessions go on");
        let present = admin.request(&request(Request::get("/api/admin/config"))).await.text();
        assert!(present.contains("header_timeout: 17s"), "{line}: {present}");
        let mode = std::fs::metadata(gateway.dir().join("data")).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{line}");
    }
    // Who deletes the overlay alone takes the edits back.
    shell(gateway.dir(), "rm data/overlay.yaml");
    within("the edit is taken back", async {
        while admin.request(&request(Request::get("/api/admin/config"))).await.text().contains("header_timeout: 17s") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
