//! How many connections fit into what the process may open.

use super::caps::{Caps, most_of_one};
use gateway_core::both;
use gateway_core::language::Words;

/// What the process itself has open: its log, the request log and those who read it, sockets, event queues.
const OWN: usize = 64;

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The caps of clients.
    pub caps: Caps,
    /// Connections of the admin service, for which descriptors are set aside.
    pub admin: usize,
    /// Idle connections to upstreams.
    pub kept_upstreams: usize,
    /// Whether the cap on all connections is lower than it should be.
    pub is_lowered: bool,
}

impl Fit {
    /// What to tell the operator, if not all fits that was asked for.
    pub fn notice(&self, open_files: u64, total: usize) -> Option<Words> {
        self.is_lowered.then(|| {
            both!(
                "gateway.limits.connections: {total} do not fit into the {open_files} files that this process may open \
                 (ulimit -n, LimitNOFILE): it takes {taken} connections and requests, and closes idle ones for new ones",
                "gateway.limits.connections：本进程最多打开 {open_files} 个文件（ulimit -n、LimitNOFILE），容不下 {total} \
                 个连接：最多接受 {taken} 个连接和请求，有新连接时关闭空闲连接",
                taken = self.caps.total
            )
        })
    }
}

/// The caps of a process that may have `open_files`: `total` and `per_client` if they fit. What the process itself
/// has, connections of the admin service, and idle ones to upstreams are set aside.
pub(crate) fn fit(open_files: u64, total: usize, per_client: usize) -> Fit {
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let admin = (open_files / 8).clamp(8, 256);
    let kept_upstreams = (open_files / 16).clamp(4, 128);
    let descriptors = open_files.saturating_sub(OWN + admin + kept_upstreams).max(8);
    let caps = Caps {
        total: total.min(descriptors),
        per_client: per_client.min(total).min(most_of_one(descriptors)),
        descriptors,
    };
    Fit { caps, admin, kept_upstreams, is_lowered: total > descriptors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caps_hold_if_they_fit_and_are_lowered_if_not() {
        let much = fit(1 << 20, 16_384, 4096);
        assert_eq!((much.caps.total, much.caps.per_client, much.is_lowered), (16_384, 4096, false));
        let little = fit(200, 16_384, 4096);
        assert!(little.is_lowered && little.caps.total == little.caps.descriptors);
        assert!(little.notice(200, 16_384).is_some() && much.notice(1 << 20, 16_384).is_none());
        assert_eq!((little.caps.descriptors, little.caps.per_client, little.admin), (99, 75, 25));
        assert!(fit(20_000, 16_384, 4096).caps.total == 16_384, "10,000 idle ones fit");
        for open_files in [0, 1, 63, 100, 1024, u64::MAX] {
            let Fit { caps, admin, .. } = fit(open_files, 10, 10);
            assert!(caps.total > 0 && caps.per_client > 0 && admin > 0, "{open_files}");
        }
    }
}
