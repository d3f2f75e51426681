//! What to set in the clients so that they use this gateway.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Stands for the key, which is never printed.
const KEY: &str = "sk-your-key";
/// The gateway is on this machine: a proxy must not come between.
const NO_PROXY: &str = "127.0.0.1,::1,localhost";

/// The variables that Claude Code needs.
#[derive(Debug)]
pub(super) struct ClientSettings(Vec<(&'static str, String)>);

impl ClientSettings {
    /// For a gateway that listens at `listen`; `has_proxy` says whether the environment sends clients through a proxy.
    pub(super) fn new(listen: SocketAddr, has_proxy: bool) -> Self {
        let mut variables = vec![("ANTHROPIC_BASE_URL", base_url(listen)), ("ANTHROPIC_AUTH_TOKEN", KEY.to_owned())];
        if has_proxy {
            variables.push(("NO_PROXY", NO_PROXY.to_owned()));
        }
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
        let env: serde_json::Map<String, Value> =
            self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "env": env })
    }

    /// `settings.json` of VS Code, for the Claude Code extension.
    pub(super) fn vs_code(&self) -> Value {
        let variables: Vec<Value> =
            self.0.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "claudeCode.environmentVariables": variables })
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
    fn all_three_forms_say_the_same() {
        let settings = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), true);
        let shell = settings.shell();
        let (claude, code) = (settings.claude_code(), settings.vs_code());
        for (at, (name, value)) in settings.0.iter().enumerate() {
            assert!(shell.contains(&format!("export {name}={value}\n")), "{shell}");
            assert_eq!(claude["env"][name], *value);
            assert_eq!(code["claudeCode.environmentVariables"][at], json!({"name": name, "value": value}));
        }
        let plain = ClientSettings::new("127.0.0.1:8088".parse().expect("an address"), false);
        assert!(!plain.shell().contains("PROXY"));
    }
}
