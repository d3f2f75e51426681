//! The request log in PostgreSQL, which several gateways share: how it is written and kept small, in the SQL that only it takes.
//!
//! Rows are in partitions by the day, which are made before they are needed and dropped as a whole. The sums of each gateway
//! have its name in their keys, so that gateways never wait for each other's rows.

mod connections;
mod copy_text;
mod database;
mod insert;
mod partitions;

pub(super) use connections::Connections;
pub(super) use database::Database;

/// What all tables of the log take, with their indexes, in bytes.
const BYTES: &str = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(relid)), 0) AS BIGINT) FROM (\
    SELECT relid FROM pg_partition_tree('requests') UNION ALL SELECT relid FROM pg_partition_tree('texts') UNION ALL \
    SELECT CAST(name AS REGCLASS) FROM UNNEST(ARRAY['shapes', 'rollups', 'series', 'latencies', 'log_batches']) AS name) \
    AS tables";

/// The server's time, in milliseconds since 1970.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

#[cfg(test)]
mod tests;
