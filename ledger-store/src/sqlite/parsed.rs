//! Columns that are parsed as they are read, without a copy of their text in between.

use std::fmt::Display;
use std::str::FromStr;

use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};

/// The value of a text column, or what is wrong with it.
#[derive(Debug, FromSqlRow)]
pub(super) struct Parsed<T>(pub(super) Result<T, String>);

impl<T> FromSql<Text, Sqlite> for Parsed<T>
where
    T: FromStr,
    T::Err: Display,
{
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<Self> {
        Ok(Self(value.read_text().parse().map_err(|error: T::Err| error.to_string())))
    }
}
