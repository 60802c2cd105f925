//! What the exchange does on its own: liquidation, auto-deleveraging, settlement of a contract that closes.
//!
//! A liquidated position is closed at the market's price. What is left of its margin pays a fee to the insurance fund; what
//! is missing the fund pays, both as `INSURANCE_CLEAR`. When the fund cannot pay, the position goes at its bankruptcy price
//! to accounts that hold the opposite with a profit (ADL), and only what nobody can take falls on the fund after all.

use super::books::{House, Income, PositionSide};
use super::conditional::AlgoStatus;
use super::engine::Engine;
use super::fixed::{ONE_E8, mul_div};
use super::margin::assets_of;
use super::market::MarketStatus;
use super::matching::Execution;
use super::order::{Forced, Kind, Order, Status, Ticket, TimeInForce};
use super::refusal::Refusal;

/// Up to this drift the linear bound of [`Engine::liquidate_where_needed`] holds.
const DRIFT_MAX_E5: i128 = 50_000;

/// A position's place.
type PositionKey = (String, PositionSide);

impl Engine {
    /// Liquidates what can no longer be carried. An account is looked at again only when prices have drifted so far
    /// that something may have changed: with slack `s` and positions worth `n`, no drift below `s / 2n` uses the slack
    /// up, because neither the loss nor the growth of the maintenance margin is steeper.
    pub(super) fn liquidate_where_needed(&mut self) {
        for account in 0..self.accounts.len() {
            if self.accounts.get(account).is_none_or(|standing| standing.safe_drift_e5 >= self.drift_e5) {
                continue;
            }
            let mut room_e5 = DRIFT_MAX_E5;
            for asset in self.books.accounts.get(account).map_or_else(Vec::new, |book| assets_of(self, book)) {
                self.liquidate_isolated(account, &asset, &mut room_e5);
                self.liquidate_cross(account, &asset, &mut room_e5);
            }
            if let Some(standing) = self.accounts.get_mut(account) {
                standing.safe_drift_e5 = self.drift_e5 + room_e5 - 1;
            }
        }
    }

    fn liquidate_isolated(&mut self, account: usize, asset: &str, room_e5: &mut i128) {
        let mut falling: Vec<PositionKey> = Vec::new();
        let mut carried = Vec::new();
        let (Some(book), Some(standing)) = (self.books.accounts.get(account), self.accounts.get(account)) else {
            return;
        };
        for (symbol, side, position) in book.open_positions().filter(|(symbol, _, _)| standing.is_isolated(symbol)) {
            let Some(market) = self.markets.get(symbol).filter(|market| market.spec.quote_asset == asset) else {
                continue;
            };
            let notional_e8 = position.notional_e8(market.price_e8);
            let equity_e8 = position.isolated_e8 + position.unrealized_e8(market.price_e8);
            let maintenance_e8 = market.maintenance_e8(notional_e8);
            let slack_e8 = equity_e8 - maintenance_e8;
            if slack_e8 <= 0 {
                falling.push((symbol.to_owned(), side));
            } else {
                carried.push((symbol.to_owned(), side, equity_e8, maintenance_e8, notional_e8.abs()));
            }
        }
        for (symbol, side, equity_e8, maintenance_e8, notional_e8) in carried {
            let slack_e8 = self.warn_of_isolated(account, &symbol, side, equity_e8, maintenance_e8);
            *room_e5 = (*room_e5).min(room_of(slack_e8, notional_e8));
        }
        for (symbol, side) in falling {
            self.cancel_all(account, &symbol);
            self.liquidate(account, &symbol, side);
        }
    }

    fn liquidate_cross(&mut self, account: usize, asset: &str, room_e5: &mut i128) {
        let mut cancelled = false;
        loop {
            let margin = self.margin(account, asset);
            let slack_e8 = margin.cross_equity_e8() - margin.cross_maintenance_e8;
            if margin.cross_notional_e8 == 0 || slack_e8 > 0 {
                let slack_e8 = self.warn_of_cross(account, asset, &margin);
                *room_e5 = (*room_e5).min(room_of(slack_e8, margin.cross_notional_e8));
                return;
            }
            if !cancelled {
                let settled_in_it = self.markets.keys().filter(|symbol| self.settles_in(symbol, asset));
                for symbol in settled_in_it.cloned().collect::<Vec<String>>() {
                    self.cancel_all(account, &symbol);
                }
                cancelled = true;
            }
            let Some((symbol, side)) = self.heaviest(account, asset) else {
                return;
            };
            self.liquidate(account, &symbol, side);
        }
    }

    fn settles_in(&self, symbol: &str, asset: &str) -> bool {
        self.markets.get(symbol).is_some_and(|market| market.spec.quote_asset == asset)
    }

    /// The position that needs most maintenance margin, among those that share the wallet.
    fn heaviest(&self, account: usize, asset: &str) -> Option<PositionKey> {
        let standing = self.accounts.get(account)?;
        let open = self.books.accounts.get(account)?.open_positions();
        let shared = open.filter(|(symbol, _, _)| !standing.is_isolated(symbol) && self.settles_in(symbol, asset));
        let weighed = shared.filter_map(|(symbol, side, position)| {
            let market = self.markets.get(symbol)?;
            Some((market.maintenance_e8(position.notional_e8(market.price_e8)), (symbol.to_owned(), side)))
        });
        weighed.max().map(|(_, key)| key)
    }

    /// Liquidates a position, whether or not its margin is used up.
    pub(super) fn liquidate(&mut self, account: usize, symbol: &str, side: PositionSide) {
        let (Some(book), Some(standing), Some(market)) =
            (self.books.accounts.get(account), self.accounts.get(account), self.markets.get(symbol))
        else {
            return;
        };
        let Some(position) = book.position(symbol, side).filter(|position| position.qty_e8 != 0).cloned() else {
            return;
        };
        let (asset, price_e8) = (market.spec.quote_asset.clone(), market.price_e8);
        let liquidation_fee_e8 = market.liquidation_fee_e8;
        let unrealized_e8 = position.unrealized_e8(price_e8);
        let purse_e8 = if standing.is_isolated(symbol) {
            position.isolated_e8
        } else {
            self.margin(account, &asset).cross_equity_e8() - unrealized_e8
        };
        let bankruptcy_e8 = self.bankruptcy_price_e8(symbol, &position, purse_e8);
        let notional_e8 = position.notional_e8(price_e8).abs();
        let fee_e8 = mul_div(notional_e8, standing.taker_fee_e8, ONE_E8);
        let missing_e8 = fee_e8 - purse_e8 - unrealized_e8;
        let mut left_e8 = position.qty_e8.abs();
        let mut parts = Vec::new();
        if missing_e8 > 0 && self.books.house_wallet_e8(House::Insurance, &asset) < missing_e8 {
            for (other, other_side, held_e8) in self.opposite_winners(account, symbol, position.qty_e8 > 0) {
                let qty_e8 = held_e8.min(left_e8);
                if qty_e8 == 0 {
                    break;
                }
                let part = Execution { qty_e8, price_e8: bankruptcy_e8, charged: false };
                self.close_forced(other, symbol, other_side, Forced::Adl, bankruptcy_e8, vec![part]);
                parts.push(part);
                left_e8 -= qty_e8;
            }
        }
        if left_e8 > 0 {
            parts.push(Execution { qty_e8: left_e8, price_e8, charged: true });
        }
        let before_e8 = self.trading_result_e8(account, &asset);
        self.close_forced(account, symbol, side, Forced::Liquidation, bankruptcy_e8, parts);
        let remaining_e8 = purse_e8 + self.trading_result_e8(account, &asset) - before_e8;
        // A fee to the fund from what is left, or what is missing from the fund.
        let cleared_e8 = if remaining_e8 < 0 {
            -remaining_e8
        } else {
            -remaining_e8.min(mul_div(notional_e8, liquidation_fee_e8, ONE_E8))
        };
        if cleared_e8 != 0 {
            let row = Income {
                kind: "INSURANCE_CLEAR".to_owned(),
                tran_id: 0,
                symbol: symbol.to_owned(),
                asset,
                amount_e8: cleared_e8,
                trade_id: None,
                time_ms: self.now_ms,
            };
            self.post(account, row);
        }
    }

    /// An account's wallet, for differences.
    fn trading_result_e8(&self, account: usize, asset: &str) -> i128 {
        self.books.accounts.get(account).map_or(0, |book| book.wallet_e8(asset))
    }

    /// Who holds the opposite of a position with a profit, the largest profit in proportion first: account, side, and
    /// how much.
    fn opposite_winners(&self, except: usize, symbol: &str, long: bool) -> Vec<(usize, PositionSide, i128)> {
        let Some(market) = self.markets.get(symbol) else {
            return Vec::new();
        };
        let mut winners = Vec::new();
        for (account, book) in self.books.accounts.iter().enumerate().filter(|(account, _)| *account != except) {
            for (_, side, position) in book.open_positions().filter(|(of, _, _)| *of == symbol) {
                let profit_e8 = position.unrealized_e8(market.price_e8);
                if (position.qty_e8 > 0) != long && profit_e8 > 0 {
                    let share_e8 = mul_div(profit_e8, ONE_E8, position.notional_e8(market.price_e8).abs().max(1));
                    winners.push((std::cmp::Reverse(share_e8), account, side, position.qty_e8.abs()));
                }
            }
        }
        winners.sort_unstable();
        winners.into_iter().map(|(_, account, side, qty_e8)| (account, side, qty_e8)).collect()
    }

    /// Closes `qty_e8` of a position at the market's price as if it had been chosen for auto-deleveraging; all of it at
    /// most.
    pub(super) fn deleverage(
        &mut self,
        account: usize,
        symbol: &str,
        side: PositionSide,
        qty_e8: i128,
    ) -> Result<(), Refusal> {
        let market = self.trading_market(symbol)?;
        let price_e8 = market.price_e8;
        let held_e8 = self.books.accounts.get(account).map_or(0, |book| book.qty_e8(symbol, side).abs());
        let qty_e8 = qty_e8.min(held_e8);
        Self::check_qty(market, qty_e8)?;
        let part = Execution { qty_e8, price_e8, charged: false };
        self.close_forced(account, symbol, side, Forced::Adl, price_e8, vec![part]);
        Ok(())
    }

    /// Closes a contract for good: orders end, positions are settled at the market's price.
    pub(super) fn settle_contract(&mut self, symbol: &str) -> Result<(), Refusal> {
        let price_e8 = self.trading_market(symbol)?.price_e8;
        for account in 0..self.accounts.len() {
            self.cancel_all(account, symbol);
            self.end_conditionals(account, symbol, AlgoStatus::Expired);
            for side in [PositionSide::Both, PositionSide::Long, PositionSide::Short] {
                let held_e8 = self.books.accounts.get(account).map_or(0, |book| book.qty_e8(symbol, side).abs());
                if held_e8 > 0 {
                    let part = Execution { qty_e8: held_e8, price_e8, charged: false };
                    self.close_forced(account, symbol, side, Forced::Settlement, price_e8, vec![part]);
                }
            }
        }
        if let Some(market) = self.markets.get_mut(symbol) {
            market.status = MarketStatus::Settled;
        }
        Ok(())
    }

    /// An order of the exchange's own that closes a position, done at once.
    fn close_forced(
        &mut self,
        account: usize,
        symbol: &str,
        side: PositionSide,
        forced: Forced,
        limit_e8: i128,
        parts: Vec<Execution>,
    ) {
        let held_e8 = self.books.accounts.get(account).map_or(0, |book| book.qty_e8(symbol, side));
        let number = self.take_forced_number();
        let Some(market) = self.markets.get_mut(symbol) else {
            return;
        };
        let ticket = Ticket {
            symbol: symbol.to_owned(),
            buy: held_e8 < 0,
            position_side: side,
            kind: Kind::Limit { price_e8: limit_e8, time_in_force: TimeInForce::Ioc },
            qty_e8: parts.iter().map(|part| part.qty_e8).sum(),
            reduce_only: false,
            close_position: false,
            client_order_id: Some(match forced {
                Forced::Liquidation => format!("autoclose-{}{number:06}", self.now_ms),
                Forced::Adl => "adl_autoclose".to_owned(),
                Forced::Settlement => format!("settlement_autoclose-{}{number:02}", self.now_ms),
            }),
        };
        let mut order = Order::new(market.take_order_id(), ticket, self.now_ms);
        order.forced = Some(forced);
        self.tell_order(account, &order, "NEW");
        self.settle_fills(account, &mut order, parts, false);
        if order.status != Status::Filled {
            order.status = Status::Expired;
            self.tell_order(account, &order, "EXPIRED");
        }
        self.store(account, order);
    }
}

/// How far prices can drift before `slack_e8` may be used up by positions worth `notional_e8`.
fn room_of(slack_e8: i128, notional_e8: i128) -> i128 {
    if notional_e8 == 0 { DRIFT_MAX_E5 } else { mul_div(slack_e8.max(0), 100_000, 2 * notional_e8) }
}
