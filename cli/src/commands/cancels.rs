//! `fillbook cancels`

use ledger_core::{Cancel, Sourced};

use super::unseen::Asked;
use super::{at, conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::ListArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Listing};

const LISTING: Listing<Sourced<Cancel>> = Listing {
    schema: "fillbook.list.cancel/1",
    plural: "cancels",
    columns: &[
        Column { key: "ts", title: "Time", rank: 0, value: |c| at(&c.fact.time) },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |c| text(&c.fact.key.symbol) },
        Column { key: "order_class", title: "Class", rank: 3, value: |c| text(c.fact.key.class) },
        Column { key: "order_id", title: "Order", rank: 0, value: |c| text(&c.fact.key.order_id) },
        Column { key: "side", title: "Side", rank: 1, value: |c| maybe(c.fact.side.as_ref()) },
        Column { key: "reason", title: "Reason", rank: 1, value: |c| maybe(c.fact.reason.as_ref()) },
        Column { key: "source", title: "Source", rank: 2, value: source },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: conflicts },
    ],
};

/// Lists cancels by time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &ListArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let scope = scope(&args.scope, context)?;
    let asked = Asked { symbol: args.scope.symbol.as_ref(), ..Asked::default() };
    print_list(context, store.as_ref(), asked, &LISTING, args.limit, |page| store.cancels(&scope, page)).await
}
