//! The configuration in the form that requests use: built once per load, swapped as a whole.

use crate::config::Config;
use crate::upstream::{self, Upstream};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// A header to set on every request, parsed.
#[derive(Clone, Debug)]
pub struct HeaderToSet {
    /// The name in the operator's case.
    pub cased: String,
    /// The name to compare with.
    pub name: HeaderName,
    /// The value, marked as sensitive.
    pub value: HeaderValue,
}

/// What requests are handled with.
#[derive(Debug)]
pub struct Snapshot {
    /// The validated configuration.
    pub config: Config,
    /// Its upstreams, preferred ones first.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Its custom headers.
    pub headers: Vec<HeaderToSet>,
}

impl Snapshot {
    /// Prepares a configuration.
    ///
    /// # Errors
    /// When an upstream or a header cannot be prepared.
    pub fn new(config: Config) -> Result<Self, String> {
        let upstreams = upstream::prepare(&config)?;
        if upstreams.is_empty() {
            return Err("there is no upstream".to_owned());
        }
        let headers = config.custom_headers.iter().map(|header| {
            let bad = |_| format!("header \"{}\" cannot be sent", header.name);
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad(()))?;
            let mut value = HeaderValue::from_bytes(header.value.expose().as_bytes()).map_err(|_| bad(()))?;
            value.set_sensitive(true);
            Ok(HeaderToSet { cased: header.name.clone(), name, value })
        });
        let headers = headers.collect::<Result<_, String>>()?;
        Ok(Self { config, upstreams, headers })
    }
}
