//! Contracts and their prices, which wander as the seed says.

use super::fixed::{ONE_E8, Random, parse_e8};

/// A contract that the simulator lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketSpec {
    /// Its name.
    pub symbol: String,
    /// What is traded.
    pub base_asset: String,
    /// What it is quoted and settled in.
    pub quote_asset: String,
    /// The first price, as decimal text.
    pub start_price: String,
    /// The smallest price step, as decimal text.
    pub tick_size: String,
    /// The smallest quantity step, as decimal text; also the smallest quantity.
    pub step_size: String,
    /// How far the price moves in one tick of the clock at most, in hundredths of a per mille (10^-5).
    pub move_max_e5: i64,
}

impl MarketSpec {
    /// A contract from its numbers as text.
    pub fn new(symbol: &str, base_asset: &str, quote_asset: &str, numbers: [&str; 3], move_max_e5: i64) -> Self {
        let [start_price, tick_size, step_size] = numbers.map(str::to_owned);
        Self {
            symbol: symbol.to_owned(),
            base_asset: base_asset.to_owned(),
            quote_asset: quote_asset.to_owned(),
            start_price,
            tick_size,
            step_size,
            move_max_e5,
        }
    }

    /// The contracts that a simulator lists when nothing else is asked for. One has a name that needs percent-encoding,
    /// and one is settled in another asset, as on the real exchange.
    pub fn standard() -> Vec<Self> {
        vec![
            Self::new("BTCUSDT", "BTC", "USDT", ["64250.5", "0.1", "0.001"], 60),
            Self::new("ETHUSDT", "ETH", "USDT", ["3120.4", "0.01", "0.001"], 90),
            Self::new("SOLUSDT", "SOL", "USDT", ["148.25", "0.01", "0.01"], 140),
            Self::new("DOGEUSDT", "DOGE", "USDT", ["0.12345", "0.00001", "1"], 180),
            Self::new("ETHUSDC", "ETH", "USDC", ["3121.1", "0.01", "0.001"], 90),
            Self::new("币安人生USDT", "币安人生", "USDT", ["0.2345", "0.0001", "1"], 220),
        ]
    }
}

/// A contract with its current price.
#[derive(Debug, Clone)]
pub(super) struct Market {
    pub(super) spec: MarketSpec,
    pub(super) tick_e8: i128,
    pub(super) step_e8: i128,
    pub(super) price_e8: i128,
    start_e8: i128,
    pub(super) funding_rate_e8: i128,
    pub(super) next_order_id: i64,
    pub(super) next_trade_id: i64,
    path: Random,
    ids: Random,
}

impl Market {
    /// The largest quantity of an order.
    pub(super) const QTY_MAX_E8: i128 = 10_000_000 * ONE_E8;
    /// The smallest value of an order that opens.
    pub(super) const NOTIONAL_MIN_E16: i128 = 5 * ONE_E8 * ONE_E8;

    /// `None` when the numbers of `spec` are not positive decimals.
    pub(super) fn new(spec: MarketSpec, seed: u64) -> Option<Self> {
        let positive = |text: &str| parse_e8(text).filter(|value| *value > 0);
        let (tick_e8, step_e8) = (positive(&spec.tick_size)?, positive(&spec.step_size)?);
        let start_e8 = positive(&spec.start_price)?;
        let path = Random::new(seed, &format!("price path of {}", spec.symbol));
        let ids = Random::new(seed, &format!("ids of {}", spec.symbol));
        Some(Self {
            spec,
            tick_e8,
            step_e8,
            price_e8: start_e8,
            start_e8,
            funding_rate_e8: 10_000,
            // Order ids beyond 2^53, as on the real exchange. Trade ids count per contract and begin alike, so that
            // they collide between contracts.
            next_order_id: 8_389_765_568_816_000_000,
            next_trade_id: 700_001,
            path,
            ids,
        })
    }

    /// One step of the price.
    pub(super) fn wander(&mut self) {
        let span = self.spec.move_max_e5;
        let mut moved_e5 = i128::from(self.path.between(-span, span));
        // Far from where it began, the price is drawn back: it neither vanishes nor leaves the range of the numbers.
        if self.price_e8 * 2 < self.start_e8 {
            moved_e5 = moved_e5.abs();
        } else if self.price_e8 > self.start_e8 * 2 {
            moved_e5 = -moved_e5.abs();
        }
        let moved_e8 = self.price_e8 * moved_e5 / 100_000;
        self.price_e8 = ((self.price_e8 + moved_e8) / self.tick_e8).max(1) * self.tick_e8;
    }

    /// A new funding rate, at most 0.03 % either way.
    pub(super) fn draw_funding_rate(&mut self) {
        self.funding_rate_e8 = i128::from(self.path.between(-10_000, 30_000));
    }

    /// The next order id; others order meanwhile.
    pub(super) fn take_order_id(&mut self) -> i64 {
        self.next_order_id += self.ids.between(1, 40);
        self.next_order_id
    }

    /// The next trade id; others trade meanwhile.
    pub(super) fn take_trade_id(&mut self) -> i64 {
        self.next_trade_id += self.ids.between(1, 9);
        self.next_trade_id
    }
}
