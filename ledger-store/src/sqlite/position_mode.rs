//! The table `position_modes`: what the exchange answered about the account's position mode, and when.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, FactKind, Field, PositionModeSnapshot, Sourced, TimestampMs};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, table_statements};
use super::failure::failed;
use super::schema::position_modes;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = position_modes, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, ts))]
pub(super) struct PositionModeRow {
    pub(super) account_id: String,
    pub(super) ts: i64,
    pub(super) mode: String,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for PositionModeSnapshot {
    const KIND: FactKind = FactKind::PositionMode;
    const FIELDS: &'static [Field] = &["mode"];
    type Row = PositionModeRow;

    table_statements!(position_modes, [account_id, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> PositionModeRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        PositionModeRow {
            account_id: account.as_str().to_owned(),
            ts: sourced.fact.at.as_ms(),
            mode: sourced.fact.mode.as_str().to_owned(),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &PositionModeRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader { table: "position_modes", key: || format!("{}/{}", row.account_id, row.ts) };
        let fact = PositionModeSnapshot { at: reader.instant("ts", row.ts)?, mode: reader.text("mode", &row.mode)? };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        self.at.to_string()
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[TimestampMs],
        row_id_max: i64,
    ) -> QueryResult<Vec<PositionModeRow>> {
        position_modes::table
            .filter(position_modes::account_id.eq(account.as_str()))
            .filter(position_modes::ts.eq_any(keys.iter().map(|at| at.as_ms())))
            .filter(sql::<Bool>("position_modes.rowid <= ").bind::<BigInt, _>(row_id_max))
            .select(PositionModeRow::as_select())
            .load(conn)
    }

    fn note_effects(_before: Option<&Self>, _after: &Self, effects: &mut Effects) {
        effects.position_mode = true;
    }
}

/// Everything the exchange answered, by time.
pub(super) fn list(
    conn: &mut SqliteConnection,
    account: &AccountId,
) -> StoreResult<Vec<Sourced<PositionModeSnapshot>>> {
    let rows: Vec<PositionModeRow> = position_modes::table
        .filter(position_modes::account_id.eq(account.as_str()))
        .order(position_modes::ts)
        .select(PositionModeRow::as_select())
        .load(conn)
        .map_err(failed("read position modes"))?;
    rows.iter().map(PositionModeSnapshot::decode).collect()
}

/// The latest answer.
pub(super) fn latest(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Option<PositionModeSnapshot>> {
    let row: Option<PositionModeRow> = position_modes::table
        .filter(position_modes::account_id.eq(account.as_str()))
        .order(position_modes::ts.desc())
        .select(PositionModeRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read position modes"))?;
    Ok(row.map(|row| PositionModeSnapshot::decode(&row)).transpose()?.map(|sourced| sourced.fact))
}
