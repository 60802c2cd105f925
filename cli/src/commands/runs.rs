//! `fillbook runs`

use ledger_store::{Run, RunFilter};
use serde_json::Value;

use super::journal::{Entry, dated, number, words};
use super::unseen::Asked;
use super::{maybe, print_list, text};
use crate::Context;
use crate::args::RunArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

const LISTING: Listing<Entry<Run>> = Listing {
    schema: "fillbook.list.run/1",
    plural: "runs",
    columns: &[
        Column { key: "run", title: "Run", rank: 0, value: |r| number(r.item.id.0) },
        Column { key: "kind", title: "Kind", rank: 0, value: |r| text(r.item.kind) },
        Column { key: "started_local", title: "Started", rank: 0, value: |r| r.item.started_local.into() },
        Column { key: ONLY_IN_TABLES, title: "Ago", rank: 2, value: |r| r.since(r.item.started_local) },
        Column { key: "ended_local", title: "Ended", rank: NOT_IN_TABLES, value: |r| r.item.ended_local.into() },
        Column { key: "took_ms", title: "Took", rank: 3, value: |r| took(&r.item) },
        Column { key: "status", title: "Status", rank: 0, value: |r| text(r.item.status) },
        Column { key: "summary", title: "What", rank: 0, value: |r| summary(&r.item) },
        Column {
            key: "detail",
            title: "Detail",
            rank: NOT_IN_TABLES,
            value: |r| maybe(r.item.detail_json.as_ref()).into_json(),
        },
    ],
};

fn took(run: &Run) -> Cell {
    run.ended_local.map_or(Cell::Empty, |ended| Cell::Span(ended.as_ms().saturating_sub(run.started_local.as_ms())))
}

fn summary(run: &Run) -> Cell {
    let detail = run.detail_json.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    detail.map_or(Cell::Empty, |detail| Cell::Text(words(&detail)))
}

/// Lists runs by number.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &RunArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let since = args.since.map(|since| since.instant(&context.output.zone)).transpose()?;
    let account = context.settings.account.clone();
    let filter = RunFilter { kind: args.kind, status: args.status, since, ..account.into() };
    let now = context.clock.now();
    let fetch = async |page| Ok(dated(store.runs(&filter, page).await?, now));
    print_list(context, store.as_ref(), Asked::default(), &LISTING, args.limit, fetch).await
}
