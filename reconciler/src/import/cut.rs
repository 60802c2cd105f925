//! Ledger rows without an id at the edges of two files.
//!
//! One file ends within a second and another begins in it, and both have such a row there, both alike: nothing says whether
//! these are one or two. The book counts what one file proves, and it is told as a discrepancy. What a file has at its
//! edges, and where it is whole, stands in the journal with the import, so that it does not matter which file comes first,
//! or how much later the other.

use std::collections::BTreeSet;

use exchange_client::files::{LedgerCut, LedgerRead};
use ledger_core::{Asset, IncomeType, Symbol, TimestampMs};
use ledger_store::{
    DiscrepancyFilter, DiscrepancyKey, DiscrepancyStatus, IncomeFilter, NewDiscrepancy, PageRequest, Pages, RunFilter,
    RunKind, Scope, StoreError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PAGE, Recording};
use crate::discrepancy::DiscrepancyKind;
use crate::memory::{GapMemory, Memory};
use crate::streams::INCOME;
use crate::wording::{evidence_line, instant};

/// What the journal keeps of a file's ledger rows that have no id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileLedger {
    file: String,
    /// What its rows say, as a number in hexadecimal digits: who agrees in it and in how many rows it has is the same file.
    content: String,
    rows: u64,
    cuts: Vec<Cut>,
    whole: Vec<Whole>,
}

/// Identical rows at an edge of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cut {
    /// What their ids begin with.
    id_prefix: String,
    count: u64,
    begins: bool,
    ends: bool,
    second: TimestampMs,
    amount: String,
    of: Kind,
}

/// What kind of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kind {
    income_type: IncomeType,
    asset: Asset,
    symbol: Option<Symbol>,
}

/// Where the file has every row of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    of: Kind,
    since: TimestampMs,
    until: TimestampMs,
}

impl FileLedger {
    pub(super) fn new(file: &str, read: LedgerRead) -> Self {
        let cut = |LedgerCut { row, id_prefix, count, begins, ends }| Cut {
            id_prefix,
            count,
            begins,
            ends,
            second: if begins { read.first } else { read.last },
            amount: row.amount.to_string(),
            of: Kind { income_type: row.key.income_type, asset: row.key.asset, symbol: row.key.symbol },
        };
        let whole = read.whole.into_iter().map(|whole| Whole {
            of: Kind { income_type: whole.income_type, asset: whole.asset, symbol: whole.symbol },
            since: whole.since,
            until: whole.until,
        });
        Self {
            file: file.to_owned(),
            content: format!("{:032x}", read.content),
            rows: read.rows,
            cuts: read.cuts.into_iter().map(cut).collect(),
            whole: whole.collect(),
        }
    }

    fn cut(&self, id_prefix: &str) -> Option<&Cut> {
        self.cuts.iter().find(|cut| cut.id_prefix == id_prefix)
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (&self.content, self.rows) == (&other.content, other.rows)
    }
}

/// A file that ends and a file that begins within the same second, with the most identical rows there.
fn seam<'a>(files: &'a [FileLedger], id_prefix: &str) -> Option<[(&'a FileLedger, &'a Cut); 2]> {
    let of = |edge: fn(&Cut) -> bool| {
        files.iter().filter_map(move |file| Some((file, file.cut(id_prefix).filter(|cut| edge(cut))?)))
    };
    let mut seams = Vec::new();
    for ending in of(|cut| cut.ends) {
        seams.extend(of(|cut| cut.begins).filter(|other| !ending.0.is_same_file(other.0)).map(|other| [ending, other]));
    }
    seams.into_iter().max_by_key(|[(ending, a), (beginning, b)]| {
        (a.count.saturating_add(b.count), std::cmp::Reverse((&ending.file, &beginning.file)))
    })
}

impl Recording<'_> {
    /// Says of which rows at the edges of files nobody knows whether they are the same, and closes what is known by now.
    pub(super) async fn judge_cuts(&self, read: &[FileLedger]) -> Result<Vec<String>, StoreError> {
        let kind = DiscrepancyKind::LedgerCut.as_str();
        let filter =
            DiscrepancyFilter { kind: Some(kind.to_owned()), ..DiscrepancyFilter::standing(self.account.clone()) };
        let mut files = self.files_read_before().await?;
        files.extend_from_slice(read);
        // Of all files: an import that failed noted its files and could not judge them.
        let mut prefixes: BTreeSet<String> =
            files.iter().flat_map(|file| &file.cuts).map(|cut| cut.id_prefix.clone()).collect();
        let mut standing = BTreeSet::new();
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| self.store.discrepancies(&filter, page));
        while let Some(found) = pages.next().await? {
            standing.extend(found.items.into_iter().map(|known| known.entry.key.fingerprint));
        }
        prefixes.extend(standing.iter().cloned());
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = self.batch(Vec::new());
        for id_prefix in prefixes {
            if let Some(doubt) = self.doubt(&files, &id_prefix).await? {
                batch.discrepancies.push(doubt);
            } else if standing.contains(&id_prefix) {
                batch.settled.push(DiscrepancyKey { kind: kind.to_owned(), fingerprint: id_prefix });
            }
        }
        let told = batch.discrepancies.iter().map(evidence_line).collect();
        if !batch.discrepancies.is_empty() || !batch.settled.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(told)
    }

    /// The exchange that earlier imports into a book of another venue found its rows to be of.
    pub(super) async fn exchange_read_before(&self) -> Result<Option<String>, StoreError> {
        #[derive(Deserialize)]
        struct Line {
            exchange: Option<String>,
        }
        let filter = RunFilter { kind: Some(RunKind::Import), ..RunFilter::from(self.account.clone()) };
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| self.store.runs(&filter, page));
        while let Some(runs) = pages.next().await? {
            for detail in runs.items.iter().filter_map(|run| run.detail_json.as_deref()) {
                let lines = serde_json::from_str::<Vec<Line>>(detail)
                    .or_else(|_| serde_json::from_str::<Line>(detail).map(|line| vec![line]));
                if let Some(exchange) = lines.unwrap_or_default().into_iter().find_map(|line| line.exchange) {
                    return Ok(Some(exchange));
                }
            }
        }
        Ok(None)
    }

    /// What earlier imports noted of their files.
    async fn files_read_before(&self) -> Result<Vec<FileLedger>, StoreError> {
        #[derive(Deserialize)]
        struct Line {
            ledger: Option<FileLedger>,
        }
        /// What is noted of an import that came to no end.
        #[derive(Default, Deserialize)]
        struct Unfinished {
            #[serde(default)]
            ledgers: Vec<FileLedger>,
        }
        let filter = RunFilter { kind: Some(RunKind::Import), ..RunFilter::from(self.account.clone()) };
        let mut files = Vec::new();
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| self.store.runs(&filter, page));
        while let Some(runs) = pages.next().await? {
            for detail in runs.items.iter().filter_map(|run| run.detail_json.as_deref()) {
                if let Ok(lines) = serde_json::from_str::<Vec<Line>>(detail) {
                    files.extend(lines.into_iter().filter_map(|line| line.ledger));
                } else {
                    files.extend(serde_json::from_str::<Unfinished>(detail).unwrap_or_default().ledgers);
                }
            }
        }
        Ok(files)
    }

    /// The discrepancy, if it is open whether rows at a seam are the same.
    async fn doubt(&self, files: &[FileLedger], id_prefix: &str) -> Result<Option<NewDiscrepancy>, StoreError> {
        let Some([(ending, a), (beginning, b)]) = seam(files, id_prefix) else { return Ok(None) };
        let (since, until) = (a.second, a.second.saturating_add_ms(1_000));
        let covers = |from: TimestampMs, to: TimestampMs| from <= since && to >= until;
        let is_whole = |file: &FileLedger| file.whole.iter().any(|it| it.of == a.of && covers(it.since, it.until));
        let coverage = self.store.coverage(&self.account).await?;
        let is_asked = coverage.iter().any(|span| span.stream == INCOME && covers(span.since, span.until));
        let book = self.count(a, since, until).await?;
        // As many as both have together: they are no longer taken for the same.
        if is_asked || files.iter().any(is_whole) || book >= a.count.saturating_add(b.count) {
            return Ok(None);
        }
        let symbol = a.of.symbol.as_ref().map_or_else(String::new, |symbol| format!(" of {symbol}"));
        let what = format!("{} of {} {}{symbol}", a.of.income_type, a.amount, a.of.asset);
        let evidence = format!(
            "{} ends within the second {} with {} times {what} without an id, {} begins in it with {}, and nothing says whether \
             these are the same rows; the book has {book}. Import one export that begins earlier and ends later, or sync",
            ending.file,
            instant(since),
            a.count,
            beginning.file,
            b.count,
        );
        let mut details = Map::from_iter([("evidence".to_owned(), evidence.into())]);
        Memory::from(GapMemory { stream: INCOME.to_owned(), since, until }).write(&mut details);
        Ok(Some(NewDiscrepancy {
            key: DiscrepancyKey {
                kind: DiscrepancyKind::LedgerCut.as_str().to_owned(),
                fingerprint: id_prefix.to_owned(),
            },
            symbol: a.of.symbol.clone(),
            status: DiscrepancyStatus::Unresolved,
            evidence_json: Value::Object(details).to_string(),
        }))
    }

    /// How many of the identical rows the book has.
    async fn count(&self, cut: &Cut, since: TimestampMs, until: TimestampMs) -> Result<u64, StoreError> {
        let scope = Scope { since: Some(since), until: Some(until), ..Scope::account(self.account.clone()) };
        let filter = IncomeFilter { scope, income_type: Some(cut.of.income_type.clone()) };
        let mut counted = 0;
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| self.store.income(&filter, page));
        while let Some(found) = pages.next().await? {
            let is_alike = |id: &str| id.strip_prefix(&cut.id_prefix).is_some_and(|rest| rest.starts_with(':'));
            counted += found.items.iter().map(|row| u64::from(is_alike(row.fact.key.tran_id.as_str()))).sum::<u64>();
        }
        Ok(counted)
    }
}
