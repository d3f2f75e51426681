//! Connections to the server: one that writes, and some that read.

use crate::config::log_store::PostgresUrl;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, Row as _};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections that read, at most; with the writer's own there are four.
const CONNECTIONS: u32 = 3;
/// How long a reader waits for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);
/// How old the size may be that is told, and how long a new one is waited for.
const SIZE_AGE: Duration = Duration::from_secs(10);
const SIZE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_secs(60);
/// What all of them ask for: no statement waits long for a lock, and none is compiled, which takes longer than ours do.
const SESSION: &str = "SET lock_timeout = '2s'; SET jit = off; SET client_min_messages = warning; SET timezone = 'UTC'";
/// What those that read ask for beside it: nobody waits that long for a page.
const READING: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'";

/// What the one that writes asks for beside it. A gateway whose machine is gone tells nobody, and its session would hold the rows
/// of its batch until TCP gives up, hours later: the server ends it before. `tcp_user_timeout` is for what it has sent already.
const WRITING: &str = "SET idle_in_transaction_session_timeout = '15s'; SET statement_timeout = '30s'; \
                       SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
                       SET tcp_user_timeout = '30s'";

/// Connections that read, opened when something is read.
#[derive(Clone, Debug)]
pub(in crate::store) struct Connections {
    url: Arc<PostgresUrl>,
    opened: Arc<Mutex<Option<PgPool>>>,
    size: Arc<Mutex<Size>>,
}

/// What the tables take.
#[derive(Debug, Default)]
struct Size {
    bytes: u64,
    /// When somebody asked last.
    asked: Option<Instant>,
}

impl Connections {
    /// Those to this database.
    pub(in crate::store) fn to(url: Arc<PostgresUrl>) -> Self {
        Self { url, opened: Arc::default(), size: Arc::default() }
    }

    /// What statements that read are executed on.
    ///
    /// # Errors
    /// When the URL says what cannot be done.
    pub(in crate::store) fn pool(&self) -> Result<PgPool, sqlx::Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*opened {
            return Ok(pool.clone());
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(IDLE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(SESSION).await?;
                    connection.execute(READING).await.map(drop)
                })
            })
            .connect_lazy_with(options(&self.url)?);
        Ok(opened.insert(pool).clone())
    }
}

impl Connections {
    /// What all tables take, as it was known to be last: it is asked for now and then, and not waited for long.
    pub(in crate::store) async fn bytes(&self) -> u64 {
        let is_old = self.with_size(|size| {
            let is_old = size.asked.is_none_or(|asked| asked.elapsed() > SIZE_AGE);
            if is_old {
                size.asked = Some(Instant::now());
            }
            is_old
        });
        if is_old {
            let asking = async {
                let row = sqlx::query(super::BYTES).fetch_one(&self.pool()?).await?;
                row.try_get::<i64, _>(0)
            };
            if let Ok(bytes) = within(SIZE_PATIENCE, "it does not answer", asking).await {
                self.with_size(|size| size.bytes = bytes.unsigned_abs());
            }
        }
        self.with_size(|size| size.bytes)
    }

    fn with_size<T>(&self, work: impl FnOnce(&mut Size) -> T) -> T {
        work(&mut self.size.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection of its own, to write.
///
/// # Errors
/// When the server cannot be reached, or lets nobody in.
pub(super) async fn connect(url: &PostgresUrl) -> Result<PgConnection, sqlx::Error> {
    let options = options(url)?;
    within(CONNECTING, "it does not answer", async {
        let mut connection = options.connect().await?;
        connection.execute(SESSION).await?;
        connection.execute(WRITING).await?;
        Ok(connection)
    })
    .await
}

/// What this gives, unless it takes longer.
pub(super) async fn within<T>(
    longest: Duration,
    why: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(longest, work).await {
        Ok(done) => done,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why))),
    }
}

/// What the URL says. What is wrong with it is told without its text, which has the password.
fn options(url: &PostgresUrl) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.expose().parse().map_err(|_| {
        let why =
            "the URL of the database cannot be read: postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full";
        sqlx::Error::Configuration(why.into())
    })?;
    let options = match url.password() {
        Some(password) => options.password(password),
        None => options,
    };
    Ok(options.application_name("anyrouter-gateway").disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::log_store::LogStore;
    use crate::store::test_store::TestStore;
    use sqlx::Connection as _;

    fn url(log: &TestStore) -> &PostgresUrl {
        match &log.store {
            LogStore::Postgres(url) => url,
            LogStore::File(path) => panic!("{} is no server", path.display()),
        }
    }

    #[tokio::test]
    async fn a_gateway_that_went_away_within_a_batch_stands_in_nobodys_way_for_long() {
        let Some(log) = TestStore::in_postgres().await else { return };
        let mut writing = connect(url(&log)).await.expect("a connection");
        // Those of TCP are taken at a socket, and tell 0 there.
        for (name, value) in [("idle_in_transaction_session_timeout", "15s"), ("statement_timeout", "30s")] {
            let row = sqlx::query(&format!("SHOW {name}")).fetch_one(&mut writing).await.expect("a row");
            assert_eq!(row.get::<String, _>(0), value, "{name}");
        }
    }

    #[tokio::test]
    async fn a_password_beside_the_url_is_the_one_as_it_is_written() {
        let Some(log) = TestStore::in_postgres().await else { return };
        let mut owner = connect(url(&log)).await.expect("a connection");
        let (role, password) = (format!("role_{:x}", fastrand::u64(..)), "a%41b/@:?#%");
        owner.execute(&*format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'")).await.expect("a role");
        let exposed = url(&log).expose();
        let (_, place) = exposed.split_once('@').expect("a user");
        let (_, of_socket) = place.split_once('/').expect("a database");
        for without in [format!("postgres://{role}@{place}"), format!("postgresql:///{of_socket}&user={role}")] {
            let url = PostgresUrl::parse(&without).expect("a URL");
            assert!(connect(&url.with_password("aAb")).await.is_err(), "{without}: another");
            let connected = connect(&url.with_password(password)).await;
            connected.expect("its password").close().await.expect("closed");
        }
        owner.execute(&*format!("DROP ROLE {role}")).await.expect("dropped");
    }
}
