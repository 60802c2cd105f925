//! What was executed of each order, against its fills.

use std::collections::BTreeSet;

use ledger_core::{AccountId, OrderKey};
use ledger_store::{BookOrder, OrderFilter, PageRequest, Scope};

use super::{BOOK_PAGE_ROWS, CheckName, Tally, Verification};
use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::observation::Observation;
use crate::plan::{describe_order, residual_text};

pub(super) async fn check_executed(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    // The orders that this cycle knows of, as the book has them now.
    let stated = observation.stated_orders().map(|row| &row.entity.key);
    let keys: BTreeSet<&OrderKey> = observation.book.orders.keys().chain(stated).collect();
    let mut tally = Tally::default();
    for key in keys {
        let known = book.orders.order(account, key).await.doing("reading an order")?;
        let is_told = |order: &BookOrder| order.order.fact.executed.is_some() && order.filled_qty.is_some();
        if observation.is_in_scope(&key.symbol)
            && known.is_some_and(|order| is_told(&order) && order.residual_qty.is_none())
        {
            tally.compared += 1;
        }
    }
    let filter = OrderFilter { residual_only: true, ..OrderFilter::from(Scope::account(account.clone())) };
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.orders.orders(&filter, &request).await.doing("reading the orders")?;
        for order in &page.items {
            let key = &order.order.fact.key;
            if observation.is_in_scope(&key.symbol) {
                verification.unfilled_orders.insert(key.clone());
                tally.compare(false, || residual_text(order).unwrap_or_else(|| describe_order(&order.order.fact)));
            }
        }
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => break,
        }
    }
    tally.finish(CheckName::ExecutedQuantity, "no order says how much of it was executed", verification);
    Ok(())
}
