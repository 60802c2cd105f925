//! What the checks compare, and what they say when there is nothing to compare.

use crate::memory::GapMemory;
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
pub(super) fn book_of(sides: &[(Side, &str, Option<&str>)]) -> Book {
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
    let mut mock = MockStore::new();
    let symbol_book = SymbolBook {
        symbol: symbol("BTCUSDT"),
        settle_asset: usdt(),
        fill_count: u64::try_from(fills.len()).unwrap(),
        unplaced_count: 0,
        closed_count: 0,
        pnl_mismatch_count: 0,
        pnl_unreported_count: sides.iter().filter(|(_, _, reported)| reported.is_none()).count() as u64,
        pnl_unknown_count: 0,
        unallocated_funding: vec![],
        unallocated_clearance: vec![],
        unallocated_realized: vec![],
        is_conserved: true,
    };
    mock.expect_symbol_books().returning(move |_| Ok(vec![symbol_book.clone()]));
    let by_key = fills.clone();
    mock.expect_fill()
        .returning(move |_, key| Ok(by_key.iter().find(|fill: &&Sourced<Fill>| fill.fact.key == *key).cloned()));
    mock.expect_fills_in_fold_order()
        .returning(move |_, _, _| Ok(ledger_store::Page { items: fills.clone(), unreadable: Vec::new(), next: None }));
    beside_nothing(mock)
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
        (&[(buy, "0.1", None), (sell, "0.2", None)], IncomeType::COMMISSION, &["-0.15"], false),
        // One fill in several rows.
        (&[(buy, "0.3", None)], IncomeType::COMMISSION, &["-0.1", "-0.2"], true),
        (&[(sell, "0", Some("1.5"))], IncomeType::REALIZED_PNL, &["1.5"], true),
        (&[(sell, "0", Some("1.5"))], IncomeType::REALIZED_PNL, &["1.6"], false),
        (&[], IncomeType::COMMISSION, &["-0.1"], false),
        // A trade that made neither profit nor loss needs its fill all the same.
        (&[], IncomeType::REALIZED_PNL, &["0"], false),
        // Of one fill, sources do not agree on the sign of a fee; a sum of two has but one.
        (&[(buy, "-0.1", None)], IncomeType::COMMISSION, &["-0.1"], true),
        (&[(buy, "0.2", None), (sell, "-0.1", None)], IncomeType::COMMISSION, &["-0.2", "0.1"], true),
        (&[(buy, "0.2", None), (sell, "-0.1", None)], IncomeType::COMMISSION, &["0.2", "-0.1"], false),
        // Paid in another asset than the ledger says.
        (&[(buy, "0 BNB", None)], IncomeType::COMMISSION, &["-0.1"], false),
    ] {
        let rows = amounts.iter().enumerate().map(|(index, amount)| income(kind, index + 1, amount)).collect();
        let seen = Observation { income: Asked::Answered(walk(rows)), ..quiet() };
        let verification = verify(&seen, &*book_of(sides), &account_id()).await.unwrap();
        match verdict(&verification, CheckName::IncomeHasFills) {
            Verdict::Pass { compared: 1 } => assert!(agrees, "{sides:?} against {amounts:?}"),
            Verdict::Fail { compared: 1, count: 1, .. } => assert!(!agrees, "{sides:?} against {amounts:?}"),
            other => panic!("{sides:?} against {amounts:?}: {other:?}"),
        }
    }
}

/// Of a trade with oneself a row may be missing: that is demanded, and not told here as well. A half of it may be missing from
/// the book: that rests on one list.
#[tokio::test]
async fn half_of_a_trade_with_oneself_is_told_once() {
    let both = [(Side::Buy, "0.1", None), (Side::Sell, "0.2", None)];
    let seen = |amounts: &[&str]| {
        let rows = amounts.iter().enumerate();
        let rows = rows.map(|(index, amount)| income(IncomeType::COMMISSION, index + 1, amount)).collect();
        Observation { income: Asked::Answered(walk(rows)), ..quiet() }
    };
    for row in ["-0.1", "-0.2"] {
        let verification = verify(&seen(&[row]), &*book_of(&both), &account_id()).await.unwrap();
        let reason = "1 row: the row of the trade's other half is missing".to_owned();
        assert_eq!(*verdict(&verification, CheckName::IncomeHasFills), Verdict::NotCheckable { reason }, "{row}");
        assert_eq!(verification.findings, []);
    }
    // One row more than there are fills is doubted, one of another amount is not.
    for (amounts, is_doubtful) in [(&["-0.1", "-0.2"][..], true), (&["-0.2"], false)] {
        let verification = verify(&seen(amounts), &*book_of(&both[..1]), &account_id()).await.unwrap();
        let found: Vec<_> = verification.findings.iter().map(|finding| (finding.kind, finding.is_doubtful)).collect();
        assert_eq!(found, [(DiscrepancyKind::IncomeMismatch, is_doubtful)], "{amounts:?}");
    }
}

/// Pages of the ledger overlap, and what differed once is compared again though this look's ledger says nothing of it.
#[tokio::test]
async fn a_row_counts_once_and_a_difference_is_compared_until_it_is_gone() {
    let compared = async |seen: &Observation, fee: &str| {
        let verification = verify(seen, &*book_of(&[(Side::Buy, fee, None)]), &account_id()).await.unwrap();
        (verdict(&verification, CheckName::IncomeHasFills).clone(), verification.findings)
    };
    let row = income(IncomeType::COMMISSION, 1, "-0.1");
    let mut seen = Observation { income: Asked::Answered(walk(vec![row.clone(), row.clone()])), ..quiet() };
    assert_eq!(compared(&seen, "0.1").await.0, Verdict::Pass { compared: 1 });
    let (_, findings) = compared(&seen, "0.2").await;
    seen.book.discrepancies = findings.iter().map(deciding::known).collect();
    seen.income = Asked::Answered(walk(vec![]));
    assert!(matches!(compared(&seen, "0.2").await.0, Verdict::Fail { compared: 1, count: 1, .. }));
    assert_eq!(compared(&seen, "0.1").await.0, Verdict::Pass { compared: 1 });
    // What the ledger says now is its word, not what it said then.
    seen.income = Asked::Answered(walk(vec![row, income(IncomeType::COMMISSION, 2, "-0.1")]));
    assert_eq!(compared(&seen, "0.2").await.0, Verdict::Pass { compared: 1 });
    // A look at another contract compares neither.
    seen.scope = [symbol("ETHUSDT")].into();
    assert!(matches!(compared(&seen, "0.2").await.0, Verdict::NotCheckable { .. }));
}

/// Where the exchange did not state one contract's position, the check says so beside the others' agreement.
#[tokio::test]
async fn a_position_that_was_not_told_is_not_taken_for_agreed() {
    let mut mock = MockStore::new();
    mock.expect_positions().returning(|_| Ok(vec![long()]));
    let book = beside_nothing(mock);
    let mut seen = quiet();
    let agreed = PositionSnapshot { position_side: PositionSide::Long, ..held("1") };
    seen.positions = Asked::Answered(answer(vec![agreed]));
    let checked = async |seen: &Observation| {
        let verification = verify(seen, &*book, &account_id()).await.unwrap();
        verification.checks.into_iter().find(|check| check.name == CheckName::Quantity).unwrap()
    };
    let quantity = async |seen: &Observation| checked(seen).await.verdict;
    assert_eq!(quantity(&seen).await, Verdict::Pass { compared: 1 });
    assert!(!checked(&seen).await.is_in_part());
    let mut untold = long();
    untold.symbol = symbol("ETHUSDT");
    seen.book.positions = vec![untold];
    let error = lost();
    let row = exchange_client::UnreadableRow { symbol: Some(symbol("ETHUSDT")), error, payload: "{}".into() };
    seen.positions.answer_mut().unwrap().unreadable.push(row);
    let found = checked(&seen).await;
    let detail = "1 position compared; 1 not: the exchange did not answer what it holds (ETHUSDT LONG)";
    assert_eq!((&found.verdict, found.detail.as_str()), (&Verdict::Pass { compared: 1 }, detail));
    assert!(found.is_in_part() && found.left_out_count() == 1);
    // A difference is worth more than what could not be compared.
    seen.positions.answer_mut().unwrap().rows.clear();
    assert!(matches!(quantity(&seen).await, Verdict::Fail { compared: 1, count: 1, .. }));
    // Of neither is anything said by a look at a third.
    seen.scope = [symbol("XRPUSDT")].into();
    assert!(matches!(quantity(&seen).await, Verdict::NotCheckable { .. }));
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
        let seen = Observation { income: Asked::Answered(walk(vec![income(kind, 1, "-0.1")])), ..quiet() };
        let verification = verify(&seen, &*book_of(sides), &account_id()).await.unwrap();
        let found = verdict(&verification, CheckName::IncomeHasFills);
        let reason = "1 row: the fills do not state the amount".to_owned();
        assert_eq!(*found, Verdict::NotCheckable { reason }, "{sides:?}");
        assert_eq!(verification.findings, []);
    }
}

#[tokio::test]
async fn a_look_makes_the_checks_that_are_part_of_it() {
    let verification = verify(&quiet(), &*book_of(&[]), &account_id()).await.unwrap();
    let made: Vec<_> = verification.checks.iter().map(|check| check.name).collect();
    let expected: Vec<_> = CheckName::ALL.iter().copied().filter(|name| name.is_part_of_a_look()).collect();
    assert_eq!(made, expected);
}

/// Somebody's word that a difference may stay holds for the check that finds it, and for no other evidence.
#[tokio::test]
async fn what_somebody_accepted_fails_no_check() {
    let book = book_of(&[(Side::Buy, "0.1", None)]);
    let mut seen =
        Observation { income: Asked::Answered(walk(vec![income(IncomeType::COMMISSION, 1, "-0.2")])), ..quiet() };
    let before = verify(&seen, &*book, &account_id()).await.unwrap();
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
    let after = verify(&seen, &*book, &account_id()).await.unwrap();
    assert_eq!(*verdict(&after, CheckName::IncomeHasFills), Verdict::Pass { compared: 1 });
    assert_eq!(after.findings, before.findings);
    seen.book.discrepancies[0].entry.evidence_json = "{}".to_owned();
    let other = verify(&seen, &*book, &account_id()).await.unwrap();
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
    seen.income = Asked::Answered(walk(vec![transfer]));
    let verification = verify(&seen, &*book_of(&[(Side::Buy, "0.1", None)]), &account_id()).await.unwrap();
    assert_eq!(verification.checks.len(), 8);
    for check in &verification.checks {
        assert!(matches!(check.verdict, Verdict::NotCheckable { .. }), "{check:?}");
    }
    // Fills that say what they realized were compared when they were folded.
    let book = book_of(&[(Side::Buy, "0.1", Some("0")), (Side::Sell, "0.1", Some("0"))]);
    let verification = verify(&quiet(), &*book, &account_id()).await.unwrap();
    assert_eq!(*verdict(&verification, CheckName::RealizedPnl), Verdict::Pass { compared: 2 });
}

#[tokio::test]
async fn only_orders_that_say_what_was_executed_are_counted() {
    let mut seen = quiet();
    let told = order("77", OrderStatus::Filled, "0.05");
    let untold = Order { executed: None, ..order("78", OrderStatus::Unknown, "0") };
    seen.orders = Asked::Answered(walk(vec![told.clone(), untold.clone()]));
    let mut mock = MockStore::new();
    mock.expect_order().returning(move |_, key| {
        let found = [booked(told.clone(), "0.05"), BookOrder { filled_qty: None, ..booked(untold.clone(), "0") }];
        Ok(found.into_iter().find(|known| known.order.fact.key == *key))
    });
    let verification = verify(&seen, &*beside_nothing(mock), &account_id()).await.unwrap();
    assert_eq!(*verdict(&verification, CheckName::ExecutedQuantity), Verdict::Pass { compared: 1 });
}

/// A book with two statements of a wallet, a minute apart, and these rows of the ledger.
async fn footing(wallets: [&str; 2], rows: Vec<Income>) -> Verdict {
    footing_of(&quiet(), wallets, rows).await
}

/// The same, with something else seen.
async fn footing_of(seen: &Observation, wallets: [&str; 2], rows: Vec<Income>) -> Verdict {
    let mut mock = MockStore::new();
    let stated = [(-60_000, wallets[0]), (-100, wallets[1])].map(|(ms, wallet)| {
        let balance = ledger_core::BalanceSnapshot { asset: usdt(), at: at(ms - 60_000), wallet: dec(wallet) };
        Sourced::new(balance, Source::Rest)
    });
    mock.expect_balance_snapshots().returning(move |_, _| {
        Ok(ledger_store::Page { items: stated.iter().rev().cloned().collect(), unreadable: Vec::new(), next: None })
    });
    mock.expect_income().returning(move |filter, _| {
        let (since, until) = (filter.scope.since.unwrap(), filter.scope.until.unwrap());
        let rows = rows.iter().filter(|row| row.time.at >= since && row.time.at < until);
        Ok(ledger_store::Page {
            items: rows.map(|row| Sourced::new(row.clone(), Source::Rest)).collect(),
            unreadable: Vec::new(),
            next: None,
        })
    });
    let verification = verify(seen, &*beside_nothing(mock), &account_id()).await.unwrap();
    verdict(&verification, CheckName::Footing).clone()
}

/// A wallet is not said to differ where its ledger was not read, or may not tell of all the time yet.
#[tokio::test]
async fn a_wallet_whose_ledger_is_not_all_there_is_not_checkable() {
    let differing = ["100", "114.5"];
    let fails = |found: &Verdict| matches!(found, Verdict::Fail { compared: 1, count: 1, .. });
    assert!(fails(&footing(differing, vec![]).await));
    let mut other_asset = income("TRANSFER", 1, "14.5");
    (other_asset.time, other_asset.key.asset) = (EventTime::ms(at(-70_000)), Asset::new("BNB").unwrap());
    assert!(fails(&footing(differing, vec![other_asset]).await));
    // Stated at 120 s and 60.1 s ago; what lags is there after the venue's time.
    let asked = |ms: i64| {
        let mut seen = quiet();
        seen.income.answer_mut().unwrap().asked_at = at(ms - 60_100 + VENUE.settle_lag_ms);
        seen
    };
    assert!(fails(&footing_of(&asked(0), differing, vec![]).await));
    let found = footing_of(&asked(-1), differing, vec![]).await;
    assert!(matches!(&found, Verdict::NotCheckable { reason } if reason.contains("yet")), "{found:?}");
    // What foots already, foots.
    assert_eq!(footing_of(&asked(-1), ["100", "100"], vec![]).await, Verdict::Pass { compared: 1 });
    // A stretch that could not be read, now or earlier: it touches the span, ends before it, or somebody accepted it.
    let (touching, before) = ((-130_000, -119_999), (-130_000, -120_000));
    for ((since, until), is_left_out) in [(touching, true), (before, false)] {
        let gap = TimeWindow::new(at(since), at(until)).unwrap();
        let mut seen = quiet();
        seen.income.answer_mut().unwrap().continuity = Continuity::Expired(gap);
        assert_eq!(!fails(&footing_of(&seen, differing, vec![]).await), is_left_out, "{since} {until}");
        for (stream, accepted) in [("income", false), ("income", true), ("orders", false)] {
            let subject = crate::Subject::History(stream.into(), at(since));
            let kind = DiscrepancyKind::HistoryExpired;
            let gap = crate::Finding::new(kind, None, subject, Outlook::Stays, String::new()).remembering(GapMemory {
                stream: stream.into(),
                since: at(since),
                until: at(until),
            });
            let mut on_record = deciding::known(&gap);
            if accepted {
                on_record.entry.status = ledger_store::DiscrepancyStatus::Acknowledged;
            }
            let mut seen = quiet();
            seen.book.discrepancies = vec![on_record];
            let found = footing_of(&seen, differing, vec![]).await;
            assert_eq!(!fails(&found), is_left_out && stream == "income" && !accepted, "{stream} {accepted}");
        }
    }
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
