//! What others do: somebody by hand in the exchange's own app, and the exchange by itself.

use exchange_client::simulator::AppOrder;
use ledger_core::{PositionSide, Side, Symbol};

use super::story::{ALIAS, SYMBOLS, Story};

impl Story {
    /// Somebody trades in the exchange's own app.
    pub(super) fn by_hand(&mut self) {
        let symbol = Symbol::new(*self.random.of(&SYMBOLS)).unwrap();
        let position_side = self.position_side();
        let closes = self.random.below(3) == 0;
        if closes && self.fixture.simulator.close_from_app(ALIAS, &symbol, position_side).is_ok() {
            self.note(&format!("{symbol} {position_side} is closed by hand"));
            return;
        }
        let side = match position_side {
            // In hedge mode mostly what opens; what closes is refused where nothing is held.
            PositionSide::Long => *self.random.of(&[Side::Buy, Side::Buy, Side::Sell]),
            PositionSide::Short => *self.random.of(&[Side::Sell, Side::Sell, Side::Buy]),
            PositionSide::Net => *self.random.of(&[Side::Buy, Side::Sell]),
        };
        let qty = *self.random.of(&["1", "2"]);
        let price = (self.random.below(3) == 0).then(|| self.far_from_the_market(&symbol, side == Side::Buy));
        let wish = AppOrder {
            prefix: "web_",
            symbol: symbol.clone(),
            side,
            position_side,
            qty: qty.parse().unwrap(),
            price,
            reduce_only: false,
        };
        let sent = self.fixture.simulator.trade_from_app(ALIAS, &wish);
        let word = if sent.is_ok() { "done" } else { "refused" };
        self.note(&format!("{side} {qty} {symbol} {position_side} by hand: {word}"));
    }

    /// The exchange closes a position by itself.
    pub(super) fn forced(&mut self) {
        let mut held = self.fixture.simulator.books().accounts.remove(0).positions;
        if held.is_empty() {
            return;
        }
        let held = held.swap_remove(usize::try_from(self.random.below(held.len() as u64)).unwrap());
        let (symbol, side) = (Symbol::new(&held.symbol).unwrap(), held.position_side);
        if self.random.below(2) == 0 {
            self.fixture.simulator.force_liquidation(ALIAS, &symbol, side).unwrap();
            self.note(&format!("{symbol} {side} is liquidated"));
        } else {
            let qty = held.qty.abs().to_string().parse().unwrap();
            self.fixture.simulator.force_adl(ALIAS, &symbol, side, qty).unwrap();
            self.note(&format!("{symbol} {side} is deleveraged"));
        }
    }

    pub(super) fn transfer(&mut self) {
        let amount = 1 + self.random.below(500);
        self.fixture.simulator.deposit(ALIAS, "USDT", amount.to_string().parse().unwrap()).unwrap();
        self.note(&format!("{amount} USDT are transferred in"));
    }
}
