//! Which attempt of an entry or addition may be sent.
//!
//! The rule: attempt n + 1 may be sent once attempt n is on record as refused, or has ended with nothing executed by the
//! exchange's word. An attempt of which anything was executed, or that is still working, is the order that was asked for:
//! there is no further one. An attempt that was written down and of which nobody knows what became is asked for at the
//! exchange, by its client order id; what turns up is recorded and counts. What does not turn up stays undecided, for not
//! being found proves nothing: the exchange's lists lag, and a request may still be on its way. Only a sync concludes that an
//! order never arrived, by its own rules (time, repeated looks, no order or trade that could be it), and records that.

use ledger_core::{ClientOrderId, IntentOutcome, Order, OrderIntent, OrderStatus};

use super::Executor;
use super::outcome::ExecuteError;
use super::request::Aim;

/// How many attempts of one order are looked through.
const ATTEMPTS_MAX: u32 = 1_000;

/// Where an entry or addition stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing of it is at the exchange, and this attempt may be sent.
    Free { attempt: u32, id: ClientOrderId },
    /// It is working, or was executed in part at least.
    Made { id: ClientOrderId, order: Box<Order> },
    /// Nobody knows.
    Undecided { id: ClientOrderId },
}

/// What is known of an attempt.
#[derive(Debug)]
pub(super) enum Fate {
    Over,
    Made(Box<Order>),
    Undecided,
}

/// What an order that the exchange has means for a further attempt; `None` where the order does not tell.
pub(super) fn fate_of(order: Order) -> Option<Fate> {
    if !order.status.is_terminal() {
        return Some(Fate::Made(Box::new(order)));
    }
    match &order.executed {
        Some(executed) if executed.qty.is_positive() => Some(Fate::Made(Box::new(order))),
        Some(_) => Some(Fate::Over),
        None if order.status == OrderStatus::Rejected => Some(Fate::Over),
        None => None,
    }
}

impl Executor {
    /// Where an entry or addition stands.
    pub(super) async fn standing(&self, aim: &Aim<'_>) -> Result<Standing, ExecuteError> {
        for attempt in 1..=ATTEMPTS_MAX {
            let id = self.desk.id_of(aim, attempt, None).ok_or(ExecuteError::NoClientOrderId)?;
            let Some(intent) = self.desk.intent(&id).await? else { return Ok(Standing::Free { attempt, id }) };
            if intent.symbol != *aim.symbol || intent.side != aim.side {
                return Err(ExecuteError::CauseReused { client_order_id: id, symbol: intent.symbol });
            }
            match self.fate(&intent).await? {
                Fate::Over => {}
                Fate::Made(order) => return Ok(Standing::Made { id, order }),
                Fate::Undecided => return Ok(Standing::Undecided { id }),
            }
        }
        Err(ExecuteError::AttemptsUsedUp { attempts: ATTEMPTS_MAX })
    }

    /// What became of an attempt that is on record: by the record where that decides, else by the exchange's word.
    pub(super) async fn fate(&self, intent: &OrderIntent) -> Result<Fate, ExecuteError> {
        if intent.outcome == IntentOutcome::Rejected {
            return Ok(Fate::Over);
        }
        let (symbol, id) = (&intent.symbol, &intent.client_order_id);
        let booked = self.desk.order_sent_as(symbol, id).await?;
        // Only an end is final: what was working when it was recorded may be over by now.
        let ended = booked.clone().filter(|order| order.status.is_terminal());
        if let Some(fate) = ended.and_then(fate_of) {
            return Ok(fate);
        }
        let asked = self.venue.order_sent_as(symbol, id, self.settings.verdict_wait).await;
        let found = match asked {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, %id, "the exchange could not be asked what became of an order");
                None
            }
        };
        if let Some(order) = found {
            self.desk.found(intent, &order).await?;
            return Ok(fate_of(order.entity).unwrap_or(Fate::Undecided));
        }
        // What the book has of a working order stands where the exchange does not answer: it is there.
        Ok(booked.and_then(fate_of).unwrap_or(Fate::Undecided))
    }
}
