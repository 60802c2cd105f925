//! A position with the profit, fees, sizes and times of its way from flat to flat: what a bot wants to know of its own
//! trades while they happen, without a book. [`SymbolFold`](crate::SymbolFold) is the fold of a book: it is made of the
//! same parts, and knows besides how sure each number is.
//!
//! Invariant, with a test of the same name: `a_holding_is_a_fold_without_doubts`.

use crate::amount::{Decimal, MathError, Price, Quantity, Value};
use crate::contract::Contract;
use crate::round_trip::Direction;
use crate::source::Side;
use crate::time::TimestampMs;

use super::{Applied, Change, Position, Turnover};

/// What a trade does to a [`Holding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Bought or sold.
    pub side: Side,
    /// How much.
    pub qty: Quantity,
    /// The price per unit.
    pub price: Price,
    /// The fee, always in the same asset: positive = paid. One in another asset is for the caller to count.
    pub fee: Decimal,
    /// When.
    pub at: TimestampMs,
}

/// The way of a position from flat to flat, or until now while it is open, in exact sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Long or short.
    pub direction: Direction,
    /// When it was opened.
    pub opened_at: TimestampMs,
    /// When it last changed: when it was closed, if it is.
    pub updated_at: TimestampMs,
    /// What went in and came out: quantities, average prices.
    pub turnover: Turnover,
    /// Realized profit, without fees.
    pub realized: Value,
    /// The fees of what went in: positive = paid.
    pub fees_entry: Value,
    /// The fees of what came out: positive = paid.
    pub fees_exit: Value,
}

impl Cycle {
    #[inline]
    fn opened_by(trade: &Trade, scale: u8) -> Self {
        Self {
            direction: Direction::opened_by(trade.side),
            opened_at: trade.at,
            updated_at: trade.at,
            turnover: Turnover::none(scale),
            realized: Value::ZERO,
            fees_entry: Value::ZERO,
            fees_exit: Value::ZERO,
        }
    }

    #[inline]
    fn enter(&mut self, applied: &Applied, held: i128, fee: Value) -> Result<(), MathError> {
        self.fees_entry = self.fees_entry.checked_add(fee)?;
        self.turnover.enter(applied.opened_units(), held, applied.scale(), applied.opened_cost)
    }

    #[inline]
    fn leave(&mut self, applied: &Applied, fee: Value, at: TimestampMs) -> Result<(), MathError> {
        self.updated_at = at;
        self.realized = self.realized.checked_add(applied.realized)?;
        self.fees_exit = self.fees_exit.checked_add(fee)?;
        self.turnover.leave(applied.closed_units(), applied.scale(), applied.closing_cash_flow()?.negated())
    }
}

/// A position that is built up and closed, one trade after the other.
///
/// ```
/// use ledger_core::{Asset, Contract, Holding, Instrument, Side, Symbol, TimestampMs, Trade};
///
/// let contract = Contract::from(&Instrument::linear(Symbol::new("ETHUSDT")?, Asset::new("USDT")?)?);
/// let mut holding = Holding::flat(contract);
/// let at = TimestampMs::new(1_767_225_600_000)?;
/// let entry = Trade { side: Side::Buy, qty: "12".parse()?, price: "100".parse()?, fee: "0.48".parse()?, at };
/// assert!(holding.apply(entry)?.is_none());
/// let exit = Trade { side: Side::Sell, price: "101".parse()?, fee: "0.5".parse()?, ..entry };
/// let closed = holding.apply(exit)?.ok_or("still open")?;
/// assert_eq!(closed.realized.to_decimal()?, "12".parse()?);
/// assert_eq!(closed.fees_exit.to_decimal()?, "0.5".parse()?);
/// assert_eq!(closed.turnover.entry_price_avg(contract, 8)?, Some("100".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Holding {
    contract: Contract,
    position: Position,
    cycles: Cycles,
}

impl Holding {
    /// Nothing held of `contract`.
    pub fn flat(contract: Contract) -> Self {
        Self { contract, position: Position::FLAT, cycles: Cycles::none() }
    }

    /// What is open: its size, average entry, unrealized profit.
    #[inline]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The way of the open position so far; absent when flat.
    #[inline]
    pub fn cycle(&self) -> Option<&Cycle> {
        self.cycles.is_open.then(|| self.cycles.current())
    }

    /// Applies a trade. Answers the position that it closed, if any. A flip closes one and opens another, and its fee is
    /// split by quantity.
    ///
    /// # Errors
    /// [`MathError`] when a number does not fit. A part of the trade may have been applied, and the holding must not be
    /// used any more.
    #[inline]
    pub fn apply(&mut self, trade: Trade) -> Result<Option<&Cycle>, MathError> {
        let Trade { side, qty, price, .. } = trade;
        let is_closed = match self.position.plain_part(&self.contract, side, qty, price) {
            Some(part) => {
                self.position.apply_plain(&part, |applied, position| self.cycles.take(&trade, &applied, position))
            }
            None => None,
        };
        let is_closed = match is_closed {
            Some(is_closed) => is_closed?,
            None => self.apply_any(trade)?,
        };
        Ok(if is_closed { Some(self.cycles.before()) } else { None })
    }

    #[inline(never)]
    fn apply_any(&mut self, trade: Trade) -> Result<bool, MathError> {
        let applied = self.position.apply_any(self.contract, trade.side, trade.qty, trade.price)?;
        self.cycles.take(&trade, &applied, &self.position)
    }
}

/// The current cycle and the one before it, in turn: what was closed stays where it is, without a copy.
#[derive(Debug, Clone)]
struct Cycles {
    pair: [Cycle; 2],
    is_second: bool,
    is_open: bool,
}

impl Cycles {
    fn none() -> Self {
        let none = Cycle {
            direction: Direction::Long,
            opened_at: TimestampMs::MIN,
            updated_at: TimestampMs::MIN,
            turnover: Turnover::none(0),
            realized: Value::ZERO,
            fees_entry: Value::ZERO,
            fees_exit: Value::ZERO,
        };
        Self { pair: [none; 2], is_second: false, is_open: false }
    }

    #[inline]
    fn current(&self) -> &Cycle {
        &self.pair[usize::from(self.is_second)]
    }

    #[inline]
    fn before(&self) -> &Cycle {
        &self.pair[usize::from(!self.is_second)]
    }

    /// Answers whether the trade closed one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "`applied` would pass through memory, at the price of the arithmetic")]
    fn take(&mut self, trade: &Trade, applied: &Applied, position: &Position) -> Result<bool, MathError> {
        let fee = Value::from_decimal(trade.fee)?;
        let cycle = &mut self.pair[usize::from(self.is_second)];
        match applied.change {
            Change::Increase => {
                if !self.is_open {
                    *cycle = Cycle::opened_by(trade, position.scale());
                    self.is_open = true;
                }
                cycle.updated_at = trade.at;
                cycle.enter(applied, position.units(), fee)?;
                Ok(false)
            }
            Change::Reduce => {
                cycle.leave(applied, fee, trade.at)?;
                Ok(false)
            }
            Change::Close => {
                cycle.leave(applied, fee, trade.at)?;
                (self.is_open, self.is_second) = (false, !self.is_second);
                Ok(true)
            }
            Change::Flip => {
                let (closing, opening) = applied.split(fee)?;
                cycle.leave(applied, closing, trade.at)?;
                self.is_second = !self.is_second;
                let next = &mut self.pair[usize::from(self.is_second)];
                *next = Cycle::opened_by(trade, position.scale());
                next.enter(applied, position.units(), opening)?;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::{Fee, Fill, FillKey};
    use crate::id::{Asset, FillId, Label, Symbol};
    use crate::instrument::{ContractKind, Instrument};
    use crate::snapshot::Anchor;
    use crate::source::PositionSide;
    use crate::symbol_fold::{FoldEvent, SymbolFold};
    use crate::time::EventTime;
    use proptest::prelude::*;

    fn dec(mantissa: i64, scale: u8) -> Decimal {
        Decimal::new(mantissa.into(), scale).unwrap()
    }

    fn instrument(is_inverse: bool) -> Instrument {
        let mut instrument = Instrument::linear(Symbol::new("ETHUSDT").unwrap(), Asset::new("USDT").unwrap()).unwrap();
        if is_inverse {
            (instrument.kind, instrument.multiplier) = (ContractKind::Inverse, "10".parse().unwrap());
        }
        instrument
    }

    fn fold(instrument: &Instrument) -> SymbolFold {
        let mut fold = SymbolFold::new(instrument);
        fold.apply(FoldEvent::Anchor(&Anchor {
            symbol: instrument.symbol.clone(),
            position_side: PositionSide::Net,
            at: TimestampMs::new(1_700_000_000_000).unwrap(),
            qty: Decimal::ZERO,
            entry_price: None,
            derivation: Label::new("a new account").unwrap(),
            withdrawn: None,
            known_before: None,
        }))
        .unwrap();
        fold
    }

    fn fill_of(trade: &Trade, number: i64) -> Fill {
        Fill {
            key: FillKey {
                symbol: Symbol::new("ETHUSDT").unwrap(),
                fill_id: FillId::new(number.to_string()).unwrap(),
                side: trade.side,
            },
            order_id: None,
            time: EventTime::ms(trade.at),
            price: trade.price,
            qty: trade.qty,
            position_side: Some(PositionSide::Net),
            fee: Some(Fee { amount: trade.fee, asset: Asset::new("USDT").unwrap() }),
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(number),
        }
    }

    proptest! {
        #[test]
        fn a_holding_is_a_fold_without_doubts(
            trades in prop::collection::vec((any::<bool>(), (1_i64..6, 0_u8..2), (1_i64..99, 0_u8..3), (-9_i64..99, 0_u8..9)), 1..40),
            is_inverse in any::<bool>(),
        ) {
            let instrument = instrument(is_inverse);
            let contract = Contract::from(&instrument);
            let (mut holding, mut fold) = (Holding::flat(contract), fold(&instrument));
            for ((buy, qty, price, fee), number) in trades.into_iter().zip(1..) {
                let trade = Trade {
                    side: if buy { Side::Buy } else { Side::Sell },
                    qty: Quantity::new(dec(qty.0, qty.1)).unwrap(),
                    price: Price::new(dec(price.0, price.1)).unwrap(),
                    fee: dec(fee.0, fee.1),
                    at: TimestampMs::new(1_700_000_000_000 + number).unwrap(),
                };
                let fill = fill_of(&trade, number);
                let step = fold.apply(FoldEvent::Fill { fill: &fill, order: None }).unwrap();
                let record = step.closed().next().map(|closed| closed.record().unwrap());
                let cycle = holding.apply(trade).unwrap().copied();
                prop_assert_eq!(cycle.is_some(), record.is_some());
                for (cycle, record) in cycle.iter().zip(&record).chain(holding.cycle().iter().copied().zip(&fold.open_trips().unwrap())) {
                    let turnover = &cycle.turnover;
                    prop_assert_eq!(cycle.direction, record.direction);
                    prop_assert_eq!(Some(cycle.opened_at), record.opened_at);
                    prop_assert!(record.closed_at.is_none_or(|at| at == cycle.updated_at));
                    prop_assert_eq!(turnover.entry_qty().unwrap(), record.entry_qty);
                    prop_assert_eq!(turnover.exit_qty().unwrap(), record.exit_qty);
                    prop_assert_eq!(turnover.qty_max().unwrap(), record.qty_max);
                    prop_assert_eq!(turnover.entry_price_avg(contract, 12).unwrap(), record.entry_price_avg);
                    prop_assert_eq!(turnover.exit_price_avg(contract, 12).unwrap(), record.exit_price_avg);
                    prop_assert_eq!(cycle.realized.to_decimal().unwrap(), record.gross.known);
                    let fees = cycle.fees_entry.checked_add(cycle.fees_exit).unwrap().to_decimal().unwrap();
                    prop_assert_eq!(fees, record.fees.first().unwrap().total.known);
                }
                let derived = fold.positions().unwrap();
                prop_assert_eq!(Some(*holding.position()), derived.first().unwrap().position);
                prop_assert_eq!(holding.cycle().is_none(), holding.position().is_flat());
            }
        }
    }

    /// 2 bought, 3 sold: two thirds of the second fee are of the exit.
    #[test]
    fn a_flip_splits_its_fee_by_quantity() {
        let contract = Contract::from(&instrument(false));
        let mut holding = Holding::flat(contract);
        let at = TimestampMs::new(1_700_000_000_000).unwrap();
        let trade = |side, qty: &str, price: &str, fee: &str| Trade {
            side,
            qty: qty.parse().unwrap(),
            price: price.parse().unwrap(),
            fee: fee.parse().unwrap(),
            at,
        };
        holding.apply(trade(Side::Buy, "2", "100", "0.2")).unwrap();
        let closed = *holding.apply(trade(Side::Sell, "3", "110", "0.33")).unwrap().unwrap();
        let shown = |values: [Value; 3]| values.map(|value| value.to_decimal().unwrap().to_string());
        assert_eq!(shown([closed.realized, closed.fees_entry, closed.fees_exit]), ["20", "0.2", "0.22"]);
        let open = *holding.cycle().unwrap();
        assert_eq!(shown([open.realized, open.fees_entry, open.fees_exit]), ["0", "0.11", "0"]);
        assert_eq!((open.direction, open.turnover.qty_max()), (Direction::Short, Ok(Decimal::ONE)));
    }
}
