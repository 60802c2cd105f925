//! The exchange as a state machine: time and orders go in, books change. No clock, no network, no surprise: the same
//! seed and the same calls give the same books.
//!
//! Here are the accounts and the passing of time; `placing`, `matching`, `triggering` and `forced` say what becomes of
//! orders, `settings` what can be set, `events` what is told unasked.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `the_same_seed_gives_the_same_books`.
//! 2. `prices_do_not_depend_on_how_time_is_cut`: one long step and many short ones see the same path.

use std::collections::{BTreeMap, BTreeSet};

use super::amending::Amended;
use super::books::{Books, House, Income, PositionSide};
use super::conditional::{AlgoStatus, Conditional};
use super::events::Told;
use super::feed::Feed;
use super::fixed::{Random, parse_e8};
use super::market::{FundingInstant, Market, MarketStatus};
use super::order::{Lookup, Order, Status};
use super::{SimulatorAccount, SimulatorConfig, SimulatorError};

/// An order's place: symbol and id.
pub(super) type OrderKey = (String, i64);

/// An account's standing.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) hedge: bool,
    pub(super) orders: BTreeMap<OrderKey, Order>,
    /// Those of `orders` that are open.
    pub(super) open: BTreeSet<OrderKey>,
    /// When orders end by themselves, those included that have ended before.
    dated: BTreeSet<(i64, OrderKey)>,
    /// By contract: when all of its orders are cancelled.
    countdowns: BTreeMap<String, i64>,
    /// How orders were changed, the latest change last.
    pub(super) amended: BTreeMap<OrderKey, Vec<Amended>>,
    pub(super) conditionals: BTreeMap<i64, Conditional>,
    /// Those of `conditionals` that still wait.
    pub(super) waiting: BTreeSet<i64>,
    pub(super) leverage: BTreeMap<String, i128>,
    pub(super) isolated: BTreeSet<String>,
    pub(super) maker_fee_e8: i128,
    pub(super) taker_fee_e8: i128,
    pub(super) fees_in_bnb: bool,
    /// Up to which drift of the prices no position can have to be liquidated.
    pub(super) safe_drift_e5: i128,
    /// In which assets it has been told that its margin is low.
    pub(super) warned: BTreeSet<String>,
}

impl Account {
    /// What positions of a contract are leveraged by.
    pub(super) fn leverage(&self, symbol: &str) -> i128 {
        self.leverage.get(symbol).copied().unwrap_or(20)
    }

    /// Whether positions of a contract have margin of their own.
    pub(super) fn is_isolated(&self, symbol: &str) -> bool {
        self.isolated.contains(symbol)
    }

    /// The open orders of a contract.
    pub(super) fn open_orders(&self, symbol: &str) -> impl Iterator<Item = &Order> {
        let range = (symbol.to_owned(), i64::MIN)..=(symbol.to_owned(), i64::MAX);
        self.open.range(range).filter_map(|key| self.orders.get(key))
    }

    /// The waiting conditional orders of a contract.
    pub(super) fn waiting_conditionals(&self, symbol: &str) -> impl Iterator<Item = &Conditional> {
        let waiting = self.waiting.iter().filter_map(|id| self.conditionals.get(id));
        waiting.filter(move |conditional| conditional.ticket.symbol == symbol)
    }

    fn new(config: &SimulatorAccount) -> Result<Self, SimulatorError> {
        let fee = |text: &str| {
            parse_e8(text)
                .filter(|fee| fee.abs() <= 10_000_000)
                .ok_or_else(|| SimulatorError::Fee { alias: config.alias.clone() })
        };
        Ok(Self {
            hedge: config.hedge_mode,
            orders: BTreeMap::new(),
            open: BTreeSet::new(),
            dated: BTreeSet::new(),
            countdowns: BTreeMap::new(),
            amended: BTreeMap::new(),
            conditionals: BTreeMap::new(),
            waiting: BTreeSet::new(),
            leverage: BTreeMap::new(),
            isolated: BTreeSet::new(),
            maker_fee_e8: fee(&config.maker_fee)?,
            taker_fee_e8: fee(&config.taker_fee)?,
            fees_in_bnb: config.fees_in_bnb,
            safe_drift_e5: i128::MIN,
            warned: BTreeSet::new(),
        })
    }
}

/// The exchange.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) now_ms: i64,
    pub(super) markets: BTreeMap<String, Market>,
    pub(super) accounts: Vec<Account>,
    pub(super) books: Books,
    pub(super) funding_interval_ms: i64,
    pub(super) bnb_price_e8: i128,
    pub(super) execution: Random,
    tick_ms: i64,
    /// How far prices have gone altogether, at most, in 10^-5 of them.
    pub(super) drift_e5: i128,
    next_algo_id: i64,
    next_forced: i64,
    next_amendment_id: i64,
    /// Whether somebody listens; else nothing is told.
    pub(super) listened: bool,
    /// What is to be told, as it happened.
    pub(super) told: Vec<Told>,
    /// The streams of the market, which need no key.
    pub(super) feed: Feed,
}

impl Engine {
    pub(super) fn new(config: &SimulatorConfig, start_ms: i64) -> Result<Self, SimulatorError> {
        let mut markets = BTreeMap::new();
        for spec in &config.markets {
            let symbol = spec.symbol.clone();
            let mut market = Market::new(spec.clone(), config.seed, start_ms)
                .ok_or(SimulatorError::Market { symbol: symbol.clone() })?;
            market.held = !config.prices_wander;
            markets.insert(symbol, market);
        }
        let mut books = Books::new(config.accounts.len());
        for (account, account_config) in config.accounts.iter().enumerate() {
            for (asset, amount) in &account_config.deposits {
                let amount_e8 = parse_e8(amount).filter(|amount| *amount >= 0);
                let amount_e8 = amount_e8.ok_or_else(|| SimulatorError::Deposit { asset: asset.clone() })?;
                books.post(account, transfer(asset, amount_e8, start_ms));
            }
        }
        let insured = parse_e8(&config.insurance_fund).filter(|amount| *amount >= 0);
        let insured_e8 = insured.ok_or_else(|| SimulatorError::Deposit { asset: "the insurance fund".into() })?;
        let assets: BTreeSet<&str> = config.markets.iter().map(|spec| spec.quote_asset.as_str()).collect();
        for asset in assets {
            books.endow(House::Insurance, asset, insured_e8);
        }
        Ok(Self {
            now_ms: start_ms,
            markets,
            accounts: config.accounts.iter().map(Account::new).collect::<Result<_, _>>()?,
            books,
            funding_interval_ms: config.funding_interval_ms.max(1),
            bnb_price_e8: parse_e8(&config.bnb_price)
                .filter(|price| *price > 0)
                .ok_or_else(|| SimulatorError::Market { symbol: "BNB".into() })?,
            execution: Random::new(config.seed, "execution"),
            tick_ms: config.tick_ms.max(1),
            drift_e5: 0,
            next_algo_id: 4_000_001_270_850_379,
            next_forced: 1,
            next_amendment_id: 5_300,
            listened: false,
            told: Vec::new(),
            feed: Feed::default(),
        })
    }

    /// Lets time pass until `to_ms`; an earlier time changes nothing.
    pub(super) fn advance(&mut self, to_ms: i64) {
        while let Some(at_ms) = self.next_event_ms(to_ms) {
            self.tell_marks(self.now_ms, at_ms - 1);
            self.now_ms = at_ms;
            let mut drift_e5 = 0;
            let is_tick = at_ms % self.tick_ms == 0;
            if is_tick {
                for market in self.markets.values_mut() {
                    drift_e5 = drift_e5.max(market.wander(at_ms));
                }
            }
            for market in self.markets.values_mut() {
                while let Some(due) = market.script.first_entry().filter(|entry| *entry.key() <= at_ms) {
                    let price_e8 = due.remove();
                    market.set_price(price_e8, at_ms);
                    drift_e5 = i128::from(u32::MAX);
                }
            }
            self.drift_e5 += drift_e5;
            self.end_counted_down();
            self.end_dated();
            self.tell_prices(is_tick);
            self.react();
            if at_ms % self.funding_interval_ms == 0 {
                self.fund();
            }
            self.tell_marks(at_ms - 1, at_ms);
        }
        self.tell_marks(self.now_ms, to_ms);
        self.now_ms = self.now_ms.max(to_ms);
    }

    fn next_event_ms(&self, to_ms: i64) -> Option<i64> {
        let next = |every_ms: i64| (self.now_ms.div_euclid(every_ms) + 1) * every_ms;
        let scripted = self.markets.values().filter_map(|market| market.script.first_key_value().map(|(at, _)| *at));
        let scripted = scripted.map(|at_ms| at_ms.max(self.now_ms + 1)).min().unwrap_or(i64::MAX);
        let dated = self.accounts.iter().filter_map(|account| account.dated.first().map(|(at_ms, _)| *at_ms));
        let counted_down = self.accounts.iter().flat_map(|account| account.countdowns.values().copied());
        let due = dated.chain(counted_down).map(|at_ms| at_ms.max(self.now_ms + 1)).min().unwrap_or(i64::MAX);
        let next_ms = next(self.tick_ms).min(next(self.funding_interval_ms)).min(scripted).min(due);
        Some(next_ms).filter(|at_ms| *at_ms <= to_ms)
    }

    /// Lets all orders of a contract be cancelled after a time, or no longer with 0. What was set before no longer counts.
    pub(super) fn count_down(&mut self, account: usize, symbol: &str, time_ms: i64) {
        if let Some(standing) = self.accounts.get_mut(account) {
            if time_ms == 0 {
                standing.countdowns.remove(symbol);
            } else {
                standing.countdowns.insert(symbol.to_owned(), self.now_ms.saturating_add(time_ms));
            }
        }
    }

    /// Cancels the orders of contracts whose countdown is over, before anything else happens at that time.
    fn end_counted_down(&mut self) {
        for account in 0..self.accounts.len() {
            let now_ms = self.now_ms;
            let over = self.accounts.get_mut(account).map_or_else(Vec::new, |standing| {
                standing.countdowns.extract_if(.., |_, at_ms| *at_ms <= now_ms).map(|(symbol, _)| symbol).collect()
            });
            for symbol in over {
                self.cancel_all(account, &symbol);
            }
        }
    }

    /// Ends the orders whose time is over, before anything else happens at that time.
    fn end_dated(&mut self) {
        for account in 0..self.accounts.len() {
            while let Some(standing) = self.accounts.get_mut(account)
                && standing.dated.first().is_some_and(|(at_ms, _)| *at_ms <= self.now_ms)
                && let Some((_, key)) = standing.dated.pop_first()
            {
                if let Some(mut order) = self.order(account, &key).filter(|order| order.status.is_open()).cloned() {
                    (order.status, order.updated_ms) = (Status::Expired, self.now_ms);
                    self.tell_order(account, &order, "EXPIRED");
                    self.store(account, order);
                }
            }
        }
    }

    /// Lets orders and margins answer to the current prices.
    pub(super) fn react(&mut self) {
        let stirred: Vec<String> = self
            .markets
            .iter()
            .filter(|(_, market)| market.status == MarketStatus::Trading && market.is_stirred())
            .map(|(symbol, _)| symbol.clone())
            .collect();
        for symbol in stirred {
            self.match_resting(&symbol);
            self.trigger_conditionals(&symbol);
            self.find_quiet(&symbol);
        }
        self.liquidate_where_needed();
    }

    /// A price from outside: orders and margins answer to it at once.
    pub(super) fn set_price(&mut self, symbol: &str, price_e8: i128) {
        let now_ms = self.now_ms;
        if let Some(market) = self.markets.get_mut(symbol) {
            market.set_price(price_e8, now_ms);
        }
        self.drift_e5 += i128::from(u32::MAX);
        self.tell_prices(false);
        self.react();
    }

    fn fund(&mut self) {
        let at_ms = self.now_ms;
        let trading = self.markets.values().filter(|market| market.status == MarketStatus::Trading);
        for symbol in trading.map(|market| market.spec.symbol.clone()).collect::<Vec<_>>() {
            let rows_before: Vec<usize> = self.books.accounts.iter().map(|book| book.income.len()).collect();
            if let Some(market) = self.markets.get_mut(&symbol) {
                let (rate_e8, price_e8) = (market.funding_rate_e8, market.price_e8);
                self.books.fund(&symbol, &market.spec.quote_asset, price_e8, rate_e8, at_ms);
                market.funding.push(FundingInstant { at_ms, rate_e8, price_e8 });
                market.draw_funding_rate();
            }
            self.tell_funding(&symbol, &rows_before);
        }
        for account in &mut self.accounts {
            account.safe_drift_e5 = i128::MIN;
        }
    }

    /// Remembers between which prices nothing happens in a market.
    fn find_quiet(&mut self, symbol: &str) {
        let (mut low_e8, mut high_e8) = (0, i128::MAX);
        let mut always = false;
        for account in &self.accounts {
            for order in account.open_orders(symbol) {
                match order.ticket.kind.limit_e8() {
                    Some(price_e8) if order.ticket.buy => low_e8 = low_e8.max(price_e8),
                    Some(price_e8) => high_e8 = high_e8.min(price_e8),
                    None => {}
                }
            }
            for conditional in account.waiting_conditionals(symbol) {
                match conditional.ticket.trigger_e8 {
                    Some(trigger_e8) if conditional.ticket.callback_e8.is_none() => {
                        if conditional.ticket.is_reached(trigger_e8 + 1) {
                            high_e8 = high_e8.min(trigger_e8);
                        } else {
                            low_e8 = low_e8.max(trigger_e8);
                        }
                    }
                    // A trailing stop has to see every price.
                    _ => always = true,
                }
            }
        }
        if let Some(market) = self.markets.get_mut(symbol) {
            market.quiet = if always { None } else { Some((low_e8, high_e8)) };
        }
    }

    /// Keeps an order, its place among the open ones, and ends what lived on a position that it closed.
    pub(super) fn store(&mut self, account: usize, order: Order) {
        let symbol = order.ticket.symbol.clone();
        self.keep(account, order);
        self.end_with_position(account, &symbol);
    }

    /// Keeps an order, and its place among the open ones.
    pub(super) fn keep(&mut self, account: usize, order: Order) {
        if let Some(market) = self.markets.get_mut(&order.ticket.symbol) {
            market.quiet = None;
        }
        let Some(standing) = self.accounts.get_mut(account) else {
            return;
        };
        let key = (order.ticket.symbol.clone(), order.id);
        let mut finished = None;
        if order.status.is_open() {
            standing.open.insert(key.clone());
            let until_ms = order.ticket.kind.good_till_ms();
            if until_ms != 0 {
                standing.dated.insert((until_ms, key.clone()));
            }
        } else {
            standing.open.remove(&key);
            let conditional = order.algo_id.and_then(|id| standing.conditionals.get_mut(&id));
            if let Some(conditional) = conditional.filter(|found| found.status == AlgoStatus::Triggered) {
                (conditional.status, conditional.updated_ms) = (AlgoStatus::Finished, order.updated_ms);
                finished = Some(conditional.clone());
            }
        }
        standing.orders.insert(key, order);
        if let Some(conditional) = finished {
            self.tell_conditional(account, &conditional, conditional.status.as_str());
        }
    }

    /// Keeps a conditional order and its place among the waiting ones.
    pub(super) fn store_conditional(&mut self, account: usize, conditional: Conditional) {
        if let Some(market) = self.markets.get_mut(&conditional.ticket.symbol) {
            market.quiet = None;
        }
        if let Some(standing) = self.accounts.get_mut(account) {
            if conditional.status == AlgoStatus::New {
                standing.waiting.insert(conditional.id);
            } else {
                standing.waiting.remove(&conditional.id);
            }
            standing.conditionals.insert(conditional.id, conditional);
        }
    }

    /// The next id of a conditional order; others order meanwhile.
    pub(super) fn take_algo_id(&mut self) -> i64 {
        self.next_algo_id += self.execution.between(1, 40);
        self.next_algo_id
    }

    /// The number of a change of an order.
    pub(super) fn take_amendment_id(&mut self) -> i64 {
        self.next_amendment_id += 1;
        self.next_amendment_id
    }

    /// A number for the client order id of an order that the exchange places.
    pub(super) fn take_forced_number(&mut self) -> i64 {
        self.next_forced += 1;
        self.next_forced
    }

    pub(super) fn order(&self, account: usize, key: &OrderKey) -> Option<&Order> {
        self.accounts.get(account)?.orders.get(key)
    }

    pub(super) fn find(&self, account: usize, symbol: &str, lookup: &Lookup) -> Option<&Order> {
        match lookup {
            Lookup::Id(id) => self.order(account, &(symbol.to_owned(), *id)),
            Lookup::Client(client_order_id) => {
                let range = (symbol.to_owned(), i64::MIN)..=(symbol.to_owned(), i64::MAX);
                let orders = self.accounts.get(account)?.orders.range(range).rev();
                orders.map(|(_, order)| order).find(|order| order.client_order_id == *client_order_id)
            }
        }
    }

    /// The sides that an account's positions have.
    pub(super) fn sides(&self, account: usize) -> &'static [PositionSide] {
        if self.accounts.get(account).is_some_and(|standing| standing.hedge) {
            &[PositionSide::Long, PositionSide::Short]
        } else {
            &[PositionSide::Both]
        }
    }
}

/// A deposit, or a withdrawal below 0.
pub(super) fn transfer(asset: &str, amount_e8: i128, time_ms: i64) -> Income {
    Income {
        kind: "TRANSFER".to_owned(),
        tran_id: 0,
        symbol: String::new(),
        asset: asset.to_owned(),
        amount_e8,
        trade_id: None,
        time_ms,
    }
}
