//! Orders to send: what they ask for, and which combinations make no sense anywhere.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_intent_becomes_the_order_that_it_describes`, or says what it lacks.
//! 2. `contradictions_are_refused_before_they_are_sent`.

use ledger_core::{ClientOrderId, Decimal, OrderClass, OrderIntent, PositionSide, Price, Quantity, Side, Symbol};
use thiserror::Error;

use super::{OrderKind, OrderRef, OrderSize, TimeInForce, Trigger};

/// Why an order makes no sense on any exchange. It was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidOrder {
    /// Reduce-only in hedge mode.
    #[error("an order for a LONG or SHORT position cannot be reduce-only: there its side says whether it reduces")]
    ReduceOnlyInHedgeMode,
    /// Closing a whole position by an order that has no trigger, or that has a limit price.
    #[error("only STOP_MARKET and TAKE_PROFIT_MARKET orders can close a whole position; give a quantity")]
    ClosePositionKind,
    /// Closing a whole position, and reduce-only besides.
    #[error("an order that closes the whole position reduces anyway and cannot be reduce-only as well")]
    ClosePositionReduceOnly,
    /// A trailing stop that never or always triggers.
    #[error("a callback rate must be above 0 and below 100 percent")]
    CallbackRate,
    /// A client order id that the exchange would refuse.
    #[error(
        "the client order id has characters or a length that the exchange refuses: at most {len_max} of A-Z a-z 0-9 . : / _ -"
    )]
    ClientOrderId {
        /// The most characters.
        len_max: usize,
    },
}

/// Why an intent does not describe an order that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IntentError {
    /// A type that this version cannot send, or one that does not fit the intent's class.
    #[error("an order of type {order_type} cannot be made from an intent of class {class}")]
    Kind {
        /// The intent's order type.
        order_type: String,
        /// The intent's class.
        class: OrderClass,
    },
    /// Something that orders of the type need.
    #[error("an order of type {order_type} needs a {what}, which the intent does not have")]
    Missing {
        /// The intent's order type.
        order_type: String,
        /// What is missing.
        what: &'static str,
    },
}

/// An order to send. The client order id is not optional: it is how an unknown outcome is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The id to find it by.
    pub client_order_id: ClientOrderId,
    /// The contract.
    pub symbol: Symbol,
    /// The direction.
    pub side: Side,
    /// The position to change: `Net` in one-way mode.
    pub position_side: PositionSide,
    /// What it is executed at, and when.
    pub kind: OrderKind,
    /// How much.
    pub size: OrderSize,
    /// Whether it may only make the position smaller; not available in hedge mode, where the side says it.
    pub reduce_only: bool,
}

impl NewOrder {
    /// The order that an intent describes: limit orders good till cancelled, triggers by the contract's last price,
    /// and without a quantity the whole position.
    ///
    /// # Errors
    /// [`IntentError`] when something is missing, and for a trailing stop, whose callback rate no intent carries:
    /// [`from_intent_as`](Self::from_intent_as) takes it from elsewhere.
    pub fn from_intent(intent: &OrderIntent) -> Result<Self, IntentError> {
        let order_type = || intent.order_type.to_string();
        let missing = |what| IntentError::Missing { order_type: order_type(), what };
        let price = || intent.price.ok_or_else(|| missing("price"));
        let trigger = || intent.trigger_price.map(Trigger::from).ok_or_else(|| missing("trigger price"));
        let time_in_force = TimeInForce::Gtc;
        let kind = match (intent.class, intent.order_type.as_str()) {
            (OrderClass::Regular, "MARKET") => OrderKind::Market,
            (OrderClass::Regular, "LIMIT") => OrderKind::Limit { price: price()?, time_in_force },
            (OrderClass::Conditional, "STOP") => {
                OrderKind::Stop { trigger: trigger()?, price: price()?, time_in_force }
            }
            (OrderClass::Conditional, "STOP_MARKET") => OrderKind::StopMarket { trigger: trigger()? },
            (OrderClass::Conditional, "TAKE_PROFIT") => {
                OrderKind::TakeProfit { trigger: trigger()?, price: price()?, time_in_force }
            }
            (OrderClass::Conditional, "TAKE_PROFIT_MARKET") => OrderKind::TakeProfitMarket { trigger: trigger()? },
            (OrderClass::Conditional, "TRAILING_STOP_MARKET") => return Err(missing("callback rate")),
            (class, _) => return Err(IntentError::Kind { order_type: order_type(), class }),
        };
        Self::from_intent_as(intent, kind)
    }

    /// The order that an intent describes, executed as `kind` says: for what intents do not carry, such as times in
    /// force, mark price triggers and callback rates.
    ///
    /// # Errors
    /// [`IntentError`] when `kind` is of another type than the intent, or a quantity is missing where there must be one.
    pub fn from_intent_as(intent: &OrderIntent, kind: OrderKind) -> Result<Self, IntentError> {
        let order_type = || intent.order_type.to_string();
        if (intent.class, intent.order_type.as_str()) != (kind.class(), kind.name()) {
            return Err(IntentError::Kind { order_type: order_type(), class: intent.class });
        }
        let size = match (intent.qty, &kind) {
            (Some(qty), _) => OrderSize::Qty(qty),
            (None, OrderKind::StopMarket { .. } | OrderKind::TakeProfitMarket { .. }) => OrderSize::ClosePosition,
            (None, _) => return Err(IntentError::Missing { order_type: order_type(), what: "quantity" }),
        };
        Ok(Self {
            client_order_id: intent.client_order_id.clone(),
            symbol: intent.symbol.clone(),
            side: intent.side,
            position_side: intent.position_side.unwrap_or(PositionSide::Net),
            kind,
            size,
            // Closing the whole position reduces anyway, and exchanges refuse to be told so twice.
            reduce_only: intent.reduce_only && size != OrderSize::ClosePosition,
        })
    }

    /// Refuses what makes no sense on any exchange, before it is sent.
    ///
    /// # Errors
    /// [`InvalidOrder`].
    pub fn check(&self) -> Result<(), InvalidOrder> {
        if self.reduce_only && self.position_side != PositionSide::Net {
            return Err(InvalidOrder::ReduceOnlyInHedgeMode);
        }
        if self.size == OrderSize::ClosePosition {
            if !matches!(self.kind, OrderKind::StopMarket { .. } | OrderKind::TakeProfitMarket { .. }) {
                return Err(InvalidOrder::ClosePositionKind);
            }
            if self.reduce_only {
                return Err(InvalidOrder::ClosePositionReduceOnly);
            }
        }
        if let OrderKind::TrailingStopMarket { callback_rate_percent, .. } = &self.kind {
            let below_100 = callback_rate_percent.checked_sub(Decimal::from(100)).is_ok_and(Decimal::is_negative);
            if !callback_rate_percent.is_positive() || !below_100 {
                return Err(InvalidOrder::CallbackRate);
            }
        }
        Ok(())
    }
}

/// A change of a working limit order. It keeps its id; a quantity at or below what is executed already ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The contract.
    pub symbol: Symbol,
    /// Which order.
    pub order: OrderRef,
    /// The order's direction, which stays.
    pub side: Side,
    /// The new quantity, what is executed already included.
    pub qty: Quantity,
    /// The new price.
    pub price: Price,
}

#[cfg(test)]
mod tests {
    use ledger_core::{IntentOutcome, IntentRole, Label, TimestampMs};

    use super::*;
    use crate::api::WorkingType;

    fn intent(class: OrderClass, order_type: &str) -> OrderIntent {
        OrderIntent {
            client_order_id: ClientOrderId::new("swing:sl:1").unwrap(),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            class,
            side: Side::Sell,
            position_side: None,
            role: IntentRole::StopLoss,
            dca_step: 0,
            attempt: 1,
            order_type: Label::new(order_type).unwrap(),
            qty: Some("0.01".parse().unwrap()),
            price: Some("59000".parse().unwrap()),
            trigger_price: Some("60000".parse().unwrap()),
            reduce_only: true,
            signal_id: None,
            engine: None,
            created_local: TimestampMs::new(1_780_000_000_000).unwrap(),
            outcome: IntentOutcome::Pending,
        }
    }

    #[test]
    fn an_intent_becomes_the_order_that_it_describes() {
        let price: Price = "59000".parse().unwrap();
        let trigger = Trigger::from("60000".parse::<Price>().unwrap());
        let time_in_force = TimeInForce::Gtc;
        for (class, order_type, kind) in [
            (OrderClass::Regular, "MARKET", OrderKind::Market),
            (OrderClass::Regular, "LIMIT", OrderKind::Limit { price, time_in_force }),
            (OrderClass::Conditional, "STOP", OrderKind::Stop { trigger, price, time_in_force }),
            (OrderClass::Conditional, "STOP_MARKET", OrderKind::StopMarket { trigger }),
            (OrderClass::Conditional, "TAKE_PROFIT", OrderKind::TakeProfit { trigger, price, time_in_force }),
            (OrderClass::Conditional, "TAKE_PROFIT_MARKET", OrderKind::TakeProfitMarket { trigger }),
        ] {
            let order = NewOrder::from_intent(&intent(class, order_type)).unwrap();
            assert_eq!((order.kind.name(), order.kind.class(), &order.kind), (order_type, class, &kind));
            assert_eq!(order.size, OrderSize::Qty("0.01".parse().unwrap()));
            assert!(order.reduce_only && order.position_side == PositionSide::Net);
        }
        let whole = OrderIntent { qty: None, ..intent(OrderClass::Conditional, "STOP_MARKET") };
        let order = NewOrder::from_intent(&whole).unwrap();
        assert_eq!((order.size, order.reduce_only, order.check()), (OrderSize::ClosePosition, false, Ok(())));

        let error = |intent: OrderIntent| NewOrder::from_intent(&intent).unwrap_err().to_string();
        let limit = intent(OrderClass::Regular, "LIMIT");
        assert!(error(OrderIntent { price: None, ..limit.clone() }).contains("a price"));
        assert!(error(OrderIntent { qty: None, ..limit }).contains("a quantity"));
        let stop = intent(OrderClass::Conditional, "STOP");
        assert!(error(OrderIntent { trigger_price: None, ..stop.clone() }).contains("a trigger price"));
        assert!(error(OrderIntent { class: OrderClass::Regular, ..stop }).contains("class REGULAR"));
        let trailing = intent(OrderClass::Conditional, "TRAILING_STOP_MARKET");
        assert!(error(trailing.clone()).contains("a callback rate"));
        let kind = OrderKind::TrailingStopMarket {
            activation_price: None,
            callback_rate_percent: "0.5".parse().unwrap(),
            working_type: WorkingType::MarkPrice,
        };
        assert_eq!(NewOrder::from_intent_as(&trailing, kind.clone()).unwrap().kind, kind);
        assert!(NewOrder::from_intent_as(&trailing, OrderKind::Market).is_err());
    }

    #[test]
    fn contradictions_are_refused_before_they_are_sent() {
        let trigger = Trigger::from("60000".parse::<Price>().unwrap());
        let plain = NewOrder::from_intent(&intent(OrderClass::Conditional, "STOP_MARKET")).unwrap();
        assert_eq!(plain.check(), Ok(()));
        let trailing = |percent: &str| OrderKind::TrailingStopMarket {
            activation_price: None,
            callback_rate_percent: percent.parse().unwrap(),
            working_type: WorkingType::ContractPrice,
        };
        for (order, expected) in [
            (NewOrder { position_side: PositionSide::Long, ..plain.clone() }, InvalidOrder::ReduceOnlyInHedgeMode),
            (NewOrder { size: OrderSize::ClosePosition, ..plain.clone() }, InvalidOrder::ClosePositionReduceOnly),
            (
                NewOrder { size: OrderSize::ClosePosition, kind: OrderKind::Market, ..plain.clone() },
                InvalidOrder::ClosePositionKind,
            ),
            (NewOrder { kind: trailing("0"), ..plain.clone() }, InvalidOrder::CallbackRate),
            (NewOrder { kind: trailing("100"), ..plain.clone() }, InvalidOrder::CallbackRate),
        ] {
            assert_eq!(order.check(), Err(expected));
        }
        let closing = NewOrder {
            size: OrderSize::ClosePosition,
            reduce_only: false,
            kind: OrderKind::TakeProfitMarket { trigger },
            ..plain.clone()
        };
        assert_eq!(closing.check(), Ok(()));
        assert_eq!(NewOrder { kind: trailing("99.9"), ..plain }.check(), Ok(()));
    }
}
