//! Orders as the simulator keeps them, and as they are asked for.

use super::books::PositionSide;

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Market,
    /// This price or a better one.
    Limit {
        /// The worst price.
        price_e8: i128,
    },
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
        }
    }

    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// An order to place, its texts already read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) symbol: String,
    pub(super) buy: bool,
    pub(super) position_side: PositionSide,
    pub(super) kind: Kind,
    pub(super) qty_e8: i128,
    pub(super) reduce_only: bool,
    pub(super) client_order_id: Option<String>,
}

/// An order of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) client_order_id: String,
    pub(super) ticket: Ticket,
    pub(super) status: Status,
    pub(super) executed_e8: i128,
    pub(super) quote_e16: i128,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
}

impl Order {
    pub(super) fn remaining_e8(&self) -> i128 {
        self.ticket.qty_e8 - self.executed_e8
    }
}

/// How an order is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    /// By the exchange's id.
    Id(i64),
    /// By the sender's id: the latest order with it.
    Client(String),
}
