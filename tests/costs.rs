//! What requests cost: known, in part, or not at all, and made anew.

use anyrouter_gateway::measured::Database;
use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Upstream, anthropic, metrics, within};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use std::path::Path;
use std::time::{Duration, SystemTime};

#[path = "../examples/fill_log/record.rs"]
mod record;

const PRICED: &str = "claude-sonnet-4-5";
const UNPRICED: &str = "a-model-that-nobody-sells";

fn started(folder: &Path) -> GatewayBuilder {
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key");
    gateway.env("GATEWAY_DB", &folder.join("log.db").display().to_string())
}

async fn start(folder: &Path, upstream: &Upstream) -> Gateway {
    started(folder).upstream(upstream.url()).start().await
}

async fn ask(gateway: &Gateway, model: &str, session: &str) {
    let body = format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]}}"#);
    let request = Request::post("/v1/messages", body).header("Content-Type", "application/json");
    let request = request.header("anthropic-version", "2023-06-01").header("x-api-key", "sk-a");
    let answer = gateway.request(&request.header("X-Claude-Code-Session-Id", session)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// A request to the API.
fn look(target: &str) -> Request {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    request.header("Authorization", "Bearer the-key")
}

/// What the API says.
async fn get(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.request(&look(target)).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

/// Waits until the log has so many rows.
async fn wait_rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    within("the rows", async {
        loop {
            // Until the file is made, there is no log to be read.
            let page = gateway.request(&look("requests?limit=500")).await.json();
            match page["requests"].as_array() {
                Some(rows) if rows.len() >= count => return rows.clone(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

/// What something costs, and how many requests of it have no price.
fn cost(of: &Value) -> (Option<f64>, Option<u64>) {
    (of["cost_usd"].as_f64(), of["unpriced_requests"].as_u64())
}

#[tokio::test]
async fn what_has_no_price_is_told_as_that_and_never_as_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = start(folder.path(), &upstream).await;
    for (model, session) in [(UNPRICED, "s-1"), (UNPRICED, "s-2"), (PRICED, "s-2")] {
        ask(&gateway, model, session).await;
    }
    let rows = wait_rows(&gateway, 3).await;
    let priced: Vec<f64> = rows.iter().filter_map(|row| row["cost_usd"].as_f64()).collect();
    assert!(priced.len() == 1 && priced[0] > 0.0, "{rows:?}");
    let known = (Some(priced[0]), Some(2));
    assert_eq!(cost(&get(&gateway, "stats").await), known);
    assert_eq!(cost(&get(&gateway, "stats?model=none").await), (None, Some(0)), "there is no such request");
    assert_eq!(cost(&get(&gateway, &format!("stats?model={UNPRICED}")).await), (None, Some(2)));
    assert_eq!(cost(&get(&gateway, "sessions/s-1").await["total"]), (None, Some(1)));
    assert_eq!(cost(&get(&gateway, "sessions/s-2").await["total"]), (Some(priced[0]), Some(1)));
    for (by, wanted) in
        [("model", vec![(None, Some(2)), (Some(priced[0]), Some(0))]), ("upstream", vec![known]), ("key", vec![known])]
    {
        let groups = get(&gateway, &format!("stats/groups?by={by}")).await;
        let groups = groups["groups"].as_array().expect("groups").iter();
        assert_eq!(groups.map(cost).collect::<Vec<_>>(), wanted, "by {by}");
    }
    let has_price = async |by: &str| {
        let groups = get(&gateway, &format!("stats/groups?by={by}")).await["groups"].clone();
        groups.as_array().expect("groups").iter().map(|group| group["has_price"].as_bool()).collect::<Vec<_>>()
    };
    assert_eq!((has_price("model").await, has_price("key").await), (vec![Some(false), Some(true)], vec![None]));
    let series = get(&gateway, "stats/series").await;
    let points = series["points"].as_array().expect("points");
    assert_eq!(points.iter().filter_map(|point| point["unpriced_requests"].as_u64()).sum::<u64>(), 2);
    for point in points.iter().filter(|point| point["requests"] == 0) {
        assert_eq!(cost(point), (None, Some(0)), "{point}");
    }

    let csv = gateway.request(&look("export?format=csv")).await.text();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let at = |name: &str| lines[0].iter().position(|column| *column == name).expect("a column");
    let (model, cost) = (at("model"), at("cost_usd"));
    let cells: Vec<_> = lines[1..].iter().map(|cells| (cells[model], cells[cost])).collect();
    assert_eq!(cells.iter().filter(|cells| **cells == (UNPRICED, "")).count(), 2, "{cells:?}");

    let mut admin = Client::connect(gateway.admin_addr()).await;
    let shown = admin.request(&Request::get("/metrics")).await.text();
    let upstream = rows[0]["upstream"].as_str().expect("an upstream");
    let labels = [("model", UNPRICED), ("upstream", upstream)];
    assert_eq!(metrics::sum(&shown, "gateway_unpriced_requests_total", &labels), 2.0, "{shown}");
    assert_eq!(metrics::sum(&shown, "gateway_unpriced_requests_total", &[]), 2.0);
    assert!(!shown.contains(&format!("gateway_cost_usd_total{{model=\"{UNPRICED}\"}}")), "no series of 0 dollars");
}

/// A change of the configuration's own, or of the costs.
async fn change(gateway: &Gateway, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let request = Request::new(method, &format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    let request = request.header("Content-Type", "application/json").header("Authorization", "Bearer the-key");
    let answer = gateway.request(&request.body(body.to_string())).await;
    (answer.status(), answer.json())
}

/// Puts these prices in force, before the built-in ones.
async fn price(gateway: &Gateway, prices: &str) {
    let base = get(gateway, "config").await["version"].clone();
    let overlay = format!("gateway: {{prices: {prices}}}\n");
    let (status, said) = change(gateway, "PUT", "config", &json!({ "base_version": base, "overlay": overlay })).await;
    assert_eq!(status, 200, "{said}");
}

/// Waits until the run that is under way has got so far.
async fn wait_recost(gateway: &Gateway, is_there: impl Fn(&Value) -> bool) -> Value {
    within("the costs", async {
        loop {
            let recost = get(gateway, "recost").await["recost"].clone();
            if is_there(&recost) {
                return recost;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn sums(connection: &mut SqliteConnection, sql: &str) -> (i64, i64) {
    let row = sqlx::query(sql).fetch_one(connection).await.expect("sums");
    (row.get(0), row.get(1))
}

/// What rows and their sums say of costs, and of requests without a price: both the same.
async fn agreed(file: &Path) -> (i64, i64) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.expect("the file");
    let sql = "SELECT COALESCE(SUM(cost_nano), 0), SUM(input_tokens IS NOT NULL AND cost_nano IS NULL) FROM requests";
    let rows = sums(&mut connection, sql).await;
    // Sums by the minute are only of the last days.
    for span in [900, 3_600, 86_400] {
        let sql = format!("SELECT SUM(cost_nano), SUM(unpriced) FROM rollups WHERE span_s = {span}");
        assert_eq!(sums(&mut connection, &sql).await, rows, "over {span} s");
    }
    rows
}

#[tokio::test]
async fn past_requests_get_the_cost_of_a_price_that_was_given_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let mut gateway = start(folder.path(), &upstream).await;
    for model in [UNPRICED, PRICED, UNPRICED] {
        ask(&gateway, model, "s-1").await;
    }
    let rows = wait_rows(&gateway, 3).await;
    assert_eq!(get(&gateway, "recost").await, json!({ "recost": null }));
    price(&gateway, &format!("[{{models: {UNPRICED}, input: 2, output: 4}}]")).await;
    assert_eq!(cost(&get(&gateway, "stats").await).1, Some(2), "what is over stays as it was");
    let done = gateway.command(&["recost", "--from", "2000-01-01"]).await;
    assert!(done.status.success(), "{done:?}");
    assert!(
        done.stdout.contains("3 rows with known usage") && done.stdout.contains("2 have another cost now"),
        "{done:?}"
    );
    assert!(
        done.stdout.contains("0 have no price") && done.stdout.contains("sums of before the oldest row"),
        "{done:?}"
    );
    let now = wait_rows(&gateway, 3).await;
    let mut sum = 0.0;
    for (row, before) in now.iter().zip(&rows) {
        let tokens = |kind: &str| row["tokens"][kind].as_f64().expect("a count");
        let input = tokens("input") + tokens("cache_write") * 1.25 + tokens("cache_read") * 0.1;
        let wanted = match row["model"].as_str() {
            Some(UNPRICED) => (input * 2.0 + tokens("output") * 4.0) / 1e6,
            _ => before["cost_usd"].as_f64().expect("a cost"),
        };
        assert!((row["cost_usd"].as_f64().expect("a cost") - wanted).abs() < 1e-12, "{row}");
        sum += wanted;
    }
    for target in ["stats", "stats?path=/v1/messages"] {
        let stats = get(&gateway, target).await;
        assert!((stats["cost_usd"].as_f64().expect("a cost") - sum).abs() < 1e-9, "{stats}");
        assert_eq!(stats["unpriced_requests"], 0);
    }
    let recost = &get(&gateway, "recost").await["recost"];
    assert_eq!((&recost["state"], &recost["percent"], &recost["rows"]), (&json!("done"), &json!(100), &json!(3)));

    // And back, by the panel's way; one at a time, and it can be stopped.
    price(&gateway, "[]").await;
    for wrong in
        [json!({ "from_ms": 5, "to_ms": 5 }), json!({ "from_ms": -1 }), json!({ "from_ms": i64::MAX }), json!({})]
    {
        assert_eq!(change(&gateway, "POST", "recost", &wrong).await.0, 400, "{wrong}");
    }
    let (status, begun) = change(&gateway, "POST", "recost", &json!({ "from_ms": 0 })).await;
    assert_eq!((status, &begun["recost"]["state"]), (200, &json!("running")));
    let (status, said) = change(&gateway, "POST", "recost", &json!({ "from_ms": 0 })).await;
    assert_eq!((status, &said["error"]["code"]), (409, &json!("recost_runs")));
    let refused = gateway.command(&["recost", "--from", "2000-01-01"]).await;
    assert!(!refused.status.success() && refused.stderr.contains("already"), "{refused:?}");
    wait_recost(&gateway, |recost| recost["changed"] == 2).await;
    let stopped = gateway.command(&["recost", "--stop"]).await;
    assert!(stopped.status.success(), "{stopped:?}");
    let recost = wait_recost(&gateway, |recost| recost["state"] != "running").await;
    assert_eq!((&recost["state"], &recost["unpriced"]), (&json!("stopped"), &json!(2)));
    assert_eq!(cost(&get(&gateway, "stats").await).1, Some(2));
    assert_eq!(agreed(&folder.path().join("log.db")).await.1, 2);

    // Nobody runs any more: the command does it by itself, with the prices of the same configuration.
    price(&gateway, &format!("[{{models: {UNPRICED}, input: 1, output: 1}}]")).await;
    gateway.signal(gateway.pid(), "KILL");
    gateway.ended().await;
    let done = gateway.command(&["recost", "--from", "2000-01-01", "--to", "2100-01-01"]).await;
    assert!(done.status.success() && done.stdout.contains("2 have another cost now"), "{done:?}");
    assert_eq!(agreed(&folder.path().join("log.db")).await.1, 0);
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_rows_and_sums_that_agree_and_traffic_goes_on_meanwhile() {
    const ROWS: u64 = 12_000;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log.db");
    let mut database = Database::open(&file).await.expect("opened");
    let now = SystemTime::now();
    for begin in (0..ROWS).step_by(1_000) {
        let records: Vec<_> = (begin..begin + 1_000).map(|index| record::record(index, ROWS, 12, now)).collect();
        database.insert(&records).await.expect("written");
    }
    database.close().await.expect("closed");
    let before = agreed(&file).await;
    let upstream = Upstream::start(anthropic::handler()).await;
    // The upstreams of the rows.
    let of_rows = ["harbour", "lantern"].map(|name| format!("{{name: {name}, base_url: \"{}\"}}", upstream.url()));
    let yaml = format!("gateway:\n  upstreams: [{}]\n", of_rows.join(", "));
    let gateway = started(folder.path()).yaml(&yaml).start().await;
    price(&gateway, r#"[{models: "*", input: 7, output: 7}]"#).await;
    change(&gateway, "POST", "recost", &json!({ "from_ms": 0 })).await;
    // What comes in meanwhile is written as ever.
    for _ in 0..20 {
        ask(&gateway, PRICED, "during").await;
    }
    let recost = wait_recost(&gateway, |recost| recost["percent"].as_u64() > Some(20)).await;
    assert_eq!(recost["state"], "running", "there must be something left");
    gateway.signal(gateway.pid(), "KILL");
    drop(gateway);
    let in_the_middle = agreed(&file).await;
    let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.expect("the file");
    let old = "SELECT SUM(cost_nano % 7000 <> 0), COUNT(*) FROM requests WHERE cost_nano IS NOT NULL";
    let (old_before, all) = sums(&mut connection, old).await;
    assert!(in_the_middle != before && old_before > 0 && old_before < all, "{old_before} of {all} are to be made");

    let gateway = started(folder.path()).yaml(&yaml).start().await;
    price(&gateway, r#"[{models: "*", input: 7, output: 7, cache_write: 7, cache_read: 7}]"#).await;
    change(&gateway, "POST", "recost", &json!({ "from_ms": 0 })).await;
    let written = async || {
        let health = get(&gateway, "health").await["log"].clone();
        (health["written"].as_u64(), health["write_failures"].as_u64(), health["dropped"].as_u64())
    };
    for _ in 0..30 {
        ask(&gateway, PRICED, "again").await;
    }
    let done = wait_recost(&gateway, |recost| recost["state"] != "running").await;
    assert_eq!((&done["state"], &done["unpriced"]), (&json!("done"), &json!(0)), "{done}");
    within("the rows", async {
        while written().await.0 != Some(30) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(written().await, (Some(30), Some(0), Some(0)), "no write failed, and none was dropped");
    agreed(&file).await;
    let all = "SELECT SUM(cost_nano <> 7000 * (input_tokens + output_tokens + cache_write_tokens + cache_read_tokens)), \
               COUNT(*) FROM requests WHERE input_tokens IS NOT NULL";
    assert_eq!(sums(&mut connection, all).await.0, 0, "all have the cost of the last prices");
}

/// Groups by this, of which there are some without a name and some with one: their names, and how many requests each has.
async fn groups_by(gateway: &Gateway, by: &str) -> Vec<(Option<String>, u64)> {
    let found = get(gateway, &format!("stats/groups?by={by}")).await;
    let groups = found["groups"].as_array().expect("groups").iter();
    groups
        .map(|group| (group["name"].as_str().map(str::to_owned), group["requests"].as_u64().expect("a count")))
        .collect()
}

#[tokio::test]
async fn each_group_leads_to_its_requests_also_one_without_a_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream =
        Upstream::start(|request| match (request.target.as_str(), request.headers.get("x-api-key").as_deref()) {
            ("/v1/none", _) => Reply::status(404),
            (_, Some("sk-nobodys")) => Reply::status(401),
            _ => Reply::json(
                r#"{"type":"message","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":3}}"#,
            ),
        })
        .await;
    let yaml = "gateway:\n  trusted_proxies: [127.0.0.1]\n";
    let gateway = started(folder.path()).upstream(upstream.url()).yaml(yaml).start().await;
    for (client, session, agent, key, expected) in [
        ("10.0.0.7", "s-1", "", "sk-a", 200),
        ("10.0.0.7", "", "Explore", "sk-b", 200),
        ("10.0.0.70", "", "", "", 200),
        ("", "s-2", "Plan", "sk-a", 200),
        ("10.0.0.7", "", "", "sk-nobodys", 401),
    ] {
        let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", client),
            ("X-Claude-Code-Session-Id", session),
            ("X-Claude-Code-Agent-Type", agent),
            ("x-api-key", key),
        ];
        let request = headers.into_iter().filter(|(_, value)| !value.is_empty());
        let request =
            request.fold(Request::post("/v1/messages", body), |request, (name, value)| request.header(name, value));
        assert_eq!(gateway.request(&request).await.status(), expected);
    }
    // Of no model, and for no upstream.
    assert_eq!(gateway.request(&Request::get("/v1/none").header("x-api-key", "sk-a")).await.status(), 404);
    wait_rows(&gateway, 6).await;
    let mut unnamed = 0;
    for by in ["model", "upstream", "path", "key", "request_class", "upstream_key", "session", "agent_type", "client"] {
        for (name, requests) in groups_by(&gateway, by).await {
            let query = match name.as_deref() {
                None => format!("without={by}"),
                // What these are called is what is counted, not what the row says.
                Some("other" | "/v1/messages") => continue,
                Some(name) => format!("{by}={name}"),
            };
            unnamed += u64::from(name.is_none());
            let listed = get(&gateway, &format!("requests?{query}")).await["requests"].as_array().map(Vec::len);
            assert_eq!(listed, Some(requests as usize), "{query}");
            let csv = gateway.request(&look(&format!("export?{query}"))).await.text();
            assert_eq!(csv.lines().count() as u64, 1 + requests, "{query}");
        }
    }
    assert!(unnamed >= 5, "{unnamed} groups have no name");
    let both = get(&gateway, "requests?without=session,agent_type&client=10.0.0.7,10.0.0.70").await;
    assert_eq!(both["requests"].as_array().map(Vec::len), Some(2), "{both}");
    let bad = gateway.request(&look("requests?without=colour")).await;
    assert_eq!(bad.status(), 400, "{}", bad.text());
    assert!(bad.text().contains("without"), "{}", bad.text());
}
