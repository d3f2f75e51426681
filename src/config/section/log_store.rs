//! Where the request log is kept: in a file, or in a database that several gateways share.

use std::fmt::{Debug, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// The parameters of a URL that sqlx knows (sqlx-postgres, `options/parse.rs`).
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

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
    /// In the place of the URL's, as it is written.
    password: Option<String>,
}

/// Why a text is not the URL of a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAUrl {
    /// It is no such URL, or names no database.
    Database,
    /// It has a parameter that nobody would keep.
    Parameter {
        /// Its name, unless it may be part of a password.
        name: String,
    },
}

impl LogStore {
    /// A URL, or else a path; `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once("://") {
            Some(_) => Some(Self::Postgres(Arc::new(PostgresUrl::parse(text).ok()?))),
            None => Some(Self::File(text.into())),
        }
    }

    /// The setting that says so.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "gateway.database",
            Self::Postgres(_) => "gateway.store.url",
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
    /// What `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...` says.
    ///
    /// # Errors
    /// When it is no such URL, names no database, or has a parameter that is not known.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
        let url = url.ok_or(NotAUrl::Database)?;
        if url.path().trim_start_matches('/').is_empty() || url.fragment().is_some() {
            return Err(NotAUrl::Database);
        }
        if let Some((name, value)) = url.query_pairs().find(|(name, _)| !is_known(name)) {
            let name = if is_name(&name) && !value.is_empty() { &*name } else { "***" };
            return Err(NotAUrl::Parameter { name: name.to_owned() });
        }
        let mut shown = url.clone();
        // Neither fails for a URL with a host, and one without has no password.
        let _ = shown.set_password(None);
        // All else that may be said there is not needed to know which database it is.
        shown.set_query(None);
        Ok(Self { url: url.into(), shown: shown.into(), password: None })
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self.clone() }
    }

    /// All of the URL, with the password that may be in it: for the connection, and nothing else.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The password in the place of the URL's: for the connection, and nothing else.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

/// Whether sqlx does what a parameter of this name says. Another one it logs with its value, which may be a secret.
fn is_known(name: &str) -> bool {
    PARAMETERS.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

/// Whether this looks like the name of a parameter. Where a `&` of a password is not encoded, the rest of it is none.
fn is_name(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte))
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
        let other = url.with_password("a/b:%41");
        assert_eq!((other.password(), &*format!("{other:?}")), (Some("a/b:%41"), "postgres://me@db.example:5433/log"));
        assert!(other.expose().contains("sslmode=require"));
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for text in ["", "data/gateway.db", "mysql://a/b", "postgres://host", "postgres://host/", "postgres://h/d#f"] {
            assert_eq!(PostgresUrl::parse(text), Err(NotAUrl::Database), "{text}");
        }
        assert!(PostgresUrl::parse("postgresql:///log?host=/run/postgresql&options[jit]=on").is_ok());
    }

    #[test]
    fn a_parameter_that_nobody_would_keep_is_refused_by_its_name_alone() {
        for (text, name) in [
            ("sslmode=require&sslpassword=secret", "sslpassword"),
            ("channel_binding=require", "channel_binding"),
            ("options[jit=on", "***"),
            // The rest of a password.
            ("password=one&two", "***"),
            ("password=one&Two3=", "***"),
        ] {
            let refused = Err(NotAUrl::Parameter { name: name.to_owned() });
            assert_eq!(PostgresUrl::parse(&format!("postgres://h/d?{text}")), refused, "{text}");
        }
    }
}
