//! The derived table `ledger_fees`: the fills whose fee the exchange's ledger states in another way than the fill itself,
//! and was believed. What each of them said is kept beside it.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use ledger_core::{AccountId, Fee, FillId, FoldKey, Side, Symbol, ledger_fee};

use super::as_folded::commissions;
use super::codec::RowReader;
use super::effects::Effects;
use super::fact_table::ROWS_MAX;
use super::failure::failed;
use super::schema::{fills, ledger_fees};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = ledger_fees, treat_none_as_default_value = false)]
pub(super) struct LedgerFeeRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) fill_no: i64,
    pub(super) fill_id: String,
    pub(super) side: String,
    pub(super) stated_fee: Option<String>,
    pub(super) stated_fee_asset: Option<String>,
    pub(super) fee: String,
    pub(super) fee_asset: String,
}

pub(super) fn write(conn: &mut SqliteConnection, rows: &[LedgerFeeRow]) -> StoreResult<()> {
    for chunk in rows.chunks(ROWS_MAX) {
        diesel::insert_into(ledger_fees::table).values(chunk).execute(conn).map_err(failed("write ledger fees"))?;
    }
    Ok(())
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = fills)]
struct ChargedRow {
    fill_id: String,
    side: String,
    ts: i64,
    sequence: Option<i64>,
    fee: Option<String>,
    fee_asset: Option<String>,
}

/// Marks the fills for which new or changed commission entries decide something else than before. An entry that says
/// what its only fill says changes nothing; `changed` are trades of which an entry was there before.
pub(super) fn mark(conn: &mut SqliteConnection, account: &AccountId, effects: &mut Effects) -> StoreResult<()> {
    for (symbol, trades) in std::mem::take(&mut effects.commissions) {
        let trades: Vec<(FillId, bool)> = trades.into_iter().collect();
        for chunk in trades.chunks(ROWS_MAX) {
            let marked = mark_chunk(conn, account, &symbol, chunk, effects);
            effects.despite_damage(&symbol, marked)?;
        }
    }
    Ok(())
}

fn mark_chunk(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    trades: &[(FillId, bool)],
    effects: &mut Effects,
) -> StoreResult<()> {
    let rows: Vec<ChargedRow> = fills::table
        .filter(fills::account_id.eq(account.as_str()))
        .filter(fills::symbol.eq(symbol.as_str()))
        .filter(fills::fill_id.eq_any(trades.iter().map(|(fill_id, _)| fill_id.as_str())))
        .select(ChargedRow::as_select())
        .load(conn)
        .map_err(failed("read fills"))?;
    if rows.is_empty() {
        return Ok(());
    }
    let entries = commissions(conn, account, symbol, trades.iter().map(|(fill_id, _)| fill_id))?;
    let changed: BTreeSet<&str> =
        trades.iter().filter(|(_, changed)| *changed).map(|(fill_id, _)| fill_id.as_str()).collect();
    let mut sides = BTreeMap::<&str, usize>::new();
    for row in &rows {
        *sides.entry(&row.fill_id).or_default() += 1;
    }
    for row in &rows {
        let reader = RowReader { table: "fills", key: || format!("{account}/{symbol}/{}/{}", row.fill_id, row.side) };
        let fill_id: FillId = reader.text("fill_id", &row.fill_id)?;
        let stated = match (&row.fee, &row.fee_asset) {
            (Some(amount), Some(asset)) => {
                Some(Fee { amount: reader.text("fee", amount)?, asset: reader.text("fee_asset", asset)? })
            }
            _ => None,
        };
        let of_trade = entries.get(&fill_id).map(Vec::as_slice).unwrap_or_default();
        let is_self_trade = sides.get(row.fill_id.as_str()).is_some_and(|count| *count > 1);
        let says_the_same = of_trade.len() == 1
            && !is_self_trade
            && !changed.contains(row.fill_id.as_str())
            && ledger_fee(stated.as_ref(), of_trade, false) == stated;
        if !says_the_same {
            let side: Side = reader.text("side", &row.side)?;
            effects.mark(symbol).fill(FoldKey { sequence: row.sequence, at_ms: row.ts, fill_id, side });
        }
    }
    Ok(())
}
