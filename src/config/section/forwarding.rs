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
