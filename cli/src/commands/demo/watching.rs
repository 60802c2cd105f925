//! The demo's watchers: what the stream tells, what it drops on purpose, and what a look finds of that.
//!
//! The exchange's clock stands still unless it is stepped, and a watcher sleeps by the machine's. So that the story depends on
//! no machine's speed, nothing here is due by itself: a look is asked for, and whatever follows is waited for before the clock
//! moves on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange_client::simulator::{FaultProfile, StreamFaults};
use ledger_core::{IntentRole, Quantity};
use ledger_store::{FillFilter, PageRequest, Scope};
use reconciler::service::{Happening, HappeningKind, Pace, StopSwitch, Teller, WatchConfig, WatchError, Watcher};

use super::bot::{Bot, Holding, broken};
use super::script;
use crate::error::{CommandError, ExitCode};
use crate::wiring::{DemoAccount, DemoWorld};

/// Longer than any demo lasts.
const NEVER: Duration = Duration::from_hours(1);
/// How long after a look that found a difference the next one is taken, by the machine's clock.
const RECHECK: Duration = Duration::from_millis(100);
/// How often a watcher's work is looked at.
const POLL: Duration = Duration::from_millis(2);
/// However slow the machine: what does not happen in that will not.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the bot waits between two orders.
const PAUSE: Duration = Duration::from_secs(15);
/// The events that are dropped: those of orders and fills. The stream goes on telling what an account holds, so it looks healthy.
const OF_FILLS: &[&str] = &["ORDER_TRADE_UPDATE", "TRADE_LITE"];

/// What came of watching.
#[derive(Default)]
pub(super) struct Watched {
    /// How many fills the exchange executed meanwhile.
    pub(super) fills: u64,
    /// How many of them the stream brought.
    pub(super) brought: u64,
    /// How many of the others a look found and restored.
    pub(super) restored: u64,
    /// The position whose fills the stream dropped, for each account: its contract, and its side in hedge mode.
    pub(super) dropped_of: Vec<String>,
    /// What the watchers said of what they restored, by account.
    pub(super) said: Vec<(String, String)>,
}

impl Watched {
    /// How many fills the stream dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.fills.saturating_sub(self.brought)
    }

    /// How many fills are on record neither by the stream nor by a look.
    pub(super) fn missing(&self) -> u64 {
        self.dropped().saturating_sub(self.restored)
    }
}

/// Why a watcher did not do what the demo shows.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the demo's watcher of account `{account}` ended before it was told to")]
    Ended { account: String },
    #[error("the demo's watcher of account `{account}` did not come to {what} in time; it said: {said}")]
    Late { account: String, what: &'static str, said: String },
    #[error("the demo has too few contracts in which account `{account}` holds nothing")]
    NoContract { account: String },
}

fn failed(failure: Failure) -> CommandError {
    CommandError::new(ExitCode::Error, failure)
}

/// Watches the accounts of the bots while these trade on.
pub(super) async fn watch(world: &DemoWorld, bots: &mut [Bot<'_>]) -> Result<Watched, CommandError> {
    let mut result = Watched::default();
    let mut watches = Vec::with_capacity(bots.len());
    for bot in &*bots {
        let watch = Watch::start(world, bot.account).await?;
        watch.until_told(&[HappeningKind::StreamOpened, HappeningKind::Compared], "a comparison").await?;
        watches.push(watch);
    }
    for (bot, watch) in bots.iter_mut().zip(&mut watches) {
        let dropped = trade(bot, watch).await?;
        result.dropped_of.push(format!("{dropped} ({})", watch.account.id));
    }
    for watch in &watches {
        result.brought += watch.recorded().await?;
    }
    world.simulator.step(Duration::from_mins(1));
    for watch in &watches {
        result.said.push((watch.account.id.to_string(), watch.look().await?));
    }
    for watch in watches {
        result.fills += watch.executed();
        result.restored += watch.recorded().await?;
        watch.end().await?;
    }
    result.restored = result.restored.saturating_sub(result.brought);
    Ok(result)
}

/// Trades one position from entry to exit, and opens another one. The stream tells everything but one addition.
/// Answers of what.
async fn trade(bot: &mut Bot<'_>, watch: &mut Watch<'_>) -> Result<String, CommandError> {
    let flat: Vec<_> = script::shuffled(bot).into_iter().filter(|(symbol, _)| !watch.holds(symbol)).collect();
    let [first, second, third, ..] = flat.as_slice() else {
        return Err(failed(Failure::NoContract { account: watch.account.id.to_string() }));
    };
    let (trending, ranging) = if bot.is_hedged { ("grid", "grid") } else { ("breakout", "reversion") };
    let mut closed = script::wanted(bot, trending, *first)?;
    order(bot, watch, &mut closed, IntentRole::Entry).await?;
    order(bot, watch, &mut closed, IntentRole::Dca).await?;
    closed.qty = twice(closed.qty)?;
    order(bot, watch, &mut closed, IntentRole::Exit).await?;
    let mut open = script::wanted(bot, ranging, *second)?;
    order(bot, watch, &mut open, IntentRole::Entry).await?;
    watch.drop_fills(true);
    order(bot, watch, &mut open, IntentRole::Dca).await?;
    watch.drop_fills(false);
    // A stream tells things in order: once this is told, all that it did not drop is told.
    let mut last = script::wanted(bot, trending, *third)?;
    order(bot, watch, &mut last, IntentRole::Entry).await?;
    let side = open.direction.as_str().to_lowercase();
    Ok(if bot.is_hedged { format!("{}, {side} side", open.symbol) } else { open.symbol.to_string() })
}

fn twice(qty: Quantity) -> Result<Quantity, CommandError> {
    Quantity::new(qty.get().checked_add(qty.get())?).map_err(broken)
}

/// Sends an order, and lets time pass once the stream's word on it is on record.
async fn order(
    bot: &mut Bot<'_>,
    watch: &mut Watch<'_>,
    holding: &mut Holding,
    role: IntentRole,
) -> Result<(), CommandError> {
    let before = watch.executed();
    let sent = bot.send_at_market(holding, role).await?;
    if watch.is_dropping {
        watch.dropped += watch.executed() - before;
    }
    watch.until("the fills that the stream told", async || watch.has_what_was_told().await).await?;
    bot.note(sent).await?;
    watch.world.simulator.step(PAUSE);
    Ok(())
}

/// A watcher that runs. Dropped, it ends.
struct Watch<'a> {
    world: &'a DemoWorld,
    account: &'a DemoAccount,
    watcher: Watcher,
    switch: StopSwitch,
    task: tokio::task::JoinHandle<Result<(), WatchError>>,
    told: Arc<Mutex<Vec<Happening>>>,
    /// How many fills were executed, and on record, when it began.
    began_with: (u64, u64),
    is_dropping: bool,
    /// How many fills the stream has dropped.
    dropped: u64,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<'a> Watch<'a> {
    async fn start(world: &'a DemoWorld, account: &'a DemoAccount) -> Result<Self, CommandError> {
        let began_with = (executed(world, account), recorded(world, account).await?);
        let mut config = WatchConfig::new(account.id.clone(), "the demo");
        config.pace = Pace {
            light: NEVER,
            orders: NEVER,
            cycle: NEVER,
            deep: NEVER,
            marks: NEVER,
            book: NEVER,
            recheck: RECHECK,
            ..Pace::default()
        };
        // The exchange's clock is the lease's as well, and jumps.
        config.lease = NEVER;
        let (reader, streams) = (account.reader.clone(), account.streams.clone());
        let watcher = Watcher::new(reader, streams, world.book.clone(), world.clock.clone(), config);
        let told: Arc<Mutex<Vec<Happening>>> = Arc::default();
        let teller: Teller = {
            let told = Arc::clone(&told);
            Arc::new(move |happening: &Happening| {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(happening.clone());
            })
        };
        let (switch, stop) = StopSwitch::new();
        let task = {
            let watcher = watcher.clone();
            tokio::spawn(async move { watcher.run(stop, teller).await })
        };
        Ok(Self { world, account, watcher, switch, task, told, began_with, is_dropping: false, dropped: 0 })
    }

    /// Whether the account holds anything in a contract.
    fn holds(&self, symbol: &str) -> bool {
        let books = self.world.simulator.books();
        books.account(&self.account.alias).is_some_and(|truth| truth.positions.iter().any(|it| it.symbol == symbol))
    }

    /// Whether the stream tells nothing of fills from now on.
    fn drop_fills(&mut self, is_dropping: bool) {
        self.is_dropping = is_dropping;
        let usual = self.world.simulator.config().faults;
        let dropping = StreamFaults { dropped: 1_000, only: OF_FILLS, ..usual.stream };
        let stream = if is_dropping { dropping } else { usual.stream };
        self.world.simulator.set_faults(FaultProfile { stream, ..usual });
    }

    /// How many fills the exchange executed since it began.
    fn executed(&self) -> u64 {
        executed(self.world, self.account).saturating_sub(self.began_with.0)
    }

    /// How many fills came to be on record since it began.
    async fn recorded(&self) -> Result<u64, CommandError> {
        Ok(recorded(self.world, self.account).await?.saturating_sub(self.began_with.1))
    }

    /// Whether every fill is on record that the stream did not drop, with its fee: the whole of it comes last.
    async fn has_what_was_told(&self) -> Result<bool, CommandError> {
        let told = self.executed().saturating_sub(self.dropped);
        if self.recorded().await? < told {
            return Ok(false);
        }
        let newest = PageRequest::newest(u32::try_from(told).unwrap_or(u32::MAX));
        let filter = FillFilter::from(Scope::account(self.account.id.clone()));
        Ok(self.world.book.fills(&filter, newest).await?.items.iter().all(|fill| fill.fact.fee.is_some()))
    }

    /// Asks for a look at what the account holds, waits until it has led to a repair, and answers what was said of that.
    async fn look(&self) -> Result<String, CommandError> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.watcher.look();
        self.until_told(&[HappeningKind::Restored], "a repair").await
    }

    /// Waits until all of `kinds` were told. Answers the text of the last one.
    async fn until_told(&self, kinds: &[HappeningKind], what: &'static str) -> Result<String, CommandError> {
        let text_of = |kind: &HappeningKind| {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.iter().find(|told| told.kind == *kind).map(|told| told.text.clone())
        };
        self.until(what, async || Ok(kinds.iter().all(|kind| text_of(kind).is_some()))).await?;
        Ok(kinds.last().and_then(text_of).unwrap_or_default())
    }

    /// Waits until something is so, as long as the watcher runs.
    async fn until(
        &self,
        what: &'static str,
        is_so: impl AsyncFn() -> Result<bool, CommandError>,
    ) -> Result<(), CommandError> {
        let account = || self.account.id.to_string();
        let waiting = async {
            while !is_so().await? {
                if self.watcher.has_ended() {
                    return Err(failed(Failure::Ended { account: account() }));
                }
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_elapsed| {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let said = told.iter().map(|told| told.text.as_str()).collect::<Vec<_>>().join("; ");
            Err(failed(Failure::Late { account: account(), what, said }))
        })
    }

    /// Ends it, and waits until it has ended.
    async fn end(mut self) -> Result<(), CommandError> {
        self.switch.stop();
        match tokio::time::timeout(PATIENCE, &mut self.task).await {
            Ok(Ok(ended)) => Ok(ended?),
            Ok(Err(_)) => Err(failed(Failure::Ended { account: self.account.id.to_string() })),
            Err(_elapsed) => {
                let said = String::new();
                Err(failed(Failure::Late { account: self.account.id.to_string(), what: "its end", said }))
            }
        }
    }
}

/// How many fills the exchange ever executed for an account.
fn executed(world: &DemoWorld, account: &DemoAccount) -> u64 {
    let books = world.simulator.books();
    books.account(&account.alias).map_or(0, |truth| truth.trades.len() as u64)
}

/// How many of its fills are on record.
async fn recorded(world: &DemoWorld, account: &DemoAccount) -> Result<u64, CommandError> {
    Ok(world.book.fill_count(&FillFilter::from(Scope::account(account.id.clone()))).await?)
}
