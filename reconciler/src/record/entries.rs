//! A line of the bot's log of entries: the decision behind an entry, and the label of the order that it names.

use std::sync::Arc;

use jiff::tz::TimeZone;
use ledger_core::{AnyFact, Order, SignalKind, Source, Statement};
use ledger_store::{PageRequest, Scope, SignalFilter};

use super::answer::{Effect, Trouble};
use super::event::SignalEvent;
use super::event_recorder::EventRecorder;
use super::refusal::Refusal;
use crate::error::Doing;
use crate::label::{EntryEvent, parse_entry_events};

/// A signal this near to an entry in the log, of the same side and strategy, is the decision behind it.
const SAME_DECISION_MS: i64 = 60_000;
/// How many signals around an entry are looked at.
const LOOKED_AT: u32 = 200;

impl EventRecorder {
    pub(super) async fn entry_event(&self, entry: &str, line: &Arc<str>) -> Result<Effect, Trouble> {
        let mut read = parse_entry_events(entry, &TimeZone::UTC);
        match (read.events.pop(), read.bad.pop()) {
            (Some(event), _) => self.entry(&event, entry, line).await,
            (None, bad) => {
                let problem = bad.map_or_else(|| "it is empty".to_owned(), |bad| bad.reason);
                Err(Refusal::field("entry", problem, "give a time, a symbol and an engine").into())
            }
        }
    }

    /// Records an entry of the log. `text` is what the log has, `payload` what is kept of it.
    pub(super) async fn entry(&self, event: &EntryEvent, text: &str, payload: &Arc<str>) -> Result<Effect, Trouble> {
        let statements = self.entry_statements(event, text, payload).await?;
        if statements.is_empty() {
            return Ok(Effect::already());
        }
        Ok(Effect::of(&self.commit(statements).await?))
    }

    /// What an entry of the log states that the book does not know yet.
    pub(super) async fn entry_statements(
        &self,
        event: &EntryEvent,
        text: &str,
        payload: &Arc<str>,
    ) -> Result<Vec<Statement>, Trouble> {
        let mut statements = Vec::new();
        let (order_id, client_id) = (event.order_id.as_ref(), event.client_order_id.as_ref());
        let order = self.order_named(&event.symbol, order_id, client_id).await?.map(|order| order.order.fact);
        if let Some(order) = order.as_ref().filter(|order| order.engine.as_ref() != Some(&event.engine)) {
            let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
            labelled.engine = Some(event.engine.clone());
            let fact = AnyFact::Order(labelled);
            statements.push(Statement { fact, source: Source::BotLog, payload: Some(Arc::clone(payload)) });
        }
        let Some(side) = event.side.or(order.as_ref().map(|order| order.side)) else {
            let problem = "it names no side and no order that is on record, so nothing can be made of it";
            return Err(Refusal::field("entry", problem, "log the side, or record the order first").into());
        };
        if order.as_ref().is_none_or(|order| order.signal_id.is_none()) && !self.is_decided(event, side).await? {
            let signal = self.signal_of(SignalEvent {
                symbol: event.symbol.clone(),
                side,
                kind: SignalKind::Entry,
                engine: Some(event.engine.clone()),
                reason: event.reason.clone(),
                time: Some(event.time),
                signal_id: None,
                // The ids in it tell a sync which order it is.
                meta: Some(text.trim().to_owned()),
                skipped: None,
            })?;
            let fact = AnyFact::Signal(signal);
            statements.push(Statement { fact, source: Source::Bot, payload: Some(Arc::clone(payload)) });
        }
        Ok(statements)
    }

    /// Whether the decision behind an entry is on record: by the bot's own signal, or by this entry, read before.
    async fn is_decided(&self, event: &EntryEvent, side: ledger_core::Side) -> Result<bool, Trouble> {
        let mut scope = Scope::symbol(self.account.clone(), event.symbol.clone());
        scope.since = Some(event.time.at.saturating_add_ms(-SAME_DECISION_MS));
        scope.until = Some(event.time.at.saturating_add_ms(SAME_DECISION_MS));
        let page = self.store.signals(&SignalFilter::from(scope), PageRequest::newest(LOOKED_AT)).await;
        let signals = page.doing("reading the signals")?.items.into_iter().map(|signal| signal.fact);
        let mut same = signals.filter(|signal| {
            signal.kind == SignalKind::Entry
                && signal.side == side
                && signal.engine.as_ref().is_none_or(|engine| *engine == event.engine)
                && signal.skip_reason().is_none()
        });
        Ok(same.next().is_some())
    }
}
