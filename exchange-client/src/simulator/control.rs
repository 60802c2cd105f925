//! What only who has the simulator in the same process can do: prices, deposits, trades by hand, and the exchange's own
//! doings on demand. Everything takes effect at once and shows up in the books like anything else.

use ledger_core::{Decimal, PositionSide, Price, Quantity, Side, Symbol, TimestampMs};
use thiserror::Error;

use super::books::{self, Income};
use super::engine::{Engine, transfer};
use super::fixed::{Random, parse_e8};
use super::market::MarketStatus;
use super::order::{Kind, Ticket, TimeInForce};
use super::refusal::Refusal;
use super::snapshot::{OrderTruth, decimal, order};
use super::{FaultProfile, Simulator};

/// Why something cannot be done to the simulator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlError {
    /// No account of that alias.
    #[error("the simulator has no account {0}")]
    Account(String),
    /// No contract of that name.
    #[error("the simulator lists no contract {0}")]
    Symbol(String),
    /// A number that the simulator cannot keep.
    #[error("{0} has more than 8 digits after the point or 12 before it")]
    Amount(String),
    /// There is no position to close.
    #[error("account {account} holds no such position in {symbol}")]
    NoPosition {
        /// The account.
        account: String,
        /// The contract.
        symbol: String,
    },
    /// The exchange's own rules forbid it.
    #[error("the exchange refused with code {code}: {message}")]
    Refused {
        /// The exchange's error code.
        code: i64,
        /// The exchange's words.
        message: String,
    },
}

impl From<Refusal> for ControlError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code, message: refusal.message }
    }
}

/// An order that somebody places by hand, in an app of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppOrder {
    /// How its client order id begins: `web_`, `ios_`, `android_`, `electron_`.
    pub prefix: &'static str,
    /// The contract.
    pub symbol: Symbol,
    /// The direction.
    pub side: Side,
    /// Which position: `Net` in one-way mode.
    pub position_side: PositionSide,
    /// How much.
    pub qty: Quantity,
    /// A limit that it rests at until it is cancelled; none for a market order.
    pub price: Option<Price>,
    /// Whether it may only close.
    pub reduce_only: bool,
}

impl Simulator {
    /// The current price of a contract.
    pub fn price(&self, symbol: &Symbol) -> Option<Decimal> {
        self.up_to_date().engine.markets.get(symbol.as_str()).map(|market| decimal(market.price_e8))
    }

    /// Sets a contract's price, rounded down to a tick. Orders, conditional orders and margins answer to it at once; the
    /// price wanders on from there unless it is held.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn set_price(&self, symbol: &Symbol, price: Price) -> Result<(), ControlError> {
        let price_e8 = units(price.get())?;
        let mut state = self.up_to_date();
        listed(&state.engine, symbol)?;
        state.engine.set_price(symbol.as_str(), price_e8);
        Ok(())
    }

    /// Prices to come, each at its instant by the exchange's clock. Between them the price wanders unless it is held.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn script_prices(&self, symbol: &Symbol, path: &[(TimestampMs, Price)]) -> Result<(), ControlError> {
        let path: Vec<(i64, i128)> = path
            .iter()
            .map(|(at, price)| Ok((at.as_ms(), units(price.get())?)))
            .collect::<Result<_, ControlError>>()?;
        let mut state = self.up_to_date();
        let market = state.engine.markets.get_mut(symbol.as_str());
        market.ok_or_else(|| ControlError::Symbol(symbol.to_string()))?.script.extend(path);
        Ok(())
    }

    /// Lets a contract's price stand still, or wander again.
    ///
    /// # Errors
    /// [`ControlError::Symbol`].
    pub fn hold_price(&self, symbol: &Symbol, held: bool) -> Result<(), ControlError> {
        let mut state = self.up_to_date();
        let market = state.engine.markets.get_mut(symbol.as_str());
        market.ok_or_else(|| ControlError::Symbol(symbol.to_string()))?.held = held;
        Ok(())
    }

    /// The most that executes at once in a contract, at one price: what a taker gets when it arrives, and a resting order
    /// at every tick. `None` leaves parts and prices to chance, as at first.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn set_depth(&self, symbol: &Symbol, depth: Option<Quantity>) -> Result<(), ControlError> {
        let depth_e8 = depth.map(|depth| units(depth.get())).transpose()?;
        let mut state = self.up_to_date();
        let market = state.engine.markets.get_mut(symbol.as_str());
        market.ok_or_else(|| ControlError::Symbol(symbol.to_string()))?.depth_e8 = depth_e8;
        Ok(())
    }

    /// The rate of a contract's next funding: longs pay shorts when it is above 0.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn set_funding_rate(&self, symbol: &Symbol, rate: Decimal) -> Result<(), ControlError> {
        let rate_e8 = units(rate)?;
        let mut state = self.up_to_date();
        let market = state.engine.markets.get_mut(symbol.as_str());
        market.ok_or_else(|| ControlError::Symbol(symbol.to_string()))?.funding_rate_e8 = rate_e8;
        Ok(())
    }

    /// Deposits, or withdraws below 0.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn deposit(&self, alias: &str, asset: &str, amount: Decimal) -> Result<(), ControlError> {
        self.post_income(alias, "TRANSFER", "", asset, amount)
    }

    /// Books a ledger entry of any type, such as `REFERRAL_KICKBACK` or one that nobody has heard of.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn post_income(
        &self,
        alias: &str,
        income_type: &str,
        symbol: &str,
        asset: &str,
        amount: Decimal,
    ) -> Result<(), ControlError> {
        let amount_e8 = units(amount)?;
        let account = self.account(alias)?;
        let mut state = self.up_to_date();
        let engine = &mut state.engine;
        let row = Income {
            kind: income_type.to_owned(),
            symbol: symbol.to_owned(),
            ..transfer(asset, amount_e8, engine.now_ms)
        };
        engine.post(account, row);
        if let Some(standing) = engine.accounts.get_mut(account) {
            standing.safe_drift_e5 = i128::MIN;
        }
        engine.react();
        Ok(())
    }

    /// Places an order as somebody would by hand: the bot knows nothing of it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn trade_from_app(&self, alias: &str, wish: &AppOrder) -> Result<OrderTruth, ControlError> {
        let account = self.account(alias)?;
        let qty_e8 = units(wish.qty.get())?;
        let price_e8 = wish.price.map(|price| units(price.get())).transpose()?;
        let mut state = self.up_to_date();
        let engine = &mut state.engine;
        let ticket = Ticket {
            symbol: wish.symbol.to_string(),
            buy: wish.side == Side::Buy,
            position_side: side(wish.position_side),
            kind: price_e8.map_or(Kind::Market, |price_e8| Kind::Limit { price_e8, time_in_force: TimeInForce::Gtc }),
            qty_e8,
            reduce_only: wish.reduce_only,
            close_position: false,
            client_order_id: Some(app_client_id(wish.prefix, &mut engine.execution)),
        };
        let placed = engine.place(account, ticket)?;
        engine.react();
        Ok(order(&placed))
    }

    /// Closes a position at the market's price as somebody would by hand.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn close_from_app(
        &self,
        alias: &str,
        symbol: &Symbol,
        position_side: PositionSide,
    ) -> Result<OrderTruth, ControlError> {
        let account = self.account(alias)?;
        let held_e8 = self.held(account, alias, symbol, position_side)?;
        let mut state = self.up_to_date();
        let engine = &mut state.engine;
        let ticket = Ticket {
            symbol: symbol.to_string(),
            buy: held_e8 < 0,
            position_side: side(position_side),
            kind: Kind::Market,
            qty_e8: held_e8.abs(),
            reduce_only: position_side == PositionSide::Net,
            close_position: false,
            client_order_id: Some(app_client_id("web_", &mut engine.execution)),
        };
        Ok(order(&engine.place(account, ticket)?))
    }

    /// Liquidates a position at the market's price, whether or not its margin is used up. To see the margin used up, set
    /// a price instead.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn force_liquidation(
        &self,
        alias: &str,
        symbol: &Symbol,
        position_side: PositionSide,
    ) -> Result<(), ControlError> {
        let account = self.account(alias)?;
        self.held(account, alias, symbol, position_side)?;
        self.up_to_date().engine.liquidate(account, symbol.as_str(), side(position_side));
        Ok(())
    }

    /// Closes up to `qty` of a position as auto-deleveraging would.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn force_adl(
        &self,
        alias: &str,
        symbol: &Symbol,
        position_side: PositionSide,
        qty: Quantity,
    ) -> Result<(), ControlError> {
        let account = self.account(alias)?;
        self.held(account, alias, symbol, position_side)?;
        let qty_e8 = units(qty.get())?;
        Ok(self.up_to_date().engine.deleverage(account, symbol.as_str(), side(position_side), qty_e8)?)
    }

    /// Closes a contract: orders in it end, positions are settled at the market's price, trading answers -4141. It can
    /// still be asked about.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn settle_contract(&self, symbol: &Symbol) -> Result<(), ControlError> {
        let mut state = self.up_to_date();
        listed(&state.engine, symbol)?;
        Ok(state.engine.settle_contract(symbol.as_str())?)
    }

    /// Settles a contract that still trades, and takes it off the list: from now on whatever is asked about it answers
    /// -4141.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn delist_contract(&self, symbol: &Symbol) -> Result<(), ControlError> {
        let mut state = self.up_to_date();
        listed(&state.engine, symbol)?;
        if state.engine.trading_market(symbol.as_str()).is_ok() {
            state.engine.settle_contract(symbol.as_str())?;
        }
        if let Some(market) = state.engine.markets.get_mut(symbol.as_str()) {
            market.status = MarketStatus::Delisted;
        }
        Ok(())
    }

    /// What goes wrong from now on. The clock's skew takes effect as well; a clock set back stands still until the time
    /// comes round again.
    pub fn set_faults(&self, faults: FaultProfile) {
        self.state().faults = faults;
        drop(self.up_to_date());
    }

    /// Ends all streams at once, as the exchange does about once a day.
    pub fn end_streams(&self) {
        let mut state = self.up_to_date();
        let now_ms = state.engine.now_ms;
        state.streams.end_all(now_ms);
        drop(state);
        self.woken.send_replace(());
    }

    /// Takes an account's listen key away without a word: who listens with it stays connected, is pinged, and hears nothing.
    ///
    /// # Errors
    /// [`ControlError::Account`].
    pub fn forget_listen_key(&self, alias: &str) -> Result<(), ControlError> {
        let account = self.account(alias)?;
        // It need not have one.
        let _had_one = self.up_to_date().streams.end_key(account);
        Ok(())
    }

    /// How many streams were ever opened.
    pub fn streams_opened(&self) -> u64 {
        self.up_to_date().streams.opened()
    }

    fn account(&self, alias: &str) -> Result<usize, ControlError> {
        let found = self.config.accounts.iter().position(|account| account.alias == alias);
        found.ok_or_else(|| ControlError::Account(alias.to_owned()))
    }

    fn held(
        &self,
        account: usize,
        alias: &str,
        symbol: &Symbol,
        position_side: PositionSide,
    ) -> Result<i128, ControlError> {
        let state = self.up_to_date();
        listed(&state.engine, symbol)?;
        let book = state.engine.books.accounts.get(account);
        let held_e8 = book.map_or(0, |book| book.qty_e8(symbol.as_str(), side(position_side)));
        if held_e8 == 0 {
            return Err(ControlError::NoPosition { account: alias.to_owned(), symbol: symbol.to_string() });
        }
        Ok(held_e8)
    }
}

fn listed(engine: &Engine, symbol: &Symbol) -> Result<(), ControlError> {
    if engine.markets.contains_key(symbol.as_str()) { Ok(()) } else { Err(ControlError::Symbol(symbol.to_string())) }
}

fn units(value: Decimal) -> Result<i128, ControlError> {
    let text = value.to_string();
    parse_e8(&text).ok_or(ControlError::Amount(text))
}

fn side(side: PositionSide) -> books::PositionSide {
    match side {
        PositionSide::Net => books::PositionSide::Both,
        PositionSide::Long => books::PositionSide::Long,
        PositionSide::Short => books::PositionSide::Short,
    }
}

/// A client order id as the exchange's own apps make them: a prefix and 20 letters and digits.
fn app_client_id(prefix: &str, random: &mut Random) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| {
        let at = usize::try_from(random.between(0, 61)).unwrap_or(0);
        LETTERS.get(at).map_or('A', |byte| char::from(*byte))
    };
    format!("{prefix}{}", (0..20).map(letter).collect::<String>())
}
