//! `fillbook repairs`

use ledger_store::{Repair, RepairFilter, RunId};

use super::journal::{Entry, dated, number};
use super::unseen::Asked;
use super::{maybe, print_list, text};
use crate::Context;
use crate::args::RepairArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

const LISTING: Listing<Entry<Repair>> = Listing {
    schema: "fillbook.list.repair/1",
    plural: "repairs",
    columns: &[
        Column { key: "repair", title: "Repair", rank: 0, value: |r| number(r.item.id) },
        Column { key: "run", title: "Run", rank: 2, value: |r| number(r.item.run_id.0) },
        Column { key: "at_local", title: "When", rank: 5, value: |r| r.item.at_local.into() },
        Column { key: ONLY_IN_TABLES, title: "Ago", rank: 2, value: |r| r.since(r.item.at_local) },
        Column { key: "kind", title: "What", rank: 0, value: |r| text(&r.item.kind) },
        Column { key: "symbol", title: "Symbol", rank: 1, value: |r| maybe(r.item.symbol.as_ref()) },
        Column {
            key: "discrepancy",
            title: "Discrepancy",
            rank: 4,
            value: |r| r.item.discrepancy_id.map_or(Cell::Empty, number),
        },
        Column { key: "cause", title: "Why", rank: 0, value: |r| text(&r.item.cause) },
        Column {
            key: "evidence",
            title: "Evidence",
            rank: NOT_IN_TABLES,
            value: |r| Cell::Json(r.item.evidence_json.clone()),
        },
        Column {
            key: "before",
            title: "Before",
            rank: NOT_IN_TABLES,
            value: |r| maybe(r.item.before_json.as_ref()).into_json(),
        },
        Column {
            key: "after",
            title: "After",
            rank: NOT_IN_TABLES,
            value: |r| maybe(r.item.after_json.as_ref()).into_json(),
        },
    ],
};

/// Lists repairs by number.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &RepairArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let since = args.since.map(|since| since.instant(&context.output.zone)).transpose()?;
    let filter = RepairFilter {
        symbol: args.symbol.clone(),
        kind: args.kind.clone(),
        run_id: args.run.map(RunId),
        discrepancy_id: args.discrepancy,
        since,
        ..context.settings.account.clone().into()
    };
    let now = context.clock.now();
    let asked = Asked { symbol: args.symbol.as_ref(), repair_kind: args.kind.as_deref(), ..Asked::default() };
    let fetch = async |page| Ok(dated(store.repairs(&filter, page).await?, now));
    print_list(context, store.as_ref(), asked, &LISTING, args.limit, fetch).await
}
