use super::super::key_state::KeyReason;
use super::*;
use crate::config::secret::Secret;
use gateway_core::balance::Balance;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

const QUEUE: Queue = Queue { length: 1, timeout: Duration::from_secs(20) };
const SENDER: Owner = Owner::Key(1);

fn key(name: &str) -> ApiKey {
    let key = Secret::new(format!("sk-{name}"));
    ApiKey { name: Some(name.to_owned()), key, weight: 1, max_in_flight: None, is_enabled: true }
}

fn made(configs: &[ApiKey]) -> Keys {
    Keys::new(&Arc::from("relay"), configs, &QUEUE, None)
}

fn session(number: u64) -> Wish<'static> {
    Wish { session: hash(&number.to_le_bytes()), key: None, tried: &[] }
}

fn rest(key: &Key, seconds: u64) {
    key.rest(Pause::For(Duration::from_secs(seconds)), Why::of(KeyReason::RateLimited), clock::now_ms());
}

#[test]
fn sessions_are_spread_by_weight_and_stay_when_one_goes() {
    let keys = made(&[key("a"), ApiKey { weight: 3, ..key("b") }, key("c")]);
    let now = clock::now_ms();
    let before: Vec<usize> = (0..2_000).filter_map(|number| keys.choose(&session(number), now)).collect();
    let mut shares: HashMap<usize, usize> = HashMap::new();
    before.iter().for_each(|at| *shares.entry(*at).or_default() += 1);
    assert!((300..500).contains(&shares[&0]) && (1_050..1_350).contains(&shares[&1]), "{shares:?}");
    rest(&keys.0[1], 600);
    for (number, before) in (0..).zip(before) {
        let after = keys.choose(&session(number), clock::now_ms());
        assert!(after.is_some_and(|after| after != 1 && (before == 1 || after == before)), "{number}");
    }
}

#[test]
fn a_session_keeps_its_key_unless_that_is_out_or_was_tried() {
    let keys = made(&[key("a"), key("b")]);
    let now = clock::now_ms();
    for number in 0..20 {
        let own = |tried| Wish { key: Some(keys.0[1].seed), tried, ..session(number) };
        assert_eq!(keys.choose(&own(&[]), now), Some(1));
        assert_eq!(keys.choose(&own(&[1]), now), Some(0));
        assert_eq!(keys.choose(&own(&[0, 1]), now), None);
    }
    keys.0[1].disable(Why::of(KeyReason::Refused));
    assert_eq!(keys.choose(&Wish { key: Some(keys.0[1].seed), ..session(1) }, now), Some(0));
}

#[test]
fn a_key_near_its_end_takes_no_new_session_while_there_is_another() {
    let keys = made(&[key("a"), key("b")]);
    let left = Balance { remaining: Some(0.5), used: None, unit: String::new(), reset_at: None };
    keys.0[0].learn_balance(Reading { found: Ok(left), rest_below: Some(1.0), next_ms: u64::MAX, wishes: 0 });
    let now = clock::now_ms();
    assert!((0..50).all(|number| keys.choose(&session(number), now) == Some(1)));
    assert_eq!(keys.choose(&Wish { key: Some(keys.0[0].seed), ..session(1) }, now), Some(0), "that has it already");
    assert_eq!(keys.standing(now), Standing::Ready);
    rest(&keys.0[1], 60);
    let now = clock::now_ms();
    assert_eq!((keys.standing(now), keys.choose(&session(1), now)), (Standing::Low, Some(0)));
}

#[test]
fn when_all_are_out_the_first_that_comes_back_is_told() {
    let keys = made(&[key("a"), key("b"), ApiKey { is_enabled: false, ..key("c") }]);
    assert_eq!(keys.all_out(clock::now_ms()), None);
    rest(&keys.0[0], 90);
    rest(&keys.0[1], 60);
    let now = clock::now_ms();
    assert_eq!(keys.standing(now), Standing::Out);
    let back = keys.all_out(now).flatten().expect("one comes back");
    assert!((50..=60).contains(&back.as_secs()), "{back:?}");
    assert_eq!(keys.standing(now + 61_000), Standing::Ready);
    keys.0[0].disable(Why::of(KeyReason::Refused));
    keys.0[1].disable(Why::of(KeyReason::Refused));
    assert_eq!(keys.all_out(now + 600_000), Some(None));
    assert_eq!(made(&[]).all_out(now), None, "the clients' own keys go there");
}

#[tokio::test]
async fn a_full_key_is_passed_over_and_waited_for_if_all_are() {
    let one = |name| ApiKey { max_in_flight: Some(1), ..key(name) };
    let keys = made(&[one("a"), one("b")]);
    let wish = Wish { key: Some(keys.0[0].seed), ..session(1) };
    let first = keys.take(&wish, clock::now_ms()).expect("a place").expect("a key");
    let second = keys.take(&wish, clock::now_ms()).expect("a place").expect("a key");
    assert_eq!((first.at, second.at, keys.standing(clock::now_ms())), (0, 1, Standing::Full));
    let mut waits = std::pin::pin!(keys.take_in_turn(&wish, SENDER));
    assert!(futures::poll!(waits.as_mut()).is_pending());
    drop(first);
    let third = waits.await.expect("a place").expect("a key");
    assert_eq!(third.at, 0, "its own");
    rest(&keys.0[0], 60);
    rest(&keys.0[1], 60);
    assert_eq!(keys.take_in_turn(&session(1), SENDER).await.err(), Some(NoPlace::NoKey));
}

#[tokio::test]
async fn whoever_waits_for_full_keys_has_the_first_place_of_any() {
    let one = |name| ApiKey { max_in_flight: Some(1), ..key(name) };
    let keys = made(&[one("a"), one("b"), one("c")]);
    let wish = Wish { key: Some(keys.0[0].seed), tried: &[2], ..session(1) };
    let _first = keys.take(&wish, clock::now_ms()).expect("a place").expect("a key");
    let second = keys.take(&wish, clock::now_ms()).expect("a place").expect("a key");
    {
        let mut waits = std::pin::pin!(keys.take_in_turn(&wish, SENDER));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(second);
        let futures::task::Poll::Ready(place) = futures::poll!(waits.as_mut()) else { panic!("it still waits") };
        assert_eq!(place.expect("a place").expect("a key").at, 1);
    }
    assert_eq!(keys.0[0].slots.counts(), (1, 0), "nobody waits any more");
    assert!(
        keys.take(&wish, clock::now_ms()).is_ok_and(|place| place.is_some_and(|place| place.at == 1)),
        "given back"
    );
}

#[test]
fn what_is_known_of_a_key_outlives_a_reload() {
    let before = made(&[key("a"), key("b"), key("c")]);
    before.0.iter().for_each(|key| rest(key, 60));
    before.0[1].state.counts.requests.store(5, Ordering::Relaxed);
    let renamed = ApiKey { name: Some("other".to_owned()), weight: 7, ..key("a") };
    let off_and_on = ApiKey { is_enabled: false, ..key("b") };
    let configs = [key("new"), renamed, off_and_on];
    let after = Keys::new(&Arc::from("relay"), &configs, &QUEUE, Some((&before, &QUEUE)));
    let usable: Vec<bool> = after.0.iter().map(|key| key.is_usable(clock::now_ms())).collect();
    assert_eq!(usable, [true, false, false]);
    let again = Keys::new(&Arc::from("relay"), &[key("b")], &QUEUE, Some((&after, &QUEUE)));
    assert!(again.0[0].is_usable(clock::now_ms()), "an edit wakes it");
    assert_eq!(again.0[0].state.counts.requests.load(Ordering::Relaxed), 5, "what was counted stays");
}

#[test]
fn keys_are_found_by_name_and_by_fingerprint_and_never_shown() {
    let keys = made(&[key("a"), ApiKey { name: None, ..key("b") }]);
    let fingerprint = &keys.0[1].fingerprint;
    assert_eq!(keys.find("a").map(|key| key.seed), Some(keys.0[0].seed));
    assert_eq!(keys.find(fingerprint).map(|key| &*key.label), Some(fingerprint.as_str()));
    assert!(keys.find("c").is_none());
    assert!(!format!("{keys:?}").contains("sk-"));
}
