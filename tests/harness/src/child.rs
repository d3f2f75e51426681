//! Programs that tests start: killed at the end, and heard.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A child that is killed, by its id, when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for its end; `None` when it goes on past `limit`.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child said on its standard error.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Gathers the lines on a thread, so that the pipe never fills.
    pub(crate) fn of(child: &mut Child) -> (Self, std::thread::JoinHandle<()>) {
        Self::gather(child.stderr.take().expect("its stderr"))
    }

    /// The same for anything that says lines.
    pub(crate) fn gather(source: impl Read + Send + 'static) -> (Self, std::thread::JoinHandle<()>) {
        let log = Self::default();
        let gathered = log.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { return };
                gathered.lines().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        (log, reader)
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }
}
