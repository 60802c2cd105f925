//! Checks of the whole book, against itself and against what is on record of the exchange. Nobody is asked.
//!
//! Those that a look at the exchange makes, too, are the same checks, made of all of history.

mod derived;
mod stated;

use exchange_client::VenueFacts;
use ledger_core::{AccountId, PositionSnapshot};
use ledger_store::{
    BookPosition, Discrepancy, DiscrepancyFilter, PageRequest, Pages, ReconcileStatus, Scope, Store, StoreError,
};

use super::{
    BOOK_PAGE_ROWS, Check, CheckName, Comparison, Extent, UNCOMPUTED, Uncomputed, Verification, check_confirmed,
    check_demands, check_executed, check_footing, check_funding, check_income, check_realized,
};
use crate::error::{Doing, ReconcileError};
use crate::unreadable::ReadableBook;

/// A book to check as a whole.
pub struct WholeBook<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The rules of its venue.
    pub venue: &'static VenueFacts,
    /// The book.
    pub store: &'a dyn Store,
    /// A copy of it that may be changed: what is derived is proven by deriving it again.
    pub scratch: &'a dyn Store,
}

impl std::fmt::Debug for WholeBook<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeBook").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Makes every check, in their order. `progress` is told the next one. Writes nothing but to the copy.
///
/// # Errors
/// [`ReconcileError`] when the book cannot be read.
pub async fn verify_book(
    whole: &WholeBook<'_>,
    progress: &mut dyn FnMut(CheckName),
) -> Result<Vec<Check>, ReconcileError> {
    let WholeBook { account, store, venue, .. } = *whole;
    let on_record = on_record(store, account).await?;
    let uncomputed = uncomputed(store, account).await?;
    let extent = Extent::Book { on_record: &on_record, uncomputed: &uncomputed, venue };
    let mut verification = Verification::default();
    for name in CheckName::ALL {
        progress(*name);
        match check(*name, whole, extent, &mut verification).await {
            Ok(Some(check)) => verification.checks.push(check),
            Ok(None) => {}
            // The other checks go on. Where it is a fact, the check of the file has failed of it already.
            Err(ReconcileError::Store { source: StoreError::CorruptRow { row }, .. }) => {
                let is_told = verification.checks.iter().any(|made| made.name == CheckName::Schema && made.failed());
                verification.checks.push(if is_told {
                    Check::not_checkable(*name, format!("a row cannot be read: {row}"))
                } else {
                    let advice = "`fillbook rebuild` recomputes what is derived";
                    Check::fail(*name, format!("a row cannot be read: {row}; {advice}"))
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(verification.checks)
}

/// Makes one check; `None` if it is among those of `verification` already.
async fn check(
    name: CheckName,
    whole: &WholeBook<'_>,
    extent: Extent<'_>,
    verification: &mut Verification,
) -> Result<Option<Check>, ReconcileError> {
    let WholeBook { account, store, .. } = *whole;
    let readable = &ReadableBook::whole(store);
    let Extent::Book { on_record, uncomputed, .. } = extent else { return Ok(None) };
    Ok(Some(match name {
        CheckName::Schema => stated::schema(store).await?,
        CheckName::DerivedRows => derived::derived(store, account).await?,
        CheckName::Recomputation => derived::recomputation(store, whole.scratch, account, uncomputed).await?,
        CheckName::Conservation => derived::conservation(store, account, uncomputed).await?,
        CheckName::SourcesAgree => stated::sources_agree(store, account, on_record).await?,
        CheckName::PositionMode => stated::position_mode(store, account, on_record).await?,
        CheckName::ConfirmedRows => {
            check_confirmed(on_record, store, account, verification).await?;
            return Ok(None);
        }
        CheckName::ForeignFacts => stated::foreign(store, account).await?,
        CheckName::Quantity => quantity(store, account, on_record, uncomputed).await?,
        CheckName::AverageEntry => average_entry(whole, on_record).await?,
        CheckName::ExecutedQuantity => {
            check_executed(extent, readable, account, verification).await?;
            return Ok(None);
        }
        CheckName::RealizedPnl => {
            check_realized(extent, store, account, verification).await?;
            return Ok(None);
        }
        CheckName::IncomeHasFills => {
            check_income(extent, readable, account, verification).await?;
            return Ok(None);
        }
        CheckName::FillsHaveIncome => {
            check_demands(extent, readable, account, verification).await?;
            return Ok(None);
        }
        CheckName::Funding => {
            check_funding(extent, readable, account, verification).await?;
            return Ok(None);
        }
        CheckName::Footing => {
            check_footing(extent, readable, account, verification).await?;
            return Ok(None);
        }
    }))
}

async fn uncomputed(store: &dyn Store, account: &AccountId) -> Result<Vec<Uncomputed>, ReconcileError> {
    let mut uncomputed = Vec::new();
    for entry in store.quarantined(account).await.doing("reading the quarantined symbols")? {
        let scope = Scope::symbol(account.clone(), entry.symbol.clone());
        let fills = store.fill_count(&scope.into()).await.doing("counting fills")?;
        let fill_count = usize::try_from(fills).unwrap_or(usize::MAX);
        uncomputed.push(Uncomputed { symbol: entry.symbol, fill_count });
    }
    Ok(uncomputed)
}

async fn on_record(store: &dyn Store, account: &AccountId) -> Result<Vec<Discrepancy>, ReconcileError> {
    let standing = DiscrepancyFilter::standing(account.clone());
    Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| store.discrepancies(&standing, page))
        .all()
        .await
        .doing("reading the discrepancies")
}

/// Why a position is not compared that the exchange has not spoken of.
const UNSTATED: &str = "the exchange's word is not on record";
/// Why a position is not compared that has changed since the exchange spoke of it.
const LATER: &str = "fills came after the exchange's last word";

/// Whether fills came in since the exchange spoke of a position. That both quantities are equal again by now was stated by
/// nobody, and the average entry may be that of another position.
fn is_overtaken(held: &BookPosition, stated: &PositionSnapshot) -> bool {
    held.position.updated_at.is_some_and(|at| at > stated.at)
}

/// Every position against the exchange's latest word on it. Where fills came in since, nothing is compared.
async fn quantity(
    store: &dyn Store,
    account: &AccountId,
    on_record: &[Discrepancy],
    uncomputed: &[Uncomputed],
) -> Result<Check, ReconcileError> {
    let mut comparison = Comparison::of("position", on_record);
    for stated in store.latest_positions(account).await.doing("reading the exchange's positions")? {
        if uncomputed.iter().any(|contract| contract.symbol == stated.fact.symbol) {
            comparison.leave_out(1, UNCOMPUTED);
        }
    }
    for held in store.positions(account).await.doing("reading the positions")? {
        match (&held.exchange, held.reconcile_status) {
            (None, _) | (_, None) => comparison.leave_out(1, UNSTATED),
            (_, Some(ReconcileStatus::Pending)) => comparison.leave_out(1, LATER),
            (Some(stated), Some(ReconcileStatus::Matched)) if is_overtaken(&held, stated) => {
                comparison.leave_out(1, LATER);
            }
            (Some(stated), Some(status)) => comparison.compare(status == ReconcileStatus::Matched, || {
                let (symbol, side) = (&held.symbol, held.position.position_side);
                format!("{symbol} {side}: the exchange held {}, the book {}", stated.qty, held.position.qty)
            }),
        }
    }
    Ok(comparison.check(CheckName::Quantity, "no position is on record").0)
}

/// The average entry of every position that is held as the exchange last said.
async fn average_entry(whole: &WholeBook<'_>, on_record: &[Discrepancy]) -> Result<Check, ReconcileError> {
    let mut comparison = Comparison::of("position", on_record);
    for held in whole.store.positions(whole.account).await.doing("reading the positions")? {
        if held.position.qty.is_zero() {
            continue;
        }
        let stated = match (&held.exchange, held.reconcile_status) {
            (None, _) | (_, None) => {
                comparison.leave_out(1, UNSTATED);
                continue;
            }
            (_, Some(ReconcileStatus::Pending)) => {
                comparison.leave_out(1, LATER);
                continue;
            }
            (Some(stated), Some(ReconcileStatus::Matched)) if is_overtaken(&held, stated) => {
                comparison.leave_out(1, LATER);
                continue;
            }
            (Some(stated), Some(ReconcileStatus::Matched)) => stated,
            (_, Some(_)) => {
                comparison.leave_out(1, "the quantities differ");
                continue;
            }
        };
        let key = (&held.symbol, held.position.position_side);
        super::positions::compare_entry(&mut comparison, key, stated, Some(&held), whole.venue, None);
    }
    Ok(comparison.check(CheckName::AverageEntry, "no position is held").0)
}
