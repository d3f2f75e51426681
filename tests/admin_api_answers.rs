//! The admin API's answers to requests that are not as they should be, and at the bounds of what may be asked.

use harness::{Gateway, Reply, Request, Response, Upstream, within};
use serde_json::Value;
use std::time::Duration;

async fn start(folder: &tempfile::TempDir) -> Gateway {
    let database = folder.path().join("log.db").display().to_string();
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("GATEWAY_DB", &database);
    let gateway = gateway.env("DASHBOARD_API_KEY", "the-key").upstream(upstream.url()).start().await;
    within("the request log can be read", async {
        while gateway.request(&request("GET", "stats")).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    gateway
}

fn request(method: &str, target: &str) -> Request {
    Request::new(method, &format!("/api/admin/{target}"))
        .header("Host", "127.0.0.1")
        .header("Authorization", "Bearer the-key")
        .header("Content-Type", "application/json")
}

fn id(answer: &Response) -> (Value, String) {
    (answer.json()["request_id"].clone(), answer.header("x-request-id").unwrap_or_default())
}

#[tokio::test]
async fn errors_of_the_session_have_the_id_of_their_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = start(&folder).await;
    let login = |body: &str| Request::post("/api/admin/session", body).header("Host", "127.0.0.1");
    for (request, status) in [
        (login("{}"), 415),
        (login("{}").header("Content-Type", "application/json"), 400),
        (login(r#"{"key":"wrong"}"#).header("Content-Type", "application/json"), 401),
        (login("{}").header("Origin", "http://evil.example"), 403),
        (request("PUT", "session"), 405),
    ] {
        let answer = gateway.request(&request).await;
        let (told, sent) = id(&answer);
        assert_eq!((answer.status(), told.as_str()), (status, Some(sent.as_str())));
        assert!(sent.starts_with("req_"), "{sent}");
    }
}

#[tokio::test]
async fn a_path_that_is_known_says_which_methods_it_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = start(&folder).await;
    for (method, target, allowed) in [
        ("POST", "stats", "GET, HEAD"),
        ("POST", "stats/series", "GET, HEAD"),
        ("DELETE", "stats/groups", "GET, HEAD"),
        ("PUT", "requests/req_1", "GET, HEAD"),
        ("POST", "sessions/s-1", "GET, HEAD"),
        ("GET", "explain", "POST"),
        ("HEAD", "live", "GET"),
        ("HEAD", "export", "GET"),
        ("POST", "export", "GET"),
        ("PUT", "session", "GET, HEAD, POST, DELETE"),
    ] {
        let answer = gateway.connect().await.request(&request(method, target)).await;
        assert_eq!((answer.status(), answer.header("allow").as_deref()), (405, Some(allowed)), "{method} {target}");
    }
    // Without a key this is heard of the session alone, which needs none.
    for (target, status) in [("session", 405), ("stats", 401), ("nothing", 401)] {
        let without_key = Request::new("PUT", &format!("/api/admin/{target}")).header("Host", "127.0.0.1");
        assert_eq!(gateway.connect().await.request(&without_key).await.status(), status, "{target}");
    }
    for target in ["nothing", "stats/nothing", "requests/a/b", ""] {
        assert_eq!(gateway.request(&request("POST", target)).await.status(), 404, "{target}");
    }
}

#[tokio::test]
async fn times_and_lists_are_taken_as_far_as_their_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = start(&folder).await;
    let get = async |target: &str| gateway.request(&request("GET", target)).await;
    // An hour before the first hour: what an answer says must be something that can be asked for.
    for target in ["stats?to=1000", "stats/series?step=3600000&to=1000", "stats/groups?by=model&to=1000"] {
        let answer = get(target).await;
        assert_eq!((answer.status(), answer.json()["from_ms"].as_i64()), (200, Some(0)), "{target}");
    }
    let noon = get("stats?from=2026-11-24T04:00:00Z&to=2026-11-24T05:00:00Z").await.json();
    for from in ["2026-11-24T12:00:00%2B08:00", "2026-11-24T12:00:00+08:00", "2026-11-23T23:00:00.000-05:00"] {
        let answer = get(&format!("stats?from={from}&to=2026-11-24T05:00:00Z")).await;
        assert_eq!((answer.status(), answer.json()), (200, noon.clone()), "{from}");
    }
    // SQLite gives up at a thousand conditions, which is no reason to say that the log cannot be read.
    for name in ["status", "model", "session"] {
        let list = |count: usize| format!("requests?{name}={}", vec!["200"; count].join(","));
        assert_eq!(get(&list(100)).await.status(), 200, "{name}");
        let answer = get(&list(1_100)).await;
        assert_eq!(answer.status(), 400, "{name}: {}", answer.text());
    }
}
