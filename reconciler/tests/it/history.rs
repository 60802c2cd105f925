//! A first look at an account with months behind it: read and recorded piece by piece.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::{Clock, ExchangeTrader, NewOrder, Request, Response, Transport, TransportError};
use ledger_core::{
    AccountId, AnyFact, Asset, ClientOrderId, EventTime, Fill, Instrument, PositionSide, Side, Source, Statement,
    Symbol, TimePrecision, TimestampMs,
};
use ledger_store::{
    FactReader, FillFilter, Journal, OrderFilter, PageRequest, RunStatus, Scope, SqliteStore, SyncCursor,
};
use reconciler::{CycleReport, DiscrepancyKind, Policy, Reconciler};

use crate::gates::{End, Gate, GatedTransport};
use crate::restart::{assert_same, logical, repairs};
use crate::support::{Fixture, assert_all_pass, for_months, kinds};

const CONTRACTS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ETHUSDC"];

/// Two months of a bot's trades, of which the book has nothing: entries and exits of several contracts, one after the
/// other and overlapping, a close by hand, and something that is open in the end.
async fn two_months(seed: u64) -> Fixture {
    let fixture = Fixture::in_process(for_months(seed)).await;
    for number in 0..24_usize {
        fixture.simulator.step(Duration::from_hours(60));
        let name = Symbol::new(CONTRACTS[number % 4]).unwrap();
        let opens = (number / 4).is_multiple_of(2);
        if number == 13 {
            fixture.simulator.close_from_app("sim-main", &name, PositionSide::Net).unwrap();
            continue;
        }
        let (side, role) = if opens { (Side::Buy, "e") } else { (Side::Sell, "x") };
        let qty = if name.as_str() == "BTCUSDT" { "0.02" } else { "1" };
        let mut intent = fixture.intent(number, &name, side, qty, None, None);
        intent.client_order_id = ClientOrderId::new(format!("fb:swing:{role}:{number}")).unwrap();
        assert!(fixture.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().is_some());
    }
    fixture.simulator.step(Duration::from_hours(30));
    fixture
}

/// Pieces of so many rows.
fn in_pieces(mut reconciler: Reconciler, history_rows_max: usize) -> Reconciler {
    reconciler.config.policy.history_rows_max = history_rows_max;
    reconciler
}

/// One look at everything.
fn at_once(mut reconciler: Reconciler) -> Reconciler {
    reconciler.config.policy.history_after_ms = 400 * 86_400_000;
    reconciler
}

async fn settled(fixture: &Fixture, reconciler: &Reconciler) -> CycleReport {
    let report = reconciler.sync().await.unwrap();
    assert_all_pass(&report);
    assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
    fixture.assert_book_equals_exchange().await;
    report
}

#[tokio::test]
async fn history_that_is_caught_up_with_is_journaled_like_any_other() {
    let fixture = two_months(71).await;
    let whole = fixture.with_empty_book().await;
    let one_look = settled(&whole, &at_once(whole.reconciler())).await;
    assert_eq!((one_look.history.pieces, one_look.history.span), (0, None));
    for rows in [1, 40, 5_000] {
        let pieces = fixture.with_empty_book().await;
        let report = settled(&pieces, &in_pieces(pieces.reconciler(), rows)).await;
        let (history, most) = (&report.history, if rows == 5_000 { 1 } else { 100 });
        assert!(history.pieces >= 1 && history.pieces <= most && (rows != 1 || history.pieces > 7), "{history:?}");
        assert!(
            history.finding_count > 30 && history.repair_count > 25,
            "{} {}",
            history.finding_count,
            history.repair_count
        );
        assert_same(&logical(&pieces).await, &logical(&whole).await, &format!("{rows} rows"));
        // Every order, fill and signal has its finding and its repair, as in one look.
        let count = |report: &CycleReport, kind| kinds(report).get(&kind).copied();
        for kind in [DiscrepancyKind::UnknownOrder, DiscrepancyKind::MissingFills] {
            assert_eq!(count(&report, kind), count(&one_look, kind), "{rows} {kind}");
        }
        let of_kind = |repairs: Vec<String>, kind: &str| -> Vec<String> {
            repairs.into_iter().filter(|repair| repair.starts_with(kind)).collect()
        };
        for kind in ["restore_order", "restore_fills", "restore_signal"] {
            let (found, known) = (of_kind(repairs(&pieces).await, kind), of_kind(repairs(&whole).await, kind));
            assert!(!known.is_empty(), "{kind}");
            assert_eq!(found, known, "{rows}");
        }
        // All of it is complete by now, as one look would say.
        let coverage = pieces.store.coverage(&pieces.account).await.unwrap();
        for stream in ["orders", "income", "fills"] {
            let spans: Vec<_> = coverage.iter().filter(|span| span.stream == stream && span.symbol.is_none()).collect();
            assert_eq!(spans.len(), 1, "{stream}: {spans:#?}");
        }
        fixture.simulator.step(Duration::from_secs(20));
        // It is read once more, and then no more.
        let again = pieces.reconciler().sync().await.unwrap();
        assert!(again.history.pieces >= 1 && again.findings.is_empty() && again.counts.recorded == 0, "{again:#?}");
        fixture.simulator.step(Duration::from_secs(20));
        let warm = pieces.reconciler().sync().await.unwrap();
        assert_eq!((warm.history.pieces, warm.findings.as_slice()), (0, &[][..]));
    }
}

/// Reads what it can, and what comes next goes on from there.
#[tokio::test(start_paused = true)]
async fn a_first_sync_goes_on_where_it_was_stopped() {
    let fixture = two_months(72).await;
    let whole = fixture.with_empty_book().await;
    let rows = 12;
    let report = settled(&whole, &in_pieces(whole.reconciler(), rows)).await;
    let (expected, requests) = (logical(&whole).await, usize::try_from(report.requests).unwrap());
    let pieces = report.history.pieces;
    assert!(pieces >= 8, "{pieces}");
    // What one piece may cost, and what the look at the present and finding out where to go on costs again.
    let again_max = 2 * requests / pieces + 12;
    for (stop, end) in (20..requests).step_by(17).zip([End::Fails, End::Drops].into_iter().cycle()) {
        let what = format!("{end:?} at {stop} of {requests}");
        let stopped = fixture.with_empty_book().await;
        let gate = Gate::new(stop, end);
        let mut reconciler = in_pieces(stopped.reconciler(), rows);
        let transport = GatedTransport(Arc::clone(&stopped.transport), Arc::clone(&gate));
        reconciler.exchange = Arc::new(stopped.adapter_over(transport));
        tokio::select! {
            biased;
            () = gate.stuck() => {}
            ended = reconciler.sync() => drop(ended),
        }
        assert!(gate.was_hit(), "{what}");
        let cursors = stopped.store.cursors(&stopped.account).await.unwrap();
        assert!(stop < 40 || !cursors.is_empty(), "{what}: nothing was kept");
        let next = in_pieces(stopped.reconciler(), rows).sync().await.unwrap();
        let asked = usize::try_from(next.requests).unwrap();
        // Where history was read to its end, it is read once more.
        let edge = stopped.clock.now().saturating_add_ms(-Policy::default().history_after_ms).as_ms();
        let is_read = ["orders", "income"].iter().all(|stream| {
            let cursor = cursors.iter().find(|cursor| cursor.stream == *stream && cursor.symbol.is_none());
            cursor.is_some_and(|cursor| cursor.position.parse::<i64>().unwrap() >= edge)
        });
        let most = if is_read { requests + again_max } else { requests + again_max - stop };
        assert!(asked <= most, "{what}: {asked} after it, {again_max} may be asked again");
        assert_same(&logical(&stopped).await, &expected, &what);
        stopped.assert_book_equals_exchange().await;
        let runs = stopped.store.runs(&stopped.account.clone().into(), PageRequest::newest(1)).await.unwrap();
        assert_eq!(runs.items[0].status, RunStatus::Done, "{what}");
    }
}

/// Counts the rows that came in since a piece was recorded, which moves the ledger's cursor.
#[derive(Debug, Default)]
struct Meter {
    ends_at: Mutex<Option<SyncCursor>>,
    held: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

struct MeteredTransport {
    transport: Arc<dyn Transport>,
    store: Arc<SqliteStore>,
    account: AccountId,
    meter: Arc<Meter>,
}

#[async_trait]
impl Transport for MeteredTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let Self { transport, store, account, meter } = self;
        let recorded = store.cursors(account).await.unwrap().into_iter().find(|cursor| cursor.stream == "income");
        if std::mem::replace(&mut *meter.ends_at.lock().unwrap(), recorded.clone()) != recorded {
            meter.held.store(0, Ordering::SeqCst);
        }
        let lists = ["allOrders", "userTrades", "income"];
        let is_list = lists.iter().any(|list| request.path.ends_with(list));
        let response = transport.send(request).await?;
        if is_list && let Ok(serde_json::Value::Array(rows)) = serde_json::from_slice(&response.body) {
            meter.total.fetch_add(rows.len(), Ordering::SeqCst);
            let held = meter.held.fetch_add(rows.len(), Ordering::SeqCst) + rows.len();
            meter.most.fetch_max(held, Ordering::SeqCst);
        }
        Ok(response)
    }
}

#[tokio::test]
async fn a_first_sync_holds_one_piece_of_history_at_a_time() {
    let fixture = two_months(73).await;
    let run = async |rows: usize| {
        let fresh = fixture.with_empty_book().await;
        let meter = Arc::new(Meter::default());
        let mut reconciler = in_pieces(fresh.reconciler(), rows);
        reconciler.exchange = Arc::new(fresh.adapter_over(MeteredTransport {
            transport: Arc::clone(&fresh.transport),
            store: Arc::clone(&fresh.store),
            account: fresh.account.clone(),
            meter: Arc::clone(&meter),
        }));
        settled(&fresh, &reconciler).await;
        (meter.most.load(Ordering::SeqCst), meter.total.load(Ordering::SeqCst))
    };
    let (one, total) = run(100_000).await;
    let (most, _) = run(20).await;
    // One piece: what a week has of each list, and the fills of that.
    assert!(one > 150 && total > 200, "{one} {total}");
    assert!(most * 3 < one, "{most} rows were held at once, {one} in one piece");
}

/// A contract that does not answer in its turn is asked again later; what it lacks is not passed over.
#[tokio::test]
async fn a_contract_that_does_not_answer_in_its_turn_is_caught_up_with_later() {
    let fixture = two_months(74).await;
    let fresh = fixture.with_empty_book().await;
    let mut reconciler = in_pieces(fresh.reconciler(), 20);
    let transport = NoTrades(Arc::clone(&fresh.transport));
    reconciler.exchange = Arc::new(fresh.adapter_over(transport));
    let report = reconciler.sync().await.unwrap();
    assert!(report.history.pieces > 3);
    let failed = report.left.iter().find(|known| known.entry.key.kind == DiscrepancyKind::QueryFailed.as_str());
    assert_eq!(failed.unwrap().entry.symbol.as_ref().unwrap().as_str(), "SOLUSDT", "{:#?}", report.left);
    assert!(report.leaves_discrepancies());
    let fills = |name: &str| {
        let scope = Scope::symbol(fresh.account.clone(), Symbol::new(name).unwrap());
        let store = Arc::clone(&fresh.store);
        async move { store.fill_count(&FillFilter::from(scope)).await.unwrap() }
    };
    assert_eq!(fills("SOLUSDT").await, 0);
    assert!(fills("BTCUSDT").await >= 6 && fills("ETHUSDT").await >= 6);
    settled(&fresh, &fresh.reconciler()).await;
    let standard = Policy { by_type_requests_max: 0, ..Policy::default() };
    assert_eq!(fresh.reconciler().config.policy, standard);
}

/// Answers errors for one contract's trades.
struct NoTrades(Arc<dyn Transport>);

#[async_trait]
impl Transport for NoTrades {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("userTrades") && request.query.contains("SOLUSDT") {
            let body = bytes::Bytes::from_static(br#"{"code":-1008,"msg":"Server is currently overloaded."}"#);
            return Ok(Response { status: 503, headers: Vec::new(), body });
        }
        self.0.send(request).await
    }
}

/// Time goes on with every question.
struct Ticking(Fixture);

#[async_trait]
impl Transport for Ticking {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.0.simulator.step(Duration::from_millis(150));
        self.0.transport.send(request).await
    }
}

#[tokio::test]
async fn catching_up_ends_though_time_goes_on() {
    let fixture = two_months(75).await;
    let fresh = fixture.with_empty_book().await;
    let mut reconciler = in_pieces(fresh.reconciler(), 20);
    let exchange = fresh.adapter_over(Ticking(fixture));
    reconciler.exchange = Arc::new(exchange);
    let report = tokio::time::timeout(Duration::from_mins(1), settled(&fresh, &reconciler)).await.unwrap();
    assert!(report.history.pieces > 3 && report.history.pieces < 40, "{}", report.history.pieces);
}

async fn fills_of(fixture: &Fixture) -> Vec<Fill> {
    let filter = FillFilter::from(Scope::account(fixture.account.clone()));
    let page = fixture.store.fills(&filter, PageRequest::first(1_000)).await.unwrap();
    assert!(page.next.is_none());
    page.items.into_iter().map(|fill| fill.fact).collect()
}

/// What an export tells of a fill: the second, and not its position.
fn exported(fill: &Fill) -> Statement {
    let at = TimestampMs::new(fill.time.at.as_ms() / 1_000 * 1_000).unwrap();
    let time = EventTime { at, precision: TimePrecision::Second };
    let fact = AnyFact::Fill(Fill { time, position_side: None, sequence: None, ..fill.clone() });
    Statement { fact, source: Source::ExchangeCsv, payload: None }
}

/// Orders and fills of an export lack nothing, so nothing there asks for them; what the export does not reach makes the
/// contract's cursor move past them.
#[tokio::test]
async fn what_an_export_told_of_the_history_is_made_exact() {
    let fixture = two_months(76).await;
    let whole = fixture.with_empty_book().await;
    settled(&whole, &whole.reconciler()).await;
    let exact = fills_of(&whole).await;
    let orders = OrderFilter::from(Scope::account(whole.account.clone()));
    let orders = whole.store.orders(&orders, PageRequest::first(1_000)).await.unwrap().items;
    // The export ends a month before now.
    let end = fixture.clock_at(-30 * 86_400_000);
    let of_export = |fill: &&Fill| fill.time.at < end;
    assert!(exact.iter().filter(of_export).count() > 8 && exact.iter().filter(|fill| fill.time.at >= end).count() > 8);
    let mut statements: Vec<_> = exact.iter().filter(of_export).map(exported).collect();
    let known = orders.iter().map(|order| &order.order.fact);
    let known = known.filter(|order| order.created.is_some_and(|created| created.at < end));
    statements.extend(known.map(|order| Statement {
        fact: AnyFact::Order(order.clone()),
        source: Source::ExchangeCsv,
        payload: None,
    }));
    statements.extend(CONTRACTS.map(|name| {
        let quote = Asset::new(&name[3..]).unwrap();
        let contract = Instrument::linear(Symbol::new(name).unwrap(), quote).unwrap();
        Statement { fact: AnyFact::Instrument(contract), source: Source::ExchangeCsv, payload: None }
    }));
    for rows in [1, 12, 5_000] {
        let imported = fixture.with_empty_book().await;
        imported.recorder().record(statements.clone()).await.unwrap();
        assert!(fills_of(&imported).await.iter().any(|fill| fill.time.precision == TimePrecision::Second));
        let report = settled(&imported, &in_pieces(imported.reconciler(), rows)).await;
        assert!(report.history.pieces >= 1, "{rows}");
        assert_eq!(fills_of(&imported).await, exact, "{rows}");
    }
}
