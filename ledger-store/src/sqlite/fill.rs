//! The table `fills`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, FactKind, Fee, Field, Fill, FillKey, FoldKey, Side, Sourced};

use super::codec::{RowReader, precision_text, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::prepared::{PrepareOnce as _, padded};
use super::schema::fills;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = fills, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, fill_id, side))]
pub(super) struct FillRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) fill_id: String,
    pub(super) side: String,
    pub(super) order_id: Option<String>,
    pub(super) ts: i64,
    pub(super) ts_precision: String,
    pub(super) price: String,
    pub(super) qty: String,
    pub(super) position_side: Option<String>,
    pub(super) fee: Option<String>,
    pub(super) fee_asset: Option<String>,
    pub(super) maker: Option<bool>,
    pub(super) exchange_realized_pnl: Option<String>,
    pub(super) sequence: Option<i64>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Fill {
    const KIND: FactKind = FactKind::Fill;
    const FIELDS: &'static [Field] =
        &["order_id", "ts", "price", "qty", "position_side", "fee", "maker", "exchange_realized_pnl", "sequence"];
    type Row = FillRow;

    table_statements!(fills, [account_id, symbol, fill_id, side]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> FillRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fill = &sourced.fact;
        FillRow {
            account_id: account.as_str().to_owned(),
            symbol: fill.key.symbol.as_str().to_owned(),
            fill_id: fill.key.fill_id.as_str().to_owned(),
            side: fill.key.side.as_str().to_owned(),
            order_id: fill.order_id.as_ref().map(|id| id.as_str().to_owned()),
            ts: fill.time.at.as_ms(),
            ts_precision: precision_text(fill.time.precision).to_owned(),
            price: fill.price.to_string(),
            qty: fill.qty.to_string(),
            position_side: fill.position_side.map(|side| side.as_str().to_owned()),
            fee: fill.fee.as_ref().map(|fee| fee.amount.to_string()),
            fee_asset: fill.fee.as_ref().map(|fee| fee.asset.as_str().to_owned()),
            maker: fill.maker,
            exchange_realized_pnl: fill.exchange_realized_pnl.map(|pnl| pnl.to_string()),
            sequence: fill.sequence,
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &FillRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "fills",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.fill_id, row.side),
        };
        let fee = match (&row.fee, &row.fee_asset) {
            (Some(amount), Some(asset)) => {
                Some(Fee { amount: reader.text("fee", amount)?, asset: reader.text("fee_asset", asset)? })
            }
            _ => None,
        };
        let fill = Fill {
            key: FillKey {
                symbol: reader.text("symbol", &row.symbol)?,
                fill_id: reader.text("fill_id", &row.fill_id)?,
                side: reader.text("side", &row.side)?,
            },
            order_id: reader.optional("order_id", row.order_id.as_deref())?,
            time: reader.time("ts", row.ts, &row.ts_precision)?,
            price: reader.text("price", &row.price)?,
            qty: reader.text("qty", &row.qty)?,
            position_side: reader.optional("position_side", row.position_side.as_deref())?,
            fee,
            maker: row.maker,
            exchange_realized_pnl: reader.optional("exchange_realized_pnl", row.exchange_realized_pnl.as_deref())?,
            sequence: row.sequence,
        };
        reader.sourced(fill, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}|{}", self.key.symbol, self.key.side, self.key.fill_id)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[FillKey],
        row_id_max: i64,
    ) -> QueryResult<Vec<FillRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for (symbol, keys) in grouped(keys, |key| key.symbol.clone()) {
            rows.extend(
                fills::table
                    .filter(fills::account_id.eq(account.as_str()))
                    .filter(fills::symbol.eq(symbol.as_str()))
                    .filter(fills::fill_id.eq_any(padded(keys.iter().map(|key| key.fill_id.as_str()))))
                    .filter(sql::<Bool>("fills.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(FillRow::as_select())
                    .prepared_once()
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        let symbol = &after.key.symbol;
        let told = |fill: &Self| (fill.position_side, fill.time.at);
        effects.side(before.map(told), told(after));
        if let Some(fee) = after.fee.as_ref().filter(|fee| !fee.amount.is_zero()) {
            effects.foreign_fees.note(symbol, &fee.asset, after.time.at);
        }
        for fill in before.into_iter().chain([after]) {
            // Of a self-trade the ledger does not tell which half it charged, so that one half changes the other.
            effects.mark(symbol).fill(FoldKey { side: Side::Buy, ..fill.fold_key() });
            if let Some(order_id) = &fill.order_id {
                effects.order(symbol, order_id);
            }
        }
    }

    fn note_restated(fact: &Self, effects: &mut Effects) {
        let ms = fact.time.at.as_ms();
        let span = effects.restated.entry(fact.key.symbol.clone()).or_insert((ms, ms));
        *span = (span.0.min(ms), span.1.max(ms));
    }
}
