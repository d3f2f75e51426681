//! The clock, the clients, and what happens to them.

use super::gateway::{Answer, Gateway, State};
use crate::chance::Chance;
use crate::team::admission::{Admission, Missing, Shortage, admit};
use crate::team::estimate::Told;
use crate::team::ledger_model::Window;
use crate::team::limit::{Limit, Subject, Window as Time};
use crate::team::measure::{Amounts, Measure};
use crate::team::refusal::{Refusal, Resets, Whose};
use crate::team::stock::Lack;
use crate::usage::summary::Tokens;
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What is tried.
pub(super) struct Scenario {
    pub(super) clients: usize,
    pub(super) tokens: usize,
    pub(super) budget: i64,
    pub(super) places: i64,
    /// What happens when.
    pub(super) changes: Vec<(u64, Change)>,
    pub(super) lasts: u64,
}

/// What happens to gateways, by their number in the order of their start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Start,
    Drain(usize),
    Kill(usize),
    /// It does not reach the ledger for so long.
    Away(usize, u64),
}

/// What became of a token's budget.
#[derive(Debug)]
pub(super) struct Spent {
    /// What its requests cost.
    pub(super) actual: i64,
    /// What the ledger has.
    pub(super) counted: i64,
    /// What the design allows: what requests in flight, when the last one was admitted, cost beyond their estimates.
    pub(super) promised: i64,
    /// What gateways that were killed had not told.
    pub(super) unreported: i64,
}

enum Event {
    /// A client sends a request, for the so many-th time.
    Come(usize, u32),
    End(usize),
    /// A tick of a gateway; it has the next one scheduled if it is a regular one.
    Tick(usize, bool),
    Hear(usize, Vec<Answer>, u64),
    Change(Change),
}

/// What a client wants.
#[derive(Clone, Copy)]
struct Draft {
    is_main: bool,
    bytes: u64,
    cost: u64,
    takes: u64,
}

struct Request {
    client: usize,
    token: usize,
    gateway: usize,
    draft: Draft,
    admission: Option<Admission>,
    taken: i64,
    used: i64,
    admitted: u64,
    ended: u64,
}

pub(super) struct World {
    now: u64,
    events: Vec<Option<Event>>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    chance: Chance,
    limits: Vec<Limit>,
    tokens: usize,
    lasts: u64,
    ledger: Vec<Window>,
    gateways: Vec<Gateway>,
    drafts: Vec<Option<Draft>>,
    requests: Vec<Request>,
    unreported: Vec<i64>,
    at_once: Vec<i64>,
    pub(super) most_at_once: i64,
}

impl World {
    /// Lets a scenario happen.
    pub(super) fn run(scenario: &Scenario, seed: u64) -> Self {
        let amount = |amount: i64| u64::try_from(amount).expect("an amount");
        let limits = [
            Limit { measure: Measure::Usd, window: Time::Day, amount: amount(scenario.budget) },
            Limit { measure: Measure::Requests, window: Time::Now, amount: amount(scenario.places) },
        ];
        let limits = limits.repeat(scenario.tokens);
        let mut world = Self {
            now: 0,
            events: Vec::new(),
            queue: BinaryHeap::new(),
            chance: Chance::new(seed),
            ledger: limits.iter().map(|limit| Window::new(*limit)).collect(),
            limits,
            tokens: scenario.tokens,
            lasts: scenario.lasts,
            gateways: Vec::new(),
            drafts: vec![None; scenario.clients],
            requests: Vec::new(),
            unreported: vec![0; scenario.tokens],
            at_once: vec![0; scenario.tokens],
            most_at_once: 0,
        };
        for (at, change) in &scenario.changes {
            world.after(*at, Event::Change(*change));
        }
        for client in 0..scenario.clients {
            let wait = 1 + world.chance.below(30_000) as u64;
            world.after(wait, Event::Come(client, 0));
        }
        while let Some(Reverse((at, event))) = world.queue.pop() {
            world.now = at;
            if let Some(event) = world.events[event].take() {
                world.happen(event);
            }
        }
        world
    }

    fn after(&mut self, wait: u64, event: Event) {
        self.queue.push(Reverse((self.now + wait, self.events.len())));
        self.events.push(Some(event));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Come(client, attempt) => self.come(client, attempt),
            Event::End(request) => self.end(request),
            Event::Tick(gateway, is_regular) => self.tick(gateway, is_regular),
            Event::Hear(gateway, answers, sent_at) => {
                let gateway = &mut self.gateways[gateway];
                gateway.is_asking = false;
                if gateway.state != State::Dead && gateway.hear(&answers, sent_at) {
                    let id = gateway.id;
                    self.after(1, Event::Tick(id, false));
                }
            }
            Event::Change(change) => self.change(change),
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Start => {
                let id = self.gateways.len();
                self.gateways.push(Gateway::new(id, &self.limits, self.tokens));
                self.after(0, Event::Tick(id, true));
            }
            Change::Drain(gateway) => {
                self.gateways[gateway].state = State::Drains;
                self.after(0, Event::Tick(gateway, false));
            }
            Change::Away(gateway, time) => self.gateways[gateway].away_until = self.now + time,
            Change::Kill(gateway) => self.kill(gateway),
        }
    }

    /// Its requests end, and the relay charges what it had sent by then.
    fn kill(&mut self, gateway: usize) {
        self.gateways[gateway].state = State::Dead;
        let mut used = vec![0; self.tokens];
        for at in 0..self.requests.len() {
            let request = &mut self.requests[at];
            if request.gateway != gateway {
                continue;
            }
            if let Some(admission) = request.admission.take() {
                // Nobody is there to settle it.
                std::mem::forget(admission);
                let part = (self.now - request.admitted) as f64 / request.draft.takes as f64;
                request.used = (request.draft.cost as f64 * part.min(1.0)) as i64;
                request.ended = self.now;
                self.at_once[request.token] -= 1;
                let client = request.client;
                self.after(1_000, Event::Come(client, 0));
            }
        }
        for request in &self.requests {
            used[request.token] += if request.gateway == gateway { request.used } else { 0 };
        }
        for (token, used) in used.into_iter().enumerate() {
            self.unreported[token] += (used - self.ledger[token * 2].charges(gateway)).abs();
        }
    }

    /// Costs of requests: most are of the main model, with long prompts; some of a small one.
    fn draft(&mut self) -> Draft {
        let chance = &mut self.chance;
        let is_main = chance.part() < 0.7;
        let (cost, bytes) = if is_main { (0.06, 250_000.0) } else { (0.002, 4_000.0) };
        Draft {
            is_main,
            cost: (chance.tailed(cost, 0.9).min(8.0) * 1e9) as u64,
            bytes: chance.tailed(bytes, 0.7) as u64,
            takes: 300 + chance.tailed(8_000.0, 0.8).min(240_000.0) as u64,
        }
    }

    fn come(&mut self, client: usize, attempt: u32) {
        if self.now > self.lasts {
            return;
        }
        let token = client % self.tokens;
        let serving: Vec<usize> =
            self.gateways.iter().filter(|gateway| gateway.state == State::Serves).map(|gateway| gateway.id).collect();
        let Some(gateway) = serving.get(self.chance.below(serving.len().max(1))).copied() else {
            return self.after(1_000, Event::Come(client, 0));
        };
        let draft = match self.drafts[client] {
            Some(draft) => draft,
            None => self.draft(),
        };
        self.drafts[client] = Some(draft);
        let model = if draft.is_main { "main" } else { "small" };
        let likely = self.gateways[gateway].estimates[token]
            .of(model, draft.bytes, |tokens| Some(price(tokens) / if draft.is_main { 1 } else { 20 }));
        let subjects = self.gateways[gateway].subjects[token].clone();
        match admit(subjects, &likely, Duration::from_millis(self.now)) {
            Ok(admission) => self.begin(Request {
                client,
                token,
                gateway,
                draft,
                taken: i64::try_from(likely.usd).expect("an amount"),
                used: 0,
                admitted: self.now,
                ended: u64::MAX,
                admission: Some(admission),
            }),
            Err(shortage) => self.lacks(client, gateway, attempt, &shortage),
        }
    }

    fn begin(&mut self, request: Request) {
        let (token, gateway) = (request.token, request.gateway);
        self.drafts[request.client] = None;
        self.at_once[token] += 1;
        self.most_at_once = self.most_at_once.max(self.at_once[token]);
        if request.admission.as_ref().is_some_and(Admission::is_low) {
            self.after(1, Event::Tick(gateway, false));
        }
        // Some are cut short, by a client that gives up or an upstream that breaks off.
        let takes = request.draft.takes;
        self.requests.push(request);
        self.after(takes, Event::End(self.requests.len() - 1));
    }

    /// A request waits for the keeper, and is refused if that is in vain.
    fn lacks(&mut self, client: usize, gateway: usize, attempt: u32, shortage: &Shortage) {
        let window = usize::try_from(shortage.window).expect("an index");
        if attempt < 3 {
            let held = &mut self.gateways[gateway].held[window];
            held.waiting += match shortage.missing {
                Missing::Lease(Lack::Missing { amount }) => amount,
                _ => shortage.needed,
            };
            self.after(2, Event::Tick(gateway, false));
            return self.after([40, 80, 120][attempt as usize], Event::Come(client, attempt + 1));
        }
        let unspent = self.gateways[gateway].held[window].stock.unspent();
        let whose = Whose { subject: Subject::Token, name: String::new(), limit: shortage.limit };
        let resets = Resets { at: 0, within: Duration::from_secs(7_200), zone: TimeZone::UTC };
        let told = Refusal::short(whose, unspent, shortage.needed, Some(resets)).told();
        // Who reads that the budget is used tries again once in a while, with something else.
        let pause = if told.is_final { 20 } else { told.retry_after.expect("a pause") };
        if told.is_final {
            self.drafts[client] = None;
        }
        let wait = pause * 1_000 + self.chance_ms(1_000);
        self.after(wait, Event::Come(client, 0));
    }

    fn chance_ms(&mut self, below: usize) -> u64 {
        self.chance.below(below) as u64
    }

    fn end(&mut self, at: usize) {
        let ends_how = self.chance.part();
        let part = self.chance.part();
        let pause = 500 + self.chance_ms(30_000);
        let request = &mut self.requests[at];
        let Some(admission) = request.admission.take() else { return };
        request.ended = self.now;
        self.at_once[request.token] -= 1;
        let cost = request.draft.cost;
        let used = match ends_how {
            // An error before the response, or a panic: nothing is told.
            ..0.05 => 0,
            // The client gives up, or the stream breaks: what was told by then.
            0.05..0.17 => (cost as f64 * part) as u64,
            _ => cost,
        };
        request.used = i64::try_from(used).expect("an amount");
        let amounts = Amounts { usd: used, tokens: 0, requests: 1 };
        match used {
            0 => drop(admission),
            _ => admission.settle(&amounts, |_| ()),
        }
        if used == cost {
            let model = if request.draft.is_main { "main" } else { "small" };
            let told = Told { model, body_bytes: 0, tokens: &Tokens::default() };
            self.gateways[request.gateway].estimates[request.token].learn(&told, &amounts);
        }
        let client = request.client;
        self.after(pause, Event::Come(client, 0));
    }

    fn tick(&mut self, gateway: usize, is_regular: bool) {
        let is_over = self.now > self.lasts + 600_000;
        if self.gateways[gateway].state == State::Dead {
            return;
        }
        if is_regular && !is_over {
            self.after(1_000, Event::Tick(gateway, true));
        }
        let alone = self.gateways.iter().filter(|other| other.state != State::Dead).count() == 1;
        let asking = &mut self.gateways[gateway];
        if asking.is_asking || asking.away_until > self.now {
            return;
        }
        asking.is_asking = true;
        let db_now = i64::try_from(self.now).expect("a time") + 1_000_000;
        let answers = asking.tick(&mut self.ledger, alone, self.now, db_now);
        let takes = 3 + self.chance_ms(15);
        // Now and then an answer is lost: the keeper does not wait for it for ever.
        let (answers, takes) = if self.chance.below(100) == 0 { (Vec::new(), 500) } else { (answers, takes) };
        self.after(takes, Event::Hear(gateway, answers, self.now));
    }

    /// What requests hold at the end, at gateways and by the ledger.
    pub(super) fn held(&self) -> i64 {
        let alive = self.gateways.iter().filter(|gateway| gateway.state != State::Dead);
        let held = alive.flat_map(|gateway| &gateway.held).map(|held| held.stock.report().held);
        held.sum::<i64>() + self.ledger.iter().map(Window::held).sum::<i64>()
    }

    /// What became of each token's budget.
    pub(super) fn spent(&self) -> Vec<Spent> {
        (0..self.tokens).map(|token| self.spent_of(token)).collect()
    }

    fn spent_of(&self, token: usize) -> Spent {
        let requests: Vec<&Request> = self.requests.iter().filter(|request| request.token == token).collect();
        let last = requests.iter().map(|request| request.admitted).max().unwrap_or_default();
        // Others learn of a cost with a tick or two.
        let was_there = |request: &&&Request| request.ended + 2_000 > last;
        Spent {
            actual: requests.iter().map(|request| request.used).sum(),
            counted: self.ledger[token * 2].spent(),
            promised: requests.iter().filter(was_there).map(|request| (request.used - request.taken).max(0)).sum(),
            unreported: self.unreported[token],
        }
    }
}

/// Of a model at 5 and 25 dollars per million tokens.
fn price(tokens: &Tokens) -> u64 {
    tokens.output * 25_000 + tokens.cache_write * 6_250 + tokens.cache_read * 500
}
