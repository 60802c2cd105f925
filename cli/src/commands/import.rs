//! `fillbook import`

mod showing;

use std::sync::Arc;

use exchange_client::files::Options;
use ledger_store::StoreError;
use reconciler::{Import, ImportLine, ImportReport};

use self::showing::show;
use super::rebuild::count;
use super::text;
use crate::Context;
use crate::args::ImportArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Format, Listing, Output};
use crate::wiring::Interruption;

const LISTING: Listing<ImportLine> = Listing {
    schema: "fillbook.import/1",
    plural: "facts",
    columns: &[
        Column { key: "file", title: "File", rank: 0, value: |l| text(&l.file) },
        Column { key: "what", title: "What", rank: 0, value: |l| text(l.what) },
        Column { key: "new", title: "New", rank: 0, value: |l| l.counts.recorded.into() },
        Column { key: "already_there", title: "Already there", rank: 0, value: |l| l.counts.already_recorded.into() },
        Column { key: "merged", title: "Merged", rank: 0, value: |l| l.counts.merged.into() },
        Column { key: "conflicting", title: "Conflicting", rank: 0, value: |l| l.counts.conflicts.into() },
        Column { key: "rejected", title: "Rejected", rank: 0, value: |l| l.counts.rejected.into() },
    ],
};

/// Reads files into the book.
///
/// # Errors
/// When the book cannot be opened or written. What is wrong with files is reported, and tells in the exit code.
pub async fn run(args: &ImportArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let real = crate::wiring::open(&context.settings)?;
    if real.account(&account).await?.is_none() {
        return Err(StoreError::UnknownAccount { account }.into());
    }
    // A dry run is a real import into a copy of the book, so that its answers are the real ones.
    let scratch =
        if args.dry_run { Some(crate::wiring::scratch_copy(real.as_ref(), &context.settings).await?) } else { None };
    let store = scratch.as_ref().map_or(&real, |scratch| &scratch.store);
    let options = Options {
        zone: context.settings.zone_flag.clone(),
        settle_asset_default: args.settle_asset.clone(),
        uid: args.uid.clone(),
        ..Options::default()
    };
    let import = Import { store: Arc::clone(store), clock: Arc::clone(&context.clock), account, options };
    context.output.hold_errors();
    let mut interruption = Interruption::listen()?;
    let output = &mut context.output;
    let report = import.run(&args.files, &mut |event| show(event, output), interruption.wait()).await?;
    let Some(report) = report else {
        context.output.remark(if args.dry_run {
            "Interrupted. A dry run: nothing was changed."
        } else {
            "Interrupted. What was recorded stays, and positions are out of date: the same import again reads the rest and \
             doubles nothing; `fillbook rebuild` recomputes from what is there."
        });
        return Ok(ExitCode::Interrupted);
    };
    print(&report, &import, &mut context.output).await?;
    let code = exit_code(&report);
    if args.dry_run {
        context.output.remark("A dry run: nothing was changed.");
    } else if context.output.format == Format::Table && code == ExitCode::Fine {
        context.output.remark("Next: `fillbook positions`, `fillbook report`, `fillbook verify`.");
    }
    Ok(code)
}

fn exit_code(report: &ImportReport) -> ExitCode {
    let found = |is_found: bool, code: ExitCode| if is_found { code } else { ExitCode::Fine };
    let of_book = !report.not_computed.is_empty() || report.mode_contradiction.is_some() || !report.doubts.is_empty();
    report.files.iter().fold(found(of_book, ExitCode::Discrepancies), |code, file| {
        code.worst(found(file.rejected > 0, ExitCode::Error))
            .worst(found(file.has_damaged, ExitCode::Corrupt))
            .worst(found(file.conflicting > 0, ExitCode::Discrepancies))
            .worst(found(file.is_of_another_account, ExitCode::Authentication))
    })
}

async fn print(report: &ImportReport, import: &Import, output: &mut Output) -> Result<(), CommandError> {
    output.list(&LISTING, &report.lines().collect::<Vec<_>>())?;
    for entry in &report.not_computed {
        let hint = super::contract_hint(import.store.as_ref(), &import.account, &entry.symbol).await?;
        output.complain(&format!("{}: positions cannot be computed: {}{hint}", entry.symbol, entry.reason));
    }
    for doubt in report.doubts.iter().chain(&report.mode_contradiction) {
        output.complain(&format!("warning: {doubt}"));
    }
    if report.unplaced_fills > 0 {
        let (are, change) = if report.unplaced_fills == 1 { ("is", "it") } else { ("are", "they") };
        output.remark(&format!(
            "{} {are} kept, but in no position: nothing says which one {change} changed. If the account was in one-way mode \
             all the time, `fillbook init --position-mode one-way` says so. If not, an \
             export with a position side, or the orders' export, tells.",
            count(report.unplaced_fills, "fill")
        ));
    }
    Ok(())
}
