//! The events of a stream.

use std::sync::Arc;
use std::time::Duration;

use ledger_core::{
    AnyFact, Asset, BalanceSnapshot, Decimal, Fill, Label, Order, OrderId, PositionSide, PositionSnapshot, Price,
    Source, Statement, Symbol, TimestampMs,
};
use thiserror::Error;

use crate::error::{ExchangeError, FieldProblem};
use crate::foreign::{ForeignError, ForeignText};
use crate::transport::StreamError;

/// What a stream tells.
///
/// Within one kind of event and one connection the exchange keeps the order of what happened; between the kinds it does
/// not, and only the time in each says what came first. An event may come twice: as a fact it is the same one.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The first connection stands, since then by the exchange's clock. What happened before is not told.
    Opened {
        /// Since when.
        at: TimestampMs,
    },
    /// The connection is lost, or a further attempt to make it failed. A [`Gap`] follows once it stands again.
    Interrupted {
        /// Since when nothing is told, by the exchange's clock; the same for all attempts.
        since: TimestampMs,
        /// Why.
        cause: Interruption,
    },
    /// The connection stands again.
    Resumed(Gap),
    /// Something happened to an order.
    Order(Box<OrderUpdate>),
    /// A fill, told early and in part; the same fill comes as an [`Order`](Self::Order) event as well.
    Trade(Box<TradeNotice>),
    /// Balances and positions have changed.
    Account(AccountUpdate),
    /// A setting has changed.
    Config(ConfigChange),
    /// Positions are about to be liquidated.
    MarginCall(MarginCall),
    /// A conditional order was triggered, and the regular order that it became was refused. Since December 2025 the exchange tells
    /// that as an [`Order`](Self::Order) event with a [`TriggerRefusal`].
    TriggerRejected(TriggerRejection),
    /// An event of a kind that this version does not know.
    Unknown {
        /// The exchange's name for it, if it has one.
        name: Option<String>,
        /// The message, verbatim.
        payload: Arc<str>,
    },
    /// A message that cannot be read. The stream goes on; what it told has to be asked for.
    Unreadable {
        /// What is wrong with it.
        error: StreamEventError,
        /// The message, verbatim; what is not text is replaced.
        payload: Arc<str>,
    },
}

impl StreamEvent {
    /// The facts that it states, ready to be recorded: orders and fills.
    ///
    /// What an [`AccountUpdate`] observes is not among them: two of them may observe different things in one millisecond,
    /// which as facts would contradict each other.
    pub fn statements(&self) -> Vec<Statement> {
        match self {
            Self::Order(update) => {
                let order = AnyFact::Order(update.order.clone());
                let facts = [Some(order), update.fill.clone().map(AnyFact::Fill)];
                facts.into_iter().flatten().map(|fact| stated(fact, &update.payload)).collect()
            }
            Self::Trade(notice) => vec![stated(AnyFact::Fill(notice.fill.clone()), &notice.payload)],
            _ => Vec::new(),
        }
    }
}

fn stated(fact: AnyFact, payload: &Arc<str>) -> Statement {
    Statement { fact, source: Source::Stream, payload: Some(Arc::clone(payload)) }
}

/// A stretch of time of which the stream told nothing, or not everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// What happened before may have been told: some time before the last sign of life, by the exchange's clock.
    pub since: TimestampMs,
    /// When the connection stood again, by the exchange's clock.
    pub until: TimestampMs,
}

/// Why a stream tells nothing for a while.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Interruption {
    /// The connection ended, or did not come about.
    #[error("the connection of the stream is lost")]
    Connection(#[source] StreamError),
    /// Neither an event nor a sign of life came.
    #[error("the stream was silent for {} s", after.as_secs())]
    Silent {
        /// For how long.
        after: Duration,
    },
    /// The key that names the stream was not known any more.
    #[error("the exchange has forgotten the key of the stream")]
    KeyExpired,
    /// The exchange gives no key.
    #[error("the exchange gives no access to the stream")]
    NoAccess(#[source] ExchangeError),
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderUpdate {
    /// When the exchange told it, by its clock.
    pub told_at: TimestampMs,
    /// What happened, in the exchange's word: `NEW`, `TRADE`, `CANCELED`, `EXPIRED`, `AMENDMENT`, `CALCULATED` for what the
    /// exchange executed by itself, or another; a conditional order's events have none.
    pub execution: Option<Label>,
    /// The order's state afterwards. Of those that the exchange sent by itself the exit reason says why.
    pub order: Order,
    /// Why the exchange refused what a conditional order became when it was triggered, if this is
    /// that.
    pub refusal: Option<TriggerRefusal>,
    /// The fill, if this was one.
    pub fill: Option<Fill>,
    /// The message, verbatim.
    pub payload: Arc<str>,
}

/// A conditional order was triggered, and the exchange refused what it became: nothing works and nothing was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerRefusal {
    /// The exchange's words, without control characters and not endless, if it says any.
    pub reason: Option<String>,
}

/// A fill without its fee, its position and what it realized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeNotice {
    /// When the exchange told it, by its clock.
    pub told_at: TimestampMs,
    /// The fill, as far as it is told. It has the key of the complete one, so recording both makes one.
    pub fill: Fill,
    /// The message, verbatim.
    pub payload: Arc<str>,
}

/// What balances and positions were after something happened. Only those that changed are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUpdate {
    /// When the exchange told it, by its clock.
    pub told_at: TimestampMs,
    /// Why they changed, in the exchange's word: `ORDER`, `FUNDING_FEE`, `DEPOSIT`, ...
    pub reason: Label,
    /// Wallet balances.
    pub balances: Vec<BalanceSnapshot>,
    /// What the exchange says changed a balance besides profit and fees, where it says so: deposits, transfers.
    pub balance_changes: Vec<(Asset, Decimal)>,
    /// Positions; 0 = flat.
    pub positions: Vec<PositionSnapshot>,
    /// The message, verbatim.
    pub payload: Arc<str>,
}

/// A setting that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigChange {
    /// A contract's leverage.
    Leverage {
        /// When the exchange told it, by its clock.
        told_at: TimestampMs,
        /// The contract.
        symbol: Symbol,
        /// The leverage from now on.
        leverage: u32,
    },
    /// Whether all assets together are margin.
    MultiAssets {
        /// When the exchange told it, by its clock.
        told_at: TimestampMs,
        /// Whether they are, from now on.
        is_on: bool,
    },
}

/// A warning before a liquidation. No proof that there would be one before every liquidation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarginCall {
    /// When the exchange told it, by its clock.
    pub told_at: TimestampMs,
    /// The wallet that crossed positions use up, where any are.
    pub cross_wallet: Option<Decimal>,
    /// The positions in danger.
    pub positions: Vec<MarginCallPosition>,
    /// The message, verbatim.
    pub payload: Arc<str>,
}

/// A position in danger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarginCallPosition {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// Signed quantity.
    pub qty: Decimal,
    /// The mark price.
    pub mark_price: Option<Price>,
    /// The margin that has to be left.
    pub maintenance_margin: Option<Decimal>,
}

/// A conditional order that came to nothing when it was triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerRejection {
    /// When the exchange told it, by its clock.
    pub told_at: TimestampMs,
    /// The contract.
    pub symbol: Symbol,
    /// The order's id.
    pub order_id: OrderId,
    /// The exchange's words.
    pub reason: String,
    /// The message, verbatim.
    pub payload: Arc<str>,
}

/// Why a message of a stream cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamEventError {
    /// It is not JSON of the expected shape.
    #[error("a message of the stream cannot be read; it begins with: {body_start}")]
    Unreadable {
        /// How it begins.
        body_start: ForeignText,
        /// The reader's complaint.
        #[source]
        source: ForeignError,
    },
    /// It is not text.
    #[error("a message of the stream is not text, but {length_bytes} bytes of something else")]
    Binary {
        /// How long it is.
        length_bytes: usize,
    },
    /// A field is missing or makes no sense.
    #[error("event {event} has an unusable field `{field}`")]
    Malformed {
        /// The exchange's name of the event.
        event: &'static str,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        problem: Box<FieldProblem>,
    },
}
