//! The request log: a row for each request, in SQLite or PostgreSQL. Requests hand their records to a bounded queue and never wait;
//! one writer takes them from there in batches.

mod batch;
mod beside;
#[cfg(test)]
mod both_tests;
pub(crate) mod columns;
pub(crate) mod costs;
mod database;
mod figures;
mod key_groups;
mod latency;
mod listing;
mod pool;
mod postgres;
mod recost;
mod retention;
mod rollup;
pub(crate) mod row;
pub(crate) mod sessions;
mod sql;
mod sqlite;
mod statistics;
#[cfg(test)]
mod test_store;
mod tried;
mod waste;
mod writer;

use batch::BatchId;
use gateway_core::record::RequestRecord;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

pub use database::Database;
pub(crate) use figures::Groups;
pub use listing::Filter;
pub(crate) use listing::{Captured, Detail, Listed, read_cursor};
pub(crate) use recost::{NotBegun, Progress, Recosts, State, Watch};
pub(crate) use retention::Retention;
pub use sql::Reader;
pub(crate) use sql::{ReadError, SpentBy};
pub(crate) use sqlite::copy;
pub use statistics::{By, GroupedBy, GroupsBy, Span, StatsFilter};
pub(crate) use statistics::{CacheUse, MOST_POINTS};
pub(crate) use waste::{LeftInCache, WasteOrder};
pub(crate) use writer::Writer;

/// Where requests leave their records.
#[derive(Debug)]
pub(crate) struct RequestLog {
    queue: Option<Sender<Arc<RequestRecord>>>,
    /// All that waits.
    waiting: Waits,
    /// Of that, what anybody can send: it has a share of its own.
    strays: Waits,
    counts: Counts,
    is_failing: AtomicBool,
    alarm: Alarm,
    keeps_shapes: bool,
}

/// Wakes the writer when there is enough for it to do: a wake-up for each record would cost more than the record.
#[derive(Debug)]
struct Alarm {
    /// Records that are enough.
    enough: usize,
    is_set: AtomicBool,
    rings: Notify,
}

impl Alarm {
    /// For a queue of so many records.
    fn of(most: usize) -> Self {
        Self { enough: BATCH.min(most / 2).max(1), is_set: AtomicBool::new(false), rings: Notify::new() }
    }

    /// So many records wait now.
    fn see(&self, queued: impl FnOnce() -> usize) {
        if self.is_set.load(Ordering::Relaxed) && queued() >= self.enough && self.is_set.swap(false, Ordering::Relaxed)
        {
            self.rings.notify_one();
        }
    }

    /// Waits until enough records do, but no longer than this.
    async fn wait(&self, queued: impl FnOnce() -> usize, longest: Duration) {
        self.is_set.store(true, Ordering::Relaxed);
        if queued() < self.enough {
            // What rings too late is for the next time: that finds fewer records, which does no harm.
            let _ = timeout(longest, self.rings.notified()).await;
        }
        self.is_set.store(false, Ordering::Relaxed);
    }
}

/// Most records that are written in one go.
const BATCH: usize = 1_000;
/// The part of the queue that strays may take: one in so many.
const STRAY_SHARE: usize = 4;

/// Records in the queue, and their bounds.
#[derive(Debug)]
struct Waits {
    records: AtomicUsize,
    most: usize,
    /// Bytes of texts.
    bytes: AtomicUsize,
    most_bytes: usize,
}

impl Waits {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { records: AtomicUsize::new(0), most, bytes: AtomicUsize::new(0), most_bytes }
    }

    /// Counts one more record, if there is room for it.
    fn add_record(&self) -> bool {
        add(&self.records, 1, self.most)
    }

    /// Counts its texts, if there is room for them.
    fn add_bytes(&self, bytes: usize) -> bool {
        add(&self.bytes, bytes, self.most_bytes)
    }

    /// Records with so many bytes of texts are written.
    fn remove(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn add(count: &AtomicUsize, more: usize, most: usize) -> bool {
    let fits = count.fetch_add(more, Ordering::Relaxed) + more <= most;
    if !fits {
        count.fetch_sub(more, Ordering::Relaxed);
    }
    fits
}

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    dropped_rejected: AtomicU64,
    failures: AtomicU64,
    without_texts: AtomicU64,
}

/// The other end of the queue. It is taken by the writer, and once more by whoever writes what is left at the end.
#[derive(Debug)]
pub(crate) struct Queue(Mutex<Option<Waiting>>);

/// Records on their way to the file.
#[derive(Debug)]
struct Waiting {
    receiver: Receiver<Arc<RequestRecord>>,
    /// Those that were taken from the queue, and are not written for sure.
    batch: Vec<Arc<RequestRecord>>,
    /// The number of that batch.
    id: BatchId,
}

impl RequestLog {
    /// A log and the queue that is written from, for so many records and bytes of texts; if none are to be kept, none are.
    /// `keeps_shapes` says whether what requests look like is kept with them.
    pub(crate) fn new(is_kept: bool, keeps_shapes: bool, most: usize, most_bytes: usize) -> (Self, Queue) {
        let (sender, receiver) = channel(most);
        let queue = is_kept.then_some(sender);
        let log = Self {
            queue,
            waiting: Waits::new(most, most_bytes),
            strays: Waits::new((most / STRAY_SHARE).max(1), most_bytes / STRAY_SHARE),
            counts: Counts::default(),
            is_failing: AtomicBool::new(false),
            alarm: Alarm::of(most),
            keeps_shapes: is_kept && keeps_shapes,
        };
        (log, Queue(Mutex::new(Some(Waiting { receiver, batch: Vec::new(), id: BatchId::first() }))))
    }

    /// Whether records are kept at all.
    pub(crate) fn is_kept(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether what requests look like is kept with them.
    pub(crate) fn keeps_shapes(&self) -> bool {
        self.keeps_shapes
    }

    /// Hands a record over. When the queue is full it is dropped, and that is counted; strays have a part of it only.
    pub(crate) fn submit(&self, record: Arc<RequestRecord>) {
        let Some(queue) = &self.queue else { return };
        let is_stray = record.is_stray();
        if is_stray && !self.strays.add_record() {
            self.counts.dropped_rejected.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Ok(place) = queue.try_reserve() else {
            if is_stray {
                self.strays.remove(1, 0);
            }
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(self.within_bounds(record, is_stray));
        self.alarm.see(|| self.queued());
    }

    /// The record, without its texts if too many wait already.
    fn within_bounds(&self, record: Arc<RequestRecord>, is_stray: bool) -> Arc<RequestRecord> {
        let bytes = record.waiting_bytes();
        if bytes == 0 {
            return record;
        }
        if !is_stray || self.strays.add_bytes(bytes) {
            if self.waiting.add_bytes(bytes) {
                return record;
            }
            if is_stray {
                self.strays.remove(0, bytes);
            }
        }
        let mut record = Arc::unwrap_or_clone(record);
        // What it looks like is the first to go.
        if record.kept_shape().is_some() {
            record.forget_shape();
            return self.within_bounds(Arc::new(record), is_stray);
        }
        self.counts.without_texts.fetch_add(1, Ordering::Relaxed);
        record.forget_texts();
        Arc::new(record)
    }

    /// Rows written, records dropped (and strays, for the bound on them), attempts to write that failed, and rows that had to
    /// go without their texts.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { written, dropped, dropped_rejected, failures, without_texts } = &self.counts;
        [
            ("written", count(written)),
            ("dropped", count(dropped)),
            ("dropped_rejected", count(dropped_rejected)),
            ("write_failures", count(failures)),
            ("without_texts", count(without_texts)),
        ]
    }

    /// Records that wait for the disk.
    pub(crate) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    fn wrote(&self, records: &[Arc<RequestRecord>]) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.counts.written.fetch_add(records.len() as u64, Ordering::Relaxed);
        let bytes = |records: &mut dyn Iterator<Item = &Arc<RequestRecord>>| {
            records.fold((0, 0), |(count, bytes), record| (count + 1, bytes + record.waiting_bytes()))
        };
        let (_, all) = bytes(&mut records.iter());
        self.waiting.remove(0, all);
        let (count, strays) = bytes(&mut records.iter().filter(|record| record.is_stray()));
        self.strays.remove(count, strays);
    }

    /// Whether the last attempt to write failed.
    pub(crate) fn is_failing(&self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::record::{Capture, Outcome};

    fn record(is_stray: bool, text_bytes: usize) -> Arc<RequestRecord> {
        let capture = Capture { head: "x".repeat(text_bytes), body: String::new(), is_cut: false };
        let attempts = u32::from(!is_stray);
        let outcome = if is_stray { Outcome::Rejected } else { Outcome::Completed };
        let capture = (text_bytes > 0).then(|| Box::new(capture));
        Arc::new(RequestRecord { outcome, attempts, capture, ..crate::sample::record() })
    }

    fn counts(log: &RequestLog) -> Vec<u64> {
        log.counts().into_iter().filter(|(name, _)| name.starts_with("dropped")).map(|(_, count)| count).collect()
    }

    #[tokio::test]
    async fn what_anybody_can_send_fills_a_quarter_of_the_queue_at_most() {
        let (log, queue) = RequestLog::new(true, false, 40, 1_000);
        for _ in 0..1_000 {
            log.submit(record(true, 0));
        }
        assert_eq!((log.queued(), counts(&log)), (10, vec![0, 990]));
        for _ in 0..31 {
            log.submit(record(false, 0));
        }
        assert_eq!((log.queued(), counts(&log)), (40, vec![1, 990]));
        let mut waiting = queue.take().expect("what waits");
        waiting.receiver.recv_many(&mut waiting.batch, 40).await;
        log.wrote(&waiting.batch);
        log.submit(record(true, 0));
        assert_eq!((log.queued(), counts(&log)), (1, vec![1, 990]), "there is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_writer_is_woken_when_there_is_enough_for_it_or_after_its_time() {
        let (log, _queue) = RequestLog::new(true, false, 40, 1_000);
        let second = Duration::from_secs(1);
        let begin = tokio::time::Instant::now();
        let submit = |count: usize| (0..count).for_each(|_| log.submit(record(false, 0)));
        tokio::join!(log.alarm.wait(|| log.queued(), second), async { submit(19) });
        assert_eq!(begin.elapsed(), second, "nineteen are not enough");
        tokio::join!(log.alarm.wait(|| log.queued(), second), async { submit(1) });
        log.alarm.wait(|| log.queued(), second).await;
        assert_eq!(begin.elapsed(), second, "twenty are, whether they come while it waits or before");
    }

    #[tokio::test]
    async fn their_texts_take_a_quarter_of_the_room_for_texts() {
        let (log, queue) = RequestLog::new(true, false, 1_000, 1_000);
        for _ in 0..10 {
            log.submit(record(true, 100));
        }
        for _ in 0..9 {
            log.submit(record(false, 100));
        }
        let mut waiting = queue.take().expect("what waits");
        waiting.receiver.recv_many(&mut waiting.batch, 1_000).await;
        let kept = |is_stray: bool| {
            let with_texts = waiting.batch.iter().filter(|record| record.kept_bytes() > 0);
            with_texts.filter(|record| record.is_stray() == is_stray).count()
        };
        assert_eq!((kept(true), kept(false)), (2, 8));
        log.wrote(&waiting.batch);
        assert_eq!((log.waiting.bytes.load(Ordering::Relaxed), log.strays.bytes.load(Ordering::Relaxed)), (0, 0));
        assert_eq!(log.strays.records.load(Ordering::Relaxed), 0);
    }
}
