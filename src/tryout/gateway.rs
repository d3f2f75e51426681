//! The gateway that is tried.

use super::exchange::CONNECT_TIME;
use crate::config::{Located, Lookup};
use crate::language::say;
use crate::operate::{ask, reachable, running};
use std::net::SocketAddr;

/// Where it is.
pub(super) struct Gateway {
    /// Its address, as it is reached from here.
    pub address: SocketAddr,
    /// Its process and version, if it could be asked.
    pub about: Option<(u32, String)>,
}

impl Gateway {
    /// The gateway that runs: where it says that it listens, else where the configuration has it.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn find(located: &Located, env: Lookup<'_>) -> Result<Self, String> {
        let status = running::find(located, env).and_then(|folder| ask::status(&folder));
        let first = |addresses: &[String]| addresses.first()?.parse().ok();
        // Where somebody else may listen no key is sent, unless Claude Code would send it there.
        let base_url = env("ANTHROPIC_BASE_URL").unwrap_or_default();
        let is_meant = |listen: &SocketAddr| {
            located.is_at_home || base_url.trim_end_matches('/') == format!("http://{}", reachable(*listen))
        };
        match (status, located.listen.filter(is_meant)) {
            (Ok(status), listen) => {
                let address = first(&status.addresses).or(listen);
                let address = address
                    .ok_or_else(|| say!("the gateway did not say where it listens", "网关没有说明它的监听地址"))?;
                Ok(Self { address: reachable(address), about: Some((status.pid, status.version)) })
            }
            // One of another user, or in a container: it may be there all the same.
            (Err(why), Some(listen)) => {
                let address = reachable(listen);
                match std::net::TcpStream::connect_timeout(&address, CONNECT_TIME) {
                    Ok(_) => Ok(Self { address, about: None }),
                    Err(error) => Err(say!(
                        "the gateway was not reached: {why}; nor does anything answer at http://{address} ({error})",
                        "没有连上网关：{why}；http://{address} 也没有响应（{error}）"
                    )),
                }
            }
            (Err(why), None) => Err(say!("the gateway was not reached: {why}", "没有连上网关：{why}")),
        }
    }
}
