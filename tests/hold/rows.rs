//! What the gateway wrote: rows of the request log, and metrics.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::plan::Nonce;

/// A row of the request log, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// How it ended.
    pub(crate) outcome: String,
    /// The status that the client got.
    pub(crate) status: u16,
    /// Why the gateway refused it or failed to serve it; empty for no such thing.
    pub(crate) reason: String,
    /// The last upstream that was asked.
    pub(crate) upstream: Option<String>,
    /// Those that failed.
    pub(crate) tried: Vec<String>,
    /// Input, output, written to the cache, read from it.
    pub(crate) tokens: [Option<u64>; 4],
    /// In billionths of a dollar.
    pub(crate) cost: Option<u64>,
}

/// The request log, read beside the gateway.
pub(crate) struct Log {
    connection: Connection,
    seen: i64,
    /// Rows of requests that never told whose they are, by outcome.
    pub(crate) nameless: HashMap<String, usize>,
}

impl Log {
    /// Opens the file.
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the request log");
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a time-out");
        Self { connection, seen: 0, nameless: HashMap::new() }
    }

    /// The rows that came since the last time, by nonce.
    pub(crate) fn newer(&mut self) -> HashMap<Nonce, Vec<Row>> {
        let sql = "SELECT rowid, session, outcome, status, reason, upstream, tried, input_tokens, output_tokens, \
                   cache_write_tokens, cache_read_tokens, cost_nano FROM requests WHERE rowid > ?1 ORDER BY rowid";
        let mut statement = self.connection.prepare_cached(sql).expect("the columns");
        let mut rows = statement.query([self.seen]).expect("rows");
        let mut found: HashMap<Nonce, Vec<Row>> = HashMap::new();
        while let Some(row) = rows.next().expect("a row") {
            self.seen = row.get(0).expect("its number");
            let session: Option<String> = row.get(1).expect("its session");
            let Some(nonce) = session.and_then(|session| session.parse().ok()) else {
                *self.nameless.entry(row.get(2).expect("its outcome")).or_default() += 1;
                continue;
            };
            let tried: Option<String> = row.get(6).expect("tried");
            let tokens = [7, 8, 9, 10].map(|column| row.get::<_, Option<u64>>(column).expect("tokens"));
            found.entry(nonce).or_default().push(Row {
                outcome: row.get(2).expect("its outcome"),
                status: row.get(3).expect("its status"),
                reason: row.get(4).expect("its reason"),
                upstream: row.get(5).expect("its upstream"),
                tried: names(tried.as_deref()),
                tokens,
                cost: row.get(11).expect("its cost"),
            });
        }
        found
    }

    /// What all rows cost, in billionths of a dollar.
    pub(crate) fn cost(&self) -> u64 {
        let sql = "SELECT COALESCE(SUM(cost_nano), 0) FROM requests";
        self.connection.query_row(sql, [], |row| row.get(0)).expect("a sum")
    }

    /// How many responses were served that told no usage.
    pub(crate) fn untold(&self) -> u64 {
        let sql = "SELECT COUNT(*) FROM requests WHERE cost_nano IS NULL AND outcome IN ('completed', 'unreadable')";
        self.connection.query_row(sql, [], |row| row.get(0)).expect("a count")
    }

    /// Whether SQLite finds the file sound.
    pub(crate) fn is_sound(&self) -> bool {
        self.connection
            .query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0))
            .is_ok_and(|said| said == "ok")
    }
}

fn names(tried: Option<&str>) -> Vec<String> {
    let list: Vec<Value> = tried.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    list.iter().filter_map(|one| one["upstream"].as_str().map(str::to_owned)).collect()
}
