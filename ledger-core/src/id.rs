//! Identifiers, one type each, so that they cannot be swapped.
//!
//! Exchange ids are kept as text: they exceed 2^53, some venues use UUIDs, and nothing is ever computed from them.
//! Every id is printable: control characters are refused, so an id can be shown on a terminal as it is.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;
use thiserror::Error;

use crate::printable::{disturbs_display, has_key_form, shorten};

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing, or only white space.
    #[error("{what} is empty")]
    Empty {
        /// Which identifier.
        what: &'static str,
    },
    /// Longer than any venue's.
    #[error("{what} `{text}` is longer than {max} bytes")]
    TooLong {
        /// Which identifier.
        what: &'static str,
        /// How it begins.
        text: String,
        /// The limit.
        max: usize,
    },
    /// White space at an end, or control characters or other characters that this identifier cannot have.
    #[error("{what} `{text}` has a character that does not belong there")]
    Character {
        /// Which identifier.
        what: &'static str,
        /// The text, shortened and escaped.
        text: String,
    },
    /// A key or secret that was put where a name belongs. It is not repeated.
    #[error(
        "{what} has the form of an API key or secret, which is no name; consider it known to others, and replace it"
    )]
    KeyForm {
        /// Which identifier.
        what: &'static str,
    },
}

fn plain(text: &str) -> bool {
    // Nearly every id is of ASCII without a space: bytes are looked at once, instead of characters three times.
    text.bytes().all(|byte| byte.is_ascii_graphic())
        || !text.starts_with(char::is_whitespace)
            && !text.ends_with(char::is_whitespace)
            && !text.chars().any(disturbs_display)
}

/// Letters and digits of any script (some symbols are Chinese) and the separators that venues use; no spreadsheet
/// formula, shell or terminal syntax.
fn symbol_like(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | '.'))
        && text.starts_with(|c: char| c.is_alphanumeric())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $is_key:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks and keeps `text`.
            ///
            /// # Errors
            /// [`IdError`] when it is empty, too long, or has a character that does not belong there.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                if text.is_empty() {
                    return Err(IdError::Empty { what: $what });
                }
                if text.len() > $max {
                    return Err(IdError::TooLong { what: $what, text: shorten(text), max: $max });
                }
                let is_key: fn(&str) -> bool = $is_key;
                if is_key(text) {
                    return Err(IdError::KeyForm { what: $what });
                }
                let valid: fn(&str) -> bool = $valid;
                if !valid(text) {
                    return Err(IdError::Character { what: $what, text: shorten(text) });
                }
                Ok(Self(SmolStr::new(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// The book's own name for an account, for example `main`. Every key begins with it.
    AccountId, "account id", 64, has_key_form, |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
);
id!(
    /// An exchange's name for a contract, for example `BTCUSDT`.
    Symbol, "symbol", 64, has_key_form, symbol_like
);
id!(
    /// A currency or token, for example `USDT`.
    Asset, "asset", 32, has_key_form, symbol_like
);
id!(
    /// An order's id at the exchange; unique per symbol and order class only.
    OrderId, "order id", 128, |_| false, plain
);
id!(
    /// The id that the sender gave an order. Venues promise uniqueness among open orders only.
    ClientOrderId, "client order id", 128, |_| false, plain
);
id!(
    /// A trade id at the exchange; unique per symbol only, and shared by both sides of a self-trade.
    FillId, "fill id", 128, |_| false, plain
);
id!(
    /// The id of a signal: the bot's own, or a digest of what it says.
    SignalId, "signal id", 128, |_| false, plain
);
id!(
    /// The id of a ledger transaction at the exchange; unique per account and income type only.
    TranId, "transaction id", 128, |_| false, plain
);
id!(
    /// The name of the strategy that caused a trade.
    EngineLabel, "engine label", 128, has_key_form, plain
);
id!(
    /// A short text of the exchange or bot that is kept as it came: an order type, a reason.
    Label, "label", 256, |_| false, plain
);

impl FillId {
    /// The id as a number, for venues whose trade ids count up per symbol.
    pub fn as_sequence(&self) -> Option<i64> {
        self.0.parse().ok().filter(|id| *id >= 0)
    }
}

impl Label {
    /// The type of an order that is executed at once, at what the market offers.
    pub fn market() -> Self {
        Self(SmolStr::new_static("MARKET"))
    }

    /// The type of an order that is executed at its price or a better one.
    pub fn limit() -> Self {
        Self(SmolStr::new_static("LIMIT"))
    }

    /// The order type that waits for a price against the position, and is executed at the market then.
    pub fn stop_market() -> Self {
        Self(SmolStr::new_static("STOP_MARKET"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_harm_a_reader() {
        for text in
            ["=cmd|'/c calc'!A1", "+1", "-1", "@x", "BTC\u{1b}[31mUSDT", "BTC USDT", "", "a\u{202e}b", "BTC\nUSDT"]
        {
            assert!(Symbol::new(text).is_err(), "{text:?}");
        }
        for text in ["BTCUSDT", "1000PEPEUSDT", "币安人生USDT", "BTC/USDT:USDT", "BTCUSDT_260626", "BTC-PERP"] {
            assert_eq!(Symbol::new(text).unwrap().as_str(), text);
        }
        assert!(OrderId::new("\u{1b}]0;owned\u{7}").is_err());
        assert!(Symbol::new("A".repeat(65)).is_err());
        let message = ClientOrderId::new(format!("{}\u{1b}", "x".repeat(100))).unwrap_err().to_string();
        assert!(!message.contains('\u{1b}') && message.len() < 120, "{message}");
    }

    #[test]
    fn a_key_is_no_name_and_is_not_repeated() {
        let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
        for error in [
            AccountId::new(key).unwrap_err(),
            Symbol::new(key).unwrap_err(),
            EngineLabel::new(key).unwrap_err(),
            // Whatever else is wrong with it.
            AccountId::new(format!("{key}{key}")).unwrap_err(),
            Symbol::new(format!(" {key}")).unwrap_err(),
            Asset::new(key).unwrap_err(),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&key[..8]) && !shown.contains(&key[56..]), "{shown}");
        }
        // Digests are ids of signals and orders.
        assert!(SignalId::new("0a".repeat(32)).is_ok() && AccountId::new("a".repeat(64)).is_ok());
    }

    #[test]
    fn a_sequence_is_exact_beyond_2_to_the_53() {
        assert_eq!(FillId::new("8389765568816714211").unwrap().as_sequence(), Some(8_389_765_568_816_714_211));
        assert_eq!(FillId::new("-5").unwrap().as_sequence(), None);
        assert_eq!(FillId::new("a7").unwrap().as_sequence(), None);
    }
}
