//! Conditional orders: placed, cancelled, and turned into regular orders when the price triggers them.

use super::books::PositionSide;
use super::conditional::{AlgoStatus, AlgoTicket, Conditional};
use super::engine::Engine;
use super::market::Market;
use super::order::{Kind, Lookup, Ticket, TimeInForce};
use super::placing::check_notional;
use super::refusal::Refusal;

/// How many conditional orders of an account may wait, over all contracts.
pub(super) const WAITING_MAX: usize = 200;

impl Engine {
    pub(super) fn place_conditional(&mut self, account: usize, ticket: AlgoTicket) -> Result<Conditional, Refusal> {
        let market = self.trading_market(&ticket.symbol)?;
        let standing = self.accounts.get(account).ok_or_else(Refusal::key)?;
        self.check_side(account, ticket.position_side)?;
        if let Some(trigger_e8) = ticket.trigger_e8 {
            Self::check_trigger(market, trigger_e8)?;
        }
        if let Some(price_e8) = ticket.price_e8 {
            Self::check_price(market, price_e8)?;
        }
        let against = self.held_against(account, &ticket);
        if !ticket.close_position {
            Self::check_qty(market, ticket.qty_e8)?;
            // What it is worth when it triggers; a trailing stop without a beginning begins here.
            let price_e8 = ticket.price_e8.or(ticket.trigger_e8).unwrap_or(market.price_e8);
            if !ticket.reduce_only {
                check_notional(ticket.qty_e8, price_e8, against)?;
            }
        }
        if ticket.time_in_force == TimeInForce::GteGtc && against == 0 {
            return Err(Refusal::nothing_to_protect());
        }
        if standing.waiting.len() >= WAITING_MAX {
            return Err(Refusal::too_many_conditionals());
        }
        let mut waiting = standing.waiting.iter().filter_map(|id| standing.conditionals.get(id));
        if let Some(client_algo_id) = &ticket.client_algo_id
            && waiting.clone().any(|other| other.client_algo_id == *client_algo_id)
        {
            return Err(Refusal::duplicate_client_order_id());
        }
        let same_way = |other: &Conditional| {
            let other = &other.ticket;
            other.close_position
                && (&other.symbol, other.buy, other.position_side, other.kind)
                    == (&ticket.symbol, ticket.buy, ticket.position_side, ticket.kind)
        };
        if ticket.close_position && waiting.any(same_way) {
            return Err(Refusal::closing_twice());
        }
        if ticket.callback_e8.is_none() && ticket.is_reached(market.price_e8) {
            return Err(Refusal::would_trigger());
        }
        let conditional = Conditional::new(self.take_algo_id(), ticket, self.now_ms);
        self.store_conditional(account, conditional.clone());
        self.tell_conditional(account, &conditional, "NEW");
        Ok(conditional)
    }

    /// The rules of prices to wait for.
    fn check_trigger(market: &Market, trigger_e8: i128) -> Result<(), Refusal> {
        if trigger_e8 <= 0 {
            return Err(Refusal::trigger_too_small());
        }
        if trigger_e8 > Market::PRICE_MAX_E8 {
            return Err(Refusal::trigger_above_max());
        }
        Self::check_price(market, trigger_e8)
    }

    /// How much an account holds that an order would close.
    pub(super) fn held_against(&self, account: usize, ticket: &AlgoTicket) -> i128 {
        let book = self.books.accounts.get(account);
        let held_e8 = book.map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        if held_e8.signum() == if ticket.buy { -1 } else { 1 } { held_e8.abs() } else { 0 }
    }

    /// Finds a conditional order by its id, or the latest with a client id.
    pub(super) fn find_conditional(&self, account: usize, lookup: &Lookup) -> Option<&Conditional> {
        let conditionals = &self.accounts.get(account)?.conditionals;
        match lookup {
            Lookup::Id(id) => conditionals.get(id),
            Lookup::Client(client_algo_id) => {
                conditionals.values().rev().find(|found| found.client_algo_id == *client_algo_id)
            }
        }
    }

    pub(super) fn cancel_conditional(&mut self, account: usize, lookup: &Lookup) -> Result<Conditional, Refusal> {
        let found = self.find_conditional(account, lookup).filter(|found| found.status == AlgoStatus::New);
        let conditional = found.cloned().ok_or_else(Refusal::unknown_order_to_cancel)?;
        Ok(self.end_conditional(account, conditional, AlgoStatus::Canceled))
    }

    /// Ends all waiting conditional orders of a contract.
    pub(super) fn end_conditionals(&mut self, account: usize, symbol: &str, status: AlgoStatus) {
        let waiting: Vec<Conditional> = self
            .accounts
            .get(account)
            .map_or_else(Vec::new, |standing| standing.waiting_conditionals(symbol).cloned().collect());
        for conditional in waiting {
            self.end_conditional(account, conditional, status);
        }
    }

    pub(super) fn end_conditional(
        &mut self,
        account: usize,
        mut conditional: Conditional,
        status: AlgoStatus,
    ) -> Conditional {
        (conditional.status, conditional.updated_ms) = (status, self.now_ms);
        self.store_conditional(account, conditional.clone());
        self.tell_conditional(account, &conditional, status.as_str());
        conditional
    }

    /// Shows the current price to the waiting conditional orders of a contract, and turns those that it triggers into
    /// regular orders.
    pub(super) fn trigger_conditionals(&mut self, symbol: &str) {
        let Some(price_e8) = self.markets.get(symbol).map(|market| market.price_e8) else {
            return;
        };
        for account in 0..self.accounts.len() {
            let waiting: Vec<i64> = self.accounts.get(account).map_or_else(Vec::new, |standing| {
                standing.waiting_conditionals(symbol).map(|conditional| conditional.id).collect()
            });
            for id in waiting {
                let found = self.find_conditional(account, &Lookup::Id(id));
                // One that was triggered before it may have closed what it was for.
                let Some(mut conditional) = found.filter(|found| found.status == AlgoStatus::New).cloned() else {
                    continue;
                };
                if conditional.sees(price_e8) {
                    self.trigger(account, conditional);
                } else if conditional.ticket.callback_e8.is_some() {
                    self.store_conditional(account, conditional);
                }
            }
        }
    }

    fn trigger(&mut self, account: usize, mut conditional: Conditional) {
        conditional.triggered_ms = self.now_ms;
        conditional.updated_ms = self.now_ms;
        let from = &conditional.ticket;
        let against_e8 = self.held_against(account, from);
        // In hedge mode an order against its position may not be larger than the position.
        let closes_only = from.close_position
            || from.reduce_only
            || from.time_in_force == TimeInForce::GteGtc
            || match from.position_side {
                PositionSide::Both => false,
                PositionSide::Long => !from.buy,
                PositionSide::Short => from.buy,
            };
        if closes_only && against_e8 == 0 {
            self.end_conditional(account, conditional, AlgoStatus::Expired);
            return;
        }
        let qty_e8 = match (from.close_position, closes_only) {
            (true, _) => against_e8,
            (false, true) => from.qty_e8.min(against_e8),
            (false, false) => from.qty_e8,
        };
        let ticket = Ticket {
            symbol: from.symbol.clone(),
            buy: from.buy,
            position_side: from.position_side,
            kind: from
                .price_e8
                .map_or(Kind::Market, |price_e8| Kind::Limit { price_e8, time_in_force: from.time_in_force }),
            qty_e8,
            reduce_only: from.reduce_only || (from.close_position && from.position_side == PositionSide::Both),
            close_position: from.close_position,
            client_order_id: Some(conditional.client_algo_id.clone()),
        };
        self.tell_conditional(account, &conditional, "TRIGGERING");
        match self.place_as(account, ticket, Some(conditional.id)) {
            Ok(order) => {
                conditional.order_id = Some(order.id);
                if !order.status.is_open() {
                    // It is so for an instant, and told as on the real exchange.
                    self.tell_conditional(account, &conditional, AlgoStatus::Triggered.as_str());
                }
                let status = if order.status.is_open() { AlgoStatus::Triggered } else { AlgoStatus::Finished };
                self.end_conditional(account, conditional, status);
            }
            Err(_refused) => {
                self.end_conditional(account, conditional, AlgoStatus::Rejected);
            }
        }
    }
}
