//! `fillbook fills`: each as the book counts it, so that fees and positions here add up to those of the report.

use std::collections::BTreeMap;

use ledger_core::{AccountId, Fill, Source, Sourced, Symbol};
use ledger_store::{FactReader, FillFilter, Page, StoreError, UnreadableRow};

use super::unseen::Asked;
use super::{at, conflicts, maybe, print_list, scope, source, text};
use crate::Context;
use crate::args::ListArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Cell, Column, Listing};

const LISTING: Listing<Sourced<Fill>> = Listing {
    schema: "fillbook.list.fill/1",
    plural: "fills",
    columns: &[
        Column { key: "ts", title: "Time", rank: 0, value: |f| at(&f.fact.time) },
        Column { key: "symbol", title: "Symbol", rank: 0, value: |f| text(&f.fact.key.symbol) },
        Column { key: "side", title: "Side", rank: 0, value: |f| text(f.fact.key.side) },
        Column { key: "position_side", title: "Position", rank: 3, value: |f| maybe(f.fact.position_side.as_ref()) },
        Column { key: "qty", title: "Quantity", rank: 0, value: |f| f.fact.qty.get().into() },
        Column { key: "price", title: "Price", rank: 0, value: |f| f.fact.price.get().into() },
        Column { key: "fee", title: "Fee", rank: 2, value: |f| f.fact.fee.as_ref().map(|fee| fee.amount).into() },
        Column {
            key: "fee_asset",
            title: "Asset",
            rank: 2,
            value: |f| maybe(f.fact.fee.as_ref().map(|fee| &fee.asset)),
        },
        Column {
            key: "exchange_realized_pnl",
            title: "Exchange PnL",
            rank: 4,
            value: |f| f.fact.exchange_realized_pnl.into(),
        },
        Column { key: "maker", title: "Maker", rank: 7, value: |f| f.fact.maker.into() },
        Column { key: "order_id", title: "Order", rank: 5, value: |f| maybe(f.fact.order_id.as_ref()) },
        Column { key: "fill_id", title: "Fill", rank: 1, value: |f| text(&f.fact.key.fill_id) },
        Column { key: "source", title: "Source", rank: 6, value: source },
        Column { key: "conflicts", title: "Conflicts", rank: 1, value: conflicts },
        Column { key: "decided", title: "Decided", rank: 8, value: decided },
        Column { key: "ts_precision", title: "Precision", rank: 9, value: |f| precision(&f.fact) },
    ],
};

/// Only said in JSON and CSV: a table has no room for what the time shows anyway.
fn precision(fill: &Fill) -> Cell {
    match fill.time.precision {
        ledger_core::TimePrecision::Second => "second".into(),
        ledger_core::TimePrecision::Millisecond => Cell::Empty,
    }
}

/// The fields that the book took from elsewhere: the fee from the ledger's entry, the position from the order or the
/// account's position mode.
fn decided(fill: &Sourced<Fill>) -> Cell {
    let exceptions = fill.provenance.exceptions.iter().filter(|(_, source)| **source == Source::Repair);
    let fields: Vec<&str> = exceptions.map(|(field, _)| *field).collect();
    if fields.is_empty() { Cell::Empty } else { Cell::Text(fields.join(" ")) }
}

/// The same fills in the same order, as they are folded. Where that cannot be told, because something that belongs to them
/// cannot be read, as they are stated.
async fn as_counted(
    store: &(impl FactReader + ?Sized),
    account: &AccountId,
    fills: Vec<Sourced<Fill>>,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Vec<Sourced<Fill>>, StoreError> {
    let mut by_symbol: BTreeMap<Symbol, Vec<(usize, Sourced<Fill>)>> = BTreeMap::new();
    for (index, fill) in fills.into_iter().enumerate() {
        by_symbol.entry(fill.fact.key.symbol.clone()).or_default().push((index, fill));
    }
    let mut counted = BTreeMap::new();
    for (symbol, fills) in by_symbol {
        let (indices, fills): (Vec<usize>, Vec<Sourced<Fill>>) = fills.into_iter().unzip();
        let folded = match store.as_folded(account, &symbol, fills.clone()).await {
            Err(StoreError::CorruptRow { row }) => {
                unreadable.push(row);
                fills
            }
            folded => folded?,
        };
        counted.extend(indices.into_iter().zip(folded));
    }
    Ok(counted.into_values().collect())
}

/// Lists fills by time.
///
/// # Errors
/// When the book cannot be read or the output not be written.
pub async fn run(args: &ListArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let store = super::open_account(context).await?;
    let filter = FillFilter::from(scope(&args.scope, context)?);
    let asked = Asked { symbol: args.scope.symbol.as_ref(), ..Asked::default() };
    let account = context.settings.account.clone();
    print_list(context, store.as_ref(), asked, &LISTING, args.limit, async |page| {
        let page = store.fills(&filter, page).await?;
        let mut unreadable = page.unreadable;
        let items = as_counted(store.as_ref(), &account, page.items, &mut unreadable).await?;
        Ok(Page { items, unreadable, next: page.next })
    })
    .await
}
