//! What became of what an executor was asked for. Errors are for what was not sent; everything else is a value.

use exchange_client::ExchangeError;
use ledger_core::{
    BalanceSnapshot, ClientOrderId, Decimal, MathError, Order, OrderKey, Price, Quantity, RoundTrip, Symbol,
};
use thiserror::Error;

use super::rounding::Unsendable;
use crate::error::ReconcileError;
use crate::record::Gate;

/// Why something could not even be begun. Nothing was sent.
#[derive(Debug, Error)]
pub enum ExecuteError {
    /// The book could not be read, or the order not be written down first.
    #[error("nothing was sent: the book is not available")]
    Book(#[source] ReconcileError),
    /// The exchange did not answer what has to be known first.
    #[error("nothing was sent: the exchange did not answer a question that comes before the order")]
    Exchange(#[source] ExchangeError),
    /// The exchange did not answer in time.
    #[error("nothing was sent: the exchange did not answer within {seconds} s")]
    Slow {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The exchange's answer says nothing of the contract.
    #[error("nothing was sent: the exchange does not list {symbol}, or what it says of it cannot be read")]
    UnknownContract {
        /// The contract.
        symbol: Symbol,
    },
    /// The name of a plan was used for another contract or direction before.
    #[error(
        "nothing was sent: {client_order_id} stands for an order of {symbol} already; a signal or plan names one position"
    )]
    CauseReused {
        /// The id that both orders would have.
        client_order_id: ClientOrderId,
        /// The contract of the order on record.
        symbol: Symbol,
    },
    /// All attempts of an order that can be numbered were made.
    #[error("nothing was sent: all {attempts} attempts of this order were refused or ended without a fill")]
    AttemptsUsedUp {
        /// How many that are.
        attempts: u32,
    },
    /// No client order id can be made of it.
    #[error("nothing was sent: no client order id can be made that the exchange accepts")]
    NoClientOrderId,
    /// A price or quantity that cannot be calculated with.
    #[error("nothing was sent: a number is too large")]
    Math(#[source] MathError),
}

impl From<ReconcileError> for ExecuteError {
    fn from(error: ReconcileError) -> Self {
        Self::Book(error)
    }
}

impl From<MathError> for ExecuteError {
    fn from(error: MathError) -> Self {
        Self::Math(error)
    }
}

/// An order that the exchange has.
#[derive(Debug)]
pub struct SentOrder {
    /// The id that it was sent with.
    pub client_order_id: ClientOrderId,
    /// How much was asked for, after rounding.
    pub qty: Quantity,
    /// The limit, after rounding; `None` for market orders.
    pub price: Option<Price>,
    /// The order as the exchange answered it.
    pub order: Order,
    /// Why its answer is not on record, if it is not. The intent is, so the next sync finds the order.
    pub not_recorded: Option<ReconcileError>,
}

/// What became of an entry or addition.
#[derive(Debug)]
#[must_use]
pub enum EntryOutcome {
    /// The exchange has the order.
    Sent(Box<SentOrder>),
    /// The exchange refused the order, and nothing of it was executed. The next request of the same is another attempt.
    Refused {
        /// The id that it was sent with.
        client_order_id: ClientOrderId,
        /// The exchange's words.
        error: ExchangeError,
        /// Why the refusal is not on record, if it is not: then the next request waits until it is.
        not_recorded: Option<ReconcileError>,
    },
    /// The order was sent, and nobody knows what became of it. It is not sent again before that is decided.
    Unknown {
        /// The id to ask for.
        client_order_id: ClientOrderId,
        /// What came instead of an answer.
        error: ExchangeError,
    },
    /// The same order was sent before, and is working or was executed, in part at least. Nothing was sent.
    AlreadySent {
        /// The id that it was sent with.
        client_order_id: ClientOrderId,
        /// The order as it stands.
        order: Box<Order>,
    },
    /// The same order may have been sent before, and the exchange does not say what became of it. Nothing was sent. A sync
    /// decides it, once absence is proven or the order turns up.
    Undecided {
        /// The id to ask for.
        client_order_id: ClientOrderId,
    },
    /// Something about the contract is open, so no entry may be made. Nothing was sent.
    Blocked(Gate),
    /// The exchange would refuse the order. Nothing was sent.
    Unsendable(Unsendable),
}

/// Why an addition is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNeeded {
    /// Nothing of this direction is held.
    NoPosition,
    /// All additions that there may be were made.
    StepsUsedUp {
        /// How many there are.
        steps: u32,
    },
    /// The last addition is still working.
    StepWorking {
        /// Which one, from 1.
        step: u32,
    },
    /// The price has not moved far enough.
    NotFarEnough {
        /// The mark price.
        mark: Price,
        /// From where the price has to have moved.
        basis: Price,
    },
    /// The entry that the distance counts from is not on record, or its price is not.
    NoBasis,
    /// The mark price is too old to decide by.
    StalePrice {
        /// How old it is, in ms.
        age_ms: i64,
    },
}

/// What became of an addition.
#[derive(Debug)]
#[must_use]
pub enum DcaOutcome {
    /// There was no reason to add. Nothing was sent.
    NotNeeded(NotNeeded),
    /// An addition was due.
    Due {
        /// Which one, from 1.
        step: u32,
        /// What became of it.
        outcome: EntryOutcome,
    },
}

/// What became of one attempt to close.
#[derive(Debug)]
pub enum AttemptVerdict {
    /// The order has ended.
    Ended(Box<Order>),
    /// The exchange refused it; nothing of it was executed.
    Refused(ExchangeError),
    /// The exchange has not said what became of it while the next attempt waited for that.
    Undecided,
}

/// One attempt to close.
#[derive(Debug)]
pub struct CloseAttempt {
    /// The id that it was sent with.
    pub client_order_id: ClientOrderId,
    /// How much it was to close.
    pub qty: Quantity,
    /// What became of it.
    pub verdict: AttemptVerdict,
}

/// How a close ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseEnd {
    /// The exchange says that nothing is held.
    Flat,
    /// What is left is too small for an order, and the exchange refused one.
    Dust {
        /// How much is left.
        qty: Decimal,
    },
    /// Attempt after attempt closed nothing. Asking again goes on with the next one.
    StillOpen {
        /// How much is left.
        qty: Decimal,
    },
    /// The exchange did not answer what is held, and nobody else knows.
    PositionUnknown,
}

/// Why the wallet that the exchange states after a close is not on record. It is left to the next look.
#[derive(Debug)]
pub enum BalanceRemark {
    /// No balance is on record yet. The first one takes two answers, which a look asks for.
    NoneOnRecord,
    /// Fills are on their way, or do not say what they moved; or it is not known what became of another order.
    FillsMissing,
    /// More has happened since the last balance than is looked through, or something of which it is not documented what it does
    /// to a wallet.
    TooMuchSince,
    /// The exchange did not answer.
    NotAnswered(ExecuteError),
    /// The wallet moved in the very millisecond in which it was asked for, or later: what else moved it in that millisecond,
    /// as a close of the other leg of a hedge, may be in this one or not.
    InTheMoment(BalanceSnapshot),
    /// The last balance on record and the fills since do not lead to this one: the answer is an old one, or something moved
    /// that is not on record, as funding.
    Unexplained(BalanceSnapshot),
}

/// What became of a close.
#[derive(Debug)]
#[must_use]
pub struct CloseReport {
    /// How it ended.
    pub end: CloseEnd,
    /// The attempts, in order.
    pub attempts: Vec<CloseAttempt>,
    /// The round trip that ended, as far as its fills are on record by now.
    pub trip: Option<Box<RoundTrip>>,
    /// Working orders of somebody else's that claim the position and were left alone.
    pub claimed_by: Vec<OrderKey>,
    /// What the exchange states of the wallet now that the position is flat, as far as it moved and that is on record.
    pub balances: Vec<BalanceSnapshot>,
    /// Why a statement of the wallet is not on record, if one is not.
    pub balance_remark: Option<BalanceRemark>,
    /// What of it is not on record. It was done all the same; the next sync finds it.
    pub not_recorded: Vec<ReconcileError>,
}

impl CloseReport {
    /// Whether the position is flat by the exchange's word.
    pub fn is_flat(&self) -> bool {
        self.end == CloseEnd::Flat
    }
}

/// How it stands with a stop that was to rest. `before` is one of ours that rests at another price, or for another quantity.
#[derive(Debug)]
pub enum StopEnd {
    /// It rests at the exchange.
    Resting {
        /// The order.
        order: Box<Order>,
    },
    /// Nothing is held: there is nothing to protect.
    Flat,
    /// The price is there already. Close now: nothing that waits for it would be taken.
    AtTrigger {
        /// What rests instead.
        before: Option<Box<Order>>,
    },
    /// The exchange refused it.
    Refused {
        /// Why.
        error: ExchangeError,
        /// What rests instead.
        before: Option<Box<Order>>,
    },
    /// It was sent, and nobody knows yet what became of it. Asking again places another one unless it turns up: both can only
    /// close.
    Undecided {
        /// The id to ask for.
        client_order_id: ClientOrderId,
        /// What rests besides.
        before: Option<Box<Order>>,
    },
    /// The cause and the engine make no client order id. Nothing was sent.
    Nameless {
        /// What rests instead.
        before: Option<Box<Order>>,
    },
}

/// What became of a stop that was to rest.
#[derive(Debug)]
#[must_use]
pub struct StopReport {
    /// How it stands.
    pub end: StopEnd,
    /// The stops of ours that it replaces, each with what became of its cancellation.
    pub replaced: Vec<CancelledOrder>,
    /// What of it is not on record. It was done all the same; the next sync finds it.
    pub not_recorded: Vec<ReconcileError>,
}

impl StopReport {
    /// Whether no stop of ours is known to rest although something is held.
    pub fn is_naked(&self) -> bool {
        match &self.end {
            StopEnd::Resting { .. } | StopEnd::Flat => false,
            StopEnd::AtTrigger { before }
            | StopEnd::Refused { before, .. }
            | StopEnd::Undecided { before, .. }
            | StopEnd::Nameless { before } => before.is_none(),
        }
    }
}

/// What became of an order that was to be cancelled.
#[derive(Debug)]
pub enum CancelVerdict {
    /// It is cancelled.
    Cancelled,
    /// It had come to its end, or its trigger was hit, before the cancellation arrived.
    AlreadyOver,
    /// The exchange refused to cancel it; it may be working.
    Refused(ExchangeError),
    /// The exchange did not say what became of it; it may be working.
    Unknown(Option<ExchangeError>),
}

impl CancelVerdict {
    /// Whether the order is known not to work any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Cancelled | Self::AlreadyOver)
    }
}

/// An order that was to be cancelled.
#[derive(Debug)]
pub struct CancelledOrder {
    /// The order as the exchange stated it last.
    pub order: Order,
    /// What became of it.
    pub verdict: CancelVerdict,
    /// Why that is not on record, if it is not.
    pub not_recorded: Option<ReconcileError>,
}

/// What became of orders that were to be cancelled.
#[derive(Debug)]
#[must_use]
pub struct CancelReport {
    /// Each order that was listed.
    pub orders: Vec<CancelledOrder>,
}

impl CancelReport {
    /// Whether none of the listed orders works any more.
    pub fn all_over(&self) -> bool {
        self.orders.iter().all(|order| order.verdict.is_over())
    }
}
