use super::*;
use proptest::prelude::*;

/// One body may take it all.
const BOUNDS: Bounds = Bounds { total_bytes: 1_000, body_bytes: 1_000, min_rate: 10 };

fn owners(address: u8, key: u64) -> Owners {
    Owners::new(Some(IpAddr::from([192, 0, 2, address])), Client { key, ..Client::UNKNOWN })
}

struct Coming {
    number: usize,
    progress: Arc<Progress>,
}

impl Shares {
    fn coming(&mut self, owners: Owners, now_ms: u64) -> Coming {
        let progress = Arc::new(Progress::new(now_ms));
        Coming { number: self.enter(owners, Some(Arc::clone(&progress))), progress }
    }
}

#[test]
fn a_client_that_is_alone_may_have_it_all_and_gives_it_back() {
    let mut shares = Shares::default();
    let (a, b) = (shares.coming(owners(1, 1), 0), shares.coming(owners(1, 2), 0));
    assert_eq!(shares.grow(a.number, 600, BOUNDS, 0), Ok(vec![]));
    assert_eq!(shares.grow(b.number, 401, BOUNDS, 0), Err(NoRoom));
    assert_eq!(shares.grow(b.number, 400, BOUNDS, 0), Ok(vec![]));
    assert_eq!(shares.grow(b.number, 10, BOUNDS, 0), Ok(vec![]), "it stays as large as it was");
    shares.leave(a.number);
    assert_eq!(shares.grow(b.number, 1_000, BOUNDS, 0), Ok(vec![]));
    shares.leave(b.number);
    assert_eq!(shares.held_bytes(), 0);
    assert!(shares.by_owner.is_empty() && shares.bodies.is_empty());
}

#[test]
fn who_has_more_than_a_quarter_makes_room_for_who_has_not() {
    let mut shares = Shares::default();
    let hoarded: Vec<_> = (0..10)
        .map(|_| {
            let body = shares.coming(owners(1, 0), 0);
            assert_eq!(shares.grow(body.number, 100, BOUNDS, 0), Ok(vec![]));
            body
        })
        .collect();
    let body = shares.coming(owners(2, 0), 0);
    assert_eq!(shares.grow(body.number, 150, BOUNDS, 0), Ok(vec![Evicted::Share; 2]));
    assert_eq!(hoarded.iter().filter(|body| body.progress.evicted() == Some(Evicted::Share)).count(), 2);
    assert_eq!(shares.grow(body.number, 250, BOUNDS, 0), Ok(vec![Evicted::Share]));
    // Beyond its own share it displaces nobody.
    assert_eq!(shares.grow(body.number, 350, BOUNDS, 0), Err(NoRoom));
    let more = shares.coming(owners(1, 0), 0);
    assert_eq!(shares.grow(more.number, 100, BOUNDS, 0), Err(NoRoom));
}

#[test]
fn the_same_key_from_many_addresses_is_one_client() {
    let mut shares = Shares::default();
    for address in 1..=10 {
        let body = shares.coming(owners(address, 7), 0);
        assert_eq!(shares.grow(body.number, 100, BOUNDS, 0), Ok(vec![]));
    }
    let body = shares.coming(owners(11, 8), 0);
    assert_eq!(shares.grow(body.number, 200, BOUNDS, 0), Ok(vec![Evicted::Share; 2]));
}

#[test]
fn nobody_loses_what_lies_within_its_share() {
    let mut shares = Shares::default();
    let bodies: Vec<_> = (1..=4).map(|address| shares.coming(owners(address, 0), 0)).collect();
    for body in &bodies {
        assert_eq!(shares.grow(body.number, 250, BOUNDS, 0), Ok(vec![]));
    }
    let body = shares.coming(owners(5, 0), 0);
    assert_eq!(shares.grow(body.number, 1, BOUNDS, 0), Err(NoRoom));
    assert!(bodies.iter().all(|body| body.progress.evicted().is_none()));
}

#[test]
fn a_body_that_is_whole_is_never_given_up() {
    let mut shares = Shares::default();
    let whole = shares.coming(owners(1, 0), 0);
    assert_eq!(shares.grow(whole.number, 900, BOUNDS, 0), Ok(vec![]));
    assert!(whole.progress.finish());
    let body = shares.coming(owners(2, 0), 0);
    assert_eq!(shares.grow(body.number, 200, BOUNDS, 100_000), Err(NoRoom));
    assert_eq!(whole.progress.evicted(), None);
    // From now on the other one gets no more, so that there is room when its bodies are gone.
    let more = shares.coming(owners(1, 0), 100_000);
    assert_eq!(shares.grow(more.number, 10, BOUNDS, 100_000), Err(NoRoom));
    assert_eq!(shares.grow(more.number, 10, BOUNDS, 100_000 + SHORT_MS), Ok(vec![]));
}

#[test]
fn whole_bodies_leave_room_for_the_next_client() {
    let bounds = Bounds { body_bytes: 100, ..BOUNDS };
    for clients in [1, 2, 4, 16] {
        let mut shares = Shares::default();
        // Each takes what it gets, in turns.
        for _ in 0..100 {
            for client in 1..=clients {
                let number = shares.enter(owners(client, 0), None);
                let _ = shares.grow(number, 10, bounds, 0);
            }
        }
        let held = shares.held_bytes();
        let fair = 1_000 * 3 * usize::from(clients) / (3 * usize::from(clients) + 1);
        assert!((fair - 10 * usize::from(clients)..=fair).contains(&held), "{clients} hold {held}, not {fair}");
        let next = shares.enter(owners(100, 0), None);
        assert_eq!(shares.grow(next, bounds.total_bytes / FEW, bounds, 0), Ok(vec![]), "beside {clients}");
    }
    let mut shares = Shares::default();
    let largest = shares.enter(owners(1, 0), None);
    assert_eq!(shares.grow(largest, 750, Bounds { body_bytes: 750, ..BOUNDS }, 0), Ok(vec![]), "one body fits");
}

#[test]
fn the_slowest_goes_first() {
    let mut shares = Shares::default();
    let bodies: Vec<_> = (1..=4).map(|address| shares.coming(owners(address, 0), 0)).collect();
    for body in &bodies {
        assert_eq!(shares.grow(body.number, 250, BOUNDS, 0), Ok(vec![]));
    }
    // Bytes a second: 50, 5, 9, and 20.
    for second in 1..=8 {
        for (body, rate) in bodies.iter().zip([50, 5, 9, 20]) {
            body.progress.came(rate * second, second as u64 * 1_000);
        }
    }
    let body = shares.coming(owners(5, 0), 8_000);
    assert_eq!(shares.grow(body.number, 200, BOUNDS, 8_000), Ok(vec![Evicted::Slow]));
    assert_eq!(bodies[1].progress.evicted(), Some(Evicted::Slow));
    assert_eq!(shares.grow(body.number, 250, BOUNDS, 8_000), Ok(vec![]), "what is left of that room");
    assert_eq!(shares.grow(body.number, 251, BOUNDS, 8_000), Err(NoRoom), "beyond its share");
    let own = shares.coming(owners(3, 0), 8_000);
    assert_eq!(shares.grow(own.number, 100, BOUNDS, 8_000), Ok(vec![Evicted::Slow]), "its own slow body");
    assert_eq!(bodies[2].progress.evicted(), Some(Evicted::Slow));
}

#[test]
fn a_burst_does_not_hide_that_a_body_drips() {
    let progress = Progress::new(0);
    progress.came(1_000_000, 10);
    assert_eq!(progress.rate(20), u64::MAX, "it has only begun");
    for second in 1..=7 {
        progress.came(1_000_000 + second, second as u64 * 1_000);
    }
    assert!(progress.rate(7_000) <= 1, "{}", progress.rate(7_000));
    progress.came(2_000_000, 7_100);
    assert!(progress.rate(9_200) > 100_000);
    assert_eq!(progress.rate(7_100 + WINDOW_MS), 0, "silent");
}

#[test]
fn a_body_becomes_whole_or_makes_room_never_both() {
    let progress = Progress::new(0);
    assert!(progress.evict(Evicted::Share) && !progress.finish() && !progress.evict(Evicted::Slow));
    assert_eq!(progress.evicted(), Some(Evicted::Share));
    let progress = Progress::new(0);
    assert!(progress.finish() && !progress.evict(Evicted::Share));
}

#[derive(Clone, Debug)]
enum Step {
    Enter { address: u8, key: u64, is_whole: bool },
    Grow { which: usize, by: usize },
    Came { which: usize, bytes: usize },
    Finish { which: usize },
    Leave { which: usize },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..5u8, 0..3u64, any::<bool>()).prop_map(|(address, key, is_whole)| Step::Enter { address, key, is_whole }),
        (any::<usize>(), 0..400usize).prop_map(|(which, by)| Step::Grow { which, by }),
        (any::<usize>(), 0..400usize).prop_map(|(which, bytes)| Step::Came { which, bytes }),
        any::<usize>().prop_map(|which| Step::Finish { which }),
        any::<usize>().prop_map(|which| Step::Leave { which }),
        (0..4_000u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    #[test]
    fn what_is_held_is_bounded_and_fair(steps in proptest::collection::vec(step(), 1..120)) {
        let mut shares = Shares::default();
        let mut now_ms = 1;
        let mut there: Vec<(usize, Owners, Option<Arc<Progress>>)> = Vec::new();
        for step in steps {
            match step {
                Step::Enter { address, key, is_whole } => {
                    let progress = (!is_whole).then(|| Arc::new(Progress::new(now_ms)));
                    let owners = owners(address, key);
                    there.push((shares.enter(owners, progress.clone()), owners, progress));
                }
                Step::Grow { which, by } if !there.is_empty() => {
                    let (number, who, progress) = &there[which % there.len()];
                    if progress.as_ref().is_some_and(|progress| progress.evicted().is_some()) {
                        continue;
                    }
                    let wanted = shares.bodies[*number].bytes + by;
                    let is_within = !shares.is_over(*who, by, BOUNDS);
                    // What others beyond their share could give up of what is still coming in.
                    let whole_bytes: usize = shares.bodies.iter().map(|(_, body)| match &body.progress {
                        Some(progress) if progress.is_coming() => 0,
                        _ => body.bytes,
                    }).sum();
                    let within_bytes: usize = shares.bodies.iter()
                        .filter(|(at, body)| at == number || !shares.is_over(body.owners, 0, BOUNDS))
                        .map(|(_, body)| body.bytes).sum();
                    let is_alone = shares.bodies.iter().all(|(at, body)| at == *number || body.bytes == 0);
                    let before = shares.held_bytes();
                    let was_short = now_ms < shares.short_until_ms;
                    match shares.grow(*number, wanted, BOUNDS, now_ms) {
                        Ok(evicted) => prop_assert!(is_within || !evicted.contains(&Evicted::Share)),
                        Err(NoRoom) => {
                            prop_assert!(before + by > BOUNDS.total_bytes || !is_within && was_short);
                            prop_assert_eq!(shares.held_bytes(), before, "nobody had to go in vain");
                            prop_assert!(!is_alone || wanted > BOUNDS.total_bytes || was_short);
                            // With nothing whole, a client within its share always gets what it needs as long as all
                            // others within theirs leave room.
                            let could_be = whole_bytes == 0 && within_bytes + by + BOUNDS.total_bytes / 4 * 2 <= BOUNDS.total_bytes;
                            prop_assert!(!(is_within && could_be), "{within_bytes} {by}");
                        }
                    }
                }
                Step::Came { which, bytes } if !there.is_empty() => {
                    if let (_, _, Some(progress)) = &there[which % there.len()] {
                        progress.came(progress.bytes.load(Ordering::Relaxed) + bytes, now_ms);
                    }
                }
                Step::Finish { which } if !there.is_empty() => {
                    if let (_, _, Some(progress)) = &there[which % there.len()] {
                        progress.finish();
                    }
                }
                Step::Leave { which } if !there.is_empty() => {
                    let (number, ..) = there.remove(which % there.len());
                    shares.leave(number);
                }
                Step::Wait { ms } => now_ms += ms,
                _ => {}
            }
            prop_assert!(shares.held_bytes() <= BOUNDS.total_bytes);
            prop_assert_eq!(shares.held_bytes(), shares.bodies.iter().map(|(_, body)| body.bytes).sum::<usize>());
            for (owner, &held) in &shares.by_owner {
                let bodies = shares.bodies.iter().filter(|(_, body)| body.owners.each().any(|of| of == *owner));
                prop_assert_eq!(held, bodies.map(|(_, body)| body.bytes).sum::<usize>());
                prop_assert!(held > 0, "no owner of nothing is remembered");
            }
        }
        for (number, ..) in there {
            shares.leave(number);
        }
        prop_assert!(shares.by_owner.is_empty() && shares.held_bytes() == 0);
    }
}
