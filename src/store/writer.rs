//! Takes records from the queue and writes them, whatever the disk does.

use super::batch::BatchId;
use super::columns::stray_bytes;
use super::retention::Retention;
use super::sqlite::{Rows, WriteError};
use super::{BATCH, Database, Queue, RequestLog, Waiting};
use crate::config::log_store::LogStore;
use gateway_core::record::RequestRecord;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, sleep, timeout_at};

/// Longest time that a record waits for others: what a power cut can cost. It is also how often it is looked whether the
/// file is still there while nothing is to be written.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// Pauses between attempts to write grow to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often old rows are looked for.
const RETENTION_TIME: Duration = Duration::from_secs(60);
/// So many shapes may be too many before it is looked.
const SHAPES_AT_ONCE: usize = 1_000;
/// Pause between attempts to write what is left at the end.
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// How long what is left at the end may take.
const END_TIME: Duration = Duration::from_secs(5);

/// Writes the request log.
#[derive(Debug)]
pub(crate) struct Writer {
    store: LogStore,
    retention: Retention,
    queue: Queue,
}

impl Writer {
    /// A writer from the queue to the database.
    pub(crate) fn new(store: LogStore, retention: Retention, queue: Queue) -> Self {
        Self { store, retention, queue }
    }

    /// Finds out whether the database can be written, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", self.store);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let checked = runtime.block_on(async {
            let mut database = Database::open(&self.store).await?;
            database.check_writable().await?;
            database.close().await
        });
        checked.map_err(|error| failed(&error))
    }

    /// Writes until it is dropped. What it has not written by then is left for [`Writer::finish`].
    pub(crate) async fn run(&self, log: &RequestLog) {
        let Some(waiting) = self.queue.take() else { return };
        let mut taken = Taken { waiting: Some(waiting), queue: &self.queue };
        // At once, so that it can be read; what is wrong with it, the first batch reports.
        let mut database = boxed(Database::open(&self.store)).await.ok();
        let mut retained: Option<Instant> = None;
        let (mut strays, mut shapes) = (0, 0);
        while let Some(waiting) = &mut taken.waiting
            && waiting.fill(log).await
        {
            if waiting.batch.is_empty() {
                if !self.look(&mut database, log).await {
                    // Each try may copy the whole file.
                    sleep(LONGEST_PAUSE).await;
                }
                continue;
            }
            self.write(&mut database, waiting, log).await;
            waiting.id.advance();
            strays +=
                waiting.batch.iter().filter(|record| record.is_stray()).map(|record| bytes_of(record)).sum::<u64>();
            shapes += waiting.batch.iter().filter(|record| record.head.is_some()).count();
            waiting.batch.clear();
            // A flood is kept within its bounds while it goes on.
            let is_flood =
                strays > self.retention.stray_bytes / 4 || shapes > self.retention.shapes.max(SHAPES_AT_ONCE);
            if (is_flood || retained.is_none_or(|at| at.elapsed() > RETENTION_TIME))
                && let Some(open) = &mut database
            {
                retained = Some(Instant::now());
                (strays, shapes) = (0, 0);
                if let Err(error) = boxed(open.retain(self.retention, SystemTime::now())).await {
                    log::warn!("old rows of the request log cannot be deleted: {error}");
                    // A lock that it may have goes with it.
                    database.take_if(|open| open.is_in_place());
                }
            }
        }
    }

    /// Writes a batch, however often that has to be tried. In the meantime the queue fills, and what it cannot hold is
    /// dropped and counted.
    async fn write(&self, database: &mut Option<Database>, Waiting { batch, id, .. }: &Waiting, log: &RequestLog) {
        let mut pause = Duration::from_millis(100);
        loop {
            if self.look(database, log).await {
                match self.try_write(database, batch, id).await {
                    Ok(()) => {
                        log.wrote(batch);
                        return;
                    }
                    Err(error) => {
                        self.failed(log, &error);
                        // What was opened may be the trouble. One that was deleted just now is all that has its rows.
                        database.take_if(|open| open.is_in_place());
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn failed(&self, log: &RequestLog, error: &WriteError) {
        log.failed();
        log::error!("the request log {} cannot be written, it is tried again: {error}", self.store);
    }

    /// Has the file made anew, with its rows, if somebody deleted it. `false` if that cannot be done now; what is open is
    /// kept then, because it is all that has the rows.
    async fn look(&self, database: &mut Option<Database>, log: &RequestLog) -> bool {
        let Some(open) = database.as_mut().filter(|open| !open.is_in_place()) else { return true };
        match boxed(open.bring_back()).await {
            Ok(rows) => {
                rows.iter().for_each(|rows| self.tell(rows));
                *database = None;
                // What is wrong with it, the next batch reports.
                *database = boxed(Database::open(&self.store)).await.ok();
                true
            }
            Err(error) => {
                if !log.is_failing() {
                    self.failed(log, &error.into());
                }
                false
            }
        }
    }

    fn tell(&self, rows: &Rows) {
        let path = &self.store;
        match rows {
            Rows::Kept(rows) => log::warn!(
                "the request log {path} was deleted: it is there again, with its {rows} rows. To begin a new one, move it away, \
                 or stop the gateway before you delete it"
            ),
            Rows::Elsewhere(now) => log::warn!(
                "the request log {path} was moved to {}: that one has the rows until now, and a new one begins",
                now.display()
            ),
            Rows::SetAside(former) => log::warn!(
                "another file is in the place of the request log {path}: it is gone on with, and the rows until now are in {}",
                former.display()
            ),
            Rows::Lost => log::error!(
                "the request log {path} was deleted, and there is no room to write its rows again: they are lost, and what is \
                 there is gone on with"
            ),
        }
    }

    async fn try_write(
        &self,
        database: &mut Option<Database>,
        batch: &[Arc<RequestRecord>],
        id: &BatchId,
    ) -> Result<(), WriteError> {
        let database = match database {
            Some(database) => database,
            none => none.insert(boxed(Database::open(&self.store)).await?),
        };
        boxed(database.insert_batch(batch, Some(id))).await
    }

    /// Writes what is left in the queue, after all services have ended. A batch that was being written goes first, under its own
    /// number: perhaps it is there, and only the answer was lost.
    pub(crate) fn finish(&self, log: &RequestLog) {
        let Some(Waiting { mut receiver, batch, id }) = self.queue.take() else { return };
        let mut left = Left { batches: if batch.is_empty() { Vec::new() } else { vec![batch] }, id };
        let mut rest = Vec::new();
        while let Ok(record) = receiver.try_recv() {
            rest.push(record);
        }
        left.batches.extend(rest.chunks(BATCH).map(<[_]>::to_vec));
        // The last one is taken first.
        left.batches.reverse();
        if left.batches.is_empty() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let end = Instant::now() + END_TIME;
            loop {
                let why = match timeout_at(end, self.try_finish(&mut left, log)).await {
                    Ok(Ok(())) => return,
                    // Another process may hold the file for a moment, a successor above all.
                    Ok(Err(_)) if Instant::now() + LAST_PAUSE < end => {
                        sleep(LAST_PAUSE).await;
                        continue;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) if self.store.file().is_some() => "the disk is too slow".to_owned(),
                    Err(_) => "the database is too slow".to_owned(),
                };
                let lost: usize = left.batches.iter().map(Vec::len).sum();
                return log::error!("{lost} records of the request log are lost: {why}");
            }
        });
        // A disk that is too slow may still be writing: that is not waited for.
        runtime.shutdown_background();
    }

    async fn try_finish(&self, left: &mut Left, log: &RequestLog) -> Result<(), WriteError> {
        let mut database = Database::open(&self.store).await?;
        while let Some(batch) = left.batches.last() {
            database.insert_batch(batch, Some(&left.id)).await?;
            log.wrote(batch);
            left.batches.pop();
            left.id.advance();
        }
        Ok(database.close().await?)
    }
}

/// What is left to be written at the end.
struct Left {
    /// The last one is the next.
    batches: Vec<Vec<Arc<RequestRecord>>>,
    /// The number of that one.
    id: BatchId,
}

fn bytes_of(stray: &RequestRecord) -> u64 {
    u64::try_from(stray_bytes(stray)).unwrap_or_default()
}

/// The compiler cannot see through sqlx's futures that they may go to another thread; behind a pointer it can.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

impl Waiting {
    /// Takes the next records from the queue: those of a second, or as many as a batch holds. None is waited for by itself:
    /// being woken by each would cost more than writing it. `false` once there can be no more.
    async fn fill(&mut self, log: &RequestLog) -> bool {
        log.alarm.wait(|| self.receiver.len(), BATCH_TIME).await;
        while self.batch.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(record) => self.batch.push(record),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return !self.batch.is_empty(),
            }
        }
        true
    }
}

/// What waits, given back to the queue when the writer is dropped.
struct Taken<'q> {
    waiting: Option<Waiting>,
    queue: &'q Queue,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.queue.put_back(waiting);
        }
    }
}
