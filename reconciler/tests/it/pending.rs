//! A single number is not the whole truth: an audit looks at it twice, and so do two syncs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::Side;
use ledger_store::{DiscrepancyStatus, FactReader, PageRequest, Scope};
use reconciler::{CycleReport, DiscrepancyKind, Reconciler};
use serde_json::Value;

use crate::support::{Fixture, for_months};

/// Tells other numbers than the exchange does: so many times, and then the exchange's.
struct Numbers {
    inner: Arc<dyn Transport>,
    path: &'static str,
    field: &'static str,
    says: &'static str,
    left: AtomicUsize,
}

#[async_trait]
impl Transport for Numbers {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_it = request.path == self.path;
        let mut answer = self.inner.send(request).await?;
        let told = |left: usize| left.checked_sub(1);
        if is_it && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, told).is_ok() {
            let mut rows: Value = serde_json::from_slice(&answer.body).unwrap();
            for row in rows.as_array_mut().unwrap().iter_mut().filter(|row| row["asset"] != "BNB") {
                row[self.field] = self.says.into();
            }
            answer.body = rows.to_string().into_bytes().into();
        }
        Ok(answer)
    }
}

impl Fixture {
    fn stating(&self, path: &'static str, field: &'static str, says: &'static str, times: usize) -> Reconciler {
        let inner = Arc::clone(&self.transport);
        let numbers = Numbers { inner, path, field, says, left: AtomicUsize::new(times) };
        self.reconciler_over(Arc::new(self.adapter_over(numbers)))
    }

    /// An audit, while the exchange's time goes on as the waiting does.
    async fn audited(&self, reconciler: Reconciler) -> CycleReport {
        let waiting = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.simulator.step(Duration::from_secs(2));
            }
        };
        tokio::select! {
            report = reconciler.audit() => report.unwrap(),
            () = waiting => unreachable!("it goes on for ever"),
        }
    }
}

fn statuses(report: &CycleReport, kind: DiscrepancyKind) -> Vec<DiscrepancyStatus> {
    let found = report.findings.iter().filter(|found| found.finding.kind == kind);
    found.map(|found| found.status).collect()
}

async fn held_and_synced() -> Fixture {
    let fixture = Fixture::in_process(for_months(5)).await;
    fixture.trade(1, "ETHUSDT", Side::Buy, "2", |_| false).await;
    for _ in 0..2 {
        fixture.simulator.step(Duration::from_mins(20));
        fixture.reconciler().sync().await.unwrap();
    }
    fixture.simulator.step(Duration::from_mins(20));
    fixture
}

const POSITIONS: &str = "/fapi/v3/positionRisk";
const BALANCE: &str = "/fapi/v3/balance";

#[tokio::test(start_paused = true)]
async fn an_audit_looks_twice_at_what_it_doubts() {
    let fixture = held_and_synced().await;
    let quantity = DiscrepancyKind::PositionMismatch;
    let entry = DiscrepancyKind::AverageEntryMismatch;
    let wallet = DiscrepancyKind::UnexplainedBalance;
    let (unresolved, always) = (vec![DiscrepancyStatus::Unresolved], usize::MAX);
    for (path, field, says, kind, times, expected) in [
        // Told in the list of all positions, in the closer look, and never again.
        (POSITIONS, "positionAmt", "3", quantity, 2, vec![]),
        (POSITIONS, "positionAmt", "3", quantity, always, unresolved.clone()),
        (POSITIONS, "entryPrice", "17", entry, 2, vec![]),
        (POSITIONS, "entryPrice", "17", entry, always, unresolved),
        // Told to whoever asks who it is, too.
        (BALANCE, "balance", "17", wallet, 2, vec![]),
        // What an audit finds of a wallet is nothing that it could record.
        (BALANCE, "balance", "17", wallet, always, vec![DiscrepancyStatus::Unresolved; 2]),
    ] {
        let report = fixture.audited(fixture.stating(path, field, says, times)).await;
        assert_eq!(statuses(&report, kind), expected, "{field} {times}");
        assert_eq!(report.leaves_discrepancies(), times == always, "{field} {times}");
    }
    // What it does not doubt takes no second look.
    let began = tokio::time::Instant::now();
    let report = fixture.reconciler().audit().await.unwrap();
    assert!(!report.leaves_discrepancies() && began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_sync_records_no_number_that_one_answer_alone_states() {
    let fixture = held_and_synced().await;
    let scope = Scope::account(fixture.account.clone());
    let all = || PageRequest::first(1_000);
    let words = async || {
        let positions = fixture.store.position_snapshots(&scope, all()).await.unwrap().items;
        let balances = fixture.store.balance_snapshots(&scope, all()).await.unwrap().items;
        let entries = positions.iter().filter_map(|held| Some(held.fact.entry_price?.to_string()));
        let qtys = positions.iter().map(|held| held.fact.qty.to_string());
        let wallets = balances.iter().map(|held| held.fact.wallet.to_string());
        entries.chain(qtys).chain(wallets).collect::<Vec<_>>()
    };
    for (path, field, says) in
        [(POSITIONS, "positionAmt", "3"), (POSITIONS, "entryPrice", "17"), (BALANCE, "balance", "17")]
    {
        let report = fixture.stating(path, field, says, usize::MAX).sync().await.unwrap();
        let is_pending = |found: &reconciler::FindingReport| found.status == DiscrepancyStatus::Pending;
        assert!(report.findings.iter().any(is_pending) && !report.leaves_discrepancies(), "{field}");
        assert!(!words().await.contains(&says.to_owned()), "{field}");
        fixture.simulator.step(Duration::from_mins(6));
        let report = fixture.reconciler().sync().await.unwrap();
        assert!(report.left.is_empty(), "{field}: {:#?}", report.left);
        assert!(!words().await.contains(&says.to_owned()), "{field}");
        fixture.simulator.step(Duration::from_mins(6));
    }
}
