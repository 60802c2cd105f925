//! `fillbook sync` and `fillbook audit`: the book against its exchange.
//!
//! Both look at the same; `audit` opens the book for reading only. Several accounts are looked at one after the other, and
//! one that fails stops none of the others. A signal ends the work between two steps: what was committed stays, the rest
//! is for the next run.

mod labels;
mod lists;
mod report;
mod waiting;

use std::collections::BTreeSet;

use exchange_client::ExchangeReader;
use exchange_client::binance_usdm::VENUE;
use ledger_core::{AccountId, Symbol, TimestampMs};
use ledger_store::{
    Account, Book, ExchangeIdentity, FirstAccount, LookFailure, LookFailureKind, NewAccount, PageRequest, RunFilter,
    RunKind, RunStatus, Store, StoreError,
};
use reconciler::{CycleReport, Reconciler, ReconcilerConfig, agreed_identity, record_failed_look};
use serde_json::json;

use self::waiting::{Question, Waiting, beside};
use crate::Context;
use crate::args::ReconcileArgs;
use crate::config::AccountSettings;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::times::show_time;
use crate::wiring::{Access, Exchanges, Interruption, open_book};

/// Whether the book may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Record what is missing.
    Sync,
    /// Change nothing at all.
    Audit,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Audit => "audit",
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("--base-url is the address of one exchange, and fillbook.toml has {count} accounts")]
    OneAddress { count: usize },
    #[error("account `{account}` is at the venue `{venue}`, which fillbook can only import files of")]
    NoAdapter { account: AccountId, venue: String },
    #[error(
        "account `{account}` cannot be bound to {offered}: account `{other}` of this book is bound to it already, and every \
         report of both together would count it twice"
    )]
    BoundElsewhere { account: AccountId, other: AccountId, offered: String },
    #[error("neither the book nor the exchange knows the contract `{symbol}`; {suggestion}")]
    UnknownSymbol { symbol: Symbol, suggestion: String },
    #[error("--since is {since}, and it is only {now}: nothing has happened since then")]
    Future { since: String, now: String },
}

/// Compares every account that is meant with its exchange, and prints what came of it.
///
/// # Errors
/// When the only account cannot be compared at all; with several, that is told and the others go on.
pub async fn run(mode: Mode, args: &ReconcileArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let targets = context.settings.targets();
    if args.base_url.is_some() && targets.len() > 1 {
        return Err(CommandError::new(ExitCode::Usage, Refusal::OneAddress { count: targets.len() })
            .hint("name one of them with --account, or give each its base_url in the file"));
    }
    let mut interruption = Interruption::listen()?;
    let mut exchanges = Exchanges::new(context.output.secrets().clone());
    let mut code = ExitCode::Fine;
    let mut has_told = false;
    for target in &targets {
        if has_told && context.output.format == Format::Table {
            context.output.line("")?;
        }
        let started = context.clock.now();
        let outcome = tokio::select! {
            biased;
            () = interruption.wait() => None,
            outcome = one(mode, target, args, &mut exchanges, context) => Some(outcome),
        };
        let error = match outcome {
            None => {
                let has_recorded = mode == Mode::Sync && close_interrupted(target, args, started, context).await?;
                context.output.remark(if has_recorded {
                    "Interrupted. What was recorded stays; the next run goes on."
                } else {
                    "Interrupted before anything was recorded; the next run goes on."
                });
                return Ok(ExitCode::Interrupted);
            }
            Some(Ok(worst)) => {
                has_told = true;
                code = code.worst(worst);
                continue;
            }
            Some(Err(error)) => error,
        };
        if context.output.format == Format::Json && !error.broken_pipe {
            let mut object = error.as_json();
            object.insert("schema".to_owned(), "fillbook.reconcile.error/1".into());
            object.insert("command".to_owned(), mode.as_str().into());
            object.insert("account".to_owned(), target.id.as_str().into());
            context.output.json(&object.into())?;
        }
        if targets.len() == 1 || error.broken_pipe {
            return Err(error);
        }
        code = code.worst(error.exit_code);
        context.output.complain(&format!("account {}: {error}", target.id));
    }
    Ok(code)
}

async fn one(
    mode: Mode,
    target: &AccountSettings,
    args: &ReconcileArgs,
    exchanges: &mut Exchanges,
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let settings = context.settings.for_account(&target.id);
    let since = since(args, context)?;
    let labels = labels::read(args, &mut context.output)?;
    let known = match mode {
        Mode::Audit => Some(open_book(&settings, Access::Read).await.map_err(|error| missing(error, target))?),
        Mode::Sync => match open_book(&settings, Access::Write).await {
            Ok(open) => Some(open),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let account = match &known {
        Some(open) => known_account(mode, target, &**open).await?,
        None => None,
    };
    let venue = account.as_ref().map_or(target.venue.as_str(), |account| account.venue.as_str());
    if venue != VENUE.name {
        let refusal = Refusal::NoAdapter { account: target.id.clone(), venue: venue.to_owned() };
        return Err(CommandError::new(ExitCode::Error, refusal).hint("`fillbook import FILE...` reads its exports"));
    }
    let bound = account.as_ref().and_then(|account| account.identity.as_ref()).map(|known| known.base_url.clone());
    let base_url = args.base_url.clone().or_else(|| target.base_url.clone()).or(bound);
    let base_url = base_url.unwrap_or_else(|| VENUE.base_url.to_owned());
    let weight_percent = args.weight_percent.or(context.settings.weight_percent);
    let began = context.clock.now();
    let exchange = match exchanges.of(target, &base_url, weight_percent, context.clock.clone()) {
        Ok(exchange) => exchange,
        Err(error) => {
            // The exchange was never asked. `status` has to show why, so the failed look is recorded.
            if let (Some(open), Mode::Sync, true) = (&known, mode, args.symbol.is_empty()) {
                let span = (began, context.clock.now());
                record_failed_look(&**open, &target.id, span, &error.as_look_failure()).await?;
            }
            return Err(error);
        }
    };
    context.output.progress(&format!("account {}: asking {base_url}", target.id));
    let asked = exchange.clone();
    let before = asked.usage();
    let about = Waiting { account: &target.id, base_url: &base_url, exchange: asked.as_ref() };
    let is_bound = account.as_ref().is_some_and(|account| account.identity.is_some());
    // A book is made only for an exchange that answers: a mistyped key leaves no file behind.
    let identity = if is_bound {
        None
    } else {
        let asking = identity(target, known.as_ref(), exchange.as_ref());
        Some(beside(Question::Account, asking, about, context).await?)
    };
    let checking = check_symbols(args, target, known.as_ref(), exchange.as_ref());
    beside(Question::Contracts, checking, about, context).await?;
    let new = NewAccount { id: target.id.clone(), venue: VENUE.name.to_owned(), created_local: context.clock.now() };
    let open = if let Some(open) = known {
        open
    } else {
        let first = FirstAccount { account: new.clone(), position_mode: None };
        crate::wiring::create(&settings, first)?.0
    };
    if account.is_none() {
        // Another process may have made the book meanwhile.
        open.create_account(new).await?;
        tell_new(target, context);
    }
    if let (Some(identity), Mode::Sync) = (identity, mode) {
        // At once: should this run be interrupted, the next one asks the same exchange with this account's key.
        open.bind_identity(&target.id, identity).await?;
    }
    let mut config = ReconcilerConfig::new(target.id.clone());
    config.observe.labels = labels;
    config.policy.schemes.extend(settings.ids().schemes.iter().cloned());
    config.observe.symbols = args.symbol.iter().cloned().collect::<BTreeSet<_>>();
    config.observe.since = since;
    // What it took to know whom and what to ask about is part of what this costs.
    let greeted = asked.usage();
    config.spent_before =
        (greeted.requests.saturating_sub(before.requests), greeted.weight.saturating_sub(before.weight));
    let reconciler = Reconciler { exchange, book: open, clock: context.clock.clone(), config };
    let report: CycleReport = match mode {
        Mode::Sync => beside(Question::History, reconciler.sync(), about, context).await?,
        Mode::Audit => beside(Question::History, reconciler.audit(), about, context).await?,
    };
    report::print(mode, &target.id, &base_url, &report, context)
}

/// From when on everything is looked at again.
fn since(args: &ReconcileArgs, context: &Context) -> Result<Option<TimestampMs>, CommandError> {
    let zone = &context.output.zone;
    let Some(since) = args.since.map(|since| since.instant(zone)).transpose()? else { return Ok(None) };
    let now = context.clock.now();
    if since > now {
        let refusal = Refusal::Future { since: show_time(since, zone), now: show_time(now, zone) };
        return Err(CommandError::new(ExitCode::Usage, refusal).hint("--since with a time in the past, or without it"));
    }
    Ok(Some(since))
}

/// Who answers, by two answers, for an account that is not bound yet. Two accounts of a book are never the same one there.
async fn identity(
    target: &AccountSettings,
    known: Option<&Book>,
    exchange: &dyn ExchangeReader,
) -> Result<ExchangeIdentity, CommandError> {
    let answers = agreed_identity(exchange).await?;
    let offered = answers.to_string();
    let identity = ExchangeIdentity { base_url: answers.base_url, alias: Some(answers.account_alias) };
    let accounts = match known {
        Some(open) => open.accounts().await?,
        None => Vec::new(),
    };
    match accounts.into_iter().find(|other| other.id != target.id && other.identity.as_ref() == Some(&identity)) {
        None => Ok(identity),
        Some(other) => {
            let hint = format!("use the credentials of another account, or `--account {}`", other.id);
            let refusal = Refusal::BoundElsewhere { account: target.id.clone(), other: other.id, offered };
            Err(CommandError::new(ExitCode::Authentication, refusal).hint(hint))
        }
    }
}

/// Makes sure that every contract that was named is one: "nothing differs" about a typing error would be a lie.
async fn check_symbols(
    args: &ReconcileArgs,
    target: &AccountSettings,
    known: Option<&Book>,
    exchange: &dyn ExchangeReader,
) -> Result<(), CommandError> {
    let mut names: BTreeSet<Symbol> = match known {
        Some(open) => open.symbols(&target.id).await?.into_iter().collect(),
        None => BTreeSet::new(),
    };
    if args.symbol.iter().all(|symbol| names.contains(symbol)) {
        return Ok(());
    }
    let listed = exchange.fetch_instruments().await?;
    names.extend(listed.rows.into_iter().map(|instrument| instrument.entity.symbol));
    let Some(symbol) = args.symbol.iter().find(|symbol| !names.contains(*symbol)).cloned() else { return Ok(()) };
    let names = names.iter().map(ToString::to_string).collect();
    let suggestion = super::unseen::suggestion(symbol.as_str(), &names, "symbol");
    Err(CommandError::new(ExitCode::Usage, Refusal::UnknownSymbol { symbol, suggestion })
        .hint("--symbol as the exchange writes it, or without it for all contracts"))
}

/// Closes the run that the interrupted command has left open, and answers whether there is one: a run begins with the
/// first thing to record. Writes down that the look was interrupted.
async fn close_interrupted(
    target: &AccountSettings,
    args: &ReconcileArgs,
    started: TimestampMs,
    context: &Context,
) -> Result<bool, CommandError> {
    let open = match open_book(&context.settings.for_account(&target.id), Access::Write).await {
        Ok(open) => open,
        Err(StoreError::Missing { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if args.symbol.is_empty() {
        let reason = "somebody stopped it".to_owned();
        let failure = LookFailure { kind: LookFailureKind::Interrupted, reason };
        record_failed_look(&*open, &target.id, (started, context.clock.now()), &failure).await?;
        // It is on record now, and needs no sign beside the book.
        open.hold_look(&target.id, started).await?.finish();
    }
    let since = Some(started);
    let filter = RunFilter { kind: Some(RunKind::Sync), since, ..target.id.clone().into() };
    let Some(run) = open.runs(&filter, PageRequest::newest(1)).await?.items.pop() else { return Ok(false) };
    if run.status == RunStatus::Running {
        let detail = json!({ "interrupted": true }).to_string();
        open.end_run(run.id, RunStatus::Interrupted, context.clock.now(), Some(detail)).await?;
    }
    Ok(true)
}

/// The account as the book has it. One that the book lacks is made by a first sync if the book has none at all or the
/// configuration names it: a mistyped name must not become an account.
async fn known_account(
    mode: Mode,
    target: &AccountSettings,
    open: &dyn Store,
) -> Result<Option<Account>, CommandError> {
    if let Some(account) = open.account(&target.id).await? {
        return Ok(Some(account));
    }
    let may_be_made = target.is_configured || open.accounts().await?.is_empty();
    if mode == Mode::Sync && may_be_made {
        return Ok(None);
    }
    super::check_account(open, &target.id).await.map_err(|error| {
        let hint = format!("`fillbook sync --account {}` makes it from the exchange's history", target.id);
        if may_be_made { error.hint(hint) } else { error }
    })?;
    Ok(None)
}

fn tell_new(target: &AccountSettings, context: &mut Context) {
    let db = crate::output::shown_path(&context.settings.db);
    let made =
        format!("Account {} is new in {db}; its history is read as far back as the exchange answers.", target.id);
    context.output.remark(&made);
}

fn missing(error: StoreError, target: &AccountSettings) -> CommandError {
    match error {
        StoreError::Missing { .. } => CommandError::new(ExitCode::Error, error)
            .hint(format!("`fillbook sync --account {}` makes a book from the exchange's history", target.id))
            .hint("--db names another one"),
        other => other.into(),
    }
}
