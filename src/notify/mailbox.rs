//! What waits for one target, and who takes it there: a task for each, so that one that hangs keeps none of the others.

use super::delivery::Way;
use super::event::Event;
use super::fault::Fault;
use super::message::Message;
use crate::config::notify_target::Target;
use crate::gateway::Shared;
use arc_swap::ArcSwapOption;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// What follows the first event so soon is told together with it.
const GATHER: Duration = Duration::from_secs(2);
/// Most events that wait for one target; beyond it the oldest are dropped.
const MOST_WAITING: usize = 100;
/// How long after each failure a message is tried again; after the last one it is given up.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(600)];
/// Longest pause that a target can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How the last attempt ended.
#[derive(Debug)]
pub(super) struct Last {
    /// When it ended.
    pub at: SystemTime,
    /// Why it failed; `None` if the message arrived.
    pub fault: Option<Fault>,
}

/// What waits for a target.
#[derive(Debug, Default)]
struct Waiting {
    /// What is under way.
    sending: Vec<Event>,
    /// What comes after that.
    next: VecDeque<Event>,
}

/// One target.
pub(super) struct Mailbox {
    /// Where messages go.
    pub target: Target,
    gateway: Arc<str>,
    shared: Arc<Shared>,
    waiting: Mutex<Waiting>,
    wake: tokio::sync::Notify,
    /// How the last attempt ended.
    pub last: ArcSwapOption<Last>,
}

/// A mailbox with its task, which ends with it.
pub(super) struct Served {
    /// The mailbox.
    pub mailbox: Arc<Mailbox>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Begins to serve a target; what waited for the one of its name goes to it.
    pub(super) fn begin(target: Target, gateway: &Arc<str>, shared: &Arc<Shared>, former: Option<Self>) -> Self {
        let mut waiting = Waiting::default();
        if let Some(former) = former {
            let mut left = former.mailbox.waiting();
            waiting.next.extend(left.sending.drain(..));
            waiting.next.extend(left.next.drain(..));
            let excess = waiting.next.len().saturating_sub(MOST_WAITING);
            waiting.next.drain(..excess);
            (0..excess).for_each(|_| shared.metrics.notified(&target.name, "dropped"));
        }
        let mailbox = Arc::new(Mailbox {
            target,
            gateway: Arc::clone(gateway),
            shared: Arc::clone(shared),
            waiting: Mutex::new(waiting),
            wake: tokio::sync::Notify::new(),
            last: ArcSwapOption::empty(),
        });
        mailbox.wake.notify_one();
        let served = Arc::clone(&mailbox);
        Self { mailbox, task: tokio::spawn(async move { served.serve().await }) }
    }
}

impl Mailbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of it would be another one.
    pub(super) fn is_for(&self, target: &Target, gateway: &Arc<str>) -> bool {
        self.target == *target && self.gateway == *gateway
    }

    /// Events that are not told yet.
    pub(super) fn count(&self) -> usize {
        let waiting = self.waiting();
        waiting.sending.len() + waiting.next.len()
    }

    /// Puts an event in, if the target is to be told of its kind.
    pub(super) fn put(&self, event: &Event) {
        if !self.target.events.contains(&event.kind) {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.next.len() == MOST_WAITING {
            waiting.next.pop_front();
            self.shared.metrics.notified(&self.target.name, "dropped");
        }
        waiting.next.push_back(event.clone());
        drop(waiting);
        self.wake.notify_one();
    }

    async fn serve(&self) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(GATHER).await;
            let events: Vec<Event> = {
                let mut waiting = self.waiting();
                waiting.sending = waiting.next.drain(..).collect();
                waiting.sending.clone()
            };
            if !events.is_empty() {
                self.tell(&Message::new(&self.gateway, self.target.language, events)).await;
                self.waiting().sending.clear();
            }
        }
    }

    /// Tells the target of something: again after a while, if it may be taken then.
    async fn tell(&self, message: &Message) {
        let name = &self.target.name;
        let mut retries = RETRIES.into_iter();
        loop {
            let attempt = self.attempt(message).await;
            let fault = attempt.err();
            self.last.store(Some(Arc::new(Last { at: SystemTime::now(), fault: fault.clone() })));
            let Some(fault) = fault else {
                self.shared.metrics.notified(name, "sent");
                return;
            };
            let pause = retries.next().filter(|_| !fault.is_lasting());
            let Some(pause) = pause.map(|pause| pause.max(fault.after().unwrap_or_default()).min(LONGEST_PAUSE)) else {
                log::error!("notify target \"{name}\" {}: the message is given up", fault.words());
                self.shared.metrics.notified(name, "failed");
                return;
            };
            let after = humantime::format_duration(pause);
            log::warn!("notify target \"{name}\" {}: the message is sent again in {after}", fault.words());
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, message: &Message) -> Result<Option<u16>, Fault> {
        // The snapshot is not kept while somebody waits.
        let way = {
            let snapshot = self.shared.snapshot.load_full();
            Way::prepare(&self.target, &snapshot.config).await?
        };
        way.deliver(message).await
    }
}
