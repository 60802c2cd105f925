//! Lists of fills, by time and in fold order.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{AccountId, Fill, FoldKey, Sourced, Symbol};

use super::super::fact_table::FactTable;
use super::super::failure::failed;
use super::super::fill::FillRow;
use super::super::opener::UNSIGNALLED_OPENERS;
use super::super::schema::fills;
use super::super::{as_folded, fold_order};
use super::{cursor, position};
use crate::error::StoreError;
use crate::filter::FillFilter;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::store::StoreResult;

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

/// Whoever stated a fill did not state all that the exchange's own list has.
const COARSE: &str = "(fills.fee IS NULL OR fills.position_side IS NULL OR fills.ts_precision = 's')";

/// The time, so written that SQLite does not read all fills in its order to leave out nearly all of them.
fn unindexed_ts() -> diesel::expression::SqlLiteral<BigInt> {
    sql::<BigInt>("+fills.ts")
}

/// The conditions of a fill filter on a boxed query.
macro_rules! fill_conditions {
    ($query:expr, $filter:expr) => {{
        let mut query = $query;
        if let Some(order_id) = &$filter.order_id {
            query = query.filter(fills::order_id.eq(order_id.as_str()));
        }
        if let Some(position_side) = $filter.may_be_of {
            query = query.filter(
                sql::<Bool>("(fills.position_side IS NULL OR fills.position_side = ")
                    .bind::<Text, _>(position_side.as_str())
                    .sql(")"),
            );
        }
        if $filter.unplaced_only {
            query = query.filter(fills::position_side.is_null()).filter(sql::<Bool>(NOTHING_PLACES));
        }
        if $filter.coarse_only {
            query = query.filter(sql::<Bool>(COARSE));
        }
        if $filter.unsignalled_openers_only {
            let openers = sql::<Bool>("fills.rowid IN (").sql(UNSIGNALLED_OPENERS);
            query = query.filter(openers.bind::<Text, _>($filter.scope.account.as_str().to_owned()).sql(")"));
        }
        query
    }};
}

pub(in crate::sqlite) fn fills(
    conn: &mut SqliteConnection,
    filter: &FillFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Fill>>> {
    let rows: Vec<FillRow> = if filter.unsignalled_openers_only {
        let query = fill_conditions!(scoped!(fills, FillRow, unindexed_ts(), filter.scope, without index), filter);
        page_rows!(conn, query, page, unindexed_ts(), "fills.symbol || '|' || fills.side || '|' || fills.fill_id")
    } else {
        let query = fill_conditions!(scoped!(fills, FillRow, fills::ts, filter.scope), filter);
        page_rows!(conn, query, page, fills::ts, "fills.symbol || '|' || fills.side || '|' || fills.fill_id")
    };
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

#[cfg(test)]
mod tests {
    use diesel::sqlite::Sqlite;

    use super::*;
    use crate::contract::main_account;
    use crate::filter::Scope;
    use crate::sqlite::connection::{Reading, Target};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    fn book() -> impl std::ops::DerefMut<Target = SqliteConnection> {
        let target = Target { path: None, busy_timeout_ms: 0, pages_max: None, reading: Reading::Beside };
        target.open_writer(true).unwrap()
    }

    /// Whoever watches asks for these every few seconds: in a book of years that must not cost more than in one of a day.
    #[test]
    fn the_latest_fills_are_found_by_their_time() {
        let since = Some(ledger_core::TimestampMs::new(1_772_427_660_000).unwrap());
        let filter = FillFilter::from(Scope { since, ..Scope::account(main_account()) });
        let query = fill_conditions!(scoped!(fills, FillRow, fills::ts, filter.scope), filter);
        let query = query.order((fills::ts.desc(), sql::<Text>("fills.fill_id"))).limit(200);
        let text = format!("EXPLAIN QUERY PLAN {}", diesel::debug_query::<Sqlite, _>(&query));
        let text = text.split(" -- binds").next().unwrap().replacen('?', "'main'", 8);
        let plan: Vec<Step> = diesel::sql_query(text).load(&mut *book()).unwrap();
        let plan: Vec<_> = plan.iter().map(|step| step.detail.as_str()).collect();
        // What is sorted behind it are the fills of one millisecond.
        let by_time = "SEARCH fills USING INDEX fills_ts_symbol (account_id=? AND ts>?)";
        let rest: Vec<_> = plan.iter().filter(|step| **step != by_time).collect();
        assert!(plan.contains(&by_time) && rest.iter().all(|step| step.contains("LAST TERM OF ORDER BY")), "{plan:#?}");
    }

    /// Every look at the exchange asks for these: that must not cost a walk through all fills, or all orders.
    #[test]
    fn openers_are_found_by_their_round_trips() {
        let mut conn = book();
        let filter = FillFilter { unsignalled_openers_only: true, ..FillFilter::from(Scope::account(main_account())) };
        let query = fill_conditions!(scoped!(fills, FillRow, unindexed_ts(), filter.scope, without index), filter);
        let query = query.order((unindexed_ts().asc(), sql::<Text>("fills.fill_id"))).limit(10);
        let text = format!("EXPLAIN QUERY PLAN {}", diesel::debug_query::<Sqlite, _>(&query));
        let text = text.split(" -- binds").next().unwrap().replacen('?', "'main'", 8);
        let plan: Vec<Step> = diesel::sql_query(text).load(&mut *conn).unwrap();
        let plan: Vec<_> = plan.iter().map(|step| step.detail.as_str()).collect();
        assert!(plan.contains(&"SEARCH fills USING INTEGER PRIMARY KEY (rowid=?)"), "{plan:#?}");
        assert!(plan.contains(&"SEARCH t USING INDEX round_trips_awaiting (account_id=?)"), "{plan:#?}");
        for table in ["f", "o", "i", "c", "s"] {
            assert!(plan.iter().any(|step| step.starts_with(&format!("SEARCH {table} USING"))), "{table}: {plan:#?}");
        }
    }
}
