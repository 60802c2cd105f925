//! The table `positions`: what a symbol's fold says of its positions, beside what the exchange said last.
//!
//! The columns are for people who query by hand; the record itself is in `detail_json`, so that nothing is lost in
//! between.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger_core::{
    AccountId, AssetTotal, CertainTotal, Certainty, Decimal, DerivedPosition, FOLD_VERSION, Instrument, PositionSide,
    PositionSnapshot, Price, PriceKind, PriceSnapshot, Symbol, SymbolFold, TimestampMs,
};

use super::codec::RowReader;
use super::derived::{amount_column, not_serialized, number};
use super::discrepancy::CONFLICTING_FACT;
use super::fact_table::FactTable;
use super::failure::failed;
use super::prepared::{PrepareOnce as _, insert_in_runs};
use super::refold::Stop;
use super::schema::{discrepancies, position_snapshots, positions, price_snapshots, symbol_books};
use super::snapshot::{PositionSnapshotRow, PriceSnapshotRow};
use crate::record::{BookPosition, DiscrepancyStatus, ReconcileStatus};
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = positions, treat_none_as_default_value = false)]
pub(super) struct PositionRow {
    account_id: String,
    symbol: String,
    position_side: String,
    ts: Option<i64>,
    side: String,
    qty: String,
    avg_entry: Option<String>,
    unreal_pnl: Option<String>,
    realized_pnl: Option<String>,
    certainty: String,
    settle_asset: String,
    mark_price: Option<String>,
    mark_ts: Option<i64>,
    exchange_qty: Option<String>,
    exchange_entry: Option<String>,
    exchange_ts: Option<i64>,
    reconcile_status: Option<String>,
    source: String,
    detail_json: String,
}

/// The exchange's latest word on each position of a symbol.
fn latest_snapshots(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
) -> StoreResult<BTreeMap<PositionSide, PositionSnapshot>> {
    let mut latest = BTreeMap::new();
    for side in PositionSide::ALL {
        let row: Option<PositionSnapshotRow> = position_snapshots::table
            .filter(position_snapshots::account_id.eq(account.as_str()))
            .filter(position_snapshots::symbol.eq(symbol.as_str()))
            .filter(position_snapshots::position_side.eq(side.as_str()))
            .order(position_snapshots::ts.desc())
            .select(PositionSnapshotRow::as_select())
            .first(conn)
            .optional()
            .map_err(failed("read position snapshots"))?;
        if let Some(row) = row {
            latest.insert(*side, PositionSnapshot::decode(&row)?.fact);
        }
    }
    Ok(latest)
}

fn latest_mark(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
) -> StoreResult<Option<PriceSnapshot>> {
    let row: Option<PriceSnapshotRow> = price_snapshots::table
        .filter(price_snapshots::account_id.eq(account.as_str()))
        .filter(price_snapshots::symbol.eq(symbol.as_str()))
        .filter(price_snapshots::kind.eq(PriceKind::Mark.as_str()))
        .order(price_snapshots::ts.desc())
        .select(PriceSnapshotRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read mark prices"))?;
    row.map(|row| Ok(PriceSnapshot::decode(&row)?.fact)).transpose()
}

/// What the book says of a position that it knows nothing of.
fn unknown_to_the_book(position_side: PositionSide, certainty: Certainty) -> DerivedPosition {
    DerivedPosition {
        position_side,
        qty: Decimal::ZERO,
        entry_price_avg: None,
        open_cost: Some(Decimal::ZERO),
        certainty,
        realized: CertainTotal::default(),
        fees: Vec::new(),
        funding: Vec::new(),
        fill_count: 0,
        clearance: Vec::new(),
        since_opened: ledger_core::PositionMoney::default(),
        updated_at: None,
        position: None,
    }
}

fn compare(position: &DerivedPosition, exchange: &PositionSnapshot, has_unresolved: bool) -> ReconcileStatus {
    if position.qty == exchange.qty {
        ReconcileStatus::Matched
    } else if position.updated_at.is_some_and(|updated| updated > exchange.at) {
        ReconcileStatus::Pending
    } else if has_unresolved {
        ReconcileStatus::Unresolved
    } else {
        ReconcileStatus::Mismatch
    }
}

/// Writes the positions and the book of a symbol as `state` has them after `fills_seen` fills, those that nothing places
/// included.
pub(super) fn write_symbol(
    conn: &mut SqliteConnection,
    account: &AccountId,
    instrument: &Instrument,
    state: &SymbolFold,
    fills_seen: u64,
) -> Result<(), Stop> {
    let symbol = &instrument.symbol;
    let mark = latest_mark(conn, account, symbol)?;
    let mut exchange = latest_snapshots(conn, account, symbol)?;
    let unresolved: i64 = discrepancies::table
        .filter(discrepancies::account_id.eq(account.as_str()))
        .filter(discrepancies::symbol.eq(symbol.as_str()))
        // Which of two statements is believed changes nothing about what the exchange says of a position.
        .filter(discrepancies::kind.ne(CONFLICTING_FACT))
        .filter(
            discrepancies::status
                .eq_any([DiscrepancyStatus::Unresolved.as_str(), DiscrepancyStatus::Acknowledged.as_str()]),
        )
        .count()
        .prepared_once()
        .get_result(conn)
        .map_err(failed("read discrepancies"))?;
    let mut book = state.positions()?;
    let fill_count = book.iter().map(|position| position.fill_count).sum();
    // A fill that nothing places may have changed any of them.
    let untouched = if fills_seen > fill_count { Certainty::Estimated } else { Certainty::Known };
    for (side, snapshot) in &exchange {
        if !snapshot.qty.is_zero() && book.iter().all(|position| position.position_side != *side) {
            book.push(unknown_to_the_book(*side, untouched));
        }
    }
    let mut rows = Vec::with_capacity(book.len());
    for mut position in book {
        let unreal_pnl = match (&mark, &position.position) {
            (Some(mark), Some(open)) => Some(open.unrealized(state.contract(), mark.price)?.to_decimal()?),
            _ => None,
        };
        let exchange = exchange.remove(&position.position_side);
        let status = exchange.as_ref().map(|exchange| compare(&position, exchange, unresolved > 0));
        if matches!(status, Some(ReconcileStatus::Mismatch | ReconcileStatus::Unresolved)) {
            // However sound the fold is, something is missing in it.
            position.certainty = position.certainty.max(Certainty::Estimated);
        }
        let side = if position.qty.is_zero() {
            "flat"
        } else if position.qty.is_negative() {
            "short"
        } else {
            "long"
        };
        rows.push(PositionRow {
            account_id: account.as_str().to_owned(),
            symbol: symbol.as_str().to_owned(),
            position_side: position.position_side.as_str().to_owned(),
            ts: position.updated_at.map(TimestampMs::as_ms),
            side: side.to_owned(),
            qty: position.qty.to_string(),
            avg_entry: position.entry_price_avg.map(|price| price.to_string()),
            unreal_pnl: unreal_pnl.map(|pnl| pnl.to_string()),
            realized_pnl: amount_column(&position.realized),
            certainty: position.certainty.as_str().to_owned(),
            settle_asset: instrument.settle_asset.as_str().to_owned(),
            mark_price: mark.as_ref().map(|mark| mark.price.to_string()),
            mark_ts: mark.as_ref().map(|mark| mark.at.as_ms()),
            exchange_qty: exchange.as_ref().map(|exchange| exchange.qty.to_string()),
            exchange_entry: exchange.as_ref().and_then(|exchange| exchange.entry_price).map(|price| price.to_string()),
            exchange_ts: exchange.as_ref().map(|exchange| exchange.at.as_ms()),
            reconcile_status: status.map(|status| status.as_str().to_owned()),
            source: "fold".to_owned(),
            detail_json: serde_json::to_string(&position).map_err(not_serialized("positions"))?,
        });
    }
    insert_in_runs!(rows.as_slice(), |run| {
        diesel::insert_into(positions::table).values(run).execute(conn).map_err(failed("write positions"))?
    });
    let text = |totals: Vec<AssetTotal>| serde_json::to_string(&totals).map_err(not_serialized("symbol_books"));
    diesel::insert_into(symbol_books::table)
        .values((
            symbol_books::account_id.eq(account.as_str()),
            symbol_books::symbol.eq(symbol.as_str()),
            symbol_books::settle_asset.eq(instrument.settle_asset.as_str()),
            symbol_books::fill_count.eq(number(fill_count)),
            symbol_books::unplaced_count.eq(number(fills_seen.saturating_sub(fill_count))),
            symbol_books::closed_count.eq(number(state.closed_count())),
            symbol_books::pnl_unreported_count.eq(number(state.pnl_unreported_count())),
            symbol_books::pnl_unknown_count.eq(number(state.pnl_unknown_count())),
            symbol_books::unallocated_funding_json.eq(text(state.unallocated_funding()?)?),
            symbol_books::unallocated_clearance_json.eq(text(state.unallocated_clearance()?)?),
            symbol_books::unallocated_realized_json.eq(text(state.unallocated_realized()?)?),
            symbol_books::is_conserved.eq(state.is_conserved()?),
            symbol_books::fold_version.eq(i64::from(FOLD_VERSION)),
        ))
        .execute(conn)
        .map_err(failed("write a symbol's book"))?;
    Ok(())
}

pub(super) fn decode_position(row: &PositionRow) -> StoreResult<BookPosition> {
    let reader =
        RowReader { table: "positions", key: || format!("{}/{}/{}", row.account_id, row.symbol, row.position_side) };
    let symbol: Symbol = reader.text("symbol", &row.symbol)?;
    let position: DerivedPosition = reader.json("detail_json", &row.detail_json)?;
    let told = (
        position.updated_at.map(TimestampMs::as_ms),
        position.qty.to_string(),
        position.entry_price_avg.map(|price| price.to_string()),
        amount_column(&position.realized),
        position.certainty.as_str(),
    );
    let columns = (row.ts, row.qty.clone(), row.avg_entry.clone(), row.realized_pnl.clone(), row.certainty.as_str());
    if told != columns {
        return Err(reader.corrupt("detail_json", "the other columns say otherwise"));
    }
    let mark_price: Option<Price> = reader.optional("mark_price", row.mark_price.as_deref())?;
    let mark = match (mark_price, row.mark_ts) {
        (Some(price), Some(ms)) => {
            let at = reader.instant("mark_ts", ms)?;
            Some(PriceSnapshot { symbol: symbol.clone(), kind: PriceKind::Mark, at, price })
        }
        _ => None,
    };
    let exchange_qty: Option<Decimal> = reader.optional("exchange_qty", row.exchange_qty.as_deref())?;
    let exchange = match (exchange_qty, row.exchange_ts) {
        (Some(qty), Some(ms)) => Some(PositionSnapshot {
            symbol: symbol.clone(),
            position_side: position.position_side,
            at: reader.instant("exchange_ts", ms)?,
            qty,
            entry_price: reader.optional("exchange_entry", row.exchange_entry.as_deref())?,
        }),
        _ => None,
    };
    Ok(BookPosition {
        symbol,
        settle_asset: reader.text("settle_asset", &row.settle_asset)?,
        position,
        mark,
        unreal_pnl: reader.optional("unreal_pnl", row.unreal_pnl.as_deref())?,
        exchange,
        reconcile_status: reader.optional("reconcile_status", row.reconcile_status.as_deref())?,
    })
}
