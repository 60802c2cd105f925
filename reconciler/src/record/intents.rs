//! Orders that are about to be sent: under which id, and whether a further try may be made.

use std::sync::Arc;

use ledger_core::{
    AnyFact, ClientOrderId, EngineLabel, FactKind, IntentOutcome, IntentRole, Label, OrderIntent, SignalId,
};
use ledger_store::fact_key;
use serde_json::Map;

use super::answer::{Effect, Trouble};
use super::event::IntentEvent;
use super::event_recorder::EventRecorder;
use super::order_id::{Purpose, derive};
use super::refusal::Refusal;
use crate::error::Doing;

/// How many tries of one order are looked through for a free one.
const ATTEMPTS_MAX: u32 = 1_000;

impl EventRecorder {
    pub(super) async fn intent(&self, event: IntentEvent, line: &Arc<str>) -> Result<Effect, Trouble> {
        let engine = self.engine_of(&event).await?;
        let (id, attempt) = match &event.client_order_id {
            Some(id) => (id.clone(), event.attempt),
            None => self.next_id(&event, engine.as_ref(), line).await.map(|(id, attempt)| (id, Some(attempt)))?,
        };
        let known = self.store.intent(&self.account, &id).await.doing("looking for an intent")?;
        let known = known.map(|known| known.fact);
        let attempt = attempt.or(known.as_ref().map(|known| known.attempt)).unwrap_or(1);
        let dca_step = event.step.or(known.as_ref().map(|known| known.dca_step)).unwrap_or(0);
        let intent = OrderIntent {
            client_order_id: id.clone(),
            symbol: event.symbol,
            class: event.class,
            side: event.side,
            position_side: event.position_side,
            role: event.role,
            dca_step,
            attempt,
            order_type: event.order_type,
            qty: event.qty,
            price: event.price,
            trigger_price: event.trigger_price,
            reduce_only: event.reduce_only,
            signal_id: event.signal_id,
            engine,
            // A line that is given again was written when it was given first.
            created_local: match (&known, event.time) {
                (Some(known), _) => known.created_local,
                (None, Some(time)) => time.at,
                (None, None) => self.now(),
            },
            outcome: IntentOutcome::Pending,
        };
        let stands = known.map_or(IntentOutcome::Pending, |known| known.outcome);
        let effect = self.own(vec![AnyFact::Intent(intent)], line).await?;
        Ok(effect.with("client_order_id", id.as_str()).with("attempt", attempt).with("intent", stands.as_str()))
    }

    /// The strategy behind an order: the line's word, else that of its signal.
    async fn engine_of(&self, event: &IntentEvent) -> Result<Option<EngineLabel>, Trouble> {
        if let (None, Some(id)) = (&event.engine, &event.signal_id) {
            let signal = self.store.signal(&self.account, id).await.doing("looking for a signal")?;
            return Ok(signal.and_then(|signal| signal.fact.engine));
        }
        Ok(event.engine.clone())
    }

    /// The id of the next try of an order. A further try of an entry needs the proof that the one before was refused or has
    /// ended; an exit that the bot asks for is never held up.
    async fn next_id(
        &self,
        event: &IntentEvent,
        engine: Option<&EngineLabel>,
        line: &Arc<str>,
    ) -> Result<(ClientOrderId, u32), Trouble> {
        let of_signal = event.signal_id.as_ref().map(SignalId::as_str);
        // An order that belongs to nothing is told from others by its moment; such a line is another order each time.
        let moment = self.now().as_ms().to_string();
        let of_nothing = || format!("{} {} {moment}", event.symbol, event.side);
        let trade = event.trade.as_ref().map(Label::as_str).or(of_signal).map_or_else(of_nothing, str::to_owned);
        let purpose = |attempt| Purpose {
            account: &self.account,
            trade: &trade,
            engine,
            role: event.role,
            step: event.step.unwrap_or(0),
            attempt,
        };
        let id_of = |attempt| {
            derive(&self.schemes, &purpose(attempt)).ok_or_else(|| {
                let problem = "no client order id can be made of it";
                Refusal::field("engine", problem, "give client_order_id")
            })
        };
        let is_entry = matches!(event.role, IntentRole::Entry | IntentRole::Dca);
        for attempt in 1..=event.attempt.unwrap_or(ATTEMPTS_MAX).min(ATTEMPTS_MAX) {
            let id = id_of(attempt)?;
            let is_wanted = event.attempt.is_none_or(|wanted| wanted == attempt);
            let known = self.store.intent(&self.account, &id).await.doing("looking for an intent")?;
            let Some(known) = known.map(|known| known.fact) else {
                if is_wanted {
                    return Ok((id, attempt));
                }
                if is_entry {
                    let problem = format!("try {attempt} of this order was never announced");
                    let advice = "leave attempt out, and the next one is taken";
                    return Err(Refusal::field("attempt", problem, advice).into());
                }
                continue;
            };
            let is_named_exit = event.attempt.is_some() && !is_entry;
            if is_wanted && (is_named_exit || self.is_of_line(&known, line).await?) {
                return Ok((id, attempt));
            }
            if is_named_exit || self.has_ended(&known).await? {
                continue;
            }
            if is_entry {
                return Err(undecided(&id, attempt));
            }
            return Ok((id, attempt));
        }
        let problem = "the tries of this order that may be made are made";
        Err(Refusal::field("attempt", problem, "give client_order_id, or another trade").into())
    }

    /// Whether an intent was recorded from this very line: then its answer was lost on the way.
    async fn is_of_line(&self, intent: &OrderIntent, line: &Arc<str>) -> Result<bool, Trouble> {
        let key = fact_key(&AnyFact::Intent(intent.clone()));
        let sources = self.store.fact_sources(&self.account, FactKind::Intent, &key).await;
        Ok(sources.doing("looking for a line")?.iter().any(|source| source.payload == **line))
    }

    /// Whether nothing can become of an order any more: it was refused, or it has come to its end.
    async fn has_ended(&self, intent: &OrderIntent) -> Result<bool, Trouble> {
        match intent.outcome {
            IntentOutcome::Rejected => Ok(true),
            IntentOutcome::Pending | IntentOutcome::Unknown => Ok(false),
            IntentOutcome::Accepted => {
                let order = self.order_named(&intent.symbol, None, Some(&intent.client_order_id)).await?;
                Ok(order.is_some_and(|order| order.order.fact.status.is_terminal()))
            }
        }
    }
}

fn undecided(id: &ClientOrderId, attempt: u32) -> Trouble {
    let problem = format!("try {attempt} of it, {id}, was neither refused nor has it come to its end");
    let advice = "do not send it again: ask the exchange for this id, and tell what it answers with `sent` or `order`";
    let mut details = Map::new();
    details.insert("client_order_id".to_owned(), id.as_str().into());
    details.insert("attempt".to_owned(), attempt.into());
    Trouble::Refused(Refusal::field("trade", problem, advice), details)
}
