//! The tables `runs` and `repairs`: the journal.

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::codec::RowReader;
use super::failure::failed;
use super::schema::{repairs, runs};
use crate::batch::RunId;
use crate::error::StoreError;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::record::{Repair, Run, RunKind, RunStatus};
use crate::repository::StoreResult;

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

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = repairs)]
struct RepairRow {
    id: i64,
    account_id: String,
    symbol: Option<String>,
    run_id: i64,
    at_local_ms: i64,
    kind: String,
    discrepancy_id: Option<i64>,
    cause: String,
    evidence_json: String,
    before_json: Option<String>,
    after_json: Option<String>,
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
    let changed = diesel::update(runs::table.find(run.0))
        .set((
            runs::status.eq(status.as_str()),
            runs::ended_local_ms.eq(Some(ended.as_ms())),
            runs::detail_json.eq(detail_json),
        ))
        .execute(conn)
        .map_err(failed("close a run"))?;
    if changed == 1 { Ok(()) } else { Err(StoreError::UnknownRun { run: run.0 }) }
}

/// The part of a list that a page asks for, by row number.
macro_rules! by_id {
    ($query:expr, $page:expr, $id:expr) => {{
        let after = $page.after.as_ref().map(Cursor::id).transpose()?;
        let query = match (after, $page.direction) {
            (None, _) => $query,
            (Some(id), Direction::OldestFirst) => $query.filter($id.gt(id)),
            (Some(id), Direction::NewestFirst) => $query.filter($id.lt(id)),
        };
        match $page.direction {
            Direction::OldestFirst => query.order($id.asc()),
            Direction::NewestFirst => query.order($id.desc()),
        }
        .limit($page.limit_rows())
    }};
}

pub(super) fn list(conn: &mut SqliteConnection, account: &AccountId, page: &PageRequest) -> StoreResult<Page<Run>> {
    let query = runs::table.filter(runs::account_id.eq(account.as_str())).select(RunRow::as_select()).into_boxed();
    let rows = by_id!(query, page, runs::id).load(conn).map_err(failed("read runs"))?;
    page.finish(
        rows,
        |row| Cursor::new(vec![row.id.to_string()]),
        |row| {
            let reader = RowReader { table: "runs", key: || row.id.to_string() };
            Ok(Run {
                id: RunId(row.id),
                account: reader.text("account_id", &row.account_id)?,
                kind: reader.text("kind", &row.kind)?,
                started_local: reader.instant("started_local_ms", row.started_local_ms)?,
                ended_local: row.ended_local_ms.map(|ms| reader.instant("ended_local_ms", ms)).transpose()?,
                status: reader.text("status", &row.status)?,
                detail_json: row.detail_json.clone(),
            })
        },
    )
}

pub(super) fn add_repair(conn: &mut SqliteConnection, repair: &Repair) -> StoreResult<i64> {
    diesel::insert_into(repairs::table)
        .values((
            repairs::account_id.eq(repair.account.as_str()),
            repairs::symbol.eq(repair.symbol.as_ref().map(Symbol::as_str)),
            repairs::run_id.eq(repair.run_id.0),
            repairs::at_local_ms.eq(repair.at_local.as_ms()),
            repairs::kind.eq(&repair.kind),
            repairs::discrepancy_id.eq(repair.discrepancy_id),
            repairs::cause.eq(&repair.cause),
            repairs::evidence_json.eq(&repair.evidence_json),
            repairs::before_json.eq(repair.before_json.as_deref()),
            repairs::after_json.eq(repair.after_json.as_deref()),
        ))
        .returning(repairs::id)
        .get_result(conn)
        .map_err(failed("journal a repair"))
}

pub(super) fn repairs(
    conn: &mut SqliteConnection,
    account: &AccountId,
    page: &PageRequest,
) -> StoreResult<Page<Repair>> {
    let query =
        repairs::table.filter(repairs::account_id.eq(account.as_str())).select(RepairRow::as_select()).into_boxed();
    let rows = by_id!(query, page, repairs::id).load(conn).map_err(failed("read repairs"))?;
    page.finish(
        rows,
        |row| Cursor::new(vec![row.id.to_string()]),
        |row| {
            let id = row.id;
            let reader = RowReader { table: "repairs", key: || id.to_string() };
            Ok(Repair {
                id,
                account: reader.text("account_id", &row.account_id)?,
                symbol: reader.optional("symbol", row.symbol.as_deref())?,
                run_id: RunId(row.run_id),
                at_local: reader.instant("at_local_ms", row.at_local_ms)?,
                kind: row.kind,
                discrepancy_id: row.discrepancy_id,
                cause: row.cause,
                evidence_json: row.evidence_json,
                before_json: row.before_json,
                after_json: row.after_json,
            })
        },
    )
}
