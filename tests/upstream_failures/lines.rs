//! Several addresses of one relay: the fastest is used, and another one when it fails.

use std::time::Duration;

use harness::{Authority, Deaf, Gateway, Pool, Port, Reply, Request, Step, Upstream, ask, named, named_on, within};
use serde_json::Value;

use super::gateway;

/// The lines of the first upstream, as the panel's API tells them.
async fn lines(gateway: &Gateway) -> Vec<Value> {
    let answer = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await;
    answer.json()["upstreams"][0]["lines"].as_array().expect("lines").clone()
}

async fn wait_for_line(gateway: &Gateway, what: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    within(what, async {
        loop {
            let lines = lines(gateway).await;
            if is_it(&lines) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// How many messages it was asked for; checks of lines do not count.
fn messages(upstream: &Upstream) -> usize {
    upstream.received().iter().filter(|request| request.method == "POST").count()
}

#[tokio::test]
async fn the_fastest_line_is_used_once_they_were_compared() {
    let late = || {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        Reply::raw(vec![Step::Sleep(Duration::from_millis(60)), Step::Raw(answer.to_vec())])
    };
    let slow = Upstream::start(move |_| late()).await;
    let fast = named("fast").await;
    let pool = Pool::new().add_with("relay", format!("{}/api", slow.url()), &format!("lines: [\"{}\"]", fast.addr()));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let compared = wait_for_line(&gateway, "a first choice", |lines| lines[1]["state"] == "used").await;
    assert_eq!(compared[0]["state"], "ready");
    assert!(compared[0]["probe_ms"].as_f64() > compared[1]["probe_ms"].as_f64(), "{compared:?}");
    assert!(compared[1]["connect_ms"].is_number() && compared[1]["tls_ms"].is_null(), "{compared:?}");
    let before = messages(&slow);
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 relay 1");
    }
    assert_eq!((messages(&fast), messages(&slow)), (3, before));
    let got = fast.last();
    assert_eq!(got.headers.all("host"), [fast.addr().to_string()], "each line has a Host of its own");
    assert_eq!(got.target, "/api/v1/messages", "and the path of base_url");
    let check = fast.received().into_iter().find(|request| request.method == "HEAD").expect("a check");
    assert_eq!(check.target, "/api/");
    assert!(!check.headers.has("authorization") && !check.headers.has("x-api-key"), "a check brings no key");
}

#[tokio::test]
async fn a_line_that_dies_costs_no_request() {
    let ports = [Port::free(), Port::free()];
    let (first, second) = (named_on(&ports[0], "first").await, named_on(&ports[1], "second").await);
    let pool = Pool::new().add_with("relay", first.url(), &format!("lines: [\"{}\"]", second.addr()));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let clients = (0..4).map(|client| {
        let (gateway, first) = (&gateway, &first);
        async move {
            let mut connection = gateway.connect().await;
            for turn in 0..50 {
                if (client, turn) == (0, 20) {
                    first.stop().await;
                }
                let answer = connection.request(&ask(client)).await;
                assert_eq!((answer.status(), answer.header("x-gateway-upstream").as_deref()), (200, Some("relay")));
            }
        }
    });
    futures::future::join_all(clients).await;
    assert!(messages(&first) > 0 && messages(&second) >= 30, "{} {}", messages(&first), messages(&second));
    assert_eq!(gateway.request(&ask("then")).await.outcome(), "200 relay 1", "others do not even try it");
    let known = lines(&gateway).await;
    assert_eq!((&known[0]["state"], &known[1]["state"]), (&"down".into(), &"used".into()), "{known:?}");
    assert!(known[0]["fault"]["code"].is_string() && known[0]["since_ms"].is_u64(), "{known:?}");
    let answer = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
    assert_eq!((&answer["upstreams"][0]["bad"], &answer["upstreams"][0]["circuit"]), (&0.into(), &"closed".into()));
}

#[tokio::test]
async fn a_line_that_never_answers_holds_up_one_request() {
    let (deaf, other) = (Deaf::start().await, named("other").await);
    let more = format!("connect_timeout: 500ms, lines: [\"{}\"]", other.addr());
    let pool = Pool::new().add_with("relay", format!("http://{}", deaf.addr()), &more);
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    for session in 0..20 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 relay 1");
    }
    let failures = wait_for_line(&gateway, "the line to be known as down", |lines| lines[0]["state"] == "down").await;
    let code = failures[0]["fault"]["code"].as_str().unwrap_or_default();
    assert!(["connect_timeout", "probe_failed"].contains(&code), "{failures:?}");
    assert!(failures[0]["failures"].as_u64() < Some(10), "{failures:?}");
}

#[tokio::test]
async fn when_all_lines_fail_the_next_upstream_takes_over() {
    let (ports, other) = ([Port::free(), Port::free()], named("other").await);
    let more = format!("lines: [\"{}\"]", ports[1].addr());
    let pool = Pool::new().add_with("relay", format!("http://{}", ports[0].addr()), &more).add("other", other.url());
    let gateway = gateway().yaml(&pool.forgetful().yaml()).start().await;
    assert_eq!(gateway.request(&ask("x")).await.outcome(), "200 other 2");
    let answer = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
    assert_eq!(answer["upstreams"][0]["bad"], 1, "one failure, however many lines there are");
    assert_eq!(answer["upstreams"][1]["lines"], serde_json::json!([]));
}

#[tokio::test]
async fn a_request_that_may_have_been_heard_goes_on_as_max_attempts_allows() {
    for (most, wanted, asked) in [(3, "200 other 3", [1, 1, 1]), (2, "502 relay 2", [1, 1, 0])] {
        let closing =
            || Upstream::start(|request| if request.method == "POST" { Reply::close() } else { Reply::ok("") });
        let (first, second, other) = (closing().await, closing().await, named("other").await);
        let pool = Pool::new()
            .add_with("relay", first.url(), &format!("lines: [\"{}\"]", second.addr()))
            .add("other", other.url())
            .forgetful()
            .failover(&format!("max_attempts: {most}"));
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        let answer = gateway.request(&ask("x")).await;
        assert_eq!([&first, &second, &other].map(messages), asked, "max_attempts: {most}");
        assert_eq!(answer.outcome(), wanted, "{}", answer.text());
    }
}

#[tokio::test]
async fn lines_that_were_all_dead_are_used_when_they_are_back() {
    let ports = [Port::free(), Port::free()];
    let (first, second) = (named_on(&ports[0], "first").await, named_on(&ports[1], "second").await);
    let more = format!("lines: [\"{}\"]", second.addr());
    let gateway = gateway().yaml(&Pool::new().add_with("relay", first.url(), &more).forgetful().yaml()).start().await;
    assert_eq!(gateway.request(&ask("before")).await.outcome(), "200 relay 1");
    first.stop().await;
    second.stop().await;
    for session in 0..3 {
        let answer = gateway.request(&ask(session)).await;
        assert_eq!(answer.outcome(), "502 relay 1", "{}", answer.text());
    }
    let down = lines(&gateway).await;
    assert!(down.iter().all(|line| line["state"] == "down"), "{down:?}");
    second.restart().await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 relay 1", "without waiting for a check");
    }
    first.restart().await;
    second.stop().await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 relay 1", "and back");
    }
}

#[tokio::test]
async fn each_line_shows_a_certificate_of_its_own() {
    let authority = Authority::new();
    let secured =
        |name: &'static str| Upstream::builder().tls(&authority.leaf(&[name])).start(|_| Reply::json("{}".to_owned()));
    let (by_name, by_address, wrong) =
        (secured("localhost").await, secured("127.0.0.1").await, secured("x.test").await);
    let builder = gateway();
    let ca = builder.dir().join("authority.pem");
    std::fs::copy(authority.ca_file(), &ca).expect("the authority's file");
    let url = format!("https://localhost:{}", wrong.addr().port());
    let with = |line: String| {
        let more = format!("ca_file: \"{}\", lines: [\"{line}\"]", ca.display());
        Pool::new().add_with("relay", &url, &more).yaml()
    };
    let gateway = builder.yaml(&with(by_address.addr().to_string())).start().await;
    assert_eq!(gateway.request(&ask(1)).await.outcome(), "200 relay 1", "the line whose certificate fits its host");
    let known = lines(&gateway).await;
    assert_eq!((&known[0]["state"], &known[1]["state"]), (&"down".into(), &"used".into()), "{known:?}");
    // Another line takes its place without a stop.
    let file = gateway.dir().join("gateway.yaml");
    std::fs::write(file, with(format!("localhost:{}", by_name.addr().port()))).expect("written");
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(gateway.request(&ask(2)).await.outcome(), "200 relay 1");
    assert_eq!([&by_address, &by_name, &wrong].map(messages), [1, 1, 0]);
}
