//! Decimals as text.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::decimal::{Decimal, SCALE_MAX};
use super::integer::pow10;

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
        let digits = shown.mantissa().unsigned_abs().to_string();
        let scale = usize::from(shown.scale());
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
        f.pad_integral(shown.mantissa() >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
#[cfg(feature = "serde")]
mod text_serde {
    use crate::amount::{Decimal, Price, Quantity};
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
}
