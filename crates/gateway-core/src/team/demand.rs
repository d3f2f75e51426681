//! What a gateway asks for at a tick, by what it used of a stock lately: enough for some seconds, and nothing that it does not
//! need.

use super::grant::{Asked, Report};
use std::time::Duration;

/// A stock is to last for so many seconds.
const AHEAD: i64 = 10;
/// What nobody uses for so long goes back.
const IDLE: Duration = Duration::from_secs(10);
/// The pace is a mean, in which the last tick counts for one in so many.
const SMOOTH: i64 = 4;

/// How fast a stock is used. The keeper has one of these for each of its stocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    /// What was spent and held at the last tick.
    used: i64,
    /// When that was.
    ticked: Duration,
    /// What is taken in a second.
    pace: i64,
    /// When something of it was last used, or asked for; `None` if never.
    busy: Option<Duration>,
}

/// What the keeper does at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It reports, and asks for this.
    Ask(Asked),
    /// Nobody uses the stock: it is withdrawn as a whole, and, if no request has taken something in the meantime, the lease
    /// is closed. If there is none, there is nothing to do.
    Close,
}

impl Demand {
    /// What to do at this time, for a stock that reports this, while requests wait for so much more than is free.
    pub fn tick(&mut self, told: &Report, waiting: i64, now: Duration) -> Plan {
        let used = told.spent.saturating_add(told.held);
        let passed = i64::try_from(now.saturating_sub(self.ticked).as_millis()).unwrap_or(i64::MAX);
        if passed > 0 {
            // Two ticks right after each other say little of a second.
            let pace = used.saturating_sub(self.used).max(0).saturating_mul(1_000) / passed.max(100);
            self.pace = (self.pace / SMOOTH).saturating_mul(SMOOTH - 1).saturating_add(pace / SMOOTH);
        }
        if told.held > 0 || waiting > 0 || used != self.used {
            self.busy = Some(now);
        }
        (self.used, self.ticked) = (used, now);
        if self.busy.is_none_or(|busy| now.saturating_sub(busy) >= IDLE) {
            return Plan::Close;
        }
        let more = self.pace.saturating_mul(AHEAD).saturating_sub(told.free.max(0));
        Plan::Ask(Asked { more: more.max(waiting), waiting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(spent: i64, held: i64, free: i64) -> Report {
        Report { granted: spent + held + free, spent, held, free }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    fn asked(plan: Plan) -> Asked {
        match plan {
            Plan::Ask(asked) => asked,
            Plan::Close => panic!("nobody uses it"),
        }
    }

    #[test]
    fn a_stock_is_to_last_for_ten_seconds_at_its_pace() {
        let mut demand = Demand::default();
        assert_eq!(demand.tick(&told(0, 0, 0), 30, at(0)), Plan::Ask(Asked { more: 30, waiting: 30 }));
        let mut more = 0;
        for second in 1..30 {
            let spent = 100 * i64::try_from(second).expect("small");
            more = asked(demand.tick(&told(spent, 0, 200), 0, at(second))).more;
        }
        assert!((700..=800).contains(&more), "{more}");
        assert_eq!(asked(demand.tick(&told(2_900, 1, 5_000), 0, at(30))).more, 0);
    }

    #[test]
    fn what_is_idle_for_ten_seconds_goes_back() {
        let mut demand = Demand::default();
        for (second, report, is_closed) in [
            (0, told(0, 0, 50), true),
            (11, told(0, 10, 40), false),
            (30, told(0, 10, 40), false),
            (31, told(0, 0, 50), false),
            (40, told(0, 0, 50), false),
            (41, told(0, 0, 50), true),
            (60, told(0, 0, -5), true),
            (61, told(5, 0, 0), false),
        ] {
            assert_eq!(demand.tick(&report, 0, at(second)) == Plan::Close, is_closed, "{second}");
        }
        assert_eq!(asked(demand.tick(&told(5, 0, 0), 7, at(99))).waiting, 7);
    }
}
