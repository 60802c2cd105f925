//! `fillbook orders`

use ledger_core::{Freshness, FreshnessLimits, LookStream, Order, Sighting, Staleness};
use ledger_store::{BookOrder, OrderFilter, Page};
use reconciler::LookState;

use super::positions::age;

use super::unseen::Asked;
use super::{conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::OrderArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing, NOT_IN_TABLES, ONLY_IN_TABLES};

/// An order, and when the exchange last said that it is working.
struct Shown {
    held: BookOrder,
    /// `None` for an order that has ended, and where nobody looked.
    seen: Option<Freshness>,
}

impl std::ops::Deref for Shown {
    type Target = BookOrder;

    fn deref(&self) -> &BookOrder {
        &self.held
    }
}

const LISTING: Listing<Shown> = Listing {
    schema: "fillbook.list.order/1",
    plural: "orders",
    columns: &[
        Column { key: "ts", title: "Created", rank: 0, value: |o| o.order.fact.created.map(|time| time.at).into() },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |o| text(&o.order.fact.key.symbol) },
        Column { key: "order_class", title: "Class", rank: 9, value: |o| text(o.order.fact.key.class) },
        Column { key: "order_id", title: "Order", rank: 0, value: |o| text(&o.order.fact.key.order_id) },
        Column { key: "side", title: "Side", rank: 0, value: |o| text(o.order.fact.side) },
        Column {
            key: "position_side",
            title: "Position",
            rank: 6,
            value: |o| maybe(o.order.fact.position_side.as_ref()),
        },
        Column { key: "order_type", title: "Type", rank: 4, value: |o| maybe(o.order.fact.order_type.as_ref()) },
        Column { key: "status", title: "Status", rank: 0, value: |o| text(&o.order.fact.status) },
        Column {
            key: "seen_ts",
            title: "",
            rank: NOT_IN_TABLES,
            value: |o| o.seen.and_then(|seen| seen.seen_at).into(),
        },
        Column {
            key: "seen_stale",
            title: "",
            rank: NOT_IN_TABLES,
            value: |o| o.seen.and_then(|seen| seen.stale).map(Staleness::as_str).into(),
        },
        Column { key: ONLY_IN_TABLES, title: "Seen", rank: 1, value: |o| o.seen.map(age).into() },
        Column {
            key: "qty",
            title: "Quantity",
            rank: 1,
            value: |o| o.order.fact.terms.qty.map(ledger_core::Quantity::get).into(),
        },
        Column {
            key: "price",
            title: "Price",
            rank: 5,
            value: |o| o.order.fact.terms.price.map(ledger_core::Price::get).into(),
        },
        Column {
            key: "trigger_price",
            title: "Trigger",
            rank: 5,
            value: |o| o.order.fact.terms.trigger_price.map(ledger_core::Price::get).into(),
        },
        Column {
            key: "executed_qty",
            title: "Executed",
            rank: 1,
            value: |o| o.order.fact.executed.as_ref().map(|e| e.qty).into(),
        },
        Column {
            key: "avg_price",
            title: "Average",
            rank: 3,
            value: |o| o.order.fact.executed.as_ref().and_then(|e| e.avg_price).map(ledger_core::Price::get).into(),
        },
        Column { key: "stated_fees", title: "Fees stated", rank: 8, value: |o| stated_fees(&o.order.fact) },
        Column { key: "filled_qty", title: "Filled", rank: 2, value: |o| o.filled_qty.into() },
        Column { key: "missing_qty", title: "Missing", rank: 1, value: |o| o.residual_qty.into() },
        Column { key: "reduce_only", title: "Reduce", rank: 9, value: |o| o.order.fact.reduce_only.into() },
        Column { key: "close_position", title: "Close", rank: 9, value: |o| o.order.fact.close_position.into() },
        Column { key: "time_in_force", title: "TIF", rank: 9, value: |o| maybe(o.order.fact.time_in_force.as_ref()) },
        Column {
            key: "updated_ts",
            title: "Updated",
            rank: 8,
            value: |o| o.order.fact.updated.map(|time| time.at).into(),
        },
        Column { key: "origin", title: "Sent by", rank: 3, value: |o| maybe(o.order.fact.origin.as_ref()) },
        Column { key: "condition", title: "Waits for", rank: 8, value: |o| maybe(o.order.fact.condition.as_ref()) },
        Column { key: "engine", title: "Engine", rank: 2, value: |o| maybe(o.order.fact.engine.as_ref()) },
        Column { key: "signal_id", title: "Signal", rank: 8, value: |o| maybe(o.order.fact.signal_id.as_ref()) },
        Column {
            key: "client_order_id",
            title: "Client id",
            rank: 7,
            value: |o| maybe(o.order.fact.client_order_id.as_ref()),
        },
        Column { key: "source", title: "Source", rank: 8, value: |o| source(&o.order) },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: |o| conflicts(&o.order) },
    ],
};

/// Lists orders by creation time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &OrderArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let filter = OrderFilter {
        status: args.status.clone(),
        open_only: args.open,
        engine: args.engine.clone(),
        residual_only: args.missing_fills,
        ..OrderFilter::from(scope(&args.list.scope, context)?)
    };
    let asked = Asked { symbol: args.list.scope.symbol.as_ref(), engine: args.engine.as_ref(), ..Asked::default() };
    let limits = context.settings.freshness;
    let state = super::currency(store.as_ref(), context).await?;
    let shown = |held: BookOrder| Shown { seen: state.as_ref().and_then(|state| seen(state, limits, &held)), held };
    print_list(context, store.as_ref(), asked, &LISTING, args.list.limit, async |page| {
        let Page { items, next, unreadable } = store.orders(&filter, page).await?;
        Ok(Page { items: items.into_iter().map(&shown).collect(), next, unreadable })
    })
    .await
}

/// What an answer states of the order's fees. What its fills say of them counts.
fn stated_fees(order: &Order) -> Cell {
    let Some(fees) = &order.fees else { return Cell::Empty };
    Cell::PerAsset(fees.paid().iter().map(|fee| (fee.asset.clone(), fee.amount)).collect())
}

/// When the exchange last said that an order is working: by the last look, or by a later word on the order itself.
fn seen(state: &LookState, limits: FreshnessLimits, held: &BookOrder) -> Option<Freshness> {
    let order = &held.order.fact;
    if order.status.is_terminal() {
        return None;
    }
    let looked = state.seen_at(LookStream::Orders, &order.key.symbol)?;
    let seen_at = order.updated.or(order.created).map_or(looked, |word| word.at.max(looked));
    let overtaken_at = state.streams.get(&LookStream::Orders).and_then(|stream| stream.overtaken_at);
    Some(limits.judge(LookStream::Orders, Sighting { seen_at: Some(seen_at), overtaken_at }, state.exposure, state.now))
}
