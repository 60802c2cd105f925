//! The name of a round trip.
//!
//! Round trips are derived, and every import may bring an older one: a count moves then, and whatever refers to it would
//! refer to another trip. So a round trip is named by the fact that opened it, which no later fact changes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{FillId, OrderId, Symbol};
use crate::printable::shorten;
use crate::source::{PositionSide, Side};
use crate::time::TimestampMs;

/// What began a round trip.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Opening {
    /// The fill that opened it.
    Fill {
        /// The fill's side, which separates the halves of a self-trade.
        side: Side,
        /// The trade id.
        fill_id: FillId,
    },
    /// A stated position (an [`Anchor`](crate::Anchor)) at this instant.
    Anchor(TimestampMs),
    /// What this order executed beyond its recorded fills (a [`Residual`](crate::Residual)). The trip takes its fill's
    /// name when the fill arrives.
    Order(OrderId),
    /// The opening was never seen. This is the first fill on record that closed some of the position.
    Unseen {
        /// The closing fill's side.
        side: Side,
        /// The closing fill's trade id.
        fill_id: FillId,
    },
    /// The opening was never seen, and what this order executed beyond its recorded fills closed some of the position.
    UnseenOrder(OrderId),
}

/// The name of a round trip within an account.
///
/// As text it is `SYMBOL|POSITION SIDE|OPENING`, which is what output shows and commands take:
///
/// ```
/// use ledger_core::TripKey;
///
/// let key: TripKey = "BTCUSDT|NET|BUY-101".parse()?;
/// assert_eq!(key.to_string(), "BTCUSDT|NET|BUY-101");
/// assert!("BTCUSDT|NET|101".parse::<TripKey>().is_err());
/// # Ok::<(), ledger_core::TripKeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TripKey {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// What began it.
    pub opening: Opening,
}

/// A text that names no round trip.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` names no round trip; expected SYMBOL|POSITION SIDE|OPENING, for example BTCUSDT|NET|BUY-101")]
pub struct TripKeyError {
    /// The text, shortened and escaped.
    pub text: String,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill { side, fill_id } => write!(f, "{side}-{fill_id}"),
            Self::Anchor(at) => write!(f, "anchor-{}", at.as_ms()),
            Self::Order(order_id) => write!(f, "order-{order_id}"),
            Self::Unseen { side, fill_id } => write!(f, "unseen-{side}-{fill_id}"),
            Self::UnseenOrder(order_id) => write!(f, "unseen-order-{order_id}"),
        }
    }
}

impl Opening {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('-')?;
        match kind {
            "anchor" => Some(Self::Anchor(TimestampMs::new(rest.parse().ok()?).ok()?)),
            "order" => Some(Self::Order(OrderId::new(rest).ok()?)),
            "unseen" => {
                let (kind, id) = rest.split_once('-')?;
                if kind == "order" {
                    return Some(Self::UnseenOrder(OrderId::new(id).ok()?));
                }
                Some(Self::Unseen { side: kind.parse().ok()?, fill_id: FillId::new(id).ok()? })
            }
            side => Some(Self::Fill { side: side.parse().ok()?, fill_id: FillId::new(rest).ok()? }),
        }
    }
}

impl fmt::Display for TripKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.symbol, self.position_side, self.opening)
    }
}

impl FromStr for TripKey {
    type Err = TripKeyError;

    fn from_str(text: &str) -> Result<Self, TripKeyError> {
        // An id may have the separator in it, and comes last.
        let mut parts = text.splitn(3, '|');
        let key = (|| {
            let symbol = Symbol::new(parts.next()?).ok()?;
            let position_side = parts.next()?.parse().ok()?;
            Some(Self { symbol, position_side, opening: Opening::parse(parts.next()?)? })
        })();
        key.ok_or_else(|| TripKeyError { text: shorten(text) })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Opening {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Opening {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("nothing that begins a round trip"))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for TripKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for TripKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opening_survives_as_text() {
        for text in [
            "BTCUSDT|NET|BUY-101",
            "ETHUSDT_260626|LONG|SELL-a|b-c",
            "币安人生USDT|SHORT|anchor-1767225600000",
            "BTCUSDT|NET|order-8389765568816714211",
            "BTCUSDT|NET|unseen-BUY-order-7",
            "BTCUSDT|NET|unseen-order-7",
        ] {
            assert_eq!(text.parse::<TripKey>().unwrap().to_string(), text);
        }
        for text in ["", "BTCUSDT", "BTCUSDT|NET", "BTCUSDT|BOTH|BUY-1", "BTCUSDT|NET|anchor-x", "BTCUSDT|NET|BUY-"] {
            assert!(text.parse::<TripKey>().is_err(), "{text}");
        }
    }
}
