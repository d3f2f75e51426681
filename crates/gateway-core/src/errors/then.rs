//! What may follow an error.

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The client gets it.
    Pass,
    /// The request goes to another upstream.
    Next,
    /// It goes out with another key at the same upstream, or else to another upstream.
    NextKey,
}

impl Then {
    /// What it is called in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Next => "next",
            Self::NextKey => "next_key",
        }
    }
}

/// What rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The key that the request went out with.
    Key,
    /// The upstream.
    Upstream,
}

/// What the client gets in place of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitute {
    /// Status; `None` for that of the error.
    pub status: Option<u16>,
    /// What it says.
    pub message: String,
}
