//! The command line.

use crate::config::{Arguments, EffectiveSetting, Loaded, profile};
use crate::doctor;
use clap::{Parser, Subcommand};
use std::fmt::Write as _;
use std::path::PathBuf;

/// A programmable gateway between Claude Code and an Anthropic-compatible relay.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Configuration file; without it GATEWAY_CONFIG, conf/gateway.yaml, or the built-in defaults.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// Address of the gateway, host:port.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address of the admin service, host:port.
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// Take the listening sockets over from a running gateway.
    #[arg(long)]
    pub upgrade: bool,
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check the configuration and print what is in force, with the source of each value.
    Check,
    /// Show what the rules would make of a request, and why, without sending it.
    Explain(ExplainOptions),
    /// Try each upstream step by step, say what is wrong and what to do, and print the settings for Claude Code.
    Doctor(doctor::Options),
}

/// The request to explain.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainOptions {
    /// File with the head of the request; without it, that of a usual Messages request.
    #[arg(long, value_name = "HEAD")]
    pub head: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// File with the body of the request, or - for standard input.
    #[arg(value_name = "BODY.json")]
    pub body: PathBuf,
}

impl Cli {
    /// What the command line says about the configuration.
    pub fn arguments(&self) -> Arguments {
        let flags = [("gateway.listen", &self.listen), ("gateway.admin_listen", &self.admin_listen)];
        Arguments {
            file: self.config.clone(),
            overrides: flags.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))).collect(),
        }
    }
}

/// The effective configuration as a table: key, value, source.
pub fn report(loaded: &Loaded) -> String {
    let mut text = format!("# anyrouter-gateway {}, configuration: {}\n", env!("CARGO_PKG_VERSION"), loaded.path);
    let width = |get: fn(&EffectiveSetting) -> &str, most: usize| {
        loaded.effective.iter().map(|setting| get(setting).chars().count()).max().unwrap_or_default().min(most)
    };
    let (key_width, value_width) = (width(|setting| &setting.key, 60), width(|setting| &setting.value, 40));
    for setting in &loaded.effective {
        let value = if setting.value.is_empty() { "(not set)" } else { &setting.value };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:key_width$}  {:value_width$}  {}", setting.key, value, setting.source);
    }
    for upstream in &loaded.config.upstreams {
        let profile = profile::switched(upstream.profile, &upstream.profile_rules).unwrap_or_default();
        let rules = loaded
            .config
            .first_rules
            .iter()
            .chain(&profile)
            .chain(&loaded.config.rules)
            .chain(&loaded.config.last_rules);
        let names: Vec<&str> = rules.map(|rule| rule.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let _ = writeln!(text, "rules for upstream {}: {names}", upstream.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["anyrouter-gateway", "-c", "f", "--listen", "127.0.0.1:1"]);
        assert_eq!(cli.arguments().overrides, [("gateway.listen", "127.0.0.1:1".to_owned())]);
        assert!(matches!(Cli::parse_from(["anyrouter-gateway", "check", "-c", "f"]).command, Some(Command::Check)));
    }
}
