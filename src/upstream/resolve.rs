//! The addresses of an upstream's host: looked up in the background, served from memory.

use arc_swap::ArcSwapOption;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long an answer is fresh. The system's resolver does not tell the record's own time.
const FRESH: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Answer {
    addresses: Arc<[SocketAddr]>,
    /// `None` for addresses that were written as such.
    at: Option<Instant>,
}

#[derive(Debug)]
struct Cell {
    host: String,
    port: u16,
    answer: ArcSwapOption<Answer>,
    is_refreshing: AtomicBool,
}

/// The addresses of one host and port.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Cell>);

impl Addresses {
    /// Of a name, or of an address written as such.
    pub fn new(host: &str, port: u16) -> Self {
        let fixed = host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| Arc::new(Answer { addresses: Arc::from([SocketAddr::new(ip, port)]), at: None }));
        Self(Arc::new(Cell {
            host: host.to_owned(),
            port,
            answer: ArcSwapOption::new(fixed),
            is_refreshing: AtomicBool::new(false),
        }))
    }

    /// The addresses: from memory if there are any, however old, with a refresh in the background when they are no
    /// longer fresh. Only the very first request waits for the resolver.
    ///
    /// # Errors
    /// When there is no answer and never was one.
    pub async fn get(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        let Some(answer) = self.0.answer.load_full() else { return self.0.look_up().await };
        let is_stale = answer.at.is_some_and(|at| at.elapsed() > FRESH);
        if is_stale && !self.0.is_refreshing.swap(true, Ordering::AcqRel) {
            let cell = Arc::clone(&self.0);
            tokio::spawn(async move {
                if let Err(error) = cell.look_up().await {
                    log::warn!("resolving {} failed, its last addresses stay in use: {error}", cell.host);
                }
                cell.is_refreshing.store(false, Ordering::Release);
            });
        }
        Ok(Arc::clone(&answer.addresses))
    }
}

impl Cell {
    async fn look_up(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        let addresses: Arc<[SocketAddr]> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        if addresses.is_empty() {
            return Err(std::io::Error::other("the name has no address"));
        }
        self.answer.store(Some(Arc::new(Answer { addresses: Arc::clone(&addresses), at: Some(Instant::now()) })));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn written_addresses_need_no_resolver_and_names_are_looked_up_once() {
        let fixed = Addresses::new("::1", 80).get().await.expect("an address");
        assert_eq!(*fixed, [SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))]);

        let named = Addresses::new("localhost", 80);
        let first = named.get().await.expect("localhost resolves");
        let second = named.get().await.expect("localhost resolves");
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Addresses::new("nowhere.invalid", 80).get().await.is_err());
    }
}
