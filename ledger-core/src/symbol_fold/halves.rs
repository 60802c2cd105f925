//! Trades with oneself: one trade that bought and sold at once. Exchanges do not tell which half came first, and where
//! something is held, it decides how much the closing half realized.
//!
//! Invariant, with a test of the same name: `the_half_that_came_first_is_told_by_what_was_realized`.

use crate::amount::{MathError, Value};
use crate::fill::Fill;
use crate::order_story::OrderContext;

use super::SymbolFold;
use super::error::FoldError;
use super::event::FoldEvent;
use super::side_fold::SideFold;

/// A half of a trade, with what is known of its order.
pub type Half<'a> = (&'a Fill, Option<&'a OrderContext>);

/// What a trade with oneself leaves, in one of the two orders.
struct Tried {
    /// How much of it the exchange's realized profits do not agree with, or nothing can be compared with.
    doubts: u64,
    sides: [SideFold; 3],
}

impl SymbolFold {
    /// Decides in which order the halves of a trade with oneself are applied next, and answers whether the later one by its
    /// place comes first. The order is the one in which the exchange's realized profits agree. Where nothing tells, and the
    /// order matters, nothing that follows is known.
    ///
    /// # Errors
    /// [`FoldError::Math`] when a sum does not fit.
    pub fn order_halves(&mut self, earlier: Half<'_>, later: Half<'_>) -> Result<bool, FoldError> {
        let positions = (earlier.0.position_side, later.0.position_side);
        if positions.0.is_none() || positions.0 != positions.1 {
            return Ok(false);
        }
        // A half that the fold refuses is reported when it is applied.
        let (Ok(as_placed), Ok(turned)) = (self.tried(earlier, later), self.tried(later, earlier)) else {
            return Ok(false);
        };
        let is_turned = turned.doubts < as_placed.doubts;
        let is_reported = earlier.0.exchange_realized_pnl.is_some() && later.0.exchange_realized_pnl.is_some();
        let what = || format!("the halves of fill {}", earlier.0.key.fill_id);
        let differ = as_placed.differs(&turned).map_err(|source| FoldError::Math { what: what(), source })?;
        if as_placed.doubts == turned.doubts && !is_reported && differ {
            self.doubt();
        }
        if is_turned {
            self.awaited_half = Some(Box::new(earlier.0.fold_key()));
        }
        Ok(is_turned)
    }

    fn tried(&self, first: Half<'_>, second: Half<'_>) -> Result<Tried, FoldError> {
        let mut state = self.clone();
        let unknown = state.pnl_unknown_count();
        let mut doubts = 0;
        for (fill, order) in [first, second] {
            state.last_fill.clone_from(&self.last_fill);
            doubts += u64::from(state.apply(FoldEvent::Fill { fill, order })?.pnl_mismatch());
        }
        doubts += state.pnl_unknown_count().saturating_sub(unknown);
        Ok(Tried { doubts, sides: [state.net, state.long, state.short] })
    }
}

impl Tried {
    /// Whether the other order realizes something else.
    fn differs(&self, other: &Self) -> Result<bool, MathError> {
        for (one, other) in self.sides.iter().zip(&other.sides) {
            if one.position != other.position || realized(one)? != realized(other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What a position has realized, by what is derived.
fn realized(side: &SideFold) -> Result<Value, MathError> {
    let open = side.trip.as_ref().map_or(Ok(Value::ZERO), |trip| trip.realized.sum())?;
    side.realized.sum()?.checked_add(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::Fill;
    use crate::instrument::Instrument;
    use crate::testing::{asset, buy, dec, sell, symbol};

    fn fold(fills: &[Fill]) -> SymbolFold {
        let mut state = SymbolFold::new(&Instrument::linear(symbol("BTCUSDT"), asset("USDT")).unwrap());
        let flat = crate::testing::anchor("BTCUSDT", "0", None, 0);
        state.apply(FoldEvent::Anchor(&flat)).unwrap();
        for fill in fills {
            state.apply(FoldEvent::Fill { fill, order: None }).unwrap();
        }
        state
    }

    fn realizing(mut fill: Fill, profit: Option<&str>) -> Fill {
        fill.exchange_realized_pnl = profit.map(dec);
        fill
    }

    /// Held, what the halves of trade 2 realized by the exchange, and the sum that is derived with how sure it is.
    #[test]
    fn the_half_that_came_first_is_told_by_what_was_realized() {
        // 3 bought at 100; then 2 bought and sold at 110. Sold first, 2 x 10 are realized; bought first, the entry is 104, and
        // it is 2 x 6.
        for (held, bought, sold, is_turned, expected) in [
            ("3", Some("0"), Some("20"), true, "20 Known"),
            ("3", Some("0"), Some("12"), false, "12 Known"),
            // Nothing tells, and it matters.
            ("3", None, None, false, "12 Estimated"),
            // Neither fits: fills are missing in between.
            ("3", Some("0"), Some("50"), false, "12 Estimated"),
        ] {
            let opening = realizing(buy("BTCUSDT", 1, held, "100"), Some("0"));
            let (buying, selling) =
                (realizing(buy("BTCUSDT", 2, "2", "110"), bought), realizing(sell("BTCUSDT", 2, "2", "110"), sold));
            let mut state = fold(&[opening]);
            assert_eq!(state.order_halves((&buying, None), (&selling, None)).unwrap(), is_turned, "{sold:?}");
            let halves = if is_turned { [&selling, &buying] } else { [&buying, &selling] };
            for fill in halves {
                state.apply(FoldEvent::Fill { fill, order: None }).unwrap();
            }
            let open = state.open_trips().unwrap().remove(0);
            let told = format!("{} {:?}", open.gross.amount().unwrap(), open.gross.certainty());
            assert_eq!(told, expected, "{bought:?} {sold:?}");
            // Whichever half came first, both are behind it, and no half is taken twice.
            assert_eq!(state.last_fill(), Some(&selling.fold_key()));
            assert!(state.apply(FoldEvent::Fill { fill: &buying, order: None }).is_err());
        }
    }

    /// With nothing held, both orders come to the same.
    #[test]
    fn where_nothing_is_held_the_order_does_not_matter() {
        let (buying, selling) = (buy("BTCUSDT", 1, "2", "110"), sell("BTCUSDT", 1, "2", "110"));
        let mut state = fold(&[]);
        assert!(!state.order_halves((&buying, None), (&selling, None)).unwrap());
        for fill in [&buying, &selling] {
            state.apply(FoldEvent::Fill { fill, order: None }).unwrap();
        }
        let position = state.positions().unwrap().remove(0);
        assert!(position.qty.is_zero() && state.is_conserved().unwrap());
        // The halves of two legs do not meet.
        let mut state = fold(&[]);
        let mut long = buying.clone();
        long.position_side = Some(crate::source::PositionSide::Long);
        assert!(!state.order_halves((&long, None), (&selling, None)).unwrap());
    }
}
