//! `fillbook income`

use ledger_core::{Income, Sourced};
use ledger_store::IncomeFilter;

use super::unseen::Asked;
use super::{at, conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::IncomeArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Listing};

const LISTING: Listing<Sourced<Income>> = Listing {
    schema: "fillbook.list.income/1",
    plural: "income rows",
    columns: &[
        Column { key: "ts", title: "Time", rank: 0, value: |i| at(&i.fact.time) },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |i| maybe(i.fact.key.symbol.as_ref()) },
        Column { key: "income_type", title: "Type", rank: 0, value: |i| text(&i.fact.key.income_type) },
        Column { key: "amount", title: "Amount", rank: 0, value: |i| i.fact.amount.into() },
        Column { key: "asset", title: "Asset", rank: 0, value: |i| text(&i.fact.key.asset) },
        Column { key: "fill_id", title: "Fill", rank: 2, value: |i| maybe(i.fact.fill_id.as_ref()) },
        Column { key: "tran_id", title: "Transaction", rank: 1, value: |i| text(&i.fact.key.tran_id) },
        Column { key: "info", title: "Info", rank: 4, value: |i| maybe(i.fact.info.as_ref()) },
        Column { key: "source", title: "Source", rank: 3, value: source },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: conflicts },
    ],
};

/// Lists income by time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &IncomeArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let filter = IncomeFilter { scope: scope(&args.list.scope, context)?, income_type: args.income_type.clone() };
    let asked =
        Asked { symbol: args.list.scope.symbol.as_ref(), income_type: args.income_type.as_ref(), ..Asked::default() };
    print_list(context, store.as_ref(), asked, &LISTING, args.list.limit, |page| store.income(&filter, page)).await
}
