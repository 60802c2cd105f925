//! Whole cycles: a bot trades on the simulator and records as it goes, records get lost, the reconciler restores them,
//! and the simulator's own books say whether it got everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{MarketSpec, Simulator, SimulatorConfig, SimulatorTransport};
use exchange_client::{
    Clock, Credentials, ExchangeReader, ExchangeTrader, NewOrder, OrderKind, Request, Response, SendOutcome, Transport,
    TransportError,
};
use ledger_core::{
    AnyFact, ClientOrderId, EngineLabel, EventTime, Fill, IntentOutcome, Label, PositionMode, PositionSide, Side,
    SignalId, Source, Statement, Symbol,
};
use ledger_store::{
    DerivedReader, DiscrepancyFilter, DiscrepancyStatus, FactReader, Journal, OrderFilter, PageRequest,
    ReconcileStatus, Scope,
};
use reconciler::{DiscrepancyKind, FindingReport, ReconcileError};

use crate::support::*;

#[tokio::test]
async fn case_b_lost_fills_are_found_shown_and_restored() {
    let fixture = Fixture::new(7).await;
    // The last part of every second order is lost, and one order's fills altogether.
    fixture.session(|order, fill| order == 5 || (order % 2 == 1 && fill == 0)).await;
    let before = fixture.book_fills().await.len();
    let audit = fixture.reconciler().audit().await.unwrap();
    assert_eq!(kinds(&audit).get(&DiscrepancyKind::MissingFills), Some(&4), "{:#?}", audit.findings);
    assert!(audit.unresolved().count() >= 4);
    assert!(!audit.verification.is_clean());
    assert_eq!(fixture.book_fills().await.len(), before);

    let sync = fixture.reconciler().sync().await.unwrap();
    assert!(sync.findings.iter().all(|finding| finding.status == DiscrepancyStatus::Resolved), "{:#?}", sync.findings);
    assert_eq!(sync.repairs.iter().filter(|repair| repair.kind.as_str() == "restore_fills").count(), 4);
    assert!(sync.counts.recorded > 4 && sync.counts.conflicts == 0, "{:?}", sync.counts);
    assert_all_pass(&sync);
    fixture.assert_book_equals_exchange().await;
    // Each repair is in the journal, with its finding and evidence.
    let repairs = fixture.store.repairs(&fixture.account.clone().into(), PageRequest::first(100)).await.unwrap().items;
    assert_eq!(repairs.len(), sync.repairs.len());
    assert!(repairs.iter().all(|repair| repair.discrepancy_id.is_some() && repair.evidence_json.contains("order")));
    // The bot's labels survived the restoring.
    let filter = OrderFilter::from(Scope::account(fixture.account.clone()));
    let orders = fixture.store.orders(&filter, PageRequest::first(100)).await.unwrap().items;
    assert_eq!(orders.len(), 8);
    assert!(orders.iter().all(|order| order.order.fact.engine.is_some() && order.order.fact.signal_id.is_some()));
}

#[tokio::test]
async fn audit_writes_nothing() {
    let fixture = Fixture::new(21).await;
    fixture.session(|order, _| order == 3).await;
    let before = fixture.files();
    let audit = fixture.reconciler().audit().await.unwrap();
    assert!(!audit.findings.is_empty() && audit.run.is_none() && !audit.repairs.is_empty());
    assert!(fixture.files() == before, "the file has changed");
}

#[tokio::test]
async fn a_warm_second_run_writes_nothing() {
    let fixture = Fixture::new(3).await;
    fixture.session(|order, _| order == 1).await;
    // Everything is closed, so no price moves anything.
    for name in ["BTCUSDT", "ETHUSDC", "SOLUSDT", "币安人生USDT"] {
        fixture.simulator.close_from_app("sim-main", &Symbol::new(name).unwrap(), PositionSide::Net).unwrap();
    }
    fixture.simulator.step(Duration::from_mins(1));
    let first = fixture.reconciler().sync().await.unwrap();
    assert!(first.counts.recorded > 0 && first.run.is_some());
    fixture.reconciler().sync().await.unwrap();
    let before = fixture.rows().await;
    for _ in 0..3 {
        fixture.simulator.step(Duration::from_secs(20));
        let warm = fixture.reconciler().sync().await.unwrap();
        assert_eq!((warm.run, warm.findings.as_slice(), warm.repairs.as_slice()), (None, &[][..], &[][..]));
        assert!(warm.symbols.is_empty() && warm.requests <= 12, "{} {:?}", warm.requests, warm.symbols);
        assert_all_pass(&warm);
    }
    assert_eq!(fixture.rows().await, before, "the book has changed");
    fixture.assert_book_equals_exchange().await;
    // Type by type the ledger is asked in steps, and then not before a day has passed.
    let mut runs = Vec::new();
    for _ in 0..4 {
        fixture.simulator.step(Duration::from_secs(20));
        let exchange = Arc::clone(&fixture.exchange) as Arc<dyn ExchangeReader>;
        let look = fixture.reconciler_by_type(exchange, 15).sync().await.unwrap();
        assert!(look.findings.is_empty() && look.counts.recorded == 0, "{look:#?}");
        runs.push((look.run.is_some(), look.requests > 12));
    }
    assert_eq!(runs, [(true, true), (true, true), (false, false), (false, false)]);
}

#[tokio::test]
async fn an_empty_book_is_filled_from_history() {
    let fixture = Fixture::new(99).await;
    fixture.session(|_, _| false).await;
    // Another book that never saw the session.
    let fresh = fixture.with_empty_book().await;
    let sync = fresh.reconciler().sync().await.unwrap();
    assert_eq!(kinds(&sync).get(&DiscrepancyKind::UnknownOrder), Some(&8));
    assert!(sync.findings.iter().all(|finding| finding.status == DiscrepancyStatus::Resolved), "{:#?}", sync.findings);
    assert_all_pass(&sync);
    fresh.assert_book_equals_exchange().await;
    let account = fresh.store.account(&fresh.account).await.unwrap().unwrap();
    assert_eq!((account.position_mode, account.mode()), (None, Some(PositionMode::OneWay)));
    assert_eq!(account.identity.unwrap().alias.as_deref(), Some("sim-main"));
}

#[tokio::test]
async fn both_positions_of_hedge_mode_are_restored_side_by_side() {
    let fixture = Fixture::new(17).await;
    assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    let plan = [
        (PositionSide::Long, Side::Buy, "0.4"),
        (PositionSide::Short, Side::Sell, "0.7"),
        (PositionSide::Long, Side::Buy, "0.2"),
        (PositionSide::Short, Side::Buy, "0.7"),
        (PositionSide::Short, Side::Sell, "0.3"),
        (PositionSide::Long, Side::Sell, "0.1"),
    ];
    for (number, (position_side, side, qty)) in plan.into_iter().enumerate() {
        fixture.simulator.step(Duration::from_mins(200));
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("h-{number}")).unwrap(),
            symbol: Symbol::new("ETHUSDT").unwrap(),
            side,
            position_side,
            kind: OrderKind::Market,
            size: qty.parse::<ledger_core::Quantity>().unwrap().into(),
            reduce_only: false,
        };
        assert!(fixture.exchange.create_order(order).await.done().is_some());
    }
    fixture.simulator.step(Duration::from_mins(1));
    let sync = fixture.reconciler().sync().await.unwrap();
    assert!(sync.findings.iter().all(|finding| finding.status == DiscrepancyStatus::Resolved), "{:#?}", sync.findings);
    assert_all_pass(&sync);
    assert_eq!(fixture.simulator.books().accounts[0].positions.len(), 2);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn a_resting_order_that_fills_unseen_is_asked_for_by_name() {
    let fixture = Fixture::new(3).await;
    let symbol = Symbol::new("ETHUSDT").unwrap();
    let mut intent = fixture.intent(1, &symbol, Side::Buy, "2", None, None);
    intent.order_type = Label::new("LIMIT").unwrap();
    intent.price = Some("3100".parse().unwrap());
    let sent = fixture.recorder().send(&*fixture.exchange, &intent).await.unwrap().unwrap().done().unwrap();
    assert!(fixture.reconciler().sync().await.unwrap().findings.is_empty());
    // Days later, long behind every cursor, the price comes by.
    fixture.simulator.step(Duration::from_hours(24 * 20));
    let sync = fixture.reconciler().sync().await.unwrap();
    let behind = sync.findings.iter().find(|finding| finding.finding.kind == DiscrepancyKind::OrderBehind).unwrap();
    assert!(behind.finding.evidence.contains(sent.entity.key.order_id.as_str()), "{}", behind.finding.evidence);
    assert!(behind.finding.evidence.contains("FILLED"));
    assert_all_pass(&sync);
    fixture.assert_book_equals_exchange().await;
}

/// Loses the answer to the next order, which is executed all the same.
struct LosesAnswers(Arc<dyn Transport>);

#[async_trait]
impl Transport for LosesAnswers {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_order = request.method == exchange_client::Method::Post;
        let response = self.0.send(request).await?;
        if is_order { Err(TransportError::Lost("connection reset".into())) } else { Ok(response) }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_asking() {
    let fixture = Fixture::new(5).await;
    let trader = fixture.adapter_over(LosesAnswers(Arc::clone(&fixture.transport)));
    let symbol = Symbol::new("SOLUSDT").unwrap();
    let signal_id = Some(SignalId::new("s-9").unwrap());
    let intent =
        fixture.intent(9, &symbol, Side::Buy, "3", signal_id.clone(), Some(EngineLabel::new("swing").unwrap()));
    let outcome = fixture.recorder().send(&trader, &intent).await.unwrap().unwrap();
    assert!(matches!(outcome, SendOutcome::Unknown(_)));
    let recorded = || async {
        fixture.store.intent(&fixture.account, &intent.client_order_id).await.unwrap().unwrap().fact.outcome
    };
    assert_eq!(recorded().await, IntentOutcome::Unknown);
    fixture.simulator.step(Duration::from_mins(1));
    let sync = fixture.reconciler().sync().await.unwrap();
    let found = sync.findings.iter().find(|finding| finding.finding.kind == DiscrepancyKind::UnresolvedIntent).unwrap();
    assert!(found.finding.evidence.contains("bot-9") && found.status == DiscrepancyStatus::Resolved, "{found:?}");
    assert_eq!(recorded().await, IntentOutcome::Accepted);
    let filter = OrderFilter { signal_id, ..OrderFilter::from(Scope::account(fixture.account.clone())) };
    let orders = fixture.store.orders(&filter, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].order.fact.engine.as_ref().unwrap().as_str(), "swing");
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn with_another_account_nothing_is_written() {
    let fixture = Fixture::new(4).await;
    fixture.session(|_, _| false).await;
    fixture.reconciler().sync().await.unwrap();
    let mut config = SimulatorConfig::new(8);
    config.accounts[0].alias = "somebody-else".into();
    config.accounts[0].api_key = "other-key".into();
    let other = Arc::new(Simulator::new(config, Arc::clone(&fixture.clock)).unwrap());
    let credentials = Credentials::new("other-key", exchange_client::simulator::TEST_API_SECRET).unwrap();
    let transport = Arc::new(SimulatorTransport::new(other));
    let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
    let exchange = BinanceUsdm::new(transport, clock, &fixture.base_url, credentials).unwrap();
    let before = fixture.files();
    let reconciler = fixture.reconciler_over(Arc::new(exchange));
    for result in [reconciler.audit().await, reconciler.sync().await] {
        match result.unwrap_err() {
            ReconcileError::WrongAccount { bound, offered, .. } => {
                assert!(bound.contains("sim-main") && offered.contains("somebody-else"), "{bound} / {offered}");
            }
            other => panic!("{other}"),
        }
    }
    assert!(fixture.files() == before, "the folder has changed");
}

#[tokio::test]
async fn a_book_that_drifts_from_an_unchanged_exchange_is_told_so() {
    let fixture = Fixture::new(13).await;
    fixture.session(|_, _| false).await;
    fixture.reconciler().sync().await.unwrap();
    let status = || async {
        let held = fixture.store.positions(&fixture.account).await.unwrap();
        held.into_iter().find(|held| held.symbol.as_str() == "SOLUSDT").unwrap().reconcile_status.unwrap()
    };
    assert_eq!(status().await, ReconcileStatus::Matched);
    // Somebody records a fill that never was; the exchange says what it has said before.
    fixture.simulator.step(Duration::from_secs(30));
    let mut fill = fixture.book_fills().await.into_iter().find(|fill| fill.key.symbol.as_str() == "SOLUSDT").unwrap();
    fill.key.fill_id = ledger_core::FillId::new("999999999").unwrap();
    fill.sequence = Some(999_999_999);
    fill.time = EventTime::ms(fixture.clock.now());
    let statement = |fill: &Fill| Statement { fact: AnyFact::Fill(fill.clone()), source: Source::Bot, payload: None };
    fixture.recorder().record(vec![statement(&fill)]).await.unwrap();
    assert_eq!(status().await, ReconcileStatus::Pending);
    fixture.simulator.step(Duration::from_secs(30));
    let sync = fixture.reconciler().sync().await.unwrap();
    assert!(!sync.verification.is_clean());
    // One answer that differs is no word yet.
    assert_eq!(status().await, ReconcileStatus::Pending);
    fixture.simulator.step(Duration::from_secs(30));
    fixture.reconciler().sync().await.unwrap();
    let found = status().await;
    assert!(matches!(found, ReconcileStatus::Mismatch | ReconcileStatus::Unresolved), "{found:?}");
    // Undone by another, in a book that has moved on: both agree as of today.
    fixture.simulator.step(Duration::from_secs(30));
    fill.key.fill_id = ledger_core::FillId::new("1000000000").unwrap();
    fill.key.side = if fill.key.side == Side::Buy { Side::Sell } else { Side::Buy };
    fill.sequence = Some(1_000_000_000);
    fill.time = EventTime::ms(fixture.clock.now());
    fixture.recorder().record(vec![statement(&fill)]).await.unwrap();
    fixture.simulator.step(Duration::from_secs(30));
    fixture.reconciler().sync().await.unwrap();
    let held = fixture.store.positions(&fixture.account).await.unwrap();
    let held = held.into_iter().find(|held| held.symbol.as_str() == "SOLUSDT").unwrap();
    assert_eq!(held.reconcile_status, Some(ReconcileStatus::Matched));
    assert!(held.exchange.unwrap().at > fill.time.at);
}

#[tokio::test]
async fn a_book_left_alone_for_too_long_says_what_it_can_no_longer_read() {
    let fixture = Fixture::with(for_months(23)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "1", |_| false).await;
    fixture.trade(2, "ETHUSDT", Side::Sell, "1", |_| false).await;
    fixture.simulator.step(Duration::from_mins(1));
    assert!(fixture.reconciler().sync().await.unwrap().findings.is_empty());
    let left_at = fixture.store.cursors(&fixture.account).await.unwrap();
    fixture.simulator.step(Duration::from_hours(24 * 120));
    let sync = fixture.reconciler().sync().await.unwrap();
    assert_eq!(kinds(&sync), BTreeMap::from([(DiscrepancyKind::HistoryExpired, 3)]), "{:#?}", sync.findings);
    assert_eq!(sync.unresolved().count(), 3);
    for cursor in left_at.iter().filter(|cursor| cursor.symbol.is_none()) {
        let begins_there =
            |found: &FindingReport| since_of(&found.finding.evidence_json()) == cursor.position.parse().ok();
        assert!(sync.findings.iter().any(begins_there), "{:#?}", sync.findings);
        let coverage = fixture.store.coverage(&fixture.account).await.unwrap();
        let spans: Vec<_> =
            coverage.iter().filter(|span| span.stream == cursor.stream && span.symbol.is_none()).collect();
        assert_eq!(spans.len(), 2, "{spans:#?}");
    }
    // It is told once, and stays on record.
    fixture.simulator.step(Duration::from_mins(1));
    assert!(fixture.reconciler().sync().await.unwrap().findings.is_empty());
    let left = fixture
        .store
        .discrepancies(&DiscrepancyFilter::open(fixture.account.clone()), PageRequest::first(100))
        .await
        .unwrap()
        .items;
    assert_eq!(left.len(), 3, "{left:#?}");
}

/// Answers errors for one symbol's trades, for ever.
pub(crate) struct OneBadSymbol(pub(crate) Arc<dyn Transport>, pub(crate) &'static str);

#[async_trait]
impl Transport for OneBadSymbol {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("userTrades") && request.query.contains(self.1) {
            let body = bytes_of(r#"{"code":-4141,"msg":"Symbol is closed."}"#);
            return Ok(Response { status: 400, headers: Vec::new(), body });
        }
        self.0.send(request).await
    }
}

fn bytes_of(text: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn one_bad_symbol_never_stops_the_others() {
    let fixture = Fixture::new(6).await;
    fixture.session(|order, _| order < 4).await;
    let exchange = fixture.adapter_over(OneBadSymbol(Arc::clone(&fixture.transport), "ETHUSDT"));
    let sync = fixture.reconciler_over(Arc::new(exchange)).sync().await.unwrap();
    let (bad, good): (Vec<_>, Vec<_>) =
        sync.findings.iter().partition(|found| found.finding.symbol.as_ref().is_some_and(|s| s.as_str() == "ETHUSDT"));
    assert!(bad.iter().any(|found| found.finding.kind == DiscrepancyKind::QueryFailed), "{bad:#?}");
    assert!(bad.iter().any(|found| found.finding.evidence.contains("-4141")));
    assert!(good.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{good:#?}");
    assert!(!sync.verification.is_clean());
    // Once the exchange answers again, nothing is left.
    let sync = fixture.reconciler().sync().await.unwrap();
    assert!(sync.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", sync.findings);
    fixture.assert_book_equals_exchange().await;
    let left = fixture
        .store
        .discrepancies(&DiscrepancyFilter::open(fixture.account.clone()), PageRequest::first(100))
        .await
        .unwrap()
        .items;
    assert!(left.is_empty(), "{left:#?}");
}

/// Answers as the exchange does, but says nonsense about one contract in the lists of all.
struct OneBadRow(Arc<dyn Transport>, &'static str);

#[async_trait]
impl Transport for OneBadRow {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_list = ["/fapi/v3/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/allOrders"].contains(&&*request.path);
        let is_about_all = is_list && !request.query.contains("symbol=");
        let mut response = self.0.send(request).await?;
        if is_about_all && let Ok(serde_json::Value::Array(mut rows)) = serde_json::from_slice(&response.body) {
            for row in rows.iter_mut().filter(|row| row["symbol"] == self.1) {
                for field in ["positionAmt", "executedQty"] {
                    row[field] = "NaN".into();
                }
            }
            response.body = bytes_of(&serde_json::Value::Array(rows).to_string());
        }
        Ok(response)
    }
}

#[tokio::test]
async fn one_unreadable_row_never_stops_the_others() {
    let fixture = Fixture::new(6).await;
    fixture.session(|order, _| order < 4).await;
    let exchange = fixture.adapter_over(OneBadRow(Arc::clone(&fixture.transport), "ETHUSDT"));
    let sync = fixture.reconciler_over(Arc::new(exchange)).sync().await.unwrap();
    let is_bad = |found: &&FindingReport| found.finding.symbol.as_ref().is_some_and(|s| s.as_str() == "ETHUSDT");
    let (bad, good): (Vec<_>, Vec<_>) = sync.findings.iter().partition(is_bad);
    let failed = bad.iter().filter(|found| found.finding.kind == DiscrepancyKind::QueryFailed);
    let failed: Vec<&str> = failed.map(|found| found.finding.evidence.as_str()).collect();
    assert!(failed.iter().any(|evidence| evidence.contains("`executedQty`")), "{bad:#?}");
    assert!(sync.unresolved().any(|found| found.finding.kind == DiscrepancyKind::QueryFailed));
    assert!(!good.is_empty() && good.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{good:#?}");
    // Once the exchange makes sense again, nothing is left, and nothing was concluded in the meantime.
    let sync = fixture.reconciler().sync().await.unwrap();
    assert!(sync.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", sync.findings);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn every_seed_ends_with_a_book_that_equals_the_exchanges() {
    for seed in 100..112 {
        let fixture = Fixture::in_process(SimulatorConfig::new(seed)).await;
        fixture.session(|order, fill| (order + fill + usize::try_from(seed).unwrap()).is_multiple_of(3)).await;
        let sync = fixture.reconciler().sync().await.unwrap();
        assert_all_pass(&sync);
        // What a position differed by before the repairs was doubted: the next look has the exchange's word on it.
        fixture.simulator.step(Duration::from_secs(30));
        fixture.reconciler().sync().await.unwrap();
        fixture.assert_book_equals_exchange().await;
        assert!(MarketSpec::standard().len() >= 6);
    }
}

/// Since when something is missing, by what is left for the next look.
pub(crate) fn since_of(evidence_json: &str) -> Option<i64> {
    let evidence: serde_json::Value = serde_json::from_str(evidence_json).unwrap();
    evidence["memory"]["said"]["since"].as_i64()
}
