//! From what the operator wrote to validated, ready-to-use values.
//!
//! [`load()`] is the one place where precedence lives: command line, environment, `env/.env`, the panel's overlay, the YAML
//! file, default. Every mistake is found in one go, each with its place; a configuration with a mistake is never used.
//!
//! `source/` finds the texts, `section/` makes values of them, `lower` puts these together; others see what is named here.

mod files;
mod known_secrets;
pub mod live;
mod load;
mod locate;
mod lower;
mod mask;
mod panel;
pub mod panel_key;
pub mod schema;
mod section;
mod source;
mod trial;
mod warnings;

pub use files::Arguments;
pub use load::{Loaded, load};
pub use locate::locate;
pub use lower::Config;
pub use section::allow_origins::AllowOrigins;
pub use section::forwarding::ForwardedFor;
pub use section::limits::Limits;
pub use section::request_log::Kept;
pub use section::service::Drain;
pub use section::startup::{LogFormat, Startup};
#[cfg(test)]
pub use section::tls_listener::TlsListener;
pub use section::{built_in, headers, health, profile, proxy, resilience, routes, settings, upstream};
pub use source::atomic_file::write_whole;
pub use source::environment::Lookup;
pub use source::settings_reader::Effective as EffectiveSetting;
pub use source::{problem, secret, text_file, words};
