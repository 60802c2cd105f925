//! Lists of what was observed: positions, balances, prices, funding rates; and of anchors, which rest on that.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use ledger_core::{Anchor, BalanceSnapshot, FundingRate, PositionSnapshot, PriceSnapshot, Sourced};

use super::super::anchor::AnchorRow;
use super::super::fact_table::FactTable;
use super::super::failure::failed;
use super::super::funding_rate::FundingRateRow;
use super::super::schema::{anchors, balance_snapshots, funding_rates, position_snapshots, price_snapshots};
use super::super::snapshot::{BalanceSnapshotRow, PositionSnapshotRow, PriceSnapshotRow};
use super::{cursor, position};
use crate::filter::Scope;
use crate::page::{Direction, Page, PageRequest};
use crate::store::StoreResult;

pub(in crate::sqlite) fn position_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<PositionSnapshot>>> {
    let query = scoped!(position_snapshots, PositionSnapshotRow, position_snapshots::ts, scope);
    let rows: Vec<PositionSnapshotRow> = page_rows!(
        conn,
        query,
        page,
        position_snapshots::ts,
        "position_snapshots.symbol || '|' || position_snapshots.position_side"
    );
    page.finish(
        rows,
        |row| cursor(row.ts, format!("{}|{}", row.symbol, row.position_side)),
        |row| PositionSnapshot::decode(&row),
    )
}

pub(in crate::sqlite) fn balance_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<BalanceSnapshot>>> {
    let query = scoped!(balance_snapshots, BalanceSnapshotRow, balance_snapshots::ts, scope, without symbol);
    let rows: Vec<BalanceSnapshotRow> = page_rows!(conn, query, page, balance_snapshots::ts, "balance_snapshots.asset");
    page.finish(rows, |row| cursor(row.ts, row.asset.clone()), |row| BalanceSnapshot::decode(&row))
}

pub(in crate::sqlite) fn price_snapshots(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<PriceSnapshot>>> {
    let query = scoped!(price_snapshots, PriceSnapshotRow, price_snapshots::ts, scope);
    let rows: Vec<PriceSnapshotRow> =
        page_rows!(conn, query, page, price_snapshots::ts, "price_snapshots.symbol || '|' || price_snapshots.kind");
    page.finish(rows, |row| cursor(row.ts, format!("{}|{}", row.symbol, row.kind)), |row| PriceSnapshot::decode(&row))
}

pub(in crate::sqlite) fn funding_rates(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<FundingRate>>> {
    let query = scoped!(funding_rates, FundingRateRow, funding_rates::ts, scope);
    let rows: Vec<FundingRateRow> = page_rows!(conn, query, page, funding_rates::ts, "funding_rates.symbol");
    page.finish(rows, |row| cursor(row.ts, row.symbol.clone()), |row| FundingRate::decode(&row))
}

pub(in crate::sqlite) fn anchors(
    conn: &mut SqliteConnection,
    scope: &Scope,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Anchor>>> {
    let query = scoped!(anchors, AnchorRow, anchors::ts, scope);
    let rows: Vec<AnchorRow> =
        page_rows!(conn, query, page, anchors::ts, "anchors.symbol || '|' || anchors.position_side");
    page.finish(rows, |row| cursor(row.ts, format!("{}|{}", row.symbol, row.position_side)), |row| Anchor::decode(&row))
}
