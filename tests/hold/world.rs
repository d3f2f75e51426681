//! The gateway under test, its relays, and what is known of them from outside.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Client, Gateway, Output, Port, Request, Upstream, within};
use serde_json::Value;

use crate::plan::{MODEL, PRICES, UPSTREAMS};
use crate::relay::{self, KEY, Notes};
use crate::rows::Log;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
/// The time-outs of the configuration: a relay that says nothing costs so much.
const TIMEOUTS: &str = "connect: 2s, first_byte: 4s, first_event: 4s, read: 4s";
/// How far the ledger of limits and the log may differ: it reckons in floating point when it tells dollars.
const EPSILON_USD: f64 = 1e-6;

/// No request is taken for more: half as much again as the dearest plan, and its longest prompt written to the cache.
const MOST_USD: f64 = 1.0;

/// Everything that runs.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) token: String,
    pub(crate) notes: Notes,
    pub(crate) log: Log,
    relays: Vec<(Port, Upstream)>,
}

impl World {
    /// Starts relays and gateway, and issues a token.
    pub(crate) async fn start() -> Self {
        let notes = Notes::default();
        let relays = relay::start(&notes).await;
        let gateway = Gateway::builder(BINARY)
            .yaml(&yaml(&relays))
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
        Self { gateway, token, notes, log, relays }
    }

    /// The ledger and the request log have the same sum, but for what so many requests took whose response told no usage:
    /// that is charged, and the row has no cost.
    pub(crate) async fn compare_sums(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let said = said(self.gateway.command(&["usage", "--json"]).await);
            let usage: Value = serde_json::from_str(&said).expect("JSON");
            let used = usage[0]["used"].as_f64().expect("what is used");
            let held = usage[0]["held"].as_f64().unwrap_or_default();
            let (logged, untold) = (self.log.cost() as f64 / 1e9, self.log.untold());
            let may_be_more = untold as f64 * MOST_USD + EPSILON_USD;
            if (-EPSILON_USD..=may_be_more).contains(&(used - logged)) && held == 0.0 {
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
        let stderr = self.gateway.stderr();
        wrong.extend(stderr.lines().filter(|line| line.contains("panicked")).map(|line| format!("stderr: {line}")));
        wrong.extend(self.relays.iter().flat_map(|(_, relay)| relay::malformed(relay)));
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
fn yaml(relays: &[(Port, Upstream)]) -> String {
    let upstreams: String = relays
        .iter()
        .zip(UPSTREAMS)
        .map(|((_, relay), name)| {
            format!("    - {{ name: {name}, base_url: \"{}\", api_key: \"${{env.RELAY_KEY}}\" }}\n", relay.url())
        })
        .collect();
    let [input, output, written, read] = PRICES.map(|price| price as f64 / 1_000.0);
    format!(
        "grace_period_seconds: 1\ngateway:\n  upstreams:\n{upstreams}  team: {{ require_token: true }}\n  \
         timeouts: {{ {TIMEOUTS} }}\n  failover: {{ retry_budget: 100%, retry_budget_min: 1000 }}\n  \
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
