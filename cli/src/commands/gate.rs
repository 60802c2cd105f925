//! `fillbook gate`: whether a new entry may be made.

use exchange_client::files::{BookVenue, CcxtReader};
use ledger_core::PositionSide;
use reconciler::{Gate, GateReason, GateTerms, gate, spool_of};
use serde_json::Value;

use crate::Context;
use crate::args::{GateArgs, PositionWay};
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Format, Listing, NOT_IN_TABLES};

const LISTING: Listing<GateReason> = Listing {
    schema: "fillbook.list.gate_reason/1",
    plural: "reasons",
    columns: &[
        Column { key: "kind", title: "Reason", rank: 0, value: |reason| super::text(reason.kind) },
        Column { key: "text", title: "What", rank: 0, value: |reason| super::text(&reason.text) },
        Column { key: "advice", title: "What to do", rank: 0, value: |reason| super::text(&reason.advice) },
        // Both stand in the text; programs read them here.
        Column {
            key: "client_order_id",
            title: "Client id",
            rank: NOT_IN_TABLES,
            value: |reason| super::maybe(reason.client_order_id.as_ref()),
        },
        Column { key: "intent_local", title: "Written", rank: 2, value: |reason| reason.intent_local.into() },
        Column {
            key: "discrepancy",
            title: "Discrepancy",
            rank: NOT_IN_TABLES,
            value: |reason| reason.discrepancy.and_then(|number| u64::try_from(number).ok()).into(),
        },
    ],
};

#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no contract")]
struct NoContract(String);

/// Says whether a new entry of a contract may be made, and if not why.
///
/// # Errors
/// When the book cannot be asked; the answer, that nothing may be entered, is printed all the same.
pub async fn run(args: &GateArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let reader = CcxtReader::new(BookVenue::BinanceUsdm);
    let symbol = reader.symbol(&args.symbol).map_err(|_| {
        CommandError::new(ExitCode::Usage, NoContract(args.symbol.clone())).hint("BTCUSDT, or BTC/USDT:USDT")
    })?;
    let side = args.side.map(|side| match side {
        PositionWay::Long => PositionSide::Long,
        PositionWay::Short => PositionSide::Short,
    });
    let account = context.settings.account.clone();
    let spool = spool_of(&context.settings.db);
    let terms = GateTerms { spool: Some(&spool), freshness: context.settings.freshness, now: context.clock.now() };
    let (gate, error) = match crate::wiring::open_book(&context.settings, crate::wiring::Access::Read).await {
        Ok(open) => match super::check_account(open.as_ref(), &account).await {
            Ok(()) => (gate(open.as_ref(), &account, &symbol, side, terms).await, None),
            Err(error) => (Gate::unknown_account(&account), Some(error)),
        },
        Err(error) => (Gate::unreadable(&error), Some(error.into())),
    };
    match context.output.format {
        Format::Json => {
            let mut object = gate.to_json();
            object.insert("schema".to_owned(), "fillbook.gate/1".into());
            object.insert("symbol".to_owned(), symbol.as_str().into());
            context.output.json(&Value::from(object))?;
        }
        Format::Csv => context.output.list(&LISTING, &gate.reasons)?,
        Format::Table => {
            let verdict = if gate.is_allowed() { "an entry may be made" } else { "no entry may be made" };
            context.output.line(&format!("{symbol}: {verdict}."))?;
            context.output.list(&LISTING, &gate.reasons)?;
        }
    }
    match error {
        Some(error) => Err(error),
        None if gate.is_allowed() => Ok(ExitCode::Fine),
        None if gate.is_unreadable() => Ok(ExitCode::Error),
        None => Ok(ExitCode::Discrepancies),
    }
}
