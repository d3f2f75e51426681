//! What is wrong with a configuration, and where.

use super::message::Message;
use super::text_file;
use super::words::Near;
use gateway_core::both;
use gateway_core::language::{Language, Words};
use gateway_core::redact::shapes;
use std::{fmt, io};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    CommandLine,
    /// An environment variable.
    Environment(&'static str),
    /// A variable in `env/.env`; line and column of its value count from 1.
    DotEnv {
        /// Its name.
        name: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A variable in the file from which systemd takes them for a service.
    EnvironmentFile {
        /// Its name.
        name: &'static str,
        /// Path of the file.
        path: String,
        /// Line, from 1.
        line: usize,
    },
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

/// Stands for the path of the configuration that is built in.
pub(crate) const BUILT_IN_PATH: &str = "built-in defaults";

/// The path of a file in words.
pub(crate) fn path_words(path: &str) -> Words {
    match path {
        BUILT_IN_PATH => both!("built-in defaults", "内置默认配置"),
        path => Words::said(path.to_owned()),
    }
}

impl Source {
    /// The place in words.
    pub(crate) fn words(&self) -> Words {
        match self {
            Self::CommandLine => both!("command line", "命令行"),
            Self::Environment(name) => both!("environment {name}", "环境变量 {name}"),
            Self::DotEnv { name, line, column } => Words::said(format!("env/.env:{line}:{column} {name}")),
            Self::EnvironmentFile { name, path, line } => Words::said(format!("{path}:{line} {name}")),
            Self::File { path, line, column } if path == BUILT_IN_PATH => {
                both!("built-in defaults:{line}:{column}", "内置默认配置:{line}:{column}")
            }
            Self::File { path, line, column } | Self::Overlay { path, line, column } => {
                Words::said(format!("{path}:{line}:{column}"))
            }
            Self::WholeFile(path) => path_words(path),
            Self::Default => both!("default", "默认值"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
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

    /// That a file cannot be read; with the place of the first character that is none, and what to do if it has another
    /// encoding, or is another user's.
    pub(crate) fn unreadable(path: &str, error: &io::Error, what: Message) -> Self {
        let at = match text_file::place_of(error) {
            Some((line, column)) => Source::File { path: path.to_owned(), line, column },
            None => Source::WholeFile(path.to_owned()),
        };
        let what = text_file::refused(path, error).or_else(|| text_file::encoding(error)).unwrap_or(what);
        Self { at, key: String::new(), what }
    }

    /// Key and words, in English, without secrets.
    pub fn message(&self) -> String {
        self.message_in(Language::English)
    }

    /// Key and words, without secrets.
    pub(crate) fn message_in(&self, language: Language) -> String {
        let what = self.what.text(language);
        let text = match (self.key.as_str(), language) {
            ("", _) => what,
            (key, Language::English) => format!("{key}: {what}"),
            (key, Language::Chinese) => format!("{key}：{what}"),
        };
        shapes(&text).into_owned()
    }

    /// The same in both languages.
    pub(crate) fn words(&self) -> Words {
        let [english, chinese] = [Language::English, Language::Chinese].map(|language| self.text(language));
        Words::new(format_args!("{english}"), format_args!("{chinese}"))
    }

    /// Place, key and words, without secrets.
    pub(crate) fn text(&self, language: Language) -> String {
        // What is said of a place in a file is behind the colon that editors look for.
        let colon = match (&self.at, language) {
            (Source::CommandLine | Source::Environment(_) | Source::Default, Language::Chinese) => "：",
            _ => ": ",
        };
        format!("{}{colon}{}", self.at.words().text(language), self.message_in(language))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Language::English))
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// All of them, a line each.
    pub(crate) fn words(&self) -> Words {
        Words::joined(&self.0.iter().map(Problem::words).collect::<Vec<_>>(), "\n")
    }
}

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
