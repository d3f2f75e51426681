//! Whether a gateway could listen where the configuration has it.

use crate::config::{self, Startup};
use crate::language;
use crate::listen;
use gateway_core::both;
use gateway_core::language::Words;
use serde::Serialize;
use std::net::SocketAddr;

/// An address that another program has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Taken {
    /// The setting that names it.
    pub setting: &'static str,
    /// The address.
    pub address: String,
    /// Who has it.
    pub by: String,
    /// What to type to see that.
    pub see: String,
}

impl Taken {
    /// That no gateway can start.
    pub(super) fn words(&self) -> Words {
        let Self { setting, address, by, see } = self;
        both!(
            "{setting}: {address} is taken by {by}, so no gateway can start with this configuration: stop that program, or \
             choose another address. Who has it says: {see}",
            "{setting}：{address} 已被占用，网关无法用此配置启动。占用者：{by}（查看：{see}）。请停止该程序，或换一个地址"
        )
    }
}

/// The addresses that others have than this gateway, which has its `own`; none if these are not known.
pub(super) fn taken(startup: &Startup, own: Option<Vec<SocketAddr>>) -> Vec<Taken> {
    let Some(own) = own else { return Vec::new() };
    let all = config::addresses(startup).into_iter();
    // Its own sockets are in the way of all addresses of their port.
    let others = all.filter(|(_, address)| !own.iter().any(|own| own.port() == address.port()));
    let taken = others.filter(|(_, address)| listen::is_taken(*address));
    taken
        .map(|(setting, address)| Taken {
            setting,
            address: address.to_string(),
            by: language::told(&listen::holder(address)),
            see: listen::how_to_see(address),
        })
        .collect()
}
