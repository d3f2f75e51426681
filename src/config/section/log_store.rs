//! Where the request log is kept: in a file, or in a database that several gateways share.

use std::fmt::{Debug, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Where the request log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogStore {
    /// In this SQLite file.
    File(PathBuf),
    /// In PostgreSQL.
    Postgres(Arc<PostgresUrl>),
}

/// Where a PostgreSQL database is, and how it is logged in to. What is shown of it has no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: String,
    shown: String,
}

impl LogStore {
    /// A URL, or else a path; `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once("://") {
            Some(_) => Some(Self::Postgres(Arc::new(PostgresUrl::parse(text)?))),
            None => Some(Self::File(text.into())),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Whether there is something to read: a file that is not there is none, and of a server nobody knows before it is asked.
    pub fn may_be_there(&self) -> bool {
        self.file().is_none_or(Path::exists)
    }
}

impl Display for LogStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => Display::fmt(&path.display(), f),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl From<&Path> for LogStore {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for LogStore {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Self> for LogStore {
    fn from(store: &Self) -> Self {
        store.clone()
    }
}

impl PostgresUrl {
    /// What `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...` says; `None` if it is no such URL, or names no database.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))?;
        if url.path().trim_start_matches('/').is_empty() || url.fragment().is_some() {
            return None;
        }
        let mut shown = url.clone();
        // Neither fails for a URL with a host, and one without has no password.
        let _ = shown.set_password(None);
        // All else that may be said there is not needed to know which database it is.
        shown.set_query(None);
        Some(Self { url: url.into(), shown: shown.into() })
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let url = Url::parse(&self.url).ok().and_then(|mut url| {
            url.set_password(Some(password)).ok()?;
            Some(url.into())
        });
        Self { url: url.unwrap_or_else(|| self.url.clone()), shown: self.shown.clone() }
    }

    /// All of it, with the password: for the connection, and nothing else.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The password, if it is there.
    pub fn password(&self) -> Option<String> {
        let url = Url::parse(&self.url).ok()?;
        let password = url.password()?;
        Some(percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned())
    }
}

impl Debug for PostgresUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        let url =
            PostgresUrl::parse("postgres://me:p%40ss@db.example:5433/log?sslmode=require&password=x").expect("a URL");
        assert_eq!(format!("{url:?}"), "postgres://me@db.example:5433/log");
        assert_eq!(LogStore::Postgres(Arc::new(url.clone())).to_string(), "postgres://me@db.example:5433/log");
        assert_eq!(url.password().as_deref(), Some("p@ss"));
        let other = url.with_password("a/b:c");
        assert_eq!((other.password().as_deref(), &*other.shown), (Some("a/b:c"), "postgres://me@db.example:5433/log"));
        assert!(other.expose().contains("sslmode=require"));
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for text in ["", "data/gateway.db", "mysql://a/b", "postgres://host", "postgres://host/", "postgres://h/d#f"] {
            assert_eq!(PostgresUrl::parse(text), None, "{text}");
        }
        assert!(PostgresUrl::parse("postgresql:///log?host=/run/postgresql").is_some());
    }
}
