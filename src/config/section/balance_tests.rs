use super::*;
use crate::config::source::layers::{Places, parsed};
use crate::config::source::problem::Problem;

fn read_text(text: &str) -> Result<BalanceSource, Vec<Problem>> {
    let node = parsed(text).expect("YAML");
    let places = Places::file("gateway.yaml");
    let env = |name: &str| (name == "TOKEN").then(|| "access-token-1".to_owned());
    let mut problems = Vec::new();
    let source = {
        let mut reading = NodeReader::new(&places, &env, &mut problems);
        read(&mut reading, &node, "gateway.upstreams[0].balance")
    };
    source.ok_or(problems)
}

fn codes(text: &str) -> Vec<&'static str> {
    read_text(text).expect_err(text).iter().map(|problem| problem.what.code()).collect()
}

#[test]
fn known_kinds_need_nothing_but_their_name() {
    let source = read_text("{kind: new-api}").expect("a source");
    assert_eq!((source.interval, source.rest_below, &source.kind), (INTERVAL, None, &Kind::NewApi));
    let source = read_text("{kind: openai-billing, interval: 1h, rest_below: 0.5}").expect("a source");
    assert_eq!(source.shown(), "openai-billing interval=1h rest_below=0.5");
}

#[test]
fn a_request_of_the_operators_has_headers_in_which_the_key_stands() {
    let source = read_text(
        "{kind: custom, method: POST, path: '/api/left?all=1', remaining: /data/0/left, used: /data/0/used, \
         unit: /data/0/unit, reset: /data/0/reset, headers: {X-Key: 'k=${key};t=${env.TOKEN}', New-Api-User: 12}}",
    );
    let source = source.expect("a source");
    let Kind::Custom(custom) = &source.kind else { panic!("{source:?}") };
    assert_eq!((&custom.method, custom.path.as_str()), (&Method::POST, "/api/left?all=1"));
    let values: Vec<String> = custom.headers.iter().map(|(_, value)| value.with("sk-1")).collect();
    assert_eq!(values, ["k=sk-1;t=access-token-1", "12"]);
    assert_eq!((custom.headers[0].1.own(), custom.headers[1].1.own()), (None, Some("12")));
    assert!(custom.brings_credentials());
    assert_eq!(custom.pointers.unit, Unit::At("/data/0/unit".to_owned()));
    assert!(!source.shown().contains("access-token") && !format!("{source:?}").contains("access-token"));

    let plain = read_text("{kind: custom, path: /b, remaining: /left, unit: quota, headers: {Accept: a/b}}");
    let Ok(BalanceSource { kind: Kind::Custom(custom), .. }) = plain else { panic!("{plain:?}") };
    assert!(!custom.brings_credentials() && custom.pointers.unit == Unit::Is("quota".to_owned()));
}

#[test]
fn mistakes_are_told_where_they_are() {
    for (text, wanted) in [
        ("{interval: 10m}", &["balance_key_missing"][..]),
        ("{kind: newapi}", &["not_a_choice"]),
        ("{kind: new-api, path: /a, remaining: /b}", &["balance_only_custom", "balance_only_custom"]),
        ("{kind: custom}", &["balance_key_missing", "balance_key_missing"]),
        ("{kind: custom, path: a, remaining: left}", &["not_a_balance_path", "not_a_pointer"]),
        ("{kind: custom, path: /a, remaining: /b, unit: much-longer-than-any}", &["not_a_unit"]),
        ("{kind: custom, path: /a, remaining: /b, method: PUT}", &["not_a_choice"]),
        ("{kind: new-api, interval: 5s}", &["not_a_duration_within"]),
        ("{kind: new-api, interval: 2d}", &["not_a_duration_within"]),
        ("{kind: new-api, rest_below: -1}", &["not_an_amount"]),
        ("{kind: new-api, rest_below: .nan}", &["not_an_amount"]),
        ("{kind: new-api, rest: 1}", &["unknown_key"]),
        ("{kind: custom, path: /a, remaining: /b, headers: {Content-Length: 5}}", &["header_refused"]),
        ("{kind: custom, path: /a, remaining: /b, headers: {'a b': 5}}", &["not_a_header_name"]),
        ("{kind: custom, path: /a, remaining: /b, headers: {X-A: 5, x-a: 6}}", &["twice"]),
        ("{kind: custom, path: /a, remaining: /b, headers: {X-A: '${env.NONE}'}}", &["variable_not_set"]),
    ] {
        assert_eq!(codes(text), wanted, "{text}");
    }
}
