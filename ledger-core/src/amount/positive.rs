//! Numbers above zero: prices and quantities.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::decimal::Decimal;
use super::text::ParseDecimalError;

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
                    text: crate::printable::shorten(text),
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
