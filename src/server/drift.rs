//! Whether the ledger and the request log agree on what was spent of limits in dollars: two ways to count the same requests.
//! The log is asked now and then, apart from requests, and for a part of a second.

use crate::gateway::Shared;
use crate::ledger::usage;
use crate::store::{Reader, SpentBy};
use crate::team::{InDollars, Keeper};
use async_trait::async_trait;
use gateway_core::team::limit::{Subject, Window};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use pingora_prometheus::prometheus::{self, Gauge, GaugeVec, register_gauge_vec_with_registry};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the log is asked.
const EVERY: Duration = Duration::from_secs(20);
/// For how long, but for the last question; what is left comes the next time.
const LONGEST: Duration = Duration::from_millis(400);
/// Asking takes one part in so many of the time.
const REST: u32 = 20;
const NANO: f64 = 1e9;

/// What is shown.
pub(super) struct Gauges {
    drift: [Gauge; 2],
    spent: Gauge,
}

impl Gauges {
    /// Gauges that this registry shows.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub(super) fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let drift: GaugeVec = register_gauge_vec_with_registry!(
            "gateway_budget_drift_usd",
            "By how many US dollars the ledger and the request log differ in the open windows of limits in dollars, by which of \
             them has more.",
            &["more_in"],
            registry
        )?;
        let spent = Gauge::new(
            "gateway_budget_spent_usd",
            "What the ledger has as spent in those windows that were compared with the request log, in US dollars.",
        )?;
        registry.register(Box::new(spent.clone()))?;
        Ok(Self { drift: ["ledger", "log"].map(|more_in| drift.with_label_values(&[more_in])), spent })
    }

    fn show(&self, windows: &HashMap<Key, Sums>) {
        let sum = |part: fn(&Sums) -> i64| windows.values().map(part).fold(0, i64::saturating_add) as f64 / NANO;
        self.drift[0].set(sum(|sums| sums.ledger.saturating_sub(sums.log).max(0)));
        self.drift[1].set(sum(|sums| sums.log.saturating_sub(sums.ledger).max(0)));
        self.spent.set(sum(|sums| sums.ledger));
    }
}

/// A window of a limit: whose, which, and when it began to count.
type Key = (&'static str, Arc<str>, &'static str, i64);

/// What was spent of a window, in nano-dollars.
#[derive(Clone, Copy, Debug)]
struct Sums {
    ledger: i64,
    log: i64,
}

/// A window that is open.
struct Opened {
    key: Key,
    /// Whose limit it is in `budgets`.
    at: usize,
    ledger: i64,
}

/// Compares them.
pub(super) struct Drift {
    pub shared: Arc<Shared>,
    pub team: Arc<Keeper>,
    pub reader: Reader,
    pub state_dir: PathBuf,
    pub gauges: Gauges,
}

#[async_trait]
impl BackgroundService for Drift {
    async fn start(&self, _: ShutdownWatch) {
        let (mut windows, mut first, mut rest) = (HashMap::new(), 0, EVERY);
        loop {
            tokio::time::sleep(rest).await;
            // The process that comes next looks then.
            if self.shared.drain.is_on() {
                return;
            }
            let began = Instant::now();
            match self.round(&mut windows, first).await {
                Ok(next) => first = next,
                Err(error) => log::debug!("ledger and request log cannot be compared: {error:#}"),
            }
            self.gauges.show(&windows);
            rest = EVERY.max(began.elapsed() * REST);
        }
    }
}

impl Drift {
    /// Compares some windows, from this one on; where to go on the next time.
    async fn round(&self, windows: &mut HashMap<Key, Sums>, first: usize) -> anyhow::Result<usize> {
        if !self.reader.store().may_be_there() {
            windows.clear();
            return Ok(0);
        }
        let (team, folder) = (Arc::clone(&self.team), self.state_dir.clone());
        let read = tokio::task::spawn_blocking(move || opened(&team, &folder)).await?;
        let (budgets, mut open) = read?;
        let oldest = self.reader.oldest_ms().await?.unwrap_or(i64::MAX);
        // Of others the log has not all requests: some are older than what is kept, or than the file.
        open.retain(|opened| oldest <= opened.key.3);
        windows.retain(|key, _| open.iter().any(|opened| opened.key == *key));
        let began = Instant::now();
        for step in 0..open.len() {
            let Opened { key, at, ledger } = &open[(first + step) % open.len()];
            let log = self.reader.spent(spent_by(&budgets[*at]), key.3).await?;
            windows.insert(key.clone(), Sums { ledger: *ledger, log });
            if began.elapsed() > LONGEST {
                return Ok((first + step + 1) % open.len());
            }
        }
        Ok(0)
    }
}

fn spent_by(budget: &InDollars) -> SpentBy<'_> {
    let name = |kind: Subject| (budget.owner.kind == kind).then_some(&*budget.owner.name);
    SpentBy { tokens: &budget.tokens, user: name(Subject::User), group: name(Subject::Group) }
}

/// All limits in dollars, and what the ledger has of their open windows.
fn opened(team: &Keeper, folder: &Path) -> anyhow::Result<(Vec<InDollars>, Vec<Opened>)> {
    let budgets = team.in_dollars()?;
    let owners: Vec<_> = budgets.iter().map(|budget| budget.owner.clone()).collect();
    let mut open = Vec::new();
    for (at, used) in usage::read(folder, &owners)?.into_iter().enumerate() {
        for (used, since_ms) in used.into_iter().zip(&budgets[at].since_ms) {
            let opens_ms = used.opens_ms.or((used.limit.window == Window::Total).then_some(0));
            let Some((opens_ms, ledger)) = opens_ms.zip(used.used) else { continue };
            let owner = &owners[at];
            // A limit counts what comes after it was set.
            let key = (owner.kind.code(), Arc::clone(&owner.id), used.limit.window.code(), opens_ms.max(*since_ms));
            open.push(Opened { key, at, ledger });
        }
    }
    Ok((budgets, open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_prometheus::prometheus::{Registry, TextEncoder};

    #[test]
    fn what_differs_one_way_makes_nothing_good_that_differs_the_other_way() {
        let registry = Registry::new();
        let gauges = Gauges::register(&registry).expect("registered");
        let key = |at: i64| ("token", Arc::from("tok_1"), "day", at);
        let sums = |ledger, log| Sums { ledger, log };
        let billion = 1_000_000_000;
        gauges.show(&HashMap::from([
            (key(1), sums(5 * billion, 3 * billion)),
            (key(2), sums(2 * billion, 3 * billion)),
            (key(3), sums(billion, billion)),
        ]));
        let shown = TextEncoder::new().encode_to_string(&registry.gather()).expect("a text");
        for line in [
            "gateway_budget_drift_usd{more_in=\"ledger\"} 2",
            "gateway_budget_drift_usd{more_in=\"log\"} 1",
            "gateway_budget_spent_usd 8",
        ] {
            assert!(shown.contains(&format!("{line}\n")), "{line}: {shown}");
        }
    }
}
