//! What everybody may listen to: marks, trades, best prices and candles of contracts, in the exchange's own words.
//!
//! A mark is sent every second, or every three. Best prices and trades are sent when the price moves, candles at every tick of
//! the clock. No event is made of a topic that has no subscriber, and none beyond what one connection can take at once.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `what_is_listened_to_changes_nothing`: prices, ids and fills do not depend on subscriptions.
//! 2. `marks_are_told_every_second_however_time_is_cut`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::books::Trade;
use super::candles::{Candle, interval_ms};
use super::engine::Engine;
use super::fixed::{mul_div, show_e8};
use super::market::{Market, MarketStatus, Print};
use super::routes::best_prices;

/// How many events of a topic may wait to be sent. From then on none is made until some were sent.
const WAITING_MAX: usize = 5_000;
/// The most candles without a trade that are sent at once.
const QUIET_CANDLES_MAX: usize = 1_500;
/// Which of the exchange's two kinds of contracts these are: those that are settled in a stable coin.
const USD_MARGINED: i64 = 1;

/// The kinds of stream addresses. Each has its own topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    /// What belongs to an account.
    Private,
    /// Marks, trades, candles.
    Market,
    /// Best prices.
    Public,
    /// The addresses of before they were split: they connect, answer, and tell nothing.
    Retired,
}

/// What a topic tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Marks { every_ms: i64 },
    Trades,
    Candles { length_ms: i64 },
    BestPrices,
}

/// A stream of the market.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Topic {
    /// As it is asked for.
    pub(super) name: String,
    /// A contract; none for all.
    symbol: Option<String>,
    subject: Subject,
}

impl Topic {
    /// `None` when an address of that category has no stream of that name. Names are in lower case where they name a
    /// contract.
    pub(super) fn parse(name: &str, category: Category) -> Option<Self> {
        let (symbol, subject, of) = if let Some(all) = name.strip_prefix('!') {
            let (subject, of) = match all {
                "markPrice@arr" => (Subject::Marks { every_ms: 3_000 }, Category::Market),
                "markPrice@arr@1s" => (Subject::Marks { every_ms: 1_000 }, Category::Market),
                "bookTicker" => (Subject::BestPrices, Category::Public),
                _ => return None,
            };
            (None, subject, of)
        } else {
            let (symbol, what) = name.split_once('@')?;
            let (subject, of) = match what {
                "markPrice" | "markPrice@3s" => (Subject::Marks { every_ms: 3_000 }, Category::Market),
                "markPrice@1s" => (Subject::Marks { every_ms: 1_000 }, Category::Market),
                "aggTrade" => (Subject::Trades, Category::Market),
                "bookTicker" => (Subject::BestPrices, Category::Public),
                _ => (Subject::Candles { length_ms: interval_ms(what.strip_prefix("kline_")?)? }, Category::Market),
            };
            let is_lower = symbol == symbol.to_lowercase();
            (Some(symbol.to_uppercase()).filter(|_| is_lower), subject, of)
        };
        (of == category && (symbol.is_some() || name.starts_with('!'))).then(|| Self {
            name: name.to_owned(),
            symbol,
            subject,
        })
    }

    fn is_about(&self, market: &Market) -> bool {
        self.symbol.as_ref().is_none_or(|symbol| *symbol == market.spec.symbol)
    }

    /// The name of a candle's length.
    fn interval(&self) -> &str {
        self.name.rsplit_once("kline_").map_or("", |(_, interval)| interval)
    }
}

/// An event for the subscribers of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) topic: String,
    /// The event's type, as the exchange calls it.
    pub(super) kind: &'static str,
    pub(super) at_ms: i64,
    pub(super) body: Value,
}

/// What is listened to, and what is to be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    /// How much of each topic waits to be passed on.
    wanted: BTreeMap<Topic, usize>,
    /// When the candle began that was told last.
    candles: BTreeMap<Topic, i64>,
    news: Vec<News>,
}

impl Feed {
    /// From now on these are listened to.
    pub(super) fn listen_to(&mut self, topics: BTreeSet<Topic>) {
        self.candles.retain(|topic, _| topics.contains(topic));
        self.wanted = topics.into_iter().map(|topic| (topic, 0)).collect();
    }

    /// What has happened since it was taken last, as it happened.
    pub(super) fn take(&mut self) -> Vec<News> {
        let mut news = std::mem::take(&mut self.news);
        news.sort_by_key(|news| news.at_ms);
        news
    }

    fn topics(&self) -> Vec<Topic> {
        self.wanted.iter().filter(|(_, waiting)| **waiting < WAITING_MAX).map(|(topic, _)| topic.clone()).collect()
    }

    fn tell(&mut self, topic: &Topic, at_ms: i64, body: Value) {
        let kind = match topic.subject {
            Subject::Marks { .. } => "markPriceUpdate",
            Subject::Trades => "aggTrade",
            Subject::Candles { .. } => "kline",
            Subject::BestPrices => "bookTicker",
        };
        if let Some(waiting) = self.wanted.get_mut(topic) {
            *waiting += 1;
            self.news.push(News { topic: topic.name.clone(), kind, at_ms, body });
        }
    }
}

impl Engine {
    /// Tells the marks of the seconds after `after_ms` up to `until_ms`, at the current prices.
    pub(super) fn tell_marks(&mut self, after_ms: i64, until_ms: i64) {
        for topic in self.feed.topics() {
            let Subject::Marks { every_ms } = topic.subject else { continue };
            let first_ms = (after_ms.div_euclid(every_ms) + 1) * every_ms;
            let step = usize::try_from(every_ms).unwrap_or(1_000);
            for at_ms in (first_ms..=until_ms).step_by(step).take(WAITING_MAX) {
                let rows =
                    self.trading().filter(|market| topic.is_about(market)).map(|market| self.mark(market, at_ms));
                let body = if topic.symbol.is_some() { rows.last() } else { Some(rows.collect()) };
                if let Some(body) = body {
                    self.feed.tell(&topic, at_ms, body);
                }
            }
        }
    }

    fn mark(&self, market: &Market, at_ms: i64) -> Value {
        let (price, every_ms) = (show_e8(market.price_e8, 8), self.funding_interval_ms);
        json!({
            "e": "markPriceUpdate", "E": at_ms, "s": market.spec.symbol, "p": price, "ap": price, "i": price, "P": price,
            "r": show_e8(market.funding_rate_e8, 8), "T": (at_ms.div_euclid(every_ms) + 1) * every_ms,
            "st": USD_MARGINED,
        })
    }

    /// Tells what the prices that were drawn since the last time did to trades, best prices and candles. `is_tick`: the
    /// clock ticked, so that candles are told even where the price stood still.
    pub(super) fn tell_prices(&mut self, is_tick: bool) {
        let topics = self.feed.topics();
        let mut drawn = BTreeSet::new();
        for market in self.markets.values_mut() {
            if std::mem::take(&mut market.is_drawn) && !topics.is_empty() {
                drawn.insert(market.spec.symbol.clone());
            }
        }
        for topic in topics {
            let about = self.trading().filter(|market| topic.is_about(market));
            let bodies: Vec<Value> = about
                .flat_map(|market| self.news_of(&topic, market, is_tick, drawn.contains(&market.spec.symbol)))
                .collect();
            if let (Subject::Candles { length_ms }, false) = (topic.subject, bodies.is_empty()) {
                self.feed.candles.insert(topic.clone(), self.now_ms.div_euclid(length_ms) * length_ms);
            }
            for body in bodies {
                self.feed.tell(&topic, self.now_ms, body);
            }
        }
    }

    fn news_of(&self, topic: &Topic, market: &Market, is_tick: bool, is_drawn: bool) -> Vec<Value> {
        match topic.subject {
            Subject::Trades if is_drawn => {
                let print = market.prints.back();
                print.map(|print| aggregate_trade(&market.spec.symbol, print, self.now_ms)).into_iter().collect()
            }
            Subject::BestPrices if is_drawn => vec![self.best_prices(market)],
            Subject::Candles { length_ms } if is_drawn || is_tick => self.candles(topic, market, length_ms),
            _ => Vec::new(),
        }
    }

    /// Tells a trade of an account. Those that the exchange makes with an account's opposite are no trades of the market.
    pub(super) fn tell_trade(&mut self, trade: &Trade) {
        for topic in self.feed.topics() {
            if topic.subject == Subject::Trades && topic.symbol.as_ref() == Some(&trade.symbol) {
                let body = aggregate_trade(&trade.symbol, &Print::of(trade), self.now_ms);
                self.feed.tell(&topic, self.now_ms, body);
            }
        }
    }

    /// The candle that is being drawn, after those that have been completed since the last one was told.
    fn candles(&self, topic: &Topic, market: &Market, length_ms: i64) -> Vec<Value> {
        let open_ms = self.now_ms.div_euclid(length_ms) * length_ms;
        let since_ms = self.feed.candles.get(topic).copied().unwrap_or(open_ms);
        let step = usize::try_from(length_ms).unwrap_or(60_000);
        let each = (since_ms..=open_ms).step_by(step).take(QUIET_CANDLES_MAX);
        let whole = each.filter_map(|at_ms| market.candles.whole(at_ms, length_ms));
        whole.map(|candle| candlestick(topic, market, &candle, length_ms, self.now_ms)).collect()
    }

    fn best_prices(&self, market: &Market) -> Value {
        let [bid, bid_qty, ask, ask_qty] = best_prices(market);
        json!({
            "e": "bookTicker", "u": self.now_ms, "E": self.now_ms, "T": self.now_ms, "s": market.spec.symbol,
            "ps": market.spec.symbol, "b": bid, "B": bid_qty, "a": ask, "A": ask_qty, "st": USD_MARGINED,
        })
    }

    fn trading(&self) -> impl Iterator<Item = &Market> {
        self.markets.values().filter(|market| market.status == MarketStatus::Trading)
    }
}

fn aggregate_trade(symbol: &str, print: &Print, now_ms: i64) -> Value {
    let qty = show_e8(print.qty_e8, 3);
    json!({
        "e": "aggTrade", "E": now_ms, "s": symbol, "a": print.id, "p": show_e8(print.price_e8, 0), "q": qty, "nq": qty,
        "f": print.id, "l": print.id, "T": print.at_ms, "m": print.is_buyer_maker, "st": USD_MARGINED,
    })
}

fn candlestick(topic: &Topic, market: &Market, candle: &Candle, length_ms: i64, now_ms: i64) -> Value {
    let base_e8 = candle.steps * market.step_e8;
    let quote_e8 = mul_div(base_e8, candle.close_e8, super::fixed::ONE_E8);
    json!({
        "e": "kline", "E": now_ms, "s": market.spec.symbol,
        "k": {
            "t": candle.open_ms, "T": candle.open_ms + length_ms - 1, "s": market.spec.symbol, "i": topic.interval(),
            "f": 0, "L": 0, "o": show_e8(candle.open_e8, 0), "c": show_e8(candle.close_e8, 0),
            "h": show_e8(candle.high_e8, 0), "l": show_e8(candle.low_e8, 0), "v": show_e8(base_e8, 0),
            "n": i64::try_from(candle.steps / 10).unwrap_or(i64::MAX), "x": candle.open_ms + length_ms <= now_ms,
            "q": show_e8(quote_e8, 0), "V": show_e8(base_e8 / 2, 0), "Q": show_e8(quote_e8 / 2, 0), "B": "0",
        },
    })
}
