//! Making the costs of rows anew with the prices in force, while rows are written: one run at a time, batch by batch, on a
//! thread of its own. Each batch changes its rows and their sums together, so a run can end anywhere.

use super::Database;
use super::costs::{Batch, Span, Tariff, Wanted};
use super::sqlite::WriteError;
use crate::config::log_store::LogStore;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest pause after a batch that wrote: who waits for the file looks again within this time.
const PAUSE: Duration = Duration::from_millis(30);
/// What waits for the disk when a run begins is written by then (`writer.rs`): a last look finds it.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// It begins so many numbers before the end: rows that another gateway was writing have theirs already when they are not yet seen.
const LOOK_BACK: i64 = 10_000;
/// Attempts at a batch, and the pause between: another process may hold the file for a while.
const ATTEMPTS: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It goes on.
    Running,
    /// It covered all that it should.
    Done,
    /// Somebody stopped it, or the process ends.
    Stopped,
    /// The file cannot be read or written.
    Failed,
}

/// How far a run is, and what it covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub(crate) struct Progress {
    pub state: State,
    pub from_ms: i64,
    pub to_ms: Option<i64>,
    pub percent: u8,
    pub rows: u64,
    pub changed: u64,
    pub unpriced: u64,
    pub left: u64,
    pub left_upstreams: BTreeSet<String>,
    pub oldest_ms: Option<i64>,
    pub newest_ms: Option<i64>,
    pub error: Option<String>,
}

impl Progress {
    fn new(from_ms: i64, to_ms: Option<i64>) -> Self {
        Self {
            state: State::Running,
            from_ms,
            to_ms,
            percent: 0,
            rows: 0,
            changed: 0,
            unpriced: 0,
            left: 0,
            left_upstreams: BTreeSet::new(),
            oldest_ms: None,
            newest_ms: None,
            error: None,
        }
    }

    fn note(&mut self, covered: &Batch, percent: u8) {
        let Batch { last: _, rows: _, seen, changed, unpriced, left, left_upstreams, time } = covered;
        (self.rows, self.changed, self.unpriced, self.left) = (*seen, *changed, *unpriced, *left);
        self.left_upstreams.clone_from(left_upstreams);
        (self.oldest_ms, self.newest_ms) = time.unzip();
        self.percent = percent;
    }
}

/// Where a run takes the prices from, and who ends it.
pub(crate) trait Watch: Send + Sync {
    /// The prices in force.
    fn tariff(&self) -> Tariff;
    /// Whether the process ends.
    fn is_ending(&self) -> bool;
}

/// Runs, one at a time.
#[derive(Clone)]
pub(crate) struct Recosts {
    store: LogStore,
    watch: Arc<dyn Watch>,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    progress: Option<Progress>,
    is_to_stop: bool,
}

/// Why a run does not begin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotBegun {
    /// Another one is under way.
    #[error("costs are being made anew already")]
    Running,
    /// The system gives no thread.
    #[error("the work cannot begin: {0}")]
    Failed(String),
}

impl Recosts {
    /// For this request log.
    pub(crate) fn new(store: impl Into<LogStore>, watch: Arc<dyn Watch>) -> Self {
        Self { store: store.into(), watch, last: Arc::default() }
    }

    /// Begins a run: over rows from then on, and before `to_ms` if that is given.
    ///
    /// # Errors
    /// When one is under way.
    pub(crate) fn begin(&self, from_ms: i64, to_ms: Option<i64>) -> Result<Progress, NotBegun> {
        let progress = Progress::new(from_ms, to_ms);
        self.with(|last| match &last.progress {
            Some(progress) if progress.state == State::Running => Err(NotBegun::Running),
            _ => {
                *last = Last { progress: Some(progress.clone()), is_to_stop: false };
                Ok(())
            }
        })?;
        let run = self.clone();
        let begun = std::thread::Builder::new().name("recost".to_owned()).spawn(move || run.run(from_ms, to_ms));
        if let Err(error) = begun {
            self.with(|last| last.progress = None);
            return Err(NotBegun::Failed(error.to_string()));
        }
        Ok(progress)
    }

    /// How far the last run is, if there was one.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.with(|last| last.progress.clone())
    }

    /// Ends the run that is under way after its batch.
    pub(crate) fn stop(&self) -> Option<Progress> {
        self.with(|last| {
            last.is_to_stop = true;
            last.progress.clone()
        })
    }

    /// Does the work here, to its end.
    pub(crate) fn run(&self, from_ms: i64, to_ms: Option<i64>) -> Progress {
        let span = Span { from_ms, to_ms: to_ms.unwrap_or(i64::MAX) };
        self.with(|last| last.progress.get_or_insert_with(|| Progress::new(from_ms, to_ms)).state = State::Running);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(self.cover(span)).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let progress = self.with(|last| {
            let progress = last.progress.get_or_insert_with(|| Progress::new(from_ms, to_ms));
            match ended {
                Ok(state) => {
                    progress.state = state;
                    progress.percent = if state == State::Done { 100 } else { progress.percent };
                }
                Err(error) => (progress.state, progress.error) = (State::Failed, Some(error)),
            }
            progress.clone()
        });
        log::info!("costs made anew: {progress:?}");
        progress
    }

    /// Covers a time, again if the prices change meanwhile: what was made with former ones would stay.
    async fn cover(&self, span: Span) -> Result<State, WriteError> {
        let mut database = Database::open(&self.store).await?;
        loop {
            let tariff = self.watch.tariff();
            let state = self.pass(&mut database, span, &tariff).await?;
            if state != State::Done || self.watch.tariff() == tariff {
                database.close().await?;
                return Ok(state);
            }
        }
    }

    async fn pass(&self, database: &mut Database, span: Span, tariff: &Tariff) -> Result<State, WriteError> {
        let Some((first, mut last)) = database.rows_within(span).await? else { return Ok(State::Done) };
        let mut covered = Batch::default();
        let (mut next, mut has_waited) = (first, false);
        // The numbers of those that were covered of the last ones.
        let mut done = BTreeSet::new();
        loop {
            if self.watch.is_ending() || self.with(|last| last.is_to_stop) {
                return Ok(State::Stopped);
            }
            if next > last {
                // What waited for the disk when the last row was looked up is there a little later.
                if has_waited {
                    return Ok(State::Done);
                }
                has_waited = true;
                tokio::time::sleep(LAST_LOOK).await;
                next = last.saturating_sub(LOOK_BACK) + 1;
                last = database.rows_within(span).await?.map_or(last, |(_, newest)| newest);
                continue;
            }
            let began = Instant::now();
            let batch = again(async || {
                follow(database, &self.store).await?;
                Ok(database.recost(&Wanted { rows: next..=last, but: &done }, span, tariff).await?)
            });
            let mut batch = batch.await?;
            done.append(&mut batch.rows);
            done = done.split_off(&(last.saturating_sub(LOOK_BACK) + 1));
            let has_changed = batch.changed > 0;
            next = batch.last.unwrap_or(last) + 1;
            covered.add(batch);
            let percent = ((next - first).saturating_mul(100) / (last - first + 1)).clamp(0, 99);
            self.with(|of| {
                let percent = u8::try_from(percent).unwrap_or_default();
                of.progress.iter_mut().for_each(|progress| progress.note(&covered, percent));
            });
            if has_changed {
                // Others come to the file in between, whoever they are.
                tokio::time::sleep(began.elapsed().max(PAUSE)).await;
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Last) -> T) -> T {
        work(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Opens the file that is in the place of the open one, if somebody deleted that: the writer makes it anew.
async fn follow(database: &mut Database, store: &LogStore) -> Result<(), WriteError> {
    if !database.is_in_place() {
        store.file().map(Path::metadata).transpose()?;
        *database = Database::open(store).await?;
    }
    Ok(())
}

/// Does what may fail while another process holds the file.
async fn again<T>(mut work: impl AsyncFnMut() -> Result<T, WriteError>) -> Result<T, WriteError> {
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(error) => log::warn!("costs cannot be made anew, it is tried again: {error}"),
            done => return done,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    work().await
}
