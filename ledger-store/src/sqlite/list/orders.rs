//! Lists of orders, whose time of creation may be unknown.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::Sqlite;

use super::super::failure::failed;
use super::super::order::{OrderRow, OrderSumsRow, decode_book_order};
use super::super::schema::orders;
use crate::filter::OrderFilter;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::record::BookOrder;
use crate::store::StoreResult;

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

pub(in crate::sqlite) fn orders(
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

/// Rows of one part, in the order of the indexes `orders_ts_symbol`, `orders_open` and `orders_lacking`, so that nothing is sorted.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::main_account;
    use crate::filter::Scope;
    use crate::sqlite::connection::Target;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// Neither walks all orders of the account, nor sorts.
    #[test]
    fn a_list_of_open_orders_or_of_those_that_lack_fills_follows_its_index() {
        let mut conn = Target {
            path: None,
            busy_timeout_ms: 0,
            pages_max: None,
            reading: crate::sqlite::connection::Reading::Beside,
        }
        .open_writer(true)
        .unwrap();
        let after = OrderPosition { ms: Some(5), symbol: "ETHUSDT".into(), class: "REGULAR".into(), id: "7".into() };
        let all = || OrderFilter::from(Scope::account(main_account()));
        let filters = [
            (OrderFilter { open_only: true, ..all() }, "INDEX orders_open ("),
            (OrderFilter { residual_only: true, ..all() }, "INDEX orders_lacking ("),
            (all(), "INDEX orders_ts_symbol ("),
        ];
        for (filter, index) in filters {
            for direction in [Direction::OldestFirst, Direction::NewestFirst] {
                for (part, after) in
                    [(OrderPart::Untimed, None), (OrderPart::Timed, None), (OrderPart::Timed, Some(&after))]
                {
                    let query = order_query(&filter, direction, part, after, 10);
                    let text = format!("EXPLAIN QUERY PLAN {}", diesel::debug_query::<Sqlite, _>(&query));
                    let plan: Vec<Step> = diesel::sql_query(text).load(&mut *conn).unwrap();
                    let plan: Vec<_> = plan.iter().map(|step| step.detail.as_str()).collect();
                    assert!(matches!(plan.as_slice(), [step] if step.contains(index)), "{plan:?}");
                }
            }
        }
    }
}
