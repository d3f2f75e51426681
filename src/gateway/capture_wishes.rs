//! Sessions of which the next request is to be kept as a whole, although `log.capture` keeps no request of its kind. They are
//! known to this process alone: a restart or an upgrade ends them.

use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Most sessions at one time.
pub(crate) const MOST_WISHES: usize = 32;
/// How long a wish is open, and how long it is told what came of it.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3_600);

const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const OVER: u8 = 2;

/// The next request of a session is to be kept.
#[derive(Debug)]
pub(crate) struct Wish {
    session: String,
    /// When somebody asked for it.
    pub(crate) asked_at: SystemTime,
    until: Instant,
    /// Whether it is open, was taken by a request, or is over: it leaves the first of these once.
    state: AtomicU8,
    request_id: OnceLock<String>,
}

impl Wish {
    /// The request that it was taken by.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.request_id.get().map(String::as_str)
    }

    fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }
}

/// There are as many open wishes as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// All wishes.
#[derive(Debug, Default)]
pub(crate) struct CaptureWishes {
    /// How many may be open: all that a request looks at as long as there is none.
    open: AtomicUsize,
    /// One for each session.
    wishes: ArcSwap<Vec<Arc<Wish>>>,
    /// Held by who changes which there are; no request does.
    changing: Mutex<()>,
}

impl CaptureWishes {
    /// The next request of this session is to be kept. Whoever asks again begins anew.
    ///
    /// # Errors
    /// When too many are open; those that requests were kept for make room.
    pub(crate) fn add(&self, session: &str, now: Instant, asked_at: SystemTime) -> Result<Arc<Wish>, TooMany> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wishes = self.without(session, now);
        if wishes.len() >= MOST_WISHES {
            let done = wishes.iter().position(|wish| !wish.is_open()).ok_or(TooMany)?;
            wishes.remove(done);
        }
        let wish = Arc::new(Wish {
            session: session.to_owned(),
            asked_at,
            until: now + LIFETIME,
            state: AtomicU8::new(OPEN),
            request_id: OnceLock::new(),
        });
        wishes.push(Arc::clone(&wish));
        // A request that finds the wish takes it from the count.
        self.open.fetch_add(1, Ordering::AcqRel);
        self.wishes.store(Arc::new(wishes));
        Ok(wish)
    }

    /// The wish of a session is over, or what came of it is known; whether there was one.
    pub(crate) fn remove(&self, session: &str, now: Instant) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let had_wish = self.of(session, now).is_some();
        self.wishes.store(Arc::new(self.without(session, now)));
        had_wish
    }

    /// The wish of a session, while it is open and for a while after it was taken.
    pub(crate) fn of(&self, session: &str, now: Instant) -> Option<Arc<Wish>> {
        let wishes = self.wishes.load();
        let wish = wishes.iter().find(|wish| wish.session == session && now < wish.until)?;
        Some(Arc::clone(wish))
    }

    /// Whether this request of a session is to be kept: one of all those that ask, for each wish.
    pub(crate) fn take(&self, session: Option<&str>, request_id: &str, now: Instant) -> bool {
        if self.open.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut is_taken = false;
        for wish in self.wishes.load().iter() {
            if now >= wish.until {
                self.leave(wish, OVER);
            } else if session == Some(&wish.session) && self.leave(wish, TAKEN) {
                is_taken = wish.request_id.set(request_id.to_owned()).is_ok();
            }
        }
        is_taken
    }

    /// Those of other sessions whose time is not over.
    fn without(&self, session: &str, now: Instant) -> Vec<Arc<Wish>> {
        let (stay, go): (Vec<_>, Vec<_>) =
            self.wishes.load().iter().cloned().partition(|wish| wish.session != session && now < wish.until);
        go.iter().for_each(|wish| {
            self.leave(wish, OVER);
        });
        stay
    }

    /// Has a wish be open no more; whether it was until now.
    fn leave(&self, wish: &Wish, state: u8) -> bool {
        let has_left = wish.state.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if has_left {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        Instant::now()
    }

    fn open(wishes: &CaptureWishes) -> usize {
        wishes.open.load(Ordering::SeqCst)
    }

    #[test]
    fn one_request_of_the_session_takes_a_wish_and_no_other() {
        let (wishes, now) = (CaptureWishes::default(), now());
        assert!(!wishes.take(Some("a"), "req_0", now), "there is none");
        let wish = wishes.add("a", now, SystemTime::UNIX_EPOCH).expect("room");
        for other in [None, Some("b"), Some("")] {
            assert!(!wishes.take(other, "req_1", now), "{other:?}");
        }
        let taken = std::thread::scope(|scope| {
            let wishes = &wishes;
            let ask = |number| scope.spawn(move || wishes.take(Some("a"), &format!("req_{number}"), now));
            let asking: Vec<_> = (0..8).map(ask).collect();
            asking.into_iter().map(|one| usize::from(one.join().expect("done"))).sum::<usize>()
        });
        assert_eq!((taken, open(&wishes)), (1, 0));
        assert!(wish.request_id().is_some_and(|id| id.starts_with("req_")));
        assert!(
            wishes.of("a", now).is_some_and(|of| of.request_id() == wish.request_id()),
            "it is told what came of it"
        );
        assert!(!wishes.take(Some("a"), "req_9", now));
    }

    #[test]
    fn a_wish_ends_when_its_hour_is_over_or_somebody_takes_it_back() {
        let (wishes, now) = (CaptureWishes::default(), now());
        wishes.add("a", now, SystemTime::UNIX_EPOCH).expect("room");
        assert!(wishes.of("a", now + LIFETIME / 2).is_some());
        assert!(wishes.of("a", now + LIFETIME).is_none());
        assert!(!wishes.take(Some("a"), "req_1", now + LIFETIME));
        assert_eq!(open(&wishes), 0, "nobody looks for it any more");
        wishes.add("b", now, SystemTime::UNIX_EPOCH).expect("room");
        wishes.remove("b", now);
        assert!(wishes.of("b", now).is_none() && !wishes.take(Some("b"), "req_2", now));
        assert_eq!(open(&wishes), 0);
        wishes.remove("b", now);
        assert_eq!(open(&wishes), 0);
        // Whoever asks again has an hour from then on, and one request.
        wishes.add("c", now, SystemTime::UNIX_EPOCH).expect("room");
        wishes.add("c", now + LIFETIME / 2, SystemTime::UNIX_EPOCH).expect("room");
        assert_eq!(open(&wishes), 1);
        assert!(wishes.take(Some("c"), "req_3", now + LIFETIME));
        assert!(!wishes.take(Some("c"), "req_4", now + LIFETIME));
    }

    #[test]
    fn there_are_only_so_many_and_those_that_are_done_make_room() {
        let (wishes, now) = (CaptureWishes::default(), now());
        let add = |number: usize, at| wishes.add(&format!("s{number}"), at, SystemTime::UNIX_EPOCH).map(|_| ());
        for number in 0..MOST_WISHES {
            assert_eq!(add(number, now), Ok(()));
        }
        assert_eq!(add(99, now), Err(TooMany));
        assert_eq!(add(5, now), Ok(()), "that one is among them");
        assert!(wishes.take(Some("s7"), "req_1", now));
        assert_eq!(add(99, now), Ok(()));
        assert!(wishes.of("s7", now).is_none() && wishes.of("s8", now).is_some());
        assert_eq!(add(100, now), Err(TooMany));
        assert_eq!((add(100, now + LIFETIME), wishes.wishes.load().len(), open(&wishes)), (Ok(()), 1, 1));
    }
}
