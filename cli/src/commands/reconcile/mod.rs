//! `fillbook sync` and `fillbook audit`: the book against its exchange.
//!
//! Both look at the same; `audit` opens the book for reading only. Several accounts are looked at one after the other, and
//! one that fails stops none of the others. A signal ends the work between two steps: what was committed stays, the rest
//! is for the next run.

mod labels;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use exchange_client::ExchangeReader;
use exchange_client::binance_usdm::VENUE;
use ledger_core::AccountId;
use ledger_store::{Account, NewAccount, StoreError};
use reconciler::{CycleReport, Reconciler, ReconcilerConfig};
use serde_json::json;

use super::rebuild::count;
use crate::Context;
use crate::args::ReconcileArgs;
use crate::config::AccountSettings;
use crate::error::{CommandError, ExitCode};
use crate::output::{Format, Output};
use crate::wiring::{Access, Exchanges, Interruption, OpenBook, open_book};

/// How often it is shown how far a cycle is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

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
    let mut exchanges = Exchanges::default();
    let mut code = ExitCode::Fine;
    for (at, target) in targets.iter().enumerate() {
        if at > 0 && context.output.format == Format::Table {
            context.output.line("")?;
        }
        let outcome = tokio::select! {
            biased;
            () = interruption.wait() => None,
            outcome = one(mode, target, args, &mut exchanges, context) => Some(outcome),
        };
        let error = match outcome {
            None => {
                context.output.remark("Interrupted. What was recorded stays; the next run goes on.");
                return Ok(ExitCode::Interrupted);
            }
            Some(Ok(worst)) => {
                code = code.worst(worst);
                continue;
            }
            Some(Err(error)) => error,
        };
        if targets.len() == 1 || error.broken_pipe {
            return Err(error);
        }
        code = code.worst(error.exit_code);
        if context.output.format == Format::Json {
            context.output.json(&json!({
                "schema": "fillbook.reconcile.error/1", "command": mode.as_str(), "account": target.id.as_str(),
                "error": error.to_string(), "exit_code": error.exit_code.as_u8(),
            }))?;
        }
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
    let known = match mode {
        Mode::Audit => Some(open_book(&settings, Access::Read).map_err(|error| missing(error, target))?),
        Mode::Sync => match open_book(&settings, Access::Write) {
            Ok(open) => Some(open),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let account = match &known {
        Some(open) => known_account(mode, target, open).await?,
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
    let exchange = exchanges.of(target, &base_url, weight_percent, context.clock.clone())?;
    context.output.progress(&format!("account {}: asking {base_url}", target.id));
    let open = match (known, account) {
        (Some(open), Some(_)) => open,
        (known, _) => {
            // A book is made only for an exchange that answers: a mistyped key leaves no file behind.
            exchange.account_identity().await?;
            let open = match known {
                Some(open) => open,
                None => open_book(&settings, Access::Create)?,
            };
            create(target, &open, context).await?;
            open
        }
    };
    let mut config = ReconcilerConfig::new(target.id.clone());
    config.observe.labels = labels::read(args, &mut context.output)?;
    config.observe.symbols = args.symbol.iter().cloned().collect::<BTreeSet<_>>();
    config.observe.since = args.since.map(|since| since.instant(&context.output.zone)).transpose()?;
    let asked = exchange.clone();
    let reconciler = Reconciler { exchange, book: open.book, clock: context.clock.clone(), config };
    let report: CycleReport = match mode {
        Mode::Sync => beside(reconciler.sync(), &target.id, asked.as_ref(), &mut context.output).await?,
        Mode::Audit => beside(reconciler.audit(), &target.id, asked.as_ref(), &mut context.output).await?,
    };
    report::print(mode, &target.id, &base_url, &report, context)
}

/// Waits for a cycle, and shows meanwhile how much was asked: a first sync of a long history takes its minutes, and one that
/// has used its share of the exchange's budget waits for the next minute.
async fn beside<T>(
    cycle: impl Future<Output = T>,
    account: &AccountId,
    exchange: &dyn ExchangeReader,
    output: &mut Output,
) -> T {
    let mut cycle = std::pin::pin!(cycle);
    let mut before = None;
    loop {
        tokio::select! {
            biased;
            done = &mut cycle => return done,
            () = tokio::time::sleep(PROGRESS_EVERY) => {}
        }
        let usage = exchange.usage();
        let waits = if before == Some(usage.requests) { "; waiting for the exchange" } else { "" };
        before = Some(usage.requests);
        output.progress(&format!(
            "account {account}: {} of weight {}{waits}",
            count(usage.requests, "request"),
            usage.weight
        ));
    }
}

/// The account as the book has it. One that the book lacks is made by a first sync if the book has none at all or the
/// configuration names it: a mistyped name must not become an account.
async fn known_account(mode: Mode, target: &AccountSettings, open: &OpenBook) -> Result<Option<Account>, CommandError> {
    if let Some(account) = open.store.account(&target.id).await? {
        return Ok(Some(account));
    }
    let may_be_made = target.is_configured || open.store.accounts().await?.is_empty();
    if mode == Mode::Sync && may_be_made {
        return Ok(None);
    }
    super::check_account(open.store.as_ref(), &target.id).await?;
    Ok(None)
}

async fn create(target: &AccountSettings, open: &OpenBook, context: &mut Context) -> Result<(), CommandError> {
    let (id, venue) = (target.id.clone(), VENUE.name.to_owned());
    let account = NewAccount { id, venue, created_local: context.clock.now() };
    open.store.create_account(account).await?;
    let db = context.settings.db.display();
    let made =
        format!("Account {} is new in {db}; its history is read as far back as the exchange answers.", target.id);
    context.output.remark(&made);
    Ok(())
}

fn missing(error: StoreError, target: &AccountSettings) -> CommandError {
    match error {
        StoreError::Missing { .. } => CommandError::new(ExitCode::Error, error)
            .hint(format!("`fillbook sync --account {}` makes a book from the exchange's history", target.id))
            .hint("--db names another one"),
        other => other.into(),
    }
}
