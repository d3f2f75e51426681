//! What the service is called, and where it lives.

use std::path::{Path, PathBuf};

/// The unit.
pub(super) const UNIT: &str = "anyrouter-gateway.service";
/// The service's working folder.
pub(super) const STATE: &str = "/var/lib/anyrouter-gateway";

/// What the unit of a gateway needs beside what every unit has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Files that only root may read: the variable that names each, and its path.
    pub credentials: Vec<(String, PathBuf)>,
    /// Whether it listens below 1024.
    pub has_low_port: bool,
}

/// The path of this program.
pub(super) fn program() -> String {
    std::env::current_exe().unwrap_or_else(|_| Path::new(env!("CARGO_PKG_NAME")).to_owned()).display().to_string()
}
