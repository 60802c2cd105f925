//! What was held around instants, by folding again: nothing of it is stored.

use diesel::prelude::*;
use ledger_core::demands::{AROUND_MS, HeldAround, HeldTracker};
use ledger_core::{AccountId, FoldEvent, PositionSide, PositionSnapshot, Symbol, SymbolFold, TimestampMs};

use super::as_folded::Completion;
use super::fact_table::FactTable;
use super::failure::failed;
use super::fold_settings::FoldSettings;
use super::refold::{Stop, instrument};
use super::replay::{Placed, Replay, Visitor};
use super::schema::position_snapshots;
use super::snapshot::PositionSnapshotRow;
use super::{checkpoint, mark};
use crate::store::StoreResult;

struct Watcher {
    tracker: HeldTracker,
}

impl Visitor for Watcher {
    fn fill(&mut self, _: &mut SqliteConnection, state: &mut SymbolFold, placed: &Placed<'_>) -> Result<(), Stop> {
        let at = placed.fill.time.at;
        self.tracker.before(state, at)?;
        let is_doubtful = if placed.fill.position_side.is_some() {
            state.apply(FoldEvent::Fill { fill: placed.fill, order: placed.context })?.pnl_mismatch()
        } else {
            state.doubt();
            true
        };
        self.tracker.after(state, at, is_doubtful)?;
        Ok(())
    }

    fn timed(&mut self, state: &mut SymbolFold, event: FoldEvent<'_>) -> Result<(), Stop> {
        // Entries of the ledger change no position; but for settlements, which are told of before.
        let (at, is_doubtful) = match event {
            FoldEvent::Anchor(anchor) => {
                self.tracker.before(state, anchor.at)?;
                self.tracker.restated();
                (anchor.at, false)
            }
            FoldEvent::Residual { residual, .. } => {
                self.tracker.before(state, residual.at)?;
                (residual.at, true)
            }
            FoldEvent::Settlement(rows) => {
                for row in rows {
                    self.tracker.before(state, row.time.at.saturating_add_ms(-AROUND_MS))?;
                    self.tracker.settlement(row.time.at);
                }
                state.apply(event)?;
                return Ok(());
            }
            _ => {
                state.apply(event)?;
                return Ok(());
            }
        };
        state.apply(event)?;
        self.tracker.after(state, at, is_doubtful)?;
        Ok(())
    }

    fn at_checkpoint(&mut self, _: &mut SqliteConnection, _: &Replay<'_>) -> Result<bool, Stop> {
        Ok(!self.tracker.is_done())
    }
}

/// See [`DerivedReader::held_around`](crate::DerivedReader::held_around).
pub(super) fn around(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    instants: Vec<TimestampMs>,
    settings: &FoldSettings,
) -> StoreResult<Vec<HeldAround>> {
    match watch(conn, account, symbol, instants, settings) {
        Ok(held) => Ok(held),
        // As for everything else that is derived of it: the quarantine says why there is nothing.
        Err(Stop::Quarantine(_)) => Ok(Vec::new()),
        Err(Stop::Store(error)) => Err(error),
    }
}

fn watch(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    instants: Vec<TimestampMs>,
    settings: &FoldSettings,
) -> Result<Vec<HeldAround>, Stop> {
    let Some(first) = instants.iter().min().copied() else { return Ok(Vec::new()) };
    let rules = settings.rules_of(conn, account)?;
    let Some(instrument) = instrument(conn, account, symbol, &rules)? else { return Ok(Vec::new()) };
    let first = first.saturating_add_ms(-AROUND_MS);
    let statements = stated_since(conn, account, symbol, first)?;
    let mut valid = mark::read(conn, account, symbol)?.unwrap_or_default();
    valid.instant(statements.first().map_or(first, |stated| first.min(stated.at)));
    let start = checkpoint::latest_valid(conn, account, symbol, &valid, None)?;
    let completion = Completion::open(conn, account, symbol)?;
    let mut replay = Replay::open(conn, &completion, &rules, &instrument, start, settings.checkpoint_every)?;
    let mut watcher = Watcher { tracker: HeldTracker::new(instants, statements) };
    if replay.fills(conn, &mut watcher)? {
        replay.rest(conn, &mut watcher)?;
    }
    Ok(watcher.tracker.finish(&replay.state)?)
}

/// What the exchange says of a contract's positions from `first` on, and what it said last before, of each; by time.
fn stated_since(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    first: TimestampMs,
) -> StoreResult<Vec<PositionSnapshot>> {
    let mut rows: Vec<PositionSnapshotRow> = Vec::new();
    for side in PositionSide::ALL {
        let of_side = || {
            position_snapshots::table
                .filter(position_snapshots::account_id.eq(account.as_str()))
                .filter(position_snapshots::symbol.eq(symbol.as_str()))
                .filter(position_snapshots::position_side.eq(side.as_str()))
                .select(PositionSnapshotRow::as_select())
        };
        let before = of_side()
            .filter(position_snapshots::ts.lt(first.as_ms()))
            .order(position_snapshots::ts.desc())
            .first(conn)
            .optional();
        rows.extend(before.map_err(failed("read position snapshots"))?);
        let since = of_side().filter(position_snapshots::ts.ge(first.as_ms())).load(conn);
        rows.extend(since.map_err(failed("read position snapshots"))?);
    }
    // A damaged row hides itself only, and is named where rows are read.
    let mut statements: Vec<_> = rows.iter().filter_map(|row| Some(PositionSnapshot::decode(row).ok()?.fact)).collect();
    statements.sort_by_key(|stated| stated.at);
    Ok(statements)
}
