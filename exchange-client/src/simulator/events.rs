//! What the exchange tells an account unasked, in its own words: orders, fills, balances, positions, settings.
//!
//! Everything is told when it happens, by whatever makes it happen, and at once: what queries say later because of a
//! settle lag, a stream has said already. Nothing is told as long as nobody listens.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `every_fill_of_the_books_is_told_once`.
//! 2. `balances_and_positions_follow_from_what_was_told`.

use serde_json::{Value, json};

use super::books::{Income, PositionSide, Trade};
use super::conditional::{AlgoStatus, Conditional};
use super::engine::Engine;
use super::fixed::show_e8;
use super::margin::Margin;
use super::order::Order;
use super::position::Position;
use super::routes::rows::{order_type, side};

/// Something that is told to who listens to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) account: usize,
    /// The event's type, as the exchange calls it.
    pub(super) kind: &'static str,
    pub(super) at_ms: i64,
    pub(super) body: Value,
}

/// The most that maintenance margin is of what backs it before its owner is told, in per cent; the exchange's own number
/// is not public.
const MARGIN_CALL_PERCENT: i128 = 80;

impl Engine {
    fn tell(&mut self, account: usize, kind: &'static str, mut body: Value) {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("e".into(), kind.into());
            fields.insert("E".into(), self.now_ms.into());
            if kind != "MARGIN_CALL" {
                fields.insert("T".into(), self.now_ms.into());
            }
        }
        self.told.push(Told { account, kind, at_ms: self.now_ms, body });
    }

    /// What became of an order without a fill: `NEW`, `CANCELED`, `EXPIRED`, `AMENDMENT`.
    pub(super) fn tell_order(&mut self, account: usize, order: &Order, execution: &str) {
        if !self.listened {
            return;
        }
        let mut update = order_update(order, execution, None, self.now_ms);
        if execution == "NEW"
            && let (Some(fields), Some(market)) = (update.as_object_mut(), self.markets.get(&order.ticket.symbol))
        {
            fields.insert("N".into(), market.spec.quote_asset.clone().into());
            fields.insert("n".into(), "0".into());
        }
        self.tell(account, "ORDER_TRADE_UPDATE", json!({ "o": update }));
    }

    /// A fill: the short message, what it did to balance and position, and the whole message.
    pub(super) fn tell_fill(&mut self, account: usize, order: &Order, trade_id: i64) {
        if !self.listened {
            return;
        }
        let symbol = order.ticket.symbol.clone();
        let book = self.books.accounts.get(account);
        let Some(trade) = book.and_then(|book| book.trades.get(&(symbol.clone(), trade_id))).cloned() else {
            return;
        };
        let quote_asset = self.markets.get(&symbol).map_or_else(String::new, |market| market.spec.quote_asset.clone());
        let execution = if order.forced.is_some() { "CALCULATED" } else { "TRADE" };
        if order.forced.is_none() {
            let (_, _, price_e8) = order_type(order.ticket.kind);
            let lite = json!({
                "s": trade.symbol, "q": show_e8(order.ticket.qty_e8, 3), "p": show_e8(price_e8, 0), "m": trade.maker,
                "c": order.client_order_id, "S": side(trade.buy), "L": show_e8(trade.price_e8, 0),
                "l": show_e8(trade.qty_e8, 3), "t": trade.id, "i": order.id,
            });
            self.tell(account, "TRADE_LITE", lite);
        }
        let mut assets = vec![(quote_asset.as_str(), 0)];
        if trade.fee_asset != quote_asset {
            assets.push((trade.fee_asset.as_str(), 0));
        }
        self.tell_account(account, "ORDER", &assets, Some(&symbol));
        let update = order_update(order, execution, Some(&trade), self.now_ms);
        self.tell(account, "ORDER_TRADE_UPDATE", json!({ "o": update }));
    }

    /// How balances and a contract's positions stand now. With each asset: by how much it changed other than by profit
    /// and fees.
    pub(super) fn tell_account(&mut self, account: usize, reason: &str, assets: &[(&str, i128)], symbol: Option<&str>) {
        if !self.listened {
            return;
        }
        let balances: Vec<Value> = assets
            .iter()
            .map(|(asset, change_e8)| {
                let margin = self.margin(account, asset);
                json!({
                    "a": asset, "wb": show_e8(margin.wallet_e8, 8), "cw": show_e8(margin.cross_wallet_e8(), 8),
                    "bc": show_e8(*change_e8, 8),
                })
            })
            .collect();
        let positions: Vec<Value> = symbol.map_or_else(Vec::new, |symbol| {
            self.sides(account).iter().filter_map(|side| self.position_update(account, symbol, *side)).collect()
        });
        self.tell(account, "ACCOUNT_UPDATE", json!({ "a": { "m": reason, "B": balances, "P": positions } }));
    }

    fn position_update(&self, account: usize, symbol: &str, side: PositionSide) -> Option<Value> {
        let (market, standing) = (self.markets.get(symbol)?, self.accounts.get(account)?);
        let flat = Position::default();
        let position = self.books.accounts.get(account)?.position(symbol, side).unwrap_or(&flat);
        let is_isolated = standing.is_isolated(symbol);
        Some(json!({
            "s": symbol, "pa": show_e8(position.qty_e8, 3), "ep": show_e8(position.entry_price_e8(), 1),
            "bep": show_e8(position.entry_price_e8(), 1), "cr": show_e8(position.realized_e8, 8),
            "up": show_e8(position.unrealized_e8(market.price_e8), 8),
            "mt": if is_isolated { "isolated" } else { "cross" },
            "iw": show_e8(if is_isolated { position.isolated_e8 } else { 0 }, 8), "ps": side.as_str(),
            "ma": market.spec.quote_asset,
        }))
    }

    /// Books a ledger entry of the exchange's own, and tells it.
    pub(super) fn post(&mut self, account: usize, row: Income) {
        let (reason, asset, amount_e8) = (reason_of(&row), row.asset.clone(), row.amount_e8);
        self.books.post(account, row);
        self.tell_account(account, reason, &[(&asset, amount_e8)], None);
    }

    /// A contract's funding, for every account that has a row for it since `rows_before`.
    pub(super) fn tell_funding(&mut self, symbol: &str, rows_before: &[usize]) {
        if !self.listened {
            return;
        }
        let paid: Vec<(usize, String, i128)> = self
            .books
            .accounts
            .iter()
            .zip(rows_before)
            .enumerate()
            .filter_map(|(account, (book, before))| {
                let rows = book.income.get(*before..)?;
                let asset = rows.first()?.asset.clone();
                Some((account, asset, rows.iter().map(|row| row.amount_e8).sum()))
            })
            .collect();
        for (account, asset, amount_e8) in paid {
            // Only an isolated position changes with its wallet.
            let isolated = self.accounts.get(account).is_some_and(|standing| standing.is_isolated(symbol));
            self.tell_account(account, "FUNDING_FEE", &[(&asset, amount_e8)], isolated.then_some(symbol));
        }
    }

    /// What became of a conditional order.
    pub(super) fn tell_conditional(&mut self, account: usize, conditional: &Conditional, status: &str) {
        if !self.listened {
            return;
        }
        let ticket = &conditional.ticket;
        let key = conditional.order_id.map(|id| (ticket.symbol.clone(), id));
        let actual = key.and_then(|key| self.order(account, &key));
        let is_trailing = ticket.callback_e8.is_some();
        let mut update = json!({
            "caid": conditional.client_algo_id, "aid": conditional.id, "at": "CONDITIONAL", "o": ticket.kind.as_str(),
            "s": ticket.symbol, "S": side(ticket.buy), "ps": ticket.position_side.as_str(),
            "f": ticket.time_in_force.as_str(), "q": show_e8(ticket.qty_e8, 3), "X": status,
            "ai": actual.map_or_else(String::new, |order| order.id.to_string()),
            "ap": show_e8(actual.map_or(0, Order::average_e8), 5),
            "aq": show_e8(actual.map_or(0, |order| order.executed_e8), 5),
            "act": actual.map_or("0", |order| order_type(order.ticket.kind).0),
            "tp": show_e8(if is_trailing { 0 } else { ticket.trigger_e8.unwrap_or(0) }, 0),
            "p": show_e8(ticket.price_e8.unwrap_or(0), 0), "V": "EXPIRE_MAKER", "wt": ticket.working_type, "pm": "NONE",
            "cp": ticket.close_position, "pP": ticket.price_protect, "R": ticket.reduce_only,
            "tt": conditional.triggered_ms, "gtd": 0,
        });
        if status == AlgoStatus::Rejected.as_str()
            && let Some(fields) = update.as_object_mut()
        {
            fields.insert("rm".into(), "The order could not be placed when it was triggered.".into());
        }
        self.tell(account, "ALGO_UPDATE", json!({ "o": update }));
    }

    /// A contract's new leverage.
    pub(super) fn tell_leverage(&mut self, account: usize, symbol: &str, leverage: i128) {
        if self.listened {
            let leverage = i64::try_from(leverage).unwrap_or(1);
            self.tell(account, "ACCOUNT_CONFIG_UPDATE", json!({ "ac": { "s": symbol, "l": leverage } }));
        }
    }

    /// Tells once that the margin shared by an asset's positions is low. Answers how much may be lost until there is
    /// something to do: to tell it, or to liquidate.
    pub(super) fn warn_of_cross(&mut self, account: usize, asset: &str, margin: &Margin) -> i128 {
        let (equity_e8, maintenance_e8) = (margin.cross_equity_e8(), margin.cross_maintenance_e8);
        if margin.cross_notional_e8 == 0 || !self.is_low(account, asset, equity_e8, maintenance_e8) {
            return self.room_until_told(account, asset, equity_e8, maintenance_e8);
        }
        let positions: Vec<Value> = self
            .books
            .accounts
            .get(account)
            .zip(self.accounts.get(account))
            .map(|(book, standing)| {
                let shared = book.open_positions().filter(|(symbol, _, _)| !standing.is_isolated(symbol));
                shared.filter_map(|(symbol, side, position)| self.low_position(symbol, side, position, asset, false))
            })
            .map_or_else(Vec::new, Iterator::collect);
        let body = json!({ "cw": show_e8(margin.cross_wallet_e8(), 8), "p": positions });
        self.tell(account, "MARGIN_CALL", body);
        equity_e8 - maintenance_e8
    }

    /// The same of a position with margin of its own.
    pub(super) fn warn_of_isolated(
        &mut self,
        account: usize,
        symbol: &str,
        side: PositionSide,
        equity_e8: i128,
        maintenance_e8: i128,
    ) -> i128 {
        let name = format!("{symbol} {}", side.as_str());
        if !self.is_low(account, &name, equity_e8, maintenance_e8) {
            return self.room_until_told(account, &name, equity_e8, maintenance_e8);
        }
        let asset = self.markets.get(symbol).map_or_else(String::new, |market| market.spec.quote_asset.clone());
        let position = self.books.accounts.get(account).and_then(|book| book.position(symbol, side));
        let row = position.and_then(|position| self.low_position(symbol, side, position, &asset, true));
        self.tell(account, "MARGIN_CALL", json!({ "p": row.into_iter().collect::<Vec<_>>() }));
        equity_e8 - maintenance_e8
    }

    /// Whether margin has become low since it was last looked at, by somebody who is listened to.
    fn is_low(&mut self, account: usize, name: &str, equity_e8: i128, maintenance_e8: i128) -> bool {
        let Some(standing) = self.accounts.get_mut(account).filter(|_| self.listened) else {
            return false;
        };
        if maintenance_e8 * 100 >= equity_e8 * MARGIN_CALL_PERCENT {
            return standing.warned.insert(name.to_owned());
        }
        standing.warned.remove(name);
        false
    }

    fn room_until_told(&self, account: usize, name: &str, equity_e8: i128, maintenance_e8: i128) -> i128 {
        let is_told = self.accounts.get(account).is_none_or(|standing| standing.warned.contains(name));
        if !self.listened || is_told {
            equity_e8 - maintenance_e8
        } else {
            equity_e8 * MARGIN_CALL_PERCENT / 100 - maintenance_e8
        }
    }

    fn low_position(
        &self,
        symbol: &str,
        side: PositionSide,
        position: &Position,
        asset: &str,
        is_isolated: bool,
    ) -> Option<Value> {
        let market = self.markets.get(symbol).filter(|market| market.spec.quote_asset == asset)?;
        Some(json!({
            "s": symbol, "ps": side.as_str(), "pa": show_e8(position.qty_e8, 3),
            "mt": if is_isolated { "ISOLATED" } else { "CROSSED" },
            "iw": show_e8(if is_isolated { position.isolated_e8 } else { 0 }, 8), "mp": show_e8(market.price_e8, 8),
            "up": show_e8(position.unrealized_e8(market.price_e8), 8),
            "mm": show_e8(market.maintenance_e8(position.notional_e8(market.price_e8)), 8),
        }))
    }
}

/// An order as the stream tells it, perhaps with the fill that it is told for.
fn order_update(order: &Order, execution: &str, fill: Option<&Trade>, now_ms: i64) -> Value {
    let (order_type, time_in_force, price_e8) = order_type(order.ticket.kind);
    let mut update = json!({
        "s": order.ticket.symbol, "c": order.client_order_id, "S": side(order.ticket.buy), "o": order_type,
        "f": time_in_force, "q": show_e8(order.ticket.qty_e8, 3), "p": show_e8(price_e8, 0),
        "ap": show_e8(order.average_e8(), 5), "sp": "0", "x": execution, "X": order.status.as_str(), "i": order.id,
        "l": show_e8(fill.map_or(0, |fill| fill.qty_e8), 3), "z": show_e8(order.executed_e8, 3),
        "L": show_e8(fill.map_or(0, |fill| fill.price_e8), 0), "T": now_ms, "t": fill.map_or(0, |fill| fill.id),
        "b": "0", "a": "0", "m": fill.is_some_and(|fill| fill.maker), "R": order.ticket.reduce_only,
        "wt": "CONTRACT_PRICE", "ot": order_type, "ps": order.ticket.position_side.as_str(),
        "cp": order.ticket.close_position, "rp": show_e8(fill.map_or(0, |fill| fill.realized_e8), 8), "pP": false,
        "si": 0, "ss": 0, "V": "NONE", "pm": "NONE", "gtd": order.ticket.kind.good_till_ms(), "er": "0",
    });
    if let Some(fields) = update.as_object_mut()
        && let Some(fill) = fill.filter(|fill| fill.fee_e8 != 0)
    {
        fields.insert("N".into(), fill.fee_asset.clone().into());
        fields.insert("n".into(), show_e8(fill.fee_e8, 8).into());
    }
    update
}

/// Why a balance changed, in the words of the stream, which has fewer than the ledger.
fn reason_of(row: &Income) -> &'static str {
    match row.kind.as_str() {
        "TRANSFER" if row.amount_e8 < 0 => "WITHDRAW",
        "TRANSFER" => "DEPOSIT",
        "FUNDING_FEE" => "FUNDING_FEE",
        "INSURANCE_CLEAR" => "INSURANCE_CLEAR",
        "OPTIONS_PREMIUM_FEE" => "OPTIONS_PREMIUM_FEE",
        "OPTIONS_SETTLE_PROFIT" => "OPTIONS_SETTLE_PROFIT",
        "AUTO_EXCHANGE" => "AUTO_EXCHANGE",
        "COIN_SWAP_DEPOSIT" => "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW" => "COIN_SWAP_WITHDRAW",
        _ => "ADJUSTMENT",
    }
}
