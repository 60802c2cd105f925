//! Laws of position math and merging, against models that share no code with the crate.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers fail like the tests that use them, and belong to this binary alone"
)]

#[path = "laws/merging.rs"]
mod merging;
#[path = "laws/stating.rs"]
mod stating;
mod support;

use ledger_core::{
    Asset, Contract, ContractKind, Decimal, Instrument, MathError, Outcome, Position, Price, Quantity, Side, Source,
    Sourced, Symbol, merge,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use proptest::prelude::*;
use support::{big, dec};

fn contract(kind: ContractKind, multiplier: &str) -> Contract {
    let mut instrument = Instrument::linear(Symbol::new("X").unwrap(), Asset::new("Y").unwrap()).unwrap();
    instrument.kind = kind;
    instrument.multiplier = multiplier.parse().unwrap();
    Contract::from(&instrument)
}

/// A fill in plain integers: signed quantity in thousandths, price in hundredths.
type Raw = (i64, i64);

fn raw_fills(count: usize) -> impl Strategy<Value = Vec<Raw>> {
    prop::collection::vec(
        ((-5_000_i64..5_000).prop_filter("no fill of nothing", |q| *q != 0), 1_i64..200_000),
        1..count,
    )
}

fn parts((qty, price): Raw) -> (Side, Quantity, Price) {
    let side = if qty > 0 { Side::Buy } else { Side::Sell };
    let qty = Quantity::new(Decimal::new(i128::from(qty.abs()), 3).unwrap()).unwrap();
    (side, qty, Price::new(Decimal::new(i128::from(price), 2).unwrap()).unwrap())
}

/// The textbook's average-cost book, in exact fractions.
#[derive(Default)]
struct Model {
    qty: BigRational,
    cost: BigRational,
    realized: BigRational,
    cash: BigRational,
}

impl Model {
    fn apply(&mut self, kind: ContractKind, (qty, price): Raw) {
        let qty = BigRational::new(qty.into(), 1_000.into());
        let price = BigRational::new(price.into(), 100.into());
        let unit = match kind {
            ContractKind::Linear => price,
            ContractKind::Inverse => -price.recip(),
        };
        self.cash -= &qty * &unit;
        let closing = if self.qty.is_zero() || self.qty.is_positive() == qty.is_positive() {
            BigRational::zero()
        } else if qty.abs() > self.qty.abs() {
            -self.qty.clone()
        } else {
            qty.clone()
        };
        if !closing.is_zero() {
            let released = -&self.cost * &closing / &self.qty;
            self.realized += -(&closing * &unit) - &released;
            self.cost -= released;
            self.qty += &closing;
        }
        let opening = qty - closing;
        self.cost += &opening * unit;
        self.qty += opening;
    }
}

proptest! {
    #[test]
    fn the_fold_is_the_textbook_average_cost(fills in raw_fills(60), inverse in any::<bool>()) {
        let kind = if inverse { ContractKind::Inverse } else { ContractKind::Linear };
        let contract = contract(kind, "1");
        let (mut position, mut model, mut realized) = (Position::FLAT, Model::default(), Decimal::ZERO);
        for (count, raw) in fills.iter().enumerate() {
            let (side, qty, price) = parts(*raw);
            let applied = position.apply(contract, side, qty, price).unwrap();
            realized = realized.checked_add(applied.realized.to_decimal().unwrap()).unwrap();
            model.apply(kind, *raw);
            prop_assert_eq!(big(position.qty().unwrap()), model.qty.clone());
            // Each fill can round twice, by half of 10^-18 each.
            let slack = BigRational::new(BigInt::from(count + 1), BigInt::from(10).pow(18));
            prop_assert!((big(realized) - &model.realized).abs() <= slack);
            prop_assert!((big(position.open_cost().to_decimal().unwrap()) - &model.cost).abs() <= slack);
        }
    }

    #[test]
    fn long_and_short_mirror_each_other(fills in raw_fills(60), inverse in any::<bool>()) {
        let contract = contract(if inverse { ContractKind::Inverse } else { ContractKind::Linear }, "10");
        let (mut long, mut short) = (Position::FLAT, Position::FLAT);
        for (qty, price) in fills {
            let (side, size, at) = parts((qty, price));
            let a = long.apply(contract, side, size, at).unwrap();
            let b = short.apply(contract, side.opposite(), size, at).unwrap();
            prop_assert_eq!(a.change, b.change);
            prop_assert_eq!(a.realized.to_decimal().unwrap(), -b.realized.to_decimal().unwrap());
            prop_assert_eq!(long.qty().unwrap(), -short.qty().unwrap());
            prop_assert_eq!(long.average_entry(contract, 12).unwrap(), short.average_entry(contract, 12).unwrap());
        }
    }

    #[test]
    fn closing_in_parts_equals_closing_at_once(
        entries in prop::collection::vec((1_i64..5_000, 1_i64..200_000), 1..8),
        cuts in prop::collection::vec(1_i64..2_000, 1..12), exit in 1_i64..200_000, inverse in any::<bool>(),
    ) {
        let contract = contract(if inverse { ContractKind::Inverse } else { ContractKind::Linear }, "1");
        let mut position = Position::FLAT;
        for raw in &entries {
            let (side, qty, price) = parts(*raw);
            position.apply(contract, side, qty, price).unwrap();
        }
        let total: i64 = entries.iter().map(|(qty, _)| qty).sum();
        let (side, qty, price) = parts((-total, exit));
        let mut at_once = position;
        let once = at_once.apply(contract, side, qty, price).unwrap().realized.to_decimal().unwrap();
        let (mut left, mut in_parts, mut count) = (total, Decimal::ZERO, 0_i64);
        for cut in cuts.into_iter().chain([i64::MAX]) {
            let cut = cut.min(left);
            if cut == 0 { break; }
            let (side, qty, price) = parts((-cut, exit));
            let applied = position.apply(contract, side, qty, price).unwrap();
            in_parts = in_parts.checked_add(applied.realized.to_decimal().unwrap()).unwrap();
            left -= cut;
            count += 1;
        }
        prop_assert!(position.is_flat());
        let difference = in_parts.checked_sub(once).unwrap().abs();
        let allowed = if inverse { Decimal::new(i128::from(count), 18).unwrap() } else { Decimal::ZERO };
        prop_assert!(difference <= allowed, "{} in {} parts, {} at once", in_parts, count, once);
    }

    #[test]
    fn a_flip_is_a_close_and_an_open(entry in (1_i64..5_000, 1_i64..200_000), more in 1_i64..5_000, exit in 1_i64..200_000, fee in -9_999_i64..9_999) {
        let contract = contract(ContractKind::Linear, "1");
        let (mut flipped, mut stepped) = (Position::FLAT, Position::FLAT);
        for position in [&mut flipped, &mut stepped] {
            let (side, qty, price) = parts(entry);
            position.apply(contract, side, qty, price).unwrap();
        }
        let (side, qty, price) = parts((-entry.0 - more, exit));
        let flip = flipped.apply(contract, side, qty, price).unwrap();
        let (side, qty, price) = parts((-entry.0, exit));
        let close = stepped.apply(contract, side, qty, price).unwrap();
        let (side, qty, price) = parts((-more, exit));
        stepped.apply(contract, side, qty, price).unwrap();
        prop_assert_eq!(flip.realized, close.realized);
        prop_assert_eq!(flipped, stepped);
        let fee = ledger_core::Value::from_decimal(Decimal::new(i128::from(fee), 6).unwrap()).unwrap();
        let (closing, opening) = flip.split(fee).unwrap();
        prop_assert_eq!(closing.checked_add(opening).unwrap(), fee);
        let exact = big(fee.to_decimal().unwrap()) * BigRational::new(entry.0.into(), (entry.0 + more).into());
        prop_assert!((big(closing.to_decimal().unwrap()) - exact).abs() <= BigRational::new(1.into(), BigInt::from(10).pow(18)));
    }

    /// Whatever the constructors let through gives a result or a typed error, and an error changes nothing.
    #[test]
    fn no_valid_input_panics(fills in prop::collection::vec((any::<bool>(), any::<i128>(), 0_u32..127, 0_u8..=18, any::<i128>(), 0_u32..127, 0_u8..=18), 1..20), inverse in any::<bool>()) {
        let contract = contract(if inverse { ContractKind::Inverse } else { ContractKind::Linear }, "100");
        let mut position = Position::FLAT;
        for (buy, q, qs, qd, p, ps, pd) in fills {
            let quantity = Decimal::new(q >> qs, qd).ok().and_then(|q| Quantity::new(q.abs()).ok());
            let price = Decimal::new(p >> ps, pd).ok().and_then(|p| Price::new(p.abs()).ok());
            let (Some(quantity), Some(price)) = (quantity, price) else { continue };
            let before = position;
            match position.apply(contract, if buy { Side::Buy } else { Side::Sell }, quantity, price) {
                Ok(applied) => {
                    let _ = (applied.realized.to_decimal(), position.average_entry(contract, 12), position.unrealized(contract, price));
                }
                Err(MathError::Overflow | MathError::LostDigits | MathError::DivisionByZero) => prop_assert_eq!(position, before),
            }
        }
    }
}

/// 100,000 random fills: realized - open cost = sum of cash flow, to the last digit, the cash flows summed in big
/// rationals from the fills themselves.
#[test]
fn conservation_is_exact() {
    for (kind, seed) in [(ContractKind::Linear, 7_u64), (ContractKind::Inverse, 8)] {
        let contract = contract(kind, "1");
        let mut random = support::Random(seed);
        let (mut position, mut cash, mut realized) = (Position::FLAT, BigRational::zero(), Decimal::ZERO);
        let (mut reductions, mut flips) = (0, 0);
        for _ in 0..100_000 {
            // One fill in four is sized to flip the position, or it would wander off and never come back.
            let open = i64::try_from(position.qty().unwrap().mantissa_at(3).unwrap()).unwrap();
            let qty = if random.below(4) == 0 {
                -open - open.signum() * random.below(9_000)
            } else {
                random.below(20_000) - 10_000
            };
            let raw = (if qty == 0 { 1 } else { qty }, 1 + random.below(9_999_999));
            let (side, size, price) = parts(raw);
            let applied = position.apply(contract, side, size, price).unwrap();
            realized = realized.checked_add(applied.realized.to_decimal().unwrap()).unwrap();
            reductions += usize::from(applied.change == ledger_core::Change::Reduce);
            flips += usize::from(applied.change == ledger_core::Change::Flip);
            let (qty, price) =
                (BigRational::new(raw.0.into(), 1_000.into()), BigRational::new(raw.1.into(), 100.into()));
            cash += match kind {
                ContractKind::Linear => -qty * price,
                // The one rounding that the rules allow: the base value, half to even at 18 decimals.
                ContractKind::Inverse => support::half_even(&(qty / price), 18),
            };
        }
        assert!(reductions > 10_000 && flips > 10_000, "{reductions} reductions, {flips} flips");
        assert_eq!(big(realized) - big(position.open_cost().to_decimal().unwrap()), cash, "{kind}");
    }
}

/// ETHUSDT, worked by hand: 12 @ 100, 17 @ 99, -9 @ 101, -4 @ 105, +3 @ 103, commission 0.0001 x notional.
///
/// | fill     | open | open cost                    | realized            | commission |
/// |----------|------|------------------------------|---------------------|------------|
/// | 12 @ 100 | 12   | 1200                         |                     | 0.12       |
/// | 17 @ 99  | 29   | 2883                         |                     | 0.1683     |
/// | -9 @ 101 | 20   | 2883 x 20/29 = 1988.27586... | 909 - 894.72413...  | 0.0909     |
/// | -4 @ 105 | 16   | 2883 x 16/29 = 1590.62068... | 420 - 397.65517...  | 0.042      |
/// | +3 @ 103 | 19   | 1899.62068...                |                     | 0.0309     |
#[test]
fn known_numbers() {
    let contract = contract(ContractKind::Linear, "1");
    let mut position = Position::FLAT;
    for (side, qty, price, open, cost, realized) in [
        (Side::Buy, "12", "100", "12", "1200", "0"),
        (Side::Buy, "17", "99", "29", "2883", "0"),
        (Side::Sell, "9", "101", "20", "1988.275862068965517241", "14.275862068965517241"),
        (Side::Sell, "4", "105", "16", "1590.620689655172413793", "22.344827586206896552"),
        (Side::Buy, "3", "103", "19", "1899.620689655172413793", "0"),
    ] {
        let applied = position.apply(contract, side, qty.parse().unwrap(), price.parse().unwrap()).unwrap();
        assert_eq!(position.qty().unwrap(), dec(open));
        assert_eq!(position.open_cost().to_decimal().unwrap(), dec(cost));
        assert_eq!(applied.realized.to_decimal().unwrap(), dec(realized));
    }
    assert_eq!(position.average_entry(contract, 12).unwrap(), Some(dec("99.980036297641")));
    // 19 x 102 - 1899.62068965...
    assert_eq!(
        position.unrealized(contract, "102".parse().unwrap()).unwrap().to_decimal().unwrap(),
        dec("38.379310344827586207")
    );
}

/// BTCUSD with contracts of 100 USD, worked by hand: 10 long at 50,000 are worth 0.02 BTC, 4 closed at 40,000 are
/// worth 0.01 BTC and were bought for 0.008: a loss of 0.002 BTC.
#[test]
fn known_numbers_inverse() {
    let contract = contract(ContractKind::Inverse, "100");
    let mut position = Position::FLAT;
    position.apply(contract, Side::Buy, "10".parse().unwrap(), "50000".parse().unwrap()).unwrap();
    assert_eq!(position.average_entry(contract, 12).unwrap(), Some(dec("50000")));
    let closed = position.apply(contract, Side::Sell, "4".parse().unwrap(), "40000".parse().unwrap()).unwrap();
    assert_eq!(closed.realized.to_decimal().unwrap(), dec("-0.002"));
    // 6 x 100 / 60000 = 0.01 against 0.012 at entry: a gain of 0.002.
    assert_eq!(position.unrealized(contract, "60000".parse().unwrap()).unwrap().to_decimal().unwrap(), dec("0.002"));
}

#[test]
fn overflow_is_a_typed_error() {
    let contract = contract(ContractKind::Linear, "1");
    let mut position = Position::FLAT;
    let huge: Quantity = "1e12".parse().unwrap();
    assert_eq!(position.apply(contract, Side::Buy, huge, "1e12".parse().unwrap()), Err(MathError::Overflow));
    let precise = ("0.0000000001".parse().unwrap(), "0.0000000003".parse().unwrap());
    assert_eq!(position.apply(contract, Side::Buy, precise.0, precise.1), Err(MathError::LostDigits));
    assert!(position.is_flat());
}
