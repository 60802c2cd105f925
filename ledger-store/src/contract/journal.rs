//! Cases about accounts, the journal, cursors and coverage.

use ledger_core::{AccountId, PositionMode, Side};

use super::Open;
use super::fixtures::{at, batch, dec, fill, fills, main_account, new_account, position_of, prepare, symbol};
use crate::batch::CoverageGrade::{self, Asked, Inferred};
use crate::batch::{CoverageSpan, SyncCursor};
use crate::error::StoreError;
use crate::filter::{DiscrepancyFilter, RepairFilter, RunFilter, Scope};
use crate::outcome::CommitReport;
use crate::page::PageRequest;
use crate::pages::Pages;
use crate::record::{
    Acknowledgement, Discrepancy, DiscrepancyKey, DiscrepancyStatus, ExchangeIdentity, NewDiscrepancy, NewRepair,
    RunKind, RunStatus,
};
use crate::store::Store;

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
    store.set_position_mode(&account, PositionMode::OneWay, at(0)).await.unwrap();
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

/// Exports name their owner: the first binds the account, and another one's facts are refused.
pub async fn facts_of_another_owner_are_refused(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let of_owner = |id, user_id: Option<&str>| {
        let mut batch = batch(fills([fill("ETHUSDT", id, Side::Buy, "1", "100")]));
        batch.user_id = user_id.map(str::to_owned);
        batch
    };
    let count = async || store.fill_count(&Scope::account(main_account()).into()).await.unwrap();
    store.commit(of_owner(1, None)).await.unwrap();
    store.commit(of_owner(2, Some("71"))).await.unwrap();
    let error = store.commit(of_owner(3, Some("72"))).await.unwrap_err();
    assert!(matches!(&error, StoreError::WrongAccount { bound, offered, .. } if bound == "71" && offered == "72"));
    assert_eq!(count().await, 2);
    store.commit(of_owner(3, Some("71"))).await.unwrap();
    store.commit(of_owner(4, None)).await.unwrap();
    assert_eq!(count().await, 4);
    assert_eq!(store.account(&main_account()).await.unwrap().unwrap().user_id.as_deref(), Some("71"));
}

/// A run that goes on while a later one of its account ends was cut off, unless it says itself how it ended.
pub async fn a_run_that_a_later_one_outlives_was_interrupted(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    for account in ["main", "other"] {
        store.create_account(new_account(account)).await.unwrap();
    }
    let other: AccountId = "other".parse().unwrap();
    let begin = async |account: &AccountId| store.begin_run(account, RunKind::Sync, at(1)).await.unwrap();
    let (elsewhere, cut_off) = (begin(&other).await, begin(&main_account()).await);
    let (later, latest) = (begin(&main_account()).await, begin(&main_account()).await);
    let statuses = async |account: AccountId| {
        let runs = store.runs(&account.into(), PageRequest::first(9)).await.unwrap().items;
        runs.into_iter().map(|run| (run.id, run.status)).collect::<Vec<_>>()
    };
    store.end_run(later, RunStatus::Done, at(2), None).await.unwrap();
    assert_eq!(
        statuses(main_account()).await,
        [(cut_off, RunStatus::Interrupted), (later, RunStatus::Done), (latest, RunStatus::Running)]
    );
    assert_eq!(statuses(other).await, [(elsewhere, RunStatus::Running)]);
    store.end_run(cut_off, RunStatus::Failed, at(3), None).await.unwrap();
    assert_eq!(statuses(main_account()).await[0], (cut_off, RunStatus::Failed));
    // Who took it for abandoned when it was about to end has nothing to say; of one that is open, it has.
    store.end_run(later, RunStatus::Interrupted, at(4), None).await.unwrap();
    store.end_run(latest, RunStatus::Interrupted, at(4), None).await.unwrap();
    let ended: Vec<_> = statuses(main_account()).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(ended, [RunStatus::Failed, RunStatus::Done, RunStatus::Interrupted]);
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
    let runs = store.runs(&main_account().into(), PageRequest::newest(10)).await.unwrap().items;
    assert_eq!(
        runs.iter().map(|run| (run.id, run.status)).collect::<Vec<_>>(),
        [(second, RunStatus::Running), (first, RunStatus::Done)]
    );
    let repair = restored("order 7 executed 3 more than its fills", None);
    let mut entry = batch(Vec::new());
    (entry.run_id, entry.repairs) = (Some(first), vec![repair.clone()]);
    let ids = store.commit(entry).await.unwrap().repair_ids;
    let all = store.repairs(&main_account().into(), PageRequest::first(10)).await.unwrap().items;
    let [only] = all.as_slice() else { unreachable!("{all:?}") };
    assert_eq!((ids.as_slice(), only.run_id, only.at_local), ([only.id].as_slice(), first, at(86_400_000)));
    assert_eq!(
        (&only.cause, &only.evidence_json, &only.after_json),
        (&repair.cause, &repair.evidence_json, &repair.after_json,)
    );
    assert_eq!((&only.kind, only.discrepancy_id), (&repair.kind, None));
    // Without a run, or under another account's, nothing can be journaled.
    let mut entry = batch(Vec::new());
    entry.repairs = vec![repair];
    assert!(matches!(store.commit(entry.clone()).await.unwrap_err(), StoreError::RepairWithoutRun));
    store.create_account(new_account("other")).await.unwrap();
    entry.run_id = Some(store.begin_run(&new_account("other").id, RunKind::Sync, at(4)).await.unwrap());
    assert!(matches!(store.commit(entry).await.unwrap_err(), StoreError::UnknownRun { .. }));
}

fn restored(cause: &str, discrepancy: Option<DiscrepancyKey>) -> NewRepair {
    NewRepair {
        symbol: Some(symbol("ETHUSDT")),
        kind: "restore_fills".to_owned(),
        discrepancy,
        cause: cause.to_owned(),
        evidence_json: "{\"order_id\":\"7\"}".to_owned(),
        before_json: None,
        after_json: Some("{}".to_owned()),
    }
}

fn key(kind: &str, fingerprint: &str) -> DiscrepancyKey {
    DiscrepancyKey { kind: kind.to_owned(), fingerprint: fingerprint.to_owned() }
}

fn seen(key: &DiscrepancyKey, status: DiscrepancyStatus, evidence: &str) -> NewDiscrepancy {
    NewDiscrepancy {
        key: key.clone(),
        symbol: Some(symbol("ETHUSDT")),
        status,
        evidence_json: format!("{{\"seen\":\"{evidence}\"}}"),
    }
}

/// Records what was seen at `ms` and what is gone; answers the report.
async fn sight(
    store: &dyn Store,
    ms: i64,
    discrepancies: Vec<NewDiscrepancy>,
    settled: Vec<DiscrepancyKey>,
) -> CommitReport {
    let mut batch = batch(Vec::new());
    batch.recorded_at = at(ms);
    (batch.discrepancies, batch.settled) = (discrepancies, settled);
    store.commit(batch).await.unwrap()
}

async fn all_discrepancies(store: &dyn Store, filter: DiscrepancyFilter) -> Vec<Discrepancy> {
    store.discrepancies(&filter, PageRequest::first(99)).await.unwrap().items
}

/// The same discrepancy seen again is the same entry, with the latest evidence; gone and seen again it is open again.
pub async fn a_discrepancy_is_recorded_once(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let order = key("unknown_order", "7");
    let pending = seen(&order, DiscrepancyStatus::Pending, "once");
    let unresolved = seen(&order, DiscrepancyStatus::Unresolved, "twice");
    let first = sight(store, 1, vec![pending], vec![]).await.discrepancy_ids;
    assert_eq!(sight(store, 2, vec![unresolved.clone()], vec![]).await.discrepancy_ids, first);
    let only = async |filter| {
        let found = all_discrepancies(store, filter).await;
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    };
    let (open_ones, all) = (DiscrepancyFilter::open(main_account()), DiscrepancyFilter::all(main_account()));
    let found = only(open_ones.clone()).await.unwrap();
    assert_eq!((&found.entry, found.first_seen_local, found.last_seen_local), (&unresolved, at(1), at(2)));
    let gone = sight(store, 5, vec![], vec![order.clone(), key("unknown_order", "8")]).await.settled_ids;
    assert_eq!(gone, [Some(found.id), None]);
    assert_eq!(only(open_ones.clone()).await, None);
    // Settling again leaves the time at which it was settled.
    sight(store, 6, vec![], vec![order.clone()]).await;
    assert_eq!(only(all.clone()).await.unwrap().resolved_local, Some(at(5)));
    sight(store, 7, vec![unresolved.clone()], vec![]).await;
    let again = only(open_ones).await.unwrap();
    assert_eq!((again.id, again.first_seen_local, again.resolved_local), (found.id, at(1), None));
    // Found and repaired in one go.
    sight(store, 8, vec![unresolved], vec![order]).await;
    assert_eq!(only(all).await.unwrap().entry.status, DiscrepancyStatus::Resolved);
}

/// Facts, cursor, coverage, discrepancies and repairs are there together or not at all, and a repair names the
/// discrepancy that it means.
pub async fn a_repair_is_written_with_its_facts_or_not_at_all(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let run = store.begin_run(&main_account(), RunKind::Sync, at(1)).await.unwrap();
    let (missing, behind) = (key("missing_fills", "7"), key("order_behind", "7"));
    sight(store, 1, vec![seen(&behind, DiscrepancyStatus::Pending, "earlier")], vec![]).await;
    let mut batch = batch(fills([fill("ETHUSDT", 1, Side::Buy, "3", "100")]));
    batch.run_id = Some(run);
    batch.cursors = vec![SyncCursor { stream: "fills".to_owned(), symbol: None, position: "2".to_owned() }];
    batch.coverage =
        vec![CoverageSpan { stream: "fills".to_owned(), symbol: None, grade: Asked, since: at(0), until: at(9_000) }];
    batch.discrepancies = vec![
        seen(&missing, DiscrepancyStatus::Pending, "3 missing"),
        seen(&key("missing_fills", "8"), DiscrepancyStatus::Pending, "1 missing"),
    ];
    batch.settled = vec![missing.clone()];
    batch.repairs = vec![
        restored("of one that is on record", Some(behind.clone())),
        restored("of one of this batch", Some(missing.clone())),
        restored("of none that anybody has seen", Some(key("missing_fills", "9"))),
    ];
    let error = store.commit(batch.clone()).await.unwrap_err();
    assert!(matches!(&error, StoreError::UnknownDiscrepancy { which } if which.contains('9')), "{error:?}");
    assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 0);
    assert!(store.cursors(&main_account()).await.unwrap().is_empty());
    assert!(store.coverage(&main_account()).await.unwrap().is_empty());
    assert!(store.positions(&main_account()).await.unwrap().is_empty());
    assert_eq!(all_discrepancies(store, DiscrepancyFilter::all(main_account())).await.len(), 1);
    assert!(store.repairs(&main_account().into(), PageRequest::first(9)).await.unwrap().items.is_empty());

    batch.repairs.pop();
    let report = store.commit(batch).await.unwrap();
    assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 1);
    assert_eq!(position_of(store, "ETHUSDT").await.0, dec("3"));
    assert_eq!(store.cursors(&main_account()).await.unwrap().len(), 1);
    let repairs = store.repairs(&main_account().into(), PageRequest::first(9)).await.unwrap().items;
    assert_eq!(repairs.iter().map(|repair| repair.id).collect::<Vec<_>>(), report.repair_ids);
    let on_record = all_discrepancies(store, DiscrepancyFilter::all(main_account())).await;
    let number = |key: &DiscrepancyKey| on_record.iter().find(|it| it.entry.key == *key).map(|it| it.id);
    assert_eq!(
        repairs.iter().map(|repair| repair.discrepancy_id).collect::<Vec<_>>(),
        [number(&behind), number(&missing)]
    );
    let open_ones = all_discrepancies(store, DiscrepancyFilter::open(main_account())).await;
    assert_eq!(
        open_ones.iter().map(|it| it.entry.key.clone()).collect::<Vec<_>>(),
        [behind, key("missing_fills", "8")]
    );
}

/// What somebody accepts no longer asks for anything, is journaled, and stays accepted for as long as it is the same.
pub async fn an_acknowledged_discrepancy_stays_so_while_it_is_the_same(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let run = store.begin_run(&main_account(), RunKind::Correct, at(1)).await.unwrap();
    let order = key("unknown_order", "7");
    let stated = |evidence| vec![seen(&order, DiscrepancyStatus::Unresolved, evidence)];
    let ids = sight(store, 1, stated("a manual trade"), vec![]).await.discrepancy_ids;
    let discrepancy_id = ids.first().copied().unwrap();
    let ack = |discrepancy_id| Acknowledgement {
        account: main_account(),
        discrepancy_id,
        run_id: run,
        at_local: at(2),
        by: "kim".to_owned(),
        reason: "placed by hand".to_owned(),
    };
    let repair = store.acknowledge_discrepancy(ack(discrepancy_id)).await.unwrap();
    let status =
        async || all_discrepancies(store, DiscrepancyFilter::all(main_account())).await.first().unwrap().entry.status;
    assert_eq!(status().await, DiscrepancyStatus::Acknowledged);
    assert!(all_discrepancies(store, DiscrepancyFilter::open(main_account())).await.is_empty());
    assert_eq!(all_discrepancies(store, DiscrepancyFilter::standing(main_account())).await.len(), 1);
    let journal = store.repairs(&main_account().into(), PageRequest::first(9)).await.unwrap().items;
    let [only] = journal.as_slice() else { unreachable!("{journal:?}") };
    assert_eq!((only.id, only.discrepancy_id, only.run_id), (repair, Some(discrepancy_id), run));
    assert!(only.evidence_json.contains("kim") && only.cause == "placed by hand", "{only:?}");

    sight(store, 3, stated("a manual trade"), vec![]).await;
    assert_eq!(status().await, DiscrepancyStatus::Acknowledged);
    sight(store, 4, stated("another trade"), vec![]).await;
    assert_eq!(status().await, DiscrepancyStatus::Unresolved);
    store.acknowledge_discrepancy(ack(discrepancy_id)).await.unwrap();
    sight(store, 5, vec![], vec![order.clone()]).await;
    assert_eq!(status().await, DiscrepancyStatus::Resolved);
    assert!(all_discrepancies(store, DiscrepancyFilter::standing(main_account())).await.is_empty());
    let error = store.acknowledge_discrepancy(ack(discrepancy_id)).await.unwrap_err();
    assert!(matches!(error, StoreError::DiscrepancyResolved { id } if id == discrepancy_id), "{error:?}");
    let error = store.acknowledge_discrepancy(ack(999)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownDiscrepancy { .. }), "{error:?}");
}

/// The journal's lists can be narrowed, and give everything once, page by page.
pub async fn the_journal_can_be_narrowed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    store.create_account(new_account("main")).await.unwrap();
    let mut runs = Vec::new();
    for (index, kind) in [RunKind::Sync, RunKind::Import, RunKind::Sync, RunKind::Audit].into_iter().enumerate() {
        let ms = i64::try_from(index).unwrap() * 10;
        let run = store.begin_run(&main_account(), kind, at(ms)).await.unwrap();
        if index < 2 {
            store.end_run(run, RunStatus::Done, at(ms + 1), None).await.unwrap();
        }
        runs.push(run);
        let mut batch = batch(Vec::new());
        (batch.run_id, batch.recorded_at) = (Some(run), at(ms));
        let name = if index % 2 == 0 { "ETHUSDT" } else { "BTCUSDT" };
        let order = key(if index < 2 { "unknown_order" } else { "order_behind" }, &index.to_string());
        let status = if index == 0 { DiscrepancyStatus::Unresolved } else { DiscrepancyStatus::Pending };
        let found = NewDiscrepancy { symbol: Some(symbol(name)), ..seen(&order, status, "it") };
        let mut repair = restored("why", Some(order));
        repair.symbol = Some(symbol(name));
        repair.kind = if index < 3 { "restore_fills".to_owned() } else { "restore_order".to_owned() };
        (batch.discrepancies, batch.repairs) = (vec![found], vec![repair]);
        store.commit(batch).await.unwrap();
    }
    let run_ids = async |filter: RunFilter| -> Vec<usize> {
        let page = store.runs(&filter, PageRequest::first(9)).await.unwrap();
        page.items.iter().map(|run| runs.iter().position(|id| *id == run.id).unwrap()).collect()
    };
    let any = RunFilter::from(main_account());
    assert_eq!(run_ids(any.clone()).await, [0, 1, 2, 3]);
    assert_eq!(run_ids(RunFilter { kind: Some(RunKind::Sync), ..any.clone() }).await, [0, 2]);
    assert_eq!(run_ids(RunFilter { status: Some(RunStatus::Running), ..any.clone() }).await, [2, 3]);
    assert_eq!(run_ids(RunFilter { since: Some(at(10)), ..any }).await, [1, 2, 3]);

    let repairs_of = async |filter: RepairFilter| -> Vec<usize> {
        let repairs = Pages::of(PageRequest::first(1), |page| store.repairs(&filter, page)).all().await.unwrap();
        repairs.iter().map(|it| runs.iter().position(|id| *id == it.run_id).unwrap()).collect()
    };
    let any = RepairFilter::from(main_account());
    assert_eq!(repairs_of(any.clone()).await, [0, 1, 2, 3]);
    assert_eq!(repairs_of(RepairFilter { symbol: Some(symbol("BTCUSDT")), ..any.clone() }).await, [1, 3]);
    assert_eq!(repairs_of(RepairFilter { kind: Some("restore_order".to_owned()), ..any.clone() }).await, [3]);
    assert_eq!(repairs_of(RepairFilter { run_id: runs.get(1).copied(), ..any.clone() }).await, [1]);
    assert_eq!(repairs_of(RepairFilter { since: Some(at(20)), ..any.clone() }).await, [2, 3]);

    let found = async |filter: DiscrepancyFilter| -> Vec<String> {
        all_discrepancies(store, filter).await.into_iter().map(|it| it.entry.key.fingerprint).collect()
    };
    let any = DiscrepancyFilter::all(main_account());
    let first = all_discrepancies(store, any.clone()).await.first().unwrap().id;
    assert_eq!(repairs_of(RepairFilter { discrepancy_id: Some(first), ..main_account().into() }).await, [0]);
    assert_eq!(found(any.clone()).await, ["0", "1", "2", "3"]);
    assert_eq!(found(DiscrepancyFilter { symbol: Some(symbol("ETHUSDT")), ..any.clone() }).await, ["0", "2"]);
    assert_eq!(found(DiscrepancyFilter { kind: Some("order_behind".to_owned()), ..any.clone() }).await, ["2", "3"]);
    let unresolved = DiscrepancyFilter { statuses: vec![DiscrepancyStatus::Unresolved], ..any.clone() };
    assert_eq!(found(unresolved).await, ["0"]);
    assert_eq!(found(DiscrepancyFilter { since: Some(at(20)), ..any }).await, ["2", "3"]);
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
