//! Unified trades and orders of the ccxt library.
//!
//! Decimals are taken from `info`, the exchange's own answer within the object, because the unified numbers have been
//! floats. Only where `info` lacks a value, the literal text of the unified one is read. An object whose two halves
//! contradict each other is rejected: taking either half would record something that nobody said.
//!
//! An order's `trades` are its fills and are read as such, each from its own `info`; one that cannot be read is rejected by
//! itself, and those without an id cannot be told apart, so they stay in the payload and are told. So do an order's own `fee` and `fees` where its trades are not there to
//! carry them: a fee belongs to a fill, and none is made up for it.

mod embedded;
mod fees;
mod market;

use std::sync::Arc;

use ledger_core::{
    AnyFact, Cancel, Decimal, EventTime, Execution, Fill, FillId, FillKey, IdError, Order, OrderClass, OrderId,
    OrderKey, OrderStatus, OrderTerms, Source, Statement,
};

use self::embedded::{belong, embedded};
use self::fees::fee;
use self::market::Market;
use super::cell::Cell;
use super::context::{Context, statement};
use super::error::{RowError, RowProblem, shown};
use super::json::Object;

/// A unified object and the exchange's answer within it.
struct Unified<'a> {
    outer: &'a Object<'a>,
    info: Option<Object<'a>>,
}

impl Unified<'_> {
    /// The exchange's value, else the unified one.
    fn pick(&self, info: &[&str], unified: &[&str]) -> Option<Cell<'_>> {
        self.info.as_ref().and_then(|object| object.first(info)).or_else(|| self.outer.first(unified))
    }

    fn required(&self, info: &[&str], unified: &'static str) -> Result<Cell<'_>, RowError> {
        self.pick(info, &[unified]).ok_or_else(|| RowError::cell(unified, "", RowProblem::Missing))
    }

    /// Checks that a unified value says what the exchange says, where both speak. `same` compares their texts.
    fn agrees(&self, info: &[&str], unified: &str, same: fn(&str, &str) -> bool) -> Result<(), RowError> {
        let (Some(own), Some(outer)) = (self.in_info(info), self.outer.get(unified)) else { return Ok(()) };
        if same(own.text, outer.text) {
            return Ok(());
        }
        Err(outer.error(RowProblem::Contradicts { info: own.column.to_owned(), found: shown(own.text) }))
    }

    fn in_info(&self, names: &[&str]) -> Option<Cell<'_>> {
        self.info.as_ref().and_then(|object| object.first(names))
    }
}

/// What an object states.
///
/// # Errors
/// When it is no trade or order, or one of its values cannot be read.
pub(super) fn parse(
    object: &Object<'_>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let hint = match Shape::of(object) {
        Shape::Trade => return parse_trade(&unify(object)?, None, payload, context),
        Shape::Order => return parse_order(&unify(object)?, payload, context),
        Shape::Position => "it looks like a ccxt position, which is derived from trades",
        Shape::Other => "a trade has price, amount and side, an order has status and filled",
    };
    Err(RowError::row(RowProblem::Unrecognised { hint }))
}

/// Whether an object looks like anything of ccxt's.
pub(super) fn is_recognised(object: &Object<'_>) -> bool {
    !matches!(Shape::of(object), Shape::Other)
}

enum Shape {
    Trade,
    Order,
    Position,
    Other,
}

impl Shape {
    fn of(object: &Object<'_>) -> Self {
        let has_all = |names: &[&str]| names.iter().all(|name| object.has(name));
        if has_all(&["symbol", "filled"]) || has_all(&["symbol", "remaining"]) || has_all(&["symbol", "status", "id"]) {
            Self::Order
        } else if has_all(&["symbol", "side", "price", "amount"]) {
            Self::Trade
        } else if has_all(&["symbol", "contracts"]) || has_all(&["symbol", "entryPrice"]) {
            Self::Position
        } else {
            Self::Other
        }
    }
}

fn unify<'a>(outer: &'a Object<'a>) -> Result<Unified<'a>, RowError> {
    let info = match outer.nested("info") {
        Some(text) if text.starts_with('{') => Some(Object::parse(text, "info.")?).filter(|info| !info.is_empty()),
        _ => None,
    };
    Ok(Unified { outer, info })
}

/// What a trade states; `owner` is the order that it stands in.
fn parse_trade(
    trade: &Unified<'_>,
    owner: Option<&Order>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let market = Market::of(trade)?;
    trade.agrees(&["id"], "id", same_text)?;
    trade.agrees(&["orderId"], "order", same_text)?;
    trade.agrees(&["side"], "side", same_text)?;
    trade.agrees(&["price"], "price", same_number)?;
    trade.agrees(&["qty"], "amount", same_number)?;
    let fill_id: FillId = exact_id(trade.required(&["id"], "id")?)?;
    let maker = match trade.in_info(&["maker"]) {
        Some(cell) => Some(cell.boolean()?),
        None => trade.outer.get("takerOrMaker").map(|cell| cell.text.eq_ignore_ascii_case("maker")),
    };
    let mut fill = Fill {
        order_id: trade.pick(&["orderId"], &["order"]).map(exact_id::<OrderId>).transpose()?,
        time: trade.pick(&["time"], &["timestamp", "datetime"]).ok_or_else(missing_time)?.time(None)?,
        price: trade.required(&["price"], "price")?.price()?,
        qty: trade.required(&["qty"], "amount")?.quantity()?,
        position_side: trade.in_info(&["positionSide"]).map(super::cell::Cell::position_side).transpose()?,
        fee: fee(trade, &market, maker, context)?,
        maker,
        exchange_realized_pnl: trade.in_info(&["realizedPnl"]).map(Cell::decimal).transpose()?,
        sequence: fill_id.as_sequence(),
        key: FillKey { symbol: market.symbol.clone(), fill_id, side: trade.required(&["side"], "side")?.side()? },
    };
    if let Some(order) = owner {
        belong(&mut fill, order)?;
    }
    Ok(context.fill_statements(fill, market.instrument, Source::Ccxt, payload))
}

/// Whether two texts are the same name or id.
fn same_text(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a number that has been a float stands for an exact one: they differ by no more than a billionth. What is no
/// number is complained about where it is read.
fn same_number(exact: &str, float: &str) -> bool {
    let (Ok(exact), Ok(float)) = (exact.parse::<Decimal>(), float.parse::<Decimal>()) else { return true };
    let billion = Decimal::from(1_000_000_000);
    let apart = exact.checked_sub(float).and_then(|difference| difference.abs().checked_mul(billion));
    apart.is_ok_and(|apart| apart <= exact.abs().max(float.abs()))
}

fn missing_time() -> RowError {
    RowError::cell("timestamp", "", RowProblem::Missing)
}

fn parse_order(order: &Unified<'_>, payload: &Arc<str>, context: &mut Context) -> Result<Vec<Statement>, RowError> {
    let market = Market::of(order)?;
    order.agrees(&["algoId", "orderId"], "id", same_text)?;
    order.agrees(&["side"], "side", same_text)?;
    order.agrees(&["origQty", "quantity"], "amount", same_number)?;
    order.agrees(&["executedQty"], "filled", same_number)?;
    // Conditional orders have an id space of their own and name it `algoId`.
    let algo_id = order.in_info(&["algoId"]);
    let class = if algo_id.is_some() { OrderClass::Conditional } else { OrderClass::Regular };
    let order_id = match algo_id {
        Some(cell) => exact_id(cell)?,
        None => exact_id(order.required(&["orderId"], "id")?)?,
    };
    let key = OrderKey { symbol: market.symbol.clone(), class, order_id };
    let side = order.required(&["side"], "side")?.side()?;
    let (created, updated) = order_times(order)?;
    let executed_qty = match class {
        OrderClass::Conditional => None,
        OrderClass::Regular => order.pick(&["executedQty"], &["filled"]).map(Cell::not_negative).transpose()?,
    };
    let avg_price = order.pick(&["avgPrice"], &["average"]).map_or(Ok(None), Cell::price_unless_zero)?;
    let status = status(order, executed_qty.is_some_and(Decimal::is_positive))?;
    let price_of = |cell: Option<Cell<'_>>| cell.map_or(Ok(None), Cell::price_unless_zero);
    let fact = Order {
        client_order_id: order
            .pick(&["clientOrderId", "clientAlgoId"], &["clientOrderId"])
            .map(Cell::id)
            .transpose()?,
        side,
        position_side: order.in_info(&["positionSide"]).map(super::cell::Cell::position_side).transpose()?,
        order_type: order.pick(&["origType", "orderType", "type"], &["type"]).map(Cell::label_as_name).transpose()?,
        time_in_force: order.pick(&["timeInForce"], &["timeInForce"]).map(Cell::label_as_name).transpose()?,
        status: status.clone(),
        terms: OrderTerms {
            as_of: updated.or(created).map(|time| time.at),
            qty: order.pick(&["origQty", "quantity"], &["amount"]).map_or(Ok(None), Cell::quantity_unless_zero)?,
            price: price_of(order.pick(&["price"], &["price"]))?,
            trigger_price: price_of(order.pick(&["triggerPrice", "stopPrice"], &["triggerPrice", "stopPrice"]))?,
        },
        executed: executed_qty.map(|qty| Execution::new(qty, avg_price)),
        reduce_only: order.pick(&["reduceOnly"], &["reduceOnly"]).map(Cell::boolean).transpose()?,
        close_position: order.in_info(&["closePosition"]).map(Cell::boolean).transpose()?,
        created,
        updated,
        triggered_order_id: order
            .in_info(&["actualOrderId"])
            .filter(|cell| cell.text != "0")
            .map(exact_id::<OrderId>)
            .transpose()?,
        ..Order::known_from_fill(key.clone(), side, None)
    };
    context.order_is_stated(&key);
    let fills = embedded(order, &fact, context)?;
    let mut statements = vec![statement(AnyFact::Order(fact), Source::Ccxt, payload)];
    if status == OrderStatus::Canceled
        && let Some(time) = updated
    {
        let cancel = Cancel { key, side: Some(side), time, reason: None };
        statements.push(statement(AnyFact::Cancel(cancel), Source::Ccxt, payload));
    }
    statements.extend(context.instrument_statement(&market.symbol, market.instrument, Source::Ccxt, payload));
    statements.extend(fills);
    Ok(statements)
}

/// When an order was created and last changed. ccxt's `timestamp` falls back to the time of the change, so where the
/// exchange's answer is there, only that is asked for the creation.
fn order_times(order: &Unified<'_>) -> Result<(Option<EventTime>, Option<EventTime>), RowError> {
    let created = match &order.info {
        Some(info) => info.first(&["time", "createTime"]),
        None => order.outer.first(&["timestamp", "datetime"]),
    };
    let updated = order.pick(&["updateTime"], &["lastUpdateTimestamp"]);
    let time = |cell: Option<Cell<'_>>| cell.filter(|cell| cell.text != "0").map(|cell| cell.time(None)).transpose();
    Ok((time(created)?, time(updated)?))
}

/// The exchange's status, else what the unified one means.
fn status(order: &Unified<'_>, is_partly_filled: bool) -> Result<OrderStatus, RowError> {
    if let Some(cell) = order.in_info(&["status", "algoStatus"]) {
        return cell.status();
    }
    let Some(cell) = order.outer.get("status") else {
        return Ok(OrderStatus::Unknown);
    };
    match cell.text {
        "open" if is_partly_filled => Ok(OrderStatus::PartiallyFilled),
        "open" => Ok(OrderStatus::New),
        "closed" => Ok(OrderStatus::Filled),
        _ => cell.status(),
    }
}

/// An id whose digits are all there: a number with a fraction or an exponent has been a float.
fn exact_id<T: std::str::FromStr<Err = IdError>>(cell: Cell<'_>) -> Result<T, RowError> {
    let is_whole = cell.text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole && cell.text.parse::<Decimal>().is_ok() {
        return Err(cell.error(RowProblem::MangledId));
    }
    cell.id()
}
