//! The exchange's own books: wallets, positions, trades and income of every account, kept in integers.
//!
//! This is the oracle that the rest of the workspace is compared with, so it shares no position code with it.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `nothing_comes_from_nowhere`: over all accounts, the exchange's own included, every asset and every contract adds
//!    up to zero.
//! 2. `wallets_are_their_income`: every movement has an income row, and the rows add up to the wallet.

use std::collections::BTreeMap;

use super::fixed::{ONE_E8, mul_div, to_e8};

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

/// A position. The entry is kept as what was paid for how much at the last increase, so that closing in parts does not
/// wear it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Signed: below 0 is short.
    pub(super) qty_e8: i128,
    entry_qty_e8: i128,
    entry_cost_e16: i128,
    pub(super) updated_ms: i64,
}

impl Position {
    /// What `qty_e8` (unsigned) of the position cost.
    fn cost_e16(&self, qty_e8: i128) -> i128 {
        if self.entry_qty_e8 == 0 { 0 } else { mul_div(self.entry_cost_e16, qty_e8, self.entry_qty_e8) }
    }

    /// The average entry price; 0 when flat.
    pub(super) fn entry_price_e8(&self) -> i128 {
        if self.qty_e8 == 0 || self.entry_qty_e8 == 0 { 0 } else { mul_div(self.entry_cost_e16, 1, self.entry_qty_e8) }
    }

    /// What closing at `price_e8` would earn.
    pub(super) fn unrealized_e8(&self, price_e8: i128) -> i128 {
        let value_e16 = self.qty_e8 * price_e8;
        to_e8(value_e16 - self.qty_e8.signum() * self.cost_e16(self.qty_e8.abs()))
    }

    /// Trades, and answers what that realized.
    fn trade(&mut self, signed_qty_e8: i128, price_e8: i128) -> i128 {
        let opposed = self.qty_e8.signum() * signed_qty_e8.signum() < 0;
        let closed_e8 = if opposed { self.qty_e8.abs().min(signed_qty_e8.abs()) } else { 0 };
        let realized_e16 = self.qty_e8.signum() * (closed_e8 * price_e8 - self.cost_e16(closed_e8));
        let opened_e8 = signed_qty_e8.abs() - closed_e8;
        if opened_e8 > 0 {
            // The rest after closing is flat or on the same side.
            let kept_e8 = self.qty_e8.abs() - closed_e8;
            self.entry_cost_e16 = self.cost_e16(kept_e8) + opened_e8 * price_e8;
            self.entry_qty_e8 = kept_e8 + opened_e8;
        }
        self.qty_e8 += signed_qty_e8;
        if self.qty_e8 == 0 {
            (self.entry_qty_e8, self.entry_cost_e16) = (0, 0);
        }
        to_e8(realized_e16)
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
    pub(super) fee_e8: i128,
    pub(super) fee_asset: String,
    pub(super) realized_e8: i128,
    pub(super) maker: bool,
    pub(super) time_ms: i64,
}

/// A movement of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Income {
    pub(super) kind: &'static str,
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
        self.positions.get(&(symbol.to_owned(), side)).map_or(0, |position| position.qty_e8)
    }
}

/// All accounts' books, and the exchange's own: it is the other side of every trade, fee, funding payment and deposit.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub(super) accounts: Vec<AccountBook>,
    pub(super) exchange_wallets_e8: BTreeMap<String, i128>,
    pub(super) exchange_positions_e8: BTreeMap<String, i128>,
    next_tran_id: i64,
}

impl Books {
    /// Books of `count` empty accounts.
    pub(super) fn new(count: usize) -> Self {
        // Beyond 2^53: whoever reads ids into a float shall notice.
        Self { accounts: vec![AccountBook::default(); count], next_tran_id: 9_007_199_254_740_993, ..Self::default() }
    }

    /// Moves money between an account and the exchange, with the row that says why.
    pub(super) fn post(&mut self, account: usize, mut row: Income) {
        let Some(book) = self.accounts.get_mut(account) else {
            return;
        };
        row.tran_id = self.next_tran_id;
        self.next_tran_id += 1;
        *book.wallets_e8.entry(row.asset.clone()).or_default() += row.amount_e8;
        *self.exchange_wallets_e8.entry(row.asset.clone()).or_default() -= row.amount_e8;
        book.income.push(row);
    }

    /// Settles a trade: position, realized profit, fee. `trade.realized_e8` is filled in.
    pub(super) fn settle(&mut self, account: usize, mut trade: Trade, settle_asset: &str) {
        let Some(book) = self.accounts.get_mut(account) else {
            return;
        };
        let signed_qty_e8 = if trade.buy { trade.qty_e8 } else { -trade.qty_e8 };
        let position = book.positions.entry((trade.symbol.clone(), trade.position_side)).or_default();
        trade.realized_e8 = position.trade(signed_qty_e8, trade.price_e8);
        position.updated_ms = trade.time_ms;
        *self.exchange_positions_e8.entry(trade.symbol.clone()).or_default() -= signed_qty_e8;
        let row = |kind, asset: &str, amount_e8| Income {
            kind,
            tran_id: 0,
            symbol: trade.symbol.clone(),
            asset: asset.to_owned(),
            amount_e8,
            trade_id: Some(trade.id),
            time_ms: trade.time_ms,
        };
        let mut rows = Vec::with_capacity(2);
        if trade.realized_e8 != 0 {
            rows.push(row("REALIZED_PNL", settle_asset, trade.realized_e8));
        }
        if trade.fee_e8 != 0 {
            rows.push(row("COMMISSION", &trade.fee_asset, -trade.fee_e8));
        }
        book.trades.insert((trade.symbol.clone(), trade.id), trade);
        for row in rows {
            self.post(account, row);
        }
    }

    /// Charges or pays funding on every position of a contract: longs pay shorts at a positive rate.
    pub(super) fn fund(&mut self, symbol: &str, settle_asset: &str, price_e8: i128, rate_e8: i128, time_ms: i64) {
        for account in 0..self.accounts.len() {
            let payments: Vec<i128> = self.accounts.get(account).map_or_else(Vec::new, |book| {
                let held = book.positions.iter().filter(|((of, _), position)| of == symbol && position.qty_e8 != 0);
                held.map(|(_, position)| -mul_div(to_e8(position.qty_e8 * price_e8), rate_e8, ONE_E8)).collect()
            });
            for amount_e8 in payments.into_iter().filter(|amount_e8| *amount_e8 != 0) {
                let row = Income {
                    kind: "FUNDING_FEE",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        // 12 @ 100, 17 @ 99, then 9 sold @ 101: the average entry is (1200 + 1683) / 29 = 2883/29, so the nine realize
        // 909 - 9 x 2883/29 = 909 - 894.72413793... = 14.27586207.
        let mut position = Position::default();
        let e8 = |value: i128| value * ONE_E8;
        assert_eq!(position.trade(e8(12), e8(100)), 0);
        assert_eq!(position.trade(e8(17), e8(99)), 0);
        assert_eq!(position.trade(e8(-9), e8(101)), 1_427_586_207);
        // Closing in two steps earns as much as in one, up to the rounding of each to 10^-8.
        let mut other = position.clone();
        let at_once = other.trade(e8(-20), e8(105));
        let in_parts = position.trade(e8(-7), e8(105)) + position.trade(e8(-13), e8(105));
        assert!((at_once - in_parts).abs() <= 1);
        assert_eq!((position.qty_e8, position.entry_price_e8()), (0, 0));
        // A flip: 2 long @ 10, 5 sold @ 12: 4 realized, 3 short @ 12.
        let mut position = Position::default();
        position.trade(e8(2), e8(10));
        assert_eq!(position.trade(e8(-5), e8(12)), e8(4));
        assert_eq!((position.qty_e8, position.entry_price_e8()), (e8(-3), e8(12)));
        assert_eq!(position.unrealized_e8(e8(11)), e8(3));
    }
}
