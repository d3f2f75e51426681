//! The rule engine alone, on the 54 KB fixture: `cargo bench --bench rules`.

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_core::prompt_shape::PromptShape;
use gateway_core::rules::body::{BodyAction, Mode, System, Target};
use gateway_core::rules::document::Document;
use gateway_core::rules::glob::Glob;
use gateway_core::rules::header::{CasedName, HeaderOp};
use gateway_core::rules::matcher::{Condition, Facts, Matcher, TextTest};
use gateway_core::rules::plan::Body;
use gateway_core::rules::rule::{Rule, RuleSet};
use gateway_core::rules::template::Template;
use gateway_core::thinking::{Presence, prefix_digest, presence};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::hint::black_box;
use std::sync::Arc;

const BODY: &[u8] = include_bytes!("../tests/fixtures/sdk-cli-2.1.330-turn1.json");

/// 50 rules, the first `matching` of which are for the request.
fn fifty_rules(matching: usize, with_body: bool) -> RuleSet {
    let rule = |index: usize| {
        let path = if index < matching { "/v1/*".to_owned() } else { format!("/other/{index}/*") };
        let name = CasedName::new(&format!("X-Bench-{index}")).expect("a name");
        let value = Template::parse("a value ${request.id}", &|_| None).expect("a template");
        let system =
            System::new(Mode::Replace, Target::First, "You are Claude Code, Anthropic's official CLI for Claude.");
        Rule {
            name: format!("rule-{index}").into(),
            matcher: Matcher(vec![
                Condition::Method(vec!["POST".to_owned()]),
                Condition::Path(vec![TextTest::Glob(Glob::new(&path))]),
            ]),
            headers: vec![HeaderOp::Set(name, value)],
            body: if with_body && index == 0 { vec![BodyAction::System(system)] } else { Vec::new() },
            ..Rule::default()
        }
    };
    RuleSet::new((0..50).map(rule).map(Arc::new).collect())
}

fn rules(criterion: &mut Criterion) {
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-app"), HeaderValue::from_static("cli"))]);
    let facts = Facts {
        method: "POST",
        target: b"/v1/messages?beta=true",
        headers: &headers,
        client: None,
        request_id: "req_1",
        upstream: "a",
        model: None,
        holder: None,
    };
    let mut group = criterion.benchmark_group("rules");
    for (name, set) in [
        ("none", RuleSet::default()),
        ("50, 20 matching, heads only", fifty_rules(20, false)),
        ("50, 20 matching, one changes the body", fifty_rules(20, true)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(set.plan(black_box(&facts), body(BODY), None, Vec::with_capacity)));
        });
    }
    group.bench_function("check the text", |bencher| {
        bencher.iter(|| black_box(Document::parse(black_box(BODY)).is_ok()))
    });
    group.finish();
}

fn body(bytes: &[u8]) -> Body<'_> {
    Body { bytes: Some(black_box(bytes)), ..Body::default() }
}

/// What the prefix guard adds to a request: the search for thinking that comes back; and where some does, one digest of
/// what a document that is there has for `system` and `tools`.
fn guard(criterion: &mut Criterion) {
    let messages = memchr::memmem::find(BODY, b"\"messages\":[").expect("messages") + 12;
    let turn = br#"{"role":"assistant","content":[{"type":"thinking","thinking":"so","signature":"Eq=="}]},"#;
    let back = [&BODY[..messages], turn, &BODY[messages..]].concat();
    let document = Document::parse(&back).expect("JSON");
    let mut group = criterion.benchmark_group("guard");
    group.bench_function("no thinking comes back", |bencher| {
        bencher.iter(|| assert_ne!(presence(black_box(BODY)), Presence::Back));
    });
    group.bench_function("thinking comes back", |bencher| {
        bencher.iter(|| {
            assert_eq!(presence(black_box(&back)), Presence::Back);
            prefix_digest(black_box(&document))
        });
    });
    group.finish();
}

/// What noting the shape of a request costs.
fn shape(criterion: &mut Criterion) {
    criterion.bench_function("shape of a prompt", |bencher| bencher.iter(|| PromptShape::of(black_box(BODY))));
}

criterion_group!(benches, rules, guard, shape);
criterion_main!(benches);
