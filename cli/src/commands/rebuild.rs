//! `fillbook rebuild`

use ledger_store::{RunKind, RunStatus};
use serde_json::json;

use crate::Context;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;

/// Recomputes everything derived from the facts.
///
/// # Errors
/// When the book cannot be written.
pub async fn run(context: &mut Context) -> Result<ExitCode, CommandError> {
    let account = context.settings.account.clone();
    let store = crate::wiring::open(&context.settings)?;
    let run = store.begin_run(&account, RunKind::Rebuild, context.clock.now()).await?;
    let pending = store.drop_derived(&account).await?;
    let mut reports = Vec::new();
    for (done, pending_symbol) in pending.iter().enumerate() {
        context.output.progress(&format!("recomputing {} ({} of {})", pending_symbol.symbol, done + 1, pending.len()));
        reports.push(store.refold(&pending_symbol.account, &pending_symbol.symbol).await?);
    }
    let fills: u64 = reports.iter().map(|report| report.fills).sum();
    let quarantined: Vec<_> = reports
        .iter()
        .filter_map(|report| report.quarantined.as_ref().map(|reason| (report.symbol.clone(), reason.clone())))
        .collect();
    let detail = json!({ "symbols": reports.len(), "fills": fills, "quarantined": quarantined.len() });
    store.end_run(run, RunStatus::Done, context.clock.now(), Some(detail.to_string())).await?;
    if context.output.format == Format::Json {
        let names: Vec<_> =
            quarantined.iter().map(|(symbol, reason)| json!({ "symbol": symbol.as_str(), "reason": reason })).collect();
        context.output.json(&json!({
            "schema": "fillbook.rebuild/1", "symbols": reports.len(), "fills": fills, "quarantined": names,
        }))?;
    } else {
        context.output.line(&format!(
            "Recomputed {} from {}.",
            count(reports.len() as u64, "symbol"),
            count(fills, "fill")
        ))?;
        for (symbol, reason) in &quarantined {
            context.output.complain(&format!("{symbol} could not be folded: {reason}"));
        }
    }
    Ok(if quarantined.is_empty() { ExitCode::Fine } else { ExitCode::Discrepancies })
}

/// `1 fill`, `2 fills`.
pub(super) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
