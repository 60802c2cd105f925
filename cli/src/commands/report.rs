//! `fillbook report`

mod csv;
mod footing;
mod groups;
mod rest;

use ledger_core::{AssetTotal, CashLine, GroupBy, Report, ReportRow, Staleness, Symbol, TimestampMs};
use ledger_store::{Store, UnreadableRow};
use reconciler::{AccountReport, ReportRequest, account_report};
use serde_json::json;

use self::groups::{GROUPS, Line};
pub(super) use self::rest::Rest;
use super::unseen::{self, Asked};
use super::{scope, text};
use crate::Context;
use crate::args::ReportArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, Output};
use crate::time_spans::spans;

const CASH: Listing<CashLine> = Listing {
    schema: "fillbook.report.cash/1",
    plural: "ledger entries",
    columns: &[
        Column { key: "asset", title: "Asset", rank: 0, value: |c| text(&c.asset) },
        Column { key: "income_type", title: "What", rank: 0, value: |c| text(&c.income_type) },
        Column { key: "amount", title: "Amount", rank: 0, value: |c| c.amount.into() },
        Column { key: "rows", title: "Rows", rank: 0, value: |c| c.row_count.into() },
    ],
};

/// Prints what was earned, paid and moved.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &ReportArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    super::warn_of_lacking(store.as_ref(), &context.settings.account, &mut context.output).await?;
    let Built { report, rest, left_out } = build(store.as_ref(), args, context).await?;
    print(&report, &rest, args.by, context)?;
    if let Some(error) = CommandError::left_out(left_out) {
        return Err(error);
    }
    if report.rows.is_empty() && report.cash.is_empty() {
        let asked = Asked { symbol: args.scope.symbol.as_ref(), ..Asked::default() };
        unseen::explain(store.as_ref(), &context.settings.account, asked, &mut context.output).await?;
    }
    Ok(ExitCode::Fine)
}

/// A report with what stands beside it.
pub(super) struct Built {
    pub(super) report: Report,
    pub(super) rest: Rest,
    /// Rows of the book that could not be read. The sums say that they lack something.
    pub(super) left_out: Vec<UnreadableRow>,
}

/// Builds the report from the book.
pub(super) async fn build(store: &dyn Store, args: &ReportArgs, context: &Context) -> Result<Built, CommandError> {
    let scope = scope(&args.scope, context)?;
    let venue = &exchange_client::binance_usdm::VENUE;
    let request = ReportRequest {
        account: scope.account,
        symbol: scope.symbol,
        since: scope.since,
        until: scope.until,
        by: args.by,
        span_of: spans(args.by, &context.output.zone),
    };
    let AccountReport { report, mut left_out, cash_left_out } = account_report(store, venue, &request).await?;
    let rest = Rest { cash_left_out, ..rest::read(store, args, context, &mut left_out).await? };
    Ok(Built { report, rest, left_out })
}

/// Prints a report.
fn print(report: &Report, rest: &Rest, by: GroupBy, context: &mut Context) -> Result<(), CommandError> {
    let total = ReportRow { group: "all".to_owned(), stats: report.total.clone() };
    let output = &mut context.output;
    match output.format {
        Format::Table => {
            tell_groups(report, rest, by, output)?;
            output.line("")?;
            if report.cash.is_empty() {
                output.paragraph("Wallet: no ledger entries of the exchange are on record for this.")?;
            } else {
                output.line("Wallet, by the exchange's ledger:")?;
                output.list(&CASH, &report.cash)?;
                let sums: Vec<_> = report.cash_total.iter().map(|(asset, sum)| format!("{sum} {asset}")).collect();
                output.paragraph(&format!("Sum: {}", sums.join(", ")))?;
            }
            if let Some(stale) = rest.ledger.filter(|ledger| !ledger.is_fresh()) {
                output.paragraph(&rest::stale_ledger(stale))?;
            }
            if rest.cash_left_out > 0 {
                let rows = super::rebuild::count(rest.cash_left_out as u64, "row");
                output.paragraph(&format!("Not in it: {rows} of the exchange's ledger that cannot be read."))?;
            }
            if !report.footing.is_empty() {
                output.line("")?;
                tell_footing(report, output)?;
            }
        }
        Format::Json => {
            output.list(&GROUPS, &report.rows)?;
            let mut line = serde_json::to_value(json!({ "schema": "fillbook.report.total/1" })).unwrap_or_default();
            for column in GROUPS.columns.iter().filter(|column| column.key != "group") {
                line[column.key] = (column.value)(&total).json();
            }
            output.json(&line)?;
            let told = |totals: &[AssetTotal], is_told: bool| is_told.then(|| Cell::Assets(totals.to_vec()).json());
            let is_told = rest.open_count.is_some();
            output.json(&json!({
                "schema": "fillbook.report.rest/1",
                "open_trips": rest.open_count,
                "open_gross": told(&rest.open.gross, is_told),
                "open_fees": told(&rest.open.fees, is_told),
                "open_funding": told(&rest.open.funding, is_told),
                "unallocated_funding": told(&rest.unallocated, !rest.has_unreadable_funding),
                "unallocated_clearance": told(&rest.unallocated_clearance, !rest.has_unreadable_funding),
                "unallocated_realized": told(&rest.unallocated_realized, !rest.has_unreadable_funding),
                "open_clearance": told(&rest.open.clearance, is_told),
                "ledger_seen_ts": rest.ledger.and_then(|ledger| ledger.seen_at).map(TimestampMs::as_ms),
                "ledger_stale": rest.ledger.and_then(|ledger| ledger.stale).map(Staleness::as_str),
                "left_out": {
                    "trips": report.total.left_out_count, "cash": rest.cash_left_out,
                    "contracts": report.uncomputed.iter().map(Symbol::as_str).collect::<Vec<_>>(),
                },
            }))?;
            output.list(&CASH, &report.cash)?;
            for footing in &report.footing {
                output.json(&footing::object(footing))?;
            }
        }
        Format::Csv => csv::print(report, rest, output)?,
    }
    Ok(())
}

/// The groups with their total for a person, and what is in none of them.
pub(super) fn tell_groups(report: &Report, rest: &Rest, by: GroupBy, output: &mut Output) -> Result<(), CommandError> {
    let listing = groups::listing(by);
    if report.rows.is_empty() {
        let none = if report.total.left_out_count > 0 {
            "No round trip that can be read"
        } else if report.uncomputed.is_empty() {
            "No round trip"
        } else {
            "No round trip that can be computed"
        };
        let more = if by.is_by_time() { ", and none had money moving in it" } else { "" };
        output.line(&format!("{none} closed in this period{more}."))?;
    } else {
        let mut rows = report.rows.clone();
        if rows.len() > 1 {
            rows.push(ReportRow { group: "all".to_owned(), stats: report.total.clone() });
        }
        let lines: Vec<_> = rows.iter().flat_map(Line::of).collect();
        output.list(listing, &lines)?;
        if let Some(remark) = uncertainty(report) {
            output.paragraph(&remark)?;
        }
    }
    if !report.uncomputed.is_empty() {
        let names: Vec<_> = report.uncomputed.iter().map(Symbol::as_str).collect();
        let what = format!("Not in it, or not as a whole: {}. `fillbook status` says why.", names.join(", "));
        output.paragraph(&what)?;
    }
    for line in rest.lines(by.is_by_time()) {
        output.paragraph(&line)?;
    }
    Ok(())
}

/// Whether the report says what the wallets say: a line an asset.
pub(super) fn tell_footing(report: &Report, output: &mut Output) -> Result<(), CommandError> {
    let zone = output.zone.clone();
    for footing in &report.footing {
        output.paragraph(&footing::line(footing, &zone))?;
    }
    Ok(())
}

/// What keeps the figures from being certain, in words.
fn uncertainty(report: &Report) -> Option<String> {
    let stats = &report.total;
    let estimated =
        [&stats.gross, &stats.fees, &stats.funding].into_iter().flatten().any(|total| total.total.has_estimates);
    let mut remarks = Vec::new();
    if estimated {
        remarks.push("~ contains estimates.".to_owned());
    }
    let untold_count = stats.unknown_count - stats.unpriced_count;
    if untold_count > 0 {
        remarks.push(format!(
            "? contains unknown amounts: in {untold_count} of {} round trips, because the opening was never seen, fills are \
             missing, or no source states a fee.",
            stats.trip_count
        ));
    }
    if !stats.before_fees_in.is_empty() {
        let names: Vec<_> = stats.before_fees_in.iter().map(ledger_core::Asset::as_str).collect();
        let mut remark = format!(
            "~ Win rate, factor, drawdown and expectancy are before {} fees: they have no recorded price.",
            names.join(" and ")
        );
        if stats.unpriced_count > 0 {
            let trips = super::rebuild::count(stats.unpriced_count, "round trip");
            remark = format!("{remark} {trips} could be won or lost, and are in none of them.");
        }
        remarks.push(remark);
    }
    if !stats.crossed_fees.is_empty() {
        let names: Vec<_> = stats.crossed_fees.iter().map(String::as_str).collect();
        remarks.push(format!("~ Win rate, factor, drawdown and expectancy count {}.", names.join(" and ")));
    }
    if stats.left_out_count > 0 {
        let trips = super::rebuild::count(stats.left_out_count, "round trip");
        remarks.push(format!("Every figure may lack some of {trips} that cannot be read."));
    }
    (!remarks.is_empty()).then(|| remarks.join(" "))
}
