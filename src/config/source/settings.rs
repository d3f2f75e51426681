//! Every single-valued setting, declared once: its key in the YAML file, its names in the environment, its default,
//! and what it means. `check` and the documentation test read this table too.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Path in the YAML file, dots between the levels.
    pub key: &'static str,
    /// Names in the environment and in `env/.env`; the first that is set counts.
    pub env: &'static [&'static str],
    /// The value if nobody sets it, as text; empty for "not set".
    pub default: &'static str,
    /// Whether it is a comma list, which may be a list in the YAML file too.
    pub is_list: bool,
    /// One line for the operator.
    pub help: &'static str,
    /// Whether a change counts only after a restart or an upgrade.
    pub needs_restart: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// Whether the panel may set it.
    pub panel: Panel,
    /// The values that it may have, if they are few.
    pub choices: &'static [&'static str],
}

/// Whether the panel may set something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// It may.
    MaySet,
    /// It may not any more: what older versions wrote still counts, with a warning.
    NoMore,
    /// It may not, and never could.
    Never,
}

impl Setting {
    const fn restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn panel(mut self, panel: Panel) -> Self {
        self.panel = panel;
        self
    }

    const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }
}

const fn setting(
    key: &'static str,
    env: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        env,
        default,
        is_list: false,
        help,
        needs_restart: false,
        is_secret: false,
        panel: Panel::MaySet,
        choices: &[],
    }
}

const fn list(key: &'static str, env: &'static [&'static str], default: &'static str, help: &'static str) -> Setting {
    let mut setting = setting(key, env, default, help);
    setting.is_list = true;
    setting
}

/// All settings under `gateway:` but the lists `upstreams`, `rules`, `routes` and `prices`.
pub const SETTINGS: &[Setting] = &[
    setting(
        "gateway.state_dir",
        &["GATEWAY_STATE_DIR"],
        "data",
        "Folder for what the gateway writes itself: the panel's overlay.yaml and its history, the panel's key.",
    )
    .restart()
    .panel(Panel::Never),
    setting(
        "gateway.runtime_dir",
        &["GATEWAY_RUNTIME_DIR", "RUNTIME_DIRECTORY"],
        "data/run",
        "Folder for the pid file and the sockets by which reload and upgrade reach the running gateway.",
    )
    .restart()
    .panel(Panel::Never),
    setting(
        "gateway.watch",
        &[],
        "false",
        "Load the configuration anew when one of its files changes. (Without it: SIGHUP, or anyrouter-gateway reload.)",
    )
    .restart(),
    setting(
        "gateway.drain.upgrade",
        &[],
        "10m",
        "How long the old process may go on with its requests after an upgrade; it ends as soon as the last one is over.",
    ),
    setting(
        "gateway.drain.stop",
        &[],
        "10s",
        "SIGTERM: how long running requests may go on; it ends with the last one. grace_period_seconds says the same.",
    ),
    setting(
        "gateway.listen",
        &["LISTEN"],
        "127.0.0.1:8088",
        "Address of the gateway, host:port. PORT changes its port.",
    )
    .restart(),
    setting(
        "gateway.admin_listen",
        &["ADMIN_LISTEN"],
        "127.0.0.1:9188",
        "Address of the admin service (/metrics), host:port.",
    )
    .restart(),
    setting("gateway.tls.listen", &["TLS_LISTEN"], "", "Address of an additional TLS listener (HTTP/1.1 and HTTP/2).")
        .restart(),
    setting("gateway.tls.cert", &["TLS_CERT"], "", "PEM file with the certificate chain of the TLS listener.")
        .restart()
        .panel(Panel::NoMore),
    setting("gateway.tls.key", &["TLS_KEY"], "", "PEM file with the private key of the TLS listener.")
        .restart()
        .panel(Panel::NoMore),
    setting(
        "gateway.system_prompt.replacement",
        &["SYSTEM_PROMPT_REPLACEMENT"],
        "",
        "Text that replaces system[0].text of POST /v1/messages. Not set: bodies stay as they are.",
    ),
    setting(
        "gateway.system_prompt.insert_if_missing",
        &["SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST"],
        "false",
        "Insert the text as a block in front, instead of replacing, when system[0].text does not hold \"Claude Code\".",
    ),
    setting(
        "gateway.headers_file",
        &[],
        "env/.env.headers.json",
        "JSON file of headers that override those of each request.",
    )
    .panel(Panel::Never),
    setting(
        "gateway.preserve_host",
        &["PRESERVE_HOST"],
        "false",
        "Send the client's Host to the upstream instead of the upstream's own.",
    ),
    setting(
        "gateway.forwarded_for",
        &[],
        "append",
        "X-Forwarded-For to the upstream: append the client's address, keep what came, or off (removed).",
    )
    .choices(&["append", "keep", "off"]),
    list(
        "gateway.trusted_proxies",
        &["TRUSTED_PROXIES"],
        "",
        "Comma list of addresses and networks of reverse proxies before the gateway: the client is who they name in \
         X-Forwarded-For.",
    ),
    list(
        "gateway.allow_origins",
        &["ALLOW_ORIGINS"],
        "",
        "Comma list of web pages (https://host) that may send requests without a key of their own, or *: without it, a \
         page of another site gets 403 where the gateway would add a key.",
    ),
    setting(
        "gateway.proxy.http",
        &["HTTP_PROXY", "http_proxy"],
        "",
        "Outbound proxy for http:// upstreams: http://, https://, socks5:// or socks5h://[user:password@]host[:port].",
    ),
    setting("gateway.proxy.https", &["HTTPS_PROXY", "https_proxy"], "", "Outbound proxy for https:// upstreams."),
    setting(
        "gateway.proxy.all",
        &["ALL_PROXY", "all_proxy"],
        "",
        "Outbound proxy for upstreams without one of their own.",
    ),
    list("gateway.proxy.none", &["NO_PROXY", "no_proxy"], "", "Comma list of hosts that are reached without a proxy."),
    setting(
        "gateway.dashboard.enabled",
        &["ENABLE_DASHBOARD"],
        "true",
        "Serve the panel at /admin of the gateway port.",
    ),
    setting(
        "gateway.dashboard.api_key",
        &["DASHBOARD_API_KEY"],
        "",
        "Key that the panel asks for; not set: one that the first start makes, dashboard.key in the state folder.",
    )
    .secret()
    .panel(Panel::Never),
    setting(
        "gateway.database",
        &["GATEWAY_DB"],
        "data/gateway.db",
        "SQLite file of the request log; off keeps nothing.",
    )
    .restart()
    .panel(Panel::NoMore),
    setting(
        "gateway.debug",
        &["DEBUG_MODE"],
        "false",
        "Log at debug level: why a body was left alone, each attempt, ...",
    )
    .restart(),
    setting("gateway.log.format", &["LOG_FORMAT"], "text", "Log lines as text or json.")
        .restart()
        .choices(&["text", "json"]),
    setting(
        "gateway.log.file",
        &["LOG_FILE"],
        "",
        "File that log lines are added to; not set: standard error. SIGUSR1 and a reload open it anew.",
    )
    .restart()
    .panel(Panel::Never),
    setting("gateway.log.keep", &[], "30d", "How long the request log keeps its rows.").restart(),
    setting("gateway.log.keep_size", &[], "1GiB", "How large the request log may grow; beyond it the oldest rows go.")
        .restart(),
    setting(
        "gateway.log.keep_rejected",
        &[],
        "32MiB",
        "How much room rows may take, beside that, of requests that anybody can send: refused ones, and those without a key.",
    )
    .restart(),
    setting(
        "gateway.log.keep_statistics",
        &[],
        "400d",
        "How long statistics by the hour and by the day are kept, which need little room.",
    )
    .restart(),
    setting("gateway.log.queue", &[], "16384", "Most records that wait for the disk; others are dropped, and counted.")
        .restart(),
    setting("gateway.log.queue_bytes", &[], "32MiB", "Most bytes of bodies among them; other records go without.")
        .restart(),
    setting(
        "gateway.log.capture_error_body",
        &[],
        "true",
        "Keep the first 8 KiB of an error's body in the request log, without keys.",
    ),
    setting(
        "gateway.log.capture",
        &[],
        "off",
        "Keep whole requests in the request log, without keys: off, errors (those of failed requests), or all.",
    ),
    setting("gateway.log.capture_body", &[], "64KiB", "How much of a kept request's body is kept."),
    setting(
        "gateway.metrics.models",
        &[],
        "50",
        "Most models that are counted by name in metrics and statistics; further ones are counted as other.",
    ),
    setting(
        "gateway.limits.connections",
        &[],
        "16384",
        "Most connections, and requests, of all clients; for a new one the connection that is idle longest is closed, then \
         those whose requests do not come; if all are busy, it is not taken.",
    ),
    setting(
        "gateway.limits.connections_per_client",
        &[],
        "4096",
        "Most connections, and requests, of one client address (IPv6: of one /64 network). Connections of trusted_proxies have \
         no such cap; the requests of each client behind them have.",
    ),
    setting("gateway.limits.request_body", &[], "32MiB", "Largest request body; beyond it 413."),
    setting(
        "gateway.limits.request_bodies_total",
        &[],
        "256MiB",
        "Bytes of request bodies held at one time; beyond it 503. A client may have a quarter while others need room, and never \
         the last part of it all.",
    ),
    setting("gateway.limits.header_bytes", &[], "64KiB", "Largest request head; beyond it 431."),
    setting("gateway.limits.header_count", &[], "100", "Most header fields of a request (at most 250); beyond it 431."),
    setting("gateway.limits.target_bytes", &[], "16KiB", "Longest request target (path and query); beyond it 414."),
    setting(
        "gateway.limits.header_timeout",
        &[],
        "10s",
        "Time for a request head to come in, from its first byte; beyond it 408. A new connection has as long for each \
         step before.",
    ),
    setting(
        "gateway.limits.body_timeout",
        &[],
        "30s",
        "Longest silence while a request body comes in, a tenth of the time for all of it; beyond it 408.",
    ),
    setting(
        "gateway.limits.body_min_rate",
        &[],
        "16KiB",
        "A second: request bodies that come in more slowly are the first to go when there is no room for others; 408.",
    ),
    setting(
        "gateway.limits.keepalive_timeout",
        &[],
        "75s",
        "How long a client connection may stay idle between requests.",
    ),
    setting("gateway.limits.write_timeout", &[], "60s", "Longest time that a client takes no byte of its answer."),
    setting(
        "gateway.limits.unsent_answers",
        &[],
        "128MiB",
        "Bytes of answers in memory that wait for slow clients; beyond it the one that waits longest is ended.",
    ),
    setting(
        "gateway.limits.queue",
        &[],
        "100",
        "Most requests that wait for a place at one upstream with max_in_flight; 0: none waits.",
    ),
    setting("gateway.limits.queue_timeout", &[], "10s", "How long a request waits for such a place."),
    setting(
        "gateway.limits.event",
        &[],
        "64KiB",
        "Largest event of a stream that is read for tokens and errors; larger ones are passed on unread, and counted.",
    ),
    setting("gateway.limits.reply", &[], "1MiB", "Largest reply that is read for tokens, if it is not streamed."),
    setting("gateway.timeouts.connect", &[], "10s", "Time to connect to an upstream, TLS included."),
    setting(
        "gateway.timeouts.read",
        &[],
        "600s",
        "Longest silence of an upstream, before its first byte and between bytes.",
    ),
    setting(
        "gateway.timeouts.first_byte",
        &[],
        "",
        "How long an upstream may take to begin its answer, before the next one is tried; not set: as timeouts.read.",
    ),
    setting("gateway.timeouts.write", &[], "60s", "Longest time that an upstream takes no byte of a request."),
    setting("gateway.timeouts.pool_idle", &[], "60s", "How long an idle connection to an upstream is kept for reuse."),
    setting(
        "gateway.failover.max_attempts",
        &[],
        "3",
        "Most attempts for one request, the first one included (at most 10).",
    ),
    list(
        "gateway.failover.retry_on",
        &[],
        "500, 502, 503, 504, 520-524, 529, 429",
        "Statuses from 400 on after which the next upstream is tried, and ranges of them; or none.",
    ),
    setting("gateway.failover.retry_budget", &[], "20%", "Most retries, as a share of all requests."),
    setting("gateway.failover.retry_budget_min", &[], "10", "Retries per second that are allowed in any case."),
    setting(
        "gateway.failover.hold_head",
        &[],
        "200ms",
        "How long an answer's head waits for the first byte of its body, so that the upstream can still be replaced.",
    ),
    setting("gateway.health.failures", &[], "5", "Failures in a row after which an upstream counts as down."),
    setting("gateway.health.error_rate", &[], "50%", "Share of failures from which on an upstream counts as down."),
    setting("gateway.health.window", &[], "30s", "The time that error_rate looks back: whole seconds, at most 10m."),
    setting("gateway.health.min_requests", &[], "20", "Requests within the window before error_rate counts."),
    setting("gateway.health.open", &[], "5s", "How long an upstream that is down gets no requests, at first."),
    setting("gateway.health.open_max", &[], "5m", "The longest of these pauses; each is twice as long as the last."),
    setting(
        "gateway.health.probe.path",
        &[],
        "",
        "Path to ask each upstream for now and then, behind the prefix of its base_url; not set or off: none is asked.",
    ),
    setting("gateway.health.probe.method", &[], "GET", "Method of these requests: GET, HEAD, OPTIONS or POST.")
        .choices(&["GET", "HEAD", "OPTIONS", "POST"]),
    setting("gateway.health.probe.interval", &[], "30s", "Time between two of them, at least 1s."),
    setting("gateway.health.probe.timeout", &[], "10s", "Time for their answer."),
    list("gateway.health.probe.status", &[], "200-499", "Statuses of an upstream that is well, and ranges of them."),
    setting(
        "gateway.affinity.sessions",
        &[],
        "10000",
        "Most sessions that are remembered to have moved to another upstream.",
    ),
    setting("gateway.affinity.idle", &[], "1h", "How long one is remembered after its last request."),
    list(
        "gateway.dns.servers",
        &["DNS_SERVERS"],
        "",
        "Comma list of name servers, address or address:port; not set: the system's.",
    ),
];

/// One key of an entry of `gateway.upstreams`: its name, its default ("" for "not set"), and what it means.
#[derive(Debug)]
pub struct UpstreamSetting {
    /// Name inside the entry.
    pub key: &'static str,
    /// The value if the entry has none.
    pub default: &'static str,
    /// One line for the operator.
    pub help: &'static str,
    /// Whether the panel may set it.
    pub panel: Panel,
}

const fn upstream(key: &'static str, default: &'static str, help: &'static str) -> UpstreamSetting {
    UpstreamSetting { key, default, help, panel: Panel::MaySet }
}

const fn file_of_upstream(key: &'static str, default: &'static str, help: &'static str) -> UpstreamSetting {
    UpstreamSetting { key, default, help, panel: Panel::NoMore }
}

/// All keys of an upstream.
pub const UPSTREAM_SETTINGS: &[UpstreamSetting] = &[
    upstream("name", "", "Name in logs, metrics and errors; the host if not set."),
    upstream("base_url", "", "http:// or https:// URL, with a path prefix if need be."),
    upstream("priority", "0", "Lower numbers are preferred."),
    upstream("weight", "1", "Share of the requests within one priority."),
    upstream("profile", "", "anyrouter or none; not set: anyrouter for the host anyrouter.top, else none."),
    upstream("profile_rules", "", "Switches rules of the profile by name: {anyrouter.compact: on}."),
    upstream("api_key", "", "Key sent instead of the client's, such as ${env.X}; only keys in routes may use it."),
    upstream("proxy", "", "Outbound proxy of this upstream (NO_PROXY does not matter then), or off."),
    upstream("http", "1", "HTTP version: 1, 2, or auto (what TLS agrees on; 1 for http://)."),
    upstream("max_in_flight", "", "Most requests at it at one time; not set: no bound."),
    upstream("probe", "", "As gateway.health.probe.path, for this upstream; or off."),
    upstream("preserve_host", "", "As gateway.preserve_host, for this upstream."),
    file_of_upstream("ca_file", "", "PEM file of certificate authorities to trust instead of the system's."),
    upstream("sni", "", "Name to ask for and to check in the TLS handshake; the host if not set."),
    upstream("insecure", "false", "Accept any TLS certificate. Only for tests."),
    upstream("connect_timeout", "", "As gateway.timeouts.connect, for this upstream."),
    upstream("read_timeout", "", "As gateway.timeouts.read, for this upstream."),
    upstream("first_byte_timeout", "", "As gateway.timeouts.first_byte, for this upstream."),
];

/// The panel's words for the lists.
pub const LISTS: [(&str, &str); 4] = [
    ("gateway.upstreams", "Where requests go. API_BASE_URL and API_BASE_URLS replace it."),
    ("gateway.rules", "Rules that change requests, applied in order after those of the upstream's profile."),
    ("gateway.routes", "Which client keys go to which upstreams."),
    ("gateway.prices", "What tokens cost, by model; before the built-in prices."),
];

/// The setting with this key. The table is closed: asking for a key that is not in it is a programming error.
pub fn find(key: &str) -> &'static Setting {
    match SETTINGS.iter().find(|setting| setting.key == key) {
        Some(setting) => setting,
        None => panic!("no setting is declared for {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panel_tells_the_meaning_of_each_in_chinese_too() {
        let chinese = include_str!("../../../static/src/i18n/setting_help.ts");
        let keys = SETTINGS.iter().map(|setting| setting.key.to_owned());
        let lists = LISTS.iter().map(|(key, _)| (*key).to_owned());
        let upstream = UPSTREAM_SETTINGS.iter().map(|setting| format!("gateway.upstreams[].{}", setting.key));
        let missing: Vec<_> =
            keys.chain(lists).chain(upstream).filter(|key| !chinese.contains(&format!("'{key}': '"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
