//! Ledger rows about trades that do not name them, as exports of transactions have them.
//!
//! They are held against the fills of their contract and asset by time: fills and rows that no quiet second separates are
//! compared as a whole, because a row can be dated a second after its fill. Where that leads to nothing, the whole stretch
//! is added up. A fill without a row is no difference, for a file of single types says nothing of the others. Rows without any
//! fill are trades that the book lacks, where it covers the contract's fills of that time. Sums that differ are a difference
//! only where both sides are known to be complete: there, and not in the first or last second of the rows, in which a file
//! may have been cut.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, Decimal, Fill, FillId, Income, IncomeType, MathError, Symbol, TimestampMs};
use ledger_store::{FillFilter, PageRequest, Pages, Scope};

use super::income::LEDGER_SCALE;
use super::{BOOK_PAGE_ROWS, Comparison};
use crate::error::{Doing, ReconcileError};
use crate::streams::FILLS;
use crate::unreadable::ReadableBook;
use crate::wording::instant;

const SECOND_MS: i64 = 1_000;

/// Why rows without a fill are not compared.
const NO_FILL: &str = "the book has no fill of that time, and does not claim to have all of them";

/// What rows are held against fills by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    symbol: Symbol,
    income_type: IncomeType,
    asset: Asset,
}

/// The rows that name no trade, by what they are held against fills by: seconds since 1970 and amounts.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    rows: BTreeMap<Group, Vec<(i64, Decimal)>>,
    /// The trades that other rows of the ledger name, of contracts that had an unnamed row before or after.
    named: BTreeMap<Group, BTreeSet<FillId>>,
}

/// What lies between two quiet seconds.
#[derive(Debug, Default)]
struct Cluster {
    first: i64,
    last: i64,
    rows: Vec<Decimal>,
    /// What each fill states; `None` for one that does not state it.
    fills: Vec<Option<Decimal>>,
    is_fee: bool,
}

impl Unnamed {
    /// Keeps a row for [`compare`](Self::compare).
    pub(super) fn add(&mut self, income: &Income, comparison: &mut Comparison<'_>) {
        let Some(symbol) = &income.key.symbol else {
            comparison.leave_out(1, "no contract is named");
            return;
        };
        let rows = self.rows.entry(Group::of(symbol, income)).or_default();
        rows.push((second(income.time.at), income.amount));
    }

    /// Notes that a row names its trade: the fill is not to be held against others.
    pub(super) fn name(&mut self, income: &Income) {
        if let (Some(symbol), Some(fill_id)) = (&income.key.symbol, &income.fill_id) {
            self.named.entry(Group::of(symbol, income)).or_default().insert(fill_id.clone());
        }
    }

    /// Holds all rows against the book's fills.
    pub(super) async fn compare(
        self,
        book: &ReadableBook<'_>,
        account: &AccountId,
        comparison: &mut Comparison<'_>,
    ) -> Result<(), ReconcileError> {
        let Self { rows, named } = self;
        let seconds = rows.values().flatten().map(|(second, _)| *second);
        let Some((cut_first, cut_last)) = seconds.fold(None, |ends: Option<(i64, i64)>, second| {
            Some(ends.map_or((second, second), |(first, last)| (first.min(second), last.max(second))))
        }) else {
            return Ok(());
        };
        let covered = book.coverage(account).await.doing("reading what is covered")?;
        for (group, rows) in rows {
            let fills = fills_of(book, account, &group, &rows, named.get(&group)).await?;
            let is_fee = group.income_type.is(IncomeType::COMMISSION);
            let clusters = clusters(&rows, &fills, is_fee);
            let whole = Cluster {
                is_fee,
                rows: rows.iter().map(|(_, amount)| *amount).collect(),
                fills: clusters.iter().flat_map(|cluster| cluster.fills.iter().copied()).collect(),
                ..Cluster::default()
            };
            let adds_up = whole.agrees() == Some(true);
            for cluster in clusters.iter().filter(|cluster| !cluster.rows.is_empty()) {
                let number = cluster.rows.len();
                let is_covered = || {
                    covered.iter().any(|span| {
                        span.stream == FILLS
                            && span.symbol.as_ref().is_none_or(|symbol| *symbol == group.symbol)
                            && second(span.since) <= cluster.first
                            && span.until.as_ms() > cluster.last * SECOND_MS
                    })
                };
                match cluster.agrees() {
                    Some(true) => comparison.compared += number,
                    _ if adds_up => comparison.compared += number,
                    // Wherever the file of the rows was cut, each of these is of a trade.
                    _ if cluster.fills.is_empty() && is_covered() => comparison.differ(number, || {
                        format!("{}, and it claims to have all of them", cluster.difference(&group))
                    }),
                    _ if cluster.fills.is_empty() => comparison.leave_out_as(number, NO_FILL, || {
                        Some(format!("{} of {} at {}", group.income_type, group.symbol, at(cluster.first)))
                    }),
                    None => comparison.leave_out(number, "the fills do not state the amount"),
                    Some(false) => {
                        let is_cut = cluster.first <= cut_first || cluster.last >= cut_last;
                        if is_cut || !is_covered() {
                            comparison.leave_out(number, "the fills or the entries of that time may not all be there");
                        } else {
                            comparison.compared += number - 1;
                            comparison.compare(false, || cluster.difference(&group));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Group {
    fn of(symbol: &Symbol, income: &Income) -> Self {
        Self { symbol: symbol.clone(), income_type: income.key.income_type.clone(), asset: income.key.asset.clone() }
    }

    /// What a fill states of it, with the sign of the ledger; `None` where it states nothing.
    fn stated(&self, fill: &Fill) -> Option<Decimal> {
        if self.income_type.is(IncomeType::COMMISSION) {
            // A fee in another asset says that none was paid in this one.
            fill.fee.as_ref().map(|fee| if fee.asset == self.asset { -fee.amount } else { Decimal::ZERO })
        } else {
            fill.exchange_realized_pnl
        }
    }
}

impl Cluster {
    /// Whether the rows and the fills add up to the same; `None` where a fill does not state the amount, or an amount does
    /// not fit.
    fn agrees(&self) -> Option<bool> {
        let fills: Vec<Decimal> = self.fills.iter().copied().collect::<Option<_>>()?;
        if fills.is_empty() {
            return Some(false);
        }
        let same = |amounts: fn(Decimal) -> Decimal| -> Result<bool, MathError> {
            let rows = sum(self.rows.iter().copied().map(amounts))?;
            Ok(rows.round(LEDGER_SCALE) == sum(fills.iter().copied().map(amounts))?.round(LEDGER_SCALE))
        };
        // Sources do not agree on the sign of a fee: the ledger's counts.
        let is_same = same(|amount| amount).ok()?;
        Some(is_same || (self.is_fee && same(Decimal::abs).ok()?))
    }

    fn difference(&self, Group { symbol, income_type, asset }: &Group) -> String {
        let shown = |sum: Result<Decimal, MathError>| sum.map_or_else(|_| "unknown".to_owned(), |sum| sum.to_string());
        let fills = if self.fills.is_empty() {
            "the book has no fill there".to_owned()
        } else {
            format!("the book's fills {}", shown(sum(self.fills.iter().copied().flatten())))
        };
        format!(
            "{income_type} in {asset} of {symbol} from {} to {}: the ledger says {}, {fills}",
            at(self.first),
            at(self.last),
            shown(sum(self.rows.iter().copied())),
        )
    }
}

/// A second in words.
fn at(second: i64) -> String {
    TimestampMs::new(second * SECOND_MS).map(instant).unwrap_or_default()
}

fn second(at: TimestampMs) -> i64 {
    at.as_ms().div_euclid(SECOND_MS)
}

fn sum(amounts: impl Iterator<Item = Decimal>) -> Result<Decimal, MathError> {
    let mut sum = Decimal::ZERO;
    for amount in amounts {
        sum = sum.checked_add(amount)?;
    }
    Ok(sum)
}

/// The fills of the time of the rows, each with its second and what it states; without those that another row names.
async fn fills_of(
    book: &ReadableBook<'_>,
    account: &AccountId,
    group: &Group,
    rows: &[(i64, Decimal)],
    named: Option<&BTreeSet<FillId>>,
) -> Result<Vec<(i64, Option<Decimal>)>, ReconcileError> {
    let seconds = || rows.iter().map(|(second, _)| *second);
    let (Some(first), Some(last)) = (seconds().min(), seconds().max()) else { return Ok(Vec::new()) };
    let (since, until) = (TimestampMs::new((first - 1) * SECOND_MS), TimestampMs::new((last + 2) * SECOND_MS));
    let scope = Scope { since: since.ok(), until: until.ok(), ..Scope::symbol(account.clone(), group.symbol.clone()) };
    let filter = FillFilter::from(scope);
    let mut fills = Vec::new();
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.fills(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the fills")? {
        for fill in page.items.iter().map(|row| &row.fact) {
            if !named.is_some_and(|named| named.contains(&fill.key.fill_id)) {
                fills.push((second(fill.time.at), group.stated(fill)));
            }
        }
    }
    Ok(fills)
}

/// Rows and fills, cut wherever a second passed in which there was neither.
fn clusters(rows: &[(i64, Decimal)], fills: &[(i64, Option<Decimal>)], is_fee: bool) -> Vec<Cluster> {
    enum Event {
        Row(Decimal),
        Fill(Option<Decimal>),
    }
    let mut events: Vec<(i64, Event)> = Vec::with_capacity(rows.len() + fills.len());
    events.extend(rows.iter().map(|(second, amount)| (*second, Event::Row(*amount))));
    events.extend(fills.iter().map(|(second, stated)| (*second, Event::Fill(*stated))));
    events.sort_by_key(|(second, _)| *second);
    let mut clusters: Vec<Cluster> = Vec::new();
    for (second, event) in events {
        if clusters.last().is_none_or(|cluster| second > cluster.last + 1) {
            clusters.push(Cluster { first: second, last: second, is_fee, ..Cluster::default() });
        }
        let Some(cluster) = clusters.last_mut() else { continue };
        cluster.last = second;
        match event {
            Event::Row(amount) => cluster.rows.push(amount),
            Event::Fill(stated) => cluster.fills.push(stated),
        }
    }
    clusters
}
