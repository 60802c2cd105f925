//! `fillbook watch`: the book is kept in line with its exchanges until a signal ends it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::VENUE;
use ledger_core::AccountId;
use ledger_store::{Book, FirstAccount, NewAccount, StoreError};
use reconciler::service::{
    Happening, HappeningKind, Pace, Service, StopSwitch, Teller, WatchConfig, WatchError, Watcher,
};
use reconciler::{EventRecorder, agreed_identity};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::bot_files::{Files, LOOK_EVERY};
use crate::Context;
use crate::args::WatchArgs;
use crate::config::AccountSettings;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::times::show_time;
use crate::wiring::{Access, Exchanges, Interruption, open_book, open_for_recording, supervisor};

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
const END_PATIENCE: Duration = Duration::from_secs(4);

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
    let watchers = watchers(args, &targets, context).await?;
    let mut files = bot_files(args, &targets, context).await?;
    let (switch, stop) = StopSwitch::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let teller: Teller = Arc::new(move |happening: &Happening| {
        // Nobody listens any more once the command has ended.
        let _ = tell.send(happening.clone());
    });
    let mut pulse = Pulse::new(watchers.clone());
    let patience = supervisor::patience().map_or(Duration::from_hours(1), |patience| patience / 3);
    // The accounts that are neither watched nor refused yet, and whether any account is watched.
    let (mut waiting, mut has_begun): (BTreeSet<AccountId>, bool) =
        (watchers.iter().map(|watcher| watcher.account().clone()).collect(), false);
    supervisor::status("catching up");
    let running = Service::new(watchers).run(stop, teller);
    tokio::pin!(running);
    let mut feed = tokio::time::interval(patience);
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
                show(&happening, context)?;
                has_begun |= happening.kind == HappeningKind::Watching;
                let is_settled = matches!(happening.kind, HappeningKind::Watching | HappeningKind::Ended);
                // One that cannot be watched keeps the others from nothing.
                if is_settled && waiting.remove(&happening.account) && waiting.is_empty() && has_begun {
                    supervisor::ready();
                }
                supervisor::status(&happening.text);
            }
            _ = feed.tick() => {
                if pulse.has_moved() {
                    supervisor::alive();
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
        show(&happening, context)?;
    }
    judge(ended, targets.len(), context)
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

/// The accounts, each with its exchange; the book is made where there is none.
async fn watchers(
    args: &WatchArgs,
    targets: &[AccountSettings],
    context: &mut Context,
) -> Result<Vec<Watcher>, CommandError> {
    let mut exchanges = Exchanges::new(context.output.secrets().clone());
    let mut book: Option<Book> = match open_book(&context.settings, Access::Write).await {
        Ok(open) => Some(open),
        Err(StoreError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let weight_percent = args.weight_percent.or(context.settings.weight_percent);
    let mut prepared = Vec::with_capacity(targets.len());
    for target in targets {
        let known = match &book {
            Some(open) => open.account(&target.id).await?,
            None => None,
        };
        let venue = known.as_ref().map_or(target.venue.as_str(), |account| account.venue.as_str());
        if venue != VENUE.name {
            let refusal = Refusal::NoAdapter { account: target.id.clone(), venue: venue.to_owned() };
            return Err(CommandError::new(ExitCode::Error, refusal).hint("`fillbook import FILE...` reads its exports"));
        }
        if let (None, Some(open), false) = (&known, &book, target.is_configured) {
            // A mistyped name must not become an account.
            if !open.accounts().await?.is_empty() {
                super::check_account(open.as_ref(), &target.id).await?;
            }
        }
        let bound = known.as_ref().and_then(|account| account.identity.as_ref()).map(|known| known.base_url.clone());
        let base_url = args.base_url.clone().or_else(|| target.base_url.clone()).or(bound);
        let base_url = base_url.unwrap_or_else(|| VENUE.base_url.to_owned());
        let stream_url = args.stream_url.clone().or_else(|| target.stream_url.clone());
        let clock = context.clock.clone();
        let (exchange, streams) = exchanges.with_streams(target, &base_url, stream_url, weight_percent, clock)?;
        if book.is_none() {
            // A book is made only for an exchange that answers: a mistyped key leaves no file behind.
            agreed_identity(exchange.as_ref()).await?;
            let account =
                NewAccount { id: target.id.clone(), venue: VENUE.name.to_owned(), created_local: context.clock.now() };
            let first = FirstAccount { account, position_mode: None };
            book = Some(crate::wiring::create(&context.settings, first)?.0);
        }
        prepared.push((target, base_url, exchange, streams));
    }
    let Some(book) = book else { return Ok(Vec::new()) };
    let share = u32::from(weight_percent.unwrap_or(WEIGHT_PERCENT));
    let weight_1m = VENUE.weight_1m_max.saturating_mul(share) / 100;
    let addresses: Vec<String> = prepared.iter().map(|(_, base_url, ..)| base_url.clone()).collect();
    let holder = crate::wiring::holder();
    Ok(prepared
        .into_iter()
        .zip(0_u32..)
        .map(|((target, base_url, exchange, streams), number)| {
            let mut config = WatchConfig::new(target.id.clone(), holder.clone());
            let beside = addresses.iter().filter(|other| **other == base_url).count();
            config.pace = Pace::default().shared(beside, weight_1m);
            config.waits = args.wait;
            config.seed = crate::wiring::seed().wrapping_add(number);
            let ids = context.settings.for_account(&target.id).ids().schemes.clone();
            config.reconcile.policy.schemes.extend(ids);
            let (book, clock) = (Arc::clone(&book), context.clock.clone());
            Watcher::new(exchange, streams.of_account, book, clock, config).hearing_marks(streams.of_marks)
        })
        .collect())
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

/// What the ends of all accounts come to.
fn judge(
    ended: Vec<(AccountId, Result<(), WatchError>)>,
    count: usize,
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let mut code = ExitCode::Fine;
    for (account, result) in ended {
        let Err(error) = result else { continue };
        let error = CommandError::from(error);
        if count == 1 {
            return Err(error);
        }
        code = code.worst(error.exit_code);
        if context.output.format == Format::Json {
            let mut object = error.as_json();
            object.insert("schema".to_owned(), "fillbook.watch.error/1".into());
            object.insert("account".to_owned(), account.as_str().into());
            context.output.json(&Value::from(object))?;
        }
        context.output.complain(&format!("account {account}: {error}"));
    }
    Ok(code)
}

/// Whether every account moves.
struct Pulse {
    watchers: Vec<Watcher>,
    beats: Vec<u64>,
}

impl Pulse {
    fn new(watchers: Vec<Watcher>) -> Self {
        let beats = vec![0; watchers.len()];
        Self { watchers, beats }
    }

    /// Whether each of them did something since this was asked last; one that has ended is not waited for.
    fn has_moved(&mut self) -> bool {
        let beats: Vec<u64> = self.watchers.iter().map(Watcher::beats).collect();
        let mut pairs = beats.iter().zip(&self.beats).zip(&self.watchers);
        let has_moved = pairs.all(|((now, before), watcher)| now > before || watcher.has_ended());
        self.beats = beats;
        has_moved
    }
}
