use super::super::keys::Wish;
use super::super::sessions::SessionPlace;
use super::*;
use crate::config::resilience::Affinity;
use crate::config::{Arguments, Config, load};
use gateway_core::record::fault::UpstreamFault;
use std::collections::HashMap;
use std::time::Duration;

fn config(yaml: &str) -> Config {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), yaml).expect("written");
    let arguments = Arguments { file: Some(file.path().display().to_string()), ..Arguments::default() };
    load(&arguments, &|_| None).expect("valid").config
}

/// Upstreams a, b, c, ... with these priorities and weights.
fn upstreams(settings: &[(u32, u32)]) -> Vec<Arc<Upstream>> {
    let mut yaml = "gateway:\n  health: {failures: 1, open: 60s}\n  upstreams:\n".to_owned();
    for (at, (priority, weight)) in settings.iter().enumerate() {
        let name = char::from(b'a' + u8::try_from(at).expect("few"));
        yaml += &format!(
            "    - {{name: {name}, base_url: \"http://127.0.0.1:{}\", priority: {priority}, weight: {weight}, \
             max_in_flight: 1}}\n",
            at + 1
        );
    }
    crate::upstream::prepare(&config(&yaml), &[]).expect("prepared")
}

struct Pool {
    upstreams: Vec<Arc<Upstream>>,
    group: Vec<usize>,
    memory: AffinityTable,
}

impl Pool {
    fn new(settings: &[(u32, u32)]) -> Self {
        let memory = AffinityTable::new(&Affinity { sessions: 100, idle: Duration::from_secs(60) });
        Self { upstreams: upstreams(settings), group: (0..settings.len()).collect(), memory }
    }

    fn choose(&self, client: Client, tried: &[usize]) -> Option<Choice> {
        choose(&self.upstreams, &self.group, tried, client, &self.memory, 1_000)
    }
}

fn session(number: u64) -> Client {
    Client::new(Some(&number.to_le_bytes()), None)
}

#[test]
fn lower_priorities_come_first_and_sessions_stay() {
    let pool = Pool::new(&[(0, 1), (0, 1), (1, 9)]);
    for number in 0..200 {
        let choice = pool.choose(session(number), &[]);
        let Some(Choice::Ready(at)) = choice else { panic!("{choice:?}") };
        assert!(at < 2, "the third is for emergencies");
        assert_eq!(pool.choose(session(number), &[]), choice);
        assert_eq!(home(&pool.upstreams, &pool.group, session(number)), Some(at));
        assert_eq!(pool.choose(session(number), &[at]), Some(Choice::Ready(1 - at)), "the other of the same priority");
        assert_eq!(pool.choose(session(number), &[0, 1]), Some(Choice::Ready(2)));
        assert_eq!(pool.choose(session(number), &[0, 1, 2]), None);
    }
}

#[test]
fn shares_follow_the_weights_and_only_the_sessions_of_a_lost_upstream_move() {
    let pool = Pool::new(&[(0, 1), (0, 2), (0, 5)]);
    let mut shares = HashMap::new();
    for number in 0..8_000 {
        let Some(Choice::Ready(at)) = pool.choose(session(number), &[]) else { panic!("none") };
        *shares.entry(at).or_insert(0_i32) += 1;
        if at != 2 {
            assert_eq!(pool.choose(session(number), &[2]), Some(Choice::Ready(at)), "it does not move");
        }
    }
    for (at, expected) in [(0, 1_000), (1, 2_000), (2, 5_000)] {
        assert!((shares[&at] - expected).abs() < 250, "{shares:?}");
    }
}

#[test]
fn a_session_that_moved_stays_until_it_is_new() {
    let pool = Pool::new(&[(0, 1), (1, 1)]);
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Ready(0)));
    let there = SessionPlace { seed: pool.upstreams[1].seed, key: None, has_moved: true };
    pool.memory.move_to(session(1), there);
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Ready(1)), "though the first is healthy");
    assert_eq!(pool.choose(session(2), &[]), Some(Choice::Ready(0)));
    pool.upstreams[1].probed(Some(UpstreamFault::Closed));
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Ready(0)), "it moves again when it must");
}

#[test]
fn with_none_healthy_the_one_that_is_back_soonest_is_tried() {
    let pool = Pool::new(&[(0, 1), (0, 1)]);
    pool.upstreams.iter().for_each(|upstream| upstream.probed(Some(UpstreamFault::Closed)));
    pool.upstreams[0].circuit.hold(Duration::from_secs(200), 1_000);
    let now = crate::upstream::clock::now_ms();
    let choice = choose(&pool.upstreams, &pool.group, &[], Client::UNKNOWN, &pool.memory, now);
    assert_eq!(choice, Some(Choice::LeastBad(1)));
}

#[test]
fn a_full_upstream_is_waited_for_only_if_all_are_full() {
    let pool = Pool::new(&[(0, 1), (1, 1)]);
    let wish = Wish { session: 1, key: None, tried: &[] };
    let first = pool.upstreams[0].enter(&wish, 1_000).expect("a place");
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Ready(1)));
    let _second = pool.upstreams[1].enter(&wish, 1_000).expect("a place");
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Full(0)));
    drop(first);
    assert_eq!(pool.choose(session(1), &[]), Some(Choice::Ready(0)));
}

#[test]
fn a_key_that_has_to_wait_goes_elsewhere_if_it_can() {
    let pool = Pool::new(&[(0, 1), (1, 1)]);
    let (one, other) = (Client::new(None, Some(b"sk-1")), Client::new(None, Some(b"sk-2")));
    pool.memory.wait(one, pool.upstreams[0].seed, Duration::from_secs(60));
    assert_eq!(pool.choose(one, &[]), Some(Choice::Ready(1)));
    assert_eq!(pool.choose(other, &[]), Some(Choice::Ready(0)));
    assert_eq!(pool.choose(one, &[1]), Some(Choice::LeastBad(0)));
}

#[test]
fn of_upstreams_whose_keys_all_rest_the_one_that_is_back_first_says_when() {
    use super::super::key_state::{KeyReason, Pause, Why};
    let entry = |name: &str, port: u16| {
        format!("    - {{name: {name}, base_url: \"http://127.0.0.1:{port}\", api_key: sk-{name}-key}}\n")
    };
    let routes = "  routes: [{keys: sk-client, upstreams: [a, b]}]\n";
    let yaml = format!("gateway:\n{routes}  upstreams:\n{}{}", entry("a", 1), entry("b", 2));
    let upstreams = crate::upstream::prepare(&config(&yaml), &[]).expect("prepared");
    let now = crate::upstream::clock::now_ms();
    for (upstream, seconds) in upstreams.iter().zip([600, 30]) {
        let why = Why::of(KeyReason::RateLimited);
        upstream.keys.all()[0].rest(Pause::For(Duration::from_secs(seconds)), why, now);
    }
    upstreams[1].probed(Some(UpstreamFault::Closed));
    let memory = AffinityTable::new(&Affinity { sessions: 100, idle: Duration::from_secs(60) });
    assert_eq!(choose(&upstreams, &[0, 1], &[], session(1), &memory, now + 1), Some(Choice::LeastBad(1)));
}
