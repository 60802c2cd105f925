//! Checks of what is derived: that it is up to date, that it follows from the facts, and that the money is conserved.

use ledger_core::{AccountId, ContractKind, Decimal, Symbol};
use ledger_store::{BookPosition, FillFilter, OrderFilter, PageRequest, Scope, Store, TripFilter, rebuild};

use super::super::PAGE;
use super::super::rebuild::count;
use super::checks::{Check, Faults};
use crate::error::{CommandError, ExitCode};

/// Everything derived is up to date, and every symbol could be folded.
pub(super) async fn derived(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    let pending = store.pending_refolds().await?.iter().filter(|pending| pending.account == *account).count();
    if pending > 0 {
        let why = format!("{} out of date; `fillbook rebuild` recomputes", count(pending as u64, "symbol"));
        return Ok(Check::fail("derived rows", ExitCode::Discrepancies, why));
    }
    let mut faults = Faults::default();
    for entry in store.quarantined(account).await? {
        faults.add(|| format!("{}: {}", entry.symbol, entry.reason));
    }
    let unplaced = FillFilter { unplaced_only: true, ..Scope::account(account.clone()).into() };
    let unplaced = store.fill_count(&unplaced).await?;
    if faults.number > 0 {
        return Ok(Check::fail("derived rows", ExitCode::Discrepancies, faults.story("symbol")));
    }
    if unplaced > 0 {
        let why = format!("{} in no position: nothing says which one", count(unplaced, "fill"));
        return Ok(Check::fail("derived rows", ExitCode::Discrepancies, why));
    }
    Ok(Check::pass("derived rows", "every fill is in a position"))
}

/// Everything derived is what a copy of the book gives when it is dropped there and recomputed from the facts.
pub(super) async fn recomputation(
    store: &dyn Store,
    scratch: &dyn Store,
    account: &AccountId,
) -> Result<Check, CommandError> {
    const NAME: &str = "recomputation";
    if store.pending_refolds().await?.iter().any(|pending| pending.account == *account) {
        return Ok(Check::not_checkable(NAME, "what is derived is out of date"));
    }
    rebuild(scratch, account, &mut |_, _| {}).await?;
    let mut faults = Faults::default();
    if store.positions(account).await? != scratch.positions(account).await? {
        faults.add(|| "positions differ".to_owned());
    }
    if store.open_trips(account).await? != scratch.open_trips(account).await? {
        faults.add(|| "open round trips differ".to_owned());
    }
    if store.symbol_books(account).await? != scratch.symbol_books(account).await? {
        faults.add(|| "sums of symbols differ".to_owned());
    }
    let trips = TripFilter { scope: Scope::account(account.clone()), engine: None, position_side: None };
    let mut request = PageRequest::first(PAGE);
    let mut compared = 0;
    loop {
        let (page, copy) = (store.trips(&trips, &request).await?, scratch.trips(&trips, &request).await?);
        compared += page.items.len() as u64;
        if page != copy {
            faults.add(|| "round trips differ".to_owned());
            break;
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    let orders = OrderFilter::from(Scope::account(account.clone()));
    let mut request = PageRequest::first(PAGE);
    loop {
        let (page, copy) = (store.orders(&orders, &request).await?, scratch.orders(&orders, &request).await?);
        if page != copy {
            faults.add(|| "what fills add up to by order differs".to_owned());
            break;
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    Ok(if faults.number > 0 {
        Check::fail(NAME, ExitCode::Corrupt, format!("{}; `fillbook rebuild` mends it", faults.examples.join("; ")))
    } else {
        Check::pass(NAME, format!("{} and all positions are what the facts give", count(compared, "closed trip")))
    })
}

/// Realized - open cost = sum of cash flows, per symbol, the cash flows added up here from the fills alone.
pub(super) async fn conservation(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "conservation";
    let positions = store.positions(account).await?;
    let (mut faults, mut fills, mut symbols, mut untold) = (Faults::default(), 0, 0, 0_u64);
    for book in store.symbol_books(account).await? {
        if !book.is_conserved {
            faults.add(|| book.symbol.to_string());
            continue;
        }
        let held: Vec<_> = positions.iter().filter(|position| position.symbol == book.symbol).collect();
        let Some((cash, count)) = cash_flow(store, account, &book.symbol, &held).await? else {
            untold += 1;
            continue;
        };
        let mut derived = Decimal::ZERO;
        for position in held {
            let position = &position.position;
            derived = derived.checked_add(position.realized.amount()?)?;
            derived = derived.checked_sub(position.open_cost.unwrap_or_default())?;
        }
        if derived != cash {
            faults.add(|| format!("{}: realized - open cost is {derived}, the cash flows sum to {cash}", book.symbol));
        }
        fills += count;
        symbols += 1;
    }
    let rest = match untold {
        0 => String::new(),
        untold => format!(" ({} left out: not all is told, or inverse)", count(untold, "symbol")),
    };
    Ok(if faults.number > 0 {
        Check::fail(NAME, ExitCode::Corrupt, faults.story("symbol"))
    } else if symbols == 0 && untold > 0 {
        Check::not_checkable(NAME, "every symbol has something untold")
    } else if fills == 0 {
        Check::not_checkable(NAME, "no fills")
    } else {
        let detail = format!("{} in {}, to the last digit{rest}", count(fills, "fill"), count(symbols, "symbol"));
        Check::pass(NAME, detail)
    })
}

/// The sum of the cash flows of a symbol's fills, with their number; `None` where fills are not all there is: estimated
/// residuals, stated positions, unknown profits, or inverse contracts, whose values are rounded.
async fn cash_flow(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    held: &[&BookPosition],
) -> Result<Option<(Decimal, u64)>, CommandError> {
    let scope = Scope::symbol(account.clone(), symbol.clone());
    let told = |position: &&&BookPosition| {
        let position = &position.position;
        position.realized.unknown_count == 0 && (position.open_cost.is_some() || position.qty.is_zero())
    };
    let residuals = OrderFilter { residual_only: true, ..scope.clone().into() };
    let anchors = store.anchors(&scope, &PageRequest::first(PAGE)).await?;
    let Some(instrument) = store.instrument(account, symbol).await? else { return Ok(None) };
    if held.iter().filter(told).count() < held.len()
        || !store.orders(&residuals, &PageRequest::first(1)).await?.items.is_empty()
        || anchors.next.is_some()
        || anchors.items.iter().any(|anchor| !anchor.fact.qty.is_zero())
        || instrument.fact.kind == ContractKind::Inverse
    {
        return Ok(None);
    }
    let (mut cash, mut number) = (Decimal::ZERO, 0);
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.fills_in_fold_order(account, symbol, &request).await?;
        for fill in page.items.iter().filter(|fill| fill.fact.position_side.is_some()) {
            let size = fill.fact.signed_qty().checked_mul(instrument.fact.multiplier.get())?;
            cash = cash.checked_sub(size.checked_mul(fill.fact.price.get())?)?;
            number += 1;
        }
        let Some(next) = page.next else { return Ok(Some((cash, number))) };
        request = request.after(next);
    }
}
