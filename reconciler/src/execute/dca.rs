//! Additions to a position that the price has moved against: under their condition, and each step at most once.

use ledger_core::{Decimal, Direction, IntentRole, MathError, Order, Price};

use super::Executor;
use super::attempts::Standing;
use super::entries::Opens;
use super::outcome::{DcaOutcome, EntryOutcome, ExecuteError, NotNeeded};
use super::request::{Aim, DcaBasis, DcaRequest, EntryRequest, opening_side};

/// How old a mark price may be that an addition is decided by, in ms.
const MARK_AGE_MAX_MS: i64 = 3_000;

impl Executor {
    pub(super) async fn add_if_needed(
        &self,
        request: &DcaRequest,
        direction: Direction,
    ) -> Result<DcaOutcome, ExecuteError> {
        let not_needed = |why| Ok(DcaOutcome::NotNeeded(why));
        let patience = self.settings.question_wait;
        let held = self.venue.held(&request.symbol, direction, patience).await;
        let held = held.ok_or(ExecuteError::UnknownContract { symbol: request.symbol.clone() })?;
        if held.qty.is_zero() {
            return not_needed(NotNeeded::NoPosition);
        }
        let (step, before) = match self.next_step(request, direction).await? {
            Ok(next) => next,
            Err(outcome) => return Ok(outcome),
        };
        let basis = match request.basis {
            DcaBasis::AverageEntry => held.entry_price,
            DcaBasis::LastEntry => match &before {
                Some(order) => self.average_of(order).await,
                None => None,
            },
        };
        let Some(basis) = basis else { return not_needed(NotNeeded::NoBasis) };
        let mark = self.venue.mark(&request.symbol, patience).await?;
        if mark.age_ms > MARK_AGE_MAX_MS {
            return not_needed(NotNeeded::StalePrice { age_ms: mark.age_ms });
        }
        let price = mark.stated.entity.price.price;
        if !is_far_enough(price, basis, request.distance_percent, direction)? {
            return not_needed(NotNeeded::NotFarEnough { mark: price, basis });
        }
        let entry = EntryRequest {
            symbol: request.symbol.clone(),
            cause: request.cause.clone(),
            engine: request.engine.clone(),
            qty: request.qty,
        };
        let opens = Opens { direction, role: IntentRole::Dca, step, limit: None };
        let mut outcome = self.enter(&entry, opens).await?;
        // The price that decided stands beside the one of the moment after.
        if let EntryOutcome::Sent(sent) = &mut outcome {
            let trouble = self.desk.record(vec![mark.stated.statement()]).await.err();
            sent.not_recorded = sent.not_recorded.take().or(trouble);
        }
        Ok(DcaOutcome::Due { step, outcome })
    }

    /// The first step that was not made, with the order before it: that of the step before, and the entry's before the first.
    /// Steps count what was executed, never attempts. Where the last step is not over, that is the outcome.
    async fn next_step(
        &self,
        request: &DcaRequest,
        direction: Direction,
    ) -> Result<Result<(u32, Option<Order>), DcaOutcome>, ExecuteError> {
        let aim = |role, step| Aim {
            symbol: &request.symbol,
            cause: &request.cause,
            engine: request.engine.as_ref(),
            role,
            step,
            side: opening_side(direction),
        };
        let mut before = None;
        if request.basis == DcaBasis::LastEntry
            && let Standing::Made { order, .. } = self.standing(&aim(IntentRole::Entry, 0)).await?
        {
            before = Some(*order);
        }
        for step in 1..=request.steps_max {
            match self.standing(&aim(IntentRole::Dca, step)).await? {
                Standing::Free { .. } => return Ok(Ok((step, before))),
                Standing::Made { order, .. } if order.status.is_terminal() => before = Some(*order),
                Standing::Made { .. } => return Ok(Err(DcaOutcome::NotNeeded(NotNeeded::StepWorking { step }))),
                Standing::Undecided { id } => {
                    let outcome = EntryOutcome::Undecided { client_order_id: id };
                    return Ok(Err(DcaOutcome::Due { step, outcome }));
                }
            }
        }
        Ok(Err(DcaOutcome::NotNeeded(NotNeeded::StepsUsedUp { steps: request.steps_max })))
    }

    /// The average price of an order. The answer to placing one does not tell it; asked for later, the exchange does.
    async fn average_of(&self, order: &Order) -> Option<Price> {
        let average = |order: &Order| order.executed.as_ref().and_then(|executed| executed.avg_price);
        if let Some(price) = average(order) {
            return Some(price);
        }
        let id = order.client_order_id.as_ref()?;
        let asked = self.venue.order_sent_as(&order.key.symbol, id, self.settings.question_wait).await;
        asked.ok().flatten().filter(|found| found.entity.key == order.key).and_then(|found| average(&found.entity))
    }
}

/// Whether the price has moved against a position by so many percent of `basis`, that distance included.
fn is_far_enough(mark: Price, basis: Price, percent: Decimal, direction: Direction) -> Result<bool, MathError> {
    let hundred = Decimal::from(100);
    let reached = mark.get().checked_mul(hundred)?;
    Ok(match direction {
        Direction::Long => reached <= basis.get().checked_mul(hundred.checked_sub(percent)?)?,
        Direction::Short => reached >= basis.get().checked_mul(hundred.checked_add(percent)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_against_the_position_alone() {
        let far = |mark: &str, direction| {
            is_far_enough(mark.parse().unwrap(), "200".parse().unwrap(), "1.5".parse().unwrap(), direction).unwrap()
        };
        assert_eq!(["197.01", "197", "100", "203"].map(|mark| far(mark, Direction::Long)), [false, true, true, false]);
        assert_eq!(["202.99", "203", "300", "197"].map(|mark| far(mark, Direction::Short)), [false, true, true, false]);
    }
}
