//! Where settings come from: what a setting is, YAML texts, variables, files; and what a value and a mistake look like.

pub(super) mod atomic_file;
mod blank_missing;
pub(super) mod bounds;
pub(super) mod dotenv;
pub(super) mod environment;
pub(crate) mod environment_file;
pub(crate) mod fingerprint;
pub(super) mod json_text;
pub(super) mod layers;
pub(super) mod message;
pub(super) mod node;
pub(super) mod node_reader;
pub(super) mod place;
pub(crate) mod problem;
pub(crate) mod secret;
pub(super) mod setting;
pub(super) mod settings_reader;
mod tab;
pub(crate) mod text_file;
pub(super) mod typed;
pub(super) mod value;
pub(crate) mod words;
