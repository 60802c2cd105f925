//! What goes wrong: at the exchange and on the way to it, with the book's file, and with the processes themselves.

use std::time::Duration;

use exchange_client::simulator::{FaultProfile, StreamFaults};
use ledger_store::{OpenOptions, SqliteStore, Writer};

use super::process::Process;
use super::story::{ALL, STEP, Story, Who};
use crate::support::options;

impl Story {
    /// Something goes wrong with requests or streams from now on.
    pub(super) fn weather(&mut self) {
        let seed = self.random.below(1_000_000);
        let (name, mut faults) = match self.random.below(6) {
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
        // A clock that is set back stands still meanwhile. What the wallet was before anything was ever read cannot be told
        // apart from what it was in that time.
        if !self.log.has_since(0, "compared: ") {
            faults.clock_skew_ms = 0;
        }
        self.fixture.simulator.set_faults(faults.with_seed(seed));
        self.note(&format!("from now on: {name}"));
    }

    pub(super) fn fair_weather(&mut self) {
        self.fixture.simulator.set_faults(FaultProfile::none());
        self.note("from now on: nothing goes wrong");
    }

    /// Somebody else keeps the book locked for a while.
    pub(super) fn locked(&mut self) {
        let db = self.fixture.folder.path().join("book.db");
        let other = SqliteStore::open(db, &OpenOptions { create: false, ..options() }).unwrap();
        let held = self.home.block_on(other.begin()).unwrap();
        self.note("the book is locked");
        let who = *self.random.of(&[Who::Executing, Who::Telling, Who::Telling]);
        self.something_for(who);
        let time = Duration::from_millis(1_000 + self.random.below(15_000));
        self.pass(time, STEP);
        drop(held);
        self.note("the book is locked no longer");
    }

    /// A process dies wherever it is, or all of them with the machine; then they are started again.
    pub(super) fn crash(&mut self) {
        let who = match self.random.below(8) {
            0 | 1 => Some(Who::Watcher),
            2 | 3 => Some(Who::Executing),
            4 | 5 => Some(Who::Telling),
            6 => Some(Who::Recorder),
            _ => None,
        };
        let busy = match who {
            Some(who @ (Who::Executing | Who::Telling)) => who,
            Some(Who::Recorder) => Who::Telling,
            _ => *self.random.of(&[Who::Executing, Who::Telling, Who::Bookless]),
        };
        if self.random.below(4) > 0 {
            self.something_for(busy);
        }
        let before = Duration::from_millis(self.random.below(1_500));
        self.pass(before, Duration::from_millis(25));
        match who {
            Some(who) => {
                self.fixture.simulator.step(Duration::from_millis(10));
                let turns = self.random.below(12);
                if let Some(process) = self.places[who as usize].process.take() {
                    process.take_turns(turns);
                    self.kill(process);
                }
                self.note(&format!("a crash: {who:?} is killed"));
                let pause = Duration::from_millis(self.random.below(20_000));
                self.pass(pause, STEP);
                self.start(who);
            }
            None => self.machine_fails(),
        }
    }

    /// Every process dies at once. The book is what its files say at that moment.
    fn machine_fails(&mut self) {
        let files = self.fixture.files();
        for who in ALL {
            if let Some(process) = self.places[who as usize].process.take() {
                self.kill(process);
            }
        }
        self.fixture = self.fixture.reopened(&files);
        self.note("a crash: the machine fails");
        let pause = Duration::from_millis(self.random.below(30_000));
        self.pass(pause, STEP);
        for who in ALL {
            self.start(who);
        }
        self.check();
    }

    /// What a dead process had sent may arrive all the same, now or in some seconds.
    fn kill(&mut self, process: Process) {
        for request in process.kill() {
            if self.random.below(2) == 0 {
                let delay_ms = i64::try_from(self.random.below(4_000)).unwrap();
                self.late.push((self.fixture.clock_at(delay_ms), request));
            }
        }
    }
}

fn of_stream(stream: StreamFaults) -> FaultProfile {
    FaultProfile { stream, ..FaultProfile::none() }
}
