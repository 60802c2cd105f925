//! Amounts of money at the fixed scale of position math.

use super::decimal::{Decimal, SCALE_MAX};
use super::integer::{MathError, add_symmetric};

/// An amount of the settle asset in units of 10^-18: the fixed scale that position math works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Value(pub(crate) i128);

impl Value {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The exact value of a decimal.
    ///
    /// # Errors
    /// [`MathError::Overflow`] beyond about 1.7e20.
    #[inline]
    pub fn from_decimal(amount: Decimal) -> Result<Self, MathError> {
        amount.mantissa_at(SCALE_MAX).map(Self)
    }

    /// The same amount as a [`Decimal`].
    ///
    /// # Errors
    /// Never in practice: every value that arithmetic produces is a decimal.
    #[inline]
    pub fn to_decimal(self) -> Result<Decimal, MathError> {
        Decimal::new(self.0, SCALE_MAX)
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    #[inline]
    pub fn checked_add(self, other: Self) -> Result<Self, MathError> {
        add_symmetric(self.0, other.0).map(Self)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    #[inline]
    pub fn checked_sub(self, other: Self) -> Result<Self, MathError> {
        add_symmetric(self.0, -other.0).map(Self)
    }

    /// Whether this is nothing.
    #[inline]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The same amount with the other sign.
    #[inline]
    pub(crate) fn negated(self) -> Self {
        // No sum is `i128::MIN`.
        Self(self.0.wrapping_neg())
    }
}

#[cfg(feature = "serde")]
mod text_serde {
    use super::{Decimal, Value};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.to_decimal().map_err(S::Error::custom)?.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Value::from_decimal(Decimal::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}
