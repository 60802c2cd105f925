//! Time that the exchange has forgotten, brought back from files.

use exchange_client::simulator::{IncomeTruth, TradeTruth};
use ledger_core::{
    AnyFact, Asset, BalanceSnapshot, Decimal, Fee, Fill, FillId, FillKey, Income, IncomeKey, IncomeType, OrderId,
    Source, Statement, TimestampMs, TranId,
};

use super::*;
use crate::support::{Fixture, for_months};

/// A trade as an export tells it.
fn fill(truth: &TradeTruth) -> Statement {
    let side = if truth.buy { Side::Buy } else { Side::Sell };
    let fee = Fee { amount: truth.fee, asset: Asset::new(&truth.fee_asset).unwrap() };
    let fact = AnyFact::Fill(Fill {
        key: FillKey { symbol: symbol(&truth.symbol), fill_id: FillId::new(truth.id.to_string()).unwrap(), side },
        order_id: Some(OrderId::new(truth.order_id.to_string()).unwrap()),
        time: at(truth.time_ms),
        price: truth.price.to_string().parse().unwrap(),
        qty: truth.qty.to_string().parse().unwrap(),
        position_side: Some(truth.position_side),
        fee: Some(fee),
        maker: Some(truth.maker),
        exchange_realized_pnl: Some(truth.realized),
        sequence: Some(truth.id),
    });
    Statement { fact, source: Source::ExchangeCsv, payload: None }
}

/// A row of the ledger, too.
fn income(truth: &IncomeTruth) -> Statement {
    let fact = AnyFact::Income(Income {
        key: IncomeKey {
            income_type: truth.income_type.parse::<IncomeType>().unwrap(),
            tran_id: TranId::new(truth.tran_id.to_string()).unwrap(),
            symbol: (!truth.symbol.is_empty()).then(|| symbol(&truth.symbol)),
            asset: Asset::new(&truth.asset).unwrap(),
        },
        amount: truth.amount,
        time: at(truth.time_ms),
        fill_id: truth.trade_id.map(|id| FillId::new(id.to_string()).unwrap()),
        info: None,
    });
    Statement { fact, source: Source::ExchangeCsv, payload: None }
}

fn at(ms: i64) -> EventTime {
    EventTime::ms(TimestampMs::new(ms).unwrap())
}

fn gaps(report: &CycleReport) -> usize {
    report.left.iter().filter(|known| known.entry.key.kind == DiscrepancyKind::HistoryExpired.as_str()).count()
}

#[tokio::test]
async fn lost_history_that_is_imported_closes_by_itself() {
    let fixture = Fixture::in_process(for_months(63)).await;
    fixture.trade(1, ETH, Side::Buy, "1", |_| false).await;
    fixture.trade(2, ETH, Side::Sell, "1", |_| false).await;
    fixture.sync().await;
    fixture.pass(3_600);
    fixture.sync().await;
    let seen_until = fixture.clock.now().as_ms();
    // A round trip that nobody sees in time.
    fixture.simulator.step(Duration::from_hours(24));
    fixture.unrecorded("unseen-1", Side::Buy, "2", false).await;
    fixture.pass(3_600);
    fixture.unrecorded("unseen-2", Side::Sell, "2", false).await;
    fixture.simulator.step(Duration::from_hours(24 * 120));
    assert_eq!(gaps(&fixture.sync().await), 3);
    assert_eq!(gaps(&fixture.sync().await), 3, "nothing has been brought yet");
    let books = fixture.simulator.books();
    let truth = &books.accounts[0];
    let trades: Vec<_> = truth.trades.iter().filter(|trade| trade.time_ms > seen_until).map(fill).collect();
    let mut rows: Vec<_> = truth.income.iter().filter(|row| row.time_ms > seen_until).map(income).collect();
    assert!(trades.len() >= 2 && rows.len() >= 4);
    let last = rows.pop().unwrap();
    // All but one row: the wallet does not add up.
    fixture.recorder().record(rows).await.unwrap();
    assert_eq!(gaps(&fixture.sync().await), 3, "a row is missing");
    // The ledger, without the trades that it names.
    fixture.recorder().record(vec![last]).await.unwrap();
    assert_eq!(gaps(&fixture.sync().await), 2, "the trades are missing");
    let (first, others) = trades.split_first().unwrap();
    fixture.recorder().record(others.to_vec()).await.unwrap();
    assert_eq!(gaps(&fixture.sync().await), 2, "a trade is missing");
    fixture.recorder().record(vec![first.clone()]).await.unwrap();
    let report = fixture.sync().await;
    assert_eq!(gaps(&report), 0, "{:#?}", report.left);
    assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
    assert_eq!(fixture.book_fills().await.len(), truth.trades.len());
}

/// One wallet that cannot be added up keeps neither the cycle nor the other wallets from being checked.
#[tokio::test]
async fn a_wallet_that_does_not_fit_stops_nothing() {
    let fixture = Fixture::in_process(for_months(64)).await;
    fixture.trade(1, ETH, Side::Buy, "1", |_| false).await;
    fixture.sync().await;
    let huge: Decimal = "160000000000000000000.000000000000000001".parse().unwrap();
    let asset = Asset::new("HUGE").unwrap();
    let moments = [(-7_200_000, -huge), (-3_600_000, huge)];
    let wallets = moments.map(|(offset_ms, wallet)| {
        let balance = BalanceSnapshot { asset: asset.clone(), at: fixture.clock_at(offset_ms), wallet };
        Statement { fact: AnyFact::Balance(balance), source: Source::Rest, payload: None }
    });
    fixture.recorder().record(wallets.to_vec()).await.unwrap();
    let rows = [1, 2].map(|number| {
        let truth = IncomeTruth {
            income_type: IncomeType::REALIZED_PNL.to_owned(),
            tran_id: number,
            symbol: ETH.to_owned(),
            asset: "HUGE".to_owned(),
            amount: huge,
            trade_id: Some(1),
            time_ms: fixture.clock_at(-5_000_000).as_ms(),
        };
        income(&truth)
    });
    fixture.recorder().record(rows.to_vec()).await.unwrap();
    fixture.trade(2, ETH, Side::Sell, "1", |_| false).await;
    let report = fixture.sync().await;
    let footing = report.verification.checks.iter().find(|check| check.name == CheckName::Footing).unwrap();
    assert!(matches!(footing.verdict, Verdict::Pass { compared: 1.. }), "{footing:?}");
    assert!(footing.detail.contains("HUGE") && footing.detail.contains("cannot be added up"), "{footing:?}");
    assert!(report.verification.passed(CheckName::Quantity) && report.verification.passed(CheckName::IncomeHasFills));
}
