//! The reconciler with both seams mocked: what it asks, what it concludes, what it writes, in which order.

mod asking;
mod balances;
mod cases;
mod checks;
mod deciding;
mod ends;
mod entries;
mod layers;
mod looking;
mod planning;
mod recording;
mod restraint;
mod vanishing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use exchange_client::binance_usdm::VENUE;
use exchange_client::{
    AccountIdentity, Answer, Clock, Endpoint, ExchangeError, ManualClock, Method, MockExchangeReader,
    MockExchangeTrader, Page, SendOutcome, Stated, TimeWindow, TransportError, Usage,
};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, Decimal, EventTime, Execution, Fill, FillId, FillKey, Income, IncomeKey,
    IntentOutcome, IntentRole, Label, Order, OrderClass, OrderId, OrderIntent, OrderKey, OrderStatus, Outcome,
    PositionMode, PositionModeSnapshot, PositionSide, PositionSnapshot, Side, SignalId, Source, Sourced, Symbol,
    TimestampMs,
};
use ledger_store::{Account, Book, BookOrder, CommitReport, LookHold, MockStore, PendingRefold, RefoldReport, RunId};
use mockall::Sequence;

use crate::apply::apply;
use crate::asked::Asked;
use crate::confirming::ReadBefore;
use crate::finding::Outlook;
use crate::observe::book_view::{Beginning, BookView};
use crate::observe::walk::Walk;
use crate::observe::{ByType, ClockReading, Continuity, FillWalk, Observation, SymbolObservation};
use crate::plan::Plan;
use crate::verify::verify;
use crate::{CheckName, DiscrepancyKind, LabelSources, ObserveOptions, Policy, ReconcileError, Recorder, Verdict};

pub(crate) use self::deciding::{btc, known};
pub(crate) use self::restraint::long;

const NOW_MS: i64 = 1_780_000_000_000;

pub(crate) fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + ms).unwrap()
}

/// With the default policy, as of now.
fn plan(seen: &Observation) -> Plan {
    crate::plan::plan(seen, &Policy::default(), at(0)).unwrap()
}

/// The same in a look of another time.
fn plan_at(seen: &Observation, ms: i64) -> Plan {
    crate::plan::plan(seen, &Policy::default(), at(ms)).unwrap()
}

/// With the default policy and an exact clock.
async fn observe(
    exchange: &MockExchangeReader,
    book: &Book,
    options: &ObserveOptions,
) -> Result<Observation, ReconcileError> {
    let clock = ManualClock::new(at(0));
    let before = ReadBefore::default();
    crate::observe::observe(exchange, &**book, &clock, &account_id(), options, &Policy::default(), &before).await
}

pub(crate) fn account_id() -> AccountId {
    AccountId::new("main").unwrap()
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

/// A transfer of 5 USDT.
pub(crate) fn transfer(tran_id: usize, ms: i64) -> Income {
    let row = checks::income("TRANSFER", tran_id, "5");
    Income { key: IncomeKey { symbol: None, ..row.key }, time: EventTime::ms(at(ms)), fill_id: None, ..row }
}

pub(crate) fn lost() -> ExchangeError {
    let endpoint = Endpoint::new(Method::Get, "/fapi/v3/positionRisk", None);
    ExchangeError::AnswerLost { endpoint, source: TransportError::Lost("connection reset".into()) }
}

/// The exchange does not take a parameter.
pub(crate) fn refused() -> ExchangeError {
    let endpoint = Endpoint::new(Method::Get, "/fapi/v1/income", None);
    ExchangeError::Refused { endpoint, status: 400, code: -1130, message: "Data sent is not valid.".into() }
}

pub(crate) fn stated<T>(entity: T) -> Stated<T> {
    Stated { entity, payload: "{}".into() }
}

pub(crate) fn answer<T>(entities: Vec<T>) -> Answer<T> {
    Answer { rows: entities.into_iter().map(stated).collect(), asked_at: at(0), unreadable: Vec::new() }
}

pub(crate) fn page<T, Q>(entities: Vec<T>) -> Page<T, Q> {
    let rows = entities.into_iter().map(stated).collect();
    Page { rows, asked_at: at(0), unreadable: Vec::new(), next: None }
}

fn walk<T>(entities: Vec<T>) -> Walk<T> {
    let window = TimeWindow::new(at(-1_000_000), at(0)).unwrap();
    let rows = entities.into_iter().map(stated).collect();
    Walk { rows, window, asked_at: at(0), unreadable: Vec::new(), continuity: Continuity::Resumed }
}

fn fill(id: i64, order_id: &str, qty: &str) -> Fill {
    Fill {
        key: FillKey { symbol: symbol("BTCUSDT"), fill_id: FillId::new(id.to_string()).unwrap(), side: Side::Buy },
        order_id: Some(OrderId::new(order_id).unwrap()),
        time: EventTime::ms(at(-500_000)),
        price: "60000".parse().unwrap(),
        qty: qty.parse().unwrap(),
        position_side: Some(PositionSide::Net),
        fee: None,
        maker: Some(false),
        exchange_realized_pnl: Some(Decimal::ZERO),
        sequence: Some(id),
    }
}

fn order(id: &str, status: OrderStatus, executed: &str) -> Order {
    let key = OrderKey { symbol: symbol("BTCUSDT"), class: OrderClass::Regular, order_id: OrderId::new(id).unwrap() };
    let mut order = Order::known_from_fill(key, Side::Buy, Some(PositionSide::Net));
    order.status = status;
    order.terms.qty = Some("0.05".parse().unwrap());
    order.executed = Some(Execution::new(executed.parse().unwrap(), None));
    order.updated = Some(EventTime::ms(at(-500_000)));
    order
}

/// An order as the adapter parses it: who sent it and what it waits for is written on it.
fn parsed(order: Order) -> Order {
    VENUE.order_rules.tell(order)
}

fn booked(order: Order, filled: &str) -> BookOrder {
    let filled: Decimal = filled.parse().unwrap();
    let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
    let residual = executed.checked_sub(filled).unwrap();
    BookOrder {
        order: Sourced::new(order, Source::Rest),
        filled_qty: Some(filled),
        filled_quote: None,
        residual_qty: (!residual.is_zero()).then_some(residual),
        residual_fees: None,
    }
}

fn held(qty: &str) -> PositionSnapshot {
    PositionSnapshot {
        symbol: symbol("BTCUSDT"),
        position_side: PositionSide::Net,
        at: at(0),
        qty: qty.parse().unwrap(),
        entry_price: Some("60000".parse().unwrap()),
    }
}

fn account() -> Account {
    Account {
        id: account_id(),
        venue: VENUE.name.into(),
        identity: None,
        user_id: None,
        position_mode: None,
        observed_mode: Some(PositionModeSnapshot { at: at(-9_000_000), mode: PositionMode::OneWay }),
        created_local: at(-9_000_000),
    }
}

fn identity() -> AccountIdentity {
    AccountIdentity { venue: VENUE.name.into(), base_url: "http://127.0.0.1:1".into(), account_alias: "a".into() }
}

/// Nothing anywhere.
pub(crate) fn quiet() -> Observation {
    Observation {
        venue: &VENUE,
        scope: BTreeSet::new(),
        identity: identity(),
        asked_at: at(0),
        clock: ClockReading::default(),
        position_mode: Asked::Answered(PositionMode::OneWay),
        positions: Asked::Answered(answer(vec![])),
        open_orders: Asked::Answered(answer(vec![])),
        balances: Asked::Answered(answer(vec![])),
        balances_again: Asked::NotAsked,
        mark_prices: Asked::Answered(answer(vec![])),
        orders: Asked::Answered(walk(vec![])),
        force_orders: Asked::Answered(walk(vec![])),
        income: Asked::Answered(walk(vec![])),
        asked_again: Vec::new(),
        by_type: ByType::default(),
        instruments: Asked::NotAsked,
        book: BookView {
            account: account(),
            positions: vec![],
            openers: BTreeMap::new(),
            orders: BTreeMap::new(),
            looked_up: (BTreeSet::new(), BTreeSet::new()),
            intents: BTreeMap::new(),
            signals: vec![],
            words: Vec::new(),
            restored_signals: BTreeMap::new(),
            unsignalled_openers: vec![],
            has_bot: false,
            known_income: BTreeSet::new(),
            unlisted_income: vec![],
            unlisted_orders: vec![],
            unlisted_force_orders: vec![],
            unlisted_conditional_orders: BTreeMap::new(),
            unfilled: BTreeSet::new(),
            latest_positions: vec![],
            latest_balances: vec![],
            ledger_since: BTreeMap::new(),
            instruments: [symbol("BTCUSDT")].into(),
            steps: BTreeMap::new(),
            settle_assets: BTreeMap::new(),
            unfolded: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            anchors: vec![],
            before_anchors: BTreeMap::new(),
            cursors: vec![],
            coverage: vec![],
            discrepancies: vec![],
            damaged: BTreeMap::new(),
        },
        left_aside: BTreeSet::new(),
        symbols: BTreeMap::new(),
        labels: LabelSources::default(),
        read_before: ReadBefore::default(),
    }
}

/// The exchange has a filled order in two parts; the book has the order and one of the parts.
fn half_known() -> Observation {
    let mut seen = quiet();
    let filled = order("77", OrderStatus::Filled, "0.05");
    let mut known = booked(filled.clone(), "0.02");
    known.order.fact.signal_id = Some(SignalId::new("s-77").unwrap());
    seen.orders = Asked::Answered(walk(vec![filled]));
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    let fills = [fill(1, "77", "0.02"), fill(2, "77", "0.03")];
    let first = Sourced::new(fills[0].clone(), Source::Rest);
    let rows = fills.into_iter().map(|fill| (fill.key.clone(), stated(fill))).collect();
    let window = TimeWindow::new(at(-1_000_000), at(0)).unwrap();
    let close = SymbolObservation {
        fills: Asked::Answered(FillWalk {
            rows,
            window,
            reaches_oldest: false,
            asked_at: at(0),
            continuity: Continuity::Resumed,
        }),
        book_fills: [(first.fact.key.clone(), first)].into(),
        beginning: Beginning::default(),
        positions: Asked::Answered(answer(vec![held("0.05")])),
        conditional_orders: Asked::Answered(walk(vec![])),
        orders: vec![],
    };
    seen.symbols.insert(symbol("BTCUSDT"), close);
    seen
}

/// A book of an account that answers as `mock` expects, and where that expects nothing, as if nothing were on record.
/// Writing to it fails the test, unless `mock` expects it.
fn beside_nothing(mut mock: MockStore) -> Book {
    fn page<T>() -> ledger_store::Page<T> {
        ledger_store::Page { items: Vec::new(), unreadable: Vec::new(), next: None }
    }
    mock.expect_account().returning(|_| Ok(Some(account())));
    mock.expect_instruments().returning(|_| Ok(vec![]));
    mock.expect_symbols().returning(|_| Ok(vec![]));
    mock.expect_income_types().returning(|_| Ok(vec![]));
    mock.expect_orders().returning(|_, _| Ok(page()));
    mock.expect_order().returning(|_, _| Ok(None));
    mock.expect_intents().returning(|_, _| Ok(page()));
    mock.expect_fill().returning(|_, _| Ok(None));
    mock.expect_fill_count().returning(|_| Ok(0));
    mock.expect_fills_without_rows().returning(|_, _| Ok(page()));
    mock.expect_rows_of_trade().returning(|_, _, _| Ok(vec![]));
    mock.expect_rates_without_rows().returning(|_| Ok(vec![]));
    mock.expect_fills().returning(|_, _| Ok(page()));
    mock.expect_fills_in_fold_order().returning(|_, _, _| Ok(page()));
    mock.expect_income().returning(|_, _| Ok(page()));
    mock.expect_signals().returning(|_, _| Ok(page()));
    mock.expect_open_trips().returning(|_| Ok(vec![]));
    mock.expect_trips().returning(|_, _| Ok(page()));
    mock.expect_positions().returning(|_| Ok(vec![]));
    mock.expect_symbol_books().returning(|_| Ok(vec![]));
    mock.expect_pnl_mismatches().returning(|_, _| Ok(page()));
    mock.expect_latest_positions().returning(|_| Ok(vec![]));
    mock.expect_position_snapshots().returning(|_, _| Ok(page()));
    mock.expect_balance_snapshots().returning(|_, _| Ok(page()));
    mock.expect_anchors().returning(|_, _| Ok(page()));
    mock.expect_funding_rates().returning(|_, _| Ok(page()));
    mock.expect_discrepancies().returning(|_, _| Ok(page()));
    mock.expect_runs().returning(|_, _| Ok(page()));
    mock.expect_quarantined().returning(|_| Ok(vec![]));
    mock.expect_coverage().returning(|_| Ok(vec![]));
    mock.expect_reopened().returning(|_| Ok(vec![]));
    mock.expect_check_proofs().returning(|_, _| Ok(ledger_store::ProofCheck::default()));
    mock.expect_cursors().returning(|_| Ok(vec![]));
    mock.expect_hold_look().returning(|_, _| Ok(LookHold::unseen()));
    mock.expect_record_look().returning(|_| Ok(()));
    Arc::new(mock)
}

/// A book that has an account and nothing else. Writing to it fails the test.
fn empty_book() -> Book {
    beside_nothing(MockStore::new())
}

/// An exchange whose account-wide answers are empty, save for the positions.
fn exchange_with(positions: fn() -> Result<Answer<PositionSnapshot>, ExchangeError>) -> MockExchangeReader {
    let mut exchange = MockExchangeReader::new();
    exchange.expect_fetch_balances().times(..=1).returning(|_| Ok(answer(vec![])));
    answering(exchange, positions)
}

fn answering(
    mut exchange: MockExchangeReader,
    positions: fn() -> Result<Answer<PositionSnapshot>, ExchangeError>,
) -> MockExchangeReader {
    exchange.expect_venue().return_const(&VENUE);
    exchange.expect_usage().returning(Usage::default);
    exchange.expect_account_identity().returning(|| Ok(identity()));
    exchange.expect_fetch_position_mode().returning(|| Ok(PositionMode::OneWay));
    exchange.expect_server_time().returning(|| Ok(at(0)));
    exchange.expect_fetch_positions().returning(move |_| positions());
    exchange.expect_fetch_open_orders().times(..=1).returning(|_| Ok(answer(vec![])));
    exchange.expect_fetch_orders().returning(|_, _, _| Ok(page(vec![])));
    exchange.expect_fetch_force_orders().returning(|_, _| Ok(page(vec![])));
    exchange.expect_fetch_income().returning(|_, _| Ok(page(vec![])));
    exchange.expect_fetch_mark_prices().times(..=1).returning(|_| Ok(answer(vec![])));
    exchange
}

fn intent() -> OrderIntent {
    OrderIntent {
        client_order_id: ClientOrderId::new("bot-1").unwrap(),
        symbol: symbol("BTCUSDT"),
        class: OrderClass::Regular,
        side: Side::Buy,
        position_side: Some(PositionSide::Net),
        role: IntentRole::Entry,
        dca_step: 0,
        attempt: 1,
        order_type: Label::new("MARKET").unwrap(),
        qty: Some("0.05".parse().unwrap()),
        price: None,
        trigger_price: None,
        reduce_only: false,
        signal_id: None,
        engine: None,
        created_local: at(0),
        outcome: IntentOutcome::Pending,
    }
}
