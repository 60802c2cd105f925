//! The exchange as a state machine: time and orders go in, books change. No clock, no network, no surprise: the same
//! seed and the same calls give the same books.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `the_same_seed_gives_the_same_books`.
//! 2. `prices_do_not_depend_on_how_time_is_cut`: one long step and many short ones see the same path.

use std::collections::BTreeMap;

use super::books::{Books, Income, PositionSide, Trade};
use super::fixed::{ONE_E8, Random, mul_div, parse_e8, to_e8};
use super::market::Market;
use super::order::{Kind, Lookup, Order, Status, Ticket};
use super::refusal::Refusal;
use super::{SimulatorConfig, SimulatorError};

const TAKER_FEE_E8: i128 = 40_000;
const MAKER_FEE_E8: i128 = 20_000;
const LEVERAGE: i128 = 20;

/// An account's standing.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) hedge: bool,
    /// By symbol and id.
    pub(super) orders: BTreeMap<(String, i64), Order>,
}

/// The exchange.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) now_ms: i64,
    pub(super) markets: BTreeMap<String, Market>,
    pub(super) accounts: Vec<Account>,
    pub(super) books: Books,
    pub(super) funding_interval_ms: i64,
    tick_ms: i64,
    execution: Random,
}

impl Engine {
    pub(super) fn new(config: &SimulatorConfig, start_ms: i64) -> Result<Self, SimulatorError> {
        let mut markets = BTreeMap::new();
        for spec in &config.markets {
            let symbol = spec.symbol.clone();
            let market =
                Market::new(spec.clone(), config.seed).ok_or(SimulatorError::Market { symbol: symbol.clone() })?;
            markets.insert(symbol, market);
        }
        let mut books = Books::new(config.accounts.len());
        for (account, account_config) in config.accounts.iter().enumerate() {
            for (asset, amount) in &account_config.deposits {
                let amount_e8 = parse_e8(amount).filter(|amount| *amount >= 0);
                let amount_e8 = amount_e8.ok_or_else(|| SimulatorError::Deposit { asset: asset.clone() })?;
                let asset = asset.clone();
                let symbol = String::new();
                books.post(
                    account,
                    Income {
                        kind: "TRANSFER",
                        tran_id: 0,
                        symbol,
                        asset,
                        amount_e8,
                        trade_id: None,
                        time_ms: start_ms,
                    },
                );
            }
        }
        let accounts = config
            .accounts
            .iter()
            .map(|account| Account { hedge: account.hedge_mode, orders: BTreeMap::new() })
            .collect();
        Ok(Self {
            now_ms: start_ms,
            markets,
            accounts,
            books,
            funding_interval_ms: config.funding_interval_ms.max(1),
            tick_ms: config.tick_ms.max(1),
            execution: Random::new(config.seed, "execution"),
        })
    }

    /// Lets time pass until `to_ms`; an earlier time changes nothing.
    pub(super) fn advance(&mut self, to_ms: i64) {
        while let Some(at_ms) = self.next_event_ms(to_ms) {
            self.now_ms = at_ms;
            if at_ms % self.tick_ms == 0 {
                for market in self.markets.values_mut() {
                    market.wander();
                }
                self.match_resting();
            }
            if at_ms % self.funding_interval_ms == 0 {
                for market in self.markets.values_mut() {
                    let spec = &market.spec;
                    self.books.fund(&spec.symbol, &spec.quote_asset, market.price_e8, market.funding_rate_e8, at_ms);
                    market.draw_funding_rate();
                }
            }
        }
        self.now_ms = self.now_ms.max(to_ms);
    }

    fn next_event_ms(&self, to_ms: i64) -> Option<i64> {
        let next = |every_ms: i64| (self.now_ms.div_euclid(every_ms) + 1) * every_ms;
        Some(next(self.tick_ms).min(next(self.funding_interval_ms))).filter(|at_ms| *at_ms <= to_ms)
    }

    pub(super) fn place(&mut self, account: usize, ticket: Ticket) -> Result<Order, Refusal> {
        let ticket = self.checked(account, ticket)?;
        let market = self.markets.get_mut(&ticket.symbol).ok_or_else(Refusal::symbol)?;
        let id = market.take_order_id();
        let key = (ticket.symbol.clone(), id);
        let crosses = match ticket.kind {
            Kind::Market => true,
            Kind::Limit { price_e8 } => {
                if ticket.buy {
                    price_e8 >= market.price_e8
                } else {
                    price_e8 <= market.price_e8
                }
            }
        };
        let order = Order {
            id,
            client_order_id: ticket.client_order_id.clone().unwrap_or_else(|| format!("sim_{id}")),
            ticket,
            status: Status::New,
            executed_e8: 0,
            quote_e16: 0,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
        };
        if let Some(account) = self.accounts.get_mut(account) {
            account.orders.insert(key.clone(), order);
        }
        if crosses {
            self.execute(account, &key, false);
        }
        self.order(account, &key).cloned().ok_or_else(Refusal::no_such_order)
    }

    fn checked(&self, account: usize, mut ticket: Ticket) -> Result<Ticket, Refusal> {
        let market = self.markets.get(&ticket.symbol).ok_or_else(Refusal::symbol)?;
        let standing = self.accounts.get(account).ok_or_else(Refusal::key)?;
        if standing.hedge != (ticket.position_side != PositionSide::Both) {
            return Err(Refusal::position_side());
        }
        if ticket.reduce_only && standing.hedge {
            return Err(Refusal::not_required("reduceonly"));
        }
        if ticket.qty_e8 <= 0 {
            return Err(Refusal::quantity_too_small());
        }
        if ticket.qty_e8 > Market::QTY_MAX_E8 {
            return Err(Refusal::quantity_too_large());
        }
        if ticket.qty_e8 % market.step_e8 != 0 {
            return Err(Refusal::precision());
        }
        let price_e8 = match ticket.kind {
            Kind::Market => market.price_e8,
            Kind::Limit { price_e8 } => price_e8,
        };
        if price_e8 <= 0 || price_e8 % market.tick_e8 != 0 {
            return Err(Refusal::tick_size());
        }
        if let Some(client_order_id) = &ticket.client_order_id {
            let mut open = standing.orders.values().filter(|order| order.status.is_open());
            if open.any(|order| order.client_order_id == *client_order_id) {
                return Err(Refusal::duplicate_client_order_id());
            }
        }
        let held_e8 =
            self.books.accounts.get(account).map_or(0, |book| book.qty_e8(&ticket.symbol, ticket.position_side));
        let signed_e8 = if ticket.buy { ticket.qty_e8 } else { -ticket.qty_e8 };
        let closes = match ticket.position_side {
            PositionSide::Both => held_e8.signum() * signed_e8.signum() < 0,
            PositionSide::Long => !ticket.buy,
            PositionSide::Short => ticket.buy,
        };
        let closable_e8 = if closes { held_e8.abs().min(ticket.qty_e8) } else { 0 };
        if closes && ticket.position_side != PositionSide::Both && closable_e8 < ticket.qty_e8 {
            return Err(Refusal::reduce_only());
        }
        if ticket.reduce_only {
            if closable_e8 == 0 {
                return Err(Refusal::reduce_only());
            }
            ticket.qty_e8 = closable_e8;
        }
        let opened_e8 = ticket.qty_e8 - closable_e8;
        if opened_e8 > 0 {
            if opened_e8 * price_e8 < Market::NOTIONAL_MIN_E16 {
                return Err(Refusal::notional());
            }
            if to_e8(opened_e8 * price_e8) / LEVERAGE > self.available_e8(account, &market.spec.quote_asset) {
                return Err(Refusal::margin());
            }
        }
        Ok(ticket)
    }

    /// What can still be used as margin: wallet and unrealized profit, less the margin of open positions.
    pub(super) fn available_e8(&self, account: usize, asset: &str) -> i128 {
        let Some(book) = self.books.accounts.get(account) else {
            return 0;
        };
        let mut available_e8 = book.wallets_e8.get(asset).copied().unwrap_or(0);
        for ((symbol, _), position) in &book.positions {
            if let Some(market) = self.markets.get(symbol).filter(|market| market.spec.quote_asset == asset) {
                available_e8 += position.unrealized_e8(market.price_e8);
                available_e8 -= to_e8(position.qty_e8.abs() * market.price_e8) / LEVERAGE;
            }
        }
        available_e8
    }

    /// Executes what remains of an order: a taker all of it, in up to three parts, each a tick worse than the one
    /// before; a maker all or half of it, in one part.
    fn execute(&mut self, account: usize, key: &(String, i64), maker: bool) {
        let Some(mut order) = self.order(account, key).cloned() else {
            return;
        };
        let Some(market) = self.markets.get_mut(&key.0) else {
            return;
        };
        let steps = order.remaining_e8() / market.step_e8;
        let parts = if maker { 1 } else { i128::from(self.execution.between(1, 3)).min(steps).max(1) };
        for part in 0..parts {
            let remaining_e8 = order.remaining_e8();
            let qty_e8 = if maker && steps > 1 && self.execution.between(0, 1) == 0 {
                steps / 2 * market.step_e8
            } else if part + 1 == parts {
                remaining_e8
            } else {
                steps / parts * market.step_e8
            };
            let slip_e8 = part * market.tick_e8;
            let price_e8 = match order.ticket.kind {
                Kind::Limit { price_e8 } if maker => price_e8,
                Kind::Limit { price_e8 } if order.ticket.buy => price_e8.min(market.price_e8 + slip_e8),
                Kind::Limit { price_e8 } => price_e8.max(market.price_e8 - slip_e8),
                Kind::Market if order.ticket.buy => market.price_e8 + slip_e8,
                Kind::Market => (market.price_e8 - slip_e8).max(market.tick_e8),
            };
            let value_e16 = qty_e8 * price_e8;
            let rate_e8 = if maker { MAKER_FEE_E8 } else { TAKER_FEE_E8 };
            let trade = Trade {
                symbol: key.0.clone(),
                id: market.take_trade_id(),
                order_id: order.id,
                buy: order.ticket.buy,
                position_side: order.ticket.position_side,
                price_e8,
                qty_e8,
                fee_e8: to_e8(mul_div(value_e16, rate_e8, ONE_E8)),
                fee_asset: market.spec.quote_asset.clone(),
                realized_e8: 0,
                maker,
                time_ms: self.now_ms,
            };
            self.books.settle(account, trade, &market.spec.quote_asset);
            order.executed_e8 += qty_e8;
            order.quote_e16 += value_e16;
        }
        order.status = if order.remaining_e8() == 0 { Status::Filled } else { Status::PartiallyFilled };
        order.updated_ms = self.now_ms;
        self.store(account, key, order);
    }

    /// Executes the resting orders that the price has reached.
    fn match_resting(&mut self) {
        let mut reached = Vec::new();
        for (index, account) in self.accounts.iter().enumerate() {
            for (key, order) in account.orders.iter().filter(|(_, order)| order.status.is_open()) {
                let (Kind::Limit { price_e8 }, Some(market)) = (order.ticket.kind, self.markets.get(&key.0)) else {
                    continue;
                };
                if if order.ticket.buy { market.price_e8 <= price_e8 } else { market.price_e8 >= price_e8 } {
                    reached.push((index, key.clone()));
                }
            }
        }
        for (account, key) in reached {
            let Some(order) = self.order(account, &key) else {
                continue;
            };
            // The position may have changed since the order was placed.
            let still_allowed = self.checked_again(account, &order.ticket, order.remaining_e8());
            if still_allowed {
                self.execute(account, &key, true);
            } else if let Some(mut order) = self.order(account, &key).cloned() {
                order.status = Status::Expired;
                order.updated_ms = self.now_ms;
                self.store(account, &key, order);
            }
        }
    }

    fn checked_again(&self, account: usize, ticket: &Ticket, remaining_e8: i128) -> bool {
        let Some(book) = self.books.accounts.get(account) else {
            return false;
        };
        let held_e8 = book.qty_e8(&ticket.symbol, ticket.position_side);
        match ticket.position_side {
            PositionSide::Both if !ticket.reduce_only => true,
            PositionSide::Both => {
                held_e8.signum() == (if ticket.buy { -1 } else { 1 }) && held_e8.abs() >= remaining_e8
            }
            PositionSide::Long => ticket.buy || held_e8 >= remaining_e8,
            PositionSide::Short => !ticket.buy || -held_e8 >= remaining_e8,
        }
    }

    pub(super) fn cancel(&mut self, account: usize, symbol: &str, lookup: &Lookup) -> Result<Order, Refusal> {
        let found = self.find(account, symbol, lookup).filter(|order| order.status.is_open());
        let mut order = found.cloned().ok_or_else(Refusal::unknown_order_to_cancel)?;
        order.status = Status::Canceled;
        order.updated_ms = self.now_ms;
        self.store(account, &(symbol.to_owned(), order.id), order.clone());
        Ok(order)
    }

    pub(super) fn find(&self, account: usize, symbol: &str, lookup: &Lookup) -> Option<&Order> {
        match lookup {
            Lookup::Id(id) => self.order(account, &(symbol.to_owned(), *id)),
            Lookup::Client(client_order_id) => {
                let orders = self.accounts.get(account)?.orders.values().rev();
                orders
                    .filter(|order| order.ticket.symbol == symbol)
                    .find(|order| order.client_order_id == *client_order_id)
            }
        }
    }

    pub(super) fn set_hedge(&mut self, account: usize, hedge: bool) -> Result<(), Refusal> {
        let holds = self.books.accounts.get(account).is_some_and(|book| book.positions.values().any(|p| p.qty_e8 != 0));
        let standing = self.accounts.get_mut(account).ok_or_else(Refusal::key)?;
        if standing.hedge == hedge {
            return Err(Refusal::mode_unchanged());
        }
        if standing.orders.values().any(|order| order.status.is_open()) {
            return Err(Refusal::mode_with_orders());
        }
        if holds {
            return Err(Refusal::mode_with_positions());
        }
        standing.hedge = hedge;
        Ok(())
    }

    fn order(&self, account: usize, key: &(String, i64)) -> Option<&Order> {
        self.accounts.get(account)?.orders.get(key)
    }

    fn store(&mut self, account: usize, key: &(String, i64), order: Order) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.orders.insert(key.clone(), order);
        }
    }
}
