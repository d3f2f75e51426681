//! Tables and times, as commands print them.

use crate::language::{padded, width};
use humantime::format_rfc3339_seconds;
use std::time::{Duration, UNIX_EPOCH};

/// Milliseconds since 1970 as a date with a time (UTC).
pub(super) fn time(ms: i64) -> String {
    format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())).to_string()
}

/// Rows below their head, in columns.
pub(super) fn table<const N: usize>(head: &[String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.clone()).chain(rows).collect();
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(widest).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, to)| padded(cell, *to));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
