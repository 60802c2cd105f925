//! Settlements without a fill: what a delivered contract pays, in entries of the ledger that name no position.
//!
//! Of one position that was open all of it is its own. Of a hedge's two, every entry follows from the one price of the
//! settlement: two entries tell it twice, and fit the positions in one way only; the sum of both tells it where the quantities
//! differ.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::income::Income;
use crate::movement::{Movement, MovementKind};
use crate::position::Position;
use crate::source::PositionSide;

use super::deciding::SIDES;
use super::watch::{ExitCause, Seat, Window};
use super::{AVERAGE_SCALE, SymbolFold};

/// The digits after the point of the ledger's amounts.
const LEDGER_SCALE: u8 = 8;
/// How many times as large as the difference of two quantities the larger may be: what an amount was rounded by is as many
/// times as large in what follows from their sum.
const LEVER_MAX: i64 = 100;

/// What an entry paid for one position.
struct Share {
    row: usize,
    position_side: PositionSide,
    amount: Decimal,
}

impl SymbolFold {
    /// Ends what a settlement closed without a fill. Where fills did, the entry says the same as they do.
    pub(super) fn settle(
        &mut self,
        window: &Window,
        rows: &[Income],
        mut movements: Option<&mut Vec<Movement>>,
    ) -> Result<(), MathError> {
        let open: Vec<PositionSide> = SIDES.into_iter().filter(|it| !self.side(*it).position.is_flat()).collect();
        let exits = || window.occupants.iter().flat_map(|occupant| &occupant.exits);
        if exits().any(|exit| exit.why == ExitCause::Settlement) || (open.is_empty() && exits().next().is_some()) {
            return Ok(());
        }
        let shares = self.settlement_shares(rows, &open)?;
        let mut seats = Vec::new();
        for position_side in open {
            let side = self.side_mut(position_side);
            let cost = side.position.open_cost();
            let (units, scale) = (side.position.units(), side.position.scale());
            side.position = Position::FLAT;
            side.touch(window.at);
            let Some(mut trip) = side.trip.take() else { continue };
            let own = shares.iter().filter(|share| share.position_side == position_side);
            let paid = own.clone().try_fold(Decimal::ZERO, |sum, share| sum.checked_add(share.amount))?;
            let told = own.clone().next().map(|_| Value::from_decimal(paid)).transpose()?;
            trip.settle(window.at, units, scale, cost, told)?;
            self.end(position_side, trip)?;
            let seat = (position_side, Seat::Ended(self.closed_count));
            if told.is_none()
                && let Some(movements) = movements.as_deref_mut()
                && let Some(row) = rows.first()
            {
                let movement = self.movement(row, MovementKind::Realized, Some(seat), None, Certainty::Unknown);
                movements.push(Movement { asset: self.settle_asset.clone(), ..movement });
            }
            seats.push(seat);
        }
        for (index, row) in rows.iter().enumerate() {
            let mut parts: Vec<(Option<(PositionSide, Seat)>, Decimal)> = Vec::new();
            for share in shares.iter().filter(|share| share.row == index) {
                let seat = seats.iter().find(|(position_side, _)| *position_side == share.position_side);
                parts.extend(seat.map(|seat| (Some(*seat), share.amount)));
            }
            let certainty = if seats.is_empty() { Certainty::Known } else { Certainty::Estimated };
            if parts.is_empty() {
                self.own_line.realized.add(&row.key.asset, Value::from_decimal(row.amount)?, certainty)?;
                parts.push((None, row.amount));
            }
            let Some(movements) = movements.as_deref_mut() else { continue };
            for (seat, amount) in parts {
                let movement = self.movement(row, MovementKind::Realized, seat, Some(amount), certainty);
                movements.push(Movement { exchange_realized_pnl: Some(amount), ..movement });
            }
        }
        Ok(())
    }

    /// What each entry paid for each position that was open; nothing where that cannot be told.
    fn settlement_shares(&self, rows: &[Income], open: &[PositionSide]) -> Result<Vec<Share>, MathError> {
        if rows.iter().any(|row| row.key.asset != self.settle_asset) {
            return Ok(Vec::new());
        }
        let share = |row, position_side, amount| Share { row, position_side, amount };
        match (open, rows) {
            ([only], _) => Ok(rows.iter().enumerate().map(|(at, row)| share(at, *only, row.amount)).collect()),
            ([one, other], [first, second]) => {
                let straight = self.is_one_price((*one, first.amount), (*other, second.amount))?;
                let crossed = self.is_one_price((*one, second.amount), (*other, first.amount))?;
                Ok(match (straight, crossed) {
                    (true, false) => vec![share(0, *one, first.amount), share(1, *other, second.amount)],
                    (false, true) => vec![share(1, *one, second.amount), share(0, *other, first.amount)],
                    _ => Vec::new(),
                })
            }
            ([one, other], [both]) => {
                let Some(own) = self.part_of(*one, *other, both.amount)? else { return Ok(Vec::new()) };
                Ok(vec![share(0, *one, own), share(0, *other, both.amount.checked_sub(own)?)])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Quantity and open cost of a position, whose profit at a price is price x quantity - cost.
    fn qty_and_cost(&self, position_side: PositionSide) -> Result<Option<(Decimal, Decimal)>, MathError> {
        let position = &self.side(position_side).position;
        let told = (position.qty()?, position.open_cost().to_decimal()?);
        Ok(Some(told).filter(|(qty, _)| self.contract.is_plain() && !qty.is_zero()))
    }

    /// Whether two positions gained these amounts at one price.
    fn is_one_price(&self, one: (PositionSide, Decimal), other: (PositionSide, Decimal)) -> Result<bool, MathError> {
        let (Some((qty, cost)), Some((other_qty, other_cost))) =
            (self.qty_and_cost(one.0)?, self.qty_and_cost(other.0)?)
        else {
            return Ok(false);
        };
        let price = one.1.checked_add(cost)?.div_round(qty, AVERAGE_SCALE)?;
        let expected = price.product(other_qty)?.checked_sub(other_cost)?;
        let lever = other_qty.abs().div_round(qty.abs(), AVERAGE_SCALE)?;
        let tolerance =
            self.pnl_tolerance(qty.abs())?.product(lever)?.checked_add(self.pnl_tolerance(other_qty.abs())?)?;
        Ok(price.is_positive() && expected.checked_sub(other.1)?.abs() <= tolerance)
    }

    /// What the first of two positions gained of what both did.
    fn part_of(&self, one: PositionSide, other: PositionSide, both: Decimal) -> Result<Option<Decimal>, MathError> {
        let (Some((qty, cost)), Some((other_qty, other_cost))) = (self.qty_and_cost(one)?, self.qty_and_cost(other)?)
        else {
            return Ok(None);
        };
        let apart = qty.checked_add(other_qty)?;
        if apart.abs().checked_mul(Decimal::from(LEVER_MAX))? < qty.abs().max(other_qty.abs()) {
            return Ok(None);
        }
        let price = both.checked_add(cost)?.checked_add(other_cost)?.div_round(apart, AVERAGE_SCALE)?;
        let own = price.product(qty)?.checked_sub(cost)?.round(LEDGER_SCALE);
        Ok(Some(own).filter(|_| price.is_positive()))
    }
}
