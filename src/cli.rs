//! The command line.

mod chinese;
pub(crate) mod limits;
pub(crate) mod team;

use crate::config::{Arguments, EffectiveSetting, Loaded, headers, problem, profile};
use crate::doctor;
use crate::install;
use crate::language::{padded, say, told};
use crate::operate::{panel, recost};
use crate::tryout;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gateway_core::language::Language;
use gateway_core::redact::shapes;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A programmable gateway between Claude Code and an Anthropic-compatible relay.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
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
pub(crate) enum Command {
    /// Check the configuration and print what is in force, with the source of each value.
    Check(CheckOptions),
    /// Show what the rules would make of a request, and why, without sending it.
    Explain(ExplainOptions),
    /// Try each upstream step by step, say what is wrong and what to do, and print the settings for Claude Code.
    Doctor(doctor::Options),
    /// Send one small message through the running gateway, with the key in a variable, and say where it ended.
    Try(tryout::Options),
    /// Show what models cost, since when, and who says so.
    Prices(PricesOptions),
    /// Have the running gateway load its configuration anew; says what is wrong if it refuses.
    Reload,
    /// Replace the running gateway by this program, without dropping a request.
    Upgrade(UpgradeOptions),
    /// Print a link that logs in to the panel of the running gateway, once.
    Panel(panel::Options),
    /// Make the costs of past requests anew with the prices in force, and the sums over them.
    Recost(recost::Options),
    /// Add, list, suspend and resume users, whose client tokens the gateway issues.
    User(team::UserOptions),
    /// Add and list groups of users.
    Group(team::GroupOptions),
    /// Issue, list, show, rotate and revoke client tokens.
    Token(team::TokenOptions),
    /// Set, list and take away limits of tokens, users and groups.
    Limit(limits::LimitOptions),
    /// Show what is used of limits, what is left, and when they begin again.
    Usage(limits::UsageOptions),
    /// Make the gateway of this folder a service of systemd: program, unit, settings and data; says what it does.
    InstallService(install::Options),
    /// Ask the running gateway whether it is well: for container health checks.
    Healthcheck,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Note for the service where its variables stand: its unit calls this as root.
    #[command(hide = true)]
    NoteEnvironment {
        /// The file of variables.
        file: PathBuf,
    },
}

/// What `check` prints.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckOptions {
    /// Print the values of the headers file too, which may be keys.
    #[arg(long)]
    pub show_headers: bool,
}

/// What `prices` shows.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PricesOptions {
    /// Only what this model costs, under whatever form of its name: exits with 1 if it has no price.
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
}

/// The program to upgrade to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpgradeOptions {
    /// Start this program, such as the last version that worked, instead of the one that this command belongs to.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// The request to explain.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExplainOptions {
    /// File with the head of the request; without it, that of a usual Messages request.
    #[arg(long, value_name = "HEAD")]
    pub head: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show the values of headers as they would go out, keys too, which are masked otherwise.
    #[arg(long)]
    pub show_values: bool,
    /// Say which rule for errors would decide about an upstream's response, and what would follow, in place of a request: a
    /// file with status line, fields and body, or only a body.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["head", "show_values", "body"])]
    pub response: Option<PathBuf>,
    /// The status of that response, if the file has none.
    #[arg(long, value_name = "STATUS", requires = "response", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: Option<u16>,
    /// The upstream that sends it; without it, the first one.
    #[arg(long, value_name = "NAME", requires = "response")]
    pub upstream: Option<String>,
    /// File with the body of the request, or - for standard input; without it, the last request that was kept as a whole
    /// (gateway.log.capture), or else a sample that is built in.
    #[arg(value_name = "BODY.json")]
    pub body: Option<PathBuf>,
}

impl ExplainOptions {
    /// The same with its files where they are seen from `folder`.
    pub(crate) fn below(&self, folder: &Path) -> Self {
        let below = |path: &PathBuf| if path.as_os_str() == "-" { path.clone() } else { folder.join(path) };
        Self { head: self.head.as_ref().map(below), body: self.body.as_ref().map(below), ..self.clone() }
    }
}

impl Cli {
    /// Reads the command line, with help in this language; ends the process if it cannot be read.
    pub(crate) fn read(language: Language) -> Self {
        let command = match language {
            Language::English => Self::command(),
            Language::Chinese => chinese::of(Self::command()),
        };
        let read = command.try_get_matches().and_then(|found| Self::from_arg_matches(&found));
        read.unwrap_or_else(|error| match chinese::wrong(&error).filter(|_| language == Language::Chinese) {
            Some(text) => {
                eprintln!("{text}");
                std::process::exit(error.exit_code())
            }
            None => error.exit(),
        })
    }

    /// What the command line says about the configuration.
    pub(crate) fn arguments(&self) -> Arguments {
        let flags = [("gateway.listen", &self.listen), ("gateway.admin_listen", &self.admin_listen)];
        Arguments {
            file: self.config.clone(),
            overrides: flags.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))).collect(),
            variable_names: std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
            environment_file: None,
        }
    }
}

/// Completions for a shell, as the text of a file for it.
pub(crate) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut text);
    text
}

/// The manual page: the command, each of its subcommands, and where things are.
///
/// # Errors
/// None: it is written to memory.
pub(crate) fn manual() -> std::io::Result<Vec<u8>> {
    let (command, mut text) = (Cli::command(), Vec::new());
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    text.extend_from_slice(b".SH COMMANDS\n");
    describe(&command, "", &mut text)?;
    text.extend_from_slice(MANUAL_END.as_bytes());
    Ok(text)
}

/// The subcommands of a command of this name, and theirs.
fn describe(command: &clap::Command, of: &str, text: &mut Vec<u8>) -> std::io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let name = format!("{of}{}", subcommand.get_name());
        writeln!(text, ".TP\n\\fB{name}\\fR\n{about}")?;
        for argument in subcommand.get_arguments().filter(|argument| !argument.is_global_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let name = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.get_value_names().map_or_else(String::new, |names| names.join(" ")),
            };
            writeln!(text, ".br\n\\fB{name}\\fR: {help}")?;
        }
        describe(subcommand, &format!("{name} "), text)?;
    }
    Ok(())
}

/// What clap does not know.
const MANUAL_END: &str = "\
.SH SIGNALS
.TP
SIGHUP
Load the configuration anew; one with a mistake is refused, and the log says why.
.TP
SIGQUIT
Hand the listening sockets to a new process that waits for them; refused if there is none.
.TP
SIGTERM
Finish the running requests (gateway.drain.stop), then end.
.TP
SIGINT
End at once.
.SH FILES
.TP
/etc/anyrouter\\-gateway/gateway.yaml
The configuration of the packaged service.
.TP
/etc/anyrouter\\-gateway/environment
Variables for it, one a line.
.TP
/var/lib/anyrouter\\-gateway
Its state: the request log, what the panel changed, the panel's key.
.SH EXIT STATUS
0 if all went well, 1 if not, 2 for a wrong command line.
";

/// The effective configuration as a table: key, value, source.
pub(crate) fn report(loaded: &Loaded, options: &CheckOptions) -> String {
    let (version, path) = (env!("CARGO_PKG_VERSION"), told(&problem::path_words(&loaded.path)));
    let mut text =
        say!("# anyrouter-gateway {version}, configuration: {path}\n", "# anyrouter-gateway {version}，配置：{path}\n");
    let not_set = say!("(not set)", "（未设置）");
    let width = |get: fn(&EffectiveSetting) -> &str, most: usize| {
        loaded.effective.iter().map(|setting| get(setting).chars().count()).max().unwrap_or_default().min(most)
    };
    let (key_width, value_width) = (width(|setting| &setting.key, 60), width(|setting| &setting.value, 40));
    let headers =
        headers::parse(&loaded.texts.headers_path, &loaded.texts.headers, &mut Vec::new()).unwrap_or_default();
    let header = |key: &str| {
        let name = key.strip_prefix("header ").filter(|_| options.show_headers)?;
        headers.iter().find(|header| header.name == name).map(|header| header.value.expose())
    };
    for setting in &loaded.effective {
        let value = match header(&setting.key) {
            Some(value) => value.into(),
            None if setting.value.is_empty() => not_set.as_str().into(),
            None => shapes(&setting.value),
        };
        // Writing to a string cannot fail.
        let (value, source) = (padded(&value, value_width), told(&setting.source.words()));
        let _ = writeln!(text, "{:key_width$}  {value}  {source}", setting.key);
    }
    for upstream in &loaded.config.upstreams {
        let profile = upstream.rules_of_profile().unwrap_or_default();
        let rules = loaded
            .config
            .first_rules
            .iter()
            .chain(&profile)
            .chain(&loaded.config.rules)
            .chain(&loaded.config.last_rules);
        let names: Vec<&str> = rules.map(|rule| &*rule.name).collect();
        let names = if names.is_empty() { say!("none", "无") } else { names.join(", ") };
        text += &say!("rules for upstream {name}: {names}\n", "上游 {name} 的规则：{names}\n", name = upstream.name);
        let long_context = profile::long_context(&profile);
        if !long_context.is_empty() {
            let (name, models) = (&upstream.name, long_context.join(", "));
            text +=
                &say!("long context at upstream {name} for: {models}\n", "上游 {name} 支持长上下文的模型：{models}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_and_the_completions_know_every_command() {
        let manual = String::from_utf8(manual().expect("written")).expect("UTF-8");
        let bash = String::from_utf8(completions(clap_complete::Shell::Bash)).expect("UTF-8");
        for command in [
            "check",
            "explain",
            "doctor",
            "try",
            "prices",
            "recost",
            "user",
            "group",
            "token",
            "limit",
            "usage",
            "reload",
            "upgrade",
            "panel",
            "install-service",
            "healthcheck",
        ] {
            assert!(manual.contains(&format!("\\fB{command}\\fR")), "{command}: {manual}");
            assert!(bash.contains(&format!(" {command} ")), "{command}");
        }
        assert!(manual.contains("--program") && manual.contains("SIGHUP"));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["anyrouter-gateway", "-c", "f", "--listen", "127.0.0.1:1"]);
        assert_eq!(cli.arguments().overrides, [("gateway.listen", "127.0.0.1:1".to_owned())]);
        assert!(matches!(Cli::parse_from(["anyrouter-gateway", "check", "-c", "f"]).command, Some(Command::Check(_))));
    }
}
