//! Ports for servers that cannot take port 0.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the ephemeral range of Linux and macOS, so that no outgoing connection takes one.
const FIRST: u16 = 10_240;
const COUNT: u16 = 10_240;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free port on 127.0.0.1, reserved among all users of this harness for as long as the value lives.
///
/// The reservation is a listener on a second port, `COUNT` above it, so it holds between test processes too.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _guard: TcpListener,
}

impl Port {
    /// Finds and reserves a free port.
    pub fn free() -> Self {
        let start = u64::from(std::process::id()) * 7919
            + SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()));
        for _ in 0..COUNT {
            let step = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = FIRST + ((start + step) % u64::from(COUNT)) as u16;
            let Ok(guard) = TcpListener::bind((Ipv4Addr::LOCALHOST, number + COUNT)) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _guard: guard };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// 127.0.0.1 with this port.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
