//! What is derived of a symbol, as a whole: dropped from some place on, with `pnl_mismatches` and `symbol_books`.

use diesel::prelude::*;
use ledger_core::{AccountId, CertainTotal, Certainty, Symbol};

use super::fact_table::ROWS_MAX;
use super::failure::failed;
use super::refold::Stop;
use super::schema::{fold_checkpoints, ledger_fees, pnl_mismatches, positions, round_trips, symbol_books};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = pnl_mismatches, treat_none_as_default_value = false)]
pub(super) struct MismatchRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) fill_no: i64,
    pub(super) fill_id: String,
    pub(super) side: String,
    pub(super) ts: i64,
    pub(super) derived_pnl: Option<String>,
    pub(super) exchange_pnl: Option<String>,
}

/// A total as one number; absent when part of it is unknown.
pub(super) fn amount_column(total: &CertainTotal) -> Option<String> {
    if total.certainty() == Certainty::Unknown { None } else { total.amount().ok().map(|amount| amount.to_string()) }
}

pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn not_serialized(table: &'static str) -> impl Fn(serde_json::Error) -> Stop {
    move |error| Stop::Quarantine(format!("a row of {table} cannot be written: {error}"))
}

pub(super) fn write_mismatches(conn: &mut SqliteConnection, rows: &[MismatchRow]) -> StoreResult<()> {
    for chunk in rows.chunks(ROWS_MAX) {
        diesel::insert_into(pnl_mismatches::table).values(chunk).execute(conn).map_err(failed("write mismatches"))?;
    }
    Ok(())
}

/// Drops what was derived from events after a checkpoint with `trips` round trips and `fills` fills.
pub(super) fn drop_after(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    trips: u64,
    fills: u64,
) -> StoreResult<()> {
    let (account, symbol) = (account.as_str(), symbol.as_str());
    diesel::delete(
        round_trips::table
            .filter(round_trips::account_id.eq(account))
            .filter(round_trips::symbol.eq(symbol))
            .filter(round_trips::trip_no.gt(number(trips))),
    )
    .execute(conn)
    .map_err(failed("drop round trips"))?;
    diesel::delete(
        ledger_fees::table
            .filter(ledger_fees::account_id.eq(account))
            .filter(ledger_fees::symbol.eq(symbol))
            .filter(ledger_fees::fill_no.gt(number(fills))),
    )
    .execute(conn)
    .map_err(failed("drop ledger fees"))?;
    diesel::delete(
        pnl_mismatches::table
            .filter(pnl_mismatches::account_id.eq(account))
            .filter(pnl_mismatches::symbol.eq(symbol))
            .filter(pnl_mismatches::fill_no.gt(number(fills))),
    )
    .execute(conn)
    .map_err(failed("drop mismatches"))?;
    diesel::delete(positions::table.filter(positions::account_id.eq(account)).filter(positions::symbol.eq(symbol)))
        .execute(conn)
        .map_err(failed("drop positions"))?;
    diesel::delete(symbol_books::table.find((account, symbol)))
        .execute(conn)
        .map_err(failed("drop a symbol's book"))?;
    Ok(())
}

/// Drops everything derived of a symbol.
pub(super) fn drop_symbol(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<()> {
    drop_after(conn, account, symbol, 0, 0)?;
    diesel::delete(
        fold_checkpoints::table
            .filter(fold_checkpoints::account_id.eq(account.as_str()))
            .filter(fold_checkpoints::symbol.eq(symbol.as_str())),
    )
    .execute(conn)
    .map_err(failed("drop checkpoints"))?;
    Ok(())
}
