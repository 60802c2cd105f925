//! The table `fold_checkpoints`: states to fold on from.
//!
//! A checkpoint is taken right after a fill: it holds every timed event before the latest fill's time, and none after.
//! It holds for the version of the fold's rules that made it, and for no other.

use diesel::prelude::*;
use ledger_core::{AccountId, FOLD_VERSION, FoldKey, Symbol, SymbolFold};

use super::codec::RowReader;
use super::effects::Mark;
use super::failure::failed;
use super::schema::fold_checkpoints;
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = fold_checkpoints)]
struct CheckpointRow {
    account_id: String,
    symbol: String,
    fills_seen: i64,
    is_head: bool,
    ts_max: i64,
    fold_key: String,
    fold_version: i64,
    state: String,
}

/// The state after some fill.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    /// How many fills it has seen, those that nothing places included.
    pub(super) fills_seen: u64,
    /// The latest time of any of them.
    pub(super) ts_max: i64,
    /// The last of them.
    pub(super) fold_key: FoldKey,
    pub(super) state: SymbolFold,
}

/// The latest checkpoint that `mark` leaves valid, of at most `fills_max` fills.
pub(super) fn latest_valid(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    mark: &Mark,
    fills_max: Option<u64>,
) -> StoreResult<Option<Checkpoint>> {
    if mark.is_whole {
        return Ok(None);
    }
    let mut before = fills_max.and_then(|fills| i64::try_from(fills).ok()?.checked_add(1)).unwrap_or(i64::MAX);
    loop {
        // One at a time: the head is nearly always the one, and states of long histories need not all be read.
        let row: Option<CheckpointRow> = fold_checkpoints::table
            .filter(fold_checkpoints::account_id.eq(account.as_str()))
            .filter(fold_checkpoints::symbol.eq(symbol.as_str()))
            .filter(fold_checkpoints::fold_version.eq(i64::from(FOLD_VERSION)))
            .filter(fold_checkpoints::fills_seen.lt(before))
            .order(fold_checkpoints::fills_seen.desc())
            .select(CheckpointRow::as_select())
            .first(conn)
            .optional()
            .map_err(failed("read checkpoints"))?;
        let Some(row) = row else { return Ok(None) };
        before = row.fills_seen;
        // A state that cannot be read is no state: fold from further back.
        let Some(checkpoint) = decode(&row) else { continue };
        let key_holds = mark.key.as_ref().is_none_or(|from| checkpoint.fold_key < *from);
        let time_holds = mark.since_ms.is_none_or(|from| row.ts_max < from);
        if key_holds && time_holds {
            return Ok(Some(checkpoint));
        }
    }
}

fn decode(row: &CheckpointRow) -> Option<Checkpoint> {
    Some(Checkpoint {
        fills_seen: u64::try_from(row.fills_seen).ok()?,
        ts_max: row.ts_max,
        fold_key: serde_json::from_str(&row.fold_key).ok()?,
        state: serde_json::from_str(&row.state).ok()?,
    })
}

/// Keeps a state. A head replaces the head before it; others stay for late facts.
pub(super) fn write(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    checkpoint: &Checkpoint,
    is_head: bool,
) -> StoreResult<()> {
    let corrupt = |column: &'static str, error: serde_json::Error| {
        RowReader { table: "fold_checkpoints", key: || format!("{account}/{symbol}") }.corrupt(column, error)
    };
    let row = CheckpointRow {
        account_id: account.as_str().to_owned(),
        symbol: symbol.as_str().to_owned(),
        fills_seen: i64::try_from(checkpoint.fills_seen).unwrap_or(i64::MAX),
        is_head,
        ts_max: checkpoint.ts_max,
        fold_key: serde_json::to_string(&checkpoint.fold_key).map_err(|error| corrupt("fold_key", error))?,
        fold_version: i64::from(FOLD_VERSION),
        state: serde_json::to_string(&checkpoint.state).map_err(|error| corrupt("state", error))?,
    };
    diesel::replace_into(fold_checkpoints::table).values(&row).execute(conn).map_err(failed("write a checkpoint"))?;
    diesel::delete(
        fold_checkpoints::table
            .filter(fold_checkpoints::account_id.eq(account.as_str()))
            .filter(fold_checkpoints::symbol.eq(symbol.as_str()))
            .filter(fold_checkpoints::is_head)
            .filter(fold_checkpoints::fills_seen.ne(row.fills_seen)),
    )
    .execute(conn)
    .map_err(failed("write a checkpoint"))?;
    Ok(())
}

/// Forgets states with more than `fills_seen` fills.
pub(super) fn drop_after(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    fills_seen: u64,
) -> StoreResult<()> {
    diesel::delete(
        fold_checkpoints::table
            .filter(fold_checkpoints::account_id.eq(account.as_str()))
            .filter(fold_checkpoints::symbol.eq(symbol.as_str()))
            .filter(fold_checkpoints::fills_seen.gt(i64::try_from(fills_seen).unwrap_or(i64::MAX))),
    )
    .execute(conn)
    .map_err(failed("drop checkpoints"))?;
    Ok(())
}
