//! What must not be concluded, asked or claimed.

use crate::memory::WalletMemory;
use exchange_client::{OrderRef, UnreadableRow};
use ledger_core::{Anchor, DerivedPosition};
use ledger_store::{BookPosition, DiscrepancyStatus};

use super::deciding::{anchors, beyond_memory, btc, close_look, known, remembering};
use super::*;
use crate::cycle::settle::settle;
use crate::observe::suspects::suspects;
use crate::{Finding, Subject};

/// The book holds 1 BTCUSDT long.
pub(crate) fn long() -> BookPosition {
    BookPosition {
        symbol: btc(),
        settle_asset: checks::usdt(),
        exchange: None,
        position: DerivedPosition {
            position_side: PositionSide::Long,
            qty: "1".parse().unwrap(),
            entry_price_avg: None,
            open_cost: None,
            certainty: ledger_core::Certainty::Known,
            realized: ledger_core::CertainTotal::default(),
            fees: vec![],
            funding: vec![],
            clearance: Vec::new(),
            since_opened: ledger_core::PositionMoney::default(),
            fill_count: 1,
            updated_at: None,
            position: None,
        },
        unreal_pnl: None,
        mark: None,
        reconcile_status: None,
    }
}

fn unreadable(name: &str) -> UnreadableRow {
    UnreadableRow { symbol: Some(symbol(name)), error: lost(), payload: "{}".into() }
}

#[test]
fn a_symbol_of_which_a_row_cannot_be_read_was_not_answered() {
    // The book holds a position and a working order; no list has them, but a row of each list cannot be read.
    let mut seen = quiet();
    seen.book.positions.push(long());
    let mut working = order("78", OrderStatus::New, "0");
    working.executed = None;
    let (key, reference) = (working.key.clone(), OrderRef::Id(OrderClass::Regular, working.key.order_id.clone()));
    seen.book.orders.insert(key.clone(), booked(working, "0"));
    let mut close = close_look(vec![], vec![], "0");
    close.orders.push((reference, Asked::Answered(None)));
    let is_settled = |seen: &Observation| {
        let plan = plan(seen);
        let found = plan.symbols.get(&btc()).map_or(vec![], |symbol| symbol.findings.iter().map(|f| f.kind).collect());
        (found.contains(&DiscrepancyKind::OrderVanished), found.contains(&DiscrepancyKind::QueryFailed))
    };
    seen.symbols.insert(btc(), close);
    assert_eq!(is_settled(&seen), (true, false));
    seen.open_orders.answer_mut().unwrap().unreadable.push(unreadable("ETHUSDT"));
    assert_eq!(is_settled(&seen), (true, false));
    seen.open_orders.answer_mut().unwrap().unreadable.push(unreadable("BTCUSDT"));
    assert_eq!(is_settled(&seen), (false, true));

    // A position that is not listed is flat, unless a row that may be it could not be read.
    let mut seen = quiet();
    seen.book.positions.push(long());
    assert_eq!(seen.exchange_qty(&btc(), PositionSide::Long), Some(Decimal::ZERO));
    seen.positions.answer_mut().unwrap().unreadable.push(unreadable("ETHUSDT"));
    assert_eq!(seen.exchange_qty(&btc(), PositionSide::Long), Some(Decimal::ZERO));
    let row = unreadable("BTCUSDT");
    seen.positions.answer_mut().unwrap().unreadable.push(row);
    assert_eq!((seen.exchange_qty(&btc(), PositionSide::Long), plan(&seen).account_statements.len()), (None, 0));
    let failed: Vec<String> = seen.failed_queries().into_iter().map(|(_, what, _)| what).collect();
    assert_eq!(failed, ["positions of BTCUSDT", "positions of ETHUSDT"]);

    // The list of orders is read again until all of it can be.
    let mut seen = quiet();
    let cursors = |seen: &Observation| {
        let plan = plan(seen);
        plan.account_cursors.iter().map(|cursor| cursor.stream.clone()).collect::<Vec<_>>()
    };
    assert_eq!(cursors(&seen), ["orders", "force_orders", "income"]);
    seen.orders.answer_mut().unwrap().unreadable.push(unreadable("ETHUSDT"));
    assert_eq!(cursors(&seen), ["force_orders", "income"]);
}

/// The next look comes a minute later.
fn a_minute_later(seen: &mut Observation) {
    for close in seen.symbols.values_mut() {
        if let Some(walk) = close.fills.answer_mut() {
            walk.asked_at = walk.asked_at.saturating_add_ms(60_000);
        }
    }
}

#[test]
fn an_order_known_from_its_fills_alone_is_not_asked_for_by_name() {
    let mut seen = quiet();
    // As an import of trades leaves it.
    let stub = Order::known_from_fill(order("77", OrderStatus::Unknown, "0").key, Side::Buy, None);
    let reference = OrderRef::Id(OrderClass::Regular, stub.key.order_id.clone());
    seen.book.orders.insert(stub.key.clone(), booked(stub, "0"));
    let is_asked = |seen: &Observation| {
        let suspects = suspects(seen, &Policy::default(), &BTreeSet::new());
        suspects.get(&btc()).is_some_and(|suspect| suspect.orders.contains(&reference))
    };
    // The lists hold all that the exchange remembers, and it is not on them.
    assert!(!is_asked(&seen));
    // Without the lists, only its name is left.
    seen.orders.answer_mut().unwrap().continuity = Continuity::Apart;
    assert!(is_asked(&seen));
    seen.orders = Asked::Failed(lost());
    assert!(is_asked(&seen));
    // One that the lists say has ended needs no second answer.
    let ended = order("78", OrderStatus::Filled, "0.05");
    let mut working = order("78", OrderStatus::New, "0");
    working.executed = None;
    seen.book.orders.clear();
    seen.book.orders.insert(working.key.clone(), booked(working, "0"));
    let by_name = OrderRef::Id(OrderClass::Regular, ended.key.order_id.clone());
    let asked = |seen: &Observation| {
        suspects(seen, &Policy::default(), &BTreeSet::new()).get(&btc()).is_some_and(|s| s.orders.contains(&by_name))
    };
    assert!(asked(&seen));
    seen.orders = Asked::Answered(walk(vec![ended]));
    assert!(!asked(&seen));
}

#[test]
fn fills_are_not_covered_beyond_one_that_the_ledger_names_and_nobody_has() {
    let covered = |seen: &Observation| {
        let decided = plan(seen);
        let span = decided.account_coverage.iter().find(|span| span.stream == "fills" && span.symbol.is_none());
        span.map(|span| (span.since, span.until))
    };
    let mut seen = quiet();
    let row = checks::income("COMMISSION", 1, "-0.1");
    let at_row = row.time.at;
    seen.income = Asked::Answered(walk(vec![row]));
    seen.symbols.insert(btc(), close_look(vec![], vec![], "0"));
    let begin = at(-1_000_000);
    assert_eq!(covered(&seen), Some((begin, at(-VENUE.settle_lag_ms))));
    seen.book.unfilled = [(btc(), FillId::new("5").unwrap())].into();
    assert_eq!(covered(&seen), Some((begin, at_row)));
    // Once the exchange has listed it, it is planned.
    seen.symbols.insert(btc(), close_look(vec![fill(5, "77", "0.05")], vec![], "0.05"));
    assert_eq!(covered(&seen), Some((begin, at(-VENUE.settle_lag_ms))));
}

#[test]
fn a_look_at_some_symbols_moves_no_stream_of_all() {
    let mut seen = quiet();
    seen.income = Asked::Answered(walk(vec![checks::income("COMMISSION", 1, "-0.1")]));
    seen.symbols.insert(btc(), close_look(vec![], vec![], "0"));
    let streams = |seen: &Observation| {
        let decided = plan(seen);
        let cursors = decided.account_cursors.into_iter().map(|cursor| cursor.stream);
        cursors.chain(decided.account_coverage.into_iter().map(|span| span.stream)).collect::<BTreeSet<_>>()
    };
    assert!(streams(&seen).contains("income"));
    seen.scope = [btc()].into();
    assert!(streams(&seen).is_empty());
}

#[test]
fn no_anchor_while_a_fill_may_lag() {
    let mut seen = beyond_memory();
    let first = plan(&seen);
    remembering(&mut seen, &first);
    // A second later, and still inside the time by which answers lag.
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(1_000);
    let second = plan(&seen);
    assert!(anchors(&second).is_empty());
    // The first look stays the first.
    remembering(&mut seen, &second);
    a_minute_later(&mut seen);
    assert_eq!(anchors(&plan(&seen)).len(), 1);
    // A trade that the ledger names and the fills lack may be what differs.
    seen.income = Asked::Answered(walk(vec![checks::income("COMMISSION", 1, "-0.1")]));
    seen.book.unfilled = [(btc(), FillId::new("5").unwrap())].into();
    assert!(anchors(&plan(&seen)).is_empty());
}

#[test]
fn nothing_is_stated_about_a_symbol_that_the_book_cannot_add_up() {
    // Quarantined: the book has every fill that the exchange has, and no derived position.
    let mut seen = quiet();
    let fills = vec![fill(1, "77", "1"), fill(2, "78", "1")];
    let mut close = close_look(fills.clone(), fills, "2");
    close.fills.answer_mut().unwrap().reaches_oldest = true;
    seen.symbols.insert(btc(), close);
    let stated = |seen: &mut Observation| {
        let mut stated: Vec<Anchor> = Vec::new();
        for cycle in 0..3 {
            let decided = plan(seen);
            stated.extend(anchors(&decided).into_iter().cloned());
            seen.book.anchors = stated.iter().map(|anchor| Sourced::new(anchor.clone(), Source::Repair)).collect();
            remembering(seen, &decided);
            a_minute_later(seen);
            // Time goes on, and with it the oldest instant that the venue answers for.
            let walk = seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap();
            walk.window = TimeWindow::new(at(-1_000_000 + 60_000 * (cycle + 1)), at(0)).unwrap();
        }
        (stated.len(), seen.book.discrepancies.len())
    };
    seen.book.quarantined = [btc()].into();
    assert_eq!(stated(&mut seen), (0, 0));
    // Nor is the past searched for what would explain it.
    seen.positions = Asked::Answered(answer(vec![held("2")]));
    let asked = suspects(&seen, &Policy::default(), &BTreeSet::new());
    assert!(asked.get(&btc()).is_none_or(|suspect| !suspect.position_differs));
}

#[tokio::test]
async fn a_position_that_differs_after_the_repairs_alone_waits_for_the_next_look() {
    let mut mock = MockStore::new();
    mock.expect_positions().returning(|_| Ok(vec![long()]));
    // Neither side knew of it when it was looked at; the exchange is flat.
    let mut seen = quiet();
    let verification = verify(&seen, &*beside_nothing(mock), &account_id()).await.unwrap();
    assert_eq!(verification.mismatched_positions.keys().collect::<Vec<_>>(), [&(btc(), PositionSide::Long)]);
    let settled = |seen: &Observation| settle(seen, &Plan::default(), &verification, &account_id(), at(0));
    let [(finding, status)] = settled(&seen).findings.try_into().unwrap();
    assert_eq!((finding.kind, status), (DiscrepancyKind::PositionMismatch, DiscrepancyStatus::Pending));
    assert!(finding.evidence.starts_with("BTCUSDT LONG: the exchange holds 0, the book 1,"), "{}", finding.evidence);
    assert_eq!(settled(&seen).batch.discrepancies[0].key, finding.key());
    // The next look says it in its own words, and what the book cannot add up is no position.
    let mut next = Plan::default();
    let kind = DiscrepancyKind::UnrecordedClose;
    next.symbols.entry(btc()).or_default().findings.push(Finding { kind, outlook: Outlook::Verify, ..finding });
    let settlement = settle(&seen, &next, &verification, &account_id(), at(0));
    assert_eq!(settlement.findings.iter().map(|(found, _)| found.kind).collect::<Vec<_>>(), [kind]);
    seen.book.quarantined = [btc()].into();
    assert_eq!(settled(&seen).findings, []);
}

#[test]
fn a_symbol_that_cannot_be_added_up_leaves_the_others_to_be_reconciled() {
    let huge = "9".repeat(38);
    let mut seen = half_known();
    let name = symbol("ETHUSDT");
    let of = |id: i64| {
        let mut fill = fill(id, "90", &huge);
        fill.key.symbol = name.clone();
        fill
    };
    let mut close = close_look(vec![of(8), of(9)], vec![], "0");
    close.positions = Asked::Answered(answer(vec![]));
    seen.symbols.insert(name.clone(), close);
    let decided = plan(&seen);
    let found: Vec<_> = decided.symbols[&name].findings.iter().map(|finding| finding.kind).collect();
    assert!(found.contains(&DiscrepancyKind::BeyondRange), "{found:?}");
    // What the exchange states is recorded all the same, here and of the other symbol.
    let fills = |name: &Symbol| {
        let statements = decided.symbols[name].statements.iter();
        statements.filter(|statement| matches!(statement.fact, AnyFact::Fill(_))).count()
    };
    assert_eq!((fills(&name), fills(&btc())), (2, 1));
}

/// The exchange's word on 1 BTCUSDT is on record, and a mark price of `mark_ms`.
fn holding(mark_ms: i64) -> Observation {
    let mark = |ms: i64, price: &str| ledger_core::PriceSnapshot {
        symbol: btc(),
        at: at(ms),
        kind: ledger_core::PriceKind::Mark,
        price: price.parse().unwrap(),
    };
    let mut seen = quiet();
    let mut booked = long();
    booked.position.position_side = PositionSide::Net;
    booked.mark = Some(mark(mark_ms, "60000"));
    seen.book.positions = vec![booked];
    let known = PositionSnapshot { at: at(-9_000_000), ..held("1") };
    seen.book.latest_positions = vec![Sourced::new(known, Source::Rest)];
    seen.positions = Asked::Answered(answer(vec![held("1")]));
    let marked = exchange_client::MarkPrice { price: mark(0, "60001"), next_funding: None };
    seen.mark_prices = Asked::Answered(answer(vec![marked]));
    seen
}

#[test]
fn a_price_that_moved_is_no_news_by_itself() {
    assert_eq!(plan(&holding(-600_000)).account_statements, []);
    assert_eq!(plan(&holding(-3_600_000)).account_statements.len(), 1);
    let mut seen = holding(-600_000);
    seen.income = Asked::Answered(walk(vec![checks::income("FUNDING_FEE", 1, "-0.1")]));
    assert_eq!(plan(&seen).account_statements.len(), 2);
}

#[test]
fn a_position_that_differs_is_no_news_every_time() {
    let words = |known_ms: i64, known_qty: &str, says: &str, moved_ms: Option<i64>| {
        let mut seen = holding(-600_000);
        seen.mark_prices = Asked::Failed(lost());
        for held in &mut seen.book.positions {
            held.position.updated_at = moved_ms.map(at);
        }
        let known = PositionSnapshot { at: at(known_ms), ..held(known_qty) };
        seen.book.latest_positions = vec![Sourced::new(known, Source::Rest)];
        seen.positions = Asked::Answered(answer(if says == "0" { vec![] } else { vec![held(says)] }));
        plan(&seen).account_statements.len()
    };
    let hour = 3_600_000;
    // What one list does not have is no word on its position.
    assert_eq!([words(1 - hour, "0", "0", None), words(-hour, "3", "0", None)], [0, 0]);
    // The book holds 1. What the exchange has said and says again is repeated once in an hour.
    let says = "2";
    assert_eq!([words(1 - hour, says, says, None), words(-hour, says, says, None)], [0, 1]);
    // Another word is news at once, and so is a book that has moved since.
    assert_eq!([words(-1, "3", says, None), words(-60_000, says, says, Some(-30_000))], [1, 1]);
    assert_eq!(words(-60_000, says, says, Some(-90_000)), 0);
    // What agrees is not repeated at all.
    assert_eq!(words(-100 * hour, "1", "1", None), 0);
}

#[tokio::test]
async fn a_wallet_that_did_not_foot_is_footed_again_by_itself() {
    let unfooted = |since: i64| {
        let subject = Subject::Wallet(checks::usdt(), at(since), at(since + 60_000));
        let kind = DiscrepancyKind::FootingMismatch;
        let finding = Finding::new(kind, None, subject, Outlook::Stays, String::new());
        let (asset, until, moved) = (checks::usdt(), at(since + 60_000), "5".parse().unwrap());
        known(&finding.remembering(WalletMemory { asset, since: at(since), until, moved }))
    };
    // Two stretches of the same wallet of long ago; the row that the first lacked has come.
    let mut seen = quiet();
    seen.book.discrepancies = vec![unfooted(-90_000_000), unfooted(-80_000_000)];
    let mut mock = MockStore::new();
    mock.expect_income().returning(|filter, _| {
        let mut row = checks::income("TRANSFER", 1, "5");
        row.time = EventTime::ms(at(-89_970_000));
        let is_inside = filter.scope.since.is_none_or(|since| since <= row.time.at)
            && filter.scope.until.is_none_or(|until| row.time.at < until);
        let items = is_inside.then(|| Sourced::new(row, Source::Rest)).into_iter().collect();
        Ok(ledger_store::Page { items, unreadable: Vec::new(), next: None })
    });
    let verification = verify(&seen, &*beside_nothing(mock), &account_id()).await.unwrap();
    let settled = settle(&seen, &plan(&seen), &verification, &account_id(), at(0)).batch.settled;
    assert_eq!(settled, [unfooted(-90_000_000).entry.key]);
}
