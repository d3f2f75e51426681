//! Several gateways with one request log, in PostgreSQL: `scripts/with-postgres.sh cargo test --test fleet`. Without a server
//! (`GATEWAY_TEST_STORE`) there is nothing to test.

use harness::{Gateway, GatewayBuilder, Received, Reply, Request, Upstream, anthropic, within};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};
use std::time::Duration;

/// A database of its own on the server of the tests.
struct Store {
    url: String,
}

impl Store {
    async fn new() -> Option<Self> {
        let server = std::env::var("GATEWAY_TEST_STORE").ok()?;
        let name = format!("fleet_{:x}", fastrand::u64(..));
        let mut connection = PgConnection::connect(&server).await.expect("the server of the tests");
        sqlx::query(&format!("CREATE DATABASE {name}")).execute(&mut connection).await.expect("a database");
        Some(Self { url: server.replacen("/postgres?", &format!("/{name}?"), 1) })
    }

    async fn number(&self, sql: &str) -> i64 {
        self.try_number(sql).await.expect("a number")
    }

    /// Fails while the tables are not there.
    async fn try_number(&self, sql: &str) -> Result<i64, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let number = sqlx::query(sql).fetch_one(&mut connection).await?.try_get(0);
        connection.close().await?;
        number
    }

    async fn wait_rows(&self, count: i64) {
        within("the rows are written", async {
            while self.try_number("SELECT COUNT(*) FROM requests").await.unwrap_or_default() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(self.number("SELECT COUNT(*) FROM requests").await, count);
    }

    /// What stands before the password in the URL, the password, and what follows.
    fn parts(&self) -> (String, String, String) {
        let (before, rest) = self.url.split_once("gateway:").expect("a user");
        let (password, after) = rest.split_once('@').expect("a password");
        (format!("{before}gateway"), password.to_owned(), after.to_owned())
    }
}

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A relay that fails whoever asks it to.
fn relay(request: &Received) -> Reply {
    let text = String::from_utf8_lossy(&request.body);
    if text.contains("please fail") {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"50% of\tit is 'used' up"}}"#;
        return Reply::status(529).header("Content-Type", "application/json").body(error);
    }
    anthropic::handler()(request)
}

async fn ask(gateway: &Gateway, number: usize) {
    let words = if number % 5 == 4 { "please fail" } else { "hello" };
    let model = ["claude-sonnet-4-5", "claude-opus-4-1", "Claude-other"][number % 3];
    let is_stream = number.is_multiple_of(2);
    let body = format!(
        r#"{{"model":"{model}","max_tokens":9,"stream":{is_stream},"messages":[{{"role":"user","content":"{words}"}}]}}"#
    );
    let request = Request::post("/v1/messages", body)
        .header("Content-Type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .header("X-Claude-Code-Session-Id", format!("session-{}", number % 4))
        .header("x-api-key", format!("sk-secret-{}", number % 2));
    let status = gateway.request(&request).await.status();
    assert_eq!(status, if words == "hello" { 200 } else { 529 });
}

async fn told(gateway: &Gateway, path: &str) -> Value {
    let response = gateway.request(&gateway.as_admin(Request::get(&format!("/api/admin/{path}")))).await;
    assert_eq!(response.status(), 200, "{path}: {}", response.text());
    response.json()
}

/// Without what differs from one request to the next that is the same: times, and what is made by chance.
fn stable(value: Value) -> Value {
    let is_by_chance = |name: &str| {
        name.ends_with("_ms")
            || matches!(name, "id" | "example_id" | "request_id" | "next_cursor" | "tokens_per_second")
    };
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, _)| !is_by_chance(name))
                .map(|(name, value)| (name, stable(value)))
                .collect(),
        ),
        Value::Array(list) => list.into_iter().map(stable).collect(),
        other => other,
    }
}

const ASKED: [&str; 13] = [
    "stats",
    "stats?model=claude-opus-4-1",
    "stats?session=session-1",
    "stats/groups?by=model",
    "stats/groups?by=upstream",
    "stats/groups?by=key",
    "stats/groups?by=session&sort=cost",
    "requests?limit=50",
    "requests?q=50%25%20of&limit=50",
    "requests?status=5xx&session=session-0,session-1",
    "sessions?sort=requests",
    "errors",
    "waste",
];

#[tokio::test]
async fn gateways_of_one_database_tell_together_what_one_with_a_file_tells() {
    let Some(store) = Store::new().await else { return };
    let upstream = Upstream::start(relay).await;
    let start = |builder: GatewayBuilder| builder.upstream(upstream.url()).env("GATEWAY_DB", "log.db").start();
    let file = start(gateway()).await;
    let (first, second) = (
        start(gateway().env("GATEWAY_STORE", &store.url)).await,
        start(gateway().env("GATEWAY_STORE", &store.url)).await,
    );
    let count = 40_usize;
    for number in 0..count {
        ask(if number.is_multiple_of(3) { &first } else { &second }, number).await;
        ask(&file, number).await;
    }
    store.wait_rows(count as i64).await;
    within("the file has them too", async {
        while told(&file, "stats").await["requests"] != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for span in [60, 900, 3_600, 86_400] {
        let sql = format!("SELECT CAST(SUM(requests) AS BIGINT) FROM rollups WHERE span_s = {span}");
        assert_eq!(store.number(&sql).await, count as i64, "sums over {span} s");
    }
    let times = "SELECT CAST(SUM(durations) AS BIGINT) FROM latencies WHERE span_s = 60 AND series = 0";
    assert_eq!(store.number(times).await, count as i64);
    for path in ASKED {
        let (one, other) = (told(&first, path).await, told(&second, path).await);
        // A period that ends now ends later for who asks later.
        assert_eq!(stable(one.clone()), stable(other), "{path}: both gateways");
        assert_eq!(stable(one), stable(told(&file, path).await), "{path}: the file on the right");
    }
    let page = told(&first, "requests?limit=7").await;
    let id = page["requests"][3]["id"].as_str().expect("an id").to_owned();
    let (one, other) = (told(&first, &format!("requests/{id}")).await, told(&second, &format!("requests/{id}")).await);
    assert_eq!(one, other);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let next = told(&second, &format!("requests?limit=50&cursor={cursor}")).await;
    assert_eq!(next["requests"].as_array().map(Vec::len), Some(count - 7), "a page of one goes on at the other");
    let health = told(&first, "health").await;
    let path = health["log"]["path"].as_str().expect("a place");
    assert!(path.starts_with("postgres://gateway@") && health["log"]["bytes"].as_u64() > Some(100_000), "{health}");
    assert!(!first.dir().join("log.db").exists(), "nothing is in the file");
    first
        .stderr_line(0, "which one counts", |line| line.contains("GATEWAY_STORE") && line.contains("PostgreSQL"))
        .await;
}

#[tokio::test]
async fn the_password_may_be_in_a_file_and_is_told_by_nobody() {
    let Some(store) = Store::new().await else { return };
    let upstream = Upstream::start(relay).await;
    let (before, password, after) = store.parts();
    let start = |builder: GatewayBuilder| builder.upstream(upstream.url()).start();
    let by_file = gateway()
        .file("secret", &format!("{password}\n"))
        .env("GATEWAY_STORE", &format!("{before}@{after}"))
        .env("GATEWAY_STORE_PASSWORD_FILE", "secret");
    let by_file = start(by_file).await;
    ask(&by_file, 0).await;
    store.wait_rows(1).await;
    let wrong = format!("not-{password}");
    let refused = gateway().env("GATEWAY_STORE", &format!("{before}@{after}")).env("GATEWAY_STORE_PASSWORD", &wrong);
    let refused = start(refused).await;
    ask(&refused, 0).await;
    refused.stderr_line(0, "a report", |line| line.contains("the request log") && line.contains("tried again")).await;
    for gateway in [&by_file, &refused] {
        let shown = gateway.command(&["check"]).await;
        let config = told(gateway, "config").await.to_string();
        for text in [gateway.stderr(), shown.stdout, shown.stderr, config] {
            assert!(!text.contains(&password), "{text}");
        }
    }
    assert_eq!(store.number("SELECT COUNT(*) FROM requests").await, 1);
}

#[tokio::test]
async fn rows_of_a_killed_connection_are_there_once_and_a_stop_writes_what_waits() {
    let Some(store) = Store::new().await else { return };
    let upstream = Upstream::start(relay).await;
    let mut gateway = gateway().upstream(upstream.url()).env("GATEWAY_STORE", &store.url).start().await;
    for round in 0..5 {
        for number in 0..10 {
            ask(&gateway, round * 10 + number).await;
        }
        let sql = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        store.number(sql).await;
    }
    let pid = gateway.pid();
    gateway.signal(pid, "TERM");
    within("it ends", gateway.ended()).await;
    assert_eq!(store.number("SELECT COUNT(*) FROM requests").await, 50);
    let sums = "SELECT CAST(SUM(requests) AS BIGINT) FROM rollups WHERE span_s = 3600";
    assert_eq!(store.number(sums).await, 50);
}

#[tokio::test]
async fn costs_are_made_anew_for_all() {
    let Some(store) = Store::new().await else { return };
    let upstream = Upstream::start(relay).await;
    let (first, second) = (
        gateway().upstream(upstream.url()).env("GATEWAY_STORE", &store.url).start().await,
        gateway().upstream(upstream.url()).env("GATEWAY_STORE", &store.url).start().await,
    );
    for number in 0..12_usize {
        ask(if number.is_multiple_of(2) { &first } else { &second }, number).await;
    }
    store.wait_rows(12).await;
    let mut connection = PgConnection::connect(&store.url).await.expect("the server");
    let before = told(&second, "stats").await;
    // As if another price had been in force then.
    for sql in [
        "UPDATE requests SET cost_nano = cost_nano * 3 WHERE cost_nano > 0",
        "UPDATE rollups SET cost_nano = cost_nano * 3",
    ] {
        sqlx::query(sql).execute(&mut connection).await.expect("changed");
    }
    assert_ne!(told(&second, "stats").await["cost_usd"], before["cost_usd"]);
    let done = first.command(&["recost", "--from", "2020-01-01"]).await;
    assert!(done.status.success(), "{} {}", done.stdout, done.stderr);
    within("all see it", async {
        while told(&second, "stats").await["cost_usd"] != before["cost_usd"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(told(&first, "stats").await["cost_usd"], before["cost_usd"]);
}
