//! The tables `position_snapshots`, `balance_snapshots`, `price_snapshots`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{
    AccountId, Asset, BalanceSnapshot, FactKind, Field, PositionSide, PositionSnapshot, PriceKind, PriceSnapshot,
    Sourced, Symbol, TimestampMs,
};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::schema::{balance_snapshots, position_snapshots, price_snapshots};
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = position_snapshots, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, position_side, ts))]
pub(super) struct PositionSnapshotRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) position_side: String,
    pub(super) ts: i64,
    pub(super) qty: String,
    pub(super) entry_price: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for PositionSnapshot {
    const KIND: FactKind = FactKind::Position;
    const FIELDS: &'static [Field] = &["qty", "entry_price"];
    type Row = PositionSnapshotRow;

    table_statements!(position_snapshots, [account_id, symbol, position_side, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> PositionSnapshotRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        PositionSnapshotRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            position_side: fact.position_side.as_str().to_owned(),
            ts: fact.at.as_ms(),
            qty: fact.qty.to_string(),
            entry_price: fact.entry_price.map(|value| value.to_string()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &PositionSnapshotRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "position_snapshots",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.position_side, row.ts),
        };
        let fact = PositionSnapshot {
            symbol: reader.text("symbol", &row.symbol)?,
            position_side: reader.text("position_side", &row.position_side)?,
            at: reader.instant("ts", row.ts)?,
            qty: reader.text("qty", &row.qty)?,
            entry_price: reader.optional("entry_price", row.entry_price.as_deref())?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}|{}", self.symbol, self.position_side, self.at)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[(Symbol, PositionSide, TimestampMs)],
        row_id_max: i64,
    ) -> QueryResult<Vec<PositionSnapshotRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for ((symbol, side), keys) in grouped(keys, |key| (key.0.clone(), key.1)) {
            rows.extend(
                position_snapshots::table
                    .filter(position_snapshots::account_id.eq(account.as_str()))
                    .filter(position_snapshots::symbol.eq(symbol.as_str()))
                    .filter(position_snapshots::position_side.eq(side.as_str()))
                    .filter(position_snapshots::ts.eq_any(keys.iter().map(|key| key.2.as_ms())))
                    .filter(sql::<Bool>("position_snapshots.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(PositionSnapshotRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects) {
        effects.mark(&after.symbol);
        let told = |snapshot: &Self| (Some(snapshot.position_side), snapshot.at);
        effects.side(before.map(told), told(after));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = balance_snapshots, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, asset, ts))]
pub(super) struct BalanceSnapshotRow {
    pub(super) account_id: String,
    pub(super) asset: String,
    pub(super) ts: i64,
    pub(super) wallet: String,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for BalanceSnapshot {
    const KIND: FactKind = FactKind::Balance;
    const FIELDS: &'static [Field] = &["wallet"];
    type Row = BalanceSnapshotRow;

    table_statements!(balance_snapshots, [account_id, asset, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> BalanceSnapshotRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        BalanceSnapshotRow {
            account_id: account.as_str().to_owned(),
            asset: fact.asset.as_str().to_owned(),
            ts: fact.at.as_ms(),
            wallet: fact.wallet.to_string(),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &BalanceSnapshotRow) -> StoreResult<Sourced<Self>> {
        let reader =
            RowReader { table: "balance_snapshots", key: || format!("{}/{}/{}", row.account_id, row.asset, row.ts) };
        let fact = BalanceSnapshot {
            asset: reader.text("asset", &row.asset)?,
            at: reader.instant("ts", row.ts)?,
            wallet: reader.text("wallet", &row.wallet)?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}", self.asset, self.at)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[(Asset, TimestampMs)],
        row_id_max: i64,
    ) -> QueryResult<Vec<BalanceSnapshotRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for (asset, keys) in grouped(keys, |key| key.0.clone()) {
            rows.extend(
                balance_snapshots::table
                    .filter(balance_snapshots::account_id.eq(account.as_str()))
                    .filter(balance_snapshots::asset.eq(asset.as_str()))
                    .filter(balance_snapshots::ts.eq_any(keys.iter().map(|key| key.1.as_ms())))
                    .filter(sql::<Bool>("balance_snapshots.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(BalanceSnapshotRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(_before: Option<&Self>, _after: &Self, _effects: &mut Effects) {}
}

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = price_snapshots, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, kind, ts))]
pub(super) struct PriceSnapshotRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) kind: String,
    pub(super) ts: i64,
    pub(super) price: String,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for PriceSnapshot {
    const KIND: FactKind = FactKind::Price;
    const FIELDS: &'static [Field] = &["price"];
    type Row = PriceSnapshotRow;

    table_statements!(price_snapshots, [account_id, symbol, kind, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> PriceSnapshotRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        PriceSnapshotRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            kind: fact.kind.as_str().to_owned(),
            ts: fact.at.as_ms(),
            price: fact.price.to_string(),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &PriceSnapshotRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "price_snapshots",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.kind, row.ts),
        };
        let fact = PriceSnapshot {
            symbol: reader.text("symbol", &row.symbol)?,
            kind: reader.text("kind", &row.kind)?,
            at: reader.instant("ts", row.ts)?,
            price: reader.text("price", &row.price)?,
        };
        reader.sourced(fact, Self::FIELDS, &row.source, row.field_sources.as_deref(), row.conflicts.as_deref())
    }

    fn fact_key(&self) -> String {
        format!("{}|{}|{}", self.symbol, self.kind, self.at)
    }

    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[(Symbol, PriceKind, TimestampMs)],
        row_id_max: i64,
    ) -> QueryResult<Vec<PriceSnapshotRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for ((symbol, kind), keys) in grouped(keys, |key| (key.0.clone(), key.1)) {
            rows.extend(
                price_snapshots::table
                    .filter(price_snapshots::account_id.eq(account.as_str()))
                    .filter(price_snapshots::symbol.eq(symbol.as_str()))
                    .filter(price_snapshots::kind.eq(kind.as_str()))
                    .filter(price_snapshots::ts.eq_any(keys.iter().map(|key| key.2.as_ms())))
                    .filter(sql::<Bool>("price_snapshots.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(PriceSnapshotRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(_before: Option<&Self>, after: &Self, effects: &mut Effects) {
        // Positions are valued at mark prices only.
        if after.kind == PriceKind::Mark {
            effects.mark(&after.symbol);
        }
    }
}
