//! The table `instruments`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, FactKind, Field, Instrument, Sourced, Symbol, TimestampMs};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, table_statements};
use super::schema::instruments;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = instruments, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol))]
pub(super) struct InstrumentRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) kind: String,
    pub(super) multiplier: String,
    pub(super) settle_asset: String,
    pub(super) tick_size: Option<String>,
    pub(super) step_size: Option<String>,
    pub(super) liquidation_fee: Option<String>,
    pub(super) terms_ts: Option<i64>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Instrument {
    const KIND: FactKind = FactKind::Instrument;
    const FIELDS: &'static [Field] = &["kind", "multiplier", "settle_asset", "terms"];
    type Row = InstrumentRow;

    table_statements!(instruments, [account_id, symbol]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> InstrumentRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        InstrumentRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            kind: fact.kind.as_str().to_owned(),
            multiplier: fact.multiplier.to_string(),
            settle_asset: fact.settle_asset.as_str().to_owned(),
            tick_size: fact.tick_size.map(|value| value.to_string()),
            step_size: fact.step_size.map(|value| value.to_string()),
            liquidation_fee: fact.liquidation_fee.map(|value| value.to_string()),
            terms_ts: fact.terms_as_of.map(TimestampMs::as_ms),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &InstrumentRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader { table: "instruments", key: || format!("{}/{}", row.account_id, row.symbol) };
        let fact = Instrument {
            symbol: reader.text("symbol", &row.symbol)?,
            kind: reader.text("kind", &row.kind)?,
            multiplier: reader.text("multiplier", &row.multiplier)?,
            settle_asset: reader.text("settle_asset", &row.settle_asset)?,
            tick_size: reader.optional("tick_size", row.tick_size.as_deref())?,
            step_size: reader.optional("step_size", row.step_size.as_deref())?,
            liquidation_fee: reader.optional("liquidation_fee", row.liquidation_fee.as_deref())?,
            terms_as_of: row.terms_ts.map(|ms| reader.instant("terms_ts", ms)).transpose()?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        self.symbol.to_string()
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[Symbol],
        row_id_max: i64,
    ) -> QueryResult<Vec<InstrumentRow>> {
        instruments::table
            .filter(instruments::account_id.eq(account.as_str()))
            .filter(instruments::symbol.eq_any(keys.iter().map(Symbol::as_str)))
            .filter(sql::<Bool>("instruments.rowid <= ").bind::<BigInt, _>(row_id_max))
            .select(InstrumentRow::as_select())
            .load(conn)
    }

    fn note_effects(_before: Option<&Self>, after: &Self, effects: &mut Effects) {
        effects.mark(&after.symbol).is_whole = true;
    }
}
