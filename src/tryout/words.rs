//! The words of `try`.

use super::ending::{Broken, X_GATEWAY_ATTEMPTS, X_GATEWAY_UPSTREAM};
use super::exchange::NoReply;
use super::gateway::Gateway;
use super::message::Message;
use crate::config::{Loaded, Lookup};
use crate::doctor::clean::Cleaner;
use crate::doctor::findings::Finding;
use crate::doctor::model::{Choice, From};
use crate::doctor::reply;
use crate::gateway::Reply;
use crate::language::{here, say};
use gateway_core::usage::summary::Tokens;
use std::time::Duration;

/// How many nano-dollars a dollar has.
const NANO: u64 = 1_000_000_000;

/// Tells what a response says, and where more can be seen.
pub(super) struct Telling {
    /// The panel's list of the requests of this session; `None` if the gateway keeps none.
    link: Option<String>,
    /// Hides the keys: upstreams like to repeat them.
    cleaner: Cleaner,
    /// What stands before the gateway's commands.
    sudo: &'static str,
    /// What to do about a key that is not there.
    missing: MissingKey,
}

/// Why there may be no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingKey {
    /// Nobody has set one.
    NotSet,
    /// sudo keeps the variables of who types it to itself.
    BySudo,
}

impl MissingKey {
    /// As the variables have it.
    pub(super) fn of(env: Lookup<'_>) -> Self {
        match env("SUDO_USER").is_some_and(|user| !user.is_empty()) {
            true => Self::BySudo,
            false => Self::NotSet,
        }
    }

    /// What to type.
    fn cure(self) -> String {
        match self {
            Self::NotSet => say!(
                "put your key into ANTHROPIC_AUTH_TOKEN (read -rs ANTHROPIC_AUTH_TOKEN; export ANTHROPIC_AUTH_TOKEN); \
                 ~/.claude/settings.json is not read",
                "请把密钥放进 ANTHROPIC_AUTH_TOKEN（read -rs ANTHROPIC_AUTH_TOKEN; export ANTHROPIC_AUTH_TOKEN）；\
                 这里不读取 ~/.claude/settings.json"
            ),
            Self::BySudo => say!(
                "sudo did not pass the variable: run `anyrouter-gateway try` without sudo",
                "sudo 没有传递这个变量：请不加 sudo，直接运行 `anyrouter-gateway try`"
            ),
        }
    }
}

impl Telling {
    /// About the message with this session and key.
    pub(super) fn new(gateway: &Gateway, message: &Message, loaded: Option<&Loaded>, missing: MissingKey) -> Self {
        let keeps_none = loaded.is_some_and(|loaded| loaded.startup.log.store.is_none());
        let link = || format!("http://{}/admin/requests?session={}", gateway.address, message.session);
        let cleaner = Cleaner::new(message.key().into_iter().cloned().collect());
        let cleaner = match loaded {
            Some(loaded) => cleaner.and(loaded.config.secrets()),
            None => cleaner,
        };
        Self { link: (!keeps_none).then(link), cleaner, sudo: gateway.sudo, missing }
    }

    fn shown(&self, text: &str) -> String {
        self.cleaner.line(text)
    }

    fn words(&self, reply: &Reply) -> String {
        self.shown(&reply::text(reply))
    }

    fn message(&self, reply: &Reply) -> String {
        self.shown(&reply::message(reply))
    }

    /// The upstream by its name, if the gateway tells it.
    fn upstream_of(&self, reply: &Reply) -> String {
        match reply.header(X_GATEWAY_UPSTREAM).map(|name| self.shown(&name)) {
            Some(name) if name != "upstream" => say!("the upstream \"{name}\"", "上游“{name}”"),
            Some(_) => say!("the upstream", "上游"),
            None => say!("the gateway itself", "网关自己"),
        }
    }

    fn more(&self, reply: &Reply) -> String {
        let id = reply.header("x-request-id").or_else(|| reply.header("request-id")).map(|id| self.shown(&id));
        let id = id.map(|id| say!("\n  request: {id}", "\n  请求：{id}")).unwrap_or_default();
        id + &self.look()
    }

    fn look(&self) -> String {
        match &self.link {
            Some(link) => say!(
                "\n  in the panel (`{sudo}anyrouter-gateway panel` logs in): {link}",
                "\n  在面板中查看（用 `{sudo}anyrouter-gateway panel` 登录）：{link}",
                sudo = self.sudo
            ),
            None => String::new(),
        }
    }
}

/// Says at once how far it is.
pub(super) fn progress(text: &str) {
    eprintln!("{text}");
}

/// The gateway that is tried.
pub(super) fn gateway(gateway: &Gateway) -> String {
    let address = gateway.address;
    match &gateway.about {
        Some((pid, version)) => {
            say!(
                "gateway: http://{address} (process {pid}, version {version})",
                "网关：http://{address}（进程 {pid}，版本 {version}）"
            )
        }
        None => say!("gateway: http://{address}", "网关：http://{address}"),
    }
}

/// No key goes with the message.
pub(super) fn no_key(missing: MissingKey) -> String {
    let text = say!(
        "key: none, for neither ANTHROPIC_AUTH_TOKEN nor ANTHROPIC_API_KEY is set",
        "密钥：无，ANTHROPIC_AUTH_TOKEN 和 ANTHROPIC_API_KEY 都没有设置"
    );
    match missing {
        MissingKey::NotSet => text,
        MissingKey::BySudo => format!("{text}\n  -> {}", missing.cure()),
    }
}

/// The model that is asked.
pub(super) fn model(choice: &Choice) -> String {
    let name = &choice.name;
    match choice.from {
        From::Asked => say!("model: {name}", "模型：{name}"),
        From::Listed => say!(
            "model: {name} (the newest of its kind that the gateway lists; --model asks for another)",
            "模型：{name}（网关列出的同系列模型中最新的；可用 --model 指定其他模型）"
        ),
        From::Priced => say!(
            "model: {name} (the gateway has no list of models with one of this kind; --model asks for another)",
            "模型：{name}（网关没有列出这一系列的模型；可用 --model 指定其他模型）"
        ),
    }
}

/// An answer.
pub(super) fn answered(reply: &Reply, cost: Option<u64>, knows_prices: bool, telling: &Telling) -> String {
    let words = telling.words(reply);
    let model = reply.summary.as_ref().and_then(|answer| answer.model.as_deref()).map(|model| telling.shown(model));
    let model = model.unwrap_or_default();
    let from = telling.upstream_of(reply);
    let mut text = say!("answered by {from}, {model}: \"{words}\"", "{from}的 {model} 已响应：“{words}”");
    if let Some(tokens) = reply.summary.as_ref().and_then(|answer| answer.tokens) {
        let Tokens { output, .. } = tokens;
        let input = tokens.input.saturating_add(tokens.cache_write).saturating_add(tokens.cache_read);
        let cost = match cost {
            Some(nano) => format!("${}.{:06}", nano / NANO, nano % NANO / 1_000),
            None if knows_prices => say!("no price is known", "没有价格"),
            None => say!("the panel shows it", "见面板"),
        };
        text += &say!(
            "\n  tokens: {input} in, {output} out; cost: {cost}",
            "\n  token：输入 {input}，输出 {output}；费用：{cost}"
        );
    }
    let took = seconds(reply.took);
    text += &match reply.summary.as_ref().and_then(|answer| answer.first_token).map(seconds) {
        Some(first) => say!("\n  time to first token: {first}, in all {took}", "\n  首 token：{first}，总共 {took}"),
        None => say!("\n  time: {took}", "\n  耗时：{took}"),
    };
    text + &telling.more(reply)
}

/// The gateway itself refused it.
pub(super) fn refused(reply: &Reply, has_key: bool, telling: &Telling) -> String {
    let (status, message) = (reply.status, telling.message(reply));
    let mut text = say!(
        "refused: the gateway itself answered {status}, and no upstream was asked: {message}",
        "被拒绝：网关自己返回了 {status}，没有发往任何上游：{message}"
    );
    if status == 401 && !has_key {
        text += &give_a_key(telling);
    }
    text + &telling.more(reply)
}

fn give_a_key(telling: &Telling) -> String {
    format!("\n  -> {}", telling.missing.cure())
}

/// No upstream gave a response that could be passed on.
pub(super) fn unreachable(reply: &Reply, found: &[(String, Finding)], telling: &Telling) -> String {
    let (status, message) = (reply.status, telling.message(reply));
    let tried = reply.header(X_GATEWAY_ATTEMPTS).unwrap_or_default();
    let mut text = match &*tried {
        "" | "0" | "1" => {
            let from = telling.upstream_of(reply);
            say!(
                "no answer: the request went to {from}, and the gateway answered {status}: {message}",
                "没有得到响应：请求发往{from}，网关返回了 {status}：{message}"
            )
        }
        _ => say!(
            "no answer: {tried} upstreams were tried, and the gateway answered {status}: {message}",
            "没有得到响应：尝试了 {tried} 个上游，网关返回了 {status}：{message}"
        ),
    };
    for (upstream, finding) in found {
        text += &format!("\n  {upstream}: {}", what_and_cure(finding));
    }
    if found.is_empty() {
        text += &say!(
            "\n  -> `{sudo}anyrouter-gateway doctor` goes the way step by step",
            "\n  -> 运行 `{sudo}anyrouter-gateway doctor` 可逐步检查链路",
            sudo = telling.sudo
        );
    }
    text + &telling.more(reply)
}

/// The upstream's own error.
pub(super) fn upstream(reply: &Reply, finding: &Finding, has_key: bool, telling: &Telling) -> String {
    let (status, message, from) = (reply.status, telling.message(reply), telling.upstream_of(reply));
    let text = say!("no answer: {from} answered {status}: {message}", "没有得到响应：{from}返回了 {status}：{message}");
    // What is wrong with a key that nobody sent is clear.
    match status == 401 && !has_key {
        true => text + &give_a_key(telling) + &telling.more(reply),
        false => format!("{text}\n  {}{}", what_and_cure(finding), telling.more(reply)),
    }
}

/// The answer broke off.
pub(super) fn broken(reply: &Reply, broken: Broken, telling: &Telling) -> String {
    let (words, from) = (telling.words(reply), telling.upstream_of(reply));
    let text = match broken {
        Broken::Cut => say!(
            "half an answer: {from} ended it too early, after \"{words}\"",
            "响应不完整：{from}在“{words}”之后提前结束"
        ),
        Broken::Error(finding) => {
            let message = telling.message(reply);
            let text = say!(
                "half an answer: {from} sent an error after \"{words}\": {message}",
                "响应不完整：{from}在“{words}”之后发送了错误：{message}"
            );
            format!("{text}\n  {}", what_and_cure(&finding))
        }
    };
    text + &telling.more(reply)
}

/// Nothing came.
pub(super) fn none(gateway: &Gateway, none: &NoReply, telling: &Telling) -> String {
    let address = gateway.address;
    match none {
        NoReply::NotConnected(why) => {
            say!("the gateway was not reached at http://{address}: {why}", "没有连上网关 http://{address}：{why}")
        }
        NoReply::Late(within) => {
            let within = seconds(*within);
            let text = say!("no answer within {within}", "{within} 内没有得到响应");
            text + &telling.look()
        }
        NoReply::Broken => say!(
            "what answers at http://{address} is no gateway, or closed the connection without an answer",
            "http://{address} 上的不是网关，或没有响应就关闭了连接"
        ),
    }
}

/// What is wrong, and what to do.
fn what_and_cure(finding: &Finding) -> String {
    let (cause, cure) = finding.words(here());
    format!("{cause}\n  -> {cure}")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
