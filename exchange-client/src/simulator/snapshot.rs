//! The books as others may see them: what the book of record is compared with.

use std::collections::BTreeMap;

use ledger_core::{Decimal, PositionSide};

use super::books::{self, AccountBook};
use super::engine::Engine;

/// Everything that the exchange knows about its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooksSnapshot {
    /// The exchange's time, in ms.
    pub at_ms: i64,
    /// The accounts, as configured.
    pub accounts: Vec<AccountSnapshot>,
    /// The exchange's own wallet, by asset: the other side of everything.
    pub exchange_wallets: BTreeMap<String, Decimal>,
    /// The exchange's own position, by contract.
    pub exchange_positions: BTreeMap<String, Decimal>,
}

/// What the exchange knows about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// What the exchange calls it.
    pub alias: String,
    /// Wallet balances, by asset.
    pub wallets: BTreeMap<String, Decimal>,
    /// Positions that are not flat, by symbol and side.
    pub positions: Vec<PositionTruth>,
    /// Trades, by symbol and id.
    pub trades: Vec<TradeTruth>,
    /// How many orders were ever placed.
    pub order_count: usize,
    /// Movements of the wallet, as they happened.
    pub income: Vec<IncomeTruth>,
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
    /// The fee paid.
    pub fee: Decimal,
    /// In which asset.
    pub fee_asset: String,
    /// What it realized, rounded to 8 decimals, without the fee.
    pub realized: Decimal,
    /// When, in ms.
    pub time_ms: i64,
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
    /// When, in ms.
    pub time_ms: i64,
}

impl AccountSnapshot {
    /// The sum of all realized profits per asset, without fees, from the income rows.
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
fn decimal(value_e8: i128) -> Decimal {
    Decimal::new(value_e8, 8).unwrap_or_default()
}

fn decimals(values_e8: &BTreeMap<String, i128>) -> BTreeMap<String, Decimal> {
    values_e8.iter().map(|(name, value)| (name.clone(), decimal(*value))).collect()
}

fn side(side: books::PositionSide) -> PositionSide {
    match side {
        books::PositionSide::Both => PositionSide::Net,
        books::PositionSide::Long => PositionSide::Long,
        books::PositionSide::Short => PositionSide::Short,
    }
}

pub(super) fn take(engine: &Engine, aliases: impl Iterator<Item = String>) -> BooksSnapshot {
    let accounts = engine.books.accounts.iter().zip(&engine.accounts).zip(aliases);
    BooksSnapshot {
        at_ms: engine.now_ms,
        accounts: accounts.map(|((book, standing), alias)| account(book, standing.orders.len(), alias)).collect(),
        exchange_wallets: decimals(&engine.books.exchange_wallets_e8),
        exchange_positions: decimals(&engine.books.exchange_positions_e8),
    }
}

fn account(book: &AccountBook, order_count: usize, alias: String) -> AccountSnapshot {
    let open = book.positions.iter().filter(|(_, position)| position.qty_e8 != 0);
    AccountSnapshot {
        alias,
        wallets: decimals(&book.wallets_e8),
        positions: open
            .map(|((symbol, position_side), position)| PositionTruth {
                symbol: symbol.clone(),
                position_side: side(*position_side),
                qty: decimal(position.qty_e8),
                entry_price: decimal(position.entry_price_e8()),
            })
            .collect(),
        trades: book
            .trades
            .values()
            .map(|trade| TradeTruth {
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
                time_ms: trade.time_ms,
            })
            .collect(),
        order_count,
        income: book
            .income
            .iter()
            .map(|row| IncomeTruth {
                income_type: row.kind.to_owned(),
                tran_id: row.tran_id,
                symbol: row.symbol.clone(),
                asset: row.asset.clone(),
                amount: decimal(row.amount_e8),
                time_ms: row.time_ms,
            })
            .collect(),
    }
}
