//! `fillbook watch`: the book is kept in line with its exchanges until a signal ends it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::ExchangeReader;
use exchange_client::binance_usdm::VENUE;
use ledger_core::AccountId;
use ledger_store::{Book, FirstAccount, NewAccount, StoreError};
use reconciler::service::{
    Happening, HappeningKind, Pace, Service, StopSwitch, Teller, WatchConfig, WatchError, Watcher,
};
use reconciler::{EventRecorder, agreed_identity};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bot_files::{Files, LOOK_EVERY};
use crate::Context;
use crate::args::WatchArgs;
use crate::config::AccountSettings;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::times::show_time;
use crate::wiring::{Access, Exchanges, Interruption, Streams, open_book, open_for_recording, supervisor};

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{option} is about one account, and fillbook.toml has {count}")]
    OneAccount { option: &'static str, count: usize },
    #[error("account `{account}` is at the venue `{venue}`, which fillbook can only import files of")]
    NoAdapter { account: AccountId, venue: String },
    #[error("a list of what happens has no end, so there is no CSV of it")]
    NotAList,
}

/// How long the end may take, with nothing half written: what does not come to its end in that is left to the next start.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// While it starts, it asks the service manager for more time: how often, and for how much.
const START_EVERY: Duration = Duration::from_secs(10);
const START_PATIENCE: Duration = Duration::from_mins(1);

/// How far apart two signs of life of a watcher that moves are at most: a third of what its lease lasts, and a little.
const SIGN_MAX: Duration = Duration::from_secs(15);

/// The share of the weight that the looks of all accounts together may use, where nothing else is set, in percent.
const WEIGHT_PERCENT: u16 = 40;

/// Watches every account that is meant, until a signal comes.
///
/// # Errors
/// When an account cannot be watched and there is no other one.
pub async fn run(args: &WatchArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let targets = context.settings.targets();
    refuse(args, targets.len(), context)?;
    let mut interruption = Interruption::listen()?;
    let (watchers, refused) = watchers(args, &targets, context).await?;
    let mut files = bot_files(args, &targets, context).await?;
    let (switch, stop) = StopSwitch::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let teller: Teller = Arc::new(move |happening: &Happening| {
        // Nobody listens any more once the command has ended.
        let _ = tell.send(happening.clone());
    });
    let (lives, mut pulse) = (watchers.clone(), Pulse::new(watchers.len(), Instant::now()));
    let mut has_moved = move || {
        let signs: Vec<_> = lives.iter().map(|watcher| (watcher.beats(), watcher.has_ended())).collect();
        pulse.has_moved(Instant::now(), &signs)
    };
    let patience = supervisor::patience().map_or(Duration::from_hours(1), |patience| patience / 3);
    // The accounts that are neither watched nor refused yet, and whether any account is watched.
    let (mut waiting, mut has_begun): (BTreeSet<AccountId>, bool) =
        (watchers.iter().map(|watcher| watcher.account().clone()).collect(), false);
    let (mut status, mut is_ready) = ("catching up".to_owned(), false);
    supervisor::status(&status);
    // A single account's error is the command's own: it is printed once, at the end.
    let mut last_word = None;
    let running = Service::new(watchers).run(stop, teller);
    tokio::pin!(running);
    let mut feed = tokio::time::interval(patience);
    let mut start = tokio::time::interval(START_EVERY);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            biased;
            () = interruption.wait() => {
                supervisor::stopping();
                switch.stop();
                break tokio::time::timeout(END_PATIENCE, &mut running).await.unwrap_or_default();
            }
            Some(happening) = told.recv() => {
                has_begun |= happening.kind == HappeningKind::Watching;
                let is_settled = matches!(happening.kind, HappeningKind::Watching | HappeningKind::Ended);
                // One that cannot be watched keeps the others from nothing.
                if is_settled && waiting.remove(&happening.account) && waiting.is_empty() && has_begun {
                    is_ready = true;
                    supervisor::ready();
                }
                status.clone_from(&happening.text);
                supervisor::status(&status);
                pass_on(happening, targets.len(), &mut last_word, context)?;
            }
            _ = feed.tick() => {
                if has_moved() {
                    supervisor::alive();
                }
            }
            // Who waits for another one to end, or for an exchange that does not answer, starts still.
            _ = start.tick(), if !is_ready => {
                if has_moved() {
                    supervisor::starting(START_PATIENCE, &status);
                }
            }
            _ = look.tick(), if files.is_some() => {
                if let Some((files, recorder)) = &mut files {
                    files.look(recorder, context).await;
                }
            }
            ended = &mut running => break ended,
        }
    };
    while let Ok(happening) = told.try_recv() {
        pass_on(happening, targets.len(), &mut last_word, context)?;
    }
    judge(ended, &refused, (targets.len(), last_word), context)
}

/// Says what happened, but for the end of the only account.
fn pass_on(
    happening: Happening,
    count: usize,
    last_word: &mut Option<Happening>,
    context: &mut Context,
) -> Result<(), CommandError> {
    if count == 1 && happening.kind == HappeningKind::Ended {
        *last_word = Some(happening);
        return Ok(());
    }
    show(&happening, context)
}

fn refuse(args: &WatchArgs, count: usize, context: &Context) -> Result<(), CommandError> {
    if context.output.format == Format::Csv {
        return Err(CommandError::new(ExitCode::Usage, Refusal::NotAList).hint("--json, or without --csv"));
    }
    let options = [
        ("--base-url", args.base_url.is_some()),
        ("--stream-url", args.stream_url.is_some()),
        ("--entry-events", args.entry_events.is_some()),
        ("--state", args.state.is_some()),
    ];
    match options.into_iter().find(|(_, is_given)| *is_given && count > 1) {
        Some((option, _)) => {
            let refusal = Refusal::OneAccount { option, count };
            Err(CommandError::new(ExitCode::Usage, refusal).hint("name one of them with --account"))
        }
        None => Ok(()),
    }
}

/// An account whose exchange can be asked.
struct Prepared<'a> {
    target: &'a AccountSettings,
    base_url: String,
    exchange: Arc<dyn ExchangeReader>,
    streams: Streams,
}

/// The accounts that a command cannot watch, and why.
type Refused = Vec<(AccountId, CommandError)>;

/// The accounts, each with its exchange; the book is made where there is none. Of several accounts those
/// that cannot be watched are told and returned; the others are watched.
async fn watchers(
    args: &WatchArgs,
    targets: &[AccountSettings],
    context: &mut Context,
) -> Result<(Vec<Watcher>, Refused), CommandError> {
    // A channel that is not set up right ends the command before a book is made.
    let (zone, clock) = (context.output.zone.time_zone().clone(), context.clock.clone());
    let told = targets.iter().map(|target| target.id.clone());
    let telling = crate::wiring::telling(&context.settings, told, context.output.secrets(), clock, zone)?;
    let mut exchanges = Exchanges::new(context.output.secrets().clone());
    let book: Option<Book> = match open_book(&context.settings, Access::Watch).await {
        Ok(open) => Some(open),
        Err(StoreError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let weight_percent = args.weight_percent.or(context.settings.weight_percent);
    let (mut prepared, mut refused) = (Vec::with_capacity(targets.len()), Refused::new());
    for target in targets {
        match prepare(args, target, book.as_ref(), &mut exchanges, context).await {
            Ok(account) => prepared.push(account),
            Err(error) if targets.len() == 1 => return Err(error),
            Err(error) => {
                complain(&target.id, &error, context)?;
                refused.push((target.id.clone(), error));
            }
        }
    }
    if let Some((_, error)) = refused.pop_if(|_| prepared.is_empty()) {
        return Err(error);
    }
    let book = match book {
        Some(open) => Some(open),
        None => make_book(&prepared, context).await?,
    };
    let Some(book) = book else { return Ok((Vec::new(), refused)) };
    let share = u32::from(weight_percent.unwrap_or(WEIGHT_PERCENT));
    let weight_1m = VENUE.weight_1m_max.saturating_mul(share) / 100;
    let addresses: Vec<String> = prepared.iter().map(|account| account.base_url.clone()).collect();
    let holder = crate::wiring::holder();
    let watchers = prepared.into_iter().zip(0_u32..).map(|(account, number)| {
        let Prepared { target, base_url, exchange, streams } = account;
        let mut config = WatchConfig::new(target.id.clone(), holder.clone());
        let beside = addresses.iter().filter(|other| **other == base_url).count();
        config.pace = Pace::default().shared(beside, weight_1m);
        config.waits = args.wait;
        config.seed = crate::wiring::seed().wrapping_add(number);
        let ids = context.settings.for_account(&target.id).ids().schemes.clone();
        config.reconcile.policy.schemes.extend(ids);
        let (book, clock) = (Arc::clone(&book), context.clock.clone());
        let watcher = Watcher::new(exchange, streams.of_account, book, clock, config);
        let watcher = watcher.hearing_marks(streams.of_marks);
        match &telling {
            Some(telling) => watcher.telling(telling.clone()),
            None => watcher,
        }
    });
    Ok((watchers.collect(), refused))
}

/// An account with its exchange. Asks nothing yet.
async fn prepare<'a>(
    args: &WatchArgs,
    target: &'a AccountSettings,
    book: Option<&Book>,
    exchanges: &mut Exchanges,
    context: &Context,
) -> Result<Prepared<'a>, CommandError> {
    let known = match book {
        Some(open) => open.account(&target.id).await?,
        None => None,
    };
    let venue = known.as_ref().map_or(target.venue.as_str(), |account| account.venue.as_str());
    if venue != VENUE.name {
        let refusal = Refusal::NoAdapter { account: target.id.clone(), venue: venue.to_owned() };
        return Err(CommandError::new(ExitCode::Error, refusal).hint("`fillbook import FILE...` reads its exports"));
    }
    if let (None, Some(open), false) = (&known, book, target.is_configured) {
        // A mistyped name must not become an account.
        if !open.accounts().await?.is_empty() {
            super::check_account(open.as_ref(), &target.id).await?;
        }
    }
    let bound = known.as_ref().and_then(|account| account.identity.as_ref()).map(|known| known.base_url.clone());
    let base_url = args.base_url.clone().or_else(|| target.base_url.clone()).or(bound);
    let base_url = base_url.unwrap_or_else(|| VENUE.base_url.to_owned());
    let stream_url = args.stream_url.clone().or_else(|| target.stream_url.clone());
    let weight_percent = args.weight_percent.or(context.settings.weight_percent);
    let clock = context.clock.clone();
    let (exchange, streams) = exchanges.with_streams(target, &base_url, stream_url, weight_percent, clock)?;
    Ok(Prepared { target, base_url, exchange, streams })
}

/// A book for the first account whose exchange answers: a mistyped key leaves no file behind. Those that do not answer are watched
/// like those of a book that is there: each says why it is not.
///
/// # Errors
/// Why the first account did not answer, where none did.
async fn make_book(prepared: &[Prepared<'_>], context: &Context) -> Result<Option<Book>, CommandError> {
    let mut why = None;
    for account in prepared {
        match agreed_identity(account.exchange.as_ref()).await {
            Ok(_) => {
                let id = account.target.id.clone();
                let new = NewAccount { id, venue: VENUE.name.to_owned(), created_local: context.clock.now() };
                let first = FirstAccount { account: new, position_mode: None };
                // The handle that made it waits longer than a watcher may.
                drop(crate::wiring::create(&context.settings, first)?);
                return Ok(Some(open_book(&context.settings, Access::Watch).await?));
            }
            Err(error) => why = why.or(Some(error)),
        }
    }
    why.map_or(Ok(None), |error| Err(error.into()))
}

/// The bot's own files, and who records what is in them.
async fn bot_files(
    args: &WatchArgs,
    targets: &[AccountSettings],
    context: &Context,
) -> Result<Option<(Files, EventRecorder)>, CommandError> {
    let (Some(target), true) = (targets.first(), args.entry_events.is_some() || args.state.is_some()) else {
        return Ok(None);
    };
    let zone = context.output.zone.time_zone().clone();
    let files = Files::new(args.entry_events.clone(), args.state.clone(), zone);
    let store = open_for_recording(&context.settings)?;
    let account = target.id.clone();
    let new = NewAccount { id: account.clone(), venue: VENUE.name.to_owned(), created_local: context.clock.now() };
    store.create_account(new).await?;
    let recorder = EventRecorder::open(store, account, context.clock.clone()).await?;
    Ok(Some((files, recorder.wording_ids(context.settings.for_account(&target.id).ids().schemes.clone()))))
}

/// Says what happened: a line for people, an object for programs.
fn show(happening: &Happening, context: &mut Context) -> Result<(), CommandError> {
    let Happening { account, at_local, kind, text } = happening;
    if context.output.format == Format::Json {
        context.output.json(&json!({
            "schema": "fillbook.watch/1", "account": account.as_str(), "at_local": at_local.as_ms(),
            "kind": kind.as_str(), "text": text,
        }))?;
        return Ok(context.output.flush()?);
    }
    let at = show_time(*at_local, &context.output.zone.clone());
    context.output.remark(&format!("{at} {account}: {text}"));
    Ok(())
}

/// The command's result from those of its accounts. With several accounts each error was printed when its account ended.
fn judge(
    ended: Vec<(AccountId, Result<(), WatchError>)>,
    refused: &Refused,
    (count, last_word): (usize, Option<Happening>),
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let mut code = refused.iter().fold(ExitCode::Fine, |code, (_, error)| code.worst(error.exit_code));
    let is_json = context.output.format == Format::Json;
    let has_failed = ended.iter().any(|(_, result)| result.is_err());
    if let Some(last_word) = last_word.filter(|_| is_json || !has_failed) {
        show(&last_word, context)?;
    }
    for (account, result) in ended {
        let Err(error) = result else { continue };
        let is_told = !matches!(error, WatchError::Broken { .. });
        let error = CommandError::from(error);
        if count == 1 {
            return Err(error);
        }
        code = code.worst(error.exit_code);
        if is_json || !is_told {
            complain(&account, &error, context)?;
        }
    }
    Ok(code)
}

/// Says that one of several accounts is not watched.
fn complain(account: &AccountId, error: &CommandError, context: &mut Context) -> Result<(), CommandError> {
    if context.output.format == Format::Json {
        let mut object = error.as_json();
        object.insert("schema".to_owned(), "fillbook.watch.error/1".into());
        object.insert("account".to_owned(), account.as_str().into());
        context.output.json(&Value::from(object))?;
        context.output.flush()?;
    }
    context.output.complain(&format!("account {account}: {error}"));
    Ok(())
}

/// Whether every account moves.
struct Pulse {
    /// How many signs of life each has given, and when that was seen to grow.
    seen: Vec<(u64, Instant)>,
}

impl Pulse {
    fn new(count: usize, now: Instant) -> Self {
        Self { seen: vec![(0, now); count] }
    }

    /// Whether each of them has moved lately, by its number of signs so far; one that has ended is not waited for.
    fn has_moved(&mut self, now: Instant, signs: &[(u64, bool)]) -> bool {
        for ((signs, at), (count, _)) in self.seen.iter_mut().zip(signs) {
            if count > signs {
                (*signs, *at) = (*count, now);
            }
        }
        let mut pairs = self.seen.iter().zip(signs);
        pairs.all(|((_, at), (_, has_ended))| *has_ended || now.duration_since(*at) <= SIGN_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_only_while_every_account_moves() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(2, start);
        assert!(pulse.has_moved(at(1), &[(0, false), (0, false)]), "they begin");
        // However short the watchdog's patience is, signs every ten seconds are enough.
        for second in 1..60 {
            let signs = second / 10;
            assert!(pulse.has_moved(at(second), &[(signs, false), (signs, false)]), "{second}");
        }
        // One is stuck.
        assert!(pulse.has_moved(at(60), &[(6, false), (5, false)]));
        assert!(!pulse.has_moved(at(70), &[(7, false), (5, false)]));
        assert!(!pulse.has_moved(at(80), &[(8, false), (5, false)]));
        assert!(pulse.has_moved(at(81), &[(8, false), (6, false)]), "it moves again");
        // One that has ended keeps nobody.
        assert!(pulse.has_moved(at(100), &[(10, false), (6, true)]));
    }
}
