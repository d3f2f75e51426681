//! Whose a client token is.

use std::sync::Arc;

/// Whose a token is, by the names that rules, records and people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user's name.
    pub user: Arc<str>,
    /// The name of the user's group.
    pub group: Option<Arc<str>>,
    /// The token's id, which is no secret.
    pub token: Arc<str>,
}
