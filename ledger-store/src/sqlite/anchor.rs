//! The table `anchors`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use ledger_core::{AccountId, Anchor, FactKind, Field, KnownBefore, PositionSide, Sourced, Symbol, TimestampMs};

use super::codec::{RowReader, provenance_columns};
use super::effects::Effects;
use super::fact_table::{FactTable, QueryResult, grouped, table_statements};
use super::schema::anchors;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = anchors, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, symbol, position_side, ts))]
pub(super) struct AnchorRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) position_side: String,
    pub(super) ts: i64,
    pub(super) qty: String,
    pub(super) entry_price: Option<String>,
    pub(super) derivation: String,
    pub(super) known_until_ts: Option<i64>,
    pub(super) known_fill_count: Option<i64>,
    pub(super) withdrawn: Option<String>,
    pub(super) source: String,
    pub(super) field_sources: Option<String>,
    pub(super) conflicts: Option<String>,
}

impl FactTable for Anchor {
    const KIND: FactKind = FactKind::Anchor;
    const FIELDS: &'static [Field] = &["qty", "entry_price", "derivation", "known_before", "withdrawn"];
    type Row = AnchorRow;

    table_statements!(anchors, [account_id, symbol, position_side, ts]);

    fn encode(account: &AccountId, sourced: &Sourced<Self>) -> AnchorRow {
        let (source, field_sources, conflicts) = provenance_columns(sourced);
        let fact = &sourced.fact;
        AnchorRow {
            account_id: account.as_str().to_owned(),
            symbol: fact.symbol.as_str().to_owned(),
            position_side: fact.position_side.as_str().to_owned(),
            ts: fact.at.as_ms(),
            qty: fact.qty.to_string(),
            entry_price: fact.entry_price.map(|value| value.to_string()),
            derivation: fact.derivation.as_str().to_owned(),
            known_until_ts: fact.known_before.map(|known| known.until.as_ms()),
            known_fill_count: fact.known_before.map(|known| i64::try_from(known.fill_count).unwrap_or(i64::MAX)),
            withdrawn: fact.withdrawn.as_ref().map(|reason| reason.as_str().to_owned()),
            source,
            field_sources,
            conflicts,
        }
    }

    fn decode(row: &AnchorRow) -> StoreResult<Sourced<Self>> {
        let reader = RowReader {
            table: "anchors",
            key: || format!("{}/{}/{}/{}", row.account_id, row.symbol, row.position_side, row.ts),
        };
        let known_before = match (row.known_until_ts, row.known_fill_count) {
            (Some(until), Some(count)) => Some(KnownBefore {
                until: reader.instant("known_until_ts", until)?,
                fill_count: reader.number("known_fill_count", count)?,
            }),
            (None, None) => None,
            _ => return Err(reader.corrupt("known_fill_count", "stands with known_until_ts or not at all")),
        };
        let fact = Anchor {
            symbol: reader.text("symbol", &row.symbol)?,
            position_side: reader.text("position_side", &row.position_side)?,
            at: reader.instant("ts", row.ts)?,
            qty: reader.text("qty", &row.qty)?,
            entry_price: reader.optional("entry_price", row.entry_price.as_deref())?,
            derivation: reader.text("derivation", &row.derivation)?,
            known_before,
            withdrawn: reader.optional("withdrawn", row.withdrawn.as_deref())?,
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
    ) -> QueryResult<Vec<AnchorRow>> {
        let mut rows = Vec::with_capacity(keys.len());
        for ((symbol, side), keys) in grouped(keys, |key| (key.0.clone(), key.1)) {
            rows.extend(
                anchors::table
                    .filter(anchors::account_id.eq(account.as_str()))
                    .filter(anchors::symbol.eq(symbol.as_str()))
                    .filter(anchors::position_side.eq(side.as_str()))
                    .filter(anchors::ts.eq_any(keys.iter().map(|key| key.2.as_ms())))
                    .filter(sql::<Bool>("anchors.rowid <= ").bind::<BigInt, _>(row_id_max))
                    .select(AnchorRow::as_select())
                    .load(conn)?,
            );
        }
        Ok(rows)
    }

    fn note_effects(_before: Option<&Self>, after: &Self, effects: &mut Effects) {
        effects.mark(&after.symbol).instant(after.at);
    }
}
