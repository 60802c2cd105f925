//! What comes of asking for the ledger's rows type by type: where both cuts have the same rows, that time is done with; else it
//! is asked for again. Rows that only this cut has are recorded with all others.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_type_is_done_with_where_both_lists_agree`.
//! 2. `rows_that_their_own_type_lacks_are_doubted_and_then_told`.

use ledger_store::SyncCursor;

use super::Plan;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::observe::{Observation, TypeAnswer, observed_at};
use crate::streams::income_by_type;
use crate::wording::{count, instant};

pub(super) fn plan_by_type(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    let looks = observation.looks(observed_at(observation));
    for answer in &observation.by_type.answers {
        if answer.agrees() {
            plan.account_cursors.push(SyncCursor {
                stream: income_by_type(&answer.income_type),
                symbol: None,
                position: answer.window.until().saturating_add_ms(1).as_ms().to_string(),
            });
        }
        plan.account_findings.extend(unlisted(answer).map(|finding| finding.doubted(Claim::Holds, &looks)));
    }
    plan
}

/// The rows that are on record as the exchange's, and not listed under their type.
fn unlisted(answer: &TypeAnswer) -> Option<Finding> {
    let TypeAnswer { income_type, unlisted, .. } = answer;
    let first = unlisted.first()?;
    let evidence = format!(
        "the book has {} of type {income_type} by the exchange's word, the first of {} at {} (id {}), and the exchange lists none of \
         that when it is asked for {income_type} alone; it stays on record, and is asked for again",
        count(unlisted.len(), "ledger row"),
        format_args!("{} {}", first.amount, first.key.asset),
        instant(first.time.at),
        first.key.tran_id,
    );
    let subject = Subject::LedgerType(income_type.clone());
    Some(Finding::new(DiscrepancyKind::UnequalLedger, None, subject, Outlook::Stays, evidence))
}

#[cfg(test)]
mod tests {
    use exchange_client::{Stated, TimeWindow};
    use ledger_core::Income;
    use ledger_store::{Discrepancy, DiscrepancyStatus};

    use super::*;
    use crate::tests::{at, known, quiet, stated, transfer};

    fn answered(rows: Vec<Stated<Income>>, unlisted: Vec<Income>) -> Observation {
        let mut seen = quiet();
        let income_type = "TRANSFER".parse().unwrap();
        let window = TimeWindow::up_to(at(-1), at(-1_000));
        seen.by_type.answers.push(TypeAnswer { income_type, window, rows, unlisted, is_refused: false });
        seen
    }

    #[test]
    fn a_type_is_done_with_where_both_lists_agree() {
        let cursors = |seen: &Observation| {
            let planned = plan_by_type(seen).account_cursors.into_iter();
            planned.map(|cursor| (cursor.stream, cursor.position)).collect::<Vec<_>>()
        };
        let end = at(0).as_ms().to_string();
        assert_eq!(cursors(&answered(vec![], vec![])), [("income TRANSFER".to_owned(), end)]);
        let news = stated(transfer(1, -500));
        assert_eq!(cursors(&answered(vec![news], vec![])), []);
        assert_eq!(cursors(&answered(vec![], vec![transfer(1, -500)])), []);
    }

    #[test]
    fn rows_that_their_own_type_lacks_are_doubted_and_then_told() {
        let lacking = || answered(vec![], vec![transfer(1, -500), transfer(2, -400)]);
        let told = |on_record: Vec<Discrepancy>, ms: i64| {
            let mut seen = lacking();
            (seen.book.discrepancies, seen.asked_at) = (on_record, at(ms));
            seen.positions.answer_mut().unwrap().asked_at = at(ms);
            plan_by_type(&seen).account_findings.remove(0)
        };
        let first = told(vec![], 0);
        assert_eq!((first.kind, first.outlook), (DiscrepancyKind::UnequalLedger, Outlook::Waits));
        assert!(first.evidence.contains("2 ledger rows of type TRANSFER"), "{}", first.evidence);
        let on_record = known(&first);
        assert_eq!(on_record.entry.status, DiscrepancyStatus::Pending);
        let second = told(vec![on_record], 60_000);
        assert_eq!((second.outlook, &second.evidence), (Outlook::Stays, &first.evidence));
    }
}
