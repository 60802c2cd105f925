//! Folds one million generated fills through ledger-core and through barter's position manager, in one process, checks
//! that both realize the same profit, and prints the time a fill. See README.md.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use barter::engine::state::position::PositionManager;
use barter_execution::order::id::{OrderId as PeerOrderId, StrategyId};
use barter_execution::trade::{AssetFees, Trade, TradeId};
use barter_instrument::Side as PeerSide;
use barter_instrument::asset::QuoteAsset;
use barter_instrument::instrument::InstrumentIndex;
use ledger_core::{
    Anchor, Asset, Contract, Decimal, EventTime, Fee, Fill, FillId, FillKey, FoldEvent, Instrument, Label, OrderId,
    Position, PositionSide, Price, Quantity, Side, Symbol, SymbolFold, TimestampMs, Value,
};
use rust_decimal::Decimal as PeerDecimal;

const FILLS: usize = 1_000_000;

/// Fills are made a page at a time, as a store hands them out: what is measured is the fold, not main memory.
const PAGE: usize = 500;

/// What happened, in plain integers: thousandths, hundredths, and millionths of the fee.
struct Raw {
    buy: bool,
    qty: i64,
    price: i64,
    fee: i64,
    at_ms: i64,
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

/// A bot's life: entries, averaging down, partial exits, closes, and a flip now and then, while the price walks.
fn generate(count: usize) -> Vec<Raw> {
    let mut random = Random(42);
    let (mut open, mut price, mut at_ms) = (0_i64, 6_000_000_i64, 1_700_000_000_000_i64);
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
            open += signed;
            // 0.04 % of the notional, cut to six decimals.
            let fee = signed.abs() * price / 10 * 4 / 10_000;
            Raw {
                buy: signed > 0,
                qty: signed.abs(),
                price,
                fee,
                at_ms,
            }
        })
        .collect()
}

fn fills(raw: &[Raw], first: usize) -> Result<Vec<Fill>, Box<dyn Error>> {
    let (symbol, asset) = (Symbol::new("BTCUSDT")?, Asset::new("USDT")?);
    raw.iter()
        .enumerate()
        .map(|(number, raw)| {
            let number = first + number;
            let id = 4_000_000_000 + number as i64;
            Ok(Fill {
                key: FillKey {
                    symbol: symbol.clone(),
                    fill_id: FillId::new(id.to_string())?,
                    side: if raw.buy { Side::Buy } else { Side::Sell },
                },
                order_id: Some(OrderId::new((90_000_000_000 + number / 2).to_string())?),
                time: EventTime::ms(TimestampMs::new(raw.at_ms)?),
                price: Price::new(Decimal::new(raw.price.into(), 2)?)?,
                qty: Quantity::new(Decimal::new(raw.qty.into(), 3)?)?,
                position_side: Some(PositionSide::Net),
                fee: Some(Fee {
                    amount: Decimal::new(raw.fee.into(), 6)?,
                    asset: asset.clone(),
                }),
                maker: Some(false),
                exchange_realized_pnl: None,
                sequence: Some(id),
            })
        })
        .collect()
}

fn trades(raw: &[Raw], first: usize) -> Vec<Trade<QuoteAsset, InstrumentIndex>> {
    raw.iter()
        .enumerate()
        .map(|(number, raw)| (first + number, raw))
        .map(|(number, raw)| Trade {
            id: TradeId::new((4_000_000_000 + number as i64).to_string()),
            order_id: PeerOrderId::new((90_000_000_000 + number / 2).to_string()),
            instrument: InstrumentIndex(0),
            strategy: StrategyId::new("bench"),
            time_exchange: chrono::DateTime::from_timestamp_millis(raw.at_ms).unwrap_or_default(),
            side: if raw.buy { PeerSide::Buy } else { PeerSide::Sell },
            price: PeerDecimal::new(raw.price, 2),
            quantity: PeerDecimal::new(raw.qty, 3),
            fees: AssetFees::quote_fees(PeerDecimal::new(raw.fee, 6)),
        })
        .collect()
}

/// Position math and the sum of fees, nothing else.
struct Bare {
    contract: Contract,
    position: Position,
    realized: Value,
    fees: Value,
}

impl Bare {
    fn take(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let applied = self
                .position
                .apply(self.contract, fill.key.side, fill.qty, fill.price)?;
            self.realized = self.realized.checked_add(applied.realized)?;
            if let Some(fee) = &fill.fee {
                self.fees = self.fees.checked_add(Value::from_decimal(fee.amount)?)?;
            }
        }
        Ok(())
    }
}

/// The whole fold: positions, round trips, fees per asset, certainty.
struct Whole {
    fold: SymbolFold,
    /// Whether the record of each round trip that ends is made: averages, totals as decimals.
    records: bool,
    realized: Value,
    closed: u64,
}

impl Whole {
    fn new(instrument: &Instrument, anchor: &Anchor, records: bool) -> Result<Self, Box<dyn Error>> {
        let mut fold = SymbolFold::new(instrument);
        fold.apply(FoldEvent::Anchor(anchor))?;
        Ok(Self {
            fold,
            records,
            realized: Value::ZERO,
            closed: 0,
        })
    }

    #[inline(never)]
    fn take(&mut self, fills: &[Fill]) -> Result<(), Box<dyn Error>> {
        for fill in fills {
            let step = self.fold.apply(FoldEvent::Fill { fill, order: None })?;
            if let Some(realized) = black_box(step.realized()) {
                self.realized = self.realized.checked_add(realized)?;
            }
            if let Some(closed) = black_box(step.closed()) {
                self.closed += 1;
                if self.records {
                    black_box(closed.record()?);
                }
            }
        }
        Ok(())
    }
}

/// Barter's position manager. It takes fees off the realized profit by itself.
#[derive(Default)]
struct Peer {
    manager: PositionManager<InstrumentIndex>,
    realized: PeerDecimal,
    closed: u64,
}

impl Peer {
    fn take(&mut self, trades: &[Trade<QuoteAsset, InstrumentIndex>]) {
        for trade in trades {
            if let Some(exited) = black_box(self.manager.update_from_trade(trade)) {
                self.realized += exited.pnl_realised;
                self.closed += 1;
            }
        }
    }

    fn total(&self) -> PeerDecimal {
        self.realized
            + self
                .manager
                .current
                .as_ref()
                .map_or(PeerDecimal::ZERO, |open| open.pnl_realised)
    }
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn nanoseconds_a_fill(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds: usize = arguments.first().map_or(Ok(15), |text| text.parse())?;
    let count: usize = arguments.get(1).map_or(Ok(FILLS), |text| text.parse())?;
    let raw = generate(count);
    let instrument = Instrument::linear(Symbol::new("BTCUSDT")?, Asset::new("USDT")?)?;
    let contract = Contract::from(&instrument);
    let anchor = Anchor {
        symbol: instrument.symbol.clone(),
        position_side: PositionSide::Net,
        at: TimestampMs::new(1_700_000_000_000)?,
        qty: Decimal::ZERO,
        entry_price: None,
        derivation: Label::new("a new account")?,
        withdrawn: None,
    };
    let mut best = [Duration::MAX; 4];
    let mut results = None;
    for _ in 0..rounds {
        let mut bare = Bare {
            contract,
            position: Position::FLAT,
            realized: Value::ZERO,
            fees: Value::ZERO,
        };
        let mut whole = Whole::new(&instrument, &anchor, false)?;
        let mut recorded = Whole::new(&instrument, &anchor, true)?;
        let mut peer = Peer::default();
        let mut spent = [Duration::ZERO; 4];
        for (page, raw) in raw.chunks(PAGE).enumerate() {
            let (ours, theirs) = (fills(raw, page * PAGE)?, trades(raw, page * PAGE));
            // Each starts with its page read once, so that none pays for the memory of another.
            spent[0] += timed(|| bare.take(black_box(&ours)))?;
            spent[1] += timed(|| whole.take(black_box(&ours)))?;
            spent[2] += timed(|| recorded.take(black_box(&ours)))?;
            black_box(theirs.iter().map(|trade| trade.quantity).sum::<PeerDecimal>());
            spent[3] += timed(|| {
                peer.take(black_box(&theirs));
                Ok(())
            })?;
        }
        for (best, spent) in best.iter_mut().zip(spent) {
            *best = spent.min(*best);
        }
        results = Some((bare, whole, recorded, peer));
    }
    let (bare, whole, recorded, peer) = results.ok_or("no rounds")?;
    let position = bare.realized.checked_sub(bare.fees)?.to_decimal()?;
    let positions = whole.fold.positions()?;
    let derived = positions.first().ok_or("no position")?;
    let fees = derived.fees.first().ok_or("no fees")?.total.known;
    let (round_trips, fold) = (whole.closed, derived.realized.known.checked_sub(fees)?);
    let told = whole.realized.checked_sub(bare.fees)?.to_decimal()?;
    let recorded_alike = recorded.fold == whole.fold && recorded.closed == round_trips;
    if position != fold || told != fold || !recorded_alike || round_trips != peer.closed {
        return Err(format!(
            "position {position} and fold {fold}, {round_trips} and {} round trips",
            peer.closed
        )
        .into());
    }
    let barter = peer.total();
    // Barter rounds its average entry at 28 significant digits: some 10^-22 a fill on profits up to 10^6.
    let difference = barter
        .to_string()
        .parse::<Decimal>()
        .or_else(|_| barter.round_dp(12).to_string().parse::<Decimal>())?
        .checked_sub(fold)?
        .abs();
    if difference > "0.000001".parse()? {
        return Err(format!("realized less fees: {fold} here, {barter} there").into());
    }
    println!("{count} fills, {round_trips} round trips, realized less fees {fold} (barter differs by {difference})");
    let [position, fold, recorded, barter] = best.map(|time| nanoseconds_a_fill(time, count));
    println!(
        "position and fees      {position:7.1} ns a fill   barter / ours {:6.1}",
        barter / position
    );
    println!(
        "symbol fold            {fold:7.1} ns a fill   barter / ours {:6.1}",
        barter / fold
    );
    println!(
        "  and its records      {recorded:7.1} ns a fill   barter / ours {:6.1}",
        barter / recorded
    );
    println!("barter PositionManager {barter:7.1} ns a fill   (best of {rounds} rounds each)");
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load averages and processes: {}", load.trim());
    }
    Ok(())
}
