//! What an audit has to look at twice: no sync comes back to what it doubts.

use std::collections::BTreeSet;

use ledger_core::{Symbol, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyStatus};

use crate::apply::seen_as;
use crate::discrepancy::Subject;
use crate::finding::Finding;
use crate::observe::Observation;
use crate::plan::Plan;
use crate::verify::Verification;

/// The positions and balances that the first look doubted. Of the ledger's rows nothing is known better after a moment.
pub(crate) struct Doubtful {
    findings: Vec<Finding>,
    /// The contracts among them.
    pub(crate) symbols: BTreeSet<Symbol>,
}

impl Doubtful {
    /// `None` where nothing is doubted.
    pub(crate) fn of(plan: &Plan, verification: &Verification) -> Option<Self> {
        let found = plan.findings().chain(&verification.findings).filter(|finding| finding.is_doubtful);
        let of_numbers = |subject: &Subject| matches!(subject, Subject::Position(..) | Subject::Balance(_));
        let findings: Vec<Finding> = found.filter(|finding| of_numbers(&finding.subject)).cloned().collect();
        let symbols = findings.iter().filter_map(|finding| finding.symbol.clone()).collect();
        (!findings.is_empty()).then_some(Self { findings, symbols })
    }

    /// Shows them to the second look as if they were on record, and answers what is.
    pub(crate) fn put_on_record(&self, observation: &mut Observation, at_local: TimestampMs) -> Vec<Discrepancy> {
        let on_record = observation.book.discrepancies.clone();
        for finding in &self.findings {
            let entry = seen_as(finding, DiscrepancyStatus::Pending);
            observation.book.discrepancies.retain(|known| known.entry.key != entry.key);
            observation.book.discrepancies.push(Discrepancy {
                id: 0,
                account: observation.book.account.id.clone(),
                entry,
                first_seen_local: at_local,
                last_seen_local: at_local,
                resolved_local: None,
                run_id: None,
            });
        }
        on_record
    }
}
