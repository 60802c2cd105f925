//! What a look at the exchange found and did, in each format.

use std::collections::BTreeMap;

use ledger_core::{AccountId, Symbol, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyStatus};
use reconciler::{Check, CheckCounts, CycleReport, FindingReport, RepairReport, Verdict};
use serde_json::json;

use super::super::discrepancies;
use super::super::journal::Entry;
use super::super::rebuild::count;
use super::super::settled::Ends;
use super::super::verify::{self, Made};
use super::Mode;
use super::lists::{FINDING_GROUPS, FINDINGS, Of, REPAIR_GROUPS, REPAIRS};
use crate::Context;
use crate::error::{CommandError, ExitCode, class_exit_code};
use crate::output::groups::{Group, grouped};
use crate::output::{Detail, Format, Listing, Output};

/// How many findings or repairs are shown to a person; a program gets all of them.
const SHOWN_MAX: usize = 40;

/// Which account it is about, and when it is looked at.
struct About<'a> {
    account: &'a AccountId,
    now: TimestampMs,
}

impl About<'_> {
    fn all<T>(&self, items: impl Iterator<Item = T>) -> Vec<Of<T>> {
        items.map(|item| Of { account: self.account.clone(), item, now: self.now }).collect()
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
    let of = About { account, now: context.clock.now() };
    let output = &mut context.output;
    match output.format {
        Format::Json => {
            list(output, &FINDINGS, &of, &report.findings)?;
            list(output, &REPAIRS, &of, &report.repairs)?;
            checks_of(output, account, &report.verification.checks)?;
            output.json(&json!({
                "schema": "fillbook.reconcile/1",
                "command": mode.as_str(),
                "account": account.as_str(),
                "base_url": base_url,
                "run": report.run.map(|run| run.0),
                "symbols_looked_at": report.symbols.len(),
                "symbols_left_aside": report.left_aside.iter().map(Symbol::as_str).collect::<Vec<_>>(),
                "findings": report.finding_count(),
                "resolved": report.finding_count_of(DiscrepancyStatus::Resolved),
                "pending": report.finding_count_of(DiscrepancyStatus::Pending),
                "left": left_count(report),
                "repairs": report.repair_count(),
                "recorded": report.counts.recorded,
                "merged": report.counts.merged,
                "conflicts": report.counts.conflicts,
                "checks": counts_json(report.verification.counts()),
                "quarantined": report.quarantined.iter().map(|entry| json!({
                    "symbol": entry.symbol.as_str(), "reason": entry.reason,
                })).collect::<Vec<_>>(),
                "not_answered": report.failed.iter().map(|failed| json!({
                    "symbol": failed.symbol.as_ref().map(Symbol::as_str), "what": failed.what,
                    "kind": failed.class.as_str(),
                })).collect::<Vec<_>>(),
                "outside": {
                    "funding_rates": report.outside.rates_new, "prices": report.outside.prices_new,
                    "remarks": report.outside.remarks,
                },
                "requests": report.requests,
                "weight": report.weight,
                "exit_code": code.as_u8(),
            }))?;
        }
        Format::Csv => list(output, &FINDINGS, &of, &report.findings)?,
        Format::Table => tell(mode, &of, base_url, report, output)?,
    }
    for remark in &report.outside.remarks {
        output.remark(remark);
    }
    Ok(code)
}

fn counts_json(counts: CheckCounts) -> serde_json::Value {
    let CheckCounts { passed, failed, not_checkable } = counts;
    json!({ "state": counts.state(), "passed": passed, "failed": failed, "not_checkable": not_checkable })
}

fn checks_of(output: &mut Output, account: &AccountId, checks: &[Check]) -> Result<(), CommandError> {
    let made: Vec<_> = checks.iter().map(|check| Made { account: account.clone(), check: check.clone() }).collect();
    Ok(output.list(&verify::LISTING, &made)?)
}

/// The worst of what is left, and of what the exchange did not answer.
fn exit_code(report: &CycleReport) -> ExitCode {
    let left = if report.leaves_discrepancies() { ExitCode::Discrepancies } else { ExitCode::Fine };
    let failed = report.failed.iter().map(|failed| class_exit_code(failed.class));
    failed.filter(|code| *code != ExitCode::Error).fold(left, ExitCode::worst)
}

fn list<T: Clone>(
    output: &mut Output,
    listing: &Listing<Of<T>>,
    about: &About<'_>,
    items: &[T],
) -> Result<(), CommandError> {
    Ok(output.list(listing, &about.all(items.iter().cloned()))?)
}

/// The same for a person: what was looked at, found and done, what it cost, and what is left.
fn tell(
    mode: Mode,
    about: &About<'_>,
    base_url: &str,
    report: &CycleReport,
    output: &mut Output,
) -> Result<(), CommandError> {
    let account = about.account;
    let what = match mode {
        Mode::Sync => "",
        Mode::Audit => "; nothing is changed",
    };
    output.paragraph(&format!("Account {account} at {base_url}{what}."))?;
    let mut ends = Ends::default();
    for found in &report.findings {
        ends.note_found(found);
    }
    if mode == Mode::Audit {
        findings(output, about, report.findings.iter().cloned())?;
    } else {
        let cause = |of: &Of<RepairReport>| (of.item.kind, of.item.symbol.clone());
        section(output, &REPAIRS, &REPAIR_GROUPS, about.all(report.repairs.iter().cloned()), cause)?;
        let left = report.findings.iter().filter(|found| found.status != DiscrepancyStatus::Resolved);
        findings(output, about, left.cloned())?;
    }
    let earlier = earlier(report);
    if !earlier.is_empty() {
        output.line("")?;
        output.line("Also on record:")?;
        for known in &earlier {
            ends.note(known);
        }
        let entries = earlier.into_iter().map(|known| Entry::new(known.clone(), about.now)).collect();
        discrepancies::print(entries, output)?;
    }
    ends.tell(output)?;
    let failed: Vec<_> = report.verification.checks.iter().filter(|check| check.failed()).cloned().collect();
    if !failed.is_empty() {
        output.line("")?;
        checks_of(output, account, &failed)?;
    }
    output.line("")?;
    let closely = count(report.symbols.len() as u64, "symbol");
    let cost = format!("{} of weight {}", count(report.requests, "request"), report.weight);
    output.titled("Looked at", 9, &format!("the whole account, {closely} closely: {cost}"))?;
    if !report.left_aside.is_empty() {
        let symbols = report.left_aside.iter().map(Symbol::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("{symbols}: something differs there; `fillbook sync` without --symbol looks at it");
        output.titled("Not so", 9, &text)?;
    }
    let history = &report.history;
    if history.pieces > 1 {
        let (found, repaired) =
            (count(history.finding_count as u64, "finding"), count(history.repair_count as u64, "repair"));
        let text = format!(
            "caught up with in {} pieces, each recorded by itself: {found}, {repaired}; `fillbook repairs` has all",
            history.pieces
        );
        output.titled("History", 9, &text)?;
    }
    output.titled("Found", 9, &by_kind(report))?;
    if mode == Mode::Sync {
        let counts = &report.counts;
        let conflicts =
            if counts.conflicts > 0 { format!(", {} conflicting", counts.conflicts) } else { String::new() };
        let facts = count(counts.recorded as u64, "new fact");
        let recorded = format!(
            "{facts}, {} completed{conflicts}; {}",
            counts.merged,
            count(report.repair_count() as u64, "repair")
        );
        output.titled("Recorded", 9, &recorded)?;
        let outside = &report.outside;
        if outside.rates_new + outside.prices_new > 0 {
            let rates = count(outside.rates_new as u64, "funding rate");
            let prices = count(outside.prices_new as u64, "price");
            output.titled("Outside", 9, &format!("{rates} and {prices} are new"))?;
        }
    }
    output.titled("Checks", 9, &checks(report))?;
    for entry in &report.quarantined {
        output.titled("Not added", 9, &format!("{}: {}", entry.symbol, entry.reason))?;
    }
    output.titled(if mode == Mode::Sync { "Left" } else { "To do" }, 9, &left(mode, report))?;
    Ok(())
}

fn findings(
    output: &mut Output,
    about: &About<'_>,
    items: impl Iterator<Item = FindingReport>,
) -> Result<(), CommandError> {
    let cause = |of: &Of<FindingReport>| (of.item.finding.kind, of.item.finding.symbol.clone(), of.item.status);
    section(output, &FINDINGS, &FINDING_GROUPS, about.all(items), cause)
}

/// A list with a blank line in front: items of one cause together, and cut to what a person can read; with `--verbose`
/// every item.
fn section<T, K: PartialEq>(
    output: &mut Output,
    listing: &Listing<T>,
    groups: &Listing<Group<T>>,
    items: Vec<T>,
    cause: impl Fn(&T) -> K,
) -> Result<(), CommandError> {
    if items.is_empty() {
        return Ok(());
    }
    output.line("")?;
    if output.detail == Detail::Each {
        return Ok(output.list(listing, &items)?);
    }
    let mut items = grouped(items, cause);
    let more: usize = items.iter().skip(SHOWN_MAX).map(Group::count).sum();
    items.truncate(SHOWN_MAX);
    output.list(groups, &items)?;
    let together: usize = items.iter().map(|group| group.rest.len()).sum();
    if more > 0 {
        output.paragraph(&format!("... and {more} more; -v and --json have all of them."))?;
    } else if together > 0 {
        output.paragraph("Those of one cause are told together; -v and --json have each.")?;
    }
    Ok(())
}

/// Where nothing differs, records of the bot may be missing all the same: they can be restored from what the book holds.
fn nothing_found(repairs: usize) -> String {
    match repairs {
        0 => "nothing that differs".to_owned(),
        repairs => format!("nothing that differs; {} to restore from the book itself", count(repairs as u64, "record")),
    }
}

/// What is to do where nothing is left: an audit has restored nothing.
fn nothing_left(mode: Mode, repairs: usize) -> String {
    match (mode, repairs) {
        (Mode::Sync, _) | (_, 0) => "nothing".to_owned(),
        (Mode::Audit, repairs) => format!("{repairs}: `fillbook sync` restores what the bot did not record"),
    }
}

/// `2 missing_fills, 1 unknown_order`.
fn by_kind(report: &CycleReport) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for found in &report.findings {
        *kinds.entry(found.finding.kind.as_str()).or_default() += 1;
    }
    for ((kind, _), number) in &report.history.untold_findings {
        *kinds.entry(kind.as_str()).or_default() += number;
    }
    if kinds.is_empty() {
        return nothing_found(report.repair_count());
    }
    kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect::<Vec<_>>().join(", ")
}

fn checks(report: &CycleReport) -> String {
    let titles = |wanted: fn(&Check) -> bool| {
        let checks = report.verification.checks.iter().filter(|check| wanted(check));
        checks.map(|check| check.name.title()).collect::<Vec<_>>()
    };
    let (failed, in_part) = (titles(Check::failed), titles(Check::is_in_part));
    let passed = titles(|check| matches!(check.verdict, Verdict::Pass { .. }) && !check.is_in_part());
    let not_checkable = titles(|check| matches!(check.verdict, Verdict::NotCheckable { .. }));
    let part = |names: &[&str], what: &str| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let parts = [
        part(&failed, "FAILED"),
        part(&passed, "pass"),
        part(&in_part, "pass in part"),
        part(&not_checkable, "not checkable"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What is on record and was not seen in this look.
fn earlier(report: &CycleReport) -> Vec<&Discrepancy> {
    let here: Vec<_> = report.findings.iter().filter_map(|found| found.id).collect();
    report.left.iter().filter(|known| !here.contains(&known.id)).collect()
}

/// How much is confirmed and not repaired: of this look, and what earlier ones left on record.
fn left_count(report: &CycleReport) -> usize {
    let confirmed = |known: &&Discrepancy| known.entry.status == DiscrepancyStatus::Unresolved;
    let earlier = earlier(report).into_iter().filter(confirmed).count();
    report.unresolved().count() + earlier + report.quarantined.len()
}

fn left(mode: Mode, report: &CycleReport) -> String {
    let pending = report.findings.iter().filter(|found| found.status == DiscrepancyStatus::Pending).count();
    let unresolved = left_count(report);
    let waits = if pending > 0 { format!("; {pending} may settle by themselves") } else { String::new() };
    match (mode, unresolved) {
        (_, 0) if pending == 0 => nothing_left(mode, report.repair_count()),
        (_, 0) => format!("{pending} that may settle by themselves: the next sync looks again"),
        (Mode::Audit, _) => {
            let repairable = report.unresolved().filter(|found| found.is_repaired_by_sync()).count();
            let stays = unresolved.saturating_sub(repairable);
            let repaired = (repairable > 0).then(|| format!("{repairable}: `fillbook sync` repairs"));
            let stays = (stays > 0).then(|| format!("{stays} that a sync does not repair by itself"));
            format!("{}{waits}", [repaired, stays].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        (Mode::Sync, _) => format!("{unresolved}{waits}: `fillbook discrepancies` shows them with their age"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_restored_without_a_difference_are_told() {
        assert_eq!(nothing_found(0), "nothing that differs");
        assert_eq!(nothing_found(33), "nothing that differs; 33 records to restore from the book itself");
        assert_eq!(nothing_left(Mode::Audit, 1), "1: `fillbook sync` restores what the bot did not record");
        assert_eq!((nothing_left(Mode::Audit, 0), nothing_left(Mode::Sync, 33)), ("nothing".into(), "nothing".into()));
    }
}
