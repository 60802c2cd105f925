//! Lists of fills, by time and in fold order.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use ledger_core::{AccountId, Fill, FoldKey, Sourced, Symbol};

use super::super::fact_table::FactTable;
use super::super::failure::failed;
use super::super::fill::FillRow;
use super::super::schema::fills;
use super::super::{as_folded, fold_order};
use super::{cursor, position};
use crate::error::StoreError;
use crate::filter::FillFilter;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::repository::StoreResult;

/// Neither the order of a fill nor the position mode tells which position it changed.
const NOTHING_PLACES: &str = "NOT EXISTS (
        SELECT 1 FROM one_way_spans s WHERE s.account_id = fills.account_id
            AND fills.ts >= s.since_ts AND (s.until_ts IS NULL OR fills.ts < s.until_ts)
    ) AND NOT EXISTS (
        SELECT 1 FROM orders o WHERE o.account_id = fills.account_id AND o.symbol = fills.symbol
            AND o.order_class = 'REGULAR' AND o.order_id = fills.order_id AND o.position_side IS NOT NULL
    ) AND NOT EXISTS (
        SELECT 1 FROM orders o WHERE o.account_id = fills.account_id AND o.symbol = fills.symbol
            AND o.order_class = 'CONDITIONAL' AND o.triggered_order_id = fills.order_id AND o.position_side IS NOT NULL
    )";

/// The conditions of a fill filter on a boxed query.
macro_rules! fill_conditions {
    ($query:expr, $filter:expr) => {{
        let mut query = $query;
        if let Some(order_id) = &$filter.order_id {
            query = query.filter(fills::order_id.eq(order_id.as_str()));
        }
        if $filter.unplaced_only {
            query = query.filter(fills::position_side.is_null()).filter(sql::<Bool>(NOTHING_PLACES));
        }
        query
    }};
}

pub(in crate::sqlite) fn fills(
    conn: &mut SqliteConnection,
    filter: &FillFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Fill>>> {
    let query = fill_conditions!(scoped!(fills, FillRow, fills::ts, filter.scope), filter);
    let rows: Vec<FillRow> =
        page_rows!(conn, query, page, fills::ts, "fills.symbol || '|' || fills.side || '|' || fills.fill_id");
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}|{}", row.symbol, row.side, row.fill_id)),
        |row| Fill::decode(&row),
    )
}

pub(in crate::sqlite) fn fill_count(conn: &mut SqliteConnection, filter: &FillFilter) -> StoreResult<u64> {
    let scope = &filter.scope;
    let mut query = fills::table
        .filter(fills::account_id.eq(scope.account.as_str()))
        .select(diesel::dsl::count_star())
        .into_boxed();
    if let Some(symbol) = &scope.symbol {
        query = query.filter(fills::symbol.eq(symbol.as_str()));
    }
    if let Some(since) = scope.since {
        query = query.filter(fills::ts.ge(since.as_ms()));
    }
    if let Some(until) = scope.until {
        query = query.filter(fills::ts.lt(until.as_ms()));
    }
    let count: i64 = fill_conditions!(query, filter).first(conn).map_err(failed("count fills"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Placed fills of one symbol, always from the first on.
pub(in crate::sqlite) fn fills_in_fold_order(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Fill>>> {
    let after: Option<FoldKey> = page
        .after
        .as_ref()
        .map(|cursor| {
            let [key] = cursor.parts()?;
            serde_json::from_str(key).map_err(|_| StoreError::BadCursor { cursor: cursor.to_string() })
        })
        .transpose()?;
    let stated = fold_order::fills_in_fold_order(conn, account, symbol, after.as_ref(), page.limit_rows())?;
    let folded = as_folded::as_folded(conn, account, symbol, stated)?;
    let cursor =
        |fill: &Sourced<Fill>| Cursor::new(vec![serde_json::to_string(&fill.fact.fold_key()).unwrap_or_default()]);
    let mut page = page.finish(folded, cursor, Ok)?;
    // After the page is made: a page of nothing but fills that nothing places goes on, too.
    page.items.retain(|fill| fill.fact.position_side.is_some());
    Ok(page)
}
