//! The parts of the configuration: each reads its own settings, and says what is wrong with them.

pub mod allow_origins;
pub mod base_url;
pub mod built_in;
pub mod headers;
pub mod limits;
pub mod prices;
pub mod profile;
pub mod proxy;
pub mod resilience;
pub mod routes;
pub mod rules;
pub mod server_conf;
pub mod startup;
pub mod upstream;
