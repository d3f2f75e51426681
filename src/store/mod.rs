//! The request log: a row for each request, in SQLite. Requests hand their records to a bounded queue and never wait;
//! one writer takes them from there in batches.

mod database;
mod writer;

use crate::record::RequestRecord;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use database::{Database, Retention};
pub use writer::Writer;

/// Records that may wait for the writer: some seconds of heavy traffic.
const QUEUE: usize = 16 * 1024;

/// Where requests leave their records.
#[derive(Debug)]
pub struct RequestLog {
    queue: Option<Sender<RequestRecord>>,
    counts: Counts,
}

/// What became of records.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

/// The other end of the queue. It is taken by the writer, and once more by whoever writes what is left at the end.
#[derive(Debug)]
pub struct Queue(Mutex<Option<Waiting>>);

/// Records on their way to the file.
#[derive(Debug)]
struct Waiting {
    receiver: Receiver<RequestRecord>,
    /// Those that were taken from the queue, and are not written for sure.
    batch: Vec<RequestRecord>,
}

impl RequestLog {
    /// A log and the queue that is written from; without a file nothing is kept.
    pub fn new(is_kept: bool) -> (Self, Queue) {
        let (sender, receiver) = channel(QUEUE);
        let log = Self { queue: is_kept.then_some(sender), counts: Counts::default() };
        (log, Queue(Mutex::new(Some(Waiting { receiver, batch: Vec::new() }))))
    }

    /// Hands a record over. When the queue is full it is dropped, and that is counted.
    pub fn submit(&self, record: RequestRecord) {
        if let Some(queue) = &self.queue
            && queue.try_send(record).is_err()
        {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Rows written, records dropped, and attempts to write that failed.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { written, dropped, failures } = &self.counts;
        [("written", count(written)), ("dropped", count(dropped)), ("write_failures", count(failures))]
    }

    fn wrote(&self, rows: usize) {
        self.counts.written.fetch_add(rows as u64, Ordering::Relaxed);
    }

    fn failed(&self) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Queue {
    fn take(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, waiting: Waiting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
    }
}
