//! The table `refold_marks`: from where each symbol has to be folded again. Written with the facts, so that a crash
//! can neither skip nor repeat a refold.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger_core::{AccountId, FOLD_VERSION, Symbol};

use super::codec::RowReader;
use super::effects::Mark;
use super::failure::failed;
use super::schema::{quarantine, refold_marks, symbol_books};
use crate::outcome::PendingRefold;
use crate::store::StoreResult;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = refold_marks, treat_none_as_default_value = false)]
struct MarkRow {
    account_id: String,
    symbol: String,
    from_start: bool,
    from_key: Option<String>,
    from_ts: Option<i64>,
}

pub(super) fn read(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<Mark>> {
    let row: Option<MarkRow> = refold_marks::table
        .find((account.as_str(), symbol.as_str()))
        .select(MarkRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read refold marks"))?;
    let Some(row) = row else { return Ok(None) };
    let reader = RowReader { table: "refold_marks", key: || format!("{}/{}", row.account_id, row.symbol) };
    Ok(Some(Mark {
        is_whole: row.from_start,
        key: row.from_key.as_deref().map(|key| reader.json("from_key", key)).transpose()?,
        since_ms: row.from_ts,
    }))
}

/// Adds to the marks on record; a mark only ever moves back.
pub(super) fn write(
    conn: &mut SqliteConnection,
    account: &AccountId,
    marks: &BTreeMap<Symbol, Mark>,
) -> StoreResult<()> {
    for (symbol, mark) in marks {
        let mut joined = mark.clone();
        if let Some(before) = read(conn, account, symbol)? {
            joined.join(before);
        }
        let reader = RowReader { table: "refold_marks", key: || format!("{account}/{symbol}") };
        let from_key = joined.key.as_ref().map(serde_json::to_string).transpose();
        let row = MarkRow {
            account_id: account.as_str().to_owned(),
            symbol: symbol.as_str().to_owned(),
            from_start: joined.is_whole,
            from_key: from_key.map_err(|error| reader.corrupt("from_key", error))?,
            from_ts: joined.since_ms,
        };
        diesel::replace_into(refold_marks::table).values(&row).execute(conn).map_err(failed("mark for refolding"))?;
    }
    Ok(())
}

/// Marks every symbol whose derived rows were made by an earlier version of the fold's rules.
pub(super) fn outdated(conn: &mut SqliteConnection) -> QueryResult<()> {
    let version = i64::from(FOLD_VERSION);
    let of_books = symbol_books::table
        .filter(symbol_books::fold_version.lt(version))
        .select((symbol_books::account_id, symbol_books::symbol));
    let of_quarantine = quarantine::table
        .filter(quarantine::fold_version.lt(version))
        .select((quarantine::account_id, quarantine::symbol));
    let outdated: Vec<(String, String)> = of_books.union(of_quarantine).load(conn)?;
    for (account_id, symbol) in outdated {
        // Whatever else the mark says, everything is more.
        let row = MarkRow { account_id, symbol, from_start: true, from_key: None, from_ts: None };
        diesel::replace_into(refold_marks::table).values(&row).execute(conn)?;
    }
    Ok(())
}

pub(super) fn clear(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<()> {
    diesel::delete(refold_marks::table.find((account.as_str(), symbol.as_str())))
        .execute(conn)
        .map_err(failed("clear a refold mark"))?;
    Ok(())
}

pub(super) fn pending(conn: &mut SqliteConnection) -> StoreResult<Vec<PendingRefold>> {
    let rows: Vec<(String, String)> = refold_marks::table
        .select((refold_marks::account_id, refold_marks::symbol))
        .order((refold_marks::account_id, refold_marks::symbol))
        .load(conn)
        .map_err(failed("read refold marks"))?;
    rows.iter()
        .map(|(account, symbol)| {
            let reader = RowReader { table: "refold_marks", key: || format!("{account}/{symbol}") };
            Ok(PendingRefold { account: reader.text("account_id", account)?, symbol: reader.text("symbol", symbol)? })
        })
        .collect()
}
