//! The keys of an entry of `gateway.upstreams`.

use crate::config::source::setting::{Help, Panel};

/// One key: its name, its default ("" for "not set"), and what it means.
#[derive(Debug)]
pub(crate) struct UpstreamKey {
    /// Name inside the entry.
    pub key: &'static str,
    /// The value if the entry has none.
    pub default: &'static str,
    /// What it means.
    pub help: Help,
    /// Whether the panel may set it.
    pub panel: Panel,
}

const fn one(key: &'static str, default: &'static str, en: &'static str, zh: &'static str) -> UpstreamKey {
    UpstreamKey { key, default, help: Help { en, zh }, panel: Panel::MaySet }
}

const fn file(key: &'static str, default: &'static str, en: &'static str, zh: &'static str) -> UpstreamKey {
    UpstreamKey { key, default, help: Help { en, zh }, panel: Panel::NoMore }
}

/// All of them.
pub(crate) const UPSTREAM_KEYS: &[UpstreamKey] = &[
    one(
        "name",
        "",
        "Name in logs, metrics and errors; the host if not set.",
        "在日志、指标和错误中的名称；未设置时为主机名。",
    ),
    one(
        "enabled",
        "true",
        "false keeps the entry, but requests go there only while there is no other upstream for them.",
        "false 保留该条目，但只有在没有别的上游可用时才向它发送请求。",
    ),
    one(
        "base_url",
        "",
        "http:// or https:// URL, with a path prefix if need be.",
        "http:// 或 https:// 地址，可带路径前缀。",
    ),
    one(
        "lines",
        "",
        "Other addresses of the same relay, host or host:port, with the scheme, path and keys of base_url; the fastest is used.",
        "同一中转站的其他地址（主机或 主机:端口），协议、路径和密钥与 base_url 相同；使用其中最快的一个。",
    ),
    one("priority", "0", "Lower numbers are preferred.", "数字越小越优先。"),
    one("weight", "1", "Share of the requests within one priority.", "同一优先级内分配请求的权重。"),
    one(
        "cost_factor",
        "1",
        "How many times the list price it charges, 0 to 100: 0.5 for a relay that sells at half of it.",
        "按标价的多少倍收费，0 到 100：半价出售的中转站写 0.5。",
    ),
    one(
        "profile",
        "",
        "anyrouter or none; not set: anyrouter for the host anyrouter.top and its hosts in China, else none.",
        "anyrouter 或 none；未设置时，主机为 anyrouter.top 及其国内直连地址时为 anyrouter，其他为 none。",
    ),
    one(
        "long_context",
        "",
        "Which models get the beta flag of the long context, as patterns (profile anyrouter); not set: the profile's list.",
        "哪些模型带上长上下文的 beta 标志（通配模式，用于 anyrouter 配置档）；未设置时用配置档的列表。",
    ),
    one(
        "profile_rules",
        "",
        "Switches rules of the profile by name: {anyrouter.compact: on}.",
        "按名称开关配置档（profile）中的规则：{anyrouter.compact: on}。",
    ),
    one(
        "api_key",
        "",
        "Key sent instead of the client's, such as ${env.X}; only keys in routes may use it.",
        "代替客户端密钥发送的密钥，例如 ${env.X}；只有 routes 中的密钥可以使用。",
    ),
    one(
        "api_keys",
        "",
        "Several keys instead of api_key: {key, name, weight, max_in_flight, enabled} each; a session stays with its key, and one that is used up or disabled is left out.",
        "用几个密钥代替 api_key：每项为 {key, name, weight, max_in_flight, enabled}；会话固定使用同一个密钥，额度用完或被拒绝的密钥会被跳过。",
    ),
    one(
        "balance",
        "",
        "Where it says what is left on its keys: {kind, interval, rest_below, ...}; new sessions avoid a key below rest_below, and one that is used up rests.",
        "查询密钥余额的方式：{kind, interval, rest_below, ...}；新会话避开余额低于 rest_below 的密钥，余额用完的密钥暂停使用。",
    ),
    one(
        "proxy",
        "",
        "Outbound proxy of this upstream (NO_PROXY does not matter then), or off.",
        "此上游的出站代理（此时 NO_PROXY 不起作用），或 off。",
    ),
    one(
        "http",
        "1",
        "HTTP version: 1, 2, or auto (what TLS agrees on; 1 for http://).",
        "HTTP 版本：1、2 或 auto（由 TLS 协商；http:// 为 1）。",
    ),
    one(
        "max_in_flight",
        "",
        "Most requests at it at one time; not set: no bound.",
        "同时发往它的请求数上限；未设置则不限。",
    ),
    one(
        "probe",
        "",
        "As gateway.health.probe.path, for this upstream; or off.",
        "同 gateway.health.probe.path，仅用于此上游；或 off。",
    ),
    one(
        "test",
        "",
        "A message from time to time, which costs a little: {every: 6h, model: claude-haiku-4-5, key: NAME}; a key that is out of use is used again when its message is answered.",
        "定期发送一条测试消息（会产生少量费用）：{every: 6h, model: claude-haiku-4-5, key: 名称}；停用的密钥在测试成功后恢复使用。",
    ),
    one(
        "preserve_host",
        "",
        "As gateway.preserve_host, for this upstream.",
        "同 gateway.preserve_host，仅用于此上游。",
    ),
    file(
        "ca_file",
        "",
        "PEM file of certificate authorities to trust instead of the system's.",
        "受信任的签发机构证书（PEM 文件），代替系统自带的。",
    ),
    one(
        "sni",
        "",
        "Name to ask for and to check in the TLS handshake; the host if not set.",
        "TLS 握手时请求并校验的名称；未设置时为主机名。",
    ),
    one("insecure", "false", "Accept any TLS certificate. Only for tests.", "接受任何 TLS 证书，仅用于测试。"),
    one(
        "connect_timeout",
        "",
        "As gateway.timeouts.connect, for this upstream.",
        "同 gateway.timeouts.connect，仅用于此上游。",
    ),
    one("read_timeout", "", "As gateway.timeouts.read, for this upstream.", "同 gateway.timeouts.read，仅用于此上游。"),
    one(
        "first_byte_timeout",
        "",
        "As gateway.timeouts.first_byte, for this upstream.",
        "同 gateway.timeouts.first_byte，仅用于此上游。",
    ),
    one(
        "first_event_timeout",
        "",
        "As gateway.timeouts.first_event, for this upstream.",
        "同 gateway.timeouts.first_event，仅用于此上游。",
    ),
    one(
        "thinking_controls",
        "auto",
        "Whether it takes thinking.block_binding (gateway.thinking.on_move): on, off, or auto, for models known to.",
        "是否接受 thinking.block_binding（gateway.thinking.on_move）：on、off 或 auto（按已知模型判断）。",
    ),
];
