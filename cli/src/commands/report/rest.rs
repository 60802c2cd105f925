//! What belongs to no round trip that has closed.

use exchange_client::files::Zone;
use ledger_core::{AssetTotal, Decimal, Freshness, LookStream, OtherAssets, Staleness, Symbol, TripStats};
use ledger_store::{Store, StoreError, UnreadableRow};

use crate::Context;
use crate::args::ReportArgs;
use crate::commands::rebuild::count;
use crate::error::CommandError;
use crate::output::{Cell, show_span};

/// What belongs to no round trip that has closed: the money of open ones, and funding of no position. Sums of the whole
/// history; a period says nothing about them.
#[derive(Debug, Default)]
pub(in crate::commands) struct Rest {
    /// `None` where a row of them cannot be read.
    pub(super) open_count: Option<usize>,
    pub(super) open: TripStats,
    /// Funding of no position on record.
    pub(super) unallocated: Vec<AssetTotal>,
    /// What liquidations cost that no forced fill on record explains.
    pub(super) unallocated_clearance: Vec<AssetTotal>,
    /// What settlements paid that no single position can be told of.
    pub(super) unallocated_realized: Vec<AssetTotal>,
    pub(super) has_unreadable_funding: bool,
    /// How many entries of the exchange's ledger cannot be read.
    pub(super) cash_left_out: usize,
    /// When the exchange's ledger was last read; `None` for a book of files alone.
    pub(super) ledger: Option<Freshness>,
}

/// What was asked for, unless a row of it cannot be read: that is noted.
fn readable<T>(found: Result<T, StoreError>, left_out: &mut Vec<UnreadableRow>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::CorruptRow { row }) => {
            if !left_out.contains(&row) {
                left_out.push(row);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a report over the whole history leaves beside its round trips.
pub(super) async fn read(
    store: &dyn Store,
    args: &ReportArgs,
    context: &Context,
    left_out: &mut Vec<UnreadableRow>,
) -> Result<Rest, CommandError> {
    let account = &context.settings.account;
    let state = super::super::currency(store, context).await?.filter(|state| state.is_bound);
    let ledger = state.and_then(|state| state.streams.get(&LookStream::Ledger).copied());
    let mut rest = Rest { open_count: Some(0), ledger, ..Rest::default() };
    if args.scope.since.is_some() || args.scope.until.is_some() {
        return Ok(rest);
    }
    let wanted = |symbol: &Symbol| args.scope.symbol.as_ref().is_none_or(|wanted| wanted == symbol);
    let open = readable(store.open_trips(account).await, left_out)?;
    rest.open_count = open.as_ref().map(|open| open.iter().filter(|trip| wanted(&trip.symbol)).count());
    for trip in open.iter().flatten().filter(|trip| wanted(&trip.symbol)) {
        rest.open.add(trip, &OtherAssets::unpriced(trip)?)?;
    }
    let books = readable(store.symbol_books(account).await, left_out)?;
    rest.has_unreadable_funding = books.is_none();
    for book in books.iter().flatten().filter(|book| wanted(&book.symbol)) {
        for (to, from) in [
            (&mut rest.unallocated, &book.unallocated_funding),
            (&mut rest.unallocated_clearance, &book.unallocated_clearance),
            (&mut rest.unallocated_realized, &book.unallocated_realized),
        ] {
            for total in from {
                match to.iter_mut().find(|known| known.asset == total.asset) {
                    Some(known) => known.total.merge(&total.total)?,
                    None => to.push(total.clone()),
                }
            }
        }
    }
    for totals in [&mut rest.unallocated, &mut rest.unallocated_clearance, &mut rest.unallocated_realized] {
        totals.retain(|total| total.total.told() != Some(Decimal::ZERO));
    }
    Ok(rest)
}

impl Rest {
    /// It in words. A report by time counts the money of open round trips when it moved.
    pub(super) fn lines(&self, is_by_time: bool) -> Vec<String> {
        let amounts = |totals: &[AssetTotal]| match Cell::Assets(totals.to_vec()).table(&Zone::utc()) {
            none if none.is_empty() => "0".to_owned(),
            some => some.replace('\n', " and "),
        };
        let mut lines = Vec::new();
        let open_count = self.open_count.unwrap_or(0);
        if open_count > 0 {
            lines.push(format!(
                "{}: {}, so far gross {}, fees {}, funding {}{}.",
                if is_by_time { "In it" } else { "Not in it" },
                count(open_count as u64, "open round trip"),
                amounts(&self.open.gross),
                amounts(&self.open.fees),
                amounts(&self.open.funding),
                if self.open.clearance.is_empty() {
                    String::new()
                } else {
                    format!(", clearance {}", amounts(&self.open.clearance))
                }
            ));
        }
        for (totals, what) in [
            (&self.unallocated, "funding of no position on record"),
            (&self.unallocated_clearance, "what liquidations cost without a forced fill in the minute before"),
            (&self.unallocated_realized, "what settlements paid for no single position"),
        ] {
            if !totals.is_empty() {
                lines.push(format!("Not in it: {what}, {}.", amounts(totals)));
            }
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
pub(super) fn stale_ledger(ledger: Freshness) -> String {
    let ago = ledger.age_ms.map(show_span);
    match (ledger.stale, ago) {
        (Some(Staleness::Overtaken), Some(ago)) => {
            format!("The ledger was last read {ago} ago, before the latest fills: `fillbook sync` reads on.")
        }
        (Some(Staleness::Age), Some(ago)) => format!("The ledger was last read {ago} ago: `fillbook sync` reads on."),
        _ => "Nothing tells when the ledger was last read: `fillbook sync` reads on.".to_owned(),
    }
}
