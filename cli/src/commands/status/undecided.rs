//! Orders that were announced, and of which nobody heard what became.

use exchange_client::files::Zone;
use ledger_core::{AccountId, ClientOrderId, IntentOutcome, OrderIntent, TimestampMs};
use ledger_store::{IntentFilter, PageRequest, Pages, Scope, Store};
use reconciler::settles_intent;
use serde_json::{Value, json};

use super::super::PAGE;
use super::super::rebuild::count;
use super::freshness::span;
use crate::error::CommandError;
use crate::times::show_time;

/// How many are named; the others are counted.
const NAMED_MAX: usize = 5;
/// For how long the answer to an order may be on its way: no client waits longer by itself.
const UNDER_WAY_MS: i64 = 30_000;

/// Intents without an outcome.
pub(super) struct Undecided {
    intents: Vec<OrderIntent>,
    now: TimestampMs,
    /// What settles them at this venue.
    advice: &'static str,
}

impl Undecided {
    pub(super) async fn of(
        store: &dyn Store,
        (account, venue): (&AccountId, &str),
        now: TimestampMs,
    ) -> Result<Self, CommandError> {
        let filter = IntentFilter { unresolved_only: true, ..Scope::account(account.clone()).into() };
        let found = Pages::of(PageRequest::first(PAGE), |page| store.intents(&filter, page)).all().await?;
        let intents = found.into_iter().map(|intent| intent.fact).collect();
        Ok(Self { intents, now, advice: settles_intent(venue) })
    }

    fn age_ms(&self, intent: &OrderIntent) -> i64 {
        self.now.as_ms().saturating_sub(intent.created_local.as_ms())
    }

    /// Whether the answer may still come by itself.
    fn is_under_way(&self, intent: &OrderIntent) -> bool {
        intent.outcome == IntentOutcome::Pending && (0..=UNDER_WAY_MS).contains(&self.age_ms(intent))
    }

    /// Whether any of them asks for somebody.
    pub(super) fn is_open(&self) -> bool {
        self.intents.iter().any(|intent| !self.is_under_way(intent))
    }

    pub(super) fn attention(&self, zone: &Zone) -> Vec<String> {
        if self.intents.is_empty() {
            return Vec::new();
        }
        let (orders, advice) = (count(self.intents.len() as u64, "order"), self.advice);
        let mut lines = vec![format!("nobody heard what became of {orders} on the way to the exchange: {advice}")];
        lines.extend(self.intents.iter().take(NAMED_MAX).map(|intent| self.line(intent, zone)));
        if self.intents.len() > NAMED_MAX {
            let rest = self.intents.len().saturating_sub(NAMED_MAX);
            lines.push(format!("- and {rest} more: `fillbook intents --undecided`"));
        }
        lines
    }

    fn line(&self, intent: &OrderIntent, zone: &Zone) -> String {
        let OrderIntent { client_order_id, symbol, side, role, .. } = intent;
        let told = match intent.outcome {
            _ if self.is_under_way(intent) => "; its answer may be on its way",
            IntentOutcome::Pending => "; perhaps it was never sent",
            _ => "",
        };
        let (at, age) = (show_time(intent.created_local, zone), span(self.age_ms(intent)));
        format!("- {symbol} {side} ({role}), client order id {client_order_id}, sent {at}, {age} ago{told}")
    }

    pub(super) fn json(&self) -> Value {
        let told = |intent: &OrderIntent| {
            json!({
                "client_order_id": ClientOrderId::as_str(&intent.client_order_id), "symbol": intent.symbol.as_str(),
                "side": intent.side.as_str(), "role": intent.role.as_str(), "outcome": intent.outcome.as_str(),
                "created_local": intent.created_local.as_ms(), "age_ms": self.age_ms(intent),
                "under_way": self.is_under_way(intent), "advice": self.advice,
            })
        };
        self.intents.iter().map(told).collect()
    }
}
