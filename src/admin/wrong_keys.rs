//! Wrong keys: counted by client and in all, and answered late when there are too many. The right key is compared before
//! anything of this is asked: nobody can lock its owner out.

use crate::addresses::client_group;
use moka::sync::Cache;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Wrong keys of one client (an address, or an IPv6 network) within [`WINDOW`] that are answered at once.
const FREE_BY_CLIENT: u32 = 5;
/// The same for all clients together: an attacker may have many addresses.
const FREE_IN_ALL: u64 = 100;
/// How long a wrong key counts.
pub const WINDOW: Duration = Duration::from_secs(60);
/// How long the answer to one too many waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that wait at one time: others are refused at once, since what waits takes memory.
const MOST_WAITING: usize = 64;
/// Clients that are remembered.
const MOST_CLIENTS: u64 = 10_000;

/// The wrong keys of the last minute.
pub struct WrongKeys {
    by_client: Cache<IpAddr, Arc<AtomicU32>>,
    /// The number of the window, in the upper half, and how many came in it.
    in_all: AtomicU64,
    began: Instant,
    waiting: Semaphore,
}

impl Default for WrongKeys {
    fn default() -> Self {
        Self {
            by_client: Cache::builder().max_capacity(MOST_CLIENTS).time_to_live(WINDOW).build(),
            in_all: AtomicU64::new(0),
            began: Instant::now(),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }
}

impl WrongKeys {
    /// Counts one, and waits a moment if there were too many. Returns whether there were.
    pub async fn note(&self, client: Option<IpAddr>) -> bool {
        let is_too_many = self.count(client);
        if is_too_many && let Ok(_place) = self.waiting.try_acquire() {
            tokio::time::sleep(PAUSE).await;
        }
        is_too_many
    }

    fn count(&self, client: Option<IpAddr>) -> bool {
        let of_client = client.map_or(0, |client| {
            self.by_client.get_with(client_group(client), Arc::default).fetch_add(1, Ordering::Relaxed)
        });
        let in_all = self.count_in_all(self.began.elapsed().as_secs() / WINDOW.as_secs());
        if of_client == FREE_BY_CLIENT || in_all == FREE_IN_ALL {
            let who = client.map_or_else(|| "somebody".to_owned(), |client| client.to_string());
            log::warn!("{who} tries wrong keys for the panel: from now on, for a minute, the answers to them are slow");
        }
        of_client >= FREE_BY_CLIENT || in_all >= FREE_IN_ALL
    }

    /// How many there were in this window before this one.
    fn count_in_all(&self, window: u64) -> u64 {
        let next = |seen: u64| if seen >> 32 == window { seen + 1 } else { (window << 32) + 1 };
        let before = self.in_all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| Some(next(seen)));
        let before = before.unwrap_or_default();
        if before >> 32 == window { before & u64::from(u32::MAX) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_an_ipv6_network() {
        let wrong = WrongKeys::default();
        let v6 = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        for last in 0..5 {
            assert!(!wrong.count(v6(last)));
        }
        assert!(wrong.count(v6(99)), "another address of the same network");
        assert!(!wrong.count(Some(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]))));
        assert!(!wrong.count(Some([192, 0, 2, 1].into())));
    }

    #[test]
    fn many_clients_together_are_too_many_too() {
        let wrong = WrongKeys::default();
        let slow = (0..200u8).filter(|&last| wrong.count(Some([192, 0, 2, last].into()))).count();
        assert_eq!(slow, 100);
        assert_eq!(wrong.count_in_all(7), 0, "another minute");
        assert_eq!(wrong.count_in_all(7), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_too_many_are_slow_and_few_of_them_wait() {
        let wrong = Arc::new(WrongKeys::default());
        let client = Some([192, 0, 2, 1].into());
        let began = tokio::time::Instant::now();
        for _ in 0..5 {
            assert!(!wrong.note(client).await);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(wrong.note(client).await);
        assert_eq!(began.elapsed(), PAUSE);
        let all: Vec<_> = (0..MOST_WAITING + 36)
            .map(|_| {
                let wrong = Arc::clone(&wrong);
                tokio::spawn(async move {
                    let began = tokio::time::Instant::now();
                    wrong.note(client).await;
                    began.elapsed()
                })
            })
            .collect();
        let mut waited = 0;
        for one in all {
            waited += usize::from(one.await.expect("no panic") == PAUSE);
        }
        assert_eq!(waited, MOST_WAITING);
    }
}
