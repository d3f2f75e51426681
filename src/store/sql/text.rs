//! One text of SQL for each thing that is read: with values that are bound to it, and rows that are found by it. What databases
//! say in words of their own is here, and nowhere else.

use crate::store::sqlite::ReadPool;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{ColumnIndex, Decode, Sqlite, SqliteConnection, Type};
use std::fmt::{Display, Write as _};

/// A value that is bound to a text.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// A whole number.
    Integer(Option<i64>),
    /// A text.
    Text(String),
}

impl From<i64> for Bound {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Bound {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Bound {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Bound {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Bound {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

/// A statement in the making.
#[derive(Clone, Debug)]
pub(super) struct Text {
    sql: String,
    bound: Vec<Bound>,
}

/// What a statement is executed on.
pub(super) enum On<'c> {
    /// One of some connections.
    Pool(&'c ReadPool),
    /// This one, within a transaction or without.
    Connection(&'c mut SqliteConnection),
}

impl<'c> From<&'c ReadPool> for On<'c> {
    fn from(pool: &'c ReadPool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut SqliteConnection> for On<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Connection(connection)
    }
}

impl Text {
    /// One that begins so.
    pub(super) fn new(begin: impl Into<String>) -> Self {
        Self { sql: begin.into(), bound: Vec::new() }
    }

    /// Goes on with this.
    pub(super) fn push(&mut self, part: impl Display) -> &mut Self {
        // A string takes whatever there is memory for.
        let _ = write!(self.sql, "{part}");
        self
    }

    /// Goes on with a value.
    pub(super) fn push_bind(&mut self, value: impl Into<Bound>) -> &mut Self {
        self.bound.push(value.into());
        // Numbered, as all databases know them.
        self.push(format_args!("${}", self.bound.len()))
    }

    /// Goes on with values, with commas between.
    pub(super) fn push_values(&mut self, values: impl IntoIterator<Item = impl Into<Bound>>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " }).push_bind(value);
        }
        self
    }

    /// The condition that what is before it is one of these: a list that the database takes apart, for there is no end of
    /// lengths.
    pub(super) fn push_among<'n>(&mut self, names: impl Iterator<Item = &'n String>) -> &mut Self {
        self.push(" IN (SELECT value FROM ").push_listed(names).push(")")
    }

    /// A table `listed` with these in its column `value`.
    pub(super) fn push_listed<'n>(&mut self, names: impl Iterator<Item = &'n String>) -> &mut Self {
        let list = serde_json::Value::from_iter(names.map(String::as_str)).to_string();
        self.push("json_each(").push_bind(list).push(") AS listed")
    }

    /// All different values of an expression, but for nulls, as a list in JSON: null or empty if there are none.
    pub(super) fn push_distinct(&mut self, value: &str) -> &mut Self {
        self.push(format_args!("json_group_array(DISTINCT {value}) FILTER (WHERE {value} IS NOT NULL)"))
    }

    /// The condition that a column holds a text, whatever its case.
    pub(super) fn push_contains(&mut self, column: &str, text: &str) -> &mut Self {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.push(column).push(" LIKE ").push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'")
    }

    fn query(&self) -> Query<'_, Sqlite, SqliteArguments<'_>> {
        self.bound.iter().fold(sqlx::query(&self.sql), |query, bound| match bound {
            Bound::Integer(number) => query.bind(*number),
            Bound::Text(text) => query.bind(text.as_str()),
        })
    }

    /// All rows.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(super) async fn fetch_all<'c>(&self, on: impl Into<On<'c>>) -> Result<Vec<Row>, sqlx::Error> {
        let rows = match on.into() {
            On::Pool(pool) => self.query().fetch_all(pool).await?,
            On::Connection(connection) => self.query().fetch_all(connection).await?,
        };
        Ok(rows.into_iter().map(Row).collect())
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(super) async fn fetch_optional<'c>(&self, on: impl Into<On<'c>>) -> Result<Option<Row>, sqlx::Error> {
        let row = match on.into() {
            On::Pool(pool) => self.query().fetch_optional(pool).await?,
            On::Connection(connection) => self.query().fetch_optional(connection).await?,
        };
        Ok(row.map(Row))
    }

    /// The first row.
    ///
    /// # Errors
    /// When the database does not do it, or there is none.
    pub(super) async fn fetch_one<'c>(&self, on: impl Into<On<'c>>) -> Result<Row, sqlx::Error> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Does it.
    ///
    /// # Errors
    /// When the database does not.
    pub(super) async fn execute(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.query().execute(on).await.map(drop)
    }
}

/// A row that was found.
pub(super) struct Row(SqliteRow);

impl Row {
    /// The value of a column, by its name or its place.
    ///
    /// # Errors
    /// When there is no such column, or it is of another type.
    pub(super) fn try_get<'r, T, I>(&'r self, column: I) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
        I: ColumnIndex<SqliteRow>,
    {
        sqlx::Row::try_get(&self.0, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_by_number_and_never_written_into_the_text() {
        let mut sql = Text::new("SELECT 1 WHERE a = ");
        sql.push_bind("x'; DROP TABLE requests").push(" AND b IN (").push_values([1, 2]).push(") AND ");
        sql.push_contains("c", "50%");
        assert_eq!(sql.sql, "SELECT 1 WHERE a = $1 AND b IN ($2, $3) AND c LIKE $4 ESCAPE '\\'");
        assert_eq!(sql.bound.len(), 4);
    }
}
