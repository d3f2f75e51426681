//! Other users of the machine get nothing of the gateway, and root's commands give it no rights. Root alone can play other
//! users: for others there is nothing to test.

use harness::{Client, Gateway, GatewayBuilder, Load, Reply, Request, Upstream, anthropic, within};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Users that no system has.
const OTHER: u32 = 54_321;
const GATEWAY: u32 = 54_322;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

fn is_root() -> bool {
    let is_root = Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0);
    if !is_root {
        println!("skipped: only root can play other users");
    }
    is_root
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: impl AsRef<Path>) -> u32 {
    path.as_ref().metadata().expect("there").mode() & 0o7777
}

fn size(name: &str, small: usize) -> usize {
    std::env::var(name).map_or(small, |value| value.parse().expect("a number"))
}

fn status(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn serving(gateway: &Gateway) -> u32 {
    let pid = std::fs::read_to_string(gateway.dir().join("data/run/gateway.pid")).expect("a pid file");
    pid.trim().parse().expect("a number")
}

/// Not a test: what another user runs. It asks for the sockets wherever there is something to connect to, as a successor
/// and as one that says nothing, and tells what it got.
#[test]
#[ignore = "another test starts it"]
fn intruder() {
    let Some(folder) = std::env::var_os("INTRUDER_FOLDER").map(PathBuf::from) else { return };
    println!("tries");
    let mut silent = Vec::new();
    loop {
        for name in ["control.sock", "upgrade.sock"] {
            let Ok(mut stream) = UnixStream::connect(folder.join(name)) else { continue };
            println!("connected to {name}");
            let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
            let mut answer = [0; 200];
            if stream.write_all(b"\"succeed\"\n").is_ok()
                && let Ok(read @ 1..) = stream.read(&mut answer)
            {
                println!("heard {}", String::from_utf8_lossy(&answer[..read]));
            }
            silent.truncate(50);
            silent.insert(0, stream);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Intruder(std::process::Child, std::sync::Arc<std::sync::Mutex<String>>);

impl Intruder {
    fn start(gateway: &Gateway) -> Self {
        let program = gateway.dir().join("intruder");
        std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
        let mut child = Command::new(&program)
            .args(["intruder", "--exact", "--ignored", "--nocapture"])
            .env_clear()
            .env("INTRUDER_FOLDER", gateway.dir().join("data/run"))
            .uid(OTHER)
            .gid(OTHER)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the intruder starts");
        let stdout = child.stdout.take().expect("its stdout");
        let said = std::sync::Arc::<std::sync::Mutex<String>>::default();
        let gathered = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut said = gathered.lock().expect("no panic");
                if said.len() < 10_000 {
                    *said += &format!("{line}\n");
                }
            }
        });
        Self(child, said)
    }

    fn said(&self) -> String {
        self.1.lock().expect("no panic").clone()
    }

    async fn says(&self, wanted: &str) {
        within(wanted, async {
            while !self.said().contains(wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_who_races_for_the_sockets_under_load_gets_nothing() {
    if !is_root() {
        return;
    }
    let (upgrades, streams) = (size("GATEWAY_TEST_UPGRADES", 3), size("GATEWAY_TEST_STREAMS", 20));
    let options = anthropic::Options { gap: Duration::from_millis(100), ..Default::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    // Everybody may come as far as to the gateway's own folders.
    set_mode(gateway.dir(), 0o755);
    let intruder = Intruder::start(&gateway);
    intruder.says("tries").await;
    let load = Load::start(gateway.addr(), 4, streams);
    let mut before = serving(&gateway);
    for at in 0..=upgrades {
        if at == upgrades {
            // Even where the rights of files do not keep it out, it is not listened to.
            for (path, open) in [("data", 0o755), ("data/run", 0o755), ("data/run/control.sock", 0o666)] {
                set_mode(gateway.dir().join(path), open);
            }
            intruder.says("connected to control.sock").await;
        }
        let output = gateway.command(&["upgrade"]).await;
        assert!(output.status.success(), "{output:?}\n{}", intruder.said());
        let now = serving(&gateway);
        assert_ne!(now, before);
        before = now;
        let seen = upstream.received().len();
        upstream.wait_received(seen + streams).await;
    }
    let tally = load.stop().await;
    assert_eq!(tally.failures, [] as [String; 0]);
    let said = intruder.said();
    assert!(!said.contains("heard"), "{said}");
    assert!(!said.contains("upgrade.sock"), "{said}");
    println!("{} upgrades: {} requests, {} streams, no failure", upgrades + 1, tally.requests, tally.streams);
}

#[tokio::test]
async fn root_upgrades_the_gateway_of_another_user_as_that_user() {
    if !is_root() {
        return;
    }
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let yaml =
        format!("gateway:\n  upstreams: [{{base_url: \"{}\", api_key: \"${{env.RELAY_KEY}}\"}}]\n", upstream.url());
    let gateway = gateway()
        .yaml(&yaml)
        .env("RELAY_KEY", "sk-relay")
        .env("LD_PRELOAD", "/nowhere/evil.so")
        .env("SOME_SECRET", "of another program")
        .user(GATEWAY)
        .start()
        .await;
    let old = serving(&gateway);
    let from = gateway.stderr_lines();
    let output = gateway.command(&["upgrade"]).await;
    assert!(output.status.success(), "{output:?}\n{}", gateway.stderr());
    let new = serving(&gateway);
    assert_ne!(new, old);
    let all = [GATEWAY; 4].map(|id| id.to_string()).join(" ");
    assert_eq!((status(new, "Uid:"), status(new, "Gid:")), (all.clone(), all));
    assert_eq!(status(new, "Groups:"), "");
    assert_eq!(status(new, "CapEff:"), "0000000000000000");
    let environment = std::fs::read(format!("/proc/{new}/environ")).expect("root may");
    let names: Vec<_> = environment
        .split(|&byte| byte == 0)
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"RELAY_KEY") && names.contains(&"LISTEN") && names.contains(&"PATH"), "{names:?}");
    assert!(!names.contains(&"LD_PRELOAD") && !names.contains(&"SOME_SECRET"), "{names:?}");
    assert_eq!(gateway.request(&Request::get("/health")).await.status(), 200);
    // Its log goes where the old one's goes, though that one is root's to open.
    gateway.stderr_line(from, "the new process's log", |line| line.contains("listens on http://")).await;
}

#[tokio::test]
async fn the_folders_are_the_gateways_alone() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let builder = gateway().upstream(upstream.url());
    std::fs::create_dir_all(builder.dir().join("data/run")).expect("made");
    for path in ["data", "data/run"] {
        set_mode(builder.dir().join(path), 0o755);
    }
    let gateway = builder.start().await;
    assert_eq!((mode(gateway.dir().join("data")), mode(gateway.dir().join("data/run"))), (0o700, 0o700));
    assert_eq!(mode(gateway.dir().join("data/run/control.sock")), 0o600);

    let refused = async |prepare: &dyn Fn(&Path), folder: &str, why: &str| {
        let builder = self::gateway().upstream("http://127.0.0.1:9").env("GATEWAY_STATE_DIR", folder);
        prepare(builder.dir());
        let died = builder.try_start().await.err().expect("it does not start");
        assert!(died.stderr.contains("gateway.state_dir") && died.stderr.contains(why), "{}", died.stderr);
    };
    refused(&|dir| set_mode(dir, 0o755), ".", "name a folder of its own, such as ./anyrouter-gateway").await;
    refused(&|_| (), "/tmp", "such as /tmp/anyrouter-gateway").await;
    if is_root() {
        let foreign = |dir: &Path| {
            std::fs::create_dir(dir.join("data")).expect("made");
            std::os::unix::fs::chown(dir.join("data"), Some(OTHER), None).expect("changed");
        };
        refused(&foreign, "data", "`chown -R 0 data`").await;
    }
}

#[tokio::test]
async fn the_users_other_programs_cannot_read_the_gateways_memory() {
    if !is_root() {
        return;
    }
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "a-key-of-the-panel").user(GATEWAY);
    let gateway = gateway.start().await;
    let read = |path: &str| {
        let mut command = Command::new("cat");
        let read = command.arg(format!("/proc/{}/{path}", gateway.pid())).uid(GATEWAY).gid(GATEWAY).output();
        read.expect("cat runs").status.success()
    };
    assert!(read("stat"), "that is for everybody");
    assert!(!read("environ") && !read("maps"), "these are not");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).expect("root may");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    // What the process says of itself is still there.
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    for name in ["process_open_fds", "process_resident_memory_bytes"] {
        assert!(metrics.contains(&format!("\n{name} ")), "{name}");
    }
    assert!(gateway.command(&["reload"]).await.status.success());
}
