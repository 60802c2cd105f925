//! What the exchange said at an instant: positions, the position mode, balances, prices. These are facts too; they are kept, and
//! compared with what the fills say.

use crate::amount::{Decimal, Price};
use crate::id::{Asset, Label, Symbol};
use crate::merge::{Fact, Joiner};
use crate::names::stored_names;
use crate::source::{PositionMode, PositionSide};
use crate::time::TimestampMs;

/// A position as the exchange stated it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PositionSnapshot {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// When, by the exchange's clock.
    pub at: TimestampMs,
    /// Signed quantity: negative = short; 0 = flat.
    pub qty: Decimal,
    /// The exchange's average entry, where it has one.
    pub entry_price: Option<Price>,
}

impl Fact for PositionSnapshot {
    type Key = (Symbol, PositionSide, TimestampMs);

    fn key(&self) -> Self::Key {
        (self.symbol.clone(), self.position_side, self.at)
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            symbol: self.symbol.clone(),
            position_side: self.position_side,
            at: self.at,
            qty: j.required("qty", &self.qty, &other.qty),
            entry_price: j.optional("entry_price", self.entry_price.as_ref(), other.entry_price.as_ref()),
        }
    }
}

/// The account's position mode as the exchange stated it. It holds at its instant; before and after, the account may
/// have been in another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PositionModeSnapshot {
    /// When, by the exchange's clock.
    pub at: TimestampMs,
    /// One position a symbol, or two.
    pub mode: PositionMode,
}

impl Fact for PositionModeSnapshot {
    type Key = TimestampMs;

    fn key(&self) -> TimestampMs {
        self.at
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self { at: self.at, mode: j.required("mode", &self.mode, &other.mode) }
    }
}

/// A wallet balance as the exchange stated it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BalanceSnapshot {
    /// The asset.
    pub asset: Asset,
    /// When, by the exchange's clock.
    pub at: TimestampMs,
    /// The wallet balance: without unrealized profit.
    pub wallet: Decimal,
}

impl Fact for BalanceSnapshot {
    type Key = (Asset, TimestampMs);

    fn key(&self) -> Self::Key {
        (self.asset.clone(), self.at)
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            asset: self.asset.clone(),
            at: self.at,
            wallet: j.amount("wallet", Some(&self.wallet), Some(&other.wallet)).unwrap_or(self.wallet),
        }
    }
}

/// Which price of a contract is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PriceKind {
    /// The mark price at the instant: what open positions are valued at.
    Mark,
    /// The last price that was traded in the minute that ends at the instant. It is the only price of moments at which
    /// nobody looked, and reaches at most a minute beyond a moment that it is used for.
    KlineClose,
}

stored_names!(PriceKind, "kind of price", { Mark = "mark", KlineClose = "kline_close" });

/// A price as the exchange stated it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PriceSnapshot {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its prices.
    pub kind: PriceKind,
    /// The moment that the price is of, by the exchange's clock: of a kline its last millisecond.
    pub at: TimestampMs,
    /// The price, in the quote asset.
    pub price: Price,
}

impl Fact for PriceSnapshot {
    type Key = (Symbol, PriceKind, TimestampMs);

    fn key(&self) -> Self::Key {
        (self.symbol.clone(), self.kind, self.at)
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            symbol: self.symbol.clone(),
            kind: self.kind,
            at: self.at,
            price: j.required("price", &self.price, &other.price),
        }
    }
}

/// A position stated instead of derived, where no fills can be had: the beginning of covered history, or the end of a
/// gap that the exchange no longer answers for. Never a made-up fill.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Anchor {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// The position before anything that happens from this instant on.
    pub at: TimestampMs,
    /// Signed quantity; 0 states that the position was flat.
    pub qty: Decimal,
    /// The average entry, where the exchange's statement allows it.
    pub entry_price: Option<Price>,
    /// How it was derived, for the reader.
    pub derivation: Label,
    /// What the book had of the time before when this was stated; absent where it had nothing. Fills that turn up behind
    /// that were among what was missing, and the position in front of them is this one without them. What is missing in
    /// front of it may lie on either side of it, so there nothing follows.
    pub known_before: Option<KnownBefore>,
    /// Why it no longer counts, once somebody has taken it back: fills that were found later reach further back, say.
    /// Stating the same anchor with a reason here withdraws it, for good and in whatever order the two statements
    /// arrive; to state another position at this instant, state it a millisecond away.
    pub withdrawn: Option<Label>,
}

/// What a book had of the time before a position was stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KnownBefore {
    /// The last instant of which something was known: a fill of the position, or that there was none.
    pub until: TimestampMs,
    /// How many fills it had that may be of the position. A book that still has so many has learned nothing since.
    pub fill_count: u64,
}

impl Fact for Anchor {
    type Key = (Symbol, PositionSide, TimestampMs);

    fn key(&self) -> Self::Key {
        (self.symbol.clone(), self.position_side, self.at)
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            symbol: self.symbol.clone(),
            position_side: self.position_side,
            at: self.at,
            qty: j.required("qty", &self.qty, &other.qty),
            entry_price: j.optional("entry_price", self.entry_price.as_ref(), other.entry_price.as_ref()),
            derivation: j.required("derivation", &self.derivation, &other.derivation),
            known_before: j.optional("known_before", self.known_before.as_ref(), other.known_before.as_ref()),
            withdrawn: j.latest("withdrawn", &self.withdrawn, &other.withdrawn),
        }
    }
}
