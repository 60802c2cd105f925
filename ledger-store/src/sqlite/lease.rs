//! The table `leases`: who watches which account, and the number that fences.

use diesel::prelude::*;
use ledger_core::{AccountId, TimestampMs};

use super::codec::RowReader;
use super::failure::failed;
use super::schema::leases;
use crate::error::StoreError;
use crate::lease::{Lease, LeaseRecord, LeaseRequest};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = leases, treat_none_as_default_value = false)]
struct LeaseRow {
    account_id: String,
    number: i64,
    holder: String,
    taken_local_ms: i64,
    renewed_local_ms: i64,
    until_local_ms: i64,
    ended_local_ms: Option<i64>,
    state_json: Option<String>,
    lock_file: Option<i64>,
}

/// What others are told of the row, but for whether its holder lives, and the number of its lock.
fn decode(row: LeaseRow) -> StoreResult<(LeaseRecord, Option<i64>)> {
    let key = row.account_id;
    let reader = RowReader { table: "leases", key: || key.clone() };
    let record = LeaseRecord {
        lease: Lease { account: reader.text("account_id", &key)?, number: row.number },
        holder: row.holder,
        taken_local: reader.instant("taken_local_ms", row.taken_local_ms)?,
        renewed_local: reader.instant("renewed_local_ms", row.renewed_local_ms)?,
        until_local: reader.instant("until_local_ms", row.until_local_ms)?,
        ended_local: row.ended_local_ms.map(|ms| reader.instant("ended_local_ms", ms)).transpose()?,
        state_json: row.state_json,
        is_alive: None,
    };
    Ok((record, row.lock_file))
}

/// The last lease on an account, with the number of the file whose lock its holder has.
pub(super) fn get(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Option<(LeaseRecord, Option<i64>)>> {
    let row = leases::table.find(account.as_str()).select(LeaseRow::as_select()).first(conn).optional();
    row.map_err(failed("read a lease"))?.map(decode).transpose()
}

/// Gives the lease, unless another one is in force. `lock_file` is the number of the file whose lock who asks has: if that was the
/// last holder's, the last holder is dead.
pub(super) fn take(
    conn: &mut SqliteConnection,
    request: &LeaseRequest,
    lock_file: Option<i64>,
) -> StoreResult<Result<Lease, LeaseRecord>> {
    super::commit::require_account(conn, &request.account)?;
    let known = get(conn, &request.account)?;
    let number = known.as_ref().map_or(0, |(known, _)| known.lease.number).saturating_add(1);
    if let Some((known, its_lock)) = known {
        let is_dead = lock_file.is_some() && its_lock == lock_file;
        if !is_dead && known.is_in_force(request.now_local) {
            return Ok(Err(known));
        }
    }
    let row = LeaseRow {
        account_id: request.account.as_str().to_owned(),
        number,
        holder: request.holder.clone(),
        taken_local_ms: request.now_local.as_ms(),
        renewed_local_ms: request.now_local.as_ms(),
        until_local_ms: request.until_local.as_ms(),
        ended_local_ms: None,
        state_json: None,
        lock_file,
    };
    diesel::replace_into(leases::table).values(&row).execute(conn).map_err(failed("take a lease"))?;
    Ok(Ok(Lease { account: request.account.clone(), number }))
}

/// Notes that the holder has got the lock of this file.
pub(super) fn note_lock(conn: &mut SqliteConnection, lease: &Lease, lock_file: Option<i64>) -> StoreResult<()> {
    check(conn, lease)?;
    diesel::update(leases::table.find(lease.account.as_str()))
        .set(leases::lock_file.eq(lock_file))
        .execute(conn)
        .map_err(failed("renew a lease"))?;
    Ok(())
}

/// Lets the lease count until `until`, with what its holder says of itself.
pub(super) fn renew(
    conn: &mut SqliteConnection,
    lease: &Lease,
    now: TimestampMs,
    until: TimestampMs,
    state_json: Option<&str>,
) -> StoreResult<()> {
    check(conn, lease)?;
    diesel::update(leases::table.find(lease.account.as_str()))
        .set((
            leases::renewed_local_ms.eq(now.as_ms()),
            leases::until_local_ms.eq(until.as_ms()),
            leases::state_json.eq(state_json),
        ))
        .execute(conn)
        .map_err(failed("renew a lease"))?;
    Ok(())
}

/// Gives the lease back. Nothing more can be written under it.
pub(super) fn end(
    conn: &mut SqliteConnection,
    lease: &Lease,
    now: TimestampMs,
    state_json: Option<&str>,
) -> StoreResult<()> {
    check(conn, lease)?;
    diesel::update(leases::table.find(lease.account.as_str()))
        .set((leases::ended_local_ms.eq(Some(now.as_ms())), leases::state_json.eq(state_json)))
        .execute(conn)
        .map_err(failed("give a lease back"))?;
    Ok(())
}

/// Refuses a lease that is not the account's last one, or was given back.
pub(super) fn check(conn: &mut SqliteConnection, lease: &Lease) -> StoreResult<()> {
    let known: Option<(i64, Option<i64>, String)> = leases::table
        .find(lease.account.as_str())
        .select((leases::number, leases::ended_local_ms, leases::holder))
        .first(conn)
        .optional()
        .map_err(failed("read a lease"))?;
    match known {
        Some((number, None, _)) if number == lease.number => Ok(()),
        known => Err(StoreError::LeaseLost {
            account: lease.account.clone(),
            holder: known.filter(|(number, ..)| *number != lease.number).map(|(_, _, holder)| holder),
        }),
    }
}
