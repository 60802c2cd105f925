//! What a fold takes in, and what each event did.

use crate::amount::{Price, Quantity, Value};
use crate::fill::{Fee, Fill};
use crate::funding::funding_instant;
use crate::funding_rate::FundingRate;
use crate::id::OrderId;
use crate::income::Income;
use crate::order_story::OrderContext;
use crate::snapshot::Anchor;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

use super::SymbolFold;
use super::closed_trip::ClosedTrips;
use super::watch::WINDOW_MS;

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
    /// What it cost, an estimate for each asset, from what the order's answer states and the fills that are there; empty
    /// where that is not known.
    pub fees: Vec<Fee>,
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
    /// What came back of a fill's fee later, by entries of the ledger that name its trade. Comes directly after the fill,
    /// whatever the entries' own times are; the round trips that the fill ended are looked at behind it.
    Kickback {
        /// The fill.
        fill: &'a Fill,
        /// The entries; positive = paid back.
        rows: &'a [Income],
    },
    /// The unaccounted part of an order. Comes before the first fill with a later time.
    Residual {
        /// The residual.
        residual: &'a Residual,
        /// Its order.
        order: Option<&'a OrderContext>,
    },
    /// All funding rows of one instant. Like every entry of the ledger, they come **a minute before** they count, before
    /// the first fill at or after that, for what happens around them decides where they belong.
    Funding {
        /// The rows.
        rows: &'a [Income],
        /// What was published about the instant, where that is on record; else the rows are taken at their
        /// [presumed instant](crate::funding_instant).
        rate: Option<&'a FundingRate>,
    },
    /// What a liquidation cost (negative), or what the exchange's insurance fund added. Comes a minute before its time.
    Clearance {
        /// The row.
        row: &'a Income,
        /// Whether this was the only contract of the account in which anything was liquidated in that minute.
        is_alone: bool,
    },
    /// The rows by which a delivered contract was settled, all of one time. Come a minute before it.
    Settlement(&'a [Income]),
    /// A stated position. Comes before the first fill at or after its time.
    Anchor(&'a Anchor),
    /// Nothing more is on record: what waits for later events is decided without them. More may be applied later to a
    /// copy of the state before.
    End,
}

impl FoldEvent<'_> {
    /// Whether this event is to be applied before a fill at `fill_ms` (milliseconds since 1970). Fills themselves are
    /// ordered by their [`FoldKey`](crate::FoldKey).
    pub fn comes_before_fill_at(&self, fill_ms: i64) -> bool {
        match self {
            Self::Fill { fill, .. } | Self::Kickback { fill, .. } => fill.time.at.as_ms() < fill_ms,
            Self::Residual { residual, .. } => residual.at.as_ms() < fill_ms,
            Self::Funding { rows, rate } => {
                let instant = rate.map(|rate| rate.at).or_else(|| rows.first().map(|row| funding_instant(row.time.at)));
                instant.is_none_or(|at| window_from(at).as_ms() <= fill_ms)
            }
            Self::Clearance { row, .. } => window_from(row.time.at).as_ms() <= fill_ms,
            Self::Settlement(rows) => rows.first().is_none_or(|row| window_from(row.time.at).as_ms() <= fill_ms),
            Self::Anchor(anchor) => anchor.at.as_ms() <= fill_ms,
            Self::End => false,
        }
    }
}

/// From when on an entry of the ledger that counts at `at` has to be known: the [`FoldEvent`]s of the ledger come
/// before the first fill at or after this.
pub fn window_from(at: TimestampMs) -> TimestampMs {
    at.saturating_add_ms(-WINDOW_MS)
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

    /// The round trips that have ended, in that order: by this event, or earlier, if entries of the ledger could still
    /// belong to them.
    #[inline]
    pub fn closed(self) -> ClosedTrips<'a> {
        ClosedTrips::of(self.fold)
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
