//! The table `fact_sources`: every payload received, verbatim, once.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use ledger_core::{AccountId, FactKind};
use sha2::{Digest, Sha256};

use super::codec::RowReader;
use super::fact_table::QueryResult;
use super::failure::failed;
use super::prepared::insert_in_runs;
use super::schema::fact_sources;
use crate::batch::RunId;
use crate::record::FactSource;
use crate::store::StoreResult;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = fact_sources, treat_none_as_default_value = false)]
pub(super) struct FactSourceRow {
    pub(super) account_id: String,
    pub(super) kind: String,
    pub(super) fact_key: String,
    pub(super) source: String,
    pub(super) hash: Vec<u8>,
    pub(super) payload: String,
    pub(super) recorded_local_ms: i64,
    pub(super) run_id: Option<i64>,
}

/// Keeps payloads that are new; the first time and run of the others stand.
pub(super) fn insert(conn: &mut SqliteConnection, rows: &[FactSourceRow]) -> QueryResult<()> {
    insert_in_runs!(rows, |run| {
        diesel::insert_into(fact_sources::table).values(run).on_conflict_do_nothing().execute(conn)?
    });
    Ok(())
}

/// The first 16 bytes of a payload's SHA-256, by which it is told from others for the same fact.
pub(super) fn hash_of(payload: &str) -> Vec<u8> {
    Sha256::digest(payload.as_bytes()).iter().take(16).copied().collect()
}

/// The most altered payloads that are named.
const ALTERED_MAX: usize = 20;

/// Payloads that do not have the hash that was computed when they were received.
pub(super) fn altered(conn: &mut SqliteConnection) -> StoreResult<Vec<String>> {
    let rows = fact_sources::table
        .select((
            fact_sources::account_id,
            fact_sources::kind,
            fact_sources::fact_key,
            fact_sources::hash,
            fact_sources::payload,
        ))
        .load_iter::<(String, String, String, Vec<u8>, String), DefaultLoadingMode>(conn)
        .map_err(failed("read payloads"))?;
    let (mut altered, mut count) = (Vec::new(), 0_usize);
    for row in rows {
        let (account, kind, fact_key, hash, payload) = row.map_err(failed("read payloads"))?;
        if hash_of(&payload) != hash {
            count += 1;
            if count <= ALTERED_MAX {
                altered.push(format!("a payload of {kind} {fact_key} of account {account} was altered"));
            }
        }
    }
    if count > ALTERED_MAX {
        altered.push(format!("{} more payloads were altered", count - ALTERED_MAX));
    }
    Ok(altered)
}

pub(super) fn list(
    conn: &mut SqliteConnection,
    account: &AccountId,
    kind: FactKind,
    fact_key: &str,
) -> StoreResult<Vec<FactSource>> {
    let rows: Vec<FactSourceRow> = fact_sources::table
        .filter(fact_sources::account_id.eq(account.as_str()))
        .filter(fact_sources::kind.eq(kind.as_str()))
        .filter(fact_sources::fact_key.eq(fact_key))
        .order((fact_sources::recorded_local_ms, fact_sources::source, fact_sources::hash))
        .select(FactSourceRow::as_select())
        .load(conn)
        .map_err(failed("read payloads"))?;
    rows.into_iter()
        .map(|row| {
            let reader = RowReader {
                table: "fact_sources",
                key: || format!("{}/{}/{}", row.account_id, row.kind, row.fact_key),
            };
            Ok(FactSource {
                kind: reader.text("kind", &row.kind)?,
                source: reader.text("source", &row.source)?,
                recorded_at: reader.instant("recorded_local_ms", row.recorded_local_ms)?,
                run_id: row.run_id.map(RunId),
                fact_key: row.fact_key.clone(),
                payload: row.payload.clone(),
            })
        })
        .collect()
}

/// How many facts of an account more than one payload states.
pub(super) fn restated_count(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<u64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    // In the order of the primary key, so nothing is sorted or kept.
    let count: Count = diesel::sql_query(
        "SELECT count(*) AS number FROM (
             SELECT 1 FROM fact_sources WHERE account_id = ? GROUP BY kind, fact_key HAVING count(*) > 1
         )",
    )
    .bind::<diesel::sql_types::Text, _>(account.as_str())
    .get_result(conn)
    .map_err(failed("count what is stated more than once"))?;
    RowReader { table: "fact_sources", key: || account.to_string() }.number("count", count.number)
}
