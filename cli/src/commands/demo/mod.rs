//! `fillbook demo`: in small, what fillbook is for.
//!
//! A simulated exchange runs in this process and is spoken to over HTTP, as the real one would be. A bot trades there for
//! two accounts, one in each position mode, and records as it goes, but some records are lost on purpose. Then the book is
//! compared with the exchange, what is missing is fetched, it is watched for some minutes more, and the result is proven,
//! against the exchange's answers and against the simulator's own books, which share no code with fillbook's.

mod bot;
mod narrator;
mod proof;
mod random;
mod script;
#[cfg(test)]
mod tests;
mod watching;

use std::time::Duration;

use ledger_core::{GroupBy, TimestampMs};
use ledger_store::{DiscrepancyStatus, FillFilter, NewAccount, Scope};
use reconciler::{CheckCounts, CycleReport, LabelSources, Reconciler, ReconcilerConfig, parse_entry_events};
use serde_json::json;

use self::bot::Bot;
use self::narrator::Narrator;
use self::random::Random;
use self::script::Lost;
use self::watching::Watched;
use super::rebuild::count;
use crate::Context;
use crate::args::{DemoArgs, ReportArgs, ScopeArgs};
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::wiring::{DemoAccount, DemoConnection, DemoWorld, demo_world};

/// When the demo's exchange begins, by its own calendar: 2026-03-03 07:00 UTC, a Tuesday, in ms since 1970. The calendar is
/// fixed, so that the same seed leaves the same book on any day and at any hour: ids that contain a time, fundings, and the
/// days, weeks and months of reports.
const BEGINS_MS: i64 = 1_772_521_200_000;
/// How often the exchange is looked at until nothing is left: what only an inference repairs waits for a second look.
const LOOKS_MAX: usize = 4;

/// Runs the demo.
///
/// # Errors
/// When the simulated exchange cannot be started, or the book cannot be written.
pub async fn run(args: &DemoArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let db = context.settings.db_flag.clone();
    let world = demo_world(args.seed, beginning()?, db.as_deref(), DemoConnection::Http).await?;
    let result = tell(args.seed, &world, context).await;
    world.stop().await;
    Ok(result?.exit_code)
}

fn beginning() -> Result<TimestampMs, CommandError> {
    TimestampMs::new(BEGINS_MS).map_err(bot::broken)
}

/// What came of it.
struct Ending {
    exit_code: ExitCode,
}

async fn tell(seed: u64, world: &DemoWorld, context: &mut Context) -> Result<Ending, CommandError> {
    let narrator = Narrator { prose: context.output.format == Format::Table };
    for account in &world.accounts {
        let (id, venue) = (account.id.clone(), "binance_usdm".to_owned());
        world.book.create_account(NewAccount { id, venue, created_local: world.clock.now() }).await?;
        // A service compares once when it starts: it binds the book to the exchange account and finds nothing yet.
        reconciler(world, account).sync().await?;
    }
    world.simulator.step(Duration::from_mins(1));
    narrator.say(context, &format!("The demo of fillbook, seed {seed}. Nothing leaves this machine."))?;
    narrator.heading(context, "1. A bot trades")?;
    let Traded { lost, entry_events, mut bots } = trade(seed, world).await?;
    let books = world.simulator.books();
    let (mut fills, mut orders) = (0, 0);
    for account in &world.accounts {
        let truth = books.account(&account.alias);
        fills += truth.map_or(0, |truth| truth.trades.len());
        orders += truth.map_or(0, |truth| truth.orders.len());
    }
    let in_book = fills_in_book(world).await?;
    narrator.say(
        context,
        &format!(
            "A simulated exchange answers at {}. A bot trades there for two accounts, main in one-way and hedge in hedge \
             mode: entries, additions, take-profit and stop-loss orders, a limit order cancelled half-way, over two \
             fundings. It records what it decides, sends and hears. The exchange's calendar begins on 3 March 2026, whatever \
             the date is here, so a seed always tells the same story.",
            world.base_url
        ),
    )?;
    narrator.say(
        context,
        &format!(
            "The exchange executed {} in {}. The book has {}.",
            count(fills as u64, "fill"),
            count(orders as u64, "order"),
            count(in_book, "fill")
        ),
    )?;
    narrator.heading(context, "2. What went wrong on the way, on purpose")?;
    for Lost { case, what } in &lost {
        narrator.item(context, case, 15, what)?;
    }

    narrator.heading(context, "3. The audit compares book and exchange, and writes nothing")?;
    let mut audits = Vec::new();
    for (account, labels) in world.accounts.iter().zip(&entry_events) {
        audits.push(reconciler_with(world, account, labels).audit().await?);
    }
    let found = audits.iter().flat_map(|audit| &audit.findings);
    let found = found.map(|found| (found.finding.kind.as_str(), found.finding.evidence.as_str()));
    narrator.kinds(context, found)?;
    let (requests, weight) = cost(&audits);
    let findings: usize = audits.iter().map(|audit| audit.findings.len()).sum();
    narrator.say(
        context,
        &format!(
            "{}, each with its evidence. It cost {} of weight {weight}.",
            count(findings as u64, "finding"),
            count(requests, "request")
        ),
    )?;

    narrator.heading(context, "4. The sync fetches what is missing, and journals why")?;
    let Synced { reports: syncs, waited, left } = sync(world, &entry_events).await?;
    let repaired = syncs.iter().flat_map(|sync| &sync.repairs);
    let repaired = repaired.map(|repair| (repair.kind.as_str(), repair.cause.as_str()));
    narrator.kinds(context, repaired)?;
    let repairs: usize = syncs.iter().map(|sync| sync.repairs.len()).sum();
    let recorded: usize = syncs.iter().map(|sync| sync.counts.recorded).sum();
    let left_text = match (left.len(), waited) {
        (0, 0) => "Nothing is left".to_owned(),
        (0, waited) => {
            format!("{} waited for a second look, and after it nothing is left", count(waited as u64, "finding"))
        }
        (left, _) => format!("{left} left"),
    };
    narrator.say(
        context,
        &format!(
            "{}, {}, each with the exchange's own words kept. {left_text}.",
            count(repairs as u64, "repair"),
            count(recorded as u64, "new fact")
        ),
    )?;
    for line in &left {
        narrator.say(context, &format!("- {line}"))?;
    }

    narrator.heading(context, "5. Watching, while the bot trades on")?;
    let watched = Box::pin(watching::watch(world, &mut bots)).await?;
    tell_watched(&watched, &narrator, context)?;

    narrator.heading(context, "6. The report, from the fills")?;
    let report_args = ReportArgs { by: GroupBy::Engine, scope: ScopeArgs { symbol: None, since: None, until: None } };
    if narrator.prose {
        for (at, account) in world.accounts.iter().enumerate() {
            context.settings.account = account.id.clone();
            if at > 0 {
                context.output.line("")?;
            }
            context.output.line(&format!("Account {}:", account.id))?;
            let built = super::report::build(world.book.as_ref(), &report_args, context).await?;
            super::report::tell_groups(&built.report, &built.rest, report_args.by, &mut context.output)?;
            super::report::tell_footing(&built.report, &mut context.output)?;
        }
    }

    narrator.heading(context, "7. The proof")?;
    let mut exit_code = prove(world, &narrator, context).await?;
    let mut differences = Vec::new();
    for account in &world.accounts {
        let found = proof::compare(world, account).await?;
        differences.extend(found.into_iter().map(|difference| format!("account {}: {difference}", account.id)));
    }
    if differences.is_empty() {
        narrator.say(
            context,
            "The exchange's own books, kept by other code, say the same of both accounts: every order and fill, position, average entry, profit, fee and ledger entry.",
        )?;
    }
    for difference in &differences {
        context.output.complain(&format!("The book differs from the exchange's own: {difference}"));
        exit_code = exit_code.worst(ExitCode::Corrupt);
    }
    if !left.is_empty() || watched.missing() > 0 {
        exit_code = exit_code.worst(ExitCode::Discrepancies);
    }
    let db = world.db.display().to_string();
    if narrator.prose {
        context.output.line(&format!("\nThe book stays at {db}. Try:"))?;
        let (program, file) = (context.program.clone(), crate::quoted(&db));
        for next in ["trips", "--account hedge positions", "repairs", "report --by symbol", "verify"] {
            context.output.line(&format!("  {program} --db {file} {next}"))?;
        }
    } else {
        context.output.json(&json!({
            "schema": "fillbook.demo/1", "seed": seed, "db": db, "exchange_fills": fills, "book_fills_before": in_book,
            "watched": {
                "fills": watched.fills, "brought": watched.brought, "dropped": watched.dropped(),
                "restored": watched.restored, "dropped_of": watched.dropped_of,
            },
            "lost": lost.iter().map(|lost| json!({ "case": lost.case, "what": lost.what })).collect::<Vec<_>>(),
            "findings": findings, "repairs": repairs, "left": left, "differences": differences,
            "requests": requests, "weight": weight, "balances": exit_code == ExitCode::Fine,
        }))?;
    }
    Ok(Ending { exit_code })
}

/// What the bot leaves behind.
struct Traded<'a> {
    /// What was lost of its records.
    lost: Vec<Lost>,
    /// Its own log of entries, by account, which outlives its database.
    entry_events: [LabelSources; 2],
    /// The bot itself, by account: it can trade on.
    bots: [Bot<'a>; 2],
}

/// Trades for both accounts.
async fn trade(seed: u64, world: &DemoWorld) -> Result<Traded<'_>, CommandError> {
    // Prices move when the script says so: a take-profit order must not be reached by chance.
    for market in &world.simulator.config().markets {
        let symbol = ledger_core::Symbol::new(&market.symbol).map_err(bot::broken)?;
        world.simulator.hold_price(&symbol, true).map_err(bot::broken)?;
    }
    let [main, hedge] = &world.accounts;
    let mut of_main = Bot::new(world, main, false, Random::new(seed, 1)).await?;
    let mut lost = script::one_way(&mut of_main).await?;
    let mut of_hedge = Bot::new(world, hedge, true, Random::new(seed, 2)).await?;
    lost.extend(script::hedge(&mut of_hedge).await?);
    lost.sort_by_key(|lost| lost.case);
    // What the exchange has just executed it answers a moment later.
    world.simulator.step(Duration::from_mins(2));
    Ok(Traded { lost, entry_events: [logged(&of_main), logged(&of_hedge)], bots: [of_main, of_hedge] })
}

fn logged(bot: &Bot<'_>) -> LabelSources {
    let read = parse_entry_events(&bot.entry_events, &jiff::tz::TimeZone::UTC);
    LabelSources { events: read.events, states: Vec::new() }
}

/// What the stream brought and dropped, and what a look made of that.
fn tell_watched(watched: &Watched, narrator: &Narrator, context: &mut Context) -> Result<(), CommandError> {
    let end = match watched.missing() {
        0 => "them".to_owned(),
        missing => format!("{}; {} missing", watched.restored, count(missing, "fill")),
    };
    narrator.say(
        context,
        &format!(
            "As `fillbook watch` does, a watcher hears each account's stream, and the bot leaves its fills to it. The stream brought \
             {} of {}, each on record before the bot's next order. It dropped {} on purpose and went on looking healthy; a look at \
             the positions a minute later found and restored {end}:",
            watched.brought,
            count(watched.fills, "fill"),
            watched.dropped(),
        ),
    )?;
    if let Some((account, said)) = watched.said.first() {
        narrator.say(context, &format!("{account}: {}", narrator::shortened(said)))?;
    }
    Ok(())
}

/// What came of bringing the book in line.
#[derive(Default)]
struct Synced {
    /// Of every look.
    reports: Vec<CycleReport>,
    /// How much was left after the first looks.
    waited: usize,
    /// What is left after the last ones.
    left: Vec<String>,
}

/// Brings the book in line, look by look. The last look finds nothing new. That proves what the earlier looks read.
async fn sync(world: &DemoWorld, entry_events: &[LabelSources]) -> Result<Synced, CommandError> {
    let Synced { mut reports, mut waited, mut left } = Synced::default();
    for (account, labels) in world.accounts.iter().zip(entry_events) {
        for look in 1..=LOOKS_MAX {
            let report = reconciler_with(world, account, labels).sync().await?;
            let open = report.findings.iter().filter(|found| found.status != DiscrepancyStatus::Resolved);
            let open: Vec<_> =
                open.map(|found| format!("{}: {}", found.finding.kind, found.finding.evidence)).collect();
            reports.push(report);
            if open.is_empty() && look > 1 {
                break;
            }
            if look == 1 {
                waited += open.len();
            }
            if look == LOOKS_MAX {
                left.extend(open);
            }
            world.simulator.step(Duration::from_mins(2));
        }
    }
    Ok(Synced { reports, waited, left })
}

/// The checks of `verify` for both accounts: the first one's as a table, of the other one what is not as it should be.
async fn prove(world: &DemoWorld, narrator: &Narrator, context: &mut Context) -> Result<ExitCode, CommandError> {
    let mut code = ExitCode::Fine;
    for (at, account) in world.accounts.iter().enumerate() {
        context.settings.account = account.id.clone();
        let scratch = crate::wiring::scratch_copy(world.book.as_ref(), &context.settings).await?;
        let checks =
            super::verify::all(world.book.as_ref(), scratch.store.as_ref(), &account.id, &mut context.output).await?;
        code = code.worst(super::verify::worst(&checks));
        if narrator.prose && (at == 0 || code != ExitCode::Fine) {
            super::verify::report(&checks, &account.id, context)?;
        } else if narrator.prose {
            let counts = CheckCounts::of(&checks);
            let in_part = match checks.iter().filter(|check| check.is_in_part()).count() {
                0 => String::new(),
                in_part => format!(" ({in_part} in part)"),
            };
            let unmade = match counts.not_checkable {
                0 => String::new(),
                unmade => format!(", {unmade} cannot be made"),
            };
            context.output.paragraph(&format!(
                "So does that of account {}: {} of {} checks pass{in_part}{unmade}.",
                account.id,
                counts.passed,
                checks.len()
            ))?;
        }
    }
    Ok(code)
}

fn reconciler(world: &DemoWorld, account: &DemoAccount) -> Reconciler {
    reconciler_with(world, account, &LabelSources::default())
}

/// One that has the bot's own log of entries.
fn reconciler_with(world: &DemoWorld, account: &DemoAccount, labels: &LabelSources) -> Reconciler {
    let mut config = ReconcilerConfig::new(account.id.clone());
    config.observe.labels = labels.clone();
    Reconciler { exchange: account.reader.clone(), book: world.book.clone(), clock: world.clock.clone(), config }
}

fn cost(reports: &[CycleReport]) -> (u64, u64) {
    reports.iter().fold((0, 0), |(requests, weight), report| (requests + report.requests, weight + report.weight))
}

async fn fills_in_book(world: &DemoWorld) -> Result<u64, CommandError> {
    let mut number = 0;
    for account in &world.accounts {
        number += world.book.fill_count(&FillFilter::from(Scope::account(account.id.clone()))).await?;
    }
    Ok(number)
}
