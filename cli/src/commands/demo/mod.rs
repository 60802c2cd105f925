//! `fillbook demo`: in small, what fillbook is for.
//!
//! A simulated exchange runs in this process and is spoken to over HTTP, as the real one would be. A bot trades there
//! and records as it goes, but some records are lost on purpose. Then the book is compared with the exchange, what is
//! missing is fetched, and the result is proven, against the exchange's answers and against the simulator's own books,
//! which share no code with fillbook's.

mod bot;
mod proof;

use ledger_core::{GroupBy, TimestampMs};
use ledger_store::{AccountRepository as _, DiscrepancyStatus, FillFilter, FillRepository as _, NewAccount, Scope};
use reconciler::{Book, CycleReport, ReconcileError, Reconciler, ReconcilerConfig, Recorder};
use serde_json::json;

use self::bot::Bot;
use super::rebuild::count;
use crate::Context;
use crate::args::{DemoArgs, ReportArgs, ScopeArgs};
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::wiring::{DemoWorld, demo_world};

/// When the demo's exchange begins: a fixed day, so that the same seed tells the same story.
const BEGINNING_MS: i64 = 1_772_434_800_000;
/// How many findings and repairs are shown.
const SHOWN_MAX: usize = 6;

/// Runs the demo.
///
/// # Errors
/// When the simulated exchange cannot be started, or the book cannot be written.
pub async fn run(args: &DemoArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let begins = TimestampMs::new(BEGINNING_MS).map_err(|error| CommandError::new(ExitCode::Error, error))?;
    let world = demo_world(args.seed, begins, context.settings.db_flag.as_deref()).await?;
    let result = tell(args, &world, context).await;
    world.stop().await;
    result
}

async fn tell(args: &DemoArgs, world: &DemoWorld, context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let narrator = Narrator { prose: context.output.format == Format::Table };
    world
        .store
        .create_account(NewAccount {
            id: account.clone(),
            venue: "binance_usdm".to_owned(),
            created_local: world.clock.now(),
        })
        .await?;
    let book = Book::of(&world.store);
    let reconciler = Reconciler {
        exchange: world.reader.clone(),
        book: book.clone(),
        clock: world.clock.clone(),
        config: ReconcilerConfig::new(account.clone()),
    };
    // A service compares once when it starts: it binds the book to the exchange account and finds nothing yet.
    reconciler.sync().await.map_err(failed)?;

    narrator.say(context, &format!("The demo of fillbook, seed {}. Nothing leaves this machine.", args.seed))?;
    narrator.heading(context, "1. A bot trades")?;
    narrator.say(
        context,
        &format!(
            "A simulated exchange answers at {}. A bot with two strategies trades there\nand records signals, orders and fills as it goes.",
            world.base_url
        ),
    )?;
    let recorder = Recorder::new(book, account.clone(), world.clock.clone());
    let session = Bot::new(world, recorder, args.seed).trade().await?;
    let everything = FillFilter::from(Scope::account(account.clone()));
    let in_book = world.store.fill_count(&everything).await?;
    narrator.say(
        context,
        &format!(
            "The exchange executed {} in {}. The book has {}.",
            count(session.fill_count, "fill"),
            count(session.order_count, "order"),
            count(in_book, "fill")
        ),
    )?;
    narrator.heading(context, "2. What went wrong on the way, on purpose")?;
    for loss in &session.losses {
        narrator.say(context, &format!("- {loss}"))?;
    }

    narrator.heading(context, "3. The audit compares book and exchange, and writes nothing")?;
    let audit = reconciler.audit().await.map_err(failed)?;
    findings(&narrator, &audit, context)?;

    narrator.heading(context, "4. The sync fetches what is missing, and says why")?;
    let sync = reconciler.sync().await.map_err(failed)?;
    repairs(&narrator, &sync, context)?;

    narrator.heading(context, "5. The report, from the fills")?;
    let report_args = ReportArgs { by: GroupBy::Engine, scope: ScopeArgs { symbol: None, since: None, until: None } };
    let report = super::report::build(world.store.as_ref(), &report_args, context).await?;
    let rest = super::report::rest(world.store.as_ref(), &report_args, context).await?;
    if narrator.prose {
        super::report::print(&report, &rest, report_args.by, context)?;
    }

    narrator.heading(context, "6. The proof")?;
    let scratch = crate::wiring::scratch_copy(world.store.as_ref(), &context.settings).await?;
    let (book, copy) = (world.store.as_ref(), scratch.store.as_ref());
    let checks = super::verify::checks::all(book, copy, &account, &mut context.output).await?;
    let mut code =
        if narrator.prose { super::verify::report(&checks, context)? } else { super::verify::worst(&checks) };
    let differences = proof::compare(world, &account).await?;
    if differences.is_empty() {
        narrator.say(
            context,
            "The exchange's own books say the same: every fill, position, profit, fee and\nledger entry.",
        )?;
    }
    for difference in &differences {
        context.output.complain(&format!("The book differs from the exchange's own: {difference}"));
        code = code.worst(ExitCode::Corrupt);
    }
    if sync.unresolved().next().is_some() {
        code = code.worst(ExitCode::Discrepancies);
    }
    let db = world.db.display().to_string();
    if narrator.prose {
        context.output.line(&format!(
            "\nThe book stays at {db}. Try:\n  fillbook --db {db} trips\n  fillbook --db {db} report --by symbol\n  fillbook --db {db} status"
        ))?;
    } else {
        context.output.json(&json!({
            "schema": "fillbook.demo/1", "seed": args.seed, "db": db, "exchange_fills": session.fill_count,
            "book_fills_before": in_book, "findings": audit.findings.len(), "repairs": sync.repairs.len(),
            "unresolved": sync.unresolved().count(), "differences": differences, "requests": sync.requests,
            "weight": sync.weight, "balances": code == ExitCode::Fine,
        }))?;
    }
    Ok(code)
}

/// Tells the story to a person; a program gets a summary at the end.
struct Narrator {
    prose: bool,
}

impl Narrator {
    fn heading(&self, context: &mut Context, title: &str) -> Result<(), CommandError> {
        self.say(context, &format!("\n{title}\n"))
    }

    /// A finding or repair: what kind, and the evidence below it, wrapped.
    fn item(&self, context: &mut Context, kind: &str, evidence: &str) -> Result<(), CommandError> {
        let width = usize::from(context.output.width.unwrap_or(100).clamp(40, 100));
        let mut line = format!("{kind:<18}");
        for word in evidence.split_whitespace() {
            if line.len() > 18 && line.chars().count() + 1 + word.chars().count() > width {
                self.say(context, &line)?;
                line = " ".repeat(18);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.say(context, &line)
    }

    fn say(&self, context: &mut Context, text: &str) -> Result<(), CommandError> {
        if self.prose {
            context.output.line(text)?;
        }
        Ok(())
    }
}

fn findings(narrator: &Narrator, audit: &CycleReport, context: &mut Context) -> Result<(), CommandError> {
    for found in audit.findings.iter().take(SHOWN_MAX) {
        narrator.item(context, found.finding.kind.as_str(), &found.finding.evidence)?;
    }
    if audit.findings.len() > SHOWN_MAX {
        narrator.say(context, &format!("... and {} more", audit.findings.len() - SHOWN_MAX))?;
    }
    let cost = format!("{} of weight {}", count(audit.requests, "request"), audit.weight);
    narrator.say(context, &format!("Findings: {}. It cost {cost}.", audit.findings.len()))
}

fn repairs(narrator: &Narrator, sync: &CycleReport, context: &mut Context) -> Result<(), CommandError> {
    for repair in sync.repairs.iter().take(SHOWN_MAX) {
        narrator.item(context, &repair.kind, &repair.cause)?;
    }
    if sync.repairs.len() > SHOWN_MAX {
        narrator.say(context, &format!("... and {} more", sync.repairs.len() - SHOWN_MAX))?;
    }
    let left = sync.findings.iter().filter(|found| found.status != DiscrepancyStatus::Resolved).count();
    let left = if left == 0 { "Nothing is left".to_owned() } else { format!("{left} are left") };
    narrator
        .say(context, &format!("{left}. {} new facts, each with the exchange's own words kept.", sync.counts.recorded))
}

/// A failed cycle, with the exit code that its cause has.
fn failed(error: ReconcileError) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}
