//! From what the operator wrote to validated, ready-to-use values.
//!
//! [`load()`] is the one place where precedence lives: command line, environment, `env/.env`, the panel's overlay, the YAML
//! file, default. Every mistake is found in one go, each with its place; a configuration with a mistake is never used.
//!
//! `source/` finds the texts, `section/` makes values of them, `lower` puts these together; others see what is named here.

mod files;
mod former;
mod known_secrets;
pub(crate) mod live;
mod load;
mod locate;
mod lower;
mod mask;
mod panel;
pub(crate) mod panel_key;
pub(crate) mod schema;
mod section;
mod service_file;
mod source;
mod spoken;
mod trial;
mod warnings;

pub use files::Arguments;
pub(crate) use files::{BUILT_IN, DEFAULT_FILE, DOTENV_FILE, dotenv_variables};
pub(crate) use load::Loaded;
pub use load::load;
pub(crate) use locate::{Located, locate};
pub(crate) use lower::Config;
pub(crate) use mask::has_secrets;
pub(crate) use section::allow_origins::AllowOrigins;
pub(crate) use section::base_url::BaseUrl;
pub(crate) use section::forwarding::{ForwardedFor, HintHeaders, Via};
pub(crate) use section::key_names::KeyNames;
pub(crate) use section::limits::Limits;
pub(crate) use section::log_store;
pub(crate) use section::request_log::Kept;
pub(crate) use section::routes::KEY_MAPPINGS_FILE;
pub(crate) use section::service::Drain;
pub(crate) use section::startup::{LogFormat, Startup};
pub(crate) use section::team::Bounds as TeamBounds;
#[cfg(test)]
pub(crate) use section::tls_listener::TlsListener;
pub(crate) use section::{
    api_keys, balance, built_in, headers, health, profile, proxy, resilience, routes, settings, thinking, upstream,
    upstream_test,
};
pub(crate) use section::{notify, notify_target};
pub(crate) use service_file::{environment_file, lines_left_out};
pub(crate) use source::atomic_file::write_whole;
pub(crate) use source::environment::Lookup;
pub(crate) use source::environment_file::EnvironmentFile;
pub(crate) use source::settings_reader::Effective as EffectiveSetting;
pub(crate) use source::{fingerprint, problem, secret, text_file, words};
pub(crate) use spoken::spoken;
pub(crate) use trial::{addresses, is_in_the_way};
