//! Cancelling: listed first, then one by one, and each confirmed.

use exchange_client::{ErrorClass, ExchangeError, OrderRef, SendOutcome, Stated};
use ledger_core::{Direction, Label, Order, OrderClass, OrderKey, OrderStatus, PositionSide, Side, Symbol};
use tokio::time::{sleep, timeout};

use super::Executor;
use super::outcome::{CancelReport, CancelVerdict, CancelledOrder, CloseReport, ExecuteError};
use super::request::{CancelRequest, closing_side};

/// How often a cancellation is sent of which nobody knows what became. Cancelling twice harms nobody.
const SENDINGS_MAX: u32 = 3;

/// Whether an order can execute nothing any more by itself: it has ended, or it is a conditional one whose trigger was hit, and
/// what it became is another order.
fn is_over(order: &Order) -> bool {
    let is_hit = matches!(order.status, OrderStatus::Triggering | OrderStatus::Triggered);
    order.status.is_terminal() || (order.key.class == OrderClass::Conditional && is_hit)
}

impl Executor {
    /// Lists the working orders of a contract and cancels those that are `wanted`.
    pub(super) async fn cancel_listed(
        &self,
        request: &CancelRequest,
        wanted: impl Fn(&Order) -> bool,
    ) -> Result<CancelReport, ExecuteError> {
        let listed = self.venue.open_orders(&request.symbol, self.settings.question_wait).await?;
        let is_of_position = |order: &Order| request.position_side.is_none_or(|side| order.position_side == Some(side));
        let mut orders = Vec::new();
        for order in listed.into_iter().filter(|order| wanted(&order.entity) && is_of_position(&order.entity)) {
            orders.push(self.cancel_one(order, request.reason.clone()).await);
        }
        Ok(CancelReport { orders })
    }

    pub(super) async fn cancel_one(&self, listed: Stated<Order>, reason: Option<Label>) -> CancelledOrder {
        let key = listed.entity.key.clone();
        let reference = OrderRef::Id(key.class, key.order_id.clone());
        let mut verdict = CancelVerdict::Unknown(None);
        for sending in 1..=SENDINGS_MAX {
            if sending > 1 {
                sleep(self.settings.ask_every).await;
            }
            let (state, error) = match self.venue.trader.cancel_order(key.symbol.clone(), reference.clone()).await {
                SendOutcome::Done(Some(state)) => (Some(state), None),
                // Only that it is done: whether it was cancelled or over already, its state tells.
                SendOutcome::Done(None) => {
                    verdict = CancelVerdict::Cancelled;
                    (self.state_of(&key).await, None)
                }
                SendOutcome::Rejected(error) if is_worth_another(&error) => {
                    verdict = CancelVerdict::Refused(error);
                    continue;
                }
                SendOutcome::Rejected(error) if error.class() == ErrorClass::NotFound => {
                    (self.state_of(&key).await, Some(CancelVerdict::Unknown(Some(error))))
                }
                SendOutcome::Rejected(error) => (None, Some(CancelVerdict::Refused(error))),
                SendOutcome::Unknown(error) => (self.state_of(&key).await, Some(CancelVerdict::Unknown(Some(error)))),
            };
            match state {
                Some(state) if is_over(&state.entity) => return self.cancelled(state, reason).await,
                // It works, or nobody says: another sending tells.
                Some(_) | None => match error {
                    Some(CancelVerdict::Refused(error)) => {
                        verdict = CancelVerdict::Refused(error);
                        break;
                    }
                    Some(other) => verdict = other,
                    None => break,
                },
            }
        }
        CancelledOrder { order: listed.entity, verdict, not_recorded: None }
    }

    /// An order that works no more.
    async fn cancelled(&self, state: Stated<Order>, reason: Option<Label>) -> CancelledOrder {
        let is_cancelled = state.entity.status == OrderStatus::Canceled;
        let not_recorded = self.desk.cancelled(&state, is_cancelled, reason).await.err();
        let verdict = if is_cancelled { CancelVerdict::Cancelled } else { CancelVerdict::AlreadyOver };
        CancelledOrder { order: state.entity, verdict, not_recorded }
    }

    async fn state_of(&self, key: &OrderKey) -> Option<Stated<Order>> {
        let reference = OrderRef::Id(key.class, key.order_id.clone());
        let asked = self.venue.reader.fetch_order(key.symbol.clone(), reference);
        timeout(self.settings.verdict_wait, asked).await.ok()?.ok().flatten()
    }

    /// Cancels our own working orders that claim a part of a position which is to be closed. Answers those of others, which are
    /// left alone.
    pub(super) async fn free_position(
        &self,
        symbol: &Symbol,
        direction: Direction,
        position_side: PositionSide,
        report: &mut CloseReport,
    ) -> Vec<OrderKey> {
        let Ok(listed) = self.venue.open_orders(symbol, self.settings.verdict_wait).await else { return Vec::new() };
        let mut others = Vec::new();
        for order in listed.into_iter().filter(|order| claims(&order.entity, closing_side(direction), position_side)) {
            if self.desk.is_own(&order.entity, self.settings.book_wait).await {
                let cancelled = self.cancel_one(order, None).await;
                report.not_recorded.extend(cancelled.not_recorded);
            } else {
                others.push(order.entity.key);
            }
        }
        others
    }
}

/// Whether a working order claims a part of a position: resting orders that can only close do, conditional ones do not.
fn claims(order: &Order, closing: Side, position_side: PositionSide) -> bool {
    let is_of_position = order.position_side.is_none_or(|side| side == position_side);
    order.key.class == OrderClass::Regular && order.side == closing && order.can_only_close() && is_of_position
}

/// Whether the exchange refused to do anything at that moment, and nothing about the order.
fn is_worth_another(error: &ExchangeError) -> bool {
    matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Throttled)
}
