//! What fills, residuals and anchors do to the fold.

use crate::amount::MathError;
use crate::certainty::Certainty;
use crate::position::{Applied, Change, Position};
use crate::round_trip::Direction;
use crate::snapshot::Anchor;
use crate::source::{PositionSide, Side};

use super::beginning::Beginning;
use super::closed_trip::{Ended, WhereEnded};
use super::open_trip::{Begun, OpenTrip, placeholder_price};
use super::side_fold::{Charges, SideFold};
use super::tolerance::Tolerance;
use super::{AVERAGE_SCALE, SymbolFold, Trade};

impl SymbolFold {
    #[inline]
    pub(super) fn trade(&mut self, position_side: PositionSide, trade: &Trade<'_>) -> Result<(), MathError> {
        let (done, contract) = (&mut self.done, &self.contract);
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        side.fill_count += u64::from(trade.fill_id().is_some());
        side.unreported_count += u64::from(trade.fill_id().is_some() && trade.reported.is_none());
        side.touch(trade.at);
        let charges = Charges::of(trade, &self.settle_asset)?;
        let only_closes = only_closes(position_side, trade.side);
        let realizes = trade.reported.is_some_and(|reported| !reported.is_zero());
        let price = match trade.price {
            Some(price) => *price,
            None => placeholder_price()?,
        };
        let part = side.position.measure(contract, trade.side, *trade.qty, price)?;
        let ended = if side.position.is_increased_by(trade.side) {
            done.has_ended_elsewhere = true;
            if only_closes || (realizes && position_side == PositionSide::Net) {
                // No opening realizes anything, so what the book takes for one is the close of something it never saw.
                side.note_unknown(trade);
                side.close_unseen(trade, contract, &charges)?
            } else {
                side.position.enlarge(&part)?;
                done.pnl_mismatch = realizes;
                side.increase(trade, &part, &charges, &mut self.shelf, realizes)?
            }
        } else {
            let is_unknown = side.trip.as_ref().is_some_and(|trip| trip.basis == Certainty::Unknown);
            let unproven = (!matches!(side.beginning, Beginning::Proven)).then_some(side.position);
            let mut applied = Applied::blank();
            side.position.diminish(contract, trade.side, price, &part, &mut applied)?;
            let tolerance = Tolerance { contract, entry_rounding: &self.entry_rounding };
            let mismatch = !tolerance.agrees(trade, &applied)?;
            if applied.change == Change::Flip && (only_closes || side.is_no_flip(mismatch, realizes)) {
                side.note_unknown(trade);
                side.close_more_than_held(trade, contract, &charges)?
            } else {
                if trade.certainty != Certainty::Known {
                    side.beginning.doubt();
                }
                if mismatch {
                    side.contradict(applied.change == Change::Flip);
                } else if trade.reported.is_some()
                    && let Some(before) = &unproven
                    && let Some(agreement) = side.agreement(tolerance, before, trade, &applied)
                {
                    side.beginning.agree(agreement, self.step_size);
                }
                done.pnl_mismatch = mismatch;
                let ended = side.diminish(trade, &applied, &charges, &mut self.shelf, done)?;
                if is_unknown {
                    // What was computed from an unknown entry differs from nothing.
                    done.pnl_mismatch = false;
                    side.note_unknown(trade);
                }
                ended
            }
        };
        if let Some(trip) = ended {
            self.end(position_side, trip)?;
        }
        Ok(())
    }

    pub(super) fn anchor(&mut self, anchor: &Anchor) -> Result<(), MathError> {
        let contract = self.contract;
        let entry_rounding = self.entry_rounding;
        let side = self.side_mut(anchor.position_side);
        let known = side.trip.as_ref().is_none_or(|trip| trip.basis != Certainty::Unknown);
        side.touch(anchor.at);
        if known && side.position.qty()? == anchor.qty {
            side.beginning = Beginning::Proven;
            let entry = side.position.average_entry(contract, AVERAGE_SCALE)?;
            if let (Some(trip), Some(stated), Some(derived)) = (&mut side.trip, anchor.entry_price, entry)
                && derived.checked_sub(stated.get())?.abs() > entry_rounding
            {
                // The same quantity at another price: it was closed and opened again, or the statement is rough.
                trip.basis = trip.basis.max(Certainty::Estimated);
            }
            return Ok(());
        }
        let ended = side.trip.take().map(|mut trip| {
            if !trip.unseen {
                trip.taint();
                trip.closed_at = Some(anchor.at);
            }
            trip
        });
        let entry = match anchor.entry_price {
            Some(entry) => entry,
            None => placeholder_price()?,
        };
        side.beginning = Beginning::Proven;
        side.position = Position::stated(contract, anchor.qty, entry)?;
        if !side.position.is_flat() {
            let direction = if anchor.qty.is_positive() { Direction::Long } else { Direction::Short };
            let basis = if anchor.entry_price.is_some() { Certainty::Estimated } else { Certainty::Unknown };
            let mut trip = OpenTrip::new(Begun::Anchor(anchor.at), direction, basis, anchor.at, side.position.scale());
            trip.opened_at = None;
            let (units, scale) = (side.position.units(), side.position.scale());
            trip.turnover.enter(units, units, scale, side.position.open_cost())?;
            side.trip = Some(Box::new(trip));
        }
        ended.map_or(Ok(()), |trip| self.end(anchor.position_side, trip))
    }

    /// Moves an ended round trip's money into the totals.
    pub(super) fn end(&mut self, position_side: PositionSide, trip: Box<OpenTrip>) -> Result<(), MathError> {
        self.closed_count += 1;
        let number = self.closed_count;
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        let beginning = side.beginning.certainty();
        side.realized.merge(&trip.realized)?;
        side.fees.merge(&trip.fees)?;
        side.funding.merge(&trip.funding)?;
        side.clearance.merge(&trip.clearance)?;
        side.cash_flow = side.cash_flow.checked_add(trip.cash_flow()?)?;
        let ended = Ended { trip, position_side, number, beginning };
        match &mut self.watch {
            None => {
                self.done.ended = WhereEnded::OnShelf;
                self.shelf.put(ended);
            }
            Some(watch) => {
                self.done.ended = WhereEnded::InWatch;
                watch.take_in(ended);
            }
        }
        Ok(())
    }

    pub(super) fn side_mut(&mut self, position_side: PositionSide) -> &mut SideFold {
        side_mut(&mut self.net, &mut self.long, &mut self.short, position_side)
    }

    pub(super) fn side(&self, position_side: PositionSide) -> &SideFold {
        match position_side {
            PositionSide::Net => &self.net,
            PositionSide::Long => &self.long,
            PositionSide::Short => &self.short,
        }
    }
}

/// Whether a trade can only close, for it is on the other side of a hedge's position.
#[inline]
pub(super) fn only_closes(position_side: PositionSide, side: Side) -> bool {
    matches!((position_side, side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy))
}

#[inline]
pub(super) fn side_mut<'a>(
    net: &'a mut SideFold,
    long: &'a mut SideFold,
    short: &'a mut SideFold,
    position_side: PositionSide,
) -> &'a mut SideFold {
    match position_side {
        PositionSide::Net => net,
        PositionSide::Long => long,
        PositionSide::Short => short,
    }
}
