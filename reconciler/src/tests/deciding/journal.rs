//! What stays on record, what is closed, and what is written together.

use super::*;
use crate::memory::{FillMemory, GapMemory, LabelMemory};
use crate::repair::{PlannedRepair, RepairKind};

#[test]
fn a_gap_in_history_closes_when_it_is_covered() {
    let gap = TimeWindow::new(at(-200_000_000), at(-100_000_000)).unwrap();
    let mut seen = half_known();
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().continuity = Continuity::Expired(gap);
    seen.income.answer_mut().unwrap().continuity = Continuity::First;
    let told = plan(&seen);
    let finding = only(&told, DiscrepancyKind::HistoryExpired).clone();
    let mut seen = quiet();
    seen.book.discrepancies = vec![known(&finding)];
    let span = |since: i64, until: i64| CoverageSpan {
        stream: "fills".into(),
        symbol: Some(btc()),
        grade: CoverageGrade::Asked,
        since: at(since),
        until: at(until),
    };
    seen.book.coverage = vec![span(-300_000_000, -150_000_000), span(-140_000_000, 0)];
    assert!(plan(&seen).settled.is_empty());
    seen.book.coverage.push(span(-160_000_000, -140_000_000));
    assert_eq!(plan(&seen).settled, [finding.key()]);
    // Or by what is stated to have been held at its end.
    seen.book.coverage.clear();
    let anchor = |ms: i64| Anchor {
        symbol: btc(),
        position_side: PositionSide::Net,
        at: at(ms),
        qty: Decimal::ZERO,
        entry_price: None,
        derivation: Label::new("test").unwrap(),
        known_before: None,
        withdrawn: None,
    };
    seen.book.anchors = vec![Sourced::new(anchor(-150_000_000), Source::Repair)];
    assert!(plan(&seen).settled.is_empty());
    seen.book.anchors = vec![Sourced::new(anchor(-100_000_000), Source::Repair)];
    assert_eq!(plan(&seen).settled, [finding.key()]);
}

/// Rows of which two files leave open whether they are the same are counted by the exchange's answer for their second.
#[test]
fn a_cut_between_files_closes_when_the_ledger_was_read() {
    let cut = Finding::new(DiscrepancyKind::LedgerCut, None, Subject::Account, Outlook::Stays, "two files".into())
        .remembering(GapMemory { stream: "income".into(), since: at(-50_000), until: at(-49_000) });
    let mut seen = quiet();
    seen.book.discrepancies = vec![known(&cut)];
    let asked = |since: i64, until: i64| CoverageSpan {
        stream: "income".into(),
        symbol: None,
        grade: CoverageGrade::Asked,
        since: at(since),
        until: at(until),
    };
    for coverage in [vec![], vec![asked(-100_000, -49_500)]] {
        seen.book.coverage = coverage;
        let told = plan(&seen);
        assert!(told.settled.is_empty());
        let settled = settle(&seen, &told, &Verification::default(), &account_id(), at(0)).batch.settled;
        assert!(settled.is_empty(), "{settled:?}");
    }
    seen.book.coverage = vec![asked(-100_000, 0)];
    assert_eq!(plan(&seen).settled, [cut.key()]);
}

#[test]
fn what_was_not_looked_at_stays_on_record() {
    let position = |kind| {
        let subject = Subject::Position(btc(), PositionSide::Net);
        known(&Finding::new(kind, Some(&btc()), subject, Outlook::Verify, "was".into()))
    };
    let gone = |seen: &Observation| -> Vec<DiscrepancyKey> {
        settle(seen, &Plan::default(), &Verification::default(), &account_id(), at(0)).batch.settled
    };
    let mut seen = quiet();
    seen.book.discrepancies = vec![position(DiscrepancyKind::PositionMismatch)];
    assert_eq!(gone(&seen).len(), 1);
    // Out of scope, or the exchange did not answer.
    seen.scope = [symbol("ETHUSDT")].into();
    assert!(gone(&seen).is_empty());
    seen.scope.clear();
    seen.positions = Asked::Failed(lost());
    assert!(gone(&seen).is_empty());
    // Another symbol that does not answer is no reason to keep it; this one would be.
    seen.positions = Asked::Answered(answer(vec![]));
    let mut failing = close_look(vec![], vec![], "0");
    failing.fills = Asked::Failed(lost());
    seen.symbols.insert(symbol("ETHUSDT"), failing);
    assert_eq!(gone(&seen).len(), 1);
    let mut failing = close_look(vec![], vec![], "0");
    failing.fills = Asked::Failed(lost());
    seen.symbols.insert(btc(), failing);
    assert!(gone(&seen).is_empty());
    // What the book itself noticed, and what history has lost, is not ours to close here.
    let mut seen = quiet();
    let mut conflict = position(DiscrepancyKind::PositionMismatch);
    conflict.entry.key.kind = "conflicting_fact".into();
    seen.book.discrepancies = vec![conflict, position(DiscrepancyKind::HistoryExpired)];
    assert!(gone(&seen).is_empty());
}

#[test]
fn somebody_who_accepted_it_is_not_asked_again() {
    let finding = |evidence: &str| {
        let subject = Subject::Position(btc(), PositionSide::Net);
        Finding::new(DiscrepancyKind::UnconfirmedFill, Some(&btc()), subject, Outlook::Stays, evidence.into())
    };
    for (now, status) in [("same", DiscrepancyStatus::Acknowledged), ("more", DiscrepancyStatus::Unresolved)] {
        let mut seen = quiet();
        let mut accepted = known(&finding("same"));
        accepted.entry.status = DiscrepancyStatus::Acknowledged;
        seen.book.discrepancies = vec![accepted];
        let plan = Plan { account_findings: vec![finding(now)], ..Plan::default() };
        let settled = settle(&seen, &plan, &Verification::default(), &account_id(), at(0));
        assert_eq!(settled.findings[0].1, status, "{now}");
    }
}

#[tokio::test]
async fn a_symbol_is_one_transaction() {
    let mut mock = MockStore::new();
    mock.expect_pending_refolds().returning(|| Ok(vec![]));
    mock.expect_commit().times(1).returning(|batch| {
        let sizes = (batch.statements.len(), batch.discrepancies.len(), batch.settled.len(), batch.repairs.len());
        assert_eq!(sizes, (1, 2, 1, 1));
        assert_eq!((batch.cursors.len(), batch.coverage.len(), batch.run_id), (1, 1, Some(RunId(7))));
        let statuses: Vec<_> = batch.discrepancies.iter().map(|seen| seen.status).collect();
        assert_eq!(statuses, [DiscrepancyStatus::Pending, DiscrepancyStatus::Unresolved]);
        Ok(CommitReport { discrepancy_ids: vec![1, 2], repair_ids: vec![3], ..CommitReport::default() })
    });
    let subject = || Subject::Position(btc(), PositionSide::Net);
    let settles = Finding::new(DiscrepancyKind::UnknownOrder, Some(&btc()), subject(), Outlook::Settles, String::new());
    let stays = Finding::new(DiscrepancyKind::OrphanOrder, Some(&btc()), subject(), Outlook::Stays, String::new());
    let repair = PlannedRepair {
        symbol: Some(btc()),
        kind: RepairKind::RestoreOrder,
        discrepancy: Some(settles.key()),
        cause: String::new(),
        evidence_json: "{}".into(),
        before: None,
        after: None,
    };
    let symbol_plan = SymbolPlan {
        findings: vec![settles, stays],
        statements: vec![stated(fill(1, "77", "1")).statement()],
        repairs: vec![repair],
        cursors: vec![ledger_store::SyncCursor {
            stream: "fills".into(),
            symbol: Some(btc()),
            position: NOW_MS.to_string(),
        }],
        coverage: vec![CoverageSpan {
            stream: "fills".into(),
            symbol: Some(btc()),
            grade: CoverageGrade::Asked,
            since: at(-1),
            until: at(0),
        }],
    };
    let plan = Plan { symbols: [(btc(), symbol_plan)].into(), ..Plan::default() };
    let applied = apply(&plan, &mock, &account_id(), RunId(7), at(0)).await.unwrap();
    assert_eq!((applied.discrepancy_ids, applied.repair_ids), (vec![1, 2], vec![3]));
}

/// A plan for the account and two symbols, of which the account's own words come last.
fn plan_of_two() -> Plan {
    let finding = Finding::new(DiscrepancyKind::UnknownOrder, None, Subject::Account, Outlook::Settles, String::new());
    let symbol_plan =
        |id: i64| SymbolPlan { statements: vec![stated(fill(id, "77", "1")).statement()], ..SymbolPlan::default() };
    let contract = ledger_core::Instrument::linear(btc(), checks::usdt()).unwrap();
    Plan {
        instruments: vec![stated(contract).statement()],
        account_cursors: vec![ledger_store::SyncCursor {
            stream: "income".into(),
            symbol: None,
            position: NOW_MS.to_string(),
        }],
        account_coverage: vec![CoverageSpan {
            stream: "income".into(),
            symbol: None,
            grade: CoverageGrade::Asked,
            since: at(-1),
            until: at(0),
        }],
        settled: vec![DiscrepancyKey { kind: "history_expired".into(), fingerprint: "income".into() }],
        account_findings: vec![finding],
        symbols: [(btc(), symbol_plan(1)), (symbol("ETHUSDT"), symbol_plan(2))].into(),
        ..Plan::default()
    }
}

/// How often [`plan_of_two`] is written to, and what of the account moved, if the commit of that number goes wrong.
async fn written_until(failing: usize, row: Option<ledger_store::UnreadableRow>) -> (bool, Vec<[usize; 4]>) {
    let mut mock = MockStore::new();
    mock.expect_pending_refolds().returning(|| Ok(vec![]));
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&written);
    mock.expect_commit().returning(move |batch| {
        let mut log = log.lock().unwrap();
        log.push([batch.statements.len(), batch.cursors.len(), batch.coverage.len(), batch.settled.len()]);
        match row.clone() {
            Some(row) if log.len() == failing => Ok(CommitReport { unreadable: vec![row], ..CommitReport::default() }),
            None if log.len() == failing => Err(ledger_store::StoreError::UnknownAccount { account: account_id() }),
            _ => Ok(CommitReport::default()),
        }
    });
    let result = apply(&plan_of_two(), &mock, &account_id(), RunId(7), at(0)).await;
    let written = written.lock().unwrap().clone();
    (result.is_ok(), written)
}

#[tokio::test]
async fn the_accounts_cursors_move_once_everything_else_is_recorded() {
    // The contracts with what was found of the account, the two symbols, and then how far all was read.
    let (contracts, symbol, account) = ([1, 0, 0, 1], [1, 0, 0, 0], [0, 1, 1, 1]);
    assert_eq!(written_until(usize::MAX, None).await, (true, vec![contracts, symbol, symbol, account]));
    assert_eq!(written_until(2, None).await, (false, vec![contracts, symbol]));
    // A row that cannot be merged into keeps no other symbol from being recorded.
    let row = ledger_store::UnreadableRow { table: "fills", key: "x".into(), column: "qty", reason: "y".into() };
    assert_eq!(written_until(2, Some(row)).await, (false, vec![contracts, symbol, symbol]));
}

/// A finding that is to be judged by the checks is closed by what they say of its subject, and by nothing else.
#[test]
fn a_finding_is_resolved_by_what_the_checks_say_of_its_subject() {
    use DiscrepancyStatus::{Pending, Resolved, Unresolved};
    let key = order("77", OrderStatus::Filled, "1").key;
    let position = Subject::Position(btc(), PositionSide::Net);
    let mut left = Verification::default();
    left.unfilled_orders.insert(key.clone(), Decimal::ONE);
    left.mismatched_positions.insert((btc(), PositionSide::Net), ("differs".into(), Decimal::ONE));
    for (subject, outlook, gone, stays) in [
        // What is left rests on what was not listed: it waits.
        (Subject::Order(key.clone()), Outlook::Verify, Resolved, Pending),
        (Subject::Order(key), Outlook::VerifyLagging, Resolved, Pending),
        (position.clone(), Outlook::Verify, Resolved, Pending),
        (position, Outlook::VerifyLagging, Resolved, Pending),
        (Subject::Account, Outlook::Verify, Unresolved, Unresolved),
    ] {
        let finding = Finding::new(DiscrepancyKind::MissingFills, Some(&btc()), subject, outlook, "was".into());
        let plan = Plan { account_findings: vec![finding.clone()], ..Plan::default() };
        for (verification, expected) in [(&Verification::default(), gone), (&left, stays)] {
            let settlement = settle(&quiet(), &plan, verification, &account_id(), at(0));
            let judged = settlement.findings.iter().find(|(found, _)| found.key() == finding.key()).unwrap().1;
            assert_eq!(judged, expected, "{finding:?}");
            // What became of it is told to the journal, where it was put down as pending and without its doubt.
            let told: Vec<_> = settlement.batch.discrepancies.iter().map(|told| told.key.clone()).collect();
            assert_eq!(settlement.batch.settled.contains(&finding.key()), expected == Resolved);
            assert_eq!(told.contains(&finding.key()), expected != Resolved);
        }
    }
}

/// What recording leaves is confirmed by a second look that leaves as much, and not by one that leaves something else.
#[test]
fn what_recording_leaves_waits_for_a_second_look_that_leaves_as_much() {
    use DiscrepancyStatus::{Pending, Unresolved};
    let key = order("77", OrderStatus::Filled, "1").key;
    let lacks = |qty: &str| {
        let mut left = Verification::default();
        left.unfilled_orders.insert(key.clone(), qty.parse().unwrap());
        left
    };
    let kind = DiscrepancyKind::MissingFills;
    let finding = Finding::new(kind, Some(&btc()), Subject::Order(key.clone()), Outlook::Verify, "was".into());
    let plan = Plan { account_findings: vec![finding], ..Plan::default() };
    let judged = |seen: &Observation, verification: &Verification| {
        settle(seen, &plan, verification, &account_id(), at(0)).findings.remove(0)
    };
    let (first, status) = judged(&quiet(), &lacks("2"));
    assert_eq!(status, Pending);
    for (after_ms, qty, expected) in
        [(VENUE.settle_lag_ms, "2", Unresolved), (VENUE.settle_lag_ms - 1, "2", Pending), (60_000, "1", Pending)]
    {
        let mut later = Observation { asked_at: at(after_ms), ..quiet() };
        later.book.discrepancies = vec![known(&first)];
        assert_eq!(judged(&later, &lacks(qty)).1, expected, "{qty} after {after_ms} ms");
    }
}

#[test]
fn what_is_not_seen_of_a_discrepancy_does_not_close_it() {
    let of = |kind, symbol: Option<&Symbol>, subject| Finding::new(kind, symbol, subject, Outlook::Stays, "was".into());
    let closes = |seen: &mut Observation, verification: &Verification, finding: &Finding| {
        seen.book.discrepancies = vec![known(finding)];
        !settle(seen, &Plan::default(), verification, &account_id(), at(0)).batch.settled.is_empty()
    };
    let (clean, position) = (Verification::default(), Subject::Position(btc(), PositionSide::Net));
    // A query that failed is made good by asking again, of the same contract.
    let failed = of(DiscrepancyKind::QueryFailed, Some(&btc()), position.clone());
    let mut seen = quiet();
    assert!(!closes(&mut seen, &clean, &failed));
    seen.symbols.insert(btc(), close_look(vec![], vec![], "0"));
    assert!(closes(&mut seen, &clean, &failed));
    // A fill is confirmed by a list that reaches back to it.
    let since = seen.symbols[&btc()].fills.answer().unwrap().window.since();
    for (ms, confirmed) in [(0, true), (-1, false)] {
        let unconfirmed = of(DiscrepancyKind::UnconfirmedFill, Some(&btc()), position.clone());
        let unconfirmed = unconfirmed.remembering(FillMemory { at: since.saturating_add_ms(ms) });
        assert_eq!(closes(&mut seen, &clean, &unconfirmed), confirmed);
    }
    // Of a symbol that the book cannot add up, and of one whose rows cannot be read, nothing is said.
    let differs = of(DiscrepancyKind::PositionMismatch, Some(&btc()), position);
    assert!(closes(&mut seen, &clean, &differs));
    assert!(!closes(&mut seen, &Verification { damaged: [btc()].into(), ..Verification::default() }, &differs));
    seen.book.quarantined = [btc()].into();
    assert!(!closes(&mut seen, &clean, &differs));
    // A look at one symbol says nothing about the account.
    let account = of(DiscrepancyKind::BeyondRange, None, Subject::Account);
    assert!(closes(&mut seen, &clean, &account));
    seen.scope = [btc()].into();
    assert!(!closes(&mut seen, &clean, &account));
    // Without the bot's files nobody looked for a label.
    let mut seen = quiet();
    let mut opening = booked(order("77", OrderStatus::Filled, "1"), "1");
    let unlabelled = of(DiscrepancyKind::MissingLabel, Some(&btc()), Subject::Order(opening.order.fact.key.clone()));
    let (class, order_id) = (OrderClass::Regular, opening.order.fact.key.order_id.clone());
    let unlabelled = unlabelled.remembering(LabelMemory { class, order_id, inferred: None });
    assert!(!closes(&mut seen, &clean, &unlabelled));
    opening.order.fact.engine = Some(EngineLabel::new("dca").unwrap());
    seen.book.orders.insert(opening.order.fact.key.clone(), opening);
    assert!(closes(&mut seen, &clean, &unlabelled));
}
