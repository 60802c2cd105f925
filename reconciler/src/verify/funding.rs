//! Funding: whoever held a position at an instant of the venue's list was paid or charged, by its rate and mark price.
//!
//! `verify` holds every instant against its rows. A look does so where a row is missing, where one is new, and where there
//! was a difference before: what was compared once does not change by itself.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::demands::{AROUND_MS, CoveredTime, FundingCase, FundingDoubt, FundingVerdict, HeldAround, HeldLeg};
use ledger_core::{AccountId, Fact, FundingRate, Income, IncomeType, Instrument, PositionSide, Symbol, TimestampMs};
use ledger_store::{CoverageSpan, DiscrepancyKey, IncomeFilter, PageRequest, Pages, Scope, StoreError};

use super::quiet::{QuietTime, quiet_time};
use super::waiting::{SETTLED_BY, ledger_time, outlook, waited};
use super::{BOOK_PAGE_ROWS, Check, CheckName, Comparison, Extent, UNCOMPUTED, Verification};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::Finding;
use crate::memory::{FundingMemory, recall_all};
use crate::observe::Observation;
use crate::streams::FILLS;
use crate::unreadable::ReadableBook;
use crate::wording::instant;

const NAME: CheckName = CheckName::Funding;

/// For so long after its instant a look holds a rate against its rows, new or not.
const LATE_MS: i64 = 2 * 3_600_000;

pub(super) async fn check_funding(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    match funding(extent, book, account, verification).await {
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

async fn funding(
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
    let quiet = quiet_time(extent, book, account, &coverage).await?;
    let mut comparing = Comparing {
        extent,
        quiet,
        book,
        account,
        ledger: ledger_time(&coverage),
        coverage,
        comparison: Comparison::of("funding instant", extent.on_record()),
        known: known(extent),
        settled: BTreeSet::new(),
    };
    let instants = match extent {
        Extent::Look(observation) => comparing.of_look(observation).await?,
        Extent::Book { .. } => comparing.of_book().await?,
    };
    for (symbol, instants) in instants {
        // What is held is not what the exchange holds: what was paid for that is another matter.
        let differs = verification.mismatched_positions.keys().any(|(of, _)| *of == symbol)
            || verification.unfilled_orders.keys().any(|key| key.symbol == symbol)
            || comparing.lacks_fills(&symbol).await?;
        if differs {
            comparing.comparison.leave_out(instants.len(), "the position is not what the exchange holds");
            continue;
        }
        comparing.compare(&symbol, instants).await?;
    }
    let Comparing { comparison, settled, known, .. } = comparing;
    verification.met.extend(known.into_iter().filter(|(key, _)| settled.contains(key)).flat_map(|(_, keys)| keys));
    let (check, findings) = comparison.check(NAME, "no position is known to have been held at a funding instant");
    verification.checks.push(check);
    verification.findings.extend(findings);
    Ok(())
}

/// An instant of the venue's list, with the ledger's rows of it.
struct Instant {
    rate: FundingRate,
    rows: Vec<Income>,
}

type Instants = BTreeMap<Symbol, Vec<Instant>>;
type Rows = BTreeMap<Symbol, BTreeMap<TimestampMs, Vec<Income>>>;

struct Comparing<'a> {
    extent: Extent<'a>,
    book: &'a ReadableBook<'a>,
    account: &'a AccountId,
    coverage: Vec<CoverageSpan>,
    /// What the last look read beyond that.
    quiet: Option<QuietTime>,
    /// When the ledger was read.
    ledger: CoveredTime,
    comparison: Comparison<'a>,
    /// The differences on record, by contract and instant.
    known: BTreeMap<(Symbol, TimestampMs), Vec<DiscrepancyKey>>,
    /// The instants of which everything is there.
    settled: BTreeSet<(Symbol, TimestampMs)>,
}

/// What was missing or differed before, by contract and instant.
fn known(extent: Extent<'_>) -> BTreeMap<(Symbol, TimestampMs), Vec<DiscrepancyKey>> {
    let mut keys: BTreeMap<(Symbol, TimestampMs), Vec<DiscrepancyKey>> = BTreeMap::new();
    for (known, memory) in recall_all::<FundingMemory>(extent.on_record()) {
        if let Some(symbol) = known.entry.symbol.clone().filter(|symbol| extent.covers(symbol)) {
            keys.entry((symbol, memory.at)).or_default().push(known.entry.key.clone());
        }
    }
    keys
}

fn add(rows: &mut Rows, row: Income) {
    let Some(symbol) = row.key.symbol.clone() else { return };
    if row.key.income_type.is(IncomeType::FUNDING_FEE) {
        rows.entry(symbol).or_default().entry(row.time.at).or_default().push(row);
    }
}

/// Takes the rows of an instant.
fn rows_of(rows: &mut Rows, symbol: &Symbol, at: TimestampMs) -> Vec<Income> {
    let Some(of_symbol) = rows.get_mut(symbol) else { return Vec::new() };
    let around = at.saturating_add_ms(-AROUND_MS)..=at.saturating_add_ms(AROUND_MS);
    of_symbol.extract_if(around, |_, _| true).flat_map(|(_, rows)| rows).collect()
}

impl Comparing<'_> {
    /// Every instant on record. Rows without one are left out.
    async fn of_book(&mut self) -> Result<Instants, ReconcileError> {
        let mut rows = Rows::new();
        let funding = IncomeType::FUNDING_FEE.parse().ok();
        let filter = IncomeFilter { scope: Scope::account(self.account.clone()), income_type: funding };
        let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.income(&filter, page));
        while let Some(page) = pages.next().await.doing("reading the income")? {
            page.items.into_iter().for_each(|row| add(&mut rows, row.fact));
        }
        let mut instants = Instants::new();
        for rate in self.rates(Scope::account(self.account.clone())).await? {
            let rows = rows_of(&mut rows, &rate.symbol, rate.at);
            if !rate.rate.is_zero() || !rows.is_empty() {
                instants.entry(rate.symbol.clone()).or_default().push(Instant { rate, rows });
            }
        }
        let without: Vec<&Income> = rows.values().flat_map(BTreeMap::values).flatten().collect();
        let example = || without.first().and_then(|row| Some(wording(row.key.symbol.as_ref()?, row.time.at)));
        self.comparison.leave_out_as(without.len(), "the venue's rate of that moment is not on record", example);
        Ok(instants)
    }

    /// The instants that this look has something to say of.
    async fn of_look(&mut self, observation: &Observation) -> Result<Instants, ReconcileError> {
        let mut wanted: BTreeMap<Symbol, BTreeSet<TimestampMs>> = BTreeMap::new();
        let unpaid = self.book.rates_without_rows(self.account).await.doing("looking for unpaid funding")?;
        let mut rates: BTreeMap<(Symbol, TimestampMs), FundingRate> = BTreeMap::new();
        for rate in unpaid.into_iter().map(|rate| rate.fact) {
            wanted.entry(rate.symbol.clone()).or_default().insert(rate.at);
            rates.insert(rate.key(), rate);
        }
        let told = observation.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        let new = told.filter(|row| !observation.book.known_income.contains(&row.key));
        let mut rows = Rows::new();
        new.for_each(|row| add(&mut rows, row.clone()));
        let mut near: Vec<(Symbol, TimestampMs)> = Vec::new();
        for (symbol, of_symbol) in &rows {
            near.extend(of_symbol.keys().map(|at| (symbol.clone(), *at)));
        }
        near.extend(self.known.keys().cloned());
        // A rate may be listed later than the row is posted.
        let late = Scope {
            since: Some(observation.asked_at.saturating_add_ms(-LATE_MS)),
            ..Scope::account(self.account.clone())
        };
        for rate in self.rates(late).await? {
            wanted.entry(rate.symbol.clone()).or_default().insert(rate.at);
            rates.insert(rate.key(), rate);
        }
        for (symbol, at) in near {
            let (since, until) = (at.saturating_add_ms(-AROUND_MS), at.saturating_add_ms(AROUND_MS + 1));
            let scope = Scope { since: Some(since), until: Some(until), ..Scope::symbol(self.account.clone(), symbol) };
            for rate in self.rates(scope).await? {
                wanted.entry(rate.symbol.clone()).or_default().insert(rate.at);
                rates.insert(rate.key(), rate);
            }
        }
        let mut instants = Instants::new();
        for (key, rate) in rates {
            if !self.extent.covers(&key.0) || !wanted.get(&key.0).is_some_and(|wanted| wanted.contains(&key.1)) {
                continue;
            }
            let mut of_instant = self.booked_rows(&key.0, key.1).await?;
            for row in rows_of(&mut rows, &key.0, key.1) {
                if of_instant.iter().all(|known| known.key != row.key) {
                    of_instant.push(row);
                }
            }
            instants.entry(key.0).or_default().push(Instant { rate, rows: of_instant });
        }
        Ok(instants)
    }

    async fn booked_rows(&self, symbol: &Symbol, at: TimestampMs) -> Result<Vec<Income>, ReconcileError> {
        let (since, until) = (at.saturating_add_ms(-AROUND_MS), at.saturating_add_ms(AROUND_MS + 1));
        let scope =
            Scope { since: Some(since), until: Some(until), ..Scope::symbol(self.account.clone(), symbol.clone()) };
        let filter = IncomeFilter { scope, income_type: IncomeType::FUNDING_FEE.parse().ok() };
        let page = self.book.income(&filter, PageRequest::first(BOOK_PAGE_ROWS)).await;
        Ok(page.doing("reading the income")?.items.into_iter().map(|row| row.fact).collect())
    }

    async fn rates(&self, scope: Scope) -> Result<Vec<FundingRate>, ReconcileError> {
        let mut rates = Vec::new();
        let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.funding_rates(&scope, page));
        while let Some(page) = pages.next().await.doing("reading the funding rates")? {
            rates.extend(page.items.into_iter().map(|rate| rate.fact));
        }
        Ok(rates)
    }

    /// Whether the exchange has listed fills of a contract that the book lacks, as in an audit, which records nothing.
    async fn lacks_fills(&self, symbol: &Symbol) -> Result<bool, ReconcileError> {
        let Extent::Look(observation) = self.extent else { return Ok(false) };
        let Some(close) = observation.symbols.get(symbol) else { return Ok(false) };
        let listed = close.fills.iter().flat_map(|walk| walk.rows.keys());
        let Some(new) = listed.filter(|key| !close.book_fills.contains_key(key)).min() else { return Ok(false) };
        Ok(self.book.fill(self.account, new).await.doing("reading a fill")?.is_none())
    }

    async fn compare(&mut self, symbol: &Symbol, instants: Vec<Instant>) -> Result<(), ReconcileError> {
        let instrument = self.book.instrument(self.account, symbol).await.doing("reading a contract")?;
        let times = instants.iter().map(|instant| instant.rate.at).collect();
        let spans = self.coverage.iter().filter(|span| span.stream == FILLS);
        let of_symbol = spans.filter(|span| span.symbol.as_ref().is_none_or(|of| of == symbol));
        let quiet = self.quiet.as_ref().and_then(|quiet| quiet.of(symbol));
        let fills = CoveredTime::new(of_symbol.map(|span| (span.since, span.until)).chain(quiet));
        let held = self.book.held_around(self.account, symbol, times).await.doing("computing what was held")?;
        let proven = held.into_iter().map(|around| (around.at, around.proven_over(&fills)));
        let held: BTreeMap<TimestampMs, HeldAround> = proven.collect();
        for instant in instants {
            match (&instrument, held.get(&instant.rate.at)) {
                (Some(instrument), Some(held)) => self.judge(&instrument.fact, &instant, held, &fills),
                _ if instant.rows.is_empty() => {}
                _ => self.comparison.leave_out(1, UNCOMPUTED),
            }
        }
        Ok(())
    }

    fn judge(&mut self, instrument: &Instrument, instant: &Instant, held: &HeldAround, fills: &CoveredTime) {
        let Instant { rate, rows } = instant;
        let (at, is_held) = (rate.at, held.legs.iter().any(|leg| !leg.is_flat()));
        let (first, last) = (at.saturating_add_ms(-AROUND_MS), at.saturating_add_ms(AROUND_MS));
        let example = || Some(wording(&rate.symbol, at));
        if fills.holds(first, last).is_err() {
            let is_any = is_held || !rows.is_empty();
            let reason = "the fills of that time may not all be there";
            return self.comparison.leave_out_as(usize::from(is_any), reason, example);
        }
        let is_read = self.known.contains_key(&(rate.symbol.clone(), at)) || self.ledger.holds(at, last).is_ok();
        let verdict = FundingCase { instrument, rate, rows, held }.judge();
        match verdict {
            FundingVerdict::NotDemanded => drop(self.settled.insert((rate.symbol.clone(), at))),
            FundingVerdict::Agrees => {
                self.settled.insert((rate.symbol.clone(), at));
                self.comparison.compared += 1;
            }
            FundingVerdict::Missing { .. } if !is_read => {
                self.comparison.leave_out_as(1, "the ledger of that time was not read", example);
            }
            FundingVerdict::Missing { .. } | FundingVerdict::Differs { .. } => {
                let finding = self.finding(instrument, instant, held, verdict);
                self.comparison.demand(finding);
            }
            // A position that is not known and was not paid for may have been none.
            FundingVerdict::NotCheckable(FundingDoubt::Position) if rows.is_empty() && !is_held => {}
            FundingVerdict::NotCheckable(doubt) => {
                let reason = match doubt {
                    FundingDoubt::Position => "what was held then is not known for certain",
                    FundingDoubt::Flat => "nothing is known to have been held then",
                    FundingDoubt::MarkPrice => "the venue's list does not state the mark price",
                    FundingDoubt::Asset => "it was paid in another asset than the contract's",
                    FundingDoubt::Range => "the amounts cannot be added up exactly",
                };
                self.comparison.leave_out_as(1, reason, example);
            }
        }
    }

    fn finding(
        &self,
        instrument: &Instrument,
        instant: &Instant,
        held: &HeldAround,
        verdict: FundingVerdict,
    ) -> Finding {
        let FundingRate { symbol, at, rate, mark_price } = &instant.rate;
        let asset = &instrument.settle_asset;
        let (kind, said) = match verdict {
            FundingVerdict::Missing { amount } => {
                (DiscrepancyKind::MissingFunding, format!("is {amount} {asset}, and the ledger has no such row"))
            }
            FundingVerdict::Differs { stated, least, most } if least == most => {
                (DiscrepancyKind::FundingMismatch, format!("is {least} {asset}, and the ledger says {stated}"))
            }
            FundingVerdict::Differs { stated, least, most } => (
                DiscrepancyKind::FundingMismatch,
                format!("is between {least} and {most} {asset}, and the ledger says {stated}"),
            ),
            _ => (DiscrepancyKind::FundingMismatch, String::new()),
        };
        let legs: Vec<String> = held.legs.iter().filter(|leg| !leg.is_flat()).map(shown).collect();
        let mark = mark_price.map(|mark| format!(" at {mark}")).unwrap_or_default();
        let evidence =
            format!("{}: {}{mark} and a rate of {rate} {said}; {SETTLED_BY}", wording(symbol, *at), legs.join(" and "));
        let subject = Subject::Funding(symbol.clone(), *at);
        let wait = waited(self.extent, kind, &subject, *at, |known: &FundingMemory| known.wait);
        let outlook = outlook(self.extent, kind, &subject, wait);
        Finding::new(kind, Some(symbol), subject, outlook, evidence).remembering(FundingMemory { at: *at, wait })
    }
}

/// A position and its sizes, in words.
fn shown(leg: &HeldLeg) -> String {
    let sizes: Vec<String> = leg.sizes.iter().map(ToString::to_string).collect();
    let side = match leg.position_side {
        PositionSide::Net => String::new(),
        side => format!("{side} "),
    };
    format!("{side}{}", sizes.join(", then "))
}

fn wording(symbol: &Symbol, at: TimestampMs) -> String {
    format!("funding of {symbol} at {}", instant(at))
}
