//! One of a symbol's positions, with its round trips.

use crate::amount::{MathError, Value};
use crate::certainty::Certainty;
use crate::contract::Contract;
use crate::fill::{Fee, Fill};
use crate::id::Asset;
use crate::position::{Applied, Change, Part, Position};
use crate::round_trip::{AssetTallies, Direction, Tally, fee_parts};
use crate::time::TimestampMs;

use super::Trade;
use super::beginning::{Agreement, Beginning};
use super::closed_trip::{Done, Shelf};
use super::open_trip::OpenTrip;
use super::tolerance::Tolerance;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SideFold {
    pub(super) position: Position,
    pub(super) beginning: Beginning,
    pub(super) trip: Option<Box<OpenTrip>>,
    /// Totals of the round trips that have ended; those of the open one are in `trip`.
    pub(super) realized: Tally,
    pub(super) fees: AssetTallies,
    pub(super) funding: AssetTallies,
    pub(super) clearance: AssetTallies,
    pub(super) fill_count: u64,
    /// Fills of which the exchange did not report what they realized.
    pub(super) unreported_count: u64,
    /// Fills of which it did, while the fold does not know it.
    pub(super) unknown_count: u64,
    pub(super) updated_at: Option<TimestampMs>,
    /// The cash flow of the ended round trips whose profit is told.
    pub(super) cash_flow: Value,
}

/// What a trade cost.
pub(super) struct Charges<'a> {
    /// The fee, nearly always the only one: asset, amount, certainty.
    first: (&'a Asset, Value, Certainty),
    /// Those in other assets, as sure as the first: a residual can have several.
    others: &'a [Fee],
}

impl<'a> Charges<'a> {
    #[inline]
    pub(super) fn of(trade: &Trade<'a>, settle_asset: &'a Asset) -> Result<Self, MathError> {
        let first = fee_parts(trade.fees.first(), settle_asset, trade.certainty)?;
        Ok(Self { first, others: trade.fees.get(1..).unwrap_or_default() })
    }

    /// Adds all of it to the fees of a round trip.
    #[inline]
    fn add_to(&self, fees: &mut AssetTallies) -> Result<(), MathError> {
        let (asset, amount, certainty) = self.first;
        fees.add(asset, amount, certainty)?;
        if self.others.is_empty() { Ok(()) } else { self.add_others(fees, Ok) }
    }

    /// Adds the part of what a flip closed, or of what it opened.
    #[cold]
    fn add_part(&self, fees: &mut AssetTallies, applied: &Applied, of_opening: bool) -> Result<(), MathError> {
        let part = |amount| applied.split(amount).map(|(closing, opening)| if of_opening { opening } else { closing });
        let (asset, amount, certainty) = self.first;
        fees.add(asset, part(amount)?, certainty)?;
        self.add_others(fees, part)
    }

    fn add_others(
        &self,
        fees: &mut AssetTallies,
        part: impl Fn(Value) -> Result<Value, MathError>,
    ) -> Result<(), MathError> {
        let (_, _, certainty) = self.first;
        let mut others = self.others.iter();
        others.try_for_each(|fee| fees.add(&fee.asset, part(Value::from_decimal(fee.amount)?)?, certainty))
    }
}

impl SideFold {
    /// A fill changes the position.
    #[inline]
    pub(super) fn count(&mut self, fill: &Fill) {
        self.fill_count += 1;
        self.unreported_count += u64::from(fill.exchange_realized_pnl.is_none());
        self.touch(fill.time.at);
    }

    /// The fold does not know what a trade realized: what the exchange reports of it is compared with nothing.
    #[cold]
    pub(super) fn note_unknown(&mut self, trade: &Trade<'_>) {
        self.unknown_count += u64::from(trade.fill_id().is_some() && trade.reported.is_some());
    }

    /// Something changes the position at `at`.
    #[inline]
    pub(super) fn touch(&mut self, at: TimestampMs) {
        self.updated_at = Some(self.updated_at.map_or(at, |before| before.max(at)));
    }

    /// The trade closes what was never seen opened. Answers the round trip that it ended, if any.
    #[cold]
    pub(super) fn close_unseen(
        &mut self,
        trade: &Trade<'_>,
        contract: &Contract,
        charges: &Charges<'_>,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        let direction = Direction::closed_by(trade.side);
        let mut ended = self.trip.take_if(|trip| !trip.unseen || trip.direction != direction);
        if let Some(trip) = ended.as_mut().filter(|trip| !trip.unseen) {
            // The book held the opposite of what the exchange closed.
            trip.taint();
            trip.closed_at = Some(trade.at);
        }
        self.position = Position::FLAT;
        self.beginning = Beginning::Lost;
        let trip = self.trip.get_or_insert_with(|| {
            let mut trip =
                OpenTrip::new(trade.begins_unseen(), direction, Certainty::Unknown, trade.at, trade.qty.get().scale());
            (trip.unseen, trip.opened_at) = (true, None);
            Box::new(trip)
        });
        trip.realized.add(Value::ZERO, Certainty::Unknown)?;
        trip.exit(trade, contract)?;
        trip.close(trade);
        charges.add_to(&mut trip.fees)?;
        Ok(ended)
    }

    /// Whether a trade larger than the position is no flip, because the exchange says that it closed more.
    #[inline]
    pub(super) fn is_no_flip(&self, mismatch: bool, realizes: bool) -> bool {
        match self.trip.as_ref().map_or(Certainty::Known, |trip| trip.basis) {
            Certainty::Known => mismatch,
            Certainty::Estimated => false,
            Certainty::Unknown => realizes,
        }
    }

    /// The trade closes all that the book holds, and more that was never seen.
    #[cold]
    pub(super) fn close_more_than_held(
        &mut self,
        trade: &Trade<'_>,
        contract: &Contract,
        charges: &Charges<'_>,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        self.position = Position::FLAT;
        self.beginning = Beginning::Lost;
        let mut ended = self.trip.take();
        if let Some(trip) = &mut ended {
            trip.taint();
            trip.exit(trade, contract)?;
            trip.close(trade);
            charges.add_to(&mut trip.fees)?;
        }
        Ok(ended)
    }

    /// The trade opened the position or made it larger. Answers the round trip that this ended: one of which only exits
    /// were seen.
    #[inline]
    pub(super) fn increase(
        &mut self,
        trade: &Trade<'_>,
        part: &Part,
        charges: &Charges<'_>,
        shelf: &mut Shelf,
        mismatch: bool,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        if trade.certainty != Certainty::Known {
            self.beginning.doubt();
        }
        if mismatch {
            self.contradict(false);
        }
        let ended = self.trip.take_if(|trip| trip.unseen);
        if self.trip.is_none() {
            self.open(trade, mismatch, shelf);
        }
        if let Some(trip) = self.trip.as_deref_mut() {
            trip.enter(trade, part.units, part.cost, &self.position)?;
            charges.add_to(&mut trip.fees)?;
        }
        Ok(ended)
    }

    /// The trade closed the position or a part of it, and perhaps opened another one. Answers the round trip that it ended.
    #[inline]
    pub(super) fn diminish(
        &mut self,
        trade: &Trade<'_>,
        applied: &Applied,
        charges: &Charges<'_>,
        shelf: &mut Shelf,
        done: &mut Done,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        let is_flip = applied.change == Change::Flip;
        let Some(trip) = self.trip.as_deref_mut() else { return Ok(None) };
        done.certainty = trip.realize(trade, applied, done.pnl_mismatch, self.beginning.certainty())?;
        if done.certainty != Certainty::Unknown {
            done.realized = Some(applied.realized);
        }
        trip.exit_part(trade, applied)?;
        if is_flip {
            charges.add_part(&mut trip.fees, applied, false)?;
        } else {
            charges.add_to(&mut trip.fees)?;
        }
        if applied.change == Change::Reduce {
            return Ok(None);
        }
        trip.close(trade);
        let ended = self.trip.take();
        if is_flip {
            self.open(trade, done.pnl_mismatch, shelf);
            if let Some(trip) = self.trip.as_deref_mut() {
                trip.enter(trade, applied.opened_units(), applied.opened_cost, &self.position)?;
                charges.add_part(&mut trip.fees, applied, true)?;
            }
        }
        Ok(ended)
    }

    /// A round trip begins with the trade.
    fn open(&mut self, trade: &Trade<'_>, mismatch: bool, shelf: &mut Shelf) {
        if matches!(self.beginning, Beginning::Lost) && !mismatch {
            // It realized nothing: whatever was unseen is taken to be gone.
            self.beginning = Beginning::Assumed;
        }
        let (direction, scale) = (Direction::opened_by(trade.side), self.position.scale());
        let mut trip = shelf.trip(trade.begins(), direction, trade.basis(), trade.at, scale);
        trip.fees.clear();
        trip.engine = trade.order.and_then(|order| order.engine.clone());
        self.trip = Some(trip);
    }

    /// What a close whose profit agrees says about the beginning. Only profit or loss that cannot be rounding says
    /// anything (an opening realizes nothing, too), and a flip leaves open how much of it closed.
    #[cold]
    pub(super) fn agreement(
        &self,
        tolerance: Tolerance<'_>,
        before: &Position,
        trade: &Trade<'_>,
        applied: &Applied,
    ) -> Option<Agreement> {
        let closes = matches!(applied.change, Change::Reduce | Change::Close);
        if !closes {
            return None;
        }
        let reported = trade.reported?;
        let trip = self.trip.as_ref().filter(|trip| trip.basis.max(trade.certainty) == Certainty::Known)?;
        let tolerance = tolerance.of(applied.closed_qty().ok()?).ok()?;
        if reported.abs() <= tolerance {
            return None;
        }
        Agreement::new(before, applied, tolerance, trip.turnover.qty_max().ok()?).ok()
    }

    /// The exchange says that a trade realized something else than the book.
    #[cold]
    pub(super) fn contradict(&mut self, is_flip: bool) {
        let Some(trip) = self.trip.as_deref_mut() else {
            self.beginning.doubt();
            return;
        };
        match (trip.basis, self.beginning) {
            // Fills are missing somewhere in between.
            (Certainty::Known, Beginning::Proven) => {
                trip.basis = Certainty::Estimated;
                self.beginning.doubt();
            }
            (Certainty::Known, _) => {
                trip.taint();
                self.beginning = Beginning::Lost;
            }
            // An estimated entry need not fit, but a flip leaves more or less than the book thinks.
            _ if is_flip => self.beginning.doubt(),
            _ => {}
        }
    }
}
