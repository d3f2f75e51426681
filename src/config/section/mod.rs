//! The parts of the configuration: each reads its own settings, and says what is wrong with them.

pub mod allow_origins;
pub mod base_url;
pub mod built_in;
pub mod forwarding;
pub mod headers;
pub mod health;
pub mod limits;
pub mod prices;
pub mod profile;
pub mod proxy;
pub mod request_log;
pub mod resilience;
pub mod routes;
pub mod rules;
pub mod server_conf;
pub mod service;
pub mod settings;
pub mod startup;
pub mod system_prompt;
pub mod timeouts;
pub mod tls_listener;
pub mod upstream;
pub mod upstream_keys;
