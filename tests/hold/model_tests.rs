//! The model finds what it is there to find.

use std::time::Instant;

use crate::client::{End, Seen};
use crate::model::{Facts, complaints, permit};
use crate::plan::{Act, Nonce, Plan, UPSTREAMS, Way};
use crate::rows::Row;

fn plan(acts: [Act; 3]) -> Plan {
    Plan {
        nonce: Nonce { seed: 1, number: 2 },
        is_stream: true,
        acts,
        way: Way::Reads,
        filler: 0,
        pieces: 3,
        piece: 10,
        tokens: [10, 20, 30, 40],
    }
}

fn seen(plan: &Plan, upstream: usize) -> Seen {
    Seen {
        status: Some(200),
        body: plan.body(upstream).concat(),
        end: End::Whole,
        time: (Instant::now(), Instant::now()),
    }
}

fn row(plan: &Plan, tried: &[&str], upstream: &str) -> Row {
    Row {
        outcome: "completed".to_owned(),
        status: 200,
        reason: String::new(),
        upstream: Some(upstream.to_owned()),
        tried: tried.iter().map(|name| (*name).to_owned()).collect(),
        tokens: plan.tokens.map(Some),
        cost: Some(plan.cost()),
    }
}

fn found(plan: &Plan, seen: &Seen, rows: &[Row], hits: &[usize]) -> String {
    found_with(plan, seen, rows, hits, [false; 3])
}

fn found_with(plan: &Plan, seen: &Seen, rows: &[Row], hits: &[usize], troubled: [bool; 3]) -> String {
    complaints(plan, &Facts { seen, rows, hits, troubled, was_killed: false }).join("; ")
}

#[test]
fn what_may_be_is_no_complaint() {
    let calm = plan([Act::Whole; 3]);
    assert_eq!(found(&calm, &seen(&calm, 0), &[row(&calm, &[], "a")], &[0]), "");
    let moved = plan([Act::Status(500), Act::Close, Act::Whole]);
    assert_eq!(found(&moved, &seen(&moved, 2), &[row(&moved, &["a", "b"], "c")], &[0, 1, 2]), "");
    assert_eq!(
        found(&moved, &seen(&moved, 2), &[row(&moved, &["a", "b"], "c")], &[0, 1, 1, 2]),
        "",
        "a stale connection"
    );
}

#[test]
fn an_answer_of_another_request_is_found() {
    let calm = plan([Act::Whole; 3]);
    let mut other = calm.clone();
    other.nonce.number = 3;
    let found = found(&calm, &seen(&other, 0), &[row(&calm, &[], "a")], &[0]);
    assert!(found.contains("the client got the answer of hold-1-3"), "{found}");
}

#[test]
fn a_stream_that_broke_off_must_not_look_whole() {
    let cut = plan([Act::CutAfter(2); 3]);
    let mut part = seen(&cut, 0);
    part.body = cut.body(0)[..2].concat();
    let row = Row { outcome: "truncated".to_owned(), cost: Some(1), ..row(&cut, &[], "a") };
    let said = found(&cut, &part, std::slice::from_ref(&row), &[0]);
    assert!(said.contains("shown as whole with"), "{said}");
    part.end = End::Cut;
    assert_eq!(found(&cut, &part, &[row], &[0]), "");
}

#[test]
fn no_other_upstream_is_asked_once_a_byte_was_out() {
    let late = plan([Act::CutAfter(2), Act::Whole, Act::Whole]);
    let said = found(&late, &seen(&late, 1), &[row(&late, &["a"], "b")], &[0, 1]);
    assert!(said.contains("another upstream was asked after a had begun"), "{said}");
    assert!(!permit(Act::CutAfter(2), true).moves && permit(Act::CutAfter(0), true).moves);
}

#[test]
fn a_road_that_is_not_open_excuses_what_breaks_and_no_more() {
    let calm = plan([Act::Whole; 3]);
    let mut part = seen(&calm, 0);
    part.body.truncate(100);
    part.end = End::Cut;
    let cut = Row { outcome: "truncated".to_owned(), ..row(&calm, &[], "a") };
    assert_eq!(found_with(&calm, &part, std::slice::from_ref(&cut), &[0], [true, false, false]), "");
    assert!(found(&calm, &part, std::slice::from_ref(&cut), &[0]).contains("outcome truncated"));
    // It was sent, and never arrived.
    let moved = row(&calm, &["a"], "b");
    assert_eq!(found_with(&calm, &seen(&calm, 1), std::slice::from_ref(&moved), &[1], [true, false, false]), "");
    let said = found_with(&calm, &seen(&calm, 1), std::slice::from_ref(&moved), &[1], [false, true, false]);
    assert!(said.contains("it never came to a"), "{said}");
    // It arrived late.
    assert_eq!(found_with(&calm, &seen(&calm, 1), std::slice::from_ref(&moved), &[1, 0], [true, false, false]), "");
    part.end = End::Whole;
    let said = found_with(&calm, &part, &[cut], &[0], [true; 3]);
    assert!(said.contains("shown as whole with"), "{said}");
}

#[test]
fn of_a_gateway_that_was_killed_rows_may_be_missing_and_nothing_cut_may_look_whole() {
    let calm = plan([Act::Whole; 3]);
    let said = |seen: &Seen| {
        complaints(&calm, &Facts { seen, rows: &[], hits: &[0], troubled: [false; 3], was_killed: true }).join("; ")
    };
    let mut part = seen(&calm, 0);
    assert_eq!(said(&part), "");
    part.body.truncate(100);
    assert!(said(&part).contains("shown as whole"));
    part.end = End::Cut;
    assert_eq!(said(&part), "");
}

#[test]
fn rows_relays_and_clients_that_differ_are_found() {
    let calm = plan([Act::Whole; 3]);
    let good = row(&calm, &[], "a");
    let seen = seen(&calm, 0);
    assert_eq!(found(&calm, &seen, &[], &[0]), "no row");
    assert!(found(&calm, &seen, &[good.clone(), good.clone()], &[0]).contains("2 rows"));
    assert!(found(&calm, &seen, std::slice::from_ref(&good), &[1]).contains("it came to [1], the row tells of [0]"));
    assert!(found(&calm, &seen, std::slice::from_ref(&good), &[0, 0]).contains("it came to [0, 0]"));
    assert!(found(&calm, &seen, std::slice::from_ref(&good), &[]).contains("it never came to a"));
    let dear = Row { cost: Some(calm.cost() + 1), ..good.clone() };
    assert!(found(&calm, &seen, &[dear], &[0]).contains("costs"));
    let lost = Row { outcome: "truncated".to_owned(), ..good };
    assert!(found(&calm, &seen, &[lost], &[0]).contains("outcome truncated"));
}

#[test]
fn each_upstream_has_a_body_of_its_own() {
    let calm = plan([Act::Whole; 3]);
    for (at, name) in UPSTREAMS.iter().enumerate() {
        assert!(String::from_utf8_lossy(&calm.body(at).concat()).contains(&format!("[hold-1-2 {name} 0]")));
    }
}
