//! The gateway under test, its relays, and what is known of them from outside.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::{Beside, Client, Gateway, Output, Port, Request, Upstream, within};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::plan::{MODEL, PRICES, UPSTREAMS};
use crate::relay::{self, KEY, Notes};
use crate::road::Road;
use crate::rows::Log;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
/// The time-outs of the configuration: a relay that says nothing costs so much.
const TIMEOUTS: &str = "first_byte: 4s, first_event: 4s, read: 4s";
/// How far the ledger of limits and the log may differ: it reckons in floating point when it tells dollars.
const EPSILON_USD: f64 = 1e-6;

/// No request is taken for more: half as much again as the dearest plan, and its longest prompt written to the cache.
pub(crate) const MOST_USD: f64 = 1.0;

/// Everything that runs.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) token: String,
    pub(crate) notes: Notes,
    pub(crate) log: Log,
    /// The roads to the relays, ...
    pub(crate) roads: Vec<Road>,
    /// ... and whether they were ever not open.
    pub(crate) were_troubled: [bool; UPSTREAMS.len()],
    /// In dollars: by how much the ledger and the log may differ since the gateway was killed.
    pub(crate) excused: f64,
    /// The processes that were started after a kill.
    again: Mutex<Vec<Beside>>,
    relays: Vec<(Port, Upstream)>,
}

impl World {
    /// Starts relays and gateway, and issues a token.
    pub(crate) async fn start() -> Self {
        let notes = Notes::default();
        let relays = relay::start(&notes).await;
        let roads: Vec<Road> = relays.iter().map(|(_, relay)| Road::to(relay.addr())).collect();
        let gateway = Gateway::builder(BINARY)
            .yaml(&yaml(&roads, 2))
            .env("RELAY_KEY", KEY)
            .env("GATEWAY_DB", "data/gateway.db")
            .start()
            .await;
        said(gateway.command(&["user", "create", "--name", "alice"]).await);
        let issue = ["token", "create", "--user", "alice", "--json", "--limit", "usd:total:1000000"];
        let issued: Value = serde_json::from_str(&said(gateway.command(&issue).await)).expect("JSON");
        let token = issued["token"].as_str().expect("a token").to_owned();
        let path = gateway.dir().join("data/gateway.db");
        within("the request log", async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let log = Log::open(&path);
        Self {
            gateway,
            token,
            notes,
            log,
            roads,
            were_troubled: [false; UPSTREAMS.len()],
            excused: 0.0,
            again: Mutex::default(),
            relays,
        }
    }

    /// Writes a configuration with this time-out, to be loaded.
    pub(crate) fn configure(&self, connect_seconds: u64) {
        self.write(&yaml(&self.roads, connect_seconds));
    }

    /// Writes one with a mistake in it; what was there before.
    pub(crate) fn misconfigure(&self) -> String {
        let right = std::fs::read_to_string(self.gateway.dir().join("gateway.yaml")).expect("the configuration");
        self.write(&format!("{right}  limits: {{ queue: many }}\n"));
        right
    }

    /// Writes this configuration.
    pub(crate) fn write(&self, yaml: &str) {
        std::fs::write(self.gateway.dir().join("gateway.yaml"), yaml).expect("written");
    }

    /// The gateway's process; its open files and threads, and the memory that it has, in kilobytes.
    pub(crate) fn holdings(&self) -> (u32, [u64; 3]) {
        let process = *self.gateway.processes().last().expect("the gateway");
        let folder = format!("/proc/{process}");
        let count = |what: &str| std::fs::read_dir(format!("{folder}/{what}")).map_or(0, |files| files.count() as u64);
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        (process, [count("fd"), count("task"), resident.unwrap_or_default()])
    }

    /// Kills the gateway and starts it again; when it was not there.
    pub(crate) async fn kill_and_start(&self) -> (Instant, Instant) {
        let killed = Instant::now();
        for pid in self.gateway.processes() {
            self.gateway.signal(pid, "KILL");
        }
        within("its end", async {
            while !self.gateway.processes().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.again().push(self.gateway.start_again());
        within("it to serve again", async {
            loop {
                if let Ok(tcp) = TcpStream::connect(self.gateway.addr()).await {
                    let health = Client::over(tcp).try_request(&Request::get("/health")).await;
                    if health.is_ok_and(|answer| answer.status() == 200) {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        (killed, Instant::now())
    }

    fn again(&self) -> std::sync::MutexGuard<'_, Vec<Beside>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger and the request log have the same sum, but for what so many requests took whose response told no usage:
    /// that is charged, and the row has no cost. Where the gateway was killed, rows are missing, and what was held is charged.
    pub(crate) async fn compare_sums(&self) -> Vec<String> {
        let excused = self.excused + EPSILON_USD;
        let began = Instant::now();
        loop {
            let said = said(self.gateway.command(&["usage", "--json"]).await);
            let usage: Value = serde_json::from_str(&said).expect("JSON");
            let used = usage[0]["used"].as_f64().expect("what is used");
            let held = usage[0]["held"].as_f64().unwrap_or_default();
            let (logged, untold) = (self.log.cost() as f64 / 1e9, self.log.untold());
            let may_be_more = untold as f64 * MOST_USD + excused;
            if (-excused..=may_be_more).contains(&(used - logged)) && held == 0.0 {
                return Vec::new();
            }
            if began.elapsed() > Duration::from_secs(10) {
                return vec![format!("the ledger has {used} (held {held}), the log {logged} and {untold} rows untold")];
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What must never be written, in what the gateway wrote; panics; a log that is damaged.
    pub(crate) fn looked_through(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let stderr: String =
            std::iter::once(self.gateway.stderr()).chain(self.again().iter().map(Beside::text)).collect();
        wrong.extend(stderr.lines().filter(|line| line.contains("panicked")).map(|line| format!("stderr: {line}")));
        let relays = self.relays.iter().zip(self.were_troubled);
        wrong.extend(relays.flat_map(|((_, relay), was_troubled)| relay::malformed(relay, was_troubled)));
        let mut look = |name: String, bytes: &[u8]| {
            for (what, secret) in [("the token", &*self.token), ("the relay's key", KEY)] {
                if bytes.windows(secret.len()).any(|part| part == secret.as_bytes()) {
                    wrong.push(format!("{what} is in {name}"));
                }
            }
        };
        look("stderr".to_owned(), stderr.as_bytes());
        each_file(&self.gateway.dir().join("data"), &mut look);
        if !self.log.is_sound() {
            wrong.push("the request log is damaged".to_owned());
        }
        wrong
    }
}

fn each_file(folder: &Path, look: &mut impl FnMut(String, &[u8])) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("a kind of file");
        if kind.is_dir() {
            each_file(&entry.path(), look);
        } else if kind.is_file() {
            look(entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap_or_default());
        }
    }
}

/// The configuration.
fn yaml(roads: &[Road], connect_seconds: u64) -> String {
    let upstreams: String = roads
        .iter()
        .zip(UPSTREAMS)
        .map(|(road, name)| {
            format!("    - {{ name: {name}, base_url: \"{}\", api_key: \"${{env.RELAY_KEY}}\" }}\n", road.url())
        })
        .collect();
    let [input, output, written, read] = PRICES.map(|price| price as f64 / 1_000.0);
    format!(
        "grace_period_seconds: 60\ngateway:\n  upstreams:\n{upstreams}  team: {{ require_token: true }}\n  \
         timeouts: {{ connect: {connect_seconds}s, {TIMEOUTS} }}\n  failover: {{ retry_budget: 100%, retry_budget_min: 1000 }}\n  \
         health: {{ open: 100ms, open_max: 1s }}\n  prices:\n    - {{ models: [{MODEL}], input: {input}, \
         output: {output}, cache_write: {written}, cache_read: {read} }}\n"
    )
}

/// What a command that works prints.
#[track_caller]
pub(crate) fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}

/// What `/metrics` says.
pub(crate) async fn text_of_metrics(gateway: &Gateway) -> String {
    Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text()
}
