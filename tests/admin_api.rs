//! The admin API: what it tells, and to whom.

use harness::{Client, Gate, Gateway, GatewayBuilder, Pool, Port, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn gateway(folder: &Path) -> GatewayBuilder {
    let database = folder.join("log.db").display().to_string();
    without_log().env("GATEWAY_DB", &database)
}

fn without_log() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key")
}

fn message(session: &str) -> Request {
    let body =
        r#"{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    Request::post("/v1/messages", body)
        .header("Content-Type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .header("X-Claude-Code-Session-Id", session)
        .header("x-api-key", "sk-secret-key")
}

/// A request to the API.
fn look(target: &str) -> Request {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    request.header("Authorization", "Bearer the-key")
}

/// A change.
fn change(target: &str, body: &str) -> Request {
    let request = Request::post(&format!("/api/admin/{target}"), body).header("Host", "127.0.0.1");
    request.header("Content-Type", "application/json").header("Authorization", "Bearer the-key")
}

/// What the API says.
async fn get(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.request(&look(target)).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

/// Waits until the log has so many rows.
async fn wait_rows(gateway: &Gateway, count: usize) -> Value {
    within("the rows", async {
        loop {
            let answer = gateway.request(&look("requests?limit=500")).await;
            if answer.status() == 200 {
                let page = answer.json();
                if page["requests"].as_array().is_some_and(|rows| rows.len() >= count) {
                    return page;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_happened_is_told_by_rows_sums_groups_and_sessions_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start({
        let anthropic = anthropic::handler();
        move |request| match request.target.as_str() {
            "/v1/fail" => Reply::status(503)
                .header("Content-Type", "application/json")
                .body(r#"{"error":{"type":"new_api_error","message":"pool for sk-secret-key is closed"}}"#),
            _ => anthropic(request),
        }
    })
    .await;
    let gateway = gateway(folder.path()).upstream(upstream.url()).start().await;
    for index in 0..6 {
        let request = message(if index < 4 { "s-1" } else { "s-2" });
        let request = if index == 3 { request.header("x-claude-code-agent-id", "agent-1") } else { request };
        assert_eq!(gateway.request(&request).await.status(), 200);
    }
    for _ in 0..2 {
        gateway.request(&Request::get("/v1/fail").header("x-api-key", "sk-secret-key")).await;
    }
    let page = wait_rows(&gateway, 8).await;
    assert_eq!(page["requests"].as_array().map(Vec::len), Some(8), "pages of the gateway's own are no traffic");
    assert_eq!(page["next_cursor"], Value::Null);

    let row = &get(&gateway, "requests?session=s-2&limit=1").await["requests"][0];
    assert_eq!((row["outcome"].as_str(), row["status"].as_u64()), (Some("completed"), Some(200)), "{row}");
    assert_eq!((row["model_asked"].as_str(), row["path"].as_str()), (Some("claude-sonnet-4-5"), Some("/v1/messages")));
    assert!(row["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{row}");
    assert!(row["first_token_ms"].is_u64() && row["connect_ms"].is_u64() && row["queue_ms"].is_u64(), "{row}");

    let now = row["started_at_ms"].as_i64().expect("a time");
    let span = format!("from={}&to={}", now - 600_000, now + 600_000);
    let stats = get(&gateway, &format!("stats?{span}")).await;
    assert_eq!((stats["requests"].as_u64(), stats["outcomes"]["completed"].as_u64()), (Some(8), Some(6)), "{stats}");
    assert_eq!((stats["outcomes"]["upstream_error"].as_u64(), stats["statuses"]["5xx"].as_u64()), (Some(2), Some(2)));
    let rows = page["requests"].as_array().expect("rows");
    for kind in ["input", "output", "cache_write", "cache_read"] {
        let sum: u64 = rows.iter().filter_map(|row| row["tokens"][kind].as_u64()).sum();
        assert_eq!(stats["tokens"][kind].as_u64(), Some(sum), "{kind}");
    }
    let cost: f64 = rows.iter().filter_map(|row| row["cost_usd"].as_f64()).sum();
    assert!((stats["cost_usd"].as_f64().expect("a cost") - cost).abs() < 1e-9, "{stats}");
    assert!(stats["duration_ms"]["p50"].as_f64().is_some() && stats["first_token_ms"]["count"] == 6, "{stats}");
    let of_key = get(&gateway, &format!("stats?{span}&key={}", row["key"].as_str().expect("a key"))).await;
    assert_eq!((of_key["requests"].as_u64(), &of_key["duration_ms"]["p50"]), (Some(8), &Value::Null), "{of_key}");
    assert_eq!(get(&gateway, &format!("stats?{span}&model=none")).await["requests"], 0);

    points_groups_sessions_and_errors_agree(&gateway, &span).await;

    let mut admin = Client::connect(gateway.admin_addr()).await;
    let same = admin.request(&look(&format!("stats?{span}"))).await.json();
    assert_eq!(same["requests"], 8, "the admin service says the same");
    let health = get(&gateway, "health").await;
    assert_eq!((health["status"].as_str(), health["log"]["written"].as_u64()), (Some("ok"), Some(8)), "{health}");
}

/// The rest of the above.
async fn points_groups_sessions_and_errors_agree(gateway: &Gateway, span: &str) {
    let series = get(gateway, &format!("stats/series?{span}&step=60000")).await;
    let points = series["points"].as_array().expect("points");
    assert_eq!(
        points.len(),
        ((series["to_ms"].as_i64().unwrap() - series["from_ms"].as_i64().unwrap()) / 60_000) as usize
    );
    assert_eq!(points.iter().filter_map(|point| point["requests"].as_u64()).sum::<u64>(), 8);
    assert_eq!(points.iter().filter_map(|point| point["failed"].as_u64()).sum::<u64>(), 2);

    let groups = get(gateway, &format!("stats/groups?{span}&by=path")).await;
    assert_eq!(groups["groups"][0]["name"], "/v1/messages");
    assert_eq!(
        (groups["groups"][0]["requests"].as_u64(), groups["groups"][1]["name"].as_str()),
        (Some(6), Some("other"))
    );
    let models = get(gateway, &format!("stats/groups?{span}&by=model")).await;
    assert!(models["groups"][0]["first_token_ms"]["p50"].as_f64().is_some(), "{models}");

    let session = get(gateway, "sessions/s-1").await;
    assert_eq!(
        (session["total"]["requests"].as_u64(), session["requests"].as_array().map(Vec::len)),
        (Some(4), Some(4))
    );
    let agents: Vec<_> =
        session["agents"].as_array().expect("agents").iter().map(|agent| agent["name"].clone()).collect();
    assert_eq!(agents, [Value::Null, "agent-1".into()]);

    let errors = get(gateway, &format!("errors?{span}")).await;
    let group = &errors["groups"][0];
    assert_eq!((errors["total"].as_u64(), group["cause"].as_str()), (Some(2), Some("pool_closed")), "{errors}");
    assert_eq!(group["message"], "pool for ******** is closed");
    let detail = get(gateway, &format!("requests/{}", group["example_id"].as_str().expect("an id"))).await;
    assert!(detail["error_body"].as_str().is_some_and(|body| body.contains("new_api_error")), "{detail}");
    assert!(!detail.to_string().contains("sk-secret-key") && detail["capture"].is_null(), "{detail}");
}

#[tokio::test]
async fn pages_and_filters_lead_to_every_row_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/b" => Reply::status(404),
        _ => Reply::ok("{}"),
    })
    .await;
    let gateway = gateway(folder.path()).upstream(upstream.url()).start().await;
    let mut client = gateway.connect().await;
    for index in 0..25 {
        client.request(&Request::get(if index % 5 == 0 { "/b" } else { "/a" })).await;
    }
    wait_rows(&gateway, 25).await;
    let (mut ids, mut target) = (Vec::new(), "requests?limit=7".to_owned());
    loop {
        let page = get(&gateway, &target).await;
        ids.extend(page["requests"].as_array().expect("rows").iter().map(|row| row["id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        target = format!("requests?limit=7&cursor={cursor}");
    }
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (25, 25));
    for (filter, count) in [
        ("status=4xx", 5),
        ("status=404,200", 25),
        ("path=/b", 5),
        ("outcome=completed", 20),
        ("outcome=upstream_error&status=5xx", 0),
        ("cause=not_found", 5),
        ("q=/B", 5),
        ("q=%25", 0),
        ("from=0&to=1", 0),
    ] {
        let page = get(&gateway, &format!("requests?{filter}")).await;
        assert_eq!(page["requests"].as_array().map(Vec::len), Some(count), "{filter}");
    }
    let csv = gateway.request(&look("export?format=csv&status=4xx")).await.text();
    assert_eq!(
        (csv.lines().count(), csv.lines().next().map(|head| head.starts_with("id,started_at_ms,"))),
        (6, Some(true))
    );
    let json = gateway.request(&look("export?format=json")).await.text();
    assert_eq!(json.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 25);
    for bad in [
        "requests?limit=0",
        "requests?cursor=x",
        "requests?status=9xx",
        "stats?from=2&to=1",
        "stats/series?step=5",
        "stats/groups?by=colour",
        "export?format=xml",
        "stats?from=tomorrow",
    ] {
        let answer = gateway.request(&look(bad)).await;
        assert_eq!((answer.status(), answer.json()["type"].as_str()), (400, Some("error")), "{bad}");
    }
    for missing in ["requests/req_none", "sessions/none", "nothing", "requests/a/b", "..%2fhealth", "stats/"] {
        let answer = gateway.request(&look(missing)).await;
        assert_eq!(answer.status(), 404, "{missing}");
    }
    assert_eq!(gateway.request(&change("explain", "{")).await.status(), 400);
}

#[tokio::test]
async fn statistics_survive_a_restart_and_the_whole_request_is_kept_if_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:\n  log: { capture: all, capture_body: 20 }\n";
    {
        let gateway = gateway(folder.path()).upstream(upstream.url()).yaml(yaml).start().await;
        let request = Request::post("/v1/x", "my key is sk-secret-key, and more").header("x-api-key", "sk-secret-key");
        gateway.request(&request).await;
        wait_rows(&gateway, 1).await;
    }
    let gateway = gateway(folder.path()).upstream(upstream.url()).yaml(yaml).start().await;
    let page = wait_rows(&gateway, 1).await;
    let id = page["requests"][0]["id"].as_str().expect("an id");
    let capture = &get(&gateway, &format!("requests/{id}")).await["capture"];
    assert_eq!(
        (capture["body"].as_str(), capture["is_cut"].as_bool()),
        (Some("my key is ********"), Some(true)),
        "{capture}"
    );
    let head = capture["head"].as_str().expect("a head");
    assert!(head.starts_with("POST /v1/x HTTP/1.1\n") && head.contains("x-api-key: ********"), "{head}");
    assert_eq!(get(&gateway, "stats").await["requests"], 1);
}

#[tokio::test]
async fn without_a_request_log_the_rest_still_answers() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = without_log().env("GATEWAY_DB", "off");
    let gateway = gateway.upstream(upstream.url()).start().await;
    let answer = gateway.request(&look("stats")).await;
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("GATEWAY_DB"), "{}", answer.text());
    assert_eq!(get(&gateway, "health").await["log"], Value::Null);
    assert_eq!(get(&gateway, "upstreams").await["upstreams"][0]["circuit"], "closed");
}

#[tokio::test]
async fn who_listens_hears_of_each_request_and_of_each_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start(anthropic::handler()).await;
    let gateway = gateway(folder.path()).upstream(upstream.url()).start().await;
    for address in [gateway.addr(), gateway.admin_addr()] {
        let mut listener = Client::connect(address).await;
        listener.send(look("live").bytes()).await;
        let head = listener.head("GET").await;
        assert_eq!((head.status, head.headers.all("content-type").join("")), (200, "text/event-stream".to_owned()));
        listener.piece_until("retry: ").await;
        assert_eq!(gateway.request(&message("s-live")).await.status(), 200);
        let heard = listener.piece_until("\"session\":\"s-live\"").await;
        assert!(heard.contains("event: request\ndata: {"), "{heard}");
        let second = listener.piece_until("event: second").await;
        assert!(second.contains("\"running\":["), "{second}");
    }
}

#[tokio::test]
async fn requests_that_are_being_served_are_shown_with_what_they_are_at() {
    let upstream = Upstream::start(|_| Reply::stall()).await;
    let gateway = without_log().upstream(upstream.url()).start().await;
    let mut client = gateway.connect().await;
    client.send(message("s-run").bytes()).await;
    let shown = within("the request is shown", async {
        loop {
            let running = get(&gateway, "running").await;
            let shown = running["running"][0].clone();
            if shown["phase"] == "wait" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!((shown["session"].as_str(), shown["model_asked"].as_str()), (Some("s-run"), Some("claude-sonnet-4-5")));
    assert_eq!((shown["attempts"].as_u64(), shown["output_tokens"].as_u64()), (Some(1), Some(0)));
    let silent = |shown: &Value| shown["silent_ms"].as_u64().expect("somebody waits");
    let id = shown["id"].as_str().expect("an id");
    within("its silence grows", async {
        // Without a log too.
        while silent(&get(&gateway, &format!("requests/{id}")).await["running"]) <= silent(&shown) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(client);
    within("it is gone", async {
        while get(&gateway, "running").await["running"] != Value::Array(vec![]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_are_counted_while_the_answer_comes() {
    let gate = Gate::new();
    let text = "a".repeat(400);
    let pieces = [
        r#"event: message_start
data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}

"#
        .to_owned(),
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
             {{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        ),
    ];
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |_| Reply::sse().bytes(pieces.concat()).step(Step::Wait(gate.clone()))
    })
    .await;
    let gateway = without_log().upstream(upstream.url()).start().await;
    let mut client = gateway.connect().await;
    client.send(message("s-count").bytes()).await;
    let shown = within("the tokens are told", async {
        loop {
            let shown = get(&gateway, "running").await["running"][0].clone();
            if shown["output_tokens"].as_u64().is_some_and(|tokens| tokens > 1) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!((shown["phase"].as_str(), shown["output_tokens"].as_u64()), (Some("answer"), Some(100)));
    assert!(shown["response_bytes"].as_u64().is_some_and(|bytes| bytes > 400), "{shown}");
    gate.open();
}

#[tokio::test]
async fn readiness_is_that_an_upstream_is_usable() {
    let upstream = Upstream::start(|_| Reply::status(503)).await;
    let yaml = "gateway:\n  health: { failures: 1, open: 60s }\n";
    let gateway = without_log().upstream(upstream.url()).yaml(yaml).start().await;
    let mut admin = Client::connect(gateway.admin_addr()).await;
    assert_eq!(admin.request(&Request::get("/healthz")).await.status(), 200);
    assert_eq!(admin.request(&Request::get("/readyz")).await.status(), 200);
    gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_eq!(admin.request(&Request::get("/readyz")).await.status(), 503);
    assert_eq!(admin.request(&Request::get("/healthz")).await.status(), 200);
}

#[tokio::test]
async fn an_upstream_out_of_service_gets_nothing_while_there_is_another() {
    let (first, second) = (Upstream::start(|_| Reply::ok("1")).await, Upstream::start(|_| Reply::ok("2")).await);
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{ name: a, base_url: \"{}\", priority: 0 }}\n    \
         - {{ name: b, base_url: \"{}\", priority: 1 }}\n",
        first.url(),
        second.url()
    );
    let gateway = without_log();
    let gateway = gateway.yaml(&yaml).start().await;
    let ask = async || gateway.request(&Request::get("/v1/models")).await.text();
    let change = async |target: &str| {
        let answer = gateway.request(&change(target, "{}")).await;
        assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
        answer.json()
    };
    assert_eq!(ask().await, "1");
    assert_eq!(change("upstreams/a/drain").await["is_drained"], true);
    assert_eq!(ask().await, "2");
    change("upstreams/b/drain").await;
    assert!(["1", "2"].contains(&ask().await.as_str()), "the last ones serve all the same");
    let mut admin = Client::connect(gateway.admin_addr()).await;
    assert_eq!(admin.request(&Request::get("/readyz")).await.status(), 503);
    assert_eq!(change("upstreams/a/enable").await["is_drained"], false);
    assert_eq!(ask().await, "1");
    let tried = change("upstreams/a/test").await;
    assert_eq!((tried["reachable"].as_bool(), tried["ways"][0]["status"].as_u64()), (Some(true), Some(200)), "{tried}");
    let unknown = crate::change("upstreams/c/drain", "{}");
    assert_eq!(gateway.request(&unknown).await.status(), 404);
}

#[tokio::test]
async fn what_upstreams_did_has_codes_and_parameters_beside_its_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let dead = Port::free();
    let busy = Upstream::start(|_| Reply::status(503)).await;
    let cut = Upstream::start(|_| {
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
        Reply::sse().bytes(start).step(Step::Sleep(Duration::from_millis(50))).step(Step::Reset)
    })
    .await;
    let pool = Pool::new().add("dead", format!("http://{}", dead.addr())).add("busy", busy.url()).add("cut", cut.url());
    let gateway = gateway(folder.path()).yaml(&pool.yaml()).start().await;
    let mut client = gateway.connect().await;
    client.send(message("s").bytes()).await;
    let rows = wait_rows(&gateway, 1).await;
    let row = &rows["requests"][0];
    assert_eq!((row["outcome"].as_str(), row["reason"].as_str()), (Some("truncated"), Some("truncated")), "{row}");
    let detail = get(&gateway, &format!("requests/{}", row["id"].as_str().expect("an id"))).await;
    // Lists have the fault too, for which the reason stands.
    assert_eq!((row["fault"]["upstream"].as_str(), row["fault"]["code"].as_str()), (Some("cut"), Some("truncated")));
    let errors = get(&gateway, "errors").await;
    assert_eq!((&errors["groups"][0]["fault"], &detail["fault"]), (&row["fault"], &row["fault"]), "{errors}");
    let tried: Vec<(&str, &str)> = detail["tried"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tried| (tried["upstream"].as_str().unwrap_or_default(), tried["code"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(tried, [("dead", "connect_refused"), ("busy", "status"), ("cut", "truncated")], "{detail}");
    assert_eq!(detail["tried"][1]["parameters"]["status"], 503, "{detail}");
    let upstreams = get(&gateway, "upstreams").await;
    for (at, (_, code)) in tried.iter().enumerate() {
        let failure = &upstreams["upstreams"][at]["last_failure"];
        assert_eq!(failure["code"].as_str(), Some(*code), "{upstreams}");
        for words in ["what", "what_zh"] {
            assert_eq!(failure[words], detail["tried"][at][words], "one place makes the words: {upstreams}");
        }
    }
    assert_eq!(upstreams["upstreams"][2]["bad"], 1, "what broke off counts once: {upstreams}");
}

#[tokio::test]
async fn rules_are_listed_with_where_they_come_from_and_how_often_they_applied() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{ name: a, base_url: \"{}\", profile: anyrouter }}\n  rules:\n    \
         - {{ name: mine, headers: {{ set: {{ x-a: b }} }} }}\n    \
         - {{ name: off, enabled: false, headers: {{ set: {{ x-a: c }} }} }}\n",
        upstream.url()
    );
    let gateway = without_log().yaml(&yaml).start().await;
    gateway.request(&Request::get("/v1/models")).await;
    let line = gateway.stderr_line(0, "an access line", |line| line.contains(" path=/v1/models")).await;
    assert!(line.contains("outcome=completed"), "{line}");
    let listed = get(&gateway, "rules").await;
    let rules = listed["upstreams"][0]["rules"].as_array().expect("rules");
    let rule =
        |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap_or_else(|| panic!("{name}: {listed}"));
    assert_eq!((rule("mine")["source"].as_str(), rule("mine")["hits"].as_u64()), (Some("operator"), Some(1)));
    assert_eq!((rule("off")["is_enabled"].as_bool(), rule("off")["hits"].as_u64()), (Some(false), Some(0)));
    assert_eq!(rule("anyrouter.compact")["is_enabled"], false);
    assert_eq!(rule("anyrouter.bearer")["source"], "profile");
}
