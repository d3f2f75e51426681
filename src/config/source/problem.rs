//! What is wrong with a configuration, and where.

use super::message::Message;
use super::words::Near;
use gateway_core::redact::shapes;
use std::fmt;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    CommandLine,
    /// An environment variable.
    Environment(&'static str),
    /// A variable in `env/.env`.
    DotEnv(&'static str),
    /// A place in a file; line and column count from 1.
    File {
        /// Path as the operator gave it.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A place in the overlay that the panel writes; line and column count from 1.
    Overlay {
        /// Path of the overlay.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A file as a whole.
    WholeFile(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::DotEnv(name) => write!(f, "env/.env {name}"),
            Self::File { path, line, column } | Self::Overlay { path, line, column } => {
                write!(f, "{path}:{line}:{column}")
            }
            Self::WholeFile(path) => f.write_str(path),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the wrong value stands.
    pub at: Source,
    /// The path of the setting, such as `gateway.listen`; empty if it is no setting's.
    pub key: String,
    /// What is wrong and what to do.
    pub what: Message,
}

impl Problem {
    /// What is wrong with the file as a whole.
    pub fn of_file(path: &str, what: Message) -> Self {
        Self { at: Source::WholeFile(path.to_owned()), key: String::new(), what }
    }

    /// Key and words, in English, without secrets.
    pub fn message(&self) -> String {
        let what = self.what.to_string();
        let text = if self.key.is_empty() { what } else { format!("{}: {what}", self.key) };
        shapes(&text).into_owned()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message())
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The name in `known` that is nearest to `given`, if one is near.
pub(crate) fn near<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Near {
    let nearest = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(given.len()) / 2);
    Near(nearest.map(|(_, name)| name.to_owned()))
}
