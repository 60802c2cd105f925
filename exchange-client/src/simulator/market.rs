//! Contracts: their rules, and their prices, which wander as the seed says or as a script tells them to.

use std::collections::{BTreeMap, VecDeque};

use super::books::Trade;
use super::candles::Candles;
use super::fixed::{ONE_E8, Random, mul_div, parse_e8};

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
    /// The highest leverage, for the smallest positions.
    pub leverage_max: u32,
    /// What a liquidation costs at most, as a share of the position's value, as decimal text.
    pub liquidation_fee: String,
}

impl MarketSpec {
    /// A contract from its numbers as text: start price, tick size, step size.
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
            leverage_max: 100,
            liquidation_fee: "0.005".to_owned(),
        }
    }

    /// The contracts that a simulator lists when nothing else is asked for. One has a name that needs percent-encoding,
    /// and one is settled in another asset, as on the real exchange.
    pub fn standard() -> Vec<Self> {
        // The smaller a market, the more it costs to be liquidated in it.
        let dear = |fee: &str, spec: Self| Self { liquidation_fee: fee.to_owned(), ..spec };
        vec![
            Self::new("BTCUSDT", "BTC", "USDT", ["64250.5", "0.1", "0.001"], 60),
            Self::new("ETHUSDT", "ETH", "USDT", ["3120.4", "0.01", "0.001"], 90),
            Self::new("SOLUSDT", "SOL", "USDT", ["148.25", "0.01", "0.01"], 140),
            dear("0.0075", Self::new("DOGEUSDT", "DOGE", "USDT", ["0.12345", "0.00001", "1"], 180)),
            Self::new("ETHUSDC", "ETH", "USDC", ["3121.1", "0.01", "0.001"], 90),
            dear("0.015", Self::new("币安人生USDT", "币安人生", "USDT", ["0.2345", "0.0001", "1"], 220)),
        ]
    }
}

/// Whether a contract can be traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarketStatus {
    /// Yes.
    Trading,
    /// Settled: all positions were closed. It can still be asked about.
    Settled,
    /// Gone: whatever is asked about it is refused.
    Delisted,
}

/// The margin rules of positions up to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bracket {
    pub(super) number: i64,
    pub(super) leverage_max: i128,
    /// Above which value it applies.
    pub(super) floor_e8: i128,
    /// Up to which value it applies.
    pub(super) cap_e8: i128,
    /// The maintenance margin's share of the value.
    pub(super) rate_e8: i128,
    /// Subtracted, so that the margin does not jump where a bracket begins.
    pub(super) deduction_e8: i128,
}

/// A funding payment that has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FundingInstant {
    pub(super) at_ms: i64,
    pub(super) rate_e8: i128,
    pub(super) price_e8: i128,
}

/// A trade that everybody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) id: i64,
    pub(super) price_e8: i128,
    pub(super) qty_e8: i128,
    pub(super) at_ms: i64,
    /// Whether the buyer's order rested, so that somebody sold into it.
    pub(super) is_buyer_maker: bool,
}

impl Print {
    /// What others see of an account's trade.
    pub(super) fn of(trade: &Trade) -> Self {
        Self {
            id: trade.id,
            price_e8: trade.price_e8,
            qty_e8: trade.qty_e8,
            at_ms: trade.time_ms,
            is_buyer_maker: trade.buy == trade.maker,
        }
    }
}

/// How many trades of the rest of the market are remembered.
const PRINTS_MAX: usize = 1_000;
/// How large one of them is, in steps of quantity.
const PRINT_STEPS: i128 = 10;

/// A contract with its current price.
#[derive(Debug, Clone)]
pub(super) struct Market {
    pub(super) spec: MarketSpec,
    pub(super) status: MarketStatus,
    pub(super) tick_e8: i128,
    pub(super) step_e8: i128,
    pub(super) liquidation_fee_e8: i128,
    pub(super) price_e8: i128,
    pub(super) funding_rate_e8: i128,
    pub(super) funding: Vec<FundingInstant>,
    pub(super) brackets: Vec<Bracket>,
    pub(super) candles: Candles,
    /// What the rest of the market traded last: once at each price that was drawn.
    pub(super) prints: VecDeque<Print>,
    /// Whether a price was drawn that has not been told.
    pub(super) is_drawn: bool,
    /// Prices to come, by time.
    pub(super) script: BTreeMap<i64, i128>,
    /// Whether the price stands still between the prices of the script.
    pub(super) held: bool,
    /// The most that is executed at once; `None` leaves it to chance.
    pub(super) depth_e8: Option<i128>,
    /// Strictly between these two prices no order executes and none triggers; `None` when that has to be found out.
    pub(super) quiet: Option<(i128, i128)>,
    start_e8: i128,
    next_order_id: i64,
    next_trade_id: i64,
    path: Random,
    ids: Random,
}

impl Market {
    /// The highest price of an order, and the highest that one can wait for.
    pub(super) const PRICE_MAX_E8: i128 = 10_000_000 * ONE_E8;
    /// The largest quantity of an order.
    pub(super) const QTY_MAX_E8: i128 = 10_000_000 * ONE_E8;
    /// The smallest value of an order that opens.
    pub(super) const NOTIONAL_MIN_E16: i128 = 5 * ONE_E8 * ONE_E8;
    /// How many times the market's price a limit price may be.
    pub(super) const PRICE_UP_MAX: i128 = 4;
    /// Which part of the market's price a limit price must be at least.
    pub(super) const PRICE_DOWN_MAX: i128 = 4;

    /// `None` when the numbers of `spec` are not positive decimals, or its liquidation fee is none from 0 to 1.
    pub(super) fn new(spec: MarketSpec, seed: u64, now_ms: i64) -> Option<Self> {
        let positive = |text: &str| parse_e8(text).filter(|value| *value > 0);
        let (tick_e8, step_e8) = (positive(&spec.tick_size)?, positive(&spec.step_size)?);
        let start_e8 = positive(&spec.start_price)?;
        let liquidation_fee_e8 = parse_e8(&spec.liquidation_fee).filter(|fee| (0..=ONE_E8).contains(fee))?;
        let path = Random::new(seed, &format!("price path of {}", spec.symbol));
        let ids = Random::new(seed, &format!("ids of {}", spec.symbol));
        let past = Random::new(seed, &format!("past of {}", spec.symbol));
        Some(Self {
            brackets: brackets(i128::from(spec.leverage_max.max(1))),
            candles: Candles::new(now_ms, start_e8, tick_e8, spec.move_max_e5, past),
            spec,
            status: MarketStatus::Trading,
            tick_e8,
            step_e8,
            liquidation_fee_e8,
            price_e8: start_e8,
            funding_rate_e8: 10_000,
            funding: Vec::new(),
            prints: VecDeque::new(),
            is_drawn: false,
            script: BTreeMap::new(),
            held: false,
            depth_e8: None,
            quiet: None,
            start_e8,
            // Order ids beyond 2^53, as on the real exchange. Trade ids count per contract and begin alike, so that
            // they collide between contracts.
            next_order_id: 8_389_765_568_816_000_000,
            next_trade_id: 700_001,
            path,
            ids,
        })
    }

    /// One step of the price; how far it went, in 10^-5 of it.
    pub(super) fn wander(&mut self, now_ms: i64) -> i128 {
        let span = self.spec.move_max_e5;
        // Drawn even when it is not used: what a script does must not change the path of chance.
        let mut moved_e5 = i128::from(self.path.between(-span, span));
        if self.held || self.status != MarketStatus::Trading {
            return 0;
        }
        // Far from where it began, the price is drawn back: it neither vanishes nor leaves the range of the numbers.
        if self.price_e8 * 2 < self.start_e8 {
            moved_e5 = moved_e5.abs();
        } else if self.price_e8 > self.start_e8 * 2 {
            moved_e5 = -moved_e5.abs();
        }
        let moved_e8 = self.price_e8 * moved_e5 / 100_000;
        let before_e8 = self.price_e8;
        // To the nearest tick: always downwards, prices with large ticks would sink.
        self.set_price(self.price_e8 + moved_e8 + self.tick_e8 / 2, now_ms);
        // Rounding to the tick counts as well.
        (self.price_e8 - before_e8).abs() * 100_000 / before_e8 + 1
    }

    /// Sets the price, rounded down to a tick and at least one. Somebody trades at it.
    pub(super) fn set_price(&mut self, price_e8: i128, now_ms: i64) {
        let before_e8 = self.price_e8;
        self.price_e8 = (price_e8 / self.tick_e8).max(1) * self.tick_e8;
        self.next_trade_id += 1;
        self.prints.push_back(Print {
            id: self.next_trade_id,
            price_e8: self.price_e8,
            qty_e8: PRINT_STEPS * self.step_e8,
            at_ms: now_ms,
            is_buyer_maker: self.price_e8 < before_e8,
        });
        if self.prints.len() > PRINTS_MAX {
            self.prints.pop_front();
        }
        self.is_drawn = true;
        self.candles.draw(now_ms, self.price_e8);
    }

    /// Whether something may execute or trigger at the current price.
    pub(super) fn is_stirred(&self) -> bool {
        self.quiet.is_none_or(|(low_e8, high_e8)| self.price_e8 <= low_e8 || self.price_e8 >= high_e8)
    }

    /// A new funding rate, from -0.01 % to 0.03 %.
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

    /// The margin rules of a position of this value.
    pub(super) fn bracket(&self, notional_e8: i128) -> Bracket {
        let found = self.brackets.iter().find(|bracket| notional_e8.abs() <= bracket.cap_e8);
        found.or(self.brackets.last()).copied().unwrap_or(Bracket {
            number: 1,
            leverage_max: 1,
            floor_e8: 0,
            cap_e8: i128::MAX,
            rate_e8: 0,
            deduction_e8: 0,
        })
    }

    /// The maintenance margin of a position of this value.
    pub(super) fn maintenance_e8(&self, notional_e8: i128) -> i128 {
        let bracket = self.bracket(notional_e8);
        mul_div(notional_e8.abs(), bracket.rate_e8, ONE_E8) - bracket.deduction_e8
    }

    /// The price on the grid of ticks, for a seller below or for a buyer above the given one.
    pub(super) fn on_tick_e8(&self, price_e8: i128, up: bool) -> i128 {
        let down_e8 = price_e8.div_euclid(self.tick_e8) * self.tick_e8;
        let e8 = if up && down_e8 != price_e8 { down_e8 + self.tick_e8 } else { down_e8 };
        e8.max(self.tick_e8)
    }
}

/// Leverage falls and maintenance rises with a position's value, as on the real exchange.
fn brackets(leverage_max: i128) -> Vec<Bracket> {
    let mut brackets: Vec<Bracket> = Vec::new();
    for (number, cap, leverage, rate_e8) in [
        (1, 50_000, leverage_max, 400_000),
        (2, 600_000, leverage_max.min(50), 1_000_000),
        (3, 3_000_000, leverage_max.min(20), 2_500_000),
        (4, 12_000_000, leverage_max.min(10), 5_000_000),
        (5, 1_000_000_000, leverage_max.min(5), 10_000_000),
    ] {
        let (floor_e8, below_rate_e8, below_deduction_e8) =
            brackets.last().map_or((0, rate_e8, 0), |below| (below.cap_e8, below.rate_e8, below.deduction_e8));
        // At the border both brackets ask for the same.
        let deduction_e8 = below_deduction_e8 + mul_div(floor_e8, rate_e8 - below_rate_e8, ONE_E8);
        brackets.push(Bracket {
            number,
            leverage_max: leverage,
            floor_e8,
            cap_e8: cap * ONE_E8,
            rate_e8,
            deduction_e8,
        });
    }
    brackets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_margin_rises_without_jumps() {
        let market = Market::new(MarketSpec::standard().remove(0), 1, 0).unwrap();
        // By hand: 0.4 % of 10,000; at 100,000: 1 % less (1 % - 0.4 %) of 50,000.
        assert_eq!(market.maintenance_e8(10_000 * ONE_E8), 40 * ONE_E8);
        assert_eq!(market.maintenance_e8(-100_000 * ONE_E8), 700 * ONE_E8);
        for bracket in &market.brackets {
            let step = market.maintenance_e8(bracket.cap_e8 + 1) - market.maintenance_e8(bracket.cap_e8);
            assert!((0..=1).contains(&step), "{bracket:?}");
        }
    }

    #[test]
    fn prices_neither_sink_nor_rise_by_rounding() {
        // Ticks of 0.04 % of the price, and a day of moves of at most 0.22 %: chance alone goes some 17 % either way, so
        // the average over many seeds stays near the beginning. Rounding always down would lose half of it.
        let spec = MarketSpec::standard().remove(5);
        let mut total_e8 = 0;
        for seed in 0..40 {
            let mut market = Market::new(spec.clone(), seed, 0).unwrap();
            for _ in 0..17_280 {
                market.wander(0);
            }
            total_e8 += market.price_e8;
        }
        let average_e8 = total_e8 / 40;
        assert!((20_500_000..27_500_000).contains(&average_e8), "{average_e8}");
    }

    #[test]
    fn a_script_does_not_change_the_path_of_chance() {
        let spec = MarketSpec::standard().remove(0);
        let (mut free, mut held) = (Market::new(spec.clone(), 9, 0).unwrap(), Market::new(spec, 9, 0).unwrap());
        held.held = true;
        for at in 0..10 {
            free.wander(at);
            held.wander(at);
        }
        assert_eq!((held.ids.next(), held.path.next()), (free.ids.next(), free.path.next()));
        assert_ne!(held.price_e8, free.price_e8);
    }
}
