//! What was executed of each order, against its fills.

use std::collections::BTreeSet;

use exchange_client::binance_usdm::VENUE;
use ledger_core::{AccountId, LookStream, OrderClass, OrderIntent, OrderKey, Source};
use ledger_store::{BookOrder, IntentFilter, Look, OrderFilter, PageRequest, Pages, Scope, Store};

use super::{BOOK_PAGE_ROWS, CheckName, Comparison, Extent, Verification};
use crate::error::{Doing, ReconcileError};
use crate::record::settles_intent;
use crate::unreadable::ReadableBook;
use crate::wording::{describe_order, residual_text};

pub(super) async fn check_executed(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut comparison = Comparison::of("order", extent.on_record());
    if let Extent::Look(observation) = extent {
        // The orders that this cycle knows of, as the book has them now.
        let stated = observation.stated_orders().map(|row| &row.entity.key);
        let keys: BTreeSet<&OrderKey> = observation.book.orders.keys().chain(stated).collect();
        for key in keys.into_iter().filter(|key| extent.covers(&key.symbol)) {
            let known = book.order(account, key).await.doing("reading an order")?;
            // Those that lack fills come below, however old they are.
            if let Some(order) = known.filter(|order| order.residual_qty.is_none()) {
                compare(&order, &mut comparison);
            }
        }
    }
    // A look has just asked for the trades.
    let looks = match extent {
        Extent::Look(_) => None,
        Extent::Book { .. } => Some(book.looks(account).await.doing("reading the looks")?),
    };
    let at_orders = looks.iter().flatten().find(|look| look.stream == LookStream::Orders);
    let residual_only = looks.is_none();
    let mut unasked = Vec::new();
    let filter = OrderFilter { residual_only, ..OrderFilter::from(Scope::account(account.clone())) };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.orders(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the orders")? {
        for order in &page.items {
            let key = &order.order.fact.key;
            if extent.covers(&key.symbol) {
                if let Some(residual) = order.residual_qty {
                    verification.unfilled_orders.insert(key.clone(), residual);
                }
                let is_unasked = !residual_only && awaits_trades(order, at_orders);
                if is_unasked {
                    unasked.push(describe_order(&order.order.fact));
                } else {
                    compare(order, &mut comparison);
                }
            }
        }
    }
    if !residual_only {
        leave_out_unheard(&**book, account, unasked, &mut comparison).await?;
    }
    comparison.finish(CheckName::ExecutedQuantity, "no order is on record", verification);
    Ok(())
}

/// Whether nobody has asked for an order's trades since it executed: it is the bot that says what executed, no fill of it is on
/// record, and no look at the exchange's orders came later (`look` is the last one). Such an order lacks nothing yet: the next
/// look brings its trades.
pub fn awaits_trades(order: &BookOrder, look: Option<&Look>) -> bool {
    let sourced = &order.order;
    let is_bots_word =
        matches!(sourced.provenance.of("executed_qty"), Source::Bot | Source::Ccxt | Source::CcxtUnified);
    if !is_bots_word || order.residual_qty.is_none() || order.filled_qty.is_some_and(|filled| !filled.is_zero()) {
        return false;
    }
    let seen = look.and_then(|look| look.success.as_ref());
    let Some(seen) = seen.filter(|success| !success.seen.except.contains(&sourced.fact.key.symbol)) else {
        return true;
    };
    // What happened just before the answer may not have been in it.
    let settled = seen.seen_at.saturating_add_ms(-VENUE.settle_lag_ms);
    sourced.fact.updated.or(sourced.fact.created).is_some_and(|time| time.at > settled)
}

/// What brings the trades of orders: the exchange lists them, and of a venue that fillbook cannot ask the bot has to.
pub fn brings_trades(venue: &str) -> &'static str {
    if venue == VENUE.name {
        "`fillbook sync` brings them"
    } else {
        "give `fillbook record` lines `trade`, or `fillbook import` a file of them"
    }
}

/// Leaves out orders of which nobody has asked for the trades, and those that may be at the exchange, and of which the book knows
/// no more than that they were to be sent: nothing can be compared of either. A look asks for both, and tells each by itself.
async fn leave_out_unheard(
    store: &dyn Store,
    account: &AccountId,
    unasked: Vec<String>,
    comparison: &mut Comparison<'_>,
) -> Result<(), ReconcileError> {
    let Some(known) = store.account(account).await.doing("reading the account")? else { return Ok(()) };
    let reason = format!("the bot told no trades of it; {}", brings_trades(&known.venue));
    for order in unasked {
        comparison.leave_out_as(1, &reason, || Some(order));
    }
    let reason = format!("nobody heard what became of what was sent; {}", settles_intent(&known.venue));
    let filter = IntentFilter { unresolved_only: true, ..Scope::account(account.clone()).into() };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.intents(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the intents")? {
        for intent in page.items {
            let OrderIntent { side, symbol, client_order_id, .. } = intent.fact;
            let example = || Some(format!("{side} {symbol}, client order id {client_order_id}"));
            comparison.leave_out_as(1, &reason, example);
        }
    }
    Ok(())
}

/// Compares an order that says how much was executed of it. A conditional order has no fills: those of the order that it
/// triggered are that one's.
fn compare(order: &BookOrder, comparison: &mut Comparison<'_>) {
    let fact = &order.order.fact;
    if order.residual_qty.is_some() {
        comparison.compare(false, || residual_text(order).unwrap_or_else(|| describe_order(fact)));
        return;
    }
    if fact.key.class != OrderClass::Regular {
        return;
    }
    let Some(executed) = &fact.executed else {
        return comparison.leave_out(1, "the executed quantity is not on record");
    };
    let Some(filled) = order.filled_qty else {
        return comparison.leave_out(1, "the fills cannot be added up");
    };
    comparison.compare(filled == executed.qty, || {
        format!("{}: {} was executed, its fills add up to {filled}", describe_order(fact), executed.qty)
    });
}
