//! A position in the exchange's own integers.

use super::fixed::{ONE_E8, mul_div, to_e8};

/// A position. The entry is kept as what was paid for how much at the last increase, so that closing in parts does not
/// wear it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Signed: below 0 is short.
    pub(super) qty_e8: i128,
    entry_qty_e8: i128,
    entry_cost_e16: i128,
    pub(super) updated_ms: i64,
    /// The part of the wallet that is set aside for this position alone; 0 unless its margin is isolated.
    pub(super) isolated_e8: i128,
    /// What closing has realized since the first trade, before fees.
    pub(super) realized_e8: i128,
}

impl Position {
    /// What `qty_e8` (unsigned) of the position cost.
    fn cost_e16(&self, qty_e8: i128) -> i128 {
        if self.entry_qty_e8 == 0 { 0 } else { mul_div(self.entry_cost_e16, qty_e8, self.entry_qty_e8) }
    }

    /// The average entry price; 0 when flat.
    pub(super) fn entry_price_e8(&self) -> i128 {
        if self.qty_e8 == 0 || self.entry_qty_e8 == 0 { 0 } else { mul_div(self.entry_cost_e16, 1, self.entry_qty_e8) }
    }

    /// What it is worth at a price, signed.
    pub(super) fn notional_e8(&self, price_e8: i128) -> i128 {
        to_e8(self.qty_e8 * price_e8)
    }

    /// What it cost, signed.
    pub(super) fn signed_cost_e16(&self) -> i128 {
        self.qty_e8.signum() * self.cost_e16(self.qty_e8.abs())
    }

    /// What closing at `price_e8` would earn.
    pub(super) fn unrealized_e8(&self, price_e8: i128) -> i128 {
        to_e8(self.qty_e8 * price_e8 - self.signed_cost_e16())
    }

    /// Trades, and answers what that realized. Margin that is isolated grows by the value that is opened divided by
    /// `isolated_leverage`, and shrinks with the part that is closed.
    pub(super) fn trade(&mut self, signed_qty_e8: i128, price_e8: i128, isolated_leverage: Option<i128>) -> i128 {
        let opposed = self.qty_e8.signum() * signed_qty_e8.signum() < 0;
        let closed_e8 = if opposed { self.qty_e8.abs().min(signed_qty_e8.abs()) } else { 0 };
        let realized_e16 = self.qty_e8.signum() * (closed_e8 * price_e8 - self.cost_e16(closed_e8));
        let opened_e8 = signed_qty_e8.abs() - closed_e8;
        let kept_e8 = self.qty_e8.abs() - closed_e8;
        if closed_e8 > 0 {
            self.isolated_e8 = mul_div(self.isolated_e8, kept_e8, self.qty_e8.abs());
        }
        if opened_e8 > 0 {
            // The rest after closing is flat or on the same side.
            self.entry_cost_e16 = self.cost_e16(kept_e8) + opened_e8 * price_e8;
            self.entry_qty_e8 = kept_e8 + opened_e8;
            if let Some(leverage) = isolated_leverage {
                self.isolated_e8 += mul_div(opened_e8 * price_e8, 1, leverage.max(1) * ONE_E8);
            }
        }
        self.qty_e8 += signed_qty_e8;
        if self.qty_e8 == 0 {
            (self.entry_qty_e8, self.entry_cost_e16, self.isolated_e8) = (0, 0, 0);
        }
        let realized_e8 = to_e8(realized_e16);
        self.realized_e8 += realized_e8;
        realized_e8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        // 12 @ 100, 17 @ 99, then 9 sold @ 101: the average entry is (1200 + 1683) / 29 = 2883/29, so the nine realize
        // 909 - 9 x 2883/29 = 909 - 894.72413793... = 14.27586207.
        let mut position = Position::default();
        let e8 = |value: i128| value * ONE_E8;
        assert_eq!(position.trade(e8(12), e8(100), None), 0);
        assert_eq!(position.trade(e8(17), e8(99), None), 0);
        assert_eq!(position.trade(e8(-9), e8(101), None), 1_427_586_207);
        // Closing in two steps earns as much as in one, up to the rounding of each to 10^-8.
        let mut other = position.clone();
        let at_once = other.trade(e8(-20), e8(105), None);
        let in_parts = position.trade(e8(-7), e8(105), None) + position.trade(e8(-13), e8(105), None);
        assert!((at_once - in_parts).abs() <= 1);
        assert_eq!((position.qty_e8, position.entry_price_e8()), (0, 0));
        // A flip: 2 long @ 10, 5 sold @ 12: 4 realized, 3 short @ 12.
        let mut position = Position::default();
        position.trade(e8(2), e8(10), None);
        assert_eq!(position.trade(e8(-5), e8(12), None), e8(4));
        assert_eq!((position.qty_e8, position.entry_price_e8()), (e8(-3), e8(12)));
        assert_eq!(position.unrealized_e8(e8(11)), e8(3));
    }

    #[test]
    fn isolated_margin_goes_with_the_position() {
        let mut position = Position::default();
        let e8 = |value: i128| value * ONE_E8;
        // 10 @ 100 at 5x: 200 set aside. 4 closed: 120 stay. Flipped to 2 short @ 90: 36.
        position.trade(e8(10), e8(100), Some(5));
        assert_eq!(position.isolated_e8, e8(200));
        position.trade(e8(-4), e8(90), Some(5));
        assert_eq!(position.isolated_e8, e8(120));
        position.trade(e8(-8), e8(90), Some(5));
        assert_eq!((position.qty_e8, position.isolated_e8), (e8(-2), e8(36)));
    }
}
