//! What an upstream is told of the client.

use crate::config::source::message::Message;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::value;
use gateway_core::addresses::TrustedProxies;

settings! {
    PRESERVE_HOST: bool = Setting::one(
        "gateway.preserve_host",
        "false",
        value::boolean,
        "Send the client's Host to the upstream instead of the upstream's own.",
        "把客户端的 Host 发给上游，而不是上游自己的域名。",
    )
    .env(&["PRESERVE_HOST"]);
    FORWARDED_FOR: ForwardedFor = Setting::choice(
        "gateway.forwarded_for",
        "append",
        &[("append", ForwardedFor::Append), ("keep", ForwardedFor::Keep), ("off", ForwardedFor::Off)],
        "X-Forwarded-For to the upstream: append the client's address, keep what came, or off (removed).",
        "发给上游的 X-Forwarded-For：append 追加客户端地址，keep 保持原样，off 删除。",
    );
    VIA: Via = Setting::choice(
        "gateway.via",
        "off",
        &[("off", Via::Off), ("add", Via::Add)],
        "Via to the upstream and to the client: add the gateway to it, or off (what came stays).",
        "发给上游和客户端的 Via：add 把网关加进去，off 不加（原有内容不变）。",
    );
    HINT_HEADERS: HintHeaders = Setting::choice(
        "gateway.hint_headers",
        "pass",
        &[("pass", HintHeaders::Pass), ("consume", HintHeaders::Consume)],
        "Claude Code's hints of what a request is for (x-claude-code-request-class and its like): pass them on to the \
         upstream, or consume them. Rules and the request log see them either way.",
        "Claude Code 说明请求用途的提示头（x-claude-code-request-class 等）：pass 转发给上游，consume 不再转发。\
         两种情况下规则和请求日志都能看到。",
    );
    TRUSTED_PROXIES: TrustedProxies = Setting::list(
        "gateway.trusted_proxies",
        "",
        trusted_proxies,
        "Comma list of addresses and networks of reverse proxies before the gateway: the client is who they name in \
         X-Forwarded-For.",
        "网关前面的反向代理的地址和网段，用逗号分隔；客户端地址取自它们写的 X-Forwarded-For。",
    )
    .env(&["TRUSTED_PROXIES"]);
}

/// What becomes of `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The client's address is added to the chain.
    Append,
    /// The chain goes through as it came.
    Keep,
    /// The field is removed.
    Off,
}

/// What becomes of the headers in which Claude Code says what a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintHeaders {
    /// They go through as they came.
    Pass,
    /// They are removed.
    Consume,
}

/// Whether the gateway names itself in `Via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// It does not.
    Off,
    /// It does, in requests and responses.
    Add,
}

fn trusted_proxies(text: &str) -> Result<TrustedProxies, Message> {
    TrustedProxies::parse(text).map_err(|text| Message::NotAddresses { text })
}
