//! Derived rows: `round_trips`, `positions`, `symbol_books`, `pnl_mismatches`, `quarantine`.
//!
//! The columns are for people who query by hand; the record itself is in `detail_json`, so that nothing is lost in
//! between.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger_core::{
    AccountId, CertainTotal, Certainty, Decimal, DerivedPosition, FOLD_VERSION, Instrument, PositionSide,
    PositionSnapshot, Price, PriceSnapshot, RoundTrip, Symbol, SymbolFold, TimestampMs,
};

use super::codec::RowReader;
use super::discrepancy::CONFLICTING_FACT;
use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use super::refold::Stop;
use super::schema::{
    discrepancies, fold_checkpoints, ledger_fees, pnl_mismatches, position_snapshots, positions, price_snapshots,
    quarantine, round_trips, symbol_books,
};
use super::snapshot::{PositionSnapshotRow, PriceSnapshotRow};
use crate::outcome::Quarantine;
use crate::record::{BookPosition, DiscrepancyStatus, ReconcileStatus};
use crate::repository::StoreResult;

#[derive(Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = round_trips, treat_none_as_default_value = false)]
pub(super) struct TripRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) trip_no: i64,
    position_side: String,
    direction: String,
    opened_ts: Option<i64>,
    pub(super) closed_ts: Option<i64>,
    qty_max: String,
    avg_entry: Option<String>,
    avg_exit: Option<String>,
    gross: Option<String>,
    settle_asset: String,
    engine: Option<String>,
    exit_reason: String,
    certainty: String,
    detail_json: String,
}

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

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = pnl_mismatches, treat_none_as_default_value = false)]
pub(super) struct MismatchRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) fill_no: i64,
    pub(super) fill_id: String,
    pub(super) side: String,
    pub(super) ts: i64,
    pub(super) derived_pnl: Option<String>,
    pub(super) exchange_pnl: Option<String>,
}

/// A total as one number; absent when part of it is unknown.
fn amount_column(total: &CertainTotal) -> Option<String> {
    if total.certainty() == Certainty::Unknown { None } else { total.amount().ok().map(|amount| amount.to_string()) }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn not_serialized(table: &'static str) -> impl Fn(serde_json::Error) -> Stop {
    move |error| Stop::Quarantine(format!("a row of {table} cannot be written: {error}"))
}

fn trip_row(account: &str, trip: &RoundTrip, detail_json: String) -> TripRow {
    TripRow {
        account_id: account.to_owned(),
        symbol: trip.symbol.as_str().to_owned(),
        trip_no: number(trip.number),
        position_side: trip.position_side.as_str().to_owned(),
        direction: trip.direction.as_str().to_owned(),
        opened_ts: trip.opened_at.map(TimestampMs::as_ms),
        closed_ts: trip.closed_at.map(TimestampMs::as_ms),
        qty_max: trip.qty_max.to_string(),
        avg_entry: trip.entry_price_avg.map(|price| price.to_string()),
        avg_exit: trip.exit_price_avg.map(|price| price.to_string()),
        gross: amount_column(&trip.gross),
        settle_asset: trip.settle_asset.as_str().to_owned(),
        engine: trip.engine.as_ref().map(|engine| engine.as_str().to_owned()),
        exit_reason: trip.exit_reason.as_str().to_owned(),
        certainty: trip.certainty.as_str().to_owned(),
        detail_json,
    }
}

pub(super) fn write_trips(conn: &mut SqliteConnection, account: &AccountId, trips: &[RoundTrip]) -> Result<(), Stop> {
    let rows = trips
        .iter()
        .map(|trip| {
            let detail_json = serde_json::to_string(trip).map_err(not_serialized("round_trips"))?;
            Ok(trip_row(account.as_str(), trip, detail_json))
        })
        .collect::<Result<Vec<_>, Stop>>()?;
    for chunk in rows.chunks(ROWS_MAX) {
        // As for facts: full statements are prepared once.
        if let Ok(full) = <&[TripRow; ROWS_MAX]>::try_from(chunk) {
            diesel::insert_into(round_trips::table).values(full).execute(conn).map_err(failed("write round trips"))?;
            continue;
        }
        diesel::insert_into(round_trips::table).values(chunk).execute(conn).map_err(failed("write round trips"))?;
    }
    Ok(())
}

pub(super) fn write_mismatches(conn: &mut SqliteConnection, rows: &[MismatchRow]) -> StoreResult<()> {
    for chunk in rows.chunks(ROWS_MAX) {
        diesel::insert_into(pnl_mismatches::table).values(chunk).execute(conn).map_err(failed("write mismatches"))?;
    }
    Ok(())
}

/// Drops what was derived from events after a checkpoint with `trips` round trips and `fills` fills.
pub(super) fn drop_after(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    trips: u64,
    fills: u64,
) -> StoreResult<()> {
    let (account, symbol) = (account.as_str(), symbol.as_str());
    diesel::delete(
        round_trips::table
            .filter(round_trips::account_id.eq(account))
            .filter(round_trips::symbol.eq(symbol))
            .filter(round_trips::trip_no.gt(number(trips))),
    )
    .execute(conn)
    .map_err(failed("drop round trips"))?;
    diesel::delete(
        ledger_fees::table
            .filter(ledger_fees::account_id.eq(account))
            .filter(ledger_fees::symbol.eq(symbol))
            .filter(ledger_fees::fill_no.gt(number(fills))),
    )
    .execute(conn)
    .map_err(failed("drop ledger fees"))?;
    diesel::delete(
        pnl_mismatches::table
            .filter(pnl_mismatches::account_id.eq(account))
            .filter(pnl_mismatches::symbol.eq(symbol))
            .filter(pnl_mismatches::fill_no.gt(number(fills))),
    )
    .execute(conn)
    .map_err(failed("drop mismatches"))?;
    diesel::delete(positions::table.filter(positions::account_id.eq(account)).filter(positions::symbol.eq(symbol)))
        .execute(conn)
        .map_err(failed("drop positions"))?;
    diesel::delete(symbol_books::table.find((account, symbol)))
        .execute(conn)
        .map_err(failed("drop a symbol's book"))?;
    Ok(())
}

/// Drops everything derived of a symbol.
pub(super) fn drop_symbol(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<()> {
    drop_after(conn, account, symbol, 0, 0)?;
    diesel::delete(
        fold_checkpoints::table
            .filter(fold_checkpoints::account_id.eq(account.as_str()))
            .filter(fold_checkpoints::symbol.eq(symbol.as_str())),
    )
    .execute(conn)
    .map_err(failed("drop checkpoints"))?;
    Ok(())
}

pub(super) fn set_quarantine(
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

pub(super) fn quarantine_reason(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
) -> StoreResult<Option<String>> {
    quarantine::table
        .find((account.as_str(), symbol.as_str()))
        .select(quarantine::reason)
        .first(conn)
        .optional()
        .map_err(failed("read quarantined symbols"))
}

pub(super) fn quarantined(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<Vec<Quarantine>> {
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
            (Some(mark), Some(open)) => Some(open.unrealized(state.contract(), mark.mark_price)?.to_decimal()?),
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
            mark_price: mark.as_ref().map(|mark| mark.mark_price.to_string()),
            mark_ts: mark.as_ref().map(|mark| mark.at.as_ms()),
            exchange_qty: exchange.as_ref().map(|exchange| exchange.qty.to_string()),
            exchange_entry: exchange.as_ref().and_then(|exchange| exchange.entry_price).map(|price| price.to_string()),
            exchange_ts: exchange.as_ref().map(|exchange| exchange.at.as_ms()),
            reconcile_status: status.map(|status| status.as_str().to_owned()),
            source: "fold".to_owned(),
            detail_json: serde_json::to_string(&position).map_err(not_serialized("positions"))?,
        });
    }
    diesel::insert_into(positions::table).values(&rows).execute(conn).map_err(failed("write positions"))?;
    let unallocated = serde_json::to_string(&state.unallocated_funding()?).map_err(not_serialized("symbol_books"))?;
    diesel::insert_into(symbol_books::table)
        .values((
            symbol_books::account_id.eq(account.as_str()),
            symbol_books::symbol.eq(symbol.as_str()),
            symbol_books::settle_asset.eq(instrument.settle_asset.as_str()),
            symbol_books::fill_count.eq(number(fill_count)),
            symbol_books::unplaced_count.eq(number(fills_seen.saturating_sub(fill_count))),
            symbol_books::closed_count.eq(number(state.closed_count())),
            symbol_books::unallocated_funding_json.eq(unallocated),
            symbol_books::is_conserved.eq(state.is_conserved()?),
            symbol_books::fold_version.eq(i64::from(FOLD_VERSION)),
        ))
        .execute(conn)
        .map_err(failed("write a symbol's book"))?;
    Ok(())
}

pub(super) fn decode_trip(row: &TripRow) -> StoreResult<RoundTrip> {
    let reader =
        RowReader { table: "round_trips", key: || format!("{}/{}/{}", row.account_id, row.symbol, row.trip_no) };
    let trip: RoundTrip = reader.json("detail_json", &row.detail_json)?;
    // Whoever queries by hand sees the columns: they must say what the record says.
    if trip_row(&row.account_id, &trip, row.detail_json.clone()) != *row {
        return Err(reader.corrupt("detail_json", "the other columns say otherwise"));
    }
    Ok(trip)
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
        (Some(mark_price), Some(ms)) => {
            Some(PriceSnapshot { symbol: symbol.clone(), at: reader.instant("mark_ts", ms)?, mark_price })
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
