//! What an account can set: position mode, leverage, margin type, and the margin of an isolated position.

use super::books::PositionSide;
use super::engine::Engine;
use super::market::Market;
use super::refusal::Refusal;

impl Engine {
    pub(super) fn set_hedge(&mut self, account: usize, hedge: bool) -> Result<(), Refusal> {
        let holds = self.books.accounts.get(account).is_some_and(|book| book.open_positions().next().is_some());
        let standing = self.accounts.get_mut(account).ok_or_else(Refusal::key)?;
        if standing.hedge == hedge {
            return Err(Refusal::mode_unchanged());
        }
        if !standing.open.is_empty() || !standing.waiting.is_empty() {
            return Err(Refusal::mode_with_orders());
        }
        if holds {
            return Err(Refusal::mode_with_positions());
        }
        standing.hedge = hedge;
        Ok(())
    }

    /// Sets the leverage of a contract; answers the largest position value that it allows.
    pub(super) fn set_leverage(&mut self, account: usize, symbol: &str, leverage: i64) -> Result<i128, Refusal> {
        let leverage = i128::from(leverage);
        let market = self.markets.get(symbol).ok_or_else(Refusal::symbol)?;
        if leverage < 1 || leverage > i128::from(market.spec.leverage_max) {
            return Err(Refusal::leverage());
        }
        let value_max_e8 = value_max_e8(market, leverage);
        let held_e8 = self.books.accounts.get(account).map_or(0, |book| {
            let held = book.open_positions().filter(|(of, _, _)| *of == symbol);
            held.map(|(_, _, position)| position.notional_e8(market.price_e8).abs()).sum()
        });
        if held_e8.max(self.reached_value_max_e8(account, symbol)) > value_max_e8 {
            return Err(Refusal::position_too_large());
        }
        let standing = self.accounts.get_mut(account).ok_or_else(Refusal::key)?;
        if standing.is_isolated(symbol) && held_e8 > 0 && leverage < standing.leverage(symbol) {
            return Err(Refusal::leverage_of_isolated());
        }
        let before = standing.leverage.insert(symbol.to_owned(), leverage);
        let quote_asset = market.spec.quote_asset.clone();
        if held_e8 > 0 && self.available_e8(account, &quote_asset) < 0 {
            if let Some(standing) = self.accounts.get_mut(account) {
                match before {
                    Some(before) => standing.leverage.insert(symbol.to_owned(), before),
                    None => standing.leverage.remove(symbol),
                };
            }
            return Err(Refusal::margin());
        }
        self.tell_leverage(account, symbol, leverage);
        Ok(value_max_e8)
    }

    pub(super) fn set_isolated(&mut self, account: usize, symbol: &str, isolated: bool) -> Result<(), Refusal> {
        let holds =
            self.books.accounts.get(account).is_some_and(|book| book.open_positions().any(|(of, _, _)| of == symbol));
        let standing = self.accounts.get_mut(account).ok_or_else(Refusal::key)?;
        if standing.is_isolated(symbol) == isolated {
            return Err(Refusal::margin_type_unchanged());
        }
        if standing.open_orders(symbol).next().is_some() || standing.waiting_conditionals(symbol).next().is_some() {
            return Err(Refusal::margin_type_with_orders());
        }
        if holds {
            return Err(Refusal::margin_type_with_positions());
        }
        if isolated {
            standing.isolated.insert(symbol.to_owned());
        } else {
            standing.isolated.remove(symbol);
        }
        self.tell_account(account, "MARGIN_TYPE_CHANGE", &[], Some(symbol));
        Ok(())
    }

    /// Sets more of the wallet aside for an isolated position, or less below 0.
    pub(super) fn move_margin(
        &mut self,
        account: usize,
        symbol: &str,
        side: PositionSide,
        amount_e8: i128,
    ) -> Result<(), Refusal> {
        let market = self.markets.get(symbol).ok_or_else(Refusal::symbol)?;
        let (price_e8, asset) = (market.price_e8, market.spec.quote_asset.clone());
        let standing = self.accounts.get(account).ok_or_else(Refusal::key)?;
        let position = self.books.accounts.get(account).and_then(|book| book.position(symbol, side));
        let isolated = position.filter(|position| position.qty_e8 != 0 && standing.is_isolated(symbol));
        let position = isolated.ok_or_else(Refusal::no_isolated_position)?;
        let initial_e8 = position.notional_e8(price_e8).abs() / standing.leverage(symbol);
        let losses_e8 = position.unrealized_e8(price_e8).min(0);
        let left_e8 = position.isolated_e8 + amount_e8 + losses_e8;
        if (amount_e8 > 0 && amount_e8 > self.available_e8(account, &asset)) || (amount_e8 < 0 && left_e8 < initial_e8)
        {
            return Err(Refusal::margin_amount());
        }
        if let Some(position) =
            self.books.accounts.get_mut(account).and_then(|book| book.positions.get_mut(&(symbol.to_owned(), side)))
        {
            position.isolated_e8 += amount_e8;
        }
        if let Some(standing) = self.accounts.get_mut(account) {
            standing.safe_drift_e5 = i128::MIN;
        }
        self.tell_account(account, "MARGIN_TRANSFER", &[(&asset, 0)], Some(symbol));
        Ok(())
    }
}

/// The largest value of a position with this leverage.
pub(super) fn value_max_e8(market: &Market, leverage: i128) -> i128 {
    let allowing = market.brackets.iter().filter(|bracket| bracket.leverage_max >= leverage);
    allowing.map(|bracket| bracket.cap_e8).max().unwrap_or(0)
}
