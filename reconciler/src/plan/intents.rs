//! Orders that were sent and whose outcome nobody knew.

use exchange_client::OrderRef;
use ledger_core::{AnyFact, ExitReason, IntentOutcome, IntentRole, Order, OrderIntent, Source, Statement, Symbol};
use serde_json::json;

use super::{Plan, PlannedRepair};
use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::observation::{Observation, SymbolObservation};

/// Orders that were sent and whose outcome nobody knew: the exchange has been asked for them by client order id.
pub(super) fn plan_intents(observation: &Observation, symbol: &Symbol, close: &SymbolObservation, plan: &mut Plan) {
    let unresolved = observation.book.unresolved_intents.iter().map(|intent| &intent.fact);
    for intent in unresolved.filter(|intent| intent.symbol == *symbol) {
        let reference = OrderRef::Client(intent.class, intent.client_order_id.clone());
        let answer = close.orders.iter().find(|(order, _)| *order == reference);
        let Some((_, Ok(answer))) = answer else { continue };
        let sent = format!(
            "{} {} {} sent with client order id {}",
            intent.side,
            qty_text(intent),
            symbol,
            intent.client_order_id
        );
        let subject = Subject::Intent(intent.client_order_id.clone());
        let mut finding = Finding {
            kind: DiscrepancyKind::UnresolvedIntent,
            symbol: Some(symbol.clone()),
            subject,
            evidence: format!("{sent}: the exchange does not know it (yet), which proves nothing"),
            may_settle: true,
        };
        let symbol_plan = plan.symbol(symbol);
        if let Some(order) = answer {
            finding.evidence = format!("{sent}: the exchange has it as order {}", order.entity.key.order_id);
            finding.may_settle = false;
            symbol_plan.statements.extend(accepted(intent, &order.entity));
            symbol_plan.repairs.push(PlannedRepair {
                kind: "resolve_intent",
                finding: (finding.kind, finding.fingerprint()),
                cause: finding.evidence.clone(),
                evidence_json: finding.evidence_json(),
                before_json: Some(json!({ "outcome": intent.outcome.as_str() }).to_string()),
                after_json: Some(json!({ "outcome": IntentOutcome::Accepted.as_str() }).to_string()),
            });
        }
        symbol_plan.findings.push(finding);
    }
}

fn qty_text(intent: &OrderIntent) -> String {
    intent.qty.map_or_else(|| "(whole position)".to_owned(), |qty| qty.to_string())
}

/// What an intent adds to the order that came of it, and that it is resolved.
pub(crate) fn accepted(intent: &OrderIntent, order: &Order) -> [Statement; 2] {
    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    labelled.client_order_id = Some(intent.client_order_id.clone());
    labelled.engine.clone_from(&intent.engine);
    labelled.signal_id.clone_from(&intent.signal_id);
    labelled.exit_reason = match intent.role {
        IntentRole::Entry | IntentRole::Dca => None,
        IntentRole::Exit => Some(ExitReason::AutoExit),
        IntentRole::TakeProfit => Some(ExitReason::TakeProfit),
        IntentRole::StopLoss => Some(ExitReason::StopLoss),
    };
    let resolved = OrderIntent { outcome: IntentOutcome::Accepted, ..intent.clone() };
    [AnyFact::Order(labelled), AnyFact::Intent(resolved)].map(|fact| Statement {
        fact,
        source: Source::Bot,
        payload: None,
    })
}
