//! Writing down that the exchange was looked at: what a cycle leaves behind even where it finds nothing.
//!
//! A look is no fact and no run. Its rows say when the exchange was asked last and what its answers are true of, so that
//! nobody takes an old answer for a new one. Nothing is written of an account that is not bound, and nothing when another
//! account answers. A look that is narrowed to contracts is none of the account, and leaves the rows as they are, but for
//! the contracts that it saw to need a look and did not follow.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_look_that_finds_nothing_says_when_it_was`.
//! 2. `a_look_that_failed_says_why_and_takes_nothing_back`.
//! 3. `an_answer_of_another_account_writes_no_look`.
//! 4. `a_stream_that_did_not_answer_is_not_seen`.
//! 5. `a_look_in_progress_is_seen_by_others_and_one_that_was_stopped_too`.
//! 6. `a_narrowed_look_tells_what_it_left_aside`, until a look follows that.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::ErrorClass;
use ledger_core::{AccountId, BalanceSnapshot, LookStream, Symbol, TimestampMs};
use ledger_store::{
    LookFailure, LookFailureKind, LookHold, LookResult, NewLook, Seen, SeenMark, SeenWallet, Store, StoreError,
};

use super::Reconciler;
use super::report::failed;
use crate::asked::Asked;
use crate::error::{Doing, ReconcileError};
use crate::liquidation::liquidations;
use crate::observe::Observation;

/// The failure of a look whose question the exchange did not answer.
fn look_failure_kind(class: ErrorClass) -> LookFailureKind {
    match class {
        ErrorClass::Authentication | ErrorClass::AnotherAccount => LookFailureKind::Authentication,
        ErrorClass::Unavailable | ErrorClass::Throttled => LookFailureKind::Unreachable,
        _ => LookFailureKind::Other,
    }
}

/// The failure of a look that a book ended.
fn look_failure_of_store(error: &StoreError) -> LookFailureKind {
    match error {
        StoreError::Damaged { .. } | StoreError::CorruptRow { .. } => LookFailureKind::Corrupt,
        _ => LookFailureKind::Other,
    }
}

/// An error with its causes, on one line.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Why a look came to nothing. `None` where that must leave no trace: another account answered, or there is none; or it was stopped
/// on purpose, which takes nothing back of the last one.
fn failure_of(error: &ReconcileError) -> Option<LookFailure> {
    let kind = match error {
        ReconcileError::WrongAccount { .. }
        | ReconcileError::Contradiction { .. }
        | ReconcileError::UnknownAccount { .. }
        | ReconcileError::BoundElsewhere { .. }
        | ReconcileError::Stopped
        | ReconcileError::Store { source: StoreError::WrongAccount { .. }, .. } => return None,
        ReconcileError::Exchange(source) => look_failure_kind(source.class()),
        ReconcileError::Store { source, .. } => look_failure_of_store(source),
        ReconcileError::Cursor { .. } | ReconcileError::Math(_) | ReconcileError::ClockContradiction { .. } => {
            LookFailureKind::Other
        }
    };
    Some(LookFailure { kind, reason: reason_of(error) })
}

/// Writes down that a look of a bound account came to nothing, whatever kept it from its end. Of an account that is not
/// bound nothing is written.
///
/// # Errors
/// [`StoreError`] when the book cannot be read or written.
pub async fn record_failed_look(
    book: &dyn Store,
    account: &AccountId,
    (began_local, ended_local): (TimestampMs, TimestampMs),
    failure: &LookFailure,
) -> Result<(), StoreError> {
    let known = book.account(account).await?;
    if known.is_none_or(|known| known.identity.is_none()) {
        return Ok(());
    }
    let streams = LookStream::ALL.iter().map(|stream| (*stream, LookResult::Failed(failure.clone()))).collect();
    let account = account.clone();
    let look = NewLook { account, began_local, ended_local, began_at: None, ended_at: None, streams };
    book.record_look(look).await
}

impl Reconciler {
    /// Whether this look is one at the whole account.
    fn is_whole_look(&self) -> bool {
        self.config.observe.symbols.is_empty()
    }

    /// Shows others that a look goes on. Where that cannot be shown the look goes on all the same.
    pub(crate) async fn show_look(&self, began_local: TimestampMs) -> LookHold {
        if !self.is_whole_look() {
            return LookHold::unseen();
        }
        let account = &self.config.account;
        self.book.hold_look(account, began_local).await.unwrap_or_else(|error| {
            tracing::warn!(%account, %error, "account {account}: others cannot see that it is looked at");
            LookHold::unseen()
        })
    }

    /// Writes down what was seen, or why nothing was.
    pub(crate) async fn note_look(
        &self,
        began_local: TimestampMs,
        result: Result<&Observation, &ReconcileError>,
    ) -> Result<(), ReconcileError> {
        let ended_local = self.clock.now();
        match result {
            Ok(observation) if !self.is_whole_look() => {
                let look = narrowed_look(&self.config.account, (began_local, ended_local), observation);
                self.book.record_look(look).await.doing("writing down the look")
            }
            Err(_) if !self.is_whole_look() => Ok(()),
            Ok(observation) => {
                let look = seen_look(&self.config.account, (began_local, ended_local), observation);
                self.book.record_look(look).await.doing("writing down the look")
            }
            Err(error) => {
                let Some(failure) = failure_of(error) else { return Ok(()) };
                let span = (began_local, ended_local);
                let noted = record_failed_look(&*self.book, &self.config.account, span, &failure).await;
                noted.doing("writing down the look")
            }
        }
    }
}

/// What a look saw, stream by stream.
fn seen_look(
    account: &AccountId,
    (began_local, ended_local): (TimestampMs, TimestampMs),
    observation: &Observation,
) -> NewLook {
    let by_exchange = |local: TimestampMs| Some(local.saturating_add_ms(-observation.clock.skew_ms));
    let streams = [
        (LookStream::Account, whole(observation)),
        (LookStream::Positions, positions(observation)),
        (LookStream::Orders, orders(observation)),
        (LookStream::Balances, balances(observation)),
        (LookStream::Prices, prices(observation)),
        (LookStream::Ledger, ledger(observation)),
    ];
    NewLook {
        account: account.clone(),
        began_local,
        ended_local,
        began_at: by_exchange(began_local),
        ended_at: by_exchange(ended_local),
        streams: BTreeMap::from(streams),
    }
}

/// What a narrowed look saw beside what it was narrowed to.
fn narrowed_look(
    account: &AccountId,
    (began_local, ended_local): (TimestampMs, TimestampMs),
    observation: &Observation,
) -> NewLook {
    // Where something was not answered, what an earlier look saw of other contracts stands.
    let is_answered = observation.failed_queries().is_empty();
    let result = LookResult::Narrowed {
        left_aside: observation.left_aside.clone(),
        cleared: (!is_answered).then(|| observation.scope.clone()),
    };
    NewLook {
        account: account.clone(),
        began_local,
        ended_local,
        began_at: None,
        ended_at: None,
        streams: BTreeMap::from([(LookStream::Account, result)]),
    }
}

fn not_answered<T>(asked: &Asked<T>) -> LookResult {
    let failure = match asked.error() {
        Some(error) => LookFailure { kind: look_failure_kind(error.class()), reason: reason_of(error) },
        None => LookFailure { kind: LookFailureKind::Other, reason: "the exchange was not asked".to_owned() },
    };
    LookResult::Failed(failure)
}

/// The wallets; those that stand on record as they were stated are named.
fn balances(observation: &Observation) -> LookResult {
    let Asked::Answered(answer) = &observation.balances else { return not_answered(&observation.balances) };
    let stated = answer.rows.iter().map(|row| &row.entity);
    let known =
        stated.filter(|stated| observation.book.balance(&stated.asset).is_some_and(|it| it.wallet == stated.wallet));
    let seen = |stated: &BalanceSnapshot| SeenWallet { ts: stated.at, wallet: stated.wallet };
    let wallets = known.map(|stated| (stated.asset.clone(), seen(stated))).collect();
    LookResult::Seen { seen_at: answer.asked_at, seen: Seen { wallets, ..Seen::default() } }
}

/// The look as a whole: it failed where the exchange could not be reached, or refused, anything that was asked.
fn whole(observation: &Observation) -> LookResult {
    let failed = failed(observation);
    let worst = failed.iter().map(|query| look_failure_kind(query.class)).max();
    let Some(kind) = worst.filter(|kind| *kind != LookFailureKind::Other) else {
        return LookResult::Seen { seen_at: observation.asked_at, seen: Seen::default() };
    };
    let what: BTreeSet<&str> = failed.iter().map(|query| query.what.as_str()).collect();
    let what = what.into_iter().collect::<Vec<_>>().join(", ");
    LookResult::Failed(LookFailure { kind, reason: format!("the exchange did not answer what was asked: {what}") })
}

/// Contracts whose rows in the book cannot be read: nothing about them was compared.
fn damaged(observation: &Observation) -> impl Iterator<Item = &Symbol> {
    observation.book.damaged.keys()
}

fn positions(observation: &Observation) -> LookResult {
    let Asked::Answered(answer) = &observation.positions else { return not_answered(&observation.positions) };
    let keys = observation.position_keys();
    let unread = answer.unreadable.iter().filter_map(|row| row.symbol.as_ref());
    let symbols: BTreeSet<&Symbol> = keys.iter().map(|(symbol, _)| symbol).chain(unread).collect();
    let silent = symbols.into_iter().filter(|symbol| observation.exchange_positions(symbol).is_none());
    let except = silent.chain(damaged(observation)).cloned().collect();
    let liquidations = liquidations(observation.venue, answer);
    LookResult::Seen { seen_at: answer.asked_at, seen: Seen { except, liquidations, ..Seen::default() } }
}

fn orders(observation: &Observation) -> LookResult {
    let (open, walk) = match (&observation.open_orders, &observation.orders) {
        (Asked::Answered(open), Asked::Answered(walk)) => (open, walk),
        (Asked::Answered(_), orders) => return not_answered(orders),
        (open, _) => return not_answered(open),
    };
    let unread = open.unreadable.iter().chain(&walk.unreadable).filter_map(|row| row.symbol.as_ref());
    let except = unread.chain(damaged(observation)).cloned().collect();
    LookResult::Seen { seen_at: open.asked_at.min(walk.asked_at), seen: Seen { except, ..Seen::default() } }
}

fn ledger(observation: &Observation) -> LookResult {
    match &observation.income {
        Asked::Answered(walk) => LookResult::Seen { seen_at: walk.asked_at, seen: Seen::default() },
        unanswered => not_answered(unanswered),
    }
}

/// The marks of what either side holds: prices are facts only now and then, and this is the latest.
fn prices(observation: &Observation) -> LookResult {
    let Asked::Answered(answer) = &observation.mark_prices else { return not_answered(&observation.mark_prices) };
    let keys = observation.position_keys();
    let held: BTreeSet<&Symbol> = keys
        .iter()
        .filter(|(symbol, side)| {
            let is_held = |qty: ledger_core::Decimal| !qty.is_zero();
            is_held(observation.book.qty(symbol, *side)) || observation.exchange_qty(symbol, *side).is_some_and(is_held)
        })
        .map(|(symbol, _)| symbol)
        .collect();
    let rows = answer.rows.iter().map(|row| &row.entity).filter(|row| held.contains(&row.price.symbol));
    let marks = rows.map(|row| {
        let mark = SeenMark { ts: row.price.at, mark_price: row.price.price, next_funding_ts: row.next_funding };
        (row.price.symbol.clone(), mark)
    });
    let seen = Seen { marks: marks.collect(), ..Seen::default() };
    LookResult::Seen { seen_at: answer.asked_at, seen }
}
