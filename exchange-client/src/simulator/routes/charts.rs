//! Prices of the past: candles, and the last day in numbers.

use serde_json::json;

use super::{Answered, Ask, DAY_MS};
use crate::simulator::candles::{Candle, interval_ms};
use crate::simulator::fixed::{mul_div, show_e8};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Params;

/// What was traded, as base and as quote: the last price stands for all of a candle's.
fn volumes(steps: i128, step_e8: i128, price_e8: i128) -> (i128, i128) {
    let base_e8 = steps * step_e8;
    (base_e8, mul_div(base_e8, price_e8, 100_000_000))
}

/// What candles cost: the more are asked for, the more.
pub(super) fn weight_of_rows(params: &Params) -> u32 {
    match params.limit(500, 1_500) {
        Ok(..100) | Err(_) => 1,
        Ok(..500) => 2,
        Ok(..=1_000) => 5,
        Ok(_) => 10,
    }
}

pub(super) fn klines(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    bars(ask, &symbol, true)
}

/// The mark price is the last price here, but nobody trades at it.
pub(super) fn mark_price_klines(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    bars(ask, &symbol, false)
}

/// So is the index's, which goes by the name of the pair.
pub(super) fn index_price_klines(ask: &mut Ask<'_>) -> Answered {
    let pair = ask.params.required("pair")?.to_owned();
    bars(ask, &pair, false)
}

fn bars(ask: &Ask<'_>, symbol: &str, is_traded: bool) -> Answered {
    let market = Ask::known(ask.engine, symbol)?;
    let limit = ask.params.limit(500, 1_500)?;
    let length_ms = interval_ms(ask.params.required("interval")?).ok_or_else(Refusal::interval)?;
    let (since, until) = (ask.params.integer("startTime")?, ask.params.integer("endTime")?);
    let until_ms = until.unwrap_or(i64::MAX).min(ask.now_ms());
    let pages_ms = length_ms.saturating_mul(i64::try_from(limit).unwrap_or(i64::MAX));
    let from_ms = since.unwrap_or_else(|| until_ms.saturating_sub(pages_ms)).max(0);
    let mut bars: Vec<Candle> = Vec::new();
    // From the beginning of the first one on, so that it is whole.
    let first_ms = from_ms.div_euclid(length_ms) * length_ms;
    for minute in market.candles.since(first_ms).into_iter().filter(|minute| minute.open_ms <= until_ms) {
        let open_ms = minute.open_ms.div_euclid(length_ms) * length_ms;
        quiet_until(&mut bars, open_ms, length_ms, limit);
        match bars.last_mut().filter(|bar| bar.open_ms == open_ms) {
            Some(bar) => bar.join(&minute),
            None => bars.push(Candle { open_ms, ..minute }),
        }
    }
    quiet_until(&mut bars, until_ms.saturating_add(1), length_ms, limit);
    bars.retain(|bar| since.is_none_or(|since| bar.open_ms >= since));
    let skipped = if since.is_some() { 0 } else { bars.len().saturating_sub(limit) };
    let row = |bar: &Candle| {
        let steps = if is_traded { bar.steps } else { 0 };
        let (base_e8, quote_e8) = volumes(steps, market.step_e8, bar.close_e8);
        json!([
            bar.open_ms,
            show_e8(bar.open_e8, 0),
            show_e8(bar.high_e8, 0),
            show_e8(bar.low_e8, 0),
            show_e8(bar.close_e8, 0),
            show_e8(base_e8, 0),
            bar.open_ms + length_ms - 1,
            show_e8(quote_e8, 0),
            i64::try_from(steps / 10).unwrap_or(i64::MAX),
            show_e8(base_e8 / 2, 0),
            show_e8(quote_e8 / 2, 0),
            "0",
        ])
    };
    Ok(bars.iter().skip(skipped).take(limit).map(row).collect())
}

/// A stretch in which nothing happened has a candle as well. `limit` bounds how many are made up.
fn quiet_until(bars: &mut Vec<Candle>, open_ms: i64, length_ms: i64, limit: usize) {
    while let Some(last) = bars.last().copied().filter(|last| last.open_ms + length_ms < open_ms && bars.len() <= limit)
    {
        bars.push(last.flat(last.open_ms + length_ms));
    }
}

pub(super) fn ticker_24h(ask: &mut Ask<'_>) -> Answered {
    let now_ms = ask.now_ms();
    ask.one_or_all(|market| {
        let mut day = market.candles.since(now_ms - DAY_MS).into_iter();
        let price_e8 = market.price_e8;
        let standing_still = [price_e8; 4];
        let whole = day.next().map(|first| {
            day.fold(first, |mut whole, minute| {
                whole.join(&minute);
                whole
            })
        });
        let ([first_e8, high_e8, low_e8, _], steps) =
            whole.map_or((standing_still, 0), |day| ([day.open_e8, day.high_e8, day.low_e8, day.close_e8], day.steps));
        let change_e8 = price_e8 - first_e8;
        let (base_e8, quote_e8) = volumes(steps, market.step_e8, price_e8);
        json!({
            "symbol": market.spec.symbol, "priceChange": show_e8(change_e8, 2),
            "priceChangePercent": show_e8(mul_div(change_e8, 10_000, first_e8.max(1)) * 1_000_000, 2),
            "weightedAvgPrice": show_e8(price_e8, 0), "lastPrice": show_e8(price_e8, 0),
            "lastQty": show_e8(market.step_e8, 0), "openPrice": show_e8(first_e8, 0), "highPrice": show_e8(high_e8, 0),
            "lowPrice": show_e8(low_e8, 0), "volume": show_e8(base_e8, 0), "quoteVolume": show_e8(quote_e8, 0),
            "openTime": now_ms - DAY_MS, "closeTime": now_ms, "firstId": 0, "lastId": 0,
            "count": i64::try_from(steps / 10).unwrap_or(i64::MAX),
        })
    })
}
