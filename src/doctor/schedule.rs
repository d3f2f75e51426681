//! The service that tests upstreams from time to time, where `upstreams[].test` asks for it: one message each, in the
//! background. It costs a little, so the times between two are long, and there is none for an upstream that is drained.

use super::clean::Cleaner;
use super::keys_of;
use super::message::{self, Question};
use super::model::Wanted;
use super::test::{Asked, note};
use crate::config::upstream_test::TestSettings;
use crate::gateway::{Shared, Snapshot};
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::key_state::State;
use crate::upstream::keys::Keys;
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon after the start, or after the settings came, the first message goes out.
const FIRST: Duration = Duration::from_secs(5);
/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How many messages are under way at a time.
const AT_ONCE: usize = 4;

/// Tests by schedule.
pub(crate) struct Schedule(Arc<Shared>);

/// When an upstream is due, and how often it was tested.
struct Due {
    settings: TestSettings,
    next: Instant,
    turn: usize,
}

impl Schedule {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    async fn run(&self) {
        // Made when it is needed: it brings all certificate authorities of the system with it.
        let mut connector = None;
        let mut known = HashMap::new();
        loop {
            let snapshot = self.0.snapshot.load_full();
            let due = due(&snapshot.upstreams, &mut known, Instant::now());
            if !due.is_empty() {
                let connector = &*connector.get_or_insert_with(|| Connector::new(None));
                let tests = due.into_iter().map(|(at, key, model)| test(connector, &snapshot, (at, key), model));
                stream::iter(tests).for_each_concurrent(AT_ONCE, |test| test).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The upstreams that are due: their places, the key, and the model.
fn due(
    upstreams: &[Arc<Upstream>],
    known: &mut HashMap<Arc<str>, Due>,
    now: Instant,
) -> Vec<(usize, Option<usize>, String)> {
    known.retain(|name, due| {
        upstreams.iter().any(|upstream| upstream.name == *name && upstream.config.test.as_ref() == Some(&due.settings))
    });
    let mut all = Vec::new();
    for (at, upstream) in upstreams.iter().enumerate() {
        let Some(settings) = &upstream.config.test else { continue };
        let first = || Due { settings: settings.clone(), next: now + FIRST, turn: 0 };
        let due = known.entry(Arc::clone(&upstream.name)).or_insert_with(first);
        if due.next > now || upstream.is_drained() {
            continue;
        }
        all.push((at, settings.key.or_else(|| whose_turn(&upstream.keys, due.turn, now_ms())), settings.model.clone()));
        (due.next, due.turn) = (now + settings.every, due.turn.wrapping_add(1));
    }
    all
}

/// The key that is tested next: those that are out of use take turns, or else all that are switched on.
fn whose_turn(keys: &Keys, turn: usize, now_ms: u64) -> Option<usize> {
    let on = || keys.all().iter().enumerate().filter(|(_, key)| key.config.is_enabled);
    let is_out = |state| matches!(state, State::Resting(_) | State::Disabled);
    let out: Vec<usize> = on().filter(|(_, key)| is_out(key.state.state(now_ms))).map(|(at, _)| at).collect();
    let among = if out.is_empty() { on().map(|(at, _)| at).collect() } else { out };
    among.get(turn.checked_rem(among.len())?).copied()
}

async fn test(
    connector: &Connector,
    snapshot: &Arc<Snapshot>,
    (destination, key): (usize, Option<usize>),
    model: String,
) {
    let upstream = &snapshot.upstreams[destination];
    let Some(wanted) = Wanted::parse(&model) else { return };
    let choice = wanted.choose(&[], &snapshot.priced_models());
    let question = Question { snapshot: Arc::clone(snapshot), destination, key, client_key: None, choice };
    let cleaner = Cleaner::new(keys_of(&upstream.config).collect()).and(snapshot.config.secrets());
    match message::send(connector, &question, &cleaner).await {
        Ok((message, _)) => note(snapshot, destination, key, &message, Asked::Schedule),
        Err(why) => log::warn!("upstream \"{}\": the test cannot be made: {why}", upstream.name),
    }
}

#[async_trait]
impl BackgroundService for Schedule {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}
