//! Bounds on clients.

use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use crate::connections::{Fit, fit};
use gateway_core::http1::head;
use gateway_core::usage::meter;
use std::time::Duration;

/// Most connections that one may ask for.
const MOST_CONNECTIONS: u32 = 1_000_000;

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

    /// Reads `gateway.limits`, but for the queues of upstreams; `None` when something is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let request_body = reader.read("gateway.limits.request_body", value::size);
        let request_bodies_total = reader.read("gateway.limits.request_bodies_total", value::size);
        if let (Some(one), Some(all)) = (request_body, request_bodies_total)
            && one > all
        {
            let at = reader.source_of("gateway.limits.request_bodies_total").unwrap_or(Source::Default);
            let other = "gateway.limits.request_body".to_owned();
            reader.problem(at, "gateway.limits.request_bodies_total", Message::LessThan { other });
        }
        let connections = reader.read("gateway.limits.connections", |text| value::number(text, 1..=MOST_CONNECTIONS));
        let connections_per_client =
            reader.read("gateway.limits.connections_per_client", |text| value::number(text, 1..=MOST_CONNECTIONS));
        let header_bytes = reader.read("gateway.limits.header_bytes", |text| {
            let bytes = value::size(text)?;
            // Pingora itself stops at 1 MiB less one byte.
            if bytes < 1_048_575 { Ok(bytes) } else { Err(Message::NotBelowMib { text: text.to_owned() }) }
        });
        let header_count =
            reader.read("gateway.limits.header_count", |text| value::number(text, 1..=head::MOST_FIELDS as u32));
        let target_bytes = reader.read("gateway.limits.target_bytes", value::size);
        let header_timeout = reader.read("gateway.limits.header_timeout", value::duration);
        let body_timeout = reader.read("gateway.limits.body_timeout", value::duration);
        let body_min_rate = reader.read("gateway.limits.body_min_rate", value::size);
        let keepalive_timeout = reader.read("gateway.limits.keepalive_timeout", value::duration);
        let write_timeout = reader.read("gateway.limits.write_timeout", value::duration);
        let unsent_answers = reader.read("gateway.limits.unsent_answers", value::size);
        let event_bytes = reader.read("gateway.limits.event", value::size);
        let reply_bytes = reader.read("gateway.limits.reply", value::size);
        Some(Self {
            head: head::Limits {
                header_bytes: header_bytes?,
                header_count: usize::try_from(header_count?).ok()?,
                target_bytes: target_bytes?,
            },
            connections: usize::try_from(connections?).ok()?,
            connections_per_client: usize::try_from(connections_per_client?).ok()?,
            request_body: request_body?,
            request_bodies_total: request_bodies_total?,
            header_timeout: header_timeout?,
            body_timeout: body_timeout?,
            body_min_rate: body_min_rate?,
            keepalive_timeout: keepalive_timeout?,
            write_timeout: write_timeout?,
            unsent_answers: unsent_answers?,
            meter: meter::Limits { event_bytes: event_bytes?, reply_bytes: reply_bytes? },
        })
    }
}
