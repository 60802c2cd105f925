//! The wallets' side: looks, the ledger's entries, and how far it was read.

use std::collections::BTreeMap;

use exchange_client::VenueFacts;
use ledger_core::footing::{FootingBuilder, LedgerClass, LedgerReach};
use ledger_core::{AccountId, Asset, BalanceSnapshot, IncomeType, LedgerPlace, LookStream, ReportBuilder, TimestampMs};
use ledger_store::{DiscrepancyFilter, IncomeFilter, PageRequest, Pages, Scope, Store};

use super::{PAGE_ROWS, Reading, ReportRequest};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::streams::{INCOME, reached};
use crate::verify::unread_stretches;

/// All looks at the wallets, of each asset oldest first. One contract has no wallet.
pub(super) async fn looks(store: &dyn Store, request: &ReportRequest) -> Result<Vec<BalanceSnapshot>, ReconcileError> {
    let mut looks = Vec::new();
    if request.symbol.is_some() {
        return Ok(looks);
    }
    let scope = Scope::account(request.account.clone());
    let mut pages =
        Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| store.balance_snapshots(&scope, page));
    while let Some(read) = pages.next().await.doing("reading the balances")? {
        looks.extend(read.items.into_iter().map(|look| look.fact));
    }
    let seen_again = seen_again(store, &request.account, &looks).await?;
    looks.extend(seen_again);
    Ok(looks)
}

/// The wallets that the last look found as they are on record: it wrote nothing, and stated them all the same.
async fn seen_again(
    store: &dyn Store,
    account: &AccountId,
    on_record: &[BalanceSnapshot],
) -> Result<Vec<BalanceSnapshot>, ReconcileError> {
    let latest: BTreeMap<&Asset, TimestampMs> = on_record.iter().map(|look| (&look.asset, look.at)).collect();
    let looks = store.looks(account).await.doing("reading the looks")?;
    let balances = looks.into_iter().filter(|look| look.stream == LookStream::Balances);
    let wallets = balances.filter_map(|look| look.success).flat_map(|success| success.seen.wallets);
    let again = wallets.filter(|(asset, seen)| latest.get(asset).is_some_and(|latest| *latest < seen.ts));
    let again = again.map(|(asset, seen)| BalanceSnapshot { asset, at: seen.ts, wallet: seen.wallet });
    Ok(again.collect())
}

/// How far the ledger was read, and which stretches of it were not.
pub(super) async fn reach(store: &dyn Store, account: &AccountId) -> Result<LedgerReach, ReconcileError> {
    let cursors = store.cursors(account).await.doing("reading the cursors")?;
    let reached = reached(&cursors, INCOME, None)?;
    let filter = DiscrepancyFilter {
        kind: Some(DiscrepancyKind::HistoryExpired.as_str().to_owned()),
        ..DiscrepancyFilter::standing(account.clone())
    };
    let mut unread = Vec::new();
    let mut pages = Pages::of(PageRequest::first(PAGE_ROWS), |page| store.discrepancies(&filter, page));
    while let Some(read) = pages.next().await.doing("reading the gaps")? {
        unread.extend(unread_stretches(&read.items));
    }
    let mut covered: Vec<_> = store.coverage(account).await.doing("reading the coverage")?;
    covered.retain(|span| span.stream == INCOME && span.symbol.is_none());
    covered.sort_by_key(|span| span.since);
    let mut end = TimestampMs::MIN;
    for span in &covered {
        if span.since > end {
            unread.push((end, span.since));
        }
        end = end.max(span.until);
    }
    Ok(LedgerReach { reached, unread })
}

/// Whether the book has a ledger at all.
pub(super) async fn is_on_record(store: &dyn Store, account: &AccountId) -> Result<bool, ReconcileError> {
    let filter = IncomeFilter { scope: Scope::account(account.clone()), income_type: None };
    let read = store.income(&filter, PageRequest::first(1).past_unreadable()).await;
    let read = read.doing("reading the ledger")?;
    Ok(!read.items.is_empty() || !read.unreadable.is_empty())
}

/// What an entry of this type is, by the venue's table.
fn class_of(venue: &VenueFacts, income_type: &IncomeType) -> LedgerClass {
    match venue.ledger_rules.place(income_type) {
        LedgerPlace::Fill if income_type.is(IncomeType::COMMISSION) => LedgerClass::Fee,
        LedgerPlace::Fill => LedgerClass::Realized,
        LedgerPlace::Funding | LedgerPlace::Settlement => LedgerClass::Position,
        LedgerPlace::Clearance => LedgerClass::Clearance,
        LedgerPlace::Contract => LedgerClass::Contract,
        LedgerPlace::Kickback => LedgerClass::Kickback,
        LedgerPlace::Account => LedgerClass::Account,
        LedgerPlace::Conversion => LedgerClass::Conversion,
        LedgerPlace::Transfer => LedgerClass::Transfer,
        LedgerPlace::Unknown => LedgerClass::Unknown,
    }
}

impl Reading<'_> {
    /// Adds the ledger's entries to the footing and, in a first pass, to the report.
    pub(super) async fn read_ledger(
        &mut self,
        footing: &mut FootingBuilder,
        mut builder: Option<&mut ReportBuilder>,
    ) -> Result<(), ReconcileError> {
        let period = self.request.period();
        let wanted = footing.entries_wanted();
        let scope = Scope { since: wanted.since, until: wanted.until, ..self.request.scope() };
        let filter = IncomeFilter { scope, income_type: None };
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| self.store.income(&filter, page));
        while let Some(read) = pages.next().await.doing("reading the ledger")? {
            for row in read.items.iter().map(|row| &row.fact) {
                footing.add_entry(row, class_of(self.venue, &row.key.income_type))?;
                if let Some(builder) = builder.as_deref_mut().filter(|_| period.contains(row.time.at)) {
                    builder.add_income(row)?;
                }
            }
            for row in read.unreadable {
                footing.leave_out_row();
                if builder.is_some() {
                    self.cash_left_out += 1;
                    self.left_out.push(row);
                }
            }
        }
        Ok(())
    }
}
