//! Exports of one ledger, cut at every place and imported in every order, against the ledger itself.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use exchange_client::ManualClock;
use exchange_client::files::Options;
use ledger_core::{AccountId, TimestampMs};
use ledger_store::{
    DiscrepancyFilter, FactReader, IncomeFilter, Journal, NewAccount, OpenOptions, PageRequest, Scope, SqliteStore,
    Writer,
};
use reconciler::{DiscrepancyKind, Import};

use crate::cycle::since_of;

const HEADER: &str = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n";

/// A ledger in the order of its rows: `second kind`, where kickbacks have no id and fees have one.
type Ledger = &'static [(u32, &'static str)];

const LEDGERS: [Ledger; 4] = [
    // A second of two identical rows, with something before and after it.
    &[(1, "fee"), (2, "kick"), (2, "kick"), (3, "fee")],
    // Three, among another in the same second, and once more later.
    &[(1, "fee"), (2, "kick"), (2, "fee"), (2, "kick"), (2, "kick"), (4, "kick")],
    // Nothing but such rows.
    &[(1, "kick"), (1, "kick"), (2, "kick"), (2, "kick")],
    // One, alone between others, with nothing of its kind around it.
    &[(1, "fee"), (2, "fee"), (2, "kick"), (2, "fee"), (3, "fee")],
];

fn row(number: usize, (second, kind): (u32, &str)) -> String {
    match kind {
        "kick" => format!("2026-03-01 00:00:{second:02},REFERRAL_KICKBACK,0.5,USDT,,\n"),
        _ => format!("2026-03-01 00:00:{second:02},COMMISSION,-1,USDT,,9{number}\n"),
    }
}

/// A stretch of the ledger as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slice {
    since: usize,
    until: usize,
}

struct Exports {
    ledger: Ledger,
    folder: tempfile::TempDir,
}

impl Exports {
    fn new(ledger: Ledger) -> Self {
        let exports = Self { ledger, folder: tempfile::tempdir().unwrap() };
        for slice in exports.slices() {
            std::fs::write(exports.path(slice), format!("{HEADER}{}", exports.text(slice))).unwrap();
        }
        exports
    }

    fn slices(&self) -> Vec<Slice> {
        let count = self.ledger.len();
        (0..count).flat_map(|since| (since + 1..=count).map(move |until| Slice { since, until })).collect()
    }

    fn path(&self, Slice { since, until }: Slice) -> PathBuf {
        self.folder.path().join(format!("from-{since}-to-{until}.csv"))
    }

    fn text(&self, slice: Slice) -> String {
        (slice.since..slice.until).map(|number| row(number, self.ledger[number])).collect()
    }

    /// The seconds of kickbacks.
    fn seconds(&self) -> BTreeSet<u32> {
        self.ledger.iter().filter(|(_, kind)| *kind == "kick").map(|(second, _)| *second).collect()
    }

    /// Which kickbacks of a second a file has, by their numbers.
    fn kickbacks(&self, slice: Slice, second: u32) -> BTreeSet<usize> {
        (slice.since..slice.until).filter(|number| self.ledger[*number] == (second, "kick")).collect()
    }

    /// Whether a file goes beyond a second on both sides.
    fn holds(&self, slice: Slice, second: u32) -> bool {
        self.ledger[slice.since].0 < second && self.ledger[slice.until - 1].0 > second
    }
}

/// What the book says after imports of these files, one after the other: how many kickbacks each second has, and whether it
/// is told that nobody knows.
async fn imported(exports: &Exports, files: &[Slice]) -> Vec<(u32, usize, bool)> {
    let store =
        Arc::new(
            SqliteStore::in_memory(&OpenOptions::inline().with_rules(
                exchange_client::binance_usdm::VENUE.name,
                exchange_client::binance_usdm::VENUE.ledger_rules,
            ))
            .unwrap(),
        );
    let account = AccountId::new("main").unwrap();
    let at = TimestampMs::new(1_780_000_000_000).unwrap();
    let new = NewAccount { id: account.clone(), venue: "binance_usdm".into(), created_local: at };
    store.create_account(new).await.unwrap();
    let clock = Arc::new(ManualClock::new(at));
    let import = Import { store: store.clone(), clock, account: account.clone(), options: Options::default() };
    for file in files {
        let report = import.run(&[exports.path(*file)], &mut |_| {}, std::future::pending()).await.unwrap().unwrap();
        assert!(report.files.iter().all(|file| file.rejected == 0), "{report:?}");
    }
    let scope = Scope::account(account.clone());
    let filter = IncomeFilter { scope, income_type: Some("REFERRAL_KICKBACK".parse().unwrap()) };
    let rows = store.income(&filter, PageRequest::first(100)).await.unwrap().items;
    let kind = Some(DiscrepancyKind::LedgerCut.as_str().to_owned());
    let open = DiscrepancyFilter { kind, ..DiscrepancyFilter::standing(account) };
    let open = store.discrepancies(&open, PageRequest::first(100)).await.unwrap().items;
    let told: BTreeSet<i64> = open.iter().map(|known| since_of(&known.entry.evidence_json).unwrap()).collect();
    let start_ms = 1_772_323_200_000;
    let counted = |second: u32| {
        let at_ms = start_ms + i64::from(second) * 1_000;
        let count = rows.iter().filter(|row| row.fact.time.at.as_ms() == at_ms).count();
        (second, count, told.contains(&at_ms))
    };
    exports.seconds().into_iter().map(counted).collect()
}

/// What must hold of a second, whatever was imported.
fn check(exports: &Exports, files: &[Slice], (second, counted, is_told): (u32, usize, bool)) -> Result<(), String> {
    let seen: BTreeSet<usize> = files.iter().flat_map(|file| exports.kickbacks(*file, second)).collect();
    let proven = files.iter().map(|file| exports.kickbacks(*file, second).len()).max().unwrap_or(0);
    let is_whole = files.iter().any(|file| exports.holds(*file, second));
    // Two files of the same rows may be one file: that is all that nobody can tell.
    let rows = |file: &Slice| {
        let mut rows: Vec<String> = exports.text(*file).lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    let texts: BTreeSet<Vec<String>> = files.iter().map(rows).collect();
    let distinct: BTreeSet<Slice> = files.iter().copied().collect();
    let has_twins = texts.len() < distinct.len();
    let complain = |what: &str| Err(format!("second {second}: {what}: {counted} counted, told: {is_told}"));
    if counted != proven {
        return complain("the book does not count what a file proves");
    }
    if counted < seen.len() && !is_told && !has_twins {
        return complain("rows are taken for one another, and nobody is told");
    }
    if is_told && is_whole {
        return complain("a file has the second whole, and it is told all the same");
    }
    if is_told && files.iter().filter(|file| !exports.kickbacks(**file, second).is_empty()).count() < 2 {
        return complain("one file alone alarms somebody");
    }
    Ok(())
}

/// Every pair of stretches in both orders, and one in so many of all triples, with repetitions.
#[tokio::test]
async fn whatever_is_not_counted_is_told() {
    let mut count = 0_usize;
    for ledger in LEDGERS {
        let exports = Exports::new(ledger);
        let slices = exports.slices();
        let mut all: Vec<Vec<Slice>> = Vec::new();
        for first in &slices {
            for second in &slices {
                all.push(vec![*first, *second]);
                for third in &slices {
                    if (count + all.len()).is_multiple_of(61) {
                        all.push(vec![*first, *second, *third]);
                    }
                }
            }
        }
        for files in all {
            count += 1;
            let found = imported(&exports, &files).await;
            for second in &found {
                if let Err(complaint) = check(&exports, &files, *second) {
                    panic!("{complaint}, after {files:?} of {ledger:?}");
                }
            }
            // Another order, and once more: the same book, the same doubts.
            if count.is_multiple_of(8) {
                let mut other: Vec<Slice> = files.iter().rev().copied().collect();
                other.extend(files.first());
                assert_eq!(imported(&exports, &other).await, found, "{files:?} of {ledger:?}");
            }
        }
    }
    assert!(count > 700, "{count}");
}
