//! `fillbook status`

mod freshness;
mod looks;
mod missing_fills;
mod telling;
mod undecided;
mod watching;

use ledger_core::{PositionMode, TimestampMs};
use ledger_store::{Account, BookPosition, FillFilter, PageRequest, ReconcileStatus, Scope, Store, StoreError};
use reconciler::look_state;
use serde_json::json;

use self::freshness::{Freshness, OpenDiscrepancies, Reach};
use self::looks::Looks;
use self::missing_fills::MissingFills;
use self::telling::Telling;
use self::undecided::Undecided;
use self::watching::Watching;
use super::rebuild::count;
use crate::Context;
use crate::error::{CommandError, ExitCode};
use crate::output::{Format, Output, shown_path};
use crate::times::show_time;

/// A status is no table.
#[derive(Debug, thiserror::Error)]
#[error("status is not a list of rows, so there is no CSV of it")]
struct NotAList;

/// What the book holds of one account.
struct Summary {
    fill_count: u64,
    first_fill: Option<TimestampMs>,
    last_fill: Option<TimestampMs>,
    symbol_count: usize,
    open_count: usize,
    closed_trip_count: u64,
    /// How many symbols cannot be computed.
    quarantined_count: usize,
    /// Fills that are in no position.
    unplaced_count: u64,
    /// Positions that the exchange stated otherwise, with no fill since, and that no discrepancy tells.
    differing_count: usize,
    /// Whether every symbol balances.
    is_conserved: bool,
    /// What needs attention, in words.
    attention: Vec<String>,
}

/// Where the fold of a symbol does not balance, its round trips are not to be trusted.
const NOT_BALANCED: &str = "the book does not balance: `fillbook verify` tells where";

/// Says what the book holds, and what needs attention: of the account, or of all of them when none was named and the
/// default one is not in the book. The exit code is the worst of theirs.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(context: &mut Context) -> Result<ExitCode, CommandError> {
    if context.output.format == Format::Csv {
        return Err(CommandError::new(ExitCode::Usage, NotAList).hint("--json, or without --csv"));
    }
    let settings = context.settings.clone();
    let store = crate::wiring::open_for_reading(&settings).await?;
    let accounts = store.accounts().await?;
    if settings.account_is_given || accounts.is_empty() || accounts.iter().any(|known| known.id == settings.account) {
        super::check_account(store.as_ref(), &settings.account).await?;
        return one(store.as_ref(), &accounts, context).await;
    }
    let mut code = ExitCode::Fine;
    for (at, account) in accounts.iter().enumerate() {
        if at > 0 && context.output.format != Format::Json {
            context.output.line("")?;
        }
        context.settings.account = account.id.clone();
        code = code.worst(one(store.as_ref(), &accounts, context).await?);
    }
    context.settings = settings;
    Ok(code)
}

async fn one(store: &dyn Store, accounts: &[Account], context: &mut Context) -> Result<ExitCode, CommandError> {
    let settings = context.settings.clone();
    let info = store.info().await?;
    let Some(account) = accounts.iter().find(|account| account.id == settings.account) else {
        return Err(StoreError::UnknownAccount { account: settings.account.clone() }.into());
    };
    let freshness = Freshness::of(store, &settings.account, context.clock.now()).await?;
    let discrepancies = OpenDiscrepancies::of(store, &settings.account, context.clock.now()).await?;
    let now = context.clock.now();
    let looks = Looks { state: look_state(store, &settings.account, settings.freshness, now).await?, now };
    let watching = Watching::of(store, &settings.account, now).await?;
    let telling = Telling::of(store, &settings.account, now).await?;
    let missing = MissingFills::of(store, (&account.id, &account.venue), &looks.state).await?;
    let mut summary = summarize(store, &discrepancies, context).await?;
    summary.attention.extend(missing.attention());
    let undecided = Undecided::of(store, (&account.id, &account.venue), now).await?;
    let undecided_told = undecided.attention(&context.output.zone);
    let found = watching
        .attention()
        .into_iter()
        .chain(telling.attention())
        .chain(looks.attention())
        .chain(discrepancies.attention());
    let found = found.chain(undecided_told);
    summary.attention.splice(0..0, found.collect::<Vec<_>>());
    // Of an account that nobody ever asked the exchange about, its memory is no matter.
    if account.identity.is_some() {
        summary.attention.extend(freshness.attention());
    }
    let is_unsettled = discrepancies.pending > 0 || undecided.is_open() || missing.is_due(context.settings.freshness);
    let mut code = exit_code(&looks, is_unsettled, &discrepancies, &summary);
    // What a look has found of these stands among the discrepancies; what it has not is as bad as `verify` says.
    if missing.is_untold(&discrepancies.symbols) {
        code = code.worst(ExitCode::Discrepancies);
    }
    let output = &mut context.output;
    let mode = account.mode().map_or("position mode not known", PositionMode::as_str);
    let mut bound = match (&account.identity, &account.user_id) {
        (Some(identity), _) => match &identity.alias {
            Some(alias) => format!("bound to {alias} at {}", identity.base_url),
            None => format!("bound to {}", identity.base_url),
        },
        (None, Some(_)) => "the exchange was never asked".to_owned(),
        (None, None) => "not bound to an exchange account".to_owned(),
    };
    if let Some(user_id) = &account.user_id {
        bound = format!("{bound}, user {user_id} by its exports");
    }
    if output.format == Format::Json {
        output.json(&json!({
            "schema": "fillbook.status/1",
            "db": settings.db.display().to_string(),
            "schema_version": info.schema_version,
            "size_bytes": info.size_bytes,
            "account": account.id.as_str(),
            "venue": account.venue,
            "position_mode": account.mode().map(PositionMode::as_str),
            "accounts": accounts.iter().map(|account| account.id.as_str()).collect::<Vec<_>>(),
            "fills": summary.fill_count,
            "first_fill_ts": summary.first_fill.map(TimestampMs::as_ms),
            "last_fill_ts": summary.last_fill.map(TimestampMs::as_ms),
            "symbols": summary.symbol_count,
            "open_positions": summary.open_count,
            "closed_trips": summary.closed_trip_count,
            "last_sync": freshness.last_sync.as_ref().map(|run| json!({
                "run": run.id.0, "started_local": run.started_local.as_ms(), "status": run.status.as_str(),
                "ended_local": run.ended_local.map(TimestampMs::as_ms),
            })),
            "complete": freshness.reaches.iter().map(Reach::json).collect::<Vec<_>>(),
            "looks": looks.json(),
            "watch": watching.json(),
            "telling": telling.json(),
            "discrepancies": discrepancies.json(),
            "undecided_intents": undecided.json(),
            "attention": summary.attention,
            "exit_code": code.as_u8(),
        }))?;
        return Ok(code);
    }
    let size = info.size_bytes / 1_024;
    line(output, "Book", &format!("{} (schema {}, {size} KiB)", shown_path(&settings.db), info.schema_version))?;
    line(output, "Account", &format!("{} ({}, {mode}), {bound}", account.id, account.venue))?;
    if accounts.len() > 1 {
        let others: Vec<_> =
            accounts.iter().filter(|other| other.id != account.id).map(|other| other.id.as_str()).collect();
        line(output, "", &format!("also in this book: {}", others.join(", ")))?;
    }
    let period = match (summary.first_fill, summary.last_fill) {
        (Some(first), Some(last)) => {
            format!(", {} to {}", show_time(first, &output.zone), show_time(last, &output.zone))
        }
        _ => String::new(),
    };
    let symbols = count(summary.symbol_count as u64, "symbol");
    line(output, "Fills", &format!("{} in {symbols}{period}", summary.fill_count))?;
    let open = count(summary.open_count as u64, "open position");
    line(output, "Derived", &format!("{open}, {} closed", count(summary.closed_trip_count, "round trip")))?;
    for (at, text) in looks.lines(&output.zone.clone()).iter().enumerate() {
        line(output, if at == 0 { "Looked at" } else { "" }, text)?;
    }
    for (at, text) in watching.lines(&output.zone.clone()).iter().enumerate() {
        line(output, if at == 0 { "Watched" } else { "" }, text)?;
    }
    for (at, text) in telling.lines().iter().enumerate() {
        line(output, if at == 0 { "Telling" } else { "" }, text)?;
    }
    line(output, "Last sync", &freshness.last_sync_text())?;
    for reach in &freshness.reaches {
        line(output, "Complete", &reach.text(&output.zone))?;
    }
    line(output, "Differs", &discrepancies.text())?;
    if summary.attention.is_empty() {
        line(output, "Attention", "nothing")?;
    }
    for (at, remark) in summary.attention.iter().enumerate() {
        line(output, if at == 0 { "Attention" } else { "" }, remark)?;
    }
    Ok(code)
}

/// What a cron job has to know: the worst of what stands on record and of the last look.
fn exit_code(looks: &Looks, is_unsettled: bool, discrepancies: &OpenDiscrepancies, summary: &Summary) -> ExitCode {
    let mut code = looks.exit_code();
    if discrepancies.confirmed > 0
        || summary.quarantined_count > 0
        || summary.unplaced_count > 0
        || summary.differing_count > 0
    {
        code = code.worst(ExitCode::Discrepancies);
    }
    // What the last look doubted, or nobody heard of, is not fine before another look has said so. A book without an exchange
    // has none to come.
    if looks.state.is_bound && is_unsettled {
        code = code.worst(ExitCode::Stale);
    }
    if !summary.is_conserved {
        code = code.worst(ExitCode::Corrupt);
    }
    code
}

fn line(output: &mut Output, title: &str, text: &str) -> Result<(), CommandError> {
    Ok(output.titled(title, 9, text)?)
}

async fn summarize(
    store: &dyn Store,
    discrepancies: &OpenDiscrepancies,
    context: &Context,
) -> Result<Summary, CommandError> {
    let account = &context.settings.account;
    let all = FillFilter::from(Scope::account(account.clone()));
    let edge = |page: ledger_store::Page<ledger_core::Sourced<ledger_core::Fill>>| {
        page.items.first().map(|fill| fill.fact.time.at)
    };
    let books = store.symbol_books(account).await?;
    let positions = store.positions(account).await?;
    let lacking = super::lacking(store, account).await?;
    let mut attention: Vec<String> = lacking.into_iter().map(|what| what.text).collect();
    let is_conserved = books.iter().all(|book| book.is_conserved);
    if !is_conserved {
        attention.push(NOT_BALANCED.to_owned());
    }
    for book in &books {
        for (what, totals) in [
            ("funding", &book.unallocated_funding),
            ("liquidation costs", &book.unallocated_clearance),
            ("settlements", &book.unallocated_realized),
        ] {
            for total in totals {
                if let Some(amount) = total.total.told().filter(|amount| !amount.is_zero()) {
                    attention.push(format!("{amount} {} of {} {what} belong to no position", total.asset, book.symbol));
                }
            }
        }
    }
    // A look that was not about this contract, or an older fill that came since, leaves no finding.
    let is_untold = |position: &&BookPosition| {
        position.reconcile_status == Some(ReconcileStatus::Mismatch)
            && !discrepancies.symbols.contains(&position.symbol)
    };
    let differing: Vec<_> = positions.iter().filter(is_untold).collect();
    attention.extend(differing.iter().map(|position| {
        let stated = position.exchange.as_ref().map_or_else(String::new, |stated| stated.qty.to_string());
        let held = &position.position.qty;
        format!("the book holds {held} of {}, and the exchange {stated}: `fillbook sync` looks why", position.symbol)
    }));
    let mismatches: u64 = books.iter().map(|book| book.pnl_mismatch_count).sum();
    if mismatches > 0 {
        attention.push(format!(
            "{} with another profit than the exchange reports: `fillbook verify`",
            count(mismatches, "fill")
        ));
    }
    Ok(Summary {
        fill_count: store.fill_count(&all).await?,
        first_fill: edge(store.fills(&all, PageRequest::first(1)).await?),
        last_fill: edge(store.fills(&all, PageRequest::newest(1)).await?),
        symbol_count: books.len(),
        open_count: positions.iter().filter(|position| !position.position.qty.is_zero()).count(),
        quarantined_count: store.quarantined(account).await?.len(),
        differing_count: differing.len(),
        unplaced_count: books.iter().map(|book| book.unplaced_count).sum(),
        is_conserved,
        closed_trip_count: books.iter().map(|book| book.closed_count).sum(),
        attention,
    })
}
