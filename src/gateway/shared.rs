//! What all requests of this process share.

use super::cache_waste::CacheWaste;
use super::capture_wishes::CaptureWishes;
use super::client::body_budget::Budget;
use super::client::unsent::Unsent;
use super::models_seen::ModelsSeen;
use super::panel_key::PanelKeys;
use super::running::Running;
use super::snapshot::Snapshot;
use super::wrong_keys::{Free, Noted, WrongKeys};
use crate::access_log;
use crate::drain::Drain;
use crate::feed::Feed;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::store::RequestLog;
use arc_swap::ArcSwap;
use gateway_core::http1::Refusal;
use gateway_core::reason::Reason;
use gateway_core::record::RequestRecord;
use gateway_core::team::roster::Roster;
use gateway_core::team::token::Denied;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// What all requests of this process share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// The bound on request bodies in memory.
    pub budget: Budget,
    /// The answers that wait for slow clients.
    pub unsent: Arc<Unsent>,
    /// All metrics.
    pub metrics: Metrics,
    /// Where requests leave their records.
    pub log: RequestLog,
    /// Who wants to hear of each request.
    pub feed: Feed,
    /// The requests that are being served.
    pub running: Arc<Running>,
    /// Differs with every start of the process.
    pub boot_id: String,
    /// When the process started.
    pub started_at: SystemTime,
    /// The end of the process's work.
    pub drain: Arc<Drain>,
    /// The models that were asked for with success.
    pub models_seen: ModelsSeen,
    /// What requests left in the prompt caches of upstreams.
    pub cache_waste: CacheWaste,
    /// The sessions of which the next request is to be kept as a whole.
    pub capture_wishes: CaptureWishes,
    /// What opens the panel.
    pub panel: PanelKeys,
    /// The client tokens in force.
    pub roster: ArcSwap<Roster>,
    /// What they may use.
    pub ledger: Arc<Ledger>,
    /// The client tokens of the last minute that nobody knows.
    pub wrong_tokens: WrongKeys,
}

impl Shared {
    /// What all requests share at the start of the process.
    pub(crate) fn new(snapshot: Snapshot, metrics: Metrics, log: RequestLog, ledger: Ledger) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            budget: Budget::new(metrics.held_bytes.clone(), metrics.evicted_bodies.clone()),
            unsent: Unsent::new(metrics.unsent_bytes.clone()),
            metrics,
            log,
            feed: Feed::default(),
            running: Arc::default(),
            boot_id: format!("{:032x}", fastrand::u128(..)),
            started_at: SystemTime::now(),
            drain: Arc::default(),
            models_seen: ModelsSeen::default(),
            cache_waste: CacheWaste::default(),
            capture_wishes: CaptureWishes::default(),
            panel: PanelKeys::default(),
            roster: ArcSwap::default(),
            ledger: Arc::new(ledger),
            wrong_tokens: WrongKeys::new("client tokens"),
        }
    }

    /// Has who sends many unknown tokens wait for the `refusal` of a further one; another refusal if too many wait already.
    pub(super) async fn slow_guesses(&self, refusal: &Refusal, client: Option<IpAddr>) -> Option<Refusal> {
        let is_guess = refusal.reason == Reason::TokenUnknown;
        if !is_guess {
            return None;
        }
        let free = {
            let bounds = &self.snapshot.load().config.team.bounds;
            Free { by_client: bounds.guesses, in_all: bounds.guesses_in_all }
        };
        let is_too_many = self.wrong_tokens.note(client, free).await == Noted::Unanswered;
        is_too_many.then(|| Denied::Guesses.refusal())
    }

    /// Counts and logs a request that is over. One that `is_local`, for the gateway's own pages, is no traffic.
    pub(super) fn finish(&self, mut record: RequestRecord, is_local: bool) {
        if is_local {
            return access_log::write_local(&record);
        }
        record.labels = self.metrics.labels(&record, self.snapshot.load().config.models_by_name);
        self.metrics.count(&record);
        self.models_seen.note(&record);
        // Of these anybody could send any number: they have no row, and share a line.
        if record.reason == Some(Reason::TokenGuesses) {
            return self.wrong_tokens.line(record.client).into_iter().for_each(|guesses| {
                access_log::write_guesses(&record, guesses);
            });
        }
        access_log::write(&record);
        let record = Arc::new(record);
        self.feed.tell(&record);
        self.log.submit(record);
    }
}
