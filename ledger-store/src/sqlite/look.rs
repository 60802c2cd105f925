//! The table `looks`: the last look at the exchange, a row a stream.

use std::collections::BTreeSet;

use diesel::prelude::*;
use ledger_core::{AccountId, LookStream, Symbol, TimestampMs};

use super::codec::RowReader;
use super::failure::failed;
use super::schema::looks;
use crate::error::{BackendError, StoreError};
use crate::look::{Look, LookFailure, LookFailureKind, LookOutcome, LookResult, LookSuccess, NewLook, Seen};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = looks, treat_none_as_default_value = false)]
struct LookRow {
    account_id: String,
    stream: String,
    outcome: String,
    began_local_ms: i64,
    ended_local_ms: i64,
    began_ts: Option<i64>,
    ended_ts: Option<i64>,
    succeeded_local_ms: Option<i64>,
    seen_ts: Option<i64>,
    seen_json: Option<String>,
    failed_local_ms: Option<i64>,
    failure: Option<String>,
    failure_reason: Option<String>,
}

/// Writes a look that has ended over the one before. Of a stream that was answered the last failure stays, and the other
/// way round.
pub(super) fn write(conn: &mut SqliteConnection, look: &NewLook) -> StoreResult<()> {
    super::commit::require_account(conn, &look.account)?;
    for (stream, result) in &look.streams {
        let known: Option<LookRow> = looks::table
            .find((look.account.as_str(), stream.as_str()))
            .select(LookRow::as_select())
            .first(conn)
            .optional()
            .map_err(failed("read the looks"))?;
        let row = match (result, known) {
            (LookResult::Narrowed { left_aside, cleared }, Some(known)) => {
                narrowed(known, left_aside, cleared.as_ref())?
            }
            (LookResult::Narrowed { .. }, None) => continue,
            (_, known) => row_of(look, *stream, result, known)?,
        };
        diesel::replace_into(looks::table).values(&row).execute(conn).map_err(failed("write a look"))?;
    }
    Ok(())
}

/// The row of a stream that a narrowed look left as it is, but for the contracts that it did not look at.
fn narrowed(
    mut known: LookRow,
    left_aside: &BTreeSet<Symbol>,
    cleared: Option<&BTreeSet<Symbol>>,
) -> StoreResult<LookRow> {
    let Some(success) = decode(&known)?.success else { return Ok(known) };
    let mut seen = success.seen;
    seen.left_aside.retain(|symbol| cleared.is_some_and(|cleared| !cleared.contains(symbol)));
    seen.left_aside.extend(left_aside.iter().cloned());
    known.seen_json = encoded(&seen)?;
    Ok(known)
}

/// What is written of what was seen; nothing where there is nothing to say.
fn encoded(seen: &Seen) -> StoreResult<Option<String>> {
    if *seen == Seen::default() {
        return Ok(None);
    }
    let text = serde_json::to_string(seen).map_err(|error| StoreError::Backend {
        operation: "write a look",
        source: BackendError::new(error.to_string()),
    })?;
    Ok(Some(text))
}

fn row_of(look: &NewLook, stream: LookStream, result: &LookResult, known: Option<LookRow>) -> StoreResult<LookRow> {
    let (outcome, ended_local_ms) = (outcome_of(result), look.ended_local.as_ms());
    let mut row = LookRow {
        account_id: look.account.as_str().to_owned(),
        stream: stream.as_str().to_owned(),
        outcome: outcome.as_str().to_owned(),
        began_local_ms: look.began_local.as_ms(),
        ended_local_ms,
        began_ts: look.began_at.map(TimestampMs::as_ms),
        ended_ts: look.ended_at.map(TimestampMs::as_ms),
        succeeded_local_ms: known.as_ref().and_then(|known| known.succeeded_local_ms),
        seen_ts: known.as_ref().and_then(|known| known.seen_ts),
        seen_json: known.as_ref().and_then(|known| known.seen_json.clone()),
        failed_local_ms: known.as_ref().and_then(|known| known.failed_local_ms),
        failure: known.as_ref().and_then(|known| known.failure.clone()),
        failure_reason: known.and_then(|known| known.failure_reason),
    };
    match result {
        // Of two looks at once the one that began first may end last.
        LookResult::Seen { seen_at, .. } if row.seen_ts.is_some_and(|known| known > seen_at.as_ms()) => {}
        LookResult::Seen { seen_at, seen } => {
            row.succeeded_local_ms = Some(ended_local_ms);
            row.seen_ts = Some(seen_at.as_ms());
            row.seen_json = encoded(seen)?;
        }
        LookResult::Narrowed { .. } => {}
        LookResult::Failed(failure) => {
            row.failed_local_ms = Some(ended_local_ms);
            row.failure = Some(failure.kind.as_str().to_owned());
            row.failure_reason = Some(failure.reason.clone());
        }
    }
    Ok(row)
}

fn outcome_of(result: &LookResult) -> LookOutcome {
    match result {
        LookResult::Seen { .. } | LookResult::Narrowed { .. } => LookOutcome::Succeeded,
        LookResult::Failed(failure) if failure.kind == LookFailureKind::Interrupted => LookOutcome::Interrupted,
        LookResult::Failed(_) => LookOutcome::Failed,
    }
}

/// The looks of an account, by stream.
pub(super) fn list(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Look>> {
    let rows: Vec<LookRow> = looks::table
        .filter(looks::account_id.eq(account.as_str()))
        .order(looks::stream)
        .select(LookRow::as_select())
        .load(conn)
        .map_err(failed("read the looks"))?;
    rows.iter().map(decode).collect()
}

fn decode(row: &LookRow) -> StoreResult<Look> {
    let reader = RowReader { table: "looks", key: || format!("{}/{}", row.account_id, row.stream) };
    let optional = |column, ms: Option<i64>| ms.map(|ms| reader.instant(column, ms)).transpose();
    let success = match (row.succeeded_local_ms, row.seen_ts) {
        (Some(ended), Some(seen_ts)) => Some(LookSuccess {
            ended_local: reader.instant("succeeded_local_ms", ended)?,
            seen_at: reader.instant("seen_ts", seen_ts)?,
            seen: row.seen_json.as_deref().map_or(Ok(Seen::default()), |text| reader.json("seen_json", text))?,
        }),
        _ => None,
    };
    let failure = match (row.failed_local_ms, &row.failure) {
        (Some(ended), Some(kind)) => Some((
            reader.instant("failed_local_ms", ended)?,
            LookFailure { kind: reader.text("failure", kind)?, reason: row.failure_reason.clone().unwrap_or_default() },
        )),
        _ => None,
    };
    Ok(Look {
        stream: reader.text("stream", &row.stream)?,
        outcome: reader.text("outcome", &row.outcome)?,
        began_local: reader.instant("began_local_ms", row.began_local_ms)?,
        ended_local: reader.instant("ended_local_ms", row.ended_local_ms)?,
        began_at: optional("began_ts", row.began_ts)?,
        ended_at: optional("ended_ts", row.ended_ts)?,
        success,
        failure,
    })
}
