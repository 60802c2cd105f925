//! What a repair does, and what is planned of one.

use ledger_core::{Symbol, names};
use ledger_store::DiscrepancyKey;
use serde_json::Value;

/// What a repair does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepairKind {
    /// Records fills that the book lacks.
    RestoreFills,
    /// Records other values of a fill beside the book's.
    CorrectFill,
    /// Records again what the book has lost.
    RestoreRows,
    /// Records an order that the book does not know.
    RestoreOrder,
    /// Brings an order up to date.
    UpdateOrder,
    /// Ends an order that the exchange has forgotten.
    EndVanishedOrder,
    /// Finishes a conditional order whose regular order is over.
    FinishTriggeredOrder,
    /// Says that an order of unknown outcome was accepted.
    ResolveIntent,
    /// Says the same of one that was on record as rejected.
    SentAfterAll,
    /// Says that an order of unknown outcome never arrived.
    NeverSent,
    /// Writes a signal's name on its order.
    LinkSignal,
    /// Says of a signal that no order followed.
    SignalNeverSent,
    /// Says of a signal that its orders were rejected.
    SignalRejected,
    /// Takes one of these two back.
    SignalSentAfterAll,
    /// Records a signal that the bot's records lack.
    RestoreSignal,
    /// Writes a strategy on an order.
    LabelOrder,
    /// States what was held before all that the exchange remembers.
    StatePosition,
    /// Moves a stated position in front of older fills.
    MoveStatedPosition,
    /// Takes a stated position back.
    WithdrawStatedPosition,
}

names!(RepairKind, "kind of repair", {
    RestoreFills = "restore_fills",
    CorrectFill = "correct_fill",
    RestoreRows = "restore_rows",
    RestoreOrder = "restore_order",
    UpdateOrder = "update_order",
    EndVanishedOrder = "end_vanished_order",
    FinishTriggeredOrder = "finish_triggered_order",
    ResolveIntent = "resolve_intent",
    SentAfterAll = "sent_after_all",
    NeverSent = "never_sent",
    LinkSignal = "link_signal",
    SignalNeverSent = "signal_never_sent",
    SignalRejected = "signal_rejected",
    SignalSentAfterAll = "signal_sent_after_all",
    RestoreSignal = "restore_signal",
    LabelOrder = "label_order",
    StatePosition = "state_position",
    MoveStatedPosition = "move_stated_position",
    WithdrawStatedPosition = "withdraw_stated_position",
});

/// A repair that is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedRepair {
    /// The contract, where it has one.
    pub symbol: Option<Symbol>,
    /// What it does.
    pub kind: RepairKind,
    /// The discrepancy that it repairs.
    pub discrepancy: Option<DiscrepancyKey>,
    /// Why, in one line.
    pub cause: String,
    /// What it rests on, as JSON text.
    pub evidence_json: String,
    /// What the book says.
    pub before: Option<Value>,
    /// What it will say.
    pub after: Option<Value>,
}
