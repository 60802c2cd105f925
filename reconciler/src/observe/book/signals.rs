//! Signals that wait for their order, those of which it was concluded that none follows, and restored ones.

use std::collections::BTreeSet;

use ledger_core::{Signal, Sourced, Symbol, TimestampMs};
use ledger_store::{IntentFilter, OrderFilter, PageRequest, Pages, Scope, SignalFilter, SignalOutlook, StoreError};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};
use crate::observe::book_view::BookView;
use crate::observe::observation::Observation;
use crate::record::bot_record::{is_concluded, is_restored_id};
use crate::record::closing::Closing;
use crate::record::words::is_word;

impl BookReader<'_> {
    /// The signals that no order names, with the orders and intents of their moments.
    pub(super) async fn read_signals(&self, view: &mut BookView) -> Result<(), ReconcileError> {
        let filter = SignalFilter {
            named_by_order: Some(false),
            outlook: Some(SignalOutlook::Awaited),
            ..SignalFilter::from(self.scope())
        };
        // All of them: one that was not read would look as if it had its order by now. One that the bot skipped says itself
        // why no order follows; a restored one is no decision of the bot's.
        let mut signals: Vec<Sourced<Signal>> =
            Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.signals(&filter, page))
                .all()
                .await
                .doing("reading the signals")?;
        let concluded = self.read_concluded().await?;
        for signal in &concluded {
            let signal_id = Some(signal.fact.signal_id.clone());
            let scope = Scope::symbol(self.account.clone(), signal.fact.symbol.clone());
            self.read_orders(&OrderFilter { signal_id, ..OrderFilter::from(scope) }, view).await?;
        }
        signals.extend(concluded);
        // An order that was sent late is among them, for as long as absence can prove anything.
        let mut stretches: Vec<(&Symbol, TimestampMs, TimestampMs)> = Vec::new();
        let mut in_order: Vec<&Signal> = signals.iter().map(|signal| &signal.fact).collect();
        in_order.sort_by_key(|signal| (&signal.symbol, self.policy.signal_window(signal).0));
        for signal in in_order {
            let (since, _) = self.policy.signal_window(signal);
            let until = since.saturating_add_ms(self.policy.absence_age_max_ms);
            match stretches.last_mut() {
                Some((symbol, _, last)) if **symbol == signal.symbol && since <= *last => *last = until.max(*last),
                _ => stretches.push((&signal.symbol, since, until)),
            }
        }
        for (symbol, since, until) in stretches {
            let stretch = self.stretch(Some(symbol), since, until);
            self.read_orders(&OrderFilter::from(stretch), view).await?;
        }
        for signal in &signals {
            // Intents carry the bot's time, as the signal does.
            let at = signal.fact.time.at;
            let (since, until) = self.policy.signal_window_around(at);
            let stretch = self.stretch(Some(&signal.fact.symbol), since, until);
            self.read_intents(&IntentFilter::from(stretch), view).await?;
        }
        // Those of a contract with a row that cannot be read wait on.
        let closing = Closing { store: &**self.book, account: self.account };
        if signals.iter().any(|signal| is_word(&signal.fact)) {
            match Box::pin(closing.placed()).await {
                Err(ReconcileError::Store { source: StoreError::CorruptRow { .. }, .. }) => {}
                placed => view.words = placed?,
            }
        }
        view.signals = signals;
        Ok(())
    }

    /// The signals of which it was concluded that no order follows: those that an order names all the same, and those so
    /// young that one may still turn up.
    pub(super) async fn read_concluded(&self) -> Result<Vec<Sourced<Signal>>, ReconcileError> {
        let concluded = SignalFilter { outlook: Some(SignalOutlook::Concluded), ..SignalFilter::from(self.scope()) };
        let named = SignalFilter { named_by_order: Some(true), ..concluded.clone() };
        let since = self.now.saturating_add_ms(-self.policy.absence_age_max_ms);
        let scope = Scope { since: Some(since), ..self.scope() };
        let young = SignalFilter { scope, named_by_order: Some(false), ..concluded };
        let mut signals = Vec::new();
        for filter in [named, young] {
            signals.extend(
                Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.signals(&filter, page))
                    .all()
                    .await
                    .doing("reading the signals")?,
            );
        }
        signals.retain(is_concluded);
        Ok(signals)
    }

    /// The signals that were restored for the orders in view: their label follows their order's.
    pub(in crate::observe) async fn learn_restored(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let named = seen.book.orders.values().filter_map(|known| known.order.fact.signal_id.clone());
        for id in named.filter(is_restored_id).collect::<BTreeSet<_>>() {
            if let Some(signal) = self.book.signal(self.account, &id).await.doing("reading a signal")? {
                seen.book.restored_signals.insert(id, signal);
            }
        }
        Ok(())
    }
}
