//! What an upstream of the list has from the settings above the list.

use super::proxy::Proxies;
use std::time::Duration;

/// What an entry of the list inherits from the settings above it.
#[derive(Clone, Copy, Debug)]
pub struct Inherited<'a> {
    /// `gateway.preserve_host`
    pub preserve_host: bool,
    /// `gateway.timeouts.connect`
    pub connect_timeout: Duration,
    /// `gateway.timeouts.read`
    pub read_timeout: Duration,
    /// `gateway.timeouts.first_byte`
    pub first_byte_timeout: Option<Duration>,
    /// `gateway.timeouts.first_event`
    pub first_event_timeout: Option<Duration>,
    /// `gateway.health.probe.path`
    pub probe: Option<&'a str>,
    /// `gateway.proxy`
    pub proxies: &'a Proxies,
}

impl Inherited<'_> {
    /// The time for the answer of an upstream to begin, given its own settings.
    pub(super) fn first_byte(&self, own: Option<Duration>, read_timeout: Duration) -> Duration {
        own.or(self.first_byte_timeout).unwrap_or(read_timeout).min(read_timeout)
    }

    /// Short times, and nothing else.
    #[cfg(test)]
    pub const NONE: Inherited<'static> = Inherited {
        preserve_host: false,
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        first_byte_timeout: None,
        first_event_timeout: None,
        probe: None,
        proxies: Proxies::NONE,
    };
}
