//! Orders as the simulator keeps them, and as they are asked for.

use super::books::PositionSide;

/// How long a limit order waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeInForce {
    /// Until it is cancelled.
    Gtc,
    /// Not at all: what cannot be executed at once expires.
    Ioc,
    /// Not at all, and all or nothing.
    Fok,
    /// Until it is cancelled, and never as a taker.
    Gtx,
    /// Until it is cancelled, and no longer than this.
    Gtd { until_ms: i64 },
    /// Until it is cancelled or the position that it is to close is gone. Conditional orders only.
    GteGtc,
}

impl TimeInForce {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gtc => "GTC",
            Self::Ioc => "IOC",
            Self::Fok => "FOK",
            Self::Gtx => "GTX",
            Self::Gtd { .. } => "GTD",
            Self::GteGtc => "GTE_GTC",
        }
    }

    /// Those that regular orders may have, but for `GTD`, which is more than its name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Gtc, Self::Ioc, Self::Fok, Self::Gtx].into_iter().find(|known| known.as_str() == text)
    }
}

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Market,
    /// This price or a better one.
    Limit {
        /// The worst price.
        price_e8: i128,
        /// For how long.
        time_in_force: TimeInForce,
    },
}

impl Kind {
    /// Whether it waits no longer than there is a position to close.
    pub(super) fn is_for_a_position(self) -> bool {
        matches!(self, Self::Limit { time_in_force: TimeInForce::GteGtc, .. })
    }

    /// When it ends by itself; 0 for never.
    pub(super) fn good_till_ms(self) -> i64 {
        match self {
            Self::Limit { time_in_force: TimeInForce::Gtd { until_ms }, .. } => until_ms,
            _ => 0,
        }
    }

    /// The worst price, if there is one.
    pub(super) fn limit_e8(self) -> Option<i128> {
        match self {
            Self::Market => None,
            Self::Limit { price_e8, .. } => Some(price_e8),
        }
    }
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

/// Why the exchange itself placed an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced {
    /// The margin was used up.
    Liquidation,
    /// Somebody else's liquidation could not be covered.
    Adl,
    /// The contract was closed.
    Settlement,
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
    pub(super) close_position: bool,
    pub(super) client_order_id: Option<String>,
}

impl Ticket {
    /// Whether it was sent as one that may only close.
    pub(super) fn only_closes(&self) -> bool {
        self.reduce_only || self.kind.is_for_a_position()
    }
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
    pub(super) forced: Option<Forced>,
    /// The conditional order that it came from.
    pub(super) algo_id: Option<i64>,
}

impl Order {
    pub(super) fn new(id: i64, ticket: Ticket, now_ms: i64) -> Self {
        Self {
            id,
            client_order_id: ticket.client_order_id.clone().unwrap_or_else(|| format!("sim_{id}")),
            ticket,
            status: Status::New,
            executed_e8: 0,
            quote_e16: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
            forced: None,
            algo_id: None,
        }
    }

    pub(super) fn remaining_e8(&self) -> i128 {
        self.ticket.qty_e8 - self.executed_e8
    }

    /// The average price of what was executed; 0 when nothing was.
    pub(super) fn average_e8(&self) -> i128 {
        if self.executed_e8 == 0 { 0 } else { super::fixed::mul_div(self.quote_e16, 1, self.executed_e8) }
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
