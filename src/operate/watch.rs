//! Loads the configuration anew when one of its files changes (`gateway.watch`).

use crate::config::live::Live;
use notify::{RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Nothing must change for so long before files are read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Starts a thread that watches the files of `live`. It ends with the process.
///
/// # Errors
/// When the files cannot be watched, with the reason.
pub(crate) fn start(live: Arc<Live>) -> Result<(), String> {
    let (changed, changes) = sync_channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file changes nothing. A full queue holds a change already.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    })
    .map_err(|error| format!("gateway.watch: {error}"))?;
    // The folders, not the files: editors put new files into the places of old ones.
    let mut folders: Vec<PathBuf> =
        live.files().iter().map(|file| folder(file)).filter(|folder| folder.is_dir()).collect();
    folders.sort();
    folders.dedup();
    for folder in &folders {
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(|error| format!("gateway.watch: {} cannot be watched: {error}", folder.display()))?;
    }
    let run = move || {
        let _watcher = watcher;
        follow(&live, &changes);
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(run).map_err(|error| error.to_string())?;
    Ok(())
}

fn folder(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn follow(live: &Live, changes: &Receiver<()>) {
    let mut tried = live.fingerprint();
    while changes.recv().is_ok() {
        loop {
            match changes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let found = live.fingerprint_of_files();
        // Other files of the folder, or what the panel wrote itself.
        if found == live.fingerprint() || found == tried {
            continue;
        }
        tried = found;
        // What is wrong is in the log.
        drop(live.reload());
    }
}
