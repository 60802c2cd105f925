//! The table `cancels`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, Cancel, FactKind, Field, OrderKey, Sourced};

use super::codec::{RowReader, precision_text, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::schema::cancels;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = cancels, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, order_class, order_id))]
pub(super) struct CancelRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) order_class: String,
    pub(super) order_id: String,
    pub(super) side: Option<String>,
    pub(super) ts: i64,
    pub(super) ts_precision: String,
    pub(super) reason: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Cancel {
    const KIND: FactKind = FactKind::Cancel;
    const FIELDS: &'static [Field] = &["side", "ts", "reason"];
    type Row = CancelRow;

    table_statements!(cancels, [account_id, symbol, order_class, order_id]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> CancelRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        CancelRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.key.symbol.as_str().to_owned(),
            order_class: fact.key.class.as_str().to_owned(),
            order_id: fact.key.order_id.as_str().to_owned(),
            side: fact.side.map(|value| value.as_str().to_owned()),
            ts: fact.time.at.as_ms(),
            ts_precision: precision_text(fact.time.precision).to_owned(),
            reason: fact.reason.as_ref().map(|text| text.as_str().to_owned()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &CancelRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "cancels",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.order_class, row.order_id),
        };
        let fact = Cancel {
            key: OrderKey {
                symbol: reader.text("symbol", &row.symbol)?,
                class: reader.text("order_class", &row.order_class)?,
                order_id: reader.text("order_id", &row.order_id)?,
            },
            side: reader.optional("side", row.side.as_deref())?,
            time: reader.time("ts", row.ts, &row.ts_precision)?,
            reason: reader.optional("reason", row.reason.as_deref())?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}|{}", self.key.symbol, self.key.class, self.key.order_id)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[OrderKey],
        row_id_max: i64,
    ) -> QueryResult<Vec<CancelRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for ((symbol, class), keys) in grouped(keys, |key| (key.symbol.clone(), key.class)) {
            rows.extend(
                cancels::table
                    .filter(cancels::account_id.eq(account.as_str()))
                    .filter(cancels::symbol.eq(symbol.as_str()))
                    .filter(cancels::order_class.eq(class.as_str()))
                    .filter(cancels::order_id.eq_any(keys.iter().map(|key| key.order_id.as_str())))
                    .filter(sql::<Bool>("cancels.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(CancelRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(_before: Option<&Self>, _after: &Self, _effects: &mut Effects) {}
}
