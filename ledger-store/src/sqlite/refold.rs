//! Recomputing what is derived from a symbol's facts, from the last checkpoint that still holds.
//!
//! Fills are read in pages, in fold order; everything derived is written as it appears, so memory does not grow with
//! the history.

use std::error::Error as _;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use ledger_core::{
    AccountId, Fee, Fill, FoldError, FoldEvent, FoldKey, Instrument, MathError, OrderContext, RoundTrip, Symbol,
    SymbolFold,
};

use super::as_folded::{Completed, Completion};
use super::checkpoint::{self, Checkpoint};
use super::derived::{self, MismatchRow};
use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use super::fold_order::fold_page;
use super::instrument::InstrumentRow;
use super::ledger_fee::{self, LedgerFeeRow};
use super::schema::instruments;
use super::timeline::{TimedEvent, Timeline};
use super::{mark, opener, order_sums, position, quarantine, round_trip};
use crate::error::StoreError;
use crate::outcome::RefoldReport;
use crate::repository::StoreResult;

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
    checkpoint_every: u64,
) -> StoreResult<RefoldReport> {
    let mut report = RefoldReport { account: account.clone(), symbol: symbol.clone(), fills: 0, quarantined: None };
    let Some(mark) = mark::read(conn, account, symbol)? else {
        report.quarantined = quarantine::reason(conn, account, symbol)?;
        return Ok(report);
    };
    match fold(conn, account, symbol, &mark, checkpoint_every) {
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
fn instrument(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> Result<Option<Instrument>, Stop> {
    let row: Option<InstrumentRow> = instruments::table
        .find((account.as_str(), symbol.as_str()))
        .select(InstrumentRow::as_select())
        .first(conn)
        .optional()
        .map_err(failed("read the contract"))?;
    if let Some(row) = row {
        return Ok(Some(Instrument::decode(&row)?.fact));
    }
    let has_money: bool = diesel::select(
        sql::<Bool>("EXISTS (SELECT 1 FROM fills WHERE account_id = ")
            .bind::<Text, _>(account.as_str())
            .sql(" AND symbol = ")
            .bind::<Text, _>(symbol.as_str())
            .sql(") OR EXISTS (SELECT 1 FROM income WHERE income_type = 'FUNDING_FEE' AND account_id = ")
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
    if has_money {
        let reason = format!("the book does not know the contract {symbol}, so its money cannot be computed");
        return Err(Stop::Quarantine(reason));
    }
    Ok(None)
}

struct Driver<'a> {
    account: &'a AccountId,
    symbol: &'a Symbol,
    state: SymbolFold,
    /// Those that nothing places included.
    fills_seen: u64,
    ts_max: i64,
    last: Option<FoldKey>,
    trips: Vec<RoundTrip>,
    mismatches: Vec<MismatchRow>,
    ledger_fees: Vec<LedgerFeeRow>,
}

fn fold(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    mark: &super::effects::Mark,
    checkpoint_every: u64,
) -> Result<u64, Stop> {
    if mark.is_whole {
        // The residuals are part of what is folded, and derived themselves.
        order_sums::recompute(conn, account, symbol)?;
    }
    let Some(instrument) = instrument(conn, account, symbol)? else { return Ok(0) };
    let start = checkpoint::latest_valid(conn, account, symbol, mark)?;
    let completion = Completion::open(conn, account, symbol)?;
    let mut timeline =
        Timeline::open(conn, &completion, instrument.kind, start.as_ref().map(|checkpoint| checkpoint.ts_max))?;
    let (fills_seen, ts_max, last, state) = match start {
        Some(Checkpoint { fills_seen, ts_max, fold_key, state }) => (fills_seen, ts_max, Some(fold_key), state),
        None => (0, i64::MIN, None, SymbolFold::new(&instrument)),
    };
    let mut driver = Driver {
        account,
        symbol,
        state,
        fills_seen,
        ts_max,
        last,
        trips: Vec::new(),
        mismatches: Vec::new(),
        ledger_fees: Vec::new(),
    };
    let fills_before = driver.fills_seen;
    let trips_before = driver.state.closed_count();
    derived::drop_after(conn, account, symbol, trips_before, fills_before)?;
    checkpoint::drop_after(conn, account, symbol, fills_before)?;
    loop {
        let mut page = fold_page(conn, account, symbol, driver.last.as_ref())?;
        if page.is_empty() {
            break;
        }
        let Completed { infos, stated_fees } = completion.complete(conn, &mut page)?;
        for (index, fill) in page.iter().enumerate() {
            let context = fill.order_id.as_ref().and_then(|id| infos.get(id)).map(|info| &info.context);
            driver.fill(conn, &mut timeline, fill, context)?;
            if let Some(stated) = stated_fees.get(&index) {
                driver.note_ledger_fee(fill, stated.as_ref());
            }
            if driver.fills_seen.is_multiple_of(checkpoint_every.max(1)) {
                driver.checkpoint(conn, false)?;
            }
        }
    }
    if driver.fills_seen > fills_before && !driver.fills_seen.is_multiple_of(checkpoint_every.max(1)) {
        driver.checkpoint(conn, true)?;
    }
    while let Some(event) = timeline.next_before(conn, None)? {
        driver.timed(&event)?;
    }
    driver.flush(conn)?;
    let open = driver.state.open_trips()?;
    round_trip::write(conn, account, &open)?;
    opener::update_after(conn, account, symbol, derived::number(trips_before))?;
    position::write_symbol(conn, account, &instrument, &driver.state, driver.fills_seen)?;
    Ok(driver.fills_seen - fills_before)
}

impl Driver<'_> {
    fn fill(
        &mut self,
        conn: &mut SqliteConnection,
        timeline: &mut Timeline<'_>,
        fill: &Fill,
        context: Option<&OrderContext>,
    ) -> Result<(), Stop> {
        let ms = fill.time.at.as_ms();
        while let Some(event) = timeline.next_before(conn, Some(ms))? {
            self.timed(&event)?;
        }
        let key = fill.fold_key();
        if self.last.as_ref().is_some_and(|last| last.sequence.is_some() != key.sequence.is_some()) {
            // Of a fill that is passed over, too, it must be told what came before it.
            return Err(FoldError::MixedSequences { fill_id: key.fill_id }.into());
        }
        self.last = Some(key);
        self.fills_seen += 1;
        self.ts_max = self.ts_max.max(ms);
        if fill.position_side.is_some() {
            self.placed(fill, context)?;
        } else {
            self.state.doubt();
        }
        let rows_max = self.trips.len().max(self.mismatches.len()).max(self.ledger_fees.len());
        if rows_max >= ROWS_MAX {
            self.flush(conn)?;
        }
        Ok(())
    }

    /// Folds a fill of which it is known which position it changed.
    fn placed(&mut self, fill: &Fill, context: Option<&OrderContext>) -> Result<(), Stop> {
        let step = self.state.apply(FoldEvent::Fill { fill, order: context })?;
        if let Some(closed) = step.closed() {
            self.trips.push(closed.record()?);
        }
        if step.pnl_mismatch() {
            let derived_pnl = step.realized().map(ledger_core::Value::to_decimal).transpose()?;
            self.mismatches.push(MismatchRow {
                account_id: self.account.as_str().to_owned(),
                symbol: self.symbol.as_str().to_owned(),
                fill_no: i64::try_from(self.fills_seen).unwrap_or(i64::MAX),
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
    fn note_ledger_fee(&mut self, fill: &Fill, stated: Option<&Fee>) {
        let Some(fee) = &fill.fee else { return };
        self.ledger_fees.push(LedgerFeeRow {
            account_id: self.account.as_str().to_owned(),
            symbol: self.symbol.as_str().to_owned(),
            fill_no: i64::try_from(self.fills_seen).unwrap_or(i64::MAX),
            fill_id: fill.key.fill_id.as_str().to_owned(),
            side: fill.key.side.as_str().to_owned(),
            stated_fee: stated.map(|fee| fee.amount.to_string()),
            stated_fee_asset: stated.map(|fee| fee.asset.as_str().to_owned()),
            fee: fee.amount.to_string(),
            fee_asset: fee.asset.as_str().to_owned(),
        });
    }

    fn timed(&mut self, event: &TimedEvent) -> Result<(), Stop> {
        let step = match event {
            TimedEvent::Anchor(anchor) => self.state.apply(FoldEvent::Anchor(anchor))?,
            TimedEvent::Residual(residual, context) => {
                self.state.apply(FoldEvent::Residual { residual, order: Some(context) })?
            }
            TimedEvent::Funding(rows) => self.state.apply(FoldEvent::Funding(rows))?,
        };
        if let Some(closed) = step.closed() {
            self.trips.push(closed.record()?);
        }
        Ok(())
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

    fn checkpoint(&self, conn: &mut SqliteConnection, is_head: bool) -> StoreResult<()> {
        let Some(fold_key) = self.last.clone() else {
            return Ok(());
        };
        let checkpoint =
            Checkpoint { fills_seen: self.fills_seen, ts_max: self.ts_max, fold_key, state: self.state.clone() };
        checkpoint::write(conn, self.account, self.symbol, &checkpoint, is_head)
    }
}
