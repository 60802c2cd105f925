//! The table `discrepancies`: what was seen to differ, once each, with how far it is from being gone.

use std::collections::BTreeSet;

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol, TimestampMs};

use super::by_number::by_number;
use super::codec::RowReader;
use super::effects::Effects;
use super::encoded::Conflict;
use super::failure::failed;
use super::repair;
use super::schema::discrepancies;
use crate::batch::RunId;
use crate::error::StoreError;
use crate::filter::DiscrepancyFilter;
use crate::page::{Cursor, Page, PageRequest};
use crate::record::{Acknowledgement, Discrepancy, DiscrepancyKey, DiscrepancyStatus, NewDiscrepancy, NewRepair};
use crate::store::StoreResult;

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

/// When and by which run something was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub(super) account: &'a AccountId,
    pub(super) run_id: Option<RunId>,
    pub(super) at: TimestampMs,
}

fn find(conn: &mut SqliteConnection, account: &AccountId, key: &DiscrepancyKey) -> StoreResult<Option<DiscrepancyRow>> {
    discrepancies::table
        .filter(discrepancies::account_id.eq(account.as_str()))
        .filter(discrepancies::kind.eq(&key.kind))
        .filter(discrepancies::fingerprint.eq(&key.fingerprint))
        .select(DiscrepancyRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read discrepancies"))
}

/// The number of a discrepancy that has to be on record.
pub(super) fn require(conn: &mut SqliteConnection, account: &AccountId, key: &DiscrepancyKey) -> StoreResult<i64> {
    let unknown = || StoreError::UnknownDiscrepancy { which: format!("{} `{}`", key.kind, key.fingerprint) };
    Ok(find(conn, account, key)?.ok_or_else(unknown)?.id)
}

/// Records that something differs, or still does, and answers its number.
pub(super) fn record(
    conn: &mut SqliteConnection,
    seen: Sighting<'_>,
    new: &NewDiscrepancy,
    effects: &mut Effects,
) -> StoreResult<i64> {
    let (at, known) = (seen.at.as_ms(), find(conn, seen.account, &new.key)?);
    // What somebody accepted stays accepted while it is the same.
    let acknowledged = DiscrepancyStatus::Acknowledged.as_str();
    let stays = known.as_ref().is_some_and(|row| row.status == acknowledged && row.evidence_json == new.evidence_json);
    let status = if stays { acknowledged } else { new.status.as_str() };
    let latest = (
        discrepancies::symbol.eq(new.symbol.as_ref().map(Symbol::as_str)),
        discrepancies::status.eq(status),
        discrepancies::evidence_json.eq(&new.evidence_json),
        discrepancies::last_seen_local_ms.eq(at),
        discrepancies::resolved_local_ms.eq((status == DiscrepancyStatus::Resolved.as_str()).then_some(at)),
        discrepancies::run_id.eq(seen.run_id.map(|run| run.0)),
    );
    if known.as_ref().is_none_or(|row| row.status != status)
        && let Some(symbol) = &new.symbol
    {
        // The reconcile status of its positions depends on it.
        effects.mark(symbol);
    }
    match known {
        Some(row) => {
            diesel::update(discrepancies::table.find(row.id))
                .set(latest)
                .execute(conn)
                .map_err(failed("record a discrepancy"))?;
            Ok(row.id)
        }
        None => diesel::insert_into(discrepancies::table)
            .values((
                discrepancies::account_id.eq(seen.account.as_str()),
                discrepancies::kind.eq(&new.key.kind),
                discrepancies::fingerprint.eq(&new.key.fingerprint),
                discrepancies::first_seen_local_ms.eq(at),
                latest,
            ))
            .returning(discrepancies::id)
            .get_result(conn)
            .map_err(failed("record a discrepancy")),
    }
}

/// Records disagreeing statements, once per fact and field. The evidence is every statement that was ever in conflict
/// with another, so that the same files imported again, in whatever order, add nothing.
pub(super) fn record_conflict(conn: &mut SqliteConnection, seen: Sighting<'_>, conflict: &Conflict) -> StoreResult<()> {
    let known = find(conn, seen.account, &conflict.key)?;
    let mut statements: BTreeSet<String> = conflict.statements.iter().map(ToString::to_string).collect();
    let before = known.as_ref().and_then(|row| serde_json::from_str::<ConflictEvidence>(&row.evidence_json).ok());
    statements.extend(before.iter().flat_map(|evidence| &evidence.statements).map(ToString::to_string));
    let evidence_json = format!("{{\"statements\":[{}]}}", statements.into_iter().collect::<Vec<_>>().join(","));
    let reader = RowReader { table: "discrepancies", key: || conflict.key.fingerprint.clone() };
    let symbol = reader.optional("symbol", conflict.symbol.as_deref())?;
    // Two statements of one fact are not settled by waiting.
    let status = DiscrepancyStatus::Unresolved;
    let is_same = known
        .is_some_and(|row| row.evidence_json == evidence_json && row.status != DiscrepancyStatus::Resolved.as_str());
    if !is_same {
        let new = NewDiscrepancy { key: conflict.key.clone(), symbol, status, evidence_json };
        // Which of the statements is believed changes nothing about what the exchange says of a position.
        record(conn, seen, &new, &mut Effects::default())?;
    }
    Ok(())
}

/// The evidence of a conflict.
#[derive(serde::Deserialize)]
struct ConflictEvidence {
    statements: Vec<serde_json::Value>,
}

/// Opens a discrepancy again that was taken for gone; what it was about stands in its evidence.
pub(super) fn reopen(conn: &mut SqliteConnection, seen: Sighting<'_>, key: &DiscrepancyKey) -> StoreResult<()> {
    let Some(row) = find(conn, seen.account, key)? else { return Ok(()) };
    if row.status == DiscrepancyStatus::Resolved.as_str() {
        diesel::update(discrepancies::table.find(row.id))
            .set((
                discrepancies::status.eq(DiscrepancyStatus::Unresolved.as_str()),
                discrepancies::last_seen_local_ms.eq(seen.at.as_ms()),
                discrepancies::resolved_local_ms.eq(None::<i64>),
                discrepancies::run_id.eq(seen.run_id.map(|run| run.0)),
            ))
            .execute(conn)
            .map_err(failed("open a discrepancy again"))?;
    }
    Ok(())
}

/// Closes a discrepancy that is gone, and answers its number; `None` when it was never on record.
pub(super) fn settle(
    conn: &mut SqliteConnection,
    seen: Sighting<'_>,
    key: &DiscrepancyKey,
    effects: &mut Effects,
) -> StoreResult<Option<i64>> {
    let Some(row) = find(conn, seen.account, key)? else { return Ok(None) };
    if row.status != DiscrepancyStatus::Resolved.as_str() {
        diesel::update(discrepancies::table.find(row.id))
            .set((
                discrepancies::status.eq(DiscrepancyStatus::Resolved.as_str()),
                discrepancies::resolved_local_ms.eq(Some(seen.at.as_ms())),
                discrepancies::run_id.eq(seen.run_id.map(|run| run.0)),
            ))
            .execute(conn)
            .map_err(failed("close a discrepancy"))?;
        let reader = RowReader { table: "discrepancies", key: || row.id.to_string() };
        if let Some(symbol) = reader.optional("symbol", row.symbol.as_deref())? {
            effects.mark(&symbol);
        }
    }
    Ok(Some(row.id))
}

/// Takes somebody's word that a discrepancy may stay, and journals it. Answers the repair's number.
pub(super) fn acknowledge(conn: &mut SqliteConnection, ack: &Acknowledgement) -> StoreResult<i64> {
    let id = ack.discrepancy_id;
    let row: DiscrepancyRow = discrepancies::table
        .find(id)
        .filter(discrepancies::account_id.eq(ack.account.as_str()))
        .select(DiscrepancyRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read discrepancies"))?
        .ok_or_else(|| StoreError::UnknownDiscrepancy { which: id.to_string() })?;
    if row.status == DiscrepancyStatus::Resolved.as_str() {
        return Err(StoreError::DiscrepancyResolved { id });
    }
    diesel::update(discrepancies::table.find(id))
        .set(discrepancies::status.eq(DiscrepancyStatus::Acknowledged.as_str()))
        .execute(conn)
        .map_err(failed("acknowledge a discrepancy"))?;
    let status = |status: &str| Some(serde_json::json!({ "status": status }).to_string());
    let entry = NewRepair {
        symbol: RowReader { table: "discrepancies", key: || id.to_string() }
            .optional("symbol", row.symbol.as_deref())?,
        kind: ACKNOWLEDGE.to_owned(),
        discrepancy: None,
        cause: ack.reason.clone(),
        evidence_json: serde_json::json!({ "by": ack.by, "reason": ack.reason, "evidence": row.evidence_json })
            .to_string(),
        before_json: status(&row.status),
        after_json: status(DiscrepancyStatus::Acknowledged.as_str()),
    };
    repair::insert(conn, &ack.account, ack.run_id, ack.at_local, &entry, Some(id))
}

/// The kind of repair under which an acknowledgement is journaled.
const ACKNOWLEDGE: &str = "acknowledge";

fn decode(row: DiscrepancyRow) -> StoreResult<Discrepancy> {
    let id = row.id;
    let reader = RowReader { table: "discrepancies", key: || id.to_string() };
    Ok(Discrepancy {
        id,
        account: reader.text("account_id", &row.account_id)?,
        first_seen_local: reader.instant("first_seen_local_ms", row.first_seen_local_ms)?,
        last_seen_local: reader.instant("last_seen_local_ms", row.last_seen_local_ms)?,
        resolved_local: row.resolved_local_ms.map(|ms| reader.instant("resolved_local_ms", ms)).transpose()?,
        run_id: row.run_id.map(RunId),
        entry: NewDiscrepancy {
            symbol: reader.optional("symbol", row.symbol.as_deref())?,
            status: reader.text("status", &row.status)?,
            key: DiscrepancyKey { kind: row.kind, fingerprint: row.fingerprint },
            evidence_json: row.evidence_json,
        },
    })
}

pub(super) fn list(
    conn: &mut SqliteConnection,
    filter: &DiscrepancyFilter,
    page: &PageRequest,
) -> StoreResult<Page<Discrepancy>> {
    let mut query = discrepancies::table
        .filter(discrepancies::account_id.eq(filter.account.as_str()))
        .select(DiscrepancyRow::as_select())
        .into_boxed();
    if !filter.statuses.is_empty() {
        query = query.filter(discrepancies::status.eq_any(filter.statuses.iter().map(|status| status.as_str())));
    }
    if let Some(symbol) = &filter.symbol {
        query = query.filter(discrepancies::symbol.eq(symbol.as_str()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(discrepancies::kind.eq(kind));
    }
    if let Some(since) = filter.since {
        query = query.filter(discrepancies::last_seen_local_ms.ge(since.as_ms()));
    }
    let rows = by_number!(query, page, discrepancies::id).load(conn).map_err(failed("read discrepancies"))?;
    page.finish(rows, |row| Cursor::new(vec![row.id.to_string()]), decode)
}
