//! What is read of the same requests is the same, whichever database they are in.

use super::sessions::{Active, SessionsAsked, SessionsBy};
use super::test_store::TestStore;
use super::{By, Database, Filter, GroupedBy, GroupsBy, Reader, Span, SpentBy, StatsFilter, WasteOrder};
use gateway_core::cache_waste::{Cached, Cause as WasteCause, Lifetime, Loss, Prefix};
use gateway_core::holder::Holder;
use gateway_core::reason::Reason;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::record::{Capture, Cause, ClientNames, Labels, Outcome, RequestRecord, Waste};
use gateway_core::usage::error_body::ErrorText;
use gateway_core::usage::summary::{Details, Summary, Tokens};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Names that are sorted by their bytes, or else in some language's order.
const NAMES: [&str; 6] = ["alpha", "Beta", "beta", "Ärger", "_under", "50%"];
const ROWS: u64 = 1_500;
const HOURS: u64 = 60;

/// A request like many: anything may be missing.
fn record(index: u64, now: SystemTime) -> Arc<RequestRecord> {
    let mut rng = fastrand::Rng::with_seed(index);
    let name = |rng: &mut fastrand::Rng| NAMES[rng.usize(..NAMES.len())];
    let some = |rng: &mut fastrand::Rng| rng.u8(..4) > 0;
    let model = name(&mut rng);
    let tokens = Tokens {
        input: rng.u64(..3_000),
        output: rng.u64(..900),
        cache_write: rng.u64(..90),
        cache_read: rng.u64(..9_000),
        ..Tokens::default()
    };
    let (outcome, status, cause) = [
        (Outcome::Completed, 200, None),
        (Outcome::Completed, 200, None),
        (Outcome::UpstreamError, 529, Some(Cause::PoolClosed)),
        (Outcome::Truncated, 200, Some(Cause::BrokeOff)),
        (Outcome::Rejected, 401, Some(Cause::Rejected)),
        (Outcome::ClientAborted, 0, None),
    ][rng.usize(..6)];
    let is_rejected = outcome == Outcome::Rejected;
    let answer = Summary {
        model: some(&mut rng).then(|| model.to_owned()),
        tokens: some(&mut rng).then_some(tokens),
        is_estimated: rng.u8(..5) == 0,
        first_token: some(&mut rng).then(|| Duration::from_millis(rng.u64(..5_000))),
        details: Details { speed: rng.bool().then(|| "fast".to_owned()), ..Details::default() },
        events: rng.u32(..200),
        ..Summary::default()
    };
    let prefix = |rng: &mut fastrand::Rng| Prefix {
        tools: rng.u64(..),
        system: rng.u64(..),
        settings: 1,
        history: rng.u64(..),
        blocks: rng.u32(..30),
    };
    let lost = (rng.u8(..6) == 0).then(|| {
        let cause = [WasteCause::ToolsChanged, WasteCause::SystemChanged][rng.usize(..2)];
        let loss = Loss { cause, detail: "a>b".to_owned(), tokens: rng.u64(1..500) };
        Box::new(Waste { loss, cost: rng.bool().then(|| rng.u64(..900)) })
    });
    let error = cause.is_some().then(|| ErrorText {
        body: format!("{{\"error\":\"{index}\\t\\n\\\\\"}}\t\n\\."),
        kind: Some("api_error".to_owned()),
        code: None,
        message: Some("100% of\tit\r\n\\N is 'used' up".to_owned()),
        is_page: false,
    });
    let token = format!("tok_{}", rng.u8(..3));
    let holder = Holder { user: name(&mut rng).into(), group: Some("g".into()), token: token.as_str().into() };
    let capture =
        Capture { head: "POST / HTTP/1.1".to_owned(), body: format!("{{\"a\":{index}}}"), is_cut: rng.bool() };
    let ago = Duration::from_millis(rng.u64(..HOURS * 3_600_000));
    Arc::new(RequestRecord {
        duration: Duration::from_millis(rng.u64(..90_000)),
        first_byte: some(&mut rng).then(|| Duration::from_millis(rng.u64(..5_000))),
        client: Some([10, 0, 0, rng.u8(..3)].into()),
        path: ["/v1/messages", "/v1/messages/", "/v1/models", "/elsewhere"][rng.usize(..4)].to_owned(),
        status,
        outcome,
        cause,
        reason: is_rejected.then_some(Reason::UnknownKey),
        upstream: (!is_rejected).then(|| name(&mut rng).into()),
        attempts: u32::from(!is_rejected) + u32::from(rng.u8(..9) == 0 && !is_rejected),
        tried: if cause.is_some() { vec![("x".into(), UpstreamFault::Status { status: 503 })] } else { Vec::new() },
        key: some(&mut rng).then(|| format!("{:016x}", rng.u64(..4))),
        holder: some(&mut rng).then(|| Arc::new(holder)),
        names: ClientNames {
            session: some(&mut rng).then(|| format!("{} {}", name(&mut rng), rng.u8(..8))),
            agent: rng.bool().then(|| name(&mut rng).to_owned()),
            agent_type: rng.bool().then(|| "Explore".to_owned()),
            request_class: rng.bool().then(|| "main".to_owned()),
            ..ClientNames::default()
        },
        model_asked: some(&mut rng).then(|| model.to_owned()),
        rules: vec!["r".into(), "s".into()],
        answer: some(&mut rng).then_some(answer),
        error,
        cost: rng.bool().then(|| rng.u64(..9_000_000)),
        labels: Labels { model: model.into(), path: "/v1/messages", request_class: "main" },
        capture: (rng.u8(..9) == 0).then(|| Box::new(capture)),
        cached: rng.bool().then(|| {
            let lifetime = Lifetime { head_s: 3_600, history_s: 300 };
            Box::new(Cached { came: prefix(&mut rng), sent: prefix(&mut rng), lifetime })
        }),
        waste: lost,
        ..RequestRecord::new(format!("req_{index}"), now - ago)
    })
    .with_sample()
}

trait WithSample {
    fn with_sample(self) -> Self;
}

impl WithSample for Arc<RequestRecord> {
    /// With what every request has.
    fn with_sample(self) -> Self {
        let sample = crate::sample::record();
        let record = Self::unwrap_or_clone(self);
        Self::new(RequestRecord { http: sample.http, method: sample.method, is_keyed: true, ..record })
    }
}

/// What was read, each by its name.
type Told = Vec<(String, serde_json::Value)>;

struct Asking<'r> {
    reader: &'r Reader,
    told: Told,
}

impl Asking<'_> {
    fn tell(&mut self, what: impl Into<String>, found: &impl Serialize) {
        self.told.push((what.into(), serde_json::to_value(found).expect("JSON")));
    }

    async fn rows(&mut self, now: i64) {
        let only =
            |name, values: &[&str]| BTreeMap::from([(name, values.iter().map(|&text| text.to_owned()).collect())]);
        let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
        let filters = [
            Filter::default(),
            Filter { from: Some(now - 20 * 3_600_000), to: Some(now - 3_600_000), ..Filter::default() },
            Filter { only: only("outcome", &["rejected", "truncated"]), ..Filter::default() },
            Filter { only: only("key", &["0000000000000001", "00"]), ..Filter::default() },
            Filter { only: only("session", &["Beta 1", "beta 1", "no one"]), ..Filter::default() },
            Filter { model: vec!["beta".to_owned()], ..Filter::default() },
            Filter { status: vec![200..201, 500..600], ..Filter::default() },
            Filter { without: vec![By::Upstream, By::AgentType], ..Filter::default() },
            Filter { is_usable: true, ..Filter::default() },
            text("BETA"),
            text("50%"),
            text("_under"),
            text("\\N is 'USED'"),
            text("ärger"),
            text("Ärger"),
        ];
        for filter in filters {
            let (mut after, mut pages) = (None, 0);
            loop {
                let page = self.reader.page(&filter, after, 40).await.expect("a page");
                self.tell(format!("{filter:?} {pages}"), &page);
                after = page.next_cursor.as_deref().and_then(super::read_cursor);
                pages += 1;
                if after.is_none() || pages > 4 {
                    break;
                }
            }
        }
        for index in 0..60 {
            let id = format!("req_{index}");
            let detail = self.reader.detail(&id).await.expect("a reading");
            self.tell(format!("detail {id}"), &detail);
        }
        let errors = self.reader.errors(0, now).await.expect("errors");
        self.tell("errors", &(errors.groups, errors.total));
        self.tell("models", &self.reader.models_asked(now - 86_400_000).await.expect("models"));
        let captured = self.reader.last_captured().await.expect("a reading").expect("one");
        self.tell("captured", &(captured.id, captured.started_ms, captured.head, captured.body));
        self.tell("oldest", &self.reader.oldest_ms().await.expect("a reading"));
        let shapes = self.reader.oldest_shape().await.expect("a reading");
        self.tell("shapes", &(shapes, self.reader.shape("req_1").await.expect("a reading").is_some()));
    }

    async fn sessions(&mut self, now: i64) {
        let active = |first_ms| Active { requests: 2, first_ms, last_ms: now };
        let asked = SessionsAsked { from_ms: now - 40 * 3_600_000, to_ms: now, limit: 7, ..SessionsAsked::default() };
        let all = SessionsBy::ALL.map(|first| SessionsAsked { first, ..asked.clone() });
        let some = [
            SessionsAsked { text: Some("BETA".to_owned()), ..asked.clone() },
            SessionsAsked { models: vec!["beta".to_owned()], upstreams: vec!["Beta".to_owned()], ..asked.clone() },
            SessionsAsked { keys: vec!["0000000000000001".to_owned()], ..asked.clone() },
            SessionsAsked { tokens: Some(vec!["tok_1".to_owned(), "tok_2".to_owned()]), ..asked.clone() },
            SessionsAsked { tokens: Some(Vec::new()), ..asked.clone() },
            SessionsAsked {
                active: [("Beta 1".to_owned(), active(now - 5)), ("new".to_owned(), active(now - 9))].into(),
                ..asked.clone()
            },
        ];
        for mut asked in all.into_iter().chain(some) {
            for page in 0..4 {
                let found = self.reader.sessions(&asked).await.expect("sessions");
                self.tell(format!("{asked:?} {page}"), &found);
                asked.after = found.next_cursor.as_deref().and_then(super::sessions::After::read);
                if asked.after.is_none() {
                    break;
                }
            }
        }
        for name in NAMES {
            let session = format!("{name} 1");
            self.tell(format!("session {session}"), &self.reader.session(&session).await.expect("a reading"));
            self.tell("there", &self.reader.has_session(&session).await.expect("a reading"));
        }
    }

    async fn statistics(&mut self, now: i64) {
        let filters = [
            StatsFilter::default(),
            StatsFilter { model: Some("beta".to_owned()), ..StatsFilter::default() },
            StatsFilter { upstream: Some("Beta".to_owned()), ..StatsFilter::default() },
            StatsFilter { key: Some("0000000000000001".to_owned()), ..StatsFilter::default() },
            StatsFilter { session: Some("Beta 1".to_owned()), ..StatsFilter::default() },
            StatsFilter { client: Some("10.0.0.1".to_owned()), ..StatsFilter::default() },
            StatsFilter { tokens: Some(vec!["tok_1".to_owned()]), ..StatsFilter::default() },
        ];
        let hour = 3_600_000;
        for span in [Span::new(now - 50 * hour, now, now), Span::new(now - 9 * hour, now - 2 * hour, now)] {
            for filter in &filters {
                let what = format!("{span:?} {filter:?}");
                let summary = self.reader.summary(&span, filter).await.expect("a summary");
                self.tell(format!("summary {what}"), &summary);
                for by in [By::Model, By::Session, By::Key, By::Upstream, By::Client, By::Path] {
                    for first in [GroupsBy::Cost, GroupsBy::Requests] {
                        let groups = self.reader.groups(&span, by, filter, first, 5).await.expect("groups");
                        self.tell(format!("{by:?} {first:?} {what}"), &groups);
                    }
                    let grouped = Some(GroupedBy { by, top: 3 });
                    let series = self.reader.series(&span, hour, filter, grouped).await.expect("a series");
                    self.tell(format!("series {by:?} {what}"), &series);
                }
            }
        }
    }

    async fn cache_and_costs(&mut self, now: i64) {
        let hour = 3_600_000;
        let orders = [WasteOrder::Cost, WasteOrder::Tokens, WasteOrder::Requests, WasteOrder::Last];
        for order in orders {
            for tokens in [None, Some(["tok_1".to_owned()].as_slice())] {
                let waste = self.reader.waste((now - 50 * hour, now), order, 9, tokens).await.expect("waste");
                self.tell(format!("waste {order:?} {tokens:?}"), &waste);
            }
        }
        let nothing = self.reader.waste((0, 1), WasteOrder::Cost, 9, None).await.expect("waste");
        self.tell("no waste", &nothing);
        let left = self.reader.left_in_caches(now - 30 * hour, 300).await.expect("a reading");
        self.tell("left in caches", &format!("{left:?}"));
        let models = self.reader.cache_use_of_models(now - 48 * hour, now - 12 * hour, now).await.expect("a reading");
        self.tell("cache use of models", &format!("{models:?}"));
        let mut of = self.reader.cache_use_of_sessions(now - 48 * hour, now - 12 * hour, 2).await.expect("a reading");
        // Those with as many requests come in any order.
        of.sort_by(|one, other| one.0.cmp(&other.0));
        self.tell("cache use of sessions", &format!("{of:?}"));
        let tokens = ["tok_1".to_owned(), "tok_2".to_owned()];
        for (user, group) in [(None, None), (Some("beta"), None), (None, Some("g")), (None, Some("h"))] {
            let by = SpentBy { tokens: &tokens, user, group };
            let spent = self.reader.spent(by, now - 30 * hour).await.expect("a sum");
            self.tell(format!("spent {by:?}"), &spent);
        }
    }
}

async fn told(log: &TestStore, records: &[Arc<RequestRecord>], now: SystemTime) -> Told {
    let mut database: Database = log.open().await;
    for batch in records.chunks(400) {
        database.insert(batch).await.expect("written");
    }
    // What is there counts once.
    database.insert(&records[100..300]).await.expect("written once more");
    let (reader, now) = (log.reader(), super::columns::millis(now));
    let mut asking = Asking { reader: &reader, told: Told::new() };
    asking.rows(now).await;
    asking.sessions(now).await;
    asking.statistics(now).await;
    asking.cache_and_costs(now).await;
    asking.told
}

#[tokio::test]
async fn both_databases_tell_the_same_of_the_same_requests() {
    let Some(postgres) = TestStore::in_postgres().await else { return };
    let now = SystemTime::now();
    let records: Vec<_> = (0..ROWS).map(|index| record(index, now)).collect();
    let (one, other) = (told(&TestStore::in_file(), &records, now).await, told(&postgres, &records, now).await);
    assert_eq!(one.len(), other.len());
    assert!(one.len() > 250, "{}", one.len());
    for ((what, one), (_, other)) in one.iter().zip(&other) {
        assert_eq!(one, other, "{what}: SQLite on the left");
    }
}
