//! A new process takes over: nothing is dropped, and whatever goes wrong, somebody serves.

use harness::{Authority, Client, Gateway, GatewayBuilder, Load, Reply, Request, Upstream, anthropic, within};
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");

fn gateway() -> GatewayBuilder {
    Gateway::builder(BINARY)
}

/// Small for every run; `make upgrade-load` sets the full numbers.
fn size(name: &str, small: usize) -> usize {
    std::env::var(name).map_or(small, |value| value.parse().expect("a number"))
}

async fn rows(path: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
    let mut connection = options.connect().await.expect("the file opens");
    let sql = "SELECT COUNT(*) FROM requests WHERE path LIKE '/v1/%'";
    sqlx::query(sql).fetch_one(&mut connection).await.expect("a count").get(0)
}

/// The process that serves now; by then it takes commands too.
async fn serving(gateway: &Gateway) -> u32 {
    within("a pid file", async {
        loop {
            match std::fs::read_to_string(gateway.dir().join("data/run/gateway.pid")) {
                Ok(pid) => return pid.trim().parse().expect("a number"),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

async fn start(builder: GatewayBuilder) -> Gateway {
    let gateway = builder.start().await;
    serving(&gateway).await;
    gateway
}

async fn is_fine(gateway: &Gateway) {
    let answer = gateway.request(&Request::get("/health")).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_under_load_drop_nothing_and_count_everything_once() {
    let (upgrades, streams) = (size("GATEWAY_TEST_UPGRADES", 2), size("GATEWAY_TEST_STREAMS", 20));
    let options = anthropic::Options { gap: Duration::from_millis(250), ..Default::default() };
    let upstream = Upstream::start(anthropic::handler_with(options)).await;
    let mut gateway = start(gateway().upstream(upstream.url()).env("GATEWAY_DB", "data/gateway.db")).await;
    let load = Load::start(gateway.addr(), 4, streams);
    upstream.wait_received(streams).await;
    let mut before = serving(&gateway).await;
    for _ in 0..upgrades {
        let output = gateway.command(&["upgrade"]).await;
        assert!(output.status.success(), "{output:?}");
        let now = serving(&gateway).await;
        assert_ne!(now, before, "{output:?}");
        before = now;
        // Each one with requests of its own, begun before and after it.
        let seen = upstream.received().len();
        upstream.wait_received(seen + streams).await;
    }
    // The last predecessor ends while the load goes on.
    let left = gateway.wait_processes(1).await;
    assert_eq!(left, [before]);
    let tally = load.stop().await;
    assert_eq!(tally.failures, [] as [String; 0]);
    gateway.signal(before, "TERM");
    gateway.wait_processes(0).await;
    let total = tally.requests + tally.streams;
    println!("{upgrades} upgrades: {} requests, {} streams, no failure", tally.requests, tally.streams);
    assert!(tally.streams as usize >= streams && tally.requests > 100, "{tally:?}");
    assert_eq!(rows(&gateway.dir().join("data/gateway.db")).await, i64::try_from(total).expect("few"));
    let run = gateway.dir().join("data/run");
    assert!(!run.join("gateway.pid").exists() && !run.join("control.sock").exists());
}

/// Busy with other processes' work, so that who runs first is a matter of luck.
fn beside_busy_threads<T>(work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when the work panics, or the threads would be waited for without end.
        let _over = OnDrop(&over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        work()
    })
}

/// Sets it when dropped.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[should_panic(expected = "as it should")]
fn busy_threads_end_with_the_work_whatever_becomes_of_it() {
    beside_busy_threads(|| panic!("as it should"));
}

/// What is answered on a new connection.
fn ask(address: SocketAddr) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream.write_all(b"GET /number HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_the_new_process_reaches_it() {
    let upstream = Upstream::start(anthropic::handler()).await;
    let text = |number: usize| {
        format!(
            "gateway:\n  upstreams: [{{name: a, base_url: '{}'}}]\n  rules:\n    - name: number\n      \
             match: {{path: [/number]}}\n      respond: {{status: 200, body: 'number {number}'}}\n",
            upstream.url()
        )
    };
    let gateway = start(gateway().yaml(&text(0))).await;
    let (pid_file, address) = (gateway.dir().join("data/run/gateway.pid"), gateway.addr());
    for number in 1..=size("GATEWAY_TEST_UPGRADES", 2) {
        let before = serving(&gateway).await.to_string();
        std::fs::write(gateway.dir().join("gateway.yaml"), text(number)).expect("written");
        let pid_file = pid_file.clone();
        let asked = tokio::task::spawn_blocking(move || {
            beside_busy_threads(|| {
                let deadline = Instant::now() + Duration::from_secs(60);
                while std::fs::read_to_string(&pid_file).is_ok_and(|pid| pid.trim() == before) {
                    assert!(Instant::now() < deadline, "no new process");
                }
                [(); 4].map(|()| ask(address))
            })
        });
        let output = gateway.command(&["upgrade"]).await;
        assert!(output.status.success(), "{output:?}");
        let answers = asked.await.expect("asked");
        for answer in answers {
            assert!(answer.ends_with(&format!("number {number}")), "{answer}");
        }
    }
}

#[tokio::test]
async fn without_a_successor_sigquit_is_refused() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let pid = gateway.pid();
    gateway.signal(pid, "QUIT");
    let line = gateway.stderr_line(0, "a refusal", |line| line.contains("SIGQUIT is not obeyed")).await;
    assert!(line.contains("no new process waits") && line.contains("anyrouter-gateway upgrade"), "{line}");
    is_fine(&gateway).await;
}

#[tokio::test]
async fn a_successor_started_by_hand_takes_over_at_sigquit() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let old = gateway.pid();
    let load = Load::start(gateway.addr(), 2, 0);
    let by_hand = gateway.spawn(&["--upgrade"]);
    by_hand.line("ready").await;
    is_fine(&gateway).await;
    assert_eq!(serving(&gateway).await, old, "it waits to be told");
    gateway.signal(old, "QUIT");
    by_hand.line(&format!("serving {}", by_hand.pid())).await;
    assert_eq!(serving(&gateway).await, by_hand.pid());
    is_fine(&gateway).await;
    assert_eq!(load.stop().await.failures, [] as [String; 0]);
}

/// A line of the control socket.
async fn say(stream: &mut UnixStream, line: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).await.expect("sent");
}

async fn control(gateway: &Gateway) -> BufReader<UnixStream> {
    let path = gateway.dir().join("data/run/control.sock");
    BufReader::new(UnixStream::connect(path).await.expect("connected"))
}

async fn heard(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    within("a line of the control socket", stream.read_line(&mut line)).await.expect("read");
    line.trim().to_owned()
}

/// One that waits for the sockets, and has them after SIGQUIT.
async fn successor_with_sockets(gateway: &Gateway) -> BufReader<UnixStream> {
    let mut successor = control(gateway).await;
    say(successor.get_mut(), "\"succeed\"").await;
    assert_eq!(heard(&mut successor).await, "\"waiting\"");
    gateway.signal(gateway.pid(), "QUIT");
    assert_eq!(heard(&mut successor).await, "\"sockets\"");
    successor
}

#[tokio::test]
async fn a_successor_that_does_not_serve_costs_nothing() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let load = Load::start(gateway.addr(), 2, 0);
    let pid = gateway.pid();
    for (what, why) in [
        ("dies", "does not serve"),
        ("lies", "something else"),
        ("serves, and dies", "serves no more"),
        ("stays silent", "did not say"),
    ] {
        let from = gateway.stderr_lines();
        let mut successor = successor_with_sockets(&gateway).await;
        match what {
            "dies" => drop(successor),
            "lies" => say(successor.get_mut(), "\"yours\" \"yours\"").await,
            "serves, and dies" => {
                // The old process finds both at once: its loops pause, and have to go on.
                gateway.signal(pid, "STOP");
                say(successor.get_mut(), "serving").await;
                drop(successor);
                gateway.signal(pid, "CONT");
            }
            // Others are served, and asked to wait, in the meantime.
            _ => {
                is_fine(&gateway).await;
                let refused = gateway.command(&["upgrade"]).await;
                assert!(refused.stderr.contains("is not serving"), "{refused:?}");
                assert!(gateway.command(&["reload"]).await.status.success());
                assert_eq!(heard(&mut successor).await, "", "the connection is closed in the end");
            }
        }
        gateway.stderr_line(from, what, |line| line.contains("goes on serving") && line.contains(why)).await;
        assert_eq!(serving(&gateway).await, pid, "{what}");
        is_fine(&gateway).await;
    }
    assert!(gateway.command(&["upgrade"]).await.status.success());
    assert_ne!(serving(&gateway).await, pid);
    assert_eq!(load.stop().await.failures, [] as [String; 0]);
}

#[tokio::test]
async fn silent_clients_of_the_control_socket_keep_nobody_out() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut one = control(&gateway).await;
        one.get_mut().write_all(b"\"rel").await.expect("sent");
        silent.push(one);
    }
    let mut long = control(&gateway).await;
    let _ = long.get_mut().write_all("x".repeat(100_000).as_bytes()).await;
    assert!(gateway.command(&["reload"]).await.status.success());
    // The one that was silent for the longest made room. What it had sent was not read.
    let mut line = String::new();
    let closed = within("the first one to be closed", silent[0].read_line(&mut line)).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{line}");
}

#[tokio::test]
async fn who_sees_the_gateway_can_give_it_commands() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    for _ in 0..size("GATEWAY_TEST_STARTS", 12) {
        // It has answered on /health when this returns.
        let gateway = gateway().upstream(upstream.url()).start().await;
        let output = gateway.command(&["reload"]).await;
        assert!(output.status.success(), "{output:?}");
        assert!(gateway.dir().join("data/run/gateway.pid").exists());
    }
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_leaves_the_old_process_serving() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = gateway()
        .yaml(&format!("gateway:\n  upstreams: [{{base_url: \"{}\"}}]\n", upstream.url()))
        .env("GATEWAY_DB", "data/db/gateway.db");
    let gateway = start(gateway).await;
    let pid = gateway.pid();
    let refused = async |output: harness::Output, why: &str| {
        assert!(!output.status.success() && output.stderr.contains(why), "{why}: {output:?}");
        assert!(output.stderr.contains(&format!("process {pid} goes on serving")), "{output:?}");
        assert_eq!((serving(&gateway).await, gateway.processes()), (pid, vec![pid]));
        is_fine(&gateway).await;
    };
    let file = gateway.dir().join("gateway.yaml");
    let good = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, format!("{good}  lissten: 1\n")).expect("written");
    refused(gateway.command(&["upgrade"]).await, "gateway.yaml:3:3: unknown key").await;
    std::fs::write(&file, format!("{good}  language: zh\n  lissten: 1\n")).expect("written");
    let told = gateway.command(&["upgrade"]).await.stderr;
    let why = "错误：新进程已退出（退出码 1）：gateway.yaml:4:3: 没有“gateway.lissten”这个键";
    assert!(told.contains(why) && told.contains(&format!("；进程 {pid} 继续服务")), "{told}");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").and_then(|other| other.local_addr().map(|at| (other, at)));
    let (_other, busy) = busy.expect("a port");
    let authority = Authority::new();
    let leaf = authority.leaf(&["gateway.test"]);
    let tls = format!("{{listen: \"{busy}\", cert: \"{}\", key: \"{}\"}}", leaf.cert.display(), leaf.key.display());
    std::fs::write(&file, format!("{good}  tls: {tls}\n")).expect("written");
    refused(gateway.command(&["upgrade"]).await, "in use").await;
    std::fs::write(&file, &good).expect("written");
    for (script, why) in [("exit 3", "exit status: 3"), ("echo ready; exit 0", "no new process waits")] {
        let broken = gateway.dir().join("broken");
        std::fs::write(&broken, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("executable");
        refused(gateway.command(&["upgrade", "--program", "broken"]).await, why).await;
    }
    // Where the folder of the request log should be, there is a file.
    // It may have been made already, or not yet: a row waits for a second.
    let _ = std::fs::rename(gateway.dir().join("data/db"), gateway.dir().join("data/away"));
    std::fs::write(gateway.dir().join("data/db"), "in the way").expect("written");
    refused(gateway.command(&["upgrade"]).await, "gateway.database").await;
    std::fs::remove_file(gateway.dir().join("data/db")).expect("removed");
    let output = gateway.command(&["upgrade"]).await;
    assert!(output.status.success(), "{output:?}");
    is_fine(&gateway).await;
}

#[tokio::test]
async fn a_full_disk_refuses_the_upgrade() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url()).env("GATEWAY_DB", "data/db/gateway.db")).await;
    std::fs::create_dir_all(gateway.dir().join("data/db")).expect("a folder");
    // Only the new process sees the small disk in the place of the folder.
    let script = "mount -t tmpfs -o size=16k tmpfs data/db || { echo no mounts; exit 97; }; exec \"$0\" upgrade";
    let binary = gateway.binary().display().to_string();
    let output = gateway.command_by(Path::new("unshare"), &["--mount", "sh", "-c", script, &binary]).await;
    if output.stdout.contains("no mounts") || output.stderr.contains("unshare failed") {
        println!("skipped: no namespaces or mounts are allowed here");
        return;
    }
    assert!(!output.status.success() && output.stderr.contains("gateway.database"), "{output:?}");
    assert_eq!(gateway.processes(), [gateway.pid()]);
    is_fine(&gateway).await;
}

#[tokio::test]
async fn of_two_upgrades_at_once_one_is_done_and_the_service_goes_on() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let load = Load::start(gateway.addr(), 2, 0);
    let (one, two) = tokio::join!(gateway.command(&["upgrade"]), gateway.command(&["upgrade"]));
    let refused: Vec<_> = [&one, &two].into_iter().filter(|output| !output.status.success()).collect();
    assert_eq!(refused.len(), 1, "{one:?} {two:?}");
    assert!(refused[0].stderr.contains("another upgrade is under way"), "{refused:?}");
    is_fine(&gateway).await;
    assert_eq!(load.stop().await.failures, [] as [String; 0]);
}

/// An answer that goes on for so long that only a drain's end can end it.
async fn endless() -> Upstream {
    Upstream::start(|request| match request.target.as_str() {
        "/endless" => Reply::sse().bytes("data: a\n\n").step(harness::Step::Sleep(Duration::from_secs(600))),
        _ => Reply::ok("fine"),
    })
    .await
}

#[tokio::test]
async fn a_process_that_drains_says_so_and_obeys() {
    let upstream = endless().await;
    let gateway = gateway()
        .yaml(&format!("gateway:\n  drain: {{stop: 300ms}}\n  upstreams: [{{base_url: \"{}\"}}]\n", upstream.url()));
    let mut gateway = start(gateway).await;
    for signal in ["TERM", "INT"] {
        let old = serving(&gateway).await;
        let mut stream = gateway.connect().await;
        stream.send(Request::get("/endless").bytes()).await;
        assert_eq!(stream.head("GET").await.status, 200);
        let output = gateway.command(&["upgrade"]).await;
        assert!(output.status.success() && output.stdout.contains(&format!("process {old} finishes")), "{output:?}");
        assert_eq!(gateway.processes().len(), 2);
        let told = gateway.dir().join(format!("data/run/draining-{old}.json"));
        within("it says that it drains", async {
            while !std::fs::read_to_string(&told).is_ok_and(|text| text.contains("\"busy\":1")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // The new one counts the old one.
        within("the metrics show the old process", async {
            loop {
                let mut admin = Client::connect(gateway.admin_addr()).await;
                let metrics = admin.request(&Request::get("/metrics")).await.text();
                if metrics.contains("\ngateway_predecessors 1\n") {
                    assert!(metrics.contains("\ngateway_predecessors_busy 1\n"), "{metrics}");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // The stream would go on for minutes.
        let began = Instant::now();
        gateway.signal(old, signal);
        let left = gateway.wait_processes(1).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{signal}: {:?}", began.elapsed());
        assert_eq!(left, [serving(&gateway).await], "the new one is not concerned");
        assert!(!told.exists());
        is_fine(&gateway).await;
    }
}

#[tokio::test]
async fn kept_connections_of_a_draining_process_are_told_to_go_elsewhere() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = start(gateway().upstream(upstream.url())).await;
    let boot_id = async |client: &mut Client| {
        let answer = client.request(&Request::get("/health")).await;
        (answer.json()["boot_id"].clone(), answer.header("connection"))
    };
    let (mut kept, mut idle) = (gateway.connect().await, gateway.connect().await);
    let (old, connection) = boot_id(&mut kept).await;
    assert_eq!((boot_id(&mut idle).await.0, connection.as_deref()), (old.clone(), Some("keep-alive")));
    let mut admin = Client::connect(gateway.admin_addr()).await;
    assert_eq!(admin.request(&Request::get("/readyz")).await.status(), 200);
    assert!(gateway.command(&["upgrade"]).await.status.success());
    let (id, connection) = boot_id(&mut kept).await;
    assert_eq!((id, connection.as_deref()), (old.clone(), Some("close")));
    let ready = admin.request(&Request::get("/readyz")).await;
    assert_eq!((ready.status(), ready.text().trim()), (503, "draining"));
    assert_eq!(idle.closed().await, b"", "closed without a word, once the old process listens no more");
    let ready = Client::connect(gateway.admin_addr()).await.request(&Request::get("/readyz")).await;
    assert_eq!(ready.status(), 200);
    assert_ne!(boot_id(&mut gateway.connect().await).await.0, old);
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_does_not_wait_any_longer() {
    let upstream = Upstream::start(|_| {
        Reply::sse().bytes("data: a\n\n").step(harness::Step::Sleep(Duration::from_millis(700))).bytes("data: b\n\n")
    })
    .await;
    let mut gateway = start(gateway().upstream(upstream.url())).await;
    let mut idle = gateway.connect().await;
    assert_eq!(idle.request(&Request::get("/health")).await.status(), 200);
    let mut stream = gateway.connect().await;
    stream.send(Request::get("/v1/x").bytes()).await;
    assert_eq!(stream.head("GET").await.status, 200);
    let began = Instant::now();
    gateway.signal(gateway.pid(), "TERM");
    assert_eq!(idle.closed().await, b"", "an idle connection is closed without a word");
    stream.piece_until("data: b").await;
    assert!(gateway.ended().await.expect("ended").success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "ended with its last request, not after ten seconds: {took:?}");
}

#[tokio::test]
async fn a_stop_has_its_limit_and_an_interrupt_none() {
    let upstream = endless().await;
    for (signal, at_least) in [("TERM", 500), ("INT", 0)] {
        let gateway = gateway().yaml(&format!(
            "gateway:\n  drain: {{stop: 500ms}}\n  upstreams: [{{base_url: \"{}\"}}]\n",
            upstream.url()
        ));
        let mut gateway = start(gateway).await;
        let mut stream = gateway.connect().await;
        stream.send(Request::get("/endless").bytes()).await;
        assert_eq!(stream.head("GET").await.status, 200);
        let began = Instant::now();
        gateway.signal(gateway.pid(), signal);
        assert!(gateway.ended().await.expect("ended").success());
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(at_least) && took < Duration::from_secs(5), "{signal}: {took:?}");
    }
}
