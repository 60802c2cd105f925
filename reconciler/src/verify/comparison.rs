//! Counting what a check compares, and what it cannot compare.

use ledger_store::{Discrepancy, DiscrepancyStatus};

use super::Verification;
use super::check::{Check, CheckName, LeftOut, Verdict};
use crate::finding::Finding;
use crate::wording::count;

/// How many differences a verdict keeps.
const KEPT_MAX: usize = 10;
/// How many of them its line shows.
const SHOWN_MAX: usize = 3;
/// How many findings a check adds to the journal.
const FOUND_MAX: usize = 100;

/// Counts what a check compares.
pub(super) struct Comparison<'a> {
    /// What is counted, in the singular.
    what: &'static str,
    /// What is on record: somebody may have said that a difference may stay.
    pub(super) on_record: &'a [Discrepancy],
    pub(super) compared: usize,
    pub(super) count: usize,
    accepted: usize,
    differences: Vec<String>,
    findings: Vec<Finding>,
    /// What was compared, where its number alone does not say it.
    pub(super) shown: Option<String>,
    left_out: Vec<LeftOut>,
}

impl<'a> Comparison<'a> {
    pub(super) fn of(what: &'static str, on_record: &'a [Discrepancy]) -> Self {
        Self {
            what,
            on_record,
            compared: 0,
            count: 0,
            accepted: 0,
            differences: Vec::new(),
            findings: Vec::new(),
            shown: None,
            left_out: Vec::new(),
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

    /// So many differ, in one way.
    pub(super) fn differ(&mut self, number: usize, difference: impl FnOnce() -> String) {
        self.compared += number;
        self.count += number;
        if number > 0 && self.differences.len() < KEPT_MAX {
            self.differences.push(difference());
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
        self.find(finding);
    }

    /// Something that could not be compared is a finding all the same.
    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.len() < FOUND_MAX {
            self.findings.push(finding);
        }
    }

    /// So many could not be compared, for this reason.
    pub(super) fn leave_out(&mut self, number: usize, reason: &str) {
        self.leave_out_as(number, reason, || None);
    }

    /// The same; the first of each reason is shown with `example`.
    pub(super) fn leave_out_as(&mut self, number: usize, reason: &str, example: impl FnOnce() -> Option<String>) {
        if number == 0 {
            return;
        }
        match self.left_out.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.count += number,
            None => self.left_out.push(LeftOut { count: number, reason: reason.to_owned(), example: example() }),
        }
    }

    /// The verdict; `nothing` is why there was nothing to compare, should there not even be something that was left out.
    pub(super) fn check(self, name: CheckName, nothing: &str) -> (Check, Vec<Finding>) {
        let Self { what, compared, count: differing, accepted, differences, findings, shown, left_out, .. } = self;
        let accepted = match accepted {
            0 => String::new(),
            accepted => format!("; {accepted} accepted by somebody's word"),
        };
        let mut rest = not_compared(&left_out);
        let mut check = match (compared, differing) {
            (0, _) if left_out.is_empty() => Check::not_checkable(name, nothing),
            (0, _) => {
                let reasons = left_out.iter().map(|left| format!("{}: {}", count(left.count, what), left.why()));
                Check::not_checkable(name, reasons.collect::<Vec<_>>().join("; "))
            }
            (_, 0) => {
                let shown = shown.unwrap_or_else(|| {
                    let compared = count(compared, what);
                    if left_out.is_empty() { compared } else { format!("{compared} compared") }
                });
                Check::pass(name, compared, format!("{shown}{accepted}{rest}"))
            }
            _ => {
                let some = differences.get(..SHOWN_MAX).unwrap_or(&differences).join("; ");
                let more = if differing > SHOWN_MAX { "; ..." } else { "" };
                rest = rest.replace(" not: ", " not compared: ");
                let detail = format!("{}: {some}{more}{accepted}{rest}", count(differing, what));
                Check {
                    name,
                    verdict: Verdict::Fail { compared, differences, count: differing },
                    detail,
                    left_out: Vec::new(),
                }
            }
        };
        check.left_out = left_out;
        (check, findings)
    }

    /// Adds the verdict and what was found to the others.
    pub(super) fn finish(self, name: CheckName, nothing: &str, verification: &mut Verification) {
        let (check, findings) = self.check(name, nothing);
        verification.checks.push(check);
        verification.findings.extend(findings);
    }
}

/// How much was not compared and why, behind what was.
pub(super) fn not_compared(left_out: &[LeftOut]) -> String {
    left_out.iter().fold(String::new(), |text, left| format!("{text}; {} not: {}", left.count, left.why()))
}
