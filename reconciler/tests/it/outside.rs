//! Funding rates, and what assets were worth when fees were paid in them: asked for by a sync, and recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::simulator::{MarketSpec, SimulatorConfig};
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{
    AnyFact, Decimal, EventTime, Fill, FillId, FillKey, FundingRate, PositionSide, PriceKind, PriceSnapshot, Side,
    Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{Batch, FactReader, FillFilter, Journal, PageRequest, RunFilter, Scope, Writer};
use reconciler::CycleReport;

use crate::support::Fixture;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An account that pays its fees in BNB, at an exchange that lists BNB in USDT and not in USDC.
fn pays_in_bnb(seed: u64) -> SimulatorConfig {
    let mut config = SimulatorConfig::new(seed);
    config.markets.push(MarketSpec::new("BNBUSDT", "BNB", "USDT", ["612.3", "0.01", "0.01"], 80));
    let account = config.accounts.first_mut().unwrap();
    account.fees_in_bnb = true;
    account.deposits.push(("BNB".into(), "40".into()));
    config
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

impl Fixture {
    async fn rates(&self, name: &str) -> Vec<FundingRate> {
        let scope = Scope::symbol(self.account.clone(), symbol(name));
        let page = self.store.funding_rates(&scope, PageRequest::first(9_999)).await.unwrap();
        page.items.into_iter().map(|rate| rate.fact).collect()
    }

    /// What the exchange itself has of the rates of a contract.
    async fn listed_rates(&self, name: &str, since: TimestampMs) -> Vec<FundingRate> {
        use exchange_client::{ExchangeReader, TimeWindow, WindowQuery};
        let query = WindowQuery::new(TimeWindow::new(since, self.clock_at(0)).unwrap());
        let page = self.exchange.fetch_funding_rates(Some(symbol(name)), query).await.unwrap();
        page.rows.into_iter().map(|row| row.entity).collect()
    }

    async fn prices(&self, name: &str) -> Vec<PriceSnapshot> {
        let scope = Scope::symbol(self.account.clone(), symbol(name));
        let page = self.store.price_snapshots(&scope, PageRequest::first(9_999)).await.unwrap();
        page.items.into_iter().map(|price| price.fact).collect()
    }

    async fn fills(&self) -> Vec<Fill> {
        let filter = FillFilter::from(Scope::account(self.account.clone()));
        let page = self.store.fills(&filter, PageRequest::first(9_999)).await.unwrap();
        page.items.into_iter().map(|fill| fill.fact).collect()
    }

    async fn waiting(&self) -> usize {
        self.store.unpriced_fees(&self.account, 9_999).await.unwrap().len()
    }

    async fn look_around(&self) -> CycleReport {
        self.reconciler().sync().await.unwrap()
    }

    async fn sync_over(&self, transport: impl Transport + 'static) -> CycleReport {
        self.reconciler_over(Arc::new(self.adapter_over(transport))).sync().await.unwrap()
    }

    fn wait(&self, minutes: u64) {
        self.simulator.step(Duration::from_mins(minutes));
    }
}

/// Counts the requests of each path, and answers some of them otherwise.
struct Watched {
    exchange: Arc<dyn Transport>,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Answers this instead, if anything.
    instead: fn(&Request) -> Option<Result<Response, TransportError>>,
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        *self.asked.lock().unwrap().entry(request.path.clone()).or_default() += 1;
        match (self.instead)(&request) {
            Some(answer) => answer,
            None => self.exchange.send(request).await,
        }
    }
}

impl Fixture {
    fn watched(
        &self,
        instead: fn(&Request) -> Option<Result<Response, TransportError>>,
    ) -> (Watched, Arc<Mutex<BTreeMap<String, usize>>>) {
        let asked = Arc::new(Mutex::default());
        (Watched { exchange: Arc::clone(&self.transport), asked: Arc::clone(&asked), instead }, asked)
    }
}

fn count(asked: &Arc<Mutex<BTreeMap<String, usize>>>, path: &str) -> usize {
    asked.lock().unwrap().get(path).copied().unwrap_or(0)
}

#[expect(clippy::unnecessary_wraps, reason = "it is one of the answers that are given instead")]
fn refused(status: u16, body: &'static str) -> Option<Result<Response, TransportError>> {
    Some(Ok(Response { status, headers: Vec::new(), body: body.as_bytes().into() }))
}

#[tokio::test]
async fn rates_are_asked_for_once() {
    let fixture = Fixture::new(201).await;
    let opened = fixture.clock_at(0);
    fixture.trade(1, "ETHUSDT", Side::Buy, "1", |_| false).await;
    fixture.wait(20 * 60);
    let (watched, asked) = fixture.watched(|_| None);
    let report = fixture.sync_over(watched).await;
    // Every instant since the first fill, as the exchange lists it, whether or not the book has its row.
    let listed = fixture.listed_rates("ETHUSDT", opened).await;
    assert!(listed.len() >= 2, "{listed:?}");
    assert_eq!(fixture.rates("ETHUSDT").await, listed);
    assert_eq!((report.outside.rates_new, report.outside.remarks.len()), (listed.len(), 0));
    assert_eq!(count(&asked, "/fapi/v1/fundingRate"), 1);
    assert!(fixture.rates("BTCUSDT").await.is_empty());
    // A minute later nothing can have come; over the next instant, one question brings it.
    fixture.wait(1);
    let (watched, asked) = fixture.watched(|_| None);
    fixture.sync_over(watched).await;
    assert_eq!(count(&asked, "/fapi/v1/fundingRate"), 0);
    fixture.wait(8 * 60);
    let (watched, asked) = fixture.watched(|_| None);
    let report = fixture.sync_over(watched).await;
    assert_eq!((report.outside.rates_new, count(&asked, "/fapi/v1/fundingRate")), (1, 1));
    // Once it is flat, and the rest of its last hours is read, never again.
    fixture.simulator.close_from_app("sim-main", &symbol("ETHUSDT"), PositionSide::Net).unwrap();
    fixture.wait(70);
    fixture.look_around().await;
    fixture.wait(9 * 60);
    let before = fixture.rates("ETHUSDT").await.len();
    let (watched, asked) = fixture.watched(|_| None);
    fixture.sync_over(watched).await;
    assert_eq!((count(&asked, "/fapi/v1/fundingRate"), fixture.rates("ETHUSDT").await.len()), (0, before));
}

/// Many contracts are one question, and a contract that is missing in its answer is asked for by itself.
#[tokio::test]
async fn many_contracts_share_one_question_about_their_rates() {
    let fixture = Fixture::new(202).await;
    for (number, name) in ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "ETHUSDC"].into_iter().enumerate() {
        fixture.trade(number, name, Side::Buy, if name == "DOGEUSDT" { "900" } else { "0.2" }, |_| false).await;
    }
    fixture.wait(9 * 60);
    let (watched, asked) = fixture.watched(|request| {
        // As an exchange that leaves something out where nobody is named.
        let is_all = request.path.ends_with("/fundingRate") && !request.query.contains("symbol=");
        if is_all { refused(200, "[]") } else { None }
    });
    fixture.sync_over(watched).await;
    let instants = fixture.rates("ETHUSDT").await.len();
    assert!(instants > 0);
    assert_eq!(count(&asked, "/fapi/v1/fundingRate"), 6);
    // The next time the exchange answers in full.
    fixture.wait(8 * 60);
    let (watched, asked) = fixture.watched(|_| None);
    fixture.sync_over(watched).await;
    assert_eq!(count(&asked, "/fapi/v1/fundingRate"), 1);
    for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "ETHUSDC"] {
        let rates = fixture.rates(name).await;
        assert_eq!(
            rates.last().map(|rate| rate.at),
            fixture.rates("ETHUSDT").await.last().map(|rate| rate.at),
            "{name}"
        );
    }
}

/// Each sync asks for so many rates and no more; those after it go on.
#[tokio::test]
async fn a_cycle_asks_for_a_bounded_number_of_rates() {
    let fixture = Fixture::new(203).await;
    for (number, name) in ["BTCUSDT", "ETHUSDT", "SOLUSDT"].into_iter().enumerate() {
        fixture.trade(number, name, Side::Buy, "0.2", |_| false).await;
    }
    fixture.wait(9 * 60);
    let mut reconciler = fixture.reconciler();
    reconciler.config.policy.rate_requests_max = 1;
    let mut known = Vec::new();
    for _ in 0..3 {
        reconciler.sync().await.unwrap();
        let mut with_rates = 0;
        for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
            with_rates += usize::from(!fixture.rates(name).await.is_empty());
        }
        known.push(with_rates);
    }
    assert_eq!(known, [1, 2, 3]);
}

#[tokio::test]
async fn fees_in_bnb_have_a_price_of_their_minute() {
    let fixture = Fixture::with(pays_in_bnb(204)).await;
    // Days ago for prices, within the week for the look.
    for number in 0..4 {
        fixture.trade(number, "ETHUSDT", if number % 2 == 0 { Side::Buy } else { Side::Sell }, "1.5", |_| false).await;
    }
    fixture.trade(9, "ETHUSDC", Side::Buy, "0.4", |_| false).await;
    fixture.wait(30);
    let (watched, asked) = fixture.watched(|_| None);
    let report = fixture.sync_over(watched).await;
    assert!(report.outside.remarks.is_empty(), "{:?}", report.outside.remarks);
    let prices = fixture.prices("BNBUSDT").await;
    let fills = fixture.fills().await;
    let paid: Vec<&Fill> = fills.iter().filter(|fill| fill.key.symbol == symbol("ETHUSDT")).collect();
    assert!(paid.len() >= 4 && fills.iter().all(|fill| fill.fee.as_ref().unwrap().asset.as_str() == "BNB"));
    for fill in &paid {
        let near = |price: &&PriceSnapshot| (price.at.as_ms() - fill.time.at.as_ms()).abs() <= MINUTE_MS;
        let nearest = prices.iter().filter(near).min_by_key(|price| (price.at.as_ms() - fill.time.at.as_ms()).abs());
        let nearest = nearest.unwrap_or_else(|| panic!("{fill:?}: {prices:?}"));
        // The fee was nine tenths of 0.04 % of the fill at the price of BNB then; within the minute that moves little.
        let (price, fee) = (nearest.price.get(), fill.fee.as_ref().unwrap().amount);
        let value = fee.checked_mul(price).unwrap();
        let due =
            fill.price.get().checked_mul(fill.qty.get()).unwrap().checked_mul("0.00036".parse().unwrap()).unwrap();
        let apart = value.checked_sub(due).unwrap().abs();
        assert!(apart < due.checked_mul("0.02".parse().unwrap()).unwrap(), "{value} for {due}");
    }
    // Only the minutes that are needed, each once, and the present.
    let minutes: std::collections::BTreeSet<i64> = paid.iter().map(|fill| fill.time.at.as_ms() / MINUTE_MS).collect();
    let closes = prices.iter().filter(|price| price.kind == PriceKind::KlineClose).count();
    assert_eq!((closes, prices.len()), (minutes.len(), minutes.len() + 1), "{prices:?}");
    assert_eq!(count(&asked, "/fapi/v1/klines"), 1);
    // No BNBUSDC is listed: that is settled, too, and nothing waits any more.
    assert_eq!(fixture.waiting().await, 0);
    assert!(fixture.prices("BNBUSDC").await.is_empty());
    let (watched, asked) = fixture.watched(|_| None);
    fixture.wait(1);
    fixture.sync_over(watched).await;
    assert_eq!(count(&asked, "/fapi/v1/klines"), 0);
    // Once what was read once is confirmed, nothing is left to write.
    let (watched, asked) = fixture.watched(|_| None);
    fixture.wait(1);
    let report = fixture.sync_over(watched).await;
    assert_eq!((count(&asked, "/fapi/v1/klines"), report.run), (0, None));
}

#[tokio::test]
async fn no_price_reaches_beyond_the_minute_of_its_fee() {
    let fixture = Fixture::with(pays_in_bnb(205)).await;
    let into_minute = fixture.clock_at(0).as_ms() % MINUTE_MS;
    fixture.simulator.step(Duration::from_millis(u64::try_from(MINUTE_MS - into_minute).unwrap()));
    fixture.wait(10);
    let began = fixture.clock_at(0);
    // Prices that tell the minutes apart: 601 in the first, 602 in the second, and so on.
    let path: Vec<_> = (0..6)
        .map(|minute| (began.saturating_add_ms(minute * MINUTE_MS), format!("60{}", minute + 1).parse().unwrap()))
        .collect();
    fixture.simulator.script_prices(&symbol("BNBUSDT"), &path).unwrap();
    fixture.simulator.hold_price(&symbol("BNBUSDT"), true).unwrap();
    fixture.wait(1);
    fixture.simulator.step(Duration::from_secs(20));
    let wish = exchange_client::simulator::AppOrder {
        prefix: "ios_",
        price: None,
        reduce_only: false,
        symbol: symbol("ETHUSDT"),
        side: Side::Buy,
        position_side: PositionSide::Net,
        qty: "0.3".parse().unwrap(),
    };
    fixture.simulator.trade_from_app("sim-main", &wish).unwrap();
    // Two minutes and more later.
    fixture.wait(3);
    fixture.look_around().await;
    let prices = fixture.prices("BNBUSDT").await;
    let closes: Vec<_> = prices.iter().filter(|price| price.kind == PriceKind::KlineClose).collect();
    let [close] = closes.as_slice() else { panic!("{prices:?}") };
    assert_eq!((close.price.to_string(), close.at), ("602".to_owned(), began.saturating_add_ms(2 * MINUTE_MS - 1)));
    // A look in the very minute of a fee has the mark price; what that minute ends with nobody knows yet.
    fixture.simulator.trade_from_app("sim-main", &wish).unwrap();
    fixture.simulator.step(Duration::from_secs(5));
    let report = fixture.look_around().await;
    assert_eq!((report.outside.prices_new, fixture.waiting().await), (1, 0));
    let mark = fixture.prices("BNBUSDT").await.pop().unwrap();
    assert_eq!((mark.kind, mark.price.to_string()), (PriceKind::Mark, "605".to_owned()));
}

/// An endpoint that fails takes nothing with it: what matters more is recorded, the book is settled, and the next sync has
/// the rest.
#[tokio::test]
async fn what_goes_wrong_with_outside_numbers_is_a_remark() {
    for (path, instead) in [
        (
            "/fapi/v1/fundingRate",
            (|request| request.path.ends_with("/fundingRate").then(|| refused(500, "<html>")).flatten())
                as fn(&Request) -> _,
        ),
        ("/fapi/v1/fundingRate", |request| {
            request.path.ends_with("/fundingRate").then(|| refused(200, r#"[{"symbol":"ETHUSDT"}]"#)).flatten()
        }),
        ("/fapi/v1/fundingRate", |request| {
            request.path.ends_with("/fundingRate").then_some(Err(TransportError::Lost("reset".into())))
        }),
        ("/fapi/v1/klines", |request| request.path.ends_with("/klines").then(|| refused(200, "[[1,2,3]]")).flatten()),
        ("/fapi/v1/klines", |request| {
            request.path.ends_with("/klines").then(|| refused(400, r#"{"code":-1130,"msg":"no"}"#)).flatten()
        }),
        ("/fapi/v1/klines", |request| {
            request.path.ends_with("/klines").then_some(Err(TransportError::Lost("reset".into())))
        }),
    ] {
        let fixture = Fixture::with(pays_in_bnb(206)).await;
        fixture.trade(1, "ETHUSDT", Side::Buy, "1.5", |index| index == 0).await;
        fixture.wait(9 * 60);
        let (watched, asked) = fixture.watched(instead);
        let report = fixture.sync_over(watched).await;
        assert!(count(&asked, path) >= 1);
        assert_eq!(report.outside.remarks.len(), 1, "{path}: {:?}", report.outside.remarks);
        assert!(report.outside.remarks.iter().all(|remark| remark.contains("the next sync asks again")));
        assert!(!report.leaves_discrepancies() && report.failed.is_empty(), "{path}: {:#?}", report.findings);
        let (with_rates, with_prices) = (!fixture.rates("ETHUSDT").await.is_empty(), fixture.waiting().await == 0);
        assert_eq!((with_rates, with_prices), (path.ends_with("klines"), path.ends_with("Rate")), "{path}");
        fixture.wait(1);
        let report = fixture.look_around().await;
        assert!(report.outside.remarks.is_empty());
        assert!(!fixture.rates("ETHUSDT").await.is_empty() && fixture.waiting().await == 0, "{path}");
    }
}

/// A contract that is gone has no rates to tell, and a price that is none is not asked for again.
#[tokio::test]
async fn what_does_not_exist_is_remembered() {
    let fixture = Fixture::with(pays_in_bnb(207)).await;
    fixture.trade(1, "DOGEUSDT", Side::Buy, "900", |_| false).await;
    fixture.wait(9 * 60);
    let no_such: fn(&Request) -> _ = |request| {
        let is_meant = request.path.ends_with("/klines") || request.path.ends_with("/fundingRate");
        is_meant.then(|| refused(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#)).flatten()
    };
    let (watched, asked) = fixture.watched(no_such);
    let report = fixture.sync_over(watched).await;
    assert_eq!((count(&asked, "/fapi/v1/klines"), count(&asked, "/fapi/v1/fundingRate")), (1, 1));
    assert_eq!(report.outside.remarks.len(), 2, "{:?}", report.outside.remarks);
    fixture.wait(1);
    let (watched, asked) = fixture.watched(no_such);
    let report = fixture.sync_over(watched).await;
    assert_eq!((count(&asked, "/fapi/v1/klines"), count(&asked, "/fapi/v1/fundingRate")), (0, 0));
    assert!(report.outside.remarks.is_empty());
}

#[tokio::test]
async fn an_audit_asks_for_nothing_from_outside() {
    let fixture = Fixture::with(pays_in_bnb(208)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "1.5", |_| false).await;
    fixture.wait(9 * 60);
    let before = fixture.files();
    let (watched, asked) = fixture.watched(|_| None);
    let report = fixture.reconciler_over(Arc::new(fixture.adapter_over(watched))).audit().await.unwrap();
    assert_eq!((count(&asked, "/fapi/v1/klines"), count(&asked, "/fapi/v1/fundingRate")), (0, 0));
    assert_eq!(report.outside, reconciler::OutsideReport::default());
    assert!(fixture.files() == before);
}

/// A narrowed sync asks for the rates and fees of its contracts only.
#[tokio::test]
async fn a_narrowed_sync_learns_of_its_contracts_only() {
    let fixture = Fixture::with(pays_in_bnb(209)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "1.5", |_| false).await;
    fixture.trade(2, "SOLUSDT", Side::Buy, "9", |_| false).await;
    fixture.wait(9 * 60);
    let mut reconciler = fixture.reconciler();
    reconciler.config.observe.symbols = [symbol("SOLUSDT")].into();
    reconciler.sync().await.unwrap();
    assert!(fixture.rates("ETHUSDT").await.is_empty() && !fixture.rates("SOLUSDT").await.is_empty());
    assert_eq!(fixture.waiting().await, 1);
    fixture.look_around().await;
    assert!(!fixture.rates("ETHUSDT").await.is_empty() && fixture.waiting().await == 0);
}

/// Fills that an export brings after the fact, older than all that a sync has seen.
#[tokio::test]
async fn what_is_imported_later_gets_its_rates_and_prices() {
    let fixture = Fixture::with(pays_in_bnb(210)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "1.5", |_| false).await;
    fixture.wait(60);
    fixture.look_around().await;
    let first = fixture.rates("ETHUSDT").await.first().map(|rate| rate.at);
    let began = fixture.clock_at(-20 * HOUR_MS);
    let key = FillKey { symbol: symbol("ETHUSDT"), fill_id: FillId::new("5").unwrap(), side: Side::Buy };
    let fill = Fill::new(key, EventTime::ms(began), "3000".parse().unwrap(), "0.1".parse().unwrap())
        .in_position(PositionSide::Net)
        .with_sequence(5)
        .with_fee(ledger_core::Fee {
            amount: "0.001".parse::<Decimal>().unwrap(),
            asset: ledger_core::Asset::new("BNB").unwrap(),
        });
    let statement = Statement { fact: AnyFact::Fill(fill), source: Source::ExchangeCsv, payload: None };
    fixture.store.commit(Batch::new(fixture.account.clone(), fixture.clock_at(0), vec![statement])).await.unwrap();
    fixture.wait(1);
    fixture.look_around().await;
    assert!(fixture.waiting().await == 0);
    let minute = began.as_ms() / MINUTE_MS;
    assert!(fixture.prices("BNBUSDT").await.iter().any(|price| price.at.as_ms() / MINUTE_MS == minute));
    let rates = fixture.rates("ETHUSDT").await;
    assert_eq!(rates, fixture.listed_rates("ETHUSDT", began).await);
    assert!(first.is_none_or(|first| rates.first().is_some_and(|rate| rate.at <= first)));
}

/// What a quiet cycle of such an account costs: not a request more, and not a word to the book that its fees make dearer.
#[tokio::test]
async fn fees_in_bnb_make_no_quiet_cycle_dearer() {
    let mut spent = Vec::new();
    for config in [pays_in_bnb(211), SimulatorConfig::new(211)] {
        let fixture = Fixture::with(config).await;
        fixture.trade(1, "ETHUSDT", Side::Buy, "1.5", |_| false).await;
        fixture.wait(30);
        for _ in 0..2 {
            fixture.look_around().await;
            fixture.wait(1);
        }
        let report = fixture.look_around().await;
        assert_eq!(report.run, None);
        spent.push((report.requests, report.weight));
        let filter = RunFilter::from(fixture.account.clone());
        assert_eq!(fixture.store.runs(&filter, PageRequest::first(9)).await.unwrap().items.len(), 2);
    }
    assert_eq!(spent.first(), spent.last());
}
