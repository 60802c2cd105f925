//! Exact decimal numbers: the only kind of number money, prices and quantities are made of.
//!
//! A [`Decimal`] is `mantissa x 10^-scale` on an `i128`, always in canonical form, so equal values are equal bytes.
//!
//! Invariants, each with a test of the same name:
//! 1. `canonical_form_is_unique`: a value has one representation and one text.
//! 2. `nothing_is_rounded_unasked`: an operation whose exact result does not fit is an error; only functions with
//!    `round` in their name round, half to even.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ethnum::I256;
use thiserror::Error;

/// The most digits after the decimal point that a [`Decimal`] holds.
///
/// Exchanges quote prices with at most 10 decimals and quantities with at most 8, so their exact product fits.
pub const SCALE_MAX: u8 = 18;

const POW10: [i128; 39] = {
    let mut table = [1_i128; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// `10^exponent`, or `None` beyond the range of `i128`.
#[inline]
pub(crate) fn pow10(exponent: u8) -> Option<i128> {
    POW10.get(usize::from(exponent)).copied()
}

/// Why an exact result could not be produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MathError {
    /// The result is larger than the number type holds.
    #[error("the result is too large to hold exactly")]
    Overflow,
    /// The exact result needs more than [`SCALE_MAX`] digits after the point.
    #[error("the result needs more than {SCALE_MAX} digits after the decimal point")]
    LostDigits,
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseDecimalError {
    /// Not a decimal number: empty, `NaN`, `inf`, stray characters.
    #[error("not a decimal number")]
    NotANumber,
    /// More digits before the point than fit.
    #[error("the number is too large: at most 38 significant digits")]
    TooLarge,
    /// More digits after the point than fit.
    #[error("too many digits: at most {SCALE_MAX} after the decimal point and 38 in all")]
    TooPrecise,
}

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
        let factor = pow10(shift).ok_or(MathError::Overflow)?;
        mul(self.mantissa, factor).ok_or(MathError::Overflow)
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
        let numerator = pow10(divisor.scale + scale.min(SCALE_MAX)).ok_or(MathError::Overflow)?;
        let denominator =
            divisor.mantissa.checked_mul(pow10(self.scale).ok_or(MathError::Overflow)?).ok_or(MathError::Overflow)?;
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
        let divisor = POW10[usize::from(self.scale - scale)];
        let (mantissa, scale) = trim(div_half_even(self.mantissa, divisor), scale);
        Self { mantissa, scale }
    }
}

/// `value x numerator / denominator`, rounded half to even, with an exact intermediate product.
///
/// # Errors
/// [`MathError::DivisionByZero`], or [`MathError::Overflow`] when the result does not fit.
pub(crate) fn mul_div_round(value: i128, numerator: i128, denominator: i128) -> Result<i128, MathError> {
    if denominator == 0 {
        return Err(MathError::DivisionByZero);
    }
    // (c / d) x n + ((c % d) x n) / d stays within i128 for everything an account really holds, at a fraction of the
    // price of 256-bit arithmetic.
    let (quotient, remainder) = div_rem(value, denominator);
    if let (Some(whole), Some(part)) = (mul(quotient, numerator), mul(remainder, numerator)) {
        return whole.checked_add(div_half_even_rest(part, denominator, whole)).ok_or(MathError::Overflow);
    }
    let product = I256::from(value) * I256::from(numerator);
    let wide = I256::from(denominator);
    let (quotient, remainder) = (product / wide, product % wide);
    let twice = remainder.unsigned_abs() * 2;
    let bump = match twice.cmp(&wide.unsigned_abs()) {
        Ordering::Less => false,
        Ordering::Equal => quotient % 2 != 0,
        Ordering::Greater => true,
    };
    let away = if (product < 0) == (denominator < 0) { I256::from(1) } else { I256::from(-1) };
    i128::try_from(if bump { quotient + away } else { quotient }).map_err(|_| MathError::Overflow)
}

/// The exact product; one machine multiplication where both factors are small.
#[inline]
pub(crate) fn mul(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// Quotient and remainder, truncated toward zero; in 64 bits where both fit, which is several times as fast.
#[inline]
fn div_rem(value: i128, divisor: i128) -> (i128, i128) {
    match (i64::try_from(value), i64::try_from(divisor)) {
        (Ok(value), Ok(divisor)) if value != i64::MIN => (i128::from(value / divisor), i128::from(value % divisor)),
        _ => {
            let quotient = value.wrapping_div(divisor);
            (quotient, value.wrapping_sub(quotient.wrapping_mul(divisor)))
        }
    }
}

fn div_half_even(value: i128, divisor: i128) -> i128 {
    div_half_even_rest(value, divisor, 0)
}

/// `value / divisor` rounded half to even, where evenness is that of `whole` + the quotient.
fn div_half_even_rest(value: i128, divisor: i128, whole: i128) -> i128 {
    let (quotient, remainder) = div_rem(value, divisor);
    if remainder == 0 {
        return quotient;
    }
    let rest = remainder.unsigned_abs();
    // `rest` against the other part of the divisor, so that doubling cannot overflow.
    let bump = match rest.cmp(&(divisor.unsigned_abs() - rest)) {
        Ordering::Less => false,
        Ordering::Equal => (whole ^ quotient) & 1 != 0,
        Ordering::Greater => true,
    };
    if !bump {
        quotient
    } else if (value < 0) == (divisor < 0) {
        quotient + 1
    } else {
        quotient - 1
    }
}

/// Drops trailing zeros. They go in blocks, and only where as many binary zeros allow it: a value at scale 18 has a
/// dozen of them, and a 128-bit division each would cost more than all else that a fill needs.
fn trim(mantissa: i128, mut scale: u8) -> (i128, u8) {
    if mantissa == 0 {
        return (0, 0);
    }
    let mut wide = mantissa.unsigned_abs();
    let small = loop {
        if let Ok(small) = u64::try_from(wide) {
            break small;
        }
        let blocks = [(8_u8, 100_000_000_u128), (1, 10)];
        let shorter = blocks.into_iter().find_map(|(zeros, unit)| {
            if scale < zeros || wide.trailing_zeros() < u32::from(zeros) {
                return None;
            }
            let quotient = wide / unit;
            (quotient * unit == wide).then_some((quotient, zeros))
        });
        let Some((quotient, zeros)) = shorter else {
            return (mantissa.signum() * wide.cast_signed(), scale);
        };
        (wide, scale) = (quotient, scale - zeros);
    };
    let (small, scale) = trim_small(small, scale);
    (if mantissa < 0 { -i128::from(small) } else { i128::from(small) }, scale)
}

/// Divisions by constants, which become multiplications.
fn trim_small(mut small: u64, mut scale: u8) -> (u64, u8) {
    while scale >= 8 && small.is_multiple_of(100_000_000) {
        (small, scale) = (small / 100_000_000, scale - 8);
    }
    if scale >= 4 && small.is_multiple_of(10_000) {
        (small, scale) = (small / 10_000, scale - 4);
    }
    while scale >= 1 && small.is_multiple_of(10) {
        (small, scale) = (small / 10, scale - 1);
    }
    (small, scale)
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

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    /// Reads `-12.50`, `+3`, `.5`, `1e-7`, `0E-8`. No spaces, separators, `NaN` or infinities.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        use ParseDecimalError::{NotANumber, TooLarge, TooPrecise};
        if let Some(short) = short_decimal(text.as_bytes()) {
            return Ok(short);
        }
        let (body, exponent) = match text.find(['e', 'E']) {
            None => (text, 0_i32),
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        };
        let (negative, body) = match body.as_bytes().first() {
            Some(b'-') => (true, &body[1..]),
            Some(b'+') => (false, &body[1..]),
            _ => (false, body),
        };
        let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(NotANumber);
        }
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(NotANumber);
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|grown| grown.checked_add(i128::from(digit - b'0')))
                .ok_or(if fraction.is_empty() { TooLarge } else { TooPrecise })?;
        }
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        let scale = i64::try_from(fraction.len()).map_err(|_| TooPrecise)? - i64::from(exponent);
        let (mantissa, scale) = if scale < 0 {
            let shift = u8::try_from(-scale).ok().and_then(pow10).ok_or(TooLarge)?;
            (mantissa.checked_mul(shift).ok_or(TooLarge)?, 0)
        } else {
            (mantissa, u8::try_from(scale).map_err(|_| TooPrecise)?)
        };
        let value = Self::new(mantissa, scale).map_err(|_| TooPrecise)?;
        Ok(if negative { -value } else { value })
    }
}

/// What nearly every number is, in one pass: digits with at most one point among them, few enough for 64 bits. `None` for
/// everything else, numbers or not.
fn short_decimal(text: &[u8]) -> Option<Decimal> {
    const DIGITS_MAX: usize = 18;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let (mut mantissa, mut point) = (0_i64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let scale = point.map_or(0, |at| digits.len() - at - 1);
    if digits.len() == usize::from(point.is_some()) {
        return None;
    }
    let signed = if negative { -mantissa } else { mantissa };
    Decimal::new(i128::from(signed), u8::try_from(scale).ok()?).ok()
}

fn parse_exponent(text: &str) -> Result<i32, ParseDecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseDecimalError::NotANumber);
    }
    let error = if text.starts_with('-') { ParseDecimalError::TooPrecise } else { ParseDecimalError::TooLarge };
    // Beyond this no non-zero number fits, and zero does not care.
    text.parse::<i32>().map(|exponent| exponent.clamp(-9_999, 9_999)).map_err(|_| error)
}

impl fmt::Display for Decimal {
    /// The canonical text; with a precision (`{:.2}`) exactly that many decimals, rounded half to even.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = f.precision().map(|digits| u8::try_from(digits).unwrap_or(u8::MAX));
        let shown = wanted.map_or(*self, |digits| self.round(digits));
        let digits = shown.mantissa.unsigned_abs().to_string();
        let scale = usize::from(shown.scale);
        let mut text = String::with_capacity(digits.len() + scale + 2);
        if digits.len() > scale {
            text.push_str(&digits[..digits.len() - scale]);
        } else {
            text.push('0');
        }
        let decimals = wanted.map_or(scale, usize::from);
        if decimals > 0 {
            text.push('.');
            let fraction = &digits[digits.len().saturating_sub(scale)..];
            text.extend(std::iter::repeat_n('0', scale - fraction.len().min(scale)));
            if scale > 0 {
                text.push_str(fraction);
            }
            text.extend(std::iter::repeat_n('0', decimals - scale));
        }
        f.pad_integral(shown.mantissa >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A price or quantity outside its allowed range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// A price must be above zero.
    #[error("a price must be above zero, not {0}")]
    PriceNotPositive(Decimal),
    /// A quantity must be above zero.
    #[error("a quantity must be above zero, not {0}")]
    QuantityNotPositive(Decimal),
    /// Not a number at all.
    #[error("`{text}` cannot be read as a number")]
    Parse {
        /// What was given, cut to a readable length.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseDecimalError,
    },
}

macro_rules! positive {
    ($(#[$doc:meta])* $name:ident, $error:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Decimal);

        impl $name {
            /// Checks that `value` is above zero.
            ///
            /// # Errors
            /// [`AmountError`] when it is not.
            pub fn new(value: Decimal) -> Result<Self, AmountError> {
                if value.is_positive() { Ok(Self(value)) } else { Err(AmountError::$error(value)) }
            }

            /// The number.
            #[inline]
            pub fn get(self) -> Decimal {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = AmountError;

            fn from_str(text: &str) -> Result<Self, AmountError> {
                let value = text.parse().map_err(|source| AmountError::Parse {
                    text: crate::id::shorten(text),
                    source,
                })?;
                Self::new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

positive!(
    /// A price in quote units per unit of quantity (linear) or per base unit (inverse); above zero.
    Price,
    PriceNotPositive
);
positive!(
    /// An unsigned quantity in the instrument's own units (base units or contracts); above zero.
    Quantity,
    QuantityNotPositive
);

#[cfg(feature = "serde")]
mod text_serde {
    use super::{Decimal, Price, Quantity};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    // A JSON number would pass through a float in most readers, so decimals are strings both ways.
    macro_rules! as_text {
        ($($name:ty),*) => {$(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                }
            }
        )*};
    }
    as_text!(Decimal, Price, Quantity);
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
    fn what_is_no_exact_decimal_is_refused() {
        use ParseDecimalError::{NotANumber, TooLarge, TooPrecise};
        for (text, error) in [
            ("", NotANumber),
            ("-", NotANumber),
            (".", NotANumber),
            ("NaN", NotANumber),
            ("inf", NotANumber),
            ("1,5", NotANumber),
            (" 1", NotANumber),
            ("1e", NotANumber),
            ("1e5.0", NotANumber),
            ("0x10", NotANumber),
            ("--1", NotANumber),
            ("٣", NotANumber),
            ("1e400", TooLarge),
            ("1e99999999999", TooLarge),
            ("1e-19", TooPrecise),
            ("1e-99999999999", TooPrecise),
            ("1234567890123456789012345678901234567890", TooLarge),
            ("0.1234567890123456789", TooPrecise),
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(error), "{text}");
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

        #[test]
        fn wide_and_narrow_division_round_alike(a in any::<i128>(), n in any::<i128>(), d in any::<i128>(), s in 0_u32..127, t in 0_u32..127, u in 0_u32..127) {
            let (a, n, d) = (a >> s, n >> t, d >> u);
            prop_assume!(d != 0);
            let exact = num_rational::BigRational::new(num_bigint::BigInt::from(a) * num_bigint::BigInt::from(n), d.into());
            match mul_div_round(a, n, d) {
                Ok(rounded) => {
                    let two = num_rational::BigRational::from_integer(2.into());
                    let distance = (exact - num_rational::BigRational::from_integer(rounded.into())) * two;
                    let one = num_rational::BigRational::from_integer(1.into());
                    prop_assert!(distance <= one && distance >= -one.clone());
                    if distance == one || distance == -one { prop_assert_eq!(rounded % 2, 0); }
                }
                Err(error) => {
                    prop_assert_eq!(error, MathError::Overflow);
                    let limit = num_rational::BigRational::from_integer(i128::MAX.into());
                    let limit2 = limit.clone() - num_rational::BigRational::from_integer(2.into());
                    prop_assert!(exact > limit2 || exact < -limit2);
                }
            }
        }
    }
}
