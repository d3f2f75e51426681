//! What an operator writes, and what the gateway says when it cannot be meant.

#[path = "configuration/language.rs"]
mod language;
#[path = "configuration/prices.rs"]
mod prices;
#[path = "configuration/written.rs"]
mod written;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use harness::{Authority, Gateway, GatewayBuilder, Output, Reply, Request, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

fn told(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

#[tokio::test]
async fn check_shows_each_value_with_its_source() {
    let output = gateway()
        .env("API_BASE_URL", "http://127.0.0.1:9/from-env")
        .env("PRESERVE_HOST", "true")
        .file("env/.env", "PRESERVE_HOST=false\nDEBUG_MODE=true\n")
        .yaml("gateway:\n  debug: false\n  listen: 127.0.0.1:18088\n  timeouts:\n    read: 30s\n")
        .arg("check")
        .run()
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let line = |key: &str| {
        let found = output.stdout.lines().find(|line| line.contains(key));
        found.unwrap_or_else(|| panic!("no line with {key}:\n{}", output.stdout)).to_owned()
    };
    for (key, value, source) in [
        ("base_url", "127.0.0.1:9/from-env", "API_BASE_URL"),
        ("preserve_host", "true", "PRESERVE_HOST"),
        ("gateway.debug", "true", "env/.env"),
        ("gateway.listen", "127.0.0.1:18088", "gateway.yaml"),
        ("timeouts.read", "30", "gateway.yaml"),
        ("timeouts.connect", "10", "default"),
    ] {
        let line = line(key);
        assert!(line.contains(value) && line.contains(source), "{key} should be {value} from {source}: {line}");
    }
}

#[tokio::test]
async fn check_masks_secrets() {
    let output = gateway()
        .env("API_BASE_URL", "http://127.0.0.1:9")
        .env("DASHBOARD_API_KEY", "secret-dashboard-key")
        .env("HTTPS_PROXY", "http://user:secret-proxy-password@127.0.0.1:7890")
        .file("env/.env.headers.json", r#"{"Authorization": "Bearer secret-header-value"}"#)
        .arg("check")
        .run()
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(!told(&output).contains("secret-"), "{}", told(&output));
    assert!(output.stdout.contains("Authorization"), "the header's name is shown: {}", output.stdout);
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place_and_the_nearest_name() {
    let rows = [
        ("gateway:\n  lisen: 127.0.0.1:1\n", "gateway.yaml:2:3", "listen"),
        ("gateway:\n  limits:\n    request_bdy: 1MiB\n", "gateway.yaml:3:5", "request_body"),
        ("gateway:\n  upstreams:\n    - base_ulr: http://a\n", "gateway.yaml:3:7", "base_url"),
        ("threads: 2\ngatway:\n  listen: 127.0.0.1:1\n", "gateway.yaml:2:1", "gateway"),
        ("gateway:\n  system_prompt: { replacment: x }\n", "gateway.yaml:2:20", "replacement"),
        ("gateway:\n  tls: { listen: 127.0.0.1:1, cret: a, key: b }\n", "gateway.yaml:2:31", "cert"),
    ];
    for (yaml, place, nearest) in rows {
        for command in [true, false] {
            let builder = gateway().yaml(yaml);
            let output = if command { builder.arg("check") } else { builder }.run().await;
            let told = told(&output);
            assert_eq!(output.status.code(), Some(1), "{yaml}{told}");
            assert!(told.contains(place), "{place} is not in:\n{told}");
            assert!(told.contains(nearest), "{nearest} is not in:\n{told}");
        }
    }
}

#[tokio::test]
async fn every_error_is_told_at_once() {
    let yaml = "gateway:
  listen: nowhere
  forwarded_for: sometimes
  colour: blue
  limits:
    request_body: lots
    header_timeout: soon
  timeouts:
    read: -5s
  upstreams:
    - base_url: ftp://a
    - base_url: not a url
    - name: no-url
";
    let output = gateway()
        .yaml(yaml)
        .env("PRESERVE_HOST", "perhaps")
        .env("PORT", "99999")
        .file("env/.env.headers.json", r#"{"Content-Length": "5"}"#)
        .arg("check")
        .run()
        .await;
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for wanted in [
        "gateway.yaml:2:",
        "gateway.yaml:3:",
        "gateway.yaml:4:",
        "gateway.yaml:6:",
        "gateway.yaml:7:",
        "gateway.yaml:9:",
        "gateway.yaml:11:",
        "gateway.yaml:12:",
        "gateway.yaml:13:",
        "PRESERVE_HOST",
        "PORT",
        "Content-Length",
    ] {
        assert!(told.contains(wanted), "{wanted} is not told:\n{told}");
    }
}

#[tokio::test]
async fn what_is_no_configuration_is_refused() {
    let rows = [
        ("gateway: [", "gateway.yaml"),
        ("gateway:\n\tlisten: 127.0.0.1:1\n", "gateway.yaml:2"),
        ("gateway: 5\n", "gateway.yaml:1"),
        ("gateway:\n  listen: [127.0.0.1:1]\n", "gateway.yaml:2"),
        ("gateway:\n  upstreams: []\n", "upstreams"),
        ("gateway:\n  upstreams: {}\n", "gateway.yaml:2"),
        ("gateway:\n  debug: true\n  debug: false\n", "gateway.yaml:3"),
        ("gateway:\n  tls: { listen: 127.0.0.1:1 }\n", "cert"),
        ("gateway:\n  tls: { listen: 127.0.0.1:1, cert: none.pem, key: none.pem }\n", "none.pem"),
        ("gateway:\n  upstreams:\n    - { base_url: https://a, ca_file: none.pem }\n", "none.pem"),
        (
            "gateway:\n  upstreams:\n    - { name: a, base_url: http://a }\n    - { name: a, base_url: http://b }\n",
            ":4:",
        ),
        ("gateway:\n  limits: { header_count: 0 }\n", "header_count"),
        ("gateway:\n  limits: { request_body: 0 }\n", "request_body"),
        ("gateway:\n  limits: { request_body: 2MiB, request_bodies_total: 1MiB }\n", "request_bodies_total"),
        ("gateway:\n  timeouts: { read: 0s }\n", "read"),
    ];
    let mut complaints = Vec::new();
    for (yaml, wanted) in rows {
        let builder = gateway().yaml(yaml).arg("check");
        // Nothing else is wrong with it.
        let builder = if yaml.contains("upstreams") { builder } else { builder.upstream("http://127.0.0.1:9") };
        let output = builder.run().await;
        let told = told(&output);
        if output.status.code() != Some(1) || !told.contains(wanted) {
            complaints.push(format!("{yaml}should fail and tell {wanted}: {:?}\n{told}", output.status.code()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n----\n"));
}

#[tokio::test]
async fn a_missing_file_is_named() {
    for args in [&["-c", "absent.yaml"][..], &["check", "-c", "absent.yaml"]] {
        let output = args.iter().fold(gateway(), |builder, arg| builder.arg(arg)).run().await;
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
        assert!(told(&output).contains("absent.yaml"), "{}", told(&output));
    }
}

#[tokio::test]
async fn endless_files_are_refused_and_pipes_are_read() {
    for file in ["endless.yaml", "env/.env", "env/headers.json", "env/.env.key-mappings.json", "ca.pem"] {
        let authority = if file == "ca.pem" { ", ca_file: ca.pem" } else { "" };
        let yaml = format!(
            "gateway:\n  headers_file: env/headers.json\n  upstreams: [{{base_url: \"https://up.test\"{authority}}}]\n"
        );
        let builder = gateway().file("env/.keep", "");
        let builder = if file == "endless.yaml" { builder.arg("-c").arg(file) } else { builder.yaml(&yaml) };
        std::os::unix::fs::symlink("/dev/zero", builder.dir().join(file)).expect("a link");
        let output = builder.arg("check").run().await;
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{file}: {told}");
        assert!(told.contains(file) && told.contains("it is a device; a file or a pipe is expected"), "{file}: {told}");
    }
    let piped = Gateway::builder("bash")
        .env("PROGRAM", env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .arg("-c")
        .arg("exec \"$PROGRAM\" check -c <(echo 'gateway: {limits: {queue: 77}}')")
        .run()
        .await;
    assert_eq!(piped.status.code(), Some(0), "{}", told(&piped));
    assert!(piped.stdout.contains("77"), "{}", told(&piped));
}

#[tokio::test]
async fn the_environment_beats_the_dotenv_file_which_beats_the_yaml() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!("gateway:\n  upstreams:\n    - base_url: {}/yaml\n", upstream.url());
    let url = |path: &str| format!("{}/{path}", upstream.url());
    let rows = [
        (None, None, "/yaml/x"),
        (None, Some("dotenv"), "/dotenv/x"),
        (Some("env"), Some("dotenv"), "/env/x"),
        (Some("env"), None, "/env/x"),
    ];
    for (env, dotenv, want) in rows {
        let mut builder = gateway().yaml(&yaml);
        if let Some(path) = env {
            builder = builder.env("API_BASE_URL", &url(path));
        }
        if let Some(path) = dotenv {
            let text = format!("# comment\nexport API_BASE_URL=\"{}\"\nSYSTEM_PROMPT_REPLACEMENT=\n", url(path));
            builder = builder.file("env/.env", &text);
        }
        let gateway = builder.start().await;
        assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
        assert_eq!(upstream.last().target, want);
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway()
        .yaml(&format!("gateway:\n  upstreams:\n    - base_url: {}/yaml\n", upstream.url()))
        .env("API_BASE_URL", "")
        .env("PRESERVE_HOST", "")
        .env("PORT", "")
        .start()
        .await;
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    assert_eq!(upstream.last().target, "/yaml/x");
}

#[tokio::test]
async fn the_file_can_be_named_by_the_environment_or_stand_in_conf() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = |path: &str| format!("gateway:\n  upstreams:\n    - base_url: {}/{path}\n", upstream.url());
    let named = gateway().file("other.yaml", &yaml("named")).env("GATEWAY_CONFIG", "other.yaml").start().await;
    assert_eq!(named.request(&Request::get("/x")).await.status(), 200);
    assert_eq!(upstream.last().target, "/named/x");
    let standing = gateway().file("conf/gateway.yaml", &yaml("conf")).start().await;
    assert_eq!(standing.request(&Request::get("/x")).await.status(), 200);
    assert_eq!(upstream.last().target, "/conf/x");
}

#[tokio::test]
async fn without_any_file_the_built_in_defaults_hold() {
    let output = gateway().arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for wanted in ["https://anyrouter.top", "127.0.0.1:8088", "127.0.0.1:9188", "32MiB"] {
        assert!(output.stdout.contains(wanted), "{wanted} is not in:\n{}", output.stdout);
    }
}

#[tokio::test]
async fn a_busy_port_is_an_error_that_says_so() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    for admin in [false, true] {
        let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = busy.local_addr().expect("its address").to_string();
        let free = harness::Port::free();
        let (listen, admin_listen) =
            if admin { (free.addr().to_string(), addr.clone()) } else { (addr.clone(), free.addr().to_string()) };
        let output =
            gateway().upstream(upstream.url()).env("LISTEN", &listen).env("ADMIN_LISTEN", &admin_listen).run().await;
        let told = told(&output);
        assert!(!output.status.success(), "{told}");
        assert!(told.contains(&addr) && told.to_lowercase().contains("in use"), "{told}");
        assert!(!told.contains("panicked"), "a busy port is no panic: {told}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_explained() {
    for args in [&["--no-such-flag"][..], &["no-such-command"], &["-c"]] {
        let output = args.iter().fold(gateway(), |builder, arg| builder.arg(arg)).run().await;
        assert!(!output.status.success(), "{args:?}");
        assert!(told(&output).contains("--help"), "{args:?}: {}", told(&output));
    }
    let version = gateway().arg("--version").run().await;
    assert!(version.status.success() && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", told(&version));
}

#[tokio::test]
async fn every_shipped_example_is_a_good_configuration() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("conf/").filter_map(Result::ok) {
        let path = entry.path();
        if path.file_name().is_some_and(|name| {
            name.to_string_lossy().starts_with("gateway") && name.to_string_lossy().ends_with(".yaml")
        }) {
            found += 1;
            let output = gateway().arg("check").arg("-c").arg(&path.display().to_string()).run().await;
            assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), told(&output));
        }
    }
    assert!(found > 0, "no gateway*.yaml in conf/");
}

/// What `check` says of a configuration that is valid: every line of its standard error.
async fn warnings(builder: GatewayBuilder) -> Vec<String> {
    let output = builder.arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    output.stderr.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_hardly_meant_is_warned_of() {
    let yaml = |text: &str| gateway().yaml(&format!("gateway:\n{text}"));
    assert_eq!(warnings(yaml("  upstreams: [{base_url: \"http://127.0.0.1:9\"}]\n")).await, [""; 0]);
    for (builder, wanted) in [
        (
            yaml("  upstreams:\n    - {name: mine, base_url: \"https://relay.example\", api_key: k}\n"),
            vec![":3:5:", "\"mine\" gets no request", "gateway.routes"],
        ),
        (
            yaml("  system_prompt:\n    replacement: \"Be brief.\"\n"),
            vec![":3:18:", "gateway.system_prompt.replacement", "attribution", "SYSTEM_PROMPT_TARGET=identity"],
        ),
        (
            yaml("  upstreams:\n    - {base_url: \"https://relay.example/api/v1\"}\n"),
            vec![":3:18:", "/api/v1/v1/messages", "leave /v1 out"],
        ),
        (
            yaml("  upstreams:\n    - {base_url: \"http://127.0.0.1:9\"}\n").env("API_BASE_URL", "http://127.0.0.1:8"),
            vec![":3:5:", "environment API_BASE_URL replaces this list"],
        ),
        (
            yaml("  rules:\n    - {name: a, match: {path: /a}, query: {remove: b}}\n")
                .file("data/overlay.yaml", "gateway:\n  rules: []\n"),
            vec!["data/overlay.yaml:2:", "gateway.rules", "hides the one at", ":3:5"],
        ),
        (
            yaml("  debug: false\n")
                .file("env/.env.headers.json", r#"{"X-App": "cli", "Authorization": "Bearer sk-secret"}"#),
            vec!["env/.env.headers.json", "Authorization", "whoever reaches the gateway", "gateway.routes"],
        ),
        (
            yaml("  rules:\n    - {name: a, match: {path: /a}, headers: {set: {x-api-key: sk-secret}}}\n"),
            vec![":3:5", "\"a\"", "x-api-key", "gateway.routes"],
        ),
        (
            yaml("  debug: false\n").file("env/.env", "RUST_LOG=debug\nDASHBOARD_API_KEY_2=x\n"),
            vec!["env/.env:", "RUST_LOG has no effect here"],
        ),
        (
            yaml("  debug: false\n").file("env/.env", "A_KEY=1\nDASHBOARD_APIKEY=x\n"),
            vec!["env/.env:", "DASHBOARD_APIKEY is no setting; did you mean DASHBOARD_API_KEY?"],
        ),
        (
            yaml("  upstreams:\n    - {name: lax, base_url: \"https://relay.example\", insecure: true}\n"),
            vec![":3:29:", "\"lax\"", "insecure: true", "ca_file"],
        ),
        (
            yaml(
                "  upstreams:\n    - {name: open, base_url: \"http://relay.example\", api_key: k}\n  routes: [{keys: [c], \
                  upstream: open}]\n",
            ),
            vec![":3:30:", "\"open\"", "without TLS"],
        ),
    ] {
        let told = warnings(builder).await;
        assert_eq!(told.len(), 1, "{wanted:?}: {told:?}");
        assert!(!told[0].contains("sk-secret"));
        assert!(told[0].starts_with("warning: ") && wanted.iter().all(|part| told[0].contains(part)), "{told:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_the_gateway_itself_is_refused() {
    for (listen, url) in [("127.0.0.1:18088", "http://localhost:18088"), ("0.0.0.0:18088", "http://127.0.0.1:18088/x")]
    {
        let builder = gateway().env("LISTEN", listen).env("API_BASE_URL", url).arg("check");
        let output = builder.run().await;
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(
            output.stderr.contains("API_BASE_URL: ") && output.stderr.contains("this gateway's own address"),
            "{}",
            output.stderr
        );
    }
}

#[tokio::test]
async fn the_same_address_behind_a_proxy_is_another_machine() {
    let builder = gateway().env("LISTEN", "127.0.0.1:18088").env("API_BASE_URL", "http://127.0.0.1:18088");
    let output = builder.env("HTTP_PROXY", "socks5h://192.0.2.1:1080").arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[tokio::test]
async fn a_bad_line_of_the_dotenv_file_is_named_and_not_shown() {
    let output = gateway().file("env/.env", "A=b\nfoo bar\nKEY=\"sk-secret\n").arg("check").run().await;
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(output.stderr.contains("env/.env:2:") && output.stderr.contains("env/.env:3:"), "{}", output.stderr);
    assert!(!output.stderr.contains("sk-secret"), "{}", output.stderr);
}

#[tokio::test]
async fn a_second_gateway_with_the_same_runtime_folder_is_refused_and_the_first_goes_on() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let first = gateway().upstream(upstream.url()).start().await;
    within("the first takes commands", async {
        while !first.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let ports = [std::net::TcpListener::bind("127.0.0.1:0"), std::net::TcpListener::bind("127.0.0.1:0")];
    let ports = ports.map(|listener| listener.and_then(|listener| listener.local_addr()).expect("a port").to_string());
    let mut second = std::process::Command::new("timeout");
    second
        .args(["30", env!("CARGO_BIN_EXE_anyrouter-gateway")])
        .current_dir(first.dir())
        .env("LISTEN", &ports[0])
        .env("ADMIN_LISTEN", &ports[1]);
    let output = tokio::task::spawn_blocking(move || second.output().expect("run")).await.expect("joined");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [&first.pid().to_string(), "gateway.runtime_dir", "reload", "upgrade", "GATEWAY_RUNTIME_DIR"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let reload = first.command(&["reload"]).await;
    assert_eq!(reload.status.code(), Some(0), "{}", told(&reload));
}

#[tokio::test]
async fn files_with_keys_that_others_can_read_are_warned_of() {
    let builder = gateway()
        .file("env/.env", "DASHBOARD_API_KEY=a-key-of-the-panel-0123456789abcdef\n")
        .file("env/.env.headers.json", r#"{"x-api-key": "sk-secret-1", "X-App": "cli"}"#)
        .file("env/.env.key-mappings.json", r#"{"mappings":[{"target_url":"http://127.0.0.1:9","keys":["sk-1"]}]}"#)
        .yaml("gateway:\n  upstreams: [{base_url: \"http://127.0.0.1:9\", api_key: my-own-key}]\n  routes: [{keys: [k], upstream: 127.0.0.1}]\n");
    let files = ["env/.env", "env/.env.headers.json", "env/.env.key-mappings.json", "gateway.yaml"];
    let dir = builder.dir().to_owned();
    let check = async |builder: GatewayBuilder| {
        let output = builder.arg("check").run().await;
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        output.stderr
    };
    for file in files {
        std::fs::set_permissions(dir.join(file), std::fs::Permissions::from_mode(0o640)).expect("permissions");
    }
    let warned = check(builder).await;
    for file in files {
        let message =
            format!("warning: {file}: there are keys in this file, and others than its owner can read it (640)");
        assert!(warned.lines().any(|line| line == format!("{message}: chmod 600 {file}")), "{file}: {warned}");
    }
    assert!(!warned.contains("my-own-key") && !warned.contains("sk-secret-1"), "{warned}");
    // Without keys they may be open, and with keys for their owner alone.
    let harmless = gateway().file("env/.env", "DEBUG_MODE=true\n").yaml("gateway:\n  debug: false\n");
    let dir = harmless.dir().to_owned();
    for file in ["env/.env", "gateway.yaml"] {
        std::fs::set_permissions(dir.join(file), std::fs::Permissions::from_mode(0o644)).expect("permissions");
    }
    assert_eq!(check(harmless).await, "");
}

#[tokio::test]
async fn a_certificate_and_its_key_are_read_and_must_fit() {
    let authority = Authority::new();
    let (one, other) = (authority.leaf(&["localhost"]), authority.leaf(&["127.0.0.1"]));
    let pem = |path: &std::path::Path| std::fs::read_to_string(path).expect("a PEM file");
    let yaml = |cert: &str, key: &str| {
        gateway()
            .file("one.pem", &pem(&one.cert))
            .file("one.key", &pem(&one.key))
            .file("other.key", &pem(&other.key))
            .file("none.pem", "nothing\n")
            .yaml(&format!("gateway:\n  tls:\n    listen: 127.0.0.1:9443\n    cert: {cert}\n    key: {key}\n"))
            .arg("check")
    };
    let fits = yaml("one.pem", "one.key").run().await;
    assert_eq!(fits.status.code(), Some(0), "{}", told(&fits));
    for (cert, key, wanted) in [
        ("none.pem", "one.key", "gateway.yaml:4:11: gateway.tls.cert: \"none.pem\" holds no certificate"),
        ("one.pem", "none.pem", "gateway.yaml:5:10: gateway.tls.key: \"none.pem\" cannot be read as a private key"),
        ("one.pem", "other.key", "gateway.yaml:5:10: gateway.tls.key: this is not the key of the certificate"),
    ] {
        let output = yaml(cert, key).run().await;
        assert!(output.status.code() == Some(1) && output.stderr.contains(wanted), "{wanted}: {}", told(&output));
    }
}

#[tokio::test]
async fn what_an_input_method_typed_is_named_with_its_place_and_what_to_type() {
    for (file, text, wanted) in [
        ("env/.env", "A=1\nLISTEN：127.0.0.1:0-sk-secret\n", "env/.env:2:7: ： (U+FF1A)"),
        ("env/.env", "\u{feff}LISTEN=“127.0.0.1:1”\n", "env/.env:1:8: “ (U+201C)"),
        (
            "env/.env",
            "A=1\n\u{feff}LISTEN=127.0.0.1:1\n",
            "env/.env:2:1: here stands a character that nobody sees (U+FEFF)",
        ),
        ("env/.env.headers.json", "{\n  “X-App”： \"cli\"\n}", "env/.env.headers.json:2:3: “ (U+201C)"),
        ("env/.env.key-mappings.json", "{\"mappings\"： []}", "env/.env.key-mappings.json:1:12: ： (U+FF1A)"),
    ] {
        let output = gateway().arg("check").file(file, text).run().await;
        assert!(!output.status.success() && output.stderr.contains(wanted), "{text}: {}", output.stderr);
        assert!(!output.stderr.contains("sk-secret"), "{}", output.stderr);
    }
    let output = gateway().arg("check").env("LISTEN", "127.0.0.1：1").run().await;
    assert!(!output.status.success() && output.stderr.contains("environment LISTEN: "), "{}", output.stderr);
    assert!(output.stderr.contains("： (U+FF1A)"), "{}", output.stderr);
    // A mark at the beginning is what editors of Windows write.
    let builder = gateway().file("env/.env", "\u{feff}LISTEN=127.0.0.1:1\n").yaml("\u{feff}gateway:\n  debug: true\n");
    let builder = builder.file("env/.env.headers.json", "\u{feff}{\"X-App\": \"cli\"}");
    let output = builder.arg("check").run().await;
    assert!(output.status.success() && output.stdout.contains("X-App"), "{}{}", output.stdout, output.stderr);
}
