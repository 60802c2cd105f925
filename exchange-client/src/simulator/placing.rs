//! What an order must fulfil to be taken, and how it is cancelled.

use super::books::PositionSide;
use super::engine::Engine;
use super::fixed::{decimals_e8, mul_div, to_e8};
use super::market::{Market, MarketStatus};
use super::order::{Kind, Lookup, Order, Status, Ticket, TimeInForce};
use super::refusal::Refusal;
use super::settings::value_max_e8;

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
        let mut ticket = ticket;
        if ticket.reduce_only {
            ticket.qty_e8 = ticket.qty_e8.min(self.room_e8(account, &ticket, None));
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
        self.tell_order(account, &order, "NEW");
        self.settle_fills(account, &mut order, fills, false);
        if order.remaining_e8() > 0 {
            let rests = matches!(
                order.ticket.kind,
                Kind::Limit {
                    time_in_force: TimeInForce::Gtc | TimeInForce::Gtx | TimeInForce::Gtd { .. } | TimeInForce::GteGtc,
                    ..
                }
            );
            if !rests || self.closable_e8(account, &order) == Some(0) {
                order.status = Status::Expired;
                self.tell_order(account, &order, "EXPIRED");
            }
        }
        self.store(account, order.clone());
        self.give_way(account, &order);
        Ok(order)
    }

    /// Whether an order would execute at the current price.
    pub(super) fn crosses(&self, ticket: &Ticket) -> bool {
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
        if price_e8 > Market::PRICE_MAX_E8 {
            return Err(Refusal::price_above_max());
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
    pub(super) fn check_distance(market: &Market, buy: bool, price_e8: i128) -> Result<(), Refusal> {
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
        self.check_opening(account, ticket)?;
        self.check_value(account, ticket, None)
    }

    /// Whether an order may open what it opens, and whether there is margin for it.
    fn check_opening(&self, account: usize, ticket: &Ticket) -> Result<(), Refusal> {
        let market = self.trading_market(&ticket.symbol)?;
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        self.check_room(account, ticket)?;
        if ticket.reduce_only {
            return Ok(());
        }
        let opened_e8 = ticket.qty_e8 - closable_of(ticket, held_e8);
        if opened_e8 <= 0 {
            return Ok(());
        }
        // A flip needs no more than the larger of what it closes and what it opens.
        let more_e8 = self.order_margin_e8(account, &ticket.symbol, Some(ticket))
            - self.order_margin_e8(account, &ticket.symbol, None);
        if more_e8 > 0 && more_e8 > self.available_e8(account, &market.spec.quote_asset) {
            return Err(Refusal::margin());
        }
        Ok(())
    }

    /// Whether an order is large enough to be worth while, and whether the position may become as large as it, the open
    /// orders and what is held would make it. An order that is amended does not count beside its new self.
    pub(super) fn check_value(&self, account: usize, ticket: &Ticket, amended: Option<&Order>) -> Result<(), Refusal> {
        if ticket.only_closes() {
            return Ok(());
        }
        let market = self.trading_market(&ticket.symbol)?;
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let price_e8 = ticket.kind.limit_e8().unwrap_or(market.price_e8);
        check_notional(ticket.qty_e8, price_e8, closable_of(ticket, held_e8))?;
        if !opens(ticket.position_side, ticket.buy) {
            return Ok(());
        }
        let executed_e8 = amended.map_or(0, |order| order.executed_e8);
        let asked = Ticket { qty_e8: ticket.qty_e8 - executed_e8, ..ticket.clone() };
        let leverage = self.accounts.get(account).map_or(1, |standing| standing.leverage(&ticket.symbol));
        let direction = Direction { symbol: &ticket.symbol, side: ticket.position_side, buy: ticket.buy };
        let before_e8 = self.reached_value_e8(account, &direction, None, None);
        let reached_e8 = self.reached_value_e8(account, &direction, Some(&asked), amended.map(|order| order.id));
        // Asking for less is fine even when the price has made it too much already.
        if reached_e8 > before_e8 && reached_e8 > value_max_e8(market, leverage) {
            return Err(Refusal::position_too_large());
        }
        Ok(())
    }

    /// What a position would be worth if all open orders of one direction executed at their limits, perhaps with one
    /// more and without one of them; 0 when it would not be on that side.
    fn reached_value_e8(
        &self,
        account: usize,
        direction: &Direction<'_>,
        one_more: Option<&Ticket>,
        without: Option<i64>,
    ) -> i128 {
        let Direction { symbol, side, buy } = *direction;
        let (Some(market), Some(standing)) = (self.markets.get(symbol), self.accounts.get(account)) else {
            return 0;
        };
        let open = standing.open_orders(symbol).filter(|order| Some(order.id) != without);
        let asked = open.map(|order| (&order.ticket, order.remaining_e8()));
        let opening = asked
            .chain(one_more.map(|ticket| (ticket, ticket.qty_e8)))
            .filter(|(ticket, _)| ticket.position_side == side && ticket.buy == buy && !ticket.only_closes());
        let (mut qty_e8, mut value_e16) = (0, 0);
        for (ticket, asked_e8) in opening {
            qty_e8 += asked_e8;
            value_e16 += asked_e8 * ticket.kind.limit_e8().unwrap_or(market.price_e8);
        }
        let held_e8 = self.books.accounts.get(account).map_or(0, |book| book.qty_e8(symbol, side));
        let towards_e8 = if buy { held_e8 } else { -held_e8 };
        if towards_e8 >= 0 {
            return to_e8(towards_e8 * market.price_e8 + value_e16);
        }
        // What they close first is not part of the new position.
        let opened_e8 = qty_e8 + towards_e8;
        if opened_e8 <= 0 { 0 } else { mul_div(to_e8(value_e16), opened_e8, qty_e8) }
    }

    /// What a contract's positions would be worth at most if the open orders of a direction executed.
    pub(super) fn reached_value_max_e8(&self, account: usize, symbol: &str) -> i128 {
        let directions = self.sides(account).iter().flat_map(|side| [(*side, true), (*side, false)]);
        let opening = directions.filter(|(side, buy)| opens(*side, *buy));
        let values =
            opening.map(|(side, buy)| self.reached_value_e8(account, &Direction { symbol, side, buy }, None, None));
        values.max().unwrap_or(0)
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
        self.tell_order(account, &order, "CANCELED");
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
}

/// A side of a contract's positions, and the way in which it is traded.
#[derive(Debug, Clone, Copy)]
struct Direction<'a> {
    symbol: &'a str,
    side: PositionSide,
    buy: bool,
}

/// Whether trading a side this way can open something.
fn opens(side: PositionSide, buy: bool) -> bool {
    match side {
        PositionSide::Both => true,
        PositionSide::Long => buy,
        PositionSide::Short => !buy,
    }
}

/// An order that closes nothing must be worth something.
pub(super) fn check_notional(qty_e8: i128, price_e8: i128, closable_e8: i128) -> Result<(), Refusal> {
    if closable_e8 == 0 && qty_e8 * price_e8 < Market::NOTIONAL_MIN_E16 { Err(Refusal::notional()) } else { Ok(()) }
}

/// Whether an order works against a position.
pub(super) fn closes(ticket: &Ticket, held_e8: i128) -> bool {
    match ticket.position_side {
        PositionSide::Both => held_e8.signum() == if ticket.buy { -1 } else { 1 },
        PositionSide::Long => !ticket.buy,
        PositionSide::Short => ticket.buy,
    }
}

/// How much of a position an order would close.
pub(super) fn closable_of(ticket: &Ticket, held_e8: i128) -> i128 {
    if closes(ticket, held_e8) { held_e8.abs().min(ticket.qty_e8) } else { 0 }
}
