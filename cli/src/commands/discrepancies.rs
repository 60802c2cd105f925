//! `fillbook discrepancies`

use ledger_store::{Acknowledgement, Discrepancy, DiscrepancyFilter, RunKind, RunStatus};
use serde_json::json;

use super::journal::{Entry, dated, number};
use super::unseen::Asked;
use super::{maybe, print_list, text};
use crate::Context;
use crate::args::DiscrepancyArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

pub(super) const LISTING: Listing<Entry<Discrepancy>> = Listing {
    schema: "fillbook.list.discrepancy/1",
    plural: "discrepancies",
    columns: &[
        Column { key: "discrepancy", title: "No.", rank: 0, value: |d| number(d.item.id) },
        Column { key: "status", title: "Status", rank: 1, value: |d| text(d.item.entry.status) },
        Column { key: "kind", title: "Kind", rank: 0, value: |d| text(&d.item.entry.key.kind) },
        Column { key: "symbol", title: "Symbol", rank: 2, value: |d| maybe(d.item.entry.symbol.as_ref()) },
        Column { key: ONLY_IN_TABLES, title: "Age", rank: 0, value: |d| d.since(d.item.first_seen_local) },
        Column {
            key: "evidence",
            title: "Evidence",
            rank: 0,
            value: |d| text(reconciler::evidence_line(&d.item.entry)),
        },
        Column { key: "about", title: "About", rank: NOT_IN_TABLES, value: |d| text(&d.item.entry.key.fingerprint) },
        Column {
            key: "first_seen_local",
            title: "First seen",
            rank: NOT_IN_TABLES,
            value: |d| d.item.first_seen_local.into(),
        },
        Column {
            key: "last_seen_local",
            title: "Last seen",
            rank: NOT_IN_TABLES,
            value: |d| d.item.last_seen_local.into(),
        },
        Column {
            key: "resolved_local",
            title: "Resolved",
            rank: NOT_IN_TABLES,
            value: |d| d.item.resolved_local.into(),
        },
        Column {
            key: "run",
            title: "Run",
            rank: NOT_IN_TABLES,
            value: |d| d.item.run_id.map_or(Cell::Empty, |run| number(run.0)),
        },
        Column {
            key: "detail",
            title: "Detail",
            rank: NOT_IN_TABLES,
            value: |d| Cell::Json(d.item.entry.evidence_json.clone()),
        },
    ],
};

/// Lists discrepancies by number, or takes somebody's word that one may stay.
///
/// # Errors
/// When the book cannot be read or the output not be written; when there is no such discrepancy to acknowledge.
pub async fn run(args: &DiscrepancyArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    if let (Some(id), Some(reason)) = (args.acknowledge, &args.reason) {
        return acknowledge(id, reason, args.by.as_deref(), context).await;
    }
    let store = super::open_account(context).await?;
    let account = context.settings.account.clone();
    let since = args.since.map(|since| since.instant(&context.output.zone)).transpose()?;
    let shown = if args.all { DiscrepancyFilter::all(account) } else { DiscrepancyFilter::standing(account) };
    let filter = DiscrepancyFilter { symbol: args.symbol.clone(), kind: args.kind.clone(), since, ..shown };
    let now = context.clock.now();
    let asked = Asked { symbol: args.symbol.as_ref(), discrepancy_kind: args.kind.as_deref(), ..Asked::default() };
    let fetch = async |page: &_| Ok(dated(store.discrepancies(&filter, page).await?, now));
    print_list(context, store.as_ref(), asked, &LISTING, args.limit, fetch).await
}

/// Journals that a discrepancy may stay as it is. It then fails no check any more, for as long as its evidence is the same.
async fn acknowledge(id: i64, reason: &str, by: Option<&str>, context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let store = crate::wiring::open(&context.settings)?;
    super::check_account(store.as_ref(), &account).await?;
    let by = by.map(str::to_owned).or_else(crate::wiring::user_name).unwrap_or_else(|| "operator".to_owned());
    let now = context.clock.now();
    let run_id = store.begin_run(&account, RunKind::Correct, now).await?;
    let word = Acknowledgement {
        account,
        discrepancy_id: id,
        run_id,
        at_local: now,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    let result = store.acknowledge_discrepancy(word).await;
    let (status, detail) = match &result {
        Ok(_) => (RunStatus::Done, json!({ "acknowledged": id, "by": by, "reason": reason })),
        Err(error) => (RunStatus::Failed, json!({ "error": error.to_string() })),
    };
    store.end_run(run_id, status, context.clock.now(), Some(detail.to_string())).await?;
    let repair = result?;
    if context.output.format == Format::Json {
        context.output.json(&json!({
            "schema": "fillbook.acknowledgement/1", "discrepancy": id, "repair": repair, "by": by, "reason": reason,
        }))?;
    } else {
        context.output.paragraph(&format!(
            "Discrepancy {id} is acknowledged by {by} (repair {repair}); it counts no more, for as long as its evidence stays the same."
        ))?;
    }
    Ok(ExitCode::Fine)
}
