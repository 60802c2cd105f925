//! A list of fills that is another account's names no account, but orders that this account does not have.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{PositionSide, Side};
use ledger_store::DiscrepancyStatus;
use reconciler::DiscrepancyKind;

use super::facts::{Truths, false_facts, misstated};
use super::{OTHERS_KEY, standing, trade, world};
use crate::support::{Fixture, START_MS};

/// Answers every question for fills with another account's.
struct AnothersFills(Arc<dyn Transport>);

#[async_trait]
impl Transport for AnothersFills {
    async fn send(&self, mut request: Request) -> Result<Response, TransportError> {
        if request.path == "/fapi/v1/userTrades" {
            let key = request.headers.iter_mut().find(|(name, _)| *name == "x-mbx-apikey").unwrap();
            key.1 = OTHERS_KEY.into();
        }
        self.0.send(request).await
    }
}

fn note(fixture: &Fixture, truths: &mut Truths) {
    truths.insert(fixture.clock_at(0).as_ms(), fixture.simulator.books().accounts.remove(0));
}

#[tokio::test(start_paused = true)]
async fn fills_of_another_account_wait_and_go() {
    let fixture = world(3).await;
    let book = fixture.with_book_in_memory().await;
    let mut truths = Truths::new();
    truths.insert(START_MS, fixture.simulator.books().accounts.remove(0));
    note(&fixture, &mut truths);
    book.reconciler().sync().await.unwrap();
    for (alias, side, qty) in [("sim-main", PositionSide::Net, "0.4"), ("other", PositionSide::Long, "0.3")] {
        trade(&fixture.simulator, alias, "BTCUSDT", (Side::Buy, side), qty);
    }
    fixture.simulator.step(Duration::from_mins(6));
    note(&fixture, &mut truths);
    let lying = book.adapter_over(AnothersFills(Arc::clone(&fixture.transport)));
    let report = book.reconciler_over(Arc::new(lying)).sync().await.unwrap();
    assert_eq!((false_facts(&book).await, misstated(&book, &truths).await), (vec![], BTreeSet::new()));
    let waiting = report.findings.iter().filter(|found| {
        found.finding.kind == DiscrepancyKind::MissingFills
            && found.finding.evidence.contains("neither it nor its ledger")
    });
    let waiting: Vec<_> = waiting.map(|found| found.status).collect();
    assert!(!waiting.is_empty() && waiting.iter().all(|status| *status == DiscrepancyStatus::Pending), "{report:#?}");
    assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
    for _ in 0..2 {
        fixture.simulator.step(Duration::from_mins(6));
        note(&fixture, &mut truths);
        book.reconciler().sync().await.unwrap();
    }
    assert!(standing(&book).await.is_empty(), "{:#?}", standing(&book).await);
    book.assert_book_equals_exchange().await;
}
