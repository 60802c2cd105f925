//! A deterministic simulation: bots, a recorder, the stream, a watcher and the exchange, with faults, crashes and other people's
//! hands by seed. The same seed is the same story, byte for byte.
//!
//! ```sh
//! FILLBOOK_SIMULATION_SEEDS=1000 FILLBOOK_SIMULATION_FROM=1 cargo test -p reconciler --test it -- simulation
//! FILLBOOK_SIMULATION_TELL=1 FILLBOOK_SIMULATION_SEEDS=1 FILLBOOK_SIMULATION_FROM=17 cargo test -p reconciler --test it -- simulation::every --nocapture
//! ```
//!
//! Everybody has a process of its own: a runtime under paused time, with its own handle of the book's file and its own way to the
//! exchange, one after the other on one thread. So a crash is one: whatever its victim was doing ends at an await point and is never
//! gone on with, and what it had sent may arrive all the same. Killed are the watcher, a bot that lets its executor send, a bot that
//! tells its book line by line, the recorder that takes the lines, and the machine with all of them, after which the book is what its
//! files say. A third of the stories are of an account in hedge mode.
//!
//! Oracles of different nature. At every moment that something was done or compared: every fill and ledger row on record is the
//! exchange's, and no time counts as confirmed of which the exchange has a fill, a ledger row or an order that the book lacks. At the
//! end: the exchange's own books, row by row; wallets that foot and all other checks of the book; no entry at the exchange twice;
//! what a bot was told is on record is on record, and every line that was answered says nothing new; every bot has come to an end;
//! nothing left open.

mod bots;
mod ending;
mod hands;
mod oracle;
mod process;
mod random;
mod story;
mod troubles;
mod watching;
mod wire;

use std::collections::BTreeSet;

use self::story::{Log, Story};

/// How many seeds are told, and from which on. `.ci/long` asks for more.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Tells a story to its end, and answers everything that happened in it.
fn told(seed: u64) -> Vec<String> {
    let log = Log::default();
    tell(seed, &log);
    log.taken()
}

/// The same. What happened is in the log also where the story breaks off.
fn tell(seed: u64, log: &Log) {
    let mut story = Story::begin(seed, log.clone());
    story.live();
    story.end();
}

/// What has to happen in some story, so that it is known to be tried.
const TRIED: [&str; 18] = [
    "hedge mode",
    "one-way mode",
    "hostile",
    "stream_resumed",
    "by hand: done",
    "is liquidated",
    "is deleveraged",
    "the executor enters",
    "the executor closes",
    "the telling bot sends",
    "the telling bot takes",
    "is closed",
    "the book is locked",
    "Watcher is killed",
    "Executing is killed",
    "Telling is killed",
    "Recorder is killed",
    "the machine fails",
];

/// The one command that tells the story of a seed again, for whoever wants to read it.
fn replay(seed: u64) -> String {
    let which = format!("FILLBOOK_SIMULATION_FROM={seed} FILLBOOK_SIMULATION_SEEDS=1");
    format!(
        "FILLBOOK_SIMULATION_TELL=1 {which} cargo test -p reconciler --locked --test it -- simulation::every --nocapture"
    )
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [3, 4] {
        let (first, second) = (told(seed), told(seed));
        let differs = first.iter().zip(&second).position(|(first, second)| first != second);
        if let Some(at) = differs {
            panic!("seed {seed} differs at line {at}:\n{}\n{}", first[at], second[at]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert!(first.len() > 20, "seed {seed}: nothing happened: {first:#?}");
    }
    assert_ne!(told(3), told(4));
}

#[test]
fn every_story_ends_with_a_book_that_is_the_exchanges() {
    let from = number("FILLBOOK_SIMULATION_FROM").unwrap_or(1);
    let seeds = number("FILLBOOK_SIMULATION_SEEDS").unwrap_or(50);
    let is_read = number("FILLBOOK_SIMULATION_TELL").is_some();
    let (mut untried, mut failed) = (BTreeSet::from(TRIED), Vec::new());
    for seed in from..from.saturating_add(seeds) {
        let log = Log::default();
        if std::panic::catch_unwind(|| tell(seed, &log)).is_err() {
            println!("seed {seed} failed; its story again: {}", replay(seed));
            failed.push(seed);
        }
        let told = log.taken();
        if is_read {
            println!("{}", told.join("\n"));
        }
        untried.retain(|word| !told.iter().any(|line| line.contains(word)));
    }
    assert!(failed.is_empty(), "the stories of these seeds failed: {failed:?}");
    assert!(seeds < 50 || untried.is_empty(), "no story has {untried:?}");
}
