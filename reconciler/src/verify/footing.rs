//! Wallets: between two looks a wallet changes by what its ledger rows add up to, as far as the ledger was read.

use std::collections::BTreeMap;

use exchange_client::{VenueFacts, WalletEffect};
use ledger_core::footing::{MOMENT_MS, foots_between};
use ledger_core::{AccountId, Asset, BalanceSnapshot, Decimal, Income, MathError, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyStatus, IncomeFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, CheckName, Comparison, Extent, FootedSpan, Verification};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::memory::{GapMemory, WalletMemory, recall_all};
use crate::streams::{INCOME, reached};
use crate::unreadable::ReadableBook;
use crate::wording::instant;

/// How many of the latest changes of each wallet are read at a look. All but the first are compared.
const SPANS_MAX: usize = 4;

pub(super) async fn check_footing(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let mut unread = unread_stretches(extent.on_record());
    let (wallets, settled) = match extent {
        Extent::Look(observation) => {
            let Asked::Answered(walk) = &observation.income else {
                verification.not_checkable(CheckName::Footing, "the exchange did not answer with its ledger");
                return Ok(());
            };
            unread.extend(walk.continuity.expired().map(|gap| (gap.since(), gap.until())));
            // The ledger's last moments may still be missing.
            let settled = walk.asked_at.saturating_add_ms(-observation.venue.settle_lag_ms);
            (latest_wallets(book, account).await?, Some(settled))
        }
        Extent::Book { .. } => {
            let cursors = book.cursors(account).await.doing("reading the cursors")?;
            (all_wallets(book, account).await?, reached(&cursors, INCOME, None)?)
        }
    };
    let none = if wallets.is_empty() { "no wallet is on record" } else { "no wallet has changed between two looks" };
    let mut footing = Footing {
        venue: extent.venue(),
        comparison: Comparison::of("wallet change", extent.on_record()),
        unread,
        settled,
    };
    for (asset, known) in wallets {
        // Without a single row of that time the ledger was not recorded: a book that was imported has that.
        let spans = known.len().saturating_sub(1);
        if spans > 0 && matches!(extent, Extent::Book { .. }) && !has_rows(book, account, &asset, &known).await? {
            let (first, last) = (known.first(), known.last());
            let example = || match (first, last) {
                (Some(first), Some(last)) => format!("{asset} from {} to {}", instant(first.at), instant(last.at)),
                _ => asset.to_string(),
            };
            let reason = "the ledger has no entry of the asset from that time";
            footing.comparison.leave_out_as(spans, reason, || Some(example()));
            continue;
        }
        let mut looks = known.iter();
        let Some(first) = looks.next() else { continue };
        let is_cut = matches!(extent, Extent::Look(_)) && known.len() > SPANS_MAX;
        let mut before = first;
        let mut looks = looks.peekable();
        while let Some(after) = looks.next() {
            let rows = ledger_between(book, account, &asset, before.at, after.at).await?;
            let span = FootedSpan { asset: asset.clone(), since: before.at, until: after.at };
            if let Some(next) = looks.peek()
                && footing.is_outvoted(book, account, (before, after, next), &rows).await?
            {
                let reason = "the looks before and after contradict what the exchange said of the wallet";
                footing.leave_out(reason, || format!("{asset} at {}", instant(after.at)));
                // What the mistake left unexplained on either side is explained by it.
                let other = FootedSpan { asset: asset.clone(), since: after.at, until: next.at };
                verification.footed.extend([span, other]);
                continue;
            }
            // Beyond the first of them nothing shows whether it is a mistake; when it was the second, that was judged.
            if is_cut && std::ptr::eq(before, first) {
                before = after;
                continue;
            }
            // One wallet that cannot be added up keeps no other from being checked.
            let foots = after.wallet.checked_sub(before.wallet).and_then(|moved| footing.compare(&span, moved, &rows));
            let foots = foots.unwrap_or_else(|error| {
                footing.leave_out("the amounts cannot be added up exactly", || format!("{}: {error}", told(&span)));
                false
            });
            if foots {
                verification.footed.push(span);
            }
            before = after;
        }
    }
    for UnfootedSpan { span, moved } in unfooted_on_record(extent) {
        if !verification.footed.contains(&span) {
            let rows = ledger_between(book, account, &span.asset, span.since, span.until).await?;
            if foots_between(&rows, span.since, span.until, moved).unwrap_or(false) {
                verification.footed.push(span);
            }
        }
    }
    footing.comparison.finish(CheckName::Footing, none, verification);
    Ok(())
}

fn told(span: &FootedSpan) -> String {
    format!("{} between {} and {}", span.asset, instant(span.since), instant(span.until))
}

/// What is known of the ledger, and what came of comparing.
struct Footing<'a> {
    venue: &'static VenueFacts,
    comparison: Comparison<'a>,
    /// The stretches of the ledger that were never read.
    unread: Vec<(TimestampMs, TimestampMs)>,
    /// Rows of later times may still be missing; `None` when the ledger was not read from an exchange.
    settled: Option<TimestampMs>,
}

impl Footing<'_> {
    /// Whether a wallet was stated in a way that nothing agrees with: neither the look before it nor the one after it, by the
    /// ledger between them, while these agree with each other. It is the rule of the report's footing
    /// (`a_look_that_all_others_contradict_is_outvoted`), for one such statement at a time. `rows` are those before it.
    async fn is_outvoted(
        &self,
        book: &ReadableBook<'_>,
        account: &AccountId,
        (before, stated, after): (&BalanceSnapshot, &BalanceSnapshot, &BalanceSnapshot),
        rows: &[Income],
    ) -> Result<bool, ReconcileError> {
        if self.agree(before, stated, rows) {
            return Ok(false);
        }
        let rows = ledger_between(book, account, &stated.asset, before.at, after.at).await?;
        let is_later = |row: &&Income| row.time.at >= stated.at;
        let later: Vec<_> = rows.iter().filter(is_later).cloned().collect();
        Ok(!self.agree(stated, after, &later) && self.agree(before, after, &rows))
    }

    /// Whether the ledger explains how a wallet moved from one statement to another.
    fn agree(&self, one: &BalanceSnapshot, other: &BalanceSnapshot, rows: &[Income]) -> bool {
        let is_documented = |row: &Income| self.venue.wallet_effect(&row.key.income_type) != WalletEffect::Undocumented;
        let moved = other.wallet.checked_sub(one.wallet);
        let foots = moved.and_then(|moved| foots_between(rows, one.at, other.at, moved));
        rows.iter().all(is_documented) && foots.unwrap_or(false)
    }

    /// A wallet's change cannot be compared.
    fn leave_out(&mut self, reason: &str, example: impl FnOnce() -> String) {
        self.comparison.leave_out_as(1, reason, || Some(example()));
    }

    /// Compares one span, and answers whether it foots.
    fn compare(&mut self, span: &FootedSpan, moved: Decimal, rows: &[Income]) -> Result<bool, MathError> {
        let FootedSpan { asset, since, until } = span;
        if let Some((from, to)) = self.unread.iter().find(|(from, to)| *until > *from && *since < *to) {
            let gap = format!("from {} to {}", instant(*from), instant(*to));
            self.comparison.leave_out_as(1, "a stretch of the ledger was not read in time", || {
                Some(format!("{}: {gap}", told(span)))
            });
            return Ok(false);
        }
        let undocumented =
            rows.iter().find(|row| self.venue.wallet_effect(&row.key.income_type) == WalletEffect::Undocumented);
        if let Some(row) = undocumented {
            let reason = "what a type of entries does to the wallet is not documented";
            self.leave_out(reason, || format!("{}: {}", told(span), row.key.income_type));
            return Ok(false);
        }
        let foots = foots_between(rows, *since, *until, moved)?;
        if !foots && self.settled.is_some_and(|settled| *until > settled) {
            self.leave_out("the ledger may not have all entries of that time yet", || told(span));
            return Ok(false);
        }
        self.comparison.compare_finding(foots, || {
            let sum = sum(rows.iter().filter(|row| row.time.at > *since && row.time.at <= *until));
            let sum = sum.map_or_else(|_| "more than can be added up".to_owned(), |sum| sum.to_string());
            let evidence = format!(
                "{asset}: from {} to {} the wallet moved by {moved}, its ledger rows add up to {sum}",
                instant(*since),
                instant(*until)
            );
            let subject = Subject::Wallet(asset.clone(), *since, *until);
            // A wallet that the ledger does not explain is on record once two looks said so.
            Finding::new(DiscrepancyKind::FootingMismatch, None, subject, Outlook::Stays, evidence)
                .remembering(WalletMemory { asset: asset.clone(), since: *since, until: *until, moved })
            // That the ledger has no more rows is one answer's word.
        });
        Ok(foots)
    }
}

/// The latest statements of each wallet, oldest first.
async fn latest_wallets(
    book: &ReadableBook<'_>,
    account: &AccountId,
) -> Result<BTreeMap<Asset, Vec<BalanceSnapshot>>, ReconcileError> {
    let mut wallets: BTreeMap<Asset, Vec<BalanceSnapshot>> = BTreeMap::new();
    let scope = Scope::account(account.clone());
    let page = book.balance_snapshots(&scope, PageRequest::newest(BOOK_PAGE_ROWS)).await;
    for balance in page.doing("reading the balances")?.items {
        let known = wallets.entry(balance.fact.asset.clone()).or_default();
        if known.len() <= SPANS_MAX {
            known.push(balance.fact);
        }
    }
    for known in wallets.values_mut() {
        known.reverse();
    }
    Ok(wallets)
}

/// All statements of each wallet, oldest first.
async fn all_wallets(
    book: &ReadableBook<'_>,
    account: &AccountId,
) -> Result<BTreeMap<Asset, Vec<BalanceSnapshot>>, ReconcileError> {
    let mut wallets: BTreeMap<Asset, Vec<BalanceSnapshot>> = BTreeMap::new();
    let scope = Scope::account(account.clone());
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.balance_snapshots(&scope, page));
    while let Some(page) = pages.next().await.doing("reading the balances")? {
        for balance in page.items {
            wallets.entry(balance.fact.asset.clone()).or_default().push(balance.fact);
        }
    }
    Ok(wallets)
}

/// Whether the ledger says anything of an asset between the first and the last statement of its wallet.
async fn has_rows(
    book: &ReadableBook<'_>,
    account: &AccountId,
    asset: &Asset,
    known: &[BalanceSnapshot],
) -> Result<bool, ReconcileError> {
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Ok(false) };
    let scope =
        Scope { since: Some(first.at), until: Some(last.at.saturating_add_ms(1)), ..Scope::account(account.clone()) };
    let filter = IncomeFilter { scope, income_type: None };
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.income(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the income")? {
        if page.items.iter().any(|row| row.fact.key.asset == *asset) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The stretches of the ledger that the exchange no longer answered for when they were asked for, unless somebody has said
/// that they are in the book by now.
pub(crate) fn unread_stretches(on_record: &[Discrepancy]) -> Vec<(TimestampMs, TimestampMs)> {
    let kind = DiscrepancyKind::HistoryExpired.as_str();
    let is_unread =
        |known: &Discrepancy| known.entry.key.kind == kind && known.entry.status != DiscrepancyStatus::Acknowledged;
    let gaps = recall_all::<GapMemory>(on_record).filter(|(known, gap)| is_unread(known) && gap.stream == INCOME);
    gaps.map(|(_, gap)| (gap.since, gap.until)).collect()
}

/// A stretch in which a wallet did not foot when it was looked at.
struct UnfootedSpan {
    span: FootedSpan,
    moved: Decimal,
}

/// Those on record, however long ago: the rows that were missing may have come since.
fn unfooted_on_record(extent: Extent<'_>) -> Vec<UnfootedSpan> {
    recall_all::<WalletMemory>(extent.on_record())
        .map(|(_, WalletMemory { asset, since, until, moved })| UnfootedSpan {
            span: FootedSpan { asset, since, until },
            moved,
        })
        .collect()
}

pub(super) async fn ledger_between(
    book: &ReadableBook<'_>,
    account: &AccountId,
    asset: &Asset,
    since: TimestampMs,
    until: TimestampMs,
) -> Result<Vec<Income>, ReconcileError> {
    let scope = Scope {
        account: account.clone(),
        symbol: None,
        since: Some(since),
        until: Some(until.saturating_add_ms(MOMENT_MS + 1)),
    };
    let filter = IncomeFilter { scope, income_type: None };
    let mut rows = Vec::new();
    let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| book.income(&filter, page));
    while let Some(page) = pages.next().await.doing("reading the income")? {
        rows.extend(page.items.into_iter().map(|row| row.fact).filter(|row| row.key.asset == *asset));
    }
    Ok(rows)
}

fn sum<'a>(rows: impl Iterator<Item = &'a Income>) -> Result<Decimal, MathError> {
    let mut sum = Decimal::ZERO;
    for row in rows {
        sum = sum.checked_add(row.amount)?;
    }
    Ok(sum)
}
