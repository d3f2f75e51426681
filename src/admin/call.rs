//! A request to the API.

use super::fault::Fault;
use super::parameters::Parameters;
use super::refused::Refused;
use bytes::Bytes;
use gateway_core::team::text::Digest;
use gateway_core::team::token::Token;
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::sync::Arc;

/// Largest body of a request to the API.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest body of a request that shows no key before it, such as a login.
pub(super) const SMALL_BODY_BYTES: usize = 4 * 1024;

/// Who makes a request to the API.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// As the audit has it.
    pub name: String,
    /// Whose client token it shows, if it does not show the key.
    pub token: Option<Arc<Token>>,
    /// What is kept of the text of that token which it shows.
    pub text: Option<Digest>,
}

/// A request to the API.
pub(super) struct Call {
    /// Its head.
    pub request: RequestHeader,
    /// Where it comes from.
    pub client: Option<IpAddr>,
    /// Who makes it, where the path needs somebody.
    pub caller: Caller,
    /// What the path names: the value of `{id}` or `{name}` in the template; empty if that has none.
    pub named: String,
    /// What it names within that: the value of the second one, such as `{key}`.
    pub within: String,
    /// What the query says.
    pub parameters: Parameters,
    /// Its body.
    pub body: Bytes,
}

impl Call {
    /// The body as what it should be; `too_large` says that it has more than so many bytes.
    pub(super) fn json<'a, T: serde::Deserialize<'a>>(&'a self, too_large: fn(u64) -> Fault) -> Result<T, Refused> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(too_large(MAX_BODY_BYTES as u64).into());
        }
        serde_json::from_slice(&self.body).map_err(|error| Fault::BodyUnread { said: error.to_string() }.into())
    }
}
