//! Where the bot's word on a closed trade stands, whatever comes first: the word, the intent, the order or its trades.
//!
//! The word belongs to the order that closed the position. While the book does not have that order, the word is kept as a
//! decision to close (a signal). Whatever brings an order or a trade of the contract to the book, a line or a look at the
//! exchange, puts it where it belongs. Which trade it is about: see [`meant`](super::meant).
//!
//! Invariants, with their tests in `tests/words.rs`:
//! 1. `a_closed_trade_keeps_its_reason_in_every_order_of_arrival`.
//! 2. `a_word_is_not_put_on_the_order_of_another_trade`.
//! 3. `an_order_that_only_waits_is_not_the_one_that_closed`.
//! 4. `a_word_is_about_the_trade_of_its_time`, also when it is said again.
//! 5. `a_partial_exit_is_not_the_one_that_closed`.
//! 6. `an_order_of_the_other_leg_is_not_the_one_that_closed`.

use std::collections::BTreeMap;

use ledger_core::{
    AnyFact, Decimal, Direction, EventTime, ExitReason, IntentOutcome, IntentRole, Label, Order, OrderClass,
    OrderIntent, OrderKey, Side, Signal, SignalId, SignalKind, SignalWords, Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{
    BookOrder, IntentFilter, OrderFilter, PageRequest, Pages, Scope, SignalFilter, SignalOutlook, TripFilter,
};

use super::closing::{CLOCK_SLACK_MS, ClosedTrade, Closing, Held, LOOKED_AT, NEAR_MS, Place, Unclear, Word, may_be_of};
use super::event_recorder::order_named;
use super::meant::{AHEAD_MS, Said};
use super::order_id::digest;
use super::refusal::Refusal;
use crate::error::{Doing, ReconcileError};

/// How the ids of words begin that wait for their order. Below every letter and digit, so that the bot's own decision stands
/// where an order has both.
const PREFIX: &str = ".closed:";
/// How far from an order or trade a word may be that it concerns: bots' clocks differ.
const AROUND_MS: i64 = NEAR_MS + 60_000;
/// How many words are read at once.
const PAGE_ROWS: u32 = 500;
/// Letters of such an id.
const DIGEST_LEN: usize = 24;
/// Why no order is to follow a word: its order has another decision, and what the word says is on the order.
const SAID_ON_ORDER: &str = "said_on_its_order";

/// The side of the order that closes a position of this direction.
pub(super) fn closing_side(direction: Direction) -> Side {
    if direction == Direction::Long { Side::Sell } else { Side::Buy }
}

/// The direction of the position that an order of this side closes.
fn closed_by(side: Side) -> Direction {
    if side == Side::Sell { Direction::Long } else { Direction::Short }
}

/// What an order may still execute, as far as it says how much it was to.
fn left_of(known: &BookOrder) -> Option<Decimal> {
    let executed = known.order.fact.executed.as_ref().map(|executed| executed.qty);
    let done = executed.max(known.filled_qty).unwrap_or(Decimal::ZERO);
    known.order.fact.terms.qty.and_then(|asked| asked.get().checked_sub(done).ok())
}

/// What a decision to close says of why.
fn told(signal: &Signal) -> Option<ExitReason> {
    let reason = signal.reason.as_ref().and_then(|reason| SignalWords::reason_of(reason.as_str()));
    SignalWords { engine: None, kind: signal.kind, reason, restored: false }.exit_reason()
}

/// Whether a signal is the bot's word on a closed trade.
pub(crate) fn is_word(signal: &Signal) -> bool {
    is_word_id(&signal.signal_id)
}

pub(super) fn is_word_id(id: &SignalId) -> bool {
    id.as_str().starts_with(PREFIX)
}

/// When a word was said, by the exchange's clock as well as the bot's tells it.
fn said_at(time: EventTime, skew_ms: Option<i64>) -> TimestampMs {
    time.latest().saturating_add_ms(-skew_ms.unwrap_or(0))
}

/// Whether a word on the same trade is the same once more.
fn is_again(word: &Signal, first: &Signal) -> bool {
    let apart = word.time.at.as_ms().abs_diff(first.time.at.as_ms());
    apart <= AHEAD_MS.unsigned_abs() && told(word) == told(first)
}

/// Whether a word says the same as another one.
fn says(signal: &Signal, trade: &ClosedTrade) -> bool {
    told(signal).filter(|_| signal.reason.is_some()) == trade.reason && signal.engine == trade.engine
}

/// A word that waited, with the order that it belongs on.
#[derive(Debug, Clone)]
pub(crate) struct PlacedWord {
    /// The word.
    pub(crate) signal: Signal,
    /// The order that closed the position.
    pub(crate) order: Order,
    /// What puts it there.
    pub(crate) statements: Vec<(AnyFact, Source)>,
}

impl Closing<'_> {
    /// What of the bot's word is to be recorded. `now` and `skew_ms` are of the bot's clock.
    pub(super) async fn word(
        &self,
        trade: &ClosedTrade,
        now: TimestampMs,
        skew_ms: Option<i64>,
    ) -> Result<Word, Unclear> {
        if let Some(id) = self.said_before(trade).await? {
            return Ok(Word { statements: Vec::new(), place: Place::Decision(id) });
        }
        let held = self.held(trade, skew_ms).await?;
        let known = held.open.as_ref().or(held.closed.as_ref()).map(|trip| trip.direction);
        let side = trade.direction.or(known).map(closing_side);
        let said_at = trade.time.map(|time| said_at(time, skew_ms));
        let Some(order) = self.closing_order(trade, &held, side, said_at).await? else {
            let side = side.ok_or(Unclear::Direction { knows_order: false })?;
            return self.decision(trade, side, now, skew_ms).await;
        };
        let says_nothing = trade.reason.is_none() && trade.engine.is_none();
        let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
        labelled.exit_reason = trade.reason;
        // A close that another strategy decided belongs to the trip all the same.
        labelled.engine = trade.engine.clone().filter(|_| order.engine.is_none());
        let label = (!says_nothing).then_some((AnyFact::Order(labelled), Source::Bot));
        Ok(Word { statements: label.into_iter().collect(), place: Place::Order(order.key.order_id) })
    }

    /// This very word, where it is on record already: then it is on its order, or waits for it.
    async fn said_before(&self, trade: &ClosedTrade) -> Result<Option<SignalId>, Unclear> {
        let Some(time) = trade.time.filter(|_| trade.order_id.is_none()) else { return Ok(None) };
        for direction in [Direction::Long, Direction::Short] {
            if trade.direction.is_none_or(|said| said == direction) {
                let id = word_id(time, trade, closing_side(direction)).map_err(Unclear::SignalId)?;
                let known = self.store.signal(self.account, &id).await.doing("looking for a signal")?;
                if known.is_some() {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    /// The order that closed the position: the one that the bot names, else the one that closed the round trip, else the only
    /// one at work that closes it.
    async fn closing_order(
        &self,
        trade: &ClosedTrade,
        held: &Held,
        side: Option<Side>,
        said_at: Option<TimestampMs>,
    ) -> Result<Option<Order>, Unclear> {
        if let Some(order_id) = &trade.order_id {
            let known = order_named(self.store, self.account, &trade.symbol, Some(order_id), None).await?;
            if let Some(known) = known {
                return Ok(Some(known.order.fact));
            }
            let side = side.ok_or(Unclear::Direction { knows_order: true })?;
            let (symbol, class) = (trade.symbol.clone(), OrderClass::Regular);
            let key = OrderKey { symbol, class, order_id: order_id.clone() };
            return Ok(Some(Order::known_from_fill(key, side, None)));
        }
        let Some(side) = side else { return Ok(None) };
        Ok(self.order_behind(&trade.symbol, held, side, said_at).await?)
    }

    /// The same, of a close whose order the bot does not name. One that only waits, as a stop-loss order does, may never have
    /// been reached.
    async fn order_behind(
        &self,
        symbol: &Symbol,
        held: &Held,
        side: Side,
        said_at: Option<TimestampMs>,
    ) -> Result<Option<Order>, ReconcileError> {
        if let Some(closed) = &held.closed {
            return self.closer(closed).await;
        }
        let Some(trip) = &held.open else { return Ok(None) };
        let Some(opened) = trip.opened_at else { return Ok(None) };
        // What was added since is another trade's, and the order that closed this one is missing.
        if let Some(said_at) = said_at
            && self.has_added(symbol, trip.direction, said_at, None).await?
        {
            return Ok(None);
        }
        let held_qty = trip.entry_qty.checked_sub(trip.exit_qty).ok();
        let under_way = self.exit_under_way(symbol, side, opened).await?.map(|intent| intent.created_local);
        let scope = Scope::symbol(self.account.clone(), symbol.clone());
        let filter = OrderFilter { class: Some(OrderClass::Regular), open_only: true, ..scope.into() };
        let orders = self.store.orders(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the orders")?;
        let mut closing = Vec::new();
        for known in orders.items {
            // What left the position open closed a part of it; the order that closed the rest is still to come.
            let is_partial = matches!((left_of(&known), held_qty), (Some(left), Some(held)) if left < held);
            let order = known.order.fact;
            let is_later = order.created.or(order.updated).is_none_or(|time| time.latest() >= opened);
            let is_of_leg = order.side == side && may_be_of(order.position_side, trip.direction);
            if !is_of_leg || is_partial || !is_later || !self.has_closed(&order).await? {
                continue;
            }
            let in_time = match said_at {
                Some(said_at) => self.was_sent_by(&order, said_at.saturating_add_ms(AHEAD_MS)).await?,
                None => true,
            };
            closing.extend(Some(order).filter(|_| in_time));
        }
        let [order] = closing.as_slice() else { return Ok(None) };
        // An exit whose order nobody knows yet was sent after it, and is the latest.
        let known_since = order.known_since().map(EventTime::latest);
        let is_overtaken = matches!((under_way, known_since), (Some(sent), Some(known)) if sent > known);
        Ok(Some(order.clone()).filter(|_| !is_overtaken))
    }

    /// Whether an order was sent to close something, and has executed for it or is the bot's exit, still at work.
    async fn has_closed(&self, order: &Order) -> Result<bool, ReconcileError> {
        let has_executed = order.executed.as_ref().is_some_and(|executed| executed.qty.is_positive());
        let role = match &order.client_order_id {
            None => None,
            Some(id) => {
                let intent = self.store.intent(self.account, id).await.doing("looking for an intent")?;
                intent.map(|intent| intent.fact.role)
            }
        };
        let closes = order.client_order_id.is_none()
            || order.can_only_close()
            || matches!(role, Some(IntentRole::Exit | IntentRole::TakeProfit | IntentRole::StopLoss));
        let is_exit = role == Some(IntentRole::Exit) && !order.status.is_terminal();
        Ok(closes && (has_executed || is_exit))
    }

    /// The latest exit since `since` whose order is not on record.
    async fn exit_under_way(
        &self,
        symbol: &Symbol,
        side: Side,
        since: TimestampMs,
    ) -> Result<Option<OrderIntent>, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(since.saturating_add_ms(-CLOCK_SLACK_MS));
        let page = self.store.intents(&IntentFilter::from(scope), PageRequest::newest(LOOKED_AT)).await;
        for intent in page.doing("reading the intents")?.items.into_iter().map(|intent| intent.fact) {
            let exits = intent.role == IntentRole::Exit
                && intent.side == side
                && may_be_of(intent.position_side, closed_by(side));
            if exits
                && intent.outcome != IntentOutcome::Rejected
                && order_named(self.store, self.account, symbol, None, Some(&intent.client_order_id)).await?.is_none()
            {
                return Ok(Some(intent));
            }
        }
        Ok(None)
    }

    /// The decision to close, as the bot's word on a close whose order nobody knows.
    async fn decision(
        &self,
        trade: &ClosedTrade,
        side: Side,
        now: TimestampMs,
        skew_ms: Option<i64>,
    ) -> Result<Word, Unclear> {
        let time = trade.time.unwrap_or_else(|| EventTime::ms(now));
        let decided = self.decided(&trade.symbol, side, time).await?;
        let says_nothing = trade.reason.is_none() && trade.engine.is_none();
        for signal in &decided {
            // A word that says nothing more than the bot's own decision is that; another one is that only if it was said before.
            let same = if is_word(signal) {
                (says_nothing || says(signal, trade)) && self.is_said_again(signal, trade).await?
            } else {
                says_nothing
            };
            if same {
                return Ok(Word { statements: Vec::new(), place: Place::Decision(signal.signal_id.clone()) });
            }
        }
        let by_hand = trade.reason == Some(ExitReason::ManualClose);
        let id = word_id(time, trade, side).map_err(Unclear::SignalId)?;
        let signal = Signal {
            signal_id: id.clone(),
            time,
            skew_ms,
            symbol: trade.symbol.clone(),
            side,
            kind: if by_hand { SignalKind::ManualClose } else { SignalKind::AutoExit },
            engine: trade.engine.clone(),
            reason: trade.reason.and_then(|reason| Label::new(reason.as_str()).ok()),
            skipped: None,
            meta_json: None,
            restored: false,
        };
        Ok(Word { statements: vec![(AnyFact::Signal(signal), Source::Bot)], place: Place::Decision(id) })
    }

    /// Whether a word that seems to be said again can be about the same trade only. Of two with times of their own the times
    /// tell; the very same one was found by its id.
    async fn is_said_again(&self, word: &Signal, trade: &ClosedTrade) -> Result<bool, ReconcileError> {
        if let Some(time) = trade.time {
            return Ok(time.at.as_ms().abs_diff(word.time.at.as_ms()) <= AHEAD_MS.unsigned_abs());
        }
        let (symbol, direction, since) = (&word.symbol, closed_by(word.side), word.time.at);
        Ok(!self.has_added(symbol, direction, since, None).await?
            && !self.has_entered_since(symbol, Some(direction), since, None).await?)
    }

    /// The words of this scope that no order on record names, however many.
    async fn words(&self, scope: Scope) -> Result<Vec<Signal>, ReconcileError> {
        let filter = waiting(SignalFilter { id_prefix: Some(PREFIX), ..scope.into() });
        let words = Pages::of(PageRequest::first(PAGE_ROWS), |page| self.store.signals(&filter, page)).all().await;
        Ok(words.doing("reading the signals")?.into_iter().map(|word| word.fact).collect())
    }

    /// The decisions to close a contract with an order of this side, made shortly before `time`, that no order on record
    /// names, the latest first. Words are among them.
    async fn decided(&self, symbol: &Symbol, side: Side, time: EventTime) -> Result<Vec<Signal>, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(time.at.saturating_add_ms(-NEAR_MS));
        scope.until = Some(time.at.saturating_add_ms(1));
        let decided = self.decisions(scope.into()).await?;
        Ok(decided.into_iter().filter(|signal| signal.side == side).collect())
    }

    async fn decisions(&self, filter: SignalFilter) -> Result<Vec<Signal>, ReconcileError> {
        let filter = waiting(filter);
        let known = self.store.signals(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the signals")?;
        let known = known.items.into_iter().map(|signal| signal.fact);
        Ok(known.filter(|signal| signal.kind != SignalKind::Entry).collect())
    }

    /// The words that wait for an order and can be put on it now.
    pub(crate) async fn placed(&self) -> Result<Vec<PlacedWord>, ReconcileError> {
        let words = self.words(Scope::account(self.account.clone())).await?;
        self.place(words).await
    }

    /// The same, of a contract of which orders or trades of these times were just recorded. Only words near what follows from
    /// them are looked at: those around these times, and behind a late one up to the last trade that ended.
    pub(crate) async fn placed_after(
        &self,
        symbol: &Symbol,
        changed: Changed,
    ) -> Result<Vec<PlacedWord>, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(changed.first.saturating_add_ms(-AROUND_MS));
        let filter = waiting(SignalFilter { id_prefix: Some(PREFIX), ..scope.clone().into() });
        let any = self.store.signals(&filter, PageRequest::first(1)).await.doing("reading the signals")?;
        if any.items.is_empty() {
            return Ok(Vec::new());
        }
        let trips = TripFilter {
            scope: Scope::symbol(self.account.clone(), symbol.clone()),
            engine: None,
            position_side: None,
        };
        let ended = self.store.trips(&trips, PageRequest::newest(1)).await.doing("reading the round trips")?;
        let ended = ended.items.first().and_then(|trip| trip.closed_at).unwrap_or(changed.last);
        scope.until = Some(changed.last.max(ended).saturating_add_ms(AROUND_MS));
        let words = self.words(scope).await?;
        self.place(words).await
    }

    async fn place(&self, words: Vec<Signal>) -> Result<Vec<PlacedWord>, ReconcileError> {
        let mut found = Vec::new();
        for word in words {
            let said_at = said_at(word.time, word.skew_ms);
            let direction = Some(closed_by(word.side));
            let held = Box::pin(self.held_at(&word.symbol, direction, said_at, word.time)).await?;
            let Some(order) = self.order_behind(&word.symbol, &held, word.side, Some(said_at)).await? else { continue };
            // A trade that has its word takes another one only if that says the same.
            let has_other = self.said_of(&order, word.time).await? == Said::Other;
            if has_other && order.exit_reason != told(&word) {
                continue;
            }
            let ended = held.closed.and_then(|trip| trip.closed_at).unwrap_or(said_at);
            found.push((ended.as_ms().abs_diff(said_at.as_ms()), word, order));
        }
        // Of several words that fit one trade, the nearest to its end is about it.
        found.sort_by_key(|(apart, word, _)| (*apart, word.time.at));
        let mut placed: Vec<PlacedWord> = Vec::new();
        for (_, word, order) in found {
            let first = placed.iter().find(|first| first.order.key == order.key);
            if first.is_some_and(|first| !is_again(&word, &first.signal)) {
                continue;
            }
            let intent = match &order.client_order_id {
                Some(id) => self.store.intent(self.account, id).await.doing("looking for an intent")?,
                None => None,
            };
            let is_named = order.signal_id.is_some() || intent.is_some_and(|intent| intent.fact.signal_id.is_some());
            // The bot's own decision is the one that its order followed.
            let own = self.decided(&word.symbol, word.side, word.time).await?.into_iter().find(|own| !is_word(own));
            let follows =
                if is_named || first.is_some() { None } else { Some(own.as_ref().unwrap_or(&word).signal_id.clone()) };
            placed.push(PlacedWord { statements: on_order(&word, &order, follows), signal: word, order });
        }
        Ok(placed)
    }
}

/// Those of the filter that await an order, and that no order on record names.
fn waiting(filter: SignalFilter) -> SignalFilter {
    SignalFilter { named_by_order: Some(false), outlook: Some(SignalOutlook::Awaited), ..filter }
}

/// From when to when orders and trades of a contract are dated that were just recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    first: TimestampMs,
    last: TimestampMs,
}

impl Changed {
    /// The contracts whose orders and fills are stated: for a word that waits, one of them may be the order. Where none has a time, it is
    /// `now`: what a trade says of its order has none.
    pub(crate) fn of(statements: &[Statement], now: TimestampMs) -> BTreeMap<Symbol, Self> {
        let mut changed: BTreeMap<Symbol, Option<Self>> = BTreeMap::new();
        for statement in statements {
            let (symbol, at) = match &statement.fact {
                AnyFact::Order(order) => (&order.key.symbol, order.updated.or(order.created)),
                AnyFact::Fill(fill) => (&fill.key.symbol, Some(fill.time)),
                _ => continue,
            };
            let known = changed.entry(symbol.clone()).or_default();
            if let Some(at) = at.map(|time| time.at) {
                let before = known.unwrap_or(Self { first: at, last: at });
                *known = Some(Self { first: before.first.min(at), last: before.last.max(at) });
            }
        }
        let undated = Self { first: now, last: now };
        changed.into_iter().map(|(symbol, times)| (symbol, times.unwrap_or(undated))).collect()
    }
}

/// A word that waited, put on its order: its reason and strategy on it, unless somebody has said a reason since. `follows` is
/// the decision that the order is found to have followed.
fn on_order(word: &Signal, order: &Order, follows: Option<SignalId>) -> Vec<(AnyFact, Source)> {
    let mut statements = Vec::new();
    let blank = || Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    let mut labelled = blank();
    labelled.exit_reason = told(word).filter(|_| word.reason.is_some() && order.exit_reason.is_none());
    labelled.engine = word.engine.clone().filter(|_| order.engine.is_none());
    if labelled.exit_reason.is_some() || labelled.engine.is_some() {
        statements.push((AnyFact::Order(labelled), Source::Bot));
    }
    if follows.as_ref() != Some(&word.signal_id) {
        let skipped = Label::new(SAID_ON_ORDER).ok();
        statements.push((AnyFact::Signal(Signal { skipped, ..word.clone() }), Source::Bot));
    }
    if let Some(follows) = follows {
        // Inferred, so that it gives way to the bot's own.
        statements.push((AnyFact::Order(Order { signal_id: Some(follows), ..blank() }), Source::Repair));
    }
    statements
}

/// The same word always has the same id.
fn word_id(time: EventTime, trade: &ClosedTrade, side: Side) -> Result<SignalId, Refusal> {
    let at = time.at.as_ms().to_string();
    let reason = trade.reason.map_or("", ExitReason::as_str);
    let engine = trade.engine.as_ref().map_or("", |engine| engine.as_str());
    let text = digest(&[&at, trade.symbol.as_str(), side.as_str(), reason, engine], DIGEST_LEN);
    SignalId::new(format!("{PREFIX}{text}"))
        .map_err(|error| Refusal::field("signal_id", error.to_string(), "give order_id"))
}
