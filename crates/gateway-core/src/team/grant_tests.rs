//! The ledger's arithmetic.

use super::grant::{Account, Asked, Fate, Granted, Lease, Report, charged};
use super::limit::Limit;
use proptest::prelude::*;

const NOW: i64 = 1_000_000;

fn limit(text: &str) -> Limit {
    text.parse().expect(text)
}

fn lease(granted: i64, spent: i64, held: i64) -> Lease {
    Lease { granted, spent, held, wanted: 0, ticked_at: NOW }
}

fn told(granted: i64, spent: i64, held: i64) -> Report {
    Report { granted, spent, held, free: granted - spent - held }
}

fn account(cap: i64, spent_closed: i64, others: &[Lease]) -> Account<'_> {
    Account { cap, spent_closed, others, is_alone: false }
}

fn asked(more: i64, waiting: i64) -> Asked {
    Asked { more, waiting }
}

/// What is added by a tick, and what the row then wants.
fn added(account: Account<'_>, told: &Report, asked: &Asked) -> (i64, i64) {
    let (row, granted) = account.tick(told, asked, NOW);
    assert_eq!((row.granted, row.ticked_at), (granted.granted, NOW));
    (granted.granted - told.granted, row.wanted)
}

#[test]
fn a_gateway_gets_half_of_the_room_and_the_last_crumbs_whole() {
    let new = Report::default();
    assert_eq!(added(account(1_000, 0, &[]), &new, &asked(100, 0)), (100, 0));
    assert_eq!(added(account(1_000, 0, &[]), &new, &asked(900, 0)), (500, 0));
    assert_eq!(added(account(1_000, 100, &[lease(300, 50, 50)]), &new, &asked(900, 0)), (300, 0));
    assert_eq!(added(account(1_000, 0, &[lease(981, 0, 0)]), &new, &asked(900, 0)), (19, 0), "crumbs");
    assert_eq!(added(account(1_000, 0, &[lease(1_000, 0, 0)]), &new, &asked(900, 0)), (0, 0));
    assert_eq!(added(account(1_000, 0, &[lease(1_000, 1_200, 0)]), &new, &asked(900, 5)), (0, 5));
    // With its own.
    assert_eq!(added(account(1_000, 0, &[]), &told(400, 100, 100), &asked(500, 0)), (300, 0));
    // One place.
    assert_eq!(added(account(1, 0, &[]), &new, &asked(5, 0)), (1, 0));
}

#[test]
fn a_gateway_that_is_alone_gets_all() {
    let account = Account { cap: 1_000, spent_closed: 100, others: &[], is_alone: true };
    let (row, granted) = account.tick(&told(200, 150, 20), &Asked::default(), NOW);
    assert_eq!(granted, Granted { granted: 900, unspent: 750, ..Granted::default() });
    assert_eq!(row, Lease { granted: 900, spent: 150, held: 20, wanted: 0, ticked_at: NOW });
}

#[test]
fn a_request_that_waits_gets_all_it_needs_or_nothing() {
    let new = Report::default();
    assert_eq!(added(account(1_000, 0, &[lease(900, 0, 0)]), &new, &asked(0, 80)), (80, 0));
    assert_eq!(added(account(1_000, 0, &[lease(900, 0, 0)]), &new, &asked(40, 80)), (80, 0));
    assert_eq!(added(account(1_000, 0, &[lease(900, 0, 0)]), &new, &asked(500, 120)), (0, 120));
}

#[test]
fn what_a_request_waits_for_comes_back_from_others() {
    let waits = Lease { wanted: 60, ..lease(0, 0, 0) };
    let tick = |others: &[Lease], told: Report, asked: Asked| account(1_000, 0, others).tick(&told, &asked, NOW).1;
    // Half of what is free, so that it is enough for a while.
    let all = told(1_000, 300, 100);
    assert_eq!(tick(&[waits], all, asked(0, 0)).recalled, 300);
    assert_eq!(tick(&[Lease { wanted: 500, ..waits }], all, asked(0, 0)).recalled, 500);
    assert_eq!(tick(&[Lease { wanted: 5_000, ..waits }], all, asked(0, 0)).recalled, 600);
    assert_eq!(tick(&[waits], told(1_000, 900, 85), asked(0, 0)).recalled, 15, "crumbs");
    assert_eq!(tick(&[lease(0, 0, 0)], all, asked(0, 0)).recalled, 0, "nobody waits");
    // There is room enough for it, and nobody is asked; but that room is not given to who only would like to have it.
    let part = told(900, 0, 0);
    assert_eq!(
        tick(&[waits], part, asked(100, 0)),
        Granted { granted: 920, unspent: 1_000, has_more: true, ..Granted::default() }
    );
    assert_eq!(tick(&[waits], part, asked(0, 90)).granted, 990, "who waits here is served first");
}

#[test]
fn a_limit_that_is_lowered_calls_back_what_is_free_and_what_will_be() {
    let (row, granted) = account(500, 100, &[lease(300, 200, 0)]).tick(&told(600, 100, 50), &asked(0, 10), NOW);
    assert_eq!(granted, Granted { granted: 600, owed: 500, unspent: 100, ..Granted::default() });
    assert_eq!(row.wanted, 10);
}

#[test]
fn what_requests_took_beyond_their_lease_is_covered_as_far_as_there_is_room() {
    let (row, granted) = account(1_000, 0, &[]).tick(&told(100, 130, 20), &asked(10, 0), NOW);
    assert_eq!((row.granted, granted.unspent, granted.has_more), (160, 870, true));
    let (row, granted) = account(1_000, 0, &[lease(870, 0, 0)]).tick(&told(100, 130, 20), &asked(10, 0), NOW);
    assert_eq!((row.granted, granted.has_more), (130, false), "a debt of 20 is left");
    // And others owe it, if there is no room for it.
    let owed = |other, own| account(1_000, 0, &[other]).tick(&own, &asked(0, 0), NOW).1.owed;
    assert_eq!(owed(lease(900, 950, 0), told(100, 10, 0)), 50);
    assert_eq!(owed(lease(500, 550, 0), told(500, 10, 480)), 50, "though it is not free yet");
    assert_eq!(owed(lease(500, 900, 0), told(500, 400, 80)), 100, "but no more than will ever come back");
    assert_eq!(owed(lease(500, 500, 0), told(500, 600, 0)), 0, "its own debt is none of the others'");
}

#[test]
fn a_tick_that_is_told_twice_does_no_harm() {
    let others = [lease(100, 10, 0)];
    let account = account(1_000, 0, &others);
    let (report, ask) = (told(200, 50, 30), asked(100, 0));
    assert_eq!(account.tick(&report, &ask, NOW), account.tick(&report, &ask, NOW));
}

#[test]
fn a_lease_is_lost_half_a_minute_after_its_last_tick() {
    let told_at = |ticked_at| Lease { ticked_at, ..lease(10, 0, 0) };
    for (ticked_at, fate) in [
        (NOW, Fate::Kept),
        (NOW - 30_000, Fate::Kept),
        (NOW - 30_001, Fate::Lost),
        (NOW + 1_000, Fate::Kept),
        // An hour ahead: the clock was set back, or it would be kept for an hour.
        (NOW + 3_600_000, Fate::Restamp),
    ] {
        assert_eq!(told_at(ticked_at).fate(NOW), fate, "{ticked_at}");
    }
}

#[test]
fn a_lost_lease_costs_what_was_spent_and_held_but_places_are_free_again() {
    let lost = lease(100, 40, 30);
    for (text, cost) in [("usd:day:5", 70), ("requests:day:5", 70), ("requests:now:5", 0), ("requests:minute:5", 0)] {
        assert_eq!(charged(&limit(text), &lost), cost, "{text}");
    }
}

fn leases() -> impl Strategy<Value = Lease> {
    (0..500_i64, 0..300_i64, 0..300_i64, prop_oneof![Just(0), 0..200_i64])
        .prop_map(|(granted, spent, held, wanted)| Lease { granted, spent, held, wanted, ticked_at: NOW })
}

proptest! {
    #[test]
    fn nothing_is_granted_twice_and_what_is_recalled_is_there(
        cap in 1..2_000_i64,
        spent_closed in 0..1_000_i64,
        others in prop::collection::vec(leases(), 0..4),
        (granted, spent, held) in (0..500_i64, 0..300_i64, 0..300_i64),
        (more, waiting) in (0..600_i64, prop_oneof![Just(0), 0..300_i64]),
        is_alone in any::<bool>(),
    ) {
        let told = told(granted, spent, held);
        let account = Account { cap, spent_closed, others: &others, is_alone };
        let (row, answer) = account.tick(&told, &asked(more, waiting), NOW);
        let claim = |lease: &Lease| lease.granted.max(lease.spent + lease.held);
        let others_have: i64 = others.iter().map(claim).sum();
        let debt = (spent + held - granted).max(0);
        let given = answer.granted - granted;
        let added = (given - debt).max(0);
        prop_assert!(given >= 0);
        // Whatever is given was room, and debts come first.
        prop_assert!(given == 0 || spent_closed + others_have + answer.granted <= cap);
        prop_assert!(is_alone || added >= waiting || added == 0);
        prop_assert_eq!(row.wanted, (waiting - added).max(0));
        prop_assert!((0..=told.free.max(0) + added).contains(&answer.recalled));
        prop_assert!((0..=told.free.max(0) + held).contains(&answer.owed));
        prop_assert!(answer.owed == 0 || given == 0);
        prop_assert_eq!(answer.unspent, cap - spent_closed - spent - others.iter().map(|lease| lease.spent).sum::<i64>());
        prop_assert_eq!(answer.has_more, spent_closed + others_have + answer.granted.max(spent + held) < cap);
    }
}
