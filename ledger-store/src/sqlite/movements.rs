//! The single amounts behind what is derived, by folding again.
//!
//! Nothing of them is stored: whoever asks is answered from the facts, from the last checkpoint before the time that is
//! asked for. A page ends where a checkpoint is, so that the next one goes on from there.

use diesel::prelude::*;
use ledger_core::{AccountId, FoldEvent, Movement, Symbol, SymbolFold, TimestampMs};

use super::as_folded::Completion;
use super::fold_settings::FoldSettings;
use super::refold::{Stop, instrument};
use super::replay::{Placed, Replay, Visitor};
use super::{checkpoint, kickback, mark};
use crate::page::{Cursor, Page};
use crate::store::StoreResult;

/// Collects what follows from the fills behind the first `skipped`.
struct Collector {
    skipped: u64,
    movements: Vec<Movement>,
    /// What follows from an event that was answered before.
    discarded: Vec<Movement>,
    is_due: bool,
}

impl Collector {
    fn apply(&mut self, state: &mut SymbolFold, event: FoldEvent<'_>) -> Result<(), Stop> {
        let movements = if self.is_due { &mut self.movements } else { &mut self.discarded };
        state.apply_with_movements(event, movements)?;
        self.discarded.clear();
        Ok(())
    }
}

impl Visitor for Collector {
    fn fill(&mut self, _: &mut SqliteConnection, state: &mut SymbolFold, placed: &Placed<'_>) -> Result<(), Stop> {
        if placed.fill.position_side.is_some() {
            self.apply(state, FoldEvent::Fill { fill: placed.fill, order: placed.context })?;
            if !placed.kickbacks.is_empty() {
                self.apply(state, FoldEvent::Kickback { fill: placed.fill, rows: placed.kickbacks })?;
            }
        } else {
            state.doubt();
        }
        self.is_due = placed.number >= self.skipped;
        Ok(())
    }

    fn timed(&mut self, state: &mut SymbolFold, event: FoldEvent<'_>) -> Result<(), Stop> {
        self.apply(state, event)
    }

    fn at_checkpoint(&mut self, _: &mut SqliteConnection, replay: &Replay<'_>) -> Result<bool, Stop> {
        Ok(replay.fills_seen <= self.skipped)
    }
}

/// See [`DerivedReader::movements`](crate::DerivedReader::movements).
pub(super) fn page(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    since: Option<TimestampMs>,
    after: Option<&Cursor>,
    settings: &FoldSettings,
) -> StoreResult<Page<Movement>> {
    let skipped = match after {
        Some(cursor) => u64::try_from(cursor.id()?).unwrap_or_default(),
        None => 0,
    };
    let mut page = Page { items: Vec::new(), unreadable: Vec::new(), next: None };
    match fold(conn, account, symbol, since, skipped, settings) {
        Ok((movements, next)) => {
            page.items = movements;
            page.next = next.map(|fills| Cursor::new(vec![fills.to_string()]));
            Ok(page)
        }
        // As for everything else that is derived of it: the quarantine says why there is nothing.
        Err(Stop::Quarantine(_)) => Ok(page),
        Err(Stop::Store(error)) => Err(error),
    }
}

/// The amounts, and behind how many fills to go on.
fn fold(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    since: Option<TimestampMs>,
    skipped: u64,
    settings: &FoldSettings,
) -> Result<(Vec<Movement>, Option<u64>), Stop> {
    let rules = settings.rules_of(conn, account)?;
    let Some(instrument) = instrument(conn, account, symbol, &rules)? else { return Ok((Vec::new(), None)) };
    let mut valid = mark::read(conn, account, symbol)?.unwrap_or_default();
    let start = if skipped > 0 {
        checkpoint::latest_valid(conn, account, symbol, &valid, Some(skipped))?
    } else if let Some(since) = since {
        // What comes back of a fee is dated later than its fill.
        let first =
            kickback::first_fill(conn, account, symbol, &rules, since)?.and_then(|ms| TimestampMs::new(ms).ok());
        valid.instant(first.map_or(since, |first| first.min(since)));
        checkpoint::latest_valid(conn, account, symbol, &valid, None)?
    } else {
        None
    };
    let completion = Completion::open(conn, account, symbol)?;
    let mut replay = Replay::open(conn, &completion, &rules, &instrument, start, settings.checkpoint_every)?;
    let is_due = replay.fills_seen >= skipped;
    let mut collector = Collector { skipped, movements: Vec::new(), discarded: Vec::new(), is_due };
    let next = if replay.fills(conn, &mut collector)? {
        replay.rest(conn, &mut collector)?;
        None
    } else {
        Some(replay.fills_seen)
    };
    let mut movements = collector.movements;
    if let Some(since) = since {
        movements.retain(|movement| movement.at >= since);
    }
    Ok((movements, next))
}
