//! The books as others may see them: what the book of record is compared with.

use std::collections::BTreeMap;

use ledger_core::{Decimal, PositionSide};

use super::books::{self, AccountBook};
use super::conditional::Conditional;
use super::engine::{Account, Engine};
use super::fixed::{ONE_E8, to_e8};
use super::order::{Forced, Kind, Order};

/// Everything that the exchange knows about its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooksSnapshot {
    /// The exchange's time, in ms.
    pub at_ms: i64,
    /// The accounts, as configured.
    pub accounts: Vec<AccountSnapshot>,
    /// The house's wallets together, by asset: the other side of everything.
    pub exchange_wallets: BTreeMap<String, Decimal>,
    /// The same, by purpose: `market`, `fees`, `funding`, `insurance`, `treasury`.
    pub house: BTreeMap<String, BTreeMap<String, Decimal>>,
    /// The house's own position, by contract.
    pub exchange_positions: BTreeMap<String, Decimal>,
    /// The current price, by contract.
    pub prices: BTreeMap<String, Decimal>,
}

impl BooksSnapshot {
    /// The account with this alias.
    pub fn account(&self, alias: &str) -> Option<&AccountSnapshot> {
        self.accounts.iter().find(|account| account.alias == alias)
    }
}

/// What the exchange knows about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// What the exchange calls it.
    pub alias: String,
    /// Whether it is in hedge mode.
    pub hedge_mode: bool,
    /// Wallet balances, by asset.
    pub wallets: BTreeMap<String, Decimal>,
    /// Positions that are not flat, by symbol and side.
    pub positions: Vec<PositionTruth>,
    /// Trades, by symbol and id.
    pub trades: Vec<TradeTruth>,
    /// All orders ever placed, those included that no query answers any more, by symbol and id.
    pub orders: Vec<OrderTruth>,
    /// All conditional orders ever placed, by id.
    pub conditionals: Vec<ConditionalTruth>,
    /// Movements of the wallet, as they happened.
    pub income: Vec<IncomeTruth>,
    /// What the account can use and has tied up, by asset.
    pub margins: BTreeMap<String, MarginTruth>,
    /// How positions of each contract are leveraged.
    pub settings: BTreeMap<String, ContractSettings>,
}

/// How an account stands in an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarginTruth {
    /// Initial margin of positions and open orders.
    pub initial: Decimal,
    /// Maintenance margin of positions.
    pub maintenance: Decimal,
    /// Unrealized profit of positions.
    pub unrealized: Decimal,
    /// What new positions can be backed by; not below 0.
    pub available: Decimal,
}

/// An account's settings of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractSettings {
    /// What positions are leveraged by.
    pub leverage: Decimal,
    /// Whether their margin is their own.
    pub isolated: bool,
}

/// A position as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionTruth {
    /// The contract.
    pub symbol: String,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// Signed quantity.
    pub qty: Decimal,
    /// The average entry, rounded to 8 decimals.
    pub entry_price: Decimal,
    /// What closing it at the current price would earn, rounded to 8 decimals.
    pub unrealized: Decimal,
    /// At which price it would be liquidated; 0 when at none.
    pub liquidation_price: Decimal,
}

/// A trade as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeTruth {
    /// The contract.
    pub symbol: String,
    /// The trade id.
    pub id: i64,
    /// The order.
    pub order_id: i64,
    /// Bought or sold.
    pub buy: bool,
    /// Which position it changed.
    pub position_side: PositionSide,
    /// The price.
    pub price: Decimal,
    /// The quantity, unsigned.
    pub qty: Decimal,
    /// The fee paid; below 0 for a rebate.
    pub fee: Decimal,
    /// In which asset.
    pub fee_asset: String,
    /// What it realized, rounded to 8 decimals, without the fee.
    pub realized: Decimal,
    /// Whether the order rested.
    pub maker: bool,
    /// When, in ms.
    pub time_ms: i64,
}

/// An order as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTruth {
    /// The contract.
    pub symbol: String,
    /// Its id.
    pub id: i64,
    /// The sender's id.
    pub client_order_id: String,
    /// `MARKET` or `LIMIT`.
    pub order_type: &'static str,
    /// `GTC`, `IOC`, `FOK` or `GTX`; `GTC` for market orders, as the exchange says it.
    pub time_in_force: &'static str,
    /// Bought or sold.
    pub buy: bool,
    /// Which position it changes.
    pub position_side: PositionSide,
    /// The limit, where it has one.
    pub price: Option<Decimal>,
    /// How much was asked for.
    pub qty: Decimal,
    /// How much of it executed.
    pub executed: Decimal,
    /// At which average price, rounded to 8 decimals; 0 when nothing executed.
    pub average_price: Decimal,
    /// The value of what executed, rounded to 8 decimals.
    pub quote: Decimal,
    /// Whether it may only close.
    pub reduce_only: bool,
    /// `NEW`, `PARTIALLY_FILLED`, `FILLED`, `CANCELED` or `EXPIRED`.
    pub status: &'static str,
    /// Why the exchange placed it by itself: `LIQUIDATION`, `ADL` or `SETTLEMENT`.
    pub forced: Option<&'static str>,
    /// The conditional order that it came from.
    pub algo_id: Option<i64>,
    /// When it was placed, in ms.
    pub created_ms: i64,
    /// When it changed last, in ms.
    pub updated_ms: i64,
}

/// A conditional order as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionalTruth {
    /// Its id, in a space of its own.
    pub id: i64,
    /// The sender's id.
    pub client_algo_id: String,
    /// The contract.
    pub symbol: String,
    /// `STOP`, `STOP_MARKET`, `TAKE_PROFIT`, `TAKE_PROFIT_MARKET` or `TRAILING_STOP_MARKET`.
    pub order_type: &'static str,
    /// Buys or sells.
    pub buy: bool,
    /// Which position it changes.
    pub position_side: PositionSide,
    /// What it waits for; of a trailing stop: from where on it trails.
    pub trigger_price: Option<Decimal>,
    /// The limit of the order that it becomes.
    pub price: Option<Decimal>,
    /// How much; 0 when it closes the whole position.
    pub qty: Decimal,
    /// Whether it closes the whole position.
    pub close_position: bool,
    /// Whether it may only close.
    pub reduce_only: bool,
    /// How far a trailing stop stays behind, as a share of the best price.
    pub callback: Option<Decimal>,
    /// `NEW`, `TRIGGERED`, `FINISHED`, `CANCELED`, `REJECTED` or `EXPIRED`.
    pub status: &'static str,
    /// The regular order that it became.
    pub order_id: Option<i64>,
    /// When it was placed, in ms.
    pub created_ms: i64,
    /// When it changed last, in ms.
    pub updated_ms: i64,
}

/// A movement of a wallet as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomeTruth {
    /// Its type.
    pub income_type: String,
    /// Its id.
    pub tran_id: i64,
    /// The contract; empty where there is none.
    pub symbol: String,
    /// The asset.
    pub asset: String,
    /// The amount, signed as the wallet sees it.
    pub amount: Decimal,
    /// The trade that it belongs to.
    pub trade_id: Option<i64>,
    /// When, in ms.
    pub time_ms: i64,
}

impl AccountSnapshot {
    /// The sum of all ledger entries of a type, per asset.
    ///
    /// # Errors
    /// [`ledger_core::MathError`] when a sum does not fit.
    pub fn income_total(&self, income_type: &str) -> Result<BTreeMap<String, Decimal>, ledger_core::MathError> {
        let mut totals: BTreeMap<String, Decimal> = BTreeMap::new();
        for row in self.income.iter().filter(|row| row.income_type == income_type) {
            let total = totals.entry(row.asset.clone()).or_default();
            *total = total.checked_add(row.amount)?;
        }
        Ok(totals)
    }
}

/// Every number of the simulator fits: it has 8 digits after the point and comes from `i128`.
pub(super) fn decimal(value_e8: i128) -> Decimal {
    Decimal::new(value_e8, 8).unwrap_or_default()
}

fn side(side: books::PositionSide) -> PositionSide {
    match side {
        books::PositionSide::Both => PositionSide::Net,
        books::PositionSide::Long => PositionSide::Long,
        books::PositionSide::Short => PositionSide::Short,
    }
}

pub(super) fn take(engine: &Engine, aliases: impl Iterator<Item = String>) -> BooksSnapshot {
    let mut together: BTreeMap<String, i128> = BTreeMap::new();
    let mut house: BTreeMap<String, BTreeMap<String, Decimal>> = BTreeMap::new();
    for ((purpose, asset), value_e8) in &engine.books.house_e8 {
        *together.entry(asset.clone()).or_default() += value_e8;
        house.entry(purpose.as_str().to_owned()).or_default().insert(asset.clone(), decimal(*value_e8));
    }
    let decimals = |values: &BTreeMap<String, i128>| -> BTreeMap<String, Decimal> {
        values.iter().map(|(name, value)| (name.clone(), decimal(*value))).collect()
    };
    let accounts = engine.books.accounts.iter().zip(&engine.accounts).zip(aliases).enumerate();
    BooksSnapshot {
        at_ms: engine.now_ms,
        accounts: accounts
            .map(|(index, ((book, standing), alias))| account(engine, index, book, standing, alias))
            .collect(),
        exchange_wallets: decimals(&together),
        house,
        exchange_positions: decimals(&engine.books.house_positions_e8),
        prices: engine.markets.iter().map(|(symbol, market)| (symbol.clone(), decimal(market.price_e8))).collect(),
    }
}

fn account(engine: &Engine, index: usize, book: &AccountBook, standing: &Account, alias: String) -> AccountSnapshot {
    let positions = book.open_positions().map(|(symbol, position_side, position)| PositionTruth {
        symbol: symbol.to_owned(),
        position_side: side(position_side),
        qty: decimal(position.qty_e8),
        entry_price: decimal(position.entry_price_e8()),
        unrealized: decimal(engine.markets.get(symbol).map_or(0, |market| position.unrealized_e8(market.price_e8))),
        liquidation_price: decimal(engine.liquidation_price_e8(index, symbol, position)),
    });
    let trades = book.trades.values().map(|trade| TradeTruth {
        symbol: trade.symbol.clone(),
        id: trade.id,
        order_id: trade.order_id,
        buy: trade.buy,
        position_side: side(trade.position_side),
        price: decimal(trade.price_e8),
        qty: decimal(trade.qty_e8),
        fee: decimal(trade.fee_e8),
        fee_asset: trade.fee_asset.clone(),
        realized: decimal(trade.realized_e8),
        maker: trade.maker,
        time_ms: trade.time_ms,
    });
    let income = book.income.iter().map(|row| IncomeTruth {
        income_type: row.kind.clone(),
        tran_id: row.tran_id,
        symbol: row.symbol.clone(),
        asset: row.asset.clone(),
        amount: decimal(row.amount_e8),
        trade_id: row.trade_id,
        time_ms: row.time_ms,
    });
    AccountSnapshot {
        alias,
        hedge_mode: standing.hedge,
        wallets: book.wallets_e8.iter().map(|(asset, value)| (asset.clone(), decimal(*value))).collect(),
        positions: positions.collect(),
        trades: trades.collect(),
        orders: standing.orders.values().map(order).collect(),
        conditionals: standing.conditionals.values().map(conditional).collect(),
        income: income.collect(),
        margins: book.wallets_e8.keys().map(|asset| (asset.clone(), margin(engine, index, asset))).collect(),
        settings: engine
            .markets
            .keys()
            .map(|symbol| {
                let leverage = decimal(standing.leverage(symbol) * ONE_E8);
                (symbol.clone(), ContractSettings { leverage, isolated: standing.is_isolated(symbol) })
            })
            .collect(),
    }
}

fn margin(engine: &Engine, account: usize, asset: &str) -> MarginTruth {
    let margin = engine.margin(account, asset);
    MarginTruth {
        initial: decimal(margin.position_initial_e8 + margin.order_initial_e8),
        maintenance: decimal(margin.maintenance_e8),
        unrealized: decimal(margin.unrealized_e8),
        available: decimal(margin.available_e8().max(0)),
    }
}

pub(super) fn order(order: &Order) -> OrderTruth {
    OrderTruth {
        symbol: order.ticket.symbol.clone(),
        id: order.id,
        client_order_id: order.client_order_id.clone(),
        order_type: if order.ticket.kind == Kind::Market { "MARKET" } else { "LIMIT" },
        time_in_force: match order.ticket.kind {
            Kind::Market => "GTC",
            Kind::Limit { time_in_force, .. } => time_in_force.as_str(),
        },
        buy: order.ticket.buy,
        position_side: side(order.ticket.position_side),
        price: order.ticket.kind.limit_e8().map(decimal),
        qty: decimal(order.ticket.qty_e8),
        executed: decimal(order.executed_e8),
        average_price: decimal(order.average_e8()),
        quote: decimal(to_e8(order.quote_e16)),
        reduce_only: order.ticket.reduce_only,
        status: order.status.as_str(),
        forced: order.forced.map(|forced| match forced {
            Forced::Liquidation => "LIQUIDATION",
            Forced::Adl => "ADL",
            Forced::Settlement => "SETTLEMENT",
        }),
        algo_id: order.algo_id,
        created_ms: order.created_ms,
        updated_ms: order.updated_ms,
    }
}

fn conditional(conditional: &Conditional) -> ConditionalTruth {
    let ticket = &conditional.ticket;
    ConditionalTruth {
        id: conditional.id,
        client_algo_id: conditional.client_algo_id.clone(),
        symbol: ticket.symbol.clone(),
        order_type: ticket.kind.as_str(),
        buy: ticket.buy,
        position_side: side(ticket.position_side),
        trigger_price: ticket.trigger_e8.map(decimal),
        price: ticket.price_e8.map(decimal),
        qty: decimal(ticket.qty_e8),
        close_position: ticket.close_position,
        reduce_only: ticket.reduce_only,
        callback: ticket.callback_e8.map(decimal),
        status: conditional.status.as_str(),
        order_id: conditional.order_id,
        created_ms: conditional.created_ms,
        updated_ms: conditional.updated_ms,
    }
}
