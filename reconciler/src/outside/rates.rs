//! Which funding rates are asked for, and what is recorded of the answers.
//!
//! A contract needs the rates from its first fill or funding row on, for as long as it is held or the ledger has rows of it.
//! When these instants are, only the exchange's list tells. How far that was read is kept as coverage, so that nothing is
//! asked for twice and an older export that turns up later reaches back by itself.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{ExchangeReader, TimeWindow, WindowQuery};
use ledger_core::{FundingRate, Source, Sourced, Statement, Symbol, TimestampMs, merge};
use ledger_store::{BookPosition, CoverageGrade, CoverageSpan, FundingReach};

use super::{Asking, Budget, Trouble};
use crate::confirming::ReadBefore;
use crate::policy::Policy;
use crate::streams::FUNDING_RATES;

/// A row of the ledger is posted up to this long after its instant, and a position that changes within this of an instant may
/// or may not have been funded.
const AROUND_MS: i64 = 60_000;
/// A list may lack a rate for this long after its instant.
const LAG_MS: i64 = 60_000;
/// A rate that is still not listed this long after a row of its instant will not come.
const LATE_MS_MAX: i64 = 3_600_000;
/// From how many contracts on one question about all of them is cheaper.
const ALONE_MAX: usize = 4;
/// How long the stretches are that are read a second time: one question a day is enough for what was asked by the hour.
const AGAIN_MS_MIN: i64 = 86_400_000;
/// How long a stretch may be of which all contracts are asked at once.
const TOGETHER_MS_MAX: i64 = 86_400_000;

/// Rates of a contract that have not been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueRates {
    pub(super) symbol: Symbol,
    pub(super) window: TimeWindow,
    /// The last funding row in it: its rate has to be listed.
    pub(super) row: Option<TimestampMs>,
}

/// What the book has of the rates that each contract needs.
pub(super) struct Known<'a> {
    pub(super) reaches: &'a [FundingReach],
    pub(super) positions: &'a [BookPosition],
    pub(super) coverage: &'a [CoverageSpan],
}

/// What to ask for, oldest first. A contract of which nothing but the last stretch is missing waits for a funding row or for
/// the policy's stride to be over: most looks find no new instant.
pub(super) fn due(known: &Known<'_>, now: TimestampMs, policy: &Policy) -> Vec<DueRates> {
    let settled = now.saturating_add_ms(-LAG_MS);
    let mut due = Vec::new();
    for reach in known.reaches {
        let since = reach.first.saturating_add_ms(-AROUND_MS);
        let until = needed_until(known.positions, reach, settled).min(settled);
        let mut next = since;
        for (begin, end) in covered(known.coverage, &reach.symbol) {
            if next < begin && next < until {
                due.push(due_in(reach, next, begin.min(until)));
            }
            next = next.max(end);
        }
        let has_row = reach.last_row.is_some_and(|row| row >= next && row < until);
        let is_time = settled.as_ms().saturating_sub(next.as_ms()) >= policy.rate_stride_ms;
        if next < until && (next == since || has_row || is_time) {
            due.push(due_in(reach, next, until));
        }
    }
    due.sort_by_key(|rates| rates.window.since());
    due
}

/// What was read once, and is read a second time to be confirmed.
pub(super) fn again(read_before: &ReadBefore, reaches: &[FundingReach]) -> Vec<DueRates> {
    let mut again = Vec::new();
    for reach in reaches {
        let list = (FUNDING_RATES, Some(&reach.symbol));
        // What is to be read from the beginning is due anyway.
        if read_before.reopened(list).next().is_some() {
            continue;
        }
        let mut from = TimestampMs::MIN;
        while let Some((since, until)) = read_before.unconfirmed(list, from) {
            if until.as_ms().saturating_sub(since.as_ms()) >= AGAIN_MS_MIN {
                let window = TimeWindow::up_to(until.saturating_add_ms(-1), since);
                again.push(DueRates { symbol: reach.symbol.clone(), window, row: None });
            }
            from = until;
        }
    }
    again
}

/// The stretch from `since` to `end`, which is not part of it.
fn due_in(reach: &FundingReach, since: TimestampMs, end: TimestampMs) -> DueRates {
    let window = TimeWindow::up_to(end.saturating_add_ms(-1), since);
    DueRates { symbol: reach.symbol.clone(), window, row: reach.last_row.filter(|row| window.contains(*row)) }
}

/// Until when a contract needs its rates: now while it is held, else until it was held last.
fn needed_until(positions: &[BookPosition], reach: &FundingReach, now: TimestampMs) -> TimestampMs {
    let held = positions.iter().filter(|held| held.symbol == reach.symbol);
    let held = held.filter_map(|held| {
        let is_open = !held.position.qty.is_zero() || held.exchange.as_ref().is_some_and(|said| !said.qty.is_zero());
        if is_open { Some(now) } else { held.position.updated_at }
    });
    let last = held.chain(reach.last_row).max().unwrap_or(reach.first);
    last.saturating_add_ms(AROUND_MS)
}

/// Where the list of a contract was read, in order.
fn covered(coverage: &[CoverageSpan], symbol: &Symbol) -> Vec<(TimestampMs, TimestampMs)> {
    let spans = coverage.iter().filter(|span| span.stream == FUNDING_RATES && span.symbol.as_ref() == Some(symbol));
    let mut spans: Vec<_> = spans.map(|span| (span.since, span.until)).collect();
    spans.sort_unstable();
    spans
}

/// What came of a question.
#[derive(Debug)]
pub(super) struct RatesSeen {
    pub(super) due: DueRates,
    /// The rates of its window.
    pub(super) rates: Vec<Statement>,
    /// Up to where the list was read, exclusive; the window's beginning where it was not.
    pub(super) read_to: TimestampMs,
    /// What it confirms.
    pub(super) confirmed: Vec<CoverageSpan>,
}

/// Asks until the budget is used up or the exchange is in trouble. What was not asked for is due again the next time.
pub(super) async fn ask(
    exchange: &dyn ExchangeReader,
    due: Vec<DueRates>,
    may_ask_all: bool,
    asking: &mut Asking,
    budget: &mut Budget,
) -> Vec<RatesSeen> {
    let mut seen = Vec::new();
    let newest = due.iter().map(|rates| rates.window.until()).max();
    let is_recent = |rates: &DueRates| {
        newest.is_some_and(|newest| newest.as_ms() - rates.window.since().as_ms() <= TOGETHER_MS_MAX)
    };
    let (recent, mut alone): (Vec<_>, Vec<_>) = due.into_iter().partition(is_recent);
    if may_ask_all && recent.len() > ALONE_MAX {
        alone.extend(ask_together(exchange, recent, asking, budget, &mut seen).await);
    } else {
        alone.extend(recent);
    }
    for rates in alone {
        if asking.is_over || budget.is_spent() {
            break;
        }
        let what = format!("funding rates of {}", rates.symbol);
        let window = rates.window;
        let (rows, read_to, trouble) = walk(exchange, Some(&rates.symbol), window, budget).await;
        let listed = rows.into_iter().map(|(_, statement)| statement).collect();
        let mut answer = RatesSeen { rates: listed, read_to, due: rates, confirmed: Vec::new() };
        match trouble.map(|error| asking.note(&what, &error)) {
            // Nobody will ever tell: that is all there is to know.
            Some(Trouble::NoSuchContract) => answer.read_to = window.until().saturating_add_ms(1),
            Some(Trouble::ForNow | Trouble::Here) => {}
            None => answer.hold_back_where_a_rate_is_late(window.until()),
        }
        seen.push(answer);
    }
    seen
}

/// One walk for all of them; answers those that have to be asked for one by one after all.
async fn ask_together(
    exchange: &dyn ExchangeReader,
    due: Vec<DueRates>,
    asking: &mut Asking,
    budget: &mut Budget,
    seen: &mut Vec<RatesSeen>,
) -> Vec<DueRates> {
    let bounds =
        (due.iter().map(|rates| rates.window.since()).min(), due.iter().map(|rates| rates.window.until()).max());
    let (Some(since), Some(until)) = bounds else { return due };
    let (rows, read_to, trouble) = walk(exchange, None, TimeWindow::up_to(until, since), budget).await;
    if let Some(error) = trouble {
        asking.note("funding rates", &error);
        return due;
    }
    let mut by_symbol: BTreeMap<Symbol, Vec<Statement>> = BTreeMap::new();
    for (rate, statement) in rows {
        by_symbol.entry(rate.symbol).or_default().push(statement);
    }
    let mut alone = Vec::new();
    for rates in due {
        let end = rates.window.until().saturating_add_ms(1);
        let listed = by_symbol.remove(&rates.symbol).unwrap_or_default();
        let mut answer = RatesSeen { rates: listed, read_to: read_to.min(end), due: rates, confirmed: Vec::new() };
        answer.rates.retain(|statement| instant_of(statement).is_some_and(|at| answer.due.window.contains(at)));
        // A list of all contracts that lacks a rate which a ledger row proves is not what it is taken for.
        if answer.read_to >= end && answer.lacks_the_rate_of_its_row() {
            alone.push(answer.due);
        } else {
            seen.push(answer);
        }
    }
    alone
}

type Rows = Vec<(FundingRate, Statement)>;

/// Reads a window, as far as it goes: its rows, up to where it was read (exclusive), and what went wrong. A row that cannot
/// be read ends it for all contracts: nothing tells what else it hides.
async fn walk(
    exchange: &dyn ExchangeReader,
    symbol: Option<&Symbol>,
    window: TimeWindow,
    budget: &mut Budget,
) -> (Rows, TimestampMs, Option<exchange_client::ExchangeError>) {
    let mut rows = Vec::new();
    let mut query = WindowQuery::new(window);
    loop {
        if !budget.spend() {
            return (rows, query.window.since(), None);
        }
        let mut page = match exchange.fetch_funding_rates(symbol.cloned(), query).await {
            Ok(page) => page,
            Err(error) => return (rows, query.window.since(), Some(error)),
        };
        rows.extend(page.rows.iter().map(|row| (row.entity.clone(), row.statement())));
        if let Some(unreadable) = page.unreadable.pop() {
            return (rows, query.window.since(), Some(unreadable.error));
        }
        match page.next {
            Some(next) => query = next,
            None => return (rows, window.until().saturating_add_ms(1), None),
        }
    }
}

fn instant_of(statement: &Statement) -> Option<TimestampMs> {
    match &statement.fact {
        ledger_core::AnyFact::FundingRate(rate) => Some(rate.at),
        _ => None,
    }
}

impl RatesSeen {
    fn lacks_the_rate_of_its_row(&self) -> bool {
        let Some(row) = self.due.row else { return false };
        let is_of_row = |at: TimestampMs| (at.as_ms() - row.as_ms()).abs() <= AROUND_MS;
        !self.rates.iter().filter_map(instant_of).any(is_of_row)
    }

    /// A rate that a ledger row proves and the list lacks is asked for again, for a while.
    fn hold_back_where_a_rate_is_late(&mut self, now: TimestampMs) {
        if let Some(row) = self.due.row
            && self.lacks_the_rate_of_its_row()
            && now.as_ms() - row.as_ms() < LATE_MS_MAX
        {
            let before = row.saturating_add_ms(-AROUND_MS).max(self.due.window.since());
            self.read_to = self.read_to.min(before);
        }
    }

    /// What was read, as far as it was.
    fn window(&self) -> Option<TimeWindow> {
        let since = self.due.window.since();
        (since < self.read_to).then(|| TimeWindow::up_to(self.read_to.saturating_add_ms(-1), since))
    }

    /// Whether it tells of a time that was read before.
    pub(super) fn parts_read_before(&self, read_before: &ReadBefore) -> Option<TimeWindow> {
        let window = self.window()?;
        let list = (FUNDING_RATES, Some(&self.due.symbol));
        (!read_before.parts(list, window).is_empty()).then_some(window)
    }

    /// Compares it with the book's rates of its time: what was answered the same is confirmed, and no news.
    pub(super) fn confirm(&mut self, read_before: &ReadBefore, window: TimeWindow, booked: &[Sourced<FundingRate>]) {
        let known: BTreeMap<TimestampMs, &Sourced<FundingRate>> =
            booked.iter().map(|rate| (rate.fact.at, rate)).collect();
        let listed: BTreeSet<TimestampMs> = self.rates.iter().filter_map(instant_of).collect();
        let new = listed.iter().copied().filter(|at| !known.contains_key(at));
        let is_unlisted =
            |rate: &&Sourced<FundingRate>| rate.provenance.source == Source::Rest && !listed.contains(&rate.fact.at);
        let differing: Vec<_> = new.chain(booked.iter().filter(is_unlisted).map(|rate| rate.fact.at)).collect();
        self.confirmed = read_before.confirmed((FUNDING_RATES, Some(&self.due.symbol)), window, &differing);
        self.rates.retain(|statement| match &statement.fact {
            ledger_core::AnyFact::FundingRate(rate) => known
                .get(&rate.at)
                .is_none_or(|known| merge(known, &Sourced::new(rate.clone(), statement.source)).0 != **known),
            _ => true,
        });
    }

    pub(super) fn coverage(&self) -> Vec<CoverageSpan> {
        let since = self.due.window.since();
        let asked = (since < self.read_to).then(|| CoverageSpan {
            stream: FUNDING_RATES.to_owned(),
            symbol: Some(self.due.symbol.clone()),
            grade: CoverageGrade::Asked,
            since,
            until: self.read_to,
        });
        asked.into_iter().chain(self.confirmed.iter().cloned()).collect()
    }
}
