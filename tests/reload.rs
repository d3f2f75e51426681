//! A new configuration takes effect at once and drops nothing; a bad one changes nothing.

use harness::{Client, Gateway, GatewayBuilder, Load, Port, Reply, Request, Upstream, anthropic, within};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

fn yaml(upstream: &Upstream, rest: &str) -> String {
    format!("gateway:\n  upstreams: [{{name: a, base_url: \"{}\"}}]\n{rest}", upstream.url())
}

fn stamped(value: &str) -> String {
    format!("  rules: [{{name: stamp, headers: {{set: {{X-Stamp: \"{value}\"}}}}}}]\n")
}

async fn start(builder: GatewayBuilder) -> Gateway {
    let gateway = builder.start().await;
    within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    gateway
}

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

fn write(gateway: &Gateway, text: &str) {
    std::fs::write(gateway.dir().join("gateway.yaml"), text).expect("written");
}

async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().expect("a number")
}

/// What the upstream gets of the stamp now.
async fn stamp(upstream: &Upstream, gateway: &Gateway) -> Option<String> {
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    upstream.last().headers.get("x-stamp")
}

async fn wait_stamp(upstream: &Upstream, gateway: &Gateway, value: &str) {
    within("the new configuration is in force", async {
        while stamp(upstream, gateway).await.as_deref() != Some(value) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_command_waits_for_the_verdict_and_the_next_request_has_it() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().yaml(&yaml(&upstream, &stamped("one")))).await;
    assert_eq!(stamp(&upstream, &gateway).await.as_deref(), Some("one"));
    let loaded = metric(&gateway, "gateway_config_last_reload_timestamp_seconds").await;

    write(&gateway, &yaml(&upstream, &stamped("two")));
    assert_eq!(stamp(&upstream, &gateway).await.as_deref(), Some("one"), "nobody asked for it yet");
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success() && output.stdout.contains("loaded anew"), "{output:?}");
    assert_eq!(stamp(&upstream, &gateway).await.as_deref(), Some("two"));
    assert!(metric(&gateway, "gateway_config_last_reload_timestamp_seconds").await > loaded);

    write(&gateway, &yaml(&upstream, "  lissten: x\n  limits: {queue: many}\n"));
    let output = gateway.command(&["reload"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("error: gateway.yaml:3:3: unknown key \"gateway.lissten\""), "{output:?}");
    assert!(output.stderr.contains("error: gateway.yaml:4:19: gateway.limits.queue"), "{output:?}");
    assert!(output.stderr.contains("refused with 2 errors"), "{output:?}");
    gateway.stderr_line(0, "the same in the log", |line| line.contains("refused: gateway.yaml:4:19")).await;
    // No YAML at all, so that nobody can tell where the gateway is but by the default.
    write(&gateway, "gateway: [\n");
    let output = gateway.command(&["reload"]).await;
    assert!(!output.status.success() && output.stderr.contains("gateway.yaml:1:11"), "{output:?}");
    assert_eq!(stamp(&upstream, &gateway).await.as_deref(), Some("two"), "what was in force still is");
    for (result, count) in [("ok", 1.0), ("refused", 2.0)] {
        assert_eq!(metric(&gateway, &format!("gateway_config_reloads_total{{result=\"{result}\"}}")).await, count);
    }
}

#[tokio::test]
async fn a_connection_that_was_idle_meanwhile_gets_the_new_configuration_with_its_next_request() {
    let (one, two) = (Upstream::start(|_| Reply::ok("one")).await, Upstream::start(|_| Reply::ok("two")).await);
    let gateway = start(gateway().yaml(&yaml(&one, &stamped("one")))).await;
    let mut kept = gateway.connect().await;
    let multiplexed = gateway.connect_h2().await;
    for (upstream, value) in [(&one, "one"), (&two, "two"), (&one, "three")] {
        write(&gateway, &yaml(upstream, &stamped(value)));
        assert!(gateway.command(&["reload"]).await.status.success());
        assert_eq!(kept.request(&Request::post("/x", "a body")).await.status(), 200);
        assert_eq!(upstream.last().headers.get("x-stamp").as_deref(), Some(value), "HTTP/1.1");
        let request = http::Request::post("http://gateway.test/x").body(()).expect("a request");
        assert_eq!(multiplexed.send(request, &[b"a body"]).await.status, 200);
        assert_eq!(upstream.last().headers.get("x-stamp").as_deref(), Some(value), "HTTP/2");
    }
}

#[tokio::test]
async fn the_command_says_what_changed_and_no_secret() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let text = |priority: u8, rest: &str| {
        format!(
            "gateway:\n  upstreams:\n    - {{name: a, base_url: \"{}\", priority: {priority}}}\n    - {{name: b, base_url: \
             \"http://127.0.0.1:9\", api_key: \"${{env.RELAY_KEY}}\"}}\n{rest}",
            upstream.url()
        )
    };
    let rules = "  rules:\n    - {name: stamp, headers: {set: {X-Stamp: one}}}\n    - {name: old, respond: {status: 204}, match: {path: /old}}\n";
    let builder = gateway().yaml(&text(0, rules)).file("env/.env", "RELAY_KEY=sk-the-first-relay-key\n");
    let builder = builder.file("env/.env.headers.json", "{\"X-Key\": \"sk-the-first-header\"}");
    let gateway = start(builder.file("env/.env.key-mappings.json", "{\"mappings\": []}")).await;
    let output = gateway.command(&["reload"]).await;
    assert_eq!(
        output.stdout.lines().last().unwrap_or_default(),
        "the configuration was loaded anew; nothing changed: no setting has another value than before"
    );

    let rules = "  rules:\n    - {name: stamp, headers: {set: {X-Stamp: two}}}\n    - {name: new, respond: {status: 204}, match: {path: /new}}\n";
    write(&gateway, &text(1, &format!("  debug: true\n  limits: {{queue: 7}}\n{rules}")));
    let file = |name: &str, text: &str| std::fs::write(gateway.dir().join(name), text).expect("written");
    file("env/.env", "RELAY_KEY=sk-the-second-relay-key\nDASHBOARD_API_KEY=the-second-key-of-the-panel\n");
    file("env/.env.headers.json", "{\"X-Key\": \"sk-the-second-header\"}");
    let mapping =
        format!("{{\"mappings\": [{{\"target_url\": \"{}\", \"keys\": [\"sk-of-a-client\"]}}]}}", upstream.url());
    file("env/.env.key-mappings.json", &mapping);
    let output = gateway.command(&["reload"]).await;
    for line in [
        "  gateway.limits.queue: 100 -> 7",
        "  gateway.debug: false -> true",
        "  gateway.dashboard.api_key: (not set) -> ********",
        "  header X-Key: changed (********)",
        "  env/.env RELAY_KEY: changed (********)",
        "  env/.env.key-mappings.json: changed (********)",
        "  gateway.upstreams: changed a (priority 0 -> 1)",
        "  gateway.rules: added new; removed old; changed stamp (headers)",
        "not in force yet: gateway.debug; type: anyrouter-gateway upgrade (a new process takes over, nothing is cut off)",
    ] {
        assert!(output.stdout.lines().any(|told| told == line), "{line}: {}", output.stdout);
    }
    for secret in ["sk-the", "second-key", "sk-of-a-client"] {
        assert!(!output.stdout.contains(secret) && !gateway.stderr().contains(secret), "{secret}: {output:?}");
    }
    gateway.stderr_line(0, "the same in the log", |line| line.contains("loaded anew: gateway.")).await;
    // What the panel would show of the same.
    let output = gateway.command(&["reload"]).await;
    assert!(
        output.stdout.contains("nothing changed") && output.stdout.contains("not in force yet: gateway.debug"),
        "{output:?}"
    );
}

#[tokio::test]
async fn what_a_reload_does_not_change_is_told_with_what_does() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let mut gateway = start(gateway().upstream(upstream.url()).addresses_in_file()).await;
    let (other, admin) = (Port::free(), gateway.admin_addr());
    let listen = |address: &str| {
        let text = format!("LISTEN={address}\nADMIN_LISTEN={admin}\n");
        std::fs::write(gateway.dir().join("env/.env"), text).expect("written");
    };
    listen(&format!("0.0.0.0:{}", gateway.addr().port()));
    let output = gateway.command(&["reload"]).await;
    let wanted =
        format!("not in force yet: gateway.listen; stop the gateway (kill {}), and start it again", gateway.pid());
    assert!(output.status.success() && output.stdout.lines().any(|line| line == wanted), "{output:?}");
    // That is so: no process that takes over can have the address.
    let output = gateway.command(&["upgrade"]).await;
    let told = format!("cannot be had while the process that serves listens on {}", gateway.addr());
    assert!(!output.status.success() && output.stderr.contains(&told), "{output:?}");

    listen(&other.addr().to_string());
    let output = gateway.command(&["reload"]).await;
    assert!(output.stdout.contains("not in force yet: gateway.listen; type: anyrouter-gateway upgrade"), "{output:?}");
    let output = gateway.command(&["upgrade"]).await;
    assert!(output.status.success(), "{output:?}\n{}", gateway.stderr());
    assert_eq!(Client::connect(other.addr()).await.request(&Request::get("/x")).await.status(), 200);
    gateway.wait_processes(1).await;
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success() && !output.stdout.contains("not in force yet"), "{output:?}");
}

/// What a command does in a folder where no gateway is; `place` is where gateways are noted.
fn elsewhere(folder: &Path, place: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_anyrouter-gateway"));
    command.args(arguments).current_dir(folder).env_clear().env("XDG_RUNTIME_DIR", place);
    command.envs(variables.iter().copied()).output().expect("it runs")
}

#[tokio::test]
async fn commands_find_the_gateway_from_any_folder() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let (folder, place) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let place_of = place.path().display().to_string();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = elsewhere(folder.path(), place.path(), arguments, variables);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (is_done, _, told) = run(&["reload"], &[]);
    assert!(!is_done && told.contains("no gateway runs here") && told.contains(&place_of), "{told}");

    let one = start(gateway().yaml(&yaml(&upstream, "")).env("XDG_RUNTIME_DIR", &place_of)).await;
    let of = |gateway: &Gateway| gateway.dir().canonicalize().expect("a folder").display().to_string();
    for arguments in [["reload"].as_slice(), &["panel"], &["-c", &format!("{}/gateway.yaml", of(&one)), "reload"]] {
        let (is_done, told, whose) = run(arguments, &[]);
        assert!(is_done && !told.is_empty() && whose.contains(&of(&one)), "{arguments:?}: {told}{whose}");
    }
    let (is_done, told, _) = run(&["upgrade"], &[]);
    assert!(is_done && told.contains("upgraded"), "{told}");
    // A folder that is named is the only one that is meant, and so is a configuration.
    let (is_done, _, told) = run(&["reload"], &[("GATEWAY_RUNTIME_DIR", "data/run")]);
    assert!(!is_done && told.contains("no gateway runs here"), "{told}");
    std::fs::write(folder.path().join("mine.yaml"), "gateway: {}\n").expect("written");
    let (is_done, _, told) = run(&["-c", "mine.yaml", "reload"], &[]);
    assert!(!is_done && told.contains("no gateway runs with mine.yaml") && told.contains(&of(&one)), "{told}");

    let two = start(gateway().yaml(&yaml(&upstream, "")).env("XDG_RUNTIME_DIR", &place_of)).await;
    let (is_done, _, told) = run(&["reload"], &[]);
    assert!(!is_done && told.contains("2 gateways run") && told.contains("-c FILE"), "{told}");
    for gateway in [&one, &two] {
        assert!(told.contains(&of(gateway)) && told.contains(&gateway.addr().to_string()), "{told}");
    }
    let (is_done, _, whose) = run(&["-c", &format!("{}/gateway.yaml", of(&two)), "reload"], &[]);
    assert!(is_done && whose.contains(&of(&two)), "{whose}");
    // Doctor asks no relay that may be another's.
    let (is_done, told, whose) = run(&["doctor"], &[]);
    assert!(
        !is_done && told.is_empty() && whose.contains("nothing was tried: this is about the built-in settings"),
        "{whose}"
    );
    // In its own folder each is meant, whatever else runs.
    let output = one.command(&["reload"]).await;
    assert!(output.status.success() && !output.stderr.contains("the gateway in"), "{output:?}");

    // One that was killed has left its note, which nobody answers at.
    two.signal(two.pid(), "KILL");
    within("only one answers", async {
        while !run(&["reload"], &[]).0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_at_a_configuration_look_at_that_of_the_running_gateway() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let (folder, place) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = elsewhere(folder.path(), place.path(), arguments, variables);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (_, told, whose) = run(&["check"], &[]);
    assert!(told.contains("https://anyrouter.top") && whose.is_empty(), "{told}{whose}");

    let place_of = place.path().display().to_string();
    let builder = gateway().yaml("gateway: {debug: true}\n");
    let gateway = start(builder.env("API_BASE_URL", &upstream.url()).env("XDG_RUNTIME_DIR", &place_of)).await;
    let home = gateway.dir().canonicalize().expect("a folder").display().to_string();
    let file = format!("{home}/gateway.yaml");
    for arguments in [["check"].as_slice(), &["doctor"], &["-c", &file, "check"], &["-c", &file, "doctor", "--json"]] {
        let (is_good, told, whose) = run(arguments, &[]);
        assert!(is_good && told.contains(&upstream.url()), "{arguments:?}: {told}{whose}");
        assert!(whose.contains(&format!("of the gateway in {home}")), "{arguments:?}: {whose}");
    }
    let host = upstream.url().replace("http://", "Host: ");
    let (is_good, told, _) = run(&["explain", "--json"], &[]);
    assert!(is_good && told.contains(&host), "{told}");
    std::fs::write(folder.path().join("body.json"), "{\"model\": \"m\"}").expect("written");
    let (is_good, told, whose) = run(&["explain", "--json", "body.json"], &[]);
    assert!(is_good && told.contains(&host), "a file of this folder: {told}{whose}");

    // What is set for the command alone is what it looks at, and so is a configuration of this folder.
    let (_, told, whose) = run(&["check"], &[("API_BASE_URL", "http://elsewhere.example")]);
    assert!(told.contains("http://elsewhere.example") && !whose.contains("of the gateway"), "{told}{whose}");
    std::fs::create_dir(folder.path().join("env")).expect("made");
    std::fs::write(folder.path().join("env/.env"), "API_BASE_URL=http://here.example\n").expect("written");
    let (_, told, whose) = run(&["check"], &[]);
    assert!(told.contains("http://here.example") && !whose.contains("of the gateway"), "{told}{whose}");
}

#[tokio::test]
async fn sighup_loads_anew_and_names_what_needs_a_restart() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().yaml(&yaml(&upstream, &stamped("one"))).file("env/.env.headers.json", "{}")).await;
    std::fs::write(gateway.dir().join("env/.env.headers.json"), "{\"X-App\": \"cli\"}").expect("written");
    write(&gateway, &yaml(&upstream, &format!("  log: {{format: json}}\n{}", stamped("two"))));
    gateway.signal(gateway.pid(), "HUP");
    wait_stamp(&upstream, &gateway, "two").await;
    assert_eq!(upstream.last().headers.get("x-app").as_deref(), Some("cli"), "the headers file too");
    let line = gateway.stderr_line(0, "a warning", |line| line.contains("only a restart or an upgrade changes")).await;
    assert!(line.contains("gateway.log.format") && !line.starts_with('{'), "{line}");
}

#[tokio::test]
async fn files_are_watched_if_that_is_wanted() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let watching = |value: &str| yaml(&upstream, &format!("  watch: true\n{}", stamped(value)));
    let gateway = start(gateway().yaml(&watching("one")).file("data/overlay.yaml", "")).await;
    write(&gateway, &watching("two"));
    wait_stamp(&upstream, &gateway, "two").await;
    // As editors do it: a new file in the place of the old one.
    let new = gateway.dir().join("new.yaml");
    std::fs::write(&new, watching("three")).expect("written");
    std::fs::rename(&new, gateway.dir().join("gateway.yaml")).expect("renamed");
    wait_stamp(&upstream, &gateway, "three").await;
    write(&gateway, "gateway: [\n");
    gateway.stderr_line(0, "a refusal", |line| line.contains("refused: gateway.yaml:1:11")).await;
    std::fs::write(gateway.dir().join("data/overlay.yaml"), format!("gateway:\n{}", stamped("panel")))
        .expect("written");
    write(&gateway, &watching("four"));
    wait_stamp(&upstream, &gateway, "panel").await;
}

/// As the database, which lies beside the panel's overlay unless it is told otherwise.
#[tokio::test]
async fn a_file_that_never_rests_beside_those_that_count_holds_nothing_up() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let watching = |value: &str| yaml(&upstream, &format!("  watch: true\n{}", stamped(value)));
    let gateway = start(gateway().yaml(&watching("one"))).await;
    let busy = gateway.dir().join("busy.db-wal");
    let writing = tokio::spawn(async move {
        for count in 0_u64.. {
            std::fs::write(&busy, count.to_string()).expect("written");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    write(&gateway, &watching("two"));
    wait_stamp(&upstream, &gateway, "two").await;
    writing.abort();
}

#[tokio::test]
async fn the_overlay_comes_between_the_environment_and_the_file() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let output = gateway()
        .yaml(&yaml(&upstream, "  debug: false\n  preserve_host: false\n"))
        .env("LOG_FORMAT", "json")
        .file("data/overlay.yaml", "gateway:\n  preserve_host: true\n  log: {format: text}\n  debug: true\n")
        .file("env/.env", "DEBUG_MODE=false\n")
        .arg("check")
        .run()
        .await;
    let source = |key: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{output:?}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(source("gateway.preserve_host "), "true data/overlay.yaml:2:18");
    assert_eq!(source("gateway.log.format "), "json environment LOG_FORMAT");
    assert_eq!(source("gateway.debug "), "false env/.env:1:12 DEBUG_MODE");
    let output = gateway()
        .yaml(&yaml(&upstream, ""))
        .file("data/overlay.yaml", "gateway:\n  dashboard:\n    api_key: sk-mine\n")
        .arg("check")
        .run()
        .await;
    assert!(!output.status.success() && !output.stderr.contains("sk-mine"), "{output:?}");
    assert!(
        output.stderr.contains("data/overlay.yaml:3:14: gateway.dashboard.api_key: this cannot be set"),
        "{output:?}"
    );
}

#[tokio::test]
async fn what_is_known_of_upstreams_survives_a_reload() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/slow" => Reply::sse().bytes("data: a\n\n").step(harness::Step::Sleep(Duration::from_secs(60))),
        _ => Reply::ok("fine"),
    })
    .await;
    let gone = "http://127.0.0.1:9";
    let yaml = |rest: &str| {
        format!(
            "gateway:\n  health: {{failures: 1, open: 60s}}\n  upstreams:\n    - {{name: gone, base_url: \"{gone}\"}}\n    - \
             {{name: a, base_url: \"{}\", priority: 1, max_in_flight: 5}}\n{rest}",
            upstream.url()
        )
    };
    let gateway = start(gateway().yaml(&yaml(""))).await;
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    let mut slow = gateway.connect().await;
    slow.send(Request::get("/slow").bytes()).await;
    assert_eq!(slow.head("GET").await.status, 200);
    let open = "gateway_upstream_circuit{state=\"open\",upstream=\"gone\"}";
    let in_flight = "gateway_upstream_in_flight_requests{upstream=\"a\"}";
    assert_eq!((metric(&gateway, open).await, metric(&gateway, in_flight).await), (1.0, 1.0));
    // One that is kept, beside the one that is in use.
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    let connections = upstream.connections();
    write(&gateway, &yaml(&stamped("new")));
    assert!(gateway.command(&["reload"]).await.status.success());
    assert_eq!((metric(&gateway, open).await, metric(&gateway, in_flight).await), (1.0, 1.0));
    assert_eq!(stamp(&upstream, &gateway).await.as_deref(), Some("new"));
    assert_eq!(upstream.connections(), connections, "kept connections are used on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_drop_nothing() {
    let size = |name: &str, small: usize| std::env::var(name).map_or(small, |value| value.parse().expect("a number"));
    let (reloads, streams) = (size("GATEWAY_TEST_RELOADS", 6), size("GATEWAY_TEST_STREAMS", 20));
    let options = anthropic::Options { gap: Duration::from_millis(100), ..Default::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let gateway = start(gateway().yaml(&yaml(&upstream, ""))).await;
    let load = Load::start(gateway.addr(), 4, streams);
    upstream.wait_received(streams).await;
    for number in 0..reloads {
        let is_good = number % 2 == 0;
        let value = number.to_string();
        let text = yaml(&upstream, &stamped(&value));
        write(&gateway, &if is_good { text.clone() } else { format!("{text}  lissten: {number}\n") });
        let output = gateway.command(&["reload"]).await;
        assert_eq!(output.status.success(), is_good, "{output:?}");
        let expected = if is_good { number } else { number - 1 }.to_string();
        // The load's own requests may have begun before: this one did not.
        let probe = format!("/probe-{number}");
        gateway.request(&Request::get(&probe)).await;
        let received = upstream.received();
        let probed = received.iter().find(|request| request.target == probe).expect("the probe came");
        assert_eq!(probed.headers.get("x-stamp"), Some(expected));
        upstream.wait_received(received.len() + streams + 8).await;
    }
    let tally = load.stop().await;
    assert_eq!(tally.failures, [] as [String; 0]);
    println!("{reloads} reloads: {} requests, {} streams, no failure", tally.requests, tally.streams);
    assert!(tally.requests > 20 && tally.streams as usize >= streams, "{tally:?}");
    let count = |result: &str| format!("gateway_config_reloads_total{{result=\"{result}\"}}");
    let (good, bad) = (reloads.div_ceil(2) as f64, (reloads / 2) as f64);
    assert_eq!((metric(&gateway, &count("ok")).await, metric(&gateway, &count("refused")).await), (good, bad));
}

#[tokio::test]
async fn the_log_file_is_opened_anew_by_signal_and_by_reload() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url()).env("LOG_FILE", "gateway.log")).await;
    let file = gateway.dir().join("gateway.log");
    let holds = async |text: &str| {
        within(text, async {
            while !std::fs::read_to_string(&file).is_ok_and(|log| log.contains(text)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    holds("listens on http://").await;
    for way in ["signal", "reload"] {
        std::fs::rename(&file, gateway.dir().join(way)).expect("moved");
        match way {
            "signal" => gateway.signal(gateway.pid(), "USR1"),
            _ => drop(gateway.command(&["reload"]).await),
        }
        let target = format!("/after-{way}");
        holds(if way == "signal" { "SIGUSR1" } else { "loaded anew" }).await;
        gateway.request(&Request::get(&target)).await;
        holds(&target).await;
    }
    assert_eq!(gateway.stderr(), "");
}

#[tokio::test]
async fn a_log_file_that_cannot_be_opened_is_named() {
    let output = gateway().env("LOG_FILE", "no/such/folder/log").run().await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("gateway.log.file: no/such/folder/log: "), "{output:?}");
}
