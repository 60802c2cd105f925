//! Exact integer arithmetic below the decimals.

use std::cmp::Ordering;

use ethnum::U256;
use thiserror::Error;

use super::decimal::SCALE_MAX;

const POW10: [i128; 39] = {
    let mut table = [1_i128; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// The powers of ten that one register holds, and nothing at all other exponents: so that looking one up needs no bounds.
const POW10_SMALL: [i64; 256] = {
    let mut table = [0_i64; 256];
    table[0] = 1;
    let mut i = 1;
    while i < 19 {
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

/// `10^exponent`, or `None` beyond one register.
#[inline]
pub(crate) fn pow10_narrow(exponent: u8) -> Option<i64> {
    match POW10_SMALL[usize::from(exponent)] {
        0 => None,
        power => Some(power),
    }
}

/// Why an exact result could not be produced.
// As wide as a register: a `Result` with one byte beside 128 bits of number is taken apart and put together byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[repr(u64)]
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

/// The sum, without `i128::MIN`, which has no negation.
#[inline]
pub(crate) fn add_symmetric(a: i128, b: i128) -> Result<i128, MathError> {
    match a.checked_add(b) {
        Some(sum) if sum != i128::MIN => Ok(sum),
        _ => Err(MathError::Overflow),
    }
}

/// The value in one register, where that holds it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "what is cut off is looked at")]
pub(crate) fn narrow(value: i128) -> Option<i64> {
    // Written so that a product of two of these compiles to one multiplication: after `i64::try_from`, or a comparison of
    // `high` with the sign of `low`, the compiler knows that `low` is `value`, and multiplies that.
    let (high, low) = ((value >> 64) as i64, value as i64);
    let sign_bit = (low.cast_unsigned() >> 63).cast_signed();
    if high.wrapping_add(sign_bit) == 0 { Some(low) } else { None }
}

/// The exact product; one machine multiplication where both factors are small.
#[inline]
pub(crate) fn mul(a: i128, b: i128) -> Option<i128> {
    match (narrow(a), narrow(b)) {
        (Some(a), Some(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// `value x 10^exponent`.
#[inline]
pub(crate) fn shift_left(value: i128, exponent: u8) -> Result<i128, MathError> {
    match (narrow(value), pow10_narrow(exponent)) {
        (Some(value), Some(factor)) => Ok(i128::from(value) * i128::from(factor)),
        _ => shift_left_wide(value, exponent),
    }
}

#[cold]
fn shift_left_wide(value: i128, exponent: u8) -> Result<i128, MathError> {
    pow10(exponent).and_then(|factor| value.checked_mul(factor)).ok_or(MathError::Overflow)
}

/// `value x numerator / denominator`, rounded half to even, with an exact intermediate product. Never `i128::MIN`.
///
/// # Errors
/// [`MathError::DivisionByZero`], or [`MathError::Overflow`] when the result does not fit.
#[inline]
pub(crate) fn mul_div_round(value: i128, numerator: i128, denominator: i128) -> Result<i128, MathError> {
    let is_negative = (value < 0) != ((numerator < 0) != (denominator < 0));
    let size = mul_div_round_unsigned(value.unsigned_abs(), numerator.unsigned_abs(), denominator.unsigned_abs())?;
    let size = i128::try_from(size).map_err(|_| MathError::Overflow)?;
    Ok(if is_negative { -size } else { size })
}

/// [`mul_div_round`] of a ratio above zero whose terms have the same sign and fit a register; `None` where the product
/// does not fit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a remainder is below its divisor, which fits a register")]
pub(crate) fn mul_div_round_narrow(value: i128, numerator: i64, denominator: i64) -> Option<i128> {
    let (numerator, divisor) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let product = mul_small(value.unsigned_abs(), numerator)?;
    let quotient = product.checked_div(u128::from(divisor))?;
    let remainder = (product as u64).wrapping_sub((quotient as u64).wrapping_mul(divisor));
    // The remainder against the other part of the divisor, so that doubling cannot overflow.
    let other = divisor - remainder;
    let rounds_up = remainder > other || (remainder == other && quotient & 1 == 1);
    let size = i128::try_from(quotient).ok()?.checked_add(i128::from(rounds_up))?;
    Some(if value < 0 { -size } else { size })
}

#[inline]
fn mul_div_round_unsigned(value: u128, numerator: u128, denominator: u128) -> Result<u128, MathError> {
    // The product of everything that an account really holds fits, at a fraction of the price of 256 bits.
    let product = match u64::try_from(numerator) {
        Ok(small) => mul_small(value, small),
        Err(_) => value.checked_mul(numerator),
    };
    match product {
        Some(product) if denominator != 0 => Ok(div_half_even_unsigned(product, denominator)),
        _ => mul_div_round_wide(value, numerator, denominator),
    }
}

/// The exact product with a factor of one register.
#[inline]
fn mul_small(value: u128, factor: u64) -> Option<u128> {
    let [low, high] = [value & u128::from(u64::MAX), value >> 64].map(|half| half * u128::from(factor));
    let high = high + (low >> 64);
    (high >> 64 == 0).then_some((high << 64) | (low & u128::from(u64::MAX)))
}

#[cold]
fn mul_div_round_wide(value: u128, numerator: u128, denominator: u128) -> Result<u128, MathError> {
    if denominator == 0 {
        return Err(MathError::DivisionByZero);
    }
    let product = U256::from(value) * U256::from(numerator);
    let wide = U256::from(denominator);
    let (quotient, remainder) = (product / wide, product % wide);
    let is_odd = quotient % 2 != 0;
    let quotient = u128::try_from(quotient).map_err(|_| MathError::Overflow)?;
    let rounds_up = match remainder.cmp(&(wide - remainder)) {
        Ordering::Less => false,
        Ordering::Equal => is_odd,
        Ordering::Greater => true,
    };
    quotient.checked_add(u128::from(rounds_up)).ok_or(MathError::Overflow)
}

/// The quotient rounded half to even; in 64 bits where both fit, which is several times as fast.
#[inline]
fn div_half_even_unsigned(value: u128, divisor: u128) -> u128 {
    let (quotient, remainder) = if let (Ok(value), Ok(divisor)) = (u64::try_from(value), u64::try_from(divisor)) {
        (u128::from(value / divisor), u128::from(value % divisor))
    } else {
        let quotient = value / divisor;
        (quotient, value.wrapping_sub(quotient.wrapping_mul(divisor)))
    };
    // The remainder against the other part of the divisor, so that doubling cannot overflow.
    let other = divisor - remainder;
    quotient + u128::from(remainder > other || (remainder == other && quotient & 1 == 1))
}

/// The quotient by a positive divisor, rounded half to even.
pub(super) fn div_half_even(value: i128, divisor: i128) -> i128 {
    let size = div_half_even_unsigned(value.unsigned_abs(), divisor.unsigned_abs()).cast_signed();
    if value < 0 { -size } else { size }
}

/// Division by `10^exponent` where it leaves no remainder, without a division: `5^exponent` is odd and so has an inverse among the
/// integers below a power of two, and a product with that inverse is below the number of multiples exactly for multiples.
struct PowerOfTen<T> {
    exponent: u8,
    inverse: T,
    multiple_max: T,
}

macro_rules! power_of_ten {
    ($name:ident, $number:ty) => {
        const fn $name(exponent: u8) -> PowerOfTen<$number> {
            let power = (5 as $number).pow(exponent as u32);
            // Newton's iteration doubles the number of right bits, of which a number's own are three.
            let (mut inverse, mut bits) = (power, 3);
            while bits < <$number>::BITS {
                inverse = inverse.wrapping_mul((2 as $number).wrapping_sub(power.wrapping_mul(inverse)));
                bits *= 2;
            }
            PowerOfTen { exponent, inverse, multiple_max: <$number>::MAX / power }
        }

        impl PowerOfTen<$number> {
            /// Drops as many zeros, if there are.
            #[inline]
            fn drop(&self, number: &mut $number, scale: &mut u8) -> bool {
                if *scale < self.exponent {
                    return false;
                }
                let multiple = number.wrapping_mul(self.inverse);
                let drops = number.trailing_zeros() >= u32::from(self.exponent) && multiple <= self.multiple_max;
                if drops {
                    (*number, *scale) = (multiple >> self.exponent, *scale - self.exponent);
                }
                drops
            }
        }
    };
}

power_of_ten!(narrow_power, u64);
power_of_ten!(wide_power, u128);

/// Drops trailing zeros, in blocks: a value at scale 18 has a dozen of them.
#[inline]
pub(super) fn trim(mantissa: i128, scale: u8) -> (i128, u8) {
    if mantissa == 0 {
        return (0, 0);
    }
    let Ok(small) = u64::try_from(mantissa.unsigned_abs()) else {
        return trim_wide(mantissa, scale);
    };
    let (small, scale) = trim_small(small, scale);
    (if mantissa < 0 { -i128::from(small) } else { i128::from(small) }, scale)
}

#[inline(never)]
fn trim_wide(mantissa: i128, mut scale: u8) -> (i128, u8) {
    const EIGHT: PowerOfTen<u128> = wide_power(8);
    const ONE: PowerOfTen<u128> = wide_power(1);
    let mut wide = mantissa.unsigned_abs();
    let small = loop {
        if let Ok(small) = u64::try_from(wide) {
            break small;
        }
        if !EIGHT.drop(&mut wide, &mut scale) && !ONE.drop(&mut wide, &mut scale) {
            return (mantissa.signum() * wide.cast_signed(), scale);
        }
    };
    let (small, scale) = trim_small(small, scale);
    (if mantissa < 0 { -i128::from(small) } else { i128::from(small) }, scale)
}

/// No branch depends on the number: how many zeros the next one has cannot be foretold.
#[inline(never)]
fn trim_small(mut small: u64, mut scale: u8) -> (u64, u8) {
    const BLOCKS: [PowerOfTen<u64>; 5] =
        [narrow_power(16), narrow_power(8), narrow_power(4), narrow_power(2), narrow_power(1)];
    for block in &BLOCKS {
        block.drop(&mut small, &mut scale);
    }
    (small, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn trimming_drops_the_zeros_and_nothing_else(digits in any::<i128>(), shift in 0_u32..127, zeros in 0_u8..38, scale in any::<u8>()) {
            let digits = (digits >> shift).max(-i128::MAX);
            let mantissa = pow10(zeros).and_then(|factor| digits.checked_mul(factor)).unwrap_or(digits);
            let (mut plain, mut left) = (mantissa, scale);
            while left > 0 && plain != 0 && plain % 10 == 0 {
                (plain, left) = (plain / 10, left - 1);
            }
            prop_assert_eq!(trim(mantissa, scale), if mantissa == 0 { (0, 0) } else { (plain, left) });
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
