//! Reports as data: what round trips earned, by engine, symbol, day or side, and what moved the wallet.
//!
//! Round trips count by the time they closed, with their whole money. The cash section counts every ledger entry by
//! its own time, so it foots to the exchange's income. Amounts in different assets are never added.
//!
//! Invariants, each with a test of the same name:
//! 1. `groups_add_up_to_the_total`.
//! 2. `an_unknown_trip_is_neither_won_nor_lost`.
//! 3. `drawdown_follows_closing_order`.
//! 4. `a_trip_left_out_leaves_no_group_certain`.

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::id::Asset;
use crate::income::Income;
use crate::names::stored_names;
use crate::round_trip::{AssetTotal, RoundTrip, total_of};
use crate::source::IncomeType;
use crate::time::TimestampMs;

/// What a report's rows stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// The strategy that opened the round trip.
    Engine,
    /// The contract.
    Symbol,
    /// The day on which the round trip closed, in the reader's time zone.
    Day,
    /// Long or short.
    Side,
}

stored_names!(GroupBy, "grouping", { Engine = "engine", Symbol = "symbol", Day = "day", Side = "side" });

/// The name of the group of round trips whose engine is not known.
pub const NO_ENGINE: &str = "(unknown)";

/// The figures of a group of round trips.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TripStats {
    /// How many round trips closed.
    pub trip_count: u64,
    /// How many of them ended with a profit after fees and funding, in the settle asset.
    pub win_count: u64,
    /// How many ended with a loss.
    pub loss_count: u64,
    /// How many are not known to have won or lost.
    pub unknown_count: u64,
    /// How many more, of which nothing is known, may belong to them: no figure holds them, and every amount has them as
    /// unknown parts.
    pub left_out_count: u64,
    /// Realized profit before fees and funding, per settle asset.
    pub gross: Vec<AssetTotal>,
    /// Fees, per asset: positive = paid.
    pub fees: Vec<AssetTotal>,
    /// Funding, per asset: positive = received.
    pub funding: Vec<AssetTotal>,
    /// What liquidations cost beside fees, per asset: negative = charged.
    pub clearance: Vec<AssetTotal>,
    /// Gross - fees + funding + clearance, per asset.
    pub net: Vec<AssetTotal>,
    /// The largest fall of the cumulated net from an earlier high, per settle asset, over trips in closing order;
    /// unknown amounts do not count.
    pub drawdown_max: Vec<(Asset, Decimal)>,
    profits: Vec<AssetTotal>,
    losses: Vec<AssetTotal>,
    curves: BTreeMap<Asset, Curve>,
}

/// A cumulated net and its high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Curve {
    sum: Decimal,
    high: Decimal,
    drawdown: Decimal,
}

impl TripStats {
    /// Round trips won / (won + lost + even), rounded half to even at 4 decimals; `None` when none can be told.
    pub fn win_rate(&self) -> Option<Decimal> {
        let told = i64::try_from(self.trip_count - self.unknown_count).ok().filter(|told| *told > 0)?;
        let won = i64::try_from(self.win_count).ok()?;
        Decimal::from(won).div_round(Decimal::from(told), 4).ok()
    }

    /// The sum of winning nets / the sum of losing nets, per settle asset, rounded half to even at 4 decimals; absent
    /// where nothing was lost.
    pub fn profit_factor(&self) -> Vec<(Asset, Decimal)> {
        let amount = |totals: &[AssetTotal], asset: &Asset| {
            totals.iter().find(|total| total.asset == *asset).and_then(|total| total.total.amount().ok())
        };
        self.losses
            .iter()
            .filter_map(|loss| {
                let lost = loss.total.amount().ok()?.abs();
                let won = amount(&self.profits, &loss.asset).unwrap_or_default();
                Some((loss.asset.clone(), won.div_round(lost, 4).ok()?))
            })
            .collect()
    }

    /// The weakest certainty of any amount.
    pub fn certainty(&self) -> Certainty {
        if self.left_out_count > 0 {
            return Certainty::Unknown;
        }
        let totals = [&self.gross, &self.fees, &self.funding, &self.clearance];
        totals.into_iter().flatten().map(|total| total.total.certainty()).max().unwrap_or_default()
    }

    /// Adds a round trip, whether it has closed or not.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add(&mut self, trip: &RoundTrip) -> Result<(), MathError> {
        self.trip_count += 1;
        total_of(&mut self.gross, &trip.settle_asset).merge(&trip.gross)?;
        add_all(&mut self.fees, &trip.fees)?;
        add_all(&mut self.funding, &trip.funding)?;
        add_all(&mut self.clearance, &trip.clearance)?;
        let net = trip.net()?;
        add_all(&mut self.net, &net)?;
        let Some(own) = net.first().filter(|own| own.total.certainty() != Certainty::Unknown) else {
            self.unknown_count += 1;
            return Ok(());
        };
        let amount = own.total.amount()?;
        if amount.is_positive() {
            self.win_count += 1;
            total_of(&mut self.profits, &own.asset).merge(&own.total)?;
        } else if amount.is_negative() {
            self.loss_count += 1;
            total_of(&mut self.losses, &own.asset).merge(&own.total)?;
        }
        let curve = self.curves.entry(own.asset.clone()).or_default();
        curve.sum = curve.sum.checked_add(amount)?;
        curve.high = curve.high.max(curve.sum);
        curve.drawdown = curve.drawdown.max(curve.high.checked_sub(curve.sum)?);
        Ok(())
    }

    fn finish(&mut self, left_out_count: u64) {
        self.left_out_count = left_out_count;
        for totals in [&mut self.gross, &mut self.fees, &mut self.funding, &mut self.clearance, &mut self.net] {
            totals.sort_by(|a, b| a.asset.cmp(&b.asset));
            for total in totals.iter_mut() {
                total.total.unknown_count += left_out_count;
            }
        }
        self.drawdown_max = self.curves.iter().map(|(asset, curve)| (asset.clone(), curve.drawdown)).collect();
    }
}

fn add_all(to: &mut Vec<AssetTotal>, from: &[AssetTotal]) -> Result<(), MathError> {
    from.iter().try_for_each(|total| total_of(to, &total.asset).merge(&total.total))
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The group: an engine, a symbol, a day (`2026-03-01`), or `long` / `short`.
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
    /// The groups: days in order, others by name.
    pub rows: Vec<ReportRow>,
    /// All groups together.
    pub total: TripStats,
    /// The wallet's movements in the same period, by asset and type; empty when no income is on record.
    pub cash: Vec<CashLine>,
    /// The sums of `cash` per asset.
    pub cash_total: Vec<(Asset, Decimal)>,
}

/// Builds a [`Report`] from round trips and income as they are read, holding only sums.
///
/// ```
/// use ledger_core::{GroupBy, ReportBuilder};
///
/// let report = ReportBuilder::new(GroupBy::Symbol, Box::new(|_| "day".to_owned())).finish()?;
/// assert_eq!(report.total.trip_count, 0);
/// # Ok::<(), ledger_core::MathError>(())
/// ```
pub struct ReportBuilder {
    by: GroupBy,
    day_of: Box<dyn Fn(TimestampMs) -> String + Send>,
    groups: BTreeMap<String, TripStats>,
    total: TripStats,
    left_out_count: u64,
    cash: BTreeMap<(Asset, IncomeType), (Decimal, u64)>,
}

impl std::fmt::Debug for ReportBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportBuilder").field("by", &self.by).field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl ReportBuilder {
    /// An empty report. `day_of` names the day of an instant in the reader's time zone, such that names sort by date.
    pub fn new(by: GroupBy, day_of: Box<dyn Fn(TimestampMs) -> String + Send>) -> Self {
        let (groups, total, cash) = (BTreeMap::new(), TripStats::default(), BTreeMap::new());
        Self { by, day_of, groups, total, left_out_count: 0, cash }
    }

    /// Adds a round trip that has closed; one that is open is left out. Round trips come in closing order.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_trip(&mut self, trip: &RoundTrip) -> Result<(), MathError> {
        let Some(closed_at) = trip.closed_at else { return Ok(()) };
        let group = match self.by {
            GroupBy::Engine => trip.engine.as_ref().map_or(NO_ENGINE, |engine| engine.as_str()).to_owned(),
            GroupBy::Symbol => trip.symbol.as_str().to_owned(),
            GroupBy::Day => (self.day_of)(closed_at),
            GroupBy::Side => trip.direction.as_str().to_owned(),
        };
        self.groups.entry(group).or_default().add(trip)?;
        self.total.add(trip)
    }

    /// Notes a round trip that has closed and of which nothing else is known: it may belong to any group.
    pub fn leave_out_trip(&mut self) {
        self.left_out_count += 1;
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

    /// The report.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn finish(mut self) -> Result<Report, MathError> {
        self.total.finish(self.left_out_count);
        let mut cash_total: BTreeMap<Asset, Decimal> = BTreeMap::new();
        let mut cash = Vec::new();
        for ((asset, income_type), (amount, row_count)) in self.cash {
            let sum = cash_total.entry(asset.clone()).or_default();
            *sum = sum.checked_add(amount)?;
            cash.push(CashLine { asset, income_type, amount, row_count });
        }
        let rows = self
            .groups
            .into_iter()
            .map(|(group, mut stats)| {
                stats.finish(self.left_out_count);
                ReportRow { group, stats }
            })
            .collect();
        Ok(Report { rows, total: self.total, cash, cash_total: cash_total.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certainty::CertainTotal;
    use crate::id::{EngineLabel, Symbol};
    use crate::order::ExitReason;
    use crate::round_trip::Direction;
    use crate::source::PositionSide;

    fn trip(engine: &str, closed_ms: i64, gross: &str, fee: &str, certainty: Certainty) -> RoundTrip {
        let asset = Asset::new("USDT").unwrap();
        let total = |amount: &str, certainty| {
            let mut total = CertainTotal::default();
            total.add(amount.parse().unwrap(), certainty).unwrap();
            total
        };
        RoundTrip {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            position_side: PositionSide::Net,
            number: 1,
            direction: Direction::Long,
            opened_at: None,
            closed_at: Some(TimestampMs::new(1_700_000_000_000 + closed_ms).unwrap()),
            opening: crate::trip_key::Opening::Anchor(TimestampMs::new(1_700_000_000_000).unwrap()),
            closed_by: None,
            entry_qty: Decimal::ONE,
            entry_price_avg: None,
            exit_qty: Decimal::ONE,
            exit_price_avg: None,
            qty_max: Decimal::ONE,
            settle_asset: asset.clone(),
            gross: total(gross, certainty),
            exchange_realized_pnl: None,
            fees: vec![AssetTotal { asset, total: total(fee, Certainty::Known) }],
            funding: Vec::new(),
            clearance: Vec::new(),
            was_liquidated: false,
            engine: EngineLabel::new(engine).ok(),
            other_engines: Vec::new(),
            exit_reason: ExitReason::Unknown,
            fill_count: 2,
            certainty,
        }
    }

    fn report(by: GroupBy, trips: &[RoundTrip]) -> Report {
        let mut builder = ReportBuilder::new(by, Box::new(|at| format!("{:013}", at.as_ms() / 86_400_000)));
        for trip in trips {
            builder.add_trip(trip).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Nets 9.5, -4.5, -2.5, 2.5: cumulated 9.5, 5, 2.5, 5; the deepest fall is 9.5 - 2.5 = 7.
    #[test]
    fn drawdown_follows_closing_order() {
        let trips = [("10", 1), ("-4", 2), ("-2", 3), ("3", 4)]
            .map(|(gross, at)| trip("a", at, gross, "0.5", Certainty::Known));
        let total = report(GroupBy::Engine, &trips).total;
        let usdt = Asset::new("USDT").unwrap();
        assert_eq!(total.drawdown_max, [(usdt.clone(), "7".parse().unwrap())]);
        assert_eq!((total.win_count, total.loss_count), (2, 2));
        assert_eq!(total.win_rate(), Some("0.5".parse().unwrap()));
        // (9.5 + 2.5) / (4.5 + 2.5)
        assert_eq!(total.profit_factor(), [(usdt, "1.7143".parse().unwrap())]);
    }

    #[test]
    fn an_unknown_trip_is_neither_won_nor_lost() {
        let trips = [trip("a", 1, "10", "0.5", Certainty::Known), trip("a", 2, "99", "0.5", Certainty::Unknown)];
        let total = report(GroupBy::Engine, &trips).total;
        assert_eq!((total.trip_count, total.win_count, total.unknown_count), (2, 1, 1));
        assert_eq!(total.win_rate(), Some(Decimal::ONE));
        assert_eq!(total.certainty(), Certainty::Unknown);
        assert_eq!(total.net[0].total.amount().unwrap(), "9".parse().unwrap());
        assert_eq!(total.net[0].total.unknown_count, 1);
    }

    #[test]
    fn groups_add_up_to_the_total() {
        let trips = [
            trip("a", 1, "10", "0.5", Certainty::Known),
            trip("b", 2, "-1", "0.25", Certainty::Estimated),
            trip("", 86_400_000, "2", "-0.1", Certainty::Known),
        ];
        for by in GroupBy::ALL {
            let report = report(*by, &trips);
            let mut sum = CertainTotal::default();
            report.rows.iter().for_each(|row| sum.merge(&row.stats.net[0].total).unwrap());
            assert_eq!(sum, report.total.net[0].total);
            assert_eq!(report.rows.iter().map(|row| row.stats.trip_count).sum::<u64>(), 3);
        }
        let names: Vec<_> = report(GroupBy::Engine, &trips).rows.into_iter().map(|row| row.group).collect();
        assert_eq!(names, [NO_ENGINE, "a", "b"]);
    }

    #[test]
    fn a_trip_left_out_leaves_no_group_certain() {
        let mut builder = ReportBuilder::new(GroupBy::Engine, Box::new(|_| "day".to_owned()));
        builder.add_trip(&trip("a", 1, "10", "0.5", Certainty::Known)).unwrap();
        builder.leave_out_trip();
        builder.add_trip(&trip("b", 2, "-1", "0.5", Certainty::Known)).unwrap();
        let report = builder.finish().unwrap();
        for stats in report.rows.iter().map(|row| &row.stats).chain([&report.total]) {
            assert_eq!((stats.left_out_count, stats.unknown_count, stats.certainty()), (1, 0, Certainty::Unknown));
            for total in [&stats.gross, &stats.fees, &stats.net].map(|totals| totals[0].total) {
                assert_eq!(total.certainty(), Certainty::Unknown, "{total:?}");
            }
        }
        assert_eq!((report.total.trip_count, report.total.win_count), (2, 1));
        assert_eq!(report.total.net[0].total.amount().unwrap(), "8".parse().unwrap());
        let mut builder = ReportBuilder::new(GroupBy::Engine, Box::new(|_| "day".to_owned()));
        builder.leave_out_trip();
        assert_eq!(builder.finish().unwrap().total.certainty(), Certainty::Unknown, "without any amount");
    }
}
