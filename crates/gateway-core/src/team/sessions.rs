//! Limits of sessions. A session is claimed once for all gateways: the ledger asks this in a transaction when a session comes
//! that has no place, and writes what follows. No stock is kept of them, since nobody has to be quick: a session claims its
//! place with its first request, and keeps it while requests come.

use super::limit::{Limit, Window};
use std::time::Duration;

/// How long a session without requests keeps its place.
pub const KEPT: Duration = Duration::from_secs(15 * 60);

/// What becomes of a session that wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It has one: only its end moves.
    Kept,
    /// It gets one: it counts once in each window of sessions.
    New,
    /// There is none in this limit.
    Full {
        /// The limit.
        limit: Limit,
    },
}

/// Decides on a session of a subject. `until` is how long its place lasts, if it has one; `limits` are the subject's limits
/// of sessions, each with what counts for it: the places that last (`now`), or what the window has spent. Times are the
/// database's.
pub fn claim(until: Option<i64>, limits: impl IntoIterator<Item = (Limit, u64)>, now: i64) -> Claim {
    if until.is_some_and(|until| until > now) {
        return Claim::Kept;
    }
    let full = limits.into_iter().filter(|(limit, used)| *used >= limit.amount);
    // Of several the one that lasts longest: who is told to wait a moment, and then a day, has waited for nothing.
    let longest = full.max_by_key(|(limit, _)| (limit.window != Window::Now, limit.window as u8));
    longest.map_or(Claim::New, |(limit, _)| Claim::Full { limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        text.parse().expect(text)
    }

    #[test]
    fn a_session_counts_once_and_keeps_its_place_while_it_lasts() {
        let (at_once, a_day) = (limit("sessions:now:2"), limit("sessions:day:5"));
        assert_eq!(claim(None, [(at_once, 1), (a_day, 4)], 100), Claim::New);
        assert_eq!(claim(Some(101), [(at_once, 2), (a_day, 5)], 100), Claim::Kept, "it is one of those");
        assert_eq!(claim(Some(100), [(at_once, 1), (a_day, 4)], 100), Claim::New, "its place is gone");
        assert_eq!(claim(None, [(at_once, 2), (a_day, 4)], 100), Claim::Full { limit: at_once });
        assert_eq!(claim(Some(7), [(at_once, 2), (a_day, 5)], 100), Claim::Full { limit: a_day });
        assert_eq!(claim(None, [], 100), Claim::New);
    }
}
