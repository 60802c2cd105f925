//! `fillbook discrepancies`

use std::cell::RefCell;

use ledger_store::{Acknowledgement, Discrepancy, DiscrepancyFilter, PageRequest, Pages, RunKind, RunStatus};
use reconciler::{SettledBy, evidence_line};
use serde_json::json;

use super::journal::{Entry, dated, number};
use super::settled::Ends;
use super::unseen::Asked;
use super::{PAGE, maybe, print_list, text};
use crate::Context;
use crate::args::DiscrepancyArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::groups::{Group, grouped, id_range};
use crate::output::{Cell, Column, Detail, Format, Listing, NOT_IN_TABLES, ONLY_IN_TABLES, Output};

const LISTING: Listing<Entry<Discrepancy>> = Listing {
    schema: "fillbook.list.discrepancy/1",
    plural: "discrepancies",
    columns: &[
        Column { key: "discrepancy", title: "No.", rank: 0, value: |d| number(d.item.id) },
        Column { key: "status", title: "Status", rank: 1, value: |d| text(d.item.entry.status) },
        Column { key: "kind", title: "Kind", rank: 0, value: |d| text(&d.item.entry.key.kind) },
        Column { key: "symbol", title: "Symbol", rank: 2, value: |d| maybe(d.item.entry.symbol.as_ref()) },
        Column { key: ONLY_IN_TABLES, title: "Age", rank: 0, value: |d| d.since(d.item.first_seen_local) },
        Column { key: "evidence", title: "Evidence", rank: 0, value: |d| text(evidence_line(&d.item.entry)) },
        Column { key: "settled_by", title: "Settled by", rank: NOT_IN_TABLES, value: |d| text(end(&d.item).as_str()) },
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

/// Those of one kind, symbol and status, for people.
const GROUPS: Listing<Group<Entry<Discrepancy>>> = Listing {
    schema: "",
    plural: "discrepancies",
    columns: &[
        Column { key: ONLY_IN_TABLES, title: "No.", rank: 0, value: |g| number(g.first.item.id) },
        Column { key: ONLY_IN_TABLES, title: "Status", rank: 1, value: |g| text(g.first.item.entry.status) },
        Column { key: ONLY_IN_TABLES, title: "Kind", rank: 0, value: |g| text(&g.first.item.entry.key.kind) },
        Column { key: ONLY_IN_TABLES, title: "Symbol", rank: 2, value: |g| maybe(g.first.item.entry.symbol.as_ref()) },
        Column { key: ONLY_IN_TABLES, title: "Age", rank: 0, value: |g| oldest(g) },
        Column {
            key: ONLY_IN_TABLES,
            title: "Evidence",
            rank: 0,
            value: |g| text(g.told(&evidence_line(&g.first.item.entry), numbers(g))),
        },
    ],
};

/// What settles a discrepancy.
fn end(known: &Discrepancy) -> SettledBy {
    SettledBy::of_kind(&known.entry.key.kind)
}

fn oldest(group: &Group<Entry<Discrepancy>>) -> Cell {
    let first = group.items().map(|known| known.item.first_seen_local).min();
    first.map_or(Cell::Empty, |first| group.first.since(first))
}

fn numbers(group: &Group<Entry<Discrepancy>>) -> Option<String> {
    let ids: Vec<String> = group.items().map(|known| known.item.id.to_string()).collect();
    id_range("No.", ids.iter().map(String::as_str))
}

/// Prints discrepancies as a table: those of one cause together, unless every one is wanted.
pub(super) fn print(entries: Vec<Entry<Discrepancy>>, output: &mut Output) -> Result<(), CommandError> {
    if output.detail == Detail::Each {
        return Ok(output.list(&LISTING, &entries)?);
    }
    let cause = |known: &Entry<Discrepancy>| {
        let entry = &known.item.entry;
        (entry.key.kind.clone(), entry.symbol.clone(), entry.status)
    };
    let groups = grouped(entries, cause);
    output.list(&GROUPS, &groups)?;
    if groups.iter().any(|group| group.count() > 1) {
        output.paragraph("Those of one cause are told together; -v and --json have each.")?;
    }
    Ok(())
}

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
    if context.output.format == Format::Table && context.output.detail == Detail::Together && args.limit.is_none() {
        // All of them: what is told together takes a line, however many they are.
        let pages = Pages::of(PageRequest::first(PAGE), |page| store.discrepancies(&filter, page));
        let entries: Vec<_> = pages.all().await?.into_iter().map(|found| Entry::new(found, now)).collect();
        if !entries.is_empty() {
            let mut ends = Ends::default();
            for known in &entries {
                ends.note(&known.item);
            }
            print(entries, &mut context.output)?;
            ends.tell(&mut context.output)?;
            return Ok(ExitCode::Fine);
        }
    }
    let ends = RefCell::new(Ends::default());
    let fetch = async |page| {
        let page = store.discrepancies(&filter, page).await?;
        for known in &page.items {
            ends.borrow_mut().note(known);
        }
        Ok(dated(page, now))
    };
    let code = print_list(context, store.as_ref(), asked, &LISTING, args.limit, fetch).await?;
    if context.output.format == Format::Table {
        ends.borrow().tell(&mut context.output)?;
    }
    Ok(code)
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
