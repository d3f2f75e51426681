//! A request to the API.

use super::parameters::Parameters;
use super::refused::Refused;
use bytes::Bytes;
use pingora::http::RequestHeader;
use std::net::IpAddr;

/// Largest body of a request to the API.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest body of a request that shows no key before it, such as a login.
pub(super) const SMALL_BODY_BYTES: usize = 4 * 1024;

/// A request to the API.
pub(super) struct Call {
    /// Its head.
    pub request: RequestHeader,
    /// Where it comes from.
    pub client: Option<IpAddr>,
    /// What the path names: the value of `{id}` or `{name}` in the template; empty if that has none.
    pub named: String,
    /// What the query says.
    pub parameters: Parameters,
    /// Its body.
    pub body: Bytes,
}

impl Call {
    /// The body as what it should be; `hint` follows the complaint about one that is too large.
    pub(super) fn json<'a, T: serde::Deserialize<'a>>(&'a self, hint: &str) -> Result<T, Refused> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(Refused::Status(413, format!("The body is larger than {MAX_BODY_BYTES} bytes{hint}.")));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Refused::bad(format!("The body is not what is expected here: {error}.")))
    }
}
