//! What can go wrong when talking to an exchange, told so that a caller can decide: which endpoint, which code, which
//! field, and whether what was sent may have taken effect.
//!
//! What an error repeats of an answer is a [`ForeignText`]: it can be made in one way only, and is fit for a screen, a log and
//! the book.
//!
//! Invariants, each with a test of the same name:
//! 1. `messages_say_where_and_do_not_repeat_their_source`.

mod field;
mod outcome;

use std::fmt;

use ledger_core::{ClientOrderId, Symbol, TimestampMs};
use thiserror::Error;

pub use self::field::FieldProblem;
pub use self::outcome::SendOutcome;
use crate::api::InvalidOrder;
use crate::clock::utc;
use crate::foreign::{ForeignError, ForeignText};
use crate::transport::{Method, TransportError};

/// What was asked: for messages, and for the weight that it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// The contract asked about, where it was one.
    pub symbol: Option<Symbol>,
    /// How many rows are asked for, where that decides what the request costs.
    pub rows_max: Option<u32>,
}

impl Endpoint {
    /// An endpoint, asked about one contract or none in particular.
    pub fn new(method: Method, path: &'static str, symbol: Option<&Symbol>) -> Self {
        Self { method, path, symbol: symbol.cloned(), rows_max: None }
    }

    /// The same, asked for at most so many rows.
    #[must_use]
    pub fn of_rows(mut self, rows_max: u32) -> Self {
        self.rows_max = Some(rows_max);
        self
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        match &self.symbol {
            Some(symbol) => write!(f, " for {symbol}"),
            None => Ok(()),
        }
    }
}

/// Why an exchange did not answer what was asked.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// No connection came about; nothing was sent.
    #[error("{endpoint}: the exchange cannot be reached; check the network and the base URL")]
    Unreachable {
        /// What was asked.
        endpoint: Endpoint,
        /// The network's complaint.
        #[source]
        source: TransportError,
    },
    /// The request may have arrived, but its answer is lost.
    #[error("{endpoint}: the answer was lost on its way")]
    AnswerLost {
        /// What was asked.
        endpoint: Endpoint,
        /// The network's complaint.
        #[source]
        source: TransportError,
    },
    /// The exchange understood and said no.
    #[error("{endpoint}: the exchange refused with code {code} (HTTP {status}): {message}")]
    Refused {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The exchange's error code.
        code: i64,
        /// The exchange's words.
        message: ForeignText,
    },
    /// The exchange does not trade the contract: it was closed, or never existed. Others are not concerned.
    #[error("{endpoint}: the exchange does not trade this contract, or no longer (code {code}): {message}")]
    SymbolClosed {
        /// What was asked, and about which contract.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The exchange's error code.
        code: i64,
        /// The exchange's words.
        message: ForeignText,
    },
    /// Too many requests, or too many orders. Nothing was executed.
    #[error("{endpoint}: the exchange asks to slow down; nothing of the kind is sent until {}", utc(*until))]
    Throttled {
        /// What was asked.
        endpoint: Endpoint,
        /// When requests are welcome again, by our clock.
        until: TimestampMs,
    },
    /// The account's orders of the running ten seconds or minute are used up, by the exchange's own count or ours. The order
    /// was not sent.
    #[error("{endpoint}: not sent, the orders that the exchange allows are used up until {}", utc(*until))]
    OrdersUsedUp {
        /// What was to be sent.
        endpoint: Endpoint,
        /// When orders may be sent again, by our clock.
        until: TimestampMs,
    },
    /// This address is banned for having ignored requests to slow down. Nothing was executed, nothing is sent.
    #[error("{endpoint}: the exchange has banned this address; nothing is sent until {}", utc(*until))]
    Banned {
        /// What was asked.
        endpoint: Endpoint,
        /// When the ban ends, by our clock.
        until: TimestampMs,
    },
    /// The exchange had too much to do and did not do it.
    #[error("{endpoint}: the exchange was overloaded and did not execute it (HTTP {status}): {message}")]
    Overloaded {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The exchange's words.
        message: ForeignText,
    },
    /// Something answered that credentials should be sent elsewhere. They were not.
    #[error("{endpoint}: HTTP {status} points to {location}; redirects are not followed, check the base URL")]
    Redirected {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The host that it points to; never the whole address, which may repeat a signature.
        location: ForeignText,
    },
    /// The exchange's firewall refused, or it does not serve the place that the request came from.
    #[error(
        "{endpoint}: the exchange does not serve this address (HTTP {status}); check where you ask from; nothing is read \
         until {}: {body_start}", utc(*until)
    )]
    Forbidden {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status: 403 or 451.
        status: u16,
        /// Until when no read is sent, by our clock. Commands are.
        until: TimestampMs,
        /// How the body begins, or that nothing was sent because of an earlier answer.
        body_start: ForeignText,
    },
    /// An HTTP error status without a code of the exchange: its firewall, a proxy, an overload.
    #[error("{endpoint}: HTTP {status} instead of an answer: {body_start}")]
    Http {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// How the body begins.
        body_start: ForeignText,
    },
    /// The exchange says that it does not know whether it did what was asked.
    #[error("{endpoint}: the exchange does not know the outcome (HTTP {status}): {message}")]
    OutcomeUnknown {
        /// What was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The exchange's words.
        message: ForeignText,
    },
    /// The answer is not JSON of the expected shape: cut off, HTML, something else altogether.
    #[error("{endpoint}: the answer ({content_type}) cannot be read; it begins with: {body_start}")]
    Unreadable {
        /// What was asked.
        endpoint: Endpoint,
        /// What the answer says it is.
        content_type: ForeignText,
        /// How the body begins.
        body_start: ForeignText,
        /// The reader's complaint.
        #[source]
        source: ForeignError,
    },
    /// A field of the answer is missing or makes no sense.
    #[error("{endpoint}: row {row} of the answer has an unusable field `{field}`")]
    Malformed {
        /// What was asked.
        endpoint: Endpoint,
        /// Which row, from 0.
        row: usize,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        problem: Box<FieldProblem>,
    },
    /// The exchange holds more than it lets us page through.
    #[error("{endpoint}: the answer is incomplete: {detail}")]
    Incomplete {
        /// What was asked.
        endpoint: Endpoint,
        /// Why.
        detail: ForeignText,
    },
    /// The adapter cannot do this.
    #[error("{what} is not supported for this exchange")]
    Unsupported {
        /// What was asked.
        what: &'static str,
    },
    /// The answer is another account's. Nothing of it counts.
    #[error("{endpoint}: the answer is about account {answered}, and {asked} was asked for")]
    AnotherAccount {
        /// What was asked.
        endpoint: Endpoint,
        /// Whose answer was wanted, by the exchange's name.
        asked: ForeignText,
        /// Whose it is.
        answered: ForeignText,
    },
    /// An order that makes no sense. It was not sent.
    #[error("order {client_order_id} was not sent")]
    InvalidOrder {
        /// The order.
        client_order_id: ClientOrderId,
        /// What makes no sense.
        #[source]
        source: InvalidOrder,
    },
    /// The base URL would send credentials in the clear, or is no URL.
    #[error(
        "`{base_url}` is no usable base URL: it must be https://host (a stream's: wss://host) without user, path or query, or http:// (ws://) on a loopback \
         address"
    )]
    BaseUrl {
        /// Scheme and host of what was given: the rest may hold a password.
        base_url: ForeignText,
    },
    /// The address of a stream says more than where it is. What stands behind the host is put there by who connects: with another
    /// path the exchange accepts the connection, answers its pings, and never tells anything.
    #[error(
        "the address of a stream ends with host and port, here `{base_url}`: category, form and key are put behind it, and on another path \
         the exchange connects and stays silent"
    )]
    StreamPath {
        /// The address that is right: scheme, host and port of what was given.
        base_url: ForeignText,
    },
}

/// What kind of trouble an [`ExchangeError`] is, for exit codes and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// Not reached, answer lost, overloaded: trying again later may help.
    Unavailable,
    /// Slow down first.
    Throttled,
    /// Key, secret, permission or address allow-list.
    Authentication,
    /// Another account's answer.
    AnotherAccount,
    /// Our clock is wrong.
    Clock,
    /// No such contract, or closed for good.
    Symbol,
    /// No such order; no proof that there never was one.
    NotFound,
    /// Anything else that the exchange refuses.
    Refused,
    /// The answer makes no sense to us.
    Malformed,
    /// The answer is knowingly incomplete.
    Incomplete,
    /// A mistake on our side of the wire.
    Unsupported,
}

impl ErrorClass {
    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Authentication => "authentication",
            Self::AnotherAccount => "another_account",
            Self::Clock => "clock",
            Self::Symbol => "symbol",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Why an exchange refused an order, as far as its sender can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderRefusal {
    /// An order that may only close found nothing left to close: the position is flat, or other orders claim it.
    NothingToClose,
    /// The order names a position of the other position mode.
    PositionMode,
    /// The quantity is off the contract's steps, outside of its range, or worth too little.
    Quantity,
    /// An open order has the same client order id: an earlier sending arrived.
    DuplicateId,
    /// The price that a conditional order waits for is reached already.
    AtTrigger,
    /// Another order waits that closes the same position as a whole.
    WholePositionTaken,
}

impl ExchangeError {
    /// Why an order was refused, where its sender can do something about it.
    pub fn order_refusal(&self) -> Option<OrderRefusal> {
        Some(match self.code()? {
            -2022 | -4118 => OrderRefusal::NothingToClose,
            -4061 => OrderRefusal::PositionMode,
            -1111 | -4003 | -4004 | -4005 | -4023 | -4164 => OrderRefusal::Quantity,
            -4116 => OrderRefusal::DuplicateId,
            -2021 => OrderRefusal::AtTrigger,
            -4130 => OrderRefusal::WholePositionTaken,
            _ => return None,
        })
    }

    /// What was asked, where anything was.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Unreachable { endpoint, .. }
            | Self::AnswerLost { endpoint, .. }
            | Self::Refused { endpoint, .. }
            | Self::SymbolClosed { endpoint, .. }
            | Self::Throttled { endpoint, .. }
            | Self::OrdersUsedUp { endpoint, .. }
            | Self::Banned { endpoint, .. }
            | Self::Overloaded { endpoint, .. }
            | Self::Redirected { endpoint, .. }
            | Self::Forbidden { endpoint, .. }
            | Self::Http { endpoint, .. }
            | Self::OutcomeUnknown { endpoint, .. }
            | Self::Unreadable { endpoint, .. }
            | Self::Malformed { endpoint, .. }
            | Self::Incomplete { endpoint, .. }
            | Self::AnotherAccount { endpoint, .. } => Some(endpoint),
            Self::Unsupported { .. } | Self::InvalidOrder { .. } | Self::BaseUrl { .. } | Self::StreamPath { .. } => {
                None
            }
        }
    }

    /// The exchange's error code, where it gave one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } | Self::SymbolClosed { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Which kind of trouble this is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Http { status: 401, .. } | Self::Forbidden { .. } => ErrorClass::Authentication,
            Self::Unreachable { .. }
            | Self::AnswerLost { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Overloaded { .. }
            | Self::Redirected { .. }
            | Self::Http { .. } => ErrorClass::Unavailable,
            Self::Throttled { .. } | Self::Banned { .. } | Self::OrdersUsedUp { .. } => ErrorClass::Throttled,
            Self::SymbolClosed { .. } => ErrorClass::Symbol,
            Self::Refused { code, .. } => match code {
                -1002 | -1022 | -1099 | -2014 | -2015 | -4109 => ErrorClass::Authentication,
                -1021 | -5028 => ErrorClass::Clock,
                -2011 | -2013 => ErrorClass::NotFound,
                _ => ErrorClass::Refused,
            },
            Self::Unreadable { .. } | Self::Malformed { .. } => ErrorClass::Malformed,
            Self::AnotherAccount { .. } => ErrorClass::AnotherAccount,
            Self::Incomplete { .. } => ErrorClass::Incomplete,
            Self::Unsupported { .. } | Self::InvalidOrder { .. } | Self::BaseUrl { .. } | Self::StreamPath { .. } => {
                ErrorClass::Unsupported
            }
        }
    }

    /// When asking again makes sense, for errors that say so.
    pub fn retry_at(&self) -> Option<TimestampMs> {
        match self {
            Self::Throttled { until, .. }
            | Self::Banned { until, .. }
            | Self::OrdersUsedUp { until, .. }
            | Self::Forbidden { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether a request that changes something may have taken effect although it ended in this error.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::AnswerLost { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Unreadable { .. }
            | Self::Malformed { .. }
            | Self::Incomplete { .. }
            | Self::AnotherAccount { .. }
            // Whoever redirects may have passed the request on.
            | Self::Redirected { .. } => true,
            // Below 500 an intermediary refused; 408 is the backend's own timeout.
            Self::Http { status, .. } => *status >= 500 || *status == 408 || *status < 400,
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::SymbolClosed { .. }
            | Self::Throttled { .. }
            | Self::Banned { .. }
            | Self::OrdersUsedUp { .. }
            | Self::Overloaded { .. }
            | Self::Forbidden { .. }
            | Self::Unsupported { .. }
            | Self::InvalidOrder { .. }
            | Self::BaseUrl { .. }
            | Self::StreamPath { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::ParseDecimalError;

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(Method::Post, "/fapi/v1/order", Some(&Symbol::new("BTCUSDT").unwrap()))
    }

    #[test]
    fn messages_say_where_and_do_not_repeat_their_source() {
        let error = ExchangeError::Malformed {
            endpoint: endpoint(),
            row: 3,
            field: "price",
            problem: Box::new(FieldProblem::Decimal(ParseDecimalError::NotANumber)),
        };
        assert_eq!(
            error.to_string(),
            "POST /fapi/v1/order for BTCUSDT: row 3 of the answer has an unusable field `price`"
        );
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "not a decimal number");
    }
}
