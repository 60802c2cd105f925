//! Orders that protect: each attempt has a number, is written down first where the book takes it, and is sent all the same
//! where it does not.
//!
//! What closes a position or guards it must not wait for a book. One that did not answer in time is not waited for again.

use std::time::Duration;

use exchange_client::{NewOrder, SendOutcome, Stated};
use ledger_core::{Order, OrderIntent};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Executor;
use super::desk::{Desk, Terms, too_slow};
use super::entries::as_known;
use super::request::Aim;
use crate::error::ReconcileError;

/// How many numbers of attempts are looked through for a free one.
pub(super) const NUMBERS_MAX: u32 = 1_000;

/// The book of an order that does not wait for it.
pub(super) struct Announcer<'a> {
    executor: &'a Executor,
    /// The number that the next attempt may have at the earliest.
    pub(super) number: u32,
    /// The book did not take a record in time. It is not waited for again.
    hangs: bool,
    /// What could not be written down.
    pub(super) not_recorded: Vec<ReconcileError>,
}

impl<'a> Announcer<'a> {
    pub(super) fn new(executor: &'a Executor) -> Self {
        Self { executor, number: 1, hangs: false, not_recorded: Vec::new() }
    }

    /// What the book answers; at once that it does not, where it has not answered in time before.
    pub(super) async fn book<T>(
        &mut self,
        asked: impl Future<Output = Result<T, ReconcileError>>,
    ) -> Result<T, ReconcileError> {
        if self.hangs {
            return Err(too_slow(Duration::ZERO));
        }
        let patience = self.executor.settings.book_wait;
        timeout(patience, asked).await.unwrap_or_else(|_| {
            self.hangs = true;
            Err(too_slow(patience))
        })
    }

    /// Writes down what became of an order.
    pub(super) async fn answered(&mut self, intent: &OrderIntent, outcome: SendOutcome<Stated<Order>>) {
        let executor = self.executor;
        let written = self.book(executor.desk.answered(intent, &outcome)).await;
        self.not_recorded.extend(written.err());
    }

    /// Writes the next attempt down under the first free number; under an id of this moment where the book cannot tell which
    /// numbers are free. `None` where no id can be made.
    pub(super) async fn next(&mut self, aim: &Aim<'_>, terms: &Terms) -> Option<OrderIntent> {
        let executor = self.executor;
        while self.number <= NUMBERS_MAX {
            let number = self.number;
            let id = executor.desk.id_of(aim, number, None)?;
            self.number += 1;
            match self.book(executor.desk.intent(&id)).await {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => {
                    self.not_recorded.push(error);
                    break;
                }
            }
            let intent = executor.desk.intent_of(aim, id, number, terms);
            match self.book(executor.desk.announce(&intent)).await {
                Ok(true) => return Some(intent),
                // Somebody else took the number meanwhile.
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, symbol = %intent.symbol, role = %intent.role, "an order is sent although the book does not take it");
                    self.not_recorded.push(error);
                    return Some(intent);
                }
            }
        }
        let id = executor.desk.id_of(aim, self.number, Some(executor.desk.now()))?;
        Some(executor.desk.intent_of(aim, id, self.number, terms))
    }
}

/// An order that is being sent: what is answered, and the recording of that.
pub(super) struct SentBeside {
    pub(super) told: oneshot::Receiver<SendOutcome<Stated<Order>>>,
    pub(super) recording: JoinHandle<Result<(), ReconcileError>>,
}

impl Executor {
    /// Sends an order. It goes on being sent when nobody waits for it any more, and its answer is recorded beside.
    pub(super) fn send_beside(&self, intent: &OrderIntent, order: NewOrder) -> SentBeside {
        let (executor, sent) = (self.clone(), intent.clone());
        let (tell, told) = oneshot::channel();
        let recording = tokio::spawn(async move {
            let outcome = as_known(executor.venue.trader.create_order(order).await);
            let statements = Desk::answer(&sent, &outcome);
            // Nobody listens any more where the answer came too late.
            let _late = tell.send(outcome);
            let patience = executor.settings.book_wait;
            let written = timeout(patience, executor.desk.record(statements)).await;
            written.unwrap_or_else(|_| Err(too_slow(patience)))
        });
        SentBeside { told, recording }
    }

    /// What of an answer that was recorded beside could not be.
    pub(super) async fn recorded_beside(
        &self,
        recording: JoinHandle<Result<(), ReconcileError>>,
    ) -> Option<ReconcileError> {
        // One that takes longer is still being sent: its attempt is undecided, and is recorded once it is answered.
        match timeout(self.settings.book_wait + self.settings.ask_every, recording).await {
            Ok(Ok(recorded)) => recorded.err(),
            Ok(Err(error)) => {
                tracing::error!(%error, "recording the answer to an order broke off");
                None
            }
            Err(_) => None,
        }
    }
}
