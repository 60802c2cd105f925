//! What the insurance fund adds for a liquidation is for the debt of the whole account. It counts for a round trip only where
//! nothing else was liquidated within the same minute, so the contracts of an account depend on each other there.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use ledger_core::{AccountId, ExitReason, Income, LedgerPlace, Symbol, TimePrecision, TimestampMs, window_from};

use super::codec::RowReader;
use super::effects::Effects;
use super::failure::failed;
use super::order_info::{self, OrderSources};
use super::schema::{fills, income};
use crate::store::StoreResult;

/// More fills of other contracts within one minute are not looked at.
const FILLS_MAX: i64 = 10_000;

/// Whether no other contract of the account was liquidated within the minute before `row`.
pub(super) fn is_alone(conn: &mut SqliteConnection, account: &AccountId, row: &Income) -> StoreResult<bool> {
    let Some(own) = &row.key.symbol else { return Ok(false) };
    let last = match row.time.precision {
        TimePrecision::Second => row.time.at.saturating_add_ms(999),
        TimePrecision::Millisecond => row.time.at,
    };
    let found: Vec<(String, Option<String>)> = fills::table
        .filter(fills::account_id.eq(account.as_str()))
        .filter(fills::ts.ge(window_from(row.time.at).as_ms()))
        .filter(fills::ts.le(last.as_ms()))
        .filter(fills::symbol.ne(own.as_str()))
        .filter(fills::order_id.is_not_null())
        .select((fills::symbol, fills::order_id))
        .limit(FILLS_MAX)
        .load(conn)
        .map_err(failed("read fills"))?;
    let mut orders = BTreeMap::<String, BTreeSet<String>>::new();
    for (symbol, order_id) in found {
        orders.entry(symbol).or_default().extend(order_id);
    }
    for (symbol, ids) in orders {
        let reader = RowReader { table: "fills", key: || format!("{account}/{symbol}") };
        let symbol: Symbol = reader.text("symbol", &symbol)?;
        let sources = OrderSources::of(conn, account, &symbol)?;
        let ids = ids.iter().map(String::as_str).collect();
        let infos = order_info::of_orders(conn, account, &symbol, sources, &ids)?;
        if infos.values().any(|info| matches!(info.context.exit_reason(), ExitReason::Liquidation | ExitReason::Forced))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks the contracts with such a payment that facts of another contract may decide about.
pub(super) fn mark(conn: &mut SqliteConnection, account: &AccountId, effects: &mut Effects) -> StoreResult<()> {
    let types: Vec<&str> = effects
        .ledger_rules
        .entries()
        .filter(|(_, place)| *place == LedgerPlace::Clearance)
        .map(|(name, _)| name)
        .collect();
    if effects.marks.is_empty() || types.is_empty() {
        return Ok(());
    }
    let added: Vec<(String, i64)> = income::table
        .filter(income::account_id.eq(account.as_str()))
        .filter(income::income_type.eq_any(types))
        .filter(income::symbol.ne(""))
        .filter(income::amount.not_like("-%"))
        .select((income::symbol, income::ts))
        .load(conn)
        .map_err(failed("read income"))?;
    for (symbol, ms) in added {
        let reader = RowReader { table: "income", key: || format!("{account}/{symbol}") };
        let (symbol, at): (Symbol, TimestampMs) = (reader.text("symbol", &symbol)?, reader.instant("ts", ms)?);
        let decides = effects.marks.iter().any(|(other, mark)| {
            let from = mark.key.iter().map(|key| key.at_ms).chain(mark.since_ms).min();
            *other != symbol && (mark.is_whole || from.is_some_and(|from| from <= ms.saturating_add(999)))
        });
        if decides {
            effects.mark(&symbol).instant(window_from(window_from(at)));
        }
    }
    Ok(())
}
