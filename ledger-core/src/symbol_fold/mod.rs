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
//! - An order that has executed more than its fills tell has a **residual**, which counts as an estimated fill until the
//!   fills arrive; its fee is an estimate, too, where the order's answer states one, and else unknown. Without a stated
//!   price, its money is unknown. What follows it is estimated
//!   until it is proven again.
//! - A fill that **nothing places** (which of a hedge's positions it changed is not told) is passed over, and what
//!   follows it is estimated until it is proven again.
//! - **Entries of the ledger** name a contract and a time, and no position. Each waits in a window of a minute around
//!   the moment that it counts at, and goes to the round trip that it fits; round trips that end meanwhile are handed out
//!   when the window closes. What nothing places stands on the contract's own line.
//! - The exchange does not say which half of a **trade with oneself** came first. The fold takes the order in which the
//!   exchange's realized profits agree ([`SymbolFold::order_halves`]).
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
//! 7. `movements_add_up_to_the_totals`.
//! 8. `older_facts_and_another_leg_rename_nothing`.
//! 9. `funding_around_a_change_goes_where_it_fits`.
//! 10. `in_a_hedge_the_sign_decides`.
//! 11. `a_charge_belongs_to_the_latest_forced_fill`.
//! 12. `a_settlement_without_a_fill_ends_the_round_trip`.
//! 13. `what_comes_back_of_a_fee_belongs_to_its_fill`.

mod beginning;
mod clearance;
mod closed_trip;
mod deciding;
mod derived_position;
mod error;
mod event;
mod halves;
mod held;
mod kickback;
mod movements;
mod open_trip;
mod plain;
mod said;
mod settling;
mod side_fold;
mod tolerance;
mod trading;
mod watch;

pub use self::closed_trip::{ClosedTrip, ClosedTrips};
pub use self::derived_position::{DerivedPosition, PositionMoney};
pub use self::error::FoldError;
pub use self::event::{FoldEvent, Residual, Step, window_from};
pub use self::halves::Half;
pub use self::held::{HeldNow, HeldProof};
pub(crate) use self::watch::Occupant;

use self::closed_trip::{Done, Shelf, WhereEnded};
use self::open_trip::Begun;
use self::side_fold::SideFold;
use self::tolerance::Tolerance;
use self::watch::{Watch, Window};

use std::borrow::Cow;

use crate::amount::{Decimal, MathError, Price, Quantity};
use crate::certainty::Certainty;
use crate::contract::Contract;
use crate::fill::{Fee, Fill, FoldKey};
use crate::id::{Asset, FillId, OrderId, Symbol};
use crate::income::Income;
use crate::instrument::Instrument;
use crate::movement::Movement;
use crate::order_story::OrderContext;
use crate::round_trip::AssetTallies;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

/// The version of the fold's rules, and of the state that it stores. Raise it with every change that makes any history
/// fold to something else, or that makes a stored state mean something else: whoever keeps states or results of a fold
/// keeps this number with them, and folds again from the start where it differs.
pub const FOLD_VERSION: u32 = 14;

/// Decimals of average prices in derived records.
pub(crate) const AVERAGE_SCALE: u8 = 12;

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
    /// What a forced close costs, as a fraction of its notional, where known.
    liquidation_fee: Option<Decimal>,
    own_line: OwnLine,
    closed_count: u64,
    last_fill: Option<FoldKey>,
    /// Entries of the ledger that are not decided yet, while there are any.
    watch: Option<Box<Watch>>,
    /// The half of a trade with oneself that comes next, behind one whose place is after it.
    #[cfg_attr(feature = "serde", serde(skip))]
    awaited_half: Option<Box<FoldKey>>,
    #[cfg_attr(feature = "serde", serde(skip))]
    shelf: Shelf,
    #[cfg_attr(feature = "serde", serde(skip))]
    done: Done,
}

/// What stands on the contract's own line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct OwnLine {
    realized: AssetTallies,
    funding: AssetTallies,
    clearance: AssetTallies,
}

/// A trade of the fold: a fill or a residual.
struct Trade<'a> {
    side: Side,
    qty: &'a Quantity,
    price: Option<&'a Price>,
    at: TimestampMs,
    /// Empty: not known.
    fees: &'a [Fee],
    reported: Option<&'a Decimal>,
    origin: TradeOrigin<'a>,
    certainty: Certainty,
    order: Option<&'a OrderContext>,
}

/// The fact that a trade follows from.
#[derive(Clone, Copy)]
enum TradeOrigin<'a> {
    Fill(&'a FillId),
    Residual(&'a OrderId),
}

impl<'a> Trade<'a> {
    #[inline]
    fn fill_id(&self) -> Option<&'a FillId> {
        match self.origin {
            TradeOrigin::Fill(fill_id) => Some(fill_id),
            TradeOrigin::Residual(_) => None,
        }
    }

    /// How a round trip begins that it opens.
    fn begins(&self) -> Begun {
        match self.origin {
            TradeOrigin::Fill(fill_id) => Begun::Fill(fill_id.clone()),
            TradeOrigin::Residual(order_id) => Begun::Order(order_id.clone()),
        }
    }

    /// How a round trip begins whose opening was never seen, and of which it is the first exit.
    fn begins_unseen(&self) -> Begun {
        match self.origin {
            TradeOrigin::Fill(fill_id) => Begun::Unseen(fill_id.clone()),
            TradeOrigin::Residual(order_id) => Begun::UnseenOrder(order_id.clone()),
        }
    }

    /// How sure a position is that it opened.
    #[inline]
    fn basis(&self) -> Certainty {
        if self.price.is_some() { self.certainty } else { Certainty::Unknown }
    }
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
            liquidation_fee: instrument.liquidation_fee.filter(|fee| fee.is_positive()),
            own_line: OwnLine::default(),
            closed_count: 0,
            last_fill: None,
            watch: None,
            awaited_half: None,
            shelf: Shelf::default(),
            done: Done::default(),
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

    /// How many round trips have ended and been handed out.
    pub fn closed_count(&self) -> u64 {
        self.closed_count - self.watch.as_ref().map_or(0, |watch| watch.held.len() as u64)
    }

    /// Fills of which the exchange did not report what they realized.
    pub fn pnl_unreported_count(&self) -> u64 {
        self.net.unreported_count + self.long.unreported_count + self.short.unreported_count
    }

    /// Fills of which the exchange reported what they realized, while the fold does not know it: that their opening was
    /// never seen, or that its price is unknown, leaves nothing to compare.
    pub fn pnl_unknown_count(&self) -> u64 {
        self.net.unknown_count + self.long.unknown_count + self.short.unknown_count
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
        Tolerance { contract: &self.contract, entry_rounding: &self.entry_rounding }.of(closed_qty)
    }

    /// Applies the next event. An event that is refused ([`FoldError::WrongSymbol`], [`FoldError::OutOfOrder`],
    /// [`FoldError::MixedSequences`], [`FoldError::NoPositionSide`]) changes nothing. After [`FoldError::Math`] a part of the event may have been
    /// applied, and the fold must not be used any more: go back to a checkpoint.
    ///
    /// # Errors
    /// [`FoldError`] for an event of another symbol, out of order, without a place in the order, without position side,
    /// or with numbers that do not fit.
    #[inline]
    pub fn apply(&mut self, event: FoldEvent<'_>) -> Result<Step<'_>, FoldError> {
        match event {
            FoldEvent::Fill { fill, order } => self.apply_fill(fill, order),
            FoldEvent::Kickback { fill, rows } => {
                self.kick_back(fill, rows, None)?;
                Ok(Step::last_of(self))
            }
            other => self.apply_timed(other),
        }
    }

    #[cold]
    fn apply_timed(&mut self, event: FoldEvent<'_>) -> Result<Step<'_>, FoldError> {
        self.done = Done::default();
        let (what, at) = match &event {
            FoldEvent::Residual { residual, .. } => (format!("order {}", residual.order_id), residual.at),
            FoldEvent::Anchor(anchor) => (format!("the anchor at {}", anchor.at), anchor.at),
            _ => {
                self.apply_ledger(event, None)?;
                return Ok(Step::last_of(self));
            }
        };
        if let FoldEvent::Anchor(anchor) = &event {
            self.check_symbol(&anchor.symbol)?;
        }
        self.apply_between(event, at).map_err(|source| FoldError::Math { what, source })?;
        Ok(Step::last_of(self))
    }

    /// Applies what happens between fills.
    fn apply_between(&mut self, event: FoldEvent<'_>, at: TimestampMs) -> Result<(), MathError> {
        self.decide_until(at, None)?;
        match event {
            FoldEvent::Residual { residual, order } => {
                let trade = Trade {
                    side: residual.side,
                    qty: &residual.qty,
                    price: residual.price.as_ref(),
                    at,
                    fees: &residual.fees,
                    reported: None,
                    origin: TradeOrigin::Residual(&residual.order_id),
                    certainty: Certainty::Estimated,
                    order,
                };
                self.trade_watched(residual.position_side.unwrap_or(PositionSide::Net), &trade)
            }
            FoldEvent::Anchor(anchor) => {
                self.anchor(anchor)?;
                self.observe(anchor.position_side, at, None)
            }
            _ => Ok(()),
        }
    }

    /// Applies an entry of the ledger, or the end of what is on record.
    fn apply_ledger(&mut self, event: FoldEvent<'_>, movements: Option<&mut Vec<Movement>>) -> Result<(), FoldError> {
        self.done = Done::default();
        let of_symbol = |row: &Income| row.key.symbol.as_ref().map_or(Ok(()), |symbol| self.check_symbol(symbol));
        let window = match event {
            FoldEvent::Funding { rows, rate } => {
                rows.iter().try_for_each(of_symbol)?;
                Window::funding(rows, rate)
            }
            FoldEvent::Clearance { row, is_alone } => {
                of_symbol(row)?;
                Some(Window::clearance(row, is_alone))
            }
            FoldEvent::Settlement(rows) => {
                rows.iter().try_for_each(of_symbol)?;
                Window::settlement(rows)
            }
            _ => {
                let what = "the entries of the ledger".to_owned();
                return self.decide_until(None, movements).map_err(|source| FoldError::Math { what, source });
            }
        };
        self.open_window(window, movements)
    }

    /// The fold with everything decided that waits for later events.
    fn decided(&self) -> Result<Cow<'_, Self>, MathError> {
        if self.watch.is_none() {
            return Ok(Cow::Borrowed(self));
        }
        let mut decided = self.clone();
        decided.decide_until(None, None)?;
        Ok(Cow::Owned(decided))
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
        for window in self.watch.iter_mut().flat_map(|watch| &mut watch.windows) {
            window.is_doubted = true;
        }
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
    fn apply_fill(&mut self, fill: &Fill, order: Option<&OrderContext>) -> Result<Step<'_>, FoldError> {
        self.check_symbol(&fill.key.symbol)?;
        let Some(position_side) = fill.position_side else {
            return Err(FoldError::NoPositionSide { fill_id: fill.key.fill_id.clone() });
        };
        match &mut self.last_fill {
            Some(last) if last.comes_before(fill) => last.advance(fill),
            Some(_) if self.awaited_half.take_if(|awaited| **awaited == fill.fold_key()).is_some() => {}
            Some(last) => return Err(misplaced(last, fill)),
            None => self.last_fill = Some(fill.fold_key()),
        }
        (self.done.ended, self.done.has_ended_elsewhere) = (WhereEnded::Nowhere, false);
        (self.done.pnl_mismatch, self.done.realized) = (false, None);
        match self.apply_plain(fill, order, position_side) {
            Ok(true) => return Ok(Step::last_of(self)),
            Ok(false) => {}
            Err(source) => return Err(of_fill(fill, source)),
        }
        match self.trade_of(fill, order, position_side) {
            Ok(()) => Ok(Step::last_of(self)),
            Err(source) => Err(of_fill(fill, source)),
        }
    }

    #[inline(never)]
    fn trade_of(
        &mut self,
        fill: &Fill,
        order: Option<&OrderContext>,
        position_side: PositionSide,
    ) -> Result<(), MathError> {
        let trade = Trade {
            side: fill.key.side,
            qty: &fill.qty,
            price: Some(&fill.price),
            at: fill.time.at,
            fees: fill.fee.as_slice(),
            reported: fill.exchange_realized_pnl.as_ref(),
            origin: TradeOrigin::Fill(&fill.key.fill_id),
            certainty: Certainty::Known,
            order,
        };
        if self.watch.is_some() {
            self.decide_until(fill.time.at, None)?;
            return self.trade_watched(position_side, &trade);
        }
        self.trade(position_side, &trade)
    }

    /// Applies a trade, seen by the windows that are open.
    #[cold]
    fn trade_watched(&mut self, position_side: PositionSide, trade: &Trade<'_>) -> Result<(), MathError> {
        let exit = self.exit_of(position_side, trade);
        self.trade(position_side, trade)?;
        self.observe(position_side, trade.at, exit.as_ref())
    }
}

#[cold]
fn undecided(source: MathError) -> FoldError {
    FoldError::Math { what: "the entries of the ledger".into(), source }
}

#[cold]
fn of_fill(fill: &Fill, source: MathError) -> FoldError {
    FoldError::Math { what: format!("fill {}", fill.key.fill_id), source }
}

/// Why `fill` cannot come after `last`.
#[cold]
fn misplaced(last: &FoldKey, fill: &Fill) -> FoldError {
    let fill_id = fill.key.fill_id.clone();
    if last.sequence.is_some() == fill.sequence.is_some() {
        FoldError::OutOfOrder { fill_id }
    } else {
        FoldError::MixedSequences { fill_id }
    }
}
