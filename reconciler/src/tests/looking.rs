//! How far back the looking reaches, into the exchange's history and the book's.

use std::sync::atomic::{AtomicUsize, Ordering};

use ledger_core::{Asset, BalanceSnapshot};
use ledger_store::{CoverageSpan, SyncCursor};

use super::*;
use crate::observe::Observation;
use crate::wording::instant;

const DAY_MS: i64 = 86_400_000;

async fn look_with_cursors(cursors: Vec<SyncCursor>) -> Result<Observation, crate::ReconcileError> {
    let mut mock = MockStore::new();
    mock.expect_cursors().returning(move |_| Ok(cursors.clone()));
    let exchange = exchange_with(|| Ok(answer(vec![])));
    observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await
}

fn cursor(stream: &str, position: &str) -> SyncCursor {
    SyncCursor { stream: stream.into(), symbol: None, position: position.to_string() }
}

#[tokio::test]
async fn time_that_the_venue_has_forgotten_is_never_taken_for_read() {
    let (long_ago, lately) = (at(-200 * DAY_MS), at(-DAY_MS));
    let seen = look_with_cursors(vec![cursor("orders", &long_ago.to_string()), cursor("income", &lately.to_string())])
        .await
        .unwrap();
    let plan = plan(&seen);
    let [finding] = plan.account_findings.as_slice() else { panic!("{:#?}", plan.account_findings) };
    assert_eq!((finding.kind, finding.outlook), (DiscrepancyKind::HistoryExpired, Outlook::Stays));
    let oldest = seen.orders.answer().unwrap().window.since();
    assert!(
        finding.evidence.contains(&format!("orders from {} to {}", instant(long_ago), instant(oldest))),
        "{}",
        finding.evidence
    );
    // Covered is what was read, and nothing in front of it.
    let covered: Vec<&CoverageSpan> = plan.account_coverage.iter().filter(|span| span.stream == "orders").collect();
    assert_eq!(covered.iter().map(|span| span.since).collect::<Vec<_>>(), [oldest]);
    assert!(oldest > at(-VENUE.orders.retention_ms));
    // Waiting would bring nothing, so the next cycle goes on from here.
    assert_eq!(plan.account_cursors.len(), 3);
}

#[test]
fn forgotten_fills_are_told_unless_the_ledger_was_watched_all_along() {
    let gap = TimeWindow::new(at(-200 * DAY_MS), at(-90 * DAY_MS)).unwrap();
    for (ledger, told) in [
        (Continuity::Resumed, false),
        (Continuity::First, true),
        (Continuity::Apart, true),
        (Continuity::Expired(gap), true),
    ] {
        let mut seen = half_known();
        seen.income.answer_mut().unwrap().continuity = ledger;
        seen.symbols.get_mut(&symbol("BTCUSDT")).unwrap().fills.answer_mut().unwrap().continuity =
            Continuity::Expired(gap);
        let plan = plan(&seen);
        let found = &plan.symbols[&symbol("BTCUSDT")].findings;
        let found = found.iter().find(|finding| finding.kind == DiscrepancyKind::HistoryExpired);
        assert_eq!(found.is_some(), told, "{ledger:?}");
        assert!(found.is_none_or(|finding| finding.evidence.starts_with("fills of BTCUSDT from ")));
    }
}

#[tokio::test]
async fn a_cursor_that_is_no_time_is_an_error() {
    for position in ["", "soon", "17800000000000000000000", "-5"] {
        let error = look_with_cursors(vec![cursor("income", position)]).await.unwrap_err();
        assert!(error.to_string().contains(&format!("cursor of income is `{position}`")), "{error}");
    }
}

#[tokio::test]
async fn a_balance_that_rests_for_long_is_found_behind_those_that_move() {
    let balance = |asset: &str, ms: i64, wallet: &str| {
        let wallet = wallet.parse().unwrap();
        BalanceSnapshot { asset: Asset::new(asset).unwrap(), at: at(ms), wallet }
    };
    let mut mock = MockStore::new();
    let pages = Arc::new(AtomicUsize::new(0));
    let read = Arc::clone(&pages);
    mock.expect_balance_snapshots().returning(move |_, request| {
        read.fetch_add(1, Ordering::SeqCst);
        let is_first = request == ledger_store::PageRequest::newest(1_000);
        // A list leads on from page to page, and would go on after these.
        let next = if is_first { r#"["2"]"# } else { r#"["1"]"# };
        let rows: Vec<_> = if is_first {
            (1..=1_000).map(|back| balance("USDT", -back, &back.to_string())).collect()
        } else {
            vec![balance("BNB", -9_000, "3"), balance("USDT", -9_001, "7"), balance("BNB", -9_002, "2")]
        };
        let items = rows.into_iter().map(|balance| Sourced::new(balance, Source::Rest)).collect();
        Ok(ledger_store::Page { items, unreadable: Vec::new(), next: Some(next.parse().unwrap()) })
    });
    let mut exchange = MockExchangeReader::new();
    exchange
        .expect_fetch_balances()
        .times(1)
        .returning(move |_| Ok(answer(vec![balance("USDT", 0, "1"), balance("BNB", 0, "3")])));
    let exchange = answering(exchange, || Ok(answer(vec![])));
    let seen = observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await.unwrap();
    let known: Vec<_> = seen.book.latest_balances.iter().map(|known| known.fact.clone()).collect();
    assert_eq!(known, [balance("USDT", -1, "1"), balance("BNB", -9_000, "3")]);
    assert_eq!(pages.load(Ordering::SeqCst), 2);
    // Both are what the exchange says: nothing is news.
    assert!(!plan(&seen).records_facts());
}

/// A book with this many symbols, all of which were looked at an hour or more ago, and how often an exchange where
/// nothing happens is asked in a cycle.
async fn questions_of_a_quiet_cycle(symbols: usize) -> usize {
    let names: Vec<Symbol> = (0..symbols).map(|index| symbol(&format!("C{index}USDT"))).collect();
    let mut mock = MockStore::new();
    let listed = names.clone();
    mock.expect_symbols().returning(move |_| Ok(listed.clone()));
    let contracts: Vec<_> = names
        .iter()
        .map(|name| {
            let asset = Asset::new("USDT").unwrap();
            let mut contract = ledger_core::Instrument::linear(name.clone(), asset).unwrap();
            (contract.tick_size, contract.step_size) = ("0.1".parse().ok(), "0.001".parse().ok());
            Sourced::new(contract, Source::Rest)
        })
        .collect();
    mock.expect_instruments().returning(move |_| Ok(contracts.clone()));
    let wide = ["orders", "income", "force_orders"].map(|stream| cursor(stream, &at(-3_600_000).to_string()));
    let hour_ms = 3_600_000;
    let of_symbols = names.iter().enumerate().map(|(index, name)| SyncCursor {
        symbol: Some(name.clone()),
        ..cursor("fills", &at(-hour_ms - i64::try_from(index).unwrap()).to_string())
    });
    let cursors: Vec<SyncCursor> = wide.into_iter().chain(of_symbols).collect();
    mock.expect_cursors().returning(move |_| Ok(cursors.clone()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut exchange = exchange_with(|| Ok(answer(vec![])));
    let log = Arc::clone(&asked);
    exchange.expect_fetch_my_trades().returning(move |symbol, _| {
        log.lock().unwrap().push(symbol);
        Ok(page(vec![]))
    });
    let seen = observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await.unwrap();
    // Those that were not looked at the longest.
    let expected: BTreeSet<Symbol> = names.iter().rev().take(2).cloned().collect();
    assert_eq!(seen.symbols.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let asked = asked.lock().unwrap();
    asked.len()
}

#[tokio::test]
async fn a_quiet_cycle_costs_the_same_for_any_number_of_symbols() {
    let few = questions_of_a_quiet_cycle(10).await;
    assert_eq!(questions_of_a_quiet_cycle(400).await, few);
    // Two symbols in turn, two looks at the fills of each.
    assert_eq!(few, 4);
}

#[tokio::test]
async fn conditional_orders_are_walked_from_where_the_last_walk_ended() {
    let windows = |reached: Option<i64>| async move {
        let mut mock = MockStore::new();
        mock.expect_symbols().returning(|_| Ok(vec![symbol("BTCUSDT")]));
        mock.expect_cursors().returning(move |_| {
            let cursor = reached.map(|reached| SyncCursor {
                symbol: Some(symbol("BTCUSDT")),
                ..cursor("conditional_orders", &at(reached).to_string())
            });
            Ok(cursor.into_iter().collect())
        });
        let mut exchange = exchange_with(|| Ok(answer(vec![])));
        exchange.expect_fetch_my_trades().returning(|_, _| Ok(page(vec![])));
        exchange.expect_fetch_instruments().returning(|| Ok(answer(vec![])));
        let seen = observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await.unwrap();
        let close = &seen.symbols[&symbol("BTCUSDT")];
        let walk = close.conditional_orders.answer().unwrap();
        (walk.window.since(), walk.continuity)
    };
    // A month ago lies further back than one request reaches, and the exchange still answers for it.
    let (since, continuity) = windows(Some(-30 * DAY_MS)).await;
    assert!(since <= at(-30 * DAY_MS) && continuity == Continuity::Resumed, "{since} {continuity:?}");
    let (since, continuity) = windows(None).await;
    assert!(since > at(-7 * DAY_MS) && continuity == Continuity::First, "{since} {continuity:?}");
}

/// An export names a contract without its steps, and how much the exchange's profits prove depends on them: whichever of
/// the import and the sync comes first, the book has to end up with the same contract. The same goes for what a forced
/// close costs, unless the exchange itself has described the contract without it.
#[tokio::test]
async fn a_contract_without_its_terms_is_asked_for() {
    for (steps, fee, source, is_stated) in [
        (false, false, Source::ExchangeArchive, false),
        (true, false, Source::ExchangeArchive, false),
        (true, false, Source::Rest, true),
        (true, true, Source::ExchangeArchive, true),
        (false, true, Source::Rest, false),
    ] {
        let mut mock = MockStore::new();
        mock.expect_symbols().returning(|_| Ok(vec![symbol("BTCUSDT")]));
        let mut contract = ledger_core::Instrument::linear(symbol("BTCUSDT"), Asset::new("USDT").unwrap()).unwrap();
        let mut on_record = contract.clone();
        (contract.tick_size, contract.step_size) = ("0.1".parse().ok(), "0.001".parse().ok());
        contract.liquidation_fee = "0.015".parse().ok();
        if steps {
            (on_record.tick_size, on_record.step_size) = (contract.tick_size, contract.step_size);
        }
        on_record.liquidation_fee = contract.liquidation_fee.filter(|_| fee);
        mock.expect_instruments().returning(move |_| Ok(vec![Sourced::new(on_record.clone(), source)]));
        let mut exchange = exchange_with(|| Ok(answer(vec![])));
        exchange.expect_fetch_my_trades().returning(|_, _| Ok(page(vec![])));
        let listed = contract.clone();
        exchange
            .expect_fetch_instruments()
            .times(usize::from(!is_stated))
            .returning(move || Ok(answer(vec![listed.clone()])));
        let seen = observe(&exchange, &beside_nothing(mock), &ObserveOptions::default()).await.unwrap();
        assert!(seen.symbols.contains_key(&symbol("BTCUSDT")) && seen.book.unfolded.is_empty());
        let stated = plan(&seen).instruments;
        assert_eq!(
            stated.iter().map(|it| it.fact.clone()).collect::<Vec<_>>(),
            if is_stated { vec![] } else { vec![AnyFact::Instrument(contract)] }
        );
    }
}

#[tokio::test]
async fn what_the_list_of_forced_orders_may_have_forgotten_is_not_covered() {
    let window_ms = VENUE.force_orders.window_ms_max;
    let overlap_ms = Policy::default().overlap_ms;
    // Last read when, asked from where, covered from where.
    for (read, asked, covered) in [
        (None, 60_000 - window_ms, 60_000 - window_ms),
        (Some(-window_ms + overlap_ms), -window_ms, -window_ms),
        (Some(-window_ms + overlap_ms - 1), -window_ms - 1, -window_ms),
        (Some(-30 * DAY_MS), -30 * DAY_MS - overlap_ms, -window_ms),
        (Some(-200 * DAY_MS), 60_000 - 90 * DAY_MS, -window_ms),
    ] {
        let cursors = read.map(|ms| cursor("force_orders", &at(ms).to_string())).into_iter().collect();
        let seen = look_with_cursors(cursors).await.unwrap();
        assert_eq!(seen.force_orders.answer().unwrap().window.since(), at(asked), "{read:?}");
        let plan = plan(&seen);
        let spans: Vec<&CoverageSpan> =
            plan.account_coverage.iter().filter(|span| span.stream == "force_orders").collect();
        assert_eq!(spans.iter().map(|span| span.since).collect::<Vec<_>>(), [at(covered)], "{read:?}");
    }
}
