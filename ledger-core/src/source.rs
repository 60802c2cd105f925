//! Where a fact came from, and who is believed when two sources differ.

use std::fmt;
use std::str::FromStr;

use crate::names::{UnknownName, stored_names};

/// Where a fact came from. The order is the rank: where two sources state different values, the greater one is
/// believed. REST outranks the stream because it is the exchange's own correction of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// fillbook inferred it while repairing the book.
    Repair,
    /// A label that a bot's state of its open positions gives an order: by inference.
    BotState,
    /// A label that a bot's log of entries gives an order.
    BotLog,
    /// A label that an order's client order id spells.
    ClientOrderId,
    /// What a row of such a database says in its columns, where the exchange's own answer in it says otherwise.
    BotColumn,
    /// The database of the Python bot that fillbook replaces.
    BotDatabase,
    /// What the ccxt library itself says in a unified object, where the exchange's own answer within it says otherwise.
    CcxtUnified,
    /// A unified object of the ccxt library.
    Ccxt,
    /// A CSV file exported from the exchange's web page.
    ExchangeCsv,
    /// A file of the exchange's bulk archive.
    ExchangeArchive,
    /// The bot itself, as it acted.
    Bot,
    /// The exchange's event stream.
    Stream,
    /// An answer of the exchange's REST interface.
    Rest,
}

stored_names!(Source, "source", {
    Repair = "repair", BotState = "bot_state", BotLog = "bot_log", ClientOrderId = "client_order_id",
    BotColumn = "bot_column", BotDatabase = "bot_database", CcxtUnified = "ccxt_unified", Ccxt = "ccxt", ExchangeCsv = "exchange_csv",
    ExchangeArchive = "exchange_archive", Bot = "bot", Stream = "stream", Rest = "rest",
});

impl Source {
    /// Whether fillbook concluded it from something else, however well: that gives way to whatever anybody states, is no
    /// side of a dispute, and among such conclusions the better one stands.
    pub fn is_inferred(self) -> bool {
        matches!(self, Self::Repair | Self::BotState | Self::BotLog | Self::ClientOrderId)
    }
}

/// The direction of an order or fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Adds to a long position or takes from a short one.
    Buy,
    /// The opposite.
    Sell,
}

stored_names!(Side, "side", { Buy = "BUY", Sell = "SELL" });

impl Side {
    /// The other direction.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// Which of the positions that a symbol can have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PositionSide {
    /// The only position of a symbol in one-way mode, long or short by its sign.
    Net,
    /// The long position in hedge mode.
    Long,
    /// The short position in hedge mode.
    Short,
}

stored_names!(PositionSide, "position side", { Net = "NET", Long = "LONG", Short = "SHORT" });

/// Whether a symbol has one position or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PositionMode {
    /// One position a symbol.
    OneWay,
    /// A long and a short position a symbol, side by side.
    Hedge,
}

stored_names!(PositionMode, "position mode", { OneWay = "one_way", Hedge = "hedge" });

/// A text of the exchange's that has known values, but where a new one is kept rather than refused.
pub(crate) fn valid_open_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The exchange's name of a kind of ledger entry, for example `FUNDING_FEE`. Unknown ones are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncomeType(smol_str::SmolStr);

impl IncomeType {
    /// Profit or loss of a closing fill, without its fee.
    pub const REALIZED_PNL: &str = "REALIZED_PNL";
    /// A trading fee.
    pub const COMMISSION: &str = "COMMISSION";
    /// A funding payment.
    pub const FUNDING_FEE: &str = "FUNDING_FEE";
    /// A deposit to or withdrawal from the futures wallet.
    pub const TRANSFER: &str = "TRANSFER";

    /// Whether this is `name`.
    pub fn is(&self, name: &str) -> bool {
        self.0 == name
    }

    /// The exchange's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IncomeType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        if valid_open_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(UnknownName {
                what: "income type",
                text: crate::printable::shorten(text),
                expected: "letters, digits, `_` and `-`, for example FUNDING_FEE".into(),
            })
        }
    }
}

impl fmt::Display for IncomeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(feature = "serde")]
mod text_serde {
    use super::IncomeType;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    impl Serialize for IncomeType {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl<'de> Deserialize<'de> for IncomeType {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        }
    }
}
