//! What the book is asked now and then, beside everything else: what in it wants a cycle, and which prices are worth keeping.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, IntentOutcome, LookStream, Symbol, TimestampMs};
use ledger_store::{Book, FillFilter, IntentFilter, OrderFilter, PageRequest, Scope, Store, StoreError, StoreResult};
use tokio::task::JoinHandle;

/// How long an order that was announced may take until it is asked for.
const INTENT_PATIENCE_MS: i64 = 3_000;
/// How long after its short word (`TRADE_LITE`) the whole of a fill may come.
const FEE_PATIENCE_MS: i64 = 5_000;
/// How old a fill may be to be asked for because it lacks its fee: those before it had their cycle.
const FEE_AGE_MAX_MS: i64 = 10 * 60_000;
/// How many of the latest fills are looked at for that.
const FILLS_MAX: u32 = 200;
/// How many rows of the book are named as reasons for a cycle.
const REASONS_MAX: u32 = 20;
/// How many of the latest balances tell which assets the account has.
const BALANCES_MAX: u32 = 100;

/// What the book says.
#[derive(Debug)]
pub(super) struct BookAnswer {
    /// The orders that were announced and of which nobody knows what became, by their client order ids.
    pub(super) intents: BTreeSet<String>,
    /// The orders that executed more than their fills tell, with how much.
    pub(super) residuals: BTreeSet<String>,
    /// The fills of which only a part was told, without the fee.
    pub(super) feeless: BTreeSet<String>,
    /// When the last look ended, by the local clock.
    pub(super) last_look: Option<TimestampMs>,
    /// What is held, and what prices the assets that the account has.
    pub(super) priced: BTreeSet<Symbol>,
    /// What each contract is settled in.
    pub(super) settled_in: BTreeMap<Symbol, Asset>,
}

/// A question to the book that is under way. Dropped, nobody waits for its answer.
pub(super) struct Asking {
    task: JoinHandle<StoreResult<BookAnswer>>,
    cycles: u64,
}

impl Asking {
    /// Asks, after so many cycles.
    pub(super) fn begin(book: Book, account: AccountId, now_local: TimestampMs, cycles: u64) -> Self {
        Self { task: tokio::spawn(async move { ask(&*book, &account, now_local).await }), cycles }
    }

    /// Waits for the answer: how many cycles had ended when it was asked for, and what it is. Dropping the future loses nothing.
    pub(super) async fn answer(&mut self) -> (u64, StoreResult<BookAnswer>) {
        // A task that panicked has reported it; it is asked again.
        (self.cycles, (&mut self.task).await.unwrap_or(Err(StoreError::Closed)))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The last look at the account that this watcher knows of. Another one on record is somebody else's, and what that one recorded
/// wants a cycle.
#[derive(Debug, Default)]
pub(super) struct KnownLook {
    ended_local: Option<TimestampMs>,
    cycles: u64,
}

impl KnownLook {
    /// How many cycles of this watcher have ended.
    pub(super) fn cycles(&self) -> u64 {
        self.cycles
    }

    /// A cycle has ended, and this is the last look on record since; `None` where that could not be read.
    pub(super) fn cycle_ended(&mut self, ended_local: Option<TimestampMs>) {
        self.ended_local = ended_local;
        self.cycles += 1;
    }

    /// Whether an answer of the book names somebody else's look. One that was asked for before the last cycle's end may have seen
    /// the book before that cycle's own look was in it: it says nothing.
    pub(super) fn is_anothers(&mut self, asked_after: u64, last_look: Option<TimestampMs>) -> bool {
        if asked_after != self.cycles || self.ended_local.is_none() || last_look == self.ended_local {
            return false;
        }
        self.ended_local = last_look;
        true
    }
}

async fn ask(book: &dyn Store, account: &AccountId, now_local: TimestampMs) -> StoreResult<BookAnswer> {
    let scope = || Scope::account(account.clone());
    let page = || PageRequest::newest(REASONS_MAX);
    let unresolved = IntentFilter { unresolved_only: true, ..scope().into() };
    let settled = now_local.saturating_add_ms(-INTENT_PATIENCE_MS);
    let intents = book.intents(&unresolved, page()).await?.items.into_iter().map(|intent| intent.fact);
    let intents = intents.filter(|it| it.outcome == IntentOutcome::Unknown || it.created_local <= settled);
    let lacking = OrderFilter { residual_only: true, ..scope().into() };
    let residuals = book.orders(&lacking, page()).await?.items.into_iter().map(|order| {
        let qty = order.residual_qty.map(|qty| qty.to_string());
        format!("{} {}", order.order.fact.key.order_id, qty.unwrap_or_default())
    });
    let positions = book.positions(account).await?;
    let mut priced: BTreeSet<Symbol> =
        positions.iter().filter(|it| !it.position.qty.is_zero()).map(|it| it.symbol.clone()).collect();
    let contracts = book.instruments(account).await?.into_iter();
    let settled_in: BTreeMap<_, _> = contracts.map(|it| (it.fact.symbol, it.fact.settle_asset)).collect();
    let balances = book.balance_snapshots(&scope(), PageRequest::newest(BALANCES_MAX)).await?.items;
    let assets: BTreeSet<Asset> = balances.into_iter().map(|balance| balance.fact.asset).collect();
    let quotes: BTreeSet<&Asset> = settled_in.values().collect();
    let pairs = assets.iter().flat_map(|asset| quotes.iter().map(move |quote| format!("{asset}{quote}")));
    priced.extend(pairs.filter_map(|pair| Symbol::new(&pair).ok()));
    Ok(BookAnswer {
        intents: intents.map(|intent| intent.client_order_id.to_string()).collect(),
        residuals: residuals.collect(),
        feeless: feeless(book, account, now_local).await?,
        last_look: last_look(book, account).await?,
        priced,
        settled_in,
    })
}

/// The fills of the last minutes that lack their fee and have been there for a moment. Their times are the exchange's: where the
/// local clock is wrong, they are asked for a little early or late.
async fn feeless(book: &dyn Store, account: &AccountId, now_local: TimestampMs) -> StoreResult<BTreeSet<String>> {
    let since = Some(now_local.saturating_add_ms(-FEE_AGE_MAX_MS));
    let latest = FillFilter::from(Scope { since, ..Scope::account(account.clone()) });
    let whole_by = now_local.saturating_add_ms(-FEE_PATIENCE_MS);
    let fills = book.fills(&latest, PageRequest::newest(FILLS_MAX)).await?.items.into_iter().map(|fill| fill.fact);
    let lacking = fills.filter(|fill| fill.fee.is_none() && fill.time.at <= whole_by);
    Ok(lacking.map(|fill| format!("{} {} {}", fill.key.symbol, fill.key.side, fill.key.fill_id)).collect())
}

/// When the last look at the account ended, by the local clock.
pub(super) async fn last_look(book: &dyn Store, account: &AccountId) -> StoreResult<Option<TimestampMs>> {
    let looks = book.looks(account).await?;
    Ok(looks.iter().find(|look| look.stream == LookStream::Account).map(|look| look.ended_local))
}

/// Whether a look at the account ever came to its end.
pub(super) async fn was_looked_at(book: &dyn Store, account: &AccountId) -> StoreResult<bool> {
    let looks = book.looks(account).await?;
    Ok(looks.iter().any(|look| look.stream == LookStream::Account && look.success.is_some()))
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::at;

    use super::*;

    #[test]
    fn an_answer_from_before_a_cycles_end_names_nobody_elses_look() {
        let mut known = KnownLook::default();
        assert!(!known.is_anothers(0, Some(at(1))), "this watcher has not looked yet");
        known.cycle_ended(Some(at(100)));
        let asked_after = known.cycles();
        known.cycle_ended(Some(at(200)));
        assert!(!known.is_anothers(asked_after, Some(at(100))), "its own look before");
        assert!(!known.is_anothers(known.cycles(), Some(at(200))), "its own last look");
        assert!(known.is_anothers(known.cycles(), Some(at(300))));
        assert!(!known.is_anothers(known.cycles(), Some(at(300))), "it is known by now");
        // A clock that was set back does not hide a look.
        assert!(known.is_anothers(known.cycles(), Some(at(250))));
        known.cycle_ended(None);
        assert!(!known.is_anothers(known.cycles(), Some(at(400))));
    }
}
