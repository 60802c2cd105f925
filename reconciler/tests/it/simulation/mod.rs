//! A deterministic simulation: a bot, its recorder, the stream, a watcher and the exchange in one process under one clock, with
//! faults, crashes and other people's hands by seed. The same seed is the same story, byte for byte.
//!
//! ```sh
//! FILLBOOK_SIMULATION_SEEDS=1000 FILLBOOK_SIMULATION_FROM=1 cargo test -p reconciler --test it -- simulation
//! ```
//!
//! Oracles of different nature, at the end of each story: the exchange's own books, row by row; wallets that foot and all other checks of
//! the book; no entry at the exchange twice; what the bot was told is on record is on record; nothing left open.

mod bot;
mod story;

use std::fmt::Write as _;

use self::story::Story;

/// How many seeds are told, and from which on. `.ci/long` asks for more.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Tells a story to its end, and answers everything that happened in it.
fn told(seed: u64) -> Vec<String> {
    runtime().block_on(async {
        let mut story = Story::begin(seed).await;
        story.live().await;
        story.end().await
    })
}

/// Prints the story of a seed: `FILLBOOK_SIMULATION_FROM` says which.
#[test]
#[ignore = "for whoever wants to read one"]
fn a_story_to_be_read() {
    for line in told(number("FILLBOOK_SIMULATION_FROM", 1)) {
        println!("{line}");
    }
}

/// The one command that tells the story of a seed again.
fn replay(seed: u64) -> String {
    format!(
        "FILLBOOK_SIMULATION_FROM={seed} FILLBOOK_SIMULATION_SEEDS=1 cargo test -p reconciler --locked --test it -- simulation::every"
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
    let (from, seeds) = (number("FILLBOOK_SIMULATION_FROM", 1), number("FILLBOOK_SIMULATION_SEEDS", 50));
    let mut seen = String::new();
    for seed in from..from.saturating_add(seeds) {
        match std::panic::catch_unwind(|| told(seed)) {
            Ok(log) => {
                for word in ["crash", "executor", "by hand", "liquidated", "stream", "hostile"] {
                    if !seen.contains(word) && log.iter().any(|line| line.contains(word)) {
                        let _ = write!(seen, "{word} ");
                    }
                }
            }
            Err(why) => {
                println!("seed {seed} failed; its story again: {}", replay(seed));
                std::panic::resume_unwind(why);
            }
        }
    }
    // What is tried here really happens.
    if seeds >= 50 {
        for word in ["crash", "executor", "by hand", "liquidated", "stream", "hostile"] {
            assert!(seen.contains(word), "no story has `{word}`: {seen}");
        }
    }
}
