//! Changing the configuration through the admin API.

use harness::{Authority, Gate, Gateway, GatewayBuilder, Port, Reply, Request, Step, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key")
}

fn with_key(request: Request) -> Request {
    request.header("Authorization", "Bearer the-key").header("Host", "127.0.0.1")
}

async fn get(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.request(&with_key(Request::get(&format!("/api/admin/{target}")))).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

async fn send(gateway: &Gateway, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let request = Request::new(method, &format!("/api/admin/{target}")).body(body.to_string());
    let answer = gateway.request(&with_key(request).header("Content-Type", "application/json")).await;
    (answer.status(), answer.json())
}

const EDIT: &str = "gateway:\n  rules:\n    - name: mark\n      headers: { set: { x-mark: edited } }\n";

#[tokio::test]
async fn an_edit_is_in_force_for_the_next_request_and_drops_none_that_is_running() {
    let gate = Gate::new();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |request| match request.target.as_str() {
            "/slow" => Reply::sse().bytes("data: 1\n\n").step(Step::Wait(gate.clone())).bytes("data: 2\n\n"),
            _ => Reply::ok("{}"),
        }
    })
    .await;
    let gateway = Arc::new(gateway().upstream(upstream.url()).start().await);
    let mut running = gateway.connect().await;
    running.send(Request::get("/slow").bytes()).await;
    running.head("GET").await;
    running.piece_until("data: 1").await;

    let before = get(&gateway, "config").await;
    let version = before["version"].as_str().expect("a version").to_owned();
    let edit = json!({ "base_version": version, "overlay": EDIT });
    let (status, checked) = send(&gateway, "POST", "config/check", &json!({ "overlay": EDIT })).await;
    assert_eq!((status, checked["problems"].as_array().map(Vec::len)), (200, Some(0)), "{checked}");
    assert_eq!(checked["changes"][0]["key"], "gateway.rules", "{checked}");
    gateway.request(&Request::get("/one")).await;
    assert_eq!(upstream.last().headers.all("x-mark").len(), 0, "a check changes nothing");

    let (status, after) = send(&gateway, "PUT", "config", &edit).await;
    assert_eq!(status, 200, "{after}");
    gateway.request(&Request::get("/two")).await;
    assert_eq!(upstream.last().headers.all("x-mark"), ["edited"]);
    gate.open();
    running.piece_until("data: 2").await;

    // Somebody else still has the old version.
    let (status, conflict) = send(&gateway, "PUT", "config", &json!({ "base_version": version, "overlay": "" })).await;
    assert_eq!((status, conflict["type"].as_str()), (409, Some("error")), "{conflict}");
    let versions = get(&gateway, "config/history").await;
    assert_eq!(versions["versions"][0]["overlay"], EDIT, "{versions}");
    assert_eq!(get(&gateway, "health").await["config"]["version"], after["version"]);
}

#[tokio::test]
async fn a_bad_edit_is_refused_with_its_line_and_nothing_changes() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let before = get(&gateway, "config").await;
    let bad = "gateway:\n  rules: []\n  limits:\n    request_body: many\n";
    let (status, refused) =
        send(&gateway, "PUT", "config", &json!({ "base_version": before["version"], "overlay": bad })).await;
    assert_eq!((status, refused["error"]["type"].as_str()), (422, Some("invalid_request_error")), "{refused}");
    let edit = json!({ "base_version": before["version"], "overlay": bad }).to_string();
    let request = with_key(Request::new("PUT", "/api/admin/config").body(edit)).header("Accept-Language", "zh-CN");
    let in_chinese = gateway.request(&request.header("Content-Type", "application/json")).await;
    assert_eq!((in_chinese.status(), in_chinese.header("content-language").as_deref()), (422, Some("zh-CN")));
    let message = in_chinese.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("配置有误：gateway.limits.request_body：“many”"), "{message}");
    assert_eq!(in_chinese.json()["problems"], refused["problems"]);
    let problem = &refused["problems"][0];
    assert_eq!((problem["where"].as_str(), problem["line"].as_u64()), (Some("overlay"), Some(4)), "{refused}");
    let (_, checked) = send(&gateway, "POST", "config/check", &json!({ "overlay": bad })).await;
    assert_eq!(checked["problems"][0]["line"], 4, "{checked}");
    let told = |problem: &Value| (problem["key"].clone(), problem["code"].clone(), problem["parameters"].clone());
    let wanted = (json!("gateway.limits.request_body"), json!("not_a_size"), json!({ "text": "many" }));
    assert_eq!((told(problem), told(&checked["problems"][0])), (wanted.clone(), wanted), "{checked}");
    let after = get(&gateway, "config").await;
    assert_eq!((after["version"].as_str(), after["overlay"].as_str()), (before["version"].as_str(), Some("")));
    // The panel's key is not the panel's to change.
    let own = "gateway:\n  dashboard:\n    api_key: mine\n";
    let (status, _) =
        send(&gateway, "PUT", "config", &json!({ "base_version": before["version"], "overlay": own })).await;
    assert_eq!(status, 422);
    for (method, target, body) in [
        ("PUT", "config", json!({ "overlay": "" })),
        ("PUT", "config", json!([])),
        ("POST", "config/check", json!({ "x": 1 })),
    ] {
        assert_eq!(send(&gateway, method, target, &body).await.0, 400, "{target} {body}");
    }
    let large = json!({ "base_version": before["version"], "overlay": "#".repeat(2 * 1024 * 1024) });
    assert_eq!(send(&gateway, "PUT", "config", &large).await.0, 413);
}

#[tokio::test]
async fn a_reload_reads_the_files_and_settings_tell_who_set_them() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).yaml("gateway:\n  preserve_host: true\n").start().await;
    let config = get(&gateway, "config").await;
    let setting = |key: &str| {
        let settings = config["settings"].as_array().expect("settings");
        settings.iter().find(|setting| setting["key"] == key).cloned().unwrap_or_else(|| panic!("{key}: {config}"))
    };
    assert_eq!(
        (setting("gateway.preserve_host")["source"].as_str(), setting("gateway.preserve_host")["is_locked"].as_bool()),
        (Some("file"), Some(false))
    );
    assert_eq!(
        (
            setting("gateway.dashboard.api_key")["is_secret"].as_bool(),
            setting("gateway.dashboard.api_key")["is_locked"].as_bool()
        ),
        (Some(true), Some(true))
    );
    let format = setting("gateway.log.format");
    assert_eq!((&format["choices"], &format["needs_restart"]), (&json!(["text", "json"]), &json!(true)));
    assert_eq!(
        (&format["help"], &format["help_zh"]),
        (&json!("Log lines as text or json."), &json!("日志格式：text 或 json。"))
    );
    let name = setting("gateway.upstreams[0].base_url");
    assert!(name["help_zh"].as_str().is_some_and(|help| help.contains("路径前缀")), "{name}");
    assert!(!config.to_string().contains("the-key"), "{config}");
    let (status, reloaded) = send(&gateway, "POST", "reload", &json!({})).await;
    assert_eq!((status, reloaded["version"].as_str()), (200, config["version"].as_str()), "{reloaded}");
    let warnings = reloaded["warnings"].as_array().expect("a list");
    assert!(!warnings.is_empty() && warnings.iter().all(Value::is_string), "{reloaded}");
    let schema = get(&gateway, "config/schema").await;
    assert!(schema["properties"]["gateway"]["properties"]["upstreams"].is_object(), "{schema}");
}

fn messages(told: &Value) -> Vec<String> {
    let problems = told["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().map(|problem| problem["message"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn check(gateway: &Gateway, overlay: &str) -> Value {
    let (status, checked) = send(gateway, "POST", "config/check", &json!({ "overlay": overlay })).await;
    assert_eq!(status, 200, "{checked}");
    checked
}

/// The most memory that a process ever had, in KiB.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// 240 large regular expressions in 19 KB took 1.4 GiB.
#[tokio::test]
async fn a_check_takes_little_memory_whatever_it_is_given() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = Arc::new(gateway().upstream(upstream.url()).start().await);
    let rule = |number: usize| {
        format!("    - {{ name: r{number}, match: {{ path: {{ regex: '\\w{{100}}N' }} }}, query: {{ remove: a }} }}\n")
    };
    let regexes = format!("gateway:\n  rules:\n{}", (0..240).map(rule).collect::<String>());
    check(&gateway, "gateway:\n  debug: false\n").await;
    let before = peak(&gateway);
    let told = check(&gateway, &regexes).await;
    let message = &messages(&told)[0];
    assert!(message.contains("gateway.rules[0].match.path.regex") && message.contains("more than 1 MiB"), "{message}");
    assert_eq!(told["problems"][0]["line"], 3, "{told}");
    let many = |count: usize| format!("gateway:\n  rules: [{}]\n", "{},".repeat(count));
    for (overlay, wanted) in [
        ("[".repeat(200), "nested more than"),
        (format!("gateway:\n  rules:\n    {}x", "- ".repeat(200)), "nested more than"),
        (many(2_000), "too many"),
        (many(100_000), "more than 50000 values"),
        ("a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]\n".to_owned(), "aliases"),
        (
            format!("gateway:\n  rules: [{{ name: a, match: {{ path: {{ regex: '{}' }} }} }}]\n", "\\w".repeat(2_000)),
            "at most 1024",
        ),
    ] {
        let told = check(&gateway, &overlay).await;
        assert!(messages(&told).iter().any(|message| message.contains(wanted)), "{wanted}: {told}");
    }
    for deep in ["[".repeat(500_000), "- ".repeat(400_000), "{a: ".repeat(200_000)] {
        assert!(!messages(&check(&gateway, &deep).await).is_empty());
    }
    // One at a time, while requests are served.
    let checks: Vec<_> = (0..6)
        .map(|_| {
            let (gateway, regexes) = (Arc::clone(&gateway), regexes.clone());
            tokio::spawn(async move { send(&gateway, "POST", "config/check", &json!({ "overlay": regexes })).await.0 })
        })
        .collect();
    assert_eq!(gateway.request(&Request::get("/one")).await.status(), 200);
    for check in checks {
        let status = check.await.expect("an answer");
        assert!(matches!(status, 200 | 503), "{status}");
    }
    let grown = (peak(&gateway) - before) / 1024;
    assert!(grown < 192, "{grown} MiB");
    let stranger = Request::post("/api/admin/config/check", "{}").header("Host", "127.0.0.1");
    let refused = gateway.request(&stranger.header("Content-Type", "application/json")).await;
    assert_eq!(refused.status(), 401, "{}", refused.text());
    // A start holds to the same.
    let output = gateway.command(&["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    std::fs::create_dir_all(gateway.dir().join("data")).expect("a folder");
    std::fs::write(gateway.dir().join("data/overlay.yaml"), &regexes).expect("written");
    let output = gateway.command(&["check"]).await;
    assert!(
        output.stderr.contains("data/overlay.yaml:3:") && output.stderr.contains("more than 1 MiB"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn the_panel_says_not_where_files_are_nor_which_ones_there_are() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!(
        "gateway:\n  upstreams: [{{ name: a, base_url: \"{}\" }}]\n  rules: [{{ name: named, headers: {{ set: {{ x-a: \
         \"${{env.NAMED}}\" }} }} }}]\n",
        upstream.url()
    );
    let gateway =
        gateway().env("NAMED", "1").env("OTHER", "1").file("env/.env", "IN_FILE=1\n").yaml(&yaml).start().await;
    for (overlay, key) in [
        ("gateway:\n  tls: { cert: /etc/passwd }\n", "gateway.tls.cert"),
        ("gateway:\n  tls: { key: PATH }\n", "gateway.tls.key"),
        ("gateway:\n  database: PATH\n", "gateway.database"),
        ("gateway:\n  log: { file: PATH }\n", "gateway.log.file"),
        ("gateway:\n  headers_file: PATH\n", "gateway.headers_file"),
        ("gateway:\n  prices_file: PATH\n", "gateway.prices_file"),
        ("gateway:\n  state_dir: PATH\n", "gateway.state_dir"),
        ("gateway:\n  runtime_dir: PATH\n", "gateway.runtime_dir"),
        ("gateway:\n  upstreams: [{ name: b, base_url: 'http://b', ca_file: PATH }]\n", "ca_file"),
        ("error_log: PATH\n", "error_log"),
        ("upgrade_sock: PATH\n", "upgrade_sock"),
        ("user: root\n", "user"),
        ("group: root\n", "group"),
        ("ca_file: PATH\n", "ca_file"),
        ("working_directory: PATH\n", "working_directory"),
        ("upstream_debug_ssl_keylog: true\n", "upstream_debug_ssl_keylog"),
        ("client_bind_to_ipv4: [192.0.2.1]\n", "client_bind_to_ipv4"),
    ] {
        let mut told = Vec::new();
        for path in ["/etc/passwd", "/no/such/file"] {
            let checked = check(&gateway, &overlay.replace("PATH", path)).await;
            assert_eq!(checked["problems"].as_array().map(Vec::len), Some(1), "{checked}");
            assert_eq!(
                (checked["problems"][0]["where"].as_str(), checked["problems"][0]["line"].is_u64()),
                (Some("overlay"), true)
            );
            told.extend(messages(&checked));
        }
        assert!(told[0].starts_with(key) && told[0] == told[1], "{told:?}");
    }
    for form in [
        "rules: [{ name: r, headers: { set: { x-b: \"${env.NAME}\" } } }]",
        "routes: [{ keys: [\"env:NAME\"], upstream: a }]",
        "upstreams: [{ name: a, base_url: 'http://a', api_key: '${env.NAME}' }]",
    ] {
        let of = |name: &str| format!("gateway:\n  {}\n", form.replace("NAME", name));
        let (there, not_there) = (check(&gateway, &of("OTHER")).await, check(&gateway, &of("NOSUCH")).await);
        let (there, not_there) = (messages(&there), messages(&not_there));
        assert_eq!(there[0].replace("OTHER", "NAME"), not_there[0].replace("NOSUCH", "NAME"));
        assert!(there[0].contains("env/.env"), "{there:?}");
        for name in ["NAMED", "IN_FILE"] {
            assert_eq!(messages(&check(&gateway, &of(name)).await), [""; 0], "{name}");
        }
    }
    // What the next start would fail at.
    let told = messages(&check(&gateway, "gateway:\n  tls: { listen: '192.0.2.1:1' }\n").await);
    assert!(told[0].starts_with("gateway.tls"), "{told:?}");
    for numbers in ["threads: 2\n", "gateway:\n  limits: { queue: 9 }\n"] {
        assert_eq!(messages(&check(&gateway, numbers).await), [""; 0], "{numbers}");
    }
}

#[tokio::test]
async fn what_an_older_panel_could_set_still_counts_and_is_warned_of() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let old = "error_log: old.log\n";
    let gateway = gateway().upstream(upstream.url()).file("data/overlay.yaml", old).start().await;
    let output = gateway.command(&["check"]).await;
    assert!(
        output.stderr.contains("warning: data/overlay.yaml:1:") && output.stderr.contains("move it"),
        "{}",
        output.stderr
    );
    let config = get(&gateway, "config").await;
    assert!(config["warnings"].to_string().contains("error_log"), "{config}");
    let kept = check(&gateway, &format!("{old}threads: 2\n")).await;
    assert_eq!(messages(&kept), [""; 0], "{kept}");
    let changed = check(&gateway, "error_log: new.log\n").await;
    assert!(messages(&changed)[0].starts_with("error_log: this cannot be set from the panel"), "{changed}");
}

/// An address that the next start could not listen at.
#[tokio::test]
async fn an_edit_that_the_next_start_would_fail_at_is_refused() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    // The addresses of the harness stand in the environment, before the overlay: only TLS is the panel's here.
    let authority = Authority::new();
    let leaf = authority.leaf(&["localhost"]);
    let yaml = format!("gateway:\n  tls: {{ cert: {}, key: {} }}\n", leaf.cert.display(), leaf.key.display());
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    let edit = |address: &str| format!("gateway:\n  tls: {{ listen: '{address}' }}\n");
    for (address, wanted) in [("192.0.2.1:1".to_owned(), "cannot listen on"), (taken.to_string(), "in use")] {
        let told = messages(&check(&gateway, &edit(&address)).await);
        assert!(told[0].starts_with("gateway.tls.listen: ") && told[0].contains(wanted), "{told:?}");
    }
    let free = Port::free();
    assert_eq!(messages(&check(&gateway, &edit(&free.addr().to_string())).await), [""; 0]);
}

#[tokio::test]
async fn what_is_shown_of_the_configuration_has_no_secrets() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let headers = r#"{ "X-Odd": "odd-value-1", "User-Agent": "cli/1" }"#;
    let yaml = "# the old key was sk-ant-old-12345678, api_key: commented-key\ngateway:\n  rules:\n    - name: say\n      match: \
                { path: /say, header: { x-api-key: match-key-1 } }\n      respond: { body: '{\"token\": \"body-token-1\"}' }\n";
    let gateway = gateway().upstream(upstream.url()).file("env/.env.headers.json", headers).yaml(yaml).start().await;
    let secrets = ["sk-ant-old", "commented-key", "match-key", "body-token", "odd-value", "cli/1"];
    let config = get(&gateway, "config").await;
    let shown = config.to_string();
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    assert!(shown.contains("the old key was ********"), "{shown}");
    let revealed = get(&gateway, "config?reveal=headers").await;
    assert_eq!(revealed["headers"], headers);
    // Masked values come back, and others may be new.
    let edited = config["headers"].as_str().expect("headers").replacen("\"********\"", "\"new-value-2\"", 1);
    let edit = json!({ "base_version": config["version"], "headers": edited });
    let (status, after) = send(&gateway, "PUT", "config", &edit).await;
    assert_eq!(status, 200, "{after}");
    gateway.request(&Request::get("/x")).await;
    let got = &upstream.last().headers;
    assert_eq!((got.all("x-odd"), got.all("user-agent")), (vec!["new-value-2".to_owned()], vec!["cli/1".to_owned()]));
    // A former version is told from the present one, without its values, and can be put back.
    let history = get(&gateway, "config/history").await;
    let versions = history["versions"].as_array().expect("versions");
    let former = versions.iter().find(|one| one["version"] == config["version"]).expect("the former version");
    assert!(secrets.iter().all(|secret| !history.to_string().contains(secret)), "{history}");
    assert_ne!(former["headers"], after["headers"]);
    let back = json!({ "base_version": after["version"], "headers": former["headers"] });
    let (status, after) = send(&gateway, "PUT", "config", &back).await;
    assert_eq!(status, 200, "{after}");
    assert_eq!(
        get(&gateway, "config?reveal=headers").await["headers"].as_str().map(|text| text.contains("odd-value-1")),
        Some(true)
    );
    // A dry run names conditions, not the keys in them.
    let question = json!({ "head": "GET /say HTTP/1.1\nx-api-key: other\n", "body": "" });
    let (status, explained) = send(&gateway, "POST", "explain", &question).await;
    assert_eq!(status, 200);
    let told = explained.to_string();
    assert!(told.contains("header x-api-key is ********") && !told.contains("odd-value"), "{told}");
}
