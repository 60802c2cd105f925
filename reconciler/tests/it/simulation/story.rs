//! What happens in a story, by its seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exchange_client::Clock;
use exchange_client::binance_usdm::UserStreamSettings;
use exchange_client::simulator::{AppOrder, FaultProfile, SimulatorConfig, SimulatorTransport, StreamFaults};
use ledger_core::{PositionSide, Side, Symbol};
use reconciler::Verdict;
use reconciler::service::{StopSwitch, Teller, WatchConfig, WatchError, Watcher};

use super::bot::Bot;
use crate::support::Fixture;

/// How far the clock moves at once while something is going on.
const STEP: Duration = Duration::from_millis(200);
/// And while everybody waits.
const STRIDE: Duration = Duration::from_secs(5);

pub(super) const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
const ALIAS: &str = "sim-main";

/// Knuth's generator: a seed always tells the same story.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Everything that happened, in order.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

pub(super) struct Story {
    seed: u64,
    pub(super) fixture: Fixture,
    pub(super) random: Random,
    log: Log,
    bot: Bot,
    watch: Option<(StopSwitch, tokio::task::JoinHandle<Result<(), WatchError>>)>,
    watchers: usize,
}

impl Story {
    pub(super) async fn begin(seed: u64) -> Self {
        let fixture = Fixture::in_process(SimulatorConfig::new(seed)).await;
        let mut random = Random(seed.wrapping_mul(2_654_435_761));
        random.below(2);
        let mut story =
            Self { seed, fixture, random, log: Arc::default(), bot: Bot::default(), watch: None, watchers: 0 };
        story.start();
        story
    }

    pub(super) fn note(&self, what: &str) {
        let at = self.fixture.clock.now();
        self.log.lock().unwrap().push(format!("{at} {what}"));
    }

    fn start(&mut self) {
        self.watchers += 1;
        let fixture = &self.fixture;
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&fixture.simulator)));
        let streams = Arc::new(fixture.exchange.user_streams(transport, UserStreamSettings::default()).unwrap());
        let mut config = WatchConfig::new(fixture.account.clone(), format!("watcher {}", self.watchers)).clone();
        config.seed = u32::try_from(self.seed % 1_000).unwrap();
        let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
        let watcher = Watcher::new(fixture.exchange.clone(), streams.clone(), fixture.store.clone(), clock, config);
        let watcher = watcher.hearing_marks(streams);
        let log = Arc::clone(&self.log);
        let teller: Teller = Arc::new(move |told| {
            log.lock().unwrap().push(format!("{} {}: {}", told.at_local, told.kind, told.text));
        });
        let (switch, stop) = StopSwitch::new();
        self.watch = Some((switch, tokio::spawn(async move { watcher.run(stop, teller).await })));
        self.note("the watcher starts");
    }

    /// Lets time pass: the exchange's, the machine's and the runtime's alike.
    pub(super) async fn pass(&self, time: Duration, step: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(step);
            self.fixture.simulator.step(step);
            tokio::time::sleep(step).await;
            left -= step;
        }
    }

    /// Lets time pass while somebody does something.
    async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.pass(STEP, STEP) => {}
            }
        }
    }

    /// Some minutes of trading, with whatever goes wrong.
    pub(super) async fn live(&mut self) {
        self.pass(Duration::from_secs(3), STEP).await;
        let deeds = 12 + self.random.below(12);
        for _ in 0..deeds {
            Box::pin(self.deed()).await;
            let pause = Duration::from_millis(self.random.below(9_000));
            self.pass(pause, STEP).await;
        }
    }

    async fn deed(&mut self) {
        match self.random.below(16) {
            0..=4 => {
                let mut bot = std::mem::take(&mut self.bot);
                let told = Box::pin(bot.trade(self)).await;
                self.bot = bot;
                self.note(&told);
            }
            5 | 6 => self.by_hand(),
            7 => self.forced(),
            8 => {
                let amount = 1 + self.random.below(500);
                self.fixture.simulator.deposit(ALIAS, "USDT", amount.to_string().parse().unwrap()).unwrap();
                self.note(&format!("{amount} USDT are transferred in"));
            }
            9 | 10 => self.weather(),
            11 => self.fair_weather(),
            12 => self.crash().await,
            13 => {
                let minutes = 1 + self.random.below(12);
                self.pass(Duration::from_mins(minutes), STRIDE).await;
            }
            _ => self.pass(Duration::from_secs(20), STEP).await,
        }
    }

    /// Somebody trades in the exchange's own app.
    fn by_hand(&mut self) {
        let symbol = Symbol::new(*self.random.of(&SYMBOLS)).unwrap();
        if self.random.below(3) == 0 && self.fixture.simulator.close_from_app(ALIAS, &symbol, PositionSide::Net).is_ok()
        {
            self.note(&format!("{symbol} is closed by hand"));
            return;
        }
        let side = *self.random.of(&[Side::Buy, Side::Sell]);
        let qty = *self.random.of(&["1", "2"]);
        let price = (self.random.below(3) == 0).then(|| self.far_from_the_market(&symbol, side));
        let wish = AppOrder {
            prefix: "web_",
            symbol: symbol.clone(),
            side,
            position_side: PositionSide::Net,
            qty: qty.parse().unwrap(),
            price,
            reduce_only: false,
        };
        let sent = self.fixture.simulator.trade_from_app(ALIAS, &wish);
        self.note(&format!("{side} {qty} {symbol} by hand: {}", if sent.is_ok() { "done" } else { "refused" }));
    }

    /// A limit that may be reached, or rests for ever.
    fn far_from_the_market(&self, symbol: &Symbol, side: Side) -> ledger_core::Price {
        let price = self.fixture.simulator.price(symbol).unwrap();
        let per_mille = if side == Side::Buy { "0.97" } else { "1.03" };
        let far = price.checked_mul(per_mille.parse().unwrap()).unwrap();
        far.div_round("1".parse().unwrap(), 0).unwrap().to_string().parse().unwrap()
    }

    /// The exchange does something by itself.
    fn forced(&mut self) {
        let held = self.fixture.simulator.books().accounts[0].positions.clone();
        let Some(held) = held.first() else { return };
        let symbol = Symbol::new(&held.symbol).unwrap();
        if self.random.below(2) == 0 {
            self.fixture.simulator.force_liquidation(ALIAS, &symbol, PositionSide::Net).unwrap();
            self.note(&format!("{symbol} is liquidated"));
        } else {
            let qty = held.qty.abs().to_string().parse().unwrap();
            self.fixture.simulator.force_adl(ALIAS, &symbol, PositionSide::Net, qty).unwrap();
            self.note(&format!("{symbol} is deleveraged"));
        }
    }

    /// Something goes wrong from now on.
    fn weather(&mut self) {
        let seed = self.random.below(1_000_000);
        let (name, faults) = match self.random.below(6) {
            0 => ("hostile", FaultProfile::hostile()),
            1 => ("flaky", FaultProfile::flaky()),
            2 => ("a stream that drops", of_stream(StreamFaults { dropped: 300, ..StreamFaults::default() })),
            3 => ("a stream that breaks", of_stream(StreamFaults { broken: 100, ..StreamFaults::default() })),
            4 => ("a stream that falls silent", of_stream(StreamFaults { silenced: 200, ..StreamFaults::default() })),
            _ => (
                "a stream out of order",
                of_stream(StreamFaults {
                    duplicated: 300,
                    reordered: 500,
                    delayed: 300,
                    delay_ms_max: 4_000,
                    ..StreamFaults::default()
                }),
            ),
        };
        self.fixture.simulator.set_faults(faults.with_seed(seed));
        self.note(&format!("from now on: {name}"));
    }

    pub(super) fn fair_weather(&mut self) {
        self.fixture.simulator.set_faults(FaultProfile::none());
        self.note("from now on: nothing goes wrong");
    }

    /// The watcher dies wherever it is, and another one starts.
    async fn crash(&mut self) {
        let turns = self.random.below(40);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if let Some((switch, task)) = self.watch.take() {
            task.abort();
            let _aborted = task.await;
            drop(switch);
        }
        self.note("the watcher crashes");
        let pause = Duration::from_millis(self.random.below(20_000));
        self.pass(pause, STEP).await;
        self.start();
    }

    /// Everything works again, for long enough; then the book is held against everything there is to know.
    pub(super) async fn end(mut self) -> Vec<String> {
        self.fair_weather();
        self.pass(Duration::from_secs(30), STEP).await;
        self.pass(Duration::from_mins(32), STRIDE).await;
        let (switch, task) = self.watch.take().unwrap();
        switch.stop();
        self.pass(Duration::from_secs(5), STEP).await;
        assert!(task.is_finished(), "it does not end");
        task.await.unwrap().unwrap();
        self.note("the watcher ends");
        self.fixture.assert_book_equals_exchange().await;
        self.bot.assert_kept(&self.fixture).await;
        let report = self.fixture.reconciler().audit().await.unwrap();
        for check in &report.verification.checks {
            assert!(!matches!(check.verdict, Verdict::Fail { .. }), "{check:?}");
        }
        let open: Vec<_> = report.unresolved().map(|found| &found.finding).collect();
        let harmless =
            |kind: &str| ["liquidation", "adl", "foreign_fills", "unexplained_close", "orphan_order"].contains(&kind);
        assert!(open.iter().all(|found| harmless(found.kind.as_str())), "{open:#?}");
        let rows = self.fixture.store.rows_except(&["looks", "leases", "__diesel_schema_migrations"]).await.unwrap();
        let mut log = std::mem::take(&mut *self.log.lock().unwrap());
        log.extend(rows);
        log
    }

    pub(super) async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        self.during(work).await
    }
}

fn of_stream(stream: StreamFaults) -> FaultProfile {
    FaultProfile { stream, ..FaultProfile::none() }
}
