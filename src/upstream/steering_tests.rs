//! Hours of upstreams that are slow, fail and recover, with sessions that stay where they are.

use super::super::first_events::Kind;
use super::super::rendezvous::score;
use super::*;
use std::time::Duration;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// As often as the gateway compares.
const EVERY: u64 = 10 * SECOND;

/// How an upstream does at some moment.
#[derive(Clone, Copy)]
struct Health {
    /// Seconds of a first event of a usual request, with nobody else there.
    seconds: f64,
    /// The share of requests that fail.
    fails: f64,
    /// How many sessions make it half as slow again.
    crowd: f64,
}

const SOUND: Health = Health { seconds: 1.5, fails: 0.0, crowd: f64::INFINITY };

struct Session {
    at: usize,
    next: u64,
    ends: u64,
    turns: u32,
}

/// What became of it.
struct Hours {
    /// By minute: the share of each, and how many new sessions it got.
    shares: Vec<Vec<f64>>,
    new: Vec<Vec<u32>>,
}

impl Hours {
    fn share(&self, minute: u64, at: usize) -> f64 {
        self.shares[usize::try_from(minute).expect("few")][at]
    }

    /// The share of new sessions that one got in these minutes.
    fn of_new(&self, minutes: std::ops::Range<usize>, at: usize) -> f64 {
        let got: u32 = self.new[minutes.clone()].iter().map(|minute| minute[at]).sum();
        f64::from(got) / f64::from(self.new[minutes].iter().flatten().sum::<u32>().max(1))
    }

    /// How often the share of one turned from falling to rising or back.
    fn turns(&self, at: usize) -> usize {
        let changes: Vec<bool> =
            self.shares.windows(2).filter(|two| two[0][at] != two[1][at]).map(|two| two[1][at] > two[0][at]).collect();
        changes.windows(2).filter(|two| two[0] != two[1]).count()
    }
}

/// `arrivals` new sessions in a minute, of some minutes each, with a request every half minute whose prompt grows; sessions
/// that know no cache wait longer, and each time is off by up to a half. One of four sessions is of another kind: short
/// prompts for a small model.
fn hours(count: usize, minutes: u64, arrivals: f64, health: impl Fn(usize, u64) -> Health) -> Hours {
    let mut random = fastrand::Rng::with_seed(11);
    let peers: Vec<Steering> = (0..count).map(|_| Steering::default()).collect();
    let steered: Vec<&Steering> = peers.iter().collect();
    let seeds: Vec<u64> = (0..count).map(|_| random.u64(..)).collect();
    let mut sessions: Vec<Session> = Vec::new();
    let mut result = Hours { shares: Vec::new(), new: vec![vec![0; count]; usize::try_from(minutes).expect("few")] };
    for now in (0..minutes * MINUTE).step_by(usize::try_from(SECOND).expect("few")) {
        if random.f64() < arrivals / 60.0 {
            let number = random.u64(..);
            let rank = |at: &usize| score(number, seeds[*at], peers[*at].share());
            let at = (0..count).max_by(|a, b| rank(a).total_cmp(&rank(b))).expect("some");
            result.new[usize::try_from(now / MINUTE).expect("few")][at] += 1;
            sessions.push(Session { at, next: now, ends: now + random.u64(2..30) * MINUTE, turns: 0 });
        }
        sessions.retain(|session| session.ends > now);
        let crowds: Vec<usize> = (0..count).map(|at| sessions.iter().filter(|s| s.at == at).count()).collect();
        for session in sessions.iter_mut().filter(|session| session.next <= now) {
            let Health { seconds, fails, crowd } = health(session.at, now / MINUTE);
            let is_small = session.ends % 4 == 0;
            let bytes = if is_small { 3_000 } else { 60_000 + u64::from(session.turns) * 40_000 };
            let is_known = session.turns > 0;
            let by_prompt = if is_small { 0.4 } else { 1.0 + bytes as f64 / 500_000.0 };
            let by_cache = if is_known { 1.0 } else { 2.0 };
            let noise = 0.5 + random.f64() + if random.f64() < 0.03 { 20.0 } else { 0.0 };
            let by_crowd = 1.0 + crowds[session.at] as f64 / crowd / 2.0;
            let peer = &peers[session.at];
            let has_failed = random.f64() < fails;
            peer.ended(has_failed, now + 1);
            if !has_failed {
                let time = Duration::from_secs_f64(seconds * by_prompt * by_cache * noise * by_crowd);
                let kind = Kind::of(u64::from(is_small), bytes, is_known);
                peer.first_event(FirstEvent { kind, time, is_given_up: false }, now + 1);
            }
            session.turns += 1;
            session.next = now + random.u64(10..50) * SECOND;
        }
        if now % EVERY == 0 {
            weigh(&steered, now + 1);
        }
        if now % MINUTE == 0 {
            result.shares.push(peers.iter().map(Steering::share).collect());
        }
    }
    result
}

#[test]
fn noise_moves_nobody() {
    for count in [2, 3, 5] {
        let quiet = hours(count, 180, 4.0, |_, _| SOUND);
        for at in 0..count {
            let least = quiet.shares.iter().map(|shares| shares[at]).fold(1.0, f64::min);
            assert!(least >= 0.5 && quiet.turns(at) <= 2, "{at} of {count}: {least}, {} turns", quiet.turns(at));
        }
    }
}

#[test]
fn a_slow_one_loses_new_sessions_within_minutes_and_gets_them_back_when_it_recovers() {
    let slow = hours(3, 120, 4.0, |at, minute| match (at, minute) {
        (0, 20..60) => Health { seconds: 6.0, ..SOUND },
        _ => SOUND,
    });
    assert!(slow.share(19, 0) >= 0.8, "{}", slow.share(19, 0));
    assert!(slow.share(26, 0) <= 0.3 && slow.share(32, 0) <= 0.13, "{} {}", slow.share(26, 0), slow.share(32, 0));
    assert!(slow.of_new(30..60, 0) < 0.08, "{}", slow.of_new(30..60, 0));
    assert!(slow.share(72, 0) >= 0.7, "{}", slow.share(72, 0));
    assert!(slow.of_new(75..120, 0) > 0.22, "{}", slow.of_new(75..120, 0));
    assert!(slow.turns(0) <= 3, "{}", slow.turns(0));
}

#[test]
fn one_that_fails_now_and_then_gets_fewer_and_comes_back() {
    let failing = hours(2, 120, 4.0, |at, minute| match (at, minute) {
        (0, 20..60) => Health { fails: 0.3, ..SOUND },
        _ => SOUND,
    });
    assert!(failing.share(30, 0) <= 0.3, "{}", failing.share(30, 0));
    assert!(failing.share(75, 0) >= 0.7, "{}", failing.share(75, 0));
    assert_eq!(failing.share(30, 1), 1.0);
}

#[test]
fn one_without_any_traffic_gets_its_share_back_all_the_same() {
    // No session at all after the first hour: nobody can find out, so it is forgotten.
    let peers = [Steering::default(), Steering::default()];
    let steered: Vec<&Steering> = peers.iter().collect();
    let kind = Kind::of(1, 0, true);
    let mut shares = Vec::new();
    for now in (1..80 * MINUTE).step_by(usize::try_from(EVERY).expect("few")) {
        if now < 20 * MINUTE {
            for (peer, seconds) in peers.iter().zip([1, 8]) {
                peer.first_event(FirstEvent { kind, time: Duration::from_secs(seconds), is_given_up: false }, now);
            }
        }
        weigh(&steered, now);
        shares.push(peers[1].share());
    }
    let at = |minute: usize| shares[minute * 6];
    assert!(at(19) < 0.07 && at(35) < 0.5 && at(60) == 1.0, "{} {} {}", at(19), at(35), at(60));
}

#[test]
fn all_of_them_do_not_run_to_the_same_one_and_back() {
    // Each gets slower with its sessions, so that whoever gets all of them is the slow one next.
    let crowded = hours(3, 360, 6.0, |at, _| Health { seconds: [1.0, 1.5, 2.0][at], crowd: 15.0, fails: 0.0 });
    for at in 0..3 {
        let of_new = crowded.of_new(60..360, at);
        assert!((0.1..0.65).contains(&of_new), "{at} got {of_new}");
        for hour in 1..6 {
            let of_hour = crowded.of_new(hour * 60..(hour + 1) * 60, at);
            assert!((of_hour - of_new).abs() < 0.15, "{at} in hour {hour}: {of_hour} where {of_new} is usual");
        }
        assert!(crowded.turns(at) <= 18, "{at}: {} turns in 6 hours", crowded.turns(at));
    }
}

#[test]
fn few_sessions_are_enough() {
    // One person: a session every five minutes.
    let slow = hours(2, 240, 0.2, |at, minute| match (at, minute) {
        (0, 60..120) => Health { seconds: 8.0, ..SOUND },
        _ => SOUND,
    });
    assert!(slow.share(59, 0) >= 0.5, "{}", slow.share(59, 0));
    assert!((60..120).any(|minute| slow.share(minute, 0) <= 0.25), "{:?}", &slow.shares[60..120]);
    assert!((160..240).any(|minute| slow.share(minute, 0) == 1.0), "{:?}", &slow.shares[120..]);
}

#[test]
fn peers_are_those_that_share_sessions() {
    let priority = |at: usize| u32::from(at == 3);
    assert_eq!(peers(&[&[0, 1, 2, 3]], priority), [vec![0, 1, 2], vec![3]]);
    assert_eq!(peers(&[&[0, 1], &[2, 4]], priority), [vec![0, 1], vec![2, 4]], "routes of their own");
    assert_eq!(peers(&[&[0, 1], &[4, 5], &[1, 4]], priority), [vec![0, 1, 4, 5]]);
    assert_eq!(peers(&[], priority), Vec::<Vec<usize>>::new());
}
