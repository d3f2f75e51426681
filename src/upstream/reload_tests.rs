use super::*;
use crate::config::{Arguments, load};

fn config(yaml: &str) -> Config {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), yaml).expect("written");
    let arguments = Arguments { file: Some(file.path().display().to_string()), ..Arguments::default() };
    load(&arguments, &|_| None).expect("valid").config
}

fn with(entry: &str, rest: &str) -> Config {
    config(&format!(
        "gateway:\n  upstreams:\n    - {{name: a, base_url: \"http://127.0.0.1:1\"{entry}}}\n    - {{name: b, base_url: \"http://127.0.0.1:2\"}}\n{rest}"
    ))
}

#[test]
fn upstreams_that_did_not_change_are_the_same_ones() {
    let before = prepare(&with("", ""), &[]).expect("prepared");
    let after = prepare(&with("", "  limits: {request_body: 1MiB}\n"), &before).expect("prepared");
    assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
    let after = prepare(&with(", weight: 2", ""), &before).expect("prepared");
    assert!(!Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
    assert_eq!(after[0].config.weight, 2);
}

#[test]
fn what_a_change_does_not_touch_is_kept() {
    let before = prepare(&with("", ""), &[]).expect("prepared");
    let same = |after: &Upstream| {
        let before = &before[0];
        (
            Arc::ptr_eq(&before.circuit, &after.circuit),
            Arc::ptr_eq(&before.slots, &after.slots),
            Arc::ptr_eq(&before.stats, &after.stats),
            before.lines.at(0).group_key == after.lines.at(0).group_key,
        )
    };
    for (entry, rest, expected) in [
        (", weight: 2, profile: anyrouter", "", (true, true, true, true)),
        (", max_in_flight: 3", "", (true, false, true, true)),
        (", insecure: true", "", (true, true, true, false)),
        (", proxy: \"socks5://127.0.0.1:3\"", "", (false, false, false, false)),
        ("", "  health: {failures: 9}\n", (false, true, true, true)),
        ("", "  limits: {queue: 9}\n", (true, false, true, true)),
        ("", "  dns: {servers: 127.0.0.1}\n", (true, true, true, false)),
        ("", "  timeouts: {connect: 3s}\n", (true, true, true, false)),
        ("", "  timeouts: {write: 3s}\n", (true, true, true, true)),
    ] {
        let after = prepare(&with(entry, rest), &before).expect("prepared");
        assert_eq!(same(&after[0]), expected, "{entry}{rest}");
    }
}

#[test]
fn every_set_of_connections_has_a_group_of_its_own() {
    let before = prepare(&with("", ""), &[]).expect("prepared");
    let after = prepare(&with(", insecure: true", ""), &before).expect("prepared");
    let mut groups = [&before[0], &before[1], &after[0]].map(|upstream| upstream.lines.at(0).group_key);
    groups.sort_unstable();
    assert!(groups.windows(2).all(|pair| pair[0] < pair[1]), "{groups:?}");
}

#[test]
fn one_that_was_taken_out_of_service_stays_out() {
    let before = prepare(&with("", ""), &[]).expect("prepared");
    before[0].drain(true);
    for (entry, rest) in [(", weight: 2", ""), (", insecure: true", ""), ("", "  health: {failures: 9}\n")] {
        let after = prepare(&with(entry, rest), &before).expect("prepared");
        assert!(after[0].is_drained() && !after[1].is_drained(), "{entry}{rest}");
    }
}

#[test]
fn what_is_known_of_a_line_stays_true_as_long_as_it_is_there() {
    let lines = |lines: &str| with(&format!(", lines: [{lines}]"), "");
    let before = prepare(&lines("\"127.0.0.1:3\", \"127.0.0.1:4\""), &[]).expect("prepared");
    let authorities = |of: &Upstream| of.lines.iter().map(|line| line.authority().to_owned()).collect::<Vec<_>>();
    assert_eq!(authorities(&before[0]), ["127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:4"]);
    let mut groups: Vec<u64> = before[0].lines.iter().map(|line| line.group_key).collect();
    groups.dedup();
    assert_eq!(groups.len(), 3, "each has connections of its own");
    for (line, millis) in before[0].lines.iter().zip([30, 10, 20]) {
        for _ in 0..3 {
            line.times.probed(Duration::from_millis(millis));
        }
    }
    before[0].lines.compare("a", 1);
    assert_eq!((before[0].lines.used().authority(), before[1].lines.are_several()), ("127.0.0.1:3", false));
    let after = prepare(&lines("\"127.0.0.1:5\", \"127.0.0.1:3\""), &before).expect("prepared");
    assert_eq!(after[0].lines.used().authority(), "127.0.0.1:3", "the line in use stays the same one");
    assert!(!after[0].lines.are_compared(), "one of them is new");
    assert!(Arc::ptr_eq(&before[0].lines.at(1).times, &after[0].lines.at(2).times));
    assert_eq!(before[0].lines.at(1).group_key, after[0].lines.at(2).group_key);
    let without = prepare(&with("", ""), &after).expect("prepared");
    assert_eq!((without[0].lines.used().authority(), without[0].lines.are_several()), ("127.0.0.1:1", false));
}

#[test]
fn a_request_takes_the_line_in_use_unless_that_fails() {
    let upstreams = prepare(&with(", lines: [\"127.0.0.1:3\", \"127.0.0.1:4\"]", ""), &[]).expect("prepared");
    let upstream = &upstreams[0];
    let mut tried = lines::Tried::default();
    assert_eq!(upstream.lines.next(tried), Some(0));
    for (line, millis) in upstream.lines.iter().zip([10, 30, 20]) {
        line.times.probed(Duration::from_millis(millis));
    }
    tried.add(0);
    assert_eq!(upstream.lines.next(tried), Some(2), "the fastest of the others");
    tried.add(2);
    assert_eq!(upstream.lines.next(tried), Some(1));
    tried.add(1);
    assert_eq!(upstream.lines.next(tried), None, "each line once");
    let refused = || gateway_core::record::fault::UpstreamFault::ConnectRefused;
    upstream.lines.at(0).times.failed(refused());
    assert_eq!(upstream.lines.next(lines::Tried::default()), Some(2), "others avoid it");
    upstream.lines.iter().for_each(|line| line.times.failed(refused()));
    assert_eq!(upstream.lines.next(lines::Tried::default()), Some(0), "all fail");
    upstream.lines.at(0).times.probed(Duration::from_millis(10));
    assert_eq!(upstream.lines.next(lines::Tried::default()), Some(0));
}

#[test]
fn a_draft_says_nothing_of_balances_until_it_is_in_force() {
    use super::key_balance::Reading;
    use gateway_core::balance::{Balance, Level};
    let route = "  routes: [{keys: sk-client, upstreams: [a, b]}]\n";
    let entry = |balance: &str| with(&format!(", api_key: sk-1{balance}"), route);
    let before = prepare(&entry(", balance: {kind: new-api, rest_below: 1}"), &[]).expect("prepared");
    let state = &before[0].keys.all()[0].state;
    let left = Balance { remaining: Some(0.0), used: None, unit: String::new(), reset_at: None };
    let read = Reading { found: Ok(left), rest_below: Some(1.0), next_ms: 60_000, wishes: 0 };
    assert_eq!(state.learn_balance(read, 1), Some((Level::UsedUp, true)));
    let other = prepare(&entry(", balance: {kind: new-api, rest_below: 9}"), &before).expect("prepared");
    let without = prepare(&entry(""), &before).expect("prepared");
    assert_eq!((state.state(2), state.balance.is_due(2)), (key_state::State::Resting(59_998), false));
    other[0].put_in_force(&before[0]);
    assert_eq!((state.state(2), state.balance.is_due(2)), (key_state::State::Resting(1_000), true));
    without[0].put_in_force(&before[0]);
    assert_eq!(state.state(2), key_state::State::Ready);
}
