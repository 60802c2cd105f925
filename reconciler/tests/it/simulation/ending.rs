//! What must hold when a story has come to rest: the book is held against everything there is to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use exchange_client::Clock;
use ledger_store::FactReader;
use reconciler::{DiscrepancyKind, EventRecorder, Finding, LineOutcome, Verdict};

use super::story::Story;

/// What is told to people, and is no difference between book and exchange.
const HARMLESS: [&str; 5] = ["liquidation", "adl", "foreign_fills", "unexplained_close", "orphan_order"];

impl Story {
    /// Ends. What happened is in the log then, with every row of the book.
    pub(super) fn end(mut self) {
        self.come_to_rest();
        self.home.block_on(async {
            let tables = &["looks", "leases", "__diesel_schema_migrations"];
            self.log.extend(self.fixture.store.rows_except(tables).await.unwrap());
            self.fixture.assert_book_equals_exchange().await;
            self.assert_balanced().await;
            self.assert_no_entry_twice();
            self.assert_acknowledged().await;
        });
    }

    async fn assert_balanced(&self) {
        let report = self.fixture.reconciler().audit().await.unwrap();
        for check in &report.verification.checks {
            assert!(!matches!(check.verdict, Verdict::Fail { .. }), "{check:?}");
        }
        let open = report.unresolved().map(|found| &found.finding);
        let open: Vec<_> = open.filter(|found| !HARMLESS.contains(&found.kind.as_str()) && !is_word(found)).collect();
        assert!(open.is_empty(), "{open:#?}");
    }

    /// However often its bot was killed, an entry was made once or not at all, by the exchange's own books.
    fn assert_no_entry_twice(&self) {
        let orders = self.fixture.simulator.books().accounts.remove(0).orders;
        let own = orders.iter().filter(|order| order.executed.is_positive() && order.forced.is_none());
        let own: Vec<_> = own.map(|order| order.client_order_id.as_str()).collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for id in &own {
            // The attempts of one entry differ behind the last x alone.
            let is_entry = id.starts_with("fb:swing:e:") || id.starts_with("fb:grid:e:");
            let name = if is_entry { id.rsplit_once('x').unwrap().0 } else { id };
            *times.entry(name).or_default() += 1;
        }
        times.retain(|_, times| *times > 1);
        assert!(times.is_empty(), "{times:?} of {own:?}");
        for tries in self.telling.lock().unwrap().entries() {
            assert!(own.iter().filter(|id| tries.contains(id)).count() <= 1, "{tries:?}");
        }
    }

    /// What the executor said it sent is on record, and every line that was answered: given again, it says nothing new.
    async fn assert_acknowledged(&self) {
        let fixture = &self.fixture;
        let sent = self.executing.lock().unwrap().sent().to_vec();
        for id in sent {
            let intent = fixture.store.intent(&fixture.account, &id.parse().unwrap()).await.unwrap();
            assert!(intent.is_some(), "{id} was sent and is not on record");
        }
        let lines = self.telling.lock().unwrap().acknowledged().to_vec();
        let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
        let mut recorder = EventRecorder::open(fixture.store.clone(), fixture.account.clone(), clock).await.unwrap();
        for (number, (line, answered)) in (1..).zip(&lines) {
            let answer = recorder.line(number, line).await.unwrap();
            assert_eq!(
                answer.outcome,
                LineOutcome::AlreadyRecorded,
                "{line} was answered {answered}, and now {answer:?}"
            );
        }
    }
}

/// Whether it is a bot's word about a trade that never was: several trade one position, and where one bot's entry has closed
/// another's, what it says of its own trade fits nothing, and stays as it was said.
fn is_word(found: &Finding) -> bool {
    found.kind == DiscrepancyKind::SignalWithoutOrder && found.evidence.starts_with("signal .closed:")
}
