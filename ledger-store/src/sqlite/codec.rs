//! Between columns and the core's types. What comes out of the file is checked as strictly as what comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use ledger_core::{EventTime, Field, Provenance, Source, Sourced, TimePrecision, TimestampMs};

use crate::error::{StoreError, UnreadableRow};
use crate::store::StoreResult;

pub(super) fn precision_text(precision: TimePrecision) -> &'static str {
    match precision {
        TimePrecision::Second => "s",
        TimePrecision::Millisecond => "ms",
    }
}

/// The columns that say who stated what: source, `field_sources`, `conflicts`.
pub(super) fn provenance_columns<F>(fact: &Sourced<F>) -> (String, Option<String>, Option<String>) {
    let exceptions = &fact.provenance.exceptions;
    let quoted = |text: &str| format!("\"{text}\"");
    let field_sources = (!exceptions.is_empty()).then(|| {
        let pairs: Vec<_> =
            exceptions.iter().map(|(field, source)| format!("{}:{}", quoted(field), quoted(source.as_str()))).collect();
        format!("{{{}}}", pairs.join(","))
    });
    let conflicts = (!fact.conflicts.is_empty()).then(|| {
        let fields: Vec<_> = fact.conflicts.iter().map(|field| quoted(field)).collect();
        format!("[{}]", fields.join(","))
    });
    (fact.provenance.source.as_str().to_owned(), field_sources, conflicts)
}

/// Reads the columns of one row, and names row and column when one is invalid.
pub(super) struct RowReader<K> {
    pub(super) table: &'static str,
    pub(super) key: K,
}

impl<K: Fn() -> String> RowReader<K> {
    pub(super) fn corrupt(&self, column: &'static str, reason: impl Display) -> StoreError {
        let reason = reason.to_string();
        StoreError::CorruptRow { row: UnreadableRow { table: self.table, key: (self.key)(), column, reason } }
    }

    pub(super) fn text<T>(&self, column: &'static str, text: &str) -> StoreResult<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn optional<T>(&self, column: &'static str, text: Option<&str>) -> StoreResult<Option<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.map(|text| self.text(column, text)).transpose()
    }

    pub(super) fn instant(&self, column: &'static str, ms: i64) -> StoreResult<TimestampMs> {
        TimestampMs::new(ms).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn time(&self, column: &'static str, ms: i64, precision: &str) -> StoreResult<EventTime> {
        let at = self.instant(column, ms)?;
        match precision {
            "ms" => Ok(EventTime::ms(at)),
            "s" => Ok(EventTime::seconds(at)),
            other => Err(self.corrupt(column, format!("`{other}` is no precision"))),
        }
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, column: &'static str, number: i64) -> StoreResult<T> {
        T::try_from(number).map_err(|_| self.corrupt(column, format!("{number} is out of range")))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str, text: &str) -> StoreResult<T> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn sourced<F>(
        &self,
        fact: F,
        fields: &'static [Field],
        source: &str,
        field_sources: Option<&str>,
        conflicts: Option<&str>,
    ) -> StoreResult<Sourced<F>> {
        let field = |column, name: &str| {
            fields
                .iter()
                .copied()
                .find(|field| *field == name)
                .ok_or_else(|| self.corrupt(column, format!("`{}` is no field", name.escape_debug())))
        };
        let mut provenance = Provenance::uniform(self.text("source", source)?);
        if let Some(text) = field_sources {
            for (name, source) in self.json::<BTreeMap<String, Source>>("field_sources", text)? {
                provenance.exceptions.insert(field("field_sources", &name)?, source);
            }
        }
        let mut conflicting = BTreeSet::new();
        if let Some(text) = conflicts {
            for name in self.json::<Vec<String>>("conflicts", text)? {
                conflicting.insert(field("conflicts", &name)?);
            }
        }
        Ok(Sourced { fact, provenance, conflicts: conflicting })
    }
}
