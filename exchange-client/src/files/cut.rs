//! Where an export of transactions may cut through a second.
//!
//! Ledger rows without an id are told apart by their place among identical rows of one second, so a second has to be seen
//! whole. An export may begin or end within one: of such rows in the second of its first or last row nobody knows whether
//! they are all, and those that another file has there may be the same or others. In between, a file has all rows of a
//! type and contract that it has rows of, unless somebody filtered it by hand, which shows where rows are unreadable or out
//! of order: then it is whole nowhere. A copy of a file is told by what its rows say, in whatever order they stand.

use std::collections::BTreeMap;

use ledger_core::{Asset, Income, IncomeKey, IncomeType, Symbol, TimestampMs};

use crate::income_id::{IncomeDigest, without_ordinal};

/// What an export of transactions tells of the rows that have no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRead {
    /// The second of its first row.
    pub first: TimestampMs,
    /// The second of its last row.
    pub last: TimestampMs,
    /// How many rows it has, with an id or without.
    pub rows: u64,
    /// What its rows say, as a sum that does not depend on their order: files that agree in it are copies of one another.
    pub content: u128,
    /// The identical rows without an id in those two seconds.
    pub cuts: Vec<LedgerCut>,
    /// Where rows without an id were seen whole, second by second.
    pub whole: Vec<LedgerWhole>,
}

/// Identical rows without an id in the first or last second of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerCut {
    /// One of the rows.
    pub row: Income,
    /// What the ids of all such rows begin with.
    pub id_prefix: String,
    /// How many the file has.
    pub count: u64,
    /// Whether the file begins in their second.
    pub begins: bool,
    /// Whether it ends in it.
    pub ends: bool,
}

/// A stretch of whole seconds of rows without an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerWhole {
    /// The type of the rows.
    pub income_type: IncomeType,
    /// What moved.
    pub asset: Asset,
    /// The contract, where they have one.
    pub symbol: Option<Symbol>,
    /// The first instant.
    pub since: TimestampMs,
    /// The first instant after it that does not belong to it.
    pub until: TimestampMs,
}

/// Identical rows by what their ids begin with: one of them, and how many.
type Identical = BTreeMap<String, (Income, u64)>;

/// How many different rows without an id are noted of one second at an edge. No account has as many; of a file that claims so,
/// the others are not told as cut.
const EDGE_ROWS_MAX: usize = 1_000;

/// What the rows of one text have told so far.
#[derive(Debug, Default)]
pub(super) struct LedgerReach {
    rows: u64,
    content: u128,
    /// The second of the row before, and whether later ones followed earlier ones, and the other way round.
    latest_row: Option<TimestampMs>,
    rises: bool,
    falls: bool,
    is_broken: bool,
    first: Option<(TimestampMs, Identical)>,
    last: Option<(TimestampMs, Identical)>,
    seen: BTreeMap<(IncomeType, Asset, Option<Symbol>), (TimestampMs, TimestampMs)>,
}

impl LedgerReach {
    pub(super) fn note(&mut self, row: &Income) {
        self.rows += 1;
        let IncomeKey { income_type, asset, symbol, .. } = &row.key;
        let digest = IncomeDigest::new(income_type, row.time.at, row.amount, asset, symbol.as_ref());
        self.content = self.content.wrapping_add(digest.number());
        let second = row.time.at.saturating_add_ms(-row.time.at.as_ms().rem_euclid(1_000));
        self.rises |= self.latest_row.is_some_and(|latest| second > latest);
        self.falls |= self.latest_row.is_some_and(|latest| second < latest);
        self.latest_row = Some(second);
        let id_prefix = without_ordinal(&row.key.tran_id);
        edge(&mut self.first, second, |known| second < known, row, id_prefix);
        edge(&mut self.last, second, |known| second > known, row, id_prefix);
        if id_prefix.is_some() {
            let IncomeKey { income_type, asset, symbol, .. } = row.key.clone();
            let seen = self.seen.entry((income_type, asset, symbol)).or_insert((second, second));
            *seen = (seen.0.min(second), seen.1.max(second));
        }
    }

    /// A row that says nothing: it may be of any second.
    pub(super) fn unreadable(&mut self) {
        self.is_broken = true;
    }

    /// What was told; `None` if it all had ids.
    pub(super) fn told(&self) -> Option<LedgerRead> {
        let ((first, begins), (last, ends)) = (self.first.as_ref()?, self.last.as_ref()?);
        let (inner, outer) = (first.saturating_add_ms(1_000), *last);
        let whole = self.seen.iter().map(|((income_type, asset, symbol), (since, until))| LedgerWhole {
            income_type: income_type.clone(),
            asset: asset.clone(),
            symbol: symbol.clone(),
            since: inner.max(*since),
            until: outer.min(until.saturating_add_ms(1_000)),
        });
        let cut = |(id_prefix, (row, count)): (&String, &(Income, u64)), begins, ends| LedgerCut {
            row: row.clone(),
            id_prefix: id_prefix.clone(),
            count: *count,
            begins,
            ends,
        };
        let is_one_second = first == last;
        let mut cuts: Vec<_> = begins.iter().map(|rows| cut(rows, true, is_one_second)).collect();
        cuts.extend(ends.iter().filter(|_| !is_one_second).map(|rows| cut(rows, false, true)));
        let is_filtered = self.is_broken || (self.rises && self.falls);
        let whole = whole.filter(|whole| whole.since < whole.until && !is_filtered).collect();
        let Self { rows, content, .. } = *self;
        (!self.seen.is_empty()).then_some(LedgerRead { first: *first, last: *last, rows, content, cuts, whole })
    }
}

/// Adds a row to those of the outermost second, which may begin with it.
fn edge(
    at_edge: &mut Option<(TimestampMs, Identical)>,
    second: TimestampMs,
    is_beyond: impl Fn(TimestampMs) -> bool,
    row: &Income,
    id_prefix: Option<&str>,
) {
    if at_edge.as_ref().is_none_or(|(known, _)| is_beyond(*known)) {
        *at_edge = Some((second, BTreeMap::new()));
    }
    if let Some((known, rows)) = at_edge
        && *known == second
        && let Some(id_prefix) = id_prefix
        && (rows.len() < EDGE_ROWS_MAX || rows.contains_key(id_prefix))
    {
        rows.entry(id_prefix.to_owned()).or_insert_with(|| (row.clone(), 0)).1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Cursor;

    use crate::files::{ImportFile, Options};

    /// Reads `second type` rows; ids are given to fees only. Answers the edges as `second type count begins ends`, and what
    /// is whole as `type since until`, in seconds.
    fn told(rows: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
        let mut text = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n".to_owned();
        for (number, row) in rows.iter().enumerate() {
            let (second, income_type) = row.split_once(' ').unwrap();
            let id = if income_type == "COMMISSION" { format!("9{number}") } else { String::new() };
            let amount = if income_type == "junk" { "junk" } else { "0.5" };
            let income_type = income_type.replace("junk", "TRANSFER");
            writeln!(text, "2026-03-01 00:00:{second},{income_type},{amount},USDT,,{id}").unwrap();
        }
        let mut file = ImportFile::from_reader("transactions.csv", Cursor::new(text), Options::default()).unwrap();
        assert!(file.ledger_read().is_empty(), "before it was read");
        let sound = rows.iter().filter(|row| !row.ends_with("junk")).count();
        assert_eq!(file.by_ref().filter(|row| row.as_ref().unwrap().result.is_ok()).count(), sound);
        let read = file.ledger_read().pop()?;
        assert_eq!(read.rows, u64::try_from(sound).unwrap());
        let seconds = |at: ledger_core::TimestampMs| (at.as_ms() - 1_772_323_200_000) / 1_000;
        let cuts = read.cuts.iter().map(|cut| {
            let (at, key) = (seconds(cut.row.time.at), &cut.row.key);
            format!("{at} {} {} {} {}", key.income_type, cut.count, cut.begins, cut.ends)
        });
        let whole =
            read.whole.iter().map(|it| format!("{} {} {}", it.income_type, seconds(it.since), seconds(it.until)));
        Some((cuts.collect(), whole.collect()))
    }

    #[test]
    fn rows_without_an_id_at_the_edges_may_be_cut() {
        let of = |cuts: &[&str], whole: &[&str]| {
            Some((cuts.iter().map(ToString::to_string).collect(), whole.iter().map(ToString::to_string).collect()))
        };
        let (kick, fee) = ("REFERRAL_KICKBACK", "COMMISSION");
        let rows: Vec<String> = [(10, fee), (20, kick), (20, kick), (30, kick), (40, kick), (40, kick)]
            .map(|(s, t)| format!("{s} {t}"))
            .into();
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let expected = of(&["40 REFERRAL_KICKBACK 2 false true"], &["REFERRAL_KICKBACK 20 40"]);
        assert_eq!(told(&rows), expected);
        // Newest first.
        rows.reverse();
        assert_eq!(told(&rows), expected);
        assert_eq!(
            told(&["10 TRANSFER", "10 TRANSFER", "20 COMMISSION", "30 COMMISSION"]),
            of(&["10 TRANSFER 2 true false"], &[])
        );
        assert_eq!(told(&["10 TRANSFER", "10 COMMISSION"]), of(&["10 TRANSFER 1 true true"], &[]));
        assert_eq!(told(&["10 COMMISSION", "20 COMMISSION"]), None);
        // Somebody filtered it by hand: what is missing may have been anywhere.
        let rows = ["10 COMMISSION", "20 TRANSFER", "30 COMMISSION"];
        assert_eq!(told(&rows), of(&[], &["TRANSFER 20 21"]));
        assert_eq!(told(&[rows[0], "20 junk", rows[1], rows[2]]), of(&[], &[]));
        assert_eq!(told(&[rows[1], rows[0], rows[2]]), of(&[], &[]));
    }
}
