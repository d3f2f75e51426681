//! What the limits of a team take of a request's time: `cargo bench --bench limits`.
//!
//! 10,000 tokens of 2,000 users in 100 groups; each of these has a rate, places, and three windows: 15 limits a request. Each
//! request is of another token than the one before, so that nothing of it is in the processor's caches.

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_core::team::admission::{Holdings, Subjects, admit};
use gateway_core::team::estimate::Estimates;
use gateway_core::team::grant::Granted;
use gateway_core::team::rate::Rate;
use gateway_core::team::stock::Stock;
use gateway_core::team::{Amounts, Limit};
use gateway_core::usage::summary::Tokens;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const TOKENS: usize = 10_000;
const LOTS: i64 = 1_000_000_000_000_000;

struct Token {
    subjects: Subjects,
    estimates: Estimates,
}

fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

fn stock(text: &str) -> Arc<Stock> {
    let stock = Stock::new(limit(text), 1);
    let granted = Granted { granted: LOTS, recalled: 0, unspent: LOTS, has_more: true };
    stock.fill(&granted, Duration::MAX);
    Arc::new(stock)
}

fn holdings() -> Arc<Holdings> {
    let rate = Rate::new(limit("requests:minute:60"), 1);
    // So many that the same token may come again and again.
    rate.set(60_000_000_000, 6_000_000_000, Duration::ZERO, Duration::MAX);
    let stocks = ["requests:now:8", "usd:day:5", "usd:month:50", "tokens:5h:2000000"];
    Arc::new(Holdings::new(Some(Arc::new(rate)), stocks.map(stock).into()))
}

fn tokens() -> Vec<Token> {
    let several = |count: usize| (0..count).map(|_| holdings()).collect::<Vec<_>>();
    let (users, groups) = (several(TOKENS / 5), several(100));
    let of = |at: usize| {
        let subjects = [Some(holdings()), Some(Arc::clone(&users[at / 5])), Some(Arc::clone(&groups[at % 100]))];
        Token { subjects, estimates: Estimates::default() }
    };
    (0..TOKENS).map(of).collect()
}

fn price(tokens: &Tokens) -> Option<u64> {
    Some(tokens.output * 25_000 + tokens.cache_write * 6_250 + tokens.cache_read * 500)
}

/// One request: its estimate, what it takes, and what it used.
fn request(token: &Token, now: Duration) {
    let likely = token.estimates.of("claude-opus-5-5", 120_000, price);
    let admission = admit(token.subjects.clone(), &likely, now).expect("room");
    let used = Amounts { usd: 40_000_000, tokens: 3_000, requests: 1 };
    token.estimates.learn("claude-opus-5-5", &used);
    admission.settle(black_box(&used));
}

fn limits(criterion: &mut Criterion) {
    let tokens = tokens();
    // A stride that visits all of them, far from each other.
    let mut at = 0;
    let mut next = || {
        at += 7_919;
        (&tokens[at % TOKENS], Duration::from_micros(at as u64))
    };
    criterion.bench_function("15 limits of one of 10,000 tokens", |bencher| {
        bencher.iter(|| {
            let (token, now) = next();
            request(token, now);
        })
    });
    criterion.bench_function("15 limits of one token", |bencher| bencher.iter(|| request(&tokens[0], Duration::ZERO)));
    criterion.bench_function("a refusal by the last of 15 limits", |bencher| {
        bencher.iter(|| {
            let (token, now) = next();
            let too_much = Amounts { usd: 1, tokens: u64::MAX, requests: 1 };
            black_box(admit(token.subjects.clone(), &too_much, now).is_err())
        })
    });
    two_threads(criterion, &tokens);
}

/// The same while another thread does so with the same users and groups.
fn two_threads(criterion: &mut Criterion, tokens: &[Token]) {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 1;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                at += 7_907;
                request(&tokens[at % TOKENS], Duration::from_micros(at as u64));
            }
        });
        let mut at = 0;
        criterion.bench_function("15 limits of one of 10,000 tokens, two threads", |bencher| {
            bencher.iter(|| {
                at += 7_919;
                request(&tokens[at % TOKENS], Duration::from_micros(at as u64));
            })
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

criterion_group!(benches, limits);
criterion_main!(benches);
