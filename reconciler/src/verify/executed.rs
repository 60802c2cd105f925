//! What was executed of each order, against its fills.

use std::collections::BTreeSet;

use ledger_core::{AccountId, OrderClass, OrderKey};
use ledger_store::{BookOrder, OrderFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, CheckName, Comparison, Extent, Verification};
use crate::error::{Doing, ReconcileError};
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
    let residual_only = matches!(extent, Extent::Look(_));
    let filter = OrderFilter { residual_only, ..OrderFilter::from(Scope::account(account.clone())) };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.orders(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the orders")? {
        for order in &page.items {
            let key = &order.order.fact.key;
            if extent.covers(&key.symbol) {
                if let Some(residual) = order.residual_qty {
                    verification.unfilled_orders.insert(key.clone(), residual);
                }
                compare(order, &mut comparison);
            }
        }
    }
    comparison.finish(CheckName::ExecutedQuantity, "no order is on record", verification);
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
