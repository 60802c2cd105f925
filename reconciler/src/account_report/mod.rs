//! The report of an account: read from the book page by page, and held against its wallets.
//!
//! Trips and ledger entries of the period are read, the single amounts of each contract from the period's beginning on,
//! and the ledger between the period and the looks around it. Memory holds sums, the names of one contract's round
//! trips, and of trips with amounts in other assets what those are worth.

mod contracts;
mod equity;
mod ledger;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exchange_client::VenueFacts;
use ledger_core::footing::{Footed, FootingBuilder, FootingScope, LedgerReach, Stretch};
use ledger_core::{
    AccountId, Asset, AssetPrices, AssetTotal, BalanceSnapshot, GroupBy, OtherAssets, Report, ReportBuilder, SpanOf,
    Symbol, TimestampMs, TripKey,
};
use ledger_store::{FillFilter, PageRequest, Pages, Scope, Store, TripFilter, UnreadableRow};

use crate::error::{Doing, ReconcileError};

/// How many rows are read at once.
const PAGE_ROWS: u32 = 1_000;

/// What is reported.
#[derive(Clone)]
pub struct ReportRequest {
    /// The account.
    pub account: AccountId,
    /// One contract only.
    pub symbol: Option<Symbol>,
    /// From this instant on.
    pub since: Option<TimestampMs>,
    /// Before this instant.
    pub until: Option<TimestampMs>,
    /// What the rows stand for.
    pub by: GroupBy,
    /// The spans of the reader's time zone, for a grouping by time.
    pub span_of: Option<SpanOf>,
}

impl std::fmt::Debug for ReportRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportRequest").field("account", &self.account).field("by", &self.by).finish_non_exhaustive()
    }
}

impl ReportRequest {
    fn scope(&self) -> Scope {
        Scope { account: self.account.clone(), symbol: self.symbol.clone(), since: self.since, until: self.until }
    }

    fn period(&self) -> Stretch {
        Stretch { since: self.since, until: self.until }
    }
}

/// A report, and what could not be read for it.
#[derive(Debug)]
pub struct AccountReport {
    /// The report.
    pub report: Report,
    /// Rows of the book that cannot be read. The sums say that they lack something.
    pub left_out: Vec<UnreadableRow>,
    /// How many of them are entries of the exchange's ledger.
    pub cash_left_out: usize,
}

/// What is read once and used by every pass.
struct Reading<'a> {
    store: &'a dyn Store,
    venue: &'static VenueFacts,
    request: &'a ReportRequest,
    looks: Vec<BalanceSnapshot>,
    reach: LedgerReach,
    symbols: Vec<Symbol>,
    /// Contracts that cannot be computed.
    unfolded: Vec<Symbol>,
    left_out: Vec<UnreadableRow>,
    cash_left_out: usize,
}

/// What the single amounts of round trips give, beside their sums.
#[derive(Default)]
struct TripParts {
    other: HashMap<TripKey, OtherAssets>,
    carried_in: BTreeMap<TripKey, Vec<AssetTotal>>,
    prices: AssetPrices,
}

/// Reports an account.
///
/// # Errors
/// [`ReconcileError`] when the book cannot be read.
pub async fn account_report(
    store: &dyn Store,
    venue: &'static VenueFacts,
    request: &ReportRequest,
) -> Result<AccountReport, ReconcileError> {
    let account = &request.account;
    let unfolded = store.quarantined(account).await.doing("reading what cannot be computed")?;
    let mut symbols = store.symbols(account).await.doing("reading the contracts")?;
    symbols.retain(|symbol| request.symbol.as_ref().is_none_or(|wanted| wanted == symbol));
    let mut reading = Reading {
        store,
        venue,
        request,
        looks: ledger::looks(store, request).await?,
        reach: ledger::reach(store, account).await?,
        symbols,
        unfolded: unfolded.into_iter().map(|entry| entry.symbol).collect(),
        left_out: Vec::new(),
        cash_left_out: 0,
    };
    let mut builder = ReportBuilder::new(request.by, request.span_of.clone());
    for symbol in reading.uncomputed().await? {
        builder.leave_out_contract(symbol);
    }
    let mut footing = reading.footing(BTreeMap::new());
    let mut parts = reading.read_contracts(&mut footing, Some(&mut builder)).await?;
    parts.carried_in.clone_from(footing.carried_in());
    reading.read_trips(&parts, &mut builder).await?;
    reading.read_ledger(&mut footing, Some(&mut builder)).await?;
    if ledger::is_on_record(store, account).await? {
        let footed = footing.finish()?;
        let looked_at = if footed.narrower.is_empty() {
            Footed::default()
        } else {
            let mut footing = reading.footing(footed.narrower.clone());
            reading.read_contracts(&mut footing, None).await?;
            reading.read_ledger(&mut footing, None).await?;
            footing.finish()?
        };
        let mut footings = footed.with_looked_at(looked_at).assets;
        reading.value(&mut footings).await?;
        builder.set_footing(footings);
    }
    let Reading { left_out, cash_left_out, .. } = reading;
    Ok(AccountReport { report: builder.finish()?, left_out, cash_left_out })
}

impl Reading<'_> {
    fn footing(&self, clips: BTreeMap<Asset, Stretch>) -> FootingBuilder {
        let scope = FootingScope { period: self.request.period(), symbol: self.request.symbol.clone() };
        let mut footing = FootingBuilder::new(scope, self.reach.clone(), self.request.span_of.clone()).within(clips);
        self.looks.iter().for_each(|look| footing.add_look(look));
        self.unfolded.iter().for_each(|symbol| footing.leave_out_contract(symbol.clone()));
        footing
    }

    /// The contracts that cannot be computed, or not as a whole: those that are quarantined, out of date, or have fills in no
    /// position.
    async fn uncomputed(&self) -> Result<BTreeSet<Symbol>, ReconcileError> {
        let account = &self.request.account;
        let pending = self.store.pending_refolds().await.doing("reading what is out of date")?;
        let pending = pending.into_iter().filter(|it| it.account == *account).map(|it| it.symbol);
        let mut uncomputed: BTreeSet<Symbol> = self.unfolded.iter().cloned().chain(pending).collect();
        uncomputed.retain(|symbol| self.request.symbol.as_ref().is_none_or(|wanted| wanted == symbol));
        let unplaced = |scope: Scope| FillFilter { unplaced_only: true, ..scope.into() };
        let whole = unplaced(Scope { since: None, ..self.request.scope() });
        if self.store.fill_count(&whole).await.doing("counting fills")? > 0 {
            for symbol in &self.symbols {
                let own = unplaced(Scope { symbol: Some(symbol.clone()), since: None, ..self.request.scope() });
                if self.store.fill_count(&own).await.doing("counting fills")? > 0 {
                    uncomputed.insert(symbol.clone());
                }
            }
        }
        Ok(uncomputed)
    }

    /// Adds the round trips that closed in the period, in closing order.
    async fn read_trips(&mut self, parts: &TripParts, builder: &mut ReportBuilder) -> Result<(), ReconcileError> {
        let filter = TripFilter { scope: self.request.scope(), engine: None, position_side: None };
        let none = OtherAssets::default();
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| self.store.trips(&filter, page));
        while let Some(read) = pages.next().await.doing("reading the round trips")? {
            for trip in &read.items {
                let key = trip.key();
                let other = parts.other.get(&key).unwrap_or(&none);
                let carried_in = parts.carried_in.get(&key).map(Vec::as_slice).unwrap_or_default();
                builder.add_trip(trip, other, carried_in)?;
            }
            for row in read.unreadable {
                builder.leave_out_trip();
                self.left_out.push(row);
            }
        }
        Ok(())
    }
}
