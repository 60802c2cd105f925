//! The fold of a symbol: its fills, funding, residuals and anchors, in order, into positions and round trips.
//!
//! Fills are the primary fact. What the fills cannot tell is never made up: it is estimated or unknown, and says so.
//!
//! - **Where the book begins.** That the first recorded fill found a flat position is an assumption, and what rests on
//!   it is estimated, until it is proven: by an anchor, or by the exchange's realized profit agreeing twice, at entries
//!   and exits so far apart that nothing unseen could hide in both. Profit that the exchange confirms is known
//!   even before that; where the round trip began and ended is not.
//! - A fill that, by the exchange's word, realized profit although the book holds nothing for it to close, or that can
//!   only close in hedge mode, closes something that was **never seen**: its profit is unknown, and it opens nothing.
//!   What is left of the unseen position is unknown, until a fill that realizes nothing opens the next round trip.
//! - A fill larger than the position, in one-way mode, is a flip, unless the exchange's realized profit for it does
//!   not fit: then the excess closed something never seen, too.
//! - A close whose profit does not fit what the exchange reports makes its round trip unknown while the beginning is
//!   not proven, and estimated after that: fills are missing in between.
//! - An order that has executed more than its fills tell has a **residual**, which counts as an estimated fill with an
//!   unknown fee until the fills arrive; without a stated price, its money is unknown. What follows it is estimated
//!   until it is proven again.
//! - A fill that **nothing places** (which of a hedge's positions it changed is not told) is passed over, and what
//!   follows it is estimated until it is proven again.
//! - Fills are ordered by the venue's sequence or by time, never by both: a symbol where only some fills have a
//!   sequence has no order, and is refused.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_book_that_begins_in_the_middle_makes_nothing_up`.
//! 2. `a_fold_can_stop_and_go_on`: a fold that was stored and loaded between any two events ends the same.
//! 3. `round_trips_hold_all_the_money`: per asset, the sums over round trips are the sums over the fills.
//! 4. `events_out_of_order_are_refused`.
//! 5. `a_fill_that_was_passed_over_leaves_nothing_known`.
//! 6. `fills_with_and_without_a_sequence_have_no_order`.
//! 7. `funding_of_a_fills_own_millisecond_is_an_estimate`.

mod beginning;
mod open_trip;
mod trading;

use thiserror::Error;

use self::beginning::Beginning;
use self::open_trip::OpenTrip;
use self::trading::Tolerance;

use crate::amount::{Decimal, MathError, Price, Quantity};
use crate::certainty::{CertainTotal, Certainty};
use crate::fill::{Fill, FoldKey};
use crate::id::{Asset, FillId, OrderId, Symbol};
use crate::income::Income;
use crate::instrument::Instrument;
use crate::position::{Contract, Position, Value};
use crate::round_trip::{AssetTallies, AssetTotal, OrderContext, RoundTrip, Tally};
use crate::snapshot::Anchor;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

/// The version of the fold's rules, and of the state that it stores. Raise it with every change that makes any history
/// fold to something else, or that makes a stored state mean something else: whoever keeps states or results of a fold
/// keeps this number with them, and folds again from the start where it differs.
pub const FOLD_VERSION: u32 = 3;

/// Decimals of average prices in derived records.
pub(crate) const AVERAGE_SCALE: u8 = 12;

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
    /// A fill, in the order of its [`FoldKey`].
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

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The round trip that it ended.
    pub closed: Option<Box<RoundTrip>>,
    /// What a fill realized, by the fold; absent when that is unknown or nothing was closed.
    pub realized: Option<Value>,
    /// Whether the exchange's realized profit for this fill differs from the fold's by more than
    /// [`SymbolFold::pnl_tolerance`].
    pub pnl_mismatch: bool,
}

/// Why a symbol cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FoldError {
    /// The event belongs to another symbol.
    #[error("an event of {found} was given to the fold of {expected}")]
    WrongSymbol {
        /// The fold's symbol.
        expected: Symbol,
        /// The event's.
        found: Symbol,
    },
    /// The fill does not come after the one before it.
    #[error("fill {fill_id} does not come after the fill before it")]
    OutOfOrder {
        /// The fill.
        fill_id: FillId,
    },
    /// Nothing says which position a fill changes.
    #[error("fill {fill_id} does not say which position it changes")]
    NoPositionSide {
        /// The fill.
        fill_id: FillId,
    },
    /// Some fills of the symbol have a sequence number and some have none, so that nothing tells which came first.
    #[error(
        "fill {fill_id} and the fills before it cannot be put in order, because some have a sequence number and some \
         have none: record the fills of this symbol again from a source that numbers all of them"
    )]
    MixedSequences {
        /// The first fill in fold order that is of the other kind.
        fill_id: FillId,
    },
    /// The numbers do not fit.
    #[error("the numbers of {what} cannot be computed exactly")]
    Math {
        /// Which event.
        what: String,
        /// What went wrong.
        #[source]
        source: MathError,
    },
}

/// A position as the fold knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DerivedPosition {
    /// Which of the symbol's positions.
    pub position_side: PositionSide,
    /// Signed open quantity.
    pub qty: Decimal,
    /// The average entry, rounded half to even at 12 decimals; absent when flat or unknown.
    pub entry_price_avg: Option<Decimal>,
    /// The open cost at full precision; absent when unknown.
    pub open_cost: Option<Decimal>,
    /// How sure quantity and entry are.
    pub certainty: Certainty,
    /// Everything realized so far, without fees, in the settle asset.
    pub realized: CertainTotal,
    /// Everything paid in fees so far, per asset.
    pub fees: Vec<AssetTotal>,
    /// Everything received in funding so far, per asset.
    pub funding: Vec<AssetTotal>,
    /// The number of fills.
    pub fill_count: u64,
    /// When it last changed.
    pub updated_at: Option<TimestampMs>,
    /// The math, for an unrealized profit at some mark price; absent when the entry is unknown.
    pub position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct SideFold {
    position: Position,
    beginning: Beginning,
    trip: Option<Box<OpenTrip>>,
    /// Totals of the round trips that have ended; those of the open one are in `trip`.
    realized: Tally,
    fees: AssetTallies,
    funding: AssetTallies,
    fill_count: u64,
    updated_at: Option<TimestampMs>,
    /// The cash flow of the ended round trips whose profit is told.
    cash_flow: Value,
}

/// The state of a symbol between two events. It can be stored and loaded (feature `serde`): a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SymbolFold {
    symbol: Symbol,
    settle_asset: Asset,
    contract: Contract,
    /// The price step that the exchange's own entry prices are exact to.
    entry_rounding: Decimal,
    /// The smallest quantity that can be held, where known.
    step_size: Option<Decimal>,
    net: SideFold,
    long: SideFold,
    short: SideFold,
    unallocated_funding: AssetTallies,
    closed_count: u64,
    last_fill: Option<FoldKey>,
    /// The last funding that was attributed to positions for certain.
    funded: Option<Funded>,
}

/// Funding of an instant: which position got how much, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Funded {
    at: TimestampMs,
    shares: Vec<(PositionSide, Asset, Value)>,
}

/// A trade of the fold: a fill or a residual.
struct Trade<'a> {
    side: Side,
    qty: Quantity,
    price: Option<Price>,
    at: TimestampMs,
    fee: Option<&'a crate::fill::Fee>,
    reported: Option<Value>,
    fill_id: Option<&'a FillId>,
    certainty: Certainty,
    order: Option<&'a OrderContext>,
}

impl SymbolFold {
    /// An empty book of `instrument`.
    pub fn new(instrument: &Instrument) -> Self {
        // An exchange rounds its own average entry much finer than the price step; a thousandth of a step is what
        // Binance USD-M shows.
        let entry_rounding = instrument
            .tick_size
            .and_then(|tick| tick.checked_mul(Decimal::new(1, 3).unwrap_or_default()).ok())
            .unwrap_or_else(|| Decimal::new(1, 8).unwrap_or_default());
        Self {
            symbol: instrument.symbol.clone(),
            settle_asset: instrument.settle_asset.clone(),
            contract: Contract::from(instrument),
            entry_rounding,
            step_size: instrument.step_size.filter(|step| step.is_positive()),
            net: SideFold::default(),
            long: SideFold::default(),
            short: SideFold::default(),
            unallocated_funding: AssetTallies::default(),
            closed_count: 0,
            last_fill: None,
            funded: None,
        }
    }

    /// The symbol.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The contract, for computing with [`DerivedPosition::position`].
    pub fn contract(&self) -> Contract {
        self.contract
    }

    /// How many round trips have ended.
    pub fn closed_count(&self) -> u64 {
        self.closed_count
    }

    /// The last fill that was applied.
    pub fn last_fill(&self) -> Option<&FoldKey> {
        self.last_fill.as_ref()
    }

    /// By how much the exchange's realized profit of closing `closed_qty` may differ from the exact one: for a linear
    /// contract quantity x the rounding of its entry price, plus the rounding of the amount at 8 decimals; for an
    /// inverse one, where the entry price is a divisor and its rounding vanishes, two units of the 8th decimal.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    pub fn pnl_tolerance(&self, closed_qty: Decimal) -> Result<Decimal, MathError> {
        Tolerance { contract: self.contract, entry_rounding: self.entry_rounding }.of(closed_qty)
    }

    /// Applies the next event. An event that is refused ([`FoldError::WrongSymbol`], [`FoldError::OutOfOrder`],
    /// [`FoldError::MixedSequences`], [`FoldError::NoPositionSide`]) changes nothing. After [`FoldError::Math`] a part of the event may have been
    /// applied, and the fold must not be used any more: go back to a checkpoint.
    ///
    /// # Errors
    /// [`FoldError`] for an event of another symbol, out of order, without a place in the order, without position side,
    /// or with numbers that do not fit.
    pub fn apply(&mut self, event: FoldEvent<'_>) -> Result<Step, FoldError> {
        match event {
            FoldEvent::Fill { fill, order } => self.apply_fill(fill, order),
            FoldEvent::Residual { residual, order } => {
                let trade = Trade {
                    side: residual.side,
                    qty: residual.qty,
                    price: residual.price,
                    at: residual.at,
                    fee: None,
                    reported: None,
                    fill_id: None,
                    certainty: Certainty::Estimated,
                    order,
                };
                self.trade(residual.position_side.unwrap_or(PositionSide::Net), &trade)
                    .map_err(|source| FoldError::Math { what: format!("order {}", residual.order_id), source })
            }
            FoldEvent::Funding(rows) => self.apply_funding(rows),
            FoldEvent::Anchor(anchor) => {
                self.check_symbol(&anchor.symbol)?;
                let closed = self
                    .anchor(anchor)
                    .map_err(|source| FoldError::Math { what: format!("the anchor at {}", anchor.at), source })?;
                Ok(Step { closed, ..Step::default() })
            }
        }
    }

    /// A fill that nothing places was passed over: it changed one of the positions, and which one is not known. Nothing
    /// that follows is [known](Certainty::Known) until it is proven again, and an open round trip is
    /// [estimated](Certainty::Estimated) at best.
    pub fn doubt(&mut self) {
        for side in [&mut self.net, &mut self.long, &mut self.short] {
            side.beginning.doubt();
            if let Some(trip) = side.trip.as_deref_mut() {
                trip.basis = trip.basis.max(Certainty::Estimated);
            }
        }
    }

    /// The positions that have ever been touched.
    ///
    /// # Errors
    /// [`FoldError::Math`] when a sum does not fit.
    pub fn positions(&self) -> Result<Vec<DerivedPosition>, FoldError> {
        let sides =
            [(PositionSide::Net, &self.net), (PositionSide::Long, &self.long), (PositionSide::Short, &self.short)];
        sides
            .into_iter()
            .filter(|(_, side)| side.updated_at.is_some())
            .map(|(position_side, side)| {
                side.derived(position_side, self.contract)
                    .map_err(|source| FoldError::Math { what: format!("the {position_side} position"), source })
            })
            .collect()
    }

    /// The round trips that have not ended, numbered after those that have.
    ///
    /// # Errors
    /// [`FoldError::Math`] when a sum does not fit.
    pub fn open_trips(&self) -> Result<Vec<RoundTrip>, FoldError> {
        let sides =
            [(PositionSide::Net, &self.net), (PositionSide::Long, &self.long), (PositionSide::Short, &self.short)];
        let mut open = Vec::new();
        for (position_side, side) in sides {
            let Some(trip) = &side.trip else { continue };
            let number = self.closed_count + open.len() as u64 + 1;
            let round_trip = trip
                .round_trip(self, position_side, number, side.beginning.certainty())
                .map_err(|source| FoldError::Math { what: format!("the open {position_side} position"), source })?;
            open.push(round_trip);
        }
        Ok(open)
    }

    /// Funding that could not be attributed to a position.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn unallocated_funding(&self) -> Result<Vec<AssetTotal>, MathError> {
        self.unallocated_funding.totals()
    }

    /// Whether realized - open cost = sum of cash flows holds for everything whose entry is known.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn is_conserved(&self) -> Result<bool, MathError> {
        for side in [&self.net, &self.long, &self.short] {
            let told = side.trip.as_ref().filter(|trip| trip.basis != Certainty::Unknown);
            let open = match told {
                Some(trip) => trip.realized.sum()?.checked_sub(side.position.open_cost())? == trip.cash_flow,
                None => true,
            };
            if !open || side.realized.sum()? != side.cash_flow {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn check_symbol(&self, found: &Symbol) -> Result<(), FoldError> {
        if *found == self.symbol {
            Ok(())
        } else {
            Err(FoldError::WrongSymbol { expected: self.symbol.clone(), found: found.clone() })
        }
    }

    #[inline]
    fn apply_fill(&mut self, fill: &Fill, order: Option<&OrderContext>) -> Result<Step, FoldError> {
        self.check_symbol(&fill.key.symbol)?;
        let key = fill.fold_key();
        if let Some(last) = &self.last_fill {
            if last.sequence.is_some() != key.sequence.is_some() {
                return Err(FoldError::MixedSequences { fill_id: key.fill_id });
            }
            if *last >= key {
                return Err(FoldError::OutOfOrder { fill_id: key.fill_id });
            }
        }
        let Some(position_side) = fill.position_side else {
            return Err(FoldError::NoPositionSide { fill_id: key.fill_id });
        };
        self.last_fill = Some(key);
        let is_contemporary = self.funded.as_ref().is_some_and(|funded| funded.at == fill.time.at);
        let math = |source| FoldError::Math { what: format!("fill {}", fill.key.fill_id), source };
        let trade = Trade {
            side: fill.key.side,
            qty: fill.qty,
            price: Some(fill.price),
            at: fill.time.at,
            fee: fill.fee.as_ref(),
            reported: fill.exchange_realized_pnl.map(Value::from_decimal).transpose().map_err(math)?,
            fill_id: Some(&fill.key.fill_id),
            certainty: Certainty::Known,
            order,
        };
        if is_contemporary {
            self.doubt_funding(position_side).map_err(math)?;
        }
        self.trade(position_side, &trade).map_err(math)
    }
}
