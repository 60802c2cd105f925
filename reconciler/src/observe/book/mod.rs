//! The book's side of a look: what it has of everything that the exchange mentioned, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Instrument, Source, Sourced, Symbol, TimestampMs};
use ledger_store::{
    Account, CoverageSpan, DiscrepancyFilter, IntentFilter, OrderFilter, PageRequest, Pages, Scope, SignalFilter,
    SyncCursor,
};

use super::book_view::BookView;
use crate::error::{Doing, ReconcileError};
use crate::label::LabelSources;
use crate::memory::{CloseMemory, LabelMemory, recall_all};
use crate::policy::Policy;
use crate::unreadable::ReadableBook;

pub(super) const BOOK_PAGE_ROWS: u32 = 1_000;

/// Whether the book has all terms of a contract that the exchange states. An export or a bot's library names a contract
/// without some of them; one without a liquidation fee that the exchange itself described has none there.
fn is_stated(contract: &Sourced<Instrument>) -> bool {
    let Sourced { fact, provenance, .. } = contract;
    let has_steps = fact.tick_size.is_some() && fact.step_size.is_some();
    has_steps && (fact.liquidation_fee.is_some() || provenance.of("terms") == Source::Rest)
}

mod beginning;
mod coarse;
mod fills;
mod ledger;
mod openers;
mod orders;
mod signals;
mod unreadable;

pub(super) use self::coarse::earlier;

/// Reads one account's book.
pub(super) struct BookReader<'a> {
    pub(super) book: &'a ReadableBook<'a>,
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
        self.book.symbols(self.account).await.doing("reading the symbols")
    }

    /// What does not depend on the exchange's answers.
    pub(super) async fn read(
        &self,
        account: Account,
        cursors: Vec<SyncCursor>,
        labels: &LabelSources,
    ) -> Result<BookView, ReconcileError> {
        let (book, id) = (self.book, self.account);
        let instruments = book.instruments(id).await.doing("reading the contracts")?;
        let steps = instruments.iter().map(|instrument| &instrument.fact);
        let steps = steps.filter_map(|fact| Some((fact.symbol.clone(), fact.step_size?))).collect();
        let settled = instruments.iter().map(|it| (it.fact.symbol.clone(), it.fact.settle_asset.clone()));
        let settle_assets = settled.collect();
        let on_record: BTreeSet<_> = instruments.iter().map(|instrument| &instrument.fact.symbol).collect();
        let unfolded: BTreeSet<Symbol> =
            self.symbols().await?.into_iter().filter(|symbol| !on_record.contains(symbol)).collect();
        let stated = instruments.into_iter().filter(is_stated);
        let instruments = stated.map(|instrument| instrument.fact.symbol).collect();
        let quarantined = book.quarantined(id).await.doing("reading the quarantined symbols")?;
        // Those without a contract are repaired by what their fills add up to.
        let quarantined = quarantined.into_iter().map(|quarantine| quarantine.symbol);
        let quarantined = quarantined.filter(|symbol| !unfolded.contains(symbol)).collect();
        let coverage: Vec<CoverageSpan> = book.coverage(id).await.doing("reading the coverage")?;
        let scope = self.scope();
        let anchors = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.anchors(&scope, page));
        let mut view = BookView {
            account,
            positions: book.positions(id).await.doing("reading the positions")?,
            openers: BTreeMap::new(),
            orders: BTreeMap::new(),
            looked_up: (BTreeSet::new(), BTreeSet::new()),
            intents: BTreeMap::new(),
            signals: Vec::new(),
            words: Vec::new(),
            restored_signals: BTreeMap::new(),
            unsignalled_openers: Vec::new(),
            has_bot: self.has_bot().await?,
            known_income: BTreeSet::new(),
            unlisted_income: Vec::new(),
            unlisted_orders: Vec::new(),
            unlisted_force_orders: Vec::new(),
            unlisted_conditional_orders: BTreeMap::new(),
            unfilled: BTreeSet::new(),
            latest_positions: book.latest_positions(id).await.doing("reading the position snapshots")?,
            latest_balances: Vec::new(),
            ledger_since: BTreeMap::new(),
            instruments,
            steps,
            settle_assets,
            unfolded,
            quarantined,
            anchors: anchors.all().await.doing("reading the anchors")?,
            before_anchors: BTreeMap::new(),
            cursors,
            coverage,
            discrepancies: Vec::new(),
            damaged: BTreeMap::new(),
        };
        self.read_before_anchors(&mut view).await?;
        // Those that somebody accepted go, too, once they are gone.
        let standing = DiscrepancyFilter::standing(id.clone());
        view.discrepancies = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.discrepancies(&standing, page))
            .all()
            .await
            .doing("reading the discrepancies")?;
        // What is said of them on record is said of their present state.
        let unlabelled =
            recall_all(&view.discrepancies).filter_map(|(known, label): (_, LabelMemory)| label.order(known));
        let closing = recall_all(&view.discrepancies).filter_map(|(known, close): (_, CloseMemory)| close.order(known));
        for key in unlabelled.chain(closing).collect::<Vec<_>>() {
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
        let intents = self.book.intents(&all, PageRequest::first(1)).await.doing("reading the intents")?;
        if !intents.items.is_empty() {
            return Ok(true);
        }
        let filter = SignalFilter::from(self.scope());
        let signals = self.book.signals(&filter, PageRequest::first(50)).await.doing("reading the signals")?;
        Ok(signals.items.iter().any(|signal| !signal.fact.restored))
    }
}
