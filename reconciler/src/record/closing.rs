//! The bot's word that a trade is closed: why, on the order that closed it, and what the book makes of the round trip.
//!
//! Where the order is not on record yet, the word waits for it: see [`words`](super::words).

use std::sync::Arc;

use ledger_core::{
    AccountId, AnyFact, Direction, EngineLabel, EventTime, ExitReason, IntentOutcome, IntentRole, OrderId,
    PositionSide, RoundTrip, Side, SignalId, Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{IntentFilter, PageRequest, Scope, Store, TripFilter};
use serde_json::Value;

use super::answer::{Effect, Trouble, trip_json};
use super::event_recorder::{EventRecorder, order_named};
use super::refusal::Refusal;
use crate::error::{Doing, ReconcileError};

/// How many of the latest orders, signals and trips of a contract are looked at.
pub(super) const LOOKED_AT: u32 = 50;

/// A decision to close that is no older than this is the one that this close follows; and a trade that ended this long before
/// or after the bot's word on it is the one that is meant.
pub(super) const NEAR_MS: i64 = 10 * 60_000;
/// How far the bot's clock may be behind the exchange's, so that its word seems to come before the trade was opened.
pub(super) const CLOCK_SLACK_MS: i64 = 2_000;

/// A trade that its bot says is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedTrade {
    /// The contract.
    pub symbol: Symbol,
    /// What was held. Without it the book has to tell.
    pub direction: Option<Direction>,
    /// Why it was closed.
    pub reason: Option<ExitReason>,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// The regular order that closed it, where the bot knows.
    pub order_id: Option<OrderId>,
    /// When it was closed; the present moment when absent.
    pub time: Option<EventTime>,
}

/// What the book makes of a trade that its bot says is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TradeEnd {
    /// The round trip that ended.
    Trip(Box<RoundTrip>),
    /// The book still has the position open: fills of it are missing.
    StillOpen,
    /// The book has nothing of this position: its fills are missing.
    NotOnRecord,
    /// The book cannot tell which trade is meant, or has only others: what it would take to tell.
    Unclear(&'static str),
}

/// What of the bot's word on a closed trade is to be recorded.
pub(super) struct Word {
    /// What it states; nothing where the book has it already.
    pub(super) statements: Vec<(AnyFact, Source)>,
    /// Where it stands.
    pub(super) place: Place,
}

/// Where the bot's word on a closed trade stands.
pub(super) enum Place {
    /// On the order that closed the position.
    Order(OrderId),
    /// In the decision to close it, until its order is on record.
    Decision(SignalId),
}

/// Why the bot's word cannot be recorded.
pub(super) enum Unclear {
    /// Nothing tells which direction was closed.
    Direction {
        knows_order: bool,
    },
    /// No id can be made for the decision.
    SignalId(Refusal),
    Failed(ReconcileError),
}

impl From<ReconcileError> for Unclear {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

impl From<Unclear> for Trouble {
    fn from(unclear: Unclear) -> Self {
        let advice = "give the side of the position: long or short";
        match unclear {
            Unclear::Direction { knows_order: true } => {
                let problem = "the book does not know the order, and nothing tells its direction";
                Refusal::field("side", problem, advice).into()
            }
            Unclear::Direction { knows_order: false } => {
                let problem = "the book has nothing of this position, and nothing tells its direction";
                Refusal::field("side", problem, advice).into()
            }
            Unclear::SignalId(refusal) => refusal.into(),
            Unclear::Failed(error) => error.into(),
        }
    }
}

/// What the book has of the position that the bot says is closed.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The latest round trip that ended; absent where one is open, or later entries show that it is another one.
    pub(super) closed: Option<RoundTrip>,
    pub(super) open: Option<RoundTrip>,
    /// Why it can be none of those on record: what it would take to tell.
    pub(super) unclear: Option<&'static str>,
}

impl Held {
    pub(super) fn unclear(why: &'static str) -> Self {
        Self { unclear: Some(why), ..Self::default() }
    }
}

/// Whether what is said to be of a position may be of the one of this direction. In one-way mode there is only one.
pub(super) fn may_be_of(position_side: Option<PositionSide>, direction: Direction) -> bool {
    match position_side {
        None | Some(PositionSide::Net) => true,
        Some(PositionSide::Long) => direction == Direction::Long,
        Some(PositionSide::Short) => direction == Direction::Short,
    }
}

/// Facts as they are recorded. The bot's own are its line's; what is concluded from them has no payload.
pub(super) fn stated(facts: Vec<(AnyFact, Source)>, line: Option<&Arc<str>>) -> Vec<Statement> {
    let state = |(fact, source)| {
        let payload = line.filter(|_| source == Source::Bot).map(Arc::clone);
        Statement { fact, source, payload }
    };
    facts.into_iter().map(state).collect()
}

impl EventRecorder {
    pub(super) fn closing(&self) -> Closing<'_> {
        Closing { store: self.store.as_ref(), account: &self.account }
    }

    pub(super) async fn closed(&self, trade: ClosedTrade, line: &Arc<str>) -> Result<Effect, Trouble> {
        let closing = self.closing();
        let word = Box::pin(closing.word(&trade, self.now(), self.skew_ms)).await?;
        let effect = match word.place {
            _ if !word.statements.is_empty() => Effect::of(&self.commit(stated(word.statements, Some(line))).await?),
            Place::Order(_) => Effect::answered(),
            Place::Decision(_) => Effect::already(),
        };
        let effect = match &word.place {
            Place::Order(id) => effect.with("order_id", id.as_str()),
            Place::Decision(id) => effect.with("signal_id", id.as_str()),
        };
        Ok(match Box::pin(closing.end(&trade, self.skew_ms)).await? {
            TradeEnd::Trip(trip) => effect.with("trip", trip_json(&trip)),
            TradeEnd::StillOpen => {
                effect.with("trip", Value::Null).with("missing", "fills: the position is still open in the book")
            }
            TradeEnd::NotOnRecord => {
                effect.with("trip", Value::Null).with("missing", "fills: the book has none of this position")
            }
            TradeEnd::Unclear(why) => effect.with("trip", Value::Null).with("missing", why),
        })
    }
}

/// A book that is asked about a trade that was closed.
pub(crate) struct Closing<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) account: &'a AccountId,
}

impl Closing<'_> {
    /// What the book has of the trade now. `skew_ms` is that of the bot's clock.
    pub(crate) async fn end(&self, trade: &ClosedTrade, skew_ms: Option<i64>) -> Result<TradeEnd, ReconcileError> {
        let held = self.held(trade, skew_ms).await?;
        Ok(match (held.closed, held.open, held.unclear) {
            (Some(trip), ..) => TradeEnd::Trip(Box::new(trip)),
            (None, Some(_), _) => TradeEnd::StillOpen,
            (None, None, Some(why)) => TradeEnd::Unclear(why),
            (None, None, None) => TradeEnd::NotOnRecord,
        })
    }

    /// The round trip that the bot says is closed: by the time that it gives, else the latest.
    pub(super) async fn held(&self, trade: &ClosedTrade, skew_ms: Option<i64>) -> Result<Held, ReconcileError> {
        if let Some(time) = trade.time {
            let said_at = time.latest().saturating_add_ms(-skew_ms.unwrap_or(0));
            if let Some(closed) = self.closed_by(trade, said_at).await? {
                return Ok(Held { closed: Some(closed), ..Held::default() });
            }
            let held = self.held_at(&trade.symbol, trade.direction, said_at, time).await?;
            // An order that is named tells which trade is meant, whatever the time.
            if held.closed.is_some() || held.open.is_some() || trade.order_id.is_none() {
                return Ok(held);
            }
        }
        self.held_last(trade).await
    }

    async fn held_last(&self, trade: &ClosedTrade) -> Result<Held, ReconcileError> {
        let is_of_side = |trip: &RoundTrip| trade.direction.is_none_or(|held| trip.direction == held);
        let open = self.store.open_trips(self.account).await.doing("reading the round trips")?;
        let open = open.into_iter().find(|trip| trip.symbol == trade.symbol && is_of_side(trip));
        if open.is_some() {
            return Ok(Held { open, ..Held::default() });
        }
        let scope = Scope::symbol(self.account.clone(), trade.symbol.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let trips = self.store.trips(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the round trips")?;
        let closed = trips.items.into_iter().find(is_of_side);
        let is_superseded = match closed.as_ref().and_then(|trip| trip.closed_at) {
            Some(at) => self.has_entered_since(&trade.symbol, trade.direction, at, None).await?,
            None => false,
        };
        Ok(Held { closed: closed.filter(|_| !is_superseded), ..Held::default() })
    }

    /// Whether an order to enter came after a round trip had ended, and before `until` where that is given: then what is
    /// closed is a later one, whose fills are missing.
    pub(super) async fn has_entered_since(
        &self,
        symbol: &Symbol,
        direction: Option<Direction>,
        at: TimestampMs,
        until: Option<TimestampMs>,
    ) -> Result<bool, ReconcileError> {
        if until.is_some_and(|until| until <= at) {
            return Ok(false);
        }
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(at);
        let page = self.store.intents(&IntentFilter::from(scope), PageRequest::newest(LOOKED_AT)).await;
        for intent in page.doing("reading the intents")?.items.into_iter().map(|intent| intent.fact) {
            let enters = matches!(intent.role, IntentRole::Entry | IntentRole::Dca);
            let is_of_side = direction.is_none_or(|held| {
                (intent.side == Side::Buy) == (held == Direction::Long) && may_be_of(intent.position_side, held)
            });
            if !enters || !is_of_side || intent.outcome == IntentOutcome::Rejected {
                continue;
            }
            // The exchange's time counts: an intent that waited in a spool is written down late.
            let order =
                order_named(self.store, self.account, &intent.symbol, None, Some(&intent.client_order_id)).await?;
            let created = order.and_then(|order| order.order.fact.known_since()).map(|created| created.at);
            let is_early = until.is_none_or(|until| created.unwrap_or(intent.created_local) <= until);
            if is_early && created.is_none_or(|created| created > at) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
