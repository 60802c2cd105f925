//! Any fact, with who stated it: what files and exchanges are parsed into, and what the book records.

use std::sync::Arc;

use crate::fill::Fill;
use crate::funding_rate::FundingRate;
use crate::income::Income;
use crate::instrument::Instrument;
use crate::names::stored_names;
use crate::order::{Cancel, Order};
use crate::order_intent::OrderIntent;
use crate::signal::Signal;
use crate::snapshot::{Anchor, BalanceSnapshot, PositionModeSnapshot, PositionSnapshot, PriceSnapshot};
use crate::source::Source;

/// A fact of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lists of facts are short-lived and mostly of the large kinds")]
pub enum AnyFact {
    /// A contract.
    Instrument(Instrument),
    /// A strategy's decision.
    Signal(Signal),
    /// An order about to be sent.
    Intent(OrderIntent),
    /// An order's state.
    Order(Order),
    /// An execution.
    Fill(Fill),
    /// A cancellation.
    Cancel(Cancel),
    /// A ledger entry of the exchange.
    Income(Income),
    /// A position as the exchange stated it.
    Position(PositionSnapshot),
    /// A balance as the exchange stated it.
    Balance(BalanceSnapshot),
    /// A price as the exchange stated it.
    Price(PriceSnapshot),
    /// What was paid at a funding instant.
    FundingRate(FundingRate),
    /// A stated position where no fills can be had.
    Anchor(Anchor),
    /// The account's position mode as the exchange stated it.
    PositionMode(PositionModeSnapshot),
}

/// The kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactKind {
    /// [`AnyFact::Instrument`].
    Instrument,
    /// [`AnyFact::Signal`].
    Signal,
    /// [`AnyFact::Intent`].
    Intent,
    /// [`AnyFact::Order`].
    Order,
    /// [`AnyFact::Fill`].
    Fill,
    /// [`AnyFact::Cancel`].
    Cancel,
    /// [`AnyFact::Income`].
    Income,
    /// [`AnyFact::Position`].
    Position,
    /// [`AnyFact::Balance`].
    Balance,
    /// [`AnyFact::Price`].
    Price,
    /// [`AnyFact::FundingRate`].
    FundingRate,
    /// [`AnyFact::Anchor`].
    Anchor,
    /// [`AnyFact::PositionMode`].
    PositionMode,
}

stored_names!(FactKind, "kind of fact", {
    Instrument = "instrument", Signal = "signal", Intent = "intent", Order = "order", Fill = "fill",
    Cancel = "cancel", Income = "income", Position = "position", Balance = "balance", Price = "price",
    FundingRate = "funding_rate",    Anchor = "anchor", PositionMode = "position_mode",
});

impl AnyFact {
    /// Which kind of fact this is.
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Instrument(_) => FactKind::Instrument,
            Self::Signal(_) => FactKind::Signal,
            Self::Intent(_) => FactKind::Intent,
            Self::Order(_) => FactKind::Order,
            Self::Fill(_) => FactKind::Fill,
            Self::Cancel(_) => FactKind::Cancel,
            Self::Income(_) => FactKind::Income,
            Self::Position(_) => FactKind::Position,
            Self::Balance(_) => FactKind::Balance,
            Self::Price(_) => FactKind::Price,
            Self::FundingRate(_) => FactKind::FundingRate,
            Self::Anchor(_) => FactKind::Anchor,
            Self::PositionMode(_) => FactKind::PositionMode,
        }
    }
}

/// A fact as somebody stated it, with their words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What is stated.
    pub fact: AnyFact,
    /// By whom.
    pub source: Source,
    /// The payload it was read from, verbatim; shared when one payload states several facts.
    pub payload: Option<Arc<str>>,
}
