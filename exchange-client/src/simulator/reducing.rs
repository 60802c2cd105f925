//! Orders that may only close: how much of a position is left for one beside the other open orders, which of them give way
//! to a better one, and when they end.
//!
//! One that finds nothing left is refused (-2022), one that asks for more than is left is cut to it, as the exchange does in
//! one-way mode; in hedge mode it is refused. One whose part of the position a better-priced one takes expires, and so does
//! every one of them as soon as its position is gone, whatever closed it.

use super::books::PositionSide;
use super::conditional::{AlgoStatus, Conditional};
use super::engine::Engine;
use super::order::{Order, Status, Ticket, TimeInForce};
use super::placing::{closable_of, closes};
use super::refusal::Refusal;

impl Engine {
    /// How much of its position an order can close, beside the open orders of its direction that execute before it: those
    /// with a better price, and earlier ones with the same. `id` is the order's own if it is open already. Nothing executes
    /// before an order without a limit.
    pub(super) fn room_e8(&self, account: usize, ticket: &Ticket, id: Option<i64>) -> i128 {
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        if !closes(ticket, held_e8) {
            return 0;
        }
        let (Some(limit_e8), Some(standing)) = (ticket.kind.limit_e8(), self.accounts.get(account)) else {
            return held_e8.abs();
        };
        let before = standing.open_orders(&ticket.symbol).filter(|other| {
            let is_same_way = other.ticket.position_side == ticket.position_side && other.ticket.buy == ticket.buy;
            is_same_way
                && Some(other.id) != id
                && other.ticket.kind.limit_e8().is_none_or(|other_e8| {
                    let is_better = if ticket.buy { other_e8 > limit_e8 } else { other_e8 < limit_e8 };
                    is_better || (other_e8 == limit_e8 && id.is_none_or(|id| other.id < id))
                })
        });
        let asked_before_e8: i128 = before.map(Order::remaining_e8).sum();
        (held_e8.abs() - asked_before_e8).max(0)
    }

    /// Whether there is anything left to close for an order that may only close, and all that it asks for in hedge mode.
    pub(super) fn check_room(&self, account: usize, ticket: &Ticket) -> Result<(), Refusal> {
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let in_hedge = ticket.position_side != PositionSide::Both && closes(ticket, held_e8);
        if !ticket.reduce_only && !in_hedge {
            return Ok(());
        }
        let room_e8 = self.room_e8(account, ticket, None);
        if room_e8 == 0 || (in_hedge && room_e8 < ticket.qty_e8) {
            return Err(Refusal::reduce_only());
        }
        if ticket.reduce_only { self.check_other_way(account, ticket, room_e8) } else { Ok(()) }
    }

    /// Whether what others of the same direction would open, once this one has closed its part, can be backed.
    fn check_other_way(&self, account: usize, ticket: &Ticket, room_e8: i128) -> Result<(), Refusal> {
        let (Some(market), Some(standing)) = (self.markets.get(&ticket.symbol), self.accounts.get(account)) else {
            return Ok(());
        };
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side)).abs();
        let left_e8 = held_e8 - ticket.qty_e8.min(room_e8);
        let opening = standing
            .open_orders(&ticket.symbol)
            .filter(|other| other.ticket.buy == ticket.buy && !other.ticket.only_closes());
        let (mut qty_e8, mut value_e8) = (0, 0);
        for other in opening {
            let limit_e8 = other.ticket.kind.limit_e8().unwrap_or(market.price_e8);
            qty_e8 += other.remaining_e8();
            value_e8 += super::fixed::to_e8(other.remaining_e8() * limit_e8);
        }
        if qty_e8 <= left_e8 {
            return Ok(());
        }
        let leverage = standing.leverage(&ticket.symbol);
        let worth_e8 = |qty_e8: i128| super::fixed::to_e8(qty_e8 * market.price_e8);
        let carried_e8 = worth_e8(held_e8) + self.order_margin_e8(account, &ticket.symbol, None) * leverage;
        let more_e8 = (value_e8 - worth_e8(left_e8) - carried_e8).max(0) / leverage;
        if more_e8 > 0 && more_e8 > self.available_e8(account, &market.spec.quote_asset) {
            return Err(Refusal::reduce_only_margin());
        }
        Ok(())
    }

    /// Whether an amended order that may only close still can. In one-way mode it is cut to what is left.
    pub(super) fn fit_amended(&self, account: usize, order: &mut Order) -> Result<(), Refusal> {
        if self.closable_e8(account, order).is_none() {
            return Ok(());
        }
        let room_e8 = self.room_e8(account, &order.ticket, Some(order.id));
        if room_e8 == 0 || (!order.ticket.reduce_only && room_e8 < order.remaining_e8()) {
            return Err(Refusal::reduce_only());
        }
        order.ticket.qty_e8 = order.ticket.qty_e8.min(order.executed_e8 + room_e8);
        Ok(())
    }

    /// How much of an order may still execute because it may only close; `None` when it may open as well.
    pub(super) fn closable_e8(&self, account: usize, order: &Order) -> Option<i128> {
        let ticket = &order.ticket;
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let only_closes =
            ticket.only_closes() || (ticket.position_side != PositionSide::Both && closes(ticket, held_e8));
        only_closes.then(|| closable_of(ticket, held_e8))
    }

    /// Ends the orders that may only close and have nothing left to close because of this one, which may only close, too.
    pub(super) fn give_way(&mut self, account: usize, to: &Order) {
        let only_closes = to.status.is_open() && self.closable_e8(account, to).is_some();
        let Some(standing) = self.accounts.get(account).filter(|_| only_closes) else {
            return;
        };
        let replaced = standing.open_orders(&to.ticket.symbol).filter(|order| {
            order.id != to.id
                && (order.ticket.buy, order.ticket.position_side) == (to.ticket.buy, to.ticket.position_side)
                && self.closable_e8(account, order).is_some()
                && self.room_e8(account, &order.ticket, Some(order.id)) == 0
        });
        for order in replaced.cloned().collect::<Vec<Order>>() {
            self.expire(account, order);
        }
    }

    /// Ends the orders of a contract that may only close a position which is gone, and those that wait for a price only as
    /// long as there is one.
    pub(super) fn end_with_position(&mut self, account: usize, symbol: &str) {
        let Some(standing) = self.accounts.get(account) else {
            return;
        };
        let waiting = standing.waiting_conditionals(symbol).filter(|found| {
            found.ticket.time_in_force == TimeInForce::GteGtc && self.held_against(account, &found.ticket) == 0
        });
        let waiting: Vec<Conditional> = waiting.cloned().collect();
        let resting = standing.open_orders(symbol).filter(|order| self.closable_e8(account, order) == Some(0));
        let resting: Vec<Order> = resting.cloned().collect();
        for conditional in waiting {
            self.end_conditional(account, conditional, AlgoStatus::Expired);
        }
        for order in resting {
            self.expire(account, order);
        }
    }

    fn expire(&mut self, account: usize, mut order: Order) {
        (order.status, order.updated_ms) = (Status::Expired, self.now_ms);
        self.tell_order(account, &order, "EXPIRED");
        self.keep(account, order);
    }
}
