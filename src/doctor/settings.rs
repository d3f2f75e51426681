//! What to set in the clients so that they use this gateway.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Stands for the key, which is never printed.
const KEY: &str = "sk-your-key";
/// The gateway is on this machine: a proxy must not come between.
const NO_PROXY: &str = "127.0.0.1,::1,localhost";

/// A setting of Claude Code that makes more of a gateway.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Choice {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub value: &'static str,
    /// What it brings.
    #[serde(rename = "brings")]
    pub brings_en: &'static str,
    /// The same in Chinese.
    pub brings_zh: &'static str,
}

/// As Claude Code 2.1.330 and its documentation have them, read on 2026-11-27. The panel's connect page has the same.
pub(super) const CHOICES: [Choice; 5] = [
    Choice {
        name: "ENABLE_TOOL_SEARCH",
        value: "true",
        brings_en: "Tools of MCP servers are looked up when needed, not sent with every request: shorter prompts. Leave it \
                    out where the relay refuses it (400 or 429).",
        brings_zh: "MCP 工具用到时才查找，不再随每个请求发送，提示词更短。如果中转站不接受（400 或 429），请去掉这一项。",
    },
    Choice {
        name: "CLAUDE_CODE_GATEWAY_HINT_HEADERS",
        value: "1",
        brings_en: "Claude Code (2.1.273 and newer) says what each request is for: statistics and rules by it.",
        brings_zh: "Claude Code（2.1.273 及以上版本）说明每个请求的用途，统计和规则可以据此区分。",
    },
    Choice {
        name: "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY",
        value: "1",
        brings_en: "/model offers the models that the gateway lists (2.1.129 and newer).",
        brings_zh: "/model 中会列出网关提供的模型（2.1.129 及以上版本）。",
    },
    Choice {
        name: "API_TIMEOUT_MS",
        value: "1200000",
        brings_en: "Claude Code waits 20 minutes for a response, not 10: for slow relays, and what is not streamed.",
        brings_zh: "Claude Code 等待响应 20 分钟（默认 10 分钟），适合较慢的中转站和非流式响应。",
    },
    Choice {
        name: "CLAUDE_STREAM_IDLE_TIMEOUT_MS",
        value: "600000",
        brings_en: "A stream may be silent for 10 minutes, not 5, as the gateway lets it (timeouts.read); at most 30.",
        brings_zh: "流式响应可以静默 10 分钟（默认 5 分钟，最多 30 分钟），与网关相同（timeouts.read）。",
    },
];

/// Where Claude Code looks for the settings of a team: the system and the file.
pub(super) const MANAGED_PATHS: [(&str, &str); 3] = [
    ("Linux, WSL", "/etc/claude-code/managed-settings.json"),
    ("macOS", "/Library/Application Support/ClaudeCode/managed-settings.json"),
    ("Windows", r"C:\Program Files\ClaudeCode\managed-settings.json"),
];

/// The variable of the key: everybody has an own one.
const KEY_NAME: &str = "ANTHROPIC_AUTH_TOKEN";

/// The variables that Claude Code is to have.
#[derive(Debug)]
pub(super) struct ClientSettings(Vec<(&'static str, String)>);

impl ClientSettings {
    /// For a gateway that listens at `listen`; `has_proxy` says whether the environment sends clients through a proxy.
    pub(super) fn new(listen: SocketAddr, has_proxy: bool) -> Self {
        let mut variables = vec![("ANTHROPIC_BASE_URL", base_url(listen)), (KEY_NAME, KEY.to_owned())];
        if has_proxy {
            variables.push(("NO_PROXY", NO_PROXY.to_owned()));
        }
        variables.extend(CHOICES.map(|choice| (choice.name, choice.value.to_owned())));
        Self(variables)
    }

    /// Lines for a shell.
    pub(super) fn shell(&self) -> String {
        let mut lines = String::new();
        for (name, value) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "export {name}={value}");
        }
        lines
    }

    /// `~/.claude/settings.json`
    pub(super) fn claude_code(&self) -> Value {
        self.env(|_| true)
    }

    /// `managed-settings.json`, which all of a team have: without a key.
    pub(super) fn managed(&self) -> Value {
        self.env(|name| name != KEY_NAME)
    }

    fn env(&self, is_wanted: impl Fn(&str) -> bool) -> Value {
        let wanted = self.0.iter().filter(|(name, _)| is_wanted(name));
        let env: serde_json::Map<String, Value> =
            wanted.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "env": env })
    }

    /// `settings.json` of VS Code, for the Claude Code extension.
    pub(super) fn vs_code(&self) -> Value {
        let variables: Vec<Value> =
            self.0.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "claudeCode.disableLoginPrompt": true, "claudeCode.environmentVariables": variables })
    }
}

/// The gateway's URL for clients on the same machine.
fn base_url(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    format!("http://{listen}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_an_address_that_they_can_connect_to() {
        for (listen, url) in [
            ("127.0.0.1:8088", "http://127.0.0.1:8088"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8088", "http://[::1]:8088"),
            ("192.0.2.7:1", "http://192.0.2.7:1"),
        ] {
            assert_eq!(base_url(listen.parse().expect("an address")), url);
        }
    }

    #[test]
    fn all_forms_say_the_same_but_for_the_key_that_a_team_does_not_share() {
        let settings = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), true);
        let shell = settings.shell();
        let (claude, code, managed) = (settings.claude_code(), settings.vs_code(), settings.managed());
        for (at, (name, value)) in settings.0.iter().enumerate() {
            assert!(shell.contains(&format!("export {name}={value}\n")), "{shell}");
            assert_eq!(claude["env"][name], *value);
            assert_eq!(managed["env"].get(name), Some(&json!(value)).filter(|_| *name != KEY_NAME));
            assert_eq!(code["claudeCode.environmentVariables"][at], json!({"name": name, "value": value}));
        }
        let plain = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), false);
        assert!(!plain.shell().contains("PROXY"));
    }

    #[test]
    fn the_connect_page_of_the_panel_has_the_same_settings_and_places() {
        let page = include_str!("../../static/src/lib/client_samples.ts");
        for Choice { name, value, .. } in CHOICES {
            assert!(page.contains(&format!("{{ name: '{name}', value: '{value}',")), "{name}");
        }
        for (system, path) in MANAGED_PATHS {
            let path = path.replace('\\', r"\\");
            assert!(page.contains(&format!("{{ system: '{system}', path: '{path}' }}")), "{path}");
        }
        assert_eq!(page.matches("{ name: '").count(), CHOICES.len());
    }
}
