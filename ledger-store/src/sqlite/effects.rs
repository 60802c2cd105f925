//! What recorded facts make out of date.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    Asset, ClientOrderId, FillId, FoldKey, LedgerRules, OrderId, PositionSide, SignalId, Symbol, TimestampMs,
};

use super::opener::Restated;
use super::unpriced_fee::ForeignFees;
use crate::error::StoreError;
use crate::store::StoreResult;

/// From where a symbol has to be folded again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// From the very beginning: the contract itself changed.
    pub(super) is_whole: bool,
    /// From this fill on.
    pub(super) key: Option<FoldKey>,
    /// From this instant on, for events that have no place but their time.
    pub(super) since_ms: Option<i64>,
}

impl Mark {
    pub(super) fn fill(&mut self, key: FoldKey) {
        if self.key.as_ref().is_none_or(|first| key < *first) {
            self.key = Some(key);
        }
    }

    pub(super) fn instant(&mut self, at: TimestampMs) {
        let ms = at.as_ms();
        self.since_ms = Some(self.since_ms.map_or(ms, |from| from.min(ms)));
    }

    pub(super) fn join(&mut self, other: Self) {
        self.is_whole |= other.is_whole;
        if let Some(key) = other.key {
            self.fill(key);
        }
        self.since_ms = self.since_ms.into_iter().chain(other.since_ms).min();
    }
}

/// An order whose fills or whose own words changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TouchedOrder {
    /// Its own words changed.
    pub(super) restated: bool,
    /// What a fill inherits from it changed.
    pub(super) context_changed: bool,
    /// When it counted as last changed before.
    pub(super) event_before: Option<TimestampMs>,
}

/// Everything that a batch makes out of date.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) marks: BTreeMap<Symbol, Mark>,
    /// Which entries of the ledger are folded.
    pub(super) ledger_rules: LedgerRules,
    /// What the exchange or the user says about the position mode changed.
    pub(super) position_mode: bool,
    /// A fact names a position of a hedge, or did before.
    pub(super) hedged: bool,
    /// A fact names the one position of one-way mode, or did before.
    pub(super) netted: bool,
    /// Trades with new commission entries, and whether they had any before.
    pub(super) commissions: BTreeMap<Symbol, BTreeMap<FillId, bool>>,
    /// Fees in another asset than the contract's.
    pub(super) foreign_fees: ForeignFees,
    /// Contracts with new profits in the ledger, in these assets.
    pub(super) profits: BTreeSet<(Symbol, Asset)>,
    /// Client order ids and signals of which labels arrived, to be found at regular orders.
    pub(super) clients: BTreeSet<ClientOrderId>,
    pub(super) signals: BTreeSet<SignalId>,
    /// Regular orders, the only ones that own fills.
    pub(super) orders: BTreeMap<Symbol, BTreeMap<OrderId, TouchedOrder>>,
    /// When the fills lie that somebody else has stated just as they were.
    pub(super) restated: Restated,
}

impl Effects {
    pub(super) fn mark(&mut self, symbol: &Symbol) -> &mut Mark {
        self.marks.entry(symbol.clone()).or_default()
    }

    /// What follows from facts of a symbol could not be told, because one of their rows cannot be read: the fold will find
    /// it again and quarantine the symbol. The others of a batch must not wait for that.
    pub(super) fn despite_damage(&mut self, symbol: &Symbol, result: StoreResult<()>) -> StoreResult<()> {
        match result {
            Err(StoreError::CorruptRow { .. }) => {
                self.mark(symbol).is_whole = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Notes which position a fact names and when, and what it said before: a fact of a hedge that is none any more, or
    /// that lies at another time, changes where the account was in one-way mode just as a new one does.
    pub(super) fn side<T: PartialEq + Copy>(
        &mut self,
        before: Option<(Option<PositionSide>, T)>,
        after: (Option<PositionSide>, T),
    ) {
        if before.as_ref() != Some(&after) {
            let named = before.and_then(|(side, _)| side).into_iter().chain(after.0);
            for side in named {
                *if side == PositionSide::Net { &mut self.netted } else { &mut self.hedged } = true;
            }
        }
    }

    pub(super) fn order(&mut self, symbol: &Symbol, order_id: &OrderId) -> &mut TouchedOrder {
        self.orders.entry(symbol.clone()).or_default().entry(order_id.clone()).or_default()
    }
}
