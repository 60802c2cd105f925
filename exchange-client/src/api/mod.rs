//! What an exchange can be asked and told, under the names that this field uses.
//!
//! A failed query is an error, never an empty answer; an answer says by itself when it was asked and how to go on. One
//! call of a paged method is one request, so that callers can store page by page and spread their requests.

mod page;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::{
    AnyFact, BalanceSnapshot, ClientOrderId, Fill, Income, Instrument, Order, OrderClass, OrderId, OrderIntent,
    PositionMode, PositionSide, PositionSnapshot, Price, PriceSnapshot, Quantity, Side, Source, Statement, Symbol,
    TimestampMs,
};

pub use self::page::{Page, TimeWindow, TradeQuery, WindowError, WindowQuery};
use crate::error::{ExchangeError, SendOutcome};
use crate::venue::VenueFacts;

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
    BalanceSnapshot => Balance, PriceSnapshot => Price,
);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The rows.
    pub rows: Vec<Stated<T>>,
    /// The server's time when the request was sent: what happened before is in the answer, save for the venue's
    /// settle lag.
    pub asked_at: TimestampMs,
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
    /// By the sender's id. Only unique among open orders: the latest one answers.
    Client(ClientOrderId),
}

impl fmt::Display for OrderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(OrderClass::Regular, id) => write!(f, "order {id}"),
            Self::Id(OrderClass::Conditional, id) => write!(f, "conditional order {id}"),
            Self::Client(id) => write!(f, "client order id {id}"),
        }
    }
}

/// How much the exchange has been asked since the adapter was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Requests sent.
    pub requests: u64,
    /// Their weight by the venue's table.
    pub weight: u64,
    /// What the exchange said last about this address' weight in the running minute: ours and everybody else's.
    pub weight_1m: Option<u32>,
}

/// Asks; changes nothing at the exchange.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ExchangeReader: Send + Sync {
    /// The venue's limits and promises.
    fn venue(&self) -> &'static VenueFacts;

    /// What has been asked so far.
    fn usage(&self) -> Usage;

    /// The exchange's clock.
    ///
    /// # Errors
    /// [`ExchangeError`], as for every method here.
    async fn server_time(&self) -> Result<TimestampMs, ExchangeError>;

    /// Which account these credentials belong to.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn account_identity(&self) -> Result<AccountIdentity, ExchangeError>;

    /// One-way or hedge mode.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_position_mode(&self) -> Result<PositionMode, ExchangeError>;

    /// All contracts.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_instruments(&self) -> Result<Answer<Instrument>, ExchangeError>;

    /// Mark prices of one contract or all.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_mark_prices(&self, symbol: Option<Symbol>) -> Result<Answer<PriceSnapshot>, ExchangeError>;

    /// Open positions of one contract or all. A position that is not listed was flat when asked.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_positions(&self, symbol: Option<Symbol>) -> Result<Answer<PositionSnapshot>, ExchangeError>;

    /// Wallet balances.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_balances(&self) -> Result<Answer<BalanceSnapshot>, ExchangeError>;

    /// Working orders of one contract or all.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_open_orders(&self, symbol: Option<Symbol>) -> Result<Answer<Order>, ExchangeError>;

    /// One order; `None` when the exchange does not know it, which is no proof that there never was one.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_order(&self, symbol: Symbol, order: OrderRef) -> Result<Option<Stated<Order>>, ExchangeError>;

    /// Orders created in a window, of one contract or all: one page.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_orders(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError>;

    /// Fills of one contract: one page.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_my_trades(&self, symbol: Symbol, query: TradeQuery)
    -> Result<Page<Fill, TradeQuery>, ExchangeError>;

    /// Ledger entries of a window, all contracts: one page.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_income(&self, query: WindowQuery) -> Result<Page<Income, WindowQuery>, ExchangeError>;
}

/// What an order is executed at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderKind {
    /// At once, at what the book offers.
    Market,
    /// At this price or better, resting until then (good till cancelled).
    Limit {
        /// The worst acceptable price.
        price: Price,
    },
}

/// An order to send. The client order id is not optional: it is how an unknown outcome is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The id to find it by.
    pub client_order_id: ClientOrderId,
    /// The contract.
    pub symbol: Symbol,
    /// The direction.
    pub side: Side,
    /// The position to change: `Net` in one-way mode.
    pub position_side: PositionSide,
    /// Market or limit.
    pub kind: OrderKind,
    /// How much.
    pub qty: Quantity,
    /// Whether it may only make the position smaller; not available in hedge mode, where the side says it.
    pub reduce_only: bool,
}

impl NewOrder {
    /// The order that an intent describes; `None` when it is of a kind that cannot be sent yet or has no quantity.
    pub fn from_intent(intent: &OrderIntent) -> Option<Self> {
        let kind = match (intent.class, intent.order_type.as_str(), intent.price) {
            (OrderClass::Regular, "MARKET", None) => OrderKind::Market,
            (OrderClass::Regular, "LIMIT", Some(price)) => OrderKind::Limit { price },
            _ => return None,
        };
        Some(Self {
            client_order_id: intent.client_order_id.clone(),
            symbol: intent.symbol.clone(),
            side: intent.side,
            position_side: intent.position_side.unwrap_or(PositionSide::Net),
            kind,
            qty: intent.qty?,
            reduce_only: intent.reduce_only,
        })
    }
}

/// Trades. Everything here has three outcomes, and nothing is ever sent twice.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ExchangeTrader: Send + Sync {
    /// Places an order. The answer tells the order's state, never fills.
    async fn create_order(&self, order: NewOrder) -> SendOutcome<Stated<Order>>;

    /// Cancels an order.
    async fn cancel_order(&self, symbol: Symbol, order: OrderRef) -> SendOutcome<Stated<Order>>;

    /// Switches between one-way and hedge mode; being in that mode already is fine.
    async fn set_position_mode(&self, mode: PositionMode) -> SendOutcome<()>;
}
