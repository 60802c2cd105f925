//! The fills: one bot's life, as both sides want to have it.

use std::error::Error;

use barter_execution::order::id::{OrderId as PeerOrderId, StrategyId};
use barter_execution::trade::{AssetFees, Trade as PeerTrade, TradeId};
use barter_instrument::Side as PeerSide;
use barter_instrument::asset::QuoteAsset;
use barter_instrument::instrument::InstrumentIndex;
use ledger_core::{
    Asset, Contract, Decimal, EventTime, Fee, Fill, FillId, FillKey, Instrument, OrderId, Position, PositionSide,
    Price, Quantity, Side, Symbol, TimestampMs, Trade,
};
use rust_decimal::Decimal as PeerDecimal;

/// What happened, in plain integers: thousandths, hundredths, millionths of the fee and 10^-8 of the profit.
pub struct Raw {
    buy: bool,
    qty: i64,
    price: i64,
    fee: i64,
    /// Whether the fee was paid in BNB.
    discount: bool,
    profit: i64,
    at_ms: i64,
}

impl Raw {
    fn side(&self) -> Side {
        if self.buy { Side::Buy } else { Side::Sell }
    }

    fn qty(&self) -> Result<Quantity, Box<dyn Error>> {
        Ok(Quantity::new(Decimal::new(self.qty.into(), 3)?)?)
    }

    fn price(&self) -> Result<Price, Box<dyn Error>> {
        Ok(Price::new(Decimal::new(self.price.into(), 2)?)?)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.unsigned_abs()) as i64
    }
}

pub fn instrument() -> Result<Instrument, Box<dyn Error>> {
    let mut instrument = Instrument::linear(Symbol::new("BTCUSDT")?, Asset::new("USDT")?)?;
    instrument.tick_size = Some("0.01".parse()?);
    instrument.step_size = Some("0.001".parse()?);
    Ok(instrument)
}

/// A bot's life: entries, averaging down, partial exits, closes, and a flip now and then, while the price walks. The
/// exchange states what each fill realized as Binance does: from an average entry rounded at a thousandth of the price step,
/// at 8 decimals. Now and then, for some hundred fills, fees are paid in another asset, until there is none left of it.
pub fn generate(count: usize) -> Result<Vec<Raw>, Box<dyn Error>> {
    let mut random = Random(42);
    let contract = Contract::from(&instrument()?);
    let mut position = Position::FLAT;
    let (mut open, mut price, mut at_ms) = (0_i64, 6_000_000_i64, 1_700_000_000_000_i64);
    let mut discount = false;
    (0..count)
        .map(|_| {
            price = (price + random.below(4_001) - 2_000).clamp(3_000_000, 9_000_000);
            at_ms += 1 + random.below(60_000);
            let size = 1 + random.below(2_000);
            let signed = if open == 0 {
                if random.below(2) == 0 { size } else { -size }
            } else {
                match random.below(100) {
                    0..55 => open.signum() * size,
                    55..85 => -open.signum() * size.min(open.abs()),
                    85..97 => -open,
                    _ => -open - open.signum() * size,
                }
            };
            let closed = if (open ^ signed) < 0 { open.abs().min(signed.abs()) } else { 0 };
            let entry = position.average_entry(contract, 5)?.unwrap_or_default();
            let apart = Decimal::new(price.into(), 2)?.checked_sub(entry)?;
            let gain = apart.checked_mul(Decimal::new((closed * open.signum()).into(), 3)?)?.round(8);
            discount = if discount { random.below(300) != 0 } else { random.below(3_000) == 0 };
            let mut raw = Raw {
                buy: signed > 0,
                qty: signed.abs(),
                price,
                // 0.04 % of the notional, cut to six decimals.
                fee: signed.abs() * price / 10 * 4 / 10_000,
                discount,
                profit: i64::try_from(gain.mantissa_at(8)?)?,
                at_ms,
            };
            if raw.discount {
                raw.fee /= 600;
            }
            position.apply(contract, raw.side(), raw.qty()?, raw.price()?)?;
            open += signed;
            Ok(raw)
        })
        .collect()
}

/// Ours; `stating` what the exchange says that each realized, or not.
pub fn fills(raw: &[Raw], first: usize, stating: bool) -> Result<Vec<Fill>, Box<dyn Error>> {
    let (symbol, assets) = (Symbol::new("BTCUSDT")?, [Asset::new("USDT")?, Asset::new("BNB")?]);
    raw.iter()
        .enumerate()
        .map(|(number, raw)| {
            let number = first + number;
            let id = 4_000_000_000 + number as i64;
            Ok(Fill {
                key: FillKey { symbol: symbol.clone(), fill_id: FillId::new(id.to_string())?, side: raw.side() },
                order_id: Some(OrderId::new((90_000_000_000 + number / 2).to_string())?),
                time: EventTime::ms(TimestampMs::new(raw.at_ms)?),
                price: raw.price()?,
                qty: raw.qty()?,
                position_side: Some(PositionSide::Net),
                fee: Some(Fee {
                    amount: Decimal::new(raw.fee.into(), 6)?,
                    asset: assets[usize::from(raw.discount)].clone(),
                }),
                maker: Some(false),
                exchange_realized_pnl: if stating { Some(Decimal::new(raw.profit.into(), 8)?) } else { None },
                sequence: Some(id),
            })
        })
        .collect()
}

/// Ours for a holding. It knows fees in one asset only, so those in another one are left out.
pub fn trades(raw: &[Raw]) -> Result<Vec<Trade>, Box<dyn Error>> {
    raw.iter()
        .map(|raw| {
            Ok(Trade {
                side: raw.side(),
                qty: raw.qty()?,
                price: raw.price()?,
                fee: Decimal::new(if raw.discount { 0 } else { raw.fee.into() }, 6)?,
                at: TimestampMs::new(raw.at_ms)?,
            })
        })
        .collect()
}

/// Barter's. It knows fees in the quote asset only, so those in another one are left out.
pub fn peer_trades(raw: &[Raw], first: usize) -> Vec<PeerTrade<QuoteAsset, InstrumentIndex>> {
    raw.iter()
        .enumerate()
        .map(|(number, raw)| (first + number, raw))
        .map(|(number, raw)| PeerTrade {
            id: TradeId::new((4_000_000_000 + number as i64).to_string()),
            order_id: PeerOrderId::new((90_000_000_000 + number / 2).to_string()),
            instrument: InstrumentIndex(0),
            strategy: StrategyId::new("bench"),
            time_exchange: chrono::DateTime::from_timestamp_millis(raw.at_ms).unwrap_or_default(),
            side: if raw.buy { PeerSide::Buy } else { PeerSide::Sell },
            price: PeerDecimal::new(raw.price, 2),
            quantity: PeerDecimal::new(raw.qty, 3),
            fees: AssetFees::quote_fees(PeerDecimal::new(if raw.discount { 0 } else { raw.fee }, 6)),
        })
        .collect()
}
