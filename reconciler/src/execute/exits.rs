//! Exits: until flat.
//!
//! A close names a target, that nothing is held in a direction, and not an order. Each sending is an attempt with an id of its
//! own, sized by a position that was read after the last attempt, and can only close: reduce-only in one-way mode, the closing
//! side of the position in hedge mode. So an attempt too many is cut or refused by the exchange, and never turns a position
//! over. An attempt of which nobody knows what became is asked for, and holds the next one up for as long as a verdict is
//! waited for and no longer. The book holds up nothing: what cannot be written in time is told and left to the next sync.

use std::time::Duration;

use exchange_client::{ExchangeError, NewOrder, OrderRefusal, SendOutcome, Stated};
use ledger_core::{
    ClientOrderId, Decimal, Direction, IntentOutcome, IntentRole, Order, OrderIntent, PositionMode, PositionSide,
    Quantity,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Executor;
use super::announcing::{Announcer, NUMBERS_MAX, SentBeside};
use super::desk::Terms;
use super::outcome::{AttemptVerdict, BalanceRemark, CloseAttempt, CloseEnd, CloseReport};
use super::request::{Aim, CloseRequest, closing_side, position_side};
use super::rounding::closing;
use super::venue::Held;
use crate::error::ReconcileError;

/// How often a position is read again that is larger than what the attempts left of it.
const LAG_READS_MAX: u32 = 3;
/// How many further looks have to agree that nothing is held where the book derives that something is.
const DOUBTED_LOOKS: u32 = 7;

/// A close under way.
struct Close<'a> {
    executor: &'a Executor,
    request: &'a CloseRequest,
    direction: Direction,
    report: CloseReport,
    announcer: Announcer<'a>,
    /// What must be left by what is known of the attempts; `None` where that is nothing.
    left: Option<Decimal>,
    /// The orders that executed something.
    executed: Vec<Order>,
    /// Answers that are being recorded while the close goes on.
    recordings: Vec<JoinHandle<Result<(), ReconcileError>>>,
}

impl Executor {
    pub(super) async fn close(&self, request: &CloseRequest, direction: Direction) -> CloseReport {
        let report = CloseReport {
            end: CloseEnd::PositionUnknown,
            attempts: Vec::new(),
            trip: None,
            claimed_by: Vec::new(),
            balances: Vec::new(),
            balance_remark: None,
            not_recorded: Vec::new(),
        };
        let mut closing = Close {
            executor: self,
            request,
            direction,
            report,
            announcer: Announcer::new(self),
            left: None,
            executed: Vec::new(),
            recordings: Vec::new(),
        };
        closing.decide_earlier().await;
        closing.report.end = closing.run().await;
        closing.finish().await;
        closing.report.not_recorded.extend(closing.announcer.not_recorded);
        closing.report
    }
}

impl Close<'_> {
    /// Attempts of an earlier call, perhaps of a process that is gone, are asked for before the next one: all of them together
    /// for as long as a verdict is waited for, and each no longer than that after it was written down.
    async fn decide_earlier(&mut self) {
        let executor = self.executor;
        let patience = executor.settings.verdict_wait;
        let began = Instant::now();
        while self.announcer.number <= NUMBERS_MAX {
            let Some(id) = executor.desk.id_of(&aim(self.request, self.direction), self.announcer.number, None) else {
                return;
            };
            let Ok(Some(intent)) = self.announcer.book(executor.desk.intent(&id)).await else { return };
            self.announcer.number += 1;
            if !matches!(intent.outcome, IntentOutcome::Pending | IntentOutcome::Unknown) {
                continue;
            }
            let age_ms = executor.desk.now().as_ms().saturating_sub(intent.created_local.as_ms());
            let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
            let left = patience.saturating_sub(began.elapsed());
            let deadline = Instant::now() + left.min(patience.saturating_sub(age));
            let found = match executor.venue.order_sent_as(&intent.symbol, &id, left).await {
                Ok(Some(order)) => Some(order),
                _ => executor.ask_for(&intent, deadline).await,
            };
            if let Some(order) = found {
                self.announcer.answered(&intent, SendOutcome::Done(order.clone())).await;
                self.note(order.entity);
            }
        }
    }

    async fn run(&mut self) -> CloseEnd {
        let settings = self.executor.settings;
        let (mut idle, mut last_seen) = (0_u32, None);
        loop {
            let held = match self.look().await {
                Some(held) if held.qty.is_zero() => return CloseEnd::Flat,
                Some(held) => {
                    last_seen = Some(held.qty);
                    Some(held)
                }
                None => self.believed().await,
            };
            if idle >= settings.attempts_max {
                return last_seen.map_or(CloseEnd::PositionUnknown, |qty| CloseEnd::StillOpen { qty });
            }
            let progress = match held {
                Some(held) => match self.attempt(held).await {
                    Ok(progress) => progress,
                    Err(end) => return end,
                },
                None => false,
            };
            idle = if progress { 0 } else { idle + 1 };
            if idle > 0 {
                let doubled = settings.backoff_first.saturating_mul(1 << (idle - 1).min(16));
                sleep(doubled.min(settings.backoff_max)).await;
            }
        }
    }

    /// What is held. That nothing is, two looks have to agree on, and more where the book says otherwise, unless the attempts
    /// explain it; a position that is larger than what they left is read again before it is believed, for answers lag.
    async fn look(&mut self) -> Option<Held> {
        let executor = self.executor;
        let (symbol, direction) = (&self.request.symbol, self.direction);
        let read = || executor.venue.held(symbol, direction, executor.settings.verdict_wait);
        let mut held = read().await?;
        if held.qty.is_zero() {
            if self.left.is_some_and(Decimal::is_zero) {
                return Some(held);
            }
            // The exchange's answers lag behind an entry as well, and the book may know of one.
            let is_long = self.direction == Direction::Long;
            let booked = self.announcer.book(executor.desk.held(symbol, is_long)).await;
            let looks = if matches!(booked, Ok(Some(_))) { DOUBTED_LOOKS } else { 1 };
            for _ in 0..looks {
                sleep(executor.settings.ask_every).await;
                held = read().await?;
                if !held.qty.is_zero() {
                    break;
                }
            }
            return Some(held);
        }
        for _ in 0..LAG_READS_MAX {
            if self.left.is_none_or(|left| held.qty <= left) {
                break;
            }
            sleep(executor.settings.ask_every).await;
            held = read().await.unwrap_or(held);
        }
        Some(held)
    }

    /// What is held where the exchange does not answer that: what the attempts left, what the caller believes, what the book
    /// derives.
    async fn believed(&mut self) -> Option<Held> {
        let executor = self.executor;
        let is_long = self.direction == Direction::Long;
        let known = self.left.and_then(|left| Quantity::new(left).ok()).or(self.request.believed_qty);
        let qty = match known {
            Some(qty) => qty,
            None => self.announcer.book(executor.desk.held(&self.request.symbol, is_long)).await.ok().flatten()?,
        };
        // Wrong, the order is refused because of its mode, and the next one is of the other.
        let mode = executor.venue.mode_at_hand().unwrap_or(PositionMode::OneWay);
        Some(Held { qty: qty.get(), position_side: position_side(self.direction, mode), entry_price: None })
    }

    /// Sends one attempt. Whether it closed something; an error ends the close.
    async fn attempt(&mut self, held: Held) -> Result<bool, CloseEnd> {
        let executor = self.executor;
        let filters = executor.venue.filters(&self.request.symbol, executor.settings.book_wait).await.ok();
        let size = closing(filters.as_ref().map(|filters| &filters.market_qty), held.qty);
        let Some(size) = size else { return Ok(false) };
        let Some(intent) = self.announced(held.position_side, size.qty).await else { return Ok(false) };
        let verdict = self.verdict(&intent).await;
        let mut progress = false;
        let mut end = None;
        match &verdict {
            AttemptVerdict::Ended(order) => {
                let executed = order.executed.as_ref().map_or(Decimal::ZERO, |executed| executed.qty);
                progress = executed.is_positive();
                let rest = held.qty.checked_sub(executed).ok().filter(|rest| !rest.is_negative());
                self.left = Some(rest.unwrap_or(Decimal::ZERO));
                self.note((**order).clone());
            }
            AttemptVerdict::Refused(error) => {
                if size.is_dust && error.order_refusal() == Some(OrderRefusal::Quantity) {
                    end = Some(CloseEnd::Dust { qty: held.qty });
                } else if is_hopeless(error) {
                    end = Some(CloseEnd::StillOpen { qty: held.qty });
                }
                self.mend(error, held.position_side).await;
            }
            AttemptVerdict::Undecided => self.left = None,
        }
        let client_order_id = intent.client_order_id;
        self.report.attempts.push(CloseAttempt { client_order_id, qty: size.qty, verdict });
        end.map_or(Ok(progress), Err)
    }

    async fn announced(&mut self, position_side: PositionSide, qty: Quantity) -> Option<OrderIntent> {
        let reduce_only = position_side == PositionSide::Net;
        let terms = Terms { position_side, qty: Some(qty), price: None, trigger: None, reduce_only };
        let aim = aim(self.request, self.direction);
        self.announcer.next(&aim, &terms).await
    }

    /// Sends an attempt and waits for its verdict. When the waiting ends, sending goes on; its answer is recorded while the
    /// close goes on.
    async fn verdict(&mut self, intent: &OrderIntent) -> AttemptVerdict {
        let since = Instant::now();
        let Ok(order) = NewOrder::from_intent(intent) else { return AttemptVerdict::Undecided };
        let SentBeside { told, recording } = self.executor.send_beside(intent, order);
        self.recordings.push(recording);
        match timeout(self.executor.settings.verdict_wait, told).await {
            Ok(Ok(SendOutcome::Done(order))) if order.entity.status.is_terminal() => {
                AttemptVerdict::Ended(Box::new(order.entity))
            }
            Ok(Ok(SendOutcome::Rejected(error))) => AttemptVerdict::Refused(error),
            _ => self.asked(intent, since).await,
        }
    }

    /// What the exchange says of an attempt whose answer did not tell.
    async fn asked(&mut self, intent: &OrderIntent, since: Instant) -> AttemptVerdict {
        let executor = self.executor;
        let deadline = since + executor.settings.verdict_wait;
        let mut last = None;
        while let Some(order) = executor.ask_for(intent, deadline).await {
            let has_ended = order.entity.status.is_terminal();
            last = Some(order);
            if has_ended {
                break;
            }
            sleep(executor.settings.ask_every).await;
        }
        let Some(order) = last else { return AttemptVerdict::Undecided };
        self.announcer.answered(intent, SendOutcome::Done(order.clone())).await;
        if order.entity.status.is_terminal() {
            return AttemptVerdict::Ended(Box::new(order.entity));
        }
        AttemptVerdict::Undecided
    }

    fn note(&mut self, order: Order) {
        let has_executed = order.executed.as_ref().is_some_and(|executed| executed.qty.is_positive());
        if has_executed && self.executed.iter().all(|known| known.key != order.key) {
            self.executed.push(order);
        }
    }

    /// Does something about what made the exchange refuse.
    async fn mend(&mut self, error: &ExchangeError, position_side: PositionSide) {
        let executor = self.executor;
        match error.order_refusal() {
            Some(OrderRefusal::NothingToClose) => {
                let (symbol, direction) = (&self.request.symbol, self.direction);
                let claimed = executor.free_position(symbol, direction, position_side, &mut self.report).await;
                for key in claimed {
                    if !self.report.claimed_by.contains(&key) {
                        self.report.claimed_by.push(key);
                    }
                }
            }
            Some(OrderRefusal::PositionMode) => {
                let other = if position_side == PositionSide::Net { PositionMode::Hedge } else { PositionMode::OneWay };
                executor.venue.doubt_mode(Some(other));
            }
            _ => executor.learn_from(error),
        }
    }

    /// Records what followed the close: trades, the price, and why. The position is closed by then, so it may take a moment.
    async fn finish(&mut self) {
        for recording in std::mem::take(&mut self.recordings) {
            self.report.not_recorded.extend(self.executor.recorded_beside(recording).await);
        }
        // What nobody knew while it hurried may be known now.
        let undecided: Vec<ClientOrderId> = self
            .report
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.verdict, AttemptVerdict::Undecided))
            .map(|attempt| attempt.client_order_id.clone())
            .collect();
        for id in undecided {
            let executor = self.executor;
            let asked = executor.venue.order_sent_as(&self.request.symbol, &id, executor.settings.verdict_wait).await;
            let Ok(Some(order)) = asked else { continue };
            let known = self.announcer.book(executor.desk.intent(&id)).await;
            if let Ok(Some(intent)) = known {
                self.announcer.answered(&intent, SendOutcome::Done(order.clone())).await;
            }
            self.note(order.entity.clone());
            let is_over = order.entity.status.is_terminal();
            let attempt = self.report.attempts.iter_mut().find(|attempt| attempt.client_order_id == id);
            if let Some(attempt) = attempt.filter(|_| is_over) {
                attempt.verdict = AttemptVerdict::Ended(Box::new(order.entity));
            }
        }
        let has_closed = !self.report.attempts.is_empty() || !self.executed.is_empty();
        for order in std::mem::take(&mut self.executed) {
            let (executor, reason) = (self.executor, self.request.reason);
            let statements = executor.what_follows(&order).await;
            let written = self.announcer.book(executor.desk.followed(&order, statements, reason)).await;
            self.announcer.not_recorded.extend(written.err());
        }
        if self.report.is_flat() && has_closed {
            let (executor, symbol, direction) = (self.executor, &self.request.symbol, self.direction);
            self.report.trip = self.announcer.book(executor.desk.trip_of(symbol, direction)).await.ok().flatten();
            self.note_wallet().await;
        }
    }

    /// Records what the wallet holds now, where the book leads to it. The last thing that a close does.
    async fn note_wallet(&mut self) {
        let executor = self.executor;
        let is_undecided = |attempt: &CloseAttempt| matches!(attempt.verdict, AttemptVerdict::Undecided);
        if self.report.attempts.iter().any(is_undecided) {
            self.report.balance_remark = Some(BalanceRemark::FillsMissing);
            return;
        }
        let basis = match self.announcer.book(executor.desk.wallet_basis(executor.venue.reader.venue())).await {
            Ok(Ok(basis)) => basis,
            Ok(Err(remark)) => {
                self.report.balance_remark = Some(remark);
                return;
            }
            Err(error) => {
                self.announcer.not_recorded.push(error);
                return;
            }
        };
        let (explained, remark) = executor.explained_wallets(&basis).await;
        self.report.balance_remark = remark;
        if explained.is_empty() {
            return;
        }
        match self.announcer.book(executor.desk.record(explained.iter().map(Stated::statement).collect())).await {
            Ok(()) => self.report.balances = explained.into_iter().map(|row| row.entity).collect(),
            Err(error) => self.announcer.not_recorded.push(error),
        }
    }
}

/// What the attempts are for.
fn aim(request: &CloseRequest, direction: Direction) -> Aim<'_> {
    Aim {
        symbol: &request.symbol,
        cause: &request.cause,
        engine: request.engine.as_ref(),
        role: IntentRole::Exit,
        step: 0,
        side: closing_side(direction),
    }
}

/// Whether no order of this contract will ever be taken.
fn is_hopeless(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::SymbolClosed { .. } | ExchangeError::InvalidOrder { .. })
}
