//! Other users of the machine get nothing of the gateway, and root's commands give it no rights. Root alone can play other
//! users: for others there is nothing to test.

use harness::{Client, Gateway, GatewayBuilder, Load, Reply, Request, Upstream, anthropic, within};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
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

/// Not a test: what another user runs in the place of the gateway. It claims rights that it does not have, and hands over an
/// environment that would run its own library; what it is asked, it tells.
#[test]
#[ignore = "another test starts it"]
fn liar() {
    let Some(folder) = std::env::var_os("LIAR_FOLDER").map(PathBuf::from) else { return };
    let claim: Value = serde_json::from_str(&std::env::var("LIAR_CLAIM").expect("a claim")).expect("JSON");
    let listener = UnixListener::bind(folder.join("run/control.sock")).expect("bound");
    println!("listens");
    for stream in listener.incoming().map_while(Result::ok) {
        let mut question = String::new();
        let _ = BufReader::new(&stream).read_line(&mut question);
        println!("asked {}", question.trim());
        let answer = match question.trim() {
            "\"status\"" => json!({"status": {
                "pid": std::process::id(), "version": "0.1.0", "arguments": [], "folder": folder, "addresses": [],
                "has_systemd": false, "is_draining": false, "busy": 0,
            }}),
            "\"inherit\"" => json!({"inheritance": {"user": claim, "environment": {
                "LD_PRELOAD": folder.join("evil.so"), "PATH": "/usr/bin:/bin", "LISTEN": "127.0.0.1:1",
            }}}),
            _ => json!({"refused": ["enough"]}),
        };
        let _ = (&stream).write_all(format!("{answer}\n").as_bytes());
    }
}

/// A program of another user.
struct Stranger(std::process::Child, std::sync::Arc<std::sync::Mutex<String>>);

impl Stranger {
    /// Starts what one of the functions above does, from a folder that the other user may come to.
    fn start(role: &str, folder: &Path, variables: &[(&str, &OsStr)]) -> Self {
        let program = folder.join(role);
        std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
        let mut child = Command::new(&program)
            .args([role, "--exact", "--ignored", "--nocapture"])
            .env_clear()
            .envs(variables.iter().copied())
            .uid(OTHER)
            .gid(OTHER)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other user's program starts");
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

impl Drop for Stranger {
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
    let run = gateway.dir().join("data/run");
    let intruder = Stranger::start("intruder", gateway.dir(), &[("INTRUDER_FOLDER", run.as_os_str())]);
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

/// What root's `upgrade` makes of a program of another user at the control socket of that user's folder, which claims to be
/// this user: what the command says, what the liar says, and what the new process was, if there was one.
async fn upgrade_of_a_liar(claim: Value) -> (String, String, Option<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o755);
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("run")).expect("made");
    for path in [data.clone(), data.join("run")] {
        std::os::unix::fs::chown(&path, Some(OTHER), Some(OTHER)).expect("changed");
        set_mode(&path, 0o700);
    }
    let program = folder.path().join("new-program");
    std::fs::write(&program, "#!/bin/sh\n(id -u; id -g; id -G; env) >started\n").expect("written");
    set_mode(&program, 0o755);
    let variables = [("LIAR_FOLDER", data.clone().into_os_string()), ("LIAR_CLAIM", claim.to_string().into())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_os_str()));
    let liar = Stranger::start("liar", folder.path(), &variables);
    liar.says("listens").await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_anyrouter-gateway"));
    command.args(["upgrade", "--program"]).arg(&program).current_dir(folder.path()).env_clear().kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = within("the command's end", command.output()).await.expect("it runs");
    assert!(!output.status.success(), "{output:?}");
    liar.says("asked \"inherit\"").await;
    let started = std::fs::read_to_string(data.join("started")).ok();
    (String::from_utf8_lossy(&output.stderr).into_owned(), liar.said(), started)
}

#[tokio::test]
async fn root_believes_nobody_who_claims_more_rights_than_he_has() {
    if !is_root() {
        return;
    }
    for (claim, why) in [
        (json!({"user": 0, "group": 0, "groups": []}), "claims to be user 0"),
        (json!({"user": 0, "group": OTHER, "groups": []}), "claims to be user 0"),
        (json!({"user": GATEWAY, "group": OTHER, "groups": []}), "claims to be user 54322"),
        (json!({"user": OTHER, "group": 0, "groups": []}), "with group 0, which the user database does not give"),
        (json!({"user": OTHER, "group": 42, "groups": [OTHER]}), "with group 42, which the user database"),
        (json!({"user": OTHER, "group": OTHER, "groups": [42]}), "with group 42, which the user database"),
    ] {
        let (told, liar, started) = upgrade_of_a_liar(claim.clone()).await;
        assert!(told.contains(why), "{claim}: {told}");
        assert!(!told.contains("evil.so") && !liar.contains("hand_over"), "{claim}: {told}{liar}");
        assert_eq!(started, None, "{claim}: {told}");
    }
    // Who tells the truth gets a process of its own rights, and none of the dynamic linker's variables.
    let (told, liar, started) = upgrade_of_a_liar(json!({"user": OTHER, "group": OTHER, "groups": []})).await;
    let started = started.unwrap_or_else(|| panic!("nothing was started: {told}{liar}"));
    assert!(started.starts_with(&format!("{OTHER}\n{OTHER}\n{OTHER}\n")), "{started}");
    assert!(started.contains("LISTEN=127.0.0.1:1") && !started.contains("LD_PRELOAD"), "{started}");
    assert!(!told.contains("evil.so"), "{told}");
}

#[test]
fn a_library_that_cannot_be_loaded_is_complained_of() {
    // The test above would see it, if the variable were used.
    let mut program = Command::new(env!("CARGO_BIN_EXE_anyrouter-gateway"));
    let output = program.arg("--version").env("LD_PRELOAD", "/nowhere/evil.so").output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("evil.so"), "{output:?}");
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
