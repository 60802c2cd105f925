//! The book against the simulator's own books, which share no code with fillbook's.

use std::collections::BTreeMap;

use exchange_client::simulator::AccountSnapshot;
use ledger_core::{AccountId, Decimal, IncomeType, MathError, PositionSide, Side};
use ledger_store::{FillFilter, IncomeFilter, PageRequest, Pages, Scope};

use crate::commands::PAGE;
use crate::error::CommandError;
use crate::wiring::{DemoAccount, DemoWorld};

/// What differs, in words; empty when the books are equal.
pub(super) async fn compare(world: &DemoWorld, account: &DemoAccount) -> Result<Vec<String>, CommandError> {
    let books = world.simulator.books();
    let DemoAccount { id: account, alias, .. } = account;
    let Some(truth) = books.account(alias) else { return Ok(vec!["the exchange has no account".to_owned()]) };
    let mut differences = fills(world, account, truth).await?;
    differences.extend(positions(world, account, truth).await?);
    differences.extend(income(world, account, truth).await?);
    Ok(differences)
}

/// Every fill, in full.
async fn fills(world: &DemoWorld, account: &AccountId, truth: &AccountSnapshot) -> Result<Vec<String>, CommandError> {
    let mut book = BTreeMap::new();
    let filter = FillFilter::from(Scope::account(account.clone()));
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| world.book.fills(&filter, page));
    while let Some(page) = pages.next().await? {
        for fill in page.items {
            let fill = fill.fact;
            let (fee, fee_asset) = fill.fee.map(|fee| (fee.amount, fee.asset.to_string())).unwrap_or_default();
            let key = (fill.key.symbol.to_string(), fill.key.fill_id.to_string());
            let order_id = fill.order_id.map(|id| id.to_string()).unwrap_or_default();
            let said = (
                order_id,
                fill.key.side,
                fill.price.get(),
                fill.qty.get(),
                fee,
                fee_asset,
                fill.exchange_realized_pnl,
                fill.time.at.as_ms(),
            );
            book.insert(key, said);
        }
    }
    let mut differences = Vec::new();
    for trade in &truth.trades {
        let side = if trade.buy { Side::Buy } else { Side::Sell };
        let said = (
            trade.order_id.to_string(),
            side,
            trade.price,
            trade.qty,
            trade.fee,
            trade.fee_asset.clone(),
            Some(trade.realized),
            trade.time_ms,
        );
        match book.remove(&(trade.symbol.clone(), trade.id.to_string())) {
            None => differences.push(format!("{} fill {} is missing", trade.symbol, trade.id)),
            Some(recorded) if recorded != said => {
                differences.push(format!("{} fill {} says {recorded:?}, not {said:?}", trade.symbol, trade.id));
            }
            Some(_) => {}
        }
    }
    differences.extend(book.keys().map(|(symbol, id)| format!("{symbol} fill {id} never happened")));
    Ok(differences)
}

/// Quantities and average entries of positions, and what was realized in all.
async fn positions(
    world: &DemoWorld,
    account: &AccountId,
    truth: &AccountSnapshot,
) -> Result<Vec<String>, CommandError> {
    let mut differences = Vec::new();
    let mut realized: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut open: BTreeMap<(String, PositionSide), (Decimal, Decimal)> = BTreeMap::new();
    for position in world.book.positions(account).await? {
        let sum = realized.entry(position.settle_asset.to_string()).or_default();
        *sum = sum.checked_add(position.position.realized.amount()?)?;
        if !position.position.qty.is_zero() {
            let entry = position.position.entry_price_avg.unwrap_or_default().round(8);
            open.insert((position.symbol.to_string(), position.position.position_side), (position.position.qty, entry));
        }
    }
    let expected: BTreeMap<_, _> = truth
        .positions
        .iter()
        .map(|position| ((position.symbol.clone(), position.position_side), (position.qty, position.entry_price)))
        .collect();
    if open != expected {
        differences.push(format!("open positions are {open:?}, not {expected:?}"));
    }
    // The exchange rounds what each fill realized to 8 decimals; fillbook does not.
    let tolerance = Decimal::new(i128::from(u32::try_from(truth.trades.len()).unwrap_or(u32::MAX)), 8)?;
    for (asset, truth) in truth.income_total(IncomeType::REALIZED_PNL)? {
        let book = realized.get(&asset).copied().unwrap_or_default();
        if book.checked_sub(truth)?.abs() > tolerance {
            differences.push(format!("realized {book} {asset}, not {truth}"));
        }
    }
    Ok(differences)
}

/// Every kind of ledger entry, summed per asset.
async fn income(world: &DemoWorld, account: &AccountId, truth: &AccountSnapshot) -> Result<Vec<String>, CommandError> {
    let mut book: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    let filter = IncomeFilter { scope: Scope::account(account.clone()), income_type: None };
    let mut pages = Pages::of(PageRequest::first(PAGE), |page| world.book.income(&filter, page));
    while let Some(page) = pages.next().await? {
        for row in page.items {
            add(&mut book, row.fact.key.income_type.as_str(), row.fact.key.asset.as_str(), row.fact.amount)?;
        }
    }
    let mut expected = BTreeMap::new();
    for row in &truth.income {
        add(&mut expected, &row.income_type, &row.asset, row.amount)?;
    }
    Ok(if book == expected { Vec::new() } else { vec![format!("ledger entries sum to {book:?}, not {expected:?}")] })
}

fn add(
    sums: &mut BTreeMap<(String, String), Decimal>,
    kind: &str,
    asset: &str,
    amount: Decimal,
) -> Result<(), MathError> {
    let sum = sums.entry((kind.to_owned(), asset.to_owned())).or_default();
    *sum = sum.checked_add(amount)?;
    Ok(())
}
