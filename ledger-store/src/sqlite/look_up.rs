//! Single rows, and lists that are short by nature: one row a symbol, position or contract.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use ledger_core::{
    AccountId, Fact, FillKey, IncomeType, Instrument, OrderKey, PositionSnapshot, RoundTrip, Sourced, Symbol,
};

use super::codec::RowReader;
use super::derived::MismatchRow;
use super::fact_table::FactTable;
use super::failure::failed;
use super::instrument::InstrumentRow;
use super::order::{OrderRow, OrderSumsRow, decode_book_order};
use super::position::{PositionRow, decode_position};
use super::round_trip::{self, TripRow};
use super::schema::{
    instruments, orders, pnl_mismatches, position_snapshots, positions, refold_marks, round_trips, symbol_books,
};
use super::snapshot::PositionSnapshotRow;
use crate::batch::FundingReach;
use crate::page::{Cursor, Direction, Page, PageRequest};
use crate::record::{BookOrder, BookPosition, PnlMismatch, SymbolBook};
use crate::store::StoreResult;

/// A fact by its key.
pub(super) fn fact<F: FactTable>(
    conn: &mut SqliteConnection,
    account: &AccountId,
    key: &<F as Fact>::Key,
) -> StoreResult<Option<Sourced<F>>> {
    let rows = F::existing(conn, account, std::slice::from_ref(key), i64::MAX).map_err(failed("read a fact"))?;
    let mut found = None;
    for row in rows {
        // A lookup by part of the key may find its neighbours, too.
        let sourced = F::decode(&row)?;
        if sourced.fact.key() == *key {
            found = Some(sourced);
        }
    }
    Ok(found)
}

pub(super) fn order(
    conn: &mut SqliteConnection,
    account: &AccountId,
    key: &OrderKey,
) -> StoreResult<Option<BookOrder>> {
    let row: Option<(OrderRow, OrderSumsRow)> = orders::table
        .find((account.as_str(), key.symbol.as_str(), key.class.as_str(), key.order_id.as_str()))
        .select((OrderRow::as_select(), OrderSumsRow::as_select()))
        .first(conn)
        .optional()
        .map_err(failed("read an order"))?;
    row.map(|row| decode_book_order(&row)).transpose()
}

pub(super) fn instruments(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Sourced<Instrument>>> {
    let rows: Vec<InstrumentRow> = instruments::table
        .filter(instruments::account_id.eq(account.as_str()))
        .order(instruments::symbol)
        .select(InstrumentRow::as_select())
        .load(conn)
        .map_err(failed("read contracts"))?;
    rows.iter().map(Instrument::decode).collect()
}

pub(super) fn symbols(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Symbol>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        symbol: String,
    }
    // Where a key begins with account and symbol, one seek a symbol: its rows may be millions.
    let seek = |table: &str| {
        format!(
            "SELECT symbol FROM (
                WITH RECURSIVE each (symbol) AS (
                    SELECT min(symbol) FROM {table} WHERE account_id = ?1
                    UNION ALL SELECT (SELECT min(symbol) FROM {table} WHERE account_id = ?1 AND symbol > each.symbol)
                    FROM each WHERE each.symbol IS NOT NULL
                ) SELECT symbol FROM each WHERE symbol IS NOT NULL
            )"
        )
    };
    let names: Vec<Name> = diesel::sql_query(format!(
        "SELECT symbol FROM instruments WHERE account_id = ?1
         UNION {} UNION {} UNION {}
         UNION SELECT symbol FROM income WHERE account_id = ?1 AND symbol <> ''
         UNION SELECT symbol FROM engine_signals WHERE account_id = ?1
         ORDER BY symbol",
        seek("fills"),
        seek("orders"),
        seek("position_snapshots"),
    ))
    .bind::<Text, _>(account.as_str())
    .load(conn)
    .map_err(failed("read symbols"))?;
    let reader = RowReader { table: "fills", key: || account.to_string() };
    names.iter().map(|name| reader.text("symbol", &name.symbol)).collect()
}

/// Every type of the ledger's rows. The key begins with account and type, so one seek a type: its rows may be millions.
pub(super) fn income_types(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<IncomeType>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        income_type: String,
    }
    let names: Vec<Name> = diesel::sql_query(
        "WITH RECURSIVE each (income_type) AS (
             SELECT min(income_type) FROM income WHERE account_id = ?1
             UNION ALL
             SELECT (SELECT min(income_type) FROM income WHERE account_id = ?1 AND income_type > each.income_type)
             FROM each WHERE each.income_type IS NOT NULL
         ) SELECT income_type FROM each WHERE income_type IS NOT NULL",
    )
    .bind::<Text, _>(account.as_str())
    .load(conn)
    .map_err(failed("read the types of ledger rows"))?;
    let reader = RowReader { table: "income", key: || account.to_string() };
    names.iter().map(|name| reader.text("income_type", &name.income_type)).collect()
}

/// From when to when the facts of each contract ask for its funding rates.
pub(super) fn funding_reach(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<FundingReach>> {
    #[derive(QueryableByName)]
    struct Reach {
        #[diesel(sql_type = Text)]
        symbol: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        first: Option<i64>,
        #[diesel(sql_type = Nullable<BigInt>)]
        last_row: Option<i64>,
    }
    // One seek a symbol for its name, and one for each of its ends. Those with a sequence begin with the smallest, and
    // those without with the earliest.
    let seek = |table: &str, only: &str| {
        format!(
            "SELECT symbol FROM (
                WITH RECURSIVE each (symbol) AS (
                    SELECT min(symbol) FROM {table} WHERE account_id = ?1 {only}
                    UNION ALL
                    SELECT (SELECT min(symbol) FROM {table} WHERE account_id = ?1 {only} AND symbol > each.symbol)
                    FROM each WHERE each.symbol IS NOT NULL
                ) SELECT symbol FROM each WHERE symbol IS NOT NULL
            )"
        )
    };
    let is_funding = "AND income_type = 'FUNDING_FEE'";
    let rows: Vec<Reach> = diesel::sql_query(format!(
        "SELECT names.symbol AS symbol,
            (SELECT min(ts) FROM (
                SELECT * FROM (SELECT ts FROM fills WHERE account_id = ?1 AND symbol = names.symbol
                    AND sequence IS NULL ORDER BY ts LIMIT 1)
                UNION ALL SELECT * FROM (SELECT ts FROM fills WHERE account_id = ?1 AND symbol = names.symbol
                    AND sequence IS NOT NULL ORDER BY sequence LIMIT 1)
                UNION ALL SELECT min(ts) FROM income WHERE account_id = ?1 AND symbol = names.symbol {is_funding}
            )) AS first,
            (SELECT max(ts) FROM income WHERE account_id = ?1 AND symbol = names.symbol {is_funding}) AS last_row
         FROM ({} UNION {}) AS names WHERE names.symbol <> '' ORDER BY names.symbol",
        seek("fills", ""),
        seek("income", is_funding),
    ))
    .bind::<Text, _>(account.as_str())
    .load(conn)
    .map_err(failed("read from when to when funding was due"))?;
    let mut reaches = Vec::with_capacity(rows.len());
    for Reach { symbol, first, last_row } in rows {
        let Some(first) = first else { continue };
        let reader = RowReader { table: "income", key: || format!("{account}/{symbol}") };
        reaches.push(FundingReach {
            first: reader.instant("ts", first)?,
            last_row: last_row.map(|ms| reader.instant("ts", ms)).transpose()?,
            symbol: reader.text("symbol", &symbol)?,
        });
    }
    Ok(reaches)
}

pub(super) fn latest_positions(
    conn: &mut SqliteConnection,
    account: &AccountId,
) -> StoreResult<Vec<Sourced<PositionSnapshot>>> {
    let mut latest = Vec::new();
    let mut before: Option<(String, String)> = None;
    // Backwards through the key (symbol, position side, time), one seek a position: the first row met is its latest.
    loop {
        let mut query = position_snapshots::table
            .filter(position_snapshots::account_id.eq(account.as_str()))
            .order((
                position_snapshots::symbol.desc(),
                position_snapshots::position_side.desc(),
                position_snapshots::ts.desc(),
            ))
            .select(PositionSnapshotRow::as_select())
            .into_boxed();
        if let Some((symbol, position_side)) = before {
            query = query.filter(
                sql::<Bool>("(symbol, position_side) < (")
                    .bind::<Text, _>(symbol)
                    .sql(", ")
                    .bind::<Text, _>(position_side)
                    .sql(")"),
            );
        }
        let row = query.first(conn).optional().map_err(failed("read position snapshots"))?;
        let Some(row) = row else { break };
        latest.push(PositionSnapshot::decode(&row)?);
        before = Some((row.symbol, row.position_side));
    }
    latest.reverse();
    Ok(latest)
}

pub(super) fn positions(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<BookPosition>> {
    let rows: Vec<PositionRow> = positions::table
        .filter(positions::account_id.eq(account.as_str()))
        .order((positions::symbol, positions::position_side))
        .select(PositionRow::as_select())
        .load(conn)
        .map_err(failed("read positions"))?;
    rows.iter().map(decode_position).collect()
}

pub(super) fn open_trips(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<RoundTrip>> {
    let rows: Vec<TripRow> = round_trips::table
        .filter(round_trips::account_id.eq(account.as_str()))
        .filter(round_trips::closed_ts.is_null())
        .order((round_trips::symbol, round_trips::trip_no))
        .select(TripRow::as_select())
        .load(conn)
        .map_err(failed("read round trips"))?;
    rows.iter().map(round_trip::decode).collect()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = symbol_books)]
struct SymbolBookRow {
    symbol: String,
    settle_asset: String,
    fill_count: i64,
    unplaced_count: i64,
    closed_count: i64,
    pnl_unreported_count: i64,
    pnl_unknown_count: i64,
    unallocated_funding_json: String,
    unallocated_clearance_json: String,
    unallocated_realized_json: String,
    is_conserved: bool,
}

pub(super) fn symbol_books(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<SymbolBook>> {
    let rows: Vec<SymbolBookRow> = symbol_books::table
        .filter(symbol_books::account_id.eq(account.as_str()))
        .order(symbol_books::symbol)
        .select(SymbolBookRow::as_select())
        .load(conn)
        .map_err(failed("read the symbols' books"))?;
    let mut books = Vec::with_capacity(rows.len());
    for row in rows {
        let pnl_mismatch_count: i64 = pnl_mismatches::table
            .filter(pnl_mismatches::account_id.eq(account.as_str()))
            .filter(pnl_mismatches::symbol.eq(&row.symbol))
            .count()
            .get_result(conn)
            .map_err(failed("count mismatches"))?;
        let reader = RowReader { table: "symbol_books", key: || format!("{account}/{}", row.symbol) };
        books.push(SymbolBook {
            symbol: reader.text("symbol", &row.symbol)?,
            settle_asset: reader.text("settle_asset", &row.settle_asset)?,
            fill_count: reader.number("fill_count", row.fill_count)?,
            unplaced_count: reader.number("unplaced_count", row.unplaced_count)?,
            closed_count: reader.number("closed_count", row.closed_count)?,
            pnl_mismatch_count: reader.number("closed_count", pnl_mismatch_count)?,
            pnl_unreported_count: reader.number("pnl_unreported_count", row.pnl_unreported_count)?,
            pnl_unknown_count: reader.number("pnl_unknown_count", row.pnl_unknown_count)?,
            unallocated_funding: reader.json("unallocated_funding_json", &row.unallocated_funding_json)?,
            unallocated_clearance: reader.json("unallocated_clearance_json", &row.unallocated_clearance_json)?,
            unallocated_realized: reader.json("unallocated_realized_json", &row.unallocated_realized_json)?,
            is_conserved: row.is_conserved,
        });
    }
    Ok(books)
}

pub(super) fn pnl_mismatches(
    conn: &mut SqliteConnection,
    account: &AccountId,
    page: &PageRequest,
) -> StoreResult<Page<PnlMismatch>> {
    let mut query = pnl_mismatches::table
        .filter(pnl_mismatches::account_id.eq(account.as_str()))
        .select(MismatchRow::as_select())
        .into_boxed();
    if let Some(cursor) = &page.after {
        let [_, symbol, fill_no] = cursor.parts()?;
        let row = |comparison: &str| sql::<Bool>(&format!("(symbol, fill_no) {comparison} ("));
        let comparison = if page.direction == Direction::OldestFirst { ">" } else { "<" };
        query = query.filter(
            row(comparison)
                .bind::<Text, _>(symbol.clone())
                .sql(", ")
                .bind::<BigInt, _>(cursor.number(fill_no)?)
                .sql(")"),
        );
    }
    query = match page.direction {
        Direction::OldestFirst => query.order((pnl_mismatches::symbol.asc(), pnl_mismatches::fill_no.asc())),
        Direction::NewestFirst => query.order((pnl_mismatches::symbol.desc(), pnl_mismatches::fill_no.desc())),
    };
    let rows: Vec<MismatchRow> = query.limit(page.limit_rows()).load(conn).map_err(failed("read mismatches"))?;
    page.finish(
        rows,
        // A word in front: the list runs by symbols as text, and a symbol may look like a number.
        |row| Cursor::new(vec!["symbol".to_owned(), row.symbol.clone(), row.fill_no.to_string()]),
        |row| {
            let reader =
                RowReader { table: "pnl_mismatches", key: || format!("{account}/{}/{}", row.symbol, row.fill_no) };
            Ok(PnlMismatch {
                key: FillKey {
                    symbol: reader.text("symbol", &row.symbol)?,
                    fill_id: reader.text("fill_id", &row.fill_id)?,
                    side: reader.text("side", &row.side)?,
                },
                at: reader.instant("ts", row.ts)?,
                derived: reader.optional("derived_pnl", row.derived_pnl.as_deref())?,
                reported: reader.optional("exchange_pnl", row.exchange_pnl.as_deref())?,
            })
        },
    )
}

/// Every symbol of an account that has anything to derive from, or anything derived.
pub(super) fn foldable_symbols(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Symbol>> {
    let mut names = symbols(conn, account)?;
    let marked: Vec<String> = refold_marks::table
        .filter(refold_marks::account_id.eq(account.as_str()))
        .select(refold_marks::symbol)
        .load(conn)
        .map_err(failed("read refold marks"))?;
    let reader = RowReader { table: "refold_marks", key: || account.to_string() };
    for symbol in marked {
        names.push(reader.text("symbol", &symbol)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}
