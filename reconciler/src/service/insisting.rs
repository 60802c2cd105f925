//! What asks for a full cycle, and how long it has to wait before it may ask again. A difference that a cycle cannot settle must
//! not make one after the other.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_stays_asks_less_and_less_often`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// After how long what is still there may ask again; each further time doubles it.
const AGAIN_FIRST: Duration = Duration::from_secs(10);
/// The longest such time.
const AGAIN_MAX: Duration = Duration::from_mins(30);

#[derive(Debug)]
struct Asked {
    not_before: Instant,
    wait: Duration,
}

/// What asked before.
#[derive(Debug, Default)]
pub(super) struct Insisting(BTreeMap<String, Asked>);

impl Insisting {
    /// Whether anything of `reasons` may ask at `now`. What is not among them any more is forgotten, of those that begin with
    /// `kind`.
    pub(super) fn asks(&mut self, kind: &str, reasons: &BTreeSet<String>, now: Instant) -> bool {
        self.0.retain(|known, _| {
            !known.starts_with(kind) || known.strip_prefix(kind).is_some_and(|it| reasons.contains(it))
        });
        let mut asks = false;
        for reason in reasons {
            let known = self.0.entry(format!("{kind}{reason}"));
            let known = known.or_insert(Asked { not_before: now, wait: AGAIN_FIRST });
            if known.not_before <= now {
                asks = true;
                known.not_before = now + known.wait;
                known.wait = (known.wait * 2).min(AGAIN_MAX);
            }
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_stays_asks_less_and_less_often() {
        let mut insisting = Insisting::default();
        let start = Instant::now();
        let one: BTreeSet<String> = ["a".to_owned()].into();
        let asked: Vec<u64> =
            (0..4_000_u64).filter(|second| insisting.asks("x ", &one, start + Duration::from_secs(*second))).collect();
        assert_eq!(asked, [0, 10, 30, 70, 150, 310, 630, 1270, 2550]);
        let later = start + Duration::from_secs(4_000);
        let both: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        assert!(insisting.asks("x ", &both, later), "another one");
        assert!(!insisting.asks("x ", &both, later));
        assert!(insisting.asks("y ", &one, later), "another kind");
        assert!(!insisting.asks("x ", &BTreeSet::new(), later));
        assert!(insisting.asks("x ", &one, later), "it was gone in between");
        assert!(!insisting.asks("y ", &one, later), "the other kind is not forgotten by that");
    }
}
