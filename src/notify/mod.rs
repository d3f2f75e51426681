//! A word when something breaks: what others know of upstreams, the log, the configuration and the certificate is looked
//! at each second, and what changed is told to those whom the operator named (`gateway.notify`). Nothing here is in the
//! way of a request: no hook, no lock that a request takes.
//!
//! `look` and `figures` say what is not as it should be, `ledger` what is to be told of that, `message` and `form` how;
//! `mailbox` has a task for each target, `delivery` and `email` are one attempt.

mod delivery;
mod email;
mod event;
mod fault;
mod figures;
mod form;
mod ledger;
mod look;
mod mailbox;
mod message;

use crate::config::Config;
use crate::config::live::Live;
use crate::config::notify::Notify;
use crate::config::notify_target::{EventKind, Target};
use crate::gateway::{Shared, Snapshot};
use crate::store::Reader;
use arc_swap::ArcSwap;
use delivery::Way;
use event::Event;
use fault::Fault;
use figures::Found;
use gateway_core::language::Words;
use ledger::Ledger;
use look::Look;
use mailbox::Served;
use message::Message;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::MissedTickBehavior;

/// How often states are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the request log is asked.
const ASK: Duration = Duration::from_secs(60);
/// Events that are kept for those who look on.
const RECENT: usize = 50;

/// Looks for what breaks, and tells it.
pub(crate) struct Notifier {
    shared: Arc<Shared>,
    /// The request log; `None` if there is none.
    log: Option<Reader>,
    live: Arc<Live>,
    /// When the certificate ends that is presented to clients.
    certificate_ends: Option<SystemTime>,
    host: Arc<str>,
    served: Mutex<BTreeMap<String, Served>>,
    /// What the request log told last.
    found: ArcSwap<Found>,
    is_asking: AtomicBool,
    recent: Mutex<VecDeque<Event>>,
}

/// A target, for people.
#[derive(Debug, Serialize)]
pub(crate) struct TargetView {
    name: String,
    kind: &'static str,
    /// Where it is, without what only the operator may know.
    host: String,
    events: Vec<&'static str>,
    language: &'static str,
    /// The outbound proxy, without user and password.
    proxy: Option<String>,
    sent: u64,
    failed: u64,
    dropped: u64,
    waiting: usize,
    last: Option<LastView>,
}

/// How the last attempt ended.
#[derive(Debug, Serialize)]
struct LastView {
    at_ms: u64,
    ok: bool,
    /// `ok`, or why it failed.
    code: &'static str,
    /// The same in words.
    said: Option<Words>,
}

/// An event, for people.
#[derive(Debug, Serialize)]
struct EventView {
    at_ms: u64,
    event: &'static str,
    text: Words,
}

/// All that is known, for people.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    targets: Vec<TargetView>,
    /// The last events, the newest first.
    recent: Vec<EventView>,
}

/// What came of a test.
#[derive(Debug, Serialize)]
pub(crate) struct Tested {
    target: String,
    kind: &'static str,
    ok: bool,
    code: &'static str,
    said: Option<Words>,
    /// The status of the answer, if the message went over HTTP and was taken.
    status: Option<u16>,
    milliseconds: u64,
}

impl Notifier {
    /// Of what all requests share.
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: Option<Reader>,
        live: Arc<Live>,
        certificate_ends: Option<SystemTime>,
    ) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            shared,
            log,
            live,
            certificate_ends,
            host: host.into(),
            served: Mutex::default(),
            found: ArcSwap::default(),
            is_asking: AtomicBool::new(false),
            recent: Mutex::default(),
        }
    }

    /// Looks and tells until the process ends, or another one takes over.
    pub(crate) async fn run(self: &Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ledger, mut look) = (Ledger::default(), Look::default());
        let mut in_force: Option<Arc<Snapshot>> = None;
        let mut asked: Option<Instant> = None;
        loop {
            ticks.tick().await;
            // Whoever takes over looks for itself; what waits here still goes out.
            if self.shared.drain.is_on() {
                return std::future::pending().await;
            }
            let snapshot = self.shared.snapshot.load_full();
            let settings = &snapshot.config.notify;
            if in_force.as_ref().is_none_or(|former| !Arc::ptr_eq(former, &snapshot)) {
                self.serve(settings);
                self.shared.ledger.tell_at(told_of_limits(&snapshot.config));
                // What another configuration asks for is not known yet.
                asked = None;
                in_force = Some(Arc::clone(&snapshot));
            }
            if settings.targets.is_empty() {
                ledger = Ledger::default();
                continue;
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK) {
                asked = Some(Instant::now());
                self.ask(Arc::clone(&snapshot));
            }
            let now = SystemTime::now();
            let mut seen = look.at((&self.shared, &self.live), settings, self.certificate_ends, now);
            seen.troubles.extend(self.found.load().iter().cloned());
            for event in ledger.due(&seen, now, settings.quiet) {
                self.tell(event);
            }
            // Each of these is told once, and not held back.
            for notice in self.shared.ledger.notices() {
                self.tell(Event::of_limit(&notice, now));
            }
        }
    }

    /// Asks the request log, in a task of its own: a disk that hangs must not keep anybody from telling that.
    fn ask(self: &Arc<Self>, snapshot: Arc<Snapshot>) {
        if self.log.is_none() || self.is_asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let notifier = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(log) = &notifier.log {
                match figures::read(log, &snapshot.config.notify, now_ms()).await {
                    Ok(found) => notifier.found.store(Arc::new(found)),
                    Err(error) => log::debug!("notifications: {error}"),
                }
            }
            notifier.is_asking.store(false, Ordering::Release);
        });
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the targets of these settings, and no others.
    fn serve(&self, settings: &Notify) {
        let gateway = settings.name.as_deref().map_or_else(|| Arc::clone(&self.host), Arc::from);
        let mut served = self.served();
        let mut former = std::mem::take(&mut *served);
        for target in &settings.targets {
            let same = former.remove(&target.name);
            let now = match same {
                Some(same) if same.mailbox.is_for(target, &gateway) => same,
                other => Served::begin(target.clone(), &gateway, &self.shared, other),
            };
            self.shared.metrics.notifies(&target.name);
            served.insert(target.name.clone(), now);
        }
        for name in former.keys() {
            self.shared.metrics.notifies_no_more(name);
        }
    }

    fn tell(&self, event: Event) {
        log::info!("notify: {} ({})", event.words, event.kind.name());
        for served in self.served().values() {
            served.mailbox.put(&event);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT - 1);
        recent.push_front(event);
    }

    /// Sends a test to one target; `None` if there is none of this name.
    pub(crate) async fn test(&self, name: &str) -> Option<Tested> {
        let snapshot = self.shared.snapshot.load_full();
        let settings = &snapshot.config.notify;
        let target = settings.targets.iter().find(|target| target.name == name)?;
        let gateway = settings.name.as_deref().map_or_else(|| Arc::clone(&self.host), Arc::from);
        let message = Message::test(&gateway, target.language);
        let began = Instant::now();
        let delivered = match Way::prepare(target, &snapshot.config).await {
            Ok(way) => way.deliver(&message).await,
            Err(fault) => Err(fault),
        };
        let fault = delivered.as_ref().err();
        Some(Tested {
            target: target.name.clone(),
            kind: target.channel.name(),
            ok: fault.is_none(),
            code: fault.map_or("ok", Fault::code),
            said: fault.map(Fault::words),
            status: delivered.ok().flatten(),
            milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// All that is known, for people.
    pub(crate) fn view(&self) -> View {
        let snapshot = self.shared.snapshot.load();
        let served = self.served();
        let targets = snapshot.config.notify.targets.iter();
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        View {
            targets: targets.map(|target| self.view_of(target, served.get(&target.name))).collect(),
            recent: recent
                .iter()
                .map(|event| EventView { at_ms: millis(event.at), event: event.kind.name(), text: event.words.clone() })
                .collect(),
        }
    }

    fn view_of(&self, target: &Target, served: Option<&Served>) -> TargetView {
        let count = |outcome| self.shared.metrics.notifications(&target.name, outcome);
        let last = served.and_then(|served| served.mailbox.last.load_full());
        TargetView {
            name: target.name.clone(),
            kind: target.channel.name(),
            host: target.place.authority.clone(),
            events: target.events.iter().map(|kind| EventKind::name(*kind)).collect(),
            language: target.language.tag(),
            proxy: target.proxy.as_ref().map(|proxy| proxy.shown.clone()),
            sent: count("sent"),
            failed: count("failed"),
            dropped: count("dropped"),
            waiting: served.map_or(0, |served| served.mailbox.count()),
            last: last.map(|last| LastView {
                at_ms: millis(last.at),
                ok: last.fault.is_none(),
                code: last.fault.as_ref().map_or("ok", Fault::code),
                said: last.fault.as_ref().map(Fault::words),
            }),
        }
    }
}

/// The parts of limits that somebody is told of. If nobody is, none is noted: a target that comes later hears of them.
fn told_of_limits(config: &Config) -> &[u8] {
    let is_told = config.notify.targets.iter().any(|target| target.events.contains(&EventKind::LimitSpent));
    if is_told { &config.team.notify_at } else { &[] }
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or_default()
}

fn now_ms() -> i64 {
    i64::try_from(millis(SystemTime::now())).unwrap_or_default()
}
