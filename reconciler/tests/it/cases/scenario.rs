//! What every case has to stand: a hole in the book is found, shown and repaired over HTTP until the book equals the
//! exchange's own; whoever dies anywhere on the way is followed by somebody who comes to the same; and a look at a book
//! that needs nothing writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use exchange_client::simulator::SimulatorTransport;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_store::{
    DiscrepancyFilter, DiscrepancyStatus, Journal, OutcomeCounts, PageRequest, Repair, RepairFilter, Run, RunFilter,
    RunStatus,
};
use reconciler::{CycleReport, DiscrepancyKind, Reconciler};

use super::outcome::{Compare, Outcome};
use super::scenarios::Case;
use crate::gates::{Gate, GatedStore, GatedTransport};
use crate::restart::{assert_same, logical};
use crate::support::{BookFiles, Fixture, files_in};

/// Somebody who found the book as somebody else left it.
struct Follower {
    died_at: String,
    fixture: Fixture,
}

/// Runs a case with everything that it has to stand. `case` makes the hole in a book that was complete.
pub(super) async fn stands(case: Case) {
    let fixture = case.hole().await;
    let outcome = case.outcome();
    let audit = audited(case, &fixture).await;
    let mut found: BTreeSet<DiscrepancyKind> = kinds(&audit);
    // A wallet is compared with what was recorded of it, which takes a sync.
    assert!(!found.is_empty() || case == Case::LostDeposit, "{case:?}: an audit finds nothing");
    let mut followers: Vec<Follower> = Vec::new();
    let mut ends = 0;
    for (number, seconds) in outcome.looks.iter().enumerate() {
        fixture.pass(*seconds);
        for follower in &followers {
            case.reconciler(&follower.fixture).sync().await.unwrap();
        }
        let (report, left_behind) = watched(case, &fixture).await;
        found.extend(kinds(&report));
        let expected = everything(&fixture).await;
        ends += left_behind.len();
        for (place, files) in left_behind {
            let died_at = format!("{case:?}, look {number}: {place}");
            let follower = Follower { fixture: in_process(&fixture).reopened(&files), died_at };
            case.reconciler(&follower.fixture).sync().await.unwrap();
            let runs = runs(&follower.fixture).await;
            assert!(runs.iter().all(|run| run.status != RunStatus::Running), "{}: {runs:#?}", follower.died_at);
            // Who is where the others are stays with them.
            if everything(&follower.fixture).await != expected {
                followers.push(follower);
            }
        }
    }
    assert!(ends > 3, "{case:?}: only {ends} places to die at");
    let wanted: BTreeSet<DiscrepancyKind> = outcome.finds.iter().copied().collect();
    assert!(wanted.is_subset(&found), "{case:?}: {found:?} and not all of {wanted:?}");
    let expected = everything(&fixture).await;
    for follower in &followers {
        assert_same(&everything(&follower.fixture).await, &expected, &follower.died_at);
    }
    assert_outcome(case, &fixture, &outcome).await;
    for follower in followers.iter().map(|follower| &follower.fixture).chain([&fixture]) {
        assert_warm(case, follower, &outcome).await;
    }
}

/// Looks on without writing.
async fn audited(case: Case, fixture: &Fixture) -> CycleReport {
    let before = fixture.files();
    let report = case.reconciler(fixture).audit().await.unwrap();
    assert!(report.run.is_none() && fixture.files() == before, "{case:?}: an audit has written");
    report
}

/// The books that whoever dies leaves behind, each with where that was.
#[derive(Default)]
struct LeftBehind {
    calls: usize,
    books: Vec<(String, BookFiles)>,
}

/// A look that nothing stops, and every book that it would have left behind had it died: before any question to the
/// exchange, before any word to the book, and after every word that writes.
async fn watched(case: Case, fixture: &Fixture) -> (CycleReport, Vec<(String, BookFiles)>) {
    let left: Arc<Mutex<LeftBehind>> = Arc::default();
    let (noted, folder) = (Arc::clone(&left), fixture.folder.path().to_owned());
    let gate = Gate::watched(move || {
        let mut left = noted.lock().unwrap();
        left.calls += 1;
        let files = files_in(&folder);
        if left.books.last().is_none_or(|(_, last)| *last != files) {
            let place = format!("call {}", left.calls);
            left.books.push((place, files));
        }
    });
    let mut reconciler = case.reconciler(fixture);
    let transport = GatedTransport(case.transport(fixture), Arc::clone(&gate));
    reconciler.exchange = Arc::new(fixture.adapter_over(transport));
    reconciler.book = GatedStore::book(&fixture.store, &gate);
    let report = reconciler.sync().await.unwrap();
    drop((reconciler, gate));
    let LeftBehind { calls, books } = Arc::into_inner(left).unwrap().into_inner().unwrap();
    assert!(calls > 40, "{case:?}: only {calls} calls");
    (report, books)
}

/// The same exchange, asked by calls: a server on loopback takes its time.
fn in_process(fixture: &Fixture) -> Fixture {
    let mut other =
        fixture.with_book(
            tempfile::tempdir().unwrap(),
            ledger_store::SqliteStore::in_memory(&ledger_store::OpenOptions::inline().with_rules(
                exchange_client::binance_usdm::VENUE.name,
                exchange_client::binance_usdm::VENUE.ledger_rules,
            ))
            .unwrap(),
        );
    other.transport = Arc::new(SimulatorTransport::new(Arc::clone(&fixture.simulator)));
    other.exchange = Arc::new(other.adapter_over(SimulatorTransport::new(Arc::clone(&fixture.simulator))));
    other
}

fn kinds(report: &CycleReport) -> BTreeSet<DiscrepancyKind> {
    report.findings.iter().map(|found| found.finding.kind).collect()
}

/// The book, and where its journal stands: what is open, and what was repaired.
async fn everything(fixture: &Fixture) -> String {
    let mut open: Vec<_> = open(fixture).await;
    open.sort();
    let mut repairs: Vec<_> =
        repairs(fixture).await.into_iter().map(|repair| format!("{} {}", repair.kind, repair.cause)).collect();
    repairs.sort();
    format!("{}{open:#?}{repairs:#?}", logical(fixture).await)
}

/// What is on record and not gone.
async fn open(fixture: &Fixture) -> Vec<String> {
    let filter = DiscrepancyFilter::open(fixture.account.clone());
    let items = fixture.store.discrepancies(&filter, PageRequest::first(100)).await.unwrap().items;
    items
        .into_iter()
        .map(|known| format!("{} {} {}", known.entry.key.kind, known.entry.key.fingerprint, known.entry.status))
        .collect()
}

async fn repairs(fixture: &Fixture) -> Vec<Repair> {
    let filter = RepairFilter::from(fixture.account.clone());
    fixture.store.repairs(&filter, PageRequest::first(1_000)).await.unwrap().items
}

async fn assert_outcome(case: Case, fixture: &Fixture, outcome: &Outcome) {
    let repaired: BTreeSet<String> = repairs(fixture).await.into_iter().map(|repair| repair.kind).collect();
    for kind in outcome.repairs {
        assert!(repaired.contains(*kind), "{case:?}: no {kind} in {repaired:?}");
    }
    let filter = DiscrepancyFilter::open(fixture.account.clone());
    let left = fixture.store.discrepancies(&filter, PageRequest::first(100)).await.unwrap().items;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for known in &left {
        assert_eq!(known.entry.status, DiscrepancyStatus::Unresolved, "{case:?}: {known:#?}");
        *kinds.entry(&known.entry.key.kind).or_default() += 1;
    }
    let expected: BTreeSet<&str> = outcome.leaves.iter().copied().collect();
    assert!(kinds.keys().copied().eq(expected), "{case:?}: left {left:#?}");
    match outcome.compare {
        Compare::Everything => fixture.assert_book_equals_exchange().await,
        Compare::Positions => fixture.assert_positions_equal().await,
        Compare::Nothing => {}
    }
    let runs = runs(fixture).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Done), "{case:?}: {runs:#?}");
}

async fn runs(fixture: &Fixture) -> Vec<Run> {
    let filter = RunFilter::from(fixture.account.clone());
    fixture.store.runs(&filter, PageRequest::first(100)).await.unwrap().items
}

/// Looks until what was read once is confirmed: that is written down, and changes no fact.
async fn confirm(case: Case, fixture: &Fixture, outcome: &Outcome) {
    for _ in 0..3 {
        fixture.pass(1);
        let report = case.reconciler(fixture).sync().await.unwrap();
        assert_eq!(report.counts, OutcomeCounts::default(), "{case:?}");
        assert!(report.repairs.is_empty(), "{case:?}: {:#?}", report.findings);
        assert_eq!(report.leaves_discrepancies(), !outcome.leaves.is_empty(), "{case:?}");
    }
}

/// Looks again, and again: nothing changes but when the exchange was looked at, whether or not something stays on record. Only that a quiet contract had
/// its turn is written down.
async fn assert_warm(case: Case, fixture: &Fixture, outcome: &Outcome) {
    let stands = everything(fixture).await;
    confirm(case, fixture, outcome).await;
    assert_same(&everything(fixture).await, &stands, &format!("{case:?}, read once more"));
    let mut rows = fixture.rows().await;
    for number in 0..3 {
        // All books share one clock, and cursors move in strides: the looks of all of them have to fit in one.
        fixture.pass(12);
        let report = case.reconciler(fixture).sync().await.unwrap();
        let news = report.findings.iter().filter(|found| found.status != DiscrepancyStatus::Unresolved);
        assert!(news.count() == 0 && report.repairs.is_empty(), "{case:?}: {:#?}", report.findings);
        assert_eq!(report.leaves_discrepancies(), !outcome.leaves.is_empty(), "{case:?}");
        // What stands has its number and its age, though nothing is written of it.
        assert!(report.findings.iter().all(|found| found.id.is_some() && found.first_seen_local.is_some()));
        if report.run.is_some() && number == 0 && !report.symbols.is_empty() {
            assert_eq!(report.counts, OutcomeCounts::default(), "{case:?}");
            assert_same(&everything(fixture).await, &stands, &format!("{case:?}, a quiet contract"));
            rows = fixture.rows().await;
        }
        let now = fixture.rows().await;
        let changed: Vec<_> = now.iter().filter(|row| !rows.contains(row)).collect();
        assert!(now == rows, "{case:?}: the book has changed in look {number}: {:?} {changed:#?}", report.symbols);
    }
}

/// A transport that is shared.
struct Through(Arc<dyn Transport>);

#[async_trait]
impl Transport for Through {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.0.send(request).await
    }
}

impl Case {
    fn reconciler(self, fixture: &Fixture) -> Reconciler {
        let mut reconciler = fixture.reconciler();
        reconciler.exchange = Arc::new(fixture.adapter_over(Through(self.transport(fixture))));
        self.configure(fixture, &mut reconciler);
        reconciler
    }
}
