//! The unit under a real systemd, booted in namespaces of its own; where that is not allowed, nothing is tested.

use harness::{Client, Load, Port, Reply, Request, Step, Upstream, anthropic};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than the script waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Signs(PathBuf);

impl Signs {
    fn give(&self, name: &str) {
        std::fs::write(self.0.join(name), "").expect("written");
    }

    /// Waits for a sign of the script; `false` when the script has ended without it.
    async fn wait(&self, name: &str, script: &mut std::process::Child) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.0.join(name).exists() {
                return true;
            }
            if script.try_wait().expect("its state").is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

/// In a network of its own: everything is at its usual address.
#[test]
fn install_service_brings_everything_along_undoes_what_fails_and_is_removed() {
    let alone = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if !alone.is_ok_and(|status| status.success()) {
        println!("skipped: no network of its own");
        return;
    }
    let script = "ip link set lo up && exec tests/systemd/boot.sh tests/systemd/install.sh \"$1\"";
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_anyrouter-gateway")])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("the script starts");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.code() {
        Some(97) => println!("skipped: {}", said.trim()),
        code => assert_eq!(code, Some(0), "{said}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_reload_crash_and_stop() {
    let anthropic =
        anthropic::handler_with(anthropic::Options { gap: Duration::from_millis(200), ..Default::default() });
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/last" => Reply::sse().bytes("data: a\n\n").step(Step::Sleep(Duration::from_secs(2))).bytes("data: end\n\n"),
        _ => anthropic(request),
    })
    .await;
    // Namespaces see this folder, not another /tmp.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (listen, admin) = (Port::free(), Port::free());
    let configuration = folder.path().join("gateway.yaml");
    let text = format!(
        "gateway:\n  listen: {}\n  admin_listen: {}\n  upstreams: [{{name: a, base_url: \"{}\"}}]\n",
        listen.addr(),
        admin.addr(),
        upstream.url()
    );
    std::fs::write(&configuration, text).expect("written");
    let signs = Signs(folder.path().to_owned());
    let output = std::fs::File::create(folder.path().join("output")).expect("a file");
    let mut script = Command::new("tests/systemd/boot.sh")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .arg("tests/systemd/life.sh")
        .arg(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .args([&configuration, folder.path()])
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("a file"))
        .stdout(output)
        .spawn()
        .expect("the script starts");
    let said = || std::fs::read_to_string(folder.path().join("output")).unwrap_or_default();

    if !signs.wait("started", &mut script).await {
        let status = script.wait().expect("its end");
        assert_eq!(status.code(), Some(97), "{}", said());
        println!("skipped: {}", said().trim());
        return;
    }
    let load = Load::start(listen.addr(), 3, 20);
    upstream.wait_received(20).await;
    signs.give("load");
    assert!(signs.wait("reloaded", &mut script).await, "{}", said());
    let tally = load.stop().await;
    assert_eq!(tally.failures, [] as [String; 0], "{}", said());
    assert!(tally.requests > 100 && tally.streams >= 20, "{tally:?}");
    signs.give("unloaded");
    assert!(signs.wait("restarted", &mut script).await, "{}", said());
    let mut last = Client::connect(listen.addr()).await;
    last.send(Request::get("/last").bytes()).await;
    assert_eq!(last.head("GET").await.status, 200);
    signs.give("streaming");
    last.piece_until("data: end").await;
    assert!(signs.wait("stopped", &mut script).await, "{}", said());
    assert!(script.wait().expect("its end").success(), "{}", said());
    println!("{} requests and {} streams over 4 upgrades; {}", tally.requests, tally.streams, said());
}
