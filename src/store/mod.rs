//! The request log: a row for each request, in SQLite. Requests hand their records to a bounded queue and never wait;
//! one writer takes them from there in batches.

mod database;
mod insert;
mod latency;
mod listing;
mod reader;
mod rollup;
pub mod row;
mod statistics;
mod writer;

use crate::record::RequestRecord;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use database::{Database, Retention};
pub use listing::{Filter, read_cursor};
pub use reader::{ReadError, Reader};
pub use statistics::{By, MOST_POINTS, Span, StatsFilter};
pub use writer::Writer;

/// Where requests leave their records.
#[derive(Debug)]
pub struct RequestLog {
    queue: Option<Sender<Arc<RequestRecord>>>,
    /// Bytes of texts in the queue.
    waiting_bytes: AtomicUsize,
    /// Most of them.
    most_bytes: usize,
    counts: Counts,
    is_failing: AtomicBool,
}

/// What became of records.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    without_texts: AtomicU64,
}

/// The other end of the queue. It is taken by the writer, and once more by whoever writes what is left at the end.
#[derive(Debug)]
pub struct Queue(Mutex<Option<Waiting>>);

/// Records on their way to the file.
#[derive(Debug)]
struct Waiting {
    receiver: Receiver<Arc<RequestRecord>>,
    /// Those that were taken from the queue, and are not written for sure.
    batch: Vec<Arc<RequestRecord>>,
}

impl RequestLog {
    /// A log and the queue that is written from, for so many records and bytes of texts; if none are to be kept, none are.
    pub fn new(is_kept: bool, most: usize, most_bytes: usize) -> (Self, Queue) {
        let (sender, receiver) = channel(most);
        let queue = is_kept.then_some(sender);
        let log = Self {
            queue,
            waiting_bytes: AtomicUsize::new(0),
            most_bytes,
            counts: Counts::default(),
            is_failing: AtomicBool::new(false),
        };
        (log, Queue(Mutex::new(Some(Waiting { receiver, batch: Vec::new() }))))
    }

    /// Hands a record over. When the queue is full it is dropped, and that is counted.
    pub fn submit(&self, record: Arc<RequestRecord>) {
        let Some(queue) = &self.queue else { return };
        let Ok(place) = queue.try_reserve() else {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(self.within_bounds(record));
    }

    /// The record, without its texts if too many wait already.
    fn within_bounds(&self, record: Arc<RequestRecord>) -> Arc<RequestRecord> {
        let bytes = record.kept_bytes();
        if bytes == 0 || self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.most_bytes {
            return record;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.counts.without_texts.fetch_add(1, Ordering::Relaxed);
        let mut record = Arc::unwrap_or_clone(record);
        record.forget_texts();
        Arc::new(record)
    }

    /// Rows written, records dropped, attempts to write that failed, and rows that had to go without their texts.
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { written, dropped, failures, without_texts } = &self.counts;
        [
            ("written", count(written)),
            ("dropped", count(dropped)),
            ("write_failures", count(failures)),
            ("without_texts", count(without_texts)),
        ]
    }

    /// Records that wait for the disk.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    fn wrote(&self, records: &[Arc<RequestRecord>]) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.counts.written.fetch_add(records.len() as u64, Ordering::Relaxed);
        let bytes = records.iter().map(|record| record.kept_bytes()).sum();
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether the last attempt to write failed.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    fn failed(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
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
