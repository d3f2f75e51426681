//! What the operator does in the middle of a wave.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::plan::mixed;
use crate::world::World;

/// One thing that the operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Loads a configuration in which all upstreams have another time-out: none of their connections is kept.
    Reload,
    /// Loads one with a mistake in it: all stays as it was.
    ReloadMistaken,
    /// Has a new process take over.
    Upgrade,
    /// Kills it, as a lack of memory would, and starts it again.
    Kill,
}

/// What is done in a wave, and when: always the same of the same seed.
pub(crate) fn deeds(seed: u64, wave: Duration) -> Vec<(Duration, Deed)> {
    let mut rng = Rng::with_seed(mixed(seed ^ 0x6f70_6572));
    let reload = |rng: &mut Rng| if rng.u8(..3) == 0 { Deed::ReloadMistaken } else { Deed::Reload };
    let mut deeds: Vec<_> = (0..rng.usize(..4)).map(|_| (wave.mul_f64(rng.f64()), reload(&mut rng))).collect();
    let whole = [Some(Deed::Upgrade), Some(Deed::Upgrade), Some(Deed::Kill), None][rng.usize(..6).min(3)];
    deeds.extend(whole.map(|deed| (wave.mul_f64(rng.f64()), deed)));
    deeds.sort_unstable_by_key(|&(when, _)| when);
    deeds
}

/// A time in which there was no gateway.
pub(crate) type Gone = (Instant, Instant);

/// Does it; what went otherwise than it should, and when the gateway was not there.
pub(crate) async fn operate(world: &World, seed: u64, wave: Duration) -> (Vec<String>, Vec<Gone>) {
    let began = tokio::time::Instant::now();
    let (mut wrong, mut gone) = (Vec::new(), Vec::new());
    for (when, deed) in deeds(seed, wave) {
        tokio::time::sleep_until(began + when).await;
        println!("wave {seed}: {deed:?} after {when:.1?}");
        let output = match deed {
            Deed::Reload => {
                world.configure(2 + mixed(seed ^ when.as_nanos() as u64) % 5);
                world.gateway.command(&["reload"]).await
            }
            Deed::Kill => {
                gone.push(world.kill_and_start().await);
                continue;
            }
            Deed::Upgrade => world.gateway.command(&["upgrade"]).await,
            Deed::ReloadMistaken => {
                let right = world.misconfigure();
                let output = world.gateway.command(&["reload"]).await;
                world.write(&right);
                output
            }
        };
        if output.status.success() == (deed == Deed::ReloadMistaken) {
            wrong.push(format!("{deed:?}: {output:?}"));
        }
    }
    (wrong, gone)
}

#[test]
fn deeds_are_the_same_of_the_same_seed() {
    let wave = Duration::from_secs(8);
    let mut kinds = Vec::new();
    for seed in 0..100 {
        assert_eq!(deeds(seed, wave), deeds(seed, wave));
        kinds.extend(deeds(seed, wave).into_iter().map(|(_, deed)| deed));
    }
    assert!([Deed::Reload, Deed::ReloadMistaken, Deed::Upgrade, Deed::Kill].iter().all(|kind| kinds.contains(kind)));
}
