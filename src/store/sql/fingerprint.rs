//! Rows by the fingerprint of a key. Those of earlier versions have the first half of it only.

use super::text::Text;
use crate::store::key_groups::OLD_DIGITS;

/// The condition that a column has one of these fingerprints: each a whole one, or its beginning. A whole one finds the
/// rows that have less of it too.
pub(super) fn has_fingerprint(sql: &mut Text, column: &'static str, values: &[String]) {
    sql.push("(1 = 0");
    for value in values {
        let value = value.to_ascii_lowercase();
        let old = value.get(..OLD_DIGITS).filter(|old| old.len() < value.len()).map(str::to_owned);
        sql.push(format_args!(" OR SUBSTR({column}, 1, {}) = ", value.chars().count())).push_bind(value);
        if let Some(old) = old {
            sql.push(" OR ").push(column).push(" = ").push_bind(old);
        }
    }
    sql.push(")");
}
