//! Counting what a check compares.

use ledger_store::{Discrepancy, DiscrepancyStatus};

use super::check::{Check, CheckName, Verdict};
use super::{Verification, count};
use crate::discrepancy::Finding;

/// How many differences a verdict keeps.
const KEPT_MAX: usize = 10;
/// How many of them its line tells.
const TOLD_MAX: usize = 3;
/// How many findings a check adds to the journal.
const FOUND_MAX: usize = 100;

/// Counts what a check compares.
pub(super) struct Tally<'a> {
    /// What is counted, in the singular.
    what: &'static str,
    /// What is on record: somebody may have said that a difference may stay.
    pub(super) on_record: &'a [Discrepancy],
    pub(super) compared: usize,
    pub(super) count: usize,
    accepted: usize,
    differences: Vec<String>,
    findings: Vec<Finding>,
    /// What passing says instead of how much was compared.
    pub(super) told: Option<String>,
    /// What was left out, and why.
    pub(super) beside: Option<String>,
}

impl<'a> Tally<'a> {
    pub(super) fn of(what: &'static str, on_record: &'a [Discrepancy]) -> Self {
        Self {
            what,
            on_record,
            compared: 0,
            count: 0,
            accepted: 0,
            differences: Vec::new(),
            findings: Vec::new(),
            told: None,
            beside: None,
        }
    }

    pub(super) fn compare(&mut self, agrees: bool, difference: impl FnOnce() -> String) {
        self.compared += 1;
        if !agrees {
            self.count += 1;
            if self.differences.len() < KEPT_MAX {
                self.differences.push(difference());
            }
        }
    }

    /// Compares something that nobody has planned for: a difference is a finding of its own, and fails no check for as
    /// long as somebody has accepted it as it is.
    pub(super) fn compare_finding(&mut self, agrees: bool, finding: impl FnOnce() -> Finding) {
        if agrees {
            self.compared += 1;
            return;
        }
        let finding = finding();
        let key = finding.key();
        let is_accepted = self.on_record.iter().any(|known| {
            known.entry.status == DiscrepancyStatus::Acknowledged
                && known.entry.key == key
                && known.entry.evidence_json == finding.evidence_json()
        });
        if is_accepted {
            self.compared += 1;
            self.accepted += 1;
        } else {
            self.compare(false, || finding.evidence.clone());
        }
        if self.findings.len() < FOUND_MAX {
            self.findings.push(finding);
        }
    }

    /// The verdict; `nothing` says why there was nothing to compare, should that be so.
    pub(super) fn check(self, name: CheckName, nothing: &str) -> (Check, Vec<Finding>) {
        let Self { what, compared, count: differing, accepted, differences, findings, told, beside, .. } = self;
        let accepted = match accepted {
            0 => String::new(),
            accepted => format!("; {accepted} accepted by somebody's word"),
        };
        let beside = beside.map_or_else(String::new, |beside| format!(" ({beside})"));
        let check = match (compared, differing) {
            (0, _) => Check::not_checkable(name, nothing),
            (_, 0) => {
                let detail = told.unwrap_or_else(|| count(compared, what));
                Check::pass(name, compared, format!("{detail}{beside}{accepted}"))
            }
            _ => {
                let shown = differences.get(..TOLD_MAX).unwrap_or(&differences).join("; ");
                let more = if differing > TOLD_MAX { "; ..." } else { "" };
                let detail = format!("{}: {shown}{more}{accepted}", count(differing, what));
                Check { name, verdict: Verdict::Fail { compared, differences, count: differing }, detail }
            }
        };
        (check, findings)
    }

    /// Adds the verdict and what was found to the others.
    pub(super) fn finish(self, name: CheckName, nothing: &str, verification: &mut Verification) {
        let (check, findings) = self.check(name, nothing);
        verification.checks.push(check);
        verification.findings.extend(findings);
    }
}
