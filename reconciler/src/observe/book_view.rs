//! The book's side of a look: what it has of everything that the exchange mentioned, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    AccountId, Asset, ClientOrderId, Direction, Fill, FillId, FillKey, Income, IncomeKey, Instrument, Opening, Order,
    OrderId, OrderKey, PositionSide, Side, Signal, Source, Sourced, Symbol, TimestampMs, merge,
};
use ledger_store::{
    Account, CoverageSpan, DiscrepancyFilter, FillFilter, IncomeFilter, IntentFilter, OrderFilter, Page, PageRequest,
    Scope, SignalFilter, SignalOutlook, SyncCursor, TripFilter,
};

use super::close_look::agrees_until;
use crate::book::Book;
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::evidence::order_of;
use crate::label::LabelSources;
use crate::observation::{BookView, Observation};
use crate::plan::{is_concluded, is_restored_id};
use crate::policy::Policy;

pub(super) const BOOK_PAGE_ROWS: u32 = 1_000;

/// Whether the book has all terms of a contract that the exchange states. An export or a bot's library names a contract
/// without some of them; one without a liquidation fee that the exchange itself described has none there.
fn is_stated(contract: &Sourced<Instrument>) -> bool {
    let Sourced { fact, provenance, .. } = contract;
    let has_steps = fact.tick_size.is_some() && fact.step_size.is_some();
    has_steps && (fact.liquidation_fee.is_some() || provenance.of("terms") == Source::Rest)
}

/// Reads all pages of a list.
macro_rules! all_pages {
    ($request:expr, |$page:ident| $read:expr) => {{
        let mut request: PageRequest = $request;
        let mut items = Vec::new();
        loop {
            let $page = &request;
            let page: Page<_> = $read?;
            items.extend(page.items);
            match page.next {
                Some(cursor) => request = request.after(cursor),
                None => break items,
            }
        }
    }};
}

/// Reads one account's book.
pub(super) struct BookReader<'a> {
    pub(super) book: &'a Book,
    pub(super) account: &'a AccountId,
    pub(super) policy: &'a Policy,
    /// The exchange's time.
    pub(super) now: TimestampMs,
}

impl BookReader<'_> {
    fn scope(&self) -> Scope {
        Scope::account(self.account.clone())
    }

    /// Of a symbol, from `since` to `until`, both included.
    pub(super) fn stretch(&self, symbol: Option<&Symbol>, since: TimestampMs, until: TimestampMs) -> Scope {
        Scope {
            account: self.account.clone(),
            symbol: symbol.cloned(),
            since: Some(since),
            until: Some(until.saturating_add_ms(1)),
        }
    }

    /// Every symbol that the book's facts name.
    pub(super) async fn symbols(&self) -> Result<Vec<Symbol>, ReconcileError> {
        self.book.instruments.symbols(self.account).await.doing("reading the symbols")
    }

    /// What does not depend on the exchange's answers.
    pub(super) async fn read(
        &self,
        account: Account,
        cursors: Vec<SyncCursor>,
        labels: &LabelSources,
    ) -> Result<BookView, ReconcileError> {
        let (book, id) = (self.book, self.account);
        let instruments = book.instruments.instruments(id).await.doing("reading the contracts")?;
        let steps = instruments.iter().map(|instrument| &instrument.fact);
        let steps = steps.filter_map(|fact| Some((fact.symbol.clone(), fact.step_size?))).collect();
        let settled = instruments.iter().map(|it| (it.fact.symbol.clone(), it.fact.settle_asset.clone()));
        let settle_assets = settled.collect();
        let on_record: BTreeSet<_> = instruments.iter().map(|instrument| &instrument.fact.symbol).collect();
        let unfolded: BTreeSet<Symbol> =
            self.symbols().await?.into_iter().filter(|symbol| !on_record.contains(symbol)).collect();
        let stated = instruments.into_iter().filter(is_stated);
        let instruments = stated.map(|instrument| instrument.fact.symbol).collect();
        let quarantined = book.runs.quarantined(id).await.doing("reading the quarantined symbols")?;
        // Those without a contract are repaired by what their fills add up to.
        let quarantined = quarantined.into_iter().map(|quarantine| quarantine.symbol);
        let quarantined = quarantined.filter(|symbol| !unfolded.contains(symbol)).collect();
        let coverage: Vec<CoverageSpan> = book.sync.coverage(id).await.doing("reading the coverage")?;
        let mut view = BookView {
            account,
            positions: book.positions.positions(id).await.doing("reading the positions")?,
            openers: BTreeMap::new(),
            orders: BTreeMap::new(),
            looked_up: (BTreeSet::new(), BTreeSet::new()),
            intents: BTreeMap::new(),
            signals: Vec::new(),
            restored_signals: BTreeMap::new(),
            unsignalled_openers: Vec::new(),
            has_bot: self.has_bot().await?,
            known_income: BTreeSet::new(),
            unfilled: BTreeSet::new(),
            latest_positions: book.snapshots.latest_positions(id).await.doing("reading the position snapshots")?,
            latest_balances: Vec::new(),
            instruments,
            steps,
            settle_assets,
            unfolded,
            quarantined,
            anchors: all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
                book.snapshots.anchors(&self.scope(), page).await.doing("reading the anchors")
            }),
            before_anchors: BTreeMap::new(),
            cursors,
            coverage,
            discrepancies: Vec::new(),
            damaged: BTreeMap::new(),
        };
        self.read_before_anchors(&mut view).await?;
        // Those that somebody accepted go, too, once they are gone.
        let standing = DiscrepancyFilter::standing(id.clone());
        view.discrepancies = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            book.runs.discrepancies(&standing, page).await.doing("reading the discrepancies")
        });
        // What is said of them on record is said of their present state.
        let kinds = [DiscrepancyKind::MissingLabel, DiscrepancyKind::UnexplainedClose].map(DiscrepancyKind::as_str);
        let about = view.discrepancies.iter().filter(|known| kinds.contains(&known.entry.key.kind.as_str()));
        for key in about.filter_map(order_of).collect::<Vec<_>>() {
            self.learn_order(&key, &mut view).await?;
        }
        let open = OrderFilter { open_only: true, ..OrderFilter::from(self.scope()) };
        let residual = OrderFilter { residual_only: true, ..OrderFilter::from(self.scope()) };
        for filter in [open, residual] {
            self.read_orders(&filter, &mut view).await?;
        }
        let unresolved = IntentFilter { unresolved_only: true, ..IntentFilter::from(self.scope()) };
        self.read_intents(&unresolved, &mut view).await?;
        self.read_contradicted(&mut view).await?;
        self.read_signals(&mut view).await?;
        self.read_labelled(labels, &mut view).await?;
        Ok(view)
    }

    async fn has_bot(&self) -> Result<bool, ReconcileError> {
        let all = IntentFilter::from(self.scope());
        let intents = self.book.intents.intents(&all, &PageRequest::first(1)).await.doing("reading the intents")?;
        if !intents.items.is_empty() {
            return Ok(true);
        }
        let filter = SignalFilter::from(self.scope());
        let signals = self.book.signals.signals(&filter, &PageRequest::first(50)).await.doing("reading the signals")?;
        Ok(signals.items.iter().any(|signal| !signal.fact.restored))
    }

    async fn read_orders(&self, filter: &OrderFilter, view: &mut BookView) -> Result<(), ReconcileError> {
        let orders = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.orders.orders(filter, page).await.doing("reading the orders")
        });
        view.orders.extend(orders.into_iter().map(|order| (order.order.fact.key.clone(), order)));
        Ok(())
    }

    async fn read_intents(&self, filter: &IntentFilter, view: &mut BookView) -> Result<(), ReconcileError> {
        let intents = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.intents.intents(filter, page).await.doing("reading the intents")
        });
        view.intents.extend(intents.into_iter().map(|intent| (intent.fact.client_order_id.clone(), intent)));
        Ok(())
    }

    /// The signals that no order names, with the orders and intents of their moments.
    async fn read_signals(&self, view: &mut BookView) -> Result<(), ReconcileError> {
        let filter = SignalFilter {
            named_by_order: Some(false),
            outlook: Some(SignalOutlook::Awaited),
            ..SignalFilter::from(self.scope())
        };
        // All of them: one that was not read would look as if it had its order by now. One that the bot skipped says itself
        // why no order follows; a restored one is no decision of the bot's.
        let mut signals: Vec<Sourced<Signal>> = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.signals.signals(&filter, page).await.doing("reading the signals")
        });
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
        view.signals = signals;
        Ok(())
    }

    /// What was taken for never sent, and its order is in the book by now: a late answer or an import brought it.
    async fn read_contradicted(&self, view: &mut BookView) -> Result<(), ReconcileError> {
        let filter = IntentFilter { contradicted_only: true, ..IntentFilter::from(self.scope()) };
        let intents = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.intents.intents(&filter, page).await.doing("reading the intents")
        });
        for intent in intents {
            let client_order_id = Some(intent.fact.client_order_id.clone());
            let scope = Scope::symbol(self.account.clone(), intent.fact.symbol.clone());
            self.read_orders(&OrderFilter { client_order_id, ..OrderFilter::from(scope) }, view).await?;
            view.intents.insert(intent.fact.client_order_id.clone(), intent);
        }
        Ok(())
    }

    /// The signals of which it was concluded that no order follows: those that an order names all the same, and those so
    /// young that one may still turn up.
    async fn read_concluded(&self) -> Result<Vec<Sourced<Signal>>, ReconcileError> {
        let concluded = SignalFilter { outlook: Some(SignalOutlook::Concluded), ..SignalFilter::from(self.scope()) };
        let named = SignalFilter { named_by_order: Some(true), ..concluded.clone() };
        let since = self.now.saturating_add_ms(-self.policy.absence_age_max_ms);
        let scope = Scope { since: Some(since), ..self.scope() };
        let young = SignalFilter { scope, named_by_order: Some(false), ..concluded };
        let mut signals = Vec::new();
        for filter in [named, young] {
            signals.extend(all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
                self.book.signals.signals(&filter, page).await.doing("reading the signals")
            }));
        }
        signals.retain(is_concluded);
        Ok(signals)
    }

    /// The orders that the bot's own files may speak of.
    async fn read_labelled(&self, labels: &LabelSources, view: &mut BookView) -> Result<(), ReconcileError> {
        for event in &labels.events {
            let (since, until) = self.policy.signal_window_around(event.time.at);
            let stretch = self.stretch(Some(&event.symbol), since, until);
            self.read_orders(&OrderFilter::from(stretch), view).await?;
            if let Some(order_id) = &event.order_id {
                let key = OrderKey {
                    symbol: event.symbol.clone(),
                    class: ledger_core::OrderClass::Regular,
                    order_id: order_id.clone(),
                };
                self.learn_order(&key, view).await?;
            }
        }
        for trip in self.book.trips.open_trips(self.account).await.doing("reading the open round trips")? {
            let Opening::Fill { side, fill_id } = trip.opening else { continue };
            let key = FillKey { symbol: trip.symbol.clone(), fill_id, side };
            let fill = self.book.fills.fill(self.account, &key).await.doing("reading a fill")?;
            if let Some(order_id) = fill.and_then(|fill| fill.fact.order_id) {
                let class = ledger_core::OrderClass::Regular;
                let order = OrderKey { symbol: trip.symbol.clone(), class, order_id };
                self.learn_order(&order, view).await?;
                view.openers.insert((trip.symbol, trip.position_side), order);
            }
        }
        Ok(())
    }

    /// The signals that were restored for the orders in view: their label follows their order's.
    pub(super) async fn learn_restored(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let named = seen.book.orders.values().filter_map(|known| known.order.fact.signal_id.clone());
        for id in named.filter(is_restored_id).collect::<BTreeSet<_>>() {
            if let Some(signal) = self.book.signals.signal(self.account, &id).await.doing("reading a signal")? {
                seen.book.restored_signals.insert(id, signal);
            }
        }
        Ok(())
    }

    /// What opened the book's round trips without a signal, with the orders behind it. Where the exchange holds something
    /// else than the book and the fills that it lacks, or in front of what it holds some are lacking, nothing says what
    /// opened what.
    pub(super) async fn learn_openers(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let filter = FillFilter { unsignalled_openers_only: true, ..FillFilter::from(self.scope()) };
        let openers = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.fills.fills(&filter, page).await.doing("reading the fills")
        });
        let mut agreeing = BTreeMap::new();
        for fill in openers.into_iter().map(|fill| fill.fact) {
            let (symbol, side) = (&fill.key.symbol, fill.position_side.unwrap_or(PositionSide::Net));
            let until = *agreeing.entry((symbol.clone(), side)).or_insert_with(|| agrees_until(seen, symbol, side));
            let agrees = until.is_some_and(|until| fill.time.at < until);
            let Some(order_id) = fill.order_id.clone().filter(|_| agrees) else { continue };
            let class = ledger_core::OrderClass::Regular;
            let key = OrderKey { symbol: symbol.clone(), class, order_id };
            self.learn_order(&key, &mut seen.book).await?;
            let order = seen.book.orders.get(&key).map(|known| &known.order.fact);
            if let Some(id) = order.and_then(|order| order.client_order_id.clone()) {
                self.learn_intent(&id, &mut seen.book).await?;
            }
            let ends_another = self.ends_another(&fill, &key.order_id).await?;
            seen.book.unsignalled_openers.push((fill, ends_another));
        }
        Ok(())
    }

    /// Whether the order of a fill that opened a round trip ended another one before: with this fill or one before it.
    async fn ends_another(&self, opener: &Fill, order_id: &OrderId) -> Result<bool, ReconcileError> {
        let symbol = Some(&opener.key.symbol);
        let scope = Scope { symbol: symbol.cloned(), until: Some(opener.time.at.saturating_add_ms(1)), ..self.scope() };
        let of_order = FillFilter { order_id: Some(order_id.clone()), ..FillFilter::from(scope) };
        let page = self.book.fills.fills(&of_order, &PageRequest::newest(BOOK_PAGE_ROWS)).await;
        let fills = page.doing("reading the fills")?.items;
        let first = fills.iter().map(|fill| fill.fact.time.at).min().unwrap_or(opener.time.at);
        let scope = self.stretch(symbol, first, opener.time.at);
        let filter = TripFilter { scope, engine: None, position_side: opener.position_side };
        let page = self.book.trips.trips(&filter, &PageRequest::newest(BOOK_PAGE_ROWS)).await;
        let ended = page.doing("reading the round trips")?.items;
        // Both halves of a trade with oneself share an id, and only one of them is on this side.
        let direction = if opener.key.side == Side::Buy { Direction::Short } else { Direction::Long };
        let mut other_way = ended.iter().filter(|trip| trip.direction == direction);
        let is_ours = |id: &FillId| fills.iter().any(|fill| fill.fact.key.fill_id == *id);
        Ok(other_way.any(|trip| trip.closed_by.as_ref().is_some_and(is_ours)))
    }

    async fn learn_order(&self, key: &OrderKey, view: &mut BookView) -> Result<(), ReconcileError> {
        if !view.orders.contains_key(key)
            && view.looked_up.0.insert(key.clone())
            && let Some(order) = self.book.orders.order(self.account, key).await.doing("reading an order")?
        {
            view.orders.insert(key.clone(), order);
        }
        Ok(())
    }

    async fn learn_intent(&self, id: &ClientOrderId, view: &mut BookView) -> Result<(), ReconcileError> {
        if !view.intents.contains_key(id)
            && view.looked_up.1.insert(id.clone())
            && let Some(intent) = self.book.intents.intent(self.account, id).await.doing("reading an intent")?
        {
            view.intents.insert(id.clone(), intent);
        }
        Ok(())
    }

    /// What the book has of every order that the exchange mentioned, of `symbol` or of all, and of who sent those that it
    /// has not.
    pub(super) async fn learn_orders(
        &self,
        seen: &mut Observation,
        symbol: Option<&Symbol>,
    ) -> Result<(), ReconcileError> {
        let stated = seen.stated_orders().map(|row| &row.entity);
        let stated = stated.filter(|order| symbol.is_none_or(|symbol| order.key.symbol == *symbol));
        let stated: BTreeMap<OrderKey, Order> = stated.map(|order| (order.key.clone(), order.clone())).collect();
        for (key, order) in stated {
            self.learn_order(&key, &mut seen.book).await?;
            let is_labelled = seen.book.orders.get(&key).is_some_and(|known| known.order.fact.signal_id.is_some());
            if let Some(id) = order.client_order_id.filter(|_| !is_labelled) {
                self.learn_intent(&id, &mut seen.book).await?;
            }
            if let Some(order_id) = order.triggered_order_id {
                let class = ledger_core::OrderClass::Regular;
                self.learn_order(&OrderKey { symbol: key.symbol, class, order_id }, &mut seen.book).await?;
            }
        }
        Ok(())
    }

    /// The latest balance on record of each asset that the exchange states. One that has not moved for long lies far
    /// behind those that move all the time, so pages are read until all are found; an asset that was never recorded is
    /// sought once, for then it will be.
    pub(super) async fn learn_balances(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let mut assets: BTreeSet<Asset> =
            seen.balances.iter().flat_map(|answer| &answer.rows).map(|row| row.entity.asset.clone()).collect();
        let mut request = PageRequest::newest(BOOK_PAGE_ROWS);
        while !assets.is_empty() {
            let page = self.book.snapshots.balance_snapshots(&self.scope(), &request).await;
            let page = page.doing("reading the balances")?;
            let latest = page.items.into_iter().filter(|balance| assets.remove(&balance.fact.asset));
            seen.book.latest_balances.extend(latest);
            match page.next {
                Some(cursor) => request = request.after(cursor),
                None => break,
            }
        }
        Ok(())
    }

    /// Notes which ledger rows the book has; answers the trades that they speak of and the book lacks.
    pub(super) async fn match_income(
        &self,
        seen: &mut Observation,
    ) -> Result<BTreeSet<(Symbol, FillId)>, ReconcileError> {
        let Ok(walk) = &seen.income else { return Ok(BTreeSet::new()) };
        let times = walk.rows.iter().map(|row| row.entity.time.at);
        let (Some(since), Some(until)) = (times.clone().min(), times.max()) else { return Ok(BTreeSet::new()) };
        // The book may know some from an export, to the second.
        let stretch = self.stretch(None, since.saturating_add_ms(-1_000), until.saturating_add_ms(1_000));
        let filter = IncomeFilter { scope: stretch.clone(), income_type: None };
        let rows = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.income.income(&filter, page).await.doing("reading the income")
        });
        // A row that the exchange tells in more detail than an export did is news: its trade, its millisecond.
        let told: BTreeMap<&IncomeKey, &Income> = walk.rows.iter().map(|row| (&row.entity.key, &row.entity)).collect();
        let says_no_more = |row: &Sourced<Income>| {
            let told = told.get(&row.fact.key).copied().cloned();
            told.is_none_or(|told| merge(row, &Sourced::new(told, Source::Rest)).0 == *row)
        };
        seen.book.known_income = rows.into_iter().filter(says_no_more).map(|row| row.fact.key).collect();
        let named: BTreeSet<(Symbol, FillId)> = walk
            .rows
            .iter()
            .filter_map(|row| Some((row.entity.key.symbol.clone()?, row.entity.fill_id.clone()?)))
            .collect();
        if named.is_empty() {
            return Ok(named);
        }
        let mut unfilled = named;
        let fills = self.fills(stretch).await?;
        for key in fills.keys() {
            unfilled.remove(&(key.symbol.clone(), key.fill_id.clone()));
        }
        Ok(unfilled)
    }

    async fn fills(&self, scope: Scope) -> Result<BTreeMap<FillKey, Sourced<Fill>>, ReconcileError> {
        let filter = FillFilter::from(scope);
        let fills = all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
            self.book.fills.fills(&filter, page).await.doing("reading the fills")
        });
        Ok(fills.into_iter().map(|fill| (fill.fact.key.clone(), fill)).collect())
    }

    /// The book's fills of a symbol in a stretch of time. Those of the second that it begins in are among them: an
    /// export knows no more.
    pub(super) async fn fills_between(
        &self,
        symbol: &Symbol,
        since: TimestampMs,
        until: TimestampMs,
    ) -> Result<BTreeMap<FillKey, Sourced<Fill>>, ReconcileError> {
        self.fills(self.stretch(Some(symbol), since.saturating_add_ms(-1_000), until)).await
    }

    /// Looks again at the rows that could not be read when they were looked at last.
    pub(super) async fn learn_damaged(&self, seen: &Observation) -> Result<(), ReconcileError> {
        let kind = DiscrepancyKind::UnreadableRow.as_str();
        for known in seen.book.discrepancies.iter().filter(|known| known.entry.key.kind == kind) {
            let Some(symbol) = &known.entry.symbol else { continue };
            // Nothing but reading all of it tells that no row is left that cannot be read.
            let fills = FillFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
            let orders = OrderFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
            let scope = Scope::symbol(self.account.clone(), symbol.clone());
            let income = IncomeFilter { scope, income_type: None };
            drop(all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
                self.book.fills.fills(&fills, page).await.doing("reading the fills")
            }));
            drop(all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
                self.book.orders.orders(&orders, page).await.doing("reading the orders")
            }));
            drop(all_pages!(PageRequest::first(BOOK_PAGE_ROWS), |page| {
                self.book.income.income(&income, page).await.doing("reading the income")
            }));
        }
        Ok(())
    }

    /// Whether the book has any fill of a symbol.
    pub(super) async fn has_fills(&self, symbol: &Symbol) -> Result<bool, ReconcileError> {
        let filter = FillFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
        let first = self.book.fills.fills(&filter, &PageRequest::first(1)).await.doing("reading the fills")?;
        Ok(!first.items.is_empty())
    }

    /// The book's fills of a symbol after an instant, unless they are many.
    pub(super) async fn few_fills_after(
        &self,
        symbol: &Symbol,
        after: TimestampMs,
    ) -> Result<Option<Vec<Fill>>, ReconcileError> {
        let stretch = self.stretch(Some(symbol), after.saturating_add_ms(1), TimestampMs::MAX);
        let page = self.book.fills.fills(&FillFilter::from(stretch), &PageRequest::first(BOOK_PAGE_ROWS)).await;
        let page = page.doing("reading the fills")?;
        let fills = page.items.into_iter().map(|fill| fill.fact).collect();
        Ok(page.next.is_none().then_some(fills))
    }

    /// A fill of the book.
    pub(super) async fn fill(&self, key: &FillKey) -> Result<Option<Sourced<Fill>>, ReconcileError> {
        self.book.fills.fill(self.account, key).await.doing("reading a fill")
    }

    /// An order of the book, kept in the view.
    pub(super) async fn order(&self, key: &OrderKey, view: &mut BookView) -> Result<(), ReconcileError> {
        self.learn_order(key, view).await
    }
}
