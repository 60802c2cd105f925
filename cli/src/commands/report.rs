//! `fillbook report`

mod csv;

use exchange_client::files::Zone;
use ledger_core::{
    Asset, AssetTotal, CashLine, CertainTotal, Decimal, Freshness, GroupBy, LookStream, Report, ReportBuilder,
    ReportRow, Staleness, Symbol, TimestampMs, TripStats,
};
use ledger_store::{IncomeFilter, PageRequest, Store, StoreError, TripFilter, UnreadableRow};
use serde_json::json;

use super::unseen::{self, Asked};
use super::{PAGE, scope, text};
use crate::Context;
use crate::args::ReportArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Format, Listing, Output, show_span};
use crate::times::show_day;

/// A group, as a program gets it: amounts per asset in one object.
const GROUPS: Listing<ReportRow> = Listing {
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
        Column { key: "gross", title: "Gross", rank: 0, value: |r| Cell::Assets(r.stats.gross.clone()) },
        Column { key: "fees", title: "Fees", rank: 0, value: |r| Cell::Assets(r.stats.fees.clone()) },
        Column { key: "funding", title: "Funding", rank: 0, value: |r| Cell::Assets(r.stats.funding.clone()) },
        Column { key: "net", title: "Net", rank: 0, value: |r| Cell::Assets(r.stats.net.clone()) },
        Column {
            key: "drawdown_max",
            title: "Drawdown",
            rank: 0,
            value: |r| Cell::PerAsset(r.stats.drawdown_max.clone()),
        },
        Column { key: "certainty", title: "Certainty", rank: 0, value: |r| text(r.stats.certainty()) },
    ],
};

/// A group and one of its assets, as a person reads it: amounts in different assets stand in different lines.
struct Line {
    /// Name and counts, in the first line of a group.
    group: Option<(String, TripStats)>,
    asset: Asset,
    profit_factor: Option<Decimal>,
    gross: Option<CertainTotal>,
    fees: Option<CertainTotal>,
    funding: Option<CertainTotal>,
    net: Option<CertainTotal>,
    drawdown: Option<Decimal>,
}

impl Line {
    fn of(row: &ReportRow) -> Vec<Self> {
        let stats = &row.stats;
        let find = |totals: &[AssetTotal], asset: &Asset| {
            totals.iter().find(|total| total.asset == *asset).map(|total| total.total)
        };
        let number = |numbers: &[(Asset, Decimal)], asset: &Asset| {
            numbers.iter().find(|(known, _)| known == asset).map(|(_, number)| *number)
        };
        // What profit is paid in first, what only fees are paid in after it.
        let (own, other): (Vec<_>, Vec<_>) =
            stats.net.iter().map(|total| &total.asset).partition(|asset| find(&stats.gross, asset).is_some());
        let assets = own.into_iter().chain(other).enumerate();
        assets
            .map(|(at, asset)| Self {
                group: (at == 0).then(|| (row.group.clone(), stats.clone())),
                asset: asset.clone(),
                profit_factor: number(&stats.profit_factor(), asset),
                gross: find(&stats.gross, asset),
                fees: find(&stats.fees, asset),
                funding: find(&stats.funding, asset),
                net: find(&stats.net, asset),
                drawdown: number(&stats.drawdown_max, asset),
            })
            .collect()
    }
}

fn of_group(line: &Line, value: fn(&TripStats) -> Cell) -> Cell {
    line.group.as_ref().map_or(Cell::Empty, |(_, stats)| value(stats))
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
                Column { key: "profit_factor", title: "Factor", rank: 3, value: |l| l.profit_factor.into() },
                Column { key: "gross", title: "Gross", rank: 0, value: |l| l.gross.map_or(Cell::Empty, Cell::Certain) },
                Column { key: "fees", title: "Fees", rank: 0, value: |l| l.fees.map_or(Cell::Empty, Cell::Certain) },
                Column {
                    key: "funding",
                    title: "Funding",
                    rank: 1,
                    value: |l| l.funding.map_or(Cell::Empty, Cell::Certain),
                },
                Column { key: "net", title: "Net", rank: 0, value: |l| l.net.map_or(Cell::Empty, Cell::Certain) },
                Column { key: "asset", title: "Asset", rank: 0, value: |l| text(&l.asset) },
                Column { key: "drawdown_max", title: "Drawdown", rank: 4, value: |l| l.drawdown.into() },
                Column { key: "certainty", title: "Amounts", rank: 5, value: |l| of_group(l, |s| text(s.certainty())) },
            ],
        };
    };
}
lines_listing!(BY_ENGINE, "Engine");
lines_listing!(BY_SYMBOL, "Symbol");
lines_listing!(BY_DAY, "Day");
lines_listing!(BY_SIDE, "Side");

const CASH: Listing<CashLine> = Listing {
    schema: "fillbook.report.cash/1",
    plural: "ledger entries",
    columns: &[
        Column { key: "asset", title: "Asset", rank: 0, value: |c| text(&c.asset) },
        Column { key: "income_type", title: "What", rank: 0, value: |c| text(&c.income_type) },
        Column { key: "amount", title: "Amount", rank: 0, value: |c| c.amount.into() },
        Column { key: "rows", title: "Rows", rank: 0, value: |c| c.row_count.into() },
    ],
};

/// Prints what was earned, paid and moved.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &ReportArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    super::warn_of_left_out(store.as_ref(), &context.settings.account, &mut context.output).await?;
    let Built { report, rest, left_out } = build(store.as_ref(), args, context).await?;
    print(&report, &rest, args.by, context)?;
    if let Some(error) = CommandError::left_out(left_out) {
        return Err(error);
    }
    if report.rows.is_empty() && report.cash.is_empty() {
        let asked = Asked { symbol: args.scope.symbol.as_ref(), ..Asked::default() };
        unseen::explain(store.as_ref(), &context.settings.account, asked, &mut context.output).await?;
    }
    Ok(ExitCode::Fine)
}

/// A report with what stands beside it.
pub(super) struct Built {
    pub(super) report: Report,
    pub(super) rest: Rest,
    /// Rows of the book that could not be read. The sums say that they lack something.
    pub(super) left_out: Vec<UnreadableRow>,
}

/// Builds the report from the book, page by page.
pub(super) async fn build(store: &dyn Store, args: &ReportArgs, context: &Context) -> Result<Built, CommandError> {
    let mut left_out = Vec::new();
    let scope = scope(&args.scope, context)?;
    let zone = context.output.zone.clone();
    let mut builder = ReportBuilder::new(args.by, Box::new(move |at| show_day(at, &zone)));
    let filter = TripFilter { scope: scope.clone(), engine: None, position_side: None };
    let mut request = PageRequest::first(PAGE).past_unreadable();
    loop {
        let page = store.trips(&filter, &request).await?;
        page.items.iter().try_for_each(|trip| builder.add_trip(trip))?;
        for row in page.unreadable {
            builder.leave_out_trip();
            left_out.push(row);
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    let mut cash_left_out = 0;
    let filter = IncomeFilter { scope, income_type: None };
    let mut request = PageRequest::first(PAGE).past_unreadable();
    loop {
        let page = store.income(&filter, &request).await?;
        page.items.iter().try_for_each(|income| builder.add_income(&income.fact))?;
        cash_left_out += page.unreadable.len();
        left_out.extend(page.unreadable);
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    let state = super::currency(store, context).await?.filter(|state| state.is_bound);
    let ledger = state.and_then(|state| state.streams.get(&LookStream::Ledger).copied());
    let rest = Rest { cash_left_out, ledger, ..rest(store, args, context, &mut left_out).await? };
    Ok(Built { report: builder.finish()?, rest, left_out })
}

/// What belongs to no round trip that has closed: the money of open ones, and funding of no position. Sums of the whole
/// history; a period says nothing about them.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// `None` where a row of them cannot be read.
    open_count: Option<usize>,
    open: TripStats,
    unallocated: Vec<AssetTotal>,
    has_unreadable_funding: bool,
    /// How many entries of the exchange's ledger cannot be read.
    cash_left_out: usize,
    /// When the exchange's ledger was last read; `None` for a book of files alone.
    ledger: Option<Freshness>,
}

/// What was asked for, unless a row of it cannot be read: that is noted.
fn readable<T>(found: Result<T, StoreError>, left_out: &mut Vec<UnreadableRow>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::CorruptRow { row }) => {
            left_out.push(row);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a report over the whole history leaves beside its round trips.
async fn rest(
    store: &dyn Store,
    args: &ReportArgs,
    context: &Context,
    left_out: &mut Vec<UnreadableRow>,
) -> Result<Rest, CommandError> {
    let account = &context.settings.account;
    let mut rest = Rest { open_count: Some(0), ..Rest::default() };
    if args.scope.since.is_some() || args.scope.until.is_some() {
        return Ok(rest);
    }
    let wanted = |symbol: &Symbol| args.scope.symbol.as_ref().is_none_or(|wanted| wanted == symbol);
    let open = readable(store.open_trips(account).await, left_out)?;
    rest.open_count = open.as_ref().map(|open| open.iter().filter(|trip| wanted(&trip.symbol)).count());
    for trip in open.iter().flatten().filter(|trip| wanted(&trip.symbol)) {
        rest.open.add(trip)?;
    }
    let books = readable(store.symbol_books(account).await, left_out)?;
    rest.has_unreadable_funding = books.is_none();
    for book in books.iter().flatten().filter(|book| wanted(&book.symbol)) {
        for total in &book.unallocated_funding {
            match rest.unallocated.iter_mut().find(|known| known.asset == total.asset) {
                Some(known) => known.total.merge(&total.total)?,
                None => rest.unallocated.push(total.clone()),
            }
        }
    }
    rest.unallocated.retain(|total| total.total.told() != Some(Decimal::ZERO));
    Ok(rest)
}

impl Rest {
    fn lines(&self) -> Vec<String> {
        let amounts = |totals: &[AssetTotal]| match Cell::Assets(totals.to_vec()).table(&Zone::utc()) {
            none if none.is_empty() => "0".to_owned(),
            some => some.replace('\n', " and "),
        };
        let mut lines = Vec::new();
        let open_count = self.open_count.unwrap_or(0);
        if open_count > 0 {
            lines.push(format!(
                "Not in it: {}, so far gross {}, fees {}, funding {}.",
                super::rebuild::count(open_count as u64, "open round trip"),
                amounts(&self.open.gross),
                amounts(&self.open.fees),
                amounts(&self.open.funding)
            ));
        }
        if !self.unallocated.is_empty() {
            lines.push(format!("Not in it: funding of no position on record, {}.", amounts(&self.unallocated)));
        }
        if self.open_count.is_none() {
            lines.push("Not in it: open round trips, of which a row cannot be read.".to_owned());
        }
        if self.has_unreadable_funding {
            lines.push("Not in it: funding of no position on record, of which a row cannot be read.".to_owned());
        }
        lines
    }
}

/// That the ledger on record is not the exchange's of now, in words.
fn stale_ledger(ledger: Freshness) -> String {
    let ago = ledger.age_ms.map(show_span);
    match (ledger.stale, ago) {
        (Some(Staleness::Overtaken), Some(ago)) => {
            format!("The ledger was last read {ago} ago, before the latest fills: `fillbook sync` reads on.")
        }
        (Some(Staleness::Age), Some(ago)) => format!("The ledger was last read {ago} ago: `fillbook sync` reads on."),
        _ => "Nothing tells when the ledger was last read: `fillbook sync` reads on.".to_owned(),
    }
}

/// Prints a report.
fn print(report: &Report, rest: &Rest, by: GroupBy, context: &mut Context) -> Result<(), CommandError> {
    let total = ReportRow { group: "all".to_owned(), stats: report.total.clone() };
    let output = &mut context.output;
    match output.format {
        Format::Table => {
            tell_groups(report, rest, by, output)?;
            output.line("")?;
            if report.cash.is_empty() {
                output.paragraph("Wallet: no ledger entries of the exchange are on record for this.")?;
            } else {
                output.line("Wallet, by the exchange's ledger:")?;
                output.list(&CASH, &report.cash)?;
                let sums: Vec<_> = report.cash_total.iter().map(|(asset, sum)| format!("{sum} {asset}")).collect();
                output.paragraph(&format!("Sum: {}", sums.join(", ")))?;
            }
            if let Some(stale) = rest.ledger.filter(|ledger| !ledger.is_fresh()) {
                output.paragraph(&stale_ledger(stale))?;
            }
            if rest.cash_left_out > 0 {
                let rows = super::rebuild::count(rest.cash_left_out as u64, "row");
                output.paragraph(&format!("Not in it: {rows} of the exchange's ledger that cannot be read."))?;
            }
        }
        Format::Json => {
            output.list(&GROUPS, &report.rows)?;
            let mut line = serde_json::to_value(json!({ "schema": "fillbook.report.total/1" })).unwrap_or_default();
            for column in GROUPS.columns.iter().filter(|column| column.key != "group") {
                line[column.key] = (column.value)(&total).json();
            }
            output.json(&line)?;
            let told = |totals: &[AssetTotal], is_told: bool| is_told.then(|| Cell::Assets(totals.to_vec()).json());
            let is_told = rest.open_count.is_some();
            output.json(&json!({
                "schema": "fillbook.report.rest/1",
                "open_trips": rest.open_count,
                "open_gross": told(&rest.open.gross, is_told),
                "open_fees": told(&rest.open.fees, is_told),
                "open_funding": told(&rest.open.funding, is_told),
                "unallocated_funding": told(&rest.unallocated, !rest.has_unreadable_funding),
                "ledger_seen_ts": rest.ledger.and_then(|ledger| ledger.seen_at).map(TimestampMs::as_ms),
                "ledger_stale": rest.ledger.and_then(|ledger| ledger.stale).map(Staleness::as_str),
                "left_out": { "trips": report.total.left_out_count, "cash": rest.cash_left_out },
            }))?;
            output.list(&CASH, &report.cash)?;
        }
        Format::Csv => csv::print(report, rest, output)?,
    }
    Ok(())
}

/// The groups with their total for a person, and what is in none of them.
pub(super) fn tell_groups(report: &Report, rest: &Rest, by: GroupBy, output: &mut Output) -> Result<(), CommandError> {
    let listing = match by {
        GroupBy::Engine => &BY_ENGINE,
        GroupBy::Symbol => &BY_SYMBOL,
        GroupBy::Day => &BY_DAY,
        GroupBy::Side => &BY_SIDE,
    };
    if report.rows.is_empty() {
        let none = if report.total.left_out_count > 0 { "No round trip that can be read" } else { "No round trip" };
        output.line(&format!("{none} closed in this period."))?;
    } else {
        let mut rows = report.rows.clone();
        if rows.len() > 1 {
            rows.push(ReportRow { group: "all".to_owned(), stats: report.total.clone() });
        }
        let lines: Vec<_> = rows.iter().flat_map(Line::of).collect();
        output.list(listing, &lines)?;
        if let Some(remark) = uncertainty(report) {
            output.paragraph(&remark)?;
        }
    }
    for line in rest.lines() {
        output.paragraph(&line)?;
    }
    Ok(())
}

/// What keeps the figures from being certain, in words.
fn uncertainty(report: &Report) -> Option<String> {
    let stats = &report.total;
    let estimated =
        [&stats.gross, &stats.fees, &stats.funding].into_iter().flatten().any(|total| total.total.has_estimates);
    let mut remarks = Vec::new();
    if estimated {
        remarks.push("~ contains estimates.".to_owned());
    }
    if stats.unknown_count > 0 {
        remarks.push(format!(
            "? contains unknown amounts: {} of {} round trips opened before the book begins, or miss fills.",
            stats.unknown_count, stats.trip_count
        ));
    }
    if stats.left_out_count > 0 {
        let trips = super::rebuild::count(stats.left_out_count, "round trip");
        remarks.push(format!("Every figure may lack some of {trips} that cannot be read."));
    }
    (!remarks.is_empty()).then(|| remarks.join(" "))
}
