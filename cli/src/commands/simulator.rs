//! `fillbook simulator`: a simulated exchange for bots and other programs, until it is interrupted.

use std::net::SocketAddr;

use exchange_client::simulator::{SimulatorAccount, SimulatorConfig};
use ledger_core::TimestampMs;
use serde_json::json;

use crate::Context;
use crate::args::SimulatorArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;
use crate::wiring::{Interruption, simulated_exchange};

/// Runs the simulated exchange until Ctrl-C.
///
/// # Errors
/// When the address is not on this machine alone, or cannot be listened on.
pub async fn run(args: &SimulatorArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    if !args.listen.ip().is_loopback() {
        return Err(CommandError::new(ExitCode::Usage, NotLoopback(args.listen))
            .hint(format!("--listen 127.0.0.1:{}", args.listen.port())));
    }
    let mut interruption = Interruption::listen()?;
    let exchange = simulated_exchange(args.listen, config(args, context.clock.now()), context.clock.clone()).await?;
    if context.output.format == Format::Json {
        context.output.json(&json!({
            "schema": "fillbook.simulator/1", "base_url": exchange.base_url, "api_key": exchange.api_key,
            "api_secret": exchange.api_secret, "stream_url": exchange.stream_url,
        }))?;
    } else {
        for (name, value) in [
            ("base_url", &exchange.base_url),
            ("api_key", &exchange.api_key),
            ("api_secret", &exchange.api_secret),
            ("stream_url", &exchange.stream_url),
        ] {
            context.output.published(name, value)?;
        }
    }
    // Whoever started this waits for these lines.
    context.output.flush()?;
    context.output.remark("The exchange runs until Ctrl-C. Nothing that happens here is real; nothing of it is kept.");
    interruption.wait().await;
    exchange.stop().await?;
    Ok(ExitCode::Fine)
}

/// The exchange that the arguments describe. Its prices move every second.
///
/// Nothing of it is kept, so its next start is another exchange, on which the same ids stand for other trades. The account
/// is named after seed and start: a book that knows an earlier one refuses it instead of mixing both.
fn config(args: &SimulatorArgs, starts: TimestampMs) -> SimulatorConfig {
    let mut account = SimulatorAccount { hedge_mode: args.hedge_mode, ..SimulatorAccount::standard() };
    account.alias = format!("{}-{}-{}", account.alias, args.seed, starts.as_ms());
    if args.bnb_fees {
        account.fees_in_bnb = true;
        account.deposits.push(("BNB".to_owned(), "10".to_owned()));
    }
    SimulatorConfig {
        accounts: vec![account],
        tick_ms: 1_000,
        settle_lag_ms: i64::from(args.settle_lag),
        conditional_lag_ms: i64::from(args.conditional_lag),
        faults: args.faults.with_seed(args.seed),
        ..SimulatorConfig::new(args.seed)
    }
}

/// Its key and secret are published, so nobody else may reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} can be reached from other machines; the simulator's key is published, so it listens on loopback addresses only"
)]
struct NotLoopback(SocketAddr);
