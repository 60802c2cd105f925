//! Cases about what was confirmed: the proofs of it, and taking it back.

use ledger_core::testing::{funding_rate, income, order as some_order, time};
use ledger_core::{AnyFact, OrderClass, OrderStatus, Origin, Side, Statement};

use super::Open;
use super::fixtures::{at, batch, commit, fill, fills, main_account, prepare, rest, symbol};
use crate::batch::CoverageGrade::{self, Asked, Confirmed, Inferred};
use crate::batch::{Batch, CoverageSpan, Stretch};
use crate::error::StoreError;
use crate::proof::{ProofDepth, Tally};
use crate::store::Store;

const DAY_MS: i64 = 86_400_000;

/// The streams of the whole account, and those of single contracts.
const STREAMS: [(&str, bool); 6] = [
    ("income", false),
    ("orders", false),
    ("force_orders", false),
    ("conditional_orders", true),
    ("fills", true),
    ("funding_rates", true),
];

fn span(stream: &str, name: Option<&str>, grade: CoverageGrade, since: i64, until: i64) -> CoverageSpan {
    let symbol = name.map(symbol);
    CoverageSpan { stream: stream.to_owned(), symbol, grade, since: at(since), until: at(until) }
}

fn ledger(grade: CoverageGrade, since: i64, until: i64) -> CoverageSpan {
    span("income", None, grade, since, until)
}

fn stretch(since: i64, until: i64) -> Stretch {
    ledger(Asked, since, until).into()
}

async fn cover(store: &dyn Store, coverage: Vec<CoverageSpan>) {
    store.commit(Batch { coverage, ..batch(Vec::new()) }).await.unwrap();
}

/// How many proofs there are, of how many rows, and how many rows are missing and found of each that does not hold.
async fn checked(store: &dyn Store, depth: ProofDepth) -> (u64, u64, Vec<(u64, u64)>) {
    let check = store.check_proofs(&main_account(), depth).await.unwrap();
    (check.checked, check.rows, check.broken.iter().map(|broken| (broken.missing(), broken.found.count)).collect())
}

async fn coverage(store: &dyn Store) -> Vec<CoverageSpan> {
    let mut coverage = store.coverage(&main_account()).await.unwrap();
    coverage.sort();
    coverage
}

/// A row of each stream's list at `ms`, and one of each that belongs elsewhere.
fn facts(name: &str, ms: i64) -> Vec<(&'static str, Statement)> {
    let order = |class, number: i64| {
        let mut order = some_order(name, &number.to_string(), Side::Buy, OrderStatus::Expired);
        order.key.class = class;
        order.between(time(ms), time(ms + 1))
    };
    let forced = order(OrderClass::Regular, ms + 1_000).sent_by(Some(Origin::Liquidation));
    let row = income("TRANSFER", &format!("{name}{ms}"), name, "1", ms);
    let mut fill = fill(name, ms, Side::Buy, "1", "100");
    fill.time = time(ms);
    vec![
        ("income", rest(AnyFact::Income(row))),
        ("orders", rest(AnyFact::Order(order(OrderClass::Regular, ms)))),
        ("orders", rest(AnyFact::Order(forced.clone()))),
        ("force_orders", rest(AnyFact::Order(forced))),
        ("conditional_orders", rest(AnyFact::Order(order(OrderClass::Conditional, ms)))),
        ("fills", fills([fill]).remove(0)),
        ("funding_rates", rest(AnyFact::FundingRate(funding_rate(name, "0.0001", None, ms)))),
    ]
}

/// Of what is confirmed the book keeps how many rows it has and what their keys add up to: of each stream its own rows, of one
/// contract or of all.
pub async fn what_is_confirmed_has_a_proof(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let told: Vec<_> = ["ETHUSDT", "BTCUSDT"].iter().flat_map(|name| [10, 20, 99, 100].map(|ms| (*name, ms))).collect();
    let told: Vec<_> =
        told.into_iter().flat_map(|(name, ms)| facts(name, ms).into_iter().map(move |fact| (name, ms, fact))).collect();
    commit(store, told.iter().map(|(_, _, (_, statement))| statement.clone()).collect()).await;
    for (stream, is_of_contract) in STREAMS {
        let name = is_of_contract.then_some("ETHUSDT");
        cover(store, vec![span(stream, name, Confirmed, 20, 100)]).await;
    }
    let check = store.check_proofs(&main_account(), ProofDepth::Identities).await.unwrap();
    assert_eq!((check.checked, check.broken.as_slice()), (6, [].as_slice()));
    assert_eq!(check.rows, 4 + 8 + 4 + 2 + 2 + 2);
    // What comes later is more than what was proven, and proving it again does not make it proven.
    let later: Vec<_> = facts("ETHUSDT", 50);
    commit(store, later.iter().map(|(_, statement)| statement.clone()).collect()).await;
    cover(store, vec![ledger(Confirmed, 20, 100)]).await;
    for depth in [ProofDepth::Counts, ProofDepth::Identities] {
        let check = store.check_proofs(&main_account(), depth).await.unwrap();
        assert_eq!(check.broken.len(), 6, "{depth:?}");
        for broken in check.broken {
            let Stretch { stream, symbol, .. } = broken.proof.stretch;
            let is_in = |name: &str| symbol.as_ref().is_none_or(|of| of.as_str() == name);
            let rows = told.iter().filter(|(name, ms, (of, _))| *of == stream && *ms < 100 && *ms >= 20 && is_in(name));
            let sum = rows.fold(Tally::default(), |sum, (.., (_, row))| sum.plus(Tally::of_fact(&row.fact)));
            assert_eq!(broken.proof.tally, sum, "{stream}");
            let rows = later.iter().filter(|(of, _)| *of == stream);
            let sum = rows.fold(sum, |sum, (_, row)| sum.plus(Tally::of_fact(&row.fact)));
            assert_eq!(broken.found, sum, "{stream}");
        }
    }
    let error =
        store.commit(Batch { coverage: vec![span("prices", None, Confirmed, 0, 9)], ..batch(Vec::new()) }).await;
    assert!(matches!(error.unwrap_err(), StoreError::UnprovableStream { stream } if stream == "prices"));
}

/// What is confirmed in addition gets its own proof, whatever it overlaps, and neighbours add up.
pub async fn proofs_add_up(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let row = |ms: i64| facts("ETHUSDT", ms).remove(0).1;
    commit(store, (0..40).map(|hour| row(hour * 3_600_000)).collect()).await;
    let hours = |since: i64, until: i64| ledger(Confirmed, since * 3_600_000, until * 3_600_000);
    cover(store, vec![hours(1, 5)]).await;
    assert_eq!(checked(store, ProofDepth::Identities).await, (1, 4, vec![]));
    cover(store, vec![hours(8, 10), hours(3, 6)]).await;
    assert_eq!(checked(store, ProofDepth::Identities).await, (2, 7, vec![]));
    // A day has its own.
    cover(store, vec![hours(0, 30)]).await;
    assert_eq!(checked(store, ProofDepth::Identities).await, (2, 30, vec![]));
    assert_eq!(coverage(store).await, [hours(0, 30)]);
    // One more row in the first day, and the second day is confirmed further: the first one's proof stays.
    commit(store, vec![row(3_600_001)]).await;
    cover(store, vec![hours(0, 40)]).await;
    assert_eq!(checked(store, ProofDepth::Counts).await, (2, 40, vec![(0, 25)]));
}

/// What is reopened is covered in no grade and has no proof any more, until it is read again.
pub async fn what_is_reopened_is_covered_no_more(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let reopened = async || store.reopened(&main_account()).await.unwrap();
    let reopen = async |stretches: Vec<Stretch>, coverage: Vec<CoverageSpan>| {
        store.commit(Batch { reopened: stretches, coverage, ..batch(Vec::new()) }).await.unwrap();
    };
    let other = span("orders", None, Asked, 0, 4 * DAY_MS);
    cover(store, vec![ledger(Inferred, 0, 4 * DAY_MS), ledger(Asked, 0, 4 * DAY_MS), other.clone()]).await;
    cover(store, vec![ledger(Confirmed, DAY_MS, 3 * DAY_MS)]).await;
    assert_eq!(checked(store, ProofDepth::Counts).await, (2, 0, vec![]));
    reopen(vec![stretch(DAY_MS + 5, DAY_MS + 9), stretch(7, 7)], vec![]).await;
    assert_eq!(
        coverage(store).await,
        [
            ledger(Inferred, 0, DAY_MS + 5),
            ledger(Inferred, DAY_MS + 9, 4 * DAY_MS),
            ledger(Asked, 0, DAY_MS + 5),
            ledger(Asked, DAY_MS + 9, 4 * DAY_MS),
            ledger(Confirmed, 2 * DAY_MS, 3 * DAY_MS),
            other.clone(),
        ]
    );
    assert_eq!(checked(store, ProofDepth::Counts).await.0, 1, "the proof of the second day is gone, all of it");
    assert_eq!(reopened().await, [stretch(DAY_MS + 5, DAY_MS + 9)]);
    // What is read again is covered again; what was only inferred is still to be read.
    cover(store, vec![ledger(Asked, DAY_MS + 5, DAY_MS + 7), ledger(Inferred, 0, 4 * DAY_MS)]).await;
    assert_eq!(reopened().await, [stretch(DAY_MS + 7, DAY_MS + 9)]);
    // In one batch, what was read comes behind what is reopened.
    reopen(vec![stretch(0, 9)], vec![ledger(Asked, 3, 5)]).await;
    assert_eq!(reopened().await, [stretch(0, 3), stretch(5, 9), stretch(DAY_MS + 7, DAY_MS + 9)]);
    cover(store, vec![ledger(Asked, 0, 4 * DAY_MS), ledger(Confirmed, 0, 4 * DAY_MS)]).await;
    assert_eq!((reopened().await, checked(store, ProofDepth::Counts).await.0), (vec![], 4));
    let expected =
        [ledger(Inferred, 0, 4 * DAY_MS), ledger(Asked, 0, 4 * DAY_MS), ledger(Confirmed, 0, 4 * DAY_MS), other];
    let mut covered = coverage(store).await;
    covered.retain(|span| span.grade != Inferred);
    assert_eq!(covered, expected[1..]);
}
