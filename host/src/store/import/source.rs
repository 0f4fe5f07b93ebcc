//! The database that is read: whatever columns it has, all of them as text.

use sqlx::{AssertSqlSafe, Column as _, Row as _};

use super::Refused;
use crate::{
    config::DatabaseUrl,
    store::{
        StoreError,
        db::{Db, Driver, Missing, read},
    },
};

/// What the name of a column has at its end that holds the type of another.
pub(super) const TYPE: &str = "__type";

/// A column to be read.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    /// It holds a date and time, which are read as seconds since the Unix epoch.
    instant: bool,
}

impl Column {
    pub(super) const fn text(name: &'static str) -> Self {
        Self { name, instant: false }
    }

    pub(super) const fn instant(name: &'static str) -> Self {
        Self { name, instant: true }
    }
}

/// The columns of a row of either database.
macro_rules! texts {
    ($row:expr) => {
        $row.columns()
            .iter()
            .map(|column| Ok((column.name().to_owned(), $row.try_get(column.ordinal())?)))
            .collect::<Result<_, sqlx::Error>>()?
    };
}

/// A database of OpenHands.
pub(super) struct Source(Db);

impl Source {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Ok(Self(Db::open(url, Missing::Refuse).await?))
    }

    /// The rows of a table with these columns, or with all where none is named;
    /// `None` where there is no such table. Layouts differ from version to
    /// version: a column that is not there reads as null.
    pub(super) async fn rows(
        &self,
        table: &str,
        wanted: &[Column],
    ) -> Result<Option<Vec<SourceRow>>, StoreError> {
        let present = self.0.columns(table).await?;
        if present.is_empty() {
            return Ok(None);
        }
        let columns: Vec<String> = if wanted.is_empty() {
            // Names come from the database: only such as need no quoting.
            let plain = |name: &&String| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            };
            let type_of = match &self.0.driver {
                Driver::Sqlite { .. } => "typeof",
                Driver::Postgres(_) => "pg_typeof",
            };
            let select = |name: &String| {
                format!(
                    "cast({name} as text) as {name}, cast({type_of}({name}) as text) as {name}{TYPE}"
                )
            };
            present.iter().filter(plain).map(select).collect()
        } else {
            let here = |column: &&Column| present.iter().any(|name| name == column.name);
            wanted.iter().filter(here).map(|column| self.read_as_text(*column)).collect()
        };
        if columns.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let select = format!("select {} from {table}", columns.join(", "));
        Ok(Some(read!(self.0, pool => {
            let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(pool).await?;
            let mut all = Vec::with_capacity(rows.len());
            for row in rows {
                all.push(SourceRow(texts!(row)));
            }
            all
        })))
    }

    fn read_as_text(&self, Column { name, instant }: Column) -> String {
        match (&self.0.driver, instant) {
            (_, false) => format!("cast({name} as text) as {name}"),
            // A date that cannot be read must not look like none.
            (Driver::Sqlite { .. }, true) => format!(
                "case when {name} is null then null
                     when typeof({name}) in ('integer', 'real') then cast({name} as text)
                     else coalesce(strftime('%s', {name}), 'not a date') end as {name}"
            ),
            (Driver::Postgres(_), true) => {
                format!("cast(cast(extract(epoch from {name}) as bigint) as text) as {name}")
            }
        }
    }
}

/// A row that was read.
pub(super) struct SourceRow(Vec<(String, Option<String>)>);

impl SourceRow {
    /// A column's text; an empty one counts as none.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == column)?;
        value.as_deref().filter(|text| !text.is_empty())
    }

    /// A column's text, which must be there.
    pub(super) fn need(&self, column: &'static str) -> Result<&str, Refused> {
        self.get(column).ok_or(Refused::Column(column))
    }

    /// Every column.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether a column holds text and nothing with a form of its own.
    pub(super) fn is_text(&self, column: &str) -> bool {
        let of = |kind: &str| matches!(kind, "text" | "character varying" | "character");
        self.get(&format!("{column}{TYPE}")).is_none_or(of)
    }

    /// Which row it is, for people.
    pub(super) fn label(&self, columns: &[&str]) -> String {
        let parts: Vec<&str> = columns.iter().filter_map(|column| self.get(column)).collect();
        parts.join(" ")
    }
}
