//! What the book has of orders, and of what was sent before they were known.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{ClientOrderId, Order, OrderClass, OrderKey, Origin, Source, Sourced, Symbol, TimestampMs};
use ledger_store::{IntentFilter, OrderFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::asked::Asked;
use crate::confirming::List;
use crate::error::{Doing, ReconcileError};
use crate::observe::book_view::BookView;
use crate::observe::observation::{Observation, SymbolObservation};
use crate::observe::walk::Walk;
use crate::streams::{CONDITIONAL_ORDERS, FORCE_ORDERS, ORDERS};

impl BookReader<'_> {
    pub(super) async fn read_orders(&self, filter: &OrderFilter, view: &mut BookView) -> Result<(), ReconcileError> {
        let orders = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.orders(filter, page))
            .all()
            .await
            .doing("reading the orders")?;
        view.orders.extend(orders.into_iter().map(|order| (order.order.fact.key.clone(), order)));
        Ok(())
    }

    pub(super) async fn read_intents(&self, filter: &IntentFilter, view: &mut BookView) -> Result<(), ReconcileError> {
        let intents = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.intents(filter, page))
            .all()
            .await
            .doing("reading the intents")?;
        view.intents.extend(intents.into_iter().map(|intent| (intent.fact.client_order_id.clone(), intent)));
        Ok(())
    }

    /// What was taken for never sent, and its order is in the book by now: a late answer or an import brought it.
    pub(super) async fn read_contradicted(&self, view: &mut BookView) -> Result<(), ReconcileError> {
        let filter = IntentFilter { contradicted_only: true, ..IntentFilter::from(self.scope()) };
        let intents = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.intents(&filter, page))
            .all()
            .await
            .doing("reading the intents")?;
        for intent in intents {
            let client_order_id = Some(intent.fact.client_order_id.clone());
            let scope = Scope::symbol(self.account.clone(), intent.fact.symbol.clone());
            self.read_orders(&OrderFilter { client_order_id, ..OrderFilter::from(scope) }, view).await?;
            view.intents.insert(intent.fact.client_order_id.clone(), intent);
        }
        Ok(())
    }

    pub(in crate::observe) async fn learn_order(
        &self,
        key: &OrderKey,
        view: &mut BookView,
    ) -> Result<(), ReconcileError> {
        if !view.orders.contains_key(key)
            && view.looked_up.0.insert(key.clone())
            && let Some(order) = self.book.order(self.account, key).await.doing("reading an order")?
        {
            view.orders.insert(key.clone(), order);
        }
        Ok(())
    }

    /// Reads again what the book has of those orders of a contract of which the closer look was told something else. Whoever
    /// records beside the look may have heard of it before that answer came, and then nothing is missing.
    pub(in crate::observe) async fn learn_anew(
        &self,
        seen: &mut Observation,
        symbol: &Symbol,
    ) -> Result<(), ReconcileError> {
        let stated = seen.symbols.get(symbol).into_iter().flat_map(SymbolObservation::stated_orders);
        let executed = |order: &Order| order.executed.as_ref().map(|executed| executed.qty);
        let stated = stated.map(|row| &row.entity).filter(|stated| {
            let known = seen.book.orders.get(&stated.key).map(|known| &known.order.fact);
            known.is_some_and(|known| known.status != stated.status || executed(known) != executed(stated))
        });
        let overtaken: Vec<OrderKey> = stated.map(|stated| stated.key.clone()).collect();
        for key in overtaken {
            if let Some(order) = self.book.order(self.account, &key).await.doing("reading an order")? {
                seen.book.orders.insert(key, order);
            }
        }
        Ok(())
    }

    pub(super) async fn learn_intent(&self, id: &ClientOrderId, view: &mut BookView) -> Result<(), ReconcileError> {
        if !view.intents.contains_key(id)
            && view.looked_up.1.insert(id.clone())
            && let Some(intent) = self.book.intent(self.account, id).await.doing("reading an intent")?
        {
            view.intents.insert(id.clone(), intent);
        }
        Ok(())
    }

    /// Notes which orders the exchange once sent, and does not list any more although it would still have them: those that
    /// executed anything, and others that ended a while ago only.
    pub(in crate::observe) async fn learn_unlisted_orders(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        if let Asked::Answered(walk) = &seen.orders {
            seen.book.unlisted_orders = self.unlisted(seen, (ORDERS, None), walk).await?;
        }
        if let Asked::Answered(walk) = &seen.force_orders {
            seen.book.unlisted_force_orders = self.unlisted(seen, (FORCE_ORDERS, None), walk).await?;
        }
        Ok(())
    }

    /// The same of the conditional orders of a contract. One that triggered is kept, too.
    pub(in crate::observe) async fn learn_unlisted_conditional_orders(
        &self,
        seen: &mut Observation,
        symbol: &Symbol,
    ) -> Result<(), ReconcileError> {
        let Some(walk) = seen.symbols.get(symbol).and_then(|close| close.conditional_orders.answer()) else {
            return Ok(());
        };
        let unlisted = self.unlisted(seen, (CONDITIONAL_ORDERS, Some(symbol)), walk).await?;
        seen.book.unlisted_conditional_orders.insert(symbol.clone(), unlisted);
        Ok(())
    }

    /// When the orders were created of which a list that was read before has nothing now.
    async fn unlisted(
        &self,
        seen: &Observation,
        list: List<'_>,
        walk: &Walk<Order>,
    ) -> Result<Vec<TimestampMs>, ReconcileError> {
        let listed: BTreeSet<&OrderKey> = walk.rows.iter().map(|row| &row.entity.key).collect();
        let forgotten = self.now.saturating_add_ms(-seen.venue.unfilled_order_retention_ms);
        let mut unlisted = Vec::new();
        for (since, until) in seen.read_before.parts(list, walk.window) {
            let filter = OrderFilter::from(self.stretch(list.1, since, until));
            let orders = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.orders(&filter, page))
                .all()
                .await
                .doing("reading the orders")?;
            for order in orders {
                let Sourced { fact, provenance, .. } = order.order;
                let executed = fact.executed.as_ref().is_some_and(|executed| !executed.qty.is_zero());
                let ended = fact.updated.or(fact.created).is_none_or(|time| time.at < forgotten);
                let is_kept = executed || fact.triggered_order_id.is_some() || !ended;
                if is_on(list.0, &fact)
                    && provenance.source == Source::Rest
                    && is_kept
                    && !listed.contains(&fact.key)
                    && let Some(created) = fact.created
                {
                    unlisted.push(created.at);
                }
            }
        }
        Ok(unlisted)
    }

    /// What the book has of every order that the exchange mentioned, of `symbol` or of all, and of who sent those that it
    /// has not.
    pub(in crate::observe) async fn learn_orders(
        &self,
        seen: &mut Observation,
        symbol: Option<&Symbol>,
    ) -> Result<(), ReconcileError> {
        let stated = seen.stated_orders().map(|row| &row.entity);
        let stated = stated.filter(|order| symbol.is_none_or(|symbol| order.key.symbol == *symbol));
        let stated: BTreeMap<OrderKey, Order> = stated.map(|order| (order.key.clone(), order.clone())).collect();
        for (key, order) in stated {
            self.learn_order(&key, &mut seen.book).await?;
            let is_labelled = seen.book.orders.get(&key).is_some_and(|known| known.order.fact.signal_id.is_some());
            if let Some(id) = order.client_order_id.filter(|_| !is_labelled) {
                self.learn_intent(&id, &mut seen.book).await?;
            }
            if let Some(order_id) = order.triggered_order_id {
                let class = OrderClass::Regular;
                self.learn_order(&OrderKey { symbol: key.symbol, class, order_id }, &mut seen.book).await?;
            }
        }
        Ok(())
    }
}

/// Whether an order belongs on a list.
fn is_on(stream: &str, order: &Order) -> bool {
    match stream {
        CONDITIONAL_ORDERS => order.key.class == OrderClass::Conditional,
        FORCE_ORDERS => matches!(order.origin, Some(Origin::Forced | Origin::Adl | Origin::Liquidation)),
        _ => order.key.class == OrderClass::Regular,
    }
}
