//! `fillbook init`

use ledger_core::PositionMode;
use ledger_store::{Account, FirstAccount, NewAccount};
use serde_json::json;

use crate::Context;
use crate::args::InitArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::Format;

/// Creates the book where there is none, and the account in it.
///
/// # Errors
/// When the book cannot be created, or has an account of that name at another venue.
pub async fn run(args: &InitArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let settings = &context.settings;
    let account = NewAccount {
        id: settings.account.clone(),
        venue: args.venue.as_str().to_owned(),
        created_local: context.clock.now(),
    };
    let first = FirstAccount { account: account.clone(), position_mode: args.position_mode };
    let (store, was_made) = crate::wiring::create(settings, first)?;
    let known = if was_made { None } else { store.account(&settings.account).await? };
    if !was_made {
        store.create_account(account).await?;
        if let Some(mode) = args.position_mode {
            store.set_position_mode(&settings.account, mode, context.clock.now()).await?;
            ledger_store::refold_pending(store.as_ref(), &mut |_, _| {}).await?;
        }
    }
    let contradiction = reconciler::position_mode_contradiction(store.as_ref(), &settings.account).await?;
    let mode = args.position_mode.or(known.as_ref().and_then(Account::mode));
    if context.output.format == Format::Json {
        let created = json!({
            "schema": "fillbook.init/1",
            "db": settings.db.display().to_string(),
            "account": settings.account.as_str(),
            "venue": args.venue.as_str(),
            "position_mode": mode.map(PositionMode::as_str),
            "created": known.is_none(),
        });
        context.output.json(&created)?;
    } else {
        let verb = if known.is_some() { "is in" } else { "is ready in" };
        let mode = mode.map_or(String::new(), |mode| format!(", position mode {mode}"));
        context.output.line(&format!(
            "Account {} ({}{mode}) {verb} {}.",
            settings.account,
            args.venue.as_str(),
            crate::output::shown_path(&settings.db)
        ))?;
        context
            .output
            .remark("Next: `fillbook import FILE...` reads exports into it; `fillbook sync` asks the exchange.");
    }
    Ok(match contradiction {
        Some(contradiction) => {
            context.output.complain(&format!(
                "warning: {contradiction}. Where the mode is not proven, fills without a position side stay in no position"
            ));
            ExitCode::Discrepancies
        }
        None => ExitCode::Fine,
    })
}
