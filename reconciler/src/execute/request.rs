//! What an executor is asked for.

use exchange_client::WorkingType;
use ledger_core::{
    Decimal, Direction, EngineLabel, ExitReason, IntentRole, Label, PositionMode, PositionSide, Price, Quantity, Side,
    SignalId, Symbol,
};

/// What orders belong to. Their client order ids derive from it, so it has to be the same after a restart, and another one
/// for every other trade.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A decision of a strategy, which the orders name as the signal behind them.
    Signal(SignalId),
    /// A plan, by the name that its owner gave it. A name is used for one position only.
    Plan(Label),
}

impl Cause {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Signal(id) => id.as_str(),
            Self::Plan(name) => name.as_str(),
        }
    }

    pub(super) fn signal_id(&self) -> Option<SignalId> {
        match self {
            Self::Signal(id) => Some(id.clone()),
            Self::Plan(_) => None,
        }
    }
}

/// An order that opens a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRequest {
    /// The contract.
    pub symbol: Symbol,
    /// What it belongs to.
    pub cause: Cause,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// How much, in the contract's units; rounded down to what the exchange takes.
    pub qty: Quantity,
}

/// A position that is to be closed in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseRequest {
    /// The contract.
    pub symbol: Symbol,
    /// What it belongs to.
    pub cause: Cause,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// Why it is closed, where that is known.
    pub reason: Option<ExitReason>,
    /// What the caller believes to be held. It is used only where the exchange does not answer what is, and nothing can be
    /// turned over by it: the exchange cuts or refuses a close that is larger than the position.
    pub believed_qty: Option<Quantity>,
}

/// A stop that is to rest at the exchange for as long as the position is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    /// The contract.
    pub symbol: Symbol,
    /// What the position belongs to: the same as its entry's.
    pub cause: Cause,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// The price against the position at which it is closed at the market; rounded to what the exchange takes, so that it is
    /// closed earlier rather than later.
    pub price: Price,
    /// By which price.
    pub working_type: WorkingType,
    /// Only this much of the position, where a part of it is known to be somebody else's; `None` for all of it, whatever it is
    /// by then.
    pub qty: Option<Quantity>,
}

/// Orders of a contract that are to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// The contract.
    pub symbol: Symbol,
    /// Only those of this position; `None` for all.
    pub position_side: Option<PositionSide>,
    /// Why, for the record.
    pub reason: Option<Label>,
}

/// From where the price has to have moved for an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DcaBasis {
    /// The exchange's average entry of the position.
    AverageEntry,
    /// The average price of the addition before, and for the first one that of the entry.
    LastEntry,
}

/// An addition to a position that the price has moved against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DcaRequest {
    /// The contract.
    pub symbol: Symbol,
    /// What the position belongs to: the same as its entry's.
    pub cause: Cause,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// How much is added in one step; rounded down to what the exchange takes.
    pub qty: Quantity,
    /// From where the distance counts.
    pub basis: DcaBasis,
    /// By how much the mark price has to have moved against the position, in percent of that price.
    pub distance_percent: Decimal,
    /// How many additions there may be.
    pub steps_max: u32,
}

/// The side of an order that opens a direction.
pub(super) fn opening_side(direction: Direction) -> Side {
    match direction {
        Direction::Long => Side::Buy,
        Direction::Short => Side::Sell,
    }
}

/// The side of an order that closes a direction.
pub(super) fn closing_side(direction: Direction) -> Side {
    match direction {
        Direction::Long => Side::Sell,
        Direction::Short => Side::Buy,
    }
}

/// The position that orders of a direction name.
pub(super) fn position_side(direction: Direction, mode: PositionMode) -> PositionSide {
    match (mode, direction) {
        (PositionMode::OneWay, _) => PositionSide::Net,
        (PositionMode::Hedge, Direction::Long) => PositionSide::Long,
        (PositionMode::Hedge, Direction::Short) => PositionSide::Short,
    }
}

/// What an order is for, without the number of its attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) symbol: &'a Symbol,
    pub(super) cause: &'a Cause,
    pub(super) engine: Option<&'a EngineLabel>,
    pub(super) role: IntentRole,
    pub(super) step: u32,
    pub(super) side: Side,
}
