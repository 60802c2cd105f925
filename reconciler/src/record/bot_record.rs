//! What the book keeps of a bot's decisions beyond its own words: signals that were restored or concluded, and orders that
//! turned out to be sent.

use ledger_core::{
    AnyFact, ExitReason, IntentOutcome, IntentRole, Label, Order, OrderIntent, OrderKey, Signal, SignalId, Source,
    Sourced, Statement,
};

/// How the ids of restored signals begin. It sorts below every letter and digit: where the bot's own record turns up
/// later and is linked by inference too, that link is the one that stays.
const PREFIX: &str = ".restored:";

/// Whether a signal's id is one that was made here.
pub(crate) fn is_restored_id(id: &SignalId) -> bool {
    id.as_str().starts_with(PREFIX)
}

/// The same order always gives the same signal.
pub(crate) fn restored_id(key: &OrderKey) -> Option<SignalId> {
    SignalId::new(format!("{PREFIX}{}:{}", key.symbol, key.order_id)).ok()
}

/// Whether fillbook concluded that no order follows a signal: that gives way to facts.
pub(crate) fn is_concluded(known: &Sourced<Signal>) -> bool {
    let reason = known.fact.skip_reason().map(Label::as_str);
    matches!(reason, Some(Signal::NEVER_SENT | Signal::REJECTED)) && known.provenance.of("skipped").is_inferred()
}

/// What an intent adds to the order that came of it, and that it is resolved.
pub(crate) fn accepted(intent: &OrderIntent, order: &Order) -> [Statement; 2] {
    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    labelled.client_order_id = Some(intent.client_order_id.clone());
    labelled.engine.clone_from(&intent.engine);
    labelled.signal_id.clone_from(&intent.signal_id);
    labelled.exit_reason = match intent.role {
        // Why the bot closes is its own to say, whenever it does; without its word the fold goes by the signal.
        IntentRole::Entry | IntentRole::Dca | IntentRole::Exit => None,
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
