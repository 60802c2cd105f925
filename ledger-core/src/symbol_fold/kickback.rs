//! A share of a trading fee that comes back: it lowers what its fill's round trips paid in fees.
//!
//! The ledger posts it later than the fill, often after the round trip has ended. It names the trade, so it is applied
//! with its fill, and keeps its own time as a movement.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::fill::Fill;
use crate::income::Income;
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::source::PositionSide;
use crate::trip_key::TripKey;

use super::closed_trip::{Ended, WhereEnded};
use super::open_trip::{Begun, OpenTrip};
use super::trading::side_mut;
use super::{FoldError, SymbolFold};

/// Decimals of a share.
const SHARE_SCALE: u8 = 18;

impl SymbolFold {
    /// Applies what came back of the fee of the fill that was applied last.
    #[cold]
    pub(super) fn kick_back(
        &mut self,
        fill: &Fill,
        rows: &[Income],
        movements: Option<&mut Vec<Movement>>,
    ) -> Result<(), FoldError> {
        self.check_symbol(&fill.key.symbol)?;
        let fill_id = || fill.key.fill_id.clone();
        let Some(position_side) = fill.position_side else {
            return Err(FoldError::NoPositionSide { fill_id: fill_id() });
        };
        if self.last_fill.as_ref() != Some(&fill.fold_key()) {
            return Err(FoldError::OutOfOrder { fill_id: fill_id() });
        }
        let of_rows = |source| FoldError::Math { what: format!("what came back of the fee of {}", fill_id()), source };
        let noted = movements.map_or(Ok(()), |movements| self.note_kickback(fill, position_side, rows, movements));
        noted.map_err(of_rows)?;
        rows.iter().try_for_each(|row| self.credit(fill, position_side, row)).map_err(of_rows)
    }

    /// How much of `amount` belongs to the round trip that the fill ended, and how much to the open one.
    fn shares(
        &self,
        fill: &Fill,
        position_side: PositionSide,
        amount: Decimal,
    ) -> Result<(Decimal, Decimal), MathError> {
        let closes = !self.done.has_ended_elsewhere && self.just_ended().is_some();
        let side = self.side(position_side);
        let opens = side
            .trip
            .as_deref()
            .is_some_and(|trip| matches!(&trip.begun, Begun::Fill(begun) if *begun == fill.key.fill_id && closes));
        Ok(match (closes, opens) {
            (false, _) => (Decimal::ZERO, amount),
            (true, false) => (amount, Decimal::ZERO),
            (true, true) => {
                // As the fee itself is divided.
                let opened = side.position.qty()?.abs().checked_mul_round(amount, SHARE_SCALE)?;
                let opened = opened.div_round(fill.qty.get(), SHARE_SCALE)?;
                (amount.checked_sub(opened)?, opened)
            }
        })
    }

    fn credit(&mut self, fill: &Fill, position_side: PositionSide, row: &Income) -> Result<(), MathError> {
        let (closing, opening) = self.shares(fill, position_side, row.amount)?;
        let asset = &row.key.asset;
        let paid_back = |amount: Decimal| Value::from_decimal(-amount);
        if !closing.is_zero() {
            let closing = paid_back(closing)?;
            if let Some(ended) = self.just_ended_mut() {
                ended.trip.fees.add(asset, closing, Certainty::Known)?;
            }
            let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
            side.fees.add(asset, closing, Certainty::Known)?;
        }
        if !opening.is_zero()
            && let Some(trip) = self.side_mut(position_side).trip.as_deref_mut()
        {
            trip.fees.add(asset, paid_back(opening)?, Certainty::Known)?;
        }
        Ok(())
    }

    fn note_kickback(
        &self,
        fill: &Fill,
        position_side: PositionSide,
        rows: &[Income],
        movements: &mut Vec<Movement>,
    ) -> Result<(), MathError> {
        for row in rows {
            let (closing, opening) = self.shares(fill, position_side, row.amount)?;
            let key = |trip: &OpenTrip| -> TripKey { trip.key(self, position_side) };
            let ended = (self.just_ended().map(key), closing);
            let open = (self.side(position_side).trip.as_deref().map(key), opening);
            for (trip, amount) in [ended, open].into_iter().filter(|(_, amount)| !amount.is_zero()) {
                movements.push(Movement {
                    at: row.time.at,
                    trip,
                    kind: MovementKind::Fee,
                    asset: row.key.asset.clone(),
                    amount: Some(amount),
                    certainty: Certainty::Known,
                    origin: MovementOrigin::Ledger(row.key.clone()),
                    exchange_realized_pnl: None,
                    tolerance: Decimal::ZERO,
                });
            }
        }
        Ok(())
    }

    fn just_ended_mut(&mut self) -> Option<&mut Ended> {
        match self.done.ended {
            WhereEnded::Nowhere => None,
            WhereEnded::OnShelf => self.shelf.last_mut(),
            WhereEnded::InWatch => self.watch.as_mut()?.ended_mut(self.closed_count),
        }
    }
}
