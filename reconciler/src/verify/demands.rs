//! The other direction of the ledger and the fills: every fee and every profit of a fill has its row.
//!
//! `verify` asks this of all of the book, and so does a look, unless the book is large: then it asks it of the time of which it
//! has read the ledger, and of what was missing before, for what it found there once stays there.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::demands::{
    CoveredTime, DemandedRow, ROW_LAG_MS, Unread, demanded_rows, lacking_rows, without_unnamed,
};
use ledger_core::{AccountId, Asset, Fill, FillId, FillKey, Income, Side, Symbol, TimestampMs};
use ledger_store::{DiscrepancyKey, FillFilter, PageRequest, Pages, Scope, StoreError};

use super::told::ToldRows;
use super::waiting::{SETTLED_BY, ledger_time, outlook, waited};
use super::{BOOK_PAGE_ROWS, Check, CheckName, Comparison, Extent, UNCOMPUTED, Verification};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::Finding;
use crate::memory::{DemandMemory, recall_all};
use crate::policy::DEMAND_FILLS_MAX;
use crate::streams::INCOME;
use crate::unreadable::ReadableBook;
use crate::wording::instant;

const NAME: CheckName = CheckName::FillsHaveIncome;

pub(super) async fn check_demands(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    match demanded(extent, book, account, verification).await {
        // The look goes on without what it hides.
        Err(ReconcileError::Store { source: StoreError::CorruptRow { row }, .. })
            if matches!(extent, Extent::Look(_)) =>
        {
            verification.checks.push(Check::not_checkable(NAME, format!("a row cannot be read: {row}")));
            Ok(())
        }
        done => done,
    }
}

async fn demanded(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    if let Extent::Look(observation) = extent
        && !observation.income.is_answered()
    {
        verification.not_checkable(NAME, "the exchange did not answer with its ledger");
        return Ok(());
    }
    let coverage = book.coverage(account).await.doing("reading the coverage")?;
    let mut demands = Demands {
        extent,
        book,
        account,
        stretches: Vec::new(),
        covered: ledger_time(&coverage),
        comparison: Comparison::of("fill", extent.on_record()),
        profit_assets: BTreeMap::new(),
        told: ToldRows::of(extent),
        lacking: BTreeMap::new(),
        seen: BTreeSet::new(),
        missing: BTreeSet::new(),
        whole: 0,
    };
    demands.stretches = demands.looked_at().await?;
    let looked_for = demands.on_record().await?;
    demands.all().await?;
    demands.count().await?;
    let Demands { mut comparison, covered, missing, .. } = demands;
    verification.met.extend(looked_for.into_iter().filter(|key| !missing.contains(key)));
    // Every fill that lacks a row was one of those.
    comparison.compared = comparison.compared.max(comparison.count);
    let none = if covered.stretches().is_empty() {
        "the ledger was never read from the exchange"
    } else {
        "no fill is of the time in which the ledger was read"
    };
    let (check, findings) = comparison.check(NAME, none);
    verification.checks.push(check);
    verification.findings.extend(findings);
    Ok(())
}

struct Demands<'a> {
    extent: Extent<'a>,
    book: &'a ReadableBook<'a>,
    account: &'a AccountId,
    /// When the ledger was read.
    covered: CoveredTime,
    /// What of that is looked at.
    stretches: Vec<(TimestampMs, TimestampMs)>,
    comparison: Comparison<'a>,
    profit_assets: BTreeMap<Symbol, Asset>,
    told: ToldRows,
    /// What no row that names its trade is for, by contract.
    lacking: BTreeMap<Symbol, Vec<DemandedRow>>,
    /// The trades that were looked at.
    seen: BTreeSet<(Symbol, FillId)>,
    /// What is missing, and what may be, whether or not it is told by name.
    missing: BTreeSet<DiscrepancyKey>,
    /// How many fills of these trades do not count as compared.
    whole: usize,
}

impl Demands<'_> {
    /// A look at a large book looks at what was read by it, and at what was not read before its cycle.
    async fn looked_at(&self) -> Result<Vec<(TimestampMs, TimestampMs)>, ReconcileError> {
        let all = FillFilter::from(Scope::account(self.account.clone()));
        let is_small = self.book.fill_count(&all).await.doing("counting fills")? <= DEMAND_FILLS_MAX;
        let Extent::Look(observation) = self.extent else { return Ok(self.covered.stretches().to_vec()) };
        if is_small {
            return Ok(self.covered.stretches().to_vec());
        }
        let before = observation.read_before.time(INCOME);
        let windows = observation.income.iter().map(|walk| walk.window);
        let read = windows.map(|window| (window.since(), window.until().saturating_add_ms(1)));
        let read = self.covered.within(&CoveredTime::new(read));
        let new = self.covered.without(&before);
        Ok(CoveredTime::new(read.stretches().iter().chain(new.stretches()).copied()).stretches().to_vec())
    }

    /// What was missing before is looked for again, wherever it lies; answers what that was.
    async fn on_record(&mut self) -> Result<BTreeSet<DiscrepancyKey>, ReconcileError> {
        let mut looked_for = BTreeSet::new();
        let known: Vec<_> = recall_all::<DemandMemory>(self.extent.on_record())
            .filter_map(|(known, memory)| Some((known.entry.key.clone(), known.entry.symbol.clone()?, memory.fill_id)))
            .collect();
        for (key, symbol, fill_id) in known {
            if !self.extent.covers(&symbol) {
                continue;
            }
            looked_for.insert(key);
            if self.seen.insert((symbol.clone(), fill_id.clone())) {
                let halves = self.halves(&symbol, &fill_id).await?;
                self.look_at(&symbol, &fill_id, &halves).await?;
            }
        }
        Ok(looked_for)
    }

    /// Looks at every trade of which the database finds that rows may be missing.
    async fn all(&mut self) -> Result<(), ReconcileError> {
        for (since, until) in self.stretches.clone() {
            let scope =
                Scope { since: Some(since), until: Some(before_lag(until)), ..Scope::account(self.account.clone()) };
            let first = PageRequest::first(BOOK_PAGE_ROWS);
            let first = if matches!(self.extent, Extent::Look(_)) { first.past_unreadable() } else { first };
            let mut pages = Pages::of(first, |page| self.book.fills_without_rows(&scope, page));
            while let Some(page) = pages.next().await.doing("looking for fills without ledger rows")? {
                for fill in page.items.iter().map(|fill| &fill.fact) {
                    self.candidate(fill).await?;
                }
            }
        }
        for (symbol, lacking) in std::mem::take(&mut self.lacking) {
            self.tell(&symbol, lacking).await?;
        }
        Ok(())
    }

    async fn candidate(&mut self, fill: &Fill) -> Result<(), ReconcileError> {
        let FillKey { symbol, fill_id, .. } = &fill.key;
        if !self.extent.covers(symbol) {
            return Ok(());
        }
        if fill.fee.is_none() && fill.exchange_realized_pnl.is_none() {
            self.whole += 1;
            self.comparison.leave_out(1, "the fill states neither a fee nor a profit");
            return Ok(());
        }
        if !self.seen.insert((symbol.clone(), fill_id.clone())) {
            return Ok(());
        }
        let halves = self.halves(symbol, fill_id).await?;
        // One half may lie outside of what was read.
        let is_read = halves
            .iter()
            .all(|half| self.covered.holds(half.time.at, half.time.at.saturating_add_ms(ROW_LAG_MS)).is_ok());
        if is_read { self.look_at(symbol, fill_id, &halves).await } else { Ok(()) }
    }

    /// Notes what a trade demands and no row that names it is for.
    async fn look_at(&mut self, symbol: &Symbol, fill_id: &FillId, halves: &[Fill]) -> Result<(), ReconcileError> {
        // Of a contract that is not on record only the fees say an asset.
        let stated = halves.iter().find_map(|half| half.fee.as_ref()).map(|fee| fee.asset.clone());
        let Some(profit_asset) = self.profit_asset(symbol).await?.or(stated) else {
            self.whole += halves.len();
            self.comparison.leave_out(halves.len(), UNCOMPUTED);
            return Ok(());
        };
        let rows = self.told.with_booked(&**self.book, self.account, symbol, fill_id).await?;
        match demanded_rows(halves, &profit_asset).and_then(|demanded| lacking_rows(demanded, &rows)) {
            Ok(lacking) => {
                if !lacking.is_empty() {
                    self.lacking.entry(symbol.clone()).or_default().extend(lacking);
                }
            }
            Err(_) => self.comparison.leave_out_as(1, "the amounts cannot be added up exactly", || {
                Some(format!("{symbol} trade {fill_id}"))
            }),
        }
        Ok(())
    }

    async fn halves(&self, symbol: &Symbol, fill_id: &FillId) -> Result<Vec<Fill>, ReconcileError> {
        let mut halves = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
            halves.extend(self.book.fill(self.account, &key).await.doing("reading a fill")?.map(|fill| fill.fact));
        }
        Ok(halves)
    }

    /// What a contract pays in; `None` where that is not on record.
    async fn profit_asset(&mut self, symbol: &Symbol) -> Result<Option<Asset>, ReconcileError> {
        if let Some(known) = self.profit_assets.get(symbol) {
            return Ok(Some(known.clone()));
        }
        let instrument = self.book.instrument(self.account, symbol).await.doing("reading a contract")?;
        let asset = instrument.map(|instrument| instrument.fact.settle_asset);
        if let Some(asset) = &asset {
            self.profit_assets.insert(symbol.clone(), asset.clone());
        }
        Ok(asset)
    }

    /// Tells what a contract lacks, unless rows that name no trade stand for it.
    async fn tell(&mut self, symbol: &Symbol, lacking: Vec<DemandedRow>) -> Result<(), ReconcileError> {
        let (Some(first), Some(last)) =
            (lacking.iter().map(|row| row.at).min(), lacking.iter().map(|row| row.at).max())
        else {
            return Ok(());
        };
        let stretch = |at: TimestampMs| {
            let stretches = self.covered.stretches().iter();
            stretches.copied().find(|(since, until)| *since <= at && at < *until)
        };
        let since = stretch(first).map_or(first, |(since, _)| since.min(first));
        let until = stretch(last).map_or(last, |(_, until)| until).max(last.saturating_add_ms(ROW_LAG_MS + 1));
        let unnamed = self.book.rows_without_trade(self.account, symbol, since, until).await;
        let unnamed: Vec<Income> = unnamed.doing("reading the income")?.into_iter().map(|row| row.fact).collect();
        let number = lacking.len();
        let Ok(told) = without_unnamed(lacking, &unnamed) else {
            self.comparison.leave_out(number, "the amounts cannot be added up exactly");
            return Ok(());
        };
        self.whole += told.untold.len();
        self.missing.extend(told.lacking.iter().chain(&told.untold).map(|row| {
            let (kind, fingerprint) = (DiscrepancyKind::MissingIncome.as_str().to_owned(), subject(row).to_string());
            DiscrepancyKey { kind, fingerprint }
        }));
        let example = || told.untold.first().map(wording);
        self.comparison.leave_out_as(told.untold.len(), "its ledger rows name no trade, and may be of others", example);
        for row in &told.lacking {
            let finding = self.finding(row);
            self.whole += 1;
            self.comparison.demand(finding);
        }
        Ok(())
    }

    fn finding(&self, row: &DemandedRow) -> Finding {
        let kind = DiscrepancyKind::MissingIncome;
        let DemandedRow { symbol, fill_id, .. } = row;
        let subject = subject(row);
        let wait = waited(self.extent, kind, &subject, row.at, |known: &DemandMemory| known.wait);
        let outlook = outlook(self.extent, kind, &subject, wait);
        let evidence = format!("{}: the ledger has no such row; {SETTLED_BY}", wording(row));
        let memory = DemandMemory { fill_id: fill_id.clone(), at: row.at, wait };
        Finding::new(kind, Some(symbol), subject, outlook, evidence).remembering(memory)
    }

    /// Counts the fills of the time that was read, and those of other times by why nothing is demanded of them.
    async fn count(&mut self) -> Result<(), ReconcileError> {
        let stretches = self.stretches.clone();
        let is_all = matches!(self.extent, Extent::Book { .. });
        let mut compared = 0;
        let mut from = None;
        for (since, until) in &stretches {
            let why = if from.is_none() { Unread::Before } else { Unread::Between };
            if is_all {
                self.leave_out(self.number(from, Some(*since)).await?, why);
            }
            compared += self.number(Some(*since), Some(before_lag(*until))).await?;
            from = Some(before_lag(*until));
        }
        if is_all || from.is_some() {
            let rest = self.number(from, None).await?;
            self.leave_out(rest, if from.is_none() { Unread::Never } else { Unread::NotYet });
        }
        self.comparison.compared += compared.saturating_sub(self.whole);
        Ok(())
    }

    fn leave_out(&mut self, number: usize, why: Unread) {
        let reason = match why {
            Unread::Never => "the ledger was never read from the exchange",
            Unread::Before => "it is older than the ledger that the exchange answered with",
            Unread::Between => "the ledger of that time was not read",
            Unread::NotYet => "the ledger of that time is still to be read",
        };
        self.comparison.leave_out(number, reason);
    }

    async fn number(&self, since: Option<TimestampMs>, until: Option<TimestampMs>) -> Result<usize, ReconcileError> {
        let of = |symbol| Scope { account: self.account.clone(), symbol, since, until };
        let scopes: Vec<Scope> = match self.extent {
            Extent::Look(observation) if !observation.scope.is_empty() => {
                observation.scope.iter().map(|symbol| of(Some(symbol.clone()))).collect()
            }
            _ => vec![of(None)],
        };
        let mut number = 0;
        for scope in scopes {
            let count = self.book.fill_count(&FillFilter::from(scope)).await.doing("counting fills")?;
            number += usize::try_from(count).unwrap_or(usize::MAX);
        }
        Ok(number)
    }
}

/// A fill up to here has its rows in a stretch that ends at `until`.
fn before_lag(until: TimestampMs) -> TimestampMs {
    until.saturating_add_ms(-ROW_LAG_MS)
}

fn subject(row: &DemandedRow) -> Subject {
    let DemandedRow { symbol, fill_id, income_type, asset, .. } = row;
    Subject::Ledger(symbol.clone(), fill_id.clone(), income_type.clone(), asset.clone())
}

fn wording(row: &DemandedRow) -> String {
    let DemandedRow { symbol, fill_id, income_type, asset, at, amount, .. } = row;
    format!("{income_type} {amount} {asset} of {symbol} trade {fill_id} at {}", instant(*at))
}
