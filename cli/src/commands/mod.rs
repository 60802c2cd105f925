//! The commands, one file each.

mod bot_files;
pub mod cancels;
pub mod demo;
pub mod discrepancies;
pub mod fills;
pub mod gate;
pub mod import;
pub mod income;
pub mod init;
pub mod intents;
mod journal;
pub mod orders;
pub mod positions;
pub mod rebuild;
pub mod reconcile;
pub mod record;
pub mod repairs;
pub mod report;
pub mod runs;
mod settled;
pub mod signals;
pub mod simulator;
pub mod status;
pub mod tell;
pub mod trips;
mod unseen;
pub mod verify;
pub mod watch;

use ledger_core::{AccountId, EventTime, Sourced, Symbol};
use ledger_store::{Book, FillFilter, Page, PageRequest, Pages, Scope, Store, StoreError, StoreResult};
use reconciler::{LookState, ReconcileError, look_state};

use self::unseen::Asked;
use crate::Context;
use crate::args::ScopeArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Format, Listing, Output};
use crate::times::TimeArgumentError;

/// How many items are read at once.
const PAGE: u32 = 1_000;
/// How many items a table shows unless told otherwise.
const TABLE_LIMIT: u64 = 50;

/// Where, of what and when a list is about, in the store's terms.
fn scope(args: &ScopeArgs, context: &Context) -> Result<Scope, CommandError> {
    let zone = &context.output.zone;
    let since = args.since.map(|since| since.instant(zone)).transpose()?;
    let until = args.until.map(|until| until.instant(zone)).transpose()?;
    if since.zip(until).is_some_and(|(since, until)| until <= since) {
        return Err(TimeArgumentError::Backwards.into());
    }
    Ok(Scope { account: context.settings.account.clone(), symbol: args.symbol.clone(), since, until })
}

/// Prints a list page by page: all of it from the oldest on, or the latest `limit` items.
async fn print_list<T, R: Future<Output = StoreResult<Page<T>>>>(
    context: &mut Context,
    store: &dyn Store,
    asked: Asked<'_>,
    listing: &Listing<T>,
    limit: Option<u64>,
    fetch: impl FnMut(PageRequest) -> R,
) -> Result<ExitCode, CommandError> {
    let default = if context.output.format == Format::Table { TABLE_LIMIT } else { 0 };
    let limit = limit.unwrap_or(default);
    let mut shown = 0_u64;
    let mut unreadable = Vec::new();
    if limit == 0 {
        let mut pages = Pages::of(PageRequest::first(PAGE).past_unreadable(), fetch);
        while let Some(page) = pages.next().await? {
            unreadable.extend(page.unreadable);
            shown += page.items.len() as u64;
            context.output.list(listing, &page.items)?;
        }
    } else {
        let mut items: Vec<T> = Vec::new();
        let newest = PageRequest::newest(u32::try_from(limit).map_or(PAGE, |limit| limit.min(PAGE)));
        let mut pages = Pages::of(newest.past_unreadable(), fetch);
        let mut more = false;
        while (items.len() as u64) < limit
            && let Some(page) = pages.next().await?
        {
            more = page.next.is_some();
            unreadable.extend(page.unreadable);
            items.extend(page.items);
        }
        items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        items.reverse();
        shown = items.len() as u64;
        context.output.list(listing, &items)?;
        if more {
            context.output.remark(&format!("Only the latest {shown} of the {} shown; -n 0 shows all.", listing.plural));
        }
    }
    if let Some(error) = CommandError::left_out(unreadable) {
        return Err(error);
    }
    if shown == 0 {
        context.output.remark(&format!("No {}.", listing.plural));
        unseen::explain(store, &context.settings.account, asked, &mut context.output).await?;
    }
    Ok(ExitCode::Fine)
}

/// Opens the book for reading, and makes sure that the account is in it: nothing about an account that does not exist is
/// not an empty answer.
async fn open_account(context: &Context) -> Result<Book, CommandError> {
    let store = crate::wiring::open_for_reading(&context.settings).await?;
    check_account(store.as_ref(), &context.settings.account).await?;
    Ok(store)
}

/// Makes sure that the account is in the book.
async fn check_account(store: &dyn Store, account: &AccountId) -> Result<(), CommandError> {
    if store.account(account).await?.is_some() {
        return Ok(());
    }
    let names: Vec<_> = store.accounts().await?.iter().map(|account| account.id.to_string()).collect();
    let error = CommandError::from(StoreError::UnknownAccount { account: account.clone() });
    Err(if names.is_empty() { error } else { error.hint(format!("--account with one of: {}", names.join(", "))) })
}

/// What to do about a contract that nothing on record describes; empty where it is known. Coin-margined contracts are
/// such: their names do not tell what one of them is worth.
async fn contract_hint(
    store: &dyn Store,
    account: &AccountId,
    symbol: &ledger_core::Symbol,
) -> Result<String, StoreError> {
    if store.instrument(account, symbol).await?.is_some() {
        return Ok(String::new());
    }
    let line = format!(
        r#"{{"schema":"fillbook.instrument/1","source":"repair","symbol":"{symbol}","kind":"inverse","multiplier":"SIZE","settle_asset":"COIN"}}"#
    );
    Ok(format!(
        ". A coin-margined contract has its size in no export: `fillbook import` of a file with this line, SIZE being what \
         one contract is worth in its quote (100, 10) and COIN what it settles in, says it: {line}"
    ))
}

/// What derived rows lack.
struct Lacking {
    /// What it is, for programs.
    kind: &'static str,
    /// The contract, where a single one is lacking.
    symbol: Option<Symbol>,
    /// In words.
    text: String,
}

/// What derived rows lack: facts that are not folded yet, cannot be folded, or name no position.
async fn lacking(store: &dyn Store, account: &AccountId) -> Result<Vec<Lacking>, CommandError> {
    let mut lacking = Vec::new();
    let pending = store.pending_refolds().await?.iter().filter(|pending| pending.account == *account).count();
    if pending > 0 {
        let symbols = rebuild::count(pending as u64, "symbol");
        let (kind, why) = if store.is_refold_under_way().await? {
            ("being_recorded", "until the command that is recording is done")
        } else {
            ("out_of_date", "because a command was interrupted; `fillbook rebuild` recomputes")
        };
        let text = format!("{symbols} out of date, {why}");
        lacking.push(Lacking { kind, symbol: None, text });
    }
    for entry in store.quarantined(account).await? {
        let hint = contract_hint(store, account, &entry.symbol).await?;
        let text = format!("{} cannot be computed: {}{hint}", entry.symbol, entry.reason);
        lacking.push(Lacking { kind: "contract", symbol: Some(entry.symbol), text });
    }
    let unplaced = FillFilter { unplaced_only: true, ..Scope::account(account.clone()).into() };
    let unplaced = store.fill_count(&unplaced).await?;
    if unplaced > 0 {
        let text = format!("{} in no position: nothing says which one", rebuild::count(unplaced, "fill"));
        lacking.push(Lacking { kind: "fills", symbol: None, text });
    }
    Ok(lacking)
}

/// Says what derived rows lack: to people on standard error, to programs with the rows as well. Answers whether anything
/// is.
async fn warn_of_lacking(store: &dyn Store, account: &AccountId, output: &mut Output) -> Result<bool, CommandError> {
    let lacking = lacking(store, account).await?;
    for what in &lacking {
        output.complain(&format!("warning: {}", what.text));
        if output.format == Format::Json {
            output.json(&serde_json::json!({
                "schema": "fillbook.lacking/1", "kind": what.kind, "reason": what.text,
                "symbol": what.symbol.as_ref().map(Symbol::as_str),
            }))?;
        }
    }
    Ok(!lacking.is_empty())
}

/// How current the book's picture of the exchange is. `None` when a row that it follows from cannot be read, because a
/// list shows what it can even beside a damaged row.
async fn currency(store: &dyn Store, context: &Context) -> Result<Option<LookState>, CommandError> {
    let settings = &context.settings;
    match look_state(store, &settings.account, settings.freshness, context.clock.now()).await {
        Ok(state) => Ok(Some(state)),
        Err(ReconcileError::Store { source: StoreError::CorruptRow { .. }, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The instant of an event.
fn at(time: &EventTime) -> Cell {
    Cell::Time(time.at)
}

/// The best source that stated a fact.
fn source<T>(fact: &Sourced<T>) -> Cell {
    fact.provenance.source.as_str().into()
}

/// What the sources of a fact disagree about.
fn conflicts<T>(fact: &Sourced<T>) -> Cell {
    if fact.conflicts.is_empty() {
        return Cell::Empty;
    }
    Cell::Text(fact.conflicts.iter().copied().collect::<Vec<_>>().join(" "))
}

/// A displayable value as text.
#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better in lists of columns, where most values are copies or references"
)]
fn text(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

/// An optional displayable value as text.
fn maybe(value: Option<&impl ToString>) -> Cell {
    value.map(ToString::to_string).into()
}
