//! What stays on record, what is closed, and what is written together.

use super::*;

#[test]
fn a_gap_in_history_closes_when_it_is_covered() {
    let gap = TimeWindow::new(at(-200_000_000), at(-100_000_000)).unwrap();
    let mut seen = half_known();
    seen.symbols.get_mut(&btc()).unwrap().fills.as_mut().unwrap().continuity = Continuity::Expired(gap);
    seen.income.as_mut().unwrap().continuity = Continuity::First;
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
        .with("stream", "income")
        .with("since", at(-50_000).as_ms())
        .with("until", at(-49_000).as_ms());
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
    seen.positions = Err(lost());
    assert!(gone(&seen).is_empty());
    // Another symbol that does not answer is no reason to keep it; this one would be.
    seen.positions = Ok(answer(vec![]));
    let mut failing = close_look(vec![], vec![], "0");
    failing.fills = Err(lost());
    seen.symbols.insert(symbol("ETHUSDT"), failing);
    assert_eq!(gone(&seen).len(), 1);
    let mut failing = close_look(vec![], vec![], "0");
    failing.fills = Err(lost());
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
    let mut mocks = Mocks::none();
    mocks.writer.expect_pending_refolds().returning(|| Ok(vec![]));
    mocks.writer.expect_commit().times(1).returning(|batch| {
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
    let repair = NewRepair {
        symbol: Some(btc()),
        kind: "restore_order".into(),
        discrepancy: Some(settles.key()),
        cause: String::new(),
        evidence_json: "{}".into(),
        before_json: None,
        after_json: None,
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
    let applied = apply(&plan, &mocks.book(), &account_id(), RunId(7), at(0)).await.unwrap();
    assert_eq!((applied.discrepancy_ids, applied.repair_ids), (vec![1, 2], vec![3]));
}
