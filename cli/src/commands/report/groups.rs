//! The groups of a report: for a program a line a group, for a person a line a group and asset.

use ledger_core::{Asset, AssetTotal, CertainTotal, Certainty, Decimal, GroupBy, ReportRow, TripStats};

use crate::commands::text;
use crate::output::{Cell, Column, Listing};

/// A group, as a program gets it: amounts per asset in one object.
pub(super) const GROUPS: Listing<ReportRow> = Listing {
    schema: "fillbook.report.group/1",
    plural: "groups",
    columns: &[
        Column { key: "group", title: "Group", rank: 0, value: |r| text(&r.group) },
        Column { key: "trips", title: "Trips", rank: 0, value: |r| r.stats.trip_count.into() },
        Column { key: "wins", title: "Won", rank: 0, value: |r| r.stats.win_count.into() },
        Column { key: "losses", title: "Lost", rank: 0, value: |r| r.stats.loss_count.into() },
        Column { key: "unknown", title: "Unknown", rank: 0, value: |r| r.stats.unknown_count.into() },
        Column {
            key: "win_rate",
            title: "Win rate",
            rank: 0,
            value: |r| r.stats.win_rate().map_or(Cell::Empty, Cell::Share),
        },
        Column {
            key: "profit_factor",
            title: "Profit factor",
            rank: 0,
            value: |r| Cell::PerAsset(r.stats.profit_factor()),
        },
        Column { key: "expectancy", title: "Expectancy", rank: 0, value: |r| Cell::PerAsset(r.stats.expectancy()) },
        Column { key: "gross", title: "Gross", rank: 0, value: |r| Cell::Assets(r.stats.gross.clone()) },
        Column {
            key: "exchange_gross",
            title: "Exchange says",
            rank: 0,
            value: |r| Cell::Assets(r.stats.exchange_gross.clone()),
        },
        Column { key: "fees", title: "Fees", rank: 0, value: |r| Cell::Assets(r.stats.fees.clone()) },
        Column { key: "funding", title: "Funding", rank: 0, value: |r| Cell::Assets(r.stats.funding.clone()) },
        Column { key: "clearance", title: "Clearance", rank: 0, value: |r| Cell::Assets(r.stats.clearance.clone()) },
        Column { key: "net", title: "Net", rank: 0, value: |r| Cell::Assets(r.stats.net.clone()) },
        Column { key: "carried_in", title: "Carried in", rank: 0, value: |r| Cell::Assets(r.stats.carried_in.clone()) },
        Column { key: "valued_net", title: "Valued net", rank: 0, value: |r| Cell::Assets(r.stats.valued.clone()) },
        Column { key: "before_fees_in", title: "Before fees in", rank: 0, value: |r| names(&r.stats) },
        Column { key: "crossed_fees", title: "Crossed fees", rank: 0, value: |r| crossed(&r.stats) },
        Column {
            key: "drawdown_max",
            title: "Drawdown",
            rank: 0,
            value: |r| Cell::PerAsset(r.stats.drawdown_max.clone()),
        },
        Column { key: "result_certainty", title: "Results", rank: 0, value: |r| text(r.stats.result_certainty()) },
        Column { key: "certainty", title: "Certainty", rank: 0, value: |r| text(r.stats.certainty()) },
    ],
};

/// The assets of fees that results are before, or nothing.
pub(super) fn names(stats: &TripStats) -> Cell {
    let names: Vec<_> = stats.before_fees_in.iter().map(Asset::as_str).collect();
    if names.is_empty() { Cell::Empty } else { Cell::Text(names.join(" ")) }
}

/// The fees that count at a price that two others make, or nothing.
pub(super) fn crossed(stats: &TripStats) -> Cell {
    let named: Vec<_> = stats.crossed_fees.iter().map(String::as_str).collect();
    if named.is_empty() { Cell::Empty } else { Cell::Text(named.join(", ")) }
}

/// A group and one of its assets, as a person reads it: amounts in different assets stand in different lines.
pub(super) struct Line {
    /// Name and counts, in the first line of a group.
    pub(super) group: Option<(String, TripStats)>,
    pub(super) asset: Asset,
    pub(super) profit_factor: Option<CertainTotal>,
    pub(super) expectancy: Option<CertainTotal>,
    pub(super) gross: Option<CertainTotal>,
    pub(super) exchange_gross: Option<CertainTotal>,
    pub(super) fees: Option<CertainTotal>,
    pub(super) funding: Option<CertainTotal>,
    pub(super) clearance: Option<CertainTotal>,
    pub(super) net: Option<CertainTotal>,
    pub(super) carried_in: Option<CertainTotal>,
    pub(super) drawdown: Option<CertainTotal>,
}

impl Line {
    pub(super) fn of(row: &ReportRow) -> Vec<Self> {
        let stats = &row.stats;
        let find = |totals: &[AssetTotal], asset: &Asset| {
            totals.iter().find(|total| total.asset == *asset).map(|total| total.total)
        };
        // A figure about results is as sure as they are. What is left out of it is counted, so it is no unknown part.
        let figure = |numbers: &[(Asset, Decimal)], asset: &Asset| {
            let number = numbers.iter().find(|(known, _)| known == asset).map(|(_, number)| *number)?;
            let is_known = stats.result_certainty() == Certainty::Known;
            let certainty = if is_known { Certainty::Known } else { Certainty::Estimated };
            let mut figure = CertainTotal::default();
            figure.add(number, certainty).ok()?;
            Some(figure)
        };
        // What profit is paid in first, what only fees are paid in after it.
        let (own, other): (Vec<_>, Vec<_>) =
            stats.net.iter().map(|total| &total.asset).partition(|asset| find(&stats.gross, asset).is_some());
        let results = stats.valued.iter().map(|total| &total.asset);
        let results = results.filter(|asset| stats.net.iter().all(|total| total.asset != **asset));
        let assets = own.into_iter().chain(results).chain(other).enumerate();
        assets
            .map(|(at, asset)| Self {
                group: (at == 0).then(|| (row.group.clone(), stats.clone())),
                asset: asset.clone(),
                profit_factor: figure(&stats.profit_factor(), asset),
                expectancy: figure(&stats.expectancy(), asset),
                gross: find(&stats.gross, asset),
                exchange_gross: find(&stats.exchange_gross, asset),
                fees: find(&stats.fees, asset),
                funding: find(&stats.funding, asset),
                clearance: find(&stats.clearance, asset),
                net: find(&stats.net, asset),
                carried_in: find(&stats.carried_in, asset),
                drawdown: figure(&stats.drawdown_max, asset),
            })
            .collect()
    }
}

fn of_group(line: &Line, value: fn(&TripStats) -> Cell) -> Cell {
    line.group.as_ref().map_or(Cell::Empty, |(_, stats)| value(stats))
}

fn certain(total: Option<CertainTotal>) -> Cell {
    total.map_or(Cell::Empty, Cell::Certain)
}

macro_rules! lines_listing {
    ($name:ident, $title:literal) => {
        const $name: Listing<Line> = Listing {
            schema: "fillbook.report.line/1",
            plural: "lines",
            columns: &[
                Column {
                    key: "group",
                    title: $title,
                    rank: 0,
                    value: |l| l.group.as_ref().map(|(name, _)| name.clone()).into(),
                },
                Column {
                    key: "trips",
                    title: "Trips",
                    rank: 0,
                    value: |l| of_group(l, |stats| stats.trip_count.into()),
                },
                Column {
                    key: "win_rate",
                    title: "Win rate",
                    rank: 2,
                    value: |l| of_group(l, |s| s.win_rate().map_or(Cell::Empty, Cell::Share)),
                },
                Column { key: "profit_factor", title: "Factor", rank: 3, value: |l| certain(l.profit_factor) },
                Column { key: "gross", title: "Gross", rank: 0, value: |l| certain(l.gross) },
                Column { key: "fees", title: "Fees", rank: 0, value: |l| certain(l.fees) },
                Column { key: "funding", title: "Funding", rank: 1, value: |l| certain(l.funding) },
                Column { key: "clearance", title: "Clearance", rank: 1, value: |l| certain(l.clearance) },
                Column { key: "net", title: "Net", rank: 0, value: |l| certain(l.net) },
                Column { key: "asset", title: "Asset", rank: 0, value: |l| text(&l.asset) },
                Column { key: "carried_in", title: "Carried in", rank: 1, value: |l| certain(l.carried_in) },
                Column { key: "drawdown_max", title: "Drawdown", rank: 4, value: |l| certain(l.drawdown) },
                Column { key: "certainty", title: "Amounts", rank: 5, value: |l| of_group(l, |s| text(s.certainty())) },
                Column { key: "exchange_gross", title: "Exchange says", rank: 6, value: |l| certain(l.exchange_gross) },
                Column { key: "expectancy", title: "Expectancy", rank: 7, value: |l| certain(l.expectancy) },
            ],
        };
    };
}
lines_listing!(BY_ENGINE, "Engine");
lines_listing!(BY_SYMBOL, "Symbol");
lines_listing!(BY_SIDE, "Side");
lines_listing!(BY_HOUR, "Hour");
lines_listing!(BY_DAY, "Day");
lines_listing!(BY_WEEK, "Week");
lines_listing!(BY_MONTH, "Month");

/// The columns of a grouping.
pub(super) fn listing(by: GroupBy) -> &'static Listing<Line> {
    match by {
        GroupBy::Engine => &BY_ENGINE,
        GroupBy::Symbol => &BY_SYMBOL,
        GroupBy::Side => &BY_SIDE,
        GroupBy::Hour => &BY_HOUR,
        GroupBy::Day => &BY_DAY,
        GroupBy::Week => &BY_WEEK,
        GroupBy::Month => &BY_MONTH,
    }
}
