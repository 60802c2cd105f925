//! What recorded facts make out of date.

use std::collections::BTreeMap;

use ledger_core::{FoldKey, OrderId, Symbol, TimestampMs};

/// From where a symbol has to be folded again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// From the very beginning: the contract itself changed.
    pub(super) from_start: bool,
    /// From this fill on.
    pub(super) from_key: Option<FoldKey>,
    /// From this instant on, for events that have no place but their time.
    pub(super) from_ts: Option<i64>,
}

impl Mark {
    pub(super) fn fill(&mut self, key: FoldKey) {
        if self.from_key.as_ref().is_none_or(|from| key < *from) {
            self.from_key = Some(key);
        }
    }

    pub(super) fn instant(&mut self, at: TimestampMs) {
        let ms = at.as_ms();
        self.from_ts = Some(self.from_ts.map_or(ms, |from| from.min(ms)));
    }

    pub(super) fn join(&mut self, other: Self) {
        self.from_start |= other.from_start;
        if let Some(key) = other.from_key {
            self.fill(key);
        }
        self.from_ts = self.from_ts.into_iter().chain(other.from_ts).min();
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
    /// Regular orders, the only ones that own fills.
    pub(super) orders: BTreeMap<Symbol, BTreeMap<OrderId, TouchedOrder>>,
}

impl Effects {
    pub(super) fn mark(&mut self, symbol: &Symbol) -> &mut Mark {
        self.marks.entry(symbol.clone()).or_default()
    }

    pub(super) fn order(&mut self, symbol: &Symbol, order_id: &OrderId) -> &mut TouchedOrder {
        self.orders
            .entry(symbol.clone())
            .or_default()
            .entry(order_id.clone())
            .or_default()
    }
}
