//! A decimal number.
//!
//! A [`Decimal`] is `mantissa x 10^-scale` on an `i128`, always in canonical form, so equal values are equal bytes.
//!
//! Invariants, each with a test of the same name:
//! 1. `canonical_form_is_unique`: a value has one representation and one text.
//! 2. `nothing_is_rounded_unasked`: an operation whose exact result does not fit is an error; only functions with
//!    `round` in their name round, half to even.

use std::cmp::Ordering;

use super::integer::{MathError, div_half_even, mul_div_round, pow10, shift_left, trim};

/// The most digits after the decimal point that a [`Decimal`] holds.
///
/// Exchanges quote prices with at most 10 decimals and quantities with at most 8, so their exact product fits.
pub const SCALE_MAX: u8 = 18;
/// An exact decimal number.
///
/// ```
/// use ledger_core::Decimal;
///
/// let price: Decimal = "7819.010".parse()?;
/// assert_eq!(price.to_string(), "7819.01");
/// assert_eq!(price, "7.81901e3".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// 1.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// `mantissa x 10^-scale`.
    ///
    /// # Errors
    /// [`MathError::LostDigits`] when more than [`SCALE_MAX`] digits after the point remain once trailing zeros are
    /// dropped; [`MathError::Overflow`] for `i128::MIN`, which has no negation.
    #[inline]
    pub fn new(mantissa: i128, scale: u8) -> Result<Self, MathError> {
        if mantissa == i128::MIN {
            return Err(MathError::Overflow);
        }
        let (mantissa, scale) = trim(mantissa, scale);
        if scale > SCALE_MAX {
            return Err(MathError::LostDigits);
        }
        Ok(Self { mantissa, scale })
    }

    /// The digits, without the point; no trailing zero unless `scale` is 0.
    #[inline]
    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// The number of digits after the point.
    #[inline]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether this is 0.
    #[inline]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether this is above 0.
    #[inline]
    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Whether this is below 0.
    #[inline]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The value without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { mantissa: self.mantissa.abs(), scale: self.scale }
    }

    /// The mantissa at `scale`, which must not be smaller than this value's own scale.
    ///
    /// # Errors
    /// [`MathError::LostDigits`] when `scale` is too small, [`MathError::Overflow`] when the digits do not fit.
    #[inline]
    pub fn mantissa_at(self, scale: u8) -> Result<i128, MathError> {
        if self.scale == scale {
            return Ok(self.mantissa);
        }
        let shift = scale.checked_sub(self.scale).ok_or(MathError::LostDigits)?;
        shift_left(self.mantissa, shift)
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MathError> {
        let scale = self.scale.max(other.scale);
        let sum = self.mantissa_at(scale)?.checked_add(other.mantissa_at(scale)?).ok_or(MathError::Overflow)?;
        Self::new(sum, scale)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MathError> {
        self.checked_add(-other)
    }

    /// The exact product.
    ///
    /// # Errors
    /// [`MathError::Overflow`], or [`MathError::LostDigits`] when the product needs more digits than fit.
    pub fn checked_mul(self, other: Self) -> Result<Self, MathError> {
        let product = self.mantissa.checked_mul(other.mantissa).ok_or(MathError::Overflow)?;
        Self::new(product, self.scale + other.scale)
    }

    /// The quotient, rounded half to even at `scale` digits after the point.
    ///
    /// # Errors
    /// [`MathError::DivisionByZero`], [`MathError::Overflow`], [`MathError::LostDigits`] for a `scale` above
    /// [`SCALE_MAX`].
    pub fn div_round(self, divisor: Self, scale: u8) -> Result<Self, MathError> {
        if scale > SCALE_MAX {
            return Err(MathError::LostDigits);
        }
        // a x 10^-s / (b x 10^-t) at the wanted scale, without the powers of ten that both sides share.
        let (up, down) = (divisor.scale + scale, self.scale);
        let numerator = pow10(up.saturating_sub(down)).ok_or(MathError::Overflow)?;
        let denominator = shift_left(divisor.mantissa, down.saturating_sub(up))?;
        Self::new(mul_div_round(self.mantissa, numerator, denominator)?, scale)
    }

    /// The product, rounded half to even at `scale` digits after the point.
    ///
    /// # Errors
    /// [`MathError::Overflow`], [`MathError::LostDigits`] for a `scale` above [`SCALE_MAX`].
    pub fn checked_mul_round(self, other: Self, scale: u8) -> Result<Self, MathError> {
        let product_scale = self.scale + other.scale;
        if product_scale <= scale {
            return self.checked_mul(other);
        }
        let divisor = pow10(product_scale - scale).ok_or(MathError::Overflow)?;
        Self::new(mul_div_round(self.mantissa, other.mantissa, divisor)?, scale)
    }

    /// The value rounded half to even to `scale` digits after the point.
    #[must_use]
    pub fn round(self, scale: u8) -> Self {
        if scale >= self.scale {
            return self;
        }
        let divisor = pow10(self.scale - scale).unwrap_or(i128::MAX);
        let (mantissa, scale) = trim(div_half_even(self.mantissa, divisor), scale);
        Self { mantissa, scale }
    }
}

impl std::ops::Neg for Decimal {
    type Output = Self;

    fn neg(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.mantissa_at(scale), other.mantissa_at(scale)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            // Only the value with the larger magnitude can fail to rescale.
            (Err(_), _) => self.mantissa.cmp(&0),
            (_, Err(_)) => 0.cmp(&other.mantissa),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_form_is_unique() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("0E-8", "0"),
            ("0e400", "0"),
            ("1.50", "1.5"),
            ("+3", "3"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e-7", "0.0000001"),
            ("1E+3", "1000"),
            ("-0.000000000000000001", "-0.000000000000000001"),
            ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
            ("100", "100"),
            ("0001.0", "1"),
            ("1.5e1", "15"),
            ("10e-1", "1"),
        ] {
            assert_eq!(dec(text).to_string(), canonical, "{text}");
            assert_eq!(dec(text), dec(canonical));
        }
    }

    #[test]
    fn nothing_is_rounded_unasked() {
        assert_eq!(dec("0.000000001").checked_mul(dec("0.0000000001")), Err(MathError::LostDigits));
        assert_eq!(dec("1e30").checked_mul(dec("1e30")), Err(MathError::Overflow));
        assert_eq!(dec("1e37").checked_add(dec("0.01")), Err(MathError::Overflow));
        assert_eq!(dec("1").div_round(dec("0"), 2), Err(MathError::DivisionByZero));
    }

    #[test]
    fn rounding_is_half_to_even() {
        for (value, scale, rounded) in [
            ("0.125", 2, "0.12"),
            ("0.135", 2, "0.14"),
            ("-0.125", 2, "-0.12"),
            ("-0.126", 2, "-0.13"),
            ("2.5", 0, "2"),
            ("9.99", 1, "10"),
        ] {
            assert_eq!(dec(value).round(scale), dec(rounded), "{value}");
        }
        assert_eq!(format!("{:.2}", dec("1.5")), "1.50");
        assert_eq!(format!("{:.0}", dec("-0.4")), "0");
        assert_eq!(format!("{:>8.1}", dec("-0.05")), "     0.0");
        assert_eq!(format!("{:.3}", dec("-0.05")), "-0.050");
        assert_eq!(dec("-7").div_round(dec("0.2"), 0).unwrap(), dec("-35"));
        assert_eq!(dec("2").div_round(dec("3"), 4).unwrap(), dec("0.6667"));
    }

    fn big(value: Decimal) -> num_rational::BigRational {
        num_rational::BigRational::new(value.mantissa().into(), num_bigint::BigInt::from(10).pow(value.scale().into()))
    }

    fn decimals() -> impl Strategy<Value = Decimal> {
        (any::<i128>(), 0_u32..127, 0_u8..=SCALE_MAX)
            .prop_filter_map("range", |(m, shift, s)| Decimal::new(m >> shift, s).ok())
    }

    proptest! {
        #[test]
        fn text_round_trips(a in decimals()) {
            prop_assert_eq!(a.to_string().parse::<Decimal>().unwrap(), a);
        }

        #[test]
        fn arithmetic_is_that_of_the_rationals(a in decimals(), b in decimals()) {
            if let Ok(sum) = a.checked_add(b) { prop_assert_eq!(big(sum), big(a) + big(b)); }
            if let Ok(product) = a.checked_mul(b) { prop_assert_eq!(big(product), big(a) * big(b)); }
            prop_assert_eq!(a.cmp(&b), big(a).cmp(&big(b)));
            prop_assert_eq!(a == b, big(a) == big(b));
        }
    }
}
