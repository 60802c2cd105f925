//! What is asked for and ordered, as parameters.

use ledger_core::{OrderClass, PositionSide};

use super::facts::{ALGO_ORDER, ORDER};
use super::sign::Query;
use crate::api::{Amendment, NewOrder, OrderKind, OrderRef, OrderSize, TimeWindow, Trigger, WorkingType};

/// Both bounds, always: left to itself the exchange cuts a window to 7 days from either end, and says nothing.
pub(super) fn with_window(query: Query, window: TimeWindow) -> Query {
    query.with("startTime", window.since().as_ms().to_string()).with("endTime", window.until().as_ms().to_string())
}

pub(super) fn with_order_ref(query: Query, order: &OrderRef) -> Query {
    match order {
        OrderRef::Id(OrderClass::Regular, id) => query.with("orderId", id),
        OrderRef::Client(OrderClass::Regular, id) => query.with("origClientOrderId", id),
        OrderRef::Id(OrderClass::Conditional, id) => query.with("algoId", id),
        OrderRef::Client(OrderClass::Conditional, id) => query.with("clientAlgoId", id),
    }
}

/// Where orders of a class are placed, asked for and cancelled one by one.
pub(super) fn order_path(class: OrderClass) -> &'static str {
    match class {
        OrderClass::Regular => ORDER,
        OrderClass::Conditional => ALGO_ORDER,
    }
}

/// The wire's name of a position side.
fn position_side_name(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Net => "BOTH",
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
    }
}

fn with_trigger(query: Query, trigger: Trigger) -> Query {
    with_working_type(query.with("triggerPrice", trigger.price.to_string()), trigger.working_type)
}

fn with_working_type(query: Query, working_type: WorkingType) -> Query {
    query.with(
        "workingType",
        match working_type {
            WorkingType::ContractPrice => "CONTRACT_PRICE",
            WorkingType::MarkPrice => "MARK_PRICE",
        },
    )
}

pub(super) fn new_order(order: &NewOrder) -> Query {
    let query = match order.kind.class() {
        OrderClass::Regular => Query::new(),
        OrderClass::Conditional => Query::new().with("algoType", "CONDITIONAL"),
    };
    let query = query
        .with("symbol", &order.symbol)
        .with("side", order.side.as_str())
        .with("positionSide", position_side_name(order.position_side))
        .with("type", order.kind.name());
    let query = match &order.kind {
        OrderKind::Market => query,
        OrderKind::Limit { price, time_in_force } => {
            query.with("timeInForce", time_in_force.as_str()).with("price", price.to_string())
        }
        OrderKind::Stop { trigger, price, time_in_force } | OrderKind::TakeProfit { trigger, price, time_in_force } => {
            let query = query.with("timeInForce", time_in_force.as_str()).with("price", price.to_string());
            with_trigger(query, *trigger)
        }
        OrderKind::StopMarket { trigger } | OrderKind::TakeProfitMarket { trigger } => with_trigger(query, *trigger),
        OrderKind::TrailingStopMarket { activation_price, callback_rate_percent, working_type } => {
            let query = query
                .with_some("activatePrice", activation_price.map(|price| price.to_string()))
                .with("callbackRate", callback_rate_percent.to_string());
            with_working_type(query, *working_type)
        }
    };
    let query = match order.size {
        OrderSize::Qty(qty) => query.with("quantity", qty.to_string()),
        OrderSize::ClosePosition => query.with("closePosition", "true"),
    };
    // In hedge mode the parameter is refused even when false.
    let query = if order.reduce_only { query.with("reduceOnly", "true") } else { query };
    match order.kind.class() {
        // RESULT: a market order is answered when it is done, not when it arrived.
        OrderClass::Regular => {
            query.with("newClientOrderId", &order.client_order_id).with("newOrderRespType", "RESULT")
        }
        OrderClass::Conditional => query.with("clientAlgoId", &order.client_order_id),
    }
}

pub(super) fn amendment(amendment: &Amendment) -> Query {
    with_order_ref(Query::new().with("symbol", &amendment.symbol), &amendment.order)
        .with("side", amendment.side.as_str())
        .with("quantity", amendment.qty.to_string())
        .with("price", amendment.price.to_string())
}
