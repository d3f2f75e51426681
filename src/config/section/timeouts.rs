//! How long an upstream may take, and the name servers that are asked for it.

use crate::config::source::setting::{Setting, settings};
use crate::config::source::value;
use std::net::SocketAddr;
use std::time::Duration;

settings! {
    CONNECT: Duration = Setting::one(
        "gateway.timeouts.connect",
        "10s",
        value::duration,
        "Time to connect to an upstream, TLS included.",
        "连接上游的时限，包括 TLS。",
    );
    READ: Duration = Setting::one(
        "gateway.timeouts.read",
        "600s",
        value::duration,
        "Longest silence of an upstream, before its first byte and between bytes.",
        "上游的最长静默时间，首字节之前与字节之间均适用。",
    );
    WRITE: Duration = Setting::one(
        "gateway.timeouts.write",
        "60s",
        value::duration,
        "Longest time that an upstream takes no byte of a request.",
        "上游不接收任何请求字节的最长时间。",
    );
    FIRST_BYTE: Duration = Setting::one(
        "gateway.timeouts.first_byte",
        "",
        value::duration,
        "How long an upstream may take to begin its answer, before the next one is tried; not set: as timeouts.read.",
        "上游开始响应的时限，超时则改试下一个；未设置时与 timeouts.read 相同。",
    );
    FIRST_EVENT: Duration = Setting::one(
        "gateway.timeouts.first_event",
        "",
        value::duration,
        "How long an upstream may take to send the first event of a stream that says something, before the next one is \
         tried; not set: any time.",
        "上游发出流中首个有内容的事件的时限，超时则改试下一个；未设置时不限。",
    );
    POOL_IDLE: Duration = Setting::one(
        "gateway.timeouts.pool_idle",
        "60s",
        value::duration,
        "How long an idle connection to an upstream is kept for reuse.",
        "与上游的空闲连接保留多久，以便复用。",
    );
    DNS_SERVERS: Vec<SocketAddr> = Setting::list(
        "gateway.dns.servers",
        "",
        value::name_servers,
        "Comma list of name servers, address or address:port; not set: the system's.",
        "DNS 服务器，用逗号分隔，写地址或“地址:端口”；未设置时使用系统的。",
    )
    .env(&["DNS_SERVERS"]);
}
