//! A copy of the request log, as of one moment, whoever writes to it meanwhile.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;
use std::time::Duration;

/// How long another program may hold the file.
const BUSY: Duration = Duration::from_secs(10);

/// Copies the file at `from` to `to`, where there is none.
///
/// # Errors
/// When it cannot be read, or the copy cannot be written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", from.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let copied = runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(from).busy_timeout(BUSY).disable_statement_logging();
        let mut connection = options.connect().await?;
        sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
        connection.close().await
    });
    copied.map_err(|error: sqlx::Error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use std::sync::Arc;

    async fn rows(path: &Path) -> i64 {
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("opened");
        sqlx::query_scalar("SELECT COUNT(*) FROM requests").fetch_one(&mut connection).await.expect("a count")
    }

    #[test]
    fn a_copy_is_whole_while_another_has_the_file_open() {
        let dir = tempfile::tempdir().expect("a folder");
        let (from, to) = (dir.path().join("from.db"), dir.path().join("to.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut database = runtime.block_on(Database::open(&from)).expect("opened");
        runtime.block_on(database.insert(&[Arc::new(crate::sample::record())])).expect("written");
        // It stays open: its last rows are in the file beside it.
        copy(&from, &to).expect("copied");
        assert_eq!((runtime.block_on(rows(&from)), runtime.block_on(rows(&to))), (1, 1));
        assert!(copy(&from, &to).is_err(), "what is there is not replaced");
        assert!(copy(&dir.path().join("none.db"), &dir.path().join("x.db")).is_err());
    }
}
