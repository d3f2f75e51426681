use super::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

fn seen(time: f64, good: u32, bad: u32) -> Seen {
    Seen { time: (time > 0.0).then_some(time), ends: Counts { good, bad } }
}

fn shares(seen: &[Seen]) -> Vec<f64> {
    targets(seen).iter().map(|target| (target.share * 100.0).round() / 100.0).collect()
}

#[test]
fn who_takes_twice_as_long_gets_a_quarter_and_nobody_gets_nothing() {
    assert_eq!(shares(&[seen(1.0, 9, 0), seen(2.0, 9, 0), seen(100.0, 9, 0)]), [1.0, 0.25, 0.05]);
    assert_eq!(shares(&[seen(0.0, 0, 0), seen(0.0, 0, 0)]), [1.0, 1.0], "nothing is known");
    assert_eq!(shares(&[seen(0.7, 9, 0), seen(1.4, 9, 0), seen(0.0, 0, 0)]), [1.0, 0.25, 1.0], "nor of the third");
}

#[test]
fn failures_count_by_their_share_and_few_count_little() {
    assert_eq!(shares(&[seen(0.0, 50, 0), seen(0.0, 40, 10)]), [1.0, 0.36]);
    assert_eq!(shares(&[seen(0.0, 50, 0), seen(0.0, 0, 50)]), [1.0, 0.05]);
    assert_eq!(shares(&[seen(0.0, 50, 0), seen(0.0, 1, 1)]), [1.0, 0.56], "two requests");
    assert_eq!(shares(&[seen(0.0, 40, 10), seen(0.0, 40, 10)]), [1.0, 1.0], "all fail alike");
    assert_eq!(shares(&[seen(1.0, 40, 10), seen(2.0, 50, 0)]), [0.36, 0.25], "fast and failing, slow and sound");
}

fn target(share: f64, is_measured: bool) -> Target {
    Target { share, is_measured }
}

#[test]
fn a_share_changes_by_a_half_at_most_and_only_after_a_minute_without_a_break() {
    let mut choice = ShareChoice::default();
    let low = target(0.05, true);
    assert_eq!(choice.look(low, 0), 1.0);
    assert_eq!(choice.look(low, 50 * SECOND), 1.0);
    assert_eq!(choice.look(target(0.9, true), 55 * SECOND), 1.0, "that is as good");
    assert_eq!(choice.look(low, MINUTE), 1.0, "the minute begins anew");
    assert_eq!(choice.look(low, 2 * MINUTE), 0.5);
    assert_eq!(choice.look(low, 2 * MINUTE + SECOND), 0.5);
    assert_eq!(choice.look(low, 3 * MINUTE + SECOND), 0.25);
    assert_eq!(choice.look(target(1.0, true), 3 * MINUTE + 2 * SECOND), 0.25);
    assert_eq!(choice.look(target(1.0, true), 4 * MINUTE + 2 * SECOND), 0.5);
    assert_eq!(choice.look(low, 4 * MINUTE + 3 * SECOND), 0.5);
    assert_eq!(choice.look(target(1.0, true), 5 * MINUTE + SECOND), 0.5, "to and fro is nothing");
}

#[test]
fn all_of_the_weight_comes_back_and_what_is_forgotten_comes_back_slowly() {
    let mut choice = ShareChoice { share: 0.9, leaning: None };
    choice.look(target(1.0, true), 0);
    assert_eq!(choice.look(target(1.0, true), MINUTE), 1.0);
    let mut choice = ShareChoice { share: 0.25, leaning: None };
    let unknown = target(1.0, false);
    choice.look(unknown, 0);
    assert_eq!(choice.look(unknown, 4 * MINUTE), 0.25);
    assert_eq!(choice.look(unknown, 5 * MINUTE), 0.5);
    choice.look(unknown, 5 * MINUTE + 1);
    assert_eq!(choice.look(unknown, 10 * MINUTE + 1), 1.0);
}
