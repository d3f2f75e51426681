//! Memory per open stream: on a fresh process, and on one through which many requests have come and gone.
use crate::contestants::{Contestant, Running, Setting};
use crate::load::{self, Job};
use crate::origin::{Answer, Origin, Plan};
use crate::process::rss_kb;
use crate::scenarios::{Scenario, all_right};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Streams open at the same time.
    pub streams: usize,
    /// Requests that come and go before the second measurement.
    pub churn: usize,
    /// For the allocator to give back what it will give back.
    pub settle: Duration,
}

/// Streams that are being opened at the same time, and connections of the churn.
pub(crate) const PARALLEL: usize = 32;

/// Resident memory of one process, kB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    /// Started, one request served.
    pub fresh: f64,
    /// Right before the streams are opened: after the churn, if there was one.
    pub before: f64,
    /// With all streams open.
    pub open: f64,
    /// After all of them have ended.
    pub after: f64,
}

impl Resident {
    /// What one of `streams` streams costs, counted from the fresh process: what churn left behind counts too.
    pub(crate) fn per_stream(&self, streams: usize) -> f64 {
        (self.open - self.fresh) / streams as f64
    }

    /// The same, counted from the memory right before the streams were opened.
    pub(crate) fn per_stream_on_top(&self, streams: usize) -> f64 {
        (self.open - self.before) / streams as f64
    }
}

/// Measures `contestant` twice, each time as a new process: fresh, and after churn. `scenario` is the request that is used.
pub(crate) async fn measure(
    contestant: &Contestant,
    setting: Setting,
    origin: &Arc<Origin>,
    scenario: &Scenario,
    amount: Amount,
) -> Result<(Resident, Resident)> {
    let fresh = one(contestant, setting, origin, scenario, Amount { churn: 0, ..amount }).await?;
    let churned = one(contestant, setting, origin, scenario, amount).await?;
    Ok((fresh, churned))
}

async fn one(
    contestant: &Contestant,
    setting: Setting,
    origin: &Arc<Origin>,
    scenario: &Scenario,
    amount: Amount,
) -> Result<Resident> {
    let running = contestant.start(origin.address, setting).await?;
    let result = with(&running, origin, scenario, amount).await;
    result.with_context(|| format!("memory of {}: {}", contestant.name, running.output()))
}

async fn with(running: &Running, origin: &Arc<Origin>, scenario: &Scenario, amount: Amount) -> Result<Resident> {
    let Amount { streams, churn, settle } = amount;
    let (job, check) = scenario.job(origin, running);
    let resident = || rss_kb(running.pid()).map(|kb| kb as f64);
    let serve = |requests: usize, connections: usize| Job { requests, connections, ..job.clone() };

    origin.expect(Plan { check: check.clone(), answer: Answer::Json });
    load::run(&serve(1, 1)).await?;
    tokio::time::sleep(settle).await;
    let fresh = resident()?;
    if churn > 0 {
        load::run(&serve(churn, PARALLEL)).await?;
        all_right(origin, churn + 1)?;
        tokio::time::sleep(settle).await;
    }
    let before = resident()?;

    origin.expect(Plan { check, answer: Answer::Hold });
    let first_event = Job { reply: origin.events().first(), ..job };
    let open_streams = load::open_streams(&first_event, streams, PARALLEL).await?;
    all_right(origin, streams)?;
    tokio::time::sleep(settle).await;
    let held = origin.held.load(Ordering::Relaxed);
    if held != streams {
        bail!("{held} of {streams} streams were still open");
    }
    let open = resident()?;

    drop(open_streams);
    let deadline = Instant::now() + Duration::from_secs(10);
    while origin.held.load(Ordering::Relaxed) > 0 {
        if Instant::now() > deadline {
            bail!("{} streams outlived their clients by 10 s", origin.held.load(Ordering::Relaxed));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(settle).await;
    Ok(Resident { fresh, before, open, after: resident()? })
}
