//! fillbook's own lines: what is written is read back equal, for every kind of fact.

use ledger_core::{
    Anchor, BalanceSnapshot, Cancel, Condition, Decimal, EventTime, Execution, ExitReason, Fee, Fill, FillKey,
    FundingRate, Income, IncomeKey, Instrument, IntentOutcome, IntentRole, Label, Order, OrderClass, OrderIntent,
    OrderKey, OrderTerms, Origin, PositionMode, PositionModeSnapshot, PositionSide, PositionSnapshot, Price, PriceKind,
    PriceSnapshot, Quantity, Side, Signal, SignalKind, Source, StatedFees, TimestampMs,
};
use proptest::prelude::*;

use super::*;
use crate::files::ndjson::{parse_line, schema, write_line};

fn written(statement: &Statement) -> String {
    let mut bytes = Vec::new();
    write_line(&mut bytes, statement).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_:/.-]{1,30}", "[a-zé币\"\\\\' ]{1,12}".prop_map(|text| format!("x{text}x"))]
}

fn id<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    text().prop_map(|text| text.parse().unwrap())
}

fn named<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    "[A-Z0-9币][A-Z0-9_]{0,15}".prop_map(|text| text.parse().unwrap())
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (any::<i64>(), 0..=18_u8).prop_map(|(mantissa, scale)| Decimal::new(i128::from(mantissa), scale).unwrap())
}

fn positive() -> impl Strategy<Value = Decimal> {
    (1..=i64::MAX, 0..=18_u8).prop_map(|(mantissa, scale)| Decimal::new(i128::from(mantissa), scale).unwrap())
}

fn price() -> impl Strategy<Value = Price> {
    positive().prop_map(|value| Price::new(value).unwrap())
}

fn qty() -> impl Strategy<Value = Quantity> {
    positive().prop_map(|value| Quantity::new(value).unwrap())
}

fn instant() -> impl Strategy<Value = TimestampMs> {
    (TimestampMs::MIN.as_ms()..=TimestampMs::MAX.as_ms()).prop_map(|ms| TimestampMs::new(ms).unwrap())
}

fn time() -> impl Strategy<Value = EventTime> {
    (instant(), any::<bool>()).prop_map(|(at, fine)| if fine { EventTime::ms(at) } else { EventTime::seconds(at) })
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn maybe<T: Clone + std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(some)
}

fn order_key() -> impl Strategy<Value = OrderKey> {
    (named(), one_of(OrderClass::ALL), id()).prop_map(|(symbol, class, order_id)| OrderKey { symbol, class, order_id })
}

fn fill() -> impl Strategy<Value = AnyFact> {
    let fee = (decimal(), named()).prop_map(|(amount, asset)| Fee { amount, asset });
    (
        (named(), id(), one_of(Side::ALL)),
        maybe(id()),
        time(),
        (price(), qty()),
        maybe(one_of(PositionSide::ALL)),
        maybe(fee),
        (any::<Option<bool>>(), maybe(decimal()), any::<Option<i64>>()),
    )
        .prop_map(
            |((symbol, fill_id, side), order_id, time, (price, qty), position_side, fee, (maker, pnl, sequence))| {
                AnyFact::Fill(Fill {
                    key: FillKey { symbol, fill_id, side },
                    order_id,
                    time,
                    price,
                    qty,
                    position_side,
                    fee,
                    maker,
                    exchange_realized_pnl: pnl,
                    sequence,
                })
            },
        )
}

fn order() -> impl Strategy<Value = AnyFact> {
    let terms = (maybe(instant()), maybe(qty()), maybe(price()), maybe(price()))
        .prop_map(|(as_of, qty, price, trigger_price)| OrderTerms { as_of, qty, price, trigger_price });
    let executed = (positive(), maybe(price())).prop_map(|(qty, avg_price)| Execution::new(qty, avg_price));
    let fee = (decimal(), named()).prop_map(|(amount, asset)| Fee { amount, asset });
    let fees = (positive(), prop::collection::vec(fee, 0..3))
        .prop_map(|(qty, fees)| StatedFees::new(qty, fees).unwrap_or_default());
    (
        order_key(),
        (maybe(id()), one_of(Side::ALL), maybe(one_of(PositionSide::ALL)), maybe(id()), maybe(id())),
        "[A-Z_]{1,20}",
        (terms, maybe(executed), fees),
        any::<(Option<bool>, Option<bool>)>(),
        // None changes before it is made.
        (maybe(time()), maybe(time())).prop_map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) if other.at < one.at => (Some(other), Some(one)),
            times => times,
        }),
        (maybe(id()), maybe(id()), maybe(id()), maybe(one_of(ExitReason::ALL))),
        (maybe(one_of(Origin::ALL)), maybe(one_of(Condition::ALL))),
    )
        .prop_map(|(key, who, status, (terms, executed, fees), flags, (created, updated), links, story)| {
            let (client_order_id, side, position_side, order_type, time_in_force) = who;
            let (triggered_order_id, engine, signal_id, exit_reason) = links;
            // No order executes more than it asks for.
            let executed = executed
                .map(|all| Execution { qty: terms.qty.map_or(all.qty, |qty: Quantity| all.qty.min(qty.get())), ..all });
            // As every reader leaves an order: what follows from its id and type is written on it.
            AnyFact::Order(crate::binance_usdm::VENUE.order_rules.tell(Order {
                origin: story.0,
                condition: story.1,
                key,
                client_order_id,
                side,
                position_side,
                order_type,
                time_in_force,
                status: status.parse().unwrap(),
                terms,
                executed,
                fees,
                reduce_only: flags.0,
                close_position: flags.1,
                created,
                updated,
                triggered_order_id,
                engine,
                signal_id,
                exit_reason,
            }))
        })
}

fn cancel() -> impl Strategy<Value = AnyFact> {
    (order_key(), maybe(one_of(Side::ALL)), time(), maybe(id()))
        .prop_map(|(key, side, time, reason)| AnyFact::Cancel(Cancel { key, side, time, reason }))
}

fn income() -> impl Strategy<Value = AnyFact> {
    (("[A-Z_]{1,20}", id(), maybe(named()), named()), decimal(), time(), maybe(id()), maybe(id())).prop_map(
        |((income_type, tran_id, symbol, asset), amount, time, fill_id, info)| {
            let key = IncomeKey { income_type: income_type.parse().unwrap(), tran_id, symbol, asset };
            AnyFact::Income(Income { key, amount, time, fill_id, info })
        },
    )
}

fn signal() -> impl Strategy<Value = AnyFact> {
    (
        (id(), time(), any::<Option<i64>>(), named(), one_of(Side::ALL), one_of(SignalKind::ALL)),
        (maybe(id()), maybe(id()), maybe(id()), maybe("\\PC{0,20}".boxed()), any::<bool>()),
    )
        .prop_map(
            |((signal_id, time, skew_ms, symbol, side, kind), (engine, reason, skipped, meta_json, restored))| {
                AnyFact::Signal(Signal {
                    signal_id,
                    time,
                    skew_ms,
                    symbol,
                    side,
                    kind,
                    engine,
                    reason,
                    skipped,
                    meta_json,
                    restored,
                })
            },
        )
}

fn intent() -> impl Strategy<Value = AnyFact> {
    (
        (id(), named(), one_of(OrderClass::ALL), one_of(Side::ALL), maybe(one_of(PositionSide::ALL))),
        (one_of(IntentRole::ALL), any::<u32>(), any::<u32>(), id()),
        (maybe(qty()), maybe(price()), maybe(price()), any::<bool>()),
        (maybe(id()), maybe(id()), instant(), one_of(IntentOutcome::ALL)),
    )
        .prop_map(|(what, role, terms, links)| {
            let (client_order_id, symbol, class, side, position_side) = what;
            let (role, dca_step, attempt, order_type) = role;
            let (qty, price, trigger_price, reduce_only) = terms;
            let (signal_id, engine, created_local, outcome) = links;
            AnyFact::Intent(OrderIntent {
                client_order_id,
                symbol,
                class,
                side,
                position_side,
                role,
                dca_step,
                attempt,
                order_type,
                qty,
                price,
                trigger_price,
                reduce_only,
                signal_id,
                engine,
                created_local,
                outcome,
            })
        })
}

fn snapshots() -> impl Strategy<Value = AnyFact> {
    let position_side = || one_of(PositionSide::ALL);
    let derivation = text().prop_map(|text| Label::new(text).unwrap());
    let withdrawn = text().prop_map(|text| Label::new(text).unwrap());
    let known = (instant(), 0_u64..=9_007_199_254_740_993)
        .prop_map(|(until, fill_count)| ledger_core::KnownBefore { until, fill_count });
    prop_oneof![
        (named(), position_side(), instant(), decimal(), maybe(price())).prop_map(
            |(symbol, position_side, at, qty, entry_price)| {
                AnyFact::Position(PositionSnapshot { symbol, position_side, at, qty, entry_price })
            }
        ),
        (named(), instant(), decimal()).prop_map(|(asset, at, wallet)| AnyFact::Balance(BalanceSnapshot {
            asset,
            at,
            wallet
        })),
        (named(), one_of(PriceKind::ALL), instant(), price())
            .prop_map(|(symbol, kind, at, price)| AnyFact::Price(PriceSnapshot { symbol, kind, at, price })),
        (named(), instant(), decimal(), maybe(price())).prop_map(|(symbol, at, rate, mark_price)| {
            AnyFact::FundingRate(FundingRate { symbol, at, rate, mark_price })
        }),
        (named(), position_side(), instant(), decimal(), maybe(price()), derivation, maybe(known), maybe(withdrawn))
            .prop_map(|(symbol, position_side, at, qty, entry_price, derivation, known_before, withdrawn)| {
                AnyFact::Anchor(Anchor {
                    symbol,
                    position_side,
                    at,
                    qty,
                    entry_price,
                    derivation,
                    known_before,
                    withdrawn,
                })
            }),
        (instant(), one_of(PositionMode::ALL))
            .prop_map(|(at, mode)| AnyFact::PositionMode(PositionModeSnapshot { at, mode })),
        (named(), qty(), named(), maybe(positive()), maybe(positive()), maybe(instant())).prop_map(
            |(symbol, multiplier, settle_asset, tick_size, liquidation_fee, terms_as_of)| {
                let kind = ledger_core::ContractKind::Inverse;
                AnyFact::Instrument(Instrument {
                    symbol,
                    kind,
                    multiplier,
                    settle_asset,
                    tick_size,
                    step_size: tick_size,
                    liquidation_fee,
                    terms_as_of,
                })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn fillbook_lines_survive_a_round_trip(
        fact in prop_oneof![fill(), order(), cancel(), income(), signal(), intent(), snapshots()],
        source in one_of(Source::ALL),
    ) {
        let statement = Statement { fact, source, payload: None };
        let line = written(&statement);
        prop_assert_eq!(line.matches('\n').count(), 1);
        let read = parse_line(line.trim_end()).map_err(|error| TestCaseError::fail(chain(&error)))?;
        prop_assert_eq!(read.fact, statement.fact);
        prop_assert_eq!(read.source, statement.source);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let found = read("one-way/fillbook.ndjson").clean();
    assert_eq!(found.kind, Some(Kind::Fillbook));
    let original = std::fs::read_to_string(fixture("one-way/fillbook.ndjson")).unwrap();
    let texts: Vec<String> = found.statements.iter().map(written).collect();
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (written, original) in texts.iter().zip(original.lines()) {
        assert_eq!(parse(written), parse(original));
    }
    assert_eq!(texts.len(), original.lines().count());
    assert_eq!(
        texts[0].trim_end(),
        r#"{"schema":"fillbook.fill/1","source":"rest","symbol":"BTCUSDT","fill_id":"501","side":"BUY","ts":1772344801137,"price":"60000","qty":"0.01","order_id":"8389765568816714211","position_side":"NET","fee":"0.24","fee_asset":"USDT","maker":false,"exchange_realized_pnl":"0","sequence":"501"}"#
    );
}

#[test]
fn lines_that_do_not_follow_the_layout_are_refused_by_field() {
    let line = r#"{"schema":"fillbook.fill/1","source":"rest","symbol":"BTCUSDT","fill_id":"1","side":"BUY","ts":1772344801137,"price":"1","qty":"2","fee":"3","fee_asset":"BNB","later":{"field":1}}"#;
    assert!(parse_line(line).is_ok(), "fields of later versions are passed over");
    for (from, to, reason) in [
        ("fill/1", "fill/2", "schema is `fillbook.fill/2`: this schema is not known; known are fillbook.instrument/1"),
        ("\"rest\"", "\"hearsay\"", "source is `hearsay`"),
        ("\"1\",\"qty", "\"-1\",\"qty", "price is `-1`"),
        (
            "\"price\":\"1\"",
            "\"price\":1",
            "not valid JSON for this place: invalid type: integer `1`, expected a string",
        ),
        ("\"qty\":\"2\",", "", "missing field `qty`"),
        ("\"fee_asset\":\"BNB\",", "", "fee_asset cannot be used: the value is missing"),
        ("1772344801137", "1772344801137.0", "not valid JSON"),
        ("1772344801137", "1", "ts is `1`"),
        ("\"ts\"", "\"ts_precision\":\"h\",\"ts\"", "ts_precision is `h`: it is not `s` or `ms`"),
        ("\"qty\"", "\"sequence\":\"1.5\",\"qty\"", "sequence is `1.5`"),
        ("\"qty\"", "\"price\":\"3\",\"qty\"", "duplicate field"),
    ] {
        assert!(line.contains(from), "{from}");
        let found = chain(&parse_line(&line.replacen(from, to, 1)).unwrap_err());
        assert!(found.contains(reason), "{to}: {found}");
    }
}

#[test]
fn every_kind_has_a_schema() {
    let all: std::collections::BTreeSet<_> = ledger_core::FactKind::ALL.iter().map(|kind| schema(*kind)).collect();
    assert_eq!(all.len(), ledger_core::FactKind::ALL.len());
    assert!(all.contains("fillbook.fill/1"));
}
