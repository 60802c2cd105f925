//! What a look at the exchange found and did, in each format.

use std::collections::BTreeMap;

use ledger_core::AccountId;
use ledger_store::DiscrepancyStatus;
use reconciler::{Check, CycleReport, FindingReport, RepairReport, Verdict};
use serde_json::json;

use super::super::rebuild::count;
use super::super::{maybe, text};
use super::Mode;
use crate::Context;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, NOT_IN_TABLES, Output};

/// How many findings or repairs are shown to a person; a program gets all of them.
const SHOWN_MAX: usize = 40;

/// A line of a list, with the account that it is about.
struct Of<T> {
    account: AccountId,
    item: T,
}

const FINDINGS: Listing<Of<FindingReport>> = Listing {
    schema: "fillbook.reconcile.finding/1",
    plural: "findings",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |f| text(&f.account) },
        Column { key: "kind", title: "Found", rank: 0, value: |f| text(f.item.finding.kind) },
        Column { key: "symbol", title: "Symbol", rank: 1, value: |f| maybe(f.item.finding.symbol.as_ref()) },
        Column { key: "status", title: "Status", rank: 2, value: |f| text(f.item.status) },
        Column { key: "evidence", title: "Evidence", rank: 0, value: |f| text(&f.item.finding.evidence) },
        Column { key: "about", title: "About", rank: NOT_IN_TABLES, value: |f| text(&f.item.finding.subject) },
        Column {
            key: "discrepancy",
            title: "No.",
            rank: NOT_IN_TABLES,
            value: |f| f.item.id.and_then(|id| u64::try_from(id).ok()).into(),
        },
    ],
};

const REPAIRS: Listing<Of<RepairReport>> = Listing {
    schema: "fillbook.reconcile.repair/1",
    plural: "repairs",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |r| text(&r.account) },
        Column { key: "kind", title: "Repaired", rank: 0, value: |r| text(&r.item.kind) },
        Column { key: "cause", title: "Because", rank: 0, value: |r| text(&r.item.cause) },
        Column {
            key: "repair",
            title: "No.",
            rank: NOT_IN_TABLES,
            value: |r| r.item.id.and_then(|id| u64::try_from(id).ok()).into(),
        },
    ],
};

const CHECKS: Listing<Of<Check>> = Listing {
    schema: "fillbook.reconcile.check/1",
    plural: "checks",
    columns: &[
        Column { key: "account", title: "Account", rank: NOT_IN_TABLES, value: |c| text(&c.account) },
        Column { key: "check", title: "Check", rank: 0, value: |c| text(c.item.name) },
        Column { key: "verdict", title: "Verdict", rank: 0, value: |c| text(verdict(&c.item.verdict)) },
        Column { key: "detail", title: "Detail", rank: 0, value: |c| detail(&c.item.verdict) },
    ],
};

fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass { .. } => "pass",
        Verdict::Fail { .. } => "FAIL",
        Verdict::NotCheckable { .. } => "not checkable",
    }
}

fn detail(verdict: &Verdict) -> Cell {
    match verdict {
        Verdict::Pass { compared } => Cell::Text(format!("{compared} compared")),
        Verdict::Fail { differences, count, .. } => {
            let more = if *count > differences.len() { "; ..." } else { "" };
            Cell::Text(format!("{count}: {}{more}", differences.join("; ")))
        }
        Verdict::NotCheckable { reason } => text(reason),
    }
}

/// Prints a report and answers its exit code.
pub(super) fn print(
    mode: Mode,
    account: &AccountId,
    base_url: &str,
    report: &CycleReport,
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let code = exit_code(report);
    let output = &mut context.output;
    match output.format {
        Format::Json => {
            list(output, &FINDINGS, account, &report.findings)?;
            list(output, &REPAIRS, account, &report.repairs)?;
            list(output, &CHECKS, account, &report.verification.checks)?;
            let count = |status| report.findings.iter().filter(|found| found.status == status).count();
            output.json(&json!({
                "schema": "fillbook.reconcile/1",
                "command": mode.as_str(),
                "account": account.as_str(),
                "base_url": base_url,
                "run": report.run.map(|run| run.0),
                "symbols_looked_at": report.symbols.len(),
                "findings": report.findings.len(),
                "resolved": count(DiscrepancyStatus::Resolved),
                "pending": count(DiscrepancyStatus::Pending),
                "left": report.unresolved().count(),
                "repairs": report.repairs.len(),
                "recorded": report.counts.recorded,
                "merged": report.counts.merged,
                "conflicts": report.counts.conflicts,
                "checks_clean": report.verification.is_clean(),
                "requests": report.requests,
                "weight": report.weight,
                "exit_code": code.as_u8(),
            }))?;
        }
        Format::Csv => list(output, &FINDINGS, account, &report.findings)?,
        Format::Table => tell(mode, account, base_url, report, output)?,
    }
    Ok(code)
}

/// The worst of what is left.
fn exit_code(report: &CycleReport) -> ExitCode {
    if report.unresolved().next().is_some() || !report.verification.is_clean() {
        ExitCode::Discrepancies
    } else {
        ExitCode::Fine
    }
}

fn list<T: Clone>(
    output: &mut Output,
    listing: &Listing<Of<T>>,
    account: &AccountId,
    items: &[T],
) -> Result<(), CommandError> {
    let items: Vec<_> = items.iter().map(|item| Of { account: account.clone(), item: item.clone() }).collect();
    Ok(output.list(listing, &items)?)
}

/// The same for a person: what was looked at, found and done, what it cost, and what is left.
fn tell(
    mode: Mode,
    account: &AccountId,
    base_url: &str,
    report: &CycleReport,
    output: &mut Output,
) -> Result<(), CommandError> {
    let what = match mode {
        Mode::Sync => "",
        Mode::Audit => "; nothing is changed",
    };
    output.paragraph(&format!("Account {account} at {base_url}{what}."))?;
    if mode == Mode::Audit {
        section(output, &FINDINGS, account, &report.findings)?;
    } else {
        section(output, &REPAIRS, account, &report.repairs)?;
        let left: Vec<_> =
            report.findings.iter().filter(|found| found.status != DiscrepancyStatus::Resolved).cloned().collect();
        section(output, &FINDINGS, account, &left)?;
    }
    let failed: Vec<_> = report
        .verification
        .checks
        .iter()
        .filter(|check| matches!(check.verdict, Verdict::Fail { .. }))
        .cloned()
        .collect();
    section(output, &CHECKS, account, &failed)?;
    output.line("")?;
    let closely = count(report.symbols.len() as u64, "symbol");
    let cost = format!("{} of weight {}", count(report.requests, "request"), report.weight);
    output.titled("Looked at", 9, &format!("the whole account, {closely} closely: {cost}"))?;
    output.titled("Found", 9, &by_kind(report))?;
    if mode == Mode::Sync {
        let counts = &report.counts;
        let conflicts =
            if counts.conflicts > 0 { format!(", {} conflicting", counts.conflicts) } else { String::new() };
        let facts = count(counts.recorded as u64, "new fact");
        let recorded = format!(
            "{facts}, {} completed{conflicts}; {}",
            counts.merged,
            count(report.repairs.len() as u64, "repair")
        );
        output.titled("Recorded", 9, &recorded)?;
    }
    output.titled("Checks", 9, &checks(report))?;
    output.titled(if mode == Mode::Sync { "Left" } else { "To do" }, 9, &left(mode, report))?;
    Ok(())
}

/// A list with a blank line in front, cut to what a person can read.
fn section<T: Clone>(
    output: &mut Output,
    listing: &Listing<Of<T>>,
    account: &AccountId,
    items: &[T],
) -> Result<(), CommandError> {
    if items.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let shown = items.get(..SHOWN_MAX).unwrap_or(items);
    list(output, listing, account, shown)?;
    if items.len() > shown.len() {
        output.paragraph(&format!("... and {} more; --json has all of them.", items.len() - shown.len()))?;
    }
    Ok(())
}

/// `2 missing_fills, 1 unknown_order`.
fn by_kind(report: &CycleReport) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for found in &report.findings {
        *kinds.entry(found.finding.kind.as_str()).or_default() += 1;
    }
    if kinds.is_empty() {
        return "nothing that differs".to_owned();
    }
    kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect::<Vec<_>>().join(", ")
}

fn checks(report: &CycleReport) -> String {
    let verdicts = |wanted: fn(&Verdict) -> bool| {
        let checks = report.verification.checks.iter().filter(|check| wanted(&check.verdict));
        checks.map(|check| check.name.as_str().replace('_', " ")).collect::<Vec<_>>()
    };
    let (passed, failed) = (
        verdicts(|verdict| matches!(verdict, Verdict::Pass { .. })),
        verdicts(|verdict| matches!(verdict, Verdict::Fail { .. })),
    );
    let not_checkable = verdicts(|verdict| matches!(verdict, Verdict::NotCheckable { .. }));
    let part = |names: &[String], what: &str| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let parts = [part(&failed, "FAILED"), part(&passed, "pass"), part(&not_checkable, "not checkable")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn left(mode: Mode, report: &CycleReport) -> String {
    let count_of = |status| report.findings.iter().filter(|found| found.status == status).count();
    let (unresolved, pending) = (count_of(DiscrepancyStatus::Unresolved), count_of(DiscrepancyStatus::Pending));
    let waits = if pending > 0 { format!("; {pending} may settle by themselves") } else { String::new() };
    match (mode, unresolved) {
        (_, 0) if pending == 0 => "nothing".to_owned(),
        (_, 0) => format!("{pending} that may settle by themselves: the next sync looks again"),
        (Mode::Audit, _) => format!("{unresolved}{waits}: `fillbook sync` repairs what can be repaired"),
        (Mode::Sync, _) => format!("{unresolved}{waits}: `fillbook discrepancies` shows them with their age"),
    }
}
