//! Configuration files with several upstreams.

use std::fmt::Write;

/// A configuration file's text in the making: upstreams, and settings beside them.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    upstreams: Vec<String>,
    settings: String,
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

    /// Failures are forgotten and retries cost nothing: for tests of what happens to one request.
    pub fn forgetful(self) -> Self {
        self.setting("health: { failures: 100000, error_rate: 100%, min_requests: 100000 }")
    }

    /// The file's text.
    pub fn yaml(&self) -> String {
        let upstreams: String = self.upstreams.iter().map(|entry| format!("    - {{ {entry} }}\n")).collect();
        format!("grace_period_seconds: 1\ngateway:\n  upstreams:\n{upstreams}{}", self.settings)
    }
}
