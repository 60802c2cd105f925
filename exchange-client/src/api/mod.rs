//! What an exchange can be asked and told, under the names that this field uses.
//!
//! A failed query is an error, never an empty answer; an answer says by itself when it was asked and how to go on. One
//! call of a paged method is one request, so that callers can store page by page and spread their requests.

mod new_order;
mod order_filters;
mod order_kind;
mod page;
mod reader;
mod stream;
mod trader;

use std::fmt;
use std::sync::Arc;

use ledger_core::{
    AnyFact, BalanceSnapshot, ClientOrderId, Fill, FundingRate, Income, Instrument, Order, OrderClass, OrderId,
    PositionSnapshot, PriceSnapshot, Source, Statement, Symbol, TimestampMs,
};

pub use self::new_order::{Amendment, IntentError, InvalidOrder, NewOrder};
pub use self::order_filters::{OrderFilters, QtyFilter};
pub use self::order_kind::{OrderKind, OrderSize, TimeInForce, Trigger, WorkingType};
pub use self::page::{Page, TimeWindow, TradeQuery, WindowError, WindowQuery};
pub use self::reader::ExchangeReader;
#[cfg(any(test, feature = "mock"))]
pub use self::reader::MockExchangeReader;
pub use self::stream::{
    AccountUpdate, ConfigChange, Gap, Interruption, MarginCall, MarginCallPosition, MarkEvent, MarkStream, MarkStreams,
    OrderUpdate, StreamEvent, StreamEventError, TradeNotice, TriggerRefusal, TriggerRejection, UserStream, UserStreams,
};
#[cfg(any(test, feature = "mock"))]
pub use self::stream::{MockMarkStream, MockMarkStreams, MockUserStream, MockUserStreams};
#[cfg(any(test, feature = "mock"))]
pub use self::trader::MockExchangeTrader;
pub use self::trader::{CancelOutcome, ExchangeTrader, MarginMode, SideCancel};
use crate::error::ExchangeError;

/// An entity with the words in which it was stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated<T> {
    /// What was stated.
    pub entity: T,
    /// The payload, verbatim.
    pub payload: Arc<str>,
}

/// An entity that can be recorded as a fact.
pub trait Entity: Clone {
    /// The fact of any kind that it is.
    fn into_fact(self) -> AnyFact;
}

macro_rules! entities {
    ($($type:ty => $variant:ident),+ $(,)?) => {$(
        impl Entity for $type {
            fn into_fact(self) -> AnyFact {
                AnyFact::$variant(self)
            }
        }
    )+};
}

entities!(
    Instrument => Instrument, Order => Order, Fill => Fill, Income => Income, PositionSnapshot => Position,
    BalanceSnapshot => Balance, PriceSnapshot => Price, FundingRate => FundingRate,
);

impl Entity for MarkPrice {
    fn into_fact(self) -> AnyFact {
        AnyFact::Price(self.price)
    }
}

impl<T: Entity> Stated<T> {
    /// The statement to record: the exchange's own answer.
    pub fn statement(&self) -> Statement {
        Statement {
            fact: self.entity.clone().into_fact(),
            source: Source::Rest,
            payload: Some(Arc::clone(&self.payload)),
        }
    }
}

/// A complete answer: everything there is, at the time of asking.
#[derive(Debug)]
pub struct Answer<T> {
    /// The rows.
    pub rows: Vec<Stated<T>>,
    /// The server's time when the request was sent: what happened before is in the answer, save for the venue's
    /// settle lag.
    pub asked_at: TimestampMs,
    /// Rows that could not be read. Of the contracts that they are about the answer says nothing: what it does not list of
    /// those is not absent, and a position not flat.
    pub unreadable: Vec<UnreadableRow>,
}

impl<T> Answer<T> {
    /// Whether everything that the exchange said about a contract could be read.
    pub fn speaks_of(&self, symbol: &Symbol) -> bool {
        speaks_of(&self.unreadable, symbol)
    }
}

/// A row of an answer that could not be read, while the others could. Of positions and orders it always says which contract
/// it is about: one that does not makes the whole answer an error, and so does one of an answer about a single contract, or
/// of balances.
#[derive(Debug)]
pub struct UnreadableRow {
    /// The contract that it is about, where that could be read.
    pub symbol: Option<Symbol>,
    /// What cannot be read.
    pub error: ExchangeError,
    /// The payload, verbatim.
    pub payload: Arc<str>,
}

/// Whether none of these rows is about a contract.
pub fn speaks_of(unreadable: &[UnreadableRow], symbol: &Symbol) -> bool {
    unreadable.iter().all(|row| row.symbol.as_ref() != Some(symbol))
}

/// Which account answers: a book is bound to it at the first sync.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountIdentity {
    /// The venue's name.
    pub venue: String,
    /// Where it was asked.
    pub base_url: String,
    /// What the exchange calls the account; the same for all of its keys.
    pub account_alias: String,
}

impl fmt::Display for AccountIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({})", self.account_alias, self.base_url, self.venue)
    }
}

/// How an order is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderRef {
    /// By the exchange's id.
    Id(OrderClass, OrderId),
    /// By the sender's id. Only unique among open orders: the latest one answers. A conditional order that triggered
    /// hands its id on to the regular order that it became, so an order may have to be asked for in both classes.
    Client(OrderClass, ClientOrderId),
}

impl OrderRef {
    /// Which id space is asked.
    pub fn class(&self) -> OrderClass {
        match self {
            Self::Id(class, _) | Self::Client(class, _) => *class,
        }
    }
}

impl fmt::Display for OrderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(OrderClass::Regular, id) => write!(f, "order {id}"),
            Self::Id(OrderClass::Conditional, id) => write!(f, "conditional order {id}"),
            Self::Client(OrderClass::Regular, id) => write!(f, "client order id {id}"),
            Self::Client(OrderClass::Conditional, id) => write!(f, "conditional client order id {id}"),
        }
    }
}

/// A mark price, and what the exchange says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkPrice {
    /// The price.
    pub price: PriceSnapshot,
    /// When the contract is funded next, by the exchange's clock; `None` for contracts without funding, and where the
    /// exchange does not say.
    pub next_funding: Option<TimestampMs>,
}

/// How much the exchange has been asked since the adapter was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// Their weight by the venue's table.
    pub weight: u64,
    /// What the exchange said last about this address' weight in the running minute: ours and everybody else's.
    pub weight_1m: Option<u32>,
    /// What the exchange said last about this account's orders in the running ten seconds.
    pub orders_10s: Option<u32>,
    /// What the exchange said last about this account's orders in the running minute.
    pub orders_1m: Option<u32>,
    /// Until when, by the local clock, the last read had to wait that the budget of a minute had no room for. Over when
    /// it lies in the past.
    pub waits_until: Option<TimestampMs>,
}
