//! Requests at their limits, also by many threads.

use super::admission::{Admission, Holdings, Missing, Shortage, Subjects, admit};
use super::grant::Granted;
use super::limit::{Limit, Subject};
use super::measure::Amounts;
use super::rate::Rate;
use super::stock::{Lack, Stock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(5);
const LIKELY: Amounts = Amounts { usd: 10, tokens: 100, requests: 1 };

fn limit(text: &str) -> Limit {
    text.parse().expect(text)
}

fn stock(text: &str, granted: i64) -> Arc<Stock> {
    let stock = Stock::new(limit(text), 1);
    stock.fill(&Granted { granted, unspent: granted, ..Granted::default() }, Duration::MAX);
    Arc::new(stock)
}

fn rate(share: i64, burst: i64) -> Arc<Rate> {
    let rate = Rate::new(limit("requests:minute:60"), 2);
    assert!(rate.set(share, burst, Duration::ZERO, Duration::MAX));
    Arc::new(rate)
}

fn of(token: Holdings, user: Holdings) -> Subjects {
    [Some(Arc::new(token)), Some(Arc::new(user)), None]
}

fn held(subjects: &Subjects) -> Vec<(i64, i64)> {
    let stocks = subjects.iter().flatten().flat_map(|held| held.stocks().iter());
    stocks.map(|stock| stock.report()).map(|told| (told.spent, told.held)).collect()
}

fn refused(admitted: Result<Admission, Box<Shortage>>) -> (Subject, String, i64, Missing) {
    let Shortage { subject, limit, needed, missing, .. } = *admitted.expect_err("a shortage");
    (subject, limit.to_string(), needed, missing)
}

fn lacking(amount: i64) -> Missing {
    Missing::Lease(Lack::Missing { amount })
}

#[test]
fn a_request_takes_from_every_limit_and_settles_with_every_limit() {
    let token = Holdings::new(Some(rate(60, 6)), vec![stock("usd:day:5", 100), stock("requests:now:2", 2)]);
    let user = Holdings::new(None, vec![stock("tokens:5h:500", 500), stock("requests:day:9", 9)]);
    assert_eq!(token.stocks()[0].limit(), &limit("requests:now:2"), "places first");
    let subjects = of(token, user);
    let admission = admit(subjects.clone(), &LIKELY, NOW).expect("room");
    assert_eq!(held(&subjects), [(0, 1), (0, 10), (0, 100), (0, 1)]);
    let mut owed = Vec::new();
    admission.settle(&Amounts { usd: 4, tokens: 170, requests: 1 }, |window| owed.push(window));
    assert_eq!(held(&subjects), [(0, 0), (4, 0), (170, 0), (1, 0)]);
    assert!(owed.is_empty(), "what is more than was taken is there");
    let dear = Amounts { usd: 101, ..LIKELY };
    admit(subjects, &LIKELY, NOW).expect("room").settle(&dear, |window| owed.push(window));
    assert_eq!(owed.len(), 1, "of the dollars alone there was less");
}

#[test]
fn a_request_that_is_dropped_or_panics_gives_all_back() {
    let subjects =
        of(Holdings::new(None, vec![stock("usd:day:5", 100), stock("requests:now:2", 2)]), Holdings::default());
    drop(admit(subjects.clone(), &LIKELY, NOW).expect("room"));
    assert_eq!(held(&subjects), [(0, 0), (0, 0)]);
    let panics = || {
        let _admission = admit(subjects.clone(), &LIKELY, NOW).expect("room");
        std::panic::resume_unwind(Box::new("the request's own"));
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(held(&subjects), [(0, 0), (0, 0)]);
}

#[test]
fn what_is_missing_in_one_limit_is_taken_from_none() {
    let token = Holdings::new(Some(rate(60, 1)), vec![stock("usd:day:5", 100), stock("requests:now:2", 2)]);
    let subjects = of(token, Holdings::new(None, vec![stock("tokens:5h:500", 99)]));
    let found = refused(admit(subjects.clone(), &LIKELY, NOW));
    assert_eq!(found, (Subject::User, "tokens:5h:500".to_owned(), 100, lacking(1)));
    assert_eq!(held(&subjects), [(0, 0); 3]);
    // The rate was not used for that.
    admit(subjects.clone(), &Amounts { tokens: 1, ..LIKELY }, NOW).expect("room").settle(&Amounts::default(), |_| ());
    let found = refused(admit(subjects.clone(), &Amounts { tokens: 1, ..LIKELY }, NOW));
    let in_a_second = Missing::Time(Duration::from_secs(1));
    assert_eq!(found, (Subject::Token, "requests:minute:60".to_owned(), 1, in_a_second));
    assert_eq!(held(&subjects), [(0, 0); 3]);
}

#[test]
fn of_several_limits_rates_are_told_before_places_and_places_before_what_is_spent() {
    let token = || Holdings::new(None, vec![stock("usd:day:5", 1)]);
    let user = |places| Holdings::new(None, vec![stock("requests:now:1", places)]);
    assert_eq!(refused(admit(of(token(), user(0)), &LIKELY, NOW)).1, "requests:now:1");
    assert_eq!(refused(admit(of(token(), user(1)), &LIKELY, NOW)).1, "usd:day:5");
    let slow = Holdings::new(Some(Arc::new(Rate::new(limit("requests:minute:60"), 2))), vec![]);
    let found = refused(admit(of(token(), slow), &LIKELY, NOW));
    assert_eq!((found.1.as_str(), found.3), ("requests:minute:60", Missing::Lease(Lack::Stale)));
    assert!(admit([None, None, None], &LIKELY, NOW).is_ok(), "without limits all may come");
}

#[test]
fn a_window_that_is_over_gets_what_its_requests_used_and_the_next_one_does_not() {
    let (old, new) = (stock("usd:day:5", 100), stock("usd:day:5", 100));
    let of = |stock: &Arc<Stock>| of(Holdings::new(None, vec![Arc::clone(stock)]), Holdings::default());
    let admission = admit(of(&old), &LIKELY, NOW).expect("room");
    let later = admit(of(&new), &LIKELY, NOW).expect("room");
    admission.settle(&Amounts { usd: 12, ..LIKELY }, |_| ());
    assert!(old.is_at_rest() && !new.is_at_rest());
    assert_eq!((old.report().spent, new.report().spent), (12, 0));
    drop(later);
}

#[test]
fn who_takes_the_last_quarter_is_told_so() {
    let stock = Arc::new(Stock::new(limit("usd:day:5"), 1));
    stock.fill(&Granted { granted: 40, has_more: true, ..Granted::default() }, Duration::MAX);
    let subjects = of(Holdings::new(None, vec![stock]), Holdings::default());
    let admissions: Vec<_> = (0..4).map(|_| admit(subjects.clone(), &LIKELY, NOW).expect("room")).collect();
    assert_eq!(admissions.iter().map(Admission::is_low).collect::<Vec<_>>(), [false, false, false, true]);
}

/// 100,000 requests of eight threads, of which 500 are given up or panic.
#[test]
fn there_are_never_more_requests_than_places_and_none_is_held_at_the_end() {
    const PLACES: i64 = 5;
    let places = stock("requests:now:5", PLACES);
    let budget = stock("usd:total:1000", 1_000_000_000);
    let subjects = of(Holdings::new(None, vec![Arc::clone(&places)]), Holdings::new(None, vec![Arc::clone(&budget)]));
    let (at_once, most, served, used) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
    let serve = |at: u64| {
        let Ok(admission) = admit(subjects.clone(), &LIKELY, NOW) else {
            std::thread::yield_now();
            return;
        };
        let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        served.fetch_add(1, Ordering::SeqCst);
        if at.is_multiple_of(16) {
            std::thread::yield_now();
        }
        at_once.fetch_sub(1, Ordering::SeqCst);
        match at % 200 {
            0 if at.is_multiple_of(400) => drop(admission),
            0 => {
                let panics = AssertUnwindSafe(|| {
                    let _held = admission;
                    std::panic::resume_unwind(Box::new("it panics"));
                });
                assert!(catch_unwind(panics).is_err());
            }
            cost => {
                used.fetch_add(i64::try_from(cost % 20).expect("small"), Ordering::SeqCst);
                admission.settle(&Amounts { usd: cost % 20, ..LIKELY }, |_| ());
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let serve = &serve;
            scope.spawn(move || (0..12_500).for_each(|at| serve(thread * 12_500 + at)));
        }
    });
    assert!(most.load(Ordering::SeqCst) <= PLACES);
    assert!(served.load(Ordering::SeqCst) > 1_000);
    assert_eq!((places.report().held, places.report().free, places.report().spent), (0, PLACES, 0));
    assert_eq!((budget.report().held, budget.report().spent), (0, used.load(Ordering::SeqCst)));
}
