//! Rows in the text format of COPY. Pure.

use crate::store::columns::Value;
use std::fmt::Write as _;

/// Rows for `COPY ... FROM STDIN`.
#[derive(Debug, Default)]
pub(super) struct CopyText {
    text: String,
    is_in_row: bool,
}

impl CopyText {
    /// Adds a value to the row.
    pub(super) fn add(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.separated().push_str("\\N"),
            // A string takes whatever there is memory for.
            Value::Integer(number) => drop(write!(self.separated(), "{number}")),
            Value::Real(number) => drop(write!(self.separated(), "{number}")),
            Value::Text(text) => self.add_text(text),
        }
    }

    fn add_text(&mut self, text: &str) {
        let out = self.separated();
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '\t', '\n', '\r', '\0']) {
            out.push_str(&rest[..at]);
            out.push_str(match rest.as_bytes()[at] {
                b'\\' => "\\\\",
                b'\t' => "\\t",
                b'\n' => "\\n",
                b'\r' => "\\r",
                // PostgreSQL has no text with a zero byte in it.
                _ => "\u{fffd}",
            });
            rest = &rest[at + 1..];
        }
        out.push_str(rest);
    }

    fn separated(&mut self) -> &mut String {
        if std::mem::replace(&mut self.is_in_row, true) {
            self.text.push('\t');
        }
        &mut self.text
    }

    /// Ends the row.
    pub(super) fn end_row(&mut self) {
        self.is_in_row = false;
        self.text.push('\n');
    }

    /// All rows.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_values_and_rows_is_escaped_within_them() {
        let mut rows = CopyText::default();
        for value in [Value::Null, 5_i64.into(), 0.25.into(), "a\tb\nc\rd\\e\0".into(), "\\N".into(), "".into()] {
            rows.add(&value);
        }
        rows.end_row();
        rows.add(&"中".into());
        rows.end_row();
        let text = String::from_utf8(rows.into_bytes()).expect("a text");
        assert_eq!(text, "\\N\t5\t0.25\ta\\tb\\nc\\rd\\\\e\u{fffd}\t\\\\N\t\n中\n");
    }
}
