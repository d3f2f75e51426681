//! The panel's key: made at the first start, kept from everybody else, replaced on demand; and the link that logs in.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Response, Step, Upstream, within};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).upstream("http://127.0.0.1:9")
}

fn file(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("data/dashboard.key")
}

fn mode(gateway: &Gateway) -> u32 {
    std::fs::metadata(file(gateway)).expect("a key file").permissions().mode() & 0o777
}

/// What a link holds.
fn ticket(link: &str) -> String {
    link.trim().split_once("/admin#key=").expect("a link that logs in").1.to_owned()
}

/// The answer to a login.
async fn login(gateway: &Gateway, key: &str) -> Response {
    let request = Request::post("/api/admin/session", format!("{{\"key\":\"{key}\"}}"));
    gateway.request(&request.header("Content-Type", "application/json")).await
}

/// Whether this key opens the panel.
async fn opens(gateway: &Gateway, key: &str) -> bool {
    let request = Request::get("/api/admin/health").header("Authorization", format!("Bearer {key}"));
    match gateway.request(&request).await.status() {
        200 => true,
        401 | 429 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_first_start_makes_a_key_that_its_owner_alone_can_read() {
    let gateway = gateway().start().await;
    let key = gateway.panel_key();
    assert_eq!((key.len(), mode(&gateway)), (43, 0o600), "256 bits in base64url");
    assert!(opens(&gateway, &key).await);
    let told = gateway.stderr_line(0, "how to get in", |line| line.contains("to open the panel, type `")).await;
    assert!(told.contains(&format!("`{} panel`", env!("CARGO_BIN_EXE_anyrouter-gateway"))), "as it was called: {told}");
    assert!(!told.contains("key="), "{told}");
    let config = gateway.request(&gateway.as_admin(Request::get("/api/admin/config"))).await.text();
    let metrics = harness::Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let check = gateway.command(&["check"]).await;
    for text in [&config, &metrics, &check.stdout, &check.stderr, &gateway.stderr()] {
        assert!(!text.contains(&key));
    }
}

/// A browser writes a link into its history, and other users of the machine see it among its arguments.
#[tokio::test]
async fn a_link_logs_in_once_and_does_not_hold_the_key() {
    let gateway = gateway().start().await;
    let output = gateway.command(&["panel"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert!(output.stdout.starts_with(&format!("http://{}/admin#key=", gateway.addr())), "{}", output.stdout);
    let ticket = ticket(&output.stdout);
    assert_eq!(ticket.len(), "once-".len() + 43);
    assert_ne!(ticket, gateway.panel_key());
    assert!(!opens(&gateway, &ticket).await, "it logs in, and is no key");
    let first = login(&gateway, &ticket).await;
    assert_eq!(first.status(), 204);
    let session = first.header("set-cookie").expect("a cookie");
    let look = Request::get("/api/admin/health").header("Cookie", session.split(';').next().expect("a pair"));
    assert_eq!(gateway.request(&look).await.status(), 200);
    // Who tries it again is no guesser.
    for _ in 0..8 {
        let again = login(&gateway, &ticket).await;
        assert_eq!(again.status(), 401, "once");
        assert!(again.text().contains("This link is over"), "{}", again.text());
    }
    assert!(!gateway.stderr().contains(&ticket));
}

#[tokio::test]
async fn a_start_at_a_terminal_prints_the_link() {
    let builder = gateway();
    let (folder, address) = (builder.dir().to_owned(), builder.addr());
    // `script` gives it a terminal.
    let mut command = Command::new("script");
    let mut child = command
        .args(["--quiet", "--return", "--flush", "--command", env!("CARGO_BIN_EXE_anyrouter-gateway"), "typescript"])
        .current_dir(&folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SHELL", "/bin/sh")
        .env("API_BASE_URL", "http://127.0.0.1:9")
        .env("GATEWAY_DB", "off")
        .env("LISTEN", address.to_string())
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("SSH_CONNECTION", "203.0.113.9 50000 192.0.2.7 22")
        .env("USER", "me")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("script, of util-linux");
    let told = within("the link on the terminal", async {
        loop {
            let told = std::fs::read_to_string(folder.join("typescript")).unwrap_or_default();
            if told.contains("ssh -L ") {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let key = std::fs::read_to_string(folder.join("data/dashboard.key")).expect("a key");
    assert!(told.contains(&format!("\r\n  http://{address}/admin#key=")) && !told.contains(key.trim()), "{told}");
    let again = format!("`{} panel` prints another", env!("CARGO_BIN_EXE_anyrouter-gateway"));
    assert!(told.contains(&again), "{told}");
    assert!(told.contains(&format!("ssh -L {0}:{address} me@192.0.2.7", address.port())), "{told}");
    let pid = std::fs::read_to_string(folder.join("data/run/gateway.pid"));
    let _ = child.kill();
    let _ = child.wait();
    if let Ok(pid) = pid {
        let _ = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_new_key_is_in_force_at_once_whatever_is_wrong_with_the_configuration_by_now() {
    let gateway = gateway().yaml("gateway: {}\n").start().await;
    let old = gateway.panel_key();
    let former = ticket(&gateway.command(&["panel"]).await.stdout);
    std::fs::write(gateway.dir().join("gateway.yaml"), "gateway: {nonsense: 1}\n").expect("written");
    let output = gateway.command(&["panel", "--new-key"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    let new = gateway.panel_key();
    assert_ne!(old, new);
    assert_eq!(mode(&gateway), 0o600);
    assert!(opens(&gateway, &new).await && !opens(&gateway, &old).await);
    assert_eq!(login(&gateway, &former).await.status(), 401, "links of the old key are over too");
    assert_eq!(login(&gateway, &ticket(&output.stdout)).await.status(), 204);
}

#[tokio::test]
async fn after_an_upgrade_the_old_process_lets_nobody_in_and_its_links_are_over() {
    let upstream = Upstream::start(|_| Reply::sse().bytes("data: a\n\n").step(Step::Stall)).await;
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).upstream(upstream.url()).start().await;
    let (old, link) = (gateway.panel_key(), ticket(&gateway.command(&["panel"]).await.stdout));
    let look = Request::get("/api/admin/health").header("Authorization", format!("Bearer {old}"));
    let mut kept = [gateway.connect().await, gateway.connect().await, Client::connect(gateway.admin_addr()).await];
    for client in &mut kept {
        assert_eq!(client.request(&look).await.status(), 200);
    }
    // Something that the old process still waits for.
    let mut stream = gateway.connect().await;
    stream.send(Request::get("/v1/x").bytes()).await;
    assert_eq!(stream.head("GET").await.status, 200);
    assert!(gateway.command(&["upgrade"]).await.status.success());
    assert_eq!(gateway.processes().len(), 2);
    assert!(gateway.command(&["panel", "--new-key"]).await.status.success());
    let [first, second, admin] = &mut kept;
    let change = Request::post("/api/admin/reload", "{}").header("Authorization", format!("Bearer {old}"));
    for (client, request) in
        [(first, &look), (second, &change.header("Content-Type", "application/json")), (admin, &look)]
    {
        let answer = client.try_request(request).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(!opens(&gateway, &old).await && opens(&gateway, &gateway.panel_key()).await);
    for _ in 0..8 {
        let over = login(&gateway, &link).await;
        assert_eq!(over.status(), 401);
        assert!(
            over.text().contains("an upgrade") && over.text().contains("anyrouter-gateway panel"),
            "{}",
            over.text()
        );
    }
}

#[tokio::test]
async fn a_reload_reads_the_file_and_makes_one_where_there_is_none() {
    let gateway = gateway().start().await;
    let first = gateway.panel_key();
    let written = "kX9vQ2mZ7pL4wR8tB6nYc1";
    std::fs::write(file(&gateway), format!("{written}\n")).expect("written");
    std::fs::set_permissions(file(&gateway), Permissions::from_mode(0o644)).expect("changed");
    assert!(gateway.command(&["reload"]).await.status.success());
    assert!(opens(&gateway, written).await && !opens(&gateway, &first).await);
    assert_eq!(mode(&gateway), 0o600, "what others could read is closed to them");
    gateway.stderr_line(0, "that it was open", |line| line.contains("others could read the panel's key")).await;
    std::fs::remove_file(file(&gateway)).expect("removed");
    assert!(gateway.command(&["reload"]).await.status.success());
    assert!(opens(&gateway, &gateway.panel_key()).await && !opens(&gateway, written).await);
}

#[tokio::test]
async fn a_key_of_the_configuration_comes_first_and_is_replaced_there() {
    let gateway = gateway().file("env/.env", "DASHBOARD_API_KEY=kX9vQ2mZ7pL4wR8tB6nY/1\n").start().await;
    assert!(!file(&gateway).exists(), "no other key is made");
    assert!(opens(&gateway, "kX9vQ2mZ7pL4wR8tB6nY/1").await);
    let output = gateway.command(&["panel"]).await;
    assert_eq!(login(&gateway, &ticket(&output.stdout)).await.status(), 204);
    let output = gateway.command(&["panel", "--new-key"]).await;
    assert!(!output.status.success() && output.stderr.contains("DASHBOARD_API_KEY"), "{}", output.stderr);
    std::fs::write(gateway.dir().join("env/.env"), "").expect("written");
    assert!(gateway.command(&["reload"]).await.status.success());
    assert!(opens(&gateway, &gateway.panel_key()).await && !opens(&gateway, "kX9vQ2mZ7pL4wR8tB6nY/1").await);
}

#[tokio::test]
async fn without_a_place_for_its_key_the_panel_stays_closed_and_requests_go_on() {
    // Not even root can make a folder there.
    let builder = gateway().env("GATEWAY_STATE_DIR", "state");
    std::os::unix::fs::symlink("/proc/nowhere", builder.dir().join("state")).expect("a link");
    let gateway = builder.start().await;
    let line = gateway.stderr_line(0, "why", |line| line.contains("the panel is closed")).await;
    assert!(line.contains("state") && line.contains("DASHBOARD_API_KEY"), "{line}");
    let session = gateway.request(&Request::get("/api/admin/session")).await.json();
    assert_eq!((session["key_is_set"].as_bool(), session["may_read"].as_bool()), (Some(false), Some(false)));
    assert_eq!(login(&gateway, "").await.status(), 401);
    assert!(!opens(&gateway, "").await);
    let output = gateway.command(&["panel"]).await;
    assert!(!output.status.success() && output.stderr.contains("the panel is closed"), "{}", output.stderr);
    std::fs::remove_file(gateway.dir().join("state")).expect("removed");
    let output = gateway.command(&["panel"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(login(&gateway, &ticket(&output.stdout)).await.status(), 204);
    assert!(opens(&gateway, &gateway.panel_key()).await);
}

#[tokio::test]
async fn without_a_gateway_there_is_no_link() {
    for command in ["panel", "reload", "upgrade"] {
        let builder = gateway();
        let folder = builder.dir().join("data/run").display().to_string();
        let output = builder.arg(command).run().await;
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", output.stdout);
        for part in ["no gateway runs here", &folder, "-c FILE", "GATEWAY_RUNTIME_DIR"] {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
    }
    // One that has ended leaves its folder.
    let mut ended = gateway().start().await;
    ended.signal(ended.pid(), "KILL");
    ended.ended().await.expect("ended");
    let output = ended.command(&["panel"]).await;
    assert!(output.stderr.contains("no gateway runs here"), "{}", output.stderr);
}

#[tokio::test]
async fn a_damaged_key_file_closes_the_panel_and_is_replaced_on_demand() {
    let builder = gateway();
    std::fs::create_dir(builder.dir().join("data")).expect("a folder");
    std::fs::set_permissions(builder.dir().join("data"), Permissions::from_mode(0o700)).expect("changed");
    std::fs::write(builder.dir().join("data/dashboard.key"), "half a k").expect("written");
    let gateway = builder.start().await;
    let output = gateway.command(&["panel"]).await;
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    for part in ["dashboard.key holds no key", "`anyrouter-gateway panel --new-key` writes a new one"] {
        assert!(output.stderr.contains(part) && !output.stderr.contains("half a k"), "{}", output.stderr);
    }
    let output = gateway.command(&["panel", "--new-key"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(login(&gateway, &ticket(&output.stdout)).await.status(), 204);
}

#[tokio::test]
async fn where_no_browser_can_be_started_the_link_is_printed() {
    let gateway = gateway().file("bin/xdg-open", "#!/bin/sh\nexit 3\n");
    let programs = gateway.dir().join("bin");
    std::fs::set_permissions(programs.join("xdg-open"), Permissions::from_mode(0o755)).expect("changed");
    let gateway = gateway.env("PATH", &programs.display().to_string()).start().await;
    let output = gateway.command(&["panel", "--open"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr.trim(), "No browser can be started here: open this link in one.");
    assert_eq!(login(&gateway, &ticket(&output.stdout)).await.status(), 204);
}

#[tokio::test]
async fn the_browser_is_given_such_a_link() {
    let gateway = gateway().file("bin/xdg-open", "#!/bin/sh\necho \"$1\" >\"$OPENED\"\n");
    let (opened, programs) = (gateway.dir().join("opened"), gateway.dir().join("bin"));
    std::fs::set_permissions(programs.join("xdg-open"), Permissions::from_mode(0o755)).expect("changed");
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let gateway = gateway.env("PATH", &path).env("OPENED", &opened.display().to_string()).start().await;
    let output = gateway.command(&["panel", "--open"]).await;
    assert!(output.status.success() && output.stdout.is_empty(), "{} {}", output.stdout, output.stderr);
    let link = within("the browser", async {
        loop {
            match std::fs::read_to_string(&opened) {
                Ok(link) if link.ends_with('\n') => return link,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!(login(&gateway, &ticket(&link)).await.status(), 204);
}

#[tokio::test]
async fn a_key_that_can_be_guessed_is_warned_of_in_check_log_and_panel() {
    let gateway = gateway().env("DASHBOARD_API_KEY", "my-secret-password").start().await;
    let is_told = |text: &str| text.contains("gateway.dashboard.api_key: this key can be guessed");
    gateway.stderr_line(0, "the warning", is_told).await;
    let check = gateway.command(&["check"]).await;
    assert!(is_told(&check.stderr) && !check.stderr.contains("my-secret-password"), "{}", check.stderr);
    let config = gateway.request(&gateway.as_admin(Request::get("/api/admin/config"))).await.json();
    assert!(config["warnings"].as_array().expect("warnings").iter().any(|it| is_told(&it["message"].to_string())));
}

#[tokio::test]
async fn the_panels_cookie_goes_to_no_upstream() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    for (sent, arrives) in [
        ("a=b; gateway_session=1.x.y; c=d", ["a=b; c=d"].as_slice()),
        ("gateway_session=1.x.y; c=d", &["c=d"]),
        ("__Secure-gateway_session=1.x.y", &[]),
        ("a=b;c=d; not_gateway_session=1", &["a=b;c=d; not_gateway_session=1"]),
    ] {
        let request = Request::get("/v1/models").header("Cookie", sent);
        assert_eq!(gateway.request(&request).await.status(), 200);
        assert_eq!(upstream.last().headers.all("cookie"), arrives, "{sent}");
    }
}
