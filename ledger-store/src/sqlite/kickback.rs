//! Entries of the ledger by which a share of a fee came back: with the fills that they name.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ledger_core::{AccountId, Fill, FillId, Income, LedgerPlace, LedgerRules, Side, Symbol, TimestampMs};

use super::as_folded::self_trades;
use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use super::income::{IncomeRow, is_counted};
use super::schema::{fills, income};
use crate::store::StoreResult;

fn types(rules: &LedgerRules) -> Vec<&'static str> {
    rules.entries().filter(|(_, place)| *place == LedgerPlace::Kickback).map(|(name, _)| name).collect()
}

/// What came back of the fees of a page of fills, by place on the page. Of a trade with oneself, the buying half has it.
pub(super) fn of_page(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    rules: &LedgerRules,
    page: &[Fill],
) -> StoreResult<HashMap<usize, Vec<Income>>> {
    let ids: Vec<&str> = page.iter().map(|fill| fill.key.fill_id.as_str()).collect();
    let mut by_trade = HashMap::<FillId, Vec<Income>>::new();
    for ids in ids.chunks(ROWS_MAX) {
        let rows: Vec<IncomeRow> = income::table
            .filter(income::account_id.eq(account.as_str()))
            .filter(income::symbol.eq(symbol.as_str()))
            .filter(income::fill_id.eq_any(ids))
            .filter(income::income_type.eq_any(types(rules)))
            .filter(is_counted())
            .order((income::ts, income::tran_id, income::income_type, income::asset))
            .select(IncomeRow::as_select())
            .load(conn)
            .map_err(failed("read income"))?;
        for row in rows {
            let row = Income::decode(&row)?.fact;
            if let Some(fill_id) = row.fill_id.clone() {
                by_trade.entry(fill_id).or_default().push(row);
            }
        }
    }
    if by_trade.is_empty() {
        return Ok(HashMap::new());
    }
    let both = self_trades(conn, account, symbol, by_trade.keys())?;
    let is_its = |fill: &&Fill| fill.key.side == Side::Buy || !both.contains(&fill.key.fill_id);
    let rows_of = |fill: &Fill| by_trade.get(&fill.key.fill_id).filter(|_| is_its(&fill)).cloned();
    Ok(page.iter().enumerate().filter_map(|(index, fill)| Some((index, rows_of(fill)?))).collect())
}

/// The earliest fill of which something came back at `since` or later.
pub(super) fn first_fill(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    rules: &LedgerRules,
    since: TimestampMs,
) -> StoreResult<Option<i64>> {
    let trades: Vec<Option<String>> = income::table
        .filter(income::account_id.eq(account.as_str()))
        .filter(income::symbol.eq(symbol.as_str()))
        // As the index has it.
        .filter(sql::<Bool>("income_type NOT IN ('COMMISSION', 'REALIZED_PNL')"))
        .filter(income::ts.ge(since.as_ms()))
        .filter(income::income_type.eq_any(types(rules)))
        .select(income::fill_id)
        .load(conn)
        .map_err(failed("read income"))?;
    let trades: Vec<String> = trades.into_iter().flatten().collect();
    let mut first: Option<i64> = None;
    for ids in trades.chunks(ROWS_MAX) {
        let of_chunk: Option<i64> = fills::table
            .filter(fills::account_id.eq(account.as_str()))
            .filter(fills::symbol.eq(symbol.as_str()))
            .filter(fills::fill_id.eq_any(ids))
            .select(diesel::dsl::min(fills::ts))
            .first(conn)
            .map_err(failed("read fills"))?;
        first = first.into_iter().chain(of_chunk).min();
    }
    Ok(first)
}
