//! The table `quarantine`: symbols of which nothing is derived, and why.

use diesel::prelude::*;
use ledger_core::{AccountId, FOLD_VERSION, Symbol};

use super::codec::RowReader;
use super::failure::failed;
use super::schema::quarantine;
use crate::outcome::Quarantine;
use crate::store::StoreResult;

pub(super) fn set(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    reason: Option<&str>,
) -> StoreResult<()> {
    let result = match reason {
        Some(reason) => diesel::replace_into(quarantine::table)
            .values((
                quarantine::account_id.eq(account.as_str()),
                quarantine::symbol.eq(symbol.as_str()),
                quarantine::reason.eq(reason),
                quarantine::fold_version.eq(i64::from(FOLD_VERSION)),
            ))
            .execute(conn),
        None => diesel::delete(quarantine::table.find((account.as_str(), symbol.as_str()))).execute(conn),
    };
    result.map_err(failed("quarantine a symbol"))?;
    Ok(())
}

pub(super) fn reason(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<String>> {
    quarantine::table
        .find((account.as_str(), symbol.as_str()))
        .select(quarantine::reason)
        .first(conn)
        .optional()
        .map_err(failed("read quarantined symbols"))
}

pub(super) fn list(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Quarantine>> {
    let rows: Vec<(String, String)> = quarantine::table
        .filter(quarantine::account_id.eq(account.as_str()))
        .order(quarantine::symbol)
        .select((quarantine::symbol, quarantine::reason))
        .load(conn)
        .map_err(failed("read quarantined symbols"))?;
    rows.into_iter()
        .map(|(symbol, reason)| {
            let reader = RowReader { table: "quarantine", key: || format!("{account}/{symbol}") };
            Ok(Quarantine { account: account.clone(), symbol: reader.text("symbol", &symbol)?, reason })
        })
        .collect()
}
