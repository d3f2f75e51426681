use super::*;
use crate::store::columns::millis;
use crate::store::test_store::TestStore;
use gateway_core::cache_waste::{Cause, Loss};
use gateway_core::holder::Holder;
use gateway_core::record::{ClientNames, RequestRecord, Waste};
use gateway_core::usage::summary::{Summary, Tokens};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A request so many minutes ago that lost something, if it says so.
fn record(minutes: u64, session: &str, lost: Option<(Cause, u64, Option<u64>)>) -> RequestRecord {
    let prefix = |tools| Prefix { tools, system: u64::MAX, settings: 1, history: 1 << 63, blocks: 3 };
    let waste = lost
        .map(|(cause, tokens, cost)| Box::new(Waste { loss: Loss { cause, detail: "a>b".to_owned(), tokens }, cost }));
    let lifetime = Lifetime { head_s: 3_600, history_s: 300 };
    let tokens = Tokens { cache_read: 5, cache_write: 7, ..Tokens::default() };
    RequestRecord {
        request_id: format!("req_{:x}", fastrand::u128(..)),
        started_at: SystemTime::now() - Duration::from_secs(minutes * 60),
        names: ClientNames { session: Some(session.to_owned()), agent: Some("x".to_owned()), ..ClientNames::default() },
        answer: Some(Summary {
            tokens: Some(tokens),
            model: Some("claude-a-20260101".to_owned()),
            ..Summary::default()
        }),
        rules: vec!["r".into(), "s".into()],
        cached: Some(Box::new(Cached { came: prefix(2), sent: prefix(minutes % 2 + 2), lifetime })),
        waste,
        ..crate::sample::record()
    }
}

fn of_token(token: &str, record: RequestRecord) -> RequestRecord {
    let holder = Holder { user: "alice".into(), group: None, token: token.into() };
    RequestRecord { holder: Some(Arc::new(holder)), ..record }
}

async fn log(records: Vec<RequestRecord>) -> (TestStore, Reader) {
    let log = TestStore::new().await;
    let mut database = log.open().await;
    database.insert(&records.into_iter().map(Arc::new).collect::<Vec<_>>()).await.expect("written");
    database.close().await.expect("closed");
    let reader = log.reader();
    (log, reader)
}

fn span(minutes: i64) -> (i64, i64) {
    let now = millis(SystemTime::now());
    (now - minutes * 60_000, now)
}

#[tokio::test]
async fn what_was_lost_is_summed_by_cause_and_by_session() {
    let lost = |cause, tokens, cost| Some((cause, tokens, cost));
    let (_log, reader) = log(vec![
        record(50, "one", lost(Cause::Idle, 1_000, Some(5_750_000))),
        of_token("tok_1", record(40, "one", lost(Cause::Idle, 2_000, Some(11_500_000)))),
        record(30, "one", lost(Cause::UpstreamChanged, 9_000, Some(9_000_000))),
        record(20, "one", None),
        record(10, "two", lost(Cause::Compaction, 500, None)),
        record(500, "old", lost(Cause::Idle, 1_000_000, Some(1))),
    ])
    .await;
    let report = reader.waste(span(60), WasteOrder::Cost, 10, None).await.expect("read");
    assert_eq!(report.total, Wasted { requests: 4, tokens: 12_500, usd: Some(0.02625) });
    let causes: Vec<_> = report.causes.iter().map(|by| (by.cause.as_str(), by.wasted.tokens, by.wasted.usd)).collect();
    let wanted = [("idle", 3_000, Some(0.01725)), ("upstream_changed", 9_000, Some(0.009)), ("compaction", 500, None)];
    assert_eq!(causes, wanted);
    let sessions: Vec<_> = report
        .sessions
        .iter()
        .map(|one| (one.session.as_str(), one.wasted.requests, one.main_cause.as_str()))
        .collect();
    assert_eq!(sessions, [("one", 3, "idle"), ("two", 1, "compaction")]);
    let last = reader.waste(span(60), WasteOrder::Last, 1, None).await.expect("read");
    assert_eq!(last.sessions.iter().map(|one| one.session.as_str()).collect::<Vec<_>>(), ["two"]);
    let nothing = reader.waste(span(5), WasteOrder::Tokens, 10, None).await.expect("read");
    assert_eq!((nothing.total, nothing.causes.len()), (Wasted { usd: Some(0.0), ..Wasted::default() }, 0));
    // Of some tokens only their own requests, of none nothing.
    let of = |tokens: &[&str]| tokens.iter().map(|&token| token.to_owned()).collect::<Vec<_>>();
    let own = reader.waste(span(60), WasteOrder::Cost, 10, Some(&of(&["tok_1", "tok_3"]))).await.expect("read");
    assert_eq!(own.total, Wasted { requests: 1, tokens: 2_000, usd: Some(0.0115) });
    assert_eq!((own.causes.len(), own.sessions.len()), (1, 1));
    let none = reader.waste(span(60), WasteOrder::Cost, 10, Some(&[])).await.expect("read");
    assert_eq!((none.total.requests, none.sessions.len()), (0, 0));
    let session = reader.session("one").await.expect("read").expect("a session");
    let told: Vec<_> =
        session.waste.iter().map(|one| (one.cause.as_str(), one.detail.as_deref(), one.tokens)).collect();
    assert_eq!(
        told,
        [("upstream_changed", Some("a>b"), 9_000), ("idle", Some("a>b"), 2_000), ("idle", Some("a>b"), 1_000)]
    );
}

#[tokio::test]
async fn what_rows_left_in_caches_is_read_back_as_it_was() {
    let (_log, reader) = log(vec![record(3, "one", None), record(2, "one", None), record(90, "one", None)]).await;
    let left = reader.left_in_caches(span(60).0, 10).await.expect("read");
    assert_eq!(left.len(), 2);
    let [first, second] = [&left[0], &left[1]].map(|left| &left.checkpoint);
    assert!(first.used_ms < second.used_ms);
    assert_eq!((left[0].session.as_str(), left[0].agent.as_deref()), ("one", Some("x")));
    assert_eq!((&*first.model, first.tokens, &*first.place.upstream), ("claude-a", 12, "a"));
    assert_eq!(first.rules, [Arc::from("r"), Arc::from("s")]);
    let cached = *record(3, "one", None).cached.expect("cached");
    assert_eq!(first.prompt, cached, "rules changed it");
    assert_eq!(second.prompt.sent, second.prompt.came);
    assert_eq!(reader.left_in_caches(0, 1).await.expect("read").len(), 1, "the newest");
}
