//! A contract of which the exchange answers errors for ever, beside others that trade on.

use std::sync::Arc;

use ledger_core::{PositionSide, Side};
use ledger_store::{DiscrepancyFilter, DiscrepancyStatus, Journal, PageRequest};
use reconciler::{DiscrepancyKind, Reconciler};

use super::*;
use crate::cycle::OneBadSymbol;
use crate::support::{Fixture, assert_all_pass};

impl Fixture {
    /// Something of everything, on contracts that answer; half of it is lost.
    async fn trade_on(&self, turn: usize) {
        let side = if turn.is_multiple_of(2) { Side::Buy } else { Side::Sell };
        self.trade(turn * 10 + 1, "BTCUSDT", side, "0.03", |index| index == 0).await;
        self.trade(turn * 10 + 2, "SOLUSDT", Side::Buy, "4", |_| turn.is_multiple_of(3)).await;
        if turn % 4 == 3 {
            self.simulator.close_from_app("sim-main", &symbol("SOLUSDT"), PositionSide::Net).unwrap();
        }
        self.pass(20);
    }

    async fn failed_query(&self) -> ledger_store::Discrepancy {
        let kind = Some(DiscrepancyKind::QueryFailed.as_str().to_owned());
        let filter = DiscrepancyFilter { kind, ..DiscrepancyFilter::open(self.account.clone()) };
        let mut known = self.store.discrepancies(&filter, PageRequest::first(10)).await.unwrap().items;
        assert_eq!(known.len(), 1, "{known:#?}");
        known.remove(0)
    }
}

#[tokio::test]
async fn a_contract_that_never_answers_stops_nothing_and_heals() {
    let fixture = Fixture::new(95).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.assert_book_equals_exchange().await;
    let failing = OneBadSymbol(Arc::clone(&fixture.transport), ETH);
    let failing: Reconciler = fixture.reconciler_over(Arc::new(fixture.adapter_over(failing)));
    let began_at = fixture.clock.now();
    let mut costs = Vec::new();
    for turn in 1..=10 {
        // It trades, too.
        fixture.unrecorded(&format!("unseen-{turn}"), Side::Buy, "0.5", false).await;
        fixture.trade_on(turn).await;
        let report = failing.sync().await.unwrap();
        // Every other contract is as at the exchange, after each.
        fixture.assert_equal_but(ETH).await;
        let others = report.findings.iter().filter(|found| found.finding.symbol != Some(symbol(ETH)));
        let left: Vec<_> = others.filter(|found| found.status != DiscrepancyStatus::Resolved).collect();
        assert!(left.is_empty(), "turn {turn}: {left:#?}");
        // Of it there is one row, as old as the trouble.
        let known = fixture.failed_query().await;
        assert_eq!(known.entry.symbol, Some(symbol(ETH)));
        assert_eq!(known.entry.status, DiscrepancyStatus::Unresolved);
        assert!(known.first_seen_local > began_at && known.last_seen_local == fixture.clock.now(), "{known:#?}");
        assert!(
            turn == 1 || known.first_seen_local < fixture.clock_at(-7_400_000 * (i64::try_from(turn).unwrap() - 1))
        );
        assert!(report.leaves_discrepancies());
        // Nothing is concluded about it.
        assert!(fixture.signals().await.iter().all(|signal| !signal.restored || signal.symbol != symbol(ETH)));
        costs.push(report.requests);
    }
    // A look at it costs the same in the end as in the beginning.
    let (early, late) = (costs[1..4].iter().max().unwrap(), costs[6..].iter().max().unwrap());
    assert!(late <= &(early + 6), "{costs:?}");
    // Where nothing else happens, what stands is not written again.
    fixture.pass(60);
    failing.sync().await.unwrap();
    let before = fixture.rows().await;
    fixture.pass(60);
    let quiet = failing.sync().await.unwrap();
    assert!(
        quiet.run.is_none() && quiet.leaves_discrepancies() && fixture.rows().await == before,
        "{:#?}",
        quiet.findings
    );
    // Well again: one look, and nothing is left.
    let healed = fixture.sync().await;
    assert!(!healed.leaves_discrepancies(), "{:#?}", healed.left);
    assert_all_pass(&healed);
    fixture.assert_book_equals_exchange().await;
    let orders = fixture.orders().await;
    assert_eq!(orders.iter().filter(|order| order.key.symbol == symbol(ETH)).count(), 11);
    assert_eq!(fixture.open_discrepancies().await, 0);
}
