//! What is told of limits: metrics without names, and notices to those whom the operator named.

use harness::metrics::sum;
use harness::{Client, Gateway, Output, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const MODEL: &str = "claude-opus-5-5";

fn yaml(upstream: &Upstream, more: &str) -> String {
    let url = upstream.url();
    format!(
        "grace_period_seconds: 1\ngateway:\n  upstreams:\n    - {{name: relay, base_url: \"{url}\", api_key: sk-relay-012345}}\n{more}"
    )
}

/// What a command that works prints.
#[track_caller]
fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}

async fn command(gateway: &Gateway, line: &str) -> Output {
    gateway.command(&line.split(' ').collect::<Vec<_>>()).await
}

/// The text of a new token of a new user, alice.
async fn issue(gateway: &Gateway, options: &str) -> String {
    said(command(gateway, "user create --name alice").await);
    let issued = said(command(gateway, format!("token create --user alice --json {options}").trim_end()).await);
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    issued["token"].as_str().expect("a token").to_owned()
}

fn post(token: &str) -> Request {
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]});
    Request::post("/v1/messages", body.to_string()).header("authorization", format!("Bearer {token}"))
}

/// A message that used this much.
fn message(input: u64, output: u64) -> Reply {
    anthropic::message_that_used(MODEL, input, output)
}

async fn metrics(gateway: &Gateway) -> String {
    Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text()
}

#[tokio::test]
async fn admissions_settlements_and_the_ledger_are_counted_and_nobody_is_named() {
    let turn = AtomicUsize::new(0);
    let upstream = Upstream::builder()
        .allow_malformed()
        .start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
            0 => message(100, 50),
            1 => Reply::status(400).body("{}"),
            _ => Reply::sse().bytes(anthropic::events(MODEL)[..4].concat()).step(Step::Close),
        })
        .await;
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, "")).start().await;
    let before = metrics(&gateway).await;
    let of = |text: &str, name: &str, result: &str| sum(text, &format!("gateway_{name}"), &[("result", result)]);
    assert!(before.contains("gateway_admissions_total{result=\"limit_held\"} 0\n"), "{before}");
    assert_eq!(sum(&before, "gateway_ledger_age_seconds", &[]), 0.0);
    let token = issue(&gateway, "--limit requests:day:2 --limit usd:day:5").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        // One that breaks off has no whole response.
        let mut client = Client::connect(gateway.addr()).await;
        client.send(post(&token).bytes()).await;
        statuses.push(client.try_response("POST").await.map_or(0, |answer| answer.status()));
    }
    assert_eq!((statuses[0], statuses[1], statuses[3]), (200, 400, 429), "{statuses:?}");
    within("all to be counted", async {
        while of(&metrics(&gateway).await, "settlements_total", "estimated") < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let after = metrics(&gateway).await;
    let counted = |name, results: [&str; 3]| results.map(|result| of(&after, name, result));
    assert_eq!(counted("admissions_total", ["admitted", "limit_used", "limit_ledger"]), [3.0, 1.0, 0.0]);
    assert_eq!(counted("settlements_total", ["told", "estimated", "nothing"]), [1.0, 1.0, 1.0]);
    assert!(of(&after, "ledger_ticks_total", "good") >= 1.0 && of(&after, "ledger_ticks_total", "bad") == 0.0);
    assert!(sum(&after, "gateway_ledger_wait_seconds_count", &[]) >= 1.0);
    assert_eq!(sum(&after, "gateway_estimate_ratio_count", &[]), 1.0);
    assert!(sum(&after, "gateway_ledger_age_seconds", &[]) < 20.0);
    // As many series as before, whoever came: what has no name of its own stays as it is.
    let series = |text: &str| text.lines().filter(|line| line.contains("admission") || line.contains("ledger")).count();
    assert_eq!(series(&after), series(&before));
    for name in ["alice", "tok_", &token] {
        assert!(!after.contains(name), "{name}");
    }
}

#[tokio::test]
async fn one_that_came_to_no_upstream_is_settled_with_nothing() {
    let sleeps = || Reply::sse().bytes(anthropic::events(MODEL)[0].clone()).step(Step::Sleep(Duration::from_secs(60)));
    let upstream = Upstream::start(move |_| sleeps()).await;
    let settings =
        yaml(&upstream, "  limits: {queue_timeout: 100ms}\n").replace("api_key:", "max_in_flight: 1, api_key:");
    let gateway = Gateway::builder(BINARY).yaml(&settings).start().await;
    let token = issue(&gateway, "--limit requests:day:9").await;
    let mut first = Client::connect(gateway.addr()).await;
    first.send(post(&token).bytes()).await;
    within("the first to be served", async {
        while upstream.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 503);
    within("the second to be settled", async {
        while sum(&metrics(&gateway).await, "gateway_settlements_total", &[("result", "nothing")]) < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(sum(&metrics(&gateway).await, "gateway_admissions_total", &[("result", "admitted")]), 2.0);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_opened_gets_old_and_is_found_again() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, "")).start().await;
    // A folder in its place.
    let path = gateway.dir().join("data/ledger.db");
    std::fs::create_dir_all(&path).expect("made");
    let token = issue(&gateway, "--limit requests:day:2").await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 503);
    let age = async || sum(&metrics(&gateway).await, "gateway_ledger_age_seconds", &[]);
    within("the ledger to be old", async {
        while age().await < 2.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let text = metrics(&gateway).await;
    assert!(sum(&text, "gateway_ledger_ticks_total", &[("result", "bad")]) >= 1.0, "{text}");
    assert!(sum(&text, "gateway_admissions_total", &[("result", "limit_ledger")]) >= 1.0, "{text}");
    std::fs::remove_dir(&path).expect("removed");
    // Nobody has to ask for that.
    within("the ledger to be there again", async {
        while age().await > 1.9 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
}

/// Whoever is told: a webhook that takes everything, and the events that came there.
async fn hook() -> Upstream {
    Upstream::start(|_| Reply::ok("")).await
}

fn events(hook: &Upstream) -> Vec<Value> {
    let bodies =
        hook.received().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).expect("JSON"));
    bodies.flat_map(|body| body["data"]["events"].as_array().cloned().unwrap_or_default()).collect()
}

/// What was told of limits: the limit, and how many hundredths of it were used.
fn told(hook: &Upstream) -> Vec<(String, u64)> {
    let of_limits = events(hook).into_iter().filter(|event| event["event"] == "limit_spent");
    of_limits
        .map(|event| {
            (event["limit"].as_str().expect("a limit").to_owned(), event["percent"].as_u64().expect("a number"))
        })
        .collect()
}

async fn wait_told(hook: &Upstream, wanted: &[(&str, u64)]) {
    let wanted: Vec<(String, u64)> = wanted.iter().map(|(limit, percent)| ((*limit).to_owned(), *percent)).collect();
    within(&format!("{wanted:?} to be told"), async {
        loop {
            let mut told = told(hook);
            told.sort();
            if told == wanted {
                return;
            }
            assert!(told.len() <= wanted.len(), "{told:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Settings by which a webhook is told of limits alone, at these parts.
fn notify(hook: &Upstream, language: &str, at: &str) -> String {
    let url = hook.url();
    format!(
        "  team: {{notify_at: [{at}]}}\n  notify:\n    name: test\n    language: {language}\n    targets:\n    \
         - {{kind: webhook, events: [limit_spent], url: \"{url}/hook\"}}\n"
    )
}

async fn send(gateway: &Gateway, token: &str, count: usize) {
    for _ in 0..count {
        assert_eq!(gateway.request(&post(token)).await.status(), 200);
    }
}

#[tokio::test]
async fn each_part_of_a_limit_is_told_once_across_restarts_and_upgrades() {
    let (hook, upstream) = (hook().await, Upstream::start(|_| message(10, 5)).await);
    let yaml = yaml(&upstream, &notify(&hook, "en", "50, 80, 100"));
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let start = || Gateway::builder(BINARY).yaml(&yaml).env("GATEWAY_STATE_DIR", &state).start();
    let mut gateway = start().await;
    // Of rates, of what is in use, and of minutes nobody is told.
    let token = issue(&gateway, "--limit requests:month:10 --limit requests:now:1 --limit usd:minute:9").await;
    send(&gateway, &token, 4).await;
    // It is known within a second, and told two seconds later: by then nothing would have been told if anything were.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(told(&hook), []);
    send(&gateway, &token, 1).await;
    wait_told(&hook, &[("requests:month:10", 50)]).await;
    let event = events(&hook).remove(0);
    assert_eq!((&event["subject"], &event["name"]), (&json!("token"), &json!("alice/default")), "{event}");
    assert_eq!((&event["used"], &event["amount"]), (&json!(5), &json!(10)), "{event}");
    let text = event["text"].as_str().expect("a text");
    let begins =
        "50 % of the limit of token alice/default (10 requests a month) is used: 5 requests; it begins again at 20";
    assert!(text.starts_with(begins), "{text}");
    assert!(event["resets_at"].as_str().is_some_and(|time| time.ends_with("-01T00:00:00Z")), "{event}");
    gateway.signal(gateway.pid(), "KILL");
    let _ = gateway.ended().await;
    let gateway = start().await;
    send(&gateway, &token, 4).await;
    wait_told(&hook, &[("requests:month:10", 50), ("requests:month:10", 80)]).await;
    said(command(&gateway, "upgrade").await);
    send(&gateway, &token, 1).await;
    let mut all = vec![("requests:month:10", 50), ("requests:month:10", 80), ("requests:month:10", 100)];
    wait_told(&hook, &all).await;
    // A higher limit has parts of its own, of which the first one is passed.
    said(command(&gateway, "limit add --token alice/default requests:month:14").await);
    send(&gateway, &token, 2).await;
    all.push(("requests:month:14", 80));
    wait_told(&hook, &all).await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(told(&hook).len(), 4);
}

#[tokio::test]
async fn a_part_that_is_passed_is_not_told_and_sessions_are_told_in_chinese() {
    let (hook, upstream) = (hook().await, Upstream::start(|_| message(900_000, 0)).await);
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, &notify(&hook, "zh", "10, 50, 95"))).start().await;
    // Each costs 3.6 dollars, and the first one is estimated at less.
    let token = issue(&gateway, "--limit usd:total:5 --limit sessions:day:1").await;
    send(&gateway, &token, 1).await;
    wait_told(&hook, &[("sessions:day:1", 95), ("usd:total:5", 50)]).await;
    let texts: Vec<String> =
        events(&hook).iter().map(|event| event["text"].as_str().expect("a text").to_owned()).collect();
    for wanted in [
        "令牌 alice/default 的限额（总共 5 美元）已用 50%：3.6 美元；此限额不会重置",
        "令牌 alice/default 的限额（每天 1 个会话）已用 95%：1 个会话；将于 20",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(wanted)), "{texts:?}");
    }
}

#[tokio::test]
async fn nobody_is_told_of_limits_if_no_part_is_set() {
    let (hook, upstream) = (hook().await, Upstream::start(|_| message(10, 5)).await);
    let settings = notify(&hook, "en", "none");
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, &settings)).start().await;
    let token = issue(&gateway, "--limit requests:day:1").await;
    send(&gateway, &token, 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(told(&hook), []);
    // Who asks for it later hears of it.
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml(&upstream, &notify(&hook, "en", "100"))).expect("written");
    said(command(&gateway, "reload").await);
    assert_eq!(gateway.request(&post(&token)).await.status(), 429);
    wait_told(&hook, &[("requests:day:1", 100)]).await;
}

#[tokio::test]
async fn holders_are_told_of_the_nearest_limit_and_upstreams_are_not() {
    let upstream = Upstream::start(|_| message(100_000, 5_000)).await;
    let settings = "  team: {budget_header: true}\n";
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, settings)).start().await;
    // Each costs half a dollar.
    said(command(&gateway, "group create --name dev").await);
    let token = issue(&gateway, "--limit usd:day:5 --limit requests:now:2").await;
    let budget = async |token: &str| gateway.request(&post(token)).await.header("x-gateway-budget");
    let first = budget(&token).await.expect("a budget");
    assert!(first.starts_with("usd;w=\"day\";of=\"token\";used=0.0;limit=5.0;resets=@"), "{first}");
    let resets: u64 = first.split_once('@').expect("a date").1.parse().expect("seconds");
    assert_eq!(resets % 86_400, 0, "midnight in UTC");
    let second = budget(&token).await.expect("a budget");
    assert!(second.contains(";used=0.5;limit=5.0;"), "{second}");
    // Another limit comes nearer, and a refusal says so too.
    said(command(&gateway, "limit add --user alice requests:month:4").await);
    let third = budget(&token).await.expect("a budget");
    assert!(third.contains(";w=\"day\";of=\"token\";used=1.0;"), "{third}");
    budget(&token).await.expect("a budget");
    let fifth = budget(&token).await.expect("a budget");
    assert!(fifth.starts_with("requests;w=\"month\";of=\"user\";used=2;limit=4;resets=@"), "{fifth}");
    budget(&token).await.expect("a budget");
    let refused = gateway.request(&post(&token)).await;
    assert_eq!(refused.status(), 429);
    let told = refused.header("x-gateway-budget").expect("a budget");
    assert!(told.starts_with("requests;w=\"month\";of=\"user\";used=4;limit=4;"), "{told}");
    // Of a group nothing is told that says what others used.
    said(command(&gateway, "user create --name bob --group dev").await);
    let issued = said(command(&gateway, "token create --user bob --json").await);
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    let of_group = issued["token"].as_str().expect("a token");
    said(command(&gateway, "limit add --group dev usd:total:0.501").await);
    assert_eq!(budget(of_group).await, None);
    let refused = gateway.request(&post(of_group)).await;
    assert_eq!((refused.status(), refused.header("x-gateway-budget")), (402, None), "{}", refused.text());
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("the limit of group dev") && !message.contains(" left, and"), "{message}");
    let is_told = |request: &std::sync::Arc<harness::Received>| request.headers.get("x-gateway-budget").is_some();
    assert!(!upstream.received().iter().any(is_told));
    // Off, nothing is added.
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml(&upstream, "")).expect("written");
    said(command(&gateway, "reload").await);
    assert_eq!(budget(&token).await, None);
}

#[tokio::test]
async fn days_begin_where_the_configuration_says_unless_a_group_says_otherwise() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let zone = |zone: &str| yaml(&upstream, &format!("  team: {{time_zone: {zone}}}\n"));
    let gateway = Gateway::builder(BINARY).yaml(&zone("Asia/Shanghai")).start().await;
    said(command(&gateway, "group create --name own --time-zone Asia/Kathmandu").await);
    said(command(&gateway, "group create --name none").await);
    issue(&gateway, "--limit usd:day:5").await;
    for (user, group) in [("bob", "own"), ("carol", "none")] {
        said(command(&gateway, &format!("user create --name {user} --group {group}")).await);
        said(command(&gateway, &format!("limit add --user {user} usd:day:5")).await);
    }
    let told = async |line: &str| serde_json::from_str::<Value>(&said(command(&gateway, line).await)).expect("JSON");
    // Midnight there, in minutes of a day in UTC.
    let begins = async |of: &str| {
        let usage = told(&format!("usage {of} --json")).await;
        usage[0]["resets_at_ms"].as_u64().unwrap_or_else(|| panic!("{usage}")) / 60_000 % 1_440
    };
    let of = ["--token alice/default", "--user bob", "--user carol"];
    assert_eq!([begins(of[0]).await, begins(of[1]).await, begins(of[2]).await], [16 * 60, 18 * 60 + 15, 16 * 60]);
    let zones = async || {
        let groups = told("group list --json").await;
        let zones = groups.as_array().expect("a list").iter();
        zones.map(|group| (group["name"].clone(), group["time_zone"].clone())).collect::<Vec<_>>()
    };
    let named = |none: &str| vec![(json!("none"), json!(none)), (json!("own"), json!("Asia/Kathmandu"))];
    assert_eq!(zones().await, named("Asia/Shanghai"));
    std::fs::write(gateway.dir().join("gateway.yaml"), zone("Asia/Tokyo")).expect("written");
    said(command(&gateway, "reload").await);
    within("the other zone", async {
        while zones().await != named("Asia/Tokyo") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!([begins(of[0]).await, begins(of[1]).await, begins(of[2]).await], [15 * 60, 18 * 60 + 15, 15 * 60]);
}

#[tokio::test]
async fn there_are_as_many_tokens_and_guesses_as_the_configuration_allows() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let bounds = |tokens| {
        let bounds = format!("  team: {{bounds: {{tokens: {tokens}, guesses: 2}}}}\n");
        yaml(&upstream, &bounds)
    };
    let gateway = Gateway::builder(BINARY).yaml(&bounds(1)).start().await;
    let token = issue(&gateway, "").await;
    let second = "token create --user alice --name second";
    let refused = command(&gateway, second).await;
    assert!(!refused.status.success() && refused.stderr.contains("team.bounds.tokens"), "{refused:?}");
    std::fs::write(gateway.dir().join("gateway.yaml"), bounds(2)).expect("written");
    said(command(&gateway, "reload").await);
    within("room for another", async {
        while !command(&gateway, second).await.status.success() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // The same text but for its last characters, which are its checksum.
    let unknown = format!("{}AAAAAA", &token[..token.len() - 6]);
    let mut times = Vec::new();
    for _ in 0..3 {
        let began = std::time::Instant::now();
        assert_eq!(gateway.request(&post(&unknown)).await.status(), 401);
        times.push(began.elapsed() >= Duration::from_millis(900));
    }
    assert_eq!(times, [false, false, true]);
}
