//! `anyrouter-gateway try`: one small message through the gateway that runs, and in words where it ended.
//!
//! `gateway.rs` finds it, `message.rs` makes the request, `doctor/model.rs` chooses its model, `exchange.rs` sends it and
//! reads what comes, `ending.rs` says without IO what that means, and `words.rs` has the words.

mod ending;
mod exchange;
mod gateway;
mod message;
mod words;

use crate::config::secret::Secret;
use crate::config::{self, Arguments, Loaded, Lookup};
use crate::doctor;
use crate::doctor::findings::Finding;
use crate::doctor::model::{self, Choice, Wanted};
use crate::gateway::Reply;
use crate::language::{say, told};
use ending::Ending;
use gateway::Gateway;
use gateway_core::usage::pricing::decimal::Factor;
use message::{Credential, Message};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use words::{MissingKey, Telling};

/// Longest time for the message and its answer: a relay that thinks for longer over two words is not well.
const MESSAGE_TIME: Duration = Duration::from_secs(120);
/// The same for the list of models; the gateway has 2 s for it.
const MODELS_TIME: Duration = Duration::from_secs(4);

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Ask for this model, or for the newest sonnet, opus, haiku or fable; without it ANTHROPIC_MODEL, or the newest
    /// Sonnet that the gateway lists.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Take the key from this environment variable, not from ANTHROPIC_AUTH_TOKEN or ANTHROPIC_API_KEY.
    #[arg(long, value_name = "NAME")]
    pub key_env: Option<String>,
}

/// Sends the message, and prints where it ended. Good is only an answer.
pub(crate) fn run(arguments: &Arguments, options: &Options, env: Lookup<'_>) -> ExitCode {
    match attempt(arguments, options, env) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn attempt(arguments: &Arguments, options: &Options, env: Lookup<'_>) -> Result<String, String> {
    let error = |text: String| say!("error: {text}", "错误：{text}");
    let wanted = Wanted::read(options.model.as_deref(), env).map_err(|words| error(told(&words)))?;
    let credential = credential(options, env).map_err(error)?;
    let located = config::locate(arguments, env);
    let gateway = Gateway::find(&located, env).map_err(error)?;
    // In another folder there is no configuration of this gateway, and the built-in one has other upstreams.
    let loaded = located.is_at_home.then(|| config::load(arguments, env).ok()).flatten();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| error(say!("the command cannot start: {why}", "命令无法启动：{why}")))?;
    let missing = MissingKey::of(env);
    let ended = runtime.block_on(converse(&gateway, wanted, credential, loaded.as_ref(), missing));
    // A resolver that hangs must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn converse(
    gateway: &Gateway,
    wanted: Wanted,
    credential: Option<Credential>,
    loaded: Option<&Loaded>,
    missing: MissingKey,
) -> Result<String, String> {
    words::progress(&words::gateway(gateway));
    if credential.is_none() {
        words::progress(&words::no_key(missing));
    }
    let choice = choose(gateway, wanted, credential.as_ref(), loaded).await;
    words::progress(&words::model(&choice));
    let message = Message::new(&choice, credential);
    let reply = exchange::send(gateway.address, &message.bytes(gateway.address), message::asked(), MESSAGE_TIME).await;
    let telling = Telling::new(gateway, &message, loaded, missing);
    match reply {
        Ok(reply) => match ending::of(&reply) {
            Ending::Answered => {
                let cost = loaded.and_then(|loaded| cost(&reply, &loaded.config));
                Ok(words::answered(&reply, cost, loaded.is_some(), &telling))
            }
            Ending::Refused => Err(words::refused(&reply, message.key().is_some(), &telling)),
            Ending::Unreachable => {
                let found = examine(&reply, loaded).await;
                Err(words::unreachable(&reply, &found, &telling))
            }
            Ending::Upstream(finding) => Err(words::upstream(&reply, &finding, message.key().is_some(), &telling)),
            Ending::Broken(broken) => Err(words::broken(&reply, broken, &telling)),
        },
        Err(none) => Err(words::none(gateway, &none, &telling)),
    }
}

/// The client's key.
fn credential(options: &Options, env: Lookup<'_>) -> Result<Option<Credential>, String> {
    if options.key_env.is_some() {
        return Ok(doctor::key(options.key_env.as_deref(), env)?.map(Credential::Bearer));
    }
    for (name, kind) in [
        ("ANTHROPIC_AUTH_TOKEN", Credential::Bearer as fn(Secret) -> Credential),
        ("ANTHROPIC_API_KEY", Credential::ApiKey),
    ] {
        let key = env(name).unwrap_or_default().trim().to_owned();
        if key.is_empty() {
            continue;
        }
        if let Some(why) = doctor::key::refusal(name, &key) {
            return Err(why);
        }
        return Ok(Some(kind(Secret::new(key))));
    }
    Ok(None)
}

/// The model: the one that was asked for, or the newest of its family that the gateway lists, or that has a price.
async fn choose(gateway: &Gateway, wanted: Wanted, credential: Option<&Credential>, loaded: Option<&Loaded>) -> Choice {
    if let Wanted::Name { .. } = wanted {
        return wanted.choose(&[], &[]);
    }
    let request = message::list_of_models(credential, gateway.address);
    let protocol = gateway_core::protocol::Protocol::of("GET", message::MODELS.as_bytes());
    let reply = exchange::send(gateway.address, &request, protocol, MODELS_TIME).await;
    let listed = reply.ok().filter(|reply| reply.status == 200).map(|reply| model::listed(&reply.body));
    let priced: Option<Vec<String>> =
        loaded.map(|loaded| loaded.config.prices.written().map(|offer| offer.models.to_string()).collect());
    wanted.choose(&listed.unwrap_or_default(), &priced.unwrap_or_default())
}

/// What the answer cost, if the model has a price.
fn cost(reply: &Reply, config: &config::Config) -> Option<u64> {
    let answer = reply.summary.as_ref()?;
    let upstream = reply.header(ending::X_GATEWAY_UPSTREAM)?;
    let factor =
        config.upstreams.iter().find(|known| known.name == upstream).map_or(Factor::ONE, |known| known.cost_factor);
    config.prices.cost(answer.model.as_deref()?, &answer.tokens?, &answer.details, SystemTime::now(), factor)
}

/// What is wrong on the way to the upstreams that failed, as the doctor finds it.
async fn examine(reply: &Reply, loaded: Option<&Loaded>) -> Vec<(String, Finding)> {
    let Some(Loaded { config, .. }) = loaded else { return Vec::new() };
    let name = reply.header(ending::X_GATEWAY_UPSTREAM).unwrap_or_default();
    let is_one = reply.header(ending::X_GATEWAY_ATTEMPTS).as_deref() == Some("1");
    let it = config.upstreams.iter().filter(|upstream| upstream.name == name).collect::<Vec<_>>();
    // Of several that failed only the last is named, and of one that nobody named nothing.
    let asked = if is_one && !it.is_empty() { it } else { config.upstreams.iter().collect() };
    let reports = asked.into_iter().map(async |upstream| doctor::try_one(upstream, &config.dns_servers).await);
    let reports = futures::future::join_all(reports).await.into_iter().flatten();
    reports.filter_map(|report| Some((report.name.clone(), report.problem()?))).collect()
}
