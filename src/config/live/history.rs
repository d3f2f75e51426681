//! The last versions of what the panel edits, kept in the state folder.

use super::super::files::Texts;
use super::super::source::atomic_file::Staged;
use super::super::source::bounds::TEXT_BYTES;
use super::super::source::text_file;
use gateway_core::language::Words;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many versions are kept.
const MOST: usize = 20;
/// Bytes of the file that are read: two texts of each version, which JSON may make twice as long.
const MOST_BYTES: usize = MOST * 2 * 2 * TEXT_BYTES;
const FILE: &str = "config-history.json";

/// One version.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Version {
    /// Names it, together with the operator's file of that time.
    pub version: String,
    /// When it came into force.
    pub saved_at_ms: u64,
    /// The overlay.
    pub overlay: String,
    /// The headers file.
    pub headers: String,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the texts: they may hold keys.
        f.debug_struct("Version").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The versions, the newest first.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    versions: Vec<Version>,
}

impl History {
    /// The history in this folder; one that cannot be read is begun anew, and the log says so.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let versions = match text_file::read_bytes(&path, MOST_BYTES) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                log::warn!("{} cannot be read, the history begins anew: {error}", path.display());
                Vec::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                log::warn!("{} cannot be read, the history begins anew: {error}", path.display());
                Vec::new()
            }
        };
        Self { path, versions }
    }

    /// The versions, the newest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter()
    }

    /// Adds a version, unless it is the newest already; the oldest one goes.
    pub(super) fn add(&mut self, texts: &Texts, at: SystemTime) {
        let version = texts.version();
        if self.versions.first().is_some_and(|newest| newest.version == version) {
            return;
        }
        let (overlay, headers) = (texts.overlay.clone(), texts.headers.clone());
        self.versions.insert(0, Version { version, saved_at_ms: millis(at), overlay, headers });
        self.versions.truncate(MOST);
    }

    /// Takes the newest version back if it is this one.
    pub(super) fn forget(&mut self, version: &str) {
        if self.versions.first().is_some_and(|newest| newest.version == version) {
            self.versions.remove(0);
        }
    }

    /// Whether somebody deleted its file.
    pub(super) fn is_gone(&self) -> bool {
        !self.versions.is_empty() && !self.path.exists()
    }

    /// Writes it to the disk.
    ///
    /// # Errors
    /// What could not be done, with the path.
    pub(super) fn save(&self) -> Result<(), Words> {
        let text = serde_json::to_vec(&self.versions).map_err(|error| Words::said(error.to_string()))?;
        Staged::write(&self.path, &text)?.commit()
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
