//! What requests cost: known, in part, or not at all, and made anew.

use harness::{Client, Gateway, Request, Upstream, anthropic, metrics, within};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const PRICED: &str = "claude-sonnet-4-5";
const UNPRICED: &str = "a-model-that-nobody-sells";

async fn start(folder: &Path, upstream: &Upstream) -> Gateway {
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key");
    gateway.env("GATEWAY_DB", &folder.join("log.db").display().to_string()).upstream(upstream.url()).start().await
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
