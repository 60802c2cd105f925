//! Lists of fills by what they demand of the ledger.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use ledger_core::{Fill, Sourced};

use super::super::fact_table::FactTable;
use super::super::failure::failed;
use super::super::fill::FillRow;
use super::super::schema::fills;
use super::{cursor, position};
use crate::filter::Scope;
use crate::page::{Direction, Page, PageRequest};
use crate::store::StoreResult;

/// No row of the ledger that names the trade is what the fill's fee or profit demands, the fill states neither, or the trade
/// has another half, so that both have to be added up.
const LACKS_ROWS: &str =
    "((fills.fee IS NULL AND fills.exchange_realized_pnl IS NULL) OR (fills.fee <> '0' AND NOT EXISTS (
        SELECT 1 FROM income i WHERE i.account_id = fills.account_id AND i.symbol = fills.symbol
            AND i.fill_id = fills.fill_id AND i.income_type = 'COMMISSION' AND i.asset = fills.fee_asset
    )) OR (fills.exchange_realized_pnl <> '0' AND NOT EXISTS (
        SELECT 1 FROM income i WHERE i.account_id = fills.account_id AND i.symbol = fills.symbol
            AND i.fill_id = fills.fill_id AND i.income_type = 'REALIZED_PNL'
    )) OR EXISTS (
        SELECT 1 FROM fills o WHERE o.account_id = fills.account_id AND o.symbol = fills.symbol
            AND o.fill_id = fills.fill_id AND o.side <> fills.side
    ))";

pub(in crate::sqlite) fn fills_without_rows(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Fill>>> {
    let query = scoped!(fills, FillRow, fills::ts, scope).filter(sql::<Bool>(LACKS_ROWS));
    let rows: Vec<FillRow> =
        page_rows!(conn, query, page, fills::ts, "fills.symbol || '|' || fills.side || '|' || fills.fill_id");
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}|{}", row.symbol, row.side, row.fill_id)),
        |row| Fill::decode(&row),
    )
}
