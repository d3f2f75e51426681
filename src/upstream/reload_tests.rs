use super::*;
use crate::config::{Arguments, load};

fn config(yaml: &str) -> Config {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), yaml).expect("written");
    let arguments = Arguments { file: Some(file.path().display().to_string()), overrides: Vec::new() };
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
            before.group_key == after.group_key,
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
    let mut groups = [before[0].group_key, before[1].group_key, after[0].group_key];
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
