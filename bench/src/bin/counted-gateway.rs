//! The gateway, which tells how often it has asked for memory: each connection to the socket that `COUNT_SOCKET` names is told
//! so once, in decimal digits.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    if let Some(socket) = std::env::var_os("COUNT_SOCKET")
        && let Ok(listener) = UnixListener::bind(socket)
    {
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let stats = ALLOCATOR.stats();
                // Who asks and goes away has not lost anything.
                let _ = connection.and_then(|mut asks| write!(asks, "{}", stats.allocations + stats.reallocations));
            }
        });
    }
    anyrouter_gateway::run()
}
