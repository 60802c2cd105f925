//! The table `repairs`: what was changed, why, and on what evidence.

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::by_number::by_number;
use super::codec::RowReader;
use super::discrepancy;
use super::failure::failed;
use super::schema::repairs;
use crate::batch::RunId;
use crate::filter::RepairFilter;
use crate::page::{Cursor, Page, PageRequest};
use crate::record::{NewRepair, Repair};
use crate::store::StoreResult;

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

/// Journals a repair, and answers its number. The discrepancy that it names has to be on record by now.
pub(super) fn add(
    conn: &mut SqliteConnection,
    account: &AccountId,
    run: RunId,
    at: TimestampMs,
    repair: &NewRepair,
) -> StoreResult<i64> {
    let discrepancy_id = match &repair.discrepancy {
        Some(key) => Some(discrepancy::require(conn, account, key)?),
        None => None,
    };
    insert(conn, account, run, at, repair, discrepancy_id)
}

pub(super) fn insert(
    conn: &mut SqliteConnection,
    account: &AccountId,
    run: RunId,
    at: TimestampMs,
    repair: &NewRepair,
    discrepancy_id: Option<i64>,
) -> StoreResult<i64> {
    diesel::insert_into(repairs::table)
        .values((
            repairs::account_id.eq(account.as_str()),
            repairs::symbol.eq(repair.symbol.as_ref().map(Symbol::as_str)),
            repairs::run_id.eq(run.0),
            repairs::at_local_ms.eq(at.as_ms()),
            repairs::kind.eq(&repair.kind),
            repairs::discrepancy_id.eq(discrepancy_id),
            repairs::cause.eq(&repair.cause),
            repairs::evidence_json.eq(&repair.evidence_json),
            repairs::before_json.eq(repair.before_json.as_deref()),
            repairs::after_json.eq(repair.after_json.as_deref()),
        ))
        .returning(repairs::id)
        .get_result(conn)
        .map_err(failed("journal a repair"))
}

pub(super) fn list(
    conn: &mut SqliteConnection,
    filter: &RepairFilter,
    page: &PageRequest,
) -> StoreResult<Page<Repair>> {
    let mut query = repairs::table
        .filter(repairs::account_id.eq(filter.account.as_str()))
        .select(RepairRow::as_select())
        .into_boxed();
    if let Some(symbol) = &filter.symbol {
        query = query.filter(repairs::symbol.eq(symbol.as_str()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(repairs::kind.eq(kind));
    }
    if let Some(run) = filter.run_id {
        query = query.filter(repairs::run_id.eq(run.0));
    }
    if let Some(id) = filter.discrepancy_id {
        query = query.filter(repairs::discrepancy_id.eq(id));
    }
    if let Some(since) = filter.since {
        query = query.filter(repairs::at_local_ms.ge(since.as_ms()));
    }
    let rows = by_number!(query, page, repairs::id).load(conn).map_err(failed("read repairs"))?;
    page.finish(rows, |row| Cursor::new(vec![row.id.to_string()]), decode)
}

fn decode(row: RepairRow) -> StoreResult<Repair> {
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
}
