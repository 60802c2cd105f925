//! Whatever is done: what was told makes the books.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::super::properties::{Action, actions, perform, three_accounts};
use super::*;

/// Listens for each account without a gap, with a new connection before the day of the old one is over.
struct Audience {
    desks: Vec<Desk>,
    consumers: Vec<Consumer>,
    streams: Vec<SimulatorStream>,
    opened_ms: i64,
}

impl Audience {
    fn new(simulator: &Arc<Simulator>) -> Self {
        let books = simulator.books();
        let desks: Vec<Desk> = (0..books.accounts.len()).map(|account| Desk::new(simulator, account)).collect();
        let streams = desks.iter().map(listen).collect();
        let consumers = books.accounts.iter().map(Consumer::new).collect();
        Self { desks, consumers, streams, opened_ms: books.at_ms }
    }

    fn hear(&mut self) {
        for (stream, consumer) in self.streams.iter_mut().zip(&mut self.consumers) {
            for event in events(stream) {
                consumer.hear(&event);
            }
        }
    }

    fn pass(&mut self, simulator: &Arc<Simulator>, mut secs: u64) {
        while secs > 0 {
            let step = secs.min(3_000);
            simulator.step(Duration::from_secs(step));
            secs -= step;
            self.hear();
            for desk in &self.desks {
                assert_eq!(keyed(desk, "PUT").0, 200);
            }
            let now_ms = simulator.books().at_ms;
            if now_ms - self.opened_ms > 22 * 3_600_000 {
                self.streams = self.desks.iter().map(listen).collect();
                self.opened_ms = now_ms;
            }
        }
    }
}

fn walk(seed: u64, actions: &[Action]) -> Audience {
    let (simulator, _clock) = simulator(three_accounts(seed));
    let mut audience = Audience::new(&simulator);
    for action in actions {
        if let Action::Pass { secs } = action {
            audience.pass(&simulator, *secs);
        } else {
            perform(&mut simulator.state().engine, action);
        }
    }
    simulator.step(Duration::from_secs(1));
    audience.hear();
    let books = simulator.books();
    for (consumer, truth) in audience.consumers.iter().zip(&books.accounts) {
        consumer.agrees_with(truth);
    }
    audience
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn balances_and_positions_follow_from_what_was_told(seed in any::<u64>(), actions in actions()) {
        walk(seed, &actions);
    }
}

/// The law above would hold of walks on which nothing is told, too.
#[test]
fn every_fill_of_the_books_is_told_once() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut reasons, mut executions, mut statuses) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..40 {
        let walked = walk(seed, &actions().new_tree(&mut runner).unwrap().current());
        for consumer in walked.consumers {
            reasons.extend(consumer.reasons);
            executions.extend(consumer.executions);
            statuses.extend(consumer.algo_statuses);
        }
    }
    let told = |found: &BTreeSet<String>| found.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(told(&reasons), "FUNDING_FEE INSURANCE_CLEAR MARGIN_TYPE_CHANGE ORDER");
    assert_eq!(told(&executions), "CALCULATED CANCELED EXPIRED NEW TRADE");
    assert_eq!(told(&statuses), "EXPIRED FINISHED NEW REJECTED TRIGGERED TRIGGERING");
}
