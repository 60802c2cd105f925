//! What a look costs: neither the number of contracts nor the length of history makes a quiet one dearer.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange_client::simulator::{MarketSpec, SimulatorConfig};
use exchange_client::{ExchangeTrader, NewOrder};
use ledger_core::{
    AnyFact, EventTime, Label, PositionSide, Side, Signal, SignalId, SignalKind, Source, Statement, Symbol,
};
use ledger_store::{CoverageSpan, Journal};

use crate::gates::{End, Gate, GatedStore};
use crate::support::Fixture;

/// As many contracts like Ether as one likes.
fn contracts(count: usize) -> Vec<MarketSpec> {
    let standard = MarketSpec::standard();
    let ether = standard.iter().find(|market| market.symbol == "ETHUSDT").unwrap();
    (0..count).map(|number| MarketSpec { symbol: format!("C{number}USDT"), ..ether.clone() }).collect()
}

/// An account that trades so many contracts and holds half of them; what a quiet cycle costs it, in requests and weight.
async fn quiet_cycle(count: usize) -> (u64, u64) {
    let standard = SimulatorConfig::new(81);
    let config = SimulatorConfig { markets: contracts(count), orders_10s_max: None, orders_1m_max: None, ..standard };
    let fixture = Fixture::in_process(config).await;
    fixture.simulator.deposit("sim-main", "USDT", "10000000".parse().unwrap()).unwrap();
    for number in 0..count {
        fixture.simulator.step(Duration::from_secs(1));
        let symbol = Symbol::new(format!("C{number}USDT")).unwrap();
        let intent = fixture.intent(number, &symbol, Side::Buy, "0.1", None, None);
        assert!(fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
        if number % 2 == 1 {
            fixture.simulator.close_from_app("sim-main", &symbol, PositionSide::Net).unwrap();
        }
    }
    fixture.simulator.step(Duration::from_mins(1));
    let first = fixture.reconciler().sync().await.unwrap();
    assert!(!first.leaves_discrepancies() && first.symbols.len() == count, "{:#?}", first.left);
    // Past the overlap, in which the trades themselves are read again.
    for _ in 0..2 {
        fixture.simulator.step(Duration::from_mins(370));
        fixture.reconciler().sync().await.unwrap();
    }
    fixture.simulator.step(Duration::from_mins(1));
    let quiet = fixture.reconciler().sync().await.unwrap();
    // A few quiet contracts have their turn: the same number of them.
    assert!(quiet.findings.is_empty() && quiet.symbols.len() == 2, "{:?} {:#?}", quiet.symbols, quiet.findings);
    (quiet.requests, quiet.weight)
}

#[tokio::test]
async fn a_quiet_cycle_costs_the_same_weight_for_10_contracts_and_for_400() {
    let (few, many) = (quiet_cycle(10).await, quiet_cycle(400).await);
    assert_eq!(few, many);
    // 400 contracts asked one by one for their fills alone would weigh 2,000.
    assert!(many.1 <= 320, "{many:?}");
}

/// So many contracts traded so often within the overlap, and looked at: what the next cycle costs, in which nothing is new.
async fn quiet_cycle_after_trades(count: usize, rounds: usize) -> (u64, u64) {
    let standard = SimulatorConfig::new(84);
    let config = SimulatorConfig { markets: contracts(count), orders_10s_max: None, orders_1m_max: None, ..standard };
    let fixture = Fixture::in_process(config).await;
    fixture.simulator.deposit("sim-main", "USDT", "10000000".parse().unwrap()).unwrap();
    for number in 0..count * rounds {
        fixture.simulator.step(Duration::from_secs(1));
        let symbol = Symbol::new(format!("C{}USDT", number % count)).unwrap();
        let side = if (number / count).is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let intent = fixture.intent(number, &symbol, side, "0.1", None, None);
        assert!(fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
    }
    fixture.simulator.step(Duration::from_mins(1));
    let first = fixture.reconciler().sync().await.unwrap();
    assert!(!first.leaves_discrepancies() && first.symbols.len() == count, "{:#?}", first.left);
    // What the first look read is read once more.
    fixture.simulator.step(Duration::from_mins(1));
    fixture.reconciler().sync().await.unwrap();
    fixture.simulator.step(Duration::from_mins(1));
    let quiet = fixture.reconciler().sync().await.unwrap();
    assert!(quiet.findings.is_empty() && quiet.symbols.is_empty(), "{:?} {:#?}", quiet.symbols, quiet.findings);
    (quiet.requests, quiet.weight)
}

/// What was read lately is read again, a page of a thousand rows at a time; no contract is asked for because it traded.
#[tokio::test]
async fn trades_within_the_overlap_cost_pages_and_not_contracts() {
    let (few, many) = (quiet_cycle_after_trades(6, 10).await, quiet_cycle_after_trades(60, 1).await);
    assert_eq!(few, many);
    assert!(many.1 <= 230, "{many:?}");
}

/// How many words a quiet cycle exchanges with a book in which so many signals have been decided and settled.
async fn words_of_a_quiet_cycle(count: usize) -> usize {
    let fixture = Fixture::in_process(SimulatorConfig::new(82)).await;
    let symbol = Symbol::new("ETHUSDT").unwrap();
    fixture.trade(1, "ETHUSDT", Side::Buy, "1", |_| false).await;
    let signal = |number: usize| Signal {
        signal_id: SignalId::new(format!("old-{number}")).unwrap(),
        time: EventTime::ms(fixture.clock_at(-86_400_000 * 4)),
        skew_ms: None,
        symbol: symbol.clone(),
        side: Side::Buy,
        kind: SignalKind::Entry,
        engine: None,
        reason: None,
        skipped: number.is_multiple_of(2).then(|| Label::new("risk").unwrap()),
        meta_json: None,
        restored: number % 2 == 1,
    };
    let statement = |number| Statement { fact: AnyFact::Signal(signal(number)), source: Source::Bot, payload: None };
    fixture.recorder().record((0..count).map(statement).collect()).await.unwrap();
    fixture.simulator.step(Duration::from_mins(1));
    assert!(!fixture.reconciler().sync().await.unwrap().leaves_discrepancies());
    // What the first look read is read once more.
    fixture.simulator.step(Duration::from_mins(1));
    fixture.reconciler().sync().await.unwrap();
    fixture.simulator.step(Duration::from_mins(1));
    let gate = Gate::new(usize::MAX, End::Fails);
    let mut reconciler = fixture.reconciler();
    reconciler.book = GatedStore::book(&fixture.store, &gate);
    let report = reconciler.sync().await.unwrap();
    assert!(report.run.is_none() && report.findings.is_empty());
    usize::MAX - gate.calls_left()
}

#[tokio::test]
async fn a_cycles_work_does_not_grow_with_history() {
    let (few, many) = (words_of_a_quiet_cycle(10).await, words_of_a_quiet_cycle(4_000).await);
    assert!(few > 20, "{few}");
    assert_eq!(few, many);
}

/// Cursors never run ahead of what the book has: coverage ends where they stand, and before the look began.
#[tokio::test]
async fn coverage_ends_before_what_the_exchange_may_still_tell() {
    let fixture = Fixture::in_process(SimulatorConfig::new(83)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "1", |_| false).await;
    fixture.simulator.step(Duration::from_mins(1));
    let report = fixture.reconciler().sync().await.unwrap();
    let lag_ms = fixture.reconciler().exchange.venue().settle_lag_ms;
    assert!(lag_ms > 0);
    let cursors = fixture.store.cursors(&fixture.account).await.unwrap();
    let coverage = fixture.store.coverage(&fixture.account).await.unwrap();
    let mut ends: BTreeMap<(String, Option<Symbol>), i64> = BTreeMap::new();
    for CoverageSpan { stream, symbol, until, .. } in coverage {
        let end = ends.entry((stream, symbol)).or_default();
        *end = until.as_ms().max(*end);
    }
    for cursor in &cursors {
        assert_eq!(cursor.position, (report.asked_at.as_ms() - lag_ms).to_string(), "{cursor:?}");
        assert_eq!(ends.get(&(cursor.stream.clone(), cursor.symbol.clone())).unwrap().to_string(), cursor.position);
    }
    assert!(cursors.len() >= 4, "{cursors:?}");
}
