//! The gateway that is tried.

use super::exchange::CONNECT_TIME;
use crate::config::{Located, Lookup};
use crate::language::say;
use crate::operate::{ask, reachable, running, systemd};
use std::net::SocketAddr;

/// Where it is.
pub(super) struct Gateway {
    /// Its address, as it is reached from here.
    pub address: SocketAddr,
    /// Its process and version, if it could be asked.
    pub about: Option<(u32, String)>,
    /// What stands before a command that asks it: it may obey root alone.
    pub sudo: &'static str,
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
                let sudo = sudo(status.has_systemd && systemd::unit_of(status.pid).is_some());
                Ok(Self { address: reachable(address), about: Some((status.pid, status.version)), sudo })
            }
            // One of another user, or in a container: it may be there all the same.
            (Err(why), Some(listen)) => {
                let address = reachable(listen);
                match std::net::TcpStream::connect_timeout(&address, CONNECT_TIME) {
                    Ok(_) => Ok(Self { address, about: None, sudo: sudo(running::is_installed()) }),
                    Err(error) => Err(say!(
                        "the gateway was not reached: {why}; nor does anything answer at http://{address} ({error})",
                        "没有连上网关：{why}；http://{address} 也没有响应（{error}）"
                    )),
                }
            }
            (Err(_), None) if on_this_machine(&base_url).is_some_and(|address| !answers(address)) => Err(say!(
                "nothing answers at {base_url} (ANTHROPIC_BASE_URL): Claude Code gets no answer there either",
                "{base_url}（ANTHROPIC_BASE_URL）没有响应：Claude Code 也连不上它"
            )),
            // The service obeys root alone, but takes requests of everybody.
            (Err(why), None) => {
                match located.listen.map(reachable).filter(|address| base_url.is_empty() && answers(*address)) {
                    Some(address) => {
                        let command = running::typed();
                        // Who kept the one in settings.json has the other there too.
                        let has = |name: &str| env(name).is_some_and(|key| !key.is_empty());
                        let has_key = has("ANTHROPIC_AUTH_TOKEN") || has("ANTHROPIC_API_KEY");
                        let key = if has_key { "" } else { " ANTHROPIC_AUTH_TOKEN=sk-your-key" };
                        Err(say!(
                            "it is not known at which address the gateway listens, and ~/.claude/settings.json is not read. \
                             Something answers at {address}; if that is the gateway, type: \
                             export ANTHROPIC_BASE_URL=http://{address}{key}; {command}\nor let the gateway say it: {why}",
                            "不知道网关的监听地址（这里不读取 ~/.claude/settings.json）。{address} 有响应，如果它就是网关，请执行：\
                             export ANTHROPIC_BASE_URL=http://{address}{key}; {command}\n或者向网关查询：{why}"
                        ))
                    }
                    None => Err(say!("the gateway was not reached: {why}", "没有连上网关：{why}")),
                }
            }
        }
    }
}

fn sudo(is_service: bool) -> &'static str {
    if is_service { "sudo " } else { "" }
}

/// The address on this machine that a base URL names.
fn on_this_machine(base_url: &str) -> Option<SocketAddr> {
    let authority = base_url.strip_prefix("http://")?.trim_end_matches('/').replace("localhost", "127.0.0.1");
    authority.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())
}

fn answers(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, CONNECT_TIME).is_ok()
}
