//! Money that does not add up: wallets, the ledger, realized profits.

use std::sync::Arc;

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{PositionSide, Side};
use ledger_store::DiscrepancyStatus;
use reconciler::{CheckName, CycleReport, DiscrepancyKind, Verdict};
use serde_json::value::RawValue;

use super::*;
use crate::support::{Fixture, assert_all_pass};

fn verdict(report: &CycleReport, name: CheckName) -> &Verdict {
    &report.verification.checks.iter().find(|check| check.name == name).unwrap().verdict
}

/// Rewrites each row of one endpoint's answers; a row that becomes nothing is left out.
pub(super) struct Rewrites {
    pub(super) exchange: Arc<dyn Transport>,
    pub(super) endpoint: &'static str,
    pub(super) rewrite: fn(&str) -> Option<String>,
}

#[async_trait]
impl Transport for Rewrites {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_meant = request.path.ends_with(self.endpoint);
        let mut response = self.exchange.send(request).await?;
        if is_meant && response.status == 200 {
            let rows: Vec<Box<RawValue>> = serde_json::from_slice(&response.body).unwrap();
            let rows: Vec<String> = rows.iter().filter_map(|row| (self.rewrite)(row.get())).collect();
            response.body = format!("[{}]", rows.join(",")).into();
        }
        Ok(response)
    }
}

impl Fixture {
    async fn sync_through(&self, endpoint: &'static str, rewrite: fn(&str) -> Option<String>) -> CycleReport {
        self.pass(60);
        let exchange = self.adapter_over(Rewrites { exchange: Arc::clone(&self.transport), endpoint, rewrite });
        self.reconciler_over(Arc::new(exchange)).sync().await.unwrap()
    }
}

#[tokio::test]
async fn wallets_foot_between_looks_until_something_undocumented_moves_them() {
    let fixture = Fixture::new(81).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.pass(9 * 3_600);
    let footed = fixture.sync().await;
    assert!(matches!(verdict(&footed, CheckName::Footing), Verdict::Pass { .. }), "{:?}", footed.verification.checks);
    fixture.simulator.post_income("sim-main", "MYSTERY_GRANT", "", "USDC", "12.5".parse().unwrap()).unwrap();
    let unclear = fixture.sync().await;
    fixture.pass(60);
    let later = fixture.sync().await;
    for report in [&unclear, &later] {
        assert!(of(report, DiscrepancyKind::FootingMismatch).is_none(), "{:#?}", report.findings);
        assert!(!report.verification.footed.iter().any(|span| span.asset.as_str() == "USDC"));
    }
    fixture.assert_book_equals_exchange().await;
    // Nothing but such a wallet: then the check itself has nothing to say.
    let fixture = Fixture::new(82).await;
    fixture.sync().await;
    fixture.pass(60);
    fixture.simulator.post_income("sim-main", "MYSTERY_GRANT", "", "USDC", "12.5".parse().unwrap()).unwrap();
    let report = fixture.sync().await;
    match verdict(&report, CheckName::Footing) {
        Verdict::NotCheckable { reason } => assert!(reason.contains("MYSTERY_GRANT"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(!report.leaves_discrepancies());
}

#[tokio::test]
async fn a_row_that_the_ledger_lacks_is_a_wallet_that_does_not_foot() {
    let fixture = Fixture::new(83).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.pass(60);
    fixture.simulator.deposit("sim-main", "USDT", "250".parse().unwrap()).unwrap();
    let without_deposit = |row: &str| (!row.contains("250.00000000")).then(|| row.to_owned());
    // The balance is doubted, and then recorded; and the ledger's last moments may still be missing.
    let report = fixture.sync_through("/income", without_deposit).await;
    assert_eq!(of(&report, DiscrepancyKind::UnexplainedBalance).unwrap().status, DiscrepancyStatus::Pending);
    fixture.pass(60);
    let report = fixture.sync_through("/income", without_deposit).await;
    assert_eq!(of(&report, DiscrepancyKind::UnexplainedBalance).unwrap().status, DiscrepancyStatus::Resolved);
    assert!(!report.leaves_discrepancies());
    fixture.pass(60);
    let report = fixture.sync_through("/income", without_deposit).await;
    let found = of(&report, DiscrepancyKind::FootingMismatch).unwrap();
    assert_eq!(found.status, DiscrepancyStatus::Unresolved);
    assert!(found.finding.evidence.contains("USDT") && found.finding.evidence.contains("250"), "{found:?}");
    assert!(matches!(verdict(&report, CheckName::Footing), Verdict::Fail { .. }));
    assert!(report.leaves_discrepancies());
    // The row turns up: nothing is left.
    fixture.pass(60);
    let report = fixture.sync().await;
    assert!(of(&report, DiscrepancyKind::FootingMismatch).is_none(), "{:#?}", report.findings);
    assert_eq!(fixture.open_discrepancies().await, 0);
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn a_profit_that_the_fills_do_not_lead_to_is_told_once_per_trip() {
    let fixture = Fixture::new(84).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.trade(2, "SOLUSDT", Side::Buy, "9", |_| false).await;
    fixture.sync().await;
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    fixture.simulator.close_from_app("sim-main", &symbol("SOLUSDT"), PositionSide::Net).unwrap();
    // Ten more than it was, for every trade in ETHUSDT that realized anything.
    let report = fixture
        .sync_through("/userTrades", |row| {
            let name = "\"realizedPnl\":\"";
            let at = row.find(name).unwrap() + name.len();
            let end = at + row[at..].find('"').unwrap();
            let is_close =
                row.contains("ETHUSDT") && row[at..end].parse::<ledger_core::Decimal>().is_ok_and(|pnl| !pnl.is_zero());
            Some(if is_close { format!("{}1234.5{}", &row[..at], &row[end..]) } else { row.to_owned() })
        })
        .await;
    let of_kind = |kind| report.findings.iter().filter(move |found| found.finding.kind == kind);
    let realized: Vec<_> = of_kind(DiscrepancyKind::RealizedPnlMismatch).collect();
    assert_eq!(realized.len(), 1, "the first of the trip: {realized:#?}");
    assert_eq!(realized[0].status, DiscrepancyStatus::Unresolved);
    assert!(realized[0].finding.evidence.contains("the exchange reported 1234.5"), "{realized:#?}");
    // The ledger contradicts it, too.
    assert!(of_kind(DiscrepancyKind::IncomeMismatch).count() > 0);
    assert!(
        report
            .findings
            .iter()
            .all(|found| { found.finding.symbol == Some(symbol(ETH)) || found.status == DiscrepancyStatus::Resolved })
    );
    assert!(matches!(verdict(&report, CheckName::RealizedPnl), Verdict::Fail { .. }));
    // Quantities are what they are.
    assert!(report.verification.mismatched_positions.is_empty());
}
