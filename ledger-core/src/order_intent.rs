//! Orders as they are meant, written down before they are sent.

use crate::amount::{Price, Quantity};
use crate::id::{ClientOrderId, EngineLabel, Label, SignalId, Symbol};
use crate::merge::{Fact, Joiner};
use crate::names::stored_names;
use crate::order::OrderClass;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

/// What an intended order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntentRole {
    /// Opens a position.
    Entry,
    /// Adds to a losing position (dollar-cost averaging).
    Dca,
    /// Closes a position.
    Exit,
    /// Waits to close at a profit.
    TakeProfit,
    /// Waits to close at a loss.
    StopLoss,
}

stored_names!(IntentRole, "intent role", {
    Entry = "entry", Dca = "dca", Exit = "exit", TakeProfit = "take_profit", StopLoss = "stop_loss",
});

/// What became of an order that was sent. Unknown is resolved by asking, never assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntentOutcome {
    /// Written down, perhaps not sent yet.
    Pending,
    /// Sent, and the answer never came or did not tell.
    Unknown,
    /// The exchange refused it, or it is proven never to have arrived.
    Rejected,
    /// The exchange has it.
    Accepted,
}

stored_names!(IntentOutcome, "intent outcome", {
    Pending = "pending", Unknown = "unknown", Rejected = "rejected", Accepted = "accepted",
});

/// An order that is about to be sent: written before sending, so that a crash cannot lose it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderIntent {
    /// The id it is sent with: the key.
    pub client_order_id: ClientOrderId,
    /// The contract.
    pub symbol: Symbol,
    /// Which id space the order will be in.
    pub class: OrderClass,
    /// The direction.
    pub side: Side,
    /// The position it is to change.
    pub position_side: Option<PositionSide>,
    /// What it is for.
    pub role: IntentRole,
    /// Which addition to the position, from 1; 0 when it is none.
    pub dca_step: u32,
    /// Which try, from 1.
    pub attempt: u32,
    /// The exchange's order type.
    pub order_type: Label,
    /// The quantity asked for.
    pub qty: Option<Quantity>,
    /// The limit price.
    pub price: Option<Price>,
    /// The trigger price.
    pub trigger_price: Option<Price>,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// The signal behind it.
    pub signal_id: Option<SignalId>,
    /// The strategy behind it.
    pub engine: Option<EngineLabel>,
    /// When it was written, by the bot's clock.
    pub created_local: TimestampMs,
    /// What became of it.
    pub outcome: IntentOutcome,
}

impl Fact for OrderIntent {
    type Key = ClientOrderId;

    fn key(&self) -> ClientOrderId {
        self.client_order_id.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            client_order_id: self.client_order_id.clone(),
            symbol: j.required("symbol", &self.symbol, &other.symbol),
            class: j.required("order_class", &self.class, &other.class),
            side: j.required("side", &self.side, &other.side),
            position_side: j.optional("position_side", self.position_side.as_ref(), other.position_side.as_ref()),
            role: j.required("role", &self.role, &other.role),
            dca_step: j.required("dca_step", &self.dca_step, &other.dca_step),
            attempt: j.required("attempt", &self.attempt, &other.attempt),
            order_type: j.required("order_type", &self.order_type, &other.order_type),
            qty: j.optional("qty", self.qty.as_ref(), other.qty.as_ref()),
            price: j.optional("price", self.price.as_ref(), other.price.as_ref()),
            trigger_price: j.optional("trigger_price", self.trigger_price.as_ref(), other.trigger_price.as_ref()),
            reduce_only: j.required("reduce_only", &self.reduce_only, &other.reduce_only),
            signal_id: j.optional("signal_id", self.signal_id.as_ref(), other.signal_id.as_ref()),
            engine: j.optional("engine", self.engine.as_ref(), other.engine.as_ref()),
            created_local: j.required("created_local_ms", &self.created_local, &other.created_local),
            outcome: j.latest("outcome", &self.outcome, &other.outcome),
        }
    }
}
