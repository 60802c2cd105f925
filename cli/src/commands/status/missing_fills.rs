//! Orders that executed more than their fills tell: some were not asked for yet, and others are missing.

use std::collections::BTreeSet;

use ledger_core::{AccountId, FreshnessLimits, LookStream, Symbol};
use ledger_store::{BookOrder, OrderFilter, PageRequest, Pages, Scope, Store};
use reconciler::{LookState, awaits_trades, brings_trades};

use super::super::PAGE;
use super::super::rebuild::count;
use crate::error::CommandError;

/// Orders without all of their fills. What `verify` says of them is the same.
#[derive(Debug, Default)]
pub(super) struct MissingFills {
    /// How many nobody has asked the trades of yet.
    awaiting: usize,
    /// How long ago the first of these executed, by the exchange's clock.
    oldest_ms: i64,
    /// How many lack fills although somebody has told some, or asked for them.
    lacking: usize,
    /// The contracts of those that lack some.
    symbols: BTreeSet<Symbol>,
    /// What brings trades that nobody has asked for, at this venue.
    advice: &'static str,
}

impl MissingFills {
    pub(super) async fn of(
        store: &dyn Store,
        (account, venue): (&AccountId, &str),
        state: &LookState,
    ) -> Result<Self, CommandError> {
        let mut missing = Self { advice: brings_trades(venue), ..Self::default() };
        let filter = OrderFilter { residual_only: true, ..Scope::account(account.clone()).into() };
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.orders(&filter, page));
        while let Some(page) = pages.next().await? {
            page.items.iter().for_each(|order| missing.add(order, state));
        }
        Ok(missing)
    }

    fn add(&mut self, order: &BookOrder, state: &LookState) {
        let fact = &order.order.fact;
        if awaits_trades(order, state.looks.get(&LookStream::Orders)) {
            self.awaiting += 1;
            let age_ms = fact.updated.or(fact.created).map(|time| state.now.as_ms().saturating_sub(time.at.as_ms()));
            self.oldest_ms = self.oldest_ms.max(age_ms.unwrap_or(i64::MAX));
        } else {
            self.lacking += 1;
            self.symbols.insert(fact.key.symbol.clone());
        }
    }

    pub(super) fn attention(&self) -> Vec<String> {
        let told =
            |number: usize, what: &str| (number > 0).then(|| format!("{} {what}", count(number as u64, "order")));
        let advice = self.advice;
        let awaiting = format!("executed, and the bot told no trades of them: {advice}");
        let lacking = "executed more than their fills tell: `fillbook orders --missing-fills`";
        told(self.awaiting, &awaiting).into_iter().chain(told(self.lacking, lacking)).collect()
    }

    /// Whether the trades of an order should have been asked for by now: as for a look that a newer trade overtook.
    pub(super) fn is_due(&self, limits: FreshnessLimits) -> bool {
        self.awaiting > 0 && self.oldest_ms >= limits.overtaken_ms
    }

    /// Whether a contract lacks fills and has no open discrepancy that says so.
    pub(super) fn is_untold(&self, told: &BTreeSet<Symbol>) -> bool {
        !self.symbols.is_subset(told)
    }
}
