//! Orders and what happens to them.
//!
//! An order's facts arrive from many answers in any order. Its state only moves forward (a lattice); its executed
//! quantity only grows; its terms are those of its latest amendment.

use crate::amount::{Decimal, Price, Quantity};
use crate::id::{ClientOrderId, EngineLabel, Label, OrderId, SignalId, Symbol};
use crate::merge::{Fact, Joiner};
use crate::names::stored_names;
use crate::order_status::{OrderStatus, join_status};
use crate::order_story::{Condition, Origin};
use crate::source::{PositionSide, Side, Source};
use crate::stated_fees::StatedFees;
use crate::time::{EventTime, TimestampMs};

/// The two id spaces of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderClass {
    /// In the order book, or done with it. Only regular orders have fills.
    Regular,
    /// Waiting for a trigger; when it triggers, a regular order with an id of its own takes over.
    Conditional,
}

stored_names!(OrderClass, "order class", { Regular = "REGULAR", Conditional = "CONDITIONAL" });

/// What identifies an order within an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderKey {
    /// The contract.
    pub symbol: Symbol,
    /// Which id space.
    pub class: OrderClass,
    /// The exchange's id, unique per symbol and class.
    pub order_id: OrderId,
}

/// Why a round trip ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitReason {
    /// Nothing tells.
    Unknown,
    /// A take-profit order or decision.
    TakeProfit,
    /// A stop-loss order or decision.
    StopLoss,
    /// Closed by hand.
    ManualClose,
    /// Closed by the bot's management mode.
    AutoExit,
    /// Closed by the exchange, which did not state why.
    Forced,
    /// Closed by the exchange for lack of margin.
    Liquidation,
    /// Closed by the exchange against a liquidated counterparty (auto-deleveraging).
    Adl,
    /// The contract was settled.
    Settlement,
}

stored_names!(ExitReason, "exit reason", {
    Unknown = "unknown", TakeProfit = "take_profit", StopLoss = "stop_loss", ManualClose = "manual_close",
    AutoExit = "auto_exit", Forced = "forced", Liquidation = "liquidation", Adl = "adl", Settlement = "settlement",
});

/// What an order asks for; replaced as a whole by an amendment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderTerms {
    /// When these terms were stated; `None` when the source does not say.
    pub as_of: Option<TimestampMs>,
    /// The ordered quantity; absent for "close the position" and for orders known only from fills.
    pub qty: Option<Quantity>,
    /// The limit price; absent for market orders.
    pub price: Option<Price>,
    /// The price that triggers a conditional order.
    pub trigger_price: Option<Price>,
}

impl OrderTerms {
    fn version(&self) -> (bool, Option<TimestampMs>, u8) {
        let stated = [self.qty.is_some(), self.price.is_some(), self.trigger_price.is_some()];
        (stated.contains(&true), self.as_of, stated.into_iter().map(u8::from).sum())
    }
}

/// How far an order has been executed, as an order answer states it. It never makes a fill: it has no trade id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Execution {
    /// The executed quantity so far, 0 included.
    pub qty: Decimal,
    /// The average price of that quantity, as the exchange rounds it.
    pub avg_price: Option<Price>,
    /// Whether this is the exchange's last word: REST stated it of an order that had ended. Set by
    /// [`Order::stated_by`].
    pub is_final: bool,
}

impl Execution {
    /// What an answer states; not the last word.
    pub fn new(qty: Decimal, avg_price: Option<Price>) -> Self {
        Self { qty, avg_price, is_final: false }
    }
}

/// An order as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Order {
    /// Symbol, class and id.
    pub key: OrderKey,
    /// The id that the sender gave it.
    pub client_order_id: Option<ClientOrderId>,
    /// The direction.
    pub side: Side,
    /// The position it changes.
    pub position_side: Option<PositionSide>,
    /// The exchange's order type, for example `MARKET`; for a triggered order the type it was placed with.
    pub order_type: Option<Label>,
    /// The exchange's time in force, for example `GTC`.
    pub time_in_force: Option<Label>,
    /// Where it stands.
    pub status: OrderStatus,
    /// What it asks for.
    pub terms: OrderTerms,
    /// How far it has been executed; absent when no order answer has said.
    pub executed: Option<Execution>,
    /// What an answer says that this cost, where one does; what its fills say of it counts more.
    pub fees: Option<StatedFees>,
    /// Whether it can only make a position smaller.
    pub reduce_only: Option<bool>,
    /// Whether it closes the whole position.
    pub close_position: Option<bool>,
    /// When it was created.
    pub created: Option<EventTime>,
    /// When it last changed.
    pub updated: Option<EventTime>,
    /// The regular order that a triggered conditional order became.
    pub triggered_order_id: Option<OrderId>,
    /// Who sent it, as its client order id, its type and the exchange's lists tell: see [`VenueRules`](crate::VenueRules).
    pub origin: Option<Origin>,
    /// What it waits for, if it is a conditional order or came of one.
    pub condition: Option<Condition>,
    /// The strategy that sent it.
    pub engine: Option<EngineLabel>,
    /// The signal that caused it.
    pub signal_id: Option<SignalId>,
    /// What it was meant to do to the position, where the sender said.
    pub exit_reason: Option<ExitReason>,
}

impl Order {
    /// The order as `source` states it. What REST says of an order that has ended is final: how much was executed no
    /// longer changes, so a larger number of anybody else's is a mistake and not news. An answer that leaves out the
    /// average price, as the one to placing an order does, is not that thorough.
    #[must_use]
    pub fn stated_by(mut self, source: Source) -> Self {
        let has_ended = self.status.is_terminal() && source == Source::Rest;
        if let Some(executed) = &mut self.executed {
            executed.is_final = has_ended && (executed.qty.is_zero() || executed.avg_price.is_some());
        }
        self
    }

    /// Whether it can do nothing but make a position smaller.
    pub fn can_only_close(&self) -> bool {
        can_only_close(self.position_side, self.side, self.reduce_only, self.close_position)
    }

    /// The first moment of which it is known that the order was there: that of its creation, else that of its terms, else
    /// that of its last change.
    pub fn known_since(&self) -> Option<EventTime> {
        self.created.or_else(|| self.terms.as_of.map(EventTime::ms)).or(self.updated)
    }

    /// That it was cancelled, if this statement says so, with the source that the cancel is worth. One without the time
    /// of the change happened at some moment after the order was made: that moment is fillbook's inference, and gives
    /// way to every time that is stated. What a library says against the exchange's own answer is no cancel.
    pub fn cancel(&self, source: Source) -> Option<(Cancel, Source)> {
        if self.status != OrderStatus::Canceled || source == Source::CcxtUnified {
            return None;
        }
        let stated = self.updated.map(|time| (time, source));
        let (time, source) = stated.or_else(|| Some((self.known_since()?, Source::Repair)))?;
        Some((Cancel { key: self.key.clone(), side: Some(self.side), time, reason: None }, source))
    }

    /// An order of which nothing but its identity and side is known: what a fill tells about its order.
    pub fn known_from_fill(key: OrderKey, side: Side, position_side: Option<PositionSide>) -> Self {
        Self {
            key,
            client_order_id: None,
            side,
            position_side,
            order_type: None,
            time_in_force: None,
            status: OrderStatus::Unknown,
            terms: OrderTerms::default(),
            executed: None,
            fees: None,
            reduce_only: None,
            close_position: None,
            created: None,
            updated: None,
            triggered_order_id: None,
            origin: None,
            condition: None,
            engine: None,
            signal_id: None,
            exit_reason: None,
        }
    }
}

/// Whether an order of these terms can do nothing but make a position smaller.
pub fn can_only_close(
    position_side: Option<PositionSide>,
    side: Side,
    reduce_only: Option<bool>,
    close_position: Option<bool>,
) -> bool {
    reduce_only == Some(true)
        || close_position == Some(true)
        || matches!(
            (position_side, side),
            (Some(PositionSide::Long), Side::Sell) | (Some(PositionSide::Short), Side::Buy)
        )
}

/// The larger executed quantity stands, with its own average price; only about the same quantity can averages differ.
/// The last word about an order that has ended stands against all others; a larger quantity than that is a conflict.
fn join_executed(left: Option<&Execution>, right: Option<&Execution>, j: &mut Joiner<'_>) -> Option<Execution> {
    let version = |executed: Option<&Execution>| executed.map(|executed| (executed.is_final, executed.qty));
    let order = version(right).cmp(&version(left));
    if order.is_ne() {
        let (winner, loser) = if order.is_gt() { (right, left) } else { (left, right) };
        match (winner, loser) {
            (Some(winner), Some(loser)) if winner.is_final => {
                j.decide("executed_qty", order, loser.is_final || loser.qty > winner.qty);
            }
            (Some(winner), None) if winner.is_final => j.decide("executed_qty", order, false),
            _ => j.supersede("executed_qty", order),
        }
        // A field that the winner does not state has no source and no conflict.
        if winner.is_some_and(|executed| executed.avg_price.is_some()) {
            j.supersede("avg_price", order);
        } else {
            j.clear("avg_price");
        }
        return winner.cloned();
    }
    let (left, right) = (left?, right?);
    let avg = |executed: &Execution| executed.avg_price.map(Price::get);
    let qty = j.required("executed_qty", &left.qty, &right.qty);
    let avg_price = j.amount("avg_price", avg(left).as_ref(), avg(right).as_ref());
    let avg_price = avg_price.and_then(|price| Price::new(price).ok());
    Some(Execution { qty, avg_price, is_final: left.is_final })
}

impl Fact for Order {
    type Key = OrderKey;

    fn key(&self) -> OrderKey {
        self.key.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            key: self.key.clone(),
            client_order_id: j.optional(
                "client_order_id",
                self.client_order_id.as_ref(),
                other.client_order_id.as_ref(),
            ),
            side: j.required("side", &self.side, &other.side),
            position_side: j.optional("position_side", self.position_side.as_ref(), other.position_side.as_ref()),
            order_type: j.optional("order_type", self.order_type.as_ref(), other.order_type.as_ref()),
            time_in_force: j.optional("time_in_force", self.time_in_force.as_ref(), other.time_in_force.as_ref()),
            status: join_status(&self.status, &other.status, j),
            terms: j.group("terms", &self.terms, &other.terms, OrderTerms::version),
            executed: join_executed(self.executed.as_ref(), other.executed.as_ref(), j),
            // Those of the larger quantity stand; only about the same quantity can two of them differ.
            fees: j.group_by(
                "fees",
                &self.fees,
                &other.fees,
                |fees| fees.as_ref().map(StatedFees::qty),
                |one, other| one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one.agrees_with(other)),
            ),
            reduce_only: j.optional("reduce_only", self.reduce_only.as_ref(), other.reduce_only.as_ref()),
            close_position: j.optional("close_position", self.close_position.as_ref(), other.close_position.as_ref()),
            created: j.time("ts", self.created.as_ref(), other.created.as_ref()),
            updated: {
                let at = |time: &Option<EventTime>| time.map(|time| (time.at, time.precision));
                j.latest("updated_ts", &at(&self.updated), &at(&other.updated))
                    .map(|(at, precision)| EventTime { at, precision })
            },
            triggered_order_id: j.optional(
                "triggered_order_id",
                self.triggered_order_id.as_ref(),
                other.triggered_order_id.as_ref(),
            ),
            origin: j.graded("origin", self.origin.as_ref(), other.origin.as_ref(), |origin| origin.grade()),
            condition: j.optional("condition", self.condition.as_ref(), other.condition.as_ref()),
            engine: j.optional("engine", self.engine.as_ref(), other.engine.as_ref()),
            signal_id: j.optional("signal_id", self.signal_id.as_ref(), other.signal_id.as_ref()),
            exit_reason: j.optional("exit_reason", self.exit_reason.as_ref(), other.exit_reason.as_ref()),
        }
    }
}

/// The end of an order by cancellation, as a fact of its own: who did it and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cancel {
    /// The cancelled order.
    pub key: OrderKey,
    /// The order's direction, where known.
    pub side: Option<Side>,
    /// When, by the exchange's clock.
    pub time: EventTime,
    /// Why, in the words of whoever cancelled.
    pub reason: Option<Label>,
}

impl Fact for Cancel {
    type Key = OrderKey;

    fn key(&self) -> OrderKey {
        self.key.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            key: self.key.clone(),
            side: j.optional("side", self.side.as_ref(), other.side.as_ref()),
            time: j.time("ts", Some(&self.time), Some(&other.time)).unwrap_or(self.time),
            reason: j.optional("reason", self.reason.as_ref(), other.reason.as_ref()),
        }
    }
}
