//! Working orders that can only close a position, where there is none: the next price move could open one the wrong way,
//! or nothing at all. They are told, never touched.

use exchange_client::Stated;
use ledger_core::PositionSide;

use super::Plan;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::observe::{Observation, observed_at};
use crate::wording::describe_order;

pub(super) fn plan_orphans(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    let open = observation.open_orders.iter().flat_map(|answer| &answer.rows);
    let looks = observation.looks(observed_at(observation));
    for Stated { entity: order, .. } in open {
        let side = order.position_side.unwrap_or(PositionSide::Net);
        let symbol = &order.key.symbol;
        let is_flat = |qty: ledger_core::Decimal| qty.is_zero();
        let exchange_is_flat = observation.exchange_qty(symbol, side).is_some_and(is_flat);
        let book_is_flat = is_flat(observation.book.qty(symbol, side));
        if !observation.is_in_scope(symbol) || !order.can_only_close() || !exchange_is_flat || !book_is_flat {
            continue;
        }
        let subject = Subject::Order(order.key.clone());
        let finding = Finding::new(
            DiscrepancyKind::OrphanOrder,
            Some(symbol),
            subject,
            Outlook::Stays,
            format!(
                "{} is working, and there is no position that it could close; cancel it if nobody needs it",
                describe_order(order)
            ),
        );
        // A bot cancels what is left of a position a moment after it closed; and that there is none rests on a list that lacks it.
        plan.symbol(symbol).find(finding.doubted(Claim::Holds, &looks));
    }
    plan
}
