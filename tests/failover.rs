//! Which upstream is next, and when there is no next one.

use std::time::{Duration, SystemTime};

use harness::{
    Gate, Gateway, GatewayBuilder, H2Client, Pool, Port, Reply, Request, Step, Upstream, ask, failing, named, named_on,
    within,
};

/// Keeps failures without consequences where [`Pool::forgetful`] would allow too many retries.
const NO_CIRCUITS: &str = "health: { failures: 1000, error_rate: 100%, min_requests: 1000000 }";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn with(pool: Pool) -> Gateway {
    gateway().yaml(&pool.yaml()).start().await
}

#[tokio::test]
async fn lower_priorities_come_first_whatever_the_order_of_the_list() {
    let ports = [Port::free(), Port::free(), Port::free()];
    let five = named_on(&ports[0], "five").await;
    let one = named_on(&ports[1], "one").await;
    let three = named_on(&ports[2], "three").await;
    let pool = Pool::new()
        .add_with("five", five.url(), "priority: 5")
        .add_with("one", one.url(), "priority: 1")
        .add_with("three", three.url(), "priority: 3");
    let gateway = with(pool.forgetful()).await;
    for session in 0..10 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 one 1");
    }
    one.stop().await;
    assert_eq!(gateway.request(&ask("second")).await.outcome(), "200 three 2");
    three.stop().await;
    assert_eq!(gateway.request(&ask("third")).await.outcome(), "200 five 3");
    one.restart().await;
    assert_eq!(gateway.request(&ask("again")).await.outcome(), "200 one 1");
}

#[tokio::test]
async fn an_upstream_that_is_not_enabled_gets_requests_only_while_there_is_no_other() {
    let (off, on) = (named("off").await, named("on").await);
    let pool = Pool::new().add_with("off", off.url(), "enabled: false").add_with("on", on.url(), "priority: 5");
    let gateway = with(pool.forgetful()).await;
    for session in 0..10 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 on 1");
    }
    // Not even one that fails has it take over, as with one that somebody drained.
    on.stop().await;
    assert_eq!(gateway.request(&ask("last")).await.outcome(), "502 on 1");
    let alone = with(Pool::new().add_with("off", off.url(), "enabled: false").forgetful()).await;
    assert_eq!(alone.request(&ask("first")).await.outcome(), "200 off 1");
}

#[tokio::test]
async fn an_upstream_that_says_retry_after_is_left_alone_until_then() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    for wait in ["30".to_owned(), date] {
        for status in [503, 529] {
            let told = wait.clone();
            let busy = Upstream::start(move |_| failing(status, "busy").header("Retry-After", &told)).await;
            let other = named("other").await;
            let pool = Pool::new().add("busy", busy.url()).add("other", other.url());
            let gateway = with(pool.forgetful()).await;
            assert_eq!(gateway.request(&ask("first")).await.outcome(), "200 other 2", "{status}, {wait}");
            for session in 0..5 {
                assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 other 1", "{status}, {wait}");
            }
            assert_eq!(busy.received().len(), 1, "{status}, {wait}");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_asked_again_once_its_time_has_come() {
    let busy = Upstream::start(|request| match request.headers.get("x-claude-code-session-id").as_deref() {
        Some("first") => failing(503, "busy").header("Retry-After", "1"),
        _ => Reply::ok("well again"),
    })
    .await;
    let other = named("other").await;
    let gateway = with(Pool::new().add("busy", busy.url()).add("other", other.url()).forgetful()).await;
    let started = std::time::Instant::now();
    assert_eq!(gateway.request(&ask("first")).await.outcome(), "200 other 2");
    within("the first upstream to be asked again", async {
        let mut session = 0;
        while gateway.request(&ask(session)).await.outcome() != "200 busy 1" {
            session += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let after = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&after), "after {after:?}");
}

#[tokio::test]
async fn retry_after_reaches_the_client_of_an_upstream_that_stands_alone() {
    for status in [503, 429] {
        let busy = Upstream::start(move |_| failing(status, "busy").header("Retry-After", "30")).await;
        let gateway = with(Pool::new().add("busy", busy.url())).await;
        for asked in 1..=5 {
            let answer = gateway.request(&ask(asked)).await;
            assert_eq!(answer.outcome(), format!("{status} busy 1"));
            assert_eq!(answer.head.headers.all("retry-after"), ["30"]);
            assert!(answer.text().contains(&format!("{status} of busy")), "{}", answer.text());
            assert_eq!(busy.received().len(), asked, "there is no other, so it is asked again");
        }
    }
}

#[tokio::test]
async fn when_all_fail_the_last_one_answers() {
    for status in [429, 500, 503] {
        let a = Upstream::start(|_| failing(500, "a")).await;
        let b = Upstream::start(move |_| failing(status, "b").header("X-Own", "kept")).await;
        let gateway = with(Pool::new().add("a", a.url()).add("b", b.url()).forgetful()).await;
        let answer = gateway.request(&ask("x")).await;
        assert_eq!(answer.outcome(), format!("{status} b 2"));
        assert!(answer.text().contains(&format!("{status} of b")), "{}", answer.text());
        assert_eq!(answer.header("x-own").as_deref(), Some("kept"));
    }
    // The last one says nothing: the gateway speaks, and names both.
    let (a, port) = (Upstream::start(|_| failing(500, "a")).await, Port::free());
    let gateway = with(Pool::new().add("a", a.url()).add("nobody", format!("http://{}", port.addr()))).await;
    let answer = gateway.request(&ask("x")).await;
    assert_eq!(answer.status(), 502, "{}", answer.text());
    let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    for part in ["\"a\"", "500", "\"nobody\"", "refused"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test]
async fn no_more_attempts_than_max_attempts() {
    for (setting, attempts) in [(Some("max_attempts: 1"), 1), (Some("max_attempts: 2"), 2), (None, 3)] {
        let mut upstreams = Vec::new();
        let mut pool = Pool::new().forgetful();
        if let Some(setting) = setting {
            pool = pool.failover(setting);
        }
        for name in ["u1", "u2", "u3", "u4", "u5"] {
            upstreams.push(Upstream::start(move |_| failing(503, name)).await);
            pool = pool.add(name, upstreams[upstreams.len() - 1].url());
        }
        let gateway = with(pool).await;
        let answer = gateway.request(&ask("x")).await;
        assert_eq!(answer.outcome(), format!("503 u{attempts} {attempts}"), "{setting:?}");
        let asked: Vec<usize> = upstreams.iter().map(|upstream| upstream.received().len()).collect();
        let wanted: Vec<usize> = (0..5).map(|at| usize::from(at < attempts)).collect();
        assert_eq!(asked, wanted, "{setting:?}: each at most once");
    }
}

#[tokio::test]
async fn only_the_statuses_of_retry_on_are_tried_elsewhere() {
    let rows = [
        (None, [429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529].as_slice()),
        (Some("retry_on: \"503, 520-521\""), &[503, 520, 521]),
    ];
    for (setting, retried) in rows {
        let first = Upstream::start(|request| {
            let session = request.headers.get("x-claude-code-session-id").unwrap_or_default();
            failing(session.parse().unwrap_or(500), "first")
        })
        .await;
        let second = named("second").await;
        let mut pool = Pool::new().add("first", first.url()).add("second", second.url()).forgetful();
        if let Some(setting) = setting {
            pool = pool.failover(setting);
        }
        let gateway = with(pool).await;
        let others = [400, 401, 403, 404, 408, 413, 418, 501, 505, 519, 525];
        for status in others.into_iter().chain(rows[0].1.iter().copied()) {
            let answer = gateway.request(&ask(status)).await;
            let wanted = match retried.contains(&status) {
                true => "200 second 2".to_owned(),
                false => format!("{status} first 1"),
            };
            assert_eq!(answer.outcome(), wanted, "{setting:?}");
        }
    }
}

#[tokio::test]
async fn without_a_budget_nothing_is_tried_again() {
    let (failed, port) = (Upstream::start(|_| failing(500, "failed")).await, Port::free());
    for (name, url, wanted) in
        [("failed", failed.url(), "500 failed 1"), ("nobody", format!("http://{}", port.addr()), "502 nobody 1")]
    {
        let second = named("second").await;
        let pool = Pool::new().add(name, url).add("second", second.url()).setting(NO_CIRCUITS);
        let gateway = with(pool.failover("retry_budget: 0%, retry_budget_min: 0")).await;
        for session in 0..20 {
            let answer = gateway.request(&ask(session)).await;
            // Who answers a 502 of the gateway's own is not of interest here.
            assert_eq!(answer.outcome().replace('?', "nobody"), wanted, "{}", answer.text());
        }
        assert_eq!(second.received().len(), 0);
    }
}

#[tokio::test]
async fn a_budget_bounds_the_retries_of_many_failing_requests() {
    let failed = Upstream::start(|_| failing(500, "failed")).await;
    let second = named("second").await;
    let pool = Pool::new().add("failed", failed.url()).add("second", second.url()).setting(NO_CIRCUITS);
    let gateway = with(pool.failover("retry_budget: 20%, retry_budget_min: 5")).await;
    let mut client = gateway.connect().await;
    for session in 0..200 {
        let outcome = client.request(&ask(session)).await.outcome();
        assert!(outcome == "500 failed 1" || outcome == "200 second 2", "{outcome}");
    }
    // 20 % of 200, and 5; twice that leaves room for how the budget is counted.
    let retries = second.received().len();
    assert!((5..=90).contains(&retries), "{retries} retries of 200 requests");
}

#[tokio::test]
async fn after_a_byte_of_the_body_nothing_is_tried_again() {
    // It fails once the byte has arrived: a reset would overtake it.
    let gate = Gate::new();
    let waits = gate.clone();
    let first = Upstream::start(move |request| {
        let wait = Step::Wait(waits.clone());
        let begun = Reply::sse().bytes("data: 1\n\n").step(wait.clone());
        match request.headers.get("x-claude-code-session-id").as_deref() {
            Some("reset") => begun.step(Step::Reset),
            Some("close") => begun.step(Step::Close),
            Some("garbage") => begun.step(Step::Raw(b"zz\r\n".to_vec())).step(Step::Stall),
            Some("length") => Reply::status(200).length(100).bytes("data: 1\n\n").step(wait).step(Step::Close),
            _ => begun.step(Step::Stall),
        }
    })
    .await;
    let second = named("second").await;
    let pool = Pool::new().add_with("first", first.url(), "read_timeout: 400ms").add("second", second.url());
    let gateway = with(pool.forgetful()).await;
    for session in ["reset", "close", "garbage", "length", "stall"] {
        let mut client = gateway.connect().await;
        client.send(ask(session).bytes()).await;
        let head = client.head("POST").await;
        assert_eq!((head.status, head.headers.get("x-gateway-upstream").as_deref()), (200, Some("first")), "{session}");
        client.piece_until("data: 1\n\n").await;
        gate.open();
        assert!(client.try_piece().await.is_err(), "{session}: half an answer must not look whole");
    }
    assert_eq!((first.received().len(), second.received().len()), (5, 0));
}

#[tokio::test]
async fn a_head_is_held_back_for_a_moment_only() {
    let gate = Gate::new();
    let waits = gate.clone();
    let first = Upstream::start(move |_| Reply::sse().step(Step::Wait(waits.clone())).step(Step::Reset)).await;
    let second = named("second").await;
    let gateway = with(Pool::new().add("first", first.url()).add("second", second.url()).forgetful()).await;
    let mut client = gateway.connect().await;
    client.send(ask("x").bytes()).await;
    // It comes although the upstream sends no byte more.
    let head = client.head("POST").await;
    assert_eq!((head.status, head.headers.get("x-gateway-upstream").as_deref()), (200, Some("first")));
    gate.open();
    assert!(client.try_piece().await.is_err(), "too late for another upstream");
    assert_eq!(second.received().len(), 0);
}

#[tokio::test]
async fn for_a_client_that_has_gone_nothing_is_tried_again() {
    let first = Upstream::start(|_| Reply::stall()).await;
    let second = named("second").await;
    let pool = Pool::new().add_with("first", first.url(), "first_byte_timeout: 1s").add("second", second.url());
    let gateway = with(pool.forgetful()).await;
    for (at, how) in ["close", "reset", "h2"].into_iter().enumerate() {
        if how == "h2" {
            let client: H2Client = gateway.connect_h2().await;
            let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
            let asking = tokio::spawn(async move { client.try_send(request, &[b"{}"]).await.is_ok() });
            first.wait_received(at + 1).await;
            asking.abort();
        } else {
            let mut client = gateway.connect().await;
            client.send(ask(how).bytes()).await;
            first.wait_received(at + 1).await;
            if how == "reset" {
                client.reset();
            } else {
                drop(client);
            }
        }
        first.wait_open_connections(0).await;
    }
    // Had one of them been tried again, the second upstream would have heard it before this one, which takes longer.
    assert_eq!(gateway.request(&ask("after")).await.outcome(), "200 second 2");
    let heard: Vec<_> = second.received().iter().map(|got| got.headers.get("x-claude-code-session-id")).collect();
    assert_eq!(heard, [Some("after".to_owned())]);
}

#[tokio::test]
async fn html_and_empty_answers_are_failures_on_api_paths_only() {
    let first = Upstream::start(|request| match request.target.as_str() {
        "/v1/empty" | "/empty" => Reply::status(200),
        _ => Reply::ok("<html></html>").header("Content-Type", "text/html; charset=utf-8"),
    })
    .await;
    let second = named("second").await;
    let gateway = with(Pool::new().add("first", first.url()).add("second", second.url()).forgetful()).await;
    for (target, wanted) in [
        ("/v1/messages", "200 second 2"),
        ("/v1/empty", "200 second 2"),
        ("/login", "200 first 1"),
        ("/empty", "200 first 1"),
    ] {
        // A session that had to move stays moved.
        let request = Request::post(target, "{}").header("X-Claude-Code-Session-Id", target);
        assert_eq!(gateway.request(&request).await.outcome(), wanted, "{target}");
    }
}

#[tokio::test]
async fn a_route_with_several_upstreams_keeps_to_them_and_to_their_keys() {
    let (a, b, c) = (Upstream::start(|_| failing(503, "a")).await, named("b").await, named("c").await);
    let pool = Pool::new()
        .add_with("a", a.url(), "api_key: sk-own-a")
        .add_with("b", b.url(), "api_key: sk-own-b")
        .add("c", c.url())
        .forgetful()
        .setting("routes:\n  - { keys: [sk-both], upstreams: [a, b] }\n  - { keys: [sk-first], upstreams: [a] }");
    let gateway = with(pool).await;
    let with_key = |session: &str, key: &str| {
        let body = format!("{{\"session\":\"{session}\"}}");
        Request::post("/v1/messages", body).header("x-api-key", key).header("X-Claude-Code-Session-Id", session)
    };
    for session in ["1", "2", "3"] {
        assert_eq!(gateway.request(&with_key(session, "sk-both")).await.outcome(), "200 b 2");
    }
    for (upstream, key) in [(&a, "sk-own-a"), (&b, "sk-own-b")] {
        for got in upstream.received() {
            assert_eq!(got.headers.all("x-api-key"), [key], "each gets its own key");
            assert!(!String::from_utf8_lossy(&got.raw_head).contains("sk-both"), "the client's key stays here");
        }
    }
    assert_eq!(gateway.request(&with_key("4", "sk-first")).await.outcome(), "503 a 1");
    assert_eq!(gateway.request(&with_key("5", "sk-unknown")).await.outcome(), "200 c 1");
    assert_eq!((a.received().len(), b.received().len(), c.received().len()), (4, 3, 1));
}
