//! `anyrouter-gateway doctor`: what is wrong between here and the upstreams, in plain words.
//!
//! `probe.rs` goes the way to an upstream step by step; `diagnosis.rs` says what was seen there means, without IO;
//! `findings.rs` holds the words. It makes one harmless request to each upstream, and solves no challenge.
//!
//! With a model it sends a message too, which is no harmless one: `asking.rs` asks first, `sample.rs` makes it, `message.rs`
//! sends it and tells what became of it, `reply.rs` says without IO what that means.

mod address;
mod asking;
pub(crate) mod clean;
mod detail;
pub(crate) mod diagnosis;
pub(crate) mod findings;
mod hosts;
pub(crate) mod http;
pub(crate) mod key;
mod lines;
mod message;
mod messages;
pub(crate) mod model;
mod probe;
pub(crate) mod reply;
mod report;
pub(crate) mod sample;
mod schedule;
mod settings;
mod test;
mod tls;

use crate::config::problem::{Problems, Source};
use crate::config::secret::Secret;
use crate::config::upstream::{HttpVersion, UpstreamConfig};
use crate::config::{self, Arguments, EffectiveSetting, Loaded, Lookup};
use crate::language::{self, say};
use crate::upstream::unresolving;
use clean::Cleaner;
use findings::Severity;
use gateway_core::team::text;
use hickory_resolver::TokioResolver;
use hosts::HostWay;
use message::Question;
use model::Wanted;
use probe::{Probe, Way};
use report::Report;
use settings::ClientSettings;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) use report::UpstreamReport;
pub(crate) use schedule::Schedule;
pub(crate) use test::{Test, test, try_draft, try_one};

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Try upstreams that have no api_key with the key in this environment variable.
    #[arg(long, value_name = "NAME")]
    pub key_env: Option<String>,
    /// Send a message to this model too, or to the newest sonnet, opus, haiku or fable, with each key: it costs a little.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Do not ask before messages are sent.
    #[arg(long, requires = "model")]
    pub yes: bool,
    /// Compare the lines of upstreams that have several (upstreams[].lines).
    #[arg(long)]
    pub lines: bool,
    /// Print all settings for clients: for settings.json, the VS Code extension and a team, and what each brings.
    #[arg(long)]
    pub settings: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The addresses at which a gateway with this runtime folder listens; `None` if that is not known.
type OwnAddresses<'a> = &'a dyn Fn(&Path) -> Option<Vec<SocketAddr>>;

/// Checks the configuration, the addresses and every upstream, prints what was found, and says whether all is well.
pub(crate) fn run(arguments: &Arguments, options: &Options, own: OwnAddresses<'_>, env: Lookup<'_>) -> ExitCode {
    let report = match key(options.key_env.as_deref(), env) {
        Ok(Some(key)) if text::is_meant(key.expose().as_bytes()) => Err(say!(
            "--key-env: this is a client token of a gateway, and doctor would send it to upstreams: take the relay's key, or try \
             the token with `try`",
            "--key-env：这是网关签发的客户端令牌，而 doctor 会把密钥发给上游：请换成中转站的密钥，或用 `try` 测试令牌"
        )),
        Ok(key) => examine(arguments, key, options, own, env),
        Err(message) => Err(message),
    };
    let report = match report {
        Ok(report) => report,
        Err(message) => {
            eprintln!("{}", say!("error: {message}", "错误：{message}"));
            return ExitCode::FAILURE;
        }
    };
    let text = if options.json { format!("{:#}\n", report.json()) } else { report.text() };
    // A reader that has gone away needs no report.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The key in the variable that `--key-env` names.
///
/// # Errors
/// When there is none.
pub(crate) fn key(name: Option<&str>, env: Lookup<'_>) -> Result<Option<Secret>, String> {
    let Some(name) = name else { return Ok(None) };
    let key = env(name).unwrap_or_default().trim().to_owned();
    if key.is_empty() {
        // Somebody may have given the key itself, which is not to be shown.
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return Err(match is_name {
            true => say!(
                "--key-env: the environment variable {name} is not set, or is empty",
                "--key-env：环境变量 {name} 没有设置，或为空"
            ),
            false => say!(
                "--key-env: the environment variable with this name is not set, or is empty",
                "--key-env：没有这个名称的环境变量，或它为空"
            ),
        });
    }
    if let Some(why) = key::refusal(name, &key) {
        return Err(format!("--key-env: {why}"));
    }
    Ok(Some(Secret::new(key)))
}

fn examine(
    arguments: &Arguments,
    key: Option<Secret>,
    options: &Options,
    own_addresses: OwnAddresses<'_>,
    env: Lookup<'_>,
) -> Result<Report, String> {
    let wanted = options.model.as_deref().map(|name| Wanted::read(Some(name), env)).transpose();
    let wanted = wanted.map_err(|words| language::told(&words))?;
    let loaded = match config::load(arguments, env) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(refused(problems)),
    };
    let has_proxy = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| env(name).is_some_and(|proxy| !proxy.is_empty()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| say!("the doctor cannot start: {error}", "doctor 无法启动：{error}"))?;
    for warning in &loaded.warnings {
        let warning = warning.text(language::here());
        eprintln!("{}", say!("warning: {warning}", "警告：{warning}"));
    }
    let Loaded { config, startup, effective, path, .. } = loaded;
    let resolver =
        crate::upstream::resolver(&config.dns_servers).map_err(|error| language::told(&unresolving(&error)))?;
    let resolver = Arc::new(resolver);
    let questions = match wanted {
        Some(wanted) => asking::questions(config.clone(), key.as_ref(), wanted)?,
        None => Vec::new(),
    };
    asking::agreed(&questions, options.yes)?;
    if !options.json {
        eprintln!(
            "{}",
            say!("trying all upstreams; an answer may take 15 s ...", "正在逐个检查上游，每个最多约 15 秒……")
        );
    }
    let keys = config.upstreams.iter().flat_map(keys_of).chain(key.clone());
    let cleaner = Arc::new(Cleaner::new(keys.collect()).and(config.secrets()));
    let (upstreams, hosts) =
        runtime.block_on(examine_all(config.upstreams.clone(), Arc::clone(&resolver), cleaner, key, questions))?;
    let lines = options.lines.then(|| {
        let keys = config.upstreams.iter().flat_map(keys_of);
        runtime.block_on(lines::compare(&config.upstreams, &resolver, &Cleaner::new(keys.collect())))
    });
    // A resolver that hangs must not hold up the end.
    runtime.shutdown_background();
    Ok(Report {
        configuration: Some(path),
        problems: Vec::new(),
        findings: Vec::new(),
        taken: address::taken(&startup, own_addresses(&startup.runtime_dir)),
        upstreams,
        hosts,
        lines,
        address_setting: effective.iter().find_map(address_variable).unwrap_or("base_url"),
        settings: Some(ClientSettings::new(startup.listen, has_proxy)),
        has_all_settings: options.settings,
    })
}

/// The variable that says where requests go, if this is what it gave.
fn address_variable(setting: &EffectiveSetting) -> Option<&'static str> {
    match &setting.source {
        Source::Environment(name) | Source::DotEnv { name, .. } | Source::EnvironmentFile { name, .. }
            if setting.key.ends_with("].base_url") =>
        {
            Some(name)
        }
        _ => None,
    }
}

fn refused(problems: Problems) -> Report {
    Report {
        configuration: None,
        taken: Vec::new(),
        problems: problems.0,
        findings: vec![findings::CONFIGURATION],
        upstreams: Vec::new(),
        hosts: None,
        lines: None,
        address_setting: "base_url",
        settings: None,
        has_all_settings: false,
    }
}

/// All keys of an upstream: none of them is to be seen.
fn keys_of(upstream: &UpstreamConfig) -> impl Iterator<Item = Secret> {
    upstream.api_keys.iter().map(|key| key.key.clone())
}

/// All upstreams at once, and the hosts of AnyRouter if one of them is there, so that the slowest one decides how long it takes.
async fn examine_all(
    upstreams: Vec<UpstreamConfig>,
    resolver: Arc<TokioResolver>,
    cleaner: Arc<Cleaner>,
    key: Option<Secret>,
    questions: Vec<Question>,
) -> Result<(Vec<UpstreamReport>, Option<Vec<HostWay>>), String> {
    let hosts = {
        let (upstreams, resolver, cleaner) = (upstreams.clone(), Arc::clone(&resolver), Arc::clone(&cleaner));
        tokio::spawn(async move { hosts::compare(&upstreams, &resolver, &cleaner).await })
    };
    let runs: Vec<_> = upstreams
        .into_iter()
        .enumerate()
        .map(|(at, upstream)| {
            let questions = questions.iter().filter(|question| question.destination == at).cloned().collect();
            let with =
                With { resolver: Arc::clone(&resolver), cleaner: Arc::clone(&cleaner), key: key.clone(), questions };
            tokio::spawn(async move { examine_one(&upstream, &with).await })
        })
        .collect();
    let mut reports = Vec::with_capacity(runs.len());
    for run in runs {
        match run.await {
            Ok(report) => reports.push(report?),
            // Nobody cancels a run, so it panicked.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    match hosts.await {
        Ok(hosts) => Ok((reports, hosts)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What an upstream is tried with.
struct With {
    resolver: Arc<TokioResolver>,
    cleaner: Arc<Cleaner>,
    /// The key, if the upstream has none that is used.
    key: Option<Secret>,
    /// The messages to it, once it is reached.
    questions: Vec<Question>,
}

/// The direct way, and the one through a proxy if there is one; at the end of the one that the gateway takes, the messages.
///
/// # Errors
/// When a message cannot be made.
async fn examine_one(upstream: &UpstreamConfig, with: &With) -> Result<UpstreamReport, String> {
    let With { resolver, cleaner, key, questions } = with;
    let asked = questions.first().and_then(|question| upstream.api_keys.get(question.key?));
    let own = asked.or_else(|| upstream.api_keys.iter().find(|key| key.is_enabled));
    let key = own.map(|own| &own.key).or(key.as_ref());
    let proxy = upstream.proxy.as_ref();
    let probe = Probe { upstream, key, proxy: None, resolver, cleaner };
    let mut ways = vec![probe.run(proxy.is_none()).await];
    if proxy.is_some() {
        ways.push(Probe { proxy, ..probe }.run(true).await);
    }
    // Where nothing answers at all, a message has no other end; but to one of HTTP/2 the doctor's own request says nothing.
    let may_be_mute = upstream.http != HttpVersion::One;
    let connects = |way: &Way| way.steps.iter().any(|step| step.step == "tcp" && step.ok);
    let is_there = |way: &Way| way.status.is_some() || may_be_mute && connects(way);
    if let Some(way) = ways.iter_mut().find(|way| way.used_by_gateway && is_there(way)) {
        messages::send_all(questions, cleaner, way).await.map_err(|words| language::told(&words))?;
    }
    let url = &upstream.base_url;
    let used = ways.iter().filter(|way| way.used_by_gateway).flat_map(|way| &way.findings);
    Ok(UpstreamReport {
        name: upstream.name.clone(),
        base_url: format!("http{}://{}{}", if url.tls { "s" } else { "" }, url.authority, url.path_prefix),
        reachable: ways.iter().any(|way| way.used_by_gateway && way.reaches()),
        verdict: used.map(|finding| finding.severity).max().unwrap_or(Severity::Problem),
        ways,
    })
}
