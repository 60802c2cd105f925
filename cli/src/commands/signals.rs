//! `fillbook signals`

use ledger_core::{Signal, Sourced};
use ledger_store::SignalFilter;

use super::unseen::Asked;
use super::{at, conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::SignalArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Listing};

const LISTING: Listing<Sourced<Signal>> = Listing {
    schema: "fillbook.list.signal/1",
    plural: "signals",
    columns: &[
        Column { key: "ts", title: "Time", rank: 0, value: |s| at(&s.fact.time) },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |s| text(&s.fact.symbol) },
        Column { key: "side", title: "Side", rank: 0, value: |s| text(s.fact.side) },
        Column { key: "kind", title: "Kind", rank: 1, value: |s| text(s.fact.kind) },
        Column { key: "engine", title: "Engine", rank: 0, value: |s| maybe(s.fact.engine.as_ref()) },
        Column { key: "reason", title: "Reason", rank: 2, value: |s| maybe(s.fact.reason.as_ref()) },
        Column { key: "skipped", title: "Skipped", rank: 2, value: |s| maybe(s.fact.skip_reason()) },
        Column { key: "restored", title: "Restored", rank: 3, value: |s| s.fact.restored.into() },
        Column { key: "signal_id", title: "Signal", rank: 4, value: |s| text(&s.fact.signal_id) },
        Column { key: "source", title: "Source", rank: 5, value: source },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: conflicts },
        Column { key: "meta_json", title: "Meta", rank: 9, value: |s| maybe(s.fact.meta_json.as_ref()) },
    ],
};

/// Lists signals by time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &SignalArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let filter = SignalFilter { engine: args.engine.clone(), ..scope(&args.list.scope, context)?.into() };
    let asked = Asked { symbol: args.list.scope.symbol.as_ref(), engine: args.engine.as_ref(), ..Asked::default() };
    print_list(context, store.as_ref(), asked, &LISTING, args.list.limit, |page| store.signals(&filter, page)).await
}
