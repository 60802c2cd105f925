//! What a bot asks and tells.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use reconciler::ClientIdScheme;

/// Arguments of `record`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "One JSON object a line comes in, and one goes out for it, in the same order, once what it says is durable. \
    `fillbook record --schema` prints the schema with an example of every event.\n\nIt ends with 0 at the end of its input, also where \
    lines were refused (their answers say so), and with 130 when it is stopped (SIGINT, SIGTERM, SIGHUP): what it has read by then is answered. Without a book or an account it \
    ends before it reads a line (1, 6 where the book is damaged)."
)]
pub struct RecordArgs {
    /// How the bot words its client order ids, as in `bot_{engine}_{role}_{*}`; can be given several times. Without
    /// separators the placeholders have widths: `b{engine:3}{role:1}{*}`. Instead of `client_ids` of the account in
    /// fillbook.toml, or else of the file
    #[arg(long, value_name = "PATTERN")]
    pub client_ids: Vec<ClientIdScheme>,
    /// The bot's log of entries (one JSON object a line), followed as the bot appends to it
    #[arg(long, value_name = "FILE")]
    pub entry_events: Option<PathBuf>,
    /// The bot's state (JSON, with `meta.reason` by symbol), read when it changes
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// The bot's clock minus the exchange's, in ms, where it is measured
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    pub clock_skew_ms: Option<i64>,
    /// Print the JSON schema of the events, with examples, and end
    #[arg(long)]
    pub schema: bool,
}

/// Arguments of `gate`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit codes: 0 an entry may be made; 3 it may not, and why; 1 the book cannot be asked (6 where it is damaged), \
    so that nothing may be entered either."
)]
pub struct GateArgs {
    /// The contract, as the venue writes it (BTCUSDT) or ccxt does (BTC/USDT:USDT)
    #[arg(value_name = "SYMBOL")]
    pub symbol: String,
    /// Only this position of a hedge
    #[arg(long, value_enum)]
    pub side: Option<PositionWay>,
}

/// A position of a hedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PositionWay {
    /// The long one
    Long,
    /// The short one
    Short,
}
