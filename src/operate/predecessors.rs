//! Processes that handed over and still finish their requests: each says so in a file of the runtime folder, since
//! nothing can connect to it any more.

use super::RuntimeDir;
use pingora_prometheus::prometheus::core::{Collector, Desc};
use pingora_prometheus::prometheus::proto::MetricFamily;
use pingora_prometheus::prometheus::{Error, IntGauge};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a draining process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Predecessor {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Requests and connections that it waits for.
    pub busy: usize,
    /// Since when it drains, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends at the latest.
    pub until_ms: u64,
}

impl Predecessor {
    /// Writes it down. That it cannot be written hurts nobody but those who want to see it.
    pub(crate) fn write(&self, folder: &RuntimeDir) {
        let path = folder.draining(self.pid);
        let beside = path.with_extension("new");
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path)) {
            log::debug!("{} cannot be written: {error}", path.display());
        }
    }

    /// It has ended.
    pub(crate) fn remove(folder: &RuntimeDir, pid: u32) {
        let _ = std::fs::remove_file(folder.draining(pid));
    }
}

/// Those that are still there, in order of their ids.
pub(crate) fn all(folder: &RuntimeDir) -> Vec<Predecessor> {
    let Ok(entries) = std::fs::read_dir(folder.path()) else { return Vec::new() };
    let mut found: Vec<Predecessor> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            (name.starts_with("draining-") && name.ends_with(".json")).then_some(())?;
            serde_json::from_slice::<Predecessor>(&std::fs::read(&path).ok()?).ok()
        })
        // One that was killed could not take its file away.
        .filter(|process| Path::new(&format!("/proc/{}", process.pid)).exists() && process.pid != std::process::id())
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// The same for Prometheus, read when it asks.
pub(crate) struct Metrics {
    folder: RuntimeDir,
    processes: IntGauge,
    busy: IntGauge,
}

impl Metrics {
    /// Of the processes that left their files in this folder.
    ///
    /// # Errors
    /// None: the names are valid.
    pub(crate) fn new(folder: RuntimeDir) -> Result<Self, Error> {
        Ok(Self {
            folder,
            processes: IntGauge::new(
                "gateway_predecessors",
                "Processes that handed over and finish their last requests.",
            )?,
            busy: IntGauge::new("gateway_predecessors_busy", "Requests and connections that those wait for.")?,
        })
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [&self.processes, &self.busy].into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let processes = all(&self.folder);
        let busy: usize = processes.iter().map(|process| process.busy).sum();
        for (gauge, value) in [(&self.processes, processes.len()), (&self.busy, busy)] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        [&self.processes, &self.busy].into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_gone_do_not_count() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = RuntimeDir::prepare(dir.path()).expect("a folder");
        let process = |pid| Predecessor { pid, version: "1".to_owned(), busy: 2, since_ms: 3, until_ms: 4 };
        process(1).write(&folder);
        process(u32::MAX).write(&folder);
        std::fs::write(dir.path().join("draining-x.json"), "no JSON").expect("written");
        assert_eq!(all(&folder), [process(1)]);
        Predecessor::remove(&folder, 1);
        assert_eq!(all(&folder), []);
    }
}
