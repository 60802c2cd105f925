//! What is missing may only be late, or one answer that lacked it: it is asked for again at every look, and is a discrepancy
//! once several looks agree and some time has passed. The journal remembers since when.

use ledger_core::TimestampMs;
use ledger_core::demands::CoveredTime;
use ledger_store::{CoverageSpan, DiscrepancyKey, DiscrepancyStatus};

use super::{Comparison, Extent};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::{Remembered, Wait, recall};
use crate::policy::{DEMAND_LOOKS_MIN, DEMAND_WAIT_MS};
use crate::streams::INCOME;

/// Why something that is missing is no failure yet.
const PENDING: &str = "the exchange is asked again until three looks and 15 minutes agree";
/// Behind every difference: what would settle it.
pub(super) const SETTLED_BY: &str = "every look asks for it again, and this goes once both agree; if the exchange has forgotten it, import a transaction \
     history of that time, or acknowledge it";

/// What is known of a difference: the looks before, and this one.
pub(super) fn waited<T: Remembered>(
    extent: Extent<'_>,
    kind: DiscrepancyKind,
    subject: &Subject,
    at: TimestampMs,
    wait: impl Fn(&T) -> Wait,
) -> Wait {
    let known = recall(extent.on_record(), kind, subject).map(|known: T| wait(&known));
    match (extent, known) {
        // What somebody has accepted stays as it was accepted.
        (_, Some(known)) if status(extent, kind, subject) == Some(DiscrepancyStatus::Acknowledged) => known,
        (Extent::Look(observation), known) => {
            let now = observation.asked_at;
            let Wait { since, looks } = known.unwrap_or(Wait { since: now, looks: 0 });
            // More looks than are needed tell nothing new, and those that did not ask for it nothing at all.
            let asked = u32::from(observation.asks_for_income_of(at));
            Wait { since, looks: looks.saturating_add(asked).min(DEMAND_LOOKS_MIN) }
        }
        (Extent::Book { .. }, Some(known)) => known,
        // Nobody has looked at the exchange for it.
        (Extent::Book { .. }, None) => Wait { since: TimestampMs::MIN, looks: DEMAND_LOOKS_MIN },
    }
}

fn status(extent: Extent<'_>, kind: DiscrepancyKind, subject: &Subject) -> Option<DiscrepancyStatus> {
    let key = DiscrepancyKey { kind: kind.as_str().to_owned(), fingerprint: subject.to_string() };
    extent.on_record().iter().find(|known| known.entry.key == key).map(|known| known.entry.status)
}

/// What becomes of a difference of which this is known.
pub(super) fn outlook(extent: Extent<'_>, kind: DiscrepancyKind, subject: &Subject, wait: Wait) -> Outlook {
    let status = status(extent, kind, subject);
    match extent {
        _ if status == Some(DiscrepancyStatus::Acknowledged) => Outlook::Stays,
        Extent::Look(observation) => {
            let waited_ms = observation.asked_at.as_ms().saturating_sub(wait.since.as_ms());
            let is_agreed = wait.looks >= DEMAND_LOOKS_MIN && waited_ms >= DEMAND_WAIT_MS;
            if is_agreed { Outlook::Stays } else { Outlook::Waits }
        }
        Extent::Book { .. } if status == Some(DiscrepancyStatus::Pending) => Outlook::Waits,
        Extent::Book { .. } => Outlook::Stays,
    }
}

impl Comparison<'_> {
    /// Something that is demanded and missing, or of another amount: told, and a difference unless it still waits.
    pub(super) fn demand(&mut self, finding: Finding) {
        if finding.outlook == Outlook::Waits {
            self.leave_out_as(1, PENDING, || Some(finding.evidence.clone()));
            self.find(finding);
        } else {
            self.compare_finding(false, || finding);
        }
    }
}

/// When the ledger was read from the exchange.
pub(super) fn ledger_time(coverage: &[CoverageSpan]) -> CoveredTime {
    let spans = coverage.iter().filter(|span| span.stream == INCOME && span.symbol.is_none());
    CoveredTime::new(spans.map(|span| (span.since, span.until)))
}
