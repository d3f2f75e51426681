//! A request that the gateway does not pass on, and what it says about it.

use crate::language::Words;
use crate::language::both;
use crate::reason::Reason;

/// Why a request is refused, as it is told to the client and counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {}: {message}", reason.code())]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// For counters and the access log.
    pub reason: Reason,
    /// One sentence for the client: what is wrong and what to do. Never holds a header's value.
    pub message: Words,
}

impl Refusal {
    /// A refusal with the given status.
    pub fn new(status: u16, reason: Reason, message: Words) -> Self {
        Self { status, reason, message }
    }

    /// 413: the body is larger than one may be.
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = both!(
            "The request body is larger than {limit_bytes} bytes (gateway.limits.request_body).",
            "请求体超过 {limit_bytes} 字节（gateway.limits.request_body）。"
        );
        Self::new(413, Reason::RequestBody, message)
    }

    /// 503: all bodies together are as large as they may be.
    pub fn too_many_bytes() -> Self {
        Self::new(
            503,
            Reason::RequestBodiesTotal,
            both!(
                "The gateway holds as many bytes of request bodies as it may (gateway.limits.request_bodies_total); try \
                 again.",
                "网关正在处理的请求体已占满内存限额（gateway.limits.request_bodies_total）；请重试。"
            ),
        )
    }

    /// 408: the body came in so slowly that it had to make room for another one.
    pub fn slow_body() -> Self {
        Self::new(
            408,
            Reason::BodyMinRate,
            both!(
                "The request body came in more slowly than gateway.limits.body_min_rate, and its memory was needed for \
                 another request.",
                "请求体的上传速度低于 gateway.limits.body_min_rate，它占用的内存已让给其他请求。"
            ),
        )
    }

    /// 503: the body had to make room, because its client held more than its share.
    pub fn over_share() -> Self {
        Self::new(
            503,
            Reason::BodyShare,
            both!(
                "This client's request bodies took more than a quarter of the memory for all (\
                 gateway.limits.request_bodies_total), and another client needed it; try again.",
                "此客户端的请求体占用了超过四分之一的内存限额（gateway.limits.request_bodies_total），而其他客户端需要内存；请重试。"
            ),
        )
    }

    /// 503: no descriptor is left for the way to an upstream, or the connection makes room for another one.
    pub fn no_room() -> Self {
        let message = both!(
            "The gateway has as many connections and requests as it may, or as this client may have \
             (gateway.limits.connections, connections_per_client, ulimit -n); try again.",
            "网关的连接和请求数，或此客户端的连接和请求数，已达上限（gateway.limits.connections、connections_per_client、\
             ulimit -n）；请重试。"
        );
        Self::new(503, Reason::Connections, message)
    }

    /// 503: the client does not read the responses that it has.
    pub fn unread_responses() -> Self {
        Self::new(
            503,
            Reason::UnsentAnswers,
            both!(
                "This client's address has responses that it does not read, and they take much of the memory for all such \
                 responses (gateway.limits.unsent_answers); try again.",
                "来自此地址的客户端没有读取收到的响应，这些响应占用了大量内存（gateway.limits.unsent_answers）；请重试。"
            ),
        )
    }

    /// 408: the head did not come in in time.
    pub fn late_head() -> Self {
        Self::new(
            408,
            Reason::HeaderTimeout,
            both!("The request head did not come in in time.", "没有在限定时间内收到完整的请求头。"),
        )
    }

    /// 408: the body stopped coming in.
    pub fn late_body() -> Self {
        Self::new(408, Reason::BodyTimeout, both!("The request body stopped coming in.", "请求体传到一半就停了。"))
    }

    /// 400: the request breaks RFC 9110 or RFC 9112.
    pub fn bad(reason: Reason, message: Words) -> Self {
        Self::new(400, reason, message)
    }
}
