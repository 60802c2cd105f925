//! What assets were worth when fees were paid in them: the mark price of each look, and of moments at which nobody looked the
//! last price of their minute.
//!
//! A price of the minute of a fee is at most a minute away from it and never of a later minute. The price of an asset is that
//! of the contract named after it and the asset that is settled in. Where the exchange lists no such contract there is no
//! price, and the fee is not asked about again.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{ExchangeReader, MarkPrice, Stated, TimeWindow, WindowQuery};
use ledger_core::{AccountId, AnyFact, Asset, PriceKind, Statement, Symbol, TimestampMs};
use ledger_store::{FactReader, PageRequest, Pages, Scope, StoreResult, UnpricedFee};

use super::{Asking, Budget, Trouble};
use crate::error::ReconcileError;
use crate::observe::Observation;
use crate::policy::Policy;

const MINUTE_MS: i64 = 60_000;
/// A gap of so many minutes between fees costs no more than another question.
const GAP_MINUTES_MAX: i64 = 99;
/// Fees that lie further apart are asked about together as long as no more than so many minutes are.
const SPARSE_MINUTES_MAX: i64 = 499;
/// The most minutes of a question.
const MINUTES_MAX: i64 = 1_499;

/// What was learned of prices.
#[derive(Debug, Default)]
pub(super) struct PricesSeen {
    pub(super) statements: Vec<Statement>,
    /// The fees that are settled, with the contract whose price settles them; `None` where there is none.
    pub(super) priced: Vec<(UnpricedFee, Option<Symbol>)>,
}

impl PricesSeen {
    fn settle(&mut self, fees: Vec<UnpricedFee>, contract: Option<&Symbol>) {
        self.priced.extend(fees.into_iter().map(|fee| (fee, contract.cloned())));
    }
}

/// The fees of one minute, by the minute.
type Minutes = BTreeMap<TimestampMs, Vec<UnpricedFee>>;

/// Fees in other assets, and who can tell what these were worth.
pub(super) struct FeePrices<'a> {
    pub(super) reader: &'a dyn ExchangeReader,
    pub(super) book: &'a dyn FactReader,
    pub(super) account: &'a AccountId,
    pub(super) observation: &'a Observation,
    /// What each contract of the book is settled in.
    pub(super) settle_assets: &'a BTreeMap<Symbol, Asset>,
}

impl FeePrices<'_> {
    /// Finds a price for each of the fees that wait for one, within the budget. `is_news`: something else is recorded in this
    /// cycle, so that the present prices are worth recording, too.
    pub(super) async fn look(
        &self,
        waiting: Vec<UnpricedFee>,
        is_news: bool,
        policy: &Policy,
        asking: &mut Asking,
    ) -> Result<PricesSeen, ReconcileError> {
        let mut seen = PricesSeen::default();
        let marks = self.marks();
        let mut by_contract: BTreeMap<Symbol, Minutes> = BTreeMap::new();
        let mut assets: BTreeSet<Asset> = waiting.iter().map(|fee| fee.asset.clone()).collect();
        for fee in waiting {
            // Until the contract is known nobody can tell which price is meant.
            let Some(settle) = self.settle_assets.get(&fee.symbol) else { continue };
            match priced_by(&fee.asset, settle) {
                Some(contract) if marks.as_ref().is_none_or(|marks| marks.contains_key(&contract)) => {
                    by_contract.entry(contract).or_default().entry(fee.minute).or_default().push(fee);
                }
                // In the asset of the contract after all, or one that no contract is named after.
                _ => seen.settle(vec![fee], None),
            }
        }
        assets.extend(self.assets_of_the_account());
        for row in self.present_marks(&assets, marks.as_ref()) {
            let is_wanted = by_contract
                .get(&row.entity.price.symbol)
                .is_some_and(|minutes| minutes.contains_key(&minute_of(row.entity.price.at)));
            let known = self.is_recently_marked(row, policy.price_stride_ms).await;
            let Some(is_known) = asking.readable("present prices", known)? else { continue };
            if is_wanted || is_news || !is_known {
                seen.statements.push(row.statement());
            }
        }
        let mut budget = Budget(policy.price_requests_max);
        for (contract, minutes) in by_contract {
            if !self.ask(&contract, minutes, &mut seen, asking, &mut budget).await? {
                break;
            }
        }
        Ok(seen)
    }

    /// The mark price of each contract; `None` where they could not be read.
    fn marks(&self) -> Option<BTreeMap<Symbol, &Stated<MarkPrice>>> {
        let answer = self.observation.mark_prices.answer()?;
        // Of a contract whose row cannot be read nobody knows that it does not exist.
        let is_whole = answer.unreadable.is_empty() && !answer.rows.is_empty();
        is_whole.then(|| answer.rows.iter().map(|row| (row.entity.price.symbol.clone(), row)).collect())
    }

    /// The assets that the account holds, and those that the ledger names of late.
    fn assets_of_the_account(&self) -> BTreeSet<Asset> {
        let held = self.observation.balances.iter().flat_map(|answer| &answer.rows).map(|row| &row.entity);
        let held = held.filter(|balance| !balance.wallet.is_zero()).map(|balance| balance.asset.clone());
        let named = self.observation.income.iter().flat_map(|walk| &walk.rows);
        held.chain(named.map(|row| row.entity.key.asset.clone())).collect()
    }

    /// The present prices of these assets in what the account's contracts are settled in.
    fn present_marks<'m>(
        &self,
        assets: &BTreeSet<Asset>,
        marks: Option<&BTreeMap<Symbol, &'m Stated<MarkPrice>>>,
    ) -> Vec<&'m Stated<MarkPrice>> {
        let Some(marks) = marks else { return Vec::new() };
        let scope = &self.observation.scope;
        let contracts = self.settle_assets.iter().filter(|(symbol, _)| scope.is_empty() || scope.contains(*symbol));
        let settle: BTreeSet<&Asset> = contracts.map(|(_, settle)| settle).collect();
        let pairs = assets.iter().flat_map(|asset| settle.iter().filter_map(move |settle| priced_by(asset, settle)));
        let pairs: BTreeSet<Symbol> = pairs.collect();
        pairs.iter().filter_map(|contract| marks.get(contract).copied()).collect()
    }

    /// Whether the book has a mark price of the contract that is not older than the stride, or this very one.
    async fn is_recently_marked(&self, row: &Stated<MarkPrice>, stride_ms: i64) -> StoreResult<bool> {
        let price = &row.entity.price;
        let scope = Scope {
            since: Some(price.at.saturating_add_ms(-stride_ms)),
            ..Scope::symbol(self.account.clone(), price.symbol.clone())
        };
        let mut pages = Pages::of(PageRequest::newest(100), |page| self.book.price_snapshots(&scope, page));
        while let Some(page) = pages.next().await? {
            if page.items.iter().any(|known| known.fact.kind == PriceKind::Mark) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks for the minutes of one contract that have no price, the latest first. Whether to go on with the next contract.
    async fn ask(
        &self,
        contract: &Symbol,
        mut minutes: Minutes,
        seen: &mut PricesSeen,
        asking: &mut Asking,
        budget: &mut Budget,
    ) -> Result<bool, ReconcileError> {
        // What was stated in this look.
        let stated: Vec<TimestampMs> =
            seen.statements.iter().filter_map(|statement| priced_minute(statement, contract)).collect();
        for minute in stated {
            seen.settle(minutes.remove(&minute).unwrap_or_default(), Some(contract));
        }
        // What a running minute ends with is not known yet.
        let over = self.observation.asked_at.saturating_add_ms(-MINUTE_MS);
        minutes.retain(|minute, _| *minute <= over);
        while let Some(window) = latest_window(&minutes) {
            if asking.is_over || budget.is_spent() {
                return Ok(false);
            }
            let on_record = self.priced_minutes(contract, window).await;
            let Some(on_record) = asking.readable("prices of fees", on_record)? else { return Ok(true) };
            for minute in on_record {
                seen.settle(minutes.remove(&minute).unwrap_or_default(), Some(contract));
            }
            let mut wanted = minutes.split_off(&window.since());
            if wanted.is_empty() {
                continue;
            }
            budget.spend();
            match self.reader.fetch_klines(contract.clone(), WindowQuery::new(window)).await {
                Ok(page) => {
                    for row in page.rows {
                        if let Some(fees) = wanted.remove(&minute_of(row.entity.at)) {
                            seen.statements.push(row.statement());
                            seen.settle(fees, Some(contract));
                        }
                    }
                    // Minutes of which the exchange has nothing.
                    seen.settle(wanted.into_values().flatten().collect(), None);
                }
                Err(error) => match asking.note(&format!("prices of {contract}"), &error) {
                    Trouble::NoSuchContract => {
                        seen.settle(wanted.into_values().chain(minutes.into_values()).flatten().collect(), None);
                        return Ok(true);
                    }
                    Trouble::Here => return Ok(true),
                    Trouble::ForNow => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    /// The minutes of a window of which the book has a price.
    async fn priced_minutes(&self, contract: &Symbol, window: TimeWindow) -> StoreResult<BTreeSet<TimestampMs>> {
        let scope = Scope {
            since: Some(window.since()),
            until: Some(window.until().saturating_add_ms(MINUTE_MS)),
            ..Scope::symbol(self.account.clone(), contract.clone())
        };
        let mut minutes = BTreeSet::new();
        let mut pages = Pages::of(PageRequest::first(1_000), |page| self.book.price_snapshots(&scope, page));
        while let Some(page) = pages.next().await? {
            minutes.extend(page.items.iter().map(|known| minute_of(known.fact.at)));
        }
        Ok(minutes)
    }
}

/// The contract whose price is that of `asset` in `settle`; `None` for the same asset, and where no contract can have that
/// name.
pub(super) fn priced_by(asset: &Asset, settle: &Asset) -> Option<Symbol> {
    if asset == settle {
        return None;
    }
    Symbol::new(format!("{asset}{settle}")).ok()
}

/// The first millisecond of the minute of an instant.
fn minute_of(at: TimestampMs) -> TimestampMs {
    at.saturating_add_ms(-at.as_ms().rem_euclid(MINUTE_MS))
}

/// The minute that a statement about a contract's price tells of.
fn priced_minute(statement: &Statement, contract: &Symbol) -> Option<TimestampMs> {
    match &statement.fact {
        AnyFact::Price(price) if price.symbol == *contract => Some(minute_of(price.at)),
        _ => None,
    }
}

/// The latest stretch that is worth one question: minutes close to each other, or not many minutes in all.
pub(super) fn latest_window<T>(minutes: &BTreeMap<TimestampMs, T>) -> Option<TimeWindow> {
    let last = *minutes.last_key_value()?.0;
    let mut first = last;
    for minute in minutes.keys().rev() {
        let gap = (first.as_ms() - minute.as_ms()) / MINUTE_MS;
        let length = (last.as_ms() - minute.as_ms()) / MINUTE_MS + 1;
        if length > MINUTES_MAX || (gap > GAP_MINUTES_MAX && length > SPARSE_MINUTES_MAX) {
            break;
        }
        first = *minute;
    }
    Some(TimeWindow::up_to(last, first))
}
