use super::super::line_times::LineTimes;
use super::*;
use gateway_core::record::fault::UpstreamFault;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// As often as the gateway probes.
const EVERY: u64 = 15 * SECOND;

fn seen(times: &[u64]) -> Vec<Seen> {
    let one = |&time: &u64| Seen { time: (time > 0).then(|| Duration::from_millis(time)), is_down: time == 0 };
    times.iter().map(one).collect()
}

#[test]
fn the_first_choice_is_the_fastest_line_whatever_the_margin() {
    let mut choice = LineChoice::new(3, 0);
    assert_eq!(choice.look(&seen(&[0, 0, 0]), 0), 0, "nothing is known, so nothing changes");
    assert!(!choice.is_made());
    assert_eq!(choice.look(&seen(&[100, 95, 110]), 1), 1);
    assert!(choice.is_made());
    assert_eq!(choice.look(&seen(&[90, 95, 110]), 2), 1, "from then on a little is not enough");
}

#[test]
fn a_faster_line_is_used_after_five_minutes_without_a_break() {
    let mut choice = LineChoice::new(2, 0);
    choice.look(&seen(&[100, 120]), 0);
    for minute in 1..=4 {
        assert_eq!(choice.look(&seen(&[100, 80]), minute * MINUTE), 0);
    }
    assert_eq!(choice.look(&seen(&[100, 81]), 5 * MINUTE), 0, "not faster by a fifth");
    for minute in 6..=10 {
        assert_eq!(choice.look(&seen(&[100, 80]), minute * MINUTE), 0, "the time begins anew");
    }
    assert_eq!(choice.look(&seen(&[100, 80]), 11 * MINUTE), 1);
    assert_eq!(choice.look(&seen(&[10, 80]), 12 * MINUTE), 1, "and for the way back as well");
}

#[test]
fn a_line_that_is_down_is_left_at_once_and_none_is_left_for_another_that_is_down() {
    let mut choice = LineChoice::new(3, 0);
    choice.look(&seen(&[50, 100, 200]), 0);
    assert_eq!(choice.look(&seen(&[0, 0, 0]), SECOND), 0, "where all are down, nothing changes");
    assert_eq!(choice.look(&seen(&[0, 0, 200]), 2 * SECOND), 2);
    assert_eq!(choice.look(&seen(&[0, 100, 200]), 3 * SECOND), 2);
}

/// Ten minutes and more of three lines with noise. Each probe takes what `time` says of line, moment and a noise from 0
/// to 1; `None` fails. Returns when which line was chosen.
fn simulate(minutes: u64, time: impl Fn(usize, u64, f64) -> Option<f64>) -> Vec<(u64, usize)> {
    let mut random = fastrand::Rng::with_seed(7);
    let lines: [LineTimes; 3] = Default::default();
    let mut choice = LineChoice::new(lines.len(), 0);
    let mut changes = Vec::new();
    let (mut now, mut used) = (0, usize::MAX);
    while now <= minutes * MINUTE {
        for (at, line) in lines.iter().enumerate() {
            match time(at, now, random.f64()) {
                Some(millis) => {
                    line.connected(Some(Duration::from_secs_f64(millis / 3000.0)), None);
                    line.probed(Duration::from_secs_f64(millis / 1500.0));
                }
                None => line.failed(UpstreamFault::ConnectRefused),
            }
        }
        if choice.is_made() || lines.iter().all(LineTimes::is_known) {
            let seen: Vec<Seen> =
                lines.iter().map(|line| Seen { time: line.counted(), is_down: line.is_down() }).collect();
            let line = choice.look(&seen, now);
            if line != used {
                used = line;
                changes.push((now, line));
            }
        }
        now += if choice.is_made() { EVERY } else { 2 * SECOND };
    }
    changes
}

#[test]
fn ten_minutes_of_noise_change_nothing() {
    // Times that differ by a tenth, with noise of half of them in each direction, and a spike now and then.
    let noisy = |base: f64, noise: f64| if noise > 0.97 { base * 20.0 } else { base * (0.5 + noise) };
    let changes = simulate(10, |line, _, noise| Some(noisy([60.0, 50.0, 55.0][line], noise)));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].0 < 60 * SECOND, "the first choice is made within a minute: {changes:?}");
}

#[test]
fn a_probe_that_fails_now_and_then_changes_nothing_either() {
    let changes =
        simulate(10, |line, _, noise| (noise < 0.95).then_some([40.0, 60.0, 60.0][line] * (0.8 + noise / 3.0)));
    assert_eq!(changes.iter().map(|(_, line)| *line).collect::<Vec<_>>(), [0], "{changes:?}");
}

#[test]
fn a_line_that_becomes_slow_is_left_once_and_late_enough() {
    let slow_from = 2 * MINUTE;
    let changes = simulate(20, |line, now, noise| {
        let base = if line == 0 && now >= slow_from { 200.0 } else { [40.0, 60.0, 70.0][line] };
        Some(base * (0.8 + noise * 0.4))
    });
    let [(first, 0), (second, left_for)] = changes[..] else { panic!("{changes:?}") };
    assert!(first < MINUTE && left_for != 0, "{changes:?}");
    let took = second - slow_from;
    assert!((5 * MINUTE..8 * MINUTE).contains(&took), "{took} ms");
}

#[test]
fn a_line_that_dies_is_left_by_the_second_probe_and_comes_back_once() {
    let dead = 3 * MINUTE..5 * MINUTE;
    let changes = simulate(20, |line, now, noise| {
        (line != 0 || !dead.contains(&now)).then_some([40.0, 80.0, 90.0][line] * (0.8 + noise * 0.4))
    });
    let [(_, 0), (left, 1), (back, 0)] = changes[..] else { panic!("{changes:?}") };
    assert!((dead.start..=dead.start + 2 * EVERY).contains(&left), "{changes:?}");
    assert!(back >= dead.end + 5 * MINUTE, "{changes:?}");
}
