//! `anyrouter-gateway doctor`: the real binary against upstreams and proxies that fail in one way each.

#[path = "doctor/message.rs"]
mod message;
#[path = "doctor/tryout.rs"]
mod tryout;

use harness::{Authority, DnsServer, Gateway, GatewayBuilder, Output, Port, Reply, Step, Upstream, anthropic};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const KEY: &str = "sk-doctor-secret-1234567890";

/// At addresses that nobody has, which it looks at.
fn doctor() -> GatewayBuilder {
    let (listen, admin) = (Port::free().addr().to_string(), Port::free().addr().to_string());
    let builder = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).arg("doctor");
    builder.env("LISTEN", &listen).env("ADMIN_LISTEN", &admin)
}

fn told(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

/// The report of a run with `--json`, and whether it ended well; no key is in it.
async fn examined(builder: GatewayBuilder) -> (Value, bool) {
    let output = builder.arg("--json").run().await;
    assert!(!told(&output).contains("secret"), "{}", told(&output));
    let report: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let ok = output.status.code() == Some(0);
    assert_eq!(report["ok"], ok, "{report:#}");
    (report, ok)
}

/// The ids of the findings on one way to the first upstream.
fn findings(report: &Value, way: usize) -> Vec<&str> {
    let findings = report["upstreams"][0]["ways"][way]["findings"].as_array();
    let findings = findings.unwrap_or_else(|| panic!("no findings in {report:#}"));
    findings.iter().filter_map(|finding| finding["id"].as_str()).collect()
}

fn steps(report: &Value, way: usize) -> Vec<(String, bool)> {
    let steps = report["upstreams"][0]["ways"][way]["steps"].as_array().expect("steps");
    steps.iter().map(|step| (step["step"].as_str().unwrap_or_default().to_owned(), step["ok"] == true)).collect()
}

fn names(steps: &[(&str, bool)]) -> Vec<(String, bool)> {
    steps.iter().map(|(name, ok)| ((*name).to_owned(), *ok)).collect()
}

#[tokio::test]
async fn a_good_upstream_is_told_with_the_settings_for_clients() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let output =
        doctor().upstream(format!("{}/", upstream.url())).env("LISTEN", "0.0.0.0:18088").arg("--settings").run().await;
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for wanted in [
        "reachable_without_key",
        "en: The upstream is reachable",
        "zh: 上游可以连通",
        "export ANTHROPIC_BASE_URL=http://127.0.0.1:18088\n",
        "export ANTHROPIC_AUTH_TOKEN=sk-your-key\n",
        "\"env\": {",
        "\"claudeCode.environmentVariables\": [",
        "export CLAUDE_CODE_GATEWAY_HINT_HEADERS=1\n",
        "\"ANTHROPIC_BASE_URL\": \"http://ADDRESS-OF-THE-GATEWAY:18088\"",
        "en: ADDRESS-OF-THE-GATEWAY stands for",
        "zh: 请把 ADDRESS-OF-THE-GATEWAY",
        "/etc/claude-code/managed-settings.json",
        "zh: Claude Code（2.1.273 及以上版本）说明每个请求的用途",
        "1 of 1 upstreams",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
    for step in ["DNS", "TCP", "HTTP"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(step));
        assert!(line.is_some_and(|line| line.contains("ok") && line.contains("ms")), "{step}:\n{text}");
    }
    let request = upstream.last();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/v1/models?limit=1"));
    assert!(!request.headers.has("authorization") && !request.headers.has("x-api-key"));
    assert_eq!(upstream.received().len(), 1, "one request and no more");
}

#[tokio::test]
async fn only_what_clients_need_is_printed_unless_all_is_asked_for() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let usual = ("127.0.0.1:8088", "127.0.0.1:8090");
    let builder = doctor().upstream(upstream.url()).env("LISTEN", usual.0).env("ADMIN_LISTEN", usual.1);
    let output = builder.env("LANG", "zh_CN.UTF-8").run().await;
    let wanted = "\n共 1 个上游，1 个可用\n\nClaude Code（终端）：\n  export ANTHROPIC_BASE_URL=http://127.0.0.1:8088\n  \
                  export ANTHROPIC_AUTH_TOKEN=sk-your-key\n  完整的设置";
    assert!(output.stdout.contains(wanted) && output.stdout.lines().count() < 25, "{}", output.stdout);
    // No id stands half translated.
    assert!(output.stdout.contains("    正常：上游可以连通"), "{}", output.stdout);
    assert!(
        !output.stdout.contains("reachable") && output.stdout.ends_with("doctor --settings\n"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn a_key_is_tried_and_never_shown() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let builder = doctor().upstream(format!("{}/relay/", upstream.url())).env("MY_KEY", KEY);
    let (report, ok) = examined(builder.arg("--key-env").arg("MY_KEY")).await;
    // The mock knows no prefix.
    assert_eq!((findings(&report, 0), ok), (vec!["no_model_list"], true));
    assert_eq!(upstream.last().target, "/relay/v1/models?limit=1");
    assert_eq!(upstream.last().headers.get("authorization"), Some(format!("Bearer {KEY}")));

    let own = format!("gateway:\n  upstreams:\n    - base_url: {}\n      api_key: ${{env.OWN}}\n", upstream.url());
    let (report, ok) =
        examined(doctor().yaml(&own).env("OWN", KEY).env("MY_KEY", "other").arg("--key-env=MY_KEY")).await;
    assert_eq!((findings(&report, 0), ok), (vec!["reachable"], true));
    assert_eq!(upstream.last().headers.get("authorization"), Some(format!("Bearer {KEY}")), "its own key comes first");

    let output = doctor().upstream(upstream.url()).arg("--key-env").arg("NOT_SET").run().await;
    assert!(output.status.code() == Some(1) && output.stderr.contains("NOT_SET"), "{}", told(&output));
}

#[tokio::test]
async fn a_refused_key_is_not_shown_though_the_upstream_repeats_it() {
    let upstream = Upstream::start(|request| {
        let key = request.headers.get("authorization").unwrap_or_default();
        anthropic::error(401, "new_api_error", &format!("Invalid key {key}, not sk-abcdefgh1234secret either"))
    })
    .await;
    let builder = || doctor().upstream(upstream.url()).env("MY_KEY", KEY).arg("--key-env").arg("MY_KEY");
    let (report, ok) = examined(builder()).await;
    assert_eq!((findings(&report, 0), ok), (vec!["bad_key"], false));
    let output = builder().run().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stdout.contains("Invalid key Bearer ********") && !output.stdout.contains("secret"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn answers_are_diagnosed() {
    const PAGE: &str = "<!DOCTYPE html><html><head><title>Checking your browser</title></head></html>";
    let html = |status| Reply::status(status).body(PAGE).header("Content-Type", "text/html");
    let challenge = "<html><script>var arg1='3A5B'; setCookie('acw_sc__v2', arg2)</script></html>";
    let rows: Vec<(Reply, &str, bool)> = vec![
        (Reply::json(r#"{"data":[]}"#), "reachable", true),
        (Reply::json("").bytes(r#"{"data":[]}"#).chunked(), "reachable", true),
        (html(200), "html_page", false),
        (Reply::ok(challenge).header("Content-Type", "text/html"), "waf_challenge", false),
        (html(520), "cdn_520", false),
        (html(524), "cdn_524", false),
        (anthropic::error(500, "new_api_error", "当前模型负载已经达到上限，请稍后重试"), "saturated", false),
        (anthropic::error(500, "new_api_error", "invalid claude code request"), "shape_refused", false),
        (anthropic::error(503, "new_api_error", "no channel"), "pool_closed", false),
        (anthropic::error(429, "rate_limit_error", "slow down"), "quota", false),
        (Reply::status(301).header("Location", "https://relay.example/"), "redirect", false),
        (Reply::ok("x".repeat(1 << 20)).header("Content-Type", "text/plain"), "not_json", true),
        (Reply::close(), "closed_without_answer", false),
        (Reply::raw(vec![Step::Raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), Step::Close]), "not_http", false),
        (Reply::ok("{}").length(500).step(Step::Close), "reachable", true),
    ];
    for (reply, id, good) in rows {
        let upstream = Upstream::start(move |_| reply.clone()).await;
        let (report, ok) = examined(doctor().upstream(upstream.url())).await;
        assert_eq!((findings(&report, 0), ok), (vec![id], good), "{report:#}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_by_its_step() {
    let port = Port::free();
    let (report, ok) = examined(doctor().upstream(format!("http://{}", port.addr()))).await;
    assert_eq!((findings(&report, 0), ok), (vec!["connect_refused"], false));
    assert_eq!(steps(&report, 0), names(&[("dns", true), ("tcp", false)]));

    let (report, ok) = examined(doctor().upstream("https://relay.invalid")).await;
    assert_eq!((findings(&report, 0), ok), (vec!["name_unknown"], false));
    // The DNS server is there: only the name can be wrong, and other relays than AnyRouter have no mirrors.
    let finding = report["upstreams"][0]["ways"][0]["findings"][0].to_string();
    assert!(!finding.contains("resolv.conf") && !finding.contains("mirror") && !finding.contains("镜像"), "{finding}");
    assert_eq!(steps(&report, 0), names(&[("dns", false)]));
    let step = &report["upstreams"][0]["ways"][0]["steps"][0];
    assert_eq!(step["code"], "name_unknown", "{step}");
    assert_eq!(step["detail"], "relay.invalid: the DNS server knows no address of it (Non-Existent Domain)");
}

#[tokio::test]
async fn what_says_where_requests_go_has_the_name_by_which_it_was_set() {
    let url = format!("http://{}", Port::free().addr());
    let by_variable = told_by(doctor().upstream(url.clone())).await;
    assert!(by_variable.contains("Check host and port in API_BASE_URL, and that"), "{by_variable}");
    assert!(!by_variable.contains("base_url"), "{by_variable}");
    let yaml = format!("gateway:\n  upstreams: [{{name: a, base_url: \"{url}\"}}]\n");
    let by_file = told_by(doctor().yaml(&yaml)).await;
    assert!(by_file.contains("Check host and port in base_url, and that"), "{by_file}");
}

#[tokio::test]
async fn one_bad_upstream_of_two_is_enough_to_fail() {
    let good = Upstream::start(anthropic::handler()).await;
    let bad = Port::free();
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{ name: good, base_url: \"{}\" }}\n    - {{ name: bad, base_url: \"http://{}\" }}\n",
        good.url(),
        bad.addr()
    );
    let output = doctor().yaml(&yaml).run().await;
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        output.stdout.contains("upstream \"bad\"") && output.stdout.contains("1 of 2 upstreams"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn a_silent_upstream_times_out() {
    // It takes connections, and says nothing: the handshake has connect_timeout.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = silent.local_addr().expect("its address");
    let yaml = format!("gateway:\n  upstreams:\n    - base_url: https://{address}\n      connect_timeout: 300ms\n");
    let started = Instant::now();
    let (report, ok) = examined(doctor().yaml(&yaml)).await;
    assert_eq!((findings(&report, 0), ok), (vec!["tls_timeout"], false));
    assert_eq!(steps(&report, 0), names(&[("dns", true), ("tcp", true), ("tls", false)]));
    assert!(started.elapsed() < Duration::from_secs(10));

    // In plain text the answer has 15 seconds.
    let upstream = Upstream::start(|_| Reply::stall()).await;
    let (report, ok) = examined(doctor().upstream(upstream.url())).await;
    assert_eq!((findings(&report, 0), ok), (vec!["answer_timeout"], false));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_told_with_the_usual_proxy() {
    // A listener whose queue is full: Linux drops what comes then, as a firewall would.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut queued = Vec::new();
    let is_full = loop {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(200), connecting).await {
            Ok(stream) if queued.len() < 16 => queued.push(stream),
            Ok(_) => break false,
            Err(_) => break true,
        }
    };
    assert!(is_full);
    let yaml = format!("gateway:\n  upstreams:\n    - base_url: https://{address}\n      connect_timeout: 300ms\n");
    let output = doctor().yaml(&yaml).run().await;
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for wanted in ["PROBLEM: connect_timeout", "127.0.0.1:7890", "连接超时"] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
}

#[tokio::test]
async fn certificates_are_checked_as_the_gateway_checks_them() {
    let authority = Authority::new();
    let (right, wrong) = (authority.leaf(&["localhost"]), authority.leaf(&["other.test"]));
    let ca = format!("ca_file: {}", authority.ca_file().display());
    let rows = [
        (&right, ca.clone(), "reachable_without_key", true),
        (&wrong, ca.clone(), "tls_name_mismatch", false),
        (&wrong, format!("{ca}\n      sni: other.test"), "reachable_without_key", true),
        (&wrong, "insecure: true".to_owned(), "reachable_without_key", true),
    ];
    for (leaf, settings, id, good) in rows {
        let upstream = Upstream::builder().tls(leaf).allow_malformed().start(anthropic::handler()).await;
        let yaml = format!("gateway:\n  upstreams:\n    - base_url: {}\n      {settings}\n", upstream.url());
        let (report, ok) = examined(doctor().yaml(&yaml)).await;
        // localhost may have an IPv6 address too, at which nothing listens.
        let found: Vec<_> = findings(&report, 0).into_iter().filter(|id| *id != "some_addresses_fail").collect();
        assert_eq!((found, ok), (vec![id], good), "{settings}: {report:#}");
    }

    let upstream = Upstream::builder().tls(&right).start(anthropic::handler()).await;
    // Trusting another authority only, which no system has to have installed.
    let other = Authority::new();
    let ca = format!("      ca_file: {}\n", other.ca_file().display());
    let (report, ok) =
        examined(doctor().yaml(&format!("gateway:\n  upstreams:\n    - base_url: {}\n{ca}", upstream.url()))).await;
    assert!(findings(&report, 0).contains(&"tls_unknown_authority") && !ok, "{report:#}");

    let plain = Upstream::builder().allow_malformed().start(anthropic::handler()).await;
    let url = format!("https://{}", plain.addr());
    let (report, ok) = examined(doctor().yaml(&format!("gateway:\n  upstreams:\n    - base_url: {url}\n{ca}"))).await;
    assert_eq!((findings(&report, 0), ok), (vec!["not_tls"], false));
}

/// A proxy that answers every CONNECT with `status`, and connects to `target` whatever is asked for if that is 200.
/// Returns its address; the requests' heads come through the channel.
fn proxy(status: u16, target: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    let (heads, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let mut reader = BufReader::new(client.try_clone().expect("a second handle"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("a line") > 0 {}
            let _ = heads.send(head);
            let _ = write!(client, "HTTP/1.1 {status} x\r\n\r\n");
            if status == 200 {
                let mut server = TcpStream::connect(&target).expect("the target");
                let mut back = server.try_clone().expect("a second handle");
                std::thread::spawn(move || std::io::copy(&mut back, &mut client));
                std::thread::spawn(move || std::io::copy(&mut reader, &mut server));
            }
        }
    });
    (address, received)
}

#[tokio::test]
async fn the_way_through_the_proxy_is_the_one_that_counts() {
    let authority = Authority::new();
    let upstream = Upstream::builder().tls(&authority.leaf(&["relay.invalid"])).start(anthropic::handler()).await;
    let (address, heads) = proxy(200, upstream.addr().to_string());
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{base_url: \"https://relay.invalid:8000\", ca_file: \"{}\"}}\n",
        authority.ca_file().display()
    );
    let builder = doctor().yaml(&yaml).env("HTTPS_PROXY", &format!("http://me:secret%21@{address}"));
    let (report, ok) = examined(builder).await;
    assert_eq!(findings(&report, 0), ["name_unknown"], "the direct way is told too");
    assert_eq!(findings(&report, 1), ["reachable_without_key"]);
    let expected = [("dns", true), ("tcp", true), ("proxy", true), ("tls", true), ("http", true)];
    assert_eq!(steps(&report, 1), names(&expected));
    assert!(ok, "the gateway goes through the proxy too");
    assert_eq!(report["settings"]["managed"]["env"].get("ANTHROPIC_AUTH_TOKEN"), None, "a team shares no key");
    assert!(report["settings"]["shell"].as_str().is_some_and(|shell| shell.contains("NO_PROXY=")), "{report:#}");
    let head = heads.recv().expect("a CONNECT");
    assert!(head.starts_with("CONNECT relay.invalid:8000 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0IQ==\r\n"), "{head}");
    assert_eq!(upstream.last().headers.get("host").as_deref(), Some("relay.invalid:8000"));
}

#[tokio::test]
async fn a_proxy_gets_the_whole_target_of_an_upstream_without_tls() {
    let upstream = Upstream::builder().allow_malformed().start(anthropic::handler()).await;
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{base_url: \"http://relay.invalid:8000\", proxy: \"me:secret@{}\"}}\n",
        upstream.addr()
    );
    let (report, _) = examined(doctor().yaml(&yaml)).await;
    assert_eq!(steps(&report, 1)[..2], names(&[("dns", true), ("tcp", true)])[..], "{report:#}");
    let got = upstream.last();
    assert!(got.target.starts_with("http://relay.invalid:8000/"), "{}", got.target);
    let head = String::from_utf8_lossy(&got.raw_head);
    assert!(head.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
}

#[tokio::test]
async fn proxies_fail_in_words() {
    let authority = Authority::new();
    let upstream = Upstream::builder().tls(&authority.leaf(&["localhost"])).start(anthropic::handler()).await;
    let closed = Port::free();
    let (credentials, _heads) = proxy(407, String::new());
    let (refusing, _more_heads) = proxy(403, String::new());
    for (proxy, id) in [
        (format!("http://{}", closed.addr()), "proxy_unreachable"),
        (format!("socks5h://{}", closed.addr()), "proxy_unreachable"),
        (format!("me:secret@{credentials}"), "proxy_credentials"),
        (refusing.clone(), "proxy_refused"),
        (format!("https://me:secret@{refusing}"), "proxy_broken"),
    ] {
        let yaml = format!(
            "gateway:\n  upstreams:\n    - base_url: {}\n      ca_file: \"{}\"\n      proxy: \"{proxy}\"\n",
            upstream.url(),
            authority.ca_file().display()
        );
        let (report, ok) = examined(doctor().yaml(&yaml)).await;
        assert!(findings(&report, 0).contains(&"reachable_without_key"), "{report:#}");
        assert_eq!(findings(&report, 1), [id], "{proxy}");
        assert!(!ok && !report.to_string().contains("secret"), "{report:#}");
    }
}

#[tokio::test]
async fn an_address_that_another_program_has_is_told_with_who_that_is() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its address");
    let builder = || doctor().upstream(upstream.url()).env("LISTEN", &address.to_string());
    let (report, ok) = examined(builder()).await;
    let taken = &report["addresses_taken"];
    assert!(!ok && taken.as_array().is_some_and(|taken| taken.len() == 1), "{report:#}");
    assert_eq!((&taken[0]["setting"], &taken[0]["address"]), (&"gateway.listen".into(), &address.to_string().into()));
    let text = builder().env("LANG", "zh_CN.UTF-8").run().await.stdout;
    let who = format!("（进程 {}）", std::process::id());
    let see = format!("sudo ss -ltnp 'sport = :{}'", address.port());
    for wanted in [&format!("gateway.listen：{address} 已被"), &who, &see, "共 1 个上游，1 个可用"] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }

    // Its own are its own.
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).upstream(upstream.url()).start().await;
    let output = gateway.command(&["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&output.stdout).expect("a report");
    assert_eq!((&report["addresses_taken"], &report["ok"]), (&Value::Array(Vec::new()), &true.into()), "{report:#}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_whole() {
    let yaml = "gateway:\n  lisen: 127.0.0.1:1\n  timeouts:\n    read: soon\n";
    let output = doctor().yaml(yaml).run().await;
    assert_eq!(output.status.code(), Some(1));
    for wanted in ["gateway.yaml:2:3", "gateway.yaml:4:", "did you mean", "2 errors", "en: ", "zh: "] {
        assert!(output.stdout.contains(wanted), "{wanted} is not in:\n{}", told(&output));
    }
    let (report, ok) = examined(doctor().yaml(yaml)).await;
    assert!(!ok);
    assert_eq!(report["configuration"]["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["findings"][0]["id"], "configuration");
}

/// The hosts of AnyRouter, by stand-ins on one port of this machine.
#[tokio::test]
async fn the_hosts_of_anyrouter_are_compared_and_the_fastest_is_named() {
    let (port, dns) = (Port::free(), DnsServer::start().await);
    let slow = || {
        Reply::raw(vec![
            Step::Sleep(Duration::from_millis(700)),
            Step::Raw(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"data\":[]}"
                    .to_vec(),
            ),
            Step::Close,
        ])
    };
    let mut hosts = Vec::new();
    for (last, host, reply) in [
        (2, "anyrouter.top", Box::new(slow) as Box<dyn Fn() -> Reply + Send + Sync>),
        (3, "pmpjfbhq.cn-nb1.rainapp.top", Box::new(|| Reply::json(r#"{"data":[]}"#))),
        (4, "q.quuvv.cn", Box::new(|| Reply::status(520).body("broken"))),
    ] {
        dns.set(host, &[&format!("127.0.0.{last}")]);
        let address = ([127, 0, 0, last], port.number()).into();
        hosts.push(Upstream::builder().start_at(address, move |_| reply()).await.expect("a free port"));
    }
    let yaml = |url: &str| {
        format!(
            "gateway:\n  dns: {{servers: \"{}\"}}\n  upstreams:\n    - {{name: a, base_url: \"{url}\", api_key: {KEY}}}\n",
            dns.addr()
        )
    };
    let at = |host: &str| format!("http://{host}:{}", port.number());
    let (report, ok) = examined(doctor().yaml(&yaml(&at("anyrouter.top")))).await;
    assert!(ok, "{report:#}");
    let ways = report["anyrouter_hosts"].as_array().expect("the hosts");
    let told: Vec<(&str, bool, &str, bool)> = ways
        .iter()
        .map(|way| {
            let text = |name: &str| way[name].as_str().unwrap_or_default();
            (text("host"), way["milliseconds"].is_number(), text("finding"), way["is_used"] == true)
        })
        .collect();
    assert_eq!(told[..2], [("pmpjfbhq.cn-nb1.rainapp.top", true, "", false), ("anyrouter.top", true, "", true)]);
    assert!(told[2..].contains(&("q.quuvv.cn", false, "cdn_520", false)), "{told:?}");
    assert!(
        told[2..].contains(&("a-ocnfniawgw.cn-shanghai.fcapp.run", false, "name_unknown_mirror", false)),
        "{told:?}"
    );
    // The key goes to its own upstream only.
    for (host, upstream) in hosts.iter().enumerate() {
        let with_key = upstream.received().iter().filter(|request| request.headers.has("authorization")).count();
        assert_eq!(with_key, usize::from(host == 0), "{host}");
    }
    let text = told_by(doctor().yaml(&yaml(&at("anyrouter.top")))).await;
    assert!(text.contains("en: The fastest from here is pmpjfbhq.cn-nb1.rainapp.top, without a proxy"), "{text}");
    assert!(text.contains("zh: 从本机看最快的是 pmpjfbhq.cn-nb1.rainapp.top"), "{text}");
    let text = told_by(doctor().yaml(&yaml(&at("pmpjfbhq.cn-nb1.rainapp.top")))).await;
    assert!(text.contains("en: The fastest from here is in use: pmpjfbhq.cn-nb1.rainapp.top."), "{text}");
    // Another relay's operator does not want to know.
    let (report, _) = examined(doctor().upstream(format!("http://127.0.0.3:{}", port.number()))).await;
    assert!(report["anyrouter_hosts"].is_null());
}

async fn told_by(builder: GatewayBuilder) -> String {
    told(&builder.run().await)
}

#[tokio::test]
async fn the_lines_of_an_upstream_are_compared_when_that_is_asked_for() {
    let late = || {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"data\":[]}";
        Reply::raw(vec![Step::Sleep(Duration::from_millis(80)), Step::Raw(answer.to_vec())])
    };
    let slow = Upstream::start(move |_| late()).await;
    let (fast, port) = (Upstream::start(anthropic::handler()).await, Port::free());
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: relay, base_url: \"{}\", lines: [\"{}\", \"{}\"], api_key: {KEY}}}\n    \
         - {{name: other, base_url: \"{}\"}}\n  routes:\n    - {{keys: k, upstream: relay}}\n",
        slow.url(),
        fast.addr(),
        port.addr(),
        fast.url(),
    );
    let (report, _) = examined(doctor().arg("--lines").yaml(&yaml)).await;
    assert_eq!(report["lines"].as_array().map(Vec::len), Some(1), "the other one has no lines");
    let lines = report["lines"][0]["lines"].as_array().expect("lines");
    let told = |key: &str| lines.iter().map(|line| line[key].clone()).collect::<Vec<_>>();
    assert_eq!(told("host"), [fast.addr(), slow.addr(), port.addr()].map(|address| address.to_string()));
    assert_eq!(told("is_base_url"), [false, true, false]);
    assert_eq!(told("finding"), [Value::Null, Value::Null, "connect_refused".into()]);
    assert!(
        lines[0]["milliseconds"].as_f64() < lines[1]["milliseconds"].as_f64() && lines[2]["milliseconds"].is_null()
    );
    assert!(lines[1]["steps"]["http"].as_f64() >= Some(80.0), "{lines:?}");
    let output = doctor().arg("--lines").yaml(&yaml).run().await;
    assert!(output.stdout.contains(&format!("The fastest from here is {}", fast.addr())), "{}", output.stdout);
    let (report, _) = examined(doctor().yaml(&yaml)).await;
    assert!(report["lines"].is_null(), "only if asked for");
}
