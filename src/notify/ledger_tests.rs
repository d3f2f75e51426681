use super::*;
use crate::config::notify_target::EventKind;
use gateway_core::language::Words;

const QUIET: Duration = Duration::from_secs(1800);

/// A ledger, and a clock that only a test moves.
struct Told {
    ledger: Ledger,
    now: SystemTime,
}

impl Told {
    fn new() -> Self {
        Self { ledger: Ledger::default(), now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) }
    }

    /// What is told so many seconds later, while these upstreams are down.
    fn after(&mut self, seconds: u64, down: &[&str]) -> Vec<EventKind> {
        let troubles = down.iter().map(|name| (Subject::Upstream((*name).into()), 0)).collect::<Vec<_>>();
        self.of(seconds, &troubles)
    }

    fn of(&mut self, seconds: u64, troubles: &[(Subject, u64)]) -> Vec<EventKind> {
        self.now += Duration::from_secs(seconds);
        let trouble = |stage| Trouble { stage, ..Trouble::new(Words::said("trouble")) };
        let seen = Seen {
            troubles: troubles.iter().map(|(subject, stage)| (subject.clone(), trouble(*stage))).collect(),
            upstreams: ["a".into(), "b".into()].into(),
            keys: [("a".into(), "k".into())].into(),
        };
        self.ledger.due(&seen, self.now, QUIET).into_iter().map(|event| event.kind).collect()
    }
}

use EventKind::{CacheFell, CertificateEnding, UpstreamDown, UpstreamUp};

#[test]
fn each_beginning_and_each_end_is_told_once() {
    let mut told = Told::new();
    assert_eq!(told.after(1, &[]), []);
    assert_eq!(told.after(1, &["a"]), [UpstreamDown]);
    assert_eq!(told.after(1, &["a"]), []);
    assert_eq!(told.after(1, &["a", "b"]), [UpstreamDown], "each upstream for itself");
    assert_eq!(told.after(9, &["b"]), [UpstreamUp]);
    assert_eq!(told.after(1, &[]), [UpstreamUp]);
    assert_eq!(told.after(3600, &[]), []);
}

#[test]
fn what_goes_to_and_fro_is_told_once_in_the_quiet_time_and_at_its_end_as_it_is() {
    let mut told = Told::new();
    assert_eq!(told.after(0, &["a"]), [UpstreamDown]);
    assert_eq!(told.after(10, &[]), [UpstreamUp]);
    for _ in 0..80 {
        assert_eq!(told.after(10, &["a"]), []);
        assert_eq!(told.after(10, &[]), []);
    }
    // It is down when the quiet time ends: whoever was told that it is up hears of it.
    assert_eq!(told.after(100, &["a"]), []);
    assert_eq!(told.after(90, &["a"]), [UpstreamDown]);
    assert_eq!(told.after(1, &[]), [], "its end was told less than that ago");
    assert_eq!(told.after(9, &[]), [UpstreamUp]);
}

#[test]
fn what_grows_is_told_again_after_the_quiet_time() {
    let mut told = Told::new();
    let ending = |stage| [(Subject::Certificate, stage)];
    assert_eq!(told.of(1, &ending(1)), [CertificateEnding]);
    assert_eq!(told.of(1, &ending(2)), [], "not yet");
    assert_eq!(told.of(1800, &ending(2)), [CertificateEnding]);
    assert_eq!(told.of(1800, &ending(2)), []);
    assert_eq!(told.of(1800, &ending(1)), [], "what becomes less is no news");
}

#[test]
fn an_end_without_an_event_is_not_told_and_a_new_beginning_waits_for_the_quiet_time() {
    let mut told = Told::new();
    let fell = [(Subject::CacheOfModel("m".to_owned()), 0)];
    assert_eq!(told.of(1, &fell), [CacheFell]);
    assert_eq!(told.of(60, &[]), []);
    assert_eq!(told.of(60, &fell), []);
    assert_eq!(told.of(1800, &fell), [CacheFell]);
}

#[test]
fn an_upstream_that_is_taken_out_of_the_configuration_is_not_told_to_work_again() {
    let mut told = Told::new();
    assert_eq!(told.after(1, &["gone"]), [UpstreamDown]);
    let key = |name: &str| [(Subject::Key("a".into(), name.into()), 0)];
    assert_eq!(told.of(1, &key("gone")), [EventKind::KeyDown]);
    assert_eq!(told.of(1, &key("k")), [EventKind::KeyDown]);
    assert_eq!(told.of(1, &[]), [EventKind::KeyUp], "of the one that is still there");
    assert_eq!(told.after(1, &[]), []);
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_anything() {
    let mut told = Told::new();
    assert_eq!(told.after(0, &["a"]), [UpstreamDown]);
    assert_eq!(told.after(0, &[]), [UpstreamUp]);
    told.now -= Duration::from_secs(86_400);
    assert_eq!(told.after(0, &["a"]), [UpstreamDown]);
}
