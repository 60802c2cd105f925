//! `fillbook verify`
//!
//! Named checks, each of which passes, fails, or cannot be made, with the reason. None of them writes.

pub(super) mod checks;
mod derived;

use self::checks::{Check, Verdict};
use super::text;
use crate::Context;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Format, Listing};

const LISTING: Listing<Check> = Listing {
    schema: "fillbook.verify.check/1",
    plural: "checks",
    columns: &[
        Column { key: "check", title: "Check", rank: 0, value: |c| text(c.name) },
        Column { key: "verdict", title: "Verdict", rank: 0, value: |c| text(c.verdict.as_str()) },
        Column { key: "detail", title: "Detail", rank: 0, value: |c| text(&c.detail) },
    ],
};

/// Checks that the book balances, against itself and against what the exchange says.
///
/// # Errors
/// When the book cannot be read or the output not be written. Failed checks tell in the exit code.
pub async fn run(context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let store = super::open_account(context).await?;
    // What is derived is proven by deriving it again, in a copy that may be changed.
    let scratch = crate::wiring::scratch_copy(store.as_ref(), &context.settings).await?;
    let checks = checks::all(store.as_ref(), scratch.store.as_ref(), &account, &mut context.output).await?;
    report(&checks, context)
}

/// Prints checks and turns them into an exit code.
pub(super) fn report(checks: &[Check], context: &mut Context) -> Result<ExitCode, CommandError> {
    context.output.list(&LISTING, checks)?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    if context.output.format == Format::Table {
        let passed = checks.iter().filter(|check| check.verdict == Verdict::Pass).count();
        let unchecked = checks.iter().filter(|check| check.verdict == Verdict::NotCheckable).count();
        let verdict = match failed.count() {
            0 if unchecked == 0 => "The book balances.".to_owned(),
            0 => format!(
                "The book balances as far as it can be checked ({unchecked} of {} checks cannot be made).",
                checks.len()
            ),
            failed => format!("{failed} of {} checks failed, {passed} passed.", checks.len()),
        };
        context.output.line("")?;
        context.output.paragraph(&verdict)?;
    }
    Ok(worst(checks))
}

/// The exit code of the worst failed check.
pub(super) fn worst(checks: &[Check]) -> ExitCode {
    checks.iter().fold(ExitCode::Fine, |code, check| code.worst(check.failure))
}
