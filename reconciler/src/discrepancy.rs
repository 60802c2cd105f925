//! What can differ between book and exchange, each with its evidence in one line.

use std::fmt;

use ledger_core::{ClientOrderId, OrderKey, PositionSide, Symbol, TimestampMs};
use ledger_store::DiscrepancyKey;
use serde_json::{Value, json};

/// The kinds of discrepancies that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiscrepancyKind {
    /// The exchange has fills of an order that the book lacks, or executed more of it than the book's fills add up to.
    MissingFills,
    /// The exchange has an order that the book does not know.
    UnknownOrder,
    /// The book's state of an order is behind the exchange's.
    OrderBehind,
    /// Quantities of a position differ.
    PositionMismatch,
    /// Nobody knew what became of an order that was sent.
    UnresolvedIntent,
    /// The exchange did not answer: nothing can be said about its subject.
    QueryFailed,
    /// The book was last brought up to date so long ago that the exchange does not answer for all of the time since.
    /// Stays on record: nothing that is read later can show that nothing was missed.
    HistoryExpired,
}

impl DiscrepancyKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::MissingFills,
        Self::UnknownOrder,
        Self::OrderBehind,
        Self::PositionMismatch,
        Self::UnresolvedIntent,
        Self::QueryFailed,
        Self::HistoryExpired,
    ];

    /// The name in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFills => "missing_fills",
            Self::UnknownOrder => "unknown_order",
            Self::OrderBehind => "order_behind",
            Self::PositionMismatch => "position_mismatch",
            Self::UnresolvedIntent => "unresolved_intent",
            Self::QueryFailed => "query_failed",
            Self::HistoryExpired => "history_expired",
        }
    }
}

impl fmt::Display for DiscrepancyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a discrepancy is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An order.
    Order(OrderKey),
    /// A position.
    Position(Symbol, PositionSide),
    /// An order that was sent.
    Intent(ClientOrderId),
    /// A question to the exchange.
    Query(String),
    /// What could have been read from this instant on.
    History(String, TimestampMs),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(key) => write!(f, "{}/{}/{}", key.symbol, key.class, key.order_id),
            Self::Position(symbol, side) => write!(f, "{symbol}/{side}"),
            Self::Intent(client_order_id) => write!(f, "{client_order_id}"),
            Self::Query(query) => f.write_str(query),
            Self::History(stream, since) => write!(f, "{stream}/{since}"),
        }
    }
}

/// A discrepancy that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: DiscrepancyKind,
    /// The contract, where it has one.
    pub symbol: Option<Symbol>,
    /// About what.
    pub subject: Subject,
    /// The values that differ and where they stand: one line, for the reader.
    pub evidence: String,
    /// Whether it may go by itself: the exchange's answers can lag behind each other for a moment.
    pub may_settle: bool,
}

impl Finding {
    /// What makes it this discrepancy and no other, within account and kind.
    pub fn fingerprint(&self) -> String {
        self.subject.to_string()
    }

    /// By what the journal finds it again.
    pub fn key(&self) -> DiscrepancyKey {
        DiscrepancyKey { kind: self.kind.as_str().to_owned(), fingerprint: self.fingerprint() }
    }

    /// The evidence as the journal keeps it.
    pub fn evidence_json(&self) -> String {
        let symbol = self.symbol.as_ref().map_or(Value::Null, |symbol| symbol.as_str().into());
        json!({ "evidence": self.evidence, "subject": self.subject.to_string(), "symbol": symbol }).to_string()
    }
}
