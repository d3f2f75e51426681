//! A wave: many requests at one time, then quiet, in which everything is compared.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{Client, metrics};
use tokio::task::JoinSet;

use crate::client::{self, Seen};
use crate::model::{self, Facts};
use crate::operator::{Deed, Gone, deeds, operate};
use crate::plan::{Nonce, Plan, UPSTREAMS, Way};
use crate::road::{self, State};
use crate::rows::Row;
use crate::world::{MOST_USD, World, text_of_metrics};

/// Clients at one time.
const CLIENTS: usize = 24;
/// What must be 0 when nothing goes on.
const GAUGES: [&str; 6] = [
    "gateway_in_flight_requests",
    "gateway_in_flight_streams",
    "gateway_held_body_bytes",
    "gateway_unsent_answer_bytes",
    "gateway_upstream_in_flight_requests",
    "gateway_upstream_waiting_requests",
];
/// How long a road that is open again may still cost requests: what was sent on connections that had died, and not noticed yet.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long a row may wait for the disk: for the second that it is written with, and on a busy machine for its turn.
const UNWRITTEN: Duration = Duration::from_millis(2_500);
/// How long it may take until nothing goes on any more, and the rows are written.
const QUIET: Duration = Duration::from_secs(20);

/// What a wave comes to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests whose client saw its response to the end, or left.
    pub(crate) requests: usize,
    /// How many had each outcome.
    pub(crate) outcomes: HashMap<String, usize>,
    /// What was not as it may be.
    pub(crate) wrong: Vec<String>,
}

/// Asks for so long, and compares.
pub(crate) async fn run(world: &mut World, seed: u64, time: Duration) -> Tally {
    let before = text_of_metrics(&world.gateway).await;
    let (seen, troubles, (mut wrong, gone)) =
        tokio::join!(flood(world, seed, time), trouble(world, seed, time), operate(world, seed, time));
    for &(upstream, ..) in &troubles {
        world.were_troubled[upstream] = true;
    }
    if !gone.is_empty() {
        // What was on its way was cut, at every upstream.
        world.were_troubled = [true; UPSTREAMS.len()];
        world.excused += seen.iter().filter(|(_, seen)| was_killed(&gone, seen)).count() as f64 * MOST_USD;
    }
    wrong.extend(quiet(world).await);
    let (hits, more) = world.notes.take();
    wrong.extend(more);
    let rows = rows(world, &seen, &hits).await;
    for (plan, seen) in &seen {
        let none = Vec::new();
        let facts = Facts {
            seen,
            rows: rows.get(&plan.nonce).unwrap_or(&none),
            hits: hits.get(&plan.nonce).map_or(&[], Vec::as_slice),
            troubled: troubled(&troubles, seen),
            was_killed: was_killed(&gone, seen),
        };
        let found = model::complaints(plan, &facts);
        if !found.is_empty() {
            wrong.push(format!(
                "{}: {}\n    {plan:?}\n    {:?} {:?} {} bytes\n    {:?}\n    came to {:?}, troubled {:?}",
                plan.nonce,
                found.join("; "),
                seen.status,
                seen.end,
                seen.body.len(),
                facts.rows,
                facts.hits,
                facts.troubled
            ));
        }
    }
    let known: HashMap<Nonce, ()> = seen.iter().map(|(plan, _)| (plan.nonce, ())).collect();
    wrong.extend(
        rows.keys().filter(|nonce| !known.contains_key(nonce)).map(|nonce| format!("a row of nobody: {nonce}")),
    );
    let mut outcomes = std::mem::take(&mut world.log.nameless);
    for row in rows.values().flatten() {
        *outcomes.entry(row.outcome.clone()).or_default() += 1;
    }
    // Another process counts from the beginning.
    if !deeds(seed, time).iter().any(|&(_, deed)| matches!(deed, Deed::Upgrade | Deed::Kill)) {
        let after = text_of_metrics(&world.gateway).await;
        wrong.extend(compare_metrics(&before, &after, &outcomes, &rows));
    }
    wrong.extend(world.compare_sums().await);
    Tally { requests: seen.len(), outcomes, wrong }
}

/// A road that was not open, and from when to when.
type Trouble = (usize, Instant, Instant);

/// Breaks and freezes the roads as the seed says.
async fn trouble(world: &World, seed: u64, time: Duration) -> Vec<Trouble> {
    let spells = road::spells(seed, time).into_iter().map(async |spell| {
        tokio::time::sleep(spell.from).await;
        let began = Instant::now();
        println!("wave {seed}: {spell:?}");
        world.roads[spell.upstream].set(spell.state);
        tokio::time::sleep(spell.to - spell.from).await;
        world.roads[spell.upstream].set(State::Open);
        (spell.upstream, began, Instant::now())
    });
    futures::future::join_all(spells).await
}

/// The upstreams whose roads were not open while a request was asked.
fn troubled(troubles: &[Trouble], seen: &Seen) -> [bool; UPSTREAMS.len()] {
    std::array::from_fn(|upstream| {
        troubles.iter().any(|&(of, from, to)| of == upstream && seen.time.0 <= to + AFTERMATH && seen.time.1 >= from)
    })
}

/// Whether a request was asked while the gateway was not there, or so shortly before that its row may not be on the disk.
fn was_killed(gone: &[Gone], seen: &Seen) -> bool {
    gone.iter().any(|&(from, to)| seen.time.1 + UNWRITTEN >= from && seen.time.0 <= to)
}

/// Clients that ask one request after the other.
async fn flood(world: &World, seed: u64, time: Duration) -> Vec<(Plan, Seen)> {
    let (next, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (next, token, address) = (Arc::clone(&next), world.token.clone(), world.gateway.addr());
        clients.spawn(async move {
            let mut seen = Vec::new();
            let mut kept: Option<Client> = None;
            while began.elapsed() < time {
                // Pairs stay together: one that is sent in one piece is asked by one client.
                let number = next.fetch_add(2, Ordering::Relaxed);
                let plans = [number, number + 1].map(|number| Plan::of(Nonce { seed, number }));
                let groups: Vec<&[Plan]> =
                    if plans[0].way == Way::Leads { vec![&plans] } else { plans.chunks(1).collect() };
                for group in groups {
                    let answers = client::ask(address, &token, group, &mut kept).await;
                    seen.extend(group.iter().cloned().zip(answers));
                }
            }
            seen
        });
    }
    let mut seen = Vec::new();
    while let Some(of_one) = clients.join_next().await {
        seen.extend(of_one.expect("a client does not panic"));
    }
    seen
}

/// Waits until nothing goes on; what goes on nevertheless.
async fn quiet(world: &World) -> Vec<String> {
    let began = Instant::now();
    loop {
        let text = text_of_metrics(&world.gateway).await;
        let mut busy: Vec<String> = GAUGES
            .iter()
            .map(|name| (name, metrics::sum(&text, name, &[])))
            .filter(|(_, value)| *value != 0.0)
            .map(|(name, value)| format!("{name} is {value} when nothing goes on"))
            .collect();
        let processes = world.gateway.processes();
        if processes.len() != 1 {
            busy.push(format!("the processes {processes:?} are there when nothing goes on"));
        }
        if busy.is_empty() || began.elapsed() > QUIET {
            return busy;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The rows of a wave: all there are when as many came as requests, or none came for a while.
async fn rows(world: &mut World, seen: &[(Plan, Seen)], hits: &HashMap<Nonce, Vec<usize>>) -> HashMap<Nonce, Vec<Row>> {
    let mut rows: HashMap<Nonce, Vec<Row>> = HashMap::new();
    let mut last = Instant::now();
    // The writer commits each second.
    while last.elapsed() < Duration::from_millis(2_500) {
        for (nonce, newer) in world.log.newer() {
            rows.entry(nonce).or_default().extend(newer);
            last = Instant::now();
        }
        let is_complete = seen.iter().all(|(plan, _)| rows.contains_key(&plan.nonce))
            && hits.keys().all(|nonce| rows.contains_key(nonce));
        if is_complete {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rows
}

/// Metrics count what the rows say.
fn compare_metrics(
    before: &str,
    after: &str,
    outcomes: &HashMap<String, usize>,
    rows: &HashMap<Nonce, Vec<Row>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let more =
        |name: &str, labels: &[(&str, &str)]| metrics::sum(after, name, labels) - metrics::sum(before, name, labels);
    for (outcome, count) in outcomes {
        let counted = more("gateway_requests_total", &[("outcome", outcome)]);
        if counted != *count as f64 {
            wrong.push(format!("metrics count {counted} requests that were {outcome}, rows {count}"));
        }
    }
    let kinds = [("input", 0), ("output", 1), ("cache_write", 2), ("cache_read", 3)];
    for (kind, at) in kinds {
        let told: u64 = rows.values().flatten().filter_map(|row| row.tokens[at]).sum();
        let counted = more("gateway_tokens_total", &[("kind", kind)]);
        if (counted - told as f64).abs() > 1e-6 * told as f64 {
            wrong.push(format!("metrics count {counted} tokens of {kind}, rows {told}"));
        }
    }
    wrong
}
