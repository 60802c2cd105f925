//! Unified orders, of both classes.

use std::sync::Arc;

use ledger_core::{
    AnyFact, Decimal, EventTime, Execution, Order, OrderClass, OrderId, OrderKey, OrderStatus, OrderTerms, Quantity,
    Source, Statement, half_unit,
};

use super::embedded::embedded;
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
    order.agrees(&["avgPrice"], "average", same_unless_zero)?;
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
    let is_partly_filled = amounts.executed.as_ref().is_some_and(|executed| executed.qty.is_positive());
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
    let unified = unified_times(order, &fact, context);
    let mut statements = vec![statement(AnyFact::Order(fact), Source::Ccxt, payload)];
    statements.extend(unified.map(|unified| statement(AnyFact::Order(unified), Source::CcxtUnified, payload)));
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

/// The order as the library dates it, where the exchange's own answer says otherwise.
fn unified_times(order: &Unified<'_>, fact: &Order, context: &mut Context) -> Option<Order> {
    let outer = order.outer;
    if let Some(updated) = fact.updated
        && other_time(updated, outer.get("lastUpdateTimestamp")).is_some()
    {
        context.note = Some("its `lastUpdateTimestamp` is not the exchange's `updateTime`, which counts");
    }
    let created = fact.created?;
    let other = other_time(created, outer.get("timestamp"))?;
    Some(Order { created: Some(other), ..fact.clone() })
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

/// Averages that are 0 where the exchange leaves them out say nothing.
fn same_unless_zero(exact: &str, float: &str) -> bool {
    exact.parse::<Decimal>().is_ok_and(Decimal::is_zero) || same_average(exact, float)
}

/// Whether an average that a library computed is the exchange's, to half a unit of its last digit.
fn same_average(exact: &str, float: &str) -> bool {
    let (Ok(one), Ok(other)) = (exact.parse::<Decimal>(), float.parse::<Decimal>()) else { return true };
    let apart = one.checked_sub(other).map(Decimal::abs);
    same_number(exact, float) || apart.is_ok_and(|apart| apart <= half_unit(exact))
}
