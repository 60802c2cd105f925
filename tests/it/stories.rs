//! Who sent an order and why it closed: the same answer whichever source reports it, in whatever order they come.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, UserStreamSettings};
use exchange_client::files::{ImportFile, Options, ndjson};
use exchange_client::simulator::{AppOrder, Simulator, SimulatorConfig, SimulatorTransport};
use exchange_client::{
    Clock, ExchangeReader, ExchangeTrader, ManualClock, NewOrder, OrderKind, OrderRef, OrderSize, Stated, TimeWindow,
    UserStream, UserStreams, WindowQuery,
};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, ExitReason, Order, OrderClass, OrderKey, Origin, PositionMode, PositionSide,
    Price, Side, SignalId, SignalKind, Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{
    Batch, DerivedReader, FactReader, NewAccount, OpenOptions, OrderFilter, PageRequest, Scope, SignalFilter,
    SqliteStore, TripFilter, Writer,
};
use reconciler::{Reconciler, ReconcilerConfig};

use crate::convergence::exports;
use crate::support::simulated;

const ALIAS: &str = "sim-main";

/// A source of orders, or of the fills alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Fills,
    Rest,
    Forced,
    Stream,
    Ccxt,
    Csv,
    Lines,
}

const ALL: [Told; 7] = [Told::Fills, Told::Rest, Told::Forced, Told::Stream, Told::Ccxt, Told::Csv, Told::Lines];

struct World {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    told: BTreeMap<Told, Vec<Statement>>,
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

/// Two round trips a contract, each closed in a way of its own, and an order that is cancelled.
impl World {
    async fn new() -> Self {
        let config = SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(23) };
        let (simulator, clock, exchange) = simulated(config);
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
        let streams = exchange.user_streams(transport, UserStreamSettings::default()).unwrap();
        let mut stream = streams.open_user_stream().await.unwrap();
        let mut world = Self { simulator, clock, exchange, told: BTreeMap::new() };
        let mut heard = Vec::new();
        world.listen(stream.as_mut(), &mut heard).await;
        let (btc, eth, sol) = (symbol("BTCUSDT"), symbol("ETHUSDT"), symbol("SOLUSDT"));
        world.send(&btc, Side::Buy, "0.02", "job-1", OrderKind::Market).await;
        world.send(&btc, Side::Sell, "0.02", "job-2", OrderKind::Market).await;
        world.send(&btc, Side::Buy, "0.03", "job-3", OrderKind::Market).await;
        world.simulator.force_liquidation(ALIAS, &btc, PositionSide::Net).unwrap();
        world.listen(stream.as_mut(), &mut heard).await;

        world.send(&eth, Side::Sell, "0.5", "job-4", OrderKind::Market).await;
        let by_hand = AppOrder {
            prefix: "electron_",
            symbol: eth.clone(),
            side: Side::Buy,
            position_side: PositionSide::Net,
            qty: "0.5".parse().unwrap(),
            price: None,
            reduce_only: true,
        };
        world.simulator.trade_from_app(ALIAS, &by_hand).unwrap();
        world.simulator.step(Duration::from_secs(30));
        world.send(&eth, Side::Sell, "0.4", "job-5", OrderKind::Market).await;
        world.simulator.force_adl(ALIAS, &eth, PositionSide::Net, "0.4".parse().unwrap()).unwrap();
        world.listen(stream.as_mut(), &mut heard).await;

        world.send(&sol, Side::Buy, "3", "job-6", OrderKind::Market).await;
        let price = world.simulator.price(&sol).unwrap();
        let trigger: Price = price.div_round("2".parse().unwrap(), 0).unwrap().to_string().parse().unwrap();
        world.send(&sol, Side::Sell, "3", "job-7", OrderKind::StopMarket { trigger: trigger.into() }).await;
        world.simulator.set_price(&sol, trigger).unwrap();
        world.simulator.step(Duration::from_secs(30));
        world.listen(stream.as_mut(), &mut heard).await;
        world.send(&sol, Side::Buy, "2", "job-8", OrderKind::Market).await;
        world.simulator.settle_contract(&sol).unwrap();
        let far = OrderKind::limit("1000".parse().unwrap());
        let resting = world.send(&btc, Side::Buy, "0.01", "job-9", far).await;
        let reference = OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
        world.exchange.cancel_order(btc, reference).await.done().unwrap();
        // A stream that is silent for minutes is connected anew, so what it has is heard before the answers settle.
        world.simulator.step(Duration::from_secs(1));
        world.listen(stream.as_mut(), &mut heard).await;
        world.simulator.step(Duration::from_mins(20));
        world.gather(heard).await;
        world
    }

    async fn send(&self, symbol: &Symbol, side: Side, qty: &str, id: &str, kind: OrderKind) -> Order {
        let order = NewOrder {
            symbol: symbol.clone(),
            side,
            position_side: PositionSide::Net,
            client_order_id: ClientOrderId::new(id).unwrap(),
            kind,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only: false,
        };
        let sent = self.exchange.create_order(order).await.done().unwrap().entity;
        self.simulator.step(Duration::from_secs(30));
        sent
    }

    async fn listen(&self, stream: &mut dyn UserStream, heard: &mut Vec<Statement>) {
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(1), stream.next()).await {
            heard.extend(event.statements());
        }
    }

    /// What each source says of the session.
    async fn gather(&mut self, heard: Vec<Statement>) {
        let since = TimestampMs::new(1_780_000_000_000 - 3_600_000).unwrap();
        let window = || WindowQuery::new(TimeWindow::new(since, self.clock.now()).unwrap());
        let mut orders: Vec<Stated<Order>> =
            self.exchange.fetch_orders(OrderClass::Regular, None, window()).await.unwrap().rows;
        for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
            let page = self.exchange.fetch_orders(OrderClass::Conditional, Some(symbol(name)), window()).await;
            orders.extend(page.unwrap().rows);
        }
        let forced = self.exchange.fetch_force_orders(None, window()).await.unwrap().rows;
        assert_eq!(forced.len(), 2);
        let truth = self.simulator.books().accounts[0].clone();
        let objects: Vec<String> = orders.iter().map(unified).collect();
        let lines = orders.iter().map(|row| {
            let mut statement = row.statement();
            if let AnyFact::Order(order) = &mut statement.fact {
                (order.origin, order.condition) = (None, None);
            }
            statement.source = Source::Bot;
            let mut line = Vec::new();
            ndjson::write_line(&mut line, &statement).unwrap();
            String::from_utf8(line).unwrap()
        });
        self.told = BTreeMap::from([
            (Told::Fills, read("trades.csv", exports::trades(&truth))),
            (Told::Rest, orders.iter().map(Stated::statement).collect()),
            (Told::Forced, forced.iter().map(Stated::statement).collect()),
            (Told::Stream, heard.into_iter().filter(|said| matches!(said.fact, AnyFact::Order(_))).collect()),
            (Told::Ccxt, read("orders.json", format!("[{}]", objects.join(",")))),
            (Told::Csv, read("orders.csv", exports::orders(&truth))),
            (Told::Lines, read("orders.ndjson", lines.collect())),
        ]);
    }

    async fn book(&self) -> Arc<SqliteStore> {
        let store = Arc::new(SqliteStore::in_memory(&OpenOptions::inline()).unwrap());
        let new = NewAccount { id: account(), venue: "binance_usdm".into(), created_local: self.clock.now() };
        store.create_account(new).await.unwrap();
        // Exports do not name a position, so the user's word places their fills.
        store.set_position_mode(&account(), PositionMode::OneWay, self.clock.now()).await.unwrap();
        store
    }

    async fn commit(&self, book: &SqliteStore, told: Told) {
        book.commit(Batch::new(account(), self.clock.now(), self.told[&told].clone())).await.unwrap();
    }

    async fn sync(&self, book: &Arc<SqliteStore>) {
        let reconciler = Reconciler {
            exchange: Arc::clone(&self.exchange) as Arc<dyn ExchangeReader>,
            book: book.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(account()),
        };
        for _ in 0..6 {
            if reconciler.sync().await.unwrap().run.is_none() {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

/// A file, each row of which has to be understood.
fn read(name: &str, text: String) -> Vec<Statement> {
    let file = ImportFile::from_reader(name, Cursor::new(text), Options::default()).unwrap();
    file.flat_map(|row| row.unwrap().result.unwrap()).collect()
}

/// ccxt's object around the exchange's own answer.
fn unified(row: &Stated<Order>) -> String {
    let order = &row.entity;
    let pair = order.key.symbol.as_str().strip_suffix("USDT").unwrap();
    format!(
        r#"{{"id":"{}","symbol":"{pair}/USDT:USDT","side":"{}","status":"closed","filled":0,"info":{}}}"#,
        order.key.order_id,
        order.side.as_str().to_lowercase(),
        row.payload
    )
    .replace(r#""filled":0,"#, "")
}

/// Who sent each regular order, why each round trip ended, and what was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Story {
    origins: BTreeMap<OrderKey, Origin>,
    exits: Vec<(String, ExitReason)>,
    cancelled: Vec<(String, i64)>,
}

async fn story(store: &SqliteStore) -> Story {
    let (scope, page) = (Scope::account(account()), || PageRequest::first(500));
    let orders = store.orders(&OrderFilter::from(scope.clone()), page()).await.unwrap().items;
    let origins = orders.into_iter().filter_map(|row| Some((row.order.fact.key.clone(), row.order.fact.origin?)));
    let trips = store
        .trips(&TripFilter { scope: scope.clone(), engine: None, position_side: None }, page())
        .await
        .unwrap()
        .items;
    let mut exits: Vec<_> =
        trips.iter().map(|trip| (format!("{} {}", trip.symbol, trip.number), trip.exit_reason)).collect();
    exits.sort();
    let cancels = store.cancels(&scope, page()).await.unwrap().items;
    // The export knows seconds.
    let cancelled = cancels
        .iter()
        .map(|cancel| (cancel.fact.key.order_id.to_string(), cancel.fact.time.at.as_ms().div_euclid(1_000)));
    Story { origins: origins.collect(), exits, cancelled: cancelled.collect() }
}

/// The signals that looks restored, by their id, which names the order.
async fn restored(store: &SqliteStore) -> BTreeMap<SignalId, SignalKind> {
    let filter = SignalFilter::from(Scope::account(account()));
    let signals = store.signals(&filter, PageRequest::first(500)).await.unwrap().items;
    signals.into_iter().map(|signal| (signal.fact.signal_id, signal.fact.kind)).collect()
}

fn expected_exits() -> Vec<(String, ExitReason)> {
    [
        ("BTCUSDT 1", ExitReason::Unknown),
        ("BTCUSDT 2", ExitReason::Liquidation),
        ("ETHUSDT 1", ExitReason::ManualClose),
        ("ETHUSDT 2", ExitReason::Adl),
        ("SOLUSDT 1", ExitReason::StopLoss),
        ("SOLUSDT 2", ExitReason::Settlement),
    ]
    .map(|(trip, reason)| (trip.to_owned(), reason))
    .to_vec()
}

#[tokio::test(start_paused = true)]
async fn every_source_tells_the_same_story_of_an_order() {
    let world = World::new().await;
    for told in [Told::Rest, Told::Stream, Told::Ccxt, Told::Csv, Told::Lines] {
        for fills_first in [true, false] {
            let book = world.book().await;
            for told in if fills_first { [Told::Fills, told] } else { [told, Told::Fills] } {
                world.commit(&book, told).await;
            }
            let found = story(&book).await;
            let mut exits = expected_exits();
            if told == Told::Csv {
                // The export lists no conditional orders, so it alone does not say that a stop closed this one.
                exits[4].1 = ExitReason::Unknown;
            }
            assert_eq!(found.exits, exits, "{told:?}");
            assert_eq!(found.cancelled.len(), 1, "{told:?}");
            let sent: Vec<Origin> = found
                .origins
                .iter()
                .filter(|(key, _)| key.class == OrderClass::Regular)
                .map(|(_, origin)| *origin)
                .collect();
            let count = |origin| sent.iter().filter(|sent| **sent == origin).count();
            let counts = Origin::ALL.iter().map(|origin| count(*origin));
            // Program, person, forced, settlement, adl, liquidation.
            assert_eq!(counts.collect::<Vec<_>>(), [9, 1, 0, 1, 1, 1], "{told:?}: {sent:?}");
        }
    }
    // The list of forced orders knows those alone.
    let book = world.book().await;
    world.commit(&book, Told::Fills).await;
    world.commit(&book, Told::Forced).await;
    let exits: Vec<_> = story(&book).await.exits.into_iter().map(|(_, reason)| reason).collect();
    let (unknown, forced) = (ExitReason::Unknown, [ExitReason::Liquidation, ExitReason::Adl]);
    assert_eq!(exits, [unknown, forced[0], unknown, forced[1], unknown, unknown]);
}

/// Random orders of arrival with repetition, drawn from a fixed seed; every third ends with looks at the exchange, and so
/// does each of these in another place.
#[tokio::test(start_paused = true)]
async fn in_whatever_order_sources_come_the_story_is_the_same() {
    let world = World::new().await;
    let whole = world.book().await;
    for told in ALL {
        world.commit(&whole, told).await;
    }
    let expected = story(&whole).await;
    assert_eq!(expected.exits, expected_exits());
    // What brought the fills of a close decides whether a signal is restored behind it, but never of which kind.
    let mut signals = BTreeMap::<SignalId, SignalKind>::new();
    let mut state = 7_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    for round in 0..36 {
        let mut order = ALL.to_vec();
        order.extend((0..3).map(|_| ALL[below(ALL.len())]));
        for last in (1..order.len()).rev() {
            order.swap(last, below(last + 1));
        }
        let look_after = below(order.len());
        let book = world.book().await;
        for (index, told) in order.iter().enumerate() {
            world.commit(&book, *told).await;
            if round % 3 == 0 && index == look_after {
                world.sync(&book).await;
            }
        }
        let found = story(&book).await;
        assert_eq!(found, expected, "{order:?}, look after {look_after}");
        if round % 3 == 0 {
            world.sync(&book).await;
            assert_eq!(story(&book).await, expected, "{order:?}, looked at");
            for (id, kind) in restored(&book).await {
                assert_eq!(
                    *signals.entry(id.clone()).or_insert(kind),
                    kind,
                    "{id}: {order:?}, look after {look_after}"
                );
            }
        }
    }
    let count = |kind| signals.values().filter(|restored| **restored == kind).count();
    // Six openings, the close by hand and the stop; the exchange's own closes have none.
    assert_eq!([SignalKind::Entry, SignalKind::ManualClose, SignalKind::AutoExit].map(count), [6, 1, 1]);
}
