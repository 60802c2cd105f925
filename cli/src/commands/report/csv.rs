//! The whole report as one CSV table, a row a section, group and asset, so that every amount is a number of one column.
//!
//! `section` says what a row is: `group` (one of the groups), `total` (all of them), `open` (round trips that have not
//! closed), `unallocated_funding` (of no position on record), `cash` (ledger entries of one type, named in `group`),
//! `cash_total` (their sum), `footing` (what came of holding the report against the wallet, then what explains how it
//! moved, a row a term), `left_out` (how many rows of the book's table in `group` could not be read, or how many
//! `contracts` cannot be computed: the sums lack them; there is none where all are there). Counts stand in every row of their group, because a group has a row per asset.

use std::io;

use ledger_core::{Asset, Decimal, Report, ReportRow, TripStats};

use super::groups::{Line, names};
use super::{Rest, footing, text};
use crate::output::{Cell, Column, Listing, Output};

/// A row of the file.
struct Row {
    section: &'static str,
    group: String,
    asset: Option<Asset>,
    stats: Option<TripStats>,
    line: Option<Line>,
    amount: Cell,
    rows: Option<u64>,
}

impl Row {
    fn cash(section: &'static str, group: &str, asset: &Asset, amount: Decimal, rows: Option<u64>) -> Self {
        let (group, asset) = (group.to_owned(), Some(asset.clone()));
        Self { section, group, asset, stats: None, line: None, amount: amount.into(), rows }
    }
}

const LISTING: Listing<Row> = Listing {
    schema: "fillbook.report/1",
    plural: "rows",
    columns: &[
        Column { key: "section", title: "Section", rank: 0, value: |r| text(r.section) },
        Column { key: "group", title: "Group", rank: 0, value: |r| text(&r.group) },
        Column { key: "asset", title: "Asset", rank: 0, value: |r| super::super::maybe(r.asset.as_ref()) },
        Column { key: "trips", title: "Trips", rank: 0, value: |r| stat(r, |stats| stats.trip_count.into()) },
        Column { key: "wins", title: "Won", rank: 0, value: |r| stat(r, |stats| stats.win_count.into()) },
        Column { key: "losses", title: "Lost", rank: 0, value: |r| stat(r, |stats| stats.loss_count.into()) },
        Column { key: "unknown", title: "Unknown", rank: 0, value: |r| stat(r, |stats| stats.unknown_count.into()) },
        Column {
            key: "win_rate",
            title: "Win rate",
            rank: 0,
            value: |r| stat(r, |stats| stats.win_rate().map_or(Cell::Empty, Cell::Share)),
        },
        Column {
            key: "profit_factor",
            title: "Factor",
            rank: 0,
            value: |r| line(r, |line| line.profit_factor.map(Cell::Certain).into()),
        },
        Column {
            key: "expectancy",
            title: "Expectancy",
            rank: 0,
            value: |r| line(r, |line| line.expectancy.map(Cell::Certain).into()),
        },
        Column {
            key: "gross",
            title: "Gross",
            rank: 0,
            value: |r| line(r, |line| line.gross.map(Cell::Certain).into()),
        },
        Column {
            key: "exchange_gross",
            title: "Exchange says",
            rank: 0,
            value: |r| line(r, |line| line.exchange_gross.map(Cell::Certain).into()),
        },
        Column { key: "fees", title: "Fees", rank: 0, value: |r| line(r, |line| line.fees.map(Cell::Certain).into()) },
        Column {
            key: "funding",
            title: "Funding",
            rank: 0,
            value: |r| line(r, |line| line.funding.map(Cell::Certain).into()),
        },
        Column {
            key: "clearance",
            title: "Clearance",
            rank: 0,
            value: |r| line(r, |line| line.clearance.map(Cell::Certain).into()),
        },
        Column { key: "net", title: "Net", rank: 0, value: |r| line(r, |line| line.net.map(Cell::Certain).into()) },
        Column {
            key: "carried_in",
            title: "Carried in",
            rank: 0,
            value: |r| line(r, |line| line.carried_in.map(Cell::Certain).into()),
        },
        Column {
            key: "drawdown_max",
            title: "Drawdown",
            rank: 0,
            value: |r| line(r, |line| line.drawdown.map(Cell::Certain).into()),
        },
        Column { key: "before_fees_in", title: "Before fees in", rank: 0, value: |r| stat(r, names) },
        Column { key: "certainty", title: "Certainty", rank: 0, value: |r| stat(r, |stats| text(stats.certainty())) },
        Column { key: "amount", title: "Amount", rank: 0, value: |r| r.amount.clone() },
        Column { key: "rows", title: "Rows", rank: 0, value: |r| r.rows.into() },
    ],
};

fn stat(row: &Row, value: fn(&TripStats) -> Cell) -> Cell {
    row.stats.as_ref().map_or(Cell::Empty, value)
}

fn line(row: &Row, value: fn(&Line) -> Cell) -> Cell {
    row.line.as_ref().map_or(Cell::Empty, value)
}

/// Prints the report.
pub(super) fn print(report: &Report, rest: &Rest, output: &mut Output) -> io::Result<()> {
    let mut rows: Vec<Row> = report.rows.iter().flat_map(|row| group("group", row)).collect();
    rows.extend(group("total", &ReportRow { group: "all".to_owned(), stats: report.total.clone() }));
    if rest.open_count.is_some_and(|count| count > 0) {
        rows.extend(group("open", &ReportRow { group: "open".to_owned(), stats: rest.open.clone() }));
    }
    rows.extend(rest.unallocated.iter().map(|total| Row {
        amount: Cell::Certain(total.total),
        ..Row::cash("unallocated_funding", "", &total.asset, Decimal::ZERO, None)
    }));
    let cash = report.cash.iter();
    rows.extend(
        cash.map(|entry| {
            Row::cash("cash", entry.income_type.as_str(), &entry.asset, entry.amount, Some(entry.row_count))
        }),
    );
    rows.extend(report.cash_total.iter().map(|(asset, sum)| Row::cash("cash_total", "all", asset, *sum, None)));
    for footing in &report.footing {
        let row =
            |group: &str, amount| Row { amount, ..Row::cash("footing", group, &footing.asset, Decimal::ZERO, None) };
        rows.push(row("outcome", text(footing.outcome)));
        rows.extend(footing.before.map(|before| row("before", before.amount.into())));
        rows.extend(footing::terms(footing).into_iter().map(|term| row(&term.key, term.amount.into())));
        rows.push(row("moved", footing.moved.into()));
        rows.extend(footing.after.map(|after| row("after", after.amount.into())));
        let equity = footing.equity.iter().flat_map(|equity| {
            [
                ("equity_before", equity.amount_before()),
                ("equity_after", equity.amount_after()),
                ("equity_change", equity.change()),
            ]
        });
        rows.extend(equity.filter_map(|(name, amount)| amount.map(|amount| row(name, amount.into()))));
    }
    let left_out = [
        ("round_trips", report.total.left_out_count.max(u64::from(rest.open_count.is_none()))),
        ("symbol_books", u64::from(rest.has_unreadable_funding)),
        ("income", rest.cash_left_out as u64),
        ("contracts", report.uncomputed.len() as u64),
    ];
    rows.extend(left_out.into_iter().filter(|(_, count)| *count > 0).map(|(table, count)| Row {
        section: "left_out",
        group: table.to_owned(),
        asset: None,
        stats: None,
        line: None,
        amount: Cell::Empty,
        rows: Some(count),
    }));
    output.list(&LISTING, &rows)
}

/// A group's rows: one an asset, or a single one when no money moved.
fn group(section: &'static str, row: &ReportRow) -> Vec<Row> {
    let filled = |line: Option<Line>| Row {
        section,
        group: row.group.clone(),
        asset: line.as_ref().map(|line| line.asset.clone()),
        stats: Some(row.stats.clone()),
        line,
        amount: Cell::Empty,
        rows: None,
    };
    let lines = Line::of(row);
    if lines.is_empty() { vec![filled(None)] } else { lines.into_iter().map(|line| filled(Some(line))).collect() }
}
