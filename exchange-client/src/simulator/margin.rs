//! Margin: what is tied up, what is free, and when an account can no longer carry its positions.

use super::books::{AccountBook, PositionSide};
use super::engine::Engine;
use super::fixed::{ONE_E8, div_signed, mul_div, to_e8};
use super::order::Ticket;
use super::position::Position;

/// What an account's wallet of one asset has to carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the scale belongs to every name that holds money")]
pub(super) struct Margin {
    /// The whole wallet.
    pub(super) wallet_e8: i128,
    /// The part of it that is set aside for single positions.
    pub(super) isolated_e8: i128,
    /// Unrealized profit of all positions.
    pub(super) unrealized_e8: i128,
    /// Unrealized profit of the positions that share the rest of the wallet.
    pub(super) cross_unrealized_e8: i128,
    /// Initial margin of all positions.
    pub(super) position_initial_e8: i128,
    /// Initial margin of the positions that share the rest of the wallet.
    pub(super) cross_initial_e8: i128,
    /// What open orders tie up besides.
    pub(super) order_initial_e8: i128,
    /// Maintenance margin of all positions.
    pub(super) maintenance_e8: i128,
    /// Maintenance margin of the positions that share the rest of the wallet.
    pub(super) cross_maintenance_e8: i128,
    /// The value of the positions that share the rest of the wallet.
    pub(super) cross_notional_e8: i128,
}

impl Margin {
    /// The part of the wallet that all other positions share.
    pub(super) fn cross_wallet_e8(&self) -> i128 {
        self.wallet_e8 - self.isolated_e8
    }

    /// What the shared positions are backed by.
    pub(super) fn cross_equity_e8(&self) -> i128 {
        self.cross_wallet_e8() + self.cross_unrealized_e8
    }

    /// What new positions can be backed by.
    pub(super) fn available_e8(&self) -> i128 {
        self.cross_equity_e8() - self.cross_initial_e8 - self.order_initial_e8
    }
}

impl Engine {
    /// How an account stands in an asset.
    pub(super) fn margin(&self, account: usize, asset: &str) -> Margin {
        let (Some(book), Some(standing)) = (self.books.accounts.get(account), self.accounts.get(account)) else {
            return Margin::default();
        };
        let mut margin = Margin { wallet_e8: book.wallet_e8(asset), ..Margin::default() };
        for (symbol, _, position) in book.open_positions() {
            let Some(market) = self.markets.get(symbol).filter(|market| market.spec.quote_asset == asset) else {
                continue;
            };
            let notional_e8 = position.notional_e8(market.price_e8);
            let unrealized_e8 = position.unrealized_e8(market.price_e8);
            let initial_e8 = notional_e8.abs() / standing.leverage(symbol);
            let maintenance_e8 = market.maintenance_e8(notional_e8);
            margin.unrealized_e8 += unrealized_e8;
            margin.position_initial_e8 += initial_e8;
            margin.maintenance_e8 += maintenance_e8;
            if standing.is_isolated(symbol) {
                margin.isolated_e8 += position.isolated_e8;
            } else {
                margin.cross_unrealized_e8 += unrealized_e8;
                margin.cross_initial_e8 += initial_e8;
                margin.cross_maintenance_e8 += maintenance_e8;
                margin.cross_notional_e8 += notional_e8.abs();
            }
        }
        for symbol in standing.open.iter().map(|(symbol, _)| symbol.as_str()).collect::<std::collections::BTreeSet<_>>()
        {
            if self.markets.get(symbol).is_some_and(|market| market.spec.quote_asset == asset) {
                margin.order_initial_e8 += self.order_margin_e8(account, symbol, None);
            }
        }
        margin
    }

    /// What the open orders of a contract, and perhaps one more, tie up beyond the margin of its positions: for the worse
    /// of "all buy orders execute" and "all sell orders execute".
    pub(super) fn order_margin_e8(&self, account: usize, symbol: &str, one_more: Option<&Ticket>) -> i128 {
        let (Some(book), Some(standing), Some(market)) =
            (self.books.accounts.get(account), self.accounts.get(account), self.markets.get(symbol))
        else {
            return 0;
        };
        let mut total_e8 = 0;
        for side in [PositionSide::Both, PositionSide::Long, PositionSide::Short] {
            let held_e8 = book.position(symbol, side).map_or(0, |position| position.notional_e8(market.price_e8));
            let (mut bids_e8, mut asks_e8) = (0, 0);
            let open = standing.open_orders(symbol).map(|order| (&order.ticket, order.remaining_e8()));
            let all = open.chain(one_more.map(|ticket| (ticket, ticket.qty_e8)));
            for (ticket, qty_e8) in all.filter(|(ticket, _)| ticket.position_side == side) {
                let value_e8 = to_e8(qty_e8 * ticket.kind.limit_e8().unwrap_or(market.price_e8));
                match (ticket.only_closes(), side, ticket.buy) {
                    (true, ..) | (_, PositionSide::Long, false) | (_, PositionSide::Short, true) => {}
                    (_, _, true) => bids_e8 += value_e8,
                    (_, _, false) => asks_e8 += value_e8,
                }
            }
            let worst_e8 = (held_e8 + bids_e8).abs().max((held_e8 - asks_e8).abs());
            total_e8 += (worst_e8 - held_e8.abs()).max(0);
        }
        total_e8 / standing.leverage(symbol)
    }

    /// What can still be used as margin.
    pub(super) fn available_e8(&self, account: usize, asset: &str) -> i128 {
        self.margin(account, asset).available_e8()
    }

    /// The price at which a position is liquidated if nothing else changes; 0 when there is none.
    pub(super) fn liquidation_price_e8(&self, account: usize, symbol: &str, position: &Position) -> i128 {
        let (Some(market), Some(standing)) = (self.markets.get(symbol), self.accounts.get(account)) else {
            return 0;
        };
        let notional_e8 = position.notional_e8(market.price_e8);
        let bracket = market.bracket(notional_e8);
        let purse_e8 = if standing.is_isolated(symbol) {
            position.isolated_e8
        } else {
            let margin = self.margin(account, &market.spec.quote_asset);
            let others_e8 = margin.cross_unrealized_e8 - position.unrealized_e8(market.price_e8);
            let others_maintenance_e8 = margin.cross_maintenance_e8 - market.maintenance_e8(notional_e8);
            margin.cross_wallet_e8() + others_e8 - others_maintenance_e8
        };
        // purse + qty x (p - entry) = |qty| x p x rate - deduction, solved for p.
        let numerator_e16 = (purse_e8 + bracket.deduction_e8) * ONE_E8 - position.signed_cost_e16();
        let denominator_e8 = mul_div(position.qty_e8.abs(), bracket.rate_e8, ONE_E8) - position.qty_e8;
        div_signed(numerator_e16, denominator_e8).map_or(0, |price_e8| price_e8.max(0))
    }

    /// The price at which closing a position uses up its purse to the last; at least one tick.
    pub(super) fn bankruptcy_price_e8(&self, symbol: &str, position: &Position, purse_e8: i128) -> i128 {
        let Some(market) = self.markets.get(symbol) else {
            return 0;
        };
        let price_e8 = div_signed(position.signed_cost_e16() - purse_e8 * ONE_E8, position.qty_e8).unwrap_or(0);
        market.on_tick_e8(price_e8.max(0), position.qty_e8 > 0)
    }
}

/// The assets in which an account holds positions.
pub(super) fn assets_of(engine: &Engine, book: &AccountBook) -> Vec<String> {
    let mut assets: Vec<String> = Vec::new();
    for (symbol, _, _) in book.open_positions() {
        if let Some(market) = engine.markets.get(symbol)
            && !assets.contains(&market.spec.quote_asset)
        {
            assets.push(market.spec.quote_asset.clone());
        }
    }
    assets
}
