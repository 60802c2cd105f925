//! What opened the book's round trips, as far as a label or a signal may be missing there.

use std::collections::BTreeMap;

use ledger_core::{Direction, Fill, FillId, FillKey, Opening, OrderClass, OrderId, OrderKey, PositionSide, Side};
use ledger_store::{FillFilter, OrderFilter, PageRequest, Pages, Scope, TripFilter};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};
use crate::label::LabelSources;
use crate::observe::book_view::BookView;
use crate::observe::close_look::agrees_until;
use crate::observe::observation::Observation;

impl BookReader<'_> {
    /// The orders that the bot's own files may speak of.
    pub(super) async fn read_labelled(&self, labels: &LabelSources, view: &mut BookView) -> Result<(), ReconcileError> {
        for event in &labels.events {
            let (since, until) = self.policy.signal_window_around(event.time.at);
            let stretch = self.stretch(Some(&event.symbol), since, until);
            self.read_orders(&OrderFilter::from(stretch), view).await?;
            if let Some(order_id) = &event.order_id {
                let key =
                    OrderKey { symbol: event.symbol.clone(), class: OrderClass::Regular, order_id: order_id.clone() };
                self.learn_order(&key, view).await?;
            }
        }
        for trip in self.book.open_trips(self.account).await.doing("reading the open round trips")? {
            let Opening::Fill { side, fill_id } = trip.opening else { continue };
            let key = FillKey { symbol: trip.symbol.clone(), fill_id, side };
            let fill = self.book.fill(self.account, &key).await.doing("reading a fill")?;
            if let Some(order_id) = fill.and_then(|fill| fill.fact.order_id) {
                let class = OrderClass::Regular;
                let order = OrderKey { symbol: trip.symbol.clone(), class, order_id };
                self.learn_order(&order, view).await?;
                view.openers.insert((trip.symbol, trip.position_side), order);
            }
        }
        Ok(())
    }

    /// What opened the book's round trips without a signal, with the orders behind it. Where the exchange holds something
    /// else than the book and the fills that it lacks, or in front of what it holds some are lacking, nothing says what
    /// opened what.
    pub(in crate::observe) async fn learn_openers(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let filter = FillFilter { unsignalled_openers_only: true, ..FillFilter::from(self.scope()) };
        let openers = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.fills(&filter, page))
            .all()
            .await
            .doing("reading the fills")?;
        let mut agreeing = BTreeMap::new();
        for fill in openers.into_iter().map(|fill| fill.fact) {
            let (symbol, side) = (&fill.key.symbol, fill.position_side.unwrap_or(PositionSide::Net));
            let until = *agreeing.entry((symbol.clone(), side)).or_insert_with(|| agrees_until(seen, symbol, side));
            let agrees = until.is_some_and(|until| fill.time.at < until);
            let Some(order_id) = fill.order_id.clone().filter(|_| agrees) else { continue };
            let class = OrderClass::Regular;
            let key = OrderKey { symbol: symbol.clone(), class, order_id };
            self.learn_order(&key, &mut seen.book).await?;
            let order = seen.book.orders.get(&key).map(|known| &known.order.fact);
            if let Some(id) = order.and_then(|order| order.client_order_id.clone()) {
                self.learn_intent(&id, &mut seen.book).await?;
            }
            let ends_another = self.ends_another(&fill, &key.order_id).await?;
            seen.book.unsignalled_openers.push((fill, ends_another));
        }
        Ok(())
    }

    /// Whether the order of a fill that opened a round trip ended another one before: with this fill or one before it.
    pub(super) async fn ends_another(&self, opener: &Fill, order_id: &OrderId) -> Result<bool, ReconcileError> {
        let symbol = Some(&opener.key.symbol);
        let scope = Scope { symbol: symbol.cloned(), until: Some(opener.time.at.saturating_add_ms(1)), ..self.scope() };
        let of_order = FillFilter { order_id: Some(order_id.clone()), ..FillFilter::from(scope) };
        let page = self.book.fills(&of_order, PageRequest::newest(BOOK_PAGE_ROWS)).await;
        let fills = page.doing("reading the fills")?.items;
        let first = fills.iter().map(|fill| fill.fact.time.at).min().unwrap_or(opener.time.at);
        let scope = self.stretch(symbol, first, opener.time.at);
        let filter = TripFilter { scope, engine: None, position_side: opener.position_side };
        let page = self.book.trips(&filter, PageRequest::newest(BOOK_PAGE_ROWS)).await;
        let ended = page.doing("reading the round trips")?.items;
        // Both halves of a trade with oneself share an id, and only one of them is on this side.
        let direction = if opener.key.side == Side::Buy { Direction::Short } else { Direction::Long };
        let mut other_way = ended.iter().filter(|trip| trip.direction == direction);
        let is_ours = |id: &FillId| fills.iter().any(|fill| fill.fact.key.fill_id == *id);
        Ok(other_way.any(|trip| trip.closed_by.as_ref().is_some_and(is_ours)))
    }
}
