//! The single amounts behind what the fold sums up, for who asks for them.
//!
//! A fold that nobody asks pays nothing for this: the amounts of an event are the differences that it made to the round
//! trips, so they add up to the totals by construction.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::fill::FillKey;
use crate::id::Asset;
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::round_trip::Tally;
use crate::source::PositionSide;
use crate::time::TimestampMs;

use super::closed_trip::WhereEnded;
use super::open_trip::OpenTrip;
use super::{Done, FoldError, FoldEvent, Step, SymbolFold};

/// What all amounts of an event have in common.
struct Cause {
    position_side: PositionSide,
    at: TimestampMs,
    origin: MovementOrigin,
    exchange_realized_pnl: Option<Decimal>,
}

impl Cause {
    fn of(event: &FoldEvent<'_>) -> Option<Self> {
        Some(match event {
            FoldEvent::Fill { fill, .. } => {
                let FillKey { symbol, fill_id, side } = &fill.key;
                let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side: *side };
                Self {
                    position_side: fill.position_side?,
                    at: fill.time.at,
                    origin: MovementOrigin::Fill(key),
                    exchange_realized_pnl: fill.exchange_realized_pnl,
                }
            }
            FoldEvent::Residual { residual, .. } => Self {
                position_side: residual.position_side.unwrap_or(PositionSide::Net),
                at: residual.at,
                origin: MovementOrigin::Residual(residual.order_id.clone()),
                exchange_realized_pnl: None,
            },
            FoldEvent::Anchor(anchor) => Self {
                position_side: anchor.position_side,
                at: anchor.at,
                origin: MovementOrigin::Anchor,
                exchange_realized_pnl: None,
            },
            FoldEvent::Kickback { .. }
            | FoldEvent::Funding { .. }
            | FoldEvent::Clearance { .. }
            | FoldEvent::Settlement(_)
            | FoldEvent::End => return None,
        })
    }
}

impl SymbolFold {
    /// Applies the next event as [`apply`](Self::apply) does, and adds to `movements` every amount of money that follows
    /// from it. It takes longer than [`apply`](Self::apply); the state is the same.
    ///
    /// The amounts of a round trip add up to its totals. Where what it realized has become
    /// [unknown](Certainty::Unknown), earlier amounts stand as they were, and one without an amount says when that was.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_with_movements(
        &mut self,
        event: FoldEvent<'_>,
        movements: &mut Vec<Movement>,
    ) -> Result<Step<'_>, FoldError> {
        let Some(cause) = Cause::of(&event) else {
            if let FoldEvent::Kickback { fill, rows } = event {
                self.kick_back(fill, rows, Some(movements))?;
                return Ok(Step::last_of(self));
            }
            self.apply_ledger(event, Some(movements))?;
            return Ok(Step::last_of(self));
        };
        let of_event = |source| FoldError::Math { what: format!("the amounts of {}", cause.at), source };
        self.done = Done::default();
        self.decide_until(cause.at, Some(movements)).map_err(of_event)?;
        let released = self.watch.as_mut().map(|watch| std::mem::take(&mut watch.released.0)).unwrap_or_default();
        let before = self.side(cause.position_side).trip.clone();
        self.apply(event)?;
        self.note(&cause, before.as_deref(), movements).map_err(of_event)?;
        if !released.is_empty() {
            self.watch.get_or_insert_default().released.0.splice(..0, released);
        }
        Ok(Step::last_of(self))
    }

    /// Adds the differences that an event made to the round trips of a position, where `before` was the open one.
    fn note(&self, cause: &Cause, before: Option<&OpenTrip>, movements: &mut Vec<Movement>) -> Result<(), MathError> {
        let open = self.side(cause.position_side).trip.as_deref();
        let ended = self.just_ended();
        if let Some(ended) = ended {
            self.note_trip(cause, before, ended, movements)?;
        }
        if let Some(open) = open {
            self.note_trip(cause, before.filter(|_| ended.is_none()), open, movements)?;
        }
        Ok(())
    }

    /// The round trip that the last event ended.
    pub(super) fn just_ended(&self) -> Option<&OpenTrip> {
        match self.done.ended {
            WhereEnded::Nowhere => None,
            WhereEnded::OnShelf => self.shelf.last(),
            WhereEnded::InWatch => self.watch.as_ref()?.ended(self.closed_count),
        }
    }

    fn note_trip(
        &self,
        cause: &Cause,
        before: Option<&OpenTrip>,
        after: &OpenTrip,
        movements: &mut Vec<Movement>,
    ) -> Result<(), MathError> {
        let trip = after.key(self, cause.position_side);
        let movement = |kind, asset: &Asset, amount, certainty| Movement {
            at: cause.at,
            trip: Some(trip.clone()),
            kind,
            asset: asset.clone(),
            amount,
            certainty,
            origin: cause.origin.clone(),
            exchange_realized_pnl: None,
            tolerance: Decimal::ZERO,
        };
        let closed_before = before.map_or(Ok(Decimal::ZERO), |trip| trip.turnover.exit_qty())?;
        let closed = after.turnover.exit_qty()?.checked_sub(closed_before)?;
        let none = Tally::default();
        let realized = Difference::of(before.map_or(&none, |trip| &trip.realized), &after.realized)?;
        if !closed.is_zero() || realized.has_unknown {
            let (amount, certainty) = match self.done.realized {
                Some(realized) if !closed.is_zero() => (Some(realized.to_decimal()?), self.done.certainty),
                _ => (None, Certainty::Unknown),
            };
            movements.push(Movement {
                exchange_realized_pnl: cause.exchange_realized_pnl.filter(|pnl| !closed.is_zero() || !pnl.is_zero()),
                tolerance: if closed.is_zero() { Decimal::ZERO } else { self.pnl_tolerance(closed)? },
                ..movement(MovementKind::Realized, &self.settle_asset, amount, certainty)
            });
        }
        for (asset, paid) in after.fees.iter() {
            let earlier = before.into_iter().flat_map(|trip| trip.fees.iter());
            let earlier = earlier.filter(|(of, _)| *of == asset).map(|(_, tally)| tally).next();
            let fee = Difference::of(earlier.unwrap_or(&none), paid)?;
            if fee.has_unknown {
                movements.push(movement(MovementKind::Fee, asset, None, Certainty::Unknown));
            }
            for (amount, certainty) in [(fee.known, Certainty::Known), (fee.estimated, Certainty::Estimated)] {
                if !amount.is_zero() {
                    movements.push(movement(MovementKind::Fee, asset, Some(-amount), certainty));
                }
            }
        }
        Ok(())
    }
}

/// By how much a sum has grown.
struct Difference {
    known: Decimal,
    estimated: Decimal,
    has_unknown: bool,
}

impl Difference {
    fn of(before: &Tally, after: &Tally) -> Result<Self, MathError> {
        let (before, after) = (before.total()?, after.total()?);
        Ok(Self {
            known: after.known.checked_sub(before.known)?,
            estimated: after.estimated.checked_sub(before.estimated)?,
            has_unknown: after.unknown_count > before.unknown_count,
        })
    }
}
