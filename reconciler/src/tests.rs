//! The reconciler with both seams mocked: what it asks, what it concludes, what it writes, in which order.

mod checks;
mod deciding;
mod looking;
mod restraint;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use exchange_client::binance_usdm::VENUE;
use exchange_client::{
    AccountIdentity, Answer, Clock, Endpoint, ExchangeError, ManualClock, Method, MockExchangeReader,
    MockExchangeTrader, Page, SendOutcome, Stated, TimeWindow, TransportError, Usage,
};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, Decimal, EventTime, Execution, Fill, FillId, FillKey, IntentOutcome, IntentRole,
    Label, Order, OrderClass, OrderId, OrderIntent, OrderKey, OrderStatus, Outcome, PositionMode, PositionModeSnapshot,
    PositionSide, PositionSnapshot, Side, Source, Sourced, Symbol, TimestampMs,
};
use ledger_store::{
    Account, BookOrder, CommitReport, MockAccountRepository, MockFillRepository, MockIncomeRepository,
    MockInstrumentRepository, MockIntentRepository, MockLedgerWriter, MockOrderRepository, MockPositionRepository,
    MockRunRepository, MockSignalRepository, MockSnapshotRepository, MockSyncRepository, MockTripRepository,
    PendingRefold, RefoldReport, RunId,
};
use mockall::Sequence;

use crate::observation::{BookView, ClockReading, Continuity, FillWalk, Observation, SymbolObservation, Walk};
use crate::{
    Book, CheckName, DiscrepancyKind, LabelSources, ObserveOptions, Outlook, Plan, Policy, ReconcileError, Recorder,
    Verdict, apply, verify,
};

const NOW_MS: i64 = 1_780_000_000_000;

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + ms).unwrap()
}

/// With the default policy, as of now.
fn plan(seen: &Observation) -> Plan {
    crate::plan(seen, &Policy::default(), at(0)).unwrap()
}

/// With the default policy and an exact clock.
async fn observe(
    exchange: &MockExchangeReader,
    book: &Book,
    options: &ObserveOptions,
) -> Result<Observation, ReconcileError> {
    let clock = ManualClock::new(at(0));
    crate::observe(exchange, book, &clock, &account_id(), options, &Policy::default()).await
}

fn account_id() -> AccountId {
    AccountId::new("main").unwrap()
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn lost() -> ExchangeError {
    let endpoint = Endpoint::new(Method::Get, "/fapi/v3/positionRisk", None);
    ExchangeError::AnswerLost { endpoint, source: TransportError::Lost("connection reset".into()) }
}

fn stated<T>(entity: T) -> Stated<T> {
    Stated { entity, payload: "{}".into() }
}

fn answer<T>(entities: Vec<T>) -> Answer<T> {
    Answer { rows: entities.into_iter().map(stated).collect(), asked_at: at(0), refused: Vec::new() }
}

fn walk<T>(entities: Vec<T>) -> Walk<T> {
    let window = TimeWindow::new(at(-1_000_000), at(0)).unwrap();
    Walk { rows: entities.into_iter().map(stated).collect(), window, asked_at: at(0), continuity: Continuity::Resumed }
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

fn booked(order: Order, filled: &str) -> BookOrder {
    let filled: Decimal = filled.parse().unwrap();
    let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
    let residual = executed.checked_sub(filled).unwrap();
    BookOrder {
        order: Sourced::new(order, Source::Rest),
        filled_qty: Some(filled),
        filled_quote: None,
        residual_qty: (!residual.is_zero()).then_some(residual),
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
fn quiet() -> Observation {
    Observation {
        venue: &VENUE,
        scope: BTreeSet::new(),
        identity: identity(),
        asked_at: at(0),
        clock: ClockReading::default(),
        position_mode: Ok(PositionMode::OneWay),
        positions: Ok(answer(vec![])),
        open_orders: Ok(answer(vec![])),
        balances: Ok(answer(vec![])),
        mark_prices: Ok(answer(vec![])),
        orders: Ok(walk(vec![])),
        force_orders: Ok(walk(vec![])),
        income: Ok(walk(vec![])),
        instruments: None,
        book: BookView {
            account: account(),
            positions: vec![],
            openers: BTreeMap::new(),
            orders: BTreeMap::new(),
            looked_up: (BTreeSet::new(), BTreeSet::new()),
            intents: BTreeMap::new(),
            signals: vec![],
            has_bot: false,
            known_income: BTreeSet::new(),
            unfilled: BTreeSet::new(),
            latest_positions: vec![],
            latest_balances: vec![],
            instruments: [symbol("BTCUSDT")].into(),
            steps: BTreeMap::new(),
            unfolded: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            anchors: vec![],
            before_anchors: BTreeMap::new(),
            cursors: vec![],
            coverage: vec![],
            discrepancies: vec![],
        },
        symbols: BTreeMap::new(),
        labels: LabelSources::default(),
    }
}

/// The exchange has a filled order in two parts; the book has the order and one of the parts.
fn half_known() -> Observation {
    let mut seen = quiet();
    let filled = order("77", OrderStatus::Filled, "0.05");
    let known = booked(filled.clone(), "0.02");
    seen.orders = Ok(walk(vec![filled]));
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    let fills = [fill(1, "77", "0.02"), fill(2, "77", "0.03")];
    let first = Sourced::new(fills[0].clone(), Source::Rest);
    let rows = fills.into_iter().map(|fill| (fill.key.clone(), stated(fill))).collect();
    let window = TimeWindow::new(at(-1_000_000), at(0)).unwrap();
    let close = SymbolObservation {
        fills: Ok(FillWalk { rows, window, reaches_oldest: false, asked_at: at(0), continuity: Continuity::Resumed }),
        book_fills: [(first.fact.key.clone(), first)].into(),
        positions: Ok(answer(vec![held("0.05")])),
        conditional_orders: Some(Ok(walk(vec![]))),
        orders: vec![],
    };
    seen.symbols.insert(symbol("BTCUSDT"), close);
    seen
}

#[test]
fn a_book_that_agrees_needs_nothing() {
    let plan = plan(&quiet());
    assert_eq!(plan.findings().count(), 0);
    assert!(!plan.records_facts(), "{plan:#?}");
}

#[test]
fn only_the_missing_fill_is_planned() {
    let plan = plan(&half_known());
    let btc = &plan.symbols[&symbol("BTCUSDT")];
    let planned: Vec<_> = btc.statements.iter().map(|statement| &statement.fact).collect();
    assert_eq!(planned, [&AnyFact::Fill(fill(2, "77", "0.03"))]);
    let found: Vec<_> = btc.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(found, [DiscrepancyKind::MissingFills, DiscrepancyKind::PositionMismatch]);
    assert_eq!(
        btc.findings[0].evidence,
        "order 77 (BUY 0.05 BTCUSDT): the book has fills for 0.02 of 0.05 executed; the exchange has 1 fill for 0.03 that the book lacks: trade 2"
    );
    assert_eq!(btc.findings[1].evidence, "BTCUSDT: the exchange holds 0.05, the book 0");
    assert_eq!(btc.repairs.len(), 1);
    // Covered up to the settle lag before the question, no further.
    assert_eq!(btc.coverage[0].until, at(-VENUE.settle_lag_ms));
    assert_eq!(btc.cursors[0].position, (NOW_MS - VENUE.settle_lag_ms).to_string());
}

#[test]
fn a_sum_that_the_book_lacks_is_not_taken_for_zero() {
    let mut seen = half_known();
    seen.book.orders.values_mut().for_each(|known| known.filled_qty = None);
    let plan = plan(&seen);
    let btc = &plan.symbols[&symbol("BTCUSDT")];
    assert!(btc.findings[0].evidence.contains("fills for an unknown quantity of 0.05"), "{}", btc.findings[0].evidence);
    assert_eq!((&btc.repairs[0].before_json, &btc.repairs[0].after_json), (&None, &None));
}

#[test]
fn every_finding_has_its_evidence_in_one_line() {
    let mut seen = half_known();
    seen.open_orders = Ok(answer(vec![order("78", OrderStatus::New, "0")]));
    seen.balances = Err(lost());
    let behind = order("79", OrderStatus::Canceled, "0");
    let known = booked(order("79", OrderStatus::New, "0"), "0");
    seen.book.orders.insert(behind.key.clone(), known);
    seen.orders = Ok(walk(vec![order("77", OrderStatus::Filled, "0.05"), behind]));
    let plan = plan(&seen);
    let kinds: BTreeSet<_> = plan.findings().map(|finding| finding.kind).collect();
    let expected = [
        DiscrepancyKind::MissingFills,
        DiscrepancyKind::UnknownOrder,
        DiscrepancyKind::OrderBehind,
        DiscrepancyKind::PositionMismatch,
        DiscrepancyKind::QueryFailed,
    ];
    assert_eq!(kinds, expected.into());
    for finding in plan.findings() {
        assert!(!finding.evidence.is_empty() && !finding.evidence.contains('\n'), "{finding:?}");
        assert!(!finding.fingerprint().is_empty());
    }
    // The same observation gives the same plan.
    assert_eq!(crate::plan(&seen, &Policy::default(), at(0)).unwrap(), plan);
}

#[test]
fn nothing_is_planned_from_a_failed_query() {
    // The book holds a position and an open order; the exchange does not answer anything.
    let mut seen = half_known();
    let known = booked(order("80", OrderStatus::New, "0"), "0");
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    seen.positions = Err(lost());
    seen.open_orders = Err(lost());
    seen.orders = Err(lost());
    seen.force_orders = Err(lost());
    seen.income = Err(lost());
    seen.balances = Err(lost());
    seen.mark_prices = Err(lost());
    let close = seen.symbols.get_mut(&symbol("BTCUSDT")).unwrap();
    close.positions = Err(lost());
    close.conditional_orders = Some(Err(lost()));
    close.fills = Err(lost());
    let plan = plan(&seen);
    assert!(!plan.records_facts(), "{plan:#?}");
    assert!(
        plan.findings()
            .all(|finding| finding.kind == DiscrepancyKind::QueryFailed && finding.outlook == Outlook::Waits)
    );
    assert_eq!(plan.findings().count(), 10);
    assert!(plan.account_cursors.is_empty() && plan.account_coverage.is_empty());
    assert!(plan.symbols.values().all(|symbol| symbol.cursors.is_empty() && symbol.coverage.is_empty()));
}

#[test]
fn out_of_scope_stays_as_it_is_and_no_stream_moves_on() {
    let mut seen = half_known();
    seen.scope = [symbol("ETHUSDT")].into();
    seen.open_orders = Ok(answer(vec![order("78", OrderStatus::New, "0")]));
    let plan = plan(&seen);
    assert!(plan.findings().all(|finding| finding.kind != DiscrepancyKind::UnknownOrder));
    assert!(plan.account_cursors.iter().all(|cursor| cursor.stream != "orders"));
}

#[tokio::test]
async fn a_later_beginning_does_not_move_the_cursors() {
    let cursor = |stream: &str| ledger_store::SyncCursor {
        stream: stream.into(),
        symbol: None,
        position: at(-50_000_000).as_ms().to_string(),
    };
    for (since, moved) in [(None, 3), (Some(at(-60_000_000)), 2), (Some(at(-1_000)), 0)] {
        let mut mocks = Mocks::empty();
        mocks.sync = MockSyncRepository::new();
        mocks.sync.expect_coverage().returning(|_| Ok(vec![]));
        mocks.sync.expect_cursors().returning(move |_| Ok(vec![cursor("orders"), cursor("income")]));
        let exchange = exchange_with(|| Ok(answer(vec![])));
        let options = ObserveOptions { since, ..ObserveOptions::default() };
        let seen = observe(&exchange, &mocks.book(), &options).await.unwrap();
        let plan = plan(&seen);
        assert_eq!(plan.account_cursors.len(), moved, "{since:?}");
        let window = seen.orders.unwrap().window;
        // Without being told, it begins some time before where the last walk ended.
        assert!(since.map_or(window.since() < at(-50_000_000), |since| window.since() == since));
    }
}

struct Mocks {
    writer: MockLedgerWriter,
    accounts: MockAccountRepository,
    instruments: MockInstrumentRepository,
    orders: MockOrderRepository,
    intents: MockIntentRepository,
    fills: MockFillRepository,
    income: MockIncomeRepository,
    signals: MockSignalRepository,
    trips: MockTripRepository,
    positions: MockPositionRepository,
    snapshots: MockSnapshotRepository,
    runs: MockRunRepository,
    sync: MockSyncRepository,
}

impl Mocks {
    /// A book of which nothing is expected.
    fn none() -> Self {
        Self {
            writer: MockLedgerWriter::new(),
            accounts: MockAccountRepository::new(),
            instruments: MockInstrumentRepository::new(),
            orders: MockOrderRepository::new(),
            intents: MockIntentRepository::new(),
            fills: MockFillRepository::new(),
            income: MockIncomeRepository::new(),
            signals: MockSignalRepository::new(),
            trips: MockTripRepository::new(),
            positions: MockPositionRepository::new(),
            snapshots: MockSnapshotRepository::new(),
            runs: MockRunRepository::new(),
            sync: MockSyncRepository::new(),
        }
    }

    /// A book that has an account and nothing else. Writing to it fails the test.
    fn empty() -> Self {
        fn page<T>() -> ledger_store::Page<T> {
            ledger_store::Page { items: Vec::new(), next: None }
        }
        let mut mocks = Self::none();
        mocks.accounts.expect_account().returning(|_| Ok(Some(account())));
        mocks.instruments.expect_instruments().returning(|_| Ok(vec![]));
        mocks.instruments.expect_symbols().returning(|_| Ok(vec![]));
        mocks.orders.expect_orders().returning(|_, _| Ok(page()));
        mocks.orders.expect_order().returning(|_, _| Ok(None));
        mocks.intents.expect_intents().returning(|_, _| Ok(page()));
        mocks.fills.expect_fill().returning(|_, _| Ok(None));
        mocks.fills.expect_fills().returning(|_, _| Ok(page()));
        mocks.fills.expect_fills_in_fold_order().returning(|_, _, _| Ok(page()));
        mocks.income.expect_income().returning(|_, _| Ok(page()));
        mocks.signals.expect_signals().returning(|_, _| Ok(page()));
        mocks.trips.expect_open_trips().returning(|_| Ok(vec![]));
        mocks.trips.expect_trips().returning(|_, _| Ok(page()));
        mocks.positions.expect_positions().returning(|_| Ok(vec![]));
        mocks.positions.expect_symbol_books().returning(|_| Ok(vec![]));
        mocks.positions.expect_pnl_mismatches().returning(|_, _| Ok(page()));
        mocks.snapshots.expect_latest_positions().returning(|_| Ok(vec![]));
        mocks.snapshots.expect_balance_snapshots().returning(|_, _| Ok(page()));
        mocks.snapshots.expect_anchors().returning(|_, _| Ok(page()));
        mocks.runs.expect_discrepancies().returning(|_, _| Ok(page()));
        mocks.runs.expect_quarantined().returning(|_| Ok(vec![]));
        mocks.sync.expect_coverage().returning(|_| Ok(vec![]));
        mocks.sync.expect_cursors().returning(|_| Ok(vec![]));
        mocks
    }

    fn book(self) -> Book {
        Book {
            writer: Arc::new(self.writer),
            accounts: Arc::new(self.accounts),
            instruments: Arc::new(self.instruments),
            orders: Arc::new(self.orders),
            intents: Arc::new(self.intents),
            fills: Arc::new(self.fills),
            income: Arc::new(self.income),
            signals: Arc::new(self.signals),
            trips: Arc::new(self.trips),
            positions: Arc::new(self.positions),
            snapshots: Arc::new(self.snapshots),
            runs: Arc::new(self.runs),
            sync: Arc::new(self.sync),
        }
    }
}

/// An exchange whose account-wide answers are empty, save for the positions.
fn exchange_with(positions: fn() -> Result<Answer<PositionSnapshot>, ExchangeError>) -> MockExchangeReader {
    let mut exchange = MockExchangeReader::new();
    exchange.expect_fetch_balances().times(..=1).returning(|| Ok(answer(vec![])));
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
    exchange.expect_fetch_orders().returning(|_, _, _| Ok(Page { rows: vec![], asked_at: at(0), next: None }));
    exchange.expect_fetch_force_orders().returning(|_, _| Ok(Page { rows: vec![], asked_at: at(0), next: None }));
    exchange.expect_fetch_income().returning(|_| Ok(Page { rows: vec![], asked_at: at(0), next: None }));
    exchange.expect_fetch_mark_prices().times(..=1).returning(|_| Ok(answer(vec![])));
    exchange
}

#[tokio::test]
async fn a_failed_query_is_kept_as_an_error() {
    let exchange = exchange_with(|| Err(lost()));
    let book = Mocks::empty().book();
    let seen = observe(&exchange, &book, &ObserveOptions::default()).await.unwrap();
    assert!(seen.positions.is_err());
    assert!(seen.open_orders.is_ok() && seen.orders.is_ok() && seen.income.is_ok() && seen.balances.is_ok());
    assert_eq!(seen.failed_queries().len(), 1);
    assert_eq!(seen.exchange_qty(&symbol("BTCUSDT"), PositionSide::Net), None);
}

#[tokio::test]
async fn only_suspect_symbols_are_looked_at_closely() {
    // Nothing differs: no question about any symbol (the mock would fail the test).
    let exchange = exchange_with(|| Ok(answer(vec![])));
    let seen = observe(&exchange, &Mocks::empty().book(), &ObserveOptions::default()).await.unwrap();
    assert!(seen.symbols.is_empty() && seen.instruments.is_none());
    // The exchange holds something that the book does not: fills, positions, fills again, of this symbol only.
    let mut exchange = exchange_with(|| Ok(answer(vec![held("0.05")])));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    exchange.expect_fetch_my_trades().returning(move |symbol, query| {
        log.lock().unwrap().push((symbol, format!("{query:?}")));
        Ok(Page { rows: vec![stated(fill(5, "77", "0.05"))], asked_at: at(0), next: None })
    });
    exchange.expect_fetch_order().times(1).returning(|_, _| Ok(Some(stated(order("77", OrderStatus::Filled, "0.05")))));
    exchange.expect_fetch_instruments().times(1).returning(|| Ok(answer(vec![])));
    let seen = observe(&exchange, &Mocks::empty().book(), &ObserveOptions::default()).await.unwrap();
    assert_eq!(seen.symbols.keys().collect::<Vec<_>>(), [&symbol("BTCUSDT")]);
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|(asked, _)| *asked == symbol("BTCUSDT")));
    assert!(asked[0].1.starts_with("Window") && asked[1].1 == "FromId(\"6\")", "{asked:?}");
}

#[tokio::test]
async fn a_check_without_an_answer_is_not_checkable() {
    let mut seen = quiet();
    seen.positions = Err(lost());
    seen.income = Err(lost());
    let verification = verify(&seen, &Mocks::empty().book(), &account_id()).await.unwrap();
    for name in [CheckName::Quantity, CheckName::AverageEntry, CheckName::IncomeHasFills] {
        let check = verification.checks.iter().find(|check| check.name == name).unwrap();
        assert!(matches!(check.verdict, Verdict::NotCheckable { .. }), "{check:?}");
    }
    let seen = Observation { positions: Ok(answer(vec![held("0.05")])), ..quiet() };
    let verification = verify(&seen, &Mocks::empty().book(), &account_id()).await.unwrap();
    assert!(!verification.is_clean());
    assert!(verification.mismatched_positions.contains(&(symbol("BTCUSDT"), PositionSide::Net)));
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

/// A recorder that notes what it writes, and a trader that notes when it sends and answers with `outcome`.
fn stage(
    outcome: fn() -> SendOutcome<Stated<Order>>,
    sent: usize,
) -> (Recorder, MockExchangeTrader, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut mocks = Mocks::none();
    let written = Arc::clone(&log);
    mocks.writer.expect_commit().returning(move |batch| {
        let mut log = written.lock().unwrap();
        for statement in &batch.statements {
            log.push(match &statement.fact {
                AnyFact::Intent(intent) => format!("intent {}", intent.outcome),
                fact => fact.kind().to_string(),
            });
        }
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    let mut trader = MockExchangeTrader::new();
    let sending = Arc::clone(&log);
    trader.expect_create_order().times(sent).returning(move |order| {
        assert_eq!(order.client_order_id.as_str(), "bot-1");
        sending.lock().unwrap().push("sent".into());
        outcome()
    });
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    (Recorder::new(mocks.book(), account_id(), clock), trader, log)
}

#[tokio::test]
async fn an_order_is_written_down_before_it_is_sent() {
    let done = || SendOutcome::Done(stated(order("77", OrderStatus::Filled, "0.05")));
    let (recorder, trader, log) = stage(done, 1);
    let outcome = recorder.send(&trader, &intent()).await.unwrap().unwrap();
    assert!(matches!(outcome, SendOutcome::Done(_)));
    // The exchange's words, the bot's labels, and that the intent is settled; no fill is made of the answer.
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "order", "order", "intent accepted"]);
}

#[tokio::test]
async fn an_unknown_outcome_is_recorded_as_unknown() {
    let (recorder, trader, log) = stage(|| SendOutcome::Unknown(lost()), 1);
    assert!(matches!(recorder.send(&trader, &intent()).await.unwrap(), Some(SendOutcome::Unknown(_))));
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "intent unknown"]);
    let (recorder, trader, log) = stage(|| SendOutcome::Rejected(lost()), 1);
    assert!(matches!(recorder.send(&trader, &intent()).await.unwrap(), Some(SendOutcome::Rejected(_))));
    assert_eq!(*log.lock().unwrap(), ["intent pending", "sent", "intent rejected"]);
    // What cannot be sent is not even written down.
    let (recorder, trader, log) = stage(|| SendOutcome::Unknown(lost()), 0);
    let conditional = OrderIntent { class: OrderClass::Conditional, ..intent() };
    assert!(recorder.send(&trader, &conditional).await.unwrap().is_none());
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cancel_without_a_time_is_the_orders_state_only() {
    let (recorder, _, log) = stage(|| SendOutcome::Unknown(lost()), 0);
    let cancelled = order("77", OrderStatus::Canceled, "0");
    recorder.cancel(&stated(cancelled.clone()), None).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["order", "cancel"]);
    log.lock().unwrap().clear();
    recorder.cancel(&stated(Order { updated: None, ..cancelled }), None).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["order"]);
}

#[tokio::test]
async fn a_contract_is_learned_when_it_is_first_needed() {
    let mut mocks = Mocks::none();
    mocks.instruments.expect_instrument().times(1).returning(|_, _| Ok(None));
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&kinds);
    mocks.writer.expect_commit().returning(move |batch| {
        log.lock().unwrap().push(batch.statements.iter().map(|fact| fact.fact.kind().to_string()).collect::<Vec<_>>());
        let outcomes = batch.statements.iter().map(|_| Outcome::Recorded).collect();
        Ok(CommitReport { outcomes, ..CommitReport::default() })
    });
    let mut exchange = MockExchangeReader::new();
    let contract = |name: &str| {
        stated(ledger_core::Instrument::linear(symbol(name), ledger_core::Asset::new("USDT").unwrap()).unwrap())
    };
    let listed = move || Answer { rows: vec![contract("BTCUSDT"), contract("ETHUSDT")], ..answer(vec![]) };
    exchange.expect_fetch_instruments().times(1).returning(move || Ok(listed()));
    let clock = Arc::new(ManualClock::new(at(0))) as Arc<dyn Clock>;
    let recorder = Recorder::new(mocks.book(), account_id(), clock).learning_contracts(Arc::new(exchange));
    for id in [1, 2] {
        let report = recorder.fills(&[stated(fill(id, "77", "0.01"))]).await.unwrap();
        assert_eq!(report.outcomes, [Outcome::Recorded], "only what was asked for is answered");
    }
    assert_eq!(*kinds.lock().unwrap(), [vec!["instrument", "fill"], vec!["fill"]]);
}

#[tokio::test]
async fn nothing_is_left_out_of_date() {
    let mut mocks = Mocks::none();
    let mut order = Sequence::new();
    mocks.writer.expect_commit().times(1).in_sequence(&mut order).returning(|_| Ok(CommitReport::default()));
    let pending =
        |account: &str, name: &str| PendingRefold { account: AccountId::new(account).unwrap(), symbol: symbol(name) };
    mocks.writer.expect_pending_refolds().times(1).in_sequence(&mut order).returning(move || {
        Ok(vec![pending("main", "BTCUSDT"), pending("other", "BTCUSDT"), pending("main", "ETHUSDT")])
    });
    for name in ["BTCUSDT", "ETHUSDT"] {
        let refold = mocks.writer.expect_refold().times(1).in_sequence(&mut order);
        refold.withf(move |account, refolded| *account == account_id() && *refolded == symbol(name)).returning(
            |_, symbol| {
                let symbol = symbol.clone();
                Ok(RefoldReport { account: account_id(), symbol, fills: 0, quarantined: None })
            },
        );
    }
    let mode = PositionModeSnapshot { at: at(0), mode: PositionMode::Hedge };
    let plan = Plan { position_mode: Some(mode), ..Plan::default() };
    apply(&plan, &mocks.book(), &account_id(), RunId(1), at(0)).await.unwrap();
}
