//! The parts of the configuration: each reads its own settings, and says what is wrong with them.

pub(super) mod allow_origins;
pub(super) mod base_url;
pub(crate) mod built_in;
pub(super) mod forwarding;
pub(crate) mod headers;
pub(crate) mod health;
pub(super) mod language;
pub(super) mod limits;
pub(super) mod models;
pub(super) mod prices;
pub(crate) mod profile;
pub(crate) mod proxy;
pub(super) mod request_log;
pub(crate) mod resilience;
pub(crate) mod routes;
pub(super) mod rules;
pub(super) mod server_conf;
pub(super) mod service;
pub(crate) mod settings;
pub(super) mod startup;
pub(super) mod system_prompt;
pub(crate) mod thinking;
pub(super) mod timeouts;
pub(super) mod tls_listener;
pub(crate) mod upstream;
pub(super) mod upstream_keys;
mod upstream_names;
