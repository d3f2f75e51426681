//! Bounds on clients.

use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use crate::connections::{Fit, fit};
use gateway_core::http1::head;
use gateway_core::usage::meter;
use std::time::Duration;

/// Most connections that one may ask for.
const MOST_CONNECTIONS: usize = 1_000_000;

settings! {
    REQUEST_BODY: usize = Setting::one(
        "gateway.limits.request_body",
        "32MiB",
        value::size,
        "Largest request body; beyond it 413.",
        "请求体的大小上限，超出返回 413。",
    );
    REQUEST_BODIES_TOTAL: usize = Setting::one(
        "gateway.limits.request_bodies_total",
        "256MiB",
        value::size,
        "Bytes of request bodies held at one time; beyond it 503. A client may have a quarter while others need \
         room, and never the last part of it all.",
        "同时保存的请求体的总量上限，超出返回 503。额度不足时，每个客户端最多占四分之一；任何时候都为其他客户端留有余量。",
    );
    CONNECTIONS: usize = Setting::one(
        "gateway.limits.connections",
        "16384",
        |text| value::number(text, 1..=MOST_CONNECTIONS),
        "Most connections, and requests, of all clients; for a new one the connection that is idle longest is \
         closed, then those whose requests do not come; if all are busy, it is not taken.",
        "全部客户端的连接数上限，请求数也受此限。超出后，先关闭空闲最久的连接，再关闭请求迟迟传不完的连接；都在忙时拒绝新连接。",
    );
    CONNECTIONS_PER_CLIENT: usize = Setting::one(
        "gateway.limits.connections_per_client",
        "4096",
        |text| value::number(text, 1..=MOST_CONNECTIONS),
        "Most connections, and requests, of one client address (IPv6: of one /64 network). Connections of \
         trusted_proxies have no such cap; the requests of each client behind them have.",
        "单个客户端地址（IPv6 为 /64 网段）的连接数上限，请求数也受此限。trusted_proxies 中的地址不受连接数限制，但其背后每个客户端的请求数仍受此限。",
    );
    HEADER_BYTES: usize = Setting::one(
        "gateway.limits.header_bytes",
        "64KiB",
        header_bytes,
        "Largest request head; beyond it 431.",
        "请求头的总大小上限，超出返回 431。",
    );
    HEADER_COUNT: usize = Setting::one(
        "gateway.limits.header_count",
        "100",
        |text| value::number(text, 1..=head::MOST_FIELDS),
        "Most header fields of a request (at most 250); beyond it 431.",
        "请求头的数量上限（最多 250），超出返回 431。",
    );
    TARGET_BYTES: usize = Setting::one(
        "gateway.limits.target_bytes",
        "16KiB",
        value::size,
        "Longest request target (path and query); beyond it 414.",
        "请求目标（路径与查询参数）的长度上限，超出返回 414。",
    );
    HEADER_TIMEOUT: Duration = Setting::one(
        "gateway.limits.header_timeout",
        "10s",
        value::duration,
        "Time for a request head to come in, from its first byte; beyond it 408. A new connection has as long for \
         each step before.",
        "从首字节起接收完请求头的时限，超出返回 408；新连接在此之前的每一步（TLS 握手、HTTP/2 前言、首字节）也各有同样的时限。",
    );
    BODY_TIMEOUT: Duration = Setting::one(
        "gateway.limits.body_timeout",
        "30s",
        value::duration,
        "Longest silence while a request body comes in, a tenth of the time for all of it; beyond it 408.",
        "接收请求体时允许的最长静默，总时限为其十倍；超出返回 408。",
    );
    BODY_MIN_RATE: usize = Setting::one(
        "gateway.limits.body_min_rate",
        "16KiB",
        value::size,
        "A second: request bodies that come in more slowly are the first to go when there is no room for others; \
         408.",
        "每秒字节数：额度不足时，传得比这慢的请求体最先被放弃，返回 408。",
    );
    KEEPALIVE_TIMEOUT: Duration = Setting::one(
        "gateway.limits.keepalive_timeout",
        "75s",
        value::duration,
        "How long a client connection may stay idle between requests.",
        "客户端连接在两次请求之间可空闲的时间。",
    );
    WRITE_TIMEOUT: Duration = Setting::one(
        "gateway.limits.write_timeout",
        "60s",
        value::duration,
        "Longest time that a client takes no byte of its answer.",
        "客户端一个字节也不接收的最长时间，超出即断开。",
    );
    UNSENT_ANSWERS: usize = Setting::one(
        "gateway.limits.unsent_answers",
        "128MiB",
        value::size,
        "Bytes of answers in memory that wait for slow clients; beyond it the one that waits longest is ended.",
        "等待慢速客户端接收的响应总量；超出后，断开积压最多的客户端中等待最久的响应。",
    );
    EVENT: usize = Setting::one(
        "gateway.limits.event",
        "64KiB",
        value::size,
        "Largest event of a stream that is read for tokens and errors; larger ones are passed on unread, and \
         counted.",
        "为读取 token 与错误，最多解析多长的流事件；更长的原样转发，不解析，只计数。",
    );
    REPLY: usize = Setting::one(
        "gateway.limits.reply",
        "1MiB",
        value::size,
        "Largest reply that is read for tokens, if it is not streamed.",
        "为读取 token，最多解析多长的非流式响应。",
    );
}

/// Bounds on what clients may send, and on the time they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on request heads.
    pub head: head::Limits,
    /// Connections of all clients.
    pub connections: usize,
    /// Connections of one client.
    pub connections_per_client: usize,
    /// Bytes of one request body.
    pub request_body: usize,
    /// Bytes of all request bodies held at one time.
    pub request_bodies_total: usize,
    /// Time for a head to come in.
    pub header_timeout: Duration,
    /// Longest silence while a body comes in.
    pub body_timeout: Duration,
    /// Bytes a second: bodies that come in more slowly are the first to make room.
    pub body_min_rate: usize,
    /// Longest idle time between requests.
    pub keepalive_timeout: Duration,
    /// Longest time that a client takes no byte of its answer.
    pub write_timeout: Duration,
    /// Bytes of answers that wait for slow clients, all together.
    pub unsent_answers: usize,
    /// How much of answers is read.
    pub meter: meter::Limits,
}

impl Limits {
    /// The caps on connections of a process that may have this many files open.
    pub fn fit(&self, open_files: u64) -> Fit {
        fit(open_files, self.connections, self.connections_per_client)
    }

    /// Reads `gateway.limits`, but for the queues of upstreams.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let (request_body, request_bodies_total) = read_bodies(reader);
        Self {
            request_body,
            request_bodies_total,
            connections: reader.get(&CONNECTIONS),
            connections_per_client: reader.get(&CONNECTIONS_PER_CLIENT),
            head: head::Limits {
                header_bytes: reader.get(&HEADER_BYTES),
                header_count: reader.get(&HEADER_COUNT),
                target_bytes: reader.get(&TARGET_BYTES),
            },
            header_timeout: reader.get(&HEADER_TIMEOUT),
            body_timeout: reader.get(&BODY_TIMEOUT),
            body_min_rate: reader.get(&BODY_MIN_RATE),
            keepalive_timeout: reader.get(&KEEPALIVE_TIMEOUT),
            write_timeout: reader.get(&WRITE_TIMEOUT),
            unsent_answers: reader.get(&UNSENT_ANSWERS),
            meter: meter::Limits { event_bytes: reader.get(&EVENT), reply_bytes: reader.get(&REPLY) },
        }
    }
}

/// The bytes of one body, and of all together.
fn read_bodies(reader: &mut Reader<'_>) -> (usize, usize) {
    let before = reader.problems.len();
    let (one, all) = (reader.get(&REQUEST_BODY), reader.get(&REQUEST_BODIES_TOTAL));
    if one > all && reader.problems.len() == before {
        let at = reader.source_of(&REQUEST_BODIES_TOTAL).unwrap_or(Source::Default);
        let other = REQUEST_BODY.about.key.to_owned();
        reader.problem(at, REQUEST_BODIES_TOTAL.about.key, Message::LessThan { other });
    }
    (one, all)
}

fn header_bytes(text: &str) -> Result<usize, Message> {
    let bytes = value::size(text)?;
    // Pingora itself stops at 1 MiB less one byte.
    if bytes < 1_048_575 { Ok(bytes) } else { Err(Message::NotBelowMib { text: text.to_owned() }) }
}
