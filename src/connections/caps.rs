//! How many connections and requests there may be.

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Connections, and requests: over HTTP/2 there may be more of these.
    pub total: usize,
    /// The same of one client, as [`gateway_core::addresses::client_group`] tells them apart.
    pub per_client: usize,
    /// Connections and requests together.
    pub descriptors: usize,
}

impl Caps {
    /// How many connections may be on their way out: until they are closed they still have their descriptors, and in a
    /// flood more would be accepted than there are. Those that come meanwhile are not taken.
    pub(super) fn closing_at_once(self) -> usize {
        (self.total.min(self.descriptors) / 16).clamp(4, 64)
    }
}

/// Why a connection was closed to make room, or a new one was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All connections.
    Total,
    /// Those of its client.
    Client,
    /// The files that the process may open.
    Descriptors,
}

impl Full {
    /// All reasons.
    pub(crate) const ALL: [Self; 3] = [Self::Total, Self::Client, Self::Descriptors];

    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Total => "connections",
            Self::Client => "connections_per_client",
            Self::Descriptors => "open_files",
        }
    }
}

/// What one client may have of the descriptors: never all.
pub(crate) fn most_of_one(descriptors: usize) -> usize {
    descriptors - descriptors / 4
}
