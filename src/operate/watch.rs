//! Loads the configuration anew when one of its files changes (`gateway.watch`).

use super::audited::{self, By, Noting};
use crate::config::live::Live;
use gateway_core::both;
use gateway_core::language::Words;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Nothing must change for so long before files are read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// How often it is looked whether the watched folders are still the same: one that is made anew tells nobody.
const LOOK: Duration = Duration::from_secs(2);

/// Starts a thread that watches the files of `live`. It ends with the process.
///
/// # Errors
/// When the files cannot be watched, with the reason.
pub(crate) fn start(live: Arc<Live>, noting: Noting) -> Result<(), Words> {
    let (changed, changes) = sync_channel(1);
    live.tell(changed.clone());
    let (watched, mut seen) = (Arc::clone(&live), glance(&live.files()));
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file changes nothing.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        // Most events are of other files in the folder, such as the database beside the overlay: no reason to read ours, and
        // a database that is always written to would never let it be quiet.
        let now = glance(&watched.files());
        if now != seen {
            seen = now;
            // A full queue holds a change already.
            let _ = changed.try_send(());
        }
    })
    .map_err(|error| both!("gateway.watch: {error}", "gateway.watch 无法监视文件：{error}"))?;
    let mut folders = Folders { watcher, watched: BTreeMap::new() };
    folders.watch(&live.files())?;
    let run = move || follow(&live, &noting, &mut folders, &changes);
    std::thread::Builder::new().name("watch".to_owned()).spawn(run).map_err(|error| Words::said(error.to_string()))?;
    Ok(())
}

/// What can be seen of files without reading them: of each the inode, the size, and when it was changed.
fn glance(files: &[PathBuf]) -> Vec<Option<[i128; 4]>> {
    let look = |file: &PathBuf| {
        let file = std::fs::metadata(file).ok()?;
        let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let (written, changed) = (time(file.mtime(), file.mtime_nsec()), time(file.ctime(), file.ctime_nsec()));
        Some([i128::from(file.ino()), i128::from(file.size()), written, changed])
    };
    files.iter().map(look).collect()
}

/// The folders that are watched, not the files: editors put new files into the places of old ones.
struct Folders {
    watcher: RecommendedWatcher,
    /// Each with its device and its number.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl Folders {
    /// Watches the folders of these files, and no others; whether another one is watched now.
    fn watch(&mut self, files: &[PathBuf]) -> Result<bool, Words> {
        let identity = |folder: &PathBuf| {
            let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
            Some((found.dev(), found.ino()))
        };
        let folders = files.iter().map(|file| folder(file));
        let wanted: BTreeMap<PathBuf, (u64, u64)> =
            folders.filter_map(|folder| identity(&folder).map(|is| (folder, is))).collect();
        let watcher = &mut self.watcher;
        self.watched.retain(|folder, is| {
            let stays = wanted.get(folder) == Some(is);
            if !stays {
                // One that was deleted is watched no more as it is.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut is_new = false;
        for (folder, is) in wanted {
            if !self.watched.contains_key(&folder) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(|error| {
                    both!(
                        "gateway.watch: {folder} cannot be watched: {error}",
                        "gateway.watch：无法监视 {folder}：{error}",
                        folder = folder.display()
                    )
                })?;
                self.watched.insert(folder, is);
                is_new = true;
            }
        }
        Ok(is_new)
    }
}

fn folder(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn follow(live: &Live, noting: &Noting, folders: &mut Folders, changes: &Receiver<()>) {
    let mut refused = None;
    loop {
        let is_told = match changes.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if is_told && !becomes_quiet(changes) {
            return;
        }
        // Before the files are read: what changes later is an event.
        match folders.watch(&live.files()) {
            Ok(false) if !is_told => continue,
            Ok(_) => {}
            Err(_) if !is_told => continue,
            Err(error) => log::warn!("{error}"),
        }
        let found = live.fingerprint_of_files();
        // What was loaded already, or refused.
        if found == live.fingerprint() || Some(found) == refused {
            continue;
        }
        // What is wrong is in the log.
        refused = match live.reload() {
            Ok(reloaded) => {
                noting(By::Files, audited::reload(&reloaded));
                None
            }
            Err(_) => Some(found),
        };
    }
}

/// Waits until nothing changes any more; `false` if nobody watches any more.
fn becomes_quiet(changes: &Receiver<()>) -> bool {
    loop {
        match changes.recv_timeout(QUIET) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
