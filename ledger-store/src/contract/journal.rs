//! Cases about accounts, the journal, cursors and coverage.

use ledger_core::PositionMode;

use super::Open;
use super::fixtures::{at, batch, main_account, new_account, symbol};
use crate::batch::CoverageGrade::{self, Asked, Inferred};
use crate::batch::{CoverageSpan, SyncCursor};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::record::{DiscrepancyStatus, ExchangeIdentity, NewDiscrepancy, Repair, RunKind, RunStatus};

/// The first sync binds the account; another key is told apart and changes nothing.
pub async fn an_account_is_bound_to_one_identity(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    store.create_account(new_account("main")).await.unwrap();
    let mut elsewhere = new_account("main");
    elsewhere.venue.push_str("_elsewhere");
    assert!(matches!(store.create_account(elsewhere).await.unwrap_err(), StoreError::AccountExists { .. }));
    let identity = |base_url: &str, alias: Option<&str>| ExchangeIdentity {
        base_url: base_url.to_owned(),
        alias: alias.map(str::to_owned),
    };
    let account = main_account();
    store.bind_identity(&account, identity("https://a", None)).await.unwrap();
    store.bind_identity(&account, identity("https://a", Some("x"))).await.unwrap();
    store.bind_identity(&account, identity("https://a", None)).await.unwrap();
    for wrong in [identity("https://b", Some("x")), identity("https://a", Some("y"))] {
        let error = store.bind_identity(&account, wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongAccount { .. }), "{error:?}");
    }
    store.set_position_mode(&account, PositionMode::OneWay).await.unwrap();
    let found = store.account(&account).await.unwrap().unwrap();
    assert_eq!(found.identity, Some(identity("https://a", Some("x"))));
    assert_eq!(found.position_mode, Some(PositionMode::OneWay));
    assert_eq!(store.accounts().await.unwrap(), [found]);
    let nobody = new_account("nobody").id;
    assert!(matches!(
        store.bind_identity(&nobody, identity("https://a", None)).await.unwrap_err(),
        StoreError::UnknownAccount { .. }
    ));
    assert_eq!(store.account(&nobody).await.unwrap(), None);
}

/// Runs open and close; repairs name their run and come back as written.
pub async fn runs_and_repairs_are_journaled(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let first = store.begin_run(&main_account(), RunKind::Sync, at(1)).await.unwrap();
    let second = store.begin_run(&main_account(), RunKind::Audit, at(2)).await.unwrap();
    store.end_run(first, RunStatus::Done, at(3), Some("{\"requests\":4}".to_owned())).await.unwrap();
    assert!(matches!(
        store.end_run(crate::batch::RunId(999), RunStatus::Done, at(3), None).await.unwrap_err(),
        StoreError::UnknownRun { run: 999 }
    ));
    let runs = store.runs(&main_account(), &PageRequest::newest(10)).await.unwrap().items;
    assert_eq!(
        runs.iter().map(|run| (run.id, run.status)).collect::<Vec<_>>(),
        [(second, RunStatus::Running), (first, RunStatus::Done)]
    );
    let mut repair = Repair {
        id: 0,
        account: main_account(),
        symbol: Some(symbol("ETHUSDT")),
        run_id: first,
        at_local: at(3),
        kind: "restore_fills".to_owned(),
        discrepancy_id: None,
        cause: "order 7 executed 3 more than its fills".to_owned(),
        evidence_json: "{\"order_id\":\"7\"}".to_owned(),
        before_json: None,
        after_json: Some("{}".to_owned()),
    };
    repair.id = store.add_repair(repair.clone()).await.unwrap();
    assert_eq!(store.repairs(&main_account(), &PageRequest::first(10)).await.unwrap().items, [repair]);
}

/// The same discrepancy seen again is the same entry, with the latest evidence.
pub async fn a_discrepancy_is_recorded_once(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let seen = |ms, status| NewDiscrepancy {
        account: main_account(),
        symbol: None,
        kind: "unknown_order".to_owned(),
        fingerprint: "7".to_owned(),
        status,
        evidence_json: format!("{{\"seen\":{ms}}}"),
        seen_local: at(ms),
        run_id: None,
    };
    let id = store.record_discrepancy(seen(1, DiscrepancyStatus::Pending)).await.unwrap();
    assert_eq!(store.record_discrepancy(seen(2, DiscrepancyStatus::Unresolved)).await.unwrap(), id);
    let all =
        async |resolved| store.discrepancies(&main_account(), resolved, &PageRequest::first(9)).await.unwrap().items;
    let found = all(false).await;
    let [only] = found.as_slice() else { unreachable!("{found:?}") };
    assert_eq!((&only.entry, only.first_seen_local), (&seen(2, DiscrepancyStatus::Unresolved), at(1)));
    store.set_discrepancy_status(id, DiscrepancyStatus::Resolved, at(5)).await.unwrap();
    assert!(all(false).await.is_empty());
    assert_eq!(all(true).await.first().unwrap().resolved_local, Some(at(5)));
    let error = store.set_discrepancy_status(999, DiscrepancyStatus::Resolved, at(5)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownDiscrepancy { id: 999 }));
}

/// Cursors move; spans of one grade that touch become one.
pub async fn cursors_and_coverage_are_kept(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let cursor = |position: &str| SyncCursor {
        stream: "fills".to_owned(),
        symbol: Some(symbol("ETHUSDT")),
        position: position.to_owned(),
    };
    let span = |since, until, grade: CoverageGrade| CoverageSpan {
        stream: "income".to_owned(),
        symbol: None,
        grade,
        since: at(since),
        until: at(until),
    };
    for (position, spans) in [
        ("10", vec![span(0, 10, Asked), span(20, 30, Asked)]),
        ("12", vec![span(5, 8, Asked), span(30, 40, Asked), span(0, 100, Inferred)]),
        ("11", vec![span(10, 15, Asked), span(50, 50, Asked)]),
    ] {
        let mut batch = batch(Vec::new());
        (batch.cursors, batch.coverage) = (vec![cursor(position)], spans);
        store.commit(batch).await.unwrap();
    }
    assert_eq!(store.cursors(&main_account()).await.unwrap(), [cursor("11")]);
    let mut coverage = store.coverage(&main_account()).await.unwrap();
    coverage.sort();
    assert_eq!(coverage, [span(0, 100, Inferred), span(0, 15, Asked), span(20, 40, Asked)]);
}
