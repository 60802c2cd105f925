//! Lists of facts, in pages by (time, key).
//!
//! Within one instant rows run by their key as text, in the same form as in `fact_sources`; an index on the time makes
//! a page cost the same wherever it lies.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::sqlite::Sqlite;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, Fill, FoldKey, Income, OrderIntent, PositionSnapshot, PriceSnapshot,
    RoundTrip, Signal, Sourced, Symbol,
};

use super::anchor::AnchorRow;
use super::cancel::CancelRow;
use super::fact_table::FactTable;
use super::failure::failed;
use super::fill::FillRow;
use super::income::IncomeRow;
use super::intent::IntentRow;
use super::order::{OrderRow, OrderSumsRow, decode_book_order};
use super::round_trip::{self, TripRow};
use super::schema::{
    anchors, balance_snapshots, cancels, engine_signals, fills, income, order_intents, orders, position_snapshots,
    price_snapshots, round_trips,
};
use super::signal::SignalRow;
use super::snapshot::{BalanceSnapshotRow, PositionSnapshotRow, PriceSnapshotRow};
use super::{as_folded, fold_order};
use crate::error::StoreError;
use crate::filter::{FillFilter, IncomeFilter, IntentFilter, OrderFilter, Scope, SignalFilter, TripFilter};
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::record::BookOrder;
use crate::repository::StoreResult;

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
        let mut query = scoped!($table, $row, $ts, $scope, without symbol);
        if let Some(symbol) = &$scope.symbol {
            // The plus sign keeps SQLite from reading by symbol and then sorting all of it for every page.
            query = query.filter(
                sql::<Bool>(concat!("+", stringify!($table), ".symbol = ")).bind::<Text, _>(symbol.as_str().to_owned()),
            );
        }
        query
    }};
    ($table:ident, $row:ty, $ts:expr, $scope:expr, without symbol) => {{
        let mut query = $table::table
            .filter($table::account_id.eq($scope.account.as_str()))
            .select(<$row>::as_select())
            .into_boxed();
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

pub(super) fn signals(
    conn: &mut SqliteConnection,
    filter: &SignalFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Signal>>> {
    let mut query = scoped!(engine_signals, SignalRow, engine_signals::ts, filter.scope);
    if let Some(engine) = &filter.engine {
        query = query.filter(engine_signals::engine.eq(engine.as_str()));
    }
    // What was inferred to be behind an order gives way to what its sender says: it counts as long as the order names it.
    query = query.filter(sql::<Bool>(
        "(engine_signals.restored = 0 OR EXISTS (SELECT 1 FROM orders \
         WHERE orders.account_id = engine_signals.account_id AND orders.signal_id = engine_signals.signal_id))",
    ));
    if filter.without_order_only {
        query = query.filter(sql::<Bool>(
            "NOT EXISTS (SELECT 1 FROM orders WHERE orders.account_id = engine_signals.account_id \
             AND orders.signal_id = engine_signals.signal_id)",
        ));
    }
    let rows: Vec<SignalRow> = page_rows!(conn, query, page, engine_signals::ts, "engine_signals.signal_id");
    page.finish(rows, |row| cursor(row.ts, row.signal_id.clone()), |row| Signal::decode(&row))
}

pub(super) fn intents(
    conn: &mut SqliteConnection,
    filter: &IntentFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<OrderIntent>>> {
    let mut query = scoped!(order_intents, IntentRow, order_intents::created_local_ms, filter.scope);
    if filter.unresolved_only {
        query = query.filter(sql::<Bool>("outcome IN ('pending', 'unknown')"));
    }
    let rows: Vec<IntentRow> =
        page_rows!(conn, query, page, order_intents::created_local_ms, "order_intents.client_order_id");
    page.finish(rows, |row| cursor(row.created_local_ms, row.client_order_id.clone()), |row| OrderIntent::decode(&row))
}

/// Orders without a creation time have no place in the index by time, and come before all others.
const NO_TIME: &str = "none";

/// The two parts of a list of orders: those known only from their fills have no time, and count as the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrderPart {
    Untimed,
    Timed,
}

/// Where a page of orders begins.
struct OrderPosition {
    /// `None` within the untimed part.
    ms: Option<i64>,
    symbol: String,
    class: String,
    id: String,
}

fn order_position(page: &PageRequest) -> StoreResult<Option<OrderPosition>> {
    let Some(after) = &page.after else { return Ok(None) };
    let [ms, symbol, class, id] = after.parts()?;
    let ms = if ms == NO_TIME { None } else { Some(after.number(ms)?) };
    Ok(Some(OrderPosition { ms, symbol: symbol.clone(), class: class.clone(), id: id.clone() }))
}

pub(super) fn orders(
    conn: &mut SqliteConnection,
    filter: &OrderFilter,
    page: &PageRequest,
) -> StoreResult<Page<BookOrder>> {
    let position = order_position(page)?;
    let parts = match page.direction {
        Direction::OldestFirst => [OrderPart::Untimed, OrderPart::Timed],
        Direction::NewestFirst => [OrderPart::Timed, OrderPart::Untimed],
    };
    let mut rows = Vec::new();
    let mut begun = position.is_none();
    for part in parts {
        let within = position.as_ref().filter(|position| position.ms.is_some() == (part == OrderPart::Timed));
        begun |= within.is_some();
        let limit = page.limit_rows() - i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if begun && limit > 0 {
            let query = order_query(filter, page.direction, part, within, limit);
            rows.extend(query.load::<(OrderRow, OrderSumsRow)>(conn).map_err(failed("read orders"))?);
        }
    }
    page.finish(
        rows,
        |(row, _)| {
            let ms = row.ts.map_or_else(|| NO_TIME.to_owned(), |ms| ms.to_string());
            Cursor::new(vec![ms, row.symbol.clone(), row.order_class.clone(), row.order_id.clone()])
        },
        |row| decode_book_order(&row),
    )
}

type OrderQuery<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::dsl::Select<
        orders::table,
        (diesel::dsl::AsSelect<OrderRow, Sqlite>, diesel::dsl::AsSelect<OrderSumsRow, Sqlite>),
    >,
    Sqlite,
>;

/// Rows of one part, in the order of the indexes `orders_ts_symbol` and `orders_open`, so that nothing is sorted.
fn order_query<'a>(
    filter: &'a OrderFilter,
    direction: Direction,
    part: OrderPart,
    after: Option<&OrderPosition>,
    limit: i64,
) -> OrderQuery<'a> {
    let mut query = orders::table
        .select((OrderRow::as_select(), OrderSumsRow::as_select()))
        .into_boxed()
        .filter(orders::account_id.eq(filter.scope.account.as_str()));
    query = match part {
        OrderPart::Untimed => query.filter(orders::ts.is_null()),
        OrderPart::Timed => query.filter(orders::ts.is_not_null()),
    };
    if let Some(symbol) = &filter.scope.symbol {
        query = query.filter(sql::<Bool>("+orders.symbol = ").bind::<Text, _>(symbol.as_str().to_owned()));
    }
    if let Some(since) = filter.scope.since {
        query = query.filter(orders::ts.ge(since.as_ms()));
    }
    if let Some(until) = filter.scope.until {
        query = query.filter(orders::ts.lt(until.as_ms()));
    }
    if let Some(status) = &filter.status {
        query = query.filter(orders::status.eq(status.as_str()));
    }
    if filter.open_only {
        query = query.filter(sql::<Bool>(
            "orders.status NOT IN ('REJECTED', 'EXPIRED', 'EXPIRED_IN_MATCH', 'CANCELED', 'FINISHED', 'FILLED')",
        ));
    }
    if let Some(class) = filter.class {
        query = query.filter(orders::order_class.eq(class.as_str()));
    }
    if let Some(id) = &filter.client_order_id {
        query = query.filter(orders::client_order_id.eq(id.as_str()));
    }
    if let Some(id) = &filter.signal_id {
        query = query.filter(orders::signal_id.eq(id.as_str()));
    }
    if let Some(engine) = &filter.engine {
        query = query.filter(orders::engine.eq(engine.as_str()));
    }
    if filter.residual_only {
        query = query.filter(orders::residual_qty.is_not_null());
    }
    if let Some(OrderPosition { ms, symbol, class, id }) = after {
        let comparison = match direction {
            Direction::OldestFirst => ">",
            Direction::NewestFirst => "<",
        };
        let beyond = sql::<Bool>(&format!("(orders.symbol, orders.order_class, orders.order_id) {comparison} ("))
            .bind::<Text, _>(symbol.clone())
            .sql(", ")
            .bind::<Text, _>(class.clone())
            .sql(", ")
            .bind::<Text, _>(id.clone())
            .sql(")");
        query = match (ms, direction) {
            (None, _) => query.filter(beyond),
            (Some(ms), Direction::OldestFirst) => {
                query.filter(orders::ts.ge(*ms)).filter(orders::ts.assume_not_null().gt(*ms).or(beyond))
            }
            (Some(ms), Direction::NewestFirst) => {
                query.filter(orders::ts.le(*ms)).filter(orders::ts.assume_not_null().lt(*ms).or(beyond))
            }
        };
    }
    let key = (orders::symbol, orders::order_class, orders::order_id);
    query = match direction {
        Direction::OldestFirst => query.order((orders::ts.asc(), key.0.asc(), key.1.asc(), key.2.asc())),
        Direction::NewestFirst => query.order((orders::ts.desc(), key.0.desc(), key.1.desc(), key.2.desc())),
    };
    query.limit(limit)
}

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

pub(super) fn fills(
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

pub(super) fn fill_count(conn: &mut SqliteConnection, filter: &FillFilter) -> StoreResult<u64> {
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
pub(super) fn fills_in_fold_order(
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

pub(super) fn cancels(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Cancel>>> {
    let query = scoped!(cancels, CancelRow, cancels::ts, scope);
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
    let mut query = scoped!(income, IncomeRow, income::ts, filter.scope);
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

pub(super) fn position_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<PositionSnapshot>>> {
    let query = scoped!(position_snapshots, PositionSnapshotRow, position_snapshots::ts, scope);
    let rows: Vec<PositionSnapshotRow> = page_rows!(
        conn,
        query,
        page,
        position_snapshots::ts,
        "position_snapshots.symbol || '|' || position_snapshots.position_side"
    );
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}", row.symbol, row.position_side)),
        |row| PositionSnapshot::decode(&row),
    )
}

pub(super) fn balance_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<BalanceSnapshot>>> {
    let query = scoped!(balance_snapshots, BalanceSnapshotRow, balance_snapshots::ts, scope, without symbol);
    let rows: Vec<BalanceSnapshotRow> = page_rows!(conn, query, page, balance_snapshots::ts, "balance_snapshots.asset");
    page.finish(rows, |row| cursor(row.ts, row.asset.clone()), |row| BalanceSnapshot::decode(&row))
}

pub(super) fn price_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<PriceSnapshot>>> {
    let query = scoped!(price_snapshots, PriceSnapshotRow, price_snapshots::ts, scope);
    let rows: Vec<PriceSnapshotRow> = page_rows!(conn, query, page, price_snapshots::ts, "price_snapshots.symbol");
    page.finish(rows, |row| cursor(row.ts, row.symbol.clone()), |row| PriceSnapshot::decode(&row))
}

pub(super) fn anchors(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Anchor>>> {
    let query = scoped!(anchors, AnchorRow, anchors::ts, scope);
    let rows: Vec<AnchorRow> =
        page_rows!(conn, query, page, anchors::ts, "anchors.symbol || '|' || anchors.position_side");
    page.finish(rows, |row| cursor(row.ts, format!("{}|{}", row.symbol, row.position_side)), |row| Anchor::decode(&row))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::main_account;
    use crate::sqlite::connection::Target;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// Neither walks all orders of the account, nor sorts.
    #[test]
    fn a_list_of_open_orders_follows_its_index() {
        let mut conn = Target {
            path: None,
            busy_timeout_ms: 0,
            pages_max: None,
            reading: crate::sqlite::connection::Reading::Beside,
        }
        .open_writer(true)
        .unwrap();
        let after = OrderPosition { ms: Some(5), symbol: "ETHUSDT".into(), class: "REGULAR".into(), id: "7".into() };
        for open_only in [true, false] {
            let filter = OrderFilter { open_only, ..OrderFilter::from(Scope::account(main_account())) };
            for direction in [Direction::OldestFirst, Direction::NewestFirst] {
                for (part, after) in
                    [(OrderPart::Untimed, None), (OrderPart::Timed, None), (OrderPart::Timed, Some(&after))]
                {
                    let query = order_query(&filter, direction, part, after, 10);
                    let text = format!("EXPLAIN QUERY PLAN {}", diesel::debug_query::<Sqlite, _>(&query));
                    let plan: Vec<Step> = diesel::sql_query(text).load(&mut conn).unwrap();
                    let plan: Vec<_> = plan.iter().map(|step| step.detail.as_str()).collect();
                    let index = if open_only { "INDEX orders_open (" } else { "INDEX orders_ts_symbol (" };
                    assert!(matches!(plan.as_slice(), [step] if step.contains(index)), "{plan:?}");
                }
            }
        }
    }
}
