//! How an open order is changed, and what is remembered of that.

use super::engine::Engine;
use super::order::{Kind, Lookup, Order, Status, TimeInForce};
use super::refusal::Refusal;

/// A change of an order: each time from what to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amended {
    pub(super) id: i64,
    pub(super) at_ms: i64,
    pub(super) price_e8: [i128; 2],
    pub(super) qty_e8: [i128; 2],
    /// How often the order has been changed by then.
    pub(super) count: usize,
}

impl Engine {
    /// Changes quantity and price of an open limit order, which keeps its id.
    pub(super) fn amend(
        &mut self,
        account: usize,
        symbol: &str,
        lookup: &Lookup,
        buy: bool,
        qty_e8: i128,
        price_e8: i128,
    ) -> Result<Order, Refusal> {
        let market = self.trading_market(symbol)?;
        let before = self.find(account, symbol, lookup).filter(|order| order.status.is_open()).cloned();
        let before = before.ok_or_else(Refusal::no_such_order)?;
        let Kind::Limit { price_e8: price_before_e8, time_in_force } = before.ticket.kind else {
            return Err(Refusal::order_type());
        };
        if before.ticket.buy != buy {
            return Err(Refusal::side());
        }
        Self::check_qty(market, qty_e8)?;
        Self::check_price(market, price_e8)?;
        Self::check_distance(market, buy, price_e8)?;
        if (qty_e8, price_e8) == (before.ticket.qty_e8, price_before_e8) {
            return Err(Refusal::nothing_to_amend());
        }
        let mut order = before.clone();
        order.ticket.qty_e8 = qty_e8;
        order.ticket.kind = Kind::Limit { price_e8, time_in_force };
        order.updated_ms = self.now_ms;
        let crosses = self.crosses(&order.ticket);
        if qty_e8 <= before.executed_e8 || (crosses && time_in_force == TimeInForce::Gtx) {
            // The order ends as it was.
            let mut ended = before;
            (ended.status, ended.updated_ms) = (Status::Canceled, self.now_ms);
            self.tell_order(account, &ended, "CANCELED");
            self.store(account, ended.clone());
            return Ok(ended);
        }
        let quote_asset = market.spec.quote_asset.clone();
        self.fit_amended(account, &mut order)?;
        let available_before_e8 = self.available_e8(account, &quote_asset);
        // Tried on: what is available depends on all orders that are open.
        self.keep(account, order.clone());
        let available_e8 = self.available_e8(account, &quote_asset);
        self.keep(account, before.clone());
        // Asking for less is fine even when there is too little already.
        if available_e8 < 0 && available_e8 < available_before_e8 {
            return Err(Refusal::margin());
        }
        self.check_value(account, &order.ticket, Some(&before))?;
        self.tell_order(account, &order, "AMENDMENT");
        self.remember_amended(account, &before, &order, [price_before_e8, price_e8]);
        self.store(account, order.clone());
        if crosses {
            let fills = self.taker_fills(account, &order);
            self.settle_fills(account, &mut order, fills, false);
            self.store(account, order.clone());
        }
        self.give_way(account, &order);
        Ok(order)
    }

    fn remember_amended(&mut self, account: usize, before: &Order, after: &Order, price_e8: [i128; 2]) {
        let id = self.take_amendment_id();
        let Some(standing) = self.accounts.get_mut(account) else {
            return;
        };
        let amended = standing.amended.entry((after.ticket.symbol.clone(), after.id)).or_default();
        let qty_e8 = [before.ticket.qty_e8, after.ticket.qty_e8];
        amended.push(Amended { id, at_ms: self.now_ms, price_e8, qty_e8, count: amended.len() + 1 });
    }
}
