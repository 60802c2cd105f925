//! The table `discrepancies`.

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::codec::RowReader;
use super::encoded::{Conflict, EncodedBatch};
use super::failure::failed;
use super::schema::discrepancies;
use crate::batch::RunId;
use crate::error::StoreError;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::record::{Discrepancy, DiscrepancyStatus, NewDiscrepancy};
use crate::repository::StoreResult;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = discrepancies)]
struct DiscrepancyRow {
    id: i64,
    account_id: String,
    symbol: Option<String>,
    kind: String,
    fingerprint: String,
    status: String,
    evidence_json: String,
    first_seen_local_ms: i64,
    last_seen_local_ms: i64,
    resolved_local_ms: Option<i64>,
    run_id: Option<i64>,
}

/// The kind under which disagreeing statements are recorded.
pub(super) const CONFLICTING_FACT: &str = "conflicting_fact";

/// Records disagreeing statements, once per fact and field: the same files imported again add nothing.
pub(super) fn record_conflicts(
    conn: &mut SqliteConnection,
    batch: &EncodedBatch,
    conflicts: &[Conflict],
) -> StoreResult<()> {
    for conflict in conflicts {
        diesel::insert_into(discrepancies::table)
            .values((
                discrepancies::account_id.eq(batch.account.as_str()),
                discrepancies::symbol.eq(conflict.symbol.as_deref()),
                discrepancies::kind.eq(CONFLICTING_FACT),
                discrepancies::fingerprint.eq(format!("{}|{}|{}", conflict.kind, conflict.field, conflict.fact_key)),
                discrepancies::status.eq(DiscrepancyStatus::Pending.as_str()),
                discrepancies::evidence_json.eq(&conflict.evidence_json),
                discrepancies::first_seen_local_ms.eq(batch.recorded_at.as_ms()),
                discrepancies::last_seen_local_ms.eq(batch.recorded_at.as_ms()),
                discrepancies::run_id.eq(batch.run_id.map(|run| run.0)),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .map_err(failed("record a conflict"))?;
    }
    Ok(())
}

pub(super) fn record(conn: &mut SqliteConnection, new: &NewDiscrepancy) -> StoreResult<i64> {
    let (account, seen) = (new.account.as_str(), new.seen_local.as_ms());
    let known: Option<i64> = discrepancies::table
        .filter(discrepancies::account_id.eq(account))
        .filter(discrepancies::kind.eq(&new.kind))
        .filter(discrepancies::fingerprint.eq(&new.fingerprint))
        .select(discrepancies::id)
        .first(conn)
        .optional()
        .map_err(failed("read discrepancies"))?;
    let latest = (
        discrepancies::symbol.eq(new.symbol.as_ref().map(Symbol::as_str)),
        discrepancies::status.eq(new.status.as_str()),
        discrepancies::evidence_json.eq(&new.evidence_json),
        discrepancies::last_seen_local_ms.eq(seen),
        discrepancies::resolved_local_ms.eq((new.status == DiscrepancyStatus::Resolved).then_some(seen)),
        discrepancies::run_id.eq(new.run_id.map(|run| run.0)),
    );
    match known {
        Some(id) => {
            diesel::update(discrepancies::table.find(id))
                .set(latest)
                .execute(conn)
                .map_err(failed("record a discrepancy"))?;
            Ok(id)
        }
        None => diesel::insert_into(discrepancies::table)
            .values((
                discrepancies::account_id.eq(account),
                discrepancies::kind.eq(&new.kind),
                discrepancies::fingerprint.eq(&new.fingerprint),
                discrepancies::first_seen_local_ms.eq(seen),
                latest,
            ))
            .returning(discrepancies::id)
            .get_result(conn)
            .map_err(failed("record a discrepancy")),
    }
}

/// Sets the status, and answers which account and symbol the discrepancy is about.
pub(super) fn set_status(
    conn: &mut SqliteConnection,
    id: i64,
    status: DiscrepancyStatus,
    at: TimestampMs,
) -> StoreResult<Option<(AccountId, Symbol)>> {
    let (account, symbol): (String, Option<String>) = diesel::update(discrepancies::table.find(id))
        .set((
            discrepancies::status.eq(status.as_str()),
            discrepancies::resolved_local_ms.eq((status == DiscrepancyStatus::Resolved).then_some(at.as_ms())),
        ))
        .returning((discrepancies::account_id, discrepancies::symbol))
        .get_result(conn)
        .optional()
        .map_err(failed("update a discrepancy"))?
        .ok_or(StoreError::UnknownDiscrepancy { id })?;
    let reader = RowReader { table: "discrepancies", key: || id.to_string() };
    let account = reader.text("account_id", &account)?;
    Ok(reader.optional("symbol", symbol.as_deref())?.map(|symbol| (account, symbol)))
}

fn decode(row: DiscrepancyRow) -> StoreResult<Discrepancy> {
    let id = row.id;
    let reader = RowReader { table: "discrepancies", key: || id.to_string() };
    Ok(Discrepancy {
        id,
        first_seen_local: reader.instant("first_seen_local_ms", row.first_seen_local_ms)?,
        resolved_local: row.resolved_local_ms.map(|ms| reader.instant("resolved_local_ms", ms)).transpose()?,
        entry: NewDiscrepancy {
            account: reader.text("account_id", &row.account_id)?,
            symbol: reader.optional("symbol", row.symbol.as_deref())?,
            status: reader.text("status", &row.status)?,
            seen_local: reader.instant("last_seen_local_ms", row.last_seen_local_ms)?,
            run_id: row.run_id.map(RunId),
            kind: row.kind,
            fingerprint: row.fingerprint,
            evidence_json: row.evidence_json,
        },
    })
}

pub(super) fn list(
    conn: &mut SqliteConnection,
    account: &AccountId,
    include_resolved: bool,
    page: &PageRequest,
) -> StoreResult<Page<Discrepancy>> {
    let mut query = discrepancies::table
        .filter(discrepancies::account_id.eq(account.as_str()))
        .select(DiscrepancyRow::as_select())
        .into_boxed();
    if !include_resolved {
        query = query.filter(discrepancies::status.ne(DiscrepancyStatus::Resolved.as_str()));
    }
    let after = page.after.as_ref().map(Cursor::id).transpose()?;
    query = match (page.direction, after) {
        (Direction::OldestFirst, Some(id)) => query.filter(discrepancies::id.gt(id)),
        (Direction::NewestFirst, Some(id)) => query.filter(discrepancies::id.lt(id)),
        (_, None) => query,
    };
    query = match page.direction {
        Direction::OldestFirst => query.order(discrepancies::id.asc()),
        Direction::NewestFirst => query.order(discrepancies::id.desc()),
    };
    let rows = query.limit(page.limit_rows()).load(conn).map_err(failed("read discrepancies"))?;
    page.finish(rows, |row| Cursor::new(vec![row.id.to_string()]), decode)
}
