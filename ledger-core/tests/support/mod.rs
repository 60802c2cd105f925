//! Generators and plain-number helpers for the law tests.

use ledger_core::{
    Asset, Cancel, ClientOrderId, Condition, ContractKind, Decimal, EngineLabel, EventTime, Execution, Fee, Fill,
    FillId, FillKey, Income, IncomeKey, Instrument, IntentOutcome, IntentRole, Label, Order, OrderClass, OrderId,
    OrderIntent, OrderKey, OrderStatus, OrderTerms, Origin, PositionSide, Price, Quantity, Side, Signal, SignalId,
    SignalKind, StatedFees, Symbol, TimestampMs, TranId,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

pub fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn big(value: Decimal) -> BigRational {
    BigRational::new(value.mantissa().into(), BigInt::from(10).pow(value.scale().into()))
}

/// Rounded half to even at `scale` decimals, in integers.
pub fn half_even(value: &BigRational, scale: u32) -> BigRational {
    let unit = BigInt::from(10).pow(scale);
    let scaled = value * BigRational::from_integer(unit.clone());
    let floor = scaled.floor();
    let half = BigRational::new(1.into(), 2.into());
    let rest = &scaled - &floor;
    let even = &floor.to_integer() % BigInt::from(2) == BigInt::from(0);
    let up = rest > half || (rest == half && !even);
    let rounded = floor.to_integer() + BigInt::from(i32::from(up));
    BigRational::new(rounded, unit)
}

/// A small generator (`SplitMix64`) so that long runs are cheap and repeatable.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

pub fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(1_700_000_000_000 + ms).unwrap()
}

pub fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

pub fn fill(id: &str, price: &str, qty: &str) -> Fill {
    Fill {
        key: FillKey { symbol: symbol(), fill_id: FillId::new(id).unwrap(), side: Side::Buy },
        order_id: None,
        time: EventTime::ms(at(20)),
        price: price.parse().unwrap(),
        qty: qty.parse().unwrap(),
        position_side: Some(PositionSide::Net),
        fee: None,
        maker: None,
        exchange_realized_pnl: None,
        sequence: None,
    }
}

pub fn order(id: &str) -> Order {
    let key = OrderKey { symbol: symbol(), class: OrderClass::Regular, order_id: OrderId::new(id).unwrap() };
    Order::known_from_fill(key, Side::Buy, None)
}

fn price() -> impl Strategy<Value = Price> {
    (1_i128..4).prop_map(|p| Price::new(Decimal::new(p, 2).unwrap()).unwrap())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (1_i128..4).prop_map(|q| Quantity::new(Decimal::new(q, 1).unwrap()).unwrap())
}

fn event_time() -> impl Strategy<Value = EventTime> {
    (0_i64..3_000, any::<bool>()).prop_map(|(ms, exact)| {
        let ms = ms / 400 * 400;
        if exact { EventTime::ms(at(ms)) } else { EventTime::seconds(at(ms)) }
    })
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(values))
}

/// Fills of one key, from few values, so that agreement, refinement and conflict all happen.
pub fn fills() -> impl Strategy<Value = Fill> {
    let asset = Asset::new("USDT").unwrap();
    let fees = [-1_i128, 1, 2].map(|fee| Fee { amount: Decimal::new(fee, 2).unwrap(), asset: asset.clone() });
    (
        event_time(),
        price(),
        quantity(),
        maybe(vec![PositionSide::Net, PositionSide::Long]),
        maybe(fees.to_vec()),
        prop::option::of(any::<bool>()),
        maybe(vec![dec("0"), dec("0.33"), dec("0.330000002"), dec("0.333"), dec("0.335")]),
        maybe(vec![7_i64]),
        maybe(vec![OrderId::new("1").unwrap(), OrderId::new("2").unwrap()]),
    )
        .prop_map(|(time, price, qty, position_side, fee, maker, exchange_realized_pnl, sequence, order_id)| {
            Fill {
                time,
                price,
                qty,
                position_side,
                fee,
                maker,
                exchange_realized_pnl,
                sequence,
                order_id,
                ..fill("1", "1", "1")
            }
        })
}

pub fn orders() -> impl Strategy<Value = Order> {
    let statuses = ["UNKNOWN", "NEW", "WHATEVER", "PARTIALLY_FILLED", "EXPIRED", "CANCELED", "FILLED"];
    let terms = (
        prop::option::of((0_i64..3).prop_map(at)),
        prop::option::of(quantity()),
        prop::option::of(price()),
        prop::option::of(price()),
    )
        .prop_map(|(as_of, qty, price, trigger_price)| OrderTerms { as_of, qty, price, trigger_price });
    let amounts = ["-0.01", "0", "0.01", "0.010000001", "0.02"];
    let fee = (prop::sample::select(amounts.to_vec()), prop::sample::select(vec!["USDT", "BNB"]))
        .prop_map(|(amount, asset)| Fee { amount: dec(amount), asset: Asset::new(asset).unwrap() });
    // Stated of what executed, and of other quantities: what comes together in one answer is settled part by part.
    let fees = (0_i128..3, prop::collection::vec(fee, 0..3))
        .prop_map(|(qty, fees)| StatedFees::new(Decimal::new(qty, 1).unwrap(), fees).unwrap());
    let executed = prop::option::of((0_i128..3, prop::option::of(price())))
        .prop_map(|executed| executed.map(|(qty, avg_price)| Execution::new(Decimal::new(qty, 1).unwrap(), avg_price)));
    (
        prop::sample::select(statuses.to_vec()).prop_map(|status| status.parse::<OrderStatus>().unwrap()),
        terms,
        (executed, fees),
        prop::option::of(event_time()),
        prop::option::of(event_time()),
        maybe(vec![EngineLabel::new("a").unwrap(), EngineLabel::new("b").unwrap()]),
        prop::option::of(any::<bool>()),
        maybe(vec![ClientOrderId::new("c1").unwrap(), ClientOrderId::new("c2").unwrap()]),
        prop::option::of(prop::sample::select(Origin::ALL)),
        prop::option::of(prop::sample::select(Condition::ALL)),
    )
        .prop_map(
            |(
                status,
                terms,
                (executed, fees),
                created,
                updated,
                engine,
                reduce_only,
                client_order_id,
                origin,
                condition,
            )| {
                Order {
                    origin,
                    condition,
                    status,
                    terms,
                    executed,
                    fees,
                    created,
                    updated,
                    engine,
                    reduce_only,
                    client_order_id,
                    ..order("1")
                }
            },
        )
}

pub fn signals() -> impl Strategy<Value = Signal> {
    (
        event_time(),
        prop::sample::select(Side::ALL),
        prop::sample::select(SignalKind::ALL),
        maybe(vec![EngineLabel::new("a").unwrap(), EngineLabel::new("b").unwrap()]),
        maybe(vec![Label::new("x").unwrap(), Label::new("y").unwrap()]),
        any::<bool>(),
    )
        .prop_map(|(time, side, kind, engine, reason, restored)| Signal {
            signal_id: SignalId::new("s").unwrap(),
            time,
            skew_ms: None,
            symbol: symbol(),
            side,
            kind,
            engine,
            reason,
            skipped: None,
            meta_json: None,
            restored,
        })
}

pub fn intents() -> impl Strategy<Value = OrderIntent> {
    (quantity(), prop::option::of(price()), prop::sample::select(IntentOutcome::ALL), 0_u32..2, any::<bool>()).prop_map(
        |(qty, price, outcome, dca_step, reduce_only)| OrderIntent {
            client_order_id: ClientOrderId::new("c").unwrap(),
            symbol: symbol(),
            class: OrderClass::Regular,
            side: Side::Buy,
            position_side: None,
            role: IntentRole::Entry,
            dca_step,
            attempt: 1,
            order_type: Label::new("MARKET").unwrap(),
            qty: Some(qty),
            price,
            trigger_price: None,
            reduce_only,
            signal_id: None,
            engine: None,
            created_local: at(0),
            outcome,
        },
    )
}

pub fn cancels() -> impl Strategy<Value = Cancel> {
    (
        event_time(),
        prop::option::of(prop::sample::select(Side::ALL)),
        maybe(vec![Label::new("x").unwrap(), Label::new("y").unwrap()]),
    )
        .prop_map(|(time, side, reason)| Cancel { key: order("1").key, side, time, reason })
}

pub fn incomes() -> impl Strategy<Value = Income> {
    (
        event_time(),
        prop::sample::select(vec![
            dec("-0.1"),
            dec("-0.15"),
            dec("-0.2"),
            dec("-0.100000001"),
            dec("-0.100000004"),
            dec("0.5"),
            dec("12"),
            dec("12.9"),
        ]),
        maybe(vec![FillId::new("1").unwrap(), FillId::new("2").unwrap()]),
    )
        .prop_map(|(time, amount, fill_id)| Income {
            key: IncomeKey {
                income_type: "COMMISSION".parse().unwrap(),
                tran_id: TranId::new("1").unwrap(),
                symbol: Some(symbol()),
                asset: Asset::new("USDT").unwrap(),
            },
            amount,
            time,
            fill_id,
            info: None,
        })
}

/// Statements about one contract: its steps and its liquidation fee may change, the rest may not.
pub fn instruments() -> impl Strategy<Value = Instrument> {
    let step = || prop::option::of((1_i128..3).prop_map(|unit| Decimal::new(unit, 2).unwrap()));
    (step(), step(), step(), prop::option::of((0_i64..3).prop_map(at)), any::<bool>()).prop_map(
        |(tick_size, step_size, liquidation_fee, terms_as_of, is_linear)| Instrument {
            kind: if is_linear { ContractKind::Linear } else { ContractKind::Inverse },
            tick_size,
            step_size,
            liquidation_fee,
            terms_as_of,
            ..Instrument::linear(Symbol::new("X").unwrap(), Asset::new("Y").unwrap()).unwrap()
        },
    )
}
