//! One text of SQL for each thing that is read: with values that are bound to it, and rows that are found by it. What databases
//! say in words of their own is here, and nowhere else.

use crate::store::pool::On;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{ColumnIndex, Decode, Postgres, Sqlite, Type};
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

/// A statement in the making: in the words of each database, with the same values.
#[derive(Clone, Debug)]
pub(super) struct Text {
    sqlite: String,
    postgres: String,
    bound: Vec<Bound>,
}

impl Text {
    /// One that begins so.
    pub(super) fn new(begin: impl Into<String>) -> Self {
        let begin = begin.into();
        Self { postgres: begin.clone(), sqlite: begin, bound: Vec::new() }
    }

    /// Goes on with this.
    pub(super) fn push(&mut self, part: impl Display) -> &mut Self {
        self.push_each(&part, &part)
    }

    /// Goes on with this in SQLite, and with that in PostgreSQL.
    pub(super) fn push_each(&mut self, sqlite: impl Display, postgres: impl Display) -> &mut Self {
        // A string takes whatever there is memory for.
        let _ = write!(self.sqlite, "{sqlite}");
        let _ = write!(self.postgres, "{postgres}");
        self
    }

    /// Goes on with a value.
    pub(super) fn push_bind(&mut self, value: impl Into<Bound>) -> &mut Self {
        self.bound.push(value.into());
        // To SQLite a number is a name, and each name of thousands is looked up in the list of all.
        let number = self.bound.len();
        self.push_each("?", format_args!("${number}"))
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
        // PostgreSQL has no text with a zero byte in it, and so no row that such a name could find.
        let names = names.map(String::as_str).filter(|name| !name.contains('\0'));
        let list = serde_json::Value::from_iter(names).to_string();
        self.push_each("json_each(", "json_array_elements_text(CAST(").push_bind(list);
        self.push_each(") AS listed", " AS JSON)) AS listed (value)")
    }

    /// All different values of an expression, but for nulls, as a list in JSON: null or empty if there are none.
    pub(super) fn push_distinct(&mut self, value: &str) -> &mut Self {
        self.push_each("json_group_array(", "CAST(JSON_AGG(");
        self.push(format_args!("DISTINCT {value}) FILTER (WHERE {value} IS NOT NULL)")).push_each("", " AS TEXT)")
    }

    /// The condition that a column holds a text, whatever its case.
    pub(super) fn push_contains(&mut self, column: &str, text: &str) -> &mut Self {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.push(column).push_each(" LIKE ", " ILIKE ").push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'")
    }

    fn for_sqlite(&self) -> Query<'_, Sqlite, SqliteArguments<'_>> {
        self.bound.iter().fold(sqlx::query(&self.sqlite), |query, bound| match bound {
            Bound::Integer(number) => query.bind(*number),
            Bound::Text(text) => query.bind(text.as_str()),
        })
    }

    fn for_postgres(&self) -> Query<'_, Postgres, PgArguments> {
        self.bound.iter().fold(sqlx::query(&self.postgres), |query, bound| match bound {
            Bound::Integer(number) => query.bind(*number),
            // It takes no zero byte in a text: what was written with one has this in its place.
            Bound::Text(text) => query.bind(text.replace('\0', "\u{fffd}")),
        })
    }

    /// All rows.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(super) async fn fetch_all<'c>(&self, on: impl Into<On<'c>>) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match on.into() {
            On::SqlitePool(pool) => of_sqlite(self.for_sqlite().fetch_all(pool).await?),
            On::Sqlite(connection) => of_sqlite(self.for_sqlite().fetch_all(connection).await?),
            On::PostgresPool(pool) => of_postgres(self.for_postgres().fetch_all(pool).await?),
            On::Postgres(connection) => of_postgres(self.for_postgres().fetch_all(connection).await?),
        })
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(super) async fn fetch_optional<'c>(&self, on: impl Into<On<'c>>) -> Result<Option<Row>, sqlx::Error> {
        Ok(match on.into() {
            On::SqlitePool(pool) => self.for_sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
            On::Sqlite(connection) => self.for_sqlite().fetch_optional(connection).await?.map(Row::Sqlite),
            On::PostgresPool(pool) => self.for_postgres().fetch_optional(pool).await?.map(Row::Postgres),
            On::Postgres(connection) => self.for_postgres().fetch_optional(connection).await?.map(Row::Postgres),
        })
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
    pub(super) async fn execute<'c>(&self, on: impl Into<On<'c>>) -> Result<(), sqlx::Error> {
        match on.into() {
            On::SqlitePool(pool) => self.for_sqlite().execute(pool).await.map(drop),
            On::Sqlite(connection) => self.for_sqlite().execute(connection).await.map(drop),
            On::PostgresPool(pool) => self.for_postgres().execute(pool).await.map(drop),
            On::Postgres(connection) => self.for_postgres().execute(connection).await.map(drop),
        }
    }
}

fn of_sqlite(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn of_postgres(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

/// A row that was found.
pub(super) enum Row {
    /// In SQLite.
    Sqlite(SqliteRow),
    /// In PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The value of a column, by its name or its place.
    ///
    /// # Errors
    /// When there is no such column, or it is of another type.
    pub(super) fn try_get<'r, T, I>(&'r self, column: I) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => sqlx::Row::try_get(row, column),
            Self::Postgres(row) => sqlx::Row::try_get(row, column),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_in_their_order_and_never_written_into_the_text() {
        let mut sql = Text::new("SELECT 1 WHERE a = ");
        sql.push_bind("x'; DROP TABLE requests").push(" AND b IN (").push_values([1, 2]).push(") AND ");
        sql.push_contains("c", "50%");
        assert_eq!(sql.sqlite, "SELECT 1 WHERE a = ? AND b IN (?, ?) AND c LIKE ? ESCAPE '\\'");
        assert_eq!(sql.postgres, "SELECT 1 WHERE a = $1 AND b IN ($2, $3) AND c ILIKE $4 ESCAPE '\\'");
        assert_eq!(sql.bound.len(), 4);
    }
}
