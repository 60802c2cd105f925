//! Checks of what is derived: that it is up to date, that it follows from the facts, and that the money is conserved.

use ledger_core::{AccountId, ContractKind, Decimal, Symbol};
use ledger_store::{BookPosition, FillFilter, OrderFilter, PageRequest, Pages, Scope, Store, TripFilter, rebuild};

use super::super::{BOOK_PAGE_ROWS, Check, CheckName, Comparison, UNCOMPUTED, Uncomputed};
use crate::error::{Doing, ReconcileError};
use crate::wording::count;

/// Everything derived is up to date, and every symbol could be folded.
pub(super) async fn derived(store: &dyn Store, account: &AccountId) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::DerivedRows;
    let pending = store.pending_refolds().await.doing("reading what is out of date")?;
    let pending = pending.iter().filter(|pending| pending.account == *account).count();
    if pending > 0 && store.is_refold_under_way().await.doing("looking who is at work")? {
        let why = format!("{} out of date, until the command that is recording is done", count(pending, "symbol"));
        return Ok(Check::not_checkable(NAME, why));
    }
    if pending > 0 {
        let why = format!("{} out of date; `fillbook rebuild` recomputes", count(pending, "symbol"));
        return Ok(Check::fail(NAME, why));
    }
    let mut comparison = Comparison::of("symbol", &[]);
    for entry in store.quarantined(account).await.doing("reading the quarantined symbols")? {
        comparison.compare(false, || format!("{}: {}", entry.symbol, entry.reason));
    }
    if comparison.count > 0 {
        return Ok(comparison.check(NAME, "").0);
    }
    let unplaced = FillFilter { unplaced_only: true, ..Scope::account(account.clone()).into() };
    let unplaced = store.fill_count(&unplaced).await.doing("counting fills")?;
    if unplaced > 0 {
        let unplaced = usize::try_from(unplaced).unwrap_or(usize::MAX);
        return Ok(Check::fail(NAME, format!("{} in no position: nothing says which one", count(unplaced, "fill"))));
    }
    let fills = store.fill_count(&Scope::account(account.clone()).into()).await.doing("counting fills")?;
    Ok(match usize::try_from(fills).unwrap_or(usize::MAX) {
        0 => Check::not_checkable(NAME, "no fill is on record"),
        fills => Check::pass(NAME, fills, format!("{}, each in a position", count(fills, "fill"))),
    })
}

/// Everything derived is what a copy of the book gives when it is dropped there and recomputed from the facts.
pub(super) async fn recomputation(
    store: &dyn Store,
    scratch: &dyn Store,
    account: &AccountId,
    uncomputed: &[Uncomputed],
) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::Recomputation;
    if store
        .pending_refolds()
        .await
        .doing("reading what is out of date")?
        .iter()
        .any(|pending| pending.account == *account)
    {
        return Ok(Check::not_checkable(NAME, "what is derived is out of date"));
    }
    rebuild(scratch, account, &mut |_, _| {}).await.doing("recomputing a copy")?;
    let mut faults: Vec<&str> = Vec::new();
    let positions = store.positions(account).await.doing("reading the positions")?;
    let open_trips = store.open_trips(account).await.doing("reading the open round trips")?;
    let mut order_count = 0;
    let mut trip_count = open_trips.len();
    if positions != scratch.positions(account).await.doing("reading the positions")? {
        faults.push("positions differ");
    }
    if open_trips != scratch.open_trips(account).await.doing("reading the open round trips")? {
        faults.push("open round trips differ");
    }
    if store.symbol_books(account).await.doing("reading the symbols")?
        != scratch.symbol_books(account).await.doing("reading the symbols")?
    {
        faults.push("sums of symbols differ");
    }
    let trips = TripFilter { scope: Scope::account(account.clone()), engine: None, position_side: None };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.trips(&trips, page));
    let mut copies = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| scratch.trips(&trips, page));
    while let Some(page) = pages.next().await.doing("reading the round trips")? {
        trip_count += page.items.len();
        if copies.next().await.doing("reading the round trips")?.as_ref() != Some(&page) {
            faults.push("round trips differ");
            break;
        }
    }
    let orders = OrderFilter::from(Scope::account(account.clone()));
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.orders(&orders, page));
    let mut copies = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| scratch.orders(&orders, page));
    while let Some(page) = pages.next().await.doing("reading the orders")? {
        order_count += page.items.iter().filter(|order| order.filled_qty.is_some()).count();
        if copies.next().await.doing("reading the orders")?.as_ref() != Some(&page) {
            faults.push("what fills add up to by order differs");
            break;
        }
    }
    if !faults.is_empty() {
        return Ok(Check::fail(NAME, format!("{}; `fillbook rebuild` mends it", faults.join("; "))));
    }
    let mut comparison = Comparison::of("contract", &[]);
    comparison.compared = trip_count + positions.len() + order_count;
    let shown = if trip_count + positions.len() == 0 {
        format!("only the sums of {}, which are what the facts give", count(order_count, "order"))
    } else {
        let (trips, positions) = (count(trip_count, "round trip"), count(positions.len(), "position"));
        format!("{trips} and {positions} are what the facts give")
    };
    comparison.shown = Some(shown);
    comparison.leave_out(uncomputed.len(), UNCOMPUTED);
    Ok(comparison.check(NAME, "nothing is derived: the facts give no position and no round trip").0)
}

/// Realized - open cost = sum of cash flows, per symbol, the cash flows added up here from the fills alone.
pub(super) async fn conservation(
    store: &dyn Store,
    account: &AccountId,
    uncomputed: &[Uncomputed],
) -> Result<Check, ReconcileError> {
    const NAME: CheckName = CheckName::Conservation;
    let positions = store.positions(account).await.doing("reading the positions")?;
    let pending = store.pending_refolds().await.doing("reading what is out of date")?;
    let mut comparison = Comparison::of("symbol", &[]);
    let mut fills = 0;
    comparison.leave_out(uncomputed.len(), UNCOMPUTED);
    for book in store.symbol_books(account).await.doing("reading the symbols")? {
        // Its fills are ahead of what is derived from them, which is no imbalance.
        if pending.iter().any(|pending| pending.account == *account && pending.symbol == book.symbol) {
            comparison.leave_out(1, "what is derived is out of date");
            continue;
        }
        if !book.is_conserved {
            comparison.compare(false, || book.symbol.to_string());
            continue;
        }
        let held: Vec<_> = positions.iter().filter(|position| position.symbol == book.symbol).collect();
        let (cash, number) = match cash_flow(store, account, &book.symbol, &held).await? {
            Ok((_, 0)) if book.unplaced_count > 0 => {
                comparison.leave_out(1, "the position that its fills changed is not known");
                continue;
            }
            Ok((_, 0)) => continue,
            Ok(flow) => flow,
            Err(reason) => {
                comparison.leave_out(1, reason);
                continue;
            }
        };
        let mut derived = Decimal::ZERO;
        for position in held {
            let position = &position.position;
            derived = derived.checked_add(position.realized.amount()?)?;
            derived = derived.checked_sub(position.open_cost.unwrap_or_default())?;
        }
        comparison.compare(derived == cash, || {
            format!("{}: realized - open cost is {derived}, the cash flows sum to {cash}", book.symbol)
        });
        fills += number;
    }
    comparison.shown =
        Some(format!("{} in {}, to the last digit", count(fills, "fill"), count(comparison.compared, "symbol")));
    Ok(comparison.check(NAME, "no fill is on record").0)
}

/// The sum of the cash flows of a symbol's fills, with their number; or why its fills are not all there is.
async fn cash_flow(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    held: &[&BookPosition],
) -> Result<Result<(Decimal, usize), &'static str>, ReconcileError> {
    let scope = Scope::symbol(account.clone(), symbol.clone());
    let is_known = |position: &&BookPosition| {
        let position = &position.position;
        position.realized.unknown_count == 0 && (position.open_cost.is_some() || position.qty.is_zero())
    };
    let residuals = OrderFilter { residual_only: true, ..scope.clone().into() };
    let anchors = store.anchors(&scope, PageRequest::first(BOOK_PAGE_ROWS)).await.doing("reading the anchors")?;
    let Some(instrument) = store.instrument(account, symbol).await.doing("reading a contract")? else {
        return Ok(Err("the contract's terms are not on record"));
    };
    if !held.iter().all(is_known) {
        return Ok(Err("a profit or an entry is unknown"));
    }
    if !store.orders(&residuals, PageRequest::first(1)).await.doing("reading the orders")?.items.is_empty() {
        return Ok(Err("fills of an order are missing"));
    }
    if anchors.next.is_some() || anchors.items.iter().any(|anchor| !anchor.fact.qty.is_zero()) {
        return Ok(Err("a position is stated instead of opened by fills"));
    }
    if instrument.fact.kind == ContractKind::Inverse {
        return Ok(Err("the values of an inverse contract are rounded"));
    }
    let (mut cash, mut number) = (Decimal::ZERO, 0);
    let mut unheld = held.iter().try_fold(Decimal::ZERO, |sum, position| sum.checked_add(position.position.qty))?;
    let is_estimated = held.iter().any(|position| position.position.realized.has_estimates);
    let first = PageRequest::first(BOOK_PAGE_ROWS);
    let mut pages = Pages::of(first, |page| store.fills_in_fold_order(account, symbol, page));
    while let Some(page) = pages.next().await.doing("reading the fills")? {
        for fill in page.items.iter().filter(|fill| fill.fact.position_side.is_some()) {
            let size = fill.fact.signed_qty().checked_mul(instrument.fact.multiplier.get())?;
            cash = cash.checked_sub(size.checked_mul(fill.fact.price.get())?)?;
            unheld = unheld.checked_sub(fill.fact.signed_qty())?;
            number += 1;
        }
    }
    if is_estimated && !unheld.is_zero() {
        return Ok(Err("a settlement without a fill ended a position"));
    }
    Ok(Ok((cash, number)))
}
