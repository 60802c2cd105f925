//! Recomputing what is derived from a symbol's facts, from the last checkpoint that still holds.
//!
//! Fills are read in pages, in fold order; everything derived is written as it appears, so memory does not grow with
//! the history.

use std::error::Error as _;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{
    AccountId, Fill, FoldError, FoldEvent, FoldKey, Instrument, MathError, OrderClass, OrderContext, RoundTrip, Symbol,
    SymbolFold,
};

use super::checkpoint::{self, Checkpoint};
use super::codec::RowReader;
use super::derived::{self, MismatchRow};
use super::fact_table::{FactTable, QueryResult};
use super::failure::failed;
use super::fill::FillRow;
use super::instrument::InstrumentRow;
use super::mark;
use super::schema::{fills, instruments, orders};
use super::timeline::{TimedEvent, Timeline};
use crate::error::StoreError;
use crate::outcome::RefoldReport;
use crate::repository::StoreResult;

const PAGE_ROWS: i64 = 4_096;
const FLUSH_ROWS: usize = 500;

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
        report.quarantined = derived::quarantine_reason(conn, account, symbol)?;
        return Ok(report);
    };
    match fold(conn, account, symbol, &mark, checkpoint_every) {
        Ok(fills) => {
            report.fills = fills;
            derived::set_quarantine(conn, account, symbol, None)?;
        }
        Err(Stop::Quarantine(reason)) => {
            derived::drop_symbol(conn, account, symbol)?;
            derived::set_quarantine(conn, account, symbol, Some(&reason))?;
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
    fills_seen: u64,
    ts_max: i64,
    trips: Vec<RoundTrip>,
    mismatches: Vec<MismatchRow>,
}

fn fold(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    mark: &super::effects::Mark,
    checkpoint_every: u64,
) -> Result<u64, Stop> {
    let Some(instrument) = instrument(conn, account, symbol)? else { return Ok(0) };
    let start = checkpoint::latest_valid(conn, account, symbol, mark)?;
    let mut timeline = Timeline::open(conn, account, symbol, start.as_ref().map(|checkpoint| checkpoint.ts_max))?;
    let mut after = start.as_ref().map(|checkpoint| checkpoint.fold_key.clone());
    let mut driver = match start {
        Some(Checkpoint { fills_seen, ts_max, state, .. }) => {
            Driver { account, symbol, state, fills_seen, ts_max, trips: Vec::new(), mismatches: Vec::new() }
        }
        None => Driver {
            account,
            symbol,
            state: SymbolFold::new(&instrument),
            fills_seen: 0,
            ts_max: i64::MIN,
            trips: Vec::new(),
            mismatches: Vec::new(),
        },
    };
    let fills_before = driver.fills_seen;
    derived::drop_after(conn, account, symbol, driver.state.closed_count(), fills_before)?;
    checkpoint::drop_after(conn, account, symbol, fills_before)?;
    loop {
        let page = page_of_fills(conn, account, symbol, after.as_ref(), PAGE_ROWS).map_err(failed("read fills"))?;
        let Some((last, _)) = page.last() else { break };
        after = Some(Fill::decode(last)?.fact.fold_key());
        for (row, context) in &page {
            driver.fill(conn, &mut timeline, row, context.as_ref())?;
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
    derived::write_trips(conn, account, &open)?;
    derived::write_symbol(conn, account, &instrument, &driver.state, driver.fills_seen)?;
    Ok(driver.fills_seen - fills_before)
}

impl Driver<'_> {
    fn fill(
        &mut self,
        conn: &mut SqliteConnection,
        timeline: &mut Timeline<'_>,
        row: &FillRow,
        context: Option<&ContextRow>,
    ) -> Result<(), Stop> {
        while let Some(event) = timeline.next_before(conn, Some(row.ts))? {
            self.timed(&event)?;
        }
        let fill = Fill::decode(row)?.fact;
        let context = context.map(ContextRow::decode).transpose()?;
        let step = self.state.apply(FoldEvent::Fill { fill: &fill, order: context.as_ref() })?;
        self.fills_seen += 1;
        self.ts_max = self.ts_max.max(row.ts);
        self.trips.extend(step.closed.map(|trip| *trip));
        if step.pnl_mismatch {
            let derived_pnl = step.realized.map(ledger_core::Value::to_decimal).transpose()?;
            self.mismatches.push(MismatchRow {
                account_id: self.account.as_str().to_owned(),
                symbol: self.symbol.as_str().to_owned(),
                fill_no: i64::try_from(self.fills_seen).unwrap_or(i64::MAX),
                fill_id: row.fill_id.clone(),
                side: row.side.clone(),
                ts: row.ts,
                derived_pnl: derived_pnl.map(|pnl| pnl.to_string()),
                exchange_pnl: row.exchange_realized_pnl.clone(),
            });
        }
        if self.trips.len() >= FLUSH_ROWS || self.mismatches.len() >= FLUSH_ROWS {
            self.flush(conn)?;
        }
        Ok(())
    }

    fn timed(&mut self, event: &TimedEvent) -> Result<(), Stop> {
        let step = match event {
            TimedEvent::Anchor(anchor) => self.state.apply(FoldEvent::Anchor(anchor))?,
            TimedEvent::Residual(residual, context) => {
                self.state.apply(FoldEvent::Residual { residual, order: Some(context) })?
            }
            TimedEvent::Funding(rows) => self.state.apply(FoldEvent::Funding(rows))?,
        };
        self.trips.extend(step.closed.map(|trip| *trip));
        Ok(())
    }

    fn flush(&mut self, conn: &mut SqliteConnection) -> Result<(), Stop> {
        derived::write_trips(conn, self.account, &self.trips)?;
        derived::write_mismatches(conn, &self.mismatches)?;
        self.trips.clear();
        self.mismatches.clear();
        Ok(())
    }

    fn checkpoint(&self, conn: &mut SqliteConnection, is_head: bool) -> StoreResult<()> {
        let Some(fold_key) = self.state.last_fill().cloned() else {
            return Ok(());
        };
        let checkpoint =
            Checkpoint { fills_seen: self.fills_seen, ts_max: self.ts_max, fold_key, state: self.state.clone() };
        checkpoint::write(conn, self.account, self.symbol, &checkpoint, is_head)
    }
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub(super) struct ContextRow {
    order_id: String,
    engine: Option<String>,
    exit_reason: Option<String>,
    client_order_id: Option<String>,
    order_type: Option<String>,
}

impl ContextRow {
    fn decode(&self) -> StoreResult<OrderContext> {
        let reader = RowReader { table: "orders", key: || self.order_id.clone() };
        Ok(OrderContext {
            engine: reader.optional("engine", self.engine.as_deref())?,
            exit_reason: reader.optional("exit_reason", self.exit_reason.as_deref())?,
            client_order_id: reader.optional("client_order_id", self.client_order_id.as_deref())?,
            order_type: reader.optional("order_type", self.order_type.as_deref())?,
        })
    }
}

/// The next fills in fold order, with what their orders tell. Fills without a sequence come first: a row comparison
/// with NULL is never true, so the two kinds are read one after the other.
pub(super) fn page_of_fills(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    after: Option<&FoldKey>,
    limit: i64,
) -> QueryResult<Vec<(FillRow, Option<ContextRow>)>> {
    if after.is_none_or(|key| key.sequence.is_none()) {
        let page = phase(conn, account, symbol, after, false, limit)?;
        if !page.is_empty() {
            return Ok(page);
        }
        return phase(conn, account, symbol, None, true, limit);
    }
    phase(conn, account, symbol, after, true, limit)
}

fn phase(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    after: Option<&FoldKey>,
    sequenced: bool,
    limit: i64,
) -> QueryResult<Vec<(FillRow, Option<ContextRow>)>> {
    let mut query = fills::table
        .left_join(
            orders::table.on(orders::account_id
                .eq(fills::account_id)
                .and(orders::symbol.eq(fills::symbol))
                .and(orders::order_class.eq(OrderClass::Regular.as_str()))
                .and(orders::order_id.nullable().eq(fills::order_id))),
        )
        .filter(fills::account_id.eq(account.as_str()))
        .filter(fills::symbol.eq(symbol.as_str()))
        .filter(fills::position_side.is_not_null())
        .order((fills::sequence, fills::ts, fills::fill_id, fills::side))
        .limit(limit)
        .select((FillRow::as_select(), Option::<ContextRow>::as_select()))
        .into_boxed();
    query =
        if sequenced { query.filter(fills::sequence.is_not_null()) } else { query.filter(fills::sequence.is_null()) };
    if let Some(after) = after {
        let (at_ms, fill_id, side) = (after.at_ms, after.fill_id.as_str(), after.side.as_str());
        query = match after.sequence {
            Some(sequence) => query.filter(
                sql::<Bool>("(fills.sequence, fills.ts, fills.fill_id, fills.side) > (")
                    .bind::<BigInt, _>(sequence)
                    .sql(", ")
                    .bind::<BigInt, _>(at_ms)
                    .sql(", ")
                    .bind::<Text, _>(fill_id)
                    .sql(", ")
                    .bind::<Text, _>(side)
                    .sql(")"),
            ),
            None => query.filter(
                sql::<Bool>("(fills.ts, fills.fill_id, fills.side) > (")
                    .bind::<BigInt, _>(at_ms)
                    .sql(", ")
                    .bind::<Text, _>(fill_id)
                    .sql(", ")
                    .bind::<Text, _>(side)
                    .sql(")"),
            ),
        };
    }
    query.load(conn)
}
