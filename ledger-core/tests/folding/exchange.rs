//! An exchange's side of the story, in exact fractions: average cost, realized profit reported with 8 decimals.

use crate::support::{Random, big, half_even};
use ledger_core::{Decimal, Direction, PositionSide, RoundTrip};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

/// A round trip as it truly was.
#[derive(Debug)]
pub struct Truth {
    direction: Direction,
    opened_by: usize,
    closed_by: usize,
    entered: BigRational,
    qty_max: BigRational,
    gross: BigRational,
}

impl Truth {
    /// Whether `trip` states exactly this.
    pub fn is_that_of(&self, trip: &RoundTrip) -> bool {
        let id = |fill: Option<&ledger_core::FillId>| fill.map(|id| id.as_str().parse::<usize>().unwrap());
        let rounding = BigRational::new(1.into(), 10_000_000_000_000_000_u64.into());
        self.direction == trip.direction
            && id(trip.opened_by()) == Some(self.opened_by)
            && id(trip.closed_by.as_ref()) == Some(self.closed_by)
            && big(trip.entry_qty) == self.entered
            && big(trip.exit_qty) == self.entered
            && big(trip.qty_max) == self.qty_max
            && (big(trip.gross.amount().unwrap()) - &self.gross).abs() <= rounding
    }
}

/// One position at the exchange, and everything that happened to it.
pub struct Exchange {
    pub position_side: PositionSide,
    pub qty: BigRational,
    /// Whether profit is paid in the base asset: quantity x (1/entry - 1/exit).
    inverse: bool,
    /// The average of what a unit cost: the price, or for an inverse contract -1/price.
    average: BigRational,
    opened_by: usize,
    entered: BigRational,
    qty_max: BigRational,
    gross: BigRational,
    pub trips: Vec<Truth>,
    /// Per fill: the exact profit, the position after it, and its average entry price (the last one while flat).
    pub realized: Vec<BigRational>,
    pub qty_after: Vec<BigRational>,
    pub average_after: Vec<BigRational>,
}

fn text(value: &BigRational, scale: u8) -> String {
    let scaled = value * BigRational::from_integer(10_i64.pow(scale.into()).into());
    Decimal::new(half_even(&scaled, 0).to_integer().to_i128().unwrap(), scale).unwrap().to_string()
}

impl Exchange {
    pub fn new(position_side: PositionSide, inverse: bool) -> Self {
        Self {
            position_side,
            qty: BigRational::zero(),
            inverse,
            average: BigRational::zero(),
            opened_by: 0,
            entered: BigRational::zero(),
            qty_max: BigRational::zero(),
            gross: BigRational::zero(),
            trips: Vec::new(),
            realized: Vec::new(),
            qty_after: Vec::new(),
            average_after: Vec::new(),
        }
    }

    /// A random fill, as a line of a book. Few `price_steps` are whole prices from 95 up, many are cents from 50.00 up;
    /// quantities are multiples of `qty_step` thousandths. `number` becomes the fill's id.
    pub fn trade(&mut self, random: &mut Random, price_steps: i64, qty_step: i64, number: usize) -> String {
        let price = if price_steps < 1_000 {
            BigRational::from_integer((95 + random.below(price_steps)).into())
        } else {
            BigRational::new((5_000 + random.below(price_steps)).into(), 100.into())
        };
        let held = (&self.qty * BigRational::from_integer(1_000.into())).to_integer().to_i64().unwrap();
        let size = (1 + random.below(5_000 / qty_step)) * qty_step;
        let thousandths = if held == 0 {
            match self.position_side {
                PositionSide::Long => size,
                PositionSide::Short => -size,
                PositionSide::Net => {
                    if random.below(2) == 0 {
                        size
                    } else {
                        -size
                    }
                }
            }
        } else {
            match random.below(10) {
                0..=3 => held.signum() * size,
                4..=6 => -held.signum() * size.min(held.abs()),
                7..=8 => -held,
                _ if self.position_side == PositionSide::Net => -held - held.signum() * size,
                _ => -held,
            }
        };
        let realized = self.fill(&BigRational::new(thousandths.into(), 1_000.into()), &price, number);
        let qty = Decimal::new(thousandths.abs().into(), 3).unwrap();
        let way = if thousandths > 0 { "BUY" } else { "SELL" };
        format!("{} {way} {qty} @ {} fee 0.01 USDT pnl {}", self.position_side, text(&price, 2), text(&realized, 8))
    }

    fn fill(&mut self, qty: &BigRational, price: &BigRational, number: usize) -> BigRational {
        let closing = if self.qty.is_zero() || self.qty.is_positive() == qty.is_positive() {
            BigRational::zero()
        } else if qty.abs() < self.qty.abs() {
            qty.clone()
        } else {
            -self.qty.clone()
        };
        let unit = if self.inverse { -price.recip() } else { price.clone() };
        let realized = &closing * (&self.average - &unit);
        self.gross += &realized;
        self.qty += &closing;
        if !closing.is_zero() && self.qty.is_zero() {
            self.trips.push(Truth {
                direction: if closing.is_negative() { Direction::Long } else { Direction::Short },
                opened_by: self.opened_by,
                closed_by: number,
                entered: self.entered.clone(),
                qty_max: self.qty_max.clone(),
                gross: std::mem::take(&mut self.gross),
            });
        }
        let opening = qty - closing;
        if !opening.is_zero() {
            if self.qty.is_zero() {
                (self.opened_by, self.entered, self.qty_max) = (number, BigRational::zero(), BigRational::zero());
            }
            let held = &self.qty + &opening;
            self.average = (&self.qty * &self.average + &opening * &unit) / &held;
            self.entered += opening.abs();
            self.qty_max = self.qty_max.clone().max(held.abs());
            self.qty = held;
        }
        self.realized.push(realized.clone());
        self.qty_after.push(self.qty.clone());
        let entry = if self.inverse { -self.average.recip() } else { self.average.clone() };
        self.average_after.push(entry);
        realized
    }
}
