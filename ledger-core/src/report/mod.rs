//! Reports as data: what round trips earned, by engine, symbol, side or span of time, what moved the wallet, and whether
//! both say the same.
//!
//! By engine, symbol and side, round trips count whole, by the time they closed; what of their money is dated before the
//! period stands beside them. By hour, day, week and month, money counts when it happened. The cash section counts every
//! ledger entry by its own time. Amounts in different assets are never added.
//!
//! [`footing`] holds a report against the wallet.
//!
//! Invariants, each with a test of the same name:
//! 1. `groups_add_up_to_the_total`.
//! 2. `an_unknown_trip_is_neither_won_nor_lost`.
//! 3. `drawdown_follows_closing_order`.
//! 4. `a_trip_left_out_leaves_no_group_certain`, and `a_contract_left_out_leaves_no_total_certain`.
//! 5. `money_counts_when_it_happened_by_time`, also of a trip that is still open.
//! 6. `what_does_not_foot_is_not_known`, in that asset and stretch, and nowhere else.

pub mod footing;
mod stats;
#[cfg(test)]
mod tests;
mod time_span;
mod value;

use std::collections::{BTreeMap, BTreeSet};

pub use self::stats::TripStats;
use self::stats::add_all;
use self::time_span::Spans;
pub use self::time_span::{SpanOf, TimeSpan};
pub use self::value::{AssetPrices, OtherAssets};
use crate::amount::{Decimal, MathError};
use crate::id::{Asset, Symbol};
use crate::income::Income;
use crate::movement::Movement;
use crate::names::stored_names;
use crate::report::footing::AssetFooting;
use crate::round_trip::{AssetTotal, RoundTrip};
use crate::source::IncomeType;
use crate::time::TimestampMs;

/// What a report's rows stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// The strategy that opened the round trip.
    Engine,
    /// The contract.
    Symbol,
    /// Long or short.
    Side,
    /// The hour in which money moved, in the reader's time zone.
    Hour,
    /// The day.
    Day,
    /// The week, from Monday on (ISO 8601).
    Week,
    /// The month.
    Month,
}

stored_names!(GroupBy, "grouping", {
    Engine = "engine", Symbol = "symbol", Side = "side",
    Hour = "hour", Day = "day", Week = "week", Month = "month",
});

impl GroupBy {
    /// Whether the rows are spans of time.
    pub fn is_by_time(self) -> bool {
        match self {
            Self::Engine | Self::Symbol | Self::Side => false,
            Self::Hour | Self::Day | Self::Week | Self::Month => true,
        }
    }
}

/// The name of the group of round trips whose engine is not known.
pub const NO_ENGINE: &str = "(unknown)";

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The group: an engine, a symbol, `long` / `short`, or the name of a span of time.
    pub group: String,
    /// Its figures.
    pub stats: TripStats,
}

/// What moved the wallet, by asset and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashLine {
    /// The asset.
    pub asset: Asset,
    /// The exchange's name of the kind of entry.
    pub income_type: IncomeType,
    /// The sum, as the wallet saw it: a fee is negative here.
    pub amount: Decimal,
    /// How many entries.
    pub row_count: u64,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The groups: spans of time in order, others by name.
    pub rows: Vec<ReportRow>,
    /// All groups together.
    pub total: TripStats,
    /// The wallet's movements in the same period, by asset and type; empty when no income is on record.
    pub cash: Vec<CashLine>,
    /// The sums of `cash` per asset.
    pub cash_total: Vec<(Asset, Decimal)>,
    /// Whether the report says what the wallet says, per asset; empty for a book without a ledger.
    pub footing: Vec<AssetFooting>,
    /// Contracts that cannot be computed, or not as a whole: the totals lack them.
    pub uncomputed: Vec<Symbol>,
}

/// What a row is of. Spans of time sort by their beginning: the two hours of one name when clocks go back are two rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Named(String),
    Span { since: TimestampMs, until: TimestampMs, name: String },
}

impl Group {
    fn name(self) -> String {
        match self {
            Self::Named(name) | Self::Span { name, .. } => name,
        }
    }
}

/// Builds a [`Report`] from round trips, single amounts and income as they are read, holding only sums.
///
/// ```
/// use ledger_core::{GroupBy, ReportBuilder};
///
/// let report = ReportBuilder::new(GroupBy::Symbol, None).finish()?;
/// assert_eq!(report.total.trip_count, 0);
/// # Ok::<(), ledger_core::MathError>(())
/// ```
#[derive(Debug)]
pub struct ReportBuilder {
    by: GroupBy,
    spans: Option<Spans>,
    groups: BTreeMap<Group, TripStats>,
    total: TripStats,
    left_out_count: u64,
    uncomputed: BTreeSet<Symbol>,
    cash: BTreeMap<(Asset, IncomeType), (Decimal, u64)>,
    footing: Vec<AssetFooting>,
}

impl ReportBuilder {
    /// An empty report. `span_of` gives the span of an instant in the reader's time zone; a grouping by time needs it.
    pub fn new(by: GroupBy, span_of: Option<SpanOf>) -> Self {
        Self {
            by,
            spans: span_of.map(Spans::new),
            groups: BTreeMap::new(),
            total: TripStats::default(),
            left_out_count: 0,
            uncomputed: BTreeSet::new(),
            cash: BTreeMap::new(),
            footing: Vec::new(),
        }
    }

    fn span(&mut self, at: TimestampMs) -> Group {
        match &mut self.spans {
            Some(spans) => {
                let TimeSpan { since, until, name } = spans.of(at).clone();
                Group::Span { since, until, name }
            }
            None => Group::Named(at.to_string()),
        }
    }

    /// Adds a round trip that has closed; one that is open is left out. Round trips come in closing order. By time, only
    /// its result counts here: its amounts come as [movements](Self::add_movement).
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_trip(
        &mut self,
        trip: &RoundTrip,
        other: &OtherAssets,
        carried_in: &[AssetTotal],
    ) -> Result<(), MathError> {
        let Some(closed_at) = trip.closed_at else { return Ok(()) };
        let group = match self.by {
            GroupBy::Engine => {
                Group::Named(trip.engine.as_ref().map_or(NO_ENGINE, |engine| engine.as_str()).to_owned())
            }
            GroupBy::Symbol => Group::Named(trip.symbol.as_str().to_owned()),
            GroupBy::Side => Group::Named(trip.direction.as_str().to_owned()),
            GroupBy::Hour | GroupBy::Day | GroupBy::Week | GroupBy::Month => self.span(closed_at),
        };
        for stats in [self.groups.entry(group).or_default(), &mut self.total] {
            if self.by.is_by_time() {
                stats.add_result(trip, other)?;
            } else {
                stats.add(trip, other)?;
                add_all(&mut stats.carried_in, carried_in)?;
            }
        }
        Ok(())
    }

    /// Adds an amount of a round trip, closed or open, by when it happened. Only a report by time counts it; amounts that
    /// are in no round trip are left out.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_movement(&mut self, movement: &Movement) -> Result<(), MathError> {
        if !self.by.is_by_time() || movement.trip.is_none() {
            return Ok(());
        }
        let group = self.span(movement.at);
        self.groups.entry(group).or_default().add_movement(movement)?;
        self.total.add_movement(movement)
    }

    /// Notes a round trip that has closed and of which nothing else is known: it may belong to any group.
    pub fn leave_out_trip(&mut self) {
        self.left_out_count += 1;
    }

    /// Notes a contract that cannot be computed, or has fills that are in no position: its round trips may belong to any
    /// group but those of other contracts.
    pub fn leave_out_contract(&mut self, symbol: Symbol) {
        self.uncomputed.insert(symbol);
    }

    /// Adds a ledger entry.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_income(&mut self, income: &Income) -> Result<(), MathError> {
        let key = (income.key.asset.clone(), income.key.income_type.clone());
        let (amount, row_count) = self.cash.entry(key).or_default();
        *amount = amount.checked_add(income.amount)?;
        *row_count += 1;
        Ok(())
    }

    /// Adds what came of holding the report against the wallets. Where something is not explained, no amount of that
    /// asset and stretch stays known.
    pub fn set_footing(&mut self, footing: Vec<AssetFooting>) {
        self.footing = footing;
    }

    /// The report.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn finish(mut self) -> Result<Report, MathError> {
        let uncomputed_count = self.uncomputed.len() as u64;
        self.total.finish(self.left_out_count, uncomputed_count);
        for (group, stats) in &mut self.groups {
            let uncomputed_count = match (self.by, group) {
                (GroupBy::Symbol, Group::Named(name)) => {
                    u64::from(self.uncomputed.iter().any(|symbol| symbol.as_str() == name))
                }
                _ => uncomputed_count,
            };
            stats.finish(self.left_out_count, uncomputed_count);
        }
        for footing in &self.footing {
            for stretch in footing.unexplained_stretches() {
                self.total.doubt(&footing.asset)?;
                for (group, stats) in &mut self.groups {
                    let is_in = match group {
                        Group::Named(_) => true,
                        Group::Span { since, until, .. } => stretch.overlaps(*since, *until),
                    };
                    if is_in {
                        stats.doubt(&footing.asset)?;
                    }
                }
            }
        }
        let mut cash_total: BTreeMap<Asset, Decimal> = BTreeMap::new();
        let mut cash = Vec::new();
        for ((asset, income_type), (amount, row_count)) in self.cash {
            let sum = cash_total.entry(asset.clone()).or_default();
            *sum = sum.checked_add(amount)?;
            cash.push(CashLine { asset, income_type, amount, row_count });
        }
        let rows = self.groups.into_iter().map(|(group, stats)| ReportRow { group: group.name(), stats }).collect();
        Ok(Report {
            rows,
            total: self.total,
            cash,
            cash_total: cash_total.into_iter().collect(),
            footing: self.footing,
            uncomputed: self.uncomputed.into_iter().collect(),
        })
    }
}
