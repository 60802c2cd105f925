//! The command line: what can be asked, and with which options.

mod lists;
mod record;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use exchange_client::files::Zone;
use exchange_client::simulator::FaultProfile;
use ledger_core::{AccountId, PositionMode, Symbol};

pub use self::lists::{
    DiscrepancyArgs, IncomeArgs, IntentArgs, ListArgs, OrderArgs, PositionArgs, RepairArgs, ReportArgs, RunArgs,
    ScopeArgs, SignalArgs, TripArgs,
};
pub use self::record::{GateArgs, PositionWay, RecordArgs};
use crate::times::{TimeArgument, parse_time};

/// The book of record for trading bots on crypto futures exchanges.
///
/// Fills are the primary fact: positions, round trips and reports are recomputed from them, exactly, and nothing is
/// made up where facts are missing.
#[derive(Debug, Parser)]
#[command(name = "fillbook", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 fine; 1 error; 2 usage; 3 confirmed discrepancies, or no entry may be made (`gate`); 4 authentication or wrong \
    account; 5 exchange unreachable; 6 book corrupt or not balancing; 7 not looked at recently \
    enough (`status` only); 130 interrupted.\n\nTry it: `fillbook demo`"
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command. Flags beat the environment, the environment beats the configuration file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The book's file [default: fillbook.db]
    #[arg(long, global = true, env = "FILLBOOK_DB", value_name = "PATH")]
    pub db: Option<PathBuf>,
    /// A configuration file; without this, fillbook.toml is read if it is there
    #[arg(long, global = true, env = "FILLBOOK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The account in the book [default: main]
    #[arg(long, global = true, env = "FILLBOOK_ACCOUNT", value_name = "ID")]
    pub account: Option<AccountId>,
    /// Print JSON, one object a line
    #[arg(long, global = true, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV
    #[arg(long, global = true)]
    pub csv: bool,
    /// The time zone in which times are shown and days begin, as in UTC+9 or Asia/Seoul [env: `FILLBOOK_TZ`] [default: UTC].
    /// Given here, it is also that of imported files that do not say theirs
    #[arg(long, global = true, value_name = "ZONE")]
    pub tz: Option<Zone>,
    /// No progress and no remarks on standard error
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More detail on standard error; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show in small what fillbook is for: a session, its losses, and their repair
    Demo(DemoArgs),
    /// Create a book, or add an account to it
    Init(InitArgs),
    /// Read files of exchanges and bots into the book
    Import(ImportArgs),
    /// Compare the book with the exchange, and fetch what is missing
    Sync(ReconcileArgs),
    /// Compare the book with the exchange, and change nothing
    Audit(ReconcileArgs),
    /// Keep the book in line with the exchange day and night: what its stream tells, and what looks find
    Watch(WatchArgs),
    /// Send a test message through a channel, or list the messages
    Tell(TellArgs),
    /// Record a bot's events as they happen: lines of JSON on standard input
    Record(RecordArgs),
    /// Whether a new entry may be made, by what is on record
    Gate(GateArgs),
    /// What the book holds, and what needs attention
    #[command(
        after_help = "For a cron job. Exit codes: 0 looked at recently, and nothing is wrong; 1 the last sync was \
        interrupted or failed; 3 confirmed discrepancies, or a symbol that cannot be computed; 4 the exchange refused the \
        last sync's credentials; 5 the last sync did not reach the exchange; 6 the book is damaged or does not balance; 7 \
        to be looked at again (`fillbook sync`): not looked at recently enough, something waits for a second look, nobody heard \
        what became of an order, trades that the bot did not tell were not asked for, or a look narrowed with --symbol saw that other contracts differ. When several apply, the first of 6, 4, 5, 3, 1, 7 counts. A book \
        that was never bound to an exchange account is not expected to be looked at. The [freshness] section of \
        fillbook.toml says what recently enough is."
    )]
    Status,
    /// What the strategies decided
    Signals(SignalArgs),
    /// Orders as they were meant, written down before they were sent, and what became of them
    Intents(IntentArgs),
    /// Orders, with what their fills add up to
    Orders(OrderArgs),
    /// Executions: the primary fact
    Fills(ListArgs),
    /// Cancelled orders
    Cancels(ListArgs),
    /// Positions, recomputed from the fills
    Positions(PositionArgs),
    /// Round trips: positions from opening to close
    Trips(TripArgs),
    /// The exchange's own ledger entries
    Income(IncomeArgs),
    /// What was earned, paid and moved
    Report(ReportArgs),
    /// The journal: what was done to the book, and when
    Runs(RunArgs),
    /// The journal: what was changed, and why
    Repairs(RepairArgs),
    /// What differs and could not be repaired (yet)
    Discrepancies(DiscrepancyArgs),
    /// Prove that the book balances
    Verify,
    /// Drop everything derived and recompute it from the facts
    Rebuild,
    /// Run a simulated exchange that bots and other clients can trade on
    Simulator(SimulatorArgs),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Varies prices, trades and losses
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Arguments of `simulator`.
#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// Where it listens; port 0 takes any free one. Loopback addresses only
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9555", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Varies prices, funding rates, partial fills and ids
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// What goes wrong on the way: `none`, `flaky` (one request in twenty fails), `hostile` (one in four, and worse)
    #[arg(long, value_name = "PROFILE", default_value = "none")]
    pub faults: FaultProfile,
    /// How long after their order fills and ledger entries can be asked for, in ms. The real exchange says FILLED before
    /// it lists the fills, for how long varies; 0 hides that from a bot
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(..=3_600_000))]
    pub settle_lag: u32,
    /// How long a new conditional order answers "does not exist" when asked for by itself, in ms. The real exchange
    /// usually knows it at once, and on bad days not for minutes
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=3_600_000))]
    pub conditional_lag: u32,
    /// Begin in hedge mode: a long and a short position a symbol. Without it, and on a new account of the real exchange,
    /// there is one. A client can change it
    #[arg(long)]
    pub hedge_mode: bool,
    /// Pay fees in BNB, of which the account then has 10. Without it, and on a new account of the real exchange, fees are
    /// paid in what the contract settles in
    #[arg(long)]
    pub bnb_fees: bool,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Whether the account holds one position a symbol (`one-way`) or a long and a short (`hedge`). Say so only if it held
    /// for the whole history: exports without a position side are placed by it
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub position_mode: Option<PositionMode>,
    /// The venue the account is at
    #[arg(long, value_enum, default_value_t = Venue::BinanceUsdm)]
    pub venue: Venue,
}

/// The venues that fillbook knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Venue {
    /// Binance USD-M futures
    BinanceUsdm,
    /// Any other, by ccxt objects or fillbook's own lines
    Other,
}

impl Venue {
    /// The venue of a name in the book.
    pub fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|venue| venue.as_str() == name)
    }

    /// The name in the book.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BinanceUsdm => "binance_usdm",
            Self::Other => "other",
        }
    }
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Exports of Binance USD-M (CSV, also zip, tar or gzip), ccxt trades and orders (JSON), a bot's SQLite database, or
    /// fillbook's own lines; recognised by what is in them
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The asset of fees that stand without one, where the symbol does not tell
    #[arg(long, value_name = "ASSET")]
    pub settle_asset: Option<ledger_core::Asset>,
    /// The exchange account (Uid) to take from files that hold several
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,
}

/// Arguments of `sync` and `audit`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The key comes from FILLBOOK_API_KEY and FILLBOOK_API_SECRET, or from where fillbook.toml says; reading \
    rights are enough. Without --account, all accounts of fillbook.toml.\n\nExit codes: 0 book and exchange agree; 3 they \
    do not (audit: found; sync: left); 4 credentials, permission or another account; 5 the exchange cannot be reached; \
    6 the book is damaged; 130 interrupted, to go on with the next run."
)]
pub struct ReconcileArgs {
    /// Where the exchange answers [default: where it did before, else the venue's own address]
    #[arg(long, env = "FILLBOOK_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    /// Only this contract; can be given several times
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Vec<Symbol>,
    /// Look at everything from this time on again, whatever was read before
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<TimeArgument>,
    /// The share of the exchange's request weight that may be used, in percent: a bot on the same address needs the rest
    /// [default: 40]
    #[arg(long, env = "FILLBOOK_WEIGHT_PERCENT", value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub weight_percent: Option<u16>,
    /// The bot's log of entries (one JSON object a line): tells which strategy an order came from
    #[arg(long, value_name = "FILE")]
    pub entry_events: Option<PathBuf>,
    /// The bot's state (JSON, with `meta.reason` by symbol): tells which strategy a position came from
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Arguments of `watch`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "One line on standard error for everything that happens; silent when nothing does. With --json each is an object \
    on standard output. `fillbook status` tells how the watching stands. Without --account, all accounts of fillbook.toml. One \
    process watches an account; sync, import and record beside it are fine.\n\nUnder systemd: Type=notify, and WatchdogSec=60 if you \
    like. A signal to terminate ends it within seconds, with nothing half written.\n\nExit codes: 0 ended by a signal; 1 another \
    process watches the account, or an error; 4 credentials, permission or another account; 6 the book is damaged. An exchange \
    that does not answer ends nothing: it is told, and asked again."
)]
pub struct WatchArgs {
    /// Where the exchange answers [default: where it did before, else the venue's own address]
    #[arg(long, env = "FILLBOOK_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    /// Where the exchange tells what happens, as in `wss://fstream.binance.com` [default: by the address where it answers]
    #[arg(long, value_name = "URL")]
    pub stream_url: Option<String>,
    /// The share of the exchange's request weight that may be used, in percent: a bot on the same address needs the rest
    /// [default: 40]
    #[arg(long, env = "FILLBOOK_WEIGHT_PERCENT", value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub weight_percent: Option<u16>,
    /// Wait while another process watches the account, and take over when it ends
    #[arg(long)]
    pub wait: bool,
    /// The bot's log of entries (one JSON object a line), followed as the bot appends to it
    #[arg(long, value_name = "FILE")]
    pub entry_events: Option<PathBuf>,
    /// The bot's state (JSON, with `meta.reason` by symbol), read whenever it changes
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Arguments of `tell`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The section [tell] of fillbook.toml says who is told: channels (webhook, telegram, ntfy, discord, slack), quiet \
    hours, the time of the daily summary, a heartbeat's address. `fillbook watch` tells. Nothing that a channel answers is an \
    order.\n\nExit codes: 0 fine; 1 a channel did not take the test; 4 an address or token cannot be read."
)]
pub struct TellArgs {
    /// Send one test message through this channel, or through each; works beside a watcher, and without a book
    #[arg(long, value_name = "CHANNEL", num_args = 0..=1, required_unless_present = "list", conflicts_with = "list")]
    pub test: Option<Option<String>>,
    /// Show the messages of the account
    #[arg(long)]
    pub list: bool,
    /// Only the latest N; 0 for all [default: 50 in a table, else all]
    #[arg(long, short = 'n', value_name = "N", requires = "list")]
    pub limit: Option<u64>,
}

fn parse_mode(text: &str) -> Result<PositionMode, ledger_core::UnknownName> {
    text.replace('-', "_").parse()
}

fn parse_listen(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    }
}
