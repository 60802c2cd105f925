//! What a fold takes in, and what each event did.

use crate::amount::{Price, Quantity, Value};
use crate::fill::Fill;
use crate::id::OrderId;
use crate::income::Income;
use crate::round_trip::OrderContext;
use crate::snapshot::Anchor;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

use super::SymbolFold;
use super::closed_trip::ClosedTrip;

/// What an order has executed beyond its recorded fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// The order.
    pub order_id: OrderId,
    /// Its direction.
    pub side: Side,
    /// The position it changed; `None` stands for [`PositionSide::Net`].
    pub position_side: Option<PositionSide>,
    /// The executed quantity that no fill accounts for.
    pub qty: Quantity,
    /// Its average price, from the order's average price and the fills that are there; absent when that is not
    /// stated.
    pub price: Option<Price>,
    /// When the order last changed.
    pub at: TimestampMs,
}

/// One step of the fold.
#[derive(Debug, Clone, Copy)]
pub enum FoldEvent<'a> {
    /// A fill, in the order of its [`FoldKey`](crate::FoldKey).
    Fill {
        /// The fill; its position side must be known.
        fill: &'a Fill,
        /// Its order, where the book has it.
        order: Option<&'a OrderContext>,
    },
    /// The unaccounted part of an order. Comes before the first fill with a later time.
    Residual {
        /// The residual.
        residual: &'a Residual,
        /// Its order.
        order: Option<&'a OrderContext>,
    },
    /// All funding rows of one [funding instant](crate::funding_instant). Comes before the first fill at or after the
    /// instant: of a fill whose time says only the full hour's second, nearly all of that second lies behind it. What a
    /// position got becomes an estimate when a fill of the very same millisecond changes it: nothing tells which of the
    /// two came first.
    Funding(&'a [Income]),
    /// A stated position. Comes before the first fill at or after its time.
    Anchor(&'a Anchor),
}

impl FoldEvent<'_> {
    /// Whether this event is to be applied before a fill at `fill_ms` (milliseconds since 1970). Fills themselves are
    /// ordered by their [`FoldKey`](crate::FoldKey).
    pub fn comes_before_fill_at(&self, fill_ms: i64) -> bool {
        match self {
            Self::Fill { fill, .. } => fill.time.at.as_ms() < fill_ms,
            Self::Residual { residual, .. } => residual.at.as_ms() < fill_ms,
            Self::Funding(rows) => {
                rows.first().is_none_or(|row| crate::funding::funding_instant(row.time.at).as_ms() <= fill_ms)
            }
            Self::Anchor(anchor) => anchor.at.as_ms() <= fill_ms,
        }
    }
}

/// What an event did, as long as no other one is applied.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    fold: &'a SymbolFold,
}

impl<'a> Step<'a> {
    #[inline]
    pub(super) fn last_of(fold: &'a SymbolFold) -> Self {
        Self { fold }
    }

    /// The round trip that it ended.
    #[inline]
    pub fn closed(self) -> Option<ClosedTrip<'a>> {
        if self.fold.done.has_ended { ClosedTrip::of(self.fold) } else { None }
    }

    /// What a fill realized, by the fold; absent when that is unknown or nothing was closed.
    #[inline]
    pub fn realized(self) -> Option<Value> {
        self.fold.done.realized
    }

    /// Whether the exchange's realized profit for this fill differs from the fold's by more than
    /// [`SymbolFold::pnl_tolerance`].
    #[inline]
    pub fn pnl_mismatch(self) -> bool {
        self.fold.done.pnl_mismatch
    }
}
