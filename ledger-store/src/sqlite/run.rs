//! The table `runs`: who changed the book, or looked at it.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ledger_core::{AccountId, TimestampMs};

use super::by_number::by_number;
use super::codec::RowReader;
use super::failure::failed;
use super::schema::runs;
use crate::batch::RunId;
use crate::error::StoreError;
use crate::filter::RunFilter;
use crate::page::{Cursor, Page, PageRequest};
use crate::record::{Run, RunKind, RunStatus};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = runs)]
struct RunRow {
    id: i64,
    account_id: String,
    kind: String,
    started_local_ms: i64,
    ended_local_ms: Option<i64>,
    status: String,
    detail_json: Option<String>,
}

pub(super) fn begin(
    conn: &mut SqliteConnection,
    account: &AccountId,
    kind: RunKind,
    started: TimestampMs,
) -> StoreResult<RunId> {
    super::commit::require_account(conn, account)?;
    diesel::insert_into(runs::table)
        .values((
            runs::account_id.eq(account.as_str()),
            runs::kind.eq(kind.as_str()),
            runs::started_local_ms.eq(started.as_ms()),
            runs::status.eq(RunStatus::Running.as_str()),
        ))
        .returning(runs::id)
        .get_result(conn)
        .map(RunId)
        .map_err(failed("open a run"))
}

pub(super) fn end(
    conn: &mut SqliteConnection,
    run: RunId,
    status: RunStatus,
    ended: TimestampMs,
    detail_json: Option<&str>,
) -> StoreResult<()> {
    // Somebody who takes a run for abandoned may be overtaken by its end.
    let is_open = if status == RunStatus::Interrupted { "ended_local_ms IS NULL" } else { "TRUE" };
    diesel::update(runs::table.find(run.0).filter(sql::<Bool>(is_open)))
        .set((
            runs::status.eq(status.as_str()),
            runs::ended_local_ms.eq(Some(ended.as_ms())),
            runs::detail_json.eq(detail_json),
        ))
        .execute(conn)
        .map_err(failed("close a run"))?;
    let account: Option<String> =
        runs::table.find(run.0).select(runs::account_id).first(conn).optional().map_err(failed("close a run"))?;
    let account = account.ok_or(StoreError::UnknownRun { run: run.0 })?;
    diesel::update(runs::table)
        .filter(runs::account_id.eq(account))
        .filter(runs::id.lt(run.0))
        .filter(runs::status.eq(RunStatus::Running.as_str()))
        .set(runs::status.eq(RunStatus::Interrupted.as_str()))
        .execute(conn)
        .map_err(failed("close the runs before"))?;
    Ok(())
}

pub(super) fn list(conn: &mut SqliteConnection, filter: &RunFilter, page: &PageRequest) -> StoreResult<Page<Run>> {
    let mut query =
        runs::table.filter(runs::account_id.eq(filter.account.as_str())).select(RunRow::as_select()).into_boxed();
    if let Some(kind) = filter.kind {
        query = query.filter(runs::kind.eq(kind.as_str()));
    }
    if let Some(status) = filter.status {
        query = query.filter(runs::status.eq(status.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(runs::started_local_ms.ge(since.as_ms()));
    }
    let rows = by_number!(query, page, runs::id).load(conn).map_err(failed("read runs"))?;
    page.finish(rows, |row| Cursor::new(vec![row.id.to_string()]), decode)
}

fn decode(row: RunRow) -> StoreResult<Run> {
    let id = row.id;
    let reader = RowReader { table: "runs", key: || id.to_string() };
    Ok(Run {
        id: RunId(id),
        account: reader.text("account_id", &row.account_id)?,
        kind: reader.text("kind", &row.kind)?,
        started_local: reader.instant("started_local_ms", row.started_local_ms)?,
        ended_local: row.ended_local_ms.map(|ms| reader.instant("ended_local_ms", ms)).transpose()?,
        status: reader.text("status", &row.status)?,
        detail_json: row.detail_json,
    })
}

/// Checks that `run` is one of the account's.
pub(super) fn require(conn: &mut SqliteConnection, account: &AccountId, run: RunId) -> StoreResult<()> {
    let found: i64 = runs::table
        .filter(runs::id.eq(run.0))
        .filter(runs::account_id.eq(account.as_str()))
        .count()
        .get_result(conn)
        .map_err(failed("look up the run"))?;
    if found == 1 { Ok(()) } else { Err(StoreError::UnknownRun { run: run.0 }) }
}
