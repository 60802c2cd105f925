//! What a look leaves behind, and how current the book's picture of the exchange is afterwards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::simulator::AppOrder;
use exchange_client::{Clock, Request, Response, Transport, TransportError};
use ledger_core::testing::{buy, symbol};
use ledger_core::{
    AnyFact, EventTime, FreshnessLimits, GroupBy, LookStream, PositionSide, Side, Source, Staleness, Statement, Symbol,
    TimestampMs,
};
use ledger_store::{Batch, DerivedReader, Journal, LookFailureKind, LookOutcome, OpenLook, ReconcileStatus, Writer};
use reconciler::{LookState, ReportRequest, account_report, look_state};

use crate::support::Fixture;

const MINUTE_MS: i64 = 60_000;

impl Fixture {
    async fn look(&self, stream: LookStream) -> ledger_store::Look {
        let looks = self.store.looks(&self.account).await.unwrap();
        looks.into_iter().find(|look| look.stream == stream).unwrap()
    }

    async fn state(&self) -> LookState {
        look_state(&*self.store, &self.account, FreshnessLimits::default(), self.clock.now()).await.unwrap()
    }

    fn minutes(&self, minutes: u64) {
        self.simulator.step(Duration::from_mins(minutes));
    }

    /// One contract bought and held.
    async fn holding(seed: u64) -> Self {
        let fixture = Self::new(seed).await;
        fixture.trade(1, "BTCUSDT", Side::Buy, "0.05", |_| false).await;
        fixture.minutes(1);
        fixture
    }

    /// A fill of somebody's record, `ago` before now.
    async fn record_fill(&self, id: i64, name: &str, ago_ms: i64) {
        let mut fill = buy(name, id, "0.01", "100");
        fill.time = EventTime::ms(self.clock_at(-ago_ms));
        let statement = Statement { fact: AnyFact::Fill(fill), source: Source::Ccxt, payload: None };
        self.store.commit(Batch::new(self.account.clone(), self.clock.now(), vec![statement])).await.unwrap();
    }
}

fn stale(state: &LookState, stream: LookStream) -> (Option<Staleness>, bool) {
    let freshness = state.streams[&stream];
    (freshness.stale, freshness.is_due)
}

fn net(name: &str) -> (Symbol, PositionSide) {
    (symbol(name), PositionSide::Net)
}

#[tokio::test]
async fn a_look_that_finds_nothing_says_when_it_was() {
    let fixture = Fixture::holding(301).await;
    fixture.reconciler().sync().await.unwrap();
    fixture.minutes(2);
    fixture.reconciler().sync().await.unwrap();
    let rows = fixture.rows().await;
    fixture.minutes(2);
    let began = fixture.clock.now();
    let warm = fixture.reconciler().sync().await.unwrap();
    assert!(warm.run.is_none());
    assert_eq!(fixture.rows().await, rows, "nothing but the looks was written");
    for stream in LookStream::ALL {
        let look = fixture.look(*stream).await;
        assert_eq!((look.outcome, look.began_local, look.failure.clone()), (LookOutcome::Succeeded, began, None));
        let seen_at = look.success.unwrap().seen_at;
        assert!(seen_at >= began.saturating_add_ms(-1_000) && seen_at <= fixture.clock.now(), "{stream}: {seen_at}");
        assert!(look.began_at.is_some() && look.ended_at.is_some());
    }
    assert_eq!(fixture.store.open_look(&fixture.account).await.unwrap(), None);
    // Marks of what is held, and when it is funded next: at the next of the exchange's instants, eight hours apart.
    let marks = fixture.look(LookStream::Prices).await.success.unwrap().seen.marks;
    assert_eq!(marks.keys().map(Symbol::as_str).collect::<Vec<_>>(), ["BTCUSDT"]);
    let next = marks[&symbol("BTCUSDT")].next_funding_ts.unwrap().as_ms();
    assert!(next > began.as_ms() && next - began.as_ms() <= 8 * 60 * MINUTE_MS && next % (60 * MINUTE_MS) == 0);
    // A narrowed look is none of the account.
    fixture.minutes(1);
    let mut narrow = fixture.reconciler();
    narrow.config.observe.symbols.insert(symbol("BTCUSDT"));
    narrow.sync().await.unwrap();
    assert_eq!(fixture.look(LookStream::Account).await.began_local, began);
    fixture.reconciler().audit().await.unwrap();
    assert_eq!(fixture.look(LookStream::Account).await.began_local, began);
}

#[tokio::test]
async fn a_narrowed_look_tells_what_it_left_aside() {
    let fixture = Fixture::holding(310).await;
    for _ in 0..2 {
        fixture.reconciler().sync().await.unwrap();
        fixture.minutes(2);
    }
    let left_aside = async || {
        let seen = fixture.look(LookStream::Account).await.success.unwrap().seen;
        seen.left_aside.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let narrowed = async |name: &str| {
        let mut narrow = fixture.reconciler();
        narrow.config.observe.symbols.insert(symbol(name));
        let report = narrow.sync().await.unwrap();
        report.left_aside.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(narrowed("BTCUSDT").await.is_empty() && left_aside().await.is_empty());
    // Somebody trades other contracts on the phone: one is held now, and one is flat again.
    let buy = |name: &str, qty: &str| {
        let (symbol, qty) = (symbol(name), qty.parse().unwrap());
        let (side, position_side) = (Side::Buy, PositionSide::Net);
        let wish = AppOrder { prefix: "ios_", symbol, side, position_side, qty, price: None, reduce_only: false };
        fixture.simulator.trade_from_app("sim-main", &wish).unwrap();
    };
    buy("SOLUSDT", "3");
    fixture.minutes(1);
    fixture.simulator.close_from_app("sim-main", &symbol("SOLUSDT"), PositionSide::Net).unwrap();
    buy("ETHUSDT", "1");
    fixture.minutes(1);
    let began = fixture.look(LookStream::Account).await.began_local;
    assert_eq!(narrowed("BTCUSDT").await, ["ETHUSDT", "SOLUSDT"]);
    assert_eq!(left_aside().await, ["ETHUSDT", "SOLUSDT"]);
    assert_eq!(fixture.look(LookStream::Account).await.began_local, began, "that was no look at the account");
    // Whoever follows one of them leaves the other.
    fixture.minutes(1);
    narrowed("ETHUSDT").await;
    assert_eq!(left_aside().await, ["SOLUSDT"]);
    fixture.minutes(1);
    assert!(fixture.reconciler().sync().await.unwrap().left_aside.is_empty());
    assert!(left_aside().await.is_empty());
    fixture.minutes(1);
    assert!(narrowed("BTCUSDT").await.is_empty() && left_aside().await.is_empty());
}

/// Passes on what does not ask for this path.
struct Silent(Arc<dyn Transport>, &'static str);

#[async_trait]
impl Transport for Silent {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.contains(self.1) {
            return Err(TransportError::Lost("connection reset".into()));
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn a_look_that_failed_says_why_and_takes_nothing_back() {
    let fixture = Fixture::holding(302).await;
    // Of an account that was never bound nothing is written.
    let unreachable = || Arc::new(fixture.adapter_over(Silent(Arc::clone(&fixture.transport), "/")));
    fixture.reconciler_over(unreachable()).sync().await.unwrap_err();
    assert!(fixture.store.looks(&fixture.account).await.unwrap().is_empty());
    assert!(!fixture.state().await.is_bound);
    fixture.reconciler().sync().await.unwrap();
    let seen = fixture.look(LookStream::Balances).await.success;
    fixture.minutes(3);
    fixture.reconciler_over(unreachable()).sync().await.unwrap_err();
    for stream in LookStream::ALL {
        let look = fixture.look(*stream).await;
        let (_, failure) = look.failure.unwrap();
        assert_eq!((look.outcome, failure.kind), (LookOutcome::Failed, LookFailureKind::Unreachable));
        assert!(failure.reason.contains("connection reset"), "{}", failure.reason);
    }
    assert_eq!(fixture.look(LookStream::Balances).await.success, seen);
    fixture.reconciler().sync().await.unwrap();
    assert_eq!(fixture.look(LookStream::Account).await.outcome, LookOutcome::Succeeded);
}

#[tokio::test]
async fn a_stream_that_did_not_answer_is_not_seen() {
    let fixture = Fixture::holding(303).await;
    fixture.reconciler().sync().await.unwrap();
    let first = fixture.look(LookStream::Balances).await.success.unwrap().seen_at;
    fixture.minutes(3);
    // Who the account is follows from the balances as well: only what comes later is lost.
    let quiet = Arc::new(fixture.adapter_over(Silent(Arc::clone(&fixture.transport), "/income")));
    fixture.reconciler_over(quiet).sync().await.unwrap();
    assert_eq!(fixture.look(LookStream::Ledger).await.outcome, LookOutcome::Failed);
    let account = fixture.look(LookStream::Account).await;
    assert_eq!((account.outcome, account.failure.unwrap().1.kind), (LookOutcome::Failed, LookFailureKind::Unreachable));
    let balances = fixture.look(LookStream::Balances).await;
    assert!(balances.outcome == LookOutcome::Succeeded && balances.success.unwrap().seen_at > first);
    let state = fixture.state().await;
    assert_eq!(state.streams[&LookStream::Ledger].age_ms.unwrap() / MINUTE_MS, 3);
    assert_eq!(state.streams[&LookStream::Balances].age_ms.unwrap() / MINUTE_MS, 0);
}

/// Answers in the other one's place while it is asked for something.
struct Watch(Arc<dyn Transport>, std::path::PathBuf, Arc<std::sync::Mutex<Vec<usize>>>);

#[async_trait]
impl Transport for Watch {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let beside = std::fs::read_dir(&self.1).unwrap();
        let marked = beside.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("-look-"));
        self.2.lock().unwrap().push(marked.count());
        if request.path.contains("allOrders") {
            std::future::pending::<()>().await;
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn a_look_in_progress_is_seen_by_others_and_one_that_was_stopped_too() {
    let fixture = Fixture::holding(304).await;
    fixture.reconciler().sync().await.unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let watch = Watch(Arc::clone(&fixture.transport), fixture.folder.path().to_owned(), Arc::clone(&seen));
    let began = fixture.clock.now();
    let stuck = fixture.reconciler_over(Arc::new(fixture.adapter_over(watch)));
    {
        let mut look = std::pin::pin!(stuck.sync());
        let waited = tokio::time::timeout(Duration::from_millis(300), &mut look).await;
        assert!(waited.is_err(), "it waits for an answer");
        let open = fixture.store.open_look(&fixture.account).await.unwrap();
        assert_eq!(open, Some(OpenLook { began_local: Some(began), is_running: true }));
        let state = fixture.state().await;
        assert!(!state.is_abandoned() && state.due().count() == 0);
    }
    let open = fixture.store.open_look(&fixture.account).await.unwrap();
    assert_eq!(open, Some(OpenLook { began_local: Some(began), is_running: false }));
    assert!(fixture.state().await.is_abandoned());
    assert!(seen.lock().unwrap().iter().all(|count| *count == 1), "from the first question on");
    fixture.reconciler().sync().await.unwrap();
    assert!(!fixture.state().await.is_abandoned());
}

#[tokio::test]
async fn an_answer_counts_as_of_the_last_look_that_confirmed_it() {
    let fixture = Fixture::holding(305).await;
    fixture.reconciler().sync().await.unwrap();
    fixture.minutes(20);
    let state = fixture.state().await;
    for stream in [LookStream::Positions, LookStream::Orders, LookStream::Balances] {
        assert_eq!(stale(&state, stream), (Some(Staleness::Age), true), "{stream}");
    }
    assert_eq!(stale(&state, LookStream::Prices), (Some(Staleness::Age), false));
    assert_eq!(state.positions[&net("BTCUSDT")].exchange.unwrap().stale, Some(Staleness::Age));
    let said = |held: &[ledger_store::BookPosition]| held[0].exchange.as_ref().unwrap().at;
    let first = said(&fixture.store.positions(&fixture.account).await.unwrap());
    fixture.reconciler().sync().await.unwrap();
    let held = fixture.store.positions(&fixture.account).await.unwrap();
    assert_eq!((said(&held), held[0].reconcile_status), (first, Some(ReconcileStatus::Matched)), "it said nothing new");
    let state = fixture.state().await;
    assert!(state.due().count() == 0 && state.exposure.is_open, "{state:?}");
    let position = &state.positions[&net("BTCUSDT")];
    assert!(position.exchange.unwrap().is_fresh() && position.exchange.unwrap().seen_at.unwrap() > first);
    // Flat, it need not be looked at for a day.
    fixture.simulator.close_from_app("sim-main", &symbol("BTCUSDT"), PositionSide::Net).unwrap();
    fixture.minutes(1);
    fixture.reconciler().sync().await.unwrap();
    fixture.minutes(23 * 60);
    let state = fixture.state().await;
    assert!(!state.exposure.is_open && state.due().count() == 0, "{state:?}");
    fixture.minutes(61);
    assert_eq!(fixture.state().await.due().count(), 4);
}

#[tokio::test]
async fn a_newer_fill_of_the_contract_makes_its_position_stale() {
    let fixture = Fixture::holding(306).await;
    fixture.trade(2, "ETHUSDT", Side::Sell, "1", |_| false).await;
    fixture.minutes(1);
    fixture.reconciler().sync().await.unwrap();
    fixture.minutes(5);
    assert_eq!(fixture.state().await.due().count(), 0);
    fixture.record_fill(901, "ETHUSDT", MINUTE_MS).await;
    let state = fixture.state().await;
    for stream in [LookStream::Positions, LookStream::Orders, LookStream::Balances, LookStream::Ledger] {
        assert_eq!(stale(&state, stream), (Some(Staleness::Overtaken), false), "{stream}");
    }
    assert_eq!(state.positions[&net("ETHUSDT")].exchange.unwrap().stale, Some(Staleness::Overtaken));
    assert!(
        state.positions[&net("BTCUSDT")].exchange.unwrap().is_fresh(),
        "another contract's fill says nothing of it"
    );
    // Fills that go on coming do not make the first one younger.
    fixture.minutes(1);
    fixture.record_fill(902, "ETHUSDT", 0).await;
    assert_eq!(fixture.state().await.due().count(), 4);
    // What is older than the look changes nothing.
    let other = Fixture::holding(307).await;
    other.reconciler().sync().await.unwrap();
    other.minutes(5);
    other.record_fill(801, "BTCUSDT", 30 * MINUTE_MS).await;
    assert_eq!(other.state().await.due().count(), 0);
}

#[tokio::test]
async fn the_latest_mark_counts_wherever_it_was_seen() {
    let fixture = Fixture::holding(308).await;
    fixture.reconciler().sync().await.unwrap();
    fixture.minutes(10);
    fixture.reconciler().sync().await.unwrap();
    let recorded = fixture.store.positions(&fixture.account).await.unwrap().remove(0).mark.unwrap();
    let state = fixture.state().await;
    let position = &state.positions[&net("BTCUSDT")];
    let (mark, freshness) = position.mark.clone().unwrap();
    assert!(position.is_marked_anew && mark.at > recorded.at && freshness.is_fresh(), "{mark:?} {recorded:?}");
    assert_eq!(Some(mark.price.get()), fixture.simulator.price(&symbol("BTCUSDT")));
    fixture.minutes(2);
    let state = fixture.state().await;
    assert_eq!(state.positions[&net("BTCUSDT")].mark.clone().unwrap().1.stale, Some(Staleness::Age));
}

/// A local clock that is an hour ahead makes nothing an hour older.
#[tokio::test]
async fn ages_are_told_by_the_exchanges_clock() {
    let fixture = Fixture::holding(309).await;
    let ahead = |fixture: &Fixture| fixture.clock.now().saturating_add_ms(60 * MINUTE_MS);
    let mut reconciler = fixture.reconciler();
    reconciler.clock = Arc::new(exchange_client::ManualClock::new(ahead(&fixture)));
    reconciler.sync().await.unwrap();
    fixture.minutes(4);
    let now: TimestampMs = ahead(&fixture);
    let state = look_state(&*fixture.store, &fixture.account, FreshnessLimits::default(), now).await.unwrap();
    assert_eq!(state.streams[&LookStream::Balances].age_ms.unwrap() / MINUTE_MS, 4);
}

/// Lets some time pass before prices are asked for, as it does between two answers.
struct LatePrices(Arc<dyn Transport>, Arc<exchange_client::simulator::Simulator>, Duration);

#[async_trait]
impl Transport for LatePrices {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.contains("premiumIndex") {
            self.1.step(self.2);
        }
        self.0.send(request).await
    }
}

/// The mark of the look's own answers, which is asked for after the wallet, is as good as one of the minute before.
#[tokio::test]
async fn a_looks_own_marks_say_what_the_account_is_worth() {
    for (late, is_known) in [(Duration::from_secs(3), true), (Duration::from_secs(75), false)] {
        let fixture = Fixture::holding(311).await;
        let (transport, simulator) = (Arc::clone(&fixture.transport), Arc::clone(&fixture.simulator));
        let adapter = Arc::new(fixture.adapter_over(LatePrices(transport, simulator, late)));
        fixture.reconciler_over(adapter).sync().await.unwrap();
        let request = ReportRequest {
            account: fixture.account.clone(),
            symbol: None,
            since: None,
            until: None,
            by: GroupBy::Symbol,
            span_of: None,
        };
        let venue = &exchange_client::binance_usdm::VENUE;
        let report = account_report(&*fixture.store, venue, &request).await.unwrap().report;
        let footing = report.footing.iter().find(|footing| footing.asset.as_str() == "USDT").unwrap();
        let equity = footing.equity.as_ref().unwrap();
        assert_eq!(equity.after.amount().is_some(), is_known, "{late:?}: {equity:?}");
        let mark = fixture.simulator.price(&symbol("BTCUSDT")).unwrap();
        let held = fixture.store.positions(&fixture.account).await.unwrap().remove(0).position;
        let entry = held.entry_price_avg.unwrap();
        let expected = mark.checked_sub(entry).unwrap().checked_mul(held.qty).unwrap();
        if is_known {
            assert_eq!(equity.after.amount(), Some(expected.round(8)));
        }
    }
}
