//! What an order must fulfil to be taken, and how it is changed and cancelled.

use super::books::PositionSide;
use super::engine::{Engine, value_max_e8};
use super::fixed::{decimals_e8, to_e8};
use super::market::{Market, MarketStatus};
use super::order::{Kind, Lookup, Order, Status, Ticket, TimeInForce};
use super::refusal::Refusal;

/// How many orders of a contract may be open.
const OPEN_ORDERS_MAX: usize = 200;

impl Engine {
    pub(super) fn place(&mut self, account: usize, ticket: Ticket) -> Result<Order, Refusal> {
        self.place_as(account, ticket, None)
    }

    /// Places an order, perhaps in the name of a conditional one.
    pub(super) fn place_as(&mut self, account: usize, ticket: Ticket, algo_id: Option<i64>) -> Result<Order, Refusal> {
        self.check(account, &ticket)?;
        let crosses = self.crosses(&ticket);
        if let Kind::Limit { time_in_force: TimeInForce::Gtx, .. } = ticket.kind
            && crosses
        {
            return Err(Refusal::would_take());
        }
        let market = self.markets.get_mut(&ticket.symbol).ok_or_else(Refusal::symbol)?;
        let mut order = Order::new(market.take_order_id(), ticket, self.now_ms);
        order.algo_id = algo_id;
        let fills = if crosses { self.taker_fills(account, &order) } else { Vec::new() };
        if let Kind::Limit { time_in_force: TimeInForce::Fok, .. } = order.ticket.kind {
            let filled_e8: i128 = fills.iter().map(|fill| fill.qty_e8).sum();
            if filled_e8 < order.ticket.qty_e8 {
                return Err(Refusal::cannot_fill());
            }
        }
        self.settle_fills(account, &mut order, fills, false);
        if order.remaining_e8() > 0 {
            let rests =
                matches!(order.ticket.kind, Kind::Limit { time_in_force: TimeInForce::Gtc | TimeInForce::Gtx, .. });
            if !rests || self.closable_e8(account, &order) == Some(0) {
                order.status = Status::Expired;
            }
        }
        self.store(account, order.clone());
        Ok(order)
    }

    /// Whether an order would execute at the current price.
    fn crosses(&self, ticket: &Ticket) -> bool {
        let (Some(limit_e8), Some(market)) = (ticket.kind.limit_e8(), self.markets.get(&ticket.symbol)) else {
            return true;
        };
        if ticket.buy { limit_e8 >= market.price_e8 } else { limit_e8 <= market.price_e8 }
    }

    /// A contract that can be traded.
    pub(super) fn trading_market(&self, symbol: &str) -> Result<&Market, Refusal> {
        let market = self.markets.get(symbol).ok_or_else(Refusal::symbol)?;
        if market.status == MarketStatus::Trading { Ok(market) } else { Err(Refusal::closed()) }
    }

    /// The rules of quantities.
    pub(super) fn check_qty(market: &Market, qty_e8: i128) -> Result<(), Refusal> {
        if qty_e8 <= 0 {
            return Err(Refusal::quantity_too_small());
        }
        if qty_e8 > Market::QTY_MAX_E8 {
            return Err(Refusal::quantity_too_large());
        }
        if qty_e8 % market.step_e8 != 0 {
            return Err(Refusal::precision());
        }
        Ok(())
    }

    /// The rules of prices.
    pub(super) fn check_price(market: &Market, price_e8: i128) -> Result<(), Refusal> {
        if price_e8 <= 0 {
            return Err(Refusal::price_too_small());
        }
        if decimals_e8(price_e8) > decimals_e8(market.tick_e8) {
            return Err(if price_e8 % market.tick_e8 == 0 { Refusal::precision() } else { Refusal::tick_size() });
        }
        if price_e8 % market.tick_e8 != 0 {
            return Err(Refusal::tick_size());
        }
        Ok(())
    }

    /// How far a limit price may be from the market's.
    fn check_distance(market: &Market, buy: bool, price_e8: i128) -> Result<(), Refusal> {
        if price_e8 > market.price_e8 * Market::PRICE_UP_MAX && buy {
            return Err(Refusal::price_too_high());
        }
        if price_e8 * Market::PRICE_DOWN_MAX < market.price_e8 && !buy {
            return Err(Refusal::price_too_low());
        }
        // Beyond this no price of a contract has any meaning, and sums would no longer fit.
        if price_e8 > market.price_e8 * 1_000 {
            return Err(Refusal::price_too_high());
        }
        Ok(())
    }

    /// The side that an order must name in the account's mode.
    pub(super) fn check_side(&self, account: usize, side: PositionSide) -> Result<(), Refusal> {
        let hedge = self.accounts.get(account).ok_or_else(Refusal::key)?.hedge;
        if hedge == (side == PositionSide::Both) { Err(Refusal::position_side()) } else { Ok(()) }
    }

    /// What an order must fulfil to be taken.
    pub(super) fn check(&self, account: usize, ticket: &Ticket) -> Result<(), Refusal> {
        let market = self.trading_market(&ticket.symbol)?;
        let standing = self.accounts.get(account).ok_or_else(Refusal::key)?;
        self.check_side(account, ticket.position_side)?;
        if ticket.reduce_only && standing.hedge {
            return Err(Refusal::not_required("reduceonly"));
        }
        Self::check_qty(market, ticket.qty_e8)?;
        if let Some(price_e8) = ticket.kind.limit_e8() {
            Self::check_price(market, price_e8)?;
            Self::check_distance(market, ticket.buy, price_e8)?;
        }
        if let Some(client_order_id) = &ticket.client_order_id {
            let mut open = standing.open.iter().filter_map(|key| standing.orders.get(key));
            if open.any(|order| order.client_order_id == *client_order_id) {
                return Err(Refusal::duplicate_client_order_id());
            }
        }
        if standing.open_orders(&ticket.symbol).count() >= OPEN_ORDERS_MAX {
            return Err(Refusal::too_many_open_orders());
        }
        self.check_opening(account, ticket)
    }

    /// Whether an order may open what it opens.
    fn check_opening(&self, account: usize, ticket: &Ticket) -> Result<(), Refusal> {
        let market = self.trading_market(&ticket.symbol)?;
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let closable_e8 = closable_of(ticket, held_e8);
        if ticket.position_side != PositionSide::Both && closes(ticket, held_e8) && closable_e8 < ticket.qty_e8 {
            return Err(Refusal::reduce_only());
        }
        if ticket.reduce_only {
            return if closable_e8 == 0 { Err(Refusal::reduce_only()) } else { Ok(()) };
        }
        let opened_e8 = ticket.qty_e8 - closable_e8;
        if opened_e8 <= 0 {
            return Ok(());
        }
        let price_e8 = ticket.kind.limit_e8().unwrap_or(market.price_e8);
        if opened_e8 * price_e8 < Market::NOTIONAL_MIN_E16 && closable_e8 == 0 {
            return Err(Refusal::notional());
        }
        let leverage = self.accounts.get(account).map_or(1, |standing| standing.leverage(&ticket.symbol));
        let opened_value_e8 = to_e8(opened_e8 * price_e8);
        // A flip needs no more than the larger of what it closes and what it opens.
        let more_e8 = self.order_margin_e8(account, &ticket.symbol, Some(ticket))
            - self.order_margin_e8(account, &ticket.symbol, None);
        if more_e8 > 0 && more_e8 > self.available_e8(account, &market.spec.quote_asset) {
            return Err(Refusal::margin());
        }
        let kept_e8 = held_e8.abs() - closable_e8;
        if to_e8(kept_e8 * market.price_e8) + opened_value_e8 > value_max_e8(market, leverage) {
            return Err(Refusal::position_too_large());
        }
        Ok(())
    }

    /// How much of an order may still execute because it may only close; `None` when it may open as well.
    pub(super) fn closable_e8(&self, account: usize, order: &Order) -> Option<i128> {
        let ticket = &order.ticket;
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let only_closes = ticket.reduce_only || (ticket.position_side != PositionSide::Both && closes(ticket, held_e8));
        only_closes.then(|| closable_of(ticket, held_e8))
    }

    pub(super) fn cancel(&mut self, account: usize, symbol: &str, lookup: &Lookup) -> Result<Order, Refusal> {
        let found = match lookup {
            Lookup::Id(_) => self.find(account, symbol, lookup).filter(|order| order.status.is_open()),
            // Client ids are unique among open orders only: an open one is meant.
            Lookup::Client(client_order_id) => self
                .accounts
                .get(account)
                .and_then(|standing| standing.open_orders(symbol).find(|o| o.client_order_id == *client_order_id)),
        };
        let mut order = found.cloned().ok_or_else(Refusal::unknown_order_to_cancel)?;
        order.status = Status::Canceled;
        order.updated_ms = self.now_ms;
        self.store(account, order.clone());
        Ok(order)
    }

    /// Cancels every open order of a contract.
    pub(super) fn cancel_all(&mut self, account: usize, symbol: &str) {
        let open: Vec<i64> = self
            .accounts
            .get(account)
            .map_or_else(Vec::new, |standing| standing.open_orders(symbol).map(|order| order.id).collect());
        for id in open {
            // It is open: nothing happened since it was listed.
            let _canceled = self.cancel(account, symbol, &Lookup::Id(id));
        }
    }

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
            self.store(account, ended.clone());
            return Ok(ended);
        }
        let quote_asset = market.spec.quote_asset.clone();
        let available_before_e8 = self.available_e8(account, &quote_asset);
        self.store(account, order.clone());
        // Asking for less is fine even when there is too little already.
        let available_e8 = self.available_e8(account, &quote_asset);
        if available_e8 < 0 && available_e8 < available_before_e8 {
            self.store(account, before);
            return Err(Refusal::margin());
        }
        if crosses {
            let fills = self.taker_fills(account, &order);
            self.settle_fills(account, &mut order, fills, false);
            self.store(account, order.clone());
        }
        Ok(order)
    }
}

/// Whether an order works against a position.
fn closes(ticket: &Ticket, held_e8: i128) -> bool {
    match ticket.position_side {
        PositionSide::Both => held_e8.signum() == if ticket.buy { -1 } else { 1 },
        PositionSide::Long => !ticket.buy,
        PositionSide::Short => ticket.buy,
    }
}

/// How much of a position an order would close.
fn closable_of(ticket: &Ticket, held_e8: i128) -> i128 {
    if closes(ticket, held_e8) { held_e8.abs().min(ticket.qty_e8) } else { 0 }
}
