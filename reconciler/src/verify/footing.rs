//! Wallets: between two looks a wallet changes by what its ledger rows add up to, as far as the ledger was read.

use std::collections::BTreeMap;

use exchange_client::WalletEffect;
use ledger_core::{AccountId, Asset, BalanceSnapshot, Decimal, Income, TimestampMs};
use ledger_store::{DiscrepancyStatus, IncomeFilter, PageRequest, Scope};
use serde_json::Value;

use super::{BOOK_PAGE_ROWS, CheckName, FootedSpan, Tally, Verification};
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::observation::{Observation, Walk};
use crate::observe::INCOME;

/// How many of the latest changes of each wallet are compared.
const SPANS_MAX: usize = 3;
/// A wallet is stated a moment after it was asked for: rows of that moment may be in it already.
const MOMENT_MS: i64 = 2_000;
/// The digits after the point that ledger amounts have.
const LEDGER_SCALE: u8 = 8;

pub(super) async fn check_footing(
    observation: &Observation,
    book: &Book,
    account: &AccountId,
    verification: &mut Verification,
) -> Result<(), ReconcileError> {
    let Ok(walk) = &observation.income else {
        verification.not_checkable(CheckName::Footing, "the exchange did not answer with its ledger");
        return Ok(());
    };
    // The ledger's last moments may still be missing.
    let settled = walk.asked_at.saturating_add_ms(-observation.venue.settle_lag_ms);
    let mut wallets: BTreeMap<Asset, Vec<BalanceSnapshot>> = BTreeMap::new();
    let scope = Scope::account(account.clone());
    let page = book.snapshots.balance_snapshots(&scope, &PageRequest::newest(BOOK_PAGE_ROWS)).await;
    for balance in page.doing("reading the balances")?.items {
        let known = wallets.entry(balance.fact.asset.clone()).or_default();
        if known.len() <= SPANS_MAX {
            known.push(balance.fact);
        }
    }
    let unread = unread_ledger(observation, walk);
    let mut tally = Tally::default();
    let mut unclear: Option<String> = None;
    for (asset, mut known) in wallets {
        known.reverse();
        for pair in known.windows(2) {
            let [before, after] = pair else { continue };
            if let Some((since, until)) = unread.iter().find(|(since, until)| after.at > *since && before.at < *until) {
                unclear = Some(format!(
                    "{asset} between {} and {} ms: the ledger from {since} to {until} ms was not read in time",
                    before.at, after.at
                ));
                continue;
            }
            let rows = ledger_between(book, account, before.at, after.at).await?;
            let rows: Vec<Income> = rows.into_iter().filter(|row| row.key.asset == asset).collect();
            let undocumented = rows
                .iter()
                .find(|row| observation.venue.wallet_effect(&row.key.income_type) == WalletEffect::Undocumented);
            if let Some(row) = undocumented {
                unclear = Some(format!(
                    "{asset} between {} and {} ms: what {} does to the wallet is not documented",
                    before.at, after.at, row.key.income_type
                ));
                continue;
            }
            let moved = after.wallet.checked_sub(before.wallet)?;
            let foots = foots(&rows, before.at, after.at, moved)?;
            if !foots && after.at > settled {
                continue;
            }
            let subject = Subject::Wallet(asset.clone(), before.at, after.at);
            if foots {
                let span = FootedSpan { asset: asset.clone(), since: before.at, until: after.at };
                verification.footed.push(span);
            }
            tally.compare_subject(foots, DiscrepancyKind::FootingMismatch, None, subject, || {
                let sum = sum(rows.iter().filter(|row| row.time.at > before.at && row.time.at <= after.at));
                let sum = sum.map_or_else(|_| "more than can be added up".to_owned(), |sum| sum.to_string());
                format!(
                    "{asset}: from {} to {} ms the wallet moved by {moved}, its ledger rows add up to {sum}",
                    before.at, after.at
                )
            });
            if !foots {
                tally.detail("asset", asset.as_str());
                tally.detail("since", before.at.as_ms());
                tally.detail("until", after.at.as_ms());
                tally.detail("moved", moved.to_string());
            }
        }
    }
    for span in unfooted_on_record(observation) {
        let UnfootedSpan { span, moved } = span;
        if !verification.footed.contains(&span) {
            let rows = ledger_between(book, account, span.since, span.until).await?;
            let rows: Vec<Income> = rows.into_iter().filter(|row| row.key.asset == span.asset).collect();
            if foots(&rows, span.since, span.until, moved)? {
                verification.footed.push(span);
            }
        }
    }
    let none = unclear.unwrap_or_else(|| "no wallet has changed between two looks".to_owned());
    tally.finish(CheckName::Footing, &none, verification);
    Ok(())
}

/// The stretches of the ledger that the exchange no longer answered for when they were asked for, unless somebody has said
/// that they are in the book by now.
fn unread_ledger(observation: &Observation, walk: &Walk<Income>) -> Vec<(TimestampMs, TimestampMs)> {
    let kind = DiscrepancyKind::HistoryExpired.as_str();
    let known = observation.book.discrepancies.iter().map(|known| &known.entry);
    let known = known.filter(|known| known.key.kind == kind && known.status != DiscrepancyStatus::Acknowledged);
    let known = known.filter_map(|known| {
        let evidence: Value = serde_json::from_str(&known.evidence_json).ok()?;
        let ms = |name: &str| evidence.get(name).and_then(Value::as_i64).and_then(|ms| TimestampMs::new(ms).ok());
        let is_ledger = evidence.get("stream").and_then(Value::as_str) == Some(INCOME);
        if is_ledger { Some((ms("since")?, ms("until")?)) } else { None }
    });
    known.chain(walk.continuity.expired().map(|gap| (gap.since(), gap.until()))).collect()
}

/// A stretch in which a wallet did not foot when it was looked at.
struct UnfootedSpan {
    span: FootedSpan,
    moved: Decimal,
}

/// Those on record, however long ago: the rows that were missing may have come since.
fn unfooted_on_record(observation: &Observation) -> Vec<UnfootedSpan> {
    let kind = DiscrepancyKind::FootingMismatch.as_str();
    let known = observation.book.discrepancies.iter().filter(|known| known.entry.key.kind == kind);
    known
        .filter_map(|known| {
            let evidence: Value = serde_json::from_str(&known.entry.evidence_json).ok()?;
            let ms = |name: &str| TimestampMs::new(evidence.get(name)?.as_i64()?).ok();
            let text = |name: &str| evidence.get(name)?.as_str();
            let asset = Asset::new(text("asset")?).ok()?;
            let span = FootedSpan { asset, since: ms("since")?, until: ms("until")? };
            Some(UnfootedSpan { span, moved: text("moved")?.parse().ok()? })
        })
        .collect()
}

async fn ledger_between(
    book: &Book,
    account: &AccountId,
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
    let mut request = PageRequest::first(BOOK_PAGE_ROWS);
    loop {
        let page = book.income.income(&filter, &request).await.doing("reading the income")?;
        rows.extend(page.items.into_iter().map(|row| row.fact));
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => return Ok(rows),
        }
    }
}

/// Whether the rows add up to the change, for a beginning and an end within the moment in which each wallet was stated.
fn foots(rows: &[Income], since: TimestampMs, until: TimestampMs, moved: Decimal) -> Result<bool, ReconcileError> {
    let moments = |at: TimestampMs| {
        let end = at.saturating_add_ms(MOMENT_MS);
        let mut moments: Vec<TimestampMs> =
            rows.iter().map(|row| row.time.at).filter(|time| *time >= at && *time <= end).collect();
        moments.push(at);
        moments.push(at.saturating_add_ms(-1));
        moments.sort_unstable();
        moments.dedup();
        moments
    };
    for begin in moments(since) {
        for end in moments(until) {
            let inside = rows.iter().filter(|row| row.time.at > begin && row.time.at <= end);
            if sum(inside)?.round(LEDGER_SCALE) == moved.round(LEDGER_SCALE) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn sum<'a>(rows: impl Iterator<Item = &'a Income>) -> Result<Decimal, ReconcileError> {
    let mut sum = Decimal::ZERO;
    for row in rows {
        sum = sum.checked_add(row.amount)?;
    }
    Ok(sum)
}
