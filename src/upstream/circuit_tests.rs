use super::*;
use crate::config::health::ProbeSettings;

const CALL: Failure = Failure::Answer;

fn circuit() -> Circuit {
    Circuit::new(HealthSettings {
        failures: 3,
        error_rate_percent: 50,
        window: Duration::from_secs(10),
        min_requests: 10,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(4),
        probe: ProbeSettings {
            path: None,
            method: http::Method::GET,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            status: Default::default(),
        },
    })
}

impl Circuit {
    /// A request of this session that begins and fails now.
    fn fail(&self, failure: Failure, session: u64, now_ms: u64) -> Option<u64> {
        self.failed(failure, session, now_ms, now_ms).map(millis)
    }

    /// One that begins and goes well now.
    fn succeed(&self, now_ms: u64) -> bool {
        self.succeeded(now_ms, now_ms)
    }

    /// Opens it by three failures at this time; when its pause is over.
    fn opened(&self, failure: Failure, now_ms: u64) -> u64 {
        assert_eq!((self.fail(failure, 1, now_ms), self.fail(failure, 1, now_ms)), (None, None));
        now_ms + self.fail(failure, 1, now_ms).expect("the third in a row opens it") + 1
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_trial_closes_it() {
    let circuit = circuit();
    assert_eq!((circuit.fail(CALL, 1, 1), circuit.fail(CALL, 1, 2)), (None, None));
    circuit.succeed(3);
    assert_eq!((circuit.fail(CALL, 1, 4), circuit.fail(CALL, 1, 5)), (None, None), "a success in between counts");
    let pause = circuit.fail(CALL, 1, 6).expect("the third in a row opens it");
    assert!((800..=1200).contains(&pause), "{pause:?}");
    assert!(!circuit.is_ready(7) && matches!(circuit.state(7), State::Open(_)));
    assert_eq!(circuit.fail(CALL, 1, 8), None, "it is open already");
    assert!(!circuit.succeed(9), "an answer during the pause does not close it");

    let later = 7 + pause;
    assert_eq!(circuit.state(later), State::HalfOpen);
    assert!(circuit.is_ready(later) && circuit.take_trial(later).is_some());
    assert!(!circuit.is_ready(later) && circuit.take_trial(later).is_none(), "one trial at a time");
    assert!(circuit.succeed(later));
    assert_eq!(circuit.state(later), State::Closed);
}

#[test]
fn pauses_grow_to_their_limit() {
    let circuit = circuit();
    let mut now = 1;
    (0..2).for_each(|_| assert_eq!(circuit.fail(CALL, 1, now), None));
    let mut trial = None;
    for expected in [1000, 2000, 4000, 4000] {
        let pause = circuit.fail(CALL, 1, now).expect("it opens");
        assert!((expected * 8 / 10..=expected * 12 / 10).contains(&pause), "{pause} is not about {expected}");
        now += pause + 1;
        trial = circuit.take_trial(now);
    }
    circuit.end_trial(trial.expect("a trial"));
    assert!(circuit.is_ready(now), "a trial that came to nothing leaves room for the next");
    circuit.close();
    assert_eq!(circuit.state(now), State::Closed);
}

#[test]
fn a_trial_that_answers_keeps_others_out_for_one_pause_only() {
    let circuit = circuit();
    let now = circuit.opened(CALL, 1);
    let first = circuit.take_trial(now).expect("a trial");
    let first = circuit.trial_answers(first, now + 500);
    assert!(!circuit.is_ready(now + 1499));
    let second = circuit.take_trial(now + 1500).expect("a further trial while the first one is answered");
    circuit.end_trial(first);
    assert!(!circuit.is_ready(now + 1501), "the end of the first one is not the second one's");
    circuit.end_trial(second);
    assert!(circuit.is_ready(now + 1501));
}

#[test]
fn what_began_before_it_opened_says_nothing_new() {
    let circuit = circuit();
    let now = circuit.opened(CALL, 100);
    assert!(!circuit.succeeded(50, now), "a long answer that began before");
    assert_eq!(circuit.state(now), State::HalfOpen);
    assert_eq!(circuit.failed(CALL, 1, 50, now), None);
    assert_eq!(circuit.state(now), State::HalfOpen, "nor does a late failure make the pause longer");
    assert!(circuit.succeeded(100, now), "a request that was sent there although it was open");
    assert_eq!(circuit.failed(CALL, 1, 99, now), None);
    assert_eq!(circuit.failures_in_a_row(), 0);
}

#[test]
fn what_is_no_model_call_closes_it_only_if_nothing_but_connections_failed() {
    let circuit = circuit();
    assert_eq!(circuit.fail(CALL, 1, 1), None);
    circuit.reached(2, 2);
    assert_eq!(circuit.failures_in_a_row(), 1, "an answer to something else is no success in between");
    circuit.succeed(3);

    let now = circuit.opened(Failure::Connection { is_call: true }, 4);
    assert!(circuit.reached(now, now) && circuit.state(now) == State::Closed, "the connection is there again");
    let now = circuit.opened(CALL, now + 1);
    assert!(!circuit.reached(now, now) && circuit.state(now) == State::HalfOpen);
    assert!(circuit.succeed(now));
}

#[test]
fn refusals_count_once_a_second_session_fails() {
    let circuit = circuit();
    for at in 0..20 {
        assert_eq!(circuit.fail(Failure::Refusal, 7, at), None, "one session may be at fault itself");
    }
    assert_eq!(circuit.failures_in_a_row(), 0);
    assert!(circuit.fail(Failure::Refusal, 8, 20).is_some());
    circuit.close();
    assert_eq!(circuit.fail(Failure::Refusal, 0, 21), None);
    circuit.succeed(22);
    for at in 23..40 {
        assert_eq!(circuit.fail(Failure::Refusal, 7, at), None, "after a success it begins anew");
    }
    assert!(circuit.fail(CALL, 8, 40).is_some(), "a failure of any kind is a second session's");
}

#[test]
fn a_refused_trial_decides_nothing() {
    let circuit = circuit();
    let now = circuit.opened(CALL, 1);
    assert_eq!(circuit.fail(Failure::Refusal, 1, now), None);
    assert_eq!(circuit.state(now), State::HalfOpen);
    assert!(circuit.fail(Failure::Refusal, 2, now).is_some(), "a second session's does");
}

#[test]
fn a_high_share_of_failures_opens_it_too() {
    let circuit = circuit();
    for at in 0..6 {
        circuit.succeed(at);
        for _ in 0..9 {
            circuit.reached(at, at);
        }
        assert_eq!(circuit.fail(CALL, 1, at).is_some(), at == 4, "{at}: the tenth request, half of them failed");
    }
}

#[test]
fn a_pause_that_was_asked_for_is_kept() {
    let circuit = circuit();
    circuit.hold(Duration::from_secs(30), 100);
    assert_eq!(circuit.state(100), State::Open(30_000));
    assert_eq!(circuit.state(30_100), State::Closed);
    circuit.hold(Duration::from_secs(99_999), 100);
    assert_eq!(circuit.state(100), State::Open(millis(LONGEST_RETRY_AFTER)), "but not for ever");
}
