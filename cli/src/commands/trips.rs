//! `fillbook trips`

use ledger_core::{ExitReason, RoundTrip};
use ledger_store::TripFilter;

use super::unseen::{self, Asked};
use super::{maybe, print_list, scope, text};
use crate::Context;
use crate::args::TripArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

pub(super) const LISTING: Listing<RoundTrip> = Listing {
    schema: "fillbook.list.trip/1",
    plural: "round trips",
    columns: &[
        Column { key: "closed_ts", title: "Closed", rank: 0, value: |t| t.closed_at.into() },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |t| text(&t.symbol) },
        Column { key: "position_side", title: "Position", rank: 9, value: |t| text(t.position_side) },
        Column { key: "number", title: "No.", rank: 9, value: |t| t.number.into() },
        Column { key: "key", title: "Key", rank: 6, value: |t| text(t.key()) },
        Column { key: "direction", title: "Side", rank: 0, value: |t| text(t.direction) },
        Column { key: "engine", title: "Engine", rank: 1, value: |t| maybe(t.engine.as_ref()) },
        Column { key: "other_engines", title: "Also", rank: 8, value: other_engines },
        Column { key: "opened_ts", title: "Opened", rank: 5, value: |t| t.opened_at.into() },
        Column { key: "qty_max", title: "Max qty", rank: 3, value: |t| t.qty_max.into() },
        Column { key: "entry_qty", title: "In", rank: 9, value: |t| t.entry_qty.into() },
        Column { key: "entry_price_avg", title: "Entry", rank: 2, value: |t| t.entry_price_avg.into() },
        Column { key: "exit_qty", title: "Out", rank: 9, value: |t| t.exit_qty.into() },
        Column { key: "exit_price_avg", title: "Exit", rank: 2, value: |t| t.exit_price_avg.into() },
        Column { key: "settle_asset", title: "Asset", rank: 9, value: |t| text(&t.settle_asset) },
        Column { key: "gross", title: "Gross", rank: 4, value: |t| Cell::Certain(t.gross) },
        Column { key: "fees", title: "Fees", rank: 4, value: |t| Cell::Assets(t.fees.clone()) },
        Column { key: "funding", title: "Funding", rank: 4, value: |t| Cell::Assets(t.funding.clone()) },
        Column { key: "clearance", title: "Clearance", rank: 4, value: |t| Cell::Assets(t.clearance.clone()) },
        Column { key: "net", title: "Net", rank: 0, value: net },
        Column {
            key: "exchange_realized_pnl",
            title: "Exchange says",
            rank: 7,
            value: |t| t.exchange_realized_pnl.into(),
        },
        Column { key: "exit_reason", title: "", rank: NOT_IN_TABLES, value: |t| text(t.exit_reason) },
        Column { key: ONLY_IN_TABLES, title: "Why closed", rank: 1, value: why_closed },
        Column { key: "was_liquidated", title: "Liquidated", rank: NOT_IN_TABLES, value: |t| t.was_liquidated.into() },
        Column { key: "fill_count", title: "Fills", rank: 6, value: |t| t.fill_count.into() },
        Column { key: "certainty", title: "Certainty", rank: 1, value: |t| text(t.certainty) },
    ],
};

/// Why it closed, and whether the exchange closed a part of it before.
fn why_closed(trip: &RoundTrip) -> Cell {
    match (trip.exit_reason, trip.was_liquidated) {
        (_, true) if trip.closed_at.is_none() => "partly liquidated".into(),
        (ExitReason::Liquidation, _) | (_, false) => text(trip.exit_reason),
        (reason, true) => format!("{reason}, partly liquidated").into(),
    }
}

fn net(trip: &RoundTrip) -> Cell {
    trip.net().map_or(Cell::Empty, Cell::Assets)
}

fn other_engines(trip: &RoundTrip) -> Cell {
    let names: Vec<_> = trip.other_engines.iter().map(ledger_core::EngineLabel::as_str).collect();
    if names.is_empty() { Cell::Empty } else { Cell::Text(names.join(" ")) }
}

/// Lists round trips by closing time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &TripArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let account = context.settings.account.clone();
    super::warn_of_lacking(store.as_ref(), &account, &mut context.output).await?;
    let scope = scope(&args.list.scope, context)?;
    let asked = Asked { symbol: args.list.scope.symbol.as_ref(), engine: args.engine.as_ref(), ..Asked::default() };
    if args.open {
        let mut trips = store.open_trips(&account).await?;
        trips.retain(|trip| scope.symbol.as_ref().is_none_or(|symbol| trip.symbol == *symbol));
        trips.retain(|trip| args.engine.is_none() || trip.engine == args.engine);
        context.output.list(&LISTING, &trips)?;
        if trips.is_empty() {
            context.output.remark("No open round trips.");
            unseen::explain(store.as_ref(), &account, asked, &mut context.output).await?;
        }
        return Ok(ExitCode::Fine);
    }
    let filter = TripFilter { scope, engine: args.engine.clone(), position_side: None };
    print_list(context, store.as_ref(), asked, &LISTING, args.list.limit, |page| store.trips(&filter, page)).await
}
