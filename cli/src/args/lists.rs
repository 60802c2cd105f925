//! What lists and the report can be asked for.

use clap::Args;
use ledger_core::{EngineLabel, GroupBy, OrderStatus, Symbol};
use ledger_store::{RunKind, RunStatus};

use crate::times::{TimeArgument, parse_time};

/// What narrows a list.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// Of this contract only
    #[arg(long)]
    pub symbol: Option<Symbol>,
    /// From this time on: 2026-03-01, 2026-03-01T08:00, or milliseconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<TimeArgument>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<TimeArgument>,
}

/// Arguments of plain lists.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// What it is about.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Only the latest N; 0 for all [default: 50 in a table, else all]
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
}

/// Arguments of `signals`.
#[derive(Debug, Clone, Args)]
pub struct SignalArgs {
    /// What it is about.
    #[command(flatten)]
    pub list: ListArgs,
    /// Of this strategy only
    #[arg(long)]
    pub engine: Option<EngineLabel>,
}

/// Arguments of `intents`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Outcomes: pending (written down, perhaps not sent), unknown (sent, and no answer told), accepted (the exchange has \
    it), rejected (refused, or proven never to have arrived). `fillbook sync` settles the first two."
)]
pub struct IntentArgs {
    /// What it is about; times are those of the bot's clock.
    #[command(flatten)]
    pub list: ListArgs,
    /// Only those of which nobody heard what became
    #[arg(long)]
    pub undecided: bool,
}

/// Arguments of `orders`.
#[derive(Debug, Clone, Args)]
pub struct OrderArgs {
    /// What it is about.
    #[command(flatten)]
    pub list: ListArgs,
    /// With this status only, for example FILLED
    #[arg(long)]
    pub status: Option<OrderStatus>,
    /// Only orders that can still change
    #[arg(long)]
    pub open: bool,
    /// Of this strategy only
    #[arg(long)]
    pub engine: Option<EngineLabel>,
    /// Only orders of which more was executed than their fills tell
    #[arg(long)]
    pub missing_fills: bool,
}

/// Arguments of `positions`.
#[derive(Debug, Clone, Args)]
pub struct PositionArgs {
    /// Flat positions too
    #[arg(long)]
    pub all: bool,
    /// Of this contract only
    #[arg(long)]
    pub symbol: Option<Symbol>,
}

/// Arguments of `trips`.
#[derive(Debug, Clone, Args)]
pub struct TripArgs {
    /// What it is about; times are closing times.
    #[command(flatten)]
    pub list: ListArgs,
    /// Of this strategy only
    #[arg(long)]
    pub engine: Option<EngineLabel>,
    /// Only round trips that have not ended
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub open: bool,
}

/// Arguments of `income`.
#[derive(Debug, Clone, Args)]
pub struct IncomeArgs {
    /// What it is about.
    #[command(flatten)]
    pub list: ListArgs,
    /// Of this type only, for example `FUNDING_FEE`
    #[arg(long = "type", value_name = "TYPE")]
    pub income_type: Option<ledger_core::IncomeType>,
}

/// Arguments of `runs`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Of this kind only: import, sync, record, rebuild or correct
    #[arg(long)]
    pub kind: Option<RunKind>,
    /// That ended like this only: running (or interrupted), done or failed
    #[arg(long)]
    pub status: Option<RunStatus>,
    /// Begun from this time on
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<TimeArgument>,
    /// Only the latest N; 0 for all [default: 50 in a table, else all]
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
}

/// Arguments of `repairs`.
#[derive(Debug, Clone, Args)]
pub struct RepairArgs {
    /// Of this contract only
    #[arg(long)]
    pub symbol: Option<Symbol>,
    /// Of this kind only, for example `restore_order`
    #[arg(long)]
    pub kind: Option<String>,
    /// Of this run only
    #[arg(long, value_name = "NUMBER")]
    pub run: Option<i64>,
    /// Of this discrepancy only
    #[arg(long, value_name = "NUMBER")]
    pub discrepancy: Option<i64>,
    /// Made from this time on
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<TimeArgument>,
    /// Only the latest N; 0 for all [default: 50 in a table, else all]
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
}

/// Arguments of `discrepancies`.
#[derive(Debug, Clone, Args)]
pub struct DiscrepancyArgs {
    /// Resolved ones too
    #[arg(long)]
    pub all: bool,
    /// Of this contract only
    #[arg(long)]
    pub symbol: Option<Symbol>,
    /// Of this kind only, for example `conflicting_fact`
    #[arg(long)]
    pub kind: Option<String>,
    /// Last seen from this time on
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<TimeArgument>,
    /// Only the latest N; 0 for all [default: 50 in a table, else all]
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
    /// Accept that this one stays: journaled with who and why; it is open again when its evidence changes
    #[arg(long, value_name = "NUMBER", requires = "reason")]
    pub acknowledge: Option<i64>,
    /// Why it may stay
    #[arg(long, value_name = "TEXT", requires = "acknowledge")]
    pub reason: Option<String>,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME", requires = "acknowledge")]
    pub by: Option<String>,
}

/// Arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// What a row stands for: engine, symbol or side (round trips count whole, by when they closed), or hour, day, week or
    /// month (money counts when it moved)
    #[arg(long, default_value = "engine", value_parser = parse_group)]
    pub by: GroupBy,
    /// What it is about.
    #[command(flatten)]
    pub scope: ScopeArgs,
}

fn parse_group(text: &str) -> Result<GroupBy, ledger_core::UnknownName> {
    text.parse()
}
