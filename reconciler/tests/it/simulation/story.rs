//! What happens in a story, by its seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exchange_client::simulator::{SimulatorConfig, SimulatorTransport};
use exchange_client::{Clock, Request, Transport};
use ledger_core::{Direction, PositionSide, Symbol, TimestampMs};
use ledger_store::{OpenOptions, SqliteStore};
use reconciler::service::StopSwitch;
use reconciler::spool_of;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::bots::recorder::Pipe;
use super::bots::{Desk, Wish, bookless, executing, recorder, telling};
use super::process::{Process, runtime};
use super::random::Random;
use super::wire::Wire;
use super::{oracle, watching};
use crate::support::{Fixture, options};

/// How far the exchange's clock moves at once while something is going on.
pub(super) const STEP: Duration = Duration::from_millis(200);
/// And while everybody waits.
const STRIDE: Duration = Duration::from_secs(5);
/// How often each process gets its turn in a step.
const SLICES: u32 = 4;

pub(super) const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
pub(super) const ALIAS: &str = "sim-main";

/// Everything that happened, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn note(&self, at: TimestampMs, what: &str) {
        self.0.lock().unwrap().push(format!("{at} {what}"));
    }

    /// Takes what was noted.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn extend(&self, lines: Vec<String>) {
        self.0.lock().unwrap().extend(lines);
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn has_since(&self, line: usize, word: &str) -> bool {
        self.0.lock().unwrap()[line..].iter().any(|line| line.contains(word))
    }
}

/// Who has a process of its own, in the order in which they get their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Watcher,
    Executing,
    Telling,
    Recorder,
    Bookless,
}

pub(super) const ALL: [Who; 5] = [Who::Watcher, Who::Executing, Who::Telling, Who::Recorder, Who::Bookless];

/// A process, if it lives, and how it is told something.
#[derive(Default)]
pub(super) struct Place {
    pub(super) process: Option<Process>,
    wishes: Option<UnboundedSender<(usize, Wish)>>,
}

pub(super) struct Story {
    pub(super) seed: u64,
    pub(super) fixture: Fixture,
    pub(super) random: Random,
    pub(super) is_hedged: bool,
    pub(super) log: Log,
    /// Where the story itself asks.
    pub(super) home: Runtime,
    pub(super) places: [Place; ALL.len()],
    pub(super) stop: Option<StopSwitch>,
    pub(super) executing: Arc<Mutex<executing::Memory>>,
    pub(super) telling: Arc<Mutex<telling::Memory>>,
    pipe: Pipe,
    /// How many processes were begun.
    begun: u32,
    wishes: usize,
    /// What arrives at the exchange after its sender's death, and when.
    pub(super) late: Vec<(TimestampMs, Request)>,
    /// Up to where the log was looked through.
    looked: usize,
}

impl Story {
    pub(super) fn begin(seed: u64, log: Log) -> Self {
        let home = runtime();
        let mut random = Random::new(seed);
        let is_hedged = seed.is_multiple_of(3);
        let mut config = SimulatorConfig::new(seed);
        config.settle_lag_ms = *random.of(&[0, 0, 1_500, 6_000]);
        for account in &mut config.accounts {
            account.hedge_mode = is_hedged;
        }
        let fixture = home.block_on(Fixture::in_process(config));
        let mut story = Self {
            seed,
            fixture,
            random,
            is_hedged,
            log,
            home,
            places: Default::default(),
            stop: None,
            executing: Arc::default(),
            telling: Arc::default(),
            pipe: Pipe::default(),
            begun: 0,
            wishes: 0,
            late: Vec::new(),
            looked: 0,
        };
        story.note(if is_hedged { "the account is in hedge mode" } else { "the account is in one-way mode" });
        for who in ALL {
            story.start(who);
        }
        story
    }

    pub(super) fn note(&self, what: &str) {
        self.log.note(self.fixture.clock.now(), what);
    }

    pub(super) fn start(&mut self, who: Who) {
        self.begun += 1;
        let wire = Wire::new(&self.fixture.simulator, self.seed.wrapping_mul(1_000).wrapping_add(self.begun.into()));
        let db = self.fixture.folder.path().join("book.db");
        // One that finds the book locked does not wait: the clock of this machine is no part of the story.
        let options = OpenOptions { create: false, busy_timeout_ms: 0, ..options() };
        let desk = Desk {
            exchange: Arc::new(self.fixture.adapter_over(wire.clone())),
            store: Arc::new(SqliteStore::open(&db, &options).unwrap()),
            account: self.fixture.account.clone(),
            clock: Arc::clone(&self.fixture.clock),
            is_hedged: self.is_hedged,
            spool: spool_of(&db),
            log: self.log.clone(),
        };
        let (wishes, heard) = unbounded_channel();
        let process = match who {
            Who::Watcher => self.watcher(wire, desk),
            Who::Executing => Process::start(wire, executing::Bot::new(desk, Arc::clone(&self.executing)).live(heard)),
            Who::Telling => self.telling_bot(wire, desk, heard),
            Who::Recorder => Process::start(wire, recorder::live(desk, self.pipe.open())),
            Who::Bookless => Process::start(wire, bookless::live(desk, heard)),
        };
        self.places[who as usize] = Place { process: Some(process), wishes: Some(wishes) };
    }

    fn watcher(&mut self, wire: Wire, desk: Desk) -> Process {
        let (switch, stop) = StopSwitch::new();
        self.stop = Some(switch);
        let transport = SimulatorTransport::new(Arc::clone(&self.fixture.simulator));
        let name = format!("watcher {}", self.begun);
        let seed = u32::try_from(self.seed % 1_000).unwrap();
        self.note("the watcher starts");
        Process::start(wire, watching::live(desk, transport, name, seed, stop))
    }

    fn telling_bot(&self, wire: Wire, desk: Desk, wishes: UnboundedReceiver<(usize, Wish)>) -> Process {
        Process::start(wire, telling::Bot::new(desk, self.pipe.clone(), Arc::clone(&self.telling)).live(wishes))
    }

    pub(super) fn wish(&mut self, who: Who, wish: Wish) {
        self.wishes += 1;
        if let Some(wishes) = &self.places[who as usize].wishes {
            // A bot that is dead hears nothing.
            let _unheard = wishes.send((self.wishes, wish));
        }
    }

    /// Lets time pass: the exchange's, the machine's and that of every process alike.
    pub(super) fn pass(&mut self, time: Duration, step: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(step);
            self.fixture.simulator.step(step);
            self.deliver();
            for _ in 0..SLICES {
                for process in self.places.iter().filter_map(|place| place.process.as_ref()) {
                    process.live(step / SLICES);
                }
            }
            left -= step;
            self.look_after();
        }
    }

    /// What dead processes sent arrives.
    fn deliver(&mut self) {
        let now = self.fixture.clock.now();
        let transport = SimulatorTransport::new(Arc::clone(&self.fixture.simulator));
        for (_, request) in self.late.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            let what = format!("{} {}", request.method, request.path);
            let answered = self.home.block_on(transport.send(request));
            self.note(&format!("{what} of a dead process arrives: {:?}", answered.map(|answer| answer.status).ok()));
        }
    }

    /// Starts again what came to its end, and holds the book against the exchange where something was compared.
    fn look_after(&mut self) {
        for who in ALL {
            let place = &mut self.places[who as usize];
            if place.process.as_mut().is_some_and(Process::has_ended) {
                place.process = None;
                self.start(who);
            }
        }
        let was_compared = ["compared: ", "restored: "].iter().any(|word| self.log.has_since(self.looked, word));
        self.looked = self.log.len();
        if was_compared {
            self.check();
        }
    }

    pub(super) fn check(&self) {
        self.home.block_on(oracle::hold_against_exchange(&self.fixture));
    }

    /// Some minutes of trading, with whatever goes wrong.
    pub(super) fn live(&mut self) {
        self.pass(Duration::from_secs(3), STEP);
        let deeds = 12 + self.random.below(12);
        for _ in 0..deeds {
            self.deed();
            let pause = Duration::from_millis(self.random.below(9_000));
            self.pass(pause, STEP);
            self.check();
        }
    }

    fn deed(&mut self) {
        match self.random.below(20) {
            0..=5 => {
                let who = *self.random.of(&[Who::Executing, Who::Telling, Who::Bookless]);
                self.something_for(who);
            }
            6 | 7 => self.by_hand(),
            8 => self.forced(),
            9 => self.transfer(),
            10 | 11 => self.weather(),
            12 => self.fair_weather(),
            13..=15 => self.crash(),
            16 => self.locked(),
            17 => {
                let minutes = 1 + self.random.below(12);
                self.pass(Duration::from_mins(minutes), STRIDE);
            }
            _ => self.pass(Duration::from_secs(20), STEP),
        }
    }

    /// A bot is wished to do something.
    pub(super) fn something_for(&mut self, who: Who) {
        let kind = self.random.below(5);
        let symbol = Symbol::new(*self.random.of(&SYMBOLS)).unwrap();
        let qty = *self.random.of(&["1", "2", "3"]);
        let direction = *self.random.of(&[Direction::Long, Direction::Short]);
        let price = (kind == 3).then(|| self.far_from_the_market(&symbol, direction == Direction::Long).to_string());
        let wish = if kind < 2 { Wish::Close } else { Wish::Enter { symbol, direction, qty, price } };
        self.wish(who, wish);
    }

    /// A limit that may be reached, or rests for ever.
    pub(super) fn far_from_the_market(&self, symbol: &Symbol, is_buy: bool) -> ledger_core::Price {
        let price = self.fixture.simulator.price(symbol).unwrap();
        let share = if is_buy { "0.97" } else { "1.03" };
        let far = price.checked_mul(share.parse().unwrap()).unwrap();
        far.div_round("1".parse().unwrap(), 0).unwrap().to_string().parse().unwrap()
    }

    /// The position of a contract that something is about.
    pub(super) fn position_side(&mut self) -> PositionSide {
        if self.is_hedged { *self.random.of(&[PositionSide::Long, PositionSide::Short]) } else { PositionSide::Net }
    }

    /// Everything works again, for long enough.
    pub(super) fn come_to_rest(&mut self) {
        self.fair_weather();
        self.pass(Duration::from_secs(30), STEP);
        self.pass(Duration::from_mins(18), STRIDE);
        // No order that rests is executed any more: the ledger rows of a trade come with the next cycle.
        for name in SYMBOLS {
            self.fixture.simulator.hold_price(&Symbol::new(name).unwrap(), true).unwrap();
        }
        self.pass(Duration::from_mins(14), STRIDE);
        self.check();
        assert!(!self.executing.lock().unwrap().is_busy(), "{:?}", self.executing);
        assert!(!self.telling.lock().unwrap().is_busy(), "{:?}", self.telling);
        let watcher = &mut self.places[Who::Watcher as usize];
        let mut process = watcher.process.take().unwrap();
        self.stop.take().unwrap().stop();
        process.live(Duration::from_secs(5));
        assert!(process.has_ended(), "it does not end");
        for place in &mut self.places {
            place.process = None;
        }
    }
}
