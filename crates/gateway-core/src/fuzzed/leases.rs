//! The protocol by which gateways share a limit, as a machine: whatever happens, in whatever order.

use super::Choices;
use crate::team::Limit;
use crate::team::grant::{Asked, Report, USED_FOR};
use crate::team::ledger_model::Window;
use crate::team::limit::Window as Time;
use crate::team::measure::Measure;
use crate::team::stock::Stock;
use std::time::Duration;

/// A gateway, and what its requests hold.
struct Gateway {
    id: usize,
    stock: Stock,
    held: Vec<i64>,
    /// What was told of the ledger last: what its requests may have done since, nobody knows.
    told: Report,
    is_draining: bool,
}

/// What happens, and what there is.
struct World {
    limit: Limit,
    cap: i64,
    now: Duration,
    ledger: Window,
    gateways: Vec<Gateway>,
    started: usize,
    /// What was spent, by whomever.
    spent: i64,
    /// What may be spent beyond the limit: what requests used beyond what they took, and what gateways did that were taken
    /// for lost after they had told the ledger last.
    allowed: i64,
}

/// However gateways come, go, tell the ledger, do not reach it, and are killed, no more is spent than the limit and what
/// requests took too little for; no more requests are there at one time than places; and in the end all that is left can
/// be used.
pub(super) fn machine(input: &[u8]) {
    let mut choices = Choices::new(input);
    let is_places = choices.below(2) == 1;
    let cap = 1 + i64::from(choices.byte()) * if is_places { 1 } else { 10 };
    let (measure, window) = if is_places { (Measure::Requests, Time::Now) } else { (Measure::Usd, Time::Day) };
    let limit = Limit { measure, window, amount: cap.unsigned_abs() };
    let mut world = World {
        limit,
        cap,
        now: Duration::from_secs(100),
        ledger: Window::new(limit),
        gateways: Vec::new(),
        started: 0,
        spent: 0,
        allowed: 0,
    };
    world.start();
    let mut steps = 0;
    while !choices.is_empty() && steps < 400 {
        steps += 1;
        world.step(&mut choices);
        world.check();
    }
    world.come_to_rest();
}

impl World {
    fn start(&mut self) {
        if self.gateways.len() < 4 {
            let id = self.started;
            self.started += 1;
            let stock = Stock::new(self.limit, id as i64);
            self.gateways.push(Gateway { id, stock, held: Vec::new(), told: Report::default(), is_draining: false });
        }
    }

    fn is_spending(&self) -> bool {
        self.limit.window != Time::Now
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let which = choices.below(self.gateways.len().max(1));
        let (kind, amount) = (choices.below(12), i64::from(choices.byte()));
        if which >= self.gateways.len() {
            return self.start();
        }
        let (now, is_spending) = (self.now, self.is_spending());
        let gateway = &mut self.gateways[which];
        match kind {
            0..=2 if gateway.is_draining => {}
            0..=2 => {
                let amount = if is_spending { amount } else { 1 };
                if gateway.stock.reserve(amount, now).is_ok() {
                    gateway.held.push(amount);
                }
            }
            3 | 4 if !gateway.held.is_empty() => {
                let taken = gateway.held.remove(amount as usize % gateway.held.len());
                let used = if !is_spending || kind == 3 { taken } else { i64::from(choices.byte()) };
                self.settle(which, taken, used);
            }
            5..=7 => self.tick(which, &Asked { more: amount, waiting: i64::from(choices.byte()) }, false),
            8 => self.tick(which, &Asked { more: amount, waiting: amount }, true),
            9 => self.pass(Duration::from_millis(1 + amount as u64 * 200)),
            10 => self.start(),
            11 if amount % 4 == 0 => self.kill(which),
            _ => gateway.is_draining |= amount % 4 == 1,
        }
        self.close();
    }

    fn settle(&mut self, which: usize, taken: i64, used: i64) {
        self.gateways[which].stock.settle(taken, used);
        if self.is_spending() {
            self.spent += used;
            self.allowed += (used - taken).max(0);
        }
    }

    /// A tick; its answer may be lost.
    fn tick(&mut self, which: usize, asked: &Asked, is_lost: bool) {
        let is_alone = self.gateways.len() == 1;
        let (now, at) = (self.now, self.database_now());
        self.note_lost();
        let gateway = &mut self.gateways[which];
        let told = gateway.stock.report();
        let asked = if gateway.is_draining { Asked::default() } else { *asked };
        match self.ledger.tick(gateway.id, &told, &asked, is_alone && !gateway.is_draining, at) {
            Ok(granted) => {
                gateway.told = told;
                if !is_lost {
                    gateway.stock.fill(&granted, now + USED_FOR);
                    gateway.stock.give_back(&granted);
                }
            }
            Err(charged) => {
                gateway.stock.begin_anew(charged);
                gateway.told = Report::default();
            }
        }
    }

    /// Gateways that drain, and whose requests are over, give their leases back and are gone.
    fn close(&mut self) {
        let at = self.database_now();
        let mut which = 0;
        while which < self.gateways.len() {
            let gateway = &self.gateways[which];
            gateway.is_draining.then(|| gateway.stock.withdraw(i64::MAX));
            if gateway.is_draining && gateway.stock.is_at_rest() {
                self.note_lost();
                let gateway = self.gateways.remove(which);
                let told = gateway.stock.report();
                let closed = self.ledger.close(gateway.id, &told, at);
                // What it did after it was taken for lost, nobody will tell any more.
                self.allowed += (told.spent - closed).max(0);
            } else {
                which += 1;
            }
        }
    }

    /// Of a gateway that is killed, nobody settles what its requests hold: at most that is spent.
    fn kill(&mut self, which: usize) {
        let gateway = self.gateways.remove(which);
        if self.is_spending() {
            let Report { spent, held, .. } = gateway.stock.report();
            self.spent += held;
            self.allowed += (spent + held - gateway.told.spent - gateway.told.held).max(0);
        }
    }

    /// Gateways whose last tick is too long ago are taken for lost when another one asks: what they did since is not known,
    /// until they ask again.
    fn note_lost(&mut self) {
        let (at, is_spending) = (self.database_now(), self.is_spending());
        for gateway in &self.gateways {
            if self.ledger.is_lost(gateway.id, at) {
                let Report { spent, held, .. } = gateway.stock.report();
                // Requests at one time end with their gateway, and are not charged; these do not.
                let charged = if is_spending { gateway.told.spent + gateway.told.held } else { 0 };
                self.allowed += (spent + held - charged).max(0);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn database_now(&self) -> i64 {
        i64::try_from(self.now.as_millis()).expect("a time") + 1_000_000
    }

    fn check(&self) {
        for gateway in &self.gateways {
            let Report { granted, spent, held, free } = gateway.stock.report();
            assert_eq!(granted, spent + held + free, "gateway {}", gateway.id);
            assert_eq!(held, gateway.held.iter().sum::<i64>(), "gateway {}", gateway.id);
        }
        let held: i64 = self.gateways.iter().flat_map(|gateway| &gateway.held).sum();
        let (spent, cap, allowed) = (self.spent, self.cap, self.allowed);
        assert!(spent + held <= cap + allowed, "{spent} are spent and {held} held of {cap}, and {allowed} beyond it");
    }

    /// All requests end, and all that is alive tells the ledger: then it has what was spent, and what is left can be used.
    fn come_to_rest(&mut self) {
        for which in 0..self.gateways.len() {
            for taken in std::mem::take(&mut self.gateways[which].held) {
                self.settle(which, taken, taken);
            }
        }
        self.gateways.iter_mut().for_each(|gateway| gateway.is_draining = false);
        self.start();
        for _ in 0..8 {
            self.pass(Duration::from_secs(5));
            for which in 0..self.gateways.len() {
                let missing = self.cap - self.ledger.spent() - self.gateways[which].stock.report().free;
                let waiting = if which == 0 { missing.max(0) } else { 0 };
                self.tick(which, &Asked { more: waiting, waiting }, false);
            }
        }
        assert_eq!(self.ledger.held(), 0);
        // What killed ones held is charged, and may be more than they used, or less than they had not told.
        let counted = self.ledger.spent();
        if self.allowed == 0 {
            assert!(counted >= self.spent, "{counted}, not {}", self.spent);
        }
        let free = self.cap - counted;
        if free > 0 {
            let stock = &self.gateways[0].stock;
            assert_eq!(stock.reserve(free, self.now), Ok(()), "{free} is left: {:?}", stock.report());
        }
    }
}
