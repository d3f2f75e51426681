//! Configuration files with several upstreams.

use std::fmt::Write;

use crate::{Port, Received, Reply, Request, Upstream};

/// A configuration file's text in the making: upstreams, and settings beside them.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    upstreams: Vec<String>,
    settings: String,
    failover: Vec<String>,
}

impl Pool {
    /// No upstream yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an upstream; those added first are preferred.
    pub fn add(self, name: &str, url: impl AsRef<str>) -> Self {
        self.add_with(name, url, "")
    }

    /// Adds an upstream with more keys, such as `weight: 3, http: 2`. With `priority` among them the order of
    /// adding means nothing.
    pub fn add_with(mut self, name: &str, url: impl AsRef<str>, more: &str) -> Self {
        let mut entry = format!("name: \"{name}\", base_url: \"{}\"", url.as_ref());
        if !more.contains("priority:") {
            let _ = write!(entry, ", priority: {}", self.upstreams.len());
        }
        if !more.is_empty() {
            let _ = write!(entry, ", {more}");
        }
        self.upstreams.push(entry);
        self
    }

    /// Adds lines under `gateway:`, such as `failover: { max_attempts: 2 }`.
    pub fn setting(mut self, lines: &str) -> Self {
        for line in lines.lines() {
            let _ = writeln!(self.settings, "  {line}");
        }
        self
    }

    /// Adds settings of `gateway.failover`, such as `max_attempts: 2`.
    pub fn failover(mut self, settings: &str) -> Self {
        self.failover.push(settings.to_owned());
        self
    }

    /// No number of retries is too many.
    pub fn generous(self) -> Self {
        self.failover("retry_budget: 100%, retry_budget_min: 1000")
    }

    /// No failure has consequences for later requests: for tests of what happens to one.
    pub fn forgetful(self) -> Self {
        self.generous().setting("health: { failures: 1000, error_rate: 100%, min_requests: 1000000 }")
    }

    /// The file's text.
    pub fn yaml(&self) -> String {
        let upstreams: String = self.upstreams.iter().map(|entry| format!("    - {{ {entry} }}\n")).collect();
        let mut text = format!("grace_period_seconds: 1\ngateway:\n  upstreams:\n{upstreams}{}", self.settings);
        if !self.failover.is_empty() {
            let _ = writeln!(text, "  failover: {{ {} }}", self.failover.join(", "));
        }
        text
    }
}

/// A small `POST /v1/messages` of this session.
pub fn ask(session: impl std::fmt::Display) -> Request {
    let body = r#"{"model":"claude-opus-4-8","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    Request::post("/v1/messages", body)
        .header("Content-Type", "application/json")
        .header("x-api-key", "sk-client")
        .header("X-Claude-Code-Session-Id", session.to_string())
}

/// A mock that answers every request by its own name.
pub async fn named(name: &'static str) -> Upstream {
    Upstream::start(move |_| Reply::json(format!("{{\"from\":\"{name}\"}}"))).await
}

/// As [`named`], on a port that stays its own while it is stopped. Connections end with each answer: whether one that
/// was kept died in time for the next request would be luck.
pub async fn named_on(port: &Port, name: &'static str) -> Upstream {
    let reply = move |_: &Received| Reply::json(format!("{{\"from\":\"{name}\"}}")).header("Connection", "close");
    Upstream::builder().start_on(port.number(), reply).await.expect("a reserved port")
}

/// The failure of an upstream that tells its name.
pub fn failing(status: u16, name: &str) -> Reply {
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"x\",\"message\":\"{status} of {name}\"}}}}");
    Reply::status(status).header("Content-Type", "application/json").body(body)
}
