//! One account, one history, and every way into the book: what a bot recorded and what it lost, the exchange's exports, and
//! asking the exchange. Whichever comes first, the logical book is the same in the end.

pub(crate) mod exports;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::files::{ImportFile, Options};
use exchange_client::simulator::{Simulator, SimulatorConfig};
use exchange_client::{Clock, ExchangeReader, ExchangeTrader, ManualClock, NewOrder, OrderRef, TradeQuery};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, EngineLabel, EventTime, IntentOutcome, IntentRole, Label, OrderClass,
    OrderIntent, PositionSide, Side, Signal, SignalId, SignalKind, Sourced, Statement, Symbol,
};
use ledger_store::contract::dump;
use ledger_store::{
    Batch, FactReader, FillFilter, IntentFilter, NewAccount, OpenOptions, OrderFilter, PageRequest, Scope,
    SignalFilter, SqliteStore, Writer,
};
use reconciler::{CycleReport, Reconciler, ReconcilerConfig, Recorder};

use crate::support::simulated;

/// One way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// What the bot has on record.
    Record,
    Trades,
    Orders,
    Transactions,
    /// A look at the exchange that repairs.
    Sync,
}

/// What of an order the bot lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    /// The decision; what the exchange answered is all there.
    Signal,
    Fills,
    Answer,
    Everything,
}

struct World {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    /// What the bot kept.
    recorded: Vec<Statement>,
}

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

/// A book of nothing but the account.
async fn empty_book(clock: &ManualClock) -> Arc<SqliteStore> {
    let store =
        Arc::new(
            SqliteStore::in_memory(&OpenOptions::inline().with_rules(
                exchange_client::binance_usdm::VENUE.name,
                exchange_client::binance_usdm::VENUE.ledger_rules,
            ))
            .unwrap(),
        );
    let new = NewAccount { id: account(), venue: "binance_usdm".into(), created_local: clock.now() };
    store.create_account(new).await.unwrap();
    store
}

impl World {
    /// A bot's session with one loss of each kind, a close by hand, trades by hand, a cancelled order, and funding.
    async fn new(seed: u64) -> Self {
        let config = SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(seed) };
        let (simulator, clock, exchange) = simulated(config);
        let mut world = Self { simulator, clock, exchange, recorded: Vec::new() };
        let notes = empty_book(&world.clock).await;
        let plan = [
            ("BTCUSDT", Side::Buy, "0.05", Loss::Nothing),
            ("ETHUSDT", Side::Sell, "1.5", Loss::Fills),
            ("BTCUSDT", Side::Buy, "0.013", Loss::Answer),
            ("ETHUSDC", Side::Buy, "0.4", Loss::Nothing),
            ("BTCUSDT", Side::Sell, "0.1", Loss::Nothing),
            ("ETHUSDT", Side::Buy, "1.5", Loss::Everything),
            ("SOLUSDT", Side::Buy, "9", Loss::Everything),
            ("币安人生USDT", Side::Buy, "700", Loss::Signal),
        ];
        for (number, (name, side, qty, loss)) in plan.into_iter().enumerate() {
            world.simulator.step(Duration::from_secs(7_400));
            world.trade(&notes, number, name, side, qty, loss).await;
        }
        world.simulator.step(Duration::from_mins(15));
        world.simulator.close_from_app("sim-main", &Symbol::new("ETHUSDC").unwrap(), PositionSide::Net).unwrap();
        world.rest_and_cancel().await;
        world.simulator.step(Duration::from_hours(2));
        world.recorded = statements_of(&notes).await;
        world
    }

    /// A limit order far away that is cancelled again, by a part of the bot that records nothing.
    async fn rest_and_cancel(&self) {
        let symbol = Symbol::new("SOLUSDT").unwrap();
        let price = self.simulator.price(&symbol).unwrap().div_round("2".parse().unwrap(), 2).unwrap();
        let mut intent = self.intent(90, &symbol, Side::Buy, "3", None);
        intent.order_type = Label::new("LIMIT").unwrap();
        intent.price = Some(price.to_string().parse().unwrap());
        let order = self.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await.done().unwrap();
        self.simulator.step(Duration::from_mins(3));
        let placed = OrderRef::Id(OrderClass::Regular, order.entity.key.order_id.clone());
        self.exchange.cancel_order(symbol, placed).await.done().unwrap();
    }

    async fn trade(&self, notes: &Arc<SqliteStore>, number: usize, name: &str, side: Side, qty: &str, loss: Loss) {
        let recorder = Recorder::new(notes.clone(), account(), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let symbol = Symbol::new(name).unwrap();
        let signal_id = SignalId::new(format!("s-{number}")).unwrap();
        let signal = Signal {
            signal_id: signal_id.clone(),
            time: EventTime::ms(self.clock.now()),
            skew_ms: Some(0),
            symbol: symbol.clone(),
            side,
            kind: SignalKind::Entry,
            engine: Some(EngineLabel::new("swing").unwrap()),
            reason: None,
            skipped: None,
            meta_json: None,
            restored: false,
        };
        let is_told = loss != Loss::Everything && loss != Loss::Signal;
        let intent = self.intent(number, &symbol, side, qty, Some(signal_id).filter(|_| loss != Loss::Signal));
        if is_told {
            recorder.signal(signal).await.unwrap();
        }
        let outcome = match loss {
            Loss::Nothing | Loss::Signal | Loss::Fills => {
                recorder.send(&*self.exchange, &intent).await.unwrap().unwrap()
            }
            Loss::Answer | Loss::Everything => {
                if loss == Loss::Answer {
                    recorder.intent(intent.clone()).await.unwrap();
                }
                self.exchange.create_order(NewOrder::from_intent(&intent).unwrap()).await
            }
        };
        let order = outcome.done().unwrap();
        if loss == Loss::Nothing || loss == Loss::Signal {
            let query = TradeQuery::Order(order.entity.key.order_id.clone());
            recorder.fills(&self.exchange.fetch_my_trades(symbol, query).await.unwrap().rows).await.unwrap();
        }
    }

    fn intent(
        &self,
        number: usize,
        symbol: &Symbol,
        side: Side,
        qty: &str,
        signal_id: Option<SignalId>,
    ) -> OrderIntent {
        OrderIntent {
            // Some tell the strategy, some do not.
            client_order_id: ClientOrderId::new(match number % 2 {
                0 => format!("bot-{number}"),
                _ => format!("fb:swing:e:{number}"),
            })
            .unwrap(),
            symbol: symbol.clone(),
            class: OrderClass::Regular,
            side,
            position_side: Some(PositionSide::Net),
            role: IntentRole::Entry,
            dca_step: 0,
            attempt: 1,
            order_type: Label::new("MARKET").unwrap(),
            qty: Some(qty.parse().unwrap()),
            price: None,
            trigger_price: None,
            reduce_only: false,
            signal_id,
            engine: Some(EngineLabel::new("swing").unwrap()),
            created_local: self.clock.now(),
            outcome: IntentOutcome::Pending,
        }
    }

    async fn sync(&self, book: &Arc<SqliteStore>) -> CycleReport {
        let reconciler = Reconciler {
            exchange: Arc::clone(&self.exchange) as Arc<dyn ExchangeReader>,
            book: book.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(account()),
        };
        reconciler.sync().await.unwrap()
    }

    /// Every row of an export has to be understood.
    async fn import(&self, book: &SqliteStore, name: &str, text: String) {
        let file = ImportFile::from_reader(name, Cursor::new(text), Options::default()).unwrap();
        let statements: Vec<Statement> = file.flat_map(|row| row.unwrap().result.unwrap()).collect();
        assert!(!statements.is_empty(), "{name}");
        book.commit(Batch::new(account(), self.clock.now(), statements)).await.unwrap();
    }

    async fn step(&self, book: &Arc<SqliteStore>, step: Step) {
        let truth = || self.simulator.books().accounts[0].clone();
        match step {
            Step::Record => {
                book.commit(Batch::new(account(), self.clock.now(), self.recorded.clone())).await.unwrap();
            }
            Step::Trades => self.import(book, "trades.csv", exports::trades(&truth())).await,
            Step::Orders => self.import(book, "orders.csv", exports::orders(&truth())).await,
            Step::Transactions => self.import(book, "transactions.csv", exports::transactions(&truth())).await,
            Step::Sync => drop(self.sync(book).await),
        }
    }

    /// The book after these steps, and after the exchange was asked until it had nothing to add.
    async fn book_after(&self, steps: &[Step]) -> Vec<String> {
        let book = empty_book(&self.clock).await;
        for step in steps {
            self.step(&book, *step).await;
        }
        for look in 0.. {
            let report = self.sync(&book).await;
            if report.run.is_none() {
                break;
            }
            assert!(look < 4, "{steps:?}: {:?}", report.findings);
        }
        dump(&*book, &account()).await
    }
}

/// What is on record, as whoever said it would say it again.
async fn statements_of(store: &SqliteStore) -> Vec<Statement> {
    fn again<F>(items: Vec<Sourced<F>>, fact: fn(F) -> AnyFact) -> impl Iterator<Item = Statement> {
        items.into_iter().map(move |item| Statement {
            fact: fact(item.fact),
            source: item.provenance.source,
            payload: None,
        })
    }
    let (scope, page) = (Scope::account(account()), || PageRequest::first(500));
    let signals = store.signals(&SignalFilter::from(scope.clone()), page()).await.unwrap().items;
    let intents = store.intents(&IntentFilter::from(scope.clone()), page()).await.unwrap().items;
    let orders = store.orders(&OrderFilter::from(scope.clone()), page()).await.unwrap().items;
    let fills = store.fills(&FillFilter::from(scope), page()).await.unwrap().items;
    let orders = orders.into_iter().map(|order| order.order).collect();
    again(signals, AnyFact::Signal)
        .chain(again(intents, AnyFact::Intent))
        .chain(again(orders, AnyFact::Order))
        .chain(again(fills, AnyFact::Fill))
        .collect()
}

/// Every order of the steps.
fn orders_of(steps: &[Step]) -> BTreeSet<Vec<Step>> {
    if steps.is_empty() {
        return BTreeSet::from([Vec::new()]);
    }
    let mut all = BTreeSet::new();
    for (index, first) in steps.iter().enumerate() {
        let mut rest = steps.to_vec();
        rest.remove(index);
        all.extend(orders_of(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

fn only_in<'a>(a: &'a [String], b: &[String]) -> Vec<&'a String> {
    a.iter().filter(|line| !b.contains(line)).collect()
}

/// Asking first and reading the exports afterwards, or the other way round, with what the bot recorded before, between or
/// after.
#[tokio::test]
async fn every_way_into_the_book_makes_the_same_book() {
    let world = World::new(11).await;
    let steps = [Step::Record, Step::Trades, Step::Orders, Step::Transactions, Step::Sync, Step::Sync];
    let first = world.book_after(&steps).await;
    assert!(
        first.iter().any(|line| line.contains("bot-2")) && first.len() > 60,
        "the world says too little: {first:#?}"
    );
    for restored in ["signal_id: \".restored:SOLUSDT:", "signal_id: \".restored:币安人生USDT:"] {
        assert!(first.iter().any(|line| line.contains(restored)), "no {restored} in {first:#?}");
    }
    let mut differing = Vec::new();
    // One in so many: each is a book of its own. The files one after the other, in every order, are all there.
    for (index, order) in orders_of(&steps).into_iter().enumerate() {
        let files_together = order.windows(3).any(|three| three == &steps[1..4]);
        if !files_together && index % 15 != 0 {
            continue;
        }
        let book = world.book_after(&order).await;
        let (more, less) = (only_in(&book, &first), only_in(&first, &book));
        if !more.is_empty() || !less.is_empty() {
            differing.push(format!("{order:?}\n+ {more:#?}\n- {less:#?}"));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
