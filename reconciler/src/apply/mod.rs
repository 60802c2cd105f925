//! Writing what the plan says. No choices are made here.
//!
//! One transaction a symbol, with its facts, findings, repairs, cursors and coverage: a crash leaves some symbols repaired
//! and the others as they were. The account-wide cursors move last.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_is_left_out_of_date`.
//! 2. `a_symbol_is_one_transaction`.

mod journal;

use ledger_core::{AccountId, AnyFact, Source, Statement, TimestampMs};
use ledger_store::{Batch, OutcomeCounts, RunId, StoreError, UnreadableRow, Writer};

use self::journal::{Journal, is_settled, seen};
pub(crate) use self::journal::{is_empty, journaled, seen_as};
use crate::error::{Doing, ReconcileError};
use crate::finding::Finding;
use crate::plan::Plan;

/// What applying did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ApplyReport {
    /// What became of the statements.
    pub counts: OutcomeCounts,
    /// The journal's numbers of the findings, in the order of [`Plan::findings`].
    pub discrepancy_ids: Vec<i64>,
    /// The journal's numbers of the repairs, in the order of [`Plan::repairs`].
    pub repair_ids: Vec<i64>,
    /// The book's rows that could not be merged into.
    unreadable: Vec<UnreadableRow>,
}

/// Records the plan and journals it under `run`. `at_local` is the local time for the journal.
///
/// # Errors
/// [`ReconcileError::Store`]; the symbols before the failure are recorded, the account-wide cursors have not moved.
pub(crate) async fn apply(
    plan: &Plan,
    book: &dyn Writer,
    account: &AccountId,
    run: RunId,
    at_local: TimestampMs,
) -> Result<ApplyReport, ReconcileError> {
    let mut applied = ApplyReport::default();
    let journal = Journal { book, account, run, at_local };
    let mode = plan.position_mode.clone().map(|mode| Statement {
        fact: AnyFact::PositionMode(mode),
        source: Source::Rest,
        payload: None,
    });
    let stated: Vec<_> = mode.into_iter().chain(plan.instruments.iter().cloned()).collect();
    let first = Batch {
        reopened: plan.reopened.clone(),
        discrepancies: plan.account_findings.iter().map(seen).collect(),
        settled: plan.account_findings.iter().filter(|finding| is_settled(finding)).map(Finding::key).collect(),
        ..journal.batch(&stated)
    };
    journal.commit(first, &mut applied).await?;
    for symbol_plan in plan.symbols.values() {
        journal.symbol(symbol_plan, &mut applied).await?;
    }
    // All the rest is recorded, and the cursors wait: once the book's row is mended, nothing is lost.
    if let Some(row) = applied.unreadable.pop() {
        return Err(StoreError::CorruptRow { row }).doing("recording what the exchange says");
    }
    let last = Batch {
        cursors: plan.account_cursors.clone(),
        coverage: plan.account_coverage.clone(),
        settled: plan.settled.clone(),
        ..journal.batch(&plan.account_statements)
    };
    journal.commit(last, &mut applied).await?;
    // The position mode decides which position a fill changed, so setting it can leave derived rows out of date. What
    // is verified next has to rest on all that is recorded.
    for pending in book.pending_refolds().await.doing("reading which symbols are out of date")? {
        if pending.account == *account {
            book.refold(account, &pending.symbol).await.doing("bringing a symbol up to date")?;
        }
    }
    Ok(applied)
}
