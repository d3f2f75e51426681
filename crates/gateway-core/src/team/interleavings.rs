//! Stocks and rates in all interleavings of the threads that use them: `make interleavings`.

use super::grant::Granted;
use super::rate::{Rate, Slow};
use super::stock::{Lack, Stock};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(30);

fn granted(amount: i64) -> Granted {
    Granted { granted: amount, unspent: amount, has_more: true, ..Granted::default() }
}

fn stock(limit: &str, amount: i64) -> Arc<Stock> {
    let stock = Stock::new(limit.parse().expect(limit), 7);
    stock.fill(&granted(amount), LATER);
    Arc::new(stock)
}

fn is_whole(stock: &Stock) -> bool {
    let told = stock.report();
    told.granted == told.spent + told.held + told.free
}

#[test]
fn requests_and_the_keeper_never_have_the_same_part_of_a_stock() {
    loom::model(|| {
        let stock = stock("usd:day:5", 10);
        let request = |amount: i64| {
            let stock = Arc::clone(&stock);
            thread::spawn(move || stock.reserve(amount, NOW).map_or(0, |()| amount))
        };
        let (one, other) = (request(6), request(5));
        let withdrawn = stock.withdraw(3);
        let reserved = one.join().expect("one") + other.join().expect("the other");
        let told = stock.report();
        assert!(reserved + withdrawn <= 10 && told.free >= 0, "{reserved} and {withdrawn}");
        assert_eq!((told.held, told.granted), (reserved, 10 - withdrawn));
        assert!(is_whole(&stock));
    });
}

#[test]
fn what_a_request_used_is_never_missing_in_what_the_keeper_tells() {
    loom::model(|| {
        let stock = stock("usd:day:5", 10);
        stock.reserve(4, NOW).expect("there is enough");
        let request = Arc::clone(&stock);
        let settled = thread::spawn(move || request.settle(4, 4));
        let told = stock.report();
        assert!(told.spent + told.held >= 4, "{told:?}");
        assert!(!settled.join().expect("settled"));
        assert_eq!((stock.report().spent, stock.report().held, stock.report().free), (4, 0, 6));
    });
}

#[test]
fn a_stock_that_may_be_used_has_what_it_was_filled_with() {
    loom::model(|| {
        let stock = Arc::new(Stock::new("usd:day:5".parse().expect("a limit"), 7));
        let keeper = Arc::clone(&stock);
        let filled = thread::spawn(move || keeper.fill(&granted(10), LATER));
        let reserved = stock.reserve(10, NOW);
        assert!(matches!(reserved, Ok(()) | Err(Lack::Stale)), "{reserved:?}");
        filled.join().expect("filled");
        assert!(is_whole(&stock));
    });
}

#[test]
fn a_request_that_is_settled_while_its_lease_begins_anew_counts_once() {
    loom::model(|| {
        let stock = stock("usd:day:5", 10);
        stock.reserve(4, NOW).expect("there is enough");
        let request = Arc::clone(&stock);
        let settled = thread::spawn(move || request.settle(4, 3));
        stock.begin_anew(4);
        settled.join().expect("settled");
        let told = stock.report();
        assert_eq!((told.spent, told.held), (-1, 0), "4 were charged, 3 were used");
        assert!(is_whole(&stock));
        assert_eq!(stock.reserve(1, NOW), Err(Lack::Stale));
    });
}

#[test]
fn no_more_places_are_taken_than_there_are() {
    loom::model(|| {
        let (stock, holders) = (stock("requests:now:1", 1), Arc::new(AtomicUsize::new(0)));
        let request = || {
            let (stock, holders) = (Arc::clone(&stock), Arc::clone(&holders));
            thread::spawn(move || match stock.reserve(1, NOW) {
                Ok(()) => {
                    // Relaxed, so that the threads are in no other order than the stock brings about.
                    assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0, "both have the one place");
                    holders.fetch_sub(1, Ordering::Relaxed);
                    !stock.settle(1, 1)
                }
                Err(_) => false,
            })
        };
        let (one, other) = (request(), request());
        let served = [one, other].map(|request| request.join().expect("a request")).iter().filter(|is| **is).count();
        // Both may be served, one after the other; the place is back in any case.
        assert!(served >= 1);
        assert_eq!((stock.report().free, stock.report().held, stock.report().spent), (1, 0, 0));
    });
}

#[test]
fn a_rate_lets_as_many_through_as_it_says() {
    loom::model(|| {
        let rate = Rate::new("requests:minute:60".parse().expect("a limit"), 7);
        assert!(rate.set(60, 1, NOW, LATER));
        let rate = Arc::new(rate);
        let request = |goes_on: bool| {
            let rate = Arc::clone(&rate);
            thread::spawn(move || match rate.take(NOW) {
                Ok(taken) if !goes_on => rate.undo(&taken),
                Ok(_) => {}
                Err(why) => assert!(matches!(why, Slow::Wait(_)), "{why:?}"),
            })
        };
        let (one, other) = (request(true), request(false));
        one.join().and_then(|()| other.join()).expect("both end");
        let through = rate.take_let_through();
        assert!(through <= 1, "{through} at once");
        // What is counted is what has to be paid for.
        assert_eq!(rate.look(NOW).is_ok(), through == 0);
    });
}
