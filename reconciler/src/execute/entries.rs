//! Entries and additions: at most once.

use exchange_client::{ExchangeError, NewOrder, OrderRefusal, SendOutcome, Stated};
use ledger_core::{Direction, IntentRole, Order, OrderIntent, PositionSide, Price, Statement};
use tokio::time::{Instant, sleep, timeout};

use super::Executor;
use super::attempts::Standing;
use super::desk::{Terms, too_slow};
use super::outcome::{EntryOutcome, ExecuteError, SentOrder};
use super::request::{Aim, EntryRequest, opening_side, position_side};
use super::rounding::{Opening, opening};

/// What an entry or addition is, beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opens {
    pub(super) direction: Direction,
    pub(super) role: IntentRole,
    pub(super) step: u32,
    pub(super) limit: Option<Price>,
}

impl Executor {
    pub(super) async fn enter(&self, request: &EntryRequest, opens: Opens) -> Result<EntryOutcome, ExecuteError> {
        let aim = Aim {
            symbol: &request.symbol,
            cause: &request.cause,
            engine: request.engine.as_ref(),
            role: opens.role,
            step: opens.step,
            side: opening_side(opens.direction),
        };
        let (attempt, id) = match self.standing(&aim).await? {
            Standing::Free { attempt, id } => (attempt, id),
            Standing::Made { id, order } => return Ok(EntryOutcome::AlreadySent { client_order_id: id, order }),
            Standing::Undecided { id } => return Ok(EntryOutcome::Undecided { client_order_id: id }),
        };
        let mode = self.venue.mode(self.settings.question_wait).await?;
        let filters = self.venue.filters(&request.symbol, self.settings.question_wait).await?;
        let sendable = match opening(&filters, aim.side, request.qty, opens.limit)? {
            Ok(sendable) => sendable,
            Err(unsendable) => return Ok(EntryOutcome::Unsendable(unsendable)),
        };
        let position_side = position_side(opens.direction, mode);
        let terms =
            Terms { position_side, qty: Some(sendable.qty), price: sendable.price, trigger: None, reduce_only: false };
        let intent = self.desk.intent_of(&aim, id.clone(), attempt, &terms);
        let Ok(order) = NewOrder::from_intent(&intent) else { return Err(ExecuteError::NoClientOrderId) };
        if let Some(held_up) = self.write_down(&intent, position_side).await? {
            return Ok(held_up);
        }
        // The answer is taken even if the caller gives up waiting for it.
        let (executor, sent) = (self.clone(), intent.clone());
        let sending = tokio::spawn(async move {
            let outcome = executor.venue.trader.create_order(order).await;
            executor.conclude(&sent, sendable, outcome).await
        });
        match sending.await {
            Ok(outcome) => Ok(outcome),
            Err(_) => Ok(EntryOutcome::Undecided { client_order_id: id }),
        }
    }

    /// Writes an entry down, unless something holds it back. From the look at the gate to the commit no other entry of this
    /// executor is written, so of two at once the second finds the first one undecided.
    async fn write_down(
        &self,
        intent: &OrderIntent,
        position_side: PositionSide,
    ) -> Result<Option<EntryOutcome>, ExecuteError> {
        let _alone = self.entering.lock().await;
        let gate = self.desk.gate(&intent.symbol, position_side).await;
        if !gate.is_allowed() {
            return Ok(Some(EntryOutcome::Blocked(gate)));
        }
        // Too late, it would be sent at another price. Should it be written all the same, nothing was sent under it, which a
        // sync finds out.
        let patience = self.settings.question_wait;
        let written = timeout(patience, self.desk.announce(intent)).await;
        let is_new = written.unwrap_or_else(|_| Err(too_slow(patience)))?;
        // Whoever wrote it down first, in this process or another, is the one who sends it.
        let client_order_id = intent.client_order_id.clone();
        Ok((!is_new).then_some(EntryOutcome::Undecided { client_order_id }))
    }

    /// What became of an entry that was sent, written down.
    async fn conclude(
        &self,
        intent: &OrderIntent,
        sendable: Opening,
        outcome: SendOutcome<Stated<Order>>,
    ) -> EntryOutcome {
        let client_order_id = intent.client_order_id.clone();
        let outcome = match as_known(outcome) {
            SendOutcome::Unknown(error) => {
                let deadline = Instant::now() + self.settings.verdict_wait;
                match self.ask_for(intent, deadline).await {
                    Some(order) => SendOutcome::Done(order),
                    None => SendOutcome::Unknown(error),
                }
            }
            decided => decided,
        };
        let not_recorded = self.desk.answered(intent, &outcome).await.err();
        match outcome {
            SendOutcome::Done(order) => {
                let follows = self.what_follows(&order.entity).await;
                let trouble = self.desk.followed(&order.entity, follows, None).await.err();
                EntryOutcome::Sent(Box::new(SentOrder {
                    client_order_id,
                    qty: sendable.qty,
                    price: sendable.price,
                    order: order.entity,
                    not_recorded: not_recorded.or(trouble),
                }))
            }
            SendOutcome::Rejected(error) => {
                self.learn_from(&error);
                EntryOutcome::Refused { client_order_id, error, not_recorded }
            }
            SendOutcome::Unknown(error) => EntryOutcome::Unknown { client_order_id, error },
        }
    }

    /// What a refusal says about what was believed of the contract.
    pub(super) fn learn_from(&self, error: &ExchangeError) {
        match error.order_refusal() {
            Some(OrderRefusal::PositionMode) => self.venue.doubt_mode(None),
            Some(OrderRefusal::Quantity) => self.venue.doubt_filters(),
            _ => {}
        }
    }

    /// Asks for an order by its client order id until the exchange knows it, or the deadline is over.
    pub(super) async fn ask_for(&self, intent: &OrderIntent, deadline: Instant) -> Option<Stated<Order>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if let Ok(Some(order)) = self.venue.order_of(intent, left).await {
                return Some(order);
            }
            sleep(self.settings.ask_every.min(left)).await;
        }
    }

    /// What follows from an order that executed something: its trades, as far as they are listed, and the mark price of the
    /// moment.
    pub(super) async fn what_follows(&self, order: &Order) -> Vec<Statement> {
        if order.executed.as_ref().is_none_or(|executed| !executed.qty.is_positive()) {
            return Vec::new();
        }
        let (symbol, patience) = (&order.key.symbol, self.settings.verdict_wait);
        let trades = self.venue.trades_of(symbol, &order.key.order_id, patience).await;
        let mut statements: Vec<_> = trades.iter().map(Stated::statement).collect();
        if let Ok(mark) = self.venue.mark(symbol, patience).await {
            statements.push(mark.stated.statement());
        }
        statements
    }
}

/// What is known by an answer. That an open order has the id already is no refusal: an earlier sending arrived.
pub(super) fn as_known(outcome: SendOutcome<Stated<Order>>) -> SendOutcome<Stated<Order>> {
    match outcome {
        SendOutcome::Rejected(error) if error.order_refusal() == Some(OrderRefusal::DuplicateId) => {
            SendOutcome::Unknown(error)
        }
        other => other,
    }
}
