//! Facts and errors in a few words.

use ledger_core::{AnyFact, FactKind, FillKey};

/// An error with its causes, on one line.
pub(super) fn story(error: &(dyn std::error::Error + 'static)) -> String {
    let mut story = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        story.push_str(": ");
        story.push_str(&cause.to_string());
        source = cause.source();
    }
    story
}

pub(super) fn plural(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Instrument => "instruments",
        FactKind::Signal => "signals",
        FactKind::Intent => "intents",
        FactKind::Order => "orders",
        FactKind::Fill => "fills",
        FactKind::Cancel => "cancels",
        FactKind::Income => "income rows",
        FactKind::Position => "position snapshots",
        FactKind::Balance => "balance snapshots",
        FactKind::Price => "price snapshots",
        FactKind::FundingRate => "funding rates",
        FactKind::Anchor => "anchors",
        FactKind::PositionMode => "position modes",
    }
}

/// A fact in a few words.
pub(super) fn describe(fact: &AnyFact) -> String {
    match fact {
        AnyFact::Fill(fill) => {
            let FillKey { symbol, fill_id, side } = &fill.key;
            format!("fill {fill_id} ({symbol} {side})")
        }
        AnyFact::Order(order) => format!("order {} ({})", order.key.order_id, order.key.symbol),
        AnyFact::Cancel(cancel) => format!("the cancel of order {} ({})", cancel.key.order_id, cancel.key.symbol),
        AnyFact::Signal(signal) => format!("signal {}", signal.signal_id),
        AnyFact::Intent(intent) => format!("intent {}", intent.client_order_id),
        AnyFact::Income(income) => format!("{} {}", income.key.income_type, income.key.tran_id),
        other => format!("the {}", other.kind()),
    }
}
