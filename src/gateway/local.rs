//! The few paths that are the gateway's own. Who answers them is not the gateway's business: it hands such a request
//! on.

use super::answer::{Answer, Recipient};
use super::browser::is_browser;
use super::panel_key::Carried;
use crate::config::Config;
use async_trait::async_trait;
use bytes::Bytes;
use gateway_core::again::Again;
use gateway_core::both;
use gateway_core::http1::{is_at_or_below, split_query};
use gateway_core::reason::Reason;
use http::Method;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use std::net::IpAddr;

/// A request for one of the gateway's own pages.
pub(crate) struct LocalRequest<'v> {
    /// Its head, and the way to answer it.
    pub session: &'v mut ServerSession,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// Its whole body.
    pub body: Bytes,
    /// The gateway's id of it.
    pub request_id: &'v str,
}

/// Who answers such requests.
#[async_trait]
pub(crate) trait LocalHandler: Send + Sync {
    /// How many bytes of body this request may bring. It is asked before any of them is read.
    ///
    /// # Errors
    /// The answer to a request that gets it without its body.
    async fn admit(&self, request: &RequestHeader, client: Option<IpAddr>, request_id: &str) -> Result<usize, Answer>;

    /// Answers one.
    ///
    /// # Errors
    /// When the client is gone.
    async fn serve(&self, request: LocalRequest<'_>) -> pingora::Result<()>;
}

/// Whether a request for this target may be one for a page that takes a body: a quick look before the whole one.
pub(super) fn may_take_body(target: &[u8]) -> bool {
    let (path, _) = split_query(target);
    path.contains(&b'%') || path.windows(5).any(|part| part.eq_ignore_ascii_case(b"admin"))
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The pages' own.
    Pages,
    /// Nobody's: what a lenient upstream could take for the admin API, whose keys and cookies are not for upstreams.
    Nobody,
    /// The upstreams'.
    Upstreams,
}

/// Whose request this is.
pub(super) fn whose(request: &RequestHeader, config: &Config) -> Whose {
    let (path, _) = split_query(request.raw_path());
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let is_api = is_at_or_below(path, &["api", "admin"]);
    let is_own = match path {
        b"/health" => is_read,
        _ if !config.dashboard_enabled => false,
        b"/" => is_read && is_browser(&request.headers),
        b"/admin" => true,
        _ => path.starts_with(b"/admin/") || path.starts_with(b"/api/admin/"),
    };
    match (is_own, is_api) {
        (true, _) => Whose::Pages,
        (false, true) => Whose::Nobody,
        (false, false) => Whose::Upstreams,
    }
}

/// The names of the panel's cookie, over TLS and without.
pub(crate) const SESSION_COOKIES: [&str; 2] = ["__Secure-gateway_session", "gateway_session"];

/// The answer to what is [`Whose::Nobody`]'s.
pub(super) fn nothing_here(to: Recipient<'_>) -> Answer {
    let message = both!(
        "There is no such page: paths like /api/admin are the gateway's own and go to no upstream. The admin API is at \
         /api/admin/ (docs/api.md), unless gateway.dashboard.enabled is false; the admin service always has it.",
        "没有这个页面：/api/admin 一类的路径属于网关自身，不会转发给上游。管理 API 位于 /api/admin/（见 docs/api.md）；\
         如果 gateway.dashboard.enabled 为 false，则只在管理端口提供。"
    );
    Answer::error(404, &message, to).again(Again::Never)
}

/// The answer to a request that carries the panel's key to an upstream.
pub(super) fn panel_key_refused(carried: Carried, to: Recipient<'_>) -> Answer {
    let answer = match carried {
        Carried::InHead => {
            let message = both!(
                "This is the key of the gateway's own panel (DASHBOARD_API_KEY, or data/dashboard.key), which goes to no \
                 upstream: give the client the relay's key (ANTHROPIC_AUTH_TOKEN). If both are the same, give the panel \
                 another one.",
                "这是网关面板的密钥（DASHBOARD_API_KEY 或 data/dashboard.key），不会发给任何上游：请在客户端填写中转站的密钥\
                 （ANTHROPIC_AUTH_TOKEN）。如果两者相同，请给面板换一个密钥。"
            );
            Answer::error(401, &message, to)
        }
        // No 401: clients would ask for another key of theirs, which is right.
        Carried::InBody => {
            let message = both!(
                "The text of this request holds the key of the gateway's own panel, which goes to no upstream. Give the \
                 panel another key (`anyrouter-gateway panel --new-key`, or DASHBOARD_API_KEY), and the conversation goes \
                 on; or take the key out of it.",
                "请求的内容里有网关面板的密钥，它不会发给任何上游。请给面板换一个密钥（运行 `anyrouter-gateway panel --new-key`，\
                 或修改 DASHBOARD_API_KEY），对话即可继续；也可以从对话中删去这个密钥。"
            );
            Answer::error(403, &message, to)
        }
    };
    answer.again(Reason::PanelKey.again())
}
