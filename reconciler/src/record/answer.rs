//! What a line is answered with.

use std::collections::BTreeSet;

use ledger_core::{AssetTotal, CertainTotal, Outcome, RoundTrip};
use ledger_store::{CommitReport, StoreError, StoreErrorClass};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::error::ReconcileError;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineOutcome {
    /// What it says is new, and on record.
    Recorded,
    /// The book said all of it before.
    AlreadyRecorded,
    /// It filled in or moved on what is on record.
    Enriched,
    /// It is on record, and says something else than the book.
    Conflict,
    /// It was a question, or left nothing to record.
    Answered,
    /// It cannot be recorded as it is. Nothing of it is on record.
    Refused,
    /// The book cannot be written at this moment. Nothing of it is on record, and the same line can be given again.
    Failed,
}

ledger_core::names!(LineOutcome, "outcome of a line", {
    Recorded = "recorded", AlreadyRecorded = "already_recorded", Enriched = "enriched", Conflict = "conflict",
    Answered = "answered", Refused = "refused", Failed = "failed",
});

/// The answer to a line. What it says is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The line's number, from 1.
    pub line: u64,
    /// What the line gave to be recognised by; null where it gave nothing, or cannot be read.
    pub reference: Value,
    /// What became of it.
    pub outcome: LineOutcome,
    /// What there is to say besides.
    pub details: Map<String, Value>,
}

impl Answer {
    /// To a line that cannot even be read.
    pub fn refused(line: u64, problem: &str, advice: &str) -> Self {
        let effect = Trouble::from(Refusal::line(problem, advice)).effect();
        Self { line, reference: Value::Null, outcome: effect.outcome, details: effect.details }
    }

    /// The object that stands on the answer's line.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("line".to_owned(), self.line.into());
        object.insert("ref".to_owned(), self.reference.clone());
        object.insert("outcome".to_owned(), self.outcome.as_str().into());
        object.extend(self.details.clone());
        object.into()
    }
}

/// What a line comes to, before it is an answer.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) outcome: LineOutcome,
    pub(super) details: Map<String, Value>,
}

impl Effect {
    /// Of a question.
    pub(super) fn answered() -> Self {
        Self { outcome: LineOutcome::Answered, details: Map::new() }
    }

    /// Of what the book said before.
    pub(super) fn already() -> Self {
        Self { outcome: LineOutcome::AlreadyRecorded, details: Map::new() }
    }

    /// Of what was recorded. A line can state several facts: it is new if the first of them is, for the others only add what
    /// follows from it.
    pub(super) fn of(report: &CommitReport) -> Self {
        let mut fields = BTreeSet::new();
        for outcome in &report.outcomes {
            if let Outcome::Conflicts { fields: conflicting } = outcome {
                fields.extend(conflicting.iter().copied());
            }
        }
        if !fields.is_empty() {
            let effect = Self { outcome: LineOutcome::Conflict, details: Map::new() };
            return effect.with("fields", fields.into_iter().collect::<Vec<_>>());
        }
        let says_nothing = |outcome: &Outcome| matches!(outcome, Outcome::AlreadyRecorded);
        let outcome = match report.outcomes.first() {
            Some(Outcome::Recorded) => LineOutcome::Recorded,
            _ if report.outcomes.iter().all(says_nothing) => LineOutcome::AlreadyRecorded,
            _ => LineOutcome::Enriched,
        };
        Self { outcome, details: Map::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Why a line is not on record.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The line is at fault.
    Refused(Refusal, Map<String, Value>),
    /// The book is.
    Failed(ReconcileError),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, Map::new())
    }
}

impl From<ReconcileError> for Trouble {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

impl Trouble {
    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Refused(refusal, details) => {
                Effect { outcome: LineOutcome::Refused, details }.with("error", refusal.to_json())
            }
            Self::Failed(error) => {
                let class = match &error {
                    ReconcileError::Store { source, .. } => class_of(source),
                    _ => StoreErrorClass::Other.as_str(),
                };
                let causes = std::iter::successors(std::error::Error::source(&error), |cause| (*cause).source());
                let causes = causes.map(ToString::to_string);
                let problem: Vec<_> = std::iter::once(error.to_string()).chain(causes).collect();
                let advice = "keep the line and give it again: nothing of it is on record";
                let error = json!({ "class": class, "problem": problem.join(": "), "advice": advice });
                Effect { outcome: LineOutcome::Failed, details: Map::new() }.with("error", error)
            }
        }
    }
}

/// The class of a book's failure, in the protocol's words.
pub(super) fn class_of(error: &StoreError) -> &'static str {
    match error.class() {
        StoreErrorClass::Busy => "locked",
        class => class.as_str(),
    }
}

/// A round trip as an answer shows it. Amounts are strings; what is not known is null.
pub(super) fn trip_json(trip: &RoundTrip) -> Value {
    let net = trip.net().map(|net| net.iter().map(asset_json).collect::<Vec<_>>());
    json!({
        "key": trip.key().to_string(),
        "symbol": trip.symbol.as_str(),
        "position_side": trip.position_side.as_str(),
        "direction": trip.direction.as_str(),
        "engine": trip.engine.as_ref().map(ledger_core::EngineLabel::as_str),
        "opened_ts": trip.opened_at.map(ledger_core::TimestampMs::as_ms),
        "closed_ts": trip.closed_at.map(ledger_core::TimestampMs::as_ms),
        "entry_qty": trip.entry_qty.to_string(),
        "entry_price_avg": trip.entry_price_avg.map(|price| price.to_string()),
        "exit_qty": trip.exit_qty.to_string(),
        "exit_price_avg": trip.exit_price_avg.map(|price| price.to_string()),
        "gross": total_json(&trip.gross),
        "fees": trip.fees.iter().map(asset_json).collect::<Vec<_>>(),
        "funding": trip.funding.iter().map(asset_json).collect::<Vec<_>>(),
        "net": net.ok(),
        "settle_asset": trip.settle_asset.as_str(),
        "exit_reason": trip.exit_reason.as_str(),
        "certainty": trip.certainty.as_str(),
    })
}

fn asset_json(total: &AssetTotal) -> Value {
    let mut value = total_json(&total.total);
    value["asset"] = total.asset.as_str().into();
    value
}

fn total_json(total: &CertainTotal) -> Value {
    json!({ "amount": total.told().map(|amount| amount.to_string()), "certainty": total.certainty().as_str() })
}
