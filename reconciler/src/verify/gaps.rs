//! Whether time that could no longer be read from the exchange is in the book by now, from files or from what a bot recorded.
//!
//! Nothing says how complete a file is, but the exchange does, indirectly: it stated every wallet before and after. Where
//! each wallet changed by what the rows of that time add up to, the ledger is whole; and where every trade that a whole
//! ledger names has its fill, the fills are.
//!
//! Invariants, each with a test of the same name:
//! 1. `lost_history_that_is_imported_closes_by_itself`, and not before all of it is there.

use std::collections::BTreeMap;

use ledger_core::footing::{MOMENT_MS, foots_between};
use ledger_core::{AccountId, Asset, BalanceSnapshot, FillKey, IncomeType, Side, TimestampMs};
use ledger_store::{DiscrepancyStatus, IncomeFilter, PageRequest, Pages, Scope};

use super::footing::ledger_between;
use super::{BOOK_PAGE_ROWS, Verification};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::memory::{GapMemory, recall_all};
use crate::observe::Observation;
use crate::streams::INCOME;
use crate::unreadable::ReadableBook;

/// Finds the gaps on record that the book proves to be filled.
pub(super) async fn check_gaps(
    observation: &Observation,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let kind = DiscrepancyKind::HistoryExpired.as_str();
    let mut proven: BTreeMap<(TimestampMs, TimestampMs), (bool, bool)> = BTreeMap::new();
    let gaps = recall_all::<GapMemory>(&observation.book.discrepancies);
    for (known, GapMemory { stream, since, until }) in gaps.filter(|(known, _)| known.entry.key.kind == kind) {
        // One that somebody accepted needs no proof.
        if known.entry.status == DiscrepancyStatus::Acknowledged {
            continue;
        }
        let (is_whole, has_fills) = if let Some(known) = proven.get(&(since, until)) {
            *known
        } else {
            let ledger = ledger_is_whole(observation, book, account, since, until).await?;
            let fills = ledger && fills_are_whole(book, account, since, until).await?;
            proven.insert((since, until), (ledger, fills));
            (ledger, fills)
        };
        let is_filled = if stream == INCOME { is_whole } else { has_fills };
        if is_filled {
            verification.filled_gaps.push(known.entry.key.clone());
        }
    }
    Ok(())
}

/// Whether every wallet that was stated before and after changed by what its rows add up to.
async fn ledger_is_whole(
    observation: &Observation,
    book: &ReadableBook<'_>,
    account: &AccountId,
    since: TimestampMs,
    until: TimestampMs,
) -> Result<bool, ReconcileError> {
    let around = wallets_around(book, account, since, until).await?;
    for (asset, (before, after)) in &around {
        // A wallet that has not moved is not recorded again: then it is as the exchange states it now. One that nobody
        // stated before or after proves nothing, and may hide what is missing.
        let mut now = observation.balances.iter().flat_map(|answer| &answer.rows).map(|row| &row.entity);
        let after = after.as_ref().or_else(|| now.find(|balance| balance.asset == *asset));
        let (Some(before), Some(after)) = (before, after) else { return Ok(false) };
        let rows = ledger_between(book, account, asset, before.at, after.at).await?;
        let Ok(moved) = after.wallet.checked_sub(before.wallet) else { return Ok(false) };
        if !foots_between(&rows, before.at, after.at, moved).unwrap_or(false) {
            return Ok(false);
        }
    }
    Ok(!around.is_empty())
}

type Around = (Option<BalanceSnapshot>, Option<BalanceSnapshot>);

/// The last statement of each wallet before a stretch of time, and the first after it.
async fn wallets_around(
    book: &ReadableBook<'_>,
    account: &AccountId,
    since: TimestampMs,
    until: TimestampMs,
) -> Result<BTreeMap<Asset, Around>, ReconcileError> {
    let mut around: BTreeMap<Asset, Around> = BTreeMap::new();
    let scope = Scope::account(account.clone());
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.balance_snapshots(&scope, page));
    while let Some(page) = pages.next().await.doing("reading the balances")? {
        for balance in page.items.into_iter().map(|balance| balance.fact) {
            let (before, after) = around.entry(balance.asset.clone()).or_default();
            if balance.at <= since.saturating_add_ms(MOMENT_MS) {
                *before = Some(balance);
            } else if balance.at >= until && after.is_none() {
                *after = Some(balance);
            }
        }
    }
    Ok(around)
}

/// Whether every trade that the ledger of that time names has its fill.
async fn fills_are_whole(
    book: &ReadableBook<'_>,
    account: &AccountId,
    since: TimestampMs,
    until: TimestampMs,
) -> Result<bool, ReconcileError> {
    let scope = Scope { since: Some(since), until: Some(until), ..Scope::account(account.clone()) };
    let filter = IncomeFilter { scope, income_type: None };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.income(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the income")? {
        for row in page.items.into_iter().map(|row| row.fact) {
            let is_trade = |name: &str| row.key.income_type.is(name);
            if !is_trade(IncomeType::COMMISSION) && !is_trade(IncomeType::REALIZED_PNL) {
                continue;
            }
            // A row that names no trade cannot be looked for.
            let (Some(symbol), Some(fill_id)) = (&row.key.symbol, &row.fill_id) else { return Ok(false) };
            let mut is_there = false;
            for side in [Side::Buy, Side::Sell] {
                let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
                is_there |= book.fill(account, &key).await.doing("reading a fill")?.is_some();
            }
            if !is_there {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
