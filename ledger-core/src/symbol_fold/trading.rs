//! What fills, residuals, funding and anchors do to the fold.

use crate::amount::{Decimal, MathError, SCALE_MAX, pow10};
use crate::certainty::Certainty;
use crate::funding::{Share, attribute, funding_instant};
use crate::id::Asset;
use crate::income::Income;
use crate::instrument::ContractKind;
use crate::position::{Applied, Change, Contract, Position, Value};
use crate::round_trip::{Direction, RoundTrip, fee_parts};
use crate::snapshot::Anchor;
use crate::source::{PositionSide, Side};

use super::beginning::{Agreement, Beginning};
use super::open_trip::{OpenTrip, placeholder_price};
use super::{AVERAGE_SCALE, DerivedPosition, FoldError, FoldEvent, Funded, SideFold, Step, SymbolFold, Trade};

impl SymbolFold {
    pub(super) fn trade(&mut self, position_side: PositionSide, trade: &Trade<'_>) -> Result<Step, MathError> {
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        side.fill_count += u64::from(trade.fill_id.is_some());
        side.updated_at = Some(side.updated_at.map_or(trade.at, |at| at.max(trade.at)));
        let fee = fee_parts(trade.fee, &self.settle_asset, trade.certainty)?;
        let only_closes =
            matches!((position_side, trade.side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy));
        let realizes = trade.reported.is_some_and(|reported| !reported.is_zero());
        // No opening realizes anything, so what the book takes for one is the close of something it never saw.
        let mut step = Step::default();
        let ended = if side.position.is_increased_by(trade.side)
            && (only_closes || (realizes && position_side == PositionSide::Net))
        {
            side.close_unseen(trade, self.contract, fee)?
        } else {
            let price = match trade.price {
                Some(price) => price,
                None => placeholder_price()?,
            };
            let before = side.position;
            let applied = side.position.apply(self.contract, trade.side, trade.qty, price)?;
            let tolerance = Tolerance { contract: self.contract, entry_rounding: self.entry_rounding };
            let mismatch = match applied.change {
                Change::Increase => realizes,
                _ => !tolerance.agrees(trade, &applied)?,
            };
            if applied.change == Change::Flip && (only_closes || side.is_no_flip(mismatch, realizes)) {
                side.close_more_than_held(trade, self.contract, fee)?
            } else {
                if trade.certainty != Certainty::Known {
                    side.beginning.doubt();
                }
                if mismatch {
                    step.pnl_mismatch = true;
                    side.contradict(&applied);
                } else if let Some(agreement) = side.agreement(tolerance, &before, trade, &applied) {
                    side.beginning.agree(agreement, self.step_size.unwrap_or(agreement.finest));
                }
                side.follow(trade, &applied, mismatch, fee, &mut step)?
            }
        };
        if let Some(trip) = ended {
            step.closed = Some(Box::new(self.end(position_side, &trip)?));
        }
        Ok(step)
    }

    pub(super) fn anchor(&mut self, anchor: &Anchor) -> Result<Option<Box<RoundTrip>>, MathError> {
        let contract = self.contract;
        let entry_rounding = self.entry_rounding;
        let side = self.side_mut(anchor.position_side);
        let known = side.trip.as_ref().is_none_or(|trip| trip.basis != Certainty::Unknown);
        side.updated_at = Some(side.updated_at.map_or(anchor.at, |at| at.max(anchor.at)));
        if known && side.position.qty()? == anchor.qty {
            side.beginning = Beginning::Proven;
            let entry = side.position.average_entry(contract, AVERAGE_SCALE)?;
            if let (Some(trip), Some(stated), Some(derived)) = (&mut side.trip, anchor.entry_price, entry)
                && derived.checked_sub(stated.get())?.abs() > entry_rounding
            {
                // The same quantity at another price: it was closed and opened again, or the statement is rough.
                trip.basis = trip.basis.max(Certainty::Estimated);
            }
            return Ok(None);
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
            let mut trip = OpenTrip::new(direction, basis, anchor.at);
            trip.opened_at = None;
            trip.entry_qty = side.position.size()?;
            trip.qty_max = trip.entry_qty;
            trip.entry_cost = side.position.open_cost();
            if basis != Certainty::Unknown {
                trip.cash_flow = Value::ZERO.checked_sub(trip.entry_cost)?;
            }
            side.trip = Some(Box::new(trip));
        }
        ended.map(|trip| self.end(anchor.position_side, &trip).map(Box::new)).transpose()
    }

    pub(super) fn apply_funding(&mut self, rows: &[Income]) -> Result<Step, FoldError> {
        for row in rows {
            if let Some(symbol) = &row.key.symbol {
                self.check_symbol(symbol)?;
            }
        }
        self.fund(rows).map_err(|source| FoldError::Math { what: "funding".into(), source })?;
        Ok(Step::default())
    }

    fn fund(&mut self, rows: &[Income]) -> Result<(), MathError> {
        let held = [PositionSide::Net, PositionSide::Long, PositionSide::Short]
            .into_iter()
            .filter(|position_side| !self.side(*position_side).position.is_flat())
            .map(|position_side| Ok((position_side, self.side(position_side).position.qty()?)))
            .collect::<Result<Vec<_>, MathError>>()?;
        let certainty_of_single = match held.as_slice() {
            // Of the other position of a hedge it is not known whether it is flat.
            [(PositionSide::Long, _)] => self.short.beginning.single_holder(),
            [(PositionSide::Short, _)] => self.long.beginning.single_holder(),
            _ => Certainty::Known,
        };
        let mut shares = Vec::new();
        for Share { position_side, asset, amount, certainty } in attribute(rows, &held, certainty_of_single)? {
            let tallies = match position_side.map(|position_side| self.side_mut(position_side)) {
                Some(SideFold { trip: Some(trip), .. }) => &mut trip.funding,
                _ => &mut self.unallocated_funding,
            };
            let amount = Value::from_decimal(amount)?;
            tallies.of(&asset).add(amount, certainty)?;
            if certainty == Certainty::Known
                && let Some(position_side) = position_side
            {
                shares.push((position_side, asset, amount));
            }
        }
        self.funded = rows.first().map(|row| Funded { at: funding_instant(row.time.at), shares });
        Ok(())
    }

    /// A fill of the instant of the last funding changes this position: perhaps before, perhaps after it was charged.
    #[cold]
    pub(super) fn doubt_funding(&mut self, position_side: PositionSide) -> Result<(), MathError> {
        let Some(funded) = &mut self.funded else { return Ok(()) };
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        let Some(trip) = side.trip.as_deref_mut() else { return Ok(()) };
        for (_, asset, amount) in funded.shares.extract_if(.., |(of, _, _)| *of == position_side) {
            trip.funding.of(&asset).doubt(amount)?;
        }
        Ok(())
    }

    /// Moves an ended round trip's money into the totals.
    fn end(&mut self, position_side: PositionSide, trip: &OpenTrip) -> Result<RoundTrip, MathError> {
        self.closed_count += 1;
        let number = self.closed_count;
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        let beginning = side.beginning.certainty();
        side.realized.merge(&trip.realized)?;
        side.fees.merge(&trip.fees)?;
        side.funding.merge(&trip.funding)?;
        side.cash_flow = side.cash_flow.checked_add(trip.cash_flow)?;
        trip.round_trip(self, position_side, number, beginning)
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

fn side_mut<'a>(
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

/// How closely an exchange's realized profit has to fit.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) contract: Contract,
    pub(super) entry_rounding: Decimal,
}

impl Tolerance {
    /// See [`SymbolFold::pnl_tolerance`].
    pub(super) fn of(self, closed_qty: Decimal) -> Result<Decimal, MathError> {
        if self.contract.kind() == ContractKind::Inverse {
            return Decimal::new(2, 8);
        }
        let size = closed_qty.checked_mul(self.contract.multiplier().get())?;
        let exact = size.mantissa().checked_mul(self.entry_rounding.mantissa()).ok_or(MathError::Overflow)?;
        let scale = size.scale() + self.entry_rounding.scale();
        // Rounded up where it needs more decimals than fit: a tolerance need not be exact.
        let product = match scale.checked_sub(SCALE_MAX).and_then(pow10) {
            Some(unit) => Decimal::new(exact / unit + 1, SCALE_MAX)?,
            None => Decimal::new(exact, scale)?,
        };
        product.checked_add(Decimal::new(1, 8)?)
    }

    /// Whether what the exchange says a trade realized fits the fold; true when it says nothing.
    #[inline]
    fn agrees(self, trade: &Trade<'_>, applied: &Applied) -> Result<bool, MathError> {
        let Some(reported) = trade.reported else {
            return Ok(true);
        };
        if reported == applied.realized {
            return Ok(true);
        }
        let difference = applied.realized.checked_sub(reported)?.to_decimal()?.abs();
        Ok(difference <= self.of(applied.closed_qty()?)?)
    }
}

/// A trade's fee: asset, amount, certainty.
type FeeParts<'a> = (&'a Asset, Value, Certainty);

impl SideFold {
    /// The trade closes what was never seen opened. Answers the round trip that it ended, if any.
    #[cold]
    fn close_unseen(
        &mut self,
        trade: &Trade<'_>,
        contract: Contract,
        (fee_asset, fee, fee_certainty): FeeParts<'_>,
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
            let mut trip = OpenTrip::new(direction, Certainty::Unknown, trade.at);
            (trip.unseen, trip.opened_at) = (true, None);
            Box::new(trip)
        });
        trip.realized.add(Value::ZERO, Certainty::Unknown)?;
        trip.exit(trade, contract)?;
        trip.closed_at = Some(trade.at);
        trip.fees.of(fee_asset).add(fee, fee_certainty)?;
        Ok(ended)
    }

    /// Whether a trade larger than the position is no flip, because the exchange says that it closed more.
    fn is_no_flip(&self, mismatch: bool, realizes: bool) -> bool {
        match self.trip.as_ref().map_or(Certainty::Known, |trip| trip.basis) {
            Certainty::Known => mismatch,
            Certainty::Estimated => false,
            Certainty::Unknown => realizes,
        }
    }

    /// The trade closes all that the book holds, and more that was never seen.
    #[cold]
    fn close_more_than_held(
        &mut self,
        trade: &Trade<'_>,
        contract: Contract,
        (fee_asset, fee, fee_certainty): FeeParts<'_>,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        self.position = Position::FLAT;
        self.beginning = Beginning::Lost;
        let mut ended = self.trip.take();
        if let Some(trip) = &mut ended {
            trip.taint();
            trip.exit(trade, contract)?;
            trip.closed_at = Some(trade.at);
            trip.fees.of(fee_asset).add(fee, fee_certainty)?;
        }
        Ok(ended)
    }

    /// The trade does what the fills say; the position has changed already.
    #[inline]
    fn follow(
        &mut self,
        trade: &Trade<'_>,
        applied: &Applied,
        mismatch: bool,
        (fee_asset, fee, fee_certainty): FeeParts<'_>,
        step: &mut Step,
    ) -> Result<Option<Box<OpenTrip>>, MathError> {
        let mut ended = None;
        let (closing_fee, opening_fee) = applied.split(fee)?;
        if applied.change == Change::Increase {
            ended = self.trip.take_if(|trip| trip.unseen);
        } else if let Some(trip) = self.trip.as_deref_mut() {
            step.realized = trip.realize(trade, applied, mismatch, self.beginning)?;
            trip.exit_part(trade, applied)?;
            trip.fees.of(fee_asset).add(closing_fee, fee_certainty)?;
            if applied.change != Change::Reduce {
                trip.closed_at = Some(trade.at);
                ended = self.trip.take();
            }
        }
        if matches!(applied.change, Change::Increase | Change::Flip) {
            let basis = if trade.price.is_some() { trade.certainty } else { Certainty::Unknown };
            let opening = self.trip.is_none();
            if opening && self.beginning == Beginning::Lost && !mismatch {
                // It realized nothing: whatever was unseen is taken to be gone.
                self.beginning = Beginning::Assumed;
            }
            let trip = self
                .trip
                .get_or_insert_with(|| Box::new(OpenTrip::new(Direction::opened_by(trade.side), basis, trade.at)));
            trip.enter(trade, applied, basis, opening)?;
            trip.qty_max = trip.qty_max.max(self.position.size()?);
            trip.fees.of(fee_asset).add(opening_fee, fee_certainty)?;
        }
        Ok(ended)
    }

    /// What a close whose profit agrees says about the beginning. Only profit or loss that cannot be rounding says
    /// anything (an opening realizes nothing, too), and a flip leaves open how much of it closed.
    #[inline]
    fn agreement(
        &self,
        tolerance: Tolerance,
        before: &Position,
        trade: &Trade<'_>,
        applied: &Applied,
    ) -> Option<Agreement> {
        let closes = matches!(applied.change, Change::Reduce | Change::Close);
        if self.beginning == Beginning::Proven || !closes {
            return None;
        }
        let reported = trade.reported?.to_decimal().ok()?;
        let trip = self.trip.as_ref().filter(|trip| trip.basis.max(trade.certainty) == Certainty::Known)?;
        let tolerance = tolerance.of(applied.closed_qty().ok()?).ok()?;
        if reported.abs() <= tolerance {
            return None;
        }
        Agreement::new(before, applied, tolerance, trip.qty_max.to_decimal().ok()?).ok()
    }

    /// The exchange says that a trade realized something else than the book.
    fn contradict(&mut self, applied: &Applied) {
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
            _ if applied.change == Change::Flip => self.beginning.doubt(),
            _ => {}
        }
    }

    pub(super) fn derived(
        &self,
        position_side: PositionSide,
        contract: Contract,
    ) -> Result<DerivedPosition, MathError> {
        let mut realized = self.realized;
        let (mut fees, mut funding) = (self.fees.clone(), self.funding.clone());
        let mut certainty = self.beginning.certainty();
        if let Some(trip) = &self.trip {
            realized.merge(&trip.realized)?;
            fees.merge(&trip.fees)?;
            funding.merge(&trip.funding)?;
            certainty = certainty.max(trip.basis);
        }
        let told = certainty != Certainty::Unknown;
        Ok(DerivedPosition {
            position_side,
            qty: self.position.qty()?,
            entry_price_avg: if told { self.position.average_entry(contract, AVERAGE_SCALE)? } else { None },
            open_cost: told.then(|| self.position.open_cost().to_decimal()).transpose()?,
            certainty,
            realized: realized.total()?,
            fees: fees.totals()?,
            funding: funding.totals()?,
            fill_count: self.fill_count,
            updated_at: self.updated_at,
            position: told.then_some(self.position),
        })
    }
}

/// Whether a timed event comes before a fill: see [`FoldEvent`].
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
