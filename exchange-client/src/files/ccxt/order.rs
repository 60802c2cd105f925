//! Unified orders, of both classes.

use std::sync::Arc;

use ledger_core::{
    AnyFact, Decimal, EventTime, Execution, Label, Order, OrderClass, OrderId, OrderKey, OrderStatus, OrderTerms,
    Quantity, Source, Statement, half_unit,
};

use super::embedded::embedded;
use super::fees::order_fees;
use super::unit::{Traded, size};
use super::{Market, Unified, exact_id, other_time, same_number, same_text};
use crate::binance_usdm::VENUE;
use crate::files::amounts::Stated;
use crate::files::cell::Cell;
use crate::files::context::{Context, statement};
use crate::files::error::{RowError, RowProblem};
use crate::files::executed::{Executed, average, check_order};

/// What an order states, with the trades that it lists.
pub(super) fn parse_order(
    order: &Unified<'_>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let market = Market::of(order)?;
    order.agrees(&["algoId", "orderId"], "id", same_text)?;
    order.agrees(&["side"], "side", same_text)?;
    order.agrees(&["origQty", "quantity"], "amount", same_number)?;
    order.agrees(&["executedQty"], "filled", same_number)?;
    order.agrees(&["clientOrderId", "clientAlgoId"], "clientOrderId", same_text)?;
    order.agrees(&["avgPrice"], "average", same_average_unless_zero)?;
    // The library shows the average as the price of a market order.
    order.agrees(&["price"], "price", same_unless_zero)?;
    order.agrees(&["triggerPrice", "stopPrice"], "triggerPrice", same_unless_zero)?;
    order.agrees(&["triggerPrice", "stopPrice"], "stopPrice", same_unless_zero)?;
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
    let amounts = Amounts::of(order, class, &market, context)?;
    let is_partly_filled = executed_any(amounts.executed.as_ref());
    let fees = order_fees(order, amounts.executed.as_ref());
    let price_of = |cell: Option<Cell<'_>>| cell.map_or(Ok(None), Cell::price_unless_zero);
    let fact = VENUE.order_rules.tell(Order {
        client_order_id: order
            .pick(&["clientOrderId", "clientAlgoId"], &["clientOrderId"])
            .map(Cell::id)
            .transpose()?,
        side,
        position_side: order.in_info(&["positionSide"]).map(Cell::position_side).transpose()?,
        order_type: order.pick(&["origType", "orderType", "type"], &["type"]).map(Cell::label_as_name).transpose()?,
        time_in_force: order.pick(&["timeInForce"], &["timeInForce"]).map(Cell::label_as_name).transpose()?,
        status: status(order, is_partly_filled)?,
        terms: OrderTerms {
            as_of: updated.or(created).map(|time| time.at),
            qty: amounts.qty,
            price: price_of(order.pick(&["price"], &["price"]))?,
            trigger_price: price_of(order.pick(&["triggerPrice", "stopPrice"], &["triggerPrice", "stopPrice"]))?,
        },
        executed: amounts.executed,
        fees,
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
    });
    // The type of a liquidation may stand in one of the two alone.
    let own_type = order.in_info(&["type"]).map(Cell::label_as_name).transpose()?;
    let fact = fact.sent_by(VENUE.order_rules.origin(None, own_type.as_ref()));
    check_order(&fact)?;
    context.order_is_stated(&key);
    let fills = embedded(order, &fact, context)?;
    let unified = library_says(order, &fact, context)?;
    let mut statements = vec![statement(AnyFact::Order(fact), Source::Ccxt, payload)];
    statements.extend(unified.map(|unified| statement(AnyFact::Order(unified), Source::CcxtUnified, payload)));
    statements.extend(context.instrument_statement(&market.symbol, market.instrument, Source::Ccxt, payload));
    statements.extend(fills);
    Ok(statements)
}

/// When an order was created and last changed. ccxt's `timestamp` falls back to the time of the change, so where the
/// exchange's answer says when that was, only the answer is asked for the creation.
fn order_times(order: &Unified<'_>) -> Result<(Option<EventTime>, Option<EventTime>), RowError> {
    let time = |cell: Option<Cell<'_>>| cell.filter(|cell| cell.text != "0").map(|cell| cell.time(None)).transpose();
    let updated = time(order.pick(&["updateTime"], &["lastUpdateTimestamp"]))?;
    let created = time(order.in_info(&["time", "createTime"]))?;
    if created.is_some() || time(order.in_info(&["updateTime"]))?.is_some() {
        return Ok((created, updated));
    }
    Ok((time(order.outer.first(&["timestamp", "datetime"]))?, updated))
}

fn executed_any(executed: Option<&Execution>) -> bool {
    executed.is_some_and(|executed| executed.qty.is_positive())
}

/// The exchange's status, else what the unified one means.
fn status(order: &Unified<'_>, is_partly_filled: bool) -> Result<OrderStatus, RowError> {
    match own_status(order)? {
        Some(status) => Ok(status),
        None => Ok(library_status(order, is_partly_filled)?.unwrap_or(OrderStatus::Unknown)),
    }
}

fn own_status(order: &Unified<'_>) -> Result<Option<OrderStatus>, RowError> {
    order.in_info(&["status", "algoStatus"]).map(Cell::status).transpose()
}

fn library_status(order: &Unified<'_>, is_partly_filled: bool) -> Result<Option<OrderStatus>, RowError> {
    let Some(cell) = order.outer.get("status") else { return Ok(None) };
    match cell.text {
        "open" if is_partly_filled => Ok(Some(OrderStatus::PartiallyFilled)),
        "open" => Ok(Some(OrderStatus::New)),
        "closed" => Ok(Some(OrderStatus::Filled)),
        _ => cell.status().map(Some),
    }
}

/// Whether the library has the exchange's status in its own few words: its releases call an order that expired expired or
/// canceled, and one that triggered open or closed.
fn is_status(own: &OrderStatus, library: &OrderStatus) -> bool {
    use OrderStatus::{
        Canceled, Expired, ExpiredInMatch, Filled, Finished, New, Other, PartiallyFilled, Triggered, Triggering,
    };
    own == library
        || match own {
            // What this version does not know, the library may word in any way.
            Other(_) | OrderStatus::Unknown => true,
            New | PartiallyFilled | Triggering => matches!(library, New | PartiallyFilled),
            Expired | ExpiredInMatch => matches!(library, Expired | ExpiredInMatch | Canceled),
            Triggered => matches!(library, New | PartiallyFilled | Filled),
            Finished => matches!(library, Filled),
            OrderStatus::Rejected | Canceled | Filled => false,
        }
}

/// Whether the library's order type can be the exchange's. The library calls many types market or limit, so only these two
/// contradict each other.
fn is_type(own: &Label, library: &Label) -> bool {
    let market_for_limit = own.as_str() == "LIMIT" && library.as_str() == "MARKET";
    let limit_for_market = own.as_str() == "MARKET" && library.as_str() == "LIMIT";
    !market_for_limit && !limit_for_market
}

/// What the library says of an order where the exchange's own answer says otherwise; `None` where the two agree.
///
/// # Errors
/// When something that only the library says cannot be read.
fn library_says(order: &Unified<'_>, fact: &Order, context: &mut Context) -> Result<Option<Order>, RowError> {
    let outer = order.outer;
    if let Some(updated) = fact.updated
        && other_time(updated, &[outer.get("lastUpdateTimestamp")]).is_some()
    {
        context.note = Some("its `lastUpdateTimestamp` is not the exchange's `updateTime`, which counts");
    }
    let mut library = Order::known_from_fill(fact.key.clone(), fact.side, None);
    let times = [outer.get("timestamp"), outer.get("datetime")];
    library.created = fact.created.and_then(|created| other_time(created, &times));
    if let (Some(own), Some(status)) =
        (own_status(order)?, library_status(order, executed_any(fact.executed.as_ref()))?)
        && !is_status(&own, &status)
    {
        library.status = status;
    }
    let type_of = |cell: Option<Cell<'_>>| cell.map(Cell::label_as_name).transpose();
    if let (Some(own), Some(named)) = (type_of(order.in_info(&["type", "orderType"]))?, type_of(outer.get("type"))?)
        && !is_type(&own, &named)
        && fact.order_type.as_ref().is_none_or(|stated| !is_type(stated, &named))
    {
        library.order_type = Some(named);
    }
    if let (Some(own), Some(named)) = (order.in_info(&["timeInForce"]), outer.get("timeInForce"))
        && !(same_text(own.text, named.text) || (own.text == "GTX" && named.text == "PO"))
    {
        library.time_in_force = Some(named.label_as_name()?);
    }
    // A close of the whole position can only reduce it.
    if let (Some(own), Some(named)) = (order.in_info(&["reduceOnly"]), outer.get("reduceOnly"))
        && own.boolean()? != named.boolean()?
        && fact.close_position != Some(true)
    {
        library.reduce_only = Some(named.boolean()?);
    }
    let says_nothing = Order::known_from_fill(fact.key.clone(), fact.side, None);
    Ok((library != says_nothing).then_some(library))
}

/// How much was ordered and executed, in coins where the contract is linear.
struct Amounts {
    qty: Option<Quantity>,
    executed: Option<Execution>,
}

impl Amounts {
    fn of(order: &Unified<'_>, class: OrderClass, market: &Market, context: &mut Context) -> Result<Self, RowError> {
        let ordered = order.pick(&["origQty", "quantity"], &["amount"]);
        let qty = ordered.map_or(Ok(None), Cell::quantity_unless_zero)?;
        let filled = match class {
            OrderClass::Conditional => None,
            OrderClass::Regular => order.pick(&["executedQty"], &["filled"]),
        };
        let stated = Executed {
            symbol: &market.symbol,
            qty: filled,
            avg_price: order.pick(&["avgPrice"], &["average"]),
            quote: order.in_info(&["cumQuote"]),
        };
        let executed = stated.read()?;
        check_remaining(order, qty, executed.as_ref())?;
        // Some answers leave the cost at 0 although something executed.
        let cost = order.outer.get("cost").filter(|cell| !cell.decimal().is_ok_and(Decimal::is_zero));
        let mut amounts = Self { qty, executed };
        if order.info.is_none() {
            return amounts.in_coins(order, market, cost, context);
        }
        let Some(executed) = amounts.executed.as_mut().filter(|_| market.is_linear) else { return Ok(amounts) };
        if executed.avg_price.is_none() && executed.qty.is_positive() {
            executed.avg_price = order.outer.get("average").map_or(Ok(None), Cell::price_unless_zero)?;
        }
        if let (Some(cost), Some(price)) = (cost, executed.avg_price) {
            // The average may be rounded to its last digit.
            let slack = half_digit_of_average(order, executed.qty);
            Stated::float(cost)?.check(price.get(), executed.qty, slack)?;
        }
        Ok(amounts)
    }

    /// Of an object without the exchange's own answer: its amounts may be contracts.
    fn in_coins(
        mut self,
        order: &Unified<'_>,
        market: &Market,
        cost: Option<Cell<'_>>,
        context: &mut Context,
    ) -> Result<Self, RowError> {
        if !market.is_linear {
            return Ok(self);
        }
        let filled = self.executed.as_ref().map_or(Decimal::ZERO, |executed| executed.qty);
        let limit = order.outer.get("price").map_or(Ok(None), Cell::price_unless_zero)?;
        let average_price = self.executed.as_ref().and_then(|executed| executed.avg_price);
        let price = average_price.or(limit).map(ledger_core::Price::get);
        let size = size(market, order, &Traded { price, qty: filled, cost }, context)?;
        let scaled = |amount: Decimal| amount.checked_mul(size).map_err(|_| super::unit::too_long(order));
        if let Some(qty) = self.qty {
            self.qty = Quantity::new(scaled(qty.get())?).ok();
        }
        if let Some(executed) = self.executed.as_mut() {
            executed.qty = scaled(executed.qty)?;
            if executed.avg_price.is_none()
                && executed.qty.is_positive()
                && let Some(cost) = cost
            {
                executed.avg_price = average(cost.decimal()?.abs(), executed.qty);
            }
        }
        Ok(self)
    }
}

fn half_digit_of_average(order: &Unified<'_>, qty: Decimal) -> Decimal {
    let shown = order.pick(&["avgPrice"], &["average"]).map_or(Decimal::ZERO, |cell| half_unit(cell.text));
    qty.product(shown).unwrap_or(Decimal::ZERO)
}

/// Checks that what remains is what was ordered less what executed. All three have been doubles.
fn check_remaining(order: &Unified<'_>, qty: Option<Quantity>, executed: Option<&Execution>) -> Result<(), RowError> {
    let (Some(qty), Some(executed), Some(remaining)) = (qty, executed, order.outer.get("remaining")) else {
        return Ok(());
    };
    let rest = qty.get().checked_sub(executed.qty);
    let apart = rest.and_then(|rest| rest.checked_sub(remaining.decimal().unwrap_or(rest)));
    let allowed = qty.get().div_round(Decimal::from(100_000_000), ledger_core::SCALE_MAX);
    match (rest, apart, allowed) {
        (Ok(rest), Ok(apart), Ok(allowed)) if apart.abs() > allowed => {
            Err(remaining.error(RowProblem::NotTheRest { derived: rest.to_string() }))
        }
        _ => Ok(()),
    }
}

/// Prices that are 0 where the exchange leaves them out say nothing.
fn same_unless_zero(exact: &str, float: &str) -> bool {
    exact.parse::<Decimal>().is_ok_and(Decimal::is_zero) || same_number(exact, float)
}

/// As [`same_unless_zero`], for averages.
fn same_average_unless_zero(exact: &str, float: &str) -> bool {
    exact.parse::<Decimal>().is_ok_and(Decimal::is_zero) || same_average(exact, float)
}

/// Whether an average that a library computed is the exchange's, to half a unit of its last digit.
fn same_average(exact: &str, float: &str) -> bool {
    let (Ok(one), Ok(other)) = (exact.parse::<Decimal>(), float.parse::<Decimal>()) else { return true };
    let apart = one.checked_sub(other).map(Decimal::abs);
    same_number(exact, float) || apart.is_ok_and(|apart| apart <= half_unit(exact))
}
