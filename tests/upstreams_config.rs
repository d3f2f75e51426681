//! What an operator writes about several upstreams, the ways to them, and what is done when one fails.

use harness::{Gateway, GatewayBuilder, Output};

fn check() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).arg("check")
}

fn told(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

/// What `check` says of a good configuration.
async fn shown(builder: GatewayBuilder) -> String {
    let output = builder.run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    output.stdout
}

fn line<'a>(stdout: &'a str, key: &str) -> &'a str {
    let found = stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
    found.unwrap_or_else(|| panic!("no line with {key}:\n{stdout}"))
}

#[tokio::test]
async fn check_shows_the_new_settings_with_their_sources() {
    let yaml = "gateway:
  failover: {max_attempts: 5, retry_on: [503, 520-530], retry_budget: 0%, hold_head: 0s}
  health:
    open: 1s
    probe: {path: /v1/models, status: [200-299, 401]}
  dns: {servers: [\"[::1]:5353\", 9.9.9.9]}
  timeouts: {first_byte: 20s}
  limits: {queue: 0}
  upstreams:
    - {name: a, base_url: \"http://a.test\", http: 2, max_in_flight: 3, probe: off, first_byte_timeout: 5s}
    - {name: b, base_url: \"https://b.test\", http: auto, proxy: \"socks5h://me:secret@p.test\"}
  routes:
    - {keys: sk-secret-1, upstreams: [b, a]}
    - {keys: sk-secret-2, upstreams: b}
";
    let stdout = shown(check().yaml(yaml).env("DNS_SERVERS", "1.1.1.1")).await;
    for (key, value, source) in [
        ("gateway.failover.max_attempts", "5", "gateway.yaml:2:"),
        ("gateway.failover.retry_on", "503, 520-530", "gateway.yaml:2:"),
        ("gateway.failover.retry_budget", "0%", "gateway.yaml:2:"),
        ("gateway.failover.retry_budget_min", "10", "default"),
        ("gateway.health.open", "1s", "gateway.yaml:4:"),
        ("gateway.health.open_max", "5m", "default"),
        ("gateway.health.probe.status", "200-299, 401", "gateway.yaml:5:"),
        ("gateway.dns.servers", "1.1.1.1", "DNS_SERVERS"),
        ("gateway.limits.queue", "0", "gateway.yaml:8:"),
        ("gateway.affinity.idle", "1h", "default"),
        ("gateway.upstreams[0].max_in_flight", "3", "gateway.yaml:10:"),
        ("gateway.upstreams[1].http", "auto", "gateway.yaml:11:"),
        ("gateway.upstreams[1].proxy", "socks5h://p.test:1080", "gateway.yaml:11:"),
    ] {
        let line = line(&stdout, key);
        assert!(line.contains(value) && line.contains(source), "{key} should be {value} from {source}: {line}");
    }
    assert!(!stdout.contains("secret"), "{stdout}");
    assert!(!stdout.contains("warning"), "{stdout}");
}

#[tokio::test]
async fn proxies_are_shown_without_user_and_password() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"] {
        let stdout = shown(check().env(name, "http://secret-me:secret-word@127.0.0.1:7890")).await;
        assert!(stdout.contains("http://127.0.0.1:7890") && !stdout.contains("secret"), "{stdout}");
        assert!(stdout.contains(name) && !stdout.contains("warning"), "{stdout}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_told_with_its_place() {
    let upstream = |settings: &str| format!("  upstreams:\n    - base_url: http://a\n      {settings}\n");
    let mut rows: Vec<(String, &str)> = [
        ("max_in_flight: 0", ":4:"),
        ("max_in_flight: many", "1 to 1000000"),
        ("http: 3", "1, 2, auto"),
        ("probe: v1/models", "neither off nor a path"),
        ("first_byte_timeout: 5", ":4:"),
        ("max_inflight: 5", "max_in_flight"),
        ("proxy: socks4://me:secret@h", "SOCKS4"),
        ("proxy: ftp://me:secret@h", ":4:14"),
        ("proxy: http://me:secret@", ":4:14"),
        ("proxy: [http://me:secret@h]", "one value"),
    ]
    .map(|(settings, word)| (upstream(settings), word))
    .into();
    let under_gateway = [
        ("proxy: {https: \"http://me:sec/ret@h\"}", "gateway.proxy.https"),
        ("proxy: {http: \"gopher://secret\"}", ":2:17"),
        ("proxy: {all: \"me:secret@h:99999\"}", "gateway.proxy.all"),
        ("failover: {max_attempts: 0}", "1 to 10"),
        ("failover: {max_attempts: 11}", "1 to 10"),
        ("failover: {retry_on: 200}", "400 to 599"),
        ("failover: {retry_on: [500, {a: b}]}", "list of values"),
        ("failover: {retry_on: [500, 5xx]}", ":2:24"),
        ("failover: {retry_budget: 20}", "percentage"),
        ("failover: {retry_budget: 101%}", "percentage"),
        ("failover: {retry_budget_min: -1}", "0 to 10000"),
        ("failover: {hold_head: 1m}", "hold_head"),
        ("failover: {max_atempts: 2}", "did you mean \"max_attempts\""),
        ("health: {failures: 0}", "1 to 1000"),
        ("health: {error_rate: 0%}", "percentage"),
        ("health: {window: 1500ms}", "seconds"),
        ("health: {window: 11m}", "10m"),
        ("health: {min_requests: 0}", "min_requests"),
        ("health: {open: 10m}", "gateway.yaml:2:18"),
        ("health: {open: 2s, open_max: 1s}", "less than gateway.health.open"),
        ("health: {probe: {path: models}}", "path"),
        ("health: {probe: {method: DELETE}}", "GET, HEAD"),
        ("health: {probe: {interval: 10ms}}", "1s"),
        ("health: {probe: {timeout: 0s}}", "timeout"),
        ("health: {probe: {status: none}}", "pass"),
        ("health: {probe: {status: 99-200}}", "100 to 599"),
        ("health: {probe: {stats: 200}}", "did you mean \"status\""),
        ("health: {probe: /x}", "mapping"),
        ("affinity: {sessions: -1}", "sessions"),
        ("affinity: {idle: 0s}", "idle"),
        ("limits: {queue: lots}", "queue"),
        ("limits: {queue: [1, 2]}", "one value"),
        ("limits: {queue_timeout: 0s}", "queue_timeout"),
        ("dns: {servers: dns.test}", "name server"),
        ("timeouts: {first_byte: soon}", "first_byte"),
        ("routes: [{keys: sk-secret, upstreams: []}]", "empty"),
        ("routes: [{keys: sk-secret, upstreams: [anyrouter.top, anyrouter.top]}]", "twice"),
        ("routes: [{keys: sk-secret, upstream: anyrouter.top, upstreams: anyrouter.top}]", "twice"),
        ("routes: [{keys: sk-secret, upstreams: [anyrouter.tpo]}]", "did you mean \"anyrouter.top\""),
        ("routes: [{keys: sk-secret, upstream: [anyrouter.top]}]", "one value"),
        ("routes: [{keys: sk-secret}]", "upstream is missing, or upstreams"),
    ];
    rows.extend(under_gateway.map(|(setting, word)| (format!("  {setting}\n"), word)));
    let mut complaints = Vec::new();
    for (lines, word) in rows {
        let output = check().yaml(&format!("gateway:\n{lines}")).run().await;
        let told = told(&output);
        let is_told = told.contains("gateway.yaml:") && told.contains(word) && !told.contains("secret");
        if output.status.code() != Some(1) || !is_told {
            complaints.push(format!("{lines}should fail and tell {word}: {:?}\n{told}", output.status.code()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n----\n"));
    for name in ["HTTP_PROXY", "all_proxy", "DNS_SERVERS"] {
        let output = check().env(name, "secret://me").run().await;
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains(&format!("environment {name}: gateway.")), "{}", told(&output));
        assert!(name == "DNS_SERVERS" || !told(&output).contains("secret"), "{}", told(&output));
    }
}
