//! The plain case of a fill, in one straight path: the book is proven, the exchange's word agrees, and every number fits a
//! register. All else takes the general path, which these lines abridge and never differ from.
//!
//! Invariant, with a test of the same name: `the_plain_path_is_the_general_one`.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::fill::Fill;
use crate::order_story::OrderContext;
use crate::position::{Change, PlainPart, plain_value};
use crate::round_trip::Direction;
use crate::source::PositionSide;

use super::SymbolFold;
use super::beginning::Beginning;
use super::closed_trip::{Done, Shelf};
use super::open_trip::{Begun, OpenTrip};
use super::side_fold::SideFold;
use super::tolerance::Tolerance;
use super::trading::{only_closes, side_mut};

impl SymbolFold {
    /// Applies `fill`, which has its place, if it is a plain one. Answers false, with nothing changed, if it is not.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one caller, for which this is most of what it does")]
    pub(super) fn apply_plain(
        &mut self,
        fill: &Fill,
        order: Option<&OrderContext>,
        position_side: PositionSide,
    ) -> Result<bool, MathError> {
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        let Some(fee) = &fill.fee else { return Ok(false) };
        // Looked at first: it is a call, across which few numbers have to be kept.
        let is_first_asset = side.trip.as_deref().is_some_and(|trip| trip.fees.is_first(&fee.asset));
        let Some(paid) = plain_value(fee.amount) else { return Ok(false) };
        let Some(part) = side.position.plain_part(&self.contract, fill.key.side, fill.qty, fill.price) else {
            return Ok(false);
        };
        if !matches!(side.beginning, Beginning::Proven) || self.watch.is_some() {
            return Ok(false);
        }
        let scale = side.position.scale();
        if side.trip.is_none() {
            if part.held != 0 || !may_open(fill, position_side) {
                return Ok(false);
            }
            side.count(fill);
            side.open_plain(fill, order, &{ part }, paid, &mut self.shelf)?;
            return Ok(true);
        }
        let Some(trip) = side.trip.as_deref_mut() else { return Ok(false) };
        if trip.unseen || trip.basis != Certainty::Known || part.held == 0 {
            return Ok(false);
        }
        let tolerance = Tolerance { contract: &self.contract, entry_rounding: &self.entry_rounding };
        match part.change() {
            Change::Increase => {
                if !may_open(fill, position_side) {
                    return Ok(false);
                }
                trip.fees.add_known(is_first_asset, &fee.asset, paid)?;
                side.position.replace_by(&part, side.position.open_cost().checked_add(part.cost)?);
                trip.enter_plain(&part, scale, order)?;
            }
            Change::Reduce => {
                let Some(remaining) = side.position.remaining_cost(&part) else { return Ok(false) };
                if !side.exit_plain(fill, order, &part, remaining, (is_first_asset, paid), tolerance, &mut self.done)? {
                    return Ok(false);
                }
                side.position.reduce_to(&part, remaining);
            }
            Change::Close => {
                if !side.exit_plain(
                    fill,
                    order,
                    &part,
                    Value::ZERO,
                    (is_first_asset, paid),
                    tolerance,
                    &mut self.done,
                )? {
                    return Ok(false);
                }
                self.close_plain(fill, &part, position_side)?;
                return Ok(true);
            }
            Change::Flip => {
                let is_plain = self.flip_plain(fill, order, paid, position_side)?;
                return Ok(is_plain);
            }
        }
        side.count(fill);
        Ok(true)
    }

    /// What was open is closed; the position holds what `part` opens.
    #[inline]
    fn close_plain(&mut self, fill: &Fill, part: &PlainPart, position_side: PositionSide) -> Result<(), MathError> {
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        side.count(fill);
        side.position.replace_by(part, Value::ZERO);
        if let Some(mut ended) = side.trip.take() {
            ended.closed_at = Some(fill.time.at);
            ended.closed_by = Some(fill.key.fill_id.clone());
            self.end(position_side, ended)?;
        }
        Ok(())
    }

    /// A flip: a close of all that is held, and an opening with the rest.
    #[inline(never)]
    fn flip_plain(
        &mut self,
        fill: &Fill,
        order: Option<&OrderContext>,
        paid: Value,
        position_side: PositionSide,
    ) -> Result<bool, MathError> {
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        // Measured again: handed over, it would have to be written to memory for every fill.
        let Some(part) = side.position.plain_part(&self.contract, fill.key.side, fill.qty, fill.price) else {
            return Ok(false);
        };
        let Some((closing, opening)) = side.position.plain_flip(&part, fill.price) else { return Ok(false) };
        let Some(fee) = closing.share_of(paid, &part) else { return Ok(false) };
        let tolerance = Tolerance { contract: &self.contract, entry_rounding: &self.entry_rounding };
        if only_closes(position_side, fill.key.side)
            || !side.exit_plain(fill, order, &closing, Value::ZERO, (false, fee), tolerance, &mut self.done)?
        {
            return Ok(false);
        }
        self.close_plain(fill, &closing, position_side)?;
        let side = side_mut(&mut self.net, &mut self.long, &mut self.short, position_side);
        side.open_plain(fill, order, &opening, paid.checked_sub(fee)?, &mut self.shelf)?;
        Ok(true)
    }
}

impl SideFold {
    #[inline]
    fn open_plain(
        &mut self,
        fill: &Fill,
        order: Option<&OrderContext>,
        part: &PlainPart,
        paid: Value,
        shelf: &mut Shelf,
    ) -> Result<(), MathError> {
        let scale = self.position.scale();
        let begun = Begun::Fill(fill.key.fill_id.clone());
        let mut trip = shelf.trip(begun, Direction::opened_by(fill.key.side), Certainty::Known, fill.time.at, scale);
        trip.engine = order.and_then(|order| order.engine.clone());
        trip.enter_plain(part, scale, order)?;
        match &fill.fee {
            Some(fee) => trip.fees.begin(&fee.asset, paid),
            None => trip.fees.clear(),
        }
        self.position.replace_by(part, part.cost);
        self.trip = Some(trip);
        Ok(())
    }

    /// Takes in the profit of an exit that leaves `remaining` of the open cost. Answers false, with nothing changed, where the
    /// exchange does not surely agree.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of the one path")]
    #[expect(clippy::too_many_arguments, reason = "a part of the one path")]
    fn exit_plain(
        &mut self,
        fill: &Fill,
        order: Option<&OrderContext>,
        part: &PlainPart,
        remaining: Value,
        (is_first_asset, paid): (bool, Value),
        tolerance: Tolerance<'_>,
        done: &mut Done,
    ) -> Result<bool, MathError> {
        let (Some(trip), Some(fee)) = (self.trip.as_deref_mut(), &fill.fee) else { return Ok(false) };
        let scale = self.position.scale();
        let Some(realized) = self.position.realized_by(part, remaining) else { return Ok(false) };
        if let Some(reported) = &fill.exchange_realized_pnl {
            let Some(reported) = plain_value(*reported) else { return Ok(false) };
            if reported != realized && !tolerance.surely_admits(part.units, scale, realized, reported) {
                return Ok(false);
            }
            trip.reported = trip.reported.checked_add(reported)?;
        } else {
            trip.reported_by_all = false;
        }
        trip.fees.add_known(is_first_asset, &fee.asset, paid)?;
        trip.realized.add(realized, Certainty::Known)?;
        trip.leave_plain(part, scale, order)?;
        (done.realized, done.certainty) = (Some(realized), Certainty::Known);
        Ok(true)
    }
}

/// Whether a fill can be what opens a position or enlarges it: no opening realizes anything.
#[inline]
fn may_open(fill: &Fill, position_side: PositionSide) -> bool {
    !only_closes(position_side, fill.key.side) && fill.exchange_realized_pnl.is_none_or(Decimal::is_zero)
}

impl OpenTrip {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of the one path")]
    fn enter_plain(&mut self, part: &PlainPart, scale: u8, order: Option<&OrderContext>) -> Result<(), MathError> {
        self.turnover.enter(part.units.into(), part.open.unsigned_abs().into(), scale, part.cost)?;
        self.note_order(order);
        self.fill_count += 1;
        Ok(())
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of the one path")]
    fn leave_plain(&mut self, part: &PlainPart, scale: u8, order: Option<&OrderContext>) -> Result<(), MathError> {
        self.turnover.leave(part.units.into(), scale, part.cost)?;
        self.note_order(order);
        self.note_exit_reason(order);
        self.fill_count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FoldError, FoldEvent};
    use super::*;
    use crate::amount::{Price, Quantity};
    use crate::fill::{Fee, FillKey};
    use crate::id::{Asset, EngineLabel, FillId, Label, Symbol};
    use crate::instrument::Instrument;
    use crate::order_story::Condition;
    use crate::round_trip::RoundTrip;
    use crate::snapshot::Anchor;
    use crate::source::Side;
    use crate::time::{EventTime, TimestampMs};
    use proptest::prelude::*;

    /// What a fill is made of: side, quantity, price, fee, what is reported, the order, the position.
    type Raw = (bool, (i64, u8), (i64, u8), (i64, u8), u8, u8, u8);

    fn raws() -> impl Strategy<Value = Vec<Raw>> {
        let qty = prop_oneof![80 => (1_i64..6, 0_u8..2), 1 => (1_i64..i64::MAX, 0_u8..19)];
        let price = prop_oneof![80 => (9_i64..12, 0_u8..3), 1 => (1_i64..i64::MAX, 0_u8..19)];
        let fee = prop_oneof![80 => (-5_i64..50, 0_u8..9), 1 => (any::<i64>(), 0_u8..19)];
        let raw = (any::<bool>(), qty, price, fee, 0_u8..24, 0_u8..4, prop_oneof![9 => Just(0_u8), 1 => 1_u8..3]);
        prop::collection::vec(raw, 1..40)
    }

    fn fill_of((buy, qty, price, fee, _, _, position_side): Raw, number: i64) -> Option<Fill> {
        let dec = |(mantissa, scale): (i64, u8)| Decimal::new(mantissa.into(), scale).unwrap();
        Some(Fill {
            key: FillKey {
                symbol: Symbol::new("BTCUSDT").unwrap(),
                fill_id: FillId::new(number.to_string()).unwrap(),
                side: if buy { Side::Buy } else { Side::Sell },
            },
            order_id: None,
            time: EventTime::ms(TimestampMs::new(1_700_000_000_000 + number).unwrap()),
            price: Price::new(dec(price)).ok()?,
            qty: Quantity::new(dec(qty)).ok()?,
            position_side: [PositionSide::Net, PositionSide::Long, PositionSide::Short]
                .get(usize::from(position_side))
                .copied(),
            fee: (fee.0 % 11 != 7).then(|| Fee {
                amount: dec(fee),
                asset: Asset::new(if fee.0 % 7 == 3 { "BNB" } else { "USDT" }).unwrap(),
            }),
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(number),
        })
    }

    fn fold(tick_size: Option<Decimal>) -> SymbolFold {
        let mut instrument = Instrument::linear(Symbol::new("BTCUSDT").unwrap(), Asset::new("USDT").unwrap()).unwrap();
        instrument.tick_size = tick_size;
        let mut fold = SymbolFold::new(&instrument);
        for position_side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            let anchor = Anchor {
                symbol: instrument.symbol.clone(),
                position_side,
                at: TimestampMs::new(1_700_000_000_000).unwrap(),
                qty: Decimal::ZERO,
                entry_price: None,
                derivation: Label::new("a new account").unwrap(),
                known_before: None,
                withdrawn: None,
            };
            fold.apply(FoldEvent::Anchor(&anchor)).unwrap();
        }
        fold
    }

    /// The general path alone.
    fn apply_general(fold: &mut SymbolFold, fill: &Fill, order: Option<&OrderContext>) -> Result<(), MathError> {
        fold.done = super::super::Done::default();
        match &mut fold.last_fill {
            Some(last) => last.advance(fill),
            None => fold.last_fill = Some(fill.fold_key()),
        }
        fold.trade_of(fill, order, fill.position_side.unwrap())
    }

    fn outcome(fold: &SymbolFold) -> (Option<Value>, bool, Option<Result<RoundTrip, FoldError>>) {
        let step = super::super::Step::last_of(fold);
        (step.realized(), step.pnl_mismatch(), step.closed().next().map(|closed| closed.record()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_plain_path_is_the_general_one(raws in raws(), tick in prop::option::of((1_i64..100, 0_u8..8))) {
            let order = |engine: &str| OrderContext {
                engine: Some(EngineLabel::new(engine).unwrap()),
                condition: Some(Condition::Stop),
                ..OrderContext::default()
            };
            let orders = [None, None, Some(order("grid")), Some(order("trend"))];
            let tick = tick.map(|(mantissa, scale)| Decimal::new(mantissa.into(), scale).unwrap());
            let (mut plain, mut general) = (fold(tick), fold(tick));
            for (raw, number) in raws.into_iter().zip(1..) {
                let Some(mut fill) = fill_of(raw, number) else { continue };
                let order = orders.get(usize::from(raw.5)).and_then(Option::as_ref);
                // The exchange says nothing; or the truth, what no opening says, what no close says, or what is nearly the
                // truth: rounded, as far off as it may be, or by one more unit of the last decimal.
                let mut ahead = general.clone();
                if apply_general(&mut ahead, &fill, order).is_err() {
                    let refused = plain.apply(FoldEvent::Fill { fill: &fill, order }).is_err();
                    prop_assert!(refused);
                    return Ok(());
                }
                let truth = ahead.done.realized.unwrap_or_default().to_decimal().unwrap();
                let held = general.side(fill.position_side.unwrap()).position.qty().unwrap().abs();
                let allowed = general.pnl_tolerance(fill.qty.get().min(held)).unwrap_or_default();
                let unit = Decimal::new(1, 18).unwrap();
                let off = |by: Decimal| truth.checked_add(by).ok();
                fill.exchange_realized_pnl = match raw.4 {
                    0..8 => Some(truth),
                    8 => Some(Decimal::ZERO),
                    9 => truth.checked_add(Decimal::new(5, 1).unwrap()).ok(),
                    10..12 => Some(truth.round(8)),
                    12 => off(allowed),
                    13 => off(-allowed),
                    14 => allowed.checked_add(unit).ok().and_then(off),
                    15 => allowed.checked_add(unit).ok().and_then(|by| off(-by)),
                    16 => allowed.checked_sub(unit).ok().and_then(off),
                    _ => None,
                };
                let is_fine = apply_general(&mut general, &fill, order).is_ok();
                prop_assert_eq!(plain.apply(FoldEvent::Fill { fill: &fill, order }).is_ok(), is_fine);
                if !is_fine {
                    return Ok(());
                }
                prop_assert_eq!(&plain, &general, "after {:?}", fill);
                prop_assert_eq!(outcome(&plain), outcome(&general), "after {:?}", fill);
            }
        }
    }
}
