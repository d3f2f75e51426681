//! What to set in the clients so that they use this gateway.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Stands for the key, which is never printed.
pub(super) const KEY: &str = "sk-your-key";
/// A proxy must not come between a client and the gateway on the same machine.
const NO_PROXY: &str = "127.0.0.1,::1,localhost";
/// Stands for what is not known here: the address under which others reach the gateway. The panel has the same.
pub(super) const ADDRESS: &str = "ADDRESS-OF-THE-GATEWAY";

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
type Variables = Vec<(&'static str, String)>;

/// What to set in the clients.
#[derive(Debug)]
pub(super) struct ClientSettings {
    /// On the gateway's machine.
    here: Variables,
    /// On the machines of a team.
    team: Variables,
    listen: SocketAddr,
}

impl ClientSettings {
    /// For a gateway that listens at `listen`; `has_proxy` says whether the environment sends clients through a proxy.
    pub(super) fn new(listen: SocketAddr, has_proxy: bool) -> Self {
        let variables = |host: String, key: Option<&str>| {
            let mut variables = vec![("ANTHROPIC_BASE_URL", format!("http://{host}:{}", listen.port()))];
            variables.extend(key.map(|key| (KEY_NAME, key.to_owned())));
            if has_proxy {
                let host = host.trim_matches(['[', ']']);
                let is_named = NO_PROXY.split(',').any(|named| named == host);
                variables.push(("NO_PROXY", if is_named { NO_PROXY.to_owned() } else { format!("{NO_PROXY},{host}") }));
            }
            variables.extend(CHOICES.map(|choice| (choice.name, choice.value.to_owned())));
            variables
        };
        // Everybody's key is their own: it has no place in a file that all have.
        Self { here: variables(host_here(listen), Some(KEY)), team: variables(host_of_team(listen), None), listen }
    }

    /// Whether [`ADDRESS`] stands in the settings of a team.
    pub(super) fn lacks_address(&self) -> bool {
        host_of_team(self.listen) == ADDRESS
    }

    /// Whether nobody but this machine reaches the gateway.
    pub(super) fn is_for_this_machine(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Lines for a shell.
    pub(super) fn shell(&self) -> String {
        exports(&self.here)
    }

    /// The same without what is a choice.
    pub(super) fn needed(&self) -> String {
        exports(self.here.iter().filter(|(name, _)| !CHOICES.iter().any(|choice| choice.name == *name)))
    }

    /// `~/.claude/settings.json`
    pub(super) fn claude_code(&self) -> Value {
        env(&self.here)
    }

    /// `managed-settings.json`, which all of a team have: without a key, and with an address for other machines.
    pub(super) fn managed(&self) -> Value {
        env(&self.team)
    }

    /// `settings.json` of VS Code, for the Claude Code extension.
    pub(super) fn vs_code(&self) -> Value {
        let variables: Vec<Value> =
            self.here.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "claudeCode.disableLoginPrompt": true, "claudeCode.environmentVariables": variables })
    }
}

fn exports<'v>(variables: impl IntoIterator<Item = &'v (&'static str, String)>) -> String {
    let mut lines = String::new();
    for (name, value) in variables {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "export {name}={value}");
    }
    lines
}

fn env(variables: &Variables) -> Value {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    json!({ "env": env.collect::<serde_json::Map<String, Value>>() })
}

/// Where clients on the same machine find the gateway.
fn host_here(listen: SocketAddr) -> String {
    host(match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    })
}

/// Where clients on other machines find it.
fn host_of_team(listen: SocketAddr) -> String {
    let ip = listen.ip();
    if ip.is_loopback() || ip.is_unspecified() { ADDRESS.to_owned() } else { host(ip) }
}

fn host(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_an_address_that_they_can_connect_to() {
        let local = "127.0.0.1,::1,localhost";
        let beside = |host: &str| format!("{local},{host}");
        for (listen, here, of_team) in [
            ("127.0.0.1:8088", "127.0.0.1:8088", "ADDRESS-OF-THE-GATEWAY:8088"),
            ("127.0.0.2:8088", "127.0.0.2:8088", "ADDRESS-OF-THE-GATEWAY:8088"),
            ("0.0.0.0:80", "127.0.0.1:80", "ADDRESS-OF-THE-GATEWAY:80"),
            ("[::]:8088", "[::1]:8088", "ADDRESS-OF-THE-GATEWAY:8088"),
            ("192.0.2.7:1", "192.0.2.7:1", "192.0.2.7:1"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1", "[2001:db8::7]:1"),
        ] {
            let settings = ClientSettings::new(listen.parse().expect("an address"), true);
            assert_eq!(settings.claude_code()["env"]["ANTHROPIC_BASE_URL"], format!("http://{here}"));
            let team = settings.managed();
            assert_eq!(team["env"]["ANTHROPIC_BASE_URL"], format!("http://{of_team}"));
            assert_eq!(settings.lacks_address(), of_team.starts_with(ADDRESS));
            let host = of_team.rsplit_once(':').expect("a port").0.trim_matches(['[', ']']);
            assert_eq!(team["env"]["NO_PROXY"], beside(host), "no proxy comes between");
        }
        let settings = ClientSettings::new("0.0.0.0:80".parse().expect("an address"), true);
        assert_eq!(settings.claude_code()["env"]["NO_PROXY"], local);
    }

    #[test]
    fn all_forms_say_the_same_but_for_the_key_and_the_address_of_a_team() {
        let settings = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), true);
        let shell = settings.shell();
        let (claude, code, managed) = (settings.claude_code(), settings.vs_code(), settings.managed());
        for (at, (name, value)) in settings.here.iter().enumerate() {
            assert!(shell.contains(&format!("export {name}={value}\n")), "{shell}");
            assert_eq!(claude["env"][name], *value);
            assert_eq!(managed["env"].get(name).is_some(), *name != KEY_NAME);
            assert_eq!(code["claudeCode.environmentVariables"][at], json!({"name": name, "value": value}));
        }
        let needed = "export ANTHROPIC_BASE_URL=http://127.0.0.1:8088\nexport ANTHROPIC_AUTH_TOKEN=sk-your-key\n";
        assert_eq!(settings.needed(), format!("{needed}export NO_PROXY=127.0.0.1,::1,localhost\n"));
        let plain = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), false);
        assert_eq!(plain.needed(), needed);
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
        assert!(page.contains(&format!("'{ADDRESS}'")));
    }
}
