//! `fillbook simulator`: a simulated exchange for bots and other programs, until it is interrupted.

use std::net::SocketAddr;

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
    let exchange = simulated_exchange(args.listen, args.seed, args.faults, context.clock.clone()).await?;
    if context.output.format == Format::Json {
        context.output.json(&json!({
            "schema": "fillbook.simulator/1", "base_url": exchange.base_url, "api_key": exchange.api_key,
            "api_secret": exchange.api_secret,
        }))?;
    } else {
        context.output.line(&format!("base_url={}", exchange.base_url))?;
        context.output.line(&format!("api_key={}", exchange.api_key))?;
        context.output.line(&format!("api_secret={}", exchange.api_secret))?;
    }
    // Whoever started this waits for these lines.
    context.output.flush()?;
    context.output.remark("The exchange runs until Ctrl-C. Nothing that happens here is real; nothing of it is kept.");
    interruption.wait().await;
    exchange.stop().await?;
    Ok(ExitCode::Fine)
}

/// Its key and secret are published, so nobody else may reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} can be reached from other machines; the simulator's key is published, so it listens on loopback addresses only"
)]
struct NotLoopback(SocketAddr);
