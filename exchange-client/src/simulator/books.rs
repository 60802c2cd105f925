//! The exchange's own books: wallets, positions, trades and income of every account, kept in integers.
//!
//! This is the oracle that the rest of the workspace is compared with, so it shares no position code with it. Every
//! movement of an account's wallet has its counterpart in one of the house's: what an account gains somebody loses.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `nothing_comes_from_nowhere`: over all accounts, the house's included, every asset and every contract adds up to
//!    zero.
//! 2. `wallets_are_their_income`: every movement has an income row, and the rows add up to the wallet.
//! 3. `the_house_is_the_other_side_of_every_trade`: what the house won or lost by trading is what its own cash and
//!    positions say, which nobody computed from the accounts' profits.

use std::collections::BTreeMap;

use super::fixed::{ONE_E8, mul_div, to_e8};
use super::position::Position;

/// Which of a contract's positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PositionSide {
    /// The only one, in one-way mode.
    Both,
    /// The long one, in hedge mode.
    Long,
    /// The short one.
    Short,
}

impl PositionSide {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Both => "BOTH",
            Self::Long => "LONG",
            Self::Short => "SHORT",
        }
    }
}

/// The house's own wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum House {
    /// The rest of the market: the other side of every trade.
    Market,
    /// Fees, less rebates.
    Fees,
    /// Passes funding on to those whom nobody simulates.
    Funding,
    /// Pays what liquidated accounts cannot.
    Insurance,
    /// Where deposits come from, and everything else.
    Treasury,
}

impl House {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Fees => "fees",
            Self::Funding => "funding",
            Self::Insurance => "insurance",
            Self::Treasury => "treasury",
        }
    }

    /// Who is on the other side of a ledger entry.
    fn opposite(income_type: &str) -> Self {
        match income_type {
            "REALIZED_PNL" => Self::Market,
            "COMMISSION" => Self::Fees,
            "FUNDING_FEE" => Self::Funding,
            "INSURANCE_CLEAR" => Self::Insurance,
            _ => Self::Treasury,
        }
    }
}

/// A trade of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) symbol: String,
    pub(super) id: i64,
    pub(super) order_id: i64,
    pub(super) buy: bool,
    pub(super) position_side: PositionSide,
    pub(super) price_e8: i128,
    pub(super) qty_e8: i128,
    /// Below 0 for a rebate.
    pub(super) fee_e8: i128,
    pub(super) fee_asset: String,
    pub(super) realized_e8: i128,
    pub(super) maker: bool,
    pub(super) time_ms: i64,
}

/// A movement of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Income {
    pub(super) kind: String,
    pub(super) tran_id: i64,
    pub(super) symbol: String,
    pub(super) asset: String,
    pub(super) amount_e8: i128,
    pub(super) trade_id: Option<i64>,
    pub(super) time_ms: i64,
}

/// An account's book.
#[derive(Debug, Clone, Default)]
pub(super) struct AccountBook {
    pub(super) wallets_e8: BTreeMap<String, i128>,
    pub(super) positions: BTreeMap<(String, PositionSide), Position>,
    /// By symbol and id.
    pub(super) trades: BTreeMap<(String, i64), Trade>,
    /// As they happened.
    pub(super) income: Vec<Income>,
}

impl AccountBook {
    /// The signed quantity of a position.
    pub(super) fn qty_e8(&self, symbol: &str, side: PositionSide) -> i128 {
        self.position(symbol, side).map_or(0, |position| position.qty_e8)
    }

    /// A position, if there ever was one.
    pub(super) fn position(&self, symbol: &str, side: PositionSide) -> Option<&Position> {
        self.positions.get(&(symbol.to_owned(), side))
    }

    /// The positions that are not flat.
    pub(super) fn open_positions(&self) -> impl Iterator<Item = (&str, PositionSide, &Position)> {
        let open = self.positions.iter().filter(|(_, position)| position.qty_e8 != 0);
        open.map(|((symbol, side), position)| (symbol.as_str(), *side, position))
    }

    /// A wallet, all of it.
    pub(super) fn wallet_e8(&self, asset: &str) -> i128 {
        self.wallets_e8.get(asset).copied().unwrap_or(0)
    }
}

/// How a trade is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settlement<'a> {
    /// In which asset profit is paid.
    pub(super) asset: &'a str,
    /// By how much an opened value is divided to give the margin that is set aside, if it is.
    pub(super) isolated_leverage: Option<i128>,
}

/// All accounts' books, and the house's: it is the other side of every trade, fee, funding payment and deposit.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub(super) accounts: Vec<AccountBook>,
    pub(super) house_e8: BTreeMap<(House, String), i128>,
    pub(super) house_positions_e8: BTreeMap<String, i128>,
    /// What the house paid and took for its positions.
    pub(super) house_cash_e16: BTreeMap<String, i128>,
    next_tran_id: i64,
}

impl Books {
    /// Books of `count` empty accounts.
    pub(super) fn new(count: usize) -> Self {
        // Beyond 2^53: whoever reads ids into a float shall notice.
        Self { accounts: vec![AccountBook::default(); count], next_tran_id: 9_007_199_254_740_993, ..Self::default() }
    }

    /// Moves money between an account and the house, with the row that says why.
    pub(super) fn post(&mut self, account: usize, mut row: Income) {
        let Some(book) = self.accounts.get_mut(account) else {
            return;
        };
        row.tran_id = self.next_tran_id;
        self.next_tran_id += 1;
        *book.wallets_e8.entry(row.asset.clone()).or_default() += row.amount_e8;
        *self.house_e8.entry((House::opposite(&row.kind), row.asset.clone())).or_default() -= row.amount_e8;
        book.income.push(row);
    }

    /// Moves money between two of the house's wallets.
    pub(super) fn endow(&mut self, to: House, asset: &str, amount_e8: i128) {
        *self.house_e8.entry((to, asset.to_owned())).or_default() += amount_e8;
        *self.house_e8.entry((House::Treasury, asset.to_owned())).or_default() -= amount_e8;
    }

    /// What one of the house's wallets holds.
    pub(super) fn house_wallet_e8(&self, house: House, asset: &str) -> i128 {
        self.house_e8.get(&(house, asset.to_owned())).copied().unwrap_or(0)
    }

    /// Settles a trade: position, realized profit, fee. `trade.realized_e8` is filled in and answered.
    pub(super) fn settle(&mut self, account: usize, mut trade: Trade, settlement: Settlement<'_>) -> i128 {
        let Some(book) = self.accounts.get_mut(account) else {
            return 0;
        };
        let signed_qty_e8 = if trade.buy { trade.qty_e8 } else { -trade.qty_e8 };
        let position = book.positions.entry((trade.symbol.clone(), trade.position_side)).or_default();
        let realized_e8 = position.trade(signed_qty_e8, trade.price_e8, settlement.isolated_leverage);
        trade.realized_e8 = realized_e8;
        position.updated_ms = trade.time_ms;
        *self.house_positions_e8.entry(trade.symbol.clone()).or_default() -= signed_qty_e8;
        *self.house_cash_e16.entry(trade.symbol.clone()).or_default() += signed_qty_e8 * trade.price_e8;
        let row = |kind: &str, asset: &str, amount_e8| Income {
            kind: kind.to_owned(),
            tran_id: 0,
            symbol: trade.symbol.clone(),
            asset: asset.to_owned(),
            amount_e8,
            trade_id: Some(trade.id),
            time_ms: trade.time_ms,
        };
        let mut rows = Vec::with_capacity(2);
        if realized_e8 != 0 {
            rows.push(row("REALIZED_PNL", settlement.asset, realized_e8));
        }
        if trade.fee_e8 != 0 {
            rows.push(row("COMMISSION", &trade.fee_asset, -trade.fee_e8));
        }
        book.trades.insert((trade.symbol.clone(), trade.id), trade);
        for row in rows {
            self.post(account, row);
        }
        realized_e8
    }

    /// Charges or pays funding on every position of a contract: longs pay shorts at a positive rate.
    pub(super) fn fund(&mut self, symbol: &str, settle_asset: &str, price_e8: i128, rate_e8: i128, time_ms: i64) {
        for account in 0..self.accounts.len() {
            let mut payments: Vec<i128> = Vec::new();
            if let Some(book) = self.accounts.get_mut(account) {
                for ((_, _), position) in book.positions.iter_mut().filter(|((of, _), _)| of == symbol) {
                    let amount_e8 = -mul_div(to_e8(position.qty_e8 * price_e8), rate_e8, ONE_E8);
                    if position.isolated_e8 != 0 {
                        position.isolated_e8 += amount_e8;
                    }
                    payments.push(amount_e8);
                }
            }
            for amount_e8 in payments.into_iter().filter(|amount_e8| *amount_e8 != 0) {
                let row = Income {
                    kind: "FUNDING_FEE".to_owned(),
                    tran_id: 0,
                    symbol: symbol.to_owned(),
                    asset: settle_asset.to_owned(),
                    amount_e8,
                    trade_id: None,
                    time_ms,
                };
                self.post(account, row);
            }
        }
    }
}
