//! Lists of facts, in pages by (time, key).
//!
//! Within one instant rows run by their key as text, in the same form as in `fact_sources`; an index on the time makes
//! a page cost the same wherever it lies.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{Cancel, Income, OrderIntent, RoundTrip, Sourced};

use super::cancel::CancelRow;
use super::fact_table::FactTable;
use super::failure::failed;
use super::income::{IncomeRow, is_counted};
use super::intent::IntentRow;
use super::round_trip::{self, TripRow};
use super::schema::{cancels, income, order_intents, round_trips};
use crate::filter::{IncomeFilter, IntentFilter, Scope, TripFilter};
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::store::StoreResult;

/// Where a page begins: time and key of the last row before it.
fn position(page: &PageRequest) -> StoreResult<Option<(i64, String)>> {
    page.after
        .as_ref()
        .map(|cursor| {
            let [ms, key] = cursor.parts()?;
            Ok((cursor.number(ms)?, key.clone()))
        })
        .transpose()
}

/// A boxed query of a table's rows within a scope.
macro_rules! scoped {
    ($table:ident, $row:ty, $ts:expr, $scope:expr) => {{
        let query = scoped!($table, $row, $ts, $scope, without symbol);
        scoped!(@symbol $table, query, $scope)
    }};
    ($table:ident, $row:ty, $ts:expr, $scope:expr, without symbol) => {{
        let query = $table::table
            .filter($table::account_id.eq($scope.account.as_str()))
            .select(<$row>::as_select())
            .into_boxed();
        scoped!(@time query, $ts, $scope)
    }};
    // For conditions that find rows by themselves; the plus sign keeps SQLite from following an index instead.
    ($table:ident, $row:ty, $ts:expr, $scope:expr, without index) => {{
        let account = sql::<Bool>(concat!("+", stringify!($table), ".account_id = "));
        let account = account.bind::<Text, _>($scope.account.as_str().to_owned());
        let query = $table::table.filter(account).select(<$row>::as_select()).into_boxed();
        let query = scoped!(@time query, $ts, $scope);
        scoped!(@symbol $table, query, $scope)
    }};
    (@symbol $table:ident, $query:expr, $scope:expr) => {{
        let mut query = $query;
        if let Some(symbol) = &$scope.symbol {
            // The plus sign keeps SQLite from reading by symbol and then sorting all of it for every page.
            query = query.filter(
                sql::<Bool>(concat!("+", stringify!($table), ".symbol = ")).bind::<Text, _>(symbol.as_str().to_owned()),
            );
        }
        query
    }};
    (@time $query:expr, $ts:expr, $scope:expr) => {{
        let mut query = $query;
        if let Some(since) = $scope.since {
            query = query.filter($ts.ge(since.as_ms()));
        }
        if let Some(until) = $scope.until {
            query = query.filter($ts.lt(until.as_ms()));
        }
        query
    }};
}

/// The rows of a page of a boxed query, one more than asked for.
macro_rules! page_rows {
    ($conn:expr, $query:expr, $page:expr, $ts:expr, $key:literal) => {{
        let mut query = $query;
        if let Some((ms, key)) = position($page)? {
            query = match $page.direction {
                Direction::OldestFirst => query
                    .filter($ts.ge(ms))
                    .filter($ts.gt(ms).or(sql::<Bool>(concat!($key, " > ")).bind::<Text, _>(key))),
                Direction::NewestFirst => query
                    .filter($ts.le(ms))
                    .filter($ts.lt(ms).or(sql::<Bool>(concat!($key, " < ")).bind::<Text, _>(key))),
            };
        }
        query = match $page.direction {
            Direction::OldestFirst => query.order(($ts.asc(), sql::<Text>($key))),
            Direction::NewestFirst => query.order(($ts.desc(), sql::<Text>(concat!($key, " DESC")))),
        };
        query.limit($page.limit_rows()).load($conn).map_err(failed("read a page"))?
    }};
}

fn cursor(ms: i64, key: String) -> Cursor {
    Cursor::new(vec![ms.to_string(), key])
}

// Behind the macros, which they use.
mod demands;
mod fills;
mod orders;
mod signals;
mod snapshots;

pub(super) use demands::fills_without_rows;
pub(super) use fills::{fill_count, fills, fills_in_fold_order};
pub(super) use orders::orders;
pub(super) use signals::signals;
pub(super) use snapshots::{anchors, balance_snapshots, funding_rates, position_snapshots, price_snapshots};

pub(super) fn intents(
    conn: &mut SqliteConnection,
    filter: &IntentFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<OrderIntent>>> {
    let mut query = scoped!(order_intents, IntentRow, order_intents::created_local_ms, filter.scope);
    if filter.unresolved_only {
        query = query.filter(sql::<Bool>("outcome IN ('pending', 'unknown')"));
    }
    if filter.contradicted_only {
        query = query.filter(sql::<Bool>(
            "outcome = 'rejected' AND EXISTS (SELECT 1 FROM orders WHERE orders.account_id = order_intents.account_id \
             AND orders.client_order_id = order_intents.client_order_id AND orders.symbol = order_intents.symbol)",
        ));
    }
    let rows: Vec<IntentRow> =
        page_rows!(conn, query, page, order_intents::created_local_ms, "order_intents.client_order_id");
    page.finish(rows, |row| cursor(row.created_local_ms, row.client_order_id.clone()), |row| OrderIntent::decode(&row))
}

pub(super) fn cancels(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Cancel>>> {
    // A cancel is no end of an order that ended otherwise, by the last word on it: who reported it was mistaken or came too
    // late. The fact stays, for that word may not be the last one.
    let query = scoped!(cancels, CancelRow, cancels::ts, scope).filter(sql::<Bool>(
        "NOT EXISTS (SELECT 1 FROM orders WHERE orders.account_id = cancels.account_id \
         AND orders.symbol = cancels.symbol AND orders.order_class = cancels.order_class \
         AND orders.order_id = cancels.order_id \
         AND orders.status IN ('REJECTED', 'EXPIRED', 'EXPIRED_IN_MATCH', 'FINISHED', 'FILLED'))",
    ));
    let rows: Vec<CancelRow> = page_rows!(
        conn,
        query,
        page,
        cancels::ts,
        "cancels.symbol || '|' || cancels.order_class || '|' || cancels.order_id"
    );
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}|{}", row.symbol, row.order_class, row.order_id)),
        |row| Cancel::decode(&row),
    )
}

pub(super) fn income(
    conn: &mut SqliteConnection,
    filter: &IncomeFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Income>>> {
    let mut query = scoped!(income, IncomeRow, income::ts, filter.scope).filter(is_counted());
    if let Some(income_type) = &filter.income_type {
        query = query.filter(income::income_type.eq(income_type.as_str()));
    }
    let rows: Vec<IncomeRow> = page_rows!(
        conn,
        query,
        page,
        income::ts,
        "income.income_type || '|' || income.asset || '|' || income.symbol || '|' || income.tran_id"
    );
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}|{}|{}", row.income_type, row.asset, row.symbol, row.tran_id)),
        |row| Income::decode(&row),
    )
}

/// The closing time, which the lists of ended round trips run by.
fn closed_ts() -> diesel::expression::SqlLiteral<BigInt> {
    sql::<BigInt>("round_trips.closed_ts")
}

pub(super) fn trips(
    conn: &mut SqliteConnection,
    filter: &TripFilter,
    page: &PageRequest,
) -> StoreResult<Page<RoundTrip>> {
    let mut query =
        scoped!(round_trips, TripRow, closed_ts(), filter.scope).filter(round_trips::closed_ts.is_not_null());
    if let Some(engine) = &filter.engine {
        query = query.filter(round_trips::engine.eq(engine.as_str()));
    }
    if let Some(side) = filter.position_side {
        query = query.filter(round_trips::position_side.eq(side.as_str()));
    }
    // Numbers count up within a symbol; zeros in front make their order as text the same.
    let rows: Vec<TripRow> =
        page_rows!(conn, query, page, closed_ts(), "round_trips.symbol || '|' || printf('%019d', round_trips.trip_no)");
    page.finish(
        rows,
        |row| cursor(row.closed_ts.unwrap_or_default(), format!("{}|{:019}", row.symbol, row.trip_no)),
        |row| round_trip::decode(&row),
    )
}
