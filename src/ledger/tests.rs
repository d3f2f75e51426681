//! Gateways that share a folder, each with a keeper of its own.

mod another_file;

use super::usage::{self, Used};
use super::{Admitted, Counts, Known, Ledger, Owner, Owners};
use gateway_core::team::limit::Subject;
use gateway_core::team::measure::Amounts;
use gateway_core::team::refusal::Refusal;
use jiff::tz::TimeZone;
use pingora_prometheus::prometheus::Registry;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const TOKEN: &str = "tok_1";
const ONE: Amounts = Amounts { usd: 0, tokens: 0, requests: 1 };

fn owner(kind: Subject, id: &str, limits: &[&str]) -> Owner {
    Owner {
        kind,
        id: id.into(),
        name: format!("the {id}"),
        zone: TimeZone::UTC,
        limits: limits.iter().map(|limit| limit.parse().expect(limit)).collect(),
    }
}

fn own(limits: &[&str]) -> Vec<(Arc<str>, Owners)> {
    vec![(TOKEN.into(), [Some(Arc::new(owner(Subject::Token, TOKEN, limits))), None, None])]
}

fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new(Counts::register(&Registry::new()).expect("registered")))
}

fn gateway(folder: &Path, limits: &[&str]) -> Arc<Ledger> {
    let ledger = ledger();
    ledger.keep(folder).expect("a thread");
    ledger.publish(own(limits));
    ledger
}

async fn ask(ledger: &Ledger, likely: Amounts) -> Result<Admitted, Box<Refusal>> {
    let checks = ledger.checks(TOKEN).expect("limits");
    ledger.admit(&checks, None, &likely).await
}

/// Asks until it is let in, as a client does that is told to wait.
async fn insist(ledger: &Ledger, likely: Amounts) -> Admitted {
    let began = Instant::now();
    loop {
        match ask(ledger, likely).await {
            Ok(admitted) => return admitted,
            Err(refusal) => assert!(began.elapsed() < Duration::from_secs(20), "{refusal:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn used(folder: &Path, limits: &[&str]) -> Vec<Used> {
    usage::read(folder, &[owner(Subject::Token, TOKEN, limits)]).expect("read").remove(0)
}

/// Waits until this much is used of the first limit, and nothing held.
async fn comes_to(folder: &Path, limits: &[&str], wanted: i64) {
    let began = Instant::now();
    loop {
        let Used { used, held, .. } = used(folder, limits)[0];
        if (used, held) == (Some(wanted), 0) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{used:?}, {held} held, and not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn so_many_requests_are_let_in_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["requests:day:5", "usd:total:1"];
    let ledger = gateway(folder.path(), &limits);
    for _ in 0..5 {
        let likely = Amounts { usd: 100_000_000, ..ONE };
        ask(&ledger, likely).await.expect("let in").settle(&Amounts { usd: 50_000_000, ..ONE }, None, Known::Told);
    }
    // One that is dropped counts nothing, and neither does one that is refused.
    match *ask(&ledger, ONE).await.expect_err("the sixth") {
        Refusal::Used { whose, left, needed, resets } => {
            assert_eq!((whose.limit.to_string().as_str(), left, needed), ("requests:day:5", 0, 1));
            assert_eq!(whose.name, "the tok_1");
            let within = resets.expect("an end").within;
            assert!(within > Duration::ZERO && within <= Duration::from_secs(86_400), "{within:?}");
        }
        refusal => panic!("{refusal:?}"),
    }
    comes_to(folder.path(), &limits, 5).await;
    comes_to(folder.path(), &limits[1..], 250_000_000).await;
    // With another amount nothing that was spent is forgotten.
    ledger.publish(own(&["requests:day:6", "usd:total:0.35"]));
    ask(&ledger, Amounts { usd: 1, ..ONE }).await.expect("one more").settle(&ONE, None, Known::Told);
    assert!(matches!(*ask(&ledger, ONE).await.expect_err("the seventh"), Refusal::Used { .. }));
    ledger.publish(own(&["requests:day:9", "usd:total:0.35"]));
    let dear = Amounts { usd: 200_000_000, ..ONE };
    match *ask(&ledger, dear).await.expect_err("too dear") {
        Refusal::Used { left, resets: None, .. } => assert_eq!(left, 100_000_000),
        refusal => panic!("{refusal:?}"),
    }
    // The refused one holds nothing.
    ask(&ledger, Amounts { usd: 100_000_000, ..ONE }).await.expect("just enough").settle(&ONE, None, Known::Told);
    ledger.end();
}

#[tokio::test]
async fn two_gateways_share_a_budget_to_its_last_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["requests:day:200"];
    let both = [gateway(folder.path(), &limits), gateway(folder.path(), &limits)];
    let let_in = AtomicI64::new(0);
    let client = async |at: usize| {
        let ledger = &both[at % 2];
        let (began, mut given_up) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(20) {
            match ask(ledger, ONE).await {
                Ok(admitted) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    match at % 5 {
                        0 if given_up < 10 => {
                            given_up += 1;
                            drop(admitted);
                        }
                        _ => {
                            let_in.fetch_add(1, Ordering::SeqCst);
                            admitted.settle(&ONE, None, Known::Told);
                        }
                    }
                }
                Err(refusal) if matches!(*refusal, Refusal::Used { .. }) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    futures::future::join_all((0..20).map(client)).await;
    let let_in = let_in.load(Ordering::SeqCst);
    assert_eq!(let_in, 200);
    both.iter().for_each(|ledger| ledger.end());
    comes_to(folder.path(), &limits, 200).await;
}

/// How long a gateway goes on to spend what another one has used, which has told of itself long ago, or hands over just now.
async fn learns_of_debts(round: u64, hands_over: bool) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["usd:day:1"];
    let likely = |usd| Amounts { usd, ..ONE };
    let one = gateway(folder.path(), &limits);
    let dear = insist(&one, likely(100_000_000)).await;
    let other = gateway(folder.path(), &limits);
    if hands_over {
        one.drain();
    }
    drop(insist(&other, likely(300_000_000)).await);
    if !hands_over {
        // The next tick is so far away.
        tokio::time::sleep(Duration::from_millis(1_100 + 150 * round)).await;
    }
    drop(ask(&other, likely(300_000_000)).await.expect("it is there"));
    dear.settle(&likely(900_000_000), None, Known::Told);
    let began = Instant::now();
    let mut learnt = began.elapsed();
    // One that is refused has waited for more.
    while ask(&other, likely(300_000_000)).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(2)).await;
        learnt = began.elapsed();
    }
    comes_to(folder.path(), &limits, 900_000_000).await;
    [one, other].iter().for_each(|ledger| ledger.end());
    learnt
}

#[tokio::test]
async fn what_a_request_used_beyond_its_gateways_part_the_others_do_not_spend() {
    for hands_over in [false, true] {
        let mut learnt = futures::future::join_all((0..6).map(|round| learns_of_debts(round, hands_over))).await;
        learnt.sort_unstable();
        // With the ticks alone it takes half a second and more.
        assert!(learnt[3] < Duration::from_millis(200), "{hands_over}: {learnt:?}");
    }
}

#[tokio::test]
async fn places_are_exact_over_two_gateways() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["requests:now:4"];
    let both = [gateway(folder.path(), &limits), gateway(folder.path(), &limits)];
    let (now, most, served) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
    let client = async |at: usize| {
        for turn in 0..15 {
            let Ok(admitted) = ask(&both[(at + turn) % 2], ONE).await else {
                tokio::time::sleep(Duration::from_millis(30)).await;
                continue;
            };
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(3)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            served.fetch_add(1, Ordering::SeqCst);
            if turn % 3 == 0 { drop(admitted) } else { admitted.settle(&ONE, None, Known::Told) }
        }
    };
    futures::future::join_all((0..30).map(client)).await;
    let (most, served) = (most.load(Ordering::SeqCst), served.load(Ordering::SeqCst));
    assert!(most <= 4 && served > 20, "{most} at one time, {served} in all");
    comes_to(folder.path(), &limits, 0).await;
    // One that drains leaves all to the other.
    both[0].drain();
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(insist(&both[1], ONE).await);
    }
    assert!(matches!(*ask(&both[1], ONE).await.expect_err("a fifth"), Refusal::Places { .. }));
    drop(all);
    both.iter().for_each(|ledger| ledger.end());
    assert_eq!(used(folder.path(), &limits)[0].used, Some(0));
}

#[tokio::test]
async fn what_a_gateway_holds_that_ends_is_charged_and_the_rest_goes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["usd:day:1"];
    let one = gateway(folder.path(), &limits);
    let likely = |usd| Amounts { usd, ..ONE };
    ask(&one, likely(300_000_000)).await.expect("let in").settle(&likely(400_000_000), None, Known::Told);
    let held = ask(&one, likely(200_000_000)).await.expect("let in");
    one.end();
    let other = gateway(folder.path(), &limits);
    match *ask(&other, likely(500_000_000)).await.expect_err("too much") {
        Refusal::Used { left, .. } => assert_eq!(left, 400_000_000),
        refusal => panic!("{refusal:?}"),
    }
    ask(&other, likely(400_000_000)).await.expect("the rest").settle(&likely(100_000_000), None, Known::Told);
    comes_to(folder.path(), &limits, 700_000_000).await;
    drop(held);
    other.end();
}

#[tokio::test]
async fn requests_a_minute_come_some_at_once_and_then_slowly() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = gateway(folder.path(), &["requests:minute:30"]);
    for _ in 0..3 {
        ask(&ledger, ONE).await.expect("at once").settle(&ONE, None, Known::Told);
    }
    match *ask(&ledger, ONE).await.expect_err("the fourth") {
        Refusal::Rate { wait, .. } => assert!(wait <= Duration::from_secs(2), "{wait:?}"),
        refusal => panic!("{refusal:?}"),
    }
    ledger.end();
}

#[tokio::test]
async fn limits_of_token_user_and_group_hold_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = ledger();
    ledger.keep(folder.path()).expect("a thread");
    let token = |id: &str| Some(Arc::new(owner(Subject::Token, id, &["requests:day:3"])));
    let group = Some(Arc::new(owner(Subject::Group, "dev", &["requests:day:4"])));
    ledger.publish(vec![
        ("a".into(), [token("a"), None, group.clone()]),
        ("b".into(), [token("b"), None, group.clone()]),
        ("c".into(), [None, None, group]),
    ]);
    let ask = async |id: &str| {
        let checks = ledger.checks(id).expect("limits");
        ledger.admit(&checks, None, &ONE).await.map(|admitted| admitted.settle(&ONE, None, Known::Told))
    };
    let whose = |refusal: Box<Refusal>| match *refusal {
        Refusal::Used { whose, .. } => whose.subject,
        refusal => panic!("{refusal:?}"),
    };
    for _ in 0..3 {
        ask("a").await.expect("let in");
    }
    assert_eq!(whose(ask("a").await.expect_err("its own")), Subject::Token);
    ask("b").await.expect("let in");
    for id in ["b", "c"] {
        assert_eq!(whose(ask(id).await.expect_err("the group's")), Subject::Group);
    }
    assert!(ledger.checks("d").is_none());
    ledger.end();
}

#[tokio::test]
async fn sessions_count_once_for_all_gateways() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["sessions:now:2", "sessions:day:3"];
    let both = [gateway(folder.path(), &limits), gateway(folder.path(), &limits)];
    let ask = async |at: usize, session: &str| {
        let checks = both[at].checks(TOKEN).expect("limits");
        both[at].admit(&checks, Some(session), &ONE).await.map(|admitted| admitted.settle(&ONE, None, Known::Told))
    };
    for (at, session) in [(0, "x"), (1, "x"), (1, "y"), (0, "y"), (0, "x")] {
        ask(at, session).await.expect("a place");
    }
    match *ask(0, "z").await.expect_err("a third") {
        Refusal::Sessions { whose, resets } => {
            assert_eq!(whose.limit.to_string(), "sessions:now:2");
            assert!(resets.expect("an end").within <= Duration::from_secs(900));
        }
        refusal => panic!("{refusal:?}"),
    }
    assert_eq!(used(folder.path(), &limits).iter().map(|used| used.used).collect::<Vec<_>>(), [Some(2), Some(2)]);
    both.iter().for_each(|ledger| ledger.end());
}

#[tokio::test]
async fn a_session_that_is_refused_takes_no_place_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = ledger();
    ledger.keep(folder.path()).expect("a thread");
    let token = |id: &str, limit: &str| Some(Arc::new(owner(Subject::Token, id, &[limit])));
    let group = Some(Arc::new(owner(Subject::Group, "dev", &["sessions:now:1"])));
    ledger.publish(vec![
        ("a".into(), [token("a", "sessions:total:1"), None, group.clone()]),
        ("b".into(), [token("b", "sessions:day:9"), None, group]),
    ]);
    let ask = async |id: &str, session: &str| {
        let checks = ledger.checks(id).expect("limits");
        ledger.admit(&checks, Some(session), &ONE).await.map(|admitted| admitted.settle(&ONE, None, Known::Told))
    };
    ask("b", "x").await.expect("a place");
    match *ask("a", "y").await.expect_err("the group is full") {
        Refusal::Sessions { whose, .. } => assert_eq!(whose.subject, Subject::Group),
        refusal => panic!("{refusal:?}"),
    }
    let used = usage::read(folder.path(), &[owner(Subject::Token, "a", &["sessions:total:1"])]).expect("read");
    assert_eq!(used[0][0].used, Some(0), "what was refused counts nowhere");
    ledger.end();
}

#[tokio::test]
async fn a_limit_of_sessions_that_was_raised_is_told_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = gateway(folder.path(), &["sessions:day:2"]);
    ledger.tell_at(&[80, 95, 100]);
    let told = async |session: &str| {
        let checks = ledger.checks(TOKEN).expect("limits");
        ledger.admit(&checks, Some(session), &ONE).await.expect("a place").release();
        ledger.notices().iter().map(|notice| (notice.percent, notice.spent)).collect::<Vec<_>>()
    };
    assert_eq!((told("a").await, told("b").await), (vec![], vec![(100, 2)]));
    ledger.publish(own(&["sessions:day:3"]));
    assert_eq!(told("c").await, [(100, 3)]);
    ledger.publish(own(&["sessions:day:5"]));
    assert_eq!((told("d").await, told("e").await), (vec![(80, 4)], vec![(100, 5)]));
    ledger.end();
}

#[tokio::test]
async fn a_fault_of_the_keeper_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["requests:day:9"];
    let ledger = gateway(folder.path(), &limits);
    for _ in 0..3 {
        ask(&ledger, ONE).await.expect("let in").settle(&ONE, None, Known::Told);
    }
    for wanted in [5, 7] {
        ledger.tell(super::Message::Panic);
        for _ in 0..2 {
            insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
        }
        comes_to(folder.path(), &limits, wanted).await;
    }
    for _ in 0..2 {
        insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    }
    let began = Instant::now();
    while !matches!(*ask(&ledger, ONE).await.expect_err("the tenth"), Refusal::Used { .. }) {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ledger.end();
    assert_eq!(used(folder.path(), &limits)[0].used, Some(9));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_refuses_all_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ledger.db"), "this is no database, and long enough to be looked at")
        .expect("written");
    let ledger = gateway(folder.path(), &["requests:day:5"]);
    assert!(matches!(*ask(&ledger, ONE).await.expect_err("nothing"), Refusal::Ledger));
    std::fs::remove_file(folder.path().join("ledger.db")).expect("removed");
    insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    ledger.end();
}
