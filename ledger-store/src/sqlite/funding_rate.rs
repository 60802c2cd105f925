//! The table `funding_rates`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, FactKind, Field, FundingRate, Sourced, Symbol, TimestampMs, window_from};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::schema::funding_rates;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = funding_rates, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, ts))]
pub(super) struct FundingRateRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) ts: i64,
    pub(super) rate: String,
    pub(super) mark_price: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for FundingRate {
    const KIND: FactKind = FactKind::FundingRate;
    const FIELDS: &'static [Field] = &["rate", "mark_price"];
    type Row = FundingRateRow;

    table_statements!(funding_rates, [account_id, symbol, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> FundingRateRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        FundingRateRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            ts: fact.at.as_ms(),
            rate: fact.rate.to_string(),
            mark_price: fact.mark_price.map(|value| value.to_string()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &FundingRateRow) -> StoreResult<Sourced<Self>> {
        let reader =
            RowReader { table: "funding_rates", key: || format!("{}/{}/{}", row.account_id, row.symbol, row.ts) };
        let fact = FundingRate {
            symbol: reader.text("symbol", &row.symbol)?,
            at: reader.instant("ts", row.ts)?,
            rate: reader.text("rate", &row.rate)?,
            mark_price: reader.optional("mark_price", row.mark_price.as_deref())?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}", self.symbol, self.at)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[(Symbol, TimestampMs)],
        row_id_max: i64,
    ) -> QueryResult<Vec<FundingRateRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for (symbol, keys) in grouped(keys, |key| key.0.clone()) {
            rows.extend(
                funding_rates::table
                    .filter(funding_rates::account_id.eq(account.as_str()))
                    .filter(funding_rates::symbol.eq(symbol.as_str()))
                    .filter(funding_rates::ts.eq_any(keys.iter().map(|key| key.1.as_ms())))
                    .filter(sql::<Bool>("funding_rates.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(FundingRateRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(_before: Option<&Self>, after: &Self, effects: &mut Effects) {
        // Its rows lie up to a minute away from it, were taken for those of an instant up to a minute before them, and the
        // minute before that belongs to them.
        effects.mark(&after.symbol).instant(window_from(window_from(window_from(after.at))));
    }
}
