//! A word when something breaks (docs/notify.md): each kind of target against a stand-in that checks form and signature,
//! what is told and how often, and that no request pays for any of it.

#[path = "notify/bots.rs"]
mod bots;
#[path = "notify/mail.rs"]
mod mail;

use base64::Engine as _;
use bots::{SECRET, WEBHOOK_SECRET};
use harness::{
    Authority, Client, Gateway, GatewayBuilder, Pool, Proxy, Received, Reply, Request, Stub, TlsFront, Upstream,
    anthropic, ask, failing, named, within,
};
use mail::MailServer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// The settings of notifications with these targets, each an entry of the list.
fn notify(settings: &str, targets: &[String]) -> String {
    let targets: String = targets.iter().map(|target| format!("    - {{ {target} }}\n")).collect();
    format!("notify:\n  name: test-gateway\n  language: en\n{settings}  targets:\n{targets}")
}

fn hook(name: &str, url: &str) -> String {
    format!("name: {name}, kind: webhook, url: \"{url}/hook\", secret: \"{WEBHOOK_SECRET}\"")
}

/// Opens a circuit after three failures in a row, for half a second at first.
fn sensitive() -> Pool {
    Pool::new().setting("health: { failures: 3, open: 500ms, open_max: 500ms, min_requests: 1000 }").generous()
}

async fn admin(gateway: &Gateway, request: Request) -> (u16, Value) {
    let request = gateway.as_admin(request.header("Content-Type", "application/json"));
    let answer = Client::connect(gateway.admin_addr()).await.request(&request).await;
    (answer.status(), serde_json::from_str(&answer.text()).unwrap_or_default())
}

async fn try_target(gateway: &Gateway, target: &str) -> Value {
    let request = Request::post("/api/admin/notify/test", json!({ "target": target }).to_string());
    let (status, tested) = admin(gateway, request).await;
    assert_eq!(status, 200, "{tested}");
    tested
}

async fn view(gateway: &Gateway) -> Value {
    admin(gateway, Request::get("/api/admin/notify")).await.1
}

/// The events of all messages to a webhook so far.
fn events(bot: &Upstream) -> Vec<Value> {
    let bodies =
        bot.received().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).expect("JSON"));
    bodies.flat_map(|body| body["data"]["events"].as_array().cloned().unwrap_or_default()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

/// Waits until a webhook was told of so many events.
async fn wait_events(bot: &Upstream, count: usize) -> Vec<Value> {
    within(&format!("event {count}"), async {
        while events(bot).len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    events(bot)
}

/// An upstream that fails as long as the switch says so.
async fn switched() -> (Upstream, Arc<AtomicBool>) {
    let is_bad = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_bad);
    let good = anthropic::handler();
    let reply =
        move |request: &Received| if switch.load(Ordering::SeqCst) { failing(500, "bad") } else { good(request) };
    (Upstream::start(reply).await, is_bad)
}

/// Requests until the upstream's circuit is open.
async fn trip(gateway: &Gateway) {
    for _ in 0..3 {
        gateway.request(&ask(new_session())).await;
    }
}

/// One that no upstream has had yet.
fn new_session() -> String {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    format!("session-{}", SESSIONS.fetch_add(1, Ordering::SeqCst))
}

/// All kinds that are spoken to over HTTP, at one stand-in.
fn all_kinds(url: &str) -> Vec<String> {
    vec![
        hook("hook", url),
        format!("kind: feishu, url: \"{url}/open-apis/bot/v2/hook/0123456789abcdef\", secret: \"{SECRET}\""),
        format!("kind: dingtalk, url: \"{url}/robot/send?access_token=dingtalk-access-token\", secret: \"{SECRET}\""),
        format!("kind: wecom, url: \"{url}/cgi-bin/webhook/send?key=wecom-webhook-key-1\""),
        format!("kind: telegram, url: \"{url}\", token: \"12345:telegram-token\", chat_id: -1001"),
        format!("kind: slack, url: \"{url}/services/T0/B0/slack-webhook-key\""),
        format!("kind: ntfy, url: \"{url}/a-secret-topic\", token: tk_ntfy-token"),
    ]
}

const KINDS: [&str; 7] = ["hook", "feishu", "dingtalk", "wecom", "telegram", "slack", "ntfy"];

#[tokio::test]
async fn each_kind_of_target_takes_what_it_is_sent() {
    let (bot, upstream) = (Upstream::start(bots::answer).await, named("a").await);
    let pool = Pool::new().add("a", upstream.url()).setting(&notify("", &all_kinds(&bot.url())));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    for target in KINDS {
        let tested = try_target(&gateway, target).await;
        assert_eq!((&tested["ok"], &tested["code"]), (&json!(true), &json!("ok")), "{tested}");
    }
    assert_eq!(bot.received().len(), KINDS.len());
    let body = String::from_utf8(bot.received()[3].body.clone()).expect("UTF-8");
    assert!(body.contains("anyrouter-gateway · test-gateway") && body.contains("This is a test"), "{body}");
    let (status, missing) = admin(&gateway, Request::post("/api/admin/notify/test", r#"{"target":"nobody"}"#)).await;
    assert_eq!((status, &missing["error"]["code"]), (404, &json!("no_target")), "{missing}");
}

#[tokio::test]
async fn a_wrong_signature_is_told_with_what_the_bot_says() {
    let (bot, upstream) = (Upstream::start(bots::answer).await, named("a").await);
    let wrong: Vec<String> = all_kinds(&bot.url())
        .iter()
        .map(|it| it.replace(SECRET, "SECother").replace(WEBHOOK_SECRET, "other"))
        .collect();
    let gateway =
        gateway().yaml(&Pool::new().add("a", upstream.url()).setting(&notify("", &wrong)).yaml()).start().await;
    for (target, code, said) in
        [("hook", "status", "401"), ("feishu", "refused", "sign match fail"), ("dingtalk", "refused", "sign not match")]
    {
        let tested = try_target(&gateway, target).await;
        assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!(code)), "{tested}");
        assert!(tested["said"]["en"].as_str().is_some_and(|text| text.contains(said)), "{tested}");
        assert!(tested["said"]["zh"].as_str().is_some_and(|text| !text.is_ascii()), "{tested}");
    }
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_once_and_then_that_it_works_again() {
    let bot = Upstream::start(bots::answer).await;
    let ((bad, is_bad), good) = (switched().await, named("good").await);
    let targets = [
        hook("hook", &bot.url()),
        format!(
            "kind: slack, language: zh, events: [upstream_up], url: \"{}/services/T0/B0/slack-webhook-key\"",
            bot.url()
        ),
    ];
    let pool = sensitive().add("bad", bad.url()).add("good", good.url()).setting(&notify("", &targets));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    let told = wait_events(&bot, 1).await;
    assert_eq!(names(&told), ["upstream_down"]);
    assert_eq!(told[0]["upstream"], "bad");
    assert_eq!(told[0]["fault"]["code"], "status");
    assert!(told[0]["text"].as_str().is_some_and(|text| text.starts_with("upstream \"bad\" is down: it ")), "{told:?}");
    is_bad.store(false, Ordering::SeqCst);
    within("the upstream to work again", async {
        while names(&events(&bot)) != ["upstream_down", "upstream_up"] {
            gateway.request(&ask(new_session())).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let slack = |request: &Arc<Received>| request.target.starts_with("/services/").then(|| request.body.clone());
    within("what is told in Chinese", async {
        while !bot.received().iter().any(|request| slack(request).is_some()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let chinese: Vec<Vec<u8>> = bot.received().iter().filter_map(slack).collect();
    assert_eq!(chinese.len(), 1, "it was asked for one kind of event");
    assert!(String::from_utf8_lossy(&chinese[0]).contains("已恢复"), "{chinese:?}");
    // It fails again within the quiet time: what is told next is something else.
    is_bad.store(true, Ordering::SeqCst);
    trip(&gateway).await;
    within("its circuit to be open again", async {
        while admin(&gateway, Request::get("/api/admin/upstreams")).await.1["upstreams"][0]["circuit"] == "closed" {
            gateway.request(&ask(new_session())).await;
        }
    })
    .await;
    std::fs::write(gateway.dir().join("gateway.yaml"), "gateway: { nothing: here }").expect("written");
    admin(&gateway, Request::post("/api/admin/reload", "{}")).await;
    assert_eq!(names(&wait_events(&bot, 3).await), ["upstream_down", "upstream_up", "config_refused"]);
    // The bot has it before the gateway knows that it does.
    let view = within("the third to be known as sent", async {
        loop {
            let view = view(&gateway).await;
            if view["targets"][0]["sent"] == 3 {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(view["targets"][0]["last"]["ok"], true, "{view}");
    assert_eq!(view["recent"].as_array().map(Vec::len), Some(3), "{view}");
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_and_that_it_is_used_again() {
    let bot = Upstream::start(bots::answer).await;
    let good = anthropic::handler();
    let upstream = Upstream::start(move |request| {
        let has_bad_key = |name| request.headers.get(name).is_some_and(|key| key.ends_with("sk-bad-key-1"));
        match ["authorization", "x-api-key"].into_iter().any(has_bad_key) {
            true => anthropic::error(401, "authentication_error", "invalid x-api-key"),
            false => good(request),
        }
    })
    .await;
    let keys = "api_keys: [{ key: sk-bad-key-1, name: bad, weight: 100 }, { key: sk-good-key-1, name: good }]";
    let pool = Pool::new().add_with("relay", upstream.url(), keys).generous();
    let pool = pool.setting("routes: [{ keys: [sk-client], upstream: relay }]");
    let gateway = gateway().yaml(&pool.setting(&notify("", &[hook("hook", &bot.url())])).yaml()).start().await;
    for _ in 0..20 {
        assert_eq!(gateway.request(&ask(new_session())).await.status(), 200);
    }
    let told = wait_events(&bot, 1).await;
    assert_eq!((&told[0]["event"], &told[0]["reason"]), (&json!("key_down"), &json!("refused")), "{told:?}");
    assert_eq!((&told[0]["upstream"], &told[0]["key"]), (&json!("relay"), &json!("bad")), "{told:?}");
    let (status, _) = admin(&gateway, Request::post("/api/admin/upstreams/relay/keys/bad/wake", "{}")).await;
    assert_eq!(status, 200);
    assert_eq!(names(&wait_events(&bot, 2).await), ["key_down", "key_up"]);
}

#[tokio::test]
async fn what_happens_together_is_one_message() {
    let bot = Upstream::start(bots::answer).await;
    let ((a, _), (b, _)) = (switched().await, switched().await);
    let pool = sensitive().add("a", a.url()).add("b", b.url()).setting(&notify("", &[hook("hook", &bot.url())]));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    let told = wait_events(&bot, 3).await;
    assert_eq!(bot.received().len(), 1, "{told:?}");
    let mut told = names(&told);
    told.sort_unstable();
    assert_eq!(told, ["all_down", "upstream_down", "upstream_down"]);
}

#[tokio::test]
async fn a_target_that_hangs_costs_no_request_and_no_other_target_anything() {
    let (hanging, bot) = (Stub::start(None).await, Upstream::start(bots::answer).await);
    let ((bad, _), good) = (switched().await, named("good").await);
    let targets = [hook("hanging", &format!("http://{}", hanging.addr())), hook("hook", &bot.url())];
    let pool = sensitive().add("bad", bad.url()).add("good", good.url()).setting(&notify("", &targets));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    wait_events(&bot, 1).await;
    within("the message to the one that hangs", async {
        while hanging.heard().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // It holds the message now, and says nothing: requests are served as ever.
    for session in 0..200 {
        let answer = gateway.request(&ask(format!("while-{session}"))).await;
        assert!(answer.outcome().starts_with("200 good"), "{}", answer.outcome());
    }
    let view = view(&gateway).await;
    assert_eq!((&view["targets"][0]["sent"], &view["targets"][0]["waiting"]), (&json!(0), &json!(1)), "{view}");
    assert_eq!(view["targets"][1]["sent"], 1, "{view}");
}

#[tokio::test]
async fn four_tests_wait_at_a_time_and_a_fifth_is_refused() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let target = hook("silent", &format!("http://{}", listener.local_addr().expect("its address")));
    let (bot, upstream) = (Upstream::start(bots::answer).await, named("a").await);
    let targets = notify("", &[target, hook("hook", &bot.url())]);
    let gateway = gateway().yaml(&Pool::new().add("a", upstream.url()).setting(&targets).yaml()).start().await;
    let release = async {
        let mut held = Vec::new();
        while held.len() < 4 {
            held.push(within("a test's connection", listener.accept()).await.expect("a connection"));
        }
        let another = Request::post("/api/admin/notify/test", r#"{"target":"hook"}"#);
        let (status, refused) = admin(&gateway, another).await;
        assert_eq!((status, &refused["error"]["code"]), (503, &json!("waiting")), "{refused}");
        assert!(bot.received().is_empty(), "a refused test sends nothing");
        drop(held);
    };
    let test = || try_target(&gateway, "silent");
    let (first, second, third, fourth, ()) = tokio::join!(test(), test(), test(), test(), release);
    for tested in [first, second, third, fourth] {
        assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("no_answer")), "{tested}");
    }
    let tested = try_target(&gateway, "hook").await;
    assert_eq!(tested["ok"], true, "once they are over, there is room: {tested}");
}

#[tokio::test]
async fn a_message_that_was_not_taken_is_sent_again_as_the_same_one() {
    let count = AtomicUsize::new(0);
    let bot = Upstream::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        _ => bots::answer(request),
    })
    .await;
    let ((bad, _), good) = (switched().await, named("good").await);
    let pool =
        sensitive().add("bad", bad.url()).add("good", good.url()).setting(&notify("", &[hook("hook", &bot.url())]));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    let received = bot.wait_received(2).await;
    let ids: Vec<_> = received.iter().map(|request| request.headers.get("webhook-id")).collect();
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    within("the message to be taken", async {
        while view(&gateway).await["targets"][0]["sent"] != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(gateway.stderr().contains("notify target \"hook\" answered 503"), "{}", gateway.stderr());
}

#[tokio::test]
async fn a_refused_reload_and_a_days_cost_are_told() {
    let (bot, upstream) = (Upstream::start(bots::answer).await, Upstream::start(anthropic::handler()).await);
    let settings = |cost: &str| notify(&format!("  cost_per_day: {cost}\n"), &[hook("hook", &bot.url())]);
    let pool = || Pool::new().add("a", upstream.url());
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("log.db").display().to_string();
    let gateway = gateway().env("GATEWAY_DB", &database).yaml(&pool().setting(&settings("1000")).yaml());
    let gateway = gateway.start().await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    within("the requests in the log", async {
        while admin(&gateway, Request::get("/api/admin/stats")).await.1["requests"] != 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let path = gateway.dir().join("gateway.yaml");
    let reload = || admin(&gateway, Request::post("/api/admin/reload", "{}"));
    std::fs::write(&path, pool().setting("notify: { quiet: soon }").yaml()).expect("written");
    assert_eq!(reload().await.0, 422);
    let told = wait_events(&bot, 1).await;
    assert_eq!(names(&told), ["config_refused"]);
    assert!(told[0]["text"].as_str().is_some_and(|text| text.contains("gateway.notify.quiet")), "{told:?}");
    // The log is asked anew with a new configuration.
    std::fs::write(&path, pool().setting(&settings("0.00000001")).yaml()).expect("written");
    assert_eq!(reload().await.0, 200);
    let told = wait_events(&bot, 2).await;
    assert_eq!(names(&told), ["config_refused", "cost_above"]);
    assert!(told[1]["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{told:?}");
}

#[tokio::test]
async fn a_certificate_near_its_end_is_told() {
    let (bot, upstream, authority) = (Upstream::start(bots::answer).await, named("a").await, Authority::new());
    let leaf = authority.leaf_valid(&["localhost"], 2020..2026);
    let port = harness::Port::free();
    let tls = format!(
        "tls: {{ listen: \"{}\", cert: \"{}\", key: \"{}\" }}",
        port.addr(),
        leaf.cert.display(),
        leaf.key.display()
    );
    let pool = Pool::new().add("a", upstream.url()).setting(&tls).setting(&notify("", &[hook("hook", &bot.url())]));
    let _gateway = gateway().yaml(&pool.yaml()).start().await;
    let told = wait_events(&bot, 1).await;
    assert_eq!((names(&told), &told[0]["ends_at"]), (vec!["certificate_ending"], &json!("2026-01-01T00:00:00Z")));
}

#[tokio::test]
async fn messages_go_through_the_outbound_proxy() {
    let (bot, upstream, authority) = (Upstream::start(bots::answer).await, named("a").await, Authority::new());
    let secured = Upstream::builder().tls(&authority.leaf(&["localhost"])).start(bots::answer).await;
    let (proxy, socks) = (Proxy::http(true, &[]).await, Proxy::socks5(false).await);
    let (user, password) = harness::CREDENTIALS;
    let targets = [
        hook("forwarded", &bot.url()),
        hook("tunnelled", &secured.url()),
        format!("{}, proxy: \"socks5h://{}\"", hook("socks", &secured.url()), socks.addr()),
        format!("{}, proxy: off", hook("direct", &bot.url())),
    ];
    let proxies = format!("proxy: {{ all: \"http://{user}:{password}@{}\" }}", proxy.addr());
    let pool = Pool::new().add_with("a", upstream.url(), "proxy: off").setting(&proxies).setting(&notify("", &targets));
    let ca = authority.ca_file().display().to_string();
    let gateway = gateway().env("SSL_CERT_FILE", &ca).yaml(&pool.yaml()).start().await;
    for target in ["forwarded", "tunnelled", "socks", "direct"] {
        let tested = try_target(&gateway, target).await;
        assert_eq!(tested["ok"], true, "{tested}");
    }
    assert_eq!(
        proxy.wait_requests(2).await,
        [format!("POST {}/hook HTTP/1.1", bot.url()), format!("CONNECT localhost:{} HTTP/1.1", secured.addr().port())]
    );
    assert_eq!(socks.requests().len(), 1);
    assert!(bot.received().iter().all(|request| !request.headers.has("proxy-authorization")));
}

#[tokio::test]
async fn an_email_is_handed_to_a_mail_server() {
    let (server, (bad, _)) = (MailServer::start(None).await, switched().await);
    let target = format!(
        "kind: email, url: \"smtp://{}\", from: \"网关 <gateway@example.com>\", to: [ops@example.com, boss@example.com], \
         events: [upstream_down], language: zh",
        server.addr()
    );
    let pool = sensitive().add("bad", bad.url()).setting(&notify("", &[target]));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    let mail = server.wait().await;
    assert_eq!(mail.from, "<gateway@example.com>");
    assert_eq!(mail.to, ["<ops@example.com>", "<boss@example.com>"]);
    let (head, body) = mail.data.split_once("\n\n").expect("a head and a body");
    for field in [
        "From: ",
        "To: ops@example.com, boss@example.com",
        "Subject: ",
        "Date: ",
        "Message-ID: <msg_",
        "MIME-Version: 1.0",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    let body = match head.contains("Content-Transfer-Encoding: base64") {
        true => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(body.replace('\n', "")).expect("Base64");
            String::from_utf8(bytes).expect("UTF-8")
        }
        false => body.to_owned(),
    };
    assert!(body.contains("上游“bad”不可用"), "{head}\n\n{body}");
}

#[tokio::test]
async fn a_mail_server_whose_line_has_no_end_is_not_listened_to_for_long() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let addr = listener.local_addr().expect("its address");
    let talk = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let (piece, mut said) = (vec![b'a'; 64 * 1024], 0);
        while tcp.write_all(&piece).await.is_ok() {
            said += piece.len();
        }
        said
    });
    let target = format!("name: mail, kind: email, url: \"smtp://{addr}\", from: g@example.com, to: ops@example.com");
    let upstream = named("a").await;
    let pool = Pool::new().add("a", upstream.url()).setting(&notify("", &[target]));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let tested = try_target(&gateway, "mail").await;
    assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("mail_refused")), "{tested}");
    // What was on its way counts too.
    let said = within("the end of the connection", talk).await.expect("its end");
    assert!(said < 32 * 1024 * 1024, "{said} bytes");
}

#[tokio::test]
async fn a_password_goes_to_a_mail_server_only_over_tls() {
    let server = MailServer::start(Some("mail-password-1")).await;
    let authority = Authority::new();
    let front = TlsFront::start(&authority.leaf(&["localhost"]), server.addr()).await;
    let upstream = named("a").await;
    let target = |name: &str, url: String, password: &str| {
        format!(
            "name: {name}, kind: email, url: \"{url}\", user: gateway, password: {password}, from: g@example.com, \
             to: ops@example.com"
        )
    };
    let secured = || format!("smtps://localhost:{}", front.addr().port());
    let targets = [
        target("plain", format!("smtp://{}", server.addr()), "mail-password-1"),
        target("wrong", secured(), "mail-password-2"),
        target("right", secured(), "mail-password-1"),
    ];
    let pool = Pool::new().add("a", upstream.url()).setting(&notify("", &targets));
    let ca = authority.ca_file().display().to_string();
    let gateway = gateway().env("SSL_CERT_FILE", &ca).yaml(&pool.yaml()).start().await;
    let tested = try_target(&gateway, "plain").await;
    assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("unsendable")), "{tested}");
    assert!(server.lines().iter().all(|line| !line.starts_with("AUTH")), "{:?}", server.lines());
    let tested = try_target(&gateway, "wrong").await;
    assert_eq!((&tested["ok"], &tested["code"]), (&json!(false), &json!("mail_refused")), "{tested}");
    let tested = try_target(&gateway, "right").await;
    assert_eq!(tested["ok"], true, "{tested}");
    let login = server.wait().await.login;
    assert_eq!(login, Some(("gateway".to_owned(), "mail-password-1".to_owned())));
}

#[tokio::test]
async fn no_secret_of_a_target_is_shown_anywhere() {
    // A bot that repeats the request's target and body in its refusal.
    let bot = Upstream::start(|request| {
        Reply::status(400).body(format!(
            "{} {:?} {}",
            request.target,
            request.headers.get("authorization"),
            String::from_utf8_lossy(&request.body)
        ))
    })
    .await;
    let ((bad, _), mail) = (switched().await, MailServer::start(None).await);
    let mut targets = all_kinds(&bot.url());
    targets.push(format!(
        "kind: email, url: \"smtp://{}\", user: u, password: mail-password-1, from: g@a.example, to: g@a.example",
        mail.addr()
    ));
    let pool = sensitive().add("bad", bad.url()).setting(&notify("", &targets));
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    trip(&gateway).await;
    let mut shown = String::new();
    for target in KINDS.into_iter().chain(["email"]) {
        shown += &try_target(&gateway, target).await.to_string();
    }
    within("each target to be told of what breaks, in vain", async {
        while view(&gateway).await["targets"].as_array().expect("targets").iter().any(|target| target["failed"] == 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    for path in ["notify", "config", "config/history", "health", "upstreams"] {
        shown += &admin(&gateway, Request::get(&format!("/api/admin/{path}"))).await.1.to_string();
    }
    shown += &Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    shown += &gateway.stderr();
    assert!(shown.contains("gateway_notifications_total{outcome=\"failed\",target=\"feishu\"} 1"));
    for secret in [
        "0123456789abcdef",
        SECRET,
        "dingtalk-access-token",
        "wecom-webhook-key-1",
        "12345:telegram-token",
        "slack-webhook-key",
        "a-secret-topic",
        "tk_ntfy-token",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "mail-password-1",
    ] {
        let at = shown.find(secret);
        assert!(at.is_none(), "{secret}: {}", &shown[at.unwrap_or(0).saturating_sub(300)..][..400]);
    }
}
