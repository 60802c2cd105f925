//! Lines that bring an order: what became of one that was sent, its state as the exchange answered it, its trades, its cancel.

use std::sync::Arc;

use exchange_client::files::CcxtObject;
use ledger_core::{
    AnyFact, Cancel, ClientOrderId, EventTime, IntentOutcome, Label, Order, OrderIntent, OrderStatus, Source, Statement,
};

use super::answer::{Effect, Trouble};
use super::bot_record::accepted;
use super::closing::stated;
use super::event::{Cancelled, Sent, SentEvent};
use super::event_recorder::{EventRecorder, unknown_order};
use super::refusal::Refusal;
use super::words::Changed;
use crate::error::Doing;

impl EventRecorder {
    pub(super) async fn sent(&mut self, event: SentEvent<'_>, line: &Arc<str>) -> Result<Effect, Trouble> {
        let id = &event.client_order_id;
        let known = self.store.intent(&self.account, id).await.doing("looking for an intent")?;
        let known = known.map(|known| known.fact);
        if let Some(known) = known.as_ref().filter(|known| known.symbol != event.symbol) {
            let problem = format!("{id} was announced for {}", known.symbol);
            return Err(Refusal::field("symbol", problem, "give the symbol of the intent").into());
        }
        if let Some(text) = event.order.filter(|_| event.result == Sent::Accepted) {
            let object = self.read_order(text)?;
            return self.order(object, Some(event.client_order_id), Vec::new()).await;
        }
        let Some(known) = known else {
            let advice = "give the intent first, and the same client_order_id";
            return Err(Refusal::field("client_order_id", format!("no intent {id} is on record"), advice).into());
        };
        let outcome = match event.result {
            Sent::Accepted => IntentOutcome::Accepted,
            Sent::Rejected => IntentOutcome::Rejected,
            Sent::Unknown => IntentOutcome::Unknown,
        };
        let stands = known.outcome.max(outcome);
        let effect = self.own(vec![AnyFact::Intent(OrderIntent { outcome, ..known })], line).await?;
        Ok(effect.with("intent", stands.as_str()))
    }

    pub(super) fn read_order(&mut self, text: &str) -> Result<CcxtObject, Refusal> {
        self.reader.order(text).map_err(|error| Refusal::object("order", &error))
    }

    /// An order as the exchange answered, with what its intent knows of it. `sent_as` is the id that the bot says it was
    /// sent with, which not every answer repeats.
    pub(super) async fn order(
        &self,
        object: CcxtObject,
        sent_as: Option<ClientOrderId>,
        more: Vec<Statement>,
    ) -> Result<Effect, Trouble> {
        let mut labels = Vec::new();
        if let Some(order) = object.order() {
            if let Some(given) = &sent_as {
                same_client_id(given, order)?;
            }
            if let Some(id) = sent_as.as_ref().or(order.client_order_id.as_ref()) {
                let intent = self.store.intent(&self.account, id).await.doing("looking for an intent")?;
                if let Some(intent) = intent.filter(|intent| intent.fact.symbol == order.key.symbol) {
                    labels.extend(accepted(&intent.fact, order));
                } else if sent_as.is_some() {
                    let mut named = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
                    named.client_order_id = sent_as;
                    labels.push(Statement { fact: AnyFact::Order(named), source: Source::Bot, payload: None });
                }
            }
        }
        labels.extend(more);
        self.object(object, labels).await
    }

    pub(super) async fn object(&self, object: CcxtObject, more: Vec<Statement>) -> Result<Effect, Trouble> {
        let CcxtObject { mut statements, rejected, note } = object;
        statements.extend(more);
        let changed = Changed::of(&statements, self.exchange_now());
        let effect = Effect::of(&self.commit(statements).await?);
        for (symbol, changed) in &changed {
            let placed = Box::pin(self.closing().placed_after(symbol, *changed)).await?;
            let placed: Vec<_> = placed.into_iter().flat_map(|word| word.statements).collect();
            if !placed.is_empty() {
                self.commit(stated(placed, None)).await?;
            }
        }
        let rejected = rejected.iter().map(|error| {
            let refusal = Refusal::object("order", error);
            format!("{}: {}", refusal.field.unwrap_or_default(), refusal.problem)
        });
        let remarks: Vec<_> = rejected.chain(note.map(str::to_owned)).collect();
        Ok(if remarks.is_empty() { effect } else { effect.with("remarks", remarks) })
    }

    pub(super) async fn cancel(
        &mut self,
        order: Cancelled<'_>,
        reason: Option<Label>,
        line: &Arc<str>,
    ) -> Result<Effect, Trouble> {
        let (symbol, order_id) = match order {
            Cancelled::Object(text) => {
                let object = self.read_order(text)?;
                let cancel = object.order().filter(|order| order.status == OrderStatus::Canceled);
                let cancel = cancel.map(|order| self.cancel_of(order, reason, line));
                let remark = cancel
                    .is_none()
                    .then_some("the order does not say that it is cancelled: its state is on record, and no cancel");
                let effect = self.order(object, None, cancel.into_iter().collect()).await?;
                return Ok(match remark {
                    Some(remark) => effect.with("remarks", vec![remark]),
                    None => effect,
                });
            }
            Cancelled::Named { symbol, order_id } => (symbol, order_id),
        };
        let known = self.order_named(&symbol, Some(&order_id), None).await?;
        let known = known.map(|known| known.order.fact).ok_or_else(|| unknown_order("order_id", order_id.as_str()))?;
        let mut ended = Order::known_from_fill(known.key.clone(), known.side, known.position_side);
        ended.status = OrderStatus::Canceled;
        let cancel = self.cancel_of(&ended, reason, line);
        let ended = Statement { fact: AnyFact::Order(ended), source: Source::Bot, payload: Some(Arc::clone(line)) };
        Ok(Effect::of(&self.commit(vec![ended, cancel]).await?))
    }

    /// That an order was cancelled, and why. Where the exchange does not say when, the moment is an inference from the local
    /// clock, which gives way to every time that is stated.
    fn cancel_of(&self, order: &Order, reason: Option<Label>, line: &Arc<str>) -> Statement {
        let (time, source) = match order.updated {
            Some(time) => (time, Source::Bot),
            None => (EventTime::ms(self.exchange_now()), Source::Repair),
        };
        let cancel = Cancel { key: order.key.clone(), side: Some(order.side), time, reason };
        Statement { fact: AnyFact::Cancel(cancel), source, payload: Some(Arc::clone(line)) }
    }
}

fn same_client_id(given: &ClientOrderId, order: &Order) -> Result<(), Refusal> {
    match &order.client_order_id {
        Some(own) if own != given => Err(Refusal::field(
            "client_order_id",
            format!("it is {given}, and the order says {own}"),
            "give the order that was sent with this id",
        )),
        _ => Ok(()),
    }
}
