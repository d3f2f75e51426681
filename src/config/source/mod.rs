//! Where settings come from: what a setting is, YAML texts, variables, files; and what a value and a mistake look like.

pub mod atomic_file;
pub mod bounds;
pub mod environment;
pub mod layers;
pub mod message;
pub mod node;
pub mod node_reader;
pub mod problem;
pub mod secret;
pub mod setting;
pub mod settings_reader;
pub mod text_file;
pub mod value;
pub mod words;
