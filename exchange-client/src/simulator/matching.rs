//! How orders execute: takers against the rest of the market, makers when the price comes to them.

use super::books::{Settlement, Trade};
use super::engine::{Engine, OrderKey};
use super::fixed::{ONE_E8, mul_div, to_e8};
use super::order::{Forced, Order, Status};

/// What fees in BNB are reduced to, in per cent.
const BNB_FEE_PERCENT: i128 = 90;

/// A part of an order that executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Execution {
    pub(super) qty_e8: i128,
    pub(super) price_e8: i128,
    /// Whether a fee is charged.
    pub(super) charged: bool,
}

impl Engine {
    /// How an order executes at once: in up to three parts, each a tick worse than the one before, as far as its limit
    /// allows; or as far as the depth that was set goes, at one price.
    pub(super) fn taker_fills(&mut self, account: usize, order: &Order) -> Vec<Execution> {
        let closable_e8 = self.closable_e8(account, order);
        let Some(market) = self.markets.get(&order.ticket.symbol) else {
            return Vec::new();
        };
        let mut left_e8 = order.remaining_e8().min(closable_e8.unwrap_or(i128::MAX));
        let fill = |qty_e8, price_e8| Execution { qty_e8, price_e8, charged: true };
        if let Some(depth_e8) = market.depth_e8 {
            let qty_e8 = left_e8.min(depth_e8);
            return if qty_e8 > 0 { vec![fill(qty_e8, market.price_e8)] } else { Vec::new() };
        }
        let steps = left_e8 / market.step_e8;
        let parts = i128::from(self.execution.between(1, 3)).min(steps).max(1);
        let mut fills = Vec::new();
        for part in 0..parts {
            let qty_e8 = if part + 1 == parts { left_e8 } else { steps / parts * market.step_e8 };
            let slip_e8 = part * market.tick_e8;
            let price_e8 = if order.ticket.buy {
                market.price_e8 + slip_e8
            } else {
                (market.price_e8 - slip_e8).max(market.tick_e8)
            };
            let too_bad = order
                .ticket
                .kind
                .limit_e8()
                .is_some_and(|limit_e8| if order.ticket.buy { price_e8 > limit_e8 } else { price_e8 < limit_e8 });
            if too_bad || qty_e8 == 0 {
                break;
            }
            left_e8 -= qty_e8;
            fills.push(fill(qty_e8, price_e8));
        }
        fills
    }

    /// How a resting order executes when the price has reached it: all or half of what remains, or as far as the depth
    /// that was set goes.
    fn maker_fill(&mut self, account: usize, order: &Order) -> Option<Execution> {
        let closable_e8 = self.closable_e8(account, order).unwrap_or(i128::MAX);
        let market = self.markets.get(&order.ticket.symbol)?;
        let left_e8 = order.remaining_e8().min(closable_e8);
        let steps = left_e8 / market.step_e8;
        let qty_e8 = match market.depth_e8 {
            Some(depth_e8) => left_e8.min(depth_e8),
            None if steps > 1 && self.execution.happens(500) => steps / 2 * market.step_e8,
            None => left_e8,
        };
        let price_e8 = order.ticket.kind.limit_e8()?;
        (qty_e8 > 0).then_some(Execution { qty_e8, price_e8, charged: true })
    }

    /// Books executions of an order. Its status follows; the order is not stored.
    pub(super) fn settle_fills(&mut self, account: usize, order: &mut Order, fills: Vec<Execution>, maker: bool) {
        for fill in fills {
            let Some((quote_asset, trade_id)) = self
                .markets
                .get_mut(&order.ticket.symbol)
                .map(|market| (market.spec.quote_asset.clone(), market.take_trade_id()))
            else {
                return;
            };
            let value_e16 = fill.qty_e8 * fill.price_e8;
            let (fee_e8, fee_asset) =
                if fill.charged { self.fee(account, value_e16, &quote_asset, maker) } else { (0, quote_asset.clone()) };
            let trade = Trade {
                symbol: order.ticket.symbol.clone(),
                id: trade_id,
                order_id: order.id,
                buy: order.ticket.buy,
                position_side: order.ticket.position_side,
                price_e8: fill.price_e8,
                qty_e8: fill.qty_e8,
                fee_e8,
                fee_asset,
                realized_e8: 0,
                maker,
                time_ms: self.now_ms,
            };
            let isolated_leverage = self
                .accounts
                .get(account)
                .filter(|standing| standing.is_isolated(&order.ticket.symbol))
                .map(|standing| standing.leverage(&order.ticket.symbol));
            if matches!(order.forced, None | Some(Forced::Liquidation)) {
                self.tell_trade(&trade);
            }
            self.books.settle(account, trade, Settlement { asset: &quote_asset, isolated_leverage });
            order.executed_e8 += fill.qty_e8;
            order.quote_e16 += value_e16;
            order.updated_ms = self.now_ms;
            order.status = if order.remaining_e8() == 0 { Status::Filled } else { Status::PartiallyFilled };
            self.tell_fill(account, order, trade_id);
        }
        if let Some(standing) = self.accounts.get_mut(account) {
            standing.safe_drift_e5 = i128::MIN;
        }
    }

    /// A trade's fee, and in which asset: in BNB where the account wants that and has enough.
    fn fee(&self, account: usize, value_e16: i128, quote_asset: &str, maker: bool) -> (i128, String) {
        let Some(standing) = self.accounts.get(account) else {
            return (0, quote_asset.to_owned());
        };
        let rate_e8 = if maker { standing.maker_fee_e8 } else { standing.taker_fee_e8 };
        let fee_e8 = to_e8(mul_div(value_e16, rate_e8, ONE_E8));
        if standing.fees_in_bnb && fee_e8 > 0 {
            let listed = self.markets.get(&format!("BNB{quote_asset}")).map(|market| market.price_e8);
            let bnb_price_e8 = listed.unwrap_or(self.bnb_price_e8);
            let bnb_e8 = mul_div(fee_e8 * BNB_FEE_PERCENT, ONE_E8, bnb_price_e8 * 100);
            if self.books.accounts.get(account).is_some_and(|book| book.wallet_e8("BNB") >= bnb_e8) {
                return (bnb_e8, "BNB".to_owned());
            }
        }
        (fee_e8, quote_asset.to_owned())
    }

    /// Executes the resting orders of a contract that the price has reached, and ends those that may only close what is
    /// no longer there.
    pub(super) fn match_resting(&mut self, symbol: &str) {
        let Some(price_e8) = self.markets.get(symbol).map(|market| market.price_e8) else {
            return;
        };
        let mut reached: Vec<(usize, OrderKey)> = Vec::new();
        for (index, account) in self.accounts.iter().enumerate() {
            for order in account.open_orders(symbol) {
                let is_reached =
                    order.ticket.kind.limit_e8().is_none_or(|limit_e8| {
                        if order.ticket.buy { price_e8 <= limit_e8 } else { price_e8 >= limit_e8 }
                    });
                if is_reached {
                    reached.push((index, (symbol.to_owned(), order.id)));
                }
            }
        }
        for (account, key) in reached {
            let Some(mut order) = self.order(account, &key).filter(|order| order.status.is_open()).cloned() else {
                continue;
            };
            let fill = self.maker_fill(account, &order);
            self.settle_fills(account, &mut order, fill.into_iter().collect(), true);
            // The position may have changed since the order was placed.
            if order.status.is_open() && self.closable_e8(account, &order) == Some(0) {
                (order.status, order.updated_ms) = (Status::Expired, self.now_ms);
                self.tell_order(account, &order, "EXPIRED");
            }
            self.store(account, order);
        }
    }
}
