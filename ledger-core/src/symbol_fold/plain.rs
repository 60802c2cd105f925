//! The plain case of a fill, in one straight path: the book is proven, the exchange's word agrees, every number fits a
//! register, and the fill opens, enlarges, reduces or closes the position. All else takes the general path, which these
//! lines abridge and never differ from.
//!
//! Invariant, with a test of the same name: `the_plain_path_is_the_general_one`.

use crate::amount::{Decimal, MathError, Value};
use crate::certainty::Certainty;
use crate::fill::Fill;
use crate::order::ExitReason;
use crate::position::{Change, PlainPart, plain_value};
use crate::round_trip::{Direction, OrderContext};
use crate::source::{PositionSide, Side};

use super::SymbolFold;
use super::beginning::Beginning;
use super::open_trip::OpenTrip;
use super::trading::side_mut;

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
        let (Some(paid), Some(part)) =
            (plain_value(fee.amount), side.position.plain_part(&self.contract, fill.key.side, fill.qty, fill.price))
        else {
            return Ok(false);
        };
        let at = fill.time.at;
        if !matches!(side.beginning, Beginning::Proven) || self.funded.as_ref().is_some_and(|funded| funded.at == at) {
            return Ok(false);
        }
        let scale = side.position.scale();
        let Some(trip) = side.trip.as_deref_mut() else {
            if part.held != 0 || !may_open(fill, position_side) {
                return Ok(false);
            }
            let mut trip = self.shelf.trip(Direction::opened_by(fill.key.side), Certainty::Known, at, scale);
            trip.opened_by = Some(fill.key.fill_id.clone());
            trip.engine = order.and_then(|order| order.engine.clone());
            trip.enter_plain(&part, scale, order)?;
            trip.fees.begin(&fee.asset, paid);
            side.position.replace_by(&part, part.cost);
            side.trip = Some(trip);
            side.count(fill);
            return Ok(true);
        };
        if trip.unseen || trip.basis != Certainty::Known || part.held == 0 {
            return Ok(false);
        }
        let Some(fees) = trip.fees.first_of(&fee.asset) else { return Ok(false) };
        let change = part.change();
        if change == Change::Increase {
            if !may_open(fill, position_side) {
                return Ok(false);
            }
            fees.add(paid, Certainty::Known)?;
            side.position.replace_by(&part, side.position.open_cost().checked_add(part.cost)?);
            trip.enter_plain(&part, scale, order)?;
            side.count(fill);
            return Ok(true);
        }
        let remaining = match change {
            Change::Reduce => side.position.remaining_cost(&part),
            Change::Close => Some(Value::ZERO),
            Change::Increase | Change::Flip => None,
        };
        let Some(remaining) = remaining else { return Ok(false) };
        let realized = remaining.checked_sub(side.position.open_cost())?.checked_sub(part.cost)?;
        if let Some(reported) = &fill.exchange_realized_pnl {
            if plain_value(*reported) != Some(realized) {
                return Ok(false);
            }
            trip.reported = trip.reported.checked_add(realized)?;
        } else {
            trip.reported_by_all = false;
        }
        fees.add(paid, Certainty::Known)?;
        trip.realized.add(realized, Certainty::Known)?;
        trip.leave_plain(&part, scale, order)?;
        self.done.realized = Some(realized);
        if change == Change::Reduce {
            side.position.reduce_to(&part, remaining);
            side.count(fill);
            return Ok(true);
        }
        trip.closed_at = Some(at);
        trip.closed_by = Some(fill.key.fill_id.clone());
        side.position.replace_by(&part, remaining);
        side.count(fill);
        if let Some(ended) = side.trip.take() {
            self.end(position_side, ended)?;
        }
        Ok(true)
    }
}

/// Whether a fill can be what opens a position or enlarges it: no opening realizes anything.
#[inline]
fn may_open(fill: &Fill, position_side: PositionSide) -> bool {
    let only_closes =
        matches!((position_side, fill.key.side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy));
    !only_closes && fill.exchange_realized_pnl.is_none_or(Decimal::is_zero)
}

impl OpenTrip {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of the one path")]
    fn enter_plain(&mut self, part: &PlainPart, scale: u8, order: Option<&OrderContext>) -> Result<(), MathError> {
        self.sizes.enter(i128::from(part.units), i128::from(part.open.unsigned_abs()), scale)?;
        self.entry_cost = self.entry_cost.checked_add(part.cost)?;
        self.note_order(order);
        self.fill_count += 1;
        Ok(())
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of the one path")]
    fn leave_plain(&mut self, part: &PlainPart, scale: u8, order: Option<&OrderContext>) -> Result<(), MathError> {
        self.sizes.leave(i128::from(part.units), scale)?;
        self.exit_cost = self.exit_cost.checked_add(part.cost)?;
        self.note_order(order);
        self.exit_reason = order.map_or(ExitReason::Unknown, OrderContext::exit_reason);
        self.fill_count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FoldError, FoldEvent, RoundTrip};
    use super::*;
    use crate::amount::{Price, Quantity};
    use crate::fill::{Fee, FillKey};
    use crate::id::{Asset, EngineLabel, FillId, Label, Symbol};
    use crate::instrument::Instrument;
    use crate::snapshot::Anchor;
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

    fn fold() -> SymbolFold {
        let instrument = Instrument::linear(Symbol::new("BTCUSDT").unwrap(), Asset::new("USDT").unwrap()).unwrap();
        let mut fold = SymbolFold::new(&instrument);
        for position_side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            let anchor = Anchor {
                symbol: instrument.symbol.clone(),
                position_side,
                at: TimestampMs::new(1_700_000_000_000).unwrap(),
                qty: Decimal::ZERO,
                entry_price: None,
                derivation: Label::new("a new account").unwrap(),
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
        (step.realized(), step.pnl_mismatch(), step.closed().map(|closed| closed.record()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_plain_path_is_the_general_one(raws in raws()) {
            let order = |engine: &str| OrderContext {
                engine: Some(EngineLabel::new(engine).unwrap()),
                order_type: Some(Label::new("STOP_MARKET").unwrap()),
                ..OrderContext::default()
            };
            let orders = [None, None, Some(order("grid")), Some(order("trend"))];
            let (mut plain, mut general) = (fold(), fold());
            for (raw, number) in raws.into_iter().zip(1..) {
                let Some(mut fill) = fill_of(raw, number) else { continue };
                let order = orders.get(usize::from(raw.5)).and_then(Option::as_ref);
                // The exchange says nothing, mostly; or the truth, what no opening says, what no close says, nearly it.
                let mut ahead = general.clone();
                if apply_general(&mut ahead, &fill, order).is_err() {
                    let refused = plain.apply(FoldEvent::Fill { fill: &fill, order }).is_err();
                    prop_assert!(refused);
                    return Ok(());
                }
                let truth = ahead.done.realized.unwrap_or_default().to_decimal().unwrap();
                fill.exchange_realized_pnl = match raw.4 {
                    0..8 => Some(truth),
                    8 => Some(Decimal::ZERO),
                    9 => truth.checked_add(Decimal::new(5, 1).unwrap()).ok(),
                    10..12 => Some(truth.round(8)),
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
