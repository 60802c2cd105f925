//! Going through the events of a symbol as they are folded, from a checkpoint on.
//!
//! Fills are read in pages, in fold order, and so are the events between them, so memory does not grow with the history.

use std::collections::HashMap;

use diesel::prelude::*;
use ledger_core::{
    Fee, Fill, FoldError, FoldEvent, FoldKey, Income, Instrument, LedgerRules, OrderContext, SymbolFold,
};

use super::as_folded::{Completed, Completion};
use super::checkpoint::Checkpoint;
use super::fold_order::{are_halves, fold_page, keep_trades_whole};
use super::kickback;
use super::refold::Stop;
use super::timeline::{TimedEvent, Timeline};
use crate::store::StoreResult;

/// What a fill itself states of its fee, which may be nothing; absent where the ledger states no other one.
pub(super) type StatedFee<'a> = Option<Option<&'a Fee>>;

/// A fill on its way into the fold.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) fill: &'a Fill,
    /// Its order.
    pub(super) context: Option<&'a OrderContext>,
    /// What the fill itself states of its fee, where the ledger states another one.
    pub(super) stated_fee: StatedFee<'a>,
    /// What of its fee came back later.
    pub(super) kickbacks: &'a [Income],
    /// Its number in fold order, from 1.
    pub(super) number: u64,
}

/// What is done with the events.
pub(super) trait Visitor {
    /// Applies a fill, and what of its fee came back.
    fn fill(&mut self, conn: &mut SqliteConnection, state: &mut SymbolFold, placed: &Placed<'_>) -> Result<(), Stop>;

    /// Applies another event.
    fn timed(&mut self, state: &mut SymbolFold, event: FoldEvent<'_>) -> Result<(), Stop>;

    /// A checkpoint is due here; answers whether to go on.
    fn at_checkpoint(&mut self, conn: &mut SqliteConnection, replay: &Replay<'_>) -> Result<bool, Stop>;
}

/// Where in a symbol's history a fold is.
pub(super) struct Replay<'a> {
    completion: &'a Completion<'a>,
    timeline: Timeline<'a>,
    rules: LedgerRules,
    checkpoint_every: u64,
    pub(super) state: SymbolFold,
    /// Those that nothing places included.
    pub(super) fills_seen: u64,
    ts_max: i64,
    last: Option<FoldKey>,
}

impl<'a> Replay<'a> {
    /// A fold of `instrument` that goes on at `start`, or begins.
    pub(super) fn open(
        conn: &mut SqliteConnection,
        completion: &'a Completion<'a>,
        rules: &LedgerRules,
        instrument: &Instrument,
        start: Option<Checkpoint>,
        checkpoint_every: u64,
    ) -> StoreResult<Self> {
        let ts_max = start.as_ref().map(|checkpoint| checkpoint.ts_max);
        let timeline = Timeline::open(conn, completion, *rules, instrument.kind, ts_max)?;
        let (fills_seen, ts_max, last, state) = match start {
            Some(Checkpoint { fills_seen, ts_max, fold_key, state }) => (fills_seen, ts_max, Some(fold_key), state),
            None => (0, i64::MIN, None, SymbolFold::new(instrument)),
        };
        let (rules, checkpoint_every) = (*rules, checkpoint_every.max(1));
        Ok(Self { completion, timeline, rules, checkpoint_every, state, fills_seen, ts_max, last })
    }

    /// Goes through all fills, and what comes before them. Answers false where `visitor` wanted to stop.
    pub(super) fn fills(&mut self, conn: &mut SqliteConnection, visitor: &mut impl Visitor) -> Result<bool, Stop> {
        let (account, symbol) = (self.completion.account(), self.completion.symbol());
        loop {
            let mut page = fold_page(conn, account, symbol, self.last.as_ref())?;
            if page.is_empty() {
                return Ok(true);
            }
            keep_trades_whole(&mut page);
            let Completed { infos, stated_fees } = self.completion.complete(conn, &mut page)?;
            let mut kickbacks = HashMap::new();
            if self.completion.has_trades_in_ledger() {
                kickbacks = kickback::of_page(conn, account, symbol, &self.rules, &page)?;
            }
            let placed: Vec<Placed<'_>> = page
                .iter()
                .enumerate()
                .map(|(index, fill)| {
                    let context = fill.order_id.as_ref().and_then(|id| infos.get(id)).map(|info| &info.context);
                    let stated_fee = stated_fees.get(&index).map(Option::as_ref);
                    let kickbacks = kickbacks.get(&index).map(Vec::as_slice).unwrap_or_default();
                    Placed { fill, context, stated_fee, kickbacks, number: 0 }
                })
                .collect();
            for trade in placed.chunk_by(|one, other| are_halves(one.fill, other.fill)) {
                match trade {
                    [earlier, later] => self.halves(conn, visitor, earlier, later)?,
                    others => {
                        for placed in others {
                            self.fill(conn, visitor, *placed)?;
                        }
                    }
                }
                // Never between two halves: what decides their order would be forgotten.
                if self.is_at_checkpoint() && !visitor.at_checkpoint(conn, self)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Goes through what comes after the last fill.
    pub(super) fn rest(&mut self, conn: &mut SqliteConnection, visitor: &mut impl Visitor) -> Result<(), Stop> {
        while let Some(event) = self.timeline.next_before(conn, None)? {
            visitor.timed(&mut self.state, event.as_folded())?;
        }
        visitor.timed(&mut self.state, FoldEvent::End)
    }

    /// Whether a state is kept after the last fill that was applied, whatever follows.
    pub(super) fn is_at_checkpoint(&self) -> bool {
        self.fills_seen.is_multiple_of(self.checkpoint_every)
    }

    /// The state, to go on from; absent before the first fill.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            fills_seen: self.fills_seen,
            ts_max: self.ts_max,
            fold_key: self.last.clone()?,
            state: self.state.clone(),
        })
    }

    /// Takes the halves of a trade with oneself in the order that what they realized tells.
    fn halves(
        &mut self,
        conn: &mut SqliteConnection,
        visitor: &mut impl Visitor,
        earlier: &Placed<'_>,
        later: &Placed<'_>,
    ) -> Result<(), Stop> {
        let ms = earlier.fill.time.at.max(later.fill.time.at).as_ms();
        self.between(conn, visitor, ms)?;
        let is_turned = self.state.order_halves((earlier.fill, earlier.context), (later.fill, later.context))?;
        let (first, second) = if is_turned { (later, earlier) } else { (earlier, later) };
        self.fill(conn, visitor, *first)?;
        self.fill(conn, visitor, *second)
    }

    /// Goes through what comes before a fill at `ms`.
    fn between(&mut self, conn: &mut SqliteConnection, visitor: &mut impl Visitor, ms: i64) -> Result<(), Stop> {
        while let Some(event) = self.timeline.next_before(conn, Some(ms))? {
            visitor.timed(&mut self.state, event.as_folded())?;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        conn: &mut SqliteConnection,
        visitor: &mut impl Visitor,
        placed: Placed<'_>,
    ) -> Result<(), Stop> {
        let fill = placed.fill;
        let ms = fill.time.at.as_ms();
        self.between(conn, visitor, ms)?;
        let key = fill.fold_key();
        if self.last.as_ref().is_some_and(|last| last.sequence.is_some() != key.sequence.is_some()) {
            // Of a fill that is passed over, too, it must be told what came before it.
            return Err(FoldError::MixedSequences { fill_id: key.fill_id }.into());
        }
        if self.last.as_ref().is_none_or(|last| *last < key) {
            self.last = Some(key);
        }
        self.fills_seen += 1;
        self.ts_max = self.ts_max.max(ms);
        visitor.fill(conn, &mut self.state, &Placed { number: self.fills_seen, ..placed })
    }
}

impl TimedEvent {
    /// As the fold takes it.
    fn as_folded(&self) -> FoldEvent<'_> {
        match self {
            Self::Anchor(anchor) => FoldEvent::Anchor(anchor),
            Self::Residual(residual, context) => FoldEvent::Residual { residual, order: Some(context) },
            Self::Funding(rows, rate) => FoldEvent::Funding { rows, rate: rate.as_ref() },
            Self::Clearance(row, is_alone) => FoldEvent::Clearance { row, is_alone: *is_alone },
            Self::Settlement(rows) => FoldEvent::Settlement(rows),
        }
    }
}
