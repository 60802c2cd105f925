//! How current a book's picture of the exchange is: when it was looked at, what that saw, and what has happened since.
//!
//! What is judged here is read from the book; the judgement itself is [`FreshnessLimits::judge`].
//!
//! Invariants, each with a test of the same name:
//! 1. `an_answer_counts_as_of_the_last_look_that_confirmed_it`.
//! 2. `a_newer_fill_of_the_contract_makes_its_position_stale`, and no other contract's.
//! 3. `the_latest_mark_counts_wherever_it_was_seen`.
//!
//! What the gate asks of the last look ([`look_doubts`]) has its tests there.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    AccountId, EventTime, Exposure, Freshness, FreshnessLimits, LookStream, PositionSide, PriceKind, PriceSnapshot,
    Sighting, Staleness, Symbol, TimestampMs, next_full_hour,
};
use ledger_store::{
    Account, BookPosition, FillFilter, IncomeFilter, Look, LookOutcome, LookSuccess, OpenLook, OrderFilter, Page,
    PageRequest, Pages, Scope, Store, StoreResult,
};

use crate::error::{Doing, ReconcileError};
use crate::watch_state::WatchState;
use crate::wording::lasting;

/// How many rows are read at once.
const PAGE_ROWS: u32 = 200;

/// What a position of the book rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionFreshness {
    /// The exchange's word on its quantity; `None` where there is none.
    pub exchange: Option<Freshness>,
    /// The latest mark price, with how old it is.
    pub mark: Option<(PriceSnapshot, Freshness)>,
    /// Whether that mark is one that only the last look saw, so that what the book derived rests on an older one.
    pub is_marked_anew: bool,
}

/// How current a book's picture of its exchange is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookState {
    /// Whether the account was ever bound to an exchange account. One that was not cannot be looked at.
    pub is_bound: bool,
    /// The last look at each stream.
    pub looks: BTreeMap<LookStream, Look>,
    /// A look that has not come to its end: it goes on, or was interrupted.
    pub open: Option<OpenLook>,
    /// How current each stream is.
    pub streams: BTreeMap<LookStream, Freshness>,
    /// How current what the book says of each position is.
    pub positions: BTreeMap<(Symbol, PositionSide), PositionFreshness>,
    /// What the account has at stake.
    pub exposure: Exposure,
    /// Now, by the exchange's clock.
    pub now: TimestampMs,
}

impl LookState {
    /// The streams that the exchange should have been asked for again by now; none of an account that was never bound.
    pub fn due(&self) -> impl Iterator<Item = (LookStream, &Freshness)> {
        let streams = self.streams.iter().filter(|(_, freshness)| self.is_bound && freshness.is_due);
        streams.map(|(stream, freshness)| (*stream, freshness))
    }

    /// Whether the last look died before its end: nobody goes on with it.
    pub fn is_abandoned(&self) -> bool {
        self.is_bound && self.open.is_some_and(|open| !open.is_running)
    }

    /// What the exchange's word on a stream is true of, for a contract: the last look, unless that could not read what
    /// concerns the contract.
    pub fn seen_at(&self, stream: LookStream, symbol: &Symbol) -> Option<TimestampMs> {
        success(&self.looks, stream).filter(|seen| !seen.seen.except.contains(symbol)).map(|seen| seen.seen_at)
    }
}

fn success(looks: &BTreeMap<LookStream, Look>, stream: LookStream) -> Option<&LookSuccess> {
    looks.get(&stream)?.success.as_ref()
}

/// Reads how current a book is. `now_local` is now by the local clock.
///
/// # Errors
/// [`ReconcileError`] when the account is unknown or the book cannot be read.
pub async fn look_state(
    store: &dyn Store,
    account: &AccountId,
    limits: FreshnessLimits,
    now_local: TimestampMs,
) -> Result<LookState, ReconcileError> {
    let known = store.account(account).await.doing("reading the account")?;
    let known = known.ok_or_else(|| ReconcileError::UnknownAccount { account: account.clone() })?;
    let limits = limits_while_watched(store, account, limits, now_local).await.doing("reading who watches")?;
    let looks = store.looks(account).await.doing("reading the looks")?;
    let looks: BTreeMap<LookStream, Look> = looks.into_iter().map(|look| (look.stream, look)).collect();
    // The exchange's clock is the measure of what came from it.
    let skew_ms = looks.get(&LookStream::Account).and_then(Look::skew_ms).unwrap_or(0);
    let book = Reading { store, account, limits, now: now_local.saturating_add_ms(-skew_ms) };
    let positions = store.positions(account).await.doing("reading the positions")?;
    let exposure = book.exposure(&looks, &positions).await.doing("reading what is held")?;
    let mut state = LookState {
        is_bound: known.identity.is_some(),
        open: store.open_look(account).await.doing("reading whether somebody looks")?,
        looks,
        streams: BTreeMap::new(),
        positions: BTreeMap::new(),
        exposure,
        now: book.now,
    };
    let newest_income = book.newest_income().await.doing("reading the ledger")?;
    for held in &positions {
        let freshness = book.position(&state, held, newest_income).await?;
        state.positions.insert((held.symbol.clone(), held.position.position_side), freshness);
    }
    for stream in LookStream::SEEN {
        let freshness = book.stream(&state, stream).await?;
        state.streams.insert(stream, freshness);
    }
    Ok(state)
}

/// The limits, or wider ones where a watcher is told by a confirmed stream what would overtake an answer.
async fn limits_while_watched(
    store: &dyn Store,
    account: &AccountId,
    limits: FreshnessLimits,
    now_local: TimestampMs,
) -> StoreResult<FreshnessLimits> {
    let lease = store.lease(account).await?.filter(|lease| lease.is_in_force(now_local));
    let state = lease.and_then(|lease| WatchState::parse(&lease.state_json?));
    Ok(state.map_or(limits, |state| state.limits(limits)))
}

/// What speaks against the exchange's last word on what a contract holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LookDoubt {
    /// The last look failed, or was stopped; in words, why.
    Failed(String),
    /// The process of the last look died.
    Abandoned,
    /// The exchange was not asked for positions or working orders recently enough; in words, since when.
    Due(String),
    /// The last look did not see the contract; in words, why.
    NotSeen(&'static str),
}

/// What speaks against the exchange's last word on the positions and working orders of a contract. Nothing does of an account
/// that was never bound: nobody can ask for it. That a recorded fill is newer than the answer is no doubt: what moved the
/// account is on record.
pub(crate) async fn look_doubts(
    store: &dyn Store,
    account: &Account,
    symbol: &Symbol,
    limits: FreshnessLimits,
    now_local: TimestampMs,
) -> StoreResult<Vec<LookDoubt>> {
    if account.identity.is_none() {
        return Ok(Vec::new());
    }
    let looks = store.looks(&account.id).await?;
    let looks: BTreeMap<LookStream, Look> = looks.into_iter().map(|look| (look.stream, look)).collect();
    let open = store.open_look(&account.id).await?;
    let is_running = open.is_some_and(|open| open.is_running);
    let mut doubts = Vec::new();
    let last = looks.get(&LookStream::Account);
    // One that was stopped is being made good by one that runs.
    let failed = last.filter(|last| match last.outcome {
        LookOutcome::Succeeded => false,
        LookOutcome::Failed => true,
        LookOutcome::Interrupted => !is_running,
    });
    if let Some(failed) = failed {
        let why = failed.failure.as_ref().map(|(_, failure)| format!("{}: {}", failure.kind, failure.reason));
        doubts.push(LookDoubt::Failed(why.unwrap_or_else(|| failed.outcome.to_string())));
    }
    if open.is_some() && !is_running {
        doubts.push(LookDoubt::Abandoned);
    }
    let now = now_local.saturating_add_ms(-last.and_then(Look::skew_ms).unwrap_or(0));
    let book = Reading { store, account: &account.id, limits, now };
    let exposure = book.exposure(&looks, &store.positions(&account.id).await?).await?;
    for stream in [LookStream::Positions, LookStream::Orders] {
        let seen_at = success(&looks, stream).map(|seen| seen.seen_at);
        let judged = limits.judge(stream, Sighting { seen_at, overtaken_at: None }, exposure, now);
        if judged.is_due {
            doubts.push(LookDoubt::Due(match (judged.stale, judged.age_ms) {
                (Some(Staleness::Ahead), _) => format!("{stream}: its answer is dated ahead of this machine's clock"),
                (_, Some(age_ms)) => format!("{stream}: last asked for {} ago", lasting(age_ms)),
                (_, None) => format!("{stream}: never asked for"),
            }));
        }
    }
    if success(&looks, LookStream::Positions).is_some_and(|seen| seen.seen.except.contains(symbol)) {
        doubts.push(LookDoubt::NotSeen("the last look could not read what it was told of the contract"));
    }
    if success(&looks, LookStream::Account).is_some_and(|seen| seen.seen.left_aside.contains(symbol)) {
        doubts.push(LookDoubt::NotSeen("a look at other contracts saw that this one differs, and did not follow it"));
    }
    Ok(doubts)
}

/// A book that is being read.
struct Reading<'a> {
    store: &'a dyn Store,
    account: &'a AccountId,
    limits: FreshnessLimits,
    now: TimestampMs,
}

impl Reading<'_> {
    async fn exposure(&self, looks: &BTreeMap<LookStream, Look>, positions: &[BookPosition]) -> StoreResult<Exposure> {
        let is_held = |held: &&BookPosition| {
            !held.position.qty.is_zero() || held.exchange.as_ref().is_some_and(|stated| !stated.qty.is_zero())
        };
        let held: BTreeSet<&Symbol> = positions.iter().filter(is_held).map(|held| &held.symbol).collect();
        let orders = OrderFilter { open_only: true, ..Scope::account(self.account.clone()).into() };
        let orders = self.store.orders(&orders, PageRequest::first(1)).await?;
        let read_at = success(looks, LookStream::Ledger).map(|seen| seen.seen_at);
        let marks = success(looks, LookStream::Prices).map(|seen| &seen.seen.marks);
        let next_funding = read_at.and_then(|read_at| {
            let funded = held.iter().filter_map(|symbol| {
                let hour = next_full_hour(read_at);
                match marks.and_then(|marks| marks.get(*symbol)) {
                    // The exchange was asked for prices after its ledger: a funding in between is the next one.
                    Some(mark) => mark.next_funding_ts.map(|next| if hour <= mark.ts { hour } else { next }),
                    None => Some(hour),
                }
            });
            funded.min()
        });
        Ok(Exposure { is_open: !held.is_empty() || !orders.items.is_empty(), next_funding })
    }

    async fn newest_income(&self) -> StoreResult<Option<TimestampMs>> {
        let filter = IncomeFilter { scope: Scope::account(self.account.clone()), income_type: None };
        let newest = self.store.income(&filter, PageRequest::newest(1)).await?;
        Ok(newest.items.first().map(|row| row.fact.time.latest()))
    }

    async fn position(
        &self,
        state: &LookState,
        held: &BookPosition,
        newest_income: Option<TimestampMs>,
    ) -> Result<PositionFreshness, ReconcileError> {
        let symbol = &held.symbol;
        let exchange = match &held.exchange {
            None => None,
            Some(stated) => {
                // What is on record is what the exchange said first; a look that found nothing else confirmed it.
                let confirmed = state.seen_at(LookStream::Positions, symbol);
                let seen_at = confirmed.map_or(stated.at, |confirmed| confirmed.max(stated.at));
                let is_newer = |at: Option<TimestampMs>| at.is_some_and(|at| at.saturating_add_ms(999) > seen_at);
                let has_newer = is_newer(held.position.updated_at) || is_newer(newest_income);
                let overtaken_at = if has_newer { self.first_after(Some(symbol), seen_at).await? } else { None };
                let sighting = Sighting { seen_at: Some(seen_at), overtaken_at };
                Some(self.limits.judge(LookStream::Positions, sighting, state.exposure, self.now))
            }
        };
        let seen = success(&state.looks, LookStream::Prices).and_then(|seen| seen.seen.marks.get(symbol));
        let seen = seen.map(|seen| {
            let (symbol, kind) = (symbol.clone(), PriceKind::Mark);
            PriceSnapshot { symbol, kind, at: seen.ts, price: seen.mark_price }
        });
        let seen = seen.filter(|seen| held.mark.as_ref().is_none_or(|known| known.at < seen.at));
        let is_marked_anew = seen.is_some();
        let mark = seen.or_else(|| held.mark.clone()).map(|mark| {
            let sighting = Sighting { seen_at: Some(mark.at), overtaken_at: None };
            let freshness = self.limits.judge(LookStream::Prices, sighting, state.exposure, self.now);
            (mark, freshness)
        });
        Ok(PositionFreshness { exchange, mark, is_marked_anew })
    }

    async fn stream(&self, state: &LookState, stream: LookStream) -> Result<Freshness, ReconcileError> {
        let seen_at = success(&state.looks, stream).map(|seen| seen.seen_at);
        let overtaken_at = match (stream, seen_at) {
            (_, None) | (LookStream::Prices | LookStream::Account, _) => None,
            (LookStream::Positions, Some(seen_at)) => self.overtaken_position(state, seen_at).await?,
            (_, Some(seen_at)) => self.first_after(None, seen_at).await?,
        };
        Ok(self.limits.judge(stream, Sighting { seen_at, overtaken_at }, state.exposure, self.now))
    }

    /// The oldest fill or ledger row of a contract that is newer than what the exchange said of the contract's positions.
    /// A closer look at a contract can be newer than the look at all of them.
    async fn overtaken_position(
        &self,
        state: &LookState,
        seen_at: TimestampMs,
    ) -> Result<Option<TimestampMs>, ReconcileError> {
        let mut first: Option<TimestampMs> = None;
        let mut closer: BTreeMap<&Symbol, TimestampMs> = BTreeMap::new();
        for ((symbol, _), known) in &state.positions {
            let Some(stated) = known.exchange.and_then(|stated| stated.seen_at) else { continue };
            closer.entry(symbol).and_modify(|at| *at = (*at).min(stated)).or_insert(stated);
        }
        let is_newer = |symbol: &Symbol, time: EventTime| {
            time.latest() > closer.get(symbol).map_or(seen_at, |closer| (*closer).max(seen_at))
        };
        let scope = self.scope_from(None, seen_at);
        let fills = FillFilter::from(scope.clone());
        let fill = first_of(
            |page| self.store.fills(&fills, page),
            |fill| is_newer(&fill.fact.key.symbol, fill.fact.time).then(|| fill.fact.time.latest()),
        );
        first = earlier(first, fill.await.doing("reading the fills")?);
        let rows = IncomeFilter { scope, income_type: None };
        let row = first_of(
            |page| self.store.income(&rows, page),
            |row| {
                let symbol = row.fact.key.symbol.as_ref()?;
                is_newer(symbol, row.fact.time).then(|| row.fact.time.latest())
            },
        );
        Ok(earlier(first, row.await.doing("reading the ledger")?))
    }

    /// The oldest fill or ledger row, of one contract or of all, that is newer than `seen_at`.
    async fn first_after(
        &self,
        symbol: Option<&Symbol>,
        seen_at: TimestampMs,
    ) -> Result<Option<TimestampMs>, ReconcileError> {
        let newer = |time: EventTime| Some(time.latest()).filter(|at| *at > seen_at);
        let scope = self.scope_from(symbol, seen_at);
        let fills = FillFilter::from(scope.clone());
        let fill = first_of(|page| self.store.fills(&fills, page), |fill| newer(fill.fact.time));
        let fill = fill.await.doing("reading the fills")?;
        let rows = IncomeFilter { scope, income_type: None };
        let row = first_of(|page| self.store.income(&rows, page), |row| newer(row.fact.time));
        Ok(earlier(fill, row.await.doing("reading the ledger")?))
    }

    /// From the beginning of the second of `seen_at` on: what is known to the second only may have been later in it.
    fn scope_from(&self, symbol: Option<&Symbol>, seen_at: TimestampMs) -> Scope {
        let since = Some(EventTime::seconds(seen_at).at);
        Scope { account: self.account.clone(), symbol: symbol.cloned(), since, until: None }
    }
}

fn earlier(one: Option<TimestampMs>, other: Option<TimestampMs>) -> Option<TimestampMs> {
    one.into_iter().chain(other).min()
}

/// What the first item of a list that has it gives.
async fn first_of<T, R: Future<Output = StoreResult<Page<T>>>>(
    list: impl FnMut(PageRequest) -> R,
    of: impl Fn(&T) -> Option<TimestampMs>,
) -> StoreResult<Option<TimestampMs>> {
    let mut pages = Pages::of(PageRequest::first(PAGE_ROWS), list);
    while let Some(page) = pages.next().await? {
        if let Some(found) = page.items.iter().find_map(&of) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
