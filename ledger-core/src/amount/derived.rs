//! A figure that follows from others, as somebody states it: price x quantity as an amount.
//!
//! What is derived is rounded where it is shown. So it is held against what it follows from to half a unit of the last digit
//! that it shows, and to a hundred-millionth where it has been a double.

use super::{Decimal, MathError, SCALE_MAX};

/// From this many significant digits on a number has been a double, and its last digits say nothing.
const DIGITS_OF_A_DOUBLE: usize = 15;

/// A derived figure with how exact it is.
///
/// ```
/// use ledger_core::{Decimal, DerivedFigure};
///
/// let amount = DerivedFigure::exact("1200.1")?;
/// let (price, qty): (Decimal, Decimal) = ("60003.0".parse()?, "0.020".parse()?);
/// assert!(amount.is(price.checked_mul(qty)?, Decimal::ZERO)); // 1200.06, to half a unit of the last digit
/// assert!(!DerivedFigure::exact("1200.0")?.is(price.checked_mul(qty)?, Decimal::ZERO));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DerivedFigure {
    amount: Decimal,
    /// Half a unit of its last digit.
    half_unit: Decimal,
    /// Whether it has been a double.
    was_float: bool,
}

impl DerivedFigure {
    /// A figure of a source with exact decimals. One with as many digits as a double has been one all the same.
    ///
    /// # Errors
    /// When the text is no decimal.
    pub fn exact(text: &str) -> Result<Self, super::ParseDecimalError> {
        let was_float = significant_digits(text) >= DIGITS_OF_A_DOUBLE;
        Ok(Self { amount: text.parse()?, half_unit: half_unit(text), was_float })
    }

    /// A figure that a program computed with doubles.
    ///
    /// # Errors
    /// When the text is no decimal.
    pub fn float(text: &str) -> Result<Self, super::ParseDecimalError> {
        Ok(Self { was_float: true, ..Self::exact(text)? })
    }

    /// What it says, without its sign.
    pub fn amount(self) -> Decimal {
        self.amount.abs()
    }

    /// How far it may be from what it follows from, which is about `derived`.
    pub fn tolerance(self, derived: Decimal) -> Decimal {
        let larger = derived.abs().max(self.amount.abs());
        let of_float = if self.was_float { hundred_millionth(larger) } else { Decimal::ZERO };
        self.half_unit.max(of_float)
    }

    /// Whether it is `derived`, within its own rounding and `slack`; signs do not count.
    pub fn is(self, derived: Decimal, slack: Decimal) -> bool {
        let allowed = self.tolerance(derived).checked_add(slack);
        matches!((self.apart(derived), allowed), (Ok(apart), Ok(allowed)) if apart <= allowed)
    }

    /// Whether it is `derived` as far as a double holds it, however few digits it shows.
    pub fn is_double_of(self, derived: Decimal) -> bool {
        self.apart(derived).is_ok_and(|apart| apart <= hundred_millionth(derived.abs().max(self.amount.abs())))
    }

    /// Whether it would be `derived` if one of them were 1000 times larger, once or several times: the trace of a program
    /// that took dots for separators of thousands, or the other way round.
    pub fn is_apart_by_thousands(self, derived: Decimal) -> bool {
        if self.amount.is_zero() || derived.is_zero() {
            return false;
        }
        let thousand = Decimal::from(1_000);
        let (mut larger, mut scaled) = (Ok(derived), Ok(self.amount));
        (0..4).any(|_| {
            larger = larger.and_then(|value| value.checked_mul(thousand));
            scaled = scaled.and_then(|value| value.checked_mul(thousand));
            let fits = |value: Result<Decimal, MathError>, stated: Decimal, half_unit: Decimal| {
                let apart = value.and_then(|value| value.abs().checked_sub(stated.abs()));
                apart.is_ok_and(|apart| apart.abs() <= half_unit.max(hundred_millionth(stated.abs())))
            };
            fits(larger, self.amount, self.half_unit)
                || scaled.is_ok_and(|scaled| fits(Ok(derived), scaled, Decimal::ZERO))
        })
    }

    fn apart(self, derived: Decimal) -> Result<Decimal, MathError> {
        derived.abs().checked_sub(self.amount.abs()).map(Decimal::abs)
    }
}

impl Decimal {
    /// The product, rounded to [`SCALE_MAX`] digits where it has more.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    pub fn product(self, other: Self) -> Result<Self, MathError> {
        self.checked_mul(other).or_else(|_| self.checked_mul_round(other, SCALE_MAX))
    }
}

/// Half a unit of the last digit that a number shows: 0.005 for `7.20`, 0.5 for `7`, 50 for `7E2`.
pub fn half_unit(text: &str) -> Decimal {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let shown = digits.split_once('.').map_or(0, |(_, fraction)| i64::try_from(fraction.len()).unwrap_or(i64::MAX));
    let scale = shown.saturating_sub(exponent.parse().unwrap_or(0)).saturating_add(1);
    match u8::try_from(scale) {
        Ok(scale) => Decimal::new(5, scale).unwrap_or(Decimal::ZERO),
        // Digits in front of the point that are not shown either.
        Err(_) if scale < 0 => format!("5e{}", scale.saturating_neg()).parse().unwrap_or(Decimal::ZERO),
        Err(_) => Decimal::ZERO,
    }
}

fn significant_digits(text: &str) -> usize {
    let digits = text.split(['e', 'E']).next().unwrap_or(text);
    digits.chars().filter(char::is_ascii_digit).skip_while(|digit| *digit == '0').count()
}

fn hundred_millionth(value: Decimal) -> Decimal {
    value.div_round(Decimal::from(100_000_000), SCALE_MAX).unwrap_or(Decimal::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_from_other_mistakes() {
        let apart = |derived: &str, stated: &str| {
            DerivedFigure::exact(stated).unwrap().is_apart_by_thousands(derived.parse().unwrap())
        };
        for (derived, stated) in
            [("60", "60000"), ("60000", "60.000"), ("600", "600000"), ("1200060", "1.20006"), ("1.5", "1500000000")]
        {
            assert!(apart(derived, stated), "{derived} as {stated}");
        }
        for (derived, stated) in [("60", "60"), ("60", "600"), ("60", "59000"), ("0", "1000"), ("1000", "0")] {
            assert!(!apart(derived, stated), "{derived} as {stated}");
        }
    }

    #[test]
    fn the_last_digit_of_a_number_is_the_one_that_it_shows() {
        for (text, half) in
            [("7", "0.5"), ("7.20", "0.005"), ("7E2", "50"), ("1.5e-7", "0.000000005"), ("-0.1", "0.05")]
        {
            assert_eq!(half_unit(text).to_string(), half, "{text}");
        }
    }
}
