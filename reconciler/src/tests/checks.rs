//! What the checks compare, and what they say when there is nothing to compare.

use ledger_core::{Asset, Fee, Income, IncomeKey, IncomeType, TranId};
use ledger_store::SymbolBook;

use super::*;
use crate::Verification;

fn verdict(verification: &Verification, name: CheckName) -> &Verdict {
    &verification.checks.iter().find(|check| check.name == name).unwrap().verdict
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn usdt() -> Asset {
    Asset::new("USDT").unwrap()
}

pub(super) fn income(kind: &str, tran_id: usize, amount: &str) -> Income {
    Income {
        key: IncomeKey {
            income_type: kind.parse().unwrap(),
            tran_id: TranId::new(tran_id.to_string()).unwrap(),
            symbol: Some(symbol("BTCUSDT")),
            asset: usdt(),
        },
        amount: dec(amount),
        time: EventTime::ms(at(-500_000)),
        fill_id: Some(FillId::new("5").unwrap()),
        info: None,
    }
}

/// A book with up to two sides of trade 5: their sides, fees and reported profits.
fn book_of(sides: &[(Side, &str, Option<&str>)]) -> Book {
    let fills: Vec<_> = sides
        .iter()
        .map(|(side, fee, reported)| {
            let mut fill = fill(5, "77", "0.05");
            fill.key.side = *side;
            let (amount, asset) = fee.split_once(' ').unwrap_or((fee, "USDT"));
            fill.fee = (!fee.is_empty()).then(|| Fee { amount: dec(amount), asset: Asset::new(asset).unwrap() });
            fill.exchange_realized_pnl = reported.map(dec);
            Sourced::new(fill, Source::Rest)
        })
        .collect();
    let mut mocks = Mocks::empty();
    let symbol_book = SymbolBook {
        symbol: symbol("BTCUSDT"),
        settle_asset: usdt(),
        fill_count: u64::try_from(fills.len()).unwrap(),
        unplaced_count: 0,
        closed_count: 0,
        pnl_mismatch_count: 0,
        unallocated_funding: vec![],
        is_conserved: true,
    };
    mocks.positions = MockPositionRepository::new();
    mocks.positions.expect_positions().returning(|_| Ok(vec![]));
    mocks.positions.expect_symbol_books().returning(move |_| Ok(vec![symbol_book.clone()]));
    let no_mismatch = || ledger_store::Page { items: Vec::new(), unreadable: Vec::new(), next: None };
    mocks.positions.expect_pnl_mismatches().returning(move |_, _| Ok(no_mismatch()));
    let by_key = fills.clone();
    mocks.fills = MockFillRepository::new();
    mocks
        .fills
        .expect_fill()
        .returning(move |_, key| Ok(by_key.iter().find(|fill: &&Sourced<Fill>| fill.fact.key == *key).cloned()));
    mocks
        .fills
        .expect_fills_in_fold_order()
        .returning(move |_, _, _| Ok(ledger_store::Page { items: fills.clone(), unreadable: Vec::new(), next: None }));
    mocks.book()
}

#[tokio::test]
async fn the_ledger_and_the_fills_agree_to_the_last_digit() {
    let (buy, sell) = (Side::Buy, Side::Sell);
    for (sides, kind, amounts, agrees) in [
        (&[(buy, "0.1", None)][..], IncomeType::COMMISSION, &["-0.10000000"][..], true),
        (&[(buy, "2", None)], IncomeType::COMMISSION, &["-2.9"], false),
        (&[(buy, "2.9", None)], IncomeType::COMMISSION, &["-2"], false),
        (&[(buy, "0.12345678", None)], IncomeType::COMMISSION, &["-0.12345679"], false),
        // Beyond the ledger's own digits nothing can differ.
        (&[(buy, "0.1234567801", None)], IncomeType::COMMISSION, &["-0.12345678"], true),
        // A self-trade: one row a side, in either order.
        (&[(buy, "0.1", None), (sell, "0.2", None)], IncomeType::COMMISSION, &["-0.2", "-0.1"], true),
        (&[(buy, "0.1", None), (sell, "0.2", None)], IncomeType::COMMISSION, &["-0.1", "-0.1"], false),
        (&[(buy, "0.1", None), (sell, "0.2", None)], IncomeType::COMMISSION, &["-0.1"], false),
        // One fill in several rows.
        (&[(buy, "0.3", None)], IncomeType::COMMISSION, &["-0.1", "-0.2"], true),
        (&[(sell, "0", Some("1.5"))], IncomeType::REALIZED_PNL, &["1.5"], true),
        (&[(sell, "0", Some("1.5"))], IncomeType::REALIZED_PNL, &["1.6"], false),
        (&[], IncomeType::COMMISSION, &["-0.1"], false),
        // Paid in another asset than the ledger says.
        (&[(buy, "0 BNB", None)], IncomeType::COMMISSION, &["-0.1"], false),
    ] {
        let rows = amounts.iter().enumerate().map(|(index, amount)| income(kind, index + 1, amount)).collect();
        let seen = Observation { income: Ok(walk(rows)), ..quiet() };
        let verification = verify(&seen, &book_of(sides), &account_id()).await.unwrap();
        match verdict(&verification, CheckName::IncomeHasFills) {
            Verdict::Pass { compared: 1 } => assert!(agrees, "{sides:?} against {amounts:?}"),
            Verdict::Fail { compared: 1, count: 1, .. } => assert!(!agrees, "{sides:?} against {amounts:?}"),
            other => panic!("{sides:?} against {amounts:?}: {other:?}"),
        }
    }
}

/// A fill that does not say what the ledger says is nothing to compare with: the fold takes the ledger's word, and half of
/// a self-trade says nothing of its sum.
#[tokio::test]
async fn a_fill_that_says_nothing_is_not_compared() {
    for (sides, kind) in [
        (&[(Side::Buy, "", None)][..], IncomeType::COMMISSION),
        (&[(Side::Sell, "0", None)], IncomeType::REALIZED_PNL),
        (&[(Side::Buy, "0.1", None), (Side::Sell, "", None)], IncomeType::COMMISSION),
    ] {
        let seen = Observation { income: Ok(walk(vec![income(kind, 1, "-0.1")])), ..quiet() };
        let verification = verify(&seen, &book_of(sides), &account_id()).await.unwrap();
        let found = verdict(&verification, CheckName::IncomeHasFills);
        let reason = "the fills of 1 row say nothing of it".to_owned();
        assert_eq!(*found, Verdict::NotCheckable { reason }, "{sides:?}");
        assert_eq!(verification.findings, []);
    }
}

#[tokio::test]
async fn a_look_makes_the_checks_that_are_part_of_it() {
    let verification = verify(&quiet(), &book_of(&[]), &account_id()).await.unwrap();
    let made: Vec<_> = verification.checks.iter().map(|check| check.name).collect();
    let expected: Vec<_> = CheckName::ALL.iter().copied().filter(|name| name.is_part_of_a_look()).collect();
    assert_eq!(made, expected);
}

/// Somebody's word that a difference may stay holds for the check that finds it, and for no other evidence.
#[tokio::test]
async fn what_somebody_accepted_fails_no_check() {
    let book = book_of(&[(Side::Buy, "0.1", None)]);
    let mut seen = Observation { income: Ok(walk(vec![income(IncomeType::COMMISSION, 1, "-0.2")])), ..quiet() };
    let before = verify(&seen, &book, &account_id()).await.unwrap();
    assert_eq!(before.counts().failed, 1);
    let finding = &before.findings[0];
    seen.book.discrepancies = vec![ledger_store::Discrepancy {
        id: 1,
        account: account_id(),
        entry: ledger_store::NewDiscrepancy {
            key: finding.key(),
            symbol: finding.symbol.clone(),
            status: ledger_store::DiscrepancyStatus::Acknowledged,
            evidence_json: finding.evidence_json(),
        },
        first_seen_local: at(0),
        last_seen_local: at(0),
        resolved_local: None,
        run_id: None,
    }];
    let after = verify(&seen, &book, &account_id()).await.unwrap();
    assert_eq!(*verdict(&after, CheckName::IncomeHasFills), Verdict::Pass { compared: 1 });
    assert_eq!(after.findings, before.findings);
    seen.book.discrepancies[0].entry.evidence_json = "{}".to_owned();
    let other = verify(&seen, &book, &account_id()).await.unwrap();
    assert_eq!(other.counts().failed, 1);
}

#[tokio::test]
async fn a_check_that_compared_nothing_is_not_checkable() {
    // Fills that say nothing about profits, a ledger that speaks of no trade, orders that say nothing of their state.
    let mut seen = quiet();
    let mut untold = order("77", OrderStatus::Unknown, "0");
    untold.executed = None;
    let known = booked(untold, "0.05");
    seen.book.orders.insert(known.order.fact.key.clone(), known);
    let transfer = Income { fill_id: None, ..income("TRANSFER", 1, "100") };
    seen.income = Ok(walk(vec![transfer]));
    let verification = verify(&seen, &book_of(&[(Side::Buy, "0.1", None)]), &account_id()).await.unwrap();
    assert_eq!(verification.checks.len(), 6);
    for check in &verification.checks {
        assert!(matches!(check.verdict, Verdict::NotCheckable { .. }), "{check:?}");
    }
    // Fills that say what they realized were compared when they were folded.
    let book = book_of(&[(Side::Buy, "0.1", Some("0")), (Side::Sell, "0.1", Some("0"))]);
    let verification = verify(&quiet(), &book, &account_id()).await.unwrap();
    assert_eq!(*verdict(&verification, CheckName::RealizedPnl), Verdict::Pass { compared: 2 });
}

#[tokio::test]
async fn only_orders_that_say_what_was_executed_are_counted() {
    let mut seen = quiet();
    let told = order("77", OrderStatus::Filled, "0.05");
    let untold = Order { executed: None, ..order("78", OrderStatus::Unknown, "0") };
    seen.orders = Ok(walk(vec![told.clone(), untold.clone()]));
    let mut mocks = Mocks::empty();
    mocks.orders = MockOrderRepository::new();
    mocks
        .orders
        .expect_orders()
        .returning(|_, _| Ok(ledger_store::Page { items: Vec::new(), unreadable: Vec::new(), next: None }));
    mocks.orders.expect_order().returning(move |_, key| {
        let found = [booked(told.clone(), "0.05"), BookOrder { filled_qty: None, ..booked(untold.clone(), "0") }];
        Ok(found.into_iter().find(|known| known.order.fact.key == *key))
    });
    let verification = verify(&seen, &mocks.book(), &account_id()).await.unwrap();
    assert_eq!(*verdict(&verification, CheckName::ExecutedQuantity), Verdict::Pass { compared: 1 });
}

/// A book with two statements of a wallet, a minute apart, and these rows of the ledger.
async fn footing(wallets: [&str; 2], rows: Vec<Income>) -> Verdict {
    let mut mocks = Mocks::empty();
    mocks.snapshots = MockSnapshotRepository::new();
    let stated = [(-60_000, wallets[0]), (-100, wallets[1])].map(|(ms, wallet)| {
        let balance = ledger_core::BalanceSnapshot { asset: usdt(), at: at(ms - 60_000), wallet: dec(wallet) };
        Sourced::new(balance, Source::Rest)
    });
    mocks.snapshots.expect_balance_snapshots().returning(move |_, _| {
        Ok(ledger_store::Page { items: stated.iter().rev().cloned().collect(), unreadable: Vec::new(), next: None })
    });
    mocks.income = MockIncomeRepository::new();
    mocks.income.expect_income().returning(move |filter, _| {
        let (since, until) = (filter.scope.since.unwrap(), filter.scope.until.unwrap());
        let rows = rows.iter().filter(|row| row.time.at >= since && row.time.at < until);
        Ok(ledger_store::Page {
            items: rows.map(|row| Sourced::new(row.clone(), Source::Rest)).collect(),
            unreadable: Vec::new(),
            next: None,
        })
    });
    let verification = verify(&quiet(), &mocks.book(), &account_id()).await.unwrap();
    verdict(&verification, CheckName::Footing).clone()
}

#[tokio::test]
async fn a_wallet_foots_between_two_looks() {
    let row = |kind: &str, ms: i64, amount: &str| Income {
        time: EventTime::ms(at(ms)),
        ..income(kind, usize::try_from(1_000_000 + ms).unwrap(), amount)
    };
    let moved =
        || vec![row("REALIZED_PNL", -90_000, "5"), row("COMMISSION", -89_999, "-0.5"), row("TRANSFER", -70_000, "10")];
    assert_eq!(footing(["100", "114.5"], moved()).await, Verdict::Pass { compared: 1 });
    // A row is missing, or one too many is there.
    for wallets in [["100", "115"], ["100", "104.5"]] {
        let found = footing(wallets, moved()).await;
        assert!(matches!(found, Verdict::Fail { compared: 1, count: 1, .. }), "{found:?}");
    }
    // A row of the very moment of a statement may be on either side of it.
    let at_the_end = || moved().into_iter().chain([row("FUNDING_FEE", -60_000, "1")]).collect::<Vec<_>>();
    assert_eq!(footing(["100", "114.5"], at_the_end()).await, Verdict::Pass { compared: 1 });
    assert_eq!(footing(["100", "115.5"], at_the_end()).await, Verdict::Pass { compared: 1 });
    // What nobody documents is not guessed.
    let strange = moved().into_iter().chain([row("BFUSD_REWARD", -80_000, "1")]).collect::<Vec<_>>();
    let found = footing(["100", "115.5"], strange).await;
    assert!(matches!(&found, Verdict::NotCheckable { reason } if reason.contains("BFUSD_REWARD")), "{found:?}");
}
