//! Whatever upstreams, clients and networks do: each request ends as it may, and everything that is told of it agrees.
//!
//! A run is a row of waves. In each, clients ask requests whose plans follow from the wave's seed (`plan.rs`); relays do what
//! the plan says, told by the nonce that the request carries (`relay.rs`); the roads to them break and freeze (`road.rs`), and
//! the operator reloads, upgrades and kills (`operator.rs`). Then everything must become quiet, and what the client saw, the row of
//! the request log, the metrics, the ledger and the relays' notes are held against what may follow (`model.rs`, which is pure)
//! and against each other. What the gateway holds must not grow (`growth.rs`).
//!
//! Two waves are part of all tests; `make hold` runs it for long: `HOLD_SEED` and `HOLD_SECONDS` say what and for how long.

#[path = "hold/client.rs"]
mod client;
#[path = "hold/growth.rs"]
mod growth;
#[path = "hold/model.rs"]
mod model;
#[path = "hold/model_tests.rs"]
mod model_tests;
#[path = "hold/operator.rs"]
mod operator;
#[path = "hold/plan.rs"]
mod plan;
#[path = "hold/relay.rs"]
mod relay;
#[path = "hold/road.rs"]
mod road;
#[path = "hold/rows.rs"]
mod rows;
#[path = "hold/wave.rs"]
mod wave;
#[path = "hold/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::within;

/// How long clients ask in a wave.
const WAVE: Duration = Duration::from_secs(8);
/// Of this one and the next, which every run of all tests has: a kill, a road that freezes, reloads, an upgrade.
const FIRST_SEED: u64 = 8;
/// Of a wave in which very much is wrong, only so much is shown.
const SHOWN: usize = 12;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(usual, |text| text.parse().expect("a whole number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_ends_as_it_may_and_all_that_is_told_of_it_agrees() {
    let (time, first) = (Duration::from_secs(number("HOLD_SECONDS", 16)), number("HOLD_SEED", FIRST_SEED));
    let (began, mut seed, mut requests) = (Instant::now(), first, 0);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut world = world::World::start().await;
    let mut grown = growth::Growth::default();
    while began.elapsed() < time {
        let mut tally = wave::run(&mut world, seed, WAVE.min(time)).await;
        tally.wrong.extend(world.looked_through());
        requests += tally.requests;
        for (outcome, count) in &tally.outcomes {
            *outcomes.entry(outcome.clone()).or_default() += count;
        }
        grown.note(began.elapsed(), world.holdings());
        println!("wave {seed}: {} requests, {:.0?} so far; {}", tally.requests, began.elapsed(), grown.last());
        assert!(
            tally.wrong.is_empty(),
            "{} faults in wave {seed}; to repeat it: make hold SEED={seed} SECONDS={}\n{}",
            tally.wrong.len(),
            WAVE.as_secs(),
            tally.wrong.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n")
        );
        seed += 1;
    }
    within("files and threads as after the first wave", async {
        while let Some(more) = grown.more_than_at_first(world.holdings()) {
            println!("{more}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    println!("{}", grown.slopes());
    println!("seeds {first} to {}: {requests} requests, {outcomes:?}", seed - 1);
}
