//! A bot that lets its executor send, or sends by itself and leaves nothing in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exchange_client::{Clock, ExchangeTrader, NewOrder};
use ledger_core::{EngineLabel, ExitReason, SignalId, Symbol};
use ledger_store::FactReader;
use reconciler::{Cause, CloseRequest, EntryOutcome, EntryRequest, Executor, Recorder};

use super::story::{SYMBOLS, Story};
use crate::support::Fixture;

#[derive(Default)]
pub(super) struct Bot {
    decisions: usize,
    /// The client order ids that the executor said it sent.
    sent: BTreeSet<String>,
    /// Each entry's signal, with the contract that it is in.
    entered: BTreeMap<String, Symbol>,
}

fn executor(fixture: &Fixture) -> Executor {
    let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
    let recorder = Recorder::new(fixture.store.clone(), fixture.account.clone(), clock);
    let recorder = recorder.learning_contracts(fixture.exchange.clone());
    Executor::new(recorder, fixture.exchange.clone(), fixture.exchange.clone())
}

impl Bot {
    /// Does one thing, and answers what.
    pub(super) async fn trade(&mut self, story: &mut Story) -> String {
        self.decisions += 1;
        let kind = story.random.below(4);
        let name = *story.random.of(&SYMBOLS);
        let qty = *story.random.of(&["1", "2", "3"]);
        let symbol = Symbol::new(name).unwrap();
        let side = *story.random.of(&[ledger_core::Side::Buy, ledger_core::Side::Sell]);
        let engine = Some(EngineLabel::new("swing").unwrap());
        let executor = executor(&story.fixture);
        match kind {
            0 => {
                let number = 1_000 + self.decisions;
                let intent = story.fixture.intent(number, &symbol, side, qty, None, None);
                let order = NewOrder::from_intent(&intent).unwrap();
                let outcome = story.while_time_passes(story.fixture.exchange.create_order(order)).await;
                format!("a bot without a book sends {side} {qty} {symbol}: {}", outcome.done().is_some())
            }
            1 | 2 => {
                let signal = format!("s-{}", self.decisions);
                let cause = Cause::Signal(SignalId::new(&signal).unwrap());
                let request = EntryRequest { symbol: symbol.clone(), cause, engine, qty: qty.parse().unwrap() };
                let entering = async {
                    match side {
                        ledger_core::Side::Buy => executor.long_market(&request).await,
                        ledger_core::Side::Sell => executor.short_market(&request).await,
                    }
                };
                let outcome = story.while_time_passes(entering).await;
                let word = match &outcome {
                    Ok(EntryOutcome::Sent(sent)) => {
                        self.sent.insert(sent.client_order_id.to_string());
                        self.entered.insert(signal.clone(), symbol.clone());
                        "sent"
                    }
                    Ok(EntryOutcome::Blocked(_)) => "blocked",
                    Ok(EntryOutcome::Unknown { .. }) => "unknown",
                    Ok(_) => "not sent",
                    Err(_) => "failed",
                };
                format!("the executor enters {side} {qty} {symbol} for {signal}: {word}")
            }
            _ => {
                let Some((signal, symbol)) = self.entered.pop_first() else {
                    return "the executor has nothing to close".into();
                };
                let cause = Cause::Signal(SignalId::new(&signal).unwrap());
                let reason = Some(ExitReason::TakeProfit);
                let request = CloseRequest { symbol: symbol.clone(), cause, engine, reason, believed_qty: None };
                let closing = async {
                    let long = executor.close_long_market(&request).await;
                    let short = executor.close_short_market(&request).await;
                    (long.is_flat(), short.is_flat())
                };
                let flat = Box::pin(story.while_time_passes(closing)).await;
                format!("the executor closes {symbol}, entered for {signal}: {flat:?}")
            }
        }
    }

    /// What the executor said it sent is on record, and no entry was made twice.
    pub(super) async fn assert_kept(&self, fixture: &Fixture) {
        let orders = fixture.simulator.books().accounts.remove(0).orders;
        for id in &self.sent {
            let intent = fixture.store.intent(&fixture.account, &id.parse().unwrap()).await.unwrap();
            assert!(intent.is_some(), "{id} was sent and is not on record");
            assert_eq!(orders.iter().filter(|order| order.client_order_id == *id).count(), 1, "{id}");
        }
        let mut entries: BTreeMap<String, usize> = BTreeMap::new();
        for order in orders.iter().filter(|order| order.executed.is_positive() && order.forced.is_none()) {
            *entries.entry(order.client_order_id.clone()).or_default() += 1;
        }
        assert!(entries.iter().all(|(id, count)| *count == 1 || id.is_empty()), "{entries:?}");
    }
}
