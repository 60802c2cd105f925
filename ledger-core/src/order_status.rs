//! Where an order stands, and which of two statements about that is believed.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::merge::Joiner;
use crate::names::UnknownName;
use crate::source::{Source, valid_open_name};

/// Where an order stands. Values are ordered: a later one is believed over an earlier one, unless REST has said how the
/// order ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderStatus {
    /// Known only from its fills.
    Unknown,
    /// Accepted, nothing executed.
    New,
    /// A state that this version does not know, kept as the exchange names it.
    Other(SmolStr),
    /// A conditional order whose trigger was hit and that is being placed.
    Triggering,
    /// A conditional order that became a regular one.
    Triggered,
    /// Some of it executed, the rest working.
    PartiallyFilled,
    /// Refused.
    Rejected,
    /// Ended by its time in force.
    Expired,
    /// Ended by self-trade prevention.
    ExpiredInMatch,
    /// Cancelled, perhaps after some of it executed.
    Canceled,
    /// A conditional order whose regular order is done.
    Finished,
    /// Executed in full.
    Filled,
}

impl OrderStatus {
    const NAMED: &[(Self, &str)] = &[
        (Self::Unknown, "UNKNOWN"),
        (Self::New, "NEW"),
        (Self::Triggering, "TRIGGERING"),
        (Self::Triggered, "TRIGGERED"),
        (Self::PartiallyFilled, "PARTIALLY_FILLED"),
        (Self::Rejected, "REJECTED"),
        (Self::Expired, "EXPIRED"),
        (Self::ExpiredInMatch, "EXPIRED_IN_MATCH"),
        (Self::Canceled, "CANCELED"),
        (Self::Finished, "FINISHED"),
        (Self::Filled, "FILLED"),
    ];

    /// The exchange's name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => Self::NAMED.iter().find(|(status, _)| status == known).map_or("UNKNOWN", |(_, name)| name),
        }
    }

    /// Whether nothing more can happen to the order.
    pub fn is_terminal(&self) -> bool {
        *self >= Self::Rejected
    }
}

impl FromStr for OrderStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        if let Some((status, _)) = Self::NAMED.iter().find(|(_, name)| *name == text) {
            return Ok(status.clone());
        }
        if valid_open_name(text) {
            return Ok(Self::Other(text.into()));
        }
        Err(UnknownName {
            what: "order status",
            text: crate::printable::shorten(text),
            expected: "a name of letters, digits and `_`, for example FILLED".into(),
        })
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A status only moves forward, and two different ends cannot both be true. How REST says that the order ended is the
/// last word about it, as it is about the executed quantity; other stated ends stand as long as REST has not said one,
/// and the later one then. An end that fillbook inferred ends the order as long as nobody states another one: it gives
/// way to any, and is no side of a dispute. A library states a status of its own only where the exchange's answer in the
/// same object has another: it counts nothing beside any other word, and is a conflict with whatever that is.
pub(crate) fn join_status(left: &OrderStatus, right: &OrderStatus, j: &mut Joiner<'_>) -> OrderStatus {
    let sources = j.sources("status");
    let is_end = |status: &OrderStatus, source: Source| status.is_terminal() && !source.is_inferred();
    let is_library = |status: &OrderStatus, source| *status != OrderStatus::Unknown && source == Source::CcxtUnified;
    let is_stated = *left != OrderStatus::Unknown && *right != OrderStatus::Unknown;
    let libraries = [is_library(left, sources.0), is_library(right, sources.1)];
    let are_two_ends = left != right && is_end(left, sources.0) && is_end(right, sources.1);
    if are_two_ends || (is_stated && libraries[0] != libraries[1]) {
        j.conflict("status");
    }
    j.latest_by("status", left, right, |status, source| {
        let is_last_word = status.is_terminal() && source == Source::Rest;
        let is_stated = *status != OrderStatus::Unknown;
        let is_library = is_library(status, source);
        (is_last_word, is_stated && !is_library, is_end(status, source), status.is_terminal())
    })
}

#[cfg(feature = "serde")]
mod text_serde {
    use super::OrderStatus;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    impl Serialize for OrderStatus {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl<'de> Deserialize<'de> for OrderStatus {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        }
    }
}
