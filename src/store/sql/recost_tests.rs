use super::*;
use crate::store::costs::Tariff;
use crate::store::test_store::TestStore;
use crate::store::{Progress, Recosts, State, Watch};
use gateway_core::record::{ClientNames, Labels, Outcome, RequestRecord};
use gateway_core::rules::glob::Glob;
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::pricing::{Offer, Price, Prices};
use gateway_core::usage::summary::Summary;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const MODELS: [&str; 4] = ["m-a", "m-b", "m-c", "a-stranger"];
const CLASSES: [Option<&str>; 4] = [None, Some("main"), Some("subagent"), Some("what nobody knows")];
const ALL: Span = Span { from_ms: 0, to_ms: i64::MAX };
const DAY: u64 = 86_400;
/// A day's beginning.
const BEGIN: u64 = 20_000 * DAY;

/// Prices of one dollar times these per million tokens, of all kinds of tokens alike.
fn tariff(prices: &[(&str, u64)], factors: &[(&str, Factor)]) -> Tariff {
    let offer = |(model, dollars): &(&str, u64)| {
        let pico = dollars * 1_000_000;
        let price = Price { input: pico, output: pico, cache_write: pico, cache_write_1h: pico, cache_read: pico };
        Offer::new(Glob::new(model), price, "a test".into())
    };
    let usual = ["a", "b"].map(|upstream| (upstream, Factor::ONE));
    let factors = usual.iter().chain(factors).map(|(upstream, factor)| ((*upstream).to_owned(), *factor)).collect();
    Tariff { prices: Prices::default().then(prices.iter().map(offer).collect()), factors }
}

/// A request like others; with known usage or without, of a model with a name of its own in the sums or without.
fn record(
    index: u64,
    rng: &mut fastrand::Rng,
    tariff: &Tariff,
    classes: &[Option<&'static str>],
) -> Arc<RequestRecord> {
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + rng.u64(..4 * DAY));
    let model = MODELS[rng.usize(..MODELS.len())];
    let upstream = ["a", "b"][rng.usize(..2)];
    let details = Details { speed: rng.bool().then(|| "standard".to_owned()), ..Details::default() };
    let tokens = Tokens { input: rng.u64(..5_000), output: rng.u64(1..5_000), ..Tokens::default() };
    let tokens = (rng.u8(..5) > 0).then_some(tokens);
    let cost = tokens.and_then(|tokens| {
        let factor = tariff.factors.get(upstream).copied().unwrap_or(Factor::ONE);
        tariff.prices.cost(model, &tokens, &details, started_at, factor)
    });
    let class = classes[rng.usize(..classes.len())];
    let label = if rng.u8(..4) == 0 { OTHER } else { model };
    let (outcome, status) =
        [(Outcome::Completed, 200), (Outcome::Truncated, 200), (Outcome::UpstreamError, 403)][rng.usize(..3)];
    Arc::new(RequestRecord {
        request_id: format!("req_{index}"),
        started_at,
        outcome,
        status,
        upstream: Some(upstream.into()),
        key: Some(format!("key{}", rng.u8(..3))),
        model_asked: Some(model.to_owned()),
        answer: Some(Summary { tokens, details, ..Summary::default() }),
        cost,
        names: ClientNames { request_class: class.map(str::to_owned), ..ClientNames::default() },
        labels: Labels { model: label.into(), path: "/v1/messages", request_class: request_class::label(class) },
        ..crate::sample::record()
    })
}

async fn log(
    log: &TestStore,
    rows: u64,
    tariff: &Tariff,
    classes: &[Option<&'static str>],
) -> (Database, Vec<Arc<RequestRecord>>) {
    let mut rng = fastrand::Rng::with_seed(7);
    let records: Vec<_> = (0..rows).map(|index| record(index, &mut rng, tariff, classes)).collect();
    let mut database = log.open().await;
    database.insert(&records).await.expect("written");
    (database, records)
}

async fn read(database: &mut Database, sql: &str) -> Vec<Row> {
    Text::new(sql).fetch_all(database.on()).await.expect("rows")
}

/// What a row costs now.
async fn costs(database: &mut Database) -> HashMap<String, Option<i64>> {
    let rows = read(database, "SELECT id, cost_nano FROM requests").await;
    rows.iter().map(|row| (row.try_get("id").expect("a name"), row.try_get("cost_nano").expect("a cost"))).collect()
}

/// Cost, requests without a price, and requests.
type Figures = [i64; 3];

/// The sums of each span that there are, by all that they are of, whichever gateway has them.
async fn sums(database: &mut Database) -> BTreeMap<String, Figures> {
    let sql = "SELECT name, CAST(SUM(cost_nano) AS BIGINT) AS cost_nano, CAST(SUM(unpriced) AS BIGINT) AS unpriced, \
               CAST(SUM(requests) AS BIGINT) AS requests FROM (SELECT CAST(span_s AS TEXT) || ' ' || CAST(at_s AS TEXT) || ' ' \
               || upstream || ' ' || model || ' ' || key_fingerprint || ' ' || outcome || ' ' || request_class AS name, \
               cost_nano, unpriced, requests FROM rollups) AS named GROUP BY name";
    let figure = |row: &Row, name: &str| row.try_get::<i64, _>(name).expect("a sum");
    let figures = |row: &Row| ["cost_nano", "unpriced", "requests"].map(|name| figure(row, name));
    let rows = read(database, sql).await;
    rows.iter().map(|row| (row.try_get("name").expect("a name"), figures(row))).collect()
}

/// What they must be.
fn sums_of(records: &[Arc<RequestRecord>], costs: &HashMap<String, Option<i64>>) -> BTreeMap<String, Figures> {
    let mut sums: BTreeMap<String, Figures> = BTreeMap::new();
    for record in records {
        let started = record.started_at.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
        let key = record.summed_key().unwrap_or_default();
        let (upstream, model) = (record.upstream.as_deref().unwrap_or_default(), &record.labels.model);
        let (cost, class) = (costs[&record.request_id], record.labels.request_class);
        let is_used = record.answer.as_ref().is_some_and(|answer| answer.tokens.is_some());
        for span in SPANS {
            let at = floor(started as i64, span);
            let name = format!("{span} {at} {upstream} {model} {key} {} {class}", record.outcome.name());
            let sum = sums.entry(name).or_default();
            *sum = [sum[0] + cost.unwrap_or(0), sum[1] + i64::from(is_used && cost.is_none()), sum[2] + 1];
        }
    }
    sums
}

static NONE: BTreeSet<i64> = BTreeSet::new();

fn all_of(rows: RangeInclusive<i64>) -> Wanted<'static> {
    Wanted { rows, but: &NONE }
}

/// Makes all costs anew, and looks after each batch.
async fn run(database: &mut Database, span: Span, tariff: &Tariff, mut look: impl AsyncFnMut(&mut Database)) -> Batch {
    let mut covered = Batch { last: Some(0), ..Batch::default() };
    loop {
        let next = covered.last.expect("a row") + 1;
        let batch = database.recost(&all_of(next..=i64::MAX), span, tariff).await.expect("made anew");
        let is_end = batch.last.is_none();
        covered.add(batch);
        look(database).await;
        if is_end {
            return covered;
        }
    }
}

#[tokio::test]
async fn sums_are_those_of_the_rows_after_each_batch_whatever_becomes_of_the_prices() {
    let store = TestStore::new().await;
    let first = tariff(&[("m-a", 3), ("m-b", 5)], &[]);
    let (mut database, records) = log(&store, 1_700, &first, &CLASSES).await;
    let used = records.iter().filter(|record| record.answer.as_ref().is_some_and(|answer| answer.tokens.is_some()));
    let used = used.count() as u64;
    for (wanted, changes) in [
        (first.clone(), false),
        // Up, down, one more price, none any more, free, and an upstream that takes half.
        (tariff(&[("m-a", 4), ("m-b", 2), ("m-c", 1)], &[]), true),
        (tariff(&[("m-c", 0)], &[]), true),
        (tariff(&[("*", 7)], &[("b", Factor::HALF)]), true),
        (tariff(&[], &[]), true),
        (first, true),
    ] {
        let covered = run(&mut database, ALL, &wanted, async |database| {
            let costs = costs(database).await;
            assert_eq!(sums(database).await, sums_of(&records, &costs));
        })
        .await;
        assert_eq!((covered.seen, covered.changed > 0), (used, changes));
        let costs = costs(&mut database).await;
        for record in &records {
            let factor = wanted.factors.get(record.upstream.as_deref().expect("one")).copied().unwrap_or(Factor::ONE);
            let cost = record.answer.as_ref().and_then(|answer| {
                wanted.prices.cost(record.model()?, &answer.tokens?, &answer.details, record.started_at, factor)
            });
            assert_eq!(costs[&record.request_id], cost.map(number), "{record:?}");
        }
        let unpriced = records.iter().filter(|record| {
            costs[&record.request_id].is_none() && record.answer.as_ref().is_some_and(|answer| answer.tokens.is_some())
        });
        assert_eq!(covered.unpriced, unpriced.count() as u64);
    }
}

#[tokio::test]
async fn rows_of_an_upstream_that_is_not_there_any_more_keep_their_costs_and_are_named() {
    let store = TestStore::new().await;
    let tenth = Factor::parse("0.1", 1).expect("a factor");
    let (mut database, records) =
        log(&store, 600, &tariff(&[("m-a", 3)], &[("a", Factor::HALF), ("b", tenth)]), &CLASSES).await;
    let before = costs(&mut database).await;
    let mut renamed = tariff(&[("m-a", 4)], &[("a", Factor::HALF), ("c", tenth)]);
    renamed.factors.remove("b");
    let covered = run(&mut database, ALL, &renamed, async |_| {}).await;
    let after = costs(&mut database).await;
    let is_of = |upstream: &str, record: &&Arc<RequestRecord>| record.upstream.as_deref() == Some(upstream);
    for record in records.iter().filter(|record| is_of("b", record)) {
        assert_eq!(after[&record.request_id], before[&record.request_id], "{record:?}");
    }
    let has_changed = |record: &&Arc<RequestRecord>| after[&record.request_id] != before[&record.request_id];
    assert!(records.iter().filter(|record| is_of("a", record)).any(|record| has_changed(&record)));
    let is_used = |record: &&Arc<RequestRecord>| record.answer.as_ref().is_some_and(|answer| answer.tokens.is_some());
    let left = records.iter().filter(|record| is_of("b", record) && is_used(record)).count() as u64;
    assert_eq!((covered.left, covered.left_upstreams), (left, ["b".to_owned()].into()));
    assert_eq!(sums(&mut database).await, sums_of(&records, &after));
}

#[tokio::test]
async fn no_row_behind_the_last_one_that_is_asked_for_is_looked_at() {
    let store = TestStore::new().await;
    let (mut database, _) = log(&store, 100, &Tariff::default(), &CLASSES).await;
    let batch = database.recost(&all_of(1..=40), ALL, &tariff(&[("*", 1)], &[])).await.expect("made anew");
    assert_eq!(batch.last, Some(40));
    let batch = database.recost(&all_of(101..=200), ALL, &tariff(&[("*", 1)], &[])).await.expect("made anew");
    assert_eq!(batch, Batch::default());
}

#[tokio::test]
async fn only_the_rows_of_the_time_that_is_asked_for_change() {
    let store = TestStore::new().await;
    let (mut database, records) = log(&store, 600, &Tariff::default(), &CLASSES).await;
    let at = |seconds: u64| i64::try_from((BEGIN + seconds) * 1_000).expect("a time");
    let span = Span { from_ms: at(DAY), to_ms: at(2 * DAY) };
    assert!(database.rows_within(Span { from_ms: at(9 * DAY), to_ms: i64::MAX }).await.expect("read").is_none());
    let covered = run(&mut database, span, &tariff(&[("*", 1)], &[]), async |_| {}).await;
    let costs = costs(&mut database).await;
    assert_eq!(sums(&mut database).await, sums_of(&records, &costs));
    let mut priced = 0;
    for record in &records {
        let ms = crate::store::columns::millis(record.started_at);
        let is_used = record.answer.as_ref().is_some_and(|answer| answer.tokens.is_some());
        assert_eq!(costs[&record.request_id].is_some(), is_used && (span.from_ms..span.to_ms).contains(&ms));
        priced += u64::from(costs[&record.request_id].is_some());
    }
    assert_eq!((covered.changed, covered.unpriced), (priced, 0));
    assert!(covered.time.is_some_and(|(first, last)| first >= span.from_ms && last < span.to_ms));
}

#[tokio::test]
async fn rows_of_earlier_versions_and_sums_that_are_gone_are_no_obstacle() {
    let store = TestStore::in_file();
    let (mut database, records) = log(&store, 900, &Tariff::default(), &[None]).await;
    for sql in [
        // Rows did not say under which name they are summed up, quarters are those of hours, and minutes are gone.
        "UPDATE requests SET model_label = NULL",
        "DELETE FROM rollups WHERE span_s IN (60, 900)",
        "INSERT INTO rollups SELECT 900, at_s, upstream, model, path, key_fingerprint, outcome, status, '', '', requests, \
         attempts, duration_ms, first_bytes, first_byte_ms, first_tokens, first_token_ms, request_bytes, response_bytes, input_tokens, \
         output_tokens, cache_write_tokens, cache_read_tokens, cost_nano, unpriced, tool_uses, estimated, \
         estimated_output_tokens FROM rollups WHERE span_s = 3600",
    ] {
        Text::new(sql).execute(database.on()).await.expect("as it was");
    }
    run(&mut database, ALL, &tariff(&[("m-a", 3), ("m-b", 2)], &[]), async |database| {
        let sql =
            "SELECT COALESCE(SUM(cost_nano), 0), SUM(input_tokens IS NOT NULL AND cost_nano IS NULL) FROM requests";
        let two = |row: &Row| [0, 1].map(|place: usize| row.try_get::<i64, _>(place).expect("a sum"));
        let of_rows = two(&read(database, sql).await[0]);
        for span in [QUARTER, HOUR, 86_400] {
            let sql = format!("SELECT SUM(cost_nano), SUM(unpriced) FROM rollups WHERE span_s = {span}");
            assert_eq!(two(&read(database, &sql).await[0]), of_rows, "over {span} s");
        }
    })
    .await;
    let minutes = read(&mut database, "SELECT COUNT(*) FROM rollups WHERE span_s = 60").await[0]
        .try_get::<i64, _>(0)
        .expect("a count");
    assert_eq!((minutes, records.len()), (0, 900), "none is made anew");
}

/// Prices that stay.
struct Fixed(Tariff);

impl Watch for Fixed {
    fn tariff(&self) -> Tariff {
        self.0.clone()
    }

    fn is_ending(&self) -> bool {
        false
    }
}

async fn wait_for(recosts: &Recosts, is_there: impl Fn(&Progress) -> bool) -> Progress {
    let looking = async {
        loop {
            match recosts.progress().filter(|progress| is_there(progress)) {
                Some(progress) => return progress,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("it gets there")
}

#[tokio::test]
async fn rows_that_another_gateway_was_writing_are_found_by_the_last_look_and_the_others_count_once() {
    let Some(store) = TestStore::in_postgres().await else { return };
    let (mut database, records) = log(&store, 600, &Tariff::default(), &CLASSES).await;
    let mut other = store.open().await;
    for sql in [
        "CREATE TABLE held AS SELECT * FROM requests WHERE seq < 20 OR seq BETWEEN 300 AND 349",
        "DELETE FROM requests WHERE seq IN (SELECT seq FROM held)",
        "BEGIN",
        "INSERT INTO requests SELECT * FROM held",
    ] {
        Text::new(sql).execute(other.on()).await.expect("done");
    }
    let used = "SELECT COUNT(*) FROM requests WHERE input_tokens IS NOT NULL";
    let count = async |database: &mut Database| {
        let count: i64 = read(database, used).await[0].try_get(0).expect("a count");
        u64::try_from(count).expect("a count")
    };
    let (seen, all) = (count(&mut database).await, count(&mut other).await);
    assert!(seen < all, "{seen} of {all}");
    let recosts = Recosts::new(&store.store, Arc::new(Fixed(tariff(&[("*", 1)], &[]))));
    recosts.begin(0, None).expect("begun");
    wait_for(&recosts, |progress| progress.rows == seen).await;
    Text::new("COMMIT").execute(other.on()).await.expect("written");
    let progress = wait_for(&recosts, |progress| progress.state != State::Running).await;
    assert_eq!((progress.state, progress.rows, progress.changed), (State::Done, all, all), "{progress:?}");
    let costs = costs(&mut database).await;
    assert_eq!(sums(&mut database).await, sums_of(&records, &costs));
}
