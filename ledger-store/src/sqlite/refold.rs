//! Recomputing what is derived from a symbol's facts, from the last checkpoint that still holds.
//!
//! Everything derived is written as it appears, so memory does not grow with the history.

use std::error::Error as _;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use ledger_core::{
    AccountId, Fee, FoldError, FoldEvent, Instrument, LedgerRules, MathError, RoundTrip, Symbol, SymbolFold,
};

use super::as_folded::Completion;
use super::derived::{self, MismatchRow};
use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use super::fold_settings::{FoldSettings, folded_types};
use super::instrument::InstrumentRow;
use super::ledger_fee::{self, LedgerFeeRow};
use super::replay::{Placed, Replay, Visitor};
use super::schema::{income, instruments};
use super::{checkpoint, mark, opener, order_sums, position, profit_asset, quarantine, round_trip};
use crate::error::StoreError;
use crate::outcome::RefoldReport;
use crate::store::StoreResult;

/// Why a fold stopped: the store failed, or the symbol's own facts cannot be folded.
pub(super) enum Stop {
    Store(StoreError),
    Quarantine(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            // One damaged row must not take the other symbols down.
            StoreError::CorruptRow { .. } => Self::Quarantine(error.to_string()),
            other => Self::Store(other),
        }
    }
}

impl From<FoldError> for Stop {
    fn from(error: FoldError) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::Quarantine(reason)
    }
}

impl From<MathError> for Stop {
    fn from(error: MathError) -> Self {
        Self::Quarantine(error.to_string())
    }
}

/// Brings the derived rows of a symbol up to date. A symbol that cannot be folded is quarantined; only failures of
/// the store itself are errors.
pub(super) fn refold(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    settings: &FoldSettings,
) -> StoreResult<RefoldReport> {
    let mut report = RefoldReport { account: account.clone(), symbol: symbol.clone(), fills: 0, quarantined: None };
    let Some(mark) = mark::read(conn, account, symbol)? else {
        report.quarantined = quarantine::reason(conn, account, symbol)?;
        return Ok(report);
    };
    match fold(conn, account, symbol, &mark, settings) {
        Ok(fills) => {
            report.fills = fills;
            quarantine::set(conn, account, symbol, None)?;
        }
        Err(Stop::Quarantine(reason)) => {
            derived::drop_symbol(conn, account, symbol)?;
            quarantine::set(conn, account, symbol, Some(&reason))?;
            tracing::warn!(%account, %symbol, reason, "a symbol cannot be folded and is quarantined");
            report.quarantined = Some(reason);
        }
        Err(Stop::Store(error)) => return Err(error),
    }
    mark::clear(conn, account, symbol)?;
    Ok(report)
}

/// The contract; `None` where the book does not know it and has nothing that needs it either.
pub(super) fn instrument(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    rules: &LedgerRules,
) -> Result<Option<Instrument>, Stop> {
    let row: Option<InstrumentRow> = instruments::table
        .find((account.as_str(), symbol.as_str()))
        .select(InstrumentRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read the contract"))?;
    if let Some(row) = row {
        let mut instrument = Instrument::decode(&row)?.fact;
        if let Some(asset) = profit_asset::of(conn, account, symbol)? {
            instrument.settle_asset = asset;
        }
        return Ok(Some(instrument));
    }
    let has_money: bool = diesel::select(
        sql::<Bool>("EXISTS (SELECT 1 FROM fills WHERE account_id = ")
            .bind::<Text, _>(account.as_str())
            .sql(" AND symbol = ")
            .bind::<Text, _>(symbol.as_str())
            .sql(") OR EXISTS (SELECT 1 FROM orders WHERE residual_qty IS NOT NULL AND account_id = ")
            .bind::<Text, _>(account.as_str())
            .sql(" AND symbol = ")
            .bind::<Text, _>(symbol.as_str())
            .sql(")"),
    )
    .first(conn)
    .map_err(failed("read facts"))?;
    let of_ledger = income::table
        .filter(income::account_id.eq(account.as_str()))
        .filter(income::symbol.eq(symbol.as_str()))
        .filter(income::income_type.eq_any(folded_types(rules)));
    let is_in_ledger: bool =
        diesel::select(diesel::dsl::exists(of_ledger)).get_result(conn).map_err(failed("read income"))?;
    if has_money || is_in_ledger {
        let reason = format!("the book does not know the contract {symbol}, so its money cannot be computed");
        return Err(Stop::Quarantine(reason));
    }
    Ok(None)
}

/// Writes down what every event derives.
struct Recorder<'a> {
    account: &'a AccountId,
    symbol: &'a Symbol,
    trips: Vec<RoundTrip>,
    mismatches: Vec<MismatchRow>,
    ledger_fees: Vec<LedgerFeeRow>,
}

fn fold(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    mark: &super::effects::Mark,
    settings: &FoldSettings,
) -> Result<u64, Stop> {
    if mark.is_whole {
        // The residuals are part of what is folded, and derived themselves.
        order_sums::recompute(conn, account, symbol)?;
    }
    let rules = settings.rules_of(conn, account)?;
    let Some(instrument) = instrument(conn, account, symbol, &rules)? else { return Ok(0) };
    let start = checkpoint::latest_valid(conn, account, symbol, mark, None)?;
    let completion = Completion::open(conn, account, symbol)?;
    let mut replay = Replay::open(conn, &completion, &rules, &instrument, start, settings.checkpoint_every)?;
    let mut recorder = Recorder { account, symbol, trips: Vec::new(), mismatches: Vec::new(), ledger_fees: Vec::new() };
    let fills_before = replay.fills_seen;
    let trips_before = replay.state.closed_count();
    derived::drop_after(conn, account, symbol, trips_before, fills_before)?;
    checkpoint::drop_after(conn, account, symbol, fills_before)?;
    replay.fills(conn, &mut recorder)?;
    if replay.fills_seen > fills_before && !replay.is_at_checkpoint() {
        recorder.checkpoint(conn, &replay, true)?;
    }
    replay.rest(conn, &mut recorder)?;
    recorder.flush(conn)?;
    let open = replay.state.open_trips()?;
    round_trip::write(conn, account, &open)?;
    opener::update_after(conn, account, symbol, derived::number(trips_before))?;
    position::write_symbol(conn, account, &instrument, &replay.state, replay.fills_seen)?;
    Ok(replay.fills_seen - fills_before)
}

impl Visitor for Recorder<'_> {
    fn fill(&mut self, conn: &mut SqliteConnection, state: &mut SymbolFold, placed: &Placed<'_>) -> Result<(), Stop> {
        if placed.fill.position_side.is_some() {
            self.placed(state, placed)?;
        } else {
            state.doubt();
        }
        if let Some(stated) = placed.stated_fee {
            self.note_ledger_fee(placed, stated);
        }
        let rows_max = self.trips.len().max(self.mismatches.len()).max(self.ledger_fees.len());
        if rows_max >= ROWS_MAX {
            self.flush(conn)?;
        }
        Ok(())
    }

    fn timed(&mut self, state: &mut SymbolFold, event: FoldEvent<'_>) -> Result<(), Stop> {
        let step = state.apply(event)?;
        for closed in step.closed() {
            self.trips.push(closed.record()?);
        }
        Ok(())
    }

    fn at_checkpoint(&mut self, conn: &mut SqliteConnection, replay: &Replay<'_>) -> Result<bool, Stop> {
        self.checkpoint(conn, replay, false)?;
        Ok(true)
    }
}

impl Recorder<'_> {
    /// Folds a fill of which it is known which position it changed.
    fn placed(&mut self, state: &mut SymbolFold, placed: &Placed<'_>) -> Result<(), Stop> {
        let fill = placed.fill;
        let mut step = state.apply(FoldEvent::Fill { fill, order: placed.context })?;
        if !placed.kickbacks.is_empty() {
            step = state.apply(FoldEvent::Kickback { fill, rows: placed.kickbacks })?;
        }
        for closed in step.closed() {
            self.trips.push(closed.record()?);
        }
        if step.pnl_mismatch() {
            let derived_pnl = step.realized().map(ledger_core::Value::to_decimal).transpose()?;
            self.mismatches.push(MismatchRow {
                account_id: self.account.as_str().to_owned(),
                symbol: self.symbol.as_str().to_owned(),
                fill_no: derived::number(placed.number),
                fill_id: fill.key.fill_id.as_str().to_owned(),
                side: fill.key.side.as_str().to_owned(),
                ts: fill.time.at.as_ms(),
                derived_pnl: derived_pnl.map(|pnl| pnl.to_string()),
                exchange_pnl: fill.exchange_realized_pnl.map(|pnl| pnl.to_string()),
            });
        }
        Ok(())
    }

    /// Keeps what a fill states of its fee beside what the ledger says.
    fn note_ledger_fee(&mut self, placed: &Placed<'_>, stated: Option<&Fee>) {
        let fill = placed.fill;
        let Some(fee) = &fill.fee else { return };
        self.ledger_fees.push(LedgerFeeRow {
            account_id: self.account.as_str().to_owned(),
            symbol: self.symbol.as_str().to_owned(),
            fill_no: derived::number(placed.number),
            fill_id: fill.key.fill_id.as_str().to_owned(),
            side: fill.key.side.as_str().to_owned(),
            stated_fee: stated.map(|fee| fee.amount.to_string()),
            stated_fee_asset: stated.map(|fee| fee.asset.as_str().to_owned()),
            fee: fee.amount.to_string(),
            fee_asset: fee.asset.as_str().to_owned(),
        });
    }

    fn flush(&mut self, conn: &mut SqliteConnection) -> Result<(), Stop> {
        round_trip::write(conn, self.account, &self.trips)?;
        derived::write_mismatches(conn, &self.mismatches)?;
        ledger_fee::write(conn, &self.ledger_fees)?;
        self.ledger_fees.clear();
        self.trips.clear();
        self.mismatches.clear();
        Ok(())
    }

    fn checkpoint(&self, conn: &mut SqliteConnection, replay: &Replay<'_>, is_head: bool) -> StoreResult<()> {
        let Some(checkpoint) = replay.checkpoint() else { return Ok(()) };
        checkpoint::write(conn, self.account, self.symbol, &checkpoint, is_head)
    }
}
