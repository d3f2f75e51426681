//! What the limits of a team take of a request's time: `cargo bench --bench limits`.
//!
//! 10,000 tokens of 2,000 users in 100 groups; each of these has a rate, places, and three windows: 15 limits a request. Each
//! request is of another token than the one before, so that nothing of it is in the processor's caches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use gateway_core::team::admission::{Holdings, Subjects, admit};
use gateway_core::team::estimate::{Estimates, Told};
use gateway_core::team::found;
use gateway_core::team::grant::Granted;
use gateway_core::team::rate::Rate;
use gateway_core::team::stock::Stock;
use gateway_core::team::{Amounts, Limit};
use gateway_core::usage::summary::Tokens;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TOKENS: usize = 10_000;
const LOTS: i64 = 1_000_000_000_000_000_000;

struct Token {
    subjects: Subjects,
    estimates: Estimates,
}

fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

fn stock(text: &str) -> Arc<Stock> {
    let stock = Stock::new(limit(text), 1);
    let granted = Granted { granted: LOTS, unspent: LOTS, has_more: true, ..Granted::default() };
    stock.fill(&granted, Duration::MAX);
    Arc::new(stock)
}

fn holdings() -> Arc<Holdings> {
    let rate = Rate::new(limit("requests:minute:60"), 1);
    // So many that the same token may come again and again.
    rate.set(60_000_000_000, LOTS, Duration::ZERO, Duration::MAX);
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
    let tokens = Tokens { input: 10, output: 700, cache_write: 2_290, cache_write_1h: 0, cache_read: 30_000 };
    token.estimates.learn(&Told { model: "claude-opus-5-5", body_bytes: 120_000, tokens: &tokens }, &used);
    admission.settle(black_box(&used), |_| ());
}

/// A token after the other, far from each other; and a time that goes on.
fn next<'t>(tokens: &'t [Token], at: &mut usize) -> (&'t Token, Duration) {
    *at += 7_919;
    (&tokens[*at % tokens.len()], Duration::from_micros(*at as u64))
}

fn limits(criterion: &mut Criterion) {
    let tokens = tokens();
    let mut at = 0;
    let mut one_of = |name: &str, tokens: &[Token]| {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (token, now) = next(tokens, &mut at);
                request(token, now);
            })
        });
    };
    one_of("15 limits of one token", &tokens[..1]);
    one_of("15 limits of one of 10,000 tokens", &tokens);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 1;
            while !is_over.load(Ordering::Relaxed) {
                let (token, now) = next(&tokens, &mut at);
                request(token, now);
            }
        });
        one_of("15 limits of one of 10,000 tokens, while another thread does the same", &tokens);
        is_over.store(true, Ordering::Relaxed);
    });
    let too_much = Amounts { usd: 1, tokens: u64::MAX, requests: 1 };
    criterion.bench_function("a refusal by one of 15 limits", |bencher| {
        bencher.iter(|| {
            let (token, now) = next(&tokens, &mut at);
            black_box(admit(token.subjects.clone(), &too_much, now).is_err())
        })
    });
}

/// What each request pays once there are tokens: its body is looked through for one.
fn exposure(criterion: &mut Criterion) {
    let message =
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"fn main() { println!(\\\"hello\\\"); }\\n\"}]},";
    let text = message.repeat(54 * 1024 / message.len());
    let random: Vec<u8> =
        (0..5 * 1024 * 1024_u32).map(|at| (xxhash_rust::xxh3::xxh3_64(&at.to_le_bytes()) & 0xff) as u8).collect();
    let image = STANDARD.encode(random);
    // Each of these begins with what may be a token, and is none.
    let [coded, plain] = ["Fnd1", "agw_"].map(|beginning| beginning.repeat(32 * 1024 * 1024 / beginning.len()));
    for (name, text) in [
        ("54 KiB of code", &text),
        ("7 MB of an image in Base64", &image),
        ("32 MiB of nothing but beginnings in Base64", &coded),
        ("32 MiB of nothing but beginnings", &plain),
    ] {
        criterion.bench_function(&format!("looking for tokens in {name}"), |bencher| {
            bencher.iter(|| black_box(found::find(text.as_bytes()).count()))
        });
    }
}

criterion_group!(benches, limits, exposure);
criterion_main!(benches);
