//! `fillbook verify`
//!
//! Named checks, each of which passes, fails, or cannot be made, with the reason. None of them writes.

use ledger_core::AccountId;
use ledger_store::Store;
use reconciler::{Check, CheckCounts, Severity, Verdict, WholeBook, verify_book};

use super::text;
use crate::Context;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, NOT_IN_TABLES, Output};
use crate::wiring::Access;

/// A check of an account.
pub(super) struct Made {
    pub(super) account: AccountId,
    pub(super) check: Check,
}

/// Checks, for whichever command made them.
pub(super) const LISTING: Listing<Made> = Listing {
    schema: "fillbook.check/1",
    plural: "checks",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |c| text(&c.account) },
        Column { key: "check", title: "Check", rank: NOT_IN_TABLES, value: |c| text(c.check.name) },
        Column { key: "title", title: "Check", rank: 0, value: |c| text(c.check.name.title()) },
        Column {
            key: crate::output::ONLY_IN_TABLES,
            title: "Verdict",
            rank: 0,
            value: |c| text(in_words(&c.check.verdict)),
        },
        Column { key: "verdict", title: "Verdict", rank: NOT_IN_TABLES, value: |c| text(c.check.verdict.as_str()) },
        Column { key: "detail", title: "Detail", rank: 0, value: |c| text(&c.check.detail) },
        Column { key: "compared", title: "Compared", rank: NOT_IN_TABLES, value: |c| compared(&c.check.verdict) },
        Column {
            key: "not_compared",
            title: "Not compared",
            rank: NOT_IN_TABLES,
            value: |c| Cell::Count(c.check.left_out_count() as u64),
        },
        Column { key: "reasons", title: "Reasons", rank: NOT_IN_TABLES, value: |c| reasons(&c.check) },
        Column { key: "differing", title: "Differing", rank: NOT_IN_TABLES, value: |c| differing(&c.check.verdict) },
        Column {
            key: "differences",
            title: "Differences",
            rank: NOT_IN_TABLES,
            value: |c| differences(&c.check.verdict),
        },
    ],
};

fn in_words(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass { .. } => "pass",
        Verdict::Fail { .. } => "FAIL",
        Verdict::NotCheckable { .. } => "not checkable",
    }
}

fn compared(verdict: &Verdict) -> Cell {
    match verdict {
        Verdict::Pass { compared } | Verdict::Fail { compared, .. } => Cell::Count(*compared as u64),
        Verdict::NotCheckable { .. } => Cell::Count(0),
    }
}

fn differing(verdict: &Verdict) -> Cell {
    match verdict {
        Verdict::Fail { count, .. } => Cell::Count(*count as u64),
        _ => Cell::Count(0),
    }
}

/// Why something was not compared, with how much.
fn reasons(check: &Check) -> Cell {
    let reasons = check
        .left_out
        .iter()
        .map(|left| serde_json::json!({ "count": left.count, "reason": left.reason, "example": left.example }));
    Cell::Json(serde_json::Value::Array(reasons.collect()).to_string())
}

fn differences(verdict: &Verdict) -> Cell {
    match verdict {
        Verdict::Fail { differences, .. } => Cell::Json(serde_json::Value::from(differences.as_slice()).to_string()),
        _ => Cell::Json("[]".to_owned()),
    }
}

/// Checks that the book balances, against itself and against what the exchange says.
///
/// # Errors
/// When the book cannot be read or the output not be written. Failed checks tell in the exit code.
pub async fn run(context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let open = crate::wiring::open_book(&context.settings, Access::Read).await?;
    super::check_account(open.as_ref(), &account).await?;
    // Derived rows are proven by deriving them again, in a copy that may be changed. The copy is of the same moment as the
    // rows it is compared with, because others may write to the book meanwhile.
    let scratch = crate::wiring::scratch_copy(open.as_ref(), &context.settings).await?;
    let checks = all(open.as_ref(), scratch.store.as_ref(), &account, &mut context.output).await?;
    report(&checks, &account, context)
}

/// Makes every check. `scratch` is a copy of the book that may be changed.
pub(super) async fn all(
    store: &dyn Store,
    scratch: &dyn Store,
    account: &AccountId,
    output: &mut Output,
) -> Result<Vec<Check>, CommandError> {
    let venue = &exchange_client::binance_usdm::VENUE;
    let whole = WholeBook { account, venue, store, scratch };
    let mut progress = |name: reconciler::CheckName| output.progress(&format!("checking: {}", name.title()));
    Ok(verify_book(&whole, &mut progress).await?)
}

/// Prints checks and turns them into an exit code.
pub(super) fn report(checks: &[Check], account: &AccountId, context: &mut Context) -> Result<ExitCode, CommandError> {
    let made: Vec<_> = checks.iter().map(|check| Made { account: account.clone(), check: check.clone() }).collect();
    context.output.list(&LISTING, &made)?;
    if context.output.format == Format::Table {
        let CheckCounts { passed, failed, not_checkable } = CheckCounts::of(checks);
        let partly = checks.iter().filter(|check| check.is_in_part()).count();
        let verdict = match (failed, not_checkable, partly) {
            (0, 0, 0) => "The book balances.".to_owned(),
            (0, unchecked, partly) => {
                let all = checks.len();
                let parts = match (unchecked, partly) {
                    (0, partly) => format!("{partly} of {all} checks can be made only in part"),
                    (unchecked, 0) => format!("{unchecked} of {all} checks cannot be made"),
                    _ => format!("{unchecked} of {all} checks cannot be made, {partly} only in part"),
                };
                format!("The book balances as far as it can be checked ({parts}).")
            }
            (failed, unchecked, _) => {
                format!("{failed} of {} checks failed, {passed} passed, {unchecked} cannot be made.", checks.len())
            }
        };
        context.output.line("")?;
        context.output.paragraph(&verdict)?;
    }
    Ok(worst(checks))
}

/// The exit code of the worst failed check.
pub(super) fn worst(checks: &[Check]) -> ExitCode {
    let failed = checks.iter().filter(|check| check.failed());
    failed.fold(ExitCode::Fine, |code, check| {
        code.worst(match check.name.severity() {
            Severity::Discrepancy => ExitCode::Discrepancies,
            Severity::Imbalance => ExitCode::Corrupt,
        })
    })
}
