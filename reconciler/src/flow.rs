//! How a position moved, told backwards from what the exchange holds now.
//!
//! A walk through a symbol's fills that is complete from some instant to now needs no beginning: the position before a
//! fill is the position after it, without the fill. This says what an order did to its position, where a round trip
//! began, and what was held before the first fill.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_beginning_is_the_end_without_the_fills`.
//! 2. `the_entry_before_is_what_the_exchange_realized_from`: where something was closed, else what the exchange's average
//!    entry leaves.

use ledger_core::{Decimal, Fill, MathError, PositionSide, Price, Side};

/// The digits after the point of derived entry prices.
const ENTRY_SCALE: u8 = 12;

/// What a fill did to its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move<'a> {
    /// The fill.
    pub(crate) fill: &'a Fill,
    /// The signed quantity before it.
    pub(crate) before: Decimal,
    /// And after it.
    pub(crate) after: Decimal,
}

impl Move<'_> {
    /// Whether it closed anything.
    pub(crate) fn closes(&self) -> bool {
        !self.before.is_zero() && self.before.is_positive() != (self.fill.key.side == Side::Buy)
    }

    /// Whether nothing was held before it, or what it opened points the other way.
    pub(crate) fn opens(&self) -> bool {
        !self.after.is_zero() && (self.before.is_zero() || self.before.is_positive() != self.after.is_positive())
    }
}

/// The moves of one position, in fold order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow<'a> {
    /// What was held before the first of them.
    pub(crate) before: Decimal,
    /// The moves.
    pub(crate) moves: Vec<Move<'a>>,
}

impl<'a> Flow<'a> {
    /// The moves of the position `side` among `fills`, which are in fold order and complete up to the moment at which
    /// the exchange held `now`.
    ///
    /// # Errors
    /// [`MathError`] when quantities do not add up within what can be held.
    pub(crate) fn new(
        fills: impl DoubleEndedIterator<Item = &'a Fill>,
        side: PositionSide,
        now: Decimal,
    ) -> Result<Self, MathError> {
        let mut after = now;
        let mut moves = Vec::new();
        for fill in fills.rev().filter(|fill| fill.position_side.unwrap_or(PositionSide::Net) == side) {
            let before = after.checked_sub(fill.signed_qty())?;
            moves.push(Move { fill, before, after });
            after = before;
        }
        moves.reverse();
        Ok(Self { before: after, moves })
    }

    /// The moves of the round trip that is open now; empty when nothing is. Without an opening among them it began
    /// before the first.
    pub(crate) fn open_trip(&self) -> &[Move<'a>] {
        match self.moves.last() {
            Some(last) if last.after.is_zero() => &[],
            _ => {
                let begin = self.moves.iter().rposition(Move::opens).unwrap_or(0);
                self.moves.get(begin..).unwrap_or_default()
            }
        }
    }

    /// The average entry of what was held before the first move: derived from what the exchange says the first closing
    /// fill realized, else from its average entry now (`entry_now`). `None` when nothing was held, or nothing tells.
    pub(crate) fn entry_before(&self, entry_now: Option<Price>) -> Result<Option<Decimal>, MathError> {
        if self.before.is_zero() {
            return Ok(None);
        }
        let first_close = self.moves.iter().position(Move::closes);
        let (until, known) = match first_close {
            Some(index) => {
                let Some(close) = self.moves.get(index) else { return Ok(None) };
                (index, entry_realized_from(close)?)
            }
            None => (self.moves.len(), entry_now.map(Price::get)),
        };
        let Some(mut entry) = known else { return Ok(None) };
        // Backwards through what was added: average cost, so what is left of the cost is what was there before.
        for added in self.moves.iter().take(until).rev() {
            let cost = entry.checked_mul_round(added.after, ENTRY_SCALE)?;
            let paid = added.fill.price.get().checked_mul_round(added.fill.signed_qty(), ENTRY_SCALE)?;
            entry = cost.checked_sub(paid)?.div_round(added.before, ENTRY_SCALE)?;
        }
        Ok(entry.is_positive().then_some(entry))
    }
}

/// The average entry that a closing fill's realized profit speaks of: realized = closed x (price - entry), for a long.
/// A flip closes no more than was held.
fn entry_realized_from(close: &Move<'_>) -> Result<Option<Decimal>, MathError> {
    let Some(realized) = close.fill.exchange_realized_pnl else { return Ok(None) };
    let closed = close.fill.qty.get().min(close.before.abs());
    let per_unit = realized.div_round(closed, ENTRY_SCALE)?;
    let price = close.fill.price.get();
    let entry = if close.before.is_positive() { price.checked_sub(per_unit)? } else { price.checked_add(per_unit)? };
    Ok(entry.is_positive().then_some(entry))
}

#[cfg(test)]
mod tests {
    use ledger_core::{EventTime, FillId, FillKey, Symbol, TimestampMs};

    use super::*;

    fn fill(id: i64, side: Side, qty: &str, price: &str, realized: &str) -> Fill {
        let key =
            FillKey { symbol: Symbol::new("ETHUSDT").unwrap(), fill_id: FillId::new(id.to_string()).unwrap(), side };
        Fill {
            key,
            order_id: None,
            time: EventTime::ms(TimestampMs::new(1_780_000_000_000 + id).unwrap()),
            price: price.parse().unwrap(),
            qty: qty.parse().unwrap(),
            position_side: Some(PositionSide::Net),
            fee: None,
            maker: None,
            exchange_realized_pnl: Some(realized.parse().unwrap()),
            sequence: Some(id),
        }
    }

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_beginning_is_the_end_without_the_fills() {
        let fills = [
            fill(1, Side::Buy, "2", "100", "0"),
            fill(2, Side::Sell, "5", "110", "50"),
            fill(3, Side::Sell, "1", "90", "0"),
            fill(4, Side::Buy, "4", "80", "21"),
            fill(5, Side::Buy, "3", "85", "0"),
        ];
        let flow = Flow::new(fills.iter(), PositionSide::Net, dec("3")).unwrap();
        assert_eq!(flow.before, dec("0"));
        let held: Vec<_> = flow.moves.iter().map(|step| step.after.to_string()).collect();
        assert_eq!(held, ["2", "-3", "-4", "0", "3"]);
        let told: Vec<_> = flow.moves.iter().map(|step| (step.opens(), step.closes())).collect();
        assert_eq!(told, [(true, false), (true, true), (false, false), (false, true), (true, false)]);
        assert_eq!(flow.open_trip().iter().map(|step| step.fill.sequence).collect::<Vec<_>>(), [Some(5)]);
        assert!(Flow::new(fills[..4].iter(), PositionSide::Net, dec("0")).unwrap().open_trip().is_empty());
        // A position of the other side is another flow.
        assert!(Flow::new(fills.iter(), PositionSide::Long, dec("3")).unwrap().moves.is_empty());
    }

    #[test]
    fn the_entry_before_is_what_the_exchange_realized_from() {
        // 10 @ 100 were held; 10 more @ 110 make 20 @ 105; 5 sold @ 115 realize 50.
        let fills = [fill(1, Side::Buy, "10", "110", "0"), fill(2, Side::Sell, "5", "115", "50")];
        let flow = Flow::new(fills.iter(), PositionSide::Net, dec("15")).unwrap();
        assert_eq!((flow.before, flow.entry_before(None).unwrap()), (dec("10"), Some(dec("100"))));
        // Nothing closed yet: what the exchange's average entry leaves.
        let flow = Flow::new(fills[..1].iter(), PositionSide::Net, dec("20")).unwrap();
        assert_eq!(flow.entry_before(Some("105".parse().unwrap())).unwrap(), Some(dec("100")));
        assert_eq!(flow.entry_before(None).unwrap(), None);
        // A short of 4 @ 50, flipped by buying 6 @ 40: 4 were closed, and realized 40.
        let flips = [fill(1, Side::Buy, "6", "40", "40")];
        let flow = Flow::new(flips.iter(), PositionSide::Net, dec("2")).unwrap();
        assert_eq!((flow.before, flow.entry_before(None).unwrap()), (dec("-4"), Some(dec("50"))));
    }
}
